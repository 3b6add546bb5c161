//! Opening a link in the user's browser, or saying how to open it where there is none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::env::{self, Env};
use crate::error::Failure;
use crate::host::Host;
use crate::text;

/// How the link gets to a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// By this program: its path, and its arguments, the link among them in the place of [`LINK`].
    Program(PathBuf, Vec<String>),
    /// By the person, on this machine.
    Printed,
    /// By the person, on another machine: there is no browser here.
    Elsewhere,
    /// As [`Opening::Printed`], because the program that `BROWSER` names is not there.
    Missing(String),
}

/// Stands for the link among the arguments of a program; some values of `BROWSER` have it.
const LINK: &str = "%s";

impl Opening {
    /// What the environment leads to: `BROWSER` as a command, `none` for nobody; else the opener of the system, if there is a screen.
    pub(crate) fn of(env: &Env) -> Self {
        match env.get(env::BROWSER).map(str::trim).filter(|named| !named.is_empty()) {
            Some(named) if named.eq_ignore_ascii_case("none") => Self::Printed,
            Some(named) => of_command(env, named),
            None if is_remote(env) => Self::Elsewhere,
            None => of_system(env),
        }
    }

    /// Hands the link over and does not wait: a program that waits for the page, which waits for us, would wait for ever.
    ///
    /// That a program could be started does not mean that a page is seen: print the link too.
    ///
    /// # Errors
    /// If the link is not one for a browser, or the program cannot be started.
    pub(crate) fn open(&self, link: &str) -> Result<(), Failure> {
        check_link(link)?;
        let Self::Program(program, arguments) = self else { return Ok(()) };
        #[expect(clippy::disallowed_methods, reason = "the browser, which gets a checked link as one argument")]
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|argument| argument.replace(LINK, link)));
        // Our output is data, our input is the person's, and what browsers say to themselves is for nobody.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // Ctrl-C here is not for the browser.
            command.process_group(0);
        }
        let started = command.spawn();
        started.map(drop).map_err(|error| Failure::new(format!("the browser could not be started: {}: {error}", text::one_line(&program.to_string_lossy()))))
    }
}

/// Whether the person sits elsewhere: signed in over ssh without a screen of theirs, or no screen at all (a container, a server).
fn is_remote(env: &Env) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| env.get(name).is_some());
    if cfg!(any(windows, target_os = "macos")) {
        return env.get(env::SSH_CONNECTION).is_some();
    }
    !has(env::SCREENS) && (env.get(env::SSH_CONNECTION).is_some() || !has(env::WSL))
}

/// `BROWSER`: a program, or a program with arguments; never a shell's text.
fn of_command(env: &Env, named: &str) -> Opening {
    if let Some(program) = find(env, named) {
        return Opening::Program(program, vec![LINK.to_owned()]);
    }
    let mut words = named.split_whitespace().map(ToOwned::to_owned);
    let Some(program) = words.next().and_then(|program| find(env, &program)) else { return Opening::Missing(named.to_owned()) };
    let mut arguments: Vec<String> = words.collect();
    if !arguments.iter().any(|argument| argument.contains(LINK)) {
        arguments.push(LINK.to_owned());
    }
    Opening::Program(program, arguments)
}

/// What the system has for opening links.
#[cfg(windows)]
fn of_system(env: &Env) -> Opening {
    let root = env.path(env::SYSTEM_ROOT).filter(|root| root.is_absolute()).unwrap_or_else(|| PathBuf::from(r"C:\Windows"));
    Opening::Program(root.join(r"System32\rundll32.exe"), vec!["url.dll,FileProtocolHandler".to_owned(), LINK.to_owned()])
}

/// What the system has for opening links.
#[cfg(not(windows))]
fn of_system(env: &Env) -> Opening {
    const HANDLER: &[&str] = &["url.dll,FileProtocolHandler"];
    let is_wsl = env::WSL.iter().any(|name| env.get(name).is_some());
    let openers: &[(&str, &[&str])] = match () {
        () if cfg!(target_os = "macos") => &[("/usr/bin/open", &[])],
        () if is_wsl => &[("wslview", &[]), ("rundll32.exe", HANDLER), ("/mnt/c/Windows/System32/rundll32.exe", HANDLER)],
        () => &[("xdg-open", &[]), ("gio", &["open"]), ("x-www-browser", &[]), ("firefox", &[]), ("chromium", &[]), ("google-chrome", &[])],
    };
    let found = openers.iter().find_map(|(name, arguments)| Some((find(env, name)?, arguments)));
    found.map_or(Opening::Printed, |(program, arguments)| Opening::Program(program, arguments.iter().copied().chain([LINK]).map(ToOwned::to_owned).collect()))
}

/// The program of that name or path. Folders of `PATH` that are not absolute are left out: what lies in the current folder is nobody's program.
fn find(env: &Env, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.is_absolute() || path.components().count() > 1 {
        return can_be_run(path).then(|| path.to_owned());
    }
    let folders = env.path(env::PATH)?;
    let suffixes: &[&str] = if cfg!(windows) { &["", ".exe"] } else { &[""] };
    std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| suffixes.iter().map(move |suffix| folder.join(format!("{name}{suffix}"))))
        .find(|program| can_be_run(program))
}

