//! Conditions that files may be pruned by. The least and greatest values that files tell of numbers leave NaN out, which is greater
//! than all of them here: a group of rows may hold one that a condition wants though its greatest number is too small. What joins
//! and first rows have found by the time of the scan prunes by that part of it which no NaN meets. Casts to fewer places prune nothing.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr, Literal,
};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use querygate_driver_api::lossless::drops_places;
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What prunes of conditions that all hold of a row, with those that were taken `before`; `None`: not this one.
pub(crate) fn for_pruning(
    filters: Vec<Arc<dyn PhysicalExpr>>,
    before: Option<&Arc<dyn PhysicalExpr>>,
    schema: &Schema,
) -> Vec<Option<Arc<dyn PhysicalExpr>>> {
    let known = filters.iter().chain(before).flat_map(split_conjunction).filter_map(bounded);
    let doubt = Doubt { schema: Some(schema), numbers: known.cloned().collect() };
    let settled = |filter| if narrows(&filter, schema) { None } else { doubt.settled(filter) };
    filters.into_iter().map(settled).collect()
}

/// Whether a condition casts decimals to fewer places. What reads the files takes such a cast from the value to the constant beside it, so
/// that it looks for 5.40 where 5.44 is wanted too.
fn narrows(filter: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let is_narrowing = |cast: &CastExpr| {
        let to = cast.cast_type();
        // What cannot be asked for its type is not known to be exact.
        to.is_decimal() && cast.expr().data_type(schema).map_or(true, |from| drops_places(&from, to))
    };
    filter.exists(|part| Ok(part.downcast_ref::<CastExpr>().is_some_and(is_narrowing))).unwrap_or(true)
}

/// Which columns may hold NaN in a row that meets the conditions.
struct Doubt<'a> {
    /// What the columns are; `None`: any of them may be of floats.
    schema: Option<&'a Schema>,
    /// Columns that a condition bounds.
    numbers: HashSet<Column>,
}

impl Doubt<'_> {
    fn settled(&self, filter: Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        if filter.is::<DynamicFilterPhysicalExpr>() {
            return Some(if self.is_about(&filter) { Arc::new(Found(filter)) } else { filter });
        }
        self.is_safe(&filter).then_some(filter)
    }

    fn is_about(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        collect_columns(filter).iter().any(|column| {
            let is_float = self.schema.is_none_or(|schema| is_float(column, schema));
            is_float && !self.numbers.contains(column)
        })
    }

    /// Whether all of the filter's numbers cannot be NaN in a row that it leaves, and it asks for no zero.
    fn is_safe(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        if let Some(binary) = filter.downcast_ref::<BinaryExpr>()
            && matches!(binary.op(), Operator::And | Operator::Or)
        {
            return self.is_safe(binary.left()) && self.is_safe(binary.right());
        }
        if asks_for_zero(filter) {
            return false;
        }
        if !self.is_about(filter) || filter.is::<IsNullExpr>() || filter.is::<IsNotNullExpr>() {
            return true;
        }
        bounded(filter).is_some() || compared(filter).is_some_and(|(_, _, value)| !holds_floats(&value.data_type()))
    }
}

/// The part of a condition that no NaN meets: true of each row of which the condition is.
fn weakened(filter: &Arc<dyn PhysicalExpr>, numbers: &HashSet<Column>) -> Arc<dyn PhysicalExpr> {
    let conjuncts = split_conjunction(filter);
    let mut numbers = numbers.clone();
    numbers.extend(conjuncts.iter().filter_map(|conjunct| bounded(conjunct)).cloned());
    // It may have been rewritten for a file, whose columns are others than the table's.
    let doubt = Doubt { schema: None, numbers };
    conjunction(conjuncts.into_iter().filter_map(|conjunct| {
        if doubt.is_safe(conjunct) {
            return Some(Arc::clone(conjunct));
        }
        let either = conjunct.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == Operator::Or)?;
        let [left, right] = [either.left(), either.right()].map(|side| weakened(side, &doubt.numbers));
        Some(Arc::new(BinaryExpr::new(left, Operator::Or, right)) as Arc<dyn PhysicalExpr>)
    }))
}

