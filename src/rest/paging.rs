//! Pages of a list: read once, keeping the raw JSON of the items, so that numbers and unknown keys come out as they went in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page<'a> {
    pub(crate) items: Vec<&'a RawValue>,
    /// The token that asks for the next page; `None` on the last.
    pub(crate) next: Option<Cow<'a, str>>,
}

/// Reads the page in a reply; `key` holds its items, or without a key the first list that stands there. A reply without it is a page without items.
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
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = Page<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Page<'de>, M::Error> {
        let mut page = Page::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if self.key.is_some_and(|wanted| key == wanted) {
                page.items = map.next_value::<Option<Vec<&'de RawValue>>>()?.unwrap_or_default();
            } else if key == "next_page_token" {
                page.next = map.next_value::<Option<Key<'de>>>()?.map(|Key(token)| token).filter(|token| !token.is_empty());
            } else if self.key.is_none() && page.items.is_empty() {
                let value = map.next_value::<&'de RawValue>()?;
                if value.get().starts_with('[') {
                    page.items = serde_json::from_str(value.get()).map_err(serde::de::Error::custom)?;
                }
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
        let page = read_page(br#"{"total": 2, "things": [1, 2], "others": [3]}"#, None).expect("a page");
        assert_eq!(page.items.iter().map(|item| item.get()).collect::<Vec<_>>(), ["1", "2"]);
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
