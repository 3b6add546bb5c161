//! What every store promises, as a test over any of them.

use std::time::Duration;

use super::*;

pub(super) fn token(number: u32, expiry: &str) -> StoredToken {
    StoredToken {
        access_token: Secret::new(format!("at{number}<&>\"\\ä")),
        token_type: "Bearer".to_owned(),
        refresh_token: Some(Secret::new(format!("rt{number}"))),
        expiry: Some(expiry.parse().expect("an instant")),
        expires_in: Some(3600),
    }
}

pub(super) const EARLY: &str = "2026-11-22T04:19:30.02191483Z";
pub(super) const LATE: &str = "2026-11-22T05:19:30.5Z";

/// `store` is empty before and after.
pub(super) fn holds(env: &Env, store: &dyn TokenStore) {
    let lock = Lock::acquire(env, "contract", Duration::from_secs(10)).expect("a lock");
    assert_eq!((store.load("dev").expect("empty"), store.keys().expect("empty")), (None, Vec::new()));
    assert!(!store.remove(&lock, &["dev"]).expect("nothing"), "there was none");
    store.writable().expect("writable");

    let names = ["dev", "a b'c\"ü\\", "https://dev.cloud.databricks.com"];
    for (number, name) in (1..).zip(names) {
        assert_eq!(store.save(&lock, &[name], &token(number, EARLY), None).expect("saved"), Saved::Written);
        assert_eq!(store.load(name).expect("read"), Some(token(number, EARLY)), "{name}");
    }
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(store.keys().expect("keys"), sorted);

    // One refresh; the mirror of the host follows, others do not.
    store.save(&lock, &["dev", names[2]], &token(5, EARLY), None).expect("signed in again");
    assert_eq!(store.save(&lock, &["dev"], &token(6, LATE), Some(&"rt5".into())).expect("refreshed"), Saved::Written);
    assert_eq!(store.load(names[2]).expect("the mirror"), Some(token(6, LATE)));
    assert_eq!(store.load(names[1]).expect("another"), Some(token(2, EARLY)));

    // What another process refreshed meanwhile stays.
    let kept = store.save(&lock, &["dev"], &token(7, EARLY), Some(&"rt5".into())).expect("kept");
    assert_eq!((kept, store.load("dev").expect("read")), (Saved::Newer(Box::new(token(6, LATE))), Some(token(6, LATE))));

    // Without what need not be there.
    let bare = StoredToken { refresh_token: None, expiry: None, expires_in: None, ..token(8, EARLY) };
    store.save(&lock, &["dev"], &bare, None).expect("saved");
    assert_eq!(store.load("dev").expect("read"), Some(bare));

    assert!(store.remove(&lock, &names).expect("removed"));
    assert!(!store.remove(&lock, &names).expect("nothing left"));
    assert_eq!((store.load("dev").expect("empty"), store.keys().expect("empty")), (None, Vec::new()));
    assert_eq!(store.notices(), Vec::<String>::new());
    assert!(!store.location().is_empty());
}

#[test]
fn the_file_holds_it() {
    let (_home, env) = home();
    holds(&env, &TokenFile::of(&env).expect("a store"));
}

fn home() -> (tempfile::TempDir, Env) {
    let folder = tempfile::tempdir().expect("a folder");
    let env = Env::default().with(env::HOME, folder.path().to_str().expect("text"));
    (folder, env)
}

