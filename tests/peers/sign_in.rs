//! The whole walk: our program, the certified authorization server, and Chromium, whose last page is kept as `target/sign-in*.png`.

use super::browser::{Answer, Browser, Page};
use super::oauth::{AuthorizationServer, Terms};
use super::oracle::root;
use super::signed_in::{SERVICE, SignedIn};
use crate::harness::{Home, Outcome};
use serde_json::json;
use std::time::Duration;

/// Signs in with this browser, and keeps its last page.
fn walk(server: &AuthorizationServer, browser: &Browser, home: &Home, picture: &str) -> (Outcome, Page) {
    home.set("BROWSER", browser.program());
    home.store(home.path().join(".databricks/token-cache.json"));
    let outcome = home.run(format!("auth login --host {} --profile real --timeout 30s", server.url()).as_str());
    let page = browser.page();
    std::fs::copy(browser.screenshot(), root().join("target").join(picture)).expect("a picture of the page");
    (outcome, page)
}

#[test]
fn a_person_signs_in_with_chromium() {
    let (server, browser, home) = (AuthorizationServer::start(), Browser::new(), Home::new());
    let (outcome, page) = walk(&server, &browser, &home, "sign-in.png");
    assert_eq!(page.error, None, "{page:#?}\n{outcome}");
    outcome.ok().says("Profile real was successfully saved").says(&format!("Signed in to {} as alice@example.com", server.url()));
    let page = page.ok();
    assert!(page.url.starts_with("http://localhost:80") && page.url.ends_with("/done"), "{}", page.url);
    assert_eq!(page.title, "You are signed in · databricks command line");
    assert!(page.text.contains("You can close this tab") && page.text.contains(server.url()), "{}", page.text);
    assert!(page.aria.contains("main") && page.aria.contains("heading \"You are signed in\" [level=1]"), "{}", page.aria);
    // Our page breaks no rule of its own policy. What the pages of the server ask for is theirs.
    assert!(!page.console.iter().any(|complaint| complaint.page.starts_with("http://localhost:")), "{:?}", page.console);
    // The code was in one address only, and was not passed on by it.
    assert_eq!(page.requests.iter().filter(|request| request.url.contains("code=") && request.url.contains("state=")).count(), 1, "{:?}", page.requests);
    let last = page.requests.last().expect("requests");
    assert!(last.url.ends_with("/done") && !last.referer.as_deref().unwrap_or_default().contains("code="), "{last:?}");
    assert_eq!(server.count(&json!({"event": "grant", "type": "authorization_code", "ok": true})), 1);

    home.run("current-user me -p real").ok().shows("alice@example.com");
    home.command("auth token -p real").reveals().run().ok().shows("access_token");
    // Its access tokens are signed and cannot be revoked, and that is said.
    home.run("auth logout real --auto-approve --revoke").ok().says("The sign-in was ended at ").says("The access token stays good until ");
    assert!(server.count(&json!({"event": "revoke", "ok": true})) > 0);
}

#[test]
fn a_person_says_no_in_chromium() {
    let (server, browser, home) = (AuthorizationServer::start(), Browser::that(Answer::Cancels), Home::new());
    let (outcome, page) = walk(&server, &browser, &home, "sign-in-denied.png");
    outcome.fails().says("Error: authorize: access_denied");
    let page = page.ok();
    assert!(page.url.ends_with("/done"), "{}", page.url);
    assert!(page.aria.contains("heading \"The sign-in did not work\" [level=1]"), "{}", page.aria);
    assert!(!home.config().contains("[real]"));
}

/// What `auth logout --revoke` says and leaves, by the kind of access token.
#[test]
fn signing_out_ends_the_sign_in_at_the_server_and_forgets_it_in_every_store() {
    for opaque_access_tokens in [true, false] {
        for by in [SignedIn::in_the_file, SignedIn::in_the_keyring] {
            let signed_in = by(&Terms { opaque_access_tokens, ..Terms::default() });
            let (home, server, before) = (&signed_in.home, &signed_in.server, signed_in.entry());
            let mut copy = before;
            copy["expiry"] = json!("2020-01-01T00:00:00.5Z");
            // A copy of the sign-in that somebody made is worth nothing afterwards.
            let outcome = home.run("auth logout p --auto-approve --revoke");
            outcome.ok().says("Logged out of profile \"p\".");
            if opaque_access_tokens {
                outcome.lacks("stays good");
            } else {
                outcome.says("The access token stays good until ");
            }
            // The refresh token, and the access token where servers have a way to end one.
            server.wait_for(if opaque_access_tokens { 2 } else { 1 }, &json!({"event": "revoke", "ok": true}));
            match &signed_in.keyring {
                Some(keyring) => assert_eq!(keyring.attributes(SERVICE), Vec::new()),
                None => assert_eq!(keys(&signed_in), [""; 0]),
            }
            home.run("auth token -p p").fails().says("databricks OAuth is not configured for this host");
            let cache = signed_in.cache();
            std::fs::create_dir_all(cache.parent().expect("a folder")).expect("own folder");
            home.write(&cache, json!({"version": 1, "tokens": {"p": copy}}).to_string());
            home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
            home.run("auth token -p p").fails().says("databricks auth login --profile p");
            server.wait_for(1, &json!({"event": "grant", "type": "refresh_token", "ok": false}));
        }
    }
}

#[test]
fn signing_out_without_the_server_says_what_stays_good() {
    let signed_in = SignedIn::in_the_file(&Terms::default());
    let (home, url) = (&signed_in.home, signed_in.server.url().to_owned());
    let SignedIn { server, .. } = &signed_in;
    assert_eq!(server.count(&json!({"event": "revoke"})), 0);
    // Another server at its address, which is down.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let config = home.config().replace(&url, &format!("http://{closed}"));
    home.write_config(config);
    let outcome = home.run("auth logout p --auto-approve --revoke");
    outcome.fails().says("Logged out of profile \"p\".").says("forgotten here, but not revoked").says(&closed.to_string());
    outcome.says("The access token stays good until ").says("the refresh token until the server ends it").within(Duration::from_secs(8));
    assert!(!keys(&signed_in).contains(&"p".to_owned()));
}

/// The keys in the file.
fn keys(signed_in: &SignedIn) -> Vec<String> {
    let store: serde_json::Value = serde_json::from_slice(&std::fs::read(signed_in.cache()).expect("the store")).expect("JSON");
    store["tokens"].as_object().expect("entries").keys().cloned().collect()
}
