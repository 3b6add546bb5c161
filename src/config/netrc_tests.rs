//! Reading and editing netrc files. What curl and Python make of the same files: `tests/handover`.

use super::*;

fn parse(text: &str) -> Netrc {
    Netrc::parse(text.as_bytes().to_vec()).unwrap_or_else(|fault| panic!("line {}: {fault}\n{text}", fault.line))
}

fn found(text: &str, user: Option<&str>) -> Option<(String, String)> {
    parse(text).find("h.example", user).expect("no fault").map(|(login, password)| (login, password.expose().to_owned()))
}

fn set(text: &str, password: &str) -> String {
    let mut netrc = parse(text);
    let password = Secret::new(password);
    netrc.set(&Record::new("h.example", "token", &password).expect("writable")).expect("editable");
    String::from_utf8(netrc.bytes.to_vec()).expect("text")
}

fn remove(text: &str) -> String {
    let mut netrc = parse(text);
    netrc.remove("h.example", "token").expect("editable");
    String::from_utf8(netrc.bytes.to_vec()).expect("text")
}

const OURS: &str = "machine h.example\nlogin token\npassword new\n";

#[test]
fn the_password_is_that_of_exact_host_and_login() {
    let pair = |login: &str, password: &str| Some((login.to_owned(), password.to_owned()));
    for (text, user, wanted) in [
        ("machine h.example login token password p", None, pair("token", "p")),
        ("machine H.Example\n\tlogin token\n\tpassword p\n", None, pair("token", "p")),
        ("MACHINE h.example LOGIN token PASSWORD p", None, pair("token", "p")),
        ("machine h.example\r\nlogin token\r\npassword p\r\n", None, pair("token", "p")),
        // The name counts as a whole, and `default` never.
        ("machine x.h.example login a password p machine h.example.org login a password p machine example login a password p", None, None),
        ("default login token password p", None, None),
        ("default login a password q machine h.example login token password p", None, pair("token", "p")),
        ("machine h.example:443 login a password p machine https://h.example login b password q", None, None),
        // Two users of a host.
        ("machine h.example login a password pa machine h.example login b password pb", None, pair("a", "pa")),
        ("machine h.example login a password pa machine h.example login b password pb", Some("b"), pair("b", "pb")),
        ("machine h.example login a password pa machine h.example login b password pb", Some("c"), None),
        ("machine h.example login a password pa", Some("A"), None),
        // A password never comes from another entry than its login (CVE-2026-8926, CVE-2024-11053).
        ("machine h.example login a machine h.example login b password pb", Some("a"), None),
        ("machine h.example login a machine h.example password pb", None, None),
        ("machine h.example login a machine other login b password pb", None, None),
        ("machine h.example login a default login b password pb", None, None),
        ("machine h.example password p", None, None),
        // Quotes, comments, unknown words, macros.
        (r#"machine "h.example" login "a b" password "p\"\\q\n""#, None, pair("a b", "p\"\\q\n")),
        (r#"machine h.example login a password p"q\r"#, None, pair("a", "p\"q\\r")),
        ("# machine h.example login a password p", None, None),
        ("machine h.example # login a password p\nlogin b password q", None, pair("b", "q")),
        ("machine h.example login #a password #p", None, pair("#a", "#p")),
        ("machine h.example port 21 account acc login a protocol https password p", None, pair("a", "p")),
        ("macdef m\nmachine h.example login a password p\n\nmachine h.example login b password q", None, pair("b", "q")),
        ("macdef m\nmachine h.example login a password p\n", None, None),
        ("machine h.example login login password password", None, pair("login", "password")),
    ] {
        assert_eq!(found(text, user), wanted, "{text} for {user:?}");
    }
}

#[test]
fn what_readers_take_differently_is_refused_with_its_line() {
    for (text, line) in [
        ("login token password s3cret", 1),
        ("\n[h.example]\ntoken = s3cret", 2),
        ("machine h.example\nlogin token\npassword", 3),
        ("machine h.example login \"s3cret", 1),
        ("machine h.example\nlogin \"s3\ncret\"", 2),
        ("machine h.example login \"s3cret\\", 1),
        ("machine h.example login a\npassword \"s3\"cret", 2),
        ("machine", 1),
        ("# x\nmacdef", 2),
        ("macdef m\nx\n\nlogin s3cret", 4),
        ("machine a\n\u{0}", 2),
        ("machine a\rlogin b", 1),
        ("\u{feff}machine a", 1),
    ] {
        let fault = Netrc::parse(text.as_bytes().to_vec()).expect_err(text);
        assert_eq!(fault.line, line, "{text}: {fault}");
        assert!(!fault.to_string().contains("s3"), "{fault}");
    }
    for text in ["machine h.example login a\nlogin token password p", "machine h.example login a\npassword p password q"] {
        let (user, fault) = ("a", parse(text).find("h.example", Some("a")).expect_err(text));
        assert_eq!(fault.line, 2, "{text} for {user}");
    }
}

#[test]
fn an_entry_is_updated_where_it_stands() {
    for (before, after) in [
        ("machine h.example login token password old", "machine h.example login token password new"),
        ("# c\n\nmachine h.example\n\tpassword old # c\n\tlogin token\nmachine b", "# c\n\nmachine h.example\n\tpassword new # c\n\tlogin token\nmachine b"),
        ("machine h.example\r\nlogin token\r\npassword \"old one\"\r\n", "machine h.example\r\nlogin token\r\npassword new\r\n"),
        ("machine h.example login token\n\nmachine b", "machine h.example login token password new\n\nmachine b"),
        (
            "machine h.example login token password o machine H.EXAMPLE login token password p",
            "machine h.example login token password new machine H.EXAMPLE login token password new",
        ),
        (
            "machine h.example login bob password p machine h.example login token password o",
            "machine h.example login bob password p machine h.example login token password new",
        ),
    ] {
        assert_eq!(set(before, "new"), after, "{before}");
        assert_eq!(set(after, "new"), after, "a second time");
    }
}

#[test]
fn a_new_entry_stands_where_readers_find_it_and_nothing_else_moves() {
    for (before, after) in [
        (String::new(), OURS.to_owned()),
        ("machine a login b password c".to_owned(), format!("machine a login b password c\n{OURS}")),
        ("# only a comment\n".to_owned(), format!("# only a comment\n{OURS}")),
        ("machine a\r\nlogin b\r\n".to_owned(), format!("machine a\r\nlogin b\r\n{}", OURS.replace('\n', "\r\n"))),
        (
            "machine a\n\n# for the rest\n  # of the world\n default login x".to_owned(),
            format!("machine a\n\n{OURS}# for the rest\n  # of the world\n default login x"),
        ),
        ("machine a login b default login x".to_owned(), format!("machine a login b \n{OURS}default login x")),
        ("machine h.example login bob password p\n".to_owned(), format!("{OURS}machine h.example login bob password p\n")),
        // A macro that goes on to the end of the file would swallow the entry.
        ("macdef m\nput x\n".to_owned(), format!("macdef m\nput x\n\n{OURS}")),
        ("macdef m\nput x".to_owned(), format!("macdef m\nput x\n\n{OURS}")),
        ("macdef m\nput x\n\n".to_owned(), format!("macdef m\nput x\n\n{OURS}")),
        ("macdef m\n# c\n\ndefault login x".to_owned(), format!("macdef m\n# c\n\n{OURS}default login x")),
        // Below `default` nobody would see it.
        ("default login x\nmachine h.example login token password old\n".to_owned(), format!("{OURS}default login x\n")),
    ] {
        assert_eq!(set(&before, "new"), after, "{before}");
    }
}

#[test]
fn removing_takes_our_entry_and_nothing_else() {
    for (before, after) in [
        (OURS.to_owned(), String::new()),
        (format!("machine a\n{OURS}machine b\n"), "machine a\nmachine b\n".to_owned()),
        (format!("# above\n{OURS}# below\n"), "# above\n# below\n".to_owned()),
        ("machine h.example # ours\n  # kept\n login token\n\n password p\nmachine b".to_owned(), "  # kept\n\nmachine b".to_owned()),
        ("machine a login b machine h.example login token password p\nmachine c".to_owned(), "machine a login b\nmachine c".to_owned()),
        ("machine h.example login token password p machine c".to_owned(), "machine c".to_owned()),
        ("machine a login b machine h.example login token # x\r\n password p default".to_owned(), "machine a login b\r\n default".to_owned()),
        (format!("{OURS}macdef init\nmachine h.example login token\n\n"), "macdef init\nmachine h.example login token\n\n".to_owned()),
        (format!("machine h.example login bob password p\n{OURS}{OURS}"), "machine h.example login bob password p\n".to_owned()),
        ("machine h.example login bob".to_owned(), "machine h.example login bob".to_owned()),
    ] {
        assert_eq!(remove(&before), after, "{before}");
    }
}

#[test]
fn values_are_quoted_only_where_they_must_be() {
    for (value, text) in
        [("dapi0123", "dapi0123"), ("p\"q'r#", "p\"q'r#"), ("a b", "\"a b\""), ("#a", "\"#a\""), ("\"a", "\"\\\"a\""), ("a\\b", "\"a\\\\b\""), ("päß", "päß")]
    {
        assert_eq!(written(value).expect(value).as_str(), text);
        assert_eq!(found(&set("", value), None).expect("there").1, value);
    }
    for value in ["", "s3\ncret", "s3\tcret", "s3\u{1b}", "s3\u{7f}", "s3\u{85}", &"s3".repeat(2001)] {
        let error = Record::new("h.example", "token", &Secret::new(value)).expect_err(value).to_string();
        assert!(!error.contains("s3"), "{error}");
    }
    for keyword in ["machine", "Default", "MACDEF"] {
        Record::new("h.example", keyword, &Secret::new("p")).expect_err(keyword);
    }
}

proptest::proptest! {
    #[test]
    fn nothing_breaks_and_what_was_written_is_read(text in r#"(machine|default|login|password|macdef|account|[a-c"\\#]{1,3}|h\.example|token|[ \t]|\r?\n|\r?\n\n){0,40}"#, secret in "[ -~]{1,12}") {
        let Ok(mut netrc) = Netrc::parse(text.clone().into_bytes()) else { return Ok(()) };
        let others: Vec<_> = ["a", "b", "c", "token"].iter().map(|machine| format!("{:?}", netrc.find(machine, None).map(|pair| pair.map(|(login, secret)| (login, secret.expose().to_owned()))))).collect();
        let password = Secret::new(secret.as_str());
        if netrc.set(&Record::new("h.example", "token", &password).expect("writable")).is_err() {
            return Ok(());
        }
        let read = netrc.find("h.example", Some("token")).expect("no fault").expect("there");
        proptest::prop_assert_eq!(read.1.expose(), secret.as_str());
        let after: Vec<_> = ["a", "b", "c", "token"].iter().map(|machine| format!("{:?}", netrc.find(machine, None).map(|pair| pair.map(|(login, secret)| (login, secret.expose().to_owned()))))).collect();
        // Lines of faults move; what is found does not.
        for (before, after) in others.iter().zip(&after).filter(|(before, _)| before.starts_with("Ok")) {
            proptest::prop_assert_eq!(before, after);
        }
        proptest::prop_assert!(netrc.remove("h.example", "token").expect("removable"));
        proptest::prop_assert!(netrc.find("h.example", Some("token")).expect("no fault").is_none());
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(proptest::prop_oneof![4 => proptest::sample::select(b"machine login password default macdef #\"\\\r\n\t\x0b\0".to_vec()), 1 => proptest::num::u8::ANY], 0..200)) {
        let Ok(mut netrc) = Netrc::parse(bytes.clone()) else { return Ok(()) };
        let _looked_for = (netrc.logins("a").count(), netrc.default_login().is_some(), netrc.find("a", None).is_ok());
        // What is not there cannot be removed, and nothing changes.
        if let Ok(false) = netrc.remove("h.example", "token") {
            proptest::prop_assert_eq!(&netrc.bytes[..], &bytes[..]);
        }
    }
}
