//! What a client learns before it fetches: a result's schema and the ticket for it. Runs only what gives no rows.

use crate::command::{MetadataCommand, Query, command_bytes, query, query_of};
use crate::door_state::DoorState;
use crate::messages::encode::schema_bytes;
use crate::metadata;
use crate::sessions::bind::Bindings;
use crate::sessions::session::{Bound, FlightSession, PreparedStatement};
use crate::sessions::statement::{Described, describe, parts, run_effects};
use crate::tickets::seal::{later_ms, random_id};
use crate::tickets::ticket::TicketBody;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{
    CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, SchemaResult, Ticket,
};
use bytes::Bytes;
use prost::Message as _;
use querygate_query_api::parts::{Parts, Split};
use querygate_query_api::service::{Prepared, Session};
use querygate_types::{Error, ErrorCode, Result};
use ring::digest;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::MetadataMap;

/// Header with which one call names the number of endpoints it wants.
pub(crate) const ENDPOINTS_HEADER: &str = "querygate-endpoints";
/// Endpoints that a client may ask for.
const ENDPOINTS_MAX: usize = 64;

/// How long tickets are renewed beyond their first expiry where a source keeps something for them.
const KEPT_LONGER: Duration = Duration::from_secs(3_600);

/// Into how many endpoints the call wants its result divided, else what the session wants, else the door's own choice.
pub(crate) fn split(shared: &DoorState, metadata: &MetadataMap, session: &FlightSession) -> Result<Split> {
    let asked = match metadata.get(ENDPOINTS_HEADER) {
        Some(asked) => Some(asked.to_str().ok().and_then(endpoints).ok_or_else(|| {
            Error::new(ErrorCode::InvalidParameterValue, "this number of endpoints is not served")
                .with_hint(format!("Ask for 1 to {ENDPOINTS_MAX}."))
        })?),
        None => session.endpoints(),
    };
    Ok(asked.map_or(Split::UpTo(shared.config.endpoint_max), Split::Exactly))
}

/// A number of endpoints as a client writes it.
pub(crate) fn endpoints(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| (1..=ENDPOINTS_MAX).contains(number))
}

/// What a command will give.
struct Promised {
    /// The engine session it runs in.
    engine: Arc<dyn Session>,
    schema: SchemaRef,
    /// The statement, and its values; none for a command of the door's own.
    statement: Option<(Arc<dyn Prepared>, Arc<Bindings>)>,
    /// The command that any session of the user may run in place of the one that was given, which names what this session holds.
    portable: Option<Bytes>,
}

/// The text of a prepared statement as a command: of one without values, outside of a transaction.
fn portable(session: &FlightSession, statement: &PreparedStatement, bindings: &Bindings) -> Option<Bytes> {
    let is_free = bindings.columns().is_empty() && Arc::ptr_eq(&statement.engine, session.main());
    let command = || CommandStatementQuery { query: statement.sql.to_string(), transaction_id: None };
    is_free.then(|| command().as_any().encode_to_vec().into())
}

async fn promised(session: &FlightSession, command: &Query) -> Result<Promised> {
    match command {
        Query::Statement { sql, transaction } => {
            let engine = session.engine(transaction.as_deref())?;
            let Described { prepared, schema } = describe(&engine, sql, &[]).await?;
            let statement = Some((prepared, Arc::new(Bindings::none())));
            Ok(Promised { engine, schema, statement, portable: None })
        }
        Query::Prepared { handle } => {
            let statement = session.statement(handle)?;
            let Bound { described: Described { prepared, schema }, bindings } = statement.next();
            let (engine, portable) = (Arc::clone(&statement.engine), portable(session, &statement, &bindings));
            Ok(Promised { engine, schema, statement: Some((prepared, bindings)), portable })
        }
        Query::Metadata(command) => {
            let schema = metadata::schema(command)?;
            Ok(Promised { engine: Arc::clone(session.main()), schema, statement: None, portable: None })
        }
    }
}

/// SHA-256 of a schema, as tickets carry it.
pub(crate) fn schema_digest(schema: &SchemaRef) -> Result<Bytes> {
    let bytes = schema_bytes(schema)?;
    Ok(Bytes::copy_from_slice(digest::digest(&digest::SHA256, &bytes).as_ref()))
}

