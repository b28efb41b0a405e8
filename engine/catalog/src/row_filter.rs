//! Row filters as expressions over a raw table. The result keeps the two-valued truth of the policy: wherever a null
//! would make an expression unknown, the null test stands beside it.

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, ScalarValue};
use datafusion::functions::expr_fn::{contains, ends_with, starts_with, translate};
use datafusion::functions_nested::expr_fn::{array_has, cardinality};
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{Expr, Operator, binary_expr, lit};
use querygate_policy::filter::{CompareOp, FilterValue, RowFilter, Test, TextKind};
use querygate_types::{Error, Result};

/// A filter made ready for a governed leaf.
#[derive(Debug, Default)]
pub(crate) struct Lowered {
    /// ANDed expressions over the raw schema; each is true or not, and unknown counts as not.
    pub(crate) conjuncts: Vec<Expr>,
    pub(crate) related: Vec<RelatedTest>,
}

/// `column IN (SELECT select FROM object WHERE filter)`, to be planned as a join.
#[derive(Debug)]
pub(crate) struct RelatedTest {
    pub(crate) column: String,
    pub(crate) object: String,
    pub(crate) filter: RowFilter,
    pub(crate) select: String,
    /// Column name of the verdict, where it is not a conjunct of its own.
    pub(crate) mark: Option<String>,
}

/// Lowers a filter over the columns of `schema`.
///
/// # Errors
/// A column that the raw table does not have: the caller must deny.
pub(crate) fn lower(filter: &RowFilter, schema: &Schema) -> Result<Lowered> {
    let mut lowering = Lowering { schema, comparand: &mut |value| Ok(lit(value)), lowered: Lowered::default() };
    lowering.conjunct(&filter.clone().simplify())?;
    Ok(lowering.lowered)
}

/// What stands in an expression for a value of a filter: the value itself, or a parameter for it.
pub type Comparand<'a> = dyn FnMut(ScalarValue) -> Result<Expr> + 'a;

/// A filter that a user wrote, over the columns of `schema`, as one expression that is true or false on every row. `comparand` is given
/// the values in the order in which they stand in the expression.
///
/// # Errors
/// Internal: a column that is not there, or a test of another object's rows, which no user writes.
pub fn user_filter(filter: &RowFilter, schema: &Schema, comparand: &mut Comparand<'_>) -> Result<Expr> {
    let mut lowering = Lowering { schema, comparand, lowered: Lowered::default() };
    let expr = lowering.boolean(filter, false)?;
    if lowering.lowered.related.is_empty() {
        Ok(expr)
    } else {
        Err(Error::internal("a user's filter asks for the rows of another object"))
    }
}

struct Lowering<'a, 'b> {
    schema: &'a Schema,
    comparand: &'a mut Comparand<'b>,
    lowered: Lowered,
}

impl Lowering<'_, '_> {
    fn conjunct(&mut self, filter: &RowFilter) -> Result<()> {
        match filter {
            RowFilter::All => Ok(()),
            RowFilter::And(members) => members.iter().try_for_each(|member| self.conjunct(member)),
            RowFilter::Test(Test::InRelated { column, object, filter, select }) => {
                self.data_type(column)?;
                self.lowered.related.push(RelatedTest {
                    column: column.clone(),
                    object: object.clone(),
                    filter: filter.as_ref().clone(),
                    select: select.clone(),
                    mark: None,
                });
                Ok(())
            }
            RowFilter::Nothing | RowFilter::Or(_) | RowFilter::Not(_) | RowFilter::Test(_) => {
                let expr = self.boolean(filter, false)?;
                self.lowered.conjuncts.push(expr);
                Ok(())
            }
        }
    }

