//! [`Printer`]: writes JSON documents with 2 spaces per level, in one pass over their text. What nearly all text is, is copied while it is read.

use std::borrow::Cow;
use std::cmp::Ordering;

use wide::u8x16;

use crate::block::{find, is, is_no_printable_ascii};
use crate::json::{DEEPEST, Scanner, Text};
use crate::{append, copy, word_at};

/// How documents are printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether keys are written by the order of their bytes, the last of equal ones only; else as they came.
    pub sorted: bool,
    pub color: bool,
    /// Writes a text as a JSON string: those that hold more than ASCII, or anything that is to be escaped.
    pub quote: fn(&str, &mut Vec<u8>),
}

/// The begin of a line with what stands before it.
const LINE: [u8; 32] = {
    let mut line = [b' '; 32];
    line[1] = b'\n';
    line
};

/// Prints documents; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Printer {
    members: Vec<Member>,
}

/// A member of an object that is being printed.
#[derive(Clone, Copy, Debug)]
struct Member {
    key: Text,
    /// The first eight bytes of the key, by which most are told apart.
    prefix: u64,
    /// Where it begins in the output, with the bracket or comma before it.
    start: usize,
    end: usize,
}

impl Printer {
    /// Appends a document whose first line is indented already. `None`, and nothing is appended, if it is no JSON or deeper than [`DEEPEST`] levels.
    #[inline(never)]
    pub fn print(&mut self, document: &str, level: usize, style: Style, out: &mut Vec<u8>) -> Option<()> {
        let before = out.len();
        // Room for lines and spaces, and for members that are put in order: so no copies with secrets in them are left in memory.
        out.reserve(3 * document.len());
        let mut scanner = Scanner::new(document);
        let whole = self.print_next(&mut scanner, level, style, out).filter(|()| scanner.is_done());
        if whole.is_none() {
            cut(out, before);
        }
        whole
    }

    /// As [`Printer::print`], of the value at which a scanner stands, which steps behind it.
    #[inline(never)]
    pub fn print_next(&mut self, scanner: &mut Scanner<'_>, level: usize, style: Style, out: &mut Vec<u8>) -> Option<()> {
        let before = out.len();
        self.members.clear();
        let mut printing = Printing { document: scanner.text(), scanner: scanner.clone(), style, members: &mut self.members, out };
        let printed = printing.value(level, DEEPEST);
        *scanner = printing.scanner;
        if printed.is_none() {
            cut(out, before);
        }
        printed
    }
}

/// A document on its way out.
struct Printing<'d, 'p> {
    scanner: Scanner<'d>,
    document: &'d str,
    style: Style,
    /// Of the objects that are being printed, innermost last.
    members: &'p mut Vec<Member>,
    out: &'p mut Vec<u8>,
}

impl Printing<'_, '_> {
    fn value(&mut self, level: usize, levels: usize) -> Option<()> {
        match self.scanner.peek()? {
            b'"' => self.string("32").map(|_| ()),
            b'{' => self.object(level, levels.checked_sub(1)?),
            b'[' => self.list(level, levels.checked_sub(1)?),
            first => {
                let start = self.scanner.place();
                self.scanner.skip_scalar()?;
                let tint = if first.is_ascii_alphabetic() { "" } else { "36" };
                self.tinted(tint, |printing| copy(printing.out, printing.document.as_bytes(), start, printing.scanner.place()));
                Some(())
            }
        }
    }

    fn list(&mut self, level: usize, levels: usize) -> Option<()> {
        self.scanner.step(1);
        if self.scanner.peek()? == b']' {
            self.scanner.step(1);
            self.out.extend_from_slice(b"[]");
            return Some(());
        }
        let mut before = b'[';
        loop {
            self.line(before, level + 1);
            self.value(level + 1, levels)?;
            if self.scanner.ends(b']')? {
                break;
            }
            before = b',';
        }
        self.last_line(b']', level);
        Some(())
    }

    fn object(&mut self, level: usize, levels: usize) -> Option<()> {
        self.scanner.step(1);
        if self.scanner.peek()? == b'}' {
            self.scanner.step(1);
            self.out.extend_from_slice(b"{}");
            return Some(());
        }
        let (first, begin) = (self.members.len(), self.out.len());
        let mut in_order = true;
        loop {
            let start = self.out.len();
            self.line(if start == begin { b'{' } else { b',' }, level + 1);
            if self.scanner.peek()? != b'"' {
                return None;
            }
            let key = self.scanner.place();
            let escaped = self.string("1;34")?;
            let key = Text { start: key, end: self.scanner.place(), escaped };
            let member = Member { key, prefix: prefix(self.document, key), start, end: start };
            in_order &= self.members[first..].last().is_none_or(|before| before.order(&member, self.document).is_lt());
            self.members.push(member);
            self.scanner.take(b':')?;
            self.out.extend_from_slice(b": ");
            self.value(level + 1, levels)?;
            if self.scanner.ends(b'}')? {
                break;
            }
        }
        if self.style.sorted && !in_order {
            self.sort(first, begin);
        }
        self.members.truncate(first);
        self.last_line(b'}', level);
        Some(())
    }

    /// Puts the members of the object whose last member was just printed into their order; `start` is where it begins in the output.
    #[inline(never)]
    fn sort(&mut self, first: usize, start: usize) {
        let document = self.document;
        let members = &mut self.members[first..];
        let mut end = self.out.len();
        for member in members.iter_mut().rev() {
            member.end = std::mem::replace(&mut end, member.start);
        }
        // Of equal keys the one written last stands first and is kept.
        members.sort_unstable_by(|left, right| left.order(right, document).then(right.start.cmp(&left.start)));
        let end = self.out.len();
        let mut before: Option<&Member> = None;
        for member in members {
            if before.is_some_and(|before| before.order(member, document).is_eq()) {
                continue;
            }
            let bracket = self.out.len();
            self.out.extend_from_within(member.start..member.end);
            self.out[bracket] = if before.is_none() { b'{' } else { b',' };
            before = Some(member);
        }
        self.out.copy_within(end.., start);
        cut(self.out, start + self.out.len() - end);
    }

