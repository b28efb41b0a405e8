//! Asks planners for the search: the source's own, or, where it has none for what does not exist, a guess from statistics.

use super::problem::Problem;
use querygate_driver_api::advice::{Costed, ExistingIndex, IndexSpec, WhatIf};
use querygate_driver_api::identifier::Identifier;
use querygate_models::index::{Access, Answer, CostOracle, Index};
use querygate_types::{Error, ErrorCode, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// What finds the row already that an index begins with the whole key of, over all rows and in the same order: it may be less to read
/// than the table, and no administrator makes it.
pub(super) fn found_by(problem: &Problem, index: &Index) -> Option<String> {
    let table = problem.tables.get(index.table)?;
    let keys = index.keys.iter().map(|key| table.columns.get(*key).map(|column| &column.name));
    let keys = keys.collect::<Option<Vec<&Identifier>>>()?;
    let begins = |key: &[Identifier]| {
        !key.is_empty() && key.len() <= keys.len() && key.iter().eq(keys.iter().copied().take(key.len()))
    };
    let is_whole = |one: &&ExistingIndex| one.unique && one.valid && one.plain && !one.partial && !one.expression;
    let key = if begins(&table.row_key) {
        "the table's own key".to_owned()
    } else {
        format!("index {}", table.indexes.iter().filter(is_whole).find(|one| begins(&one.keys))?.name)
    };
    let other_order = index.predicate.is_some() || problem.by_code_point(index).next().is_some();
    (!other_order).then_some(key)
}

/// How much of the time the source may be asked, and how long in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Share of the time that questions take; the rest is slept. 1: no rest.
    pub(crate) share: f64,
    pub(crate) until: Instant,
}

/// How much longer the last questions of a search may be answered, of which its result is made.
const LAST: Duration = Duration::from_secs(60);

/// The source's own planner. Blocks: for a thread of its own.
pub(crate) struct Planned<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) planner: &'a RefCell<Box<dyn WhatIf>>,
    pub(crate) runtime: &'a Handle,
    pub(crate) pace: Pace,
    pub(crate) specs: HashMap<Index, IndexSpec>,
}

impl Planned<'_> {
    fn spec(&mut self, index: &Index) -> Result<IndexSpec> {
        if let Some(known) = self.specs.get(index) {
            return Ok(known.clone());
        }
        let spec = self.problem.spec(index).ok_or_else(|| Error::internal("an index over nothing"))?;
        self.specs.insert(index.clone(), spec.clone());
        Ok(spec)
    }
}

impl CostOracle for Planned<'_> {
    type Error = Error;

    fn cost(&mut self, statement: usize, indexes: &[&Index]) -> Result<Answer> {
        let began = Instant::now();
        if began > self.pace.until + LAST {
            return Err(Error::new(ErrorCode::StatementTimeout, "the search for indexes took too long"));
        }
        let specs = indexes.iter().map(|index| self.spec(index)).collect::<Result<Vec<_>>>()?;
        let specs: Vec<&IndexSpec> = specs.iter().collect();
        let asked = self.problem.statements.get(statement).ok_or_else(|| Error::internal("no such statement"))?;
        let answer = self.runtime.block_on(self.planner.borrow_mut().cost(&asked.query, &specs))?;
        if !self.is_spent() {
            let rest = began.elapsed().mul_f64((1.0 / self.pace.share.clamp(0.01, 1.0)) - 1.0);
            std::thread::sleep(rest.min(Duration::from_secs(1)));
        }
        let Costed { cost, planned, worst, used } = answer;
        Ok(Answer { cost, planned: Some(planned), worst: Some(worst), used: Some(used) })
    }

    fn admits(&self, index: &Index) -> bool {
        found_by(self.problem, index).is_none()
    }

    fn is_spent(&self) -> bool {
        Instant::now() > self.pace.until
    }
}

/// A guess without a planner: rows visited, with conditions taken for independent. Only ever told as such.
pub(crate) struct Guessed<'a> {
    pub(crate) problem: &'a Problem,
}

/// Share of the rows behind a range of unknown values.
const RANGE: f64 = 0.25;
/// Fetching a row through an index, in visits.
const FETCH: f64 = 3.0;

impl Guessed<'_> {
    /// Cost of an access through an index.
    fn through(&self, access: &Access, index: &Index) -> f64 {
        let Some(table) = self.problem.workload.tables.get(access.table) else { return f64::MAX };
        let part = index.predicate.and_then(|number| self.problem.workload.predicates.get(number));
        let mut visited = table.rows * part.map_or(1.0, |part| part.selectivity);
        for key in &index.keys {
            let distinct = table.columns.get(*key).map_or(1.0, |column| column.distinct.max(1.0));
            if access.equal.contains(key) || access.join.contains(key) {
                visited /= distinct;
            } else if access.range.contains(key) && self.ordered(access.table, *key) {
                visited *= RANGE;
                break;
            } else {
                break;
            }
        }
        let visited = visited.max(1.0);
        table.rows.max(2.0).log2() + visited * if index.covers(&access.output) { 1.0 } else { 1.0 + FETCH }
    }

    /// Whether an index can give the column in the order that statements ask for.
    fn ordered(&self, table: usize, column: usize) -> bool {
        let Some(table) = self.problem.tables.get(table) else { return false };
        table.abilities.code_point || table.columns.get(column).is_some_and(|column| !column.collates)
    }

    /// The index in numbers, if the search knows all of its columns.
    fn real(&self, table: usize, existing: &ExistingIndex) -> Option<Index> {
        if existing.partial || existing.expression || !existing.valid || existing.keys.is_empty() {
            return None;
        }
        numbers(self.problem, table, existing)
    }
}

