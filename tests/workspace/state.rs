//! What one workspace knows. Each API keeps its own data in its own file; this holds them together.

use super::clock::Clock;
use super::clusters::Clusters;
use super::database::Database;
use super::entra::Entra;
use super::faults::Faults;
use super::federation::Federation;
use super::files::Files;
use super::google::Google;
use super::oauth::OAuth;
use super::permissions::Permissions;
use super::postgres::Postgres;
use super::record::{Log, Plane};
use super::service_principals::Secrets;
use super::tokens::Tokens;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::{Duration, Instant};

/// A human who may sign in, or a service principal.
#[derive(Debug, Clone)]
pub(super) struct User {
    /// Numeric, as text: the SCIM id.
    pub id: String,
    pub name: String,
    pub display_name: String,
    /// For basic authentication; most have none.
    pub password: Option<String>,
    pub admin: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub clock: Clock,
    pub workspace_id: u64,
    pub account_id: String,
    pub http_url: String,
    pub https_url: String,
    pub users: RwLock<Vec<Arc<User>>>,
    /// Service principals: nobody signs in as one but with a token made on its behalf or for its secret. The name is the application id.
    pub principals: Vec<Arc<User>>,
    pub tokens: Mutex<Tokens>,
    pub clusters: Clusters,
    pub database: Mutex<Database>,
    pub postgres: Mutex<Postgres>,
    pub secrets: Mutex<Secrets>,
    pub permissions: Mutex<Permissions>,
    pub files: Mutex<Files>,
    pub oauth: OAuth,
    pub federation: Federation,
    pub google: Google,
    pub entra: Entra,
    pub log: Log,
    pub faults: Faults,
    pub stop: Stop,
    /// TCP connections accepted so far, whether or not a request followed.
    pub connections: AtomicU64,
}

impl State {
    /// The address a request of that plane was sent to.
    pub(super) fn url(&self, plane: Plane) -> &str {
        match plane {
            Plane::Http => &self.http_url,
            Plane::Https => &self.https_url,
        }
    }

    pub(super) fn user(&self, wanted: impl Fn(&User) -> bool) -> Option<Arc<User>> {
        let users = self.users.read().unwrap();
        users.iter().chain(&self.principals).find(|user| wanted(user)).cloned()
    }
}

/// Tells every waiting thread that the workspace ends.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn stop(&self) {
        *self.stopped.lock().unwrap() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    /// Sleeps, but wakes at once when the workspace ends; true if it did.
    pub(super) fn sleep(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut stopped = self.stopped.lock().unwrap();
        while !*stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stopped = self.changed.wait_timeout(stopped, left).unwrap().0;
        }
        true
    }
}
