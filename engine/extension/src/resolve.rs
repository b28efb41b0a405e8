//! The order of extensions: each after what it depends on. Everything that is wrong is found, not only the first.

use super::manifest::{Dependency, Kind, Manifest};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name.
const NAME_BYTES_MAX: usize = 63;

/// What one extension is, and what it has.
#[derive(Debug)]
pub(crate) struct Offer<'e> {
    pub(crate) manifest: &'e Manifest,
    pub(crate) named: Vec<(Kind, &'e str)>,
}

/// Places of the given extensions, each after what it depends on.
///
/// # Errors
/// Everything that keeps them from being together.
pub(crate) fn order(offers: &[Offer<'_>]) -> Result<Vec<usize>, Vec<String>> {
    let manifests: Vec<&Manifest> = offers.iter().map(|offer| offer.manifest).collect();
    let mut problems = names(offers);
    problems.extend(conflicts(&manifests));
    let mut needed: Vec<BTreeSet<usize>> = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        let mut own = BTreeSet::new();
        for dependency in &manifest.dependencies {
            match found(&manifests, dependency) {
                Ok(places) => own.extend(places),
                Err(why) => problems.push(format!("extension \"{}\" needs {why}", manifest.name)),
            }
        }
        needed.push(own);
    }
    match ordered(&needed) {
        Ok(order) if problems.is_empty() => return Ok(order),
        Ok(_) => {}
        Err(cycle) => {
            let name = |place: &usize| manifests.get(*place).map_or("", |manifest| manifest.name.as_str());
            let names: Vec<&str> = cycle.iter().map(name).collect();
            problems.push(format!("extensions need each other: {}", names.join(" → ")));
        }
    }
    Err(problems)
}

