//! From what ran at one source to a workload of numbers, and back from numbers to names. Knows no planner.

use super::written::{Counted, Written};
use crate::numbers::as_number;
use crate::ran::Ran;
use querygate_driver_api::advice::{
    IndexSpec, IndexedColumn, IndexedTable, NativeQuery, NullTest, TableConditions, Writes,
};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_models::index::{Access, Column, Index, Predicate, Statement, Table, Workload};
use querygate_telemetry_api::TableWrites;
use querygate_telemetry_api::fragment::{ColumnPlace, ConditionKind, FragmentShape, TableShape};
use std::collections::BTreeSet;

/// Rows of a table that are written for each of its reads, where the source does not count and the gate saw none: an assumption, so
/// that no index is free.
const WRITES_ASSUMED: f64 = 0.1;
/// A part of the rows is worth an index of its own when it is at most this.
const PART_MOST: f64 = 0.8;

/// A search for one source.
pub(crate) struct Problem {
    pub(crate) workload: Workload,
    pub(crate) tables: Vec<IndexedTable>,
    pub(crate) predicates: Vec<(usize, NullTest)>,
    pub(crate) statements: Vec<Asked>,
    /// Of each table, where its writes are known from.
    pub(crate) counted: Vec<Counted>,
    /// How long the runs were watched.
    pub(crate) days: f64,
}

/// A statement of the workload.
pub(crate) struct Asked {
    pub(crate) fingerprint: u64,
    /// Of a statement that it runs for.
    pub(crate) template: u64,
    pub(crate) query: NativeQuery,
    /// Columns that the policy compares: table and column.
    pub(crate) policy: BTreeSet<(usize, usize)>,
    pub(crate) runs: u64,
    /// Mean milliseconds of a run.
    pub(crate) millis: f64,
}

/// The tables that fragments read.
pub(crate) fn tables_of<'a>(rans: impl Iterator<Item = &'a Ran>) -> Vec<TableRef> {
    let paths: BTreeSet<&Vec<String>> = rans.flat_map(|ran| ran.shape.tables.iter().map(|table| &table.path)).collect();
    paths.into_iter().filter_map(|path| TableRef::new(path.iter().map(String::as_str)).ok()).collect()
}

impl Problem {
    /// `written`: what the gate saw written at the source.
    pub(crate) fn new(rans: &[(u64, &Ran)], tables: Vec<IndexedTable>, written: &[Written]) -> Self {
        let mut problem = Self {
            workload: Workload::default(),
            predicates: Vec::new(),
            statements: Vec::new(),
            counted: Vec::new(),
            days: watched(rans, written),
            tables,
        };
        for (fingerprint, ran) in rans {
            problem.add(*fingerprint, ran);
        }
        problem.workload.predicates = problem
            .predicates
            .iter()
            .map(|(table, test)| Predicate { table: *table, selectivity: problem.share(*table, test) })
            .collect();
        for number in 0..problem.tables.len() {
            let (table, counted) = problem.table(number, written);
            problem.workload.tables.push(table);
            problem.counted.push(counted);
        }
        problem
    }

    fn add(&mut self, fingerprint: u64, ran: &Ran) {
        let mut statement = Statement { weight: as_number(ran.runs), accesses: Vec::new() };
        let mut asked = Asked {
            fingerprint,
            template: ran.statement(fingerprint),
            query: NativeQuery {
                text: ran.text.as_str().into(),
                tables: Vec::new(),
                rows: (ran.runs > 0).then(|| as_number(ran.rows) / as_number(ran.runs)),
            },
            policy: BTreeSet::new(),
            runs: ran.runs,
            millis: as_number(ran.micros) / 1e3 / as_number(ran.runs.max(1)),
        };
        for (place, shape) in ran.shape.tables.iter().enumerate() {
            let Some(number) = self.number(&shape.path) else { continue };
            statement.accesses.push(self.access(number, place, shape, &ran.shape));
            asked.query.tables.push(conditions(&self.tables[number].table, place, &ran.shape));
            let by_policy = shape.conditions.iter().filter(|one| one.kind == ConditionKind::PolicyEquality);
            asked.policy.extend(by_policy.filter_map(|one| Some((number, self.column(number, &one.column)?))));
        }
        if !statement.accesses.is_empty() {
            self.workload.statements.push(statement);
            self.statements.push(asked);
        }
    }

    fn number(&self, path: &[String]) -> Option<usize> {
        let same = |table: &TableRef| table.parts().iter().map(Identifier::as_str).eq(path.iter().map(String::as_str));
        self.tables.iter().position(|table| same(&table.table))
    }

