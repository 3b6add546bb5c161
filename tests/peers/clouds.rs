//! Azure and Google through our program and both SDKs: the same method, the same requests, the same headers for the workspace, or the same kind of failure.
//!
//! Every name of the clouds leads to the embedded Entra ID, Resource Manager, metadata service and Google: through a proxy, with a certificate of the tests' own authority.
//! Nothing else is moved, so the names count too.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::detour::Detour;
use super::oracle::{Oracle, root};
use super::settings::{Dice, Failure};
use crate::azure::{Az, DAY};
use crate::harness::Home;
use crate::workspace::{AzureIdentity, DATABRICKS, OTHER_TENANT, RESOURCE_ID, Recorded, TENANT, Workspace};

/// A request for a token or a host: who was asked for what, without what is another each time.
type Essence = String;

/// What came of a combination.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    /// The method that signs and the headers that it adds for the workspace, or why none does.
    end: Result<(String, BTreeSet<String>), Failure>,
    asked: BTreeSet<Essence>,
}

type Environment = BTreeMap<&'static str, String>;

/// An intended difference; `docs/differences.md` says the same at greater length under this name.
struct Intended {
    name: &'static str,
    peers: &'static [&'static str],
    applies: fn(&Environment, ours: &Outcome, theirs: &Outcome) -> bool,
}

/// What one asked and the other did not.
fn only<'a>(one: &'a Outcome, other: &'a Outcome) -> Vec<&'a str> {
    one.asked.difference(&other.asked).map(String::as_str).collect()
}

/// The method, if one signs.
fn method(outcome: &Outcome) -> &str {
    outcome.end.as_ref().map(|(method, _)| method.as_str()).unwrap_or_default()
}

/// Whether it belongs to `github-oidc`.
fn is_exchange(line: &str) -> bool {
    line.contains("/oidc/v1/token")
}

fn is_on(environment: &Environment, suffix: &str) -> bool {
    environment.get("DATABRICKS_HOST").is_some_and(|host| host.ends_with(suffix))
}

