//! [`Scanner`]: reads JSON (RFC 8259) in one pass, eight bytes at a time where it can, and copies nothing.
//!
//! It takes exactly what serde takes, up to [`DEEPEST`] levels; for what it refuses, serde is asked again and says where the mistake is. A property test holds the two together.

use std::borrow::Cow;

use crate::text::{HIGH, ONES};

/// Levels of lists and objects; deeper than any reply of the service, and beyond it a document is an attack on the stack.
pub(crate) const DEEPEST: usize = 128;

/// Where a string stands in its text, with its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether there is a backslash in it.
    pub(crate) escaped: bool,
}

impl Text {
    /// The text that is meant; `None` if an escape in it stands for half a character.
    pub(crate) fn decoded(self, text: &str) -> Option<Cow<'_, str>> {
        if self.escaped {
            return serde_json::from_str(text.get(self.start..self.end)?).ok().map(Cow::Owned);
        }
        text.get(self.start + 1..self.end - 1).map(Cow::Borrowed)
    }
}

/// A place in a JSON text. Each method reads one thing from there on and steps behind it; `None` says that something else stands there, and ends the reading.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space; stays before it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// How many bytes are read.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// What stands between here and a later place of the same text.
    pub(crate) fn until(&self, later: &Self) -> Option<&'a str> {
        self.text.get(self.at..later.at)
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_done(&mut self) -> bool {
        self.peek().is_none()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// An object; `each` is handed every key, and reads its value.
    #[inline]
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, Text) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            each(self, key)?;
            if self.ends(b'}')? {
                return Some(());
            }
        }
    }

    /// A list; `each` reads an item.
    #[inline]
    pub(crate) fn list(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            if self.ends(b']')? {
                return Some(());
            }
        }
    }

    /// Steps over the closing bracket, or over a comma.
    #[inline]
    fn ends(&mut self, closing: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(false),
            _ if byte == closing => Some(true),
            _ => None,
        }
    }

    /// The text that is read.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// A string.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Text> {
        self.take(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at - 1;
        let mut at = self.at;
        let mut escaped = false;
        loop {
            while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                let found = ends_plain_text(u64::from_le_bytes(*eight));
                if found != 0 {
                    at += (found.trailing_zeros() / 8) as usize;
                    break;
                }
                at += 8;
            }
            match *bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += escape(bytes.get(at + 1..)?)?;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(Text { start, end: self.at, escaped })
    }

    /// Any value, as it is written.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip(DEEPEST)?;
        self.text.get(start..self.at)
    }

    fn skip(&mut self, levels: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => {
                let levels = levels.checked_sub(1)?;
                self.object(|scanner, _| scanner.skip(levels))
            }
            b'[' => {
                let levels = levels.checked_sub(1)?;
                self.list(|scanner| scanner.skip(levels))
            }
            _ => self.scalar().map(|_| ()),
        }
    }

    /// A number, `true`, `false` or `null`, as it is written.
    #[inline]
    pub(crate) fn scalar(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = match rest.first()? {
            b't' => rest.starts_with(b"true").then_some(4),
            b'f' => rest.starts_with(b"false").then_some(5),
            b'n' => rest.starts_with(b"null").then_some(4),
            _ => number(rest),
        }?;
        let start = self.at;
        self.at += length;
        self.text.get(start..self.at)
    }
}

/// Not zero if one of eight characters is a quote, a backslash or a control character; the lowest bit that is set lies in the first such byte.
#[inline]
fn ends_plain_text(eight: u64) -> u64 {
    let quote = eight ^ (ONES * u64::from(b'"'));
    let backslash = eight ^ (ONES * u64::from(b'\\'));
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = eight.wrapping_sub(ONES * 0x20) & !eight;
    (zero(quote) | zero(backslash) | control) & HIGH
}

/// The length of an escape with its backslash, given what follows that.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

/// The length of the number at the start.
#[inline]
fn number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = usize::from(text.starts_with(b"-"));
    length += match digits(length) {
        0 => return None,
        more if more > 1 && text[length] == b'0' => return None,
        more => more,
    };
    if text.get(length) == Some(&b'.') {
        length += 1 + Some(digits(length + 1)).filter(|more| *more > 0)?;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        length += 1 + usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        length += Some(digits(length)).filter(|more| *more > 0)?;
    }
    Some(length)
}

/// Text that is JSON, or nearly: for tests that hold two readers together.
#[cfg(test)]
pub(crate) fn any_nearly_json() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\\",
        "\"a\"",
        "\"items\"",
        "\"next_page_token\"",
        "\"startIndex\"",
        "\"totalResults\"",
        "\"a\\u00e9b\"",
        "\"\\ud800\"",
        "\"\\u12\"",
        "\"\\x\"",
        "\"tab\t\"",
        "\"eight characters and more\"",
        "\"quote at eight: \\\" \"",
        "\"ä€😀 längere Zeichen\"",
        "0",
        "-0",
        "01",
        "-",
        "12.5e+3",
        "1.",
        "1e",
        ".5",
        "9007199254740993",
        "true",
        "false",
        "null",
        "nul",
        "{}",
        "[]",
        "[{}]",
        "{\"a\":1}",
        "\"\u{7f}<>&\"",
        "\u{c}",
        "\u{a0}",
    ];
    let soup = prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat());
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "-0",
            "1.50",
            "1E400",
            "12345678901234567890123",
            "{}",
            "[]",
            "\"\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\/\\n\""
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    let keys = || prop::sample::select(vec!["a", "b", "items", "next_page_token", "prev_page_token", "startIndex", "totalResults", "\\u0061", "ä", "z\\n"]);
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec((keys(), inner), 0..5)
                .prop_map(|members| format!("{{{}}}", members.iter().map(|(key, value)| format!("\"{key}\":{value} ")).collect::<Vec<_>>().join(","))),
        ]
    });
    let cut = (value.clone(), any::<prop::sample::Index>(), soup.clone()).prop_map(|(mut text, place, piece)| {
        let at = (0..=place.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &piece);
        text
    });
    prop_oneof![value, cut, soup]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn whole(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value()?;
        scanner.is_done().then_some(value)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]
        #[test]
        fn it_takes_what_serde_takes(text in any_nearly_json()) {
            let slow = serde_json::from_str::<&RawValue>(&text).ok().map(RawValue::get);
            prop_assert_eq!(whole(&text), slow, "{}", text);
        }
    }

    #[test]
    fn every_byte_in_every_place_of_a_word_is_judged_alike() {
        for byte in 0..0x80_u8 {
            for place in 0..20 {
                let text = format!("\"{}{}{}\"", "x".repeat(place), char::from(byte), "y".repeat(19 - place));
                assert_eq!(whole(&text).is_some(), serde_json::from_str::<&RawValue>(&text).is_ok(), "{text:?}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(whole(&nested(DEEPEST)).is_some());
        assert_eq!(whole(&nested(DEEPEST + 1)), None);
        assert_eq!(whole(&nested(1_000_000)), None);
    }

    #[test]
    fn strings_are_decoded() {
        let decoded = |text: &str| Scanner::new(text).string()?.decoded(text).map(Cow::into_owned);
        assert_eq!(decoded(r#" "plain ä""#).as_deref(), Some("plain ä"));
        assert_eq!(decoded(r#""a\n\u00e9\ud83d\ude00""#).as_deref(), Some("a\né😀"));
        assert_eq!(decoded(r#""\ud800""#), None);
    }
}
