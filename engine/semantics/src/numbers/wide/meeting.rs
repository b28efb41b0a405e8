//! Where numerics of any width and other numbers are of one column: branches of CASE, cells of VALUES, inputs of UNION. All are
//! wide then, or doubles where one is.

use super::{averages, is_wide, widened};
use crate::casts::conversions;
use crate::fault::unsupported;
use crate::renewed_outer_columns;
use crate::times::zone::Zone;
use crate::typing::is_jsonb;
use crate::typing::recursion::numbers::is_work_table;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, Union, Values, cast,
};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::collections::HashMap;
use std::sync::Arc;

/// Sides of one type, where one of them is wide. Whether there was one.
pub(super) fn met(sides: Vec<&mut Expr>, schema: &DFSchema) -> Result<bool> {
    let types: Vec<DataType> = sides
        .iter()
        .map(|side| if is_wide(side, schema) { Ok(WIDE_NUMERIC) } else { side.get_type(schema) })
        .collect::<Result<_>>()
        .unwrap_or_default();
    if !types.contains(&WIDE_NUMERIC) || types.iter().all(|t| *t == WIDE_NUMERIC) {
        return Ok(false);
    }
    let double = types.iter().any(|t| matches!(t, DataType::Float32 | DataType::Float64));
    for (side, data_type) in sides.into_iter().zip(types) {
        let own = std::mem::take(side);
        *side = match data_type {
            WIDE_NUMERIC if double => narrowed(own, schema)?,
            DataType::Decimal128(..) if double => cast(own, DataType::Float64),
            number if !double && (number.is_integer() || number.is_decimal() || number == DataType::Null) => {
                widened(own, schema)?
            }
            _ => own,
        };
    }
    Ok(true)
}

/// A wide numeric as a double.
pub(super) fn narrowed(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    narrowed_to(expr, &DataType::Float64, schema)
}

/// A wide numeric, or a list of them, as what holds doubles.
pub(super) fn narrowed_to(expr: Expr, to: &DataType, schema: &DFSchema) -> Result<Expr> {
    let (_, from) = expr.to_field(schema)?;
    let to = Field::new("", to.clone(), true);
    Ok(match conversions::conversion(&from, &to, Zone::UTC) {
        Some(function) => function.call(vec![expr]),
        None => expr,
    })
}

/// Rounds in which the types of columns go up through subqueries.
const ROUNDS_MAX: usize = 8;

/// The plan in which columns have become wide, settled until columns of enclosing queries are wide within subqueries, too.
pub(crate) fn aligned(
    mut plan: LogicalPlan,
    settle: impl Fn(LogicalPlan) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    // Within a node, what is of which type is settled already.
    if !needs_aligning(&plan)? {
        return Ok(plan);
    }
    for _ in 0..ROUNDS_MAX {
        let renewed = renewed_outer_columns(plan)?;
        let settled = settle(renewed.clone())?;
        if settled == renewed {
            return Ok(settled);
        }
        plan = settled;
    }
    Ok(plan)
}

fn needs_aligning(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.schema().fields().iter().any(|field| super::holds_wide(field.data_type()));
        node.apply_expressions(|expr| {
            // Such a column of an enclosing query was named before its casts were settled.
            found |= expr.exists(|part| {
                Ok(matches!(part, Expr::OuterReferenceColumn(field, _) if field.data_type().is_decimal()))
            })?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// A node whose inputs or cells meet.
///
/// `reads`: whether the statement reads tables. Its constants are decimals then, since what they are computed with is.
pub(crate) fn node(node: LogicalPlan, reads: bool) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Aggregate(aggregate) => averages::taken_apart(aggregate),
        LogicalPlan::Union(union) => unite(union),
        LogicalPlan::Values(values) => fill(values, reads),
        LogicalPlan::RecursiveQuery(query) => narrow(query),
        other => Ok(Transformed::no(other)),
    }
}

/// A node whose schema is computed anew of its inputs and its expressions; what [`node`] gives a schema keeps its own.
pub(crate) fn recomputed(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Union(_) | LogicalPlan::Values(_) | LogicalPlan::RecursiveQuery(_) => Ok(node),
        other => other.recompute_schema(),
    }
}

