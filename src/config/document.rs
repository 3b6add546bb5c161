//! [`Document`]: the profile file as its owner wrote it, of which one value can be changed and every other byte stays.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use databricks_hot::ini::{BadLine, Excerpt, Fault, Index, Listing, Owner, Span, small};
use memchr::memchr;

use crate::config::lines::{self, Kind, Lines};

/// The section that entries before any header belong to, as in the Go SDK.
pub(crate) const DEFAULT_SECTION: &str = "DEFAULT";

/// The bytes of the file, with views and edits by section and key.
///
/// Sections of the same name count as one and the last value of a key wins. Keys are compared without regard to case, as Python's `configparser` does.
#[derive(Clone, Default)]
pub(crate) struct Document {
    bytes: Vec<u8>,
    /// Made by the first question, gone with every edit.
    index: OnceLock<Index>,
}

/// One `key = value`, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawField {
    entry: lines::Entry,
    line: usize,
}

/// One `key = value` as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) key: &'a str,
    /// Decoded: without comment and quotes. Bytes that are no UTF-8 are replaced, which no valid attribute value survives.
    pub(crate) value: Cow<'a, str>,
    /// From 1.
    pub(crate) line: usize,
}

/// One step of a walk over the file: what an item means in its section.
enum Step<'a> {
    Header(&'a str, Range<usize>),
    /// `None` as section: the entry stands below a header that cannot be read, and belongs to nobody.
    Entry(Option<&'a str>, lines::Entry, Range<usize>),
}

impl Document {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, index: OnceLock::new() }
    }

    /// Some sections of a file, to be read only.
    pub(crate) fn of_excerpt(excerpt: Excerpt) -> Self {
        Self { bytes: excerpt.bytes, index: OnceLock::from(excerpt.index) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Each stretch of entries with the name of its section, in file order; a section that is written twice comes twice.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (&str, Vec<RawField>)> {
        self.spans().map(|(name, span)| (name, self.raw_fields(span).collect()))
    }

    /// The fields of one section; `None` if the file has no such section.
    pub(crate) fn section(&self, name: &str) -> Option<Vec<Field<'_>>> {
        let mut fields = None;
        for (_, span) in self.spans_where(|own| own == name.as_bytes()) {
            fields.get_or_insert_with(Vec::new).extend(self.raw_fields(span).filter_map(|raw| self.field(&raw)));
        }
        fields
    }

    /// The value of a key in a section.
    pub(crate) fn get(&self, section: &str, key: &str) -> Option<Cow<'_, str>> {
        self.section(section)?.into_iter().rfind(|field| field.key.eq_ignore_ascii_case(key)).map(|field| field.value)
    }

    /// Whether some section but this one has the key.
    pub(crate) fn has_elsewhere(&self, section: &str, key: &str) -> bool {
        self.spans().any(|(name, span)| name != section && self.raw_fields(span).any(|raw| self.is_key(&raw, key)))
    }

    /// The sections that have a value under one of two keys, in one look at each line. `None` where that does not do; then [`Document::stretches`] tells.
    pub(crate) fn listing(&self, keys: [&str; 2]) -> Option<Listing> {
        Listing::read(&mut &*self.bytes, self.bytes.len(), DEFAULT_SECTION, keys).ok()?
    }

    /// The first line that cannot be read.
    pub(crate) fn first_bad_line(&self) -> Option<BadLine> {
        self.index().first_bad_line
    }

    /// The decoded key and value; `None` if the key is no UTF-8.
    pub(crate) fn field(&self, raw: &RawField) -> Option<Field<'_>> {
        let key = std::str::from_utf8(&self.bytes[raw.entry.key.clone()]).ok()?;
        Some(Field { key, value: self.value(raw), line: raw.line })
    }

    /// The decoded value.
    pub(crate) fn value(&self, raw: &RawField) -> Cow<'_, str> {
        match lines::value(&self.bytes[raw.entry.value.clone()]) {
            Cow::Borrowed(value) => std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed),
            Cow::Owned(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
        }
    }

    /// Whether there is anything behind the delimiter.
    pub(crate) fn has_value(&self, raw: &RawField) -> bool {
        !lines::trim(&self.bytes[raw.entry.value.clone()]).is_empty()
    }

    pub(crate) fn is_key(&self, raw: &RawField, key: &str) -> bool {
        self.bytes[raw.entry.key.clone()].eq_ignore_ascii_case(key.as_bytes())
    }

    /// Whether these bytes are no text at all: another kind of file under this name.
    pub(crate) fn is_binary(&self) -> bool {
        memchr(0, &self.bytes).is_some()
    }

    /// Gives keys their values: in place where the section has the key, else behind the section's last entry, else in a new section at the end.
    ///
    /// Only the lines of these keys change. An inline comment moves to a line of its own above, because Python's reader would take it for a part of the new value;
    /// further lines of the same key, which the readers disagree about, go.
    ///
    /// The caller has checked section, keys and values with [`super::plain`], and that no line is bad (an indented one would become a part of a new entry above it).
    pub(crate) fn set(&mut self, section: &str, fields: &[(&str, &str)]) {
        self.index.take();
        let present = self.section(section).is_some();
        self.index.take();
        if !present {
            self.append_section(section, fields);
            return;
        }
        for (key, value) in fields {
            if !self.replace(section, key, value)
                && let Some((at, style)) = self.end_of_section(section)
            {
                self.insert_line(at, &style.line(key, value));
            }
        }
    }

    /// Replaces the last entry of a key and drops earlier ones; `false` if the section has none.
    fn replace(&mut self, section: &str, key: &str, value: &str) -> bool {
        let mut present = self.entries(section, key);
        let Some((last, entry)) = present.pop() else { return false };
        let raw = &self.bytes[entry.value.clone()];
        let indent = self.indent(last.start..entry.key.start);
        let plain_key = last.start + indent.len() == entry.key.start;
        let unchanged = lines::trim(raw) == value.as_bytes() && self.bytes[entry.key.clone()] == *key.as_bytes() && plain_key;
        if !unchanged {
            // A key in quotes loses them: Python's reader takes them for a part of the key.
            let delimiter = if plain_key { &self.bytes[entry.key.end..entry.value.start] } else { b" =" };
            let gap = &raw[..raw.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(raw.len())];
            let gap: &[u8] = if gap.is_empty() && raw.trim_ascii().is_empty() && delimiter.starts_with(b" ") { b" " } else { gap };
            let gap = if plain_key { gap } else { b" " };
            let line_end = self.line_end_of(&last);
            let mut new = Vec::new();
            if let Some(comment) = lines::comment(raw) {
                let comment_end = if line_end.is_empty() { self.line_end() } else { line_end };
                new.extend([indent, comment, comment_end].concat());
            }
            new.extend([indent, key.as_bytes(), delimiter, gap, value.as_bytes(), line_end].concat());
            self.bytes.splice(last, new);
        }
        for (earlier, _) in present.into_iter().rev() {
            self.bytes.drain(earlier);
        }
        true
    }

    /// Removes every line of a key from a section.
    pub(crate) fn remove(&mut self, section: &str, key: &str) {
        self.index.take();
        for (bytes, _) in self.entries(section, key).into_iter().rev() {
            self.bytes.drain(bytes);
        }
    }

    /// Removes a section wherever it is written, with the comments that stand right above its header; of [`DEFAULT_SECTION`] only the entries, because readers expect its header.
    ///
    /// The caller has checked that no line is bad.
    pub(crate) fn remove_section(&mut self, section: &str) {
        self.index.take();
        if section == DEFAULT_SECTION {
            let entries: Vec<Range<usize>> = self
                .steps()
                .filter_map(|step| match step {
                    Step::Entry(Some(name), _, bytes) if name == section => Some(bytes),
                    _ => None,
                })
                .collect();
            for bytes in entries.into_iter().rev() {
                self.bytes.drain(bytes);
            }
            return;
        }
        for bytes in self.whole(section).into_iter().rev() {
            self.bytes.drain(bytes);
        }
    }

    /// All bytes of a section, once for each time it is written: from the comments above its header to the blank lines behind its last entry.
    fn whole(&self, section: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        // Where comments began that have nothing but comments behind them, and whether a blank line or nothing stands above them.
        let mut comments: Option<usize> = None;
        let mut after_blank = true;
        let mut inside = false;
        // Comments behind the last entry are about what follows.
        let mut settled = true;
        for item in Lines::new(&self.bytes) {
            match item.kind {
                Kind::Section(name) => {
                    inside = self.bytes[name] == *section.as_bytes();
                    if inside {
                        found.push(comments.unwrap_or(item.bytes.start)..item.bytes.end);
                    }
                    (comments, after_blank, settled) = (None, false, true);
                }
                Kind::Comment => {
                    if comments.is_none() && after_blank {
                        comments = Some(item.bytes.start);
                    }
                    (after_blank, settled) = (false, false);
                }
                Kind::Blank => {
                    if inside
                        && settled
                        && let Some(last) = found.last_mut()
                    {
                        last.end = item.bytes.end;
                    }
                    (comments, after_blank) = (None, true);
                }
                Kind::Entry(_) | Kind::Bad(_) => {
                    if inside && let Some(last) = found.last_mut() {
                        last.end = item.bytes.end;
                    }
                    (comments, after_blank, settled) = (None, false, true);
                }
            }
        }
        found
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::at_a_glance(&self.bytes).unwrap_or_else(|| index_of(&self.bytes)))
    }

    /// The stretches that belong to somebody, each with the name of its section.
    fn spans(&self) -> impl Iterator<Item = (&str, &Span)> {
        self.spans_where(|_| true)
    }

    /// As [`Document::spans`], for the sections whose name is wanted.
    fn spans_where(&self, wanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (&str, &Span)> {
        self.index().spans.iter().filter_map(move |span| {
            let name = match span.owner {
                Owner::First if wanted(DEFAULT_SECTION.as_bytes()) => self.raw_fields(span).next().map(|_| DEFAULT_SECTION),
                Owner::Named(start, end) => {
                    let name = &self.bytes[start as usize..end as usize];
                    if wanted(name) { std::str::from_utf8(name).ok() } else { None }
                }
                Owner::First | Owner::Nobody => None,
            };
            Some((name?, span))
        })
    }

    fn raw_fields(&self, span: &Span) -> impl Iterator<Item = RawField> {
        Lines::within(&self.bytes, span.start as usize..span.end as usize, span.line as usize).filter_map(|item| match item.kind {
            Kind::Entry(entry) => Some(RawField { entry, line: item.line }),
            _ => None,
        })
    }

    /// A walk over headers and entries, for edits.
    fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let mut section = Some(DEFAULT_SECTION);
        Lines::new(&self.bytes).filter_map(move |item| match item.kind {
            Kind::Blank | Kind::Comment => None,
            Kind::Section(name) => {
                section = std::str::from_utf8(&self.bytes[name]).ok();
                section.map(|name| Step::Header(name, item.bytes))
            }
            Kind::Entry(entry) => Some(Step::Entry(section, entry, item.bytes)),
            Kind::Bad(fault) => {
                if fault == Fault::UnclosedSection {
                    section = None;
                }
                None
            }
        })
    }

    /// Where the entries of one key stand: all bytes of each, and its parts.
    fn entries(&self, section: &str, key: &str) -> Vec<(Range<usize>, lines::Entry)> {
        self.steps()
            .filter_map(|step| match step {
                Step::Entry(Some(name), entry, bytes) if name == section && self.bytes[entry.key.clone()].eq_ignore_ascii_case(key.as_bytes()) => {
                    Some((bytes, entry))
                }
                _ => None,
            })
            .collect()
    }

    /// Behind the last entry of a section (or its header), and how its entries are written.
    fn end_of_section(&self, section: &str) -> Option<(usize, Style)> {
        let mut end = None;
        let mut bare = false;
        let mut widths = Vec::new();
        for step in self.steps() {
            // Python's reader takes a header that is indented deeper than the entry above it for a part of that entry.
            if let (Step::Header(_, bytes), true, Some((_, style))) = (&step, bare, &mut end) {
                *style = Style { indent: self.indent(bytes.clone()).to_vec(), ..Style::default() };
            }
            bare = matches!(&step, Step::Header(name, _) if *name == section);
            match step {
                Step::Header(name, bytes) if name == section => end = Some((bytes.end, Style::default())),
                Step::Entry(Some(name), entry, bytes) if name == section => {
                    let lead = &self.bytes[bytes.start..entry.value.start];
                    let spaced = self.bytes[entry.value.clone()].first().is_none_or(u8::is_ascii_whitespace);
                    let indent = self.indent(bytes.start..entry.key.start).to_vec();
                    // A backslash at the very end of the file waits for a next line: a new entry goes above it.
                    let dangling = lines::trim(&self.bytes[bytes.clone()]).ends_with(b"\\") && bytes.end == self.bytes.len();
                    let width = lead.len() - indent.len() - 1;
                    let padded = width > entry.key.len() + 1;
                    widths.push(width);
                    let aligned = padded || (widths.len() > 1 && widths.iter().all(|other| *other == width));
                    end = Some((if dangling { bytes.start } else { bytes.end }, Style { width: if aligned { width } else { 0 }, indent, tight: !spaced }));
                }
                _ => {}
            }
        }
        end
    }

    /// The white space that a line (or the part of it before its key) begins with.
    fn indent(&self, line: Range<usize>) -> &[u8] {
        let lead = &self.bytes[line];
        &lead[..lead.len() - lines::trim_start(lead).len()]
    }

    fn insert_line(&mut self, at: usize, line: &str) {
        let line_end = self.line_end();
        let mut new = Vec::new();
        if at > 0 && self.bytes[at - 1] != b'\n' {
            new.extend_from_slice(line_end);
        }
        new.extend([line.as_bytes(), line_end].concat());
        self.bytes.splice(at..at, new);
    }

    fn append_section(&mut self, section: &str, fields: &[(&str, &str)]) {
        let line_end = self.line_end();
        let mut new = Vec::new();
        if !self.bytes.is_empty() && !self.bytes.ends_with(b"\n") {
            new.extend_from_slice(line_end);
        }
        if !self.bytes.trim_ascii().is_empty() && !self.bytes.ends_with(b"\n\n") && !self.bytes.ends_with(b"\r\n\r\n") {
            new.extend_from_slice(line_end);
        }
        new.extend([format!("[{section}]").as_bytes(), line_end].concat());
        let width = fields.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        for (key, value) in fields {
            new.extend([format!("{key:width$} = {value}").as_bytes(), line_end].concat());
        }
        self.bytes.extend(new);
    }

    /// The line end that the file uses: that of its first line.
    fn line_end(&self) -> &'static [u8] {
        match self.bytes.iter().position(|byte| *byte == b'\n') {
            Some(feed) if feed > 0 && self.bytes[feed - 1] == b'\r' => b"\r\n",
            _ => b"\n",
        }
    }

    /// The line end of one item; empty if it is the last and has none.
    fn line_end_of(&self, item: &Range<usize>) -> &'static [u8] {
        let text = &self.bytes[item.clone()];
        if text.ends_with(b"\r\n") {
            b"\r\n"
        } else if text.ends_with(b"\n") {
            b"\n"
        } else {
            b""
        }
    }
}

