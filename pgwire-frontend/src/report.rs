//! What an ErrorResponse or NoticeResponse says, and the one way from the shared error to it. Logs internal causes; shows none.

use crate::wire::{FrameError, Writer};
use querygate_query_api::outcome::Notice;
use querygate_types::code::Audience;
use querygate_types::{Error, ErrorCode};
use std::borrow::Cow;

/// PostgreSQL's severity of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The statement failed; the session goes on.
    Error,
    /// The connection ends.
    Fatal,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// An ErrorResponse. Small where it is passed on: a result that is none costs no more for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    parts: Box<Parts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    severity: Severity,
    sqlstate: &'static str,
    message: Cow<'static, str>,
    detail: Option<String>,
    hint: Option<String>,
    /// Where it happened, in the client's own words.
    context: Option<String>,
    /// Table and column that it is about, and name of the rule that was violated.
    relation: Option<String>,
    field: Option<String>,
    constraint: Option<String>,
    /// In characters of the client's text, from 1.
    position: Option<u32>,
}

impl Report {
    pub(crate) fn error(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            parts: Box::new(Parts {
                severity: Severity::Error,
                sqlstate: code.sqlstate(),
                message: message.into(),
                detail: None,
                hint: None,
                context: None,
                relation: None,
                field: None,
                constraint: None,
                position: None,
            }),
        }
    }

    pub(crate) fn fatal(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::error(code, message).into_fatal()
    }

    pub(crate) fn into_fatal(mut self) -> Self {
        self.parts.severity = Severity::Fatal;
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.parts.detail = Some(detail.into());
        self
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.parts.hint = Some(hint.into());
        self
    }

    pub(crate) const fn sqlstate(&self) -> &'static str {
        self.parts.sqlstate
    }

    pub(crate) fn protocol(message: impl Into<Cow<'static, str>>) -> Self {
        Self::error(ErrorCode::ProtocolViolation, message)
    }

    pub(crate) fn canceled() -> Self {
        Self::error(ErrorCode::QueryCanceled, "canceling statement due to user request")
    }

    pub(crate) fn shutdown() -> Self {
        Self::fatal(ErrorCode::AdminShutdown, "terminating connection due to administrator command")
    }

    pub(crate) fn panicked() -> Self {
        Self::from(Error::internal("a task of this connection panicked")).into_fatal()
    }

    /// Moves the position from a statement to the text it was cut out of; `None` when the place is not known.
    pub(crate) fn shifted(mut self, by_characters: Option<u32>) -> Self {
        self.parts.position = self.parts.position.zip(by_characters).map(|(position, by)| position.saturating_add(by));
        self
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Parts { severity, sqlstate, message, detail, hint, context, relation, field: column, constraint, position } =
            &*self.parts;
        let mark = out.open(b'E');
        field(out, b'S', severity.name());
        field(out, b'V', severity.name());
        field(out, b'C', sqlstate);
        field(out, b'M', message);
        if let Some(detail) = detail {
            field(out, b'D', detail);
        }
        if let Some(hint) = hint {
            field(out, b'H', hint);
        }
        if let Some(context) = context {
            field(out, b'W', context);
        }
        if let Some(position) = position {
            field(out, b'P', &position.to_string());
        }
        if let Some(relation) = relation {
            field(out, b's', "public");
            field(out, b't', relation);
        }
        if let Some(column) = column {
            field(out, b'c', column);
        }
        if let Some(constraint) = constraint {
            field(out, b'n', constraint);
        }
        out.byte(0);
        out.close(mark);
    }
}

fn field(out: &mut Vec<u8>, code: u8, value: &str) {
    out.byte(code);
    out.cstr(value);
}

/// Writes a NoticeResponse.
pub(crate) fn write_notice(notice: &Notice, out: &mut Vec<u8>) {
    let mark = out.open(b'N');
    field(out, b'S', notice.severity);
    field(out, b'V', notice.severity);
    field(out, b'C', &notice.sqlstate);
    field(out, b'M', &notice.message);
    if let Some(hint) = &notice.hint {
        field(out, b'H', hint);
    }
    out.byte(0);
    out.close(mark);
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        match error.code().audience() {
            Audience::Client => {
                if let Some(cause) = error.cause() {
                    tracing::debug!(sqlstate = error.code().sqlstate(), cause, "statement failed");
                }
                let mut report = Self::error(error.code(), error.message().to_owned());
                report.parts.detail = error.detail().map(str::to_owned);
                report.parts.hint = error.hint().map(str::to_owned);
                report.parts.context = error.context().map(str::to_owned);
                report.parts.constraint = error.constraint().map(str::to_owned);
                report.parts.relation = error.relation().map(str::to_owned);
                report.parts.field = error.field().map(str::to_owned);
                report.parts.position = error.position();
                report
            }
            Audience::Internal => {
                let incident = incident_id();
                let cause = error.cause().unwrap_or("unknown");
                tracing::error!(%incident, cause, message = error.message(), "internal error");
                Self::error(ErrorCode::Internal, "internal error")
                    .with_detail(format!("Incident {incident}."))
                    .with_hint("The cause is in the server's log under this incident number.")
            }
        }
    }
}

fn incident_id() -> String {
    let id = crate::random::bytes::<4>().map_or(0, u32::from_be_bytes);
    format!("{id:08x}")
}

impl From<FrameError> for Report {
    fn from(error: FrameError) -> Self {
        let message: Cow<'static, str> = match error {
            FrameError::UnknownType(tag) => format!("invalid frontend message type {tag}").into(),
            FrameError::Unexpected(tag) => {
                format!("expected an authentication response, got message type {tag}").into()
            }
            FrameError::Length => "invalid message length".into(),
            FrameError::Body => "invalid message format".into(),
        };
        Self::protocol(message).into_fatal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_shows_an_incident_and_no_cause() {
        let report = Report::from(Error::internal("secret column salary"));
        let mut out = Vec::new();
        report.write(&mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains("CXX000") && text.contains("DIncident "), "{text}");
        assert!(!text.contains("salary"), "{text}");
    }

    #[test]
    fn a_client_error_carries_every_field() {
        let error = Error::new(ErrorCode::UndefinedColumn, "column \"x\" does not exist")
            .with_hint("Look at the columns.")
            .with_detail("There is none.")
            .with_context("COPY t, line 2")
            .with_constraint("rule")
            .with_position(8);
        let mut out = Vec::new();
        Report::from(error).write(&mut out);
        assert_eq!(
            &out[5..],
            b"SERROR\0VERROR\0C42703\0Mcolumn \"x\" does not exist\0DThere is none.\0HLook at the columns.\0WCOPY t, line 2\0P8\0nrule\0\0"
        );
    }
}
