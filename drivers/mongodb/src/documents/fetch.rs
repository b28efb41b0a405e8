//! How a statement is put to the server. Where a pipeline only chooses documents and hands on their fields, the last stage, which
//! would make a document of every document, is left to us: stored documents come, and are read by the paths of their fields.

use crate::compile::compiler::FENCE;
use crate::documents::introspect::KEY;
use crate::tree::node::Node;
use crate::tree::place;
use mongodb::bson::{Bson, Document, doc};
use querygate_driver_api::relation::ScanColumn;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// What is put to the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Question {
    Find(Box<Found>),
    Aggregate(Vec<Document>),
}

/// What `find` takes of a pipeline; it is cheaper by the document.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) filter: Document,
    pub(crate) sort: Option<Document>,
    pub(crate) skip: Option<u64>,
    pub(crate) limit: Option<i64>,
    pub(crate) projection: Option<Document>,
}

/// The fields of stored documents that a statement delivers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Under which name a field would be delivered, and its path.
    fields: Vec<(String, String)>,
}

/// The fields that a collection was last found to have.
#[derive(Debug, Default)]
pub(crate) struct KnownFields {
    collections: Mutex<HashMap<String, Vec<String>>>,
}

impl Stored {
    /// These columns, as a statement would deliver them.
    pub(crate) fn of_columns(columns: &[ScanColumn]) -> Self {
        let field = |column: &ScanColumn| {
            let name = place::delivered(column.id, place::is_object_id(&column.collation));
            (name, column.name.as_str().to_owned())
        };
        Self { fields: columns.iter().map(field).collect() }
    }

    /// Of a pipeline whose last stage hands on fields of documents that the stages before it only choose.
    pub(crate) fn of(stages: &[Node]) -> Option<Self> {
        let (last, before) = stages.split_last()?;
        if !before.iter().all(chooses) {
            return None;
        }
        let Node::Object(last) = last else { return None };
        let [(project, Node::Object(delivered))] = &last[..] else { return None };
        let [(key, Node::Int(0)), fields @ ..] = &delivered[..] else { return None };
        if project != "$project" || key != KEY {
            return None;
        }
        let field = |(name, node): &(String, Node)| match node {
            Node::Text(path) => {
                let path = path.strip_prefix('$').filter(|path| !path.starts_with('$'))?;
                Some((name.clone(), path.to_owned()))
            }
            _ => None,
        };
        fields.iter().map(field).collect::<Option<_>>().map(|fields| Self { fields })
    }

    /// The path of a delivered name.
    pub(crate) fn path(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_str())
    }

    /// What the server leaves of a document: these fields, and no name of ours. A field that is left says all that is below it.
    fn inclusion(&self) -> Document {
        let paths: HashSet<&str> = self.fields.iter().map(|(_, path)| path.as_str()).collect();
        let mut included = Document::new();
        for (_, path) in &self.fields {
            if !above(path).any(|above| paths.contains(above)) {
                included.insert(path.clone(), 1);
            }
        }
        if included.is_empty() {
            // Rows are counted, and nothing of them is read.
            return doc! { KEY: 1 };
        }
        if !paths.iter().any(|path| path.split('.').next() == Some(KEY)) {
            included.insert(KEY, 0);
        }
        included
    }
}

/// The paths above one.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').filter_map(|(at, _)| path.get(..at))
}

/// Whether a stage hands on documents as they are stored.
fn chooses(stage: &Node) -> bool {
    match stage {
        Node::Object(fields) => match &fields[..] {
            [(name, _)] => matches!(name.as_str(), "$match" | "$sort" | "$skip" | "$limit"),
            _ => false,
        },
        _ => false,
    }
}

impl KnownFields {
    /// Notes all fields of a collection; `None`: it has others, or nobody knows.
    pub(crate) fn note(&self, collection: &str, fields: Option<Vec<String>>) {
        let mut collections = self.collections.lock().unwrap_or_else(PoisonError::into_inner);
        match fields {
            Some(fields) => collections.insert(collection.to_owned(), fields),
            None => collections.remove(collection),
        };
    }

    /// Whether a statement reads every field that the collection was found to have.
    fn are_all(&self, collection: &str, stored: &Stored) -> bool {
        let collections = self.collections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(fields) = collections.get(collection) else { return false };
        let wanted: HashSet<&str> = stored.fields.iter().map(|(_, path)| path.as_str()).collect();
        let read = |field: &String| wanted.contains(field.as_str()) || above(field).any(|above| wanted.contains(above));
        !fields.is_empty() && fields.iter().all(read)
    }
}

