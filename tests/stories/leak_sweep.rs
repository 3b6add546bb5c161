//! The leak sweep itself: it must find what leaks, and nothing else. Each leak here is made on purpose.

use crate::harness::{Home, made_up_token, profile, set_mode};
use crate::workspace::{Fault, Response, Workspace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the sweep says of a home in which something went wrong.
#[track_caller]
fn found(home: &Home) -> String {
    home.sweep().expect_err("the leak is not found")
}

#[test]
fn a_clean_story_is_clean() {
    let (home, _workspace) = Home::signed_in();
    home.run("tokens list").ok();
    home.command("auth env").reveals().run().ok();
    assert_eq!(home.sweep(), Ok(()));
}

#[test]
fn stdout_may_show_a_secret_only_where_that_is_its_job() {
    let (home, workspace) = Home::signed_in();
    home.run("auth env").ok().shows(workspace.token());
    let leaks = found(&home);
    assert!(leaks.contains("stdout of `auth env`") && leaks.contains("as it is"), "{leaks}");
    assert!(!leaks.lines().next().unwrap().contains(workspace.token()), "{leaks}");
}

#[test]
fn arguments_and_stderr_are_public() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.run(["tokens", "create", &token]).fails();
    home.script("echo $TOKEN >&2").env("TOKEN", &token).run().ok();
    let leaks = found(&home);
    assert!(leaks.contains("the arguments of") && leaks.contains("stderr of"), "{leaks}");
}

#[test]
fn every_form_of_a_secret_is_known() {
    let secret = "s3cret/with+signs";
    let hex: String = secret.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"));
    for form in [
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("ann@example.com:{secret}")),
        STANDARD.encode(format!("a:{secret}!!")),
        STANDARD.encode(format!("ab:{secret}")),
        hex,
        "s3cret%2Fwith%2Bsigns".to_owned(),
    ] {
        let home = Home::new();
        home.secret(secret);
        home.write(&home.path().join("a.log"), format!("debug: {form}\n"));
        assert!(found(&home).contains("a.log"), "{form}");
    }
}

#[test]
fn files_count_as_stores_only_if_declared_and_private() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.write_config(profile("DEFAULT", "https://h.example", &token));
    assert_eq!(home.sweep(), Ok(()));
    set_mode(&home.config_path(), 0o644);
    assert!(found(&home).contains("which others can read (mode 0644)"));
    set_mode(&home.config_path(), 0o600);
    home.write(&home.path().join(".databrickscfg.bak"), profile("DEFAULT", "https://h.example", &token));
    assert!(found(&home).contains(".databrickscfg.bak"));
}

#[test]
fn a_secret_sent_to_the_wrong_place_is_found() {
    let home = Home::new();
    let own = home.joins(Workspace::start());
    let other = home.joins(Workspace::start());
    let tokens = |host: &str| home.command("tokens list").env("DATABRICKS_HOST", host).env("DATABRICKS_TOKEN", own.token()).run();
    tokens(own.url()).ok();
    assert_eq!(home.sweep(), Ok(()));
    tokens(other.url()).fails();
    assert!(found(&home).contains("which is for another workspace, in Authorization of a request: GET /api/2.0/token/list"));
    own.order(Fault::on("GET", "/").reply(Response::error(404, "NOT_FOUND", "no")));
    home.command(["clusters", "get", own.token()]).env("DATABRICKS_HOST", own.url()).env("DATABRICKS_TOKEN", own.token()).run().fails();
    assert!(found(&home).contains("a request: GET /api/2.1/clusters/get"));
}

#[test]
fn what_a_terminal_showed_is_swept() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    let mut typing = home.typing("configure");
    typing.asked("host").answer(&token);
    typing.asked(">>").send("\u{3}");
    typing.end();
    assert!(found(&home).contains("configure"));
}

#[test]
fn the_end_of_a_story_sweeps_by_itself() {
    let story = std::panic::catch_unwind(|| {
        let home = Home::new();
        let token = made_up_token();
        home.secret(&token);
        home.write(&home.path().join("core"), &token);
    });
    let panic = story.expect_err("the story ended without a sweep");
    assert!(panic.downcast_ref::<String>().is_some_and(|message| message.contains("the leak sweep found secrets")));
}
