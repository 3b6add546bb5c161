//! `auth serve`: a server on this machine that hands living tokens to SDKs.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use super::origin::{self, Origin};
use crate::broker::Broker;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments, child};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::file::ProfileFile;
use crate::context::{Context, OutputFormat};
use crate::env;
use crate::error::Failure;
use crate::files;
use crate::host::Host;
use crate::secret::Secret;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "serve",
    about: "Hand living tokens to SDKs on this machine, until it is stopped",
    details: "The SDKs ask it as the auth type metadata-service: GET with the headers X-Databricks-Metadata-Version and X-Databricks-Host. Each profile has an address that \
              nobody can guess and that is as good as a token: it is shown with -o json only, and written into another profile with --write-profile, which SDKs are then told \
              to use. Tokens are renewed ahead of their end, once for all who ask, and not at all where nobody asks.\n\n\
              It runs in the foreground until Ctrl-C or SIGTERM, and removes what it wrote. --unit prints what a supervisor needs to start it.",
    examples: &[
        "databricks auth serve -p my-profile --write-profile my-profile-live",
        "databricks auth serve dev test -o json",
        "databricks auth serve my-profile --write-profile live --unit systemd > ~/.config/systemd/user/databricks-tokens.service",
    ],
    usage: "[PROFILE...]",
    arity: Arity::Any,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        command
            .arg(arguments::value("listen", "address", "Where to listen (default 127.0.0.1:0, any free port)"))
            .arg(arguments::value("socket", "path", "Listen at a unix socket too"))
            .arg(arguments::value("write-profile", "name", "The profile to write for SDKs; with several, each has the name of its own behind it"))
            .arg(arguments::value("ready-fd", "number", "Write a line to this file descriptor when it is ready"))
            .arg(arguments::value("ready-file", "path", "Write this file when it is ready"))
            .arg(arguments::value("unit", "systemd|launchd", "Print a unit for this supervisor, and serve nothing"))
    },
    run,
};

/// One line of `-o json`.
#[derive(Serialize)]
struct Line<'l> {
    profile: &'l str,
    host: &'l str,
    url: &'l str,
    pid: u32,
}

/// One profile that is served.
struct Served {
    name: String,
    host: Host,
    url: Secret,
    /// The profile that was written for it.
    twin: Option<String>,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let given = |name| arguments::text(matches, name).filter(|value| !value.is_empty());
    if let Some(supervisor) = given("unit") {
        return unit(context, supervisor);
    }
    let as_json = context.globals.output == OutputFormat::Json;
    let twin = given("write-profile");
    if !as_json && twin.is_none() {
        return Err(Failure::new("nobody would know where to ask: the addresses are neither written nor shown")
            .hint("To write a profile for SDKs: --write-profile NAME; to print the addresses, which are secrets: -o json")
            .into());
    }
    let address = given("listen").unwrap_or("127.0.0.1:0");
    let address: SocketAddr = address
        .replace("localhost:", "127.0.0.1:")
        .parse()
        .map_err(|_| context.usage_error(UsageError::new(invalid_argument(address, "--listen", "it takes an address such as 127.0.0.1:8080"))))?;
    allow_many_connections();
    let mut broker = Broker::open(address)?;
    let mut served = Vec::new();
    for origin in origins(context, matches)? {
        let settings = origin.settings(&context.env, &context.file)?;
        let Some(host) = settings.host()? else {
            return Err(Failure::new("no profile is named, and no host is set").hint("Name one: databricks auth serve PROFILE").into());
        };
        context.remark(&settings);
        let name = origin.name(&settings);
        let url = broker.add(&name, host.clone(), origin.source(context, host.clone()), None)?;
        served.push((Served { name, host, url, twin: None }, origin::places(&settings)));
    }
    let mut signals = child::Signals::take().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let mut left = Left::default();
    if let Some(path) = given("socket") {
        broker.also_at(socket(Path::new(path), &mut left)?)?;
    }
    let several = served.len() > 1;
    let mut written: Vec<Served> = Vec::new();
    let outcome = (|| {
        for (mut one, places) in served {
            if let Some(twin) = twin {
                let name = if several { format!("{twin}-{}", one.name) } else { twin.to_owned() };
                write_twin(context, &name, &one, &places)?;
                one.twin = Some(name);
            }
            written.push(one);
        }
        announce(context, &written, as_json)?;
        let stop = broker.stop();
        let server = std::thread::Builder::new().name("broker".to_owned()).spawn(move || broker.run())?;
        tell_ready(context, given("ready-fd"), given("ready-file"), &mut left)?;
        while !signals.wait().into_iter().any(child::is_an_end) {
            if server.is_finished() {
                break;
            }
        }
        stop.now();
        server.join().unwrap_or_else(|_| Err(Failure::new("the server broke down").into()))
    })();
    for one in &written {
        remove_twin(context, one);
    }
    left.remove();
    outcome
}

