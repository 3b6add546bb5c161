//! Azure: its clouds, tokens of Entra ID, and the headers by which a workspace knows an Azure identity.
//! <https://learn.microsoft.com/azure/databricks/dev-tools/auth/> and, for service principals that are no users of the workspace,
//! <https://learn.microsoft.com/azure/databricks/dev-tools/service-prin-aad-token>
//!
//! A method is an [`Identity`]: how it has a token minted for a resource. What is done with those tokens is the same for all, and stands here.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::auth::oauth::reply;
use crate::auth::oauth::server::{ClientProof, Refused, Server, Signed};
use crate::auth::session::{self, Ended, Living, Slot};
use crate::auth::{Credential, Ports};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files::{self, Care};
use crate::host::{self, Host};
use crate::http::{ApiError, Client, Part, Repeat, Request};
use crate::secret::Secret;
use crate::signals::Hold;
use crate::storage::StoredToken;
use crate::text;

/// One of the clouds of Azure: where everything is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AzureCloud {
    /// As `azure_environment` names it.
    name: &'static str,
    /// How the names of its workspaces end.
    suffix: &'static str,
    /// Entra ID.
    authority: &'static str,
    /// Azure Resource Manager: the address, and the resource that its tokens are for.
    resource_manager: &'static str,
    /// The resource of the second token, by which a workspace sees what the identity may do in Azure.
    management: &'static str,
}

static CLOUDS: [AzureCloud; 3] = [
    AzureCloud {
        name: "PUBLIC",
        suffix: ".azuredatabricks.net",
        authority: "https://login.microsoftonline.com",
        resource_manager: "https://management.azure.com/",
        management: "https://management.core.windows.net/",
    },
    AzureCloud {
        name: "USGOVERNMENT",
        suffix: ".databricks.azure.us",
        authority: "https://login.microsoftonline.us",
        resource_manager: "https://management.usgovcloudapi.net/",
        management: "https://management.core.usgovcloudapi.net/",
    },
    AzureCloud {
        name: "CHINA",
        suffix: ".databricks.azure.cn",
        authority: "https://login.chinacloudapi.cn",
        resource_manager: "https://management.chinacloudapi.cn/",
        management: "https://management.core.chinacloudapi.cn/",
    },
];

/// The application id of Databricks in Entra ID, the same in all clouds, and those of its own trial environments, by the end of the host's name.
const APPLICATION: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";
const TRIAL_APPLICATIONS: [(&str, &str); 2] =
    [(".dev.azuredatabricks.net", "62a912ac-b58e-4c1d-89ea-b2dbfc7358fc"), (".staging.azuredatabricks.net", "4a67d088-db5c-48f1-9ff2-0aace800ae68")];

const MANAGEMENT_TOKEN: &str = "X-Databricks-Azure-SP-Management-Token";
const RESOURCE_ID: &str = "X-Databricks-Azure-Workspace-Resource-Id";

/// For a whole question to a service of Azure, waits and repeats included.
const QUESTION_LIMIT: Duration = Duration::from_secs(20);
const LARGEST_REPLY: usize = 1 << 20;
/// Seconds for which a host that was found is believed.
const PLACE_LIFE: i64 = 3_600;
const CACHE_LIMIT: u64 = 16 << 10;
/// Longest name of a tenant: that of a domain.
const LONGEST_TENANT: usize = 253;

/// Why no method of Azure applies, in a clause.
pub(crate) fn obstacle(settings: &Settings) -> Option<String> {
    if !is_azure(settings) {
        return Some("neither the host nor cloud nor azure_workspace_resource_id says that the workspace is on Azure".to_owned());
    }
    cloud(settings).err().map(|failure| failure.to_string())
}

/// Why a method applies not even on Azure that asks Entra ID itself: it needs to know which tenant, or a host that tells.
pub(crate) fn obstacle_without_tenant(settings: &Settings) -> Option<String> {
    obstacle(settings).or_else(|| {
        let knows = settings.get(Attr::AzureTenantId).is_some() || settings.get(Attr::Host).is_some();
        (!knows).then(|| "azure_tenant_id is not set, and there is no host that would tell it".to_owned())
    })
}

