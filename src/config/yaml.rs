//! YAML as far as the settings of a bundle need it: a tree whose nodes know their lines, and whose size no file can blow up.
//!
//! Aliases share what they refer to and are never expanded, so that a file of a few lines that means billions of them costs a few lines. The tree is bounded in depth,
//! aliases included. `<<` merges maps where a key is looked up, with a bound on the steps of one search. Tags are ignored; only the first document counts.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Deeper nesting is refused, whether it is written out or comes of aliases.
const DEEPEST: usize = 100;
/// Maps that one search may look into.
const LONGEST_SEARCH: u32 = 1_000;

/// A part of a document.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it begins, from 1.
    pub(crate) line: usize,
    content: Content,
    /// 1 for a scalar, and one more than the highest of its parts.
    height: usize,
}

#[derive(Debug)]
enum Content {
    /// `plain` where it stands without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

/// What cannot be read, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

/// A list or map that is not at its end yet.
struct Open {
    line: usize,
    anchor: usize,
    is_map: bool,
    parts: Vec<Rc<Node>>,
}

/// Reads the first document; `None` if it is empty.
///
/// # Errors
/// At the first thing that is no YAML, is nested too deeply, or refers to itself.
pub(crate) fn parse(text: &str) -> Result<Option<Rc<Node>>, Fault> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| Fault { line: error.marker().line(), reason: error.info().to_owned() })?;
        let line = span.start.line();
        let (node, anchor) = match event {
            Event::DocumentEnd | Event::StreamEnd => return Ok(None),
            Event::Alias(id) => {
                let node = anchors.get(&id).cloned().ok_or_else(|| Fault { line, reason: "this alias refers to what it is a part of".to_owned() })?;
                (node, 0)
            }
            Event::Scalar(text, style, anchor, _) => {
                let content = Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                (Rc::new(Node { line, content, height: 1 }), anchor)
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() >= DEEPEST {
                    return Err(too_deep(line));
                }
                open.push(Open { line, anchor, is_map: matches!(event, Event::MappingStart(..)), parts: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { line, anchor, is_map, parts }) = open.pop() else { continue };
                let height = 1 + parts.iter().map(|part| part.height).max().unwrap_or_default();
                if height > DEEPEST {
                    return Err(too_deep(line));
                }
                let content = if is_map { Content::Map(pairs(parts)) } else { Content::List(parts) };
                (Rc::new(Node { line, content, height }), anchor)
            }
            _ => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            Some(parent) => parent.parts.push(node),
            // What follows the root is another document.
            None => return Ok(Some(node)),
        }
    }
    Ok(None)
}

fn too_deep(line: usize) -> Fault {
    Fault { line, reason: format!("this is nested more than {DEEPEST} levels deep") }
}

fn pairs(parts: Vec<Rc<Node>>) -> Vec<(Rc<Node>, Rc<Node>)> {
    let mut pairs = Vec::with_capacity(parts.len() / 2);
    let mut parts = parts.into_iter();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        pairs.push((key, value));
    }
    pairs
}

