//! The environment: every variable name that the tool reads, and the snapshot that the rest of the code is handed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

// Attributes of unified authentication; crate::config::attributes says what each is for.
pub(crate) const HOST: &str = "DATABRICKS_HOST";
pub(crate) const CLUSTER_ID: &str = "DATABRICKS_CLUSTER_ID";
pub(crate) const WAREHOUSE_ID: &str = "DATABRICKS_WAREHOUSE_ID";
pub(crate) const SERVERLESS_COMPUTE_ID: &str = "DATABRICKS_SERVERLESS_COMPUTE_ID";
pub(crate) const METADATA_SERVICE_URL: &str = "DATABRICKS_METADATA_SERVICE_URL";
pub(crate) const ACCOUNT_ID: &str = "DATABRICKS_ACCOUNT_ID";
pub(crate) const WORKSPACE_ID: &str = "DATABRICKS_WORKSPACE_ID";
pub(crate) const TOKEN: &str = "DATABRICKS_TOKEN";
pub(crate) const USERNAME: &str = "DATABRICKS_USERNAME";
pub(crate) const PASSWORD: &str = "DATABRICKS_PASSWORD";
pub(crate) const CONFIG_PROFILE: &str = "DATABRICKS_CONFIG_PROFILE";
pub(crate) const CONFIG_FILE: &str = "DATABRICKS_CONFIG_FILE";
pub(crate) const OAUTH_CALLBACK_PORT: &str = "DATABRICKS_OAUTH_CALLBACK_PORT";
pub(crate) const GOOGLE_SERVICE_ACCOUNT: &str = "DATABRICKS_GOOGLE_SERVICE_ACCOUNT";
pub(crate) const GOOGLE_CREDENTIALS: &str = "GOOGLE_CREDENTIALS";
pub(crate) const AZURE_RESOURCE_ID: &str = "DATABRICKS_AZURE_RESOURCE_ID";
pub(crate) const ARM_USE_MSI: &str = "ARM_USE_MSI";
pub(crate) const ARM_CLIENT_SECRET: &str = "ARM_CLIENT_SECRET";
pub(crate) const ARM_CLIENT_ID: &str = "ARM_CLIENT_ID";
pub(crate) const ARM_TENANT_ID: &str = "ARM_TENANT_ID";
pub(crate) const ACTIONS_ID_TOKEN_REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
pub(crate) const ACTIONS_ID_TOKEN_REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
pub(crate) const ARM_ENVIRONMENT: &str = "ARM_ENVIRONMENT";
pub(crate) const AZURE_LOGIN_APP_ID: &str = "DATABRICKS_AZURE_LOGIN_APP_ID";
pub(crate) const CLIENT_ID: &str = "DATABRICKS_CLIENT_ID";
pub(crate) const CLIENT_SECRET: &str = "DATABRICKS_CLIENT_SECRET";
pub(crate) const DISABLE_OAUTH_REFRESH_TOKEN: &str = "DATABRICKS_DISABLE_OAUTH_REFRESH_TOKEN";
pub(crate) const CLI_PATH: &str = "DATABRICKS_CLI_PATH";
pub(crate) const AUTH_TYPE: &str = "DATABRICKS_AUTH_TYPE";
pub(crate) const OIDC_TOKEN_FILEPATH: &str = "DATABRICKS_OIDC_TOKEN_FILEPATH";
pub(crate) const OIDC_TOKEN_FILE: &str = "DATABRICKS_OIDC_TOKEN_FILE";
pub(crate) const OIDC_TOKEN_ENV: &str = "DATABRICKS_OIDC_TOKEN_ENV";
pub(crate) const DEBUG_TRUNCATE_BYTES: &str = "DATABRICKS_DEBUG_TRUNCATE_BYTES";
pub(crate) const DEBUG_HEADERS: &str = "DATABRICKS_DEBUG_HEADERS";
pub(crate) const RATE_LIMIT: &str = "DATABRICKS_RATE_LIMIT";
pub(crate) const CLOUD: &str = "DATABRICKS_CLOUD";
pub(crate) const TOKEN_AUDIENCE: &str = "DATABRICKS_TOKEN_AUDIENCE";
pub(crate) const DISCOVERY_URL: &str = "DATABRICKS_DISCOVERY_URL";
pub(crate) const AZURE_TOKEN_VERSION: &str = "DATABRICKS_AZURE_TOKEN_VERSION";

