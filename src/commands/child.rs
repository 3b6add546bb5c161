//! A program that is run for the user, as if it had been started without us: standard streams, signals and exit code are its own.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

use crate::commands::Exit;
use crate::context::Context;
use crate::hardening;
use crate::signals;
use crate::text;

/// Signals that are meant for the program, whoever of us two gets them.
const PASSED_ON: &[i32] = &[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) number: i32,
    /// Whether a process sent it, rather than the terminal, which sends it to everybody in front.
    by_process: bool,
}

/// The signals of this process, as something that can be waited for.
#[derive(Debug)]
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, WithRawSiginfo>,
}

impl Signals {
    /// From now on signals that would end this process, and the end of its children, are told here. What is ignored stays so (`nohup`).
    pub(super) fn take() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let ignored = signals::ignored();
        signals::owned(PASSED_ON);
        let wanted = PASSED_ON.iter().copied().filter(|signal| ignored & (1 << (signal - 1)) == 0).chain([SIGCHLD]);
        Ok(Self { delivery: SignalDelivery::with_pipe(read, write, WithRawSiginfo, wanted)? })
    }

    /// Readable when a signal came.
    pub(super) fn source(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.delivery.get_read().as_fd()
    }

    /// Those that came since the last time.
    pub(super) fn came(&mut self) -> Vec<Came> {
        self.delivery.pending().map(|info| Came { number: info.si_signo, by_process: info.si_code <= 0 }).collect()
    }

    /// Waits for the next ones.
    pub(super) fn wait(&mut self) -> Vec<Came> {
        let mut sources = [rustix::event::PollFd::new(self.delivery.get_read(), rustix::event::PollFlags::IN)];
        // Whatever it ends with, the next look tells.
        let _ready = rustix::event::poll(&mut sources, None);
        self.came()
    }
}

/// Whether the signal asks this process to end.
pub(super) fn is_an_end(came: Came) -> bool {
    matches!(came.number, SIGHUP | SIGINT | SIGQUIT | SIGTERM)
}

/// A command that starts this.
pub(super) fn command(words: &[OsString]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the user asked to run this program")]
    let mut command = Command::new(words.first().map(OsString::as_os_str).unwrap_or_default());
    command.args(words.get(1..).unwrap_or_default());
    command
}

/// Starts it; after telling why it cannot be, the exit code that `env` and shells use for that.
pub(super) fn start(context: &Context<'_>, command: &mut Command) -> Result<Child, u8> {
    hardening::restore_core_limit();
    match command.spawn() {
        Ok(child) => Ok(child),
        Err(error) => {
            let name = text::quoted(&command.get_program().to_string_lossy());
            let missing = error.kind() == io::ErrorKind::NotFound;
            let why = if missing { "there is no such program".to_owned() } else { error.to_string() };
            context.ui.note(&format!("Error: cannot start {name}: {why}"));
            Err(if missing { 127 } else { 126 })
        }
    }
}

/// Passes a signal on, unless the terminal gave it to the program already. A terminal that closes tells the process that leads there, and nobody else.
pub(super) fn pass_on(child: &Child, came: Came) {
    if (came.by_process || came.number == SIGHUP)
        && PASSED_ON.contains(&came.number)
        && let Some(signal) = Signal::from_named_raw(came.number)
    {
        // One that has just ended needs no signal.
        let _gone = rustix::process::kill_process(Pid::from_child(child), signal);
    }
}

/// The exit code that says how it ended: its own, or as shells do 128 and the number of the signal.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// The end of a command that ran a program with this exit code.
pub(super) fn end_with(code: u8) -> anyhow::Result<()> {
    if code == 0 { Ok(()) } else { Err(Exit(code).into()) }
}

/// Runs until it ends.
pub(super) fn attend(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for came in signals.wait() {
            pass_on(child, came);
        }
    }
}
