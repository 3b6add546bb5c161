//! Requests to a service, and nothing else: this module knows how to speak HTTP safely, but not what a token is.
//!
//! | file | concern |
//! |---|---|
//! | `message` | what goes out and what comes back: [`Request`], [`Response`], and [`Sign`], the trait that puts headers on a request |
//! | `client` | [`Client`]: one host, one connection, blocking sends |
//! | `retry` | when a request is sent again, and after how long: pure |
//! | `error` | [`ApiError`] (the service refused) and [`NetworkError`] (there was no usable reply) |
//! | `trust` | which certificates are trusted, read lazily |
//! | `proxy` | whether the way to a host leads through a proxy |
//! | `redaction` | the secrets of a request, found in text and hidden |
//! | `trace` | what `--debug` shows |
//! | `user_agent` | the `User-Agent` header |
//!
//! What holds for every request: https, or http to loopback only; no redirect is followed; credentials go to the origin that they were
//! issued for; every wait and every size has a bound; nothing is sent twice that might act twice.

mod client;
mod error;
#[cfg(test)]
mod loopback;
mod message;
mod proxy;
mod redaction;
mod retry;
mod trace;
mod trust;
mod user_agent;

pub(crate) use client::{Client, Content, Head, Options, Part, Sink};
pub(crate) use error::{ApiError, NetworkError, NetworkErrorKind};
pub(crate) use message::{Repeat, Request, Response, Sign, Verb, push_form_encoded};
pub(crate) use redaction::looks_secret;
pub(crate) use trace::Trace;
pub(crate) use trust::{bundle, tls};
pub(crate) use user_agent::{Interactive, UserAgent};
