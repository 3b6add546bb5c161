//! A home that has signed in at the certified authorization server, with the token in the file or in a real keyring.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::keyring::Keyring;
use super::oauth::{AuthorizationServer, Terms, script};
use crate::harness::{Home, set_mode};

/// Under which the official CLI files its entries in a keyring.
pub(super) const SERVICE: &str = "databricks-cli";

/// A home whose profile `p` has signed in as alice.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) home: Home,
    pub(super) server: AuthorizationServer,
    /// Where the tokens are; `None`: in the file.
    pub(super) keyring: Option<Keyring>,
}

impl SignedIn {
    /// By `auth login`, with the tokens in `token-cache.json`.
    pub(super) fn in_the_file(terms: &Terms) -> Self {
        Self::by_login(terms, None)
    }

    /// By `auth login`, with the tokens in gnome-keyring.
    pub(super) fn in_the_keyring(terms: &Terms) -> Self {
        Self::by_login(terms, Some(Keyring::start()))
    }

    fn by_login(terms: &Terms, keyring: Option<Keyring>) -> Self {
        let signed_in = Self { home: Home::new(), server: AuthorizationServer::with(terms), keyring };
        let home = &signed_in.home;
        let mode = if let Some(keyring) = &signed_in.keyring {
            in_session(home, keyring);
            "secure"
        } else {
            "plaintext"
        };
        home.set("DATABRICKS_AUTH_STORAGE", mode);
        home.store(signed_in.cache());
        signed_in.log_in();
        assert_eq!(signed_in.cache().exists(), signed_in.keyring.is_none(), "the tokens are in the store that was chosen");
        signed_in
    }

    /// Signs in (again), and plants what was granted as secrets.
    pub(super) fn log_in(&self) {
        let person = self.home.path().join("person");
        // Programs that are named by BROWSER find no others here.
        self.home
            .write(&person, format!("#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin exec '{}' \"$1\" >/dev/null 2>&1 </dev/null\n", script("agree").display()));
        set_mode(&person, 0o700);
        let line = format!("auth login --host {} --profile p --timeout 30s", self.server.url());
        self.home.command(line.as_str()).env("BROWSER", &person).run().ok();
        self.plant();
    }

    /// What is granted now is a secret from here on.
    pub(super) fn plant(&self) {
        let token = self.entry();
        for field in ["access_token", "refresh_token"] {
            self.home.secret(token[field].as_str().expect("a token"));
        }
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.home.path().join(".databricks/token-cache.json")
    }

    /// The entry of the profile as it is in the store now.
    #[track_caller]
    pub(super) fn entry(&self) -> Value {
        match &self.keyring {
            Some(keyring) => {
                let text = keyring.lookup(SERVICE, "p").expect("an entry in the keyring");
                serde_json::from_str::<Value>(&text).expect("JSON")["token"].take()
            }
            None => serde_json::from_slice::<Value>(&std::fs::read(self.cache()).expect("a store")).expect("JSON")["tokens"]["p"].take(),
        }
    }

    /// The access token in the store.
    #[track_caller]
    pub(super) fn access_token(&self) -> String {
        self.entry()["access_token"].as_str().expect("an access token").to_owned()
    }

    /// Says of every entry in the store that its access token has ended long ago; the refresh token stays what it was.
    pub(super) fn expire(&self) {
        let long_ago = json!("2020-01-01T00:00:00.5Z");
        match &self.keyring {
            Some(keyring) => {
                for key in ["p", self.server.url()] {
                    let Some(text) = keyring.lookup(SERVICE, key) else { continue };
                    let mut entry: Value = serde_json::from_str(&text).expect("JSON");
                    entry["token"]["expiry"] = long_ago.clone();
                    keyring.store(SERVICE, key, &entry.to_string());
                }
            }
            None => {
                let mut store: Value = serde_json::from_slice(&std::fs::read(self.cache()).expect("a store")).expect("JSON");
                for (_, entry) in store["tokens"].as_object_mut().expect("entries") {
                    entry["expiry"] = long_ago.clone();
                }
                self.home.write(&self.cache(), serde_json::to_string_pretty(&store).expect("JSON"));
            }
        }
    }

    /// Starts that many processes at once, and gives the different tokens that they printed.
    #[track_caller]
    pub(super) fn together(&self, count: usize, flags: &str) -> BTreeSet<String> {
        together(&self.home, count, flags)
    }

    /// How many refreshes the server has granted, and how many it has refused.
    pub(super) fn refreshes(&self) -> (usize, usize) {
        let count = |ok: bool| self.server.count(&json!({"event": "grant", "type": "refresh_token", "ok": ok}));
        (count(true), count(false))
    }

    /// Waits for the server's word on so many refreshes, which comes by another way than its answers; then no more than these were granted, and none was refused.
    #[track_caller]
    pub(super) fn has_refreshed(&self, times: usize) {
        self.server.wait_for(times, &json!({"event": "grant", "type": "refresh_token", "ok": true}));
        assert_eq!(self.refreshes(), (times, 0), "{:?}", self.server.events());
    }

    /// A further refresh works, and what it gives is taken by the workspace.
    #[track_caller]
    pub(super) fn is_alive(&self) {
        let (granted, _) = self.refreshes();
        self.expire();
        self.home.run("current-user me -p p").ok().shows("alice@example.com");
        self.has_refreshed(granted + 1);
        assert_eq!(self.server.count(&json!({"event": "family-revoked"})), 0);
    }
}

/// Lets every run in this home be a program of the keyring's desktop session.
pub(super) fn in_session(home: &Home, keyring: &Keyring) {
    for (name, value) in keyring.environment() {
        home.set(name, value);
    }
}

/// Starts `auth token -p p` that many times at once, all of which have to work; gives the different tokens.
#[track_caller]
pub(super) fn together(home: &Home, count: usize, flags: &str) -> BTreeSet<String> {
    let script = format!(
        "for n in $(seq {count}); do databricks auth token -p p -o text {flags} >out.$n 2>err.$n || touch failed.$n & done; wait; \
         ls failed.* 2>/dev/null && cat err.* >&2; cat out.*; rm -f out.* err.* failed.*"
    );
    let outcome = home.script(&script).reveals().run();
    let lines: Vec<String> = outcome.ok().stdout.lines().map(ToOwned::to_owned).collect();
    assert!(lines.len() == count && !outcome.stdout.contains("failed."), "not all of {count} with {flags:?} worked\n{outcome}");
    lines.into_iter().collect()
}
