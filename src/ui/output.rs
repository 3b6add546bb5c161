//! Data on stdout: JSON as the official CLI prints it, and aligned tables.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memchr2;
use serde_json::value::RawValue;

use super::columns;
use crate::error::Failure;
use crate::text;

/// Deeper than any reply of the service; beyond it a document is an attack on the stack.
const DEEPEST: usize = 128;

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
    JsonWriter { order, color, out: String::with_capacity(document.len() + document.len() / 4) }.document(document, 0)
}

/// A list as JSON, item by item: `[`, the items with 2 spaces before them, `]`.
#[derive(Debug)]
pub(crate) struct JsonArray {
    color: bool,
    opened: bool,
}

impl JsonArray {
    pub(crate) fn new(color: bool) -> Self {
        Self { color, opened: false }
    }

    /// The next item with what belongs before it.
    ///
    /// # Errors
    /// As [`json`].
    pub(crate) fn item(&mut self, item: &RawValue) -> anyhow::Result<String> {
        let item = item.get();
        let mut writer = JsonWriter { order: KeyOrder::Sorted, color: self.color, out: String::with_capacity(item.len() + item.len() / 4) };
        writer.out.push_str(if self.opened { ",\n  " } else { "[\n  " });
        self.opened = true;
        writer.checked(item, 1)
    }

    /// What belongs after the last item.
    pub(crate) fn end(self) -> &'static str {
        if self.opened { "\n]\n" } else { "[]\n" }
    }
}

