//! Bundles: a `databricks.yml` in the folder or above it says which workspace is meant, and can send nobody's credential to a host of its choosing.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::harness::{Home, made_up_token, profile};
use crate::workspace::Workspace;

/// Profiles `a` and `b` of two workspaces, and no default; a third workspace that nobody knows.
struct Setting {
    home: Home,
    a: Arc<Workspace>,
    b: Arc<Workspace>,
    stranger: Arc<Workspace>,
}

impl Setting {
    fn new() -> Self {
        let home = Home::new();
        let [a, b, stranger] = [(); 3].map(|()| home.joins(Workspace::start()));
        home.write_config(format!("{}\n{}", profile("a", a.url(), a.token()), profile("b", b.url(), b.token())));
        Self { home, a, b, stranger }
    }

    /// Writes a bundle with this text into a folder of its own; `A`, `B` and `X` stand for the hosts.
    fn bundle(&self, text: &str) -> PathBuf {
        self.file("project/databricks.yml", text);
        self.home.work().join("project")
    }

    fn file(&self, name: &str, text: &str) {
        let hosts = text.replace("<A>", self.a.url()).replace("<B>", self.b.url()).replace("<X>", self.stranger.url());
        let path = self.home.work().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder that can be made");
        self.home.write(&path, hosts);
    }

    /// Which workspace `current-user me` asks, with these words behind it and these variables.
    fn reached(&self, words: &str, variables: &[(&str, &str)]) -> &'static str {
        for workspace in [&self.a, &self.b, &self.stranger] {
            workspace.clear_requests();
        }
        let folder = self.home.work().join("project");
        let mut run = self.home.command(format!("current-user me {words}").trim_end()).folder(folder);
        for (name, value) in variables {
            run = run.env(name, value);
        }
        let outcome = run.run();
        let asked: Vec<&str> = [("a", &self.a), ("b", &self.b), ("x", &self.stranger)]
            .into_iter()
            .filter(|(_, workspace)| !workspace.requests().is_empty())
            .map(|(name, _)| name)
            .collect();
        assert!(outcome.status.success() || asked.is_empty() || asked == ["x"], "{outcome}");
        match asked.as_slice() {
            [] => "none",
            ["a"] => "a",
            ["b"] => "b",
            ["x"] => "x",
            _ => "several",
        }
    }
}

const TARGETS: &str = "bundle:\n  name: t\ntargets:\n  dev:\n    default: true\n    workspace:\n      host: <A>\n  prod:\n    mode: production\n    workspace:\n      host: <B>\n";

#[test]
fn the_target_in_force_names_the_workspace() {
    let setting = Setting::new();
    let folder = setting.bundle(TARGETS);
    let target = |name| ("DATABRICKS_BUNDLE_TARGET", name);
    assert_eq!(setting.reached("", &[]), "a");
    assert_eq!(setting.reached("-t prod", &[]), "b");
    assert_eq!(setting.reached("--target=dev", &[target("prod")]), "a");
    assert_eq!(setting.reached("", &[target("prod")]), "b");
    assert_eq!(setting.reached("", &[("DATABRICKS_BUNDLE_ENV", "prod")]), "b");
    // A profile that is named leaves the bundle aside, unless there is a target too: then both must mean the same.
    assert_eq!(setting.reached("-p b", &[]), "b");
    assert_eq!(setting.reached("-p b -t prod", &[]), "b");
    assert_eq!(setting.reached("-p a -t prod", &[]), "none");
    assert_eq!(setting.reached("", &[("DATABRICKS_CONFIG_PROFILE", "b")]), "none");
    let run = |words: &str| setting.home.command(words).folder(&folder).run();
    let hosts = format!("the host in the profile ({}) doesn’t match the host configured in the bundle ({})", setting.a.url(), setting.b.url());
    run("current-user me -p a -t prod").fails().says(&format!("Error: cannot resolve bundle auth configuration: {hosts}")).says("databricks.yml:11");
    run("current-user me -t nope").fails().says("Error: nope: no such target. Available targets: dev, prod");
    // From below, and by name.
    let below = folder.join("src/deep");
    setting.file("project/src/deep/file", "");
    setting.home.command("current-user me").folder(&below).run().ok().shows("ann@example.com");
    setting.home.command("current-user me").env("DATABRICKS_BUNDLE_ROOT", &folder).run().ok();
    setting.home.command("current-user me").env("DATABRICKS_BUNDLE_ROOT", &below).run().fails().says("there is no databricks.yml in it");
    let lonely = setting.home.command("current-user me -t prod -p b").run();
    lonely.ok().says("target \"prod\" has no effect");
}

