//! Service principals: their tokens are minted once and kept, so that a script may ask in a loop.

use crate::harness::Home;
use crate::workspace::{Fault, Response, Workspace};
use std::sync::Arc;

struct Job {
    home: Home,
    workspace: Arc<Workspace>,
    secret: String,
}

impl Job {
    fn new() -> Job {
        let home = Home::new();
        let workspace = home.joins(Workspace::start());
        let secret = workspace.mint_secret(None);
        home.secret_of(&workspace, &secret);
        home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
        home.store(home.path().join(".databricks/token-cache.json"));
        let job = Job { home, workspace, secret };
        job.configure(&job.secret);
        job
    }

    fn configure(&self, secret: &str) {
        let (_, id) = self.workspace.service_principal();
        self.home.write_config(format!("[sp]\nhost = {}\nclient_id = {id}\nclient_secret = {secret}\n", self.workspace.url()));
    }

    fn token(&self) -> String {
        self.home.command("auth token -p sp -o text").reveals().run().ok().stdout.trim_end().to_owned()
    }
}

#[test]
fn a_loop_mints_once() {
    let job = Job::new();
    let first = job.token();
    assert!((0..5).all(|_| job.token() == first));
    job.home.run("current-user me -p sp").ok().shows(job.workspace.service_principal().1);
    assert_eq!(job.workspace.grants().client_credentials, 1);
    // Half an hour of an hour is there; for more than the server gives it is asked once, and what it gave is kept.
    let lasting = |least: &str| job.home.command(format!("auth token -p sp -o text --min-ttl {least}").as_str()).reveals().run();
    assert_eq!((lasting("30m").ok().stdout.trim_end(), job.workspace.grants().client_credentials), (first.as_str(), 1));
    lasting("2h").fails();
    let second = job.token();
    assert_ne!(second, first);
    assert_eq!(job.workspace.grants().client_credentials, 2);
    // By environment alone, as jobs have it.
    let (_, id) = job.workspace.service_principal();
    let outcome = job
        .home
        .command("auth token -o text")
        .env("DATABRICKS_HOST", job.workspace.url())
        .env("DATABRICKS_CLIENT_ID", id)
        .env("DATABRICKS_CLIENT_SECRET", &job.secret)
        .reveals()
        .run();
    assert_eq!(outcome.ok().stdout.trim_end(), second);
    assert_eq!(job.workspace.grants().client_credentials, 2);
}

#[test]
fn sixteen_at_once_mint_once() {
    let job = Job::new();
    let outcome = job.home.script("for n in $(seq 16); do databricks auth token -p sp -o text & done; wait").reveals().run();
    let lines: std::collections::BTreeSet<&str> = outcome.ok().stdout.lines().collect();
    assert_eq!((lines.len(), job.workspace.grants().client_credentials), (1, 1), "{}", outcome.stderr);
}

#[test]
fn another_secret_is_another_token_and_a_wrong_one_is_said() {
    let job = Job::new();
    let first = job.token();
    let other = job.workspace.mint_secret(None);
    job.home.secret_of(&job.workspace, &other);
    job.configure(&other);
    assert_ne!(job.token(), first);
    assert_eq!(job.workspace.grants().client_credentials, 2);
    let wrong = "dose0123456789abcdef0123456789abcdef";
    job.home.secret_of(&job.workspace, wrong);
    job.configure(wrong);
    job.home.run("auth token -p sp").fails().says("oauth-m2m").says("client_secret comes from the profile \"sp\"");
    job.home.run("current-user me -p sp").fails().says("cannot configure default credentials").says("oauth-m2m did not work");
    job.home.command("current-user me -p sp").env("DATABRICKS_AUTH_TYPE", "oauth-m2m").run().fails();
}

#[test]
fn a_job_works_where_nothing_can_be_kept() {
    let job = Job::new();
    let (_, id) = job.workspace.service_principal();
    let variables = [("DATABRICKS_HOST", job.workspace.url()), ("DATABRICKS_CLIENT_ID", id), ("DATABRICKS_CLIENT_SECRET", &job.secret)];
    let mut command = job.home.command("current-user me").without("HOME");
    for (name, value) in variables {
        command = command.env(name, value);
    }
    command.run().ok().shows(id);
    let mut command = job.home.command("current-user me").env("DATABRICKS_TOKEN_CACHE_DIR", "/proc/nowhere");
    for (name, value) in variables {
        command = command.env(name, value);
    }
    command.run().ok().shows(id);
}

#[test]
fn a_busy_server_is_waited_for_and_a_broken_one_is_told() {
    let job = Job::new();
    job.workspace.order(Fault::on("POST", "/oidc/v1/token").retry_after(429, "1").times(1));
    job.token();
    assert_eq!(job.workspace.token_requests().len(), 2);
    std::fs::remove_file(job.home.path().join(".databricks/token-cache.json")).unwrap();
    job.workspace.order(Fault::on("POST", "/oidc/v1/token").reply(Response::new(200).body("text/html", "<html>sign in</html>")).times(1));
    job.home.run("auth token -p sp").fails().says(job.workspace.url());
}

#[test]
fn at_a_terminal_a_wrong_secret_is_no_reason_for_a_browser() {
    let job = Job::new();
    let wrong = "dose0123456789abcdef0123456789abcdef";
    job.home.secret_of(&job.workspace, wrong);
    job.configure(wrong);
    job.home.write_config(job.home.config() + "auth_type = oauth-m2m\n");
    job.home.program("browser", "#!/bin/sh\necho \"$1\" > $HOME/opened\n");
    job.home.set("BROWSER", "browser");
    for line in ["auth token -p sp", "auth token -p sp --force-refresh", "auth env -p sp", "current-user me -p sp"] {
        job.home.typing(line).end().fails_on_terminal("oauth-m2m").lacks("Sign in").lacks("[y/N]").lacks("auth login");
    }
    // A session asks what to do instead, which may be another workspace; a browser would not help with this one.
    let mut typing = job.home.typing(["session", "start", "sp", "--", "/bin/sh", "-c", "echo in ${DATABRICKS_CONFIG_PROFILE-none} session"]);
    typing.asked("What now");
    typing.wait_until("the choices", |screen| screen.contents().contains("Choose another workspace"));
    let screen = typing.screen();
    assert!(screen.contains("▸ Retry") && !screen.contains("browser"), "{screen}");
    typing.answer("\x1b[B\x1b[B");
    typing.end().ok().says("in none session");
    assert!(!job.home.path().join("opened").exists(), "a browser was opened");
}
