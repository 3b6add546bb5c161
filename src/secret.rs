//! [`Secret`]: text that must never be shown.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::{Zeroizing, optimization_barrier};

/// Hidden text: a token, a password, a client secret.
///
/// It has no `Display` and is not serialisable; `Debug` prints a mask; the memory is wiped on drop. The only way out is
/// [`Secret::expose`], so that a search for that word finds every place where a secret leaves its type.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in; surrounding white space is kept, because it may be part of a password.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// Empties a buffer and overwrites what was in it; keeps its memory for the next. Many times quicker than byte by byte, which counts where megabytes pass through.
pub(crate) fn wipe(buffer: &mut Vec<u8>) {
    buffer.fill(0);
    // Without it the compiler could see that nobody reads the zeros, and leave them out.
    optimization_barrier(buffer.as_slice());
    buffer.clear();
}

/// Bytes that are wiped on drop, for files and replies: `Zeroizing` takes one byte at a time.
#[derive(Default)]
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wiped(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let shown = format!("{:?} {:#?}", Secret::new("dapi123"), Some(Secret::new("dapi123")));
        assert!(!shown.contains("dapi"), "{shown}");
    }
}
