//! Data quality of what passes: the share of NULLs, the range of numbers and the mix of categories in columns of whole tables, as
//! each principal may read them. Rows that a statement's own conditions chose say nothing of a table, so those runs are left out.
//! Kept in memory only.

use super::stream::Event;
use super::streams::Happened;
use super::subject::Subject;
use querygate_models::anomaly::{Batch, Change, Fault, Finding, Quality, QualityReading, Rule, Watch};
use querygate_query_api::telemetry::{FragmentRecord, StatementRecord};
use std::collections::{HashMap, HashSet};

/// Columns that are followed: some 2 KB each.
const COLUMNS_MAX: usize = 2_000;
/// Runs with fewer rows say little of a share.
const ROWS_LEAST: u64 = 20;

/// What of a column is watched apart: NULLs, range, mix.
const WATCHED: usize = 3;

#[derive(Debug)]
struct Column {
    quality: Quality,
    watches: [Watch; WATCHED],
}

impl Column {
    fn new() -> Self {
        Self { quality: Quality::new(), watches: std::array::from_fn(|_| Watch::new(Rule::GATEWAY)) }
    }

    /// What began or ended, by the watch's number, with the score.
    fn observe(&mut self, batch: &Batch, time: i64) -> Vec<(usize, Change, f64, Fault)> {
        let reading = self.quality.observe(batch);
        let watched = self.watches.iter_mut().zip(faults(&reading)).enumerate();
        watched
            .filter_map(|(number, (watch, (score, fault)))| Some((number, watch.observe(time, score)?, score, fault)))
            .collect()
    }
}

fn faults(reading: &QualityReading) -> [(f64, Fault); WATCHED] {
    let (usual, now) = reading.null_share;
    [
        (reading.nulls, Fault::Nulls(now, usual)),
        (reading.range, Fault::Range(reading.beyond)),
        (reading.categories, Fault::Categories(reading.moved)),
    ]
}

/// Everything that is followed.
#[derive(Debug, Default)]
pub(super) struct Qualities {
    /// By fragment and login: what a policy leaves differs between principals.
    all: HashMap<(u64, String), Vec<Column>>,
    columns: usize,
    /// Tables of which something is wrong already, and the column and watch that were told.
    open: HashSet<String>,
    told: HashMap<(u64, String), (usize, usize)>,
}

impl Qualities {
    pub(super) fn add(&mut self, record: &StatementRecord, time: i64) -> Vec<Happened> {
        let told = record.fragments.iter().filter(|fragment| says_something(fragment));
        told.flat_map(|fragment| self.fragment(fragment, &record.login, time)).collect()
    }

    fn fragment(&mut self, fragment: &FragmentRecord, login: &str, time: i64) -> Vec<Happened> {
        let mut found = Vec::new();
        let template = &fragment.template;
        let key = (template.fingerprint, login.to_owned());
        if !self.all.contains_key(&key) {
            if self.columns + template.passing.len() > COLUMNS_MAX {
                return found;
            }
            self.columns += template.passing.len();
            self.all.insert(key.clone(), template.passing.iter().map(|_| Column::new()).collect());
        }
        let (Some(table), Some(columns)) = (template.objects.first(), self.all.get_mut(&key)) else { return found };
        for (place, (column, nulls)) in columns.iter_mut().zip(&fragment.nulls).enumerate() {
            let Some(name) = template.passing.get(place).filter(|name| !name.is_empty()) else { continue };
            let seen = fragment.columns.get(place).copied().unwrap_or_default();
            let (range, categories) = (seen.range, seen.categories);
            let batch = Batch { rows: fragment.rows, nulls: *nulls, range, categories };
            for (watch, change, score, fault) in column.observe(&batch, time) {
                match &change {
                    Change::Opened { .. } if self.open.insert(table.clone()) => {
                        self.told.insert(key.clone(), (place, watch));
                    }
                    Change::Closed(_) if self.told.get(&key) == Some(&(place, watch)) => {
                        self.told.remove(&key);
                        self.open.remove(table);
                    }
                    // One incident for a table: what else is wrong with it is seen by whoever looks.
                    Change::Opened { .. } | Change::Closed(_) => continue,
                }
                let finding = Finding::Quality { subject: format!("{table}.{name}"), fault };
                let opened = matches!(change, Change::Opened { .. }).then_some(finding);
                let subject = Subject::Object(table.clone());
                let keys = vec![subject.key(), Subject::Source(template.source.to_string()).key()];
                let causes = vec![format!("seen in what {login} reads of it")];
                let event = Event { detector: "quality", change, finding: opened, peak: score };
                found.push(Happened { subject, event, keys, login: None, causes });
            }
        }
        found
    }
}