/// Names that are none, and names that are taken.
fn names(offers: &[Offer<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken: BTreeMap<(Option<Kind>, &str), &str> = BTreeMap::new();
    for Offer { manifest, named } in offers {
        let own = manifest.name.as_str();
        let all = named.iter().map(|(kind, name)| (Some(*kind), *name));
        for (kind, name) in std::iter::once((None, own)).chain(all) {
            let what = kind.map_or("extension", Kind::name);
            if !is_name(name) {
                problems.push(format!(
                    "extension \"{own}\": \"{name}\" is no name of a {what}: use lower-case letters, digits and underscores"
                ));
            }
            if let Some(first) = taken.insert((kind, name), own) {
                let whose = if kind.is_some() { format!(" (in \"{first}\" and \"{own}\")") } else { String::new() };
                problems.push(format!("there are two of the {what} \"{name}\"{whose}"));
            }
        }
    }
    problems
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && matches!(bytes.next(), Some(b'a'..=b'z' | b'_'))
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn conflicts(manifests: &[&Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, manifest) in manifests.iter().enumerate() {
        for name in &manifest.conflicts {
            let others = manifests.iter().enumerate().filter(|(other, with)| *other != place && with.answers_to(name));
            for (_, other) in others {
                let as_what = if other.name == *name { String::new() } else { format!(", which provides \"{name}\"") };
                problems.push(format!("extension \"{}\" cannot be beside \"{}\"{as_what}", manifest.name, other.name));
            }
        }
    }
    problems
}

/// Those that a dependency is about: all that provide it.
fn found(manifests: &[&Manifest], wanted: &Dependency) -> Result<Vec<usize>, String> {
    let Dependency { name, version } = wanted;
    let Some(version) = version else {
        let providers: Vec<usize> =
            manifests.iter().enumerate().filter(|(_, own)| own.answers_to(name)).map(|(place, _)| place).collect();
        return if providers.is_empty() { Err(format!("\"{name}\", which nothing provides")) } else { Ok(providers) };
    };
    match manifests.iter().position(|own| own.name == *name) {
        None => Err(format!("\"{name}\" {version}, which is not there")),
        Some(place) => {
            let is = manifests.get(place).map_or(*version, |own| own.version);
            if is.is_enough_for(*version) {
                Ok(vec![place])
            } else {
                Err(format!("\"{name}\" {version}, and {is} is there"))
            }
        }
    }
}

/// Each after what it needs, and otherwise as they are given.
///
/// # Errors
/// A cycle, from one of its members to itself.
fn ordered(needed: &[BTreeSet<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order: Vec<usize> = Vec::with_capacity(needed.len());
    let mut left: Vec<usize> = (0..needed.len()).collect();
    while !left.is_empty() {
        let is_ready = |place: &usize| needed.get(*place).is_none_or(|own| own.iter().all(|one| order.contains(one)));
        match left.iter().position(is_ready) {
            Some(at) => order.push(left.remove(at)),
            None => return Err(cycle(needed, &left)),
        }
    }
    Ok(order)
}

/// Everything that is left needs something that is left: a walk along needs comes back to where it was.
fn cycle(needed: &[BTreeSet<usize>], left: &[usize]) -> Vec<usize> {
    let mut walk: Vec<usize> = left.first().copied().into_iter().collect();
    while let Some(last) = walk.last() {
        let next = needed.get(*last).and_then(|own| own.iter().find(|one| left.contains(one)).copied());
        let Some(next) = next else { break };
        if let Some(first) = walk.iter().position(|place| *place == next) {
            walk.drain(..first);
            walk.push(next);
            break;
        }
        walk.push(next);
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::super::{Extension, Extensions, Version};
    use super::*;

    const ONE: Version = Version::new(1, 0, 0);

    fn named(name: &str) -> Manifest {
        Manifest::new(name, ONE)
    }

    fn resolved(manifests: Vec<Manifest>) -> Result<Vec<String>, String> {
        let all = manifests.into_iter().map(Extension::new).collect();
        let resolved = Extensions::resolve(all).map_err(|error| error.detail().unwrap_or_default().to_owned())?;
        Ok(resolved.iter().map(|one| one.manifest().name().to_owned()).collect())
    }

    #[test]
    fn each_comes_after_what_it_depends_on() {
        let order = resolved(vec![
            named("top").depends_on("middle", ONE).needs("clock"),
            named("beside"),
            named("middle").depends_on("base", ONE),
            named("base").provides("clock"),
            named("other_clock").provides("clock").depends_on("beside", ONE),
        ]);
        assert_eq!(order.unwrap(), ["beside", "base", "middle", "other_clock", "top"]);
        assert_eq!(resolved(Vec::new()).unwrap(), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let cases: Vec<(Vec<Manifest>, &[&str])> = vec![
            (vec![named("a").depends_on("b", ONE)], &["extension \"a\" needs \"b\" 1.0.0, which is not there"]),
            (vec![named("a").needs("clock")], &["extension \"a\" needs \"clock\", which nothing provides"]),
            (
                vec![named("a").depends_on("b", Version::new(1, 2, 0)), named("b")],
                &["needs \"b\" 1.2.0, and 1.0.0 is there"],
            ),
            (
                vec![named("a").depends_on("b", ONE), Manifest::new("b", Version::new(2, 0, 0))],
                &["needs \"b\" 1.0.0, and 2.0.0 is there"],
            ),
            (vec![named("a").conflicts_with("b"), named("b")], &["\"a\" cannot be beside \"b\""]),
            (
                vec![named("a").conflicts_with("clock").provides("clock"), named("b").provides("clock")],
                &["\"a\" cannot be beside \"b\", which provides \"clock\""],
            ),
            (
                vec![
                    named("free"),
                    named("a").depends_on("b", ONE),
                    named("b").depends_on("c", ONE),
                    named("c").depends_on("b", ONE),
                ],
                &["extensions need each other: b → c → b"],
            ),
            (vec![named("a").depends_on("a", ONE)], &["extensions need each other: a → a"]),
            (vec![named("a"), named("a")], &["there are two of the extension \"a\""]),
            (vec![named("A b")], &["\"A b\" is no name"]),
            (vec![named("a").needs("x"), named("b").needs("y")], &["\"x\", which", "\"y\", which"]),
        ];
        for (manifests, expected) in cases {
            let told = resolved(manifests.clone()).expect_err(&format!("{manifests:?}"));
            assert!(expected.iter().all(|part| told.contains(part)), "{told}\n{expected:?}");
        }
    }
}
