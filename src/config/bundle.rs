//! What a bundle (`databricks.yml`) says about workspace and profile.
//! <https://docs.databricks.com/aws/en/dev-tools/bundles/settings>
//!
//! Only the workspace sections are read: of the target in force, else of the top level, in the file itself and in those that it includes. A bundle comes with a checkout and
//! may be anybody's: it can choose among the hosts that the user knows, see [`crate::config::settings::Settings::check_known`], and it can never bring a secret.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;

use crate::config::attributes::Attr;
use crate::config::yaml::{self, Node};
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files;
use crate::host::Host;
use crate::text;

/// The names that a bundle's file may have, in the order in which they are looked for.
pub(crate) const FILE_NAMES: [&str; 4] = ["databricks.yml", "databricks.yaml", "bundle.yml", "bundle.yaml"];

/// The workspace settings that count for signing in. No secret is among them.
const FIELDS: [Attr; 13] = [
    Attr::Host,
    Attr::Profile,
    Attr::AccountId,
    Attr::WorkspaceId,
    Attr::AuthType,
    Attr::GoogleServiceAccount,
    Attr::AzureWorkspaceResourceId,
    Attr::AzureUseMsi,
    Attr::AzureClientId,
    Attr::AzureTenantId,
    Attr::AzureEnvironment,
    Attr::AzureLoginAppId,
    Attr::ClientId,
];

/// A bigger file is no bundle.
const LARGEST_FILE: u64 = 1 << 20;
/// Included files that are looked at.
const MOST_FILES: usize = 1_000;
/// Names that are compared with the patterns of `include`.
const MOST_NAMES: usize = 20_000;
/// Folders within folders that `**` goes down.
const DEEPEST_FOLDER: usize = 16;
/// Variables that refer to variables.
const DEEPEST_REFERENCE: usize = 8;

/// A value of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) attr: Attr,
    pub(crate) text: String,
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
}

/// The settings of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The file at its root.
    pub(crate) path: PathBuf,
    /// The target in force; `None` where the bundle has none.
    pub(crate) target: Option<String>,
    pub(crate) fields: Vec<Field>,
}

impl Bundle {
    pub(crate) fn get(&self, attr: Attr) -> Option<&Field> {
        self.fields.iter().find(|field| field.attr == attr)
    }

    /// The bundle that the current folder belongs to, or that `DATABRICKS_BUNDLE_ROOT` names; `target` is that of the flag.
    ///
    /// # Errors
    /// If its files cannot be read, there is no such target, or a value cannot be resolved.
    pub(crate) fn in_force(env: &Env, target: Option<&str>) -> Result<Option<Self>> {
        find(env)?.map(|path| Self::load(&path, env, target)).transpose()
    }

    /// Reads the bundle whose file this is.
    ///
    /// # Errors
    /// As [`Bundle::in_force`].
    fn load(path: &Path, env: &Env, target: Option<&str>) -> Result<Self> {
        let Some(root) = read(path)? else { return Ok(Self { path: path.to_owned(), target: None, fields: Vec::new() }) };
        let mut documents = vec![Document { path: path.to_owned(), root }];
        documents.extend(included(&documents[0])?);
        let target = choose_target(&documents, env, target)?;
        let resolver = Resolver { documents: &documents, env, target: target.as_deref() };
        let mut fields = Vec::new();
        for attr in FIELDS {
            if let Some((document, value)) = resolver.workspace(attr.name()) {
                let Some(written) = value.text() else { continue };
                let place = || format!("workspace.{} ({}:{})", attr.name(), document.path.display(), value.line);
                let text = resolver.resolve(written, 0).map_err(|reason| {
                    Failure::new(format!("{} is {}, which cannot be resolved here: {reason}", place(), text::quoted(written)))
                        .hint("Write the value itself there, or leave the bundle aside: --profile NAME")
                })?;
                fields.push(Field { attr, text, path: document.path.clone(), line: value.line });
            }
        }
        fields.retain(|field| !field.text.is_empty());
        Ok(Self { path: path.to_owned(), target, fields })
    }
}

