//! The broker: a small server on this machine that hands living tokens to SDKs, as the service behind the auth type `metadata-service`.
//!
//! `GET /<path>` with `X-Databricks-Metadata-Version: 1` and `X-Databricks-Host: <host>` is answered with `{"access_token", "token_type", "expires_on"}`, the last one a whole
//! number of seconds since 1970, which every SDK reads. <https://pkg.go.dev/github.com/databricks/databricks-sdk-go/config> (`MetadataServiceURL`)
//!
//! One path per profile, of 256 random bits: whoever knows it gets the token, and nobody can guess it. The user behind a TCP connection is not looked up
//! ([`crate::peer`]): that would cost more than the answer, and proves little, because any process of the user can pass a connection on. On the
//! unix socket the kernel tells who is there, for nothing, and there it is checked.
//!
//! [`Broker`] is one thread around `epoll` (`poll` elsewhere): a token that is there costs a read and a write. What has to be fetched is fetched by a thread of its own that
//! ends with it, once for all who wait. Nothing wakes up where nothing is due, and nothing is fetched ahead for a profile that nobody asked for since the last time.

pub(crate) mod connection;
mod lifetime;
mod poller;
pub(crate) mod request;
mod server;
pub(crate) mod session;

pub(crate) use lifetime::{LONGEST_PAUSE, Lifetime, Moment, pause};
pub(crate) use server::{Broker, Source, Stop, is_own_user};
