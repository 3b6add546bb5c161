//! The dialect of `.databrickscfg`: how the bytes fall into lines, and what a line says.
//!
//! It is the dialect of the Go SDK's INI reader, because scripts know the official CLI by it, with two leniencies: a bad line spoils itself and not the file, and an
//! indented line without a delimiter continues the value above it, as in Python's `configparser`. Nothing here allocates unless a value spans lines, and every item
//! knows its exact bytes, so that [`super::document`] can change one and leave the rest.

use std::borrow::Cow;
use std::ops::Range;

use databricks_hot::ini::Fault;
use memchr::{memchr, memchr_iter, memchr2, memmem};

/// One item of the file: a line, or the several lines of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// All of its bytes, with the line end.
    pub(crate) bytes: Range<usize>,
    /// Number of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Blank,
    /// A line whose first character is `#` or `;`.
    Comment,
    /// `[name]`; the range is the name.
    Section(Range<usize>),
    Entry(Entry),
    /// Nothing that any reader of this file understands.
    Bad(Fault),
}

/// Where the parts of `key = value` stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Range<usize>,
    /// From behind the delimiter to the end of the last line, without the line end.
    pub(crate) value: Range<usize>,
}

/// Why a line cannot be read, in the words of the official CLI, which scripts may search for.
pub(crate) fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::NoDelimiter => "key-value delimiter not found",
        Fault::UnclosedSection => "unclosed section",
        Fault::EmptyKey => "empty key name",
        Fault::UnclosedQuote => "missing closing quote",
    }
}

/// Walks over the items of a file.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    next: usize,
    line: usize,
}

/// The byte order mark that some Windows editors put first.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let next = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Self { bytes, next, line: 1 }
    }

    /// Walks over a part of the file whose first item starts at `range.start` in line `line`.
    pub(crate) fn within(bytes: &'a [u8], range: Range<usize>, line: usize) -> Self {
        Self { bytes: &bytes[..range.end], next: range.start, line }
    }

    /// The end of the line that starts at `start`, behind its line feed.
    fn line_end(&self, start: usize) -> usize {
        memchr(b'\n', &self.bytes[start..]).map_or(self.bytes.len(), |feed| start + feed + 1)
    }

    /// Reads the key and value at `content`; moves the end of the item on where the value goes over several lines.
    fn entry(&self, content: Range<usize>, end: &mut usize) -> Result<Entry, Fault> {
        let (key, delimiter) = key(&self.bytes[content.clone()])?;
        let key = trimmed(self.bytes, content.start + key.start..content.start + key.end);
        if key.is_empty() {
            return Err(Fault::EmptyKey);
        }
        let value = trimmed(self.bytes, content.start + delimiter + 1..content.end);
        // At the very end of a file Go takes three quotes alone for a value; a further line would make them an opening quote, so they are that here.
        if let Some(quote) = opening_quote(&self.bytes[value.clone()]) {
            let inside = value.start + quote.len();
            if rfind(&self.bytes[inside..*end], quote).is_none() {
                let close = find(&self.bytes[*end..], quote).ok_or(Fault::UnclosedQuote)?;
                *end = self.line_end(*end + close);
            }
        } else {
            let mut last = self.bytes[value].last().copied();
            while last == Some(b'\\') && *end < self.bytes.len() {
                let next = trimmed(self.bytes, *end..self.line_end(*end));
                *end = self.line_end(*end);
                last = self.bytes[next].last().copied();
            }
        }
        // An indented line that is neither key nor section nor comment goes on with the value.
        while *end < self.bytes.len() && matches!(self.bytes[*end], b' ' | b'\t') {
            let next = trimmed(self.bytes, *end..self.line_end(*end));
            let text = &self.bytes[next];
            if text.is_empty() || matches!(text[0], b'#' | b';' | b'[') || text.iter().any(|byte| matches!(byte, b'=' | b':')) {
                break;
            }
            *end = self.line_end(*end);
        }
        Ok(Entry { key, value: content.start + delimiter + 1..without_line_end(self.bytes, content.start..*end).end })
    }
}

impl Iterator for Lines<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let start = self.next;
        if start >= self.bytes.len() {
            return None;
        }
        let first_end = self.line_end(start);
        let mut end = first_end;
        let content = trimmed(self.bytes, start..end);
        let kind = match self.bytes[content.clone()].first() {
            None => Kind::Blank,
            Some(b'#' | b';') => Kind::Comment,
            Some(b'[') => match self.bytes[content.clone()].iter().rposition(|byte| *byte == b']') {
                Some(close) => Kind::Section(content.start + 1..content.start + close),
                None => Kind::Bad(Fault::UnclosedSection),
            },
            Some(_) => match self.entry(content, &mut end) {
                Ok(entry) => Kind::Entry(entry),
                Err(fault) => {
                    end = first_end;
                    Kind::Bad(fault)
                }
            },
        };
        self.next = end;
        let line = self.line;
        self.line += 1 + memchr_iter(b'\n', &self.bytes[first_end..end]).count();
        Some(Item { bytes: start..end, line, kind })
    }
}

