//! [`Context`]: what a command is handed. Nothing in it is read, opened or connected before somebody asks.

use std::borrow::Cow;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Result;

use crate::auth::{Credential, Ports, Want, chain};
use crate::config::attributes::Attr;
use crate::config::bundle::{self, Bundle};
use crate::config::file::{Profile, ProfileFile};
use crate::config::settings::{Selection, Settings, Source};
use crate::env::Env;
use crate::error::Failure;
use crate::http::{ApiError, Client, Interactive, Options, Request, Response, Sink, Trace, UserAgent, Verb};
use crate::rest::paging::{self, Page};
use crate::rest::{Item, current_user, text_of};
use crate::secret;
use crate::storage;
use crate::text;
use crate::ui::prompt::Choice;
use crate::ui::{self, Ui};

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum OutputFormat {
    #[default]
    Text,
    Json,
}

/// The flags that every command takes.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    pub(crate) profile: Option<String>,
    /// `-t`: the target of a bundle.
    pub(crate) target: Option<String>,
    pub(crate) output: OutputFormat,
    pub(crate) trace: Trace,
}

/// The environment, the terminal, the flags and the profile file of one run.
#[derive(Debug)]
pub(crate) struct Context<'ui> {
    pub(crate) env: Env,
    pub(crate) ui: &'ui Ui,
    pub(crate) globals: Globals,
    pub(crate) file: ProfileFile,
    /// The words of the command, such as `tokens create`.
    pub(crate) command: String,
}

/// A workspace that can be asked: settings, credential and connection.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) settings: Settings,
    pub(crate) credential: Credential,
    client: Arc<Client>,
}

