//! Id tokens: where a job or a machine gets the signed statement of who it is, which is then exchanged for a token.
//!
//! Each is asked for or read anew at every exchange: it lives for minutes. What comes back is held to be a JSON Web Token, so that nothing else that somebody put
//! into a file or a variable is sent to the host.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::auth::Ports;
use crate::auth::oauth::reply;
use crate::auth::oauth::server::{EXCHANGE_LIMIT, Signed, connect};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files;
use crate::host::Host;
use crate::http::{ApiError, Repeat, Request, Verb};
use crate::secret::Secret;
use crate::text;

/// Longest file that is taken for an id token, in bytes; those of real issuers have a few thousand.
const LARGEST_FILE: u64 = 1 << 20;

#[derive(Deserialize)]
struct GithubReply {
    value: Option<String>,
}

#[derive(Deserialize)]
struct AzureDevopsReply {
    #[serde(rename = "oidcToken")]
    oidc_token: Option<String>,
}

/// Why GitHub Actions cannot be asked: in a clause, for [`Method::obstacle`](crate::auth::Method::obstacle).
pub(crate) fn github_obstacle(settings: &Settings) -> Option<String> {
    let missing = |attr: Attr| settings.get(attr).is_none().then(|| attr.row().env[0]);
    let missing: Vec<&str> = [Attr::ActionsIdTokenRequestUrl, Attr::ActionsIdTokenRequestToken].into_iter().filter_map(missing).collect();
    not_set(&missing)
}

/// The id token of a job of GitHub Actions for an audience.
/// <https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>
///
/// The address of the service and the token that opens it are those of the settings ([`github_obstacle`] tells when they are not there).
///
/// # Errors
/// If the address cannot be used, or the service gives no token.
pub(crate) fn github_id_token(settings: &Settings, ports: &Ports<'_>, audience: &str) -> Result<Secret> {
    let url = settings.text(Attr::ActionsIdTokenRequestUrl).unwrap_or_default();
    let place = || settings.get(Attr::ActionsIdTokenRequestUrl).map(|sourced| sourced.source.place()).unwrap_or_default();
    let (host, path) = Host::split(url).map_err(|failure| {
        Failure::new(format!("actions_id_token_request_url cannot be used: {failure}")).hint(format!("It comes from the {}; GitHub Actions sets it", place()))
    })?;
    let bearer = settings.secret(Attr::ActionsIdTokenRequestToken).cloned().unwrap_or_else(|| Secret::new(""));
    let request = Request::get(path).query("audience", audience);
    let reply: GithubReply = ask(ports, &host, &bearer, &request).map_err(|error| {
        declined(
            error,
            &format!("GitHub Actions gives no id token ({host})"),
            &["Check that the job has the permission: permissions: id-token: write", "The values are good for the running job only"],
        )
    })?;
    given(reply.value, &format!("the reply of GitHub Actions ({host})"))
}

/// What tells a job of GitHub Actions from every other.
pub(crate) fn github_job(settings: &Settings) -> Secret {
    let url = settings.text(Attr::ActionsIdTokenRequestUrl).unwrap_or_default();
    let token = settings.secret(Attr::ActionsIdTokenRequestToken).map(Secret::expose).unwrap_or_default();
    Secret::new([url, "\n", token].concat())
}

/// Variables that Azure Pipelines sets, in the order in which the address names them; the last one opens it.
const AZURE_DEVOPS: [&str; 6] =
    [env::SYSTEM_COLLECTION_URI, env::SYSTEM_TEAM_PROJECT_ID, env::SYSTEM_HOST_TYPE, env::SYSTEM_PLAN_ID, env::SYSTEM_JOB_ID, env::SYSTEM_ACCESS_TOKEN];

/// Why Azure DevOps cannot be asked.
pub(crate) fn azure_devops_obstacle(env: &Env) -> Option<String> {
    let missing: Vec<&str> = AZURE_DEVOPS.into_iter().filter(|name| env.get(name).is_none()).collect();
    not_set(&missing)
}

