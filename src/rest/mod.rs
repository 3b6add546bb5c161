//! The REST API as tables: an [`Endpoint`] is one call, and from its one definition follow the command's flags, its help, the request, the check of `--json`, and how the
//! reply is shown. Adding a call is adding a constant; adding an API is one file and its line in [`GROUPS`].

use std::borrow::Cow;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use crate::config::attributes::Attr;
use crate::http::Verb;
use crate::json::{Member, Scanner};

mod clusters;
pub(crate) mod current_user;
pub(crate) mod database;
pub(crate) mod paging;
pub(crate) mod postgres;
mod service_principal_secrets;
mod token_management;
mod tokens;

pub(crate) use clusters::{LIST as LIST_CLUSTERS, SPARK_VERSIONS};

/// Every API, in the order of the help.
pub(crate) static GROUPS: &[&Group] =
    &[&clusters::GROUP, &current_user::GROUP, &database::GROUP, &postgres::GROUP, &service_principal_secrets::GROUP, &token_management::GROUP, &tokens::GROUP];

/// The APIs of the account, below `account`.
pub(crate) static ACCOUNT_GROUPS: &[&Group] = &[&service_principal_secrets::ACCOUNT_GROUP];

/// One API: a word of the command line and the calls below it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) endpoints: &'static [&'static Endpoint],
}

/// One call of the API.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The word of the command line.
    pub(crate) name: &'static str,
    /// Other words for it.
    pub(crate) aliases: &'static [&'static str],
    /// One line for lists of commands.
    pub(crate) about: &'static str,
    /// What else a user should know.
    pub(crate) details: &'static str,
    /// Command lines that work as they stand.
    pub(crate) examples: &'static [&'static str],
    pub(crate) verb: Verb,
    /// With `{field}` where a field belongs into the path.
    pub(crate) path: &'static str,
    pub(crate) fields: &'static [Field],
    /// Whether `--json` is taken.
    pub(crate) json: bool,
    pub(crate) reply: Reply,
    /// Whether the call makes a credential: then it is never sent with less than its user typed.
    pub(crate) mints: bool,
    /// Whether doing the call twice is no more than doing it once, so that it may be sent again when a reply was lost.
    pub(crate) repeatable: bool,
}

/// What most calls have in common, to be overridden by `..Endpoint::PLAIN`.
impl Endpoint {
    pub(crate) const PLAIN: Self = Self {
        name: "",
        aliases: &[],
        about: "",
        details: "",
        examples: &[],
        verb: Verb::Get,
        path: "",
        fields: &[],
        json: false,
        reply: Reply::Object,
        mints: false,
        repeatable: true,
    };
}

impl Endpoint {
    /// Whether what the call names is gone afterwards.
    pub(crate) fn removes(&self) -> bool {
        self.verb == Verb::Delete || self.path.ends_with("/delete")
    }
}

/// One value of a request.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its key in the request.
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) input: Input,
    pub(crate) shape: Shape,
    pub(crate) about: &'static str,
    /// What is sent if the user gives nothing.
    pub(crate) default: Option<fn() -> String>,
}

impl Field {
    /// A flag whose value goes into the body.
    pub(crate) const fn flag(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, place: Place::Body, input: Input::Flag, shape, about, default: None }
    }

    /// A flag whose value goes into the query.
    pub(crate) const fn query(name: &'static str, flag: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, place: Place::Query, input: Input::FlagNamed(flag), shape, about, default: None }
    }

    /// A positional argument without candidates to pick from.
    pub(crate) const fn argument(name: &'static str, place: Place, label: &'static str, about: &'static str) -> Self {
        Self { name, place, input: Input::Required(label), shape: Shape::Text, about, default: None }
    }

    /// A value that only `--json` can give.
    pub(crate) const fn json(name: &'static str, shape: Shape) -> Self {
        Self { name, place: Place::Body, input: Input::JsonOnly, shape, about: "", default: None }
    }

    /// The flag's name without dashes; `None` if it has no flag.
    pub(crate) fn flag_name(&self) -> Option<String> {
        match self.input {
            Input::Flag => Some(self.name.replace('_', "-")),
            Input::FlagNamed(name) => Some(name.to_owned()),
            _ => None,
        }
    }

    /// How the positional argument is written in usage lines.
    pub(crate) fn argument_name(&self) -> Option<String> {
        match self.input {
            Input::Argument(_) | Input::Required(_) => Some(self.name.to_uppercase()),
            Input::Each(_) => Some(format!("{}...", self.name.to_uppercase())),
            Input::Arguments => Some(format!("[{}...]", self.name.to_uppercase())),
            _ => None,
        }
    }
}

