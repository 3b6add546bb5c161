//! The file `token-cache.json`: the cache of the official CLI, which other programs read and write too.
//!
//! `{"version":1,"tokens":{"<key>":{…}}}`. What is not ours stays byte for byte; what cannot be read is set aside before a write, never overwritten.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use anyhow::Result;
use databricks_hot::{LARGE, PIECE, json};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::entry::{self, BrokenEntry, Member};
use super::{Lock, Saved, StoredToken, TokenStore};
use crate::clock;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files;
use crate::json::Scanner;
use crate::secret::{Secret, Wiped};
use crate::text;

/// Where the official CLI keeps it, below the home folder.
const FOLDER: &str = ".databricks";
const FILE_NAME: &str = "token-cache.json";
/// Largest file that is read or written: thousands of sign-ins.
const SIZE_LIMIT: u64 = 10 << 20;
/// The only version there is.
const VERSION: &str = "1";
/// Broken files that are kept; with more, something else is wrong.
const MOST_SET_ASIDE: usize = 100;

/// The folder of the token cache and the locks beside it.
///
/// # Errors
/// If there is neither a home folder nor `DATABRICKS_TOKEN_CACHE_DIR`.
pub(crate) fn folder(env: &Env) -> Result<PathBuf> {
    env.path(env::TOKEN_CACHE_DIR).or_else(|| env.home().map(|home| home.join(FOLDER))).ok_or_else(|| {
        Failure::new(format!("{} is not set, so there is no place for {FILE_NAME}", env::HOME))
            .hint(format!("Name a folder for it: export {}=<folder>", env::TOKEN_CACHE_DIR))
            .into()
    })
}

/// The file `token-cache.json`. Nothing is read or made before it is asked for.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    /// With `~` for the home folder.
    shown: String,
    zone: clock::LocalZone,
    notices: RefCell<Vec<String>>,
}

impl TokenFile {
    /// The file of this environment.
    ///
    /// # Errors
    /// As [`folder`].
    pub(crate) fn of(env: &Env) -> Result<Self> {
        let path = folder(env)?.join(FILE_NAME);
        let below_home = env.home().and_then(|home| path.strip_prefix(home).ok().map(|rest| format!("~/{}", rest.display())));
        let shown = below_home.unwrap_or_else(|| path.display().to_string());
        Ok(Self { path, shown, zone: clock::LocalZone::of(env), notices: RefCell::default() })
    }

    fn read(&self) -> Result<Option<Wiped>> {
        let bytes = files::read(&self.path, SIZE_LIMIT).map_err(|error| self.cannot(&error))?;
        Ok(bytes.map(Wiped::new))
    }

    fn cannot(&self, error: &dyn fmt::Display) -> Failure {
        // The target of a link has another name than people know.
        let error = error.to_string();
        let whose = if error.contains(FILE_NAME) { String::new() } else { format!("{}: ", self.shown) };
        Failure::new(format!("open file token cache: {whose}{error}"))
            .hint(format!("Put right what is wrong with it, or use another folder: export {}=<folder>", env::TOKEN_CACHE_DIR))
    }

    fn unreadable(&self, damage: &Damage) -> Failure {
        match damage {
            // Compat: the official CLI's words.
            Damage::Version(found) => Failure::new(format!("open file token cache: load: needs version 1, got version {found} ({})", self.shown))
                .hint(format!("A newer program wrote it; use that one, or another folder for this one: export {}=<folder>", env::TOKEN_CACHE_DIR)),
            Damage::Syntax { line, column } => {
                Failure::new(format!("open file token cache: load: parse: {} is no valid token cache (line {line}, column {column})", self.shown))
                    .hint("To sign in anew: databricks auth login; it keeps what can be read of the file, and a copy of it as it is")
            }
        }
    }

    fn broken(&self, key: &str, BrokenEntry(reason): BrokenEntry) -> Failure {
        Failure::new(format!("the entry {} of {} is broken: {reason}", text::quoted(key), self.shown)).hint("To replace it: databricks auth login")
    }

