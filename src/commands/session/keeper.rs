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
use jiff::{SignedDuration, Timestamp};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::auth::{Credential, Want};
use crate::broker::session::{Description, Folder, LIVE_PROFILE, PROFILE};
use crate::broker::{Broker, Lifetime, Source, Stop, is_own_user, pause};
use crate::clock;
use crate::commands::auth::origin::{self, Origin};
use crate::commands::child::{self, Signals};
use crate::config::attributes::Attr;
use crate::config::file::ProfileFile;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::error::Failure;
use crate::host::Host;
use crate::secret::Secret;
use crate::storage::StoredToken;
use crate::text;

/// How long a client of the socket may take to say what it wants.
const ORDER_LIMIT: Duration = Duration::from_secs(1);
/// A watcher that was killed is replaced this often.
const MOST_WATCHERS: u32 = 3;
/// How often the process is looked after that the session ends with, where the system does not tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LOOK: Duration = Duration::from_secs(2);

/// What a session is to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) profile: Option<String>,
    pub(super) host: Option<String>,
    pub(super) live: bool,
    pub(super) bound_to: Option<u32>,
    pub(super) until: Option<i64>,
    pub(super) command: Option<String>,
}

impl Plan {
    pub(super) fn origin(&self) -> Result<Origin> {
        Ok(Origin { profile: self.profile.clone(), host: self.host.as_deref().map(Host::parse).transpose()? })
    }
}

