//! C1, C2, C3: a credential goes to the host it belongs to, and nowhere else.

use super::bench::{ASKING, Bench, for_each, is_diagnosis};
use super::proxies::LoggingProxy;
use crate::workspace::{Fault, Workspace};

#[test]
fn c1_no_redirect_is_followed_by_any_command() {
    let thief = Workspace::start();
    let elsewhere = format!("{}/api/2.0/token/list?x=1", thief.url());
    let secure = format!("{}/", thief.https_url());
    for_each(ASKING, |arguments| {
        let elsewhere = [301, 302, 303, 307, 308].map(|status| (status, elsewhere.as_str()));
        let others = [&secure, "//127.0.0.1:1/", "/another/place", "http://127.0.0.1:1/", "", "javascript:alert(1)"].map(|place| (307, place));
        for (status, location) in elsewhere.into_iter().chain(others) {
            let workspace = Workspace::start();
            let bench = Bench::with_profile(&workspace, "");
            workspace.order(Fault::on("*", "/").redirect(status, location).forever());
            let outcome = bench.run(arguments);
            let what = format!("{arguments:?} with {status} to {location:?}: {outcome}");
            assert_eq!(outcome.code(), i32::from(!is_diagnosis(arguments)), "{what}");
            let said = outcome.stdout() + &outcome.stderr();
            assert!(said.contains("redirect"), "{what}");
            assert_eq!(workspace.requests().len(), 1, "{what}");
            assert!(!said.contains(workspace.token()), "{what}");
        }
    });
    assert_eq!((thief.connections(), thief.requests().len()), (0, 0), "something followed a redirect");
}

#[test]
fn c1_configure_does_not_follow_one_either_and_writes_nothing() {
    let (workspace, thief) = (Workspace::start(), Workspace::start());
    workspace.order(Fault::on("*", "/").redirect(307, thief.url()).forever());
    let bench = Bench::new();
    bench.run_with_stdin(&["configure", "--host", workspace.url(), "--verify"], "dapi-secret\n").failed_with(&["redirect", "not written"]);
    assert_eq!((bench.read_config(), thief.connections()), (None, 0));
}

#[test]
fn c2_the_token_of_a_profile_stays_with_its_host() {
    let (own, other) = (Workspace::start(), Workspace::start());
    let port = |workspace: &Workspace| workspace.url().rsplit(':').next().unwrap().to_owned();
    let (own_port, other_port) = (port(&own), port(&other));
    let own_name = own.url().strip_prefix("http://").unwrap();
    let hosts = [
        other.url().to_owned(),
        other.https_url().to_owned(),
        format!("http://localhost:{other_port}"),
        format!("http://LOCALHOST:{other_port}/"),
        format!("http://{own_name}@127.0.0.1:{other_port}"),
        format!("http://127.0.0.1:{other_port}\\@{own_name}"),
        format!("http://127.0.0.1:{other_port}#@{own_name}"),
        format!("http://127.0.0.1:{other_port}?@{own_name}"),
        format!("http://127.0.0.1.:{other_port}"),
        format!("http://127.1:{other_port}"),
        format!("http://127.0.0.2:{own_port}"),
        format!("http://0x7f.1:{other_port}"),
        format!("http://2130706433:{other_port}"),
        format!("http://[::ffff:127.0.0.1]:{other_port}"),
        format!("http://localhost:{own_port}"),
        format!("https://127.0.0.1:{own_port}"),
        format!("http://{own_name}.evil.example"),
        format!("http://\u{ff11}27.0.0.1:{other_port}"),
    ];
    for_each(&hosts, |host| {
        let bench = Bench::with_profile(&own, "");
        own.clear_requests();
        for arguments in ASKING {
            let flags: &[&[&str]] = if is_diagnosis(arguments) { &[&[], &["--host", host]] } else { &[&[]] };
            for profile in [&[][..], &["--profile", "DEFAULT"]] {
                for flags in flags {
                    let arguments = [arguments, profile, flags].concat();
                    let run = |variable: Option<&str>| {
                        let mut command = bench.command(&arguments);
                        command.env("DATABRICKS_HOST", host).env("SSL_CERT_FILE", other.ca_file());
                        if let Some(profile) = variable {
                            command.env("DATABRICKS_CONFIG_PROFILE", profile);
                        }
                        super::bench::finish(&mut command, None)
                    };
                    for variable in [None, Some("DEFAULT")] {
                        let outcome = run(variable);
                        outcome.code();
                        let shown = outcome.stdout() + &outcome.stderr();
                        assert!(!shown.contains(own.token()), "{arguments:?} with {host}: {outcome}");
                    }
                }
            }
        }
    });
    for request in other.requests() {
        assert!(!request.mentions(own.token()), "the token of {} came to {}: {request:?}", own.url(), other.url());
        assert!(request.header("authorization").is_none(), "{request:?}");
    }
}