impl Question {
    /// Fields of the documents that a condition chooses, and the key of each.
    pub(crate) fn chosen(filter: Document, stored: &Stored) -> Self {
        let projection = Some(with_key(stored.inclusion()));
        Self::Find(Box::new(Found { filter, projection, ..Found::default() }))
    }

    /// Adds the key of each document. `None`: what comes is no document as it is stored.
    pub(crate) fn with_key(self) -> Option<Self> {
        match self {
            Self::Find(found) => {
                let projection = found.projection.map(with_key);
                Some(Self::Find(Box::new(Found { projection, ..*found })))
            }
            Self::Aggregate(_) => None,
        }
    }

    /// Of stages as they are bound, without the last one where stored documents are read.
    pub(crate) fn new(
        collection: &str,
        mut stages: Vec<Document>,
        stored: Option<&Stored>,
        known: &KnownFields,
    ) -> Self {
        let Some(stored) = stored else { return Self::Aggregate(stages) };
        // Where everything is wanted, choosing fields costs the server more than sending them. Fields that only some documents
        // have, and that nobody has seen, come along and are not read; fields that are seen and not wanted never come.
        let projection = (!known.are_all(collection, stored)).then(|| stored.inclusion());
        match found(&stages) {
            Some(found) => Self::Find(Box::new(Found { projection, ..found })),
            None => {
                stages.extend(projection.map(|projection| doc! { "$project": projection }));
                Self::Aggregate(stages)
            }
        }
    }
}

/// The key comes unless it is left out.
fn with_key(mut projection: Document) -> Document {
    if projection.get(KEY) == Some(&Bson::Int32(0)) {
        projection.remove(KEY);
    }
    projection
}

