//! What metadata calls tables and columns: what it called them before, then names that stand as they are in the source, then others.

use super::foreign_name;
use crate::introspect::Found;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Names that are taken before a source is described.
#[derive(Debug, Default)]
pub(crate) struct KnownNames {
    /// Of tables of other sources. They keep them; a table of such a name gets the namespace before its own.
    pub(crate) others: BTreeSet<String>,
    pub(crate) given: GivenNames,
}

/// What an earlier description calls the tables of a source. Rules are of these names: no other table may get one of them.
#[derive(Debug, Default)]
pub(crate) struct GivenNames {
    /// By the table, as the source calls it with its schema.
    objects: BTreeMap<String, GivenObject>,
    /// Names of all objects, with those of their fields.
    taken: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct GivenObject {
    name: String,
    /// By the column.
    fields: BTreeMap<String, String>,
}

impl GivenNames {
    /// `before`: the stack as it was last described. `now`: as people have edited it since; it alone has what was kept though the source
    /// had it no longer.
    pub(crate) fn of(before: Option<&Value>, now: Option<&Value>) -> Self {
        let mut given = Self::default();
        for (remote, own) in objects(now).chain(objects(before)).filter_map(GivenObject::of) {
            let object = given.objects.entry(remote).or_default();
            object.name = own.name;
            object.fields.extend(own.fields);
        }
        for object in objects(now).chain(objects(before)) {
            let Some(name) = object["name"].as_str() else { continue };
            let fields = object["fields"].as_object().into_iter().flat_map(|fields| fields.keys().cloned());
            given.taken.entry(name.to_owned()).or_default().extend(fields);
        }
        given
    }

    /// Names of all objects, by their tables. `wanted`: each table with the name that it would have alone, and whether it is its own in
    /// the source.
    pub(super) fn of_objects<'a>(&self, wanted: &[(&'a str, String, bool)]) -> BTreeMap<&'a str, String> {
        let given = |remote: &str| self.objects.get(remote).map(|own| own.name.clone());
        assign(wanted, given, self.taken.keys().cloned().collect())
    }

    /// Names of the fields, by their columns. Columns that rules compare with an id, and that hold none, get another one.
    pub(super) fn of_fields(&self, table: &Found) -> BTreeMap<String, String> {
        const IDS: [&str; 4] = ["id", "organization_id", "created_by", "owner_id"];
        let own = self.objects.get(&table.remote);
        let wanted = table.columns.iter().filter_map(|column| {
            let holds = column.holds?;
            let mut local = foreign_name(&column.remote);
            let is_own = local == column.remote;
            if IDS.contains(&local.as_str()) && !holds.may_be_id() {
                local.push_str("_value");
            }
            Some((column.remote.as_str(), local, is_own))
        });
        let wanted: Vec<_> = wanted.collect();
        let given = |remote: &str| own?.fields.get(remote).cloned();
        let names = assign(&wanted, given, own.and_then(|own| self.taken.get(&own.name)).cloned().unwrap_or_default());
        names.into_iter().map(|(remote, name)| (remote.to_owned(), name)).collect()
    }
}

impl GivenObject {
    /// An object with its table's name in the source.
    fn of(object: &Value) -> Option<(String, Self)> {
        let external = &object["external"];
        let remote = external["remoteName"].as_str()?;
        let remote =
            external["remoteSchema"].as_str().map_or_else(|| remote.to_owned(), |schema| format!("{schema}.{remote}"));
        let mapped: BTreeMap<&str, &str> = external["columnMap"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(column, field)| Some((field.as_str()?, column.as_str())))
            .collect();
        let fields = object["fields"].as_object().into_iter().flat_map(|fields| fields.keys());
        let fields =
            fields.map(|field| ((*mapped.get(field.as_str()).unwrap_or(&field.as_str())).to_owned(), field.clone()));
        let (name, fields) = (object["name"].as_str()?.to_owned(), fields.collect());
        Some((remote, Self { name, fields }))
    }
}

/// The objects of a stack's packages.
fn objects(stack: Option<&Value>) -> impl Iterator<Item = &Value> {
    let packages = stack.and_then(|stack| stack["packages"].as_array()).into_iter().flatten();
    packages.filter_map(|package| package["manifest"]["objects"].as_array()).flatten()
}

fn assign<'a>(
    wanted: &[(&'a str, String, bool)],
    given: impl Fn(&str) -> Option<String>,
    mut taken: BTreeSet<String>,
) -> BTreeMap<&'a str, String> {
    let mut names: BTreeMap<&str, String> =
        wanted.iter().filter_map(|(remote, _, _)| Some((*remote, given(remote)?))).collect();
    taken.extend(names.values().cloned());
    for stands_as_it_is in [true, false] {
        for (remote, name, is_own) in wanted {
            if *is_own == stands_as_it_is && !names.contains_key(remote) {
                names.insert(*remote, unique(name.clone(), &mut taken));
            }
        }
    }
    names
}

/// A name that is not taken yet.
fn unique(wanted: String, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}