impl Context<'_> {
    /// What the flags say about profile and host.
    pub(crate) fn selection(&self) -> Selection {
        Selection { profile: self.globals.profile.clone(), ..Selection::default() }
    }

    /// Resolves the settings and tells the user what in the file or in their mixture is odd.
    ///
    /// On a terminal where nothing names a workspace, offers the profiles there are; a single one is taken.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let mut selection = self.selection();
        let mut settings = Settings::resolve(&selection, &self.env, &self.file)?;
        if settings.get(Attr::Host).is_none() && settings.get(Attr::Profile).is_none() && self.ui.can_prompt() {
            selection.profile = self.pick_profile("Workspace", |_| true)?;
            settings = Settings::resolve(&selection, &self.env, &self.file)?;
        }
        self.remark(&settings);
        Ok(settings)
    }

    /// As [`Context::settings`], for the commands of a workspace: the bundle that the current folder belongs to decides first, unless `--profile` names a profile and `-t` no
    /// target. On a terminal, a host that only the bundle names is confirmed once.
    pub(crate) fn workspace_settings(&self) -> Result<Settings> {
        let selection = self.with_bundle(self.selection())?;
        if selection.bundle.is_none() {
            return self.settings();
        }
        let mut settings = Settings::resolve(&selection, &self.env, &self.file)?;
        if settings.get(Attr::Host).is_none() && settings.get(Attr::Profile).is_none() {
            // The bundle says nothing of it.
            return self.settings();
        }
        self.remark(&settings);
        if let (Some(sourced), Ok(Some(host))) = (settings.unknown_host(), settings.host())
            && self.ui.can_prompt()
            && chain::has_anything_to_send(&settings, &self.env)
        {
            self.ui.note(&format!("{host} is named by the {} and by none of your profiles or variables.", sourced.source.place()));
            if self.ui.prompter().confirm(&format!("Send your credentials to {host}, now and from now on"))? {
                bundle::confirm(&self.env, &host)?;
                settings.confirm_host();
            }
        }
        Ok(settings)
    }

    /// Adds the bundle that counts for the commands of a workspace.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub(crate) fn with_bundle(&self, mut selection: Selection) -> Result<Selection> {
        let target = self.globals.target.as_deref();
        if selection.profile.is_none() || target.is_some() {
            selection.bundle = Bundle::in_force(&self.env, target)?;
            if let (None, Some(target)) = (&selection.bundle, target) {
                self.ui.warn(&format!("target {} has no effect: neither this folder nor one above it has a {}", text::quoted(target), bundle::FILE_NAMES[0]));
            }
        }
        Ok(selection)
    }

    /// The account that the settings lead to: as [`Context::workspace`], but where nothing names a host the profile of an account counts, and no workspace is named.
    pub(crate) fn account(&self) -> Result<Workspace> {
        let mut selection = self.selection();
        let mut settings = Settings::resolve(&selection, &self.env, &self.file)?;
        if settings.get(Attr::Host).is_none() && settings.get(Attr::Profile).is_none() {
            selection.profile = self.pick_profile("Account", |profile| profile.get(Attr::AccountId).is_some() && profile.get(Attr::WorkspaceId).is_none())?;
            settings = Settings::resolve(&selection, &self.env, &self.file)?;
        }
        self.remark(&settings);
        settings.replace(Attr::WorkspaceId, None);
        self.workspace_of(settings)
    }

    /// Says on standard error what a user should know about where the values came from.
    pub(crate) fn remark(&self, settings: &Settings) {
        if let Some(bad) = self.file.bad_line() {
            self.ui.warn(&format!("{bad}. This line is ignored here; other tools refuse the whole file"));
        }
        if let Some(mixture) = settings.mixture() {
            self.ui.warn(&mixture);
        }
        if settings.switch(Attr::SkipVerify) {
            self.ui.warn("skip_verify is ignored: certificates are always checked. For a private authority set SSL_CERT_FILE");
        }
    }

    /// The only profile of a kind, or the one that is chosen; `None` where nobody can be asked.
    fn pick_profile(&self, kind: &str, wanted: impl Fn(&Profile<'_>) -> bool) -> Result<Option<String>> {
        let profiles: Vec<_> = self.file.profiles()?.into_iter().filter(|profile| profile.get(Attr::Host).is_some() && wanted(profile)).collect();
        if profiles.len() < 2 || !self.ui.can_prompt() {
            return Ok(profiles.first().filter(|_| profiles.len() == 1).map(|profile| profile.name.to_owned()));
        }
        let choices: Vec<Choice> = profiles.iter().map(|profile| Choice::new(profile.name).detail(profile.get(Attr::Host).unwrap_or_default())).collect();
        let label = format!("{kind} profiles defined in {}", self.file.path()?.display());
        let chosen = self.ui.prompter().choose(&label, &choices, true)?;
        Ok(profiles.get(chosen).map(|profile| profile.name.to_owned()))
    }

    /// The workspace that the settings lead to. Connects with the first request only.
    ///
    /// # Errors
    /// If they lead to the console of an account, which has nothing of a workspace.
    pub(crate) fn workspace(&self) -> Result<Workspace> {
        let settings = self.workspace_settings()?;
        if settings.workspace_id().is_none() && settings.host().is_ok_and(|host| host.is_some_and(|host| host.is_account_console())) {
            let whose = settings.text(Attr::Profile).map_or("the host".to_owned(), |name| format!("profile {}", text::quoted(name)));
            return Err(Failure::new(format!(
                "{whose} has no {id} set (account-only); this command requires a workspace. Edit the profile to set {id} to a real ID, or pass --profile with a \
                 workspace-scoped profile",
                id = Attr::WorkspaceId.name()
            ))
            .into());
        }
        self.workspace_of(settings)
    }

    /// The workspace of settings that are already resolved.
    pub(crate) fn workspace_of(&self, settings: Settings) -> Result<Workspace> {
        let credential = self.credential(&settings)?;
        Workspace::connect(settings, credential, self.caller(), None)
    }

    /// The credential that the settings lead to; says on standard error what a user should know about it.
    pub(crate) fn credential(&self, settings: &Settings) -> Result<Credential> {
        self.fresh_credential(settings, Want::USUAL)
    }

    /// As [`Context::credential`], as fresh as it is wanted.
    pub(crate) fn fresh_credential(&self, settings: &Settings, want: Want) -> Result<Credential> {
        let credential = self.with_ports(want, |ports| chain::acquire(settings, ports))?;
        for remark in &credential.remarks {
            self.ui.warn(remark);
        }
        Ok(credential)
    }

    /// What the methods of authentication may use.
    pub(crate) fn with_ports<T>(&self, want: Want, work: impl FnOnce(&Ports<'_>) -> T) -> T {
        self.caller().with_ports(&|| self.storage(), want, work)
    }

    /// Which token store is in force.
    ///
    /// # Errors
    /// If the setting that decides it makes no sense.
    pub(crate) fn storage(&self) -> Result<storage::Choice> {
        storage::Choice::resolve(&self.env, self.file.auth_storage()?.as_deref())
    }

    /// What it takes to ask the workspace of these settings again later.
    ///
    /// # Errors
    /// If the setting that names the token store makes no sense.
    pub(crate) fn later(&self, settings: &Settings) -> Result<Later> {
        Ok(Later {
            env: self.env.clone(),
            command: self.command.clone(),
            interactive: self.caller().interactive,
            trace: self.globals.trace.clone(),
            settings: settings.clone(),
            storage: self.storage()?,
        })
    }

    /// Who asks, for the requests of this command.
    pub(crate) fn caller(&self) -> Caller<'_> {
        let interactive = match () {
            () if self.ui.can_prompt() => Interactive::Full,
            () if self.ui.color() => Interactive::Output,
            () => Interactive::None,
        };
        Caller { env: &self.env, command: &self.command, interactive, talks: self.ui.talks_to_terminal(), trace: &self.globals.trace }
    }
}

