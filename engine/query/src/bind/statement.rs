//! Binds a statement on a principal's catalog: names, types, parameters. Reads no row.

mod values;

use crate::bind::aggregate_filters::refuse_filters;
use crate::bind::argument_types::with_named_arguments;
use crate::bind::denied_columns::without_denied_columns;
use crate::bind::functions::with_nearest_function;
use crate::bind::mask_guard::refuse_masked_predicates;
use crate::bind::missing_columns::translate_binding;
use crate::bind::near_columns::with_nearest_column;
use crate::bind::nulls;
use crate::bind::origin::trace;
use crate::bind::outer_names::read_around;
use crate::bind::parameters::parameters_of;
use crate::bind::plan_bytes::plan_bytes;
use crate::bind::plan_history::PlanHistory;
use crate::bind::system_columns::without_system_columns;
use crate::bind::verify::{Inventory, verify_bound};
use crate::bind::volatility::Asks;
use crate::bind::workspace::Workspace;
use crate::books::observe::FragmentRecord;
use crate::dialect::parameters::{Declared, Parameter, as_texts, gathered_as_texts, narrowed};
use crate::dialect::{
    Dialect, as_joins, refuse_outer_aggregates, refuse_ungrouped, rewrite, with_nearest, with_null_memberships,
    with_own_relations, with_set_keys,
};
use crate::errors::{Stage, in_output_names, translate};
use crate::rules::repairs::drop_primary_keys::without_keys;
use crate::sql::breadth::refuse_wide;
use crate::sql::locate::located;
use crate::sql::refuse::{refuse_ignored, refuse_using, refused_later, refused_or_unknown};
use crate::sql::template::Template;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement as Ast};
use querygate_catalog::PrincipalCatalog;
use querygate_catalog::federation::WholeFragment;
use querygate_driver_api::value::Value;
use querygate_query_api::column::{Column, column_of};
use querygate_query_api::own_names::output_name;
use querygate_query_api::requests::question::AnswerColumn;
use querygate_resources::measured::has_room_for;
use querygate_semantics as semantics;
use querygate_types::wire_rows::Given;
use querygate_types::{Error, ErrorCode, PgType, Result, limits};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use values::{as_it_stands, named};

/// A statement bound on one principal's catalog, its scans verified. Only [`bind`] makes one.
#[derive(Debug)]
pub(crate) struct Bound {
    plan: LogicalPlan,
    inventory: Inventory,
    parameters: Vec<Parameter>,
    reader: semantics::Reader,
    columns: Arc<[Column]>,
    schema: SchemaRef,
    workspace: Arc<Workspace>,
    asks: Asks,
    /// Whether there is a subquery that stands for a value.
    scalar_subqueries: bool,
    objects: Arc<[String]>,
    /// Bare names in its subqueries that were found only around these.
    outer_names: Box<[String]>,
    whole: OnceLock<Option<Whole>>,
    /// Tells it apart from any other that was bound.
    number: u64,
    plans: PlanHistory,
    /// Of a question.
    answer: Option<Answer>,
    /// What it takes of memory, estimated.
    bytes: usize,
    /// The charge for that, as long as anybody has prepared it.
    charge: Mutex<Weak<MemoryReservation>>,
}

/// A statement that one source runs as a whole, and what the books say of each run.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) fragment: WholeFragment,
    pub(crate) records: OnceLock<Arc<[FragmentRecord]>>,
    /// The client's types, where its rows may go to the client as the source writes them.
    pub(crate) written: Option<Box<[PgType]>>,
}

/// What is known of a question's answer once it is bound, whatever values it is asked with.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) columns: Arc<[AnswerColumn]>,
    /// What records say of the question.
    pub(crate) template: Arc<Template>,
}

/// What a bound statement takes beside its plan, with what is kept of one that a source runs as a whole.
const BOUND_BYTES: usize = 24 << 10;