    /// The filter, or its complement, as an expression that is true exactly on the rows it passes. Complements are taken
    /// at the leaves, so that null tests stay right.
    fn boolean(&mut self, filter: &RowFilter, negated: bool) -> Result<Expr> {
        match filter {
            RowFilter::All => Ok(lit(!negated)),
            RowFilter::Nothing => Ok(lit(negated)),
            RowFilter::Not(inner) => self.boolean(inner, !negated),
            RowFilter::And(members) => self.members(members, negated, !negated),
            RowFilter::Or(members) => self.members(members, negated, negated),
            RowFilter::Test(test) => self.test(test, negated),
        }
    }

    fn members(&mut self, members: &[RowFilter], negated: bool, conjunction: bool) -> Result<Expr> {
        let mut exprs =
            members.iter().map(|member| self.boolean(member, negated)).collect::<Result<Vec<_>>>()?.into_iter();
        let Some(first) = exprs.next() else { return Ok(lit(conjunction)) };
        Ok(exprs.fold(first, |all, next| if conjunction { all.and(next) } else { all.or(next) }))
    }

    fn test(&mut self, test: &Test, negated: bool) -> Result<Expr> {
        match test {
            Test::Compare { column, op, value } => {
                let literal = self.literal(value.value(), column)?;
                Ok(compare(self.column(column)?, *op, literal, negated, &[self.column(column)?]))
            }
            Test::CompareColumns { left, op, right, add_days } => {
                let (l, r) = (self.column(left)?, self.column(right)?);
                let shifted = self.shifted(right, *add_days)?;
                Ok(compare(l.clone(), *op, shifted, negated, &[l, r]))
            }
            Test::In { column, values, negated: outside } => {
                let list = values.iter().map(|v| self.literal(v.value(), column)).collect::<Result<Vec<_>>>()?;
                let outside = *outside != negated;
                let expr = Expr::InList(InList::new(Box::new(self.column(column)?), list, outside));
                Ok(if outside { expr.or(self.column(column)?.is_null()) } else { expr })
            }
            Test::IsNull { column, negated: has_value } => {
                let column = self.column(column)?;
                Ok(if *has_value == negated { column.is_null() } else { column.is_not_null() })
            }
            Test::Text { column, kind, pattern, negated: outside } => {
                self.text(column, *kind, pattern.value(), *outside != negated)
            }
            Test::ListContains { column, value } => {
                let read = self.column(column)?;
                let FilterValue::Text(element) = value.value() else {
                    return Err(Error::internal("a list element in a policy is no text"));
                };
                if !matches!(self.data_type(column)?, DataType::List(item) if *item.data_type() == DataType::Utf8) {
                    return Err(Error::internal("a policy looks for a text in a column that is no list of texts"));
                }
                let element = (self.comparand)(ScalarValue::Utf8(Some(element.clone())))?;
                let member = array_has(read.clone(), element);
                Ok(if negated { Expr::Not(Box::new(member)).or(read.is_null()) } else { member })
            }
            Test::HasElements { column } => {
                let read = self.column(column)?;
                if !matches!(self.data_type(column)?, DataType::List(_)) {
                    return Err(Error::internal("a filter looks for elements in a column that is no list"));
                }
                let has = cardinality(read.clone()).gt(lit(0_u64));
                Ok(if negated { Expr::Not(Box::new(has)).or(read.is_null()) } else { has })
            }
            Test::InRelated { column, object, filter, select } => {
                self.data_type(column)?;
                let mark = format!("__related_{}", self.lowered.related.len());
                self.lowered.related.push(RelatedTest {
                    column: column.clone(),
                    object: object.clone(),
                    filter: filter.as_ref().clone(),
                    select: select.clone(),
                    mark: Some(mark.clone()),
                });
                let verdict = Expr::Column(Column::new_unqualified(mark));
                Ok(if negated { Expr::Not(Box::new(verdict)) } else { verdict })
            }
        }
    }

