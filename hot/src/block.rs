//! Many bytes in one look, with the vector instructions that every processor of a kind has.

use wide::u8x16;

/// Where a byte stands among 64, a bit for each.
#[inline]
#[must_use]
pub fn places(block: &[u8; 64], byte: u8) -> u64 {
    let (quarters, _) = block.as_chunks::<16>();
    let wanted = u8x16::splat(byte);
    quarters.iter().rev().fold(0, |places, quarter| (places << 16) | u64::from(u8x16::new(*quarter).simd_eq(wanted).to_bitmask()))
}

/// The first byte of a kind from a place on, and where it stands; the last fewer than 16 bytes of a text are left out. `is` marks bytes by their highest bits.
#[inline]
pub(crate) fn find(text: &[u8], from: usize, is: impl Fn(u8x16) -> u8x16) -> Option<(usize, u8)> {
    let (blocks, _) = text.get(from..)?.as_chunks::<16>();
    for (number, block) in blocks.iter().enumerate() {
        let found = is(u8x16::new(*block)).to_bitmask();
        if found != 0 {
            let place = found.trailing_zeros() as usize % block.len();
            return Some((from + number * block.len() + place, block[place]));
        }
    }
    None
}

/// Marks a byte.
#[inline]
pub(crate) fn is(byte: u8) -> impl Fn(u8x16) -> u8x16 {
    move |bytes| bytes.simd_eq(u8x16::splat(byte))
}

/// Marks control characters of ASCII, DEL aside.
#[inline]
pub(crate) fn is_control(bytes: u8x16) -> u8x16 {
    bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes)
}

/// Whether bytes of a kind are among a text: `is` marks them by their highest bits, and does not mark a space.
#[inline]
#[must_use]
pub fn has(text: &[u8], is: impl Fn(u8x16) -> u8x16) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    let mut found = u8x16::ZERO;
    for block in blocks {
        found |= is(u8x16::new(*block));
    }
    if !rest.is_empty() {
        found |= is(u8x16::new(last(text)));
    }
    found.any()
}

/// The last bytes of a text, with spaces before them if they are fewer.
#[inline]
fn last(text: &[u8]) -> [u8; 16] {
    if let Some(last) = text.last_chunk() {
        return *last;
    }
    // Two halves that overlap, or what is left.
    let halves = |first: u64, last: u64| (u128::from(last) << 64 | u128::from(first)).to_le_bytes();
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return halves(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    let word = text.iter().fold(u64::from_le_bytes([b' '; 8]), |word, byte| word << 8 | u64::from(*byte));
    halves(word, word)
}

/// Marks control characters, DEL and whatever is no ASCII.
#[inline]
#[must_use]
pub fn is_no_printable_ascii(bytes: u8x16) -> u8x16 {
    is_control(bytes) | bytes.max(u8x16::splat(0x7f)).simd_eq(bytes)
}
