//! Keys that a join found on its other side, as a condition on a fragment: what cannot meet a row there is not fetched.
//! Reads the engine's dynamic filters; whatever it does not understand narrows nothing.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, InListExpr, Literal};
use datafusion::physical_plan::PhysicalExpr;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::limits::KEY_LIST_MAX;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What a row must fulfil to meet any row of the other side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Narrowing {
    /// No row does.
    Never,
    /// Every condition, by place of the column; empty: nothing is known.
    Columns(BTreeMap<usize, Keys>),
}

/// Values that one column may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Keys {
    Any(Vec<ScalarValue>),
    Between(Option<ScalarValue>, Option<ScalarValue>),
}

impl Narrowing {
    fn unknown() -> Self {
        Self::Columns(BTreeMap::new())
    }

    /// Reads a dynamic filter's current expression.
    pub(crate) fn of(expr: &Arc<dyn PhysicalExpr>) -> Self {
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return if matches!(literal.value(), ScalarValue::Boolean(Some(false))) {
                Self::Never
            } else {
                Self::unknown()
            };
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            return match binary.op() {
                Operator::And => Self::of(binary.left()).and(Self::of(binary.right())),
                Operator::GtEq => bound(binary, |value| Keys::Between(Some(value), None)),
                Operator::LtEq => bound(binary, |value| Keys::Between(None, Some(value))),
                _ => Self::unknown(),
            };
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            return members(list).unwrap_or_else(Self::unknown);
        }
        // One branch for each partition of the other side, and each row belongs to one of them.
        if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            let branches = case.when_then_expr().iter().map(|(_, then)| then).chain(case.else_expr());
            return branches.map(Self::of).fold(Self::Never, Self::or);
        }
        Self::unknown()
    }

    pub(crate) fn and(self, other: Self) -> Self {
        let (Self::Columns(mut all), Self::Columns(more)) = (self, other) else { return Self::Never };
        for (column, keys) in more {
            let merged = match all.remove(&column) {
                Some(known) => known.and(keys),
                None => keys,
            };
            all.insert(column, merged);
        }
        Self::Columns(all)
    }

    /// What fulfils one of them: a column stays narrowed only where both narrow it in the same way.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, other) | (other, Self::Never) => other,
            (Self::Columns(left), Self::Columns(mut right)) => Self::Columns(
                left.into_iter()
                    .filter_map(|(column, keys)| keys.or(right.remove(&column)?).map(|keys| (column, keys)))
                    .collect(),
            ),
        }
    }
}

impl Keys {
    /// A list says more than a range of the same keys, and a short one more than a long one.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any(list), Self::Any(other)) => Self::Any(if other.len() < list.len() { other } else { list }),
            (list @ Self::Any(_), _) | (_, list @ Self::Any(_)) => list,
            (Self::Between(low, high), Self::Between(other_low, other_high)) => {
                Self::Between(low.or(other_low), high.or(other_high))
            }
        }
    }

    fn or(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Any(mut list), Self::Any(more)) => {
                list.extend(more);
                Some(Self::Any(list))
            }
            (Self::Between(low, high), Self::Between(other_low, other_high)) => {
                let low = low.zip(other_low).map(|(a, b)| if b < a { b } else { a });
                let high = high.zip(other_high).map(|(a, b)| if b > a { b } else { a });
                Some(Self::Between(low, high))
            }
            (Self::Any(_), Self::Between(..)) | (Self::Between(..), Self::Any(_)) => None,
        }
    }
}

fn bound(binary: &BinaryExpr, keys: impl FnOnce(ScalarValue) -> Keys) -> Narrowing {
    let (Some(column), Some(literal)) =
        (binary.left().downcast_ref::<Column>(), binary.right().downcast_ref::<Literal>())
    else {
        return Narrowing::unknown();
    };
    Narrowing::Columns(BTreeMap::from([(column.index(), keys(literal.value().clone()))]))
}

fn members(list: &InListExpr) -> Option<Narrowing> {
    if list.negated() {
        return None;
    }
    let values = list.list().iter().map(|item| item.downcast_ref::<Literal>().map(|l| l.value().clone()));
    let values: Vec<ScalarValue> = values.collect::<Option<_>>()?;
    if let Some(column) = list.expr().downcast_ref::<Column>() {
        return Some(Narrowing::Columns(BTreeMap::from([(column.index(), Keys::Any(values))])));
    }
    // Keys of several columns are structs: each column for itself has these values.
    let together = list.expr().downcast_ref::<ScalarFunctionExpr>().filter(|call| call.name() == "struct")?;
    let columns = together.args().iter().enumerate().filter_map(|(place, arg)| {
        let part = |value: &ScalarValue| match value {
            ScalarValue::Struct(parts) => ScalarValue::try_from_array(parts.columns().get(place)?, 0).ok(),
            _ => None,
        };
        let keys = values.iter().map(part).collect::<Option<_>>()?;
        Some((arg.downcast_ref::<Column>()?.index(), Keys::Any(keys)))
    });
    Some(Narrowing::Columns(columns.collect()))
}

