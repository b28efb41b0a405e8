//! What ran at the sources, a sum for each template of a fragment: how often, how long, for which statements. Bounded.

use querygate_models::sketch::DdSketch;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::fragment::{FileReads, FragmentRecord, FragmentShape};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// Templates of fragments that are kept.
const KEPT_MAX: usize = 2_000;
/// Bytes of their native texts together.
const TEXTS_MAX: usize = 16 << 20;
/// Statements that are remembered with a fragment.
const TEMPLATES_MAX: usize = 3;
/// Longest native text that is kept: a longer one is a list of keys, and is left out.
const NATIVE_MAX: usize = 64 * 1024;
/// Relative error of the quantiles.
const ERROR: f64 = 0.02;

/// Sums of one fragment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) source: String,
    /// In the source's language, with its parameters open.
    pub(crate) text: String,
    pub(crate) shape: FragmentShape,
    /// Fingerprints of statements that it ran for.
    pub(crate) templates: Vec<u64>,
    pub(crate) runs: u64,
    pub(crate) rows: u64,
    /// Microseconds at the source, waiting for a connection left out.
    pub(crate) micros: u64,
    /// Milliseconds of complete runs since the source's indexes changed last.
    pub(crate) latency: DdSketch,
    pub(crate) reads: Reads,
    /// UTC seconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What runs over Parquet files read, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reads {
    pub(crate) runs: u64,
    pub(crate) files: FileReads,
}

impl Reads {
    fn add(&mut self, reads: FileReads) {
        let FileReads { bytes, groups, groups_spared, files_spared } = &mut self.files;
        self.runs += 1;
        *bytes = bytes.saturating_add(reads.bytes);
        *groups = groups.saturating_add(reads.groups);
        *groups_spared = groups_spared.saturating_add(reads.groups_spared);
        *files_spared = files_spared.saturating_add(reads.files_spared);
    }
}

impl Ran {
    fn new(fragment: &FragmentRecord, seconds: i64) -> Self {
        let template = &fragment.template;
        Self {
            source: template.source.to_string(),
            text: template.text.to_string(),
            shape: template.shape.clone(),
            templates: Vec::new(),
            runs: 0,
            rows: 0,
            micros: 0,
            latency: DdSketch::new(ERROR),
            reads: Reads::default(),
            first: seconds,
            last: seconds,
        }
    }

    fn add(&mut self, statement: &StatementRecord, fragment: &FragmentRecord, seconds: i64) {
        let worked = fragment.total.saturating_sub(fragment.acquire);
        self.runs += 1;
        self.rows = self.rows.saturating_add(fragment.rows);
        self.micros = self.micros.saturating_add(u64::try_from(worked.as_micros()).unwrap_or(u64::MAX));
        if fragment.complete && fragment.error.is_none() {
            self.latency.add(worked.as_secs_f64() * 1e3);
        }
        if let Some(reads) = fragment.reads {
            self.reads.add(reads);
        }
        if self.templates.len() < TEMPLATES_MAX && !self.templates.contains(&statement.fingerprint) {
            self.templates.push(statement.fingerprint);
        }
        self.first = self.first.min(seconds);
        self.last = self.last.max(seconds);
        // A record that stands for more has one fragment.
        let Some(more) = &statement.more else { return };
        let worked = &more.fragment.worked;
        self.runs += more.runs;
        self.rows = self.rows.saturating_add(more.fragment.rows);
        self.micros = self.micros.saturating_add(u64::try_from(worked.sum().as_micros()).unwrap_or(u64::MAX));
        worked.each().for_each(|(time, runs)| self.latency.add_times(time.as_secs_f64() * 1e3, runs));
    }

    /// The number by which `querygate.templates` has a statement that it ran for; `own`: the fragment's, where none is known.
    pub(crate) fn statement(&self, own: u64) -> u64 {
        self.templates.first().copied().unwrap_or(own)
    }

    /// Median of complete runs since the indexes changed, with their number.
    pub(crate) fn median(&self) -> Option<(u64, f64)> {
        self.latency.quantile(0.5).map(|median| (self.latency.count(), median))
    }

    /// Begins to measure anew.
    pub(crate) fn restart(&mut self) {
        self.latency = DdSketch::new(ERROR);
    }
}

/// All of them, by fingerprint.
#[derive(Debug, Default)]
pub(crate) struct AllRan {
    pub(crate) all: HashMap<u64, Ran>,
    /// Bytes of native text in them.
    texts: usize,
    /// Not yet in the store.
    pub(crate) changed: BTreeSet<u64>,
    pub(crate) gone: Vec<u64>,
}

