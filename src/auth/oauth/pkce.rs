//! What ties a sign-in to this process: the PKCE verifier (RFC 7636) and the state (RFC 6749, section 10.12).

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::error::Failure;
use crate::secret::Secret;

/// Random bytes of a verifier; 86 characters, where RFC 7636 wants 43 to 128.
const VERIFIER_BYTES: usize = 64;
/// Random bytes of a state; 43 characters.
const STATE_BYTES: usize = 32;

/// The secret that only this process knows: who has the code but not this gets no token.
#[derive(Debug)]
pub(crate) struct Verifier(Secret);

impl Verifier {
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn new() -> Result<Self, Failure> {
        random::<VERIFIER_BYTES>().map(Self)
    }

    /// For the token request.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// What may be seen by everybody: base64url of the SHA-256 of the verifier, the method `S256`.
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.expose().as_bytes()))
    }
}

/// What a callback must bring back to be taken for ours.
#[derive(Clone, Debug)]
pub(crate) struct State(Secret);

impl State {
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn new() -> Result<Self, Failure> {
        random::<STATE_BYTES>().map(Self)
    }

    /// For the link that the browser opens.
    pub(crate) fn as_parameter(&self) -> &str {
        self.0.expose()
    }

    /// Whether a callback brought this state. The time it takes tells nothing about where the two differ, nor how long ours is.
    pub(crate) fn is(&self, brought: &str) -> bool {
        let (own, brought) = (digest(&SHA256, self.0.expose().as_bytes()), digest(&SHA256, brought.as_bytes()));
        let difference = own.as_ref().iter().zip(brought.as_ref()).fold(0, |difference, (left, right)| black_box(difference | (left ^ right)));
        difference == 0
    }
}

/// That many random bytes in base64url.
fn random<const BYTES: usize>() -> Result<Secret, Failure> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    SystemRandom::new().fill(&mut bytes[..]).map_err(|_| Failure::new("the system gives no random numbers, without which no sign-in is safe"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(&bytes[..])))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = Verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifiers_and_states_are_long_unreserved_and_never_the_same() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let (verifier, state) = (Verifier::new().unwrap(), State::new().unwrap());
            assert_eq!((verifier.secret().expose().len(), state.as_parameter().len()), (86, 43));
            for text in [verifier.secret().expose(), state.as_parameter()] {
                assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{text}");
                assert!(seen.insert(text.to_owned()), "{text} came twice");
            }
        }
    }

    #[test]
    fn only_the_whole_state_is_the_state() {
        let state = State("abcdef".into());
        assert!(state.is("abcdef"));
        for other in ["", "abcde", "abcdefg", "Abcdef", "abcdeg"] {
            assert!(!state.is(other), "{other}");
        }
        assert_eq!(format!("{state:?}"), "State(Secret(***))");
    }
}
