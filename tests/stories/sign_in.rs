//! A person signs in with the browser: on a desktop, over ssh, by a pasted address; and out again.

use crate::harness::{Home, Typing, free_port, profile};
use crate::workspace::{Document, Fault, HostKind, Page, Response, Workspace};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

const ANN: &str = "ann@example.com";

/// A home with a browser that puts the link it gets into a pipe, and a callback port that nobody else has.
struct Desktop {
    home: Home,
    workspace: Arc<Workspace>,
    links: PathBuf,
    port: u16,
}

fn desktop() -> Desktop {
    desktop_at(Workspace::start())
}

fn desktop_at(workspace: Workspace) -> Desktop {
    let home = Home::new();
    let workspace = home.joins(workspace);
    let links = home.path().join("links");
    rustix::fs::mkfifoat(rustix::fs::CWD, &links, rustix::fs::Mode::RWXU).unwrap();
    let script = home.path().join("browser");
    home.write(&script, format!("#!/bin/sh\n[ $# = 1 ] && printf '%s\\n' \"$1\" > '{}'\n", links.display()));
    crate::harness::set_mode(&script, 0o700);
    home.set("BROWSER", script);
    let port = free_port();
    home.set("DATABRICKS_OAUTH_CALLBACK_PORT", port.to_string());
    home.store(home.path().join(".databricks/token-cache.json"));
    Desktop { home, workspace, links, port }
}

impl Desktop {
    /// Somebody who waits at the browser and does this with the link.
    fn person<T: Send + 'static>(&self, acts: impl FnOnce(&Workspace, &str) -> T + Send + 'static) -> JoinHandle<T> {
        let (links, workspace) = (self.links.clone(), Arc::clone(&self.workspace));
        thread::spawn(move || {
            let mut link = String::new();
            std::fs::File::open(links).unwrap().read_to_string(&mut link).unwrap();
            acts(&workspace, link.trim_end())
        })
    }

    /// Signs in as Ann with these arguments, and plants codes, verifiers and what was granted for them as secrets.
    fn sign_in(&self, arguments: &str) -> String {
        let browser = self.person(|workspace, link| arrive(workspace, &workspace.approve(link)));
        let outcome = self.home.run(format!("auth login {arguments}").as_str());
        outcome.ok().prints("");
        let page = browser.join().unwrap();
        assert_eq!(page.status, 200);
        self.plant();
        outcome.stderr
    }

    fn plant(&self) {
        for entry in self.tokens().as_object().unwrap().values() {
            for field in ["access_token", "refresh_token"] {
                self.home.secret_of(&self.workspace, entry[field].as_str().unwrap());
            }
        }
        for secret in self.exchanged() {
            self.home.secret_of(&self.workspace, &secret);
        }
    }

    /// The codes and verifiers that the token endpoint was sent.
    fn exchanged(&self) -> Vec<String> {
        let requests = self.workspace.token_requests();
        let fields = requests.iter().flat_map(|request| request.body.split('&'));
        fields.filter_map(|field| field.strip_prefix("code=").or_else(|| field.strip_prefix("code_verifier="))).map(ToOwned::to_owned).collect()
    }

    /// Says of every access token in the store that it has ended.
    fn expire(&self) {
        let mut store = json!({"version": 1, "tokens": self.tokens()});
        for (_, entry) in store["tokens"].as_object_mut().unwrap() {
            entry["expiry"] = json!("2020-01-01T00:00:00.5Z");
        }
        self.home.write(".databricks/token-cache.json".as_ref(), store.to_string());
    }

    /// The entries of the token cache, by key.
    fn tokens(&self) -> Value {
        let bytes = std::fs::read(self.home.path().join(".databricks/token-cache.json")).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["tokens"].take()
    }

    /// The keys of these entries, hosts first.
    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.tokens().as_object().unwrap().keys().cloned().collect();
        keys.sort_by_key(|key| (!key.starts_with("http"), key.clone()));
        keys
    }

    fn url(&self) -> &str {
        self.workspace.url()
    }
}

/// Goes to the callback and to the page that it leads to.
fn arrive(workspace: &Workspace, callback: &str) -> Page {
    let first = workspace.visit(callback);
    assert_eq!(first.status, 303, "{}", first.body);
    let (origin, _) = callback.split_once("/?").unwrap();
    workspace.visit(&format!("{origin}{}", first.header("Location").unwrap()))
}