/// As [`Index::at_a_glance`], of any file.
fn index_of(bytes: &[u8]) -> Index {
    let mut index = Index::default();
    for item in Lines::new(bytes) {
        if index.spans.is_empty() {
            // Behind a byte order mark.
            index.begin(Owner::First, item.bytes.start, item.line);
        }
        let owner = match item.kind {
            Kind::Section(name) => Owner::Named(small(name.start), small(name.end)),
            Kind::Bad(fault) => {
                index.first_bad_line.get_or_insert(BadLine { line: item.line, fault });
                if fault != Fault::UnclosedSection {
                    continue;
                }
                Owner::Nobody
            }
            _ => continue,
        };
        index.end(item.bytes.start);
        index.begin(owner, item.bytes.end, item.line + 1);
    }
    index.end(bytes.len());
    index
}

/// How the entries of a section are written, so that a new one looks like its neighbours.
#[derive(Default)]
struct Style {
    indent: Vec<u8>,
    /// Columns from the start of the key to the delimiter, where these stand below each other.
    width: usize,
    /// `key=value`.
    tight: bool,
}

impl Style {
    fn line(&self, key: &str, value: &str) -> String {
        let indent = String::from_utf8_lossy(&self.indent);
        if self.tight {
            return format!("{indent}{key}={value}");
        }
        let width = self.width.saturating_sub(1);
        format!("{indent}{key:width$} = {value}")
    }
}

