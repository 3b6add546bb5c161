//! Google as the one who says who a service account is: signed assertions, and the tokens that Google gives for them.
//! <https://developers.google.com/identity/protocols/oauth2/service-account>, <https://cloud.google.com/iam/docs/reference/credentials/rest>
//!
//! A workspace on Google Cloud takes an id token of Google's whose audience is its address, and for some calls a second token in a header of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::auth::oauth::reply;
use crate::auth::oauth::server::{EXCHANGE_LIMIT, Signed, connect};
use crate::auth::session::{self, Slot};
use crate::auth::{Credential, Ports};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files;
use crate::host::Host;
use crate::http::{ApiError, Repeat, Request, Sign, Verb};
use crate::secret::Secret;
use crate::signals::Hold;
use crate::storage::StoredToken;
use crate::text;

/// What a workspace may do at Google with the second token.
pub(crate) const SCOPES: &str = "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/compute";
/// For credentials that only act as a service account: all that doing so needs.
const ACTING_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The header of the second token; as it is, without a scheme.
const ACCESS_TOKEN_HEADER: &str = "X-Databricks-GCP-SA-Access-Token";
/// Seconds that an assertion counts; the most that Google takes.
const ASSERTION_LIFE: i64 = 3_600;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LARGEST_FILE: u64 = 1 << 20;
/// For the metadata server, which answers at once where there is one.
const METADATA_LIMIT: Duration = Duration::from_secs(5);

/// Why a method of Google's does not apply.
pub(crate) fn obstacle(settings: &Settings, _: &Env) -> Option<String> {
    let host = settings.host().ok().flatten();
    let on_google = match settings.text(Attr::Cloud) {
        _ if settings.get(Attr::AzureWorkspaceResourceId).is_some() => false,
        Some(cloud) => cloud.eq_ignore_ascii_case("gcp"),
        None => host.is_some_and(|host| host.cloud() == crate::host::Cloud::Gcp),
    };
    (!on_google).then(|| "the host is not on Google Cloud (where its name does not tell: cloud = GCP, or DATABRICKS_CLOUD)".to_owned())
}

/// A key file of a service account.
pub(crate) struct ServiceAccount {
    pub(crate) email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type", default)]
    kind: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

impl ServiceAccount {
    /// Reads the JSON of a key file.
    ///
    /// # Errors
    /// In words that follow the name of the place; nothing of the key is in them.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        Self::of(serde_json::from_str(json).map_err(|error| no_json(&error))?)
    }

    fn of(file: File) -> Result<Self, String> {
        if file.kind != "service_account" {
            return Err(format!("is no key of a service account: its type is {}", text::quoted(&file.kind)));
        }
        let email = file.client_email.filter(|email| !email.is_empty()).ok_or("has no client_email")?;
        let pem = Secret::new(file.private_key.filter(|key| !key.is_empty()).ok_or("has no private_key")?);
        let token_uri = file.token_uri.filter(|uri| !uri.is_empty()).ok_or("has no token_uri")?;
        endpoint(&token_uri).map_err(|why| format!("names {} as its token_uri: {why}, so nothing is sent there", text::quoted(&token_uri)))?;
        let key = rsa_key(&pem).ok_or("has a private_key that is no RSA key in PEM (PKCS #8)")?;
        Ok(Self { email, key_id: file.private_key_id, key, token_uri })
    }

    /// A signed statement of who this is (RFC 7523), for a token endpoint of Google's.
    fn assertion(&self, extra: (&str, &str), now: Timestamp) -> Result<Secret> {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let now = now.as_second();
        let mut claims = json!({"iss": self.email, "aud": self.token_uri, "iat": now, "exp": now + ASSERTION_LIFE});
        claims[extra.0] = json!(extra.1);
        let mut signed = [URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string())].join(".");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Failure::new("the assertion for Google cannot be signed with this private_key"))?;
        signed.push('.');
        signed.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        Ok(Secret::new(signed))
    }

    fn exchange<T: DeserializeOwned>(&self, ports: &Ports<'_>, extra: (&str, &str)) -> Result<T> {
        let assertion = self.assertion(extra, clock::now())?;
        post_form(ports, &self.token_uri, vec![("grant_type", Secret::new(GRANT)), ("assertion", assertion)])
    }

    /// An id token of Google's for a host: the bearer token of a workspace.
    ///
    /// # Errors
    /// If Google gives none.
    pub(crate) fn id_token(&self, ports: &Ports<'_>, audience: &Host) -> Result<StoredToken> {
        #[derive(Deserialize)]
        struct Reply {
            id_token: Option<String>,
        }
        let reply: Reply = self.exchange(ports, ("target_audience", audience.as_str()))?;
        named(reply.id_token, "id_token", None)
    }

    /// An access token of Google's with [`SCOPES`].
    ///
    /// # Errors
    /// If Google gives none.
    pub(crate) fn access_token(&self, ports: &Ports<'_>) -> Result<StoredToken> {
        self.access_token_for(SCOPES, ports)
    }

    fn access_token_for(&self, scopes: &str, ports: &Ports<'_>) -> Result<StoredToken> {
        let reply: AccessReply = self.exchange(ports, ("scope", scopes))?;
        reply.token()
    }
}

