//! The written semantics, executed: a slow and plain interpreter of fragments over values. Shares no code with any driver.

use crate::aggregate::{AggregateExpr, AggregateFunction};
use crate::fragment::Fragment;
use crate::identifier::ColumnId;
use crate::relation::{JoinKind, Relation, SetOp, SortKey};
use crate::scalar::{ArithmeticOp, ComparisonOp, Constant, ScalarExpr, Truth};
use crate::testkit::dataset::Table;
use crate::testkit::functions;
use crate::testkit::totals::{mean, sum};
use crate::value::{Value, ValueType};
use std::cmp::Ordering;
use std::collections::HashMap;

type Env = HashMap<ColumnId, Value>;
type Rows = Vec<Vec<Value>>;

/// Why the interpreter gave no rows: an error that the statement would raise, or something it has no words for.
pub type Fault = String;

/// Rows of a fragment over the suite's tables.
///
/// # Errors
/// What the statement would raise, in words.
pub fn evaluate(fragment: &Fragment, tables: &[Table], parameters: &[Value]) -> Result<Rows, Fault> {
    let reference = Reference { tables, parameters };
    let rows = reference.relation(&fragment.relation, &Env::new())?;
    let ids = fragment.relation.output();
    let positions: Vec<usize> = fragment
        .output
        .iter()
        .map(|column| ids.iter().position(|id| *id == column.id).ok_or("output column"))
        .collect::<Result<_, _>>()?;
    Ok(rows.iter().map(|row| positions.iter().filter_map(|at| row.get(*at).cloned()).collect()).collect())
}

struct Reference<'a> {
    tables: &'a [Table],
    parameters: &'a [Value],
}

fn env(outer: &Env, ids: &[ColumnId], row: &[Value]) -> Env {
    let mut all = outer.clone();
    all.extend(ids.iter().copied().zip(row.iter().cloned()));
    all
}

fn nulls(_relation: &Relation, width: usize) -> Vec<Value> {
    vec![Value::Null(ValueType::Int64); width]
}

