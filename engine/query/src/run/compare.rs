//! Whether two runs of a statement gave the same rows: in order as far as ORDER BY says, otherwise in any. Knows plans and
//! batches; says what differs without a value.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Sort};
use std::cmp::Ordering;

/// Floats whose order of summation differs agree to this part of their size, or to this much near zero.
const FLOAT_TOLERANCE: f64 = 1e-9;

/// Functions whose result depends on the order of equal rows.
const ORDER_DEPENDENT: [&str; 11] = [
    "array_agg",
    "string_agg",
    "first_value",
    "last_value",
    "nth_value",
    "row_number",
    "ntile",
    "lag",
    "lead",
    "json_agg",
    "jsonb_agg",
];

/// What must be equal in two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Output columns that ORDER BY begins with.
    order: Vec<usize>,
    /// A LIMIT leaves open which of several equal rows come: their number and order are all that is certain.
    limited: bool,
}

impl Comparison {
    /// `None`: the statement does not determine its rows, so that two right runs may differ.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<Self> {
        let (limited, rest) = match plan {
            LogicalPlan::Limit(limit) => (true, limit.input.as_ref()),
            other => (false, other),
        };
        if !is_determined(rest) {
            return None;
        }
        let order = match rest {
            LogicalPlan::Sort(sort) => sorted_columns(sort, None),
            LogicalPlan::Projection(projection) => match projection.input.as_ref() {
                LogicalPlan::Sort(sort) => sorted_columns(sort, Some(&projection.expr)),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Some(Self { order, limited })
    }

    /// What differs, in words without values.
    pub(crate) fn difference(&self, one: &[RecordBatch], other: &[RecordBatch]) -> Result<Option<String>, ArrowError> {
        let (mut one, mut other) = (rows(one)?, rows(other)?);
        if one.len() != other.len() {
            return Ok(Some(format!("{} rows pushed, {} rows locally", one.len(), other.len())));
        }
        for (number, (a, b)) in one.iter().zip(&other).enumerate() {
            if let Some(column) = self.order.iter().find(|column| a.get(**column) != b.get(**column)) {
                return Ok(Some(format!("order: column {} of row {}", column + 1, number + 1)));
            }
        }
        if self.limited {
            return Ok(None);
        }
        one.sort_by(compare_rows);
        other.sort_by(compare_rows);
        let differs = |a: &Row, b: &Row| a.len() != b.len() || a.iter().zip(b).any(|(a, b)| a != b);
        let first = one.iter().zip(&other).find(|(a, b)| differs(a, b));
        Ok(first.map(|(a, b)| {
            let column = a.iter().zip(b).position(|(a, b)| a != b).map_or(0, |column| column + 1);
            format!("values: column {column}")
        }))
    }
}

/// Output columns of the sort's first keys, as far as they are columns.
fn sorted_columns(sort: &Sort, projected: Option<&[Expr]>) -> Vec<usize> {
    let place = |key: &Expr| match (projected, key) {
        (Some(columns), key) => columns.iter().position(|column| column.clone().unalias() == *key),
        (None, Expr::Column(column)) => sort.input.schema().maybe_index_of_column(column),
        (None, _) => None,
    };
    sort.expr.iter().map_while(|key| place(&key.expr)).collect()
}

/// Whether the same rows in another order give the same result.
fn is_determined(plan: &LogicalPlan) -> bool {
    let mut determined = true;
    let walk = plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Limit(_) | LogicalPlan::Distinct(Distinct::On(_))) {
            determined = false;
        }
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                determined &= function_of(e).is_none_or(|name| !ORDER_DEPENDENT.contains(&name));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    determined && walk.is_ok()
}

fn function_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::AggregateFunction(AggregateFunction { func, .. }) => Some(func.name()),
        Expr::WindowFunction(call) => Some(match &call.fun {
            WindowFunctionDefinition::AggregateUDF(func) => func.name(),
            WindowFunctionDefinition::WindowUDF(func) => func.name(),
        }),
        _ => None,
    }
}

type Row = Vec<Cell>;