#[test]
fn c2_a_sign_in_stays_with_the_host_of_its_profile() {
    let (signed_in, other) = (crate::oauth::SignedIn::new(), Workspace::start());
    for is_over in [false, true] {
        if is_over {
            signed_in.expire();
        }
        let access = signed_in.entry("p")["access_token"].as_str().unwrap().to_owned();
        let refresh = signed_in.entry("p")["refresh_token"].as_str().unwrap().to_owned();
        for arguments in ASKING.iter().copied().chain([&["auth", "token", "--host", other.url()][..], &["auth", "env"], &["auth", "headers"]]) {
            for auth_type in [None, Some("databricks-cli")] {
                let mut command = signed_in.home.command(arguments).env("DATABRICKS_HOST", other.url()).env("DATABRICKS_CONFIG_PROFILE", "p").reveals();
                if let Some(auth_type) = auth_type {
                    command = command.env("DATABRICKS_AUTH_TYPE", auth_type);
                }
                command.run();
            }
        }
        for request in other.requests() {
            let sent = format!("{request:?}");
            assert!(!request.mentions(&access) && !request.mentions(&refresh), "the sign-in at {} came to {}: {sent}", signed_in.workspace.url(), other.url());
            assert!(request.header("authorization").is_none(), "{sent}");
        }
    }
    // A sign-in at the other host, without a profile, is the one that is meant there.
    let granted = other.sign_in(other.basic_user());
    signed_in.write(&serde_json::json!({other.url(): crate::oauth::entry(&granted.access_token, &granted.refresh_token, 3_600, 0)}));
    let command = signed_in.home.command("current-user me").env("DATABRICKS_HOST", other.url()).env("DATABRICKS_CONFIG_PROFILE", "p");
    command.run().ok();
}

#[test]
fn c2_a_refusal_says_which_host_came_from_where() {
    let (own, other) = (Workspace::start(), Workspace::start());
    let bench = Bench::with_profile(&own, "").set("DATABRICKS_HOST", other.url()).set("DATABRICKS_CONFIG_PROFILE", "DEFAULT");
    bench.run(&["tokens", "list"]).failed_with(&["DEFAULT", own.url(), other.url(), "DATABRICKS_HOST"]);
    assert_eq!((own.connections(), other.connections()), (0, 0));
}

#[test]
fn c2_look_alikes_on_the_internet_are_other_hosts() {
    let proxy = LoggingProxy::refusing();
    let bench = Bench::new().set("HTTPS_PROXY", &proxy.url());
    bench.write_config("[DEFAULT]\nhost = https://a.example\ntoken = dapi-of-a\n");
    for host in [
        "https://a.example.evil",
        "https://a.example@evil",
        "https://evil\\@a.example",
        "https://a.example.",
        "https://a.example:444",
        "https://b.example",
        "http://a.example",
        "https://\u{430}.example",
        "https://a\u{3002}example",
        "https://xn--80a.example",
        "https://a.example%2eevil",
        "https://a.example%00.evil",
        "https://a.example .evil",
    ] {
        let mut command = bench.command(&["tokens", "list"]);
        command.env("DATABRICKS_HOST", host).env("DATABRICKS_CONFIG_PROFILE", "DEFAULT");
        let outcome = super::bench::finish(&mut command, None).failed_with(&[]);
        assert!(proxy.heard().is_empty(), "{host}: {:?}\n{outcome}", proxy.heard());
    }
    // The same host in other words is the same host.
    for host in ["https://A.EXAMPLE", "a.example", "https://a.example:443/", "https://a.example/?o=5", "HTTPS://a.example"] {
        let before = proxy.heard().len();
        let mut command = bench.command(&["tokens", "list"]);
        command.env("DATABRICKS_HOST", host).env("DATABRICKS_CONFIG_PROFILE", "DEFAULT");
        super::bench::finish(&mut command, None).failed_with(&["proxy"]);
        let heard = proxy.heard();
        assert!(heard.len() > before && heard[before..].iter().all(|head| head.starts_with("CONNECT a.example:443 ")), "{host}: {heard:?}");
    }
}

#[test]
fn c2_configure_keeps_no_token_for_another_host() {
    // Without a terminal a token always has to be given; nothing of the old one may stay.
    let bench = Bench::new();
    bench.write_config("[DEFAULT]\nhost = https://a.example\ntoken = dapi-of-a\npassword = p\n");
    bench.run(&["configure", "--host", "https://b.example"]).failed_with(&["token"]);
    bench.run_with_stdin(&["configure", "--host", "https://b.example"], "dapi-of-b").succeeded();
    let text = String::from_utf8(bench.read_config().unwrap()).unwrap();
    assert!(!text.contains("dapi-of-a") && !text.contains("a.example") && !text.contains("password"), "{text}");
}

#[test]
fn c3_plain_http_is_refused_before_anything_is_sent() {
    let proxy = LoggingProxy::refusing();
    for host in
        ["http://h.example", "http://10.0.0.1", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://[2001:db8::1]", "ftp://h.example"]
    {
        let mut bench = Bench::new();
        for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"] {
            bench = bench.set(variable, &proxy.url());
        }
        bench.write_config(format!("[DEFAULT]\nhost = {host}\ntoken = dapi-secret\n"));
        for arguments in ASKING {
            let outcome = bench.run(arguments);
            assert_eq!(outcome.code(), i32::from(!is_diagnosis(arguments)), "{outcome}");
            let said = outcome.stdout() + &outcome.stderr();
            assert!(said.contains("https://") && !said.contains("dapi-secret"), "{arguments:?} with {host}: {outcome}");
        }
        let before = bench.read_config();
        bench.run_with_stdin(&["configure", "--host", host, "--profile", "b"], "dapi-secret").failed_with(&["https://"]);
        assert_eq!(bench.read_config(), before);
    }
    assert_eq!(proxy.heard(), Vec::<String>::new());
}