/// A resource id stands for Azure; else `cloud` counts, else the end of the host's name.
fn is_azure(settings: &Settings) -> bool {
    if settings.get(Attr::AzureWorkspaceResourceId).is_some() {
        return true;
    }
    match settings.text(Attr::Cloud) {
        Some(cloud) => cloud.eq_ignore_ascii_case(host::Cloud::Azure.name()),
        None => settings.host().ok().flatten().is_some_and(|host| host.cloud() == host::Cloud::Azure),
    }
}

/// The cloud in which the host lies, if its name tells: a secret goes to no other. Else the one that `azure_environment` names, in the spelling of Terraform or of Azure's own
/// tools (`AzureUSGovernment`).
fn cloud(settings: &Settings) -> Result<&'static AzureCloud, Failure> {
    let host = settings.host().ok().flatten();
    if let Some(by_host) = host.and_then(|host| CLOUDS.iter().find(|cloud| host.name().ends_with(cloud.suffix))) {
        return Ok(by_host);
    }
    let Some(name) = settings.text(Attr::AzureEnvironment) else { return Ok(&CLOUDS[0]) };
    let short = name.trim().to_ascii_uppercase();
    let short = short.strip_prefix("AZURE").unwrap_or(&short);
    let short = short.strip_suffix("CLOUD").unwrap_or(short);
    let short = if short.is_empty() { CLOUDS[0].name } else { short };
    CLOUDS
        .iter()
        .find(|cloud| cloud.name == short)
        .ok_or_else(|| Failure::new(format!("azure_environment is {}, but it takes PUBLIC, USGOVERNMENT or CHINA", text::quoted(name))))
}

/// The application id by which Entra ID knows the Databricks of this host.
fn application(host: &Host) -> &'static str {
    TRIAL_APPLICATIONS.iter().find(|(suffix, _)| host.name().ends_with(suffix)).map_or(APPLICATION, |(_, id)| id)
}

/// An address that a variable moves.
///
/// # Errors
/// If the variable holds no https address, and no http address of loopback.
fn moved(env: &Env, variable: &'static str, usual: &str) -> Result<Host, Failure> {
    let Some(address) = env.get(variable) else { return Host::parse(usual) };
    Host::parse(address).map_err(|failure| Failure::new(format!("{variable} cannot be used: {failure}")).hint(format!("Correct or unset {variable}")))
}

/// What of Azure is not at its usual address, for those who want to know where secrets go: what it is, where, and the variable that says so.
pub(crate) fn moved_places(env: &Env) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
    [("Entra ID", env::AZURE_AUTHORITY_HOST), ("Azure Resource Manager", env::AZURE_RESOURCE_MANAGER_HOST), ("managed identity", env::AZURE_METADATA_HOST)]
        .into_iter()
        .filter_map(|(what, variable)| Some((what, env.get(variable)?, variable)))
}

/// A client for a service of Azure that is asked one small question.
fn client(ports: &Ports<'_>, host: &Host, limit: Duration) -> Result<Client, Failure> {
    client_with(ports, host, limit, limit)
}

/// As [`client`], with a limit of its own for the connection.
pub(crate) fn client_with(ports: &Ports<'_>, host: &Host, limit: Duration, connect: Duration) -> Result<Client, Failure> {
    let mut options = (ports.options)();
    options.connect_timeout = connect.min(options.connect_timeout);
    options.total_timeout = limit.min(options.total_timeout);
    options.inactivity_timeout = limit.min(options.inactivity_timeout);
    options.retry_timeout = limit.min(options.retry_timeout);
    options.max_body = LARGEST_REPLY;
    options.workspace_id = None;
    Client::new(host.clone(), ports.env, options)
}

/// What is to be known of a method to have tokens of it.
pub(crate) struct Identity<'a> {
    /// The auth type.
    pub(crate) method: &'static str,
    /// Tells it from other identities of the method, in the key under which its tokens are kept. No secrets.
    pub(crate) parts: &'a [&'a str],
    /// What it proves itself with, if that is a secret; tokens of another one are others.
    pub(crate) secret: Option<&'a Secret>,
    /// Has a token minted for a resource.
    pub(crate) mint: &'a dyn Fn(&str) -> Result<StoredToken>,
    /// Whether a second token goes along, by which the workspace sees what the identity may do in Azure.
    pub(crate) shows_rights: bool,
}