/// Numbers for bound statements.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl Bound {
    /// Tells it apart from any other that was bound.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What its runs have shown of its plans.
    pub(crate) fn plans(&self) -> &PlanHistory {
        &self.plans
    }

    /// One value in another type, by this session's rules of casts.
    ///
    /// # Errors
    /// What a cast of it says: 22003 beyond the type's range, never a NULL.
    pub(crate) fn fitted(&self, value: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
        let fitted =
            ScalarValue::try_from_array(value, 0).and_then(|value| self.reader.value(&value, wanted)?.to_array());
        fitted.map_err(|error| translate(&error, Stage::Execute))
    }

    /// What it takes of memory, estimated.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The charge of the session that prepared it first: one for all sessions that share it.
    ///
    /// # Errors
    /// 53200: an account is full.
    pub(crate) fn charge(&self, memory: &MemoryReservation) -> Result<Arc<MemoryReservation>> {
        let mut shared = self.charge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(charge) = shared.upgrade() {
            return Ok(charge);
        }
        let charge = memory.new_empty();
        charge.try_grow(self.bytes).map_err(|error| translate(&error, Stage::Plan))?;
        let charge = Arc::new(charge);
        *shared = Arc::downgrade(&charge);
        Ok(charge)
    }

    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    pub(crate) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    pub(crate) fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// Schema of the rows, named as the client asked.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn workspace(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    pub(crate) fn catalog(&self) -> &PrincipalCatalog {
        &self.workspace.catalog
    }

    /// What the statement asks of the moment and the session it runs in.
    pub(crate) fn asks(&self) -> Asks {
        self.asks
    }

    /// What a question answers; `None`: it is SQL.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// Bare names in its subqueries that were found only around these: its client gets a notice of each.
    pub(crate) fn outer_names(&self) -> &[String] {
        &self.outer_names
    }

    /// SQL names of the governed tables it reads.
    pub(crate) fn objects(&self) -> &Arc<[String]> {
        &self.objects
    }

    /// The whole statement as one fragment of a source, found out once; `None`: it is not.
    pub(crate) fn whole(&self, find: impl FnOnce() -> Option<WholeFragment>) -> Option<&Whole> {
        let types = || self.columns.iter().map(|column| column.pg_type).collect();
        let found = || {
            find().map(|fragment| {
                let written = fragment.gives_wire_rows().ok().map(|()| types());
                Whole { fragment, records: OnceLock::new(), written }
            })
        };
        self.whole.get_or_init(found).as_ref()
    }

    /// As [`Bound::whole`], without finding out.
    pub(crate) fn whole_found(&self) -> Option<&Whole> {
        self.whole.get()?.as_ref()
    }

    /// Whether it was found out if it is one.
    pub(crate) fn is_whole_known(&self) -> bool {
        self.whole.get().is_some()
    }

    pub(crate) fn parameter_types(&self) -> Vec<PgType> {
        self.parameters.iter().map(|p| p.pg_type).collect()
    }

    /// The types in which the plan takes the parameters' values.
    pub(crate) fn planned_types(&self) -> impl Iterator<Item = &DataType> {
        self.parameters.iter().map(|parameter| &parameter.planned)
    }

    /// The types of what its parameters are compared with, where they are known.
    pub(crate) fn types_beside(&self) -> impl ExactSizeIterator<Item = Option<PgType>> {
        self.parameters.iter().map(|parameter| parameter.beside)
    }

    /// The types to bind the statement anew with, for values that it cannot be given in the types that it is planned with: a
    /// numeric has as many places as its value. `None`: it can.
    pub(crate) fn declared_for(
        &self,
        declared: &[Option<Declared>],
        given: &[ArrayRef],
    ) -> Option<Vec<Option<Declared>>> {
        let fits = |(parameter, array): (&Parameter, &arrow::array::ArrayRef)| parameter.holds(array.as_ref());
        if given.len() != self.parameters.len() || self.parameters.iter().zip(given).all(fits) {
            return None;
        }
        let types = self.parameters.iter().zip(given).enumerate();
        let types = types.map(|(place, (parameter, array))| {
            parameter.declared_for(array.as_ref()).or_else(|| declared.get(place).copied().flatten())
        });
        Some(types.collect())
    }

    /// Values in the types that the plan wants.
    pub(crate) fn values(&self, given: &[ArrayRef]) -> Result<Vec<ScalarValue>> {
        if given.len() != self.parameters.len() {
            return Err(Error::new(
                ErrorCode::ProtocolViolation,
                format!(
                    "bind message supplies {} parameters, but the statement requires {}",
                    given.len(),
                    self.parameters.len()
                ),
            ));
        }
        self.parameters
            .iter()
            .zip(given)
            .map(|(parameter, array)| {
                let value = ScalarValue::try_from_array(array, 0).map_err(Error::internal)?;
                // An array may come as one text, whose members are known once it is read.
                let canonical = |value| match parameter.read_as {
                    Some(pg_type) => semantics::canonical_value(value, pg_type),
                    None => Ok(value),
                };
                canonical(value)
                    .and_then(|value| self.reader.value(&value, &parameter.planned))
                    .and_then(canonical)
                    .map_err(|e| translate(&e, Stage::Execute))
            })
            .collect()
    }

    /// The values as fragments take them, where they stand as they are in the types that the plan wants. `None`: they are to be read.
    pub(crate) fn given(&self, given: &[Given<'_>]) -> Option<Vec<Value>> {
        if given.len() != self.parameters.len() {
            return None;
        }
        let mut values = Vec::with_capacity(given.len());
        for (parameter, given) in self.parameters.iter().zip(given) {
            if let Given::Text(text) = given
                && let Some(pg_type) = parameter.read_as
                && semantics::canonical(text, pg_type).ok().as_deref() != Some(*text)
            {
                return None;
            }
            values.push(as_it_stands(*given, &parameter.planned)?);
        }
        Some(values)
    }

    /// The plan with its parameters filled in.
    ///
    /// # Errors
    /// 53200: they are too long to be planned with.
    pub(crate) fn with_values(&self, values: Vec<ScalarValue>) -> Result<LogicalPlan> {
        if values.is_empty() {
            return Ok(self.plan.clone());
        }
        let bytes = values.iter().map(ScalarValue::size).fold(0, usize::saturating_add);
        has_room_for(bytes.saturating_mul(COPIES_OF_VALUES)).map_err(|e| translate(&e, Stage::Plan))?;
        let values = named(values, &self.plan);
        let plan = self.plan.clone().with_param_values(values).map_err(|e| translate(&e, Stage::Plan))?;
        // A parameter may be NULL, its value is not.
        if self.scalar_subqueries { nulls::settled(plan).map_err(|e| translate(&e, Stage::Plan)) } else { Ok(plan) }
    }
}

