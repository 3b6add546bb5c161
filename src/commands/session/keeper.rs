//! The process that keeps a session: it renews the token in the managed file, serves orders, and removes everything in the end.

use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::alarm::{Bound, Timer};
use super::database::{Database, Wish};
use super::renewal::Renewal;
use crate::auth::{Credential, Want};
use crate::broker::session::{self, Description, Folder, LIVE_PROFILE, PROFILE};
use crate::broker::{Broker, Moment, Source, Stop, is_own_user};
use crate::clock;
use crate::commands::auth::origin::{self, Origin};
use crate::commands::child::{self, Signals};
use crate::config::attributes::Attr;
use crate::config::file::ProfileFile;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::host::Host;
use crate::secret::Secret;
use crate::storage::StoredToken;
use crate::text;

/// How long a client of the socket may take to say what it wants.
const ORDER_LIMIT: Duration = Duration::from_secs(1);
/// A watcher that was killed is replaced this often.
const MOST_WATCHERS: u32 = 3;

/// What a session is to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) profile: Option<String>,
    pub(super) host: Option<String>,
    pub(super) live: bool,
    pub(super) bound_to: Option<u32>,
    pub(super) until: Option<i64>,
    pub(super) command: Option<String>,
    pub(super) database: Option<Wish>,
}

impl Plan {
    pub(super) fn origin(&self) -> Result<Origin> {
        Ok(Origin { profile: self.profile.clone(), host: self.host.as_deref().map(Host::parse).transpose()? })
    }
}

/// What a thread brings.
enum Fetched {
    Token(Result<StoredToken>),
    Password(Result<StoredToken>),
}

/// A session under way.
pub(super) struct Keeper<'c> {
    context: &'c Context<'c>,
    folder: Folder,
    description: Description,
    host: Host,
    places: Vec<(Attr, String)>,
    source: Arc<Source>,
    renewal: Renewal,
    database: Option<Database>,
    control: UnixListener,
    /// What threads have fetched, and the other end of the pipe that tells of it.
    fetched: (mpsc::Sender<Fetched>, mpsc::Receiver<Fetched>),
    wake: (UnixStream, Arc<UnixStream>),
    /// Who waits for a new token.
    waiting: Vec<UnixStream>,
    /// Who waits for the end.
    mourners: Vec<UnixStream>,
    server: Option<(Stop, JoinHandle<Result<()>>)>,
    url: Option<Secret>,
    watcher: Option<Child>,
    watchers: u32,
    /// Whether somebody else has removed the folder.
    is_lost: bool,
    /// Tells of that, in the background. Closing it takes the system some 15 ms, which the end of a program does not wait for: there it is found out at the next renewal.
    loss: Option<OwnedFd>,
}

impl<'c> Keeper<'c> {
    /// Makes the folder with all that is in it.
    ///
    /// # Errors
    /// If the credential is no token, or there is no place for the folder; then nothing is left.
    pub(super) fn open(context: &'c Context<'c>, plan: &Plan, settings: &Settings, credential: &Credential) -> Result<Self> {
        let token = origin::token_of(credential)?;
        let host = credential.host.clone();
        let origin = plan.origin()?;
        let name = origin.name(settings);
        let source = origin.source(context, host.clone());
        let folder = Folder::create(&context.env)?;
        let made = (|| {
            let control = folder.control()?;
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            write.set_nonblocking(true)?;
            Ok::<_, anyhow::Error>((control, (read, Arc::new(write))))
        })();
        let (control, wake) = match made {
            Ok(made) => made,
            Err(error) => {
                folder.remove()?;
                return Err(error);
            }
        };
        let now = clock::now();
        let description = Description {
            id: folder.id().to_owned(),
            host: host.to_string(),
            profile: Some(name).filter(|name| !name.is_empty()),
            auth_type: credential.method.to_owned(),
            keeper: std::process::id(),
            started: now.as_second(),
            command: plan.command.clone(),
            bound_to: plan.bound_to,
            until: plan.until,
            live: plan.live,
            ..Description::default()
        };
        let mut keeper = Self {
            context,
            folder,
            description,
            host,
            places: origin::places(settings),
            source,
            renewal: Renewal::of(&token, now),
            database: None,
            control,
            fetched: mpsc::channel(),
            wake,
            waiting: Vec::new(),
            mourners: Vec::new(),
            server: None,
            url: None,
            watcher: None,
            watchers: 0,
            is_lost: false,
            loss: None,
        };
        // Before there is anything to be left behind.
        keeper.watch();
        let started = keeper.open_database(plan, settings, credential).and_then(|()| keeper.serve(&token)).and_then(|()| keeper.take(&token, now).map(drop));
        match started {
            Ok(()) => Ok(keeper),
            Err(error) => {
                keeper.finish();
                Err(error)
            }
        }
    }

