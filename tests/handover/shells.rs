//! `eval` gives every value back byte for byte, and runs nothing else.

use super::{nasty, program, samples};
use crate::harness::Home;

/// Variables that take any text, the token first.
const VARIABLES: [&str; 27] = [
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLUSTER_ID",
    "DATABRICKS_WAREHOUSE_ID",
    "DATABRICKS_SERVERLESS_COMPUTE_ID",
    "DATABRICKS_METADATA_SERVICE_URL",
    "DATABRICKS_ACCOUNT_ID",
    "DATABRICKS_WORKSPACE_ID",
    "DATABRICKS_USERNAME",
    "DATABRICKS_PASSWORD",
    "DATABRICKS_GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_CREDENTIALS",
    "DATABRICKS_AZURE_RESOURCE_ID",
    "ARM_CLIENT_SECRET",
    "ARM_CLIENT_ID",
    "ARM_TENANT_ID",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ARM_ENVIRONMENT",
    "DATABRICKS_AZURE_LOGIN_APP_ID",
    "DATABRICKS_CLIENT_ID",
    "DATABRICKS_CLIENT_SECRET",
    "DATABRICKS_CLI_PATH",
    "DATABRICKS_OIDC_TOKEN_FILEPATH",
    "DATABRICKS_OIDC_TOKEN_ENV",
    "DATABRICKS_TOKEN_AUDIENCE",
    "DATABRICKS_DISCOVERY_URL",
    "DATABRICKS_CLOUD",
];

/// Enough for 10,000 values.
const CASES: usize = 371;

#[test]
fn ten_thousand_values_survive_eval_in_every_shell() {
    let home = Home::new();
    let mut values = samples(nasty());
    let cases: Vec<Vec<String>> = (0..CASES).map(|_| values.by_ref().take(VARIABLES.len()).collect()).collect();
    for (number, case) in cases.iter().enumerate() {
        for format in ["sh", "fish"] {
            let mut run =
                home.command(["auth", "env", "--format", format]).env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_AUTH_TYPE", "pat").reveals();
            for (name, value) in VARIABLES.iter().zip(case) {
                run = run.env(name, value);
            }
            let script = run.run().ok().notes("").stdout.clone();
            std::fs::write(home.work().join(format!("{number}.{format}")), script).unwrap();
        }
    }
    let print: String = VARIABLES.iter().map(|name| format!(" \"${name}\"")).collect();
    let posix = format!("n=0; while [ $n -lt {CASES} ]; do eval \"$(cat $n.sh)\" || exit 9; printf '%s\\0'{print}; n=$((n + 1)); done");
    let source = format!("for n in (seq 0 {}); cat $n.fish | source; or exit 9; printf '%s\\0'{print}; end", CASES - 1);
    let eval = format!("for n in (seq 0 {}); eval (cat $n.fish); or exit 9; printf '%s\\0'{print}; end", CASES - 1);
    let scripts: [(&str, &[&str], &str); 5] = [
        ("bash", &["--norc"], &posix),
        ("dash", &[], &posix),
        ("zsh", &["-f"], &posix),
        ("fish", &["--no-config"], &source),
        ("fish", &["--no-config"], &eval),
    ];
    let files = home.files();
    for (shell, flags, script) in scripts {
        let output = program(&home, shell).args(flags).args(["-c", script]).output().unwrap_or_else(|error| panic!("{shell}: {error}: run tests/install"));
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        let mut read = output.stdout.split(|byte| *byte == 0);
        for (name, value) in cases.iter().flat_map(|case| VARIABLES.iter().zip(case)) {
            let read = read.next().unwrap_or_default();
            assert!(read == value.as_bytes(), "{shell}: {name} was {value:?} and became {:?}", String::from_utf8_lossy(read));
        }
        assert_eq!(read.collect::<Vec<_>>(), [b""], "{shell} printed more");
        assert!(!home.work().join("pwned").exists(), "{shell} ran a part of a value");
    }
    // What fish keeps for itself aside, no shell left anything.
    assert_eq!(home.files().into_iter().filter(|name| !name.starts_with('.')).collect::<Vec<_>>(), files);
}

#[test]
fn the_line_of_the_help_works_in_each_shell() {
    let (home, workspace) = Home::signed_in();
    for (shell, line) in [
        ("bash", "eval \"$(databricks auth env --format sh --profile DEFAULT)\"; printf %s \"$DATABRICKS_TOKEN\""),
        ("dash", "eval \"$(databricks auth env --format dash --profile DEFAULT)\"; printf %s \"$DATABRICKS_TOKEN\""),
        ("zsh", "eval \"$(databricks auth env --format zsh --profile DEFAULT)\"; printf %s \"$DATABRICKS_TOKEN\""),
        ("fish", "databricks auth env --format fish --profile DEFAULT | source; printf %s $DATABRICKS_TOKEN"),
    ] {
        let outcome = home.script("exec \"$SHELL_UNDER_TEST\" -c \"$LINE\"").env("SHELL_UNDER_TEST", shell).env("LINE", line).reveals().run();
        assert_eq!(outcome.ok().stdout, workspace.token(), "{shell}");
    }
}