/// A session under way.
pub(super) struct Keeper<'c> {
    context: &'c Context<'c>,
    folder: Folder,
    description: Description,
    host: Host,
    places: Vec<(Attr, String)>,
    source: Arc<Source>,
    lifetime: Lifetime,
    control: UnixListener,
    /// What threads have fetched, and the other end of the pipe that tells of it.
    fetched: (mpsc::Sender<Result<StoredToken>>, mpsc::Receiver<Result<StoredToken>>),
    wake: (UnixStream, Arc<UnixStream>),
    is_fetching: bool,
    failures: u32,
    retry: Option<Timestamp>,
    /// Who waits for a new token.
    waiting: Vec<UnixStream>,
    /// Who waits for the end.
    mourners: Vec<UnixStream>,
    server: Option<(Stop, JoinHandle<Result<()>>)>,
    url: Option<Secret>,
    watcher: Option<Child>,
    watchers: u32,
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
            lifetime: Lifetime::of(&token, now),
            control,
            fetched: mpsc::channel(),
            wake,
            is_fetching: false,
            failures: 0,
            retry: None,
            waiting: Vec::new(),
            mourners: Vec::new(),
            server: None,
            url: None,
            watcher: None,
            watchers: 0,
        };
        // Before there is anything to be left behind.
        keeper.watch();
        let started = keeper.serve(&token).and_then(|()| keeper.take(&token, now));
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

    /// Puts a token into the managed file: readers see the old one or the new one.
    fn take(&mut self, token: &StoredToken, now: Timestamp) -> Result<()> {
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
        self.lifetime = Lifetime::of(token, now);
        self.description.expires = self.lifetime.is_known.then(|| self.lifetime.end.as_second());
        self.description.renewal = Some(self.lifetime.renewal.as_second());
        self.description.trouble = None;
        self.folder.describe(&self.description)
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
            let now = clock::now();
            if self.description.until.is_some_and(|until| until <= now.as_second()) || bound.as_ref().is_some_and(Bound::is_gone) {
                return Ok(None);
            }
            let due = self.retry.unwrap_or(self.lifetime.renewal);
            if due <= now && !self.is_fetching {
                self.fetch(self.lifetime.want());
            }
            let renewal = (!self.is_fetching).then_some(due);
            let end = self.description.until.and_then(|until| Timestamp::from_second(until).ok());
            timer.set(renewal.into_iter().chain(end).min())?;
            {
                let signal = signals.source();
                let mut sources =
                    vec![PollFd::new(&signal, PollFlags::IN), PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.wake.0, PollFlags::IN)];
                timer.watch(&mut sources);
                if let Some(bound) = &bound {
                    bound.watch(&mut sources);
                }
                // Whatever it ends with, the next look tells.
                let _ready = poll(&mut sources, timer.limit(bound.is_some()).as_ref());
            }
            timer.drain();
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
        self.is_fetching = true;
        let (source, tell, wake) = (Arc::clone(&self.source), self.fetched.0.clone(), Arc::clone(&self.wake.1));
        let work = move || {
            // Nobody may be left to tell.
            let _told = tell.send(source(want));
            let _awake = (&*wake).write(&[1]);
        };
        if let Err(error) = std::thread::Builder::new().stack_size(1 << 20).spawn(work) {
            self.settle(Err(error.into()));
        }
    }

    fn take_fetched(&mut self) {
        let mut drain = [0; 16];
        while matches!(self.wake.0.read(&mut drain), Ok(count) if count > 0) {}
        while let Ok(outcome) = self.fetched.1.try_recv() {
            self.settle(outcome);
        }
    }

    fn settle(&mut self, outcome: Result<StoredToken>) {
        self.is_fetching = false;
        let now = clock::now();
        let answer = match outcome.and_then(|token| self.take(&token, now)) {
            Ok(()) => {
                if self.failures > 0 {
                    self.context.ui.note(&format!("Session {}: the token is renewed again.", self.folder.id()));
                }
                (self.failures, self.retry) = (0, None);
                "ok".to_owned()
            }
            Err(error) => {
                let why = text::shortened(&text::one_line(&format!("{error:#}")), 500).into_owned();
                self.failures += 1;
                let wait = SignedDuration::try_from(pause(self.failures)).unwrap_or(SignedDuration::ZERO);
                self.retry = Some(now.saturating_add(wait).unwrap_or(now));
                if self.failures == 1 {
                    self.context.ui.warn(&format!(
                        "session {}: the token could not be renewed: {why}. It is tried again; to sign in again: databricks auth login, then: databricks session refresh",
                        self.folder.id()
                    ));
                }
                self.description.trouble = Some(why.clone());
                self.description.renewal = self.retry.map(Timestamp::as_second);
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
                    if !self.is_fetching {
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
        if self.is_fetching {
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

/// An alarm by the clock of the wall: it goes off in time also after the machine has slept, or the clock was put.
#[cfg(any(target_os = "linux", target_os = "android"))]
struct Timer(OwnedFd);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Timer {
    fn new() -> Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        Ok(Self(timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?))
    }

    fn set(&self, at: Option<Timestamp>) -> Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = at.map_or(never, |at| Timespec { tv_sec: at.as_second().max(1), tv_nsec: at.subsec_nanosecond().max(0).into() });
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&self.0, flags, &Itimerspec { it_interval: never, it_value: at })
            .map(drop)
            .map_err(|error| Failure::new(format!("cannot set an alarm: {error}")).into())
    }

    fn watch<'t>(&'t self, sources: &mut Vec<PollFd<'t>>) {
        sources.push(PollFd::new(&self.0, PollFlags::IN));
    }

    fn drain(&self) {
        // It says how often it went off, or that the clock was put: both mean, look again.
        let _count = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }

    #[expect(clippy::unused_self, reason = "elsewhere there is a limit")]
    fn limit(&self, _: bool) -> Option<rustix::event::Timespec> {
        None
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
struct Timer(std::cell::Cell<Option<Timestamp>>);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Timer {
    fn new() -> Result<Self> {
        Ok(Self(std::cell::Cell::new(None)))
    }

    fn set(&self, at: Option<Timestamp>) -> Result<()> {
        self.0.set(at);
        Ok(())
    }

    fn watch<'t>(&'t self, _: &mut Vec<PollFd<'t>>) {}

    fn drain(&self) {}

    /// At most half a minute, so that a machine that slept finds out soon.
    fn limit(&self, is_bound: bool) -> Option<rustix::event::Timespec> {
        let most = if is_bound { LOOK } else { Duration::from_secs(30) };
        let left = self.0.get().map_or(most, |at| Duration::try_from(at.duration_since(clock::now())).unwrap_or_default().min(most));
        Some(rustix::event::Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() })
    }
}

/// The process that a session ends with.
struct Bound {
    #[cfg_attr(any(target_os = "linux", target_os = "android"), expect(dead_code, reason = "elsewhere it is looked after by its number"))]
    process: Option<Pid>,
    /// Readable when it is gone; `None` if it is gone already, or cannot be waited for.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    ended: Option<OwnedFd>,
}

impl Bound {
    fn to(process: u32) -> Self {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        Self {
            process,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            ended: process.and_then(|process| rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).ok()),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn is_gone(&self) -> bool {
        let Some(ended) = &self.ended else { return true };
        poll(&mut [PollFd::new(ended, PollFlags::IN)], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn is_gone(&self) -> bool {
        self.process.is_none_or(|process| rustix::process::test_kill_process(process).is_err())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn watch<'b>(&'b self, sources: &mut Vec<PollFd<'b>>) {
        sources.extend(self.ended.as_ref().map(|ended| PollFd::new(ended, PollFlags::IN)));
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn watch<'b>(&'b self, _: &mut Vec<PollFd<'b>>) {}
}
