//! SQLite's SQL, in the exact forms that were compared with the reference semantics. Refuses what SQLite reads differently.

use crate::functions;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::{Refusal, RefusalReason, unsupported};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, ScanColumn, SetOp};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, Dialect, RenderedArgs};
use std::collections::{HashMap, HashSet};

/// Columns of which SQLite itself makes sure that they hold only their declared storage class.
pub(crate) type Enforced = HashMap<TableRef, HashSet<Identifier>>;

/// The dialect, with what is known of the tables.
#[derive(Debug)]
pub(crate) struct SqliteDialect<'a> {
    pub(crate) enforced: &'a Enforced,
}

/// A quoted identifier. It must always stand behind a qualifier: SQLite reads an unknown bare `"name"` as a string.
pub(crate) fn quote(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.contains('\0') {
        return Err(Refusal::new(RefusalReason::Name, "name is empty or holds a NUL"));
    }
    if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_")) {
        return Err(Refusal::new(RefusalReason::Name, "name is reserved by the source"));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

fn placeholder(number: usize) -> String {
    format!("?{number}")
}

impl Dialect for SqliteDialect<'_> {
    fn quote(&self, name: &str) -> Result<String, Refusal> {
        quote(name)
    }

    fn placeholder(&self) -> fn(usize) -> String {
        placeholder
    }

    fn constant(&self, constant: Constant) -> String {
        // Words, not digits: a digit in ORDER BY or GROUP BY would be a position.
        match constant {
            Constant::True => "TRUE",
            Constant::False => "FALSE",
            Constant::Null(_) => "NULL",
        }
        .to_owned()
    }

    fn scan_column(&self, qualified: String, column: &ScanColumn) -> Result<String, Refusal> {
        // Numbers among texts, as SQLite prints them, but for doubles of which that is another one; a blob is no text.
        if (column.value_type, column.encoding.stored()) == (ValueType::Text, Encoding::Text) {
            let printed = format!("CAST({qualified} AS TEXT)");
            return Ok(format!(
                "CASE WHEN typeof({qualified}) = 'blob' THEN {qualified} \
                 WHEN typeof({qualified}) = 'real' AND CAST({printed} AS REAL) <> {qualified} THEN printf('%!.17g', {qualified}) \
                 ELSE {printed} END"
            ));
        }
        match &column.collation {
            Collation::Binary => Ok(qualified),
            Collation::Named(_) => Ok(format!("({qualified} COLLATE BINARY)")),
        }
    }

    fn scan_guard(&self, table: &TableRef, qualified: &str, column: &ScanColumn) -> Option<String> {
        let enforced = self.enforced.get(table).is_some_and(|columns| columns.contains(&column.name));
        if enforced || column.encoding != Encoding::Canonical {
            return None;
        }
        let classes = match column.value_type {
            ValueType::Boolean
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Decimal128 { .. } => "'integer', 'null'",
            ValueType::Float32 | ValueType::Float64 => "'real', 'integer', 'null'",
            ValueType::Text
            | ValueType::Date
            | ValueType::Time
            | ValueType::Timestamp { .. }
            | ValueType::TextList
            | ValueType::List(_) => "'text', 'null'",
            ValueType::Binary => "'blob', 'null'",
        };
        Some(format!("(typeof({qualified}) IN ({classes}))"))
    }

    fn comparison(&self, op: ComparisonOp, left: &Argument, right: &Argument) -> Result<String, Refusal> {
        let operator = match op {
            ComparisonOp::Eq => "=",
            ComparisonOp::NotEq => "<>",
            ComparisonOp::Lt => "<",
            ComparisonOp::LtEq => "<=",
            ComparisonOp::Gt => ">",
            ComparisonOp::GtEq => ">=",
            ComparisonOp::IsDistinctFrom => "IS NOT",
            ComparisonOp::IsNotDistinctFrom => "IS",
        };
        Ok(format!("({} {operator} {})", left.text, right.text))
    }

    fn unknown(&self) -> &'static str {
        "NULL"
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
            return unsupported("the source folds case only in ASCII");
        }
        let glob = call.bind(pattern, BindingForm::Pattern);
        Ok(format!("({text} {}GLOB {glob})", if negated { "NOT " } else { "" }))
    }

    fn arithmetic(
        &self,
        op: ArithmeticOp,
        left: &Argument,
        right: &Argument,
        _to: ValueType,
    ) -> Result<String, Refusal> {
        let operator = match op {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide | ArithmeticOp::Remainder => {
                return unsupported("the source gives NULL for division by zero");
            }
        };
        Ok(format!("({} {operator} {})", left.text, right.text))
    }

    fn cast(&self, argument: &Argument, to: ValueType) -> Result<String, Refusal> {
        functions::cast(argument, to)
    }

    fn function(&self, function: ScalarFunction, call: RenderedArgs<'_>, to: ValueType) -> Result<String, Refusal> {
        functions::function(function, call, to)
    }

    fn aggregate(&self, aggregate: &AggregateExpr, args: &[Argument]) -> Result<String, Refusal> {
        let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
        let name = match aggregate.function {
            AggregateFunction::CountStar => return Ok("count(*)".to_owned()),
            AggregateFunction::Count => "count",
            AggregateFunction::Sum => "sum",
            AggregateFunction::Min | AggregateFunction::BoolAnd => "min",
            AggregateFunction::Max | AggregateFunction::BoolOr => "max",
            AggregateFunction::Avg => "avg",
            AggregateFunction::StddevSamp
            | AggregateFunction::StddevPop
            | AggregateFunction::VarSamp
            | AggregateFunction::VarPop => return unsupported("the source has no such aggregate"),
        };
        let argument = args.first().map_or("", |argument| argument.text.as_str());
        Ok(format!("{name}({distinct}{argument})"))
    }

    fn sort_key(&self, text: &str, ascending: bool, nulls_first: bool) -> String {
        let direction = if ascending { "ASC" } else { "DESC" };
        let nulls = if nulls_first { "FIRST" } else { "LAST" };
        format!("{text} {direction} NULLS {nulls}")
    }

    fn set_operation(&self, op: SetOp, all: bool) -> Result<&'static str, Refusal> {
        match (op, all) {
            (SetOp::Union, true) => Ok("UNION ALL"),
            (SetOp::Union, false) => Ok("UNION"),
            (SetOp::Intersect, false) => Ok("INTERSECT"),
            (SetOp::Except, false) => Ok("EXCEPT"),
            (SetOp::Intersect | SetOp::Except, true) => unsupported("the source has no INTERSECT ALL or EXCEPT ALL"),
        }
    }

    fn limit(&self, skip: u64, fetch: Option<u64>) -> String {
        // Beyond i64 there are no rows to fetch, and a skip that large leaves none.
        let fetch = fetch.and_then(|fetch| i64::try_from(fetch).ok()).unwrap_or(-1);
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        if skip == 0 { format!(" LIMIT {fetch}") } else { format!(" LIMIT {fetch} OFFSET {skip}") }
    }

    fn fence(&self) -> &'static str {
        " LIMIT -1"
    }
}
