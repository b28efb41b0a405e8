//! Constants that a statement compares columns with, as parameters: a statement that is the same but for them is bound and planned once.
//! Which of them may stay parameters is known once it is bound, by the types that they are compared with. Of statements that ask the
//! catalog, names and numbers of objects are parameters, by which clients describe one table after the other.

use super::parameters::is_parameter;
use crate::sql::walk::{ON, Reader, Step, Stop, Writer, finds, write};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Query, Select, Value,
};
use querygate_pg_catalog::PgCatalog;
use querygate_semantics::typing::follows_clock;
use querygate_types::PgType;
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Constants of one statement at most; one with more of them is bound as it stands.
const CONSTANTS_MAX: usize = 32;
/// What a constant takes beside its text, with its value in an array, estimated.
const CONSTANT_BYTES: usize = 256;
/// In statements that ask the catalog, shorter constants are codes of its own, such as kinds of relations, and flags.
const NAME_LEAST: usize = 2;
const NUMBER_LEAST: i64 = 1_000;
/// Functions that clients ask about the number of an object. What others make of a text may depend on its being a constant.
const OF_OBJECTS: [&str; 4] =
    ["pg_get_partkeydef", "pg_partition_ancestors", "pg_relation_is_publishable", "pg_table_is_visible"];

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
    /// What all that takes of memory, estimated.
    pub(crate) bytes: usize,
}

/// A constant that is a parameter.
#[derive(Debug)]
pub(crate) struct Constant {
    written: Written,
    /// Whether a function of the catalog is asked about it, which reads a text.
    is_argument: bool,
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

    /// Whether it is too short for the name or the number of an object.
    fn is_code(&self) -> bool {
        match self {
            Self::Text(text) => text.len() < NAME_LEAST,
            Self::Number(number) => *number < NUMBER_LEAST,
        }
    }
}

impl Constant {
    /// Whether a parameter beside this type means the same as the constant does.
    fn fits(&self, beside: Option<PgType>) -> bool {
        let Some(beside) = beside else { return self.is_argument };
        match self.written {
            Written::Text(_) => matches!(
                beside,
                PgType::Text
                    | PgType::Varchar
                    | PgType::Name
                    | PgType::Uuid
                    | PgType::Date
                    | PgType::Oid
                    | PgType::Regclass
            ),
            Written::Number(number) => match beside {
                PgType::Int2 | PgType::Int4 | PgType::Int8 => true,
                PgType::Oid => u32::try_from(number).is_ok(),
                _ => false,
            },
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
/// parameters of its own. `asks_catalog`: what [`asks_catalog`] says of it; `bytes`: of its tree, estimated.
pub(crate) fn constants(query: &Query, asks_catalog: bool, fixed: &[usize], bytes: usize) -> Option<Constants> {
    if finds(query, &mut OwnParameters) {
        return None;
    }
    let mut lifted = query.clone();
    let mut lifting = Lifting { fixed, asks_catalog, seen: 0, constants: Vec::new() };
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
    let text: Arc<str> = format!("{lifted}\0{:016x}{:016x}", hash_of(&lifted, 0), hash_of(&lifted, 1)).into();
    let bytes = bytes.saturating_add(text.len()).saturating_add(constants.len().saturating_mul(CONSTANT_BYTES));
    Some(Constants { query: lifted, text, constants, values, bytes })
}

/// Whether a relation that it names is one of the catalog.
pub(crate) fn asks_catalog(query: &Query) -> bool {
    finds(query, &mut CatalogRelations)
}

fn hash_of(query: &Query, seed: u8) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, query).hash(&mut hasher);
    hasher.finish()
}

struct OwnParameters;

impl Reader for OwnParameters {
    fn expr(&mut self, expr: &Expr) -> Step {
        if is_parameter(expr) { ControlFlow::Break(Stop::Found) } else { ON }
    }
}

struct CatalogRelations;

impl Reader for CatalogRelations {
    fn relation(&mut self, relation: &ObjectName) -> Step {
        let mut names = relation.0.iter().filter_map(ObjectNamePart::as_ident).map(folded);
        let is_system = |name: &str| PgCatalog::system_oid("pg_catalog", name).is_some();
        let is_of_catalog = names.any(|name| name == "pg_catalog" || name == "information_schema" || is_system(&name));
        if is_of_catalog { ControlFlow::Break(Stop::Found) } else { ON }
    }
}

struct Lifting<'a> {
    /// Those that stay as they are written.
    fixed: &'a [usize],
    asks_catalog: bool,
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

