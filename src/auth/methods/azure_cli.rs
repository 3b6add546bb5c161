//! `azure-cli`: whoever has signed in with the Azure CLI, a person, a service principal or a managed identity.
//! <https://learn.microsoft.com/azure/databricks/dev-tools/auth/azure-cli>, <https://learn.microsoft.com/cli/azure/account#az-account-get-access-token>

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::auth::azure::{self, Entra, Identity};
use crate::auth::chain::NotSetUp;
use crate::auth::oauth::reply;
use crate::auth::program::{self, TIME_LIMIT, Trouble};
use crate::auth::session::Ended;
use crate::auth::{Credential, Locate, Method, Ports};
use crate::clock::{self, LocalZone};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::env::Env;
use crate::error::Failure;
use crate::host::Host;
use crate::http::looks_secret;
use crate::secret::Secret;
use crate::storage::StoredToken;
use crate::text;

pub(crate) static METHOD: Method = Method {
    name: "azure-cli",
    title: "Azure CLI",
    needs: &[],
    automatic: true,
    obstacle: |settings, _| azure::obstacle(settings),
    locate: Some(Locate { from: Attr::AzureWorkspaceResourceId, find: locate }),
    acquire,
};

/// Longest complaint of the program that is passed on, in characters.
const LONGEST_COMPLAINT: usize = 400;
/// On Windows it is `az.cmd`, a script that runs Python; it is looked for there by its endings.
const NAME: &str = "az";

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    with_identity(settings, Some(&host.clone()), ports, |identity| identity.credential(settings, host, ports))
}

fn locate(settings: &Settings, ports: &Ports<'_>) -> Result<Host> {
    with_identity(settings, None, ports, |identity| identity.locate(settings, ports))
}

fn with_identity<T>(settings: &Settings, host: Option<&Host>, ports: &Ports<'_>, work: impl FnOnce(&Identity<'_>) -> Result<T>) -> Result<T> {
    let asking = Asking { settings, host, ports, az: OnceCell::new(), kind: OnceCell::new(), tenant: OnceCell::new(), started: OnceCell::new() };
    let tenant = settings.text(Attr::AzureTenantId).unwrap_or_default();
    let subscription = azure::subscription(settings).unwrap_or_default();
    // Where the program keeps who has signed in: another folder, another identity.
    let folder = ports.env.get(crate::env::AZURE_CONFIG_DIR).unwrap_or_default();
    let sign_in = sign_in(ports.env);
    work(&Identity {
        method: METHOD.name,
        parts: &[tenant, subscription, folder, &sign_in],
        secret: None,
        mint: &|resource| asking.token(resource),
        shows_rights: true,
    })
}

/// What changes when somebody else signs in to the program or chooses another subscription: the file in which it keeps that. Told without starting it.
fn sign_in(env: &Env) -> String {
    let folder = env.path(crate::env::AZURE_CONFIG_DIR).or_else(|| env.home().map(|home| home.join(".azure")));
    let changed = folder.and_then(|folder| std::fs::metadata(folder.join("azureProfile.json")).ok()?.modified().ok());
    changed.and_then(|changed| changed.duration_since(std::time::UNIX_EPOCH).ok()).map_or_else(String::new, |since| format!("since {}", since.as_millis()))
}

/// Who has signed in, as far as it decides what may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Also where nobody can tell.
    Person,
    ServicePrincipal,
    /// It has one tenant, and naming it is an error.
    ManagedIdentity,
}

#[derive(Deserialize)]
struct Account {
    user: Option<AccountUser>,
}

#[derive(Deserialize)]
struct AccountUser {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// What `az account get-access-token` prints.
#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "accessToken")]
    access_token: Option<String>,
    #[serde(default, rename = "tokenType")]
    token_type: String,
    /// Seconds since 1970-01-01; newer versions only.
    #[serde(default)]
    expires_on: Value,
    /// `YYYY-MM-DD HH:MM:SS[.ffffff]`, by the clock on the wall.
    #[serde(default, rename = "expiresOn")]
    expires_at: String,
    #[serde(default)]
    tenant: String,
}

/// One acquisition: what it has learnt is not asked twice.
struct Asking<'a> {
    settings: &'a Settings,
    host: Option<&'a Host>,
    ports: &'a Ports<'a>,
    az: OnceCell<PathBuf>,
    kind: OnceCell<Kind>,
    tenant: OnceCell<Option<String>>,
    started: OnceCell<Instant>,
}

/// Why a call of the program gave nothing.
enum Call {
    /// It ended with an error; what it said.
    Complained(String),
    /// There is no more to be tried.
    Final(anyhow::Error),
}