    fn text(&mut self, column: &str, kind: TextKind, pattern: &FilterValue, negated: bool) -> Result<Expr> {
        let FilterValue::Text(pattern) = pattern else {
            return Err(Error::internal("a text pattern in a policy is no text"));
        };
        let read = self.column(column)?;
        let pattern = match kind {
            TextKind::Contains | TextKind::StartsWith | TextKind::EndsWith | TextKind::Like => pattern.clone(),
            TextKind::IContains | TextKind::ILike => pattern.to_ascii_lowercase(),
        };
        let pattern = (self.comparand)(ScalarValue::Utf8(Some(pattern)))?;
        let folded = || translate(read.clone(), lit(UPPER), lit(LOWER));
        let verdict = match kind {
            TextKind::Contains => contains(read.clone(), pattern),
            TextKind::StartsWith => starts_with(read.clone(), pattern),
            TextKind::EndsWith => ends_with(read.clone(), pattern),
            TextKind::IContains => contains(folded(), pattern),
            TextKind::Like => like(read.clone(), pattern),
            TextKind::ILike => like(folded(), pattern),
        };
        Ok(if negated { Expr::Not(Box::new(verdict)).or(read.is_null()) } else { verdict })
    }

    fn shifted(&self, column: &str, days: i32) -> Result<Expr> {
        let read = self.column(column)?;
        if days == 0 {
            return Ok(read);
        }
        match self.data_type(column)? {
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                let days = ScalarValue::new_interval_mdn(0, days, 0);
                Ok(binary_expr(read, Operator::Plus, lit(days)))
            }
            _ => Err(Error::internal("days added to a column that is no date")),
        }
    }

    fn column(&self, name: &str) -> Result<Expr> {
        self.data_type(name)?;
        Ok(Expr::Column(Column::new_unqualified(name)))
    }

    fn data_type(&self, name: &str) -> Result<&DataType> {
        self.schema
            .field_with_name(name)
            .map(arrow::datatypes::Field::data_type)
            .map_err(|_| Error::internal(format!("policy names column {name}, which its source does not have")))
    }

    /// The value in the column's own type where it has an exact form there; otherwise in a type that compares exactly.
    fn literal(&mut self, value: &FilterValue, column: &str) -> Result<Expr> {
        let wanted = match self.data_type(column)? {
            DataType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        if let Some(number) = number_of(value, wanted) {
            return (self.comparand)(number);
        }
        let natural = natural_scalar(value)?;
        let same = natural
            .cast_to(wanted)
            .ok()
            .filter(|cast| cast.cast_to(&natural.data_type()).is_ok_and(|back| back == natural));
        (self.comparand)(same.unwrap_or(natural))
    }
}

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";

fn like(expr: Expr, pattern: Expr) -> Expr {
    Expr::Like(Like::new(false, Box::new(expr), Box::new(pattern), None, false))
}

/// A number as a column of decimals or doubles has it: all its digits, or the nearest double. `None`: the column is of another type, or
/// has no such decimal.
fn number_of(value: &FilterValue, wanted: &DataType) -> Option<ScalarValue> {
    let text = match value {
        FilterValue::Integer(whole) => whole.to_string(),
        FilterValue::Decimal(text) => text.clone(),
        FilterValue::Text(_)
        | FilterValue::Boolean(_)
        | FilterValue::Date(_)
        | FilterValue::Timestamp(_)
        | FilterValue::Time(_) => return None,
    };
    match wanted {
        DataType::Decimal128(precision, scale) => {
            let scaled = scaled_integer(&text, *precision, *scale)?;
            Some(ScalarValue::Decimal128(Some(scaled), *precision, *scale))
        }
        DataType::Float64 => text.parse().ok().map(|double| ScalarValue::Float64(Some(double))),
        _ => None,
    }
}