/// The stages as `find` has them: conditions, an order, and a part of the rows.
fn found(stages: &[Document]) -> Option<Found> {
    let mut found = Found::default();
    let mut conditions = Vec::new();
    for stage in stages {
        let (name, value) = stage.iter().next()?;
        match (name.as_str(), value) {
            ("$match", Bson::Document(condition))
                if found.sort.is_none() && found.skip.is_none() && found.limit.is_none() =>
            {
                conditions.push(condition.clone());
            }
            ("$sort", Bson::Document(keys))
                if found.sort.is_none() && found.skip.is_none() && found.limit.is_none() =>
            {
                found.sort = Some(keys.clone());
            }
            ("$skip", Bson::Int64(rows)) if found.skip.is_none() && found.limit.is_none() => {
                found.skip = Some(u64::try_from(*rows).ok()?);
            }
            ("$limit", Bson::Int64(rows)) if *rows > 0 && found.limit.is_none() => found.limit = Some(*rows),
            _ => return None,
        }
    }
    found.filter = match conditions.len() {
        0 | 1 => conditions.pop().unwrap_or_default(),
        _ => doc! { "$and": conditions },
    };
    // More rows than there can be: `find` refuses to add these up.
    let end = found.skip.unwrap_or(0).saturating_add(found.limit.map_or(0, i64::unsigned_abs));
    if end >= FENCE.unsigned_abs() {
        found.limit = None;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::parse::parse;

    fn stored(stages: &str) -> Option<Stored> {
        let Some(Node::Array(stages)) = parse(stages) else { panic!("{stages}") };
        Stored::of(&stages)
    }

    #[test]
    fn only_what_hands_on_fields_of_stored_documents_is_read_from_them() {
        let fields = r#"{"$project":{"_id":0,"c1":"$a","o2":"$b.c"}}"#;
        for before in [
            "",
            r#"{"$match":{"a":{"$eq":$1}}},"#,
            r#"{"$match":{}},{"$limit":5},{"$match":{}},{"$sort":{"a":1}},{"$skip":1},"#,
        ] {
            let stored = stored(&format!("[{before}{fields}]")).unwrap();
            assert_eq!((stored.path("c1"), stored.path("o2"), stored.path("o1")), (Some("a"), Some("b.c"), None));
        }
        for stages in [
            r#"[{"$project":{"_id":0,"c1":{"$add":["$a",1]}}}]"#,
            r#"[{"$project":{"_id":0,"c1":"$$ROOT"}}]"#,
            r#"[{"$project":{"_id":0,"c1":"a"}}]"#,
            r#"[{"$project":{"c1":"$a"}}]"#,
            r#"[{"$project":{"_id":0,"c1":"$a"}},{"$project":{"_id":0,"c1":"$c1"}}]"#,
            r#"[{"$unionWith":{"coll":"u","pipeline":[]}},{"$project":{"_id":0,"c1":"$a"}}]"#,
            r#"[{"$set":{"k0":"$a"}},{"$project":{"_id":0,"c1":"$a"}}]"#,
            r#"[{"$group":{"_id":"$a"}},{"$project":{"_id":0,"c1":"$a"}}]"#,
            r#"[{"$match":{}}]"#,
            "[]",
        ] {
            assert_eq!(stored(stages), None, "{stages}");
        }
    }

    #[test]
    fn the_server_leaves_the_wanted_fields_and_no_other() {
        let of = |paths: &[&str]| {
            let fields = paths.iter().enumerate().map(|(n, path)| (format!("c{n}"), (*path).to_owned())).collect();
            Stored { fields }.inclusion()
        };
        assert_eq!(of(&["a", "b.c"]), doc! { "a": 1, "b.c": 1, "_id": 0 });
        assert_eq!(of(&["a.b", "_id", "a"]), doc! { "_id": 1, "a": 1 });
        assert_eq!(of(&["a", "a", "ab", "a.b.c"]), doc! { "a": 1, "ab": 1, "_id": 0 });
        assert_eq!(of(&["_id.x", "a"]), doc! { "_id.x": 1, "a": 1 });
        assert_eq!(of(&[]), doc! { "_id": 1 });
    }

    #[test]
    fn whole_documents_come_only_where_every_known_field_is_wanted() {
        let stored = Stored { fields: vec![("c1".to_owned(), "a".to_owned()), ("c2".to_owned(), "b.c".to_owned())] };
        let known = KnownFields::default();
        let whole = |known: &KnownFields| match Question::new("t", Vec::new(), Some(&stored), known) {
            Question::Find(found) => found.projection.is_none(),
            Question::Aggregate(_) => panic!("not found"),
        };
        assert!(!whole(&known));
        for (fields, expected) in [
            (Some(vec!["a", "b.c"]), true),
            (Some(vec!["a.x", "b.c"]), true),
            (Some(vec!["a", "b.c", "secret"]), false),
            (Some(vec!["a", "b.c", "b.secret"]), false),
            (Some(vec!["a", "b"]), false),
            (Some(vec![]), false),
            (None, false),
        ] {
            let told = format!("{fields:?}");
            known.note("t", fields.map(|fields| fields.into_iter().map(str::to_owned).collect()));
            assert_eq!(whole(&known), expected, "{told}");
        }
    }

    #[test]
    fn a_pipeline_in_the_order_of_find_is_one() {
        let condition = |name: &str| doc! { "$match": { name: 1 } };
        let (sort, skip, limit) = (doc! { "$sort": { "a": 1 } }, doc! { "$skip": 2_i64 }, doc! { "$limit": 3_i64 });
        let all = [condition("a"), condition("b"), sort.clone(), skip.clone(), limit.clone()];
        let found_all = found(&all).unwrap();
        assert_eq!(found_all.filter, doc! { "$and": [{ "a": 1 }, { "b": 1 }] });
        assert_eq!((found_all.sort, found_all.skip, found_all.limit), (Some(doc! { "a": 1 }), Some(2), Some(3)));
        assert_eq!(found(&[]), Some(Found::default()));
        assert_eq!(found(&[condition("a")]).unwrap().filter, doc! { "a": 1 });
        for other in [
            vec![limit.clone(), condition("a")],
            vec![sort.clone(), condition("a")],
            vec![limit.clone(), skip.clone()],
            vec![skip.clone(), sort.clone()],
            vec![limit.clone(), limit.clone()],
            vec![doc! { "$limit": 0_i64 }],
            vec![doc! { "$group": {} }],
        ] {
            assert_eq!(found(&other), None, "{other:?}");
        }
        // A fence that nothing follows keeps nothing apart, and `find` adds up what is skipped and what is not.
        let fence = doc! { "$limit": FENCE };
        assert_eq!(found(std::slice::from_ref(&fence)).unwrap().limit, None);
        let most = found(&[skip, doc! { "$limit": FENCE - 1 }]).unwrap();
        assert_eq!((most.skip, most.limit), (Some(2), None));
        assert_eq!(found(&[fence, condition("a")]), None);
    }
}