impl Asking<'_> {
    /// A token for a resource, of the tenant of the workspace where that is known.
    fn token(&self, resource: &str) -> Result<StoredToken> {
        let kind = self.kind()?;
        let tenant = if kind == Kind::ManagedIdentity { None } else { self.tenant()? };
        let subscription = azure::subscription(self.settings).filter(|_| tenant.is_none());
        // The program takes only one of the two.
        let narrow: Option<[&str; 2]> = tenant.map(|tenant| ["--tenant", tenant]).or(subscription.map(|subscription| ["--subscription", subscription]));
        let plain = ["account", "get-access-token", "--resource", resource, "--output", "json"];
        let outcome = match narrow {
            None => self.call(&plain),
            Some(narrow) => match self.call(&[&plain[..], &narrow[..]].concat()) {
                // A service principal lives in one tenant; some versions refuse to hear its name. A subscription may be one that nobody has listed.
                Err(Call::Complained(_)) if kind == Kind::ServicePrincipal || tenant.is_none() => self.call(&plain),
                other => other,
            },
        };
        let output = outcome.map_err(|error| match error {
            Call::Complained(said) => self.explain(&said, resource),
            Call::Final(error) => error,
        })?;
        self.read(&output, tenant)
    }

    fn kind(&self) -> Result<Kind> {
        if let Some(kind) = self.kind.get() {
            return Ok(*kind);
        }
        let kind = match self.call(&["account", "show", "--output", "json"]) {
            Err(Call::Final(error)) => return Err(error),
            Err(Call::Complained(said)) if is_signed_out(&said) => return Err(self.explain(&said, "")),
            // Without a subscription there is nothing to show, but there may be tokens.
            Err(Call::Complained(_)) => Kind::Person,
            Ok(output) => match serde_json::from_slice::<Account>(&output) {
                Err(_) => return Err(garbage("az account show", "it is no JSON")),
                Ok(Account { user: Some(user) }) if user.kind == "servicePrincipal" => match user.name.as_str() {
                    "systemAssignedIdentity" | "userAssignedIdentity" => Kind::ManagedIdentity,
                    _ => Kind::ServicePrincipal,
                },
                Ok(_) => Kind::Person,
            },
        };
        Ok(*self.kind.get_or_init(|| kind))
    }

    /// The tenant that is set, else that of the workspace; where that does not tell, the program's own counts.
    ///
    /// # Errors
    /// If what is set can be none.
    fn tenant(&self) -> Result<Option<&str>> {
        if self.tenant.get().is_none() {
            let entra = Entra::new(self.settings, self.host, self.ports)?;
            let found = match entra.tenant() {
                Ok(tenant) => Some(tenant.into_owned()),
                Err(error) if self.settings.get(Attr::AzureTenantId).is_some() => return Err(error),
                Err(_) => None,
            };
            drop(self.tenant.set(found));
        }
        Ok(self.tenant.get().and_then(Option::as_deref))
    }

    /// Runs the program.
    fn call(&self, arguments: &[&str]) -> Result<Zeroizing<Vec<u8>>, Call> {
        let az = self.az().map_err(Call::Final)?;
        let line = format!("az {}", arguments[..2].join(" "));
        // All calls that a token needs share the time.
        let left = TIME_LIMIT.saturating_sub(self.started.get_or_init(Instant::now).elapsed());
        let ended = program::run(az, arguments, left).map_err(|trouble| {
            let failure = |what: &str| Failure::new(format!("azure-cli: {} gives no token: {line} {what}", az.display()));
            let hint = "To see what it does: az account get-access-token --output none --debug";
            let failure = match trouble {
                Trouble::Missing => failure("is not there any more").hint("Install the Azure CLI anew: https://aka.ms/azure-cli"),
                Trouble::NotStarted(reason) => {
                    failure(&format!("cannot be started: {}", text::one_line(&reason))).hint("Install the Azure CLI anew: https://aka.ms/azure-cli")
                }
                Trouble::TooSlow(_) => failure(&format!("did not end within {} seconds and was stopped", TIME_LIMIT.as_secs())).hint(hint),
                Trouble::Asks(_) => failure("asks something at the terminal and was stopped").hint("To answer it: az login"),
                Trouble::TooMuch => failure("printed more than a token has and was stopped").hint(hint),
            };
            Call::Final(failure.into())
        })?;
        if ended.code == Some(0) {
            return Ok(ended.stdout);
        }
        let code = ended.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        let said = complaint(&String::from_utf8_lossy(&ended.stderr));
        Err(Call::Complained(if said.is_empty() { format!("{line} ended with {code} and said nothing") } else { said }))
    }

    /// Where the program is.
    fn az(&self) -> Result<&PathBuf> {
        if let Some(az) = self.az.get() {
            return Ok(az);
        }
        let found = program::find(OsStr::new(NAME), self.ports.env).ok_or_else(|| {
            Failure::new("azure-cli: az is not installed: no folder of PATH has it")
                .hint("Install the Azure CLI (https://aka.ms/azure-cli), then sign in: az login")
                .hint("Without it: set azure_client_id and azure_client_secret of a service principal, or azure_use_msi = true on a machine of Azure")
                .marked(NotSetUp)
        })?;
        Ok(self.az.get_or_init(|| found))
    }

    /// What the program's complaint means.
    fn explain(&self, said: &str, resource: &str) -> anyhow::Error {
        let login = match self.tenant() {
            Ok(Some(tenant)) => format!("az login --tenant {tenant}"),
            _ => "az login".to_owned(),
        };
        if is_signed_out(said) {
            let failure = Failure::new(format!("azure-cli: nobody is signed in to the Azure CLI: {said}"));
            return failure.hint(format!("To sign in: {login}")).marked(NotSetUp).into();
        }
        Failure::new(format!("azure-cli: az gives no token for {resource}: {said}"))
            .hint(format!("To sign in anew: {login}"))
            .hint("To see who is signed in: az account show")
            .marked(Ended::Grant)
            .into()
    }

    /// Reads what the program printed.
    fn read(&self, output: &[u8], wanted: Option<&str>) -> Result<StoredToken> {
        const LINE: &str = "az account get-access-token";
        let printed: Printed = serde_json::from_slice(output).map_err(|_| garbage(LINE, "it is not the JSON of a token"))?;
        let token = printed.access_token.filter(|token| !token.is_empty()).map(Secret::new).ok_or_else(|| garbage(LINE, "it has no accessToken"))?;
        if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(garbage(LINE, "its accessToken holds characters that no token has"));
        }
        let now = clock::now();
        let on_the_wall = || {
            let civil: jiff::civil::DateTime = printed.expires_at.trim().replacen(' ', "T", 1).parse().ok()?;
            Some(LocalZone::of(self.ports.env).get().to_ambiguous_zoned(civil).compatible().ok()?.timestamp())
        };
        let expiry = reply::seconds(&printed.expires_on).and_then(|second| Timestamp::from_second(second).ok()).or_else(on_the_wall);
        let expiry = expiry.or_else(|| Timestamp::from_second(reply::expiry_claim(token.expose())?).ok()).ok_or_else(|| garbage(LINE, "it has no expiry"))?;
        let life = expiry.duration_since(now);
        if life <= SignedDuration::ZERO {
            return Err(Failure::new("azure-cli: az gave a token that has ended already")
                .hint("Check the clock of this machine; then sign in anew: az login")
                .into());
        }
        let own = reply::claim(token.expose(), "tid").unwrap_or(printed.tenant);
        if let Some(wanted) = wanted.filter(|wanted| is_id(wanted) && !own.is_empty() && !own.eq_ignore_ascii_case(wanted)) {
            return Err(Failure::new(format!("azure-cli: az gave a token of tenant {}, but the workspace belongs to tenant {wanted}", text::one_line(&own)))
                .hint(format!("To sign in there: az login --tenant {wanted}"))
                .into());
        }
        let token_type = if printed.token_type.is_empty() { "Bearer".to_owned() } else { text::one_line(&printed.token_type).into_owned() };
        Ok(StoredToken { access_token: token, token_type, refresh_token: None, expiry: Some(expiry), expires_in: Some(life.as_secs()) })
    }
}