/// As many open files as the system lets this process have: each client is one.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // With fewer, the oldest connections make room.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The profiles that are named, each once; without any, what the surroundings say.
fn origins(context: &Context<'_>, matches: &ArgMatches) -> Result<Vec<Origin>> {
    let mut names: Vec<&str> = context.globals.profile.as_deref().into_iter().chain(arguments::positionals(matches)).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    if !names.is_empty() {
        return Ok(names.into_iter().map(|name| Origin { profile: Some(name.to_owned()), host: None }).collect());
    }
    let selection = super::selection(context, matches)?;
    let host = arguments::text(matches, "host").filter(|_| selection.profile.is_none()).map(Host::parse).transpose()?;
    Ok(vec![Origin { profile: selection.profile, host }])
}

/// Files to be removed in the end.
#[derive(Default)]
struct Left(Vec<PathBuf>);

impl Left {
    fn remove(&self) {
        for path in &self.0 {
            // Somebody may have removed it already.
            let _gone = fs::remove_file(path);
        }
    }
}

/// A socket for this user alone; one that a dead server left is replaced.
fn socket(path: &Path, left: &mut Left) -> Result<UnixListener> {
    let refuse = |why: &str| anyhow::Error::from(Failure::new(format!("cannot listen at {}: {why}", path.display())));
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(refuse("there is a file that is no socket"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(refuse("another server listens there"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path).map_err(|error| refuse(&error.to_string()))?;
    left.0.push(path.to_owned());
    // Others could connect for a moment; who they are is checked too.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

const AUTH_TYPE: &str = "metadata-service";

fn write_twin(context: &Context<'_>, name: &str, served: &Served, places: &[(Attr, String)]) -> Result<()> {
    let present = context.file.section(name)?.unwrap_or_default();
    let is_ours = present.iter().any(|field| field.key.eq_ignore_ascii_case(Attr::AuthType.name()) && field.value == AUTH_TYPE);
    if !present.is_empty() && !is_ours {
        return Err(Failure::new(format!("profile {} exists, and is none that auth serve wrote", text::quoted(name)))
            .hint("Name another one: --write-profile NAME")
            .into());
    }
    let mut set = vec![(Attr::Host, served.host.as_str()), (Attr::AuthType, AUTH_TYPE), (Attr::MetadataServiceUrl, served.url.expose())];
    set.extend(places.iter().map(|(attr, value)| (*attr, value.as_str())));
    let is_set = |attr: Attr| set.iter().any(|(own, _)| *own == attr);
    let removed: Vec<&str> =
        ATTRIBUTES.iter().filter(|row| !is_set(row.attr) && (row.family.is_some() || origin::PLACES.contains(&row.attr))).map(|row| row.name).collect();
    context.file.save(name, &set, &removed).map(drop)
}

/// Removes the profile if it is still the one that was written.
fn remove_twin(context: &Context<'_>, served: &Served) {
    let Some(name) = &served.twin else { return };
    let now = ProfileFile::locate(&context.env);
    let is_ours = now.section(name).ok().flatten().is_some_and(|fields| fields.iter().any(|field| field.value == served.url.expose()));
    if is_ours && let Err(error) = context.file.delete(name) {
        context.ui.warn(&format!("profile {} could not be removed: {error:#}", text::quoted(name)));
    }
}

fn announce(context: &Context<'_>, served: &[Served], as_json: bool) -> Result<()> {
    for Served { name, host, url, twin } in served {
        if as_json {
            let line = Line { profile: name, host: host.as_str(), url: url.expose(), pid: std::process::id() };
            let line = zeroize::Zeroizing::new(serde_json::to_string(&line)?);
            context.ui.out(&line);
            context.ui.out("\n");
        } else if let Some(twin) = twin {
            context.ui.out_line(&format!("{name} at {host}: profile {twin}"));
        }
    }
    if !as_json {
        context.ui.note("Programs of yours that use this profile have a living token until Ctrl-C ends this.");
    }
    context.ui.flush().map(drop)
}

/// Says to whoever waits for it that clients can come.
fn tell_ready(context: &Context<'_>, descriptor: Option<&str>, file: Option<&str>, left: &mut Left) -> Result<()> {
    if let Some(number) = descriptor {
        let number: u32 = number
            .parse()
            .map_err(|_| context.usage_error(UsageError::new(invalid_argument(number, "--ready-fd", "it takes the number of an open file descriptor"))))?;
        let path = format!("/dev/fd/{number}");
        let told = fs::OpenOptions::new().write(true).open(&path).and_then(|mut open| open.write_all(b"ready\n"));
        told.map_err(|error| Failure::new(format!("cannot write to file descriptor {number}: {error}")))?;
    }
    if let Some(path) = file.map(Path::new) {
        let text = format!("{}\n", std::process::id());
        files::update(path, 1 << 16, |_| Ok(Some(text.clone().into_bytes())))?;
        left.0.push(path.to_owned());
    }
    if let Some(path) = context.env.path(env::NOTIFY_SOCKET).filter(|path| path.is_absolute())
        && let Err(error) = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"READY=1", path))
    {
        context.ui.warn(&format!("the supervisor could not be told that all is ready: {error}"));
    }
    Ok(())
}

/// What a supervisor needs to run the same command line.
fn unit(context: &Context<'_>, supervisor: &str) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    let mut words = vec![program.to_string_lossy().into_owned()];
    let mut given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = given.next() {
        match word.as_str() {
            "--unit" => drop(given.next()),
            other if other.starts_with("--unit=") => {}
            _ => words.push(word),
        }
    }
    let text = match supervisor {
        "systemd" => systemd(&words),
        "launchd" => launchd(&words),
        other => return Err(context.usage_error(UsageError::new(invalid_argument(other, "--unit", "accepted arguments are systemd and launchd")))),
    };
    context.ui.out(&text);
    Ok(())
}

/// A service of the user's: <https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html>.
fn systemd(words: &[String]) -> String {
    let quoted = |word: &String| {
        let escaped: String = word
            .chars()
            .map(|character| match character {
                '%' => "%%".to_owned(),
                '$' => "$$".to_owned(),
                '"' | '\\' => format!("\\{character}"),
                '\n' => "\\n".to_owned(),
                other => other.to_string(),
            })
            .collect();
        format!("\"{escaped}\"")
    };
    let line: Vec<String> = words.iter().map(quoted).collect();
    format!(
        "[Unit]\nDescription=Living tokens of Databricks for SDKs\n\n[Service]\nType=notify\nNotifyAccess=main\nExecStart={}\nRestart=on-failure\nRestartSec=5\n\
         UMask=0077\nNoNewPrivileges=yes\nLimitCORE=0\n\n[Install]\nWantedBy=default.target\n",
        line.join(" ")
    )
}

/// An agent of the user's: <https://www.manpagez.com/man/5/launchd.plist/>.
fn launchd(words: &[String]) -> String {
    let escaped = |word: &String| word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let arguments: String = words.iter().map(|word| format!("    <string>{}</string>\n", escaped(word))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>databricks-tokens</string>\n  <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n  \
         <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n  <key>Umask</key>\n  <integer>63</integer>\n\
         </dict>\n</plist>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_hold_every_word_as_it_is() {
        let words = ["/opt/a b/databricks".to_owned(), "50%\"$x\\".to_owned(), "<&>".to_owned()];
        assert!(systemd(&words).contains("ExecStart=\"/opt/a b/databricks\" \"50%%\\\"$$x\\\\\" \"<&>\"\n"));
        assert!(launchd(&words).contains("<string>&lt;&amp;&gt;</string>"));
    }
}
