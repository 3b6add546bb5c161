//! SHA-256, HMAC and the shape of an access token, from the provider that serves TLS.
//! Source: RFC 2104 (HMAC), RFC 7515 (JWS compact serialisation), RFC 7518, 3.2 (HS256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use serde_json::{Value, json};

/// The size of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

pub(super) fn sha256(data: &[u8]) -> Vec<u8> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
        unreachable!("the name says TLS 1.3");
    };
    suite.common.hash_provider.hash(data).as_ref().to_vec()
}

/// What PKCE calls S256 (RFC 7636, 4.2).
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// Keys longer than a block are not made here.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> Vec<u8> {
    let mut pads = [vec![0x36; BLOCK], vec![0x5c; BLOCK]];
    for pad in &mut pads {
        for (byte, secret) in pad.iter_mut().zip(key) {
            *byte ^= secret;
        }
    }
    let [inner, outer] = pads;
    sha256(&[outer, sha256(&[&inner, message].concat())].concat())
}

/// `header.payload.signature`; to a client it is opaque.
pub(in super::super) fn sign(key: &[u8; 32], claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "HS256"});
    let signed = [header.to_string(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_examples_of_the_standards_come_out() {
        // RFC 7636, appendix B.
        assert_eq!(challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        // RFC 4231, 4.2: the key is 20 bytes there; zeros at its end change nothing, because HMAC pads with zeros.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(hex(&hmac_sha256(&key, b"Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }
}
