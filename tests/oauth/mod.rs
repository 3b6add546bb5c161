//! Tokens that end: `auth token` in every form, refreshes that race, servers and stores in trouble.
//!
//! The sign-in itself is `stories/sign_in`; here somebody has signed in already, and the store is the file.

mod accounts;
mod forms;
mod interrupted;
mod races;
mod service_principals;
mod troubles;

use crate::harness::Home;
use crate::workspace::{Workspace, rfc3339};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A home whose profile `p` has signed in to a workspace as Ann, with the token store in the file.
pub(crate) struct SignedIn {
    pub(crate) home: Home,
    pub(crate) workspace: Arc<Workspace>,
}

impl SignedIn {
    pub(crate) fn to(workspace: Workspace) -> SignedIn {
        let home = Home::new();
        let workspace = home.joins(workspace);
        home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
        home.write_config(format!("[p]\nhost      = {}\nauth_type = databricks-cli\n", workspace.url()));
        let signed_in = SignedIn { home, workspace };
        signed_in.home.store(signed_in.cache());
        signed_in.sign_in(3_600, 0);
        signed_in
    }

    pub(crate) fn new() -> SignedIn {
        SignedIn::to(Workspace::start())
    }

    /// Puts a new sign-in into the store, whose access token has that life and age in seconds.
    pub(crate) fn sign_in(&self, life: i64, age: i64) -> String {
        let granted = self.workspace.sign_in(self.workspace.basic_user());
        self.write(&json!({"p": entry(&granted.access_token, &granted.refresh_token, life, age)}));
        granted.access_token
    }

    /// The entries of the store.
    pub(crate) fn write(&self, tokens: &Value) {
        std::fs::create_dir_all(self.cache().parent().unwrap()).unwrap();
        self.home.write(&self.cache(), serde_json::to_string_pretty(&json!({"version": 1, "tokens": tokens})).unwrap());
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.home.path().join(".databricks/token-cache.json")
    }

    /// An entry of the store as it is now.
    pub(crate) fn entry(&self, key: &str) -> Value {
        let store: Value = serde_json::from_slice(&std::fs::read(self.cache()).unwrap()).expect("the store is JSON");
        store["tokens"][key].clone()
    }

    /// Makes what is in the store old: the access token has ended, the refresh token is good.
    pub(crate) fn expire(&self) {
        let mut store: Value = serde_json::from_slice(&std::fs::read(self.cache()).unwrap()).expect("the store is JSON");
        for (_, entry) in store["tokens"].as_object_mut().unwrap() {
            entry["expiry"] = json!(instant(-400));
        }
        self.home.write(&self.cache(), serde_json::to_string_pretty(&store).unwrap());
    }

    /// What `auth token -p p -o text` prints.
    pub(crate) fn token(&self) -> String {
        let outcome = self.home.command("auth token -p p -o text").reveals().run();
        outcome.ok().stdout.trim_end().to_owned()
    }
}

/// An entry as every tool writes it.
pub(crate) fn entry(access: &str, refresh: &str, life: i64, age: i64) -> Value {
    json!({"access_token": access, "token_type": "Bearer", "refresh_token": refresh, "expiry": instant(life - age), "expires_in": life})
}

/// RFC 3339 of so many seconds from now.
pub(crate) fn instant(from_now: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let then = i64::try_from(now.as_secs()).unwrap() + from_now;
    let then = rfc3339(then);
    format!("{}.{:09}Z", then.trim_end_matches('Z'), now.subsec_nanos().max(1))
}

/// The longest that a command may take whose host does not answer.
pub(crate) const DEAD_HOST: Duration = Duration::from_secs(8);
