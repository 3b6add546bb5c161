//! [`Host`]: the origin a credential belongs to, and what may be typed for it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::Failure;
use crate::text;

/// An origin in canonical form: `https://name[:port]`, or `http://` for loopback only; lower case, no default port, no path.
///
/// Two hosts are the same exactly if they are equal, so a token can be held to the host that it was issued for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    origin: String,
    name_start: usize,
    name_end: usize,
}

/// What a pasted workspace address held besides the origin: ids in its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressIds {
    /// From `o`, `w` or `workspace_id`.
    pub(crate) workspace_id: Option<String>,
    /// From `a` or `account_id`.
    pub(crate) account_id: Option<String>,
}

/// The cloud a workspace runs on, told by the end of its host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    Aws,
    Azure,
    Gcp,
}

impl Cloud {
    /// As the SDKs and `auth env` write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Azure => "Azure",
            Self::Gcp => "GCP",
        }
    }
}

/// First match wins; every other host counts as AWS, as in the SDKs.
const CLOUD_SUFFIXES: &[(&str, Cloud)] = &[
    (".azuredatabricks.net", Cloud::Azure),
    (".databricks.azure.us", Cloud::Azure),
    (".databricks.azure.cn", Cloud::Azure),
    (".gcp.databricks.com", Cloud::Gcp),
];

/// The domains in which Databricks runs its services: only there, or on the very host that was asked, may a description of a host place the endpoints that take secrets.
const DATABRICKS_DOMAINS: &[&str] = &[".databricks.com", ".databricks.us", ".azuredatabricks.net", ".databricks.azure.us", ".databricks.azure.cn"];

/// Longest name that DNS knows (RFC 1035), with room for scheme, port and a pasted path.
const LONGEST_ADDRESS: usize = 2048;

impl Host {
    /// Where clouds answer a virtual machine's questions about itself. Only the machine's own hypervisor can be there, and it speaks plain http only.
    pub(crate) fn instance_metadata() -> Self {
        let origin = "http://169.254.169.254".to_owned();
        Self { name_start: "http://".len(), name_end: origin.len(), origin }
    }

    /// Whether it is [`Host::instance_metadata`].
    pub(crate) fn is_instance_metadata(&self) -> bool {
        *self == Self::instance_metadata()
    }

    /// Reads what a person or a file gives for a host: a bare name, an origin, or a whole address copied from the browser.
    ///
    /// The scheme defaults to https, path and query are dropped (the query's ids are returned by [`Host::parse_address`]).
    ///
    /// # Errors
    /// With the reason, in words for the person who typed it: http outside loopback, user names, spaces, controls, non-ASCII names.
    pub(crate) fn parse(address: &str) -> Result<Self, Failure> {
        Self::parse_address(address).map(|(host, _)| host)
    }

