//! Bad input, faults and security: what happens when the disk, the network, the server, the user or another process misbehaves.
//!
//! The checks carry the numbers of the list they come from (A1, B5, …). All are black-box: the real binary in a home of its own, see [`bench`].
//! Some need a tool of the system (`strace`, `setpriv`, `unshare`) or root; where that is missing they say so and pass, unless `TESTS_SKIP_NOTHING` is set.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "test support: a broken assumption must end the test at once")]
#![allow(clippy::disallowed_methods, reason = "the rules of src/ are for src/: here files are broken and programs started on purpose")]

mod bench;

mod disk;
mod edits;
mod escapes;
mod exposure;
mod hardened;
mod hostile_replies;
mod injection;
mod interrupted;
mod odd_arguments;
mod odd_files;
mod other_host;
mod parallel;
mod prompts;
mod proxies;
mod retries;
mod sessions;
mod shared_folder;
mod tls;
pub(crate) mod token_store;
mod wrong_host;
