//! Errors of casts of what rows hold: where the cast stands, and what a client writes in its place. A row's value is never in them.

use super::literals;
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{CastKind, DataType, Expr, Spanned, TimezoneInfo, Visit};
use querygate_types::{Error, ErrorCode};

/// Types that `try_cast` reads from texts, as errors call them, without those of dates and times.
static READ: [&str; 7] = ["smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean"];
/// Those of dates and times.
static MOMENTS: [&str; 4] = ["date", "time", "timestamp", "timestamp with time zone"];

/// The error of a text that is no value of a type, with the place of the cast and with what to write in its place. `compares`: a
/// comparison may have read the text, too, and there need not be a cast.
pub(super) fn at_cast(error: Error, statement: &impl Visit, compares: bool) -> Error {
    if error.position().is_some() || error.hint().is_some() {
        return error;
    }
    let Some(types) = types_of(&error) else { return error };
    let mut casts = Casts { types, found: Vec::new() };
    look(statement, &mut casts);
    let Casts { types, found } = casts;
    let told = match (types, found.as_slice()) {
        ([only], []) if compares => *only,
        (_, [(word, _), others @ ..]) if others.iter().all(|(other, _)| other == word) => *word,
        _ => return error,
    };
    let error = error.with_hint(format!("try_cast(x AS {told}) gives NULL for a text that is no value of the type."));
    match found.as_slice() {
        [(_, at)] if *at > 0 => error.with_position(*at),
        _ => error,
    }
}

/// The types, one of which a text was to be read as.
fn types_of(error: &Error) -> Option<&'static [&'static str]> {
    match error.code() {
        ErrorCode::InvalidTextRepresentation | ErrorCode::InvalidDatetimeFormat => {
            let name = error.message().strip_prefix("invalid input syntax for type ")?;
            let one = |words: &'static [&'static str]| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at..=at)
            };
            one(&READ).or_else(|| one(&MOMENTS))
        }
        ErrorCode::DatetimeOverflow if error.message() == "date/time field value out of range" => Some(&MOMENTS),
        _ => None,
    }
}

/// The casts of what is no literal to one of the types, with their places.
struct Casts {
    types: &'static [&'static str],
    found: Vec<(&'static str, u32)>,
}

impl Reader for Casts {
    fn expr(&mut self, expr: &Expr) -> Step {
        if let Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } = expr
            && !is_written(expr)
            && let Some(word) = type_word(data_type).filter(|word| self.types.contains(word))
        {
            self.found.push((word, u32::try_from(expr.span().start.column).unwrap_or(u32::MAX)));
        }
        ON
    }
}

/// Whether it is a literal or a parameter: no row's value.
fn is_written(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_written(inner),
        Expr::Value(_) => true,
        _ => false,
    }
}

/// A type as errors call it.
fn type_word(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Boolean | DataType::Bool => Some("boolean"),
        DataType::Date => Some("date"),
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Some("time"),
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Some("timestamp"),
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Some("timestamp with time zone"),
        other => literals::type_word(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::locate::located_in;
    use crate::sql::parse::parse;
    use querygate_types::{Error, ErrorCode};

    fn told(sql: &str, code: ErrorCode, message: &str) -> (Option<u32>, Option<String>) {
        let parsed = parse(sql).unwrap();
        let error = located_in(Error::new(code, message), parsed.last().unwrap());
        assert_eq!(error.message(), message, "{sql}");
        (error.position(), error.hint().map(str::to_owned))
    }

    #[test]
    fn a_cast_of_a_column_is_pointed_at() {
        let check = |sql: &str, type_word: &str, at: Option<u32>, hinted: bool| {
            let message = format!("invalid input syntax for type {type_word}");
            let hint = format!("try_cast(x AS {type_word}) gives NULL for a text that is no value of the type.");
            let expected = (at, hinted.then_some(hint));
            assert_eq!(told(sql, ErrorCode::InvalidTextRepresentation, &message), expected, "{sql}");
        };
        check("select code::int from t", "integer", Some(8), true);
        check("select 1, cast(t.code as numeric(8, 2)) from t", "numeric", Some(16), true);
        check("copy (select code::int from t) to stdout", "integer", Some(14), true);
        check("delete from t where (code)::bigint > 5", "bigint", Some(22), true);
        // Which of two fails is not known.
        check("select code::int, name::int from t", "integer", None, true);
        // A comparison reads a text, too.
        check("select * from t where code = 5", "integer", None, true);
        check("delete from t where code = 5", "integer", None, false);
        check("select try_cast(code as int), name::boolean from t", "boolean", Some(31), true);
        check("select code::uuid from t", "uuid", None, false);
    }

    #[test]
    fn a_day_that_no_calendar_has_is_pointed_at() {
        let message = "date/time field value out of range";
        let check = |sql: &str, at: Option<u32>, word: Option<&str>| {
            let hint =
                word.map(|word| format!("try_cast(x AS {word}) gives NULL for a text that is no value of the type."));
            assert_eq!(told(sql, ErrorCode::DatetimeOverflow, message), (at, hint), "{sql}");
        };
        check("select day::date from t", Some(8), Some("date"));
        check("select day::date, moment::timestamp from t", None, None);
        check("select make_date(y, m, d) from t", None, None);
    }
}
