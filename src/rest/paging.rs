//! Pages of a list: read once, keeping the raw JSON of the items, so that numbers and unknown keys come out as they went in.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::FinderRev;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Member, Scanner};
use crate::rest::Item;

/// One page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page<'a> {
    /// None of those that were handed over.
    pub(crate) items: Vec<Listed<'a>>,
    /// How many items there are, handed over or not.
    pub(crate) count: usize,
    /// The token that asks for the next page; `None` on the last.
    pub(crate) next: Option<Cow<'a, str>>,
    /// The key under which the items were found, where the reader was not told one.
    pub(crate) list: Option<Cow<'a, str>>,
    /// Whether the reply holds texts or objects beside its list, as something does that is no list at all.
    pub(crate) other: bool,
    /// SCIM (RFC 7644, section 3.4.2.4): the place of the first item, from 1, and how many there are.
    start: Option<u64>,
    total: Option<u64>,
    /// Those of all items, one behind the other: thousands of pages are read, and memory for each item takes longer than its reading.
    members: Vec<Member>,
}

/// An item of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    /// Its JSON as it came.
    pub(crate) raw: &'a str,
    /// Which of the page's members are its own, if they were asked for and it is an object.
    members: Option<Range<usize>>,
}

/// What is wanted of the items.
pub(crate) enum Want<'w> {
    /// Their keys.
    Keys,
    /// That they are handed over while they are read. Where that is not possible, they stand in the page, without keys.
    Handed(&'w mut dyn Take),
}

/// Takes items while they are read.
pub(crate) trait Take {
    /// Takes the item at which the scanner stands, which steps behind it; `None` where it cannot.
    fn take(&mut self, item: &mut Scanner<'_>) -> Option<()>;

    /// Gives back all items of the page.
    fn give_back(&mut self);
}

impl Page<'_> {
    /// The keys of an item, if they were asked for and it is an object.
    pub(crate) fn item<'p>(&'p self, listed: &Listed<'p>) -> Option<Item<'p>> {
        Some(Item { raw: listed.raw, members: Cow::Borrowed(self.members.get(listed.members.clone()?)?) })
    }

    /// The query parameter that asks for the next page.
    pub(crate) fn next_query(&self) -> Option<(&'static str, String)> {
        if let Some(token) = &self.next {
            return Some((PAGE_TOKEN, token.clone().into_owned()));
        }
        let after = self.start?.checked_add(u64::try_from(self.count).ok()?)?;
        (self.count > 0 && after <= self.total?).then(|| ("startIndex", after.to_string()))
    }
}

/// The query parameter for the token of the page before.
pub(crate) const PAGE_TOKEN: &str = "page_token";
/// That key as it is written. What is prepared for a search takes longer than the search.
static NEXT: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(&format!("\"{NEXT_PAGE_TOKEN}\"")).into_owned());
/// Few members are shorter: what the room for those of a page is reckoned by.
const BYTES_OF_A_MEMBER: usize = 40;
/// The key of that token in a reply.
const NEXT_PAGE_TOKEN: &str = "next_page_token";

/// Reads the page in a reply; `key` holds its items. Without a key it is the first list of objects, else the first list; a reply that is a list is its items.
/// A reply without a list is a page without items.
///
/// # Errors
/// If the body is no JSON object, or the key holds no list.
pub(crate) fn read_page<'a>(body: &'a [u8], key: Option<&str>, mut want: Want<'_>) -> serde_json::Result<Page<'a>> {
    if let Some(page) = std::str::from_utf8(body).ok().and_then(|text| scan_page(text, key, &mut want)) {
        return Ok(page);
    }
    if let Want::Handed(taker) = &mut want {
        taker.give_back();
    }
    parse_page(body, key, matches!(want, Want::Keys))
}

