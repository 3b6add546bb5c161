//! `auth netrc`, the auth type `netrc`, and what others find in the file.

use super::oracles::{self, Pair};
use super::samples;
use crate::harness::{Home, Outcome, made_up_token, profile, set_mode};
use crate::workspace::{Fault, Response, Workspace};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

fn netrc_of(home: &Home) -> PathBuf {
    let path = home.path().join(".netrc");
    home.store(&path);
    path
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The auth type `netrc` for a host, with this file: the credential as others would be handed it.
fn credential(home: &Home, host: &str, file: &Path, user: Option<&str>) -> (Outcome, Option<Pair>) {
    let mut run = home.command("auth env").env("DATABRICKS_HOST", host).env("DATABRICKS_AUTH_TYPE", "netrc").env("NETRC", file).reveals();
    if let Some(user) = user {
        run = run.env("DATABRICKS_USERNAME", user);
    }
    let outcome = run.run();
    if outcome.status.code() == Some(1) {
        outcome.fails();
        return (outcome, None);
    }
    let document = outcome.ok().json();
    let of = |name: &str| document["env"][name].as_str().map(ToOwned::to_owned);
    let pair = match of("DATABRICKS_AUTH_TYPE").as_deref() {
        Some("pat") => ("token".to_owned(), of("DATABRICKS_TOKEN").unwrap()),
        _ => (of("DATABRICKS_USERNAME").unwrap(), of("DATABRICKS_PASSWORD").unwrap()),
    };
    (outcome, Some(pair))
}

#[test]
fn curl_word_for_word() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.trusts(&workspace);
    home.write_config(profile("P", workspace.https_url(), workspace.token()));
    let path = netrc_of(&home);
    let curl = format!("curl -n -X GET {}/api/2.0/token/list", workspace.https_url());
    home.script(&curl).run().ok().lacks("token_infos");
    let outcome = home.run("auth netrc -p P");
    outcome.ok().prints("").says(&format!("The entry for machine localhost with login token is in {}.", path.display())).says("has no ports");
    assert_eq!((text(&path), mode(&path)), (format!("machine localhost\nlogin token\npassword {}\n", workspace.token()), 0o600));
    home.script(&curl).run().ok().shows("\"token_infos\"");
    // The line that the command shows works as well, and so does the credential in our own hands.
    home.script(&format!("curl -sS -n {}/api/2.0/preview/scim/v2/Me", workspace.https_url())).run().ok().shows(workspace.basic_user());
    home.command("current-user me").env("DATABRICKS_HOST", workspace.https_url()).env("DATABRICKS_AUTH_TYPE", "netrc").run().ok().shows(workspace.basic_user());
    assert!(workspace.requests().last().unwrap().header("Authorization").unwrap().starts_with("Bearer "));
    // Shown without the password, unless asked for.
    let head = format!("# {}:1\nmachine localhost\nlogin token\n", path.display());
    home.run("auth netrc show -p P").ok().prints(&format!("{head}password ********\n")).notes("");
    home.command("auth netrc show -p P --sensitive").reveals().run().ok().prints(&format!("{head}password {}\n", workspace.token()));
    let shown = home.run("auth netrc show -p P -o json").ok().json();
    assert_eq!(shown, json!([{"file": path.display().to_string(), "line": 1, "machine": "localhost", "login": "token", "password": "********"}]));
    home.run("auth netrc remove -p P").ok().prints("").says("is no longer in");
    assert_eq!(text(&path), "");
    home.run("auth netrc remove -p P").ok().says("nothing was removed");
    home.run("auth netrc show -p P").fails().says("has no entry for machine localhost").says("Hint: To write it: databricks auth netrc write");
    home.script(&curl).run().ok().lacks("token_infos");
}

