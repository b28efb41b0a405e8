//! Branches of a UNION whose columns differ in type meet at one, which the column is then named after: a branch's own name of its type
//! would stay beside another type. Of INTERSECT and EXCEPT the first branch gives the rows, which DataFusion leaves at its own type.
//! Knows no row.

use super::compares_rows;
use crate::casts::texts_read::has_forms;
use crate::numbers::wide::UNSETTLED;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{Cast, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Union};
use querygate_query_api::column::{PG_TYPE_KEY, TYPE_MODIFIER_KEY, pg_type_of};
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_types::PgType;
use std::sync::Arc;

/// Whether casts to `numeric` have the places of what is cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Casts {
    /// They have the type of all such casts, and so has what is computed with them.
    Written,
    Settled,
}

/// The plan with such columns cast, subqueries included.
pub(crate) fn met(plan: LogicalPlan, casts: Casts) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any |= match node {
            LogicalPlan::Union(_) => true,
            LogicalPlan::Join(join) => compares_rows(join),
            _ => false,
        };
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) => {
            let united = united(union, casts)?;
            if !united.transformed {
                // One among its inputs may have other types than it was planned with.
                let inputs = united.data.inputs.clone();
                let renewed = if changed { Union::try_new_with_loose_types(inputs)? } else { united.data };
                return Ok(Transformed::new_transformed(LogicalPlan::Union(renewed), changed));
            }
            changed = true;
            united.map_data(|union| Ok(LogicalPlan::Union(union)))
        }
        LogicalPlan::Join(join) if compares_rows(&join) => {
            let (left, right) = (join.left.schema().fields(), join.right.schema().fields());
            let targets: Vec<_> = left.iter().zip(right).map(|(left, right)| first_target(left, right)).collect();
            let own = targets.iter().all(Option::is_none);
            if own && !changed {
                return Ok(Transformed::no(LogicalPlan::Join(join)));
            }
            changed = true;
            let left = if own { Arc::clone(&join.left) } else { first(&join.left, &targets)? };
            joined(join, left).map(Transformed::yes)
        }
        // What is above a changed union has its old types.
        other if changed => other.recompute_schema().map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })?;
    if changed { crate::renewed_outer_columns(plan.data) } else { Ok(plan.data) }
}

