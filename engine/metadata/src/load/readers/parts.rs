//! Looks through declarations of which other code reads a part, as they are written: hooks, datasets and cubes. Their shapes are not closed;
//! a misspelt key of what is read is warned of, for what it says has no effect.

use crate::read::{At, Map, Shape};

/// As [`crate::model::Hook`] reads it.
const HOOK: Shape = Shape {
    what: "a hook",
    read: &[
        "name",
        "object",
        "events",
        "priority",
        "condition",
        "async",
        "onError",
        "runAs",
        "retryPolicy",
        "timeoutMs",
        "handler",
        "body",
    ],
    ignored: &["label", "description", "tags"],
    removed: &[],
};
const HOOK_BODY: Shape = Shape {
    what: "a hook's body",
    read: &["language", "source", "capabilities", "timeoutMs", "memoryMb"],
    ignored: &[],
    removed: &[],
};
const RETRY_POLICY: Shape =
    Shape { what: "a retry policy", read: &["maxRetries", "backoffMs"], ignored: &[], removed: &[] };
/// Datasets and cubes: as the REST door's analytics read them.
const DATASET: Shape = Shape {
    what: "a dataset",
    read: &["name", "label", "object", "include", "dimensions", "measures", "filter"],
    ignored: &["description", "tags"],
    removed: &[],
};
const DATASET_DIMENSION: Shape = Shape {
    what: "a dimension",
    read: &["name", "label", "field", "dateGranularity"],
    ignored: &["type", "description", "format"],
    removed: &[],
};
const DATASET_MEASURE: Shape = Shape {
    what: "a measure",
    read: &["name", "label", "aggregate", "field", "filter", "derived"],
    ignored: &["description", "format", "currency", "type"],
    removed: &[],
};
const CUBE: Shape = Shape {
    what: "a cube",
    read: &["name", "title", "sql", "measures", "dimensions", "joins", "public"],
    ignored: &["description", "refreshKey", "label"],
    removed: &[],
};
const CUBE_MEASURE: Shape = Shape {
    what: "a measure",
    read: &["type", "sql", "label", "filter"],
    ignored: &["name", "description", "format"],
    removed: &[],
};
const CUBE_DIMENSION: Shape = Shape {
    what: "a dimension",
    read: &["sql", "label", "granularities"],
    ignored: &["name", "type", "description", "format"],
    removed: &[],
};

pub(in crate::load) fn look_through_hook(hook: &Map<'_>) {
    hook.at().part(&HOOK);
    look_at(hook, "body", &HOOK_BODY);
    look_at(hook, "retryPolicy", &RETRY_POLICY);
}

/// The `datasets` and `analyticsCubes` of a stack or a package.
pub(in crate::load) fn look_through_analytics(collections: &Map<'_>) {
    for dataset in maps(collections, "datasets") {
        let Some(map) = dataset.part(&DATASET) else { continue };
        for (key, shape) in [("dimensions", &DATASET_DIMENSION), ("measures", &DATASET_MEASURE)] {
            for entry in maps(&map, key) {
                entry.part(shape);
            }
        }
    }
    for cube in maps(collections, "analyticsCubes") {
        let Some(map) = cube.part(&CUBE) else { continue };
        for (key, shape) in [("dimensions", &CUBE_DIMENSION), ("measures", &CUBE_MEASURE)] {
            let entries = map.get(key).filter(At::is_map).and_then(|at| at.open());
            for (_, entry) in entries.iter().flat_map(Map::entries).filter(|(_, entry)| entry.is_map()) {
                entry.part(shape);
            }
        }
    }
}

fn look_at(map: &Map<'_>, key: &str, shape: &'static Shape) {
    if let Some(at) = map.get(key).filter(At::is_map) {
        at.part(shape);
    }
}

/// The mappings of a list. What else stands there is for its reader to judge.
fn maps<'a>(map: &Map<'a>, key: &str) -> Vec<At<'a>> {
    let list = map.get(key).filter(At::is_list).map(|at| at.list()).unwrap_or_default();
    list.into_iter().filter(At::is_map).collect()
}

#[cfg(test)]
mod tests {
    use crate::load::{LoadOptions, load_text};

    /// Message, hint and path of each warning.
    fn warnings(stack: &str) -> Vec<(String, Option<String>, String)> {
        let snapshot = load_text("s.yaml", stack, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        snapshot.warnings.into_iter().map(|found| (found.message, found.hint, found.path)).collect()
    }

    #[test]
    fn a_misspelt_key_of_what_is_read_is_warned_of() {
        let found = warnings(
            r#"
objects: [{ name: lead, fields: { name: { type: text } } }]
hooks:
  - { name: h, object: lead, events: [beforeInsert], conditon: "record.name == 'a'", onErorr: log, body: { language: js, source: x, timeoutMS: 5 } }
datasets:
  - { name: dd, object: lead, filtr: { name: a }, measures: [{ name: mm, agregate: count }] }
analyticsCubes:
  - { name: cc, sql: lead, publik: false, dimensions: { name: { sql: name, granularites: [day] } } }
"#,
        );
        let of = |what: &str, key: &str, near: &str, path: &str| {
            (format!("key '{key}' of {what} is not read"), Some(format!("Did you mean '{near}'?")), path.to_owned())
        };
        let expected = [
            of("a hook", "conditon", "condition", "hooks[0].conditon"),
            of("a hook", "onErorr", "onError", "hooks[0].onErorr"),
            of("a hook's body", "timeoutMS", "timeoutMs", "hooks[0].body.timeoutMS"),
            of("a dataset", "filtr", "filter", "datasets[0].filtr"),
            of("a measure", "agregate", "aggregate", "datasets[0].measures[0].agregate"),
            of("a cube", "publik", "public", "analyticsCubes[0].publik"),
            of("a dimension", "granularites", "granularities", "analyticsCubes[0].dimensions.name.granularites"),
        ];
        assert_eq!(found, expected);
    }

    /// Keys of other releases, and those whose likeness is there, are none of this gate's business.
    #[test]
    fn other_keys_are_accepted() {
        let found = warnings(
            r#"
objects: [{ name: lead, fields: { name: { type: text } } }]
hooks:
  - { name: h, object: lead, events: [beforeInsert], event: x, condition: "true", conditions: [], order: 3, body: { language: js, source: x, sources: [] } }
datasets:
  - { name: dd, object: lead, filter: {}, filters: [], cache: true, dimensions: [3], measures: {} }
analyticsCubes: [{ name: cc, sql: lead, refreshKey: {}, preAggregations: {}, dimensions: [], measures: { n: count } }]
"#,
        );
        assert_eq!(found, []);
    }
}
