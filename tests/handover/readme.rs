//! The README's chapters "From the shell", "In CI" and "Auth types", run as they stand.

use std::sync::Arc;

use serde_json::json;

use crate::azure::{Az, DAY, azure};
use crate::harness::{Home, profile, set_mode};
use crate::workspace::{AZURE_DEVOPS, AzureIdentity, GITHUB, TENANT, Workspace};

/// The commands of a chapter, in which a workspace has the place of the example's.
fn chapter(title: &str, workspace: &Workspace) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let text = readme.split_once(&format!("## {title}\n")).expect(title).1.split("\n## ").next().unwrap();
    let commands: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.replace("https://my-workspace.cloud.databricks.com", workspace.https_url()))
        .collect();
    assert!(commands.len() > 1, "{title} has no commands");
    commands
}

#[test]
fn from_the_shell() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.trusts(&workspace);
    home.write_config(profile("my-profile", workspace.https_url(), workspace.token()));
    home.store(home.path().join(".netrc"));
    home.store(home.work().join(".env"));
    let commands = chapter("From the shell", &workspace);
    let script = commands.iter().map(|command| format!("{command}\n")).collect::<String>();
    let outcome = home.script(&format!("set -euo pipefail\n{script}\necho; echo \"$DATABRICKS_TOKEN\"; cat .env")).reveals().run();
    outcome.ok().shows("machine localhost\nlogin token\npassword ********\n").shows(&format!("\nDATABRICKS_TOKEN={}\n", workspace.token()));
    outcome.shows(&format!("\n{}\n", workspace.token()));
    assert_eq!(outcome.stdout.matches("\"token_infos\"").count(), 2, "{outcome}");
    assert_eq!(std::fs::read_to_string(home.path().join(".netrc")).unwrap(), "");
}

#[test]
fn in_ci() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.trusts(&workspace);
    let file = home.work().join("github_env");
    home.store(&file);
    let script = chapter("In CI", &workspace).join("\n");
    let outcome = home.script(&format!("set -euo pipefail\n{script}")).env("CI_TOKEN", workspace.token()).env("GITHUB_ENV", &file).reveals().run();
    outcome.ok().prints(&format!("::add-mask::{}\n", workspace.token()));
    assert!(std::fs::read_to_string(&file).unwrap().contains(&format!("\nDATABRICKS_TOKEN={}\n", workspace.token())));
}

/// The rows of the table of auth types: name, and the two lines of the recipe.
fn recipes() -> Vec<(&'static str, [&'static str; 2])> {
    let readme = include_str!("../../README.md");
    let chapter = readme.split_once("## Auth types\n").expect("the chapter").1.split("\n## ").next().unwrap();
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, row)| {
        let (_, recipe) = row.rsplit_once(" | `").expect("a recipe");
        let (first, second) = recipe.strip_suffix("` |").and_then(|recipe| recipe.split_once("`<br>`")).expect("two lines");
        (name, [first, second])
    })
    .collect()
}

#[test]
fn each_auth_type_has_a_recipe_that_works() {
    let described = Home::new().command("auth describe --offline -o json").run().ok().json();
    let mut known: Vec<String> = described["details"]["methods"].as_object().expect("methods").keys().cloned().collect();
    let mut told: Vec<&str> = recipes().iter().map(|(name, _)| *name).collect();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known);
    for (name, lines) in recipes() {
        // Each in a world of its own, in which Azure and Google are the embedded ones too.
        let (home, workspace) = azure();
        home.allow_loose_stores();
        let variables = world(name, &home, &workspace);
        let script = lines.join("\n").replace("https://my-workspace.cloud.databricks.com", workspace.url());
        let script = script.replace("https://adb-1234567890123456.7.azuredatabricks.net", workspace.url());
        let script = script.replace("https://1234567890123456.7.gcp.databricks.com", workspace.url());
        let person = (name == "databricks-cli").then(|| somebody_at_the_browser(&home, &workspace));
        let run = variables.iter().fold(home.script(&format!("set -euo pipefail\n{script}")), |run, (name, value)| run.env(name, value));
        run.run().ok();
        if let Some(person) = person {
            person.join().expect("somebody who agreed");
        }
        let asked = workspace.requests().into_iter().find(|request| request.path.ends_with("/Me")).expect(name);
        let agent = asked.header("User-Agent").unwrap_or_default();
        assert!(agent.split(' ').any(|word| word == format!("auth/{name}")), "{name}: {agent}");
    }
}

