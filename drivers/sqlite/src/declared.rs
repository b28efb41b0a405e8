//! What a declared column type means: SQLite's affinity rules, our own exact type names, and how each stored form reads.

use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::ValueType;

/// SQLite's type affinity (<https://sqlite.org/datatype3.html>, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

pub(crate) fn affinity(declared: &str) -> Affinity {
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || upper.is_empty() {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// The declared type that the writer gives a column, so that it reads back as the same type: the affinity that the
/// stored form needs, and a name that says the rest.
pub(crate) fn declare(value_type: ValueType) -> String {
    match value_type {
        ValueType::Boolean => "BOOLEAN_INT".to_owned(),
        ValueType::Int16 => "SMALLINT".to_owned(),
        ValueType::Int32 => "INT4".to_owned(),
        ValueType::Int64 => "BIGINT".to_owned(),
        ValueType::Float32 => "FLOAT4".to_owned(),
        ValueType::Float64 => "DOUBLE".to_owned(),
        ValueType::Decimal128 { precision, scale } if precision <= SCALED_PRECISION_MAX => {
            format!("DECIMAL_INT({precision},{scale})")
        }
        ValueType::Decimal128 { precision, scale } => format!("DECIMAL_TEXT({precision},{scale})"),
        ValueType::Text => "TEXT".to_owned(),
        ValueType::Binary => "BLOB".to_owned(),
        ValueType::Date => "DATE_TEXT".to_owned(),
        ValueType::Time => "TIME_TEXT".to_owned(),
        ValueType::Timestamp { utc: false } => "TIMESTAMP_TEXT".to_owned(),
        ValueType::Timestamp { utc: true } => "TIMESTAMPTZ_TEXT".to_owned(),
        ValueType::TextList | ValueType::List(_) => "LIST_TEXT".to_owned(),
    }
}

/// Most digits of a decimal kept as an integer (scaled by a power of ten).
pub(crate) const SCALED_PRECISION_MAX: u8 = 18;

/// The type and stored form of a declared column, if we have one. Types that only say "numeric" or "date" promise
/// nothing about what is stored: they are read leniently and not compared in the source.
pub(crate) fn interpret(declared: &str) -> Option<(ValueType, Encoding)> {
    let upper = declared.trim().to_ascii_uppercase();
    let (name, arguments) = match upper.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end_matches(')')),
        None => (upper.as_str(), ""),
    };
    let decimal = || {
        let mut parts = arguments.split(',').map(str::trim);
        let precision = parts.next().and_then(|part| part.parse::<u8>().ok())?;
        let scale = parts.next().map_or(Some(0), |part| part.parse::<i8>().ok())?;
        let valid = (1..=38).contains(&precision) && scale >= 0 && i16::from(scale) <= i16::from(precision);
        valid.then_some(ValueType::Decimal128 { precision, scale })
    };
    Some(match name {
        "BOOLEAN" | "BOOL" | "BOOLEAN_INT" => (ValueType::Boolean, Encoding::Canonical),
        "SMALLINT" | "INT2" => (ValueType::Int16, Encoding::Canonical),
        "INT4" => (ValueType::Int32, Encoding::Canonical),
        "FLOAT4" => (ValueType::Float32, Encoding::Canonical),
        "DECIMAL_INT" => (decimal()?, Encoding::Canonical),
        "DECIMAL_TEXT" => (decimal()?, Encoding::Text),
        "DECIMAL" | "NUMERIC" => match decimal() {
            Some(value_type) => (value_type, Encoding::Double),
            None => (ValueType::Float64, Encoding::Canonical),
        },
        "DATE_TEXT" => (ValueType::Date, Encoding::Canonical),
        "TIME_TEXT" => (ValueType::Time, Encoding::Canonical),
        "TIMESTAMP_TEXT" => (ValueType::Timestamp { utc: false }, Encoding::Canonical),
        "TIMESTAMPTZ_TEXT" => (ValueType::Timestamp { utc: true }, Encoding::Canonical),
        "DATE" => (ValueType::Date, Encoding::Text),
        "TIME" => (ValueType::Time, Encoding::Text),
        "DATETIME" | "TIMESTAMP" => (ValueType::Timestamp { utc: false }, Encoding::Text),
        "TIMESTAMPTZ" => (ValueType::Timestamp { utc: true }, Encoding::Text),
        "LIST_TEXT" => (ValueType::TextList, Encoding::Json),
        "ANY" => return None,
        _ => match affinity(&upper) {
            Affinity::Integer => (ValueType::Int64, Encoding::Canonical),
            Affinity::Text => (ValueType::Text, Encoding::Canonical),
            Affinity::Real => (ValueType::Float64, Encoding::Canonical),
            Affinity::Blob if name == "BLOB" => (ValueType::Binary, Encoding::Canonical),
            Affinity::Blob | Affinity::Numeric => return None,
        },
    })
}

