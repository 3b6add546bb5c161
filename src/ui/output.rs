//! Data on stdout: JSON as the official CLI prints it, and aligned tables.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Write;

use databricks_hot::is_plain;
use serde::de::IgnoredAny;

use super::columns;
use crate::error::Failure;
use crate::json::{DEEPEST, Scanner, Text};
use crate::text::{self, append};

/// In which order the keys of an object are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// By their bytes, as for every reply of the service.
    Sorted,
    /// As they came: for our own documents, whose order is part of the contract.
    AsWritten,
}

/// Formats a JSON document with 2 spaces per level and without a final line feed; blank text stays empty.
///
/// Numbers keep their digits: they never pass through a float. Of several equal keys the last one counts. `<`, `>`, `&` and the line
/// separators are escaped as Go escapes them, and so is every character that could change a terminal.
///
/// # Errors
/// The text is no JSON, or nested more than 128 levels deep.
pub(crate) fn json(document: &str, order: KeyOrder, color: bool) -> anyhow::Result<String> {
    if document.trim().is_empty() {
        return Ok(String::new());
    }
    let mut out = Vec::new();
    JsonWriter::default().write(document, 0, order, color, &mut out)?;
    Ok(String::from_utf8(out)?)
}

/// A list as JSON, item by item: `[`, the items with 2 spaces before them, `]`.
#[derive(Debug)]
pub(crate) struct JsonArray {
    color: bool,
    opened: bool,
    writer: JsonWriter,
}

impl JsonArray {
    pub(crate) fn new(color: bool) -> Self {
        Self { color, opened: false, writer: JsonWriter::default() }
    }

    /// Writes the next item with what belongs before it.
    ///
    /// # Errors
    /// As [`json`]; then nothing is written.
    pub(crate) fn item(&mut self, item: &str, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let before = out.len();
        out.extend_from_slice(if self.opened { b",\n  " } else { b"[\n  " });
        self.writer.write(item, 1, KeyOrder::Sorted, self.color, out).inspect_err(|_| out.truncate(before))?;
        self.opened = true;
        Ok(())
    }

    /// What belongs after the last item.
    pub(crate) fn end(self) -> &'static str {
        if self.opened { "\n]\n" } else { "[]\n" }
    }
}

/// One value of a document, or the key of a member, which stands before the member's value.
#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    /// Where it stands in the document; texts with their quotes.
    start: u32,
    end: u32,
    /// The place of the token behind the value and all that is in it.
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Number, `true`, `false`, `null`: as written.
    Plain,
    Text {
        escaped: bool,
    },
    List,
    Object,
}

/// Reads a document into tokens, in the order in which they are written.
fn read(scanner: &mut Scanner<'_>, levels: usize, tokens: &mut Vec<Token>) -> Option<()> {
    let place = tokens.len();
    match scanner.peek()? {
        b'"' => push_text(scanner.string()?, tokens)?,
        b'{' => {
            let levels = levels.checked_sub(1)?;
            push(Kind::Object, scanner.place(), 1, tokens)?;
            scanner.object(|scanner, key| {
                push_text(key, tokens)?;
                read(scanner, levels, tokens)
            })?;
            tokens[place].next = u32::try_from(tokens.len()).ok()?;
        }
        b'[' => {
            let levels = levels.checked_sub(1)?;
            push(Kind::List, scanner.place(), 1, tokens)?;
            scanner.list(|scanner| read(scanner, levels, tokens))?;
            tokens[place].next = u32::try_from(tokens.len()).ok()?;
        }
        _ => {
            let start = scanner.place();
            let length = scanner.scalar()?.len();
            push(Kind::Plain, start, length, tokens)?;
        }
    }
    Some(())
}

#[inline]
fn push_text(text: Text, tokens: &mut Vec<Token>) -> Option<()> {
    push(Kind::Text { escaped: text.escaped }, text.start, text.end - text.start, tokens)
}