/// Where in the request a field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One segment of the path.
    Path,
    /// A resource name in the path, such as `projects/a/branches/b`: its slashes stay.
    Resource,
    Query,
    Body,
}

/// How a user gives a field.
#[derive(Debug)]
pub(crate) enum Input {
    /// `--name-with-dashes`.
    Flag,
    /// A flag of another name than the field's.
    FlagNamed(&'static str),
    /// A positional argument; where it is missing, a terminal offers what there is.
    Argument(Picker),
    /// As [`Input::Argument`], and there may be several: then the call is made for each.
    Each(Picker),
    /// A positional argument that nothing can be offered for; the label for its absence.
    Required(&'static str),
    /// Taken from the settings.
    Setting(Attr),
    /// Any number of positional arguments.
    Arguments,
    /// Only through `--json`.
    JsonOnly,
}

/// How a missing id is chosen on a terminal, and how its absence is told elsewhere.
#[derive(Debug)]
pub(crate) struct Picker {
    /// Compat: scripts see `expected to have <label>`.
    pub(crate) label: &'static str,
    /// The call that lists the candidates.
    pub(crate) from: &'static Endpoint,
    /// The key of a candidate that becomes the value.
    pub(crate) id: &'static str,
    /// The key that people know a candidate by.
    pub(crate) title: &'static str,
}

/// What kind of value a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Integer,
    /// A number of seconds; `human` names a second flag that takes `90d` or `12h`.
    Seconds {
        human: &'static str,
    },
    /// A span as protobuf's JSON writes it, seconds with an s; the flag takes `90d` or `12h` too.
    Span,
    /// An instant (RFC 3339).
    Time,
    Boolean,
    Texts,
    Object,
    Objects,
}

impl Shape {
    /// As error messages call it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Text | Self::Span | Self::Time => "a string",
            Self::Integer | Self::Seconds { .. } => "an integer",
            Self::Boolean => "a boolean",
            Self::Texts => "a list of strings",
            Self::Object => "an object",
            Self::Objects => "a list of objects",
        }
    }
}

/// What comes back, and how it is shown.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing that is worth printing.
    Empty,
    /// One JSON object, printed whatever `-o` says.
    Object,
    /// Items under a key: a table, or with `-o json` an array.
    List(List),
    /// Work that goes on after the reply, and is waited for unless `--no-wait` is given.
    Course(Course),
}

/// Work of the service that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// An operation (`name`, `done`, `error`, `response`), asked for under this path by its name. <https://google.aip.dev/151>
    Operation { below: &'static str },
    /// A database instance on its way to the state AVAILABLE.
    Instance,
}

/// A reply that is a list.
#[derive(Debug)]
pub(crate) struct List {
    /// The key that holds the items.
    pub(crate) items: &'static str,
    /// The columns of the table; none: the array is printed in text mode too.
    pub(crate) columns: &'static [Column],
    /// How many items to ask for at once, where the API has pages (`page_size`, `page_token`, `next_page_token`).
    pub(crate) page_size: Option<u32>,
    /// Flags that leave items out after they came.
    pub(crate) filters: &'static [Filter],
}

/// A flag that takes a span of time and keeps some of the items.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) flag: &'static str,
    pub(crate) about: &'static str,
    /// Whether an item stays, given the span and the time.
    pub(crate) keeps: fn(&Item<'_>, SignedDuration, Timestamp) -> bool,
}

/// One column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) cell: Cell,
}

