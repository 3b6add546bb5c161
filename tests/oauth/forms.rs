//! `auth token` in every form that SDKs, scripts and people use.

use super::{SignedIn, entry};
use crate::harness::{Home, made_up_token, profile};
use crate::workspace::{HostKind, Workspace};
use serde_json::json;

#[test]
fn a_good_token_is_printed_without_a_network() {
    let signed_in = SignedIn::new();
    let connections = signed_in.workspace.connections();
    let token = signed_in.entry("p")["access_token"].as_str().unwrap().to_owned();
    let outcome = signed_in.home.command("auth token --profile p").reveals().run();
    let printed = outcome.ok().notes("").json();
    assert_eq!(
        (printed["access_token"].as_str(), printed["token_type"].as_str(), printed["expires_in"].as_i64()),
        (Some(token.as_str()), Some("Bearer"), Some(3_600))
    );
    assert_eq!(printed.as_object().unwrap().len(), 4, "the refresh token stays in the store");
    assert!(
        outcome.stdout.starts_with("{\n  \"access_token\": ") && outcome.stdout.ends_with("\n}"),
        "as SDKs know it, without a final line feed: {}",
        outcome.stdout
    );
    signed_in.home.command("auth token p -o text").reveals().run().ok().prints(&format!("{token}\n"));
    // Compat: the variable for the output format counts for other commands.
    signed_in.home.command("auth token -p p").env("DATABRICKS_OUTPUT_FORMAT", "text").reveals().run().ok().shows("\"access_token\"");
    assert_eq!(signed_in.workspace.connections(), connections, "nothing was asked");
}

#[test]
fn no_socket_is_opened_and_no_other_file_read_for_a_good_token() {
    let signed_in = SignedIn::new();
    let script = "strace -f -o trace -e trace=network,clone,clone3,fork,openat databricks auth token -p p -o text && cat trace";
    let outcome = signed_in.home.script(script).reveals().run();
    let trace = outcome.ok().stdout.clone();
    for line in trace.lines().skip(1) {
        let is_fine = !line.contains("socket(")
            && !line.contains("clone")
            && (!line.contains(".databricks") || line.contains("token-cache.json") || line.contains(".databrickscfg"));
        assert!(is_fine, "{line}");
    }
}

#[test]
fn the_expiry_is_safe_for_every_sdk() {
    let signed_in = SignedIn::new();
    for (zone, offset) in [("UTC", "Z"), ("CET-1", "+01:00"), ("XYZ+05:30", "-05:30")] {
        let outcome = signed_in.home.command("auth token -p p").env("TZ", zone).reveals().run();
        let expiry = outcome.ok().json()["expiry"].as_str().unwrap().to_owned();
        let fraction: String = expiry.split('.').nth(1).expect("a fraction").chars().take_while(char::is_ascii_digit).collect();
        assert!(fraction.parse::<u64>().unwrap() > 0 && expiry.ends_with(offset), "{zone}: {expiry}");
    }
}

#[test]
fn the_token_of_every_auth_type_is_printed() {
    let (home, workspace) = Home::signed_in();
    home.command("auth token -p DEFAULT -o text").reveals().run().ok().prints(&format!("{}\n", workspace.token()));
    let printed = home.command("auth token").reveals().run().ok().json();
    assert_eq!(printed["access_token"], json!(workspace.token()));
    assert!(printed["expiry"].as_str().unwrap().contains('.'), "{printed}");
    home.write_config(format!("[b]\nhost = {}\nusername = {}\npassword = {}\n", workspace.url(), workspace.basic_user(), workspace.basic_password()));
    home.run("auth token -p b").fails().says("the auth type basic sends no token that could be printed");
}

