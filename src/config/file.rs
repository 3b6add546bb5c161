//! The profile file as a whole: where it is, which profiles it has, and how one is saved.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use anyhow::Result;
use databricks_hot::LARGE;
use databricks_hot::ini::{self, Listing};

use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::document::{DEFAULT_SECTION, Document, Field, RawField};
use crate::config::lines;
use crate::config::plain::{self, SETTINGS_SECTION};
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files::{self, Opened, Updated};
use crate::text;

/// Where everybody looks for the profile file, below the home folder.
const FILE_NAME: &str = ".databrickscfg";
/// Largest file that is read: tens of thousands of profiles.
const SIZE_LIMIT: u64 = 16 << 20;
/// The key in `[__settings__]` that names the profile to use when nobody names one.
const DEFAULT_PROFILE_KEY: &str = "default_profile";
/// What makes a section a profile; the first is listed.
const LISTED: [&str; 2] = ["host", "account_id"];
/// The key in `[__settings__]` that names the program for commands that we do not have.
const FALLBACK_CLI_KEY: &str = "fallback_cli";

/// The key in `[__settings__]` that names the token store.
const AUTH_STORAGE_KEY: &str = "auth_storage";

/// The profile file of this run, read only if somebody asks, and only once if it is not a large one.
#[derive(Debug)]
pub(crate) struct ProfileFile {
    path: Option<PathBuf>,
    document: OnceCell<Option<Document>>,
    /// Of a large file: of the settings and a profile, and of the profile that the settings name.
    excerpts: [OnceCell<Excerpt>; 2],
}

/// Some sections of a file.
#[derive(Debug)]
struct Excerpt {
    names: Vec<String>,
    document: Document,
}

/// A section with a host or an account: what pickers and lists show. Values are decoded when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Profile<'a> {
    pub(crate) name: &'a str,
    document: &'a Document,
    fields: Vec<RawField>,
}

impl Excerpt {
    fn new(names: &[&str], excerpt: ini::Excerpt) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), document: Document::of_excerpt(excerpt) }
    }
}

impl<'a> Profile<'a> {
    /// The value of an attribute in this section; empty counts as absent.
    pub(crate) fn get(&self, attr: Attr) -> Option<Cow<'a, str>> {
        let field = self.fields.iter().rfind(|field| self.document.is_key(field, attr.name()))?;
        Some(self.document.value(field)).filter(|value| !value.is_empty())
    }

    fn has(&self, attr: Attr) -> bool {
        self.fields.iter().any(|field| self.document.is_key(field, attr.name()) && self.document.has_value(field))
    }

    /// All fields, decoded.
    pub(crate) fn fields(&self) -> Vec<Field<'a>> {
        self.fields.iter().filter_map(|field| self.document.field(field)).collect()
    }
}

impl ProfileFile {
    /// Says where the file is (`DATABRICKS_CONFIG_FILE`, with `~` for the home folder, or `~/.databrickscfg`) and reads nothing yet.
    pub(crate) fn locate(env: &Env) -> Self {
        let path = match env.path(env::CONFIG_FILE) {
            Some(path) => match (path.strip_prefix("~"), env.home()) {
                (Ok(rest), Some(home)) => Some(home.join(rest)),
                _ => Some(path),
            },
            None => env.home().map(|home| home.join(FILE_NAME)),
        };
        Self { path, ..Self::nowhere() }
    }