    /// Changes the document under the file's lock; `change` says whether there is anything to write. It may be called again, as that of [`files::update`].
    fn change(&self, mut change: impl FnMut(&mut Document<'_>) -> Result<bool>) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            files::make_folder(folder).map_err(|error| self.cannot(&error))?;
        }
        let mut aside: Option<(Zeroizing<Vec<u8>>, PathBuf)> = None;
        loop {
            let mut damaged = None;
            let mut rescued = None;
            let updated = files::update(&self.path, SIZE_LIMIT, |before| {
                (damaged, rescued) = (None, None);
                let bytes = before.unwrap_or_default();
                let mut document = match Document::parse(bytes) {
                    Ok(document) => document,
                    Err(damage @ Damage::Version(_)) => return Err(self.unreadable(&damage).into()),
                    Err(Damage::Syntax { .. }) if aside.as_ref().is_some_and(|(kept, _)| ***kept == *bytes) => {
                        let document = Document::rescue(bytes);
                        rescued = Some(document.tokens.len());
                        document
                    }
                    Err(Damage::Syntax { .. }) => {
                        damaged = Some(Zeroizing::new(bytes.to_vec()));
                        return Ok(None);
                    }
                };
                if !change(&mut document)? && rescued.is_none() {
                    return Ok(None);
                }
                let new = document.render();
                if new.len() as u64 > SIZE_LIMIT {
                    return Err(Failure::new(format!("{} would grow beyond {} MiB", self.shown, SIZE_LIMIT >> 20))
                        .hint("Sign out of what you no longer use: databricks auth logout")
                        .into());
                }
                Ok(Some(new.into_bytes()))
            })
            .map_err(|error| error.downcast::<files::FileError>().map_or_else(|error| error, |error| self.cannot(&error).into()))?;
            if let Some(bytes) = damaged {
                let copy = self.set_aside(&bytes)?;
                aside = Some((bytes, copy));
                continue;
            }
            if let Some(mode) = updated.tightened_from {
                self.tell(format!("{} was readable by others (mode {mode:04o}); now it is yours alone", self.shown));
            }
            if let (Some(count), Some((_, copy))) = (rescued, aside) {
                let entries = if count == 1 { "1 entry" } else { &format!("{count} entries") };
                let copy = copy.display();
                self.tell(format!(
                    "{} was broken: {entries} could be saved from it; the file as it was is {copy}, delete it when you no longer need it",
                    self.shown
                ));
            }
            return Ok(());
        }
    }

    /// Keeps a copy of a broken file; the one that is there already, if it is the same.
    fn set_aside(&self, bytes: &[u8]) -> Result<PathBuf> {
        for number in 1..=MOST_SET_ASIDE {
            let path = self.path.with_file_name(format!("{FILE_NAME}.corrupt-{number}"));
            let mut is_kept = false;
            files::update(&path, SIZE_LIMIT, |before| {
                is_kept = before.is_none_or(|before| before == bytes);
                Ok(is_kept.then(|| bytes.to_vec()))
            })?;
            if is_kept {
                return Ok(path);
            }
        }
        Err(Failure::new(format!("{} is broken, and {MOST_SET_ASIDE} broken ones are kept beside it already", self.shown))
            .hint(format!("Find out what breaks it, and delete them: rm {}.corrupt-*", self.path.display()))
            .into())
    }

