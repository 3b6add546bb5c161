//! A session across many lives of a token: readers of the managed file in Python and R, a recipe for ODBC, our own program, and the SDKs, none of which is ever refused.

use super::Job;
use crate::peers::oracle::{installed, python, root};
use crate::peers::sdks::{Sdk, Seen};
use serde_json::Value;
use std::time::Duration;

/// What knows the auth type of the broker: the Java SDK has not learned it.
const SDKS: [Sdk; 3] = [Sdk::Python, Sdk::Go, Sdk::JavaScript];
/// Between two calls of an SDK.
const PAUSE_MS: u32 = 250;

/// Runs everything for so long, with tokens that live for four seconds, and says what each saw.
fn session_of(seconds: u32) {
    let life = 4;
    let job = Job::with_tokens_of(Duration::from_secs(life));
    let reader = |name: &str| root().join("tests/session/readers").join(name).display().to_string();
    let (python, rscript) = (python().display().to_string(), installed("TEST_RSCRIPT", "/usr/bin/Rscript").display().to_string());
    let calls = usize::try_from(seconds * 1_000 / PAUSE_MS).unwrap();
    let mut lines = vec![
        ("poll", format!("{python} {} {seconds}", reader("poll.py"))),
        ("odbc", format!("{python} {} {seconds}", reader("odbc.py"))),
        ("r", format!("{rscript} --vanilla {} {seconds}", reader("reader.R"))),
    ];
    let sdks: Vec<String> = SDKS.iter().map(|sdk| format!("{sdk:?}")).collect();
    lines.extend(SDKS.iter().zip(&sdks).map(|(sdk, name)| (name.as_str(), sdk.line("workbench-live", calls, PAUSE_MS))));
    // Our own program with the profile that the session names, and with the token in the file.
    let own = format!(
        "end=$((SECONDS + {seconds})); calls=0; refused=0; while [ $SECONDS -lt $end ]; do for words in '' '-p workbench'; do\n\
         databricks current-user me $words -o json > me 2>> own.err && grep -q userName me || refused=$((refused + 1)); calls=$((calls + 1)); done; sleep 0.5; done\n\
         echo \"{{\\\"calls\\\": $calls, \\\"refused\\\": $refused}}\""
    );
    lines.push(("own", own));
    let started: String = lines.iter().map(|(name, line)| format!("( {line}\n) > {name}.out 2> {name}.err &\n")).collect();
    job.home.write(&job.home.work().join("all"), format!("{started}wait\n"));
    let outcome = job
        .home
        .command("session start p --live -- /bin/bash all")
        .env("PATH", job.home.search_path())
        .at_most(Duration::from_secs(u64::from(seconds) + 60))
        .run();
    outcome.ok().silent();

    let said = |name: &str, ending: &str| std::fs::read_to_string(job.home.work().join(format!("{name}.{ending}"))).unwrap();
    let seen = |name: &str| -> Value {
        println!("{name}: {}", said(name, "out").trim_end());
        serde_json::from_str(said(name, "out").trim_end()).unwrap_or_else(|error| panic!("{name}: {error}\n{}\n{}", said(name, "out"), said(name, "err")))
    };
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_else(|| panic!("{key} of {value}"));
    let lives = u64::from(seconds) / life;
    let poll = seen("poll");
    assert_eq!((number(&poll, "torn"), number(&poll, "dead"), number(&poll, "refused")), (0, 0, 0), "{poll}");
    assert!(number(&poll, "reads") > u64::from(seconds) * 10 && number(&poll, "tokens") >= lives, "{poll}");
    assert!(poll["least"].as_f64().unwrap() > 0.5, "a token that a reader finds has some life left: {poll}");
    for name in ["odbc", "r", "own"] {
        let seen = seen(name);
        assert!(number(&seen, "refused") == 0 && number(&seen, "calls") >= u64::from(seconds) / 4, "{name}: {seen}\n{}", said(name, "err"));
    }
    for name in &sdks {
        let seen: Seen = serde_json::from_value(seen(name)).unwrap();
        assert_eq!((seen.ok, seen.unauthorized), (calls, 0), "{name}: {seen:?}");
    }
    let requests = job.workspace.requests();
    assert!(requests.len() < 10_000, "more than the workspace remembers");
    assert_eq!(job.refused(), 0, "{:?}", requests.iter().find(|request| request.status == Some(401)));
    let granted = job.workspace.grants().client_credentials;
    println!("{} requests, {granted} tokens", requests.len());
    assert!(granted as u64 >= lives && (granted as u64) < u64::from(seconds) * 2, "{granted}");
    assert!(job.folders().is_empty(), "{:?}", job.folders());
}

/// Most of it is to wait: some seconds of processor time.
#[test]
fn two_minutes_of_tokens_that_live_four_seconds() {
    session_of(120);
}
