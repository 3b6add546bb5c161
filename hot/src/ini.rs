//! Profile files in one look at each line: lists of profiles, the Tab key and questions to a large file have no time for more.
//!
//! A file is read in pieces: what is read into memory that was there before costs a third. Whatever is not plain enough for a look is left to the whole reading.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, ErrorKind, Read};

use memchr::{memchr, memchr2, memchr3, memmem};
use wide::u8x16;

use crate::block::{has, is_no_printable_ascii, places};
use crate::{PIECE, append};

/// Where each section of a file stands, and the first fault. Questions about a section then read that section only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// In file order; the first one holds what stands before any header.
    pub spans: Vec<Span>,
    /// The first line that cannot be read.
    pub first_bad_line: Option<BadLine>,
}

/// The lines below one header, or those before the first. There may be tens of thousands, so they are kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whose entries these are.
    pub owner: Owner,
    /// Of its first byte.
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
    /// The number of its first line.
    pub line: u32,
}

/// Whose the lines of a [`Span`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Those before any header.
    First,
    /// Where the name stands.
    Named(u32, u32),
    /// Below a header that cannot be read.
    Nobody,
}

/// A place that no reader of the file understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Neither `=` nor `:`.
    NoDelimiter,
    /// `[` without `]`.
    UnclosedSection,
    /// Nothing before the delimiter.
    EmptyKey,
    /// A quote that never ends.
    UnclosedQuote,
}

impl Index {
    /// Begins the next span.
    pub fn begin(&mut self, owner: Owner, start: usize, line: usize) {
        self.spans.push(Span { owner, start: small(start), end: small(start), line: small(line) });
    }

    /// Ends the span that was begun last.
    pub fn end(&mut self, at: usize) {
        if let Some(last) = self.spans.last_mut() {
            last.end = small(at);
        }
    }

    /// Of a whole file. `None` where a look does not do, because a line is indented or begins with something odd, or a value may go over lines.
    #[inline(never)]
    #[must_use]
    pub fn at_a_glance(bytes: &[u8]) -> Option<Self> {
        let mut index = Self::default();
        index.begin(Owner::First, 0, 1);
        let (_, bad) = walk(bytes, 1, |header, line| {
            index.end(header.start);
            index.begin(header.owner(header.start), (header.end + 1).min(bytes.len()), line + 1);
        })?;
        index.end(bytes.len());
        index.first_bad_line = bad;
        Some(index)
    }
}

/// A place in a file, which has at most some megabytes.
#[must_use]
pub fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// A line that begins a section.
struct Header<'a> {
    start: usize,
    /// Of the line, before its line feed.
    end: usize,
    /// `None` if the line cannot be read.
    name: Option<&'a [u8]>,
}

impl Header<'_> {
    /// The name, in a text where the header starts at this place.
    fn owner(&self, start: usize) -> Owner {
        self.name.map_or(Owner::Nobody, |name| Owner::Named(small(start + 1), small(start + 1 + name.len())))
    }
}

/// Looks at each line: hands on the headers with their numbers, and gives the number of the line that would be next, and the first bad one.
#[inline]
fn walk<'a>(bytes: &'a [u8], mut number: usize, mut each: impl FnMut(Header<'a>, usize)) -> Option<(usize, Option<BadLine>)> {
    if may_span_lines(bytes) {
        return None;
    }
    let mut bad = None;
    let mut lines = Lines::new(bytes);
    while let Some((start, line)) = lines.next() {
        let fault = match line.first() {
            None | Some(b'#' | b';') => None,
            Some(b'[') => {
                let name = name(line);
                each(Header { start, end: start + line.len(), name }, number);
                name.is_none().then_some(Fault::UnclosedSection)
            }
            Some(b'!'..=b'~') => match delimiter(line) {
                None => Some(Fault::NoDelimiter),
                Some(0) => Some(Fault::EmptyKey),
                Some(_) => None,
            },
            Some(_) if line.trim_ascii().is_empty() => None,
            Some(_) => return None,
        };
        if let Some(fault) = fault {
            bad.get_or_insert(BadLine { line: number, fault });
        }
        number += 1;
    }
    Some((number, bad))
}

