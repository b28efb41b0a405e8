//! How many columns a result may have.

use crate::report::Report;
use querygate_query_api::outcome::Rows;
use querygate_types::{ErrorCode, limits};

/// Refuses what PostgreSQL refuses: a target list that is too long.
pub(crate) fn check_width(rows: &Rows) -> Result<(), Report> {
    if rows.columns.len() > limits::RESULT_COLUMNS_MAX {
        let message = format!("target lists can have at most {} entries", limits::RESULT_COLUMNS_MAX);
        return Err(Report::error(ErrorCode::TooManyColumns, message));
    }
    Ok(())
}
