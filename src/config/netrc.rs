//! `.netrc`: logins by host name for curl, Git, Python and many others. A reader with curl's rules, and an editor that leaves every byte that is not ours.
//!
//! Words are separated by blanks and line ends; a word in double quotes may hold blanks, and `\"`, `\\`, `\n`, `\r`, `\t`. A `#` where a keyword could stand begins a
//! comment. `machine NAME` begins an entry, `default` one for every other host, `macdef NAME` a macro that ends with an empty line; `login`, `password` and `account`
//! take a value, and words that nobody knows are passed over. Where readers disagree about a text (curl, Python's `netrc`) it is refused, not guessed at.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use zeroize::{Zeroize as _, Zeroizing};

use crate::env::{self, Env};
use crate::error::Failure;
use crate::files::{self, Updated};
use crate::secret::Secret;

/// Largest file that is read; curl's own limit is an eighth of it.
const SIZE_LIMIT: u64 = 1 << 20;
/// Longest word that is written: with its keyword it fits the line that older versions of curl read.
const LONGEST_WORD: usize = 4000;
/// Where everybody looks below the home folder, first match wins; the second is the name on Windows.
const FILE_NAMES: [&str; 2] = [".netrc", "_netrc"];

/// A file that is no netrc file: the line and what is wrong with it. The line is not quoted: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    words: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.words)
    }
}

/// A word and where it stands, quotes included.
#[derive(Clone, Copy, Debug)]
struct Word {
    start: usize,
    end: usize,
    line: usize,
}

/// A `machine` or `default` entry.
#[derive(Debug)]
struct Entry {
    /// `None`: the `default` entry.
    machine: Option<Word>,
    /// The keyword that begins it.
    keyword: Word,
    logins: Vec<Word>,
    passwords: Vec<Word>,
    /// Every word of it, in order.
    words: Vec<Word>,
}

/// What an entry says.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) line: usize,
    /// `None`: the `default` entry.
    pub(crate) machine: Option<String>,
    pub(crate) login: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// The contents of a netrc file.
pub(crate) struct Netrc {
    bytes: Zeroizing<Vec<u8>>,
    entries: Vec<Entry>,
    /// Where macros begin.
    macros: Vec<usize>,
    /// Whether the last macro goes on to the end of the file: whatever is added below it would be a part of it.
    ends_in_macro: bool,
    /// Lines outside macros that hold a comment and nothing else.
    comments: Vec<usize>,
}

impl fmt::Debug for Netrc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Netrc of {} entries", self.entries.len())
    }
}

/// What [`NetrcFile::write`] found beside its own entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rivals {
    /// The first entry of the same machine with another login that stands above ours: its line.
    pub(crate) above: Option<usize>,
    /// The same below ours.
    pub(crate) below: Option<usize>,
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    line: usize,
    comments: Vec<usize>,
}

impl Reader<'_> {
    fn fault<T>(line: usize, words: &'static str) -> Result<T, Fault> {
        Err(Fault { line, words })
    }

    /// Passes over blanks and line ends.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| byte.is_ascii_whitespace() || **byte == 0x0b) {
            self.line += usize::from(*byte == b'\n');
            self.at += 1;
        }
    }

    /// The rest of the line, its line feed excluded.
    fn rest_of_line(&self) -> Range<usize> {
        let end = memchr::memchr(b'\n', &self.bytes[self.at..]).map_or(self.bytes.len(), |length| self.at + length);
        self.at..end
    }

    /// The next word; `#` has no meaning here.
    fn word(&mut self) -> Result<Option<Word>, Fault> {
        self.skip_blanks();
        let (start, line) = (self.at, self.line);
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        if self.bytes.get(start) != Some(&b'"') {
            let length = self.bytes[start..].iter().position(is_end).unwrap_or(self.bytes.len() - start);
            self.at += length;
            return Ok((length > 0).then_some(Word { start, end: self.at, line }));
        }
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                None | Some(b'\n') => return Self::fault(line, "a double quote has no partner on its line"),
                // What follows must be there too; the next turn looks at it.
                Some(b'\\') if self.bytes.get(self.at + 1).is_some_and(|next| *next != b'\n') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        if self.bytes.get(self.at).is_some_and(|next| !is_end(next)) {
            return Self::fault(line, "a quoted word goes on after its closing quote");
        }
        Ok(Some(Word { start, end: self.at, line }))
    }

    /// The next word that may be a keyword; comments before it are noted.
    fn keyword(&mut self) -> Result<Option<Word>, Fault> {
        loop {
            self.skip_blanks();
            if self.bytes.get(self.at) != Some(&b'#') {
                return self.word();
            }
            let before = &self.bytes[..self.at];
            let line_start = memchr::memrchr(b'\n', before).map_or(0, |feed| feed + 1);
            if before[line_start..].iter().all(u8::is_ascii_whitespace) {
                self.comments.push(self.line);
            }
            self.at = self.rest_of_line().end;
        }
    }

    fn value(&mut self, keyword: Word) -> Result<Word, Fault> {
        match self.word()? {
            Some(word) => Ok(word),
            None => Self::fault(keyword.line, "a keyword stands at the end without its value"),
        }
    }

    /// Passes over a macro's body; `false` if it has no end.
    fn skip_macro(&mut self) -> bool {
        loop {
            self.at = self.rest_of_line().end;
            if self.at == self.bytes.len() {
                return false;
            }
            self.at += 1;
            self.line += 1;
            let rest = self.rest_of_line();
            if rest.end < self.bytes.len() && matches!(&self.bytes[rest.clone()], b"" | b"\r") {
                self.at = rest.end + 1;
                self.line += 1;
                return true;
            }
        }
    }
}