impl Reference<'_> {
    fn relation(&self, relation: &Relation, outer: &Env) -> Result<Rows, Fault> {
        match relation {
            Relation::Scan { table, columns } => {
                let data = self.tables.iter().find(|data| data.name == table.name()).ok_or("no such table")?;
                let positions: Vec<usize> = columns
                    .iter()
                    .map(|column| data.columns.iter().position(|(name, _)| *name == column.name.as_str()))
                    .collect::<Option<_>>()
                    .ok_or("no such column")?;
                Ok(data
                    .rows
                    .iter()
                    .map(|row| positions.iter().filter_map(|at| row.get(*at).cloned()).collect())
                    .collect())
            }
            Relation::Filter { input, predicate } => {
                let ids = input.output();
                let mut kept = Vec::new();
                for row in self.relation(input, outer)? {
                    if self.is_true(predicate, &env(outer, &ids, &row))? {
                        kept.push(row);
                    }
                }
                Ok(kept)
            }
            Relation::Project { input, exprs } => {
                let ids = input.output();
                let project = |row: Vec<Value>| {
                    let env = env(outer, &ids, &row);
                    exprs.iter().map(|(_, expr)| self.scalar(expr, &env)).collect::<Result<Vec<_>, _>>()
                };
                self.relation(input, outer)?.into_iter().map(project).collect()
            }
            Relation::Join { kind, left, right, on } => self.join(*kind, left, right, on, outer),
            Relation::Aggregate { input, group, aggregates } => self.aggregated(input, group, aggregates, outer),
            Relation::Distinct { input } => Ok(distinct(self.relation(input, outer)?)),
            Relation::Sort { input, keys } => self.sort(input, keys, outer),
            Relation::Limit { input, skip, fetch } => {
                let skip = usize::try_from(*skip).unwrap_or(usize::MAX);
                let fetch = fetch.map_or(usize::MAX, |fetch| usize::try_from(fetch).unwrap_or(usize::MAX));
                Ok(self.relation(input, outer)?.into_iter().skip(skip).take(fetch).collect())
            }
            Relation::SetOperation { op, all, left, right, .. } => {
                Ok(combine(*op, *all, self.relation(left, outer)?, self.relation(right, outer)?))
            }
            Relation::Window { .. } => Err("windows are not interpreted".to_owned()),
            Relation::Fence { input } => self.relation(input, outer),
            Relation::Values { rows, .. } => {
                rows.iter().map(|row| row.iter().map(|expr| self.scalar(expr, outer)).collect()).collect()
            }
            Relation::EmptyRow => Ok(vec![Vec::new()]),
        }
    }

    fn join(
        &self,
        kind: JoinKind,
        left: &Relation,
        right: &Relation,
        on: &ScalarExpr,
        outer: &Env,
    ) -> Result<Rows, Fault> {
        let ids: Vec<ColumnId> = left.output().into_iter().chain(right.output()).collect();
        let (lefts, rights) = (self.relation(left, outer)?, self.relation(right, outer)?);
        let (left_nulls, right_nulls) = (nulls(left, left.output().len()), nulls(right, right.output().len()));
        let mut matched_right = vec![false; rights.len()];
        let mut rows = Vec::new();
        for left_row in &lefts {
            let mut matched = false;
            for (right_row, matched_right) in rights.iter().zip(&mut matched_right) {
                let row: Vec<Value> = left_row.iter().chain(right_row).cloned().collect();
                if self.is_true(on, &env(outer, &ids, &row))? {
                    matched = true;
                    *matched_right = true;
                    if !matches!(kind, JoinKind::LeftSemi | JoinKind::LeftAnti) {
                        rows.push(row);
                    }
                }
            }
            match kind {
                JoinKind::LeftSemi if matched => rows.push(left_row.clone()),
                JoinKind::LeftAnti if !matched => rows.push(left_row.clone()),
                JoinKind::Left | JoinKind::Full if !matched => {
                    rows.push(left_row.iter().chain(&right_nulls).cloned().collect());
                }
                _ => {}
            }
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            for (right_row, matched) in rights.iter().zip(matched_right) {
                if !matched {
                    rows.push(left_nulls.iter().chain(right_row).cloned().collect());
                }
            }
        }
        Ok(rows)
    }

    fn sort(&self, input: &Relation, keys: &[SortKey], outer: &Env) -> Result<Rows, Fault> {
        let ids = input.output();
        let mut keyed = Vec::new();
        for row in self.relation(input, outer)? {
            let env = env(outer, &ids, &row);
            let key = keys.iter().map(|key| self.scalar(&key.expr, &env)).collect::<Result<Vec<_>, _>>()?;
            keyed.push((key, row));
        }
        keyed.sort_by(|(a, _), (b, _)| {
            let compared = a.iter().zip(b).zip(keys).map(|((a, b), key)| match (a.is_null(), b.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) => {
                    if key.nulls_first {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (false, true) => {
                    if key.nulls_first {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
                (false, false) => {
                    if key.ascending {
                        order(a, b)
                    } else {
                        order(b, a)
                    }
                }
            });
            compared.into_iter().find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
        });
        Ok(keyed.into_iter().map(|(_, row)| row).collect())
    }

    fn aggregated(
        &self,
        input: &Relation,
        group: &[(ColumnId, ScalarExpr)],
        aggregates: &[(ColumnId, AggregateExpr)],
        outer: &Env,
    ) -> Result<Rows, Fault> {
        let ids = input.output();
        let mut groups: Vec<(Vec<Value>, Vec<Env>)> = Vec::new();
        for row in self.relation(input, outer)? {
            let env = env(outer, &ids, &row);
            let key = group.iter().map(|(_, expr)| self.scalar(expr, &env)).collect::<Result<Vec<_>, _>>()?;
            match groups.iter_mut().find(|(known, _)| same(known, &key)) {
                Some((_, members)) => members.push(env),
                None => groups.push((key, vec![env])),
            }
        }
        if group.is_empty() && groups.is_empty() {
            groups.push((Vec::new(), Vec::new()));
        }
        let mut rows = Vec::new();
        for (mut row, members) in groups {
            for (_, aggregate) in aggregates {
                row.push(self.aggregate(aggregate, &members)?);
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn aggregate(&self, aggregate: &AggregateExpr, members: &[Env]) -> Result<Value, Fault> {
        let mut values = Vec::new();
        let mut rows = 0_i64;
        for env in members {
            if let Some(filter) = &aggregate.filter
                && !self.is_true(filter, env)?
            {
                continue;
            }
            rows += 1;
            if let Some(argument) = aggregate.args.first() {
                let value = self.scalar(argument, env)?;
                let known = aggregate.distinct && values.iter().any(|known| order(known, &value).is_eq());
                if !value.is_null() && !known {
                    values.push(value);
                }
            }
        }
        let count = i64::try_from(values.len()).map_err(|_| "too many rows")?;
        let null = Value::Null(aggregate.value_type);
        match aggregate.function {
            AggregateFunction::CountStar => Ok(Value::Int64(rows)),
            AggregateFunction::Count => Ok(Value::Int64(count)),
            AggregateFunction::Min => Ok(values.into_iter().min_by(order).unwrap_or(null)),
            AggregateFunction::Max => Ok(values.into_iter().max_by(order).unwrap_or(null)),
            AggregateFunction::BoolAnd => Ok(values.into_iter().min_by(order).unwrap_or(null)),
            AggregateFunction::BoolOr => Ok(values.into_iter().max_by(order).unwrap_or(null)),
            _ if values.is_empty() => Ok(null),
            AggregateFunction::Sum => sum(&values, aggregate.value_type),
            AggregateFunction::Avg if aggregate.value_type.is_decimal() => {
                mean(&values, i128::from(count), aggregate.value_type)
            }
            AggregateFunction::Avg => {
                let total: f64 = values.iter().map(functions::as_double).sum::<Result<f64, Fault>>()?;
                #[expect(clippy::cast_precision_loss, reason = "few rows")]
                let count = count as f64;
                Ok(Value::Float64(total / count))
            }
            other => Err(format!("{} is not interpreted", other.name())),
        }
    }

    fn is_true(&self, expr: &ScalarExpr, env: &Env) -> Result<bool, Fault> {
        Ok(self.truth(expr, env)? == Some(true))
    }

    fn truth(&self, expr: &ScalarExpr, env: &Env) -> Result<Option<bool>, Fault> {
        match self.scalar(expr, env)? {
            Value::Boolean(value) => Ok(Some(value)),
            Value::Null(_) => Ok(None),
            other => Err(format!("not a condition: {other:?}")),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, env: &Env) -> Result<Value, Fault> {
        Ok(match expr {
            ScalarExpr::Column(id) => env.get(id).cloned().ok_or_else(|| format!("no column {id}"))?,
            ScalarExpr::Parameter(index, _) => self.parameters.get(*index).cloned().ok_or("no parameter")?,
            ScalarExpr::Constant(Constant::True) => Value::Boolean(true),
            ScalarExpr::Constant(Constant::False) => Value::Boolean(false),
            ScalarExpr::Constant(Constant::Null(value_type)) => Value::Null(*value_type),
            ScalarExpr::Comparison { op, left, right } => {
                boolean(compare(*op, &self.scalar(left, env)?, &self.scalar(right, env)?))
            }
            ScalarExpr::And(all) => {
                let truths = all.iter().map(|expr| self.truth(expr, env)).collect::<Result<Vec<_>, _>>()?;
                boolean(and(&truths))
            }
            ScalarExpr::Or(all) => {
                let truths = all.iter().map(|expr| self.truth(expr, env)).collect::<Result<Vec<_>, _>>()?;
                boolean(or(&truths))
            }
            ScalarExpr::Not(expr) => boolean(self.truth(expr, env)?.map(|truth| !truth)),
            ScalarExpr::IsNull { expr, negated } => Value::Boolean(self.scalar(expr, env)?.is_null() != *negated),
            ScalarExpr::IsTruth { expr, truth, negated } => {
                let wanted = match truth {
                    Truth::True => Some(true),
                    Truth::False => Some(false),
                    Truth::Unknown => None,
                };
                Value::Boolean((self.truth(expr, env)? == wanted) != *negated)
            }
            ScalarExpr::Between { expr, low, high, negated } => {
                let value = self.scalar(expr, env)?;
                let low = compare(ComparisonOp::GtEq, &value, &self.scalar(low, env)?);
                let high = compare(ComparisonOp::LtEq, &value, &self.scalar(high, env)?);
                boolean(and(&[low, high]).map(|truth| truth != *negated))
            }
            ScalarExpr::InList { expr, list, negated } => {
                let value = self.scalar(expr, env)?;
                let items = list.iter().map(|item| self.scalar(item, env)).collect::<Result<Vec<_>, _>>()?;
                boolean(member(&value, &items).map(|truth| truth != *negated))
            }
            ScalarExpr::InSubquery { expr, relation, negated } => {
                let value = self.scalar(expr, env)?;
                let items: Vec<Value> = self.relation(relation, env)?.into_iter().flatten().collect();
                boolean(member(&value, &items).map(|truth| truth != *negated))
            }
            ScalarExpr::Exists { relation, negated } => {
                Value::Boolean(self.relation(relation, env)?.is_empty() == *negated)
            }
            ScalarExpr::ScalarSubquery { relation } => {
                let mut rows = self.relation(relation, env)?;
                match rows.len() {
                    0 => Value::Null(ValueType::Int64),
                    1 => rows.swap_remove(0).into_iter().next().ok_or("no column")?,
                    _ => return Err("21000".to_owned()),
                }
            }
            ScalarExpr::Like { expr, pattern, negated, case_insensitive } => {
                if *case_insensitive {
                    return Err("case folding is not interpreted".to_owned());
                }
                match (self.scalar(expr, env)?, self.parameters.get(*pattern)) {
                    (Value::Text(text), Some(Value::Text(pattern))) => {
                        Value::Boolean(functions::like(&text, pattern) != *negated)
                    }
                    _ => Value::Null(ValueType::Boolean),
                }
            }
            ScalarExpr::Arithmetic { op, left, right, value_type } => {
                arithmetic(*op, &self.scalar(left, env)?, &self.scalar(right, env)?, *value_type)?
            }
            ScalarExpr::Negate(expr) => match self.scalar(expr, env)? {
                Value::Float64(value) => Value::Float64(-value),
                Value::Int64(value) => Value::Int64(value.checked_neg().ok_or("22003")?),
                other => other,
            },
            ScalarExpr::Case { branches, otherwise } => {
                for (when, then) in branches {
                    if self.is_true(when, env)? {
                        return self.scalar(then, env);
                    }
                }
                match otherwise {
                    Some(otherwise) => self.scalar(otherwise, env)?,
                    None => Value::Null(ValueType::Boolean),
                }
            }
            ScalarExpr::Cast { expr, to, .. } => functions::cast(self.scalar(expr, env)?, *to)?,
            ScalarExpr::Function { function, args, value_type } => {
                let args = args.iter().map(|arg| self.scalar(arg, env)).collect::<Result<Vec<_>, _>>()?;
                functions::function(*function, &args, *value_type)?
            }
        })
    }
}

fn boolean(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null(ValueType::Boolean), Value::Boolean)
}

fn and(truths: &[Option<bool>]) -> Option<bool> {
    if truths.contains(&Some(false)) {
        return Some(false);
    }
    if truths.contains(&None) { None } else { Some(true) }
}

fn or(truths: &[Option<bool>]) -> Option<bool> {
    if truths.contains(&Some(true)) {
        return Some(true);
    }
    if truths.contains(&None) { None } else { Some(false) }
}

fn member(value: &Value, items: &[Value]) -> Option<bool> {
    or(&items.iter().map(|item| compare(ComparisonOp::Eq, value, item)).collect::<Vec<_>>())
}

fn compare(op: ComparisonOp, left: &Value, right: &Value) -> Option<bool> {
    let distinct = match (left.is_null(), right.is_null()) {
        (true, true) => false,
        (true, false) | (false, true) => true,
        (false, false) => order(left, right).is_ne(),
    };
    match op {
        ComparisonOp::IsDistinctFrom => return Some(distinct),
        ComparisonOp::IsNotDistinctFrom => return Some(!distinct),
        _ if left.is_null() || right.is_null() => return None,
        _ => {}
    }
    let ordering = order(left, right);
    Some(match op {
        ComparisonOp::Eq => ordering.is_eq(),
        ComparisonOp::NotEq | ComparisonOp::IsDistinctFrom => ordering.is_ne(),
        ComparisonOp::Lt => ordering.is_lt(),
        ComparisonOp::LtEq => ordering.is_le(),
        ComparisonOp::Gt => ordering.is_gt(),
        ComparisonOp::GtEq => ordering.is_ge(),
        ComparisonOp::IsNotDistinctFrom => ordering.is_eq(),
    })
}

/// Order of two values of one type; NULL equals NULL (for groups).
#[must_use]
pub fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Int16(a), Value::Int16(b)) => a.cmp(b),
        (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
        (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
        (Value::Float32(a), Value::Float32(b)) => doubles(f64::from(*a), f64::from(*b)),
        (Value::Float64(a), Value::Float64(b)) => doubles(*a, *b),
        (Value::Decimal128 { value: a, .. }, Value::Decimal128 { value: b, .. }) => a.cmp(b),
        // UTF-8 bytes are in code point order.
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Binary(a), Value::Binary(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Timestamp { micros: a, .. }, Value::Timestamp { micros: b, .. }) => a.cmp(b),
        (Value::TextList(a), Value::TextList(b)) => a.cmp(b),
        (a, b) => a.is_null().cmp(&b.is_null()),
    }
}

/// NaN equals NaN and is the largest; −0 equals 0.
fn doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn same(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| order(a, b).is_eq() && a.is_null() == b.is_null())
}

fn distinct(rows: Rows) -> Rows {
    let mut kept: Rows = Vec::new();
    for row in rows {
        if !kept.iter().any(|known| same(known, &row)) {
            kept.push(row);
        }
    }
    kept
}

fn combine(op: SetOp, all: bool, left: Rows, mut right: Rows) -> Rows {
    let mut take = |row: &Vec<Value>| {
        let found = right.iter().position(|other| same(other, row));
        if let (Some(at), true) = (found, all) {
            right.remove(at);
        }
        found.is_some()
    };
    let rows = match op {
        SetOp::Union => left.into_iter().chain(right).collect(),
        SetOp::Intersect => left.into_iter().filter(|row| take(row)).collect(),
        SetOp::Except => left.into_iter().filter(|row| !take(row)).collect(),
    };
    if all { rows } else { distinct(rows) }
}

fn arithmetic(op: ArithmeticOp, left: &Value, right: &Value, to: ValueType) -> Result<Value, Fault> {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null(to));
    }
    match (left, right) {
        (Value::Float64(a), Value::Float64(b)) => functions::doubles(op, *a, *b).map(Value::Float64),
        (Value::Int64(a), Value::Int64(b)) => Ok(Value::Int64(
            match op {
                ArithmeticOp::Add => a.checked_add(*b),
                ArithmeticOp::Subtract => a.checked_sub(*b),
                ArithmeticOp::Multiply => a.checked_mul(*b),
                _ if *b == 0 => return Err("22012".to_owned()),
                ArithmeticOp::Divide => a.checked_div(*b),
                ArithmeticOp::Remainder => a.checked_rem(*b),
            }
            .ok_or("22003")?,
        )),
        _ => Err(format!("arithmetic on {} is not interpreted", to.name())),
    }
}
