//! Codes have states and statuses of their own, and say whether trying again can help.

use super::*;

#[test]
fn every_code_has_a_five_character_sqlstate_and_a_real_http_status() {
    for code in ErrorCode::ALL {
        assert_eq!(code.sqlstate().len(), 5, "{code:?}");
        assert!((400..=599).contains(&code.http()), "{code:?}");
    }
}

#[test]
fn a_change_is_tried_again_only_where_it_was_surely_undone() {
    let retry = |state: &str| ErrorCode::ALL.iter().find(|code| code.sqlstate() == state).map(|code| code.retry());
    for undone in ["40001", "40P01", "55P03"] {
        assert_eq!(retry(undone), Some(RetryClass::Later), "{undone}");
    }
    for known_or_unsure in ["08007", "22P04", "23502", "23503", "23505", "23514", "40003", "428C9", "P0001", "38000"] {
        assert_eq!(retry(known_or_unsure), Some(RetryClass::Never), "{known_or_unsure}");
    }
}

#[test]
fn what_is_too_large_is_not_tried_again() {
    for code in [ErrorCode::ProgramLimitExceeded, ErrorCode::TooManyColumns] {
        assert_eq!((code.http(), code.retry()), (413, RetryClass::Never), "{code:?}");
    }
    for code in [ErrorCode::TooManyQueries, ErrorCode::TooManyConnections, ErrorCode::OutOfMemory] {
        assert_eq!((code.http(), code.retry()), (429, RetryClass::Later), "{code:?}");
    }
}

#[test]
fn all_lists_each_code_once() {
    let unique: std::collections::HashSet<_> = ErrorCode::ALL.iter().collect();
    assert_eq!(unique.len(), ErrorCode::ALL.len());
    assert_eq!(ErrorCode::ALL.len(), ErrorCode::Internal as usize + 1);
}
