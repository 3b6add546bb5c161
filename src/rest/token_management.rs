//! `/api/2.0/token-management`: everybody's personal access tokens, for administrators.
//! <https://docs.databricks.com/api/workspace/tokenmanagement>

use crate::http::Verb;
use crate::rest::tokens::{EXPIRING_WITHIN, UNUSED_FOR, expiry, last_use};
use crate::rest::{Cell, Column, Endpoint, Field, Group, Input, List, Picker, Place, Reply, Shape};

pub(crate) static GROUP: Group = Group {
    name: "token-management",
    about: "See and revoke the personal access tokens of the whole workspace, as its administrator",
    endpoints: &[
        &CREATE_OBO_TOKEN,
        &DELETE,
        &GET,
        &GET_PERMISSION_LEVELS,
        &GET_PERMISSIONS,
        &LIST,
        &SET_PERMISSIONS,
        &UPDATE_PERMISSIONS,
        &UPDATE_TOKEN_MANAGEMENT,
    ],
};

const ID: Picker = Picker { label: "The ID of the token to get", from: &LIST, id: "token_id", title: "comment" };

static CREATE_OBO_TOKEN: Endpoint = Endpoint {
    name: "create-obo-token",
    about: "Create a personal access token on behalf of a service principal",
    details: "The reply holds the token's value in token_value: keep it, the workspace shows it never again.",
    examples: &["databricks token-management create-obo-token 9b2c6a1e-0f2d-4c9a-8e55-3f3d1f0a7c11 --comment ci --lifetime 30d"],
    verb: Verb::Post,
    path: "/api/2.0/token-management/on-behalf-of/tokens",
    fields: &[
        Field::argument("application_id", Place::Body, "Application ID of the service principal", "The application id of the service principal"),
        Field::flag("autoscope_enabled", Shape::Boolean, "Let the workspace work out which scopes the token needs"),
        Field::flag("comment", Shape::Text, "What the token is for"),
        Field::flag(
            "lifetime_seconds",
            Shape::Seconds { human: "lifetime" },
            "How long the token lives, in seconds; without it as long as the workspace allows",
        ),
        Field::json("scopes", Shape::Texts),
    ],
    json: true,
    mints: true,
    repeatable: false,
    ..Endpoint::PLAIN
};

static DELETE: Endpoint = Endpoint {
    name: "delete",
    aliases: &["revoke"],
    about: "Revoke tokens of anybody",
    details: "Each token stops working at once and everywhere. On a terminal several are confirmed first; --dry-run only says what would be revoked.",
    examples: &["databricks token-management delete TOKEN_ID", "databricks token-management delete TOKEN_ID_1 TOKEN_ID_2 --dry-run"],
    verb: Verb::Delete,
    path: "/api/2.0/token-management/tokens/{token_id}",
    fields: &[Field {
        name: "token_id",
        place: Place::Path,
        input: Input::Each(Picker { label: "The ID of the token to revoke", ..ID }),
        shape: Shape::Text,
        about: "The token's id, as `token-management list` shows it",
        default: None,
    }],
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

static GET: Endpoint = Endpoint {
    name: "get",
    about: "Show what is known of a token",
    examples: &["databricks token-management get TOKEN_ID"],
    path: "/api/2.0/token-management/tokens/{token_id}",
    fields: &[Field { input: Input::Argument(ID), ..Field::argument("token_id", Place::Path, "", "The token's id, as `token-management list` shows it") }],
    ..Endpoint::PLAIN
};

static LIST: Endpoint = Endpoint {
    name: "list",
    about: "List the personal access tokens of the workspace",
    details: "With -o json times are milliseconds since 1970, -1 for a token that never expires.",
    examples: &[
        "databricks token-management list --created-by-username ann@example.com",
        "databricks token-management list --unused-for 60d -o json | jq -r '.[].token_id' | xargs -r databricks token-management delete --dry-run",
    ],
    path: "/api/2.0/token-management/tokens",
    fields: &[
        Field::query("created_by_id", "created-by-id", Shape::Integer, "Only tokens that the user with this id made"),
        Field::query("created_by_username", "created-by-username", Shape::Text, "Only tokens that this user made"),
    ],
    reply: Reply::List(List {
        items: "token_infos",
        columns: &[
            Column { title: "ID", cell: Cell::Id("token_id") },
            Column { title: "Created By", cell: Cell::Key("created_by_username") },
            Column { title: "Comment", cell: Cell::Key("comment") },
            // Compat: behind the columns that scripts know.
            Column { title: "Expiry time", cell: Cell::Made(expiry) },
            Column { title: "Last used", cell: Cell::Made(last_use) },
        ],
        page_size: None,
        filters: &[EXPIRING_WITHIN, UNUSED_FOR],
    }),
    ..Endpoint::PLAIN
};

static UPDATE_TOKEN_MANAGEMENT: Endpoint = Endpoint {
    name: "update-token-management",
    about: "Change the comment or the scopes of anybody's token",
    examples: &[
        "databricks token-management update-token-management TOKEN_ID --json '{\"token\": {\"comment\": \"new words\"}, \"update_mask\": \"comment\"}'",
    ],
    verb: Verb::Patch,
    path: "/api/2.0/token-management/tokens/{token_id}",
    fields: &[
        Field { input: Input::Argument(ID), ..Field::argument("token_id", Place::Path, "", "The token's id, as `token-management list` shows it") },
        Field::json("token", Shape::Object),
        Field::json("update_mask", Shape::Text),
    ],
    json: true,
    ..Endpoint::PLAIN
};

/// Who may use tokens at all.
const PERMISSIONS: &str = "/api/2.0/permissions/authorization/tokens";

static GET_PERMISSION_LEVELS: Endpoint = Endpoint {
    name: "get-permission-levels",
    about: "Show which permissions on tokens there are",
    examples: &["databricks token-management get-permission-levels"],
    path: "/api/2.0/permissions/authorization/tokens/permissionLevels",
    ..Endpoint::PLAIN
};

static GET_PERMISSIONS: Endpoint = Endpoint {
    name: "get-permissions",
    about: "Show who may use tokens",
    examples: &["databricks token-management get-permissions"],
    path: PERMISSIONS,
    ..Endpoint::PLAIN
};

static SET_PERMISSIONS: Endpoint = Endpoint {
    name: "set-permissions",
    about: "Set who may use tokens, replacing what was set before",
    examples: &[
        "databricks token-management set-permissions --json '{\"access_control_list\": [{\"group_name\": \"users\", \"permission_level\": \"CAN_USE\"}]}'",
    ],
    verb: Verb::Put,
    path: PERMISSIONS,
    fields: &[Field::json("access_control_list", Shape::Objects)],
    json: true,
    ..Endpoint::PLAIN
};

static UPDATE_PERMISSIONS: Endpoint = Endpoint {
    name: "update-permissions",
    about: "Add to who may use tokens",
    examples: &[
        "databricks token-management update-permissions --json '{\"access_control_list\": [{\"group_name\": \"users\", \"permission_level\": \"CAN_USE\"}]}'",
    ],
    verb: Verb::Patch,
    path: PERMISSIONS,
    fields: &[Field::json("access_control_list", Shape::Objects)],
    json: true,
    ..Endpoint::PLAIN
};