const INTENDED: &[Intended] = &[
    Intended {
        // A person's rights in Azure are not the workspace's business.
        name: "az-person",
        peers: &["Go"],
        applies: |_, ours, theirs| {
            let management = "x-databricks-azure-sp-management-token";
            let without = theirs.end.clone().map(|(method, headers)| (method, headers.into_iter().filter(|name| name != management).collect()));
            method(ours) == "azure-cli"
                && ours.end == without
                && only(ours, theirs).is_empty()
                && only(theirs, ours).iter().all(|line| line.contains("https://management."))
        },
    },
    Intended {
        // Where the program does not give a token of the tenant that is set: Go sends another one or says nothing, Python does not ask again without the tenant.
        name: "az-tenant",
        peers: &["Go", "Python"],
        applies: |environment, ours, theirs| {
            let mine = only(ours, theirs);
            environment.get("ARM_TENANT_ID").is_some_and(|tenant| tenant == OTHER_TENANT)
                && ours.end.is_err()
                && (theirs.end.is_err() || method(theirs) == "azure-cli")
                && only(theirs, ours).iter().chain(&mine).all(|line| line.starts_with("az "))
        },
    },
    Intended {
        name: "no-sign-in",
        peers: &["Python"],
        applies: |_, ours, theirs| ours.end == Err(Failure::SignedOut) && theirs.end == Err(Failure::Incomplete) && ours.asked == theirs.asked,
    },
    Intended {
        // Methods of Azure and Google in any cloud.
        name: "cloud-checked",
        peers: &["Python"],
        applies: |environment, _, theirs| {
            let crashed = matches!(&theirs.end, Err(Failure::Other(text)) if text.contains("'NoneType' object has no attribute"));
            crashed || (!is_on(environment, ".gcp.databricks.com") && theirs.asked.iter().any(|line| line.contains(".googleapis.com")))
        },
    },
    Intended {
        name: "tenant-found",
        peers: &["Go"],
        applies: |environment, ours, theirs| {
            let entra = |outcome: &Outcome| outcome.asked.iter().any(|line| line.starts_with("POST login."));
            !environment.contains_key("ARM_TENANT_ID") && entra(ours) && !entra(theirs)
        },
    },
    Intended {
        // The host is found from the resource id for this method too.
        name: "tenant-found",
        peers: &["Go", "Python"],
        applies: |environment, ours, theirs| {
            let asserts = |outcome: &Outcome| outcome.asked.iter().any(|line| line.contains("client_assertion="));
            !environment.contains_key("DATABRICKS_HOST") && asserts(ours) && !asserts(theirs)
        },
    },
    Intended {
        name: "no-msi",
        peers: &["Python"],
        applies: |environment, ours, theirs| {
            let metadata = |outcome: &Outcome| outcome.asked.iter().any(|line| line.starts_with("GET metadata service"));
            environment.contains_key("ARM_USE_MSI") && metadata(ours) && !metadata(theirs)
        },
    },
    Intended {
        name: "python-order",
        peers: &["Python"],
        applies: |environment, ours, theirs| {
            !environment.contains_key("DATABRICKS_AUTH_TYPE") && method(theirs) == "azure-client-secret" && method(ours) != "azure-client-secret"
        },
    },
    Intended {
        // Without a client_id Python does not try.
        name: "github-oidc",
        peers: &["Python"],
        applies: |_, ours, theirs| ours.end == theirs.end && only(theirs, ours).is_empty() && only(ours, theirs).iter().all(|line| is_exchange(line)),
    },
    Intended {
        // A managed identity hears of no tenant; then the subscription of the resource id counts.
        name: "az-subscription",
        peers: &["Go"],
        applies: |environment, ours, theirs| {
            let differ = [only(ours, theirs), only(theirs, ours)].concat();
            environment.contains_key("DATABRICKS_AZURE_RESOURCE_ID")
                && !differ.is_empty()
                && method(ours) == method(theirs)
                && differ.iter().all(|line| line.starts_with("az ") && !line.contains("--tenant"))
        },
    },
    Intended {
        // That header applies with every token of Entra ID.
        name: "github-resource-id",
        peers: &["Go", "Python"],
        applies: |environment, ours, theirs| {
            environment.contains_key("DATABRICKS_AZURE_RESOURCE_ID")
                && only(theirs, ours).is_empty()
                && only(ours, theirs).iter().all(|line| is_exchange(line))
                && [ours, theirs].iter().all(|outcome| method(outcome) == "github-oidc-azure")
        },
    },
    Intended {
        name: "chain-goes-on",
        peers: &["Python"],
        applies: |environment, ours, theirs| !environment.contains_key("DATABRICKS_AUTH_TYPE") && theirs.end == Err(Failure::Refused) && ours.end != theirs.end,
    },
];

const PUBLIC: &str = "https://adb-1.2.azuredatabricks.net";
const GOVERNMENT: &str = "https://adb-1.2.databricks.azure.us";
const CHINA: &str = "https://adb-1.2.databricks.azure.cn";
const GOOGLE: &str = "https://1.2.gcp.databricks.com";

