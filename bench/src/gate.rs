//! A gate in process: deployments from a stack and tables, sessions. Knows no measurement.

use crate::door::DATABASE;
use crate::tpch;
use arrow::record_batch::{RecordBatch, RecordBatchIterator};
use futures::StreamExt;
use querygate_catalog::Rescan;
use querygate_catalog::deployment::{Deployment, SourceTable};
use querygate_files::{FileFormat, FilesConfig, FilesSource, TableSpec};
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::Facts;
use querygate_policy::CompiledPolicy;
use querygate_query::{Engine, EngineOptions, GateService};
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{ClientInfo, Delivery, Door, Prepared, QueryService, Session};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Parallelism of a statement, the same governed and not.
pub const PARTITIONS: usize = 2;

/// A runtime as the server has it: planning recurses, so stacks are large (reserved, not used).
///
/// # Errors
/// When threads cannot be started.
pub fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(PARTITIONS)
        .thread_stack_size(64 << 20)
        .enable_all()
        .build()
        .map_err(Error::internal)
}

/// A deployment of a stack over tables by object name.
///
/// # Errors
/// What the loader finds wrong with the stack.
pub fn deployment(stack: &Value, tables: HashMap<String, SourceTable>) -> Result<Deployment> {
    let snapshot = load_text("stack.json", &stack.to_string(), &LoadOptions::default()).map_err(Error::internal)?;
    let snapshot = Arc::new(snapshot);
    Ok(Deployment {
        version: 1,
        database: DATABASE.to_owned(),
        policies: Arc::new(CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new())),
        snapshot,
        facts: Arc::new(Facts::default()),
        tables,
        views: Vec::new(),
        sources: Vec::new(),
        schema_events: Vec::new(),
        refuse_masked_predicates: false,
        deny_hidden_columns: false,
    })
}

/// A gate over a deployment.
///
/// # Errors
/// When its folders cannot be used.
pub fn gate(runtime: Handle, deployment: Deployment) -> Result<Arc<Engine>> {
    let options = EngineOptions { target_partitions: PARTITIONS, sessions_max: 5_000, ..EngineOptions::default() };
    Engine::new(options, runtime, deployment)
}

/// A session of a principal.
///
/// # Errors
/// The gate's refusal.
pub async fn session(gate: &Arc<Engine>, principal: Principal) -> Result<Arc<dyn Session>> {
    let info = ClientInfo { door: Door::Postgres, database: DATABASE.to_owned(), peer: None, settings: Vec::new() };
    GateService::new(Arc::clone(gate)).open(Arc::new(principal), info).await
}

/// Binds the one statement of a text.
///
/// # Errors
/// The gate's refusal.
pub async fn prepare(session: &Arc<dyn Session>, sql: &str) -> Result<Arc<dyn Prepared>> {
    let statements = session.split(sql)?;
    let [only] = statements.as_slice() else { return Err(Error::internal("a bench runs one statement at a time")) };
    session.prepare(only, &[]).await
}

/// Runs a bound statement to its end; the number of rows.
///
/// # Errors
/// The statement's failure.
pub async fn drain(
    session: &Arc<dyn Session>,
    prepared: &Arc<dyn Prepared>,
    parameters: &[arrow::array::ArrayRef],
) -> Result<usize> {
    let mut count = 0;
    if let Outcome::Rows(mut rows) = session.run(prepared, parameters, Delivery::Batches).await? {
        while let Some(batch) = rows.batches.next().await {
            count += batch?.num_rows();
        }
    }
    Ok(count)
}

/// Runs a statement and writes its rows to a Parquet file of its number, for a peer to compare its own with. No file where no batch comes.
///
/// # Errors
/// The statement's failure, or the file's.
pub async fn write_answer(session: &Arc<dyn Session>, sql: &str, folder: &Path, number: &str) -> Result<()> {
    let to = folder.join(format!("{number}.parquet"));
    if to.exists() {
        std::fs::remove_file(&to).map_err(Error::internal)?;
    }
    let prepared = prepare(session, sql).await?;
    let Outcome::Rows(mut rows) = session.run(&prepared, &[], Delivery::Batches).await? else { return Ok(()) };
    let mut batches = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        batches.push(batch?);
    }
    let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(()) };
    tpch::write_rows(&to, RecordBatchIterator::new(batches.into_iter().map(Ok), schema))
}

