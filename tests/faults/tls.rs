//! C5: a secure connection, or none and the reason.

use super::bench::{ASKING, Bench, for_each, is_diagnosis};
use crate::workspace::{TlsVariant, Workspace};

fn bench(workspace: &Workspace) -> Bench {
    let bench = Bench::new();
    bench.write_config(format!("[DEFAULT]\nhost = {}\ntoken = {}\nhttp_timeout_seconds = 5\n", workspace.https_url(), workspace.token()));
    bench
}

#[test]
fn c5_a_bad_certificate_ends_every_command_before_anything_is_sent() {
    let variants = [
        (TlsVariant::Expired, "expired"),
        (TlsVariant::NotYetValid, "not valid before"),
        (TlsVariant::WrongName, "other.example.com"),
        (TlsVariant::UnknownCa, "not trusted"),
        (TlsVariant::SelfSigned, "not trusted"),
        (TlsVariant::MissingIntermediate, "not trusted"),
        (TlsVariant::PlainHttp, "TLS"),
    ];
    for_each(&variants, |(variant, reason)| {
        let workspace = Workspace::tls_variant(*variant);
        let bench = bench(&workspace).set("SSL_CERT_FILE", &workspace.ca_file().to_string_lossy());
        // Nothing that promises less safety is heard.
        let bench =
            bench.set("DATABRICKS_INSECURE", "1").set("PYTHONHTTPSVERIFY", "0").set("NODE_TLS_REJECT_UNAUTHORIZED", "0").set("DATABRICKS_SKIP_VERIFY", "true");
        for arguments in ASKING {
            let outcome = bench.run(arguments);
            assert_eq!(outcome.code(), i32::from(!is_diagnosis(arguments)), "{variant:?}: {outcome}");
            let said = (outcome.stdout() + &outcome.stderr()).to_lowercase();
            assert!(said.contains(&reason.to_lowercase()), "{variant:?}: {outcome}");
        }
        bench.run_with_stdin(&["configure", "--host", workspace.https_url(), "--profile", "b", "--verify"], "dapi-secret").failed_with(&["not written"]);
        for request in workspace.requests() {
            assert!(request.method.is_empty() && !request.mentions(workspace.token()) && !request.mentions("dapi"), "{variant:?}: {request:?}");
        }
    });
}

#[test]
fn c5_skip_verify_in_a_profile_skips_nothing() {
    let workspace = Workspace::tls_variant(TlsVariant::SelfSigned);
    let bench = Bench::new();
    bench.write_config(format!("[DEFAULT]\nhost = {}\ntoken = {}\nskip_verify = true\ninsecure = true\n", workspace.https_url(), workspace.token()));
    bench.run(&["tokens", "list"]).failed_with(&["skip_verify"]);
    assert_eq!(workspace.requests().len(), 0);
}

#[test]
fn c5_an_authority_of_ones_own_works_by_every_variable() {
    for variant in [TlsVariant::Trusted, TlsVariant::Intermediate, TlsVariant::Tls12Only, TlsVariant::Tls13Only] {
        let workspace = Workspace::tls_variant(variant);
        let file = workspace.ca_file().to_string_lossy().into_owned();
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(workspace.ca_file(), folder.path().join("own.pem")).unwrap();
        let folder = folder.path().to_string_lossy().into_owned();
        for (variable, value) in
            [("SSL_CERT_FILE", &file), ("SSL_CERT_DIR", &folder), ("REQUESTS_CA_BUNDLE", &file), ("REQUESTS_CA_BUNDLE", &folder), ("CURL_CA_BUNDLE", &file)]
        {
            bench(&workspace).set(variable, value).run(&["current-user", "me"]).succeeded();
        }
        // Without it nobody here knows that authority.
        bench(&workspace).run(&["current-user", "me"]).failed_with(&[]);
        bench(&workspace).set("SSL_CERT_FILE", "").run(&["current-user", "me"]).failed_with(&[]);
    }
}

#[test]
fn c5_a_variable_that_leads_to_no_certificate_is_an_error_that_names_it() {
    let workspace = Workspace::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("garbage"), b"\x00\xff\x1b[2J-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----").unwrap();
    std::fs::write(path("key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::File::create(path("huge")).unwrap().set_len(1 << 30).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        for name in ["missing", "empty", "garbage", "key", "folder", "huge", "pipe"] {
            let bench = bench(&workspace).set(variable, &path(name).to_string_lossy()).megabytes(100);
            let outcome = bench.run(&["current-user", "me"]).failed_with(&[]);
            // A certificate that is none is found out only when it is needed, by the authority that is missing.
            assert!(outcome.stderr().contains(variable), "{variable} = {name}: {outcome}");
        }
    }
    assert_eq!(workspace.requests().len(), 0);
}
