//! What a change of a row by its key computes, made once for all values of its parameters: they are columns of it behind those of the
//! table, and each run puts its values in their place.

use super::in_source::Row;
use super::{Computation, Equal, Shape, Stage, Step};
use crate::bind::statement::Bound;
use crate::errors::{Stage as Doing, translate};
use crate::write::values::analyzed::Analyzed;
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::physical_expr::expressions::{Column as PhysicalColumn, Literal};
use datafusion::physical_plan::PhysicalExpr;
use querygate_catalog::leaf::GovernedColumn;
use querygate_catalog::write::NewValueExpr;
use querygate_query_api::own_names;
use querygate_types::{Result, limits};
use std::collections::HashMap;
use std::sync::Arc;

/// A condition on the key and what is computed over it, ready for any values.
#[derive(Debug)]
pub(crate) struct Template {
    read: Vec<(Option<usize>, Arc<Field>)>,
    condition: Arc<dyn PhysicalExpr>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<Arc<Field>>,
    schema: SchemaRef,
    /// Types of the parameters.
    types: Vec<DataType>,
    /// Governed columns that the condition wants to have a value.
    equal: Vec<(usize, Wanted)>,
    /// Of what is computed, that which a source computes as well; given values are parameters, and behind them constants.
    in_source: Vec<Option<NewValueExpr>>,
    constants: Vec<ScalarValue>,
}

#[derive(Debug)]
enum Wanted {
    Value(ScalarValue),
    Parameter(usize),
}

impl Template {
    /// `None`: the query is another one, or what it computes may be another expression for other values.
    pub(crate) fn of(bound: &Bound, state: &SessionState, columns: &[GovernedColumn]) -> Option<Self> {
        if bound.asks().moment || bound.asks().session {
            return None;
        }
        let shape = Shape::of(bound.plan(), columns, true).ok()?;
        let [Stage::Filter(filter), Stage::Projection(projection)] = shape.stages.as_slice() else { return None };
        let types: Vec<DataType> = bound.planned_types().cloned().collect();
        let scanned = filter.input.schema();
        if scanned.fields().len() != shape.places.len() {
            return None;
        }
        let parameters = types
            .iter()
            .enumerate()
            .map(|(place, planned)| (None, Arc::new(Field::new(own_names::place(place), planned.clone(), true))));
        let own = scanned.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let input = DFSchema::new_with_metadata(own.chain(parameters).collect(), HashMap::new()).ok()?;
        let input: DFSchemaRef = Arc::new(input);
        let ready = |expr: &Expr| Analyzed::of(&opened(expr, &input)?, &input, state).ok();
        let predicate = ready(&filter.predicate)?;
        let computed = projection.expr.iter().map(&ready).collect::<Option<Vec<_>>>()?;
        let row = Row { input: &input, places: &shape.places, columns };
        let mut constants = Vec::new();
        let in_source = computed.iter().map(|expr| row.in_source(expr.expr(), types.len(), &mut constants)).collect();
        let used = shape.used().ok()?;
        let fields = shape.scanned.fields().iter().map(Arc::clone);
        let read = shape.places.iter().enumerate().zip(fields);
        Some(Self {
            read: read.map(|((at, place), field)| (used.contains(&at).then_some(*place), field)).collect(),
            condition: predicate.physical(state).ok()?,
            exprs: computed.iter().map(|expr| expr.physical(state).ok()).collect::<Option<_>>()?,
            in_source,
            constants,
            fields: projection.schema.fields().iter().map(Arc::clone).collect(),
            schema: Arc::clone(bound.schema()),
            equal: equalities(predicate.expr(), &input, &shape)?,
            types,
        })
    }

    /// One of the computed values, as a source computes it of the row. `None`: it is not asked to.
    pub(in crate::write) fn in_source(&self, at: usize) -> Option<NewValueExpr> {
        self.in_source.get(at).cloned().flatten()
    }

    /// The constant that a given value is; `None`: it is a parameter.
    pub(in crate::write) fn constant(&self, given: usize) -> Option<&ScalarValue> {
        self.constants.get(given.checked_sub(self.types.len())?)
    }