/// The variables with their values; words in capitals stand for what the test has of the kind. An empty value stands for a variable that is not set.
const VARIABLES: &[(&str, &[&str])] = &[
    ("DATABRICKS_HOST", &["", PUBLIC, PUBLIC, PUBLIC, GOVERNMENT, CHINA, GOOGLE, GOOGLE, GOOGLE]),
    ("DATABRICKS_AZURE_RESOURCE_ID", &["", "", "RESOURCE"]),
    ("ARM_CLIENT_ID", &["", "", "MEMBER", "STRANGER", "STRANGER", "wrong-id"]),
    ("ARM_CLIENT_SECRET", &["", "", "", "SECRET", "SECRET", "wrong-secret"]),
    ("ARM_TENANT_ID", &["", "TENANT", "TENANT", "OTHER"]),
    ("ARM_USE_MSI", &["", "", "true"]),
    ("ARM_ENVIRONMENT", &["", "", "", "", "USGOVERNMENT", "CHINA"]),
    ("DATABRICKS_GOOGLE_SERVICE_ACCOUNT", &["", "", "ROBOT", "ROBOT", "nobody@project-1.iam.gserviceaccount.com"]),
    ("GOOGLE_CREDENTIALS", &["", "", "KEY", "FORGED"]),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", &["", "GITHUB"]),
    ("AZ", &["", "nobody", "person", "principal", "machine"]),
    (
        "DATABRICKS_AUTH_TYPE",
        &["", "", "azure-client-secret", "azure-client-secret", "azure-msi", "azure-cli", "azure-cli", "github-oidc-azure", "google-credentials", "google-id"],
    ),
];