/// Whether equality of this type means the same to the engine and to every source that compares it at all.
pub(crate) const fn is_key(value_type: ValueType) -> bool {
    match value_type {
        ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Decimal128 { .. }
        | ValueType::Text
        | ValueType::Date
        | ValueType::Timestamp { .. } => true,
        // Floats have two zeros and many NaNs; long lists of the other types do not occur.
        ValueType::Float32
        | ValueType::Float64
        | ValueType::Boolean
        | ValueType::Binary
        | ValueType::Time
        | ValueType::TextList
        | ValueType::List(_) => false,
    }
}

/// The fragment with the conditions beside its own, and the values to bind after its own. `None`: none can be added.
/// `places` gives, for each column of the plan, its place among the fragment's delivered ones.
pub(crate) fn narrowed(
    fragment: &Fragment,
    values: &[Value],
    places: &[usize],
    columns: &BTreeMap<usize, Keys>,
    parameters_max: usize,
) -> Option<(Fragment, Vec<Value>)> {
    let mut narrowed = fragment.clone();
    let mut values = values.to_vec();
    for (column, keys) in columns {
        let Some(output) = places.get(*column).and_then(|place| fragment.output.get(*place)) else { continue };
        if !is_key(output.value_type) {
            continue;
        }
        let room = parameters_max.saturating_sub(values.len()).min(KEY_LIST_MAX);
        let Some(keys) = typed(keys, output.value_type, room) else { continue };
        let mut scope = Scope { parameters: &mut narrowed.parameters, values: &mut values };
        let predicate = |id: ColumnId, scope: &mut Scope<'_>| scope.predicate(id, &keys);
        narrowed.relation = beside(narrowed.relation, output.id, predicate, &mut scope);
    }
    (values.len() > fragment.parameters.len()).then_some((narrowed, values))
}

struct Scope<'a> {
    parameters: &'a mut Vec<ValueType>,
    values: &'a mut Vec<Value>,
}

impl Scope<'_> {
    fn parameter(&mut self, value: &Value) -> ScalarExpr {
        let value_type = value.value_type();
        self.parameters.push(value_type);
        self.values.push(value.clone());
        ScalarExpr::Parameter(self.parameters.len() - 1, value_type)
    }

    fn predicate(&mut self, id: ColumnId, keys: &Typed) -> ScalarExpr {
        let column = ScalarExpr::Column(id);
        match keys {
            Typed::Any(values) => {
                let list = values.iter().map(|value| self.parameter(value)).collect();
                ScalarExpr::InList { expr: Box::new(column), list, negated: false }
            }
            Typed::Between(low, high) => ScalarExpr::And(vec![
                ScalarExpr::compare(ComparisonOp::GtEq, column.clone(), self.parameter(low)),
                ScalarExpr::compare(ComparisonOp::LtEq, column, self.parameter(high)),
            ]),
        }
    }
}

enum Typed {
    Any(Vec<Value>),
    Between(Value, Value),
}

/// Keys in the column's own type, each once; lists grow in steps, so that a source sees few different statements.
fn typed(keys: &Keys, wanted: ValueType, room: usize) -> Option<Typed> {
    let between = |low: &ScalarValue, high: &ScalarValue| {
        (room >= 2).then_some(())?;
        Some(Typed::Between(exact(low, wanted)?, exact(high, wanted)?))
    };
    match keys {
        Keys::Between(Some(low), Some(high)) => between(low, high),
        Keys::Between(..) => None,
        Keys::Any(list) => {
            // A NULL meets nothing in a join by equality.
            let mut distinct = HashSet::new();
            let once: Vec<&ScalarValue> =
                list.iter().filter(|value| !value.is_null() && distinct.insert(*value)).collect();
            let step = once.len().next_power_of_two();
            if step > room {
                let least = once.iter().min_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))?;
                let most = once.iter().max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))?;
                return between(least, most);
            }
            let mut values = once.into_iter().map(|value| exact(value, wanted)).collect::<Option<Vec<_>>>()?;
            let last = values.last()?.clone();
            values.resize(step, last);
            Some(Typed::Any(values))
        }
    }
}

