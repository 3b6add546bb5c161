//! Stories: what a person or a script wants to get done, with the real binary against the embedded workspace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod broken_file;
mod ci_pat;
mod contract;
mod first_sign_in;
mod json_bodies;
mod leak_sweep;
mod many_profiles;
