//! Whether the way to a host leads through a proxy: decided here, from the environment snapshot, so that it can be tested and named in errors.

use std::net::IpAddr;

use crate::env::{self, Env};
use crate::error::Failure;
use crate::host::Host;
use crate::secret::Secret;
use crate::text;

/// The way to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Direct,
    /// By `CONNECT`: the proxy sees the host's name, and only ciphertext after that.
    Through(Proxy),
}

/// A proxy, as one variable of the environment names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// The variable's name.
    pub(crate) variable: &'static str,
    /// Scheme, name and port, without user name and password: what messages may show.
    pub(crate) shown: String,
    /// The whole address; it may hold a password.
    pub(crate) address: Secret,
}

impl Route {
    /// Loopback and link-local hosts are reached directly, whatever the environment says; the others through the first proxy variable
    /// that is set, unless `NO_PROXY` names them.
    ///
    /// # Errors
    /// When the variable holds no address of an http proxy: going around a proxy that was asked for would be wrong. The value is not shown,
    /// because it may hold a password.
    pub(crate) fn of(host: &Host, env: &Env) -> Result<Self, Failure> {
        if host.is_loopback() || is_link_local(host.name()) {
            return Ok(Self::Direct);
        }
        let Some((variable, address)) = env::HTTPS_PROXIES.iter().find_map(|name| Some((*name, env.get(name)?))) else {
            return Ok(Self::Direct);
        };
        if env::NO_PROXIES.iter().find_map(|name| env.get(name)).is_some_and(|list| is_excluded(host, list)) {
            return Ok(Self::Direct);
        }
        let refuse = |why: &str| {
            Failure::new(format!("{variable} holds no usable proxy address: {why}")).hint("Set it to an address such as http://proxy.example:3128, or unset it")
        };
        let address = address.trim();
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = reqwest::Url::parse(&address).map_err(|_| refuse("it cannot be read"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(&format!("{} proxies are not supported, only http and https", text::quoted(url.scheme()))));
        }
        let name = url.host_str().ok_or_else(|| refuse("it names no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| refuse("it names no port"))?;
        let shown = format!("{}://{name}:{port}", url.scheme());
        Ok(Self::Through(Proxy { variable, shown, address: Secret::new(url.as_str()) }))
    }
}

/// 169.254.0.0/16 and `fe80::/10` (RFC 3927, RFC 4291): metadata services of clouds live there.
fn is_link_local(name: &str) -> bool {
    match bare(name).parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unicast_link_local(),
        Err(_) => false,
    }
}

/// Without the brackets of an IPv6 address.
fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

/// Whether a list as in `NO_PROXY` names the host: entries are parted by commas or white space; `*` is every host; a name covers itself
/// and everything below it (also written `.name` or `*.name`); addresses and networks (`10.0.0.0/8`) cover addresses; `name:port` only that port.
fn is_excluded(host: &Host, list: &str) -> bool {
    let name = bare(host.name());
    let address: Option<IpAddr> = name.parse().ok();
    list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some(address) = address {
            if let Some((network, bits)) = entry.split_once('/') {
                return is_within(address, network, bits);
            }
            if bare(&entry).parse() == Ok(address) {
                return true;
            }
        }
        let (entry, port) = match entry.rsplit_once(':') {
            Some((entry, port)) if !entry.contains(':') || entry.ends_with(']') => (entry, Some(port)),
            _ => (entry.as_str(), None),
        };
        if port.is_some_and(|port| port != port_of(host)) {
            return false;
        }
        if let Some(address) = address {
            return bare(entry).parse() == Ok(address);
        }
        let suffix = entry.trim_start_matches('*').trim_start_matches('.');
        !suffix.is_empty() && name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn port_of(host: &Host) -> &str {
    let after_name = host.as_str().rfind(host.name()).map_or("", |start| &host.as_str()[start + host.name().len()..]);
    after_name.strip_prefix(':').unwrap_or("443")
}

/// Whether the address lies in the network given by its first address and the number of leading bits that count.
fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (bare(network).parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let ignored = 32 - bits;
            u32::from(address).checked_shr(ignored).unwrap_or(0) == u32::from(network).checked_shr(ignored).unwrap_or(0)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let ignored = 128 - bits;
            u128::from(address).checked_shr(ignored).unwrap_or(0) == u128::from(network).checked_shr(ignored).unwrap_or(0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> Host {
        Host::parse(address).expect(address)
    }

    #[test]
    fn loopback_and_link_local_never_meet_a_proxy() {
        let env = Env::default().with("HTTPS_PROXY", "http://p.example:3128");
        for address in ["http://127.0.0.1:8080", "https://localhost", "https://[::1]:8443", "https://169.254.169.254", "https://[fe80::1]"] {
            assert_eq!(Route::of(&host(address), &env).expect(address), Route::Direct, "{address}");
        }
        assert!(matches!(Route::of(&host("h.example"), &env).expect("a route"), Route::Through(_)));
    }

    #[test]
    fn the_password_is_not_shown() {
        let env = Env::default().with("https_proxy", "user:pa%40ss@p.example:3128");
        let Route::Through(proxy) = Route::of(&host("h.example"), &env).expect("a route") else { panic!("direct") };
        assert_eq!((proxy.variable, proxy.shown.as_str()), ("https_proxy", "http://p.example:3128"));
        assert!(!format!("{proxy:?}").contains("pa%40ss"));
        for address in ["socks5://user:pa55@p.example", "http://user:pa55@", "://pa55", "http://user:pa55@p.example:x"] {
            let error = Route::of(&host("h.example"), &Env::default().with("HTTPS_PROXY", address)).expect_err(address);
            assert!(error.to_string().starts_with("HTTPS_PROXY holds no usable proxy address") && !error.to_string().contains("pa55"), "{error}");
        }
    }

    #[test]
    fn exceptions_name_hosts() {
        for (address, list, direct) in [
            ("a.h.example", "h.example", true),
            ("h.example", " other , .H.example", true),
            ("a.h.example", "*.h.example", true),
            ("xh.example", "h.example", false),
            ("h.example", "a.h.example", false),
            ("h.example", "*", true),
            ("h.example", "", false),
            ("h.example", ",", false),
            ("h.example", ".", false),
            ("h.example:8443", "h.example:8443", true),
            ("h.example:8443", "h.example:443", false),
            ("h.example", "h.example:443", true),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("11.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "1.2.3", false),
            ("[2001:db8::1]", "2001:db8::/32", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]", "2001:db9::1", false),
        ] {
            let env = Env::default().with("HTTPS_PROXY", "http://p.example").with("NO_PROXY", list);
            assert_eq!(Route::of(&host(address), &env).expect(address) == Route::Direct, direct, "{address} in {list:?}");
        }
    }
}
