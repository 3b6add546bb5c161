//! The local door as tests open it.

use super::postgres::{NATIVE_PASSWORD, free_port};
use crate::harness::{Home, Outcome, Run, Serving};
use rustix::process::{Pid, Signal};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitStatus;
use std::time::Duration;

/// A door that is open; dropping it closes it.
pub(super) struct Door<'h> {
    home: &'h Home,
    serving: Serving<'h>,
    pub(super) port: u16,
    /// Without it nobody gets in.
    pub(super) password: String,
}

impl<'h> Door<'h> {
    /// In front of `my-instance`; its password is in `door.pgpass` of the working folder.
    pub(super) fn open(home: &'h Home, postgres: u16, more: &str) -> Door<'h> {
        Door::open_at(home, free_port(), postgres, more)
    }

    pub(super) fn open_at(home: &'h Home, port: u16, postgres: u16, more: &str) -> Door<'h> {
        let line = format!("database proxy my-instance --port {postgres} --listen 127.0.0.1:{port} --password-file door.pgpass {more}");
        let serving = home.command(&*line).env("PGPASSWORD", NATIVE_PASSWORD).serve();
        serving.wait_for(" leads to ");
        let kept = home.work().join("door.pgpass");
        let lines = std::fs::read_to_string(&kept).unwrap();
        let password = lines.lines().find_map(|line| line.split_once(&format!(":{port}:*:*:"))).expect("a line of the door").1.to_owned();
        home.secret(&password);
        home.store(kept);
        Door { home, serving, port, password }
    }

    pub(super) fn pid(&self) -> Pid {
        self.serving.pid()
    }

    pub(super) fn wait_for(&self, words: &str) {
        self.serving.wait_for(words);
    }

    /// Sends a signal and waits for the end.
    pub(super) fn end(&mut self, signal: Signal) -> ExitStatus {
        self.serving.signal(signal);
        self.serving.end()
    }

    pub(super) fn wait(&mut self) -> ExitStatus {
        self.serving.end()
    }

    /// A script in which libpq finds the door.
    pub(super) fn script(&self, script: &str) -> Outcome {
        self.script_to_be(script).run()
    }

    pub(super) fn script_to_be(&self, script: &str) -> Run<'h> {
        self.home.script(&format!(
            "export PGPASSFILE=$PWD/door.pgpass PGHOST=127.0.0.1 PGPORT={} PGUSER=whoever PGDATABASE=databricks_postgres\n{script}",
            self.port
        ))
    }

    /// The first bytes of a conversation, and what is answered until the end.
    pub(super) fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may have heard enough already.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        answer
    }

    /// What a client says to be let in: its startup, and the door's password.
    pub(super) fn login(&self) -> Vec<u8> {
        let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
        let body = b"user\0x\0\0";
        let password = self.password.as_bytes();
        [&length(body.len() + 8)[..], &(3_u32 << 16).to_be_bytes(), body, b"p", &length(password.len() + 5), password, b"\0"].concat()
    }
}
