//! Which of many sources are ready, and nothing else: `epoll` on Linux, whose cost does not grow with what is idle; `poll` elsewhere.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::Timespec;

/// How many events are taken at a time.
const BATCH: usize = 256;

fn timespec(limit: Duration) -> Timespec {
    // To the full millisecond, so that a limit that is nearly reached is not waited for in a busy loop.
    let limit = limit + Duration::from_millis(1);
    // What is longer than a day is looked at after one: old kernels take no more than 24 days.
    let limit = limit.min(Duration::from_secs(86_400));
    Timespec { tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: limit.subsec_nanos().into() }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::io::Errno;

    use super::{AsFd, BATCH, Duration, io, timespec};

    /// A set of sources, each with a number.
    #[derive(Debug)]
    pub(in crate::broker) struct Poller {
        epoll: OwnedFd,
    }

    fn interest(writing: bool) -> EventFlags {
        if writing { EventFlags::OUT } else { EventFlags::IN | EventFlags::RDHUP }
    }

    impl Poller {
        pub(in crate::broker) fn new() -> io::Result<Self> {
            Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
        }

        /// Watches a source until it is closed.
        pub(in crate::broker) fn add(&mut self, source: impl AsFd, key: u64) -> io::Result<()> {
            Ok(epoll::add(&self.epoll, source, EventData::new_u64(key), interest(false))?)
        }

        /// Waits for room to write instead of for something to read, or the other way round.
        pub(in crate::broker) fn turn(&mut self, source: impl AsFd, key: u64, writing: bool) -> io::Result<()> {
            Ok(epoll::modify(&self.epoll, source, EventData::new_u64(key), interest(writing))?)
        }

        /// A source is about to be closed: the system forgets it by itself.
        #[expect(clippy::unused_self, reason = "elsewhere it does something")]
        pub(in crate::broker) fn forget(&mut self, _: u64) {}

        /// Waits until a source is ready or the time is up; the numbers of those that are.
        pub(in crate::broker) fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<u64>) -> io::Result<()> {
            ready.clear();
            // Made anew each time, because the system's type of an event cannot go from thread to thread.
            let mut events: Vec<Event> = Vec::with_capacity(BATCH);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), limit.map(timespec).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            ready.extend(events.iter().map(|event| event.data.u64()));
            Ok(())
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    use super::{AsFd, BATCH, Duration, io, timespec};

    /// A set of sources, each with a number.
    #[derive(Debug)]
    pub(in crate::broker) struct Poller {
        sources: Vec<(u64, OwnedFd, bool)>,
    }

    impl Poller {
        pub(in crate::broker) fn new() -> io::Result<Self> {
            Ok(Self { sources: Vec::new() })
        }

        pub(in crate::broker) fn add(&mut self, source: impl AsFd, key: u64) -> io::Result<()> {
            self.sources.push((key, source.as_fd().try_clone_to_owned()?, false));
            Ok(())
        }

        pub(in crate::broker) fn turn(&mut self, _: impl AsFd, key: u64, writing: bool) -> io::Result<()> {
            for source in self.sources.iter_mut().filter(|source| source.0 == key) {
                source.2 = writing;
            }
            Ok(())
        }

        pub(in crate::broker) fn forget(&mut self, key: u64) {
            self.sources.retain(|source| source.0 != key);
        }

        pub(in crate::broker) fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<u64>) -> io::Result<()> {
            ready.clear();
            let flags = |writing: bool| if writing { PollFlags::OUT } else { PollFlags::IN };
            let mut sources: Vec<PollFd<'_>> = self.sources.iter().map(|(_, source, writing)| PollFd::new(source, flags(*writing))).collect();
            match poll(&mut sources, limit.map(timespec).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let is_ready = |source: &&(&PollFd<'_>, u64)| !source.0.revents().is_empty();
            let numbered: Vec<(&PollFd<'_>, u64)> = sources.iter().zip(self.sources.iter().map(|source| source.0)).collect();
            ready.extend(numbered.iter().filter(is_ready).map(|source| source.1).take(BATCH));
            Ok(())
        }
    }
}

pub(in crate::broker) use system::Poller;
