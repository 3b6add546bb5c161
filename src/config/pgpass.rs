//! The password file of libpq, `.pgpass`: lines `host:port:database:user:password`, of which the first that fits counts. <https://www.postgresql.org/docs/current/libpq-pgpass.html>
//!
//! The file is the user's: one line is replaced, taken out or put in, and every other byte stays.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use zeroize::Zeroizing;

use crate::env::{self, Env};
use crate::error::Failure;
use crate::files::{self, Updated};
use crate::secret::Secret;

/// No such file is larger.
const SIZE_LIMIT: u64 = 16 << 20;
const ANY: &str = "*";

/// A line that is to be in the file.
pub(crate) struct Record<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// `*` for all.
    pub(crate) database: &'a str,
    /// `*` for all.
    pub(crate) user: &'a str,
    pub(crate) password: &'a Secret,
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Record of {} at {}:{}", self.user, self.host, self.port)
    }
}

impl Record<'_> {
    fn port(&self) -> String {
        self.port.to_string()
    }

    /// The line without its end.
    fn line(&self) -> Result<Zeroizing<String>, Failure> {
        // Room for every escape: a text that grows leaves its old copy in memory.
        let values = [self.host, &self.port(), self.database, self.user, self.password.expose()];
        let mut line = Zeroizing::new(String::with_capacity(values.iter().map(|value| 2 * value.len() + 1).sum()));
        for (place, value) in values.into_iter().enumerate() {
            if value.contains(['\n', '\r', '\0']) {
                return Err(Failure::new(format!("{} cannot be written to a password file: it holds a line break", FIELDS[place])));
            }
            if place > 0 {
                line.push(':');
            }
            for character in value.chars() {
                if matches!(character, ':' | '\\') {
                    line.push('\\');
                }
                line.push(character);
            }
        }
        Ok(line)
    }
}

const FIELDS: [&str; 5] = ["the host", "the port", "the database", "the user", "the password"];

/// A line of the file.
struct Line<'f> {
    /// With its end.
    place: Range<usize>,
    /// As they stand, escapes included; the password is the rest of the line.
    fields: Option<[&'f [u8]; 5]>,
}

/// Cuts the file as libpq does: no trailing `\r`, comments begin with `#`, and what has too few fields is no entry.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |feed| feed + 1);
        let place = start..start + length;
        start += length;
        let end = rest[..length].iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let text = &rest[..end];
        Some(Line { fields: fields(text).filter(|_| text.first() != Some(&b'#')), place })
    })
}

fn fields(line: &[u8]) -> Option<[&[u8]; 5]> {
    let mut fields = [line; 5];
    let mut rest = line;
    for field in &mut fields[..4] {
        let mut at = 0;
        while rest.get(at)? != &b':' {
            at += if rest[at] == b'\\' { 2 } else { 1 };
        }
        *field = &rest[..at];
        rest = &rest[at + 1..];
    }
    fields[4] = rest;
    Some(fields)
}

/// The text of a field without its escapes.
fn decoded(field: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(field.len()));
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        text.push(if *byte == b'\\' { *rest.next().unwrap_or(byte) } else { *byte });
    }
    text
}

