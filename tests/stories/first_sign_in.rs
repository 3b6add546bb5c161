//! A person at a terminal signs in for the first time, and the times after that.

use crate::harness::{Home, Typing, made_up_token, profile};
use crate::workspace::Workspace;
use rustix::process::Signal;

const HOST: &str = "Databricks workspace host";
const TOKEN: &str = "Personal access token";
/// Ctrl-U: away with the line.
const CLEAR: &str = "\u{15}";

fn fresh() -> (Home, std::sync::Arc<Workspace>) {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    (home, workspace)
}

/// Answers host and token.
fn sign_in(typing: &mut Typing<'_>, host: &str, token: &str) {
    typing.asked(HOST).answer(host);
    typing.asked(TOKEN).answer(token);
}

#[test]
fn host_and_token_are_typed_and_become_the_default_profile() {
    let (home, workspace) = fresh();
    let mut typing = home.typing("configure --profile DEFAULT");
    // A slip first: the prompt says what is wrong and stays.
    typing.asked(HOST).answer("http://my.workspace.example");
    typing.wait_for(">>");
    typing.wait_for("must start with https://");
    typing.send(CLEAR);
    typing.answer(&format!("{}/?o=1#job/5", workspace.url()));
    typing.asked(TOKEN).answer(workspace.token());
    let end = typing.end();
    end.ok().says("DEFAULT").says(".databrickscfg").says("ann@example.com").lacks(workspace.token());
    assert!(end.stderr.contains("****") && !end.stderr.contains(&"*".repeat(workspace.token().len())), "the mask tells the length\n{end}");
    assert_eq!(home.config(), format!("[DEFAULT]\nhost  = {}\ntoken = {}\n\n[__settings__]\ndefault_profile = DEFAULT\n", workspace.url(), workspace.token()));
    assert_eq!(home.config_mode(), 0o600);
    assert_eq!(home.files(), [".databrickscfg"]);
    let requests = workspace.requests();
    assert_eq!(requests.iter().map(|request| request.path.as_str()).collect::<Vec<_>>(), ["/api/2.0/preview/scim/v2/Me"]);

    // And now everything works without another word.
    home.run("tokens list").ok().notes("").shows("admin");
}

#[test]
fn a_token_that_the_workspace_does_not_know_is_not_written() {
    let (home, workspace) = fresh();
    let wrong = made_up_token();
    home.secret_of(&workspace, &wrong);
    let mut typing = home.typing("configure");
    sign_in(&mut typing, workspace.url(), &wrong);
    let end = typing.end();
    assert_eq!(end.status.code(), Some(1), "{end}");
    end.says("Error: ").says("not written").says("Invalid access token.").says("Access tokens").says("--verify=false");
    // Advice for those who have a profile is of no use here.
    end.lacks("it comes from").lacks("Next steps");
    assert_eq!(home.files(), [""; 0]);

    // Who knows better says so.
    let mut typing = home.typing("configure --verify=false");
    sign_in(&mut typing, workspace.url(), &wrong);
    typing.end().ok();
    assert!(home.config().contains(&wrong));
}

#[test]
fn a_token_pasted_as_the_host_is_not_looked_up() {
    let (home, workspace) = fresh();
    let mut typing = home.typing("configure");
    // One that is no secret, because it stands on the screen now.
    typing.asked(HOST).answer(&made_up_token());
    typing.wait_for(">> this looks like a personal access token");
    typing.send(CLEAR);
    typing.answer(workspace.url());
    typing.asked(TOKEN).answer(workspace.token());
    typing.end().ok();
    let token = made_up_token();
    home.run("configure --verify").fails();
    home.command("configure --verify").env("DATABRICKS_HOST", &token).stdin(workspace.token()).run().fails().lacks(&token);
}

#[test]
fn a_host_where_nobody_answers_is_told_and_nothing_is_written() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    let mut typing = home.typing("configure");
    sign_in(&mut typing, "http://127.0.0.1:1", &token);
    let end = typing.end();
    assert_eq!(end.status.code(), Some(1), "{end}");
    end.says("not written").says("refused");
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn enter_keeps_what_is_there() {
    let (home, workspace) = Home::signed_in();
    let before = format!("# mine\n[DEFAULT]\nhost = {}\ntoken = {} ; from the web page\ncluster_id = c-1\n", workspace.url(), workspace.token());
    home.write_config(&before);
    let mut typing = home.typing("configure");
    typing.asked(HOST).wait_for(workspace.url());
    typing.answer("");
    typing.asked(TOKEN).answer("");
    typing.end().ok();
    // The comment stands above now, because Python's reader takes it for a part of the token where it was.
    let after = before.replace(&format!("token = {} ; from the web page", workspace.token()), &format!("; from the web page\ntoken = {}", workspace.token()));
    assert_eq!(home.config(), after);
}

