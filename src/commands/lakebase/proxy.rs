//! `database proxy`: the local door to a database, see [`crate::lakebase::proxy`].

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clap::ArgMatches;

use super::LIMIT;
use crate::clock;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments};
use crate::config::pgpass::{PassFile, Record};
use crate::context::Context;
use crate::env;
use crate::error::Failure;
use crate::files;
use crate::http;
use crate::lakebase::credential;
use crate::lakebase::proxy::{Access, Clients, Door, Listener, is_private, serve};
use crate::lakebase::target::{PORT, Target};
use crate::lakebase::upstream::Server;
use crate::lakebase::vault::{Password, Trouble, Vault};
use crate::secret::Secret;
use crate::text;

pub(super) static COMMAND: Command = Command {
    name: "proxy",
    about: "Open a local door to a database, for programs that know only host, port and password",
    details: "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several.\n\n\
              Every login that comes in is made at the server with a password that is fresh, over TLS to a server whose certificate is checked. Clients connect without TLS \
              to 127.0.0.1:5432, or to the address of --listen, with the password that is shown at the start; --password-file keeps it in a file for libpq (PGPASSFILE), from one start \
              to the next. With --socket they connect to a socket in a folder that is yours alone, without a password.\n\n\
              Which user they name does not matter: all log in as you, or as --user. With --native that is a role with a password of its own, which PGPASSWORD holds.\n\n\
              The first Ctrl-C lets nobody in any more and waits for those who are connected; the second ends at once.",
    examples: &[
        "databricks database proxy my-instance",
        "databricks database proxy my-instance --listen 127.0.0.1:6432 --password-file ~/.lakebase.pgpass",
        "databricks database proxy projects/my-project --socket ~/.lakebase",
        "PGPASSWORD=... databricks database proxy my-instance --user app --native",
    ],
    usage: "[TARGET]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        super::target_flags(command)
            .arg(arguments::value(
                "listen",
                "address",
                "Where to listen: an address of this machine and a port, 127.0.0.1:5432 if not given; port 0 takes a free one",
            ))
            .arg(arguments::value("socket", "path", "Listen on a socket in this folder instead"))
            .arg(arguments::value("password-file", "path", "Keep the door's password in this file, in the form of .pgpass"))
            .arg(arguments::switch("native", "The role of --user has a password of its own, in PGPASSWORD"))
    },
    run,
};

/// The name of a socket in its folder, as libpq looks for it.
const SOCKET: &str = ".s.PGSQL";

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let given = |name| arguments::text(matches, name).filter(|text| !text.is_empty());
    let (listen, socket, keep) = (given("listen"), given("socket"), given("password-file"));
    if socket.is_some() && (listen.is_some() || keep.is_some()) {
        return Err(context.usage_error(UsageError::new("a socket has neither address nor password: give --socket alone")));
    }
    let address = address(context, listen)?;
    let is_native = arguments::is_on(matches, "native");
    if is_native && given("user").is_none() {
        return Err(context.usage_error(UsageError::new("--native needs the role: --user ROLE")));
    }
    let (workspace, target) = super::find(context, matches)?;
    let first = if is_native {
        let missing = || {
            Failure::new(format!("{} holds no password for {}", env::PGPASSWORD, target.user))
                .hint("Set it in the environment of this command, never on its command line")
        };
        Password::lasting(Secret::new(context.env.get(env::PGPASSWORD).ok_or_else(missing)?))
    } else {
        credential::mint(&workspace, &target.resource)?.into()
    };
    let until = first.expiry().map_or(String::new(), |expiry| format!(" (the first password is good until {})", clock::minute(expiry)));
    let server = Server::new(&target.host, target.port, Arc::new(http::tls(&context.env)?))?;

    let (listener, access, place) = match socket {
        Some(folder) => open_socket(Path::new(folder), address.port())?,
        None => open_port(context, address, keep, &target)?,
    };
    let (vault, wishes) = Vault::new(first);
    let door = Arc::new(Door { server, user: target.user.clone(), database: target.database.clone(), access, vault, clients: Clients::default() });
    let later = context.later(&workspace.settings)?;
    let resource = target.resource.clone();
    let weak = Arc::downgrade(&door);
    // Detached: nobody waits at the end for a workspace that does not answer.
    std::thread::Builder::new().name("passwords".to_owned()).spawn(move || {
        for () in wishes {
            let outcome = later.workspace(LIMIT).and_then(|workspace| credential::mint(&workspace, &resource));
            let Some(door) = weak.upgrade() else { return };
            door.vault.settle(outcome.map(Password::from).map_err(|error| Trouble {
                code: "08006",
                message: format!("no password for the database could be had: {}", text::one_line(&format!("{error:#}"))),
                hint: "See what is wrong: databricks auth describe".to_owned(),
            }));
        }
    })?;
    make_room();
    context.ui.note(&format!("{place} leads to {} at {}:{} as {}{until}. Ctrl-C ends it.", target.database, target.host, target.port, target.user));
    let outcome = serve(&door, listener);
    if let Some(folder) = socket {
        remove_socket(Path::new(folder), address.port());
    }
    Ok(outcome?)
}

