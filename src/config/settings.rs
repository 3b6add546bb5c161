//! [`Settings`]: what is in force for one command, each value with its source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;

use crate::config::attributes::{ATTRIBUTES, Attr, COUNT, Reading};
use crate::config::bundle::{self, Bundle};
use crate::config::document::Field;
use crate::config::file::{self, DEFAULT_PROFILE, Profile, ProfileFile};
use crate::config::plain::SETTINGS_SECTION;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::host::{AddressIds, Host};
use crate::secret::Secret;
use crate::text;

/// Where the documentation explains the attributes; scripts search error texts for the words before it.
pub(crate) const UNIFIED_AUTH_PAGE: &str = "https://docs.databricks.com/en/dev-tools/auth.html#databricks-client-unified-authentication";

/// Longer values are cut in messages; no name of a profile is longer.
const LONGEST_SHOWN: usize = 255;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A flag, with its dashes.
    Flag(&'static str),
    /// An environment variable.
    Env(&'static str),
    /// A line of a bundle.
    Bundle { path: PathBuf, line: usize },
    /// A line of the profile file.
    File { path: PathBuf, section: String, line: usize },
    /// Followed from other values, such as the ids in the query of the host.
    Derived,
}

impl fmt::Display for Source {
    /// In the words of `auth describe`, which scripts read; empty for what follows from other values.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(formatter, "{name} flag"),
            Self::Env(name) => write!(formatter, "{name} environment variable"),
            Self::File { path, .. } => write!(formatter, "{} config file", path.display()),
            Self::Bundle { .. } => formatter.write_str("bundle"),
            Self::Derived => Ok(()),
        }
    }
}

impl Source {
    /// As exactly as a person needs it to find the place.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File { path, section, line } => format!("profile {} ({}:{line})", text::quoted(section), path.display()),
            Self::Bundle { path, line } => format!("bundle ({}:{line})", path.display()),
            other => other.to_string(),
        }
    }
}

/// A value, hidden if its attribute is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Plain(String),
    Hidden(Secret),
}

impl Value {
    fn new(attr: Attr, text: &str) -> Self {
        if attr.row().secret { Self::Hidden(Secret::new(text)) } else { Self::Plain(text.to_owned()) }
    }

    /// The text, hidden or not: for the commands whose job it is to hand values over.
    pub(crate) fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Hidden(secret) => secret.expose(),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced {
    pub(crate) value: Value,
    pub(crate) source: Source,
}

/// A value that lost against another of the same attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadowed {
    pub(crate) attr: Attr,
    pub(crate) source: Source,
    /// Whether it differs from the value that won: only then it matters.
    pub(crate) differs: bool,
}

/// What the command line says about which profile and host are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// `--profile`.
    pub(crate) profile: Option<String>,
    /// Whether the profile was found by its host, which `--host` of the `auth` commands names.
    pub(crate) by_host: bool,
    /// `--host`: overrides every other host.
    pub(crate) host: Option<String>,
    /// Taken when nothing else names a profile; a section that is missing is then no error. Compat: `auth env` assumes `DEFAULT`, whatever the default profile is.
    pub(crate) fallback_profile: Option<&'static str>,
    /// The bundle that counts, if any: its values win over all but those of flags.
    pub(crate) bundle: Option<Bundle>,
}

/// The attributes in force.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Those that have a value, which are few.
    values: Vec<(Attr, Sourced)>,
    /// That among them, once it was read.
    host: OnceLock<Host>,
    shadowed: Vec<Shadowed>,
    /// The host of the profile in use, as written there, even if another host won.
    profile_host: Option<String>,
    profile_missing: bool,
    /// Where the user named the host of the bundle too; `None` where no bundle decides the host.
    bundle_host: Option<Known>,
    /// The host of the environment, where that of a bundle won over it.
    env_host: Option<String>,
}

/// Who knows the host that a bundle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The user, by a profile, a variable or a confirmation.
    ByUser,
    /// Nobody else.
    ByBundle,
}

