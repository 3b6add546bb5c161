//! Many processes at the end of one token, before a server that does not forgive a second use: one refresh each round, all are served, and the sign-in lives on.

use std::collections::BTreeSet;

use serde_json::json;

use super::oauth::Terms;
use super::signed_in::SignedIn;

/// Slow enough for all to start while the first refreshes, also on a machine that is busy: who asks for a new token two seconds after it gets another one.
const SLOW: Terms = Terms { access_token_seconds: 3600, reusable_refresh_tokens: false, opaque_access_tokens: false, token_delay_ms: 3000 };

/// Rounds of many at once, each after the end of the token.
fn rounds(signed_in: &SignedIn, rounds: &[(usize, &str)]) {
    for (count, flags) in rounds {
        let (granted, _) = signed_in.refreshes();
        signed_in.expire();
        let printed = signed_in.together(*count, flags);
        signed_in.has_refreshed(granted + 1);
        assert_eq!(printed, BTreeSet::from([signed_in.access_token()]), "{count} with {flags:?}");
        signed_in.plant();
    }
    signed_in.is_alive();
}

const ALL: &[(usize, &str)] = &[(8, ""), (64, ""), (8, "--force-refresh"), (64, "--force-refresh")];
const FEW: &[(usize, &str)] = &[(8, ""), (16, "--force-refresh")];

#[test]
fn from_the_file_with_single_use_refresh_tokens() {
    rounds(&SignedIn::in_the_file(&SLOW), ALL);
}

#[test]
fn from_the_file_with_the_other_kinds() {
    rounds(&SignedIn::in_the_file(&Terms { opaque_access_tokens: true, ..SLOW }), FEW);
    rounds(&SignedIn::in_the_file(&Terms { reusable_refresh_tokens: true, ..SLOW }), FEW);
}

#[test]
fn from_the_keyring_with_single_use_refresh_tokens() {
    rounds(&SignedIn::in_the_keyring(&SLOW), ALL);
}

#[test]
fn from_the_keyring_with_the_other_kinds() {
    rounds(&SignedIn::in_the_keyring(&Terms { opaque_access_tokens: true, ..SLOW }), FEW);
    rounds(&SignedIn::in_the_keyring(&Terms { reusable_refresh_tokens: true, ..SLOW }), FEW);
}

/// The one who refreshes is killed while the server works on it.
fn the_holder_is_killed(signed_in: &SignedIn, flags: &str) -> usize {
    signed_in.expire();
    let (granted, _) = signed_in.refreshes();
    let asked = signed_in.server.count(&json!({"event": "asked"}));
    let mut holder = signed_in.home.command(format!("auth token -p p {flags}").as_str()).spawn();
    signed_in.server.wait_for(asked + 1, &json!({"event": "asked"}));
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    granted
}

#[test]
fn a_killed_holder_is_followed_by_another() {
    for signed_in in [SignedIn::in_the_file, SignedIn::in_the_keyring].map(|by| by(&Terms { reusable_refresh_tokens: true, ..SLOW })) {
        for flags in ["", "--force-refresh"] {
            let granted = the_holder_is_killed(&signed_in, flags);
            let printed = signed_in.together(8, flags);
            assert_eq!(printed, BTreeSet::from([signed_in.access_token()]));
            // The server finished what the dead one had asked for; of the others one asked again.
            signed_in.has_refreshed(granted + 2);
            signed_in.plant();
        }
        signed_in.is_alive();
    }
}

#[test]
fn what_dies_with_a_single_use_refresh_token_is_told_in_one_message() {
    let signed_in = SignedIn::in_the_file(&SLOW);
    the_holder_is_killed(&signed_in, "");
    // Spent, and its successor went to a dead process: nothing on this machine can know it. The way back is said, and it works.
    signed_in.has_refreshed(1);
    signed_in.home.run("auth token -p p").fails().says("invalid_grant").says("databricks auth login --profile p");
    signed_in.log_in();
    signed_in.home.run("current-user me -p p").ok().shows("alice@example.com");
}