// Where Azure is asked, if not at its public addresses; all but the second as Azure's own programs know them.
pub(crate) const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
pub(crate) const AZURE_RESOURCE_MANAGER_HOST: &str = "AZURE_RESOURCE_MANAGER_HOST";
/// Where the Azure CLI keeps who has signed in.
pub(crate) const AZURE_CONFIG_DIR: &str = "AZURE_CONFIG_DIR";
pub(crate) const AZURE_METADATA_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

/// Holds an id token where `oidc_token_env` names no other variable.
pub(crate) const OIDC_TOKEN: &str = "DATABRICKS_OIDC_TOKEN";
// What Azure Pipelines tells a step of its job: <https://learn.microsoft.com/azure/devops/pipelines/build/variables>.
pub(crate) const SYSTEM_ACCESS_TOKEN: &str = "SYSTEM_ACCESSTOKEN";
pub(crate) const SYSTEM_COLLECTION_URI: &str = "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI";
pub(crate) const SYSTEM_TEAM_PROJECT_ID: &str = "SYSTEM_TEAMPROJECTID";
pub(crate) const SYSTEM_PLAN_ID: &str = "SYSTEM_PLANID";
pub(crate) const SYSTEM_JOB_ID: &str = "SYSTEM_JOBID";
pub(crate) const SYSTEM_HOST_TYPE: &str = "SYSTEM_HOSTTYPE";

// Google's application default credentials.
pub(crate) const GOOGLE_APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
pub(crate) const CLOUDSDK_CONFIG: &str = "CLOUDSDK_CONFIG";
pub(crate) const APPDATA: &str = "APPDATA";
pub(crate) const GCE_METADATA_HOST: &str = "GCE_METADATA_HOST";
/// Our own, for tests: an address on loopback in the place of Google's services. No other address is taken.
pub(crate) const GOOGLE_ENDPOINT: &str = "DATABRICKS_GOOGLE_ENDPOINT";

// How the tool itself behaves.
pub(crate) const OUTPUT_FORMAT: &str = "DATABRICKS_OUTPUT_FORMAT";
pub(crate) const FALLBACK_CLI: &str = "DATABRICKS_FALLBACK_CLI";
/// How many programs have handed over to each other so far.
pub(crate) const FALLBACK_DEPTH: &str = "DATABRICKS_FALLBACK_DEPTH";
pub(crate) const BUNDLE_ROOT: &str = "DATABRICKS_BUNDLE_ROOT";
pub(crate) const BUNDLE_TARGET: &str = "DATABRICKS_BUNDLE_TARGET";
/// The old name of [`BUNDLE_TARGET`].
pub(crate) const BUNDLE_ENV: &str = "DATABRICKS_BUNDLE_ENV";
/// Before the name of a bundle's variable.
pub(crate) const BUNDLE_VARIABLE_PREFIX: &str = "BUNDLE_VAR_";
pub(crate) const LOG_LEVEL: &str = "DATABRICKS_LOG_LEVEL";
pub(crate) const LOG_FILE: &str = "DATABRICKS_LOG_FILE";
pub(crate) const CACHE_DIR: &str = "DATABRICKS_CACHE_DIR";
pub(crate) const CACHE_ENABLED: &str = "DATABRICKS_CACHE_ENABLED";
/// Where sign-ins are kept: `secure` or `plaintext`.
pub(crate) const AUTH_STORAGE: &str = "DATABRICKS_AUTH_STORAGE";
/// Our own: another folder for `token-cache.json` and the locks beside it.
pub(crate) const TOKEN_CACHE_DIR: &str = "DATABRICKS_TOKEN_CACHE_DIR";
pub(crate) const UPSTREAM: &str = "DATABRICKS_CLI_UPSTREAM";
pub(crate) const UPSTREAM_VERSION: &str = "DATABRICKS_CLI_UPSTREAM_VERSION";

