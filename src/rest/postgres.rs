//! `/api/2.0/postgres`: Lakebase Autoscaling: projects, their branches, endpoints, roles and databases, and passwords. <https://docs.databricks.com/api/workspace/postgres>
//!
//! Resources are known by names that are paths: `projects/P/branches/B/endpoints/E`. What changes something answers with an operation.

use crate::http::Verb;
use crate::rest::{Course, Endpoint, Field, Group, Input, List, Place, Reply, Shape};

pub(crate) static GROUP: Group = Group {
    name: "postgres",
    about: "Lakebase Postgres, autoscaling: projects, branches, endpoints, roles, and their passwords",
    endpoints: &[
        &CREATE_BRANCH,
        &CREATE_CATALOG,
        &CREATE_CDF_CONFIG,
        &CREATE_DATABASE,
        &CREATE_ENDPOINT,
        &CREATE_PROJECT,
        &CREATE_ROLE,
        &CREATE_SYNCED_TABLE,
        &DELETE_BRANCH,
        &DELETE_CATALOG,
        &DELETE_CDF_CONFIG,
        &DELETE_DATABASE,
        &DELETE_ENDPOINT,
        &DELETE_PROJECT,
        &DELETE_ROLE,
        &DELETE_SYNCED_TABLE,
        &GENERATE_DATABASE_CREDENTIAL,
        &GET_BRANCH,
        &GET_CATALOG,
        &GET_CDF_CONFIG,
        &GET_DATABASE,
        &GET_ENDPOINT,
        &GET_PROJECT,
        &GET_ROLE,
        &GET_SYNCED_TABLE,
        &GET_CDF_STATUS,
        &GET_OPERATION,
        &LIST_BRANCHES,
        &LIST_CDF_CONFIGS,
        &LIST_CDF_STATUSES,
        &LIST_DATABASES,
        &LIST_ENDPOINTS,
        &LIST_PROJECTS,
        &LIST_ROLES,
        &UNDELETE_PROJECT,
        &UPDATE_BRANCH,
        &UPDATE_DATABASE,
        &UPDATE_ENDPOINT,
        &UPDATE_PROJECT,
        &UPDATE_ROLE,
    ],
};

/// The most that the service gives in one page.
const PAGE_SIZE: u32 = 100;

const OPERATION: Reply = Reply::Course(Course::Operation { below: "/api/2.0/postgres/" });
const NAME: Field = Field::argument("name", Place::Resource, "NAME, the whole path of the resource", "The whole name, such as projects/my-project");
const PARENT: Field = Field::argument("parent", Place::Resource, "PARENT, the whole name of what it belongs to", "The whole name of what it belongs to");
const UPDATE_MASK: Field = Field::argument(
    "update_mask",
    Place::Query,
    "UPDATE_MASK, the names of the fields to change, separated by commas",
    "The names of the fields to change, separated by commas",
);
const LIST_PAGE: Field = Field::query("page_size", "page-size", Shape::Integer, "How many to ask for at once");
const REPLACE: Field = Field::query("replace_existing", "replace-existing", Shape::Boolean, "Change the one that is there, if there is one of that name");

const fn list(items: &'static str) -> Reply {
    Reply::List(List { items, columns: &[], page_size: Some(PAGE_SIZE), filters: &[] })
}

