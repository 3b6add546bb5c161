//! Random bytes for tokens and ids, from the same provider that serves TLS.

use rustls::crypto::CryptoProvider;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

/// The ring provider, named explicitly: the process-wide default belongs to the client.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
}

pub(super) fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    provider().secure_random.fill(&mut buffer).expect("the operating system has random bytes");
    buffer
}

/// `2 * N` lower-case hexadecimal digits.
pub(super) fn hex<const N: usize>() -> String {
    let mut text = String::with_capacity(2 * N);
    for byte in bytes::<N>() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
