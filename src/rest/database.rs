//! `/api/2.0/database`: Lakebase Postgres, the part that hands out its passwords. <https://docs.databricks.com/api/workspace/database>

use crate::http::Verb;
use crate::rest::{Endpoint, Field, Group, Input, Place, Shape, random_id};

pub(crate) static GROUP: Group =
    Group { name: "database", about: "Get passwords for Lakebase Postgres instances", endpoints: &[&GENERATE_DATABASE_CREDENTIAL] };

static GENERATE_DATABASE_CREDENTIAL: Endpoint = Endpoint {
    name: "generate-database-credential",
    about: "Get a one-hour OAuth token that is the Postgres password of database instances",
    details: "Without --request-id a random one is sent, by which the service recognises a repeated request.",
    examples: &[
        "databricks database generate-database-credential my-instance",
        "databricks database generate-database-credential --request-id $(uuidgen) --json '{\"instance_names\": [\"db-instance-name\"]}'",
        "PGPASSWORD=$(databricks database generate-database-credential my-instance | jq -r .token) psql \"host=... sslmode=require\"",
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
