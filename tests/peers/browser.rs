//! A person with a browser: headless Chromium, driven through the pages of a sign-in. See `oauth/browse.mjs`.

#![allow(dead_code, reason = "not every test needs every part")]

use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use tempfile::TempDir;

use super::oauth::{node, packages, script};
use super::process::{DEADLINE, FAREWELL, end_all_with};

/// What the person does when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Signs in and agrees.
    Agrees,
    /// Presses "Cancel" or "Deny".
    Cancels,
}

/// A browser that a program can open through `BROWSER`. It runs in the background, in an environment of its own, and reports when the
/// last page is drawn; it ends when this is dropped.
///
/// ```ignore
/// let browser = Browser::new();
/// home.command("auth login --host …").env("BROWSER", browser.program()).run().ok();
/// assert_eq!(browser.page().ok().title, "Signed in");
/// ```
#[derive(Debug)]
pub(crate) struct Browser {
    folder: TempDir,
    reports: UnixListener,
}

/// The page on which a sign-in ended, and what happened on the way.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) title: String,
    /// What is visible of it.
    pub(crate) text: String,
    /// Its accessibility tree, as Playwright writes it.
    pub(crate) aria: String,
    /// Every request from the link on.
    pub(crate) requests: Vec<Request>,
    /// Errors of the console and of scripts, of all pages.
    pub(crate) console: Vec<Complaint>,
    /// The pages on which something was filled in or pressed.
    pub(crate) steps: Vec<String>,
    /// Why the end was not reached.
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// A request of the browser. Those for a `favicon.ico` are made too, but Playwright does not show them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) referer: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) failure: Option<String>,
}

/// An error of a page.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Complaint {
    /// Where the browser was.
    pub(crate) page: String,
    pub(crate) text: String,
}

impl Request {
    /// Whether it stayed on this machine.
    pub(crate) fn is_local(&self) -> bool {
        ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"].iter().any(|start| self.url.starts_with(start))
    }
}

impl Page {
    /// It is the one where the sign-in was to end.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.error, None, "{self:#?}");
        self
    }
}

impl Browser {
    /// Somebody who signs in and agrees: as alice@example.com where a name is asked for, as the first where names are offered.
    pub(crate) fn new() -> Self {
        Self::made("", Answer::Agrees)
    }

    pub(crate) fn that(answer: Answer) -> Self {
        Self::made("", answer)
    }

    /// Somebody who signs in and agrees under this name.
    pub(crate) fn of(user: &str) -> Self {
        Self::made(user, Answer::Agrees)
    }

    fn made(user: &str, answer: Answer) -> Self {
        let folder = tempfile::Builder::new().prefix("browser-").tempdir().expect("a temporary folder");
        let reports = UnixListener::bind(folder.path().join("reports")).expect("a socket");
        let here = folder.path().display();
        let answer = if answer == Answer::Cancels { "cancel" } else { "agree" };
        let mut program = "#!/bin/sh\n# Opens $1 in a browser and comes back at once, as browsers do.\n".to_owned();
        // Nothing of the caller's: neither its environment nor its files, which a test may look through.
        let _ = write!(program, "/usr/bin/env -i HOME='{here}' TMPDIR='{here}' PATH=/usr/bin:/bin LANG=C.UTF-8 TEST_NODE='{}' ", packages().display());
        let _ = write!(program, "BROWSE_AS='{user}' BROWSE_ANSWER={answer} /usr/bin/setsid '{}' '{}' ", node().display(), script("browse.mjs").display());
        let _ = writeln!(program, "\"$1\" '{here}' '{here}/reports' </dev/null >>'{here}/log' 2>&1 &");
        let browser = Self { folder, reports };
        std::fs::write(browser.program(), program).expect("own folder");
        std::fs::set_permissions(browser.program(), std::fs::Permissions::from_mode(0o700)).expect("own file");
        browser
    }

