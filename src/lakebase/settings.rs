//! How a database is reached, told as the programs around libpq want it: variables, URLs, an entry of `pg_service.conf`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use zeroize::Zeroizing;

use crate::env::{self, Env};
use crate::error::Failure;
use crate::http;
use crate::lakebase::target::Target;
use crate::secret::Secret;

/// How much a client makes sure of the server. <https://www.postgresql.org/docs/current/libpq-ssl.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// Encrypted, to whomever: the password may go to somebody else.
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    pub(crate) const NAMES: &'static str = "verify-full|verify-ca|require";

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// The mode of this name; `None` for those that may send the password in clear.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Require, Self::VerifyCa, Self::VerifyFull].into_iter().find(|mode| mode.name() == name)
    }
}

/// A database with all that a client is told about it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) password: Option<Secret>,
    pub(crate) sslmode: SslMode,
    /// The certificates to trust, as a file; for `require` none is needed.
    pub(crate) roots: Option<PathBuf>,
}

impl Settings {
    /// The mode that is wished for, else the best that this machine can do; says what a user should know about it.
    pub(crate) fn new(env: &Env, target: Target, password: Option<Secret>, wished: Option<SslMode>) -> (Self, Option<String>) {
        let inherited = env.get(env::PGSSLMODE).and_then(SslMode::named);
        let roots = env.path(env::PGSSLROOTCERT).or_else(|| http::bundle(env));
        let mut remark = None;
        let sslmode = match (wished.or(inherited), &roots) {
            (Some(mode), _) => mode,
            (None, Some(_)) => SslMode::VerifyFull,
            (None, None) => {
                remark = Some("there is no file with CA certificates here, so the server's is not checked (sslmode=require). Install ca-certificates, or set SSL_CERT_FILE".to_owned());
                SslMode::Require
            }
        };
        let roots = roots.filter(|_| sslmode != SslMode::Require);
        (Self { target, password, sslmode, roots }, remark)
    }

    /// libpq's variables. <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub(crate) fn variables(&self) -> Result<Vec<(&'static str, Zeroizing<String>)>> {
        let mut variables: Vec<(&'static str, Zeroizing<String>)> =
            vec![(env::PGDATABASE, Zeroizing::new(self.target.database.clone())), (env::PGHOST, Zeroizing::new(self.target.host.clone()))];
        variables.extend(self.password.as_ref().map(|password| (env::PGPASSWORD, Zeroizing::new(password.expose().to_owned()))));
        variables.push((env::PGPORT, Zeroizing::new(self.target.port.to_string())));
        variables.push((env::PGSSLMODE, Zeroizing::new(self.sslmode.name().to_owned())));
        if let Some(roots) = &self.roots {
            variables.push((env::PGSSLROOTCERT, Zeroizing::new(path_text(roots)?.to_owned())));
        }
        variables.push((env::PGUSER, Zeroizing::new(self.target.user.clone())));
        Ok(variables)
    }

    /// `postgresql://user:password@host:port/database?sslmode=…`. <https://www.postgresql.org/docs/current/libpq-connect.html>
    pub(crate) fn url(&self) -> Result<Zeroizing<String>> {
        let mut url = self.room("postgresql://");
        push_encoded(&mut url, &self.target.user);
        if let Some(password) = &self.password {
            url.push(':');
            push_encoded(&mut url, password.expose());
        }
        url.push_str(&format!("@{}:{}/", self.target.host, self.target.port));
        push_encoded(&mut url, &self.target.database);
        url.push_str(&format!("?sslmode={}", self.sslmode.name()));
        if let Some(roots) = &self.roots {
            url.push_str("&sslrootcert=");
            push_encoded(&mut url, path_text(roots)?);
        }
        Ok(url)
    }

    /// `jdbc:postgresql://…`: Java has trusted certificates of its own, which the factory takes. <https://jdbc.postgresql.org/documentation/use/>
    pub(crate) fn jdbc(&self) -> Zeroizing<String> {
        let mut url = self.room("jdbc:postgresql://");
        url.push_str(&format!("{}:{}/", self.target.host, self.target.port));
        push_encoded(&mut url, &self.target.database);
        url.push_str(&format!("?sslmode={}", self.sslmode.name()));
        if self.sslmode != SslMode::Require {
            url.push_str("&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory");
        }
        url.push_str("&user=");
        push_encoded(&mut url, &self.target.user);
        if let Some(password) = &self.password {
            url.push_str("&password=");
            push_encoded(&mut url, password.expose());
        }
        url
    }