/// The address at which the job that runs gets its id tokens.
///
/// # Errors
/// If what Azure Pipelines should have set makes no address.
pub(crate) fn azure_devops_url(env: &Env) -> Result<(Host, String)> {
    let [collection, project, hub, plan, job, _] = AZURE_DEVOPS.map(|name| (name, env.get(name).unwrap_or_default().trim()));
    let (host, path) =
        Host::split(collection.1).map_err(|failure| Failure::new(format!("{} cannot be used: {failure}", collection.0)).hint("Azure Pipelines sets it"))?;
    for (name, value) in [project, hub, plan, job] {
        // Each is one segment of the address: nothing in it may lead elsewhere.
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err(Failure::new(format!("{name} is {}, which is no id", text::quoted(value))).hint("Azure Pipelines sets it").into());
        }
    }
    let path = path.trim_end_matches('/');
    let path = format!("{path}/{}/_apis/distributedtask/hubs/{}/plans/{}/jobs/{}/oidctoken?api-version=7.2-preview.1", project.1, hub.1, plan.1, job.1);
    Ok((host, path))
}

/// What tells a job of Azure Pipelines from every other.
///
/// # Errors
/// As [`azure_devops_url`].
pub(crate) fn azure_devops_job(env: &Env) -> Result<Secret> {
    let (host, path) = azure_devops_url(env)?;
    Ok(Secret::new([host.as_str(), &path, "\n", env.get(env::SYSTEM_ACCESS_TOKEN).unwrap_or_default()].concat()))
}

/// The id token of a job of Azure Pipelines; its audience is always `api://AzureADTokenExchange`.
/// <https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create>
///
/// # Errors
/// If the variables make no address, or the service gives no token.
pub(crate) fn azure_devops_id_token(ports: &Ports<'_>) -> Result<Secret> {
    let (host, path) = azure_devops_url(ports.env)?;
    let bearer = Secret::new(ports.env.get(env::SYSTEM_ACCESS_TOKEN).unwrap_or_default().trim());
    let mut request = Request::new(Verb::Post, path);
    // A second id token does no harm: the first one ends by itself.
    request.repeat = Repeat::Freely;
    let reply: AzureDevopsReply = ask(ports, &host, &bearer, &request).map_err(|error| {
        declined(
            error,
            &format!("Azure DevOps gives no id token ({host})"),
            &["Check that the step passes it on: env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)"],
        )
    })?;
    given(reply.oidc_token, &format!("the reply of Azure DevOps ({host})"))
}

/// The variable that holds the id token of `env-oidc`.
pub(crate) fn variable(settings: &Settings) -> &str {
    settings.text(Attr::OidcTokenEnv).unwrap_or(env::OIDC_TOKEN)
}

/// Why the environment gives no id token.
pub(crate) fn env_obstacle(settings: &Settings, env: &Env) -> Option<String> {
    let name = variable(settings);
    env.get(name).is_none().then(|| format!("{} is not set", text::one_line(&text::shortened(name, 120))))
}

/// The id token that the environment holds: in `DATABRICKS_OIDC_TOKEN`, or in the variable that `oidc_token_env` names.
///
/// # Errors
/// If there is none, or something else.
pub(crate) fn env_id_token(settings: &Settings, env: &Env) -> Result<Secret> {
    let name = variable(settings);
    let shown = text::one_line(&text::shortened(name, 120)).into_owned();
    let value =
        env.get(name).ok_or_else(|| Failure::new(format!("{shown} is not set")).hint("Put the id token there, or name another variable: oidc_token_env"))?;
    let token = judged(Secret::new(value.trim()), &format!("the variable {shown}"))?;
    Ok(token)
}

/// Why no file gives an id token.
pub(crate) fn file_obstacle(settings: &Settings) -> Option<String> {
    settings.get(Attr::DatabricksIdTokenFilepath).is_none().then(|| format!("{} is not set", env::OIDC_TOKEN_FILEPATH))
}

