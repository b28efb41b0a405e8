//! PostgreSQL's SQL, in the exact forms that were compared with the reference semantics. Refuses what it reads differently.

use crate::compile::collations::Found;
use crate::compile::functions;
use crate::compile::index_equality;
use crate::compile::unreadable;
use crate::wire::bind::list_type;
use crate::wire::declared;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::{Refusal, RefusalReason, unsupported};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, Dialect, RenderedArgs};

/// Longest name, in bytes: the server cuts longer ones without a word.
const NAME_BYTES_MAX: usize = 63;
/// Columns that every table has and no schema lists.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// The dialect, with what the statement's texts need.
#[derive(Debug)]
pub(crate) struct PostgresDialect {
    /// Order must be asked for by code point; otherwise the database's own order is that.
    collate: bool,
    /// Texts of several collations meet: each says `COLLATE "C"` for itself.
    separate: bool,
}

impl PostgresDialect {
    /// For a fragment's statement.
    pub(crate) fn new(relation: &Relation) -> Self {
        let found = Found::of(relation);
        Self { collate: found.named, separate: found.conflict.len() > usize::from(!found.plain) }
    }
}

/// A quoted identifier.
pub(crate) fn quote(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.contains('\0') {
        return Err(Refusal::new(RefusalReason::Name, "name is empty or holds a NUL"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Refusal::new(RefusalReason::Name, "name is longer than the source's names"));
    }
    if SYSTEM_COLUMNS.contains(&name) {
        return Err(Refusal::new(RefusalReason::Name, "name is of a system column"));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

fn placeholder(number: usize) -> String {
    format!("${number}")
}

/// The server's name of a type.
pub(crate) fn type_name(value_type: ValueType) -> String {
    match value_type {
        ValueType::Boolean => "bool",
        ValueType::Int16 => "int2",
        ValueType::Int32 => "int4",
        ValueType::Int64 => "int8",
        ValueType::Float32 => "float4",
        ValueType::Float64 => "float8",
        ValueType::Decimal128 { precision, scale } => return format!("numeric({precision},{scale})"),
        ValueType::Text => "text",
        ValueType::Binary => "bytea",
        ValueType::Date => "date",
        ValueType::Time => "time",
        ValueType::Timestamp { utc: false } => "timestamp",
        ValueType::Timestamp { utc: true } => "timestamptz",
        ValueType::TextList => "text[]",
        ValueType::List(item) => return format!("{}[]", type_name(item.value_type())),
    }
    .to_owned()
}

/// An operand in its declared type: a column may be of a narrower one, and the server computes in what it finds. A
/// decimal becomes a numeric of any width, so that nothing is rounded before it must be.
pub(crate) fn widened(argument: &Argument) -> String {
    match argument.value_type {
        ValueType::Decimal128 { .. } => format!("{}::numeric", argument.text),
        _ if argument.parameter.is_some() => argument.text.clone(),
        value_type => format!("{}::{}", argument.text, type_name(value_type)),
    }
}

impl Dialect for PostgresDialect {
    fn quote(&self, name: &str) -> Result<String, Refusal> {
        quote(name)
    }

    fn placeholder(&self) -> fn(usize) -> String {
        placeholder
    }

    fn constant(&self, constant: Constant) -> String {
        // With a type, so that none of them is a position or a bare word in ORDER BY or GROUP BY.
        match constant {
            Constant::True => "TRUE::bool".to_owned(),
            Constant::False => "FALSE::bool".to_owned(),
            Constant::Null(value_type) => format!("NULL::{}", type_name(value_type)),
        }
    }

    fn scan_column(&self, qualified: String, column: &ScanColumn) -> Result<String, Refusal> {
        let qualified = match column.encoding {
            Encoding::CanonicalOrNull => unreadable::as_null(&qualified, column.value_type),
            _ => qualified,
        };
        Ok(match (column.value_type, &column.collation) {
            (ValueType::Text, Collation::Binary) if column.encoding.stored() == Encoding::Text => {
                format!("{qualified}::text")
            }
            (ValueType::Text, Collation::Binary) => qualified,
            (ValueType::Text, Collation::Named(name)) => {
                if let Some(native) = name.strip_prefix(declared::CAST) {
                    index_equality::read(&qualified, native)
                } else if name.starts_with(declared::NONDETERMINISTIC)
                    || (self.separate && !matches!(name.as_ref(), declared::DEFAULT | declared::C))
                {
                    format!("({qualified} COLLATE \"C\")")
                } else {
                    qualified
                }
            }
            // No work where the column is of this type already, and its index stays.
            (ValueType::Float64, _) => format!("{qualified}::float8"),
            (ValueType::TextList, _) => format!("{qualified}::text[]"),
            _ => qualified,
        })
    }

    fn scan_guard(&self, _table: &TableRef, _qualified: &str, _column: &ScanColumn) -> Option<String> {
        None
    }

    fn comparison(&self, op: ComparisonOp, left: &Argument, right: &Argument) -> Result<String, Refusal> {
        if let (ComparisonOp::Eq, Some(text)) = (op, index_equality::equal(left, right)) {
            return Ok(text);
        }
        if let (ComparisonOp::NotEq, Some(text)) = (op, index_equality::unequal(left, right)) {
            return Ok(text);
        }
        let operator = match op {
            ComparisonOp::Eq => "=",
            ComparisonOp::NotEq => "<>",
            ComparisonOp::IsDistinctFrom => "IS DISTINCT FROM",
            ComparisonOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            ComparisonOp::Lt => return Ok(format!("({} < {})", self.ordered(left), right.text)),
            ComparisonOp::LtEq => return Ok(format!("({} <= {})", self.ordered(left), right.text)),
            ComparisonOp::Gt => return Ok(format!("({} > {})", self.ordered(left), right.text)),
            ComparisonOp::GtEq => return Ok(format!("({} >= {})", self.ordered(left), right.text)),
        };
        Ok(format!("({} {operator} {})", left.text, right.text))
    }

    fn in_list(&self, expr: &Argument, list: &[Argument], negated: bool) -> Result<String, Refusal> {
        let not = if negated { "NOT " } else { "" };
        if let Some(text) = index_equality::listed(expr, list) {
            return Ok(format!("({not}{text})"));
        }
        let items: Vec<&str> = list.iter().map(|item| item.text.as_str()).collect();
        Ok(format!("({} {not}IN ({}))", expr.text, items.join(", ")))
    }

    fn any_of(&self, expr: &Argument, of: ValueType, placeholder: &str, negated: bool) -> Option<String> {
        if list_type(of).is_none() || index_equality::is_read_as_text(expr) {
            return None;
        }
        let any = if negated { "<> ALL" } else { "= ANY" };
        Some(format!("({} {any} ({placeholder}))", expr.text))
    }

    fn like(
        &self,
        text: &str,
        pattern: usize,
        negated: bool,
        fold: bool,
        mut call: RenderedArgs<'_>,
    ) -> Result<String, Refusal> {
        if fold {
            return unsupported("the source folds case by its locale");
        }
        let pattern = call.bind(pattern, BindingForm::Pattern);
        Ok(format!("({text} {}LIKE {pattern})", if negated { "NOT " } else { "" }))
    }

    fn arithmetic(
        &self,
        op: ArithmeticOp,
        left: &Argument,
        right: &Argument,
        to: ValueType,
    ) -> Result<String, Refusal> {
        functions::arithmetic(op, left, right, to)
    }

    fn negate(&self, argument: &Argument) -> String {
        format!("(- {})", widened(argument))
    }

    fn cast(&self, argument: &Argument, to: ValueType) -> Result<String, Refusal> {
        functions::cast(argument, to)
    }

    fn function(&self, function: ScalarFunction, call: RenderedArgs<'_>, to: ValueType) -> Result<String, Refusal> {
        functions::function(self, function, call, to)
    }

    fn aggregate(&self, aggregate: &AggregateExpr, args: &[Argument]) -> Result<String, Refusal> {
        Ok(typed(aggregate, self.call(aggregate, args, "")))
    }

    fn filtered(&self, aggregate: &AggregateExpr, args: &[Argument], condition: &str) -> Result<String, Refusal> {
        Ok(typed(aggregate, self.call(aggregate, args, &format!(" FILTER (WHERE {condition})"))))
    }

    fn ordered(&self, argument: &Argument) -> String {
        if self.collate && argument.value_type == ValueType::Text {
            format!("({} COLLATE \"C\")", argument.text)
        } else {
            argument.text.clone()
        }
    }

    fn group_key(&self, text: &str) -> String {
        index_equality::group_key(text).to_owned()
    }

    fn sort_key(&self, text: &str, ascending: bool, nulls_first: bool) -> String {
        match (ascending, nulls_first) {
            (true, false) => format!("{text} ASC"),
            (false, true) => format!("{text} DESC"),
            (true, true) => format!("{text} ASC NULLS FIRST"),
            (false, false) => format!("{text} DESC NULLS LAST"),
        }
    }

    fn limit(&self, skip: u64, fetch: Option<u64>) -> String {
        // Beyond i64 there are no rows to fetch, and a skip that large leaves none.
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let limit = fetch.map(|fetch| format!(" LIMIT {}", whole(fetch))).unwrap_or_default();
        if skip == 0 && fetch.is_some() { limit } else { format!("{limit} OFFSET {}", whole(skip)) }
    }

    /// PostgreSQL, WITH: a query that is named more than once is not folded into the parent query.
    fn computes_once(&self) -> bool {
        true
    }

    fn fence(&self) -> &'static str {
        " OFFSET 0"
    }
}

impl PostgresDialect {
    fn call(&self, aggregate: &AggregateExpr, args: &[Argument], filter: &str) -> String {
        let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
        let Some(argument) = args.first() else { return format!("count(*){filter}") };
        let is_boolean = argument.value_type == ValueType::Boolean;
        let (name, text) = match aggregate.function {
            AggregateFunction::CountStar => return format!("count(*){filter}"),
            AggregateFunction::Count => ("count", argument.text.clone()),
            AggregateFunction::Sum => ("sum", argument.text.clone()),
            // false < true.
            AggregateFunction::Min | AggregateFunction::BoolAnd if is_boolean => ("bool_and", argument.text.clone()),
            AggregateFunction::Max | AggregateFunction::BoolOr if is_boolean => ("bool_or", argument.text.clone()),
            AggregateFunction::Min | AggregateFunction::BoolAnd => ("min", self.ordered(argument)),
            AggregateFunction::Max | AggregateFunction::BoolOr => ("max", self.ordered(argument)),
            AggregateFunction::Avg => match aggregate.value_type {
                ValueType::Decimal128 { scale, .. } => {
                    let of = |name: &str| format!("{name}({distinct}{}){filter}", argument.text);
                    return quotient(&of("sum"), &of("count"), usize::try_from(scale).unwrap_or(0));
                }
                _ => ("avg", format!("{}::float8", argument.text)),
            },
            AggregateFunction::StddevSamp => ("stddev_samp", format!("{}::float8", argument.text)),
            AggregateFunction::StddevPop => ("stddev_pop", format!("{}::float8", argument.text)),
            AggregateFunction::VarSamp => ("var_samp", format!("{}::float8", argument.text)),
            AggregateFunction::VarPop => ("var_pop", format!("{}::float8", argument.text)),
        };
        format!("{name}({distinct}{text}){filter}")
    }
}

/// The exact quotient, cut to so many digits: `avg` and `/` round, and to a number of digits of their own.
fn quotient(sum: &str, count: &str, digits: usize) -> String {
    let zeros = "0".repeat(digits);
    let unit = if digits == 0 { "1".to_owned() } else { format!("0.{:0>digits$}", 1) };
    format!("(div({sum} * 1{zeros}::numeric, {count}) * {unit}::numeric)")
}

/// A sum of bigints is a numeric there; ours raises beyond bigint.
fn typed(aggregate: &AggregateExpr, call: String) -> String {
    if aggregate.function == AggregateFunction::Sum && aggregate.value_type == ValueType::Int64 {
        format!("{call}::int8")
    } else {
        call
    }
}