#[test]
fn a_host_leads_to_its_profile_or_to_its_own_entry() {
    let signed_in = SignedIn::new();
    let (home, host) = (&signed_in.home, signed_in.workspace.url());
    let token = signed_in.token();
    home.command(format!("auth token --host {host} -o text").as_str()).reveals().run().ok().prints(&format!("{token}\n"));
    home.command(format!("auth token {host}/?o=12 -o text").as_str()).reveals().run().ok().prints(&format!("{token}\n"));
    home.command("auth token -o text").env("DATABRICKS_HOST", host).reveals().run().ok().prints(&format!("{token}\n"));
    home.command("auth token -o text").env("DATABRICKS_CONFIG_PROFILE", "p").reveals().run().ok().prints(&format!("{token}\n"));
    // Two profiles of one host: somebody has to say which.
    home.write_config(format!("[p]\nhost = {host}\nauth_type = databricks-cli\n[q]\nhost = {host}\nauth_type = databricks-cli\n"));
    home.run(format!("auth token --host {host}").as_str())
        .fails()
        .says(&format!("p and q match {host} in {}. Use --profile to specify which profile to use", home.config_path().display()));
    // One of them is for the workspace that is asked for, the other for its account.
    home.write_config(format!("[p]\nhost = {host}\nauth_type = databricks-cli\nworkspace_id = 12\n[q]\nhost = {host}\nauth_type = databricks-cli\n"));
    for line in [format!("auth token {host}/?o=12 -o text"), format!("auth token --host {host} --workspace-id 12 -o text")] {
        home.command(line.as_str()).reveals().run().ok().prints(&format!("{token}\n"));
    }
    home.run(format!("auth token --host {host}").as_str()).fails().says("p and q match");
    // No profile: the entry of the host, and that of the account at the host.
    home.write_config("");
    let granted = signed_in.workspace.sign_in(signed_in.workspace.basic_user());
    let account = signed_in.workspace.sign_in_with(signed_in.workspace.basic_user(), "offline_access all-apis", HostKind::Account);
    let id = signed_in.workspace.account_id();
    signed_in.write(&json!({
        host: entry(&granted.access_token, &granted.refresh_token, 3_600, 0),
        format!("{host}/oidc/accounts/{id}"): entry(&account.access_token, &account.refresh_token, 3_600, 0),
    }));
    home.command(format!("auth token --host {host} -o text").as_str()).reveals().run().ok().prints(&format!("{}\n", granted.access_token));
    home.command(format!("auth token --host {host} --account-id {id} -o text").as_str()).reveals().run().ok().prints(&format!("{}\n", account.access_token));
}

#[test]
fn what_is_not_there_is_said_as_programs_know_it() {
    let signed_in = SignedIn::new();
    let home = &signed_in.home;
    signed_in.write(&json!({}));
    let host = signed_in.workspace.url();
    // Old SDKs go on to other methods at these words.
    for line in ["auth token -p p".to_owned(), format!("auth token --host {host}"), "auth token --host https://other.example".to_owned()] {
        home.run(line.as_str())
            .fails()
            .says("cache: databricks OAuth is not configured for this host. no cached credentials; run `databricks auth login` to sign in")
            .says("databricks auth login --");
    }
    home.run("auth token nosuch").fails().says("no matching profile found: \"nosuch\"");
    home.run("auth token -p nosuch").fails().says("has no nosuch profile configured");
    home.run(format!("auth token p --host {host}").as_str()).fails().says("argument \"p\" cannot be combined with --host or --profile");
    home.run("auth token -p p --host https://other.example").fails().says("which conflicts with --host");
    home.run("auth token").fails().says("no profile specified. Use --profile <name> to specify which profile to use");
    home.write_config("");
    home.run("auth token").fails().says("no profiles configured. Run 'databricks auth login' to create a profile");
    home.write_config(format!("[p]\nhost = {host}\nauth_type = databricks-cli\n"));
    home.run("current-user me -p p")
        .fails()
        .says("cache: no cached credentials; run `databricks auth login` to sign in")
        .says("Hint: To sign in: databricks auth login --profile p\n");
    let at_host = |variable: &str, value: &str| home.command("current-user me").env("DATABRICKS_HOST", host).env(variable, value).run();
    at_host("DATABRICKS_AUTH_TYPE", "databricks-cli").fails().says(&format!("Hint: To sign in: databricks auth login --host {host}\n"));
    // What a file that is not read would have said.
    at_host("TERM", "dumb").fails().says(&format!("Hint: The profile file {} is skipped, because DATABRICKS_HOST is set", home.config_path().display()));
    let nowhere = home.work().join("none");
    home.command("auth token -p p").env("DATABRICKS_CONFIG_FILE", &nowhere).run().fails().says(&format!("and there is no {}", nowhere.display()));
    assert_eq!(signed_in.workspace.connections(), 0, "nobody was asked");
}