/// The id token that a file holds; white space around it does not count.
///
/// # Errors
/// If there is no such file, it is no regular file or too large, or holds something else.
pub(crate) fn file_id_token(settings: &Settings) -> Result<Secret> {
    let path = settings.text(Attr::DatabricksIdTokenFilepath).unwrap_or_default();
    let place = || settings.get(Attr::DatabricksIdTokenFilepath).map(|sourced| sourced.source.place()).unwrap_or_default();
    let hint = || format!("Its name comes from the {}", place());
    let shown = text::one_line(&text::shortened(path, 300)).into_owned();
    let bytes = files::read_foreign(Path::new(path), LARGEST_FILE)
        .map_err(|error| Failure::new(error.to_string()).hint(hint()))?
        .map(Zeroizing::new)
        .ok_or_else(|| Failure::new(format!("there is no file {shown}, which should hold the id token")).hint(hint()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::new(format!("{shown} holds no id token: it is no text")).hint(hint()))?;
    judged(Secret::new(text.trim()), &shown).map_err(|failure| failure.hint(hint()).into())
}

/// What an id token says of itself, for the one who writes the federation policy. Not verified; the token itself is never shown.
pub(crate) fn statement(token: &Secret, now: Timestamp) -> String {
    let Some(claims) = reply::claims(token.expose()) else { return "the id token says nothing that can be read".to_owned() };
    let shown = |name: &str| match &claims[name] {
        Value::String(text) => text::quoted(text),
        Value::Array(items) => items.iter().map(|item| text::quoted(item.as_str().unwrap_or_default())).collect::<Vec<_>>().join(" and "),
        _ => "(none)".to_owned(),
    };
    let end = reply::seconds(&claims["exp"]).and_then(|end| Timestamp::from_second(end).ok()).map_or_else(String::new, |end| {
        let left = end.duration_since(now);
        if left.is_negative() || left.is_zero() { format!("; it ended {} ago", clock::rough(-left)) } else { format!("; it lives {} more", clock::rough(left)) }
    });
    format!("the id token says: issuer {}, subject {}, audience {}{end}", shown("iss"), shown("sub"), shown("aud"))
}

/// What tells the identity behind an id token from others: all that it says but when it was made and how long it lives.
pub(crate) fn identity(token: &Secret) -> Secret {
    let Some(Value::Object(mut claims)) = reply::claims(token.expose()) else { return token.clone() };
    for passing in ["exp", "iat", "nbf", "jti"] {
        claims.remove(passing);
    }
    Secret::new(Value::Object(claims).to_string())
}

fn ask<T: serde::de::DeserializeOwned>(ports: &Ports<'_>, host: &Host, bearer: &Secret, request: &Request<'_>) -> Result<T> {
    let client = connect(ports, host, EXCHANGE_LIMIT)?;
    let signed = Signed { host: host.clone(), headers: vec![("Authorization", Secret::new(["Bearer ", bearer.expose()].concat()))] };
    Ok(client.send(Some(&signed), request)?.json()?)
}

/// Says who refused; errors of the network speak for themselves.
fn declined(error: anyhow::Error, what: &str, hints: &[&str]) -> anyhow::Error {
    let Some(refusal) = error.downcast_ref::<ApiError>() else { return error.context(what.to_owned()) };
    let failure = Failure::new(format!("{what}: {} (HTTP status {})", refusal.message, refusal.status));
    hints.iter().fold(failure, |failure, hint| failure.hint(*hint)).into()
}

fn given(value: Option<String>, place: &str) -> Result<Secret> {
    Ok(judged(Secret::new(value.unwrap_or_default()), place)?)
}

/// The token, if it has the form of a JSON Web Token with claims (RFC 7519, section 3).
fn judged(token: Secret, place: &str) -> Result<Secret, Failure> {
    if token.is_empty() {
        return Err(Failure::new(format!("{place} holds no id token: it is empty")));
    }
    let has_form = token.expose().split('.').count() == 3
        && token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'='))
        && reply::claims(token.expose()).is_some_and(|claims| claims.is_object());
    if has_form { Ok(token) } else { Err(Failure::new(format!("{place} holds no id token: it is no JSON Web Token, so nothing is sent"))) }
}

