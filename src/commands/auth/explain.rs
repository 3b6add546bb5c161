//! `auth explain`: for each value in force who set it, over whom it won and by which rule, and what would change the outcome. Asks nobody.

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use super::describe::{MASK, methods};
use crate::auth::{Want, chain};
use crate::commands::{Arity, Command};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::file::DEFAULT_PROFILE;
use crate::config::settings::{Selection, Settings, Source, Value};
use crate::context::{Context, OutputFormat};
use crate::env;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "explain",
    about: "Explain which setting wins over which, and what would change that",
    details: "Looks at flags, environment, bundle and profile file as a command of the workspace would, and asks nobody. For each value: where it comes from, which others \
              there are and why they do not count, and the one command or edit that would let another one win. Secrets are not shown.",
    examples: &["databricks auth explain", "databricks auth explain --profile my-profile", "databricks auth explain -t prod -o json | jq -r .method.used"],
    usage: "",
    arity: Arity::NoCommands,
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

#[derive(Serialize)]
struct Report {
    /// What cannot stand, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    profile: Explained,
    values: Vec<Explained>,
    method: Method,
    notes: Vec<String>,
}

/// A value in force, or one that could be.
#[derive(Serialize)]
struct Explained {
    attribute: &'static str,
    /// Absent where nothing counts although something is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    over: Vec<Loser>,
    /// What would change the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
}

#[derive(Serialize)]
struct Loser {
    source: String,
    value: String,
    /// Whether it differs from the value that counts.
    differs: bool,
    why: &'static str,
}

#[derive(Serialize)]
struct Method {
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<&'static str>,
    /// In the order in which they are tried.
    methods: Vec<Candidate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
}

#[derive(Serialize)]
struct Candidate {
    name: &'static str,
    state: String,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let selection = super::workspace_selection(context, matches)?;
    let settings = Settings::gather(&selection, &context.env, &context.file)?;
    let mut attempts = Vec::new();
    let outcome = settings
        .check(&context.file)
        .and_then(|()| context.with_ports(Want::USUAL, |ports| chain::foresee(&settings, ports, &mut attempts)))
        .map(|method| method.name);
    let used = outcome.as_ref().ok().copied();
    let methods = methods(&settings, &context.env, used, &attempts);
    let explainer = Explainer { context, selection: &selection, settings: &settings };
    let report = Report {
        error: outcome.as_ref().err().map(|error| format!("{error:#}")),
        profile: explainer.profile()?,
        values: explainer.values()?,
        method: Method { used, change: explainer.method_change(used), methods: methods.into_iter().map(|(name, state)| Candidate { name, state }).collect() },
        notes: explainer.notes()?,
    };
    if context.globals.output == OutputFormat::Json {
        context.ui.out_json_bare(&serde_json::to_string(&report)?)?;
        context.ui.out("\n");
        return Ok(());
    }
    print(context, &report);
    Ok(())
}

fn print(context: &Context<'_>, report: &Report) {
    let line = |text: String| context.ui.out_line(&text::one_line(&text));
    if let Some(error) = &report.error {
        line(format!("This does not work: {error}"));
        context.ui.out("\n");
    }
    for explained in std::iter::once(&report.profile).chain(&report.values) {
        let source = explained.source.as_ref().map_or(String::new(), |source| format!(", from {source}"));
        let value = explained.value.as_deref().unwrap_or("not set");
        line(format!("{}: {value}{source}", explained.attribute));
        for loser in &explained.over {
            let value = if loser.differs { format!(" ({})", loser.value) } else { " (the same)".to_owned() };
            line(format!("  over that of the {}{value}: {}", loser.source, loser.why));
        }
        if let Some(change) = &explained.change {
            line(format!("  to change it: {change}"));
        }
    }
    context.ui.out("\n");
    line(format!("Method: {}", report.method.used.unwrap_or("none")));
    for candidate in &report.method.methods {
        line(format!("  {}: {}", candidate.name, candidate.state));
    }
    if let Some(change) = &report.method.change {
        line(format!("  to change it: {change}"));
    }
    if !report.notes.is_empty() {
        context.ui.out("\n");
        for note in &report.notes {
            line(format!("Note: {note}"));
        }
    }
}

struct Explainer<'a> {
    context: &'a Context<'a>,
    selection: &'a Selection,
    settings: &'a Settings,
}

