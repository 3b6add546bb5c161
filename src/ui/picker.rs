//! Choosing from a list: what is left of it after the search words, and which rows are on the screen.

use super::editor::{Effect, Line};
use super::keys::Key;
use super::prompt::Choice;
use super::{columns, fitted};
use crate::text;

/// A list, the words typed to narrow it, and the row that Enter would choose.
pub(super) struct Picker<'a> {
    label: String,
    items: &'a [Choice],
    /// Per item: name and detail in lower case, separated by a line feed, which nobody can type.
    search_texts: Vec<String>,
    search: Option<Line>,
    /// Positions of the items that match, best first.
    matching: Vec<usize>,
    /// Place in `matching`.
    active: usize,
    /// Place in `matching` of the first row on the screen.
    top: usize,
    rows: usize,
}

impl<'a> Picker<'a> {
    pub(super) fn new(label: &str, items: &'a [Choice], searchable: bool) -> Self {
        let search_texts = if searchable { items.iter().map(|item| format!("{}\n{}", item.label, item.detail).to_lowercase()).collect() } else { Vec::new() };
        Self {
            label: text::one_line(label).into_owned(),
            items,
            search_texts,
            search: searchable.then(Line::default),
            matching: (0..items.len()).collect(),
            active: 0,
            top: 0,
            rows: 5,
        }
    }

    /// The position of the item that Enter chooses; `None` while nothing matches.
    pub(super) fn chosen(&self) -> Option<usize> {
        self.matching.get(self.active).copied()
    }

    /// Does what a key says; `false` if the key means nothing here.
    pub(super) fn press(&mut self, key: Key) -> bool {
        let last = self.matching.len().saturating_sub(1);
        match key {
            Key::Up => self.active = self.active.saturating_sub(1),
            Key::Down => self.active = (self.active + 1).min(last),
            Key::Left | Key::PageUp => self.active = self.active.saturating_sub(self.rows),
            Key::Right | Key::PageDown => self.active = (self.active + self.rows).min(last),
            Key::Home => self.active = 0,
            Key::End => self.active = last,
            // Where search has to be switched on, `/` does it: someone used to that presses it first, and does not mean the character.
            Key::Char('/') if self.search.as_ref().is_none_or(Line::is_empty) => {}
            _ => {
                let Some(search) = &mut self.search else { return false };
                if search.press(key) != Effect::Edited {
                    return false;
                }
                self.filter();
            }
        }
        true
    }

    fn filter(&mut self) {
        let typed = self.search.as_ref().map(Line::text).unwrap_or_default().to_lowercase();
        let words: Vec<&str> = typed.split_whitespace().collect();
        let mut ranked: Vec<(usize, usize)> =
            self.search_texts.iter().enumerate().filter_map(|(position, text)| Some((rank(text, &words)?, position))).collect();
        // By rank, and among equals in the order of the list.
        ranked.sort_unstable();
        self.matching = ranked.into_iter().map(|(_, position)| position).collect();
        self.active = 0;
        self.top = 0;
    }

    /// The lines to draw, and where in the first of them the cursor is to be seen.
    pub(super) fn frame(&mut self, (height, width): (usize, usize)) -> (Vec<String>, Option<usize>) {
        let head = usize::from(self.search.is_some()) + 1;
        self.rows = height.saturating_sub(head + 1).clamp(1, 10);
        if self.active < self.top {
            self.top = self.active;
        }
        self.top = self.top.max((self.active + 1).saturating_sub(self.rows)).min(self.matching.len().saturating_sub(self.rows));

        // The last column stays free: writing there would make some terminals wrap.
        let room = width.saturating_sub(1);
        let mut lines = Vec::with_capacity(self.rows + head);
        let mut cursor = None;
        if let Some(search) = &mut self.search {
            let title = fitted("Search: ", room.saturating_sub(4));
            let window = search.window(width.saturating_sub(columns(&title)), false);
            lines.push(format!("{title}{}", window.text));
            cursor = Some(columns(&title) + window.cursor);
        }
        lines.push(format!("\x1b[1m{}\x1b[0m", fitted(&self.label, room)));
        if self.matching.is_empty() {
            lines.push(format!("\x1b[2m{}\x1b[0m", fitted("  nothing matches", room)));
        }
        let end = (self.top + self.rows).min(self.matching.len());
        for place in self.top..end {
            let gutter = if place == self.top && self.top > 0 {
                '↑'
            } else if place + 1 == end && end < self.matching.len() {
                '↓'
            } else {
                ' '
            };
            let Some(item) = self.matching.get(place).and_then(|position| self.items.get(*position)) else { break };
            let name = text::one_line(&item.label);
            let name = fitted(&name, room.saturating_sub(4));
            let detail = if item.detail.is_empty() { String::new() } else { format!(" {}", text::one_line(&item.detail)) };
            let detail = fitted(&detail, room.saturating_sub(4 + columns(&name)));
            lines.push(if place == self.active {
                format!("{gutter} \x1b[1;36m▸ {name}\x1b[0m\x1b[2m{detail}\x1b[0m")
            } else {
                format!("{gutter}   {name}\x1b[2m{detail}\x1b[0m")
            });
        }
        (lines, cursor)
    }
}

