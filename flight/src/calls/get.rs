//! DoGet: a ticket in, its result out, as it was promised or not at all.

use crate::calls::info::schema_digest;
use crate::calls::stream::{Held, Messages, send};
use crate::command::{Query, query};
use crate::door_state::DoorState;
use crate::messages::encode::{Compression, Encoder};
use crate::metadata;
use crate::sessions::bind::Bindings;
use crate::sessions::session::{Bound, FlightSession};
use crate::sessions::statement::{Described, describe, run_all};
use crate::tickets::ticket::TicketBody;
use arrow::datatypes::SchemaRef;
use arrow_flight::Ticket;
use futures::{StreamExt as _, stream};
use querygate_query_api::outcome::BatchStream;
use querygate_query_api::parts::Part;
use querygate_query_api::service::Session;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use tonic::metadata::MetadataMap;

/// Header with which one call asks for compressed bodies.
pub(crate) const COMPRESSION_HEADER: &str = "querygate-compression";

/// What the call asks for, else what the session does.
pub(crate) fn compression(metadata: &MetadataMap, session: &FlightSession) -> Result<Compression> {
    let Some(asked) = metadata.get(COMPRESSION_HEADER) else { return Ok(session.compression()) };
    asked.to_str().ok().and_then(Compression::named).ok_or_else(|| {
        Error::new(ErrorCode::InvalidParameterValue, "this compression is not served")
            .with_hint("Ask for lz4, zstd or none.")
    })
}

/// A result about to flow.
struct Begun {
    engine: Arc<dyn Session>,
    schema: SchemaRef,
    batches: BatchStream,
}

/// Checks a ticket and begins to send what it is for.
pub(crate) async fn fetch(
    shared: &DoorState,
    session: Arc<FlightSession>,
    ticket: &Ticket,
    compression: Compression,
) -> Result<Messages> {
    let body = TicketBody::open(&shared.seal, ticket, &session.principal.login)?;
    let permit = Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| {
        Error::new(ErrorCode::TooManyQueries, "too many result streams are open")
            .with_hint("Read or close other streams, or try again later.")
    })?;
    let fetch = shared.running.begin(&body, &session.cancel);
    let cancel = fetch.cancel.clone();
    let begun = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(session.ended()),
        begun = begin(&session, &body, &shared.config.database) => begun,
    };
    let Begun { engine, schema, batches } = begun?;
    let (encoder, first) = Encoder::new(schema, compression)?;
    let stall_timeout = shared.config.stall_timeout;
    Ok(send(first, encoder, batches, Held { fetch, permit, owner: session, engine, stall_timeout }))
}

async fn begin(session: &FlightSession, body: &TicketBody, database: &str) -> Result<Begun> {
    let part = (!body.part.is_empty()).then(|| Part::new(body.part.as_ref()));
    match query(&body.command)? {
        Query::Statement { sql, transaction } => {
            let engine = session.engine(transaction.as_deref())?;
            same_snapshot(&engine, body)?;
            let described = describe(&engine, &sql, &[]).await?;
            same_schema(&described.schema, body)?;
            let batches = run_all(&engine, &described.prepared, Arc::new(Bindings::none()), part).await?;
            Ok(Begun { engine, schema: described.schema, batches })
        }
        Query::Prepared { handle } => {
            let statement = session.statement(&handle)?;
            let engine = Arc::clone(&statement.engine);
            same_snapshot(&engine, body)?;
            let Bound { described: Described { prepared, schema }, bindings } = statement.next();
            same_schema(&schema, body)?;
            let batches = run_all(&engine, &prepared, bindings, part).await?;
            Ok(Begun { engine, schema, batches })
        }
        Query::Metadata(command) => {
            let engine = Arc::clone(session.main());
            same_snapshot(&engine, body)?;
            let schema = metadata::schema(&command)?;
            same_schema(&schema, body)?;
            let batch = metadata::rows(command, session, database).await?;
            Ok(Begun { engine, schema, batches: stream::once(async move { Ok(batch) }).boxed() })
        }
    }
}

/// Rights or tables may be others now; what was promised under the old ones is not given.
fn same_snapshot(engine: &Arc<dyn Session>, body: &TicketBody) -> Result<()> {
    if engine.snapshot_version() == body.snapshot { Ok(()) } else { Err(changed()) }
}

fn same_schema(schema: &SchemaRef, body: &TicketBody) -> Result<()> {
    if schema_digest(schema)? == body.schema { Ok(()) } else { Err(changed()) }
}

fn changed() -> Error {
    Error::new(ErrorCode::SourceSchemaChanged, "the metadata or the session changed after the ticket was made")
        .with_hint("Ask for the flight again.")
}
