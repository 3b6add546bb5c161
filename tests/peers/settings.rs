//! Environment, flag and profile file to method, host and credential: hundreds of combinations, through our program and through both SDKs.
//!
//! Ours is judged by what it sends: `current-user me` against a workspace that records it. The Go SDK is driven as the official CLI drives it
//! (a default profile is chosen before it starts, `--profile` has loaders of its own); the Python SDK gets the same profile.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::binary::{Home, Run};
use super::oracle::{Oracle, root};
use crate::workspace::Workspace;

/// What came of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Sends { host: String, authorization: String },
    Fails(Failure),
}

/// The kinds of failure that scripts tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoSuchProfile,
    Reserved,
    /// The families that are in each other's way.
    Several(String),
    UnknownType,
    /// Nothing applies, or what was named lacks something.
    Incomplete,
    Unreadable,
    /// Ours alone: the secret of a profile would go to another host.
    Bound,
    /// Ours alone: a method that this version does not have.
    NotYet,
    /// The authorization server does not take the secret of the service principal.
    Refused,
    /// The sign-in of a person was asked for, and nobody is signed in.
    SignedOut,
    /// None of these: equal to nothing.
    Other(String),
    /// Theirs alone: such a method was tried, and the workspace does not have its side of it either.
    Tried,
}

impl Failure {
    pub(super) fn of(text: &str) -> Self {
        let text = text.split(". Config:").next().unwrap_or_default();
        let has = |part: &str| text.contains(part);
        match () {
            () if has("profile configured") => Self::NoSuchProfile,
            () if has("reserved section name") => Self::Reserved,
            () if has("more than one authorization method configured") => {
                let families = text.split("configured: ").nth(1).unwrap_or_default();
                Self::Several(families.split(['.', '\n']).next().unwrap_or_default().trim().to_owned())
            }
            () if has("belongs to") => Self::Bound,
            () if has("is not one that this version can use") => Self::NotYet,
            () if [
                "grants no token",
                "gives no token",
                "gives no id token",
                "invalid_client",
                "invalid_grant",
                "No API found",
                "returned empty token",
                "failed to request ID token",
                "There is nothing here",
                "Unknown service account",
                "AADSTS",
                "Identity not found",
            ]
            .into_iter()
            .any(has) =>
            {
                Self::Refused
            }
            // What a method that is asked for by name says to lack; Go asks nobody's address where there is no host.
            () if [
                "missing path",
                "missing ActionsIDTokenRequest",
                "missing env var",
                "env var not found",
                "missing Host",
                "does not exist",
                "there is no file",
                "unsupported protocol scheme",
            ]
            .into_iter()
            .any(has) =>
            {
                Self::Incomplete
            }
            () if [
                "no cached credentials",
                "databricks CLI not found",
                "nobody is signed in to the Azure CLI",
                "cannot get account info",
                "Please run 'az login'",
            ]
            .into_iter()
            .any(has) =>
            {
                Self::SignedOut
            }
            () if has("/oidc/.well-known") || has("databricks OAuth is not supported") => Self::Tried,
            () if has("not found, please check") => Self::UnknownType,
            () if has("cannot configure default credentials")
                || has("not configured")
                || has("is required")
                || has("missing path")
                || has("missing ActionsIDTokenRequest") =>
            {
                Self::Incomplete
            }
            () if has("cannot parse config file")
                || has("ParseBool")
                || has("Atoi")
                || has("Section")
                || has("Parsing")
                || has("invalid literal")
                || has("but it takes") =>
            {
                Self::Unreadable
            }
            () => Self::Other(text.trim().chars().take(160).collect()),
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    file: Option<String>,
    environment: BTreeMap<&'static str, String>,
    flag: Option<&'static str>,
}

/// An intended difference; `docs/differences.md` says the same at greater length under this name.
struct Intended {
    name: &'static str,
    peers: &'static [&'static str],
    applies: fn(&Case, ours: &Outcome, theirs: &Outcome) -> bool,
}

const INTENDED: &[Intended] = &[
    Intended {
        name: "bound-secret",
        peers: &["Go", "Python"],
        applies: |_, ours, theirs| {
            // Where the server does not take the secret, they have sent it all the same; Go keeps to itself what the server said.
            *ours == Outcome::Fails(Failure::Bound) && matches!(theirs, Outcome::Sends { .. } | Outcome::Fails(Failure::Refused | Failure::Incomplete))
        },
    },
    Intended {
        name: "chain-goes-on",
        peers: &["Python"],
        applies: |_, ours, theirs| *ours == Outcome::Fails(Failure::Incomplete) && *theirs == Outcome::Fails(Failure::Refused),
    },
    Intended {
        name: "unknown-auth-type",
        peers: &["Python"],
        applies: |_, ours, theirs| *ours == Outcome::Fails(Failure::UnknownType) && *theirs == Outcome::Fails(Failure::Incomplete),
    },
    Intended {
        name: "switch-spelling",
        peers: &["Python"],
        applies: |case, ours, _| *ours == Outcome::Fails(Failure::Unreadable) && case.has("skip_verify = yes"),
    },
    Intended {
        name: "reserved-without-file",
        peers: &["Go", "Python"],
        applies: |case, ours, _| *ours == Outcome::Fails(Failure::Reserved) && case.file.is_none(),
    },
    Intended {
        name: "empty-section",
        peers: &["Python"],
        applies: |case, ours, _| *ours == Outcome::Fails(Failure::NoSuchProfile) && case.has("[q]\n\n") && case.names("q"),
    },
    Intended {
        name: "empty-value",
        peers: &["Python"],
        applies: |case, _, theirs| case.has("token =\n") && matches!(theirs, Outcome::Fails(Failure::Several(_))),
    },
];

impl Case {
    fn has(&self, part: &str) -> bool {
        self.file.as_ref().is_some_and(|file| file.contains(part))
    }

