//! Data on stdout: JSON as the official CLI prints it, and aligned tables.

use std::borrow::Cow;
use std::io::Write;

use databricks_hot::append_part;
use databricks_hot::print::{Printer, Style, paint};
use serde::de::IgnoredAny;

use super::columns;
use crate::error::Failure;
use crate::json::{DEEPEST, Scanner};
use crate::text::{self, append};

/// In which order the keys of an object are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// By their bytes, as for every reply of the service.
    Sorted,
    /// As they came: for our own documents, whose order is part of the contract.
    AsWritten,
}

/// Appends a JSON document with 2 spaces per level and without a final line feed; blank text stays empty.
///
/// Numbers keep their digits: they never pass through a float. Of several equal keys the last one counts. `<`, `>`, `&` and the line
/// separators are escaped as Go escapes them, and so is every character that could change a terminal.
///
/// # Errors
/// The text is no JSON, or nested more than 128 levels deep; then nothing is appended.
pub(crate) fn json(document: &str, order: KeyOrder, color: bool, out: &mut Vec<u8>) -> anyhow::Result<()> {
    if document.trim().is_empty() { Ok(()) } else { print(&mut Printer::default(), document, 0, order, color, out) }
}

/// Prints a document at a level, and says why where it cannot be.
fn print(printer: &mut Printer, document: &str, level: usize, order: KeyOrder, color: bool, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let style = Style { sorted: order == KeyOrder::Sorted, color, quote };
    printer.print(document, level, style, out).ok_or_else(|| {
        match serde_json::from_str::<IgnoredAny>(document) {
            Ok(_) => Failure::new(format!("the JSON is nested more than {DEEPEST} levels deep")),
            Err(error) => Failure::new(format!("invalid JSON: {}", text::one_line(&error.to_string()))),
        }
        .into()
    })
}

/// A list as JSON, item by item: `[`, the items with 2 spaces before them, `]`.
#[derive(Debug)]
pub(crate) struct JsonArray {
    color: bool,
    opened: bool,
    printer: Printer,
}

impl JsonArray {
    pub(crate) fn new(color: bool) -> Self {
        Self { color, opened: false, printer: Printer::default() }
    }

    /// Writes the next item with what belongs before it.
    ///
    /// # Errors
    /// As [`json`]; then nothing is written.
    pub(crate) fn item(&mut self, item: &str, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let before = out.len();
        self.begin_item(out);
        print(&mut self.printer, item, 1, KeyOrder::Sorted, self.color, out).inspect_err(|_| out.truncate(before))?;
        self.opened = true;
        Ok(())
    }

    /// As [`JsonArray::item`], of the item at which a scanner stands, which steps behind it. `None`, and nothing is written, if it cannot be printed.
    pub(crate) fn next_item(&mut self, scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Option<()> {
        let before = out.len();
        self.begin_item(out);
        let style = Style { sorted: true, color: self.color, quote };
        let printed = self.printer.print_next(scanner, 1, style, out);
        match printed {
            Some(()) => self.opened = true,
            None => out.truncate(before),
        }
        printed
    }

    fn begin_item(&self, out: &mut Vec<u8>) {
        append(out, if self.opened { b",\n  " } else { b"[\n  " });
    }

    /// Takes back what was written last; `opened` says whether there are items before it.
    pub(crate) fn take_back(&mut self, opened: bool) {
        self.opened = opened;
    }

    /// What belongs after the last item.
    pub(crate) fn end(self) -> &'static str {
        if self.opened { "\n]\n" } else { "[]\n" }
    }
}

/// Writes a text as a JSON string.
fn quote(content: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, character) in content.char_indices() {
        let short = match character {
            ' ' | '!' | '#'..='%' | '\''..=';' | '=' | '?'..='[' | ']'..='~' => continue,
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

    /// Makes the columns wide enough for a row that is to come: so a table whose rows are all known can go out row by row, and looks as if it were written at once.
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
        for row in self.cells.chunks(self.widths.len().max(1)) {
            let mut line = Line::new(out, self.color);
            for (cell, width) in row.iter().zip(&self.widths) {
                let start = std::mem::replace(&mut from, cell.end);
                line.cell(start < cell.end, cell.tint, width.saturating_sub(cell.columns), |out| append_part(out, &self.text, start, cell.end));
            }
            line.end();
        }
        self.cells.clear();
        self.text.clear();
    }

    /// Writes a row that was [expected](Self::expect) at once, without a copy of it, below those that wait.
    pub(crate) fn write<'a, C: Into<Cell<'a>>>(&mut self, out: &mut Vec<u8>, cells: impl IntoIterator<Item = C>) {
        if !self.cells.is_empty() {
            self.page(out);
        }
        let mut line = Line::new(out, self.color);
        for (cell, width) in cells.into_iter().map(Into::into).zip(&self.widths) {
            let (shown, columns) = measured(&cell.text);
            line.cell(!shown.is_empty(), cell.tint, width.saturating_sub(columns), |out| append(out, shown.as_bytes()));
        }
        line.end();
    }
}