/// The file of the bundle that the current folder belongs to: looks at a few names in each folder above, and opens nothing.
///
/// # Errors
/// If `DATABRICKS_BUNDLE_ROOT` has no such file, or a folder has several.
pub(crate) fn find(env: &Env) -> Result<Option<PathBuf>> {
    if let Some(root) = env.path(env::BUNDLE_ROOT) {
        return in_folder(&root)?.map(Some).ok_or_else(|| {
            let shown = text::quoted(&root.to_string_lossy());
            Failure::new(format!("{} is {shown}, but there is no {} in it", env::BUNDLE_ROOT, FILE_NAMES[0]))
                .hint(format!("Unset it, or set it to the folder of a bundle: unset {}", env::BUNDLE_ROOT))
                .into()
        });
    }
    let Ok(folder) = std::env::current_dir() else { return Ok(None) };
    for folder in folder.ancestors() {
        if let Some(path) = in_folder(folder)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn in_folder(folder: &Path) -> Result<Option<PathBuf>> {
    let mut found = FILE_NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
    let (first, second) = (found.next(), found.next());
    if let (Some(first), Some(second)) = (&first, second) {
        return Err(Failure::new(format!("failed to load {}: {} is there too, and a bundle has one file", first.display(), second.display()))
            .hint("Remove or rename one of them, or leave the bundle aside: --profile NAME")
            .into());
    }
    Ok(first)
}

/// A file of the bundle.
struct Document {
    path: PathBuf,
    root: Rc<Node>,
}

/// The document of a file; `None` if it is empty.
fn read(path: &Path) -> Result<Option<Rc<Node>>> {
    let failed = |reason: String| {
        Failure::new(format!("failed to load {}: {reason}", path.display())).hint("Correct the file, or leave the bundle aside: --profile NAME")
    };
    let Some(bytes) = files::read_foreign(path, LARGEST_FILE).map_err(|error| failed(error.to_string()))? else { return Ok(None) };
    parse(bytes).map_err(|reason| failed(reason).into())
}

fn parse(bytes: Vec<u8>) -> Result<Option<Rc<Node>>, String> {
    let text = String::from_utf8(bytes).map_err(|_| "yaml: this is no UTF-8".to_owned())?;
    let root = yaml::parse(text.trim_start_matches('\u{feff}')).map_err(|fault| format!("yaml: line {}: {}", fault.line, text::one_line(&fault.reason)))?;
    match root {
        Some(root) if !root.is_section() => Err(format!("yaml: line {}: a bundle is a map", root.line)),
        root => Ok(root),
    }
}

/// The sections that can say something about workspace and target.
const SECTIONS: [&str; 4] = ["targets", "environments", "workspace", "variables"];

/// The included files that have something to say here, in the order of their names.
fn included(root: &Document) -> Result<Vec<Document>> {
    let Some(patterns) = root.root.get("include") else { return Ok(Vec::new()) };
    let folder = root.path.parent().unwrap_or(Path::new("."));
    let mut names = MOST_NAMES;
    let mut documents = Vec::new();
    for pattern in patterns.items().iter().filter_map(|pattern| pattern.text()) {
        let mut paths = BTreeSet::new();
        let parts: Vec<Component<'_>> = Path::new(pattern).components().collect();
        expand(folder, &parts, &mut names, &mut paths);
        for path in paths.into_iter().filter(|path| *path != root.path) {
            if documents.len() >= MOST_FILES {
                return Err(Failure::new(format!("failed to load {}: it includes more than {MOST_FILES} files", root.path.display()))
                    .hint("Leave the bundle aside: --profile NAME")
                    .into());
            }
            let is_new = documents.iter().all(|document: &Document| document.path != path);
            if is_new && let Some(root) = read_if_it_matters(&path)? {
                documents.push(Document { path, root });
            }
        }
    }
    Ok(documents)
}

/// Most included files are about jobs and pipelines: those are not parsed.
fn read_if_it_matters(path: &Path) -> Result<Option<Rc<Node>>> {
    let Ok(Some(bytes)) = files::read_foreign(path, LARGEST_FILE) else { return Ok(None) };
    let matters = bytes.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii_end();
        let bare = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let bare = bare.strip_prefix(b"\"").or_else(|| bare.strip_prefix(b"'")).unwrap_or(bare);
        bare.first() == Some(&b'{') || SECTIONS.iter().any(|section| bare.starts_with(section.as_bytes()))
    });
    if !matters {
        return Ok(None);
    }
    parse(bytes).map_err(|reason| {
        Failure::new(format!("failed to load {}: {reason}", path.display())).hint("Correct the file, or leave the bundle aside: --profile NAME").into()
    })
}