/// All that it takes to ask the same workspace again, later and on another thread, with a credential that lives then.
#[derive(Debug)]
pub(crate) struct Later {
    env: Env,
    command: String,
    interactive: Interactive,
    trace: Trace,
    settings: Settings,
    storage: storage::Choice,
}

impl Later {
    /// The workspace now. `limit` bounds each request as a whole.
    ///
    /// # Errors
    /// If the credential cannot be had.
    pub(crate) fn workspace(&self, limit: Duration) -> Result<Workspace> {
        let caller = Caller { env: &self.env, command: &self.command, interactive: self.interactive, talks: false, trace: &self.trace };
        let credential = caller.with_ports(&|| Ok(self.storage.clone()), Want::USUAL, |ports| chain::acquire(&self.settings, ports))?;
        Workspace::connect(self.settings.clone(), credential, caller, Some(limit))
    }
}

/// Who asks: what requests say of the command that sends them. May be shared between threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) env: &'a Env,
    command: &'a str,
    interactive: Interactive,
    /// Whether somebody at a terminal is told of long waits.
    talks: bool,
    trace: &'a Trace,
}

impl Caller<'_> {
    /// What the methods of authentication may use; `storage` says which token store is in force.
    pub(crate) fn with_ports<T>(&self, storage: &dyn Fn() -> Result<storage::Choice>, want: Want, work: impl FnOnce(&Ports<'_>) -> T) -> T {
        work(&Ports { env: self.env, options: &|| self.options(), storage, want })
    }

    /// The usual bounds and manners of requests, under the name of the command.
    fn options(&self) -> Options {
        let command = self.command.replace(' ', "_");
        let mut options = Options::new(UserAgent::new(self.env, Some(&command), uuid::Uuid::new_v4(), self.interactive));
        options.trace = self.trace.clone();
        options
    }
}

/// A [`Caller`] on its own, for threads that outlive the command: brokers and sessions fetch tokens by it.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) env: Env,
    command: String,
    trace: Trace,
}

impl Agent {
    pub(crate) fn of(context: &Context<'_>) -> Self {
        Self { env: context.env.clone(), command: context.command.clone(), trace: context.globals.trace.clone() }
    }