    /// As [`Host::parse`], with the workspace and account id that the address carried in its query.
    pub(crate) fn parse_address(address: &str) -> Result<(Self, AddressIds), Failure> {
        let address = address.trim();
        let refuse = |why: &str| Failure::new(format!("{} is not a workspace host: {why}", text::quoted(address)));
        if address.is_empty() {
            return Err(Failure::new("the host is empty: it must start with https://, such as https://my-workspace.cloud.databricks.com"));
        }
        if is_token(address) {
            // Not quoted: it is a secret, pasted one question too early. Taken for a host, it would go to the name servers.
            return Err(Failure::new("this looks like a personal access token, not like a host such as https://my-workspace.cloud.databricks.com"));
        }
        if address.len() > LONGEST_ADDRESS {
            return Err(refuse("it is too long"));
        }
        let is_odd = |c: char| c.is_whitespace() || text::is_unsafe(c) || c == '\\';
        // Nearly every address is made of these bytes alone, none of which is odd.
        let is_plain = address.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'/'));
        if let Some(odd) = (!is_plain).then(|| address.chars().find(|c| is_odd(*c))).flatten() {
            return Err(refuse(&format!("it contains {}", odd.escape_default())));
        }
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => ("https".to_owned(), address),
        };
        if scheme != "https" && scheme != "http" {
            return Err(refuse("it must start with https://"));
        }
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(refuse("it holds a user name; give the host alone"));
        }
        let (name, port) = split_port(authority).map_err(|why| refuse(&why))?;
        if !name.is_ascii() {
            return Err(refuse("its name is not ASCII; give the name in its xn-- form"));
        }
        let name = canonical(name).map_err(refuse)?;
        let loopback = is_loopback(&name);
        if scheme == "http" && !loopback {
            return Err(refuse("it must start with https:// (plain http would send the token unprotected)").hint(format!("Try: --host https://{name}")));
        }
        let default_port = if scheme == "https" { 443 } else { 80 };
        let port = match port {
            Some(port) if port != default_port => format!(":{port}"),
            _ => String::new(),
        };
        let name_start = scheme.len() + "://".len();
        let host = Self { name_end: name_start + name.len(), name_start, origin: [scheme.as_str(), "://", &name, &port].concat() };
        Ok((host, AddressIds::from_query(tail)))
    }

    /// Cuts a whole address into its origin and the path with its query, as an endpoint is given: with its scheme, and without a fragment.
    ///
    /// # Errors
    /// As [`Host::parse`]; the message never holds more of the address than its origin, because the path may be a secret.
    pub(crate) fn split(url: &str) -> Result<(Self, &str), Failure> {
        let url = url.trim();
        let no_endpoint = || Failure::new("it is no address such as https://host.example/path");
        let (scheme, rest) = url.split_once("://").ok_or_else(no_endpoint)?;
        let (origin, path) = url.split_at(scheme.len() + 3 + rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = Self::parse(origin)?;
        if path.contains(|c: char| c == '#' || c == '\\' || c.is_whitespace() || text::is_unsafe(c)) || !(path.is_empty() || path.starts_with('/')) {
            return Err(no_endpoint());
        }
        Ok((host, if path.is_empty() { "/" } else { path }))
    }

    /// The origin, as it is written to files and put before paths.
    pub(crate) fn as_str(&self) -> &str {
        &self.origin
    }

    /// The name alone, without scheme and port; IPv6 addresses keep their brackets.
    pub(crate) fn name(&self) -> &str {
        &self.origin[self.name_start..self.name_end]
    }

    /// The name as a machine is called where there are no addresses of the web, such as in `.netrc`: IPv6 addresses without their brackets.
    pub(crate) fn bare_name(&self) -> &str {
        bare(self.name())
    }

    /// Whether it has a port of its own.
    pub(crate) fn has_port(&self) -> bool {
        self.name_end < self.origin.len()
    }

    /// Whether the name means this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(self.name())
    }

    /// Whether it lies in a domain of Databricks, and is spoken to over https on the usual port.
    pub(crate) fn is_databricks(&self) -> bool {
        self.origin.starts_with("https://") && !self.has_port() && DATABRICKS_DOMAINS.iter().any(|domain| self.name().ends_with(domain))
    }

    /// Whether it is the console of an account by its name.
    pub(crate) fn is_account_console(&self) -> bool {
        self.is_databricks() && (self.name().starts_with("accounts.") || self.name().starts_with("accounts-dod."))
    }

    pub(crate) fn cloud(&self) -> Cloud {
        CLOUD_SUFFIXES.iter().find(|(suffix, _)| self.name().ends_with(suffix)).map_or(Cloud::Aws, |(_, cloud)| *cloud)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.origin)
    }
}

impl AddressIds {
    /// Compat: where an address carries several, `o` wins over `w` over `workspace_id`, as in the official CLI; `o` and `workspace_id` are numbers only.
    fn from_query(tail: &str) -> Self {
        let Some((_, query)) = tail.split_once('?') else { return Self::default() };
        let query = query.split('#').next().unwrap_or_default();
        let value = |key: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(k, v)| *k == key && !v.is_empty()).map(|(_, v)| v.to_owned());
        let number = |key: &str| value(key).filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
        Self { workspace_id: number("o").or_else(|| value("w")).or_else(|| number("workspace_id")), account_id: value("a").or_else(|| value("account_id")) }
    }
}

