//! From the shared error to a gRPC status, in one place: the status code, the text, and the closed code as data.
//! Logs internal causes; shows none.

use prost::Message;
use querygate_types::code::{Audience, GrpcStatus};
use querygate_types::{Error, ErrorCode};
use std::collections::HashMap;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};

/// Trailer with the SQLSTATE.
pub(crate) const SQLSTATE_KEY: &str = "querygate-sqlstate";
/// Trailer with the name of the closed code.
pub(crate) const CODE_KEY: &str = "querygate-code";

/// `google.rpc.Status`, which clients find in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

fn grpc_code(status: GrpcStatus) -> Code {
    match status {
        GrpcStatus::Cancelled => Code::Cancelled,
        GrpcStatus::InvalidArgument => Code::InvalidArgument,
        GrpcStatus::DeadlineExceeded => Code::DeadlineExceeded,
        GrpcStatus::NotFound => Code::NotFound,
        GrpcStatus::AlreadyExists => Code::AlreadyExists,
        GrpcStatus::PermissionDenied => Code::PermissionDenied,
        GrpcStatus::ResourceExhausted => Code::ResourceExhausted,
        GrpcStatus::FailedPrecondition => Code::FailedPrecondition,
        GrpcStatus::OutOfRange => Code::OutOfRange,
        GrpcStatus::Unimplemented => Code::Unimplemented,
        GrpcStatus::Internal => Code::Internal,
        GrpcStatus::Unavailable => Code::Unavailable,
        GrpcStatus::Unauthenticated => Code::Unauthenticated,
    }
}

/// The status of an error. The text ends with the SQLSTATE, because most clients show nothing but the text.
pub(crate) fn status(error: &Error) -> Status {
    let code = error.code();
    crate::observe::failed(code.sqlstate());
    let (message, detail, hint, constraint) = match code.audience() {
        Audience::Client => {
            if let Some(cause) = error.cause() {
                tracing::debug!(sqlstate = code.sqlstate(), cause, "a call failed");
            }
            let owned = |text: Option<&str>| text.map(str::to_owned);
            (error.message().to_owned(), detail(error), owned(error.hint()), owned(error.constraint()))
        }
        Audience::Internal => {
            let incident = incident();
            tracing::error!(%incident, cause = error.cause().unwrap_or("unknown"), message = error.message(), "internal error");
            let hint = "The cause is in the server's log under this incident number.";
            ("internal error".to_owned(), Some(format!("Incident {incident}.")), Some(hint.to_owned()), None)
        }
    };
    let mut text = format!("{message} (SQLSTATE {})", code.sqlstate());
    for (label, more) in [("DETAIL", &detail), ("HINT", &hint)] {
        if let Some(more) = more {
            text.push_str(&format!("\n{label}:  {more}"));
        }
    }
    let grpc = grpc_code(code.grpc());
    let details = details(grpc, code, &text, [("detail", detail), ("hint", hint), ("constraint", constraint)]);
    Status::with_details_and_metadata(grpc, text, details.encode_to_vec().into(), trailers(code))
}

/// With the row of the client's that it is about, counted from 1.
fn detail(error: &Error) -> Option<String> {
    let row = error.row().map(|row| format!("It is about row {}.", row.saturating_add(1)));
    let sentences: Vec<String> = error.detail().map(str::to_owned).into_iter().chain(row).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn details(grpc: Code, code: ErrorCode, text: &str, parts: [(&str, Option<String>); 3]) -> RpcStatus {
    let mut metadata = HashMap::from([("sqlstate".to_owned(), code.sqlstate().to_owned())]);
    metadata.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))));
    let info = ErrorInfo { reason: format!("{code:?}"), domain: "querygate".to_owned(), metadata };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    RpcStatus { code: grpc as i32, message: text.to_owned(), details: vec![any] }
}

