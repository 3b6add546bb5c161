//! Signals that would end the process, and who decides what they do.
//!
//! Left alone they end it, as ever. A question at the terminal has them while it is open ([`Watch`]), a command that waits for them has them for good ([`owned`]), and what must
//! not be cut short holds them back until it is done ([`Hold`]).
//!
//! A handler cannot be taken back without unsafe code, so one that is installed stays, and does what would have happened without it whenever nobody wants the signal.
//! Elsewhere than on Unix nothing is held back.

#[cfg(unix)]
use std::cell::RefCell;

/// Told why the process does not end yet, if that takes so long that a person would wonder.
pub(crate) type Notice = fn(&str);

/// Holds signals back, from [`Hold::begin`] until it is dropped; then the process ends by the one that came. A second signal, or three seconds, and it ends at once.
///
/// Costs nothing before it begins.
pub(crate) struct Hold {
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing is held back"))]
    notice: Notice,
    #[cfg(unix)]
    active: RefCell<Option<unix::Active>>,
}

impl Hold {
    pub(crate) fn new(notice: Notice) -> Self {
        Self {
            notice,
            #[cfg(unix)]
            active: RefCell::new(None),
        }
    }

    /// From now on. What cannot be held back, because the system refuses, has its usual effect.
    pub(crate) fn begin(&self, what: &'static str) {
        #[cfg(unix)]
        self.active.borrow_mut().get_or_insert_with(|| unix::Active::begin(what, self.notice));
        #[cfg(not(unix))]
        let _unused = what;
    }
}

#[cfg(unix)]
pub(crate) use unix::{Watch, ignored, owned, settle};

