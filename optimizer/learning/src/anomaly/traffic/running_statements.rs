//! Statements that go on: where one does not end soon, what it has read so far is judged as if it ended now, so that rows taken
//! through a cursor that nobody closes are seen. Nothing is learnt of them before they end. In memory only, and bounded.

use super::streams::{Happened, LARGE, Streams};
use querygate_telemetry_api::{StatementRecord, read_rows};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Seconds within which a statement may end before it is looked at: most that read much just take that long.
const PATIENCE: i64 = 10;
/// Seconds after which a statement that says no more is not read with others.
const TOGETHER: i64 = 600;
/// Seconds after which it is forgotten.
const FORGOTTEN: i64 = 86_400;
/// Statements of all principals.
const STATEMENTS_MAX: usize = 4_096;

/// What goes on, by the statement's number.
#[derive(Debug, Default)]
pub(in crate::anomaly) struct RunningStatements(HashMap<u64, Going>);

#[derive(Debug)]
struct Going {
    record: StatementRecord,
    /// When it said so.
    time: i64,
    /// Since when there is something that was not judged.
    since: Option<i64>,
}

impl RunningStatements {
    /// A statement has read so much by now.
    pub(in crate::anomaly) fn note(&mut self, record: &StatementRecord, time: i64) {
        let known = self.0.get(&record.id);
        let since = known.and_then(|going| going.since).or(Some(time));
        if known.is_none() && self.0.len() >= STATEMENTS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, going)| going.time).map(|(id, _)| *id);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(record.id, Going { record: record.clone(), time, since });
    }

    /// It has ended, and is judged and learnt as a whole.
    pub(in crate::anomaly) fn ended(&mut self, record: &StatementRecord) {
        // Few statements are ever told of before they end.
        if !self.0.is_empty() {
            self.0.remove(&record.id);
        }
    }

    /// The largest statement of each principal of whom there is something to judge, and what all of its statements have read.
    fn due(&mut self, time: i64) -> Vec<(StatementRecord, u64)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        self.0.retain(|_, going| time - going.time <= FORGOTTEN);
        let ripe = |going: &&Going| going.since.is_some_and(|since| time - since >= PATIENCE);
        let logins: BTreeSet<Arc<str>> =
            self.0.values().filter(ripe).map(|going| Arc::clone(&going.record.login)).collect();
        let of = |login: Arc<str>| {
            let (mut largest, mut sum) = (None::<(u64, &StatementRecord)>, 0_u64);
            for going in self.0.values_mut().filter(|going| going.record.login == login) {
                going.since = None;
                if time - going.time > TOGETHER {
                    continue;
                }
                let read = read_rows(going.record.rows, going.record.bytes);
                sum = sum.saturating_add(read);
                if largest.is_none_or(|(most, _)| read > most) {
                    largest = Some((read, &going.record));
                }
            }
            largest.map(|(_, record)| (record.clone(), sum))
        };
        logins.into_iter().filter_map(of).collect()
    }
}

impl Streams {
    /// Looks at what goes on; tells what cannot wait for its end.
    pub(in crate::anomaly) fn look_at_going(&mut self, time: i64) -> Vec<Happened> {
        let due = self.running.due(time);
        due.into_iter().filter_map(|(record, read)| self.goes_on(&record, read, time)).collect()
    }

    fn goes_on(&mut self, record: &StatementRecord, read: u64, time: i64) -> Option<Happened> {
        if read <= LARGE {
            return None;
        }
        let cached = self.cached_subjects(record);
        let peers = self.peers_read(&record.login, time);
        let principal = cached.subjects.first()?;
        let stream = self.stream(principal, record, time)?;
        stream.last = time;
        let event = stream.foresee(time, read, peers, record.objects.first().map(String::as_str))?;
        let causes = vec!["so far, by statements that are not at their end, such as open cursors".to_owned()];
        let login = Some(record.login.to_string());
        Some(Happened { subject: principal.clone(), event, keys: cached.keys.clone(), login, causes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::traffic::subject::Subject;
    use crate::testing::{DAY, statement};
    use querygate_models::anomaly::Change;

    /// Somebody who reads little, for an hour.
    fn modest() -> Streams {
        let mut streams = Streams::default();
        for n in 0..60 {
            assert_eq!(streams.add(&statement("sam", 1, 40, DAY + n * 60), DAY + n * 60), None);
        }
        streams
    }

    fn going(id: u64, rows: u64) -> StatementRecord {
        StatementRecord { id, under_way: true, ..statement("sam", 2, rows, DAY) }
    }

    #[test]
    fn rows_of_an_open_cursor_are_an_incident_and_one_only() {
        let mut streams = modest();
        let now = DAY + 4_000;
        streams.running.note(&going(1, 8_000), now);
        streams.running.note(&going(1, 50_000), now + 4);
        assert_eq!(streams.look_at_going(now + 9), [], "it may be about to end");
        let seen = streams.look_at_going(now + 10);
        let [seen] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(seen.subject, Subject::Principal("sam".to_owned()));
        assert!(matches!(seen.event.change, Change::Opened { .. }), "{seen:?}");
        let text = seen.event.finding.as_ref().unwrap().text();
        assert!(text.contains("50"), "what was read so far: {text}");
        assert_eq!(streams.look_at_going(now + 30), [], "there is nothing new");
        streams.running.note(&going(1, 90_000), now + 31);
        assert_eq!(streams.look_at_going(now + 60), [], "it is known");
        let ended = StatementRecord { under_way: false, ..going(1, 100_000) };
        assert_eq!(streams.add(&ended, now + 61), None, "nobody is told twice");
        let sums = &streams.all[&Subject::Principal("sam".to_owned())].sums;
        assert!(sums.statements >= 1 && streams.running.0.is_empty());
    }

    #[test]
    fn what_ends_soon_is_judged_at_its_end() {
        let mut streams = modest();
        let now = DAY + 4_000;
        streams.running.note(&going(1, 50_000), now);
        let ended = StatementRecord { under_way: false, ..going(1, 100_000) };
        let seen = streams.add(&ended, now + 5).unwrap();
        assert!(seen.event.finding.unwrap().text().contains("100"), "all that it read");
        assert_eq!(streams.look_at_going(now + 60), []);
    }

    #[test]
    fn many_small_cursors_are_one_large_read() {
        let mut streams = modest();
        let now = DAY + 4_000;
        (0..20).for_each(|n| streams.running.note(&going(n, 2_000), now));
        assert_eq!(streams.look_at_going(now + 10).len(), 1);
        // Those that say nothing any more are not read with others.
        let mut streams = modest();
        for (n, then) in (0..20).zip((now..).step_by(700)) {
            streams.running.note(&going(n, 2_000), then);
            assert_eq!(streams.look_at_going(then + 20), []);
        }
    }
}