#[test]
fn on_a_desktop_the_browser_opens_and_a_profile_remembers() {
    let desktop = desktop();
    let (home, url) = (&desktop.home, desktop.url());
    let browser = desktop.person(|workspace, link| {
        assert!(link.starts_with(&format!("{}/oidc/v1/authorize?client_id=databricks-cli&code_challenge=", workspace.url())), "{link}");
        let names: Vec<&str> = link.split_once('?').unwrap().1.split('&').filter_map(|pair| pair.split('=').next()).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(link.contains("&scope=offline_access+all-apis&"), "{link}");
        let callback = workspace.approve(link);
        (arrive(workspace, &callback), callback)
    });
    let outcome = home.run(format!("auth login --host {url} --profile test").as_str());
    outcome.ok().prints("");
    let (page, callback) = browser.join().unwrap();
    desktop.plant();
    assert_eq!((page.status, page.header("Cache-Control"), page.header("Referrer-Policy")), (200, Some("no-store"), Some("no-referrer")));
    assert!(page.body.contains("<h1>You are signed in</h1>") && page.body.contains(url), "{}", page.body);
    let code = callback.split_once("code=").unwrap().1.split('&').next().unwrap();
    assert!(!page.body.contains(code));

    outcome.says("There is no keyring here").says("~/.databricks/token-cache.json, which only you can read.");
    outcome.says("Profile test was successfully saved\n").says(&format!("Signed in to {url} as {ANN}\n"));
    let id = desktop.workspace.workspace_id();
    assert_eq!(
        home.config(),
        format!(
            "[__settings__]\nauth_storage = plaintext\ndefault_profile = test\n\n[test]\nhost         = {url}\nworkspace_id = {id}\nauth_type    = databricks-cli\n"
        )
    );
    assert_eq!(home.config_mode(), 0o600);
    assert_eq!(desktop.keys(), [url, "test"]);
    home.command("auth token -p test -o text").reveals().run().ok().prints(&format!("{}\n", desktop.tokens()["test"]["access_token"].as_str().unwrap()));
    home.run("current-user me -p test").ok().shows(ANN);
    assert!(TcpStream::connect(("127.0.0.1", desktop.port)).is_err(), "the port is free again");
}

#[test]
fn without_a_terminal_and_a_name_no_profile_is_written() {
    let desktop = desktop();
    let said = desktop.sign_in(&format!("--host {}", desktop.url()));
    assert!(said.contains(&format!("Signed in to {} as {ANN}", desktop.url())) && said.contains("No profile was written"), "{said}");
    assert_eq!(desktop.home.config(), "[__settings__]\nauth_storage = plaintext\n");
    assert_eq!(desktop.keys(), [desktop.url()]);
    assert!(said.contains(&format!("databricks auth token --host {}", desktop.url())), "{said}");
    desktop.home.command(format!("auth token --host {}", desktop.url()).as_str()).reveals().run().ok().shows("access_token");
    // Where the host has a profile, its sign-in is the one that `auth token --host` prints.
    desktop.sign_in(&format!("--host {} --profile p", desktop.url()));
    let said = desktop.sign_in(&format!("--host {}", desktop.url()));
    assert!(said.contains("databricks auth login --profile p") && !said.contains("auth token --host"), "{said}");
}

#[test]
fn a_profile_changes_to_the_sign_in_and_keeps_the_rest() {
    let desktop = desktop();
    let url = desktop.url();
    desktop.home.secret("dapi-the-old-token");
    desktop.home.write_config(format!(
        "# mine\n[dev]\nhost = {url}\ntoken = dapi-the-old-token\ncluster_id = 1234-567890-a12bcde3\nmy_key = 7\nscopes = all-apis\n\n[other]\nhost = https://h.example\n"
    ));
    desktop.sign_in("dev");
    let id = desktop.workspace.workspace_id();
    let expected = format!(
        "# mine\n[dev]\nhost = {url}\ncluster_id = 1234-567890-a12bcde3\nmy_key = 7\nscopes = all-apis\nworkspace_id = {id}\nauth_type = databricks-cli\n\n[other]\nhost = https://h.example\n\n[__settings__]\nauth_storage = plaintext\n"
    );
    assert_eq!(desktop.home.config(), expected);
    // Signing in again changes nothing but the token.
    let before = desktop.tokens()["dev"]["access_token"].clone();
    desktop.sign_in("--profile dev");
    assert_eq!(desktop.home.config(), expected);
    assert_ne!(desktop.tokens()["dev"]["access_token"], before);
}

#[test]
fn scopes_and_compute_are_remembered() {
    let desktop = desktop();
    let url = desktop.url().to_owned();
    let browser = desktop.person(|workspace, link| {
        assert!(link.contains("&scope=offline_access+sql&"), "{link}");
        arrive(workspace, &workspace.approve(link))
    });
    desktop.home.run(format!("auth login --host {url} --profile s --scopes sql --configure-serverless").as_str()).ok();
    browser.join().unwrap();
    desktop.plant();
    let config = desktop.home.config();
    assert!(config.contains("serverless_compute_id = auto\n") && config.contains("scopes                = sql\n"), "{config}");
    let browser = desktop.person(|workspace, link| {
        assert!(link.contains("&scope=offline_access+sql&"), "{link}");
        arrive(workspace, &workspace.approve(link))
    });
    desktop.home.command("auth login s --configure-cluster").env("DATABRICKS_CLUSTER_ID", "1234-567890-a12bcde3").run().ok();
    browser.join().unwrap();
    desktop.plant();
    let config = desktop.home.config();
    assert!(config.contains("cluster_id   = 1234-567890-a12bcde3") || config.contains("cluster_id            = 1234-567890-a12bcde3"), "{config}");
    assert!(!config.contains("serverless"), "{config}");
}

#[test]
fn who_says_no_is_believed_and_nothing_is_kept() {
    let desktop = desktop();
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.deny(link)));
    let outcome = desktop.home.run(format!("auth login --host {} --profile p", desktop.url()).as_str());
    outcome.fails().says("Error: authorize: access_denied: The user denied the request\nHint: ");
    let page = browser.join().unwrap();
    assert!(page.status == 400 && page.body.contains("The sign-in did not work") && !page.body.contains("denied"), "{}", page.body);
    assert!(!desktop.home.config().contains("[p]"));
    assert_eq!(desktop.workspace.grants().given(), 0);
}

