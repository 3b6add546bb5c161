//! RS256 JSON Web Tokens (RFC 7515, RFC 7518, section 3.3): made with the keys in `keys/`, which are published and open nothing, and really checked.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

/// An RSA key in PEM (PKCS #8).
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub id: &'static str,
    pub pem: &'static str,
}

/// Whoever signs id tokens that the workspace trusts.
pub(super) const ISSUER: Key = Key { id: "issuer-1", pem: include_str!("keys/issuer.pem") };
/// Of the service account, and of the id tokens that the embedded Google signs.
pub(super) const GOOGLE: Key = Key { id: "google-1", pem: include_str!("keys/google.pem") };
/// Nobody trusts it.
pub(super) const STRANGER: Key = Key { id: "issuer-1", pem: include_str!("keys/stranger.pem") };

impl Key {
    fn pair(self) -> RsaKeyPair {
        let body: String = self.pem.lines().filter(|line| !line.starts_with("-----")).collect();
        RsaKeyPair::from_pkcs8(&STANDARD.decode(body).expect("base64")).expect("an RSA key")
    }

    pub(super) fn sign(self, claims: &Value) -> String {
        let pair = self.pair();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        let signed = [header.to_string(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token that this key signed and that has not ended at `now` (seconds since 1970); else what is wrong with it.
    pub(super) fn verify(self, token: &str, now: i64) -> Result<Value, &'static str> {
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err("it is no JSON Web Token");
        };
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "it is not base64url");
        let head: Value = serde_json::from_slice(&decoded(header)?).map_err(|_| "its header is no JSON")?;
        if head["alg"] != "RS256" || head["kid"] != self.id {
            return Err("it is signed by no known key");
        }
        let signed = format!("{header}.{claims}");
        let pair = self.pair();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref())
            .verify(signed.as_bytes(), &decoded(signature)?)
            .map_err(|_| "its signature is not valid")?;
        let claims: Value = serde_json::from_slice(&decoded(claims)?).map_err(|_| "its claims are no JSON")?;
        match claims["exp"].as_i64() {
            Some(end) if end > now => {}
            _ => return Err("it has expired"),
        }
        if claims["nbf"].as_i64().is_some_and(|start| start > now) || claims["iat"].as_i64().is_some_and(|made| made > now + 60) {
            return Err("it is not valid yet");
        }
        Ok(claims)
    }
}