/// The file with the line in it: where one of the same four names stood, or else at its end; but above every other line that would be taken instead of it.
///
/// # Errors
/// If the line cannot be written.
pub(crate) fn merged(bytes: &[u8], record: &Record<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let port = record.port();
    let names = [record.host, &port, record.database, record.user];
    let is_own = |fields: &[&[u8]; 5]| names.iter().zip(fields).all(|(name, field)| *decoded(field) == *name.as_bytes());
    // A name of ours that is * may be anything to whoever reads.
    let hides =
        |fields: &[&[u8]; 5]| names.iter().zip(fields).all(|(name, field)| *field == ANY.as_bytes() || *name == ANY || *decoded(field) == *name.as_bytes());
    let mut own: Vec<Range<usize>> = Vec::new();
    let mut hidden_by: Option<usize> = None;
    for line in lines(bytes) {
        match &line.fields {
            Some(fields) if is_own(fields) => own.push(line.place),
            Some(fields) if hides(fields) && hidden_by.is_none() => hidden_by = Some(line.place.start),
            _ => {}
        }
    }
    let first = own.first().map(|place| place.start);
    let at = match (first, hidden_by) {
        (Some(own), Some(other)) => own.min(other),
        (Some(at), None) | (None, Some(at)) => at,
        (None, None) => bytes.len(),
    };
    // As the line that is replaced ended, else as the file's do.
    let ends = own.first().map_or(bytes, |place| &bytes[place.clone()]);
    let feed: &[u8] = if memchr::memmem::find(ends, b"\r\n").is_some() { b"\r\n" } else { b"\n" };
    let line = record.line()?;
    let mut merged = Zeroizing::new(Vec::with_capacity(bytes.len() + line.len() + 2 * feed.len()));
    let kept = |from: usize, to: usize, merged: &mut Vec<u8>| {
        let mut start = from;
        for place in own.iter().filter(|place| place.start >= from && place.end <= to) {
            merged.extend_from_slice(&bytes[start..place.start]);
            start = place.end;
        }
        merged.extend_from_slice(&bytes[start..to]);
    };
    kept(0, at, &mut merged);
    if merged.last().is_some_and(|byte| *byte != b'\n') {
        merged.extend_from_slice(feed);
    }
    merged.extend_from_slice(line.as_bytes());
    merged.extend_from_slice(feed);
    kept(at, bytes.len(), &mut merged);
    Ok(merged)
}

/// The password of the first line that fits, as libpq finds it.
pub(crate) fn password(bytes: &[u8], host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    let port = port.to_string();
    let names = [host, &port, database, user];
    let found = lines(bytes)
        .filter_map(|line| line.fields)
        .find(|fields| names.iter().zip(fields).all(|(name, field)| *field == ANY.as_bytes() || *decoded(field) == *name.as_bytes()))?;
    String::from_utf8(decoded(found[4]).to_vec()).ok().map(Secret::new)
}

/// A password file by its place.
#[derive(Clone, Debug)]
pub(crate) struct PassFile {
    path: PathBuf,
}