impl Identity<'_> {
    /// A token for a resource that is to be sent to `host`: kept between runs, each resource on its own.
    fn token(&self, host: &Host, resource: &str, ports: &Ports<'_>) -> Result<Living> {
        let parts: Vec<&str> = self.parts.iter().copied().chain([resource]).collect();
        let none = Secret::new("");
        let key = session::minted_key(self.method, host, &parts, self.secret.unwrap_or(&none));
        let renew = |_: Option<&StoredToken>, _: &Hold| (self.mint)(resource);
        session::living(&Slot { keys: std::slice::from_ref(&key), lock: &key, spends: None, renew: &renew }, ports)
    }

    /// The credential for a workspace: a token for Databricks; where the identity is no person, a second one for Azure; and the id of the workspace, if it is known.
    ///
    /// # Errors
    /// If the first token cannot be had, or the way to the second is broken. That Entra ID refuses the second one is a remark: users of the workspace do not need it.
    pub(crate) fn credential(&self, settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
        let Living { token, remarks } = self.token(&host, application(&host), ports)?;
        let is_person = is_person(&token.access_token);
        let mut credential = Credential::bearer(host, self.method, token, remarks);
        if ports.want.alone {
            return Ok(credential);
        }
        if self.shows_rights && !is_person {
            match self.token(&credential.host, cloud(settings)?.management, ports) {
                Ok(living) => {
                    credential.headers.push((MANAGEMENT_TOKEN, living.token.access_token));
                    credential.remarks.extend(living.remarks);
                }
                Err(error) if Failure::mark::<Ended>(&error).is_some() => credential.remarks.push(format!(
                    "there is no token for Azure itself ({error:#}); requests go without it, which is enough for a service principal that is a user of the workspace"
                )),
                Err(error) => return Err(error),
            }
        }
        if let Some(id) = settings.text(Attr::AzureWorkspaceResourceId) {
            credential.headers.push((RESOURCE_ID, Secret::new(id)));
        }
        Ok(credential)
    }

    /// The host of `azure_workspace_resource_id`, as Azure Resource Manager tells it to this identity; kept for an hour.
    ///
    /// # Errors
    /// If the id is none, or Azure does not tell, or tells an address that is none of Databricks.
    pub(crate) fn locate(&self, settings: &Settings, ports: &Ports<'_>) -> Result<Host> {
        let cloud = cloud(settings)?;
        let Some(id) = settings.text(Attr::AzureWorkspaceResourceId) else { return Err(Failure::new("azure_workspace_resource_id is not set").into()) };
        let place = || settings.get(Attr::AzureWorkspaceResourceId).map(|sourced| sourced.source.place()).unwrap_or_default();
        check_resource_id(id).map_err(|failure| failure.hint(format!("It comes from the {}", place())))?;
        let manager = moved(ports.env, env::AZURE_RESOURCE_MANAGER_HOST, cloud.resource_manager)?;
        let judge = |address: &str| -> Result<Host, Failure> {
            let refuse = |why: &str| {
                Failure::new(format!("{manager} names {} as the host of {}: {why}, so nothing is sent there", text::quoted(address), text::quoted(id)))
                    .hint("Set host in the profile, or DATABRICKS_HOST")
            };
            let host = Host::parse(address).map_err(|_| refuse("that is no address of a service over https"))?;
            // Whoever moved Azure to this machine has moved the workspaces with it.
            let is_expected = host.is_databricks() && host.name().ends_with(cloud.suffix) || manager.is_loopback() && host.is_loopback();
            if is_expected { Ok(host) } else { Err(refuse("that is no workspace of this Azure cloud")) }
        };
        let key = [manager.as_str(), &id.to_ascii_lowercase()].join(" ");
        if let Some(host) = kept_place(ports.env, &key).and_then(|address| judge(&address).ok()) {
            return Ok(host);
        }
        let token = self.token(&manager, cloud.resource_manager, ports)?.token.access_token;
        let signed = Signed { host: manager.clone(), headers: vec![("Authorization", Secret::new(["Bearer ", token.expose()].concat()))] };
        let request = Request::get(id).query("api-version", "2018-04-01");
        let response = client(ports, &manager, QUESTION_LIMIT)?.send(Some(&signed), &request).map_err(|error| match error.downcast_ref::<ApiError>() {
            None => error,
            Some(refusal) => Failure::new(format!("the host of {} cannot be found: {manager} says: {refusal}", text::quoted(id)))
                .hint(format!("azure_workspace_resource_id comes from the {}", place()))
                .hint("Check it, and that the identity has the role Reader on the workspace; or set host in the profile, or DATABRICKS_HOST")
                .into(),
        })?;
        let described: Described = response.json()?;
        let host = judge(&described.properties.workspace_url)?;
        keep_place(ports.env, &key, &host);
        Ok(host)
    }
}