/// Half of the times that a value stands in a statement: in its message, as it was read, and in the trees that planning makes of one
/// another. Measured with texts of 10 MB: nine to ten times.
const COPIES_OF_VALUES: usize = 5;

/// Binds a query.
pub(crate) async fn bind(
    workspace: &Arc<Workspace>,
    state: &SessionState,
    query: &Query,
    declared: &[Option<Declared>],
) -> Result<Bound> {
    let planned = plan_told(query, state, &workspace.dialect, declared).await;
    let (plan, outer_names) = planned.map_err(|error| located(in_output_names(error), query))?;
    let bound = finish(workspace, state, plan, declared)?;
    Ok(Bound { outer_names: outer_names.into(), ..bound })
}

/// Binds a plan that no SQL says. It names governed tables of this workspace only, which is verified as of any plan.
pub(crate) fn bind_plan(
    workspace: &Arc<Workspace>,
    state: &SessionState,
    plan: LogicalPlan,
    answer: Answer,
) -> Result<Bound> {
    let plan = settled(plan, state, &workspace.dialect, &[]).map_err(|e| translate(&e, Stage::Plan))?;
    let bound = finish(workspace, state, plan, &[])?;
    if bound.columns.len() != answer.columns.len() {
        return Err(Error::internal("a question lost columns when it was bound"));
    }
    Ok(Bound { answer: Some(answer), ..bound })
}

/// Verifies a plan whose names were looked up, and describes it.
fn finish(
    workspace: &Arc<Workspace>,
    state: &SessionState,
    plan: LogicalPlan,
    declared: &[Option<Declared>],
) -> Result<Bound> {
    let inventory = verify_bound(&plan, workspace.catalog.token())?;
    nulls::check(&plan)?;
    if workspace.catalog.deployment().refuse_masked_predicates {
        refuse_masked_predicates(&plan)?;
    }
    let parameters = parameters_of(&plan, declared)?;
    let (mut columns, schema) = describe(&semantics::described(&plan, state.config_options()))?;
    trace(&plan, &mut columns, workspace.catalog.pg_catalog());
    let objects = inventory.tables.clone().into();
    Ok(Bound {
        asks: Asks::of(&plan),
        scalar_subqueries: nulls::has_scalar_subquery(&plan),
        bytes: plan_bytes(&plan).saturating_add(BOUND_BYTES),
        charge: Mutex::default(),
        plan,
        inventory,
        parameters,
        reader: semantics::Reader::new(state.config_options()),
        columns: columns.into(),
        schema,
        workspace: Arc::clone(workspace),
        objects,
        outer_names: Box::default(),
        whole: OnceLock::new(),
        number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        plans: PlanHistory::default(),
        answer: None,
    })
}

