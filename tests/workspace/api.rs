//! What every API shares: routes, the call a handler gets, and the checks of bodies and pages.

use super::auth::{self, Caller};
use super::http::{Request, Response, percent_decode};
use super::oauth::{HostKind, Realm};
use super::state::{State, User};
use serde_json::{Map, Value};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Anyone,
    /// Whoever passes the sign-in gate.
    SignedIn,
}

/// One operation of one API.
#[derive(Debug)]
pub(super) struct Route {
    pub method: &'static str,
    /// Segments in braces match anything and become [`Call::part`]s; `{name*}` at the end takes all that are left.
    pub path: &'static str,
    pub access: Access,
    pub handle: fn(&Call<'_>) -> Answer,
}

/// `Err` is a reply too: it lets a handler leave early with `?`.
pub(super) type Answer = Result<Response, Response>;

/// One request on its way through a handler.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub state: &'a State,
    pub request: &'a Request,
    caller: Option<Caller>,
    parts: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// The caller. Only routes behind the gate have one.
    pub(super) fn user(&self) -> &User {
        &self.caller.as_ref().expect("only routes with Access::SignedIn ask who is calling").user
    }

    /// Who issued the caller's OAuth access token; `None` if it is something else.
    pub(super) fn realm(&self) -> Option<Realm> {
        self.caller.as_ref().and_then(|caller| caller.realm)
    }

    /// The caller, who has to be an administrator.
    pub(super) fn admin(&self) -> Result<&User, Response> {
        let user = self.user();
        if user.admin {
            return Ok(user);
        }
        Err(Response::error(403, "PERMISSION_DENIED", &format!("User {} is no administrator and may not do this.", user.name)))
    }

    /// What stood in the place of `{name}` in the path, decoded.
    pub(super) fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str()).expect("the handler asks for a part its path has")
    }

    /// The body, which has to be a JSON object.
    pub(super) fn json(&self) -> Result<Map<String, Value>, Response> {
        let problem = match serde_json::from_slice(&self.request.body) {
            Ok(Value::Object(object)) => return Ok(object),
            Ok(_) => "expected a map",
            Err(_) => "failed to parse given JSON",
        };
        Err(Response::error(400, "MALFORMED_REQUEST", &format!("Invalid JSON given in the body of the request - {problem}")))
    }
}

/// Finds the route, asks the gate, runs the handler.
pub(super) fn answer(apis: &[&'static [Route]], state: &State, request: &Request) -> Response {
    // HEAD is GET without the body, which the server leaves out.
    let method = match request.method.as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let found = apis
        .iter()
        .copied()
        .flatten()
        .find_map(|route| (route.method == method).then(|| match_path(route.path, &request.path)).flatten().map(|parts| (route, parts)));
    // A host of the account alone has no APIs of workspaces.
    let hidden = state.oauth.host_kind() == HostKind::Account && !auth::of_account(&request.path);
    let Some((route, parts)) = found.filter(|_| !hidden) else {
        return no_such_api(request);
    };
    let mut call = Call { state, request, caller: None, parts };
    if route.access == Access::SignedIn {
        match auth::authenticate(state, request) {
            Ok(caller) => call.caller = Some(caller),
            Err(refusal) => return refusal,
        }
    }
    if call.caller.is_none() {
        return (route.handle)(&call).unwrap_or_else(|refusal| refusal);
    }
    let workspace = auth::check_workspace(state, request);
    let id = *workspace.as_ref().unwrap_or(&state.workspace_id);
    let reply = workspace.and_then(|_| (route.handle)(&call)).unwrap_or_else(|refusal| refusal);
    reply.header("X-Databricks-Org-Id", &id.to_string())
}

fn no_such_api(request: &Request) -> Response {
    let message = format!("No API found for '{} {}'", request.method, request.path);
    if request.path.starts_with("/api/2.0/preview/scim/") {
        return Response::scim_error(404, None, &message);
    }
    Response::error(404, "ENDPOINT_NOT_FOUND", &message)
}

fn match_path(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    if !pattern.contains('{') {
        return (pattern == path).then(Vec::new);
    }
    let mut parts = Vec::new();
    let mut actual = path.split('/');
    for expected in pattern.split('/') {
        let segment = actual.next()?;
        if let Some(name) = expected.strip_prefix('{').and_then(|name| name.strip_suffix("*}")) {
            let rest = std::iter::once(segment).chain(actual).collect::<Vec<_>>().join("/");
            parts.push((name, percent_decode(&rest, false)));
            return Some(parts);
        }
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if segment.is_empty() => return None,
            Some(name) => parts.push((name, percent_decode(segment, false))),
            None if expected == segment => {}
            None => return None,
        }
    }
    actual.next().is_none().then_some(parts)
}

