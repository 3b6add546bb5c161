//! `database …` and `postgres …`: every call goes out as documented, and what takes its time is waited for.

use crate::harness::Home;
use crate::workspace::{Fault, Response};
use serde_json::json;

#[test]
fn instances_are_made_found_changed_and_deleted() {
    let (home, workspace) = Home::signed_in();
    let made = home.run("database create-database-instance new-one --capacity CU_2 --node-count 2").ok().json();
    assert_eq!((made["name"].as_str(), made["state"].as_str(), made["capacity"].as_str()), (Some("new-one"), Some("AVAILABLE"), Some("CU_2")));
    let requests = workspace.requests();
    let sent: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(sent, json!({"name": "new-one", "capacity": "CU_2", "node_count": 2}));
    assert!(requests.len() >= 2, "it was waited for");

    let uid = made["uid"].as_str().unwrap();
    let found = home.run(["database", "find-database-instance-by-uid", "--uid", uid]).ok().json();
    assert_eq!(found["name"], "new-one");
    home.run("database list-database-instances --limit 1").ok().shows("\"db-instance-name\"");
    assert_eq!(home.run("database list-database-instances -o json").ok().json().as_array().unwrap().len(), 4);

    home.run("database update-database-instance new-one stopped --stopped").ok().shows("\"STOPPED\"");
    workspace.clear_requests();
    home.run("database update-database-instance new-one stopped --stopped=false").ok().shows("\"STARTING\"");
    let request = &workspace.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.target.as_str(), request.body.as_str()),
        ("PATCH", "/api/2.0/database/instances/new-one?update_mask=stopped", r#"{"stopped":false}"#)
    );
    home.run("database update-database-instance new-one capacity").error("please provide command input in JSON format by specifying the --json flag");

    workspace.clear_requests();
    home.run("database delete-database-instance new-one --force --purge").ok().prints("");
    assert_eq!(workspace.requests()[0].target, "/api/2.0/database/instances/new-one?force=true&purge=true");
    home.run("database get-database-instance new-one").error("Database instance 'new-one' not found.");
}

