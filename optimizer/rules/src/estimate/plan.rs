//! Rows of a plan, operator by operator. Changes no plan.

use super::selectivity;
use super::{ColumnEstimate, Estimator, FEW, TableEstimate, count};
use arrow::datatypes::Schema;
use datafusion::common::{Column, DFSchemaRef, JoinType};
use datafusion::logical_expr::logical_plan::{Distinct, FetchType, Join};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, TableScan};

/// Share of rows that a grouping leaves whose values are not counted.
const GROUPS: f64 = 0.25;

/// What a plan gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cardinality {
    pub(crate) rows: f64,
    /// Rows of the largest table in it: no column has more distinct values.
    pub(crate) base: f64,
    /// Whether some of it crosses a wire.
    pub(crate) remote: bool,
    /// Whether the size of every table in it is known.
    pub(crate) known: bool,
    /// One for each column of the plan's schema.
    pub(crate) columns: Vec<ColumnEstimate>,
}

impl Cardinality {
    /// What is told of a fragment.
    pub(crate) fn of_fragment(self) -> TableEstimate {
        TableEstimate { rows: Some(self.rows), base: Some(self.base), remote: true, columns: self.columns }
    }

    /// What is known of a column.
    pub(crate) fn column(&self, schema: &DFSchemaRef, column: &Column) -> ColumnEstimate {
        let index = schema.maybe_index_of_column(column);
        index.and_then(|index| self.columns.get(index)).copied().unwrap_or_default()
    }

    fn keeping(mut self, share: f64) -> Self {
        self.rows = (self.rows * share).max(1.0);
        self
    }

    fn at_most(mut self, rows: f64) -> Self {
        self.rows = self.rows.min(rows);
        self
    }

    fn with_columns(mut self, columns: Vec<ColumnEstimate>) -> Self {
        self.columns = columns;
        self
    }
}

/// What a plan gives, as the estimator knows its tables.
pub(crate) fn of(plan: &LogicalPlan, estimator: &dyn Estimator) -> Cardinality {
    let mut given = operator(plan, estimator);
    given.columns.resize(plan.schema().fields().len(), ColumnEstimate::default());
    given
}

fn operator(plan: &LogicalPlan, estimator: &dyn Estimator) -> Cardinality {
    match plan {
        LogicalPlan::TableScan(scan) => table(scan, estimator),
        LogicalPlan::Filter(filter) => {
            let input = of(&filter.input, estimator);
            let schema = filter.input.schema();
            let conjuncts = split_conjunction(&filter.predicate);
            let share = selectivity::all(conjuncts.iter().copied(), &|c| input.column(schema, c));
            let bounded = selectivity::bounded(conjuncts, &|c| input.column(schema, c));
            let mut columns = input.columns.clone();
            for (column, left) in bounded {
                if let Some(known) = schema.maybe_index_of_column(column).and_then(|index| columns.get_mut(index)) {
                    *known = left;
                }
            }
            input.with_columns(columns).keeping(share)
        }
        LogicalPlan::Projection(projection) => {
            let input = of(&projection.input, estimator);
            let columns = projection.expr.iter().map(|expr| of_expr(expr, &input, projection.input.schema()));
            let columns = columns.collect();
            input.with_columns(columns)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let input = of(&aggregate.input, estimator);
            let schema = aggregate.input.schema();
            let columns: Vec<_> = aggregate.group_expr.iter().map(|expr| of_expr(expr, &input, schema)).collect();
            grouped(input, columns)
        }
        LogicalPlan::Distinct(Distinct::All(inner)) => {
            let input = of(inner, estimator);
            let columns = input.columns.clone();
            grouped(input, columns)
        }
        LogicalPlan::Distinct(Distinct::On(on)) => of(&on.input, estimator).keeping(GROUPS),
        LogicalPlan::Join(join) => joined(join, estimator),
        LogicalPlan::Limit(limit) => {
            let input = of(&limit.input, estimator);
            match limit.get_fetch_type() {
                Ok(FetchType::Literal(Some(fetch))) => input.at_most(count(fetch)),
                Ok(_) | Err(_) => input,
            }
        }
        LogicalPlan::SubqueryAlias(alias) => of(&alias.input, estimator),
        LogicalPlan::Subquery(subquery) => of(&subquery.subquery, estimator),
        LogicalPlan::Sort(sort) => {
            let input = of(&sort.input, estimator);
            match sort.fetch {
                Some(fetch) => input.at_most(count(fetch)),
                None => input,
            }
        }
        LogicalPlan::Window(window) => of(&window.input, estimator),
        LogicalPlan::Repartition(repartition) => of(&repartition.input, estimator),
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| of(input, estimator));
            inputs.reduce(|a, b| plus(&a, &b)).unwrap_or_else(|| constant(0.0))
        }
        LogicalPlan::Values(values) => constant(count(values.values.len())),
        LogicalPlan::EmptyRelation(empty) => constant(if empty.produce_one_row { 1.0 } else { 0.0 }),
        LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => {
            let inputs = plan.inputs().into_iter().map(|input| of(input, estimator));
            let given = inputs.reduce(|a, b| plus(&a, &b)).unwrap_or_else(|| constant(FEW));
            Cardinality { known: false, ..given.with_columns(Vec::new()) }
        }
    }
}

