//! Constants that a statement compares columns with, as parameters: a statement that is the same but for them is bound and planned once.
//! Which of them may stay parameters is known once it is bound, by the types that they are compared with.

use super::parameters::is_parameter;
use crate::sql::walk::{ON, Reader, Step, Stop, Writer, finds, write};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, ObjectName, ObjectNamePart, Query, Select, Value};
use querygate_semantics::typing::follows_clock;
use querygate_types::PgType;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Constants of one statement at most; one with more of them is bound as it stands.
const CONSTANTS_MAX: usize = 32;

/// A statement with its constants beside it.
#[derive(Debug)]
pub(crate) struct Constants {
    pub(crate) query: Query,
    /// Tells the query apart from any other.
    pub(crate) text: Arc<str>,
    /// One for each parameter.
    pub(crate) constants: Vec<Constant>,
    /// Their values, as a client would send them.
    pub(crate) values: Vec<ArrayRef>,
    /// The charge for all that.
    pub(crate) charge: Option<MemoryReservation>,
}

/// A constant that is a parameter.
#[derive(Debug)]
pub(crate) struct Constant {
    written: Written,
    /// Which of the statement's constants it is, in the order of the walk.
    place: usize,
}

/// A constant as it is written.
#[derive(Debug, PartialEq)]
enum Written {
    Text(String),
    Number(i64),
}

impl Written {
    /// `None`: it is none that may be a parameter.
    fn of(constant: &Expr) -> Option<Self> {
        let Expr::Value(value) = constant else { return None };
        match &value.value {
            // What follows the clock is read where the statement's time is known.
            Value::SingleQuotedString(text) => (!follows_clock(text)).then(|| Self::Text(text.clone())),
            Value::Number(digits, false) => digits.parse().ok().map(Self::Number),
            _ => None,
        }
    }
}

impl Constant {
    /// Whether a parameter beside this type means the same as the constant does.
    fn fits(&self, beside: Option<PgType>) -> bool {
        let Some(beside) = beside else { return false };
        match self.written {
            Written::Text(_) => matches!(
                beside,
                PgType::Text | PgType::Varchar | PgType::Name | PgType::Uuid | PgType::Date | PgType::Oid
            ),
            Written::Number(_) => matches!(beside, PgType::Int2 | PgType::Int4 | PgType::Int8),
        }
    }
}

impl Constants {
    /// Those that are to stay as they are written, of all in the statement: what they are compared with has another type.
    pub(crate) fn unfit(&self, beside: impl Iterator<Item = Option<PgType>>) -> Vec<usize> {
        let pairs = self.constants.iter().zip(beside);
        pairs.filter(|(constant, beside)| !constant.fits(*beside)).map(|(constant, _)| constant.place).collect()
    }
}

/// The statement with parameters in the places of constants, but for those in `fixed`. `None`: it has no such constant, or
/// parameters of its own, or asks the catalog.
pub(crate) fn constants(query: &Query, fixed: &[usize]) -> Option<Constants> {
    if finds(query, &mut Fixed) {
        return None;
    }
    let mut lifted = query.clone();
    let mut lifting = Lifting { fixed, seen: 0, constants: Vec::new() };
    // A walk that refuses nothing cannot fail.
    let _walked = write(&mut lifted, &mut lifting);
    let Lifting { seen, constants, .. } = lifting;
    if constants.is_empty() || seen > CONSTANTS_MAX {
        return None;
    }
    let value = |constant: &Constant| -> ArrayRef {
        match &constant.written {
            Written::Text(text) => Arc::new(StringArray::from(vec![text.as_str()])),
            Written::Number(number) => Arc::new(Int64Array::from(vec![*number])),
        }
    };
    let values = constants.iter().map(value).collect();
    // Two trees may print alike.
    let text = format!("{lifted}\0{:016x}{:016x}", hash_of(&lifted, 0), hash_of(&lifted, 1)).into();
    Some(Constants { query: lifted, text, constants, values, charge: None })
}

