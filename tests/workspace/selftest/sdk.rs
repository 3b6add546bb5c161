//! The authorization server walked by the official Python SDK (`tests/install` installs it): service principal, browser, account.

use super::super::oauth::HostKind;
use super::super::{ADMIN, Grants, TokenReply};
use super::*;
use std::path::PathBuf;

fn python() -> PathBuf {
    let place = std::env::var_os("TEST_PYTHON").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin/python"), PathBuf::from);
    assert!(place.exists(), "{} is missing: run tests/install", place.display());
    place
}

/// What a script prints that gets those arguments; its home is empty.
fn run(script: &str, arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(python());
    command.arg("-c").arg(script).args(arguments).env_clear().env("HOME", home.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().expect("python starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_service_principal_signs_in() {
    const SCRIPT: &str = "import sys; from databricks.sdk import WorkspaceClient
w = WorkspaceClient(host=sys.argv[1], client_id=sys.argv[2], client_secret=sys.argv[3])
print(w.config.auth_type, w.current_user.me().user_name)
try:
    print(WorkspaceClient(host=sys.argv[1], client_id=sys.argv[2], client_secret='dose0').current_user.me())
except ValueError as error:
    print(str(error).splitlines()[0])";
    let workspace = Workspace::start();
    let (_, id) = workspace.service_principal();
    let secret = workspace.mint_secret(None);
    let seen = run(SCRIPT, &[workspace.url(), id, &secret]).expect("two lines");
    let (good, refused) = seen.split_once('\n').expect("two lines");
    assert_eq!(good, format!("oauth-m2m {id}"));
    assert!(refused.contains("invalid_client: Client authentication failed"), "{refused}");
    assert_eq!((workspace.grants().client_credentials, workspace.grants().given()), (1, 1));
}

/// Its `OAuthClient` makes the request and exchanges the code; the test is the browser in between.
#[test]
fn a_user_signs_in_and_a_lapsed_token_is_refreshed() {
    const BEGIN: &str = "import sys, json; from databricks.sdk.oauth import OAuthClient, get_workspace_endpoints
client = OAuthClient(oidc_endpoints=get_workspace_endpoints(sys.argv[1]), client_id='databricks-cli', redirect_url='http://localhost:8020', scopes=['all-apis', 'offline_access'])
consent = client.initiate_consent()
print(json.dumps({'url': consent.authorization_url, 'verifier': consent._verifier, 'state': consent._state}))";
    const END: &str = "import sys, urllib.parse; from databricks.sdk.oauth import Consent, get_workspace_endpoints
host, state, verifier, callback, denied = sys.argv[1:6]
endpoints = get_workspace_endpoints(host)
query = lambda url: dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
consent = Consent(state, verifier, authorization_url=endpoints.authorization_endpoint, token_endpoint=endpoints.token_endpoint, redirect_url='http://localhost:8020', client_id='databricks-cli')
credentials = consent.exchange_callback_parameters(query(callback))
first = credentials.token(); second = credentials.token()
try:
    consent.exchange_callback_parameters(query(denied))
except ValueError as error:
    print(first.access_token, second.access_token, error)";
    let workspace = Workspace::start();
    let begun: Value = serde_json::from_str(&run(BEGIN, &[workspace.url()]).expect("a request")).expect("JSON");
    let text = |name: &str| begun[name].as_str().expect("a text");
    let callback = workspace.approve(text("url"));
    // Old at once: the SDK must use the refresh token, and gets a token that lasts.
    workspace.order_token_reply(TokenReply::on("authorization_code").set("expires_in", json!(0)));
    let denied = workspace.deny(text("url"));
    let said = run(END, &[workspace.url(), text("state"), text("verifier"), &callback, &denied]).expect("two tokens and an error");
    let [first, second, error]: [&str; 3] = said.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("two tokens and an error");
    assert_eq!(first, second, "the refreshed token is kept");
    assert_eq!(get_as(&workspace, first, ME).json()["userName"], ADMIN);
    assert_eq!(workspace.grants(), Grants { codes: 1, refreshes: 1, ..Grants::default() });
    assert_eq!(error, "access_denied: The user denied the request");
}

#[test]
fn an_account_lists_its_workspaces_and_a_unified_host_reaches_one() {
    const SCRIPT: &str = "import sys; from databricks.sdk import AccountClient, WorkspaceClient
host, client, secret, account, workspace = sys.argv[1:6]
common = dict(host=host, client_id=client, client_secret=secret, account_id=account)
names = [workspace.workspace_name for workspace in AccountClient(**common).workspaces.list()]
print(','.join(names), WorkspaceClient(**common, workspace_id=workspace).current_user.me().user_name)";
    let workspace = Workspace::builder().host_kind(HostKind::Unified).start();
    let ((_, id), secret) = (workspace.service_principal(), workspace.mint_secret(None));
    let seen = run(SCRIPT, &[workspace.url(), id, &secret, workspace.account_id(), &workspace.workspace_id().to_string()]);
    assert_eq!(seen, Ok(format!("production,staging,sandbox eu,retired {id}")));
    let paths: Vec<String> = workspace.token_requests().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, vec![format!("/oidc/accounts/{}/v1/token", workspace.account_id()); 2]);
}