/// The table of a recursive query has the types it was planned with.
fn narrow(query: RecursiveQuery) -> Result<Transformed<LogicalPlan>> {
    let mut types: Option<Vec<DataType>> = None;
    query.recursive_term.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == query.name
        {
            types = Some(scan.source.schema().fields().iter().map(|field| field.data_type().clone()).collect());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let Some(types) = types else { return Ok(Transformed::no(LogicalPlan::RecursiveQuery(query))) };
    let narrowed = |term: &Arc<LogicalPlan>| -> Result<Option<Arc<LogicalPlan>>> {
        let schema = term.schema();
        let wide = |(field, to): (&FieldRef, &DataType)| *field.data_type() == WIDE_NUMERIC && *to != WIDE_NUMERIC;
        if !schema.fields().iter().zip(&types).any(wide) {
            return Ok(None);
        }
        if reads_tables(&query.static_term) {
            return Err(unsupported("a recursive query over columns of numerics of any width is not supported"));
        }
        let columns = schema.iter().zip(&types).map(|((qualifier, field), to)| {
            let column = Expr::from((qualifier, field));
            let to = Field::new("", to.clone(), true);
            match conversions::conversion(field, &to, Zone::UTC).filter(|_| wide((field, to.data_type()))) {
                Some(function) => function.call(vec![column]).alias_qualified(qualifier.cloned(), field.name()),
                None => column,
            }
        });
        let columns: Vec<Expr> = columns.collect();
        LogicalPlanBuilder::from(Arc::clone(term)).project(columns)?.build().map(|plan| Some(Arc::new(plan)))
    };
    let (first, second) = (narrowed(&query.static_term)?, narrowed(&query.recursive_term)?);
    let changed = first.is_some() || second.is_some();
    let first = first.unwrap_or(query.static_term);
    let second = second.unwrap_or(query.recursive_term);
    let query = RecursiveQuery::try_new(query.name, first, second, query.is_distinct)?;
    Ok(Transformed::new_transformed(LogicalPlan::RecursiveQuery(query), changed))
}

fn unite(union: Union) -> Result<Transformed<LogicalPlan>> {
    let width = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let types =
        |place: usize| union.inputs.iter().filter_map(move |i| i.schema().fields().get(place)).map(|f| f.data_type());
    let targets: Vec<Option<DataType>> = (0..width)
        .map(|place| {
            let wide = types(place).any(|t| *t == WIDE_NUMERIC) && types(place).any(|t| *t != WIDE_NUMERIC);
            let float =
                [DataType::Float64, DataType::Float32].into_iter().find(|float| types(place).any(|t| t == float));
            (wide || keep_places(&union.inputs, place)).then_some(float.unwrap_or(WIDE_NUMERIC))
        })
        .collect();
    if targets.iter().all(Option::is_none) {
        let fresh = Union::try_new_with_loose_types(union.inputs.clone())?;
        // An input's column is called jsonb once it is settled what it is made of.
        let told = |fresh: &FieldRef, own: &FieldRef| is_jsonb(fresh) && !is_jsonb(own);
        let mut fields = fresh.schema.fields().iter().zip(union.schema.fields());
        let changed = fields.any(|(fresh, own)| fresh.data_type() != own.data_type() || told(fresh, own));
        return Ok(Transformed::new_transformed(LogicalPlan::Union(if changed { fresh } else { union }), changed));
    }
    let inputs = union.inputs.iter().map(|input| {
        let schema = input.schema();
        let columns = schema.iter().zip(&targets).map(|((qualifier, field), target)| {
            let column = Expr::from((qualifier, field));
            let converted = match target {
                Some(WIDE_NUMERIC) => widened(column, schema)?,
                Some(float) if *field.data_type() == WIDE_NUMERIC => {
                    narrowed(column, schema)?.cast_to(float, schema.as_ref())?
                }
                Some(float) => column.cast_to(float, schema.as_ref())?,
                None => return Ok(column),
            };
            // A union is called what one of its inputs is.
            let name = match target {
                Some(DataType::Float32) => Some("float4"),
                Some(DataType::Float64) => Some("float8"),
                _ => None,
            };
            let metadata = name.map(|name| [(PG_TYPE_KEY.to_owned(), name.to_owned())].into());
            let metadata = metadata.map(|named: HashMap<String, String>| FieldMetadata::from(named));
            Ok(converted.alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build().map(Arc::new)
    });
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// Whether a column of a union keeps the places of each value: its inputs have several numbers of them, and none reads a table, whose
/// columns of decimals are what sources deliver and what sums fast.
pub(crate) fn keep_places(inputs: &[Arc<LogicalPlan>], place: usize) -> bool {
    let mut first = None;
    let mut differ = false;
    for input in inputs {
        let places = match input.schema().fields().get(place).map(|field| field.data_type()) {
            Some(DataType::Decimal128(_, scale)) => *scale,
            Some(DataType::Null) => continue,
            Some(number) if number.is_integer() => 0,
            _ => return false,
        };
        differ |= *first.get_or_insert(places) != places;
    }
    differ && !inputs.iter().any(|input| reads_tables(input))
}

/// Whether a plan reads a table, in a subquery even. Rows of a recursive query's last round are none.
pub(crate) fn reads_tables(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if !is_work_table(scan));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || walked.is_err()
}

/// Whether cells are numerics of several numbers of places, which a column of decimals does not keep.
fn have_own_places(cells: &[&mut Expr], none: &DFSchema) -> bool {
    let mut places =
        cells.iter().filter(|cell| !matches!(&***cell, Expr::Literal(value, _) if value.is_null())).map(|cell| {
            match cell.get_type(none) {
                Ok(DataType::Decimal128(_, scale)) => Some(scale),
                _ => None,
            }
        });
    let first = places.next().flatten();
    first.is_some() && places.any(|other| other.is_some() && other != first)
}

/// The decimal that holds constants of several numbers of places; `None` where none does.
fn common_decimal(cells: &[&mut Expr], none: &DFSchema) -> Option<DataType> {
    let (mut whole, mut places) = (0_i16, 0_i8);
    for cell in cells {
        if matches!(&**cell, Expr::Literal(value, _) if value.is_null()) {
            continue;
        }
        match cell.get_type(none).ok()? {
            DataType::Decimal128(precision, scale) if scale >= 0 => {
                whole = whole.max(i16::from(precision) - i16::from(scale));
                places = places.max(scale);
            }
            DataType::Null => {}
            _ => return None,
        }
    }
    let precision = u8::try_from(whole + i16::from(places)).ok().filter(|digits| (1..=38).contains(digits))?;
    Some(DataType::Decimal128(precision, places))
}

/// The type of a cast to `numeric` until it is settled.
pub(crate) const UNSETTLED: DataType = DataType::Decimal128(38, 10);

/// A constant beside such a cast in VALUES, without the cast to its type that the engine put around it.
fn unwrap(cell: &mut Expr) {
    let Expr::Cast(cast) = &*cell else { return };
    if *cast.field.data_type() != UNSETTLED || !cast.field.metadata().is_empty() {
        return;
    }
    let own = match cast.expr.as_ref() {
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => Some((i128::from(*value), 10, 0)),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some((i128::from(*value), 19, 0)),
        Expr::Literal(ScalarValue::Decimal128(Some(digits), precision, scale), _) => {
            Some((*digits, *precision, *scale))
        }
        _ => None,
    };
    if let Some((digits, precision, scale)) = own {
        *cell = Expr::Literal(ScalarValue::Decimal128(Some(digits), precision, scale), None);
    }
}

/// The notes of types at constants of a column, all or those that are not NULL.
fn notes(cells: &[&mut Expr], of_null: bool) -> Vec<Option<FieldMetadata>> {
    let of = |cell: &&mut Expr| match &**cell {
        Expr::Literal(value, note) => (of_null || !value.is_null()).then(|| note.clone()),
        _ => None,
    };
    cells.iter().filter_map(of).collect()
}

/// One note of a type at all constants of a column, or none: rows that are made anew with values of parameters are refused where notes
/// differ.
fn note_alike(cells: &mut [&mut Expr]) -> bool {
    let same = |notes: &[Option<FieldMetadata>]| notes.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    let all = notes(cells, true);
    if all.len() != cells.len() || same(&all) {
        return false;
    }
    let known = notes(cells, false);
    let common = if same(&known) { known.into_iter().next().flatten() } else { None };
    for cell in cells {
        if let Expr::Literal(_, note) = &mut **cell {
            note.clone_from(&common);
        }
    }
    true
}

/// VALUES of which a cell has become wide, or whose cells have several numbers of places.
fn fill(mut values: Values, reads: bool) -> Result<Transformed<LogicalPlan>> {
    let none = DFSchema::empty();
    let mut changed = false;
    let mut fields: Vec<_> =
        values.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
    for (place, (_, field)) in fields.iter_mut().enumerate() {
        let mut cells: Vec<&mut Expr> = values.values.iter_mut().filter_map(|row| row.get_mut(place)).collect();
        changed |= note_alike(&mut cells);
        cells.iter_mut().for_each(|cell| unwrap(cell));
        if !cells.iter().any(|cell| is_wide(cell, &none)) && !have_own_places(&cells, &none) {
            // Casts to numeric are settled by now, and the column has the type that they had before.
            if matches!(field.data_type(), DataType::Decimal128(38, _))
                && let Some(common) = common_decimal(&cells, &none).filter(|common| common != field.data_type())
            {
                for cell in cells {
                    *cell = std::mem::take(cell).cast_to(&common, &none)?;
                }
                *field = Arc::new(Field::new(field.name(), common, true));
                changed = true;
            }
            continue;
        }
        let double = *field.data_type() == DataType::Float64;
        if reads
            && !double
            && !cells.iter().any(|cell| is_wide(cell, &none))
            && let Some(common) = common_decimal(&cells, &none)
        {
            for cell in cells {
                *cell = std::mem::take(cell).cast_to(&common, &none)?;
            }
            *field = Arc::new(Field::new(field.name(), common, true));
            changed = true;
            continue;
        }
        for cell in cells {
            let own = std::mem::take(cell);
            *cell = match (double, is_wide(&own, &none)) {
                (true, true) => narrowed(own, &none)?,
                (true, false) => own,
                (false, _) => widened(own, &none)?,
            };
        }
        if !double && *field.data_type() != WIDE_NUMERIC {
            *field = Arc::new(Field::new(field.name(), WIDE_NUMERIC, true));
            changed = true;
        }
    }
    if changed {
        values.schema = Arc::new(DFSchema::new_with_metadata(fields, values.schema.metadata().clone())?);
    }
    Ok(Transformed::new_transformed(LogicalPlan::Values(values), changed))
}
