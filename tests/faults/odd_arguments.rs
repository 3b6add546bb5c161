//! F4: whatever is typed, piped in or taken away, the program answers with 0 or 1, soon, and touches nothing it should not.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Stdio;

use super::bench::{Bench, DATABRICKS, Outcome, finish, for_each};
use crate::workspace::Workspace;

/// How many command lines, unless `F4_RUNS` says another number; a run takes some milliseconds.
const RUNS: u64 = 3_000;

/// How command lines begin. Those that wait for a browser, or serve until they are stopped, have tests of their own.
const BEGINNINGS: &[&str] = &[
    "account service-principal-secrets list",
    "api get",
    "api head",
    "api post /api/2.0/token/create",
    "api delete /api/2.0/nothing",
    "auth describe",
    "auth env",
    "auth env --format",
    "auth explain",
    "auth headers",
    "auth logout",
    "auth netrc",
    "auth netrc show",
    "auth profiles",
    "auth storage status",
    "auth switch",
    "auth token",
    "clusters get",
    "clusters list",
    "completion bash",
    "completion install",
    "completion status",
    "configure --host",
    "current-user me",
    "database generate-database-credential",
    "database list-database-instances",
    "help",
    "postgres list-projects",
    "service-principal-secrets-proxy create",
    "session list",
    "token-management create-obo-token",
    "token-management list",
    "token-management set-permissions",
    "tokens create",
    "tokens delete",
    "tokens list",
    "tokens update",
    "version",
    "__complete",
    "__completeNoDesc",
];

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "configure",
    "auth",
    "env",
    "describe",
    "profiles",
    "switch",
    "tokens",
    "create",
    "list",
    "delete",
    "revoke",
    "update",
    "clusters",
    "get",
    "spark-versions",
    "current-user",
    "me",
    "database",
    "generate-database-credential",
    "help",
    "version",
    "--profile",
    "-p",
    "--host",
    "-o",
    "--output",
    "json",
    "text",
    "--json",
    "--comment",
    "--lifetime-seconds",
    "--lifetime",
    "--autoscope-enabled",
    "--limit",
    "--debug",
    "--log-level",
    "trace",
    "--log-format",
    "--log-file=log",
    "--target",
    "-t",
    "-e",
    "--environment",
    "--progress-format",
    "--offline",
    "--sensitive",
    "--skip-validate",
    "--verify=false",
    "--verify",
    "--lenient",
    "--request-id",
    "--cluster-states",
    "--page-size",
    "--is-pinned",
    "--help",
    "-h",
    "--version",
    "--",
    "-",
    "DEFAULT",
    "b",
    "none",
    "0",
    "-1",
    "1",
    "9223372036854775808",
    "90d",
    "1e309",
    "true",
    "false",
    "{}",
    "[]",
    "{\"comment\":1}",
    "{\"a\":",
    "@",
    "@/dev/null",
    "@nothing",
    "https://h.invalid",
    "http://127.0.0.1:1",
    "--account-id",
    "--workspace-id",
    "--configure-cluster",
    "--token",
    "--paginate",
    "--include",
    "-i",
    "--account",
    "--dry-run",
    "--created-by-username",
    "--expiring-within",
    "--netrc-file=netrc",
    "--min-ttl",
    "--force-refresh",
    "--auto-approve",
    "--shell",
    "bash",
    "write",
    "remove",
    "/api/2.0/token/list",
    "/#",
    "/\\\\h",
    "",
    " ",
    "=",
    "--=",
    "---",
    "-ooo",
    "-hp",
    "--profile=",
    "--json=@",
    "--no-such-flag",
    "--hots",
    "tokns",
    "\u{1b}[2J",
    "\n",
    "\u{202e}",
    "../x",
    "*",
    "$(x)",
    "%s%n",
];

/// A small generator, so that a run can be repeated by its number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % limit
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| u8::try_from(1 + self.below(255)).unwrap()).collect()
    }

    fn word(&mut self) -> OsString {
        match self.below(20) {
            0 => OsString::from_vec(self.bytes(40)),
            1 => OsString::from_vec([b"--".to_vec(), self.bytes(8)].concat()),
            2 => "x".repeat(self.below(20_000)).into(),
            _ => WORDS[self.below(WORDS.len())].into(),
        }
    }
}

