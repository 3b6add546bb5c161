//! What `configure` writes is read alike by Go, by Python, by `rust-ini` and by us; and nothing else changes.

use std::collections::BTreeMap;

use ini::{Ini, ParseOption};

use super::binary::Home;
use super::oracle::{Oracle, Sections};

/// Files that people and tools leave behind, all of which Go reads.
const FILES: &[&str] = &[
    "",
    "\n\n",
    "; only a comment\n",
    "[DEFAULT]\nhost = https://old.example\ntoken = old\n",
    "[DEFAULT]\n\n[__settings__]\nauth_storage    = plaintext\ndefault_profile = b\n\n[b]\nhost = https://b.example\nauth_type = databricks-cli\n",
    "# mine\r\n[a]\r\nhost   =  https://a.example  \r\n;note\r\nunknown: kept\r\n[b]\r\nhost=https://b.example",
    "[a]\nhost = https://a.example\n\n; of b\n[b]\nhost = https://b.example\ntoken = x#y;z\ncustom = a=b:c\n\n\n",
    "[a]\n  host = https://a.example\n  username = u\n  password = p w\n\n[b]\nhost=x\n",
    "\u{feff}[a]\nhost = https://a.example\ntoken = before\n",
    "[a]\nhost = https://a.example\ntoken = \"quoted\"\ncluster_id = 'c'\n",
    "[a]\nhost = https://a.example\ntoken = old ; why\ncustom = v # note\n",
    "host = https://before.any.section\n\n[a]\nclient_id = i\nclient_secret = s\n",
    "[a]\nhost = https://a.example\n[b]\nhost = y\n[a]\ntoken = twice\ntoken = thrice\n",
    "[ü b]\nhost = https://u.example\npassword = 100%done\ncustom = %(host)s\n",
    "[a]\nhost = https://a.example\ntoken = one\\\n  two\ncustom = c:\\dir\n",
];

const TOKENS: &[&str] = &[
    "dapi0123456789abcdef",
    "a#b;c",
    "#start",
    ";start",
    "in#side",
    "in;side",
    "a=b:c",
    "=a",
    ":a",
    "a\\b",
    "a\\",
    "\\",
    "\"q\"",
    "q\"q",
    "'q'",
    "it's",
    "`q`",
    "q`",
    "\"",
    "%",
    "a%b",
    "%(host)s",
    "$HOME",
    "${x}",
    "[a]",
    "a]",
    "]",
    "*",
    "\u{e4}\u{20ac}",
    "a\u{a0}b",
    "\u{a0}a",
    "a\u{200b}b",
    "a\u{feff}",
    "-",
    "--",
    "~",
    "{}",
    "<>",
    "&&",
    "a,b",
    "!",
    "\u{1b}[2J",
    "a\tb",
    "\u{85}",
    "\"\"\"",
    "\"\"\"a\"\"\"",
    "''",
    "a\"",
    "a'",
    "rem x",
    "//",
    "/*",
];

const PROFILES: &[&str] =
    &["DEFAULT", "a", "b", "new", "with space", "a.b", "\u{fc} b", "a;b", "#a", "a'b", "\"a\"", "-", "=", "a:b", "]", "[x", "__settings__", "default", "a\\"];