/// Whether it is the id of a tenant and not one of its domains.
fn is_id(tenant: &str) -> bool {
    tenant.len() == 36 && tenant.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// Nothing of what was printed is shown: it may be a token.
fn garbage(line: &str, why: &str) -> anyhow::Error {
    Failure::new(format!("azure-cli: what {line} prints cannot be used: {why}")).hint("To see it yourself: az account get-access-token --output json").into()
}

/// Whether the program says that there is nobody whose token it could have.
fn is_signed_out(said: &str) -> bool {
    ["Please run 'az login'", "Please run \"az login\"", "az login to setup account", "No subscription found"].iter().any(|words| said.contains(words))
}

/// What the program said on standard error: its errors alone, on one line, of bounded length, and without anything that could be a token.
fn complaint(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines.iter().position(|line| line.starts_with("ERROR:"));
    let told: Vec<&str> = match first {
        Some(first) => {
            lines[first..].iter().map(|line| line.strip_prefix("ERROR:").unwrap_or(line).trim()).filter(|line| !line.starts_with("WARNING:")).collect()
        }
        None => lines.into_iter().rev().take(1).collect(),
    };
    text::one_line(&text::shortened(&without_secrets(&told.join(" ")), LONGEST_COMPLAINT)).into_owned()
}

/// The text with `***` for each long word of the letters of tokens.
fn without_secrets(said: &str) -> String {
    const LONGEST: usize = 37;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+');
    let mut safe = String::with_capacity(said.len());
    let mut rest = said;
    while let Some(start) = rest.find(is_letter) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !is_letter(c)).unwrap_or(word.len()));
        safe.push_str(before);
        safe.push_str(if word.len() > LONGEST || looks_secret(word) || (word.starts_with("eyJ") && word.len() > 8) { "***" } else { word });
        rest = after;
    }
    safe + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever `az` prints, a token that is taken can be sent and lives, and no error shows what may be one.
        #[test]
        fn any_output_gives_a_usable_token_or_an_error_without_it(
            text in crate::json::any_nearly_json(),
            token in "[!-~]{20,60}|[ -~]{20,30}|.{0,10}",
            fields in prop::collection::vec((prop::sample::select(vec!["tokenType", "expires_on", "expiresOn", "tenant", "accessToken"]), crate::json::any_nearly_json()), 0..5),
            date in "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,9})?",
            wanted in prop::option::of("[0-9a-f-]{36}"),
        ) {
            let mut object = format!("{{\"accessToken\":{},\"expiresOn\":\"{date}\"", Value::from(&*token));
            for (name, value) in &fields {
                object += &format!(",\"{name}\":{value}");
            }
            object.push('}');
            let (settings, env) = (Settings::of_values(&[]), Env::default());
            let ports = Ports { env: &env, options: &|| unreachable!("nobody is asked"), storage: &|| unreachable!("nothing is kept"), want: crate::auth::Want::USUAL };
            let asking =
                Asking { settings: &settings, host: None, ports: &ports, az: OnceCell::new(), kind: OnceCell::new(), tenant: OnceCell::new(), started: OnceCell::new() };
            for printed in [&text, &object] {
                match asking.read(printed.as_bytes(), wanted.as_deref()) {
                    Ok(found) => {
                        prop_assert!(!found.access_token.is_empty() && found.access_token.expose().bytes().all(|b| b.is_ascii_graphic()));
                        prop_assert!(found.expiry.is_some_and(|expiry| expiry > clock::now() - SignedDuration::from_secs(60)));
                        prop_assert!(!found.token_type.contains(text::is_unsafe));
                    }
                    Err(error) => prop_assert!(token.len() < 20 || !format!("{error:#}").contains(token.trim()), "{:#}", error),
                }
            }
        }

        /// A complaint is one short line, and holds no word that is as long as a token.
        #[test]
        fn any_complaint_is_short_and_safe(stderr in "(.{0,40}\n?|ERROR: |WARNING: |eyJ[A-Za-z0-9_-]{1,80}\\.|[A-Za-z0-9~._-]{38,80}| ){0,12}") {
            let said = complaint(&stderr);
            prop_assert!(said.chars().count() <= 10 * LONGEST_COMPLAINT && !said.contains(text::is_unsafe));
            // An escape such as `\t` may lend a letter to the word behind it.
            prop_assert!(said.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.~+".contains(c))).all(|word| word.len() <= 38), "{}", said);
        }
    }

    #[test]
    fn complaints_are_short_safe_and_without_tokens() {
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", "a".repeat(100));
        let said = complaint(&format!(
            "WARNING: an update is there\nERROR: AADSTS50076: use MFA for tenant 9b2c6a1e-0f2d-4c9a-8e55-3f3d1f0a7c11 {token}\u{1b}]0;x\u{7}\nTo sign in: az login --scope https://management.core.windows.net//.default\n"
        ));
        assert_eq!(
            said,
            "AADSTS50076: use MFA for tenant 9b2c6a1e-0f2d-4c9a-8e55-3f3d1f0a7c11 ***\\u{1b}]0;x\\u{7} To sign in: az login --scope https://management.core.windows.net//.default"
        );
        assert_eq!(complaint("Traceback\nKeyError: 'x'\n"), "KeyError: 'x'");
        assert_eq!(complaint(" \n"), "");
        assert!(complaint(&format!("ERROR: {}", "word ".repeat(1000))).chars().count() <= LONGEST_COMPLAINT + 1);
        assert_eq!(without_secrets("token=eyJ0.eyJ1.x, secret a8Q~abcdefghijklmnopqrstuvwxyz0123456789 end"), "token=***, secret *** end");
    }

    #[test]
    fn who_is_signed_out_is_told_in_several_words() {
        for said in ["Please run 'az login' to setup account.", "No subscription found. Run 'az account set' to select a subscription."] {
            assert!(is_signed_out(said), "{said}");
        }
        assert!(!is_signed_out("AADSTS700082: The refresh token has expired due to inactivity."));
    }
}
