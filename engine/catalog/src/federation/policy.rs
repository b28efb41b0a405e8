//! Row filters in the words of the push-down vocabulary, so that a policy travels inside the fragment. Values enter as
//! parameters of the scope only.

use crate::remote::DriverTable;
use crate::row_filter::scaled_integer;
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, Constant, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_policy::filter::{CompareOp, FilterValue, RowFilter, Test, TextKind};
use querygate_rules::NotPushed;
use querygate_rules::opener::{LeafPolicy, PolicyScope, RemoteColumn};
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
            Test::ListContains { .. } | Test::HasElements { .. } => {
                Err(refused("a policy tests the elements of a list"))
            }
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

/// A plain decimal as a value of a column of decimals, if nothing is lost.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<Value> {
    scaled_integer(text, precision, scale).map(|value| Value::Decimal128 { value, precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::expressions::Row;
    use querygate_policy::filter::{Operand, RowLookup};
    use serde_json::{Map, json};

    /// No filter of these tests asks for other rows.
    struct Alone;

    impl RowLookup for Alone {
        fn rows_where(
            &self,
            object: &str,
            _: &str,
            _: &str,
        ) -> querygate_types::Result<Vec<Map<String, serde_json::Value>>> {
            panic!("rows of {object}")
        }
    }

    const COLUMNS: [(&str, ValueType); 3] = [("n", ValueType::Int64), ("m", ValueType::Int64), ("t", ValueType::Text)];

    /// What a filter becomes, and the values of its parameters.
    fn lowered(filter: &RowFilter) -> Result<(ScalarExpr, Vec<Value>), NotPushed> {
        let columns = (0..).zip(COLUMNS).map(|(id, (name, of))| (name.to_owned(), (ColumnId(id), of))).collect();
        let (tables, source) = (Tables::default(), Arc::from("near"));
        let (mut next, mut sources, mut types, mut values) = (100, Vec::new(), Vec::new(), Vec::new());
        let mut scope = PolicyScope::over(&mut next, &mut sources, &mut types, &mut values);
        let expr = Lowering { columns, tables: &tables, source: &source }.boolean(filter, false, &mut scope)?;
        Ok((expr, values))
    }

    fn number(value: i64) -> Operand {
        Operand::Literal(FilterValue::Integer(value))
    }

    fn text(value: &str) -> Operand {
        Operand::Principal { key: "region".to_owned(), value: FilterValue::Text(value.to_owned()) }
    }

    /// Each test with columns that are NULL in some rows.
    fn tests() -> Vec<RowFilter> {
        let [n, m, t] = COLUMNS.map(|(name, _)| name.to_owned());
        let ops = [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge];
        let mut tests =
            vec![Test::IsNull { column: n.clone(), negated: false }, Test::IsNull { column: t.clone(), negated: true }];
        for op in ops {
            tests.push(Test::Compare { column: n.clone(), op, value: number(2) });
            tests.push(Test::Compare { column: t.clone(), op, value: text("b") });
            tests.push(Test::CompareColumns { left: n.clone(), op, right: m.clone(), add_days: 0 });
        }
        for negated in [false, true] {
            tests.push(Test::In { column: n.clone(), values: vec![number(1), number(3)], negated });
            for kind in [TextKind::Contains, TextKind::StartsWith] {
                tests.push(Test::Text { column: t.clone(), kind, pattern: text("b"), negated });
            }
        }
        tests.into_iter().map(RowFilter::Test).collect()
    }

    #[test]
    fn a_source_lets_through_the_rows_that_the_policy_does_nulls_included() {
        let of_number = |number: Option<i64>| number.map_or(Value::Null(ValueType::Int64), Value::Int64);
        let mut rows = Vec::new();
        for n in [None, Some(1), Some(2), Some(3)] {
            for m in [None, Some(2)] {
                for t in [None, Some("abc"), Some("b")] {
                    let cells = [of_number(n), of_number(m), t.map_or(Value::Null(ValueType::Text), Value::text)];
                    let json = json!({"n": n, "m": m, "t": t});
                    rows.push(((0..).map(ColumnId).zip(cells).collect::<Vec<_>>(), json.as_object().unwrap().clone()));
                }
            }
        }
        let single = tests();
        let mut filters = vec![RowFilter::All, RowFilter::Nothing];
        for (at, one) in single.iter().enumerate() {
            let other = &single[(at * 7 + 3) % single.len()];
            filters.push(one.clone());
            filters.push(RowFilter::And(vec![one.clone(), other.clone()]));
            filters.push(RowFilter::Or(vec![one.clone(), RowFilter::Not(Box::new(other.clone()))]));
        }
        let complements = filters.clone().into_iter().map(|filter| RowFilter::Not(Box::new(filter)));
        for filter in filters.clone().into_iter().chain(complements) {
            let (expr, parameters) = lowered(&filter).unwrap();
            for (cells, json) in &rows {
                let passes = Row { cells, parameters: &parameters }.truth(&expr) == Some(true);
                assert_eq!(passes, filter.evaluate(json, &Alone).unwrap(), "{filter:?} on {json:?}");
            }
        }
    }

    #[test]
    fn what_a_source_may_mean_otherwise_stays_in_the_gate() {
        let of_text = |kind| Test::Text { column: "t".to_owned(), kind, pattern: text("secret"), negated: false };
        let column = || "n".to_owned();
        for test in [
            of_text(TextKind::EndsWith),
            of_text(TextKind::ILike),
            of_text(TextKind::IContains),
            Test::ListContains { column: "t".to_owned(), value: text("secret") },
            Test::CompareColumns { left: column(), op: CompareOp::Lt, right: "m".to_owned(), add_days: 1 },
            Test::Compare { column: "gone".to_owned(), op: CompareOp::Eq, value: text("secret") },
            Test::Compare { column: column(), op: CompareOp::Eq, value: text("secret") },
            Test::In { column: column(), values: vec![number(1), text("secret")], negated: true },
            Test::InRelated {
                column: "t".to_owned(),
                object: "elsewhere".to_owned(),
                filter: Box::new(RowFilter::All),
                select: "id".to_owned(),
            },
        ] {
            let refused = lowered(&RowFilter::Not(Box::new(RowFilter::Test(test.clone())))).unwrap_err();
            assert!(refused.of_policy && !refused.text.contains("secret"), "{test:?}: {refused:?}");
        }
    }

    #[test]
    fn values_have_the_columns_own_type_or_are_not_sent() {
        let decimal = |value| Value::Decimal128 { value, precision: 5, scale: 2 };
        let narrow = ValueType::Decimal128 { precision: 5, scale: 2 };
        let instant = ValueType::Timestamp { utc: true };
        let words = |words: &str| FilterValue::Text(words.to_owned());
        let plain = |digits: &str| FilterValue::Decimal(digits.to_owned());
        for (value, wanted, expected) in [
            (words("a"), ValueType::Text, Some(Value::text("a"))),
            (words("1"), ValueType::Int64, None),
            (FilterValue::Integer(-5), ValueType::Int16, Some(Value::Int16(-5))),
            (FilterValue::Integer(40_000), ValueType::Int16, None),
            (FilterValue::Integer(1 << 31), ValueType::Int32, None),
            (FilterValue::Integer(1 << 53), ValueType::Float64, Some(Value::Float64(9_007_199_254_740_992.0))),
            (FilterValue::Integer((1 << 53) + 1), ValueType::Float64, None),
            (FilterValue::Integer(7), narrow, Some(decimal(700))),
            (FilterValue::Integer(1_000), narrow, None),
            (plain("1.25"), narrow, Some(decimal(125))),
            (plain("1.255"), narrow, None),
            (plain("1.25"), ValueType::Float64, Some(Value::Float64(1.25))),
            (plain("1.25"), ValueType::Int64, None),
            (FilterValue::Boolean(true), ValueType::Boolean, Some(Value::Boolean(true))),
            (FilterValue::Boolean(true), ValueType::Int64, None),
            (FilterValue::Date(3), ValueType::Date, Some(Value::Date(3))),
            (FilterValue::Date(3), instant, None),
            (FilterValue::Timestamp(-1), instant, Some(Value::Timestamp { micros: -1_000, utc: true })),
            (FilterValue::Timestamp(i64::MAX), instant, None),
            (FilterValue::Time(1), ValueType::Time, Some(Value::Time(1_000))),
        ] {
            assert_eq!(bound(&value, wanted).ok(), expected, "{value:?} as {wanted:?}");
        }
    }

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
