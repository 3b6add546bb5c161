//! Servers, networks, clocks and stores in trouble: a clear message, and a sign-in that still exists.

use super::{DEAD_HOST, SignedIn, entry, instant};
use crate::harness::set_mode;
use crate::workspace::{Fault, Response, TokenReply};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// The sign-in can still be renewed.
fn lives(signed_in: &SignedIn) {
    assert!(signed_in.workspace.refresh_token_works(signed_in.entry("p")["refresh_token"].as_str().unwrap()), "the sign-in is lost");
}

#[test]
fn a_server_in_trouble_does_not_end_the_sign_in() {
    #[expect(clippy::type_complexity, reason = "a table")]
    let faults: [(&str, fn(Fault) -> Fault); 7] = [
        ("status 500", |fault| fault.reply(Response::error(500, "INTERNAL_ERROR", "sorry"))),
        ("a page", |fault| fault.reply(Response::new(200).body("text/html", "<html><title>Sign in</title></html>"))),
        ("a page with 502", |fault| fault.reply(Response::new(502).body("text/html", "<html>Bad gateway</html>"))),
        ("nothing", |fault| fault.reply(Response::new(200))),
        ("a list", |fault| fault.reply(Response::new(200).body("application/json", "[1]"))),
        ("a reset", Fault::reset_before),
        ("too much", |fault| fault.reply(Response::new(200).body("application/json", "x".repeat(3 << 20)))),
    ];
    for (name, fault) in faults {
        let signed_in = SignedIn::new();
        signed_in.expire();
        signed_in.workspace.order(fault(Fault::on("POST", "/oidc/v1/token")).forever());
        let outcome = signed_in.home.run("auth token -p p");
        outcome.fails().says("Error: ").lacks("panicked");
        lives(&signed_in);
        signed_in.workspace.clear_faults();
        signed_in.token();
        assert_eq!(signed_in.workspace.grants().reuse_detected, 0, "{name}");
    }
}

#[test]
fn the_old_token_is_handed_out_while_it_lives() {
    let signed_in = SignedIn::new();
    let old = signed_in.sign_in(3_600, 3_500);
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").reply(Response::error(500, "INTERNAL_ERROR", "sorry")).forever());
    for flags in ["", "--force-refresh"] {
        let outcome = signed_in.home.command(format!("auth token -p p -o text {flags}").as_str()).reveals().run();
        outcome.ok().prints(&format!("{old}\n")).says("could not be renewed").says("good for");
    }
    lives(&signed_in);
}

#[test]
fn a_busy_server_is_waited_for_as_it_asks() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").retry_after(429, "1").times(1));
    let started = Instant::now();
    signed_in.token();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!((signed_in.workspace.token_requests().len(), signed_in.workspace.grants().refreshes), (2, 1));
}

#[test]
fn a_refresh_whose_reply_was_lost_is_not_sent_again() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").reset_after());
    signed_in.home.run("auth token -p p").fails();
    let grants = signed_in.workspace.grants();
    assert_eq!((signed_in.workspace.token_requests().len(), grants.reuse_detected), (1, 0), "a second use would have ended every session of the user");
    // The new refresh token is gone with the reply: one clear message, and one request for it.
    signed_in
        .home
        .run("auth token -p p")
        .fails()
        .says("A new access token could not be retrieved because the refresh token is invalid. To reauthenticate, run the following command:")
        .says("$ databricks auth login --profile p");
}