    fn names(&self, profile: &str) -> bool {
        self.flag == Some(profile) || self.environment.get("DATABRICKS_CONFIG_PROFILE").is_some_and(|named| named == profile)
    }
}

/// The profile files. `A` and `B` stand for two workspaces.
const FILES: &[Option<&str>] = &[
    None,
    Some(""),
    Some("[DEFAULT]\nhost = A\ntoken = t-default\n"),
    Some("[DEFAULT]\n\n[p]\nhost = A\ntoken = t-p\n\n[q]\nhost = B\nusername = u-q\npassword = w-q\n"),
    Some("[DEFAULT]\nhost = A\ntoken = t-default\n\n[__settings__]\ndefault_profile = p\n\n[p]\nhost = B\ntoken = t-p\n[q]\nhost = A\n"),
    Some("[p]\nhost = A\ntoken = t-p\n[q]\n\n[__settings__]\ndefault_profile = nosuch\n"),
    Some("[DEFAULT]\ntoken = t-default\n[p]\ntoken = t-p\n[q]\nhost = B\ntoken =\nusername = u-q\npassword = w-q\n"),
    Some("[p]\nhost = A\ntoken = t-p\nauth_type = pat\n[q]\nhost = A\ntoken = t-q\nusername = u-q\npassword = w-q\n"),
    Some(
        "[p]\nhost = A\nclient_id = i\nclient_secret = s\n[q]\nhost = A\nusername = u-q\npassword = w-q\nauth_type = basic\n\n[__settings__]\ndefault_profile = q\n",
    ),
    Some("[__settings__]\ndefault_profile = __settings__\n[p]\nhost = A\ntoken = t-p\nrate_limit = abc\n[q]\nhost = B\nskip_verify = yes\ntoken = t-q\n"),
];

const VARIABLES: &[(&str, &[&str])] = &[
    ("DATABRICKS_HOST", &["", "", "A", "B"]),
    ("DATABRICKS_TOKEN", &["", "", "t-env"]),
    ("DATABRICKS_USERNAME", &["", "", "", "", "", "u-env"]),
    ("DATABRICKS_PASSWORD", &["", "", "", "", "w-env"]),
    ("DATABRICKS_AUTH_TYPE", &["", "", "", "", "", "", "", "", "pat", "basic", "foo", "oauth-m2m"]),
    ("DATABRICKS_CONFIG_PROFILE", &["", "", "", "", "p", "p", "q", "nosuch", "DEFAULT", "__settings__"]),
    ("DATABRICKS_CLIENT_ID", &["", "", "", "", "", "", "", "i-env"]),
    ("DATABRICKS_CLUSTER_ID", &["", "", "c-env"]),
];

const FLAGS: &[Option<&str>] = &[None, None, None, Some("p"), Some("q"), Some("nosuch"), Some("DEFAULT")];

/// A small generator (PCG's multiplier): the same cases in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn choose<T: Copy>(&mut self, among: &[T]) -> T {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let count = u64::try_from(among.len()).expect("few");
        among[usize::try_from((self.0 >> 33) % count).expect("few")]
    }
}