#[test]
fn the_environment_decides_before_the_setting() {
    let resolve = |variable: &str, setting| Choice::resolve(&Env::default().with(env::AUTH_STORAGE, variable), setting);
    let choice = |mode, source| Choice { mode, source };
    assert_eq!(resolve("", None).expect("default"), choice(Mode::Secure, ModeSource::Default));
    assert_eq!(resolve("", Some(" PlainText\t")).expect("setting"), choice(Mode::Plaintext, ModeSource::Settings));
    assert_eq!(resolve(" Secure ", Some("plaintext")).expect("variable"), choice(Mode::Secure, ModeSource::Environment));
    assert_eq!(resolve("plaintext", Some("foo")).expect("variable"), choice(Mode::Plaintext, ModeSource::Environment));
    assert_eq!(resolve("", Some("  ")).expect("blank").source, ModeSource::Default);
    assert_eq!(resolve("Foo", None).expect_err("unknown").to_string(), "DATABRICKS_AUTH_STORAGE: unknown storage mode \"Foo\" (want plaintext or secure)");
    assert_eq!(resolve("", Some("foo")).expect_err("unknown").to_string(), "auth_storage: unknown storage mode \"foo\" (want plaintext or secure)");
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_keyring_the_file_stands_in_unless_somebody_chose() {
    let (_home, env) = home();
    let choice = |source| Choice { mode: Mode::Secure, source };
    let opened = open_for_reading(&env, &choice(ModeSource::Default)).expect("the file");
    assert_eq!((opened.mode, opened.fallback.as_deref()), (Mode::Plaintext, Some("there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)")));
    let login = open_for_login(&env, &choice(ModeSource::Default)).expect("the file");
    assert_eq!((login.mode, login.pin, login.fallback.is_some()), (Mode::Plaintext, Some(Pin::Plaintext), true));
    for source in [ModeSource::Environment, ModeSource::Settings] {
        let error = open_for_reading(&env, &choice(source)).expect_err("chosen").to_string();
        assert_eq!(
            error,
            "cache: OS keyring unreachable: there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set) (set DATABRICKS_AUTH_STORAGE=plaintext or run `databricks auth login` to use file-based token storage)"
        );
        let error = open_for_login(&env, &choice(source)).expect_err("chosen").to_string();
        assert!(error.starts_with("secure storage was requested but the OS keyring is not reachable: there is no session bus"), "{error}");
    }
    let plaintext = Choice { mode: Mode::Plaintext, source: ModeSource::Settings };
    let login = open_for_login(&env, &plaintext).expect("the file");
    assert_eq!((login.mode, login.pin, login.fallback), (Mode::Plaintext, None, None));
}

#[test]
fn a_miss_says_what_to_do() {
    let (_home, env) = home();
    let plain = "no cached credentials; run `databricks auth login` to sign in";
    assert_eq!((miss(&env, Mode::Secure), miss(&env, Mode::Plaintext)), (plain, plain));
    let file = TokenFile::of(&env).expect("a store");
    file.save(&Lock::acquire(&env, "dev", Duration::ZERO).expect("a lock"), &["dev"], &token(1, EARLY), None).expect("saved");
    assert!(
        miss(&env, Mode::Secure)
            .starts_with("stored credentials from older CLI versions are no longer used; run `databricks auth login` to sign in again, or set")
    );
    assert_eq!(miss(&env, Mode::Plaintext), plain);
}

#[test]
fn tokens_move_and_the_newer_one_stays() {
    let (_home, env) = home();
    let (_elsewhere, other) = home();
    let (from, to) = (TokenFile::of(&env).expect("a store"), TokenFile::of(&other).expect("a store"));
    let lock = Lock::acquire(&env, "test", Duration::ZERO).expect("a lock");
    from.save(&lock, &["a", "b"], &token(1, EARLY), None).expect("saved");
    to.save(&lock, &["b"], &token(2, LATE), None).expect("saved");
    let moved = migrate(&env, &from, &to, &str::to_owned).expect("moved");
    assert_eq!(moved, Moved { taken: vec!["a".to_owned()], newer_there: vec!["b".to_owned()], empty: Vec::new() });
    assert_eq!((from.keys().expect("keys").len(), to.load("a").expect("read"), to.load("b").expect("read")), (0, Some(token(1, EARLY)), Some(token(2, LATE))));
    assert_eq!(migrate(&env, &from, &to, &str::to_owned).expect("nothing left"), Moved::default());
}
