//! Tokens that end: `auth token` in every form, refreshes that race, servers and stores in trouble.
//!
//! The sign-in itself is `stories/sign_in`; here somebody has signed in already, and the store is the file.

mod accounts;
mod forms;
mod races;
mod service_principals;
mod troubles;

use crate::harness::Home;
use crate::workspace::Workspace;
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
    let then = civil(then);
    format!("{then}.{:09}Z", now.subsec_nanos().max(1))
}

/// A date by the civil calendar (Howard Hinnant's `civil_from_days`), so that the tests do not share the product's library for it.
fn civil(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// The longest that a command may take whose host does not answer.
pub(crate) const DEAD_HOST: Duration = Duration::from_secs(8);
