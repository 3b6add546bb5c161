//! The workspace tested by clients that are not ours: bare sockets and curl.

mod admin;
mod oauth;
#[cfg(target_os = "linux")]
mod sdk;

use super::clock::{http_date, rfc3339};
use super::http::Request;
use super::record::Log;
use super::{Fault, Framing, Plane, Response, TlsVariant, Workspace};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// One reply, read off a bare socket.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Status and error code, for one-line comparisons.
    fn failure(&self) -> (u16, Value) {
        (self.status, self.json()["error_code"].clone())
    }
}

fn connect(workspace: &Workspace) -> TcpStream {
    let address = workspace.url().strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Reads one reply framed by `Content-Length`.
fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut reply = Reply { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body: Vec::new() };
    let length = reply.header("Content-Length").unwrap_or("0").parse();
    reply.body.resize(length.unwrap(), 0);
    stream.read_exact(&mut reply.body).unwrap();
    reply
}

/// Sends bytes on a connection of their own and reads one reply.
fn exchange(workspace: &Workspace, bytes: &str) -> Reply {
    let mut stream = connect(workspace);
    stream.write_all(bytes.as_bytes()).unwrap();
    read_reply(&mut stream)
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn get_as(workspace: &Workspace, token: &str, path: &str) -> Reply {
    exchange(workspace, &request("GET", path, &bearer(token), ""))
}

fn get(workspace: &Workspace, path: &str) -> Reply {
    get_as(workspace, workspace.token(), path)
}

fn send(workspace: &Workspace, method: &str, path: &str, body: &Value) -> Reply {
    let headers = bearer(workspace.token());
    exchange(workspace, &request(method, path, &headers, &body.to_string()))
}

fn post(workspace: &Workspace, path: &str, body: &Value) -> Reply {
    send(workspace, "POST", path, body)
}

const ME: &str = "/api/2.0/preview/scim/v2/Me";
const CREATE: &str = "/api/2.0/token/create";
const LIST: &str = "/api/2.0/token/list";
const DELETE: &str = "/api/2.0/token/delete";
const CREDENTIALS: &str = "/api/2.0/database/credentials";

fn curl(args: &[&str]) -> Output {
    Command::new("curl").args(["--silent", "--show-error", "--noproxy", "*", "--max-time"]).arg("10").args(args).output().expect("curl is installed")
}

// The sign-in gate

#[test]
fn the_gate_tells_missing_from_wrong_credentials() {
    let workspace = Workspace::start();
    let status = |headers: &str| exchange(&workspace, &request("GET", ME, headers, "")).status;
    assert_eq!(status(""), 401);
    assert_eq!(status("Authorization: Negotiate abc\r\n"), 401);
    assert_eq!(status("Authorization: Bearer dapi0\r\n"), 403);
    assert_eq!(status("Authorization: Bearer\r\n"), 403);
    assert_eq!(status(&bearer(workspace.token())), 200);
    let lower = format!("authorization: bearer {}\r\n", workspace.token());
    assert_eq!(status(&lower), 200);
    assert_eq!(status(&bearer(workspace.token()).repeat(2)), 400);

    let refused = get_as(&workspace, "dapi0", ME);
    // As the service sends it: the code is a number here.
    assert_eq!(refused.json(), json!({"error_code": 403, "message": "Invalid access token."}));
    assert_eq!(refused.header("X-Databricks-Org-Id"), None);
    let missing = exchange(&workspace, &request("GET", ME, "", ""));
    assert_eq!(missing.json()["message"], "Credential was not sent or was of an unsupported type for this API.");
}

#[test]
fn basic_authentication_takes_the_password_and_the_pat_as_user_token() {
    let workspace = Workspace::start();
    let code = |user: &str| {
        let url = format!("{}{ME}", workspace.url());
        let output = curl(&["--user", user, "--write-out", "%{http_code}", "--output", "/dev/null", &url]);
        String::from_utf8(output.stdout).unwrap()
    };
    let (user, password) = (workspace.basic_user(), workspace.basic_password());
    assert_eq!(code(&format!("{user}:{password}")), "200");
    assert_eq!(code(&format!("{user}:wrong")), "401");
    assert_eq!(code(&format!("eve@example.com:{password}")), "401");
    assert_eq!(code(&format!("token:{}", workspace.token())), "200");
    assert_eq!(code("token:dapi0"), "403");
}

#[test]
fn a_token_ends_by_expiry_by_the_clock_and_by_revocation() {
    let workspace = Workspace::start();
    let status = |token: &str| get_as(&workspace, token, ME).status;

    let expired = workspace.mint_token("one", None);
    assert_eq!(status(&expired.value), 200);
    workspace.expire_token(&expired.id);
    assert_eq!(status(&expired.value), 403);

    let short = workspace.mint_token("two", Some(Duration::from_secs(60)));
    assert_eq!(status(&short.value), 200);
    workspace.advance_clock(Duration::from_secs(61));
    assert_eq!(status(&short.value), 403);

    let revoked = workspace.mint_token("three", None);
    workspace.revoke_token(&revoked.id);
    assert_eq!(status(&revoked.value), 403);
    assert_eq!(status(workspace.token()), 200);

    // Expired tokens stay listed, revoked ones do not.
    let listed = get(&workspace, LIST).json().to_string();
    assert!(listed.contains(&expired.id) && listed.contains(&short.id));
    assert!(!listed.contains(&revoked.id));
}

#[test]
fn every_signed_in_reply_names_the_workspace() {
    let workspace = Workspace::builder().workspace_id(42).start();
    assert_eq!(get(&workspace, ME).header("x-databricks-org-id"), Some("42"));
    let failed = get(&workspace, "/api/2.1/clusters/get?cluster_id=nope");
    assert_eq!(failed.header("x-databricks-org-id"), Some("42"));
}

#[test]
fn a_request_for_another_workspace_is_refused() {
    let workspace = Workspace::builder().workspace_id(42).start();
    let reply = |id: &str| {
        let headers = format!("{}X-Databricks-Workspace-Id: {id}\r\n", bearer(workspace.token()));
        exchange(&workspace, &request("GET", ME, &headers, ""))
    };
    assert_eq!(reply("42").status, 200);
    assert_eq!(reply("43").failure(), (403, json!("PERMISSION_DENIED")));
    assert_eq!(reply("none").failure(), (400, json!("INVALID_PARAMETER_VALUE")));
}

#[test]
fn an_unknown_path_names_itself() {
    let workspace = Workspace::start();
    let reply = get(&workspace, "/api/2.0/nope?x=1");
    assert_eq!(reply.status, 404);
    assert_eq!(reply.json(), json!({"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found for 'GET /api/2.0/nope'"}));
    assert_eq!(post(&workspace, LIST, &json!({})).status, 404);
}

// Tokens

#[test]
fn a_created_token_signs_in_is_listed_without_its_value_and_dies_when_deleted() {
    let workspace = Workspace::start();
    let made = post(&workspace, CREATE, &json!({"comment": "for \"CI\"", "lifetime_seconds": 60, "scopes": ["sql"]}));
    assert_eq!(made.status, 200);
    let made = made.json();
    let (value, info) = (made["token_value"].as_str().unwrap(), &made["token_info"]);
    assert!(value.starts_with("dapi") && value.len() == 36);
    let id = info["token_id"].as_str().unwrap();
    assert_eq!(id.len(), 64);
    assert_eq!(info["comment"], "for \"CI\"");
    assert_eq!(info["scopes"], json!(["sql"]));
    let (created, expires) = (&info["creation_time"], &info["expiry_time"]);
    assert_eq!(expires.as_i64().unwrap() - created.as_i64().unwrap(), 60_000);

    let list = get_as(&workspace, value, LIST);
    assert!(!String::from_utf8_lossy(&list.body).contains(value));
    let infos = list.json()["token_infos"].clone();
    assert_eq!(infos.as_array().unwrap().len(), 4);
    let listed = infos.as_array().unwrap().last().unwrap();
    assert_eq!(listed["token_id"], info["token_id"]);
    assert!(listed["last_accessed_time"].is_i64());

    let path = format!("/api/2.0/token/{id}");
    let renamed = json!({"token": {"comment": "new"}, "update_mask": "comment"});
    let updated = send(&workspace, "PATCH", &path, &renamed);
    assert_eq!((updated.status, updated.json()), (200, json!({})));
    let infos = get(&workspace, LIST).json()["token_infos"].clone();
    let listed = infos.as_array().unwrap().last().unwrap();
    assert_eq!(listed["comment"], "new");
    assert_eq!(listed["scopes"], json!(["sql"]));

    let deleted = post(&workspace, DELETE, &json!({"token_id": id}));
    assert_eq!((deleted.status, deleted.json()), (200, json!({})));
    assert_eq!(get_as(&workspace, value, ME).status, 403);
    let again = post(&workspace, DELETE, &json!({"token_id": id}));
    assert_eq!(again.failure(), (404, json!("RESOURCE_DOES_NOT_EXIST")));
}

#[test]
fn a_token_body_of_the_wrong_shape_is_refused_and_mints_nothing() {
    let workspace = Workspace::start();
    for (body, code) in [
        ("", "MALFORMED_REQUEST"),
        ("{bad", "MALFORMED_REQUEST"),
        ("[]", "MALFORMED_REQUEST"),
        (r#"{"comment": 5}"#, "MALFORMED_REQUEST"),
        (r#"{"lifetime_seconds": "60"}"#, "MALFORMED_REQUEST"),
        (r#"{"lifetime_seconds": 1.5}"#, "MALFORMED_REQUEST"),
        (r#"{"lifetime_seconds": 0}"#, "INVALID_PARAMETER_VALUE"),
        (r#"{"lifetime_seconds": -1}"#, "INVALID_PARAMETER_VALUE"),
        (r#"{"lifetime_seconds": 9223372036854775807}"#, "INVALID_PARAMETER_VALUE"),
        (r#"{"lifetime_seconds": 9223372036854775808}"#, "MALFORMED_REQUEST"),
        (r#"{"scopes": "sql"}"#, "MALFORMED_REQUEST"),
        (r#"{"scopes": [1]}"#, "MALFORMED_REQUEST"),
        (r#"{"scopes": [""]}"#, "INVALID_PARAMETER_VALUE"),
        (r#"{"autoscope_enabled": "yes"}"#, "MALFORMED_REQUEST"),
    ] {
        let headers = bearer(workspace.token());
        let reply = exchange(&workspace, &request("POST", CREATE, &headers, body));
        assert_eq!(reply.failure(), (400, json!(code)), "{body}");
    }
    for body in [json!({}), json!({"token_id": ""})] {
        assert_eq!(post(&workspace, DELETE, &body).status, 400);
    }
    let path = format!("/api/2.0/token/{}", workspace.token_id());
    for body in [
        json!({}),
        json!({"token": {"comment": "x"}}),
        json!({"token": {"comment": "x"}, "update_mask": "expiry_time"}),
        json!({"token": "x", "update_mask": "comment"}),
    ] {
        assert_eq!(send(&workspace, "PATCH", &path, &body).status, 400, "{body}");
    }
    let infos = get(&workspace, LIST).json()["token_infos"].clone();
    assert_eq!(infos.as_array().unwrap().len(), 3);
}

#[test]
fn the_quota_counts_per_user() {
    let workspace = Workspace::builder().tokens(5).token_quota(6).start();
    assert_eq!(post(&workspace, CREATE, &json!({})).status, 200);
    let full = post(&workspace, CREATE, &json!({}));
    assert_eq!(full.failure(), (400, json!("QUOTA_EXCEEDED")));
    let message = full.json()["message"].to_string();
    assert!(message.contains("has exceeded the quota of 6"), "{message}");

    let bob = workspace.add_user("bob@example.com", "Bob Example");
    let body = request("POST", CREATE, &bearer(&bob.value), "{}");
    assert_eq!(exchange(&workspace, &body).status, 200);
}

#[test]
fn users_see_and_delete_only_their_own_tokens() {
    let workspace = Workspace::start();
    let bob = workspace.add_user("bob@example.com", "Bob Example");
    let infos = get_as(&workspace, &bob.value, LIST).json();
    assert_eq!(infos["token_infos"].as_array().unwrap().len(), 1);
    let body = json!({"token_id": workspace.token_id()}).to_string();
    let reply = exchange(&workspace, &request("POST", DELETE, &bearer(&bob.value), &body));
    assert_eq!(reply.status, 404);
    assert_eq!(get_as(&workspace, &bob.value, ME).json()["userName"], "bob@example.com");
}

#[test]
fn no_tokens_are_an_empty_object() {
    let workspace = Workspace::builder().tokens(1).start();
    workspace.revoke_token(workspace.token_id());
    let user = format!("{}:{}", workspace.basic_user(), workspace.basic_password());
    let output = curl(&["--user", &user, &format!("{}{LIST}", workspace.url())]);
    assert_eq!(output.stdout, b"{}");
}

#[test]
fn six_hundred_tokens_come_in_one_reply() {
    let workspace = Workspace::builder().tokens(600).start();
    let infos = get(&workspace, LIST).json();
    assert_eq!(infos["token_infos"].as_array().unwrap().len(), 600);
    assert_eq!(post(&workspace, CREATE, &json!({})).status, 400);
}

// SCIM

#[test]
fn scim_speaks_scim() {
    let workspace = Workspace::start();
    let me = get(&workspace, ME);
    let content_type = me.header("Content-Type").unwrap();
    assert!(content_type.starts_with("application/scim+json"));
    assert_eq!(me.json()["userName"], workspace.basic_user());
    assert_eq!(me.json()["active"], true);

    let names = |query: &str| {
        let me = get(&workspace, &format!("{ME}?{query}")).json();
        me.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(names("attributes=userName"), ["id", "schemas", "userName"]);
    let fewer = names("excludedAttributes=groups,emails.value");
    assert!(!fewer.contains(&"groups".to_owned()) && !fewer.contains(&"emails".to_owned()));

    for (path, status) in [(format!("{ME}?attributes=id&excludedAttributes=id"), 400), ("/api/2.0/preview/scim/v2/Nope".to_owned(), 404)] {
        let error = get(&workspace, &path);
        assert_eq!(error.status, status);
        assert_eq!(error.json()["status"], status.to_string());
        assert!(error.json()["detail"].is_string());
    }
}

// Clusters

#[test]
fn clusters_page_forward_and_back_without_gaps() {
    let workspace = Workspace::builder().clusters(45).start();
    let page = |query: &str| get(&workspace, &format!("/api/2.1/clusters/list?{query}")).json();
    let ids = |page: &Value| {
        let clusters = page["clusters"].as_array().unwrap();
        let id = |cluster: &Value| cluster["cluster_id"].as_str().unwrap().to_owned();
        clusters.iter().map(id).collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    let mut query = String::new();
    let mut sizes = Vec::new();
    let last = loop {
        let page = page(&query);
        sizes.push(ids(&page).len());
        seen.extend(ids(&page));
        match page["next_page_token"].as_str().unwrap() {
            "" => break page,
            next => query = format!("page_token={next}"),
        }
    };
    assert_eq!(sizes, [20, 20, 5]);
    assert_eq!(seen[0], "1234-567890-a12bcde3");
    let previous = last["prev_page_token"].as_str().unwrap();
    assert_eq!(ids(&page(&format!("page_token={previous}"))), seen[20..40]);

    let all = page("page_size=100");
    assert_eq!(ids(&all), seen);
    assert_eq!(all["prev_page_token"], "");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 45);

    // The same in every run: stories compare output.
    let other = Workspace::builder().clusters(45).start();
    let again = get(&other, "/api/2.0/clusters/list?page_size=100").json();
    assert_eq!(again, all);
}

#[test]
fn clusters_are_filtered_and_page_tokens_belong_to_their_filter() {
    let workspace = Workspace::builder().clusters(200).start();
    let get = |query: &str| get(&workspace, &format!("/api/2.1/clusters/list?page_size=100&{query}"));
    let all = |query: &str, field: &str, allowed: &[&str]| {
        let reply = get(query).json();
        let clusters = reply["clusters"].as_array().unwrap();
        assert!(!clusters.is_empty(), "{query}");
        for cluster in clusters {
            assert!(allowed.contains(&cluster[field].as_str().unwrap()), "{query}");
        }
        clusters.len()
    };
    all("filter_by.cluster_states=RUNNING", "state", &["RUNNING"]);
    let comma = all("filter_by.cluster_sources=UI,JOB", "cluster_source", &["UI", "JOB"]);
    let repeated = "filter_by.cluster_sources=UI&filter_by.cluster_sources=JOB";
    assert_eq!(all(repeated, "cluster_source", &["UI", "JOB"]), comma);
    let policy = "ABC123DEF4567890";
    all(&format!("filter_by.policy_id={policy}"), "policy_id", &[policy]);
    let count = |query: &str| get(query).json()["clusters"].as_array().map_or(0, Vec::len);
    assert!(count("filter_by.is_pinned=true") > 0);
    assert_eq!(get("filter_by.policy_id=none").json().get("clusters"), None);

    let next = get("filter_by.is_pinned=false").json()["next_page_token"].clone();
    let next = next.as_str().unwrap();
    assert_eq!(get(&format!("filter_by.is_pinned=false&page_token={next}")).status, 200);
    assert_eq!(get(&format!("page_token={next}")).status, 400);
}

#[test]
fn bad_cluster_queries_are_refused() {
    let workspace = Workspace::start();
    for query in [
        "page_size=0",
        "page_size=101",
        "page_size=x",
        "page_token=x",
        "filter_by.cluster_states=AWAKE",
        "filter_by.cluster_sources=MOON",
        "filter_by.is_pinned=perhaps",
    ] {
        let reply = get(&workspace, &format!("/api/2.1/clusters/list?{query}"));
        assert_eq!(reply.failure(), (400, json!("INVALID_PARAMETER_VALUE")), "{query}");
    }
    let unknown = get(&workspace, "/api/2.1/clusters/get?cluster_id=nope");
    assert_eq!(unknown.failure(), (400, json!("INVALID_PARAMETER_VALUE")));
    assert_eq!(unknown.json()["message"], "Cluster nope does not exist");
    assert_eq!(get(&workspace, "/api/2.1/clusters/get").status, 400);
    let known = get(&workspace, "/api/2.1/clusters/get?cluster_id=1234-567890-a12bcde3");
    assert_eq!(known.json()["cluster_name"], "my-cluster");
    let versions = get(&workspace, "/api/2.1/clusters/spark-versions").json();
    assert!(versions["versions"][0]["key"].is_string());
}

// Database

#[test]
fn a_database_password_opens_what_it_was_asked_for_for_an_hour() {
    let workspace = Workspace::start();
    let body = json!({"instance_names": ["my-instance"], "request_id": "r1"});
    let first = post(&workspace, CREDENTIALS, &body);
    assert_eq!(first.status, 200);
    let token = first.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(token.split('.').count(), 3);
    let grant = workspace.valid_database_token(&token).unwrap();
    assert_eq!(grant.user, workspace.basic_user());
    assert_eq!(grant.instances, ["my-instance"]);
    assert_eq!(first.json()["expiration_time"], rfc3339(grant.expires_at));

    // A repeated request gets the same reply, another one under the same id is refused.
    assert_eq!(post(&workspace, CREDENTIALS, &body).json(), first.json());
    let other = json!({"instance_names": ["db-instance-name"], "request_id": "r1"});
    assert_eq!(post(&workspace, CREDENTIALS, &other).status, 400);
    let anonymous = json!({"instance_names": ["my-instance"]});
    let one = post(&workspace, CREDENTIALS, &anonymous).json();
    let two = post(&workspace, CREDENTIALS, &anonymous).json();
    assert_ne!(one["token"], two["token"]);

    workspace.advance_clock(Duration::from_secs(3601));
    assert_eq!(workspace.valid_database_token(&token), None);
    assert_eq!(workspace.valid_database_token("nonsense"), None);
    let renewed = post(&workspace, CREDENTIALS, &body).json();
    assert_ne!(renewed["token"], first.json()["token"]);
}

#[test]
fn bad_credential_requests_are_refused() {
    let workspace = Workspace::start();
    for (body, status) in [
        (json!({}), 400),
        (json!({"instance_names": []}), 400),
        (json!({"instance_names": "my-instance"}), 400),
        (json!({"instance_names": [1]}), 400),
        (json!({"instance_names": ["my-instance"], "request_id": 1}), 400),
        (json!({"claims": {}}), 400),
        (json!({"claims": ["x"]}), 400),
        (json!({"claims": [{"permission_set": "WRITE"}]}), 400),
        (json!({"claims": [{"resources": [{}]}]}), 400),
        (json!({"instance_names": ["nope"]}), 404),
        (json!({"claims": [{"permission_set": "READ_ONLY", "resources": [{"table_name": "t"}]}]}), 200),
    ] {
        assert_eq!(post(&workspace, CREDENTIALS, &body).status, status, "{body}");
    }
}

#[test]
fn database_instances_are_listed_in_pages_and_found_by_name() {
    let workspace = Workspace::start();
    let first = get(&workspace, "/api/2.0/database/instances?page_size=2").json();
    let next = first["next_page_token"].as_str().unwrap();
    let last = get(&workspace, &format!("/api/2.0/database/instances?page_token={next}")).json();
    assert_eq!(last.get("next_page_token"), None);
    assert_eq!(last["database_instances"][0]["state"], "STOPPED");
    let found = get(&workspace, "/api/2.0/database/instances/db%2Dinstance-name").json();
    assert_eq!(found, first["database_instances"][0]);
    let missing = get(&workspace, "/api/2.0/database/instances/nope");
    assert_eq!(missing.failure(), (404, json!("NOT_FOUND")));
}

#[test]
fn host_metadata_needs_no_credential_and_names_the_plane_it_was_asked_on() {
    let workspace = Workspace::start();
    let path = "/.well-known/databricks-config";
    let plain = exchange(&workspace, &request("GET", path, "", ""));
    assert_eq!(plain.json()["oidc_endpoint"], format!("{}/oidc", workspace.url()));
    assert_eq!(plain.json()["workspace_id"], workspace.workspace_id().to_string());
    let ca_file = workspace.ca_file().to_str().unwrap();
    let tls = curl(&["--cacert", ca_file, &format!("{}{path}", workspace.https_url())]);
    let tls: Value = serde_json::from_slice(&tls.stdout).unwrap();
    assert_eq!(tls["oidc_endpoint"], format!("{}/oidc", workspace.https_url()));
}

// HTTP

#[test]
fn a_connection_serves_many_requests_also_pipelined() {
    let workspace = Workspace::start();
    let mut stream = connect(&workspace);
    let me = request("GET", ME, &bearer(workspace.token()), "");
    stream.write_all(me.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).status, 200);
    stream.write_all(me.repeat(2).as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).status, 200);
    assert_eq!(read_reply(&mut stream).status, 200);
    assert_eq!(workspace.connections(), 1);
    let closing = request("GET", ME, "Connection: close\r\n", "");
    stream.write_all(closing.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).header("Connection"), Some("close"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let numbers: Vec<_> = workspace.requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(numbers, [0, 0, 0, 0]);
}

#[test]
fn chunked_bodies_are_read_byte_by_byte_too() {
    let workspace = Workspace::start();
    let text = format!(
        "POST {CREATE} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n{}\r\n\
         5;ext=1\r\n{{\"com\r\ne\r\nment\": \"slow\"}}\r\n0\r\nTrailer: x\r\n\r\n",
        bearer(workspace.token())
    );
    let mut stream = connect(&workspace);
    for byte in text.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let reply = read_reply(&mut stream);
    assert_eq!(reply.json()["token_info"]["comment"], "slow");
    assert_eq!(workspace.requests()[0].json(), json!({"comment": "slow"}));
}

#[test]
fn a_client_that_expects_100_gets_it() {
    let workspace = Workspace::start();
    let headers = format!("{}Expect: 100-continue\r\n", bearer(workspace.token()));
    let whole = request("POST", CREATE, &headers, "{}");
    let (head, body) = whole.split_at(whole.len() - 2);
    let mut stream = connect(&workspace);
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).status, 100);
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).status, 200);
}

#[test]
fn head_and_http_1_0_and_the_absolute_form_are_understood() {
    let workspace = Workspace::start();
    let output = curl(&["--head", "--header", &format!("Authorization: Bearer {}", workspace.token()), &format!("{}{ME}", workspace.url())]);
    let head = String::from_utf8(output.stdout).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");

    let mut stream = connect(&workspace);
    let old = format!("GET {ME} HTTP/1.0\r\n{}\r\n", bearer(workspace.token()));
    stream.write_all(old.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).status, 200);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);

    let absolute = request("GET", &format!("http://elsewhere{ME}"), &bearer(workspace.token()), "");
    assert_eq!(exchange(&workspace, &absolute).status, 200);
    assert_eq!(workspace.requests()[2].path, ME);
}

#[test]
fn what_is_no_request_is_refused_and_recorded() {
    let workspace = Workspace::start();
    for (text, status) in [
        ("hello\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ] {
        workspace.clear_requests();
        assert_eq!(exchange(&workspace, text).status, status, "{text:?}");
        let seen = &workspace.requests()[0];
        assert_eq!((seen.method.as_str(), seen.status), ("", Some(status)));
        assert!(text.starts_with(&seen.body));
    }
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    assert_eq!(exchange(&workspace, &endless).status, 431);
    // TLS spoken to the plain port: recorded as what came, so that no byte goes unnoticed.
    workspace.clear_requests();
    let url = workspace.url().replace("http:", "https:");
    assert_eq!(curl(&[&url]).status.code(), Some(35));
    assert_eq!(workspace.wait_for_requests(1)[0].method, "");
}

// Recording

#[test]
fn requests_are_recorded_as_they_came() {
    let workspace = Workspace::start();
    let headers = format!("{}x-MiXeD: Value\r\n", bearer(workspace.token()));
    exchange(&workspace, &request("GET", "/a%20b?k=1&k=%C3%A9+x&empty", &headers, "body"));
    let seen = workspace.requests().remove(0);
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/a%20b"));
    assert_eq!(seen.target, "/a%20b?k=1&k=%C3%A9+x&empty");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(seen.query, [pair("k", "1"), pair("k", "é x"), pair("empty", "")]);
    assert_eq!(seen.query("k"), Some("1"));
    assert_eq!(seen.header("X-Mixed"), Some("Value"));
    assert_eq!((seen.body.as_str(), seen.plane), ("body", Plane::Http));
    assert_eq!(seen.status, Some(404));
    assert!(seen.mentions(workspace.token()) && seen.mentions("body") && !seen.mentions("zzz"));
    workspace.clear_requests();
    assert!(workspace.requests().is_empty());
}

#[test]
fn waiting_ends_when_the_request_was_read_not_when_it_was_answered() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", ME).silence());
    let mut stream = connect(&workspace);
    let me = request("GET", ME, &bearer(workspace.token()), "");
    stream.write_all(me.as_bytes()).unwrap();
    let seen = workspace.wait_for_requests(1);
    assert_eq!((seen[0].path.as_str(), seen[0].status), (ME, None));
}

#[test]
fn a_long_run_keeps_the_newest_ten_thousand() {
    let log = Log::default();
    let mut request = Request {
        method: "GET".to_owned(),
        target: "/old".to_owned(),
        path: "/old".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
        close: false,
        plane: Plane::Http,
        connection: 0,
    };
    let oldest = log.push(&request);
    for _ in 1..10_000 {
        log.push(&request);
    }
    request.path = "/newest".to_owned();
    let newest = log.push(&request);
    // The oldest is gone by now; its late answer must not land on another request.
    log.answered(oldest, 500);
    log.answered(newest, 404);
    let kept = log.all();
    assert_eq!(kept.len(), 10_000);
    assert_eq!((kept[9_999].path.as_str(), kept[9_999].status), ("/newest", Some(404)));
    assert_eq!(kept[0].status, None);
}

// Faults

#[test]
fn faults_meet_the_requests_they_were_ordered_for() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", LIST).after(1).times(2).retry_after(503, "7"));
    let statuses: Vec<_> = (0..4).map(|_| get(&workspace, LIST).status).collect();
    assert_eq!(statuses, [200, 503, 503, 200]);
    workspace.order(Fault::on("*", "/api/2.0/token").forever().retry_after(429, &http_date(0)));
    let limited = get(&workspace, LIST);
    assert_eq!(limited.failure(), (429, json!("REQUEST_LIMIT_EXCEEDED")));
    assert_eq!(limited.header("Retry-After"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(post(&workspace, CREATE, &json!({})).status, 429);
    assert_eq!(get(&workspace, ME).status, 200);
    workspace.clear_faults();
    assert_eq!(get(&workspace, LIST).status, 200);
}

#[test]
fn a_lost_reply_leaves_a_minted_token_and_an_early_reset_does_not() {
    let workspace = Workspace::builder().tokens(1).start();
    let create = request("POST", CREATE, &bearer(workspace.token()), "{}");
    for (fault, tokens) in [(Fault::on("POST", CREATE).reset_before(), 1), (Fault::on("POST", CREATE).reset_after(), 2)] {
        workspace.order(fault);
        let mut stream = connect(&workspace);
        stream.write_all(create.as_bytes()).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let infos = get(&workspace, LIST).json()["token_infos"].clone();
        assert_eq!(infos.as_array().unwrap().len(), tokens);
    }
    let seen = workspace.requests();
    assert!(seen.iter().filter(|seen| seen.path == CREATE).all(|seen| seen.status.is_none()));
}

#[test]
fn a_reset_reaches_tls_clients_too() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", "/").reset_after());
    let ca_file = workspace.ca_file().to_str().unwrap();
    let output = curl(&["--cacert", ca_file, workspace.https_url()]);
    // 56: failure in receiving network data.
    assert_eq!(output.status.code(), Some(56));
    assert_eq!(workspace.requests()[0].plane, Plane::Https);
}

#[test]
fn half_a_body_and_a_stalled_body_are_shorter_than_they_say() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", ME).half_body());
    let mut stream = connect(&workspace);
    let me = request("GET", ME, &bearer(workspace.token()), "");
    stream.write_all(me.as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.unwrap().parse().unwrap();
    assert_eq!(body.len(), length / 2);

    workspace.order(Fault::on("GET", ME).reply(Response::stalled(1000)));
    let mut stream = connect(&workspace);
    stream.write_all(me.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n{\"a") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    // And nothing more, although the connection stays open.
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(stream.read(&mut [0]).is_err());
}

#[test]
fn slow_replies_are_slow_and_complete() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", ME).delay(Duration::from_millis(20)));
    let start = Instant::now();
    assert_eq!(get(&workspace, ME).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(20));

    workspace.order(Fault::on("GET", "/nope").drip(Duration::from_micros(100)));
    let start = Instant::now();
    assert_eq!(get(&workspace, "/nope").json()["error_code"], "ENDPOINT_NOT_FOUND");
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn redirects_lead_where_they_are_told() {
    let (workspace, second) = (Workspace::start(), Workspace::start());
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}{ME}", second.url());
        workspace.order(Fault::on("POST", CREATE).redirect(status, &location));
        let reply = post(&workspace, CREATE, &json!({}));
        assert_eq!((reply.status, reply.header("Location")), (status, Some(&*location)));
    }
    assert!(second.requests().is_empty());
    // A client that follows shows up at the second origin, with whatever it brings along.
    workspace.order(Fault::on("GET", "/").redirect(302, &format!("{}{ME}", second.url())));
    curl(&["--location", "--header", "X-Secret: hush", workspace.url()]);
    assert!(second.wait_for_requests(1)[0].mentions("hush"));
}

#[test]
fn huge_bodies_are_sent_without_being_held() {
    let workspace = Workspace::start();
    let size = |response: Response| {
        workspace.order(Fault::on("GET", "/").reply(response));
        let arguments = ["--output", "/dev/null", "--write-out", "%{size_download}"];
        let output = curl(&[&arguments[..], &["--max-filesize", "50000000", workspace.url()]].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(size(Response::huge(10_000_000)), (Some(0), "10000000".to_owned()));
    let chunked = Response::repeated("[", "1,", 100_000, "1]", Framing::Chunked);
    assert_eq!(size(chunked), (Some(0), "200003".to_owned()));
    let until_close = Response::repeated("[", "1,", 100, "1]", Framing::UntilClose);
    assert_eq!(size(until_close), (Some(0), "203".to_owned()));
    assert_eq!(size(Response::deep_json(100_000)), (Some(0), "100000".to_owned()));
    // 63: curl refuses what is announced as too large, here ten gigabytes.
    assert_eq!(size(Response::huge(10_000_000_000)).0, Some(63));

    workspace.order(Fault::on("GET", LIST).reply(Response::many_tokens(1000)));
    let infos = get(&workspace, LIST).json();
    assert_eq!(infos["token_infos"].as_array().unwrap().len(), 1000);
}

#[test]
fn endless_bodies_and_headers_end_with_the_client() {
    let workspace = Workspace::start();
    for fault in [Fault::on("GET", "/").reply(Response::endless()), Fault::on("GET", "/").endless_headers()] {
        workspace.order(fault);
        let mut stream = connect(&workspace);
        stream.write_all(request("GET", "/", "", "").as_bytes()).unwrap();
        let mut block = vec![0; 1_000_000];
        stream.read_exact(&mut block).unwrap();
    }
}

#[test]
fn strange_replies_arrive_as_ordered() {
    let workspace = Workspace::start();
    let answer = |response: Response| {
        workspace.order(Fault::on("GET", ME).reply(response));
        get(&workspace, ME)
    };
    let login = answer(Response::html_login());
    assert_eq!((login.status, login.body[0]), (200, b'<'));
    let page = answer(Response::html_error(500, "out of order"));
    assert!(String::from_utf8(page.body).unwrap().contains("<pre>    out of order</pre>"));
    assert!(String::from_utf8(answer(Response::invalid_utf8(400)).body).is_err());
    let nothing = answer(Response::new(204));
    assert_eq!((nothing.status, nothing.header("Content-Length")), (204, None));
    assert_eq!(answer(Response::new(200)).header("Content-Length"), Some("0"));
    let text = answer(Response::new(200).body("text/plain", "{}"));
    assert_eq!(text.header("Content-Type"), Some("text/plain"));
    let scim = answer(Response::scim_error(409, Some("uniqueness"), "taken"));
    assert_eq!(scim.json()["scimType"], "uniqueness");
}

#[test]
fn the_end_of_a_workspace_ends_its_connections_and_frees_its_ports() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", "/silence").silence());
    workspace.order(Fault::on("GET", "/delay").delay(Duration::from_secs(3600)));
    let mut held: Vec<_> = ["/silence", "/delay", "/idle"]
        .map(|path| {
            let mut stream = connect(&workspace);
            stream.write_all(request("GET", path, "", "").as_bytes()).unwrap();
            stream
        })
        .into();
    workspace.wait_for_requests(3);
    read_reply(&mut held[2]);
    let address = workspace.url().strip_prefix("http://").unwrap().to_owned();
    let ca_file = workspace.ca_file().to_owned();
    drop(workspace);
    for mut stream in held {
        assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
    }
    assert!(TcpStream::connect(address).is_err());
    assert!(!ca_file.exists());
}

// TLS

#[test]
fn tls_variants_are_what_they_say() {
    // curl's exit codes: 0 fine, 35 handshake failed, 60 certificate not accepted.
    for (variant, expected) in [
        (TlsVariant::Trusted, 0),
        (TlsVariant::Intermediate, 0),
        (TlsVariant::Tls12Only, 0),
        (TlsVariant::Tls13Only, 0),
        (TlsVariant::MissingIntermediate, 60),
        (TlsVariant::Expired, 60),
        (TlsVariant::NotYetValid, 60),
        (TlsVariant::WrongName, 60),
        (TlsVariant::UnknownCa, 60),
        (TlsVariant::SelfSigned, 60),
        (TlsVariant::PlainHttp, 35),
    ] {
        let workspace = Workspace::tls_variant(variant);
        let ca_file = workspace.ca_file().to_str().unwrap();
        let url = format!("{}{ME}", workspace.https_url());
        let authorization = format!("Authorization: Bearer {}", workspace.token());
        let output = curl(&["--cacert", ca_file, "--header", &authorization, &url]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{variant:?}: {said}");
        if expected == 60 {
            assert!(workspace.requests().is_empty(), "{variant:?}");
            assert_eq!(workspace.connections(), 1);
        }
    }
    let workspace = Workspace::tls_variant(TlsVariant::Tls12Only);
    let ca_file = workspace.ca_file().to_str().unwrap();
    let newer = curl(&["--tlsv1.3", "--cacert", ca_file, workspace.https_url()]);
    assert_eq!(newer.status.code(), Some(35));
}

#[test]
fn https_serves_the_address_names_too_and_keeps_connections() {
    let workspace = Workspace::start();
    let ca_file = workspace.ca_file().to_str().unwrap();
    let url = workspace.https_url().replace("localhost", "127.0.0.1");
    let output = curl(&["--cacert", ca_file, &url, &url]);
    assert!(output.status.success());
    assert_eq!(workspace.requests().len(), 2);
    assert_eq!(workspace.connections(), 1);
}

#[test]
fn moments_are_written_as_the_standards_say() {
    assert_eq!(rfc3339(1_893_553_445), "2030-01-02T03:04:05Z");
    assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
    // The example of RFC 9110, 5.6.7.
    assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
}