fn hash_of(query: &Query, seed: u8) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, query).hash(&mut hasher);
    hasher.finish()
}

/// Finds what stays as it is written: a parameter, or a relation of the catalog, of which whole answers are kept.
struct Fixed;

impl Reader for Fixed {
    fn expr(&mut self, expr: &Expr) -> Step {
        if is_parameter(expr) { ControlFlow::Break(Stop::Found) } else { ON }
    }

    fn relation(&mut self, relation: &ObjectName) -> Step {
        let mut names = relation.0.iter().filter_map(ObjectNamePart::as_ident).map(|name| name.value.as_str());
        let is_of_catalog = names.any(|name| name.starts_with("pg_") || name == "information_schema");
        if is_of_catalog { ControlFlow::Break(Stop::Found) } else { ON }
    }
}

struct Lifting<'a> {
    /// Those that stay as they are written.
    fixed: &'a [usize],
    /// Constants so far, in the order of the walk.
    seen: usize,
    constants: Vec<Constant>,
}

impl Writer for Lifting<'_> {
    fn select(&mut self, select: &mut Select) -> Step {
        if let Some(condition) = &mut select.selection {
            self.condition(condition);
        }
        ON
    }
}

impl Lifting<'_> {
    /// Equalities of a column and a constant, and lists of constants in which a column is. Ends of ranges stay: the best plan
    /// depends on them.
    fn condition(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Nested(inner) => self.condition(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.condition(left);
                self.condition(right);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if is_column(left) => self.lift(right),
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if is_column(right) => self.lift(left),
            Expr::InList { expr, list, negated: false } if is_column(expr) && is_of_one_kind(list) => {
                list.iter_mut().for_each(|constant| self.lift(constant));
            }
            // Whatever else is compared stays as it is written.
            _ => {}
        }
    }

    fn lift(&mut self, constant: &mut Expr) {
        let Some(written) = Written::of(constant) else { return };
        let place = self.seen;
        self.seen += 1;
        // Plans are kept where no two values are equal, as equal ones are one to a source.
        let is_known = self.constants.iter().any(|known| known.written == written);
        if self.seen > CONSTANTS_MAX || self.fixed.contains(&place) || is_known {
            return;
        }
        self.constants.push(Constant { written, place });
        *constant = Expr::Value(Value::Placeholder(format!("${}", self.constants.len())).into());
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// In a list of both, texts and numbers meet at a type that neither parameter would have.
fn is_of_one_kind(list: &[Expr]) -> bool {
    let is_text = |one: &Expr| matches!(one, Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_)));
    let is_number = |one: &Expr| matches!(one, Expr::Value(v) if matches!(v.value, Value::Number(_, false)));
    list.len() <= CONSTANTS_MAX && (list.iter().all(is_text) || list.iter().all(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::classify::Classified;
    use crate::sql::parse::parse;
    use arrow::util::display::array_value_to_string;

    fn lifted(sql: &str, fixed: &[usize]) -> Option<Constants> {
        let parsed = parse(sql).unwrap();
        let Classified::Query(query) = parsed[0].class() else { panic!("{sql}") };
        constants(query, fixed)
    }

    fn shown(sql: &str, fixed: &[usize]) -> String {
        let Some(found) = lifted(sql, fixed) else { return "none".to_owned() };
        let values = found.values.iter().map(|value| array_value_to_string(value, 0).unwrap());
        let condition = found.query.to_string();
        format!("{} <- {}", condition.split_once("WHERE ").unwrap().1, values.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn constants_that_columns_equal_become_parameters() {
        for (sql, expected) in [
            ("SELECT 1 FROM t WHERE a = 'x'", "a = $1 <- x"),
            ("SELECT 'y' FROM t WHERE (5 = t.a OR b = 'it''s') AND c > 3", "($1 = t.a OR b = $2) AND c > 3 <- 5, it's"),
            ("SELECT 1 FROM t WHERE a IN (1, 2) AND b IN ('x', 'y')", "a IN ($1, $2) AND b IN ($3, $4) <- 1, 2, x, y"),
            (
                "SELECT 1 FROM t WHERE a = (SELECT max(b) FROM u WHERE c = 3000000000) ORDER BY 1 LIMIT 2",
                "a = (SELECT max(b) FROM u WHERE c = $1) ORDER BY 1 LIMIT 2 <- 3000000000",
            ),
            ("SELECT 1 FROM t WHERE a = 1.5", "none"),
            ("SELECT 1 FROM t WHERE a = 'Today' OR a = 'now'", "none"),
            ("SELECT 1 FROM t WHERE a = 99999999999999999999", "none"),
            ("SELECT 1 FROM t WHERE a = E'x' OR a = DATE '2024-01-01' OR a = NULL OR a = TRUE", "none"),
            ("SELECT 1 FROM t WHERE a IN (1, 'x')", "none"),
            ("SELECT 1 FROM t WHERE a NOT IN (1, 2) OR NOT a = 2 OR a <> 3", "none"),
            ("SELECT 1 FROM t WHERE lower(a) = 'x' AND a + 1 = 2 AND a::int = 3", "none"),
            ("SELECT 1 FROM t WHERE a = 'x' AND b = $1", "none"),
            ("SELECT 1 FROM t, pg_class WHERE a = 'x'", "none"),
            ("SELECT (SELECT 1 FROM information_schema.tables) FROM t WHERE a = 'x'", "none"),
            ("SELECT a = 'x' FROM t GROUP BY a HAVING a = 'y'", "none"),
        ] {
            assert_eq!(shown(sql, &[]), expected, "{sql}");
        }
        assert_eq!(
            shown("SELECT 1 FROM t WHERE a = 1 AND b = 'x' AND c = 2", &[1]),
            "a = $1 AND b = 'x' AND c = $2 <- 1, 2"
        );
        assert_eq!(shown("SELECT 1 FROM t WHERE a = 1", &[0]), "none");
        let many = |count: usize| {
            let list: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            format!("SELECT 1 FROM t WHERE a IN ({})", list.join(", "))
        };
        assert!(lifted(&many(CONSTANTS_MAX), &[]).is_some() && lifted(&many(CONSTANTS_MAX + 1), &[]).is_none());
    }

    /// Statements share a text if they differ by such constants alone.
    #[test]
    fn texts_tell_statements_apart() {
        let text = |sql: &str| lifted(sql, &[]).unwrap().text;
        assert_eq!(text("SELECT a FROM t WHERE b = 'x'"), text("select  a from t where b = 'longer'"));
        let one = text("SELECT a FROM t WHERE b = 'x'");
        for other in [
            "SELECT \"A\" FROM t WHERE b = 'x'",
            "SELECT a FROM t WHERE b = 'x' LIMIT 1",
            "SELECT a FROM t WHERE 'x' = b",
            "SELECT a FROM t WHERE b IN ('x')",
        ] {
            assert_ne!(one, text(other), "{other}");
        }
    }

    /// What stays depends on the types beside it.
    #[test]
    fn constants_that_would_mean_something_else_are_unfit() {
        let found =
            lifted("SELECT 1 FROM t WHERE a = 'x' AND b = 5 AND c IN ('x', 'y') AND t.a = 'x' AND d = 5", &[]).unwrap();
        assert_eq!(
            found.query.to_string(),
            "SELECT 1 FROM t WHERE a = $1 AND b = $2 AND c IN ('x', $3) AND t.a = 'x' AND d = 5"
        );
        let beside = |types: [Option<PgType>; 3]| found.unfit(types.into_iter());
        assert_eq!(beside([Some(PgType::Text), Some(PgType::Int8), Some(PgType::Uuid)]), Vec::<usize>::new());
        assert_eq!(beside([Some(PgType::Bpchar), Some(PgType::Numeric), None]), [0, 1, 3]);
        assert_eq!(beside([Some(PgType::Int4), Some(PgType::Text), Some(PgType::Jsonb)]), [0, 1, 3]);
    }
}