pub(super) fn invalid(message: &str) -> Response {
    Response::error(400, "INVALID_PARAMETER_VALUE", message)
}

/// A value of the wrong JSON type: the service fails while it reads the body.
fn wrong_type(name: &str, expected: &str, value: &Value) -> Response {
    Response::error(400, "MALFORMED_REQUEST", &format!("Could not parse request object: Expected {expected} for field '{name}', got {value}"))
}

/// Fields of a JSON body. Absent and null are the same; a wrong type is refused.
pub(super) mod field {
    use super::{Map, Response, Value, wrong_type};

    type Object = Map<String, Value>;

    fn present<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
        object.get(name).filter(|value| !value.is_null())
    }

    pub(in super::super) fn string<'a>(object: &'a Object, name: &str) -> Result<Option<&'a str>, Response> {
        present(object, name).map(|value| value.as_str().ok_or_else(|| wrong_type(name, "a string", value))).transpose()
    }

    pub(in super::super) fn integer(object: &Object, name: &str) -> Result<Option<i64>, Response> {
        present(object, name).map(|value| value.as_i64().ok_or_else(|| wrong_type(name, "a 64-bit integer", value))).transpose()
    }

    pub(in super::super) fn boolean(object: &Object, name: &str) -> Result<Option<bool>, Response> {
        present(object, name).map(|value| value.as_bool().ok_or_else(|| wrong_type(name, "a boolean", value))).transpose()
    }

    pub(in super::super) fn array<'a>(object: &'a Object, name: &str) -> Result<Option<&'a [Value]>, Response> {
        present(object, name).map(|value| value.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(name, "an array", value))).transpose()
    }

    pub(in super::super) fn object<'a>(object: &'a Object, name: &str) -> Result<Option<&'a Object>, Response> {
        present(object, name).map(|value| value.as_object().ok_or_else(|| wrong_type(name, "an object", value))).transpose()
    }

    pub(in super::super) fn strings(object: &Object, name: &str) -> Result<Option<Vec<String>>, Response> {
        let Some(values) = array(object, name)? else {
            return Ok(None);
        };
        values
            .iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or_else(|| wrong_type(name, "an array of strings", value)))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// One page of a list: the range of items on it and the tokens of its neighbours.
#[derive(Debug)]
pub(super) struct Page {
    pub start: usize,
    pub end: usize,
    pub next: Option<String>,
    pub previous: Option<String>,
}

impl Page {
    /// Cuts the page a request asks for out of `total` items. `filter` names what was filtered by:
    /// a page token is only good for the list it came from.
    pub(super) fn cut(request: &Request, total: usize, filter: &str) -> Result<Page, Response> {
        const DEFAULT: usize = 20;
        let size = match request.query("page_size") {
            None => DEFAULT,
            Some(text) => match text.parse() {
                Ok(size @ 1..=100) => size,
                _ => {
                    return Err(invalid(&format!("page_size must be a number from 1 to 100, got '{text}'")));
                }
            },
        };
        let start = match request.query("page_token") {
            None | Some("") => 0,
            Some(token) => start_of(token, filter).filter(|start| *start <= total).ok_or_else(|| invalid("Invalid page token."))?,
        };
        let end = total.min(start + size);
        Ok(Page {
            start,
            end,
            next: (end < total).then(|| token_for(end, filter)),
            previous: (start > 0).then(|| token_for(start.saturating_sub(size), filter)),
        })
    }
}

fn token_for(start: usize, filter: &str) -> String {
    format!("{:016x}{start:x}", fingerprint(filter))
}

fn start_of(token: &str, filter: &str) -> Option<usize> {
    let start = token.strip_prefix(&format!("{:016x}", fingerprint(filter)))?;
    usize::from_str_radix(start, 16).ok()
}

/// FNV-1a, 64 bits: enough to tell the lists of one workspace apart.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