#[inline]
fn push(kind: Kind, start: usize, length: usize, tokens: &mut Vec<Token>) -> Option<()> {
    let next = u32::try_from(tokens.len() + 1).ok()?;
    tokens.push(Token { kind, start: u32::try_from(start).ok()?, end: u32::try_from(start + length).ok()?, next });
    Some(())
}

/// A JSON string in which every escaped surrogate without its other half is the replacement character, as Go reads it.
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

/// Writes documents; keeps its memory from one to the next.
#[derive(Debug, Default)]
struct JsonWriter {
    tokens: Vec<Token>,
    members: Vec<usize>,
}

impl JsonWriter {
    fn write(&mut self, document: &str, level: usize, order: KeyOrder, color: bool, out: &mut Vec<u8>) -> anyhow::Result<()> {
        self.tokens.clear();
        let mut scanner = Scanner::new(document);
        if read(&mut scanner, DEEPEST, &mut self.tokens).is_none() || !scanner.is_done() {
            return Err(match serde_json::from_str::<IgnoredAny>(document) {
                Ok(_) => Failure::new(format!("the JSON is nested more than {DEEPEST} levels deep")),
                Err(error) => Failure::new(format!("invalid JSON: {}", text::one_line(&error.to_string()))),
            }
            .into());
        }
        out.reserve(document.len() + document.len() / 2);
        Writing { document: document.as_bytes(), tokens: &self.tokens, order, color, members: &mut self.members, out }.value(0, level);
        Ok(())
    }
}

/// A document on its way out.
struct Writing<'d> {
    document: &'d [u8],
    tokens: &'d [Token],
    order: KeyOrder,
    color: bool,
    /// The keys of the objects that are being written, innermost last.
    members: &'d mut Vec<usize>,
    out: &'d mut Vec<u8>,
}

impl Writing<'_> {
    /// Writes the value at a place.
    fn value(&mut self, place: usize, level: usize) {
        let token = self.tokens[place];
        let end = token.next as usize;
        match token.kind {
            Kind::Plain => {
                let text = token.text(self.document);
                let number = text.first().is_some_and(|first| *first == b'-' || first.is_ascii_digit());
                self.tinted(if number { "36" } else { "" }, |out| append(out, text));
            }
            Kind::Text { .. } => self.string(token, "32"),
            Kind::List if end == place + 1 => append(self.out, b"[]"),
            Kind::List => {
                let mut item = place + 1;
                while item < end {
                    self.line(if item == place + 1 { b'[' } else { b',' }, level + 1);
                    self.value(item, level + 1);
                    item = self.tokens[item].next as usize;
                }
                self.last_line(b']', level);
            }
            Kind::Object if end == place + 1 => append(self.out, b"{}"),
            Kind::Object => {
                let first = self.members.len();
                self.enter(place);
                for member in first..self.members.len() {
                    self.line(if member == first { b'{' } else { b',' }, level + 1);
                    let key = self.members[member];
                    self.string(self.tokens[key], "1;34");
                    append(self.out, b": ");
                    self.value(key + 1, level + 1);
                }
                self.members.truncate(first);
                self.last_line(b'}', level);
            }
        }
    }

    /// Adds the keys of the object at a place to the members, in the order in which they are written.
    fn enter(&mut self, place: usize) {
        let (document, tokens) = (self.document, self.tokens);
        let by_key = |left: usize, right: usize| tokens[left].by_text(tokens[right], document);
        let first = self.members.len();
        let mut in_order = true;
        let mut key = place + 1;
        while key < tokens[place].next as usize {
            in_order &= self.members[first..].last().is_none_or(|before| by_key(*before, key).is_lt());
            self.members.push(key);
            key = tokens[key + 1].next as usize;
        }
        if self.order == KeyOrder::AsWritten || in_order {
            return;
        }
        // Of equal keys the one written last stands first and is kept.
        self.members[first..].sort_unstable_by(|left, right| by_key(*left, *right).then(right.cmp(left)));
        let mut kept = first + 1;
        for member in first + 1..self.members.len() {
            let key = self.members[member];
            if by_key(self.members[kept - 1], key).is_ne() {
                self.members[kept] = key;
                kept += 1;
            }
        }
        self.members.truncate(kept);
    }

    /// Writes a string of the document; nearly all are plain, and go out as they came.
    fn string(&mut self, token: Token, tint: &str) {
        let text = token.text(self.document);
        let plain = token.kind == (Kind::Text { escaped: false }) && is_plain(text);
        let document = self.document;
        self.tinted(tint, |out| if plain { append(out, text) } else { quote(&token.meant(document), out) });
    }

    /// Writes a bracket or comma, and begins a line behind it.
    #[inline]
    fn line(&mut self, before: u8, level: usize) {
        self.out.push(before);
        self.indent(level);
    }

    /// Begins the last line of a list or object, and ends that.
    fn last_line(&mut self, bracket: u8, level: usize) {
        self.indent(level);
        self.out.push(bracket);
    }

    #[inline]
    fn indent(&mut self, level: usize) {
        self.out.push(b'\n');
        spaces(self.out, 2 * level);
    }

    #[inline]
    fn tinted(&mut self, code: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let painted = self.color && !code.is_empty();
        if painted {
            paint(self.out, code);
        }
        write(self.out);
        if painted {
            paint(self.out, "0");
        }
    }
}