/// A workspace as Azure Resource Manager describes it.
#[derive(Deserialize)]
struct Described {
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(rename = "workspaceUrl")]
    workspace_url: String,
}

/// # Errors
/// If it is not of the form `/subscriptions/…/resourceGroups/…/providers/Microsoft.Databricks/workspaces/…`.
fn check_resource_id(id: &str) -> Result<(), Failure> {
    let segments: Vec<&str> = id.split('/').collect();
    let fixed = [(0, ""), (1, "subscriptions"), (3, "resourceGroups"), (5, "providers"), (6, "Microsoft.Databricks"), (7, "workspaces")];
    let is_name = |segment: &&str| !segment.is_empty() && segment.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')'));
    let fits = segments.len() == 9 && fixed.iter().all(|(at, word)| segments[*at].eq_ignore_ascii_case(word)) && segments[1..].iter().all(is_name);
    if fits {
        return Ok(());
    }
    Err(Failure::new(format!("azure_workspace_resource_id is {}, which is not the id of a workspace", text::quoted(id)))
        .hint("It looks like /subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.Databricks/workspaces/<name>"))
}

/// The subscription within the id of a resource.
pub(crate) fn subscription(settings: &Settings) -> Option<&str> {
    let mut segments = settings.text(Attr::AzureWorkspaceResourceId)?.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case("subscriptions"))?;
    segments.next().filter(|id| is_tenant(id))
}

/// A host that an earlier run found.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    of: Cow<'a, str>,
    /// Seconds since 1970-01-01 UTC.
    at: i64,
    host: Cow<'a, str>,
}

fn place_file(env: &Env, key: &str) -> Option<PathBuf> {
    let name: String = digest(&SHA256, key.as_bytes()).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(env.cache_folder()?.join("azure").join(format!("{name}.json")))
}

fn kept_place(env: &Env, key: &str) -> Option<String> {
    let bytes = files::read(&place_file(env, key)?, CACHE_LIMIT).ok()??;
    let kept: Kept<'_> = serde_json::from_slice(&bytes).ok()?;
    let is_young = (0..PLACE_LIFE).contains(&(clock::now().as_second() - kept.at));
    (kept.of == key && is_young).then(|| kept.host.into_owned())
}

/// Keeps a host for later runs; whatever prevents it only makes them ask again.
fn keep_place(env: &Env, key: &str, host: &Host) {
    let kept = Kept { of: key.into(), at: clock::now().as_second(), host: host.as_str().into() };
    if let (Some(path), Ok(bytes)) = (place_file(env, key), serde_json::to_vec(&kept))
        && path.parent().is_some_and(|folder| files::make_folder(folder).is_ok())
    {
        drop(files::update_with(&path, CACHE_LIMIT, Care::Cache, |_| Ok(Some(bytes.clone()))));
    }
}

