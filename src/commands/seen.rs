//! Names that commands saw: ids and names of clusters, tokens and the like, kept for the Tab key, which asks nobody.
//!
//! One small file per workspace in the cache folder, for the user alone, with the newest [`MOST`] names of each kind and never a secret. It can be lost at any time;
//! a write that fails, or that would have to wait, is left out.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::commands::endpoint::Given;
use crate::env::Env;
use crate::files::{self, Care};
use crate::host::Host;
use crate::rest::{self, Endpoint, Field, Input, Item, Picker, text_of};
use crate::text;

/// Names kept of each kind.
const MOST: usize = 1_000;
/// Longest id that is kept, and longest title, in characters.
const LONGEST: usize = 200;
/// More than the file can hold.
const SIZE_LIMIT: u64 = 16 << 20;
/// Longest part of a host in a file name, which must leave room for the temporary file's.
const LONGEST_FILE_NAME: usize = 200;

/// The kind of name that an argument takes; `None` if it takes no name that commands see.
pub(crate) fn kind(field: &Field) -> Option<&'static str> {
    match &field.input {
        Input::Argument(picker) | Input::Each(picker) => Some(picker.from.path),
        Input::Arguments => Some(field.name),
        _ => None,
    }
}

/// The names of a list while it is read.
#[derive(Debug)]
pub(crate) struct Sighting {
    picker: &'static Picker,
    /// As they are written in the file.
    lines: String,
    count: usize,
}

impl Sighting {
    /// For a list that some argument is picked from; other names nobody types.
    pub(crate) fn of(list: &'static Endpoint) -> Option<Self> {
        let fields = rest::GROUPS.iter().flat_map(|group| group.endpoints).flat_map(|endpoint| endpoint.fields);
        let mut pickers = fields.filter_map(|field| if let Input::Argument(picker) | Input::Each(picker) = &field.input { Some(picker) } else { None });
        Some(Self { picker: pickers.find(|picker| std::ptr::eq(picker.from, list))?, lines: String::new(), count: 0 })
    }

    /// Whether there is room for more.
    pub(crate) fn wants_more(&self) -> bool {
        self.count < MOST
    }

    pub(crate) fn see(&mut self, item: &Item<'_>) {
        if !self.wants_more() {
            return;
        }
        let id = text_of(item, self.picker.id);
        if is_fit(&id) {
            write(&mut self.lines, self.picker.from.path, &id, &text_of(item, self.picker.title));
            self.count += 1;
        }
    }

    fn kind(&self) -> &'static str {
        self.picker.from.path
    }

    /// Keeps the names. `whole` says that the list had no others: then what is not in it is gone.
    pub(crate) fn keep(self, env: &Env, host: &Host, whole: bool) {
        if let Some(cache) = Cache::of(env) {
            // Most lists are as they were the last time: then nothing is taken apart, locked or written.
            if whole && cache.holds(host, self.kind(), &self.lines) {
                return;
            }
            let new: Names = parsed(&self.lines).map(|(_, id, title)| (id.to_owned(), title.to_owned())).collect();
            let known = |old: &Names| if whole { Vec::new() } else { old.clone() };
            cache.change(host, self.kind(), |old| merged(&new, &known(old)));
        }
    }
}

/// Keeps the names that a call which succeeded was given, or drops them if the call deleted what they named.
pub(crate) fn learn(env: &Env, host: &Host, endpoint: &Endpoint, given: &[Given<'_>]) {
    let taken = |field: &Field| given.iter().rfind(|(own, _)| own.name == field.name).map(|(_, value)| words(value));
    for (kind, words) in endpoint.fields.iter().filter_map(|field| Some((kind(field)?, taken(field)?))) {
        let Some(cache) = Cache::of(env) else { return };
        cache.change(host, kind, |old| {
            if endpoint.removes() {
                return old.iter().filter(|(id, _)| !words.contains(id)).cloned().collect();
            }
            let new: Names = words.iter().filter(|word| !old.iter().any(|(id, _)| id == *word)).map(|word| (word.clone(), String::new())).collect();
            merged(&new, old)
        });
    }
}

/// The text or texts of a JSON value.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).or_else(|_| serde_json::from_str(json).map(|one| vec![one])).unwrap_or_default()
}

/// Ids with their titles.
type Names = Vec<(String, String)>;

fn merged(new: &Names, old: &Names) -> Names {
    let mut seen = std::collections::HashSet::new();
    new.iter().chain(old).filter(|(id, _)| is_fit(id) && seen.insert(id.as_str())).take(MOST).cloned().collect()
}

