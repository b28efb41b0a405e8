//! Which statements read a large table row by row, and how many rows they gave last. Talks to no server.

use crate::run::paged_text::PagedText;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::remote::TableStatistics;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Texts that are remembered; when one more comes, those are forgotten that compare for equality, or all if there are none.
const STATEMENTS_MAX: usize = 1_024;
/// Fingerprints of values that a statement keeps; of more, the latest.
const VALUES_MAX: usize = 16;

/// What is known of tables and of the statements that read one row by row.
#[derive(Debug)]
pub(crate) struct TableReads {
    /// See [`crate::PostgresOptions::bulk_rows`].
    many_rows: usize,
    sizes: Mutex<HashMap<TableRef, Arc<TableSize>>>,
    statements: Mutex<HashMap<Arc<str>, Arc<TableRead>>>,
}

/// What a table's statistics last said of it.
#[derive(Debug, Default)]
struct TableSize {
    is_known: AtomicBool,
    bytes: AtomicU64,
    /// 0 where it is not known.
    rows: AtomicU64,
}

/// A statement that reads one table row by row.
#[derive(Debug)]
pub(crate) struct TableRead {
    table: TableRef,
    size: Arc<TableSize>,
    many_rows: usize,
    /// It gives every row and takes no value.
    is_whole: bool,
    /// A column equals something in every row, which an index may answer with few rows.
    by_equality: bool,
    seen: PastRuns,
}

/// What runs of a statement have shown.
#[derive(Debug)]
struct PastRuns {
    /// Its rows may be read by ranges of the table's pages, as far as is known.
    has_pages: AtomicBool,
    /// Rows that its last run gave, for whatever values; of one that did not come to its end, no fewer than before.
    last_rows: AtomicUsize,
    /// Values, by their fingerprints, whose last run gave most of the table's rows.
    giving_most: Mutex<VecDeque<u64>>,
    /// It has columns of the database's own types, which the client library alone asks about.
    has_own_types: AtomicBool,
}

impl PastRuns {
    fn none(may_have_pages: bool) -> Self {
        Self {
            has_pages: AtomicBool::new(may_have_pages),
            last_rows: AtomicUsize::new(0),
            giving_most: Mutex::default(),
            has_own_types: AtomicBool::new(false),
        }
    }

    fn giving_most(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.giving_most.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TableReads {
    pub(crate) fn new(many_rows: usize) -> Self {
        Self { many_rows, sizes: Mutex::default(), statements: Mutex::default() }
    }

    /// Notes the size of a table.
    pub(crate) fn measured(&self, table: &TableRef, statistics: &TableStatistics) {
        let size = self.size_of(table);
        size.bytes.store(statistics.bytes.unwrap_or(0), Ordering::Relaxed);
        size.rows.store(statistics.rows.unwrap_or(0), Ordering::Relaxed);
        size.is_known.store(true, Ordering::Relaxed);
    }

    fn size_of(&self, table: &TableRef) -> Arc<TableSize> {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sizes.entry(table.clone()).or_default())
    }

    /// Notes a statement, if it reads one table row by row.
    pub(crate) fn rendered(&self, relation: &Relation, statement: &NativeStatement) {
        let Some(rows) = RowByRow::of(relation) else { return };
        let size = self.size_of(rows.table);
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was compiled again keeps what is known of its runs.
        if statements.contains_key(&statement.text) {
            return;
        }
        if statements.len() >= STATEMENTS_MAX {
            // A result that is divided by pages needs the text that it reads whole.
            statements.retain(|_, known| !known.by_equality);
            if statements.len() >= STATEMENTS_MAX {
                statements.clear();
            }
        }
        statements.insert(Arc::clone(&statement.text), Arc::new(TableRead::of(rows, size, self.many_rows, statement)));
    }

    /// A statement that reads, row by row, a table of at least `bytes_least` bytes.
    pub(crate) fn of(&self, statement: &NativeStatement, bytes_least: u64) -> Option<Arc<TableRead>> {
        let read = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(&statement.text).cloned()?;
        let is_large =
            read.size.is_known.load(Ordering::Relaxed) && read.size.bytes.load(Ordering::Relaxed) >= bytes_least;
        is_large.then_some(read)
    }
}

impl TableRead {
    fn of(rows: RowByRow<'_>, size: Arc<TableSize>, many_rows: usize, statement: &NativeStatement) -> Self {
        Self {
            table: rows.table.clone(),
            size,
            many_rows,
            is_whole: !rows.is_filtered && statement.bindings.is_empty(),
            by_equality: rows.by_equality,
            seen: PastRuns::none(!rows.has_subquery),
        }
    }

