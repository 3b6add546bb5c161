//! [`Scanner`]: reads JSON (RFC 8259) in one pass, sixteen bytes at a time where it can, and copies nothing.
//!
//! It takes exactly what serde takes, up to [`DEEPEST`] levels; for what it refuses, serde is asked again and says where the mistake is. A property test holds the two together.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read};

use wide::u8x16;

use crate::block::{find, has, is, is_control};

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

/// A member of an object: where its key and its value stand in the object as it is written. A list has hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of the first quote of the key.
    key: u32,
    /// Of the key with its quotes; and [`ESCAPED`].
    length: u32,
    value: u32,
    value_end: u32,
}

/// Marks a key with a backslash in it. No object is as long.
const ESCAPED: u32 = 1 << 31;

impl Member {
    /// Of the members of an object, as [`Scanner::members`] found them, the value of a key as it is written; of several, the last counts.
    #[inline(never)]
    #[must_use]
    pub fn find<'a>(members: &[Self], object: &'a str, key: &str) -> Option<&'a str> {
        let length = key.len() + 2;
        let has_key = |member: &&Self| {
            let start = member.key as usize;
            if member.length as usize == length {
                object.as_bytes().get(start + 1..start + length - 1) == Some(key.as_bytes())
            } else {
                member.length > ESCAPED && member.has_escaped_key(object, key)
            }
        };
        let found = members.iter().rfind(has_key)?;
        object.get(found.value as usize..found.value_end as usize)
    }

    #[cold]
    fn has_escaped_key(&self, object: &str, key: &str) -> bool {
        let start = self.key as usize;
        let end = start + (self.length & !ESCAPED) as usize;
        (Text { start, end, escaped: true }).decoded(object).is_some_and(|own| own == key)
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
        let (at, byte) = visible(self.text.as_bytes(), self.at)?;
        self.at = at;
        Some(byte)
    }

    #[inline]
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// How many bytes are read.
    #[must_use]
    #[inline]
    pub fn place(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.text.len() - self.at
    }

    /// Steps behind the white space at the end of the text; whether there was some, and nothing else.
    fn skip_space(&mut self) -> bool {
        let has_space = self.left() > 0 && self.is_done();
        if has_space {
            self.at = self.text.len();
        }
        has_space
    }

    /// Whether nothing but white space is left.
    pub fn is_done(&mut self) -> bool {
        self.peek().is_none()
    }

    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Steps over bytes that were looked at.
    #[inline]
    pub(crate) fn step(&mut self, bytes: usize) {
        self.at += bytes;
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
    pub(crate) fn ends(&mut self, closing: u8) -> Option<bool> {
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
        let bytes = self.text.as_bytes();
        let (start, _) = visible(bytes, self.at)?;
        let (end, escaped) = end_of_string(bytes, start)?;
        self.at = end;
        Some(Text { start, end, escaped })
    }

    /// Any value, as it is written.
    #[inline(never)]
    pub fn value(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let (start, _) = visible(bytes, self.at)?;
        self.at = end_of_value(bytes, start, DEEPEST)?;
        self.text.get(start..self.at)
    }

    /// Adds the members of an object, and hands on the object as it is written.
    #[inline(never)]
    pub fn members(&mut self, members: &mut Vec<Member>) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let (start, _) = visible(bytes, self.at).filter(|(_, byte)| *byte == b'{')?;
        self.at = end_of_object(bytes, start, |key, value| {
            let end = end_of_flat_value(bytes, value, DEEPEST)?;
            #[expect(clippy::cast_possible_truncation, reason = "an object that is too large for these numbers is refused below, before anybody sees them")]
            let [own, mut length, value, value_end] = [key.start - start, key.end - key.start, value - start, end - start].map(|number| number as u32);
            if key.escaped {
                key.decoded(self.text)?;
                length |= ESCAPED;
            }
            members.push(Member { key: own, length, value, value_end });
            Some(end)
        })?;
        if self.at - start >= ESCAPED as usize {
            return None;
        }
        self.text.get(start..self.at)
    }

    /// A number, `true`, `false` or `null`, as it is written.
    #[inline(never)]
    pub fn scalar(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.skip_scalar()?;
        self.text.get(start..self.at)
    }

    #[inline]
    pub(crate) fn skip_scalar(&mut self) -> Option<()> {
        self.at = end_of_scalar(self.text.as_bytes(), self.at)?;
        Some(())
    }
}

