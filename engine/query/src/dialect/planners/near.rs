//! The relation or column that a reader may have meant by a name that none has: of those that the reader sees, and no others.

use querygate_metadata::nearest;
use querygate_pg_catalog::image::{CatalogImage, Schema};
use querygate_types::{Error, ErrorCode};

/// Longer names are not looked for: no typing slip has their length.
const NAME_MAX: usize = 128;

/// System tables that are there with a table of the configuration, and its name.
const CONFIGURED: [(&str, &str); 13] = [
    ("anomalies", "learning"),
    ("index_suggestions", "learning"),
    ("models", "learning"),
    ("plan_progress", "learning"),
    ("plans", "learning"),
    ("telemetry", "learning"),
    ("templates", "learning"),
    ("event_deliveries", "events"),
    ("events", "events"),
    ("subscriptions", "events"),
    ("history", "history"),
    ("transactions", "transactions"),
    ("workers", "workers"),
];

/// Shorter names are like any other of their length.
const NAME_MIN: usize = 3;

/// The column most like a name, of those that the caller knows its reader to see.
pub(crate) fn near_column<'a>(name: &str, seen: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    (NAME_MIN..=NAME_MAX).contains(&name.len()).then(|| nearest(name, seen)).flatten()
}

/// The error of a relation that does not exist, with the nearest name, or with what it takes to have it.
pub(crate) fn with_nearest(error: Error, image: &CatalogImage) -> Error {
    if error.code() != ErrorCode::UndefinedTable || error.hint().is_some() {
        return error;
    }
    let name = error.message().strip_prefix("relation \"").and_then(|rest| rest.split_once("\" does not exist"));
    let Some((name, _)) = name.filter(|(name, _)| name.len() <= NAME_MAX) else { return error };
    let configured = name.strip_prefix("querygate.").and_then(|own| CONFIGURED.iter().find(|(table, _)| *table == own));
    let hint = match configured {
        Some((_, key)) => Some(format!("It is there where the gate's configuration has [{key}].")),
        None => near(name, image).map(|near| format!("Perhaps you meant to reference the table \"{near}\".")),
    };
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// As it would be written: without its schema where the name has none and the search path finds it.
fn near(name: &str, image: &CatalogImage) -> Option<String> {
    let in_path = |schema: &&Schema| image.search_path.contains(&schema.name);
    match name.split_once('.') {
        // Each part is near by its own length: a schema that is right excuses no slip in what follows.
        Some((schema, own)) => {
            let schema = nearest(schema, image.schemas.iter().map(|schema| schema.name.as_str()))?;
            let relations = image.schemas.iter().filter(|one| one.name == schema).flat_map(names);
            nearest(own, relations).map(|own| format!("{schema}.{own}"))
        }
        None => {
            // A table of this name in a schema beside the search path, which a session may have changed.
            let beside = image.schemas.iter().find(|schema| names(schema).any(|own| own == name));
            match beside {
                Some(schema) => Some(format!("{}.{name}", schema.name)),
                None => nearest(name, image.schemas.iter().filter(in_path).flat_map(names)).map(str::to_owned),
            }
        }
    }
}

fn names(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.relations.iter().map(|relation| relation.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_pg_catalog::image::Relation;

    #[test]
    fn the_nearest_of_what_is_seen_is_told() {
        let schema = |name: &str, relations: &[&str]| Schema {
            name: name.to_owned(),
            relations: relations
                .iter()
                .map(|name| Relation { name: (*name).to_owned(), ..Relation::default() })
                .collect(),
            ..Schema::default()
        };
        let image = CatalogImage {
            schemas: vec![
                schema("public", &["customers", "orders"]),
                schema("stock", &["items"]),
                schema("querygate", &["audit", "hooks"]),
            ],
            search_path: vec!["public".to_owned()],
            ..CatalogImage::default()
        };
        let hint = |name: &str| {
            let error = Error::new(ErrorCode::UndefinedTable, format!("relation \"{name}\" does not exist"));
            with_nearest(error, &image).hint().map(str::to_owned)
        };
        for (name, near) in [
            ("custumers", Some("customers")),
            ("order", Some("orders")),
            ("stock.item", Some("stock.items")),
            ("items", Some("stock.items")),
            // Of a session whose search path has no such schema.
            ("orders", Some("public.orders")),
            ("invoices", None),
            ("other.zebras", None),
            // What the schema adds to a name's length allows no more slips in the rest.
            ("querygate.zzzzz", None),
            ("querygate.nosuch", None),
            ("querygate.adit", Some("querygate.audit")),
            ("querygaet.hook", Some("querygate.hooks")),
        ] {
            let expected = near.map(|near| format!("Perhaps you meant to reference the table \"{near}\"."));
            assert_eq!(hint(name), expected, "{name}");
        }
        let configured = hint("querygate.anomalies").unwrap();
        assert_eq!(configured, "It is there where the gate's configuration has [learning].");
    }
}
