//! What the statements of a template are about: whose streams they belong to. Found once, used for each of them.

use super::subject::Subject;
use querygate_telemetry_api::StatementRecord;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Characters of a statement that an alert names.
const LABEL_MAX: usize = 80;

/// What the statements of one template and principal are about.
#[derive(Debug)]
pub(in crate::anomaly) struct CachedSubjects {
    objects: Arc<[String]>,
    /// Of the fragments, in their order.
    sources: Vec<Arc<str>>,
    /// The principal, the template, the objects, the sources.
    pub(in crate::anomaly) subjects: Vec<Subject>,
    pub(in crate::anomaly) keys: Vec<u64>,
}

impl CachedSubjects {
    pub(in crate::anomaly) fn of(record: &StatementRecord) -> Self {
        let first = [Subject::Principal(record.login.to_string()), Subject::Template(record.fingerprint)];
        let objects = record.objects.iter().map(|name| Subject::Object(name.clone()));
        let named: BTreeSet<&Arc<str>> = record.fragments.iter().map(|fragment| &fragment.template.source).collect();
        let named = named.into_iter().map(|name| Subject::Source(name.to_string()));
        let subjects: Vec<Subject> = first.into_iter().chain(objects).chain(named).collect();
        Self {
            objects: Arc::clone(&record.objects),
            sources: record.fragments.iter().map(|fragment| Arc::clone(&fragment.template.source)).collect(),
            keys: subjects.iter().map(Subject::key).collect(),
            subjects,
        }
    }

    /// Whether the statement is about the same: plans of a template may ask other sources.
    pub(in crate::anomaly) fn is_of(&self, record: &StatementRecord) -> bool {
        let same = Arc::ptr_eq(&self.objects, &record.objects) || self.objects == record.objects;
        let sources = record.fragments.iter().map(|fragment| &fragment.template.source);
        same && sources.eq(&self.sources)
    }

    /// Keys of the objects.
    pub(in crate::anomaly) fn objects(&self) -> &[u64] {
        self.keys.get(2..2 + self.objects.len()).unwrap_or_default()
    }
}

/// The start of a statement, as an alert names it.
pub(in crate::anomaly) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LABEL_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