/// Where a sign-in begins that knows no host.
pub(crate) const DISCOVERY_HOST: &str = "DATABRICKS_DISCOVERY_HOST";

// Whether there is a browser here, and how somebody elsewhere reaches this machine.
pub(crate) const BROWSER: &str = "BROWSER";
/// A screen of this machine, or one that ssh forwards.
pub(crate) const SCREENS: &[&str] = &["DISPLAY", "WAYLAND_DISPLAY"];
/// Set in the Windows Subsystem for Linux, whose browser is that of Windows.
pub(crate) const WSL: &[&str] = &["WSL_DISTRO_NAME", "WSL_INTEROP"];
/// `client port server port`, as sshd sets it.
pub(crate) const SSH_CONNECTION: &str = "SSH_CONNECTION";
pub(crate) const USER_NAMES: &[&str] = &["USER", "LOGNAME"];
#[cfg(windows)]
pub(crate) const SYSTEM_ROOT: &str = "SystemRoot";

// Files of other programs.
pub(crate) const NETRC: &str = "NETRC";
// libpq's. https://www.postgresql.org/docs/current/libpq-envars.html
pub(crate) const PGDATABASE: &str = "PGDATABASE";
pub(crate) const PGHOST: &str = "PGHOST";
pub(crate) const PGPASSFILE: &str = "PGPASSFILE";
pub(crate) const PGPASSWORD: &str = "PGPASSWORD";
pub(crate) const PGPORT: &str = "PGPORT";
pub(crate) const PGSSLMODE: &str = "PGSSLMODE";
pub(crate) const PGSSLROOTCERT: &str = "PGSSLROOTCERT";
pub(crate) const PGUSER: &str = "PGUSER";
/// Variables of libpq that lead a connection to another server than the one that is named.
pub(crate) const PG_DETOURS: &[&str] = &["PGHOSTADDR", "PGSERVICE"];
pub(crate) const GITHUB_ENV: &str = "GITHUB_ENV";

// Conventions of home folders, shells, terminals and of the network.
pub(crate) const PATH: &str = "PATH";
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
pub(crate) const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
pub(crate) const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
pub(crate) const WORKSPACES: &str = "DATABRICKS_WORKSPACES";
pub(crate) const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
pub(crate) const TEMPORARY_FOLDER: &str = if cfg!(windows) { "TEMP" } else { "TMPDIR" };
pub(crate) const TIME_ZONE: &str = "TZ";
pub(crate) const SESSION_BUS: &str = "DBUS_SESSION_BUS_ADDRESS";
pub(crate) const SHELL: &str = "SHELL";
pub(crate) const ZDOTDIR: &str = "ZDOTDIR";
pub(crate) const NO_COLOR: &str = "NO_COLOR";
pub(crate) const TERM: &str = "TERM";
pub(crate) const MSYSTEM: &str = "MSYSTEM";
pub(crate) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
pub(crate) const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
pub(crate) const REQUESTS_CA_BUNDLE: &str = "REQUESTS_CA_BUNDLE";
pub(crate) const CURL_CA_BUNDLE: &str = "CURL_CA_BUNDLE";
/// Where a proxy for https may be named, first match wins. `HTTP_PROXY` is not among them: plain http goes to loopback only, and never through a proxy.
pub(crate) const HTTPS_PROXIES: &[&str] = &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Where other programs find a proxy for plain http.
#[cfg(unix)]
pub(crate) const PROXIES_FOR_HTTP: &[&str] = &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
pub(crate) const NO_PROXIES: &[&str] = &["NO_PROXY", "no_proxy"];