impl Netrc {
    /// Reads the contents of a file.
    ///
    /// # Errors
    /// With the first line that makes no sense or not the same to all readers.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Fault> {
        let bytes = Zeroizing::new(bytes);
        if let Some(at) = bytes.iter().enumerate().position(|(at, byte)| *byte == 0 || *byte == b'\r' && bytes.get(at + 1).is_some_and(|next| *next != b'\n')) {
            let line = 1 + memchr::memchr_iter(b'\n', &bytes[..at]).count();
            let words = if bytes[at] == 0 { "it is not a text file" } else { "a carriage return stands in the middle of the line" };
            return Err(Fault { line, words });
        }
        let mut reader = Reader { bytes: &bytes, at: 0, line: 1, comments: Vec::new() };
        let (mut entries, mut macros, mut ends_in_macro) = (Vec::new(), Vec::new(), false);
        // Whether keywords belong to the last entry: not before the first, and not after a macro.
        let mut inside = false;
        while let Some(keyword) = reader.keyword()? {
            let text = decoded(&bytes, keyword);
            let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
            if is("machine") || is("default") {
                let machine = if is("machine") { Some(reader.value(keyword)?) } else { None };
                let words = [keyword].into_iter().chain(machine).collect();
                entries.push(Entry { machine, keyword, logins: Vec::new(), passwords: Vec::new(), words });
                inside = true;
            } else if is("macdef") {
                macros.push(keyword.start);
                reader.value(keyword)?;
                ends_in_macro = !reader.skip_macro();
                inside = false;
            } else if let Some(entry) = entries.last_mut().filter(|_| inside) {
                entry.words.push(keyword);
                let values = match () {
                    () if is("login") => Some(&mut entry.logins),
                    () if is("password") => Some(&mut entry.passwords),
                    () => None,
                };
                if values.is_some() || is("account") {
                    let value = reader.value(keyword)?;
                    entry.words.push(value);
                    if let Some(values) = values {
                        values.push(value);
                    }
                }
            } else {
                return Err(Fault { line: keyword.line, words: "neither machine, default, macdef nor a comment begins here" });
            }
        }
        let comments = reader.comments;
        Ok(Self { bytes, entries, macros, ends_in_macro, comments })
    }

    /// The entries of a machine, in the order of the file; its name counts exactly, but for case. `default` is none of them.
    pub(crate) fn logins<'n>(&'n self, machine: &'n str) -> impl Iterator<Item = Listed> + 'n {
        self.entries.iter().filter(move |entry| self.is_of(entry, machine)).map(|entry| self.login(entry))
    }

    /// The `default` entry.
    pub(crate) fn default_login(&self) -> Option<Listed> {
        self.entries.iter().find(|entry| entry.machine.is_none()).map(|entry| self.login(entry))
    }

    /// The password of a machine and, if it is given, of this user: from the first entry that has both login and password, and never from two entries.
    ///
    /// # Errors
    /// If the entry has two logins or two passwords: readers disagree which one counts.
    pub(crate) fn find(&self, machine: &str, user: Option<&str>) -> Result<Option<(String, Secret)>, Fault> {
        for entry in self.entries.iter().filter(|entry| self.is_of(entry, machine)) {
            let is_meant = user.is_none_or(|user| entry.logins.iter().any(|login| *decoded(&self.bytes, *login) == *user.as_bytes()));
            if !is_meant || entry.logins.is_empty() || entry.passwords.is_empty() {
                continue;
            }
            self.check_single(entry)?;
            if let Listed { login: Some(login), password: Some(password), .. } = self.login(entry) {
                return Ok(Some((login, password)));
            }
            return Err(Fault { line: entry.keyword.line, words: "login or password of this entry are not UTF-8" });
        }
        Ok(None)
    }

    /// Writes the password of a login: into every entry that the machine has for it, else into a new one above `default` and above other logins of that machine.
    ///
    /// # Errors
    /// If the entry has two logins.
    pub(crate) fn set(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let default = self.entries.iter().find(|entry| entry.machine.is_none()).map_or(usize::MAX, |entry| entry.keyword.start);
        let own = self.own(record.machine, record.login)?;
        if own.iter().all(|entry| entry.keyword.start > default) {
            // curl stops at `default`: an entry below it is never seen.
            self.remove(record.machine, record.login)?;
            return self.insert(record);
        }
        let mut edits = Vec::new();
        for entry in own {
            edits.extend(entry.passwords.iter().map(|word| (word.start..word.end, record.password().to_vec())));
            if let (true, Some(login)) = (entry.passwords.is_empty(), entry.logins.last()) {
                edits.push((login.end..login.end, [b" password ", record.password()].concat()));
            }
        }
        self.splice(edits)
    }

    /// Removes every entry of one login of a machine; says whether there was any. Comments on lines of their own stay.
    ///
    /// # Errors
    /// If the entry has two logins.
    pub(crate) fn remove(&mut self, machine: &str, login: &str) -> Result<bool, Fault> {
        let mut edits = Vec::new();
        let own = self.own(machine, login)?;
        let found = !own.is_empty();
        for entry in own {
            let next =
                self.entries.iter().map(|other| other.keyword.start).chain(self.macros.iter().copied()).filter(|start| *start > entry.keyword.start).min();
            for words in entry.words.chunk_by(|left, right| left.line == right.line) {
                let [first, .., last] = words else {
                    if let [only] = words {
                        edits.push((self.cut(only, only, next), Vec::new()));
                    }
                    continue;
                };
                edits.push((self.cut(first, last, next), Vec::new()));
            }
        }
        self.splice(edits)?;
        Ok(found)
    }

    /// What goes with the words of an entry on one line: the whole line if it is theirs alone, else as little as possible. `next` is where other text begins.
    fn cut(&self, first: &Word, last: &Word, next: Option<usize>) -> Range<usize> {
        let line_start = self.line_start(first.start);
        let line_end = memchr::memchr(b'\n', &self.bytes[last.end..]).map_or(self.bytes.len(), |length| last.end + length + 1);
        let alone_before = self.bytes[line_start..first.start].iter().all(u8::is_ascii_whitespace);
        match next.filter(|next| *next < line_end) {
            Some(next) => first.start..next,
            None if alone_before => line_start..line_end,
            None => {
                let kept = self.bytes[..first.start].trim_ascii_end().len();
                let rest = &self.bytes[last.end..line_end];
                kept..line_end - (rest.len() - rest.strip_suffix(b"\r\n").or(rest.strip_suffix(b"\n")).unwrap_or(rest).len())
            }
        }
    }

    fn insert(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let feed = if memchr::memmem::find(&self.bytes, b"\r\n").is_some() { "\r\n" } else { "\n" };
        let below = self.entries.iter().find(|entry| entry.machine.is_none() || self.is_of(entry, record.machine));
        let at = below.map_or(self.bytes.len(), |entry| self.above(entry));
        let opens_line = if at > 0 && self.bytes[at - 1] != b'\n' { feed } else { "" };
        let ends_macro = if below.is_none() && self.ends_in_macro { feed } else { "" };
        let lines = record.lines(feed);
        self.splice(vec![(at..at, [opens_line, ends_macro, &lines].concat().into_bytes())])
    }

    /// Where something goes that is to stand above an entry: above the comment lines that belong to it.
    fn above(&self, entry: &Entry) -> usize {
        let start = self.line_start(entry.keyword.start);
        if !self.bytes[start..entry.keyword.start].iter().all(u8::is_ascii_whitespace) {
            return entry.keyword.start;
        }
        let (mut at, mut line) = (start, entry.keyword.line);
        while line > 1 && self.comments.binary_search(&(line - 1)).is_ok() {
            at = self.line_start(at - 1);
            line -= 1;
        }
        at
    }

    /// The entries of one login of a machine.
    fn own(&self, machine: &str, login: &str) -> Result<Vec<&Entry>, Fault> {
        let is_login = |word: &Word| *decoded(&self.bytes, *word) == *login.as_bytes();
        let own: Vec<&Entry> = self.entries.iter().filter(|entry| self.is_of(entry, machine) && entry.logins.iter().any(is_login)).collect();
        for entry in &own {
            if !entry.logins.iter().all(is_login) {
                self.check_single(entry)?;
            }
        }
        Ok(own)
    }

    fn rivals(&self, machine: &str, login: &str) -> Rivals {
        let mut rivals = Rivals::default();
        let mut seen = false;
        for entry in self.logins(machine) {
            if entry.login.as_deref() == Some(login) {
                seen = true;
            } else if seen {
                rivals.below = rivals.below.or(Some(entry.line));
            } else {
                rivals.above = rivals.above.or(Some(entry.line));
            }
        }
        rivals
    }

    fn check_single(&self, entry: &Entry) -> Result<(), Fault> {
        for (words, fault) in [(&entry.logins, "this entry has two logins"), (&entry.passwords, "this entry has two passwords")] {
            if let Some(second) = words.iter().skip(1).find(|word| decoded(&self.bytes, **word) != decoded(&self.bytes, words[0])) {
                return Err(Fault { line: second.line, words: fault });
            }
        }
        Ok(())
    }

    fn is_of(&self, entry: &Entry, machine: &str) -> bool {
        entry.machine.is_some_and(|word| decoded(&self.bytes, word).eq_ignore_ascii_case(machine.as_bytes()))
    }

    fn login(&self, entry: &Entry) -> Listed {
        let text = |word: &Word| String::from_utf8(decoded(&self.bytes, *word).to_vec()).ok();
        Listed {
            line: entry.keyword.line,
            machine: entry.machine.as_ref().and_then(text),
            login: entry.logins.first().and_then(text),
            password: entry.passwords.first().and_then(text).map(Secret::new),
        }
    }

    fn line_start(&self, at: usize) -> usize {
        memchr::memrchr(b'\n', &self.bytes[..at]).map_or(0, |feed| feed + 1)
    }

    /// Replaces stretches of the text, and reads the result.
    fn splice(&mut self, mut edits: Vec<(Range<usize>, Vec<u8>)>) -> Result<(), Fault> {
        edits.sort_by_key(|(range, _)| range.start);
        // Made in one piece, so that no half of it is left behind in memory.
        let mut bytes = Vec::with_capacity(self.bytes.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>());
        let mut at = 0;
        for (range, text) in &mut edits {
            bytes.extend_from_slice(&self.bytes[at..range.start.max(at)]);
            bytes.extend_from_slice(text);
            at = range.end.max(at);
            text.zeroize();
        }
        bytes.extend_from_slice(&self.bytes[at..]);
        *self = Self::parse(bytes)?;
        Ok(())
    }
}