#[test]
fn values_come_from_includes_variables_and_profiles() {
    let setting = Setting::new();
    setting.bundle("include:\n  - conf/*.yml\n  - resources/**/*.yml\nvariables:\n  where:\n    default: <B>\nworkspace:\n  host: ${var.where}\n");
    assert_eq!(setting.reached("", &[]), "b");
    assert_eq!(setting.reached("", &[("BUNDLE_VAR_where", setting.a.url())]), "a");
    setting.file("project/resources/jobs/job.yml", "resources: {jobs: {j: {name: n}}}\n");
    setting.file("project/conf/targets.yml", "targets:\n  only:\n    variables:\n      where: <A>\n");
    assert_eq!(setting.reached("", &[]), "a");
    setting.file("project/conf/targets.yml", "base: &base {profile: b}\ntargets:\n  only:\n    workspace:\n      <<: *base\n      host: <B>\n");
    assert_eq!(setting.reached("", &[]), "b");
    // The profile of a bundle counts before the variables, a host alone after them.
    setting.file("project/conf/targets.yml", "");
    setting.bundle("workspace: {profile: a}\n");
    assert_eq!(setting.reached("", &[("DATABRICKS_HOST", setting.b.url()), ("DATABRICKS_TOKEN", setting.b.token())]), "a");
    setting.bundle("workspace: {profile: nosuch}\n");
    assert_eq!(setting.reached("", &[]), "none");
    setting.bundle("bundle: {name: no-workspace}\n");
    assert_eq!(setting.reached("", &[("DATABRICKS_HOST", setting.b.url()), ("DATABRICKS_TOKEN", setting.b.token())]), "b");
}

#[test]
fn several_profiles_of_one_host_are_listed() {
    let setting = Setting::new();
    let url = setting.a.url();
    let second = |more: &str| {
        let config = format!("{}\n{}workspace_id = 900800700600\n{more}", profile("a", url, setting.a.token()), profile("second", url, setting.a.token()));
        setting.home.write_config(config);
    };
    second("");
    let folder = setting.bundle("workspace:\n  host: <A>\n");
    let run = |words: &str| setting.home.command(words).folder(&folder).run();
    let message = format!("Error: {url}: multiple profiles matched: a, second: please set DATABRICKS_CONFIG_PROFILE or provide --profile flag to specify one");
    run("current-user me").fails().says(&message).says("workspace.profile");
    assert_eq!(setting.reached("", &[("DATABRICKS_CONFIG_PROFILE", "second")]), "a");
    setting.bundle("workspace:\n  host: <A>\n  profile: second\n");
    assert_eq!(setting.reached("", &[]), "a");
    setting.bundle("workspace:\n  host: <A>\n  workspace_id: 900800700600\n");
    run("auth describe --offline").ok().shows("✓ profile: second\n").shows("(from bundle)");
}

#[test]
fn what_cannot_be_read_is_said_with_file_and_line() {
    let setting = Setting::new();
    for (text, message) in [
        ("workspace: [\nhost: x\n", "failed to load "),
        ("a:\n\t- b\n", "databricks.yml: yaml: line 2: "),
        ("- a\n- b\n", "yaml: line 1: a bundle is a map"),
        ("workspace:\n  host: ${workspace.current_user.id}\n", "databricks.yml:2) is \"${workspace.current_user.id}\", which cannot be resolved here: only "),
        ("workspace:\n  host: ${var.none}\n", "the variable \"none\" has neither a value in the target nor a default; BUNDLE_VAR_none can set it"),
        ("variables: {a: {default: '${var.b}'}, b: {default: '${var.a}'}}\nworkspace:\n  host: ${var.a}\n", "in a circle"),
        ("targets: {one: {}, two: {}}\n", "none of its targets is the default. Available targets: one, two"),
        ("targets: {one: {default: true}, two: {default: true}}\n", "several of its targets are the default"),
    ] {
        let folder = setting.bundle(text);
        let outcome = setting.home.command("current-user me").folder(&folder).run();
        outcome.fails().says(message).says("--profile NAME");
        assert_eq!(setting.reached("-p a", &[]), "a");
        // Commands that have nothing to do with bundles do not look at it.
        for words in ["auth profiles --skip-validate", "api get /api/2.0/preview/scim/v2/Me -p a", "auth token -p a -o text", "auth switch -p a"] {
            setting.home.command(words).folder(&folder).reveals().run().ok();
        }
        setting.home.write_config(format!("{}\n{}", profile("a", setting.a.url(), setting.a.token()), profile("b", setting.b.url(), setting.b.token())));
    }
    setting.file("project/bundle.yml", "");
    setting.home.command("current-user me").folder(setting.home.work().join("project")).run().fails().says("bundle.yml is there too");
}

