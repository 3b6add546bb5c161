//! `auth serve`: the protocol, many clients, and the SDKs.

use super::{Job, Serving, answer, eventually};
use crate::peers::sdks::{Sdk, Seen};
use crate::workspace::{Fault, Response};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

#[test]
fn the_answer_is_what_every_sdk_reads() {
    let job = Job::new();
    let serving = Serving::start(&job, &["p", "q"]);
    assert_ne!(serving.paths[0], serving.paths[1]);
    assert!(serving.paths[0].len() > 40, "a path that nobody can guess: {}", serving.paths[0]);
    for path in &serving.paths {
        let (status, body) = serving.ask(&serving.request_for(path, &serving.host));
        assert_eq!(status, 200, "{body}");
        let token: Value = serde_json::from_str(&body).unwrap();
        assert!(job.workspace.access_token_works(token["access_token"].as_str().unwrap()));
        assert_eq!(token["token_type"], "Bearer");
        let left = token["expires_on"].as_i64().expect("a whole number") - i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        assert!((3_000..=3_600).contains(&left), "{left}");
    }
    // The same host in another spelling is the same host.
    assert_eq!(serving.ask(&serving.request_for(&serving.paths[0], &format!("{}/", serving.host))).0, 200);
    assert_eq!(job.workspace.grants().client_credentials, 1, "the profiles share a principal, and its token");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn whatever_is_not_quite_the_protocol_is_refused() {
    let job = Job::new();
    let serving = Serving::start(&job, &["p"]);
    let good = serving.request();
    let (address, host, path) = (&serving.address, &serving.host, &serving.paths[0]);
    let port = address.split(':').next_back().unwrap();
    for (what, request, status) in [
        ("no version", good.replace("X-Databricks-Metadata-Version: 1\r\n", ""), 400),
        ("another version", good.replace("Version: 1", "Version: 2"), 400),
        ("an empty version", good.replace("Version: 1", "Version:"), 400),
        ("no host", good.replace(&format!("X-Databricks-Host: {host}\r\n"), ""), 400),
        ("another host", good.replace(&format!("X-Databricks-Host: {host}"), "X-Databricks-Host: https://evil.example"), 400),
        ("two hosts", good.replace("X-Databricks-Host", &format!("X-Databricks-Host: {host}\r\nX-Databricks-Host")), 400),
        ("a rebound name", good.replace(&format!("Host: {address}\r\n"), &format!("Host: evil.example:{port}\r\n")), 403),
        ("another port", good.replace(&format!("Host: {address}\r\n"), "Host: 127.0.0.1:1\r\n"), 403),
        ("no Host", good.replace(&format!("Host: {address}\r\n"), ""), 400),
        ("a page", good.replace("X-Databricks-Metadata", "Origin: https://evil.example\r\nX-Databricks-Metadata"), 403),
        ("another path", good.replace(path, "/"), 404),
        ("a longer path", good.replace(path, &format!("{path}x")), 404),
        ("a query", good.replace(path, &format!("{path}?x=1")), 404),
        ("POST", good.replace("GET", "POST"), 405),
        ("HEAD", good.replace("GET", "HEAD"), 405),
        ("OPTIONS", good.replace("GET", "OPTIONS"), 405),
        ("a body", good.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"), 400),
        ("no HTTP", "hello\r\n\r\n".to_owned(), 400),
        ("too large", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9_000)), 431),
    ] {
        let (answered, body) = serving.ask(&request);
        assert_eq!(answered, status, "{what}: {body}");
        assert!(!body.contains("access_token"), "{what}: {body}");
    }
    assert_eq!(job.workspace.grants().client_credentials, 0, "nothing of it was worth a token");
    // By another name of this machine it is still this machine.
    assert_eq!(serving.ask(&good.replace(&format!("Host: {address}\r\n"), &format!("Host: localhost:{port}\r\n"))).0, 200);
}

#[test]
fn a_connection_serves_many_requests_whole_or_in_pieces() {
    let job = Job::new();
    let serving = Serving::start(&job, &["p"]);
    let mut stream = serving.connect();
    let request = serving.request();
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(answer(&mut stream).0, 200);
    }
    stream.write_all(format!("{request}{request}").as_bytes()).unwrap();
    assert_eq!((answer(&mut stream).0, answer(&mut stream).0), (200, 200));
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(answer(&mut stream).0, 200);
    stream.write_all(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).0, 200);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it was asked to close");
}

#[test]
fn a_thousand_clients_at_once_cost_one_token() {
    let job = Job::new();
    let serving = Serving::start(&job, &["p"]);
    let request = serving.request();
    let mut clients: Vec<_> = (0..1_000).map(|_| serving.connect()).collect();
    let rounds = 5;
    for round in 0..rounds {
        for client in &mut clients {
            client.write_all(request.as_bytes()).unwrap();
        }
        for client in &mut clients {
            assert_eq!(answer(client).0, 200, "round {round}");
        }
    }
    assert_eq!(job.workspace.grants().client_credentials, 1);
    // An idle broker does nothing: no processor time goes by while nobody asks.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", serving.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        (fields[11].parse::<u64>().unwrap(), fields[12].parse::<u64>().unwrap())
    };
    let wakeups = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", serving.child.id())).unwrap().flatten();
        let counts = tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap_or_default());
        counts.filter_map(|status| status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse::<u64>().ok()).sum::<u64>()
    };
    drop(clients);
    eventually("the end of the connections", || std::fs::read_dir(format!("/proc/{}/fd", serving.child.id())).unwrap().count() < 20);
    let before = (ticks(), wakeups());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((ticks(), wakeups()), before);
    let memory = std::fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let peak: u64 = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 64 << 10, "{peak} kB");
}