impl Token {
    #[inline]
    fn text(self, document: &[u8]) -> &[u8] {
        document.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The text that a string stands for; half a character is the replacement character.
    fn meant(self, document: &[u8]) -> Cow<'_, str> {
        let quoted = std::str::from_utf8(self.text(document)).unwrap_or_default();
        let text = Text { start: 0, end: quoted.len(), escaped: self.kind == Kind::Text { escaped: true } };
        text.decoded(quoted).unwrap_or_else(|| Cow::Owned(serde_json::from_str(&without_half_surrogates(quoted)).unwrap_or_default()))
    }

    /// The order of two strings.
    fn by_text(self, other: Self, document: &[u8]) -> Ordering {
        let plain = Kind::Text { escaped: false };
        if self.kind != plain || other.kind != plain {
            return self.meant(document).cmp(&other.meant(document));
        }
        // A closing quote must not count where a short text meets a longer one.
        let open = |text: &'_ [u8]| text.len() - 1;
        let (left, right) = (self.text(document), other.text(document));
        left[..open(left)].cmp(&right[..open(right)])
    }
}

fn paint(out: &mut Vec<u8>, code: &str) {
    for part in ["\x1b[", code, "m"] {
        append(out, part.as_bytes());
    }
}

/// Writes a text as a JSON string.
fn quote(content: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, character) in content.char_indices() {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '<' | '>' | '&' => "",
            _ if text::is_unsafe(character) => "",
            _ => continue,
        };
        out.extend_from_slice(&content.as_bytes()[plain_from..at]);
        plain_from = at + character.len_utf8();
        if short.is_empty() {
            // Every unsafe character lies in the basic plane: one unit is enough. Writing to memory cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.extend_from_slice(short.as_bytes());
        }
    }
    out.extend_from_slice(&content.as_bytes()[plain_from..]);
    out.push(b'"');
}

/// How a cell looks on a terminal that shows colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tint {
    #[default]
    None,
    Green,
    Red,
    Blue,
}

impl Tint {
    fn code(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Green => "32",
            Self::Red => "31",
            Self::Blue => "34",
        }
    }
}

/// One field of a table: any text, made safe by the table.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    text: Cow<'a, str>,
    tint: Tint,
}

impl<'a> Cell<'a> {
    pub(crate) fn new(text: impl Into<Cow<'a, str>>, tint: Tint) -> Self {
        Self { text: text.into(), tint }
    }

