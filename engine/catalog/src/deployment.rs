//! One immutable version of everything a statement is planned on: metadata, facts, source tables, views, names.
//! Knows no principal.

use crate::remote::DriverTable;
use crate::rescan::Rescan;
pub use crate::unavailable::UnavailableTable;
use datafusion::catalog::TableProvider;
use indexmap::IndexMap;
use querygate_driver_api::driver::Driver;
use querygate_metadata::model::{Facts, Object, Snapshot};
use querygate_policy::CompiledPolicy;
use querygate_types::Error;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

/// The rows behind an object, ungoverned.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// Name of the source in the configuration.
    pub source: Arc<str>,
    /// Provider whose columns are named as the object's fields. Fields that the source lacks are absent.
    pub provider: Arc<dyn TableProvider>,
    /// Who stores new rows of a table that is read past its driver. `None`: none are stored, or the driver of
    /// the provider stores them.
    pub appends: Option<DriverTable>,
    /// How scans of plans that are kept are made anew. `None`: they are planned again.
    pub rescan: Option<Rescan>,
}

impl SourceTable {
    /// A table that is read by its provider, whose driver stores its new rows, if it has one.
    pub fn new(source: impl Into<Arc<str>>, provider: Arc<dyn TableProvider>) -> Self {
        Self { source: source.into(), provider, appends: None, rescan: None }
    }

    /// This table, of which the scans of kept plans are made anew so.
    #[must_use]
    pub fn with_rescan(self, rescan: Rescan) -> Self {
        Self { rescan: Some(rescan), ..self }
    }
}

/// A view of the configuration. Runs with the reader's rights.
#[derive(Debug, Clone)]
pub struct ViewDefinition {
    pub schema: String,
    pub name: String,
    pub sql: String,
    pub comment: Option<String>,
}

/// How a source is, for `querygate.sources` and readiness.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    pub name: String,
    pub kind: String,
    /// Why the last load could not read it, or a table of it; `None`: it could.
    pub error: Option<Error>,
    pub tables: usize,
    /// What connects to it; `None` where nothing does.
    pub driver: Option<Arc<dyn Driver>>,
}

impl SourceStatus {
    /// Why it is down now; `None`: up. It may have gone since the last load.
    #[must_use]
    pub fn down(&self) -> Option<Error> {
        self.driver.as_ref().and_then(|driver| driver.away()).or_else(|| self.error.clone())
    }
}

/// Something that a source changed in an object's table, and what was done about it. For operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaEvent {
    pub at: SystemTime,
    pub source: String,
    pub object: String,
    /// `None`: the table itself.
    pub field: Option<String>,
    /// The type in the source's own words, when it was first seen; `None`: there was none.
    pub was: Option<String>,
    pub is: Option<String>,
    /// `followed`, `refused`, `widened`, `hidden`, `restored` or `served`.
    pub done: &'static str,
}

/// One version of the gate's state. A statement pins one, a transaction pins one.
#[derive(Debug)]
pub struct Deployment {
    /// Grows with every replacement.
    pub version: u64,
    /// The one database that clients may name.
    pub database: String,
    pub snapshot: Arc<Snapshot>,
    /// The snapshot's policies, compiled once.
    pub policies: Arc<CompiledPolicy>,
    pub facts: Arc<Facts>,
    /// By object name. An object without an entry has no source and is not shown.
    pub tables: HashMap<String, SourceTable>,
    pub views: Vec<ViewDefinition>,
    pub sources: Vec<SourceStatus>,
    /// What sources changed since the gate began, oldest first.
    pub schema_events: Vec<SchemaEvent>,
    /// Whether a masked column in a predicate carries its mask (`mask`) or is refused.
    pub refuse_masked_predicates: bool,
    /// Whether statements find columns that their reader may not read, and are refused, or do not find them.
    pub deny_hidden_columns: bool,
}

impl Deployment {
    /// SQL names of all objects: the object's name without its package's namespace; where two packages would collide,
    /// both keep their full names.
    #[must_use]
    pub fn sql_names(&self) -> IndexMap<String, Arc<Object>> {
        let mut by_short: BTreeMap<String, Vec<Arc<Object>>> = BTreeMap::new();
        for object in self.snapshot.objects.values() {
            by_short.entry(self.short_name(object)).or_default().push(Arc::clone(object));
        }
        let mut names = IndexMap::new();
        for (short, objects) in by_short {
            if let [only] = objects.as_slice() {
                names.insert(short, Arc::clone(only));
            } else {
                names.extend(objects.into_iter().map(|object| (object.name.clone(), object)));
            }
        }
        names
    }

    /// Whether an object, a column or a view has a name of more bytes.
    #[must_use]
    pub fn names_reach(&self, bytes: usize) -> bool {
        let is_long = |name: &str| name.len() > bytes;
        let of_object = |object: &Arc<Object>| is_long(&object.name) || object.fields.keys().any(|name| is_long(name));
        self.snapshot.objects.values().any(of_object) || self.views.iter().any(|view| is_long(&view.name))
    }

    fn short_name(&self, object: &Object) -> String {
        let namespace = self.snapshot.packages.get(&object.package).and_then(|package| package.namespace.as_deref());
        let short = namespace.and_then(|ns| object.name.strip_prefix(ns)).and_then(|rest| rest.strip_prefix('_'));
        match short {
            Some(short) if !short.is_empty() => short.to_owned(),
            _ => object.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{deployed, stack};

    /// Short names where they are clear, full ones for both where two objects would have one.
    #[test]
    fn sql_names_leave_the_namespace_out_where_they_may() {
        let names = |stack: &serde_json::Value| {
            let names = deployed(stack, 1).sql_names();
            names.into_iter().map(|(name, object)| (name, object.name.clone())).collect::<Vec<_>>()
        };
        let pair = |short: &str, full: &str| (short.to_owned(), full.to_owned());
        let plain = [pair("notes", "team_notes"), pair("pay", "team_pay"), pair("people", "team_people")];
        assert_eq!(names(&stack()), plain);
        // Without a namespace every name is whole.
        let mut bare = stack();
        bare["manifest"].as_object_mut().unwrap().remove("namespace");
        assert_eq!(names(&bare).first(), Some(&pair("team_notes", "team_notes")));
    }
}