    /// The file at this place.
    #[cfg(unix)]
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path: Some(path), ..Self::nowhere() }
    }

    /// No file at all: for settings that are already complete.
    pub(crate) fn nowhere() -> Self {
        Self { path: None, document: OnceCell::new(), excerpts: [const { OnceCell::new() }; 2] }
    }

    /// # Errors
    /// If there is neither a home folder nor `DATABRICKS_CONFIG_FILE`.
    pub(crate) fn path(&self) -> Result<&Path> {
        self.path.as_deref().ok_or_else(|| {
            Failure::new(format!("there is no place for profiles: {} is not set", env::HOME))
                .hint(format!("Set {} to the file that holds them", env::CONFIG_FILE))
                .into()
        })
    }

    /// The contents; `None` if there is no file, or no place where one could be.
    ///
    /// # Errors
    /// If there is something under that name which cannot be read or is no text. A line that makes no sense is no error here, see [`ProfileFile::bad_line`].
    pub(crate) fn document(&self) -> Result<Option<&Document>> {
        if let Some(document) = self.document.get() {
            return Ok(document.as_ref());
        }
        match self.open()? {
            Some(file) => self.keep(file),
            None => Ok(self.document.get_or_init(|| None).as_ref()),
        }
    }

    /// `None` if there is no file, or no place where one could be.
    fn open(&self) -> Result<Option<Opened>> {
        match &self.path {
            // Compat: every reader finds it empty, and jobs name it to say that there are no profiles.
            Some(path) if path == Path::new("/dev/null") => Ok(None),
            Some(path) => Ok(files::open(path, SIZE_LIMIT)?),
            None => Ok(None),
        }
    }

    /// Reads the whole file.
    fn keep(&self, file: Opened) -> Result<Option<&Document>> {
        let document = understood(self.path()?, file.bytes()?)?;
        Ok(self.document.get_or_init(|| Some(document)).as_ref())
    }

    /// The contents, as far as they are about a section: of a large file, no more is kept.
    ///
    /// # Errors
    /// As [`ProfileFile::document`].
    fn about(&self, section: &str) -> Result<Option<&Document>> {
        if let Some(document) = self.document.get() {
            return Ok(document.as_ref());
        }
        let mut excerpts = self.excerpts.iter();
        let free = loop {
            match excerpts.next().map(|place| (place, place.get())) {
                Some((_, Some(excerpt))) if excerpt.names.iter().any(|name| name == section) => return Ok(Some(&excerpt.document)),
                Some((_, Some(_))) => {}
                Some((free, None)) => break free,
                None => return self.document(),
            }
        };
        let Some(mut file) = self.open()? else { return Ok(self.document.get_or_init(|| None).as_ref()) };
        if file.size() <= LARGE {
            return self.keep(file);
        }
        let names = [SETTINGS_SECTION, DEFAULT_SECTION, section];
        let size = file.size();
        match ini::Excerpt::read(file.reader(), size, &names) {
            Ok(Some(excerpt)) if !file.is_cut() => Ok(Some(&free.get_or_init(|| Excerpt::new(&names, excerpt)).document)),
            _ => self.document(),
        }
    }

    /// Whether there is a file.
    ///
    /// # Errors
    /// As [`ProfileFile::document`].
    pub(crate) fn exists(&self) -> Result<bool> {
        Ok(self.about(SETTINGS_SECTION)?.is_some())
    }

    /// What a reader should be told about the first line that cannot be read, if there is one. The line itself is not quoted: it may hold a secret.
    pub(crate) fn bad_line(&self) -> Option<String> {
        let read = self.document.get().and_then(Option::as_ref).or_else(|| Some(&self.excerpts[0].get()?.document));
        let bad = read?.first_bad_line()?;
        Some(format!("{}:{}: {}", self.path.as_deref()?.display(), bad.line, lines::words(bad.fault)))
    }

    /// The fields of one section; `None` if the file or the section is missing.
    pub(crate) fn section(&self, name: &str) -> Result<Option<Vec<Field<'_>>>> {
        Ok(self.about(name)?.and_then(|document| document.section(name)))
    }

    /// The profile that `[__settings__]` names as default.
    pub(crate) fn default_profile(&self) -> Result<Option<Cow<'_, str>>> {
        let name = self.about(SETTINGS_SECTION)?.and_then(|document| document.get(SETTINGS_SECTION, DEFAULT_PROFILE_KEY));
        Ok(name.filter(|name| !name.is_empty()))
    }

    /// The program that `[__settings__]` names for commands that we do not have.
    pub(crate) fn fallback_cli(&self) -> Result<Option<Cow<'_, str>>> {
        let path = self.about(SETTINGS_SECTION)?.and_then(|document| document.get(SETTINGS_SECTION, FALLBACK_CLI_KEY));
        Ok(path.filter(|path| !path.is_empty()))
    }

    /// The token store that `[__settings__]` names.
    pub(crate) fn auth_storage(&self) -> Result<Option<Cow<'_, str>>> {
        let mode = self.about(SETTINGS_SECTION)?.and_then(|document| document.get(SETTINGS_SECTION, AUTH_STORAGE_KEY));
        Ok(mode.filter(|mode| !mode.is_empty()))
    }

    /// Every profile in file order: the sections with a host or an account.
    pub(crate) fn profiles(&self) -> Result<Vec<Profile<'_>>> {
        let Some(document) = self.document()? else { return Ok(Vec::new()) };
        let mut profiles: Vec<Profile<'_>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (name, fields) in document.stretches().filter(|(name, _)| *name != SETTINGS_SECTION) {
            match places.entry(name) {
                Entry::Occupied(place) => {
                    let profile: &mut Profile<'_> = &mut profiles[*place.get()];
                    profile.fields.extend(fields);
                }
                Entry::Vacant(place) => {
                    place.insert(profiles.len());
                    profiles.push(Profile { name, document, fields });
                }
            }
        }
        profiles.retain(|profile| profile.has(Attr::Host) || profile.has(Attr::AccountId));
        Ok(profiles)
    }

    /// The name of every profile, with its host, which is empty if it has only an account, in file order: [`ProfileFile::profiles`] at a glance.
    ///
    /// # Errors
    /// As [`ProfileFile::document`].
    pub(crate) fn listing(&self) -> Result<Listing> {
        if let Some(listing) = self.glance()? {
            return Ok(listing);
        }
        let mut listing = Listing::default();
        for profile in self.profiles()? {
            listing.push(profile.name, &profile.get(Attr::Host).unwrap_or_default());
        }
        Ok(listing)
    }

    /// The listing of a file that is plain enough; what else whoever lists a large one asks for is kept.
    fn glance(&self) -> Result<Option<Listing>> {
        let document = match self.document.get() {
            Some(document) => document.as_ref(),
            None => match self.open()? {
                None => None,
                Some(file) if file.size() <= LARGE => self.keep(file)?,
                Some(mut file) => {
                    let size = file.size();
                    let names = [SETTINGS_SECTION, DEFAULT_SECTION];
                    let both = ini::read_both(file.reader(), size, &names, DEFAULT_SECTION, LISTED).ok().flatten();
                    let Some((excerpt, listing)) = both.filter(|_| !file.is_cut()) else { return Ok(None) };
                    let _kept = self.excerpts[0].get_or_init(|| Excerpt::new(&names, excerpt));
                    return Ok(Some(listing));
                }
            },
        };
        Ok(document.map_or_else(|| Some(Listing::default()), |document| document.listing(LISTED)))
    }

    /// As [`ProfileFile::listing`], of a large file a part at a time: a name that is written twice may come twice there.
    ///
    /// # Errors
    /// As [`ProfileFile::document`].
    pub(crate) fn listing_in_parts(&self, mut each: impl FnMut(&Listing)) -> Result<()> {
        if self.document.get().is_none()
            && let Some(mut file) = self.open()?
        {
            let size = file.size();
            if size <= LARGE {
                self.keep(file)?;
            } else if let Ok(Some(())) = Listing::in_parts(file.reader(), size, DEFAULT_SECTION, LISTED, &mut each)
                && !file.is_cut()
            {
                return Ok(());
            }
        }
        each(&self.listing()?);
        Ok(())
    }

    /// Writes attributes into a profile and removes others from it; keeps every other byte of the file. The first profile of a file becomes the default profile.
    ///
    /// # Errors
    /// If name or values are none that all readers would give back, or the file cannot be read, understood, locked or written: then it is left as it is.
    pub(crate) fn save(&self, name: &str, set: &[(Attr, &str)], remove: &[&str]) -> Result<Updated> {
        plain::check_profile_name(name)?;
        for (attr, value) in set {
            plain::check_value(attr.name(), value)?;
        }
        self.edit(|document| {
            let first = !document.has_elsewhere(SETTINGS_SECTION, Attr::Host.name());
            for key in remove {
                document.remove(name, key);
            }
            let fields: Vec<_> = set.iter().map(|(attr, value)| (attr.name(), *value)).collect();
            document.set(name, &fields);
            if first && document.get(SETTINGS_SECTION, DEFAULT_PROFILE_KEY).is_none() {
                document.set(SETTINGS_SECTION, &[(DEFAULT_PROFILE_KEY, name)]);
            }
            Ok(())
        })
    }

    /// Writes several profiles at once, and which one counts where nobody names one, into a file that goes with the process that writes it.
    ///
    /// # Errors
    /// As [`ProfileFile::save`].
    #[cfg(unix)]
    pub(crate) fn save_fleeting(&self, profiles: &[(&str, Vec<(Attr, &str)>)], default: &str) -> Result<()> {
        for (attr, value) in profiles.iter().flat_map(|(_, fields)| fields) {
            plain::check_value(attr.name(), value)?;
        }
        self.edit_with(files::Care::Fleeting, |document| {
            for (name, fields) in profiles {
                let fields: Vec<_> = fields.iter().map(|(attr, value)| (attr.name(), *value)).collect();
                document.set(name, &fields);
            }
            if document.get(SETTINGS_SECTION, DEFAULT_PROFILE_KEY).is_none() {
                document.set(SETTINGS_SECTION, &[(DEFAULT_PROFILE_KEY, default)]);
            }
            Ok(())
        })
        .map(drop)
    }

    /// Makes a profile the one that is used when nobody names one.
    pub(crate) fn set_default_profile(&self, name: &str) -> Result<Updated> {
        plain::check_value(DEFAULT_PROFILE_KEY, name)?;
        self.edit(|document| {
            document.set(SETTINGS_SECTION, &[(DEFAULT_PROFILE_KEY, name)]);
            Ok(())
        })
    }

    /// Removes a profile; if it is the default profile, there is none afterwards.
    ///
    /// # Errors
    /// As [`ProfileFile::save`].
    pub(crate) fn delete(&self, name: &str) -> Result<Updated> {
        self.edit(|document| {
            document.remove_section(name);
            if document.get(SETTINGS_SECTION, DEFAULT_PROFILE_KEY).as_deref() == Some(name) {
                document.remove(SETTINGS_SECTION, DEFAULT_PROFILE_KEY);
            }
            Ok(())
        })
    }

    /// Names the token store for all commands that come.
    ///
    /// # Errors
    /// As [`ProfileFile::save`].
    pub(crate) fn set_auth_storage(&self, mode: &str) -> Result<Updated> {
        self.edit(|document| {
            document.set(SETTINGS_SECTION, &[(AUTH_STORAGE_KEY, mode)]);
            Ok(())
        })
    }

    fn edit(&self, change: impl Fn(&mut Document) -> Result<()>) -> Result<Updated> {
        self.edit_with(files::Care::Secret, change)
    }

    fn edit_with(&self, care: files::Care, change: impl Fn(&mut Document) -> Result<()>) -> Result<Updated> {
        let path = self.path()?;
        files::update_with(path, SIZE_LIMIT, care, |before| {
            let mut document = understood(path, before.unwrap_or_default().to_vec())?;
            if let Some(bad) = document.first_bad_line() {
                let place = format!("{}:{}", path.display(), bad.line);
                return Err(Failure::new(format!("parse {place}: {}", lines::words(bad.fault)))
                    .hint(format!("Nothing was written. Correct or remove line {}, then try again", bad.line))
                    .into());
            }
            change(&mut document)?;
            Ok(Some(document.into_bytes()))
        })
    }
}

