//! The chain: which method applies, and what to say when none does.

use anyhow::Result;

use crate::auth::methods::FOREIGN;
use crate::auth::{self, Credential, METHODS, Method, Skip};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::settings::{Settings, UNIFIED_AUTH_PAGE};
use crate::env::Env;
use crate::error::Failure;
use crate::text;

/// The method that the settings lead to: the one that `auth_type` names, else the first that has all it needs. Looks at the settings only.
///
/// # Errors
/// If there is none; the hints say what each method lacks.
pub(crate) fn choose(settings: &Settings) -> Result<&'static Method> {
    match settings.text(Attr::AuthType) {
        Some(name) => named(settings, name),
        None => METHODS.iter().copied().find(|method| method.automatic && method.ready(settings).is_ok()).ok_or_else(|| nothing_applies(settings).into()),
    }
}

/// Obtains the credential of the chosen method for the host in force.
///
/// # Errors
/// As [`choose`]; if a secret of a profile would go to another host than the profile's; or as the method fails.
pub(crate) fn acquire(settings: &Settings, env: &Env) -> Result<Credential> {
    let method = choose(settings)?;
    check_bound(settings, method)?;
    let Some(host) = settings.host()? else { return Err(nothing_applies(settings).into()) };
    (method.acquire)(settings, host, env)
}

/// Holds the secrets of a method to the host that they belong to.
///
/// # Errors
/// If one stands in a profile of another host.
pub(crate) fn check_bound(settings: &Settings, method: &Method) -> Result<()> {
    ATTRIBUTES.iter().filter(|row| row.secret && row.methods.contains(&method.name)).try_for_each(|row| settings.check_bound(row.attr))
}

fn named(settings: &Settings, name: &str) -> Result<&'static Method> {
    let shown = text::quoted(name);
    if let Some(method) = auth::find(name) {
        return method.ready(settings).map(|()| method).map_err(|skip| not_configured(settings, method, &skip).into());
    }
    let place = settings.get(Attr::AuthType).map(|sourced| sourced.source.place()).unwrap_or_default();
    let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    let failure = if FOREIGN.contains(&name) {
        Failure::new(format!("default auth: auth type {shown} is not one that this version can use{}", settings.summary()))
    } else {
        Failure::new(format!(
            "default auth: auth type {shown} not found, please check {UNIFIED_AUTH_PAGE} for a list of supported auth types{}",
            settings.summary()
        ))
    };
    let failure = match text::closest(name, known.iter().copied()) {
        Some(close) => failure.hint(format!("Did you mean: auth_type = {close}")),
        None => failure,
    };
    Err(failure.hint(format!("It comes from the {place}; this version has: {}", known.join(", "))).into())
}

fn not_configured(settings: &Settings, method: &Method, skip: &Skip) -> Failure {
    let place = settings.get(Attr::AuthType).map(|sourced| sourced.source.place()).unwrap_or_default();
    let failure = Failure::new(format!("default auth: {} auth: not configured: {skip}{}", method.name, settings.summary()));
    with_missing(failure, skip).hint(format!("auth_type = {} comes from the {place}", method.name))
}

fn nothing_applies(settings: &Settings) -> Failure {
    let mut failure = Failure::new(format!(
        "default auth: cannot configure default credentials, please check {UNIFIED_AUTH_PAGE} to configure credentials for your preferred authentication method{}",
        settings.summary()
    ));
    for method in METHODS.iter().filter(|method| method.automatic) {
        if let Err(skip) = method.ready(settings) {
            failure = failure.hint(format!("{} does not apply: {skip}", method.name));
        }
    }
    failure.hint("To set up a profile: databricks configure --host https://<workspace> --profile <name>")
}

fn with_missing(mut failure: Failure, skip: &Skip) -> Failure {
    for attr in &skip.missing {
        let variables = attr.row().env.join(" or ");
        failure = failure.hint(format!("Set {} in the profile, or {variables}", attr.name()));
    }
    failure
}
