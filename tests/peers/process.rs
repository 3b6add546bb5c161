//! A program that runs beside a test and says in lines how it is going.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

/// Longer than anything here takes; a test that works never waits for it.
pub(super) const DEADLINE: Duration = Duration::from_secs(40);

/// How long a program may take to end by itself once it was told to.
pub(super) const FAREWELL: Duration = Duration::from_secs(10);

/// A program with a process group of its own. It is told to end by the end of its input, which also comes when the test dies; whatever of
/// its group is left then is killed.
#[derive(Debug)]
pub(super) struct Companion {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    so_far: Mutex<SoFar>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SoFar {
    lines: Vec<String>,
    errors: String,
    ended: bool,
}

impl Companion {
    /// Starts a program whose environment and arguments are set.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Companion {
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}; run tests/install"));
        let heard = Arc::new(Heard::default());
        let (stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (listener, error_listener) = (Arc::clone(&heard), Arc::clone(&heard));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                listener.so_far.lock().expect("no listener panics").lines.push(line);
                listener.changed.notify_all();
            }
            listener.so_far.lock().expect("no listener panics").ended = true;
            listener.changed.notify_all();
        });
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                error_listener.so_far.lock().expect("no listener panics").errors.push_str(&text);
            }
        });
        let input = child.stdin.take();
        Companion { name, child, input, heard }
    }

    /// The lines of its stdout until now.
    pub(super) fn lines(&self) -> Vec<String> {
        self.heard.so_far.lock().expect("no listener panics").lines.clone()
    }

    /// Waits until its lines say what is looked for.
    #[track_caller]
    pub(super) fn wait_for<T>(&self, what: &str, mut found: impl FnMut(&[String]) -> Option<T>) -> T {
        let until = Instant::now() + DEADLINE;
        let mut so_far = self.heard.so_far.lock().expect("no listener panics");
        loop {
            if let Some(found) = found(&so_far.lines) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || so_far.ended {
                let why = if so_far.ended { "it ended" } else { "nothing came" };
                let seen = format!("{}\n{}", so_far.lines.join("\n"), so_far.errors);
                drop(so_far);
                panic!("{}: waiting for {what}: {why}\n{seen}", self.name);
            }
            so_far = self.heard.changed.wait_timeout(so_far, left).expect("no listener panics").0;
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        drop(self.input.take());
        let pid = Pid::from_child(&self.child);
        wait_for_end(pid, FAREWELL);
        // Not waited for yet, so the number still is that of its group.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Waits until a process has ended, whoever started it, but no longer than this.
fn wait_for_end(pid: Pid, limit: Duration) {
    if let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) {
        let limit = Timespec { tv_sec: limit.as_secs().try_into().expect("few"), tv_nsec: limit.subsec_nanos().into() };
        let _ = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit));
    }
}

/// Ends the processes of [`processes_with`], and those that they start meanwhile: each has this long to end by itself, and is killed then.
/// Gives those that are left, which should be none.
pub(super) fn end_all_with(name: &str, path: &Path, patience: Duration) -> Vec<Pid> {
    let patient_until = Instant::now() + patience;
    let until = patient_until + FAREWELL;
    loop {
        let left = processes_with(name, path);
        if left.is_empty() || Instant::now() > until {
            return left;
        }
        for pid in left {
            wait_for_end(pid, patient_until.saturating_duration_since(Instant::now()));
            if Instant::now() >= patient_until {
                let _ = kill_process(pid, Signal::KILL);
                wait_for_end(pid, FAREWELL);
            }
        }
    }
}

/// The processes whose environment has this path under this name. The environment of another user's program, or of one with capabilities,
/// cannot be read.
pub(super) fn processes_with(name: &str, path: &Path) -> Vec<Pid> {
    let marker = format!("{name}={}", path.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes()) {
            found.push(pid);
        }
    }
    found
}
