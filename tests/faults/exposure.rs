//! E1, E2, E4, E6: where a secret could be seen, and to whom the program talks.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::bench::{ASKING, Bench, DATABRICKS, Outcome, finish, for_each, for_each_on, has, is_root, skip, wait};
use crate::workspace::{Fault, Response, Workspace};

/// A secret in every form in which it may slip out.
fn forms(secret: &str) -> Vec<String> {
    let percent = secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let hexadecimal = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let mut forms =
        vec![secret.to_owned(), secret.to_lowercase(), secret.to_uppercase(), percent, hexadecimal.to_uppercase(), hexadecimal, secret.chars().rev().collect()];
    for engine in [&STANDARD as &dyn Fn64, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(engine.of(secret));
    }
    forms
}

/// The four engines have four types.
trait Fn64 {
    fn of(&self, text: &str) -> String;
}

impl<E: base64::Engine> Fn64 for E {
    fn of(&self, text: &str) -> String {
        self.encode(text)
    }
}

/// Ends the test if a secret is in what a command said, or in a file other than the profile file.
fn sweep(bench: &Bench, outcome: &Outcome, secrets: &[String], what: &str) {
    let mut places = vec![("stdout".to_owned(), outcome.stdout()), ("stderr".to_owned(), outcome.stderr())];
    for (path, bytes) in bench.files() {
        if path != bench.config() {
            places.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    for (place, text) in places {
        for secret in secrets {
            assert!(!text.contains(secret.as_str()), "{what}: {secret:?} is in {place}:\n{}", text.chars().take(3000).collect::<String>());
        }
    }
}

/// Replies that repeat the credential, each in another shape and place; only shapes that a reader could decode.
fn echoes(secret: &str, header: &str) -> Vec<Response> {
    let escaped = secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<Vec<_>>().concat();
    let encoded = STANDARD.encode(secret);
    vec![
        Response::error(400, "BAD_REQUEST", &format!("bad header: Authorization: {header} (token {secret})")),
        Response::error(500, secret, &format!("code and {secret}{secret}")),
        Response::refusal(401, &format!("Invalid access token {secret}")),
        Response::error(403, "PERMISSION_DENIED", &format!("'{header}' may not")),
        Response::scim_error(400, Some(secret), &format!("x{secret}y")),
        Response::json(400, &serde_json::json!({"error": secret, "error_description": header})),
        Response::json(400, &serde_json::json!({"error": {"code": secret, "message": header, "details": [{"request_id": secret}]}})),
        Response::new(400).body("application/json", format!("{{\"message\": \"{escaped}\"}}")),
        Response::html_error(500, &format!("{header} <b>{secret}</b>")),
        Response::new(500).body("text/html", format!("<html><title>{header}</title></html>")),
        Response::new(500).body("text/plain", format!("{header}\n{secret}\r\n{encoded}")),
        Response::new(500).body("text/plain", format!("CODE_{}: {secret}", secret.to_uppercase())),
        Response::new(400).body("application/json", format!("{{\"message\": \"cut {secret}")),
        Response::new(200).body("text/html", format!("<html>{header}")),
        Response::new(200).body("application/json", format!("no JSON {header}")),
        Response::new(302).header("Location", &format!("https://evil.example/?token={secret}")),
        Response::new(307).header("Location", &format!("https://{secret}.evil.example/{secret}")),
        Response::new(400).header("X-Request-Id", secret).header("X-Databricks-Reason-Phrase", header).header("X-Echo", header).header("Server", secret),
        Response::new(429).header("Retry-After", secret).body("text/plain", header),
        Response::error(503, "TEMPORARILY_UNAVAILABLE", header).header("Retry-After", &format!("99999{secret}")),
    ]
}

/// The ways to ask for more talk.
const LOUD: &[&[&str]] = &[&[], &["--debug"], &["--log-level", "trace"], &["--debug", "--log-file", "the.log"], &["--debug", "--log-file", "stdout"]];

fn loud(bench: Bench) -> Bench {
    bench
        .set("RUST_LOG", "trace")
        .set("RUST_BACKTRACE", "full")
        .set("DATABRICKS_LOG_LEVEL", "trace")
        .set("DATABRICKS_DEBUG_HEADERS", "true")
        .set("DATABRICKS_DEBUG_TRUNCATE_BYTES", "100000")
}

#[test]
fn e4_a_server_that_repeats_the_token_does_not_get_it_onto_the_screen() {
    let workspace = Workspace::start();
    let token = workspace.token().to_owned();
    let secrets = [forms(&token), forms(&format!("Bearer {token}"))].concat();
    let replies = echoes(&token, &format!("Bearer {token}"));
    let cases: Vec<_> = replies.iter().flat_map(|reply| ASKING.iter().map(move |arguments| (reply, *arguments))).collect();
    // Some of it is to wait for `auth profiles`, which tries for five seconds.
    for_each_on(16, &cases, |(reply, arguments)| {
        let workspace = Workspace::start();
        workspace.order(Fault::on("*", "/").reply((*reply).clone()).forever());
        let bench = loud(Bench::new());
        bench.write_config(format!("[DEFAULT]\nhost = {}\ntoken = {token}\nretry_timeout_seconds = 0\n", workspace.url()));
        // The environment has it talk already; where the talk goes is the same for all commands.
        for flags in if *arguments == ASKING[0] { LOUD } else { &LOUD[..1] } {
            let outcome = bench.run(&[arguments, *flags].concat());
            outcome.code();
            sweep(&bench, &outcome, &secrets, &format!("{arguments:?} {flags:?} with {reply:?}"));
        }
    });
    // Before it is in any file, the token comes from standard input or the environment. Once only: without a profile there is no short limit to retries.
    for_each(&replies, |reply| {
        let workspace = Workspace::start();
        let bench = loud(Bench::new());
        workspace.order(Fault::on("*", "/").reply(reply.clone()).times(1));
        let configure = ["configure", "--host", workspace.url(), "--verify", "--debug", "--profile", "b"];
        let outcome = bench.run_with_stdin(&configure, format!("{token}\n"));
        sweep(&bench, &outcome, &secrets, &format!("configure with {reply:?}"));
        workspace.order(Fault::on("*", "/").reply(reply.clone()).times(1));
        let mut from_env = bench.command(&["tokens", "list", "--debug"]);
        from_env.env("DATABRICKS_TOKEN", &token).env("DATABRICKS_HOST", workspace.url());
        sweep(&bench, &finish(&mut from_env, None), &secrets, &format!("from the environment with {reply:?}"));
    });
}

#[test]
fn e4_a_server_that_repeats_the_password_does_not_get_it_onto_the_screen() {
    let password = "pa55-Word-0123456789";
    let pair = format!("ann@example.com:{password}");
    let basic = STANDARD.encode(&pair);
    let secrets = [forms(password), forms(&pair), forms(&basic)].concat();
    let replies = [echoes(password, &format!("Basic {basic}")), echoes(&basic, &pair), echoes(&pair, &basic)].concat();
    for_each_on(16, &replies, |reply| {
        let workspace = Workspace::start();
        workspace.order(Fault::on("*", "/").reply(reply.clone()).forever());
        let bench = loud(Bench::new());
        bench.write_config(format!("[DEFAULT]\nhost = {}\nusername = ann@example.com\npassword = {password}\nretry_timeout_seconds = 0\n", workspace.url()));
        for arguments in [&["tokens", "list"][..], &["current-user", "me"], &["auth", "describe"], &["auth", "profiles"]] {
            let outcome = bench.run(arguments);
            outcome.code();
            sweep(&bench, &outcome, &secrets, &format!("{arguments:?} with {reply:?}"));
        }
    });
}

#[test]
fn e4_debug_output_of_what_works_holds_no_secret() {
    let workspace = Workspace::start();
    let bench = loud(Bench::with_profile(&workspace, ""));
    for arguments in ASKING {
        for flags in LOUD {
            let outcome = bench.run(&[arguments, *flags].concat());
            outcome.code();
            sweep(&bench, &outcome, &forms(workspace.token()), &format!("{arguments:?} {flags:?}"));
        }
    }
    // What is asked for is on stdout, once, and nowhere else.
    for (arguments, key) in [(&["tokens", "create"][..], "token_value"), (&["database", "generate-database-credential", "db-instance-name"], "token")] {
        for flags in [&["--debug"][..], &["--debug", "--log-file", "the.log"]] {
            let outcome = bench.run(&[arguments, flags].concat()).succeeded();
            let shown: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap();
            let secret = shown[key].as_str().unwrap().to_owned();
            assert_eq!(outcome.stdout().matches(&secret).count(), 1);
            assert!(!outcome.stderr().contains(&secret), "{outcome}");
            for (path, bytes) in bench.files() {
                assert!(!String::from_utf8_lossy(&bytes).contains(&secret), "{}", path.display());
            }
        }
    }
}

#[test]
fn e4_errors_before_any_request_hold_no_secret() {
    let secret = "dapi5ecret0123456789abcdef";
    let secrets = forms(secret);
    let broken = [
        format!("[DEFAULT]\nhost = https://a.example\ntoken = {secret}\npassword = {secret}\nusername = u\n"),
        format!("[DEFAULT]\nhost = nope nope\ntoken = {secret}\n"),
        format!("[DEFAULT]\ntoken = {secret}\n"),
        format!("[DEFAULT]\nhost = https://a.example\n{secret}\ntoken {secret}\n[{secret}\n"),
        format!("[DEFAULT]\nhost = http://127.0.0.1:1\ntoken = {secret}\nauth_type = nonsense\n"),
        format!("[DEFAULT]\nhost = http://127.0.0.1:1\ntoken = {secret}\nhttp_timeout_seconds = x\n"),
        format!("[DEFAULT]\nhost = http://127.0.0.1:1\ntoken = {secret}\nclient_secret = {secret}\nclient_id = i\nazure_client_secret = {secret}\n"),
        format!("[DEFAULT]\nhost = http://127.0.0.1:1\ntoken = {secret}\u{1}\n"),
        format!("token = {secret}\n"),
        format!("\0[DEFAULT]\ntoken = {secret}\n"),
    ];
    for_each(&broken, |config| {
        let bench = loud(Bench::new());
        bench.write_config(config);
        for arguments in ASKING {
            let outcome = bench.run(&[*arguments, &["--debug"]].concat());
            outcome.code();
            sweep(&bench, &outcome, &secrets, &format!("{arguments:?} with {config:?}"));
        }
        for arguments in [&["auth", "describe", "--offline"][..], &["auth", "switch", "--profile", "DEFAULT"], &["auth", "profiles", "--skip-validate"]] {
            sweep(&bench, &bench.run(arguments), &secrets, &format!("{arguments:?} with {config:?}"));
        }
        let mut mixed = bench.command(&["tokens", "list", "--debug"]);
        mixed.env("DATABRICKS_TOKEN", secret).env("DATABRICKS_PASSWORD", secret).env("DATABRICKS_USERNAME", "u").env("DATABRICKS_CLIENT_SECRET", secret);
        sweep(&bench, &finish(&mut mixed, None), &secrets, &format!("the environment with {config:?}"));
    });
}

#[test]
fn e1_no_secret_stands_in_any_command_line() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    workspace.order(Fault::on("*", "/").delay(Duration::from_millis(100)).forever());
    let mut seen = 0;
    for arguments in ASKING.iter().chain([&["configure", "--host", workspace.url(), "--verify", "--profile", "b"][..]].iter()) {
        let mut command = bench.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{}\n", workspace.token()).as_bytes()).unwrap();
        while child.try_wait().unwrap().is_none() {
            for process in std::fs::read_dir("/proc").unwrap().flatten() {
                let Ok(line) = std::fs::read(process.path().join("cmdline")) else { continue };
                let line = String::from_utf8_lossy(&line);
                assert!(!line.contains(workspace.token()), "{arguments:?}: {line:?}");
                seen += usize::from(line.starts_with(DATABRICKS));
            }
        }
    }
    assert!(seen > ASKING.len(), "the commands were not seen at all");
    // There is no flag to put one there.
    bench.run(&["configure", "--host", workspace.url(), "--token", "dapi123"]).code();
    assert!(!String::from_utf8_lossy(&bench.read_config().unwrap()).contains("dapi123"));
}

#[test]
fn e2_another_process_of_the_same_user_sees_neither_memory_nor_environment_and_no_core_is_left() {
    let other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    if is_root() && !has(other[0], &[&other[1..], &["true"]].concat()) {
        return;
    }
    let workspace = Workspace::start();
    workspace.order(Fault::on("*", "/").silence().forever());
    let bench = Bench::new();
    std::fs::set_permissions(bench.around(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(bench.home(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = bench.around().join("databricks");
    crate::harness::copy_program(&program);
    // Everything may look at everything else of its user, but for what the process itself forbids; and cores are allowed.
    let script = "ulimit -c unlimited; exec \"$0\" \"$@\"";
    let mut command = bench.program(if is_root() { other[0] } else { "env" });
    if is_root() {
        command.args(&other[1..]);
    }
    command.args(["sh", "-c", script]).arg(&program).args(["tokens", "list"]);
    command.env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_TOKEN", workspace.token());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    workspace.wait_for_requests(1);
    let id = child.id();
    for file in ["environ", "mem", "maps", "io"] {
        let path = format!("/proc/{id}/{file}");
        let mut reader = bench.program(if is_root() { other[0] } else { "env" });
        if is_root() {
            reader.args(&other[1..]);
        }
        let outcome = finish(reader.args(["head", "-c", "10", &path]), None);
        assert!(!outcome.status.success() && outcome.stdout.is_empty(), "{file} can be read: {outcome}");
    }
    if has("strace", &["-qq", "true"]) {
        let mut tracer = bench.program(if is_root() { other[0] } else { "env" });
        if is_root() {
            tracer.args(&other[1..]);
        }
        let outcome = finish(tracer.args(["timeout", "5", "strace", "-p", &id.to_string()]), None);
        assert!(outcome.stderr().contains("Operation not permitted"), "it can be traced: {outcome}");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::ABORT).unwrap();
    let status = wait(&mut child, Duration::from_secs(20)).unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    assert!(bench.files().is_empty(), "{:?}", bench.files().iter().map(|(path, _)| path).collect::<Vec<_>>());
}

/// The lines of `strace` about these calls.
fn traced(bench: &Bench, calls: &str, arguments: &[&str]) -> (Outcome, Vec<String>) {
    let trace = bench.around().join("trace");
    let mut command = bench.program("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={calls}"), "-e", "signal=none", "-o"]).arg(&trace).arg(DATABRICKS).args(arguments);
    let outcome = finish(&mut command, Some(b"dapi123\n"));
    let lines = std::fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect();
    (outcome, lines)
}

#[test]
fn e6_a_command_talks_to_its_workspace_and_to_nobody_else() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    if !is_root() {
        return skip("strace reads the addresses of a process that forbids to be looked at as root only");
    }
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    let port = workspace.url().rsplit(':').next().unwrap();
    for arguments in ASKING {
        let (outcome, lines) = traced(&bench, "connect,sendto,sendmsg,sendmmsg,bind", arguments);
        outcome.code();
        let connects: BTreeSet<_> = lines.iter().filter(|line| line.contains("sa_family") || line.contains("sun_path")).collect();
        assert!(!connects.is_empty(), "{arguments:?}: {lines:?}");
        for line in connects {
            assert!(line.contains(&format!("htons({port})")) && line.contains("\"127.0.0.1\""), "{arguments:?}: {line}");
        }
    }
}

#[test]
fn e6_commands_that_need_no_network_open_no_socket_and_start_no_thread() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "[b]\nhost = https://b.example\ntoken = t\n");
    let offline: &[&[&str]] = &[
        &["version"],
        &["--version"],
        &["version", "-o", "json"],
        &["help"],
        &["tokens", "create", "--help"],
        &["auth", "env"],
        &["auth", "env", "--profile", "b"],
        &["auth", "describe", "--offline"],
        &["auth", "describe", "--offline", "-o", "json"],
        &["auth", "profiles", "--skip-validate"],
        &["auth", "profiles", "--skip-validate", "-o", "json"],
        &["auth", "switch", "--profile", "b"],
        &["configure", "--host", "https://c.example", "--profile", "c"],
        &["tokens", "nonsense"],
        &["tokens", "create", "--json", "{"],
    ];
    for arguments in offline {
        let (outcome, lines) = traced(&bench, "%network,clone,clone3,fork,vfork", arguments);
        outcome.code();
        assert_eq!(lines, Vec::<String>::new(), "{arguments:?}: {outcome}");
    }
    assert_eq!(workspace.connections(), 0);
}
