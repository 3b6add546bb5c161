//! `api get --paginate`.

use super::{binary, measured, stderr_of};
use crate::harness::{Home, profile};
use crate::workspace::{Fault, Response, Workspace};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

const THINGS: &str = "/api/2.0/things/list";

#[test]
fn all_pages_become_one_array() {
    let (home, workspace) = Home::signed_in();
    let outcome = home.run(["api", "get", &format!("{THINGS}?count=45"), "--paginate"]);
    let items = outcome.ok().json();
    let numbers: Vec<u64> = items.as_array().unwrap().iter().map(|item| item["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..45).collect::<Vec<_>>());
    outcome.shows("\"big\": 9007199254740993,").shows("\"price\": 1.10").notes("");
    assert_eq!(workspace.requests().len(), 3);
    assert_eq!(workspace.requests().iter().map(|request| request.connection).collect::<std::collections::HashSet<_>>().len(), 1);
    // The same by --json, in pages of another size, from a page in the middle.
    workspace.clear_requests();
    let rest = home.run(["api", "get", THINGS, "--paginate", "--json", r#"{"count": 45, "page_size": 5}"#]);
    assert_eq!((rest.ok().json(), workspace.requests().len()), (items, 9));
    let token = workspace.requests()[8].query("page_token").unwrap().to_owned();
    let last = home.run(["api", "get", &format!("{THINGS}?count=45&page_size=5&page_token={token}"), "--paginate"]);
    assert_eq!(last.ok().json().as_array().unwrap().len(), 5);
    let second = workspace.requests()[1].query("page_token").unwrap().to_owned();
    workspace.clear_requests();
    let most = home.run(["api", "get", &format!("{THINGS}?page_token={second}&count=45&page_size=5"), "--paginate"]);
    assert_eq!(most.ok().json().as_array().unwrap().len(), 40);
    assert!(workspace.requests().iter().all(|request| request.query.iter().filter(|(name, _)| name == "page_token").count() == 1));
}

#[test]
fn lists_of_every_form_are_lists() {
    let (home, workspace) = Home::signed_in();
    for number in 0..3 {
        workspace.add_user(&format!("u{number}@example.com"), "U");
    }
    let users = home.run("api get /api/2.0/preview/scim/v2/Users?count=2 --paginate").ok().json();
    let names: Vec<&Value> = users.as_array().unwrap().iter().map(|user| &user["userName"]).collect();
    assert_eq!(names, ["ann@example.com", "u0@example.com", "u1@example.com", "u2@example.com"]);
    assert_eq!(workspace.requests().len(), 2);
    assert_eq!(home.run("api get /api/2.0/token/list --paginate").ok().json().as_array().unwrap().len(), 3);
    for (body, printed) in [
        ("{}", "[]\n"),
        ("[]", "[]\n"),
        ("{\"has_more\": false}", "[]\n"),
        ("{\"things\": null}", "[]\n"),
        ("[1, 1.10]", "[\n  1,\n  1.10\n]\n"),
        ("{\"schemas\": [\"x\"], \"Resources\": [{\"a\": 1}]}", "[\n  {\n    \"a\": 1\n  }\n]\n"),
    ] {
        workspace.order(Fault::on("GET", "/api/2.0/echo").reply(Response::new(200).body("application/json", body)));
        home.run("api get /api/2.0/echo --paginate").ok().notes("").prints(printed);
    }
    workspace.order(Fault::on("GET", "/api/2.0/echo").reply(Response::json(200, &json!({"id": "x"}))));
    home.run("api get /api/2.0/echo --paginate").error("the reply to GET /api/2.0/echo holds no list").says("Hint: Leave out --paginate");
}

#[test]
fn the_list_keeps_its_name_from_page_to_page() {
    let (home, workspace) = Home::signed_in();
    for page in [
        r#"{"things": [{"a": 1}], "next_page_token": "t1"}"#,
        r#"{"others": [{"b": 2}], "next_page_token": "t2"}"#,
        r#"{"others": [{"b": 2}], "things": [{"a": 3}]}"#,
    ] {
        workspace.order(Fault::on("GET", "/api/2.0/echo").reply(Response::new(200).body("application/json", page)));
    }
    assert_eq!(home.run("api get /api/2.0/echo --paginate").ok().json(), json!([{"a": 1}, {"a": 3}]));
}

#[test]
fn items_are_there_before_the_next_page() {
    let (home, workspace) = Home::signed_in();
    workspace.order(Fault::on("GET", THINGS).after(1).silence());
    let mut child = binary(&home, &["api", "get", &format!("{THINGS}?count=45"), "--paginate"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The twentieth item, the last of the first page, while the second page does not come.
    assert!(lines.any(|line| line.unwrap().contains("\"number\": 19")));
    assert_eq!(workspace.wait_for_requests(2).len(), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    stderr_of(&mut child).join().unwrap();
}

#[test]
fn a_thousand_pages_take_the_memory_of_one() {
    let (home, workspace) = Home::signed_in();
    let (mut output, mut items) = (0, 0);
    let run = measured(&home, &["api", "get", &format!("{THINGS}?count=20000&page_size=20"), "--paginate"], |piece| {
        output += piece.len();
        items += piece.windows(9).filter(|part| part == b"\"number\":").count();
    });
    assert_eq!((run.status.code(), run.stderr.as_str(), workspace.requests().len()), (Some(0), "", 1000));
    // Those that a border of two pieces cuts are not seen.
    assert!((19_900..=20_000).contains(&items) && output > 3_000_000, "{items} {output}");
    assert!(run.peak < 40, "{} MB", run.peak);
}

#[test]
fn a_person_who_waits_sees_how_far_it_is() {
    let (home, workspace) = Home::signed_in();
    workspace.order(Fault::on("GET", THINGS).after(1).delay(Duration::from_millis(400)));
    let mut typing = home.typing_script(&format!("databricks api get '{THINGS}?count=60' --paginate > out.json"));
    typing.wait_for("Received 40 items …");
    typing.end().ok().lacks("Received");
    let items: Value = serde_json::from_slice(&std::fs::read(home.work().join("out.json")).unwrap()).unwrap();
    assert_eq!(items.as_array().unwrap().len(), 60);
}

#[test]
fn a_list_that_breaks_off_says_where() {
    let (home, workspace) = Home::signed_in();
    let words = ["api", "get", "/api/2.0/things/list?count=100", "--paginate"];
    let broken: Vec<(Fault, &str)> = vec![
        (Fault::on("GET", THINGS).after(2).half_body().forever(), "no usable reply from"),
        (Fault::on("GET", THINGS).after(2).reply(Response::error(400, "X", "out of order")), "out of order"),
        (Fault::on("GET", THINGS).after(2).reply(Response::refusal(401, "Invalid access token.")), "Invalid access token."),
        (Fault::on("GET", THINGS).after(2).reply(Response::new(200).body("application/json", "{\"things\": [{}, ")), "the reply ends early"),
        (Fault::on("GET", THINGS).after(2).reply(Response::html_login()), "received HTML response instead of JSON"),
    ];
    for (fault, why) in broken {
        workspace.clear_faults();
        workspace.order(fault);
        let outcome = home.run(words);
        assert_eq!(outcome.status.code(), Some(1), "{outcome}");
        outcome.says("Error: the list broke off after 40 items, before page_token=").says(why).lacks("Next steps");
        // What came is there, and nobody takes it for the whole.
        assert!(outcome.stdout.starts_with("[\n") && outcome.stdout.ends_with("}\n"), "{outcome}");
        assert_eq!(serde_json::from_str::<Value>(&format!("{}]", outcome.stdout)).unwrap().as_array().unwrap().len(), 40);
    }
    workspace.clear_faults();
    // Without a first item it is an error like any other.
    workspace.order(Fault::on("GET", THINGS).reply(Response::refusal(403, "Invalid access token.")));
    home.run(words).fails().notes("Error: Invalid access token.\n");
}

#[test]
fn the_lists_of_commands_say_it_too() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().clusters(250).start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    for (fault, why) in [
        (Fault::on("GET", "/api/2.1/clusters").after(1).half_body().forever(), "no usable reply from"),
        (
            Fault::on("GET", "/api/2.1/clusters").after(1).reply(Response::error(400, "X", "out of order")),
            "Error: the list broke off after 100 items: out of order\n",
        ),
    ] {
        for (words, rows) in [("clusters list", 101), ("clusters list -o json", 100)] {
            workspace.clear_faults();
            workspace.order(fault.clone());
            let outcome = home.run(words);
            assert_eq!(outcome.status.code(), Some(1), "{outcome}");
            outcome.says("Error: the list broke off after 100 items: ").says(why);
            let shown = if words.ends_with("json") {
                serde_json::from_str::<Value>(&format!("{}]", outcome.stdout)).unwrap().as_array().unwrap().len()
            } else {
                outcome.stdout.lines().count()
            };
            assert_eq!(shown, rows, "{outcome}");
        }
    }
}

#[test]
fn a_server_that_goes_in_circles_is_left() {
    let (home, workspace) = Home::signed_in();
    let page = Response::json(200, &json!({"things": [{"a": 1}], "next_page_token": "again\u{1b}"}));
    workspace.order(Fault::on("GET", THINGS).reply(page).forever());
    let outcome = home.run(["api", "get", THINGS, "--paginate"]);
    assert_eq!(outcome.status.code(), Some(1));
    outcome.says("gives the same page of GET /api/2.0/things/list again and again (page_token \"again\\u{1b}\")").within(Duration::from_secs(20));
    assert_eq!(workspace.requests().len(), 2);
}

#[test]
fn a_reader_that_has_enough_ends_the_walk() {
    let (home, workspace) = Home::signed_in();
    let first = home.script(&format!("databricks api get '{THINGS}?count=100000' --paginate | head -n 3; echo ${{PIPESTATUS[0]}}")).run();
    assert!(first.ok().stdout.ends_with("\n0\n") && first.stderr.is_empty(), "{first}");
    assert!(workspace.requests().len() < 100);
}