/// Whether an id is one that people type.
fn is_fit(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST && text::is_safe(id)
}

/// Adds the line of a name, whose id is fit.
fn write(lines: &mut String, kind: &str, id: &str, title: &str) {
    let title: Cow<'_, str> = if title.len() <= LONGEST && text::is_safe(title) {
        title.into()
    } else {
        title.chars().take(LONGEST).map(|c| if text::is_unsafe(c) { ' ' } else { c }).collect()
    };
    for part in [kind, "\t", id, "\t", &title, "\n"] {
        lines.push_str(part);
    }
}

/// The folder that holds what was seen.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `None` where it is turned off, or there is no place for it.
    pub(crate) fn of(env: &Env) -> Option<Self> {
        Some(Self { folder: env.cache_folder()?.join("names") })
    }

    fn path(&self, host: &Host) -> PathBuf {
        let origin = host.as_str();
        let plain = origin.split_once("://").map_or(origin, |(_, plain)| plain);
        let name = plain.chars().take(LONGEST_FILE_NAME).map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' });
        self.folder.join(name.collect::<String>())
    }

    /// The names of one kind that were seen at a workspace, newest first.
    pub(crate) fn names(&self, host: &Host, kind: &str) -> Names {
        let bytes = files::read(&self.path(host), SIZE_LIMIT).ok().flatten().unwrap_or_default();
        parsed(lines(&bytes, host)).filter(|(own, ..)| *own == kind).map(|(_, id, title)| (id.to_owned(), title.to_owned())).collect()
    }

    /// Whether the names of a kind that are kept are the ones of these lines.
    fn holds(&self, host: &Host, kind: &str, names: &str) -> bool {
        let bytes = files::read(&self.path(host), SIZE_LIMIT).ok().flatten().unwrap_or_default();
        let is_of_kind = |rest: &str| rest.strip_prefix(kind).is_some_and(|rest| rest.starts_with('\t'));
        let mut rest = lines(&bytes, host);
        while !is_of_kind(rest) {
            match cut(rest, b'\n') {
                Some((_, next)) => rest = next,
                None => return names.is_empty(),
            }
        }
        // Those of one kind stand together.
        rest.strip_prefix(names).is_some_and(|rest| !names.is_empty() && !is_of_kind(rest))
    }

    fn change(&self, host: &Host, kind: &str, change: impl Fn(&Names) -> Names) {
        if files::make_folder(&self.folder).is_err() {
            return;
        }
        let outcome = files::update_with(&self.path(host), SIZE_LIMIT, Care::Cache, |before| {
            let before = before.unwrap_or_default();
            let (own, others): (Vec<_>, Vec<_>) = parsed(lines(before, host)).partition(|(present, ..)| *present == kind);
            let old: Names = own.into_iter().map(|(_, id, title)| (id.to_owned(), title.to_owned())).collect();
            let mut after = format!("{host}\n");
            let new = change(&old);
            for (kind, id, title) in others.into_iter().chain(new.iter().map(|(id, title)| (kind, id.as_str(), title.as_str()))) {
                write(&mut after, kind, id, title);
            }
            Ok(Some(after.into_bytes()).filter(|after| after != before))
        });
        // Nobody asked for it: the command has done its work, and says nothing of this.
        drop(outcome);
    }
}

/// The lines `kind<TAB>id<TAB>title` below the line that names the host; of a file of another host none.
fn lines<'f>(bytes: &'f [u8], host: &Host) -> &'f str {
    match std::str::from_utf8(bytes).ok().and_then(|text| cut(text, b'\n')) {
        Some((first, lines)) if first == host.as_str() => lines,
        _ => "",
    }
}

