//! The two idle timeouts of a session, read from its settings. Knows no socket.

use crate::report::Report;
use querygate_query_api::service::{Resting, Session, TransactionStatus};
use querygate_types::ErrorCode;
use std::time::Duration;

/// Where the timeouts are known to be off: equal settings have equal ones.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    off: Option<(TransactionStatus, u64)>,
}

impl Idle {
    /// As [`idle_timeout`], which is asked where that is not known.
    pub(crate) fn timeout(&mut self, session: &dyn Session, resting: &Resting) -> Option<(Duration, Report)> {
        let known = resting.settings.map(|settings| (resting.status, settings));
        if known.is_some() && self.off == known {
            return None;
        }
        let timeout = idle_timeout(session, resting.status);
        self.off = known.filter(|_| timeout.is_none());
        timeout
    }
}

/// How long the session may now wait for a message, and what it is told afterwards. `None`: for ever.
fn idle_timeout(session: &dyn Session, status: TransactionStatus) -> Option<(Duration, Report)> {
    let (setting, code, message) = match status {
        TransactionStatus::Idle => (
            "idle_session_timeout",
            ErrorCode::IdleSessionTimeout,
            "terminating connection due to idle-session timeout",
        ),
        TransactionStatus::InTransaction | TransactionStatus::Failed => (
            "idle_in_transaction_session_timeout",
            ErrorCode::IdleInTransactionTimeout,
            "terminating connection due to idle-in-transaction timeout",
        ),
    };
    let timeout = milliseconds(&session.setting(setting)?)?;
    Some((timeout, Report::fatal(code, message)))
}

/// Reads a PostgreSQL time setting (`0`, `5s`, `1min`, plain milliseconds). `None` for off.
fn milliseconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    let unit_at = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (count, unit) = value.split_at(unit_at);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let milliseconds = count.parse::<u64>().ok()?.checked_mul(factor)?;
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_settings_are_read_with_their_unit() {
        let check = |value: &str, expected: Option<u64>| {
            assert_eq!(milliseconds(value), expected.map(Duration::from_millis), "{value}");
        };
        check("0", None);
        check("1500", Some(1500));
        check("5s", Some(5_000));
        check("2min", Some(120_000));
        check("1 h", Some(3_600_000));
        check("soon", None);
    }
}