    fn column(&self, table: usize, name: &str) -> Option<usize> {
        self.tables.get(table)?.columns.iter().position(|column| column.name.as_str() == name)
    }

    fn access(&mut self, table: usize, place: usize, shape: &TableShape, whole: &FragmentShape) -> Access {
        let mut access = Access { table, ..Access::default() };
        for condition in &shape.conditions {
            let Some(column) = self.column(table, &condition.column) else { continue };
            match condition.kind {
                ConditionKind::Equality | ConditionKind::PolicyEquality => push(&mut access.equal, column),
                ConditionKind::Range | ConditionKind::Prefix => push(&mut access.range, column),
                ConditionKind::Join => push(&mut access.join, column),
                ConditionKind::IsNull | ConditionKind::IsNotNull => {
                    let negated = condition.kind == ConditionKind::IsNotNull;
                    if let Some(predicate) = self.predicate(table, column, negated) {
                        push(&mut access.implies, predicate);
                    }
                }
            }
        }
        let own = |at: &ColumnPlace| if at.table == place { self.column(table, &at.column) } else { None };
        for join in &whole.joins {
            for side in [&join.left, &join.right] {
                if let Some(column) = own(side) {
                    push(&mut access.join, column);
                }
            }
        }
        for column in order(whole, place).into_iter().filter_map(|at| own(&at)) {
            push(&mut access.order, column);
        }
        access.output = shape.columns.iter().filter_map(|name| self.column(table, name)).collect();
        for column in access.equal.iter().chain(&access.range).chain(&access.join).chain(&access.order) {
            if !access.output.contains(column) {
                access.output.push(*column);
            }
        }
        access
    }

    /// The number of a test that keeps few enough rows.
    fn predicate(&mut self, table: usize, column: usize, negated: bool) -> Option<usize> {
        let of = self.tables.get(table).filter(|table| table.abilities.partial)?;
        let name = of.columns.get(column)?.name.clone();
        let test = NullTest { column: name, negated };
        if self.share(table, &test) > PART_MOST {
            return None;
        }
        let known = self.predicates.iter().position(|(of, known)| *of == table && *known == test);
        Some(known.unwrap_or_else(|| {
            self.predicates.push((table, test));
            self.predicates.len() - 1
        }))
    }

    fn share(&self, table: usize, test: &NullTest) -> f64 {
        let column = self.tables.get(table).and_then(|t| t.columns.iter().find(|column| column.name == test.column));
        let nulls = column.map_or(0.5, |column| column.nulls);
        if test.negated { 1.0 - nulls } else { nulls }
    }

    fn table(&self, number: usize, written: &[Written]) -> (Table, Counted) {
        let table = &self.tables[number];
        let columns: Vec<Column> = table
            .columns
            .iter()
            .map(|c| Column {
                width: c.width,
                align: c.align,
                distinct: c.distinct,
                nulls: c.nulls,
                dedupes: c.dedupes,
            })
            .collect();
        let seen = written.iter().find(|written| written.is_of(&table.table)).map(|written| &written.writes);
        let (inserts, updates, counted) = self.writes(number, seen);
        (Table { rows: table.rows, inserts, updates, columns }, counted)
    }

    /// Rows inserted or deleted, and those that got a value in each column, in the days of the runs. `seen`: by the gate.
    fn writes(&self, number: usize, seen: Option<&TableWrites>) -> (f64, Vec<f64>, Counted) {
        let table = &self.tables[number];
        let moved = seen.map_or(0.0, |seen| as_number(seen.inserted.saturating_add(seen.deleted)));
        let own = |column: &IndexedColumn| {
            seen.and_then(|seen| seen.columns.get(column.name.as_str())).map_or(0.0, |rows| as_number(*rows))
        };
        let own = table.columns.iter().map(own);
        let (writes, updated) = (table.writes, seen.map_or(0.0, |seen| as_number(seen.updated)));
        match writes {
            Some(Writes { inserted, updated: all }) => {
                // Which columns others changed is not known.
                let each = (all * self.days - updated).max(0.0) / as_number(table.columns.len().max(1) as u64);
                ((inserted * self.days).max(moved), own.map(|own| own + each).collect(), Counted::BySource)
            }
            None if moved + updated > 0.0 => (moved, own.collect(), Counted::ByGate),
            None => {
                let reads = self.workload.statements.iter();
                let reads = reads.filter(|s| s.accesses.iter().any(|access| access.table == number));
                let reads: f64 = reads.map(|statement| statement.weight).sum();
                (WRITES_ASSUMED * reads, vec![0.0; table.columns.len()], Counted::Assumed)
            }
        }
    }