#[test]
fn strangers_at_the_callback_change_nothing() {
    let desktop = desktop();
    let port = desktop.port;
    let browser = desktop.person(move |workspace, link| {
        for target in ["/favicon.ico", "/", "/?code=evil", "/?error=access_denied&state=x", "/?code=evil&state=x", "/done"] {
            assert!(matches!(workspace.visit(&format!("http://localhost:{port}{target}")).status, 400 | 404), "{target}");
        }
        let mut half = TcpStream::connect(("::1", port)).unwrap();
        half.write_all(b"GET /?code=half HTTP/1.1\r\n").unwrap();
        arrive(workspace, &workspace.approve(link)).status
    });
    desktop.home.run(format!("auth login --host {} --profile p", desktop.url()).as_str()).ok();
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
}

#[test]
fn a_callback_from_another_issuer_is_not_used() {
    for iss in [Some("https://evil.example/oidc"), None] {
        let desktop = desktop();
        desktop.workspace.set_callback_parameter("iss", iss);
        let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
        let outcome = desktop.home.run(format!("auth login --host {} --profile p", desktop.url()).as_str());
        outcome.fails().says("the code was not used");
        assert_eq!(browser.join().unwrap(), 400);
        assert_eq!(desktop.workspace.token_requests().len(), 0);
    }
}

#[test]
fn a_code_that_is_not_ours_ends_in_a_clear_error() {
    let desktop = desktop();
    desktop.workspace.set_callback_parameter("code", Some("dcod-of-another-sign-in"));
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    let outcome = desktop.home.run(format!("auth login --host {} --profile p", desktop.url()).as_str());
    outcome.fails().says(&format!("Error: the sign-in to {} was not completed: ", desktop.url())).says("(error code: invalid_grant)");
    assert_eq!(browser.join().unwrap(), 400);
    assert!(!desktop.home.config().contains("[p]"));
}

#[test]
fn pages_that_are_none_are_not_opened() {
    for endpoint in ["file:///etc/passwd", "javascript:alert(1)", "--help", "https://evil.example/authorize"] {
        let desktop = desktop();
        desktop.workspace.set_document_field(Document::AuthorizationServer, "authorization_endpoint", Some(json!(endpoint)));
        let outcome = desktop.home.run(format!("auth login --host {} --profile p", desktop.url()).as_str());
        outcome.fails().says("authorization_endpoint").within(Duration::from_secs(5));
    }
}

#[test]
fn nobody_is_waited_for_longer_than_told() {
    let desktop = desktop();
    desktop.home.set("BROWSER", "none");
    let outcome = desktop.home.run(format!("auth login --host {} --profile p --timeout 1s", desktop.url()).as_str());
    outcome.fails().says("To sign in, open this link in a browser:\nhttp").says("nobody signed in").within(Duration::from_secs(4));
    drop(TcpListener::bind(("127.0.0.1", desktop.port)).expect("the port is free again"));
    assert_eq!(desktop.home.config(), "[__settings__]\nauth_storage = plaintext\n");
}

#[test]
fn a_named_port_that_is_taken_is_said_with_its_holder() {
    let desktop = desktop();
    let _theirs = TcpListener::bind(("127.0.0.1", desktop.port)).unwrap();
    let outcome = desktop.home.run(format!("auth login --host {} --profile p", desktop.url()).as_str());
    outcome.fails().says(&format!("Error: port {}, which DATABRICKS_OAUTH_CALLBACK_PORT names, is in use by ", desktop.port));
    outcome.says(&format!("(process {})", std::process::id()));
}

#[test]
fn two_at_once_are_one_sign_in() {
    let desktop = desktop();
    let url = desktop.url().to_owned();
    let line = format!("auth login --host {url} --profile p");
    let (reached, is_open) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let browser = desktop.person(move |workspace, link| {
        reached.send(()).unwrap();
        gone.recv().unwrap();
        arrive(workspace, &workspace.approve(link)).status
    });
    let mut first = desktop.home.typing_script(&format!("databricks {line}"));
    is_open.recv().unwrap();
    let mut second = desktop.home.typing_script(&format!("databricks {line}"));
    second.wait_for("is under way");
    go.send(()).unwrap();
    first.wait_for("Signed in to");
    second.wait_for("Signed in to");
    for typing in [first, second] {
        typing.end().ok().says("Profile p was successfully saved");
    }
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
    assert_eq!(desktop.workspace.grants().codes, 1);
}

