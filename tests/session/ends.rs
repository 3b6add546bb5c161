//! How sessions end: the folder lost as by a new start of the machine, many at once, the terminal, the parent, clocks and sleep.

use super::{Job, eventually, processes};
use crate::peers::faketime::Faketime;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn pid(number: &Value) -> Pid {
    Pid::from_raw(number.as_i64().and_then(|number| i32::try_from(number).ok()).expect("the number of a process")).expect("one")
}

fn sessions(job: &Job) -> Vec<Value> {
    serde_json::from_value(job.home.run("session list -o json").ok().json()).unwrap()
}

/// A session in the background that ends with this process; what `session list` says of it, and its folder.
fn background(job: &Job, words: &[&str]) -> (Value, PathBuf) {
    let parent = std::process::id().to_string();
    job.home.run(&[&["session", "start", "p", "--parent", &parent][..], words].concat()[..]).ok();
    let own = sessions(job).pop().unwrap();
    let id = own["id"].as_str().unwrap().to_owned();
    let folder = job.folders().into_iter().find(|folder| folder.ends_with(format!("session-{id}"))).unwrap();
    (own, folder)
}

fn is_gone(process: Pid) -> bool {
    rustix::process::test_kill_process(process).is_err()
}

/// What the token in a managed file is.
fn token_in(folder: &std::path::Path) -> String {
    let text = std::fs::read_to_string(folder.join(".databrickscfg")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("token     = ")).unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// The runtime folder is gone, as after a new start of the machine or the user's last logout.
#[test]
fn a_lost_folder_ends_the_session_and_the_next_one_works() {
    let job = Job::new();
    let (own, folder) = background(&job, &["--live"]);
    let (keeper, watch) = (pid(&own["keeper"]), format!("session watch {}", own["id"].as_str().unwrap()));
    assert!(!processes(&watch).is_empty());
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    eventually("the end of the keeper", || is_gone(keeper));
    eventually("the end of the watcher", || processes(&watch).is_empty());
    assert!(sessions(&job).is_empty());
    // The program of a session may hold unsaved work: it goes on, and so does its broker; the person is told when the next token is due.
    job.workspace.set_token_lifetime(Duration::from_secs(2));
    job.home.forget_tokens();
    let script = r#"databricks session start p --live -- bash -c '
        rm -r "$(dirname "$(dirname "$DATABRICKS_CONFIG_FILE")")"
        databricks session start p -- true 2> said; grep -c "no matching profile\|no profile file\|cannot" said
        sleep 1.5; exit 6'; echo $?; databricks session start p -- sh -c 'grep -c ^token "$DATABRICKS_CONFIG_FILE"'"#;
    job.home.script(script).run().ok().shows("6\n1\n").says("its folder is gone");
    assert!(job.folders().is_empty());
}

/// A hundred sessions of one user: each has its own folder, keeper and watcher, and all of them rest.
#[test]
fn a_hundred_sessions_at_once() {
    let job = Job::new();
    // The token is there before they ask.
    job.home.run("session start p -- /bin/true").ok();
    let parent = std::process::id();
    let started = Instant::now();
    job.home.script(&format!("seq 100 | xargs -P 8 -I+ databricks session start p --parent {parent} > /dev/null 2>&1")).run().ok();
    println!("100 sessions started in {:?}", started.elapsed());
    let all = sessions(&job);
    assert_eq!((all.len(), job.folders().len()), (100, 100));
    assert_eq!(job.workspace.grants().client_credentials, 1, "they share a token");
    let own: Vec<String> = all.iter().map(|one| one["keeper"].to_string()).collect();
    let watchers: Vec<String> =
        all.iter().flat_map(|one| processes(&format!("session watch {}", one["id"].as_str().unwrap()))).map(|pid| pid.as_raw_nonzero().to_string()).collect();
    assert_eq!(watchers.len(), 100);
    let read = |process: &String, file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    // What they share counts once: the proportional set size, in kB.
    let shares: Vec<u64> = own.iter().chain(&watchers).map(|process| line_of(&read(process, "smaps_rollup"), "Pss:")).collect();
    let memory: u64 = shares.iter().sum();
    println!("100 keepers and 100 watchers: {} MiB", memory >> 10);
    assert!(memory < 600 << 10, "{memory} kB");
    let wakeups = || -> u64 { own.iter().chain(&watchers).map(|process| line_of(&read(process, "status"), "voluntary_ctxt_switches:")).sum() };
    let before = wakeups();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(wakeups(), before, "nothing is due, and somebody woke up");
    let started = Instant::now();
    job.home.run("session end --all").ok();
    println!("ended in {:?}", started.elapsed());
    assert!(job.folders().is_empty());
    eventually("the end of all processes", || own.iter().chain(&watchers).all(|process| !PathBuf::from(format!("/proc/{process}")).exists()));
}

fn line_of(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The machine sleeps for longer than a token lives: afterwards the broker has no dead token for anybody, and the file has a living one at once.
#[test]
fn sleep_is_survived() {
    let life = Duration::from_secs(2);
    let job = Job::with_tokens_of(life);
    let (own, folder) = background(&job, &["--live"]);
    let serving = super::Serving::start(&job, &["p"]);
    assert_eq!(serving.ask(&serving.request()).0, 200);
    let asleep = [pid(&own["keeper"]), Pid::from_child(&serving.child)];
    for process in asleep {
        kill_process(process, Signal::STOP).unwrap();
    }
    let before = token_in(&folder);
    eventually("the end of the token", || !job.workspace.access_token_works(&before));
    for process in asleep {
        kill_process(process, Signal::CONT).unwrap();
    }
    let woken = Instant::now();
    for _ in 0..50 {
        let (status, body) = serving.ask(&serving.request());
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200);
        assert!(job.workspace.access_token_works(answer["access_token"].as_str().unwrap()), "a dead token {:?} after the sleep", woken.elapsed());
    }
    eventually("a living token in the file", || job.workspace.access_token_works(&token_in(&folder)));
    println!("the file was good {:?} after the sleep", woken.elapsed());
    job.home.run("session end").ok();
}

/// The clock is put on and back by hours while the session runs; what the workspace takes is what counts.
///
/// The system's own news of a clock that was put (`TFD_TIMER_CANCEL_ON_SET`) cannot be had without putting it; here a signal makes the keeper look.
#[test]
fn a_clock_that_is_put_is_survived() {
    let job = Job::new();
    job.workspace.set_token_lifetime(Duration::from_secs(3_600));
    let clock = Faketime::off_by("+2h");
    for (name, value) in clock.environment() {
        job.home.set(name, value);
    }
    let (own, folder) = background(&job, &["--live"]);
    // Not an end, and nobody to pass it on to: the keeper looks at the clock, and goes on.
    let look = || kill_process(pid(&own["keeper"]), Signal::USR1).unwrap();
    let first = token_in(&folder);
    // A clock that was two hours ahead is put right: what it said of the token's end means nothing now.
    clock.set("+0");
    let expires = |own: &Value| own["expires"].as_i64().unwrap() - jiff::Timestamp::now().as_second();
    assert!(expires(&own) > 2 * 3_600);
    look();
    eventually("a new token", || token_in(&folder) != first);
    let second = token_in(&folder);
    eventually("what the list says", || (3_400..=3_600).contains(&expires(&sessions(&job)[0])));
    // Put on by two hours, as after a sleep: the token is over by the clock.
    clock.set("+2h");
    look();
    eventually("a new token", || token_in(&folder) != second);
    assert!(job.workspace.access_token_works(&token_in(&folder)));
    job.home.run("session end").ok();
    assert_eq!(job.refused(), 0);
}

/// What makes the system tell of sleep and of a clock that was put.
#[test]
fn the_alarm_follows_the_clock_of_the_wall_and_hears_of_changes() {
    let job = Job::new();
    let outcome = job.home.script("strace -f -e trace=timerfd_create,timerfd_settime -o trace databricks session start p -- sleep 0.1; grep -c 'timerfd_create(CLOCK_REALTIME' trace; grep -c 'TFD_TIMER_ABSTIME|TFD_TIMER_CANCEL_ON_SET' trace").run();
    let counts: Vec<u32> = outcome.ok().stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert!(counts[0] == 1 && counts[1] >= 1, "{outcome}");
}
