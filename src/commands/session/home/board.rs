//! What is under way: what the page shows, written by the threads that do the work.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use crate::auth::Want;
use crate::auth::oauth::guide::Guide;
use crate::clock;
use crate::commands::auth::login;
use crate::commands::auth::origin::Origin;
use crate::commands::session::keeper::Plan;
use crate::commands::session::{end, start};
use crate::config::file::ProfileFile;
use crate::context::{Agent, Context, Globals};
use crate::env::Env;
use crate::error::Failure;
use crate::host::Host;
use crate::http::Trace;
use crate::text;
use crate::ui::Ui;
use crate::ui::prompt::Cancelled;

/// What a person chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Profile(String),
    /// The host of a workspace that is configured for everybody on this machine.
    Configured(String),
    /// As it was typed, and the profile that is to remember it.
    Host {
        address: String,
        name: String,
    },
    None,
}

impl Choice {
    /// From the fields of the form.
    pub(super) fn of(workspace: &str, host: &str, name: &str) -> Option<Self> {
        match workspace.split_once(':') {
            Some(("profile", name)) if !name.is_empty() => Some(Self::Profile(name.to_owned())),
            Some(("configured", host)) if !host.is_empty() => Some(Self::Configured(host.to_owned())),
            None if workspace == "host" => Some(Self::Host { address: host.to_owned(), name: name.to_owned() }),
            None if workspace == "none" => Some(Self::None),
            _ => None,
        }
    }

    /// The field of the form that stands for it.
    pub(super) fn value(&self) -> String {
        match self {
            Self::Profile(name) => format!("profile:{name}"),
            Self::Configured(host) => format!("configured:{host}"),
            Self::Host { .. } => "host".to_owned(),
            Self::None => "none".to_owned(),
        }
    }

    /// As people call it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Profile(name) | Self::Configured(name) | Self::Host { address: name, .. } => name,
            Self::None => "none",
        }
    }

    /// The profile that a sign-in is to write: that of the host, or a new one.
    fn profile<'c>(&'c self, origin: &'c Origin) -> Option<&'c str> {
        let named = if let Self::Host { name, .. } = self { Some(name.as_str()).filter(|name| !name.is_empty()) } else { None };
        origin.profile.as_deref().or(named)
    }

    fn origin(&self, env: &Env) -> Result<Origin> {
        match self {
            Self::Profile(name) => Ok(Origin { profile: Some(name.clone()), host: None }),
            Self::Host { address, .. } if address.is_empty() => {
                Err(Failure::new("the host is missing").hint("Such as https://my-workspace.cloud.databricks.com").into())
            }
            Self::Configured(address) | Self::Host { address, .. } => start::of_host(env, address),
            Self::None => Ok(Origin::default()),
        }
    }
}

/// How far it is.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Nothing was chosen yet.
    Choosing,
    /// Credentials are looked for, or the session is being started.
    Working {
        choice: Choice,
    },
    /// A person is waited for, at the page of the authorization server.
    Leading {
        choice: Choice,
        link: String,
        until: Timestamp,
    },
    Failed {
        choice: Choice,
        why: String,
        hints: Vec<String>,
    },
    Started {
        id: String,
    },
    /// None was chosen.
    Without,
}

#[derive(Debug)]
struct Inner {
    stage: Stage,
    /// What else is to be said, until the next thing happens.
    note: Option<String>,
    /// Sessions that are being ended.
    ending: usize,
    guide: Option<Arc<Guide>>,
    keepers: Vec<Child>,
}

/// Shared between the server and the threads that work for it.
#[derive(Debug)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    wake: UnixStream,
}

/// All that it takes to sign in and to start sessions.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) env: Env,
    pub(super) trace: Trace,
    /// What every session is to be.
    pub(super) plan: Plan,
    /// The longest life of a session, in seconds.
    pub(super) life: Option<i64>,
    /// How long a person may take.
    pub(super) timeout: Duration,
    /// Where the browser comes back to.
    pub(super) back: String,
}

