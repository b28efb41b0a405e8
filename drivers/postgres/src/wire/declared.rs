//! What a column's declared type means: the type we give it, and in which form it reads as the type that metadata wants.

use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_driver_api::value::{ItemType, ValueType};

/// How a column's text stands to order and equality by code point. Kept in [`Collation::Named`], whose text is ours.
pub(crate) const CAST: &str = "type ";
/// A jsonb: texts in it are ordered by the database's collation.
pub(crate) const JSONB: &str = "type jsonb";
/// A jsonb where that is by code point.
pub(crate) const JSONB_BY_CODE_POINT: &str = "type jsonb by code point";
pub(crate) const NONDETERMINISTIC: &str = "nondeterministic ";
/// The database's own collation: it yields to any other.
pub(crate) const DEFAULT: &str = "default";
/// By code point, by its name.
pub(crate) const C: &str = "C";

/// The type of a column that `format_type` prints so, base types of domains looked up. Types without a counterpart, and
/// numbers without a precision, are texts: nothing is dropped, nothing is rounded.
pub(crate) fn interpret(native: &str) -> ValueType {
    match words(native) {
        ("boolean", _) => ValueType::Boolean,
        ("smallint", _) => ValueType::Int16,
        ("integer", _) => ValueType::Int32,
        ("bigint" | "oid", _) => ValueType::Int64,
        ("real", _) => ValueType::Float32,
        ("double precision", _) => ValueType::Float64,
        ("numeric", arguments) => decimal(arguments).unwrap_or(ValueType::Text),
        ("bytea", _) => ValueType::Binary,
        ("date", _) => ValueType::Date,
        ("time without time zone", _) => ValueType::Time,
        ("timestamp without time zone", _) => ValueType::Timestamp { utc: false },
        ("timestamp with time zone", _) => ValueType::Timestamp { utc: true },
        _ if native.ends_with("[]") => interpret(&native[..native.len() - 2]).listed().unwrap_or(ValueType::TextList),
        _ => ValueType::Text,
    }
}

/// Whether the source itself keeps the column as text that compares as text.
pub(crate) fn is_text(native: &str) -> bool {
    matches!(words(native).0, "text" | "character varying")
}

/// The collation under which a text column is known to the printer. `database_is_c`: the database's own order is by code point.
pub(crate) fn collation(native: &str, named: Option<Named<'_>>, database_is_c: bool) -> Collation {
    if interpret(native) != ValueType::Text {
        return Collation::Binary;
    }
    if native == "jsonb" && database_is_c {
        return Collation::Named(JSONB_BY_CODE_POINT.into());
    }
    if !is_text(native) {
        return Collation::Named(format!("{CAST}{native}").into());
    }
    match named {
        None => Collation::Named(DEFAULT.into()),
        Some(Named { deterministic: false, name, .. }) => Collation::Named(format!("{NONDETERMINISTIC}{name}").into()),
        Some(Named { name: DEFAULT | C | "POSIX", .. }) if database_is_c => Collation::Binary,
        Some(Named { name, .. }) => Collation::Named(name.into()),
    }
}

/// What takes different texts of the column for equal: its type, or its collation.
pub(crate) fn own_equality(native: &str, named: Option<Named<'_>>) -> Option<String> {
    let folds = native == "citext" || native.ends_with(".citext");
    let collation = named.filter(|named| !named.deterministic).map(|named| named.name);
    if folds { Some("citext".to_owned()) } else { collation.map(str::to_owned) }
}

/// A collation as `pg_collation` has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) deterministic: bool,
}