#[test]
fn a_spent_or_ended_sign_in_names_the_way_back() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.workspace.revoke_sign_ins(signed_in.workspace.basic_user());
    signed_in.home.run("auth token -p p").fails().says("the refresh token is invalid").says("  $ databricks auth login --profile p");
    signed_in.home.run("auth profiles").ok().says("run the following command: $ databricks auth login --profile p\n");
    let config = signed_in.home.config();
    signed_in.home.write_config(config.replace("auth_type = databricks-cli\n", ""));
    signed_in
        .home
        .run("auth token -p p")
        .fails()
        .says("databricks-cli did not work: ")
        .says("run the following command: $ databricks auth login --profile p\n");
    signed_in.home.write_config(config);
    signed_in.workspace.order(
        Fault::on("POST", "/oidc/v1/token")
            .reply(Response::new(400).body("application/json", "{\"error\":\"invalid_grant\",\"error_description\":\"Session expired \\u001b[2J\"}")),
    );
    signed_in
        .home
        .run("auth token -p p --force-refresh")
        .fails()
        .says("forced token refresh: Session expired")
        .says("(error code: invalid_grant)")
        .says("databricks auth login --profile p")
        .lacks("\u{1b}");
    signed_in.write(&json!({"p": entry("ended", "", 3_600, 4_000)}));
    signed_in.home.run("auth token -p p").fails().says("token refresh: cached token has no refresh token").says("databricks auth login --profile p");
}

#[test]
fn a_life_that_makes_no_sense_is_replaced_by_one_that_does() {
    for (name, change) in [
        ("missing", TokenReply::on("refresh_token").omit("expires_in")),
        ("null", TokenReply::on("refresh_token").set("expires_in", Value::Null)),
        ("zero", TokenReply::on("refresh_token").set("expires_in", json!(0))),
        ("negative", TokenReply::on("refresh_token").set("expires_in", json!(-10))),
        ("huge", TokenReply::on("refresh_token").set("expires_in", json!(1e18))),
        ("text", TokenReply::on("refresh_token").set("expires_in", json!("3600"))),
        ("nonsense", TokenReply::on("refresh_token").set("expires_in", json!("soon"))),
        ("no type", TokenReply::on("refresh_token").omit("token_type")),
    ] {
        let signed_in = SignedIn::new();
        signed_in.expire();
        signed_in.workspace.order_token_reply(change);
        let first = signed_in.token();
        assert_eq!(signed_in.token(), first, "{name}: not fetched anew each time");
        assert_eq!(signed_in.workspace.grants().refreshes, 1, "{name}");
        lives(&signed_in);
    }
}

#[test]
fn a_reply_without_a_refresh_token_keeps_the_old_one() {
    let signed_in = SignedIn::to(crate::workspace::Workspace::builder().refresh_mode(crate::workspace::RefreshMode::Reusable).start());
    signed_in.expire();
    let old = signed_in.entry("p")["refresh_token"].clone();
    signed_in.workspace.order_token_reply(TokenReply::on("refresh_token").omit("refresh_token"));
    signed_in.token();
    assert_eq!(signed_in.entry("p")["refresh_token"], old);
}

#[test]
fn a_dead_host_is_an_error_at_once_and_the_sign_in_survives() {
    let signed_in = SignedIn::new();
    let before = signed_in.entry("p")["refresh_token"].clone();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for host in [format!("http://{closed}"), "https://no-such-host.invalid".to_owned()] {
        signed_in.home.write_config(format!("[p]\nhost = {host}\nauth_type = databricks-cli\n"));
        signed_in.expire();
        signed_in.home.run("auth token -p p").fails().says(&host).within(DEAD_HOST);
        signed_in.home.run("auth token -p p --force-refresh").fails().within(DEAD_HOST);
    }
    // Good tokens need nobody.
    signed_in.write(&json!({"p": entry("still-good", before.as_str().unwrap(), 3_600, 0)}));
    signed_in.home.command("auth token -p p -o text").reveals().run().ok().prints("still-good\n");
    assert_eq!(signed_in.entry("p")["refresh_token"], before);
}

#[test]
fn a_host_that_swallows_everything_is_given_up_within_seconds() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    // It takes connections and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    signed_in.home.write_config(format!("[p]\nhost = http://{}\nauth_type = databricks-cli\n", listener.local_addr().unwrap()));
    signed_in.home.run("auth token -p p").fails().within(DEAD_HOST);
    lives(&signed_in);
}