#[test]
fn user_name_and_password_of_a_basic_profile() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let path = netrc_of(&home);
    home.write_config(format!("[b]\nhost = {}\nusername = {}\npassword = {}\n", workspace.url(), workspace.basic_user(), workspace.basic_password()));
    home.run("auth netrc write -p b").ok();
    assert_eq!(text(&path), format!("machine 127.0.0.1\nlogin {}\npassword {}\n", workspace.basic_user(), workspace.basic_password()));
    home.script(&format!("curl -sS -n {}/api/2.0/token/list", workspace.url())).run().ok().shows("\"token_infos\"");
    home.command("current-user me").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_AUTH_TYPE", "netrc").run().ok();
    assert!(workspace.requests().last().unwrap().header("Authorization").unwrap().starts_with("Basic "));
    home.run("auth netrc remove -p b").ok();
    assert_eq!(text(&path), "");
}

#[test]
fn the_file_of_the_user_stays_the_users() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.write_config(profile("p", "https://h.example", &token));
    let path = netrc_of(&home);
    // A link into a dotfiles folder stays one; its target is tightened, and everything else in it stays.
    let dotfiles = home.path().join("dotfiles");
    std::fs::create_dir(&dotfiles).unwrap();
    let target = dotfiles.join("netrc");
    home.store(&target);
    let before =
        "# mine\nmachine h.example login bob password bobs-own # keep\n\nmacdef init\nput machine h.example login token\n\n\tdefault login x password y";
    std::fs::write(&target, before).unwrap();
    set_mode(&target, 0o644);
    std::os::unix::fs::symlink("dotfiles/netrc", &path).unwrap();
    let outcome = home.script("umask 000; databricks auth netrc -p p").run();
    outcome.ok().says("could be read by others (mode 0644); now only you can (0600)").says(":5 has another login for h.example").lacks("bobs-own");
    assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
    let ours = format!("machine h.example\nlogin token\npassword {token}\n");
    assert_eq!((text(&target), mode(&target)), (format!("{ours}{before}"), 0o600));
    home.run("auth netrc -p p").ok().lacks("could be read");
    assert_eq!(text(&target), format!("{ours}{before}"));
    home.run("auth netrc remove -p p").ok();
    assert_eq!(text(&target), before);
    // Other places, each private from the start.
    for (line, variable) in [("auth netrc -p p --netrc-file other", None), ("auth netrc -p p", Some("~/other"))] {
        let place = variable.map_or_else(|| home.work().join("other"), |_| home.path().join("other"));
        home.store(&place);
        let run = home.command(line);
        variable.map_or(home.command(line), |path| run.env("NETRC", path)).run().ok();
        assert_eq!((text(&place), mode(&place)), (ours.clone(), 0o600));
    }
    assert_eq!(text(&target), before);
}

#[test]
fn a_broken_file_is_left_with_the_line_named() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.secret("password-of-another");
    home.write_config(profile("p", "https://h.example", &token));
    let path = netrc_of(&home);
    for (broken, line) in [
        ("machine a login b password \"password-of-another\n", 1),
        ("[p]\ntoken = password-of-another\n", 1),
        ("machine a\nlogin b\npassword password-of-another\n\nmachine\n", 5),
        ("machine h.example login token password password-of-another\nlogin bob\n", 2),
        ("machine a login password-of-another\rmachine b\n", 1),
        ("machine a password password-of-another\n\u{0}\n", 2),
    ] {
        std::fs::write(&path, broken).unwrap();
        set_mode(&path, 0o600);
        for line_of in ["auth netrc -p p", "auth netrc remove -p p"] {
            let outcome = home.run(line_of);
            outcome.fails().says(&format!("{}:{line}: ", path.display())).says("Hint: Nothing was written.");
            assert_eq!(text(&path), broken);
        }
        let (outcome, pair) = credential(&home, "https://h.example", &path, Some("token"));
        assert!(pair.is_none());
        outcome.says(&format!("{}:{line}: ", path.display()));
        // Of a broken file nothing else is said, and nothing else fails.
        home.run("auth describe -p p --offline").ok().shows("Authenticated with: pat");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    home.run("auth netrc -p p").fails().says("it is a folder");
    home.run("auth netrc -p p --netrc-file /nowhere/netrc").fails().says("/nowhere does not exist");
}