fn trailers(code: ErrorCode) -> MetadataMap {
    let mut trailers = MetadataMap::new();
    trailers.insert(SQLSTATE_KEY, AsciiMetadataValue::from_static(code.sqlstate()));
    if let Ok(name) = format!("{code:?}").parse() {
        trailers.insert(CODE_KEY, name);
    }
    trailers
}

/// The error that a gate's status stands for, as a client of it sees it.
pub(crate) fn error_of(status: &Status) -> Error {
    let named = status.metadata().get(CODE_KEY).and_then(|name| name.to_str().ok());
    let known = ErrorCode::ALL.iter().find(|code| named.is_some_and(|name| name == format!("{code:?}")));
    let Some(code) = known else {
        // Not a gate's own word: the connection, or another server.
        return Error::new(ErrorCode::SourceLost, "the connection to the server failed").with_detail(format!(
            "{}: {}",
            status.code().description(),
            status.message()
        ));
    };
    let told = RpcStatus::decode(status.details()).ok().and_then(|told| told.details.into_iter().next());
    let info = told.and_then(|any| ErrorInfo::decode(any.value.as_slice()).ok()).unwrap_or_default();
    let text = status.message();
    let message = text.split(" (SQLSTATE ").next().unwrap_or(text);
    let error = Error::new(*code, message);
    let error = match info.metadata.get("detail") {
        Some(detail) => error.with_detail(detail),
        None => error,
    };
    let error = match info.metadata.get("constraint") {
        Some(name) => error.with_constraint(name),
        None => error,
    };
    match info.metadata.get("hint") {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn incident() -> String {
    let id = crate::tickets::seal::random_id().unwrap_or_default();
    id.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status_and_carries_itself() {
        for code in ErrorCode::ALL {
            let status = status(&Error::new(*code, "what happened"));
            assert_eq!(status.code() as i32, code.grpc() as i32, "{code:?}");
            assert_eq!(status.metadata().get(SQLSTATE_KEY).unwrap(), code.sqlstate());
            assert_eq!(status.metadata().get(CODE_KEY).unwrap().to_str().unwrap(), format!("{code:?}"));
            let details = RpcStatus::decode(status.details()).unwrap();
            assert_eq!((details.code, details.message.as_str()), (code.grpc() as i32, status.message()));
            let info = ErrorInfo::decode(details.details[0].value.as_slice()).unwrap();
            assert_eq!((info.reason, info.metadata["sqlstate"].as_str()), (format!("{code:?}"), code.sqlstate()));
        }
    }

    #[test]
    fn a_client_reads_back_what_a_gate_wrote() {
        for code in ErrorCode::ALL.iter().filter(|code| code.audience() == Audience::Client) {
            let error = Error::new(*code, "what happened").with_detail("Where.").with_hint("What to do.");
            let error = error.with_constraint("rule");
            let read = error_of(&status(&error));
            assert_eq!((read.code(), read.message()), (*code, "what happened"));
            assert_eq!((read.detail(), read.hint()), (Some("Where."), Some("What to do.")));
            assert_eq!(read.constraint(), Some("rule"));
        }
        let lost = error_of(&Status::unavailable("connection reset"));
        assert_eq!((lost.code(), lost.detail().is_some()), (ErrorCode::SourceLost, true));
    }

    #[test]
    fn a_text_carries_detail_and_hint_and_no_internal_cause() {
        let error = Error::new(ErrorCode::UndefinedColumn, "column \"x\" does not exist")
            .with_detail("There is none.")
            .with_hint("Look.");
        assert_eq!(
            status(&error).message(),
            "column \"x\" does not exist (SQLSTATE 42703)\nDETAIL:  There is none.\nHINT:  Look."
        );
        let internal = status(&Error::internal("secret column salary"));
        let everything = format!("{internal:?} {}", String::from_utf8_lossy(internal.details()));
        assert!(internal.message().starts_with("internal error (SQLSTATE XX000)\nDETAIL:  Incident "));
        assert!(!everything.contains("salary"), "{everything}");
    }
}
