//! DoPut: values for a prepared statement, and statements that return no rows. Bounded before anything is decoded.

use crate::calls::ingest::ingest;
use crate::calls::upload::{Messages, drain, next, size};
use crate::command::{Put, put as read_put, unsupported};
use crate::door_state::DoorState;
use crate::messages::wire::result_schema;
use crate::sessions::bind::{Bindings, bind, declared_by_values, decode};
use crate::sessions::session::{Bound, FlightSession, PreparedStatement};
use crate::sessions::statement::{Described, describe, run_effects};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use prost::Message as _;
use querygate_query_api::service::{Prepared, Session};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::sync::Mutex;
use tonic::Streaming;

/// Handles one DoPut and gives its one answer.
pub(crate) async fn put(
    shared: &DoorState,
    session: &FlightSession,
    messages: Streaming<FlightData>,
) -> Result<PutResult> {
    let messages = Arc::new(Mutex::new(messages));
    let result = answer(shared, session, &messages).await;
    if result.is_err() {
        drain(&messages).await;
    }
    result
}

async fn answer(shared: &DoorState, session: &FlightSession, messages: &Messages) -> Result<PutResult> {
    let Some(first) = next(messages).await? else {
        // ADBC's Go driver sends nothing at all of a table without rows: nothing is stored. The answer of any kind of call is empty then.
        return Ok(PutResult { app_metadata: DoPutUpdateResult { record_count: 0 }.encode_to_vec().into() });
    };
    let descriptor = first.flight_descriptor.clone();
    let descriptor = descriptor
        .ok_or_else(|| Error::new(ErrorCode::ProtocolViolation, "the first message holds no flight descriptor"))?;
    match read_put(&descriptor)? {
        Put::Parameters { handle } => {
            let statement = session.statement(&handle)?;
            let received = receive(shared, first, messages).await?;
            let bound = match decode(received, shared.config.parameter_bytes_max)? {
                Some(values) => Some(bound(&statement, &values).await?),
                None => None,
            };
            session.bind(&statement, bound)?;
            let result = DoPutPreparedStatementResult { prepared_statement_handle: None };
            Ok(PutResult { app_metadata: result.encode_to_vec().into() })
        }
        Put::Ingest(command) => {
            let stored = ingest(session, command, first, Arc::clone(messages)).await?;
            let record_count = i64::try_from(stored).map_err(Error::internal)?;
            Ok(PutResult { app_metadata: DoPutUpdateResult { record_count }.encode_to_vec().into() })
        }
        Put::Update { sql, transaction } => {
            let engine = session.engine(transaction.as_deref())?;
            let described = describe(&engine, &sql, &[]).await?;
            update(&engine, &described.prepared, &Bindings::none()).await
        }
        Put::PreparedUpdate { handle } => {
            let statement = session.statement(&handle)?;
            let received = receive(shared, first, messages).await?;
            let Bound { described, bindings } = match decode(received, shared.config.parameter_bytes_max)? {
                None => statement.next(),
                Some(values) => bound(&statement, &values).await?,
            };
            update(&statement.engine, &described.prepared, &bindings).await
        }
    }
}

/// A statement with a client's values. Whole-number parameters that it gives numbers with a fraction are of the client's type, as
/// they would be had the client named it, and numerics have their values' places.
async fn bound(statement: &PreparedStatement, values: &RecordBatch) -> Result<Bound> {
    let engine = &statement.engine;
    let inferred = statement.described.prepared.parameter_types();
    let described = match declared_by_values(inferred, values) {
        Some(types) => describe(engine, &statement.sql, &types).await?,
        None => statement.described.clone(),
    };
    let bindings = Arc::new(bind(values, described.prepared.parameter_types())?);
    // One schema holds the results of all executions.
    let fitted = engine.fitted(&described.prepared, bindings.columns()).await?;
    let schema = result_schema(fitted.as_ref());
    Ok(Bound { described: Described { prepared: fitted, schema }, bindings })
}

/// All messages of a call, up to the bound.
async fn receive(shared: &DoorState, first: FlightData, messages: &Messages) -> Result<Vec<FlightData>> {
    let mut bytes = size(&first);
    let mut received = vec![first];
    while let Some(message) = next(messages).await? {
        bytes = bytes.saturating_add(size(&message)).saturating_add(64);
        if bytes > shared.config.parameter_bytes_max {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the parameters are too large")
                .with_hint("Bind fewer rows at a time."));
        }
        received.push(message);
    }
    Ok(received)
}

/// Runs a statement that returns no rows, once per set of values.
async fn update(engine: &Arc<dyn Session>, prepared: &Arc<dyn Prepared>, bindings: &Bindings) -> Result<PutResult> {
    if prepared.columns().is_some() {
        engine.fail_transaction();
        return Err(unsupported("a statement that returns rows as an update").with_hint("Run it as a query."));
    }
    let record_count = run_effects(engine, prepared, bindings).await?;
    Ok(PutResult { app_metadata: DoPutUpdateResult { record_count }.encode_to_vec().into() })
}