    /// The credential that settings lead to, with the token store that the profile file names.
    ///
    /// # Errors
    /// As [`chain::acquire`].
    pub(crate) fn credential(&self, settings: &Settings, file: &ProfileFile, want: Want) -> Result<Credential> {
        let storage = || storage::Choice::resolve(&self.env, file.auth_storage()?.as_deref());
        self.caller().with_ports(&storage, want, |ports| chain::acquire(settings, ports))
    }

    /// The workspace that settings lead to. `limit` bounds each request as a whole.
    ///
    /// # Errors
    /// As [`chain::acquire`].
    pub(crate) fn workspace(&self, settings: Settings, file: &ProfileFile, limit: Duration) -> Result<Workspace> {
        let credential = self.credential(&settings, file, Want::USUAL)?;
        Workspace::connect(settings, credential, self.caller(), Some(limit))
    }

    fn caller(&self) -> Caller<'_> {
        Caller { env: &self.env, command: &self.command, interactive: Interactive::None, talks: false, trace: &self.trace }
    }
}

/// How much of a list its reader will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To its end: the next page is asked for while one is read.
    All,
    /// Perhaps not all: a page is asked for when it is wanted.
    Part,
}

/// Reads a list, page by page.
pub(crate) trait Reader {
    /// What it wants of the items of the next page.
    fn wants(&mut self) -> paging::Want<'_> {
        paging::Want::Keys
    }

    /// Reads a page, and says whether to go on.
    fn page(&mut self, page: &Page<'_>) -> Result<bool>;
}

/// A [`Reader`] that wants the keys of the items.
struct Each<F>(F);

impl<F: FnMut(&Page<'_>) -> Result<bool>> Reader for Each<F> {
    fn page(&mut self, page: &Page<'_>) -> Result<bool> {
        (self.0)(page)
    }
}

/// The pages of a list from the second on, fetched by a thread that runs one page ahead of the reader.
///
/// What to ask for next it takes from the end of each reply ([`paging::guess_next`]); the reader looks properly, and leaves a thread that guessed wrong. Nobody waits for its end: the
/// reader of the output may be gone, and the service slow.
#[derive(Debug)]
struct ReadAhead {
    replies: mpsc::Receiver<Result<Response>>,
}

impl ReadAhead {
    /// Starts with this request. `None` where no thread can be had.
    fn start(workspace: &Workspace, request: &Request<'_>) -> Option<Self> {
        let (sender, replies) = mpsc::sync_channel(1);
        let (client, credential, mut request) = (workspace.client.clone(), workspace.credential.clone(), owned(request));
        let fetch = move || {
            loop {
                let reply = client.send(Some(&credential), &request);
                let guess = reply.as_ref().ok().and_then(|reply| paging::guess_next(&reply.body));
                if sender.send(reply).is_err() {
                    return;
                }
                let Some(token) = guess else { return };
                request.ask_again_with(paging::PAGE_TOKEN, token);
            }
        };
        std::thread::Builder::new().spawn(fetch).ok()?;
        Some(Self { replies })
    }

    fn next(&self) -> Result<Result<Response>> {
        self.replies.recv().map_err(|_| Failure::new("the list broke off: the thread that fetches its pages has ended").into())
    }
}

/// The same request on its own, for another thread.
fn owned(request: &Request<'_>) -> Request<'static> {
    fn own(text: &str) -> Cow<'static, str> {
        Cow::Owned(text.to_owned())
    }
    Request {
        verb: request.verb,
        path: own(&request.path),
        query: request.query.iter().map(|(name, value)| (own(name), own(value))).collect(),
        headers: request.headers.iter().map(|(name, value)| (*name, own(value))).collect(),
        body: request.body.clone(),
        repeat: request.repeat,
        limit: request.limit,
        hides_path: request.hides_path,
    }
}

