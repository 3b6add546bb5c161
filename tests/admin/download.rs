//! `api`: bodies of any size and kind, to files, pipes and terminals.

use super::{binary, measured, stderr_of};
use crate::harness::Home;
use crate::workspace::{Fault, Response, byte_at};
use std::io::Read as _;
use std::time::Duration;

const DATA: &str = "/Volumes/main/default/files/data.bin";
const PATH: &str = "/api/2.0/fs/files/Volumes/main/default/files/data.bin";
const ECHO: &str = "/api/2.0/echo";

/// A page that would take over the terminal.
const EVIL: &str = "a\u{1b}]0;pwned\u{7}b\u{1b}[2Jc\u{9b}d\u{202e}e";

#[test]
fn a_hundred_megabytes_arrive_whole_in_little_memory() {
    const SIZE: u64 = 100 << 20;
    let (home, workspace) = Home::signed_in();
    workspace.put_file(DATA, SIZE);
    let (mut place, mut equal) = (0, true);
    let run = measured(&home, &["api", "get", PATH], |piece| {
        equal = equal && piece.iter().zip(place..).all(|(byte, at)| *byte == byte_at(at));
        place += piece.len() as u64;
    });
    assert_eq!((run.status.code(), run.stderr.as_str(), place), (Some(0), "", SIZE));
    assert!(equal, "the bytes differ");
    assert!((1..60).contains(&run.peak), "{} MB", run.peak);
}

#[test]
fn headers_and_a_binary_body_go_out_together() {
    let (home, workspace) = Home::signed_in();
    workspace.put_file(DATA, 1000);
    let mut all = Vec::new();
    measured(&home, &["api", "get", PATH, "-i"], |piece| all.extend_from_slice(piece));
    let body_at = all.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
    assert!(all.starts_with(b"HTTP/1.1 200 OK\n") && all[body_at..] == (0..1000).map(byte_at).collect::<Vec<_>>()[..]);
}

#[test]
fn a_body_that_stops_in_the_middle_is_told_and_what_came_is_kept() {
    let (home, workspace) = Home::signed_in();
    workspace.put_file(DATA, 1 << 20);
    workspace.order(Fault::on("GET", "/api/2.0/fs").half_body());
    let mut place = 0;
    let run = measured(&home, &["api", "get", PATH], |piece| {
        assert!(piece.iter().zip(place..).all(|(byte, at)| *byte == byte_at(at)));
        place += piece.len() as u64;
    });
    assert_eq!(run.status.code(), Some(1));
    assert!((500_000..600_000).contains(&place), "{place}");
    assert!(run.stderr.contains(&format!("it broke off after {place} of 1048576 bytes")), "{}", run.stderr);
    assert_eq!(workspace.requests().len(), 1, "a body that began is not fetched again behind itself");

    // A body that stands still is left after the time that the profile gives.
    home.write_config(format!("{}http_timeout_seconds = 1\n", home.config()));
    workspace.order(Fault::on("GET", "/api/2.0/fs").reply(Response::new(200).body("text/csv", "a,b").header("Content-Length", "100")));
    let outcome = home.run(["api", "get", PATH]);
    assert_eq!((outcome.status.code(), outcome.stdout.as_str()), (Some(1), "a,b"));
    outcome.says("it broke off after 3 of 100 bytes: nothing more came").within(Duration::from_secs(20));
}

#[test]
fn our_own_trouble_is_not_blamed_on_the_server() {
    let (home, workspace) = Home::signed_in();
    workspace.put_file(DATA, 10 << 20);
    let mut child = binary(&home, &["api", "get", PATH]).stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).spawn().unwrap();
    let stderr = stderr_of(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let stderr = stderr.join().unwrap();
    assert!(stderr.starts_with("Error: cannot write to standard output: No space left on device"), "{stderr}");
    // A reader that has enough is no error.
    let mut child = binary(&home, &["api", "get", PATH]).spawn().unwrap();
    let stderr = stderr_of(&mut child);
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((first.to_vec(), stderr.join().unwrap().as_str()), ((0..10).map(byte_at).collect(), ""));
}

#[test]
fn a_terminal_gets_text_and_nothing_that_commands_it() {
    let (home, workspace) = Home::signed_in();
    workspace.put_file(DATA, 5000);
    let mut typing = home.typing(["api", "get", PATH]);
    assert_eq!(typing.wait().code(), Some(1));
    let screen = typing.screen();
    assert!(screen.contains("the reply is not text") && screen.contains("add > FILE") && !screen.contains('!'), "{screen}");
    drop(typing);

    for kind in ["text/plain", "application/json"] {
        let body = if kind == "text/plain" { format!("{EVIL}\r\nsecond\r\n") } else { serde_json::json!({ "a": EVIL }).to_string() };
        workspace.order(Fault::on("GET", ECHO).reply(Response::new(200).body(kind, body)));
        let mut typing = home.typing_with(["api", "get", ECHO], &[("NO_COLOR", "1")]);
        assert_eq!(typing.wait().code(), Some(0));
        let raw = String::from_utf8(typing.raw().to_vec()).unwrap();
        assert!(!raw.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{raw:?}");
        assert!(raw.contains("pwned"), "{raw:?}");
    }
    // To a pipe the same text goes as it is.
    workspace.order(Fault::on("GET", ECHO).reply(Response::new(200).body("text/plain", EVIL)));
    home.run(["api", "get", ECHO]).ok().prints(EVIL);
}

#[test]
fn a_character_that_two_pieces_share_is_one_character() {
    const COUNT: usize = 30_000;
    let (home, workspace) = Home::signed_in();
    // Three bytes each: no piece of a size that computers like ends where one ends.
    workspace.order(Fault::on("GET", ECHO).reply(Response::new(200).body("text/plain", "€".repeat(COUNT))));
    let mut typing = home.typing(["api", "get", ECHO]);
    assert_eq!(typing.wait().code(), Some(0));
    let raw = String::from_utf8(typing.raw().to_vec()).unwrap();
    assert_eq!((raw.matches('€').count(), raw.trim_matches('€')), (COUNT, ""));
}

#[test]
fn json_of_any_size_is_refused_before_it_fills_the_memory() {
    let (home, workspace) = Home::signed_in();
    for reply in [Response::huge(1 << 30), Response::endless()] {
        workspace.order(Fault::on("GET", ECHO).reply(reply));
        let mut output = 0;
        let run = measured(&home, &["api", "get", ECHO], |piece| output += piece.len());
        assert_eq!((run.status.code(), output), (Some(1), 0));
        assert!(run.stderr.contains("it is larger than 33554432 bytes, the most that is read at once\nHint: Ask for less"), "{}", run.stderr);
        assert!(run.peak < 120, "{} MB", run.peak);
    }
}
