//! Profile files in one look at each line: lists of profiles and the Tab key have no time for more.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// The sections that have a value under one of two keys, each with its value under the first; empty if it has only the second. Lines before any header belong to a section of the given name.
///
/// `None` where a look does not do, because the file is not all ASCII, a value may go over lines or ends in a comment, or a section or key is written twice.
#[inline(never)]
#[must_use]
pub fn at_a_glance<'a>(bytes: &'a [u8], nameless: &'a str, keys: [&str; 2]) -> Option<Vec<(&'a str, &'a str)>> {
    if !bytes.is_ascii() || memchr3(b'`', b'"', b'\\', bytes).is_some() || memchr2(b'\'', b'\x0b', bytes).is_some() {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let has_comments = memchr2(b'#', b';', bytes).is_some();
    let count = memchr_iter(b'[', bytes).count() + 1;
    let mut seen = HashSet::with_capacity_and_hasher(count, BuildHasherDefault::<AsItIs>::default());
    let mut found: Vec<(&str, &str)> = Vec::with_capacity(count);
    let mut section = Some(nameless);
    let mut values: [Option<&str>; 2] = [None; 2];
    let mut next = 0;
    while let Some(first) = bytes.get(next) {
        let start = next;
        if *first == b'\n' {
            next += 1;
            continue;
        }
        let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
        next = end + 1;
        let line = &bytes[start..end];
        match first {
            b'[' => {
                keep(section, values, &mut found);
                values = [None; 2];
                section = line.iter().rposition(|byte| *byte == b']').map(|close| &text[start + 1..start + close]);
            }
            // Blank, or the value above goes on.
            ..=b' ' if line.trim_ascii().is_empty() => {}
            ..=b' ' => return None,
            _ => {
                let Some(name) = section else { continue };
                let hit = keys.iter().enumerate().find_map(|(place, key)| Some((place, behind_delimiter(line, key.as_bytes())?)));
                let Some((place, behind)) = hit else { continue };
                let value = &text[start + behind..end];
                if has_comments && memchr2(b'#', b';', value.as_bytes()).is_some() {
                    return None;
                }
                let is_first = values == [None; 2];
                if values[place].replace(value.trim_ascii()).is_some() || is_first && !seen.insert(mark(name.as_bytes())) {
                    return None;
                }
            }
        }
    }
    keep(section, values, &mut found);
    Some(found)
}

#[inline]
fn keep<'a>(section: Option<&'a str>, values: [Option<&'a str>; 2], found: &mut Vec<(&'a str, &'a str)>) {
    if let Some(name) = section
        && values.iter().flatten().any(|value| !value.is_empty())
    {
        found.push((name, values[0].unwrap_or_default()));
    }
}

/// Where the value begins in a line that begins with this key.
#[inline]
fn behind_delimiter(line: &[u8], key: &[u8]) -> Option<usize> {
    // Most lines differ in the first letter.
    if !line.first()?.eq_ignore_ascii_case(key.first()?) || !line.get(..key.len())?.eq_ignore_ascii_case(key) {
        return None;
    }
    let mut at = key.len();
    while line.get(at)?.is_ascii_whitespace() {
        at += 1;
    }
    matches!(line[at], b'=' | b':').then_some(at + 1)
}

/// A quick hash for the names of one file, which nobody makes to collide but its owner. Names are told apart by it alone: a set of marks takes a third of the memory of a set of names, and
/// where two marks are the same by chance, the file is one that a look does not do for.
#[inline]
fn mark(name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let rest = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let mark = words.chain([rest]).fold(name.len() as u64, |mark, word| (mark.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // A table looks at the lower bits too.
    mark ^ (mark >> 32)
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