#[derive(Deserialize)]
struct AccessReply {
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

impl AccessReply {
    fn token(self) -> Result<StoredToken> {
        let now = clock::now();
        let life = reply::seconds(&self.expires_in).filter(|life| *life > 0).unwrap_or(reply::USUAL_LIFE);
        named(self.access_token, "access_token", now.checked_add(jiff::SignedDuration::from_secs(life)).ok())
    }
}

fn named(token: Option<String>, name: &str, expiry: Option<Timestamp>) -> Result<StoredToken> {
    let token = Zeroizing::new(token.unwrap_or_default());
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::new(format!("Google answered without {name}")).hint("Check that the service account exists and its key is not disabled").into());
    }
    let now = clock::now();
    // An id token tells its end itself; one that does not is good for as long as Google's are.
    let usual = now.checked_add(jiff::SignedDuration::from_secs(reply::USUAL_LIFE)).ok();
    let expiry = expiry.or_else(|| reply::expiry_claim(&token).and_then(|end| Timestamp::from_second(end).ok())).or(usual);
    Ok(reply::bare(&token, expiry, now))
}

/// The key in the armour of PEM (RFC 7468): PKCS #8 as Google writes it, or PKCS #1.
fn rsa_key(pem: &Secret) -> Option<RsaKeyPair> {
    let text = pem.expose().trim();
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.trim_end().strip_suffix("-----END")?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
    match label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
        _ => None,
    }
}

/// Where assertions and secrets may be sent to: Google's own hosts, and this machine.
fn endpoint(url: &str) -> Result<(Host, &str), String> {
    let (host, path) = Host::split(url).map_err(|failure| failure.to_string())?;
    let is_google =
        host.as_str().starts_with("https://") && !host.has_port() && (host.name() == "accounts.google.com" || host.name().ends_with(".googleapis.com"));
    if is_google || host.is_loopback() { Ok((host, path)) } else { Err("that is no host of Google's".to_owned()) }
}

/// The origin of one of Google's services, or where a test has put it: a variable may move it to this machine, and nowhere else.
///
/// # Errors
/// If the variable holds anything but an address on loopback.
fn service(name: &str, env: &Env) -> Result<Host> {
    let Some(moved) = env.get(env::GOOGLE_ENDPOINT) else { return Ok(Host::parse(&format!("https://{name}.googleapis.com"))?) };
    match Host::parse(moved) {
        Ok(host) if host.is_loopback() => Ok(host),
        _ => Err(Failure::new(format!("{} holds no address on this machine, and tokens go nowhere else", env::GOOGLE_ENDPOINT))
            .hint(format!("Unset {}", env::GOOGLE_ENDPOINT))
            .into()),
    }
}

fn post_form<T: DeserializeOwned>(ports: &Ports<'_>, url: &str, form: Vec<(&'static str, Secret)>) -> Result<T> {
    let (host, path) = endpoint(url).map_err(Failure::new)?;
    let mut request = Request::new(Verb::Post, path).form(form);
    // A second token does no harm: the first one ends by itself.
    request.repeat = Repeat::Freely;
    send(ports, &host, None, &request)
}

fn send<T: DeserializeOwned>(ports: &Ports<'_>, host: &Host, signed: Option<&dyn Sign>, request: &Request<'_>) -> Result<T> {
    let reply = connect(ports, host, EXCHANGE_LIMIT)?.send(signed, request);
    let reply = reply.map_err(|error| match error.downcast_ref::<ApiError>() {
        Some(refusal) => {
            let code = if refusal.error_code.is_empty() { String::new() } else { format!("{}: ", refusal.error_code) };
            Failure::new(format!("Google ({host}) gives no token: {code}{} (HTTP status {})", refusal.message, refusal.status)).into()
        }
        None => error,
    })?;
    Ok(reply.json()?)
}