/// Whether a value may go over lines, or a key be in quotes.
fn may_span_lines(bytes: &[u8]) -> bool {
    memchr3(b'`', b'"', b'\\', bytes).is_some()
}

/// The lines of a text, without their line feeds. They are short: found in 64 bytes at a time, they take a third of what a search for each takes.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Of the next line.
    start: usize,
    /// Behind what was looked at.
    seen: usize,
    /// The line feeds in the last 64 bytes of that which are still to come, a bit for each byte.
    feeds: u64,
}

impl<'a> Lines<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, seen: 0, feeds: 0 }
    }

    /// The next line, and where it starts.
    #[inline]
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        while self.feeds == 0 {
            let Some(block) = self.bytes.get(self.seen..).and_then(|rest| rest.first_chunk()) else { return self.next_of_last() };
            self.feeds = places(block, b'\n');
            self.seen += block.len();
        }
        let end = self.seen - 64 + self.feeds.trailing_zeros() as usize;
        self.feeds &= self.feeds - 1;
        let start = std::mem::replace(&mut self.start, end + 1);
        Some((start, self.bytes.get(start..end)?))
    }

    /// As [`Lines::next`], where fewer than 64 bytes are left to be looked at.
    #[cold]
    fn next_of_last(&mut self) -> Option<(usize, &'a [u8])> {
        let start = self.start;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        self.start += length + 1;
        Some((start, &rest[..length]))
    }
}

/// The name in a header.
#[inline]
fn name(header: &[u8]) -> Option<&[u8]> {
    header.iter().rposition(|byte| *byte == b']').map(|close| &header[1..close])
}

/// Eight times 1: what spreads a byte over a word.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte of a word.
const HIGH: u64 = ONES << 7;

/// Where the first delimiter of a line stands.
#[inline]
fn delimiter(line: &[u8]) -> Option<usize> {
    // Most keys are short.
    if let Some(eight) = line.first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let holds = |byte: u8| {
            let same = word ^ (ONES * u64::from(byte));
            same.wrapping_sub(ONES) & !same & HIGH
        };
        let marks = holds(b'=') | holds(b':');
        if marks != 0 {
            return Some(marks.trailing_zeros() as usize / 8);
        }
    }
    memchr2(b'=', b':', line)
}

/// Reads a file of about this size to its end, and hands on whole sections; the first time also what stands before any header.
#[inline]
fn in_pieces(file: &mut dyn Read, size: usize, mut each: impl FnMut(&[u8]) -> Option<()>) -> io::Result<Option<()>> {
    let mut piece = vec![0; PIECE.min(size + 1)];
    let mut filled = 0;
    loop {
        let more = match file.read(&mut piece[filled..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            more => more?,
        };
        filled += more;
        let whole = if more == 0 {
            filled
        } else if filled < piece.len() {
            continue;
        } else if let Some(feed) = memmem::rfind(&piece, b"\n[") {
            // The last section may go on.
            feed + 1
        } else {
            piece.resize(piece.len() * 2, 0);
            continue;
        };
        if memchr(0, &piece[..whole]).is_some() || each(&piece[..whole]).is_none() {
            return Ok(None);
        }
        if more == 0 {
            return Ok(Some(()));
        }
        piece.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

/// Some sections of a file, as they are written there.
#[derive(Clone)]
pub struct Excerpt {
    /// What stands before any header, and the sections.
    pub bytes: Vec<u8>,
    /// Of these bytes; the numbers of the lines, and the bad one, are those of the file.
    pub index: Index,
}

impl std::fmt::Debug for Excerpt {
    /// The size only: the bytes hold secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Excerpt({} bytes)", self.bytes.len())
    }
}

impl Excerpt {
    /// Reads a file of about this size to its end. `None` where a look does not do, as for [`Index::at_a_glance`].
    ///
    /// # Errors
    /// As the file says.
    #[inline(never)]
    pub fn read(file: &mut dyn Read, size: usize, wanted: &[&str]) -> io::Result<Option<Self>> {
        let mut extract = Extract::new(wanted);
        let read = in_pieces(file, size, |piece| extract.sections(piece))?;
        Ok(read.map(|()| extract.excerpt))
    }
}

/// An [`Excerpt`] that is being made.
struct Extract<'w> {
    excerpt: Excerpt,
    wanted: &'w [&'w str],
    /// Of the next line.
    number: usize,
}

