//! `metadata-service`: a service on this machine that hands out tokens, such as the one of an IDE.
//! <https://pkg.go.dev/github.com/databricks/databricks-sdk-go/config> (`MetadataServiceURL`)
//!
//! Nothing is kept: the service is the cache. Its address has a path that nobody can guess, which makes it a secret.

use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::auth::oauth::reply::{self, Flaw};
use crate::auth::oauth::server::connect;
use crate::auth::{Credential, Method, Ports, no_obstacle};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Host;
use crate::http::{ApiError, NetworkError, Request};

pub(crate) static METHOD: Method = Method {
    name: "metadata-service",
    title: "Metadata service",
    needs: &[Attr::MetadataServiceUrl],
    automatic: true,
    obstacle: no_obstacle,
    locate: None,
    acquire,
};

/// As long as the SDKs wait for it.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Times {
    #[serde(default)]
    expires_on: Value,
}

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let place = settings.get(Attr::MetadataServiceUrl).map(|sourced| sourced.source.place()).unwrap_or_default();
    let hint = format!("metadata_service_url comes from the {place}; the program that made it has to run on this machine");
    let refuse = |what: &str| anyhow::Error::from(Failure::new(format!("metadata-service: {what}")).hint(hint.as_str()));
    let url = settings.secret(Attr::MetadataServiceUrl).map(|url| url.expose().trim()).unwrap_or_default();
    let (service, path) = Host::split(url).map_err(|_| refuse("metadata_service_url is no address such as http://127.0.0.1:8080/path"))?;
    if !matches!(service.name(), "localhost" | "127.0.0.1" | "[::1]") {
        return Err(refuse("only localhost URLs are allowed: metadata_service_url must lie on localhost, 127.0.0.1 or [::1]"));
    }
    let request = Request::get(path).hide_path().header("X-Databricks-Metadata-Version", "1").header("X-Databricks-Host", host.as_str());
    let response = connect(ports, &service, LIMIT)?.send(None, &request).map_err(|error| {
        if let Some(refusal) = error.downcast_ref::<ApiError>() {
            refuse(&format!("the service at {service} gives no token for {host}: {} (HTTP status {})", refusal.message, refusal.status))
        } else if let Some(broken) = error.downcast_ref::<NetworkError>() {
            refuse(&broken.to_string())
        } else {
            error
        }
    })?;
    let now = clock::now();
    let no_json = |_| refuse(&format!("the service at {service} did not answer with JSON"));
    let token = reply::read(&response.body, now).map_err(no_json)?.map_err(|flaw| match flaw {
        Flaw::Refused { error, description } => {
            refuse(&format!("the service at {service} refuses: {} ({})", crate::text::quoted(&description), crate::text::one_line(&error)))
        }
        Flaw::NoToken => refuse(&format!("the service at {service} answered without an access_token")),
    })?;
    let times: Times = serde_json::from_slice(&response.body).map_err(no_json)?;
    if !times.expires_on.is_null() {
        let until =
            reply::seconds(&times.expires_on).ok_or_else(|| refuse(&format!("the service at {service} says no time in expires_on that can be read")))?;
        if until <= now.as_second() {
            return Err(refuse(&format!("the service at {service} gave a token that has ended already")));
        }
    }
    Ok(Credential::bearer(host, METHOD.name, token, Vec::new()))
}
