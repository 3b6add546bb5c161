//! `api`: requests as they go out, replies as they are shown.

use crate::harness::{Home, profile};
use crate::workspace::{Fault, Response, Workspace};
use serde_json::{Value, json};

const ECHO: &str = "/api/2.0/echo";

#[test]
fn every_verb_sends_what_was_typed() {
    let (home, workspace) = Home::signed_in();
    for (verb, body, query) in
        [("get", "", "a=1"), ("delete", "", "a=1"), ("post", r#"{"a": 1}"#, ""), ("put", r#"{"a": 1}"#, ""), ("patch", r#"{"a": 1}"#, "")]
    {
        workspace.clear_requests();
        let reply = home.run(["api", verb, ECHO, "--json", r#"{"a": 1}"#]).ok().json();
        let request = &workspace.requests()[0];
        assert_eq!((request.method.as_str(), request.body.as_str()), (verb.to_uppercase().as_str(), body));
        assert_eq!(request.target.split_once('?').map_or("", |(_, query)| query), query, "{verb}");
        assert_eq!(reply["method"], verb.to_uppercase());
        assert_eq!(request.header("authorization"), Some(format!("Bearer {}", workspace.token()).as_str()));
        assert_eq!(request.header("content-type"), (!body.is_empty()).then_some("application/json"));
        assert!(request.header("user-agent").unwrap().contains(&format!(" cmd/api_{verb} ")), "{request:?}");
    }
    workspace.clear_requests();
    home.run(["api", "head", ECHO, "--json", r#"{"a": 1}"#]).ok().notes("").prints("null\n");
    assert_eq!((workspace.requests()[0].method.as_str(), workspace.requests()[0].target.as_str()), ("HEAD", "/api/2.0/echo?a=1"));
    // Without a body of its own, a POST says so.
    workspace.clear_requests();
    home.run(["api", "post", ECHO]).ok();
    assert_eq!(workspace.requests()[0].header("content-length"), Some("0"));
}

#[test]
fn the_body_comes_from_the_line_a_file_or_standard_input() {
    let (home, workspace) = Home::signed_in();
    std::fs::write(home.work().join("body.json"), "{\"from\": \"file\"}\n").unwrap();
    let body = |outcome: &crate::harness::Outcome| outcome.ok().json()["body"].clone();
    assert_eq!(body(&home.run(["api", "post", ECHO, "--json", r#"{"from": "line"}"#])), json!({"from": "line"}));
    assert_eq!(body(&home.run(["api", "post", ECHO, "--json", "@body.json"])), json!({"from": "file"}));
    assert_eq!(body(&home.command(["api", "post", ECHO, "--json", "-"]).stdin("{\"from\": \"pipe\"}").run()), json!({"from": "pipe"}));
    assert_eq!(body(&home.run(["api", "post", ECHO, "--json", "[1, 2]"])), json!([1, 2]));
    // A string goes out as its text.
    assert_eq!(body(&home.run(["api", "put", ECHO, "--json", r#""plain \"text\"""#])), json!("plain \"text\""));
    assert_eq!(workspace.requests().last().unwrap().body, "plain \"text\"");

    workspace.clear_requests();
    for (argument, error) in [
        ("{bad", "error decoding JSON at (inline):1:2: invalid character 'b'"),
        ("{\"a\": 1} x", "error decoding JSON at (inline):1:10: unexpected additional content"),
        ("{\"a\":", "error decoding JSON at (inline):1:5: unexpected end of JSON input"),
        ("", "invalid argument \"\" for \"--json\" flag: expected inline JSON or @path/to/file, got an empty string"),
        ("@nofile", "invalid argument \"@nofile\" for \"--json\" flag: read nofile: open nofile: no such file or directory"),
    ] {
        home.run(["api", "post", ECHO, "--json", argument]).error(error);
    }
    home.run(["api", "get", ECHO, "--json", "[1]"]).error("the --json of get becomes the query: it must be an object, such as '{\"page_size\": 100}'");
    home.command(["api", "post", ECHO, "--json", "-"]).stdin(vec![b' '; (16 << 20) + 2]).run().fails().says("read standard input: it is larger than 16 MiB");
    assert!(workspace.requests().is_empty());
}

#[test]
fn numbers_keep_their_digits_in_both_directions() {
    let (home, workspace) = Home::signed_in();
    let numbers = "9007199254740993 123456789012345678901234567890 1.10 -0 1e400 0.1000000000000000055511151231257827";
    let list = format!("[{}]", numbers.replace(' ', ","));
    let outcome = home.run(["api", "post", ECHO, "--json", &format!("{{\"n\":{list}}}")]);
    assert_eq!(workspace.requests()[0].body, format!("{{\"n\":{list}}}"));
    for number in numbers.split(' ') {
        outcome.ok().shows(&format!("      {number}"));
    }
    let query = r#"{"big": 123456789012345678901234567890, "odd": 9007199254740993, "price": 1.10}"#;
    home.run(["api", "get", ECHO, "--json", query]).ok();
    assert_eq!(workspace.requests()[1].target, "/api/2.0/echo?big=123456789012345678901234567890&odd=9007199254740993&price=1.10");
}

#[test]
fn a_query_is_made_of_whatever_json_holds() {
    let (home, workspace) = Home::signed_in();
    let query = r#"{"z": "a b&c=d/ü", "list": ["x", 2, true], "filter": {"on": false, "deep": {"er": "y"}, "all": [1, 2]}, "gone": null, "empty": ""}"#;
    home.run(["api", "get", &format!("{ECHO}?own=1"), "--json", query]).ok();
    let sent: Vec<_> = workspace.requests()[0].query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        sent,
        ["own=1", "empty=", "filter.all=1", "filter.all=2", "filter.deep.er=y", "filter.on=false", "list=x", "list=2", "list=true", "z=a b&c=d/ü"]
    );
}

#[test]
fn the_workspace_that_a_request_names_follows_the_rules() {
    let (home, workspace) = Home::signed_in();
    let id = workspace.workspace_id().to_string();
    home.write_config(format!("{}workspace_id = {id}\n", home.config()));
    // What the header says: the fault lets other ids through too.
    let sent = |words: &[&str]| {
        workspace.clear_requests();
        workspace.order(Fault::on("*", "/").reply(Response::json(200, &json!({}))));
        let all: Vec<&str> = ["api", "get"].iter().chain(words).copied().collect();
        home.run(all.as_slice()).ok().prints("{}\n");
        workspace.requests()[0].header("x-databricks-workspace-id").map(ToOwned::to_owned)
    };
    assert_eq!(sent(&[ECHO]), Some(id.clone()));
    assert_eq!(sent(&[ECHO, "--workspace-id", "42"]), Some("42".to_owned()));
    assert_eq!(sent(&["/api/2.0/echo?o=43"]), Some("43".to_owned()));
    assert_eq!(sent(&["/api/2.0/echo?w=44"]), Some("44".to_owned()));
    assert_eq!(sent(&["/api/2.0/echo?w=44&o=43"]), Some("43".to_owned()));
    assert_eq!(sent(&["/api/2.0/echo?o=43", "--workspace-id=42"]), Some("42".to_owned()));
    assert_eq!(sent(&[ECHO, "--account"]), None);
    assert_eq!(sent(&["/api/2.0/echo?o=43", "--account"]), None);
    assert_eq!(sent(&["/api/2.0/accounts/abc/workspaces"]), None);
    assert_eq!(sent(&["/api/2.0/accounts/abc/workspaces?w=44"]), Some("44".to_owned()));
    assert_eq!(sent(&["/api/2.0/accounts/abc/workspaces", "--workspace-id", "42"]), Some("42".to_owned()));
    assert_eq!(sent(&["/api/2.0/accounts/servicePrincipals/1/credentials/secrets"]), Some(id.clone()));
    assert_eq!(sent(&["/api/2.0/preview/accounts/access-control/rule-sets?name=x"]), Some(id));
    assert_eq!(sent(&[ECHO, "--workspace-id", "none"]), None);

    workspace.clear_requests();
    let both = home.run(["api", "get", ECHO, "--account", "--workspace-id", "42"]);
    both.error("--account and --workspace-id are mutually exclusive").says("Usage:");
    home.run(["api", "get", ECHO, "--workspace-id", ""]).error("--workspace-id requires a value; use --account to scope this call to the account API");
    home.run("api get").error("accepts 1 arg(s), received 0").says("databricks api get PATH [flags]");
    home.run(["api", "get", ECHO, ECHO]).error("accepts 1 arg(s), received 2");
    assert!(workspace.requests().is_empty());
}

#[test]
fn a_path_is_taken_as_typed_or_not_at_all() {
    let (home, workspace) = Home::signed_in();
    for path in ["api/2.0/token/list", "https://elsewhere.example/api", "", "@evil.example/", "\\\\evil.example\\x"] {
        home.run(["api", "get", path]).fails().says("it must start with a slash").says("databricks api get /api/2.0/token/list");
    }
    for path in ["/api/2.0/ec\nho", "/api/2.0/ec\tho", "/api/\u{1b}[2J", "/a\r\nX-Evil: 1"] {
        home.run(["api", "get", path]).fails().says("it holds control characters").lacks("\u{1b}");
    }
    assert!(workspace.requests().is_empty());
    // Ways to another host that an address reader might see in a path stay on this one.
    for path in ["//evil.example/x", "/@evil.example/", "/a b/ü"] {
        home.run(["api", "get", path]).fails().says("No API found for 'GET /");
    }
    // Cut off or turned into a slash, these would ask for another file, or delete it.
    for (path, written) in [("/api/2.0/fs/files/Volumes/a#1.txt", "%23"), ("/api/2.0/fs/files/Volumes/a\\b", "%5C"), ("/x?a=1#b", "%23")] {
        home.run(["api", "delete", path]).fails().says("is no path of the API: it holds").says(&format!("write it as {written}"));
    }
    for path in ["/..//evil.example", "/api/../../x"] {
        home.run(["api", "get", path]).fails().says(". and .. cannot be part of it");
    }
    assert_eq!(workspace.requests().len(), 3);
    home.run(["api", "get", &format!("/{}", "x".repeat(100_000))]).fails();
}

#[test]
fn headers_come_first_where_they_are_asked_for() {
    let (home, workspace) = Home::signed_in();
    let outcome = home.run(["api", "get", "/api/2.0/token/list", "-i"]);
    outcome.ok().notes("");
    let (head, body) = outcome.stdout.split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\n") && head.contains(&format!("\nx-databricks-org-id: {}", workspace.workspace_id())), "{head}");
    assert!(serde_json::from_str::<Value>(body).unwrap()["token_infos"].is_array());
    let outcome = home.run(["api", "head", "/api/2.0/token/list", "--include"]);
    assert!(outcome.ok().stdout.starts_with("HTTP/1.1 200 OK\n") && outcome.stdout.ends_with("\n\n") && !outcome.stdout.contains("null"), "{outcome}");
    // A refusal has a head too.
    let outcome = home.run(["api", "get", "/api/2.0/nope", "-i"]);
    assert_eq!(outcome.status.code(), Some(1));
    outcome.shows("HTTP/1.1 404 Not Found\n").notes("Error: No API found for 'GET /api/2.0/nope'\n");
    // The server's text cannot make lines of its own in it.
    workspace.order(Fault::on("GET", ECHO).reply(Response::json(200, &json!({})).header("X-Evil", "a\u{1b}[2Jb")));
    assert!(!home.run(["api", "get", ECHO, "-i"]).stdout.contains('\u{1b}'));
    home.run(["api", "get", ECHO, "-i", "--paginate"]).error("--paginate and --include are mutually exclusive");
    home.run(["api", "post", ECHO, "--paginate"]).error("--paginate goes with get");
}

#[test]
fn nothing_is_null() {
    let (home, workspace) = Home::signed_in();
    for empty in [Response::new(200), Response::new(204), Response::new(200).body("application/json", ""), Response::new(200).body("text/plain", "")] {
        workspace.order(Fault::on("POST", ECHO).reply(empty));
        home.run(["api", "post", ECHO]).ok().notes("").prints("null\n");
    }
    workspace.put_file("/Volumes/empty.bin", 0);
    home.run("api get /api/2.0/fs/files/Volumes/empty.bin").ok().notes("").prints("");
    home.run("api head /api/2.0/fs/files/Volumes/empty.bin").ok().prints("null\n");
}

#[test]
fn errors_are_the_servers_words_alone() {
    let (home, workspace) = Home::signed_in();
    home.run("api get /api/2.0/nope").notes("Error: No API found for 'GET /api/2.0/nope'\n").fails();
    for (reply, words) in [
        (Response::error(400, "INVALID_PARAMETER_VALUE", "no such <thing>"), "no such <thing>"),
        (Response::refusal(401, "Credential was not sent."), "Credential was not sent."),
        (Response::refusal(403, "Invalid access token."), "Invalid access token."),
        (Response::error(400, "QUOTA_EXCEEDED", "too many tokens"), "too many tokens"),
        (Response::scim_error(409, Some("uniqueness"), "exists"), "uniqueness exists"),
        (Response::html_error(500, "it broke"), "it broke"),
        (Response::new(400).body("text/plain", "RESOURCE_GONE: it is gone"), "it is gone"),
        (Response::new(400).body("text/plain", "just words"), "just words"),
        (Response::new(400), "Bad Request"),
        (Response::html_login(), "received HTML response instead of JSON"),
        (Response::error(400, "X", "\u{1b}]0;pwned\u{7}\u{202e}a"), "\\u{1b}]0;pwned\\u{7}\\u{202e}a"),
    ] {
        workspace.order(Fault::on("POST", ECHO).reply(reply));
        home.run(["api", "post", ECHO]).notes(&format!("Error: {words}\n")).fails();
    }
    // A server that repeats what it was sent does not make us print it.
    workspace.order(Fault::on("POST", ECHO).reply(Response::error(400, "X", &format!("bad header: Bearer {}", workspace.token()))));
    home.run(["api", "post", ECHO, "--debug"]).fails().says("bad header: ***");
}

#[test]
fn what_says_it_is_json_has_to_be_it() {
    let (home, workspace) = Home::signed_in();
    workspace.order(Fault::on("POST", ECHO).reply(Response::new(200).body("application/json", "{\"secret\": \"dapi")));
    home.run(["api", "post", ECHO]).error("the reply to POST /api/2.0/echo cannot be read: the reply ends early").lacks("dapi");
    workspace.order(Fault::on("POST", ECHO).reply(Response::deep_json(100_000)));
    home.run(["api", "post", ECHO]).fails();
    // Lines of JSON are text of another kind, and without a word of what it is, it is what it looks like.
    for reply in [
        Response::new(200).body("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n"),
        Response::repeated("", "{\"a\":1}\n", 2, "", crate::workspace::Framing::Length),
    ] {
        workspace.order(Fault::on("POST", ECHO).reply(reply));
        home.run(["api", "post", ECHO]).ok().shows("{\"a\":1}\n{\"a\":");
    }
    workspace.order(Fault::on("POST", ECHO).reply(Response::repeated("", "{\"b\":1}", 1, "", crate::workspace::Framing::Length)));
    home.run(["api", "post", ECHO]).ok().prints("{\n  \"b\": 1\n}\n");
}

#[test]
fn no_redirect_is_followed() {
    let (home, workspace) = Home::signed_in();
    let other = home.joins(Workspace::start());
    for status in [301, 302, 303, 307, 308] {
        for verb in ["get", "post", "delete"] {
            workspace.order(Fault::on(&verb.to_uppercase(), ECHO).redirect(status, &format!("{}/api/2.0/echo", other.url())));
            home.run(["api", verb, ECHO]).fails().says("redirects").says(other.url());
        }
    }
    workspace.order(Fault::on("GET", ECHO).redirect(307, "/api/2.0/echo?again"));
    home.run(["api", "get", ECHO]).fails().says("another place on the same host");
    assert!(other.requests().is_empty() && other.connections() == 0);
}

#[test]
fn secrets_do_not_come_out_in_debug() {
    let (home, workspace) = Home::signed_in();
    let made = home.command(["api", "post", "/api/2.0/token/create", "--json", r#"{"comment": "x"}"#, "--debug"]).reveals().run();
    let value = made.ok().json()["token_value"].as_str().unwrap().to_owned();
    made.says("**REDACTED**");
    assert!(value.starts_with("dapi") && !made.stderr.contains(&value), "{made}");
    home.secret_of(&workspace, &value);
    home.command(["api", "get", "/api/2.0/token/list", "--debug", "-i"]).env("RUST_LOG", "trace").run().ok();
}

#[test]
fn a_lost_reply_is_not_sent_again_where_it_creates() {
    let (home, workspace) = Home::signed_in();
    workspace.order(Fault::on("POST", ECHO).reset_after());
    home.run(["api", "post", ECHO, "--json", "{}"]).fails().says("the service may have carried it out");
    assert_eq!(workspace.requests().len(), 1);
    workspace.order(Fault::on("GET", ECHO).reset_after());
    home.run(["api", "get", ECHO]).ok();
}

#[test]
fn a_profile_token_goes_to_its_own_host_only() {
    let (home, workspace) = Home::signed_in();
    let other = home.joins(Workspace::start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    home.command(["api", "get", ECHO]).env("DATABRICKS_CONFIG_PROFILE", "DEFAULT").env("DATABRICKS_HOST", other.url()).run().fails().says("is not sent to");
    assert!(other.requests().is_empty());
}