/// Which profile is used, and how it came to be.
enum Choice {
    Named(String, Source),
    /// `DEFAULT`, because nothing names another: its absence is no error.
    Assumed(String),
    /// The profile of the host that a bundle names.
    Matched(String),
    None,
}

impl Settings {
    /// Decides every attribute: flag, environment, profile, default. Pure but for the profile file, which is read only if a profile can matter.
    ///
    /// With `--profile` the profile wins over the environment's credentials; with `DATABRICKS_CONFIG_PROFILE` the environment wins; `DATABRICKS_HOST` without a named
    /// profile turns the default profile off. These are the rules of the official CLI.
    ///
    /// # Errors
    /// If the named profile does not exist, a value cannot be read as what it is, or two methods are set up at once.
    pub(crate) fn resolve(selection: &Selection, env: &Env, file: &ProfileFile) -> Result<Self> {
        let settings = Self::gather(selection, env, file)?;
        settings.check(file)?;
        Ok(settings)
    }

    /// The settings of one profile alone, without environment and defaults.
    pub(crate) fn of_profile(profile: &Profile<'_>, path: &Path) -> Self {
        let mut settings = Self::empty();
        settings.put(Attr::Profile, profile.name, Source::Derived);
        settings.fill_from_fields(profile.name, &profile.fields(), path);
        settings.take_ids_from_host();
        settings
    }

    /// Settings of given values, such as those that a person has just typed.
    pub(crate) fn of_values(values: &[(Attr, &str)]) -> Self {
        let mut settings = Self::empty();
        for (attr, text) in values {
            settings.put(*attr, text, Source::Derived);
        }
        settings
    }

    fn empty() -> Self {
        Self { values: Vec::new(), host: OnceLock::new(), shadowed: Vec::new(), profile_host: None, profile_missing: false, bundle_host: None, env_host: None }
    }

    /// As [`Settings::resolve`] without judging the outcome: what `auth describe` shows also when it cannot work.
    pub(crate) fn gather(selection: &Selection, env: &Env, file: &ProfileFile) -> Result<Self> {
        let mut settings = Self::empty();
        if let Some(host) = &selection.host {
            settings.put(Attr::Host, host, Source::Flag("--host"));
        }
        if env.get(env::CONFIG_FILE).is_some() {
            settings.put_env(Attr::ConfigFile, env);
        }
        for field in selection.bundle.iter().flat_map(|bundle| &bundle.fields).filter(|field| field.attr != Attr::Profile) {
            settings.put(field.attr, &field.text, Source::Bundle { path: field.path.clone(), line: field.line });
        }
        let choice = choose_profile(selection, env, file)?;
        match &choice {
            Choice::Named(name, source) => {
                settings.put(Attr::Profile, name, source.clone());
                if matches!(source, Source::Flag(_) | Source::Bundle { .. }) {
                    settings.fill_from_env(env, |attr| attr.row().family.is_none() && attr != Attr::Host && !BOUND_TO_THE_PROFILE.contains(&attr));
                    settings.fill_from_profile(name, file)?;
                    settings.fill_from_env(env, |attr| (attr.row().family.is_some() || attr == Attr::Host) && !BOUND_TO_THE_PROFILE.contains(&attr));
                } else {
                    settings.fill_from_env(env, |_| true);
                    settings.fill_from_profile(name, file)?;
                }
            }
            Choice::Assumed(name) => {
                settings.put(Attr::Profile, name, Source::Derived);
                settings.fill_from_env(env, |_| true);
                settings.fill_from_profile(name, file)?;
            }
            Choice::Matched(name) => {
                settings.put(Attr::Profile, name, Source::Derived);
                settings.fill_from_env(env, |_| true);
                settings.fill_from_profile(name, file)?;
            }
            Choice::None => settings.fill_from_env(env, |_| true),
        }
        if let (Choice::Named(..), Some(field)) = (&choice, selection.bundle.as_ref().and_then(|bundle| bundle.get(Attr::Profile))) {
            settings.put(Attr::Profile, &field.text, Source::Bundle { path: field.path.clone(), line: field.line });
        }
        settings.judge_bundle(env, file)?;
        settings.take_ids_from_host();
        settings.profile_missing &= matches!(choice, Choice::Named(..));
        Ok(settings)
    }

