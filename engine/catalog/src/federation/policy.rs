//! Row filters in the words of the push-down vocabulary, so that a policy travels inside the fragment. Values enter as
//! parameters of the scope only.

use crate::remote::DriverTable;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, Constant};
use querygate_driver_api::{ColumnId, RefusalReason, ScalarExpr, Value, ValueType};
use querygate_policy::filter::{CompareOp, FilterValue, RowFilter, Test, TextKind};
use querygate_rules::{LeafPolicy, NotPushed, PolicyScope, RemoteColumn};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tables that a policy may name, by object.
pub(crate) type Tables = Arc<BTreeMap<String, DriverTable>>;

/// A row filter over one driver table.
pub(crate) struct FragmentPolicy {
    filter: RowFilter,
    columns: Vec<(String, RemoteColumn)>,
    tables: Tables,
    source: Arc<str>,
}

impl FragmentPolicy {
    /// `None` when the filter names a column that the table lacks or has as text only: the statement then stays with the
    /// governed leaves.
    pub(crate) fn new(filter: &RowFilter, table: &DriverTable, tables: &Tables) -> Option<Self> {
        let filter = filter.clone().simplify();
        let columns = filter
            .columns()
            .into_iter()
            .map(|name| fit(table, name).map(|column| (name.to_owned(), column.clone())))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { filter, columns, tables: Arc::clone(tables), source: Arc::clone(table.source()) })
    }
}

impl LeafPolicy for FragmentPolicy {
    fn columns(&self) -> Vec<RemoteColumn> {
        self.columns.iter().map(|(_, column)| column.clone()).collect()
    }

    fn is_related(&self) -> bool {
        is_related(&self.filter)
    }

    fn predicate(&self, columns: &[ColumnId], scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed> {
        let in_scope = self
            .columns
            .iter()
            .zip(columns)
            .map(|((name, column), id)| (name.clone(), (*id, column.value_type)))
            .collect();
        Lowering { columns: in_scope, tables: &self.tables, source: &self.source }.boolean(&self.filter, false, scope)
    }
}

/// A column that a policy may read.
fn fit<'a>(table: &'a DriverTable, name: &str) -> Option<&'a RemoteColumn> {
    table.column(name).filter(|_| table.widened(name).is_none())
}

fn is_related(filter: &RowFilter) -> bool {
    match filter {
        RowFilter::All | RowFilter::Nothing => false,
        RowFilter::Not(inner) => is_related(inner),
        RowFilter::And(all) | RowFilter::Or(all) => all.iter().any(is_related),
        RowFilter::Test(test) => matches!(test, Test::InRelated { .. }),
    }
}

struct Lowering<'a> {
    columns: BTreeMap<String, (ColumnId, ValueType)>,
    tables: &'a Tables,
    source: &'a Arc<str>,
}

fn refused(text: &str) -> NotPushed {
    NotPushed { reason: RefusalReason::Operator, text: text.to_owned(), place: "row policy", of_policy: true }
}

