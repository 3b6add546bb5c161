//! Stories: what a person or a script wants to get done, with the real binary against the embedded workspace.

mod broken_file;
mod bundles;
mod ci_pat;
mod contract;
mod first_sign_in;
mod json_bodies;
mod leak_sweep;
mod many_profiles;
mod sign_in;