/// A client takes two descriptors, and the usual limit is 1,024.
#[cfg(unix)]
fn make_room() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(not(unix))]
fn make_room() {}

/// Where to listen.
fn address(context: &Context<'_>, listen: Option<&str>) -> Result<SocketAddr> {
    let Some(text) = listen else { return Ok(SocketAddr::from(([127, 0, 0, 1], PORT))) };
    let numbers = text.replacen("localhost", "127.0.0.1", 1);
    let parsed = numbers.parse().ok().or_else(|| numbers.parse::<IpAddr>().ok().map(|address| SocketAddr::from((address, PORT))));
    let refuse = |reason: &str| context.usage_error(UsageError::new(invalid_argument(text, "--listen", reason)));
    let address = parsed.ok_or_else(|| refuse("write it as 127.0.0.1:5432"))?;
    if !is_private(address.ip()) {
        return Err(refuse("it must be an address of this machine alone, such as 127.0.0.1:5432: passwords and data come over it in clear"));
    }
    Ok(address)
}

type Opened = (Listener, Access, String);

fn open_port(context: &Context<'_>, address: SocketAddr, keep: Option<&str>, target: &Target) -> Result<Opened> {
    let (listener, address) = Listener::tcp(address).map_err(|error| {
        let failure = Failure::new(format!("cannot listen on {address}: {error}"));
        if error.kind() == std::io::ErrorKind::AddrInUse {
            failure.hint("A Postgres server may run there, or somebody listen at [::1]; take another port: --listen 127.0.0.1:6432")
        } else {
            failure
        }
    })?;
    let host = address.ip().to_string();
    let password = match keep {
        None => {
            let password = random_password();
            context.ui.note(&format!("Password: {}", password.expose()));
            password
        }
        Some(path) => {
            let file = PassFile::at(path);
            let password = file.look_up(&host, address.port(), "*", "*")?.unwrap_or_else(random_password);
            let names: &[&str] = if address.port() == 0 || !address.ip().is_ipv4() { &[&host] } else { &[&host, "localhost"] };
            let records: Vec<Record<'_>> =
                names.iter().map(|host| Record { host, port: address.port(), database: "*", user: "*", password: &password }).collect();
            file.write(&records)?;
            let (port, user, database) = (address.port(), text::one_line(&target.user), text::one_line(&target.database));
            context.ui.note(&format!("The password is in {path}. Try: PGPASSFILE={path} psql -h {host} -p {port} -U {user} -d {database}"));
            password
        }
    };
    Ok((listener, Access::Password(password), address.to_string()))
}

/// 128 random bits, in letters that no shell, URL or form changes.
fn random_password() -> Secret {
    Secret::new(uuid::Uuid::new_v4().simple().to_string())
}

#[cfg(unix)]
fn open_socket(folder: &Path, port: u16) -> Result<Opened> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    files::make_folder(folder)?;
    let shown = folder.display();
    let metadata = folder.metadata().map_err(|error| Failure::new(format!("{shown} cannot be looked at: {error}")))?;
    if !metadata.is_dir() {
        return Err(Failure::new(format!("{shown} is no folder")).hint("--socket takes a folder; the socket in it is named as libpq looks for it").into());
    }
    if metadata.permissions().mode() & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Failure::new(format!("others can get into {shown}, and whoever reaches the socket is let in"))
            .hint(format!("Take a folder of your own, or close this one: chmod 700 {shown}"))
            .into());
    }
    let path = folder.join(format!("{SOCKET}.{port}"));
    let listener = Listener::unix(&path).map_err(|error| {
        let failure = Failure::new(format!("cannot listen on {}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => failure.hint("Another proxy listens there, or it is another kind of file"),
            std::io::ErrorKind::InvalidInput => failure.hint("The path of a socket has about 100 letters at most: take another folder"),
            _ => failure,
        }
    })?;
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok((listener, Access::Everybody, format!("host={} port={port}", absolute.display())))
}

#[cfg(unix)]
fn remove_socket(folder: &Path, port: u16) {
    let _gone = std::fs::remove_file(folder.join(format!("{SOCKET}.{port}")));
}

#[cfg(not(unix))]
fn open_socket(_: &Path, _: u16) -> Result<Opened> {
    Err(Failure::new("sockets are for Unix").hint("Listen on a port: --listen 127.0.0.1:5432").into())
}

#[cfg(not(unix))]
fn remove_socket(_: &Path, _: u16) {}
