//! Why a filter is refused, with the vendor's codes.

use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode};

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
}

impl FilterError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: FilterErrorCode::InvalidFilter, message: message.into() }
    }

    pub(super) fn field(message: impl Into<String>) -> Self {
        Self { code: FilterErrorCode::InvalidField, message: message.into() }
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
        Self::new(code, error.message).with_vendor_code(error.code.vendor())
    }
}