#[test]
fn d10_two_at_once_for_two_hosts_mix_nothing() {
    let desktop = desktop();
    let other = desktop.home.joins(Workspace::start());
    let (reached, is_open) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let browser = desktop.person(move |workspace, link| {
        reached.send(()).unwrap();
        gone.recv().unwrap();
        arrive(workspace, &workspace.approve(link)).status
    });
    let mut first = desktop.home.typing_script(&format!("databricks auth login --profile p --host {}", desktop.url()));
    is_open.recv().unwrap();
    // One at a terminal, who can be asked, and one that cannot.
    let mut second = desktop.home.typing_script(&format!("databricks auth login --profile p --host {}", other.url()));
    second.wait_for("is under way");
    let mut third = desktop.home.command(format!("auth login --profile p --host {} --timeout 30s", other.url()).as_str()).spawn();
    go.send(()).unwrap();
    first.wait_for("Signed in to");
    first.end().ok();
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
    second.asked("Change it? [y/N]");
    second.answer("n");
    second.end().fails_on_terminal("which conflicts with --host");
    assert_eq!(third.wait().unwrap().code(), Some(1), "nobody could be asked");
    assert!(desktop.home.config().contains(&format!("= {}\n", desktop.url())) && !desktop.home.config().contains(other.url()), "{}", desktop.home.config());
    desktop.home.run("current-user me -p p").ok();
    assert_eq!(other.grants().codes, 0);
}

#[test]
fn d10_a_refresh_at_the_host_of_before_does_not_come_over_the_new_sign_in() {
    let desktop = desktop();
    desktop.sign_in(&format!("--host {} --profile p", desktop.url()));
    desktop.expire();
    // Its tokens end before those of the refresh: which one lives longer says nothing of which one is meant.
    let other = desktop.home.joins(Workspace::builder().token_lifetime(Duration::from_secs(600)).start());
    let gate = crate::workspace::Gate::default();
    desktop.workspace.order(Fault::on("POST", "/oidc/v1/token").held(&gate));
    let refresh = desktop.home.command("auth token -p p").reveals().spawn();
    desktop.workspace.wait_for_oauth(Duration::from_secs(20), |grants| grants.refreshes == 1);
    let mut typing = desktop.home.typing(format!("auth login --host {} --profile p", other.url()).as_str());
    typing.asked("Change it? [y/N]");
    let walk = Arc::clone(&other);
    let browser = desktop.person(move |_, link| arrive(&walk, &walk.approve(link)).status);
    typing.answer("y");
    // The code is exchanged; what came of it is kept when the refresh is done.
    other.wait_for_oauth(Duration::from_secs(20), |grants| grants.codes == 1);
    let is_kept = || desktop.tokens()["p"]["access_token"].as_str().is_some_and(|token| other.access_token_works(token));
    let until = std::time::Instant::now() + Duration::from_secs(1);
    while std::time::Instant::now() < until {
        assert!(!is_kept(), "it did not wait");
        thread::sleep(Duration::from_millis(20));
    }
    // Who still means the host of before waits behind the sign-in, and finds another host's token where the own one was.
    let behind: Vec<_> = (0..3).map(|_| desktop.home.command("current-user me -p p").spawn()).collect();
    thread::sleep(Duration::from_millis(500));
    gate.open();
    typing.wait_for("Signed in to");
    typing.end().ok();
    browser.join().unwrap();
    refresh.wait_with_output().unwrap();
    for mut child in behind {
        child.wait().unwrap();
    }
    let new = desktop.tokens()["p"]["access_token"].as_str().unwrap().to_owned();
    assert!(!desktop.workspace.requests().iter().any(|request| request.mentions(&new)), "the token of {} was sent to {}", other.url(), desktop.url());
    let own = desktop.tokens()["p"]["access_token"].as_str().unwrap().to_owned();
    assert!(other.access_token_works(&own), "under the profile of {} is a token of {}", other.url(), desktop.url());
    desktop.home.run("current-user me -p p").ok();
}

#[test]
fn mistakes_are_said_in_the_words_that_scripts_know() {
    let desktop = desktop();
    let home = &desktop.home;
    home.write_config(profile("a", desktop.url(), desktop.workspace.token()));
    for (line, message) in [
        ("auth login foo", "no matching profile found: \"foo\""),
        ("auth login foo --host h.example", "argument \"foo\" cannot be combined with --host or --profile. Use the --host and --profile flags instead"),
        ("auth login --configure-cluster --configure-serverless", "please either configure serverless or cluster, not both"),
        ("auth login -p new --account-id x", "--account-id requires --host to be specified"),
        ("auth login", "setting up login.databricks.com: profile name must not be empty for discovery login"),
        ("auth login a --configure-cluster", "cluster ID must be set in non-interactive mode"),
    ] {
        home.run(line).error(message);
    }
    home.run("auth login -p a --host https://h.example").fails().says(&format!(
        "Error: --profile \"a\" has host \"{}\", which conflicts with --host \"https://h.example\". Use --profile only to select a profile",
        desktop.url()
    ));
    home.run("auth login --host http://h.example").fails().says("must start with https://");
    home.run("auth login --timeout soon").fails().says("invalid argument \"soon\" for \"--timeout\" flag");
    assert!(home.config().contains(desktop.workspace.token()), "nothing was lost");
}

