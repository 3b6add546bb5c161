//! How to get from settings to a credential: the list of methods and the chain that picks one.

use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::env::Env;
use crate::error::Failure;
use crate::host::Host;
use crate::http::{Options, Sign};
use crate::secret::Secret;
use crate::storage::{Choice, StoredToken};

mod azure;
pub(crate) mod chain;
pub(crate) mod federation;
pub(crate) mod google;
pub(crate) mod methods;
pub(crate) mod oauth;
pub(crate) mod oidc;
pub(crate) mod program;
pub(crate) mod session;

pub(crate) use azure::moved_places;
pub(crate) use methods::METHODS;

/// Headers that authenticate requests to one host.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// The only host the headers may be sent to.
    pub(crate) host: Host,
    /// Name and value; several where a method needs more than `Authorization`.
    pub(crate) headers: Vec<(&'static str, Secret)>,
    /// The auth type that made it.
    pub(crate) method: &'static str,
    /// What the headers were made of, where that lasts: it can be handed over to programs that know nothing of auth types.
    pub(crate) lasting: Option<Lasting>,
    /// The token that the header `Authorization` carries, where it is one that ends. Without the refresh token, which never leaves the store.
    pub(crate) token: Option<StoredToken>,
    /// What the user should know about where it came from.
    pub(crate) remarks: Vec<String>,
}

/// A secret that is good until somebody revokes it.
#[derive(Clone, Debug)]
pub(crate) enum Lasting {
    Token(Secret),
    Password { user: String, password: Secret },
}

impl Lasting {
    /// The auth type that sends it, as every SDK knows it.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Token(_) => "pat",
            Self::Password { .. } => "basic",
        }
    }

    /// As curl and its like send it: Databricks takes a token as the password of the user `token`.
    pub(crate) fn pair(&self) -> (&str, &Secret) {
        match self {
            Self::Token(token) => (TOKEN_USER, token),
            Self::Password { user, password } => (user, password),
        }
    }

    /// A token as it is (RFC 6750), user name and password in base64 (RFC 7617).
    fn header(&self) -> Secret {
        match self {
            Self::Token(token) => Secret::new(["Bearer ", token.expose()].concat()),
            Self::Password { user, password } => {
                let pair = Zeroizing::new([user, ":", password.expose()].concat());
                Secret::new(["Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes()))].concat())
            }
        }
    }
}

/// The user name that says that the password is a token.
pub(crate) const TOKEN_USER: &str = "token";

impl Credential {
    /// The credential that a lasting secret makes for a host.
    fn of(host: Host, method: &'static str, lasting: Lasting) -> Self {
        Self { host, headers: vec![("Authorization", lasting.header())], method, lasting: Some(lasting), token: None, remarks: Vec::new() }
    }

    /// The credential that an OAuth token makes for a host.
    pub(crate) fn bearer(host: Host, method: &'static str, mut token: StoredToken, remarks: Vec<String>) -> Self {
        token.refresh_token = None;
        let header = Secret::new(["Bearer ", token.access_token.expose()].concat());
        Self { host, headers: vec![("Authorization", header)], method, lasting: None, token: Some(token), remarks }
    }

    /// The token that is sent, with its end where that is known: one that was set, such as that of a session, says it itself if it is a JSON Web Token. `None` where it is
    /// no token that is sent.
    pub(crate) fn sent(&self) -> Option<StoredToken> {
        match (&self.token, &self.lasting) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(Lasting::Token(token))) => {
                let expiry = oauth::reply::expiry_claim(token.expose()).and_then(|end| Timestamp::from_second(end).ok());
                Some(StoredToken { access_token: token.clone(), token_type: "Bearer".to_owned(), refresh_token: None, expiry, expires_in: None })
            }
            _ => None,
        }
    }

    /// When the credential ends; `None` where it does not, or nobody knows.
    pub(crate) fn expiry(&self) -> Option<Timestamp> {
        self.token.as_ref()?.expiry
    }
}

impl Sign for Credential {
    fn host(&self) -> &Host {
        &self.host
    }

    fn headers(&self) -> Vec<(&'static str, Secret)> {
        self.headers.clone()
    }

    fn auth_type(&self) -> Option<&str> {
        Some(self.method)
    }
}

