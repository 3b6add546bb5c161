//! A4: disks and outputs that are full.

use std::process::Stdio;

use super::bench::{Bench, DATABRICKS, finish, is_root, read, skip, write_private};
use crate::workspace::Workspace;

const BEFORE: &str = "[DEFAULT]\nhost = https://a.example\ntoken = dapi-old\n";

#[test]
fn a4_on_a_full_disk_the_file_stays_and_the_message_says_why() {
    let bench = Bench::new();
    let (disk, original) = (bench.home().join("disk"), bench.home().join("original"));
    std::fs::create_dir(&disk).unwrap();
    write_private(&original, BEFORE.as_bytes());
    // The file system lives and dies with the namespace, so that nothing stays mounted.
    let script = r#"
        mount -t tmpfs -o size=64k,mode=700 none "$1" || exit 77
        cp -p "$2" "$1/.databrickscfg"
        cat /dev/zero >"$1/fill" 2>/dev/null
        i=0; while mkdir "$1/d$i" 2>/dev/null && test $i -lt 200; do i=$((i + 1)); done
        printf dapi-new | HOME="$1" "$3" configure --host https://a.example --profile b
        echo "code $?"
        cp "$1/.databrickscfg" "$2.after"
        ls -A "$1" | grep tmp
        rm "$1/fill"
        printf dapi-new | HOME="$1" "$3" configure --host https://a.example --profile b
        echo "code $?"
        cp "$1/.databrickscfg" "$2.later"
    "#;
    let mut command = bench.program("unshare");
    command.args(if is_root() { ["--mount"].as_slice() } else { ["--mount", "--map-root-user"].as_slice() });
    command.args(["sh", "-c", script, "sh"]).args([&disk, &original]).arg(DATABRICKS);
    let outcome = finish(&mut command, None);
    if !outcome.status.success() && outcome.stdout.is_empty() {
        return skip(&format!("a tmpfs cannot be mounted in a namespace: {outcome}"));
    }
    assert_eq!(outcome.stdout(), "code 1\ncode 0\n", "{outcome}");
    let said = outcome.stderr();
    assert!(said.contains("No space left on device") && said.contains(&*disk.to_string_lossy()), "{outcome}");
    assert_eq!(read(&bench.home().join("original.after")).unwrap(), BEFORE.as_bytes());
    assert!(String::from_utf8(read(&bench.home().join("original.later")).unwrap()).unwrap().contains("[b]"));
}

#[test]
fn a4_an_output_that_takes_nothing_is_an_error_not_a_success() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    let id = workspace.mint_token("spare", None).id;
    let commands: &[&[&str]] = &[
        &["version"],
        &["help"],
        &["tokens", "--help"],
        &["auth", "env"],
        &["auth", "describe"],
        &["auth", "profiles"],
        &["tokens", "list"],
        &["tokens", "list", "-o", "json"],
        &["tokens", "create"],
        &["clusters", "list"],
        &["clusters", "get", "1234-567890-a12bcde3"],
        &["current-user", "me"],
        &["database", "generate-database-credential", "db-instance-name"],
    ];
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    for arguments in commands {
        let output = bench.command(arguments).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("standard output") && said.contains("No space left on device"), "{arguments:?}: {said}");
    }
    // What prints nothing has nothing to lose; and a stderr that is full changes no outcome.
    for (arguments, code) in [(&["tokens", "delete", &id][..], 0), (&["tokens", "nonsense"], 1), (&["auth", "switch", "--profile", "DEFAULT"], 0)] {
        let status = bench.command(arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a4_a_limit_on_file_sizes_is_an_error_not_a_signal() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    let before = bench.read_config();
    let limited = |script: &str, arguments: &[&str]| {
        let mut command = bench.program("sh");
        command.args(["-c", &format!("ulimit -f 0 && {script}"), DATABRICKS]).args(arguments);
        finish(&mut command, Some(b"dapi-new\n"))
    };
    let configure = ["configure", "--host", "https://a.example", "--profile", "b"];
    limited("exec \"$0\" \"$@\"", &configure).failed_with(&["File too large", ".databrickscfg"]);
    assert_eq!(bench.read_config(), before);
    limited("exec \"$0\" \"$@\" >out", &["tokens", "list"]).failed_with(&["standard output", "File too large"]);
    limited("exec \"$0\" \"$@\" >out", &["version"]).failed_with(&["standard output", "File too large"]);
    // Debug output that cannot be written is no reason to fail.
    limited("exec \"$0\" \"$@\"", &["tokens", "list", "--debug", "--log-file", "log"]).succeeded();
    // The talk of the program may be cut off, the program not.
    assert_eq!(limited("exec \"$0\" \"$@\" 2>err", &["tokens", "nonsense"]).code(), 1);
}