/// What is there before a recipe: what its reader has (`MY_…`), and what the place it runs in sets.
fn world(name: &str, home: &Home, workspace: &Arc<Workspace>) -> Vec<(&'static str, String)> {
    let secret = |value: String| {
        home.secret_of(workspace, &value);
        value
    };
    let principal = ("MY_APPLICATION_ID", workspace.service_principal().1.to_owned());
    let federated = |issuer: &str, subject: &str| workspace.federate_principal(issuer, subject);
    let cloud = |name: &str| ("DATABRICKS_CLOUD", name.to_owned());
    let file = |name: &str, text: String| {
        let path = home.path().join(name);
        home.write(&path, text);
        home.store(&path);
        path.to_str().expect("text").to_owned()
    };
    let application = |identity| ("MY_APPLICATION_ID", workspace.azure_client_id(identity).to_owned());
    match name {
        "pat" => vec![("MY_TOKEN", workspace.token().to_owned())],
        "basic" => vec![("MY_NAME", workspace.basic_user().to_owned()), ("MY_PASSWORD", workspace.basic_password().to_owned())],
        "token-command" => {
            home.store(home.work().with_file_name("bin").join("my-token-program"));
            home.program("my-token-program", &format!("#!/bin/sh\necho {}\n", workspace.token()));
            Vec::new()
        }
        "oauth-m2m" => vec![principal, ("MY_SECRET", secret(workspace.mint_secret(None)))],
        "databricks-cli" => Vec::new(),
        "metadata-service" => vec![("MY_SERVICE_URL", workspace.metadata_url())],
        "github-oidc" => {
            federated(GITHUB, Workspace::GITHUB_SUBJECT);
            [principal].into_iter().chain(workspace.github_job()).collect()
        }
        "azure-devops-oidc" => {
            federated(AZURE_DEVOPS, Workspace::AZURE_DEVOPS_SUBJECT);
            [principal].into_iter().chain(workspace.azure_devops_job()).collect()
        }
        "env-oidc" | "file-oidc" => {
            federated("https://issuer.example", "somebody");
            let token = secret(workspace.id_token(&json!({})));
            vec![principal, ("MY_ID_TOKEN_FILE", file("id-token", token.clone())), ("MY_ID_TOKEN", token)]
        }
        "github-oidc-azure" => {
            let (url, token) = workspace.github_request();
            let job = [("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token)];
            [cloud("Azure"), ("MY_TENANT", TENANT.to_owned()), application(AzureIdentity::Member)].into_iter().chain(job).collect()
        }
        "azure-msi" => {
            workspace.set_machine_identity(Some(AzureIdentity::Member));
            vec![cloud("Azure")]
        }
        "azure-client-secret" => {
            let secret = workspace.azure_secret(AzureIdentity::Member, DAY);
            vec![cloud("Azure"), ("MY_TENANT", TENANT.to_owned()), application(AzureIdentity::Member), ("MY_SECRET", secret)]
        }
        "azure-cli" => {
            let az = Az::installed(home, workspace);
            az.signed_in("user", "ann@example.com");
            az.both_tokens(TENANT, AzureIdentity::Person);
            vec![cloud("Azure")]
        }
        "google-credentials" => vec![cloud("GCP"), ("MY_KEY_FILE", file("key.json", workspace.google_key_file().to_string()))],
        "google-id" => vec![
            cloud("GCP"),
            ("MY_SERVICE_ACCOUNT", Workspace::GOOGLE_ACCOUNT.to_owned()),
            ("GOOGLE_APPLICATION_CREDENTIALS", file("adc.json", workspace.google_key_file().to_string())),
            ("DATABRICKS_GOOGLE_ENDPOINT", workspace.url().to_owned()),
        ],
        "netrc" => {
            file(".netrc", format!("machine 127.0.0.1 login token password {}\n", workspace.token()));
            Vec::new()
        }
        other => panic!("{other} is told of in the README, but this test does not know what it needs"),
    }
}

/// Waits for the link that the program opens, and agrees there as Ann.
fn somebody_at_the_browser(home: &Home, workspace: &Arc<Workspace>) -> std::thread::JoinHandle<()> {
    let links = home.path().join("links");
    rustix::fs::mkfifoat(rustix::fs::CWD, &links, rustix::fs::Mode::RWXU).expect("a pipe");
    let browser = home.path().join("browser");
    home.write(&browser, format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > '{}'\n", links.display()));
    set_mode(&browser, 0o700);
    home.set("BROWSER", browser);
    let workspace = Arc::clone(workspace);
    std::thread::spawn(move || {
        let link = std::fs::read_to_string(links).expect("a link");
        let back = workspace.approve(link.trim_end());
        // What came back leaves the address bar at once.
        let first = workspace.visit(&back);
        let (origin, _) = back.split_once("/?").expect("the callback");
        let page = workspace.visit(&format!("{origin}{}", first.header("Location").expect("the page to look at")));
        assert_eq!((first.status, page.status), (303, 200));
    })
}
