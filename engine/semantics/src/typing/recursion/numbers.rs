//! Numbers in recursive queries. The engine casts the second term to the types of the first one, so that each round's numerics would be
//! rounded to the places of the first row. Here such columns become numerics of any width, and a second term whose numbers are of a
//! later type than the first one's is refused, as PostgreSQL does. Knows no row.

use super::{checked, mismatch};
use crate::casts::conversions::{conversion_to, modifier, named};
use crate::fault::{external, unsupported};
use crate::lineage::{Below, below};
use crate::times::zone::Zone;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Cast, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Projection, RecursiveQuery, TableScan, TableScanBuilder,
};
use querygate_query_api::column::pg_type_of;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::any::Any;
use std::sync::Arc;

/// Settles the expressions of a part of a plan anew, so that its columns have their types.
type Settle<'a> = &'a dyn Fn(LogicalPlan) -> Result<LogicalPlan>;

/// What PostgreSQL knows of a numeric's digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    Declared(u8, i8),
    /// Those of each value.
    Open,
    /// This walk does not know.
    Unknown,
}

/// A column of numbers.
struct Numbers {
    /// As the first term gives it.
    first: FieldRef,
    digits: Digits,
    /// The type of its values in all rounds.
    to: DataType,
}

/// The plan with such columns. Where it has any, nodes above them and within the second terms keep their schemas until all is settled anew.
///
/// # Errors
/// 42804 where the second term's type is a later one, 0A000 where rows of numerics would have to be compared whose places differ.
pub(crate) fn widened(plan: LogicalPlan, settle: Settle<'_>) -> Result<Transformed<LogicalPlan>> {
    let mut recurs = false;
    plan.apply_with_subqueries(|node| {
        recurs |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(if recurs { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !recurs {
        return Ok(Transformed::no(plan));
    }
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) => Ok(match widen(&query, settle)? {
            Some(query) => Transformed::yes(LogicalPlan::RecursiveQuery(query)),
            None => Transformed::no(LogicalPlan::RecursiveQuery(query)),
        }),
        other => Ok(Transformed::no(other)),
    })
}

/// Whether a scan is of the rows of a recursive query's last round.
pub(crate) fn is_work_table(scan: &TableScan) -> bool {
    work_table_name(scan).is_some()
}

fn work_table_name(scan: &TableScan) -> Option<String> {
    let provider = source_as_provider(&scan.source).ok()?;
    let any: &dyn Any = provider.as_ref();
    any.downcast_ref::<CteWorkTable>().map(|table| table.name().to_owned())
}

fn widen(query: &RecursiveQuery, settle: Settle<'_>) -> Result<Option<RecursiveQuery>> {
    checked(query)?;
    let first = settle(query.static_term.as_ref().clone())?;
    let columns = columns_of(query, &first)?;
    if columns.iter().all(Option::is_none) {
        return Ok(None);
    }
    let written = as_written(query, &columns)?;
    let Some(term) = over(written, query, &columns)? else { return Ok(None) };
    let second = settle(term.clone())?;
    let own: Vec<(String, Digits)> = columns
        .iter()
        .zip(first.schema().fields())
        .map(|(column, field)| (field.name().clone(), column.as_ref().map_or(Digits::Unknown, |c| c.digits)))
        .collect();
    for (place, (column, other)) in columns.iter().zip(second.schema().fields()).enumerate() {
        let Some(column) = column else { continue };
        check_type(query, place, column, other, &term)?;
        check_digits(query, place, column, other, digits(&term, place, &Round { name: &query.name, columns: &own }))?;
        if query.is_distinct && column.is_open() {
            check_places(&column.to, other.data_type())?;
        }
    }
    let first = with_types(query.static_term.as_ref().clone(), &first, &columns, false)?;
    let second = with_types(term, &second, &columns, true)?;
    RecursiveQuery::try_new(query.name.clone(), Arc::new(first), Arc::new(second), query.is_distinct).map(Some)
}

impl Numbers {
    /// Whether each value has its own places.
    fn is_open(&self) -> bool {
        self.to == WIDE_NUMERIC || (self.first.data_type().is_decimal() && !matches!(self.digits, Digits::Declared(..)))
    }
}

/// The columns of a first term, those of numbers with the type that they have in all rounds.
fn columns_of(query: &RecursiveQuery, first: &LogicalPlan) -> Result<Vec<Option<Numbers>>> {
    let none = Round { name: "", columns: &[] };
    let columns = first.schema().fields().iter().enumerate().map(|(place, field)| {
        if rank(field.data_type()).is_none() {
            return Ok(None);
        }
        let digits = digits(&query.static_term, place, &none);
        let to = match (field.data_type(), digits) {
            (DataType::Decimal128(..), Digits::Declared(..)) => field.data_type().clone(),
            // Cells of one value differ by their places, and rows are compared by their cells.
            (&WIDE_NUMERIC, _) if query.is_distinct => return Err(undistinguished()),
            (DataType::Decimal128(_, scale), _) if query.is_distinct => DataType::Decimal128(38, *scale),
            (DataType::Decimal128(..), _) => WIDE_NUMERIC,
            (other, _) => other.clone(),
        };
        Ok(Some(Numbers { first: Arc::clone(field), digits, to }))
    });
    columns.collect()
}

fn undistinguished() -> datafusion::common::DataFusionError {
    unsupported(
        "UNION without ALL in a recursive query of numerics whose places differ from row to row is not supported: \
         cast both terms to one numeric(p,s)",
    )
}

/// How late a number's type is among those of which PostgreSQL takes the latest for both terms. `None`: it is no number.
fn rank(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Int16 => Some(0),
        DataType::Int32 => Some(1),
        DataType::Int64 => Some(2),
        DataType::Decimal128(..) => Some(NUMERIC),
        wide if *wide == WIDE_NUMERIC => Some(NUMERIC),
        DataType::Float32 => Some(4),
        DataType::Float64 => Some(5),
        _ => None,
    }
}

