//! The rules of the source tree that the compiler does not know: who may use whom, and that every file is in its list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the foundations up; a module may use those of lower layers and itself.
const LAYERS: &[&[&str]] = &[
    &["secret", "text", "error", "host", "env", "clock", "duration", "files", "hardening", "peer", "json", "signals"],
    &["http", "config", "storage", "ui"],
    &["auth"],
    &["rest", "handover", "broker"],
    &["context"],
    &["lakebase"],
    &["commands"],
    &["report", "lib", "main"],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("module {module} stands in no layer: give it one in tests/architecture"))
}

/// The first words behind `crate::` in a line: one module, or those of a braced list.
fn used(line: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or_default());
        let parts: Vec<&str> = if rest.starts_with('{') { names.split(',').collect() } else { vec![names] };
        modules.extend(
            parts.iter().map(|part| part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()).filter(|name| !name.is_empty()),
        );
    }
    modules
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        let relative = path.strip_prefix(root()).expect("below src");
        let own = relative.components().next().expect("a name").as_os_str().to_str().expect("text").trim_end_matches(".rs").to_owned();
        for (number, line) in fs::read_to_string(&path).expect("a source").lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for module in used(code).into_iter().filter(|module| *module != own) {
                // What `crate::x` means at the top level beside modules: functions of lib.rs.
                let foundation = layer(&module) == 0 && layer(&own) == 0;
                if layer(&module) >= layer(&own) && !foundation {
                    wrong.push(format!("src/{}:{}: {own} uses {module}", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these edges point upwards or sideways:\n{}", wrong.join("\n"));
}

/// The names of the files of a folder, without `mod.rs`.
fn files_of(folder: &str) -> BTreeSet<String> {
    sources(&root().join(folder)).iter().map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).filter(|name| name != "mod").collect()
}

#[test]
fn every_file_is_in_its_list() {
    for (folder, list, others) in [("auth/methods", "METHODS", &[][..]), ("rest", "GROUPS", &["paging"][..])] {
        let code = fs::read_to_string(root().join(folder).join("mod.rs")).expect("mod.rs");
        let list = code.split_once(&format!("static {list}")).expect("the list").1.split(';').next().expect("its end");
        for file in files_of(folder).into_iter().filter(|file| !others.contains(&file.as_str())) {
            assert!(list.contains(&format!("{file}::")), "src/{folder}/{file}.rs is not in its list");
        }
    }
}

#[test]
fn secrets_leave_their_type_in_few_places() {
    let allowed = [
        // Puts a token for Resource Manager into its header; looks into a token for whom it is.
        "auth/azure.rs",
        // Looks whether what az printed has the letters of a token, and into it for its end and tenant.
        "auth/methods/azure_cli.rs",
        "auth/mod.rs",
        // Whether what was read is an id token at all is told by its claims.
        "auth/oidc.rs",
        // A private key signs; Google's tokens go into headers.
        "auth/google.rs",
        // The address is the secret, and the command line may hold one.
        "auth/methods/metadata_service.rs",
        "auth/methods/token_command.rs",
        "auth/session.rs",
        // The token is the answer.
        "broker/server.rs",
        "commands/auth/token.rs",
        // Clients prove who they are; PKCE hashes its verifier, links carry the state, and a pasted address is parsed.
        "auth/oauth",
        "commands/auth/env.rs",
        // The address of the broker goes into the environment of the program, a profile, and JSON that was asked for.
        "commands/auth/exec.rs",
        "commands/auth/serve.rs",
        // The managed profile file holds the token.
        "commands/session/keeper.rs",
        // The ticket stands in the link, the cookie in its header.
        "commands/session/home/guard.rs",
        // Its job.
        "commands/auth/headers.rs",
        "commands/auth/netrc.rs",
        "commands/configure.rs",
        "commands/fallback.rs",
        // Passwords of databases go to psql's environment, to connection strings, to .pgpass, and to the server in its first messages.
        "commands/lakebase",
        "commands/psql.rs",
        "config/pgpass.rs",
        "lakebase",
        "config/netrc.rs",
        "config/netrc_tests.rs",
        "config/settings.rs",
        "http",
        "storage",
        "ui",
        "secret.rs",
    ];
    for path in sources(&root()) {
        let relative = path.strip_prefix(root()).expect("below src").display().to_string();
        let exposes =
            fs::read_to_string(&path).expect("a source").contains(".expose()") || fs::read_to_string(&path).expect("a source").contains("Secret::expose");
        let is_test = relative.ends_with("tests.rs");
        assert!(
            !exposes || is_test || allowed.iter().any(|place| relative.starts_with(place)),
            "src/{relative} takes a secret out of its type: is that its job? Then add it here"
        );
    }
}