#[test]
fn without_a_host_the_page_of_databricks_finds_it() {
    let desktop = desktop();
    desktop.home.set("DATABRICKS_DISCOVERY_HOST", desktop.url());
    let browser = desktop.person(|workspace, link| {
        assert!(link.starts_with(&format!("{}/?destination_url=%2Foidc%2Fv1%2Fauthorize%3Fclient_id%3D", workspace.url())), "{link}");
        arrive(workspace, &workspace.approve(link)).status
    });
    desktop.home.run("auth login --profile found").ok().says("Profile found was successfully saved");
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
    let config = desktop.home.config();
    for line in [
        format!("host         = {}", desktop.url()),
        format!("account_id   = {}", desktop.workspace.account_id()),
        format!("workspace_id = {}", desktop.workspace.workspace_id()),
        "auth_type    = databricks-cli".to_owned(),
    ] {
        assert!(config.contains(&line), "{line} is missing in\n{config}");
    }
    assert_eq!(desktop.keys(), [desktop.url(), "found"]);
}

#[test]
fn a_found_host_has_to_be_one_of_databricks() {
    for (iss, said) in [
        (Some("https://evil.example/oidc"), "lies in no domain of Databricks"),
        (Some("http://evil.example/oidc"), "issuer must use https scheme"),
        (None, "callback did not include an issuer (iss) parameter"),
    ] {
        let desktop = desktop();
        desktop.home.set("DATABRICKS_DISCOVERY_HOST", desktop.url());
        desktop.workspace.set_callback_parameter("iss", iss);
        let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
        let outcome = desktop.home.run("auth login --profile found");
        outcome.fails().says("Error: login via login.databricks.com failed: ").says(said);
        outcome.says("\n\nTip: you can specify a workspace directly with: databricks auth login --host <url>");
        assert_eq!(browser.join().unwrap(), 400);
        assert_eq!(desktop.workspace.token_requests().len(), 0);
    }
}

#[test]
fn an_account_and_its_workspaces() {
    let desktop = desktop_at(Workspace::builder().host_kind(HostKind::Unified).start());
    let account = desktop.workspace.account_id().to_owned();
    let said = desktop.sign_in(&format!("--host {} --profile u", desktop.url()));
    assert!(said.contains("To use workspace commands, set workspace_id in your profile or pass --workspace-id."), "{said}");
    let config = desktop.home.config();
    assert!(config.contains(&format!("account_id = {account}\n")) && !config.contains("workspace_id"), "{config}");
    assert_eq!(desktop.keys(), [format!("{}/oidc/accounts/{account}", desktop.url()), "u".to_owned()]);

    // At a terminal the workspace is chosen.
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    let mut typing = desktop.home.typing(format!("auth login --host {} --profile chosen", desktop.url()).as_str());
    typing.asked("Select a workspace");
    typing.wait_for("Skip (account-level access only)");
    typing.answer("staging");
    typing.wait_for("Signed in to");
    typing.end().ok().says("Select a workspace: staging");
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
    let id = desktop.workspace.workspace_id() + 1;
    assert!(desktop.home.config().contains(&format!("workspace_id = {id}")), "{}", desktop.home.config());
}

/// What stands on the line after these words.
fn line_after(typing: &mut Typing<'_>, words: &str) -> String {
    typing.wait_for("Address from the browser");
    let drawn = String::from_utf8_lossy(typing.raw()).into_owned();
    drawn.split_once(words).unwrap().1.lines().nth(1).unwrap().trim().to_owned()
}

#[test]
fn over_ssh_the_link_the_tunnel_and_the_paste_are_shown() {
    let desktop = desktop();
    let (home, port) = (&desktop.home, desktop.port);
    let line = format!("auth login --host {} --profile p --no-browser", desktop.url());
    let ssh = [("SSH_CONNECTION", "10.0.0.9 50122 10.0.0.1 22"), ("USER", "ann")];

    // Pasted, hidden; a wrong one first.
    let mut typing = home.typing_with(line.as_str(), &ssh);
    typing.wait_for(&format!("ssh -N -L {port}:localhost:{port} ann@10.0.0.1"));
    let link = line_after(&mut typing, "open this link in a browser:");
    let callback = desktop.workspace.approve(&link);
    typing.wait_raw();
    typing.answer("http://localhost/");
    typing.wait_for(">> ");
    typing.send("\x15");
    typing.answer(&callback);
    typing.wait_for("Signed in to");
    let code = callback.split_once("code=").unwrap().1.split('&').next().unwrap();
    assert!(!String::from_utf8_lossy(typing.raw()).contains(code), "the code was shown");
    typing.end().ok();
    desktop.plant();

    // Through the tunnel, while the question is open.
    let mut typing = home.typing_with(line.as_str(), &ssh);
    let link = line_after(&mut typing, "open this link in a browser:");
    typing.wait_raw();
    assert_eq!(arrive(&desktop.workspace, &desktop.workspace.approve(&link)).status, 200);
    typing.wait_for("Signed in to");
    typing.end().ok().lacks("Address from the browser");
    desktop.plant();

    // Given up.
    let mut typing = home.typing_with(line.as_str(), &ssh);
    typing.asked("Address from the browser");
    typing.send("\x03");
    typing.end().fails_on_terminal("^C");
    drop(TcpListener::bind(("127.0.0.1", port)).expect("the port is free again"));
}

