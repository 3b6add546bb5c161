//! A11 from outside: an edit changes its own lines and no other byte; the same edit again changes nothing.
//! (The property test over generated files stands beside the code.)

use super::bench::Bench;

/// Files as people have them, with the lines that `configure --profile b` for `https://new.example` must leave alone.
const FILES: &[&str] = &[
    "",
    "; a comment, no profile\n",
    "\u{feff}[b]\r\nhost = https://old.example\r\ntoken = dapi-old\r\n; the end",
    "[a]\nhost=https://a.example\n  token   =   dapi-a   ; mine\n\n[b]\n# keep\nhost : https://old.example\ncluster_id = 1-2-3\n\n\n[c]\nkey\n",
    "[b]\ncluster_id = x\n\ttoken = dapi-old\n\n[a]\n# last, without line end",
    "[b]\nhost = https://old.example\n[b]\ntoken = dapi-old\n[b]\nhost = https://older.example\n",
    "  [b]  \nHOST = https://old.example\nToken = dapi-old\nunknown = \u{fc}\n",
    "[__settings__]\ndefault_profile = a\n[a]\nhost = https://a.example\n",
];

/// A line as to what it says about host and token of profile b, and the default that the first profile of a file becomes.
fn is_ours(line: &str) -> bool {
    let key = line.split(['=', ':']).next().unwrap_or_default().trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
    matches!(key.as_str(), "host" | "token" | "default_profile" | "[b]" | "[__settings__]" | "")
}

#[test]
fn a11_an_edit_changes_its_own_lines_only_and_is_done_once() {
    for before in FILES {
        let bench = Bench::new();
        bench.write_config(before);
        let configure = || bench.run_with_stdin(&["configure", "--host", "https://new.example", "--profile", "b"], "dapi-new\n");
        let first = configure();
        if first.code() != 0 {
            // A line that no reader understands is told, with its number, and nothing is written.
            assert!(first.stderr().contains("Nothing was written"), "{before:?}: {first}");
            assert_eq!(bench.read_config().unwrap(), before.as_bytes());
            continue;
        }
        let after = String::from_utf8(bench.read_config().unwrap()).unwrap();
        let foreign = |text: &str| text.split('\n').filter(|line| !is_ours(line)).map(str::to_owned).collect::<Vec<_>>();
        // A last line without its end gets one when something is added below it.
        let same = foreign(before).iter().zip(foreign(&after)).all(|(old, new)| *old == new || format!("{old}\r") == new);
        assert!(same && foreign(before).len() == foreign(&after).len(), "{before:?} became {after:?}");
        assert_eq!(after.contains("\r\n"), before.contains("\r\n"), "{before:?} became {after:?}");
        assert_eq!(after.starts_with('\u{feff}'), before.starts_with('\u{feff}'), "{before:?} became {after:?}");
        let env = bench.run(&["auth", "env", "--profile", "b"]).succeeded().stdout();
        assert!(env.contains("\"https://new.example\"") && env.contains("\"dapi-new\""), "{before:?} became {after:?}: {env}");
        assert!(!after.contains("dapi-old"), "a secret that is no longer used stays: {after:?}");
        configure().succeeded();
        assert_eq!(bench.read_config().unwrap(), after.as_bytes(), "the same edit again");
        let switch = bench.run(&["auth", "switch", "--profile", "b"]).succeeded();
        let switched = String::from_utf8(bench.read_config().unwrap()).unwrap();
        assert_eq!(foreign(&switched).len(), foreign(&after).len(), "{switch}: {after:?} became {switched:?}");
    }
}