/// What a method may use beside the settings; nothing of it is made before it is asked for.
pub(crate) struct Ports<'a> {
    pub(crate) env: &'a Env,
    /// Bounds and manners of requests to authorization servers.
    pub(crate) options: &'a dyn Fn() -> Options,
    /// Which token store is in force.
    pub(crate) storage: &'a dyn Fn() -> Result<Choice>,
    pub(crate) want: Want,
}

/// How fresh a token has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// Life that must be left; unless told, five minutes or half of the token's life, whichever is less.
    pub(crate) min_ttl: Option<Duration>,
    /// Whether a token that was minted before this counts as none.
    pub(crate) minted_after: Option<Timestamp>,
    /// Whether the token itself is all that is wanted: then no other token is had for the further headers that requests with it carry.
    pub(crate) alone: bool,
}

impl Want {
    /// Any token that is good for a while, with all headers.
    pub(crate) const USUAL: Self = Self { min_ttl: None, minted_after: None, alone: false };
}

/// One way to obtain a credential: an auth type of Databricks unified authentication.
#[derive(Debug)]
pub(crate) struct Method {
    /// The official name, as `auth_type` takes it.
    pub(crate) name: &'static str,
    /// What people call it, for messages.
    pub(crate) title: &'static str,
    /// Attributes without which it cannot work, beside the host.
    pub(crate) needs: &'static [Attr],
    /// Whether it is tried where `auth_type` names none.
    pub(crate) automatic: bool,
    /// What else has to hold, beyond attributes that are set: why the method does not apply, in a clause such as `the host is not on Azure`. Looks at nothing but these.
    pub(crate) obstacle: fn(&Settings, &Env) -> Option<String>,
    /// Finds the host where none is set; `None` for methods that cannot.
    pub(crate) locate: Option<Locate>,
    /// Obtains the credential; everything it needs is there.
    pub(crate) acquire: fn(&Settings, Host, &Ports<'_>) -> Result<Credential>,
}

/// How a method finds the host by itself.
#[derive(Debug)]
pub(crate) struct Locate {
    /// The attribute that the host follows from.
    pub(crate) from: Attr,
    /// Asks for it; everything else that the method needs is there.
    pub(crate) find: fn(&Settings, &Ports<'_>) -> Result<Host>,
}

/// For methods that need their attributes and nothing else.
pub(crate) fn no_obstacle(_: &Settings, _: &Env) -> Option<String> {
    None
}

/// Why a method does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// These attributes are not set.
    Missing(Vec<Attr>),
    /// Something else does not hold, in a clause.
    Obstacle(String),
}

impl std::fmt::Display for Skip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(missing) => {
                let names: Vec<_> = missing.iter().map(|attr| attr.name()).collect();
                write!(formatter, "{} {} not set", names.join(", "), if names.len() == 1 { "is" } else { "are" })
            }
            Self::Obstacle(reason) => formatter.write_str(reason),
        }
    }
}

impl Method {
    /// Whether everything is there that the method needs; looks at settings and environment only.
    ///
    /// # Errors
    /// With what is missing.
    pub(crate) fn ready(&self, settings: &Settings, env: &Env) -> Result<(), Skip> {
        let finds_host = self.locate.as_ref().is_some_and(|locate| settings.get(locate.from).is_some());
        let host = [Attr::Host].iter().filter(|_| !finds_host);
        let missing: Vec<Attr> = host.chain(self.needs).copied().filter(|attr| settings.get(*attr).is_none()).collect();
        if !missing.is_empty() {
            return Err(Skip::Missing(missing));
        }
        (self.obstacle)(settings, env).map_or(Ok(()), |reason| Err(Skip::Obstacle(reason)))
    }

    /// The host in force: the one that is set, else the one that the method finds.
    ///
    /// # Errors
    /// If what is set is none; if there is none, or it cannot be found.
    fn host(&self, settings: &Settings, ports: &Ports<'_>) -> Result<Host> {
        match (settings.host()?, &self.locate) {
            (Some(host), _) => Ok(host),
            (None, Some(locate)) => (locate.find)(settings, ports),
            (None, None) => Err(Failure::new(format!("{} needs a host", self.name)).hint("Set host in the profile, or DATABRICKS_HOST").into()),
        }
    }

    /// As error texts show it: `Personal Access Token (pat)`.
    pub(crate) fn label(&self) -> String {
        // Compat: the official CLI shows basic alone without its type.
        if self.name == "basic" { self.title.to_owned() } else { format!("{} ({})", self.title, self.name) }
    }
}

/// The method of this name.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().copied().find(|method| method.name == name)
}
