//! The entry of a `.netrc` file: `curl --netrc-file <(databricks auth env --format netrc) …` leaves nothing on disk. `auth netrc` puts the same entry into the user's file.

use anyhow::Result;

use crate::auth::Credential;
use crate::config::netrc::Record;
use crate::error::Failure;
use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "netrc", aliases: &[], about: "an entry for curl --netrc-file", write };

fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let missing = || Failure::new("a netrc file holds credentials of hosts, and here is none");
    Ok(Handover::text(record(parcel.credential.ok_or_else(missing)?)?.lines("\n")))
}

/// The entry that stands for a credential.
///
/// # Errors
/// If the credential does not last, or the file format cannot hold it.
pub(crate) fn record(credential: &Credential) -> Result<Record<'_>> {
    let Some(lasting) = &credential.lasting else {
        return Err(Failure::new(format!("a netrc file cannot hold the credential of auth type {}: it does not last", credential.method))
            .hint("Make a personal access token for it: databricks tokens create --comment netrc --lifetime 90d")
            .into());
    };
    let (login, password) = lasting.pair();
    Ok(Record::new(credential.host.bare_name(), login, password)?)
}