#[test]
fn no_credential_goes_to_a_host_that_only_the_bundle_names() {
    let setting = Setting::new();
    let folder = setting.bundle("workspace:\n  host: <X>\n");
    let token = made_up_token();
    setting.home.secret(&token);
    let basic: [(&str, &str); 2] = [("DATABRICKS_USERNAME", "u"), ("DATABRICKS_PASSWORD", &token)];
    let m2m: [(&str, &str); 2] = [("DATABRICKS_CLIENT_ID", "i"), ("DATABRICKS_CLIENT_SECRET", &token)];
    for variables in [&[("DATABRICKS_TOKEN", token.as_str())][..], &basic, &m2m] {
        assert_eq!(setting.reached("", variables), "none", "{variables:?}");
        let elsewhere = [variables, &[("DATABRICKS_HOST", setting.a.url())]].concat();
        assert_eq!(setting.reached("", &elsewhere), "none", "{elsewhere:?}");
    }
    let refused = setting.home.command("current-user me").folder(&folder).env("DATABRICKS_TOKEN", &token).run();
    refused
        .fails()
        .says(&format!("Error: nothing is sent to {}, which only the bundle (", setting.stranger.url()))
        .says("databricks.yml:2)")
        .says("DATABRICKS_HOST=");
    // The user names it too.
    assert_eq!(setting.reached("", &[("DATABRICKS_TOKEN", &token), ("DATABRICKS_HOST", setting.stranger.url())]), "x");
    assert_eq!(setting.reached("-p a", &[("DATABRICKS_TOKEN", &token)]), "a");
    // A profile for it is a name too; but a token that stands beside another host belongs there.
    setting.bundle("workspace:\n  host: <A>\n");
    assert_eq!(setting.reached("", &[("DATABRICKS_TOKEN", setting.a.token())]), "a");
    let pair = [("DATABRICKS_TOKEN", setting.b.token()), ("DATABRICKS_HOST", setting.b.url())];
    assert_eq!(setting.reached("", &pair), "none");
    // A profile without a host lends its token to nobody's host.
    setting.home.write_config(format!("[p]\ntoken = {}\n", setting.a.token()));
    setting.bundle("workspace:\n  host: <X>\n  profile: p\n");
    assert_eq!(setting.reached("", &[]), "none");
}

#[test]
fn on_a_terminal_a_host_is_confirmed_once() {
    let setting = Setting::new();
    setting.file("databricks.yml", "workspace:\n  host: <X>\n");
    let variables = [("DATABRICKS_TOKEN", setting.stranger.token())];
    let mut typing = setting.home.typing_with("current-user me", &variables);
    typing.asked("Send your credentials to").answer("n");
    typing.end().fails_on_terminal("which only the bundle");
    assert!(setting.stranger.requests().is_empty());
    let mut typing = setting.home.typing_with("current-user me", &variables);
    typing.asked("Send your credentials to").answer("y");
    typing.end().ok();
    assert_eq!(setting.stranger.requests().len(), 1);
    // From now on, also where nobody can be asked.
    setting.home.command("current-user me").env("DATABRICKS_TOKEN", setting.stranger.token()).run().ok().says("with the host from bundle");
}

#[test]
fn explain_says_who_wins_and_what_would_change_it() {
    let setting = Setting::new();
    let (a, b) = (setting.a.url(), setting.b.url());
    let outside = |words: &str, variables: &[(&str, &str)]| variables.iter().fold(setting.home.command(words), |run, (name, value)| run.env(name, value)).run();
    let flag = outside("auth explain -p a", &[("DATABRICKS_HOST", b), ("DATABRICKS_TOKEN", setting.b.token())]);
    flag.ok()
        .shows("profile: a, from --profile flag\n")
        .shows(&format!("over that of the DATABRICKS_HOST environment variable ({b}): a profile that --profile names wins over variables\n"))
        .shows("to change it: leave out --profile, and name the profile by a variable: DATABRICKS_CONFIG_PROFILE=a\n")
        .shows("Method: pat\n");
    let skipped = outside("auth explain", &[("DATABRICKS_HOST", b)]);
    skipped
        .ok()
        .shows("profile: none\n")
        .shows("is skipped, because DATABRICKS_HOST is set and nothing names a profile")
        .shows("Method: none\n")
        .shows("token is not set");
    let hidden = outside("auth explain", &[("DATABRICKS_CONFIG_PROFILE", "a"), ("DATABRICKS_TOKEN", setting.b.token())]);
    hidden
        .ok()
        .shows("variables win over a profile that no flag names")
        .shows("to change it: unset DATABRICKS_TOKEN\n")
        .shows("Note: the token from the DATABRICKS_TOKEN");
    let sdk = outside("auth explain -p a", &[("ARM_CLIENT_ID", "i"), ("DATABRICKS_AUTH_TYPE", "pat")]);
    sdk.ok().shows("Note: programs with an SDK skip the profile file, because ARM_CLIENT_ID is set");

    let folder = setting.bundle(TARGETS);
    let run = |words: &str| setting.home.command(words).folder(&folder).env("DATABRICKS_HOST", b).run();
    let report = run("auth explain -o json").ok().json();
    assert_eq!(report["method"]["used"], "pat", "{report}");
    let host = report["values"].as_array().and_then(|values| values.iter().find(|value| value["attribute"] == "host")).expect("a host");
    assert_eq!((&host["value"], &host["over"][0]["value"], &host["over"][0]["differs"]), (&json!(a), &json!(b), &json!(true)));
    let place = folder.join("databricks.yml");
    assert_eq!(host["change"], format!("edit {}:7, or choose another target: -t NAME", place.display()));
    run("auth explain -t prod").ok().shows(&format!("host: {b}, from bundle ({}:11)", place.display())).shows("target \"prod\" counts");
    // Nobody was asked for all this.
    assert!(setting.a.requests().is_empty() && setting.b.requests().is_empty());
}