/// The value in another type, if it is exactly the same there.
fn exact(value: &ScalarValue, wanted: ValueType) -> Option<Value> {
    // The usual ones, without arrays around them: lists have tens of thousands.
    match (value, wanted) {
        (ScalarValue::Int64(Some(value)), ValueType::Int64) => return Some(Value::Int64(*value)),
        (ScalarValue::Int64(Some(value)), ValueType::Int32) => return i32::try_from(*value).ok().map(Value::Int32),
        (ScalarValue::Int32(Some(value)), ValueType::Int32) => return Some(Value::Int32(*value)),
        (ScalarValue::Int32(Some(value)), ValueType::Int64) => return Some(Value::Int64(i64::from(*value))),
        (ScalarValue::Date32(Some(days)), ValueType::Date) => return Some(Value::Date(*days)),
        (ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), ValueType::Text) => {
            return Some(Value::text(text.as_str()));
        }
        _ => {}
    }
    let arrow = wanted.to_arrow();
    let there = value.cast_to(&arrow).ok()?;
    let back = there.cast_to(&value.data_type()).ok()?;
    let same = back == *value || matches!(value.data_type(), DataType::Utf8View | DataType::LargeUtf8);
    if !same || there.is_null() {
        return None;
    }
    Value::from_array(there.to_array().ok()?.as_ref(), 0).ok()
}