fn says_something(fragment: &FragmentRecord) -> bool {
    let template = &fragment.template;
    !template.passing.is_empty()
        && fragment.nulls.len() == template.passing.len()
        && fragment.complete
        && !fragment.narrowed
        && fragment.error.is_none()
        && fragment.rows >= ROWS_LEAST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, statement};
    use querygate_query_api::telemetry::ColumnSummary;
    use std::sync::Arc;

    /// A read of all of table `t`, with so many NULLs of 200 in `email`.
    fn read(login: &str, nulls: u64, seconds: i64) -> StatementRecord {
        let mut record = statement(login, 1, 200, seconds);
        let fragment = &mut record.fragments[0];
        let mut template = (*fragment.template).clone();
        template.passing = vec!["id".to_owned(), "email".to_owned(), String::new()];
        fragment.template = Arc::new(template);
        fragment.nulls = vec![0, nulls, 200];
        record
    }

    fn opened(all: &[Happened]) -> Vec<String> {
        all.iter().filter_map(|one| one.event.finding.as_ref()).map(Finding::text).collect()
    }

    #[test]
    fn a_column_that_loses_its_values_is_told_once_and_ends_when_they_are_back() {
        let mut qualities = Qualities::default();
        let mut found = Vec::new();
        for n in 0..300 {
            found.extend(qualities.add(&read("sam", i64::unsigned_abs(n) % 5, DAY + n), DAY + n));
        }
        assert!(found.is_empty(), "{found:?}");
        for n in 300..330 {
            found.extend(qualities.add(&read("sam", 150, DAY + n), DAY + n));
        }
        let told = opened(&found);
        assert!(
            matches!(&told[..], [one] if one.starts_with("t.email: ") && one.contains("of the values are null")),
            "{told:?}"
        );
        for n in 330..2_000 {
            found.extend(qualities.add(&read("sam", i64::unsigned_abs(n) % 5, DAY + n), DAY + n));
        }
        assert_eq!((found.len(), opened(&found).len()), (2, 1), "{found:?}");
    }

    /// Amounts and stages of a read of all of `t`.
    fn passing(range: (f64, f64), stages: [u32; 3], seconds: i64) -> StatementRecord {
        let mut record = read("sam", 1, seconds);
        let mut categories = [0; 16];
        categories[..3].copy_from_slice(&stages);
        let amount = ColumnSummary { range: Some(range), categories: None };
        let stage = ColumnSummary { range: None, categories: Some(categories) };
        record.fragments[0].columns = Box::new([amount, stage, ColumnSummary::default()]);
        record
    }

    #[test]
    fn another_range_and_another_mix_are_told_each() {
        for (range, stages, text) in [
            ((0.0, 90_000.0), [90, 60, 50], "t.id: values lie "),
            ((0.0, 1_000.0), [10, 10, 180], "t.email: the mix of values is another: 64.5% of them have moved"),
        ] {
            let mut qualities = Qualities::default();
            let mut found = Vec::new();
            for n in 0..300 {
                let some = u32::try_from(n % 7).unwrap();
                let ordinary = passing((0.0, 1_000.0 + f64::from(some)), [90 + some, 60 - some, 50], DAY + n);
                found.extend(qualities.add(&ordinary, DAY + n));
            }
            assert!(found.is_empty(), "{found:?}");
            for n in 300..330 {
                found.extend(qualities.add(&passing(range, stages, DAY + n), DAY + n));
            }
            let told = opened(&found);
            assert!(matches!(&told[..], [one] if one.starts_with(text)), "{told:?}");
        }
    }

    #[test]
    fn rows_that_were_chosen_or_cut_say_nothing() {
        let mut qualities = Qualities::default();
        for n in 0..300 {
            assert!(qualities.add(&read("sam", 1, DAY + n), DAY + n).is_empty());
        }
        for n in 300..400 {
            for change in 0..4 {
                let mut record = read("sam", 200, DAY + n);
                let fragment = &mut record.fragments[0];
                match change {
                    0 => fragment.complete = false,
                    1 => fragment.narrowed = true,
                    2 => fragment.rows = 3,
                    _ => fragment.nulls.clear(),
                }
                assert!(qualities.add(&record, DAY + n).is_empty());
            }
        }
        // Another principal has a usual of its own.
        for n in 400..500 {
            assert!(qualities.add(&read("ann", 150, DAY + n), DAY + n).is_empty());
        }
    }

    #[test]
    fn columns_are_bounded() {
        let mut qualities = Qualities::default();
        for n in 0..10_000 {
            let mut record = read("sam", 1, DAY);
            let mut template = (*record.fragments[0].template).clone();
            template.fingerprint = n;
            record.fragments[0].template = Arc::new(template);
            qualities.add(&record, DAY);
        }
        assert!(qualities.columns <= COLUMNS_MAX && qualities.all.len() <= COLUMNS_MAX);
    }
}
