//! A signal between the server's rotation of the refresh token and its storing: the process ends by it, and the sign-in lives on.

use super::SignedIn;
use crate::session::eventually;
use crate::workspace::{Fault, Gate, RefreshMode, Workspace};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

/// Somebody who has to renew at a server that takes a second use of a refresh token for theft, and whose replies wait.
struct Renewal {
    signed_in: SignedIn,
    gate: Gate,
}

impl Renewal {
    fn new() -> Renewal {
        Renewal::of(SignedIn::to(Workspace::builder().refresh_mode(RefreshMode::Rotating).start()))
    }

    fn of(signed_in: SignedIn) -> Renewal {
        signed_in.expire();
        let gate = Gate::default();
        signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").held(&gate));
        Renewal { signed_in, gate }
    }

    /// Waits until the server has spent the refresh token.
    fn rotated(&self) {
        eventually("the rotation", || self.signed_in.workspace.grants().refreshes == 1);
    }

    /// The new sign-in is in the store, and the next command takes it from there.
    #[track_caller]
    fn lives(&self) {
        let token = self.signed_in.token();
        assert!(self.signed_in.workspace.access_token_works(&token));
        let grants = self.signed_in.workspace.grants();
        assert_eq!((grants.refreshes, grants.reuse_detected, grants.refused), (1, 0, 0), "what was renewed was kept");
        assert!(self.signed_in.workspace.refresh_token_works(self.signed_in.entry("p")["refresh_token"].as_str().unwrap()));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_signal_while_the_reply_is_on_its_way_ends_the_process_when_the_sign_in_is_kept() {
    for number in [Signal::INT, Signal::TERM, Signal::HUP] {
        for line in ["auth token -p p", "auth token -p p --force-refresh", "current-user me -p p", "auth env -p p"] {
            let renewal = Renewal::new();
            let mut child = renewal.signed_in.home.command(line).spawn();
            renewal.rotated();
            signal(&child, number);
            renewal.gate.open();
            assert_eq!(child.wait().unwrap().signal(), Some(number.as_raw()), "{line}");
            renewal.lives();
        }
    }
}

#[test]
fn the_person_at_the_terminal_is_told_and_a_second_ctrl_c_ends_at_once() {
    let renewal = Renewal::new();
    let mut typing = renewal.signed_in.home.typing("auth token -p p");
    renewal.rotated();
    typing.send("\x03");
    typing.wait_for("Waiting for the renewed sign-in, which would be lost, at most 3 seconds; Ctrl-C once more ends at once.");
    typing.send("\x03");
    assert_eq!(typing.wait_within(Duration::from_secs(2)).signal(), Some(Signal::INT.as_raw()));
    typing.assert_restored();
}

#[test]
fn after_three_seconds_without_an_answer_the_signal_has_its_effect() {
    let renewal = Renewal::new();
    let mut child = renewal.signed_in.home.command("auth token -p p").spawn();
    renewal.rotated();
    let told = Instant::now();
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    assert!((Duration::from_millis(2_900)..Duration::from_secs(20)).contains(&told.elapsed()), "{:?}", told.elapsed());
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let renewal = Renewal::new();
    let home = &renewal.signed_in.home;
    let mut shell = home.script("trap '' HUP; databricks auth token -p p & echo $! > pid; wait $!; echo $? > code").spawn();
    renewal.rotated();
    let pid = std::fs::read_to_string(home.work().join("pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
    renewal.gate.open();
    shell.wait().unwrap();
    assert_eq!(std::fs::read_to_string(home.work().join("code")).unwrap(), "0\n");
    renewal.lives();
}

#[test]
fn a_program_that_ends_while_its_broker_renews_leaves_the_sign_in_alive() {
    // The first renewal is for the start of the program, the second is what the broker does meanwhile.
    let signed_in = SignedIn::to(Workspace::builder().refresh_mode(RefreshMode::Rotating).token_lifetime(Duration::from_secs(1)).start());
    signed_in.expire();
    let gate = Gate::default();
    signed_in.workspace.order(Fault::on("POST", "/oidc/v1/token").after(1).held(&gate));
    let script = "echo $$ > pid; while :; do /usr/bin/curl -s -o /dev/null --noproxy '*' -H 'X-Databricks-Metadata-Version: 1' \
        -H \"X-Databricks-Host: $DATABRICKS_HOST\" \"$DATABRICKS_METADATA_SERVICE_URL\"; /bin/sleep 0.05; done";
    let mut child = signed_in.home.command(["auth", "exec", "-p", "p", "--", "/bin/sh", "-c", script]).spawn();
    eventually("the second rotation", || signed_in.workspace.grants().refreshes == 2);
    let pid: i32 = std::fs::read_to_string(signed_in.home.work().join("pid")).unwrap().trim().parse().unwrap();
    signal(&child, Signal::TERM);
    eventually("the end of the program", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    gate.open();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(signed_in.workspace.grants().refreshes, 2);
    signed_in.workspace.clear_faults();
    signed_in.token();
    assert_eq!(signed_in.workspace.grants().reuse_detected, 0);
}