impl Workspace {
    /// A connection with this credential; nothing is opened before the first request. `limit` bounds each request as a whole, where somebody waits for many.
    pub(crate) fn connect(settings: Settings, credential: Credential, caller: Caller<'_>, limit: Option<Duration>) -> Result<Self> {
        let seconds = |attr| settings.number(attr).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let mut options = caller.options();
        if let Some(timeout) = seconds(Attr::HttpTimeoutSeconds) {
            options = options.inactivity_timeout(timeout);
        }
        if let Some(timeout) = seconds(Attr::RetryTimeoutSeconds) {
            options.retry_timeout = timeout;
        }
        if let Some(limit) = limit {
            options.total_timeout = limit;
            options.retry_timeout = limit;
        }
        options.workspace_id = settings.workspace_id().map(ToOwned::to_owned);
        if caller.talks && limit.is_none() {
            options.notice = Some(Box::new(ui::aside));
        }
        let client = Client::new(credential.host.clone(), caller.env, options)?;
        Ok(Self { settings, credential, client: Arc::new(client) })
    }

    /// Sends a request with the credential.
    ///
    /// # Errors
    /// As the HTTP layer; a refusal (401, 403) says who asked whom, and what to do.
    pub(crate) fn send(&self, request: &Request<'_>) -> Result<Response> {
        self.send_bare(request).map_err(|error| self.explain(error))
    }

    /// As [`Workspace::send`]; a refusal is told in the server's words alone.
    pub(crate) fn send_bare(&self, request: &Request<'_>) -> Result<Response> {
        self.client.send(Some(&self.credential), request)
    }

    /// As [`Workspace::send_bare`]; `sink` learns the head, and takes a body that is no JSON, whatever its size.
    pub(crate) fn download(&self, sink: &mut Sink<'_>, request: &Request<'_>) -> Result<Response> {
        self.client.download(sink, Some(&self.credential), request)
    }

    /// Asks the workspace who the credential is.
    pub(crate) fn who(&self) -> Result<String> {
        let response = self.send(&Request::get(current_user::ME.path))?;
        let fields: Item<'_> = response.parse(serde_json::from_slice)?;
        Ok(text_of(&fields, "userName").into_owned())
    }

