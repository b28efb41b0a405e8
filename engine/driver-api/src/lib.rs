//! driver-api.
