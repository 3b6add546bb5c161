//! The embedded workspace as a program: what `make demo` and the benches talk to.
//!
//! ```text
//! cargo run --example workspace -- [--clusters N] [--tokens N] [--port P] [--https-port P] [--env-file PATH]
//!     [--user NAME] [--client-secret] [--token-lifetime SECONDS] [--refresh-lifetime SECONDS]
//!     [--refresh rotating|reusable] [--host-kind workspace|unified|account|absent] [--lakebase SECONDS]
//! cargo run --example workspace -- --approve URL | --deny URL [--user NAME]
//! ```
//!
//! Says where it is in KEY=VALUE lines, on stdout or in a file of mode 0600, then serves until it
//! is told to stop: SIGTERM, Ctrl-C, or the end of stdin. Only a terminal, a pipe or a socket can
//! end: behind `</dev/null`, as shells start background jobs, it waits for a signal.

#[path = "mod.rs"]
mod workspace;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use workspace::Workspace;

const USAGE: &str = "\
usage: workspace [--clusters N] [--tokens N] [--port P] [--https-port P] [--env-file PATH]
                 [--user NAME]... [--client-secret] [--token-lifetime SECONDS] [--refresh-lifetime SECONDS]
                 [--refresh rotating|reusable] [--host-kind workspace|unified|account|absent] [--lakebase SECONDS]
       workspace --approve URL | --deny URL [--user NAME]

  --clusters N      how many clusters there are (3)
  --tokens N        how many tokens the admin has, its own included (3)
  --port P          port for http (a free one)
  --https-port P    port for https (a free one)
  --env-file PATH   write the KEY=VALUE lines there, mode 0600, instead of to stdout
  --user NAME       somebody else who can sign in in the browser; with --approve, who signs in
  --client-secret   make a secret of the service principal and say it too
  --token-lifetime SECONDS, --refresh-lifetime SECONDS
                    how long OAuth tokens live (an hour, 90 days)
  --refresh MODE    rotating: a refresh token is good once; reusable: until it expires (rotating)
  --host-kind KIND  what /.well-known/databricks-config says: workspace, unified, account, or absent (workspace)
  --lakebase SECONDS
                    my-instance is localhost, its passwords live so long, and an LDAP server tells which do
  --approve URL, --deny URL
                    be the browser: walk that sign-in page, press the button, and follow to the callback; for BROWSER.
                    The authority of an https page is read from SSL_CERT_FILE.
";

struct Options {
    builder: workspace::Builder,
    env_file: Option<PathBuf>,
    users: Vec<String>,
    client_secret: bool,
    /// How long the passwords of databases live, where a server is to ask for them.
    lakebase: Option<i64>,
    browse: Option<Browse>,
}

/// What to do with a sign-in page instead of running a workspace.
#[derive(Debug)]
enum Browse {
    Approve(String),
    Deny(String),
}