    /// `YES` in green or `NO` in red.
    pub(crate) fn yes_or_no(yes: bool) -> Self {
        if yes { Self::new("YES", Tint::Green) } else { Self::new("NO", Tint::Red) }
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text, Tint::None)
    }
}

impl<'a> From<Cow<'a, str>> for Cell<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::new(text, Tint::None)
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::new(text, Tint::None)
    }
}

/// A cell wider than this sticks out of its column instead of widening all rows: one hostile name must not multiply by the number of rows.
const WIDEST: usize = 256;

/// Rows in aligned columns with 2 spaces between them; the last column is not filled up.
///
/// Rows wait until [`Table::page`]: the widths come from the first page, and later pages only widen them, so that the first rows of a long list
/// are shown at once and memory holds one page.
#[derive(Debug)]
pub(crate) struct Table {
    widths: Vec<usize>,
    color: bool,
    /// The text of all cells of this page, one behind the other.
    text: Vec<u8>,
    /// The cells of this page, row after row, as many per row as there are columns.
    cells: Vec<Placed>,
}

/// A cell within the text of its page.
#[derive(Clone, Copy, Debug)]
struct Placed {
    end: usize,
    columns: usize,
    tint: Tint,
}

impl Table {
    pub(crate) fn new(titles: &[&str], color: bool) -> Self {
        let mut table = Self { widths: vec![0; titles.len()], color, text: Vec::new(), cells: Vec::new() };
        table.row(titles.iter().map(|title| Cell::new(*title, Tint::Blue)));
        table
    }

    /// Makes the columns wide enough for a row that is to come: so a table whose rows are all known can go out in pages, and looks as if it were one.
    pub(crate) fn expect<'a, C: Into<Cell<'a>>>(&mut self, cells: impl IntoIterator<Item = C>) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = measured(&cell.into().text).1.min(WIDEST).max(*width);
        }
    }

    /// Adds a row. Cells beyond the columns are dropped, and missing ones stay empty.
    pub(crate) fn row<'a, C: Into<Cell<'a>>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut cells = cells.into_iter().map(Into::into);
        for width in &mut self.widths {
            let cell: Cell<'_> = cells.next().unwrap_or_else(|| Cell::from(""));
            let (shown, columns) = measured(&cell.text);
            *width = columns.min(WIDEST).max(*width);
            append(&mut self.text, shown.as_bytes());
            self.cells.push(Placed { end: self.text.len(), columns, tint: cell.tint });
        }
    }

    /// Writes the rows added since the last page, below the titles if it is the first.
    pub(crate) fn page(&mut self, out: &mut Vec<u8>) {
        let mut from = 0;
        if let Some(last) = self.widths.len().checked_sub(1) {
            for row in self.cells.chunks(self.widths.len()) {
                let start = out.len();
                let mut gap = 0;
                for (column, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
                    let content = &self.text[from..cell.end];
                    from = cell.end;
                    if !content.is_empty() {
                        spaces(out, gap);
                        gap = 0;
                        if self.color && cell.tint != Tint::None {
                            paint(out, cell.tint.code());
                            append(out, content);
                            paint(out, "0");
                        } else {
                            append(out, content);
                        }
                    }
                    if column < last {
                        gap += width.saturating_sub(cell.columns) + 2;
                    }
                }
                if !self.color {
                    // A cell may itself end in spaces.
                    out.truncate(out.iter().rposition(|byte| *byte != b' ').map_or(start, |last| start.max(last + 1)));
                }
                out.push(b'\n');
            }
        }
        self.cells.clear();
        self.text.clear();
    }
}

/// A cell's text as it is shown, and the columns that it takes.
#[inline]
fn measured(text: &str) -> (Cow<'_, str>, usize) {
    if text::is_printable_ascii(text) {
        return (Cow::Borrowed(text), text.len());
    }
    let shown = text::one_line(text);
    let columns = columns(&shown);
    (shown, columns)
}

