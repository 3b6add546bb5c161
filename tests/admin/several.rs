//! Several tokens at once: `tokens delete` and `token-management delete`.

use crate::harness::Home;
use crate::workspace::{Fault, Minted, Workspace};
use std::sync::Arc;

/// A workspace with three more tokens.
fn three() -> (Home, Arc<Workspace>, Vec<Minted>) {
    let (home, workspace) = Home::signed_in();
    let made: Vec<Minted> = (1..=3).map(|number| workspace.mint_token(&format!("extra {number}"), None)).collect();
    for minted in &made {
        home.secret_of(&workspace, &minted.value);
    }
    (home, workspace, made)
}

fn deletions(workspace: &Workspace) -> Vec<String> {
    let is_deletion = |request: &&crate::workspace::Recorded| request.method == "DELETE" || request.path == "/api/2.0/token/delete";
    workspace
        .requests()
        .iter()
        .filter(is_deletion)
        .map(|request| request.json()["token_id"].as_str().map_or_else(|| request.path.rsplit('/').next().unwrap().to_owned(), ToOwned::to_owned))
        .collect()
}

fn words<'w>(group: &'w str, ids: &[&'w str]) -> Vec<std::ffi::OsString> {
    [group, "delete"].iter().chain(ids).map(std::ffi::OsString::from).collect()
}

const GROUPS: [&str; 2] = ["tokens", "token-management"];

#[test]
fn several_are_revoked_in_their_order_and_each_once() {
    for group in GROUPS {
        let (home, workspace, made) = three();
        let ids: Vec<&str> = made.iter().map(|minted| minted.id.as_str()).collect();
        home.run(words(group, &[ids[2], ids[0], ids[2]])).ok().silent();
        assert_eq!(deletions(&workspace), [ids[2], ids[0]], "{group}");
    }
}

#[test]
fn one_that_fails_does_not_keep_the_others() {
    for group in GROUPS {
        let (home, workspace, made) = three();
        let outcome = home.run(words(group, &[&made[0].id, "nope\u{1b}", &made[1].id]));
        outcome.fails().notes("Error: 1 of 3 failed, the others are done:\nnope\\u{1b}: Token with id nope\\u{1b} does not exist\n");
        assert_eq!(deletions(&workspace).len(), 3, "{group}");
        let none = home.run(words(group, &["x", "y"]));
        none.fails().notes("Error: none of 2 could be done:\nx: Token with id x does not exist\ny: Token with id y does not exist\n");
    }
}

#[test]
fn where_the_service_is_gone_the_rest_is_not_tried() {
    let (home, workspace, made) = three();
    workspace.order(Fault::on("DELETE", "/api/2.0/token-management").after(1).reset_before().forever());
    let outcome = home.run(words("token-management", &[&made[0].id, &made[1].id, &made[2].id]));
    outcome
        .fails()
        .says("Error: 1 of 3 failed, 1 were not tried, 1 are done:\n")
        .says(&format!("{}: no usable reply", made[1].id))
        .says(&format!("{}: not tried", made[2].id));
    assert!(deletions(&workspace).iter().all(|id| *id != made[2].id));
}

#[test]
fn a_dry_run_sends_nothing() {
    for group in GROUPS {
        let (home, workspace, made) = three();
        let outcome = home.run(words(group, &[&made[0].id, &made[1].id, "--dry-run"]));
        let url = workspace.url();
        outcome.ok().prints("").notes(&format!("Would delete {} at {url}\nWould delete {} at {url}\n", made[0].id, made[1].id));
        home.run(words(group, &[&made[0].id, "--dry-run=true"])).ok();
        assert!(workspace.requests().is_empty(), "{group}");
    }
    // By --json too.
    let (home, workspace, made) = three();
    let body = format!("{{\"token_id\": \"{}\"}}", made[0].id);
    home.run(["tokens", "delete", "--json", &body, "--dry-run"]).ok().notes(&format!("Would delete {} at {}\n", made[0].id, workspace.url()));
    assert!(workspace.requests().is_empty());
    home.run(["tokens", "delete", "--json", &body]).ok().silent();
    assert_eq!(deletions(&workspace), [made[0].id.clone()]);
}

#[test]
fn several_are_confirmed_on_a_terminal() {
    for (answer, gone) in [("n", 0), ("", 0), ("y", 2), ("YES", 2)] {
        let (home, workspace, made) = three();
        let mut typing = home.typing(words("token-management", &[&made[0].id, &made[1].id]));
        typing.wait_for(&made[1].id);
        typing.asked("Delete these 2 at").answer(answer);
        let end = typing.end();
        end.ok();
        if gone == 0 {
            end.says("Nothing was done.");
        }
        assert_eq!(deletions(&workspace).len(), gone, "{answer:?}");
    }
    // One alone is what was typed: nobody is asked.
    let (home, workspace, made) = three();
    home.typing(words("tokens", &[&made[0].id])).end().ok();
    assert_eq!(deletions(&workspace).len(), 1);
    // Interrupted, nothing is done.
    let mut typing = home.typing(words("tokens", &[&made[1].id, &made[2].id]));
    typing.asked("Delete these 2 at").send("\u{3}");
    assert_eq!(typing.end().status.code(), Some(1));
    assert_eq!(deletions(&workspace).len(), 1);
}

#[test]
fn ids_come_through_xargs() {
    let (home, workspace, made) = three();
    let script = "databricks token-management list -o json | jq -r '.[] | select(.comment | startswith(\"extra\")) | .token_id' | xargs -r databricks token-management delete";
    home.script(script).run().ok().silent();
    let mut gone = deletions(&workspace);
    gone.sort();
    let mut wanted: Vec<_> = made.into_iter().map(|minted| minted.id).collect();
    wanted.sort();
    assert_eq!(gone, wanted);
    // Nothing in is nothing done: xargs without -r calls once without an id.
    let empty = home.script("true | xargs databricks token-management delete; echo rc=$?").run();
    empty.shows("rc=123").says("Error: expected to have The ID of the token to revoke");
}