impl<'w> Extract<'w> {
    fn new(wanted: &'w [&'w str]) -> Self {
        let mut index = Index::default();
        index.begin(Owner::First, 0, 1);
        Self { excerpt: Excerpt { bytes: Vec::new(), index }, wanted, number: 1 }
    }

    fn sections(&mut self, piece: &[u8]) -> Option<()> {
        let Excerpt { bytes, index } = &mut self.excerpt;
        // Where the section starts that is being taken over: at first what stands before any header.
        let mut from = (self.number == 1).then_some(0);
        let (next, bad) = walk(piece, self.number, |header, line| {
            if let Some(from) = from.take() {
                bytes.extend_from_slice(&piece[from..header.start]);
                index.end(bytes.len());
            }
            if header.name.is_some_and(|name| self.wanted.iter().any(|wanted| wanted.as_bytes() == name)) {
                from = Some(header.start);
                let length = (header.end + 1).min(piece.len()) - header.start;
                index.begin(header.owner(bytes.len()), bytes.len() + length, line + 1);
            }
        })?;
        if let Some(from) = from {
            bytes.extend_from_slice(&piece[from..]);
            index.end(bytes.len());
        }
        index.first_bad_line = index.first_bad_line.or(bad);
        self.number = next;
        Some(())
    }
}

/// An excerpt and a listing of the same file, which is read once: see [`Excerpt::read`] and [`Listing::read`].
///
/// # Errors
/// As the file says.
#[inline(never)]
pub fn read_both(file: &mut dyn Read, size: usize, wanted: &[&str], nameless: &str, keys: [&str; 2]) -> io::Result<Option<(Excerpt, Listing)>> {
    let mut extract = Extract::new(wanted);
    let mut look = Look::of_unique(size, nameless, keys);
    let read = in_pieces(file, size, |piece| extract.sections(piece).and_then(|()| look.sections(piece)))?;
    Ok(read.and_then(|()| Some((extract.excerpt, look.listing()?))))
}

/// Few sections are shorter: what the room for all of them is reckoned by.
const BYTES_OF_A_SECTION: usize = 80;

/// The sections of a file that have a value under one of two keys, each with its value under the first; empty if it has only the second.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// `NAME<TAB>VALUE`.
    lines: String,
    /// Of each name and its value: there may be tens of thousands.
    lengths: Vec<[u32; 2]>,
    /// Whether it is printable ASCII alone.
    is_plain: bool,
}

impl Listing {
    /// Reads a file of about this size to its end. Lines before any header belong to a section of the given name. The keys are of at least four lower-case letters.
    ///
    /// `None` where a look does not do, because a value may go over lines, ends in a comment or is in quotes, something is no ASCII or a tab, a section or key is written twice, or the name
    /// of one begins with two underscores, as those that are no profiles.
    ///
    /// # Errors
    /// As the file says.
    #[inline(never)]
    pub fn read(file: &mut dyn Read, size: usize, nameless: &str, keys: [&str; 2]) -> io::Result<Option<Self>> {
        let mut look = Look::of_unique(size, nameless, keys);
        let read = in_pieces(file, size, |piece| look.sections(piece))?;
        Ok(read.and_then(|()| look.listing()))
    }

