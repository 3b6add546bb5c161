//! One password for many who log in at the same time: whoever comes while it is renewed waits for that renewal and asks for none of their own.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use crate::clock;
use crate::secret::Secret;
use crate::storage::StoredToken;

/// A password is renewed when it has less than this to live, or has lived the larger part of a shorter life.
const USUAL_REST: SignedDuration = SignedDuration::from_mins(10);
/// A password that would end within this time is not handed out while a better one can be had: logging in takes its time.
const LEAST_REST: SignedDuration = SignedDuration::from_secs(30);
/// After a renewal that failed the workspace is left alone for a while.
const PAUSE: Duration = Duration::from_secs(2);

/// Why somebody cannot log in, as Postgres says it. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// SQLSTATE.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// A password and how long it is good.
#[derive(Debug)]
pub(crate) struct Password {
    pub(crate) text: Secret,
    /// `None` for those that do not end.
    expiry: Option<Timestamp>,
    life: SignedDuration,
    had: Instant,
}

impl Password {
    /// One that never ends, such as that of a role that Postgres alone knows.
    pub(crate) fn lasting(text: Secret) -> Self {
        Self { text, expiry: None, life: SignedDuration::MAX, had: Instant::now() }
    }

    /// When it ends.
    pub(crate) fn expiry(&self) -> Option<Timestamp> {
        self.expiry
    }

    /// How long it has been here.
    pub(crate) fn age(&self) -> Duration {
        self.had.elapsed()
    }

    fn rest(&self, now: Timestamp) -> SignedDuration {
        self.expiry.map_or(SignedDuration::MAX, |expiry| expiry.duration_since(now))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.rest(now) < USUAL_REST.min(self.life / 2)
    }

    fn is_nearly_over(&self, now: Timestamp) -> bool {
        self.rest(now) < LEAST_REST.min(self.life / 5)
    }

    fn lives(&self, now: Timestamp) -> bool {
        self.rest(now) > SignedDuration::ZERO
    }
}

impl From<StoredToken> for Password {
    fn from(token: StoredToken) -> Self {
        let life = token.expires_in.map_or(SignedDuration::MAX, SignedDuration::from_secs);
        Self { text: token.access_token, expiry: token.expiry, life, had: Instant::now() }
    }
}

/// What came of asking for a password.
pub(crate) type Outcome = Result<Arc<Password>, Trouble>;

#[derive(Default)]
struct State {
    current: Option<Arc<Password>>,
    waiting: Vec<oneshot::Sender<Outcome>>,
    renewing: bool,
    failed: Option<(Instant, Trouble)>,
}

/// The password of one database. The renewing is done elsewhere: by whoever reads the other end of the channel and calls [`Vault::settle`].
pub(crate) struct Vault {
    state: Mutex<State>,
    wishes: Option<mpsc::SyncSender<()>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vault")
    }
}

impl Vault {
    /// With a first password, and where to ask for the next.
    pub(crate) fn new(first: Password) -> (Self, mpsc::Receiver<()>) {
        // One wish at a time is on its way.
        let (sender, receiver) = mpsc::sync_channel(1);
        (Self { state: Mutex::new(State { current: Some(Arc::new(first)), ..State::default() }), wishes: Some(sender) }, receiver)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A password that can be logged in with now. One that is good is given at once, also while the next is fetched.
    ///
    /// # Errors
    /// If there is none that lives, and none can be had.
    pub(crate) async fn get(&self) -> Outcome {
        self.get_but(None).await
    }

    /// As [`Vault::get`], but not this one: the server refused it.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub(crate) async fn get_other_than(&self, refused: &Password) -> Outcome {
        self.get_but(Some(refused)).await
    }

