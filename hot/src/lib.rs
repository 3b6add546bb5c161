//! What megabytes pass through, byte by byte: a package of its own, because cargo optimizes by the package (`[profile.release.package.databricks-hot]`) and all else is built for size.
//! Generic functions and those marked `#[inline]` would be built where they are called, for size: hence `#[inline(never)]`. The tests stand beside those of the modules that use it.

pub mod block;
pub mod ini;
pub mod json;
pub mod print;

/// Bytes of a large file that are looked at together: what is read into memory that was there before costs a third.
pub const PIECE: usize = 64 << 10;
/// A file of more bytes is read in pieces.
pub const LARGE: usize = 2 * PIECE;

/// The eight bytes at a place as a word, the first one lowest; `None` where fewer are left.
#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?))
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

/// As [`append`], of what stands between two places of a text: more of it is copied and cut off again, which takes a third of the time.
#[inline(never)]
pub fn append_part(out: &mut Vec<u8>, text: &[u8], from: usize, to: usize) {
    copy(out, text, from, to);
}

/// As [`append_part`], where it is called.
#[inline]
pub(crate) fn copy(out: &mut Vec<u8>, text: &[u8], from: usize, to: usize) {
    match text.get(from..).and_then(|rest| rest.first_chunk::<32>()) {
        Some(block) if to - from <= block.len() => {
            let start = out.len();
            out.extend_from_slice(block);
            out.truncate(start + to - from);
        }
        _ => append(out, &text[from..to]),
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