/// Whether a token was given to a person, as far as it tells (<https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>). One that tells nothing
/// counts as a person's: a person's rights in Azure are not the workspace's business.
fn is_person(token: &Secret) -> bool {
    if reply::expiry_claim(token.expose()).is_none() {
        return true;
    }
    // Guests have no `upn`; what is done in a person's name has scopes.
    let has = |name: &str| reply::claim(token.expose(), name).is_some();
    has("upn") || has("scp") || reply::claim(token.expose(), "idtyp").is_some_and(|kind| kind == "user")
}

/// Entra ID as methods ask it that prove themselves.
pub(crate) struct Entra<'a> {
    authority: Host,
    settings: &'a Settings,
    /// The workspace, which may tell the tenant.
    host: Option<&'a Host>,
    ports: &'a Ports<'a>,
}

impl<'a> Entra<'a> {
    /// # Errors
    /// If the settings name no cloud, a variable no address, or the version is none.
    pub(crate) fn new(settings: &'a Settings, host: Option<&'a Host>, ports: &'a Ports<'a>) -> Result<Self, Failure> {
        let authority = moved(ports.env, env::AZURE_AUTHORITY_HOST, cloud(settings)?.authority)?;
        if let Some(version) = settings.text(Attr::AzureTokenVersion)
            && !matches!(version.trim(), "1" | "2")
        {
            let place = settings.get(Attr::AzureTokenVersion).map(|sourced| sourced.source.place()).unwrap_or_default();
            return Err(Failure::new(format!("azure_token_version is {} in the {place}, but it takes 1 or 2", text::quoted(version))));
        }
        Ok(Self { authority, settings, host, ports })
    }

    /// Where it is.
    pub(crate) fn authority(&self) -> &Host {
        &self.authority
    }