#[test]
fn a_signal_ends_the_wait_and_frees_the_port() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let desktop = desktop();
        let (reached, is_open) = std::sync::mpsc::channel();
        let browser = desktop.person(move |_, _| reached.send(()).unwrap());
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_databricks"))
            .args(["auth", "login", "--host", desktop.url(), "--profile", "p"])
            .env_clear()
            .env("HOME", desktop.home.path())
            .env("BROWSER", desktop.home.path().join("browser"))
            .env("DATABRICKS_OAUTH_CALLBACK_PORT", desktop.port.to_string())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        is_open.recv().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal.as_raw()));
        drop(TcpListener::bind(("127.0.0.1", desktop.port)).expect("the port is free again"));
        browser.join().unwrap();
    }
}

#[test]
fn a_sign_in_elsewhere_never_stands_under_the_host_of_before() {
    let desktop = desktop();
    desktop.sign_in(&format!("--host {} --profile p", desktop.url()));
    let old = desktop.tokens()["p"].clone();
    let other = desktop.home.joins(Workspace::start());
    let mut typing = desktop.home.typing(format!("auth login --host {} --profile p", other.url()).as_str());
    typing.asked("Change it? [y/N]");
    let walk = Arc::clone(&other);
    let browser = desktop.person(move |_, link| arrive(&walk, &walk.approve(link)).status);
    typing.answer("y");
    typing.wait_for("Signed in to");
    typing.end().ok();
    assert_eq!(browser.join().unwrap(), 200);
    for (key, workspace) in [("p", &other), (other.url(), &other)] {
        for field in ["access_token", "refresh_token"] {
            desktop.home.secret_of(workspace, desktop.tokens()[key][field].as_str().unwrap());
        }
    }
    assert!(desktop.home.config().contains(other.url()) && !desktop.home.config().contains(&format!("= {}\n", desktop.url())));
    assert_ne!(desktop.tokens()["p"], old);
    desktop.home.run("current-user me -p p").ok();
}

#[test]
fn at_a_terminal_a_failed_sign_in_can_be_tried_again() {
    let desktop = desktop();
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.deny(link)).status);
    let mut typing = desktop.home.typing(format!("auth login --host {} --profile p", desktop.url()).as_str());
    typing.asked("Try again? [y/N]");
    assert_eq!(browser.join().unwrap(), 400);
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    typing.answer("y");
    typing.wait_for("Signed in to");
    typing.end().ok().says("The sign-in did not work: authorize: access_denied");
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
}

#[test]
fn at_a_terminal_everything_is_asked_for() {
    let desktop = desktop();
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    let mut typing = desktop.home.typing("auth login");
    typing.asked("How would you like to log in?");
    typing.answer("Enter a host");
    typing.asked("Databricks host");
    typing.answer(desktop.url());
    typing.asked("Databricks profile name [127]");
    typing.answer("mine");
    typing.wait_for("Signed in to");
    typing.end().ok().says("Profile mine was successfully saved");
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();

    // A profile of another host is replaced only by who says so.
    let mut typing = desktop.home.typing("auth login --host https://h.example --profile mine");
    typing.wait_for("would sign in to https://h.example from now on");
    typing.asked("Change it? [y/N]");
    typing.answer("n");
    typing.end().fails_on_terminal("which conflicts with --host");
    assert!(desktop.home.config().contains(desktop.url()));
}

#[test]
fn a_token_that_is_not_there_leads_to_the_sign_in() {
    let desktop = desktop();
    desktop.home.write_config(format!("[p]\nhost = {}\nauth_type = databricks-cli\n", desktop.url()));
    desktop.home.run("auth token -p p").fails().says("databricks OAuth is not configured for this host");
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    let mut typing = desktop.home.typing_script("databricks auth token -p p > /dev/null");
    typing.asked("now? [y/N]");
    typing.answer("y");
    typing.wait_for("Signed in to");
    typing.end().ok();
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
}

#[test]
fn signing_out_forgets_everywhere() {
    let desktop = desktop();
    let (home, url) = (&desktop.home, desktop.url());
    desktop.sign_in(&format!("--host {url} --profile a"));
    home.run("auth logout a").error("please specify --auto-approve to skip confirmation in non-interactive mode");
    home.run("auth logout x --auto-approve").error("profile \"x\" not found. Available profiles: a");
    home.run("auth logout x -p a --auto-approve").error("argument \"x\" cannot be combined with --profile. Use the --profile flag instead");
    home.run("auth logout --auto-approve")
        .error("the command is being run in a non-interactive environment, please specify a profile using the PROFILE argument or --profile flag");
    let outcome = home.run("auth logout a --auto-approve");
    outcome.ok().prints("").says("Logged out of profile \"a\". Use --delete to also remove it from the config file.\n").says("stays good until");
    assert_eq!(desktop.keys(), [""; 0]);
    assert_eq!(desktop.workspace.grants().revocations, 0);
    home.run("auth token -p a").fails();
    home.run("auth logout a --auto-approve").ok().notes("Logged out of profile \"a\". Use --delete to also remove it from the config file.\n");

    desktop.sign_in("a");
    home.run("auth logout a --auto-approve --delete --revoke").ok().notes("Logged out of and deleted profile \"a\".\n");
    assert!(!home.config().contains("[a]") && !home.config().contains("default_profile"), "{}", home.config());
    assert!(desktop.workspace.grants().revocations > 0);

    home.write_config(profile("pat", url, desktop.workspace.token()));
    home.run("auth logout pat --auto-approve").ok().notes("No tokens to clear for profile \"pat\". Use --delete to remove it from the config file.\n");
    home.run("auth logout pat --auto-approve --delete").ok().notes("Deleted profile \"pat\" with no tokens to clear.\n");
    assert_eq!(home.config(), "");
}