fn no_json(error: &serde_json::Error) -> String {
    format!("cannot be read: it is no JSON of Google's (line {}, column {})", error.line(), error.column())
}

/// The key that `google_credentials` holds or names, and its text.
///
/// # Errors
/// If there is none that can be used. A path is shown only if there is such a file: what was meant to be the JSON is not.
pub(crate) fn credentials(settings: &Settings) -> Result<(ServiceAccount, Secret)> {
    let place = settings.get(Attr::GoogleCredentials).map(|sourced| sourced.source.place()).unwrap_or_default();
    let hint = format!("google_credentials comes from the {place}; it takes the path of a service account's key file, or its JSON");
    let refuse = |what: &str| anyhow::Error::from(Failure::new(what).hint(hint.as_str()));
    let value = settings.secret(Attr::GoogleCredentials).map(|value| value.expose().trim()).unwrap_or_default();
    let json = if value.starts_with('{') {
        Secret::new(value)
    } else {
        let bytes = files::read_foreign(Path::new(value), LARGEST_FILE).map_err(|error| refuse(&error.to_string()))?;
        let bytes = Zeroizing::new(bytes.ok_or_else(|| refuse("google_credentials is neither JSON nor the path of a file that is there"))?);
        Secret::new(std::str::from_utf8(&bytes).map_err(|_| refuse("the file that google_credentials names is no text"))?)
    };
    let account = ServiceAccount::read(json.expose()).map_err(|why| refuse(&format!("google_credentials {why}")))?;
    Ok((account, json))
}

/// How one of the two tokens is made.
type Mint<'a> = &'a dyn Fn() -> Result<StoredToken>;

/// The credential of a workspace on Google Cloud: the id token as the bearer, and beside it the access token. Without that one most calls work, so its failure is but a remark.
///
/// # Errors
/// If there is no id token.
pub(crate) fn credential(
    method: &'static str,
    host: Host,
    who: &str,
    secret: &Secret,
    ports: &Ports<'_>,
    id_token: Mint<'_>,
    access_token: Mint<'_>,
) -> Result<Credential> {
    let kept = |kind: &str, mint: Mint<'_>| {
        let key = session::minted_key(method, &host, &[kind, who], secret);
        let renew = |_: Option<&StoredToken>, _: &Hold| mint();
        session::living(&Slot { keys: std::slice::from_ref(&key), lock: &key, spends: None, renew: &renew }, ports)
    };
    let bearer = kept("id token of", id_token).map_err(|error| error.context(method))?;
    let mut remarks = bearer.remarks;
    let second = kept("access token of", access_token);
    let mut credential = Credential::bearer(host, method, bearer.token, Vec::new());
    match second {
        Ok(living) => {
            remarks.extend(living.remarks);
            credential.headers.push((ACCESS_TOKEN_HEADER, living.token.access_token));
        }
        Err(error) => remarks.push(format!("{method}: there is no second token for {ACCESS_TOKEN_HEADER}, so calls that need it fail: {error:#}")),
    }
    remarks.dedup();
    credential.remarks = remarks;
    Ok(credential)
}

/// Google's application default credentials: what this machine or person is to Google.
/// <https://cloud.google.com/docs/authentication/application-default-credentials>
pub(crate) enum Application {
    Account {
        account: Box<ServiceAccount>,
        fingerprint: Secret,
    },
    /// A person, signed in with `gcloud auth application-default login`.
    Person {
        client_id: String,
        client_secret: Secret,
        refresh_token: Secret,
    },
    /// The service account of the virtual machine, by its metadata server.
    Machine(Host),
}

impl Application {
    /// Finds them: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the file of `gcloud`, else the metadata server.
    ///
    /// # Errors
    /// If a file is there that cannot be used.
    pub(crate) fn find(env: &Env) -> Result<Self> {
        if let Some(path) = env.path(env::GOOGLE_APPLICATION_CREDENTIALS) {
            return Self::of_file(&path)?.ok_or_else(|| {
                Failure::new(format!("there is no file {}", text::one_line(&path.display().to_string())))
                    .hint(format!("Its name comes from {}", env::GOOGLE_APPLICATION_CREDENTIALS))
                    .into()
            });
        }
        if let Some(found) = well_known(env).map(|path| Self::of_file(&path)).transpose()?.flatten() {
            return Ok(found);
        }
        let Some(moved) = env.get(env::GCE_METADATA_HOST) else { return Ok(Self::Machine(Host::instance_metadata())) };
        match Host::parse(&format!("http://{moved}")) {
            Ok(host) if host.is_loopback() => Ok(Self::Machine(host)),
            _ if matches!(moved, "169.254.169.254" | "metadata.google.internal" | "metadata") => Ok(Self::Machine(Host::instance_metadata())),
            _ => Err(Failure::new(format!("{} is neither the metadata server of Google Cloud nor on this machine", env::GCE_METADATA_HOST))
                .hint(format!("Unset {}", env::GCE_METADATA_HOST))
                .into()),
        }
    }