/// Too much at once to be left to the dice.
const FIXED: &[&[(&str, &str)]] = &[
    &[
        ("DATABRICKS_HOST", PUBLIC),
        ("ARM_CLIENT_ID", "MEMBER"),
        ("ARM_TENANT_ID", "TENANT"),
        ("DATABRICKS_AZURE_RESOURCE_ID", "RESOURCE"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB"),
        ("DATABRICKS_AUTH_TYPE", "github-oidc-azure"),
    ],
    &[("ARM_CLIENT_ID", "STRANGER"), ("DATABRICKS_AZURE_RESOURCE_ID", "RESOURCE"), ("ARM_TENANT_ID", "TENANT"), ("ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB")],
    &[
        ("DATABRICKS_HOST", PUBLIC),
        ("ARM_CLIENT_ID", "MEMBER"),
        ("ARM_CLIENT_SECRET", "SECRET"),
        ("ARM_TENANT_ID", "TENANT"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB"),
    ],
    &[("DATABRICKS_HOST", PUBLIC), ("ARM_CLIENT_ID", "STRANGER"), ("ARM_TENANT_ID", "TENANT"), ("ARM_USE_MSI", "true"), ("DATABRICKS_AUTH_TYPE", "azure-msi")],
    &[("DATABRICKS_HOST", PUBLIC), ("ARM_TENANT_ID", "OTHER"), ("AZ", "principal"), ("DATABRICKS_AUTH_TYPE", "azure-cli")],
    &[("DATABRICKS_HOST", PUBLIC), ("ARM_TENANT_ID", "TENANT"), ("AZ", "person"), ("DATABRICKS_AUTH_TYPE", "azure-cli")],
    &[("DATABRICKS_HOST", PUBLIC), ("DATABRICKS_AZURE_RESOURCE_ID", "RESOURCE"), ("AZ", "machine"), ("DATABRICKS_AUTH_TYPE", "azure-cli")],
    &[("DATABRICKS_HOST", PUBLIC), ("ARM_CLIENT_ID", "STRANGER"), ("ARM_CLIENT_SECRET", "SECRET"), ("DATABRICKS_AUTH_TYPE", "azure-client-secret")],
    &[("DATABRICKS_HOST", GOOGLE), ("ARM_CLIENT_ID", "STRANGER"), ("ARM_CLIENT_SECRET", "SECRET"), ("ARM_TENANT_ID", "TENANT")],
];

const CASES: usize = 110;

#[test]
fn azure_and_google_are_asked_alike() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let detour = Detour::to(&workspace);
    let az = Az::installed(&home, &workspace);
    let secrets = [AzureIdentity::Member, AzureIdentity::Stranger].map(|identity| workspace.azure_secret(identity, DAY));
    let key = home.path().join("key.json");
    home.store(&key);
    home.write(&key, at_google(workspace.google_key_file()));
    let (go_path, mut go, mut python) = (home.path().parent().expect("a root").join("bin"), Oracle::go(), Oracle::python());
    let mut dice = Dice(11);
    let mut differences = Vec::new();
    let mut used: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..CASES {
        let mut environment: Environment = BTreeMap::new();
        for (name, word) in FIXED.get(number).map_or_else(|| thrown(&mut dice), |fixed| fixed.to_vec()) {
            let member = workspace.azure_client_id(AzureIdentity::Member);
            let value = match word {
                "RESOURCE" => RESOURCE_ID.to_owned(),
                "MEMBER" => member.to_owned(),
                "STRANGER" => workspace.azure_client_id(AzureIdentity::Stranger).to_owned(),
                "SECRET" => secrets[usize::from(environment.get("ARM_CLIENT_ID").is_none_or(|id| id != member))].clone(),
                "TENANT" => TENANT.to_owned(),
                "OTHER" => OTHER_TENANT.to_owned(),
                "ROBOT" => Workspace::GOOGLE_ACCOUNT.to_owned(),
                "KEY" => at_google(workspace.google_key_file()),
                "FORGED" => at_google(workspace.forged_google_key_file()),
                "GITHUB" => workspace.github_request().0,
                other => other.to_owned(),
            };
            environment.insert(name, value);
        }
        if environment.contains_key("ACTIONS_ID_TOKEN_REQUEST_URL") {
            environment.insert("ACTIONS_ID_TOKEN_REQUEST_TOKEN", workspace.github_request().1);
        }
        if is_on(&environment, ".gcp.databricks.com") {
            // Nobody means that.
            environment.remove("DATABRICKS_AZURE_RESOURCE_ID");
        }
        environment.insert("GOOGLE_APPLICATION_CREDENTIALS", key.display().to_string());
        let az_user = environment.remove("AZ").unwrap_or_default();
        sign_in(&az, &az_user);
        let ca = workspace.ca_file().display().to_string();
        let mut all: BTreeMap<String, String> = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy"] {
            all.insert(name.to_owned(), detour.url());
        }
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
            all.insert(name.to_owned(), ca.clone());
        }
        let ours = ours(&all, &home, &workspace, &az);
        *ends.entry(format!("{:?}", ours.end.as_ref().map(|(method, _)| method))).or_default() += 1;
        all.insert("HOME".to_owned(), home.path().display().to_string());
        all.insert("PATH".to_owned(), format!("{}:/usr/bin:/bin", go_path.display()));
        let question = json!({"op": "resolve", "env": all, "profile": "", "flag": ""});
        for (peer, oracle) in [("Go", &mut go), ("Python", &mut python)] {
            clear(&workspace, &az);
            let answer = oracle.ask(&question);
            let end = match answer["error"].as_str() {
                Some(error) => Err(Failure::of(error)),
                None => {
                    let names = answer["headers"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    Ok((answer["method"].as_str().unwrap_or_default().to_owned(), names.filter_map(extra).collect()))
                }
            };
            let theirs = Outcome { end, asked: asked(&workspace, &az) };
            if ours == theirs {
                continue;
            }
            match INTENDED.iter().find(|intended| intended.peers.contains(&peer) && (intended.applies)(&environment, &ours, &theirs)) {
                Some(intended) => *used.entry((intended.name, peer)).or_default() += 1,
                None => differences.push(difference(peer, &ours, &theirs, &environment, &az_user)),
            }
        }
    }
    assert!(differences.is_empty(), "{} differences ({used:?}, {ends:?}):\n{}", differences.len(), differences.join("\n"));
    let documented = std::fs::read_to_string(root().join("docs/differences.md")).expect("docs/differences.md");
    for intended in INTENDED {
        for peer in intended.peers {
            assert!(used.contains_key(&(intended.name, peer)), "{} of {peer} did not occur", intended.name);
        }
        assert!(documented.contains(&format!("`{}`", intended.name)), "docs/differences.md does not tell of {}", intended.name);
    }
    for method in ["azure-client-secret", "azure-msi", "azure-cli", "github-oidc-azure", "google-credentials", "google-id"] {
        assert!(ends.contains_key(&format!("Ok({method:?})")), "{method} never signed: {ends:?}");
    }
}

