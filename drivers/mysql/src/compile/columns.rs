//! How each stored column is read, so that above it every value compares as ours do. Keeps what `describe` learned.

use crate::connect::session::Flavor;
use crate::wire::declared::{Declared, Native};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Encoding, ScanColumn};
use querygate_driver_api::value::ValueType;
use std::collections::HashMap;

/// Declared types of described tables, by schema, table and column. A table named without schema is in the source's own.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    tables: HashMap<(Box<str>, Box<str>), HashMap<Identifier, Declared>>,
}

impl Learned {
    pub(crate) fn insert(&mut self, schema: &str, table: &str, columns: HashMap<Identifier, Declared>) {
        self.tables.insert((schema.into(), table.into()), columns);
    }

    pub(crate) fn column(&self, schema: &str, table: &TableRef, column: &Identifier) -> Option<&Declared> {
        let schema = table.schema().unwrap_or(schema);
        self.tables.get(&(schema.into(), table.name().into()))?.get(column)
    }
}

/// A column as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// An operand that compares exactly, or one that is only handed on.
    pub(crate) text: String,
    pub(crate) index: Indexed,
}

/// What the bare column may stand for, so that the server can use its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Indexed {
    /// The operand is the column itself, or nothing else helps.
    No,
    /// A text in another collation: `bare = x COLLATE …` is exact and finds by index. `like`: so does LIKE, as one more
    /// condition.
    Text { bare: String, like: bool },
    /// A text that compares by code point by itself; only LIKE must not see the bare column.
    Binary,
    /// A time with fewer digits than ours: an index finds the wrong rows for a value between two (MariaDB), so that `=`
    /// says it twice. `wide`: the operand with all digits.
    Coarse { wide: String },
}

/// Collations of which the server's own LIKE by index lost no row in tests.
const LIKE_BY_INDEX: [&str; 3] = ["utf8mb4_general_ci", "utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_520_ci"];

/// How a scan reads a column. `bare` is its quoted name behind its table's alias.
pub(crate) fn reading(bare: &str, column: &ScanColumn, declared: &Declared, flavor: Flavor) -> Reading {
    let plain = |text: String| Reading { text, index: Indexed::No };
    let cast = |to: &str| plain(format!("CAST({bare} AS {to})"));
    if column.encoding == Encoding::CanonicalOrNull {
        let whole = ScanColumn { encoding: Encoding::Canonical, ..column.clone() };
        let text = reading(bare, &whole, declared, flavor).text;
        let is_value = match column.value_type {
            ValueType::Time => format!("{bare} BETWEEN TIME'00:00:00' AND TIME'23:59:59.999999'"),
            // A month or a day of zero, and the 31st of February, have no number of a day that leads back.
            _ => format!("FROM_DAYS(TO_DAYS({bare})) = DATE({bare})"),
        };
        return plain(format!("CASE WHEN {is_value} THEN {text} END"));
    }
    if column.encoding != Encoding::Canonical {
        return match column.value_type {
            ValueType::Text => cast("CHAR CHARACTER SET utf8mb4"),
            _ => plain(bare.to_owned()),
        };
    }
    match (column.value_type, declared.native) {
        (ValueType::Boolean, _) => plain(format!("({bare} <> 0)")),
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, Native::Truth | Native::Year) => cast("SIGNED"),
        (ValueType::Decimal128 { precision, scale }, Native::Decimal { scale: stored, .. }) if stored != scale => {
            cast(&format!("DECIMAL({precision},{scale})"))
        }
        (ValueType::Decimal128 { precision, scale }, Native::Integer { .. }) if scale != 0 => {
            cast(&format!("DECIMAL({precision},{scale})"))
        }
        // An index on FLOAT keeps its constants as FLOAT.
        (ValueType::Float32 | ValueType::Float64, Native::Float | Native::Integer { .. } | Native::Decimal { .. }) => {
            cast("DOUBLE")
        }
        (ValueType::Text, Native::Text(_)) => text(bare, declared, flavor),
        (ValueType::Text, _) => plain(format!("(CONVERT({bare} USING utf8mb4) COLLATE {})", flavor.binary())),
        (ValueType::Timestamp { .. }, Native::Date) => cast("DATETIME(6)"),
        (ValueType::Timestamp { .. }, Native::DateTime(digits) | Native::Timestamp(digits)) => {
            coarse(bare, digits, "DATETIME(6)")
        }
        (ValueType::Time, Native::Time(digits)) => coarse(bare, digits, "TIME(6)"),
        _ => plain(bare.to_owned()),
    }
}

fn coarse(bare: &str, digits: u8, wide: &str) -> Reading {
    let index = if digits < 6 { Indexed::Coarse { wide: format!("CAST({bare} AS {wide})") } } else { Indexed::No };
    Reading { text: bare.to_owned(), index }
}

fn text(bare: &str, declared: &Declared, flavor: Flavor) -> Reading {
    let binary = flavor.binary();
    if declared.charset != "utf8mb4" {
        // Comparing in the column's own character set would fail for values outside it.
        return Reading { text: format!("(CONVERT({bare} USING utf8mb4) COLLATE {binary})"), index: Indexed::No };
    }
    if declared.collation == binary {
        return Reading { text: bare.to_owned(), index: Indexed::Binary };
    }
    let like = LIKE_BY_INDEX.contains(&declared.collation.as_str());
    Reading { text: format!("({bare} COLLATE {binary})"), index: Indexed::Text { bare: bare.to_owned(), like } }
}