    fn of_file(path: &Path) -> Result<Option<Self>> {
        let shown = text::one_line(&path.display().to_string()).into_owned();
        let refuse = |what: &str| Failure::new(format!("{shown} {what}")).hint("To sign in anew: gcloud auth application-default login");
        let Some(bytes) = files::read_foreign(path, LARGEST_FILE)?.map(Zeroizing::new) else { return Ok(None) };
        let file: File = serde_json::from_slice(&bytes).map_err(|error| refuse(&no_json(&error)))?;
        match file.kind.as_str() {
            "service_account" => {
                let account = ServiceAccount::of(file).map_err(|why| refuse(&why))?;
                let fingerprint = Secret::new(String::from_utf8_lossy(&bytes).into_owned());
                Ok(Some(Self::Account { account: Box::new(account), fingerprint }))
            }
            "authorized_user" => match (file.client_id, file.client_secret, file.refresh_token) {
                (Some(client_id), Some(secret), Some(refresh)) => {
                    Ok(Some(Self::Person { client_id, client_secret: Secret::new(secret), refresh_token: Secret::new(refresh) }))
                }
                _ => Err(refuse("lacks client_id, client_secret or refresh_token").into()),
            },
            other => Err(refuse(&format!("is of the type {}; only service_account and authorized_user can be used here", text::quoted(other))).into()),
        }
    }

    /// What tells these credentials from others.
    pub(crate) fn fingerprint(&self) -> Secret {
        match self {
            Self::Account { fingerprint, .. } => fingerprint.clone(),
            Self::Person { refresh_token, .. } => refresh_token.clone(),
            Self::Machine(host) => Secret::new(host.as_str()),
        }
    }

    /// An access token of Google's.
    fn access_token(&self, ports: &Ports<'_>) -> Result<StoredToken> {
        match self {
            Self::Account { account, .. } => account.access_token_for(ACTING_SCOPE, ports),
            Self::Person { client_id, client_secret, refresh_token } => {
                let form = vec![
                    ("grant_type", Secret::new("refresh_token")),
                    ("client_id", Secret::new(client_id.as_str())),
                    ("client_secret", client_secret.clone()),
                    ("refresh_token", refresh_token.clone()),
                ];
                let reply: AccessReply = post_form(ports, &format!("{}/token", service("oauth2", ports.env)?), form)?;
                reply.token()
            }
            Self::Machine(host) => {
                let request = Request::get("/computeMetadata/v1/instance/service-accounts/default/token")
                    .query("scopes", ACTING_SCOPE)
                    .header("Metadata-Flavor", "Google");
                let response = connect(ports, host, METADATA_LIMIT)?.send(None, &request).map_err(|error| {
                    Failure::new(format!("there are no application default credentials: no file, and the metadata server at {host} does not help: {error:#}"))
                        .hint("On a machine of your own: gcloud auth application-default login")
                        .hint("Or name a file: GOOGLE_APPLICATION_CREDENTIALS")
                })?;
                // Whatever else answers at that address, such as another cloud, says something else.
                if response.header("Metadata-Flavor") != Some("Google") {
                    return Err(Failure::new(format!("what answers at {host} is no metadata server of Google's"))
                        .hint("Name a file: GOOGLE_APPLICATION_CREDENTIALS")
                        .into());
                }
                let reply: AccessReply = response.json()?;
                reply.token()
            }
        }
    }

