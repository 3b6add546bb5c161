//! The password of a database: an OAuth token for one instance or endpoint, good for an hour, checked when somebody logs in and never again.
//! <https://docs.databricks.com/aws/en/oltp/instances/authentication>

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::auth::Want;
use crate::auth::session::{self, Living, Slot};
use crate::clock;
use crate::context::{Context, Workspace};
use crate::error::Failure;
use crate::http::{Repeat, Request, Verb};
use crate::lakebase::target::{Resource, Target};
use crate::rest::random_id;
use crate::secret::Secret;
use crate::signals::Hold;
use crate::storage::StoredToken;

/// What a password lives where its reply does not say it.
const USUAL_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// Asks the workspace for a new password.
///
/// # Errors
/// If it gives none, or what it gives is no password.
pub(crate) fn mint(workspace: &Workspace, resource: &Resource) -> Result<StoredToken> {
    let (path, body, expiry, repeat) = match resource {
        Resource::Instance(name) => {
            let body = json!({"instance_names": [name], "request_id": random_id()});
            // The service knows a repeated request by its id.
            ("/api/2.0/database/credentials", body, "expiration_time", Repeat::Freely)
        }
        Resource::Endpoint(name) => ("/api/2.0/postgres/credentials", json!({"endpoint": name}), "expire_time", Repeat::OnlyIfRefused),
    };
    let mut request = Request::new(Verb::Post, path).json(body.to_string().into_bytes());
    request.repeat = repeat;
    let asked = clock::now();
    let reply: Value = workspace.send(&request)?.json()?;
    let token = reply.get("token").and_then(Value::as_str).filter(|token| !token.is_empty() && !token.contains(['\0', '\n', '\r']));
    let Some(token) = token else {
        return Err(Failure::new(format!("{} answered without a password for {}", workspace.credential.host, resource.name())).into());
    };
    let expiry = reply.get(expiry).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    let expiry = expiry.or_else(|| asked.checked_add(USUAL_LIFE).ok());
    Ok(StoredToken {
        access_token: Secret::new(token),
        token_type: "Bearer".to_owned(),
        refresh_token: None,
        expiry,
        expires_in: expiry.map(|expiry| expiry.duration_since(asked).as_secs().max(1)),
    })
}

/// A password that lives long enough: the one that is kept, or a new one, which is kept. Processes that ask at the same time make one request.
///
/// # Errors
/// As [`mint`].
pub(crate) fn living(context: &Context<'_>, workspace: &Workspace, target: &Target, want: Want) -> Result<StoredToken> {
    let key = format!("lakebase {} of {} at {}", target.resource.name(), identity(workspace, target)?, workspace.credential.host);
    let renew = |_: Option<&StoredToken>, _: &Hold| mint(workspace, &target.resource);
    let slot = Slot { keys: std::slice::from_ref(&key), lock: &key, spends: None, renew: &renew };
    let Living { token, remarks } = context.with_ports(want, |ports| session::living(&slot, ports))?;
    for remark in remarks {
        context.ui.warn(&remark);
    }
    Ok(token)
}

/// Whose password it is: that of who asks, whatever the role. A kept one must not serve somebody who signed in after them.
fn identity(workspace: &Workspace, target: &Target) -> Result<String> {
    if target.is_own_role { Ok(target.user.clone()) } else { workspace.who() }
}