/// Reads a file that holds an object, in pieces as large as the buffer, which holds something of it afterwards. Hands on each member, and in its place each of its own members for the one
/// that is `opened`, if that is an object: whether it is one of those, its key, and its value as it is written.
///
/// `None` if that does not do: it is no such file, a key has half a character, or a member is larger than the buffer. What was handed on before is to be forgotten.
///
/// # Errors
/// As the file says.
#[inline(never)]
pub fn in_pieces(file: &mut dyn Read, buffer: &mut [u8], opened: &str, each: &mut dyn FnMut(bool, &str, &str)) -> io::Result<Option<()>> {
    let mut inside = Inside::Nothing;
    let mut filled = 0;
    loop {
        let more = match file.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            more => more?,
        };
        filled += more;
        let text = match std::str::from_utf8(&buffer[..filled]) {
            Ok(text) => text,
            // Half a character at the end.
            Err(error) if error.error_len().is_none() => std::str::from_utf8(&buffer[..error.valid_up_to()]).unwrap_or_default(),
            Err(_) => return Ok(None),
        };
        let mut scanner = Scanner::new(text);
        let mut read = 0;
        while let Some(next) = inside.step(&mut scanner, opened, each) {
            inside = next;
            read = scanner.place();
        }
        if more == 0 {
            let is_whole = inside == Inside::Done && read == filled;
            return Ok(is_whole.then_some(()));
        }
        buffer.copy_within(read..filled, 0);
        filled -= read;
        if filled == buffer.len() {
            return Ok(None);
        }
    }
}

/// Where in an object a reader of pieces is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Before it.
    Nothing,
    /// Before a member of it, or of the one that is opened.
    Object { opened: bool, first: bool },
    /// Behind the one that is opened.
    BehindOpened,
    /// Behind it.
    Done,
}

impl Inside {
    /// Reads the next member with what stands behind it, or a bracket, and tells where that leads; `None` if it is not all there.
    #[inline]
    fn step(self, scanner: &mut Scanner<'_>, open: &str, each: &mut dyn FnMut(bool, &str, &str)) -> Option<Self> {
        let behind = |opened: bool| if opened { Self::BehindOpened } else { Self::Done };
        match self {
            Self::Nothing => scanner.take(b'{').map(|()| Self::Object { opened: false, first: true }),
            Self::Object { opened, first } => {
                if first && scanner.peek()? == b'}' {
                    scanner.step(1);
                    return Some(behind(opened));
                }
                let key = scanner.string()?.decoded(scanner.text)?;
                scanner.take(b':')?;
                if !opened && key == open && scanner.peek()? == b'{' {
                    scanner.step(1);
                    return Some(Self::Object { opened: true, first: true });
                }
                let value = scanner.value()?;
                let is_last = scanner.ends(b'}')?;
                each(opened, &key, value);
                Some(if is_last { behind(opened) } else { Self::Object { opened, first: false } })
            }
            Self::BehindOpened => Some(if scanner.ends(b'}')? { Self::Done } else { Self::Object { opened: false, first: false } }),
            // White space alone may follow.
            Self::Done => scanner.skip_space().then_some(Self::Done),
        }
    }
}

/// The first byte from a place on that is not white space, and where it stands.
#[inline]
fn visible(bytes: &[u8], at: usize) -> Option<(usize, u8)> {
    match *bytes.get(at)? {
        ..=b' ' => visible_behind_space(bytes, at),
        byte => Some((at, byte)),
    }
}

/// As [`visible`] where white space may stand: many spaces at a time, as indented text has them.
#[inline(never)]
fn visible_behind_space(bytes: &[u8], mut at: usize) -> Option<(usize, u8)> {
    loop {
        match *bytes.get(at)? {
            b' ' | b'\n' | b'\t' | b'\r' => at += 1,
            byte => return Some((at, byte)),
        }
        if let Some((next, _)) = find(bytes, at, |bytes| !is(b' ')(bytes)) {
            at = next;
        }
    }
}

/// Where the value ends that begins at a place.
fn end_of_value(bytes: &[u8], start: usize, levels: usize) -> Option<usize> {
    match *bytes.get(start)? {
        b'{' => {
            let levels = levels.checked_sub(1)?;
            end_of_object(bytes, start, |_, value| end_of_flat_value(bytes, value, levels))
        }
        b'[' => {
            let levels = levels.checked_sub(1)?;
            let (mut at, byte) = visible(bytes, start + 1)?;
            if byte == b']' {
                return Some(at + 1);
            }
            loop {
                let end = end_of_flat_value(bytes, at, levels)?;
                at = match visible(bytes, end)? {
                    (comma, b',') => visible(bytes, comma + 1)?.0,
                    (end, b']') => return Some(end + 1),
                    _ => return None,
                };
            }
        }
        _ => end_of_flat_value(bytes, start, levels),
    }
}