#[test]
fn what_no_netrc_file_can_hold_is_refused() {
    let home = Home::new();
    home.secret("secret-with-a-line");
    let path = netrc_of(&home);
    let job = |value: &str| home.command("auth netrc").env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_TOKEN", value).run();
    job("secret-with-a-line\nmachine evil").error("the password cannot be written to a netrc file: it contains a control character");
    job(&"secret-with-a-line".repeat(300)).fails().says("4 kB").lacks("secret-with");
    assert!(!path.exists());
    home.run("auth netrc").fails();
    home.run(["auth", "netrc", "shwo"]).error("unknown command \"shwo\" for \"databricks auth netrc\"").says("Did you mean this?\n\tshow");
    home.run("auth netrc write show").error("accepts at most 1 arg(s), received 2");
}

#[test]
fn the_rules_of_the_file_are_those_of_curl() {
    let home = Home::new();
    let path = home.path().join(".netrc");
    home.allow_loose_stores();
    let pair = |login: &str, password: &str| Some((login.to_owned(), password.to_owned()));
    for (content, host, user, wanted) in [
        // Exact name, whatever its case; no port, no scheme, no ending.
        ("machine h.example login token password p", "https://h.example", None, pair("token", "p")),
        ("machine H.EXAMPLE login token password p", "https://h.example:8443", None, pair("token", "p")),
        ("machine h.example:8443 login token password p", "https://h.example:8443", None, None),
        ("machine example login token password p", "https://h.example", None, None),
        ("machine h.example.evil login token password p", "https://h.example", None, None),
        ("machine ::1 login token password p", "http://[::1]:9", None, pair("token", "p")),
        // Never the default entry.
        ("default login token password p", "https://h.example", None, None),
        ("machine h.example login token\ndefault login token password p", "https://h.example", None, None),
        // Two users of one host; the case of CVE-2026-8926: no password of bob for alice.
        ("machine h.example login bob password pb machine h.example login alice password pa", "https://h.example", None, pair("bob", "pb")),
        ("machine h.example login bob password pb machine h.example login alice password pa", "https://h.example", Some("alice"), pair("alice", "pa")),
        ("machine h.example login alice machine h.example login bob password pb", "https://h.example", Some("alice"), None),
        ("machine h.example login bob password pb", "https://h.example", Some("alice"), None),
        // Quoted, and with a #.
        ("machine h.example login \"b o b\" password \"p\\\"#\\\\\"", "https://h.example", None, pair("b o b", "p\"#\\")),
        ("machine h.example login bob password \"#p\" # password q", "https://h.example", None, pair("bob", "#p")),
        ("# machine h.example login bob password q\nmachine h.example\nlogin bob # bob\npassword p#q", "https://h.example", None, pair("bob", "p#q")),
    ] {
        std::fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
        let (outcome, found) = credential(&home, host, &path, user);
        assert_eq!(found, wanted, "{content} for {host} and {user:?}\n{outcome}");
        if found.is_none() {
            outcome.says("has no entry for machine").says("Hint: ").lacks("password p");
        }
        // curl itself, where it has no default entry to fall back on.
        let name = host.split("//").nth(1).unwrap().trim_end_matches(":8443");
        if !content.contains("default") && !name.starts_with('[') && user.is_none() {
            assert_eq!(oracles::curl(&home, [path.as_path()], &[name])[0].get(name).cloned(), wanted, "curl: {content}");
        }
    }
    set_mode(&path, 0o640);
    let (outcome, _) = credential(&home, "https://h.example", &path, None);
    outcome.ok().says(&format!("Warning: {0} can be read by others (mode 0640). To keep it to yourself: chmod 600 {0}", path.display()));
}