#[test]
fn the_token_of_one_host_is_not_kept_for_another() {
    let (home, first) = Home::signed_in();
    let second = home.joins(Workspace::start());
    let mut typing = home.typing("configure");
    typing.asked(HOST).answer(second.url());
    typing.asked(TOKEN);
    assert!(!typing.screen().contains("keep"), "{typing:?}");
    typing.answer(second.token());
    typing.end().ok();
    assert!(home.config().contains(second.token()) && !home.config().contains(first.token()), "{}", home.config());
    assert!(first.requests().is_empty());
}

#[test]
fn no_token_is_possible_and_leaves_none() {
    let (home, workspace) = fresh();
    let mut typing = home.typing("configure -p bare");
    sign_in(&mut typing, workspace.url(), "");
    typing.end().ok();
    assert!(home.config().starts_with(&format!("[bare]\nhost = {}\n", workspace.url())), "{}", home.config());
    assert!(!home.config().contains("token"));
}

#[test]
fn giving_up_leaves_everything_as_it_was() {
    let (home, workspace) = Home::signed_in();
    let before = home.config();
    for (keys, said) in [("\u{3}", "Error: ^C"), ("\u{4}", "Error: EOF")] {
        for depth in 0..2 {
            let mut typing = home.typing("configure");
            typing.asked(HOST);
            if depth == 1 {
                typing.answer(workspace.url());
                typing.asked(TOKEN);
            }
            typing.send(keys);
            let end = typing.end();
            assert_eq!(end.status.code(), Some(1), "{end}");
            end.says(said);
            assert_eq!(home.config(), before);
        }
    }
    // Half a token, and Ctrl-C.
    let mut typing = home.typing("configure");
    typing.asked(HOST).answer("");
    typing.asked(TOKEN).send(&workspace.token()[..20]);
    typing.wait_for("*");
    typing.send("\u{3}");
    typing.end().says("Error: ^C");
    assert_eq!(home.config(), before);
}

#[test]
fn a_signal_in_a_question_restores_the_terminal_and_writes_nothing() {
    use std::os::unix::process::ExitStatusExt as _;
    let (home, _workspace) = Home::signed_in();
    let before = home.config();
    let mut typing = home.typing("configure");
    typing.asked(HOST);
    typing.signal(Signal::TERM);
    assert_eq!(typing.wait().signal(), Some(15));
    typing.assert_restored();
    assert_eq!(home.config(), before);
}

#[test]
fn a_cluster_is_picked_out_of_hundreds_by_typing() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().clusters(1500).start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    let offered = home.run("clusters list --cluster-sources API,UI -o json").ok().json();
    let offered = offered.as_array().unwrap();
    assert!(offered.len() > 300, "{}", offered.len());
    let wanted = offered.last().unwrap();
    let name = wanted["cluster_name"].as_str().unwrap();
    workspace.clear_requests();

    let mut typing = home.typing("configure --configure-cluster --profile DEFAULT");
    sign_in(&mut typing, "", "");
    typing.asked("Search: ");
    typing.wait_until("the first rows and more below", |screen| screen.contents().contains("my-cluster") && screen.contents().contains('↓'));
    typing.send(name);
    typing.wait_until("one row is left", |screen| {
        let text = screen.contents();
        text.contains(&format!("▸ {name}")) && !text.contains('↓')
    });
    assert!(typing.screen().contains("Runtime ") && typing.screen().contains(wanted["state"].as_str().unwrap()), "{typing:?}");
    typing.send("\r");
    let end = typing.end();
    end.ok().says(&format!("Configured cluster: {name} ({})", wanted["cluster_id"].as_str().unwrap()));
    assert!(home.config().contains(&format!("cluster_id = {}\n", wanted["cluster_id"].as_str().unwrap())), "{}", home.config());

    let lists: Vec<_> = workspace.requests().into_iter().filter(|request| request.path.ends_with("clusters/list")).collect();
    assert!(lists.len() > 3, "{} pages", lists.len());
    assert!(lists.iter().all(|request| request.query("page_size") == Some("100") && request.query("filter_by.cluster_sources") == Some("API")));
}

