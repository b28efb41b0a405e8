//! DoAction: the closed list of actions. What is not on it is refused.

use crate::calls::info;
use crate::calls::options::{self, CloseSessionResult, SetSessionOptionsRequest};
use crate::command::{action, plain_action, substrait, unsupported};
use crate::door_state::DoorState;
use crate::messages::encode::schema_bytes;
use crate::messages::wire::parameter_schema;
use crate::sessions::session::{FlightSession, ending};
use crate::sessions::statement::describe;
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionEndTransactionRequest, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, Empty, FlightInfo, RenewFlightEndpointRequest, Result as ActionResult,
};
use bytes::Bytes;
use prost::Message;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

const CREATE_PREPARED: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";
const BEGIN: &str = "BeginTransaction";
const END: &str = "EndTransaction";
const CANCEL_QUERY: &str = "CancelQuery";
const CANCEL_INFO: &str = "CancelFlightInfo";
const RENEW: &str = "RenewFlightEndpoint";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// Actions with what they do.
const ACTIONS: [(&str, &str); 10] = [
    (
        CREATE_PREPARED,
        "Prepares a statement. ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult",
    ),
    (CLOSE_PREPARED, "Forgets a prepared statement. ActionClosePreparedStatementRequest, nothing"),
    (BEGIN, "Begins a transaction. ActionBeginTransactionRequest, ActionBeginTransactionResult"),
    (END, "Ends a transaction. ActionEndTransactionRequest, nothing"),
    (
        CANCEL_QUERY,
        "Cancels a query; CancelFlightInfo is the newer way. ActionCancelQueryRequest, ActionCancelQueryResult",
    ),
    (CANCEL_INFO, "Cancels the fetches of a FlightInfo. CancelFlightInfoRequest, CancelFlightInfoResult"),
    (RENEW, "Moves an endpoint's expiry. RenewFlightEndpointRequest, FlightEndpoint"),
    (SET_OPTIONS, "Sets session options. SetSessionOptionsRequest, SetSessionOptionsResult"),
    (GET_OPTIONS, "Reads session options. GetSessionOptionsRequest, GetSessionOptionsResult"),
    (CLOSE_SESSION, "Ends the session. CloseSessionRequest, CloseSessionResult"),
];

/// ListActions.
pub(crate) fn list() -> Vec<ActionType> {
    let action =
        |(name, about): &(&str, &str)| ActionType { r#type: (*name).to_owned(), description: (*about).to_owned() };
    ACTIONS.iter().map(action).collect()
}

/// Runs one action and gives its results.
pub(crate) async fn act(
    shared: &DoorState,
    session: &Arc<FlightSession>,
    request: Action,
) -> Result<Vec<ActionResult>> {
    let body = &request.body;
    match request.r#type.as_str() {
        CREATE_PREPARED => wrapped(&create_prepared(session, action(body)?).await?),
        CLOSE_PREPARED => {
            let request: ActionClosePreparedStatementRequest = action(body)?;
            session.close_statement(&request.prepared_statement_handle);
            Ok(Vec::new())
        }
        BEGIN => {
            let ActionBeginTransactionRequest {} = action(body)?;
            let id = session.begin(&shared.service).await?;
            wrapped(&ActionBeginTransactionResult { transaction_id: Bytes::copy_from_slice(&id) })
        }
        END => {
            let request: ActionEndTransactionRequest = action(body)?;
            session.end(&request.transaction_id, ending(request.action)?).await?;
            Ok(Vec::new())
        }
        CANCEL_QUERY => {
            let request: ActionCancelQueryRequest = action(body)?;
            let cancelled = info::cancel(shared, session, &plain_action::<FlightInfo>(&request.info)?)?;
            wrapped(&ActionCancelQueryResult { result: cancelled.status })
        }
        CANCEL_INFO => {
            let request: CancelFlightInfoRequest = plain_action(body)?;
            plain(&info::cancel(shared, session, &request.info.unwrap_or_default())?)
        }
        RENEW => {
            let request: RenewFlightEndpointRequest = plain_action(body)?;
            plain(&info::renew(shared, session, &request.endpoint.unwrap_or_default())?)
        }
        SET_OPTIONS => {
            let request: SetSessionOptionsRequest = plain_action(body)?;
            plain(&options::set(session, &shared.config.database, request).await)
        }
        GET_OPTIONS => {
            let Empty {} = plain_action(body)?;
            plain(&options::current(session, &shared.config.database))
        }
        CLOSE_SESSION => {
            let Empty {} = plain_action(body)?;
            shared.sessions.close(session.id).await;
            plain(&CloseSessionResult { status: 1 })
        }
        "CreatePreparedSubstraitPlan" => Err(substrait()),
        "BeginSavepoint" | "EndSavepoint" => {
            Err(unsupported("a savepoint by action").with_hint("SAVEPOINT and ROLLBACK TO work as statements."))
        }
        _ => Err(Error::new(ErrorCode::FeatureNotSupported, "this action is not supported")
            .with_hint("ListActions tells what is.")),
    }
}

async fn create_prepared(
    session: &FlightSession,
    request: ActionCreatePreparedStatementRequest,
) -> Result<ActionCreatePreparedStatementResult> {
    let engine = session.engine(request.transaction_id.as_deref())?;
    let described = describe(&engine, &request.query, &[]).await?;
    let (returns_rows, types) = (described.prepared.columns().is_some(), described.prepared.parameter_types().to_vec());
    let dataset_schema = if returns_rows { schema_bytes(&described.schema)? } else { Bytes::new() };
    let parameter_schema = if types.is_empty() { Bytes::new() } else { schema_bytes(&parameter_schema(&types))? };
    let handle = session.prepared(engine, described, &request.query)?;
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: Bytes::copy_from_slice(&handle),
        dataset_schema,
        parameter_schema,
    })
}

fn wrapped(message: &impl ProstMessageExt) -> Result<Vec<ActionResult>> {
    Ok(vec![ActionResult { body: message.as_any().encode_to_vec().into() }])
}

fn plain(message: &impl Message) -> Result<Vec<ActionResult>> {
    Ok(vec![ActionResult { body: message.encode_to_vec().into() }])
}