impl Board {
    /// `wake` is written to whenever something changes.
    pub(super) fn new(wake: UnixStream) -> Self {
        let inner = Inner { stage: Stage::Choosing, note: None, ending: 0, guide: None, keepers: Vec::new() };
        Self { inner: Mutex::new(inner), wake }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage(&self) -> Stage {
        self.inner().stage.clone()
    }

    pub(super) fn note(&self) -> Option<String> {
        self.inner().note.clone()
    }

    /// Whether nothing goes on that ends by itself soon; the wait for a person does once they `came`.
    pub(super) fn is_settled(&self, came: bool) -> bool {
        let inner = self.inner();
        let goes_on = match inner.stage {
            Stage::Working { .. } => true,
            Stage::Leading { .. } => came,
            _ => false,
        };
        inner.ending == 0 && !goes_on
    }

    /// Whether a sign-in or a start is under way.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.inner().stage, Stage::Working { .. } | Stage::Leading { .. })
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner());
        // A full pipe wakes it anyway.
        let _awake = (&self.wake).write(&[1]);
    }

    /// Takes the person's wish to stop waiting.
    pub(super) fn give_up(&self) {
        let mut inner = self.inner();
        if let Some(guide) = inner.guide.take() {
            guide.give_up();
            if let Stage::Leading { choice, .. } = &inner.stage {
                inner.stage = Stage::Working { choice: choice.clone() };
            }
        }
    }

    /// Gathers the keepers of sessions that have ended.
    pub(super) fn gather(&self) {
        self.inner().keepers.retain_mut(|keeper| matches!(keeper.try_wait(), Ok(None)));
    }

    /// Signs in to what was chosen, if need be, and starts a session; one at a time.
    pub(super) fn start(self: &Arc<Self>, means: &Arc<Means>, choice: Choice) {
        if self.is_busy() {
            return;
        }
        if choice == Choice::None {
            self.change(|inner| (inner.stage, inner.note) = (Stage::Without, None));
            return;
        }
        self.change(|inner| (inner.stage, inner.note) = (Stage::Working { choice: choice.clone() }, None));
        let (board, means, chosen) = (Arc::clone(self), Arc::clone(means), choice.clone());
        let work = move || {
            let stage = match board.work(&means, &chosen) {
                Ok(id) => Stage::Started { id },
                Err(error) if error.is::<Cancelled>() => Stage::Choosing,
                Err(error) => failed(chosen, &error),
            };
            board.change(|inner| (inner.stage, inner.guide) = (stage, None));
        };
        if let Err(error) = std::thread::Builder::new().name("sign-in".to_owned()).spawn(work) {
            self.change(|inner| inner.stage = failed(choice, &error.into()));
        }
    }

    fn work(self: &Arc<Self>, means: &Means, choice: &Choice) -> Result<String> {
        let ui = Ui::unattended(&means.env);
        let context = Context {
            env: means.env.clone(),
            ui: &ui,
            globals: Globals { trace: means.trace.clone(), ..Globals::default() },
            file: ProfileFile::locate(&means.env),
            command: "session home".to_owned(),
        };
        let mut origin = choice.origin(&context.env)?;
        let agent = Agent::of(&context);
        if let Err(error) = origin.credential(&agent, Want::USUAL) {
            if !start::needs_sign_in(&error, &origin) {
                return Err(error);
            }
            self.sign_in(&context, means, choice, &origin)?;
            if let Some(profile) = choice.profile(&origin) {
                origin = Origin { profile: Some(profile.to_owned()), host: None };
            }
        }
        let until = means.life.map(|life| clock::now().as_second().saturating_add(life));
        let host = origin.host.as_ref().map(Host::to_string);
        let plan = Plan { profile: origin.profile, host, until, ..means.plan.clone() };
        let (ready, keeper) = start::launch(&plan, false)?;
        self.inner().keepers.push(keeper);
        context.ui.note(&format!("Session {} is signed in to {}. To end it: databricks session end {}", ready.id, ready.host, ready.id));
        Ok(ready.id)
    }

    fn sign_in(self: &Arc<Self>, context: &Context<'_>, means: &Means, choice: &Choice, origin: &Origin) -> Result<()> {
        let (board, chosen, timeout) = (Arc::clone(self), choice.clone(), means.timeout);
        let lead = move |link: &str| {
            let until = clock::now().saturating_add(timeout).unwrap_or(Timestamp::MAX);
            board.change(|inner| inner.stage = Stage::Leading { choice: chosen.clone(), link: link.to_owned(), until });
        };
        let guide = Arc::new(Guide::new(means.back.clone(), lead)?);
        self.inner().guide = Some(Arc::clone(&guide));
        let outcome = login::guided(context, choice.profile(origin), origin.host.as_ref(), timeout, guide);
        // The person has come, or nobody will.
        self.change(|inner| inner.stage = Stage::Working { choice: choice.clone() });
        outcome
    }

    /// Ends a session.
    pub(super) fn end(self: &Arc<Self>, env: &Env, id: String) {
        self.change(|inner| (inner.ending, inner.note) = (inner.ending + 1, None));
        let (board, env) = (Arc::clone(self), env.clone());
        let work = move || {
            let shown = text::one_line(&text::shortened(&id, 40)).into_owned();
            let note = match end::by_id(&env, &id) {
                Ok(()) => format!("Session {shown} has ended; its token is gone from this machine."),
                Err(error) => format!("Session {shown} could not be ended: {error:#}"),
            };
            board.change(|inner| {
                inner.ending -= 1;
                inner.note = Some(note);
                if matches!(&inner.stage, Stage::Started { id: own } if *own == id) {
                    inner.stage = Stage::Choosing;
                }
            });
        };
        if std::thread::Builder::new().name("end".to_owned()).spawn(work).is_err() {
            self.change(|inner| inner.ending -= 1);
        }
    }
}

fn failed(choice: Choice, error: &anyhow::Error) -> Stage {
    let hints = error.chain().filter_map(|cause| cause.downcast_ref::<Failure>()).flat_map(Failure::hints).cloned().collect();
    Stage::Failed { choice, why: format!("{error:#}"), hints }
}