/// A key file as Google makes it.
fn at_google(mut key: Value) -> String {
    key["token_uri"] = json!("https://oauth2.googleapis.com/token");
    key.to_string()
}

/// A difference that nobody intends, as short as it can be told.
fn difference(peer: &str, ours: &Outcome, theirs: &Outcome, environment: &Environment, az: &str) -> String {
    let only = |one: &Outcome, other: &Outcome| only(one, other).join("\n    ");
    let short = environment.iter().map(|(name, value)| format!("{name}={}", value.chars().take(60).collect::<String>()));
    let (common, short) = (ours.asked.intersection(&theirs.asked).count(), short.collect::<Vec<_>>().join(" "));
    format!(
        "{peer}: {:?}\n    {}\nours: {:?}\n    {}\n{common} requests alike; az: {az} {short}\n",
        theirs.end,
        only(theirs, ours),
        ours.end,
        only(ours, theirs)
    )
}

/// A combination, mostly of the variables of one cloud: together they are in each other's way.
fn thrown(dice: &mut Dice) -> Vec<(&'static str, &'static str)> {
    let cloud = dice.choose(&["azure", "azure", "azure", "azure", "google", "google", "both"]);
    let throw = |(name, values): &(&'static str, &[&'static str])| {
        let is_foreign = |value: &str| match cloud {
            "azure" => name.contains("GOOGLE") || value.contains("google") || value == GOOGLE,
            "google" => name.contains("ARM") || name.contains("AZ") || value.contains("azure"),
            _ => false,
        };
        let value = (0..8).map(|_| dice.choose(values)).find(|value| !is_foreign(value)).unwrap_or_default();
        (*name, value)
    };
    VARIABLES.iter().map(throw).filter(|(_, value)| !value.is_empty()).collect()
}

/// Whoever is signed in to the fake Azure CLI.
fn sign_in(az: &Az<'_>, who: &str) {
    let (kind, name, identity) = match who {
        "person" => ("user", "ann@example.com", AzureIdentity::Person),
        "principal" => ("servicePrincipal", "an-app", AzureIdentity::Stranger),
        "machine" => ("servicePrincipal", "systemAssignedIdentity", AzureIdentity::Stranger),
        _ => return az.sign_out(),
    };
    az.signed_in(kind, name);
    for tenant in ["-", TENANT] {
        let clouds = ["core.windows.net", "azure.com", "core.usgovcloudapi.net", "usgovcloudapi.net", "core.chinacloudapi.cn", "chinacloudapi.cn"];
        for resource in clouds.map(|name| format!("https://management.{name}")).iter().map(String::as_str).chain([DATABRICKS]) {
            az.token(tenant, TENANT, identity, resource);
        }
    }
}

/// The headers beside `Authorization` that a method adds.
fn extra(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-databricks-").then_some(name)
}

fn clear(workspace: &Workspace, az: &Az<'_>) {
    workspace.clear_requests();
    az.put("calls", "");
}

/// Runs our program and sees who is asked. Each case starts without tokens and places of earlier ones.
fn ours(environment: &BTreeMap<String, String>, home: &Home, workspace: &Workspace, az: &Az<'_>) -> Outcome {
    clear(workspace, az);
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut run = home.command("current-user me").env("DATABRICKS_AUTH_STORAGE", "plaintext").env("DATABRICKS_TOKEN_CACHE_DIR", cache.path());
    // The one service whose address is a number: no proxy of ours leads there.
    run = run.env("XDG_CACHE_HOME", cache.path()).env("AZURE_POD_IDENTITY_AUTHORITY_HOST", workspace.url());
    let run = environment.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
    let me = workspace.requests().into_iter().find(|request| request.path.ends_with("/Me"));
    let end = match me {
        Some(request) => {
            let agent = request.header("User-Agent").unwrap_or_default().to_owned();
            let method = agent.split(' ').find_map(|word| word.strip_prefix("auth/")).unwrap_or_default().to_owned();
            Ok((method, request.headers.iter().filter_map(|(name, _)| extra(name)).collect()))
        }
        None => Err(Failure::of(
            run.stderr.split("Error: ").nth(1).unwrap_or_default().split("\nHint:").next().unwrap_or_default().split("\n\n").next().unwrap_or_default(),
        )),
    };
    Outcome { end, asked: asked(workspace, az) }
}