/// The socket at which a supervisor waits to hear that a service is ready: <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>.
#[cfg(unix)]
pub(crate) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

// Who started the tool, for the User-Agent.
pub(crate) const SDK_UPSTREAM: &str = "DATABRICKS_SDK_UPSTREAM";
pub(crate) const SDK_UPSTREAM_VERSION: &str = "DATABRICKS_SDK_UPSTREAM_VERSION";
pub(crate) const RUNTIME_VERSION: &str = "DATABRICKS_RUNTIME_VERSION";
/// Variables that tell a CI system when all are set: to this value, or to any.
pub(crate) type Marks = &'static [(&'static str, Option<&'static str>)];
/// CI systems, first match wins, as in the Go SDK.
pub(crate) const CI_SYSTEMS: &[(&str, Marks)] = &[
    ("github", &[("GITHUB_ACTIONS", Some("true"))]),
    ("gitlab", &[("GITLAB_CI", Some("true"))]),
    ("jenkins", &[("JENKINS_URL", None)]),
    ("azure-devops", &[("TF_BUILD", Some("True"))]),
    ("circle", &[("CIRCLECI", Some("true"))]),
    ("travis", &[("TRAVIS", Some("true"))]),
    ("bitbucket", &[("BITBUCKET_BUILD_NUMBER", None)]),
    ("google-cloud-build", &[("PROJECT_ID", None), ("BUILD_ID", None), ("PROJECT_NUMBER", None), ("LOCATION", None)]),
    ("aws-code-build", &[("CODEBUILD_BUILD_ARN", None)]),
    ("tf-cloud", &[("TFC_RUN_ID", None)]),
];
/// Coding agents, each with the variable whose presence tells it, as in the SDKs.
pub(crate) const AGENTS: &[(&str, &str)] = &[
    ("amp", "AMP_CURRENT_THREAD_ID"),
    ("antigravity", "ANTIGRAVITY_AGENT"),
    ("augment", "AUGMENT_AGENT"),
    ("claude-code", "CLAUDECODE"),
    ("cline", "CLINE_ACTIVE"),
    ("codex", "CODEX_CI"),
    ("copilot-cli", "COPILOT_CLI"),
    ("cursor", "CURSOR_AGENT"),
    ("gemini-cli", "GEMINI_CLI"),
    ("goose", "GOOSE_TERMINAL"),
    ("kiro", "KIRO"),
    ("openclaw", "OPENCLAW_SHELL"),
    ("opencode", "OPENCODE"),
    ("pi", "PI_CODING_AGENT"),
    ("vscode-agent", "VSCODE_AGENT"),
    ("windsurf", "WINDSURF_AGENT"),
];
/// Where an agent without a variable of its own may name itself.
pub(crate) const AGENT_NAMES: &[&str] = &["AGENT", "AI_AGENT"];

