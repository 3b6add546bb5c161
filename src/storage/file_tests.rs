//! What the file store promises: the official format, nothing lost, nothing overwritten that cannot be read.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// What the official CLI wrote in New York.
const OFFICIAL: &str = r#"{
  "version": 1,
  "tokens": {
    "dev": {
      "access_token": "at1",
      "token_type": "Bearer",
      "refresh_token": "rt1",
      "expiry": "2026-11-21T23:19:30.02191483-05:00",
      "expires_in": 3600
    },
    "https://dev.cloud.databricks.com": {
      "access_token": "at1",
      "token_type": "Bearer",
      "refresh_token": "rt1",
      "expiry": "2026-11-21T23:19:30.02191483-05:00",
      "expires_in": 3600
    }
  }
}"#;

struct Home {
    folder: tempfile::TempDir,
    env: Env,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let env = Env::default().with(env::HOME, folder.path().to_str().expect("text")).with(env::TIME_ZONE, "EST5EDT,M3.2.0,M11.1.0");
        Self { folder, env }
    }

    fn with(text: &str) -> Self {
        let home = Self::new();
        files::make_folder(&home.folder.path().join(FOLDER)).expect("mkdir");
        home.put(text.as_bytes());
        home
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(FOLDER).join(FILE_NAME)
    }

    fn put(&self, bytes: &[u8]) {
        files::update(&self.path(), u64::MAX - 1, |_| Ok(Some(bytes.to_vec()))).expect("write");
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("text")
    }

    fn store(&self) -> TokenFile {
        TokenFile::of(&self.env).expect("a store")
    }

    fn lock(&self) -> Lock {
        Lock::acquire(&self.env, "test", Duration::from_secs(10)).expect("a lock")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path().join(FOLDER))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.retain(|name| name != "locks");
        names.sort();
        names
    }
}

fn token(number: u32, expiry: &str) -> StoredToken {
    StoredToken {
        access_token: Secret::new(format!("at{number}")),
        token_type: "Bearer".to_owned(),
        refresh_token: Some(Secret::new(format!("rt{number}"))),
        expiry: Some(expiry.parse().expect("an instant")),
        expires_in: Some(3600),
    }
}

const EARLY: &str = "2026-11-22T04:19:30.02191483Z";
const LATE: &str = "2026-11-22T05:19:30.5Z";

#[test]
fn a_sign_in_looks_as_the_official_one_does() {
    let home = Home::new();
    let store = home.store();
    assert_eq!((store.load("dev").expect("no file"), store.keys().expect("no file").len()), (None, 0));
    assert!(!store.remove(&home.lock(), &["dev"]).expect("no file"));
    assert!(!home.path().exists(), "reading makes no file");
    store.save(&home.lock(), &["https://dev.cloud.databricks.com", "dev"], &token(1, EARLY), None).expect("saved");
    assert_eq!(home.text(), OFFICIAL);
    assert_eq!(store.load("dev").expect("read"), Some(token(1, EARLY)));
    assert_eq!(store.keys().expect("read"), ["dev", "https://dev.cloud.databricks.com"]);
    assert_eq!(store.location(), "~/.databricks/token-cache.json");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    assert_eq!((mode(&home.path()), mode(home.path().parent().expect("a folder"))), (0o600, 0o700));
    assert_eq!(store.notices(), Vec::<String>::new());
    assert!(store.remove(&home.lock(), &["dev", "https://dev.cloud.databricks.com"]).expect("removed"));
    assert_eq!(home.text(), "{\n  \"version\": 1,\n  \"tokens\": {}\n}");
}

#[test]
fn a_refresh_reaches_every_key_that_held_the_spent_token() {
    let home = Home::with(OFFICIAL);
    let other = token(9, EARLY);
    home.store().save(&home.lock(), &["other"], &other, None).expect("another");
    let saved = home.store().save(&home.lock(), &["dev"], &token(2, LATE), Some(&"rt1".into())).expect("saved");
    assert_eq!(saved, Saved::Written);
    for key in ["dev", "https://dev.cloud.databricks.com"] {
        assert_eq!(home.store().load(key).expect("read"), Some(token(2, LATE)), "{key}");
    }
    assert_eq!(home.store().load("other").expect("read"), Some(other));
}

