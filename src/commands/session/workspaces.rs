//! The workspaces that whoever runs this machine has configured for everybody on it.

use crate::env::{self, Env};
use crate::host::Host;

/// One of `DATABRICKS_WORKSPACES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configured {
    /// As people call it; the host where nobody said.
    pub(super) name: String,
    pub(super) host: Host,
}

/// Those that there are: `NAME=URL` or `URL`, separated by commas. What is no host is left out, and named by the second list.
pub(super) fn configured(env: &Env) -> (Vec<Configured>, Vec<String>) {
    let (mut found, mut odd) = (Vec::new(), Vec::new());
    for entry in env.get(env::WORKSPACES).unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        // The address of a workspace has no `=`; what stands behind the first one of a query is not for us.
        let (name, address) = entry.split_once('=').filter(|(name, _)| !name.contains("://")).unwrap_or(("", entry));
        match Host::parse(address.trim()) {
            Ok(host) if !found.iter().any(|known: &Configured| known.host == host) => {
                let name = if name.trim().is_empty() { host.to_string() } else { name.trim().to_owned() };
                found.push(Configured { name, host });
            }
            Ok(_) => {}
            Err(_) => odd.push(entry.to_owned()),
        }
    }
    (found, odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts_are_read_and_the_rest_is_told() {
        let env = Env::default().with(env::WORKSPACES, "Team A=https://a.example, https://b.example/,, =c.example ,Again=https://a.example,x=nope nope");
        let (found, odd) = configured(&env);
        let found: Vec<(&str, &str)> = found.iter().map(|one| (one.name.as_str(), one.host.as_str())).collect();
        assert_eq!(found, [("Team A", "https://a.example"), ("https://b.example", "https://b.example"), ("https://c.example", "https://c.example")]);
        assert_eq!(odd, ["x=nope nope"]);
        assert_eq!(configured(&Env::default()), (Vec::new(), Vec::new()));
    }
}
