//! `/api/2.0/preview/scim/v2/Me`: who the credential is. <https://docs.databricks.com/api/workspace/currentuser>

use crate::rest::{Endpoint, Field, Group, Shape};

pub(crate) static GROUP: Group = Group { name: "current-user", about: "Show who you are to the workspace", endpoints: &[&ME] };

pub(crate) static ME: Endpoint = Endpoint {
    name: "me",
    about: "Show the user or service principal that the credential belongs to",
    examples: &["databricks current-user me", "databricks current-user me -p my-profile | jq -r .userName"],
    path: "/api/2.0/preview/scim/v2/Me",
    fields: &[
        Field::query("attributes", "attributes", Shape::Text, "Only these attributes, separated by commas"),
        Field::query("excludedAttributes", "excluded-attributes", Shape::Text, "All but these attributes, separated by commas"),
    ],
    ..Endpoint::PLAIN
};
