//! What megabytes pass through, byte by byte: a package of its own, because cargo optimizes by the package (`[profile.release.package.databricks-hot]`) and all else is built for size.
//! Generic functions and those marked `#[inline]` would be built where they are called, for size: hence `#[inline(never)]`. The tests stand beside those of the modules that use it.

pub mod block;
pub mod ini;
pub mod json;
pub mod print;

/// Eight times 1: what spreads a byte over a word.
pub const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte of a word.
pub const HIGH: u64 = ONES << 7;

/// Marks bytes of a word by their highest bits: the lowest mark is that of the first byte of this value.
#[inline]
#[must_use]
pub fn holds(byte: u8, word: u64) -> u64 {
    let same = word ^ (ONES * u64::from(byte));
    same.wrapping_sub(ONES) & !same & HIGH
}

/// The eight bytes at a place as a word, the first one lowest; `None` where fewer are left.
#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?))
}

/// Whether all of a text passes a look at eight bytes at once; a shorter end comes with spaces, or with what stands before it.
#[inline]
pub fn every_word(text: &[u8], passes: impl Fn(u64) -> bool) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let last = || match text.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(ONES * u64::from(b' '), |word, byte| word << 8 | u64::from(*byte)),
    };
    words.iter().all(|word| passes(u64::from_le_bytes(*word))) && (rest.is_empty() || passes(last()))
}

/// Whether there is an ASCII control character in a text, DEL aside.
#[must_use]
pub(crate) fn has_control(text: &[u8]) -> bool {
    // Beyond ASCII the highest bit is set, and none is meant; below a space a byte borrows.
    let look = |word: u64| word.wrapping_sub(ONES * u64::from(b' ')) & !word;
    let (blocks, rest) = text.as_chunks::<32>();
    let of_block = |block: &[u8; 32]| block.as_chunks::<8>().0.iter().fold(0, |found, word| found | look(u64::from_le_bytes(*word)));
    blocks.iter().any(|block| of_block(block) & HIGH != 0) || !every_word(rest, |word| look(word) & HIGH == 0)
}

/// Whether the text is printable ASCII throughout, as nearly all text is.
#[must_use]
#[inline(never)]
pub fn is_printable_ascii(text: &str) -> bool {
    !block::has(text.as_bytes(), block::is_no_printable_ascii)
}

/// Appends a text to bytes. Most are short, and for those a call of `memcpy` takes longer than the copying: musl's begins slowly.
#[inline(never)]
pub fn append(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        0 => {}
        1 => out.push(text[0]),
        2..4 => append_ends::<2>(out, text),
        4..8 => append_ends::<4>(out, text),
        8..16 => append_ends::<8>(out, text),
        16..=32 => append_ends::<16>(out, text),
        33..=64 => append_ends::<32>(out, text),
        _ => out.extend_from_slice(text),
    }
}

/// Appends a text of N to 2 N bytes: its first N, and over the end of these its last.
#[inline]
fn append_ends<const N: usize>(out: &mut Vec<u8>, text: &[u8]) {
    if let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) {
        let start = out.len();
        out.extend_from_slice(first);
        out.truncate(start + text.len() - N);
        out.extend_from_slice(last);
    }
}