/// A parsed value that still points into its document.
enum Node<'a> {
    /// Number, `true`, `false`, `null`: as written.
    Plain(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Reads text that serde has already found to be JSON, so that this parser only has to find the borders.
struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonReader<'a> {
    fn node(&mut self, depth: usize) -> anyhow::Result<Node<'a>> {
        if depth > DEEPEST {
            return Err(Failure::new(format!("the JSON is nested more than {DEEPEST} levels deep")).into());
        }
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                while self.enters(b'}') {
                    let key = self.string();
                    // The colon.
                    self.peek();
                    self.at += 1;
                    members.push((key, self.node(depth + 1)?));
                }
                Ok(Node::Object(members))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                while self.enters(b']') {
                    items.push(self.node(depth + 1)?);
                }
                Ok(Node::List(items))
            }
            Some(b'"') => Ok(Node::Text(self.string())),
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let length = rest.find(|character: char| matches!(character, ',' | ']' | '}') || character.is_ascii_whitespace()).unwrap_or(rest.len());
                self.at += length;
                Ok(Node::Plain(&rest[..length]))
            }
        }
    }

    /// Steps over an opening bracket or a comma, and says whether another member follows; if not, steps over the closing bracket.
    fn enters(&mut self, closing: u8) -> bool {
        if self.peek() == Some(closing) {
            self.at += 1;
            return false;
        }
        self.at += 1;
        match self.peek() {
            Some(byte) if byte != closing => true,
            _ => {
                self.at += 1;
                false
            }
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn string(&mut self) -> Cow<'a, str> {
        self.peek();
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        while let Some(found) = bytes.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            self.at += found;
            if bytes[self.at] == b'"' {
                break;
            }
            escaped = true;
            self.at += 2;
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        if escaped {
            Cow::Owned(serde_json::from_str(quoted).or_else(|_| serde_json::from_str(&without_half_surrogates(quoted))).unwrap_or_default())
        } else {
            Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
        }
    }
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

struct JsonWriter {
    order: KeyOrder,
    color: bool,
    out: String,
}

impl JsonWriter {
    fn document(self, document: &str, level: usize) -> anyhow::Result<String> {
        let checked: &RawValue =
            serde_json::from_str(document).map_err(|error| Failure::new(format!("invalid JSON: {}", text::one_line(&error.to_string()))))?;
        self.checked(checked.get(), level)
    }

    /// As [`JsonWriter::document`], for text that serde has already found to be JSON.
    fn checked(mut self, document: &str, level: usize) -> anyhow::Result<String> {
        let node = JsonReader { text: document, at: 0 }.node(0)?;
        self.node(node, level);
        Ok(self.out)
    }

    fn node(&mut self, node: Node<'_>, level: usize) {
        match node {
            Node::Plain(text) => {
                let number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                self.tinted(if number { "36" } else { "" }, |out| out.push_str(text));
            }
            Node::Text(text) => self.tinted("32", |out| quote(&text, out)),
            Node::List(items) if items.is_empty() => self.out.push_str("[]"),
            Node::List(items) => {
                for (position, item) in items.into_iter().enumerate() {
                    self.out.push(if position == 0 { '[' } else { ',' });
                    self.line(level + 1);
                    self.node(item, level + 1);
                }
                self.line(level);
                self.out.push(']');
            }
            Node::Object(members) if members.is_empty() => self.out.push_str("{}"),
            Node::Object(mut members) => {
                if self.order == KeyOrder::Sorted {
                    // Reversed first: the sort is stable, so that of equal keys the one written last stands first and is kept.
                    members.reverse();
                    members.sort_by(|(left, _), (right, _)| left.cmp(right));
                    members.dedup_by(|(later, _), (earlier, _)| later == earlier);
                }
                for (position, (key, value)) in members.into_iter().enumerate() {
                    self.out.push(if position == 0 { '{' } else { ',' });
                    self.line(level + 1);
                    self.tinted("1;34", |out| quote(&key, out));
                    self.out.push_str(": ");
                    self.node(value, level + 1);
                }
                self.line(level);
                self.out.push('}');
            }
        }
    }

    fn line(&mut self, level: usize) {
        const SPACES: &str = "                                ";
        self.out.push('\n');
        let mut left = 2 * level;
        while left > 0 {
            let now = left.min(SPACES.len());
            self.out.push_str(&SPACES[..now]);
            left -= now;
        }
    }

    fn tinted(&mut self, code: &str, write: impl FnOnce(&mut String)) {
        let painted = self.color && !code.is_empty();
        if painted {
            paint(&mut self.out, code);
        }
        write(&mut self.out);
        if painted {
            paint(&mut self.out, "0");
        }
    }
}

fn paint(out: &mut String, code: &str) {
    out.push_str("\x1b[");
    out.push_str(code);
    out.push('m');
}

/// Writes a text as a JSON string.
fn quote(content: &str, out: &mut String) {
    out.push('"');
    // Without an early end, so that it is told many bytes at a time; nearly all texts are plain.
    let plain = content.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&'));
    if plain {
        out.push_str(content);
        out.push('"');
        return;
    }
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
        out.push_str(&content[plain_from..at]);
        plain_from = at + character.len_utf8();
        if short.is_empty() {
            // Every unsafe character lies in the basic plane: one unit is enough. Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push_str(short);
        }
    }
    out.push_str(&content[plain_from..]);
    out.push('"');
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
    text: String,
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
        let mut table = Self { widths: vec![0; titles.len()], color, text: String::new(), cells: Vec::new() };
        table.row(titles.iter().map(|title| Cell::new(*title, Tint::Blue)));
        table
    }

    /// Adds a row. Cells beyond the columns are dropped, and missing ones stay empty.
    pub(crate) fn row<'a, C: Into<Cell<'a>>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut cells = cells.into_iter().map(Into::into);
        for width in &mut self.widths {
            let cell: Cell<'_> = cells.next().unwrap_or_else(|| Cell::from(""));
            let shown = text::one_line(&cell.text);
            let columns = columns(&shown);
            *width = columns.min(WIDEST).max(*width);
            self.text.push_str(&shown);
            self.cells.push(Placed { end: self.text.len(), columns, tint: cell.tint });
        }
    }

    /// The text of the rows added since the last page, below the titles if it is the first.
    pub(crate) fn page(&mut self) -> String {
        let mut out = String::with_capacity(self.text.len() * 2);
        let mut from = 0;
        if let Some(last) = self.widths.len().checked_sub(1) {
            for row in self.cells.chunks(self.widths.len()) {
                let start = out.len();
                let mut gap = 0;
                for (column, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
                    let content = &self.text[from..cell.end];
                    from = cell.end;
                    if !content.is_empty() {
                        out.extend(std::iter::repeat_n(' ', gap));
                        gap = 0;
                        if self.color && cell.tint != Tint::None {
                            paint(&mut out, cell.tint.code());
                            out.push_str(content);
                            paint(&mut out, "0");
                        } else {
                            out.push_str(content);
                        }
                    }
                    if column < last {
                        gap += width.saturating_sub(cell.columns) + 2;
                    }
                }
                if !self.color {
                    // A cell may itself end in spaces.
                    out.truncate(start + out[start..].trim_end_matches(' ').len());
                }
                out.push('\n');
            }
        }
        self.cells.clear();
        self.text.clear();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let text = [array.item(&raw(r#"{"b":1,"a":[2]}"#)).unwrap(), array.item(&raw("{}")).unwrap(), array.end().to_owned()].concat();
        assert_eq!(text, "[\n  {\n    \"a\": [\n      2\n    ],\n    \"b\": 1\n  },\n  {}\n]\n");
        assert_eq!(JsonArray::new(true).end(), "[]\n");
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
            table.page(),
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
        assert_eq!(table.page(), "Name    Host\nabcdef  h\n");
        table.row(["x", "h"]);
        table.row(["abcdefgh", "h"]);
        assert_eq!(table.page(), "x         h\nabcdefgh  h\n");
        assert_eq!(table.page(), "");
    }

    #[test]
    fn cells_cannot_fake_rows_or_speak_to_the_terminal() {
        let mut table = Table::new(&["A", "B"], false);
        table.row(["x\nroot  YES", "\u{1b}]0;pwned\u{7}\u{9b}2J"]);
        assert_eq!(table.page(), "A             B\nx\\nroot  YES  \\u{1b}]0;pwned\\u{7}\\u{9b}2J\n");
    }

    #[test]
    fn one_endless_cell_does_not_widen_the_others() {
        let mut table = Table::new(&["A", "B"], false);
        table.row(["x".repeat(1_000_000), "b".to_owned()]);
        table.row(["x", "b"]);
        assert!(table.page().len() < 1_001_000);
    }

    #[test]
    fn tints_do_not_disturb_the_alignment() {
        let mut table = Table::new(&["Valid", "Name"], true);
        table.row([Cell::yes_or_no(true), "a".into()]);
        table.row([Cell::yes_or_no(false), Cell::new("b", Tint::Blue)]);
        assert_eq!(
            table.page(),
            "\u{1b}[34mValid\u{1b}[0m  \u{1b}[34mName\u{1b}[0m\n\u{1b}[32mYES\u{1b}[0m    a\n\u{1b}[31mNO\u{1b}[0m     \u{1b}[34mb\u{1b}[0m\n"
        );
    }
}