    /// Prints a string; whether there is a backslash in it.
    #[inline(never)]
    fn string(&mut self, tint: &str) -> Option<bool> {
        let start = self.scanner.place();
        match end_of_plain(self.document.as_bytes(), start + 1) {
            Some(end) if !self.style.color => {
                self.scanner.step(end - start);
                copy(self.out, self.document.as_bytes(), start, end);
                Some(false)
            }
            _ => self.any_string(tint),
        }
    }

    /// As [`Printing::string`], of one that is in colour or not plain.
    #[inline(never)]
    fn any_string(&mut self, tint: &str) -> Option<bool> {
        let text = self.scanner.string()?;
        self.tinted(tint, |printing| (printing.style.quote)(&text.meant(printing.document), printing.out));
        Some(text.escaped)
    }

    #[inline]
    fn tinted(&mut self, code: &str, print: impl FnOnce(&mut Self)) {
        let painted = self.style.color && !code.is_empty();
        if painted {
            paint(self.out, code);
        }
        print(self);
        if painted {
            paint(self.out, "0");
        }
    }

    /// Writes a bracket or comma and begins a line behind it.
    #[inline]
    fn line(&mut self, before: u8, level: usize) {
        let start = self.out.len();
        self.out.extend_from_slice(&LINE);
        self.out[start] = before;
        match LINE.len().checked_sub(2 + 2 * level) {
            Some(more) => self.out.truncate(start + LINE.len() - more),
            None => self.out.resize(start + 2 + 2 * level, b' '),
        }
    }

    /// Writes the last line of a list or object.
    #[inline]
    fn last_line(&mut self, bracket: u8, level: usize) {
        let start = self.out.len();
        self.out.extend_from_slice(&LINE[1..]);
        match LINE.len().checked_sub(2 + 2 * level) {
            Some(more) => self.out.truncate(start + LINE.len() - 1 - more),
            None => self.out.resize(start + 1 + 2 * level, b' '),
        }
        self.out.push(bracket);
    }
}

/// The first eight bytes of a key as a number: of two keys with different ones, that of the greater key is greater.
#[inline]
fn prefix(document: &str, key: Text) -> u64 {
    let fold = |text: &str| text.bytes().chain(std::iter::repeat(0)).take(8).fold(0, |prefix, byte| prefix << 8 | u64::from(byte));
    let length = key.end - key.start - 2;
    match word_at(document.as_bytes(), key.start + 1) {
        Some(word) if !key.escaped && length >= 8 => word.swap_bytes(),
        Some(word) if !key.escaped && length > 0 => word.swap_bytes() & (u64::MAX << (64 - 8 * length)),
        _ => fold(&key.meant(document)),
    }
}

impl Member {
    /// The order of two keys.
    #[inline]
    fn order(&self, other: &Self, document: &str) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| order(document, self.key, other.key))
    }
}

/// As [`Member::order`], of the whole keys.
#[inline(never)]
fn order(document: &str, left: Text, right: Text) -> Ordering {
    if left.escaped || right.escaped {
        return left.meant(document).cmp(&right.meant(document));
    }
    let key = |text: Text| &document.as_bytes()[text.start + 1..text.end - 1];
    key(left).cmp(key(right))
}

/// Where the string ends whose first character stands at a place, if it is ASCII throughout and nothing in it is to be escaped; not near the end of the text.
#[inline]
fn end_of_plain(bytes: &[u8], from: usize) -> Option<usize> {
    // " and & differ in one bit, which is set here, and so do < and >.
    let is_other = |bytes: u8x16| {
        let [quote_or_and, angle] = [(b'&', 4), (b'>', 2)].map(|(byte, bit)| is(byte)(bytes | u8x16::splat(bit)));
        quote_or_and | angle | is(b'\\')(bytes) | is_no_printable_ascii(bytes)
    };
    find(bytes, from, is_other).filter(|(_, byte)| *byte == b'"').map(|(end, _)| end + 1)
}

/// Shortens a buffer, and leaves nothing of what was cut off in its memory.
fn cut(out: &mut Vec<u8>, length: usize) {
    out[length..].fill(0);
    out.truncate(length);
}

/// Writes the code that begins or ends a colour.
pub fn paint(out: &mut Vec<u8>, code: &str) {
    for part in ["\x1b[", code, "m"] {
        append(out, part.as_bytes());
    }
}

impl Text {
    /// The text that is meant; half a character is the replacement character, as Go reads it.
    fn meant(self, document: &str) -> Cow<'_, str> {
        self.decoded(document).unwrap_or_else(|| {
            let repaired = without_half_surrogates(&document[self.start..self.end]);
            Cow::Owned(serde_json::from_str(&repaired).unwrap_or_default())
        })
    }
}

/// A JSON string in which every escaped surrogate without its other half is the replacement character.
fn without_half_surrogates(quoted: &str) -> String {
    let unit = |at: usize| {
        let escape = quoted.get(at..at + 6)?;
        u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let mut repaired = String::with_capacity(quoted.len());
    let mut at = 0;
    while let Some(rest) = quoted.get(at..).filter(|rest| !rest.is_empty()) {
        let taken = match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                repaired.push('\u{fffd}');
                at += 6;
                continue;
            }
            Some(_) => 6,
            None if rest.starts_with('\\') => 2,
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
        repaired.push_str(rest.get(..taken).unwrap_or(rest));
        at += taken;
    }
    repaired
}
