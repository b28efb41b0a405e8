//! Codes of refusals and their HTTP statuses, in one place: ObjectStack's own, those of this door, and what the gate's codes
//! become. Knows no envelope.

use axum::http::StatusCode;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode};

/// What a refusal is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// One of the engine's.
    Vendor(VendorCode),
    AnalyticsDateRangeUnrecognized,
    BadRequest,
    BatchNotAtomic,
    BatchUnresolvedRef,
    Canceled,
    CubeNotFound,
    /// What is asked of a dataset makes no sense, although it has the form.
    DatasetInvalid,
    EndpointNotFound,
    ExportNotPermitted,
    FormNotFound,
    Internal,
    InvalidCredentials,
    InvalidEmail,
    InvalidLink,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    QueryObjectMismatch,
    ResourceNotFound,
    SelfRegistrationClosed,
    ServiceUnavailable,
    Timeout,
    TooManyRequests,
    Unauthenticated,
    UnsupportedQueryParam,
}

impl Code {
    /// Every code.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        OWN.into_iter().chain(VendorCode::ALL.iter().copied().map(Self::Vendor))
    }

    /// As clients compare it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vendor(code) => code.name(),
            Self::AnalyticsDateRangeUnrecognized => "ANALYTICS_DATE_RANGE_UNRECOGNIZED",
            Self::BadRequest => "BAD_REQUEST",
            Self::BatchNotAtomic => "BATCH_NOT_ATOMIC",
            Self::BatchUnresolvedRef => "BATCH_UNRESOLVED_REF",
            Self::Canceled => "CANCELED",
            Self::CubeNotFound => "CUBE_NOT_FOUND",
            Self::DatasetInvalid => "DATASET_INVALID",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::ExportNotPermitted => "EXPORT_NOT_PERMITTED",
            Self::FormNotFound => "FORM_NOT_FOUND",
            Self::Internal => "INTERNAL_ERROR",
            Self::InvalidCredentials => "INVALID_EMAIL_OR_PASSWORD",
            Self::InvalidEmail => "INVALID_EMAIL",
            Self::InvalidLink => "INVALID_OR_EXPIRED",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::NotFound => "NOT_FOUND",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::QueryObjectMismatch => "QUERY_OBJECT_MISMATCH",
            Self::ResourceNotFound => "RESOURCE_NOT_FOUND",
            Self::SelfRegistrationClosed => "SELF_REGISTRATION_CLOSED",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::UnsupportedQueryParam => "UNSUPPORTED_QUERY_PARAM",
        }
    }

    /// The status that goes with it, unless a route has another one for it.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Vendor(code) => StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::AnalyticsDateRangeUnrecognized
            | Self::BadRequest
            | Self::BatchNotAtomic
            | Self::BatchUnresolvedRef
            | Self::DatasetInvalid
            | Self::InvalidEmail
            | Self::InvalidRequest
            | Self::QueryObjectMismatch
            | Self::UnsupportedQueryParam => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::InvalidCredentials => StatusCode::UNAUTHORIZED,
            // Not registered, and what the gate says of it elsewhere.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::ExportNotPermitted | Self::SelfRegistrationClosed => StatusCode::FORBIDDEN,
            Self::CubeNotFound
            | Self::EndpointNotFound
            | Self::FormNotFound
            | Self::InvalidLink
            | Self::NotFound
            | Self::ResourceNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What an error of the gate is called here: by ObjectStack's code, where it has one, else by its HTTP status.
    pub(crate) fn of(error: &Error) -> Self {
        if let Some(vendor) = error.vendor_code() {
            return Self::Vendor(vendor);
        }
        match error.code() {
            ErrorCode::FeatureNotSupported => Self::Vendor(VendorCode::NotImplemented),
            code => match code.http() {
                400 => Self::Vendor(VendorCode::ValidationError),
                401 => Self::Unauthenticated,
                403 => Self::Vendor(VendorCode::PermissionDenied),
                404 => Self::ResourceNotFound,
                408 | 504 => Self::Timeout,
                409 => Self::Vendor(VendorCode::ConcurrentUpdate),
                413 => Self::PayloadTooLarge,
                429 => Self::TooManyRequests,
                499 => Self::Canceled,
                501 => Self::Vendor(VendorCode::NotImplemented),
                502 | 503 => Self::ServiceUnavailable,
                _ => Self::Internal,
            },
        }
    }
}

/// The door's own, for descriptions.
const OWN: [Code; 26] = [
    Code::AnalyticsDateRangeUnrecognized,
    Code::BadRequest,
    Code::BatchNotAtomic,
    Code::BatchUnresolvedRef,
    Code::Canceled,
    Code::CubeNotFound,
    Code::DatasetInvalid,
    Code::EndpointNotFound,
    Code::ExportNotPermitted,
    Code::FormNotFound,
    Code::Internal,
    Code::InvalidCredentials,
    Code::InvalidEmail,
    Code::InvalidLink,
    Code::InvalidRequest,
    Code::MethodNotAllowed,
    Code::NotFound,
    Code::PayloadTooLarge,
    Code::QueryObjectMismatch,
    Code::ResourceNotFound,
    Code::SelfRegistrationClosed,
    Code::ServiceUnavailable,
    Code::Timeout,
    Code::TooManyRequests,
    Code::Unauthenticated,
    Code::UnsupportedQueryParam,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name() {
        let names: std::collections::HashSet<&str> = Code::all().map(Code::name).collect();
        assert_eq!(names.len(), OWN.len() + VendorCode::ALL.len());
    }

    #[test]
    fn every_error_of_the_gate_keeps_its_class_of_status() {
        for code in ErrorCode::ALL {
            let error = Error::new(*code, "x");
            let (ours, theirs) = (Code::of(&error).status().as_u16(), code.http());
            assert_eq!(ours / 100, theirs / 100, "{code:?}: {ours} for {theirs}");
        }
    }
}