    pub(super) fn id(&self) -> &str {
        self.folder.id()
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.config()
    }

    /// The database that the session has.
    pub(super) fn database(&self) -> Option<&session::Database> {
        self.description.database.as_ref()
    }

    fn open_database(&mut self, plan: &Plan, settings: &Settings, credential: &Credential) -> Result<()> {
        if let Some(wish) = &plan.database {
            let (database, description) = Database::open(self.context, wish, plan.origin()?, settings, credential, self.folder.passfile())?;
            (self.database, self.description.database) = (Some(database), Some(description));
        }
        Ok(())
    }

    /// Starts the program that cleans up after us.
    fn watch(&mut self) {
        if self.watchers >= MOST_WATCHERS {
            return;
        }
        self.watchers += 1;
        let Ok(own) = std::env::current_exe() else { return };
        let words = [own.into_os_string(), "session".into(), "watch".into(), self.folder.id().into()];
        let mut command = child::command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        // Without it the next session sweeps.
        self.watcher = command.spawn().ok();
    }

    /// Starts the broker of `--live`.
    fn serve(&mut self, token: &StoredToken) -> Result<()> {
        if !self.description.live {
            return Ok(());
        }
        let mut broker = Broker::open((Ipv4Addr::LOCALHOST, 0).into())?;
        let name = self.description.profile.clone().unwrap_or_default();
        self.url = Some(broker.add(&name, self.host.clone(), Arc::clone(&self.source), Some(token))?);
        let stop = broker.stop();
        let server = std::thread::Builder::new().name("broker".to_owned()).spawn(move || broker.run())?;
        self.server = Some((stop, server));
        Ok(())
    }

    /// Puts a token into the managed file: readers see the old one or the new one. Whether it was in doubt that one would come.
    fn take(&mut self, token: &StoredToken, now: Timestamp) -> Result<bool> {
        let host = self.host.as_str();
        let mut profiles = vec![(PROFILE, vec![(Attr::Host, host), (Attr::Token, token.access_token.expose()), (Attr::AuthType, "pat")])];
        profiles.extend(
            self.url
                .as_ref()
                .map(|url| (LIVE_PROFILE, vec![(Attr::Host, host), (Attr::AuthType, "metadata-service"), (Attr::MetadataServiceUrl, url.expose())])),
        );
        for (_, fields) in &mut profiles {
            fields.extend(self.places.iter().map(|(attr, value)| (*attr, value.as_str())));
        }
        let default = profiles.last().map_or(PROFILE, |(name, _)| *name);
        ProfileFile::at(self.folder.config()).save_fleeting(&profiles, default)?;
        let was_in_doubt = self.renewal.succeed(token, now);
        self.description.expires = self.renewal.end();
        self.description.renewal = Some(self.renewal.lifetime.renewal.as_second());
        self.description.trouble = None;
        self.folder.describe(&self.description)?;
        Ok(was_in_doubt)
    }

    /// Keeps the session until it is to end; with a program, until that has ended, and then the exit code.
    pub(super) fn run(mut self, mut program: Option<&mut Child>, signals: &mut Signals) -> Result<u8> {
        let outcome = self.attend(program.as_deref_mut(), signals);
        self.finish();
        match (outcome?, program) {
            (Some(code), _) => Ok(code),
            (None, None) => Ok(0),
            (None, Some(program)) => {
                // The session was ended before its program.
                let _gone = rustix::process::kill_process(Pid::from_child(program), Signal::TERM);
                Ok(child::code(child::attend(program, signals)?))
            }
        }
    }

    /// Removes everything, because what the session is for could not be started.
    pub(super) fn abandon(mut self) {
        self.finish();
    }

