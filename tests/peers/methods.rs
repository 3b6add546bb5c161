//! The same variables lead to the same method and the same requests: hundreds of combinations of the attributes of every auth type that a workspace on loopback can serve,
//! through our program and through both SDKs.
//!
//! What is compared: the method that signs the first call, or the kind of failure; and on the way there, which servers were asked for a token, with which grant and whose
//! token.

use std::collections::BTreeMap;

use serde_json::json;

use super::binary::Home;
use super::oracle::{Oracle, root};
use super::settings::{Dice, Failure};
use crate::workspace::{AZURE_DEVOPS, GITHUB, Workspace};

/// What came of a combination.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    /// The method that signs, or why none does.
    end: Result<String, Failure>,
    /// Who was asked for a token: each once, in the order of the first time.
    asked: Vec<String>,
}

/// An intended difference; `docs/differences.md` says the same at greater length under this name.
struct Intended {
    name: &'static str,
    peers: &'static [&'static str],
    applies: fn(&BTreeMap<&str, String>, ours: &Outcome, theirs: &Outcome) -> bool,
}

const INTENDED: &[Intended] = &[
    Intended {
        name: "chain-goes-on",
        peers: &["Python"],
        applies: |_, ours, theirs| {
            theirs.end == Err(Failure::Refused)
                && ours.end != theirs.end
                && ours.asked.len() >= theirs.asked.len()
                && theirs.asked.iter().all(|whom| ours.asked.contains(whom))
        },
    },
    Intended {
        name: "no-sign-in",
        peers: &["Python"],
        applies: |_, ours, theirs| ours.end == Err(Failure::SignedOut) && theirs.end == Err(Failure::Incomplete) && ours.asked == theirs.asked,
    },
    Intended {
        // Id tokens before those who have to be asked for one.
        name: "python-order",
        peers: &["Python"],
        applies: |_, ours, theirs| {
            let later = |end: &Result<String, Failure>| matches!(end.as_deref(), Ok("github-oidc" | "azure-devops-oidc"));
            later(&ours.end) && matches!(theirs.end.as_deref(), Ok("env-oidc" | "file-oidc"))
        },
    },
    Intended {
        // The address of the collection ends in a slash, and Go puts another one behind it.
        name: "azure-devops-oidc",
        peers: &["Go"],
        applies: |environment, ours, theirs| {
            environment.contains_key("SYSTEM_ACCESSTOKEN")
                && ours.asked.iter().any(|whom| whom == "_devops")
                && theirs.asked.iter().any(|whom| whom == "_devops")
        },
    },
    Intended {
        // It needs a client_id there.
        name: "azure-devops-oidc",
        peers: &["Python"],
        applies: |environment, ours, theirs| {
            environment.contains_key("SYSTEM_ACCESSTOKEN")
                && !environment.contains_key("DATABRICKS_CLIENT_ID")
                && ours.asked.iter().any(|whom| whom == "_devops")
                && theirs.end == Err(Failure::Incomplete)
        },
    },
    Intended {
        name: "github-oidc",
        peers: &["Python"],
        applies: |environment, ours, theirs| {
            let set = |name: &str| environment.contains_key(name);
            (set("ACTIONS_ID_TOKEN_REQUEST_URL") || set("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
                && matches!(ours.end, Err(Failure::Incomplete | Failure::Refused))
                && matches!(theirs.end, Err(Failure::Incomplete | Failure::Other(_)))
        },
    },
];

/// The variables with their values; words in capitals stand for what the workspace has of the kind. An empty value stands for a variable that is not set.
const VARIABLES: &[(&str, &[&str])] = &[
    ("DATABRICKS_HOST", &["HOST", "HOST", "HOST", "HOST", "HOST", "HOST", "HOST", ""]),
    ("DATABRICKS_TOKEN", &["", "", "", "", "", "", "t-env"]),
    ("DATABRICKS_USERNAME", &["", "", "", "", "", "", "u-env"]),
    ("DATABRICKS_PASSWORD", &["", "", "", "", "", "", "w-env"]),
    ("DATABRICKS_CLIENT_ID", &["", "", "", "ID", "ID", "ID", "wrong-id"]),
    ("DATABRICKS_CLIENT_SECRET", &["", "", "SECRET", "SECRET", "wrong-secret"]),
    ("DATABRICKS_METADATA_SERVICE_URL", &["", "", "", "", "", "", "METADATA", "METADATA", "HOST/_metadata/nope"]),
    ("DATABRICKS_OIDC_TOKEN", &["", "", "", "JWT", "FORGED"]),
    ("DATABRICKS_OIDC_TOKEN_ENV", &["", "", "", "", "MY_ID_TOKEN"]),
    ("MY_ID_TOKEN", &["", "JWT"]),
    ("DATABRICKS_OIDC_TOKEN_FILEPATH", &["", "", "", "", "", "", "FILE", "FILE", "/no/such/file"]),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", &["", "", "GITHUB", "GITHUB"]),
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &["", "", "REQUEST", "REQUEST", "wrong-request-token"]),
    (
        "DATABRICKS_AUTH_TYPE",
        &[
            "",
            "",
            "",
            "",
            "",
            "",
            "pat",
            "basic",
            "oauth-m2m",
            "metadata-service",
            "env-oidc",
            "file-oidc",
            "github-oidc",
            "azure-devops-oidc",
            "databricks-cli",
        ],
    ),
];

const CASES: usize = 600;

#[test]
fn the_same_variables_lead_to_the_same_method_and_requests() {
    let workspace = Workspace::start();
    let (id, secret) = (workspace.service_principal().1.to_owned(), workspace.mint_secret(None));
    for (issuer, subject) in [("https://issuer.example", "somebody"), (GITHUB, Workspace::GITHUB_SUBJECT), (AZURE_DEVOPS, Workspace::AZURE_DEVOPS_SUBJECT)] {
        workspace.federate_principal(issuer, subject);
    }
    let (id_token, forged) = (workspace.id_token(&json!({})), workspace.forged_id_token(&json!({})));
    let [(_, github_url), (_, github_token)] = workspace.github_job();
    let home = Home::new();
    let file = home.path().join("id-token");
    #[expect(clippy::disallowed_methods, reason = "what another program wrote")]
    std::fs::write(&file, &id_token).expect("a home that can be written");
    let (mut go, mut python) = (Oracle::go(), Oracle::python());
    let mut dice = Dice(7);
    let mut differences = Vec::new();
    let mut used: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..CASES {
        let mut environment: BTreeMap<&str, String> = BTreeMap::new();
        for (name, values) in VARIABLES {
            let value = match dice.choose(values) {
                "ID" => id.clone(),
                "SECRET" => secret.clone(),
                "FILE" => file.display().to_string(),
                "JWT" => id_token.clone(),
                "FORGED" => forged.clone(),
                "METADATA" => workspace.metadata_url(),
                "GITHUB" => github_url.clone(),
                "REQUEST" => github_token.clone(),
                other => other.replace("HOST", workspace.url()),
            };
            if !value.is_empty() {
                environment.insert(name, value);
            }
        }
        // Azure Pipelines sets all six of its variables or none.
        if dice.choose(&[false, false, false, true]) {
            environment.extend(workspace.azure_devops_job());
        }
        let ours = ours(&environment, &home, &workspace);
        *ends.entry(format!("{:?}", ours.end)).or_default() += 1;
        let mut variables = json!(environment);
        variables["HOME"] = json!(home.path());
        let question = json!({"op": "resolve", "env": variables, "profile": "", "flag": ""});
        for (peer, oracle) in [("Go", &mut go), ("Python", &mut python)] {
            workspace.clear_requests();
            let answer = oracle.ask(&question);
            let end = match answer["error"].as_str() {
                Some(error) => Err(Failure::of(error)),
                None => Ok(answer["method"].as_str().unwrap_or_default().to_owned()),
            };
            let theirs = Outcome { end, asked: asked(&workspace) };
            if ours == theirs {
                continue;
            }
            match INTENDED.iter().find(|intended| intended.peers.contains(&peer) && (intended.applies)(&environment, &ours, &theirs)) {
                Some(intended) => *used.entry((intended.name, peer)).or_default() += 1,
                None => differences.push(format!("{peer}: {theirs:?}\nours: {ours:?}\n{environment:#?}\n")),
            }
        }
    }
    assert!(differences.is_empty(), "{} differences ({used:?}, {ends:?}):\n{}", differences.len(), differences[..differences.len().min(12)].join("\n"));
    let documented = std::fs::read_to_string(root().join("docs/differences.md")).expect("docs/differences.md");
    for intended in INTENDED {
        for peer in intended.peers {
            assert!(used.contains_key(&(intended.name, peer)), "{} of {peer} did not occur", intended.name);
        }
        assert!(documented.contains(&format!("`{}`", intended.name)), "docs/differences.md does not tell of {}", intended.name);
    }
    for method in ["pat", "basic", "oauth-m2m", "metadata-service", "github-oidc", "azure-devops-oidc", "env-oidc", "file-oidc"] {
        assert!(ends.contains_key(&format!("Ok({method:?})")), "{method} never signed: {ends:?}");
    }
}

/// Runs our program and sees who is asked. Each case starts without tokens of earlier ones.
fn ours(environment: &BTreeMap<&str, String>, home: &Home, workspace: &Workspace) -> Outcome {
    workspace.clear_requests();
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut variables: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let cache = cache.path().to_string_lossy();
    variables.extend([("DATABRICKS_TOKEN_CACHE_DIR", cache.as_ref()), ("DATABRICKS_AUTH_STORAGE", "plaintext")]);
    let run = home.run(&["current-user", "me"], &variables);
    let me = workspace.requests().into_iter().find(|request| request.path.ends_with("/Me"));
    let end = match me {
        Some(request) => {
            let agent = request.header("User-Agent").unwrap_or_default().to_owned();
            Ok(agent.split(' ').find_map(|word| word.strip_prefix("auth/")).unwrap_or_default().to_owned())
        }
        None => Err(Failure::of(
            run.stderr.split("Error: ").nth(1).unwrap_or_default().split("\nHint:").next().unwrap_or_default().split("\n\n").next().unwrap_or_default(),
        )),
    };
    Outcome { end, asked: asked(workspace) }
}

/// Who was asked for a token since the requests were cleared.
fn asked(workspace: &Workspace) -> Vec<String> {
    let mut asked = Vec::new();
    for request in workspace.requests() {
        let whom = if request.path.ends_with("/v1/token") {
            let subject = request.form("subject_token").map(|_| " with an id token").unwrap_or_default();
            let client = request.form("client_id").map(|id| format!(" of {id}")).unwrap_or_default();
            let grant = request.form("grant_type").unwrap_or_default();
            format!("{}{subject}{client}", grant.rsplit(':').next().unwrap_or_default())
        } else if request.path.starts_with("/_") {
            request.path.split('/').nth(1).unwrap_or_default().to_owned()
        } else {
            continue;
        };
        if !asked.contains(&whom) {
            asked.push(whom);
        }
    }
    asked
}
