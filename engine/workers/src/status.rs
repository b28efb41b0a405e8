//! Errors between worker and gate: the closed code by its name, and what clients may read. Causes stay in the worker's log.

use querygate_types::{Error, ErrorCode};
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

/// Bytes of each text of an error.
const TEXT_BYTES_MAX: usize = 1_024;

/// A part's failure as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

/// What a worker answers when a part fails.
pub(crate) fn of_error(error: &Error) -> Status {
    let failure = Failure {
        code: format!("{:?}", error.code()),
        message: cut(error.message()),
        detail: error.detail().map(cut),
        hint: error.hint().map(cut),
    };
    match serde_json::to_vec(&failure) {
        Ok(details) => Status::with_details(Code::Aborted, "the part failed", details.into()),
        Err(_) => Status::internal("the part failed"),
    }
}

/// What a worker said of a part: its failure. `None`: it said nothing, and the connection or the worker failed.
pub(crate) fn to_error(status: &Status) -> Option<Error> {
    if status.code() != Code::Aborted {
        return None;
    }
    let failure: Failure = serde_json::from_slice(status.details()).ok()?;
    let Some(code) = ErrorCode::ALL.iter().find(|code| format!("{code:?}") == failure.code) else {
        return Some(Error::internal("a worker answered with an unknown code"));
    };
    if *code == ErrorCode::Internal {
        return Some(Error::internal("a worker failed: its log has the cause"));
    }
    let error = Error::new(*code, cut(&failure.message));
    let error = match failure.detail {
        Some(detail) => error.with_detail(cut(&detail)),
        None => error,
    };
    Some(match failure.hint {
        Some(hint) => error.with_hint(cut(&hint)),
        None => error,
    })
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_travel_with_their_codes_and_without_causes() {
        for code in ErrorCode::ALL {
            let error = Error::new(*code, "text").with_detail("detail").with_hint("hint").with_cause("hidden");
            let status = of_error(&error);
            assert!(!String::from_utf8_lossy(status.details()).contains("hidden"));
            let back = to_error(&status).unwrap();
            assert_eq!(back.code(), *code);
            if *code != ErrorCode::Internal {
                assert_eq!((back.message(), back.detail(), back.hint()), ("text", Some("detail"), Some("hint")));
            }
        }
    }

    #[test]
    fn what_is_no_answer_of_a_worker_is_none() {
        assert!(to_error(&Status::unavailable("gone")).is_none());
        assert!(to_error(&Status::with_details(Code::Aborted, "x", vec![1, 2].into())).is_none());
        let lie = br#"{"code":"NoSuchCode","message":"x","detail":null,"hint":null}"#.to_vec();
        let error = to_error(&Status::with_details(Code::Aborted, "x", lie.into())).unwrap();
        assert_eq!(error.code(), ErrorCode::Internal);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let long = "ü".repeat(TEXT_BYTES_MAX);
        assert!(cut(&long).len() <= TEXT_BYTES_MAX && long.starts_with(&cut(&long)));
    }
}