static CREATE_BRANCH: Endpoint = Endpoint {
    name: "create-branch",
    about: "Create a branch",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-branch projects/my-project dev --json '{\"spec\": {\"source_branch\": \"projects/my-project/branches/main\", \"ttl\": \"86400s\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/{parent}/branches",
    fields: &[
        PARENT,
        Field::argument("branch_id", Place::Query, "BRANCH_ID, the last part of its name", "The last part of its name"),
        REPLACE,
        Field::json("spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_CATALOG: Endpoint = Endpoint {
    name: "create-catalog",
    about: "Create a catalog of a database",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-catalog my_catalog --json '{\"spec\": {\"postgres_database\": \"databricks_postgres\", \"branch\": \"projects/my-project/branches/main\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/catalogs",
    fields: &[
        Field::argument("catalog_id", Place::Query, "CATALOG_ID, the last part of its name", "The last part of its name"),
        Field::json("spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_CDF_CONFIG: Endpoint = Endpoint {
    name: "create-cdf-config",
    about: "Create a feed of changes",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-cdf-config projects/my-project/branches/main/databases/db --cdf-config-id x --json '{\"catalog\": \"main\", \"schema\": \"feed\", \"postgres_schema\": \"public\"}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/{parent}/cdf-configs",
    fields: &[
        PARENT,
        Field::query("cdf_config_id", "cdf-config-id", Shape::Text, "The last part of its name; without it the service makes one"),
        Field::json("catalog", Shape::Text),
        Field::json("schema", Shape::Text),
        Field::json("postgres_schema", Shape::Text),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_DATABASE: Endpoint = Endpoint {
    name: "create-database",
    about: "Create a database",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-database projects/my-project/branches/main --database-id x --json '{\"spec\": {\"role\": \"projects/my-project/branches/main/roles/owner\", \"postgres_database\": \"shop\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/{parent}/databases",
    fields: &[
        PARENT,
        Field::query("database_id", "database-id", Shape::Text, "The last part of its name; without it the service makes one"),
        REPLACE,
        Field::json("spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_ENDPOINT: Endpoint = Endpoint {
    name: "create-endpoint",
    about: "Create an endpoint",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-endpoint projects/my-project/branches/main reader --json '{\"spec\": {\"endpoint_type\": \"ENDPOINT_TYPE_READ_ONLY\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/{parent}/endpoints",
    fields: &[
        PARENT,
        Field::argument("endpoint_id", Place::Query, "ENDPOINT_ID, the last part of its name", "The last part of its name"),
        REPLACE,
        Field::json("spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_PROJECT: Endpoint = Endpoint {
    name: "create-project",
    about: "Create a project",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &["databricks postgres create-project my-project --json '{\"spec\": {\"display_name\": \"My project\", \"pg_version\": 17}}'"],
    verb: Verb::Post,
    path: "/api/2.0/postgres/projects",
    fields: &[
        Field::argument("project_id", Place::Query, "PROJECT_ID, the last part of its name", "The last part of its name"),
        Field::json("spec", Shape::Object),
        Field::json("initial_branch_spec", Shape::Object),
        Field::json("initial_endpoint_spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_ROLE: Endpoint = Endpoint {
    name: "create-role",
    about: "Create a role",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-role projects/my-project/branches/main --role-id x --json '{\"spec\": {\"postgres_role\": \"ann@example.com\", \"identity_type\": \"USER\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/{parent}/roles",
    fields: &[
        PARENT,
        Field::query("role_id", "role-id", Shape::Text, "The last part of its name; without it the service makes one"),
        REPLACE,
        Field::json("spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static CREATE_SYNCED_TABLE: Endpoint = Endpoint {
    name: "create-synced-table",
    about: "Create a synced table",
    details: "Waits until it is there, unless --no-wait is given.",
    examples: &[
        "databricks postgres create-synced-table main.public.orders --json '{\"spec\": {\"source_table_full_name\": \"main.raw.orders\", \"primary_key_columns\": [\"id\"]}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/synced_tables",
    fields: &[
        Field::argument("synced_table_id", Place::Query, "SYNCED_TABLE_ID, the last part of its name", "The last part of its name"),
        Field::json("spec", Shape::Object),
    ],
    json: true,
    reply: OPERATION,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE_BRANCH: Endpoint = Endpoint {
    name: "delete-branch",
    about: "Delete a branch",
    examples: &["databricks postgres delete-branch projects/my-project/branches/dev"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, Field::query("purge", "purge", Shape::Boolean, "Delete it for good, without a time in which it can be restored")],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_CATALOG: Endpoint = Endpoint {
    name: "delete-catalog",
    about: "Delete a catalog of a database",
    examples: &["databricks postgres delete-catalog catalogs/my_catalog"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_CDF_CONFIG: Endpoint = Endpoint {
    name: "delete-cdf-config",
    about: "Delete a feed of changes",
    examples: &["databricks postgres delete-cdf-config projects/my-project/branches/main/databases/db/cdf-configs/feed"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, Field::query("force", "force", Shape::Boolean, "Delete it even if something depends on it")],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_DATABASE: Endpoint = Endpoint {
    name: "delete-database",
    about: "Delete a database",
    examples: &["databricks postgres delete-database projects/my-project/branches/main/databases/db"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_ENDPOINT: Endpoint = Endpoint {
    name: "delete-endpoint",
    about: "Delete an endpoint",
    examples: &["databricks postgres delete-endpoint projects/my-project/branches/main/endpoints/primary"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_PROJECT: Endpoint = Endpoint {
    name: "delete-project",
    about: "Delete a project",
    examples: &["databricks postgres delete-project projects/my-project"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, Field::query("purge", "purge", Shape::Boolean, "Delete it for good, without a time in which it can be restored")],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_ROLE: Endpoint = Endpoint {
    name: "delete-role",
    about: "Delete a role",
    examples: &["databricks postgres delete-role projects/my-project/branches/main/roles/ann"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, Field::query("reassign_owned_to", "reassign-owned-to", Shape::Text, "The role that gets what this one owns")],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static DELETE_SYNCED_TABLE: Endpoint = Endpoint {
    name: "delete-synced-table",
    about: "Delete a synced table",
    examples: &["databricks postgres delete-synced-table synced_tables/main.public.orders"],
    verb: Verb::Delete,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static GENERATE_DATABASE_CREDENTIAL: Endpoint = Endpoint {
    name: "generate-database-credential",
    about: "Get a short-lived OAuth token that is the Postgres password of an endpoint",
    details: "The API has no request_id: a request whose reply was lost is not sent again.",
    examples: &[
        "databricks postgres generate-database-credential projects/my-project/branches/main/endpoints/primary --ttl 900s",
        "databricks postgres generate-database-credential projects/my-project/branches/main/endpoints/primary | jq -r .token",
    ],
    verb: Verb::Post,
    path: "/api/2.0/postgres/credentials",
    fields: &[
        Field {
            name: "endpoint",
            place: Place::Body,
            input: Input::Required("ENDPOINT, such as projects/my-project/branches/main/endpoints/primary"),
            shape: Shape::Text,
            about: "The name of the endpoint",
            default: None,
        },
        Field::flag("ttl", Shape::Span, "How long it lives, at most an hour: 3600s, 30m"),
        Field::flag("expire_time", Shape::Time, "Until when it lives, instead of --ttl: 2026-01-31T12:00:00Z"),
        Field::json("claims", Shape::Objects),
    ],
    json: true,
    mints: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static GET_BRANCH: Endpoint = Endpoint {
    name: "get-branch",
    about: "Show a branch",
    examples: &["databricks postgres get-branch projects/my-project/branches/dev"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_CATALOG: Endpoint = Endpoint {
    name: "get-catalog",
    about: "Show a catalog of a database",
    examples: &["databricks postgres get-catalog catalogs/my_catalog"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_CDF_CONFIG: Endpoint = Endpoint {
    name: "get-cdf-config",
    about: "Show a feed of changes",
    examples: &["databricks postgres get-cdf-config projects/my-project/branches/main/databases/db/cdf-configs/feed"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_DATABASE: Endpoint = Endpoint {
    name: "get-database",
    about: "Show a database",
    examples: &["databricks postgres get-database projects/my-project/branches/main/databases/db"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

pub(crate) static GET_ENDPOINT: Endpoint = Endpoint {
    name: "get-endpoint",
    about: "Show an endpoint",
    examples: &["databricks postgres get-endpoint projects/my-project/branches/main/endpoints/primary"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_PROJECT: Endpoint = Endpoint {
    name: "get-project",
    about: "Show a project",
    examples: &["databricks postgres get-project projects/my-project"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_ROLE: Endpoint = Endpoint {
    name: "get-role",
    about: "Show a role",
    examples: &["databricks postgres get-role projects/my-project/branches/main/roles/ann"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_SYNCED_TABLE: Endpoint = Endpoint {
    name: "get-synced-table",
    about: "Show a synced table",
    examples: &["databricks postgres get-synced-table synced_tables/main.public.orders"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_CDF_STATUS: Endpoint = Endpoint {
    name: "get-cdf-status",
    about: "Show how far a feed of changes is",
    examples: &["databricks postgres get-cdf-status projects/my-project/branches/main/databases/db/cdf-statuses/orders"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static GET_OPERATION: Endpoint = Endpoint {
    name: "get-operation",
    about: "Show how far an operation is",
    examples: &["databricks postgres get-operation projects/my-project/operations/1234"],
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

pub(crate) static LIST_BRANCHES: Endpoint = Endpoint {
    name: "list-branches",
    about: "List the branches of a project",
    examples: &["databricks postgres list-branches projects/my-project"],
    path: "/api/2.0/postgres/{parent}/branches",
    fields: &[PARENT, LIST_PAGE, Field::query("show_deleted", "show-deleted", Shape::Boolean, "Those too that are deleted and can be restored")],
    reply: list("branches"),
    ..Endpoint::PLAIN
};

static LIST_CDF_CONFIGS: Endpoint = Endpoint {
    name: "list-cdf-configs",
    about: "List the feeds of changes of a database",
    examples: &["databricks postgres list-cdf-configs projects/my-project/branches/main/databases/db"],
    path: "/api/2.0/postgres/{parent}/cdf-configs",
    fields: &[PARENT, LIST_PAGE],
    reply: list("cdf_configs"),
    ..Endpoint::PLAIN
};

static LIST_CDF_STATUSES: Endpoint = Endpoint {
    name: "list-cdf-statuses",
    about: "List how far the feeds of changes are",
    examples: &["databricks postgres list-cdf-statuses projects/my-project/branches/main/databases/db"],
    path: "/api/2.0/postgres/{parent}/cdf-statuses",
    fields: &[PARENT, LIST_PAGE],
    reply: list("cdf_statuses"),
    ..Endpoint::PLAIN
};

static LIST_DATABASES: Endpoint = Endpoint {
    name: "list-databases",
    about: "List the databases of a branch",
    examples: &["databricks postgres list-databases projects/my-project/branches/main"],
    path: "/api/2.0/postgres/{parent}/databases",
    fields: &[PARENT, LIST_PAGE],
    reply: list("databases"),
    ..Endpoint::PLAIN
};

pub(crate) static LIST_ENDPOINTS: Endpoint = Endpoint {
    name: "list-endpoints",
    about: "List the endpoints of a branch",
    examples: &["databricks postgres list-endpoints projects/my-project/branches/main"],
    path: "/api/2.0/postgres/{parent}/endpoints",
    fields: &[PARENT, LIST_PAGE],
    reply: list("endpoints"),
    ..Endpoint::PLAIN
};

pub(crate) static LIST_PROJECTS: Endpoint = Endpoint {
    name: "list-projects",
    about: "List the projects of the workspace",
    examples: &["databricks postgres list-projects"],
    path: "/api/2.0/postgres/projects",
    fields: &[LIST_PAGE, Field::query("show_deleted", "show-deleted", Shape::Boolean, "Those too that are deleted and can be restored")],
    reply: list("projects"),
    ..Endpoint::PLAIN
};

static LIST_ROLES: Endpoint = Endpoint {
    name: "list-roles",
    about: "List the roles of a branch",
    examples: &["databricks postgres list-roles projects/my-project/branches/main"],
    path: "/api/2.0/postgres/{parent}/roles",
    fields: &[PARENT, LIST_PAGE],
    reply: list("roles"),
    ..Endpoint::PLAIN
};

static UNDELETE_PROJECT: Endpoint = Endpoint {
    name: "undelete-project",
    about: "Restore a project that was deleted",
    examples: &["databricks postgres undelete-project projects/my-project"],
    verb: Verb::Post,
    path: "/api/2.0/postgres/{name}/undelete",
    fields: &[NAME],
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static UPDATE_BRANCH: Endpoint = Endpoint {
    name: "update-branch",
    about: "Change a branch",
    examples: &["databricks postgres update-branch projects/my-project/branches/dev spec.is_protected --json '{\"spec\": {\"is_protected\": true}}'"],
    verb: Verb::Patch,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, UPDATE_MASK, Field::json("spec", Shape::Object)],
    json: true,
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static UPDATE_DATABASE: Endpoint = Endpoint {
    name: "update-database",
    about: "Change a database",
    examples: &[
        "databricks postgres update-database projects/my-project/branches/main/databases/db spec.postgres_database --json '{\"spec\": {\"postgres_database\": \"shop\"}}'",
    ],
    verb: Verb::Patch,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, UPDATE_MASK, Field::json("spec", Shape::Object)],
    json: true,
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static UPDATE_ENDPOINT: Endpoint = Endpoint {
    name: "update-endpoint",
    about: "Change an endpoint",
    examples: &[
        "databricks postgres update-endpoint projects/my-project/branches/main/endpoints/primary spec.autoscaling_limit_max_cu --json '{\"spec\": {\"autoscaling_limit_max_cu\": 4}}'",
    ],
    verb: Verb::Patch,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, UPDATE_MASK, Field::json("spec", Shape::Object)],
    json: true,
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static UPDATE_PROJECT: Endpoint = Endpoint {
    name: "update-project",
    about: "Change a project",
    examples: &["databricks postgres update-project projects/my-project spec.display_name --json '{\"spec\": {\"display_name\": \"Shop\"}}'"],
    verb: Verb::Patch,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, UPDATE_MASK, Field::json("spec", Shape::Object)],
    json: true,
    reply: OPERATION,
    ..Endpoint::PLAIN
};

static UPDATE_ROLE: Endpoint = Endpoint {
    name: "update-role",
    about: "Change a role",
    examples: &[
        "databricks postgres update-role projects/my-project/branches/main/roles/ann spec.attributes --json '{\"spec\": {\"attributes\": {\"createdb\": true}}}'",
    ],
    verb: Verb::Patch,
    path: "/api/2.0/postgres/{name}",
    fields: &[NAME, UPDATE_MASK, Field::json("spec", Shape::Object)],
    json: true,
    reply: OPERATION,
    ..Endpoint::PLAIN
};