/// Who was asked for a token or a host since the requests were cleared.
fn asked(workspace: &Workspace, az: &Az<'_>) -> BTreeSet<Essence> {
    // Nobody gets a token before somebody signs in, however often it is asked; and together the two options are refused.
    let calls = if az.is_signed_in() { az.calls() } else { Vec::new() };
    let counts = |line: &String| line.contains("get-access-token") && !(line.contains("--subscription") && line.contains("--tenant"));
    let program = calls.into_iter().filter(counts).map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let options: BTreeSet<String> = words.chunks(2).skip(1).map(|pair| pair.join(" ")).filter(|option| option != "--output json").collect();
        format!("az {}", options.into_iter().collect::<Vec<_>>().join(" "))
    });
    workspace.requests().iter().filter_map(essence).chain(program).collect()
}

fn essence(request: &Recorded) -> Option<Essence> {
    let host = request.header("Host").unwrap_or_default().trim_end_matches(":443").to_owned();
    let path = request.path.as_str();
    // Python joins the address of Resource Manager and a resource with two slashes, which is the same place there.
    let path = path.strip_prefix('/').filter(|path| path.starts_with('/')).unwrap_or(path);
    let host = match path {
        "/token" => host,
        _ if path.ends_with("/oauth2/token") && path.starts_with("/metadata") => "metadata service".to_owned(),
        _ if path.starts_with("/_actions") => "GitHub".to_owned(),
        // Where Google's library may have tokens used, which changes nothing.
        _ if path.ends_with("/allowedLocations") => return None,
        _ if path.ends_with("/token") || path.starts_with("/subscriptions") || path.contains("/serviceAccounts/") => host,
        _ => return None,
    };
    let is_entra = path.ends_with("/oauth2/token") && host.starts_with("login.");
    if is_entra && request.form("client_id").is_none() && request.header("Authorization").is_some() {
        // Go tries Basic authentication first, as its library does with every server; what it goes on with is what counts.
        return None;
    }
    let mut said: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // Entra ID's first endpoint knows resources, not scopes; Python sends both.
    let fields = request.form_fields().into_iter().filter(|(name, value)| !(is_entra && name == "scope" && value == "all-apis"));
    said.extend(fields.map(|(name, value)| match name.as_str() {
        "client_secret" | "client_assertion" | "subject_token" => format!("{name}=***"),
        "assertion" => format!("{name}={}", claims(&value)),
        _ => format!("{name}={value}"),
    }));
    if let Value::Object(body) = request.json() {
        said.extend(body.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| format!("{name}: {value}")));
    }
    if let Some(value) = request.header("Metadata") {
        said.push(format!("Metadata: {value}"));
    }
    if let Some(kind) = request.header("Authorization").and_then(|value| value.split(' ').next()) {
        said.push(format!("Authorization: {kind}"));
    }
    said.sort();
    Some(format!("{} {host}{path} {}", request.method, said.join(" ")))
}

/// What an assertion says, without its times.
fn claims(assertion: &str) -> String {
    let claims = assertion.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    for name in ["iat", "exp"] {
        if let Some(claims) = claims.as_object_mut() {
            claims.remove(name);
        }
    }
    // Acting as an account needs less than working with Google's cloud: Python asks for that, Go and we for what the documentation names.
    claims.to_string().replace("https://www.googleapis.com/auth/iam\"", "https://www.googleapis.com/auth/cloud-platform\"")
}