#[test]
fn a_token_in_the_environment_does_not_get_in_between() {
    let signed_in = SignedIn::new();
    let token = signed_in.token();
    let stray = made_up_token();
    signed_in.home.secret(&stray);
    signed_in.home.command("auth token -p p -o text").env("DATABRICKS_TOKEN", &stray).reveals().run().ok().prints(&format!("{token}\n"));
    signed_in
        .home
        .command("auth token -o text")
        .env("DATABRICKS_TOKEN", &stray)
        .env("DATABRICKS_HOST", signed_in.workspace.url())
        .reveals()
        .run()
        .ok()
        .prints(&format!("{token}\n"));
}

#[test]
fn more_life_and_other_scopes_are_had_or_refused() {
    let signed_in = SignedIn::new();
    let first = signed_in.sign_in(3_600, 3_000);
    let ask = |line: &str| signed_in.home.command(line).reveals().run().ok().stdout.trim_end().to_owned();
    assert_eq!(ask("auth token -p p -o text --min-ttl 9m"), first);
    let second = ask("auth token -p p -o text --min-ttl 11m");
    assert_ne!(second, first);
    assert_eq!(signed_in.workspace.grants().refreshes, 1);
    signed_in.home.run("auth token -p p -o text --min-ttl 2h").fails().says("the newest token that can be had lives").says("--min-ttl");
    signed_in.home.run("auth token -p p --min-ttl soon").fails().says("invalid argument \"soon\" for \"--min-ttl\" flag");
    assert_eq!(ask("auth token -p p -o text --scopes sql"), signed_in.entry("p")["access_token"].as_str().unwrap(), "all-apis covers it");
    let narrow = signed_in.workspace.sign_in_with(signed_in.workspace.basic_user(), "offline_access sql", HostKind::Workspace);
    signed_in.write(&json!({"p": entry(&narrow.access_token, &narrow.refresh_token, 3_600, 0)}));
    ask("auth token -p p -o text --scopes sql,offline_access");
    signed_in
        .home
        .run("auth token -p p --scopes sql,clusters")
        .fails()
        .says("the sign-in does not have the scopes clusters")
        .says("databricks auth login --profile p --scopes sql,clusters");
}

#[test]
fn commands_use_the_sign_in_and_renew_it() {
    let signed_in = SignedIn::to(Workspace::builder().tokens(2).start());
    signed_in.home.run("current-user me -p p").ok().shows("ann@example.com");
    signed_in.expire();
    signed_in.home.run("tokens list -p p").ok();
    assert_eq!(signed_in.workspace.grants().refreshes, 1);
    signed_in.home.run("auth describe -p p").ok().shows("Authenticated with: databricks-cli").shows("ann@example.com");
    signed_in.home.run("auth profiles").ok().shows("YES");
    // A profile that names no auth type finds the sign-in too, after what needs less.
    signed_in.home.write_config(format!("[p]\nhost = {}\n", signed_in.workspace.url()));
    signed_in.home.run("current-user me -p p").ok();
    signed_in.home.write_config(profile("p", signed_in.workspace.url(), signed_in.workspace.token()));
    signed_in.home.run("current-user me -p p").ok();
    let last = signed_in.workspace.requests().into_iter().rfind(|request| request.path.ends_with("/Me")).unwrap();
    assert_eq!(last.header("Authorization"), Some(format!("Bearer {}", signed_in.workspace.token()).as_str()));
}