fn understood(path: &Path, bytes: Vec<u8>) -> Result<Document> {
    let document = Document::new(bytes);
    if document.is_binary() {
        return Err(Failure::new(format!("cannot read {}: it is not a text file", path.display()))
            .hint(format!("Move it away, or set {} to your profile file", env::CONFIG_FILE))
            .into());
    }
    Ok(document)
}

/// The attribute that a key of the file sets.
pub(crate) fn attribute_of(key: &str) -> Option<Attr> {
    ATTRIBUTES.iter().find(|row| row.name.eq_ignore_ascii_case(key) || row.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(key))).map(|row| row.attr)
}

/// Says that a profile is missing, with the profiles there are.
pub(crate) fn hint_of_profiles(file: &ProfileFile, wanted: &str) -> Option<String> {
    let profiles = file.profiles().ok()?;
    let names: Vec<&str> = profiles.iter().map(|profile| profile.name).collect();
    if let Some(close) = text::closest(wanted, names.iter().copied()) {
        return Some(format!("Did you mean: --profile {}", text::one_line(close)));
    }
    let shown: Vec<_> = names.iter().take(8).map(|name| text::one_line(name)).collect();
    let more = if names.len() > shown.len() {
        format!(" and {} more (see: databricks auth profiles --skip-validate)", names.len() - shown.len())
    } else {
        String::new()
    };
    (!shown.is_empty()).then(|| format!("Profiles in this file: {}{more}", shown.join(", ")))
}

