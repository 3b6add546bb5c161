//! gnome-keyring as the Secret Service of Linux desktops, on a message bus of its own.
//!
//! It is started as a desktop session starts it, on a bus that knows of nothing else: no program of the machine can be started through it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tempfile::TempDir;

use super::process::{Companion, end_all_with, processes_with};

/// The collection that a sign-in to the desktop unlocks.
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

/// The name of the program that asks for the password of a keyring.
const PROMPTER: &str = "org.gnome.keyring.SystemPrompter";

/// A keyring, or the lack of one. All of it ends when this is dropped, whatever it started included.
#[derive(Debug)]
pub(crate) struct Keyring {
    session: Option<Companion>,
    folder: TempDir,
}

/// How the program that asks for the keyring's password behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prompter {
    /// It fails at once, as where there is no display.
    Fails,
    /// It starts and never answers, as when nobody looks at the screen.
    Sleeps,
}

impl Keyring {
    /// A keyring that is unlocked.
    pub(crate) fn start() -> Self {
        Self::session(Prompter::Fails)
    }

    /// A keyring that is locked, where there is no display to ask for its password.
    pub(crate) fn locked() -> Self {
        let keyring = Self::session(Prompter::Fails);
        keyring.lock();
        keyring
    }

    /// A keyring that is locked, and whose question for the password nobody answers.
    pub(crate) fn slow() -> Self {
        let keyring = Self::session(Prompter::Sleeps);
        keyring.lock();
        keyring
    }