/// The value that the raw text behind the delimiter stands for: comments cut, quotes taken off, continued lines joined.
pub(crate) fn value(raw: &[u8]) -> Cow<'_, [u8]> {
    let text = trim(raw);
    let first_end = memchr(b'\n', text);
    if let Some(quote) = opening_quote(text) {
        let inside = &text[quote.len()..];
        // The last quote of the first line that has one closes.
        let first_end = first_end.map_or(inside.len(), |end| end - quote.len());
        let close = rfind(&inside[..first_end], quote).or_else(|| {
            let line = first_end + find(&inside[first_end..], quote)?;
            let line_end = inside[line..].iter().position(|byte| *byte == b'\n').map_or(inside.len(), |end| line + end);
            rfind(&inside[..line_end], quote)
        });
        return Cow::Borrowed(close.map_or(text, |close| &inside[..close]));
    }
    let (first, rest) = match first_end {
        None => (text, None),
        Some(feed) => (trim(&text[..feed]), Some(&text[feed + 1..])),
    };
    match (first.strip_suffix(b"\\"), rest) {
        (Some(head), None) => Cow::Borrowed(head),
        (Some(head), Some(rest)) => Cow::Owned(joined(head, rest)),
        (None, rest) => {
            let plain = unquoted(without_comment(first));
            match rest {
                None => Cow::Borrowed(plain),
                Some(rest) => Cow::Owned([plain, b"\n", rest].concat()),
            }
        }
    }
}

/// The inline comment of a one-line value with its `#` or `;`, if there is one.
pub(crate) fn comment(raw: &[u8]) -> Option<&[u8]> {
    let text = trim(raw);
    if opening_quote(text).is_some() || text.contains(&b'\n') || text.ends_with(b"\\") {
        return None;
    }
    let kept = without_comment(text).len();
    (kept < text.len()).then(|| trim(&text[kept..]))
}

/// Lines that end in a backslash, joined as the Go reader does: each trimmed, the backslashes gone.
fn joined(head: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut value = head.to_vec();
    for line in rest.split(|byte| *byte == b'\n') {
        let line = trim(line);
        match line.strip_suffix(b"\\") {
            Some(more) => value.extend_from_slice(more),
            None => {
                value.extend_from_slice(line);
                break;
            }
        }
    }
    value
}

/// A comment inside a line starts with ` #`, or else with ` ;`; without the space in front the character belongs to the value.
fn without_comment(text: &[u8]) -> &[u8] {
    if memchr2(b'#', b';', text).is_none() {
        return text;
    }
    find(text, b" #").or_else(|| find(text, b" ;")).map_or(text, |at| trim(&text[..at]))
}

fn unquoted(text: &[u8]) -> &[u8] {
    for quote in [b'"', b'\''] {
        if text.len() >= 2 && text[0] == quote && text[1..].iter().position(|byte| *byte == quote) == Some(text.len() - 2) {
            return &text[1..text.len() - 1];
        }
    }
    text
}

/// The quotes that may hold line ends: three double quotes, or a backtick.
fn opening_quote(text: &[u8]) -> Option<&'static [u8]> {
    if text.starts_with(b"\"\"\"") {
        Some(b"\"\"\"")
    } else if text.first() == Some(&b'`') {
        Some(b"`")
    } else {
        None
    }
}

/// Where the key of a line stands, which may be in quotes, and its delimiter.
fn key(line: &[u8]) -> Result<(Range<usize>, usize), Fault> {
    let delimiter = |from: usize| memchr2(b'=', b':', &line[from..]).map(|at| from + at).ok_or(Fault::NoDelimiter);
    let quote = match line {
        [b'"', b'"', b'"', rest @ ..] if rest.len() > 2 => "\"\"\"",
        [b'"', ..] => "\"",
        [b'`', ..] => "`",
        _ => {
            let delimiter = delimiter(0)?;
            return Ok((0..delimiter, delimiter));
        }
    };
    let close = quote.len() + find(&line[quote.len()..], quote.as_bytes()).ok_or(Fault::UnclosedQuote)?;
    Ok((quote.len()..close, delimiter(close + quote.len())?))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memmem::find(text, wanted)
}

fn rfind(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).rposition(|window| window == wanted)
}

/// Without the white space at both ends, that of Unicode too: tokens copied from web pages bring no-break spaces along.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    if text.first().is_none_or(u8::is_ascii_graphic) && text.last().is_none_or(u8::is_ascii_graphic) {
        return text;
    }
    std::str::from_utf8(text).map_or_else(|_| text.trim_ascii(), |text| text.trim().as_bytes())
}

/// As [`trim`], at the start alone.
pub(crate) fn trim_start(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    if text.first().is_none_or(u8::is_ascii_graphic) {
        return text;
    }
    std::str::from_utf8(text).map_or_else(|_| text.trim_ascii_start(), |text| text.trim_start().as_bytes())
}

fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &bytes[range.clone()];
    let inner = trim(text);
    if inner.is_empty() {
        return range.end..range.end;
    }
    let start = range.start + text.len() - trim_start(text).len();
    start..start + inner.len()
}

fn without_line_end(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &bytes[range.clone()];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    range.start..range.start + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry and fault of a file, as `section/key=value` and `!line fault`.
    fn read(file: &str) -> Vec<String> {
        let bytes = file.as_bytes();
        let text = |range: &Range<usize>| String::from_utf8_lossy(&bytes[range.clone()]).into_owned();
        let mut section = String::from("-");
        let mut seen = Vec::new();
        for item in Lines::new(bytes) {
            match item.kind {
                Kind::Section(name) => section = text(&name),
                Kind::Entry(entry) => {
                    let value = value(&bytes[entry.value.clone()]).into_owned();
                    seen.push(format!("{section}/{}={}", text(&entry.key), String::from_utf8_lossy(&value)));
                }
                Kind::Bad(fault) => seen.push(format!("!{} {}", item.line, words(fault))),
                Kind::Blank | Kind::Comment => {}
            }
        }
        seen
    }

    #[test]
    fn values_are_read_as_the_go_sdk_reads_them() {
        for (line, value) in [
            ("k = v", "v"),
            ("k=v", "v"),
            ("k : v", "v"),
            ("k =", ""),
            ("  k = v  ", "v"),
            ("k = a=b:c", "a=b:c"),
            ("k = a#b;c", "a#b;c"),
            ("k = v ; note", "v"),
            ("k = v # note ; more", "v"),
            ("k = v ; note # more", "v ; note"),
            ("k = \"q\"", "q"),
            ("k = 'q'", "q"),
            ("k = `q`", "q"),
            ("k = `a # b`", "a # b"),
            ("k = \"a\"b\"", "\"a\"b\""),
            ("k = \"\"\"x\"\"\"", "x"),
            ("k = a\\\n  b\\\n  c", "abc"),
            ("k = c:\\dir\\", "c:\\dir"),
            ("k = 100%done", "100%done"),
            ("k = ; only a note", "; only a note"),
            ("k = v\r", "v"),
            ("k =\u{a0}v\u{a0}", "v"),
            ("\"k\" = v", "v"),
            ("`k`=v", "v"),
            ("\"\"\"k\"\"\": v", "v"),
            ("k = `a`b` ; note", "a`b"),
            ("k = \"\"\"a\"\"\"b\"\"\"", "a\"\"\"b"),
        ] {
            assert_eq!(read(&format!("[s]\n{line}\n")), [format!("s/k={value}")], "{line:?}");
        }
    }

    #[test]
    fn a_bad_line_spoils_itself_only() {
        assert_eq!(
            read("[a]\nnovalue\nk = 1\n= x\n[b\nz = 2\n[c]\nq = `open\nr = 3\n"),
            ["!2 key-value delimiter not found", "a/k=1", "!4 empty key name", "!5 unclosed section", "a/z=2", "!8 missing closing quote", "c/r=3"]
        );
    }

    #[test]
    fn a_value_may_go_over_lines() {
        assert_eq!(read("[a]\nk = \"\"\"one\ntwo\"\"\"\nl = 1\n"), ["a/k=one\ntwo", "a/l=1"]);
        assert_eq!(read("[a]\nk = \"\"\"\none`\n\"\"\"two\"\"\" x\nl = 1\n"), ["a/k=\none`\n\"\"\"two", "a/l=1"]);
        assert_eq!(read("[a]\nk = one\n   two\n\tthree\nl = 1\n"), ["a/k=one\n   two\n\tthree", "a/l=1"]);
        assert_eq!(read("[a]\nk = `x\n[b]\ny`\n[c]\nl = 1"), ["a/k=x\n[b]\ny", "c/l=1"]);
    }

    #[test]
    fn marks_and_line_ends_do_not_matter() {
        assert_eq!(read("\u{feff}[a]\r\nk = 1\r\n\r\n; note\r\n[b]\r\nk=2"), ["a/k=1", "b/k=2"]);
        assert_eq!(read("k = before any section\n"), ["-/k=before any section"]);
    }

    #[test]
    fn items_cover_every_byte_once() {
        let file = "\u{feff}; c\n[a]\nk = \"\"\"x\ny\"\"\"\n bad\n\n[b\nz=`\n";
        let mut next = BYTE_ORDER_MARK.len();
        for item in Lines::new(file.as_bytes()) {
            assert_eq!(item.bytes.start, next);
            next = item.bytes.end;
        }
        assert_eq!(next, file.len());
    }

    #[test]
    fn inline_comments_are_found() {
        let found = |raw: &str| comment(raw.as_bytes()).map(|c| String::from_utf8_lossy(c).into_owned());
        assert_eq!(found(" v ; note").as_deref(), Some("; note"));
        assert_eq!(found(" v # note").as_deref(), Some("# note"));
        assert_eq!(found(" `v ; no`"), None);
        assert_eq!(found(" v;no"), None);
    }
}