#[test]
fn a_newer_token_is_not_replaced_by_an_older_one() {
    let home = Home::new();
    home.store().save(&home.lock(), &["dev"], &token(3, LATE), None).expect("another process");
    let before = home.text();
    let saved = home.store().save(&home.lock(), &["dev"], &token(2, EARLY), Some(&"rt1".into())).expect("kept");
    assert_eq!((saved, home.text()), (Saved::Newer(Box::new(token(3, LATE))), before));
    // A sign-in is what the user wants now.
    assert_eq!(home.store().save(&home.lock(), &["dev"], &token(2, EARLY), None).expect("saved"), Saved::Written);
    // The refresh of what is there: whatever its life.
    assert_eq!(home.store().save(&home.lock(), &["dev"], &token(4, "2026-01-01T00:00:00.5Z"), Some(&"rt2".into())).expect("saved"), Saved::Written);
}

#[test]
fn what_others_wrote_stays_byte_for_byte() {
    let foreign = "{\"schema\" : {\"a\":[1.0,\"}\"]},\n\"version\":1,\n  \"tokens\": {\n  \"zeta\": {\"access_token\":\"z\", \"x\":1e2},\n \"alpha\" : null, \"b\\u0065ta\":{\"scopes\":[\"a\" ],\"refresh_token\":\"old\"}}, \"tail\":\"\\ud83d\\ude00\" }\n";
    let home = Home::with(foreign);
    home.store().save(&home.lock(), &["beta"], &token(1, EARLY), Some(&"old".into())).expect("saved");
    let expected = format!(
        "{{\n  \"schema\": {{\"a\":[1.0,\"}}\"]}},\n  \"version\": 1,\n  \"tokens\": {{\n    \"alpha\": null,\n    \"b\\u0065ta\": {},\n    \"zeta\": {{\"access_token\":\"z\", \"x\":1e2}}\n  }},\n  \"tail\": \"\\ud83d\\ude00\"\n}}",
        "{\n      \"access_token\": \"at1\",\n      \"token_type\": \"Bearer\",\n      \"refresh_token\": \"rt1\",\n      \"expiry\": \"2026-11-21T23:19:30.02191483-05:00\",\n      \"expires_in\": 3600,\n      \"scopes\": [\"a\" ]\n    }"
    );
    assert_eq!(home.text(), expected);
}

