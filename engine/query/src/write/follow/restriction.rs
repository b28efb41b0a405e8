//! What a delete is refused with that dependents forbid: one text, and beside it what its caller may know of them.

use super::RelatedTable;
use crate::write::check::NoRows;
use crate::write::target::Targeted;
use crate::write::values::rows::{Row, records};
use arrow::array::RecordBatch;
use querygate_metadata::model::DeleteBehavior;
use querygate_policy::rules::DeleteRule;
use querygate_types::vendor::{VendorCode, VendorFact};
use querygate_types::{Error, ErrorCode, Result};

/// What every delete is refused with that dependents forbid: that they restrict it, or that the principal may not do to them what it
/// asks for.
pub(super) fn referenced_still() -> Error {
    let text = "a row is still referenced by others";
    Error::new(ErrorCode::ForeignKeyViolation, text).with_vendor_code(VendorCode::DeleteRestricted)
}

/// As [`referenced_still`], with what refers to the record, for who reads some of that. How much it is hears who reads it all.
pub(super) fn restricted(targeted: &Targeted, child: &RelatedTable, field: &str, found: &RecordBatch) -> Result<Error> {
    let evaluator = targeted.following().evaluator(targeted.principal(), targeted.now_ms());
    let decision = evaluator.decide_read(&child.object.name);
    let Some(field) = child.object.field(field).filter(|field| !decision.hidden_fields().contains(&field.name)) else {
        return Ok(referenced_still());
    };
    let rows = records(child.table.fields(), found)?;
    let is_seen = |row: &Row| decision.is_allowed() && decision.row_filter().evaluate(row, &NoRows).unwrap_or(false);
    let seen = rows.iter().filter(|row| is_seen(row)).count();
    if seen == 0 {
        return Ok(referenced_still());
    }
    let count = (seen == rows.len()).then_some(seen);
    let rule = DeleteRule { object: &child.object, field, behavior: DeleteBehavior::Restrict };
    let (deleted, dependent) = (targeted.rules().object(), &child.object.name);
    let many = count.map(|count| format!("{count} ")).unwrap_or_default();
    let developers = format!(
        "Cannot delete {}: {many}dependent {dependent} record(s) reference it via {}. Delete or reassign them first, or set \
         deleteBehavior:'cascade' on {dependent}.{}.",
        deleted.name, field.name, field.name
    );
    let error = referenced_still()
        .with_vendor_message(rule.violation(deleted, count).message)
        .with_vendor_fact(VendorFact::DeveloperMessage, developers)
        .with_vendor_fact(VendorFact::DependentObject, dependent.as_str());
    Ok(match count {
        Some(count) => error.with_vendor_fact(VendorFact::DependentCount, count),
        None => error,
    })
}
