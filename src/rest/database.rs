//! `/api/2.0/database`: Lakebase Postgres instances, what Unity Catalog shows of them, and their passwords. <https://docs.databricks.com/api/workspace/database>

use crate::http::Verb;
use crate::rest::{Course, Endpoint, Field, Group, Input, List, Picker, Place, Reply, Shape, random_id};

pub(crate) static GROUP: Group = Group {
    name: "database",
    about: "Lakebase Postgres: instances, their passwords, and connections that outlive them",
    endpoints: &[
        &CREATE_CATALOG,
        &CREATE_INSTANCE,
        &CREATE_INSTANCE_ROLE,
        &CREATE_TABLE,
        &CREATE_SYNCED_TABLE,
        &DELETE_CATALOG,
        &DELETE_INSTANCE,
        &DELETE_INSTANCE_ROLE,
        &DELETE_TABLE,
        &DELETE_SYNCED_TABLE,
        &FIND_INSTANCE_BY_UID,
        &GENERATE_DATABASE_CREDENTIAL,
        &GET_CATALOG,
        &GET_INSTANCE,
        &GET_INSTANCE_ROLE,
        &GET_TABLE,
        &GET_SYNCED_TABLE,
        &LIST_CATALOGS,
        &LIST_INSTANCE_ROLES,
        &LIST_INSTANCES,
        &LIST_SYNCED_TABLES,
        &UPDATE_CATALOG,
        &UPDATE_INSTANCE,
        &UPDATE_SYNCED_TABLE,
    ],
};

/// The most that the service gives in one page.
const PAGE_SIZE: u32 = 100;

/// An instance by name, in the path.
const INSTANCE: Field = Field {
    name: "name",
    place: Place::Path,
    input: Input::Argument(Picker { label: "Name of the instance", from: &LIST_INSTANCES, id: "name", title: "name" }),
    shape: Shape::Text,
    about: "The instance's name, as list-database-instances shows it",
    default: None,
};
/// The instance that something belongs to, in the path.
const OF_INSTANCE: Field = Field {
    name: "instance_name",
    place: Place::Path,
    input: Input::Argument(Picker { label: "Name of the instance", from: &LIST_INSTANCES, id: "name", title: "name" }),
    shape: Shape::Text,
    about: "The instance's name",
    default: None,
};
const NAME: Field = Field::argument("name", Place::Path, "NAME", "Its name");
const UPDATE_MASK: Field = Field::argument(
    "update_mask",
    Place::Query,
    "UPDATE_MASK, the names of the fields to change, separated by commas",
    "The names of the fields to change, separated by commas",
);
const LIST_PAGE: Field = Field::query("page_size", "page-size", Shape::Integer, "How many to ask for at once");

const fn list(items: &'static str) -> Reply {
    Reply::List(List { items, columns: &[], page_size: Some(PAGE_SIZE), filters: &[] })
}

// What an instance is made of.
const CAPACITY: Field = Field::flag("capacity", Shape::Text, "Its size: CU_1, CU_2, CU_4 or CU_8");
const NATIVE_LOGIN: Field = Field::flag("enable_pg_native_login", Shape::Boolean, "Let Postgres roles log in with passwords of their own");
const SECONDARIES: Field = Field::flag("enable_readable_secondaries", Shape::Boolean, "Let the other nodes answer queries that only read");
const NODE_COUNT: Field = Field::flag("node_count", Shape::Integer, "How many nodes it has, from 1 to 3");
const RETENTION: Field = Field::flag("retention_window_in_days", Shape::Integer, "For how many days it can be restored, from 2 to 35");
const STOPPED: Field = Field::flag("stopped", Shape::Boolean, "Whether it is stopped");
const USAGE_POLICY: Field = Field::flag("usage_policy_id", Shape::Text, "The policy by which its use is billed");
const TAGS: Field = Field::json("custom_tags", Shape::Objects);