/// Where the text of a cell comes from.
#[derive(Debug)]
pub(crate) enum Cell {
    /// The value of a key.
    Key(&'static str),
    /// The value of a key, as the column's identifier.
    Id(&'static str),
    /// Made from the whole item.
    Made(fn(&Item<'_>, Timestamp) -> String),
}

/// A JSON object, as an item of a list is one: its text, and where its members stand in it.
pub(crate) struct Item<'a> {
    raw: &'a str,
    members: Cow<'a, [Member]>,
}

impl fmt::Debug for Item<'_> {
    /// The number of members only: a reply that makes a token holds it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Item of {} members", self.members.len())
    }
}

impl<'a> Item<'a> {
    /// The raw JSON of a key; of several, the last counts.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        Member::find(&self.members, self.raw, key)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Vec::new();
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let raw = Scanner::new(text).members(&mut members).ok_or_else(|| D::Error::custom("invalid type: expected a JSON object"))?;
        Ok(Item { raw, members: Cow::Owned(members) })
    }
}

/// The text of a key: a string without its quotes, anything else as its JSON; empty if absent or null.
pub(crate) fn text_of<'a>(item: &Item<'a>, key: &str) -> Cow<'a, str> {
    match item.get(key) {
        None | Some("null") => Cow::default(),
        Some(raw) => match raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) if memchr::memchr(b'\\', text.as_bytes()).is_none() => Cow::Borrowed(text),
            Some(_) => serde_json::from_str(raw).map(Cow::Owned).unwrap_or_default(),
            None => Cow::Borrowed(raw),
        },
    }
}

/// The whole number under a key.
pub(crate) fn number_of(item: &Item<'_>, key: &str) -> Option<i64> {
    item.get(key)?.parse().ok()
}

/// A fresh id for a request that the server uses to recognise repetitions.
pub(crate) fn random_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A value as one segment of a path (RFC 3986): nothing in it can end the segment.
pub(crate) fn path_segment(value: &str) -> String {
    let mut segment = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => segment.push(char::from(byte)),
            b'.' if value != "." && value != ".." => segment.push('.'),
            _ => segment += &format!("%{byte:02X}"),
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::json::any_nearly_json;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]
        /// An item has the members that serde finds in it.
        #[test]
        fn an_item_has_its_members(text in any_nearly_json()) {
            let known: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(&text).ok();
            let item: Option<Item<'_>> = serde_json::from_str(&text).ok();
            prop_assert_eq!(item.is_some(), known.is_some(), "{}", text);
            let keys = known.iter().flat_map(BTreeMap::keys).map(String::as_str).chain(["a", "items", "a\\u00e9b", ""]);
            for key in keys {
                let value = known.as_ref().and_then(|known| known.get(key)).map(|value| value.get());
                prop_assert_eq!(item.as_ref().and_then(|item| item.get(key)), value, "{} of {}", key, text);
            }
        }
    }

    #[test]
    fn debug_output_tells_no_value() {
        let item: Item<'_> = serde_json::from_str(r#"{"token_value": "dapi-secret", "token_info": {}}"#).expect("an item");
        assert_eq!(format!("{item:?}"), "Item of 2 members");
    }

    #[test]
    fn a_text_is_what_its_json_means() {
        let item: Item<'_> =
            serde_json::from_str(r#"{"a": "plain \u00e4", "b": "\"q\\", "c": "\ud800", "d": 1.50, "e": null, "f": "", "g": ["x"], "a2": "ä"}"#)
                .expect("an item");
        for (key, text) in [("a", "plain ä"), ("b", "\"q\\"), ("c", ""), ("d", "1.50"), ("e", ""), ("f", ""), ("g", "[\"x\"]"), ("a2", "ä"), ("z", "")] {
            assert_eq!(text_of(&item, key), text, "{key}");
        }
    }

    #[test]
    fn a_value_cannot_leave_its_path_segment() {
        for (value, segment) in [("abc-1_2.3", "abc-1_2.3"), ("../x", "..%2Fx"), ("..", "%2E%2E"), ("a?b#c", "a%3Fb%23c"), ("ä", "%C3%A4")] {
            assert_eq!(path_segment(value), segment);
        }
    }
}