impl Explainer<'_> {
    /// The attributes that something sets, in the order of the table.
    fn values(&self) -> Result<Vec<Explained>> {
        let mut values = Vec::new();
        for row in ATTRIBUTES.iter().filter(|row| row.attr != Attr::Profile) {
            let candidates = self.candidates(row.attr)?;
            if candidates.is_empty() && self.settings.get(row.attr).is_none() {
                continue;
            }
            values.push(self.explain(row.attr, &candidates));
        }
        Ok(values)
    }

    /// Everything that sets an attribute, whether it counts or not.
    fn candidates(&self, attr: Attr) -> Result<Vec<(Source, String)>> {
        let mut candidates = Vec::new();
        if let Some(host) = self.selection.host.as_ref().filter(|_| attr == Attr::Host) {
            candidates.push((Source::Flag("--host"), host.clone()));
        }
        if let Some(field) = self.selection.bundle.as_ref().and_then(|bundle| bundle.get(attr)) {
            candidates.push((Source::Bundle { path: field.path.clone(), line: field.line }, field.text.clone()));
        }
        candidates.extend(attr.row().env.iter().filter_map(|name| Some((Source::Env(name), self.context.env.get(name)?.to_owned()))));
        if let Some(profile) = self.settings.text(Attr::Profile)
            && let Some(fields) = self.context.file.section(profile)?
        {
            let path = self.context.file.path()?;
            let named = |key: &str| key.eq_ignore_ascii_case(attr.name()) || attr.row().alias.is_some_and(|alias| key.eq_ignore_ascii_case(alias));
            if let Some(field) = fields.iter().rfind(|field| named(field.key)).filter(|field| !field.value.is_empty()) {
                let source = Source::File { path: path.to_owned(), section: profile.to_owned(), line: field.line };
                candidates.push((source, field.value.clone().into_owned()));
            }
        }
        Ok(candidates)
    }

    fn explain(&self, attr: Attr, candidates: &[(Source, String)]) -> Explained {
        let winner = self.settings.get(attr);
        let shown = |value: &str| if attr.row().secret { MASK.to_owned() } else { value.to_owned() };
        let losers: Vec<&(Source, String)> = candidates.iter().filter(|(source, _)| winner.is_none_or(|winner| winner.source != *source)).collect();
        let over = losers
            .iter()
            .map(|(source, value)| Loser {
                source: source.place(),
                value: shown(value),
                differs: winner.is_none_or(|winner| match &winner.value {
                    Value::Plain(own) => own != value,
                    Value::Hidden(own) => *own != crate::secret::Secret::new(value.as_str()),
                }),
                why: self.why(winner.map(|winner| &winner.source), source),
            })
            .collect();
        Explained {
            attribute: attr.name(),
            value: winner.map(|winner| match &winner.value {
                Value::Plain(text) => text.clone(),
                Value::Hidden(_) => MASK.to_owned(),
            }),
            source: winner.map(|winner| winner.source.place()).filter(|place| !place.is_empty()),
            change: losers.first().and_then(|(loser, _)| self.change(attr, winner.map(|winner| &winner.source), loser)),
            over,
        }
    }

    /// The rule by which one source does not count beside another.
    fn why(&self, winner: Option<&Source>, loser: &Source) -> &'static str {
        match (winner, loser) {
            (Some(Source::Flag(_)), _) => "a flag wins over everything",
            (Some(Source::Bundle { .. }), Source::Env(_)) => "a bundle wins over variables",
            (Some(Source::Bundle { .. }), _) => "a bundle wins over a profile",
            (Some(Source::File { .. }), Source::Env(_)) => match self.profile_source() {
                Some(Source::Bundle { .. }) => "a profile that the bundle names wins over variables",
                _ => "a profile that --profile names wins over variables",
            },
            (Some(Source::Env(_)), Source::Env(_)) => "the first name of a variable counts",
            (Some(Source::Env(_)), _) => "variables win over a profile that no flag names",
            (None, Source::Env(_)) => "with a named profile only the profile says this",
            _ => "another one counts",
        }
    }

    fn profile_source(&self) -> Option<&Source> {
        self.settings.get(Attr::Profile).map(|profile| &profile.source)
    }

    /// The one command or edit that would let the loser win.
    fn change(&self, attr: Attr, winner: Option<&Source>, loser: &Source) -> Option<String> {
        let profile = text::one_line(self.settings.text(Attr::Profile).unwrap_or(DEFAULT_PROFILE)).into_owned();
        let edit = |path: &std::path::Path, line: usize| format!("edit {}:{line}", path.display());
        Some(match winner {
            Some(Source::Flag(flag)) => format!("leave out {flag}"),
            Some(Source::Env(name)) => format!("unset {name}"),
            Some(Source::Bundle { path, line }) => format!("{}, or choose another target: -t NAME", edit(path, *line)),
            Some(Source::File { path, line, .. }) => match (loser, self.profile_source()) {
                (Source::Env(_), Some(Source::Flag("--profile"))) if !attr_is_bound(attr) => {
                    format!("leave out --profile, and name the profile by a variable: {}={profile}", env::CONFIG_PROFILE)
                }
                _ => edit(path, *line),
            },
            Some(Source::Derived) => return None,
            None => format!("write it into the profile {profile}: {} = …", attr.name()),
        })
    }

    /// Which profile counts, and what else names one.
    fn profile(&self) -> Result<Explained> {
        let winner = self.settings.get(Attr::Profile);
        let mut candidates: Vec<(Source, String)> = Vec::new();
        if let Some(name) = &self.selection.profile {
            candidates.push((Source::Flag(if self.selection.by_host { "--host" } else { "--profile" }), name.clone()));
        }
        if let Some(name) = self.context.env.get(env::CONFIG_PROFILE) {
            candidates.push((Source::Env(env::CONFIG_PROFILE), name.to_owned()));
        }
        if let Some(field) = self.selection.bundle.as_ref().and_then(|bundle| bundle.get(Attr::Profile)) {
            candidates.push((Source::Bundle { path: field.path.clone(), line: field.line }, field.text.clone()));
        }
        let place = match winner.map(|winner| &winner.source) {
            Some(Source::Derived) if self.settings.get(Attr::Host).is_some_and(|host| matches!(host.source, Source::Bundle { .. })) => {
                Some("its host, which is that of the bundle".to_owned())
            }
            Some(Source::Derived) => Some(format!("the default of {}", self.context.file.path()?.display())),
            Some(source) => Some(source.place()),
            None => None,
        };
        let losers: Vec<&(Source, String)> = candidates.iter().filter(|(source, _)| winner.is_none_or(|winner| winner.source != *source)).collect();
        let change = match winner.map(|winner| &winner.source) {
            Some(Source::Flag(flag)) => format!("another name behind {flag}"),
            Some(Source::Env(name)) => format!("unset {name}, or --profile NAME, which wins over it"),
            Some(Source::Bundle { path, line }) => format!("--profile NAME, or edit {}:{line}", path.display()),
            Some(_) => "databricks auth switch --profile NAME for good, --profile NAME for one command".to_owned(),
            None => "--profile NAME".to_owned(),
        };
        let over = losers
            .iter()
            .map(|(source, name)| Loser {
                source: source.place(),
                value: name.clone(),
                differs: self.settings.text(Attr::Profile) != Some(name),
                why: if winner.is_some_and(|winner| matches!(winner.source, Source::Flag(_))) {
                    "a flag wins over everything"
                } else {
                    "a variable wins over the profile of a bundle"
                },
            })
            .collect();
        let value = self.settings.text(Attr::Profile).map(|name| text::one_line(name).into_owned());
        Ok(Explained { attribute: Attr::Profile.name(), value: value.or_else(|| Some("none".to_owned())), source: place, over, change: Some(change) })
    }

    /// How to get another method.
    fn method_change(&self, used: Option<&str>) -> Option<String> {
        if let Some(named) = self.settings.get(Attr::AuthType) {
            let how = match &named.source {
                Source::Env(name) => format!("unset {name}"),
                Source::File { path, line, .. } | Source::Bundle { path, line } => format!("edit {}:{line}", path.display()),
                Source::Flag(_) | Source::Derived => return None,
            };
            return Some(format!("auth_type names it; {how}"));
        }
        used.map(|_| format!("name the one that you want: {}=NAME, or auth_type = NAME in the profile", env::AUTH_TYPE))
    }

    /// What follows from values that act together.
    fn notes(&self) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let file = &self.context.file;
        let host = self.context.env.get(env::HOST).is_some();
        if self.settings.get(Attr::Profile).is_none() && host && file.exists()? {
            notes.push(format!(
                "the profile file {} is skipped, because {} is set and nothing names a profile. To use one: --profile NAME, or unset {}",
                file.path()?.display(),
                env::HOST,
                env::HOST
            ));
        }
        // The SDKs skip the file for any variable of a credential; this tool and the official CLI only for the host.
        let tagged = ATTRIBUTES
            .iter()
            .filter(|row| row.family.is_some() || row.attr == Attr::Host)
            .flat_map(|row| row.env)
            .find(|name| self.context.env.get(name).is_some());
        if let Some(variable) = tagged.filter(|_| self.context.env.get(env::CONFIG_PROFILE).is_none() && file.exists().is_ok_and(|exists| exists)) {
            let profile = self.settings.text(Attr::Profile).map_or("NAME".into(), text::one_line);
            notes.push(format!(
                "programs with an SDK skip the profile file, because {variable} is set. To give them a profile all the same: export {}={profile}",
                env::CONFIG_PROFILE
            ));
        }
        if let Some(mixture) = self.settings.mixture() {
            notes.push(mixture);
        }
        if let Some(bundle) = &self.selection.bundle {
            let target = bundle.target.as_ref().map_or(String::new(), |target| format!(", target {}", text::quoted(target)));
            notes.push(format!(
                "the bundle {}{target} counts for the commands of a workspace; api, auth token and auth login do not look at it",
                bundle.path.display()
            ));
        }
        if let Some(host) = self.settings.unknown_host() {
            notes.push(format!(
                "{} is named by the {} alone: no credential is sent there before you name it too",
                text::one_line(host.value.reveal()),
                host.source.place()
            ));
        }
        Ok(notes)
    }
}

/// What no variable can set beside a named profile.
fn attr_is_bound(attr: Attr) -> bool {
    crate::config::settings::BOUND_TO_THE_PROFILE.contains(&attr)
}