    /// What `BROWSER` is to be.
    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("open")
    }

    /// Opens a link, as the program under test would.
    pub(crate) fn open(&self, link: &str) {
        assert!(Command::new(self.program()).arg(link).status().expect("a browser").success());
    }

    /// Waits for the page where a link ended. One report for each link that was opened, in the order of their ends.
    #[track_caller]
    pub(crate) fn page(&self) -> Page {
        let report = self.report(DEADLINE).unwrap_or_else(|| panic!("no browser was opened: {}", self.log()));
        let mut text = String::new();
        report.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let read = (&report).read_to_string(&mut text);
        assert!(read.is_ok() && !text.is_empty(), "the browser did not come to an end: {read:?}\n{}", self.log());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Whether a link was opened whose page nobody waited for.
    pub(crate) fn was_opened(&self) -> bool {
        readable(&self.reports, Duration::ZERO)
    }

    /// The picture of the last page, a PNG.
    pub(crate) fn screenshot(&self) -> PathBuf {
        self.folder.path().join("screenshot.png")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn report(&self, limit: Duration) -> Option<UnixStream> {
        readable(&self.reports, limit).then(|| self.reports.accept().expect("a browser").0)
    }
}

fn readable(socket: &UnixListener, limit: Duration) -> bool {
    let limit = Timespec { tv_sec: limit.as_secs().try_into().expect("few"), tv_nsec: 0 };
    poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit)).expect("a socket") > 0
}

impl Drop for Browser {
    fn drop(&mut self) {
        // One whose page nobody waited for is sent home; it closes the socket when it has cleared away its things.
        while let Some(mut report) = self.report(Duration::ZERO) {
            let _ = report.shutdown(std::net::Shutdown::Write);
            let _ = report.set_read_timeout(Some(FAREWELL));
            let _ = report.read_to_end(&mut Vec::new());
        }
        // Chromium has processes that end after it; the folder is removed when none of them writes there any more.
        let left = end_all_with("TMPDIR", self.folder.path(), FAREWELL);
        assert!(left.is_empty() || std::thread::panicking(), "processes of the browser are left: {left:?}");
    }
}

mod tests {
    use super::super::process::processes_with;
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;

    #[test]
    fn the_sign_in_page_of_the_embedded_workspace_is_walked() {
        let workspace = crate::workspace::Workspace::start();
        workspace.add_user("bob@example.com", "Bob Example");
        let callback = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = callback.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = callback.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nThere");
            }
        });
        let link = format!(
            "{}/oidc/v1/authorize?client_id=databricks-cli&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
             &redirect_uri=http%3A%2F%2Flocalhost%3A{port}&response_type=code&scope=offline_access+all-apis&state=the-state",
            workspace.url()
        );
        let browser = Browser::of("bob@example.com");
        browser.open(&link);
        let page = browser.page().ok();
        assert_eq!(page.text, "There");
        assert!(page.url.contains("code=") && page.url.contains("state=the-state"), "{}", page.url);
        let pressed = |name: &str| workspace.requests().iter().any(|request| request.method == "POST" && request.body.contains(name));
        assert!(pressed("bob%40example.com"), "{:?}", workspace.requests());

        let browser = Browser::that(Answer::Cancels);
        browser.open(&link);
        assert!(browser.page().ok().url.contains("error=access_denied"));
        let browser = Browser::of("nobody@example.com");
        browser.open(&link);
        assert!(browser.page().error.is_some_and(|error| error.starts_with("nobody to sign in as nobody@example.com")));
    }

    #[test]
    fn one_that_nobody_waits_for_goes_away() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let browser = Browser::new();
        assert!(!browser.was_opened());
        browser.open(&format!("http://{}/", server.local_addr().expect("an address")));
        // It is there, and waits for an answer that never comes.
        let (connection, _) = server.accept().expect("a browser");
        assert!(browser.was_opened());
        let folder = browser.folder.path().to_owned();
        assert!(processes_with("TMPDIR", &folder).len() > 2, "a driver and a browser of several processes");
        drop(browser);
        assert_eq!(processes_with("TMPDIR", &folder), []);
        assert!(!folder.exists());
        drop(connection);
    }

    #[test]
    fn a_page_with_nothing_to_press_is_an_error_and_no_endless_wait() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/?redirect_uri=http%3A%2F%2Flocalhost%3A8020", server.local_addr().expect("an address"));
        let page = "<!doctype html><title>Closed</title><body>We are closed.<script>undefined.call()</script><img src=http://93.184.216.34/x.png>";
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = server.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
            }
        });
        let browser = Browser::new();
        browser.open(&url);
        let page = browser.page();
        assert!(page.error.as_deref().is_some_and(|error| error.starts_with("nothing to press on ")), "{page:?}");
        assert_eq!((page.title.as_str(), page.text.as_str()), ("Closed", "We are closed."));
        assert!(page.console.iter().any(|complaint| complaint.page == url && complaint.text.contains("TypeError")), "{:?}", page.console);
        let beyond: Vec<_> = page.requests.iter().filter(|request| !request.is_local()).collect();
        assert!(beyond.len() == 1 && beyond[0].method == "GET" && beyond[0].status.is_none() && beyond[0].failure.is_some(), "{beyond:?}");
    }
}
