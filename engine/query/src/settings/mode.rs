//! Whether transactions may write, as settings say it. Only where the gate takes changes may they say so.

use querygate_types::{Error, ErrorCode, Result};

/// # Errors
/// 22023: a promise to write where nothing is written.
pub(super) fn admit(name: &str, value: &str, writes: bool) -> Result<()> {
    let is_mode = matches!(name, "default_transaction_read_only" | "transaction_read_only");
    if writes || !is_mode || value != "off" {
        return Ok(());
    }
    let text = format!("invalid value for parameter \"{name}\": \"off\"");
    Err(Error::new(ErrorCode::InvalidParameterValue, text)
        .with_hint("This gate reads; every transaction is read-only."))
}