    /// The exit code if the program ended; `None` if the session is to end before.
    fn attend(&mut self, mut program: Option<&mut Child>, signals: &mut Signals) -> Result<Option<u8>> {
        let timer = Timer::new()?;
        if program.is_none() {
            self.loss = self.folder.loss();
        }
        let bound = self.description.bound_to.map(Bound::to);
        if bound.as_ref().is_some_and(Bound::is_gone) {
            return Ok(None);
        }
        loop {
            if let Some(program) = program.as_deref_mut()
                && let Some(status) = program.try_wait()?
            {
                return Ok(Some(child::code(status)));
            }
            if self.watcher.as_mut().is_some_and(|watcher| !matches!(watcher.try_wait(), Ok(None))) {
                self.watch();
            }
            let moment = Moment::now();
            let now = moment.wall;
            if self.description.until.is_some_and(|until| until <= now.as_second()) || bound.as_ref().is_some_and(Bound::is_gone) {
                return Ok(None);
            }
            if !self.is_lost && self.folder.is_lost() {
                if program.is_none() {
                    return Ok(None);
                }
                self.is_lost = true;
                self.context.ui.warn(&format!(
                    "session {}: its folder is gone, and with it the profile file; the program goes on without. To work on: databricks session start",
                    self.folder.id()
                ));
            }
            if self.renewal.is_due(moment) && !self.is_lost {
                self.fetch(self.renewal.lifetime.want());
            }
            if self.database.as_ref().is_some_and(|database| database.renewal.is_due(moment)) && !self.is_lost {
                self.fetch_password();
            }
            let password = self.database.as_ref().and_then(|database| database.renewal.due(moment));
            let renewals = self.renewal.due(moment).into_iter().chain(password).filter(|_| !self.is_lost);
            let end = self.description.until.and_then(|until| Timestamp::from_second(until).ok());
            timer.set(renewals.chain(end).min())?;
            {
                let signal = signals.source();
                let mut sources =
                    vec![PollFd::new(&signal, PollFlags::IN), PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.wake.0, PollFlags::IN)];
                timer.watch(&mut sources);
                sources.extend(self.loss.as_ref().map(|loss| PollFd::new(loss, PollFlags::IN)));
                if let Some(bound) = &bound {
                    bound.watch(&mut sources);
                }
                // Whatever it ends with, the next look tells.
                let _ready = poll(&mut sources, timer.limit(bound.is_some()).as_ref());
            }
            timer.drain();
            session::drain(self.loss.as_ref());
            for came in signals.came() {
                match program.as_deref() {
                    Some(program) => child::pass_on(program, came),
                    None if child::is_an_end(came) => return Ok(None),
                    None => {}
                }
            }
            self.take_fetched();
            if self.take_orders() {
                return Ok(None);
            }
        }
    }

    fn fetch(&mut self, want: Want) {
        self.renewal.is_under_way = true;
        let source = Arc::clone(&self.source);
        if let Err(error) = self.on_a_thread(move || Fetched::Token(source(want))) {
            self.settle(Err(error.into()));
        }
    }

    fn fetch_password(&mut self) {
        let Some(database) = self.database.as_mut() else { return };
        database.renewal.is_under_way = true;
        let mint = database.mint();
        if let Err(error) = self.on_a_thread(move || Fetched::Password(mint())) {
            self.settle_password(Err(error.into()));
        }
    }

    fn on_a_thread(&self, fetch: impl FnOnce() -> Fetched + Send + 'static) -> io::Result<()> {
        let (tell, wake) = (self.fetched.0.clone(), Arc::clone(&self.wake.1));
        let work = move || {
            // Nobody may be left to tell.
            let _told = tell.send(fetch());
            let _awake = (&*wake).write(&[1]);
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(work).map(drop)
    }

    fn take_fetched(&mut self) {
        let mut drain = [0; 16];
        while matches!(self.wake.0.read(&mut drain), Ok(count) if count > 0) {}
        while let Ok(fetched) = self.fetched.1.try_recv() {
            match fetched {
                Fetched::Token(outcome) => self.settle(outcome),
                Fetched::Password(outcome) => self.settle_password(outcome),
            }
        }
    }

    fn settle_password(&mut self, outcome: Result<StoredToken>) {
        let (Some(database), Some(description)) = (self.database.as_mut(), self.description.database.as_mut()) else { return };
        let now = clock::now();
        match outcome.and_then(|password| database.take(&password, now)) {
            Ok(was_in_doubt) => {
                database.describe(description);
                if was_in_doubt {
                    self.context.ui.note(&format!("Session {}: the password of {} is renewed again.", self.folder.id(), text::one_line(&description.name)));
                }
            }
            Err(error) => {
                let why = text::shortened(&text::one_line(&format!("{error:#}")), 500).into_owned();
                let (retry, is_first) = database.renewal.fail(now);
                if is_first {
                    let name = text::one_line(&description.name);
                    self.context.ui.warn(&format!("session {}: the password of {name} could not be renewed: {why}. It is tried again", self.folder.id()));
                }
                description.trouble = Some(why);
                description.renewal = Some(retry.as_second());
            }
        }
        // The next one writes it again.
        let _described = self.folder.describe(&self.description);
    }

    fn settle(&mut self, outcome: Result<StoredToken>) {
        let now = clock::now();
        let answer = match outcome.and_then(|token| self.take(&token, now)) {
            Ok(was_in_doubt) => {
                if was_in_doubt {
                    self.context.ui.note(&format!("Session {}: the token is renewed again.", self.folder.id()));
                }
                "ok".to_owned()
            }
            Err(error) => {
                let why = text::shortened(&text::one_line(&format!("{error:#}")), 500).into_owned();
                let (retry, is_first) = self.renewal.fail(now);
                if is_first {
                    self.context.ui.warn(&format!(
                        "session {}: the token could not be renewed: {why}. It is tried again; to sign in again: databricks auth login, then: databricks session refresh",
                        self.folder.id()
                    ));
                }
                self.description.trouble = Some(why.clone());
                self.description.renewal = Some(retry.as_second());
                // The next success writes it again.
                let _described = self.folder.describe(&self.description);
                format!("session {}: {why}", self.folder.id())
            }
        };
        for mut waiting in std::mem::take(&mut self.waiting) {
            // Who does not wait any more does not want to know.
            let _told = waiting.write_all(answer.as_bytes());
        }
    }

    /// Reads what clients want; whether the session is to end.
    fn take_orders(&mut self) -> bool {
        let mut ends = false;
        while let Ok((stream, _)) = self.control.accept() {
            if !is_own_user(&stream) {
                continue;
            }
            match read_order(&stream).as_deref() {
                Ok("refresh") => {
                    self.waiting.push(stream);
                    if self.database.as_ref().is_some_and(|database| !database.renewal.is_under_way) {
                        self.fetch_password();
                    }
                    if !self.renewal.is_under_way {
                        self.fetch(Want { min_ttl: None, minted_after: Some(clock::now()), alone: true });
                    }
                }
                Ok("end") => {
                    self.mourners.push(stream);
                    ends = true;
                }
                _ => {}
            }
        }
        ends
    }

    /// Removes everything; the token first.
    fn finish(&mut self) {
        if let Err(error) = self.folder.remove() {
            self.context.ui.warn(&format!("{error:#}"));
        }
        if let Some((stop, server)) = self.server.take() {
            stop.now();
            // Its end is the end of the session anyway.
            let _ended = server.join();
        }
        if let Some(mut watcher) = self.watcher.take() {
            let _ended = watcher.kill();
            let _gathered = watcher.wait();
        }
        if self.renewal.is_under_way {
            // What is spent for a token would be lost with it.
            let _late = self.fetched.1.recv_timeout(Duration::from_secs(2));
        }
        for mut mourner in std::mem::take(&mut self.mourners) {
            let _told = mourner.write_all(b"ok");
        }
    }
}

fn read_order(stream: &UnixStream) -> io::Result<String> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ORDER_LIMIT))?;
    stream.set_write_timeout(Some(ORDER_LIMIT))?;
    let mut order = Vec::new();
    let mut byte = [0];
    while order.len() < 64 && (&mut &*stream).read(&mut byte)? == 1 && byte != [b'\n'] {
        order.push(byte[0]);
    }
    String::from_utf8(order).map_err(|_| io::ErrorKind::InvalidData.into())
}
