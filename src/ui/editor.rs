//! The line that is being typed: its text, its cursor, and the part of it that fits on the screen.

use unicode_width::UnicodeWidthChar;
use zeroize::Zeroizing;

use super::keys::Key;

/// Longer than any token; a larger paste is a mistake.
const LONGEST: usize = 64 * 1024;

/// What a key did to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Edited,
    /// The key is none of this line's; its owner may know it.
    None,
    /// The character cannot be part of the line; says why.
    Refused(&'static str),
}

/// A line of text with a cursor. Its memory is wiped, because the text may be a secret.
#[derive(Default)]
pub(super) struct Line {
    text: Zeroizing<String>,
    /// Position in bytes, always at the border of a character.
    cursor: usize,
    /// First column on screen, while the line is wider than the screen.
    scrolled: usize,
}

/// What of a line is on the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) text: String,
    /// Column of the cursor in that text.
    pub(super) cursor: usize,
}

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Does what an editing key says.
    pub(super) fn press(&mut self, key: Key) -> Effect {
        match key {
            Key::Char(character) => return self.insert(character),
            Key::Refused => return Effect::Refused("control characters are left out"),
            Key::Backspace => self.erase(self.before(), self.cursor),
            Key::Delete | Key::EndOfInput => self.erase(self.cursor, self.after()),
            Key::Left => self.cursor = self.before(),
            Key::Right => self.cursor = self.after(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::EraseToStart => self.erase(0, self.cursor),
            Key::EraseToEnd => self.erase(self.cursor, self.text.len()),
            Key::EraseWord => {
                let before = self.text.get(..self.cursor).unwrap_or_default();
                let word = before.trim_end_matches(' ');
                self.erase(word.rfind(' ').map_or(0, |space| space + 1), self.cursor);
            }
            _ => return Effect::None,
        }
        Effect::Edited
    }

    /// The part around the cursor that fits in so many columns, with a `*` for each character if it is masked.
    ///
    /// The view moves only as far as the cursor makes it.
    pub(super) fn window(&mut self, width: usize, masked: bool) -> Window {
        let width = width.max(2);
        let column_of = |character: char| if masked { 1 } else { character.width().unwrap_or(0) };
        let total: usize = self.text.chars().map(column_of).sum();
        let cursor: usize = self.text.get(..self.cursor).unwrap_or_default().chars().map(column_of).sum();
        // One column stays free, for the cursor behind the last character.
        let room = width - 1;
        self.scrolled = self.scrolled.min(cursor).max(cursor.saturating_sub(room)).min(total.saturating_sub(room));
        let mut window = Window { text: String::new(), cursor: 0 };
        let mut column = 0;
        let mut first = None;
        for character in self.text.chars() {
            // A wide character that is cut by the left edge is left out; the view then begins behind it.
            if column >= self.scrolled {
                let first = *first.get_or_insert(column);
                if column + column_of(character) - first > room {
                    break;
                }
                window.text.push(if masked { '*' } else { character });
            }
            column += column_of(character);
        }
        window.cursor = cursor - first.unwrap_or(cursor).min(cursor);
        window
    }

    fn insert(&mut self, character: char) -> Effect {
        if self.text.len() + character.len_utf8() > LONGEST {
            return Effect::Refused("the text is too long");
        }
        if self.text.capacity() < self.text.len() + character.len_utf8() {
            // A string that grows by itself leaves its old memory unwiped.
            let mut roomier = Zeroizing::new(String::with_capacity((self.text.len() * 2).max(512)));
            roomier.push_str(&self.text);
            self.text = roomier;
        }
        self.text.insert(self.cursor, character);
        self.cursor += character.len_utf8();
        Effect::Edited
    }

    fn erase(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    /// Where the character before the cursor begins.
    fn before(&self) -> usize {
        self.text.get(..self.cursor).and_then(|text| text.char_indices().next_back()).map_or(0, |(at, _)| at)
    }

    /// Where the character at the cursor ends.
    fn after(&self) -> usize {
        self.text.get(self.cursor..).and_then(|text| text.chars().next()).map_or(self.cursor, |character| self.cursor + character.len_utf8())
    }
}

impl std::fmt::Debug for Line {
    /// Not the text: it may be a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Line").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns;
    use super::*;
    use proptest::prelude::*;

    fn typed(text: &str) -> Line {
        let mut line = Line::default();
        for character in text.chars() {
            assert_eq!(line.press(Key::Char(character)), Effect::Edited);
        }
        line
    }

    fn after(text: &str, keys: &[Key]) -> String {
        let mut line = typed(text);
        for key in keys {
            line.press(*key);
        }
        line.press(Key::Char('|'));
        line.text().to_owned()
    }

    #[test]
    fn editing_keys() {
        assert_eq!(after("héllo", &[Key::Backspace]), "héll|");
        assert_eq!(after("hé", &[Key::Left, Key::Left, Key::Delete]), "|é");
        assert_eq!(after("日本", &[Key::Left]), "日|本");
        assert_eq!(after("ab", &[Key::Home, Key::Right]), "a|b");
        assert_eq!(after("ab", &[Key::Home, Key::Left, Key::Backspace]), "|ab");
        assert_eq!(after("ab", &[Key::Right, Key::Delete]), "ab|");
        assert_eq!(after("ab cd  ", &[Key::EraseWord]), "ab |");
        assert_eq!(after("ab cd", &[Key::Left, Key::EraseWord]), "ab |d");
        assert_eq!(after("abc", &[Key::Left, Key::EraseToStart]), "|c");
        assert_eq!(after("abc", &[Key::Home, Key::Right, Key::EraseToEnd, Key::End]), "a|");
        assert_eq!(after("abc", &[Key::Home, Key::EndOfInput]), "|bc");
    }

    #[test]
    fn refused_characters_say_why_and_change_nothing() {
        let mut line = typed("a");
        assert_eq!(line.press(Key::Refused), Effect::Refused("control characters are left out"));
        assert_eq!(line.press(Key::Escape), Effect::None);
        assert_eq!(line.text(), "a");
        let mut long = typed(&"x".repeat(LONGEST));
        assert_eq!(long.press(Key::Char('x')), Effect::Refused("the text is too long"));
    }

    #[test]
    fn short_lines_are_shown_whole_and_long_ones_around_the_cursor() {
        assert_eq!(typed("abc").window(10, false), Window { text: "abc".into(), cursor: 3 });
        assert_eq!(typed("日本").window(10, false), Window { text: "日本".into(), cursor: 4 });
        assert_eq!(typed("日本").window(10, true), Window { text: "**".into(), cursor: 2 });
        let mut line = typed("0123456789");
        let end = line.window(5, false);
        assert_eq!((end.text.as_str(), end.cursor), ("6789", 4));
        line.press(Key::Home);
        assert_eq!(line.window(5, false), Window { text: "0123".into(), cursor: 0 });
    }

    #[test]
    fn debug_never_shows_the_text() {
        assert!(!format!("{:?}", typed("dapi123")).contains("dapi"));
    }

    proptest! {
        #[test]
        fn the_window_always_fits_and_holds_the_cursor(
            keys in prop::collection::vec(prop_oneof![
                4 => "[a-z日é\u{301}]".prop_map(|text| Key::Char(text.chars().next().unwrap())),
                1 => prop::sample::select(vec![Key::Left, Key::Right, Key::Home, Key::End, Key::Backspace, Key::Delete, Key::EraseWord]),
            ], 0..80),
            width in 2..20_usize,
            masked: bool,
        ) {
            let mut line = Line::default();
            for key in keys {
                line.press(key);
                let window = line.window(width, masked);
                prop_assert!(columns(&window.text) < width, "{window:?} in {width}");
                prop_assert!(window.cursor <= columns(&window.text), "{window:?} in {width}");
            }
        }
    }
}