fn main() -> ExitCode {
    let options = match parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            let _ = write!(io::stderr(), "Error: {problem}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<()> {
    if let Some(browse) = &options.browse {
        be_the_browser(browse, options.users.first());
        return Ok(());
    }
    // Before the file appears: whoever reads it may send the signal at once.
    let (stop, stopped) = channel();
    stop_on_signal(stop.clone())?;
    let workspace = options.builder.try_start()?;
    for user in &options.users {
        workspace.add_user(user, user);
    }
    let mut lines = describe(&workspace);
    if options.client_secret {
        lines.push_str(&format!("WORKSPACE_CLIENT_SECRET={}\n", workspace.mint_secret(None)));
        let member = workspace::AzureIdentity::Member;
        lines.push_str(&format!("WORKSPACE_AZURE_TENANT={}\nWORKSPACE_AZURE_CLIENT_ID={}\n", workspace::TENANT, workspace.azure_client_id(member)));
        lines.push_str(&format!("WORKSPACE_AZURE_CLIENT_SECRET={}\n", workspace.azure_secret(member, Duration::from_secs(86_400))));
    }
    let ldap = options.lakebase.map(|seconds| {
        workspace.database_lifetime(seconds);
        workspace.change_instance("my-instance", &serde_json::json!({"read_write_dns": "localhost"}));
        workspace.ldap()
    });
    if let Some(ldap) = &ldap {
        lines.push_str(&format!("WORKSPACE_LDAP_PORT={}\n", ldap.port()));
    }
    if let Some(path) = &options.env_file {
        write_private(path, &lines)?;
    } else {
        io::stdout().write_all(lines.as_bytes())?;
        io::stdout().flush()?;
    }
    stop_on_end_of_stdin(stop);
    let _ = stopped.recv();
    if let Some(path) = &options.env_file {
        // The token in it is worth nothing now.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Options>, String> {
    let mut options = Options { builder: Workspace::builder(), env_file: None, users: Vec::new(), client_secret: false, lakebase: None, browse: None };
    while let Some(flag) = args.next() {
        let flag = flag.to_string_lossy().into_owned();
        if flag == "--help" || flag == "-h" {
            return Ok(None);
        }
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        let builder = options.builder.clone();
        match flag.as_str() {
            "--clusters" => options.builder = builder.clusters(number(&flag, &value()?)?),
            "--tokens" => options.builder = builder.tokens(number(&flag, &value()?)?),
            "--port" => options.builder = builder.port(number(&flag, &value()?)?),
            "--https-port" => options.builder = builder.https_port(number(&flag, &value()?)?),
            "--user" => options.users.push(text(&value()?)?),
            "--lakebase" => options.lakebase = Some(number(&flag, &value()?)?),
            "--client-secret" => options.client_secret = true,
            "--token-lifetime" => options.builder = builder.token_lifetime(Duration::from_secs(number(&flag, &value()?)?)),
            "--refresh-lifetime" => options.builder = builder.refresh_lifetime(Duration::from_secs(number(&flag, &value()?)?)),
            "--refresh" => options.builder = builder.refresh_mode(text(&value()?)?.parse()?),
            "--host-kind" => options.builder = builder.host_kind(text(&value()?)?.parse()?),
            "--approve" => options.browse = Some(Browse::Approve(text(&value()?)?)),
            "--deny" => options.browse = Some(Browse::Deny(text(&value()?)?)),
            "--env-file" => options.env_file = Some(value()?.into()),
            _ => return Err(format!("unknown argument: {flag}")),
        }
    }
    Ok(Some(options))
}

fn text(value: &OsString) -> Result<String, String> {
    value.to_str().map(str::to_owned).ok_or_else(|| format!("this is not UTF-8: {}", value.display()))
}

/// Presses the button, and goes where that leads: to the program that waits for the callback.
#[expect(clippy::disallowed_methods, reason = "that rule is for the product")]
fn be_the_browser(browse: &Browse, user: Option<&String>) {
    let ca_file = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let ca_file = ca_file.as_deref();
    let callback = match browse {
        Browse::Approve(url) => workspace::approve(url, user.map_or(workspace::ADMIN, String::as_str), ca_file),
        Browse::Deny(url) => workspace::deny(url, ca_file),
    };
    workspace::visit(&callback, ca_file);
}

fn number<T: std::str::FromStr>(flag: &str, value: &OsString) -> Result<T, String> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{flag} needs a number, got {}", value.display()))
}

fn describe(workspace: &Workspace) -> String {
    [
        ("WORKSPACE_URL", workspace.url()),
        ("WORKSPACE_HTTPS_URL", workspace.https_url()),
        ("WORKSPACE_CA_FILE", &workspace.ca_file().to_string_lossy()),
        ("WORKSPACE_ID", &workspace.workspace_id().to_string()),
        ("WORKSPACE_ACCOUNT_ID", workspace.account_id()),
        ("WORKSPACE_USER", workspace.basic_user()),
        ("WORKSPACE_PASSWORD", workspace.basic_password()),
        ("WORKSPACE_TOKEN", workspace.token()),
        ("WORKSPACE_TOKEN_ID", workspace.token_id()),
        ("WORKSPACE_CLIENT_ID", workspace.service_principal().1),
    ]
    .map(|(key, value)| [key, "=", value, "\n"].concat())
    .concat()
}

/// Puts the file there in one step, so that a reader who waits for it finds all of it.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // A temporary file is made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn stop_on_signal(stop: Sender<()>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            let _ = stop.send(());
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn stop_on_signal(stop: Sender<()>) -> io::Result<()> {
    // The process just ends there; the sender must outlive this call for the receiver to wait.
    thread::spawn(move || {
        let _stop = stop;
        loop {
            thread::park();
        }
    });
    Ok(())
}

fn stop_on_end_of_stdin(stop: Sender<()>) {
    if !stdin_can_end() {
        return;
    }
    thread::spawn(move || {
        let mut ignored = [0; 1024];
        while matches!(io::stdin().read(&mut ignored), Ok(1..)) {}
        let _ = stop.send(());
    });
}

#[cfg(unix)]
fn stdin_can_end() -> bool {
    use std::io::IsTerminal as _;
    use std::os::unix::fs::FileTypeExt as _;
    io::stdin().is_terminal() || std::fs::metadata("/dev/stdin").is_ok_and(|stdin| stdin.file_type().is_fifo() || stdin.file_type().is_socket())
}

#[cfg(not(unix))]
fn stdin_can_end() -> bool {
    true
}