    /// Whether the credential is good for what the settings mean: a workspace is asked who it is, an account for its workspaces. Where one does not answer the other may, because a
    /// host can be both. `None`: good, but it has no name there.
    ///
    /// # Errors
    /// As the place that is meant first refuses.
    pub(crate) fn vouch(&self) -> Result<Option<String>> {
        let Some(account) = self.settings.text(Attr::AccountId).filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) else {
            return self.who().map(Some);
        };
        let path = format!("/api/2.0/accounts/{account}/workspaces");
        let listed = || self.send(&Request::get(path.as_str())).map(|_| None);
        let named = || self.who().map(Some);
        if self.credential.host.is_account_console() {
            listed().or_else(|error| named().map_err(|_| error))
        } else {
            named().or_else(|error| listed().map_err(|_| error))
        }
    }

    /// Walks over the items of a list, page by page; `each` says whether to go on.
    ///
    /// `items` is the key that holds them.
    pub(crate) fn pages(&self, request: &Request<'_>, items: &str, reach: Reach, each: impl FnMut(&Page<'_>) -> Result<bool>) -> Result<()> {
        self.walk(request, Some(items), reach, |error| self.explain(error), &mut Each(each))
    }

    /// As [`Workspace::pages`] for lists that nobody here knows: the items are the first list of the first page, and refusals are told in the server's words alone.
    pub(crate) fn pages_of_any(&self, request: &Request<'_>, reader: &mut impl Reader) -> Result<()> {
        self.walk(request, None, Reach::All, |error| error, reader)
    }

    fn walk(
        &self,
        request: &Request<'_>,
        items: Option<&str>,
        reach: Reach,
        told: impl Fn(anyhow::Error) -> anyhow::Error,
        reader: &mut impl Reader,
    ) -> Result<()> {
        let mut request = request.clone();
        let mut key = items.map(ToOwned::to_owned);
        let mut seen = std::collections::HashSet::new();
        let mut ahead: Option<ReadAhead> = None;
        loop {
            let mut response = match &ahead {
                Some(ahead) => ahead.next()?,
                None => self.send_bare(&request),
            }
            .map_err(&told)?;
            let page = response.parse(|body| paging::read_page(body, key.as_deref(), reader.wants()))?;
            if !reader.page(&page)? {
                return Ok(());
            }
            let Some((name, next)) = page.next_query() else { return Ok(()) };
            // SCIM tells on every page where it stands, and only a reader that looks for the list sees it.
            if name == paging::PAGE_TOKEN && key.is_none() {
                key = page.list.as_deref().filter(|key| !key.is_empty()).map(ToOwned::to_owned);
            }
            if !seen.insert(next.clone()) {
                let path = request.place();
                return Err(
                    Failure::new(format!("{} gives the same page of {path} again and again ({name} {})", self.credential.host, text::quoted(&next))).into()
                );
            }
            let is_guessed = name == paging::PAGE_TOKEN && paging::guess_next(&response.body).is_some_and(|guess| guess == next);
            request.ask_again_with(name, next);
            drop(page);
            secret::wipe(&mut std::mem::take(&mut response.body));
            if ahead.is_none() || !is_guessed {
                ahead = (is_guessed && reach == Reach::All && request.verb == Verb::Get).then(|| ReadAhead::start(self, &request)).flatten();
            }
        }
    }

    /// Adds to a refusal who asked whom, and the next steps; the message of the server stays in front, as scripts know it.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(refusal) = error.downcast_ref::<ApiError>() else { return error };
        if refusal.is_quota() {
            let hint = "List your tokens and revoke those that nobody needs: databricks tokens list; databricks tokens revoke TOKEN_ID";
            return Failure::new(refusal.to_string()).hint(hint).into();
        }
        if !refusal.is_unauthenticated() && !refusal.is_forbidden() {
            return error;
        }
        let profile = self.settings.text(Attr::Profile).map(|name| text::one_line(name).into_owned());
        let method = crate::auth::find(self.credential.method);
        let mut message = format!("{refusal}\n\n");
        if let Some(profile) = &profile {
            message += &format!("Profile:   {profile}\n");
        }
        message += &format!("Host:      {}\n", self.credential.host);
        message += &format!("Auth type: {}\n\nNext steps:", method.map_or_else(|| self.credential.method.to_owned(), crate::auth::Method::label));
        let with_profile = profile.as_ref().map_or(String::new(), |name| format!(" --profile {name}"));
        let secret = match self.credential.method {
            "basic" => Some(Attr::Password),
            "pat" => Some(Attr::Token),
            _ => None,
        };
        let refused_as_such = refusal.is_unauthenticated() || refusal.message.to_ascii_lowercase().contains("access token");
        if let Some(sourced) = secret.and_then(|secret| self.settings.get(secret)).filter(|_| refused_as_such) {
            let fix = if secret == Some(Attr::Password) { "Check your username/password" } else { "Regenerate your access token" };
            message += &match &sourced.source {
                // What is stored would lose against the variable again.
                Source::Env(name) => format!("\n  - {fix} (it comes from the {name} environment variable), or unset {name} to use a profile"),
                source => {
                    let name = profile.as_deref().unwrap_or("<name>");
                    format!("\n  - {fix} (it comes from the {}) and store it: databricks configure --profile {name}", source.place())
                }
            };
        }
        let login = profile.as_deref().map_or_else(|| format!("--host {}", self.credential.host), |name| format!("--profile {name}"));
        match self.credential.method {
            "databricks-cli" if refusal.is_unauthenticated() => message += &format!("\n  - Re-authenticate: databricks auth login {login}"),
            "azure-client-secret" | "azure-msi" | "github-oidc-azure" | "azure-cli" => {
                message += "\n  - Add the identity to the workspace (Settings, Identity and access)";
                if self.settings.get(Attr::AzureWorkspaceResourceId).is_none() {
                    message += ", or set azure_workspace_resource_id, so that a service principal with a role on the workspace is let in";
                }
            }
            "oauth-m2m" if refusal.is_unauthenticated() => message += "\n  - Check your service principal client ID and secret",
            _ => {}
        }
        if self.credential.method == "netrc" && refused_as_such {
            message += &format!("\n  - Check the entry of your netrc file: databricks auth netrc show{with_profile}");
        }
        if refusal.is_forbidden() {
            message += "\n  - Verify you have the required permissions for this operation";
        }
        message += &format!("\n  - Check your identity: databricks auth describe{with_profile}");
        if profile.is_none() {
            message += "\n  - Consider setting up a profile: databricks configure --profile <name>";
        }
        Failure::new(message).into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::Mutex;

    use super::*;

    /// A server on loopback that gives the page of each token, and none at all for a token without one; says which tokens it was asked for.
    fn serve(pages: &'static [(&str, &str)]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let noted = noted.clone();
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    while let Some(first) = lines.next() {
                        let token = first.split_once("page_token=").map_or("", |(_, rest)| rest.split(' ').next().unwrap_or_default()).to_owned();
                        let _end_of_head = lines.find(String::is_empty);
                        noted.lock().expect("a list").push(token.clone());
                        if let Some((_, body)) = pages.iter().find(|(own, _)| *own == token) {
                            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
                            (&stream).write_all(format!("{head}{body}").as_bytes()).expect("sent");
                        }
                    }
                });
            }
        });
        (host, asked)
    }

    /// The items of the first pages, as many as are wanted, and the tokens that the server was asked for.
    fn walked(pages: &'static [(&str, &str)], reach: Reach, wanted: usize) -> (Vec<String>, Vec<String>) {
        let (host, asked) = serve(pages);
        let ui = Ui::captured();
        let env = Env::default().with(crate::env::HOST, &host).with(crate::env::TOKEN, "dapi");
        let context = Context { env, ui: &ui, globals: Globals::default(), file: ProfileFile::nowhere(), command: "things list".to_owned() };
        let workspace = context.workspace().expect("a workspace");
        let mut items = Vec::new();
        let mut read = 0;
        let walk = workspace.pages(&Request::get("/api/things"), "items", reach, |page| {
            items.extend(page.items.iter().map(|listed| listed.raw.to_owned()));
            read += 1;
            Ok(read < wanted)
        });
        walk.expect("all pages");
        let asked = asked.lock().expect("a list").clone();
        (items, asked)
    }

    #[test]
    fn a_page_that_was_guessed_wrong_is_no_part_of_the_list() {
        let pages = &[
            ("", r#"{"items":[1],"next_page_token":"b"}"#),
            ("b", r#"{"next_page_token":"c","items":[2],"x":{"next_page_token":"wrong"}}"#),
            ("wrong", r#"{"items":[0]}"#),
            ("c", r#"{"items":[3],"next_page_token":"d"}"#),
            ("d", r#"{"items":[4],"next_page_token":""}"#),
        ];
        assert_eq!(walked(pages, Reach::All, usize::MAX).0, ["1", "2", "3", "4"]);
    }

    #[test]
    fn who_wants_a_part_asks_for_no_more() {
        let pages = &[("", r#"{"items":[1],"next_page_token":"b"}"#), ("b", r#"{"items":[2],"next_page_token":"c"}"#)];
        assert_eq!(walked(pages, Reach::Part, 2), (vec!["1".to_owned(), "2".to_owned()], vec![String::new(), "b".to_owned()]));
    }

    #[test]
    fn nobody_waits_for_a_page_that_is_not_wanted() {
        // The page behind the last that is wanted is asked for, and never comes.
        let pages = &[("", r#"{"items":[1],"next_page_token":"b"}"#), ("b", r#"{"items":[2],"next_page_token":"c"}"#)];
        assert_eq!(walked(pages, Reach::All, 2).0, ["1", "2"]);
    }
}