/// The files that a pattern means; `names` is how many may still be compared.
fn expand(folder: &Path, parts: &[Component<'_>], names: &mut usize, found: &mut BTreeSet<PathBuf>) {
    let Some((first, rest)) = parts.split_first() else {
        if folder.is_file() {
            found.insert(folder.to_owned());
        }
        return;
    };
    let pattern = first.as_os_str().to_string_lossy();
    if !pattern.contains(['*', '?', '[']) {
        return expand(&folder.join(first), rest, names, found);
    }
    if pattern == "**" {
        return expand_below(folder, rest, DEEPEST_FOLDER, names, found);
    }
    for path in listed(folder, names) {
        if path.file_name().is_some_and(|name| matches(&pattern, &name.to_string_lossy())) {
            expand(&path, rest, names, found);
        }
    }
}

/// As [`expand`], in this folder and those below it.
fn expand_below(folder: &Path, rest: &[Component<'_>], depth: usize, names: &mut usize, found: &mut BTreeSet<PathBuf>) {
    expand(folder, rest, names, found);
    if depth > 0 {
        for path in listed(folder, names).into_iter().filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())) {
            expand_below(&path, rest, depth - 1, names, found);
        }
    }
}

fn listed(folder: &Path, names: &mut usize) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().take(*names).filter_map(|entry| Some(entry.ok()?.path())).collect();
    *names -= paths.len();
    paths
}

/// Whether a name fits a pattern of `*`, `?` and `[…]`; a dot at the start is like any other character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where to go on if what follows the last star does not fit: one character further.
    let (mut p, mut n, mut retry) = (0, 0, None);
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) if n == name.len() => return false,
            Some('?') => Some(1),
            Some('[') => in_class(&pattern[p..], name[n]),
            Some(character) => (*character == name[n]).then_some(1),
        };
        match (step, retry) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((after, next))) if next <= name.len() => {
                (p, n) = (after, next);
                retry = Some((after, next + 1));
            }
            (None, _) => return false,
        }
    }
}

/// How long the class at the start of the pattern is, if it has this character.
fn in_class(pattern: &[char], wanted: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|character| *character == ']')? + 2;
    let (negated, from) = if matches!(pattern[1], '!' | '^') { (true, 2) } else { (false, 1) };
    let class = &pattern[from..end];
    let mut at = 0;
    let mut has = false;
    while at < class.len() {
        if at + 2 < class.len() && class[at + 1] == '-' {
            has |= (class[at]..=class[at + 2]).contains(&wanted);
            at += 3;
        } else {
            has |= class[at] == wanted;
            at += 1;
        }
    }
    (has != negated).then_some(end + 1)
}

/// The map of targets of a document, by its present name or the old one.
fn targets(document: &Document) -> Option<&Rc<Node>> {
    document.root.get("targets").or_else(|| document.root.get("environments"))
}

fn choose_target(documents: &[Document], env: &Env, flag: Option<&str>) -> Result<Option<String>> {
    let mut names: Vec<&str> = Vec::new();
    for name in documents.iter().filter_map(targets).flat_map(|targets| targets.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let path = documents[0].path.display();
    let listed = || names.iter().map(|name| text::one_line(name)).collect::<Vec<_>>().join(", ");
    let variables = [env::BUNDLE_TARGET, env::BUNDLE_ENV];
    let named = flag.map(|name| (name, "-t")).or_else(|| variables.iter().find_map(|variable| Some((env.get(variable)?, *variable))));
    if let Some((name, place)) = named {
        if names.contains(&name) {
            return Ok(Some(name.to_owned()));
        }
        return Err(Failure::new(format!("{}: no such target. Available targets: {}", text::one_line(name), listed()))
            .hint(format!("{name} comes from {place}; the targets stand in {path}", name = text::quoted(name)))
            .into());
    }
    let is_default = |name: &&&str| {
        documents.iter().filter_map(targets).any(|targets| targets.get(name).and_then(|target| target.get("default")).is_some_and(|value| value.is_true()))
    };
    let defaults: Vec<&&str> = names.iter().filter(is_default).collect();
    match (defaults.as_slice(), names.as_slice()) {
        ([only], _) => Ok(Some((**only).to_owned())),
        ([], []) => Ok(None),
        ([], [only]) => Ok(Some((*only).to_owned())),
        (several, _) => {
            let what = if several.is_empty() { "none of its targets is the default" } else { "several of its targets are the default" };
            Err(Failure::new(format!("{path}: {what}. Available targets: {}", listed()))
                .hint(format!("Name one: -t {}, or {}; or leave the bundle aside: --profile NAME", names[0], env::BUNDLE_TARGET))
                .into())
        }
    }
}

/// Looks values up, and puts in what they refer to.
struct Resolver<'a> {
    documents: &'a [Document],
    env: &'a Env,
    target: Option<&'a str>,
}