#[test]
fn endpoints_elsewhere_get_no_secret() {
    let thief = crate::workspace::Workspace::start();
    for field in ["token_endpoint", "authorization_endpoint", "issuer"] {
        let signed_in = SignedIn::new();
        signed_in.expire();
        signed_in.workspace.set_document_field(crate::workspace::Document::AuthorizationServer, field, Some(json!(format!("{}/oidc/v1/token", thief.url()))));
        signed_in.home.run("auth token -p p").fails().says(thief.url()).says("another host");
        lives(&signed_in);
    }
    assert_eq!(thief.connections(), 0);
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").redirect(307, &format!("{}/oidc/v1/token", thief.url())).forever());
    signed_in.home.run("auth token -p p").fails().says("redirect");
    assert_eq!(thief.connections(), 0);
}

#[test]
fn a_clock_that_is_off_by_hours_does_no_harm() {
    if !std::path::Path::new("/usr/bin/faketime").exists() {
        return println!("skipped: no faketime");
    }
    for offset in ["-2h", "+2h"] {
        let signed_in = SignedIn::new();
        let first = signed_in.token();
        let outcome = signed_in.home.script(&format!("faketime -f '{offset}' databricks auth token -p p -o text")).reveals().run();
        assert!(signed_in.workspace.access_token_works(outcome.ok().stdout.trim_end()), "{offset}: {first}");
        // And back: what was stored ahead of time is not believed.
        assert!(signed_in.workspace.access_token_works(&signed_in.token()));
        lives(&signed_in);
    }
}

#[test]
fn a_store_that_cannot_be_read_is_left_as_it_is() {
    let signed_in = SignedIn::new();
    for (content, words) in [
        ("{\"version\":2,\"tokens\":{}}".to_owned(), "needs version 1, got version 2"),
        ("{\"version\":1,\"tokens\":{".to_owned(), "token-cache.json"),
        ("garbage".to_owned(), "token-cache.json"),
        ("x".repeat(11 << 20), "token-cache.json"),
    ] {
        signed_in.home.write(&signed_in.cache(), &content);
        signed_in.home.run("auth token -p p").fails().says(words).within(Duration::from_secs(5));
        assert_eq!(std::fs::read_to_string(signed_in.cache()).unwrap(), content, "{words}");
    }
    for entries in ["{\"version\":1,\"tokens\":{\"p\":null}}", "{\"version\":1,\"tokens\":{\"p\":{}}}", "{\"version\":1}", "{\"version\":1,\"tokens\":null}"] {
        signed_in.home.write(&signed_in.cache(), entries);
        signed_in.home.run("auth token -p p").fails().says("databricks OAuth is not configured for this host");
    }
    // A token whose end nobody knows is good; one with Go's zero time too.
    signed_in.write(&json!({"p": {"access_token": "for-ever", "token_type": "Bearer"}}));
    signed_in.home.command("auth token -p p -o text").reveals().run().ok().prints("for-ever\n");
}

#[test]
fn nothing_is_spent_that_could_not_be_kept() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    if !is_root() {
        let folder = signed_in.cache().parent().unwrap().to_owned();
        set_mode(&folder, 0o500);
        signed_in.home.run("auth token -p p").fails().says("token-cache.json");
        set_mode(&folder, 0o700);
    }
    // Root may write anywhere but into a file system that is read-only.
    let outcome = signed_in.home.script("mkdir -p mnt && unshare -m sh -c 'mount --bind \"$HOME/.databricks\" \"$HOME/.databricks\" && mount -o remount,bind,ro \"$HOME/.databricks\" && databricks auth token -p p'").run();
    if outcome.stderr.contains("unshare") || outcome.stderr.contains("mount:") {
        return println!("skipped: no mount namespaces here");
    }
    outcome.fails().says("token-cache.json");
    assert_eq!(signed_in.workspace.grants().refreshes, 0, "the refresh token is not spent");
    lives(&signed_in);
    let (access, refresh) = (signed_in.entry("p")["access_token"].clone(), signed_in.entry("p")["refresh_token"].clone());
    signed_in.write(&json!({"p": {"access_token": access, "token_type": "Bearer", "refresh_token": refresh, "expiry": instant(100), "expires_in": 3600}}));
    signed_in.home.command("auth token -p p").without("HOME").run().fails();
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}
