//! What fragments read of a table under one layout or another: row groups by the bounds of their values, for conditions on values
//! that sampled rows have. Knows places in the order of values, and no value.

use crate::numbers::as_number;
use querygate_driver_api::layout::{FileLayout, Place};

/// Rows whose values stand for those that nobody kept.
const PROBES: usize = 32;
/// Sampled rows that are a row group at least: fewer would tell too little of its bounds.
const CHUNK_LEAST: usize = 64;
/// What opening a row group costs, in bytes read.
pub(super) const GROUP_COST: f64 = 32.0 * 1024.0;
/// What opening a file costs, in bytes read.
const FILE_COST: f64 = 64.0 * 1024.0;
/// Share of the values that a bloom filter takes for others.
const FALSE_POSITIVES: f64 = 0.01;

/// A fragment on one table; columns by their places in the study.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) fingerprint: u64,
    pub(super) runs: f64,
    /// Rows that a run delivered.
    pub(super) rows: f64,
    pub(super) equal: Vec<usize>,
    /// Those of them that the row policy compares.
    pub(super) policy: Vec<usize>,
    pub(super) range: Vec<usize>,
    /// Every column that is read.
    pub(super) read: Vec<usize>,
}

/// A row group of a layout.
#[derive(Debug, Clone)]
struct Group {
    file: usize,
    rows: f64,
    bounds: Vec<Option<(Place, Place)>>,
}

/// Rows as they lie, or as they would.
#[derive(Debug, Clone, Default)]
pub(super) struct Laid {
    groups: Vec<Group>,
    /// Row groups that each of the simulated ones stands for.
    pub(super) scale: f64,
    pub(super) bloom: Vec<usize>,
    /// Columns by whose values files have folders, which are only opened where they fit.
    folders: Vec<usize>,
}

/// What one run reads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    pub(super) groups: f64,
    pub(super) bytes: f64,
    /// Bytes, with what opening files and row groups costs.
    pub(super) cost: f64,
}

/// How rows are to lie.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Plan {
    pub(super) partition: Vec<usize>,
    pub(super) sort: Vec<usize>,
    pub(super) group_rows: f64,
    pub(super) bloom: Vec<usize>,
}