    async fn get_but(&self, refused: Option<&Password>) -> Outcome {
        let answer = {
            let mut state = self.state();
            if let Some(refused) = refused
                && state.current.as_ref().is_some_and(|current| current.text == refused.text)
            {
                state.current = None;
            }
            let now = clock::now();
            let resting = state.failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE).map(|(_, trouble)| trouble.clone());
            match (&state.current, resting) {
                (Some(current), _) if !current.is_due(now) => return Ok(current.clone()),
                (Some(current), resting) if current.lives(now) && (resting.is_some() || !current.is_nearly_over(now)) => {
                    let current = current.clone();
                    if resting.is_none() {
                        self.wish(&mut state);
                    }
                    return Ok(current);
                }
                (_, Some(trouble)) => return Err(trouble),
                _ => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting.push(sender);
                    self.wish(&mut state);
                    receiver
                }
            }
        };
        let ended = || Trouble { code: "57P01", message: "the proxy is ending".to_owned(), hint: String::new() };
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Asks for a renewal, unless one is on its way.
    fn wish(&self, state: &mut State) {
        if !state.renewing {
            state.renewing = self.wishes.as_ref().is_some_and(|wishes| wishes.try_send(()).is_ok());
        }
    }

    /// Takes in what came of a renewal, and tells everybody who waited. A good password that could not be renewed stays good until it ends.
    pub(crate) fn settle(&self, outcome: Result<Password, Trouble>) {
        let mut state = self.state();
        state.renewing = false;
        let answer = match outcome {
            Ok(password) => {
                state.failed = None;
                let password = Arc::new(password);
                state.current = Some(password.clone());
                Ok(password)
            }
            Err(trouble) => {
                state.failed = Some((Instant::now(), trouble.clone()));
                state.current.clone().filter(|current| current.lives(clock::now())).ok_or(trouble)
            }
        };
        for waiting in state.waiting.drain(..) {
            // Who went meanwhile needs no answer.
            let _gone = waiting.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str, life: i64, age: i64) -> Password {
        Password {
            text: text.into(),
            expiry: Some(clock::now() + SignedDuration::from_secs(life - age)),
            life: SignedDuration::from_secs(life),
            had: Instant::now(),
        }
    }

    fn now<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    }

    fn text(outcome: &Outcome) -> &str {
        outcome.as_ref().map_or_else(|trouble| trouble.message.as_str(), |password| password.text.expose())
    }

    fn down() -> Trouble {
        Trouble { code: "08006", message: "down".to_owned(), hint: String::new() }
    }

    #[test]
    fn a_good_one_is_given_at_once_and_an_old_one_while_the_next_is_fetched() {
        let (vault, wishes) = Vault::new(password("1", 3_600, 60));
        assert_eq!(text(&now(vault.get())), "1");
        assert!(wishes.try_recv().is_err());
        let (vault, wishes) = Vault::new(password("1", 3_600, 3_100));
        assert_eq!((text(&now(vault.get())), text(&now(vault.get()))), ("1", "1"));
        assert!(wishes.try_recv().is_ok() && wishes.try_recv().is_err(), "one wish");
        vault.settle(Ok(password("2", 3_600, 0)));
        assert_eq!(text(&now(vault.get())), "2");
    }

    #[test]
    fn five_hundred_at_once_make_one_renewal() {
        let (vault, wishes) = Vault::new(password("1", 10, 20));
        let vault = Arc::new(vault);
        now(async {
            let asking: Vec<_> = (0..500)
                .map(|_| {
                    tokio::spawn({
                        let vault = vault.clone();
                        async move { vault.get().await }
                    })
                })
                .collect();
            while vault.state().waiting.len() < 500 {
                tokio::task::yield_now().await;
            }
            assert!(wishes.try_recv().is_ok() && wishes.try_recv().is_err());
            vault.settle(Ok(password("2", 3_600, 0)));
            for one in asking {
                assert_eq!(text(&one.await.expect("an answer")), "2");
            }
        });
    }

    #[test]
    fn while_the_workspace_is_down_a_good_one_is_used_until_it_ends() {
        let (vault, wishes) = Vault::new(password("1", 3_600, 3_500));
        let _first = now(vault.get());
        assert!(wishes.try_recv().is_ok());
        vault.settle(Err(down()));
        assert_eq!(text(&now(vault.get())), "1");
        assert!(wishes.try_recv().is_err(), "the workspace is left alone for a while");
        let (vault, _wishes) = Vault::new(password("1", 10, 20));
        vault.settle(Err(down()));
        assert_eq!(text(&now(vault.get())), "down");
    }

    #[test]
    fn one_that_the_server_refused_is_not_given_again() {
        let (vault, wishes) = Vault::new(password("1", 3_600, 0));
        let refused = now(vault.get()).expect("a password");
        vault.settle(Ok(password("2", 3_600, 0)));
        assert_eq!(text(&now(vault.get_other_than(&refused))), "2", "another has come meanwhile");
        assert!(wishes.try_recv().is_err());
    }
}