/// In which form a column of this declared type reads as `wanted`.
pub(crate) fn read_as(native: &str, wanted: ValueType) -> Result<Encoding, Refusal> {
    let own = interpret(native);
    if own == wanted {
        return Ok(Encoding::Canonical);
    }
    let unbounded = words(native).0 == "numeric" && own == ValueType::Text;
    match (own, wanted) {
        (ValueType::Int16, ValueType::Int32 | ValueType::Int64) | (ValueType::Int32, ValueType::Int64) => {
            Ok(Encoding::Canonical)
        }
        (ValueType::Int16 | ValueType::Int32 | ValueType::Int64, ValueType::Float64 | ValueType::Decimal128 { .. }) => {
            Ok(Encoding::Canonical)
        }
        (ValueType::Float32, ValueType::Float64) => Ok(Encoding::Canonical),
        // A double has no digits of its own: it is read at the declared scale, and computed with here.
        (ValueType::Float32 | ValueType::Float64, ValueType::Decimal128 { .. }) => Ok(Encoding::Double),
        // Digits that the declared type does not hold are an error when they are read, never rounded.
        (ValueType::Decimal128 { .. }, ValueType::Decimal128 { .. }) => Ok(Encoding::Canonical),
        (ValueType::Text, ValueType::Decimal128 { .. }) if unbounded => Ok(Encoding::Canonical),
        // As texts, whatever the items are.
        (ValueType::List(_), ValueType::TextList) => Ok(Encoding::Canonical),
        (ValueType::List(own), ValueType::List(wanted)) if is_read_as(own, wanted) => Ok(Encoding::Canonical),
        (ValueType::TextList, ValueType::List(ItemType::Decimal128 { .. })) if native == "numeric[]" => {
            Ok(Encoding::Canonical)
        }
        (ValueType::Decimal128 { .. }, ValueType::Float64) => Ok(Encoding::Canonical),
        // As the source prints them: values that have no form of ours are among them.
        (own, ValueType::Text) if own != ValueType::Text && !reads_surely(own) => Ok(Encoding::Text),
        // Sessions are in UTC: a wall clock there is that instant.
        (ValueType::Timestamp { utc: false }, ValueType::Timestamp { utc: true }) => Ok(Encoding::Canonical),
        _ => {
            let text = format!("a column of type {native} in the source does not read as {}", wanted.name());
            Err(Refusal::new(RefusalReason::Encoding, text))
        }
    }
}

/// As [`read_as`], with NULL in place of infinities, of 24:00 and of numbers and arrays without a form of ours, as the server finds them.
pub(crate) fn read_or_null(native: &str, wanted: ValueType) -> Result<Encoding, Refusal> {
    let encoding = read_as(native, wanted)?;
    Ok(match encoding {
        Encoding::Canonical if reads_surely(wanted) => encoding,
        Encoding::Canonical => Encoding::CanonicalOrNull,
        other => other.or_null(),
    })
}

/// Whether items of one type are read as items of another, or fail to be.
fn is_read_as(own: ItemType, wanted: ItemType) -> bool {
    use ItemType as I;
    match (own, wanted) {
        (I::Int16 | I::Int32 | I::Int64 | I::Decimal128 { .. }, I::Decimal128 { .. })
        | (I::Int16, I::Int32 | I::Int64)
        | (I::Int32, I::Int64)
        | (I::Float32, I::Float64) => true,
        (own, wanted) => own == wanted,
    }
}

/// Whether a column of the type holds nothing that it does not read as: dates and times have infinities and years beyond
/// ours, numerics any number of digits.
pub(crate) fn reads_surely(value_type: ValueType) -> bool {
    match value_type {
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Text
        | ValueType::Binary => true,
        ValueType::Decimal128 { .. }
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp { .. }
        | ValueType::TextList
        | ValueType::List(_) => false,
    }
}

/// The name without its arguments, and the arguments: `timestamp(3) without time zone` is `timestamp without time zone`
/// and `3`.
pub(crate) fn words(native: &str) -> (&str, &str) {
    let Some((before, rest)) = native.split_once('(') else { return (native, "") };
    let Some((arguments, after)) = rest.split_once(')') else { return (native, "") };
    let name = match (before, after) {
        ("time", " without time zone") => "time without time zone",
        ("timestamp", " without time zone") => "timestamp without time zone",
        ("timestamp", " with time zone") => "timestamp with time zone",
        (before, "") => before,
        _ => native,
    };
    (name, arguments)
}