    /// As [`Listing::read`], a part at a time and with less of a look: a section that is written twice comes twice. What was handed on before a `None` stands.
    ///
    /// # Errors
    /// As the file says.
    #[inline(never)]
    pub fn in_parts(file: &mut dyn Read, size: usize, nameless: &str, keys: [&str; 2], each: &mut dyn FnMut(&Self)) -> io::Result<Option<()>> {
        let mut look = Look::new(nameless, keys);
        in_pieces(file, size, |piece| {
            look.sections(piece)?;
            let part = look.listing()?;
            each(&part);
            // Its memory serves for the next one.
            (look.lines, look.lengths) = (part.lines.into_bytes(), part.lengths);
            look.lines.clear();
            look.lengths.clear();
            Some(())
        })
    }

    /// Adds a section at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.is_plain = false;
        self.lengths.push([name, value].map(|text| small(text.len())));
        self.lines.extend([name, "\t", value, "\n"]);
    }

    /// All of it, each name with a tab and its value on a line of its own; `None` if some have no value, or one longer than this, or anything but printable ASCII.
    #[must_use]
    pub fn lines(&self, longest: usize) -> Option<&str> {
        let is_fit = self.is_plain && self.lengths.iter().all(|[_, value]| (1..=longest).contains(&(*value as usize)));
        is_fit.then_some(&self.lines)
    }

    /// Those with the longest name and the longest value; `None` if there is anything but printable ASCII, whose length says little.
    #[must_use]
    pub fn longest(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let place_of = |of: usize| self.lengths.iter().enumerate().max_by_key(|(_, lengths)| lengths[of]).map(|(place, _)| place);
        let places = [0, 1].map(place_of);
        self.is_plain.then(|| self.iter().enumerate().filter(move |(place, _)| places.contains(&Some(*place))).map(|(_, found)| found))
    }

    /// Each name with its value, in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.lines;
        self.lengths.iter().map_while(move |[name, value]| {
            let value_at = *name as usize + 1;
            let end = value_at + *value as usize;
            let found = (rest.get(..value_at - 1)?, rest.get(value_at..end)?);
            rest = rest.get(end + 1..)?;
            Some(found)
        })
    }
}

/// A [`Listing`] that is being made.
struct Look<'k> {
    /// The first four letters of each key, and the others.
    keys: [(u32, &'k [u8]); 2],
    /// Whose lines those before any header are; until there was a header.
    nameless: Option<&'k str>,
    /// The marks of the names so far, where none may come twice.
    seen: Option<HashSet<u64, BuildHasherDefault<AsItIs>>>,
    lines: Vec<u8>,
    lengths: Vec<[u32; 2]>,
}

impl<'k> Look<'k> {
    fn new(nameless: &'k str, keys: [&'k str; 2]) -> Self {
        Self {
            keys: keys.map(|key| key.as_bytes().split_first_chunk().map_or((0, &[][..]), |(first, rest)| (u32::from_le_bytes(*first), rest))),
            nameless: Some(nameless),
            seen: None,
            lines: Vec::new(),
            lengths: Vec::new(),
        }
    }

    /// Of a file of about this size, in which no section may be written twice.
    fn of_unique(size: usize, nameless: &'k str, keys: [&'k str; 2]) -> Self {
        let count = size / BYTES_OF_A_SECTION;
        Self {
            seen: Some(HashSet::with_capacity_and_hasher(count, BuildHasherDefault::default())),
            lines: Vec::with_capacity(size),
            lengths: Vec::with_capacity(count),
            ..Self::new(nameless, keys)
        }
    }

    fn sections(&mut self, piece: &[u8]) -> Option<()> {
        // A tab could not be told from those that are put behind names.
        if may_span_lines(piece) || memchr(b'\t', piece).is_some() {
            return None;
        }
        let before = self.lines.len();
        let mut section = self.nameless.take().map(str::as_bytes);
        let mut values = [None, None];
        let mut lines = Lines::new(piece);
        while let Some((_, line)) = lines.next() {
            let Some(first) = line.first() else { continue };
            match first {
                b'[' => {
                    self.keep(section, values)?;
                    values = [None, None];
                    section = name(line);
                }
                b'!'..=b'~' => {
                    let Some((place, behind)) = self.key(line) else { continue };
                    let Some(name) = section else { continue };
                    let Some(value) = value(behind).ok()? else { continue };
                    let is_known = values[0].is_some() || values[1].is_some();
                    if values[place].replace(value).is_some() {
                        return None;
                    }
                    if !is_known
                        && let Some(seen) = &mut self.seen
                        && !seen.insert(mark(name))
                    {
                        return None;
                    }
                }
                // Blank, or the value above goes on, or something that is no ASCII.
                _ if line.trim_ascii().is_empty() => {}
                _ => return None,
            }
        }
        self.keep(section, values)?;
        is_plain(&self.lines[before..]).then_some(())
    }

    /// Which of the keys a line begins with, and what stands behind it.
    #[inline]
    fn key<'a>(&self, line: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let (first, behind) = line.split_first_chunk()?;
        // Letters of either case.
        let first = u32::from_le_bytes(*first) | 0x2020_2020;
        self.keys.iter().enumerate().find_map(|(place, (own, rest))| {
            let (more, behind) = behind.split_at_checked(rest.len())?;
            (first == *own && more.eq_ignore_ascii_case(rest)).then_some((place, behind))
        })
    }

    #[inline]
    fn keep(&mut self, section: Option<&[u8]>, values: [Option<&[u8]>; 2]) -> Option<()> {
        if let Some(name) = section
            && values.iter().flatten().any(|value| !value.is_empty())
        {
            if name.starts_with(b"__") {
                return None;
            }
            let value = values[0].unwrap_or_default();
            self.lengths.push([small(name.len()), small(value.len())]);
            append(&mut self.lines, name);
            self.lines.push(b'\t');
            append(&mut self.lines, value);
            self.lines.push(b'\n');
        }
        Some(())
    }

    /// Takes what there is so far.
    fn listing(&mut self) -> Option<Listing> {
        let lines = String::from_utf8(std::mem::take(&mut self.lines)).ok()?;
        Some(Listing { lines, lengths: std::mem::take(&mut self.lengths), is_plain: true })
    }
}