/// In which form a column of this declared type reads as `wanted`. `fixed_text`: whoever writes the database promises
/// ObjectStack's fixed text forms for dates, times and instants.
pub(crate) fn read_as(declared: &str, wanted: ValueType, fixed_text: bool) -> Result<Encoding, Refusal> {
    if let Some((value_type, encoding)) = interpret(declared)
        && value_type == wanted
        && (encoding == Encoding::Canonical || !fixed_text)
    {
        return Ok(encoding);
    }
    let affinity = affinity(declared);
    let refused = || {
        let text = format!("a column declared as it is in the source does not read as {}", wanted.name());
        Err(Refusal::new(RefusalReason::Encoding, text))
    };
    // A scaled integer read as anything else would be wrong by a power of ten.
    if declared.to_ascii_uppercase().starts_with("DECIMAL_INT") {
        return refused();
    }
    match (wanted, affinity) {
        (ValueType::Boolean, Affinity::Integer | Affinity::Numeric) => Ok(Encoding::Canonical),
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, Affinity::Integer) => Ok(Encoding::Canonical),
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, Affinity::Real | Affinity::Numeric) => {
            Ok(Encoding::Double)
        }
        (ValueType::Float64, Affinity::Integer | Affinity::Real | Affinity::Numeric) => Ok(Encoding::Canonical),
        (ValueType::Float32, Affinity::Real) => Ok(Encoding::Double),
        (ValueType::Decimal128 { .. }, Affinity::Text) => Ok(Encoding::Text),
        (ValueType::Decimal128 { .. }, Affinity::Integer | Affinity::Real | Affinity::Numeric) => Ok(Encoding::Double),
        (ValueType::Text, Affinity::Text) => Ok(Encoding::Canonical),
        // SQLite makes numbers of texts that look like them, and keeps what is written of others: as it prints them.
        (ValueType::Text, Affinity::Integer | Affinity::Numeric) => Ok(Encoding::Text),
        (ValueType::Text, Affinity::Blob) if declared.trim().is_empty() => Ok(Encoding::Text),
        // `VARBINARY` and its kin; a blob is one under any affinity.
        (ValueType::Binary, Affinity::Blob | Affinity::Numeric) => Ok(Encoding::Canonical),
        (ValueType::Date | ValueType::Time | ValueType::Timestamp { .. }, Affinity::Text | Affinity::Numeric) => {
            Ok(if fixed_text { Encoding::Canonical } else { Encoding::Text })
        }
        (ValueType::Timestamp { .. }, Affinity::Integer) => Ok(Encoding::EpochMillis),
        (ValueType::TextList, Affinity::Text | Affinity::Numeric) => Ok(Encoding::Json),
        _ => refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_writer_declares_reads_back_as_the_same_type() {
        let types = [
            ValueType::Boolean,
            ValueType::Int16,
            ValueType::Int32,
            ValueType::Int64,
            ValueType::Float32,
            ValueType::Float64,
            ValueType::Decimal128 { precision: 18, scale: 4 },
            ValueType::Decimal128 { precision: 38, scale: 10 },
            ValueType::Text,
            ValueType::Binary,
            ValueType::Date,
            ValueType::Time,
            ValueType::Timestamp { utc: false },
            ValueType::Timestamp { utc: true },
            ValueType::TextList,
        ];
        for value_type in types {
            let declared = declare(value_type);
            let (back, encoding) = interpret(&declared).unwrap();
            assert_eq!(back, value_type, "{declared}");
            assert_eq!(read_as(&declared, value_type, false), Ok(encoding), "{declared}");
        }
    }

    #[test]
    fn stored_forms_read_as_metadata_wants() {
        let money = ValueType::Decimal128 { precision: 18, scale: 4 };
        let instant = ValueType::Timestamp { utc: true };
        for (declared, wanted, fixed, expected) in [
            ("float", money, true, Some(Encoding::Double)),
            ("float", ValueType::Float64, true, Some(Encoding::Canonical)),
            ("datetime", instant, true, Some(Encoding::Canonical)),
            ("datetime", instant, false, Some(Encoding::Text)),
            ("integer", instant, false, Some(Encoding::EpochMillis)),
            ("varchar(255)", ValueType::Text, false, Some(Encoding::Canonical)),
            ("json", ValueType::TextList, false, Some(Encoding::Json)),
            ("DECIMAL_INT(18,4)", ValueType::Int64, false, None),
            ("DECIMAL_INT(18,4)", money, false, Some(Encoding::Canonical)),
            ("DECIMAL_INT(18,2)", money, false, None),
            ("blob", ValueType::Text, false, None),
            ("json", ValueType::Text, false, Some(Encoding::Text)),
            ("string", ValueType::Text, false, Some(Encoding::Text)),
            ("", ValueType::Text, false, Some(Encoding::Text)),
            ("varbinary(20)", ValueType::Binary, false, Some(Encoding::Canonical)),
            ("integer", ValueType::Text, false, Some(Encoding::Text)),
            ("real", ValueType::Text, false, None),
        ] {
            assert_eq!(read_as(declared, wanted, fixed).ok(), expected, "{declared} as {wanted:?}");
        }
    }
}