/// The text of a word, as curl reads it.
fn decoded(bytes: &[u8], word: Word) -> Cow<'_, [u8]> {
    let raw = &bytes[word.start..word.end];
    let Some(inner) = raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else { return Cow::Borrowed(raw) };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(byte) = rest.next() {
        text.push(match byte {
            b'\\' => match rest.next().copied().unwrap_or(b'\\') {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => other,
            },
            other => *other,
        });
    }
    Cow::Owned(text)
}

/// An entry that is to be written.
pub(crate) struct Record<'a> {
    machine: &'a str,
    login: &'a str,
    /// Login and password as they stand in the file.
    written: [Zeroizing<String>; 2],
}

impl<'a> Record<'a> {
    /// # Errors
    /// If login or password are none that every reader gives back; they are not quoted.
    pub(crate) fn new(machine: &'a str, login: &'a str, password: &Secret) -> Result<Self, Failure> {
        let refuse = |what: &str, why| Failure::new(format!("the {what} cannot be written to a netrc file: {why}"));
        let written = [written(login).map_err(|why| refuse("login", why))?, written(password.expose()).map_err(|why| refuse("password", why))?];
        Ok(Self { machine, login, written })
    }

    pub(crate) fn login(&self) -> &'a str {
        self.login
    }

    fn password(&self) -> &[u8] {
        self.written[1].as_bytes()
    }

    /// The entry in three lines.
    pub(crate) fn lines(&self, feed: &str) -> Zeroizing<String> {
        let [login, password] = &self.written;
        Zeroizing::new(["machine ", self.machine, feed, "login ", login, feed, "password ", password, feed].concat())
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Record of {} at {}", self.login, self.machine)
    }
}

