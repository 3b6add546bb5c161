//! Ways of handing a credential to somebody else, one file each.

pub(crate) mod json;