#[test]
fn the_method_is_used_only_where_it_is_asked_for() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let path = netrc_of(&home);
    let run = |line: &str| home.command(line).env("DATABRICKS_HOST", workspace.url());
    run("current-user me").env("DATABRICKS_AUTH_TYPE", "netrc").run().fails().says(&format!("netrc auth: there is no file {}", path.display()));
    home.write(Path::new(".netrc"), format!("machine 127.0.0.1 login token password {}\n", workspace.token()));
    run("current-user me").run().fails().says("cannot configure default credentials").lacks("netrc (");
    home.write_config(format!("[n]\nhost = {}\nauth_type = netrc\n", workspace.url()));
    home.run("current-user me -p n").ok().shows(workspace.basic_user());
    home.run("current-user me -p n --debug").ok();
    home.run("auth profiles").ok().shows("YES");
    home.run("auth describe -p n").ok().shows("Authenticated with: netrc").shows("✓ netrc: used").lacks("Not used here");
    // ~/_netrc, which some programs read, counts where there is no ~/.netrc.
    std::fs::rename(&path, home.path().join("_netrc")).unwrap();
    home.store(home.path().join("_netrc"));
    home.run("current-user me -p n").ok();
    home.command("current-user me -p n").env("NETRC", "~/elsewhere").run().fails().says("elsewhere");
    // A token that the workspace refuses is explained.
    let stale = made_up_token();
    home.secret_of(&workspace, &stale);
    home.write(Path::new(".netrc"), format!("machine 127.0.0.1 login token password {stale}\n"));
    home.run("current-user me -p n").fails().says("Check the entry of your netrc file: databricks auth netrc show --profile n");
}

#[test]
fn a_redirect_takes_the_entry_of_nobody_along() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let other = home.joins(Workspace::start());
    netrc_of(&home);
    home.write(Path::new(".netrc"), format!("machine 127.0.0.1 login token password {0}\nmachine localhost login token password {0}\n", workspace.token()));
    home.write_config(format!("[n]\nhost = {}\nauth_type = netrc\n", workspace.url()));
    for status in [301, 302, 303, 307, 308] {
        for target in [other.url().to_owned(), other.url().replace("127.0.0.1", "localhost")] {
            workspace.order(Fault::on("GET", "/").reply(Response::error(status, "", "").header("Location", &target)));
            home.run("current-user me -p n").fails().says("redirect");
        }
    }
    assert!(other.requests().is_empty());
}

#[test]
fn describe_names_what_other_programs_would_send() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.secret("password-of-bob");
    home.write_config(profile("p", "https://h.example", &token));
    let path = netrc_of(&home);
    let describe = || home.run("auth describe -p p --offline");
    let json = || home.run("auth describe -p p --offline -o json").ok().json();
    describe().ok().lacks("Not used here");
    assert!(json()["details"].get("netrc").is_none());
    for (content, line, details) in [
        (
            "# x\nmachine h.example login bob password password-of-bob\n".to_owned(),
            ":2: machine h.example, login bob\n",
            json!([{"file": path.display().to_string(), "line": 2, "machine": "h.example", "login": "bob", "differs": true}]),
        ),
        (
            "machine other login bob\ndefault login bob password password-of-bob\n".to_owned(),
            ":2: default, which counts for every host, login bob\n",
            json!([{"file": path.display().to_string(), "line": 2, "login": "bob", "differs": true}]),
        ),
        (
            format!("machine h.example login token password {token}\ndefault login bob\n"),
            ":1: machine h.example, login token (the same token)\n",
            json!([{"file": path.display().to_string(), "line": 1, "machine": "h.example", "login": "token", "differs": false}]),
        ),
    ] {
        home.write(Path::new(".netrc"), content);
        describe().ok().shows("Not used here, but sent to this host instead of the credential").shows(line).notes("");
        assert_eq!(json()["details"]["netrc"], details);
    }
    home.write(Path::new(".netrc"), "machine other login bob password password-of-bob\n");
    describe().ok().lacks("Not used here");
    home.write(Path::new(".netrc"), "machine h.example password \"password-of-bob\n");
    describe().ok().says(":1: a double quote has no partner on its line");
}

