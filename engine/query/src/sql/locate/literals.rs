//! Errors of literals: the place of one that is no value of its type, and whether the statement itself writes the text that an error tells.

use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{DataType, Expr, Query, Value};
use datafusion::sql::sqlparser::tokenizer::Span;
use querygate_types::uuid::canonical;
use querygate_types::{Error, ErrorCode};

/// A cast that fails tells no value, which may be a row's. A literal of the statement that is no value of that type fails whatever the rows
/// are, and is the client's own.
pub(super) fn at_literal(error: Error, query: &Query) -> Error {
    if error.position().is_some() || error.code() != ErrorCode::InvalidTextRepresentation {
        return error;
    }
    let Some(wanted) = error.message().strip_prefix("invalid input syntax for type ").map(str::to_owned) else {
        return error;
    };
    let mut literals = Literals { wanted, found: None };
    look(query, &mut literals);
    match literals.found {
        Some((at, text)) => {
            let bare = format!("invalid input syntax for type {}", literals.wanted);
            error
                .reworded(|own| if own == bare { format!("{bare}: \"{text}\"") } else { own.to_owned() })
                .with_position(at)
        }
        None => error,
    }
}

/// The first literal of a type that is no value of it.
struct Literals {
    wanted: String,
    found: Option<(u32, String)>,
}

impl Literals {
    fn literal(&mut self, data_type: &DataType, value: &Value, span: Span) {
        let (Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text)) = value else { return };
        let column = u32::try_from(span.start.column).unwrap_or(u32::MAX);
        let is_first = self.found.as_ref().is_none_or(|(found, _)| column < *found);
        if column > 0
            && is_first
            && type_word(data_type).is_some_and(|word| word == self.wanted)
            && !is_value(&self.wanted, text)
        {
            self.found = Some((column, text.clone()));
        }
    }
}

impl Reader for Literals {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Cast { expr, data_type, .. } => {
                if let Expr::Value(value) = expr.as_ref() {
                    self.literal(data_type, &value.value, value.span);
                }
            }
            Expr::TypedString(typed) => self.literal(&typed.data_type, &typed.value.value, typed.value.span),
            _ => {}
        }
        ON
    }
}

/// A type as errors call it, of those whose texts are easily checked.
pub(super) fn type_word(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::SmallInt(_) | DataType::Int2(_) => Some("smallint"),
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => Some("integer"),
        DataType::BigInt(_) | DataType::Int8(_) => Some("bigint"),
        DataType::Real | DataType::Float4 => Some("real"),
        DataType::DoublePrecision | DataType::Float8 => Some("double precision"),
        DataType::Numeric(_) | DataType::Decimal(_) => Some("numeric"),
        DataType::Uuid => Some("uuid"),
        _ => None,
    }
}

fn is_value(type_word: &str, text: &str) -> bool {
    let text = text.trim();
    match type_word {
        "smallint" | "integer" | "bigint" => text.parse::<i128>().is_ok(),
        "uuid" => canonical(text).is_some(),
        _ => text.parse::<f64>().is_ok(),
    }
}

/// The error of a literal without its text, where no literal that the statement itself writes holds that: a default of the metadata stands
/// in a change as a literal, too, and its writer may not read it.
pub(super) fn without_others_text(error: Error, text: String, query: &Query) -> Error {
    let mut holds = Holds { text, found: false };
    look(query, &mut holds);
    if holds.found {
        return error;
    }
    let (told, beyond) = (format!(": \"{}\"", holds.text), format!("value \"{}\" is out of range", holds.text));
    error.reworded(|own| own.replace(&told, "").replace(&beyond, "value is out of range"))
}

/// Whether a literal of the statement's own text holds a text.
struct Holds {
    text: String,
    found: bool,
}

impl Holds {
    fn value(&mut self, value: &Value, span: Span) {
        let written = match value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) | Value::UnicodeStringLiteral(text) => {
                text
            }
            Value::DollarQuotedString(text) => &text.value,
            Value::Number(digits, _) => digits,
            _ => return,
        };
        self.found |= span.start.column > 0 && written.contains(&self.text);
    }
}

impl Reader for Holds {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            Expr::Value(value) => self.value(&value.value, value.span),
            Expr::TypedString(typed) => self.value(&typed.value.value, typed.value.span),
            _ => {}
        }
        ON
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::classify::Classified;
    use crate::sql::locate::{located, located_in};
    use crate::sql::parse::parse;
    use querygate_types::{Error, ErrorCode};

    /// A default of the metadata has no place in the text.
    #[test]
    fn a_text_that_the_statement_does_not_write_is_not_told() {
        let told = |sql: &str, text: &str| {
            let parsed = parse(sql).unwrap();
            let Classified::Query(query) = parsed.last().unwrap().class() else { panic!("{sql}") };
            let message = format!("invalid input syntax for type date: \"{text}\"");
            let error = located(Error::new(ErrorCode::InvalidDatetimeFormat, message), query);
            (error.message().contains(text), error.position())
        };
        assert_eq!(told("select date 'soon'", "soon"), (true, Some(13)));
        assert_eq!(told("select '{2024-01-01,soon}'::date[]", "soon"), (true, None));
        assert!(told("select $$soon$$::date", "soon").0);
        assert_eq!(told("select 'now'::date", "soon"), (false, None));
        let parsed = parse("select 1").unwrap();
        let Classified::Query(query) = parsed.last().unwrap().class() else { panic!("no query") };
        let beyond = Error::new(ErrorCode::NumericOutOfRange, "value \"70000\" is out of range for type smallint");
        assert_eq!(located(beyond, query).message(), "value is out of range for type smallint");
    }

    #[test]
    fn a_literal_that_is_no_value_of_its_type_is_told() {
        let check = |sql: &str, type_word: &str, expected: Option<(u32, &str)>| {
            let parsed = parse(sql).unwrap();
            let bare = format!("invalid input syntax for type {type_word}");
            let error = located_in(Error::new(ErrorCode::InvalidTextRepresentation, &bare), parsed.last().unwrap());
            let told = expected.map_or_else(|| bare.clone(), |(_, text)| format!("{bare}: \"{text}\""));
            assert_eq!((error.message(), error.position()), (told.as_str(), expected.map(|(at, _)| at)), "{sql}");
        };
        check("select 'abc'::int", "integer", Some((8, "abc")));
        check("select 1, ' 7 '::int, cast('1.5x' as numeric), '7x'::integer", "integer", Some((48, "7x")));
        check("select 1, ' 7 '::int, cast('1.5x' as numeric), '7x'::integer", "numeric", Some((28, "1.5x")));
        check("select uuid 'x'", "uuid", Some((13, "x")));
        // A value of a row stays out of the text.
        check("select name::int, code::int, '7'::int from t", "integer", None);
    }
}
