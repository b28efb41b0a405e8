//! Why a write is refused: the vendor's codes, the reasons that no record can change, and the errors that clients get.

use querygate_metadata::model::{ObjectOperation, WriteBarrier};
use querygate_types::vendor::{VendorCode, VendorFact};
use querygate_types::{Error, ErrorCode};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WriteOperation {
    Insert,
    Update,
    Delete,
}

impl WriteOperation {
    pub(super) const fn right(self) -> ObjectOperation {
        match self {
            Self::Insert => ObjectOperation::Create,
            Self::Update => ObjectOperation::Update,
            Self::Delete => ObjectOperation::Delete,
        }
    }

    /// Its name among `enable.apiMethods`.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Insert => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The vendor's code of a refused write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalCode {
    /// 403: grants, fields, row policies, ownership.
    PermissionDenied,
    /// 403: the org-wide default's gate.
    Forbidden,
    /// 403: a table of somebody else that is not opened for writes.
    ExternalWriteForbidden,
    /// 404: the object is not served to clients.
    ApiDisabled,
    /// 405: the object does not take this operation from clients.
    ApiMethodNotAllowed,
    /// 409: a dependent record restricts the delete.
    DeleteRestricted,
    /// 400: no such field.
    InvalidField,
    /// 400: a field that is computed.
    ComputedField,
    /// 400: a masked value written back.
    ValidationError,
    /// 501: what the object's metadata demands of a write is not done here.
    NotSupported,
}

impl RefusalCode {
    /// The code as the vendor spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Forbidden => "FORBIDDEN",
            Self::ExternalWriteForbidden => "EXTERNAL_WRITE_FORBIDDEN",
            Self::ApiDisabled => "OBJECT_API_DISABLED",
            Self::ApiMethodNotAllowed => "OBJECT_API_METHOD_NOT_ALLOWED",
            Self::DeleteRestricted => "DELETE_RESTRICTED",
            Self::InvalidField | Self::ComputedField => "INVALID_FIELD",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::NotSupported => "NOT_IMPLEMENTED",
        }
    }

    /// The code as doors of ObjectStack's interface say it.
    #[must_use]
    pub const fn vendor(self) -> VendorCode {
        match self {
            Self::PermissionDenied => VendorCode::PermissionDenied,
            Self::Forbidden => VendorCode::Forbidden,
            Self::ExternalWriteForbidden => VendorCode::ExternalWriteForbidden,
            Self::ApiDisabled => VendorCode::ObjectApiDisabled,
            Self::ApiMethodNotAllowed => VendorCode::ObjectApiMethodNotAllowed,
            Self::DeleteRestricted => VendorCode::DeleteRestricted,
            Self::InvalidField | Self::ComputedField => VendorCode::InvalidField,
            Self::ValidationError => VendorCode::ValidationError,
            Self::NotSupported => VendorCode::NotImplemented,
        }
    }

    /// The error that a client gets.
    #[must_use]
    pub const fn error(self) -> ErrorCode {
        match self {
            Self::PermissionDenied | Self::Forbidden | Self::ExternalWriteForbidden => ErrorCode::InsufficientPrivilege,
            Self::ApiDisabled => ErrorCode::UndefinedTable,
            Self::ApiMethodNotAllowed => ErrorCode::ObjectNotInPrerequisiteState,
            Self::DeleteRestricted => ErrorCode::ForeignKeyViolation,
            Self::InvalidField => ErrorCode::UndefinedColumn,
            Self::ComputedField => ErrorCode::GeneratedAlways,
            Self::ValidationError => ErrorCode::CheckViolation,
            Self::NotSupported => ErrorCode::FeatureNotSupported,
        }
    }
}

/// A refused write. The texts name no policy, no hidden field and no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
    /// As ObjectStack says it, where that is another text.
    pub vendor: Option<String>,
    /// The name that is no field to be written.
    pub field: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), vendor: None, field: None }
    }

    pub(super) fn says(self, vendor: impl Into<String>) -> Self {
        Self { vendor: Some(vendor.into()), ..self }
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(RefusalCode::PermissionDenied, message)
    }

    /// Nothing that the principal holds allows it.
    #[must_use]
    pub fn no_grant() -> Self {
        Self::denied("you do not have permission to perform this action")
            .says("You do not have permission to perform this action. Contact your administrator if you need access.")
    }

    /// The record is another's.
    #[must_use]
    pub fn others_record() -> Self {
        Self::new(RefusalCode::Forbidden, "you do not have access to change or delete this record").says(
            "You do not have access to change or delete this record. Contact the person who owns it, or your \
             administrator, if you need to make changes.",
        )
    }

    /// The rules do not let the principal store such a record.
    #[must_use]
    pub fn outside() -> Self {
        Self::denied("you are not allowed to save this record with the values you entered").says(
            "You are not allowed to save this record with the values you entered. Change them and try again, or \
             contact your administrator if you need access.",
        )
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let error = Self::new(refusal.code.error(), refusal.message).with_vendor_code(refusal.code.vendor());
        let error = match refusal.vendor {
            Some(text) => error.with_vendor_message(text),
            None => error,
        };
        match refusal.field {
            Some(field) => error.with_vendor_fact(VendorFact::Field, field),
            None => error,
        }
    }
}

impl From<Error> for Refusal {
    /// Rows that cannot be had refuse the write.
    fn from(_: Error) -> Self {
        Self::denied("the records that decide this write cannot be read")
    }
}

/// Why no record of an object can be written by a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteDenial {
    /// No such object in the snapshot.
    UnknownObject,
    /// `enable.apiEnabled` is false.
    ApiDisabled,
    /// `enable.apiMethods` does not list the operation.
    ApiMethod,
    /// A name of the object's `requiredPermissions` is not held.
    RequiredPermissions,
    /// No held permission set grants the operation.
    NoGrant,
    /// `managedBy`: the platform itself writes the records.
    Managed,
    /// Metadata lets no user write it.
    Barrier(WriteBarrier),
}

impl WriteDenial {
    /// The refusal, as it is told to who asked.
    #[must_use]
    pub fn refusal(self, object: &str, operation: WriteOperation) -> Refusal {
        match self {
            Self::UnknownObject | Self::RequiredPermissions | Self::NoGrant | Self::Managed => Refusal::no_grant(),
            Self::ApiDisabled => Refusal::new(RefusalCode::ApiDisabled, format!("'{object}' is not served to clients")),
            Self::ApiMethod => {
                let method = operation.method();
                let message = format!("'{object}' does not take '{method}' from clients (enable.apiMethods)");
                let refusal = Refusal::new(RefusalCode::ApiMethodNotAllowed, message);
                refusal.says(format!("API operation '{method}' is not allowed on object '{object}'"))
            }
            Self::Barrier(WriteBarrier::Platform) => {
                Refusal::denied(format!("'{object}' belongs to the platform and is not written here"))
            }
            Self::Barrier(WriteBarrier::ObjectNotWritable) => Refusal::new(
                RefusalCode::ExternalWriteForbidden,
                format!("'{object}' is read-only: the object does not say external.writable"),
            ),
            Self::Barrier(WriteBarrier::SourceReadOnly) => Refusal::new(
                RefusalCode::ExternalWriteForbidden,
                format!("'{object}' is read-only: its datasource does not say external.allowWrites"),
            ),
        }
    }
}
