//! How to get from settings to a credential: the list of methods and the chain that picks one.

use anyhow::Result;

use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::http::Sign;
use crate::secret::Secret;

pub(crate) mod chain;
pub(crate) mod methods;

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
}

impl Sign for Credential {
    fn host(&self) -> &Host {
        &self.host
    }

    fn headers(&self) -> Vec<(&'static str, Secret)> {
        self.headers.clone()
    }

    fn auth_type(&self) -> &str {
        self.method
    }
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
    /// Obtains the credential; everything it needs is there.
    pub(crate) acquire: fn(&Settings, Host) -> Result<Credential>,
}

/// Why a method does not apply: the attributes that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) missing: Vec<Attr>,
}

impl std::fmt::Display for Skip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.missing.iter().map(|attr| attr.name()).collect();
        write!(formatter, "{} {} not set", names.join(", "), if names.len() == 1 { "is" } else { "are" })
    }
}

impl Method {
    /// Whether everything is there that the method needs; looks at the settings only.
    ///
    /// # Errors
    /// With what is missing.
    pub(crate) fn ready(&self, settings: &Settings) -> Result<(), Skip> {
        let missing: Vec<Attr> = [Attr::Host].iter().chain(self.needs).copied().filter(|attr| settings.get(*attr).is_none()).collect();
        if missing.is_empty() { Ok(()) } else { Err(Skip { missing }) }
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