    /// Its text for ranges of pages, if the statement gives every row of the table.
    pub(crate) fn paged_whole(&self, statement: &NativeStatement) -> Option<PagedText> {
        if self.is_whole { self.paged(statement) } else { None }
    }

    /// Whether it leaves rows out or takes values, and gave most of the table for some values all the same.
    pub(crate) fn may_give_most(&self) -> bool {
        !self.is_whole && !self.seen.giving_most().is_empty()
    }

    /// Its text for ranges of pages, if the statement leaves rows out or takes values, and its last run with these values gave most of the table all the
    /// same: no index would have found them sooner.
    pub(crate) fn paged_filtered(&self, statement: &NativeStatement, values: u64) -> Option<PagedText> {
        let gives_most = || self.seen.giving_most().contains(&values);
        if !self.is_whole && gives_most() { self.paged(statement) } else { None }
    }

    fn paged(&self, statement: &NativeStatement) -> Option<PagedText> {
        if !self.seen.has_pages.load(Ordering::Relaxed) {
            return None;
        }
        PagedText::of(&self.table, &statement.text).ok().flatten()
    }

    /// Notes that the table has no pages that could be read one after the other. One that gets some has to wait for another deployment.
    pub(crate) fn has_no_pages(&self) {
        self.seen.has_pages.store(false, Ordering::Relaxed);
    }

    /// Forgets that runs with these values give most of the table: reading its pages did not go well.
    pub(crate) fn forget(&self, values: u64) {
        self.seen.giving_most().retain(|known| *known != values);
    }

    /// Whether to read it off the connection's own bytes: many rows are to be expected, of types that are known.
    pub(crate) fn gives_many(&self) -> bool {
        let rows = self.seen.last_rows.load(Ordering::Relaxed);
        (!self.by_equality || rows >= self.many_rows) && !self.seen.has_own_types.load(Ordering::Relaxed)
    }

    /// Notes how many rows a run gave with these values, and whether these were all.
    pub(crate) fn gave(&self, rows: usize, is_complete: bool, values: u64) {
        if !is_complete {
            self.seen.last_rows.fetch_max(rows, Ordering::Relaxed);
            return;
        }
        self.seen.last_rows.store(rows, Ordering::Relaxed);
        let all = self.size.rows.load(Ordering::Relaxed);
        let is_most = rows >= self.many_rows && all > 0 && u64::try_from(rows).is_ok_and(|rows| rows >= all / 2);
        let mut giving_most = self.seen.giving_most();
        giving_most.retain(|known| *known != values);
        if is_most {
            giving_most.push_back(values);
        }
        if giving_most.len() > VALUES_MAX {
            giving_most.pop_front();
        }
    }

    /// Notes that it has columns of the database's own types. A table whose columns change has other texts, or is read as it is.
    pub(crate) fn has_own_types(&self) {
        self.seen.has_own_types.store(true, Ordering::Relaxed);
    }
}

/// A relation that looks at one row of one table at a time.
#[derive(Clone, Copy)]
struct RowByRow<'a> {
    table: &'a TableRef,
    is_filtered: bool,
    by_equality: bool,
    /// It reads other tables for the sake of a row. The server may make a join of that, whose rows come in an order of its own, and would
    /// read them anew for each range of pages.
    has_subquery: bool,
}

