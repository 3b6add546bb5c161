//! A run that goes on while a test does other things.

use super::Home;
use super::run::Run;
use super::sweep::Seen;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// What it printed so far, on stdout and stderr, and whether that was all.
#[derive(Default)]
struct Said {
    text: Mutex<(String, bool)>,
    more: Condvar,
}

/// A process that serves; dropping it kills it. All that it printed is swept for secrets.
pub(crate) struct Serving<'h> {
    home: &'h Home,
    line: String,
    reveals: bool,
    child: Child,
    said: Arc<Said>,
    reader: Option<JoinHandle<()>>,
}

impl<'h> Run<'h> {
    /// Starts it and lets it run.
    pub(crate) fn serve(self) -> Serving<'h> {
        let (mut printed, pipe) = std::io::pipe().unwrap();
        let child = self.prepared().stdin(Stdio::null()).stdout(pipe.try_clone().unwrap()).stderr(pipe).spawn().unwrap();
        let said = Arc::new(Said::default());
        let reader = std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                let mut buffer = [0; 4096];
                loop {
                    let count = printed.read(&mut buffer).unwrap_or(0);
                    let mut text = said.text.lock().unwrap();
                    text.0.push_str(&String::from_utf8_lossy(&buffer[..count]));
                    text.1 = count == 0;
                    said.more.notify_all();
                    if count == 0 {
                        return;
                    }
                }
            }
        });
        let (line, reveals) = (self.line(), self.reveals);
        Serving { home: self.home, line, reveals, child, said, reader: Some(reader) }
    }
}

impl Serving<'_> {
    /// Waits until it has printed this, and gives all that it printed.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) -> String {
        self.wait_until(words, |said| said.contains(words))
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        let mut text = self.said.text.lock().unwrap();
        while !is_so(&text.0) && !text.1 && started.elapsed() < LIMIT {
            text = self.said.more.wait_timeout(text, LIMIT).unwrap().0;
        }
        let said = text.0.clone();
        drop(text);
        assert!(is_so(&said), "`{}` did not say {what:?}, but\n{said}", self.line);
        said
    }

    pub(crate) fn said(&self) -> String {
        self.said.text.lock().unwrap().0.clone()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end, and for the end of what it prints.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let text = self.said.text.lock().unwrap();
        drop(self.said.more.wait_timeout_while(text, LIMIT, |text| !text.1).unwrap());
        status
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        self.reader.take().map(JoinHandle::join);
        let said = self.said();
        if std::thread::panicking() {
            eprintln!("--- `{}` said\n{said}", self.line);
        }
        let (stdout, stderr) = if self.reveals { (said, String::new()) } else { (String::new(), said) };
        self.home.saw(Seen { line: self.line.clone(), stdout, stderr, reveals: self.reveals });
    }
}