#[test]
fn entries_without_a_token_are_misses() {
    let home = Home::with(r#"{"version":1,"tokens":{"null":null,"empty":{},"text":7}}"#);
    for key in ["null", "empty", "absent"] {
        assert_eq!(home.store().load(key).expect(key), None, "{key}");
    }
    let error = home.store().load("text").expect_err("broken").to_string();
    assert!(error.contains("\"text\"") && error.contains("~/.databricks/token-cache.json"), "{error}");
    for empty in ["", " \n", "null", "{}", r#"{"version":1}"#, r#"{"version":1,"tokens":null}"#] {
        let home = Home::with(empty);
        assert_eq!(home.store().load("dev").expect(empty), None, "{empty}");
        home.store().save(&home.lock(), &["dev"], &token(1, EARLY), None).expect("saved");
        assert_eq!(home.store().load("dev").expect("read"), Some(token(1, EARLY)), "{empty}");
        assert_eq!((home.names(), home.store().notices()), (vec![FILE_NAME.to_owned()], Vec::new()), "nothing to set aside");
    }
}

#[test]
fn another_version_is_left_alone_by_everybody() {
    for (text, version) in
        [(r#"{"version":2,"tokens":{"dev":{"access_token":"a"}}}"#, "2"), (r#"{"tokens":{"dev":{"access_token":"a"}}}"#, "0"), (r#"{"version":"1"}"#, "\"1\"")]
    {
        let home = Home::with(text);
        let (store, lock) = (home.store(), home.lock());
        let outcomes = [
            store.load("dev").map(drop),
            store.keys().map(drop),
            store.save(&lock, &["dev"], &token(1, EARLY), None).map(drop),
            store.remove(&lock, &["dev"]).map(drop),
            store.writable(),
        ];
        for outcome in outcomes {
            let error = outcome.expect_err("another version").to_string();
            assert!(error.starts_with(&format!("open file token cache: load: needs version 1, got version {version}")), "{error}");
        }
        assert_eq!((home.text().as_str(), home.names()), (text, vec![FILE_NAME.to_owned()]));
    }
}

#[test]
fn a_broken_file_is_set_aside_and_what_can_be_read_is_saved() {
    let cut = &OFFICIAL[..OFFICIAL.len() - 40];
    let garbled = OFFICIAL.replacen("\"version\": 1,", "\"version\": 1", 1);
    for (broken, saved) in [(cut, 1), (&*garbled, 2), ("garbage", 0), (r#"{"version":1,"tokens":[]}"#, 0)] {
        let home = Home::with(broken);
        let error = home.store().load("dev").expect_err("broken");
        assert!(error.to_string().starts_with("open file token cache: load: parse: ~/.databricks/token-cache.json"), "{error}");
        assert!(error.downcast_ref::<Failure>().is_some_and(|failure| failure.hints()[0].contains("databricks auth login")));
        assert_eq!(home.text(), broken, "readers change nothing");
        let store = home.store();
        store.save(&home.lock(), &["new"], &token(7, LATE), None).expect("saved");
        let notices = store.notices();
        assert!(notices.len() == 1 && notices[0].contains(".corrupt-1") && notices[0].contains(&saved.to_string()), "{notices:?}");
        assert_eq!(store.load("dev").expect("read"), (saved > 0).then(|| token(1, EARLY)), "{broken}");
        assert_eq!(store.keys().expect("read").len(), saved + 1);
        let copy = home.path().with_file_name("token-cache.json.corrupt-1");
        assert_eq!(fs::read_to_string(&copy).expect("the copy"), broken);
        assert_eq!(fs::metadata(&copy).expect("metadata").permissions().mode() & 0o7777, 0o600);
        // The same damage again needs no second copy, another one does.
        home.put(broken.as_bytes());
        assert!(!home.store().remove(&home.lock(), &["absent"]).expect("removed"));
        assert_eq!(home.names().len(), 2);
        home.put(format!("{broken}?").as_bytes());
        home.store().save(&home.lock(), &["new"], &token(7, LATE), None).expect("saved");
        assert_eq!(home.names().len(), 3);
    }
}

#[test]
fn rescue_takes_complete_entries_only() {
    let rescued = |text: &str| Document::rescue(text.as_bytes()).tokens.into_keys().collect::<Vec<_>>();
    let entry = r#"{"access_token":"a","extra":{"inner":{"access_token":"no"}}}"#;
    assert_eq!(rescued(&format!(r#"{{"tokens":{{"one":{entry},"two":{{"access_token":"#)), ["one"]);
    assert_eq!(rescued(&format!(r#"{{"tokens" : {{"lost":{{"access_token":"x, "one":{entry}"#)), ["one"]);
    assert_eq!(rescued(&format!(r#"{{"other":{{"no":{entry}}},"tokens":{{"a\"b":{entry}}}}}}}"#)), ["a\"b"]);
    assert_eq!(rescued(r#"{"tokens":{"none":{"token_type":"Bearer"},"bad":{"access_token":7},"nor":{"access_token":"a",}}"#), Vec::<String>::new());
    assert_eq!(Document::rescue(b"{\"tokens\":{\"bytes\":{\"access_token\":\"\xff\"}, \"ok\":{\"access_token\":\"a\"}").tokens.len(), 1);
    // Looked through in proportion to its size: minutes otherwise.
    rescued(&r#""k":{"#.repeat(40_000));
}

#[test]
fn a_link_is_followed_and_what_is_too_large_or_no_file_is_refused() {
    let home = Home::with("");
    let elsewhere = home.folder.path().join("elsewhere");
    fs::remove_file(home.path()).expect("rm");
    symlink(&elsewhere, home.path()).expect("link");
    home.store().save(&home.lock(), &["dev"], &token(1, EARLY), None).expect("saved");
    assert!(home.path().is_symlink() && elsewhere.exists());
    let large = fs::OpenOptions::new().write(true).open(&elsewhere).expect("open");
    large.set_len(SIZE_LIMIT + 1).expect("grow");
    for outcome in [home.store().load("dev").map(drop), home.store().save(&home.lock(), &["dev"], &token(2, LATE), None).map(drop), home.store().writable()] {
        let error = outcome.expect_err("too large").to_string();
        assert!(error.contains("larger than 10 MiB") && error.contains("token-cache.json"), "{error}");
    }
    assert_eq!(fs::metadata(&elsewhere).expect("metadata").len(), SIZE_LIMIT + 1);
}

#[test]
fn a_place_that_cannot_be_written_is_known_before_a_request() {
    let home = Home::with(OFFICIAL);
    home.store().writable().expect("writable");
    assert!(Home::new().store().writable().is_ok(), "the folder can be made");
    let folder = home.path().parent().expect("a folder").to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).expect("chmod");
    if !rustix::process::geteuid().is_root() {
        let error = home.store().writable().expect_err("read-only").to_string();
        assert!(error.contains("token-cache.json") && error.contains("ermission denied"), "{error}");
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("chmod");
    let blocked = Home::new();
    drop(fs::OpenOptions::new().write(true).create_new(true).open(blocked.folder.path().join(FOLDER)).expect("a file in the way"));
    assert!(blocked.store().writable().is_err());
    assert!(TokenFile::of(&Env::default()).expect_err("no home").to_string().contains("HOME is not set"));
}

#[test]
fn a_folder_of_ones_own_and_a_loose_mode() {
    let home = Home::new();
    let own = home.folder.path().join("own");
    let env = home.env.clone().with(env::TOKEN_CACHE_DIR, own.to_str().expect("text"));
    let store = TokenFile::of(&env).expect("a store");
    store.save(&home.lock(), &["dev"], &token(1, EARLY), None).expect("saved");
    let path = own.join(FILE_NAME);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    store.save(&home.lock(), &["dev"], &token(2, LATE), None).expect("saved");
    assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o600);
    let notices = store.notices();
    assert!(notices.len() == 1 && notices[0].contains("0644"), "{notices:?}");
    assert_eq!(store.notices().len(), 0);
}

#[test]
fn sixty_four_writers_lose_nothing() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for number in 0..64 {
            let home = &home;
            scope.spawn(move || {
                let key = format!("p{number}");
                let lock = Lock::acquire(&home.env, &key, Duration::from_secs(30)).expect("a lock");
                home.store().save(&lock, &[&key], &token(number, EARLY), None).expect("saved");
            });
        }
    });
    assert_eq!(home.store().keys().expect("read").len(), 64);
    for number in 0..64 {
        assert_eq!(home.store().load(&format!("p{number}")).expect("read"), Some(token(number, EARLY)));
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i16>().prop_map(|number| (f64::from(number) / 8.0).into()),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_readers_find_the_same(values in prop::collection::vec(crate::json::any_nearly_json(), 3), keys in prop::sample::select(vec![("a", "b"), ("b", "a"), ("a", "a"), ("\\u0061", "z")]), shape in 0..5, piece in 0..200_usize) {
        let ((one, two), [first, second, third]) = (keys, [&values[0], &values[1], &values[2]]);
        let text = match shape {
            0 => first.clone(),
            1 => format!("{{\"version\":{first},\"tokens\":{second}}}"),
            2 => format!("{{\"version\":1,\"tokens\":{{\"{one}\":{first}}},\"x\":{second},\"tokens\":{{\"{two}\":{third}}}}} "),
            _ => format!("{{\"version\":1,\"tokens\":{{\"{one}\": {first},\"{two}\":{second} }}}}"),
        };
        let mut found = None;
        if scan(text.as_bytes(), "a", &mut found).is_some() {
            prop_assert_eq!(look_up(text.as_bytes(), "a"), Ok(found));
        }
        let mut found = None;
        if scan_in_pieces(&mut text.as_bytes(), piece, "a", &mut found).is_some() {
            prop_assert_eq!(look_up(text.as_bytes(), "a"), Ok(found.as_ref().map(|entry| std::str::from_utf8(entry).expect("text"))));
        }
    }

    #[test]
    fn a_whole_cache_needs_one_reader(key in "[a-z]{1,8}", value in any::<String>()) {
        let entry = serde_json::json!({ "access_token": value }).to_string();
        let text = format!("{{\"version\": 1, \"tokens\": {{\"-\": null, \"{key}\": {entry}}}, \"more\": []}}");
        let mut found = None;
        prop_assert_eq!((scan(text.as_bytes(), &key, &mut found), found), (Some(()), Some(&*entry)));
        let mut found = None;
        prop_assert_eq!(scan_in_pieces(&mut text.as_bytes(), entry.len() + 32, &key, &mut found), Some(()));
        prop_assert_eq!(found.as_ref().map(|entry| std::str::from_utf8(entry).expect("text")), Some(&*entry));
    }

    #[test]
    fn any_cache_with_unknown_fields_keeps_them(
        top in prop::collection::hash_map("[a-z]{0,6}|.{0,6}", json(), 0..5),
        tokens in prop::collection::hash_map("[a-z]{1,4}|.{1,6}", json(), 0..6),
        own in prop::collection::hash_map("[a-z]{1,4}|.{1,6}", json(), 0..4),
        pretty in any::<bool>(),
    ) {
        let mut whole: serde_json::Map<_, _> = top.into_iter().filter(|(name, _)| name != "version" && name != "tokens").collect();
        let mut entries: serde_json::Map<String, serde_json::Value> = tokens.into_iter().collect();
        let own: serde_json::Map<String, serde_json::Value> = own.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        entries.insert("dev".to_owned(), own.clone().into());
        whole.insert("version".to_owned(), 1.into());
        whole.insert("tokens".to_owned(), entries.clone().into());
        let before = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.expect("json");

        let mut document = Document::parse(before.as_bytes()).expect("a cache");
        let same: serde_json::Value = serde_json::from_str(&document.render()).expect("json");
        prop_assert_eq!(&same, &serde_json::Value::from(whole.clone()));
        let entry = entry::indented(&token(1, EARLY), document.get("dev"), &jiff::tz::TimeZone::UTC);
        document.set("dev", entry);
        let after = document.render();
        let mut expected = whole;
        let ours: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&entry::compact(&token(1, EARLY), None, &jiff::tz::TimeZone::UTC)).expect("json");
        let changed: serde_json::Map<_, _> = own.into_iter().chain(ours).collect();
        expected["tokens"]["dev"] = changed.into();
        let read: serde_json::Value = serde_json::from_str(&after).expect("json");
        prop_assert_eq!(read, serde_json::Value::from(expected));
        let again = Document::parse(after.as_bytes()).expect("a cache").render();
        prop_assert_eq!(again, after.clone());
        let found = find(after.as_bytes(), "dev").expect("a cache").and_then(|entry| entry::parse(entry).expect("an entry"));
        prop_assert_eq!(found, Some(token(1, EARLY)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b':'), Just(b','), Just(b'\\'), any::<u8>()], 0..200)) {
        let _ = Document::parse(&bytes).map(|document| document.render());
        let rescued = Document::rescue(&bytes).render();
        prop_assert!(Document::parse(rescued.as_bytes()).is_ok());
    }
}

#[test]
fn tokens_that_ended_and_can_be_minted_again_do_not_stay() {
    let home = Home::new();
    let store = home.store();
    let minted = |number, end: &str| StoredToken { refresh_token: None, ..token(number, end) };
    let old = "github-oidc id at https://h.example #0123456789ab";
    let young = "github-oidc id at https://h.example #0123456789ac";
    let own = "a profile at https://h.example #3";
    for (key, token) in [(old, minted(1, "2001-01-01T00:00:00Z")), (young, minted(2, "2099-01-01T00:00:00Z")), (own, minted(3, "2001-01-01T00:00:00Z"))] {
        store.save(&home.lock(), &[key], &token, None).expect("saved");
    }
    store.save(&home.lock(), &["dev"], &token(4, "2001-01-01T00:00:00Z"), None).expect("saved");
    assert_eq!(store.keys().expect("read"), [own, "dev", young]);
}
