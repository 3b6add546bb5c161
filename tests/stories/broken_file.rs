//! A profile file that somebody edited by hand, that another program damaged, or that is none at all.

use crate::harness::{Home, made_up_token, profile, set_mode};
use crate::workspace::Workspace;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// Runs `configure` for a profile with a made-up token.
fn configure(home: &Home, name: &str) -> crate::harness::Outcome {
    home.command(["configure", "--host", "https://new.example", "-p", name]).stdin("dapi-new-token\n").run()
}

#[test]
fn a_line_that_makes_no_sense_spoils_itself_only() {
    let (home, workspace) = Home::signed_in();
    home.secret("dapi-pasted-where-it-does-not-belong");
    for (line, words) in [
        ("dapi-pasted-where-it-does-not-belong", "key-value delimiter not found"),
        ("[unclosed dapi-pasted-where-it-does-not-belong", "unclosed section"),
        ("= dapi-pasted-where-it-does-not-belong", "empty key name"),
        ("q = `dapi-pasted-where-it-does-not-belong", "missing closing quote"),
    ] {
        let broken = format!("{}\n[other]\nhost = https://h.example\n{line}\n", home.config().lines().take(3).collect::<Vec<_>>().join("\n"));
        home.write_config(&broken);
        let place = format!("{}:6: {words}", home.config_path().display());
        // Reading goes on, and says where.
        home.run("current-user me").ok().says(&format!("Warning: {place}"));
        home.run("auth profiles --skip-validate").ok().says(&place).shows("DEFAULT").shows("other");
        home.command("auth env").reveals().run().ok().says(&place);
        home.run("auth describe --offline").ok().says(&place);
        // Writing does not, and the file stays as it is, to the byte.
        let parse = format!("Error: parse {place}\n");
        configure(&home, "other").fails().says(&parse);
        home.run("auth switch -p DEFAULT").fails().says(&parse);
        assert_eq!(home.config(), broken);
        assert_eq!(home.files(), [".databrickscfg"]);
    }
    assert!(workspace.requests().len() >= 4);
}

#[test]
fn what_is_no_text_file_is_named_and_left_alone() {
    let home = Home::new();
    let binary = b"\x7fELF\0\0[DEFAULT]\nhost = x\0\n".to_vec();
    home.write_config(&binary);
    let path = home.config_path();
    for words in ["tokens list", "auth env", "auth profiles", "auth switch -p x", "tokens list -p x"] {
        home.run(words).fails().says(&path.display().to_string()).says("not a text file");
    }
    configure(&home, "x").fails().says("not a text file");
    assert_eq!(home.config_bytes(), binary);
    // Bytes that are no UTF-8 are a fault of their value, not of the file.
    home.write_config(b"[a]\nhost = https://h.example\nnote = caf\xe9\n[b]\nhost = https://b.example\n");
    configure(&home, "b").ok();
    assert!(home.config_bytes().windows(4).any(|window| window == b"caf\xe9"));
}

#[test]
fn fifty_megabytes_are_refused_at_once() {
    let home = Home::new();
    let line = b"; a comment that goes on and on and on and on\n";
    home.write_config(line.repeat((50 << 20) / line.len()));
    for words in ["tokens list", "auth profiles --skip-validate"] {
        home.run(words).fails().says(".databrickscfg").says("larger than").within(Duration::from_secs(2));
    }
    configure(&home, "x").fails().says("larger than").within(Duration::from_secs(2));
    // A file of thousands of profiles is none of that.
    let many: String = (0..5_000).map(|number| profile(&format!("p{number}"), "https://h.example", "dapi-nothing")).collect();
    home.write_config(many);
    home.run("auth profiles --skip-validate").ok().shows("p4999").within(Duration::from_secs(5));
    configure(&home, "p2500").ok();
}