fn constant(rows: f64) -> Cardinality {
    Cardinality { rows, base: rows, remote: false, known: true, columns: Vec::new() }
}

fn plus(a: &Cardinality, b: &Cardinality) -> Cardinality {
    Cardinality {
        rows: a.rows + b.rows,
        base: a.base + b.base,
        remote: a.remote || b.remote,
        known: a.known && b.known,
        columns: Vec::new(),
    }
}

fn table(scan: &TableScan, estimator: &dyn Estimator) -> Cardinality {
    let told = estimator.table(scan);
    let schema = scan.source.schema();
    let rows = told.rows.unwrap_or(FEW);
    let share = share(&told, &schema, &scan.filters);
    let told = narrowed(told, &schema, &scan.filters);
    let all = 0..schema.fields().len();
    let places: Vec<usize> = scan.projection.clone().unwrap_or_else(|| all.collect());
    let columns = places.iter().map(|place| told.columns.get(*place).copied().unwrap_or_default()).collect();
    let (base, known) = (told.base.unwrap_or(rows), told.rows.is_some());
    let given = Cardinality { rows, base, remote: told.remote, known, columns }.keeping(share);
    match scan.fetch {
        Some(fetch) => given.at_most(count(fetch)),
        None => given,
    }
}

/// What is expected of a table's rows for which all filters hold.
#[must_use]
pub fn filtered(told: TableEstimate, schema: &Schema, filters: &[Expr]) -> TableEstimate {
    let rows = told.rows.map(|rows| rows * share(&told, schema, filters));
    TableEstimate { rows, ..narrowed(told, schema, filters) }
}

/// What filters leave of the values of columns that they bound.
fn narrowed(mut told: TableEstimate, schema: &Schema, filters: &[Expr]) -> TableEstimate {
    let index = |column: &Column| schema.index_of(&column.name).ok();
    let known = |column: &Column| index(column).and_then(|index| told.columns.get(index)).copied().unwrap_or_default();
    let bounded = selectivity::bounded(filters.iter().flat_map(split_conjunction), &known);
    for (column, left) in bounded {
        if let Some(known) = index(column).and_then(|index| told.columns.get_mut(index)) {
            *known = left;
        }
    }
    told
}

/// The share of a table's rows for which all filters hold.
fn share(told: &TableEstimate, schema: &Schema, filters: &[Expr]) -> f64 {
    let known = |column: &Column| {
        let index = schema.index_of(&column.name).ok();
        index.and_then(|index| told.columns.get(index)).copied().unwrap_or_default()
    };
    selectivity::all(filters.iter().flat_map(split_conjunction), &known)
}

fn of_expr(expr: &Expr, input: &Cardinality, schema: &DFSchemaRef) -> ColumnEstimate {
    match expr {
        Expr::Column(column) => input.column(schema, column),
        Expr::Alias(alias) => of_expr(&alias.expr, input, schema),
        _ => ColumnEstimate::default(),
    }
}