    /// The tenant: the one that is set, else the one to which the workspace leads people who sign in.
    ///
    /// # Errors
    /// If there is none, or the workspace does not tell.
    pub(crate) fn tenant(&self) -> Result<Cow<'a, str>> {
        if let Some(tenant) = self.settings.text(Attr::AzureTenantId) {
            if is_tenant(tenant) {
                return Ok(tenant.into());
            }
            let place = self.settings.get(Attr::AzureTenantId).map(|sourced| sourced.source.place()).unwrap_or_default();
            return Err(Failure::new(format!("azure_tenant_id is {} in the {place}, which is no tenant", text::quoted(tenant)))
                .hint("It is an id such as 00000000-0000-0000-0000-000000000000, or a domain")
                .into());
        }
        match self.host {
            Some(host) => self.tenant_of(host).map(Cow::Owned),
            None => Err(Failure::new("azure_tenant_id is not set, and there is no host that would tell it").hint(SET_TENANT).into()),
        }
    }

    /// The tenant in the address to which the workspace sends browsers. It is read, not followed.
    fn tenant_of(&self, host: &Host) -> Result<String> {
        let mut location = None;
        let mut sink = |part: Part<'_>| match part {
            Part::Head(head) if (300..400).contains(&head.status) => {
                location = head.headers().find(|(name, _)| *name == "location").map(|(_, value)| value.to_owned());
                Ok(())
            }
            _ => Err(Failure::new("it does not lead to a sign-in").into()),
        };
        let outcome = client(self.ports, host, QUESTION_LIMIT)?.download(&mut sink, None, &Request::get("/aad/auth"));
        let Some(location) = location else {
            let reason = outcome.err().map_or_else(|| "it does not lead to a sign-in".to_owned(), |error| format!("{error:#}"));
            return Err(Failure::new(format!("{host} does not tell the tenant of its workspace (GET /aad/auth): {reason}")).hint(SET_TENANT).into());
        };
        let refuse = || {
            let origin: String = location.split(['?', '#']).next().unwrap_or_default().to_owned();
            Failure::new(format!("{host} does not tell the tenant of its workspace: GET /aad/auth leads to {}", text::quoted(&origin))).hint(SET_TENANT)
        };
        let (scheme, rest) = location.split_once("://").ok_or_else(refuse)?;
        let (name, path) = rest.split_once('/').ok_or_else(refuse)?;
        let origin = Host::parse(&format!("{scheme}://{name}")).map_err(|_| refuse())?;
        let is_entra = origin == self.authority || CLOUDS.iter().any(|cloud| cloud.authority == origin.as_str());
        let tenant = path.split(['/', '?', '#']).next().unwrap_or_default();
        if is_entra && is_tenant(tenant) && !["common", "organizations", "consumers"].contains(&tenant) { Ok(tenant.to_owned()) } else { Err(refuse().into()) }
    }

    /// Has a token minted: `proof` is what the identity shows beside its id.
    ///
    /// # Errors
    /// [`Ended`] with what the words of Entra ID mean, if it refuses.
    pub(crate) fn token(&self, method: &str, resource: &str, client_id: &str, proof: Vec<(&'static str, Secret)>) -> Result<StoredToken> {
        let tenant = self.tenant()?;
        let mut form = vec![("grant_type", Secret::new("client_credentials")), ("client_id", Secret::new(client_id))];
        form.extend(proof);
        let path = if self.settings.text(Attr::AzureTokenVersion).is_some_and(|version| version.trim() == "2") {
            // The resource as it is, its last slash included.
            form.push(("scope", Secret::new(format!("{resource}/.default"))));
            "oauth2/v2.0/token"
        } else {
            form.push(("resource", Secret::new(resource)));
            "oauth2/token"
        };
        let server = Server::new(self.authority.clone(), None, None, self.ports);
        // A second token does no harm: the first one ends by itself.
        let outcome = server.token_at(&format!("{}/{tenant}/{path}", self.authority), &ClientProof::Nobody, form, Repeat::Freely);
        outcome.map_err(|error| match error.downcast_ref::<Refused>() {
            Some(refused) => self.explain(method, resource, &tenant, refused).marked(Ended::Grant).into(),
            None => error.context(format!("{method}: no token of Entra ID ({})", self.authority)),
        })
    }

    /// What a refusal means, with where the values came from.
    fn explain(&self, method: &str, resource: &str, tenant: &str, refused: &Refused) -> Failure {
        // What follows is for the support of Microsoft.
        let words = refused.description.split(" Trace ID").next().unwrap_or_default().lines().next().unwrap_or_default().trim_end();
        let mut failure = Failure::new(format!("{method}: {} grants no token for {resource}: {words} (error code: {})", self.authority, refused.error));
        let attributes: &[Attr] = match method {
            "github-oidc-azure" => &[Attr::AzureTenantId, Attr::AzureClientId],
            _ => &[Attr::AzureTenantId, Attr::AzureClientId, Attr::AzureClientSecret],
        };
        for attr in attributes {
            if let Some(sourced) = self.settings.get(*attr) {
                failure = failure.hint(format!("{} comes from the {}", attr.name(), sourced.source.place()));
            } else if *attr == Attr::AzureTenantId {
                let host = self.host.map_or(String::new(), |host| format!(" of {host}"));
                failure = failure.hint(format!("The tenant {tenant} is that{host}; another one is set with azure_tenant_id"));
            }
        }
        match REFUSALS.iter().find(|(code, _)| words.contains(code)) {
            Some((_, advice)) => failure.hint(*advice),
            None => failure,
        }
    }
}

const SET_TENANT: &str = "Set azure_tenant_id in the profile, or ARM_TENANT_ID";

/// What helps, by the codes of Entra ID: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
const REFUSALS: [(&str, &str); 9] = [
    ("AADSTS7000215", "Check the secret: it is its value that counts, not its id. To make a new one: az ad app credential reset --id CLIENT_ID"),
    ("AADSTS7000222", "The secret has expired. To make a new one: az ad app credential reset --id CLIENT_ID"),
    ("AADSTS90002", "Check the tenant. To see yours: az account list --query '[].tenantId'"),
    ("AADSTS900023", "Check the tenant. To see yours: az account list --query '[].tenantId'"),
    ("AADSTS700016", "The tenant has no such application: check azure_client_id and azure_tenant_id"),
    ("AADSTS700024", "The id token has expired, or the clock of this machine is wrong"),
    ("AADSTS700211", "No federated credential of the application has this issuer: az ad app federated-credential list --id CLIENT_ID"),
    ("AADSTS700212", "No federated credential of the application has this audience: az ad app federated-credential list --id CLIENT_ID"),
    ("AADSTS700213", "No federated credential of the application has this subject: az ad app federated-credential list --id CLIENT_ID"),
];

