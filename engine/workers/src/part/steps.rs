//! What is done above a leaf where its rows are read: conditions, columns, partial aggregates, first rows. A closed form, and back.

use super::expression::{Closing, Expression, Opening, Sent, Tables, number, wrong};
use super::joining::{Joining, no_rows};
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, LimitOptions, PhysicalGroupBy};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_resources::MeteredExec;
use querygate_resources::memory::Constants;
use querygate_semantics::portable::Aggregate;
use querygate_types::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of the steps of a part, which travel with each.
const STEPS_BYTES_MAX: usize = 256 << 10;
/// Steps above one leaf.
const STEPS_MAX: usize = 32;

const OTHER: &str = "an operator above it has no form that workers are sent";

/// The steps above a leaf, from the lowest up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    steps: Vec<Metered>,
    tables: Tables,
}

/// A step, and whether what its expressions make is charged to memory, and they are asked whether the part is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Metered {
    step: Step,
    metered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Filter { condition: Expression, columns: Option<Vec<u32>> },
    Project(Vec<Projected>),
    Aggregate(Box<Grouping>),
    First { by: Vec<Key>, rows: u64 },
    Join(Box<Joining>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Projected {
    value: Expression,
    /// The column's name and metadata.
    field: u32,
}

/// Groups and their aggregates, of which states are given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grouping {
    keys: Vec<(Expression, String)>,
    nulls: Vec<(Expression, String)>,
    groups: Vec<Vec<bool>>,
    has_sets: bool,
    calls: Vec<Call>,
    limit: Option<(u64, Option<bool>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    aggregate: Aggregate,
    arguments: Vec<Expression>,
    name: String,
    distinct: bool,
    ignores_nulls: bool,
    filter: Option<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    value: Expression,
    descending: bool,
    nulls_first: bool,
}

/// An operator above a leaf.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) operator: Arc<dyn ExecutionPlan>,
    pub(crate) metered: bool,
    /// What a join meets the rows with, as one stream.
    pub(crate) side: Option<Arc<dyn ExecutionPlan>>,
}

impl Steps {
    /// The closed form of operators, from the lowest up, over rows of a schema; the error says why they have none. What it opens to
    /// gives the same columns.
    ///
    /// # Errors
    /// Why they stay in the gate.
    pub(crate) fn closed(links: &[Link], schema: &SchemaRef) -> Sent<Self> {
        if links.len() > STEPS_MAX {
            return Err("more operators are above it than workers are sent");
        }
        let mut closing = Closing::default();
        let mut sides = Vec::new();
        let mut steps = Vec::with_capacity(links.len());
        for link in links {
            let step = match (&link.side, link.operator.downcast_ref::<HashJoinExec>()) {
                (Some(side), Some(join)) => {
                    sides.push(no_rows(&side.schema())?);
                    Step::Join(Box::new(Joining::of(join, number(sides.len() - 1)?, &mut closing)?))
                }
                (None, None) => Step::of(&link.operator, &mut closing)?,
                (Some(_), None) | (None, Some(_)) => return Err(OTHER),
            };
            steps.push(Metered { step, metered: link.metered });
        }
        let closed = Self { steps, tables: closing.tables()? };
        let size = postcard::to_stdvec(&closed).map_err(|_| OTHER)?.len();
        if size > STEPS_BYTES_MAX {
            return Err("what is above it is too long for workers");
        }
        let rows: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::clone(schema)));
        let opened = closed.over(rows, &ConfigOptions::default(), &sides).map_err(|error| {
            tracing::debug!(%error, cause = error.cause(), "steps cannot be opened");
            OTHER
        })?;
        let top = links.last().map_or_else(|| Arc::clone(schema), |link| link.operator.schema());
        if opened.schema() != top {
            tracing::debug!(opened = ?opened.schema(), ?top, "steps open to other columns");
            return Err("workers would give other columns of what is above it");
        }
        Ok(closed)
    }

    /// The operators over a leaf, one after the other.
    ///
    /// # Errors
    /// Internal: they contradict themselves or the leaf.
    pub(crate) fn over(
        &self,
        leaf: Arc<dyn ExecutionPlan>,
        base: &ConfigOptions,
        sides: &[Arc<Vec<u8>>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let opening = self.tables.opening(base)?;
        self.steps.iter().try_fold(leaf, |below, Metered { step, metered }| {
            let operator = step.over(below, &opening, sides)?;
            if *metered { MeteredExec::around(operator, Constants::default()).map_err(wrong) } else { Ok(operator) }
        })
    }
}

