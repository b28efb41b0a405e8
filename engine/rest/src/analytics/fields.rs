//! Fields that a model is of: those of its object, and by paths those of objects that its references lead to. All are as the principal
//! sees them.

use super::readable;
use crate::refusal::Refusal;
use crate::work::Work;
use querygate_query_api::requests::question::{
    FieldDescription, ObjectDescription, PATH_STEPS_MAX, RELATED_OBJECTS_MAX,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Paths of one request that are looked at.
const PATHS_MAX: usize = 256;

/// An object, and those that references lead to by their paths.
pub(super) struct ModelFields {
    pub(super) object: Arc<ObjectDescription>,
    related: BTreeMap<String, Arc<ObjectDescription>>,
}

/// The paths of names: what stands before their last dots.
pub(super) fn paths_of<'n>(names: impl IntoIterator<Item = &'n str>) -> BTreeSet<String> {
    names.into_iter().filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned())).collect()
}

/// Whether the principal may compute with a field.
fn is_open(field: &FieldDescription) -> bool {
    !field.is_masked && !field.is_computed
}

/// The object that a field of one record refers to.
fn referred(object: &ObjectDescription, field: &str) -> Option<String> {
    object.field(field).filter(|field| is_open(field) && !field.is_list)?.references.clone()
}

/// Whether a cube joins another object in a path's place.
fn joins_another(joins: Option<&Value>, path: &str, target: &str) -> bool {
    let join = joins.and_then(|joins| joins.get(path.replace('.', "__")));
    join.and_then(|join| join.get("name")?.as_str()).is_some_and(|name| name != target)
}

impl ModelFields {
    /// The objects on these paths that the principal may read. A path along anything else leads nowhere. `joins`: what a cube joins.
    ///
    /// # Errors
    /// What else stands in the way, which says nothing of an object.
    pub(super) async fn of(
        work: &Work,
        object: Arc<ObjectDescription>,
        paths: BTreeSet<String>,
        joins: Option<&Value>,
    ) -> Result<Self, Refusal> {
        let mut related: BTreeMap<String, Arc<ObjectDescription>> = BTreeMap::new();
        let short = |path: &String| path.split('.').count() <= PATH_STEPS_MAX;
        for path in paths.into_iter().filter(short).take(PATHS_MAX) {
            let (mut walked, mut from) = (String::new(), Arc::clone(&object));
            for step in path.split('.') {
                let Some(target) = referred(&from, step) else { break };
                if !walked.is_empty() {
                    walked.push('.');
                }
                walked.push_str(step);
                if let Some(known) = related.get(&walked) {
                    from = Arc::clone(known);
                    continue;
                }
                if related.len() >= RELATED_OBJECTS_MAX || joins_another(joins, &walked, &target) {
                    break;
                }
                let found = readable(work, Some(&target)).await?;
                let has_key = |found: &Arc<ObjectDescription>| {
                    found.key.as_ref().and_then(|key| found.field(key)).is_some_and(|key| is_open(key))
                };
                let Some(found) = found.filter(has_key) else { break };
                related.insert(walked.clone(), Arc::clone(&found));
                from = found;
            }
        }
        Ok(Self { object, related })
    }

    /// One that the principal may see.
    pub(super) fn field(&self, name: &str) -> Option<&Arc<FieldDescription>> {
        let of_path = || {
            let (path, own) = name.rsplit_once('.')?;
            self.related.get(path)?.field(own)
        };
        self.object.field(name).or_else(of_path)
    }

    /// One that the principal may compute with.
    pub(super) fn open(&self, name: &str) -> Option<&Arc<FieldDescription>> {
        self.field(name).filter(|field| is_open(field))
    }

    /// One of the object itself that the principal may compute with.
    pub(super) fn own(&self, name: &str) -> Option<&Arc<FieldDescription>> {
        self.object.field(name).filter(|field| is_open(field))
    }

    /// Whether a name is of the object itself, or of an object that a path of the model leads to.
    pub(super) fn leads(&self, name: &str) -> bool {
        name.rsplit_once('.').is_none_or(|(path, _)| self.related.contains_key(path))
    }

    /// The object that a path leads to.
    pub(super) fn related(&self, path: &str) -> Option<&ObjectDescription> {
        self.related.get(path).map(AsRef::as_ref)
    }
}