    /// Takes the tokens of entries out of the broken files that were set aside, and leaves the rest of them. That there are such files is told: of an entry that cannot be read,
    /// nobody knows the token.
    fn scrub(&self, keys: &[&str], tokens: &[StoredToken]) -> Result<()> {
        for number in 1..=MOST_SET_ASIDE {
            let path = self.path.with_file_name(format!("{FILE_NAME}.corrupt-{number}"));
            if !path.exists() {
                break;
            }
            files::update(&path, SIZE_LIMIT, |before| {
                let Some(before) = before else { return Ok(None) };
                let document = Document::rescue(before);
                let held = keys.iter().filter_map(|key| entry::parse(document.get(key)?).ok().flatten()).chain(tokens.iter().cloned());
                let mut bytes = before.to_vec();
                for secret in held.flat_map(|token| [Some(token.access_token), token.refresh_token]).flatten().filter(|secret| !secret.is_empty()) {
                    let secret = secret.expose().as_bytes();
                    memchr::memmem::find_iter(before, secret).for_each(|at| bytes[at..at + secret.len()].fill(b'*'));
                }
                Ok(Some(bytes))
            })?;
            self.tell(format!("{} is what a broken token cache was, and may hold tokens; delete it when you no longer need it", path.display()));
        }
        Ok(())
    }

    fn tell(&self, notice: String) {
        let mut notices = self.notices.borrow_mut();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
}

impl TokenStore for TokenFile {
    fn load(&self, key: &str) -> Result<Option<StoredToken>> {
        let Some(mut file) = files::open(&self.path, SIZE_LIMIT).map_err(|error| self.cannot(&error))? else { return Ok(None) };
        let parsed = |found: Option<&str>| Ok(found.map(entry::parse).transpose().map_err(|error| self.broken(key, error))?.flatten());
        let bytes = if file.size() <= LARGE {
            Wiped::new(file.bytes().map_err(|error| self.cannot(&error))?)
        } else {
            let mut found = None;
            if scan_in_pieces(file.reader(), PIECE, key, &mut found).is_some() {
                return parsed(found.as_ref().map(|entry| std::str::from_utf8(entry).unwrap_or_default()));
            }
            let Some(bytes) = self.read()? else { return Ok(None) };
            bytes
        };
        parsed(find(&bytes, key).map_err(|damage| self.unreadable(&damage))?)
    }

    fn save(&self, _lock: &Lock, keys: &[&str], token: &StoredToken, replaced: Option<&Secret>) -> Result<Saved> {
        let zone = self.zone.get();
        let mut saved = Saved::Written;
        self.change(|document| {
            saved = Saved::Written;
            let mut changed = false;
            for key in keys {
                let present = document.get(key).and_then(|value| entry::parse(value).ok()).flatten();
                if let (Some(present), Some(replaced)) = (present, replaced)
                    && present.is_newer(token, replaced)
                {
                    if keys.first() == Some(key) {
                        saved = Saved::Newer(Box::new(present));
                    }
                    continue;
                }
                let value = entry::indented(token, document.get(key), &zone);
                document.set(key, value);
                changed = true;
            }
            let holds_replaced = |value: &str| replaced.is_some() && entry::refresh_token(value).as_ref() == replaced;
            for (_, slot) in document.tokens.iter_mut().filter(|(key, slot)| !keys.contains(&key.as_str()) && holds_replaced(&slot.value)) {
                slot.value = Cow::Owned(entry::indented(token, Some(&slot.value), &zone));
                changed = true;
            }
            if changed {
                let now = clock::now();
                document.tokens.retain(|key, slot| !(is_minted(key) && has_ended(&slot.value, now)));
            }
            Ok(changed)
        })?;
        Ok(saved)
    }

    fn remove(&self, _lock: &Lock, keys: &[&str]) -> Result<bool> {
        let mut removed = false;
        let mut tokens = Vec::new();
        if self.read()?.is_none() {
            return self.scrub(keys, &tokens).map(|()| false);
        }
        self.change(|document| {
            let before = document.tokens.len();
            tokens = keys.iter().filter_map(|key| entry::parse(document.get(key)?).ok().flatten()).collect();
            document.tokens.retain(|key, _| !keys.contains(&key.as_str()));
            removed = document.tokens.len() < before;
            Ok(removed)
        })?;
        self.scrub(keys, &tokens)?;
        Ok(removed)
    }

