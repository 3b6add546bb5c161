//! `/api/2.0/token`: a user's own personal access tokens. <https://docs.databricks.com/api/workspace/tokens>

use jiff::{SignedDuration, Timestamp};

use crate::clock;
use crate::http::Verb;
use crate::rest::{Cell, Column, Endpoint, Field, Filter, Group, Input, Item, List, Picker, Place, Reply, Shape, number_of};

pub(crate) static GROUP: Group =
    Group { name: "tokens", about: "Create, list, change and revoke your personal access tokens", endpoints: &[&CREATE, &DELETE, &LIST, &UPDATE] };

/// A token that expires within this time is marked.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A token that nobody used for this time is marked; the service revokes after 90 days.
const IDLE: SignedDuration = SignedDuration::from_hours(60 * 24);

static CREATE: Endpoint = Endpoint {
    name: "create",
    about: "Create a personal access token; its value is shown once",
    details: "The reply holds the token's value in token_value: keep it, the workspace shows it never again. A workspace allows 600 tokens a user.",
    examples: &[
        "databricks tokens create --comment \"nightly job\" --lifetime 90d",
        "databricks tokens create --comment ci --lifetime-seconds 3600 -p my-profile | jq -r .token_value",
        "databricks tokens create --json '{\"comment\": \"sql only\", \"lifetime_seconds\": 86400, \"scopes\": [\"sql\"]}'",
    ],
    verb: Verb::Post,
    path: "/api/2.0/token/create",
    fields: &[
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
    about: "Revoke personal access tokens",
    details: "Each token stops working at once and everywhere. On a terminal several are confirmed first; --dry-run only says what would be revoked.",
    examples: &[
        "databricks tokens delete 5715498424f15ee0213be729257b53fc35a47d5953e3bdfd8ed22a0b93b339f4",
        "databricks tokens revoke TOKEN_ID_1 TOKEN_ID_2 --dry-run -p my-profile",
    ],
    verb: Verb::Post,
    path: "/api/2.0/token/delete",
    fields: &[Field {
        name: "token_id",
        place: Place::Body,
        input: Input::Each(Picker { label: "The ID of the token to be revoked", from: &LIST, id: "token_id", title: "comment" }),
        shape: Shape::Text,
        about: "The token's id, as `tokens list` shows it",
        default: None,
    }],
    json: true,
    reply: Reply::Empty,
    ..Endpoint::PLAIN
};

pub(crate) static LIST: Endpoint = Endpoint {
    name: "list",
    about: "List your personal access tokens",
    details: "The values of the tokens are not shown, not even to you. With -o json times are milliseconds since 1970, -1 for a token that never expires.",
    examples: &[
        "databricks tokens list",
        "databricks tokens list --expiring-within 14d",
        "databricks tokens list -o json | jq -r '.[] | select(.comment == \"ci\") | .token_id'",
    ],
    path: "/api/2.0/token/list",
    reply: Reply::List(List {
        items: "token_infos",
        columns: &[
            Column { title: "ID", cell: Cell::Id("token_id") },
            Column { title: "Expiry time", cell: Cell::Made(expiry) },
            Column { title: "Comment", cell: Cell::Key("comment") },
        ],
        page_size: None,
        filters: &[EXPIRING_WITHIN, UNUSED_FOR],
    }),
    ..Endpoint::PLAIN
};

static UPDATE: Endpoint = Endpoint {
    name: "update",
    about: "Change the comment or the scopes of a personal access token",
    examples: &["databricks tokens update TOKEN_ID --json '{\"token\": {\"comment\": \"new words\"}, \"update_mask\": \"comment\"}'"],
    verb: Verb::Patch,
    path: "/api/2.0/token/{token_id}",
    fields: &[
        Field {
            name: "token_id",
            place: Place::Path,
            input: Input::Argument(Picker { label: "The SHA-256 hash of the token to be updated", from: &LIST, id: "token_id", title: "comment" }),
            shape: Shape::Text,
            about: "The token's id, as `tokens list` shows it",
            default: None,
        },
        Field::json("token", Shape::Object),
        Field::json("update_mask", Shape::Text),
    ],
    json: true,
    ..Endpoint::PLAIN
};

pub(crate) const EXPIRING_WITHIN: Filter = Filter {
    flag: "expiring-within",
    about: "Only tokens that expire within this time: 14d, 12h",
    keeps: |item, span, now| {
        let left = number_of(item, "expiry_time").filter(|millis| *millis >= 0).and_then(clock::from_millis).map(|end| now.duration_until(end));
        left.is_some_and(|left| !left.is_negative() && left <= span)
    },
};

/// A token that was never used counts from its creation.
pub(crate) const UNUSED_FOR: Filter = Filter {
    flag: "unused-for",
    about: "Only tokens that nobody used for this time: 60d",
    keeps: |item, span, now| {
        let since = used(item).or_else(|| number_of(item, "creation_time").and_then(clock::from_millis));
        since.is_some_and(|since| since.duration_until(now) >= span)
    },
};

/// When the token was last used: to the moment, or to the day as administrators see it.
fn used(item: &Item<'_>) -> Option<Timestamp> {
    ["last_accessed_time", "last_used_day"].iter().find_map(|key| number_of(item, key).filter(|millis| *millis > 0)).and_then(clock::from_millis)
}

/// The day of the last use, with a mark if that is long ago.
pub(crate) fn last_use(item: &Item<'_>, now: Timestamp) -> String {
    let Some(used) = used(item) else { return String::new() };
    let idle = used.duration_until(now);
    let day = clock::day(used);
    if idle >= IDLE { day + ", " + &clock::rough(idle) + " ago!" } else { day }
}

/// When the token ends, in words; with a mark if that is soon, or if the token sits unused.
pub(crate) fn expiry(item: &Item<'_>, now: Timestamp) -> String {
    let ends = match number_of(item, "expiry_time") {
        None => String::new(),
        Some(millis) if millis < 0 => "never".to_owned(),
        Some(millis) => match clock::from_millis(millis) {
            None => millis.to_string(),
            Some(end) => {
                let left = now.duration_until(end);
                let (before, behind) = match () {
                    () if left.is_negative() => (", expired ", " ago"),
                    () if left <= SOON => (", expires in ", "!"),
                    () => (", in ", ""),
                };
                clock::minute(end) + before + &clock::rough(left) + behind
            }
        },
    };
    let idle = number_of(item, "last_accessed_time").and_then(clock::from_millis).map(|used| used.duration_until(now));
    match idle {
        Some(idle) if idle >= IDLE => ends + " (unused for " + &clock::rough(idle) + "!)",
        _ => ends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_says_what_matters() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let said = |json: &str| expiry(&serde_json::from_str(json).expect("an item"), now);
        assert_eq!(said(r#"{"expiry_time": -1}"#), "never");
        assert_eq!(said(r#"{"expiry_time": 1700003600000}"#), "2023-11-14 23:13 UTC, expires in 60 minutes!");
        assert_eq!(said(r#"{"expiry_time": 1710000000000}"#), "2024-03-09 16:00 UTC, in 115 days");
        assert_eq!(said(r#"{"expiry_time": 1699990000000}"#), "2023-11-14 19:26 UTC, expired 2 hours ago");
        assert_eq!(said(r#"{"expiry_time": -1, "last_accessed_time": 1690000000000}"#), "never (unused for 115 days!)");
        assert_eq!(said(r#"{"expiry_time": 99999999999999999}"#), "99999999999999999");
        assert_eq!(said("{}"), "");
    }

    #[test]
    fn last_use_is_a_day_and_marked_when_it_is_long_ago() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let said = |json: &str| last_use(&serde_json::from_str(json).expect("an item"), now);
        assert_eq!(said(r#"{"last_used_day": 1699920000000}"#), "2023-11-14");
        assert_eq!(said(r#"{"last_used_day": 1690000000000}"#), "2023-07-22, 115 days ago!");
        assert_eq!(said(r#"{"last_used_day": 0}"#), "");
        assert_eq!(said("{}"), "");
    }
}
