//! A real Postgres with TLS by its own authority, which takes the passwords of one workspace and no others.

use crate::workspace::{Ldap, Workspace};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The password of the role that Postgres alone knows.
pub(super) const NATIVE_PASSWORD: &str = "n\u{e4}tive pa:ss\\wo'rd \"$x%20";
/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Roles and database that every cluster of the tests has.
const SETUP: &str = "CREATE ROLE \"ann@example.com\" LOGIN SUPERUSER;
CREATE ROLE native LOGIN PASSWORD 'n\u{e4}tive pa:ss\\wo''rd \"$x%20';
CREATE DATABASE databricks_postgres;
CREATE DATABASE \"o:d\\d 'base\";
";

/// What is wrong with the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    Good,
    AnotherName,
    Expired,
}

/// A running server; dropping it ends it.
pub(super) struct Postgres {
    pub(super) port: u16,
    folder: tempfile::TempDir,
    /// As long as it is asked.
    _ldap: Ldap,
    /// Signs the server's certificates.
    authority: rcgen::Issuer<'static, rcgen::KeyPair>,
    child: Option<Child>,
}

impl Postgres {
    /// On a free port, with a certificate for `localhost`.
    pub(super) fn start(workspace: &Workspace) -> Postgres {
        Postgres::serving(workspace, Served::Good)
    }

    /// With a certificate of this kind.
    pub(super) fn serving(workspace: &Workspace, served: Served) -> Postgres {
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap();
        let status = Command::new("cp").arg("-a").arg(template()).arg(folder.path().join("data")).status().unwrap();
        assert!(status.success());
        let ldap = workspace.ldap();
        let authority = authority(folder.path());
        certificate(folder.path(), &authority, served);
        let rules = format!(
            "local all all trust\nhostssl all native,app all scram-sha-256\nhostssl all all all ldap ldapserver=127.0.0.1 ldapport={} ldapprefix=\"\" ldapsuffix=\"\"\nhostnossl all all all reject\n",
            ldap.port()
        );
        fs::write(folder.path().join("data/pg_hba.conf"), rules).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in [".", "data/pg_hba.conf", "server.key", "server.pem"] {
            give(&folder.path().join(name));
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut postgres = Postgres { port, folder, _ldap: ldap, authority, child: None };
        postgres.begin();
        postgres
    }

    /// The certificate of the authority.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn begin(&mut self) {
        let folder = self.folder.path().to_str().unwrap();
        let mut command = as_postgres("postgres");
        command.args(["-D", &format!("{folder}/data"), "-p", &self.port.to_string(), "-k", folder]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "ssl=on",
            &format!("ssl_cert_file={folder}/server.pem"),
            &format!("ssl_key_file={folder}/server.key"),
            "max_connections=150",
            "shared_buffers=16MB",
        ] {
            command.args(["-c", setting]);
        }
        let log = File::options().append(true).create(true).open(self.folder.path().join("log")).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let started = Instant::now();
        // While it recovers it listens and lets nobody in; its socket is asked as the rules let everybody in there.
        while self.sql("select 1").is_none_or(|answer| answer != "1") {
            assert!(started.elapsed() < DEADLINE, "the server did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gives the running server another certificate, of another key, by the same authority; the old one is gone when this returns.
    pub(super) fn renew_certificate(&self) {
        let shown = || {
            let script = format!("openssl s_client -connect localhost:{} -starttls postgres < /dev/null 2> /dev/null | openssl x509 -noout -pubkey", self.port);
            Command::new("sh").args(["-c", &script]).output().unwrap().stdout
        };
        let before = shown();
        certificate(self.folder.path(), &self.authority, Served::Good);
        for name in ["server.key", "server.pem"] {
            give(&self.folder.path().join(name));
        }
        self.sql("select pg_reload_conf()").unwrap();
        let started = Instant::now();
        while shown() == before {
            assert!(!before.is_empty() && started.elapsed() < DEADLINE, "the certificate stays");
        }
    }

    /// Runs SQL as the superuser of the cluster, over its socket.
    pub(super) fn sql(&self, sql: &str) -> Option<String> {
        let folder = self.folder.path().to_str().unwrap();
        let output = Command::new("psql")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .args(["-XAtq", "-h", folder, "-p", &self.port.to_string(), "-U", "postgres", "-d", "postgres", "-c", sql])
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What the server wrote.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it as an administrator in a hurry does: everybody is thrown out.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn restart(&mut self) {
        self.stop();
        self.begin();
    }

    /// Ends it and begins anew, as for an update: who is there may finish, and nobody else is let in.
    pub(super) fn restart_gently(&mut self) {
        let mut child = self.child.take().expect("it runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
        self.begin();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of PostgreSQL\n{}", self.log());
        }
        self.stop();
    }
}

/// The programs of the newest Postgres here.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: tests/install").map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL").join("bin").join(name)
}

/// A program of Postgres, which refuses to be root.
fn as_postgres(name: &str) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program(name));
        command
    } else {
        Command::new(program(name))
    };
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

/// Makes a file that of the user that the server runs as.
fn give(path: &Path) {
    if rustix::process::geteuid().is_root() {
        let owner = fs::metadata("/var/lib/postgresql").unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// A cluster with the roles of the tests, made once.
fn template() -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let ready = place.join("postgres-2");
    let lock = File::create(place.join("postgres.lock")).unwrap();
    lock.lock().unwrap();
    if !ready.exists() {
        // Where the server's user can make it; /tmp is for everybody.
        let made = tempfile::Builder::new().prefix("cluster-").tempdir().unwrap();
        give(made.path());
        fs::set_permissions(made.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let data = made.path().join("data");
        let output = as_postgres("initdb").args(["-N", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-D"]).arg(&data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let setup = made.path().join("setup.sql");
        fs::write(&setup, SETUP).unwrap();
        let output = as_postgres("postgres").args(["--single", "-D"]).arg(&data).arg("postgres").stdin(File::open(&setup).unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let status = Command::new("cp").arg("-a").arg(&data).arg(place.join("postgres-half")).status().unwrap();
        assert!(status.success());
        fs::rename(place.join("postgres-half"), &ready).unwrap();
    }
    ready
}

/// An authority.
fn authority(folder: &Path) -> rcgen::Issuer<'static, rcgen::KeyPair> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Authority of a test database");
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
    Issuer::new(authority, key)
}

/// A certificate for `localhost` that an authority signed.
fn certificate(folder: &Path, authority: &rcgen::Issuer<'static, rcgen::KeyPair>, served: Served) {
    use rcgen::{CertificateParams, KeyPair};
    let server_key = KeyPair::generate().unwrap();
    let name = if served == Served::AnotherName { "elsewhere.example" } else { "localhost" };
    let mut server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if served == Served::Expired {
        server.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let server = server.signed_by(&server_key, authority).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    fs::write(folder.join("server.key"), server_key.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A port that is free now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A server that reads the request for TLS, answers with these bytes, and says nothing more; what it heard after them.
pub(super) fn answering(answer: &'static [u8]) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let hearing = Arc::clone(&hearing);
            std::thread::spawn(move || {
                if stream.read_exact(&mut [0; 8]).is_ok() && stream.write_all(answer).is_ok() {
                    let mut more = Vec::new();
                    drop(stream.read_to_end(&mut more));
                    hearing.lock().unwrap().append(&mut more);
                }
            });
        }
    });
    (port, heard)
}