/// Whether a text can be a tenant: an id or a domain, one segment of a path in any case.
pub(crate) fn is_tenant(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_TENANT
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// The managed identity of the machine.
///
/// # Errors
/// If the variable that moves the service names no address of loopback: nothing else can be meant for a test or a local agent.
pub(crate) fn metadata_service(env: &Env) -> Result<Host, Failure> {
    let Some(address) = env.get(env::AZURE_METADATA_HOST) else { return Ok(Host::instance_metadata()) };
    let usual = Host::instance_metadata();
    if address.trim_end_matches('/') == usual.as_str() {
        return Ok(usual);
    }
    Host::parse(address).ok().filter(Host::is_loopback).ok_or_else(|| {
        Failure::new(format!("{} is {}, which is no address of this machine", env::AZURE_METADATA_HOST, text::quoted(address)))
            .hint(format!("Unset {}, or give an address such as http://127.0.0.1:8080", env::AZURE_METADATA_HOST))
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn settings(values: &[(Attr, &str)]) -> Settings {
        Settings::of_values(values)
    }

    #[test]
    fn a_workspace_is_on_azure_by_its_id_by_cloud_or_by_its_name() {
        const ID: (Attr, &str) = (Attr::AzureWorkspaceResourceId, "/subscriptions/x");
        for (values, azure) in [
            (&[][..], false),
            (&[(Attr::Host, "https://adb-1.2.azuredatabricks.net")], true),
            (&[(Attr::Host, "https://x.databricks.azure.us")], true),
            (&[(Attr::Host, "https://x.databricks.azure.cn")], true),
            (&[(Attr::Host, "https://x.cloud.databricks.com")], false),
            (&[(Attr::Host, "https://azuredatabricks.net.evil.example")], false),
            (&[(Attr::Host, "https://x.cloud.databricks.com"), (Attr::Cloud, "azure")], true),
            (&[(Attr::Host, "https://adb-1.2.azuredatabricks.net"), (Attr::Cloud, "AWS")], false),
            (&[(Attr::Host, "https://adb-1.2.azuredatabricks.net"), (Attr::Cloud, "AWS"), ID], true),
            (&[ID], true),
        ] {
            assert_eq!(obstacle(&settings(values)).is_none(), azure, "{values:?}");
        }
    }

    #[test]
    fn clouds_have_many_spellings() {
        let name = |values: &[(Attr, &str)]| cloud(&settings(values)).map(|cloud| cloud.name).map_err(|failure| failure.to_string());
        for (spelled, wanted) in [
            ("PUBLIC", "PUBLIC"),
            ("public", "PUBLIC"),
            ("AzurePublicCloud", "PUBLIC"),
            ("AzureCloud", "PUBLIC"),
            ("USGovernment", "USGOVERNMENT"),
            ("AzureUSGovernment", "USGOVERNMENT"),
            ("AzureChinaCloud", "CHINA"),
            ("mars", ""),
        ] {
            let found = name(&[(Attr::AzureEnvironment, spelled)]);
            match wanted {
                "" => assert!(found.clone().err().is_none_or(|error| error.contains("PUBLIC, USGOVERNMENT or CHINA")), "{spelled}: {found:?}"),
                wanted => assert_eq!(found, Ok(wanted), "{spelled}"),
            }
        }
        assert_eq!(name(&[(Attr::Host, "https://x.databricks.azure.cn")]), Ok("CHINA"));
        assert_eq!(
            name(&[(Attr::Host, "https://x.databricks.azure.cn"), (Attr::AzureEnvironment, "PUBLIC")]),
            Ok("CHINA"),
            "a secret stays in the host's cloud"
        );
        assert_eq!(name(&[]), Ok("PUBLIC"));
    }

    #[test]
    fn trial_environments_have_their_own_applications() {
        let of = |host: &str| application(&Host::parse(host).expect(host));
        assert_eq!(of("https://adb-1.2.azuredatabricks.net"), APPLICATION);
        assert_eq!(of("https://adb-1.2.dev.azuredatabricks.net"), "62a912ac-b58e-4c1d-89ea-b2dbfc7358fc");
        assert_eq!(of("https://adb-1.2.staging.azuredatabricks.net"), "4a67d088-db5c-48f1-9ff2-0aace800ae68");
        assert_eq!(of("https://x.databricks.azure.us"), APPLICATION);
    }

    #[test]
    fn an_id_of_a_workspace_has_its_form() {
        for good in [
            "/subscriptions/s-1/resourceGroups/my_group.(1)/providers/Microsoft.Databricks/workspaces/ws-1",
            "/SUBSCRIPTIONS/s/resourcegroups/g/providers/microsoft.databricks/workspaces/w",
        ] {
            check_resource_id(good).expect(good);
        }
        for bad in [
            "",
            "/subscriptions/s",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/workspaces/",
            "/subscriptions/s/resourceGroups/../providers/Microsoft.Databricks/workspaces/w?x",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w/x",
            "https://evil.example/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w\r\nX: y",
        ] {
            assert!(check_resource_id(bad).is_err(), "{bad}");
        }
        let id = "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w";
        assert_eq!(subscription(&settings(&[(Attr::AzureWorkspaceResourceId, id)])), Some("s-1"));
        assert_eq!(subscription(&settings(&[(Attr::AzureWorkspaceResourceId, "/subscriptions/--help/x")])), None);
        assert_eq!(subscription(&settings(&[])), None);
    }

    #[test]
    fn tenants_are_one_segment() {
        for good in ["9b2c6a1e-0f2d-4c9a-8e55-3f3d1f0a7c11", "contoso.onmicrosoft.com"] {
            assert!(is_tenant(good), "{good}");
        }
        for bad in ["", "a/b", "..", "--help", "a?b", "a b", "a\n", &"a".repeat(300)] {
            assert!(!is_tenant(bad), "{bad}");
        }
    }

    #[test]
    fn persons_are_told_by_their_tokens() {
        let token = |claims: &str| Secret::new(format!("eyJ.{}.s", URL_SAFE_NO_PAD.encode(claims)));
        for (claims, person) in [
            (r#"{"exp":1,"upn":"ann@example.com"}"#, true),
            (r#"{"exp":1,"scp":"user_impersonation","unique_name":"live.com#guest"}"#, true),
            (r#"{"exp":1,"idtyp":"user"}"#, true),
            (r#"{"exp":1,"idtyp":"app","appid":"x"}"#, false),
            (r#"{"exp":1,"appid":"x"}"#, false),
            ("{}", true),
        ] {
            assert_eq!(is_person(&token(claims)), person, "{claims}");
        }
        assert!(is_person(&Secret::new("opaque")));
    }

    #[test]
    fn azure_moves_to_https_or_to_this_machine_only() {
        let at = |address: &str| moved(&Env::default().with(env::AZURE_AUTHORITY_HOST, address), env::AZURE_AUTHORITY_HOST, "https://usual.example");
        assert_eq!(moved(&Env::default(), env::AZURE_AUTHORITY_HOST, "https://usual.example/").expect("a host").as_str(), "https://usual.example");
        assert_eq!(at("https://login.microsoftonline.us/").expect("a host").as_str(), "https://login.microsoftonline.us");
        at("http://127.0.0.1:8080").expect("loopback");
        let refused = at("http://evil.example").expect_err("plain http").to_string();
        assert!(refused.starts_with("AZURE_AUTHORITY_HOST cannot be used: "), "{refused}");
        let service = |address: &str| metadata_service(&Env::default().with(env::AZURE_METADATA_HOST, address));
        assert_eq!(metadata_service(&Env::default()).expect("a host"), Host::instance_metadata());
        assert_eq!(service("http://169.254.169.254/").expect("a host"), Host::instance_metadata());
        assert_eq!(service("http://127.0.0.1:81").expect("a host").as_str(), "http://127.0.0.1:81");
        for elsewhere in ["https://evil.example", "http://169.254.169.253", "http://10.0.0.1", "x y"] {
            assert!(service(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
