//! What a person calls a database, and where it is: an instance by its name, or an endpoint by a name such as `projects/P/branches/B/endpoints/E`, of which the end may be left out.

use anyhow::Result;
use serde_json::Value;

use crate::context::{Context, Reach, Workspace};
use crate::error::Failure;
use crate::http::{ApiError, Request};
use crate::rest::{Endpoint, List, Reply, database, path_segment as segment, postgres};
use crate::text;
use crate::ui::prompt::Choice;

/// The port of every Lakebase server.
pub(crate) const PORT: u16 = 5432;
/// The database that each instance and project begins with.
pub(crate) const DATABASE: &str = "databricks_postgres";

const PROJECTS: &str = "projects";

/// What a password is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A provisioned instance, by name.
    Instance(String),
    /// An endpoint of a project, by its whole name.
    Endpoint(String),
}

impl Resource {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Instance(name) | Self::Endpoint(name) => name,
        }
    }
}

/// What a user wants to have otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// Log in as this role, not as oneself: a group, or a role that Postgres alone knows.
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) port: Option<u16>,
    /// The host that answers queries that only read.
    pub(crate) read_only: bool,
}

/// A database that can be logged in to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) resource: Resource,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    /// Whether the user is who asks the workspace.
    pub(crate) is_own_role: bool,
    pub(crate) database: String,
    /// What it does now, as its API calls it; `None` where it says nothing.
    pub(crate) state: Option<String>,
    /// Of an endpoint what it is for, as people call it; empty where its API does not say.
    pub(crate) purpose: &'static str,
}

/// Marks that the instance is there, and cannot be logged in to: its state, as its API calls it.
#[derive(Debug)]
pub(crate) struct NotReady(pub(crate) String);

/// Whether a name is the path of a project or of something in it.
pub(crate) fn is_path(name: &str) -> bool {
    name == PROJECTS || name.starts_with("projects/")
}

/// What to do where a server does not know somebody.
pub(crate) fn role_hint(user: &str) -> String {
    let user = text::one_line(user);
    format!("If there is no role for {user} yet, somebody who has one makes it: SELECT databricks_create_role('{user}', 'USER'); see docs/lakebase.md")
}

/// Finds out where a database is, and as whom to log in.
///
/// # Errors
/// If there is none of that name, it is stopped or starting, or the workspace cannot be asked.
pub(crate) fn resolve(context: &Context<'_>, workspace: &Workspace, name: &str, wishes: &Wishes) -> Result<Target> {
    let (resource, host, state, purpose) = if is_path(name) { endpoint(context, workspace, name, wishes)? } else { instance(workspace, name, wishes)? };
    let user = match &wishes.user {
        Some(user) => user.clone(),
        None => workspace.who()?,
    };
    if user.is_empty() {
        return Err(Failure::new(format!("{} does not say who you are, so there is no role to log in as", workspace.credential.host))
            .hint("Name the role: --user ROLE")
            .into());
    }
    let is_own_role = wishes.user.is_none();
    Ok(Target {
        resource,
        host,
        port: wishes.port.unwrap_or(PORT),
        user,
        is_own_role,
        database: wishes.database.clone().unwrap_or_else(|| DATABASE.to_owned()),
        state,
        purpose,
    })
}

/// Lets the user choose among all databases of the workspace.
///
/// # Errors
/// If nobody can be asked, there is none, or none can be listed.
pub(crate) fn choose(context: &Context<'_>, workspace: &Workspace) -> Result<String> {
    const LABEL: &str = "Select database to connect to";
    if !context.ui.can_prompt() {
        return Err(Failure::new("there is no TARGET, and nobody can be asked: give the name of an instance, or projects/NAME")
            .hint("To see what there is: databricks database list-database-instances; databricks postgres list-projects")
            .into());
    }
    let mut choices = Vec::new();
    let mut names = Vec::new();
    let mut refusal = None;
    for (endpoint, key) in [(&database::LIST_INSTANCES, "state"), (&postgres::LIST_PROJECTS, "")] {
        // A workspace may have one of the two APIs only.
        match all(workspace, endpoint, None) {
            Ok(found) => {
                for item in found {
                    let name = text_at(&item, "/name").to_owned();
                    let detail = if key.is_empty() { text_at(&item, "/status/display_name") } else { text_at(&item, "/state") };
                    choices.push(Choice::new(&name).detail(detail));
                    names.push(name);
                }
            }
            Err(error) => refusal = Some(error),
        }
    }
    if names.is_empty() {
        return Err(refusal.unwrap_or_else(|| {
            Failure::new(format!("{} has no databases that you can see", workspace.credential.host))
                .hint("To make one: databricks database create-database-instance NAME --capacity CU_1")
                .into()
        }));
    }
    let chosen = context.ui.prompter().choose(LABEL, &choices, true)?;
    Ok(names.swap_remove(chosen))
}