#[test]
fn who_cannot_be_served_is_told_why_and_served_as_soon_as_it_works() {
    let job = Job::new();
    let serving = Serving::start(&job, &["p"]);
    let refusal = Response::json(401, &json!({"error": "invalid_client", "error_description": "no such secret"}));
    job.workspace.order(Fault::on("POST", "/oidc/v1/token").forever().reply(refusal));
    let (status, body) = serving.ask(&serving.request());
    assert_eq!(status, 503, "{body}");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert!(told["message"].as_str().unwrap().contains("no such secret"), "{body}");
    job.workspace.clear_faults();
    eventually("a token", || serving.ask(&serving.request()).0 == 200);
}

#[test]
fn a_unix_socket_serves_the_same_and_goes_with_the_broker() {
    let job = Job::new();
    let socket = job.home.work().join("s");
    let serving = Serving::start(&job, &["p", "--socket", socket.to_str().unwrap()]);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(serving.request().replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(serving.end(), Some(0));
    assert!(!socket.exists());
}

/// Somebody else has learned the address: the kernel tells whose connection it is.
#[test]
fn another_user_is_not_served() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let job = Job::new();
    let serving = Serving::start(&job, &["p"]);
    let ask = |uid: &str| {
        let url = format!("http://{}{}", serving.address, serving.paths[0]);
        let script = format!(
            "exec setpriv --reuid={uid} --clear-groups curl -s -w '%{{http_code}}' -o /dev/null -H 'X-Databricks-Metadata-Version: 1' -H 'X-Databricks-Host: {}' {url}",
            serving.host
        );
        job.home.script(&script).run().stdout.clone()
    };
    assert_eq!((ask("65534"), job.workspace.grants().client_credentials), ("000".to_owned(), 0));
    assert_eq!(ask("0"), "200");
}

#[test]
fn only_this_machine_is_listened_on_and_addresses_are_not_shown_unasked() {
    let job = Job::new();
    for address in ["0.0.0.0:0", "[::1]:0"] {
        job.home.run(["auth", "serve", "p", "-o", "json", "--listen", address]).fails().says("Listen on 127.0.0.1");
    }
    job.home.run("auth serve p").fails().says("--write-profile");
    job.home.run("auth serve nobody --write-profile x").fails().says("nobody");
    let taken = job.home.config();
    job.home.run("auth serve p --write-profile q").fails().says("none that auth serve wrote");
    assert_eq!(job.home.config(), taken);
    let unit = job.home.run("auth serve p --write-profile live --unit systemd");
    unit.ok().shows("Type=notify").shows("\"auth\" \"serve\" \"p\" \"--write-profile\" \"live\"\n").lacks("--unit");
    job.home.run("auth serve p --write-profile live --unit=launchd").ok().shows("<string>serve</string>").lacks("--unit");
}

/// What knows the auth type: the Java SDK has not learned it.
const SDKS: [Sdk; 3] = [Sdk::Python, Sdk::Go, Sdk::JavaScript];

/// All at once, as programs that were started once; their tokens live for seconds.
#[test]
fn sdks_never_see_an_old_token() {
    let job = Job::with_tokens_of(Duration::from_secs(3));
    let before = job.home.config();
    let (calls, pause) = (100, 50);
    let lines: Vec<String> =
        SDKS.iter().enumerate().map(|(place, sdk)| format!("( {} ) > out-{place} 2> err-{place} &", sdk.line("live", calls, pause))).collect();
    let script = format!(
        "mkfifo ready; databricks auth serve p --write-profile live --ready-fd 3 3> ready > said & broker=$!; read -r word < ready; [ \"$word\" = ready ] || exit 9\n\
         cp ~/.databrickscfg with\n{}\nwait -n; wait $(jobs -p | grep -v \"^$broker$\"); kill -TERM $broker; wait $broker; echo \"broker $?\"",
        lines.join("\n")
    );
    let started = Instant::now();
    job.home.store(job.home.work().join("with"));
    let outcome = job.home.script(&script).run();
    outcome.ok().shows("broker 0");
    println!("SDKs: {:?}", started.elapsed());
    let text = |name: &str| std::fs::read_to_string(job.home.work().join(name)).unwrap();
    for (place, sdk) in SDKS.iter().enumerate() {
        let (out, err) = (text(&format!("out-{place}")), text(&format!("err-{place}")));
        let seen: Seen = serde_json::from_str(out.trim_end()).unwrap_or_else(|error| panic!("{sdk:?}: {error}\n{out}\n{err}"));
        assert_eq!((seen.ok, seen.unauthorized), (calls, 0), "{sdk:?}: {seen:?}");
    }
    assert_eq!(job.refused(), 0);
    assert!(job.workspace.grants().client_credentials >= 3, "they lived across expiries: {:?}", job.workspace.grants());
    assert!(text("with").contains("[live]") && text("with").contains("auth_type"), "{}", text("with"));
    assert_eq!(text("said"), format!("p at {}: profile live\n", job.workspace.url()));
    assert_eq!(job.home.config().trim_end(), before.trim_end(), "what it wrote is gone");
}