/// What a join or first rows find while a scan runs. Rows are compared with all of it; what prunes is a snapshot of it.
#[derive(Debug)]
struct Found(Arc<dyn PhysicalExpr>);

// By hand: a derived comparison would move the expression.
impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for Found {}

impl Hash for Found {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl PhysicalExpr for Found {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.0.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.0.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(filter), true) => Ok(Arc::new(Self(filter))),
            _ => internal_err!("what was found is one condition"),
        }
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }

    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let now = snapshot_physical_expr(Arc::clone(&self.0))?;
        Ok(Some(weakened(&now, &HashSet::new())))
    }
}

/// The column that is no NaN where the condition holds: less than a number, equal to one, or one of some.
fn bounded(filter: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    if let Some(list) = filter.downcast_ref::<InListExpr>() {
        let is_number = |item: &Arc<dyn PhysicalExpr>| {
            item.downcast_ref::<Literal>().is_some_and(|literal| !is_nan(literal.value()))
        };
        return column_of(list.expr()).filter(|_| !list.negated() && list.list().iter().all(is_number));
    }
    let (column, op, value) = compared(filter)?;
    let bounds = match op {
        Operator::Lt => true,
        Operator::LtEq | Operator::Eq => !is_nan(value),
        _ => false,
    };
    bounds.then_some(column)
}

/// Whether a condition finds rows by a zero. Zeros of either sign are equal, and Bloom filters know them as two values.
fn asks_for_zero(filter: &Arc<dyn PhysicalExpr>) -> bool {
    let is_zero = |value: &ScalarValue| match value {
        ScalarValue::Float16(Some(value)) => value.to_f32() == 0.0,
        ScalarValue::Float32(Some(value)) => *value == 0.0,
        ScalarValue::Float64(Some(value)) => *value == 0.0,
        _ => false,
    };
    match filter.downcast_ref::<InListExpr>() {
        Some(list) => {
            list.list().iter().filter_map(|item| item.downcast_ref::<Literal>()).any(|item| is_zero(item.value()))
        }
        None => compared(filter).is_some_and(|(_, op, value)| op == Operator::Eq && is_zero(value)),
    }
}

/// A column beside a constant, whichever side it stands on.
fn compared(filter: &Arc<dyn PhysicalExpr>) -> Option<(&Column, Operator, &ScalarValue)> {
    let binary = filter.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (binary.left(), binary.right());
    if let (Some(column), Some(literal)) = (column_of(left), right.downcast_ref::<Literal>()) {
        return Some((column, *binary.op(), literal.value()));
    }
    let literal = left.downcast_ref::<Literal>()?;
    Some((column_of(right)?, binary.op().swap()?, literal.value()))
}

/// A column, or one that is read as wider floats: a NaN stays one.
fn column_of(expr: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) if cast.cast_type().is_floating() => column_of(cast.expr()),
        Some(_) => None,
        None => expr.downcast_ref::<Column>(),
    }
}

fn is_float(column: &Column, schema: &Schema) -> bool {
    // What the schema does not know is no reason to prune.
    schema.fields().get(column.index()).is_none_or(|field| holds_floats(field.data_type()))
}

fn holds_floats(of: &DataType) -> bool {
    match of {
        DataType::Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            holds_floats(item.data_type())
        }
        other => other.is_floating(),
    }
}

