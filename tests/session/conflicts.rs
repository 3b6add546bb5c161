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