    fn keys(&self) -> Result<Vec<String>> {
        let Some(bytes) = self.read()? else { return Ok(Vec::new()) };
        let document = Document::parse(&bytes).map_err(|damage| self.unreadable(&damage))?;
        Ok(document.tokens.into_keys().collect())
    }

    fn writable(&self) -> Result<()> {
        if let Some(bytes) = self.read()?
            && let Err(damage @ Damage::Version(_)) = Document::parse(&bytes)
        {
            return Err(self.unreadable(&damage).into());
        }
        files::check_writable(&self.path, ROOM).map_err(|error| self.cannot(&error).into())
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }

    fn location(&self) -> String {
        self.shown.clone()
    }
}

/// Whether a key is one of a token that can be minted again (`session::minted_key`), such as that of a job: there is a new one for each job, so they do not stay for ever.
fn is_minted(key: &str) -> bool {
    key.rsplit_once(" #").is_some_and(|(what, mark)| what.contains(" at http") && mark.len() == 12 && mark.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether a token that nobody can refresh ended more than an hour ago, also by a clock that is somewhat wrong.
fn has_ended(value: &str, now: jiff::Timestamp) -> bool {
    let Ok(Some(token)) = entry::parse(value) else { return false };
    token.refresh_token.is_none() && token.expiry.is_some_and(|expiry| now.duration_since(expiry) > jiff::SignedDuration::from_hours(1))
}

/// Free space that a rewrite may need, in bytes: the file once more, and some for the file system.
const ROOM: u64 = 256 << 10;

/// Why the bytes are no cache that this program may change.
#[derive(Debug, PartialEq, Eq)]
enum Damage {
    /// The version, as it stands in the file.
    Version(String),
    /// Where the JSON, or its shape, ends to make sense.
    Syntax { line: usize, column: usize },
}

impl Damage {
    fn of(error: &serde_json::Error) -> Self {
        Self::Syntax { line: error.line(), column: error.column() }
    }
}

/// What a cache says besides its entries.
#[derive(Default)]
struct Head<'a> {
    version: Option<&'a RawValue>,
    has_tokens: bool,
}

impl Head<'_> {
    fn check(&self) -> Result<(), Damage> {
        match self.version.map(RawValue::get) {
            Some(VERSION) => Ok(()),
            // Nothing in it could be lost.
            None | Some("null") if !self.has_tokens => Ok(()),
            None | Some("null") => Err(Damage::Version("0".to_owned())),
            Some(other) => Err(Damage::Version(text::one_line(&text::shortened(other, 20)).into_owned())),
        }
    }
}

/// The entry of a key as it stands in a cache: reads over the others without keeping anything of them.
fn find<'a>(bytes: &'a [u8], key: &str) -> Result<Option<&'a str>, Damage> {
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut found = None;
    match scan(bytes, key, &mut found) {
        Some(()) => Ok(found),
        None => look_up(bytes, key),
    }
}

/// As [`find`], in a file of which only so many bytes are held at a time; `None` where that is for others to judge.
fn scan_in_pieces(file: &mut dyn Read, piece: usize, key: &str, found: &mut Option<Wiped>) -> Option<()> {
    let mut buffer = Wiped::new(vec![0; piece]);
    let (mut version, mut is_odd) = (None, false);
    json::in_pieces(file, &mut buffer, "tokens", &mut |is_token, name, value| match name {
        _ if is_token && name == key => *found = Some(Wiped::new(value.as_bytes().to_vec())),
        "version" if !is_token => version = Some(value == VERSION),
        // None of the shape that they have.
        "tokens" if !is_token => is_odd = true,
        _ => {}
    })
    .ok()??;
    (version == Some(true) && !is_odd).then_some(())
}

