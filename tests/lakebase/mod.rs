//! Lakebase: its calls, and a real Postgres behind every way of logging in.

mod logins;
mod postgres;
mod proxy;
mod rest;
mod session;
mod speed;