/// How well a text (name, line feed, detail) answers the words: lower is better, `None` if a word is missing.
///
/// Per word: at the start of the name, at the start of a word of the name, elsewhere in the name, in the detail only.
fn rank(text: &str, words: &[&str]) -> Option<usize> {
    let name = text.split('\n').next().unwrap_or_default();
    words
        .iter()
        .map(|word| {
            if name.starts_with(word) {
                return Some(0);
            }
            let mut best = text.contains(word).then_some(3)?;
            for (at, _) in name.match_indices(word) {
                best = 2;
                if name.get(..at).and_then(|before| before.chars().next_back()).is_some_and(|before| !before.is_alphanumeric()) {
                    return Some(1);
                }
            }
            Some(best)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(names: &[&str]) -> Vec<Choice> {
        names.iter().map(|name| Choice::new(*name)).collect()
    }

    fn left(items: &[Choice], typed: &str) -> Vec<String> {
        let mut picker = Picker::new("Pick", items, true);
        for character in typed.chars() {
            picker.press(Key::Char(character));
        }
        picker.matching.iter().map(|position| items[*position].label.clone()).collect()
    }

    #[test]
    fn the_start_of_the_name_comes_before_its_middle() {
        let items = choices(&["reprod", "my-prod", "other", "PROD eu", "prod us"]);
        assert_eq!(left(&items, "prod"), ["PROD eu", "prod us", "my-prod", "reprod"]);
        assert_eq!(left(&items, ""), ["reprod", "my-prod", "other", "PROD eu", "prod us"]);
    }

    #[test]
    fn all_words_must_match_in_name_or_detail() {
        let items = vec![
            Choice::new("dev").detail("(https://eu.example.com)"),
            Choice::new("prod").detail("(https://us.example.com)"),
            Choice::new("eu-dev").detail("(https://x)"),
        ];
        assert_eq!(left(&items, "EU dev"), ["eu-dev", "dev"]);
        assert_eq!(left(&items, "https://us"), ["prod"]);
        assert_eq!(left(&items, "dev us"), [""; 0]);
    }

    #[test]
    fn keys_move_and_stop_at_the_ends() {
        let items = choices(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        let mut picker = Picker::new("Pick", &items, true);
        picker.frame((8, 80));
        let mut at = |keys: &[Key]| {
            for key in keys {
                picker.press(*key);
            }
            picker.chosen().map(|position| items[position].label.clone()).unwrap_or_default()
        };
        assert_eq!(at(&[Key::Up]), "a");
        assert_eq!(at(&[Key::Down, Key::Down]), "c");
        assert_eq!(at(&[Key::PageDown]), "h");
        assert_eq!(at(&[Key::Left]), "c");
        assert_eq!(at(&[Key::End]), "h");
        assert_eq!(at(&[Key::Home]), "a");
        assert_eq!(at(&[Key::Char('/'), Key::Char('g')]), "g");
        assert_eq!(at(&[Key::Char('g')]), "");
        assert_eq!(at(&[Key::Backspace, Key::Backspace]), "a");
    }

    #[test]
    fn the_frame_shows_where_more_is() {
        let items = choices(&["a", "b", "c", "d", "e", "f", "g"]);
        let mut picker = Picker::new("Pick", &items, true);
        let shown = |picker: &mut Picker<'_>| {
            let (lines, cursor) = picker.frame((8, 80));
            (lines.iter().map(|line| line.chars().next().unwrap_or(' ')).collect::<String>(), cursor)
        };
        assert_eq!(shown(&mut picker), ("S\u{1b}    ↓".into(), Some(8)));
        picker.press(Key::End);
        assert_eq!(shown(&mut picker), ("S\u{1b}↑    ".into(), Some(8)));
        picker.press(Key::Home);
        shown(&mut picker);
        picker.press(Key::PageDown);
        assert_eq!(shown(&mut picker), ("S\u{1b}↑   ↓".into(), Some(8)));
    }

    #[test]
    fn rows_are_cut_to_the_width_and_harmless() {
        let items = vec![Choice::new("\u{1b}]0;pwned\u{7}日本日本日本").detail("x".repeat(100))];
        let mut picker = Picker::new("A long label\n", &items, true);
        for width in 1..40 {
            let (lines, _) = picker.frame((24, width));
            for line in lines {
                let mut screen = vt100::Parser::new(3, 200, 0);
                screen.process(line.as_bytes());
                let shown = screen.screen().contents();
                assert!(columns(&shown) <= width.max(6), "{width}: {shown}");
                assert!(!line.contains('\u{7}'));
            }
        }
    }

    #[test]
    fn a_list_without_search_ignores_text() {
        let items = choices(&["a", "b"]);
        let mut picker = Picker::new("Pick", &items, false);
        assert!(!picker.press(Key::Char('b')));
        picker.press(Key::Down);
        assert_eq!((picker.chosen(), picker.frame((24, 80)).1), (Some(1), None));
    }
}
