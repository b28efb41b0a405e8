//! Statements with the answers that a PostgreSQL 15 server gave, run by a state with the semantics installed.

mod plans;

use crate::errors::{Stage, translate};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use querygate_pg_catalog::LeafToken;
use querygate_pg_catalog::PgCatalog;
use querygate_pg_catalog::image::CatalogImage;
use querygate_query_api::values::wide_numeric::numeric_cell;
use querygate_semantics::{described, install, text};
use std::sync::{Arc, OnceLock};

/// A line is a statement, what PostgreSQL answered, and, where we differ on purpose, what we answer.
const CASES: &str = include_str!("postgres.tsv");
const SETUP: &str = include_str!("setup.sql");

/// Time stamps of microseconds, and numerics of any places, as the surface plans them.
#[derive(Debug)]
struct Micros;

impl TypePlanner for Micros {
    fn plan_type_field(&self, sql_type: &SqlType) -> datafusion::common::Result<Option<FieldRef>> {
        if let SqlType::Numeric(ExactNumberInfo::None) = sql_type {
            return crate::dialect::PgTypePlanner.plan_type_field(sql_type);
        }
        let SqlType::Timestamp(_, zone) = sql_type else { return Ok(None) };
        let zone = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz).then(|| "UTC".into());
        Ok(Some(Arc::new(Field::new("", DataType::Timestamp(TimeUnit::Microsecond, zone), true))))
    }
}

pub(super) async fn context() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2).with_batch_size(2);
    config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    config.options_mut().execution.time_zone = Some("UTC".to_owned());
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_type_planner(Arc::new(Micros))
        .build();
    let context = SessionContext::new_with_state(install(install(state)));
    for helper in crate::dialect::helpers() {
        context.register_udf(helper.as_ref().clone());
    }
    for statement in SETUP.split(';').filter(|s| !s.trim().is_empty()) {
        context.sql(statement).await.unwrap().collect().await.unwrap();
    }
    context
}

/// The catalog of somebody who sees nothing.
fn nobodys() -> &'static PgCatalog {
    static CATALOG: OnceLock<Arc<PgCatalog>> = OnceLock::new();
    let token = LeafToken { state_version: 1, principal: 1, until_ms: None };
    CATALOG.get_or_init(|| PgCatalog::new(token, CatalogImage::default()))
}

/// The plan of a statement as the gate binds it.
pub(super) async fn bound(context: &SessionContext, sql: &str) -> Result<LogicalPlan, DataFusionError> {
    {
        let state = context.state();
        // COPY and EXPLAIN are the engine's own statements.
        let plan = match Parser::parse_sql(&PostgreSqlDialect {}, sql).map(|mut parsed| parsed.remove(0)) {
            Ok(mut statement) => {
                crate::dialect::rewrite(&mut statement, nobodys(), &[])
                    .map_err(|error| DataFusionError::External(Box::new(error)))?;
                state.statement_to_plan(Statement::Statement(Box::new(statement))).await?
            }
            Err(_) => state.create_logical_plan(sql).await?,
        };
        querygate_semantics::bound(plan, state.config_options())
    }
}

pub(super) async fn run(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
    let plan = bound(context, sql).await?;
    context.execute_logical_plan(plan).await?.collect().await
}

/// Rows as `a|b ; c|d`, or `!` and the code. What a statement is described with is what its batches have.
pub(super) async fn answer(context: &SessionContext, sql: &str) -> String {
    let failed = |error: &DataFusionError, stage| format!("!{}", translate(error, stage).code().sqlstate());
    let plan = match bound(context, sql).await {
        Ok(plan) => plan,
        Err(error) => return failed(&error, Stage::Plan),
    };
    let described = described(&plan, context.state().config_options());
    let told: Vec<&DataType> = described.fields().iter().map(|f| f.data_type()).collect();
    match run(context, sql).await {
        Ok(batches) => {
            for batch in &batches {
                let schema = batch.schema();
                let types: Vec<&DataType> = schema.fields().iter().map(|f| f.data_type()).collect();
                assert_eq!(types, told, "{sql}");
            }
            batches.iter().flat_map(rows).collect::<Vec<_>>().join(" ; ")
        }
        Err(error) => failed(&error, Stage::Execute),
    }
}

fn rows(batch: &RecordBatch) -> Vec<String> {
    let row = |row| batch.columns().iter().map(|column| cell(column.as_ref(), row)).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Float32 => text::real(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => text::double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let text = text::timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row));
            if zone.is_some() { text + "+00" } else { text }
        }
        DataType::Null => "NULL".to_owned(),
        DataType::LargeBinary => numeric_cell(array.as_binary(), row).unwrap().to_string(),
        _ => ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap().value(row).to_string(),
    }
}

/// Decimals whatever their scale.
fn normal(answer: &str) -> String {
    let plain = |cell: &str| {
        let number = cell.contains('.') && cell.parse::<f64>().is_ok();
        if number { cell.trim_end_matches('0').trim_end_matches('.').to_owned() } else { cell.to_owned() }
    };
    let row = |row: &str| row.split('|').map(plain).collect::<Vec<_>>().join("|");
    answer.split(" ; ").map(row).collect::<Vec<_>>().join(" ; ")
}

#[tokio::test]
async fn statements_answer_as_postgres_does() {
    let context = context().await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut columns = line.split('\t');
        let (sql, postgres) = (columns.next().unwrap(), columns.next().unwrap());
        let expected = normal(columns.next().unwrap_or(postgres));
        let answered = normal(&answer(&context, sql).await);
        if answered != expected {
            wrong.push(format!("{sql}\n   expected {expected}\n   answered {answered}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 200, "{count}");
}
