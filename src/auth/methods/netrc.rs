//! `netrc`: the entry of the host in the user's `.netrc`, for those who keep it there for curl and Git anyway.
//!
//! By curl's rules: the name of the host counts exactly, a `username` in the settings must be the login of the entry, and `default` is meant for no Databricks workspace.
//! Only where `auth_type` asks for it: an entry that somebody once made for another program must not decide who the user is.

use anyhow::Result;

use crate::auth::{Credential, Lasting, Method, Ports, TOKEN_USER, no_obstacle};
use crate::config::attributes::Attr;
use crate::config::netrc::NetrcFile;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Host;
use crate::text;

pub(crate) static METHOD: Method = Method { name: "netrc", title: "Netrc file", needs: &[], automatic: false, obstacle: no_obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let file = NetrcFile::to_read(ports.env)?;
    let path = file.path().display();
    let machine = host.bare_name();
    let user = settings.text(Attr::Username);
    let wanted = user.map_or(String::new(), |user| format!(" with login {}", text::quoted(user)));
    let missing = |what: &str| {
        Failure::new(format!("netrc auth: {what}"))
            .hint(format!("To make one from a profile that works: databricks auth netrc write --netrc-file {path} --profile NAME"))
            .hint("Or sign in another way: change auth_type, see databricks auth describe")
    };
    let Some((netrc, mode)) = file.read()? else { return Err(missing(&format!("there is no file {path}")).into()) };
    let Some((login, password)) = netrc.find(machine, user).map_err(|fault| file.explain(fault))? else {
        let what = format!("{path} has no entry for machine {machine}{wanted} that holds login and password");
        return Err(missing(&what).into());
    };
    let lasting = if login == TOKEN_USER { Lasting::Token(password) } else { Lasting::Password { user: login, password } };
    let mut credential = Credential::of(host, METHOD.name, lasting);
    if let Some(mode) = mode {
        credential.remarks.push(format!("{path} can be read by others (mode {mode:04o}). To keep it to yourself: chmod 600 {path}"));
    }
    Ok(credential)
}