    /// What cannot stand: a missing profile, unreadable numbers, two methods at once. In this order, as in the SDKs.
    pub(crate) fn check(&self, file: &ProfileFile) -> Result<()> {
        if let Some(failure) = self.missing_profile(file) {
            return Err(failure.into());
        }
        self.check_agreement()?;
        for row in &ATTRIBUTES {
            if let Some(Sourced { value, source }) = self.get(row.attr)
                && let Some(wanted) = unreadable(row.reading, value.reveal())
            {
                let shown = text::quoted(value.reveal());
                return Err(Failure::new(format!("resolve: {} is {shown} in the {}, but it takes {wanted}", row.name, source.place())).into());
            }
        }
        let mut families: Vec<&str> = ATTRIBUTES.iter().filter(|row| self.get(row.attr).is_some()).filter_map(|row| row.family).collect();
        families.sort_unstable();
        families.dedup();
        if families.len() > 1 && self.get(Attr::AuthType).is_none() {
            let mut failure = Failure::new(format!("validate: more than one authorization method configured: {}{}", families.join(" and "), self.summary()));
            for row in ATTRIBUTES.iter().filter(|row| row.family.is_some()) {
                if let (Some(sourced), Some(family)) = (self.get(row.attr), row.family) {
                    failure = failure.hint(format!("{} ({family}) comes from the {}", row.name, sourced.source.place()));
                }
            }
            let choice = self.get(Attr::Profile).map_or("in the environment", |_| "in the profile or the environment");
            return Err(failure.hint(format!("Unset one of them, or say which one counts: auth_type {choice} ({})", env::AUTH_TYPE)).into());
        }
        Ok(())
    }

    /// Puts another value in the place of an attribute, or none.
    pub(crate) fn replace(&mut self, attr: Attr, value: Option<(&str, Source)>) {
        self.host.take();
        self.values.retain(|(own, _)| *own != attr);
        self.values.extend(value.map(|(text, source)| (attr, Sourced { value: Value::new(attr, text), source })));
    }

    /// Says that the named profile is not there; `None` if it is, or if there is no profile file at all.
    fn missing_profile(&self, file: &ProfileFile) -> Option<Failure> {
        let name = self.text(Attr::Profile).filter(|_| self.profile_missing)?;
        let path = file.path().ok()?;
        let shown = text::shortened(name, LONGEST_SHOWN);
        let shown = text::one_line(&shown);
        let mut failure = Failure::new(format!("resolve: {} has no {shown} profile configured{}", path.display(), self.summary()));
        if let Some(hint) = file::hint_of_profiles(file, name) {
            failure = failure.hint(hint);
        }
        if self.get(Attr::Profile).is_some_and(|profile| profile.source == Source::Derived) {
            failure = failure.hint("It is the default profile of this file. To choose another one: databricks auth switch");
        }
        Some(failure.hint(format!("To make it: databricks configure --profile {shown}")))
    }

    pub(crate) fn get(&self, attr: Attr) -> Option<&Sourced> {
        self.values.iter().find(|(own, _)| *own == attr).map(|(_, sourced)| sourced)
    }

    /// The text of an attribute that is no secret.
    pub(crate) fn text(&self, attr: Attr) -> Option<&str> {
        match self.get(attr)? {
            Sourced { value: Value::Plain(text), .. } => Some(text),
            Sourced { value: Value::Hidden(_), .. } => None,
        }
    }

    pub(crate) fn secret(&self, attr: Attr) -> Option<&Secret> {
        match self.get(attr)? {
            Sourced { value: Value::Hidden(secret), .. } => Some(secret),
            Sourced { value: Value::Plain(_), .. } => None,
        }
    }

