//! Parameters without a declared type that a statement casts where it names them first: `$1::int IS NULL OR id = $1`. As in PostgreSQL
//! that cast says what they are, and every other place of theirs has it. A parameter is of no length and of no number of places, so that
//! `$1::varchar(3)` is one of type varchar whose value is cut.

use super::{Declared, cast};
use crate::sql::walk::{ON, Reader, Step, Writer, look, write};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, ExactNumberInfo, Expr, Ident, ObjectName, Statement, Value,
};
use querygate_types::{PgType, Result, TypeCategory};
use std::collections::HashMap;

/// Casts the other places of such parameters, and those that are cast to a length to their type alone before.
///
/// # Errors
/// None of its own.
pub(crate) fn declare_first_casts(ast: &mut Statement, declared: &[Option<Declared>]) -> Result<()> {
    let mut places = Places { declared, found: HashMap::new(), cuts: false };
    look(ast, &mut places);
    let of_cast = |(name, place): (String, Place)| place.cast.filter(|_| place.times > 1).map(|to| (name, to));
    let types: HashMap<String, DataType> = places.found.into_iter().filter_map(of_cast).collect();
    if types.is_empty() && !places.cuts { Ok(()) } else { write(ast, &mut Casts { declared, types }) }
}

/// What the client said of a parameter.
fn declared_as(name: &str, declared: &[Option<Declared>]) -> Option<Declared> {
    let place = name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1)?;
    declared.get(place).copied().flatten()
}

/// Whether a cast of this parameter says its type: a text from a client is read as a literal is.
fn is_read_by_cast(name: &str, declared: &[Option<Declared>]) -> bool {
    declared_as(name, declared).is_none_or(|declared| {
        declared.pg_type == PgType::Unknown || declared.pg_type.category() == TypeCategory::String
    })
}

/// Where a parameter stands.
struct Place {
    /// The type that its first place casts it to.
    cast: Option<DataType>,
    times: usize,
}

struct Places<'a> {
    declared: &'a [Option<Declared>],
    found: HashMap<String, Place>,
    /// Whether any is cast to a length.
    cuts: bool,
}

impl Reader for Places<'_> {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            // The parameter in it is the next to be looked at.
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Some(name) = parameter(inner) {
                    self.cuts |= cuts(data_type) && is_read_by_cast(name, self.declared);
                    if declared_as(name, self.declared).is_none() {
                        let place = Place { cast: Some(without_modifier(data_type)), times: 0 };
                        self.found.entry(name.to_owned()).or_insert(place);
                    }
                }
            }
            other => {
                if let Some(name) = parameter(other) {
                    self.found.entry(name.to_owned()).or_insert(Place { cast: None, times: 0 }).times += 1;
                }
            }
        }
        ON
    }
}

struct Casts<'a> {
    declared: &'a [Option<Declared>],
    /// Of parameters that have one in all of their places.
    types: HashMap<String, DataType>,
}

impl Writer for Casts<'_> {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if let Some(to) = parameter(expr).and_then(|name| self.types.get(name)) {
            *expr = cast(expr.clone(), to.clone());
        } else if let Expr::Cast { expr: inner, data_type, .. } = expr
            && cuts(data_type)
            && parameter(inner).is_some_and(|name| is_read_by_cast(name, self.declared))
        {
            let whole = if is_one_byte(data_type) { DataType::Text } else { without_modifier(data_type) };
            **inner = cast(inner.as_ref().clone(), whole);
        }
        ON
    }
}

/// Whether values of a type may be cut or rounded by what it says beside its name.
fn cuts(data_type: &DataType) -> bool {
    match data_type {
        // Without a length these are of one.
        DataType::Char(_) | DataType::Character(_) | DataType::Bit(_) => true,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            length.is_some()
        }
        DataType::BitVarying(length) | DataType::VarBit(length) => length.is_some(),
        DataType::Numeric(digits) | DataType::Decimal(digits) | DataType::Dec(digits) => {
            *digits != ExactNumberInfo::None
        }
        DataType::Time(places, _) | DataType::Timestamp(places, _) => places.is_some(),
        DataType::Interval { fields, precision } => fields.is_some() || precision.is_some(),
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => cuts(item),
        // The others say nothing beside their name.
        other => is_one_byte(other),
    }
}

/// `"char"`, which keeps a text's first byte.
fn is_one_byte(data_type: &DataType) -> bool {
    let DataType::Custom(name, _) = data_type else { return false };
    let [part] = name.0.as_slice() else { return false };
    part.as_ident().is_some_and(|name| name.quote_style.is_some() && name.value == "char")
}

