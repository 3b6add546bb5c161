//! Lakebase: its calls, and a real Postgres behind every way of logging in.

mod door;
mod exposure;
mod logins;
mod partners;
mod pickers;
mod postgres;
mod proxy;
mod recipes;
mod rest;
mod session;
mod soak;
mod values;