impl AllRan {
    /// Takes up what was kept.
    pub(crate) fn load(&mut self, all: HashMap<u64, Ran>) {
        self.texts = all.values().map(|ran| ran.text.len()).sum();
        self.all = all;
        self.forget();
    }

    pub(crate) fn follow(&mut self, record: &StatementRecord, seconds: i64) {
        for fragment in &record.fragments {
            // Keys of a join make another statement of it each time; what it costs is the join's business.
            if fragment.narrowed || fragment.template.text.len() > NATIVE_MAX {
                continue;
            }
            let key = fragment.template.fingerprint;
            let texts = &mut self.texts;
            let ran = self.all.entry(key).or_insert_with(|| {
                *texts += fragment.template.text.len();
                Ran::new(fragment, seconds)
            });
            ran.add(record, fragment, seconds);
            self.changed.insert(key);
        }
        self.forget();
    }

    /// Where there is too much, forgets down to seven eighths: what took least time goes first. A flood of templates that never
    /// come again drives out none that does.
    fn forget(&mut self) {
        if self.all.len() <= KEPT_MAX && self.texts <= TEXTS_MAX {
            return;
        }
        let mut order: Vec<(u64, i64, u64)> = self.all.iter().map(|(key, ran)| (ran.micros, ran.last, *key)).collect();
        order.sort_unstable();
        for (_, _, key) in order {
            if self.all.len() <= KEPT_MAX / 8 * 7 && self.texts <= TEXTS_MAX / 8 * 7 {
                return;
            }
            self.texts -= self.all.remove(&key).map_or(0, |ran| ran.text.len());
            self.changed.remove(&key);
            self.gone.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summed_tests::runs;
    use crate::testing::{DAY, repeated, statement};

    fn flooded(templates: u64, text: usize) -> AllRan {
        let mut all = AllRan::default();
        for n in 0..200 {
            all.follow(&statement("sam", n % 2, 10, DAY), DAY);
        }
        for n in 0..templates {
            let mut record = statement("eve", 100 + n, 10, DAY + 1);
            let mut template = (*record.fragments[0].template).clone();
            let number = n.to_string();
            template.text = format!("{number}{}", " ".repeat(text.saturating_sub(number.len()))).into();
            record.fragments[0].template = std::sync::Arc::new(template);
            all.follow(&record, DAY + 1);
        }
        all
    }

    #[test]
    fn a_flood_of_fragments_stays_within_number_and_bytes_and_drives_out_none_that_comes_again() {
        for (templates, text) in [(100_000, 10), (2_000, NATIVE_MAX)] {
            let all = flooded(templates, text);
            let bytes: usize = all.all.values().map(|ran| ran.text.len()).sum();
            assert!(all.all.len() <= KEPT_MAX && bytes <= TEXTS_MAX, "{} of {bytes} bytes", all.all.len());
            assert_eq!(all.texts, bytes);
            let usual = all.all.values().filter(|ran| ran.runs == 100).count();
            assert_eq!(usual, 2, "what comes again stays");
            assert_eq!(all.changed.len(), all.all.len(), "what is gone is not written");
            let mut again = AllRan::default();
            again.load(all.all);
            assert_eq!(again.texts, bytes);
        }
    }

    #[test]
    fn runs_that_were_added_up_count_as_runs() {
        let mut all = [AllRan::default(), AllRan::default()];
        for (all, records) in all.iter_mut().zip([runs(5_000), repeated(&runs(5_000), Some(10))]) {
            records.iter().for_each(|record| all.follow(record, DAY));
        }
        let [each, summed] = all.each_ref().map(|all| all.all.values().next().unwrap());
        assert_eq!((each.runs, each.rows, &each.templates), (summed.runs, summed.rows, &summed.templates));
        assert!(each.micros.abs_diff(summed.micros) <= 5_000, "{} {}", each.micros, summed.micros);
        let ((one, before), (other, after)) = (each.median().unwrap(), summed.median().unwrap());
        assert_eq!((one, other), (5_000, 5_000));
        assert!((before - after).abs() < 0.04 * before, "{before} {after}");
    }

    #[test]
    fn a_longer_text_is_left_out() {
        assert_eq!(flooded(1, NATIVE_MAX + 1).all.len(), 2);
    }
}