#[test]
fn a_host_is_signed_out_of_with_its_last_profile() {
    let desktop = desktop();
    let (home, url) = (&desktop.home, desktop.url());
    desktop.sign_in(&format!("--host {url} --profile a"));
    desktop.sign_in(&format!("--host {url} --profile b"));
    assert_eq!(desktop.keys(), [url, "a", "b"]);
    // The entry of the host is that of the last sign-in.
    home.run("auth logout a --auto-approve").ok();
    assert_eq!(desktop.keys(), [url, "b"]);
    home.run("auth logout b --auto-approve").ok();
    assert_eq!(desktop.keys(), [""; 0]);
    // A sign-in without a profile.
    desktop.sign_in(&format!("--host {url}"));
    home.run("auth logout a --auto-approve --delete").ok();
    home.run("auth logout b --auto-approve --delete").ok();
    assert_eq!(desktop.keys(), [""; 0]);
    desktop.sign_in(&format!("--host {url}"));
    home.run(format!("auth logout {url} --auto-approve").as_str()).ok().says(&format!("Logged out of {url}.\n"));
    assert_eq!(desktop.keys(), [""; 0]);
}

#[test]
fn a13_what_was_signed_out_of_is_nowhere_any_more() {
    let desktop = desktop();
    let (home, url) = (&desktop.home, desktop.url());
    let cache = home.path().join(".databricks/token-cache.json");
    let mut spent = Vec::new();
    let mut note = || {
        let tokens = desktop.tokens();
        for field in ["access_token", "refresh_token"] {
            spent.extend(tokens.as_object().unwrap().values().filter_map(|entry| Some(entry[field].as_str()?.to_owned())));
        }
    };
    desktop.sign_in(&format!("--host {url} --profile a"));
    desktop.sign_in(&format!("--host {url} --profile b"));
    note();
    // Renewed, broken by another program and set aside, signed in to anew, put away by hand.
    desktop.expire();
    home.command("auth token -p a").reveals().run().ok();
    note();
    let whole = std::fs::read_to_string(&cache).unwrap();
    home.write(&cache, whole.trim_end().trim_end_matches('}'));
    home.allow_loose_stores();
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)));
    home.run("auth login a").ok().says("was broken: 3 entries could be saved from it");
    browser.join().unwrap();
    desktop.plant();
    note();
    home.run("auth logout a --auto-approve --delete").ok().says("token-cache.json.corrupt-1").says("may hold tokens");
    let config = home.config().replace("[b]", "[renamed]");
    home.write_config(config);
    home.run("auth logout c --auto-approve").error("profile \"c\" not found. Available profiles: renamed");
    home.run("auth logout b --auto-approve").ok().says("Logged out of profile \"b\"");
    home.run("auth logout renamed --auto-approve").ok();
    assert_eq!(desktop.keys(), [""; 0]);
    let folders = [home.path(), home.path().join(".databricks"), home.path().join(".databricks/locks")];
    for path in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let left = spent.iter().filter(|token| text.contains(token.as_str())).count();
        assert_eq!(left, 0, "{left} of {} tokens are still in {}", spent.len(), path.display());
    }
    assert!(cache.with_file_name("token-cache.json.corrupt-1").exists(), "what was set aside stays");
    assert!(!home.path().join(".databrickscfg.bak").exists());
}

#[test]
fn what_could_not_be_revoked_is_said_and_forgotten_all_the_same() {
    let desktop = desktop();
    desktop.sign_in(&format!("--host {} --profile a", desktop.url()));
    desktop.workspace.order(Fault::on("POST", "/oidc/v1/revoke").forever().reply(Response::html_error(500, "down")));
    let outcome = desktop.home.run("auth logout a --auto-approve --revoke");
    outcome.fails().says("Logged out of profile \"a\".").says("forgotten here, but not revoked").says("stays good until");
    assert_eq!(desktop.keys(), [""; 0]);
}

#[test]
fn at_a_terminal_signing_out_is_confirmed() {
    let desktop = desktop();
    desktop.sign_in(&format!("--host {} --profile a", desktop.url()));
    let mut typing = desktop.home.typing("auth logout");
    typing.asked("Select a profile to log out of");
    typing.answer("");
    typing.asked("Are you sure? [y/N]");
    typing.answer("n");
    typing.end().ok().says("Aborting logout... No changes were made.");
    assert_eq!(desktop.keys().len(), 2);
    let mut typing = desktop.home.typing("auth logout a");
    typing.asked("Are you sure? [y/N]");
    typing.answer("y");
    typing.end().ok().says("Logged out of profile \"a\".");
    assert_eq!(desktop.keys(), [""; 0]);
}

/// Whether `strace` works here.
fn can_trace() -> bool {
    let works = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        println!("skipped: strace does not work here");
    }
    works
}

impl Desktop {
    /// The system calls of that kind that a command line and all its children made, with at most so many bytes of each text.
    fn calls(&self, kind: &str, bytes: u32, line: &str) -> Vec<String> {
        let script = format!("strace -f -qq -s {bytes} -o trace -e trace={kind} -e signal=none databricks {line} >/dev/null && cat trace");
        self.home.script(&script).reveals().run().ok().stdout.lines().map(ToOwned::to_owned).collect()
    }
}