    /// The computation for some values, and the values that governed columns are to have. `None`: they are not of the parameters'
    /// types, or a column is to have none.
    ///
    /// # Errors
    /// Internal: an expression cannot be given its values.
    pub(crate) fn with(&self, values: &[ScalarValue]) -> Result<Option<(Computation, Equal)>> {
        let fits = |(value, wanted): (&ScalarValue, &DataType)| value.data_type() == *wanted;
        if values.len() != self.types.len() || !values.iter().zip(&self.types).all(fits) {
            return Ok(None);
        }
        let mut equal = Vec::with_capacity(self.equal.len());
        for (column, wanted) in &self.equal {
            let value = match wanted {
                Wanted::Value(value) => value,
                Wanted::Parameter(place) => match values.get(*place) {
                    Some(value) if !value.is_null() => value,
                    Some(_) | None => return Ok(None),
                },
            };
            equal.push((*column, value.clone()));
        }
        let filled = |expr: &Arc<dyn PhysicalExpr>| filled(expr, self.read.len(), values);
        let condition = Step::Filter(filled(&self.condition)?);
        let exprs = self.exprs.iter().map(filled).collect::<Result<_>>()?;
        let computed = Step::Projection { exprs, fields: self.fields.clone() };
        let (read, schema) = (self.read.clone(), Arc::clone(&self.schema));
        Ok(Some((Computation { read, steps: vec![condition, computed], schema }, equal)))
    }
}

/// The place of a parameter by its name in plans.
fn place_of(id: &str) -> Option<usize> {
    let number: usize = id.strip_prefix('$')?.parse().ok()?;
    (number <= limits::PARAMETERS_MAX).then(|| number.checked_sub(1)).flatten()
}

/// An expression with columns for its parameters. `None`: its type or its meaning may depend on their values.
fn opened(expr: &Expr, input: &DFSchemaRef) -> Option<Expr> {
    let column = |part: Expr| match &part {
        Expr::Placeholder(placeholder) => match place_of(&placeholder.id) {
            Some(place) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(own_names::place(place))))),
            None => Ok(Transformed::no(part)),
        },
        _ => Ok(Transformed::no(part)),
    };
    let expr = expr.clone().transform_up(column).data().ok()?;
    let mut keeps_types = true;
    let look = expr.apply(|part| {
        keeps_types &= !has_parameter(part) || keeps_type(part, input);
        Ok(if keeps_types { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    look.is_ok_and(|_| keeps_types).then_some(expr)
}

fn has_parameter(expr: &Expr) -> bool {
    // The closure never fails.
    expr.exists(|part| Ok(is_parameter(part))).unwrap_or(true)
}

fn is_parameter(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.relation.is_none() && own_names::is_own(&column.name),
        Expr::Placeholder(_) => true,
        _ => false,
    }
}

/// Whether an expression over a parameter is of the same type for any value: its kind is listed, and a function's type has no part
/// that an argument decides.
fn keeps_type(expr: &Expr, input: &DFSchemaRef) -> bool {
    match expr {
        Expr::Column(_) | Expr::Alias(_) | Expr::BinaryExpr(_) => true,
        Expr::Cast(_) | Expr::Negative(_) | Expr::Not(_) => true,
        Expr::ScalarFunction(_) => expr.get_type(input.as_ref()).is_ok_and(|found| {
            matches!(
                found,
                DataType::Boolean
                    | DataType::Int16
                    | DataType::Int32
                    | DataType::Int64
                    | DataType::Float32
                    | DataType::Float64
                    | DataType::Utf8
            )
        }),
        _ => false,
    }
}

/// Governed columns with what the condition wants them to be; `None` where it wants something else.
fn equalities(predicate: &Expr, input: &DFSchema, shape: &Shape<'_>) -> Option<Vec<(usize, Wanted)>> {
    let own = shape.places.len();
    let mut equal = Vec::new();
    for conjunct in split_conjunction(predicate) {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { return None };
        let (column, other) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), other) if input.index_of_column(column).ok()? < own => (column, other),
            (other, Expr::Column(column)) => (column, other),
            _ => return None,
        };
        let at = input.index_of_column(column).ok()?;
        let (place, field) = (shape.places.get(at)?, shape.scanned.fields().get(at)?);
        let (wanted, found) = match other {
            Expr::Literal(value, _) if !value.is_null() => (Wanted::Value(value.clone()), value.data_type()),
            Expr::Column(parameter) => {
                let at = input.index_of_column(parameter).ok()?;
                (Wanted::Parameter(at.checked_sub(own)?), input.field(at).data_type().clone())
            }
            _ => return None,
        };
        if found != *field.data_type() {
            return None;
        }
        equal.push((*place, wanted));
    }
    Some(equal)
}

/// An expression with values in the place of the columns behind a number of first ones.
fn filled(expr: &Arc<dyn PhysicalExpr>, own: usize, values: &[ScalarValue]) -> Result<Arc<dyn PhysicalExpr>> {
    let value = |expr: Arc<dyn PhysicalExpr>| {
        let column = expr.downcast_ref::<PhysicalColumn>();
        let value = column.and_then(|column| column.index().checked_sub(own)).and_then(|place| values.get(place));
        Ok(match value {
            Some(value) => Transformed::yes(Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(expr),
        })
    };
    Arc::clone(expr).transform_up(value).data().map_err(|e| translate(&e, Doing::Plan))
}