#[cfg(unix)]
fn can_be_run(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn can_be_run(program: &Path) -> bool {
    program.is_file()
}

/// Holds a link to what a browser may get from us: https, or http on loopback, and only characters that links have (RFC 3986).
///
/// # Errors
/// If it is anything else, such as `file:` or a flag.
pub(crate) fn check_link(link: &str) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::new(format!("the sign-in page {} is not opened: {why}", text::quoted(link)));
    let is_link_character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    if !link.bytes().all(is_link_character) {
        return Err(refuse("it has characters that no link has"));
    }
    if !link.starts_with("https://") && !link.starts_with("http://") {
        return Err(refuse("it must begin with https://"));
    }
    Host::parse(&link[..link.find(['?', '#']).unwrap_or(link.len())]).map(drop).map_err(|failure| refuse(&failure.to_string()))
}

/// The line of ssh, to be typed on the machine with the browser, that leads its port to ours. `None` where nothing says what this machine is called there.
pub(crate) fn tunnel(env: &Env, port: u16) -> Option<String> {
    let mut words = env.get(env::SSH_CONNECTION)?.split_whitespace().skip(2);
    let (address, ssh_port) = (words.next()?, words.next().unwrap_or("22"));
    let is_plain = |text: &str| !text.is_empty() && !text.starts_with('-') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    let user = env::USER_NAMES.iter().find_map(|name| env.get(name)).filter(|user| is_plain(user));
    if !is_plain(address) || !ssh_port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let user = user.map_or(String::new(), |user| format!("{user}@"));
    let ssh_port = if ssh_port == "22" { String::new() } else { format!(" -p {ssh_port}") };
    Some(format!("ssh -N -L {port}:localhost:{port}{ssh_port} {user}{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_links_are_opened() {
        for link in
            ["https://h.example/oidc/v1/authorize?a=b&c=%20", "http://127.0.0.1:8080/x", "http://localhost/x?y", "https://h.example?destination_url=%2Foidc"]
        {
            check_link(link).expect(link);
        }
        for link in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "--help",
            "-a",
            "",
            "https://h.example/ x",
            "https://h.example/\" & calc",
            "https://h.example/`id`",
            "https://h.example/$(id)|x",
            "https://user@h.example/",
            "http://h.example/",
            "https:///x",
            "//h.example/x",
            "HTTPS://h.example\n",
            "https://h.example/\u{202e}",
        ] {
            assert!(check_link(link).is_err(), "{link}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_environment_says_where_the_browser_is() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            let path = folder.path().join(name);
            #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            path
        };
        let (xdg, wsl, own) = (program("xdg-open"), program("wslview"), program("my browser"));
        let path = format!("relative:{}", folder.path().display());
        let env = || Env::default().with(env::PATH, &path);
        let link = || vec![LINK.to_owned()];
        assert_eq!(Opening::of(&env()), Opening::Elsewhere);
        assert_eq!(Opening::of(&env().with("DISPLAY", ":0")), Opening::Program(xdg.clone(), link()));
        assert_eq!(Opening::of(&env().with("WAYLAND_DISPLAY", "wayland-0")), Opening::Program(xdg.clone(), link()));
        assert_eq!(Opening::of(&env().with("WSL_DISTRO_NAME", "Debian")), Opening::Program(wsl, link()));
        assert_eq!(Opening::of(&env().with("WSL_DISTRO_NAME", "Debian").with(env::SSH_CONNECTION, "a 1 b 22")), Opening::Elsewhere);
        assert_eq!(Opening::of(&env().with("DISPLAY", ":0").with(env::BROWSER, "None")), Opening::Printed);
        assert_eq!(Opening::of(&env().with(env::BROWSER, own.to_str().unwrap())), Opening::Program(own.clone(), link()));
        assert_eq!(Opening::of(&env().with(env::BROWSER, "my browser")), Opening::Program(own, link()));
        assert_eq!(
            Opening::of(&env().with(env::BROWSER, "xdg-open --new %s -x")),
            Opening::Program(xdg.clone(), ["--new", "%s", "-x"].map(ToOwned::to_owned).to_vec())
        );
        assert_eq!(Opening::of(&env().with(env::BROWSER, "xdg-open --new")), Opening::Program(xdg, ["--new", "%s"].map(ToOwned::to_owned).to_vec()));
        assert_eq!(Opening::of(&env().with(env::BROWSER, "nowhere")), Opening::Missing("nowhere".to_owned()));
        assert_eq!(Opening::of(&Env::default().with("DISPLAY", ":0")), Opening::Printed);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_gets_the_link_as_one_argument_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (script, pipe) = (folder.path().join("browser"), folder.path().join("pipe"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
        std::fs::write(&script, "#!/bin/sh\nread line; echo \"$# $1 [$line]\" > \"${0%/*}/pipe\"\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let link = "https://h.example/x?a=$(id)&b='c'";
        // Opening a pipe waits for its reader: this would hang if the program were waited for.
        Opening::of(&Env::default().with(env::BROWSER, script.to_str().unwrap())).open(link).unwrap();
        assert_eq!(std::fs::read_to_string(&pipe).unwrap(), format!("1 {link} []\n"));
    }

    #[test]
    fn tunnels_are_named_as_they_are_typed() {
        let env = |connection: &str| Env::default().with(env::SSH_CONNECTION, connection).with("USER", "ann");
        assert_eq!(tunnel(&env("10.0.0.9 5022 10.0.0.1 22"), 8020).as_deref(), Some("ssh -N -L 8020:localhost:8020 ann@10.0.0.1"));
        assert_eq!(tunnel(&env("fe80::1 5022 fe80::2 2222"), 8021).as_deref(), Some("ssh -N -L 8021:localhost:8021 -p 2222 ann@fe80::2"));
        assert_eq!(tunnel(&env("a b $(id) 22"), 8020), None);
        assert_eq!(tunnel(&Env::default(), 8020), None);
    }
}