impl PassFile {
    /// A file that somebody named.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The one that libpq reads: `PGPASSFILE`, else `~/.pgpass`, on Windows `%APPDATA%\postgresql\pgpass.conf`.
    ///
    /// # Errors
    /// If there is no place for it.
    pub(crate) fn of(env: &Env) -> Result<Self> {
        if let Some(path) = env.path(env::PGPASSFILE) {
            return Ok(Self::at(path));
        }
        let usual = if cfg!(windows) {
            env.path(env::APPDATA).map(|folder| folder.join("postgresql").join("pgpass.conf"))
        } else {
            env.home().map(|home| home.join(".pgpass"))
        };
        let missing =
            || Failure::new(format!("there is no place for a password file: {} is not set", env::HOME)).hint(format!("Set {} to the file", env::PGPASSFILE));
        Ok(Self::at(usual.ok_or_else(missing)?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts lines in, see [`merged`], all of them or none.
    ///
    /// # Errors
    /// If the file cannot be read, locked or written: then it is left as it is.
    pub(crate) fn write(&self, records: &[Record<'_>]) -> Result<Updated> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files::make_folder(folder)?;
        }
        files::update(&self.path, SIZE_LIMIT, |before| {
            let mut bytes = Zeroizing::new(before.unwrap_or_default().to_vec());
            for record in records {
                bytes = merged(&bytes, record)?;
            }
            Ok(Some(std::mem::take(&mut *bytes)))
        })
    }

    /// The password that libpq would take; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn look_up(&self, host: &str, port: u16, database: &str, user: &str) -> Result<Option<Secret>> {
        let bytes = files::read(&self.path, SIZE_LIMIT)?.map(Zeroizing::new);
        Ok(bytes.and_then(|bytes| password(&bytes, host, port, database, user)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merge(file: &str, database: &str, password: &str) -> String {
        let password = Secret::new(password);
        let record = Record { host: "db", port: 5432, database, user: "ann", password: &password };
        String::from_utf8(merged(file.as_bytes(), &record).expect("merged").to_vec()).expect("text")
    }

    #[test]
    fn one_line_is_written_and_the_others_stay() {
        assert_eq!(merge("", "*", "new"), "db:5432:*:ann:new\n");
        assert_eq!(merge("# mine\nother:5432:*:ann:x", "*", "new"), "# mine\nother:5432:*:ann:x\ndb:5432:*:ann:new\n");
        assert_eq!(merge("a:1:b:c:d\ndb:5432:*:ann:old\nodd line\n", "*", "new"), "a:1:b:c:d\ndb:5432:*:ann:new\nodd line\n");
        assert_eq!(merge("x\r\ndb:5432:*:ann:old\r\ny\r\n", "*", "new"), "x\r\ndb:5432:*:ann:new\r\ny\r\n");
        // Of several the first counts, and the others would only be old passwords.
        assert_eq!(merge("db:5432:*:ann:1\nz\ndb:5432:*:ann:2\n", "*", "new"), "db:5432:*:ann:new\nz\n");
        assert_eq!(merge("#db:5432:*:ann:old\n", "*", "new"), "#db:5432:*:ann:old\ndb:5432:*:ann:new\n");
    }

    #[test]
    fn a_line_that_would_be_taken_first_stands_below() {
        assert_eq!(merge("a:1:b:c:d\n*:*:*:*:any\ndb:5432:*:ann:old\n", "*", "new"), "a:1:b:c:d\ndb:5432:*:ann:new\n*:*:*:*:any\n");
        assert_eq!(merge("db:*:shop:ann:any\n", "*", "new"), "db:5432:*:ann:new\ndb:*:shop:ann:any\n");
        assert_eq!(merge("db:*:shop:ann:any\n", "other", "new"), "db:*:shop:ann:any\ndb:5432:other:ann:new\n");
        assert_eq!(merge("db:5432:*:bob:x\n", "*", "new"), "db:5432:*:bob:x\ndb:5432:*:ann:new\n");
    }

    #[test]
    fn colons_and_backslashes_are_escaped_and_line_breaks_refused() {
        assert_eq!(merge("", "a:b\\c", "p:q\\r"), "db:5432:a\\:b\\\\c:ann:p\\:q\\\\r\n");
        assert_eq!(merge("db:5432:a\\:b:ann:old\n", "a:b", "new"), "db:5432:a\\:b:ann:new\n");
        let password = Secret::new("two\nlines");
        assert!(merged(b"", &Record { host: "db", port: 1, database: "*", user: "u", password: &password }).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_found(file in "([a-z:*#\\\\\r\n.]|db|ann|5432){0,60}", password in "[^\r\n\0]{1,20}", database in "[a-z:\\\\*]{1,6}") {
            let secret = Secret::new(&*password);
            let record = Record { host: "db", port: 5432, database: &database, user: "ann", password: &secret };
            let once = merged(file.as_bytes(), &record).expect("merged");
            let asked = if database == ANY { "anything" } else { &database };
            let found = super::password(&once, "db", 5432, asked, "ann").expect("found");
            prop_assert_eq!(found.expose(), &*password);
            prop_assert_eq!(&*merged(&once, &record).expect("merged"), &*once);
            // Every other line is still there, in its order.
            let others = |bytes: &[u8]| -> Vec<Vec<u8>> {
                let own = record.line().expect("a line");
                // Whatever a line ends with, libpq takes it off.
                let lines = bytes.split(|byte| *byte == b'\n').map(|line| &line[..line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1)]);
                lines.filter(|line| !line.is_empty() && *line != own.as_bytes()).map(<[u8]>::to_vec).collect()
            };
            let left = others(&once);
            let mut before = others(file.as_bytes()).into_iter();
            prop_assert!(left.iter().all(|line| before.any(|old| old == *line)));
        }
    }
}