/// As [`look_up`], several times as fast; `None` where that is to judge.
fn scan<'a>(bytes: &'a [u8], key: &str, found: &mut Option<&'a str>) -> Option<()> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut scanner = Scanner::new(text);
    let mut version = None;
    scanner.object(|scanner, name| {
        match &*name.decoded(text)? {
            "version" => version = Some(scanner.value()?),
            "tokens" => scanner.object(|scanner, name| {
                let is_wanted = name.decoded(text)? == key;
                let value = scanner.value()?;
                if is_wanted {
                    *found = Some(value);
                }
                Some(())
            })?,
            _ => drop(scanner.value()?),
        }
        Some(())
    })?;
    (scanner.is_done() && version == Some(VERSION)).then_some(())
}

/// As [`find`], by serde: slower, and it says where the mistake is.
fn look_up<'a>(bytes: &'a [u8], key: &str) -> Result<Option<&'a str>, Damage> {
    let mut lookup = Lookup { key, head: Head::default(), found: None };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    json.deserialize_option(TopVisitor(&mut lookup)).and_then(|()| json.end()).map_err(|error| Damage::of(&error))?;
    lookup.head.check()?;
    Ok(lookup.found.map(RawValue::get))
}

struct Lookup<'k, 'a> {
    key: &'k str,
    head: Head<'a>,
    found: Option<&'a RawValue>,
}

/// Reads the whole file: an object, or `null`.
struct TopVisitor<'l, 'k, 'a>(&'l mut Lookup<'k, 'a>);

impl<'a> Visitor<'a> for TopVisitor<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a token cache")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            match &*name {
                "version" => self.0.head.version = Some(map.next_value()?),
                "tokens" => map.next_value_seed(Tokens(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed unless it has escapes.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<Cow<'a, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The map of the entries, or `null`.
struct Tokens<'l, 'k, 'a>(&'l mut Lookup<'k, 'a>);

impl<'a> DeserializeSeed<'a> for Tokens<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_option(self)
    }
}

impl<'a> Visitor<'a> for Tokens<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tokens by key")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            self.0.head.has_tokens = true;
            if *name == *self.0.key {
                self.0.found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A key and its value as they stand in the file, or as they are going to.
#[derive(Clone, Debug)]
struct Slot<'a> {
    key: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'a> From<Member<'a>> for Slot<'a> {
    fn from(member: Member<'a>) -> Self {
        Self { key: Cow::Borrowed(member.key), value: Cow::Borrowed(member.value) }
    }
}

/// A cache that can be changed: entries by key, as Go sorts them, and all else as it was.
#[derive(Debug)]
struct Document<'a> {
    /// In the order of the file.
    top: Vec<Top<'a>>,
    tokens: BTreeMap<String, Slot<'a>>,
}

/// A member of the whole.
#[derive(Debug)]
enum Top<'a> {
    Version,
    Tokens,
    /// Somebody else's.
    Other(Slot<'a>),
}

impl<'a> Document<'a> {
    fn empty() -> Self {
        Self { top: vec![Top::Version, Top::Tokens], tokens: BTreeMap::new() }
    }

    fn parse(bytes: &'a [u8]) -> Result<Self, Damage> {
        // Says where the file makes no sense, and proves what the cutting below relies on.
        find(bytes, "")?;
        let text = std::str::from_utf8(bytes).map_err(|_| Damage::Syntax { line: 0, column: 0 })?;
        let mut document = Self { top: Vec::new(), tokens: BTreeMap::new() };
        for member in entry::members(text).unwrap_or_default() {
            match &*member.name() {
                "version" if document.has(&Top::Version) => {}
                "version" => document.top.push(Top::Version),
                "tokens" => {
                    let entries = entry::members(member.value).unwrap_or_default();
                    document.tokens.extend(entries.into_iter().map(|entry| (entry.name().into_owned(), Slot::from(entry))));
                    if !document.has(&Top::Tokens) {
                        document.top.push(Top::Tokens);
                    }
                }
                _ => document.top.push(Top::Other(Slot::from(member))),
            }
        }
        if !document.has(&Top::Version) {
            document.top.insert(0, Top::Version);
        }
        if !document.has(&Top::Tokens) {
            document.top.push(Top::Tokens);
        }
        Ok(document)
    }

