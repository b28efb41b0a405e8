//! The search for a better layout of one table: a folder per value, an order of rows, a size of row groups, bloom filters; and why
//! the obvious one is not suggested.

use super::simulate::{Asked, Bench, GROUP_COST, Plan, Reading};
use querygate_driver_api::layout::FileLayout;

/// Rows of a row group at least, and sizes that are tried.
const GROUP_ROWS_LEAST: f64 = 8_192.0;
const GROUP_ROWS: [f64; 5] = [8_192.0, 32_768.0, 131_072.0, 524_288.0, 1_048_576.0];
/// Columns of an order.
const SORT_MOST: usize = 3;
/// Folders, and rows that each has in the mean at least.
const FOLDERS_MOST: f64 = 1_000.0;
const FOLDER_ROWS_LEAST: f64 = 32_768.0;
/// Folders whose rejection is told.
const REJECTED_MOST: usize = 5;
/// One more column must save this share.
const STEP_LEAST: f64 = 0.02;
/// Folders must save this share beyond the best layout without them; those of a column that the row policy compares may cost as
/// much more, because files of rows that a reader may not see are then never opened.
const FOLDERS_SAVE_LEAST: f64 = 0.05;
/// All of it must save this share: files are written anew for it.
const BENEFIT_LEAST: f64 = 0.05;

/// What one fragment would gain.
#[derive(Debug, Clone)]
pub(super) struct Gain {
    pub(super) fingerprint: u64,
    pub(super) runs: f64,
    pub(super) before: Reading,
    pub(super) after: Reading,
}

/// A layout to rewrite to.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) plan: Plan,
    /// Share of the cost of all runs.
    pub(super) benefit: f64,
    /// Cost of all runs now, in bytes.
    pub(super) before: f64,
    /// Bytes of bloom filters.
    pub(super) filters: f64,
    pub(super) gains: Vec<Gain>,
}

/// What a search found for one table.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) found: Option<Found>,
    /// Obvious layouts, and why not.
    pub(super) rejected: Vec<(Plan, String)>,
}

/// Searches.
pub(super) fn search(study: &FileLayout, asked: &[Asked]) -> Outcome {
    let bench = Bench::new(study, asked);
    let search = Search { before: bench.total(&bench.current()), bench };
    search.run()
}

struct Search<'a> {
    bench: Bench<'a>,
    before: f64,
}