/// `dapi`, 32 hexadecimal digits, and sometimes a dash and a digit.
fn is_token(text: &str) -> bool {
    text.strip_prefix("dapi").is_some_and(|rest| rest.len() >= 32 && rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(_) => {
            let end = authority.find(']').ok_or("its IPv6 address has no closing bracket")?;
            match authority.split_at(end + 1) {
                (name, "") => (name, None),
                (name, rest) => (name, Some(rest.strip_prefix(':').ok_or("its IPv6 address goes on behind the closing bracket")?)),
            }
        }
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None | Some("") => Ok((name, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port > 0).map(|port| (name, Some(port))).ok_or_else(|| format!("{port} is no port"))
        }
        Some(port) => Err(format!("{} is no port", text::quoted(port))),
    }
}

/// The name as every reader of addresses writes it: of two spellings of one host none is another host.
fn canonical(name: &str) -> Result<String, &'static str> {
    let name = name.to_ascii_lowercase();
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| "its IPv6 address cannot be read")?;
        return if address.to_ipv4_mapped().is_none() {
            Ok(format!("[{address}]"))
        } else {
            Err("it is an IPv4 address in the form of IPv6; give the address itself")
        };
    }
    if name.is_empty() {
        return Err("it has no host name");
    }
    if name.len() > 253 {
        return Err("its name is too long");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Err("its name holds characters that no host name has");
    }
    if name.split('.').any(|label| label.is_empty() || label.len() > 63 || label.starts_with('-')) {
        return Err("its name has an empty or malformed part");
    }
    // Compat: `127.1` and `0x7f.1` are IPv4 addresses to the readers of addresses, who would connect to another host than the one that is named.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number && name.parse::<Ipv4Addr>().is_err() {
        return Err("it ends in a number, but is no IPv4 address such as 127.0.0.1");
    }
    Ok(name)
}

fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || bare(name).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Addresses as they are pasted, mistyped, and made up to deceive.
    fn any_address() -> impl Strategy<Value = String> {
        let pieces = vec![
            "https://",
            "HTTP://",
            "http:",
            "//",
            "://",
            ":",
            "/",
            "?",
            "#",
            "@",
            "\\",
            "[",
            "]",
            "[::1]",
            "[0:0::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "127.0.0.01",
            "1",
            "2130706433",
            ".",
            "..",
            "-",
            "_",
            "%2e",
            "%40",
            "a",
            "B",
            "h.example",
            "evil.example",
            ":443",
            ":80",
            ":0443",
            ":65536",
            "o=1",
            "&w=x",
            "ß",
            "xn--",
            "。",
            " ",
            "\t",
            "\u{200b}",
            "\u{ad}",
        ];
        let assembled = prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat());
        prop_oneof![4 => assembled, 1 => ".*", 1 => "(https?://)?[a-z0-9.-]{1,20}(:[0-9]{1,5})?(/.*)?"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4_000), failure_persistence: None, ..ProptestConfig::default() })]

        /// A host is in its canonical form, and the very one that the reader of addresses below the HTTP client sees in what was typed: a token cannot be led elsewhere.
        #[test]
        fn a_host_is_what_the_client_will_connect_to(typed in any_address()) {
            let Ok((host, _)) = Host::parse_address(&typed) else { return Ok(()) };
            prop_assert_eq!(&Host::parse(host.as_str()).expect("its own form"), &host);
            prop_assert!(host.as_str().starts_with("https://") || host.is_loopback());
            let origin = |address: &str| reqwest::Url::parse(address).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
            // What it cannot read, such as a broken xn-- name, it connects to nowhere.
            prop_assume!(!origin(host.as_str()).is_empty());
            prop_assert_eq!(origin(host.as_str()), host.as_str(), "{:?}", typed);
            let whole = if typed.contains("://") { typed.trim().to_owned() } else { format!("https://{}", typed.trim()) };
            prop_assert_eq!(origin(&whole), host.as_str(), "{:?}", typed);
        }
    }

    #[test]
    fn addresses_become_origins() {
        for (typed, origin) in [
            ("my.cloud.databricks.com", "https://my.cloud.databricks.com"),
            ("  HTTPS://My.Cloud.Databricks.com/  ", "https://my.cloud.databricks.com"),
            ("https://adb-12.3.azuredatabricks.net/?o=12#job/1", "https://adb-12.3.azuredatabricks.net"),
            ("https://h.example:443/path", "https://h.example"),
            ("h.example:8443", "https://h.example:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9:80", "http://127.9.9.9"),
            ("http://localhost:5000/x?y", "http://localhost:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("http://[0:0:0:0:0:0:0:1]:5000", "http://[::1]:5000"),
            ("https://[2001:DB8::0:1]", "https://[2001:db8::1]"),
            ("127.0.0.1:18096", "https://127.0.0.1:18096"),
        ] {
            assert_eq!(Host::parse(typed).expect(typed).as_str(), origin, "{typed}");
        }
    }

    #[test]
    fn what_could_reach_another_host_is_refused() {
        for typed in [
            "",
            "   ",
            "https://",
            "http://h.example",
            "ftp://h.example",
            "file:///etc/passwd",
            "https://user:pw@h.example",
            "https://h.example@evil.example",
            "https://h.example\\evil.example",
            "https://h example",
            "h.example\nx",
            "h.example\u{1b}[2J",
            "https://h.example.",
            "https://.h.example",
            "https://h..example",
            "https://h.example:99999",
            "https://h.example:x",
            "https://[::1",
            "https://[::g]",
            "https://münchen.example",
            "https://-rf.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "https://h%2eexample",
            "https://h.example:0",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://2130706433",
            "127.0.0.01",
            "https://[::ffff:127.0.0.1]",
            "https://[::1]1",
        ] {
            let error = Host::parse(typed).expect_err(typed);
            assert!(!error.to_string().contains(text::is_unsafe), "{error}");
        }
    }

    #[test]
    fn endpoints_are_cut_into_origin_and_path() {
        let (host, path) = Host::split(" https://H.example:443/a/b?x=1 ").expect("an endpoint");
        assert_eq!((host.as_str(), path), ("https://h.example", "/a/b?x=1"));
        assert_eq!(Host::split("http://127.0.0.1:80").expect("an endpoint").1, "/");
        for url in ["h.example/secret", "https://h.example/secret#x", "https://h.example?secret", "https://h.example/secret x", "http://h.example/secret"] {
            let error = Host::split(url).expect_err(url).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_token_is_no_host_and_not_shown() {
        for token in ["dapi0123456789abcdef0123456789abcdef", " dapi0123456789abcdef0123456789abcdef-2 "] {
            let error = Host::parse(token).expect_err(token).to_string();
            assert!(error.contains("token") && !error.contains("0123"), "{error}");
        }
        Host::parse("dapi.example.com").expect("a host");
    }

    #[test]
    fn ids_come_from_the_query() {
        let ids = |address| Host::parse_address(address).expect(address).1;
        assert_eq!(ids("https://h.example/?o=123&w=ws").workspace_id.as_deref(), Some("123"));
        assert_eq!(ids("https://h.example/?o=abc&w=ws").workspace_id.as_deref(), Some("ws"));
        assert_eq!(ids("https://h.example/x?workspace_id=7&account_id=a-1#f").workspace_id.as_deref(), Some("7"));
        assert_eq!(ids("https://h.example/x?workspace_id=7&account_id=a-1#f").account_id.as_deref(), Some("a-1"));
        assert_eq!(ids("https://h.example"), AddressIds::default());
    }

    #[test]
    fn machines_have_neither_port_nor_brackets() {
        for (address, machine, port) in [("https://h.example", "h.example", false), ("http://[::1]:5000", "::1", true), ("h.example:8443/x", "h.example", true)]
        {
            let host = Host::parse(address).expect(address);
            assert_eq!((host.bare_name(), host.has_port()), (machine, port), "{address}");
        }
    }

    #[test]
    fn clouds_follow_the_suffix() {
        for (host, cloud) in [
            ("https://adb-1.2.azuredatabricks.net", Cloud::Azure),
            ("https://x.databricks.azure.us", Cloud::Azure),
            ("https://1.2.gcp.databricks.com", Cloud::Gcp),
            ("https://x.cloud.databricks.com", Cloud::Aws),
            ("https://azuredatabricks.net.evil.example", Cloud::Aws),
        ] {
            assert_eq!(Host::parse(host).expect(host).cloud(), cloud, "{host}");
        }
    }
}