#[test]
fn what_configure_writes_every_reader_reads() {
    let (mut go, mut python) = (Oracle::go(), Oracle::python());
    let home = Home::new();
    let (mut written, mut refused) = (0, 0);
    let mut check = |file: &str, profile: &str, token: &str, cluster: Option<&str>| {
        home.write(file);
        let before = (go.read(file).expect(file), python.read(file));
        let mut environment = vec![("DATABRICKS_TOKEN", token)];
        environment.extend(cluster.map(|cluster| ("DATABRICKS_CLUSTER_ID", cluster)));
        let arguments = ["configure", "--host", "https://new.example/?o=1", "--profile", profile];
        let run = home.run(&arguments, &environment);
        let text = home.read();
        let case = format!("profile {profile:?}, token {token:?}, cluster {cluster:?}, file {file:?}\nbecame {text:?}");
        if run.code != Some(0) {
            assert_eq!(text, file, "a refusal leaves the file: {case}");
            assert!(run.stderr.starts_with("Error: "), "{}: {case}", run.stderr);
            refused += 1;
            return;
        }
        written += 1;
        // White space around a token comes from copying it.
        let token = token.trim();
        let mut expected = BTreeMap::from([("host", "https://new.example"), ("token", token)]);
        expected.extend(cluster.map(|cluster| ("cluster_id", cluster)));
        let go_after = go.read(&text).expect(&case);
        hold(&go_after, &before.0, profile, &expected, &format!("Go: {case}"));
        if let Ok(before) = &before.1 {
            let after = python.read(&text).expect(&case);
            hold(&after, before, profile, &expected, &format!("Python: {case}"));
        }
        if let Some(third) = rust_ini(file).filter(|third| *third == before.0) {
            hold(&rust_ini(&text).expect(&case), &third, profile, &expected, &format!("rust-ini: {case}"));
        }
        assert_eq!(home.run(&arguments, &environment).code, Some(0));
        assert_eq!(home.read(), text, "the same again changes nothing: {case}");
        // And we ourselves hand over what was written.
        let handed = home.run(&["auth", "env", "--profile", profile], &[]).json();
        assert_eq!(handed["env"]["DATABRICKS_TOKEN"], token, "{case}");
        assert_eq!(handed["env"]["DATABRICKS_HOST"], "https://new.example", "{case}");
    };
    for (number, token) in TOKENS.iter().enumerate() {
        for step in 0..4 {
            check(FILES[(number + step * 4) % FILES.len()], ["a", "DEFAULT", "b", "new"][step], token, None);
        }
    }
    for (number, profile) in PROFILES.iter().enumerate() {
        for step in 0..3 {
            check(FILES[(number + step * 5) % FILES.len()], profile, "dapi1", Some("1234-567890-a12bcde3"));
        }
    }
    for cluster in ["c", "a b", "a #b", "a ;b", "#", "a#b", "'c'", "c\\", "50%"] {
        check(FILES[3], "a", "dapi1", Some(cluster));
    }
    for file in FILES {
        for profile in ["a", "new"] {
            check(file, profile, "dapi1", None);
        }
    }
    assert!(written > 150 && refused > 50, "{written} were written, {refused} refused");
}

/// The profile has what was written and nothing that `configure` replaces; everything else is as it was.
#[track_caller]
fn hold(after: &Sections, before: &Sections, profile: &str, expected: &BTreeMap<&str, &str>, case: &str) {
    let keys = &after[profile];
    for (key, value) in expected {
        assert_eq!(keys.get(*key).map(String::as_str), Some(*value), "{key}; {case}");
    }
    for gone in ["username", "password", "client_id", "client_secret", "auth_type"] {
        assert_eq!(keys.get(gone), None, "{case}");
    }
    let others = |sections: &Sections| {
        let mut sections = sections.clone();
        if let Some(keys) = sections.get_mut(profile) {
            for key in ["host", "token", "cluster_id", "username", "password", "client_id", "client_secret", "auth_type"] {
                keys.remove(key);
            }
        }
        // The first profile of a file becomes its default.
        if let Some(keys) = sections.get_mut("__settings__") {
            keys.retain(|key, value| !(key == "default_profile" && value == profile));
        }
        sections.retain(|_, keys| !keys.is_empty());
        sections
    };
    assert_eq!(others(after), others(before), "{case}");
}

/// The file as `rust-ini` reads it, quotes and escapes off; the last of several values counts.
fn rust_ini(text: &str) -> Option<Sections> {
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    let file = Ini::load_from_str_opt(text, options).ok()?;
    let mut sections = Sections::from([("DEFAULT".to_owned(), BTreeMap::new())]);
    for (section, keys) in &file {
        let place = sections.entry(section.unwrap_or("DEFAULT").to_owned()).or_default();
        place.extend(keys.iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    Some(sections)
}

/// `rust-ini` on files of the plainest kind, where all readers must agree.
#[test]
fn rust_ini_reads_plain_files_as_the_others_do() {
    let (mut go, mut python) = (Oracle::go(), Oracle::python());
    let home = Home::new();
    for count in 0..20 {
        for number in 0..count {
            let (profile, host, token) = (format!("p{number}"), format!("https://h{number}.example"), format!("dapi{number:032x}"));
            home.run(&["configure", "--host", &host, "--profile", &profile], &[("DATABRICKS_TOKEN", &token)]).text();
        }
        let text = if count == 0 { String::new() } else { home.read() };
        let third = rust_ini(&text).expect("a plain file");
        let without_default = |mut sections: Sections| {
            sections.retain(|_, keys| !keys.is_empty());
            sections
        };
        assert_eq!(without_default(third.clone()), without_default(go.read(&text).expect("a plain file")));
        assert_eq!(without_default(third), without_default(python.read(&text).expect("a plain file")));
    }
}