    /// The number of an object that a function of the catalog is asked about, or that is named by a cast.
    fn expr(&mut self, expr: &mut Expr) -> Step {
        if !self.asks_catalog {
            return ON;
        }
        match expr {
            Expr::Function(call) if last_name(&call.name).is_some_and(|name| OF_OBJECTS.contains(&&*name)) => {
                if let FunctionArguments::List(list) = &mut call.args {
                    for argument in &mut list.args {
                        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
                            self.lift_number_of_object(argument);
                        }
                    }
                }
            }
            Expr::Cast { expr, data_type: DataType::Custom(name, _), .. }
                if last_name(name).is_some_and(|name| name == "regclass") =>
            {
                self.lift_number_of_object(expr);
            }
            _ => {}
        }
        ON
    }
}

fn last_name(name: &ObjectName) -> Option<Cow<'_, str>> {
    name.0.last().and_then(ObjectNamePart::as_ident).map(folded)
}

/// A name as it is looked up: without quotes in small letters.
fn folded(name: &Ident) -> Cow<'_, str> {
    let is_as_written = name.quote_style.is_some() || !name.value.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_as_written { Cow::Borrowed(&name.value) } else { Cow::Owned(name.value.to_ascii_lowercase()) }
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
            // What psql makes of a name.
            Expr::BinaryOp { left, op, right } if self.asks_catalog && is_column(left) && is_match(op) => {
                match right.as_mut() {
                    Expr::Collate { expr: pattern, .. } => self.lift(pattern),
                    pattern => self.lift(pattern),
                }
            }
            Expr::InList { expr, list, negated: false } if is_column(expr) && is_of_one_kind(list) => {
                list.iter_mut().for_each(|constant| self.lift(constant));
            }
            // Whatever else is compared stays as it is written.
            _ => {}
        }
    }

    fn lift_number_of_object(&mut self, constant: &mut Expr) {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if matches!(Written::of(constant), Some(Written::Text(text)) if digits(&text)) {
            self.lift_as(constant, true);
        }
    }

    fn lift(&mut self, constant: &mut Expr) {
        self.lift_as(constant, false);
    }

    fn lift_as(&mut self, constant: &mut Expr, is_argument: bool) {
        let Some(written) = Written::of(constant) else { return };
        if self.asks_catalog && written.is_code() {
            return;
        }
        let place = self.seen;
        self.seen += 1;
        // Plans are kept where no two values are equal, as equal ones are one to a source; the catalog is none.
        let is_known = !self.asks_catalog && self.constants.iter().any(|known| known.written == written);
        if self.seen > CONSTANTS_MAX || self.fixed.contains(&place) || is_known {
            return;
        }
        self.constants.push(Constant { written, is_argument, place });
        *constant = Expr::Value(Value::Placeholder(format!("${}", self.constants.len())).into());
    }
}

fn is_match(op: &BinaryOperator) -> bool {
    match op {
        BinaryOperator::PGRegexMatch => true,
        BinaryOperator::PGCustomBinaryOperator(name) => name.last().is_some_and(|name| name == "~"),
        _ => false,
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
        constants(query, asks_catalog(query), fixed, 0)
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
            (
                "SELECT 1 FROM pg_class WHERE relkind = 'r' AND relname = 'one' AND oid = '17'",
                "relkind = 'r' AND relname = $1 AND oid = $2 <- one, 17",
            ),
            ("SELECT 1 FROM PG_CATALOG.PG_CLASS WHERE relnatts = 3 AND oid = '17'", "relnatts = 3 AND oid = $1 <- 17"),
            ("SELECT 1 FROM \"PG_CLASS\" WHERE relnatts = 3 AND oid = '17'", "relnatts = $1 AND oid = $2 <- 3, 17"),
            (
                "SELECT 1 FROM pg_class c WHERE c.oid = '17' AND pg_table_is_visible('17') AND 3 = relnatts",
                "c.oid = $1 AND pg_table_is_visible($2) AND 3 = relnatts <- 17, 17",
            ),
            (
                "SELECT 1 FROM pg_class c WHERE relname OPERATOR(pg_catalog.~) '^(a)$' COLLATE pg_catalog.default",
                "relname OPERATOR(pg_catalog.~) $1 COLLATE pg_catalog.default <- ^(a)$",
            ),
            (
                "SELECT 1 FROM pg_class c WHERE oid IN (SELECT pg_partition_ancestors('1700') UNION ALL VALUES ('1700'::pg_catalog.regclass))",
                "oid IN (SELECT pg_partition_ancestors($1) UNION ALL VALUES ($2::pg_catalog.regclass)) <- 1700, 1700",
            ),
            (
                "SELECT 1 FROM pg_class c WHERE pg_typeof('17') = 'text' AND pg_table_is_visible('a') AND 'a'::regclass = oid AND oid <> '17'",
                "none",
            ),
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
