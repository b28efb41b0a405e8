//! ObjectStack's own words for what is wrong with a request: a closed list of codes with their HTTP statuses, and what is said
//! of single fields. Knows no door.

use serde_json::{Map, Value};

/// A code of ObjectStack's REST interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the codes are")]
pub enum VendorCode {
    InvalidFilter,
    InvalidSort,
    InvalidField,
    InvalidQuery,
    FilterTokenUnknown,
    FilterTokenUnresolved,
    /// A record that its fields or rules refuse; each fault is among the error's fields.
    ValidationFailed,
    /// A request that is wrong as a whole.
    ValidationError,
    MissingRequiredField,
    PermissionDenied,
    Forbidden,
    ExternalWriteForbidden,
    ObjectNotFound,
    ObjectApiDisabled,
    ObjectApiMethodNotAllowed,
    /// There is no such record, or none that the caller may see.
    RecordNotFound,
    UniqueViolation,
    /// What a unique violation is called where a hook runs into it.
    DuplicateRecord,
    DeleteRestricted,
    ConcurrentUpdate,
    /// The values of an update name another record than the one that it is of.
    UpdateIdMismatch,
    /// A hook that runs as the user asks for records, and there is no user.
    HookUnscopedDataAccess,
    BatchTooLarge,
    NotImplemented,
}

impl VendorCode {
    /// Every code, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::InvalidFilter,
        Self::InvalidSort,
        Self::InvalidField,
        Self::InvalidQuery,
        Self::FilterTokenUnknown,
        Self::FilterTokenUnresolved,
        Self::ValidationFailed,
        Self::ValidationError,
        Self::MissingRequiredField,
        Self::PermissionDenied,
        Self::Forbidden,
        Self::ExternalWriteForbidden,
        Self::ObjectNotFound,
        Self::ObjectApiDisabled,
        Self::ObjectApiMethodNotAllowed,
        Self::RecordNotFound,
        Self::UniqueViolation,
        Self::DuplicateRecord,
        Self::DeleteRestricted,
        Self::ConcurrentUpdate,
        Self::UpdateIdMismatch,
        Self::HookUnscopedDataAccess,
        Self::BatchTooLarge,
        Self::NotImplemented,
    ];

    /// The code as ObjectStack spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidFilter => "INVALID_FILTER",
            Self::InvalidSort => "INVALID_SORT",
            Self::InvalidField => "INVALID_FIELD",
            Self::InvalidQuery => "INVALID_QUERY",
            Self::FilterTokenUnknown => "FILTER_TOKEN_UNKNOWN",
            Self::FilterTokenUnresolved => "FILTER_TOKEN_UNRESOLVED",
            Self::ValidationFailed => "VALIDATION_FAILED",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::MissingRequiredField => "MISSING_REQUIRED_FIELD",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Forbidden => "FORBIDDEN",
            Self::ExternalWriteForbidden => "EXTERNAL_WRITE_FORBIDDEN",
            Self::ObjectNotFound => "OBJECT_NOT_FOUND",
            Self::ObjectApiDisabled => "OBJECT_API_DISABLED",
            Self::ObjectApiMethodNotAllowed => "OBJECT_API_METHOD_NOT_ALLOWED",
            Self::RecordNotFound => "RECORD_NOT_FOUND",
            Self::UniqueViolation => "UNIQUE_VIOLATION",
            Self::DuplicateRecord => "DUPLICATE_RECORD",
            Self::HookUnscopedDataAccess => "HOOK_UNSCOPED_DATA_ACCESS",
            Self::DeleteRestricted => "DELETE_RESTRICTED",
            Self::ConcurrentUpdate => "CONCURRENT_UPDATE",
            Self::UpdateIdMismatch => "UPDATE_ID_MISMATCH",
            Self::BatchTooLarge => "BATCH_TOO_LARGE",
            Self::NotImplemented => "NOT_IMPLEMENTED",
        }
    }

    /// The HTTP status that ObjectStack answers with it.
    #[must_use]
    pub const fn http(self) -> u16 {
        match self {
            Self::InvalidFilter
            | Self::InvalidSort
            | Self::InvalidField
            | Self::InvalidQuery
            | Self::FilterTokenUnknown
            | Self::FilterTokenUnresolved
            | Self::ValidationFailed
            | Self::ValidationError
            | Self::UpdateIdMismatch
            | Self::BatchTooLarge => 400,
            Self::PermissionDenied | Self::Forbidden | Self::ExternalWriteForbidden | Self::HookUnscopedDataAccess => {
                403
            }
            Self::ObjectNotFound | Self::ObjectApiDisabled | Self::RecordNotFound => 404,
            Self::ObjectApiMethodNotAllowed => 405,
            Self::UniqueViolation | Self::DuplicateRecord | Self::DeleteRestricted | Self::ConcurrentUpdate => 409,
            Self::MissingRequiredField => 422,
            Self::NotImplemented => 501,
        }
    }
}

/// An error's names in the metadata's own code, as an author wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raised {
    /// A word that clients compare.
    pub code: Option<String>,
    /// An HTTP status of an error.
    pub status: Option<u16>,
}

/// What is wrong with one field of a record or of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Name of the field; `_record` for a record as a whole.
    pub field: String,
    /// ObjectStack's code, as `required` or `max_length`.
    pub code: &'static str,
    /// Names the caller's own values only.
    pub message: String,
    /// The field's label, where the message says it.
    pub label: Option<String>,
    /// Further members, for clients that make their own texts: what was demanded, of which value, which options there are.
    pub facts: Map<String, Value>,
}

/// A member of ObjectStack's answers that says more of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VendorFact {
    /// The field that it is about.
    Field,
    /// What is said to developers.
    DeveloperMessage,
    /// The object whose records refer to one that is to be deleted.
    DependentObject,
    /// How many do.
    DependentCount,
}

impl VendorFact {
    /// Every one, for descriptions.
    pub const ALL: [Self; 4] = [Self::Field, Self::DeveloperMessage, Self::DependentObject, Self::DependentCount];

    /// The member as ObjectStack spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::DeveloperMessage => "developerMessage",
            Self::DependentObject => "dependentObject",
            Self::DependentCount => "dependentCount",
        }
    }
}

/// What ObjectStack says of an error beside its code, where the gate's own text is another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VendorWords {
    /// Takes the place of the message. Names nothing that the caller may not see.
    pub message: Option<String>,
    /// Further members of the answer.
    pub facts: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name() {
        let names: std::collections::HashSet<_> = VendorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), VendorCode::ALL.len());
        assert_eq!(VendorCode::ALL.len(), VendorCode::NotImplemented as usize + 1);
    }
}
