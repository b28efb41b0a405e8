//! MariaDB's SQL, in the exact forms that were compared with the reference semantics. Refuses what it reads differently.

use crate::compile::columns::{Indexed, reading};
use crate::compile::functions;
use crate::compile::names::quote;
use crate::compile::placeholders::{no_position, numbered};
use crate::connect::session::Flavor;
use crate::wire::bind::PATTERN_ESCAPE;
use crate::wire::declared::Declared;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::{Refusal, RefusalReason, unsupported};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::{ColumnId, TableRef};
use querygate_driver_api::relation::{Encoding, ScanColumn};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, Dialect, RenderedArgs};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// The dialect for one statement.
#[derive(Debug)]
pub(crate) struct MysqlDialect {
    flavor: Flavor,
    /// Declared types of the statement's scanned columns.
    declared: HashMap<ColumnId, Declared>,
    /// No operator of the statement adds rows of NULLs.
    inner_only: bool,
    /// How the operands that are columns may be found by an index.
    indexed: RefCell<HashMap<String, Indexed>>,
    /// Operands that are never NULL.
    present: RefCell<HashSet<String>>,
}

impl MysqlDialect {
    pub(crate) fn new(flavor: Flavor, declared: HashMap<ColumnId, Declared>, inner_only: bool) -> Self {
        Self { flavor, declared, inner_only, indexed: RefCell::default(), present: RefCell::default() }
    }

    fn index_of(&self, operand: &Argument) -> Indexed {
        self.indexed.borrow().get(&operand.text).cloned().unwrap_or(Indexed::No)
    }

    fn collated(&self, operand: &Argument) -> String {
        match self.index_of(operand) {
            Indexed::Text { .. } => operand.text.clone(),
            Indexed::No | Indexed::Binary | Indexed::Coarse { .. } => {
                format!("({} COLLATE {})", operand.text, self.flavor.binary())
            }
        }
    }

    /// `=` or `<=>`, so that an index of either side can be used and decides nothing by itself.
    fn equal(&self, operator: &str, left: &Argument, right: &Argument) -> String {
        match (self.index_of(left), self.index_of(right)) {
            (Indexed::Text { bare: a, .. }, Indexed::Text { bare: b, .. }) => {
                format!("({a} {operator} {} AND {} {operator} {b})", right.text, left.text)
            }
            (Indexed::Text { bare, .. }, _) => format!("({bare} {operator} {})", self.collated(right)),
            (_, Indexed::Text { bare, .. }) => format!("({} {operator} {bare})", self.collated(left)),
            (Indexed::Coarse { wide }, _) => {
                let other = self.wide(right);
                format!("({} {operator} {} AND {wide} {operator} {other})", left.text, right.text)
            }
            (_, Indexed::Coarse { wide }) => {
                format!("({} {operator} {} AND {} {operator} {wide})", left.text, right.text, left.text)
            }
            (Indexed::No | Indexed::Binary, Indexed::No | Indexed::Binary) => {
                format!("({} {operator} {})", left.text, right.text)
            }
        }
    }

    fn wide(&self, operand: &Argument) -> String {
        match self.index_of(operand) {
            Indexed::Coarse { wide } => wide,
            Indexed::No | Indexed::Binary | Indexed::Text { .. } => operand.text.clone(),
        }
    }
}

impl Dialect for MysqlDialect {
    fn quote(&self, name: &str) -> Result<String, Refusal> {
        quote(name)
    }

    fn placeholder(&self) -> fn(usize) -> String {
        numbered
    }

    fn constant(&self, constant: Constant) -> String {
        // In ORDER BY and GROUP BY the source takes even these words for positions; what is computed is none.
        match constant {
            Constant::True => "(1 = 1)",
            Constant::False => "(1 = 0)",
            Constant::Null(_) => "NULL",
        }
        .to_owned()
    }

    fn parameter(&self, placeholder: String, value_type: ValueType) -> String {
        functions::typed(placeholder, value_type)
    }

    fn scan_column(&self, qualified: String, column: &ScanColumn) -> Result<String, Refusal> {
        let declared = self
            .declared
            .get(&column.id)
            .ok_or_else(|| Refusal::new(RefusalReason::Invalid, "a column that the source has not described"))?;
        let reading = reading(&qualified, column, declared, self.flavor);
        if !column.nullable && self.inner_only {
            self.present.borrow_mut().insert(reading.text.clone());
        }
        self.indexed.borrow_mut().insert(reading.text.clone(), reading.index);
        Ok(reading.text)
    }

    fn scan_guard(&self, _table: &TableRef, qualified: &str, column: &ScanColumn) -> Option<String> {
        // TIME also holds spans of up to 838 hours: what is no time of day is never compared.
        let of_day = column.value_type == ValueType::Time && column.encoding == Encoding::Canonical;
        of_day.then(|| format!("({qualified} IS NULL OR {qualified} BETWEEN TIME'00:00:00' AND TIME'23:59:59.999999')"))
    }

    fn comparison(&self, op: ComparisonOp, left: &Argument, right: &Argument) -> Result<String, Refusal> {
        let operator = match op {
            ComparisonOp::Eq => return Ok(self.equal("=", left, right)),
            ComparisonOp::IsNotDistinctFrom => return Ok(self.equal("<=>", left, right)),
            ComparisonOp::IsDistinctFrom => return Ok(format!("(NOT {})", self.equal("<=>", left, right))),
            ComparisonOp::NotEq => "<>",
            ComparisonOp::Lt => "<",
            ComparisonOp::LtEq => "<=",
            ComparisonOp::Gt => ">",
            ComparisonOp::GtEq => ">=",
        };
        Ok(format!("({} {operator} {})", left.text, right.text))
    }

