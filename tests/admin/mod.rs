//! What administrators and scripts do beyond their own tokens: `api`, `token-management`, secrets of service principals, several tokens at once, and the way to the
//! official CLI.

mod account;
mod download;
mod fallback;
mod pages;
mod readme;
mod requests;
mod several;
mod token_management;

use crate::harness::Home;
use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The binary in a home, to be started with pipes of one's own.
fn binary(home: &Home, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_databricks"));
    command.args(words).current_dir(home.work()).env_clear().env("HOME", home.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What came of a run whose output is too large to keep.
struct Measured {
    status: ExitStatus,
    stderr: String,
    /// The most memory that it ever had, in MB.
    peak: u64,
}

/// Runs the binary and hands its output on as it comes, with an eye on its memory.
fn measured(home: &Home, words: &[&str], mut each: impl FnMut(&[u8])) -> Measured {
    let mut child = binary(home, words).spawn().unwrap();
    let (peak, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watch = {
        let (peak, over, id) = (Arc::clone(&peak), Arc::clone(&over), child.id());
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(high_water(id).unwrap_or_default(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        })
    };
    let stderr = stderr_of(&mut child);
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = stdout.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        each(&buffer[..count]);
    }
    let status = child.wait().unwrap();
    over.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    Measured { status, stderr: stderr.join().unwrap(), peak: peak.load(Ordering::Relaxed) / 1024 }
}

fn stderr_of(child: &mut Child) -> thread::JoinHandle<String> {
    let mut stderr = child.stderr.take().unwrap();
    thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    })
}

/// In kB.
fn high_water(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}