/// What the tool reads beside the attributes of unified authentication, with what it does: for the help and the man page.
pub(crate) static BEHAVIOUR: &[(&str, &str)] = &[
    (OUTPUT_FORMAT, "`text` or `json`: how to print where -o says nothing."),
    (LOG_LEVEL, "`debug` or `trace`: show requests and replies, without their secrets, as --debug does."),
    (LOG_FILE, "Where they are written: a path, `stderr` or `stdout`."),
    (CACHE_DIR, "The folder of what can be made again, such as the names for the Tab key; otherwise a folder below XDG_CACHE_HOME or ~/.cache."),
    (CACHE_ENABLED, "`false`: keep and use no such names."),
    (AUTH_STORAGE, "Where sign-ins are kept: `secure`, the keyring of the system, or `plaintext`, the file token-cache.json."),
    (TOKEN_CACHE_DIR, "The folder of token-cache.json; otherwise ~/.databricks."),
    (FALLBACK_CLI, "The official CLI, to run the commands that this program does not have; see: databricks help fallback."),
    (FALLBACK_DEPTH, "How many programs have handed over to each other so far; set for the official CLI, so that no circle comes about."),
    (BUNDLE_ROOT, "The folder of the bundle whose host and profile count; otherwise the folder with a databricks.yml above the current one."),
    (BUNDLE_TARGET, "The target of the bundle, where -t names none; DATABRICKS_BUNDLE_ENV is its old name."),
    (BUNDLE_VARIABLE_PREFIX, "With a name behind it: the value of that variable of the bundle, where its host or profile refers to one."),
    (UPSTREAM, "The program that this one works for, named to the workspace; DATABRICKS_CLI_UPSTREAM_VERSION is its version."),
    (BROWSER, "The program that opens the page of a sign-in, or `none`: only show the link."),
    (DISCOVERY_HOST, "Where a sign-in without a host begins; otherwise https://login.databricks.com."),
    (WORKSPACES, "Workspaces to choose from at `session start` and `session home`, beside the profiles: `NAME=URL` or `URL`, separated by commas."),
    (XDG_RUNTIME_DIR, "Where the folders of managed sessions lie, if it is yours alone; otherwise below TMPDIR or /tmp."),
    (SSH_CONNECTION, "Set by sshd: a sign-in opens no browser here, and shows the line of ssh that leads to this machine."),
    (AZURE_AUTHORITY_HOST, "Where Entra ID is, such as https://login.microsoftonline.us; otherwise as the Azure cloud says. https, or http to loopback."),
    (AZURE_RESOURCE_MANAGER_HOST, "Where Azure Resource Manager is, which tells the host of azure_workspace_resource_id. https, or http to loopback."),
    (AZURE_METADATA_HOST, "Where the managed identity is asked instead of 169.254.169.254: a loopback address."),
    (HOME, "The folder of .databrickscfg."),
    (SHELL, "The shell that `completion install` is for."),
    (NO_COLOR, "Anything: no colours, and no questions either."),
    (TERM, "`dumb`: no colours, and no questions either."),
    (SSL_CERT_FILE, "Certificates of authorities to trust, in PEM; REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE are understood too."),
    (SSL_CERT_DIR, "A folder of such certificates."),
    ("HTTPS_PROXY", "The proxy for https; ALL_PROXY is understood too. Never used for loopback."),
    ("NO_PROXY", "Hosts that are reached without the proxy, separated by commas."),
];

/// A snapshot of the environment, taken once at the start; tests make their own.
///
/// An empty variable counts as unset everywhere, as in every Databricks SDK.
#[derive(Clone, Default)]
pub(crate) struct Env {
    variables: BTreeMap<OsString, OsString>,
}

impl Env {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub(crate) fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// The value of a variable, if it is set, not empty and text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }

    /// A variable that holds a path, which need not be text.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The user's home folder: `HOME` (`USERPROFILE` on Windows), and nothing else, so that a test or a job can move it.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.path(HOME)
    }

    /// Where what can be found out again is kept between runs: `DATABRICKS_CACHE_DIR`, else `databricks` in the user's folder for caches. `None` where it is turned off
    /// (`DATABRICKS_CACHE_ENABLED`), or there is no place for it.
    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        let off = self.get(CACHE_ENABLED).is_some_and(|value| ["false", "0", "no", "off"].iter().any(|word| value.eq_ignore_ascii_case(word)));
        if off {
            return None;
        }
        let below = |folder: PathBuf| folder.join("databricks");
        self.path(CACHE_DIR)
            .or_else(|| self.path(XDG_CACHE_HOME).filter(|folder| folder.is_absolute()).map(below))
            .or_else(|| self.home().map(|home| below(home.join(".cache"))))
    }

    /// The same environment with one variable set: for what the tool tells itself, and for tests.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}

impl std::fmt::Debug for Env {
    /// Names only: values may be secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}