/// Where answers are to be written: a folder below the one that `ANSWERS` names, made if it is not there. `None`: nowhere.
///
/// # Errors
/// When it cannot be made.
pub fn answers_folder(below: &str) -> Result<Option<PathBuf>> {
    let Some(folder) = std::env::var_os("ANSWERS") else { return Ok(None) };
    let folder = PathBuf::from(folder).join(below);
    std::fs::create_dir_all(&folder).map_err(Error::internal)?;
    Ok(Some(folder))
}

/// The one number that a query gives; `None`: no row, or no number.
///
/// # Errors
/// The statement's failure.
pub async fn first_number(session: &Arc<dyn Session>, sql: &str) -> Result<Option<f64>> {
    let prepared = prepare(session, sql).await?;
    let Outcome::Rows(mut rows) = session.run(&prepared, &[], Delivery::Batches).await? else { return Ok(None) };
    let mut found = None;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        let Some(column) = batch.columns().first().filter(|_| batch.num_rows() > 0) else { continue };
        let numbers = arrow::compute::cast(column, &arrow::datatypes::DataType::Float64).map_err(Error::internal)?;
        let numbers = numbers.as_any().downcast_ref::<arrow::array::Float64Array>();
        found = found.or_else(|| numbers.and_then(|numbers| numbers.iter().next().flatten()));
    }
    Ok(found)
}

/// The principal of the one permission set of the stacks here.
#[must_use]
pub fn reader() -> Principal {
    crate::door::principal()
}

/// An object that all may read, with text fields named as given: a column's type is its source's. `id` is there anyway.
#[must_use]
pub fn object<'a>(name: &str, columns: impl IntoIterator<Item = &'a str>) -> Value {
    let mut fields = json!({});
    for column in columns.into_iter().filter(|column| *column != "id") {
        fields[column] = json!({"type": "text", "label": column});
    }
    json!({"name": name, "label": name, "sharingModel": "public_read", "fields": fields})
}

/// A stack of objects, with row policies `(object, expression)` on them.
#[must_use]
pub fn stack(namespace: &str, objects: Vec<Value>, policies: &[(&str, &str)]) -> Value {
    let policies = policies.iter().enumerate().map(|(number, (object, using))| {
        json!({"name": format!("policy_{number}"), "object": object, "operation": "select", "using": using})
    });
    json!({
        "manifest": {"id": format!("com.example.{namespace}"), "namespace": namespace, "version": "1.0.0", "type": "app", "name": namespace},
        "objects": objects,
        "permissions": [{
            "name": "reader", "label": "Reader", "objects": {"*": {"allowRead": true}},
            "rowLevelSecurity": policies.collect::<Vec<_>>(),
        }],
    })
}

/// The TPC-H tables of a folder, by table name.
///
/// # Errors
/// Files that are not there.
pub async fn tpch_tables(folder: &Path) -> Result<HashMap<&'static str, SourceTable>> {
    let config = FilesConfig { refresh: Duration::from_secs(3_600), ..FilesConfig::local("tpch", folder) };
    let source = FilesSource::new(config)?;
    let mut tables = HashMap::new();
    for table in tpch::TABLES {
        let spec = TableSpec::new(table, &format!("{table}.parquet"), FileFormat::Parquet, None);
        let provider = source.table(&spec).await?;
        let rescan = Rescan::new(provider.scans_again());
        tables.insert(table, SourceTable::new("tpch", provider).with_rescan(rescan));
    }
    Ok(tables)
}

/// A deployment of the TPC-H tables, under row policies `(table, expression)`.
///
/// # Errors
/// What the loader finds wrong with a policy.
pub fn tpch_deployment(tables: HashMap<&'static str, SourceTable>, policies: &[(&str, &str)]) -> Result<Deployment> {
    let mut objects = Vec::new();
    for table in tpch::TABLES {
        let Some(source) = tables.get(table) else { continue };
        let schema = source.provider.schema();
        objects.push(object(&format!("tpch_{table}"), schema.fields().iter().map(|field| field.name().as_str())));
    }
    let policies: Vec<(String, &str)> =
        policies.iter().map(|(table, using)| (format!("tpch_{table}"), *using)).collect();
    let policies: Vec<(&str, &str)> = policies.iter().map(|(object, using)| (object.as_str(), *using)).collect();
    let tables = tables.into_iter().map(|(table, source)| (format!("tpch_{table}"), source)).collect();
    deployment(&stack("tpch", objects, &policies), tables)
}
