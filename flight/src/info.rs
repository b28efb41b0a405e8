//! What a client learns before it fetches: a result's schema and the ticket for it. Runs only what gives no rows.

use crate::bind::Bindings;
use crate::command::{MetadataCommand, Query, command_bytes, query, query_of};
use crate::encode::schema_bytes;
use crate::metadata;
use crate::seal::{later_ms, random_id};
use crate::service::Shared;
use crate::session::FlightSession;
use crate::statement::{Described, describe, run_effects};
use crate::ticket::TicketBody;
use arrow::datatypes::SchemaRef;
use arrow_flight::{
    CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, SchemaResult,
};
use bytes::Bytes;
use querygate_query_api::{Prepared, Session};
use querygate_types::{Error, ErrorCode, Result};
use ring::digest;
use std::sync::Arc;

/// What a command will give.
struct Promised {
    /// The engine session it runs in.
    engine: Arc<dyn Session>,
    schema: SchemaRef,
    /// A statement that gives no rows, and its values.
    effect: Option<(Arc<dyn Prepared>, Arc<Bindings>)>,
}

async fn promised(session: &FlightSession, command: &Query) -> Result<Promised> {
    match command {
        Query::Statement { sql, transaction } => {
            let engine = session.engine(transaction.as_deref())?;
            let Described { prepared, schema } = describe(&engine, sql, &[]).await?;
            let effect = prepared.columns().is_none().then(|| (prepared, Arc::new(Bindings::none())));
            Ok(Promised { engine, schema, effect })
        }
        Query::Prepared { handle } => {
            let statement = session.statement(handle)?;
            let Described { prepared, schema } = statement.described.clone();
            let effect = prepared.columns().is_none().then(|| (prepared, statement.bindings()));
            Ok(Promised { engine: Arc::clone(&statement.engine), schema, effect })
        }
        Query::Metadata(command) => {
            let schema = metadata::schema(command)?;
            Ok(Promised { engine: Arc::clone(session.main()), schema, effect: None })
        }
    }
}

/// SHA-256 of a schema, as tickets carry it.
pub(crate) fn schema_digest(schema: &SchemaRef) -> Result<Bytes> {
    let bytes = schema_bytes(schema)?;
    Ok(Bytes::copy_from_slice(digest::digest(&digest::SHA256, &bytes).as_ref()))
}

/// GetFlightInfo: the schema, and one endpoint with a ticket. A statement that gives no rows runs here and has no endpoint:
/// nobody would wait for its stream, and a client that leaves it unread (as ADBC does) must not undo a SET.
pub(crate) async fn flight_info(
    shared: &Shared,
    session: &FlightSession,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo> {
    let command = command_bytes(&descriptor)?;
    let Promised { engine, schema, effect } = promised(session, &query(&command)?).await?;
    let mut info = FlightInfo::new().with_descriptor(descriptor);
    info.schema = schema_bytes(&schema)?;
    if let Some((prepared, bindings)) = effect {
        run_effects(&engine, &prepared, &bindings).await?;
        return Ok(info);
    }
    let body = TicketBody {
        login: session.principal.login.clone(),
        snapshot: engine.snapshot_version(),
        expires_ms: later_ms(shared.config.ticket_lifetime),
        id: Bytes::copy_from_slice(&random_id()?),
        schema: schema_digest(&schema)?,
        command,
    };
    Ok(info.with_endpoint(body.endpoint(&shared.seal)))
}

/// PollFlightInfo: planning is done when this returns and rows flow while they are made, so the first poll is the last.
pub(crate) async fn poll_info(
    shared: &Shared,
    session: &FlightSession,
    descriptor: FlightDescriptor,
) -> Result<PollInfo> {
    let info = flight_info(shared, session, descriptor).await?;
    let expires = info.endpoint.first().and_then(|endpoint| endpoint.expiration_time);
    Ok(PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time: expires })
}

/// GetSchema.
pub(crate) async fn schema(session: &FlightSession, descriptor: &FlightDescriptor) -> Result<SchemaResult> {
    let command = query_of(descriptor)?;
    let schema = match &command {
        // No engine session is needed to know it.
        Query::Metadata(MetadataCommand::SqlInfo(_)) => metadata::schema(&MetadataCommand::SqlInfo(Vec::new()))?,
        other => promised(session, other).await?.schema,
    };
    Ok(SchemaResult { schema: schema_bytes(&schema)? })
}

/// CancelFlightInfo: every ticket must be the caller's own; then none of them gives rows any more.
pub(crate) fn cancel(shared: &Shared, session: &FlightSession, info: &FlightInfo) -> Result<CancelFlightInfoResult> {
    let bodies: Vec<TicketBody> =
        info.endpoint.iter().map(|endpoint| ticket_of(shared, session, endpoint)).collect::<Result<_>>()?;
    if bodies.is_empty() {
        return Err(no_ticket());
    }
    for body in bodies {
        shared.running.cancel(body.name(), body.expires_ms);
    }
    Ok(CancelFlightInfoResult::new(CancelStatus::Cancelled))
}

/// RenewFlightEndpoint: the same ticket with a later expiry.
pub(crate) fn renew(shared: &Shared, session: &FlightSession, endpoint: &FlightEndpoint) -> Result<FlightEndpoint> {
    let mut body = ticket_of(shared, session, endpoint)?;
    body.expires_ms = later_ms(shared.config.ticket_lifetime);
    Ok(body.endpoint(&shared.seal).with_app_metadata(endpoint.app_metadata.clone()))
}

fn ticket_of(shared: &Shared, session: &FlightSession, endpoint: &FlightEndpoint) -> Result<TicketBody> {
    let ticket = endpoint.ticket.as_ref().ok_or_else(no_ticket)?;
    TicketBody::open(&shared.seal, ticket, &session.principal.login)
}

fn no_ticket() -> Error {
    Error::new(ErrorCode::ProtocolViolation, "the message holds no ticket")
}
