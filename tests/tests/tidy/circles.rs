//! No circle among the top modules of a crate: what a module uses never uses it, through others neither.

use super::source::{Source, read};
use super::{files_of, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Circles that stand: the crate, the modules of one, and why. A circle that is gone leaves the list.
const ALLOWED: [(&str, &str, &str); 6] = [
    ("drivers/files", "infer source table", "a source is described by reading its own tables"),
    ("drivers/memory", "column rows", "a column's builder takes cells, a row's reader fills builders"),
    (
        "engine/driver-api",
        "aggregate relation scalar",
        "one algebra: relations hold expressions, which hold subqueries",
    ),
    (
        "engine/gateway",
        "cli demo extract init introspect serve wiring",
        "commands share their arguments and how they end",
    ),
    ("engine/metadata", "diagnostic model", "diagnostics point into a model, snapshots keep diagnostics"),
    (
        "engine/semantics",
        "aggregates analyze casts functions json numbers times typing windows",
        "values of one kind are read, shown and computed by those of others",
    ),
];

/// Which module uses which, with a file and path that shows it.
type Arrows = BTreeMap<String, BTreeMap<String, String>>;

/// Modules of a file in its crate: `src/a/b.rs` and `src/a/b/mod.rs` are `a`, `b`.
fn module_of(src: &Path, file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(src).unwrap().with_extension("");
    let mut module: Vec<String> = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
        module.pop();
    }
    module
}

/// The path from its crate's root; `None` for one of another crate, or relative to where it stands.
fn from_root(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let (mut at, mut rest) = (module.to_vec(), segments);
    match segments.first()?.as_str() {
        "crate" => (at, rest) = (Vec::new(), &segments[1..]),
        "self" => rest = &segments[1..],
        "super" => {}
        _ => return None,
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        at.pop();
        rest = &rest[1..];
    }
    at.extend(rest.iter().cloned());
    Some(at)
}

/// Names that the root hands on, with the modules they come from.
fn handed_on(root: &Source) -> BTreeMap<&str, &str> {
    let uses = root.paths.iter().filter(|path| path.inside.is_empty());
    uses.filter_map(|path| {
        let from = path.segments.iter().find(|segment| !["crate", "self"].contains(&segment.as_str()))?;
        Some((path.name.as_deref()?, from.as_str()))
    })
    .collect()
}

fn arrows(src: &Path) -> Arrows {
    let mut files = Vec::new();
    files_of("rs", src, &mut files);
    let sources: BTreeMap<Vec<String>, Source> =
        files.iter().map(|file| (module_of(src, file), read(&std::fs::read_to_string(file).unwrap()))).collect();
    let tops: BTreeSet<&str> = sources.keys().filter_map(|module| module.first()).map(String::as_str).collect();
    let tests: BTreeSet<Vec<String>> = sources
        .iter()
        .flat_map(|(module, source)| {
            source.tests.iter().map(|name| [module.as_slice(), std::slice::from_ref(name)].concat())
        })
        .collect();
    let handed_on = sources.get(&Vec::new()).map(handed_on).unwrap_or_default();
    let mut arrows = Arrows::new();
    for (module, source) in &sources {
        let tested = (1..=module.len()).any(|length| tests.contains(&module[..length]));
        let Some(from) = module.first().filter(|_| !tested) else { continue };
        for path in &source.paths {
            let Some(to) = from_root(&[module.as_slice(), &path.inside].concat(), &path.segments) else { continue };
            let Some(first) = to.first().map(String::as_str) else { continue };
            let top = if tops.contains(first) { Some(first) } else { handed_on.get(first).copied() };
            if let Some(top) = top.filter(|top| *top != from && tops.contains(top)) {
                let shown = format!("{} names {}", module.join("::"), to.join("::"));
                arrows.entry(from.clone()).or_default().entry(top.to_owned()).or_insert(shown);
            }
        }
    }
    arrows
}

fn reached<'a>(arrows: &'a Arrows, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&str> = arrows.get(from).into_iter().flat_map(|to| to.keys()).map(String::as_str).collect();
    while let Some(next) = left.pop() {
        if found.insert(next) {
            left.extend(arrows.get(next).into_iter().flat_map(|to| to.keys()).map(String::as_str));
        }
    }
    found
}

/// Sets of modules that reach each other.
fn circles(arrows: &Arrows) -> BTreeSet<BTreeSet<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (from.as_str(), reached(arrows, from))).collect();
    let back = |from: &str, to: &str| reach.get(to).is_some_and(|reach| reach.contains(from));
    reach
        .iter()
        .map(|(from, reach)| reach.iter().copied().filter(|to| back(from, to)).collect::<BTreeSet<&str>>())
        .filter(|circle| circle.len() > 1)
        .collect()
}

fn shown(arrows: &Arrows, circle: &BTreeSet<&str>) -> String {
    let edges = circle.iter().flat_map(|from| arrows.get(*from).into_iter().flatten().map(move |edge| (from, edge)));
    let edges = edges.filter(|(_, (to, _))| circle.contains(to.as_str()));
    edges.map(|(from, (to, why))| format!("    {from} -> {to}: {why}\n")).collect()
}

#[test]
fn modules_of_a_crate_form_no_circle() {
    let root = root();
    let mut allowed: BTreeSet<(String, String)> =
        ALLOWED.iter().map(|(folder, modules, _)| ((*folder).to_owned(), (*modules).to_owned())).collect();
    assert!(ALLOWED.iter().all(|(.., reason)| !reason.is_empty()));
    let mut wrong = String::new();
    for folder in super::arrows().keys() {
        let src = root.join(folder).join("src");
        if !src.is_dir() {
            continue;
        }
        let arrows = arrows(&src);
        for circle in circles(&arrows) {
            let modules = circle.iter().copied().collect::<Vec<_>>().join(" ");
            if !allowed.remove(&(folder.clone(), modules.clone())) {
                wrong.push_str(&format!("{folder}: {modules} use each other:\n{}", shown(&arrows, &circle)));
            }
        }
    }
    for (folder, modules) in allowed {
        wrong.push_str(&format!("{folder}: {modules} form no circle any more: take them off the list\n"));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn circles_are_found_and_told_from_chains() {
    let arrows = |edges: &[(&str, &str)]| {
        let mut arrows = Arrows::new();
        for (from, to) in edges {
            arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned(), "why".to_owned());
        }
        arrows
    };
    assert_eq!(circles(&arrows(&[("a", "b"), ("b", "c"), ("a", "c")])), BTreeSet::new());
    let round = arrows(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("c", "e")]);
    assert_eq!(circles(&round), BTreeSet::from([BTreeSet::from(["a", "b", "c"])]));
    assert_eq!(shown(&round, &BTreeSet::from(["a", "b", "c"])).lines().count(), 3);
}
