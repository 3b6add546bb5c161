//! The SDKs at work while one token after the other ends: a hundred calls each, and none is refused.
//!
//! What each does with a token of a few seconds: Python, Java and JavaScript take it for ended 40 seconds before it is, so every call asks our program, with
//! `--force-refresh` where the SDK knows that; Go keeps it for about half of its life. We renew when half of the life is over, or when a new one is asked for and the
//! present one is older than two seconds; the other calls get what is in the store.

use serde_json::json;

use super::oauth::Terms;
use super::sdks::{Sdk, Seen};
use super::signed_in::SignedIn;
use crate::harness::set_mode;

const CALLS: usize = 100;
const PAUSE_MS: u32 = 90;
/// Seconds that a token lives. Half of it is what a call may take on a busy machine before its token ends under it.
const LIFE: u32 = 5;

/// Single-use refresh tokens, and access tokens that live so long.
fn living(access_token_seconds: u32) -> Terms {
    Terms { access_token_seconds, ..Terms::default() }
}

/// Nobody was refused anything, there were several refreshes, and the sign-in lives on.
#[track_caller]
fn went_well(sdk: Sdk, signed_in: &SignedIn, seen: &Seen) {
    assert_eq!((seen.ok, seen.unauthorized), (CALLS, 0), "{sdk:?}: {seen:?}");
    assert_eq!(seen.errors, Vec::<String>::new(), "{sdk:?}");
    assert_eq!(seen.users, ["alice@example.com"], "{sdk:?}");
    // The calls, and the one with which the sign-in ended: then everything before them was told, too.
    signed_in.server.wait_for(CALLS + 1, &json!({"event": "api", "status": 200}));
    assert_eq!(signed_in.server.count(&json!({"event": "api", "status": 401})), 0, "{sdk:?}");
    let (granted, refused) = signed_in.refreshes();
    assert!(granted >= 2 && refused == 0, "{sdk:?}: {granted} refreshes, {refused} refused");
    signed_in.is_alive();
}

fn across_expiries(sdk: Sdk) {
    with_our_program(sdk, &SignedIn::in_the_file(&living(LIFE)));
}

fn with_our_program(sdk: Sdk, signed_in: &SignedIn) {
    let seen = sdk.run(&signed_in.home, "p", CALLS, PAUSE_MS);
    went_well(sdk, signed_in, &seen);
}

/// With a program that says it is an old CLI, which knows hosts but no profiles. SDKs then ask for `auth token --host`.
fn as_an_old_cli(sdk: Sdk) {
    let signed_in = SignedIn::in_the_file(&living(LIFE));
    let home = &signed_in.home;
    let program = home.path().join("old/databricks");
    std::fs::create_dir(home.path().join("old")).expect("own folder");
    // SDKs take a file below 1 MiB for the first CLI, which was a script in Python.
    home.write(
        &program,
        format!(
            "#!/bin/sh\necho \"$*\" >>'{0}/asked'\ncase $1 in\nversion) case $* in *json*) echo '{{\"Version\": \"0.205.0\", \"Major\": 0, \"Minor\": 205, \"Patch\": 0}}' ;;\n\
             *) echo 'Databricks CLI v0.205.0' ;; esac ;;\n\
             *) case $* in *--profile*) echo 'Error: unknown flag: --profile' >&2; exit 1 ;; esac; exec '{1}' \"$@\" ;;\nesac\nexit\n{2}\n",
            home.path().display(),
            env!("CARGO_BIN_EXE_databricks"),
            "#".repeat(1 << 20)
        ),
    );
    set_mode(&program, 0o700);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", home.path().join("old").display());
    let seen = Seen::of(&sdk.program(home, "p", CALLS, PAUSE_MS).env("PATH", path).run());
    let asked = std::fs::read_to_string(home.path().join("asked")).expect("it was asked");
    let old_form = format!("auth token --host {}", signed_in.server.url());
    assert!(asked.lines().any(|line| line.starts_with(&old_form)), "{sdk:?}: {:?}", asked.lines().collect::<std::collections::BTreeSet<_>>());
    went_well(sdk, &signed_in, &seen);
}

/// All SDKs at the same time, each with a server and a home of its own: most of it is to wait.
fn each(work: impl Fn(Sdk) + Sync) {
    let failed: Vec<Sdk> = std::thread::scope(|scope| {
        let running = Sdk::ALL.map(|sdk| {
            (
                sdk,
                scope.spawn({
                    let work = &work;
                    move || work(sdk)
                }),
            )
        });
        running.into_iter().filter_map(|(sdk, thread)| thread.join().is_err().then_some(sdk)).collect()
    });
    assert_eq!(failed, [], "what each of them said stands above");
}

#[test]
fn every_sdk_across_expiries() {
    each(across_expiries);
}

#[test]
fn every_sdk_with_an_old_cli() {
    each(as_an_old_cli);
}

#[test]
fn an_sdk_across_expiries_with_the_keyring() {
    with_our_program(Sdk::Go, &SignedIn::in_the_keyring(&living(LIFE)));
}
