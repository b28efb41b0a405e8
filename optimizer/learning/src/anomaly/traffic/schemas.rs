//! Changed schemas of sources as incidents. The gate notices changes; here they are put together, one incident a table and look.

use super::stream::Event;
use super::streams::Happened;
use super::subject::Subject;
use crate::schema_watch::{SchemaChange, SchemaWatch};
use crate::telemetry::seconds_of;
use querygate_models::anomaly::{Change, Finding, Span};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Changes that an incident names; the others are counted.
const NAMED_MAX: usize = 5;

/// What was looked at so far.
#[derive(Debug, Default)]
pub(in crate::anomaly) struct Schemas {
    /// The last change that was told. What stands behind it is new, whatever the clock said then.
    last: Option<SchemaChange>,
}

/// Changes of one table.
#[derive(Debug, Default)]
struct Changed {
    gone: u32,
    new: u32,
    retyped: u32,
    named: Vec<String>,
}

impl Changed {
    fn add(&mut self, change: &SchemaChange) {
        let text = match (&change.field, &change.was, &change.is) {
            (None, _, _) => {
                self.gone += 1;
                "the table is gone".to_owned()
            }
            (Some(field), Some(was), None) => {
                self.gone += 1;
                format!("column {field} ({was}) is gone")
            }
            (Some(field), None, Some(is)) => {
                self.new += 1;
                format!("column {field} ({is}) is new")
            }
            (Some(field), was, is) => {
                self.retyped += 1;
                let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
                format!("column {field} is {}, was {}", word(is), word(was))
            }
        };
        if self.named.len() < NAMED_MAX {
            self.named.push(text);
        }
    }
}

impl Schemas {
    /// What changed since the last look. Nobody waits for an end: the incident ends as it begins.
    pub(in crate::anomaly) fn look(&mut self, watch: &SchemaWatch) -> Vec<Happened> {
        let changes = (watch.0)();
        let last = self.last.take();
        // Where its place is gone, so many came that all are new. A table's name may be another by now.
        let is_last = |change: &SchemaChange| last.as_ref().is_some_and(|last| is_same(last, change));
        let told = changes.iter().rposition(is_last).map_or(0, |place| place + 1);
        let mut tables: BTreeMap<(&str, &str), (Changed, SystemTime)> = BTreeMap::new();
        for change in changes.iter().skip(told) {
            if change.restored {
                continue;
            }
            let (changed, at) =
                tables.entry((&change.source, &change.object)).or_insert_with(|| (Changed::default(), change.at));
            changed.add(change);
            *at = (*at).max(change.at);
        }
        let happened =
            tables.into_iter().flat_map(|((source, object), (changed, at))| incident(source, object, changed, at));
        let happened = happened.collect();
        self.last = changes.last().cloned().or(last);
        happened
    }
}

fn is_same(one: &SchemaChange, other: &SchemaChange) -> bool {
    let key = |change: &SchemaChange| (change.at, change.source.clone(), change.field.clone(), change.is.clone());
    key(one) == key(other)
}

fn incident(source: &str, object: &str, changed: Changed, at: SystemTime) -> [Happened; 2] {
    let (subject, at) = (Subject::Object(object.to_owned()), seconds_of(at));
    let keys = vec![subject.key(), Subject::Source(source.to_owned()).key()];
    let finding = Finding::Schema {
        subject: format!("{object} of source {source}"),
        gone: changed.gone,
        new: changed.new,
        changed: changed.retyped,
    };
    let happened = |change, finding, causes| Happened {
        subject: subject.clone(),
        event: Event { detector: "schema", change, finding, peak: 1.0 },
        keys: keys.clone(),
        login: None,
        causes,
    };
    let ended = Span { start: at, end: at, peak: 1.0, observations: 1 };
    [
        happened(Change::Opened { start: at }, Some(finding), changed.named),
        happened(Change::Closed(ended), None, Vec::new()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::incidents::book::Book;
    use crate::anomaly::incidents::incident::Incident;
    use crate::testing::{DAY, at};
    use std::sync::{Arc, Mutex};

    fn change(second: i64, object: &str, field: Option<&str>, was: Option<&str>, is: Option<&str>) -> SchemaChange {
        let (field, was, is) = (field.map(str::to_owned), was.map(str::to_owned), is.map(str::to_owned));
        let (at, source, object) = (at(DAY + second), "crm".to_owned(), object.to_owned());
        SchemaChange { at, source, object, field, was, is, restored: false }
    }

    #[test]
    fn changes_of_a_table_are_one_incident_and_told_once() {
        let noticed = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&noticed);
        let watch = SchemaWatch(Arc::new(move || told.lock().unwrap().clone()));
        let (mut schemas, mut book) = (Schemas::default(), Book::default());
        let mut look = |second: i64| -> Vec<Incident> {
            let before = book.incidents.len();
            for happened in schemas.look(&watch) {
                book.note(happened, DAY + second, true, 10);
            }
            book.incidents.values().skip(before).cloned().collect()
        };
        assert!(look(0).is_empty());
        noticed.lock().unwrap().extend([
            change(1, "contacts", Some("email"), Some("text"), None),
            change(1, "contacts", Some("age"), Some("int4"), Some("text")),
            change(2, "contacts", Some("born"), None, Some("date")),
        ]);
        let found = look(3);
        let [incident] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            incident.finding.text(),
            "contacts of source crm: the schema changed: columns gone: 1, new: 1, of another type: 1"
        );
        assert_eq!(incident.causes[..2], ["column email (text) is gone", "column age is text, was int4"]);
        assert_eq!((incident.ended, incident.login.as_deref()), (Some(DAY + 2), None));
        assert!(look(4).is_empty(), "the same changes are no news");
        noticed
            .lock()
            .unwrap()
            .push(SchemaChange { restored: true, ..change(5, "contacts", Some("email"), None, Some("text")) });
        // The clock went back meanwhile.
        noticed.lock().unwrap().push(change(-3_600, "orders", None, None, None));
        let found = look(7);
        let [incident] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (incident.subject.to_string().as_str(), &incident.causes[..]),
            ("object orders", &["the table is gone".to_owned()][..])
        );
    }
}
