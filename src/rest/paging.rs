//! Pages of a list: read once, keeping the raw JSON of the items, so that numbers and unknown keys come out as they went in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page<'a> {
    pub(crate) items: Vec<&'a RawValue>,
    /// The token that asks for the next page; `None` on the last.
    pub(crate) next: Option<Cow<'a, str>>,
    /// The key under which the items were found, where the reader was not told one.
    pub(crate) list: Option<Cow<'a, str>>,
    /// Whether the reply holds texts or objects beside its list, as something does that is no list at all.
    pub(crate) other: bool,
    /// SCIM (RFC 7644, section 3.4.2.4): the place of the first item, from 1, and how many there are.
    start: Option<u64>,
    total: Option<u64>,
}

impl Page<'_> {
    /// The query parameter that asks for the next page.
    pub(crate) fn next_query(&self) -> Option<(&'static str, String)> {
        if let Some(token) = &self.next {
            return Some(("page_token", token.clone().into_owned()));
        }
        let after = self.start?.checked_add(u64::try_from(self.items.len()).ok()?)?;
        (!self.items.is_empty() && after <= self.total?).then(|| ("startIndex", after.to_string()))
    }
}

/// Reads the page in a reply; `key` holds its items. Without a key it is the first list of objects, else the first list; a reply that is a list is its items.
/// A reply without a list is a page without items.
///
/// # Errors
/// If the body is no JSON object, or the key holds no list.
pub(crate) fn read_page<'a>(body: &'a [u8], key: Option<&str>) -> serde_json::Result<Page<'a>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let page = PageSeed { key }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(page)
}

struct PageSeed<'k> {
    key: Option<&'k str>,
}

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = Page<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page<'de>, D::Error> {
        if self.key.is_some() { deserializer.deserialize_map(self) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = Page<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Page<'de>, S::Error> {
        let mut page = Page { list: Some(Cow::Borrowed("")), ..Page::default() };
        while let Some(item) = list.next_element()? {
            page.items.push(item);
        }
        Ok(page)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Page<'de>, M::Error> {
        let mut page = Page::default();
        let mut settled = false;
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if self.key.is_some_and(|wanted| key == wanted) {
                page.items = map.next_value::<Option<Vec<&'de RawValue>>>()?.unwrap_or_default();
            } else if key == "next_page_token" {
                page.next = map.next_value::<Option<Key<'de>>>()?.map(|Key(token)| token).filter(|token| !token.is_empty());
            } else if self.key.is_none() && !settled {
                let value = map.next_value::<&'de RawValue>()?.get();
                let of_objects = value.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
                match value.as_bytes().first() {
                    Some(b'[') if page.list.is_none() || of_objects => {
                        page.items = serde_json::from_str(value).map_err(serde::de::Error::custom)?;
                        page.list = Some(key);
                        settled = of_objects;
                    }
                    Some(b'"' | b'{') => page.other |= !key.ends_with("page_token"),
                    _ if key == "startIndex" => page.start = value.parse().ok(),
                    _ if key == "totalResults" => page.total = value.parse().ok(),
                    _ => {}
                }
            } else if self.key.is_none() && key == "startIndex" {
                page.start = map.next_value().ok();
            } else if self.key.is_none() && key == "totalResults" {
                page.total = map.next_value().ok();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(page)
    }
}

/// A string that is borrowed from the body where it has no escapes.
#[derive(Debug)]
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_their_items_as_written() {
        let page = read_page(br#"{"x": {"items": 1}, "items": [{"n": 9007199254740993.10}, 2], "next_page_token": "a\u0062"}"#, Some("items")).expect("a page");
        assert_eq!(page.items.iter().map(|item| item.get()).collect::<Vec<_>>(), ["{\"n\": 9007199254740993.10}", "2"]);
        assert_eq!(page.next.as_deref(), Some("ab"));
    }

    #[test]
    fn without_a_key_the_first_list_counts() {
        let items = |body: &str| {
            let page = read_page(body.as_bytes(), None).expect("a page");
            (page.list.as_deref().map(ToOwned::to_owned), page.items.iter().map(|item| item.get()).collect::<Vec<_>>().concat())
        };
        let found = |list: &str, text: &str| (Some(list.to_owned()), text.to_owned());
        assert_eq!(items(r#"{"total": 2, "things": [1, 2], "others": [3]}"#), found("things", "12"));
        assert_eq!(items(r#"{"schemas": ["a"], "Resources": [{"b": 1}], "more": [{}]}"#), found("Resources", r#"{"b": 1}"#));
        assert_eq!(items("[1, {}]"), found("", "1{}"));
        assert_eq!(items("{}"), (None, String::new()));
        assert!(read_page(br#"{"id": "x"}"#, None).expect("a page").other && !read_page(br#"{"has_more": false}"#, None).expect("a page").other);
    }

    #[test]
    fn scim_pages_go_on_by_place() {
        let next = |body: &str| read_page(body.as_bytes(), None).expect("a page").next_query();
        assert_eq!(next(r#"{"Resources": [{}, {}], "startIndex": 1, "totalResults": 5}"#), Some(("startIndex", "3".to_owned())));
        assert_eq!(next(r#"{"totalResults": 5, "startIndex": 5, "Resources": [{}]}"#), None);
        assert_eq!(next(r#"{"totalResults": 5, "startIndex": 5}"#), None);
        assert_eq!(next(r#"{"items": [], "next_page_token": "t"}"#), Some(("page_token", "t".to_owned())));
    }

    #[test]
    fn a_last_page_may_be_empty_or_null() {
        for body in ["{}", "{\"items\": null}", "{\"items\": [], \"next_page_token\": \"\"}", "{\"next_page_token\": null}"] {
            let page = read_page(body.as_bytes(), Some("items")).expect(body);
            assert!(page.items.is_empty() && page.next.is_none(), "{body}");
        }
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        for body in ["", "[]", "{\"items\": 5}", "{\"items\": [}", "{} {}", "{\"next_page_token\": 5}"] {
            read_page(body.as_bytes(), Some("items")).expect_err(body);
        }
    }
}
