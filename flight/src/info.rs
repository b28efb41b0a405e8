//! What a client learns before it fetches: a result's schema and the ticket for it. Runs no statement.

use crate::command::{MetadataCommand, Query, command_bytes, query, query_of};
use crate::encode::schema_bytes;
use crate::metadata;
use crate::seal::{later_ms, random_id};
use crate::service::Shared;
use crate::session::FlightSession;
use crate::statement::describe;
use crate::ticket::TicketBody;
use arrow::datatypes::SchemaRef;
use arrow_flight::{
    CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, SchemaResult,
};
use bytes::Bytes;
use querygate_query_api::Session;
use querygate_types::{Error, ErrorCode, Result};
use ring::digest;
use std::sync::Arc;

/// The engine session that a command runs in, and the schema it promises.
async fn promised(session: &FlightSession, command: &Query) -> Result<(Arc<dyn Session>, SchemaRef)> {
    match command {
        Query::Statement { sql, transaction } => {
            let engine = session.engine(transaction.as_deref())?;
            let schema = describe(&engine, sql, &[]).await?.schema;
            Ok((engine, schema))
        }
        Query::Prepared { handle } => {
            let statement = session.statement(handle)?;
            Ok((Arc::clone(&statement.engine), Arc::clone(&statement.described.schema)))
        }
        Query::Metadata(command) => Ok((Arc::clone(session.main()), metadata::schema(command)?)),
    }
}

/// SHA-256 of a schema, as tickets carry it.
pub(crate) fn schema_digest(schema: &SchemaRef) -> Result<Bytes> {
    let bytes = schema_bytes(schema)?;
    Ok(Bytes::copy_from_slice(digest::digest(&digest::SHA256, &bytes).as_ref()))
}

/// GetFlightInfo: the schema, and one endpoint with a ticket.
pub(crate) async fn flight_info(
    shared: &Shared,
    session: &FlightSession,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo> {
    let command = command_bytes(&descriptor)?;
    let (engine, schema) = promised(session, &query(&command)?).await?;
    let body = TicketBody {
        login: session.principal.login.clone(),
        snapshot: engine.snapshot_version(),
        expires_ms: later_ms(shared.config.ticket_lifetime),
        id: Bytes::copy_from_slice(&random_id()?),
        schema: schema_digest(&schema)?,
        command,
    };
    let mut info = FlightInfo::new().with_descriptor(descriptor).with_endpoint(body.endpoint(&shared.seal));
    info.schema = schema_bytes(&schema)?;
    Ok(info)
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
        other => promised(session, other).await?.1,
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