    fn has(&self, kind: &Top<'_>) -> bool {
        self.top.iter().any(|top| std::mem::discriminant(top) == std::mem::discriminant(kind))
    }

    /// What can still be read of a broken cache: every complete `"key": {…}` with a token in it.
    fn rescue(bytes: &[u8]) -> Document<'static> {
        let text = String::from_utf8_lossy(bytes);
        let mut document = Document::empty();
        let mut at = tokens_start(&text);
        // A file full of objects that never end would be looked through once for each of them.
        let mut budget = text.len().saturating_mul(16).max(1 << 20);
        while let Some(quote) = text.get(at..).and_then(|rest| memchr::memchr(b'"', rest.as_bytes())) {
            let start = at + quote;
            at = start + 1;
            match entry::member(&text, start) {
                Some((found, end)) => {
                    let is_entry = found.value.starts_with('{') && entry::is_json(found.key) && entry::is_json(found.value);
                    if is_entry && entry::holds_token(found.value) && !found.value.contains(char::REPLACEMENT_CHARACTER) {
                        let slot = Slot { key: Cow::Owned(found.key.to_owned()), value: Cow::Owned(found.value.to_owned()) };
                        document.tokens.insert(found.name().into_owned(), slot);
                        at = end;
                    } else if is_entry {
                        at = start + found.key.len();
                    }
                    budget = budget.saturating_sub(end - start);
                }
                None => budget = budget.saturating_sub(text.len() - start),
            }
            if budget == 0 {
                break;
            }
        }
        document
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.tokens.get(key).map(|slot| &*slot.value)
    }

    fn set(&mut self, key: &str, value: String) {
        match self.tokens.get_mut(key) {
            Some(slot) => slot.value = Cow::Owned(value),
            None => {
                self.tokens.insert(key.to_owned(), Slot { key: Cow::Owned(entry::quoted(key)), value: Cow::Owned(value) });
            }
        }
    }

    /// As Go's `MarshalIndent` with two spaces: no line feed at the end.
    fn render(&self) -> String {
        let others = self.top.iter().filter_map(|top| if let Top::Other(slot) = top { Some(slot) } else { None });
        let size = self.tokens.values().chain(others).map(|slot| slot.key.len() + slot.value.len() + 10).sum::<usize>();
        // Its room from the start, so that no copies with tokens in them are left in memory.
        let mut json = String::with_capacity(size + 64);
        render_object(&mut json, "", self.top.iter(), |json, top| match top {
            Top::Version => json.push_str(&format!("\"version\": {VERSION}")),
            Top::Tokens => {
                json.push_str("\"tokens\": ");
                render_object(json, "  ", self.tokens.values(), render_slot);
            }
            Top::Other(slot) => render_slot(json, slot),
        });
        json
    }
}

fn render_object<T>(json: &mut String, indent: &str, members: impl Iterator<Item = T>, member: impl Fn(&mut String, T)) {
    json.push('{');
    let start = json.len();
    for each in members {
        json.push_str(if json.len() == start { "\n" } else { ",\n" });
        json.push_str(indent);
        json.push_str("  ");
        member(json, each);
    }
    if json.len() > start {
        json.push('\n');
        json.push_str(indent);
    }
    json.push('}');
}

fn render_slot(json: &mut String, slot: &Slot<'_>) {
    json.push_str(&slot.key);
    json.push_str(": ");
    json.push_str(&slot.value);
}

/// The place behind `"tokens":`, or the start.
fn tokens_start(text: &str) -> usize {
    const NAME: &str = "\"tokens\"";
    text.match_indices(NAME).map(|(at, _)| at + NAME.len()).find(|at| text[*at..].trim_start().starts_with(':')).unwrap_or(0)
}

#[cfg(all(test, unix))]
#[path = "file_tests.rs"]
mod tests;