/// The name of the fallback profile.
pub(crate) const DEFAULT_PROFILE: &str = DEFAULT_SECTION;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: Vec<u8>) -> ProfileFile {
        ProfileFile { document: OnceCell::from(Some(Document::new(bytes))), ..ProfileFile::nowhere() }
    }

    #[test]
    fn a_usual_file_is_read_at_a_glance() {
        let usual = "; mine\r\n[a b]\r\nHost = https://h.example\r\ntoken: d'x#1\r\n\r\n[b]\nhost=i.example\naccount_id = 1\n[c]\nauth_type = pat\n[__settings__]\ndefault_profile = b\n";
        for piece in [1, 30, 1_000] {
            let listing = Listing::read(&mut usual.as_bytes(), piece, DEFAULT_SECTION, LISTED).expect("a text").expect("plain");
            assert_eq!(listing.lines(20), Some("a b\thttps://h.example\nb\ti.example\n"));
            assert_eq!(listing.lines(10), None);
            let excerpt = ini::Excerpt::read(&mut usual.as_bytes(), piece, &["c", SETTINGS_SECTION]).expect("a text").expect("plain");
            assert_eq!(excerpt.bytes, b"; mine\r\n[c]\nauth_type = pat\n[__settings__]\ndefault_profile = b\n");
        }
    }

    /// A file that is read in pieces, with something at its end that no look sees through.
    #[cfg(unix)]
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a file of the test's own")]
    fn a_large_file_tells_the_same_in_parts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        let sections: String = (0..3_000).map(|number| format!("[p{number}]\nhost = https://h{number}.example\ntoken = t{number}\n\n")).collect();
        assert!(sections.len() > LARGE);
        for (end, default, last) in [
            ("[__settings__]\ndefault_profile = p7\n", Some("p7"), "t2999"),
            ("[p2999]\ntoken = `one\ntwo`\n", None, "one\ntwo"),
            ("[p1]\nhost = \n host = x\n", None, "t2999"),
        ] {
            std::fs::write(&path, sections.clone() + end).expect("written");
            let file = ProfileFile::at(path.clone());
            assert_eq!(file.default_profile().expect("readable").as_deref(), default);
            let token = |name: &str| Some(file.section(name).expect("readable")?.into_iter().rfind(|field| field.key == "token")?.value.into_owned());
            assert_eq!((token("p5").as_deref(), token("p2999").as_deref(), token("p3000")), (Some("t5"), Some(last), None));
            let whole = ProfileFile::at(path.clone());
            let names: Vec<_> = whole.profiles().expect("readable").into_iter().map(|profile| profile.name).collect();
            assert_eq!(names.len(), 3_000);
            let file = ProfileFile::at(path.clone());
            assert!(file.listing().expect("readable").iter().map(|(name, _)| name).eq(names.iter().copied()));
            let mut parts = std::collections::HashSet::new();
            ProfileFile::at(path.clone()).listing_in_parts(|part| parts.extend(part.iter().map(|(name, _)| name.to_owned()))).expect("readable");
            assert_eq!(parts.len(), 3_000);
        }
    }

    proptest! {
        /// The quick look sees what the whole reading sees.
        #[test]
        fn profiles_are_seen_as_they_are_read(lines in proptest::collection::vec(
            prop::sample::select(vec![
                "[a]", "[ b ]", "[c]", "[__settings__]", "[open", "[d]x]", "host = h.example", "HOST: i.example ; note", "host=", "hosts = x", "token = t#x", " indented", "\t", "",
                "# c", "nothing", "= x", "host = 'q'", "host = `open", "host = a\\", "account_id = 1", "host = \u{e9} # x", "host = x\r", "\r",
                "default_profile = a", "\u{b}host = x", "host\u{b}= x\u{b}", "\u{a0}host = x", "\u{c}", "[\u{a0}n]", "\u{1}host = x",
                "host\u{1} = x", "\"host\" = x",
            ]),
            0..12,
        ), mark in any::<bool>(), piece in 0..200_usize) {
            let text = format!("{}{}", if mark { "\u{feff}" } else { "" }, lines.join("\n"));
            let file = of(text.clone().into_bytes());
            let whole: Vec<_> = file.profiles().expect("profiles").into_iter().map(|profile| (profile.name, profile.get(Attr::Host).unwrap_or_default())).collect();
            let listing = file.listing().expect("profiles");
            let quick: Vec<_> = listing.iter().map(|(name, host)| (name, Cow::Borrowed(host))).collect();
            prop_assert_eq!(&quick, &whole);
            // In pieces of any size.
            if let Some(listing) = Listing::read(&mut text.as_bytes(), piece, DEFAULT_SECTION, LISTED).expect("a text") {
                let mut parts = Vec::new();
                let read = Listing::in_parts(&mut text.as_bytes(), piece, DEFAULT_SECTION, LISTED, &mut |part| {
                    parts.extend(part.iter().map(|(name, host)| (name.to_owned(), host.to_owned())));
                });
                prop_assert!(matches!(read, Ok(Some(()))));
                prop_assert_eq!(parts, listing.iter().map(|(name, host)| (name.to_owned(), host.to_owned())).collect::<Vec<_>>());
                prop_assert_eq!(listing.iter().map(|(name, host)| (name, Cow::Borrowed(host))).collect::<Vec<_>>(), whole);
                let lines = listing.iter().map(|(name, host)| format!("{name}\t{host}\n")).collect::<String>();
                prop_assert!(listing.lines(usize::MAX).is_none_or(|whole| whole == lines));
            }
        }

        /// What is kept of a large file tells the same of the sections that are asked for as the file does, and of its first fault.
        #[test]
        fn an_excerpt_says_what_the_file_says(lines in proptest::collection::vec(
            prop::sample::select(vec![
                "[a]", "[ b ]", "[c]", "[__settings__]", "[open", "[d]x]", "host = h", "token: t ; note", "k", "= x", " k = 2", " more", "\t", "", "# c", "; c", "k = \"q\"", "k = a\\",
                "k = `", "\u{e9} = 1", "k = \u{e9}", "default_profile = a", "k = x\r",
            ]),
            0..14,
        ), piece in 0..200_usize, end in any::<bool>()) {
            let text = lines.join("\n") + if end { "\n" } else { "" };
            let whole = Document::new(text.clone().into_bytes());
            for wanted in [[DEFAULT_SECTION, "a"], ["a", "c"], [SETTINGS_SECTION, "d]x"], [" b ", "nope"]] {
                let Some(excerpt) = ini::Excerpt::read(&mut text.as_bytes(), piece, &wanted).expect("a text") else { continue };
                let excerpt = Document::of_excerpt(excerpt);
                prop_assert_eq!(excerpt.first_bad_line(), whole.first_bad_line());
                for name in wanted {
                    prop_assert_eq!(excerpt.section(name), whole.section(name), "{} of {}", name, text);
                }
            }
        }
    }
}
