//! Tokens that end: kept between runs, and renewed once however many processes ask.
//!
//! 1. Look into the store. A token that is good enough is the answer: no network, no lock.
//! 2. Else take the lock, look again (another process may have renewed it meanwhile), renew, store, release.
//!
//! A process that dies frees its lock, because the lock is the system's. If renewing fails while the old token lives, the old one is handed out, and the user is told.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{Context, SHA256};

use crate::auth::{Ports, Want};
use crate::clock;
use crate::error::Failure;
use crate::host::Host;
use crate::http::NetworkError;
use crate::secret::Secret;
use crate::signals::Hold;
use crate::storage::{self, Lock, Opened, Saved, StoredToken};
use crate::ui;

/// Life that must be left unless somebody asks for more, if the token lives long enough for that.
const USUAL_REST: SignedDuration = SignedDuration::from_mins(5);
/// How much older than the wish for a new token one may be that another process has just had minted: of processes that start together, only the first renews.
const JUST_MINTED: SignedDuration = SignedDuration::from_secs(2);
/// A token from further ahead was minted by a clock that has been put back since: nothing is known of its end.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// How long to wait for a process that renews the same token: longer than an exchange can take.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where a token is kept, and how the next one is had.
pub(crate) struct Slot<'a> {
    /// The keys it may be kept under; looked for in this order, stored under the one that was found, else the first.
    pub(crate) keys: &'a [String],
    /// The name of the lock: the same for all that must not be renewed at the same time.
    pub(crate) lock: &'a str,
    /// There where renewing spends what is in the store: then nothing is renewed that could not be stored. Tells whether the keys still stand for what was meant, where somebody
    /// else has put something there meanwhile.
    pub(crate) spends: Option<&'a dyn Fn() -> bool>,
    /// Makes the next token; where that spends something, of the present one, which is then there. It begins the hold before the request that spends.
    pub(crate) renew: &'a dyn Fn(Option<&StoredToken>, &Hold) -> Result<StoredToken>,
}

/// A token that lives, and what the user should know of how it was had.
pub(crate) struct Living {
    pub(crate) token: StoredToken,
    pub(crate) remarks: Vec<String>,
}

impl Living {
    fn quietly(token: StoredToken) -> Self {
        Self { token, remarks: Vec::new() }
    }
}

/// Nobody has signed in: the store has no entry.
#[derive(Debug)]
pub(crate) struct NoSignIn {
    /// What to do, in the words that scripts know.
    pub(crate) advice: &'static str,
    /// The command that signs in; empty where nobody said for whom.
    pub(crate) login: String,
}

impl NoSignIn {
    fn of(ports: &Ports<'_>, opened: &Opened) -> anyhow::Error {
        Self { advice: storage::miss(ports.env, opened.mode), login: String::new() }.into()
    }
}

impl std::fmt::Display for NoSignIn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "cache: {}", self.advice)
    }
}

impl std::error::Error for NoSignIn {}

/// Marks the failure of a server that grants no more tokens for this: only the user can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By signing in again in the browser.
    SignIn,
    /// By another secret, assignment or policy.
    Grant,
}

/// The key of a token that is minted of a secret: names what it is for, and tells secrets apart without telling them.
pub(crate) fn minted_key(method: &str, host: &Host, parts: &[&str], secret: &Secret) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    format!("{method} {} at {host} #{}", parts.join(" "), fingerprint(&[secret.expose()]))
}

/// Tells texts apart without telling them.
fn fingerprint(texts: &[&str]) -> String {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(text.as_bytes());
    }
    context.finish().as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The token of a slot, as fresh as it is wanted.
///
/// # Errors
/// If there is none and none can be had.
pub(crate) fn living(slot: &Slot<'_>, ports: &Ports<'_>) -> Result<Living> {
    let opened = (ports.storage)().and_then(|choice| storage::open_for_reading(ports.env, &choice));
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) if slot.spends.is_some() => return Err(error),
        // What can be minted at any time needs no place.
        Err(_) => return (slot.renew)(None, &Hold::new(say)).map(Living::quietly),
    };
    let held = match find(slot, &opened) {
        Ok(held) => held,
        Err(error) if slot.spends.is_some() => return Err(error),
        Err(error) => {
            let token = (slot.renew)(None, &Hold::new(say))?;
            return Ok(Living { token, remarks: vec![format!("tokens cannot be kept between runs: {error:#}")] });
        }
    };
    if let Some((_, token)) = &held
        && suffices(token, ports.want, clock::now())
    {
        return Ok(Living::quietly(token.clone()));
    }
    renewed(slot, ports, &opened, held)
}