    /// A whole number of seconds or bytes.
    pub(crate) fn number(&self, attr: Attr) -> Option<i64> {
        self.text(attr)?.trim().parse().ok()
    }

    pub(crate) fn switch(&self, attr: Attr) -> bool {
        self.text(attr).and_then(read_switch).unwrap_or(false)
    }

    /// The host in canonical form; `None` if there is none.
    ///
    /// # Errors
    /// If it is not one, naming where it came from.
    pub(crate) fn host(&self) -> Result<Option<Host>> {
        if let Some(host) = self.host.get() {
            return Ok(Some(host.clone()));
        }
        let Some(Sourced { value, source }) = self.get(Attr::Host) else { return Ok(None) };
        let host = Host::parse(value.reveal()).map_err(|failure| match source {
            Source::Derived => failure,
            source => failure.hint(format!("The host comes from the {}", source.place())),
        })?;
        Ok(Some(self.host.get_or_init(|| host).clone()))
    }

    /// The workspace id to send with requests; the official CLI's placeholder `none` counts as none.
    pub(crate) fn workspace_id(&self) -> Option<&str> {
        self.text(Attr::WorkspaceId).filter(|id| !id.eq_ignore_ascii_case("none"))
    }

    /// The OAuth scopes, sorted and each once; what stands for everything where none are set.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> = self.text(Attr::Scopes).unwrap_or("all-apis").split([',', ' ']).map(str::trim).filter(|scope| !scope.is_empty()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The profile, unless the host in force is another one than the profile's: what is kept under its name belongs to that.
    pub(crate) fn profile_at(&self, host: &Host) -> Option<&str> {
        self.text(Attr::Profile).filter(|_| self.profile_host.as_deref().and_then(|own| Host::parse(own).ok()).is_none_or(|own| own == *host))
    }

    pub(crate) fn shadowed(&self) -> &[Shadowed] {
        &self.shadowed
    }