#[test]
fn the_same_settings_lead_to_the_same_credential_and_host() {
    let workspaces = [Workspace::start(), Workspace::start()];
    let [a, b] = [workspaces[0].url(), workspaces[1].url()];
    let with_hosts = |text: &str| text.replace("host = A", &format!("host = {a}")).replace("host = B", &format!("host = {b}"));
    let (mut go, mut python, home) = (Oracle::go(), Oracle::python(), Home::new());
    let mut dice = Dice(1);
    let mut differences = Vec::new();
    let mut used: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut sent, mut failed) = (0, 0);
    for _ in 0..800 {
        let mut environment = BTreeMap::new();
        for (name, values) in VARIABLES {
            let value = match dice.choose(values) {
                "A" => a,
                "B" => b,
                other => other,
            };
            environment.insert(*name, value.to_owned());
        }
        let case = Case { file: dice.choose(FILES).map(with_hosts), environment, flag: dice.choose(FLAGS) };
        if let Some(text) = &case.file {
            home.write(text);
        } else {
            let _ = std::fs::remove_file(home.file());
        }
        let ours = ours(&case, &home, &workspaces);
        match &ours {
            Outcome::Sends { .. } => sent += 1,
            Outcome::Fails(_) => failed += 1,
        }
        let question = question(&case, &home, &mut go);
        let mut theirs = vec![("Go", theirs(&go.ask(&question)))];
        // The loaders of --profile are the official CLI's, not the SDK's.
        if case.flag.is_none() {
            theirs.push(("Python", self::theirs(&python.ask(&question))));
        }
        for (peer, theirs) in theirs {
            if ours == theirs {
                continue;
            }
            match INTENDED.iter().find(|intended| intended.peers.contains(&peer) && (intended.applies)(&case, &ours, &theirs)) {
                Some(intended) => *used.entry((intended.name, peer)).or_default() += 1,
                None => differences.push(format!("{peer}: {theirs:?}\nours: {ours:?}\n{case:#?}\n")),
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences[..differences.len().min(12)].join("\n"));
    let documented = std::fs::read_to_string(root().join("docs/differences.md")).expect("docs/differences.md");
    for intended in INTENDED {
        for peer in intended.peers {
            assert!(used.contains_key(&(intended.name, peer)), "{} of {peer} did not occur", intended.name);
        }
        assert!(documented.contains(&format!("`{}`", intended.name)), "docs/differences.md does not tell of {}", intended.name);
    }
    assert!(sent > 100 && failed > 100, "{sent} sent, {failed} failed");
}

/// Runs our program and sees what arrives where.
fn ours(case: &Case, home: &Home, workspaces: &[Workspace; 2]) -> Outcome {
    for workspace in workspaces {
        workspace.clear_requests();
    }
    let environment: Vec<(&str, &str)> = case.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut arguments = vec!["current-user", "me"];
    arguments.extend(case.flag.into_iter().flat_map(|profile| ["--profile", profile]));
    let Run { stdout, stderr, .. } = home.run(&arguments, &environment);
    for workspace in workspaces {
        if let Some(request) = workspace.requests().iter().find(|request| request.path.ends_with("/Me")) {
            return Outcome::Sends { host: workspace.url().to_owned(), authorization: request.header("Authorization").unwrap_or_default().to_owned() };
        }
    }
    assert!(stderr.contains("Error: "), "neither a request nor an error: {stdout}{stderr}\n{case:#?}");
    let error = stderr.split("Error: ").nth(1).unwrap_or_default();
    Outcome::Fails(Failure::of(error.split("\n\n").next().unwrap_or_default()))
}

fn question(case: &Case, home: &Home, go: &mut Oracle) -> Value {
    let mut environment = json!(case.environment);
    environment["HOME"] = json!(home.path());
    let set = |name: &str| case.environment.get(name).is_some_and(|value| !value.is_empty());
    // The official CLI chooses a default profile before the SDK starts.
    let mut profile = String::new();
    if case.flag.is_none() && !set("DATABRICKS_CONFIG_PROFILE") && !set("DATABRICKS_HOST") {
        let sections = case.file.as_deref().map_or_else(Default::default, |text| go.read(text).expect("a readable file"));
        let default = |section: &str, key: &str| sections.get(section).and_then(|keys| keys.get(key)).cloned().unwrap_or_default();
        profile = default("__settings__", "default_profile");
        if profile.is_empty() && !default("DEFAULT", "host").is_empty() {
            "DEFAULT".clone_into(&mut profile);
        }
    }
    json!({"op": "resolve", "env": environment, "profile": profile, "flag": case.flag.unwrap_or_default()})
}

fn theirs(answer: &Value) -> Outcome {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match answer["error"].as_str() {
        Some(error) => Outcome::Fails(Failure::of(error)),
        None => Outcome::Sends { host: text("host"), authorization: text("authorization") },
    }
}