/// The entry of the first key that has one.
fn find(slot: &Slot<'_>, opened: &Opened) -> Result<Option<(String, StoredToken)>> {
    for key in slot.keys {
        if let Some(token) = opened.store.load(key)? {
            return Ok(Some((key.clone(), token)));
        }
    }
    Ok(None)
}

fn renewed(slot: &Slot<'_>, ports: &Ports<'_>, opened: &Opened, held: Option<(String, StoredToken)>) -> Result<Living> {
    if slot.spends.is_some() && held.is_none() {
        return Err(NoSignIn::of(ports, opened));
    }
    let lock = match Lock::acquire(ports.env, slot.lock, PATIENCE) {
        Ok(lock) => lock,
        Err(error) if slot.spends.is_some() => return fall_back(held, ports.want, error),
        Err(_) => return (slot.renew)(None, &Hold::new(say)).map(Living::quietly),
    };
    let before = held.map(|(_, token)| token.access_token);
    let held = find(slot, opened)?;
    if let Some((_, token)) = &held {
        let replaced = before.as_ref() != Some(&token.access_token);
        if replaced && slot.spends.is_some_and(|is_still_meant| !is_still_meant()) {
            return Err(NoSignIn::of(ports, opened));
        }
        let want = if replaced { Want { minted_after: None, ..ports.want } } else { ports.want };
        if suffices(token, want, clock::now()) {
            return Ok(Living::quietly(token.clone()));
        }
    } else if slot.spends.is_some() {
        return Err(NoSignIn::of(ports, opened));
    }
    let old = held.as_ref().map(|(_, token)| token);
    let spent = old.and_then(|old| old.refresh_token.as_ref());
    if slot.spends.is_some()
        && spent.is_some()
        && let Err(error) = opened.store.writable()
    {
        let error = error.context("the sign-in is not renewed, because the new token could not be kept and the old one would be spent");
        return fall_back(held, ports.want, error);
    }
    let key = held.as_ref().map_or(&slot.keys[0], |(key, _)| key);
    let subject = fingerprint(&[key, old.map_or("", |old| old.access_token.expose()), spent.map_or("", Secret::expose)]);
    if let Some(error) = lock.left().and_then(|word| failure_of(word, &subject)) {
        lock.leave(lock.left().unwrap_or_default());
        return fall_back(held, ports.want, error);
    }
    // A process that ends between the reply and the store would take the sign-in with it.
    let hold = Hold::new(say);
    let begun = Instant::now();
    match (slot.renew)(old, &hold) {
        Ok(token) => {
            let outcome = opened.store.save(&lock, &[key], &token, spent);
            let mut remarks = opened.store.notices();
            let token = match outcome {
                Ok(Saved::Written) => token,
                Ok(Saved::Newer(newer)) => *newer,
                Err(error) => {
                    let loss = if slot.spends.is_some() {
                        "the renewed sign-in could not be kept, so this token is its last"
                    } else {
                        "tokens cannot be kept between runs"
                    };
                    remarks.push(format!("{loss}: {error:#}"));
                    token
                }
            };
            Ok(Living { token, remarks })
        }
        Err(error) => {
            // A tool that does not lock may have spent the refresh token first; then its outcome is in the store.
            let now = find(slot, opened).ok().flatten();
            if let Some((_, token)) = now
                && old.is_none_or(|old| old.access_token != token.access_token)
                && suffices(&token, Want { minted_after: None, ..ports.want }, clock::now())
            {
                return Ok(Living::quietly(token));
            }
            // What fails at once may be the fault of this process alone, such as a wrong proxy, and costs the others little.
            if Failure::mark::<Ended>(&error).is_some() || begun.elapsed() >= SLOW {
                lock.leave(&word_of(&error, &subject));
            }
            fall_back(held, ports.want, error)
        }
    }
}