impl Search<'_> {
    fn run(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let columns = self.compared();
        let Some(obvious) = columns.first().copied() else { return outcome };
        let rows = self.bench.study.rows;
        if rows < 2.0 * GROUP_ROWS_LEAST {
            let why = format!("its {rows:.0} rows are fewer than two row groups of {GROUP_ROWS_LEAST:.0}");
            outcome.rejected.push((self.sorted_by(obvious), why));
            return outcome;
        }
        let size = (rows / 64.0).clamp(GROUP_ROWS_LEAST, 131_072.0);
        let start = Plan { group_rows: size, partition: self.bench.folders(), ..Plan::default() };
        let (mut best, mut cost) = self.sort(start.clone(), &columns);
        for column in self.equal() {
            let mut plan = start.clone();
            plan.partition.push(column);
            if let Some(why) = self.too_many(column) {
                outcome.rejected.push((plan, why));
                continue;
            }
            let (with_folders, with) = self.sort(plan.clone(), &columns);
            let by_policy = self.bench.asked.iter().any(|one| one.policy.contains(&column));
            let least = if by_policy { -FOLDERS_SAVE_LEAST } else { FOLDERS_SAVE_LEAST };
            if with <= cost * (1.0 - least) {
                (best, cost) = (with_folders, with);
            } else {
                let more = 100.0 * (1.0 - with / cost.max(f64::MIN_POSITIVE)).max(0.0);
                let why = format!("its folders would save {more:.1}% beyond the best layout without them, too little");
                outcome.rejected.push((plan, why));
            }
        }
        outcome.rejected.truncate(REJECTED_MOST);
        best = self.with_blooms(best, cost);
        best = self.sized(best);
        let found = self.found(best);
        if found.benefit >= BENEFIT_LEAST {
            outcome.rejected.retain(|(plan, _)| plan.partition != found.plan.partition);
            outcome.found = Some(found);
        } else {
            outcome.rejected.push((self.sorted_by(obvious), self.why_not(obvious, found.benefit)));
        }
        outcome
    }

    fn sorted_by(&self, column: usize) -> Plan {
        let group_rows = (self.bench.study.rows / 64.0).clamp(GROUP_ROWS_LEAST, 131_072.0);
        Plan { sort: vec![column], group_rows, ..Plan::default() }
    }

    fn why_not(&self, column: usize, benefit: f64) -> String {
        let groups = self.bench.study.groups.len();
        let overlap = self.bench.overlap(column);
        #[expect(clippy::cast_precision_loss, reason = "a count of row groups")]
        let sorted = groups > 1 && overlap <= (groups as f64 / 8.0).max(1.5);
        if sorted {
            return format!("it is in this order already: a value is in {overlap:.1} of {groups} row groups");
        }
        format!("the best layout would save {:.1}%, too little to write the files anew", 100.0 * benefit.max(0.0))
    }

    /// Columns that are compared, those that cost most first; among equals the policy's.
    fn compared(&self) -> Vec<usize> {
        let current = self.bench.current();
        let mut weights: Vec<(usize, f64, bool)> = Vec::new();
        for asked in self.bench.asked {
            let weight = asked.runs * self.bench.reading(asked, &current).cost;
            for column in asked.equal.iter().chain(&asked.range) {
                let usable = self.bench.study.columns.get(*column).is_some_and(|one| one.ordered && !one.folder);
                if !usable {
                    continue;
                }
                let policy = asked.policy.contains(column);
                match weights.iter_mut().find(|(known, ..)| known == column) {
                    Some((_, sum, by_policy)) => (*sum, *by_policy) = (*sum + weight, *by_policy || policy),
                    None => weights.push((*column, weight, policy)),
                }
            }
        }
        weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.cmp(&a.2)).then(a.0.cmp(&b.0)));
        weights.into_iter().map(|(column, ..)| column).collect()
    }

    /// Those of them that are compared for equality.
    fn equal(&self) -> Vec<usize> {
        let equal = |column: &usize| self.bench.asked.iter().any(|one| one.equal.contains(column));
        self.compared().into_iter().filter(equal).collect()
    }

    /// Why a folder for each value would be too many.
    fn too_many(&self, column: usize) -> Option<String> {
        let distinct = self.bench.study.columns.get(column)?.distinct;
        let there = self.bench.folders();
        let there = there.iter().filter_map(|column| self.bench.study.columns.get(*column)).map(|one| one.distinct);
        let each = self.bench.study.rows / distinct.max(1.0) / there.product::<f64>().max(1.0);
        (distinct > FOLDERS_MOST || each < FOLDER_ROWS_LEAST).then(|| {
            format!("about {distinct:.0} values would make as many folders of {each:.0} rows each: small files")
        })
    }

    /// The plan with the order that saves most, one column after the other.
    fn sort(&self, mut plan: Plan, columns: &[usize]) -> (Plan, f64) {
        let mut cost = self.cost(&plan);
        while plan.sort.len() < SORT_MOST {
            let free = columns.iter().filter(|column| !plan.sort.contains(column) && !plan.partition.contains(column));
            let longer = free.map(|column| {
                let mut longer = plan.clone();
                longer.sort.push(*column);
                (self.cost(&longer), longer)
            });
            match longer.min_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((less, longer)) if less < cost * (1.0 - STEP_LEAST) => (plan, cost) = (longer, less),
                _ => break,
            }
        }
        (plan, cost)
    }

    /// With bloom filters of columns that no order serves, where they save more than reading them costs.
    fn with_blooms(&self, mut plan: Plan, mut cost: f64) -> Plan {
        for column in self.equal() {
            if plan.partition.contains(&column) || plan.sort.first() == Some(&column) {
                continue;
            }
            let mut with = plan.clone();
            with.bloom.push(column);
            let less = self.cost(&with);
            if less < cost * (1.0 - STEP_LEAST) {
                (plan, cost) = (with, less);
            }
        }
        plan
    }

    fn sized(&self, plan: Plan) -> Plan {
        let fits = |size: &&f64| **size * 2.0 <= self.bench.study.rows;
        let sizes = GROUP_ROWS.iter().filter(fits).chain([&plan.group_rows]);
        let sized = sizes.map(|size| Plan { group_rows: *size, ..plan.clone() });
        sized
            .map(|plan| (self.cost(&plan), plan))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(plan.clone(), |(_, best)| best)
    }

    fn cost(&self, plan: &Plan) -> f64 {
        self.bench.total(&self.bench.lay(plan))
    }

    fn found(&self, plan: Plan) -> Found {
        let (current, laid) = (self.bench.current(), self.bench.lay(&plan));
        let gain = |asked: &Asked| Gain {
            fingerprint: asked.fingerprint,
            runs: asked.runs,
            before: self.bench.reading(asked, &current),
            after: self.bench.reading(asked, &laid),
        };
        let gains: Vec<Gain> = self.bench.asked.iter().map(gain).collect();
        let after: f64 = gains.iter().map(|gain| gain.runs * gain.after.cost).sum();
        let benefit = if self.before > GROUP_COST { 1.0 - after / self.before } else { 0.0 };
        Found { benefit, before: self.before, filters: self.bench.bloom_size(&plan), gains, plan }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::layout::{LayoutColumn, RowGroup};

    /// 200,000 rows in 20 row groups in order of `id`; `tenant` of 5, `day` of 1,000, `mail` of all; each of them by chance.
    fn study(rows: f64) -> FileLayout {
        let mut state = 1_u64;
        let mut next = |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % u64::from(below)).unwrap()
        };
        let sample: Vec<Vec<Option<u32>>> =
            (0..8_000).map(|n| vec![Some(n), Some(next(5)), Some(next(1_000)), Some(next(1_000_000))]).collect();
        let column = |name: &str, distinct: f64| LayoutColumn {
            name: name.to_owned(),
            file_name: name.to_owned(),
            bytes: rows * 8.0,
            distinct,
            ordered: true,
            bloom: false,
            folder: false,
        };
        let group = |n: u32| RowGroup {
            file: 0,
            rows: rows / 20.0,
            bounds: vec![Some((n * 400, n * 400 + 399)), Some((0, 4)), Some((0, 999)), Some((0, 999_999))],
        };
        FileLayout {
            pattern: "t".to_owned(),
            version: 1,
            files: 1,
            rows,
            bytes: rows * 32.0,
            columns: vec![column("id", rows), column("tenant", 5.0), column("day", 1_000.0), column("mail", rows)],
            groups: (0..20).map(group).collect(),
            sample,
        }
    }

    const ID: usize = 0;
    const TENANT: usize = 1;
    const DAY: usize = 2;
    const MAIL: usize = 3;

    fn asked(equal: &[usize], range: &[usize], rows: f64) -> Asked {
        let (equal, range) = (equal.to_vec(), range.to_vec());
        Asked { fingerprint: 1, runs: 100.0, rows, equal, range, read: vec![0, 1, 2, 3], ..Asked::default() }
    }

    #[test]
    fn what_is_compared_leads_the_order_and_the_gain_is_what_bounds_give() {
        let study = study(200_000.0);
        let found = search(&study, &[asked(&[DAY], &[], 200.0)]).found.unwrap();
        assert_eq!((found.plan.sort.as_slice(), found.plan.partition.len()), (&[DAY][..], 0));
        let gain = &found.gains[0];
        assert_eq!(gain.before.groups, 20.0, "a value may be in any of them");
        assert!(gain.after.groups < 3.0 && found.benefit > 0.7, "{} {}", gain.after.groups, found.benefit);
        // A range of a tenth of the rows is in a tenth of the groups.
        let found = search(&study, &[asked(&[], &[DAY], 20_000.0)]).found.unwrap();
        let share = found.gains[0].after.bytes / found.gains[0].before.bytes;
        assert!(found.plan.sort == [DAY] && (0.08..0.25).contains(&share), "{share}");
    }

    #[test]
    fn what_is_in_order_already_and_what_is_too_small_is_told_and_not_suggested() {
        let large = study(200_000.0);
        let outcome = search(&large, &[asked(&[ID], &[], 1.0)]);
        let best = outcome.found.map_or(0.0, |found| found.gains[0].before.groups);
        assert!(best <= 1.5, "only smaller row groups can be better: {best}");
        let outcome = search(&large, &[asked(&[], &[ID], 50_000.0)]);
        assert!(outcome.found.is_none(), "{:?}", outcome.found);
        let (plan, why) = outcome.rejected.last().unwrap();
        assert!(plan.sort == [ID] && why.starts_with("it is in this order already"), "{why}");

        let outcome = search(&study(10_000.0), &[asked(&[DAY], &[], 10.0)]);
        assert!(outcome.found.is_none() && outcome.rejected[0].1.contains("fewer than two row groups"));
        assert!(search(&large, &[]).found.is_none());
    }

    #[test]
    fn the_tenant_wall_makes_folders_and_too_many_values_do_not() {
        let study = study(200_000.0);
        let walled = |equal: &[usize]| Asked { policy: vec![TENANT], ..asked(equal, &[], 40.0) };
        let outcome = search(&study, &[walled(&[TENANT, DAY])]);
        let found = outcome.found.unwrap();
        assert_eq!((found.plan.partition.as_slice(), found.plan.sort.as_slice()), (&[TENANT][..], &[DAY][..]));
        let (plan, why) = &outcome.rejected[0];
        assert!(plan.partition == [DAY] && why.contains("small files"), "{why}");
    }

    #[test]
    fn bloom_filters_serve_what_no_order_can() {
        let study = study(2_000_000.0);
        let by_mail = Asked { runs: 10.0, ..asked(&[MAIL], &[], 1.0) };
        let by_day = Asked { runs: 1_000.0, fingerprint: 2, ..asked(&[], &[DAY], 20_000.0) };
        let found = search(&study, &[by_mail, by_day]).found.unwrap();
        assert_eq!((found.plan.sort.first(), found.plan.bloom.as_slice()), (Some(&DAY), &[MAIL][..]));
        let gain = &found.gains[0];
        assert!(found.filters > 1_000_000.0 && gain.after.bytes * 10.0 < gain.before.bytes, "{gain:?}");
    }
}