fn is_nan(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float16(Some(value)) => value.is_nan(),
        ScalarValue::Float32(Some(value)) => value.is_nan(),
        ScalarValue::Float64(Some(value)) => value.is_nan(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::physical_expr::PhysicalExprSimplifier;
    use datafusion::physical_expr::expressions::{binary, cast, col, in_list, is_not_null, is_null, lit, not};

    fn schema() -> Schema {
        let field = |name: &str, of| Field::new(name, of, true);
        Schema::new(vec![field("v", DataType::Float64), field("n", DataType::Int64), field("w", DataType::Float64)])
    }

    fn on(name: &str, op: Operator, value: impl datafusion::logical_expr::Literal) -> Arc<dyn PhysicalExpr> {
        let schema = schema();
        binary(col(name, &schema).unwrap(), op, lit(value), &schema).unwrap()
    }

    #[test]
    fn what_a_nan_may_meet_prunes_nothing() {
        use Operator as O;
        let prunes = |filter| for_pruning(vec![filter], None, &schema())[0].is_some();
        for op in [O::Lt, O::LtEq, O::Eq] {
            assert!(prunes(on("v", op, 1.0)), "{op}");
        }
        for op in [O::Gt, O::GtEq, O::NotEq, O::IsDistinctFrom, O::IsNotDistinctFrom] {
            assert!(!prunes(on("v", op, 1.0)), "{op}");
            assert!(prunes(on("n", op, 1_i64)), "{op}");
        }
        assert!(!prunes(on("v", O::Eq, f64::NAN)) && !prunes(on("v", O::LtEq, f64::NAN)));
        assert!(prunes(on("v", O::Lt, f64::NAN)), "less than NaN is a number");
        assert!(!prunes(not(on("v", O::Lt, 1.0)).unwrap()));
        let schema = schema();
        assert!(prunes(is_not_null(col("v", &schema).unwrap()).unwrap()));
        let turned = binary(lit(1.0), O::Gt, col("v", &schema).unwrap(), &schema).unwrap();
        assert!(prunes(turned));
        let turned = binary(lit(1.0), O::Lt, col("v", &schema).unwrap(), &schema).unwrap();
        assert!(!prunes(turned));
        let either = |right| binary(on("v", O::Lt, 1.0), O::Or, right, &schema).unwrap();
        assert!(prunes(either(on("n", O::Gt, 5_i64))) && !prunes(either(on("v", O::Gt, 5.0))));
        assert!(!prunes(either(on("w", O::Gt, 5.0))));
    }

    #[test]
    fn casts_to_fewer_places_prune_nothing() {
        let schema = Schema::new(vec![Field::new("price", DataType::Decimal128(10, 2), true)]);
        let on_cast = |precision: u8, scale: i8, value: i128| {
            let cast = cast(col("price", &schema).unwrap(), &schema, DataType::Decimal128(precision, scale)).unwrap();
            let value = lit(ScalarValue::Decimal128(Some(value), precision, scale));
            binary(cast, Operator::Eq, value, &schema).unwrap()
        };
        let prunes = |filter: &Arc<dyn PhysicalExpr>| for_pruning(vec![Arc::clone(filter)], None, &schema)[0].is_some();
        let (narrow, wide) = (on_cast(3, 1, 54), on_cast(12, 4, 54_000));
        assert!(!prunes(&narrow) && prunes(&wide));
        assert!(!prunes(&binary(wide, Operator::And, Arc::clone(&narrow), &schema).unwrap()));
        let key = Arc::clone(narrow.children()[0]);
        let found: Arc<dyn PhysicalExpr> = Arc::new(DynamicFilterPhysicalExpr::new(vec![key], lit(true)));
        assert!(!prunes(&found), "keys of a join");
        let simplified = PhysicalExprSimplifier::new(&schema).simplify(Arc::clone(&narrow)).unwrap();
        assert_ne!(simplified.to_string(), narrow.to_string(), "what reads files leaves the cast where it is now");
    }

    #[test]
    fn a_number_that_another_condition_bounds_is_no_nan() {
        use Operator as O;
        let may_prune = |filters: Vec<_>, before: Option<&Arc<dyn PhysicalExpr>>| -> Vec<bool> {
            for_pruning(filters, before, &schema()).iter().map(Option::is_some).collect()
        };
        let both = vec![on("v", O::Gt, 1.0), on("v", O::LtEq, 9.0), on("w", O::Gt, 1.0)];
        assert_eq!(may_prune(both, None), [true, true, false]);
        let between = binary(on("v", O::GtEq, 1.0), O::And, on("v", O::LtEq, 9.0), &schema()).unwrap();
        assert_eq!(may_prune(vec![Arc::clone(&between)], None), [true]);
        assert_eq!(may_prune(vec![on("v", O::Gt, 1.0), on("w", O::Gt, 1.0)], Some(&between)), [true, false]);
        let some = |values: [f64; 2], negated| {
            in_list(col("v", &schema()).unwrap(), values.map(lit).to_vec(), &negated, &schema()).unwrap()
        };
        assert_eq!(may_prune(vec![some([1.0, 2.0], false), on("v", O::Gt, 1.0)], None), [true, true]);
        assert_eq!(may_prune(vec![some([1.0, f64::NAN], false), on("v", O::Gt, 1.0)], None), [false, false]);
        assert_eq!(may_prune(vec![some([1.0, 2.0], true)], None), [false]);
    }

    #[test]
    fn what_was_found_prunes_by_what_no_nan_meets() {
        use Operator as O;
        let schema = schema();
        let column = |name: &str| col(name, &schema).unwrap();
        let and = |left, right| binary(left, O::And, right, &schema).unwrap();
        let or = |left, right| binary(left, O::Or, right, &schema).unwrap();
        let between =
            |name: &str, least: f64, greatest: f64| and(on(name, O::GtEq, least), on(name, O::LtEq, greatest));
        let ids = || and(on("n", O::GtEq, 1_i64), on("n", O::LtEq, 5_i64));
        let found = Arc::new(DynamicFilterPhysicalExpr::new(vec![column("v"), column("n")], lit(true)));
        let given = for_pruning(vec![Arc::clone(&found) as _], None, &schema).pop().unwrap().unwrap();
        let nan = f64::NAN;
        for (now, prunes) in [
            // The keys of a join.
            (and(between("v", 1.0, 2.0), ids()), and(between("v", 1.0, 2.0), ids())),
            (and(between("v", 1.0, nan), ids()), ids()),
            (between("v", nan, nan), lit(true)),
            (or(is_null(column("v")).unwrap(), between("v", 1.0, nan)), or(is_null(column("v")).unwrap(), lit(true))),
            // First rows.
            (on("v", O::Lt, 3.0), on("v", O::Lt, 3.0)),
            (on("v", O::Gt, 3.0), lit(true)),
            (or(on("n", O::Gt, 3_i64), and(on("n", O::Eq, 3_i64), on("v", O::Gt, 1.0))), {
                or(on("n", O::Gt, 3_i64), on("n", O::Eq, 3_i64))
            }),
        ] {
            found.update(Arc::clone(&now)).unwrap();
            let snapshot = snapshot_physical_expr(Arc::clone(&given)).unwrap();
            assert_eq!(snapshot.to_string(), prunes.to_string(), "{now}");
        }
        // A file may hold narrower floats.
        let wide =
            |op, value: f64| binary(cast(column("n"), &schema, DataType::Float64).unwrap(), op, lit(value), &schema);
        let both = and(wide(O::GtEq, 1.0).unwrap(), wide(O::LtEq, 2.0).unwrap());
        assert_eq!(weakened(&both, &HashSet::new()).to_string(), both.to_string());
        let plain = Arc::new(DynamicFilterPhysicalExpr::new(vec![column("n")], lit(true)));
        let given = for_pruning(vec![plain], None, &schema).pop().unwrap().unwrap();
        assert!(given.is::<DynamicFilterPhysicalExpr>(), "no column of floats, no doubt");
    }
}