impl Step {
    fn of(operator: &Arc<dyn ExecutionPlan>, closing: &mut Closing) -> Sent<Self> {
        if let Some(filter) = operator.downcast_ref::<FilterExec>() {
            if filter.fetch().is_some() {
                return Err(OTHER);
            }
            let columns = filter.projection().as_ref();
            let columns = columns.map(|columns| columns.iter().map(|column| number(*column)).collect::<Sent<_>>());
            return Ok(Self::Filter { condition: closing.closed(filter.predicate())?, columns: columns.transpose()? });
        }
        if let Some(projection) = operator.downcast_ref::<ProjectionExec>() {
            let schema = projection.schema();
            let columns = projection.expr().iter().zip(schema.fields());
            let column = |(column, field): (&ProjectionExpr, _)| {
                Ok(Projected { value: closing.closed(&column.expr)?, field: closing.field(field)? })
            };
            return Ok(Self::Project(columns.map(column).collect::<Sent<_>>()?));
        }
        if let Some(aggregate) = operator.downcast_ref::<AggregateExec>() {
            return Ok(Self::Aggregate(Box::new(Grouping::of(aggregate, closing)?)));
        }
        let Some(sort) = operator.downcast_ref::<SortExec>() else { return Err(OTHER) };
        let rows = sort.fetch().ok_or(OTHER)? as u64;
        let key = |key: &PhysicalSortExpr| {
            let SortOptions { descending, nulls_first } = key.options;
            Ok(Key { value: closing.closed(&key.expr)?, descending, nulls_first })
        };
        Ok(Self::First { by: sort.expr().iter().map(key).collect::<Sent<_>>()?, rows })
    }

    fn over(
        &self,
        below: Arc<dyn ExecutionPlan>,
        opening: &Opening,
        sides: &[Arc<Vec<u8>>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = below.schema();
        Ok(match self {
            Self::Join(joining) => joining.over(below, opening, sides)?,
            Self::Filter { condition, columns } => {
                let condition = opening.opened(condition, &schema)?;
                let places = |columns: &Vec<u32>| columns.iter().map(|column| usize::try_from(*column)).collect();
                let columns = columns.as_ref().map(places).transpose().map_err(Error::internal)?;
                let filter = FilterExecBuilder::new(condition, below).with_batch_size(limits::BATCH_ROWS);
                Arc::new(filter.apply_projection(columns).and_then(FilterExecBuilder::build).map_err(wrong)?)
            }
            Self::Project(columns) => {
                let fields = columns.iter().map(|column| opening.field(column.field).cloned());
                let fields = Schema::new(fields.collect::<Result<Vec<_>>>()?);
                let column = |(column, field): (&Projected, &arrow::datatypes::FieldRef)| {
                    let expr = opening.opened(&column.value, &schema)?;
                    Ok(ProjectionExpr { expr, alias: field.name().clone() })
                };
                let columns = columns.iter().zip(fields.fields()).map(column).collect::<Result<Vec<_>>>()?;
                let projection = ProjectionExec::try_new_with_schema_metadata(columns, below, &fields);
                Arc::new(projection.map_err(wrong)?)
            }
            Self::Aggregate(grouping) => Arc::new(grouping.over(below, opening)?),
            Self::First { by, rows } => {
                let key = |key: &Key| {
                    let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
                    Ok(PhysicalSortExpr { expr: opening.opened(&key.value, &schema)?, options })
                };
                let by = LexOrdering::new(by.iter().map(key).collect::<Result<Vec<_>>>()?);
                let by = by.ok_or_else(|| Error::internal("a part has first rows of no order"))?;
                let rows = usize::try_from(*rows).map_err(Error::internal)?;
                Arc::new(SortExec::new(by, below).with_preserve_partitioning(true).with_fetch(Some(rows)))
            }
        })
    }
}

type Named = (Arc<dyn PhysicalExpr>, String);

impl Grouping {
    fn of(aggregate: &AggregateExec, closing: &mut Closing) -> Sent<Self> {
        if *aggregate.mode() != AggregateMode::Partial {
            return Err(OTHER);
        }
        let by = aggregate.group_expr();
        let named = |closing: &mut Closing, of: &[Named]| {
            of.iter().map(|(expr, name)| Ok((closing.closed(expr)?, name.clone()))).collect::<Sent<Vec<_>>>()
        };
        let calls = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
        let limit = aggregate.limit_options().map(|limit| (limit.limit() as u64, limit.descending()));
        Ok(Self {
            keys: named(closing, by.expr())?,
            nulls: named(closing, by.null_expr())?,
            groups: by.groups().to_vec(),
            has_sets: by.has_grouping_set(),
            calls: calls.map(|(call, filter)| Call::of(call, filter.as_ref(), closing)).collect::<Sent<_>>()?,
            limit,
        })
    }