#[test]
fn what_belongs_to_an_instance_has_its_calls_too() {
    let (home, workspace) = Home::signed_in();
    home.run("database create-database-catalog shop my-instance databricks_postgres --create-database-if-not-exists").ok();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&workspace.requests()[0].body).unwrap(),
        json!({"name": "shop", "database_instance_name": "my-instance", "database_name": "databricks_postgres", "create_database_if_not_exists": true})
    );
    home.run("database get-database-catalog shop").ok().shows("my-instance");
    home.run("database list-database-catalogs my-instance").ok().shows("\"shop\"");
    home.run("database update-database-catalog shop database_name --database-name other").ok().shows("\"other\"");
    home.run("database delete-database-catalog shop").ok().prints("");
    home.run("database get-database-catalog shop").error("There is no 'shop' in catalogs.");

    home.run("database create-database-instance-role my-instance --name ann@example.com --identity-type USER").ok();
    home.run("database list-database-instance-roles my-instance").ok().shows("ann@example.com");
    home.run("database get-database-instance-role my-instance ann@example.com").ok().shows("\"USER\"");
    home.run("database delete-database-instance-role my-instance ann@example.com").ok();
    home.run("database delete-database-instance-role my-instance ann@example.com --allow-missing").ok();

    home.run("database create-database-table main.public.orders --database-instance-name my-instance --logical-database-name shop").ok();
    home.run("database get-database-table main.public.orders").ok().shows("\"shop\"");
    home.run("database delete-database-table main.public.orders").ok();

    let synced = r#"{"name": "main.public.copy", "database_instance_name": "my-instance", "spec": {"scheduling_policy": "SNAPSHOT"}}"#;
    home.run(["database", "create-synced-database-table", "--json", synced]).ok();
    home.run("database list-synced-database-tables my-instance").ok().shows("SNAPSHOT");
    workspace.clear_requests();
    home.run("database delete-synced-database-table main.public.copy --purge-data").ok();
    assert_eq!(workspace.requests()[0].target, "/api/2.0/database/synced_tables/main.public.copy?purge_data=true");
    // Nothing is made of a body in which nothing can be sent.
    workspace.clear_requests();
    home.run(["database", "create-synced-database-table", "--json", r#"{"synced_table": {"name": "x"}}"#]).fails().says("unknown field: synced_table");
    assert!(workspace.requests().is_empty());
}

#[test]
fn operations_are_waited_for_unless_nobody_wants_to() {
    let (home, workspace) = Home::signed_in();
    let made = home.run(["postgres", "create-project", "shop", "--json", r#"{"spec": {"display_name": "Shop", "pg_version": 17}}"#]).ok().json();
    assert_eq!((made["name"].as_str(), made["status"]["display_name"].as_str()), (Some("projects/shop"), Some("Shop")));
    let targets: Vec<String> = workspace.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect();
    assert_eq!(targets[0], "POST /api/2.0/postgres/projects?project_id=shop");
    assert!(targets.len() == 3 && targets[1..].iter().all(|target| target.starts_with("GET /api/2.0/postgres/projects/shop/operations/")), "{targets:?}");

    workspace.clear_requests();
    let begun = home.run("postgres create-branch projects/shop main --no-wait").ok().json();
    assert_eq!((workspace.requests().len(), begun["done"].as_bool()), (1, Some(false)));
    let operation = begun["name"].as_str().unwrap();
    home.run(["postgres", "get-operation", operation]).ok().shows("\"done\": false");
    home.run(["postgres", "get-operation", operation]).ok().shows("\"done\": true");
    // One that never ends is waited for as long as somebody said, and no longer.
    let running = json!({"name": "projects/shop/operations/1", "done": false});
    workspace.order(Fault::on("GET", "/api/2.0/postgres/projects/shop/operations").reply(Response::json(200, &running)).forever());
    home.run("postgres create-endpoint projects/shop/branches/main primary --timeout 1s").fails().says("is not done after 1 seconds (running); it goes on");
    workspace.clear_faults();

    home.run("postgres list-branches projects/shop").ok().shows("projects/shop/branches/main");
    home.run("postgres list-endpoints projects/shop/branches/main").ok().shows("endpoints/primary");
    home.run("postgres get-endpoint projects/my-project/branches/main/endpoints/primary").ok().shows("ep-primary");
    home.run(["postgres", "create-role", "projects/shop/branches/main", "--role-id", "ann", "--json", r#"{"spec": {"postgres_role": "ann"}}"#]).ok();
    home.run("postgres list-roles projects/shop/branches/main").ok().shows("roles/ann");
    workspace.clear_requests();
    home.run(["postgres", "create-role", "projects/shop/branches/main", "--json", r#"{"role": {"spec": {}}}"#]).fails().says("unknown field: role");
    assert!(workspace.requests().is_empty());
    let change = r#"{"spec": {"display_name": "Other"}}"#;
    home.run(["postgres", "update-project", "projects/shop", "spec.display_name", "--json", change]).ok().shows("Other");
    home.run("postgres delete-role projects/shop/branches/main/roles/ann").ok().prints("");
    home.run("postgres delete-project projects/shop").ok().prints("");
    home.run("postgres get-project projects/shop").error("projects/shop does not exist.");
    home.run("postgres undelete-project projects/shop").ok().shows("projects/shop");
    home.run("postgres get-project").fails().says("expected to have NAME");
}

#[test]
fn everything_in_a_project_is_made_changed_and_deleted() {
    let (home, workspace) = Home::signed_in();
    home.run("postgres create-project shop").ok();
    home.run("postgres create-branch projects/shop dev").ok();
    home.run("postgres create-endpoint projects/shop/branches/dev primary").ok();
    for (kind, list, words, made, change) in [
        ("branch", "branches projects/shop", None, "projects/shop/branches/dev", r#"{"is_protected": true}"#),
        ("endpoint", "endpoints projects/shop/branches/dev", None, "projects/shop/branches/dev/endpoints/primary", r#"{"autoscaling_limit_max_cu": 4}"#),
        (
            "role",
            "roles projects/shop/branches/dev",
            Some(("--role-id", r#"{"postgres_role": "ann"}"#)),
            "projects/shop/branches/dev/roles/x",
            r#"{"attributes": {"createdb": true}}"#,
        ),
        (
            "database",
            "databases projects/shop/branches/dev",
            Some(("--database-id", r#"{"postgres_database": "shop"}"#)),
            "projects/shop/branches/dev/databases/x",
            r#"{"postgres_database": "other"}"#,
        ),
    ] {
        if let Some((flag, spec)) = words {
            let body = format!(r#"{{"spec": {spec}}}"#);
            home.run(["postgres", &format!("create-{kind}"), "projects/shop/branches/dev", flag, "x", "--json", &body]).ok().shows(made);
        }
        home.run(["postgres", &format!("get-{kind}"), made]).ok().shows(made);
        home.run(&*format!("postgres list-{list}")).ok().shows(made);
        workspace.clear_requests();
        let field = change.split('"').nth(1).unwrap();
        let body = format!(r#"{{"spec": {change}}}"#);
        home.run(["postgres", &format!("update-{kind}"), made, &format!("spec.{field}"), "--json", &body]).ok().shows(field);
        let sent = &workspace.requests()[0];
        assert_eq!((sent.method.as_str(), &*sent.target), ("PATCH", &*format!("/api/2.0/postgres/{made}?update_mask=spec.{field}")));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&sent.body).unwrap(), serde_json::from_str::<serde_json::Value>(&body).unwrap());
    }
    for made in [
        "database projects/shop/branches/dev/databases/x",
        "role projects/shop/branches/dev/roles/x",
        "endpoint projects/shop/branches/dev/endpoints/primary",
        "branch projects/shop/branches/dev",
    ] {
        home.run(&*format!("postgres delete-{made}")).ok().prints("");
        home.run(&*format!("postgres get-{made}")).fails().says("does not exist");
    }
}

#[test]
fn an_operation_that_fails_fails_the_command() {
    let (home, workspace) = Home::signed_in();
    let failed = json!({"name": "projects/x/operations/1", "done": true, "error": {"error_code": "RESOURCE_EXHAUSTED", "message": "no more projects"}});
    workspace.order(Fault::on("POST", "/api/2.0/postgres/projects").reply(Response::json(200, &failed)));
    home.run("postgres create-project x").error("no more projects");
}

#[test]
fn passwords_of_endpoints_live_as_long_as_they_are_asked_for() {
    let (home, workspace) = Home::signed_in();
    let endpoint = "projects/my-project/branches/main/endpoints/primary";
    let given = home.command(["postgres", "generate-database-credential", endpoint, "--ttl", "15m"]).reveals().run().ok().json();
    assert_eq!(workspace.requests()[0].body, format!(r#"{{"endpoint":"{endpoint}","ttl":"900s"}}"#));
    let grant = workspace.valid_database_token(given["token"].as_str().unwrap()).unwrap();
    assert_eq!((grant.user.as_str(), grant.instances), ("ann@example.com", vec![endpoint.to_owned()]));
    assert!(given["expire_time"].as_str().unwrap().ends_with('Z'));
    home.run(["postgres", "generate-database-credential", endpoint, "--expire-time", "bad"]).error("invalid EXPIRE_TIME: bad");
    home.run(["postgres", "generate-database-credential", endpoint, "--ttl", "bad"]).fails().says("bad");
    home.run("postgres generate-database-credential").fails().says("expected to have ENDPOINT");
}

#[test]
fn the_python_sdk_gets_passwords_that_are_as_good() {
    let (home, workspace) = Home::signed_in();
    let python = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin/python");
    let endpoint = "projects/my-project/branches/main/endpoints/primary";
    let program = format!(
        "from databricks.sdk import WorkspaceClient\n\
         w = WorkspaceClient()\n\
         print(w.database.generate_database_credential(request_id='r', instance_names=['my-instance']).token)\n\
         print(w.postgres.generate_database_credential(endpoint='{endpoint}').token)\n\
         print(w.database.get_database_instance('my-instance').read_write_dns, [one.name for one in w.postgres.list_branches('projects/two')])\n"
    );
    std::fs::write(home.work().join("sdk.py"), program).unwrap();
    let outcome = home.script(&format!("{} sdk.py", python.display())).reveals().run();
    let lines: Vec<&str> = outcome.ok().stdout.lines().collect();
    assert_eq!(workspace.valid_database_token(lines[0]).unwrap().instances, ["my-instance"]);
    assert_eq!(workspace.valid_database_token(lines[1]).unwrap().instances, [endpoint]);
    assert!(lines[2].ends_with("['projects/two/branches/dev', 'projects/two/branches/prod']"), "{outcome}");
    // The same request id has the same password, whoever sends it.
    let ours = home.command("database generate-database-credential my-instance --request-id r").reveals().run();
    assert_eq!(ours.ok().json()["token"], lines[0]);
}

/// Catalogs, synced tables and change feeds of a project: what we send is what the Python SDK sends.
#[test]
fn what_no_other_test_calls_goes_out_as_the_python_sdk_sends_it() {
    let (home, workspace) = Home::signed_in();
    let done = json!({"name": "operations/1", "done": true, "response": {}});
    for method in ["POST", "DELETE"] {
        workspace.order(Fault::on(method, "/api/2.0/postgres").reply(Response::json(200, &done)).forever());
    }
    workspace.order(Fault::on("GET", "/api/2.0/postgres").reply(Response::json(200, &json!({}))).forever());
    let database = "projects/my-project/branches/main/databases/db";
    let catalog = json!({"spec": {"postgres_database": "databricks_postgres", "branch": "projects/my-project/branches/main"}}).to_string();
    let table = json!({"spec": {"source_table_full_name": "main.raw.orders", "primary_key_columns": ["id"]}}).to_string();
    let feed = json!({"catalog": "main", "schema": "feed", "postgres_schema": "public"}).to_string();
    let calls: [(&[&str], String); 12] = [
        (&["create-catalog", "my_catalog", "--json", &catalog], format!("create_catalog(Catalog.from_dict({catalog}), 'my_catalog')")),
        (&["get-catalog", "catalogs/my_catalog"], "get_catalog('catalogs/my_catalog')".to_owned()),
        (&["delete-catalog", "catalogs/my_catalog"], "delete_catalog('catalogs/my_catalog')".to_owned()),
        (
            &["create-synced-table", "main.public.orders", "--json", &table],
            format!("create_synced_table(SyncedTable.from_dict({table}), 'main.public.orders')"),
        ),
        (&["get-synced-table", "synced_tables/main.public.orders"], "get_synced_table('synced_tables/main.public.orders')".to_owned()),
        (&["delete-synced-table", "synced_tables/main.public.orders"], "delete_synced_table('synced_tables/main.public.orders')".to_owned()),
        (
            &["create-cdf-config", database, "--cdf-config-id", "feed", "--json", &feed],
            format!("create_cdf_config('{database}', CdfConfig.from_dict({feed}), cdf_config_id='feed')"),
        ),
        (&["get-cdf-config", &format!("{database}/cdf-configs/feed")], format!("get_cdf_config('{database}/cdf-configs/feed')")),
        (&["list-cdf-configs", database], format!("list_cdf_configs('{database}')")),
        (&["delete-cdf-config", &format!("{database}/cdf-configs/feed")], format!("delete_cdf_config('{database}/cdf-configs/feed')")),
        (&["get-cdf-status", &format!("{database}/cdf-statuses/orders")], format!("get_cdf_status('{database}/cdf-statuses/orders')")),
        (&["list-cdf-statuses", database], format!("list_cdf_statuses('{database}')")),
    ];
    let sent = || -> Vec<(String, String, serde_json::Value)> {
        let requests = workspace.requests().into_iter().filter(|request| request.target.starts_with("/api/2.0/postgres"));
        requests
            .map(|request| {
                // A page size is ours.
                let target = request.target.split(['?', '&']).filter(|part| !part.starts_with("page_size=")).collect::<Vec<_>>().join("?");
                (request.method.clone(), target, serde_json::from_str(&request.body).unwrap_or_default())
            })
            .collect()
    };
    workspace.clear_requests();
    for (words, _) in &calls {
        home.run(&[&["postgres"], *words].concat()[..]).ok();
    }
    let ours = sent();
    workspace.clear_requests();
    let lines: Vec<String> =
        calls.iter().map(|(words, call)| if words[0].starts_with("list") { format!("list(pg.{call})\n") } else { format!("pg.{call}\n") }).collect();
    let program = format!(
        "from databricks.sdk import WorkspaceClient\nfrom databricks.sdk.service.postgres import *\npg = WorkspaceClient().postgres\n{}",
        lines.concat()
    );
    std::fs::write(home.work().join("sdk.py"), program).unwrap();
    home.script(&format!("{} sdk.py", crate::peers::oracle::python().display())).run().ok();
    assert_eq!((ours.len(), &ours), (calls.len(), &sent()));
}