/// A union whose casts to `numeric` have no places yet, met as far as its columns are known: what stands above would take it for what its
/// first input is. Where its places are known later, all inputs are open casts, so that it is as open as they are.
pub(crate) fn written(union: Union) -> Result<Transformed<Union>> {
    let width = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let open: Vec<bool> = (0..width).map(|place| is_open(&union, place)).collect();
    if !open.contains(&true) {
        return united(union, Casts::Written);
    }
    let inputs = union.inputs.iter().map(|input| {
        let columns = input.schema().iter().zip(&open).map(|((qualifier, field), open)| {
            let column = Expr::from((qualifier, field));
            if !*open || field.data_type().is_null() || *field.data_type() == UNSETTLED {
                return column;
            }
            of_any_places(column).alias_qualified(qualifier.cloned(), field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build().map(Arc::new)
    });
    let opened = Union::try_new_with_loose_types(inputs.collect::<Result<Vec<_>>>()?)?;
    Ok(Transformed::yes(united(opened, Casts::Written)?.data))
}

/// Whether the places of a column of exact numbers are known when casts have theirs, or are those of each value.
fn is_open(union: &Union, place: usize) -> bool {
    let fields = union.inputs.iter().filter_map(|input| input.schema().fields().get(place));
    let types: Vec<&DataType> = fields.map(|field| field.data_type()).filter(|own| !own.is_null()).collect();
    let differ = types.windows(2).any(|pair| pair.first() != pair.last());
    differ
        && types.iter().all(|own| own.is_integer() || own.is_decimal())
        && (types.contains(&&UNSETTLED)
            || crate::numbers::wide::keep_places(&union.inputs, place)
            || union.inputs.iter().any(|input| keeps_places(input, place)))
}

/// `expr::numeric`, as it is written.
pub(in crate::typing) fn of_any_places(expr: Expr) -> Expr {
    // One entry: names of casts print their metadata, and a map of several prints them in any order.
    let metadata = [(TYPE_MODIFIER_KEY.to_owned(), "any".to_owned())];
    let field = Field::new("", UNSETTLED, true).with_metadata(metadata.into());
    Expr::Cast(Cast { expr: Box::new(expr), field: Arc::new(field) })
}

/// A union whose columns are settled, so that what stands above has their types.
pub(crate) fn settled(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Union(union) => united(union, Casts::Settled)?.map_data(|union| Ok(LogicalPlan::Union(union))),
        other => Ok(Transformed::no(other)),
    }
}

fn united(union: Union, casts: Casts) -> Result<Transformed<Union>> {
    let targets = targets(&union, casts);
    if targets.iter().all(Option::is_none) {
        return Ok(Transformed::no(union));
    }
    let inputs = union.inputs.iter().map(|input| cast(input, &targets)).collect::<Result<Vec<_>>>()?;
    Union::try_new_with_loose_types(inputs).map(Transformed::yes)
}

/// A node whose schema is computed anew of its inputs: a union's is the engine's, which keeps it, unless all inputs have another type by now
/// than they were planned with.
pub(crate) fn recomputed(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Union(union) if is_outdated(&union) => {
            Union::try_new_with_loose_types(union.inputs).map(LogicalPlan::Union)
        }
        other => other.recompute_schema(),
    }
}

/// Whether all inputs have one type for a column, and the union another one.
fn is_outdated(union: &Union) -> bool {
    let is_other = |place: usize, own: &DataType| {
        let mut inputs = union.inputs.iter().map(|input| input.schema().fields().get(place).map(|of| of.data_type()));
        match inputs.next().flatten() {
            Some(first) => first != own && inputs.all(|other| other == Some(first)),
            None => false,
        }
    };
    union.schema.fields().iter().enumerate().any(|(place, own)| is_other(place, own.data_type()))
}

/// For each column that has several types, the one at which they meet. Where they do not, the analyzer says so.
fn targets(union: &Union, casts: Casts) -> Vec<Option<FieldRef>> {
    let width = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    (0..width).map(|place| target(union, place, casts)).collect()
}

fn target(union: &Union, place: usize, casts: Casts) -> Option<FieldRef> {
    let fields: Option<Vec<&FieldRef>> = union.inputs.iter().map(|i| i.schema().fields().get(place)).collect();
    let fields = fields?;
    let (first, rest) = fields.split_first()?;
    if rest.iter().all(|other| other.data_type() == first.data_type()) {
        return if *first.data_type() == NETWORK { network(&fields) } else { with_forms(&fields) };
    }
    // Casts to numeric have their places when they are settled, and so has what is computed with one, which only its type tells.
    let open = |field: &&FieldRef| {
        field.metadata().get(TYPE_MODIFIER_KEY).is_some_and(|modifier| modifier == "any")
            || (casts == Casts::Written && *field.data_type() == UNSETTLED)
    };
    if fields.iter().any(open) && !fields.iter().any(|field| field.data_type().is_floating()) {
        return None;
    }
    let later = union.inputs.iter().any(|input| keeps_places(input, place));
    if later || crate::numbers::wide::keep_places(&union.inputs, place) {
        return None;
    }
    let common = rest.iter().try_fold(first.data_type().clone(), |met, f| common_type(&met, f.data_type()))?;
    let same = fields.iter().find(|field| *field.data_type() == common && field.metadata().contains_key(PG_TYPE_KEY));
    let plain = Field::new("", common, true);
    let name = pg_type_of(same.map_or(&plain, |field| field)).name().to_owned();
    Some(Arc::new(plain.with_metadata([(PG_TYPE_KEY.to_owned(), name)].into())))
}

/// The type at which two meet. The engine takes exact numbers before floating ones, and takes the zone from a moment beside a date.
pub(in crate::typing) fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    let exact = |data_type: &DataType| data_type.is_integer() || data_type.is_decimal();
    match (left, right) {
        (float, other) | (other, float) if float.is_floating() && exact(other) => Some(float.clone()),
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None) | DataType::Date32) => Some(left.clone()),
        (DataType::Timestamp(_, None) | DataType::Date32, DataType::Timestamp(_, Some(_))) => Some(right.clone()),
        _ => type_union_coercion(left, right),
    }
}

/// The type of a column of INTERSECT and EXCEPT, where it is not the one of the first branch. Whole numbers beside numerics have no places.
fn first_target(left: &FieldRef, right: &FieldRef) -> Option<FieldRef> {
    let (own, other) = (left.data_type(), right.data_type());
    let is_numeric = |data_type: &DataType| data_type.is_decimal() || *data_type == WIDE_NUMERIC;
    let common = match (own, other) {
        (DataType::Int64 | DataType::UInt64, other) if is_numeric(other) => DataType::Decimal128(20, 0),
        (own, other) if own.is_integer() && is_numeric(other) => DataType::Decimal128(10, 0),
        (own, other) if is_numeric(own) && (other.is_integer() || is_numeric(other)) => return None,
        (own, float) if own.is_decimal() && float.is_floating() => float.clone(),
        (own, other) if own.is_null() || own.is_numeric() && other.is_numeric() => common_type(own, other)?,
        (own, other) if own.is_temporal() && other.is_temporal() => common_type(own, other)?,
        _ => return None,
    };
    if common == *own {
        return None;
    }
    let plain = Field::new("", common, true);
    let named = if *other == *plain.data_type() { right.as_ref() } else { &plain };
    let name = pg_type_of(named).name().to_owned();
    Some(Arc::new(plain.with_metadata([(PG_TYPE_KEY.to_owned(), name)].into())))
}