    /// A call of the IAM service account credentials API as these.
    fn iam<T: DeserializeOwned>(&self, ports: &Ports<'_>, account: &str, action: &str, body: &Value) -> Result<T> {
        // It becomes a segment of a path.
        if account.is_empty() || !account.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'-' | b'_')) {
            return Err(Failure::new(format!("google_service_account is {}, which is no address of a service account", text::quoted(account)))
                .hint("It looks like name@project.iam.gserviceaccount.com")
                .into());
        }
        let host = service("iamcredentials", ports.env)?;
        let own = self.access_token(ports)?;
        let signed = Signed { host: host.clone(), headers: vec![("Authorization", Secret::new(["Bearer ", own.access_token.expose()].concat()))] };
        let mut request = Request::new(Verb::Post, format!("/v1/projects/-/serviceAccounts/{account}:{action}")).json(body.to_string());
        request.repeat = Repeat::Freely;
        send(ports, &host, Some(&signed), &request).map_err(|error| match error.downcast_ref::<Failure>() {
            Some(failure) => {
                Failure::new(failure.to_string()).hint(format!("Check that you may act as {account}: it takes the role Service Account Token Creator")).into()
            }
            None => error,
        })
    }

    /// An id token of a service account for a host.
    ///
    /// # Errors
    /// If these credentials give none.
    pub(crate) fn id_token_of(&self, ports: &Ports<'_>, account: &str, audience: &Host) -> Result<StoredToken> {
        #[derive(Deserialize)]
        struct Reply {
            token: Option<String>,
        }
        let reply: Reply = self.iam(ports, account, "generateIdToken", &json!({"audience": audience.as_str(), "includeEmail": true}))?;
        named(reply.token, "token", None)
    }

    /// An access token of a service account with [`SCOPES`].
    ///
    /// # Errors
    /// If these credentials give none.
    pub(crate) fn access_token_of(&self, ports: &Ports<'_>, account: &str) -> Result<StoredToken> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            access_token: Option<String>,
            expire_time: Option<String>,
        }
        let scopes: Vec<&str> = SCOPES.split(' ').collect();
        let reply: Reply = self.iam(ports, account, "generateAccessToken", &json!({"scope": scopes, "lifetime": format!("{ASSERTION_LIFE}s")}))?;
        named(reply.access_token, "accessToken", reply.expire_time.and_then(|time| time.parse().ok()))
    }
}

/// Where `gcloud` keeps what it signed in with.
fn well_known(env: &Env) -> Option<PathBuf> {
    const NAME: &str = "application_default_credentials.json";
    let folder = env.path(env::CLOUDSDK_CONFIG).or_else(|| {
        if cfg!(windows) { env.path(env::APPDATA).map(|folder| folder.join("gcloud")) } else { env.home().map(|home| home.join(".config/gcloud")) }
    })?;
    Some(folder.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_go_to_google_or_nowhere() {
        for url in ["https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token", "http://127.0.0.1:8080/token"] {
            endpoint(url).expect(url);
        }
        for url in [
            "http://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com:8443/token",
            "https://googleapis.com.evil.example/token",
            "https://evilgoogleapis.com/token",
            "https://evil.example/oauth2.googleapis.com",
            "https://oauth2.googleapis.com@evil.example/token",
            "oauth2.googleapis.com/token",
        ] {
            endpoint(url).expect_err(url);
        }
        let moved = |value: &str| service("iamcredentials", &Env::default().with(env::GOOGLE_ENDPOINT, value));
        assert_eq!(service("iamcredentials", &Env::default()).expect("a host").as_str(), "https://iamcredentials.googleapis.com");
        assert_eq!(moved("http://127.0.0.1:80").expect("a host").as_str(), "http://127.0.0.1");
        for value in ["https://evil.example", "http://evil.example", "127.0.0.1.evil.example", "https://iamcredentials.googleapis.com"] {
            moved(value).expect_err(value);
        }
    }

    #[test]
    fn a_key_file_says_what_it_lacks() {
        let read = |json: &str| ServiceAccount::read(json).map(|_| ()).expect_err(json);
        assert_eq!(read("{"), "cannot be read: it is no JSON of Google's (line 1, column 1)");
        assert_eq!(read("{\"type\":\"authorized_user\"}"), "is no key of a service account: its type is \"authorized_user\"");
        let mut file = json!({"type": "service_account"});
        for (field, value, next) in [
            ("client_email", "a@b", "has no client_email"),
            ("private_key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "has no private_key"),
            ("token_uri", "https://evil.example/token", "has no token_uri"),
        ] {
            assert_eq!(read(&file.to_string()), next);
            file[field] = json!(value);
        }
        assert_eq!(read(&file.to_string()), "names \"https://evil.example/token\" as its token_uri: that is no host of Google's, so nothing is sent there");
        file["token_uri"] = json!("https://oauth2.googleapis.com/token");
        assert_eq!(read(&file.to_string()), "has a private_key that is no RSA key in PEM (PKCS #8)");
    }
}