#[test]
fn f4_random_command_lines_end_with_0_or_1_and_write_nothing_outside() {
    let workspace = Workspace::start();
    let runs = std::env::var("F4_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let numbers: Vec<u64> = (1..=runs).collect();
    for_each(&numbers.chunks(50).collect::<Vec<_>>(), |numbers| {
        let bench = Bench::with_profile(&workspace, "[b]\nhost = http://127.0.0.1:1\ntoken = t\nretry_timeout_seconds = 0\n");
        for number in *numbers {
            let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            // Most begin as commands do, so that most get beyond the first word.
            let mut arguments: Vec<OsString> = Vec::new();
            if dice.below(4) > 0 {
                arguments.extend(BEGINNINGS[dice.below(BEGINNINGS.len())].split(' ').map(OsString::from));
            }
            let count = dice.below(6);
            arguments.extend((0..count).map(|_| dice.word()));
            // NUL and all: stdin takes what arguments cannot.
            let mut stdin = dice.bytes(200);
            stdin.push(0);
            let outcome = bench.run_with_stdin(&arguments, &stdin);
            check(&outcome, &format!("run {number}: {arguments:?}"));
        }
        let around: Vec<_> = std::fs::read_dir(bench.around()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(around, ["home"], "something was written outside");
        for (path, _) in bench.files() {
            let own = path == bench.config()
                || [".cache/databricks/names", ".databricks", ".netrc", ".bashrc"].iter().any(|name| path.starts_with(bench.home().join(name)));
            assert!(own || path.ends_with("log") || path.ends_with("netrc"), "{}", path.display());
        }
        // The file is still one that we can read.
        bench.run(&["auth", "profiles", "--skip-validate"]).succeeded();
    });
}

fn check(outcome: &Outcome, what: &str) {
    let said = outcome.stderr();
    assert!(matches!(outcome.status.code(), Some(0 | 1)), "{what}: {outcome}");
    assert!(!said.contains("panicked") && !said.contains("internal error"), "{what}: {outcome}");
}

#[test]
fn f4_a_reader_that_went_away_is_no_error_and_nothing_is_said_about_it() {
    let workspace = Workspace::builder().clusters(2_000).start();
    let bench = Bench::with_profile(&workspace, "");
    for arguments in
        [&["clusters", "list"][..], &["clusters", "list", "-o", "json"], &["tokens", "list"], &["version"], &["help"], &["auth", "env"], &["auth", "describe"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = bench.command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{arguments:?}");
        // And stderr may be the one without a reader.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(bench.command(arguments).stdout(Stdio::null()).stderr(writer).status().unwrap().code(), Some(0), "{arguments:?}");
    }
    workspace.clear_requests();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    bench.command(&["clusters", "list"]).stdout(writer).status().unwrap();
    assert_eq!(workspace.requests().len(), 1, "pages are fetched that nobody reads");
}

#[test]
fn f4_closed_streams_do_no_harm() {
    let workspace = Workspace::start();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        for arguments in [
            &["version"][..],
            &["help"],
            &["tokens", "list"],
            &["tokens", "create", "--comment", "c", "--debug"],
            &["auth", "describe"],
            &["auth", "switch", "--profile", "DEFAULT"],
            &["configure", "--host", "https://b.example", "--profile", "b"],
            &["tokens", "create", "--json", "-"],
            &["tokens", "nonsense"],
        ] {
            let bench = Bench::with_profile(&workspace, "");
            let before = String::from_utf8(bench.read_config().unwrap()).unwrap();
            let mut command = bench.program("sh");
            command.args(["-c", &format!("exec \"$0\" \"$@\" {closed}")]).arg(DATABRICKS).args(arguments);
            let outcome = finish(&mut command, Some(b"dapi123\n"));
            check(&outcome, &format!("{arguments:?} {closed}"));
            // A file that was opened in the place of a closed stream would have been written to.
            let after = String::from_utf8(bench.read_config().unwrap()).unwrap();
            let whole = after.starts_with(&before) && !after.contains("Error") && !after.contains("Debug") && !after.contains("Warning");
            assert!(whole, "{arguments:?} {closed}: {after}");
        }
    }
}

#[test]
fn f4_ten_thousand_arguments_and_a_megabyte_of_one() {
    let bench = Bench::new();
    let long = "x".repeat(120_000);
    let many: Vec<&str> = std::iter::once("tokens").chain(std::iter::repeat_n("y", 10_000)).collect();
    for arguments in [many, vec!["tokens", "create", "--comment", &long, "--json", &long], vec![&long], vec!["--profile", &long, "auth", "env"]] {
        let outcome = bench.run(&arguments);
        outcome.code();
        assert!(outcome.stderr.len() < 10_000, "{} bytes about {} arguments", outcome.stderr.len(), arguments.len());
    }
}
