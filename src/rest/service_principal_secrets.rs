//! OAuth secrets of service principals, by the workspace (`/api/2.0/accounts/servicePrincipals`) and by the account (`/api/2.0/accounts/{account_id}/servicePrincipals`).
//! <https://docs.databricks.com/api/account/serviceprincipalsecrets>

use crate::config::attributes::Attr;
use crate::http::Verb;
use crate::rest::{Cell, Column, Endpoint, Field, Group, Input, List, Place, Reply, Shape};

pub(crate) static GROUP: Group = Group {
    name: "service-principal-secrets-proxy",
    about: "Create, list and delete OAuth secrets of service principals, through the workspace",
    endpoints: &[&CREATE, &DELETE, &LIST],
};

/// The same for administrators of the account; it stands below `account`.
pub(crate) static ACCOUNT_GROUP: Group = Group {
    name: "service-principal-secrets",
    about: "Create, list and delete OAuth secrets of service principals, through the account",
    endpoints: &[&ACCOUNT_CREATE, &ACCOUNT_DELETE, &ACCOUNT_LIST],
};

const PRINCIPAL: Field =
    Field::argument("service_principal_id", Place::Path, "The service principal ID", "The number of the service principal (not its application id)");
const SECRET: Field = Field::argument("secret_id", Place::Path, "The secret ID", "The id of the secret, as list shows it");
const LIFETIME: Field = Field::flag("lifetime", Shape::Span, "How long the secret lives: 3600s, 12h, 90d; two years if not given");
const ACCOUNT: Field = Field { name: "account_id", place: Place::Path, input: Input::Setting(Attr::AccountId), shape: Shape::Text, about: "", default: None };

const COLUMNS: &[Column] = &[
    Column { title: "ID", cell: Cell::Id("id") },
    Column { title: "Status", cell: Cell::Key("status") },
    Column { title: "Expiry time", cell: Cell::Key("expire_time") },
];

const SECRETS: Reply = Reply::List(List { items: "secrets", columns: COLUMNS, page_size: Some(100), filters: &[] });

static CREATE: Endpoint = Endpoint {
    name: "create",
    about: "Create an OAuth secret for a service principal; it is shown once",
    details: "The reply holds the secret: keep it, nobody shows it again. A service principal has at most five.",
    examples: &["databricks service-principal-secrets-proxy create 5678 --lifetime 90d | jq -r .secret"],
    verb: Verb::Post,
    path: "/api/2.0/accounts/servicePrincipals/{service_principal_id}/credentials/secrets",
    fields: &[PRINCIPAL, LIFETIME],
    json: true,
    mints: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE: Endpoint = Endpoint {
    name: "delete",
    aliases: &["revoke"],
    about: "Delete an OAuth secret of a service principal",
    examples: &["databricks service-principal-secrets-proxy delete 5678 SECRET_ID"],
    verb: Verb::Delete,
    path: "/api/2.0/accounts/servicePrincipals/{service_principal_id}/credentials/secrets/{secret_id}",
    fields: &[PRINCIPAL, SECRET],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static LIST: Endpoint = Endpoint {
    name: "list",
    about: "List the OAuth secrets of a service principal, without the secrets themselves",
    examples: &["databricks service-principal-secrets-proxy list 5678"],
    path: "/api/2.0/accounts/servicePrincipals/{service_principal_id}/credentials/secrets",
    fields: &[PRINCIPAL],
    reply: SECRETS,
    ..Endpoint::PLAIN
};

static ACCOUNT_CREATE: Endpoint = Endpoint {
    name: "create",
    about: "Create an OAuth secret for a service principal; it is shown once",
    details: "The reply holds the secret: keep it, nobody shows it again. A service principal has at most five.",
    examples: &["databricks account service-principal-secrets create 5678 --lifetime 86400s -p my-account"],
    verb: Verb::Post,
    path: "/api/2.0/accounts/{account_id}/servicePrincipals/{service_principal_id}/credentials/secrets",
    fields: &[ACCOUNT, PRINCIPAL, LIFETIME],
    json: true,
    mints: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static ACCOUNT_DELETE: Endpoint = Endpoint {
    name: "delete",
    aliases: &["revoke"],
    about: "Delete an OAuth secret of a service principal",
    examples: &["databricks account service-principal-secrets delete 5678 SECRET_ID -p my-account"],
    verb: Verb::Delete,
    path: "/api/2.0/accounts/{account_id}/servicePrincipals/{service_principal_id}/credentials/secrets/{secret_id}",
    fields: &[ACCOUNT, PRINCIPAL, SECRET],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static ACCOUNT_LIST: Endpoint = Endpoint {
    name: "list",
    about: "List the OAuth secrets of a service principal, without the secrets themselves",
    examples: &["databricks account service-principal-secrets list 5678 -p my-account"],
    path: "/api/2.0/accounts/{account_id}/servicePrincipals/{service_principal_id}/credentials/secrets",
    fields: &[ACCOUNT, PRINCIPAL],
    reply: SECRETS,
    ..Endpoint::PLAIN
};