impl Lowering<'_> {
    /// The filter or its complement, true exactly on the rows it passes; complements are taken at the leaves.
    fn boolean(&self, filter: &RowFilter, negated: bool, scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed> {
        let members = |all: &[RowFilter], scope: &mut PolicyScope<'_>| {
            all.iter().map(|member| self.boolean(member, negated, scope)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match filter {
            RowFilter::All => constant(!negated),
            RowFilter::Nothing => constant(negated),
            RowFilter::Not(inner) => self.boolean(inner, !negated, scope)?,
            RowFilter::And(all) => {
                let all = members(all, scope)?;
                if negated { ScalarExpr::Or(all) } else { ScalarExpr::And(all) }
            }
            RowFilter::Or(all) => {
                let all = members(all, scope)?;
                if negated { ScalarExpr::And(all) } else { ScalarExpr::Or(all) }
            }
            RowFilter::Test(test) => self.test(test, negated, scope)?,
        })
    }

    fn test(&self, test: &Test, negated: bool, scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed> {
        match test {
            Test::Compare { column, op, value } => {
                let (id, value_type) = self.column(column)?;
                let parameter = scope.parameter(bound(value.value(), value_type)?);
                Ok(compare(&[id], ScalarExpr::Column(id), *op, parameter, negated))
            }
            Test::CompareColumns { left, op, right, add_days: 0 } => {
                let ((l, _), (r, _)) = (self.column(left)?, self.column(right)?);
                Ok(compare(&[l, r], ScalarExpr::Column(l), *op, ScalarExpr::Column(r), negated))
            }
            Test::CompareColumns { .. } => Err(refused("a policy adds days to a column")),
            Test::In { column, values, negated: outside } => {
                let (id, value_type) = self.column(column)?;
                let list = values
                    .iter()
                    .map(|v| bound(v.value(), value_type).map(|value| scope.parameter(value)))
                    .collect::<Result<Vec<_>, _>>()?;
                let outside = *outside != negated;
                let member = ScalarExpr::InList { expr: Box::new(ScalarExpr::Column(id)), list, negated: outside };
                Ok(if outside { or_null(member, &[id]) } else { member })
            }
            Test::IsNull { column, negated: has_value } => {
                let (id, _) = self.column(column)?;
                Ok(ScalarExpr::IsNull { expr: Box::new(ScalarExpr::Column(id)), negated: *has_value != negated })
            }
            Test::Text { column, kind, pattern, negated: outside } => {
                self.text(column, *kind, pattern.value(), *outside != negated, scope)
            }
            Test::ListContains { .. } => Err(refused("a policy tests the elements of a list")),
            Test::InRelated { column, object, filter, select } => {
                self.related(column, object, filter, select, negated, scope)
            }
        }
    }

    fn text(
        &self,
        column: &str,
        kind: TextKind,
        pattern: &FilterValue,
        negated: bool,
        scope: &mut PolicyScope<'_>,
    ) -> Result<ScalarExpr, NotPushed> {
        let FilterValue::Text(pattern) = pattern else { return Err(refused("a text pattern that is no text")) };
        let (id, value_type) = self.column(column)?;
        let read = Box::new(ScalarExpr::Column(id));
        let function = match kind {
            TextKind::Contains => ScalarFunction::Contains,
            TextKind::StartsWith => ScalarFunction::StartsWith,
            TextKind::EndsWith => return Err(refused("a policy tests the end of a text")),
            TextKind::Like => {
                let pattern = scope.pattern(pattern.as_str());
                let like = ScalarExpr::Like { expr: read, pattern, negated, case_insensitive: false };
                return Ok(if negated { or_null(like, &[id]) } else { like });
            }
            TextKind::ILike | TextKind::IContains => return Err(refused("a policy folds ASCII letters")),
        };
        let pattern = scope.parameter(bound(&FilterValue::Text(pattern.clone()), value_type)?);
        let verdict = ScalarExpr::Function { function, args: vec![*read, pattern], value_type: ValueType::Boolean };
        Ok(if negated { or_null(ScalarExpr::Not(Box::new(verdict)), &[id]) } else { verdict })
    }

    /// `column IN (SELECT select FROM object WHERE filter)`, where the object is of the same source.
    fn related(
        &self,
        column: &str,
        object: &str,
        filter: &RowFilter,
        select: &str,
        negated: bool,
        scope: &mut PolicyScope<'_>,
    ) -> Result<ScalarExpr, NotPushed> {
        let elsewhere = || refused("a policy reads an object of another source");
        let table = self.tables.get(object).filter(|t| t.source() == self.source).ok_or_else(elsewhere)?;
        let mut names = filter.columns();
        names.insert(select);
        let mut columns = BTreeMap::new();
        let mut scanned = Vec::new();
        for name in names {
            let remote = fit(table, name).ok_or_else(|| refused("a policy names a column that its source lacks"))?;
            let id = scope.column();
            scanned.push(ScanColumn {
                id,
                name: remote.name.clone(),
                value_type: remote.value_type,
                nullable: remote.nullable,
                collation: remote.collation.clone(),
                encoding: remote.encoding,
            });
            columns.insert(name.to_owned(), (id, remote.value_type));
        }
        let inner = Lowering { columns, tables: self.tables, source: self.source };
        let (key, _) = inner.column(select)?;
        let predicate = inner.boolean(filter, false, scope)?;
        // A null key would make NOT IN unknown; keys are compared only where they are.
        let has_key = ScalarExpr::IsNull { expr: Box::new(ScalarExpr::Column(key)), negated: true };
        let rows = Relation::Filter {
            input: Box::new(Relation::Scan { table: table.table().clone(), columns: scanned }),
            predicate: ScalarExpr::And(vec![predicate, has_key]),
        };
        let keys = Relation::Project { input: Box::new(rows), exprs: vec![(key, ScalarExpr::Column(key))] };
        let (id, _) = self.column(column)?;
        let verdict =
            ScalarExpr::InSubquery { expr: Box::new(ScalarExpr::Column(id)), relation: Box::new(keys), negated };
        Ok(if negated { or_null(verdict, &[id]) } else { verdict })
    }

    fn column(&self, name: &str) -> Result<(ColumnId, ValueType), NotPushed> {
        self.columns.get(name).copied().ok_or_else(|| refused("a policy names a column that its source lacks"))
    }
}

fn constant(value: bool) -> ScalarExpr {
    ScalarExpr::Constant(if value { Constant::True } else { Constant::False })
}

fn or_null(expr: ScalarExpr, columns: &[ColumnId]) -> ScalarExpr {
    let nulls = columns.iter().map(|id| ScalarExpr::IsNull { expr: Box::new(ScalarExpr::Column(*id)), negated: false });
    ScalarExpr::Or(std::iter::once(expr).chain(nulls).collect())
}

/// As for the governed leaf: false on nulls, except `Ne`, which is true on them; or the complement of that.
fn compare(columns: &[ColumnId], left: ScalarExpr, op: CompareOp, right: ScalarExpr, negated: bool) -> ScalarExpr {
    let operator = match (op, negated) {
        (CompareOp::Eq, false) | (CompareOp::Ne, true) => ComparisonOp::Eq,
        (CompareOp::Ne, false) | (CompareOp::Eq, true) => ComparisonOp::NotEq,
        (CompareOp::Lt, false) | (CompareOp::Ge, true) => ComparisonOp::Lt,
        (CompareOp::Le, false) | (CompareOp::Gt, true) => ComparisonOp::LtEq,
        (CompareOp::Gt, false) | (CompareOp::Le, true) => ComparisonOp::Gt,
        (CompareOp::Ge, false) | (CompareOp::Lt, true) => ComparisonOp::GtEq,
    };
    let verdict = ScalarExpr::compare(operator, left, right);
    if (op == CompareOp::Ne) == negated { verdict } else { or_null(verdict, columns) }
}

/// The value in the column's own type; what has no exact form there is not pushed.
fn bound(value: &FilterValue, wanted: ValueType) -> Result<Value, NotPushed> {
    let inexact = || refused("a policy value has no exact form in the column's type");
    Ok(match (value, wanted) {
        (FilterValue::Text(text), ValueType::Text) => Value::Text(text.as_str().into()),
        (FilterValue::Integer(n), ValueType::Int16) => Value::Int16(i16::try_from(*n).map_err(|_| inexact())?),
        (FilterValue::Integer(n), ValueType::Int32) => Value::Int32(i32::try_from(*n).map_err(|_| inexact())?),
        (FilterValue::Integer(n), ValueType::Int64) => Value::Int64(*n),
        (FilterValue::Integer(n), ValueType::Float64) => {
            let double = n.to_string().parse::<f64>().map_err(|_| inexact())?;
            if n.unsigned_abs() > 1 << 53 {
                return Err(inexact());
            }
            Value::Float64(double)
        }
        (FilterValue::Integer(n), ValueType::Decimal128 { precision, scale }) => {
            decimal(&n.to_string(), precision, scale).ok_or_else(inexact)?
        }
        (FilterValue::Decimal(text), ValueType::Decimal128 { precision, scale }) => {
            decimal(text, precision, scale).ok_or_else(inexact)?
        }
        (FilterValue::Decimal(text), ValueType::Float64) => Value::Float64(text.parse().map_err(|_| inexact())?),
        (FilterValue::Boolean(b), ValueType::Boolean) => Value::Boolean(*b),
        (FilterValue::Date(days), ValueType::Date) => Value::Date(*days),
        (FilterValue::Timestamp(ms), ValueType::Timestamp { utc }) => {
            Value::Timestamp { micros: ms.checked_mul(1_000).ok_or_else(inexact)?, utc }
        }
        (FilterValue::Time(ms), ValueType::Time) => Value::Time(i64::from(*ms) * 1_000),
        _ => return Err(inexact()),
    })
}

/// Plain decimal text as a scaled integer, if nothing is lost.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<Value> {
    let scale_digits = usize::try_from(scale).ok()?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale_digits {
        return None;
    }
    let all = format!("{whole}{fraction:0<scale_digits$}");
    let value = all.parse::<i128>().ok()?.checked_mul(sign)?;
    let fits = value.unsigned_abs().checked_ilog10().is_none_or(|log| log < u32::from(precision));
    fits.then_some(Value::Decimal128 { value, precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        let value = |text: &str| match decimal(text, 6, 2) {
            Some(Value::Decimal128 { value, .. }) => Some(value),
            _ => None,
        };
        for (text, expected) in [
            ("5", Some(500)),
            ("-5.5", Some(-550)),
            ("0.10", Some(10)),
            ("1.230", Some(123)),
            ("1.234", None),
            ("12345", None),
            ("9999.99", Some(999_999)),
            ("x", None),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
