//! How a source's refusal of a change is told: by its kind alone. The names of constraints and the values in them are those of rows that the writer may not see.

use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode};

/// A rule of the source that a change broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A row of equal key is there.
    Unique,
    /// NULL, or nothing, for a column that has none.
    NotNull,
    /// A row refers to one that is not there.
    ForeignKey,
    /// A check, an exclusion, a view's check option, or what a trigger of the source says.
    Check,
    /// A value for a column that the source itself computes.
    Generated,
    /// Somebody else changed the rows since they were read.
    Serialization,
    /// It waited for others that waited for it.
    Deadlock,
    /// Somebody else holds a lock on the rows, and nobody was to wait.
    Locked,
    /// The value is none of the column's type, or would be stored as another one.
    Value,
}

impl Violation {
    /// The error of this kind. Its text names no value, constraint, column or table.
    #[must_use]
    pub fn error(self) -> Error {
        let (code, text) = match self {
            Self::Unique => (ErrorCode::UniqueViolation, "duplicate key value violates a unique constraint"),
            Self::NotNull => (ErrorCode::NotNullViolation, "null value violates a not-null constraint"),
            Self::ForeignKey => (ErrorCode::ForeignKeyViolation, "change violates a foreign key constraint"),
            Self::Check => (ErrorCode::CheckViolation, "row violates a check constraint"),
            Self::Generated => (ErrorCode::GeneratedAlways, "cannot store a value in a generated column"),
            Self::Serialization => {
                (ErrorCode::SerializationFailure, "could not serialize access due to concurrent update")
            }
            Self::Deadlock => (ErrorCode::DeadlockDetected, "deadlock detected"),
            Self::Locked => (ErrorCode::LockNotAvailable, "could not obtain lock on row"),
            Self::Value => (ErrorCode::DataException, "value cannot be stored as it is"),
        };
        let error = Error::new(code, text);
        match self {
            Self::Unique => error.with_vendor_code(VendorCode::UniqueViolation),
            Self::NotNull | Self::Check | Self::Value => error.with_vendor_code(VendorCode::ValidationFailed),
            Self::Serialization => error.with_vendor_code(VendorCode::ConcurrentUpdate),
            Self::ForeignKey | Self::Generated | Self::Deadlock | Self::Locked => error,
        }
    }
}