const NUMERIC: u8 = 3;

/// Functions of the engine have wider whole numbers than PostgreSQL's, so that a bigint is one here only where it is written as one.
fn check_type(
    query: &RecursiveQuery,
    place: usize,
    column: &Numbers,
    other: &FieldRef,
    term: &LogicalPlan,
) -> Result<()> {
    let (Some(own), Some(later)) = (rank(column.first.data_type()), rank(other.data_type())) else { return Ok(()) };
    let is_bigint = || matches!(below(term, place), Below::Computed(expr, _) if is_written_bigint(expr));
    if later <= own || (later < NUMERIC && !is_bigint()) {
        return Ok(());
    }
    Err(external(mismatch(&query.name, place, &named_with(column), &pg_type_of(other).sql_name())))
}

fn is_written_bigint(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_written_bigint(&alias.expr),
        Expr::Cast(cast) => named(&cast.field) == Some("int8"),
        Expr::BinaryExpr(binary) => {
            matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
                && (is_written_bigint(&binary.left) || is_written_bigint(&binary.right))
        }
        _ => false,
    }
}

/// A numeric with declared digits stays one only beside the same digits.
fn check_digits(query: &RecursiveQuery, place: usize, column: &Numbers, other: &FieldRef, found: Digits) -> Result<()> {
    let Digits::Declared(..) = column.digits else { return Ok(()) };
    let known = other.data_type().is_null() || rank(other.data_type()).is_some();
    if !known || found == Digits::Unknown || found == column.digits {
        return Ok(());
    }
    Err(external(mismatch(&query.name, place, &named_with(column), "numeric")))
}

/// Decimals of one scale are compared by their values.
fn check_places(to: &DataType, other: &DataType) -> Result<()> {
    let places = match (to, other) {
        (DataType::Decimal128(_, own), DataType::Decimal128(_, other)) => own == other,
        (DataType::Decimal128(_, own), whole) if whole.is_integer() => *own == 0,
        (_, DataType::Null) => true,
        _ => false,
    };
    if places { Ok(()) } else { Err(undistinguished()) }
}

fn named_with(column: &Numbers) -> String {
    match column.digits {
        Digits::Declared(precision, scale) => format!("numeric({precision},{scale})"),
        Digits::Open | Digits::Unknown => pg_type_of(&column.first).sql_name(),
    }
}

/// The second term without the casts to the first one's types.
fn as_written(query: &RecursiveQuery, columns: &[Option<Numbers>]) -> Result<LogicalPlan> {
    let term = query.recursive_term.as_ref().clone();
    let LogicalPlan::Projection(Projection { expr, input, .. }) = term else { return Ok(term) };
    let items = expr.into_iter().zip(columns).zip(query.static_term.schema().fields());
    let items = items.map(|((item, column), field)| match column {
        Some(column) => without_cast(item, field.data_type(), column.to == WIDE_NUMERIC),
        None => item,
    });
    Projection::try_new(items.collect(), input).map(LogicalPlan::Projection)
}

/// An item without a cast that names no type of PostgreSQL's, which is the engine's. A text is read as its target, and a parameter gets
/// its type from it.
fn without_cast(item: Expr, to: &DataType, reads_later: bool) -> Expr {
    match item {
        Expr::Alias(mut alias) => {
            let inner = without_cast(*alias.expr, to, reads_later);
            alias.expr = Box::new(inner);
            Expr::Alias(alias)
        }
        Expr::Cast(Cast { expr, field }) if field.metadata().is_empty() && field.data_type() == to => {
            let keeps = match expr.as_ref() {
                Expr::Placeholder(_) => true,
                Expr::Literal(ScalarValue::Utf8(_), _) => !reads_later,
                _ => false,
            };
            if keeps { Expr::Cast(Cast { expr, field }) } else { *expr }
        }
        other => other,
    }
}

