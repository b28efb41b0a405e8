//! The session's settings that change how values are printed. Knows no value.

use querygate_query_api::column::Column;
use querygate_query_api::service::Session;
use querygate_query_api::values::zone::Zone;
use querygate_types::{Error, ErrorCode, PgType, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteaOutput {
    Hex,
    Escape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntervalStyle {
    Postgres,
    Iso8601,
}

/// How values are printed. DateStyle is always ISO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) zone: Zone,
    pub(crate) extra_float_digits: i32,
    pub(crate) bytea: ByteaOutput,
    pub(crate) interval: IntervalStyle,
}

impl Default for Style {
    fn default() -> Self {
        Self { zone: Zone::UTC, extra_float_digits: 1, bytea: ByteaOutput::Hex, interval: IntervalStyle::Postgres }
    }
}

impl Style {
    /// Reads the settings when a column depends on them. A setting that cannot be followed is an error, not ignored.
    pub(crate) fn of_session(session: &dyn Session, columns: &[Column]) -> Result<Self> {
        let mut style = Self::default();
        if columns.iter().all(|column| is_plain(column.pg_type)) {
            return Ok(style);
        }
        if let Some(zone) = session.setting("TimeZone") {
            style.zone = Zone::required(&zone)?;
        }
        if let Some(digits) = session.setting("extra_float_digits") {
            style.extra_float_digits = digits.trim().parse().map_err(|_| unsupported("extra_float_digits", &digits))?;
        }
        if let Some(output) = session.setting("bytea_output") {
            style.bytea = match output.to_ascii_lowercase().as_str() {
                "hex" => ByteaOutput::Hex,
                "escape" => ByteaOutput::Escape,
                _ => return Err(unsupported("bytea_output", &output)),
            };
        }
        if let Some(interval) = session.setting("IntervalStyle") {
            style.interval = match interval.to_ascii_lowercase().as_str() {
                "postgres" => IntervalStyle::Postgres,
                "iso_8601" => IntervalStyle::Iso8601,
                _ => return Err(unsupported("IntervalStyle", &interval)),
            };
        }
        match session.setting("DateStyle") {
            Some(date) if !date.to_ascii_uppercase().starts_with("ISO") => Err(unsupported("DateStyle", &date)),
            _ => Ok(style),
        }
    }
}

fn unsupported(name: &str, value: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{name} \"{value}\" is not supported"))
}

/// Types whose output no setting changes.
const fn is_plain(pg_type: PgType) -> bool {
    matches!(
        pg_type,
        PgType::Bool
            | PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Oid
            | PgType::Text
            | PgType::Varchar
            | PgType::Bpchar
            | PgType::Name
            | PgType::Numeric
            | PgType::Uuid
            | PgType::Inet
            | PgType::Cidr
            | PgType::Macaddr
            | PgType::Macaddr8
            | PgType::Bit
            | PgType::Varbit
    )
}
