//! Several sessions, a session within a session, and what is left in a shell when one has ended.

use super::{Job, Serving, eventually};
use crate::peers::oracle::python;
use serde_json::Value;
use std::time::Duration;

/// What is started in a session takes the session's token for its own: it has to know when that ends.
#[test]
fn a_session_within_a_session_and_a_broker_in_it_have_living_tokens_too() {
    let job = Job::with_tokens_of(Duration::from_secs(4));
    job.home.write(&job.home.work().join("reader.py"), super::managed::READER);
    let inner = format!("databricks session start -- {} reader.py 8 > file & databricks auth exec -- bash asks > broker & wait", python().display());
    let asks = r#"end=$((SECONDS + 8)); while [ $SECONDS -lt $end ]; do
        token=$(curl -s --noproxy "*" -H "X-Databricks-Metadata-Version: 1" -H "X-Databricks-Host: $DATABRICKS_HOST" "$DATABRICKS_METADATA_SERVICE_URL" | sed "s/.*access_token\":\"\([^\"]*\)\".*/\1/")
        curl -s -o /dev/null -w "%{http_code}\n" -H "Authorization: Bearer $token" "$DATABRICKS_HOST/api/2.0/preview/scim/v2/Me"; sleep 0.1; done | sort | uniq"#;
    job.home.write(&job.home.work().join("asks"), asks);
    job.home.write(&job.home.work().join("inner"), inner);
    job.home.script("databricks session start p -- bash inner").run().ok();
    let said = |name: &str| std::fs::read_to_string(job.home.work().join(name)).unwrap();
    let seen: Value = serde_json::from_str(&said("file")).unwrap();
    assert!(seen["tokens"].as_u64().unwrap() >= 4 && seen["refused"].as_u64() == Some(0), "{seen}");
    assert_eq!((said("broker").as_str(), job.refused()), ("200\n", 0));
    assert!(job.folders().is_empty());
    // The end is told, and a token that has ended is not handed on.
    let script = r#"databricks session start p -- sh -c '
        databricks session start -- databricks session status | grep -c "Token ends  in [1-4] second"
        cp "$DATABRICKS_CONFIG_FILE" old; sleep 4.2
        DATABRICKS_CONFIG_FILE=$PWD/old databricks session start -- true; DATABRICKS_CONFIG_FILE=$PWD/old databricks auth exec -- true; rm old'"#;
    let outcome = job.home.script(script).run();
    outcome.shows("1\n");
    assert_eq!(outcome.stderr.matches("Error: the token that is set has ended at").count(), 2, "{outcome}");
}

#[test]
fn sessions_of_one_workspace_are_apart() {
    let job = Job::new();
    let script = r#"one=$(databricks session start p); two=$(databricks session start q --live)
        (eval "$one"; databricks session end); (eval "$one"; databricks current-user me 2>&1 | grep -c "has ended, and the environment still leads there")
        eval "$two"; databricks current-user me -o json | grep -c userName; databricks session status | grep -c "Signed in   q (oauth-m2m)"; databricks session end"#;
    job.home.script(script).run().ok().prints("1\n1\n1\n");
    assert!(job.folders().is_empty());
}

/// A shell has the variables of a session that has ended until somebody takes them out: each error says how.
#[test]
fn whoever_is_left_in_a_session_is_told_the_way_out() {
    let job = Job::new();
    let out = "unset DATABRICKS_CONFIG_FILE DATABRICKS_CONFIG_PROFILE DATABRICKS_HOST";
    let script = format!(
        r#"eval "$(databricks session start p)"; databricks session start q -- true 2> in; databricks session end 2> end
        databricks session start q -- true 2> start; databricks current-user me 2> me; databricks auth profiles 2> profiles; databricks session list
        grep -c "{out}$" in end start me profiles; {out}; databricks session start q -- sh -c 'echo $DATABRICKS_CONFIG_PROFILE'"#
    );
    job.home.script(&script).run().ok().shows("in:1\nend:1\nstart:1\nme:1\nprofiles:1\nworkbench\n");
}

/// The profile behind a session is taken away, or leads elsewhere: the old token stays, the reason is told, and no secret goes to the other host.
#[test]
fn a_profile_that_is_changed_meanwhile_is_told_and_taken_up_again() {
    let job = Job::new();
    let other = job.home.joins(crate::workspace::Workspace::start());
    let good = job.home.config();
    let (first, _) = good.split_once("[q]").unwrap();
    let moved = good.replacen(job.workspace.url(), other.url(), 1);
    for (name, text) in [("good", good.as_str()), ("deleted", &good[first.len()..]), ("moved", moved.as_str())] {
        job.home.write(&job.home.work().join(name), text);
        job.home.store(job.home.work().join(name));
    }
    let script = r#"eval "$(databricks session start p --live)"; before=$(grep ^token "$DATABRICKS_CONFIG_FILE"); rm ~/.databricks/token-cache.json
        for change in deleted moved; do cp $change ~/.databrickscfg; databricks session refresh; echo $?
            [ "$before" = "$(grep ^token "$DATABRICKS_CONFIG_FILE")" ] && databricks session status > status && echo same; done
        cp good ~/.databrickscfg; databricks session refresh && databricks current-user me -p workbench -o json | grep -c userName; databricks session end"#;
    let outcome = job.home.script(script).run();
    outcome.ok().prints("1\nsame\n1\nsame\n1\n").says("has no p profile configured").says("and no longer");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

/// Where a broker was killed its profile stays and leads nowhere; the next one of that name takes it over.
#[test]
fn a_broker_that_was_killed_is_followed_by_another() {
    let job = Job::new();
    let words = ["p", "--write-profile", "live"];
    let mut serving = Serving::start(&job, &words);
    job.home.run("current-user me -p live -o json").ok().shows("userName");
    let first = serving.paths[0].clone();
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    job.home.run("current-user me -p live").fails().says("metadata-service").says("127.0.0.1");
    let second = Serving::start(&job, &words);
    assert_ne!(second.paths[0], first, "whoever listened there meanwhile has heard the old one");
    job.home.run("current-user me -p live -o json").ok().shows("userName");
    // Two at once: the profile is the younger one's, and the older one leaves it alone.
    let third = Serving::start(&job, &words);
    assert_eq!(second.end(), Some(0));
    job.home.run("current-user me -p live -o json").ok().shows("userName");
    assert_eq!(third.end(), Some(0));
    eventually("the end of the profile", || !job.home.config().contains("[live]"));
}
