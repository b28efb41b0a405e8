//! What is not done where a source takes new rows and nothing else: no row is found, locked or looked at there.

use crate::write::check::is_related;
use crate::write::follow::Following;
use crate::write::intent::{RowSource, WriteIntent};
use querygate_catalog::write::{WriteTarget, unchangeable};
use querygate_policy::rules::Mechanism;
use querygate_policy::write::{WriteOperation, WritePermit};
use querygate_types::{Error, Result};

/// The statements that such a table takes.
const TAKEN: &str = "New rows are stored by INSERT and by COPY FROM.";

/// Refuses a statement that is about rows which are there.
///
/// # Errors
/// 0A000, with the word for what is not done.
pub(super) fn refuse_stored(intent: &WriteIntent) -> Result<()> {
    let what = match (intent.operation(), intent.rows()) {
        (_, RowSource::Merged(_)) => "MERGE",
        (WriteOperation::Insert, _) if intent.on_conflict().is_some() => "ON CONFLICT",
        (WriteOperation::Insert, _) => return Ok(()),
        (WriteOperation::Update, _) => "UPDATE",
        (WriteOperation::Delete, _) if intent.truncates() => "TRUNCATE",
        (WriteOperation::Delete, _) => "DELETE",
    };
    Err(refused(what))
}

/// The refusal of a statement by its word.
pub(crate) fn refused(what: &str) -> Error {
    unchangeable(&format!("{what} is not supported, its source takes new rows only")).with_hint(TAKEN)
}

/// Refuses new rows that can only be judged beside others of their source.
///
/// # Errors
/// 0A000: a rule of the metadata asks for other rows. The reason is for operators.
pub(super) fn refuse_read(
    intent: &WriteIntent,
    table: &WriteTarget,
    permit: &WritePermit,
    following: &Following,
) -> Result<()> {
    let mechanisms = following.mechanisms(permit);
    let mechanisms = mechanisms.ok_or_else(|| Error::internal("an object without rules was to be changed"))?;
    for mechanism in mechanisms {
        let reason = match mechanism {
            Mechanism::Unique(group) if group.organization.is_none() && table.keeps_unique(&group.fields) => continue,
            Mechanism::Unique(group) => format!("nothing keeps the values of {} unique", group.fields.join(", ")),
            Mechanism::Autonumber(field) => format!("nothing keeps the numbers of {} apart", field.name),
            Mechanism::RollUp => "a roll-up of it would have to be updated".to_owned(),
            Mechanism::Referred(field) => format!("a validation reads the record that {} refers to", field.name),
            Mechanism::Master => "its master cannot be locked".to_owned(),
            Mechanism::Check(filter) if is_related(filter) => "a CHECK asks for rows of other tables".to_owned(),
            Mechanism::Check(_)
            | Mechanism::Hook
            | Mechanism::Fault(_)
            | Mechanism::Validation
            | Mechanism::Contract(_)
            | Mechanism::Reference(_)
            | Mechanism::SameDefault(_)
            | Mechanism::OwnDefault(_)
            | Mechanism::Expression(_)
            | Mechanism::RequiredWhen(_)
            | Mechanism::OptionWhen(_)
            | Mechanism::ReadonlyWhen(_)
            | Mechanism::Mask(_)
            | Mechanism::Owner
            | Mechanism::Stamp(_) => continue,
        };
        return Err(super::closed(&format!("its source takes new rows only, and {reason}")));
    }
    if intent.record().is_some() && table.named_by().is_empty() {
        return Err(refused("a record without a key"));
    }
    if intent.returning().is_some() && is_related(intent.object().decision.row_filter()) {
        return Err(refused("RETURNING where rows of other tables decide which are read"));
    }
    Ok(())
}