#[test]
fn what_is_no_file_is_said_and_never_waited_for() {
    let home = Home::new();
    let folder = home.path();
    std::fs::create_dir(home.config_path()).unwrap();
    home.run("tokens list").fails().says(".databrickscfg").says("folder");
    configure(&home, "x").fails().says("folder");
    let pipe = folder.join("pipe");
    home.script("mkfifo ~/pipe").run().ok();
    for other in [pipe.to_str().unwrap(), "/dev/zero", "/dev/null", "/dev/tty"] {
        let outcome = home.command("tokens list").env("DATABRICKS_CONFIG_FILE", other).run();
        outcome.fails().says("Error: ").within(Duration::from_secs(2));
        let outcome = home.command("configure --host https://h.example").stdin("dapi-x\n").env("DATABRICKS_CONFIG_FILE", other).run();
        outcome.fails().says(other).within(Duration::from_secs(2));
    }
    // The one that jobs name to say that there are no profiles has none.
    let outcome = home.command("auth token --host https://h.example").env("DATABRICKS_CONFIG_FILE", "/dev/null").run();
    outcome.fails().says("databricks OAuth is not configured for this host").lacks("regular file");
    home.command("tokens list -p x").env("DATABRICKS_CONFIG_FILE", "/dev/null").run().fails().says("Config: profile=x, config_file=/dev/null");
    // The environment alone needs no file, whatever lies there.
    let workspace = home.joins(Workspace::start());
    home.command("current-user me").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_TOKEN", workspace.token()).run().ok().notes("");
}

#[test]
fn values_are_read_as_everybody_reads_them() {
    let home = Home::new();
    for (number, (file, token)) in [
        ("\u{feff}[DEFAULT]\nhost = https://h.example\ntoken = plain-token\n", "plain-token"),
        ("[DEFAULT]\r\nhost = https://h.example\r\ntoken = crlf-token\r\n", "crlf-token"),
        ("host = https://h.example\ntoken = no-section-token\n", "no-section-token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken = \"quoted-token\"\n", "quoted-token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken = 'quoted-token'\n", "quoted-token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken = `back#tick-token`\n", "back#tick-token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken : colon-token ; note\n", "colon-token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken = hash#in=side;token # note\n", "hash#in=side;token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken = conti\\\n  nued-token\n", "continued-token"),
        ("[DEFAULT]\nhost = https://h.example\ntoken = first-token\ntoken = last-token\n", "last-token"),
        ("[DEFAULT]\nhost = https://x.example\ntoken = first-token\n[b]\nk = v\n[DEFAULT]\nhost = https://h.example\n", "first-token"),
        ("[DEFAULT]\n  HOST=https://h.example\n\tToken=cased-token", "cased-token"),
    ]
    .into_iter()
    .enumerate()
    {
        home.write_config(file);
        let env = home.command("auth env").reveals().run();
        let env = env.ok().json();
        assert_eq!(
            (env["env"]["DATABRICKS_TOKEN"].as_str(), env["env"]["DATABRICKS_HOST"].as_str()),
            (Some(token), Some("https://h.example")),
            "case {number}: {file:?}"
        );
    }
}

#[test]
fn every_byte_that_is_not_ours_stays() {
    let home = Home::new();
    for (before, after) in [
        (
            "\u{feff}# mine\r\n[other]\r\nhost=https://o.example\r\n\r\n[DEFAULT]\r\nhost=https://old.example\r\ntoken=old-token\r\n; end\r\n",
            "\u{feff}# mine\r\n[other]\r\nhost=https://o.example\r\n\r\n[DEFAULT]\r\nhost=https://new.example\r\ntoken=dapi-new-token\r\n; end\r\n",
        ),
        (
            "[DEFAULT]\n   host   =   https://old.example\n\ttoken:old-token\nlong = a\\\n  b\nmulti = \"\"\"x\ny\"\"\"\n\n\n[z]\nk=v",
            "[DEFAULT]\n   host   =   https://new.example\n\ttoken:dapi-new-token\nlong = a\\\n  b\nmulti = \"\"\"x\ny\"\"\"\n\n\n[z]\nk=v",
        ),
        ("[DEFAULT]\nhost = https://old.example\ntoken = one\ntoken = two\n", "[DEFAULT]\nhost = https://new.example\ntoken = dapi-new-token\n"),
    ] {
        home.write_config(before);
        configure(&home, "DEFAULT").ok().silent();
        assert_eq!(home.config(), after);
        configure(&home, "DEFAULT").ok().silent();
        assert_eq!(home.config(), after);
        assert_eq!(home.files(), [".databrickscfg"]);
    }
}

#[test]
fn a_mode_that_lets_others_read_is_tightened_and_told() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.write_config(profile("DEFAULT", "https://h.example", &token));
    for mode in [0o644, 0o660, 0o604] {
        set_mode(&home.config_path(), mode);
        configure(&home, "new").ok().prints("").says(&format!("{mode:04o}")).says("0600");
        assert_eq!(home.config_mode(), 0o600);
        configure(&home, "new").ok().silent();
    }
    // Whoever only reads changes nothing.
    set_mode(&home.config_path(), 0o644);
    home.command("auth env").reveals().run().ok();
    assert_eq!(home.config_mode(), 0o644);
    home.allow_loose_stores();
}

