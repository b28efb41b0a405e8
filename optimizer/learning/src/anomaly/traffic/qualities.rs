//! Data quality of what passes: the share of NULLs, the range of numbers and the mix of categories in columns of whole tables, as
//! each principal may read them. Rows that a statement's own conditions chose say nothing of a table, so those runs are left out.
//! Kept in memory only.

use super::stream::Event;
use super::streams::Happened;
use super::subject::Subject;
use querygate_models::anomaly::{Batch, Change, Fault, Finding, Quality, QualityReading, Rule, Watch};
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::fragment::FragmentRecord;
use std::collections::HashMap;

/// Columns that are followed: some 2 KB each.
const COLUMNS_MAX: usize = 2_000;
/// Of them those of one login.
const COLUMNS_OF_LOGIN: usize = 400;
/// What was not read for so long gives its place away, and what is wrong with it is not known to go on.
const IDLE: i64 = 86_400;
const HOUR: i64 = 3_600;
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

/// A fragment and a login: what a policy leaves differs between principals.
type Reader = (u64, String);

/// The columns that a reader's fragment delivers.
#[derive(Debug)]
struct Followed {
    columns: Vec<Column>,
    /// When it was read last.
    last: i64,
    source: String,
}

/// What is wrong with a table, as it was told: its reader, and the column's and the watch's place.
#[derive(Debug)]
struct OpenFault {
    reader: Reader,
    column: usize,
    watch: usize,
}

/// Everything that is followed.
#[derive(Debug, Default)]
pub(in crate::anomaly) struct Qualities {
    all: HashMap<Reader, Followed>,
    columns: usize,
    /// By table. One incident each: what else is wrong with it is seen by whoever looks.
    open: HashMap<String, OpenFault>,
    /// When idle readers last gave way to others.
    made_room: i64,
}

impl Qualities {
    pub(in crate::anomaly) fn add(&mut self, record: &StatementRecord, time: i64) -> Vec<Happened> {
        let told = record.fragments.iter().filter(|fragment| says_something(fragment));
        told.flat_map(|fragment| self.fragment(fragment, &record.login, time)).collect()
    }

    /// Ends what nobody looks at any more: it is not known to go on.
    pub(in crate::anomaly) fn close(&mut self, time: i64) -> Vec<Happened> {
        let Self { all, open, .. } = self;
        let mut ended = Vec::new();
        open.retain(|table, told| {
            let Some(followed) = all.get_mut(&told.reader) else { return false };
            if time - followed.last < IDLE {
                return true;
            }
            let watch = followed.columns.get_mut(told.column).and_then(|column| column.watches.get_mut(told.watch));
            if let Some(watch) = watch
                && let Some(span) = watch.open().copied()
            {
                watch.begin_anew();
                ended.push(happened(table, &followed.source, Change::Closed(span), 0.0, None));
            }
            false
        });
        ended
    }

    /// Takes a reader up where there is room: for all, and for one login among all.
    fn follow(&mut self, reader: &Reader, columns: usize, source: &str, time: i64) -> bool {
        if self.all.contains_key(reader) {
            return true;
        }
        if self.columns + columns > COLUMNS_MAX && !(0..HOUR).contains(&(time - self.made_room)) {
            self.made_room = time;
            let open: Vec<&Reader> = self.open.values().map(|told| &told.reader).collect();
            self.all.retain(|reader, followed| time - followed.last < IDLE || open.contains(&reader));
            self.columns = self.all.values().map(|followed| followed.columns.len()).sum();
        }
        let of_login = self.all.iter().filter(|((_, login), _)| *login == reader.1);
        let own: usize = of_login.map(|(_, followed)| followed.columns.len()).sum();
        if self.columns + columns > COLUMNS_MAX || own + columns > COLUMNS_OF_LOGIN {
            return false;
        }
        self.columns += columns;
        let columns = (0..columns).map(|_| Column::new()).collect();
        self.all.insert(reader.clone(), Followed { columns, last: time, source: source.to_owned() });
        true
    }

