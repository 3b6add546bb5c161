//! A program on a terminal of its own, driven from outside: keys go in, and what it draws is watched.
//!
//! Every wait has a deadline and polls; nothing sleeps. The screen is kept by a terminal emulator that nobody here wrote.
//! Linux only: the child gets its controlling terminal from `setsid --ctty`, because std offers no safe way to do that.

#![allow(dead_code, reason = "shared by the tests beside the code and the stories, and neither uses all of it")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Long enough for a loaded machine; a test that works never waits for it.
const DEADLINE: Duration = Duration::from_secs(10);

/// The one thing to wait for that comes after the end.
const THE_END: &str = "waiting for the end";

/// A running program and its terminal.
pub(crate) struct Pty {
    /// `None` after a hang-up.
    master: Option<OwnedFd>,
    child: Child,
    ended: OwnedFd,
    screen: vt100::Parser,
    /// Every byte that the program has drawn.
    raw: Vec<u8>,
    /// Where in `raw` the next [`Pty::wait_for`] begins.
    mark: usize,
}

impl Pty {
    /// Starts a program on a terminal of 24 rows and 80 columns.
    pub(crate) fn spawn(command: &Command) -> Self {
        Self::sized(command, 24, 80)
    }

    /// Starts a program on a terminal of that size: its stdin, stdout and stderr, and its controlling terminal.
    pub(crate) fn sized(command: &Command, rows: u16, columns: u16) -> Self {
        Self::start(command, rows, columns, None)
    }

    /// As [`Pty::spawn`], with stdout elsewhere, as in `$(program)`.
    pub(crate) fn with_stdout(command: &Command, stdout: Stdio) -> Self {
        Self::start(command, 24, 80, Some(stdout))
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test is started here")]
    fn start(command: &Command, rows: u16, columns: u16, stdout: Option<Stdio>) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();

        // The same process: setsid replaces itself by the program.
        let mut wrapped = Command::new("setsid");
        wrapped.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        wrapped.stdin(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap()).stdout(stdout.unwrap_or_else(|| slave.into()));
        let child = wrapped.spawn().unwrap();
        let ended = pidfd_open(pid(&child), PidfdFlags::empty()).unwrap();
        Self { master: Some(master), child, ended, screen: vt100::Parser::new(rows, columns, 0), raw: Vec::new(), mark: 0 }
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: impl AsRef<[u8]>) {
        let mut keys = keys.as_ref();
        while !keys.is_empty() {
            let count = rustix::io::write(self.master.as_ref().unwrap(), keys).unwrap();
            keys = &keys[count..];
        }
    }

    /// Waits until the program has drawn this text since the last wait.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = find(&self.raw[self.mark..], text.as_bytes()) {
                self.mark += at + text.len();
                return;
            }
            self.listen(until, &format!("waiting for {text:?}"));
        }
    }

    /// As [`Pty::wait_for`], for a program that may have been ended before: whether it drew this.
    pub(crate) fn draws(&mut self, text: &str) -> bool {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = find(&self.raw[self.mark..], text.as_bytes()) {
                self.mark += at + text.len();
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                self.drain();
                return false;
            }
            self.listen(until, THE_END);
        }
    }

    /// Waits until the screen satisfies something.
    pub(crate) fn wait_until(&mut self, what: &str, satisfied: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !satisfied(self.screen.screen()) {
            self.listen(until, what);
        }
    }

    /// Waits until the program waits for keys in raw mode, without echo.
    pub(crate) fn wait_raw(&mut self) {
        let until = Instant::now() + DEADLINE;
        while self.is_cooked() {
            self.listen(until, "waiting for raw mode");
        }
    }

    /// Waits for the end of the program, and takes in what it still had to say.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.wait_within(DEADLINE)
    }

    /// As [`Pty::wait`], but it has to be quick.
    pub(crate) fn wait_within(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.drain();
                return status;
            }
            self.listen(until, THE_END);
        }
    }

    /// Sends a signal from outside.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    /// Waits until the program is stopped (SIGSTOP, SIGTSTP).
    pub(crate) fn wait_stopped(&mut self) {
        let until = Instant::now() + DEADLINE;
        while waitid(WaitId::Pid(pid(&self.child)), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG).unwrap().is_none() {
            self.listen(until, "waiting for the stop");
        }
        self.drain();
    }

    /// Gives the terminal another size, which the program learns by SIGWINCH.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.screen.screen_mut().set_size(rows, columns);
        tcsetwinsize(self.master.as_ref().unwrap(), Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    /// Closes the terminal, as when its window is closed or the connection breaks.
    pub(crate) fn hang_up(&mut self) {
        self.master = None;
    }

    /// Whether the terminal echoes and reads by lines, as a shell expects it.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = tcgetattr(self.master.as_ref().unwrap()).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Asserts that the terminal is as the program found it: echo, lines, a visible cursor, no marks around a paste.
    pub(crate) fn assert_restored(&self) {
        assert!(self.is_cooked(), "ECHO, ICANON or ISIG is off\n{}", self.transcript());
        assert!(!self.screen.screen().hide_cursor(), "the cursor is hidden\n{}", self.transcript());
        assert!(!self.screen.screen().bracketed_paste(), "bracketed paste is on\n{}", self.transcript());
    }

    /// What a person sees, without the spaces at the ends of lines and the empty lines below.
    pub(crate) fn screen(&self) -> String {
        self.screen.screen().contents().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The emulator's screen, for cursor and colours.
    pub(crate) fn emulator(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// Every byte drawn so far.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The child, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn transcript(&self) -> String {
        format!("screen:\n{}\nbytes: {:?}", self.screen(), String::from_utf8_lossy(&self.raw))
    }

    /// Takes in what was drawn, or sees the end of the program; panics when the time is over.
    fn listen(&mut self, until: Instant, what: &str) {
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{what}: time is over\n{}", self.transcript());
        // Modes change without a byte: look again soon, but without spinning.
        let pause = left.min(Duration::from_millis(5));
        let pause = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
        let mut sources = vec![PollFd::new(&self.ended, PollFlags::IN)];
        if let Some(master) = &self.master {
            sources.push(PollFd::new(master, PollFlags::IN));
        }
        match poll(&mut sources, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        let over = !sources[0].revents().is_empty();
        drop(sources);
        let heard = self.take();
        assert!(heard || !over || what == THE_END, "{what}: the program has ended\n{}", self.transcript());
    }

    fn drain(&mut self) {
        while self.take() {}
    }

    /// Reads what is there; `false` if there is nothing.
    fn take(&mut self) -> bool {
        let Some(master) = &self.master else { return false };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut source = [PollFd::new(master, PollFlags::IN)];
        if !matches!(poll(&mut source, Some(&now)), Ok(1..)) || !source[0].revents().contains(PollFlags::IN) {
            return false;
        }
        let mut buffer = [0; 4096];
        match rustix::io::read(master.as_fd(), &mut buffer) {
            Ok(count) => {
                self.raw.extend_from_slice(&buffer[..count]);
                self.screen.process(&buffer[..count]);
                count > 0
            }
            // The program has closed its side.
            Err(rustix::io::Errno::IO) => false,
            Err(error) => panic!("{}", io::Error::from(error)),
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // A test that failed must not leave its program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Debug for Pty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.transcript())
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