impl Node {
    /// The text of a scalar; `None` for lists, maps and nothing (`~`, `null` or an empty place).
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, plain } if !(*plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")) => Some(text),
            _ => None,
        }
    }

    /// Whether it is the word `true`, without quotes.
    pub(crate) fn is_true(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "True" | "TRUE"))
    }

    /// The value of a key; of a key that stands there twice the last one. Keys of the map itself count before merged ones (`<<`).
    pub(crate) fn get(&self, key: &str) -> Option<&Rc<Self>> {
        self.find(key, &mut LONGEST_SEARCH.clone())
    }

    fn find(&self, key: &str, steps: &mut u32) -> Option<&Rc<Self>> {
        let Content::Map(pairs) = &self.content else { return None };
        *steps = steps.checked_sub(1)?;
        if let Some((_, value)) = pairs.iter().rev().find(|(own, _)| own.text() == Some(key)) {
            return Some(value);
        }
        for (_, merged) in pairs.iter().filter(|(own, _)| own.text() == Some("<<")) {
            let found = match &merged.content {
                Content::List(maps) => maps.iter().find_map(|map| map.find(key, steps)),
                _ => merged.find(key, steps),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The keys of a map that are texts, in their order, without merged ones.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let pairs = if let Content::Map(pairs) = &self.content { pairs.as_slice() } else { &[] };
        pairs.iter().filter_map(|(key, _)| key.text()).filter(|key| *key != "<<")
    }

    /// The items of a list; a scalar counts as a list of one.
    pub(crate) fn items(self: &Rc<Self>) -> &[Rc<Self>] {
        match &self.content {
            Content::List(items) => items,
            Content::Scalar { .. } if self.text().is_some() => std::slice::from_ref(self),
            _ => &[],
        }
    }

    /// Whether it is a map or nothing at all: what a section of settings may be.
    pub(crate) fn is_section(&self) -> bool {
        match &self.content {
            Content::Map(_) => true,
            Content::Scalar { .. } => self.text().is_none(),
            Content::List(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Rc<Node> {
        parse(text).expect("YAML").expect("a document")
    }

    fn at<'n>(node: &'n Rc<Node>, path: &str) -> Option<&'n Rc<Node>> {
        path.split('.').try_fold(node, |node, key| node.get(key))
    }

    #[test]
    fn values_have_their_lines_and_nothing_is_nothing() {
        let root = root("# a\na:\n  b: \"x: y\"\n  c:\n  d: ~\n  e: 'null'\nlist: [1, two]\n");
        let b = at(&root, "a.b").expect("a value");
        assert_eq!((b.text(), b.line), (Some("x: y"), 3));
        assert_eq!((at(&root, "a.c").and_then(|node| node.text()), at(&root, "a.d").and_then(|node| node.text())), (None, None));
        assert_eq!(at(&root, "a.e").and_then(|node| node.text()), Some("null"));
        let items: Vec<_> = root.get("list").expect("a list").items().iter().filter_map(|item| item.text()).collect();
        assert_eq!(items, ["1", "two"]);
        assert_eq!(root.keys().collect::<Vec<_>>(), ["a", "list"]);
        assert!(parse("").expect("nothing").is_none() && parse("# only this\n").expect("nothing").is_none());
    }

    #[test]
    fn anchors_and_merged_maps_are_followed() {
        let root = root("base: &base {host: h, profile: p}\nt:\n  workspace:\n    <<: *base\n    profile: own\nlist: {<<: [{x: 1}, *base]}\n");
        let text = |path| at(&root, path).and_then(|node| node.text());
        assert_eq!((text("t.workspace.host"), text("t.workspace.profile"), text("list.profile"), text("list.y")), (Some("h"), Some("own"), Some("p"), None));
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line() {
        for (text, line) in [("a: b\n  c: d\n", 2), ("a: [1, 2\nb: 3\n", 2), ("x: &x\n  y: *x\n", 2), ("a: *nowhere\n", 1), ("a:\n\t- b\n", 2)] {
            assert_eq!(parse(text).expect_err(text).line, line, "{text}");
        }
    }

    #[test]
    fn no_small_file_costs_much() {
        // Each level of merged maps is two levels of the tree.
        let mut laughs = String::from("a0: &a0 {k: v}\n");
        let mut merges = String::from("m0: &m0 {k: v}\n");
        for level in 1..90 {
            let many = |name: &str| vec![format!("*{name}{}", level - 1); 9].join(", ");
            laughs += &format!("a{level}: &a{level} [{}]\n", many("a"));
            if level < 45 {
                merges += &format!("m{level}: &m{level} {{<<: [{}]}}\n", many("m"));
            }
        }
        assert!(root(&laughs).get("a89").is_some());
        assert!(root(&merges).get("m44").expect("a map").get("missing").is_none());
        let chain: String = (1..200).map(|level| format!("c{level}: &c{level} [*c{}]\n", level - 1)).collect();
        assert!(parse(&format!("c0: &c0 [x]\n{chain}")).expect_err("too deep").reason.contains("levels deep"));
        for nested in ["[".repeat(50_000), "{a: ".repeat(50_000), (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(), "- ".repeat(50_000)] {
            assert!(parse(&nested).is_err());
        }
    }
}
