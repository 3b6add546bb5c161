//! [`Scanner`]: reads JSON (RFC 8259) in one pass, eight bytes at a time where it can, and copies nothing.
//!
//! It takes exactly what serde takes, up to [`DEEPEST`] levels; for what it refuses, serde is asked again and says where the mistake is. A property test holds the two together.

use std::borrow::Cow;

use crate::{HIGH, ONES};

/// Levels of lists and objects; deeper than any reply of the service, and beyond it a document is an attack on the stack.
pub const DEEPEST: usize = 128;

/// Where a string stands in its text, with its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Of its opening quote.
    pub start: usize,
    /// Behind its closing quote.
    pub end: usize,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

impl Text {
    /// The text that is meant; `None` if an escape in it stands for half a character.
    #[inline]
    pub fn decoded(self, text: &str) -> Option<Cow<'_, str>> {
        if self.escaped {
            return serde_json::from_str(text.get(self.start..self.end)?).ok().map(Cow::Owned);
        }
        text.get(self.start + 1..self.end - 1).map(Cow::Borrowed)
    }
}

/// A place in a JSON text. Each method reads one thing from there on and steps behind it; `None` says that something else stands there, and ends the reading.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space; stays before it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// How many bytes are read.
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    /// What stands between here and a later place of the same text.
    #[must_use]
    pub fn until(&self, later: &Self) -> Option<&'a str> {
        self.text.get(self.at..later.at)
    }

    /// Whether nothing but white space is left.
    pub fn is_done(&mut self) -> bool {
        self.peek().is_none()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// An object; `each` is handed every key, and reads its value.
    #[inline]
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, Text) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            each(self, key)?;
            if self.ends(b'}')? {
                return Some(());
            }
        }
    }

    /// A list; `each` reads an item.
    #[inline]
    pub fn list(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            if self.ends(b']')? {
                return Some(());
            }
        }
    }

    /// Steps over the closing bracket, or over a comma.
    #[inline]
    fn ends(&mut self, closing: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(false),
            _ if byte == closing => Some(true),
            _ => None,
        }
    }

    /// A string.
    #[inline(never)]
    pub fn string(&mut self) -> Option<Text> {
        self.string_here()
    }

    #[inline]
    fn string_here(&mut self) -> Option<Text> {
        self.take(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at - 1;
        let mut at = self.at;
        let mut escaped = false;
        loop {
            while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                let found = ends_plain_text(u64::from_le_bytes(*eight));
                if found != 0 {
                    at += (found.trailing_zeros() / 8) as usize;
                    break;
                }
                at += 8;
            }
            match *bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += escape(bytes.get(at + 1..)?)?;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(Text { start, end: self.at, escaped })
    }

    /// Any value, as it is written.
    #[inline(never)]
    pub fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip(DEEPEST)?;
        self.text.get(start..self.at)
    }

    fn skip(&mut self, levels: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string_here().map(|_| ()),
            b'{' => {
                let levels = levels.checked_sub(1)?;
                self.object(|scanner, _| scanner.skip(levels))
            }
            b'[' => {
                let levels = levels.checked_sub(1)?;
                self.list(|scanner| scanner.skip(levels))
            }
            _ => self.scalar().map(|_| ()),
        }
    }

    /// The members of an object: each key, and its value as it is written. `room` is how many they may be.
    #[inline(never)]
    pub fn members(&mut self, room: usize) -> Option<Vec<(Cow<'a, str>, &'a str)>> {
        let mut members = Vec::with_capacity(room);
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(members);
        }
        loop {
            let key = self.string_here()?;
            self.take(b':')?;
            members.push((key.decoded(self.text)?, self.value()?));
            if self.ends(b'}')? {
                return Some(members);
            }
        }
    }

    /// A number, `true`, `false` or `null`, as it is written.
    #[inline(never)]
    pub fn scalar(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = match rest.first()? {
            b't' => rest.starts_with(b"true").then_some(4),
            b'f' => rest.starts_with(b"false").then_some(5),
            b'n' => rest.starts_with(b"null").then_some(4),
            _ => number(rest),
        }?;
        let start = self.at;
        self.at += length;
        self.text.get(start..self.at)
    }
}

/// Not zero if one of eight characters is a quote, a backslash or a control character; the lowest bit that is set lies in the first such byte.
#[inline]
fn ends_plain_text(eight: u64) -> u64 {
    // Below a space, and for the other two when they are taken away, a byte borrows; beyond ASCII none of them is meant.
    let quote = (eight ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (eight ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let control = eight.wrapping_sub(ONES * 0x20);
    (quote | backslash | control) & !eight & HIGH
}

/// The length of an escape with its backslash, given what follows that.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

/// The length of the number at the start.
#[inline]
fn number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = usize::from(text.starts_with(b"-"));
    length += match digits(length) {
        0 => return None,
        more if more > 1 && text[length] == b'0' => return None,
        more => more,
    };
    if text.get(length) == Some(&b'.') {
        length += 1 + Some(digits(length + 1)).filter(|more| *more > 0)?;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        length += 1 + usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        length += Some(digits(length)).filter(|more| *more > 0)?;
    }
    Some(length)
}