/// What stands before and behind the first of a byte.
fn cut(text: &str, end: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(end, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// The kind, the id and the title of each line.
fn parsed(mut lines: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    std::iter::from_fn(move || {
        let (line, rest) = cut(lines, b'\n')?;
        lines = rest;
        Some(line)
    })
    .filter_map(|line| {
        let (kind, rest) = cut(line, b'\t')?;
        let (id, title) = cut(rest, b'\t')?;
        Some((kind, id, title))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env;

    fn names(list: &[(&str, &str)]) -> Names {
        list.iter().map(|(id, title)| ((*id).to_owned(), (*title).to_owned())).collect()
    }

    fn setting() -> (tempfile::TempDir, Cache, Host) {
        let folder = tempfile::tempdir().expect("a folder");
        let env = Env::default().with(env::CACHE_DIR, folder.path().to_str().expect("text"));
        let cache = Cache::of(&env).expect("a cache");
        (folder, cache, Host::parse("https://h.example:8443").expect("a host"))
    }

    #[test]
    fn names_come_back_newest_first_and_only_for_their_host_and_kind() {
        let (_folder, cache, host) = setting();
        cache.change(&host, "clusters", |_| names(&[("1", "one"), ("2", "two\twith\ntabs")]));
        cache.change(&host, "tokens", |_| names(&[("t", "")]));
        cache.change(&host, "clusters", |old| merged(&names(&[("3", ""), ("1", "renamed"), ("bad\nid", "x"), ("", "y")]), old));
        assert_eq!(cache.names(&host, "clusters"), names(&[("3", ""), ("1", "renamed"), ("2", "two with tabs")]));
        assert_eq!(cache.names(&host, "tokens"), names(&[("t", "")]));
        assert_eq!(cache.names(&Host::parse("https://other.example").expect("a host"), "tokens"), names(&[]));
        // Two hosts that share a file name do not share names.
        let twin = Host::parse("http://127.0.0.1:80").expect("a host");
        std::fs::copy(cache.path(&host), cache.path(&twin)).expect("a copy");
        assert_eq!(cache.names(&twin, "tokens"), names(&[]));
        assert!(cache.holds(&twin, "tokens", "") && !cache.holds(&twin, "tokens", "tokens\tt\t\n"));
    }

    #[test]
    fn a_kind_holds_its_lines_and_no_others() {
        let (_folder, cache, host) = setting();
        for (kind, list) in [("a", [("1", "one"), ("2", "two")].as_slice()), ("ab", &[("3", "")]), ("c", &[("4", "")])] {
            cache.change(&host, kind, |_| names(list));
            assert!(cache.holds(&host, "a", "a\t1\tone\na\t2\ttwo\n"));
        }
        for (kind, lines) in [("ab", "ab\t3\t\n"), ("c", "c\t4\t\n"), ("d", "")] {
            assert!(cache.holds(&host, kind, lines), "{lines:?}");
        }
        for (kind, lines) in [("a", "a\t1\tone\n"), ("a", "a\t1\tone\na\t2\ttwo\na\t3\t\n"), ("a", ""), ("ab", ""), ("d", "d\t1\t\n")] {
            assert!(!cache.holds(&host, kind, lines), "{lines:?}");
        }
    }

    #[test]
    fn the_file_is_bounded() {
        let (_folder, cache, host) = setting();
        let many: Names = (0..5_000).map(|number| (format!("id-{number}"), "ü".repeat(10_000))).collect();
        cache.change(&host, "clusters", |old| merged(&many, old));
        cache.change(&host, "clusters", |old| merged(&names(&[("new", "")]), old));
        let kept = cache.names(&host, "clusters");
        assert_eq!((kept.len(), kept[0].0.as_str(), kept[999].0.as_str()), (MOST, "new", "id-998"));
        assert!(std::fs::metadata(cache.path(&host)).expect("a file").len() < 500_000);
    }

    #[test]
    fn it_can_be_turned_off_and_moved() {
        let of = |pairs: &[(&str, &str)]| {
            let env = pairs.iter().fold(Env::default(), |env, (name, value)| env.with(name, value));
            Cache::of(&env).map(|cache| cache.folder.display().to_string())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(env::HOME, "/h")]).as_deref(), Some("/h/.cache/databricks/names"));
        assert_eq!(of(&[(env::HOME, "/h"), (env::XDG_CACHE_HOME, "/c")]).as_deref(), Some("/c/databricks/names"));
        assert_eq!(of(&[(env::HOME, "/h"), (env::XDG_CACHE_HOME, "relative")]).as_deref(), Some("/h/.cache/databricks/names"));
        assert_eq!(of(&[(env::HOME, "/h"), (env::CACHE_DIR, "/d")]).as_deref(), Some("/d/names"));
        for word in ["false", "0", "No", "OFF"] {
            assert_eq!(of(&[(env::HOME, "/h"), (env::CACHE_ENABLED, word)]), None);
        }
    }

    #[test]
    fn what_is_picked_from_a_list_is_worth_keeping() {
        assert!(Sighting::of(&rest::LIST_CLUSTERS).is_some());
        assert!(Sighting::of(&rest::current_user::ME).is_none());
    }
}