    fn in_list(&self, expr: &Argument, list: &[Argument], negated: bool) -> Result<String, Refusal> {
        let list_of = |texts: Vec<String>| texts.join(", ");
        let plain = || list_of(list.iter().map(|item| item.text.clone()).collect());
        let not = if negated { "NOT " } else { "" };
        Ok(match self.index_of(expr) {
            Indexed::Text { bare, .. } if !negated => {
                format!("({bare} IN ({}))", list_of(list.iter().map(|item| self.collated(item)).collect()))
            }
            Indexed::Coarse { wide } if !negated => {
                let items = plain();
                format!("({} IN ({items}) AND {wide} IN ({items}))", expr.text)
            }
            Indexed::Coarse { wide } => format!("({wide} NOT IN ({}))", plain()),
            Indexed::No | Indexed::Binary | Indexed::Text { .. } => format!("({} {not}IN ({}))", expr.text, plain()),
        })
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
            return unsupported("the source folds case and accents in another way");
        }
        let bound = call.bind(pattern, BindingForm::Pattern);
        let like = |operand: &str| format!("{operand} LIKE {bound} ESCAPE '{PATTERN_ESCAPE}'");
        let index = self.indexed.borrow().get(text).cloned().unwrap_or(Indexed::No);
        // Bare, the server would look for a pattern's prefix in an index, where it loses rows: CONCAT hides the column.
        let exact = like(&format!("(CONCAT({text}) COLLATE {})", self.flavor.binary()));
        let found = match index {
            _ if negated => return Ok(format!("(NOT {exact})")),
            Indexed::Text { bare, like: true } => format!("({} AND {exact})", like(&bare)),
            Indexed::Binary => {
                let prefix = call.bind(pattern, BindingForm::PatternPrefix);
                format!("({text} >= {prefix} AND {exact})")
            }
            Indexed::No | Indexed::Text { .. } | Indexed::Coarse { .. } => format!("({exact})"),
        };
        Ok(found)
    }

    fn negate(&self, argument: &Argument) -> String {
        format!("(- {})", operand(argument, argument.value_type))
    }

    fn arithmetic(
        &self,
        op: ArithmeticOp,
        left: &Argument,
        right: &Argument,
        to: ValueType,
    ) -> Result<String, Refusal> {
        let operator = match op {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide | ArithmeticOp::Remainder => {
                return unsupported("the source gives NULL for division by zero");
            }
        };
        let (left, right) = (operand(left, to), operand(right, to));
        if op == ArithmeticOp::Subtract && to == ValueType::Int64 {
            // MariaDB does not notice that a - least overflows for an a from 0 on; the sum in its place does.
            return Ok(format!(
                "(CASE WHEN {right} < -9223372036854775807 AND {left} >= 0 THEN {left} + 9223372036854775807 + 1 \
                 ELSE {left} - {right} END)"
            ));
        }
        Ok(format!("({left} {operator} {right})"))
    }

    fn cast(&self, argument: &Argument, to: ValueType) -> Result<String, Refusal> {
        functions::cast(argument, to)
    }

    fn function(&self, function: ScalarFunction, call: RenderedArgs<'_>, to: ValueType) -> Result<String, Refusal> {
        functions::function(function, call, to)
    }

    fn aggregate(&self, aggregate: &AggregateExpr, args: &[Argument]) -> Result<String, Refusal> {
        let argument = args.first().map_or("*", |argument| argument.text.as_str());
        functions::aggregate(aggregate, args.first(), argument)
    }

    fn filtered(&self, aggregate: &AggregateExpr, args: &[Argument], condition: &str) -> Result<String, Refusal> {
        let argument = args.first().map_or("1", |argument| argument.text.as_str());
        let kept = format!("(CASE WHEN {condition} THEN {argument} END)");
        if aggregate.function == AggregateFunction::CountStar {
            return Ok(format!("COUNT{kept}"));
        }
        functions::aggregate(aggregate, args.first(), &kept)
    }

    fn filters_groups(&self) -> bool {
        false
    }

    fn limits_in_lists(&self) -> bool {
        false
    }

    fn derived_see_outside(&self) -> bool {
        false
    }

    fn group_key(&self, text: &str) -> String {
        no_position(text)
    }

    fn sort_key(&self, text: &str, ascending: bool, nulls_first: bool) -> String {
        let text = &no_position(text);
        let direction = if ascending { "ASC" } else { "DESC" };
        // The source puts NULLs first in ASC and last in DESC.
        if ascending == nulls_first || self.present.borrow().contains(text) {
            return format!("{text} {direction}");
        }
        let nulls = if nulls_first { "DESC" } else { "ASC" };
        format!("({text} IS NULL) {nulls}, {text} {direction}")
    }

    fn limit(&self, skip: u64, fetch: Option<u64>) -> String {
        let fetch = fetch.unwrap_or(u64::MAX);
        if skip == 0 { format!(" LIMIT {fetch}") } else { format!(" LIMIT {fetch} OFFSET {skip}") }
    }

    fn fence(&self) -> &'static str {
        " LIMIT 18446744073709551615"
    }
}

/// An operand of arithmetic of a type.
fn operand(argument: &Argument, of: ValueType) -> String {
    match (of, argument.value_type) {
        // An unsigned operand would make the result unsigned.
        (ValueType::Int64, _) => format!("CAST({} AS SIGNED)", argument.text),
        // Integers kept as such would overflow as such.
        (ValueType::Decimal128 { .. }, ValueType::Decimal128 { precision, scale }) => {
            format!("CAST({} AS DECIMAL({precision},{scale}))", argument.text)
        }
        _ => argument.text.clone(),
    }
}
