//! Refusals of questions, with ObjectStack's codes. They name what the caller named, and nothing else.

use querygate_policy::write::Refusal;
use querygate_types::vendor::{FieldFault, VendorCode};
use querygate_types::{Error, ErrorCode};
use serde_json::Map;

/// The object is there and not to be read by the caller.
pub(super) fn denied() -> Error {
    Refusal::no_grant().into()
}

/// A field that the caller may not read stands where its values would show.
pub(super) fn guarded(fields: &[String], object: &str) -> Error {
    let fields = fields.join(", ");
    let message = format!("the query of '{object}' references field(s) not readable by the caller: {fields}");
    Error::new(ErrorCode::InsufficientPrivilege, message)
        .with_vendor_code(VendorCode::PermissionDenied)
        .with_vendor_message(format!(
            "[Security] Access denied: query on '{object}' references field(s) not readable by the caller: {fields}. \
             Filtering, sorting, grouping, or aggregating by a hidden field would leak its values (filter oracle) — remove \
             these predicates or grant field read access."
        ))
}

/// A name that is none of the object's fields, or no field that this can be asked of.
pub(super) fn field(code: VendorCode, name: &str, message: impl Into<String>) -> Error {
    let message = message.into();
    let fault = FieldFault {
        field: name.to_owned(),
        code: code.name(),
        message: message.clone(),
        label: None,
        facts: Map::new(),
    };
    Error::new(ErrorCode::UndefinedColumn, message).with_vendor_code(code).with_faults(vec![fault])
}

/// A question that is wrong as a whole.
pub(super) fn query(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, message).with_vendor_code(VendorCode::InvalidQuery)
}