    /// `host=… port=…`, each value in quotes where it must be.
    pub(crate) fn keywords(&self) -> Result<Zeroizing<String>> {
        let mut text = self.room("");
        for (name, value) in self.pairs()? {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(name);
            text.push('=');
            let plain = !value.is_empty() && value.bytes().all(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'\'' | b'\\'));
            if plain {
                text.push_str(&value);
                continue;
            }
            text.push('\'');
            for character in value.chars() {
                if matches!(character, '\'' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
            text.push('\'');
        }
        Ok(text)
    }

    /// An entry of `pg_service.conf`: its values are read to the end of the line, and nothing in them is special. <https://www.postgresql.org/docs/current/libpq-pgservice.html>
    ///
    /// # Errors
    /// If a value could not be read back.
    pub(crate) fn service(&self, name: &str) -> Result<Zeroizing<String>> {
        let odd = |value: &str| value.chars().any(char::is_control) || value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace);
        if name.is_empty() || odd(name) || name.contains(['[', ']']) {
            return Err(Failure::new("the name of a service cannot be empty or hold brackets and control characters")
                .hint("Choose another one: --name NAME")
                .into());
        }
        let mut text = self.room(&format!("[{name}]\n"));
        for (key, value) in self.pairs()? {
            if odd(&value) {
                return Err(Failure::new(format!(
                    "the {key} cannot be written to pg_service.conf: it begins or ends with a space, or holds a control character"
                ))
                .into());
            }
            text.extend([key, "=", &value, "\n"]);
        }
        Ok(text)
    }

    fn pairs(&self) -> Result<Vec<(&'static str, Zeroizing<String>)>> {
        let mut pairs = vec![
            ("host", Zeroizing::new(self.target.host.clone())),
            ("port", Zeroizing::new(self.target.port.to_string())),
            ("dbname", Zeroizing::new(self.target.database.clone())),
            ("user", Zeroizing::new(self.target.user.clone())),
        ];
        pairs.extend(self.password.as_ref().map(|password| ("password", Zeroizing::new(password.expose().to_owned()))));
        pairs.push(("sslmode", Zeroizing::new(self.sslmode.name().to_owned())));
        if let Some(roots) = &self.roots {
            pairs.push(("sslrootcert", Zeroizing::new(path_text(roots)?.to_owned())));
        }
        Ok(pairs)
    }

    /// Room for a text in which every character is escaped: one that grows leaves its old copies in memory.
    fn room(&self, start: &str) -> Zeroizing<String> {
        let password = self.password.as_ref().map_or(0, |password| password.expose().len());
        let mut text = Zeroizing::new(String::with_capacity(start.len() + 3 * (password + self.target.user.len() + self.target.database.len()) + 2_048));
        text.push_str(start);
        text
    }
}

fn path_text(path: &Path) -> Result<&str> {
    Ok(path
        .to_str()
        .ok_or_else(|| Failure::new(format!("the path {} is no text", path.display())).hint("Name certificates elsewhere: PGSSLROOTCERT=<file>"))?)
}

/// Percent-encodes all but what is plain everywhere in a URL (RFC 3986, section 2.3).
fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(char::from_digit(half.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lakebase::target::Resource;

    fn settings(password: &str) -> Settings {
        let target = Target {
            resource: Resource::Instance("x".to_owned()),
            host: "db.example".to_owned(),
            port: 5432,
            user: "ann@example.com".to_owned(),
            is_own_role: true,
            database: "my db".to_owned(),
            state: None,
            purpose: "",
        };
        Settings { target, password: Some(Secret::new(password)), sslmode: SslMode::VerifyFull, roots: Some(PathBuf::from("/etc/ca.pem")) }
    }

    #[test]
    fn every_form_escapes_what_it_must() {
        let settings = settings("a:b\\c'd e");
        assert_eq!(
            *settings.url().expect("a URL"),
            "postgresql://ann%40example.com:a%3Ab%5Cc%27d%20e@db.example:5432/my%20db?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem"
        );
        assert_eq!(
            *settings.jdbc(),
            "jdbc:postgresql://db.example:5432/my%20db?sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory&user=ann%40example.com&password=a%3Ab%5Cc%27d%20e"
        );
        assert_eq!(
            *settings.keywords().expect("text"),
            "host=db.example port=5432 dbname='my db' user=ann@example.com password='a:b\\\\c\\'d e' sslmode=verify-full sslrootcert=/etc/ca.pem"
        );
        assert!(settings.service("prod").expect("text").contains("password=a:b\\c'd e\n"));
    }

    #[test]
    fn a_service_file_takes_nothing_that_it_would_change() {
        assert!(settings("two\nlines").service("x").is_err());
        assert!(settings(" led").service("x").is_err());
        assert!(settings("p").service("a]b").is_err() && settings("p").service("").is_err());
    }

    #[test]
    fn modes_that_may_send_passwords_in_clear_are_none() {
        let env = Env::default().with(env::PGSSLMODE, "prefer").with(env::PGSSLROOTCERT, "/x");
        let target = settings("p").target;
        assert_eq!(Settings::new(&env, target.clone(), None, None).0.sslmode, SslMode::VerifyFull);
        let env = env.with(env::PGSSLMODE, "verify-ca");
        assert_eq!(Settings::new(&env, target.clone(), None, None).0.sslmode, SslMode::VerifyCa);
        assert_eq!(Settings::new(&env, target, None, Some(SslMode::Require)).0.roots, None);
    }
}