#[cfg(not(unix))]
pub(crate) fn settle() {}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    use signal_hook::{flag, low_level};

    use super::Notice;

    /// For how long something is waited for that must not be cut short, once the process has been told to end.
    const PATIENCE: Duration = Duration::from_secs(3);
    /// What ends the process when it comes from outside, in the order in which it is heeded.
    const DEADLY: [i32; 4] = [SIGTERM, SIGHUP, SIGQUIT, SIGINT];
    /// What is held back. SIGQUIT is not: whoever sends it wants no waiting.
    const HELD: [i32; 3] = [SIGTERM, SIGHUP, SIGINT];
    /// A wait that is shorter needs no words.
    const UNNOTICED: Duration = Duration::from_millis(300);

    /// A signal with a handler of ours.
    struct Watched {
        number: i32,
        arrived: Arc<AtomicBool>,
        /// Whether it has its usual effect now.
        usual: Arc<AtomicBool>,
    }

    /// Who wants which signal.
    struct Board {
        watched: Vec<Watched>,
        /// Whether a question is open.
        asking: bool,
        /// How many hold signals back.
        holds: usize,
        /// Signals that somebody else waits for.
        owned: Vec<i32>,
        /// What came while signals were held back.
        came: Option<i32>,
    }

    static BOARD: Mutex<Board> = Mutex::new(Board { watched: Vec::new(), asking: false, holds: 0, owned: Vec::new(), came: None });
    static RELEASED: Condvar = Condvar::new();
    /// As [`Board::holds`], for a look without a lock.
    static HOLDS: AtomicUsize = AtomicUsize::new(0);
    /// What becomes readable when a signal arrives, and its other end.
    static BELL: OnceLock<(UnixStream, UnixStream)> = OnceLock::new();

    fn board() -> MutexGuard<'static, Board> {
        BOARD.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bell() -> io::Result<&'static (UnixStream, UnixStream)> {
        if let Some(bell) = BELL.get() {
            return Ok(bell);
        }
        let bell = UnixStream::pair()?;
        bell.0.set_nonblocking(true)?;
        Ok(BELL.get_or_init(|| bell))
    }

    fn silence() {
        let mut rings = [0; 64];
        while BELL.get().is_some_and(|(bell, _)| matches!(rustix::io::read(bell, &mut rings), Ok(1..))) {}
    }

    impl Board {
        /// Installs the handlers that are not there yet. What is ignored stays so (`nohup`).
        fn watch(&mut self, signals: &[i32]) -> io::Result<()> {
            let missing: Vec<i32> = signals.iter().copied().filter(|signal| self.watched.iter().all(|watched| watched.number != *signal)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            let (ignored, (_, clapper)) = (ignored(), bell()?);
            for number in missing {
                let has_effect = DEADLY.contains(&number) || number == SIGTSTP;
                if DEADLY.contains(&number) && ignored & (1 << (number - 1)) != 0 {
                    continue;
                }
                // In this order, in which they run: the bell rings when the rest is known.
                let watched = Watched { number, arrived: Arc::default(), usual: Arc::new(AtomicBool::new(self.is_usual(number))) };
                flag::register(number, Arc::clone(&watched.arrived))?;
                if has_effect {
                    flag::register_conditional_default(number, Arc::clone(&watched.usual))?;
                }
                low_level::pipe::register(number, clapper.try_clone()?)?;
                self.watched.push(watched);
            }
            Ok(())
        }

        fn is_usual(&self, signal: i32) -> bool {
            !(self.asking || self.owned.contains(&signal) || (self.holds > 0 && HELD.contains(&signal)))
        }

        fn update(&self) {
            for watched in &self.watched {
                watched.usual.store(self.is_usual(watched.number), Ordering::SeqCst);
            }
        }

        fn take(&self, signal: i32) -> bool {
            self.watched.iter().any(|watched| watched.number == signal && watched.arrived.swap(false, Ordering::SeqCst))
        }

        /// The first of these signals that came, unless somebody else waits for it.
        fn deadly(&self, signals: &[i32]) -> Option<i32> {
            signals.iter().copied().find(|signal| self.take(*signal) && !self.owned.contains(signal))
        }

        fn forget(&self) {
            for watched in &self.watched {
                watched.arrived.store(false, Ordering::SeqCst);
            }
            silence();
        }
    }

    /// The signals that whoever started us wants ignored, one bit each.
    pub(crate) fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
        mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0)
    }

    /// From now on somebody else waits for these signals; they have no usual effect any more.
    pub(crate) fn owned(signals: &[i32]) {
        let mut board = board();
        board.owned.extend(signals);
        board.update();
    }

    /// Waits for what must not be cut short on other threads: before the process ends. A signal ends the wait, and so do three seconds.
    pub(crate) fn settle() {
        if HOLDS.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut board = board();
        if board.watch(&HELD).is_err() {
            return;
        }
        board.forget();
        let started = Instant::now();
        while board.holds > 0 && started.elapsed() < PATIENCE && !HELD.iter().any(|signal| board.take(*signal)) {
            // Rather than for the bell, which a handler rings that knows nothing of conditions.
            board = RELEASED.wait_timeout(board, Duration::from_millis(20)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Signals that arrive while a question is open.
    #[derive(Debug)]
    pub(crate) struct Watch {
        /// Becomes readable when a signal arrives.
        pub(crate) bell: &'static UnixStream,
    }

    impl Watch {
        /// From now on the signals that end or stop a process, and these, have no effect but to be told here.
        pub(crate) fn begin(more: &[i32]) -> io::Result<Self> {
            let bell = &bell()?.0;
            let mut board = board();
            board.watch(&DEADLY)?;
            board.watch(more)?;
            board.forget();
            board.asking = true;
            board.update();
            Ok(Self { bell })
        }

        /// What came and would have ended the process.
        pub(crate) fn deadly() -> Option<i32> {
            let board = board();
            DEADLY.into_iter().find(|signal| board.take(*signal))
        }

        /// Whether the signal came since it was last asked for.
        pub(crate) fn take(signal: i32) -> bool {
            board().take(signal)
        }

        pub(crate) fn silence() {
            silence();
        }
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            let mut board = board();
            board.asking = false;
            board.update();
        }
    }

    /// A hold that has begun.
    pub(super) struct Active {
        /// Its other end hangs up when this is dropped.
        over: Option<UnixStream>,
        watcher: Option<JoinHandle<()>>,
        /// Whether anything is held back.
        counts: bool,
    }

    impl Active {
        pub(super) fn begin(what: &'static str, notice: Notice) -> Self {
            let mut board = board();
            let (mut over, mut watcher) = (None, None);
            if board.holds == 0 && HELD.iter().any(|signal| !board.owned.contains(signal)) {
                // Without somebody who ends it nothing is held back.
                let Ok((ours, attend)) = board.watch(&HELD).and_then(|()| UnixStream::pair()) else { return Self { over, watcher, counts: false } };
                board.forget();
                board.came = None;
                let work = move || attend_to(&attend, what, notice);
                let Ok(thread) = std::thread::Builder::new().stack_size(256 << 10).spawn(work) else { return Self { over, watcher, counts: false } };
                (over, watcher) = (Some(ours), Some(thread));
            }
            board.holds += 1;
            HOLDS.store(board.holds, Ordering::SeqCst);
            board.update();
            Self { over, watcher, counts: true }
        }
    }

    impl Drop for Active {
        fn drop(&mut self) {
            drop(self.over.take());
            if let Some(watcher) = self.watcher.take() {
                // It cannot fail, and if it did the signal would still be known.
                let _ended = watcher.join();
            }
            if !self.counts {
                return;
            }
            let mut board = board();
            board.holds -= 1;
            HOLDS.store(board.holds, Ordering::SeqCst);
            // From here on a signal ends the process by itself; one of before is still to be acted upon.
            board.update();
            let came = if board.holds == 0 { board.came.take().or_else(|| board.deadly(&HELD)) } else { None };
            drop(board);
            RELEASED.notify_all();
            if let Some(signal) = came {
                end_by(signal);
            }
        }
    }

    /// Does not return: each of [`HELD`] ends a process.
    fn end_by(signal: i32) {
        let _ended = low_level::emulate_default_handler(signal);
    }

    /// Sees to it that a hold does not last when the process has been told to end.
    fn attend_to(over: &UnixStream, what: &str, notice: Notice) {
        let Some((bell, _)) = BELL.get() else { return };
        let (mut told, mut said): (Option<(i32, Instant)>, bool) = (None, false);
        loop {
            let limit = match told {
                None => None,
                Some((signal, at)) => {
                    let waited = at.elapsed();
                    if waited >= PATIENCE {
                        return end_by(signal);
                    }
                    if waited >= UNNOTICED && !said {
                        said = true;
                        notice(&format!("Waiting for {what}, at most {} seconds; Ctrl-C once more ends at once.", PATIENCE.as_secs()));
                    }
                    let next = if said { PATIENCE } else { UNNOTICED };
                    let left = next.saturating_sub(waited) + Duration::from_millis(1);
                    Some(Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() })
                }
            };
            let mut sources = [PollFd::new(over, PollFlags::IN), PollFd::new(bell, PollFlags::IN)];
            // Whatever it ends with, the next look tells.
            let _ready = poll(&mut sources, limit.as_ref());
            if !sources[0].revents().is_empty() {
                return;
            }
            silence();
            let mut board = board();
            if let Some(signal) = board.deadly(&HELD) {
                if let Some((first, _)) = told {
                    drop(board);
                    return end_by(first);
                }
                board.came = Some(signal);
                told = Some((signal, Instant::now()));
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_end_of_the_process_waits_for_what_another_thread_holds() {
        static RELEASED: AtomicBool = AtomicBool::new(false);
        let (begun, begins) = mpsc::channel();
        let (tell, told) = mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            let hold = Hold::new(|_| ());
            hold.begin("a test");
            begun.send(()).expect("somebody waits");
            told.recv().expect("told");
            RELEASED.store(true, Ordering::SeqCst);
        });
        begins.recv().expect("begun");
        let end = std::thread::spawn(|| {
            settle();
            RELEASED.load(Ordering::SeqCst)
        });
        tell.send(()).expect("it holds");
        assert!(end.join().expect("it ends"), "the process would have ended before");
        holder.join().expect("it ends");
        // Nothing is held any more: no wait.
        settle();
    }
}
