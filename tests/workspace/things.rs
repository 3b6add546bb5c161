//! `/api/2.0/things/list`, which no real workspace has: a list as long as one asks for (`count`), in pages, with numbers beyond what a
//! double holds.

use super::api::{Access, Answer, Call, Page, Route, invalid};
use super::http::Response;
use std::fmt::Write as _;

pub(super) const ROUTES: &[Route] = &[Route { method: "GET", path: "/api/2.0/things/list", access: Access::SignedIn, handle: list }];

/// 2^53 + 1: the first whole number that a double cannot hold.
const FIRST: u64 = 9_007_199_254_740_993;

fn list(call: &Call<'_>) -> Answer {
    let count: usize = call.request.query("count").unwrap_or("250").parse().map_err(|_| invalid("count must be a number"))?;
    let page = Page::cut(call.request, count, &format!("things {count}"))?;
    let mut text = String::from("{\"total\":");
    let _ = write!(text, "{count},\"things\":[");
    for number in page.start..page.end {
        let comma = if number == page.start { "" } else { "," };
        let _ = write!(text, "{comma}{{\"number\":{number},\"big\":{},\"price\":1.10,\"filler\":\"{}\"}}", FIRST + number as u64, "x".repeat(100));
    }
    text.push(']');
    if let Some(next) = page.next {
        let _ = write!(text, ",\"next_page_token\":\"{next}\"");
    }
    text.push('}');
    Ok(Response::new(200).body("application/json", text))
}
