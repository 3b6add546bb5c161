//! Lakebase: its calls, and a real `PostgreSQL` behind every way of logging in.

mod logins;
mod postgres;
mod proxy;
mod rest;