    /// The words for people on the writes that an index is priced by.
    pub(crate) fn writes_words(&self, index: &Index) -> String {
        let (Some(table), Some(counted)) = (self.workload.tables.get(index.table), self.counted.get(index.table))
        else {
            return String::new();
        };
        counted.words(table, index.keys.iter().chain(&index.include).copied(), self.days)
    }

    /// An index by its names.
    pub(crate) fn spec(&self, index: &Index) -> Option<IndexSpec> {
        let table = self.tables.get(index.table)?;
        let name = |column: &usize| table.columns.get(*column).map(|column| column.name.clone());
        Some(IndexSpec {
            table: table.table.clone(),
            keys: index.keys.iter().map(name).collect::<Option<_>>()?,
            include: index.include.iter().map(name).collect::<Option<_>>()?,
            code_point: self.by_code_point(index).filter_map(|column| name(&column)).collect(),
            rows: match index.predicate {
                Some(number) => Some(self.predicates.get(number)?.1.clone()),
                None => None,
            },
        })
    }

    /// Key columns with an order of their own that statements only compare by ranges, or order by.
    pub(crate) fn by_code_point<'a>(&'a self, index: &'a Index) -> impl Iterator<Item = usize> + 'a {
        let all = || self.workload.statements.iter().flat_map(|statement| &statement.accesses);
        let here = move || all().filter(|access| access.table == index.table);
        let collates = |column: usize| {
            let table = self.tables.get(index.table).filter(|table| table.abilities.code_point);
            table.and_then(|table| table.columns.get(column)).is_some_and(|column| column.collates)
        };
        index.keys.iter().copied().filter(move |column| {
            let equal = here().any(|access| access.equal.contains(column) || access.join.contains(column));
            let ordered = here().any(|access| access.range.contains(column) || access.order.contains(column));
            collates(*column) && ordered && !equal
        })
    }

    /// Bytes of the tables' rows, roughly.
    pub(crate) fn bytes(&self) -> f64 {
        let row = |table: &IndexedTable| 24.0 + table.columns.iter().map(|c| c.width * (1.0 - c.nulls)).sum::<f64>();
        self.tables.iter().map(|table| table.rows * row(table)).sum()
    }
}

/// Days over which the runs and writes came; at least an hour.
fn watched(rans: &[(u64, &Ran)], written: &[Written]) -> f64 {
    let times = || {
        let rans = rans.iter().map(|(_, ran)| (ran.first, ran.last));
        rans.chain(written.iter().map(|written| (written.first, written.last)))
    };
    let first = times().map(|(first, _)| first).min().unwrap_or(0);
    let last = times().map(|(_, last)| last).max().unwrap_or(0);
    let seconds = u32::try_from(last.saturating_sub(first).max(3_600)).unwrap_or(u32::MAX);
    f64::from(seconds) / 86_400.0
}

fn conditions(table: &TableRef, place: usize, shape: &FragmentShape) -> TableConditions {
    let table = table.clone();
    let mut found =
        TableConditions { table, equal: Vec::new(), range: Vec::new(), join: Vec::new(), nulls: Vec::new() };
    let sides = shape.joins.iter().flat_map(|join| [&join.left, &join.right]).filter(|side| side.table == place);
    for column in sides.filter_map(|side| Identifier::new(side.column.as_str()).ok()) {
        push(&mut found.join, column);
    }
    for condition in shape.tables.get(place).into_iter().flat_map(|table| &table.conditions) {
        let Ok(column) = Identifier::new(condition.column.as_str()) else { continue };
        match condition.kind {
            ConditionKind::Equality | ConditionKind::PolicyEquality => push(&mut found.equal, column),
            ConditionKind::Range | ConditionKind::Prefix => push(&mut found.range, column),
            ConditionKind::IsNull => push(&mut found.nulls, NullTest { column, negated: false }),
            ConditionKind::IsNotNull => push(&mut found.nulls, NullTest { column, negated: true }),
            ConditionKind::Join => push(&mut found.join, column),
        }
    }
    found
}

/// Columns that an index would have to deliver in order: those rows are ordered by, if all in one direction and of this
/// table, otherwise those they are grouped by.
fn order(shape: &FragmentShape, table: usize) -> Vec<ColumnPlace> {
    let one_way = shape.order.windows(2).all(|pair| pair[0].descending == pair[1].descending);
    let ordered: Vec<ColumnPlace> = shape.order.iter().map(|order| order.place.clone()).collect();
    let here = |places: &[ColumnPlace]| !places.is_empty() && places.iter().all(|place| place.table == table);
    if one_way && here(&ordered) {
        return ordered;
    }
    if here(&shape.group) { shape.group.clone() } else { Vec::new() }
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
