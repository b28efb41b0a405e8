//! Parameters without a declared type that a statement casts where it names them first: `$1::int IS NULL OR id = $1`. As in PostgreSQL
//! that cast says what they are, and every other place of theirs has it.

use super::{Declared, cast};
use crate::sql::walk::{ON, Reader, Step, Writer, look, write};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, ExactNumberInfo, Expr, Ident, ObjectName, Statement, Value,
};
use querygate_types::Result;
use std::collections::HashMap;

/// Casts the other places of such parameters.
///
/// # Errors
/// None of its own.
pub(crate) fn declare_first_casts(ast: &mut Statement, declared: &[Option<Declared>]) -> Result<()> {
    let mut places = Places { declared, found: HashMap::new() };
    look(ast, &mut places);
    let of_cast = |(name, place): (String, Place)| place.cast.filter(|_| place.times > 1).map(|to| (name, to));
    let casts: HashMap<String, DataType> = places.found.into_iter().filter_map(of_cast).collect();
    if casts.is_empty() { Ok(()) } else { write(ast, &mut Casts(casts)) }
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
}

impl Places<'_> {
    fn is_declared(&self, name: &str) -> bool {
        let number = name.trim_start_matches('$').parse::<usize>().ok();
        let place = number.and_then(|number| number.checked_sub(1));
        place.and_then(|place| self.declared.get(place)).is_some_and(Option::is_some)
    }
}

impl Reader for Places<'_> {
    fn expr(&mut self, expr: &Expr) -> Step {
        match expr {
            // The parameter in it is the next to be looked at.
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Some(name) = parameter(inner)
                    && !self.is_declared(name)
                {
                    let place = Place { cast: Some(without_modifier(data_type)), times: 0 };
                    self.found.entry(name.to_owned()).or_insert(place);
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

struct Casts(HashMap<String, DataType>);

impl Writer for Casts {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if let Some(to) = parameter(expr).and_then(|name| self.0.get(name)) {
            *expr = cast(expr.clone(), to.clone());
        }
        ON
    }
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
    fn other_parameters_stay() {
        for sql in ["SELECT $1::INT", "SELECT 1 FROM t WHERE id = $1 AND name = $1::TEXT", "SELECT $1 + $1"] {
            assert_eq!(declared(sql, &[]), sql);
        }
        let sql = "SELECT $1::INT + $1";
        assert_eq!(declared(sql, &[Some(PgType::Int8.into())]), sql);
    }
}