/// A value, as far as comparing needs.
#[derive(Debug)]
enum Cell {
    Null,
    Float(f64),
    Text(String),
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => {
                let near = (a - b).abs() <= FLOAT_TOLERANCE * a.abs().max(b.abs()).max(1.0);
                near || a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a.is_infinite() && a == b)
            }
            (Self::Null | Self::Float(_) | Self::Text(_), _) => false,
        }
    }
}

/// Floats last: sums that differ a little must not tear equal rows apart.
fn compare_rows(one: &Row, other: &Row) -> Ordering {
    let exact = one.iter().zip(other).map(|(a, b)| match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Less,
        (_, Cell::Null) => Ordering::Greater,
        (Cell::Float(_) | Cell::Text(_), _) => Ordering::Equal,
    });
    let floats = one.iter().zip(other).map(|(a, b)| match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
        (Cell::Null | Cell::Float(_) | Cell::Text(_), _) => Ordering::Equal,
    });
    exact.chain(floats).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn rows(batches: &[RecordBatch]) -> Result<Vec<Row>, ArrowError> {
    let mut all = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(cells).collect::<Result<Vec<_>, _>>()?;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        all.extend((0..batch.num_rows()).map(|_| columns.iter_mut().filter_map(Iterator::next).collect::<Row>()));
    }
    Ok(all)
}

fn cells(column: &ArrayRef) -> Result<Vec<Cell>, ArrowError> {
    let options = FormatOptions::default();
    let of = |at: usize, value: &dyn Fn(usize) -> Cell| if column.is_null(at) { Cell::Null } else { value(at) };
    let all = 0..column.len();
    Ok(match column.data_type() {
        // Such an array has no bitmap: it says of no value that it is null.
        DataType::Null => all.map(|_| Cell::Null).collect(),
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            all.map(|at| of(at, &|at| Cell::Float(values.value(at)))).collect()
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            all.map(|at| of(at, &|at| Cell::Float(f64::from(values.value(at))))).collect()
        }
        _ => {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            all.map(|at| of(at, &|at| Cell::Text(formatter.value(at).to_string()))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(numbers: &[i64], texts: &[Option<&str>], floats: &[f64]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let floats: ArrayRef = Arc::new(Float64Array::from(floats.to_vec()));
        RecordBatch::try_from_iter([("n", numbers), ("t", texts), ("f", floats)]).unwrap()
    }

    fn check(comparison: &Comparison, one: RecordBatch, other: &[RecordBatch], expected: Option<&str>) {
        assert_eq!(comparison.difference(&[one], other).unwrap().as_deref(), expected);
    }

    #[test]
    fn rows_are_compared_in_any_order_unless_the_statement_orders_them() {
        let any = Comparison { order: vec![], limited: false };
        let (a, b) = (Some("a"), Some("b"));
        let one = || batch(&[1, 2, 2], &[a, b, None], &[0.5, f64::NAN, -0.0]);
        let turned = batch(&[2, 1, 2], &[None, a, b], &[0.0, 0.5, f64::NAN]);
        check(&any, one(), &[turned.slice(0, 1), turned.slice(1, 2)], None);
        let ordered = Comparison { order: vec![0], limited: false };
        check(&ordered, one(), &[turned], Some("order: column 1 of row 1"));
        // Ties may come in any order.
        check(&ordered, one(), &[batch(&[1, 2, 2], &[a, None, b], &[0.5, 0.0, f64::NAN])], None);
        check(&any, one(), &[batch(&[1, 2], &[a, b], &[0.5, 0.5])], Some("3 rows pushed, 2 rows locally"));
        check(&any, one(), &[batch(&[1, 2, 2], &[a, b, a], &[0.5, f64::NAN, 0.0])], Some("values: column 2"));
        let limited = Comparison { order: vec![0], limited: true };
        check(&limited, one(), &[batch(&[1, 2, 2], &[b, b, b], &[9.0, 9.0, 9.0])], None);
    }

    #[test]
    fn sums_of_floats_may_differ_in_their_last_digits() {
        let any = Comparison { order: vec![], limited: false };
        let sums = |last: f64| batch(&[1, 1], &[None, None], &[1e15, last]);
        check(&any, sums(0.1 + 0.2), &[sums(0.3)], None);
        check(&any, sums(0.3), &[sums(0.300_001)], Some("values: column 3"));
    }
}