#[test]
fn what_describe_warns_of_is_so() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.write_config(profile("p", workspace.url(), workspace.token()));
    let bearer = format!("Bearer {}", workspace.token());
    assert_eq!(oracles::requests(&home, &workspace, &bearer), bearer);
    netrc_of(&home);
    for content in ["machine 127.0.0.1 login bob password password-of-bob\n", "default login bob password password-of-bob\n"] {
        home.write(Path::new(".netrc"), content);
        home.run("auth describe -p p").ok().shows("Not used here").shows("login bob");
        assert!(oracles::requests(&home, &workspace, &bearer).starts_with("Basic "));
    }
}

/// Names of hosts that the generated files are about; the first is the one that is written.
const HOSTS: [&str; 3] = ["h1.example", "h2.example", "h3.example"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9!$%&'()*+,./:;<=>?@_`{|}~^-]{3,12}",
        // In quotes, with the two escapes that curl and Python read the same.
        1 => r#""([a-zA-Z0-9 #']|\\"|\\\\){3,10}""#,
        // Not `machine` and its like: curl takes them for keywords where it looks for another host.
        1 => select(vec!["login", "password", "a\"b", "é€"]).prop_map(ToOwned::to_owned),
    ]
}

/// A netrc file as people have them.
fn file() -> impl Strategy<Value = String> {
    // Between keyword and value no CRLF: curl before 8.11 takes the line feed for an empty value.
    let inner = || select(vec![" ", "\n", "\n\t", "  ", "\t", "\n  "]);
    let gap = || prop_oneof![6 => inner(), 1 => Just("\r\n")];
    let login = prop_oneof![2 => Just("token".to_owned()), 5 => value().prop_map(|login| login.replace(':', "_"))];
    let entry = (
        select(HOSTS.to_vec()),
        login,
        value(),
        any::<bool>(),
        [inner().boxed(), inner().boxed(), inner().boxed(), gap().boxed(), gap().boxed()],
        select(vec!["", "", "", " account x", " port 21"]),
    );
    let entry = entry.prop_map(|(host, login, password, flipped, gaps, more)| {
        let (first, second) = (format!("login{}{login}", gaps[0]), format!("password{}{password}", gaps[1]));
        let (first, second) = if flipped { (second, first) } else { (first, second) };
        format!("machine{}{host}{}{first}{}{second}{more}", gaps[2], gaps[3], gaps[4])
    });
    let piece = prop_oneof![
        6 => entry,
        1 => select(vec!["# machine h1.example login c password c", "#", "  # a 'comment\" ", "# é"]).prop_map(ToOwned::to_owned),
        1 => select(vec!["macdef m\nmachine h1.example login m password m\n", "macdef init\nput \"x\n# y\n"]).prop_map(ToOwned::to_owned),
    ];
    let end = select(vec!["", "\n", "\n\n", "\ndefault login any password one", "\ndefault\n\tlogin any\n\tpassword one\n", "\nmacdef last\nls\n"]);
    (proptest::collection::vec((piece, select(vec!["\n", "\n\n", "\n\n\n", "\r\n"])), 0..6), end)
        .prop_map(|(pieces, end)| pieces.into_iter().map(|(piece, gap)| piece + gap).collect::<String>() + end)
}

/// How many files are generated.
const FILES: usize = 250;

