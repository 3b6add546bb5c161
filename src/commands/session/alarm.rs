//! What wakes the keeper of a session beside its sockets: an alarm, and the end of the process that the session ends with.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::OwnedFd;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::event::poll;
use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use crate::clock;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::error::Failure;

/// How often the process is looked after that the session ends with, where the system does not tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LOOK: Duration = Duration::from_secs(2);

/// An alarm by the clock of the wall: it goes off in time also after the machine has slept, or the clock was put.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) struct Timer(OwnedFd);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Timer {
    pub(super) fn new() -> Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        Ok(Self(timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?))
    }

    pub(super) fn set(&self, at: Option<Timestamp>) -> Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = at.map_or(never, |at| Timespec { tv_sec: at.as_second().max(1), tv_nsec: at.subsec_nanosecond().max(0).into() });
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&self.0, flags, &Itimerspec { it_interval: never, it_value: at })
            .map(drop)
            .map_err(|error| Failure::new(format!("cannot set an alarm: {error}")).into())
    }

    pub(super) fn watch<'t>(&'t self, sources: &mut Vec<PollFd<'t>>) {
        sources.push(PollFd::new(&self.0, PollFlags::IN));
    }

    pub(super) fn drain(&self) {
        // It says how often it went off, or that the clock was put: both mean, look again.
        let _count = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }

    #[expect(clippy::unused_self, reason = "elsewhere there is a limit")]
    pub(super) fn limit(&self, _: bool) -> Option<rustix::event::Timespec> {
        None
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) struct Timer(std::cell::Cell<Option<Timestamp>>);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Timer {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(std::cell::Cell::new(None)))
    }

    pub(super) fn set(&self, at: Option<Timestamp>) -> Result<()> {
        self.0.set(at);
        Ok(())
    }

    pub(super) fn watch<'t>(&'t self, _: &mut Vec<PollFd<'t>>) {}

    pub(super) fn drain(&self) {}

    /// At most half a minute, so that a machine that slept finds out soon.
    pub(super) fn limit(&self, is_bound: bool) -> Option<rustix::event::Timespec> {
        let most = if is_bound { LOOK } else { Duration::from_secs(30) };
        let left = self.0.get().map_or(most, |at| Duration::try_from(at.duration_since(clock::now())).unwrap_or_default().min(most));
        Some(rustix::event::Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() })
    }
}

/// The process that a session ends with.
pub(super) struct Bound {
    #[cfg_attr(any(target_os = "linux", target_os = "android"), expect(dead_code, reason = "elsewhere it is looked after by its number"))]
    process: Option<Pid>,
    /// Readable when it is gone; `None` if it is gone already, or cannot be waited for.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    ended: Option<OwnedFd>,
}

impl Bound {
    pub(super) fn to(process: u32) -> Self {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        Self {
            process,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            ended: process.and_then(|process| rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).ok()),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn is_gone(&self) -> bool {
        let Some(ended) = &self.ended else { return true };
        poll(&mut [PollFd::new(ended, PollFlags::IN)], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn is_gone(&self) -> bool {
        self.process.is_none_or(|process| rustix::process::test_kill_process(process).is_err())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn watch<'b>(&'b self, sources: &mut Vec<PollFd<'b>>) {
        sources.extend(self.ended.as_ref().map(|ended| PollFd::new(ended, PollFlags::IN)));
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn watch<'b>(&'b self, _: &mut Vec<PollFd<'b>>) {}
}
