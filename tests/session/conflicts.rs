//! `session check`: what lies around is named with its place, and no secret is shown.

use super::Job;

#[test]
fn what_lies_around_is_named_with_its_line() {
    let job = Job::new();
    let (work, home) = (job.home.work(), job.home.path());
    let put = |path: std::path::PathBuf, text: &str| {
        job.home.write(&path, text);
        job.home.store(&path);
    };
    let secret = crate::harness::made_up_token();
    job.home.secret(&secret);
    put(work.join(".env"), &format!("# comment\nOTHER=1\nexport DATABRICKS_TOKEN={secret}\nDATABRICKS_HOST=\"https://other.example\"\n"));
    put(home.join(".Renviron"), &format!("DATABRICKS_TOKEN={secret}\n"));
    put(home.join(".netrc"), &format!("\nmachine 127.0.0.1\n  login token\n  password {secret}\n"));
    put(work.join("databricks.yml"), "bundle:\n  name: x\nworkspace:\n  host: https://bundle.example # here\n");
    let config = job.home.config();
    job.home.write_config(format!("{config}\n[DEFAULT]\nhost = https://default.example\ntoken = {secret}\n"));
    let line = job.home.config().lines().position(|line| line == format!("token = {secret}")).unwrap() + 1;
    let script = "eval \"$(databricks session start p 2> /dev/null)\"; databricks session check; echo $?; databricks session check -o json | grep -c '\"place\"'; databricks session end";
    let outcome = job.home.script(script).run();
    let place = |path: &std::path::Path, line: usize| format!("{}:{line}: ", path.display());
    outcome
        .ok()
        .shows(&format!("{}DATABRICKS_TOKEN is set: ", place(&work.join(".env"), 3)))
        .shows(&format!("{}DATABRICKS_HOST is \"https://other.example\"", place(&work.join(".env"), 4)))
        .shows(&place(&home.join(".Renviron"), 1))
        .shows(&format!("{}a login for 127.0.0.1", place(&home.join(".netrc"), 2)))
        .shows(&format!("{}host is \"https://bundle.example\"", place(&work.join("databricks.yml"), 4)))
        .shows(&place(&job.home.config_path(), line))
        .shows("\n1\n6\n");
    job.home.command("session check").env("DATABRICKS_TOKEN", &secret).run().shows("environment: DATABRICKS_TOKEN is set").shows("taken out in the session");
}

#[test]
fn a_clean_place_is_clean() {
    let job = Job::new();
    job.home.run("session check").ok().prints("").says("Nothing gets in the way");
}

/// A folder in which somebody works, with folders above it: what counts there is named, what does not is not.
#[test]
fn what_lies_in_folders_above_and_what_is_harmless() {
    let job = Job::new();
    let below = job.home.work().join("project/src");
    std::fs::create_dir_all(&below).unwrap();
    job.home.write(
        &job.home.work().join("project/.env"),
        "DATABRICKS_CLIENT_SECRET=dose0000000000000000\n#DATABRICKS_TOKEN=commented\nDATABRICKS_TOKEN=\nMY_TOKEN=1\n",
    );
    job.home.store(job.home.work().join("project/.env"));
    job.home.secret("dose0000000000000000");
    let url = job.workspace.url().to_owned();
    // The session's own host gets in nobody's way.
    job.home.write(&job.home.work().join("databricks.yml"), format!("workspace:\n  host: {url}\ntargets:\n  dev:\n    workspace:\n      profile: dev\n"));
    job.home.write(&job.home.path().join(".netrc"), "machine elsewhere.example login token password x\n");
    let script = "eval \"$(databricks session start p 2> started)\"; cat started >&2; databricks session check -o json; databricks session status > /dev/null; databricks session end 2> /dev/null";
    let outcome = job.home.script(script).folder(&below).run();
    let found: serde_json::Value = outcome.ok().json();
    let places: Vec<&str> = found.as_array().unwrap().iter().map(|one| one["place"].as_str().unwrap()).collect();
    let (env, bundle) = (format!("{}:1", job.home.work().join("project/.env").display()), format!("{}:6", job.home.work().join("databricks.yml").display()));
    assert_eq!(places, [env.as_str(), bundle.as_str()]);
    // Before it starts, and in its status.
    assert_eq!(outcome.stderr.matches(&env).count(), 2, "{outcome}");
}

/// What stands in the environment is cleared for the session only, and said; who wants it as it is takes none.
#[test]
fn the_environment_is_cleared_for_the_session_alone() {
    let job = Job::new();
    let script = r#"export DATABRICKS_TOKEN=dapi-of-the-persons-own DATABRICKS_HOST=https://other.example
        databricks session start p -- sh -c 'echo "${DATABRICKS_TOKEN-gone} $DATABRICKS_HOST"'; echo "$DATABRICKS_HOST"
        databricks session start none -- sh -c 'echo "${DATABRICKS_TOKEN:+there} $DATABRICKS_HOST"'
        eval "$(databricks session start p 2> /dev/null)"; echo "${DATABRICKS_TOKEN-gone}"
        export DATABRICKS_TOKEN=dapi-of-the-persons-own; databricks session check; databricks session end 2> /dev/null"#;
    let outcome = job.home.script(script).run();
    outcome.ok().shows(&format!("gone {}\nhttps://other.example\nthere https://other.example\ngone\n", job.workspace.url()));
    outcome.says("environment: DATABRICKS_TOKEN is set: ").says("taken out in the session").says("environment: DATABRICKS_HOST is \"https://other.example\"");
    outcome.shows("environment: DATABRICKS_TOKEN is set: a personal token that SDKs send instead of the session's").says("session start none");
}
