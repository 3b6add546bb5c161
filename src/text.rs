//! Foreign text made safe to show: what a server, a file or another program wrote is data, never a command to the terminal.

use std::borrow::Cow;

pub(crate) use databricks_hot::{append, is_printable_ascii};

/// Whether a character may change what a terminal shows: C0 and C1 controls, DEL, bidirectional overrides and isolates,
/// and the line and paragraph separators.
pub(crate) fn is_unsafe(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether nothing in the text is unsafe.
#[inline]
pub(crate) fn is_safe(text: &str) -> bool {
    is_printable_ascii(text) || !text.contains(is_unsafe)
}

/// The text with every unsafe character replaced by a visible escape (`\n`, `\u{1b}`): one line, whatever came in.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if is_safe(text) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// As [`one_line`], but line feeds and tabs stay: for whole messages and help texts.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|character| !matches!(character, '\n' | '\t') && is_unsafe(character)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive(['\n', '\t']).fold(String::with_capacity(text.len() + 8), |mut safe, part| {
        let kept = part.len() - usize::from(part.ends_with(['\n', '\t']));
        safe.push_str(&one_line(&part[..kept]));
        safe.push_str(&part[kept..]);
        safe
    }))
}

/// At most `limit` characters of a text, with `…` where something was cut: for messages that quote foreign text.
pub(crate) fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// A foreign name as it stands in a message: one line, shortened, in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(&shortened(text, 120)))
}

/// The candidate closest to what was typed, if it is close enough to be meant (edit distance of at most 2, and less than the word's length).
pub(crate) fn closest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.chars().count().min(typed.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_appended() {
        let text: Vec<u8> = (0..100).collect();
        for length in 0..text.len() {
            let mut out = b"before".to_vec();
            append(&mut out, &text[..length]);
            assert_eq!(out, [b"before", &text[..length]].concat());
        }
    }

    #[test]
    fn every_byte_in_every_place_is_judged_alike() {
        for byte in 0..0x80_u8 {
            for length in 1..20 {
                for place in 0..length {
                    let mut text = vec![b'='; length];
                    text[place] = byte;
                    assert_eq!(is_printable_ascii(std::str::from_utf8(&text).expect("ASCII")), matches!(byte, 0x20..=0x7e), "{byte:#x} at {place} of {length}");
                }
            }
        }
        assert!(!is_printable_ascii("eight ü more") && !is_printable_ascii("ü"));
    }

    #[test]
    fn terminal_commands_become_visible() {
        assert_eq!(one_line("a\u{1b}]0;pwned\u{7}b\nc\u{202e}\u{9b}2J"), "a\\u{1b}]0;pwned\\u{7}b\\nc\\u{202e}\\u{9b}2J");
        assert_eq!(one_line("Größe 10 €"), "Größe 10 €");
        assert_eq!(lines("a\n\tb\u{1b}\r\n"), "a\n\tb\\u{1b}\\r\n");
    }

    #[test]
    fn closest_finds_slips_and_ignores_strangers() {
        assert_eq!(closest("--hots", ["--host", "--token"]), Some("--host"));
        assert_eq!(closest("toekns", ["tokens", "clusters"]), Some("tokens"));
        assert_eq!(closest("nope", ["tokens", "clusters", "me"]), None);
    }

    #[test]
    fn shortened_cuts_at_characters() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