/// A plain decimal counted in the last place of a column of decimals, if nothing is lost.
pub(crate) fn scaled_integer(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let places = usize::try_from(scale).ok()?;
    let (sign, size) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = size.split_once('.').unwrap_or((size, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return None;
    }
    let counted = format!("{whole}{fraction:0<places$}").parse::<i128>().ok()?.checked_mul(sign)?;
    let fits = counted.unsigned_abs().checked_ilog10().is_none_or(|log| log < u32::from(precision));
    fits.then_some(counted)
}

fn natural_scalar(value: &FilterValue) -> Result<ScalarValue> {
    Ok(match value {
        FilterValue::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        FilterValue::Integer(n) => ScalarValue::Int64(Some(*n)),
        FilterValue::Decimal(text) => {
            let number = text.parse::<f64>().map_err(|_| Error::internal("a number in a policy does not parse"))?;
            ScalarValue::Float64(Some(number))
        }
        FilterValue::Boolean(b) => ScalarValue::Boolean(Some(*b)),
        FilterValue::Date(days) => ScalarValue::Date32(Some(*days)),
        FilterValue::Timestamp(ms) => ScalarValue::TimestampMillisecond(Some(*ms), Some("UTC".into())),
        FilterValue::Time(ms) => ScalarValue::Time64Microsecond(Some(i64::from(*ms) * 1_000)),
    })
}

/// `left op right`, false on nulls, except `Ne`, which is true on them; or the complement of that.
fn compare(left: Expr, op: CompareOp, right: Expr, negated: bool, nullable: &[Expr]) -> Expr {
    let operator = match (op, negated) {
        (CompareOp::Eq, false) | (CompareOp::Ne, true) => Operator::Eq,
        (CompareOp::Ne, false) | (CompareOp::Eq, true) => Operator::NotEq,
        (CompareOp::Lt, false) | (CompareOp::Ge, true) => Operator::Lt,
        (CompareOp::Le, false) | (CompareOp::Gt, true) => Operator::LtEq,
        (CompareOp::Gt, false) | (CompareOp::Le, true) => Operator::Gt,
        (CompareOp::Ge, false) | (CompareOp::Lt, true) => Operator::GtEq,
    };
    let verdict = binary_expr(left, operator, right);
    let true_on_null = (op == CompareOp::Ne) != negated;
    if !true_on_null {
        return verdict;
    }
    nullable.iter().fold(verdict, |all, column| all.or(column.clone().is_null()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray};
    use arrow::datatypes::Field;
    use datafusion::common::DFSchema;
    use datafusion::prelude::SessionContext;
    use querygate_policy::filter::Operand;
    use std::sync::Arc;

    fn rows() -> RecordBatch {
        let n: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(5), None, Some(9)]));
        let s: ArrayRef = Arc::new(StringArray::from(vec![Some("Abc"), Some("x_z"), Some("É"), None]));
        RecordBatch::try_from_iter(vec![("n", n), ("s", s)]).unwrap()
    }

    fn passing(filter: &RowFilter) -> Vec<usize> {
        let batch = rows();
        let fields: Vec<Field> =
            batch.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let schema = Schema::new(fields);
        let lowered = lower(filter, &schema).unwrap();
        let dfs = DFSchema::try_from(schema).unwrap();
        let state = SessionContext::new().state();
        let mut keep = vec![true; batch.num_rows()];
        for conjunct in lowered.conjuncts {
            let physical = state.create_physical_expr(conjunct, &dfs).unwrap();
            let got = physical.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
            let got = got.as_any().downcast_ref::<BooleanArray>().unwrap();
            for (k, v) in keep.iter_mut().zip(got) {
                *k &= v == Some(true);
            }
        }
        (0..keep.len()).filter(|i| keep[*i]).collect()
    }

    fn number(op: CompareOp, n: i64) -> RowFilter {
        RowFilter::Test(Test::Compare { column: "n".into(), op, value: Operand::Literal(FilterValue::Integer(n)) })
    }

    fn text(kind: TextKind, pattern: &str) -> RowFilter {
        let pattern = Operand::Literal(FilterValue::Text(pattern.into()));
        RowFilter::Test(Test::Text { column: "s".into(), kind, pattern, negated: false })
    }

    #[test]
    fn truth_is_two_valued() {
        let not = |f: RowFilter| RowFilter::Not(Box::new(f));
        for (filter, expected) in [
            (RowFilter::All, vec![0, 1, 2, 3]),
            (RowFilter::Nothing, vec![]),
            (RowFilter::And(vec![]), vec![0, 1, 2, 3]),
            (RowFilter::Or(vec![]), vec![]),
            (number(CompareOp::Eq, 5), vec![1]),
            (number(CompareOp::Ne, 5), vec![0, 2, 3]),
            (number(CompareOp::Lt, 5), vec![0]),
            (not(number(CompareOp::Lt, 5)), vec![1, 2, 3]),
            (not(number(CompareOp::Ne, 5)), vec![1]),
            (not(not(number(CompareOp::Lt, 5))), vec![0]),
            (RowFilter::Or(vec![number(CompareOp::Lt, 5), not(number(CompareOp::Lt, 9))]), vec![0, 2, 3]),
            (not(RowFilter::And(vec![number(CompareOp::Gt, 0), number(CompareOp::Lt, 6)])), vec![2, 3]),
            (text(TextKind::Contains, "_"), vec![1]),
            (not(text(TextKind::Contains, "_")), vec![0, 2, 3]),
            (text(TextKind::StartsWith, "a"), vec![]),
            (text(TextKind::IContains, "ABC"), vec![0]),
            (text(TextKind::IContains, "é"), vec![]),
            (text(TextKind::Like, "x\\_z"), vec![1]),
            (text(TextKind::ILike, "a%"), vec![0]),
            (
                RowFilter::Test(Test::In {
                    column: "n".into(),
                    values: vec![Operand::Literal(FilterValue::Integer(1))],
                    negated: true,
                }),
                vec![1, 2, 3],
            ),
            (RowFilter::Test(Test::IsNull { column: "n".into(), negated: false }), vec![2]),
            (not(RowFilter::Test(Test::IsNull { column: "n".into(), negated: false })), vec![0, 1, 3]),
        ] {
            assert_eq!(passing(&filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn numbers_are_of_their_columns_type_with_all_digits() {
        let fields =
            [("money", DataType::Decimal128(38, 2)), ("double", DataType::Float64), ("whole", DataType::Int64)];
        let schema = Schema::new(fields.map(|(name, own)| Field::new(name, own, true)).to_vec());
        let bound = |column: &str, value: FilterValue| {
            let mut bound = Vec::new();
            let test = Test::Compare { column: column.into(), op: CompareOp::Eq, value: Operand::Literal(value) };
            user_filter(&RowFilter::Test(test), &schema, &mut |value| {
                bound.push(value.clone());
                Ok(lit(value))
            })
            .unwrap();
            bound.pop().unwrap()
        };
        let decimal = |text: &str| FilterValue::Decimal(text.into());
        for (column, value, expected) in [
            ("money", decimal("1234567890123456.78"), ScalarValue::Decimal128(Some(123_456_789_012_345_678), 38, 2)),
            ("money", decimal("-0.10"), ScalarValue::Decimal128(Some(-10), 38, 2)),
            ("money", FilterValue::Integer(i64::MAX), ScalarValue::Decimal128(Some(i128::from(i64::MAX) * 100), 38, 2)),
            ("double", decimal("0.1"), ScalarValue::Float64(Some(0.1))),
            ("double", FilterValue::Integer((1 << 53) + 1), ScalarValue::Float64(Some(9_007_199_254_740_992.0))),
            ("whole", FilterValue::Integer((1 << 53) + 1), ScalarValue::Int64(Some((1 << 53) + 1))),
        ] {
            assert_eq!(bound(column, value), expected, "{column}");
        }
    }

    #[test]
    fn a_column_the_source_lacks_is_an_error() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int32, true)]);
        assert!(lower(&text(TextKind::Contains, "x"), &schema).is_err());
    }
}