/// A value as it stands in the file: in quotes only where it must, because older readers know none.
fn written(value: &str) -> Result<Zeroizing<String>, &'static str> {
    if value.is_empty() {
        return Err("it is empty");
    }
    if value.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    if ["machine", "default", "macdef"].iter().any(|keyword| value.eq_ignore_ascii_case(keyword)) {
        return Err("it is a keyword of such files, for which curl takes it where it looks for another host");
    }
    // Room for every escape: a text that grows leaves its old copy in memory.
    let mut text = Zeroizing::new(String::with_capacity(2 * value.len() + 2));
    if value.starts_with(['"', '#']) || value.contains([' ', '\\']) {
        text.push('"');
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    } else {
        text.push_str(value);
    }
    if text.len() > LONGEST_WORD {
        return Err("it is longer than the 4 kB that curl reads of a line");
    }
    Ok(text)
}

/// A netrc file by its place.
#[derive(Clone, Debug)]
pub(crate) struct NetrcFile {
    path: PathBuf,
}

impl NetrcFile {
    /// A file that somebody named.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file that programs read: `NETRC`, or the first of `~/.netrc` and `~/_netrc` that is there.
    ///
    /// # Errors
    /// If neither `NETRC` nor the home folder is known.
    pub(crate) fn to_read(env: &Env) -> Result<Self> {
        Self::place(env, true)
    }

