//! Many processes at the end of one token: one refresh, all served, and the sign-in lives on.

use super::{DEAD_HOST, SignedIn};
use crate::workspace::{Fault, RefreshMode, Workspace};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

/// Starts that many processes at once and gives what each printed.
fn together(signed_in: &SignedIn, count: usize, flags: &str) -> BTreeSet<String> {
    let script = format!(
        "for n in $(seq {count}); do databricks auth token -p p -o text {flags} >out.$n 2>err.$n || touch failed.$n & done; wait; \
         ls failed.* 2>/dev/null && cat err.* >&2; cat out.* && rm -f out.* err.*"
    );
    let outcome = signed_in.home.script(&script).reveals().run();
    let lines: Vec<String> = outcome.ok().stdout.lines().map(ToOwned::to_owned).collect();
    assert_eq!(lines.len(), count, "{}{}", outcome.stdout, outcome.stderr);
    lines.into_iter().collect()
}

#[test]
fn one_refresh_serves_all_who_ask_at_the_same_time() {
    for mode in [RefreshMode::Rotating, RefreshMode::Reusable] {
        let signed_in = SignedIn::to(Workspace::builder().refresh_mode(mode).start());
        let mut refreshes = 0;
        for (count, flags) in [(8, ""), (64, ""), (8, "--force-refresh"), (64, "--force-refresh")] {
            signed_in.expire();
            let printed = together(&signed_in, count, flags);
            refreshes += 1;
            let grants = signed_in.workspace.grants();
            assert_eq!((grants.refreshes, grants.reuse_detected, grants.refused), (refreshes, 0, 0), "{count} with {flags:?}, {mode:?}");
            let kept = signed_in.entry("p");
            assert_eq!(printed, BTreeSet::from([kept["access_token"].as_str().unwrap().to_owned()]));
            assert!(signed_in.workspace.access_token_works(kept["access_token"].as_str().unwrap()));
            assert!(signed_in.workspace.refresh_token_works(kept["refresh_token"].as_str().unwrap()), "the sign-in lives on");
        }
    }
}

#[test]
fn a_refresh_that_is_slow_is_waited_for() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").delay(Duration::from_secs(1)));
    assert_eq!(together(&signed_in, 16, "--force-refresh").len(), 1);
    assert_eq!(signed_in.workspace.grants().refreshes, 1);
}

#[test]
fn a_holder_of_the_lock_that_is_killed_is_followed_by_another() {
    for flags in ["", "--force-refresh"] {
        let signed_in = SignedIn::new();
        signed_in.expire();
        // It hangs in the middle of its refresh, and the server never acts on it.
        signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").silence());
        let mut holder = signed_in.home.command(format!("auth token -p p {flags}").as_str()).spawn();
        while signed_in.workspace.token_requests().is_empty() {
            std::thread::yield_now();
        }
        let murder = std::thread::spawn(move || {
            holder.kill().expect("killed");
            holder.wait().expect("gone")
        });
        let others = together(&signed_in, 8, flags);
        murder.join().expect("killed");
        assert_eq!(others.len(), 1);
        let grants = signed_in.workspace.grants();
        assert_eq!((grants.refreshes, grants.reuse_detected), (1, 0));
        assert!(signed_in.workspace.refresh_token_works(signed_in.entry("p")["refresh_token"].as_str().unwrap()));
    }
}

/// Starts that many processes, none of which can get a token; gives what each said.
fn in_vain(signed_in: &SignedIn, count: usize) -> Vec<String> {
    let script =
        format!("for n in $(seq {count}); do databricks auth token -p p >out.$n 2>err.$n && touch got.$n & done; wait; ls got.* 2>/dev/null; rm -f out.*");
    // As long as one may take, and a moment for eight on a busy machine.
    signed_in.home.script(&script).run().ok().prints("").within(DEAD_HOST + Duration::from_secs(4));
    let said = |n| std::fs::read_to_string(signed_in.home.work().join(format!("err.{n}"))).unwrap();
    (1..=count).map(said).collect()
}

#[test]
fn d7_who_waits_behind_a_refresh_that_fails_does_not_ask_once_more() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.workspace.revoke_sign_ins(signed_in.workspace.basic_user());
    // Long enough for all to wait behind the first.
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").delay(Duration::from_secs(2)).forever());
    for said in in_vain(&signed_in, 8) {
        assert!(said.contains("the refresh token is invalid") && said.contains("$ databricks auth login --profile p"), "{said}");
    }
    assert_eq!(signed_in.workspace.token_requests().len(), 1, "a storm of refresh tokens that are worth nothing");
    // It holds for those who waited, and for nobody else.
    signed_in.workspace.clear_faults();
    signed_in.home.run("auth token -p p").fails().says("the refresh token is invalid");
    assert_eq!(signed_in.workspace.token_requests().len(), 2);
    signed_in.sign_in(3_600, 0);
    signed_in.token();
}

#[test]
fn a_host_that_swallows_everything_holds_up_nobody_longer_than_one() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    signed_in.home.write_config(format!("[p]\nhost = {host}\nauth_type = databricks-cli\n"));
    for said in in_vain(&signed_in, 8) {
        assert!(said.contains(&host), "{said}");
    }
    assert!(signed_in.workspace.refresh_token_works(signed_in.entry("p")["refresh_token"].as_str().unwrap()));
}

#[test]
fn the_entry_of_the_host_keeps_step_with_that_of_the_profile() {
    let signed_in = SignedIn::new();
    let host = signed_in.workspace.url().to_owned();
    let granted = signed_in.workspace.sign_in(signed_in.workspace.basic_user());
    let twin = super::entry(&granted.access_token, &granted.refresh_token, 3_600, 4_000);
    let mut with_more = twin.clone();
    with_more["someones_own"] = serde_json::json!({"kept": [1, 2.50]});
    signed_in.write(
        &serde_json::json!({"p": with_more, host.clone(): twin, "other": {"access_token": "x", "token_type": "Bearer", "expiry": "2020-01-01T00:00:00Z"}}),
    );
    let before = std::fs::read_to_string(signed_in.cache()).unwrap();
    // By the profile and by the host at the same time: they hold the same refresh token.
    let script = format!(
        "databricks auth token -p p -o text >a & (unset DATABRICKS_CONFIG_FILE; DATABRICKS_CONFIG_FILE=/nonexistent databricks auth token --host {host} -o text) >b & wait; cat a b; rm a b"
    );
    let outcome = signed_in.home.script(&script).reveals().run();
    let lines: BTreeSet<&str> = outcome.ok().stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{}{}", outcome.stdout, outcome.stderr);
    let grants = signed_in.workspace.grants();
    assert_eq!((grants.refreshes, grants.reuse_detected), (1, 0));
    let (own, mirror) = (signed_in.entry("p"), signed_in.entry(&host));
    assert_eq!((&own["access_token"], &own["refresh_token"]), (&mirror["access_token"], &mirror["refresh_token"]));
    assert_eq!(own["someones_own"], serde_json::json!({"kept": [1, 2.50]}));
    let after = std::fs::read_to_string(signed_in.cache()).unwrap();
    let foreign = |text: &str| text.split("\"other\": {").nth(1).map(|rest| rest.split('}').next().unwrap_or_default().to_owned());
    assert_eq!(foreign(&before), foreign(&after), "the entries of others are not touched");
}
