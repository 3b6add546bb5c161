//! What each format writes. That the shells and readers themselves give it back: `tests/handover`.

use super::*;
use crate::auth::Lasting;
use crate::host::Host;
use crate::secret::Secret;

fn credential(lasting: Option<Lasting>) -> Credential {
    let host = Host::parse("https://h.example:8443").expect("a host");
    Credential { host, headers: Vec::new(), method: "pat", lasting, token: None, remarks: Vec::new() }
}

fn written(format: &str, value: &str) -> Result<Handover> {
    let credential = credential(Some(Lasting::Token(Secret::new(value))));
    let variables = vec![Variable { name: "A", value: "plain", secret: false }, Variable { name: "B", value, secret: true }];
    (find(format).expect(format).write)(&Parcel { credential: Some(&credential), variables })
}

fn text(format: &str, value: &str) -> String {
    written(format, value).expect(value).text.to_string()
}

#[test]
fn values_are_quoted_as_each_reader_wants_it() {
    for (format, value, wanted) in [
        ("json", "a\"b", r#"{"env":{"A":"plain","B":"a\"b"}}"#),
        ("sh", "a'b$(x)\n\\", "export A='plain'\nexport B='a'\\''b$(x)\n\\'\n"),
        ("zsh", "'", "export A='plain'\nexport B=''\\'''\n"),
        ("fish", "a'b\\$(x)\nc", "set -gx A 'plain';\nset -gx B 'a\\'b\\\\$(x)'\\n'c';\n"),
        ("pwsh", "a'b$(x)`", "$env:A = 'plain'\n$env:B = 'a''b$(x)`'\n"),
        ("powershell", "\u{2019}\n\u{1f511}", "$env:A = 'plain'\n$env:B = ''+[char]8217+''+[char]10+''+[char]55357+''+[char]56593+''\n"),
        ("dotenv", "https://h?a=b&c", "A=plain\nB=https://h?a=b&c\n"),
        ("dotenv", "it's \"x\" $y", "A=plain\nB=it's \"x\" $y\n"),
        ("dotenv", "a#b", "A=plain\nB='a#b'\n"),
        ("dotenv", " a\\b", "A=plain\nB=' a\\b'\n"),
        ("dotenv", "'a#\nb", "A=plain\nB=\"'a#\nb\"\n"),
        ("systemd", "a b\"\\$`\n", "A=plain\nB=\"a b\\\"\\\\\\$\\`\n\"\n"),
        ("github", "a%0Ab", "::add-mask::a%250Ab\n"),
        ("github", "one\n\n two\n", "::add-mask::one\n::add-mask:: two\n"),
        ("netrc", "dapi1", "machine h.example\nlogin token\npassword dapi1\n"),
    ] {
        assert_eq!(text(format, value), wanted, "{format}: {value:?}");
    }
}

#[test]
fn github_gets_a_delimiter_that_nobody_can_know() {
    let lines = |value: &str| written("github", value).expect(value).file.expect("a file").1.to_string();
    assert_eq!(lines("a=b<<c"), "A=plain\nB=a=b<<c\n");
    let (one, two) = (lines("x\ny"), lines("x\ny"));
    assert_ne!(one, two);
    let delimiter = one.lines().nth(1).and_then(|line| line.strip_prefix("B<<")).expect("a here document");
    assert_eq!(one, format!("A=plain\nB<<{delimiter}\nx\ny\n{delimiter}\n"));
}

#[test]
fn what_a_reader_cannot_have_is_refused_by_name_and_never_shown() {
    for (format, value) in [
        ("sh", "s3\0cret"),
        ("dotenv", "s3\u{1b}cret"),
        ("dotenv", "s3\rcret"),
        ("dotenv", "s3${cret}"),
        ("dotenv", "'s3#\"cret"),
        ("dotenv", "#s3cret\\'"),
        ("systemd", "s3\u{7f}cret"),
        ("systemd", "s3\rcret"),
        ("github", "s3\rcret"),
    ] {
        let error = written(format, value).expect_err(value).to_string();
        assert!(error.starts_with(&format!("B cannot be written as {format}: ")) && !error.contains("s3"), "{error}");
    }
    assert!(!written("netrc", "s3\ncret").expect_err("a line feed").to_string().contains("s3"));
}

#[test]
fn docker_users_are_told_where_it_reads_the_quotes() {
    assert!(written("dotenv", "dapi1").expect("plain").remarks.is_empty());
    let remarks = written("dotenv", "s3#cret").expect("quoted").remarks;
    assert!(remarks.len() == 1 && remarks[0].starts_with("B ") && !remarks[0].contains("s3"), "{remarks:?}");
}

#[test]
fn what_does_not_last_goes_into_no_netrc() {
    let error = netrc::record(&credential(None)).expect_err("nothing lasting").to_string();
    assert!(error.contains("does not last"), "{error}");
}

#[test]
fn names_are_used_once() {
    let mut seen = std::collections::HashSet::new();
    let mut names = FORMATS.iter().flat_map(|format| [format.name].into_iter().chain(format.aliases.iter().copied()));
    assert!(names.all(|name| seen.insert(name)), "{seen:?}");
    assert!(find("toml").is_none());
}

#[test]
fn nothing_that_holds_a_value_shows_it_in_debug_output() {
    let shown = format!("{:?} {:?}", Variable { name: "B", value: "s3cret", secret: true }, written("sh", "s3cret").expect("sh"));
    assert!(!shown.contains("s3cret"), "{shown}");
}
