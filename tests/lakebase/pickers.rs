//! Who names no database, or a project with several branches and endpoints, chooses on the terminal.

use super::logins::{keep_secret, setting};
use crate::harness::Home;
use crate::workspace::{Fault, Response};
use serde_json::json;

#[test]
fn psql_without_a_target_asks_which_database() {
    let (home, workspace, postgres) = setting();
    let script = format!("databricks psql -- -X -p {} -Atc 'select current_user, 40 + 2'", postgres.port);
    let mut typing = home.typing_script(&script);
    typing.asked("Select database to connect to");
    typing.wait_for("sleeping-instance");
    typing.wait_for("STOPPED");
    // The letters of a name leave it alone.
    typing.answer("my-inst");
    typing.wait_for("Instance: my-instance");
    typing.end().ok().says("ann@example.com|42");
    // A project stands in the same list; it has one branch and one endpoint, so nothing more is asked.
    let mut typing = home.typing_script(&script);
    typing.asked("Select database to connect to").answer("my-project");
    typing.wait_for("Endpoint: primary");
    typing.end().ok().says("ann@example.com|42").lacks("Select branch");
    keep_secret(&home, &workspace);
}

#[test]
fn branches_and_endpoints_are_chosen_where_there_are_several() {
    let (home, workspace, postgres) = setting();
    workspace.change_postgres("projects/two/branches/prod/endpoints/reader", &json!({"hosts": {"host": "localhost", "read_only_host": "localhost"}}));
    let mut typing = home.typing_script(&format!("databricks psql projects/two -- -X -p {} -Atc 'select 40 + 2'", postgres.port));
    typing.asked("Select branch").answer("prod");
    typing.asked("Select endpoint").answer("reader");
    typing.end().ok().says("Endpoint: reader").says("42");
    // Every command that takes a TARGET asks the same.
    let mut typing = home.typing("database dsn --no-password");
    typing.asked("Select database to connect to").answer("my-instance");
    typing.end().ok().says("@localhost:5432/databricks_postgres");
    keep_secret(&home, &workspace);
}

#[test]
fn who_gives_up_connects_nowhere() {
    let (home, workspace) = Home::signed_in();
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    let mut typing = home.typing_script("PATH=$PATH:/usr/bin databricks psql");
    typing.asked("Select database to connect to").send("\u{3}");
    typing.end().fails();
    assert!(workspace.database_tokens().is_empty());
    // Nobody can be asked without a terminal.
    home.script("databricks psql < /dev/null").run().says("there is no TARGET, and nobody can be asked");
}

#[test]
fn operations_show_how_they_go() {
    let (home, workspace) = Home::signed_in();
    let running = json!({"name": "projects/shown/operations/1", "done": false});
    workspace.order(Fault::on("GET", "/api/2.0/postgres/projects/shown/operations").reply(Response::json(200, &running)).forever());
    let mut typing = home.typing("postgres create-project shown");
    typing.wait_for("projects/shown/operations/1: running, 0 s …");
    typing.wait_for("running, 1 s …");
    let done = json!({"name": "projects/shown/operations/1", "done": true, "response": {"name": "projects/shown"}});
    workspace.clear_faults();
    workspace.order(Fault::on("GET", "/api/2.0/postgres/projects/shown/operations").reply(Response::json(200, &done)).forever());
    typing.end().ok().says("projects/shown");
}

#[test]
fn a_watched_password_file_shows_how_long_it_is_good() {
    let (home, workspace) = Home::signed_in();
    home.store(home.path().join(".pgpass"));
    workspace.change_instance("my-instance", &json!({"read_write_dns": "localhost"}));
    let mut typing = home.typing("database pgpass my-instance --watch");
    typing.wait_for(".pgpass: good until");
    typing.wait_for("the next in");
    typing.send("\u{3}");
    typing.end().ok().says("is no longer renewed; it is good until");
    super::logins::keep_secret(&home, &workspace);
}
