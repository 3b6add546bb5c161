//! `session start` and its kin: readers of the managed file, shells, kills.

use super::{Job, eventually, processes};
use crate::harness::profile;
use crate::peers::oracle::python;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::time::Duration;

/// Reads the file as recipes for ODBC do, all the time, and uses what it finds.
pub(super) const READER: &str = r#"
import configparser, json, os, sys, time, urllib.request, urllib.error
end = time.time() + float(sys.argv[1])
seen = {"reads": 0, "tokens": set(), "refused": 0, "calls": 0}
while time.time() < end:
    config = configparser.ConfigParser()
    with open(os.environ["DATABRICKS_CONFIG_FILE"]) as file:
        config.read_file(file)
    token = config["workbench"]["token"]
    assert config["workbench"]["host"] == os.environ["DATABRICKS_HOST"]
    seen["reads"] += 1
    seen["tokens"].add(token)
    if seen["reads"] % 3 == 0:
        request = urllib.request.Request(os.environ["DATABRICKS_HOST"] + "/api/2.0/preview/scim/v2/Me", headers={"Authorization": "Bearer " + token})
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as error:
            seen["refused"] += 1
        seen["calls"] += 1
    time.sleep(0.02)
seen["tokens"] = len(seen["tokens"])
print(json.dumps(seen))
"#;

#[test]
fn a_reader_of_the_file_never_sees_a_torn_or_dead_token() {
    let job = Job::with_tokens_of(Duration::from_secs(3));
    job.home.write(&job.home.work().join("reader.py"), READER);
    let python = python();
    let outcome = job.home.command(["session", "start", "p", "--", python.to_str().unwrap(), "reader.py", "7"]).run();
    let seen: Value = outcome.ok().json();
    assert!(seen["reads"].as_u64().unwrap() > 50 && seen["calls"].as_u64().unwrap() > 15, "{seen}");
    assert!(seen["tokens"].as_u64().unwrap() >= 4, "{seen}");
    assert_eq!((seen["refused"].as_u64(), job.refused()), (Some(0), 0), "{seen}");
    assert!(job.folders().is_empty(), "{:?}", job.folders());
}

#[test]
fn programs_in_a_session_find_it_and_nothing_is_left() {
    let job = Job::new();
    let script = r#"databricks session start p -- sh -c '
        stat -c %a "$DATABRICKS_CONFIG_FILE" "$(dirname "$DATABRICKS_CONFIG_FILE")"; echo "$DATABRICKS_CONFIG_PROFILE $DATABRICKS_HOST ${DATABRICKS_TOKEN-no token}"
        databricks current-user me -o json | grep -c userName; databricks session list -o json | grep -c keeper; exit 5'; echo $?"#;
    let outcome = job.home.script(script).env("DATABRICKS_TOKEN", "dapi-of-somebody-else").run();
    outcome.ok().prints(&format!("600\n700\nworkbench {} no token\n1\n1\n5\n", job.workspace.url())).says("environment: DATABRICKS_TOKEN is set");
    assert!(job.folders().is_empty());
    job.home.run("session list").ok().lacks("http");
}

#[test]
fn a_session_without_a_program_belongs_to_its_shell() {
    let job = Job::new();
    let script = r#"bash -c 'eval "$(databricks session start p)"
            databricks current-user me -o json | grep -c userName; databricks session status | grep -c "Token ends  in 59 minutes\|Token ends  in 60 minutes"
            echo "$DATABRICKS_CONFIG_FILE" > file'
        file=$(cat file); while [ -e "$file" ]; do sleep 0.01; done; echo gone
        eval "$(databricks session start p)"; before=$(grep ^token "$DATABRICKS_CONFIG_FILE"); databricks session refresh
        after=$(grep ^token "$DATABRICKS_CONFIG_FILE"); [ "$before" != "$after" ] && echo renewed
        eval "$(databricks session env)"; databricks session end; ls "$DATABRICKS_CONFIG_FILE" 2> /dev/null; databricks session end; echo $?"#;
    let outcome = job.home.script(script).run();
    outcome.ok().shows("1\n1\ngone\n").shows("1\n").says("has ended").says("there is no session");
    assert!(job.folders().is_empty());
}

#[test]
fn a_session_ends_in_time_and_all_at_once() {
    let job = Job::new();
    let script = r#"eval "$(databricks session start p --for 1s)"; file=$DATABRICKS_CONFIG_FILE; while [ -e "$file" ]; do sleep 0.01; done; echo over
        unset DATABRICKS_CONFIG_FILE DATABRICKS_CONFIG_PROFILE DATABRICKS_HOST
        for i in 1 2 3; do databricks session start p > /dev/null; done; databricks session list -o json | grep -c '"id"'
        databricks session end; echo $?; databricks session end --all; databricks session list -o json"#;
    job.home.script(script).run().ok().prints("over\n3\n1\n[]\n").says("there are several sessions");
    assert!(job.folders().is_empty());
}