    /// Values in the order of the table.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Attr, &Sourced)> {
        ATTRIBUTES.iter().filter_map(|row| Some((row.attr, self.get(row.attr)?)))
    }

    /// Holds a secret of the profile to the host of the profile: it never goes to a host that somebody else named.
    ///
    /// # Errors
    /// If the secret stands in a profile whose own host is not the host in force.
    pub(crate) fn check_bound(&self, attr: Attr) -> Result<()> {
        if let (Some(Sourced { source: Source::Env(variable), .. }), Some(own)) = (self.get(attr), &self.env_host) {
            let used = self.get(Attr::Host).map(|host| (text::one_line(host.value.reveal()).into_owned(), host.source.place())).unwrap_or_default();
            return Err(Failure::new(format!("{variable} belongs to {} ({}) and is not sent to {}", text::one_line(own), env::HOST, used.0))
                .hint(format!("The host {} comes from the {}", used.0, used.1))
                .hint(format!("Unset {variable} to use the profile of that host, or leave the bundle aside: --profile NAME"))
                .into());
        }
        let (Some(Sourced { source: Source::File { section, .. }, .. }), Some(host)) = (self.get(attr), self.get(Attr::Host)) else { return Ok(()) };
        let (Some(own), Some(used)) = (&self.profile_host, self.host()?) else { return Ok(()) };
        if Host::parse(own).is_ok_and(|own| own == used) {
            return Ok(());
        }
        Err(Failure::new(format!("the {} of profile {} belongs to {} and is not sent to {used}", attr.name(), text::quoted(section), text::one_line(own)))
            .hint(format!("The host {used} comes from the {}", host.source.place()))
            .hint(format!(
                "Use the profile alone: --profile {}; or make one for the other host: databricks configure --host {used} --profile NAME",
                text::one_line(section)
            ))
            .into())
    }

    /// Finds out whether the user knows the host that a bundle names.
    fn judge_bundle(&mut self, env: &Env, file: &ProfileFile) -> Result<()> {
        let is_of_bundle = |attr| self.get(attr).is_some_and(|sourced| matches!(sourced.source, Source::Bundle { .. }));
        let known = if is_of_bundle(Attr::Host) {
            // An address that is none is told where the host is asked for.
            let Ok(Some(host)) = self.host() else { return Ok(()) };
            let same = |text: &str| Host::parse(text).is_ok_and(|other| other == host);
            let of_env = env.get(env::HOST);
            self.env_host = of_env.filter(|other| !same(other)).map(ToOwned::to_owned);
            let of_profiles = || file.listing().map(|listing| listing.iter().any(|(_, other)| same(other)));
            of_env.is_some_and(same) || of_profiles()? || bundle::is_confirmed(env, &host)
        } else if self.get(Attr::Host).is_none() && is_of_bundle(Attr::AzureWorkspaceResourceId) {
            let id = self.text(Attr::AzureWorkspaceResourceId).unwrap_or_default();
            let same = |other: &str| other.eq_ignore_ascii_case(id);
            env.get(env::AZURE_RESOURCE_ID).is_some_and(same)
                || file.profiles()?.iter().any(|profile| profile.get(Attr::AzureWorkspaceResourceId).is_some_and(|other| same(&other)))
        } else {
            return Ok(());
        };
        self.bundle_host = Some(if known { Known::ByUser } else { Known::ByBundle });
        Ok(())
    }

    /// A profile and a bundle that are used together must mean the same host.
    fn check_agreement(&self) -> Result<()> {
        let (Some(Sourced { source: source @ Source::Bundle { .. }, value }), Some(own)) = (self.get(Attr::Host), &self.profile_host) else { return Ok(()) };
        let parsed = |text: &str| Host::parse(text).ok();
        if parsed(own).is_some() && parsed(own) == parsed(value.reveal()) {
            return Ok(());
        }
        let profile = self.get(Attr::Profile).map(|profile| profile.source.place()).unwrap_or_default();
        Err(Failure::new(format!(
            "cannot resolve bundle auth configuration: the host in the profile ({}) doesn’t match the host configured in the bundle ({})",
            text::one_line(own),
            text::one_line(value.reveal())
        ))
        .hint(format!(
            "The profile {} comes from the {profile}, the host from the {}",
            text::quoted(self.text(Attr::Profile).unwrap_or_default()),
            source.place()
        ))
        .hint("To use the profile alone: --profile NAME without -t")
        .into())
    }

    /// The host that nobody but a bundle names.
    pub(crate) fn unknown_host(&self) -> Option<&Sourced> {
        self.bundle_host.filter(|known| *known == Known::ByBundle)?;
        self.get(Attr::Host).or_else(|| self.get(Attr::AzureWorkspaceResourceId))
    }

    /// The user said that the host of the bundle is theirs.
    pub(crate) fn confirm_host(&mut self) {
        self.bundle_host = Some(Known::ByUser);
    }

    /// Holds credentials back from a host that nobody but a bundle names: a checkout must not lead them anywhere.
    ///
    /// # Errors
    /// If the host is such a one.
    pub(crate) fn check_known(&self) -> Result<()> {
        let Some(Sourced { value, source }) = self.unknown_host() else { return Ok(()) };
        let shown = text::one_line(value.reveal());
        Err(Failure::new(format!("nothing is sent to {shown}, which only the {} names", source.place()))
            .hint(format!("If you trust it: {}={shown}, or a profile for it: databricks configure --host {shown} --profile NAME", env::HOST))
            .hint("To leave the bundle aside: --profile NAME")
            .into())
    }

    /// Values of different origin that act together: a credential from the environment that goes to the host of a profile or a bundle.
    pub(crate) fn mixture(&self) -> Option<String> {
        let (attr, credential) =
            self.iter().find(|(attr, sourced)| attr.row().secret && attr.row().family.is_some() && matches!(sourced.source, Source::Env(_)))?;
        let host = self.get(Attr::Host).filter(|host| matches!(host.source, Source::File { .. } | Source::Bundle { .. }))?;
        let shadowed = self.shadowed.iter().find(|shadowed| shadowed.attr == attr && shadowed.differs);
        let instead = if shadowed.is_some() { format!(" (and not the {} of that profile)", attr.name()) } else { String::new() };
        Some(format!("the {} from the {} is used{instead} with the host from {}", attr.name(), credential.source, host.source.place()))
    }

    /// The tail of error texts in the SDKs: `. Config: host=…, token=***. Env: DATABRICKS_HOST`; empty if nothing is set.
    pub(crate) fn summary(&self) -> String {
        let mut config = Vec::new();
        let mut variables = Vec::new();
        for (attr, sourced) in self.iter() {
            let shown = match &sourced.value {
                Value::Plain(text) => text::one_line(&text::shortened(text, LONGEST_SHOWN)).into_owned(),
                Value::Hidden(_) => "***".to_owned(),
            };
            config.push(format!("{}={shown}", attr.name()));
            if let Source::Env(name) = sourced.source {
                variables.push(name);
            }
        }
        let config = if config.is_empty() { String::new() } else { format!(". Config: {}", config.join(", ")) };
        let variables = if variables.is_empty() { String::new() } else { format!(". Env: {}", variables.join(", ")) };
        config + &variables
    }

    fn put(&mut self, attr: Attr, text: &str, source: Source) {
        let value = Value::new(attr, text);
        match self.get(attr) {
            Some(winner) => {
                let differs = winner.value != value;
                self.shadowed.push(Shadowed { attr, source, differs });
            }
            None => self.values.push((attr, Sourced { value, source })),
        }
    }

    fn put_env(&mut self, attr: Attr, env: &Env) {
        for name in attr.row().env {
            if let Some(text) = env.get(name) {
                self.put(attr, text, Source::Env(name));
                return;
            }
        }
    }

    fn fill_from_env(&mut self, env: &Env, wanted: impl Fn(Attr) -> bool) {
        for row in &ATTRIBUTES {
            if !matches!(row.attr, Attr::Profile | Attr::ConfigFile) && wanted(row.attr) {
                self.put_env(row.attr, env);
            }
        }
    }

    fn fill_from_profile(&mut self, name: &str, file: &ProfileFile) -> Result<()> {
        let fields = file.section(name)?;
        self.profile_missing = file.exists()? && fields.as_ref().is_none_or(Vec::is_empty);
        if let Some(fields) = fields {
            self.fill_from_fields(name, &fields, file.path()?);
        }
        Ok(())
    }

    fn fill_from_fields(&mut self, section: &str, fields: &[Field<'_>], path: &Path) {
        let mut last: [Option<&Field<'_>>; COUNT] = [None; COUNT];
        for field in fields {
            if let Some(attr) = file::attribute_of(field.key) {
                last[attr as usize] = Some(field);
            }
        }
        for row in ATTRIBUTES.iter().filter(|row| row.attr != Attr::Profile) {
            if let Some(field) = last[row.attr as usize].filter(|field| !field.value.is_empty()) {
                if row.attr == Attr::Host {
                    self.profile_host = Some(field.value.clone().into_owned());
                }
                self.put(row.attr, &field.value, Source::File { path: path.to_owned(), section: section.to_owned(), line: field.line });
            }
        }
    }

    /// Workspace and account ids in the query of a copied address count where nothing else names them.
    fn take_ids_from_host(&mut self) {
        let Some(Ok((_, ids))) = self.text(Attr::Host).map(Host::parse_address) else { return };
        let AddressIds { workspace_id, account_id } = ids;
        for (attr, id) in [(Attr::WorkspaceId, workspace_id), (Attr::AccountId, account_id)] {
            if let Some(id) = id.filter(|_| self.get(attr).is_none()) {
                self.put(attr, &id, Source::Derived);
            }
        }
    }
}

/// With `--profile` the environment never sets these: they say which workspace and method the profile means.
pub(crate) const BOUND_TO_THE_PROFILE: [Attr; 6] = [Attr::WorkspaceId, Attr::AccountId, Attr::AuthType, Attr::DiscoveryUrl, Attr::Audience, Attr::Cloud];

fn choose_profile(selection: &Selection, env: &Env, file: &ProfileFile) -> Result<Choice> {
    let of_bundle = |attr| selection.bundle.as_ref().and_then(|bundle| bundle.get(attr));
    let named = match (&selection.profile, env.get(env::CONFIG_PROFILE), of_bundle(Attr::Profile)) {
        (Some(name), ..) => Some((name.as_str(), Source::Flag(if selection.by_host { "--host" } else { "--profile" }))),
        (None, Some(name), _) => Some((name, Source::Env(env::CONFIG_PROFILE))),
        (None, None, Some(field)) => Some((field.text.as_str(), Source::Bundle { path: field.path.clone(), line: field.line })),
        (None, None, None) => None,
    };
    if let Some((name, source)) = named {
        return named_profile(name, source, file);
    }
    if let Some(name) = selection.fallback_profile {
        return Ok(Choice::Assumed(name.to_owned()));
    }
    if let Some(host) = of_bundle(Attr::Host) {
        let workspace = of_bundle(Attr::WorkspaceId).map(|field| field.text.as_str()).or_else(|| env.get(env::WORKSPACE_ID));
        return profile_of_host(&host.text, workspace, file);
    }
    if selection.host.is_some() || env.get(env::HOST).is_some() {
        return Ok(Choice::None);
    }
    if let Some(name) = file.default_profile()? {
        return named_profile(&name, Source::Derived, file);
    }
    let has_host = file
        .section(DEFAULT_PROFILE)?
        .is_some_and(|fields| fields.iter().rfind(|field| field.key.eq_ignore_ascii_case(Attr::Host.name())).is_some_and(|host| !host.value.is_empty()));
    Ok(if has_host { Choice::Assumed(DEFAULT_PROFILE.to_owned()) } else { Choice::None })
}

/// The profile of the host that a bundle names; of several the one with the same workspace id.
fn profile_of_host(host: &str, workspace: Option<&str>, file: &ProfileFile) -> Result<Choice> {
    let (host, ids) = Host::parse_address(host)?;
    let profiles = file.profiles()?;
    let mut fitting: Vec<&Profile<'_>> =
        profiles.iter().filter(|profile| profile.get(Attr::Host).is_some_and(|own| Host::parse(&own).is_ok_and(|own| own == host))).collect();
    let workspace = workspace.or(ids.workspace_id.as_deref());
    if let Some(wanted) = workspace
        && fitting.len() > 1
    {
        fitting.retain(|profile| profile.get(Attr::WorkspaceId).is_some_and(|own| own == wanted));
    }
    match fitting.as_slice() {
        [] => Ok(Choice::None),
        [only] => Ok(Choice::Matched(only.name.to_owned())),
        several => {
            let names: Vec<_> = several.iter().map(|profile| text::one_line(profile.name)).collect();
            let names = names.join(", ");
            Err(Failure::new(format!(
                "{host}: multiple profiles matched: {names}: please set {} or provide --profile flag to specify one",
                env::CONFIG_PROFILE
            ))
            .hint(format!("Or write the one that is meant into the bundle, beside the host: workspace.profile ({names})"))
            .into())
        }
    }
}

fn named_profile(name: &str, source: Source, file: &ProfileFile) -> Result<Choice> {
    if name == SETTINGS_SECTION {
        let path = file.path()?.display();
        return Err(Failure::new(format!("resolve: {path}: {name} is a reserved section name and cannot be used as a profile")).into());
    }
    Ok(Choice::Named(name.to_owned(), source))
}

/// What an attribute would have to be, if the text is not that.
fn unreadable(reading: Reading, value: &str) -> Option<&'static str> {
    match reading {
        Reading::Number => value.trim().parse::<i64>().is_err().then_some("a whole number"),
        Reading::Switch => read_switch(value).is_none().then_some("true or false"),
        Reading::Text | Reading::List => None,
    }
}

/// The spellings of Go's `strconv.ParseBool`.
pub(crate) fn read_switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