fn decimal(arguments: &str) -> Option<ValueType> {
    let (precision, scale) = arguments.split_once(',')?;
    let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && i16::from(scale) <= i16::from(precision);
    fits.then_some(ValueType::Decimal128 { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_have_a_counterpart_or_are_texts() {
        let money = ValueType::Decimal128 { precision: 10, scale: 2 };
        for (native, expected) in [
            ("boolean", ValueType::Boolean),
            ("bigint", ValueType::Int64),
            ("numeric(10,2)", money),
            ("numeric", ValueType::Text),
            ("numeric(40,2)", ValueType::Text),
            ("numeric(3,5)", ValueType::Text),
            ("numeric(5,-2)", ValueType::Text),
            ("character varying(20)", ValueType::Text),
            ("character(3)", ValueType::Text),
            ("time(3) without time zone", ValueType::Time),
            ("time with time zone", ValueType::Text),
            ("timestamp(0) with time zone", ValueType::Timestamp { utc: true }),
            ("timestamp without time zone", ValueType::Timestamp { utc: false }),
            ("text[]", ValueType::TextList),
            ("character varying(20)[]", ValueType::TextList),
            ("uuid[]", ValueType::TextList),
            ("numeric[]", ValueType::TextList),
            ("shop.\"Mood[]\"[]", ValueType::TextList),
            ("integer[]", ValueType::List(ItemType::Int32)),
            ("double precision[]", ValueType::List(ItemType::Float64)),
            ("numeric(10,2)[]", ValueType::List(ItemType::Decimal128 { precision: 10, scale: 2 })),
            ("timestamp(3) without time zone[]", ValueType::List(ItemType::Timestamp { utc: false })),
            ("uuid", ValueType::Text),
            ("shop.\"Mood (old)\"", ValueType::Text),
            ("jsonb", ValueType::Text),
        ] {
            assert_eq!(interpret(native), expected, "{native}");
            assert_eq!(read_as(native, expected), Ok(Encoding::Canonical), "{native}");
        }
    }

    #[test]
    fn arrays_are_read_as_their_items_are() {
        let list = ValueType::List;
        let money = ItemType::Decimal128 { precision: 18, scale: 4 };
        for (native, wanted, expected) in [
            ("integer[]", ValueType::TextList, true),
            ("integer[]", list(ItemType::Int64), true),
            ("bigint[]", list(ItemType::Int32), false),
            ("numeric[]", list(money), true),
            ("numeric(10,2)[]", list(money), true),
            ("text[]", list(money), false),
            ("text[]", list(ItemType::Int32), false),
            ("integer", list(ItemType::Int32), false),
            ("integer[]", ValueType::Int32, false),
        ] {
            assert_eq!(read_as(native, wanted).is_ok(), expected, "{native} as {wanted:?}");
        }
    }

    #[test]
    fn no_form_is_read_that_would_round_or_fail_on_a_row() {
        let money = ValueType::Decimal128 { precision: 18, scale: 4 };
        for (native, wanted, expected) in [
            ("integer", ValueType::Decimal128 { precision: 19, scale: 0 }, Some(Encoding::Canonical)),
            ("bigint", ValueType::Int32, None),
            ("integer", ValueType::Float64, Some(Encoding::Canonical)),
            ("numeric", money, Some(Encoding::Canonical)),
            ("numeric", ValueType::Float64, None),
            ("numeric(10,2)", ValueType::Float64, Some(Encoding::Canonical)),
            ("double precision", money, Some(Encoding::Double)),
            ("double precision", ValueType::Float32, None),
            ("timestamp without time zone", ValueType::Timestamp { utc: true }, Some(Encoding::Canonical)),
            ("date", ValueType::Timestamp { utc: true }, None),
            ("integer", ValueType::Text, None),
            ("uuid", money, None),
        ] {
            assert_eq!(read_as(native, wanted).ok(), expected, "{native} as {wanted:?}");
        }
    }
}