    fn over(&self, below: Arc<dyn ExecutionPlan>, opening: &Opening) -> Result<AggregateExec> {
        let schema = below.schema();
        let named = |of: &[(Expression, String)]| {
            let open = |(closed, name): &(Expression, String)| Ok((opening.opened(closed, &schema)?, name.clone()));
            of.iter().map(open).collect::<Result<Vec<Named>>>()
        };
        let by = PhysicalGroupBy::new(named(&self.keys)?, named(&self.nulls)?, self.groups.clone(), self.has_sets);
        let calls = self.calls.iter().map(|call| call.opened(opening, &schema)).collect::<Result<Vec<_>>>()?;
        let filter = |call: &Call| call.filter.as_ref().map(|filter| opening.opened(filter, &schema)).transpose();
        let filters = self.calls.iter().map(filter).collect::<Result<Vec<_>>>()?;
        let made = AggregateExec::try_new(AggregateMode::Partial, by, calls, filters, below, Arc::clone(&schema));
        let limit = |(limit, descending): (u64, Option<bool>)| {
            Ok::<_, Error>(LimitOptions { limit: usize::try_from(limit).map_err(Error::internal)?, descending })
        };
        Ok(made.map_err(wrong)?.with_limit_options(self.limit.map(limit).transpose()?))
    }
}

impl Call {
    fn of(call: &AggregateFunctionExpr, filter: Option<&Arc<dyn PhysicalExpr>>, closing: &mut Closing) -> Sent<Self> {
        if !call.order_bys().is_empty() || call.is_reversed() {
            return Err("one of its aggregates is made in an order");
        }
        Ok(Self {
            aggregate: Aggregate::of(call.fun()).ok_or("one of its aggregates is not made in parts")?,
            arguments: call.expressions().iter().map(|of| closing.closed(of)).collect::<Sent<_>>()?,
            name: call.name().to_owned(),
            distinct: call.is_distinct(),
            ignores_nulls: call.ignore_nulls(),
            filter: filter.map(|filter| closing.closed(filter)).transpose()?,
        })
    }

    fn opened(&self, opening: &Opening, schema: &SchemaRef) -> Result<Arc<AggregateFunctionExpr>> {
        let aggregate = self.aggregate.made().ok_or_else(|| Error::internal("a part calls an unknown aggregate"))?;
        let arguments = self.arguments.iter().map(|of| opening.opened(of, schema)).collect::<Result<Vec<_>>>()?;
        let call = AggregateExprBuilder::new(aggregate, arguments)
            .schema(Arc::clone(schema))
            .alias(self.name.clone())
            .with_distinct(self.distinct)
            .with_ignore_nulls(self.ignores_nulls);
        Ok(Arc::new(call.build().map_err(wrong)?))
    }
}

#[cfg(test)]
mod tests;