/// One row for each combination of these columns.
fn grouped(input: Cardinality, columns: Vec<ColumnEstimate>) -> Cardinality {
    let known: Option<Vec<f64>> = columns.iter().map(|column| column.distinct).collect();
    let rows = match known {
        Some(distinct) => distinct.iter().product::<f64>().min(input.rows),
        None => input.rows * GROUPS,
    };
    Cardinality { rows: rows.max(1.0), base: rows.max(1.0), remote: input.remote, known: input.known, columns }
}

/// Distinct values of two columns that are equal in a join: those counted, else as many as the smaller side has rows,
/// which is right where one of them is a key.
pub(crate) fn shared_values(left: (ColumnEstimate, f64), right: (ColumnEstimate, f64)) -> f64 {
    let counted = left.0.distinct.into_iter().chain(right.0.distinct).reduce(f64::max);
    counted.unwrap_or_else(|| left.1.min(right.1)).max(1.0)
}

fn joined(join: &Join, estimator: &dyn Estimator) -> Cardinality {
    let (left, right) = (of(&join.left, estimator), of(&join.right, estimator));
    let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
    let mut share = 1.0;
    let mut equalities = 0;
    let mut values = 1.0_f64;
    let mut rest: Vec<&Expr> = Vec::new();
    let filter = join.filter.iter().flat_map(split_conjunction);
    let pairs = join.on.iter().map(|(l, r)| (l, r, None)).chain(filter.filter_map(|one| match one {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            Some((left.as_ref(), right.as_ref(), Some(one)))
        }
        other => {
            rest.push(other);
            None
        }
    }));
    for (a, b, whole) in pairs.collect::<Vec<_>>() {
        let place = |expr: &Expr| match selectivity::column(expr) {
            Some(c) if left_schema.has_column(c) => Some((true, (left.column(left_schema, c), left.base))),
            Some(c) if right_schema.has_column(c) => Some((false, (right.column(right_schema, c), right.base))),
            _ => None,
        };
        match (place(a), place(b)) {
            (Some((x, a)), Some((y, b))) if x != y => {
                let shared = shared_values(a, b);
                share /= shared;
                values = values.max(shared);
                equalities += 1;
            }
            _ => match whole {
                Some(whole) => rest.push(whole),
                None => share *= 0.05,
            },
        }
    }
    if equalities > 1 {
        // Several columns together are no more than a key.
        share = share.max(1.0 / left.base.min(right.base).max(1.0));
    }
    let known = |column: &Column| {
        if left_schema.has_column(column) {
            left.column(left_schema, column)
        } else {
            right.column(right_schema, column)
        }
    };
    share *= selectivity::all(rest, &known);
    sized(join.join_type, left, right, share, values)
}

fn sized(kind: JoinType, left: Cardinality, right: Cardinality, share: f64, values: f64) -> Cardinality {
    let inner = (left.rows * right.rows * share).max(1.0);
    // The share of values of one side that the other has.
    let met = |by: &Cardinality| (by.rows / values).clamp(0.01, 0.9);
    let rows = match kind {
        JoinType::Inner => inner,
        JoinType::Left => inner.max(left.rows),
        JoinType::Right => inner.max(right.rows),
        JoinType::Full => inner.max(left.rows).max(right.rows),
        JoinType::LeftSemi => left.rows * met(&right),
        JoinType::RightSemi => right.rows * met(&left),
        JoinType::LeftAnti => left.rows * (1.0 - met(&right)),
        JoinType::RightAnti => right.rows * (1.0 - met(&left)),
        JoinType::LeftMark => left.rows,
        JoinType::RightMark => right.rows,
    };
    let (base, remote) = (left.base.max(right.base), left.remote || right.remote);
    let known = left.known && right.known;
    let columns = match kind {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            left.columns.into_iter().chain(right.columns).collect()
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.columns,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.columns,
    };
    Cardinality { rows: rows.max(1.0), base, remote, known, columns }
}
