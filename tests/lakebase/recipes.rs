//! The recipes of `docs/lakebase.md` for programs of other people, word for word but for the home folder: through the proxy, and with a password file.

use super::logins::{keep_secret, setting};
use crate::harness::{Home, Serving};
use crate::peers::oracle::installed;
use crate::workspace::Workspace;
use std::path::Path;

/// What each recipe asks, and what the server says of it.
const QUESTION: &str = "select current_user || ' ' || current_database()";
const ANSWER: &str = "ann@example.com databricks_postgres\n";

/// The blocks of code in the part of the guide that begins with these words.
fn blocks(home: &Home, part: &str) -> Vec<String> {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lakebase.md")).unwrap();
    let (_, rest) = guide.split_once(&format!("\n**{part}")).unwrap_or_else(|| panic!("no recipe for {part}"));
    let own = rest.split("\n**").next().unwrap().replace("/home/me", home.path().to_str().unwrap());
    let mut blocks = vec![String::new()];
    // Blank lines within a block belong to it.
    let lines: Vec<&str> = own.lines().collect();
    for (place, line) in lines.iter().enumerate() {
        let next = || lines[place..].iter().find(|line| !line.is_empty());
        match line.strip_prefix("    ") {
            Some(code) => blocks.last_mut().unwrap().extend([code, "\n"]),
            None if line.is_empty() && !blocks.last().unwrap().is_empty() && next().is_some_and(|line| line.starts_with("    ")) => {
                blocks.last_mut().unwrap().push('\n');
            }
            None if !blocks.last().unwrap().is_empty() => blocks.push(String::new()),
            None => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// The proxy of the recipes, with a socket.
fn socket(home: &Home, port: u16) -> Serving<'_> {
    let serving = home.script(&format!("exec databricks database proxy my-instance --port {port} --socket ~/.lakebase")).serve();
    serving.wait_for(" leads to ");
    serving
}

/// The password file, kept fresh.
fn watched(home: &Home, port: u16) -> Serving<'_> {
    let serving = home.command(["database", "pgpass", "my-instance", "--watch", "--port", &port.to_string()]).serve();
    serving.wait_for("Keeping the password");
    serving
}

/// Two logins by an engine that keeps no connection, the second of them when the password of the first has ended.
fn twice(home: &Home, workspace: &Workspace, name: &str, engine: &str) {
    let python = installed("TEST_PSYCOPG", "target/test-psycopg/bin/python");
    let program = format!(
        "from sqlalchemy import create_engine\n{engine}\ndef ask():\n    with engine.connect() as connection:\n        print(connection.exec_driver_sql(\"{QUESTION}\").scalar(), flush=True)\n    engine.dispose()\nask()\ninput()\nask()\n"
    );
    std::fs::write(home.work().join(format!("by_{name}.py")), program).unwrap();
    let more = home.work().join(format!("{name}.more"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &more, rustix::fs::Mode::RWXU).unwrap();
    let mut asking = home.script(&format!("exec {} by_{name}.py < {name}.more", python.display())).serve();
    let pipe = std::fs::File::options().write(true).open(&more).unwrap();
    asking.wait_for(ANSWER);
    workspace.wait_for_database_expiry();
    std::io::Write::write_all(&mut &pipe, b"\n").unwrap();
    drop(pipe);
    assert!(asking.end().success(), "{name}: {}", asking.said());
    assert_eq!(asking.said().matches(ANSWER).count(), 2, "{name}: {}", asking.said());
}

#[test]
fn sqlalchemy() {
    let (home, workspace, postgres) = setting();
    workspace.database_lifetime(4);
    let recipes = blocks(&home, "SQLAlchemy.");
    assert_eq!(recipes.len(), 3, "{recipes:?}");
    let door = socket(&home, postgres.port);
    twice(&home, &workspace, "socket", &recipes[0]);
    drop(door);
    // The recipe knows of no other port than the usual one.
    let real = home.path().parent().unwrap().join("bin/databricks");
    home.program("databricks-at", &format!("#!/bin/sh\nexec {} \"$@\" --port {}\n", real.display(), postgres.port));
    twice(&home, &workspace, "fetched", &recipes[1].replace("[\"databricks\"", "[\"databricks-at\""));
    let watch = watched(&home, postgres.port);
    let dsn = home.run(&*format!("database dsn my-instance --no-password --port {}", postgres.port)).ok().stdout.trim_end().to_owned();
    twice(&home, &workspace, "file", &format!("dsn = '{dsn}'\n{}", recipes[2]));
    drop(watch);
    keep_secret(&home, &workspace);
}

#[test]
fn dbt() {
    let (home, workspace, postgres) = setting();
    let recipes = blocks(&home, "dbt**");
    assert_eq!(recipes.len(), 2, "{recipes:?}");
    let dbt = installed("TEST_DBT", "target/test-dbt/bin/dbt").display().to_string();
    let place = home.work().join("shop");
    std::fs::create_dir_all(place.join("models")).unwrap();
    std::fs::write(place.join("dbt_project.yml"), "name: shop\nversion: '1.0'\nprofile: shop\n").unwrap();
    std::fs::write(place.join("models/one.sql"), format!("{QUESTION} as who\n")).unwrap();
    std::fs::write(place.join("profiles.yml"), &recipes[0]).unwrap();
    let run = |before: &str, words: &str| {
        let script = format!(
            "cd shop; export DO_NOT_TRACK=1 HTTPS_PROXY=http://127.0.0.1:9 PYTHONDONTWRITEBYTECODE=; {before}\n{dbt} --no-use-colors {words} --profiles-dir ."
        );
        home.script(&script).at_most(std::time::Duration::from_secs(120)).run()
    };
    let door = socket(&home, postgres.port);
    run("", "run").ok().shows("PASS=1 WARN=0 ERROR=0");
    home.script("psql -XAt -h ~/.lakebase -d databricks_postgres -c 'select who from one'").run().prints(ANSWER);
    drop(door);
    // Over TCP, as the guide says what is otherwise.
    let port = super::postgres::free_port();
    let over_tcp = recipes[0].replacen(&format!("host: {}/.lakebase, port: 5432", home.path().display()), &format!("host: 127.0.0.1, port: {port}"), 1);
    let over_tcp = over_tcp.replacen("password: none", "password: \"{{ env_var('LAKEBASE_DOOR') }}\"", 1);
    assert!(over_tcp.contains("env_var") && over_tcp.contains("127.0.0.1"), "{over_tcp}");
    std::fs::write(place.join("profiles.yml"), over_tcp).unwrap();
    let line = format!("databricks database proxy my-instance --port {} --listen 127.0.0.1:{port} --password-file ~/.lakebase.pgpass", postgres.port);
    let door = home.script(&format!("exec {line}")).serve();
    door.wait_for(" leads to ");
    home.store(home.path().join(".lakebase.pgpass"));
    run(&recipes[1], "debug").ok().shows("All checks passed!");
    keep_secret(&home, &workspace);
}

/// `RPostgres` is not in Debian, and no registry that tests reach has it: `RPostgreSQL` stands for it, which is libpq and DBI too.
#[test]
fn r() {
    let (home, workspace, postgres) = setting();
    workspace.database_lifetime(4);
    let [recipe] = &blocks(&home, "R (DBI).")[..] else { panic!("one recipe") };
    let (first, second) = recipe.trim_end().split_once('\n').unwrap();
    assert_eq!(first.replace("RPostgreSQL::PostgreSQL()", "RPostgres::Postgres()"), second);
    let rscript = installed("TEST_RSCRIPT", "/usr/bin/Rscript").display().to_string();
    let ask = |name: &str, connect: &str, variables: &str| {
        std::fs::write(home.work().join(name), format!("{connect}\ncat(DBI::dbGetQuery(con, \"{QUESTION}\")[[1]], sep = \"\\n\")\n")).unwrap();
        home.script(&format!("{variables} {rscript} --vanilla {name}")).run().ok().prints(ANSWER);
    };
    let door = socket(&home, postgres.port);
    ask("socket.R", first, "");
    drop(door);
    // With the password file, over TLS; also when the first password has ended.
    let watch = watched(&home, postgres.port);
    let direct = first.replacen(&format!("\"{}/.lakebase\"", home.path().display()), &format!("\"localhost\", port = {}", postgres.port), 1);
    let direct = direct.replacen("user = \"me\"", "user = \"ann@example.com\"", 1);
    for _ in 0..2 {
        ask("file.R", &direct, "PGSSLMODE=verify-full PGSSLROOTCERT=$SSL_CERT_FILE");
        workspace.wait_for_database_expiry_of(&workspace.database_tokens()[0]);
    }
    assert!(workspace.database_tokens().len() > 1);
    drop(watch);
    keep_secret(&home, &workspace);
}

/// What `DBeaver` and `DataGrip` do when they connect as the guide says: the JDBC driver, user name and password as somebody types them, nothing said of SSL.
#[test]
fn jdbc_as_graphical_programs_have_it() {
    let (home, workspace, postgres) = setting();
    let door = super::door::Door::open(&home, postgres.port, "");
    let java = installed("TEST_JDBC", "target/test-jdbc/java");
    let folder = java.parent().unwrap().display().to_string();
    let program = format!("{} -XX:TieredStopAtLevel=1 -cp '{folder}/lib/*:{folder}/classes' Logins 0", java.display());
    for ssl in ["", "&sslmode=disable"] {
        for host in ["127.0.0.1", "localhost"] {
            let url =
                format!("jdbc:postgresql://{host}:{}/databricks_postgres?user=whoever&password=$(sed -n 's/^localhost:.*://p' door.pgpass){ssl}", door.port);
            door.script(&format!("unset PGPASSFILE PGUSER; printf %s \"{url}\" | {program}"))
                .ok()
                .shows("\"ok\": 1, \"errors\": [], \"users\": [\"ann@example.com\"]");
        }
    }
    keep_secret(&home, &workspace);
}