/// Appends so many spaces.
#[inline]
fn spaces(out: &mut Vec<u8>, count: usize) {
    const SPACES: &[u8; 64] = &[b' '; 64];
    match SPACES.get(..count) {
        Some(spaces) => append(out, spaces),
        None => out.extend(std::iter::repeat_n(b' ', count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(table: &mut Table) -> String {
        let mut out = Vec::new();
        table.page(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn sorted(document: &str) -> String {
        json(document, KeyOrder::Sorted, false).unwrap()
    }

    #[test]
    fn objects_are_sorted_and_numbers_keep_their_digits() {
        let document = r#"{"z":123456789012345678901234567890,"a":[1.10,-0,1E+400,true,null],"B":{},"e":[ ],"aa":{"y":"x","x":[{}]}}"#;
        let expected = r#"{
  "B": {},
  "a": [
    1.10,
    -0,
    1E+400,
    true,
    null
  ],
  "aa": {
    "x": [
      {}
    ],
    "y": "x"
  },
  "e": [],
  "z": 123456789012345678901234567890
}"#;
        assert_eq!(sorted(document), expected);
        assert_eq!(sorted(" 7 "), "7");
        assert_eq!(sorted("\n"), "");
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(sorted(r#"{"a":1,"\u0061":2,"b":0,"a":3}"#), "{\n  \"a\": 3,\n  \"b\": 0\n}");
    }

    #[test]
    fn our_own_order_is_kept() {
        assert_eq!(json(r#"{"b":1,"a":2}"#, KeyOrder::AsWritten, false).unwrap(), "{\n  \"b\": 1,\n  \"a\": 2\n}");
    }

    #[test]
    fn strings_are_escaped_as_go_does_and_for_terminals() {
        let document = "\"<a> & \\u2028 \\u001b[2J \u{7f}\u{9b}\u{202e} \\n\\t\\\"\\\\\\/ Größe \\ud83d\\ude00\"";
        assert_eq!(sorted(document), "\"\\u003ca\\u003e \\u0026 \\u2028 \\u001b[2J \\u007f\\u009b\\u202e \\n\\t\\\"\\\\/ Größe 😀\"");
    }

    #[test]
    fn half_surrogates_become_the_replacement_character() {
        assert_eq!(sorted(r#"["\ud800x\ud83d\ude00\\ud800\udc00"]"#), "[\n  \"\u{fffd}x😀\\\\ud800\u{fffd}\"\n]");
    }

    #[test]
    fn broken_or_bottomless_documents_are_refused() {
        for document in ["{", "{\"a\":}", "[1,]", "nul", "{} {}", "\"\u{1}\""] {
            assert!(json(document, KeyOrder::Sorted, false).unwrap_err().to_string().starts_with("invalid JSON: "), "{document}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&nested(128), KeyOrder::Sorted, false).is_ok());
        assert!(json(&nested(100_000), KeyOrder::Sorted, false).is_err());
    }

    #[test]
    fn colours_follow_the_kind() {
        assert_eq!(
            json(r#"{"a":"b","c":[1,null]}"#, KeyOrder::Sorted, true).unwrap(),
            "{\n  \u{1b}[1;34m\"a\"\u{1b}[0m: \u{1b}[32m\"b\"\u{1b}[0m,\n  \u{1b}[1;34m\"c\"\u{1b}[0m: [\n    \u{1b}[36m1\u{1b}[0m,\n    null\n  ]\n}"
        );
    }

    #[test]
    fn lists_are_streamed() {
        let mut array = JsonArray::new(false);
        let mut text = Vec::new();
        array.item(r#"{"b":1,"a":[2]}"#, &mut text).unwrap();
        array.item("[1,]", &mut text).unwrap_err();
        array.item("{}", &mut text).unwrap();
        text.extend_from_slice(array.end().as_bytes());
        assert_eq!(String::from_utf8(text).unwrap(), "[\n  {\n    \"a\": [\n      2\n    ],\n    \"b\": 1\n  },\n  {}\n]\n");
        assert_eq!(JsonArray::new(true).end(), "[]\n");
    }

    #[test]
    fn every_character_is_judged_alike_in_every_place() {
        for byte in 0x20..0x80_u8 {
            let plain = byte != 0x7f && !matches!(byte, b'<' | b'>' | b'&');
            for place in 0..20 {
                let mut text = [b'='; 20];
                text[place] = byte;
                assert_eq!(is_plain(&text), plain, "{byte:#x} at {place}");
            }
        }
        assert!(!is_plain("eight ü more".as_bytes()) && !is_plain("ü".as_bytes()));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn formatting_keeps_the_meaning_and_is_safe(value in any_json()) {
            let formatted = sorted(&value.to_string());
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&formatted).unwrap(), &value);
            prop_assert!(!formatted.contains(|character| character != '\n' && text::is_unsafe(character)));
            prop_assert_eq!(sorted(&formatted), formatted);
        }
    }

    #[test]
    fn tables_are_aligned_by_columns() {
        let mut table = Table::new(&["ID", "Expiry time", "Comment"], false);
        table.row(["abc123", "1700003600000", "first"]);
        table.row(["日本", "-1", ""]);
        table.row(["def456", "-1"]);
        assert_eq!(
            page(&mut table),
            "ID      Expiry time    Comment\n\
             abc123  1700003600000  first\n\
             日本    -1\n\
             def456  -1\n"
        );
    }

    #[test]
    fn later_pages_keep_the_widths_and_the_titles_come_once() {
        let mut table = Table::new(&["Name", "Host"], false);
        table.row(["abcdef", "h"]);
        assert_eq!(page(&mut table), "Name    Host\nabcdef  h\n");
        table.row(["x", "h"]);
        table.row(["abcdefgh", "h"]);
        assert_eq!(page(&mut table), "x         h\nabcdefgh  h\n");
        assert_eq!(page(&mut table), "");
    }

    #[test]
    fn rows_that_are_expected_make_room() {
        let rows = [["x", "h"], ["abcdef", "host"], ["abc", "a longer host"]];
        let (mut whole, mut paged) = (Table::new(&["Name", "Host"], false), Table::new(&["Name", "Host"], false));
        for row in rows {
            whole.row(row);
            paged.expect(row);
        }
        let pages = rows.map(|row| {
            paged.row(row);
            page(&mut paged)
        });
        assert_eq!(pages.concat(), page(&mut whole));
    }

    #[test]
    fn cells_cannot_fake_rows_or_speak_to_the_terminal() {
        let mut table = Table::new(&["A", "B"], false);
        table.row(["x\nroot  YES", "\u{1b}]0;pwned\u{7}\u{9b}2J"]);
        assert_eq!(page(&mut table), "A             B\nx\\nroot  YES  \\u{1b}]0;pwned\\u{7}\\u{9b}2J\n");
    }

    #[test]
    fn one_endless_cell_does_not_widen_the_others() {
        let mut table = Table::new(&["A", "B"], false);
        table.row(["x".repeat(1_000_000), "b".to_owned()]);
        table.row(["x", "b"]);
        assert!(page(&mut table).len() < 1_001_000);
    }

    #[test]
    fn tints_do_not_disturb_the_alignment() {
        let mut table = Table::new(&["Valid", "Name"], true);
        table.row([Cell::yes_or_no(true), "a".into()]);
        table.row([Cell::yes_or_no(false), Cell::new("b", Tint::Blue)]);
        assert_eq!(
            page(&mut table),
            "\u{1b}[34mValid\u{1b}[0m  \u{1b}[34mName\u{1b}[0m\n\u{1b}[32mYES\u{1b}[0m    a\n\u{1b}[31mNO\u{1b}[0m     \u{1b}[34mb\u{1b}[0m\n"
        );
    }
}