/// The token of the next page as the end of a reply has it, without reading the reply: mostly right, and to be checked against [`Page::next`].
pub(crate) fn guess_next(body: &[u8]) -> Option<String> {
    /// Beyond it the token does not stand at the end.
    const TAIL: usize = 4 << 10;
    let tail = &body[body.len().saturating_sub(TAIL)..];
    let behind = NEXT.rfind(tail)? + NEXT.needle().len();
    let value = tail[behind..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let token = std::str::from_utf8(&value[..memchr::memchr(b'"', value)?]).ok()?;
    (!token.is_empty() && !token.contains('\\')).then(|| token.to_owned())
}

/// As [`parse_page`], in one pass; `None` where that is for serde to judge.
fn scan_page<'a>(text: &'a str, key: Option<&str>, want: &mut Want<'_>) -> Option<Page<'a>> {
    let mut scanner = Scanner::new(text);
    let mut page = Page::default();
    if key.is_none() && scanner.peek()? == b'[' {
        page.scan_items(&mut scanner, want)?;
        page.list = Some(Cow::Borrowed(""));
        return scanner.is_done().then_some(page);
    }
    // The first list that holds no objects counts where none does.
    let mut plain_list = None;
    scanner.object(|scanner, name| {
        let name = name.decoded(text)?;
        let first = scanner.peek()?;
        if key.is_some_and(|key| name == key) {
            if first == b'[' { page.scan_items(scanner, want)? } else { null(scanner).filter(|()| page.count == 0)? }
        } else if name == NEXT_PAGE_TOKEN {
            page.next = if first == b'"' { Some(scanner.string()?.decoded(text)?).filter(|token| !token.is_empty()) } else { null(scanner).map(|()| None)? };
        } else if key.is_none() && (name == "startIndex" || name == "totalResults") {
            // Anything but a number is odd enough for the other reader.
            let number = Some(scanner.scalar()?).filter(|number| !number.starts_with(|first: char| first.is_ascii_lowercase()))?.parse().ok();
            if name == "startIndex" { page.start = number } else { page.total = number }
        } else if key.is_none() && page.list.is_none() && first == b'[' {
            if begins_with_object(scanner.clone()) {
                page.scan_items(scanner, want)?;
                page.list = Some(name);
            } else {
                plain_list.get_or_insert((scanner.clone(), name));
                scanner.value()?;
            }
        } else {
            page.other |= key.is_none() && page.list.is_none() && matches!(first, b'"' | b'{') && !name.ends_with(PAGE_TOKEN);
            scanner.value()?;
        }
        Some(())
    })?;
    if let Some((mut scanner, name)) = plain_list.filter(|_| page.list.is_none()) {
        page.scan_items(&mut scanner, want)?;
        page.list = Some(name);
    }
    scanner.is_done().then_some(page)
}

fn null(scanner: &mut Scanner<'_>) -> Option<()> {
    (scanner.scalar()? == "null").then_some(())
}

fn begins_with_object(mut scanner: Scanner<'_>) -> bool {
    let mut found = false;
    // Ends at the first item.
    let _ended = scanner.list(|item| {
        found = item.peek()? == b'{';
        None
    });
    found
}

impl<'a> Page<'a> {
    /// Reads the list at which the scanner stands; a second one is for serde to judge.
    fn scan_items(&mut self, scanner: &mut Scanner<'a>, want: &mut Want<'_>) -> Option<()> {
        if self.count > 0 {
            return None;
        }
        if let Want::Keys = want {
            self.members.reserve(scanner.left() / BYTES_OF_A_MEMBER);
        }
        scanner.list(|scanner| {
            self.count += 1;
            if let Want::Handed(taker) = want {
                return taker.take(scanner);
            }
            if scanner.peek()? == b'{' {
                let first = self.members.len();
                let raw = scanner.members(&mut self.members)?;
                self.items.push(Listed { raw, members: Some(first..self.members.len()) });
            } else {
                self.items.push(Listed { raw: scanner.value()?, members: None });
            }
            Some(())
        })
    }
}

/// As [`read_page`], by serde: slower, and it says where the mistake is.
fn parse_page<'a>(body: &'a [u8], key: Option<&str>, keys: bool) -> serde_json::Result<Page<'a>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut page = PageSeed { key }.deserialize(&mut reader)?;
    reader.end()?;
    page.count = page.items.len();
    for listed in page.items.iter_mut().filter(|_| keys) {
        let first = page.members.len();
        match Scanner::new(listed.raw).members(&mut page.members) {
            Some(_) => listed.members = Some(first..page.members.len()),
            None => page.members.truncate(first),
        }
    }
    Ok(page)
}

struct PageSeed<'k> {
    key: Option<&'k str>,
}

fn listed(raw: &RawValue) -> Listed<'_> {
    Listed { raw: raw.get(), members: None }
}