/// As [`end_of_value`]; most values are neither lists nor objects.
#[inline]
fn end_of_flat_value(bytes: &[u8], start: usize, levels: usize) -> Option<usize> {
    match *bytes.get(start)? {
        b'"' => end_of_string(bytes, start).map(|(end, _)| end),
        b'{' | b'[' => end_of_value(bytes, start, levels),
        _ => end_of_scalar(bytes, start),
    }
}

/// Where the object ends that begins at a place; `each` is told each key, and where its value begins, and tells where that ends.
#[inline]
fn end_of_object(bytes: &[u8], start: usize, mut each: impl FnMut(Text, usize) -> Option<usize>) -> Option<usize> {
    let (mut at, byte) = visible(bytes, start + 1)?;
    if byte == b'}' {
        return Some(at + 1);
    }
    loop {
        let (end, escaped) = end_of_string(bytes, at)?;
        let (colon, _) = visible(bytes, end).filter(|(_, byte)| *byte == b':')?;
        let end = each(Text { start: at, end, escaped }, visible(bytes, colon + 1)?.0)?;
        at = match visible(bytes, end)? {
            (comma, b',') => visible(bytes, comma + 1)?.0,
            (end, b'}') => return Some(end + 1),
            _ => return None,
        };
    }
}

/// Where the string ends that begins at a place, and whether there is a backslash in it.
#[inline]
fn end_of_string(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    if *bytes.get(start)? != b'"' {
        return None;
    }
    match find(bytes, start + 1, ends_plain_text) {
        Some((end, b'"')) => Some((end + 1, false)),
        _ => end_of_any_string(bytes, start),
    }
}

/// As [`end_of_string`] where the string has escapes, or stands at the end of the text.
#[inline(never)]
fn end_of_any_string(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    let mut at = start + 1;
    loop {
        match find(bytes, at, ends_plain_text).or_else(|| end_of_last(bytes, at))? {
            (end, b'"') => return Some((end + 1, escaped)),
            (end, b'\\') => {
                escaped = true;
                at = end + escape(&bytes[end + 1..])?;
            }
            _ => return None,
        }
    }
}

/// Where the number, `true`, `false` or `null` ends that begins at a place.
#[inline]
fn end_of_scalar(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let length = match rest.first()? {
        b't' => rest.starts_with(b"true").then_some(4),
        b'f' => rest.starts_with(b"false").then_some(5),
        b'n' => rest.starts_with(b"null").then_some(4),
        _ => number(rest),
    }?;
    Some(start + length)
}

/// Marks what ends a run of plain characters in a string: quotes, backslashes, control characters.
#[inline]
fn ends_plain_text(bytes: u8x16) -> u8x16 {
    is(b'"')(bytes) | is(b'\\')(bytes) | is_control(bytes)
}

/// As [`find`], of what [`ends_plain_text`], where few bytes are left; control characters are refused.
fn end_of_last(bytes: &[u8], from: usize) -> Option<(usize, u8)> {
    let rest = bytes.get(from..)?;
    let length = memchr::memchr2(b'"', b'\\', rest)?;
    (!has(&rest[..length], is_control)).then_some((from + length, rest[length]))
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
    let start = usize::from(text.first() == Some(&b'-'));
    let length = digits(text, start);
    if length == start || (length > start + 1 && text[start] == b'0') {
        return None;
    }
    if matches!(text.get(length), Some(b'.' | b'e' | b'E')) { with_fraction(text, length) } else { Some(length) }
}

/// The length of a number with its fraction and exponent, one of which begins at a place.
#[inline(never)]
fn with_fraction(text: &[u8], mut length: usize) -> Option<usize> {
    if text.get(length) == Some(&b'.') {
        let fraction = length + 1;
        length = Some(digits(text, fraction)).filter(|end| *end > fraction)?;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let exponent = length + 1 + usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        length = Some(digits(text, exponent)).filter(|end| *end > exponent)?;
    }
    Some(length)
}

/// Where the digits end that begin at a place.
#[inline]
fn digits(text: &[u8], mut at: usize) -> usize {
    let is_other = |bytes: u8x16| {
        let value = bytes - u8x16::splat(b'0');
        value.max(u8x16::splat(10)).simd_eq(value)
    };
    if let Some((end, _)) = find(text, at, is_other) {
        return end;
    }
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}