    /// No message bus, on a machine that has `dbus-launch` and seems to have a display: libraries then like to start a bus of their own.
    /// [`Keyring::launched`] tells of those that did.
    pub(crate) fn absent() -> Self {
        let folder = folders();
        let launch = folder.path().join("bin/dbus-launch");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>'{}'\nexec /usr/bin/dbus-launch \"$@\"\n", folder.path().join("launched").display());
        std::fs::write(&launch, script).expect("own folder");
        crate::harness::set_mode(&launch, 0o700);
        Self { session: None, folder }
    }

    fn session(prompter: Prompter) -> Self {
        let folder = folders();
        let path = folder.path();
        let file = |name: &str, text: String| std::fs::write(path.join(name), text).expect("own folder");
        let here = path.display();
        file(
            "bus.conf",
            format!(
                "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
                 \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
                 <busconfig>\n<type>session</type>\n<listen>unix:path={here}/bus</listen>\n<auth>EXTERNAL</auth>\n\
                 <servicedir>{here}/data/dbus-1/services</servicedir>\n\
                 <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>\n</busconfig>\n"
            ),
        );
        let answer = if prompter == Prompter::Sleeps { "/bin/sleep 300" } else { "/bin/false" };
        file(&format!("data/dbus-1/services/{PROMPTER}.service"), format!("[D-BUS Service]\nName={PROMPTER}\nExec={answer}\n"));
        // The keyring is unlocked before any client speaks to the bus: else the bus would start one that has no login collection.
        file(
            "session",
            "exec {bus}< <(exec dbus-daemon --config-file=\"$1/bus.conf\" --nofork --print-address=1)\n\
             read -r address <&$bus || exit\n\
             gnome-keyring-daemon --foreground --unlock --components=secrets --control-directory=\"$1/run/keyring\" <<<'the password' &\n\
             gdbus wait --session --timeout 20 org.freedesktop.secrets && echo ready\n\
             # The end of the test, in whatever way.\n\
             read -r\n"
                .to_owned(),
        );
        let mut keyring = Self { session: None, folder };
        let mut command = keyring.command("bash");
        command.arg(keyring.folder.path().join("session")).arg(keyring.folder.path());
        let session = Companion::start("gnome-keyring", &mut command);
        session.wait_for("the keyring", |lines| lines.iter().any(|line| line == "ready").then_some(()));
        keyring.session = Some(session);
        keyring
    }

    /// What a program of this desktop session finds in its environment. Without a bus there is another `PATH` among it, and a display.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = self.folder.path();
        let mut environment = vec![("XDG_RUNTIME_DIR", path.join("run").display().to_string()), ("XDG_DATA_DIRS", path.join("data").display().to_string())];
        if self.session.is_some() || !path.join("bin/dbus-launch").exists() {
            environment.push(("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path.join("bus").display())));
        } else {
            environment.push(("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", path.join("bin").display())));
            environment.push(("DISPLAY", ":7".to_owned()));
        }
        environment
    }

    /// The command lines of every `dbus-launch` that a program started because there was no bus.
    pub(crate) fn launched(&self) -> Vec<String> {
        std::fs::read_to_string(self.folder.path().join("launched")).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
    }

    /// Stores a secret as programs do that use go-keyring, with exactly these two attributes.
    pub(crate) fn store(&self, service: &str, username: &str, value: &str) {
        use std::io::Write as _;
        let mut command = self.command("secret-tool");
        command.args(["store", "--label", &format!("Password for '{username}' on '{service}'"), "service", service, "username", username]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("secret-tool; run tests/install");
        child.stdin.take().expect("piped").write_all(value.as_bytes()).expect("secret-tool reads the secret");
        assert!(child.wait().expect("secret-tool ends").success(), "secret-tool could not store");
    }

    /// Forgets every secret with these two attributes.
    pub(crate) fn clear(&self, service: &str, username: &str) {
        // It says no where there was none.
        self.run("secret-tool", &["clear", "service", service, "username", username]);
        assert_eq!(self.lookup(service, username), None);
    }

    /// The secret with these two attributes, whatever others it has. Of several it is any.
    pub(crate) fn lookup(&self, service: &str, username: &str) -> Option<String> {
        let output = self.run("secret-tool", &["lookup", "service", service, "username", username]);
        output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
    }

    /// All attributes of every item of a service, locked ones too.
    ///
    /// Without the schema "generic" (`xdg:schema`): gnome-keyring says it of items that were stored without one, but not always.
    pub(crate) fn attributes(&self, service: &str) -> Vec<BTreeMap<String, String>> {
        let all = self.items(service);
        let attributes = all.iter().map(|item| {
            let mut attributes = self.item(item, "Attributes");
            attributes.retain(|name, value| (name.as_str(), value.as_str()) != ("xdg:schema", "org.freedesktop.Secret.Generic"));
            attributes
        });
        attributes.collect()
    }

    /// The labels of the items of a service, as a keyring's window shows them.
    pub(crate) fn labels(&self, service: &str) -> Vec<String> {
        self.items(service).iter().map(|item| quoted(&self.property(item, "Label")).concat()).collect()
    }

    /// Locks it, as when the screen is locked for long.
    pub(crate) fn lock(&self) {
        let answer = self.call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", &[&format!("['{LOGIN}']")]);
        assert!(answer.contains(LOGIN), "it is not locked: {answer}");
    }

    /// Where it keeps its files.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The processes that have to do with it: those whose environment names its folder.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        processes_in(self.folder.path())
    }

    /// The daemon that keeps the secrets, while it runs.
    pub(crate) fn daemon(&self) -> Option<Pid> {
        // The system cuts names to fifteen bytes.
        self.processes()
            .into_iter()
            .find(|pid| std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|name| name.starts_with("gnome-keyring-d")))
    }

    fn items(&self, service: &str) -> Vec<String> {
        let escaped = service.replace('\\', "\\\\").replace('\'', "\\'");
        let answer = self.call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.SearchItems", &[&format!("{{'service': '{escaped}'}}")]);
        quoted(&answer)
    }

    fn item(&self, item: &str, property: &str) -> BTreeMap<String, String> {
        let texts = quoted(&self.property(item, property));
        texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    fn property(&self, item: &str, property: &str) -> String {
        self.call(item, "org.freedesktop.DBus.Properties.Get", &["org.freedesktop.Secret.Item", property])
    }

    /// What the Secret Service answers, in `GVariant`'s text form.
    #[track_caller]
    fn call(&self, object: &str, method: &str, arguments: &[&str]) -> String {
        let start = ["call", "--session", "--timeout", "10", "--dest", "org.freedesktop.secrets", "--object-path", object, "--method", method];
        let output = self.run("gdbus", &[&start[..], arguments].concat());
        assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}; run tests/install"))
    }

    /// A program of this desktop session.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.folder()).env("LANG", "C.UTF-8").envs(self.environment());
        command
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // The bus and the keyring first, so that nothing new is started; then what they started, which has groups of its own.
        drop(self.session.take());
        let left = end_all_with("XDG_RUNTIME_DIR", &self.folder.path().join("run"), Duration::ZERO);
        assert!(left.is_empty() || std::thread::panicking(), "processes of the keyring are left: {left:?}");
    }
}

/// The processes of a session, which all have its runtime folder in their environment.
fn processes_in(folder: &Path) -> Vec<Pid> {
    processes_with("XDG_RUNTIME_DIR", &folder.join("run"))
}

fn folders() -> TempDir {
    let folder = tempfile::Builder::new().prefix("keyring-").tempdir().expect("a temporary folder");
    for name in ["home", "run", "bin", "data/dbus-1/services"] {
        std::fs::create_dir_all(folder.path().join(name)).expect("own folder");
    }
    crate::harness::set_mode(&folder.path().join("run"), 0o700);
    folder
}