impl std::fmt::Debug for Document {
    /// The size only: the bytes hold secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Document({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_section_goes_with_what_belongs_to_it_and_nothing_else() {
        let without = |text: &str, section: &str| {
            let mut document = Document::new(text.as_bytes().to_vec());
            document.remove_section(section);
            String::from_utf8(document.into_bytes()).expect("text")
        };
        let file = "# mine\n\n[a]\nhost = x\n\n# about b\n# and more\n[b]\ntoken = t\n; in b\nhost = y\n\n# about c\n[c]\nhost = z\n";
        assert_eq!(without(file, "b"), "# mine\n\n[a]\nhost = x\n\n# about c\n[c]\nhost = z\n");
        assert_eq!(without(file, "c"), "# mine\n\n[a]\nhost = x\n\n# about b\n# and more\n[b]\ntoken = t\n; in b\nhost = y\n\n");
        assert_eq!(without(file, "nope"), file);
        assert_eq!(without("[b]\nx = 1\n[a]\ny = 2\n[b]\nz = 3", "b"), "[a]\ny = 2\n");
        assert_eq!(without("host = first\n[DEFAULT]\n# note\ntoken = t\n[a]\nx = 1\n", "DEFAULT"), "[DEFAULT]\n# note\n[a]\nx = 1\n");
    }

    proptest! {
        /// The quick look finds the sections and the fault that the whole reading finds.
        #[test]
        fn both_indexes_are_the_same(lines in proptest::collection::vec(
            prop::sample::select(vec![
                "[a]", "[ b ] ", "[c]x]", "[open", "[", "k = 1", "k:", "=x", ":", "no delimiter", "# c", "; c", "", " ", "\t\r", "\r", "k = 1\r", " k = 2", " more", "\tmore",
                "k = \\", "\"k\" = 1", "k = `", "k = \"\"\"", "k = 'x'", "\u{e9} = 1", "\u{a0}", "\u{b}", "\u{c}", "\u{1}", "~", "]",
            ]),
            0..10,
        ), mark in any::<bool>(), end in any::<bool>()) {
            let text = format!("{}{}{}", if mark { "\u{feff}" } else { "" }, lines.join("\n"), if end { "\n" } else { "" });
            let whole = index_of(text.as_bytes());
            if let Some(quick) = Index::at_a_glance(text.as_bytes()) {
                let spans = |index: &Index| index.spans.iter().filter(|span| span.owner != Owner::First || span.start < span.end).cloned().collect::<Vec<_>>();
                prop_assert_eq!(spans(&quick), spans(&whole));
                prop_assert_eq!(quick.first_bad_line, whole.first_bad_line);
            }
        }
    }

    #[test]
    fn a_usual_file_is_indexed_at_a_glance() {
        assert!(Index::at_a_glance(b"; mine\r\n[a]\r\nhost = x\r\n\r\n[b]\nhost: y\nbad\n").is_some());
    }

    fn edited(file: &str, edit: impl Fn(&mut Document)) -> String {
        let mut document = Document::new(file.as_bytes().to_vec());
        edit(&mut document);
        let once = document.clone().into_bytes();
        edit(&mut document);
        assert_eq!(once, document.into_bytes(), "the same edit again changes nothing");
        String::from_utf8(once).expect("text")
    }

    fn names(document: &Document) -> Vec<&str> {
        document.stretches().map(|(name, _)| name).collect()
    }

    fn set(file: &str, section: &str, key: &str, value: &str) -> String {
        edited(file, |document| document.set(section, &[(key, value)]))
    }

    #[test]
    fn only_the_line_of_the_key_changes() {
        let file = "\u{feff}# mine\r\n[a]\r\n  host   =  https://x  \r\n;note\r\nunknown: kept\r\n[b]\r\nhost=y";
        assert_eq!(set(file, "a", "host", "https://z"), file.replace("https://x  ", "https://z"));
        assert_eq!(set(file, "b", "host", "z"), file.replace("host=y", "host=z"));
        assert_eq!(set(file, "a", "host", "https://x").len(), file.len());
    }

    #[test]
    fn new_keys_stand_with_their_section_and_look_like_it() {
        assert_eq!(set("[a]\nhost  = x\n\n; of b\n[b]\n", "a", "token", "t"), "[a]\nhost  = x\ntoken = t\n\n; of b\n[b]\n");
        assert_eq!(set("[a]\ncluster_id = x\n", "a", "token", "t"), "[a]\ncluster_id = x\ntoken = t\n");
        assert_eq!(set("[a]\nhost       = x\ncluster_id = y\n", "a", "token", "t"), "[a]\nhost       = x\ncluster_id = y\ntoken      = t\n");
        assert_eq!(set("[a]\n\thost=x", "a", "token", "t"), "[a]\n\thost=x\n\ttoken=t\n");
        assert_eq!(set("[a]", "a", "token", "t"), "[a]\ntoken = t\n");
        assert_eq!(set("", "a", "token", "t"), "[a]\ntoken = t\n");
        assert_eq!(set("[a]\n  [b]\n", "a", "token", "t"), "[a]\n  token = t\n  [b]\n");
        assert_eq!(set("[a]\n\"k\"=v\n`host`: x", "a", "token", "t"), "[a]\n\"k\"=v\n`host`: x\ntoken = t\n");
        assert_eq!(set("[a]\n \"token\":old\n", "a", "token", "t"), "[a]\n token = t\n");
        assert_eq!(set("[b]\r\nk = 1", "a", "token", "t"), "[b]\r\nk = 1\r\n\r\n[a]\r\ntoken = t\r\n");
        assert_eq!(edited("", |document| document.set("a", &[("host", "h"), ("token", "t")])), "[a]\nhost  = h\ntoken = t\n");
    }

    #[test]
    fn comments_quotes_continuations_and_doubles_are_resolved_where_a_value_is_replaced() {
        assert_eq!(set("[a]\n  token = old ; why\n", "a", "token", "new"), "[a]\n  ; why\n  token = new\n");
        assert_eq!(set("[a]\ntoken = \"old\"\n", "a", "token", "old"), "[a]\ntoken = old\n");
        assert_eq!(set("[a]\ntoken = one\\\n  two\nhost = h\n", "a", "token", "new"), "[a]\ntoken = new\nhost = h\n");
        assert_eq!(set("[a]\ntoken = one\n  two\nhost = h\n", "a", "token", "new"), "[a]\ntoken = new\nhost = h\n");
        assert_eq!(set("[a]\ntoken = 1\nhost = h\nToken = 2\n[a]\ntoken = 3\n", "a", "token", "new"), "[a]\nhost = h\n[a]\ntoken = new\n");
        assert_eq!(set("[a]\nToken = 2\n", "a", "token", "2"), "[a]\ntoken = 2\n");
        assert_eq!(set("[a]\ntoken =\n", "a", "token", "new"), "[a]\ntoken = new\n");
    }

    #[test]
    fn removal_takes_all_lines_of_the_key() {
        let removed = |file: &str| edited(file, |document| document.remove("a", "token"));
        assert_eq!(removed("[a]\ntoken = 1\n  more\nhost = h\ntoken = 2 ; x\n[b]\ntoken = 3\n"), "[a]\nhost = h\n[b]\ntoken = 3\n");
    }

    #[test]
    fn a_broken_header_gives_its_entries_to_nobody() {
        let document = Document::new(b"[good]\nhost = a\n[broken\ntoken = stray\n[next]\nhost = b\n".to_vec());
        assert_eq!(document.get("good", "token"), None);
        assert_eq!(names(&document), ["good", "next"]);
        assert_eq!(document.first_bad_line(), Some(BadLine { line: 3, fault: Fault::UnclosedSection }));
    }

    #[test]
    fn sections_of_one_name_count_as_one_and_the_last_value_wins() {
        let document = Document::new(b"k = 0\n[a]\nk = 1\n[b]\n[a]\nk = 2\n".to_vec());
        assert_eq!(document.get("a", "K").as_deref(), Some("2"));
        assert_eq!(document.get(DEFAULT_SECTION, "k").as_deref(), Some("0"));
        assert_eq!(names(&document), ["DEFAULT", "a", "b", "a"]);
        assert_eq!(document.section("b"), Some(vec![]));
        assert_eq!(document.section("c"), None);
    }

    /// Files as people and tools leave them: every kind of line, in any order, with either line end.
    fn any_file() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just(String::new()),
            "[ \t]{0,2}[#;][ -~]{0,12}",
            "\\[(DEFAULT|a|b|pro d|__settings__)\\][ ]{0,2}",
            "[ \t]{0,3}(host|token|Token|cluster_id|custom)[ ]{0,3}[=:][ ]{0,2}[!-~ ]{0,16}",
            "(host|token) = [a-z]{1,5} [#;] [a-z ]{0,6}",
            "token = [a-z]{1,5}\\\\",
            "token = (`[a-z]{0,3}|\"\"\"[a-z]{0,3}\"\"\"|\"[a-z]{0,3}\"|'[a-z]{0,3}')",
            "[ ]{0,4}[a-z]{1,8}",
            "\\[[a-z]{0,4}",
        ];
        (prop::collection::vec(line, 0..14), prop_oneof![Just("\n"), Just("\r\n")], any::<(bool, bool)>())
            .prop_map(|(lines, end, (mark, last))| format!("{}{}{}", if mark { "\u{feff}" } else { "" }, lines.join(end), if last { end } else { "" }))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), max_global_rejects: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_edit_is_read_back_and_leaves_all_other_lines(file in any_file(), section in "(DEFAULT|a|b|new)", value in "[!-~]{1,12}") {
            prop_assume!(crate::config::plain::check_value("token", &value).is_ok());
            let before = Document::new(file.clone().into_bytes());
            prop_assume!(before.first_bad_line().is_none());
            let mut after = before.clone();
            after.set(&section, &[("token", &value)]);
            let read = after.get(&section, "token").map(Cow::into_owned);
            prop_assert_eq!(read.as_deref(), Some(value.as_str()));
            let mut again = after.clone();
            again.set(&section, &[("token", &value)]);
            prop_assert_eq!(&again.bytes, &after.bytes);
            let other = |document: &Document| -> Vec<(String, String, String)> {
                let mut fields = Vec::new();
                for (name, raw) in document.stretches() {
                    let decoded = raw.iter().filter_map(|raw| document.field(raw)).filter(|field| !(name == section && field.key.eq_ignore_ascii_case("token")));
                    fields.extend(decoded.map(|field| (name.to_owned(), field.key.to_owned(), field.value.into_owned())));
                }
                fields.sort();
                fields
            };
            prop_assert_eq!(other(&before), other(&after));
            let mut removed = after.clone();
            removed.remove(&section, "token");
            prop_assert_eq!(removed.get(&section, "token"), None);
        }

        #[test]
        fn any_bytes_can_be_read_and_edited(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut document = Document::new(bytes);
            document.first_bad_line();
            prop_assert!(names(&document).len() <= 201);
            document.set("p", &[("host", "h"), ("token", "t")]);
            let read = document.get("p", "token").map(Cow::into_owned);
            prop_assert_eq!(read.as_deref(), Some("t"));
        }
    }
}