#[test]
fn a_new_file_is_private_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let home = Home::new();
        home.script(&format!("umask {umask}; echo dapi-x | databricks configure --host https://h.example")).run().ok().silent();
        assert_eq!(home.config_mode(), 0o600);
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let home = Home::new();
    let dotfiles = home.path().join("dotfiles");
    std::fs::create_dir(&dotfiles).unwrap();
    let target = dotfiles.join("databrickscfg");
    home.store(&target);
    home.write(&target, "# in git\n[DEFAULT]\nhost = https://old.example\n");
    symlink("dotfiles/link", home.config_path()).unwrap();
    symlink("databrickscfg", dotfiles.join("link")).unwrap();
    configure(&home, "DEFAULT").ok().silent();
    assert_eq!(std::fs::read_link(home.config_path()).unwrap().to_str(), Some("dotfiles/link"));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "# in git\n[DEFAULT]\nhost = https://new.example\ntoken = dapi-new-token\n");
    // A link to nothing becomes a file at its end; a loop is told.
    std::fs::remove_file(&target).unwrap();
    configure(&home, "DEFAULT").ok();
    assert!(target.is_file() && home.config_path().is_symlink());
    std::fs::remove_file(home.config_path()).unwrap();
    symlink(".databrickscfg", home.config_path()).unwrap();
    configure(&home, "DEFAULT").fails().says(".databrickscfg");
    home.run("tokens list").fails().says(".databrickscfg");
}

#[test]
fn a_home_that_cannot_be_written_is_told_with_its_path() {
    let home = Home::new();
    home.secret("dapi-new-token");
    // For root no mode is an obstacle: /proc is.
    for place in ["/proc/databrickscfg", "/nonexistent/folder/.databrickscfg", "/dev/null/x"] {
        let outcome = home.command("configure --host https://h.example").stdin("dapi-new-token").env("DATABRICKS_CONFIG_FILE", place).run();
        outcome.fails().says(place);
    }
    home.command("configure --host https://h.example").stdin("dapi-new-token").env("HOME", "/nonexistent").run().fails().says("/nonexistent/.databrickscfg");
    // Reading what is not there is no error of the file.
    home.command("tokens list").env("HOME", "/nonexistent").run().fails().says("cannot configure default credentials");
}

#[test]
fn without_a_home_the_environment_is_enough() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.set("DATABRICKS_HOST", workspace.url());
    home.set("DATABRICKS_TOKEN", workspace.token());
    home.command("tokens list").without("HOME").run().ok().notes("");
    home.command("auth env").without("HOME").reveals().run().ok();
    home.command("auth describe").without("HOME").run().ok().shows("Authenticated with: pat");
    home.command("version").without("HOME").without("PATH").run().ok();
    home.command("configure").without("HOME").run().fails().says("HOME").says("DATABRICKS_CONFIG_FILE");
    home.command("auth profiles").without("HOME").run().fails().says("HOME");
    let elsewhere = home.work().join("profiles");
    home.store(&elsewhere);
    home.command("configure").without("HOME").env("DATABRICKS_CONFIG_FILE", &elsewhere).run().ok().silent();
    home.command("tokens list -p DEFAULT").without("HOME").env("DATABRICKS_CONFIG_FILE", "profiles").run().ok();
}

#[test]
fn what_a_killed_writer_left_behind_is_cleared_away() {
    let (home, _workspace) = Home::signed_in();
    let left = home.path().join("..databrickscfg.databricks-tmp");
    home.write(&left, home.config());
    home.run("tokens list").ok().notes("");
    assert!(!left.exists(), "{:?}", home.files());
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let home = Home::new();
    let script = "for i in $(seq 40); do echo dapi-$i | databricks configure --host https://h$i.example -p p$i & done; wait";
    home.script(script).run().ok().silent();
    for number in 1..=40 {
        assert!(home.config().contains(&format!("[p{number}]\nhost  = https://h{number}.example\ntoken = dapi-{number}\n")), "p{number} is lost");
    }
    assert_eq!(home.config().matches("default_profile").count(), 1);
    assert_eq!(home.files(), [".databrickscfg"]);
}