    /// The file to write an entry to: as [`NetrcFile::to_read`] on Windows; elsewhere curl knows no `~/_netrc`, and it is `NETRC` or `~/.netrc`.
    ///
    /// # Errors
    /// If neither `NETRC` nor the home folder is known.
    pub(crate) fn to_write(env: &Env) -> Result<Self> {
        Self::place(env, cfg!(windows))
    }

    fn place(env: &Env, either: bool) -> Result<Self> {
        let home = env.home();
        if let Some(path) = env.path(env::NETRC) {
            return Ok(match (path.strip_prefix("~"), home) {
                (Ok(rest), Some(home)) => Self::at(home.join(rest)),
                _ => Self::at(path),
            });
        }
        let Some(home) = home else {
            return Err(Failure::new(format!("there is no place for a netrc file: {} is not set", env::HOME))
                .hint(format!("Set {} to the file", env::NETRC))
                .into());
        };
        let usual = FILE_NAMES[usize::from(cfg!(windows))];
        let present = FILE_NAMES.iter().find(|name| either && home.join(name).exists());
        Ok(Self::at(home.join(present.unwrap_or(&usual))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The contents, and the mode if others than the owner may read them; `None` if there is no file.
    ///
    /// # Errors
    /// If it cannot be read, or is no netrc file: then the line is named.
    pub(crate) fn read(&self) -> Result<Option<(Netrc, Option<u32>)>> {
        let Some(contents) = files::read_contents(&self.path, SIZE_LIMIT)? else { return Ok(None) };
        let netrc = Netrc::parse(contents.bytes).map_err(|fault| self.explain(fault))?;
        Ok(Some((netrc, contents.open_mode)))
    }

    /// Writes an entry, see [`Netrc::set`], and says which other entries of that machine compete with it.
    ///
    /// # Errors
    /// If the file cannot be read, understood, locked or written: then it is left as it is.
    pub(crate) fn write(&self, record: &Record<'_>) -> Result<(Updated, Rivals)> {
        let mut rivals = Rivals::default();
        let updated = self.edit(|netrc| {
            netrc.set(record)?;
            rivals = netrc.rivals(record.machine, record.login);
            Ok(())
        })?;
        Ok((updated, rivals))
    }

    /// Removes an entry, see [`Netrc::remove`]; says whether it was there.
    ///
    /// # Errors
    /// If the file cannot be read, understood, locked or written: then it is left as it is.
    pub(crate) fn remove(&self, machine: &str, login: &str) -> Result<(Updated, bool)> {
        if files::read(&self.path, SIZE_LIMIT)?.is_none() {
            return Ok((Updated { tightened_from: None }, false));
        }
        let mut found = false;
        let updated = self.edit(|netrc| {
            found = netrc.remove(machine, login)?;
            Ok(())
        })?;
        Ok((updated, found))
    }

    fn edit(&self, mut change: impl FnMut(&mut Netrc) -> Result<(), Fault>) -> Result<Updated> {
        files::update(&self.path, SIZE_LIMIT, |before| {
            let left = |fault| self.explain(fault).hint("Nothing was written. Correct that line, then try again");
            let mut netrc = Netrc::parse(before.unwrap_or_default().to_vec()).map_err(left)?;
            change(&mut netrc).map_err(left)?;
            Ok(Some(std::mem::take(&mut *netrc.bytes)))
        })
    }

    /// Names the line of a fault in this file.
    pub(crate) fn explain(&self, fault: Fault) -> Failure {
        Failure::new(format!("{}:{}: {fault}", self.path.display(), fault.line))
    }
}

#[cfg(test)]
#[path = "netrc_tests.rs"]
mod tests;