/// The first branch with its columns cast, before its rows are kept apart.
fn first(left: &Arc<LogicalPlan>, targets: &[Option<FieldRef>]) -> Result<Arc<LogicalPlan>> {
    match left.as_ref() {
        LogicalPlan::Distinct(Distinct::All(input)) => {
            Ok(Arc::new(LogicalPlan::Distinct(Distinct::All(cast(input, targets)?))))
        }
        _ => cast(left, targets),
    }
}

fn joined(join: Join, left: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let Join { right, on, filter, join_type, join_constraint, null_equality, null_aware, .. } = join;
    Join::try_new(left, right, on, filter, join_type, join_constraint, null_equality, null_aware).map(LogicalPlan::Join)
}

/// Whether an input's column comes from a union that keeps the places of each value: it is a numeric of any width later, which is not
/// to be seen of its type yet.
fn keeps_places(input: &LogicalPlan, place: usize) -> bool {
    match input {
        LogicalPlan::Union(union) => {
            crate::numbers::wide::keep_places(&union.inputs, place)
                || union.inputs.iter().any(|input| keeps_places(input, place))
        }
        LogicalPlan::Projection(projection) => {
            let item = projection.expr.get(place).cloned().map(Expr::unalias);
            let Some(Expr::Column(column)) = item else { return false };
            let found = projection.input.schema().maybe_index_of_column(&column);
            found.is_some_and(|place| keeps_places(&projection.input, place))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => keeps_places(input, place),
        LogicalPlan::SubqueryAlias(alias) => keeps_places(&alias.input, place),
        LogicalPlan::Filter(filter) => keeps_places(&filter.input, place),
        LogicalPlan::Sort(sort) => keeps_places(&sort.input, place),
        LogicalPlan::Limit(limit) => keeps_places(&limit.input, place),
        _ => false,
    }
}

/// Texts beside texts of a type that writes a value in one of several ways are read as it.
fn with_forms(fields: &[&FieldRef]) -> Option<FieldRef> {
    let own = fields.iter().find(|field| has_forms(pg_type_of(field)))?;
    let differ = fields.iter().any(|field| pg_type_of(field) == PgType::Text);
    let field = own.as_ref().clone().with_name("").with_nullable(true);
    differ.then(|| Arc::new(field))
}

/// Networks beside addresses are addresses.
fn network(fields: &[&FieldRef]) -> Option<FieldRef> {
    let cidr = |field: &&&FieldRef| pg_type_of(field) == PgType::Cidr;
    let inet = [(PG_TYPE_KEY.to_owned(), PgType::Inet.name().to_owned())].into();
    let networks = fields.iter().filter(cidr).count();
    (0 < networks && networks < fields.len()).then(|| Arc::new(Field::new("", NETWORK, true).with_metadata(inet)))
}

fn cast(input: &Arc<LogicalPlan>, targets: &[Option<FieldRef>]) -> Result<Arc<LogicalPlan>> {
    let schema = input.schema();
    let columns = schema.iter().zip(targets).map(|((qualifier, field), target)| {
        let column = Expr::from((qualifier, field));
        let Some(target) = target else { return Ok(column) };
        let metadata = Some(FieldMetadata::from(target.metadata().clone()));
        let reads = has_forms(pg_type_of(target)) && pg_type_of(field) == PgType::Text;
        let cast = if reads {
            Expr::Cast(Cast { expr: Box::new(column), field: Arc::clone(target) })
        } else {
            column.cast_to(target.data_type(), schema.as_ref())?
        };
        Ok(cast.alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::common::ScalarValue;

    /// What stands above a union takes it for what it is here.
    #[test]
    fn a_union_is_as_open_as_its_inputs() {
        let plan = |value: Expr| Arc::new(LogicalPlanBuilder::values(vec![vec![value]]).unwrap().build().unwrap());
        let decimal =
            |digits, precision, scale| Expr::Literal(ScalarValue::Decimal128(Some(digits), precision, scale), None);
        let typed = |values: Vec<Expr>| {
            let union = Union::try_new_with_loose_types(values.into_iter().map(plan).collect()).unwrap();
            let met = written(union).unwrap();
            (met.data.schema.field(0).data_type().clone(), met.transformed)
        };
        let whole = || Expr::Literal(ScalarValue::Int32(Some(1)), None);
        let double = || Expr::Literal(ScalarValue::Float64(Some(0.1234)), None);
        assert_eq!(typed(vec![decimal(150, 8, 2), decimal(125, 3, 3)]), (UNSETTLED, true));
        assert_eq!(typed(vec![decimal(150, 8, 2), whole()]), (UNSETTLED, true));
        assert_eq!(typed(vec![whole(), of_any_places(whole())]), (UNSETTLED, true));
        assert_eq!(typed(vec![decimal(150, 8, 2), decimal(125, 8, 2)]), (DataType::Decimal128(8, 2), false));
        assert_eq!(typed(vec![decimal(150, 8, 2), double()]), (DataType::Float64, true));
        assert_eq!(typed(vec![decimal(150, 8, 2), of_any_places(whole()), double()]), (DataType::Float64, true));
    }
}
