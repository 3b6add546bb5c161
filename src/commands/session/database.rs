//! The database of a session: a password file that always has a password with which one can log in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::renewal::Renewal;
use crate::auth::Credential;
use crate::broker::session;
use crate::clock;
use crate::commands::arguments;
use crate::commands::auth::origin::Origin;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::config::file::ProfileFile;
use crate::config::pgpass::{PassFile, Record};
use crate::config::settings::Settings;
use crate::context::{Agent, Context, Workspace};
use crate::error::Failure;
use crate::lakebase::credential;
use crate::lakebase::settings::Settings as Connection;
use crate::lakebase::target::{self, Target, Wishes};
use crate::storage::StoredToken;

/// How long a request may take while the session waits for it.
const LIMIT: Duration = Duration::from_secs(20);

/// What was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Wish {
    target: String,
    user: Option<String>,
    name: Option<String>,
    port: Option<u16>,
}

/// Fetches a password; called on a thread of its own.
type Mint = dyn Fn() -> Result<StoredToken> + Send + Sync;

/// A database whose password is kept fresh.
pub(super) struct Database {
    target: Target,
    file: PassFile,
    mint: Arc<Mint>,
    pub(super) renewal: Renewal,
}

pub(super) fn flags(command: clap::Command) -> clap::Command {
    command
        .arg(arguments::value("database", "target", "Keep a password of this Lakebase instance, or projects/NAME, fresh for libpq too"))
        .arg(arguments::value("database-user", "role", "Log in to the database as this role; you yourself if not given"))
        .arg(arguments::value("database-name", "name", "The database to log in to; databricks_postgres if not given"))
        .arg(arguments::value("database-port", "number", "The port of the database; 5432 if not given"))
}

impl Wish {
    /// What the flags say.
    ///
    /// # Errors
    /// If a port is none, or there is more to say about a database that is not named.
    pub(super) fn of(context: &Context<'_>, matches: &ArgMatches) -> Result<Option<Self>> {
        let given = |name| arguments::text(matches, name).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let port = match given("database-port") {
            None => None,
            Some(text) => match text.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(context.usage_error(UsageError::new(invalid_argument(&text, "--database-port", "it is no number from 1 to 65535")))),
            },
        };
        let (user, name) = (given("database-user"), given("database-name"));
        match given("database") {
            Some(target) => Ok(Some(Self { target, user, name, port })),
            None if user.is_some() || name.is_some() || port.is_some() => {
                Err(context.usage_error(UsageError::new("which database is meant? Name it: --database TARGET")))
            }
            None => Ok(None),
        }
    }
}

impl Database {
    /// Finds the database, and writes the first password.
    ///
    /// # Errors
    /// If there is none, or it cannot be logged in to now.
    pub(super) fn open(
        context: &Context<'_>,
        wish: &Wish,
        origin: Origin,
        settings: &Settings,
        credential: &Credential,
        path: PathBuf,
    ) -> Result<(Self, session::Database)> {
        let host = credential.host.clone();
        let workspace = Workspace::connect(settings.clone(), credential.clone(), context.caller(), Some(LIMIT))?;
        let wishes = Wishes { user: wish.user.clone(), database: wish.name.clone(), port: wish.port, read_only: false };
        let target = target::resolve(context, &workspace, &wish.target, &wishes)?;
        let (connection, remark) = Connection::new(&context.env, target.clone(), None, None);
        if let Some(remark) = remark {
            context.ui.warn(&remark);
        }
        let first = credential::mint(&workspace, &target.resource)?;
        let (agent, resource) = (Agent::of(context), target.resource.clone());
        let mint = move || {
            let file = ProfileFile::locate(&agent.env);
            let workspace = agent.workspace(origin.settings(&agent.env, &file)?, &file, LIMIT)?;
            if workspace.credential.host != host {
                return Err(Failure::new(format!("the settings name {} now, and no longer {host}", workspace.credential.host)).into());
            }
            credential::mint(&workspace, &resource)
        };
        let now = clock::now();
        let database = Self { target, file: PassFile::at(path), mint: Arc::new(mint), renewal: Renewal::of(&first, now) };
        database.write(&first)?;
        let mut description = session::Database {
            name: database.target.resource.name().to_owned(),
            host: database.target.host.clone(),
            port: database.target.port,
            user: database.target.user.clone(),
            dbname: database.target.database.clone(),
            sslmode: connection.sslmode.name().to_owned(),
            roots: connection.roots,
            ..session::Database::default()
        };
        database.describe(&mut description);
        Ok((database, description))
    }

    /// What fetches the next password, for a thread.
    pub(super) fn mint(&self) -> Arc<Mint> {
        Arc::clone(&self.mint)
    }

    /// A new password came; whether that was in doubt.
    ///
    /// # Errors
    /// If the file cannot be written: then it is as it was.
    pub(super) fn take(&mut self, password: &StoredToken, now: Timestamp) -> Result<bool> {
        self.write(password)?;
        Ok(self.renewal.succeed(password, now))
    }

    /// Notes the times of the password there is.
    pub(super) fn describe(&self, description: &mut session::Database) {
        description.expires = self.renewal.end();
        description.renewal = Some(self.renewal.lifetime.renewal.as_second());
        description.trouble = None;
    }

    /// For all databases of the server: programs name another one with the same password.
    fn write(&self, password: &StoredToken) -> Result<()> {
        let Target { host, port, user, .. } = &self.target;
        self.file.write(&[Record { host, port: *port, database: "*", user, password: &password.access_token }]).map(drop)
    }
}