/// GetFlightInfo: the schema, and an endpoint with a ticket for each part of the result. A statement that gives no rows runs
/// here and has no endpoint: nobody would wait for its stream, and a client that leaves it unread (as ADBC does) must not
/// undo a SET.
pub(crate) async fn flight_info(
    shared: &DoorState,
    session: &FlightSession,
    descriptor: FlightDescriptor,
    split: Split,
) -> Result<FlightInfo> {
    let command = command_bytes(&descriptor)?;
    let Promised { engine, schema, statement, portable } = promised(session, &query(&command)?).await?;
    let mut info = FlightInfo::new().with_descriptor(descriptor);
    info.schema = schema_bytes(&schema)?;
    // What is not needed any more makes room for what may be kept now.
    shared.running.sweep();
    let Parts { parts, rows, kept } = match statement {
        Some((prepared, bindings)) if prepared.columns().is_none() => {
            run_effects(&engine, &prepared, &bindings).await?;
            return Ok(info);
        }
        Some((prepared, bindings)) => parts(&engine, &prepared, &bindings, split).await,
        None => Parts::default(),
    };
    let lifetime = shared.config.ticket_lifetime;
    // What a source keeps for a flight is not kept for days by who renews without fetching.
    let renewed_max = if kept.is_some() { KEPT_LONGER } else { shared.config.token_lifetime };
    let mut body = TicketBody {
        login: session.principal.login.clone(),
        snapshot: engine.snapshot_version(),
        expires_ms: later_ms(lifetime),
        last_ms: later_ms(lifetime.saturating_add(renewed_max)),
        id: Bytes::copy_from_slice(&random_id()?),
        schema: schema_digest(&schema)?,
        command: portable.unwrap_or(command),
        part: Bytes::new(),
        place: 0,
        places: u32::try_from(parts.len().max(1)).map_err(Error::internal)?,
        rows,
    };
    if let Some(rows) = rows.and_then(|rows| i64::try_from(rows).ok()) {
        info.total_records = rows;
    }
    if parts.is_empty() {
        return Ok(info.with_endpoint(body.endpoint(&shared.seal)));
    }
    if let Some(kept) = kept {
        shared.running.keep(body.name(), body.expires_ms, kept);
    }
    for (place, part) in (0..).zip(&parts) {
        body.place = place;
        body.part = Bytes::copy_from_slice(part.name());
        info = info.with_endpoint(body.endpoint(&shared.seal));
    }
    Ok(info)
}

/// PollFlightInfo. Of a command: planning is done when this returns and rows flow while they are made, so the first poll is
/// the last. Of a ticket: how much of its flight was fetched.
pub(crate) async fn poll_info(
    shared: &DoorState,
    session: &FlightSession,
    descriptor: FlightDescriptor,
    split: Split,
) -> Result<PollInfo> {
    let command = command_bytes(&descriptor)?;
    if TicketBody::is_ticket(&command) {
        let body = TicketBody::open(&shared.seal, &Ticket::new(command), &session.principal.login)?;
        let progress = shared.running.progress(&body);
        let over = progress.is_some_and(|done| done >= 1.0);
        let expiration_time = Some(body.expiration());
        return Ok(PollInfo {
            info: None,
            flight_descriptor: (!over).then_some(descriptor),
            progress,
            expiration_time,
        });
    }
    let info = flight_info(shared, session, descriptor, split).await?;
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
pub(crate) fn cancel(shared: &DoorState, session: &FlightSession, info: &FlightInfo) -> Result<CancelFlightInfoResult> {
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

/// RenewFlightEndpoint: the same ticket with a later expiry, as far as its flight may last.
pub(crate) fn renew(shared: &DoorState, session: &FlightSession, endpoint: &FlightEndpoint) -> Result<FlightEndpoint> {
    let mut body = ticket_of(shared, session, endpoint)?;
    body.renew(shared.config.ticket_lifetime);
    shared.running.keep_longer(&body.name(), body.expires_ms);
    Ok(body.endpoint(&shared.seal).with_app_metadata(endpoint.app_metadata.clone()))
}

fn ticket_of(shared: &DoorState, session: &FlightSession, endpoint: &FlightEndpoint) -> Result<TicketBody> {
    let ticket = endpoint.ticket.as_ref().ok_or_else(no_ticket)?;
    TicketBody::open(&shared.seal, ticket, &session.principal.login)
}

fn no_ticket() -> Error {
    Error::new(ErrorCode::ProtocolViolation, "the message holds no ticket")
}