/// Rewrites a query from Postgres' dialect and plans it. Nothing is verified yet.
pub(crate) async fn plan_query(
    query: &Query,
    state: &SessionState,
    dialect: &Dialect,
    declared: &[Option<Declared>],
) -> Result<LogicalPlan> {
    plan_told(query, state, dialect, declared).await.map(|(plan, _)| plan)
}

/// That, with the names of which its reader gets a notice.
async fn plan_told(
    query: &Query,
    state: &SessionState,
    dialect: &Dialect,
    declared: &[Option<Declared>],
) -> Result<(LogicalPlan, Vec<String>)> {
    let mut query = query.clone();
    let refused = refused_later(&mut query);
    let bound = plan_names(&query, state, dialect, declared).await;
    let (plan, outer_names) = match refused {
        Some(refused) => return Err(refused_or_unknown(refused, bound.err())),
        None => {
            let (plan, outer_names) = bound?;
            (without_denied_columns(plan)?, outer_names)
        }
    };
    refuse_using(&plan)?;
    refuse_filters(&plan)?;
    refuse_outer_aggregates(&plan).and_then(|()| refuse_ungrouped(&plan)).map_err(|e| translate(&e, Stage::Plan))?;
    let plan = settled(plan, state, dialect, declared).map_err(|e| translate_binding(&e, &query))?;
    Ok((plan, outer_names))
}

/// The plan with the meaning that its expressions have in Postgres.
fn settled(
    plan: LogicalPlan,
    state: &SessionState,
    dialect: &Dialect,
    declared: &[Option<Declared>],
) -> std::result::Result<LogicalPlan, DataFusionError> {
    let plan = narrowed(typed(plan, state, dialect, declared)?, declared)?;
    let plan = with_named_arguments(plan)?;
    let plan = with_own_relations(plan)?;
    let plan = with_set_keys(plan)?;
    let plan = as_joins(plan)?;
    let plan = with_null_memberships(plan)?;
    without_keys(nulls::settled(plan)?)
}

/// The first part of that: literals, columns and operators have their types.
fn typed(
    plan: LogicalPlan,
    state: &SessionState,
    dialect: &Dialect,
    declared: &[Option<Declared>],
) -> std::result::Result<LogicalPlan, DataFusionError> {
    let plan = gathered_as_texts(as_texts(dialect.settler.settle(plan)?, declared)?)?;
    semantics::bound(plan, state.config_options())
}

/// Looks names up; gives the bare ones in subqueries that are found only around these.
async fn plan_names(
    query: &Query,
    state: &SessionState,
    dialect: &Dialect,
    declared: &[Option<Declared>],
) -> Result<(LogicalPlan, Vec<String>)> {
    let mut ast = Ast::Query(Box::new(query.clone()));
    refuse_ignored(&ast)?;
    refuse_wide(&ast)?;
    let outer_names = rewrite(&mut ast, &dialect.catalog, declared)?;
    crate::dialect::parameters::declare_first_casts(&mut ast, declared)?;
    crate::dialect::parameters::declare(&mut ast, declared)?;
    let plan = state.statement_to_plan(DfStatement::Statement(Box::new(ast))).await.map_err(|e| {
        let image = dialect.catalog.image();
        let error = with_nearest_function(with_nearest(translate_binding(&e, query), image));
        let error = without_system_columns(error, &e, query, &dialect.catalog);
        with_nearest_column(error, &e, query, image)
    })?;
    let outer_names = read_around(outer_names, &plan).map_err(|e| translate(&e, Stage::Plan))?;
    Ok((plan, outer_names))
}

/// The plan with its columns under the names a client sees; for views, whose columns statements name.
pub(crate) fn plainly_named(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| Expr::from((qualifier, field)).alias(output_name(field.name())))
        .collect();
    LogicalPlanBuilder::from(plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|e| translate(&e, Stage::Plan))
}

fn describe(delivered: &DFSchema) -> Result<(Vec<Column>, SchemaRef)> {
    let fields = delivered.fields();
    if fields.len() > limits::RESULT_COLUMNS_MAX {
        return Err(Error::new(
            ErrorCode::ProgramLimitExceeded,
            format!("target lists can have at most {} entries", limits::RESULT_COLUMNS_MAX),
        ));
    }
    let named = |field: &Arc<Field>| field.as_ref().clone().with_name(output_name(field.name()));
    let fields: Vec<Field> = fields.iter().map(named).collect();
    let columns: Vec<Column> = fields.iter().map(column_of).collect();
    Ok((columns, Arc::new(Schema::new(fields))))
}

#[cfg(test)]
mod tests;
