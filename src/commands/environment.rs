//! The environment of programs that get a credential from us: what would get in its way is taken out, and nothing else is touched.

use std::process::Command;

use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::env::{self, Env};

/// Variables that name a credential, a way to sign in, or a place: they would win over what we hand over, or be mixed with it.
///
/// Those of other programs (`ARM_…`, `GOOGLE_…`) stay: Terraform and its like need them, and no SDK looks at them where the auth type is named.
pub(super) fn in_the_way() -> impl Iterator<Item = &'static str> {
    let counts = |attr: Attr| {
        matches!(
            attr,
            Attr::Host
                | Attr::Profile
                | Attr::AuthType
                | Attr::MetadataServiceUrl
                | Attr::ClusterId
                | Attr::WarehouseId
                | Attr::ServerlessComputeId
                | Attr::AccountId
                | Attr::WorkspaceId
                | Attr::DiscoveryUrl
        )
    };
    ATTRIBUTES
        .iter()
        .filter(move |row| counts(row.attr) || row.family.is_some())
        .flat_map(|row| row.env.iter().copied())
        .filter(|name| name.starts_with("DATABRICKS_"))
}

/// As [`in_the_way`]; where a password file for libpq is handed over, also what libpq would take instead of it, or go elsewhere by.
pub(super) fn in_the_way_of(variables: &[(&'static str, String)]) -> impl Iterator<Item = &'static str> {
    let for_libpq = variables.iter().any(|(name, _)| *name == env::PGPASSFILE);
    in_the_way().chain([env::PGPASSWORD].into_iter().chain(env::PG_DETOURS.iter().copied()).filter(move |_| for_libpq))
}

/// Gives a program these variables in place of all that would get in their way.
pub(super) fn put(command: &mut Command, variables: &[(&'static str, String)]) {
    for name in in_the_way_of(variables) {
        command.env_remove(name);
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
}

/// What keeps the way to a server on this machine off proxies: SDKs would send the address of the broker, which is a secret, to them.
pub(super) fn past_proxies(env: &Env) -> Vec<(&'static str, String)> {
    if !env::PROXIES_FOR_HTTP.iter().any(|name| env.get(name).is_some()) {
        return Vec::new();
    }
    let present = env::NO_PROXIES.iter().find_map(|name| env.get(name)).unwrap_or_default();
    if present.split(',').any(|entry| matches!(entry.trim(), "*" | "127.0.0.1")) {
        return Vec::new();
    }
    let comma = if present.is_empty() { "" } else { "," };
    env::NO_PROXIES.iter().map(|name| (*name, format!("{present}{comma}127.0.0.1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_environment_are_in_the_way_and_those_of_others_stay() {
        let names: Vec<&str> = in_the_way().collect();
        for name in ["DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_HOST", "DATABRICKS_CONFIG_PROFILE", "DATABRICKS_AUTH_TYPE"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(!names.iter().any(|name| name.starts_with("ARM_") || name.starts_with("GOOGLE_") || *name == "DATABRICKS_CONFIG_FILE"), "{names:?}");
    }

    #[test]
    fn the_broker_is_reached_past_proxies() {
        let of = |variables: &[(&str, &str)]| {
            let env = variables.iter().fold(Env::default(), |env, (name, value)| env.with(name, value));
            past_proxies(&env).into_iter().map(|(_, value)| value).next()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("http_proxy", "http://p:1")]).as_deref(), Some("127.0.0.1"));
        assert_eq!(of(&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "a.example")]).as_deref(), Some("a.example,127.0.0.1"));
        assert_eq!(of(&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "a, 127.0.0.1")]), None);
    }
}