/// Whatever is killed, no token stays, and no process.
#[test]
fn a_killed_keeper_leaves_nothing() {
    let job = Job::new();
    // The keeper is the parent of the program.
    let script =
        r#"databricks session start p -- sh -c 'kill -9 $PPID; while [ -e "$(dirname "$DATABRICKS_CONFIG_FILE")" ]; do sleep 0.01; done; echo swept'; echo $?"#;
    let outcome = job.home.script(script).run();
    outcome.ok().shows("137\n").shows("swept\n");
    eventually("the sweep", || job.folders().is_empty());
    // One in the background, and its watchers with it: the next start sweeps.
    let parent = std::process::id().to_string();
    job.home.run(["session", "start", "p", "--parent", &parent]).ok();
    let listed = job.home.run("session list -o json").ok().json();
    let (id, keeper) = (listed[0]["id"].as_str().unwrap(), Pid::from_raw(listed[0]["keeper"].as_i64().unwrap().try_into().unwrap()).unwrap());
    let watchers = || processes(&format!("session watch {id}"));
    let kill_watchers = || {
        for watcher in watchers() {
            // It may have gone by itself.
            let _gone = kill_process(watcher, Signal::KILL);
        }
    };
    for _ in 0..3 {
        eventually("a watcher", || !watchers().is_empty());
        kill_watchers();
    }
    // One that has stopped starts no other.
    kill_process(keeper, Signal::STOP).unwrap();
    let status = format!("/proc/{}/status", keeper.as_raw_nonzero());
    eventually("the stop of the keeper", || std::fs::read_to_string(&status).unwrap().contains("State:\tT"));
    kill_watchers();
    eventually("the end of the watchers", || watchers().is_empty());
    kill_process(keeper, Signal::KILL).unwrap();
    eventually("the end of the keeper", || {
        !std::path::Path::new(&status).exists() || std::fs::read_to_string(&status).unwrap_or_default().contains("State:\tZ")
    });
    assert_eq!(job.folders().len(), 1, "nobody was left to remove it");
    job.home.run("session start p -- /bin/true").ok();
    assert!(job.folders().is_empty());
}

#[test]
fn a_killed_program_ends_its_session() {
    let job = Job::new();
    let script = r"databricks session start p --live -- sh -c 'kill -9 $$'; echo $?
        databricks session start p -- no-such-program; echo $?";
    job.home.script(script).run().ok().prints("137\n127\n");
    assert!(job.folders().is_empty());
}

#[test]
fn a_session_that_was_ended_takes_its_program_along() {
    let job = Job::new();
    let script = r#"databricks session start p -- bash -c 'trap "ls $DATABRICKS_CONFIG_FILE 2>&1 | grep -c cannot; exit 4" TERM; (databricks session end) & while :; do sleep 0.02; done'; echo $?"#;
    job.home.script(script).run().ok().prints("1\n4\n");
    assert!(job.folders().is_empty());
}

/// A client that was made at the start goes on: it asks the broker.
#[test]
fn live_sessions_outlast_their_tokens() {
    let job = Job::with_tokens_of(Duration::from_secs(4));
    let line = crate::peers::sdks::Sdk::Python.line("workbench-live", 100, 70);
    let script = format!(
        "databricks session start p --live -- sh -c 'grep -c ^token \"$DATABRICKS_CONFIG_FILE\"; echo $DATABRICKS_CONFIG_PROFILE; {}'",
        line.replace('\'', r"'\''")
    );
    let outcome = job.home.script(&script).run();
    let mut lines = outcome.ok().stdout.lines();
    assert_eq!((lines.next(), lines.next()), (Some("1"), Some("workbench-live")), "{outcome}");
    let seen: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((seen["ok"].as_u64(), job.refused()), (Some(100), 0), "{seen}");
}

