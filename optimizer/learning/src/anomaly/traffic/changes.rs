//! Rows that principals change, for each of their tables: which stream a change belongs to.

use super::streams::{Happened, Streams};
use super::subject::Subject;
use querygate_telemetry_api::StatementRecord;

impl Streams {
    /// Takes in what a statement changed; tells what cannot wait.
    pub(in crate::anomaly) fn add_changes(&mut self, record: &StatementRecord, time: i64) -> Option<Happened> {
        let (own, more) = (record.changed, record.more.as_deref());
        let further = more.map_or((0, 0, 0), |more| (more.runs, more.changed, more.changed_most));
        let object = record.objects.first().filter(|_| own.rows > 0 || further.1 > 0)?;
        let names = (record.login.to_string(), object.clone());
        let subject = if own.deletes { Subject::Deletes(names.0, names.1) } else { Subject::Changes(names.0, names.1) };
        let stream = self.stream(&subject, record, time)?;
        stream.last = time;
        let event = stream.change(time, (1, own.rows, own.rows), object, own.deletes);
        let learnt = if further.1 > 0 { stream.change(time, further, object, own.deletes) } else { None };
        let event = event.or(learnt)?;
        let keys = vec![subject.key(), Subject::Principal(record.login.to_string()).key()];
        Some(Happened { subject, event, keys, login: Some(record.login.to_string()), causes: Vec::new() })
    }
}
