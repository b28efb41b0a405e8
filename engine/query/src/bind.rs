//! Binds a statement on a principal's catalog: names, types, parameters. Reads no row.

use crate::errors::{Stage, translate};
use crate::verify::{Inventory, verify_bound};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement as Ast};
use querygate_catalog::PrincipalCatalog;
use querygate_catalog::pg_catalog::PgCatalog;
use querygate_query_api::{Column, arrow_type_of, column_of, pg_type_of};
use querygate_types::{Error, ErrorCode, PgType, Result, limits};
use std::sync::Arc;

/// A statement bound on one principal's catalog, its scans verified. Only [`bind`] makes one.
#[derive(Debug)]
pub(crate) struct Bound {
    plan: LogicalPlan,
    inventory: Inventory,
    parameters: Vec<Parameter>,
    columns: Arc<[Column]>,
    schema: SchemaRef,
    catalog: Arc<PrincipalCatalog>,
    state: Arc<SessionState>,
}

/// A parameter: what the client sends, and what the plan wants.
#[derive(Debug, Clone)]
struct Parameter {
    pg_type: PgType,
    planned: DataType,
}

impl Bound {
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

    pub(crate) fn catalog(&self) -> &Arc<PrincipalCatalog> {
        &self.catalog
    }

    pub(crate) fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    pub(crate) fn parameter_types(&self) -> Vec<PgType> {
        self.parameters.iter().map(|p| p.pg_type).collect()
    }

    /// Values in the types that the plan wants.
    pub(crate) fn values(&self, given: &[arrow::array::ArrayRef]) -> Result<Vec<ScalarValue>> {
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
                value.cast_to(&parameter.planned).map_err(|e| translate(&e, Stage::Execute))
            })
            .collect()
    }

    /// The plan with its parameters filled in.
    pub(crate) fn with_values(&self, values: Vec<ScalarValue>) -> Result<LogicalPlan> {
        if values.is_empty() {
            return Ok(self.plan.clone());
        }
        self.plan.clone().with_param_values(values).map_err(|e| translate(&e, Stage::Plan))
    }
}

/// Binds a query.
pub(crate) async fn bind(
    catalog: &Arc<PrincipalCatalog>,
    state: &Arc<SessionState>,
    query: &Query,
    declared: &[Option<PgType>],
) -> Result<Bound> {
    let Planned { plan, names } = plan_query(query, state, catalog.pg_catalog(), declared).await?;
    let inventory = verify_bound(&plan, catalog.token())?;
    let parameters = parameters_of(&plan, declared)?;
    let (columns, schema) = describe(&plan, names.as_deref())?;
    Ok(Bound { plan, inventory, parameters, columns, schema, catalog: Arc::clone(catalog), state: Arc::clone(state) })
}

/// A plan and the output names that the client asked for.
pub(crate) struct Planned {
    pub(crate) plan: LogicalPlan,
    names: Option<Vec<String>>,
}

/// Rewrites a query from Postgres' dialect and plans it. Nothing is verified yet.
pub(crate) async fn plan_query(
    query: &Query,
    state: &SessionState,
    pg: &Arc<PgCatalog>,
    declared: &[Option<PgType>],
) -> Result<Planned> {
    let mut ast = Ast::Query(Box::new(query.clone()));
    let names = crate::surface::rewrite(&mut ast, pg)?;
    crate::parameters::declare(&mut ast, declared)?;
    let plan =
        state.statement_to_plan(DfStatement::Statement(Box::new(ast))).await.map_err(|e| translate(&e, Stage::Plan))?;
    Ok(Planned { plan, names })
}

fn describe(plan: &LogicalPlan, names: Option<&[String]>) -> Result<(Arc<[Column]>, SchemaRef)> {
    let fields = plan.schema().fields();
    if fields.len() > limits::RESULT_COLUMNS_MAX {
        return Err(Error::new(
            ErrorCode::ProgramLimitExceeded,
            format!("target lists can have at most {} entries", limits::RESULT_COLUMNS_MAX),
        ));
    }
    let fields: Vec<Field> = fields
        .iter()
        .enumerate()
        .map(|(i, field)| match names.and_then(|n| n.get(i)) {
            Some(name) => field.as_ref().clone().with_name(name),
            None => field.as_ref().clone(),
        })
        .collect();
    let columns: Vec<Column> = fields
        .iter()
        .map(|field| {
            let mut column = column_of(field);
            if let DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) = field.data_type()
                && *scale >= 0
                && *precision <= 38
            {
                // Kept for plain columns only by Postgres; here the scale is exact for every expression.
                column.type_modifier = -1;
            }
            column
        })
        .collect();
    Ok((columns.into(), Arc::new(Schema::new(fields))))
}

/// Types of `$1…$n`: the client's where it gave one, else inferred, else text.
fn parameters_of(plan: &LogicalPlan, declared: &[Option<PgType>]) -> Result<Vec<Parameter>> {
    let inferred = plan.get_parameter_types().map_err(|e| translate(&e, Stage::Plan))?;
    let mut count = declared.len();
    for name in inferred.keys() {
        let number: usize = name.trim_start_matches('$').parse().unwrap_or(0);
        if number == 0 || number > limits::PARAMETERS_MAX {
            return Err(Error::new(ErrorCode::UndefinedParameter, format!("there is no parameter {name}")));
        }
        count = count.max(number);
    }
    (1..=count)
        .map(|number| {
            let planned = inferred.get(&format!("${number}")).cloned().flatten();
            let declared = declared.get(number - 1).copied().flatten();
            let pg_type = match (declared, &planned) {
                (Some(PgType::Unknown), Some(planned)) | (None, Some(planned)) => {
                    pg_type_of(&Field::new("p", planned.clone(), true))
                }
                (Some(declared), _) => declared,
                (None, None) => PgType::Text,
            };
            let planned = match planned {
                Some(planned) => planned,
                None => arrow_type_of(pg_type).ok_or_else(|| {
                    Error::new(
                        ErrorCode::IndeterminateDatatype,
                        format!("could not determine data type of parameter ${number}"),
                    )
                })?,
            };
            Ok(Parameter { pg_type, planned })
        })
        .collect()
}
