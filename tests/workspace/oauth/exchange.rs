//! An id token for an access token.
//! Source: RFC 8693; <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-federation-exchange>.

use super::super::ADMIN;
use super::super::api::{Answer, Call};
use super::super::state::State;
use super::token::{Form, invalid_grant, invalid_request};
use super::{Holder, OAuth, Realm, audience, issuer, known_scopes, millis, refusal};

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

pub(super) fn exchange(call: &Call<'_>, realm: Realm, form: &Form) -> Answer {
    if call.request.header("Authorization").is_some() || form.value("client_secret").is_some() {
        return Err(invalid_request("the id token is all the proof that there is"));
    }
    if form.required("subject_token_type")? != "urn:ietf:params:oauth:token-type:jwt" {
        return Err(invalid_request("subject_token_type is not supported"));
    }
    let scope = form.required("scope")?;
    if !known_scopes(scope) {
        return Err(refusal(400, "invalid_scope", &format!("scope '{scope}' holds something that is no scope")));
    }
    let now = call.state.clock.now_ms();
    let token = form.required("subject_token")?;
    let name = call.state.federation.holder(token, form.value("client_id"), now.div_euclid(1000)).map_err(|why| invalid_grant(&why))?;
    let user = call.state.user(|user| user.name == name).ok_or_else(|| invalid_grant(&format!("there is no user or service principal {name}")))?;
    let (issuer, audience) = (issuer(call, realm), audience(call, realm));
    let oauth = &call.state.oauth;
    let mut store = oauth.store();
    let holder = Holder { user: &user, client: &user.name, scope, realm, issuer: &issuer, audience: &audience };
    let access = oauth.access_token(&mut store, holder, None, now);
    oauth.count(&mut store, |grants| grants.exchanges += 1);
    Ok(store.reply(GRANT, &access, None, scope))
}

impl OAuth {
    /// An access token of a user, and the second at which it ends: for services beside the workspace that hand tokens out.
    pub(in super::super) fn token_of(&self, state: &State, name: &str) -> (String, i64) {
        let user = state.user(|user| user.name == name).unwrap_or_else(|| panic!("there is no user but {ADMIN} and those added"));
        let (issuer, audience) = (format!("{}/oidc", state.http_url), state.workspace_id.to_string());
        let holder = Holder { user: &user, client: name, scope: "all-apis", realm: Realm::Workspace, issuer: &issuer, audience: &audience };
        let now = state.clock.now_ms();
        let mut store = self.store();
        let token = self.access_token(&mut store, holder, None, now);
        let end = (now + millis(store.settings.token_lifetime)).div_euclid(1000);
        (token, end)
    }
}
