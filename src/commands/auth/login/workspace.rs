//! Which workspace of an account: what the token's server says of it, and the choice where there are several.

use anyhow::Result;
use serde::Deserialize;

use super::wish::Wish;
use super::{BEST_EFFORT, Target, connect};
use crate::context::Context;
use crate::http::Request;
use crate::storage::StoredToken;
use crate::text;
use crate::ui::prompt::Choice;

/// Compat: as many workspaces as the official CLI offers.
const MOST_WORKSPACES: usize = 50;

/// What `/api/2.0/tokens/introspect` says of the caller's token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Introspection {
    principal_context: PrincipalContext,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PrincipalContext {
    authentication_scope: AuthenticationScope,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthenticationScope {
    account_id: serde_json::Value,
    workspace_id: serde_json::Value,
}

/// Fills in the ids that the host did not tell, if the token's own server does. Best effort.
pub(super) fn introspect(context: &Context<'_>, target: &mut Target, token: &StoredToken) {
    let asked = connect(context, target, token, Some(BEST_EFFORT))
        .and_then(|workspace| workspace.send_bare(&Request::get("/api/2.0/tokens/introspect")))
        .and_then(|response| Ok(response.json::<Introspection>()?));
    let Ok(Introspection { principal_context: PrincipalContext { authentication_scope: scope } }) = asked else { return };
    target.account_id = target.account_id.take().or_else(|| id_of(&scope.account_id));
    if !target.is_console {
        target.workspace_id = target.workspace_id.take().or_else(|| id_of(&scope.workspace_id));
    }
}

/// An id as text, whether it came as text or as a number; one that could not be written to a profile is none.
fn id_of(value: &serde_json::Value) -> Option<String> {
    let id = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let is_id = !value.is_null() && !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then_some(id)
}

/// A workspace as the account lists it.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Listed {
    workspace_id: serde_json::Value,
    #[serde(default)]
    workspace_name: String,
    #[serde(default)]
    workspace_status: Option<String>,
}

/// Chooses a workspace of the account, where there are several and none is named.
pub(super) fn choose_workspace(context: &Context<'_>, wish: &Wish, target: &mut Target, token: &StoredToken, was_account_only: bool) -> Result<()> {
    let Some(account) = target.account_id.as_deref().filter(|_| target.is_account_wide) else { return Ok(()) };
    if target.workspace_id.is_some() || wish.skip_workspace || target.is_console || was_account_only {
        return Ok(());
    }
    if !context.ui.can_prompt() {
        context.ui.note("To use workspace commands, set workspace_id in your profile or pass --workspace-id.");
        return Ok(());
    }
    let listed = connect(context, target, token, None)
        .and_then(|workspace| workspace.send_bare(&Request::get(format!("/api/2.0/accounts/{account}/workspaces"))))
        .and_then(|response| Ok(response.json::<Vec<Listed>>()?));
    let rows: Vec<(String, Choice)> = match listed {
        Ok(listed) => listed
            .into_iter()
            .filter(|workspace| workspace.workspace_status.as_deref().is_none_or(|status| status == "RUNNING"))
            .filter_map(|workspace| {
                let id = id_of(&workspace.workspace_id)?;
                Some((id.clone(), Choice::new(workspace.workspace_name).detail(format!("({id})"))))
            })
            .take(MOST_WORKSPACES)
            .collect(),
        Err(error) => {
            context.ui.warn(&format!("the workspaces of the account cannot be listed: {error:#}"));
            let check = |typed: &str| {
                let id = typed.trim();
                if id.bytes().all(|byte| byte.is_ascii_digit()) { Ok(id.to_owned()) } else { Err("a workspace ID is a number".to_owned()) }
            };
            let id = context.ui.prompter().text("Enter workspace ID (empty to skip)", None, &check)?;
            target.workspace_id = Some(id).filter(|id| !id.is_empty());
            return Ok(());
        }
    };
    target.workspace_id = match rows.as_slice() {
        [] => None,
        [(id, choice)] => {
            context.ui.note(&format!("Auto-selected workspace {} ({id})", text::quoted(&choice.label)));
            Some(id.clone())
        }
        several => {
            let mut choices: Vec<Choice> = several.iter().map(|(_, choice)| choice.clone()).collect();
            choices.push(Choice::new("Skip (account-level access only)"));
            let chosen = context.ui.prompter().choose("Select a workspace", &choices, true)?;
            several.get(chosen).map(|(id, _)| id.clone())
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_text_that_a_profile_can_hold() {
        let id = |json: &str| id_of(&serde_json::from_str(json).unwrap());
        assert_eq!(id("900800700600").as_deref(), Some("900800700600"));
        assert_eq!(id("\"a-1\"").as_deref(), Some("a-1"));
        for odd in ["null", "\"\"", "\"a\\n[evil]\"", "{}", "1.5", "-0.1e9", "[1]"] {
            assert_eq!(id(odd), None, "{odd}");
        }
    }
}
