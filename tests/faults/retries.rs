//! C7: asked to wait, and replies that were lost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::bench::Bench;
use crate::workspace::{Fault, Response, Workspace, http_date};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[test]
fn c7_a_wait_that_was_asked_for_is_kept_and_the_work_done_once() {
    for status in [429, 503] {
        for seconds in [None, Some(2)] {
            let value = seconds.map_or("1".to_owned(), |seconds| http_date(now() + seconds));
            let workspace = Workspace::start();
            let bench = Bench::with_profile(&workspace, "");
            workspace.order(Fault::on("POST", "/api/2.0/token/create").retry_after(status, &value).times(1));
            let outcome = bench.run(&["tokens", "create", "--comment", "once"]).succeeded();
            // A date has no fractions of a second.
            let least = if seconds.is_none() { Duration::from_secs(1) } else { Duration::from_millis(200) };
            assert!(outcome.took >= least, "{status} {value}: it waited {:?} only", outcome.took);
            assert_eq!(workspace.requests().len(), 2);
            let listed = bench.run(&["tokens", "list", "-o", "json"]).succeeded().stdout();
            assert_eq!(listed.matches("\"once\"").count(), 1, "{listed}");
        }
    }
}

#[test]
fn c7_a_wait_without_end_is_an_error_at_once() {
    for value in ["999999999", "99999999999999999999999999", "Thu, 31 Dec 2099 23:59:59 GMT"] {
        for status in [429, 503] {
            let workspace = Workspace::start();
            let bench = Bench::with_profile(&workspace, "retry_timeout_seconds = 30\n");
            workspace.order(Fault::on("*", "/").retry_after(status, value).forever());
            for arguments in [&["tokens", "list"], &["tokens", "create"]] {
                let outcome = bench.run(arguments).failed_with(&["busy"]);
                assert!(outcome.took < Duration::from_secs(20), "{value}: {outcome}");
            }
            assert_eq!(workspace.requests().len(), 2, "{value}");
        }
    }
}

#[test]
fn c7_waits_that_make_no_sense_become_short_ones() {
    for value in ["-1", "0", "soon", "", "1.5", "Thu, 01 Jan 1970 00:00:00 GMT", "\u{661}"] {
        let workspace = Workspace::start();
        let bench = Bench::with_profile(&workspace, "");
        workspace.order(Fault::on("GET", "/").retry_after(429, value).times(2));
        let outcome = bench.run(&["tokens", "list"]).succeeded();
        assert!(outcome.took < Duration::from_secs(20), "{value}: {outcome}");
        assert_eq!(workspace.requests().len(), 3, "{value}");
    }
}

#[test]
fn c7_a_token_whose_reply_was_lost_is_minted_once_and_the_message_says_what_may_have_happened() {
    let troubles: [fn(Fault) -> Fault; 5] = [
        Fault::reset_after,
        Fault::half_body,
        |fault| fault.reply(Response::new(502).body("text/html", "<html>")),
        |fault| fault.reply(Response::new(504)),
        |fault| fault.reply(Response::error(500, "INTERNAL_ERROR", "oops")),
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let workspace = Workspace::start();
        let bench = Bench::with_profile(&workspace, "");
        workspace.order(trouble(Fault::on("POST", "/api/2.0/token/create")));
        let outcome = bench.run(&["tokens", "create", "--comment", "lost"]).failed_with(&[]);
        assert_eq!(workspace.requests().len(), 1, "trouble {number}: it was sent again");
        if number < 2 {
            let said = outcome.stderr();
            assert!(said.contains("may ") && said.contains("token"), "trouble {number}: {outcome}");
            assert!(said.contains("tokens list"), "trouble {number}: how to check is not said: {outcome}");
        }
    }
}

#[test]
fn c7_a_database_credential_keeps_its_request_id() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    workspace.order(Fault::on("POST", "/").retry_after(429, "0").times(2));
    bench.run(&["database", "generate-database-credential", "db-instance-name"]).code();
    let ids: Vec<_> = workspace.requests().iter().map(|request| request.json()["request_id"].clone()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0] && id.as_str().is_some_and(|id| id.len() == 36)), "{ids:?}");

    workspace.clear_requests();
    workspace.order(Fault::on("POST", "/").reset_after());
    let outcome = bench.run(&["database", "generate-database-credential", "db-instance-name"]);
    let ids: Vec<_> = workspace.requests().iter().map(|request| request.json()["request_id"].clone()).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(ids.len() > 1 || outcome.code() == 1, "{outcome}");
}

#[test]
fn c7_reading_is_repeated_when_the_reply_was_lost() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    workspace.order(Fault::on("GET", "/").reset_after());
    bench.run(&["tokens", "list"]).succeeded();
    assert_eq!(workspace.requests().len(), 2);
    // A connection that ends without a reply, again and again, is told in the end.
    workspace.order(Fault::on("GET", "/").reset_before().forever());
    bench.run(&["tokens", "list"]).failed_with(&["connection"]);
}