fn not_set(missing: &[&str]) -> Option<String> {
    match missing {
        [] => None,
        [name] => Some(format!("{name} is not set")),
        several => Some(format!("{} are not set", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(claims: &str) -> Secret {
        Secret::new(format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    fn pipeline() -> Env {
        AZURE_DEVOPS
            .into_iter()
            .zip(["https://dev.azure.com/org/", "p-1", "build", "plan-1", "job-1", "t"])
            .fold(Env::default(), |env, (name, value)| env.with(name, value))
    }

    #[test]
    fn what_is_missing_is_named() {
        let nothing = Settings::of_values(&[]);
        assert_eq!(github_obstacle(&nothing).expect("missing"), "ACTIONS_ID_TOKEN_REQUEST_URL, ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set");
        let url = Settings::of_values(&[(Attr::ActionsIdTokenRequestUrl, "https://h.example/x")]);
        assert_eq!(github_obstacle(&url).expect("missing"), "ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set");
        assert_eq!(env_obstacle(&nothing, &Env::default()).expect("missing"), "DATABRICKS_OIDC_TOKEN is not set");
        assert_eq!(env_obstacle(&Settings::of_values(&[(Attr::OidcTokenEnv, "MY")]), &Env::default()).expect("missing"), "MY is not set");
        assert_eq!(file_obstacle(&nothing).expect("missing"), "DATABRICKS_OIDC_TOKEN_FILEPATH is not set");
        assert_eq!(azure_devops_obstacle(&pipeline()), None);
        for name in AZURE_DEVOPS {
            assert_eq!(azure_devops_obstacle(&pipeline().with(name, "")).expect("missing"), format!("{name} is not set"));
        }
    }

    #[test]
    fn the_address_of_azure_devops_is_joined_with_care() {
        const PATH: &str = "/org/p-1/_apis/distributedtask/hubs/build/plans/plan-1/jobs/job-1/oidctoken?api-version=7.2-preview.1";
        for collection in ["https://dev.azure.com/org", "https://dev.azure.com/org/", "https://dev.azure.com/org//"] {
            let (host, path) = azure_devops_url(&pipeline().with(env::SYSTEM_COLLECTION_URI, collection)).expect("an address");
            assert_eq!((host.as_str(), path.as_str()), ("https://dev.azure.com", PATH), "{collection}");
        }
        for (name, value) in [
            (env::SYSTEM_JOB_ID, "../../x"),
            (env::SYSTEM_PLAN_ID, "a/b"),
            (env::SYSTEM_HOST_TYPE, "a?b"),
            (env::SYSTEM_COLLECTION_URI, "http://tfs.example/"),
            (env::SYSTEM_COLLECTION_URI, "dev.azure.com/org"),
        ] {
            let error = azure_devops_url(&pipeline().with(name, value)).expect_err(value).to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn only_a_token_with_claims_is_one() {
        judged(token("{\"sub\":\"a\"}"), "x").expect("a token");
        for other in ["", "dapi0123", "a.b.c", "eyJ.eyJ", "<html>", "a b.c.d", "AKIA.secret.key"] {
            let error = judged(Secret::new(other), "the file").expect_err(other).to_string();
            assert!(error.starts_with("the file holds no id token") && (other.is_empty() || !error.contains(other)), "{error}");
        }
    }

    #[test]
    fn an_identity_is_what_does_not_pass() {
        let of = |claims: &str| identity(&token(claims));
        assert_eq!(of(r#"{"sub":"a","iss":"i","exp":1,"jti":"x"}"#), of(r#"{"iss":"i","sub":"a","exp":2,"iat":1,"nbf":1}"#));
        for other in [r#"{"sub":"b","iss":"i"}"#, r#"{"sub":"a","iss":"j"}"#, r#"{"sub":"a","iss":"i","aud":"x"}"#, r#"{"sub":"a","iss":"i","email":"x"}"#] {
            assert_ne!(of(r#"{"sub":"a","iss":"i"}"#), of(other), "{other}");
        }
    }

    #[test]
    fn a_token_states_who_it_is_and_no_more() {
        let token = token(r#"{"iss":"https://i.example","sub":"repo:o/r\u001b[2J","aud":["a","b"],"exp":160}"#);
        let at = |second| statement(&token, Timestamp::from_second(second).expect("an instant"));
        assert_eq!(
            at(100),
            "the id token says: issuer \"https://i.example\", subject \"repo:o/r\\u{1b}[2J\", audience \"a\" and \"b\"; it lives 60 seconds more"
        );
        assert!(at(180).ends_with("; it ended 20 seconds ago"), "{}", at(180));
    }

    #[test]
    fn files_hold_one_token_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let settings = Settings::of_values(&[(Attr::DatabricksIdTokenFilepath, path.to_str().expect("text"))]);
        assert!(file_id_token(&settings).expect_err("no file").to_string().starts_with("there is no file "));
        let wanted = token("{\"sub\":\"a\"}");
        #[expect(clippy::disallowed_methods, reason = "another program writes it")]
        let put = |text: &[u8]| std::fs::write(&path, text).expect("written");
        put(format!("\n {}\r\n", wanted.expose()).as_bytes());
        assert_eq!(file_id_token(&settings).expect("the token"), wanted);
        put(format!("{0}\n{0}\n", wanted.expose()).as_bytes());
        assert!(file_id_token(&settings).is_err());
        put(&[0xff; 10]);
        assert!(file_id_token(&settings).expect_err("no text").to_string().ends_with("it is no text"));
        let folder_itself = Settings::of_values(&[(Attr::DatabricksIdTokenFilepath, folder.path().to_str().expect("text"))]);
        assert!(file_id_token(&folder_itself).expect_err("a folder").to_string().contains("is a folder"));
    }
}