/// A row that is being written.
struct Line<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    color: bool,
    /// Spaces to be written before the next cell that is not empty.
    gap: usize,
}

impl<'o> Line<'o> {
    fn new(out: &'o mut Vec<u8>, color: bool) -> Self {
        Self { start: out.len(), out, color, gap: 0 }
    }

    /// The next cell, that many columns less wide than its column.
    #[inline]
    fn cell(&mut self, is_full: bool, tint: Tint, room: usize, text: impl FnOnce(&mut Vec<u8>)) {
        if is_full {
            spaces(self.out, std::mem::take(&mut self.gap));
            let painted = self.color && tint != Tint::None;
            if painted {
                paint(self.out, tint.code());
            }
            text(self.out);
            if painted {
                paint(self.out, "0");
            }
        }
        self.gap += room + 2;
    }

    #[inline]
    fn end(self) {
        if !self.color {
            // A cell may itself end in spaces.
            let end = self.out.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            self.out.truncate(end.max(self.start));
        }
        self.out.push(b'\n');
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
        Some(_) => append_part(out, SPACES, 0, count),
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

    fn json(document: &str, order: KeyOrder, color: bool) -> anyhow::Result<String> {
        let mut out = Vec::new();
        super::json(document, order, color, &mut out)?;
        Ok(String::from_utf8(out)?)
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
            for place in 0..20 {
                let mut text = "=".repeat(20);
                text.replace_range(place..=place, &char::from(byte).to_string());
                let mut expected = Vec::new();
                quote(&text, &mut expected);
                let written = serde_json::Value::from(text).to_string();
                // The second of two is copied, because enough follows it.
                assert_eq!(
                    sorted(&format!("[{written},{written},12345678]")),
                    format!("[\n  {0},\n  {0},\n  12345678\n]", String::from_utf8_lossy(&expected)),
                    "{byte:#x} at {place}"
                );
            }
        }
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

    #[test]
    fn deep_documents_are_printed_as_others() {
        for levels in [1, 14, 15, 16, 17, 40, DEEPEST / 2 - 1] {
            let document = format!("{}1{}", r#"[{"b":{},"a":"#.repeat(levels), "}]".repeat(levels));
            assert_eq!(Some(sorted(&document)), slowly(&document, 0), "{levels}");
        }
    }

    /// As it is printed, by way of serde; `None` where it cannot read it, or a text in it.
    fn slowly(document: &str, level: usize) -> Option<String> {
        use serde_json::value::RawValue;
        let raw = serde_json::from_str::<&RawValue>(document).ok()?.get();
        let between = |open: char, parts: Vec<String>, close: char| {
            let line = |level: usize| format!("\n{}", "  ".repeat(level));
            if parts.is_empty() {
                format!("{open}{close}")
            } else {
                format!("{open}{}{}{}{close}", line(level + 1), parts.join(&format!(",{}", line(level + 1))), line(level))
            }
        };
        let quoted = |text: &str| {
            let mut out = Vec::new();
            quote(text, &mut out);
            String::from_utf8(out).unwrap()
        };
        Some(match raw.as_bytes()[0] {
            b'{' => {
                let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
                between(
                    '{',
                    members.iter().map(|(key, value)| Some(format!("{}: {}", quoted(key), slowly(value.get(), level + 1)?))).collect::<Option<_>>()?,
                    '}',
                )
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                between('[', items.iter().map(|item| slowly(item.get(), level + 1)).collect::<Option<_>>()?, ']')
            }
            b'"' => quoted(&serde_json::from_str::<String>(raw).ok()?),
            _ => raw.to_owned(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]
        /// Documents are printed as serde reads them, and those that it refuses are refused.
        #[test]
        fn printing_in_one_pass_is_printing(document in crate::json::any_nearly_json()) {
            let printed = json(&document, KeyOrder::Sorted, false).ok();
            let is_json = document.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&document).is_ok();
            prop_assert_eq!(printed.is_some(), is_json, "{}", document);
            if let Some(slow) = slowly(&document, 0) {
                prop_assert_eq!(printed, Some(slow), "{}", document);
            }
        }

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
        let mut out = Vec::new();
        for row in rows {
            paged.write(&mut out, row);
        }
        assert_eq!(String::from_utf8(out).unwrap(), page(&mut whole));
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