fn all_listed(items: Vec<&RawValue>) -> Vec<Listed<'_>> {
    items.into_iter().map(listed).collect()
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
            page.items.push(listed(item));
        }
        Ok(page)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Page<'de>, M::Error> {
        let mut page = Page::default();
        let mut settled = false;
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if self.key.is_some_and(|wanted| key == wanted) {
                page.items = all_listed(map.next_value::<Option<Vec<&'de RawValue>>>()?.unwrap_or_default());
            } else if key == NEXT_PAGE_TOKEN {
                page.next = map.next_value::<Option<Key<'de>>>()?.map(|Key(token)| token).filter(|token| !token.is_empty());
            } else if self.key.is_none() && !settled {
                let value = map.next_value::<&'de RawValue>()?.get();
                let of_objects = value.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
                match value.as_bytes().first() {
                    Some(b'[') if page.list.is_none() || of_objects => {
                        page.items = all_listed(serde_json::from_str(value).map_err(serde::de::Error::custom)?);
                        page.list = Some(key);
                        settled = of_objects;
                    }
                    Some(b'"' | b'{') => page.other |= !key.ends_with(PAGE_TOKEN),
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
    use proptest::prelude::*;

    use super::*;
    use crate::json::any_nearly_json;

    fn read_page<'a>(body: &'a [u8], key: Option<&str>) -> serde_json::Result<Page<'a>> {
        super::read_page(body, key, Want::Keys)
    }

    /// The items that were handed over, as they are written.
    #[derive(Default)]
    struct Taken(Vec<String>);

    impl Take for Taken {
        fn take(&mut self, item: &mut Scanner<'_>) -> Option<()> {
            self.0.push(item.value()?.to_owned());
            Some(())
        }

        fn give_back(&mut self) {
            self.0.clear();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]
        /// Whatever the scanner makes a page of is the page that serde reads; and it leaves none to serde that is plain.
        #[test]
        fn both_readers_see_the_same_page(text in any_nearly_json(), key in prop::sample::select(vec![None, Some("items"), Some("a")])) {
            let slow = parse_page(text.as_bytes(), key, true).ok();
            let fast = scan_page(&text, key, &mut Want::Keys);
            if fast.is_some() {
                prop_assert_eq!(&fast, &slow, "{}", text);
            }
            let is_twice = key.is_some_and(|key| text.matches(&format!("\"{key}\"")).count() > 1);
            let is_plain = !text.contains('\\') && !text.contains("startIndex") && !text.contains("totalResults") && !is_twice;
            prop_assert!(!is_plain || fast.is_some() == slow.is_some(), "{}", text);
        }

        /// Items that are handed over are those that would stand in the page.
        #[test]
        fn items_are_handed_over_as_they_are_read(text in any_nearly_json(), key in prop::sample::select(vec![None, Some("items"), Some("a")])) {
            let slow = parse_page(text.as_bytes(), key, false).ok();
            let mut taken = Taken::default();
            let page = super::read_page(text.as_bytes(), key, Want::Handed(&mut taken)).ok();
            let items = page.as_ref().map(|page| taken.0.iter().map(String::as_str).chain(page.items.iter().map(|listed| listed.raw)).collect::<Vec<_>>());
            prop_assert_eq!(items, slow.as_ref().map(|page| page.items.iter().map(|listed| listed.raw).collect()), "{}", text);
            if let (Some(page), Some(slow)) = (page, slow) {
                prop_assert_eq!((page.count, page.next, page.list, page.other), (slow.count, slow.next, slow.list, slow.other), "{}", text);
            }
        }
    }

    #[test]
    fn the_next_page_is_guessed_from_the_end() {
        let guess = |body: &str| guess_next(body.as_bytes());
        assert_eq!(guess(r#"{"items": [], "next_page_token" : "abc", "prev_page_token": ""}"#).as_deref(), Some("abc"));
        for none in ["", "{}", r#"{"next_page_token":""}"#, r#"{"next_page_token":null}"#, r#"{"next_page_token":"a\u0062"}"#, r#"{"next_page_token":"ab"#] {
            assert_eq!(guess(none), None, "{none}");
        }
    }

    #[test]
    fn pages_keep_their_items_as_written() {
        let page = read_page(br#"{"x": {"items": 1}, "items": [{"n": 9007199254740993.10}, 2], "next_page_token": "a\u0062"}"#, Some("items")).expect("a page");
        assert_eq!(page.items.iter().map(|item| item.raw).collect::<Vec<_>>(), ["{\"n\": 9007199254740993.10}", "2"]);
        assert_eq!(page.next.as_deref(), Some("ab"));
    }

    #[test]
    fn without_a_key_the_first_list_counts() {
        let items = |body: &str| {
            let page = read_page(body.as_bytes(), None).expect("a page");
            (page.list.as_deref().map(ToOwned::to_owned), page.items.iter().map(|item| item.raw).collect::<Vec<_>>().concat())
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