/// What a look does not tell.
struct Odd;

/// The value in what stands behind a key; `None` if the key goes on. Odd if that may be white space of another kind than in ASCII, or there is no delimiter.
#[inline]
fn value(behind: &[u8]) -> Result<Option<&[u8]>, Odd> {
    match behind.trim_ascii_start().split_first().ok_or(Odd)? {
        (b'=' | b':', value) => Ok(Some(value.trim_ascii())),
        (b'!'..=b'~', _) => Ok(None),
        _ => Err(Odd),
    }
}

/// Whether all of a text is printable ASCII in which no comment or quote may begin, tabs and line feeds aside.
fn is_plain(text: &[u8]) -> bool {
    let [tab, feed, hash, semicolon, quote] = b"\t\n#;'".map(u8x16::splat);
    !has(text, |bytes| {
        let between = bytes.simd_eq(tab) | bytes.simd_eq(feed);
        is_no_printable_ascii(bytes | (between & u8x16::splat(b' '))) | bytes.simd_eq(hash) | bytes.simd_eq(semicolon) | bytes.simd_eq(quote)
    })
}

/// A quick hash for the names of one file, which nobody makes to collide but its owner. Names are told apart by it alone: a set of marks takes a third of the memory of a set of names, and
/// where two marks are the same by chance, the file is one that a look does not do for.
#[inline]
fn mark(name: &[u8]) -> u64 {
    let mixed = |mark: u64, word: u64| (mark.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = name.as_chunks::<8>();
    let mark = words.iter().fold(name.len() as u64, |mark, word| mixed(mark, u64::from_le_bytes(*word)));
    let mark = match name.last_chunk::<8>() {
        Some(last) => mixed(mark, u64::from_le_bytes(*last)),
        None => mixed(mark, rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte))),
    };
    // A table looks at the lowest bits and at the highest ones, and only the highest are mixed well.
    mark ^ mark.swap_bytes()
}

/// For what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mark(bytes);
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}
