//! A page of ours that leads a person through a sign-in: it is given the link, and the browser comes back to it.

use std::fmt;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

/// Leads the browser, instead of a program that opens it and of questions at the terminal.
pub(crate) struct Guide {
    /// Is told the link.
    lead: Box<dyn Fn(&str) + Send + Sync>,
    /// Where the browser goes in the end.
    pub(crate) back: String,
    given_up: AtomicBool,
    /// The second is readable once the person has given up.
    #[cfg(unix)]
    wake: (UnixStream, UnixStream),
}

impl Guide {
    /// # Errors
    /// If the system gives no pair of sockets.
    pub(crate) fn new(back: String, lead: impl Fn(&str) + Send + Sync + 'static) -> std::io::Result<Self> {
        Ok(Self {
            lead: Box::new(lead),
            back,
            given_up: AtomicBool::new(false),
            #[cfg(unix)]
            wake: UnixStream::pair()?,
        })
    }

    pub(crate) fn lead(&self, link: &str) {
        (self.lead)(link);
    }

    /// Ends the wait for the person.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        #[cfg(unix)]
        let _closed = self.wake.0.shutdown(std::net::Shutdown::Both);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Readable once the person has given up.
    #[cfg(unix)]
    pub(crate) fn source(&self) -> BorrowedFd<'_> {
        self.wake.1.as_fd()
    }
}

impl fmt::Debug for Guide {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Guide")
    }
}