    fn fragment(&mut self, fragment: &FragmentRecord, login: &str, time: i64) -> Vec<Happened> {
        let mut found = Vec::new();
        let template = &fragment.template;
        let reader = (template.fingerprint, login.to_owned());
        if !self.follow(&reader, template.passing.len(), &template.source, time) {
            return found;
        }
        let (Some(table), Some(followed)) = (template.objects.first(), self.all.get_mut(&reader)) else { return found };
        followed.last = time;
        for (place, (column, nulls)) in followed.columns.iter_mut().zip(&fragment.nulls).enumerate() {
            let Some(name) = template.passing.get(place).filter(|name| !name.is_empty()) else { continue };
            let seen = fragment.columns.get(place).copied().unwrap_or_default();
            let (range, categories) = (seen.range, seen.categories);
            let batch = Batch { rows: fragment.rows, nulls: *nulls, range, categories };
            for (watch, change, score, fault) in column.observe(&batch, time) {
                let known = self.open.get(table);
                let own = known.is_some_and(|told| (&told.reader, told.column, told.watch) == (&reader, place, watch));
                let finding = match &change {
                    Change::Opened { .. } if known.is_none() => {
                        self.open.insert(table.clone(), OpenFault { reader: reader.clone(), column: place, watch });
                        Some(Finding::Quality { subject: format!("{table}.{name}"), fault })
                    }
                    Change::Closed(_) if own => {
                        self.open.remove(table);
                        None
                    }
                    Change::Opened { .. } | Change::Closed(_) => continue,
                };
                let told = finding.map(|finding| (finding, login));
                found.push(happened(table, &template.source, change, score, told));
            }
        }
        found
    }
}

fn happened(table: &str, source: &str, change: Change, peak: f64, told: Option<(Finding, &str)>) -> Happened {
    let subject = Subject::Object(table.to_owned());
    let keys = vec![subject.key(), Subject::Source(source.to_owned()).key()];
    let causes = told.iter().map(|(_, login)| format!("seen in what {login} reads of it")).collect();
    let event = Event { detector: "quality", change, finding: told.map(|(finding, _)| finding), peak };
    Happened { subject, event, keys, login: None, causes }
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
    use querygate_telemetry_api::fragment::ColumnSummary;
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

    /// A reader who is gone keeps nothing open and no place.
    #[test]
    fn what_nobody_reads_any_more_ends_and_gives_way() {
        let mut qualities = Qualities::default();
        (0..300).for_each(|n| drop(qualities.add(&read("sam", 1, DAY + n), DAY + n)));
        let told: Vec<_> = (300..310).flat_map(|n| qualities.add(&read("sam", 150, DAY + n), DAY + n)).collect();
        assert_eq!(opened(&told).len(), 1);
        assert!(qualities.close(DAY + 400).is_empty());
        let ended = qualities.close(DAY + 310 + IDLE);
        assert!(matches!(&ended[..], [one] if matches!(one.event.change, Change::Closed(_))), "{ended:?}");
        assert!(qualities.close(DAY + 310 + IDLE).is_empty() && qualities.open.is_empty());
        for login in 0..2_000 {
            qualities.add(&read(&format!("u{login}"), 1, DAY + IDLE), DAY + IDLE);
        }
        assert!(qualities.columns <= COLUMNS_MAX);
        let later = DAY + 2 * IDLE + 1;
        qualities.add(&read("kim", 1, later), later);
        assert!(
            qualities.all.contains_key(&(read("kim", 1, later).fragments[0].template.fingerprint, "kim".to_owned()))
        );
    }

    #[test]
    fn columns_are_bounded() {
        let mut qualities = Qualities::default();
        for n in 0..10_000 {
            let mut record = read(["sam", "ann"][usize::try_from(n % 2).unwrap()], 1, DAY);
            let mut template = (*record.fragments[0].template).clone();
            template.fingerprint = n;
            record.fragments[0].template = Arc::new(template);
            qualities.add(&record, DAY);
        }
        assert!(qualities.columns <= 2 * COLUMNS_OF_LOGIN && qualities.all.len() <= COLUMNS_MAX);
    }
}