/// The texts in an answer in `GVariant`'s text form, which takes single quotes, or double quotes around single ones.
fn quoted(answer: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = answer.chars();
    while let Some(quote) = rest.find(|c| matches!(c, '\'' | '"')) {
        let mut text = String::new();
        while let Some(c) = rest.next() {
            match c {
                '\\' => text.extend(rest.next()),
                c if c == quote => break,
                c => text.push(c),
            }
        }
        texts.push(text);
    }
    texts
}

mod tests {
    use super::*;

    fn attributes_of(service: &str, username: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("service".to_owned(), service.to_owned()), ("username".to_owned(), username.to_owned())])
    }

    #[test]
    fn what_is_stored_is_found() {
        let keyring = Keyring::start();
        assert_eq!(keyring.lookup("databricks-cli", "p"), None);
        keyring.store("databricks-cli", "p", r#"{"token":{"access_token":"ey.secret"}}"#);
        keyring.store("databricks-cli", "o'q \"x\"", "another");
        keyring.store("another", "p", "elsewhere");
        assert_eq!(keyring.lookup("databricks-cli", "p").as_deref(), Some(r#"{"token":{"access_token":"ey.secret"}}"#));
        assert_eq!(keyring.lookup("databricks-cli", "o'q \"x\"").as_deref(), Some("another"));
        let mut attributes = keyring.attributes("databricks-cli");
        attributes.sort();
        assert_eq!(attributes, [attributes_of("databricks-cli", "o'q \"x\""), attributes_of("databricks-cli", "p")]);
        assert!(keyring.labels("databricks-cli").contains(&"Password for 'p' on 'databricks-cli'".to_owned()), "{:?}", keyring.labels("databricks-cli"));
        // The same again replaces it.
        keyring.store("databricks-cli", "p", "newer");
        assert_eq!(keyring.lookup("databricks-cli", "p").as_deref(), Some("newer"));
        assert_eq!(keyring.attributes("databricks-cli").len(), 2);
        assert!(keyring.folder().join(".local/share/keyrings/login.keyring").exists());
    }

    #[test]
    fn two_keyrings_know_nothing_of_each_other_and_leave_nothing() {
        let (one, other) = (Keyring::start(), Keyring::start());
        one.store("s", "u", "v");
        assert_eq!(other.lookup("s", "u"), None);
        let (path, pids) = (one.folder.path().to_owned(), one.processes());
        assert!(pids.len() >= 3, "the shell, the bus and the keyring: {pids:?}");
        drop(one);
        assert_eq!(processes_in(&path), []);
        assert!(!path.exists());
    }

    #[test]
    fn a_locked_one_shows_attributes_but_no_secrets() {
        let keyring = Keyring::start();
        keyring.store("s", "u", "v");
        keyring.lock();
        let started = Instant::now();
        assert_eq!(keyring.lookup("s", "u"), None);
        assert!(started.elapsed() < Duration::from_secs(5), "nobody is asked for a password: {:?}", started.elapsed());
        assert_eq!(keyring.attributes("s"), [attributes_of("s", "u")]);
        assert_eq!(Keyring::locked().lookup("s", "u"), None);
    }

    #[test]
    fn a_slow_one_keeps_who_asks_waiting() {
        let keyring = Keyring::slow();
        let mut command = keyring.command("secret-tool");
        command.args(["store", "--label", "l", "service", "s", "username", "u"]).stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("secret-tool");
        drop(child.stdin.take());
        // It has asked when the prompter runs; and then it waits.
        let until = Instant::now() + Duration::from_secs(20);
        let prompting = || {
            keyring.processes().iter().any(|pid| {
                std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()))
                    .is_ok_and(|line| line == b"/bin/sleep\x00300\x00" || line == b"sleep\x00300\x00")
            })
        };
        while !prompting() {
            assert!(Instant::now() < until && child.try_wait().expect("a child").is_none(), "it did not ask");
            std::thread::yield_now();
        }
        assert!(child.try_wait().expect("a child").is_none(), "it did not wait");
        child.kill().expect("a child");
        child.wait().expect("a child");
        let path = keyring.folder.path().to_owned();
        drop(keyring);
        assert_eq!(processes_in(&path), [], "the prompter ends too");
    }

    #[test]
    fn where_there_is_no_bus_an_attempt_to_start_one_is_seen() {
        let keyring = Keyring::absent();
        assert_eq!(keyring.launched(), Vec::<String>::new());
        assert_eq!(keyring.lookup("s", "u"), None);
        assert!(keyring.launched().iter().all(|line| line.contains("--autolaunch")), "{:?}", keyring.launched());
        assert!(!keyring.launched().is_empty(), "libsecret does try");
    }
}
