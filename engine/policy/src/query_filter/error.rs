//! Why a filter is refused, with the vendor's codes.

use querygate_types::vendor::{FieldFault, VendorCode};
use querygate_types::{Error, ErrorCode};
use serde_json::Map;

/// The vendor's code of a refused filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterErrorCode {
    InvalidFilter,
    InvalidField,
    TokenUnknown,
    TokenUnresolved,
}

/// A refused filter: HTTP 400 with `code`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    pub code: FilterErrorCode,
    /// Names only what the filter named.
    pub message: String,
    /// The name that is none of a stored field.
    pub field: Option<String>,
}

impl FilterError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: FilterErrorCode::InvalidFilter, message: message.into(), field: None }
    }

    pub(super) fn field(name: &str, message: impl Into<String>) -> Self {
        Self { code: FilterErrorCode::InvalidField, message: message.into(), field: Some(name.to_owned()) }
    }
}

impl FilterErrorCode {
    /// The code that doors of ObjectStack's interface say.
    #[must_use]
    pub const fn vendor(self) -> VendorCode {
        match self {
            Self::InvalidFilter => VendorCode::InvalidFilter,
            Self::InvalidField => VendorCode::InvalidField,
            Self::TokenUnknown => VendorCode::FilterTokenUnknown,
            Self::TokenUnresolved => VendorCode::FilterTokenUnresolved,
        }
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        let code = match error.code {
            FilterErrorCode::InvalidField => ErrorCode::UndefinedColumn,
            FilterErrorCode::InvalidFilter | FilterErrorCode::TokenUnknown | FilterErrorCode::TokenUnresolved => {
                ErrorCode::InvalidParameterValue
            }
        };
        let vendor = error.code.vendor();
        let of_name = |field| FieldFault {
            field,
            code: vendor.name(),
            message: error.message.clone(),
            label: None,
            facts: Map::new(),
        };
        let faults = error.field.map(of_name).into_iter().collect();
        Self::new(code, error.message).with_vendor_code(vendor).with_faults(faults)
    }
}