#[test]
fn arrows_choose_too_and_giving_up_in_the_list_writes_nothing() {
    let (home, workspace) = Home::signed_in();
    let before = home.config();
    // Of the workspace's clusters, two that people made.
    let two = r#"{"clusters":[{"cluster_id":"c-1","cluster_name":"one","state":"RUNNING","spark_version":"15.4.x-scala2.12","data_security_mode":"USER_ISOLATION"},
        {"cluster_id":"c-2","cluster_name":"two","state":"TERMINATED","spark_version":"99.x-scala2.12"}]}"#;
    let order = || {
        use crate::workspace::{Fault, Response};
        workspace.clear_faults();
        workspace.order(Fault::on("GET", "/api/2.1/clusters/list").reply(Response::new(200).body("application/json", two)));
    };
    order();
    let mut typing = home.typing("configure --configure-cluster");
    sign_in(&mut typing, "", "");
    typing.asked("Search: ").wait_for("Runtime 15.4 LTS");
    typing.send("\u{3}");
    typing.end().says("Error: ^C");
    assert_eq!(home.config(), before);

    order();
    let mut typing = home.typing("configure --configure-cluster");
    sign_in(&mut typing, "", "");
    typing.asked("Search: ").send("\u{1b}[B\r");
    typing.end().ok().says("Configured cluster: two (c-2)");
    assert!(home.config().contains("cluster_id = c-2\n"));
}

#[test]
fn a_single_cluster_is_taken_and_none_is_an_error() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().clusters(1).start());
    home.write_config(format!("{}serverless_compute_id = auto\n", profile("DEFAULT", workspace.url(), workspace.token())));
    let mut typing = home.typing("configure --configure-cluster");
    sign_in(&mut typing, "", "");
    typing.end().ok().says("Configured cluster: my-cluster (1234-567890-a12bcde3)");
    assert!(home.config().contains("cluster_id = 1234-567890-a12bcde3\n") && !home.config().contains("serverless"), "{}", home.config());

    let home = Home::new();
    let empty = home.joins(Workspace::builder().clusters(0).start());
    let mut typing = home.typing("configure --configure-cluster");
    sign_in(&mut typing, empty.url(), empty.token());
    let end = typing.end();
    assert_eq!(end.status.code(), Some(1), "{end}");
    end.says("Error: no compatible clusters found");
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn a_cluster_from_the_environment_asks_for_no_list() {
    let (home, workspace) = Home::signed_in();
    let mut typing = home.typing_with("configure --configure-cluster", &[("DATABRICKS_CLUSTER_ID", "c-env")]);
    sign_in(&mut typing, "", "");
    typing.end().ok();
    assert!(home.config().contains("cluster_id = c-env\n"));
    assert!(workspace.requests().iter().all(|request| !request.path.contains("clusters")));
}

#[test]
fn one_stream_that_is_no_terminal_is_enough_to_ask_nothing() {
    let (home, workspace) = fresh();
    home.set("DATABRICKS_HOST", workspace.url());
    home.set("T", workspace.token());
    // stdin is a pipe: it is read, although the terminal could be asked.
    let end = home.typing_script("printenv T | databricks configure -p piped").end();
    assert_eq!(end.ok().stderr.lines().count(), 0, "{end}");
    assert!(home.config().starts_with(&profile("piped", workspace.url(), workspace.token())));
    // stderr is a file: nobody would see the question.
    let end = home.typing_script("databricks configure -p asked 2>errors; code=$?; cat errors; exit $code").end();
    assert_eq!(end.status.code(), Some(1), "{end}");
    end.says("Error: ").says("DATABRICKS_TOKEN");
    assert!(!home.config().contains("asked"));
}

#[test]
fn profiles_tokens_and_ids_are_chosen_where_they_are_missing() {
    let (home, workspace) = Home::signed_in();
    home.write_config(format!("{}\n{}", profile("first", workspace.url(), workspace.token()), profile("second", workspace.url(), workspace.token())));
    let mut typing = home.typing("auth switch");
    typing.asked("Search: ").wait_for("first");
    typing.send("second\r");
    typing.end().ok().says("second");
    assert!(home.config().contains("default_profile = second\n"));

    let extra = workspace.mint_token("to be revoked", None);
    home.secret_of(&workspace, &extra.value);
    let mut typing = home.typing("tokens revoke");
    typing.asked("Search: ").wait_for("to be revoked");
    typing.send("be rev\r");
    typing.end().ok();
    assert!(!home.run("tokens list").ok().stdout.contains("to be revoked"));
}