type Found = (Resource, String, Option<String>, &'static str);

fn instance(workspace: &Workspace, name: &str, wishes: &Wishes) -> Result<Found> {
    let path = database::GET_INSTANCE.path.replace("{name}", &segment(name));
    let instance: Value = workspace.send(&Request::get(path)).map_err(|error| absent(error, workspace, "database instance", name))?.json()?;
    let state = text_at(&instance, "/state");
    let shown = text::one_line(name);
    if !matches!(state, "AVAILABLE" | "") {
        let failure = Failure::new("database instance is not ready for accepting connections");
        let failure = match state {
            "STOPPED" => failure.hint(format!("{shown} is stopped. To start it: databricks database update-database-instance {shown} stopped --stopped=false")),
            "DELETING" => failure.hint(format!("{shown} is being deleted. To see the others: databricks database list-database-instances")),
            _ => failure.hint(format!("{shown} is {state}. Try again when it is available: databricks database get-database-instance {shown}")),
        };
        return Err(failure.marked(NotReady(text::one_line(state).into_owned())).into());
    }
    let key = if wishes.read_only { "/read_only_dns" } else { "/read_write_dns" };
    let host = checked_host(text_at(&instance, key), workspace, name)?;
    Ok((Resource::Instance(name.to_owned()), host, Some(state.to_owned()).filter(|state| !state.is_empty()), ""))
}

fn endpoint(context: &Context<'_>, workspace: &Workspace, name: &str, wishes: &Wishes) -> Result<Found> {
    let parts: Vec<&str> = name.split('/').collect();
    let wrong = |why: &str| Failure::new(format!("invalid resource path: {why}")).hint("Write it as projects/NAME[/branches/NAME[/endpoints/NAME]]");
    let (project, branch, endpoint) = match *parts.as_slice() {
        ["projects"] | ["projects", ""] | ["projects", "", ..] => return Err(wrong("missing project ID").into()),
        ["projects", project] | ["projects", project, ""] => (project, None, None),
        ["projects", project, "branches", branch] if !branch.is_empty() => (project, Some(branch), None),
        ["projects", project, "branches", branch, "endpoints", endpoint] if !branch.is_empty() && !endpoint.is_empty() => {
            (project, Some(branch), Some(endpoint))
        }
        _ => return Err(wrong(&text::one_line(name)).into()),
    };
    let project = format!("projects/{project}");
    let branch = match branch {
        Some(branch) => format!("{project}/branches/{branch}"),
        None => {
            let branches = all(workspace, &postgres::LIST_BRANCHES, Some(&project)).map_err(|error| absent(error, workspace, "project", &project))?;
            one_of(context, "branch", &project, branches, |branch| branch.pointer("/status/default") == Some(&Value::Bool(true)))?
        }
    };
    let found: Value = match endpoint {
        Some(endpoint) => {
            let name = format!("{branch}/endpoints/{endpoint}");
            let path = postgres::GET_ENDPOINT.path.replace("{name}", &segments(&name));
            workspace.send(&Request::get(path)).map_err(|error| absent(error, workspace, "endpoint", &name))?.json()?
        }
        None => {
            let endpoints = all(workspace, &postgres::LIST_ENDPOINTS, Some(&branch)).map_err(|error| absent(error, workspace, "branch", &branch))?;
            let wanted = if wishes.read_only { "READ_ONLY" } else { "READ_WRITE" };
            let chosen = one_of(context, "endpoint", &branch, endpoints.clone(), |endpoint| text_at(endpoint, "/status/endpoint_type").ends_with(wanted))?;
            endpoints.into_iter().find(|endpoint| text_at(endpoint, "/name") == chosen).unwrap_or_default()
        }
    };
    let name = text_at(&found, "/name").to_owned();
    let state = text_at(&found, "/status/current_state");
    if found.pointer("/status/disabled") == Some(&Value::Bool(true)) {
        let shown = text::one_line(&name).into_owned();
        let failure = Failure::new(format!("the endpoint {shown} is disabled"))
            .hint(format!("To enable it: databricks postgres update-endpoint {shown} spec.disabled --json '{{\"spec\": {{\"disabled\": false}}}}'"));
        return Err(failure.marked(NotReady("DISABLED".to_owned())).into());
    }
    let hosts = if wishes.read_only { ["/status/hosts/read_only_host", "/status/hosts/host"] } else { ["/status/hosts/host", "/status/hosts/host"] };
    let host = hosts.iter().map(|key| text_at(&found, key)).find(|host| !host.is_empty()).unwrap_or_default();
    let host = checked_host(host, workspace, &name)?;
    let purpose = match text_at(&found, "/status/endpoint_type") {
        "ENDPOINT_TYPE_READ_WRITE" => "read-write ",
        "ENDPOINT_TYPE_READ_ONLY" => "read-only ",
        _ => "",
    };
    Ok((Resource::Endpoint(name), host, Some(text::one_line(state).into_owned()).filter(|state| !state.is_empty()), purpose))
}

/// The only one there is, the one that is chosen, or the one that is meant where nobody says which.
fn one_of(context: &Context<'_>, kind: &str, parent: &str, mut found: Vec<Value>, is_meant: impl Fn(&Value) -> bool) -> Result<String> {
    let name_of = |item: &Value| text_at(item, "/name").to_owned();
    if found.is_empty() {
        return Err(Failure::new(format!("{} has no {kind}", text::one_line(parent))).into());
    }
    if found.len() > 1 && context.ui.can_prompt() {
        let choices: Vec<Choice> = found.iter().map(|item| Choice::new(name_of(item)).detail(text_at(item, "/status/current_state"))).collect();
        let chosen = context.ui.prompter().choose(&format!("Select {kind}"), &choices, true)?;
        return Ok(name_of(&found.swap_remove(chosen)));
    }
    let meant: Vec<&Value> = found.iter().filter(|item| found.len() == 1 || is_meant(item)).collect();
    match meant.as_slice() {
        [one] => Ok(name_of(one)),
        _ => {
            let names: Vec<String> = found.iter().map(|item| text::one_line(text_at(item, "/name")).into_owned()).collect();
            let plural = if kind == "branch" { "branches" } else { "endpoints" };
            Err(Failure::new(format!("{} has {} {plural}, and none of them is meant by itself", text::one_line(parent), found.len()))
                .hint(format!("Name one of them: {}", names.join(", ")))
                .into())
        }
    }
}

/// Every item of a list.
fn all(workspace: &Workspace, endpoint: &'static Endpoint, parent: Option<&str>) -> Result<Vec<Value>> {
    let Reply::List(List { items, page_size, .. }) = &endpoint.reply else { return Ok(Vec::new()) };
    let mut request = Request::get(endpoint.path.replace("{parent}", &parent.map(segments).unwrap_or_default()));
    request.query.extend(page_size.map(|size| ("page_size".into(), size.to_string().into())));
    let mut found = Vec::new();
    workspace.pages(&request, items, Reach::All, |page| {
        for listed in &page.items {
            found.push(serde_json::from_str(listed.raw)?);
        }
        Ok(true)
    })?;
    found.retain(|item: &Value| item.pointer("/status/delete_time").is_none());
    Ok(found)
}

/// What is not there may be in another workspace: names and passwords are those of one.
fn absent(error: anyhow::Error, workspace: &Workspace, kind: &str, name: &str) -> anyhow::Error {
    if error.downcast_ref::<ApiError>().is_none_or(|refusal| refusal.status != 404) {
        return error;
    }
    let list = if kind == "database instance" { "databricks database list-database-instances" } else { "databricks postgres list-projects" };
    Failure::new(format!("{} has no {kind} {}", workspace.credential.host, text::quoted(name)))
        .hint(format!("To see what it has: {list}"))
        .hint("Databases and their passwords belong to one workspace; for another one name its profile: --profile NAME")
        .into()
}

/// A name of DNS: nothing in it may become another word of a connection string.
fn checked_host(host: &str, workspace: &Workspace, name: &str) -> Result<String> {
    if host.is_empty() {
        return Err(Failure::new(format!("{} does not say where {} is reached", workspace.credential.host, text::one_line(name)))
            .hint("It may have been made a moment ago; try again in a minute")
            .into());
    }
    let is_name = host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if is_name {
        Ok(host.to_owned())
    } else {
        Err(Failure::new(format!("{} calls {} the host of a database", workspace.credential.host, text::quoted(host))).into())
    }
}

fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn segments(name: &str) -> String {
    name.split('/').map(segment).collect::<Vec<_>>().join("/")
}