/// A failure that took so long is not waited for by each.
const SLOW: Duration = Duration::from_secs(1);
/// Between the parts of what is left for those who wait.
const PART: &str = "\u{1f}";

/// What those who wait for the same renewal are told of its failure: they need not ask once more each.
fn word_of(error: &anyhow::Error, subject: &str) -> String {
    let ended = match Failure::mark(error) {
        Some(Ended::SignIn) => "sign-in",
        Some(Ended::Grant) => "grant",
        None => "",
    };
    let hints = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Failure>().or_else(|| cause.downcast_ref::<NetworkError>().map(NetworkError::failure)))
        .flat_map(Failure::hints)
        .cloned();
    let parts: Vec<String> = [subject.to_owned(), ended.to_owned(), format!("{error:#}")].into_iter().chain(hints).collect();
    parts.join(PART)
}

/// The failure of the one who was waited for, if it was of the same token.
fn failure_of(word: &str, subject: &str) -> Option<anyhow::Error> {
    let mut parts = word.split(PART);
    if parts.next()? != subject {
        return None;
    }
    let (ended, message) = (parts.next()?, parts.next()?);
    let failure = parts.fold(Failure::new(message), Failure::hint);
    Some(match ended {
        "sign-in" => failure.marked(Ended::SignIn).into(),
        "grant" => failure.marked(Ended::Grant).into(),
        _ => failure.into(),
    })
}

/// To the person at the terminal, if there is one.
fn say(message: &str) {
    if io::stderr().is_terminal() {
        ui::aside(message);
    }
}

/// The old token if it still lives, with what went wrong as a remark; else the error.
fn fall_back(held: Option<(String, StoredToken)>, want: Want, error: anyhow::Error) -> Result<Living> {
    let now = clock::now();
    // Somebody who asks for a new one has no use for one whose sign-in the server has ended.
    let ended = want.minted_after.is_some() && Failure::mark::<Ended>(&error).is_some();
    match held {
        Some((_, token)) if !ended && rest(&token, now).is_none_or(|rest| rest > SignedDuration::ZERO) && !is_from_the_future(&token, now) => {
            let left = rest(&token, now).map_or_else(|| "still good".to_owned(), |rest| format!("good for {}", clock::rough(rest)));
            let remark = format!("the token could not be renewed ({error:#}); the present one is {left}");
            Ok(Living { token, remarks: vec![remark] })
        }
        _ => Err(error),
    }
}

/// Whether a token is as fresh as it is wanted.
fn suffices(token: &StoredToken, want: Want, now: Timestamp) -> bool {
    if is_from_the_future(token, now) {
        return false;
    }
    if let Some(wish) = want.minted_after
        && minted(token).is_none_or(|minted| minted < wish - JUST_MINTED)
    {
        return false;
    }
    let Some(rest) = rest(token, now) else { return true };
    let life = token.expires_in.map_or(SignedDuration::MAX, SignedDuration::from_secs);
    let least = match want.min_ttl {
        Some(least) => SignedDuration::try_from(least).unwrap_or(SignedDuration::MAX),
        None => USUAL_REST.min(life / 2),
    };
    rest > SignedDuration::ZERO && rest >= least
}

/// The life that is left; `None` where the end is not known.
fn rest(token: &StoredToken, now: Timestamp) -> Option<SignedDuration> {
    Some(token.expiry?.duration_since(now))
}

/// When the token was made, by the clock of the machine that stored it.
fn minted(token: &StoredToken) -> Option<Timestamp> {
    token.expiry?.checked_sub(SignedDuration::from_secs(token.expires_in?)).ok()
}

fn is_from_the_future(token: &StoredToken, now: Timestamp) -> bool {
    minted(token).is_some_and(|minted| minted.duration_since(now) > CLOCK_SKEW)
}