fn parameter(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// The type without its length and places: a parameter and a column of several cells have none of their own. Without its length, `char`
/// and `bit` are of one.
pub(in crate::dialect) fn without_modifier(data_type: &DataType) -> DataType {
    let named = |name: &str| DataType::Custom(ObjectName::from(vec![Ident::new(name)]), Vec::new());
    match data_type {
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => DataType::Varchar(None),
        DataType::Char(_) | DataType::Character(_) => named("bpchar"),
        DataType::Bit(_) => named("bit"),
        DataType::BitVarying(_) | DataType::VarBit(_) => named("varbit"),
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => DataType::Numeric(ExactNumberInfo::None),
        DataType::Time(_, zone) => DataType::Time(None, *zone),
        DataType::Timestamp(_, zone) => DataType::Timestamp(None, *zone),
        DataType::Interval { .. } => DataType::Interval { fields: None, precision: None },
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => {
            DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(without_modifier(item)), None))
        }
        // The others have none.
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Yard;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use querygate_types::PgType;

    fn declared(sql: &str, types: &[Option<Declared>]) -> String {
        let mut ast = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        declare_first_casts(&mut ast, types).unwrap();
        ast.to_string()
    }

    #[test]
    fn the_first_cast_holds_everywhere() {
        assert_eq!(
            declared("SELECT 1 FROM t WHERE $1::INT IS NULL OR id = $1", &[]),
            "SELECT 1 FROM t WHERE CAST($1 AS INT)::INT IS NULL OR id = CAST($1 AS INT)"
        );
        assert_eq!(
            declared("SELECT $1::VARCHAR(3) || $1", &[]),
            "SELECT CAST($1 AS VARCHAR)::VARCHAR(3) || CAST($1 AS VARCHAR)"
        );
        for (written, whole) in [("CHAR(2)", "bpchar"), ("BIT(3)", "bit"), ("VARCHAR(3)[]", "VARCHAR[]")] {
            let wanted = format!("SELECT CAST($1 AS {whole})::{written}, CAST($1 AS {whole})");
            assert_eq!(declared(&format!("SELECT $1::{written}, $1"), &[]), wanted);
        }
    }

    #[test]
    fn a_length_is_none_of_the_parameter() {
        for (written, whole) in [
            ("VARCHAR(1)", "VARCHAR"),
            ("CHAR", "bpchar"),
            ("CHAR(2)[]", "bpchar[]"),
            ("BIT VARYING(2)", "varbit"),
            ("NUMERIC(4,1)", "NUMERIC"),
            ("TIMESTAMP(0)", "TIMESTAMP"),
            ("\"char\"", "TEXT"),
        ] {
            let (sql, wanted) = (format!("SELECT $1::{written}"), format!("SELECT CAST($1 AS {whole})::{written}"));
            assert_eq!(declared(&sql, &[]), wanted);
            for own in [PgType::Text, PgType::Varchar, PgType::Bpchar, PgType::Unknown] {
                assert_eq!(declared(&sql, &[Some(own.into())]), wanted, "{own:?}");
            }
            // What has another type is cast from it.
            assert_eq!(declared(&sql, &[Some(PgType::Numeric.into())]), sql);
        }
    }

    #[test]
    fn other_parameters_stay() {
        for sql in [
            "SELECT $1::INT",
            "SELECT $1::VARCHAR",
            "SELECT $1::NUMERIC",
            "SELECT 1 FROM t WHERE id = $1 AND name = $1::TEXT",
            "SELECT $1 + $1",
        ] {
            assert_eq!(declared(sql, &[]), sql);
        }
        let sql = "SELECT $1::INT + $1";
        assert_eq!(declared(sql, &[Some(PgType::Int8.into())]), sql);
    }

    /// Values and answers are PostgreSQL 15's.
    #[test]
    fn values_are_cut_and_rounded_over_a_table() {
        let yard = Yard::new();
        let owner = yard.owner();
        let json = r#"{"b":1,"a":2,"a":3}"#;
        for (expr, own, given, expected) in [
            ("$1::varchar(1)", None, "abc", "a"),
            ("$1::varchar(1)", Some(PgType::Text), "abc", "a"),
            ("$1::varchar(1)", Some(PgType::Varchar), "abc", "a"),
            ("$1::varchar(1) = 'a'", None, "abc", "true"),
            ("length($1::char(6))", None, "ab  ", "2"),
            ("length($1::char(6))", Some(PgType::Bpchar), "ab  ", "2"),
            ("$1::varbit(2)", None, "1101", "11"),
            ("$1::numeric(4,1)", None, "1.25", "1.3"),
            ("$1::timestamp(0)", None, "2001-01-01 00:00:00.6", "2001-01-01T00:00:01"),
            ("$1::\"char\"", None, "abc", "a"),
            ("$1::jsonb", None, json, r#"{"a": 3, "b": 1}"#),
            ("$1::text", Some(PgType::Jsonb), json, r#"{"a": 3, "b": 1}"#),
        ] {
            let sql = format!("SELECT {expr} FROM jobs WHERE id = 'j1'");
            let read = owner.prepare_with(&sql, &[own]).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(owner.execute(&read, &[Some(given)]), expected, "{sql} {own:?}");
        }
    }
}