impl Resolver<'_> {
    /// A value of the workspace section: of the target, else of the top level; of several files the last one.
    fn workspace(&self, key: &str) -> Option<(&Document, &Rc<Node>)> {
        self.of_target(|target| target.get("workspace")?.get(key)).or_else(|| self.of_top(|root| root.get("workspace")?.get(key)))
    }

    fn of_target<'n>(&'n self, look: impl Fn(&'n Rc<Node>) -> Option<&'n Rc<Node>>) -> Option<(&'n Document, &'n Rc<Node>)> {
        let name = self.target?;
        self.documents.iter().rev().find_map(|document| Some((document, look(targets(document)?.get(name)?)?)))
    }

    fn of_top<'n>(&'n self, look: impl Fn(&'n Rc<Node>) -> Option<&'n Rc<Node>>) -> Option<(&'n Document, &'n Rc<Node>)> {
        self.documents.iter().rev().find_map(|document| Some((document, look(&document.root)?)))
    }

    /// Puts values in the place of `${…}`.
    fn resolve(&self, text: &str, depth: usize) -> Result<String, String> {
        if depth > DEEPEST_REFERENCE {
            return Err("its variables refer to each other in a circle".to_owned());
        }
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or_else(|| "a ${ has no }".to_owned())?;
            resolved += before;
            resolved += &self.resolve(&self.reference(name.trim())?, depth + 1)?;
            rest = behind;
        }
        Ok(resolved + rest)
    }

    fn reference(&self, name: &str) -> Result<String, String> {
        if let Some(variable) = name.strip_prefix("var.") {
            return self.variable(variable);
        }
        let found = match name {
            "bundle.target" | "bundle.environment" => self.target.map(ToOwned::to_owned),
            "bundle.name" => self.of_top(|root| root.get("bundle")?.get("name")).and_then(|(_, value)| value.text()).map(ToOwned::to_owned),
            _ => None,
        };
        found.ok_or_else(|| format!("only ${{var.…}}, ${{bundle.name}} and ${{bundle.target}} can be used, and {} is none of them", text::quoted(name)))
    }

    /// A variable: from the environment (`BUNDLE_VAR_x`), the target, or its default.
    fn variable(&self, name: &str) -> Result<String, String> {
        let variable = [env::BUNDLE_VARIABLE_PREFIX, name].concat();
        if let Some(value) = self.env.get(&variable) {
            return Ok(value.to_owned());
        }
        let value = |node: &Rc<Node>| node.text().or_else(|| node.get("default")?.text()).map(ToOwned::to_owned);
        let found = self.of_target(|target| target.get("variables")?.get(name)).and_then(|(_, node)| value(node));
        let found = found.or_else(|| self.of_top(|root| root.get("variables")?.get(name)).and_then(|(_, node)| value(node)));
        found.ok_or_else(|| format!("the variable {} has neither a value in the target nor a default; {variable} can set it", text::quoted(name)))
    }
}

/// The largest list of confirmed hosts.
const LARGEST_LIST: u64 = 1 << 16;

/// Where hosts are remembered that the user confirmed for bundles: `~/.databricks/bundle-hosts`, one address per line.
pub(crate) fn confirmed_path(env: &Env) -> Option<PathBuf> {
    env.home().map(|home| home.join(".databricks").join("bundle-hosts"))
}

/// Whether the user confirmed this host once.
pub(crate) fn is_confirmed(env: &Env, host: &Host) -> bool {
    let bytes = confirmed_path(env).and_then(|path| files::read(&path, LARGEST_LIST).ok().flatten()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().any(|line| line.trim() == host.as_str())
}

/// Remembers that the user confirmed this host.
///
/// # Errors
/// If the list cannot be written.
pub(crate) fn confirm(env: &Env, host: &Host) -> Result<()> {
    let Some(path) = confirmed_path(env) else { return Ok(()) };
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    files::update(&path, LARGEST_LIST, |old| {
        let mut text = String::from_utf8_lossy(old.unwrap_or_default()).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text += host.as_str();
        text.push('\n');
        Ok(Some(text.into_bytes()))
    })?;
    Ok(())
}