#[test]
fn e1_no_secret_stands_in_any_command_line_of_a_sign_in() {
    if !can_trace() {
        return;
    }
    let desktop = desktop();
    desktop.home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    let mut lines = desktop.calls("execve", 100_000, &format!("auth login --host {} --profile p", desktop.url()));
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
    desktop.expire();
    lines.extend(desktop.calls("execve", 100_000, "auth token -p p"));
    desktop.plant();
    lines.extend(desktop.calls("execve", 100_000, "auth logout p --auto-approve --revoke"));
    // Three times the program itself, and the browser, which gets the link and nothing else.
    assert_eq!(lines.iter().filter(|line| line.contains("\"databricks\"")).count(), 3, "{lines:?}");
    let opened = lines.iter().find(|line| line.contains("/oidc/v1/authorize?") && line.contains(desktop.url())).expect("the browser was started");
    assert!(opened.contains("&code_challenge=") && opened.contains("&state=") && !opened.contains("verifier"), "{opened}");
    let bodies: Vec<String> = desktop.workspace.token_requests().into_iter().map(|request| request.body).collect();
    let secret = |field: &str| bodies.iter().flat_map(|body| body.split('&')).find_map(|pair| pair.strip_prefix(field)).expect("it was sent").to_owned();
    for secret in ["code=", "code_verifier=", "refresh_token="].map(secret) {
        assert!(secret.len() >= 20 && !secret.contains('%'), "{secret}");
        assert!(!lines.iter().any(|line| line.contains(&secret)), "{lines:?}");
    }
}

#[test]
fn e4_not_even_a_talkative_sign_in_shows_a_secret() {
    let desktop = desktop();
    for (name, value) in
        [("RUST_LOG", "trace"), ("DATABRICKS_LOG_LEVEL", "trace"), ("DATABRICKS_DEBUG_HEADERS", "true"), ("DATABRICKS_DEBUG_TRUNCATE_BYTES", "100000")]
    {
        desktop.home.set(name, value);
    }
    let said = desktop.sign_in(&format!("--host {} --profile p --debug", desktop.url()));
    assert!(said.contains("/oidc/v1/token"), "nothing was said of the exchange: {said}");
    desktop.expire();
    desktop.home.command("auth token -p p --debug").reveals().run().ok().says("/oidc/v1/token");
    desktop.plant();
    desktop.home.run("current-user me -p p --debug").ok();
    desktop.home.run("auth logout p --auto-approve --revoke --debug").ok();
    // Refused, with the secret in the answer.
    desktop.sign_in("-p p");
    desktop.expire();
    let spent = desktop.tokens()["p"]["refresh_token"].as_str().unwrap().to_owned();
    for text in [spent.clone(), spent.to_uppercase(), base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &spent)] {
        let echo = json!({"error": "invalid_grant", "error_description": format!("token {spent}, that is {text}")});
        desktop.workspace.order(Fault::on("POST", "/oidc/v1/token").reply(Response::json(400, &echo)));
        desktop.home.run("auth token -p p --debug").fails().says("databricks auth login --profile p");
    }
}

#[test]
fn e6_a_sign_in_talks_to_its_host_and_to_the_browser_and_to_nobody_else() {
    if !can_trace() {
        return;
    }
    let desktop = desktop();
    desktop.home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    let host = format!("htons({})", desktop.url().rsplit(':').next().unwrap());
    let own = format!("htons({})", desktop.port);
    // Whom it speaks to, and at what it listens.
    let talk = |line: &str| {
        let mut calls = desktop.calls("%network", 0, line);
        calls.retain(|call| (call.contains("sa_family") || call.contains("sun_path")) && !call.contains("getsockname(") && !call.contains("getpeername("));
        calls
    };
    let browser = desktop.person(|workspace, link| arrive(workspace, &workspace.approve(link)).status);
    let login = talk(&format!("auth login --host {} --profile p", desktop.url()));
    assert_eq!(browser.join().unwrap(), 200);
    desktop.plant();
    assert_eq!(talk("auth token -p p"), [""; 0], "a good token needs nobody");
    desktop.expire();
    let refresh = talk("auth token -p p");
    desktop.plant();
    for line in &refresh {
        assert!(line.contains(&host) && line.contains("127.0.0.1"), "{line}");
    }
    assert!(refresh.iter().any(|line| line.contains("connect(")), "{refresh:?}");
    for line in &login {
        let to_the_host = line.contains(&host);
        let of_the_callback = ["bind(", "accept4("].iter().any(|call| line.contains(call));
        let is_loopback = line.contains("127.0.0.1") || line.contains("\"::1\"") || line.contains("sa_family=AF_INET6");
        assert!(is_loopback && (to_the_host || of_the_callback), "{line}");
        assert!(!line.contains("bind(") || line.contains(&own), "{line}");
        assert!(!line.contains("0.0.0.0") && !line.contains("\"::\""), "{line}");
    }
    assert!(login.iter().any(|line| line.contains("bind(")) && login.iter().any(|line| line.contains(&host)), "{login:?}");
}
