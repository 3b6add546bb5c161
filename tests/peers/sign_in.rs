//! The whole walk: our program, the certified authorization server, and Chromium, whose last page is kept as `target/sign-in*.png`.

use super::browser::{Answer, Browser, Page};
use super::oauth::AuthorizationServer;
use super::oracle::root;
use crate::harness::{Home, Outcome};
use serde_json::json;

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