/// A personal access token lives in a session like any other; its profile can change meanwhile.
#[test]
fn a_dead_sign_in_is_told_and_renewed_in_place() {
    let job = Job::with_tokens_of(Duration::from_secs(4));
    let good = job.home.config();
    let script = r#"eval "$(databricks session start p)"; sed -i 's/^client_secret.*/client_secret = dose0000000000000000/' ~/.databrickscfg; rm ~/.databricks/token-cache.json
        file=$DATABRICKS_CONFIG_FILE; (unset DATABRICKS_CONFIG_FILE; sleep 4.5); databricks session status; echo $?
        cp good ~/.databrickscfg; databricks session refresh; databricks session status > /dev/null; echo $?; databricks current-user me | grep -c userName; databricks session end"#;
    job.home.write(&job.home.work().join("good"), &good);
    job.home.store(job.home.work().join("good"));
    let outcome = job.home.script(script).run();
    outcome.ok().shows("Token ends  over\n").shows("1\n0\n1\n").says("could not be renewed").says("databricks auth login");
}

#[test]
fn on_a_terminal_a_workspace_is_chosen_or_none() {
    let job = Job::new();
    let mut typing = job.home.typing(["session", "start", "--", "/bin/sh", "-c", "echo in ${DATABRICKS_CONFIG_PROFILE-none} session"]);
    typing.asked("Workspace").answer("None");
    typing.end().ok().says("in none session").says("No session");
    let mut typing = job.home.typing(["session", "start", "--", "/bin/sh", "-c", "echo in ${DATABRICKS_CONFIG_PROFILE-none} session"]);
    typing.asked("Workspace").answer("q");
    typing.end().ok().says("in workbench session");
    assert!(job.folders().is_empty());
}

#[test]
fn on_a_terminal_what_failed_can_be_tried_again() {
    let job = Job::new();
    let foreign = crate::harness::made_up_token();
    job.home.secret_of(&job.workspace, &foreign);
    job.home.write_config(
        profile("pat", "http://127.0.0.1:9", &foreign)
            + "[broken]\nhost = http://127.0.0.1:9\nauth_type = oauth-m2m\nclient_id = a\nclient_secret = dose00000000\n",
    );
    let mut typing = job.home.typing(["session", "start", "broken", "--", "/bin/sh", "-c", "echo in ${DATABRICKS_CONFIG_PROFILE-none} session"]);
    typing.asked("What now").answer("");
    typing.asked("What now: Retry").asked("▸ Retry").answer("\x1b[B\x1b[B");
    typing.end().ok().says("in none session");
    // Without a terminal it is an error like any other.
    job.home.run("session start broken -- /bin/true").fails().says("127.0.0.1:9");
    job.home.run("session start nobody -- /bin/true").fails().says("no matching profile found");
    // Nor is there a session that would end before it begins.
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    for (parent, why) in [(child.id().to_string(), "there is no such process"), ("0".to_owned(), "the number of a process"), ("-1".to_owned(), "--parent")] {
        job.home.run(["session", "start", "pat", &format!("--parent={parent}")]).fails().prints("").says(why);
    }
    assert!(job.folders().is_empty());
}

#[test]
fn the_file_has_host_token_and_ids_and_shells_are_led_to_it() {
    let job = Job::new();
    let config = job.home.config().replace("[p]\n", "[p]\ncluster_id = 1234-567890-a12bcde3\nwarehouse_id = abc123\n");
    job.home.write_config(config);
    let script = r#"databricks session start p -- sh -c 'sed "s/^token .*/token/; s/^host .*/host/" "$DATABRICKS_CONFIG_FILE"; databricks auth env -o json | grep -c "1234-567890-a12bcde3"'
        databricks session start p --parent $$ --shell fish > lines.fish 2> /dev/null; fish -c 'source lines.fish; databricks current-user me -o json | grep -c userName'
        databricks session env --shell pwsh; databricks session end 2> /dev/null"#;
    let outcome = job.home.script(script).env("DATABRICKS_TOKEN", "dapi-of-somebody-else").run();
    let file = "[workbench]\nhost\ntoken\nauth_type    = pat\ncluster_id   = 1234-567890-a12bcde3\nwarehouse_id = abc123\n\n[__settings__]\ndefault_profile = workbench\n";
    outcome.ok().shows(&format!("{file}1\n1\n")).shows("$Env:DATABRICKS_CONFIG_PROFILE = 'workbench'\n").shows("Remove-Item Env:DATABRICKS_TOKEN\n");
}

#[test]
fn signals_reach_the_program_of_a_session() {
    let job = Job::new();
    let script = r#"mkfifo ready
        databricks session start p -- bash -c 'trap "echo term; exit 3" TERM; trap "echo usr" USR1; trap "echo hup" HUP; echo up > ready; while :; do sleep 0.02; done' &
        session=$!; read -r word < ready
        for signal in USR1 HUP; do kill -$signal $session; sleep 0.2; done; kill -TERM $session; wait $session; echo $?"#;
    job.home.script(script).run().ok().prints("usr\nhup\nterm\n3\n");
    assert!(job.folders().is_empty());
}