/// A table with all that is asked of it.
pub(super) struct Bench<'a> {
    pub(super) study: &'a FileLayout,
    pub(super) asked: &'a [Asked],
    /// Places of each column in order.
    sorted: Vec<Vec<Place>>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(study: &'a FileLayout, asked: &'a [Asked]) -> Self {
        let of = |column: usize| {
            let mut places: Vec<Place> = study.sample.iter().filter_map(|row| row.get(column).copied()?).collect();
            places.sort_unstable();
            places
        };
        Self { study, asked, sorted: (0..study.columns.len()).map(of).collect() }
    }

    /// The layout that is there.
    pub(super) fn current(&self) -> Laid {
        let groups = self.study.groups.iter();
        let groups = groups.map(|one| Group { file: one.file, rows: one.rows, bounds: one.bounds.clone() });
        let columns = self.study.columns.iter().enumerate();
        Laid {
            groups: groups.collect(),
            scale: 1.0,
            bloom: columns.filter(|(_, column)| column.bloom).map(|(place, _)| place).collect(),
            folders: self.folders(),
        }
    }

    /// Columns that are folders already.
    pub(super) fn folders(&self) -> Vec<usize> {
        let columns = self.study.columns.iter().enumerate();
        columns.filter(|(_, column)| column.folder).map(|(place, _)| place).collect()
    }

    /// The sample, laid out so.
    pub(super) fn lay(&self, plan: &Plan) -> Laid {
        let mut rows: Vec<&Vec<Option<Place>>> = self.study.sample.iter().collect();
        let keys: Vec<usize> = plan.partition.iter().chain(&plan.sort).copied().collect();
        // Stable: without keys the rows stay in the order of the files.
        rows.sort_by(|a, b| {
            let by = |key: &usize| a.get(*key).cmp(&b.get(*key));
            keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        let each = self.study.rows / count(rows.len().max(1));
        let same = |a: &&Vec<Option<Place>>, b: &&Vec<Option<Place>>| {
            plan.partition.iter().all(|column| a.get(*column) == b.get(*column))
        };
        let mut laid = Laid { bloom: plan.bloom.clone(), folders: plan.partition.clone(), ..Laid::default() };
        let mut wanted = 0.0;
        for (file, part) in rows.chunk_by(same).enumerate() {
            let groups = (count(part.len()) * each / plan.group_rows.max(1.0)).ceil().max(1.0);
            wanted += groups;
            let chunk = (count(part.len()) / groups).ceil().max(count(CHUNK_LEAST));
            for chunk in part.chunks(whole(chunk)) {
                let bounds = (0..self.study.columns.len()).map(|column| self.bounds(column, chunk)).collect();
                laid.groups.push(Group { file, rows: count(chunk.len()) * each, bounds });
            }
        }
        laid.scale = (wanted / count(laid.groups.len().max(1))).max(1.0);
        laid
    }

    /// Bounds of a column among the rows that a few of them stand for: a little wider than theirs.
    fn bounds(&self, column: usize, chunk: &[&Vec<Option<Place>>]) -> Option<(Place, Place)> {
        if !self.study.columns.get(column).is_some_and(|column| column.ordered) {
            return None;
        }
        let places = || chunk.iter().filter_map(|row| row.get(column).copied()?);
        let (Some(low), Some(high)) = (places().min(), places().max()) else {
            // Only NULLs: no value is there.
            return Some((1, 0));
        };
        let slack = f64::from(high - low) / count(chunk.len().max(2) - 1);
        let slack = Place::try_from(whole(slack)).unwrap_or(Place::MAX);
        Some((low.saturating_sub(slack), high.saturating_add(slack)))
    }

    /// Cost of all runs under a layout.
    pub(super) fn total(&self, laid: &Laid) -> f64 {
        self.asked.iter().map(|asked| asked.runs * self.reading(asked, laid).cost).sum()
    }

    /// What a run reads, for the mean of the values that sampled rows have.
    pub(super) fn reading(&self, asked: &Asked, laid: &Laid) -> Reading {
        let probes: Vec<&Vec<Option<Place>>> = self.probes(asked).collect();
        let width = self.width(asked, &probes);
        let mut sum = Reading::default();
        for probe in &probes {
            let one = self.probe(asked, laid, probe, width);
            sum.groups += one.groups;
            sum.bytes += one.bytes;
            sum.cost += one.cost;
        }
        let each = 1.0 / count(probes.len().max(1));
        Reading { groups: sum.groups * each, bytes: sum.bytes * each, cost: sum.cost * each }
    }

    /// Rows with a value for each condition.
    fn probes<'b>(&'b self, asked: &'b Asked) -> impl Iterator<Item = &'b Vec<Option<Place>>> {
        let step = (self.study.sample.len() / PROBES).max(1);
        let known = move |row: &&Vec<Option<Place>>| {
            asked.equal.iter().chain(&asked.range).all(|column| row.get(*column).is_some_and(Option::is_some))
        };
        self.study.sample.iter().step_by(step).filter(known)
    }

    /// Share of a column's values that each range keeps: what was delivered, beside what the equalities keep.
    fn width(&self, asked: &Asked, probes: &[&Vec<Option<Place>>]) -> f64 {
        if asked.range.is_empty() {
            return 0.0;
        }
        let like = |probe: &Vec<Option<Place>>| {
            let same =
                |row: &&Vec<Option<Place>>| asked.equal.iter().all(|column| row.get(*column) == probe.get(*column));
            count(self.study.sample.iter().filter(same).count())
        };
        let sampled = count(self.study.sample.len().max(1));
        let equal = probes.iter().map(|probe| like(probe)).sum::<f64>() / count(probes.len().max(1)) / sampled;
        let kept = asked.rows / self.study.rows.max(1.0) / equal.max(1.0 / sampled);
        kept.clamp(1.0 / self.study.rows.max(1.0), 1.0).powf(1.0 / count(asked.range.len()))
    }

    fn probe(&self, asked: &Asked, laid: &Laid, probe: &[Option<Place>], width: f64) -> Reading {
        let at = |column: usize| probe.get(column).copied().flatten();
        let mut asks: Vec<(usize, Place, Place)> = Vec::new();
        for column in &asked.equal {
            asks.extend(at(*column).map(|place| (*column, place, place)));
        }
        for column in &asked.range {
            asks.extend(at(*column).and_then(|place| self.around(*column, place, width)).map(|(a, b)| (*column, a, b)));
        }
        let stored: f64 = asked.read.iter().filter_map(|column| self.study.columns.get(*column)).map(|c| c.bytes).sum();
        let fits = |group: &Group| {
            asks.iter().all(|(column, from, to)| match group.bounds.get(*column).copied().flatten() {
                Some((low, high)) => *from <= high && *to >= low,
                None => true,
            })
        };
        let mut reading = Reading::default();
        let mut opened = None;
        for group in &laid.groups {
            let in_folder = laid.folders.iter().all(|column| {
                let asked = asks.iter().find(|(of, ..)| of == column);
                asked.is_none_or(|(column, from, to)| match group.bounds.get(*column).copied().flatten() {
                    Some((low, high)) => *from <= high && *to >= low,
                    None => true,
                })
            });
            if in_folder && opened != Some(group.file) {
                opened = Some(group.file);
                reading.cost += FILE_COST;
            }
            if !fits(group) {
                continue;
            }
            let (present, filters) = self.present(asked, laid, group);
            let bytes = stored * group.rows / self.study.rows.max(1.0);
            reading.groups += present * laid.scale;
            reading.bytes += present * bytes + filters;
            reading.cost += present * (bytes + GROUP_COST * laid.scale) + filters;
        }
        reading
    }

    /// How likely bloom filters let a row group be read, and bytes of the filters.
    fn present(&self, asked: &Asked, laid: &Laid, group: &Group) -> (f64, f64) {
        let (mut present, mut bytes) = (1.0_f64, 0.0);
        for column in asked.equal.iter().filter(|column| laid.bloom.contains(column)) {
            let distinct = self.study.columns.get(*column).map_or(1.0, |column| column.distinct.max(1.0));
            let same = (self.study.rows / distinct).max(1.0);
            // Bounds said that the value may be here: at least one row of it is in one of the groups that they leave.
            let here = 1.0 - (-same * group.rows / self.study.rows.max(1.0)).exp();
            present *= (here + FALSE_POSITIVES).min(1.0);
            bytes += bloom_bytes(group.rows / laid.scale, distinct) * laid.scale;
        }
        (present, bytes)
    }

    fn around(&self, column: usize, place: Place, width: f64) -> Option<(Place, Place)> {
        let sorted = self.sorted.get(column)?;
        let at = sorted.partition_point(|one| *one < place);
        let half = whole(width * count(sorted.len()) / 2.0);
        let (low, high) = (at.saturating_sub(half), (at + half).min(sorted.len().saturating_sub(1)));
        Some((*sorted.get(low)?, *sorted.get(high)?))
    }

    /// Whether a value of this column is in few of the row groups that are there, and in how many of them.
    pub(super) fn overlap(&self, column: usize) -> f64 {
        let step = (self.study.sample.len() / PROBES).max(1);
        let places: Vec<Place> =
            self.study.sample.iter().step_by(step).filter_map(|row| row.get(column).copied()?).collect();
        let within = |place: &Place| {
            let holds = |bounds: Option<(Place, Place)>| bounds.is_none_or(|(low, high)| (low..=high).contains(place));
            count(self.study.groups.iter().filter(|group| holds(group.bounds.get(column).copied().flatten())).count())
        };
        places.iter().map(within).sum::<f64>() / count(places.len().max(1))
    }

    /// Bytes of all bloom filters of a plan.
    pub(super) fn bloom_size(&self, plan: &Plan) -> f64 {
        let groups = (self.study.rows / plan.group_rows.max(1.0)).ceil();
        let columns = plan.bloom.iter().filter_map(|column| self.study.columns.get(*column));
        columns.map(|column| groups * bloom_bytes(plan.group_rows, column.distinct)).sum()
    }
}

/// A split-block bloom filter: about ten and a half bits for each distinct value, rounded up to a power of two.
fn bloom_bytes(rows: f64, distinct: f64) -> f64 {
    let bytes = rows.min(distinct).max(1.0) * 10.5 / 8.0;
    bytes.max(32.0).log2().ceil().exp2()
}

fn count(number: usize) -> f64 {
    as_number(u64::try_from(number).unwrap_or(u64::MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count, not negative; `as` saturates"
)]
fn whole(number: f64) -> usize {
    number.max(0.0) as usize
}