/// The relation with a condition on one of its columns, as near to the rows as it can stand: below what keeps rows and
/// their columns as they are, where a fence would otherwise keep the source from using an index.
fn beside(
    relation: Relation,
    id: ColumnId,
    predicate: impl FnOnce(ColumnId, &mut Scope<'_>) -> ScalarExpr,
    scope: &mut Scope<'_>,
) -> Relation {
    match relation {
        Relation::Fence { input } => Relation::Fence { input: Box::new(beside(*input, id, predicate, scope)) },
        Relation::Filter { input, predicate: own } => {
            Relation::Filter { input: Box::new(beside(*input, id, predicate, scope)), predicate: own }
        }
        Relation::Project { input, exprs } => {
            let source = exprs.iter().find_map(|(given, expr)| match expr {
                ScalarExpr::Column(below) if *given == id => Some(*below),
                _ => None,
            });
            match source {
                Some(below) => Relation::Project { input: Box::new(beside(*input, below, predicate, scope)), exprs },
                None => Relation::Filter {
                    input: Box::new(Relation::Project { input, exprs }),
                    predicate: predicate(id, scope),
                },
            }
        }
        other @ (Relation::Scan { .. }
        | Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::Sort { .. }
        | Relation::Limit { .. }
        | Relation::SetOperation { .. }
        | Relation::Window { .. }
        | Relation::Values { .. }
        | Relation::EmptyRow) => Relation::Filter { input: Box::new(other), predicate: predicate(id, scope) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, ArrayRef, Int64Array, StructArray};
    use arrow::datatypes::{Field, Schema};
    use datafusion::common::config::ConfigOptions;
    use datafusion::physical_expr::expressions::{in_list, lit};
    use querygate_driver_api::fragment::OutputColumn;
    use querygate_driver_api::identifier::{Identifier, TableRef};
    use querygate_driver_api::relation::{Collation, Encoding, ScanColumn};

    fn column() -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new("k", 0))
    }

    fn binary(left: Arc<dyn PhysicalExpr>, op: Operator, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(left, op, right))
    }

    fn range(low: i64, high: i64) -> Arc<dyn PhysicalExpr> {
        let low = binary(column(), Operator::GtEq, lit(low));
        binary(low, Operator::And, binary(column(), Operator::LtEq, lit(high)))
    }

    fn list(values: &[i64]) -> Arc<dyn PhysicalExpr> {
        let schema = Schema::new(vec![Field::new("k", DataType::Int64, true)]);
        in_list(column(), values.iter().map(|v| lit(*v)).collect(), &false, &schema).unwrap()
    }

    fn cases(branches: &[Arc<dyn PhysicalExpr>]) -> Arc<dyn PhysicalExpr> {
        let routed = binary(column(), Operator::Modulo, lit(2_i64));
        let when = branches.iter().zip(0_i64..).map(|(then, n)| (lit(n), Arc::clone(then))).collect();
        Arc::new(CaseExpr::try_new(Some(routed), when, Some(lit(false))).unwrap())
    }

    fn known(expr: &Arc<dyn PhysicalExpr>) -> Option<Keys> {
        match Narrowing::of(expr) {
            Narrowing::Never => None,
            Narrowing::Columns(mut columns) => columns.remove(&0),
        }
    }

    fn any(values: &[i64]) -> Option<Keys> {
        Some(Keys::Any(values.iter().map(|v| ScalarValue::from(*v)).collect()))
    }

    #[test]
    fn what_a_join_says_is_read() {
        let between = |low: i64, high: i64| Some(Keys::Between(Some(low.into()), Some(high.into())));
        assert_eq!(known(&range(1, 9)), between(1, 9));
        assert_eq!(known(&binary(range(1, 9), Operator::And, list(&[1, 9]))), any(&[1, 9]));
        assert_eq!(known(&cases(&[list(&[2]), list(&[1, 3])])), any(&[2, 1, 3]));
        assert_eq!(known(&cases(&[range(5, 9), range(1, 6)])), between(1, 9));
        assert_eq!(known(&cases(&[list(&[2]), lit(false)])), any(&[2]));
        assert_eq!(Narrowing::of(&cases(&[lit(false), lit(false)])), Narrowing::Never);
    }

    #[test]
    fn keys_of_several_columns_are_a_list_of_each() {
        let field = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
        let values = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let pairs = StructArray::from(vec![(field("c0"), values(vec![1, 2])), (field("c1"), values(vec![3, 3]))]);
        let args = vec![column(), Arc::new(Column::new("m", 1)) as Arc<dyn PhysicalExpr>];
        let of = Arc::new(Field::new("struct", pairs.data_type().clone(), true));
        let options = Arc::new(ConfigOptions::default());
        let together = ScalarFunctionExpr::new("struct", datafusion::functions::core::r#struct(), args, of, options);
        let schema = Schema::new(vec![field("k"), field("m")]);
        let listed = InListExpr::try_new_from_array(Arc::new(together), Arc::new(pairs), false, &schema).unwrap();
        let listed: Arc<dyn PhysicalExpr> = Arc::new(listed);
        let columns = BTreeMap::from([(0, any(&[1, 2]).unwrap()), (1, any(&[3, 3]).unwrap())]);
        assert_eq!(Narrowing::of(&listed), Narrowing::Columns(columns));
        let shorter = Keys::Any(vec![ScalarValue::from(1_i64)]);
        assert_eq!(any(&[1, 2]).unwrap().and(shorter.clone()), shorter);
    }

    #[test]
    fn what_is_not_understood_narrows_nothing() {
        for expr in [
            lit(true),
            binary(column(), Operator::Eq, lit(1_i64)),
            binary(list(&[1]), Operator::Or, list(&[2])),
            cases(&[list(&[2]), lit(true)]),
            cases(&[list(&[2]), range(1, 3)]),
        ] {
            assert_eq!(Narrowing::of(&expr), Narrowing::unknown(), "{expr}");
        }
    }

    fn scan() -> Fragment {
        let id = ColumnId(0);
        let column = ScanColumn {
            id,
            name: Identifier::new("k").unwrap(),
            value_type: ValueType::Int32,
            nullable: true,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        let table = TableRef::new(["t"]).unwrap();
        Fragment {
            relation: Relation::Fence { input: Box::new(Relation::Scan { table, columns: vec![column] }) },
            output: vec![OutputColumn { id, name: "k".to_owned(), value_type: ValueType::Int32, nullable: true }],
            parameters: Vec::new(),
        }
    }

    fn values(keys: Keys, room: usize) -> Option<Vec<Value>> {
        let columns = BTreeMap::from([(0, keys)]);
        let (fragment, values) = narrowed(&scan(), &[], &[0], &columns, room)?;
        fragment.check().unwrap();
        let Relation::Fence { input } = &fragment.relation else { panic!("the fence is gone") };
        assert!(matches!(input.as_ref(), Relation::Filter { .. }), "the condition stands below the fence");
        Some(values)
    }

    #[test]
    fn keys_are_bound_in_the_columns_own_type_and_each_once() {
        let int = Value::Int32;
        let keys = |values: &[Option<i64>]| Keys::Any(values.iter().map(|v| ScalarValue::Int64(*v)).collect());
        let three = keys(&[Some(7), None, Some(8), Some(7), Some(9)]);
        assert_eq!(values(three.clone(), 99), Some(vec![int(7), int(8), int(9), int(9)]));
        assert_eq!(values(three, 3), Some(vec![int(7), int(9)]), "too many for a list go as their range");
        assert_eq!(values(keys(&[Some(1), Some(1 << 40)]), 99), None, "a key that the type cannot hold");
        assert_eq!(values(keys(&[None]), 99), None);
    }
}