#[test]
fn curl_and_python_agree_with_us_before_and_after_an_edit() {
    let home = Home::new();
    let token = made_up_token();
    home.write_config(profile("p", "https://h1.example", &token));
    let contents: Vec<String> = samples(file()).take(FILES).collect();
    let before: Vec<PathBuf> = (0..FILES).map(|number| home.work().join(format!("{number}.before"))).collect();
    let after: Vec<PathBuf> = (0..FILES).map(|number| home.work().join(format!("{number}.after"))).collect();
    let removed: Vec<PathBuf> = (0..FILES).map(|number| home.work().join(format!("{number}.removed"))).collect();
    let (mut ours, mut has_own) = (Vec::new(), Vec::new());
    for (number, content) in contents.iter().enumerate() {
        for path in [&before[number], &after[number]] {
            std::fs::write(path, content).unwrap();
            set_mode(path, 0o600);
        }
        ours.push(HOSTS.map(|host| credential(&home, &format!("https://{host}"), &before[number], None).1));
        let write = |action: &str, path: &Path| home.command(["auth", "netrc", action, "-p", "p", "--netrc-file", path.to_str().unwrap()]).run();
        let shown = home.command(["auth", "netrc", "show", "-p", "p", "-o", "json", "--netrc-file", before[number].to_str().unwrap()]).run();
        has_own.push(shown.stdout.contains("\"login\": \"token\""));
        write("write", &after[number]).ok();
        std::fs::copy(&after[number], &removed[number]).unwrap();
        write("remove", &removed[number]).ok().says("is no longer in");
        // A second time changes nothing; what was added and taken out again was all that changed.
        let written = text(&after[number]);
        write("write", &after[number]).ok();
        assert_eq!(text(&after[number]), written);
        if !has_own[number] {
            let block = ["\n", "\r\n"]
                .map(|feed| format!("machine h1.example{feed}login token{feed}password {token}{feed}"))
                .into_iter()
                .find(|block| written.contains(block.as_str()));
            let rest = written.replacen(&block.expect("our entry"), "", 1);
            assert!(rest.trim_end() == content.trim_end() && text(&removed[number]) == rest, "{content:?} became {written:?}");
        }
    }
    let all = [before, after.clone(), removed].concat();
    let curl = oracles::curl(&home, all.iter().map(PathBuf::as_path), &HOSTS);
    let python = oracles::python(&home, all.iter().map(PathBuf::as_path));
    let own = Some(("token".to_owned(), token.clone()));
    let mut compared = [0, 0];
    for (number, content) in contents.iter().enumerate() {
        let default = content.contains("\ndefault").then(|| ("any".to_owned(), "one".to_owned()));
        let entries = |host: &str| content.replace("macdef m\nmachine h1", "").matches(host).count();
        for (place, host) in HOSTS.iter().enumerate() {
            let ours = &ours[number][place];
            let [curl_before, curl_after] = [number, FILES + number].map(|at| curl[at].get(*host).cloned());
            assert_eq!(curl_before, ours.clone().or(default.clone()), "curl and we read {host} differently in\n{content}");
            compared[0] += 1;
            // A new entry comes before all others of the host; an old one of that login is updated where it stands.
            let is_token = ours.as_ref().is_some_and(|(login, _)| login == "token");
            let edited = if *host == "h1.example" && (is_token || !has_own[number]) { own.clone() } else { curl_before };
            assert_eq!(curl_after, edited, "curl reads {host} differently after the edit of\n{content}\nwhich is now\n{}", text(&after[number]));
            // Python takes the last entry of a host, we and curl the first; it refuses what it does not know, and below an empty line takes comments for entries.
            if let (Some(hosts_before), 0 | 1, false) = (&python[number], entries(host), content.contains("# machine")) {
                assert_eq!(hosts_before.get(*host), ours.as_ref(), "Python and we read {host} differently in\n{content}");
                let hosts_after = python[FILES + number].as_ref().unwrap_or_else(|| panic!("Python refuses what we wrote:\n{}", text(&after[number])));
                let wanted = if *host == "h1.example" && (ours.is_none() || is_token) { &own } else { ours };
                assert_eq!(hosts_after.get(*host), wanted.as_ref(), "Python reads {host} differently after the edit of\n{content}");
                compared[1] += 1;
            }
            if *host != "h1.example" {
                assert_eq!(curl[2 * FILES + number].get(*host), curl[number].get(*host), "removing ours changed {host} in\n{content}");
            }
        }
    }
    assert!(compared[0] == FILES * HOSTS.len() && compared[1] > FILES, "{compared:?} files were compared");
}
