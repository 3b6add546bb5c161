//! What a person wishes to sign in to, by flags, words and answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;

use crate::auth::oauth::guide::Guide;
use crate::commands::arguments;
use crate::commands::auth::token;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::config::attributes::Attr;
use crate::config::file::DEFAULT_PROFILE;
use crate::config::{file, plain};
use crate::context::Context;
use crate::duration;
use crate::env;
use crate::error::Failure;
use crate::host::{AddressIds, Host};
use crate::text;
use crate::ui::prompt::Choice;

/// What is to be signed in to, and how.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Wish {
    pub(super) profile: Option<String>,
    pub(super) host: Option<Host>,
    pub(super) account_id: Option<String>,
    pub(super) workspace_id: Option<String>,
    pub(super) scopes: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) configure_cluster: bool,
    pub(super) configure_serverless: bool,
    pub(super) skip_workspace: bool,
    pub(super) no_browser: bool,
    /// The page that leads the person.
    pub(super) guide: Option<Arc<Guide>>,
}

impl Wish {
    pub(super) fn of(context: &Context<'_>, matches: &ArgMatches) -> Result<Self> {
        let text = |name| arguments::text(matches, name).map(str::trim).filter(|given| !given.is_empty()).map(ToOwned::to_owned);
        let timeout = match text("timeout") {
            None => None,
            Some(given) => {
                let seconds =
                    duration::seconds(&given).map_err(|reason| context.usage_error(UsageError::new(invalid_argument(&given, "--timeout", &reason))))?;
                Some(Duration::from_secs(seconds.unsigned_abs()))
            }
        };
        let mut wish = Self {
            profile: context.globals.profile.clone(),
            host: None,
            account_id: text("account-id"),
            workspace_id: text("workspace-id"),
            scopes: text("scopes"),
            timeout,
            configure_cluster: arguments::is_on(matches, "configure-cluster"),
            configure_serverless: arguments::is_on(matches, "configure-serverless"),
            skip_workspace: arguments::is_on(matches, "skip-workspace"),
            no_browser: arguments::is_on(matches, "no-browser"),
            guide: None,
        };
        if wish.configure_cluster && wish.configure_serverless {
            return Err(Failure::new("please either configure serverless or cluster, not both").into());
        }
        let mut address = text("host");
        if let Some(word) = arguments::positionals(matches).first() {
            if address.is_some() || wish.profile.is_some() {
                return Err(Failure::new(format!(
                    "argument {} cannot be combined with --host or --profile. Use the --host and --profile flags instead",
                    text::quoted(word)
                ))
                .into());
            }
            if context.file.section(word)?.is_some_and(|fields| !fields.is_empty()) {
                wish.profile = Some((*word).to_owned());
            } else if token::looks_like_a_host(word) {
                address = Some((*word).to_owned());
            } else {
                let failure = Failure::new(format!("no matching profile found: {}", text::quoted(word)));
                let hint = file::hint_of_profiles(&context.file, word);
                let failure = hint.into_iter().fold(failure, Failure::hint);
                return Err(failure.hint(format!("To make it: databricks auth login --profile {}", text::one_line(&text::shortened(word, 80)))).into());
            }
        }
        if let Some(address) = address {
            wish.take_address(&address)?;
        } else if wish.profile.is_none() && wish.host.is_none() {
            wish.profile = context.env.get(env::CONFIG_PROFILE).map(ToOwned::to_owned);
        }
        Ok(wish)
    }

    /// A host as it is typed, or copied from the browser with the ids in its query.
    fn take_address(&mut self, address: &str) -> Result<()> {
        let (host, AddressIds { workspace_id, account_id }) = Host::parse_address(address)?;
        self.host = Some(host);
        self.workspace_id = self.workspace_id.take().or(workspace_id);
        self.account_id = self.account_id.take().or(account_id);
        Ok(())
    }

    /// Lets the person choose where nothing was given.
    pub(super) fn choose(&mut self, context: &Context<'_>) -> Result<()> {
        let profiles = context.file.profiles()?;
        let default = context.file.default_profile()?;
        let mut rows: Vec<(Choice, &str)> = profiles
            .iter()
            .map(|profile| {
                let place = match (profile.get(Attr::Host), profile.get(Attr::AccountId)) {
                    (Some(host), _) => format!("({host})"),
                    (None, account) => format!("(account: {})", account.unwrap_or_default()),
                };
                let mark = if default.as_deref() == Some(profile.name) { " [default]" } else { "" };
                (Choice::new(profile.name).detail(format!("{place}{mark}")), profile.name)
            })
            .collect();
        if let Some(first) = rows.iter().position(|(_, name)| default.as_deref() == Some(*name)) {
            rows[..=first].rotate_right(1);
        }
        let label = if rows.is_empty() { "How would you like to log in?" } else { "Select a profile" };
        let mut choices: Vec<Choice> = rows.iter().map(|(choice, _)| choice.clone()).collect();
        choices.extend(["+ Create a new profile", "→ Enter a host URL manually"].map(Choice::new));
        let chosen = context.ui.prompter().choose(label, &choices, true)?;
        if let Some((_, name)) = rows.get(chosen) {
            context.ui.note(&format!("Using profile: {}", text::one_line(name)));
            self.profile = Some((*name).to_owned());
        } else if chosen > rows.len() {
            context.ui.note("Example: https://<databricks-instance>.cloud.databricks.com");
            let check = |typed: &str| Host::parse(typed).map(|_| typed.to_owned()).map_err(|failure| failure.to_string());
            let address = context.ui.prompter().text("Databricks host", None, &check)?;
            self.take_address(&address)?;
        }
        Ok(())
    }

    /// The name under which the sign-in is remembered; `None` where nobody can be asked and none was given.
    pub(super) fn name(&self, context: &Context<'_>) -> Result<Option<String>> {
        if let Some(name) = &self.profile {
            plain::check_profile_name(name)?;
            return Ok(Some(name.clone()));
        }
        if !context.ui.can_prompt() {
            return Ok(None);
        }
        let proposal = match (&self.account_id, &self.host) {
            (Some(account), _) => format!("ACCOUNT-{account}"),
            (None, Some(host)) => host.name().split('.').next().unwrap_or_default().trim_matches(['[', ']', ':']).to_owned(),
            (None, None) => DEFAULT_PROFILE.to_owned(),
        };
        let proposal = if plain::check_profile_name(&proposal).is_ok() { proposal } else { DEFAULT_PROFILE.to_owned() };
        let check = |typed: &str| plain::check_profile_name(typed.trim()).map(|()| typed.trim().to_owned()).map_err(|failure| failure.to_string());
        context.ui.prompter().text("Databricks profile name", Some(&proposal), &check).map(Some)
    }
}
