//! The names that SQL users see for objects. Knows no catalog.

use querygate_metadata::model::Snapshot;
use std::collections::BTreeMap;

/// SQL table name by object name.
///
/// The rule: **an object's table is named like the object without `<namespace>_`; when two packages would give the same
/// table name, each of those objects keeps its full name.** Objects of packages without a namespace, and names that are
/// nothing but the prefix, keep their full name.
pub(crate) fn sql_names(snapshot: &Snapshot) -> BTreeMap<&str, &str> {
    let mut takers: BTreeMap<&str, usize> = BTreeMap::new();
    let short: Vec<(&str, &str)> = snapshot
        .objects
        .values()
        .map(|object| {
            let namespace = snapshot.packages.get(&object.package).and_then(|package| package.namespace.as_deref());
            (object.name.as_str(), without_prefix(&object.name, namespace))
        })
        .collect();
    for (_, name) in &short {
        *takers.entry(name).or_default() += 1;
    }
    short.into_iter().map(|(full, name)| (full, if takers.get(name) == Some(&1) { name } else { full })).collect()
}

/// A name as it stands in a statement.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn without_prefix<'a>(object: &'a str, namespace: Option<&str>) -> &'a str {
    let rest = namespace.and_then(|namespace| object.strip_prefix(namespace)?.strip_prefix('_'));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_metadata::load::{LoadOptions, load_text};

    #[test]
    fn the_prefix_goes_unless_two_packages_collide() {
        let package = |id: &str, namespace: &str, objects: &[&str]| {
            let objects: Vec<String> = objects
                .iter()
                .map(|o| format!(r#"{{"name": "{o}", "label": "x", "fields": {{"n": {{"type": "text"}}}}}}"#))
                .collect();
            format!(
                r#"{{"manifest": {{"id": "{id}", "namespace": "{namespace}", "version": "1.0.0", "type": "app", "name": "{id}"}}, "objects": [{}]}}"#,
                objects.join(",")
            )
        };
        let one = package("com.a", "crm", &["crm_accounts", "crm_orders"]);
        let two = package("com.b", "shop", &["shop_orders"]);
        let stack = format!(r#"{{"packages": [{one}, {two}]}}"#);
        let snapshot = load_text("stack.json", &stack, &LoadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let names = sql_names(&snapshot);
        assert_eq!(names["crm_accounts"], "accounts");
        assert_eq!(names["crm_orders"], "crm_orders");
        assert_eq!(names["shop_orders"], "shop_orders");
        for (object, namespace, expected) in
            [("crm_", Some("crm"), "crm_"), ("crmx", Some("crm"), "crmx"), ("a_b", None, "a_b")]
        {
            assert_eq!(without_prefix(object, namespace), expected);
        }
    }
}