impl<'a> RowByRow<'a> {
    /// `None`: the relation looks at several rows at once.
    fn of(relation: &'a Relation) -> Option<Self> {
        match relation {
            Relation::Scan { table, .. } => {
                Some(Self { table, is_filtered: false, by_equality: false, has_subquery: false })
            }
            Relation::Project { input, exprs } => {
                let input = Self::of(input)?;
                let has_subquery = input.has_subquery || exprs.iter().any(|(_, expr)| has_subquery(expr));
                Some(Self { has_subquery, ..input })
            }
            Relation::Filter { input, predicate } => {
                let input = Self::of(input)?;
                Some(Self {
                    is_filtered: true,
                    by_equality: input.by_equality || equals(predicate),
                    has_subquery: input.has_subquery || has_subquery(predicate),
                    ..input
                })
            }
            Relation::Fence { input } => Some(Self { is_filtered: true, ..Self::of(input)? }),
            Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Window { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => None,
        }
    }
}

fn has_subquery(expr: &ScalarExpr) -> bool {
    match expr {
        ScalarExpr::Exists { .. } | ScalarExpr::InSubquery { .. } | ScalarExpr::ScalarSubquery { .. } => true,
        ScalarExpr::Column(_)
        | ScalarExpr::Parameter(..)
        | ScalarExpr::Constant(_)
        | ScalarExpr::Comparison { .. }
        | ScalarExpr::And(_)
        | ScalarExpr::Or(_)
        | ScalarExpr::Not(_)
        | ScalarExpr::IsNull { .. }
        | ScalarExpr::IsTruth { .. }
        | ScalarExpr::Between { .. }
        | ScalarExpr::InList { .. }
        | ScalarExpr::Like { .. }
        | ScalarExpr::Arithmetic { .. }
        | ScalarExpr::Negate(_)
        | ScalarExpr::Case { .. }
        | ScalarExpr::Cast { .. }
        | ScalarExpr::Function { .. } => expr.children().into_iter().any(has_subquery),
    }
}

/// Whether a condition that every row meets is an equality or a list.
fn equals(predicate: &ScalarExpr) -> bool {
    match predicate {
        ScalarExpr::And(all) => all.iter().any(equals),
        ScalarExpr::Comparison { op, .. } => *op == ComparisonOp::Eq,
        ScalarExpr::InList { negated, .. } => !negated,
        ScalarExpr::Column(_)
        | ScalarExpr::Parameter(..)
        | ScalarExpr::Constant(_)
        | ScalarExpr::Or(_)
        | ScalarExpr::Not(_)
        | ScalarExpr::IsNull { .. }
        | ScalarExpr::IsTruth { .. }
        | ScalarExpr::Between { .. }
        | ScalarExpr::Like { .. }
        | ScalarExpr::Arithmetic { .. }
        | ScalarExpr::Negate(_)
        | ScalarExpr::Case { .. }
        | ScalarExpr::Cast { .. }
        | ScalarExpr::Function { .. }
        | ScalarExpr::Exists { .. }
        | ScalarExpr::InSubquery { .. }
        | ScalarExpr::ScalarSubquery { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::identifier::ColumnId;
    use querygate_driver_api::value::ValueType;

    const MANY_ROWS: usize = 1_000;

    /// Of one table, and of no value.
    fn statement(number: usize) -> NativeStatement {
        NativeStatement {
            text: format!("SELECT {number} FROM \"public\".\"a\" AS t0").into(),
            bindings: Vec::new(),
            parameters: Vec::new(),
            output: Vec::new(),
            schema: Arc::new(arrow::datatypes::Schema::empty()),
        }
    }

    fn sized(bytes: u64) -> TableStatistics {
        TableStatistics { rows: Some(2 * MANY_ROWS as u64), bytes: Some(bytes), columns: Vec::new() }
    }

    #[test]
    fn many_rows_are_expected_of_large_tables_but_by_equality_only_once_they_came() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = || Relation::Scan { table: table.clone(), columns: Vec::new() };
        let compared =
            |op| ScalarExpr::compare(op, ScalarExpr::Column(ColumnId(0)), ScalarExpr::Parameter(0, ValueType::Int32));
        let filter = |input, predicate| Relation::Filter { input: Box::new(input), predicate };
        let (range, equality) = (|| compared(ComparisonOp::Gt), || compared(ComparisonOp::Eq));
        let either = ScalarExpr::Or(vec![equality(), range()]);
        let fenced = Relation::Fence { input: Box::new(filter(scan(), range())) };
        let limited = Relation::Limit { input: Box::new(scan()), fetch: Some(1), skip: 0 };
        let both = ScalarExpr::And(vec![range(), equality()]);
        let equal_below = Relation::Fence { input: Box::new(filter(filter(scan(), equality()), range())) };
        // Whether one table is read row by row, gives many rows before it ran, and is read whole.
        for (relation, [by_row, gives_many, is_whole]) in [
            (scan(), [true, true, true]),
            (filter(scan(), range()), [true, true, false]),
            (filter(scan(), either), [true, true, false]),
            (fenced, [true, true, false]),
            (filter(scan(), equality()), [true, false, false]),
            (filter(scan(), both), [true, false, false]),
            (equal_below, [true, false, false]),
            (limited, [false; 3]),
        ] {
            let statement = statement(1);
            let reads = TableReads::new(MANY_ROWS);
            reads.rendered(&relation, &statement);
            assert!(reads.of(&statement, 1).is_none(), "its size is not known");
            reads.measured(&table, &sized(10));
            assert!(reads.of(&statement, 11).is_none());
            let read = reads.of(&statement, 10);
            assert_eq!(read.is_some(), by_row, "{relation:?}");
            let Some(read) = read else { continue };
            assert_eq!(read.gives_many(), gives_many, "{relation:?}");
            assert_eq!(read.paged_whole(&statement).is_some(), is_whole, "{relation:?}");
            read.gave(MANY_ROWS, true, 0);
            read.gave(3, false, 0);
            reads.rendered(&relation, &statement);
            let again = reads.of(&statement, 10).unwrap();
            assert!(again.gives_many(), "what is known of its runs is kept");
            again.gave(MANY_ROWS - 1, true, 0);
            assert_eq!(read.gives_many(), gives_many, "{relation:?}");
            read.has_own_types();
            assert!(!again.gives_many());
        }
    }

    #[test]
    fn pages_are_read_of_what_gave_most_of_the_table_with_the_same_values() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = Relation::Scan { table: table.clone(), columns: Vec::new() };
        let fenced = Relation::Fence { input: Box::new(scan) };
        let statement = statement(1);
        let reads = TableReads::new(MANY_ROWS);
        reads.measured(&table, &sized(10));
        reads.rendered(&fenced, &statement);
        let read = reads.of(&statement, 10).unwrap();
        assert!(read.paged_filtered(&statement, 1).is_none(), "it has not run");
        read.gave(MANY_ROWS, false, 1);
        assert!(read.paged_filtered(&statement, 1).is_none(), "it has not come to its end");
        read.gave(MANY_ROWS, true, 1);
        assert!(read.paged_filtered(&statement, 1).is_some());
        assert!(read.paged_filtered(&statement, 2).is_none(), "an index may find others sooner");
        read.gave(MANY_ROWS - 1, true, 1);
        assert!(read.paged_filtered(&statement, 1).is_none());
        read.gave(MANY_ROWS, true, 1);
        read.forget(1);
        assert!(read.paged_filtered(&statement, 1).is_none());
        for values in 0..VALUES_MAX as u64 + 1 {
            read.gave(MANY_ROWS, true, values);
        }
        assert!(read.paged_filtered(&statement, 0).is_none(), "more values than are kept");
        assert!(read.paged_filtered(&statement, VALUES_MAX as u64).is_some());
        read.has_no_pages();
        assert!(read.paged_filtered(&statement, VALUES_MAX as u64).is_none());
    }

    #[test]
    fn what_reads_other_tables_for_a_row_is_not_read_by_pages() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = || Relation::Scan { table: table.clone(), columns: Vec::new() };
        let exists = || ScalarExpr::Exists { relation: Box::new(Relation::EmptyRow), negated: false };
        let inside = ScalarExpr::And(vec![ScalarExpr::Not(Box::new(exists()))]);
        let filtered = Relation::Filter { input: Box::new(scan()), predicate: inside };
        let projected = Relation::Project { input: Box::new(scan()), exprs: vec![(ColumnId(1), exists())] };
        for relation in [filtered, projected] {
            let statement = statement(1);
            let reads = TableReads::new(MANY_ROWS);
            reads.measured(&table, &sized(10));
            reads.rendered(&relation, &statement);
            let read = reads.of(&statement, 10).unwrap();
            read.gave(MANY_ROWS, true, 1);
            assert!(read.paged_filtered(&statement, 1).is_none() && read.paged_whole(&statement).is_none());
        }
    }

    #[test]
    fn what_is_read_whole_is_remembered_beside_any_number_of_look_ups() {
        let table = TableRef::new(["public", "a"]).unwrap();
        let scan = || Relation::Scan { table: table.clone(), columns: Vec::new() };
        let equal = ScalarExpr::compare(
            ComparisonOp::Eq,
            ScalarExpr::Column(ColumnId(0)),
            ScalarExpr::Parameter(0, ValueType::Int32),
        );
        let reads = TableReads::new(MANY_ROWS);
        reads.measured(&table, &sized(10));
        let whole = statement(0);
        reads.rendered(&scan(), &whole);
        for number in 1..3 * STATEMENTS_MAX {
            let look_up = Relation::Filter { input: Box::new(scan()), predicate: equal.clone() };
            reads.rendered(&look_up, &statement(number));
        }
        assert!(reads.of(&whole, 0).is_some());
        assert!(reads.statements.lock().unwrap().len() <= STATEMENTS_MAX);
    }
}