/// An existing index in the numbers of the search.
pub(crate) fn numbers(problem: &Problem, table: usize, existing: &ExistingIndex) -> Option<Index> {
    let columns = &problem.tables.get(table)?.columns;
    let place = |name: &Identifier| columns.iter().position(|column| column.name == *name);
    let keys = existing.keys.iter().map(place).collect::<Option<Vec<_>>>()?;
    let mut include = existing.include.iter().map(place).collect::<Option<Vec<_>>>()?;
    include.sort_unstable();
    Some(Index { include, ..Index::on(table, &keys) })
}

impl CostOracle for Guessed<'_> {
    type Error = Error;

    fn cost(&mut self, statement: usize, indexes: &[&Index]) -> Result<Answer> {
        let missing = || Error::internal("no such statement");
        let statement = self.problem.workload.statements.get(statement).ok_or_else(missing)?;
        let (mut cost, mut used) = (0.0, Vec::new());
        for access in &statement.accesses {
            let Some(table) = self.problem.tables.get(access.table) else { continue };
            let real = table.indexes.iter().filter_map(|existing| self.real(access.table, existing));
            let through_real = real.map(|index| self.through(access, &index)).fold(table.rows.max(1.0), f64::min);
            let fits = |index: &Index| {
                index.table == access.table && index.predicate.is_none_or(|number| access.implies.contains(&number))
            };
            let offered = indexes.iter().enumerate().filter(|(_, index)| fits(index));
            let best =
                offered.map(|(place, index)| (self.through(access, index), place)).min_by(|a, b| a.0.total_cmp(&b.0));
            match best {
                Some((through, place)) if through < through_real => {
                    cost += through;
                    used.push(place);
                }
                _ => cost += through_real,
            }
        }
        Ok(Answer { cost, planned: None, worst: None, used: Some(used) })
    }

    fn admits(&self, index: &Index) -> bool {
        found_by(self.problem, index).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::advice::{IndexAbilities, IndexedColumn, IndexedTable};
    use querygate_driver_api::identifier::TableRef;

    fn name(text: &str) -> Identifier {
        Identifier::new(text).unwrap()
    }

    fn unique(text: &str, keys: &[&str]) -> ExistingIndex {
        ExistingIndex {
            name: text.to_owned(),
            keys: keys.iter().map(|key| name(key)).collect(),
            include: Vec::new(),
            unique: true,
            constraint: false,
            partial: false,
            expression: false,
            plain: true,
            valid: true,
            scans: None,
            days: 0.0,
            bytes: None,
        }
    }

    #[test]
    fn what_begins_with_a_whole_key_finds_nothing_more() {
        let column = |text: &&str| IndexedColumn {
            name: name(text),
            width: 8.0,
            align: 8,
            distinct: 100.0,
            nulls: 0.0,
            dedupes: true,
            collates: false,
        };
        let table = IndexedTable {
            table: TableRef::new(["main", "t"]).unwrap(),
            rows: 100.0,
            columns: ["id", "tenant", "number", "mail"].iter().map(column).collect(),
            indexes: vec![
                unique("numbered", &["tenant", "number"]),
                ExistingIndex { partial: true, ..unique("open", &["mail"]) },
                ExistingIndex { plain: false, ..unique("folded", &["mail"]) },
                ExistingIndex { unique: false, ..unique("plain", &["number"]) },
            ],
            row_key: vec![name("id")],
            writes: None,
            abilities: IndexAbilities::ALL,
        };
        let problem = Problem::new(&[], vec![table], &[]);
        let found = |keys: &[usize]| found_by(&problem, &Index::on(0, keys));
        for keys in [&[0][..], &[0, 3]] {
            assert_eq!(found(keys).as_deref(), Some("the table's own key"), "{keys:?}");
        }
        for keys in [&[1, 2][..], &[1, 2, 3]] {
            assert_eq!(found(keys).as_deref(), Some("index numbered"), "{keys:?}");
        }
        for keys in [&[1][..], &[2, 1], &[3], &[3, 0], &[2]] {
            assert_eq!(found(keys), None, "{keys:?}");
        }
        let some = Index { predicate: Some(0), ..Index::on(0, &[0]) };
        assert_eq!(found_by(&problem, &some), None, "a part of the rows");
    }
}