/// The error of a wish for more life than tokens have.
///
/// # Errors
/// If a token that was just had does not last as long as it was wanted.
pub(crate) fn check_wish(token: &StoredToken, want: Want) -> Result<()> {
    let (Some(least), Some(rest)) = (want.min_ttl, rest(token, clock::now())) else { return Ok(()) };
    let least = SignedDuration::try_from(least).unwrap_or(SignedDuration::MAX);
    if rest >= least {
        return Ok(());
    }
    Err(Failure::new(format!("the newest token that can be had lives {} more, not {}", clock::rough(rest), clock::rough(least)))
        .hint("Ask for less with --min-ttl")
        .into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::env::{self, Env};
    use crate::http::{Interactive, Options, UserAgent};
    use crate::storage::{Choice, Mode, ModeSource};

    /// A store in a folder of its own, and a server that counts.
    struct Setting {
        folder: tempfile::TempDir,
        renewals: AtomicU32,
    }

    impl Setting {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().expect("a folder"), renewals: AtomicU32::new(0) }
        }

        fn env(&self) -> Env {
            Env::default().with(env::TOKEN_CACHE_DIR, self.folder.path().to_str().expect("text"))
        }

        fn put(&self, token: &StoredToken) {
            let env = self.env();
            let opened = storage::open_for_reading(&env, &CHOICE).expect("a store");
            let lock = Lock::acquire(&env, "lock", PATIENCE).expect("the lock");
            opened.store.save(&lock, &["key"], token, None).expect("written");
        }

        fn held(&self) -> Option<StoredToken> {
            storage::open_for_reading(&self.env(), &CHOICE).expect("a store").store.load("key").expect("readable")
        }

        /// Spends the refresh token it is given as a strict server does: each one once.
        fn ask(&self, want: Want, outcome: impl Fn(&str, u32) -> Result<StoredToken>) -> Result<Living> {
            let env = self.env();
            let ports = Ports {
                env: &env,
                options: &|| Options::new(UserAgent::new(&Env::default(), None, uuid::Uuid::nil(), Interactive::None)),
                storage: &|| Ok(CHOICE),
                want,
            };
            let renew = |held: Option<&StoredToken>, _: &Hold| {
                let number = self.renewals.fetch_add(1, Ordering::SeqCst) + 1;
                outcome(held.and_then(|held| held.refresh_token.as_ref()).map(Secret::expose).unwrap_or_default(), number)
            };
            living(&Slot { keys: &["key".to_owned()], lock: "lock", spends: Some(&|| true), renew: &renew }, &ports)
        }
    }

    const CHOICE: Choice = Choice { mode: Mode::Plaintext, source: ModeSource::Environment };

    fn token(name: &str, life: i64, age: i64) -> StoredToken {
        StoredToken {
            access_token: Secret::new(format!("access-{name}")),
            token_type: "Bearer".to_owned(),
            refresh_token: Some(Secret::new(format!("refresh-{name}"))),
            expiry: Some(clock::now() + SignedDuration::from_secs(life - age)),
            expires_in: Some(life),
        }
    }

    fn forced() -> Want {
        Want { minted_after: Some(clock::now()), ..Want::USUAL }
    }

    fn access(living: Result<Living>) -> String {
        living.expect("a token").token.access_token.expose().to_owned()
    }

    #[test]
    fn a_good_token_is_the_answer_and_an_old_one_is_renewed() {
        for (life, age, renewals) in [(3_600, 0, 0), (3_600, 3_200, 0), (3_600, 3_400, 1), (3_600, 4_000, 1), (10, 4, 0), (10, 6, 1), (3_600, -7_200, 1)] {
            let setting = Setting::new();
            setting.put(&token("1", life, age));
            let answer = access(setting.ask(Want::USUAL, |held, _| {
                assert_eq!(held, "refresh-1");
                Ok(token("2", 3_600, 0))
            }));
            assert_eq!(setting.renewals.load(Ordering::SeqCst), renewals, "life {life}, age {age}");
            assert_eq!(answer, if renewals == 0 { "access-1" } else { "access-2" });
            assert_eq!(setting.held().expect("an entry").access_token.expose(), answer);
        }
    }

    #[test]
    fn more_life_or_a_newer_token_is_had_where_it_is_wanted() {
        let setting = Setting::new();
        setting.put(&token("1", 3_600, 1_800));
        let ten = Want { min_ttl: Some(Duration::from_secs(600)), ..Want::USUAL };
        let hour = Want { min_ttl: Some(Duration::from_secs(3_000)), ..Want::USUAL };
        assert_eq!(access(setting.ask(ten, |_, _| panic!("not asked"))), "access-1");
        assert_eq!(access(setting.ask(hour, |_, _| Ok(token("2", 3_600, 0)))), "access-2");
        // What was minted a moment ago is new enough for all who asked at the same time.
        assert_eq!(access(setting.ask(forced(), |_, _| panic!("not asked"))), "access-2");
        setting.put(&token("3", 3_600, 5));
        assert_eq!(access(setting.ask(forced(), |_, _| Ok(token("4", 3_600, 0)))), "access-4");
        assert!(check_wish(&token("5", 60, 0), ten).is_err() && check_wish(&token("5", 3_600, 0), ten).is_ok());
    }

    #[test]
    fn many_at_once_spend_a_refresh_token_once() {
        for want in [Want::USUAL, forced()] {
            let setting = Setting::new();
            setting.put(&token("1", 3_600, 4_000));
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        let answer = setting.ask(want, |held, number| {
                            assert_eq!((held, number), ("refresh-1", 1));
                            Ok(token("2", 3_600, 0))
                        });
                        assert_eq!(access(answer), "access-2");
                    });
                }
            });
            assert_eq!(setting.renewals.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_token_that_still_lives_survives_a_server_that_does_not() {
        let setting = Setting::new();
        setting.put(&token("1", 3_600, 3_500));
        for want in [Want::USUAL, forced()] {
            let living = setting.ask(want, |_, _| Err(Failure::new("the host is down").into())).expect("the old token");
            assert_eq!(living.token.access_token.expose(), "access-1");
            assert!(living.remarks[0].contains("the host is down"), "{:?}", living.remarks);
        }
        let ended = |_: &str, _| Err(Failure::new("spent").marked(Ended::SignIn).into());
        assert_eq!(access(setting.ask(Want::USUAL, ended)), "access-1");
        assert!(setting.ask(forced(), ended).is_err());
        setting.put(&token("1", 3_600, 4_000));
        assert!(setting.ask(Want::USUAL, |_, _| Err(Failure::new("the host is down").into())).is_err());
        assert_eq!(setting.held().expect("still there").refresh_token, token("1", 0, 0).refresh_token);
    }

    #[test]
    fn what_another_tool_renewed_meanwhile_is_taken() {
        let setting = Setting::new();
        setting.put(&token("1", 3_600, 4_000));
        let path = setting.folder.path().to_owned();
        let answer = setting.ask(Want::USUAL, |_, _| {
            // It does not lock: it was first, and our refresh token is worth nothing any more.
            let text = std::fs::read_to_string(path.join("token-cache.json")).expect("the file");
            let fresh = clock::now() + SignedDuration::from_secs(3_600);
            let text = text.replace("access-1", "access-other").replace("refresh-1", "refresh-other");
            let start = text.find("\"expiry\": \"").expect("an expiry") + "\"expiry\": \"".len();
            let end = start + text[start..].find('"').expect("its end");
            #[expect(clippy::disallowed_methods, reason = "it does not lock")]
            std::fs::write(path.join("token-cache.json"), format!("{}{fresh}{}", &text[..start], &text[end..])).expect("written");
            Err(Failure::new("spent").marked(Ended::SignIn).into())
        });
        assert_eq!(access(answer), "access-other");
    }

    #[test]
    fn no_entry_is_no_sign_in() {
        let setting = Setting::new();
        let error = setting.ask(Want::USUAL, |_, _| panic!("not asked")).map(drop).expect_err("nobody is signed in");
        assert!(error.downcast_ref::<NoSignIn>().is_some(), "{error:#}");
    }

    #[test]
    fn keys_of_minted_tokens_tell_secrets_apart_without_telling_them() {
        let host = Host::parse("https://h.example").expect("a host");
        let key = |secret: &str| minted_key("oauth-m2m", &host, &["id", "", "all-apis"], &Secret::new(secret));
        assert_ne!(key("a"), key("b"));
        assert!(key("dose-secret").starts_with("oauth-m2m id all-apis at https://h.example #") && !key("dose-secret").contains("dose-secret"));
    }
}