static CREATE_INSTANCE: Endpoint = Endpoint {
    name: "create-database-instance",
    about: "Create an instance",
    details: "Waits until the instance is available, unless --no-wait is given. Another instance as its parent, a branch in time, is given by parent_instance_ref in --json.",
    examples: &[
        "databricks database create-database-instance my-instance --capacity CU_1",
        "databricks database create-database-instance --no-wait --json '{\"name\": \"my-branch\", \"parent_instance_ref\": {\"name\": \"my-instance\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/database/instances",
    fields: &[
        Field::argument("name", Place::Body, "The name of the instance", "The name of the instance"),
        CAPACITY,
        NATIVE_LOGIN,
        SECONDARIES,
        NODE_COUNT,
        RETENTION,
        STOPPED,
        USAGE_POLICY,
        TAGS,
        Field::json("parent_instance_ref", Shape::Object),
    ],
    json: true,
    reply: Reply::Course(Course::Instance),
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE_INSTANCE: Endpoint = Endpoint {
    name: "delete-database-instance",
    about: "Delete an instance",
    examples: &["databricks database delete-database-instance my-instance --purge"],
    verb: Verb::Delete,
    path: "/api/2.0/database/instances/{name}",
    fields: &[
        INSTANCE,
        Field::query("force", "force", Shape::Boolean, "Delete it even if others were branched from it, and these too"),
        Field::query("purge", "purge", Shape::Boolean, "Delete it for good, without a time in which it can be restored"),
    ],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static FIND_INSTANCE_BY_UID: Endpoint = Endpoint {
    name: "find-database-instance-by-uid",
    about: "Show the instance with this uid",
    examples: &["databricks database find-database-instance-by-uid --uid 8d2a1c5e-4f0b-4f7a-9d3e-1b2c3d4e5f60"],
    path: "/api/2.0/database/instances:findByUid",
    fields: &[Field::query("uid", "uid", Shape::Text, "The uid of the instance")],
    ..Endpoint::PLAIN
};

pub(crate) static GET_INSTANCE: Endpoint = Endpoint {
    name: "get-database-instance",
    about: "Show an instance",
    examples: &["databricks database get-database-instance my-instance | jq -r .read_write_dns"],
    path: "/api/2.0/database/instances/{name}",
    fields: &[INSTANCE],
    ..Endpoint::PLAIN
};

pub(crate) static LIST_INSTANCES: Endpoint = Endpoint {
    name: "list-database-instances",
    about: "List the instances of the workspace",
    examples: &["databricks database list-database-instances | jq -r '.[].name'"],
    path: "/api/2.0/database/instances",
    fields: &[LIST_PAGE],
    reply: list("database_instances"),
    ..Endpoint::PLAIN
};

static UPDATE_INSTANCE: Endpoint = Endpoint {
    name: "update-database-instance",
    about: "Change an instance: start and stop it, or change its size",
    examples: &[
        "databricks database update-database-instance my-instance stopped --stopped=false",
        "databricks database update-database-instance my-instance capacity,node_count --capacity CU_2 --node-count 2",
    ],
    verb: Verb::Patch,
    path: "/api/2.0/database/instances/{name}",
    fields: &[INSTANCE, UPDATE_MASK, CAPACITY, NATIVE_LOGIN, SECONDARIES, NODE_COUNT, RETENTION, STOPPED, USAGE_POLICY, TAGS],
    json: true,
    ..Endpoint::PLAIN
};

static CREATE_INSTANCE_ROLE: Endpoint = Endpoint {
    name: "create-database-instance-role",
    about: "Let a user, a group or a service principal log in to an instance",
    examples: &["databricks database create-database-instance-role my-instance --name ann@example.com --identity-type USER"],
    verb: Verb::Post,
    path: "/api/2.0/database/instances/{instance_name}/roles",
    fields: &[
        OF_INSTANCE,
        Field {
            name: "name",
            place: Place::Body,
            input: Input::Flag,
            shape: Shape::Text,
            about: "The user's name, the group's, or the application id",
            default: None,
        },
        Field::flag("identity_type", Shape::Text, "USER, GROUP, SERVICE_PRINCIPAL or PG_ONLY"),
        Field::flag("membership_role", Shape::Text, "DATABRICKS_SUPERUSER, if it is to be one"),
        Field::json("attributes", Shape::Object),
    ],
    json: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE_INSTANCE_ROLE: Endpoint = Endpoint {
    name: "delete-database-instance-role",
    about: "Remove a role of an instance",
    examples: &["databricks database delete-database-instance-role my-instance ann@example.com"],
    verb: Verb::Delete,
    path: "/api/2.0/database/instances/{instance_name}/roles/{name}",
    fields: &[
        OF_INSTANCE,
        NAME,
        Field::query("allow_missing", "allow-missing", Shape::Boolean, "Say nothing if there is no such role"),
        Field::query("reassign_owned_to", "reassign-owned-to", Shape::Text, "The role that gets what this one owns"),
    ],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static GET_INSTANCE_ROLE: Endpoint = Endpoint {
    name: "get-database-instance-role",
    about: "Show a role of an instance",
    examples: &["databricks database get-database-instance-role my-instance ann@example.com"],
    path: "/api/2.0/database/instances/{instance_name}/roles/{name}",
    fields: &[OF_INSTANCE, NAME],
    ..Endpoint::PLAIN
};

static LIST_INSTANCE_ROLES: Endpoint = Endpoint {
    name: "list-database-instance-roles",
    about: "List who may log in to an instance",
    examples: &["databricks database list-database-instance-roles my-instance"],
    path: "/api/2.0/database/instances/{instance_name}/roles",
    fields: &[OF_INSTANCE, LIST_PAGE],
    reply: list("database_instance_roles"),
    ..Endpoint::PLAIN
};

static CREATE_CATALOG: Endpoint = Endpoint {
    name: "create-database-catalog",
    about: "Show a database in Unity Catalog, as a catalog",
    examples: &["databricks database create-database-catalog my_catalog my-instance databricks_postgres"],
    verb: Verb::Post,
    path: "/api/2.0/database/catalogs",
    fields: &[
        Field::argument("name", Place::Body, "The name of the catalog", "The name of the catalog"),
        Field::argument("database_instance_name", Place::Body, "The name of the instance", "The name of the instance"),
        Field::argument("database_name", Place::Body, "The name of the database", "The name of the database"),
        Field::flag("create_database_if_not_exists", Shape::Boolean, "Create the database if there is none of that name"),
    ],
    json: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE_CATALOG: Endpoint = Endpoint {
    name: "delete-database-catalog",
    about: "Remove a catalog of a database; the database stays",
    examples: &["databricks database delete-database-catalog my_catalog"],
    verb: Verb::Delete,
    path: "/api/2.0/database/catalogs/{name}",
    fields: &[NAME],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static GET_CATALOG: Endpoint = Endpoint {
    name: "get-database-catalog",
    about: "Show a catalog of a database",
    examples: &["databricks database get-database-catalog my_catalog"],
    path: "/api/2.0/database/catalogs/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static LIST_CATALOGS: Endpoint = Endpoint {
    name: "list-database-catalogs",
    about: "List the catalogs of an instance",
    examples: &["databricks database list-database-catalogs my-instance"],
    path: "/api/2.0/database/instances/{instance_name}/catalogs",
    fields: &[OF_INSTANCE, LIST_PAGE],
    reply: list("database_catalogs"),
    ..Endpoint::PLAIN
};

static UPDATE_CATALOG: Endpoint = Endpoint {
    name: "update-database-catalog",
    about: "Change a catalog of a database",
    examples: &["databricks database update-database-catalog my_catalog database_name --json '{\"database_name\": \"other\"}'"],
    verb: Verb::Patch,
    path: "/api/2.0/database/catalogs/{name}",
    fields: &[
        NAME,
        UPDATE_MASK,
        Field::flag("database_instance_name", Shape::Text, "The name of the instance"),
        Field::flag("database_name", Shape::Text, "The name of the database"),
        Field::flag("create_database_if_not_exists", Shape::Boolean, "Create the database if there is none of that name"),
    ],
    json: true,
    ..Endpoint::PLAIN
};

static CREATE_TABLE: Endpoint = Endpoint {
    name: "create-database-table",
    about: "Show a Postgres table in Unity Catalog",
    examples: &["databricks database create-database-table main.public.orders --database-instance-name my-instance --logical-database-name shop"],
    verb: Verb::Post,
    path: "/api/2.0/database/tables",
    fields: &[
        Field::argument("name", Place::Body, "The full name of the table", "The full name of the table: catalog.schema.table"),
        Field::flag("database_instance_name", Shape::Text, "The instance, where the catalog does not say it"),
        Field::flag("logical_database_name", Shape::Text, "The database, where the catalog does not say it"),
    ],
    json: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE_TABLE: Endpoint = Endpoint {
    name: "delete-database-table",
    about: "Remove a Postgres table from Unity Catalog",
    examples: &["databricks database delete-database-table main.public.orders"],
    verb: Verb::Delete,
    path: "/api/2.0/database/tables/{name}",
    fields: &[NAME],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static GET_TABLE: Endpoint = Endpoint {
    name: "get-database-table",
    about: "Show a Postgres table that Unity Catalog knows",
    examples: &["databricks database get-database-table main.public.orders"],
    path: "/api/2.0/database/tables/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static CREATE_SYNCED_TABLE: Endpoint = Endpoint {
    name: "create-synced-database-table",
    about: "Copy a table of Unity Catalog to Postgres and keep the copy in step",
    examples: &[
        "databricks database create-synced-database-table --json '{\"name\": \"main.public.orders\", \"spec\": {\"source_table_full_name\": \"main.raw.orders\", \"primary_key_columns\": [\"id\"], \"scheduling_policy\": \"SNAPSHOT\"}}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/database/synced_tables",
    fields: &[
        Field::argument("name", Place::Body, "The full name of the table", "The full name of the table: catalog.schema.table"),
        Field::flag("database_instance_name", Shape::Text, "The instance, where the catalog does not say it"),
        Field::flag("logical_database_name", Shape::Text, "The database, where the catalog does not say it"),
        Field::json("spec", Shape::Object),
    ],
    json: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE_SYNCED_TABLE: Endpoint = Endpoint {
    name: "delete-synced-database-table",
    about: "End the copying of a synced table",
    examples: &["databricks database delete-synced-database-table main.public.orders --purge-data"],
    verb: Verb::Delete,
    path: "/api/2.0/database/synced_tables/{name}",
    fields: &[NAME, Field::query("purge_data", "purge-data", Shape::Boolean, "Drop the copy in Postgres too")],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static GET_SYNCED_TABLE: Endpoint = Endpoint {
    name: "get-synced-database-table",
    about: "Show a synced table and how far it is",
    examples: &["databricks database get-synced-database-table main.public.orders"],
    path: "/api/2.0/database/synced_tables/{name}",
    fields: &[NAME],
    ..Endpoint::PLAIN
};

static LIST_SYNCED_TABLES: Endpoint = Endpoint {
    name: "list-synced-database-tables",
    about: "List the synced tables of an instance",
    examples: &["databricks database list-synced-database-tables my-instance"],
    path: "/api/2.0/database/instances/{instance_name}/synced_tables",
    fields: &[OF_INSTANCE, LIST_PAGE],
    reply: list("synced_tables"),
    ..Endpoint::PLAIN
};

static UPDATE_SYNCED_TABLE: Endpoint = Endpoint {
    name: "update-synced-database-table",
    about: "Change a synced table",
    examples: &["databricks database update-synced-database-table main.public.orders spec --json '{\"spec\": {\"scheduling_policy\": \"CONTINUOUS\"}}'"],
    verb: Verb::Patch,
    path: "/api/2.0/database/synced_tables/{name}",
    fields: &[
        NAME,
        UPDATE_MASK,
        Field::flag("database_instance_name", Shape::Text, "The instance, where the catalog does not say it"),
        Field::flag("logical_database_name", Shape::Text, "The database, where the catalog does not say it"),
        Field::json("spec", Shape::Object),
    ],
    json: true,
    ..Endpoint::PLAIN
};

static GENERATE_DATABASE_CREDENTIAL: Endpoint = Endpoint {
    name: "generate-database-credential",
    about: "Get a one-hour OAuth token that is the Postgres password of database instances",
    details: "Without --request-id a random one is sent, by which the service recognises a repeated request.",
    examples: &[
        "databricks database generate-database-credential my-instance",
        "databricks database generate-database-credential --request-id $(uuidgen) --json '{\"instance_names\": [\"db-instance-name\"]}'",
        "PGPASSWORD=$(databricks database generate-database-credential my-instance | jq -r .token) psql \"host=... sslmode=verify-full sslrootcert=system\"",
    ],
    verb: Verb::Post,
    path: "/api/2.0/database/credentials",
    fields: &[
        Field {
            name: "instance_names",
            place: Place::Body,
            input: Input::Arguments,
            shape: Shape::Texts,
            about: "Names of the instances that the token logs in to",
            default: None,
        },
        Field {
            name: "request_id",
            place: Place::Body,
            input: Input::Flag,
            shape: Shape::Text,
            about: "An id of your own for this request, such as a UUID",
            default: Some(random_id),
        },
        Field::json("claims", Shape::Objects),
    ],
    json: true,
    mints: true,
    // The service knows a repeated request by its request_id.
    repeatable: true,
    ..Endpoint::PLAIN
};