/// A term over last rounds' rows in the types of all rounds. `None`: it reads no such rows.
fn over(term: LogicalPlan, query: &RecursiveQuery, columns: &[Option<Numbers>]) -> Result<Option<LogicalPlan>> {
    let mut found = false;
    let term = term.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) if work_table_name(&scan).is_some_and(|name| name == query.name) => {
            found = true;
            let own = scan.source.schema();
            let fields = own.fields().iter().zip(columns).map(|(field, column)| match column {
                Some(column) if column.to != *field.data_type() => {
                    Arc::new(Field::new(field.name(), column.to.clone(), true))
                }
                Some(_) | None => Arc::clone(field),
            });
            let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), own.metadata().clone());
            let table = CteWorkTable::new(&query.name, Arc::new(schema));
            let source = provider_as_source(Arc::new(table));
            let renewed = TableScanBuilder::new(scan.table_name, source).with_projection(scan.projection);
            Ok(Transformed::yes(LogicalPlan::TableScan(renewed.build()?)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(found.then_some(term.data))
}

/// A term whose columns of numbers are of the types of all rounds.
///
/// `always`: a column is cast although it is of that type already. CASE has the type of its first branch until it is analyzed.
fn with_types(
    term: LogicalPlan,
    settled: &LogicalPlan,
    columns: &[Option<Numbers>],
    always: bool,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(term.schema());
    let items =
        schema.iter().zip(settled.schema().fields()).zip(columns).map(|(((qualifier, field), settled), column)| {
            let item = Expr::from((qualifier, field));
            let differs = |to: &DataType| to != settled.data_type() || (always && *to != WIDE_NUMERIC);
            let Some(to) = column.as_ref().map(|column| &column.to).filter(|to| differs(to)) else {
                return item;
            };
            let converted = if *to == WIDE_NUMERIC {
                let to = Arc::new(Field::new("convert", WIDE_NUMERIC, true));
                conversion_to(to, Zone::UTC).call(vec![item])
            } else {
                Expr::Cast(Cast::new(Box::new(item), to.clone()))
            };
            converted.alias_qualified(qualifier.cloned(), field.name())
        });
    let items: Vec<Expr> = items.collect();
    LogicalPlanBuilder::from(term).project(items)?.build()
}

/// The table of a recursive query's last round, with what is known of its columns.
struct Round<'a> {
    name: &'a str,
    columns: &'a [(String, Digits)],
}

impl Round<'_> {
    fn digits(&self, table: &TableReference, field: &Field) -> Option<Digits> {
        let column = self.columns.iter().find(|(name, _)| table.table() == self.name && name == field.name());
        column.map(|(_, digits)| *digits)
    }
}

/// The digits of a column of a plan.
fn digits(plan: &LogicalPlan, place: usize, round: &Round<'_>) -> Digits {
    match below(plan, place) {
        Below::Table(table, field) => round.digits(table, field).unwrap_or_else(|| match field.data_type() {
            DataType::Decimal128(precision, scale) => Digits::Declared(*precision, *scale),
            _ => Digits::Unknown,
        }),
        Below::Computed(expr, input) => digits_of(expr, input, round),
        Below::Handed(input, place) | Below::Rounds(input, place) => digits(input, place, round),
        Below::OneOf(inputs, place) => {
            let mut all = inputs.iter().map(|input| digits(input, place, round));
            let first = all.next().unwrap_or(Digits::Unknown);
            if all.all(|other| other == first) { first } else { Digits::Open }
        }
        Below::Items(..) | Below::Nothing => Digits::Unknown,
    }
}

/// The digits of an expression: only columns and casts have declared ones.
fn digits_of(expr: &Expr, input: &LogicalPlan, round: &Round<'_>) -> Digits {
    match expr {
        Expr::Alias(alias) => digits_of(&alias.expr, input, round),
        Expr::Column(column) => match input.schema().maybe_index_of_column(column) {
            Some(place) => digits(input, place, round),
            None => Digits::Unknown,
        },
        Expr::Cast(cast) => match (cast.field.data_type(), modifier(&cast.field)) {
            (_, Some("any")) => Digits::Open,
            (DataType::Decimal128(precision, scale), None) if named(&cast.field).is_some() => {
                Digits::Declared(*precision, *scale)
            }
            _ => Digits::Unknown,
        },
        Expr::BinaryExpr(_)
        | Expr::Negative(_)
        | Expr::Literal(..)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_) => Digits::Open,
        // Those that choose among values give their digits where they agree.
        Expr::ScalarFunction(call) if !matches!(call.name(), "coalesce" | "greatest" | "least" | "nullif") => {
            Digits::Open
        }
        _ => Digits::Unknown,
    }
}
