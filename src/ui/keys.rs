//! Bytes from a terminal become keys.

use zeroize::Zeroize;

/// What a person pressed, or pasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    PageUp,
    PageDown,
    Escape,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// Ctrl-U.
    EraseToStart,
    /// Ctrl-K.
    EraseToEnd,
    /// Ctrl-W.
    EraseWord,
    /// A control character or a byte that is no text, where text is expected.
    Refused,
    /// A key without a meaning here.
    Inert,
}

/// Where in a key's bytes the decoder stands.
#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Ground,
    /// After ESC: a key of its own, or the start of a longer one.
    Escape,
    /// After ESC [: the parameter bytes.
    Control([u8; 8], usize),
    /// After ESC O.
    Single,
    /// In a character of several bytes: the bytes so far, how many there are, and how many it takes.
    Utf8([u8; 4], usize, usize),
}

/// Turns bytes into keys, also when a key arrives in pieces.
#[derive(Default)]
pub(super) struct Decoder {
    state: State,
    /// Between the marks that a terminal puts around a paste: nothing in there is a command.
    pasting: bool,
}

impl Decoder {
    /// Takes bytes off the input until they make a key; `None` when they ran out before.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Option<Key> {
        while let Some((&byte, rest)) = input.split_first() {
            let (key, taken) = match std::mem::take(&mut self.state) {
                State::Ground => (self.ground(byte), true),
                State::Escape => match byte {
                    b'[' => {
                        self.state = State::Control([0; 8], 0);
                        (None, true)
                    }
                    b'O' => {
                        self.state = State::Single;
                        (None, true)
                    }
                    0x7f if !self.pasting => (Some(Key::EraseWord), true),
                    b' '..=b'~' if !self.pasting => (Some(Key::Inert), true),
                    // Not one key but two that came together: the second is still to be read.
                    _ => (Some(self.escape()), false),
                },
                State::Control(mut parameters, count) => match byte {
                    b'@'..=b'~' => (Some(self.control(parameters.get(..count).unwrap_or_default(), byte)), true),
                    b' '..=b'?' => {
                        if let Some(place) = parameters.get_mut(count) {
                            *place = byte;
                        }
                        // Longer than any key that is known: counted past the end, so that it matches none.
                        self.state = State::Control(parameters, (count + 1).min(parameters.len() + 1));
                        (None, true)
                    }
                    _ => (Some(Key::Inert), false),
                },
                State::Single => match byte {
                    b'@'..=b'~' => (Some(self.control(b"", byte)), true),
                    _ => (Some(Key::Inert), false),
                },
                State::Utf8(mut bytes, count, needed) => match bytes.get_mut(count) {
                    Some(place) if matches!(byte, 0x80..=0xbf) => {
                        *place = byte;
                        let key = if count + 1 == needed {
                            let text = bytes.get(..needed).and_then(|bytes| std::str::from_utf8(bytes).ok());
                            Some(text.and_then(|text| text.chars().next()).map_or(Key::Refused, Self::character))
                        } else {
                            self.state = State::Utf8(bytes, count + 1, needed);
                            None
                        };
                        bytes.zeroize();
                        (key, true)
                    }
                    _ => (Some(Key::Refused), false),
                },
            };
            if taken {
                *input = rest;
            }
            if key.is_some() {
                return key;
            }
        }
        None
    }

    /// Whether the last byte may be the Escape key, or the start of another: only time tells.
    pub(super) fn awaits_more(&self) -> bool {
        matches!(self.state, State::Escape)
    }

    /// Nothing followed the ESC: it was the Escape key.
    pub(super) fn settle_escape(&mut self) -> Key {
        self.state = State::Ground;
        self.escape()
    }

    /// Whether a paste has begun whose end has not been seen.
    pub(super) fn pasting(&self) -> bool {
        self.pasting
    }

    fn escape(&self) -> Key {
        if self.pasting { Key::Refused } else { Key::Escape }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            b'\r' | b'\n' => Key::Enter,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            b' '..=b'~' => Key::Char(char::from(byte)),
            0xc2..=0xf4 => {
                let needed = if byte < 0xe0 {
                    2
                } else if byte < 0xf0 {
                    3
                } else {
                    4
                };
                self.state = State::Utf8([byte, 0, 0, 0], 1, needed);
                return None;
            }
            _ if self.pasting => Key::Refused,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | 0x7f => Key::Backspace,
            0x0b => Key::EraseToEnd,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::EraseToStart,
            0x17 => Key::EraseWord,
            // Ctrl-L redraws and Ctrl-Z would stop the process elsewhere; neither is meant as text.
            0x0c | 0x1a => Key::Inert,
            _ => Key::Refused,
        })
    }

    /// C1 controls, bidirectional overrides and their kind arrive as well-formed characters.
    fn character(character: char) -> Key {
        if crate::text::is_unsafe(character) { Key::Refused } else { Key::Char(character) }
    }

    fn control(&mut self, parameters: &[u8], last: u8) -> Key {
        match (parameters, last) {
            (b"200", b'~') => {
                self.pasting = true;
                Key::Inert
            }
            (b"201", b'~') => {
                self.pasting = false;
                Key::Inert
            }
            _ if self.pasting => Key::Refused,
            // With a modifier (Ctrl-Right is 1;5C) a key does what it does without.
            (_, b'A') => Key::Up,
            (_, b'B') => Key::Down,
            (_, b'C') => Key::Right,
            (_, b'D') => Key::Left,
            (_, b'H') | (b"1" | b"7", b'~') => Key::Home,
            (_, b'F') | (b"4" | b"8", b'~') => Key::End,
            (b"3", b'~') => Key::Delete,
            (b"5", b'~') => Key::PageUp,
            (b"6", b'~') => Key::PageDown,
            _ => Key::Inert,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(chunks: &[&[u8]]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(key) = decoder.next(&mut input) {
                keys.push(key);
            }
        }
        if decoder.awaits_more() {
            keys.push(decoder.settle_escape());
        }
        keys
    }

    #[test]
    fn keys_of_the_common_terminals() {
        let table: &[(&[u8], Key)] = &[
            (b"\x1b[A", Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[D", Key::Left),
            (b"\x1bOH", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1b[8~", Key::End),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6~", Key::PageDown),
            (b"\x1b[24~", Key::Inert),
            (b"\x1b[<35;12;11;10;9M", Key::Inert),
            (b"\x1bx", Key::Inert),
            (b"\x1b", Key::Escape),
            (b"\x7f", Key::Backspace),
            (b"\x10", Key::Up),
            (b"\x0e", Key::Down),
            (b"\n", Key::Enter),
            (b"\t", Key::Refused),
            (b"\x80", Key::Refused),
            ("é".as_bytes(), Key::Char('é')),
            ("😀".as_bytes(), Key::Char('😀')),
            ("\u{9b}".as_bytes(), Key::Refused),
            ("\u{202e}".as_bytes(), Key::Refused),
        ];
        for (bytes, key) in table {
            assert_eq!(decode(&[bytes]), [*key], "{bytes:?}");
        }
    }

    #[test]
    fn keys_may_arrive_in_pieces() {
        assert_eq!(decode(&[b"\x1b", b"[", b"3", b"~", b"\xf0\x9f", b"\x98\x80"]), [Key::Delete, Key::Char('😀')]);
    }

    #[test]
    fn escape_before_another_control_is_two_keys() {
        assert_eq!(decode(&[b"\x1b\r"]), [Key::Escape, Key::Enter]);
        assert_eq!(decode(&[b"\x1b\x1b[A"]), [Key::Escape, Key::Up]);
        assert_eq!(decode(&[b"\x1b\x03"]), [Key::Escape, Key::Interrupt]);
    }

    #[test]
    fn broken_utf8_costs_only_itself() {
        assert_eq!(decode(&[b"\xe2\x82a\xffb"]), [Key::Refused, Key::Char('a'), Key::Refused, Key::Char('b')]);
    }

    #[test]
    fn nothing_in_a_paste_is_a_command() {
        assert_eq!(
            decode(&[b"\x1b[200~a\x15\x03\x04\x1b[A\x1bzb\n\x1b[201~\x15"]),
            [
                Key::Inert,
                Key::Char('a'),
                Key::Refused,
                Key::Refused,
                Key::Refused,
                Key::Refused,
                Key::Refused,
                Key::Char('z'),
                Key::Char('b'),
                Key::Enter,
                Key::Inert,
                Key::EraseToStart
            ]
        );
    }

    proptest! {
        #[test]
        fn every_byte_is_taken_however_it_is_cut(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0..64_usize) {
            let (left, right) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(decode(&[left, right]), decode(&[&bytes]));
        }

        #[test]
        fn text_arrives_as_it_was_typed(text in "[ -~äß€日😀]{0,40}") {
            let typed: Vec<Key> = text.chars().map(Key::Char).collect();
            prop_assert_eq!(decode(&[text.as_bytes()]), typed);
        }
    }
}
