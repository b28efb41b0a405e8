//! What differs between SQL dialects: one trait, every method a decision that the shared printer must not make.

use querygate_driver_api::aggregate::AggregateExpr;
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::relation::{ScanColumn, SetOp};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Constant, Truth};
use querygate_driver_api::value::ValueType;

/// A printed operand with what the dialect may need to know of it.
#[derive(Debug, Clone)]
pub struct Argument {
    /// SQL text, safe to put beside any operator.
    pub text: String,
    pub value_type: ValueType,
    /// The fragment's parameter, if the operand is one.
    pub parameter: Option<usize>,
}

/// Printed arguments of a call, and a way to bind parameters in another form.
#[derive(Debug)]
pub struct RenderedArgs<'a> {
    pub args: &'a [Argument],
    pub(crate) bind: &'a mut crate::bindings::Bindings,
    pub(crate) placeholder: fn(usize) -> String,
}

/// A dialect. Texts that it returns are complete operands (in parentheses where needed).
pub trait Dialect {
    /// A quoted identifier.
    ///
    /// # Errors
    /// A name that the source cannot hold or that cannot be quoted safely.
    fn quote(&self, name: &str) -> Result<String, Refusal>;
    /// The placeholder of a native parameter, from 1.
    fn placeholder(&self) -> fn(usize) -> String;
    fn constant(&self, constant: Constant) -> String;
    /// A parameter's placeholder as an operand, where the source must be told its type.
    fn parameter(&self, placeholder: String, value_type: ValueType) -> String {
        let _ = value_type;
        placeholder
    }
    /// How a scan's column is read, so that above it text compares by code point.
    ///
    /// # Errors
    /// A collation that cannot be overridden.
    fn scan_column(&self, qualified: String, column: &ScanColumn) -> Result<String, Refusal>;
    /// A condition under which a column's value has its declared type, for columns that are computed with.
    fn scan_guard(&self, table: &TableRef, qualified: &str, column: &ScanColumn) -> Option<String>;
    fn comparison(&self, op: ComparisonOp, left: &Argument, right: &Argument) -> Result<String, Refusal>;
    /// `expr [NOT] IN (list)`; the list has a member.
    ///
    /// # Errors
    /// No exact form.
    fn in_list(&self, expr: &Argument, list: &[Argument], negated: bool) -> Result<String, Refusal> {
        let items: Vec<&str> = list.iter().map(|item| item.text.as_str()).collect();
        Ok(format!("({} {}IN ({}))", expr.text, if negated { "NOT " } else { "" }, items.join(", ")))
    }
    /// `expr [NOT] IN` the list that is bound to this placeholder, whose values are of this type. `None`: its values are bound one
    /// by one.
    fn any_of(&self, expr: &Argument, of: ValueType, placeholder: &str, negated: bool) -> Option<String> {
        let _ = (expr, of, placeholder, negated);
        None
    }
    fn truth(&self, text: &str, truth: Truth, negated: bool) -> String {
        let not = if negated { "NOT " } else { "" };
        let truth = match truth {
            Truth::True => "TRUE",
            Truth::False => "FALSE",
            Truth::Unknown => self.unknown(),
        };
        format!("({text} IS {not}{truth})")
    }
    /// The truth value that is neither, behind IS.
    fn unknown(&self) -> &'static str {
        "UNKNOWN"
    }
    /// A case-sensitive or insensitive LIKE against a pattern parameter.
    ///
    /// # Errors
    /// No exact rewrite.
    fn like(
        &self,
        text: &str,
        pattern: usize,
        negated: bool,
        fold: bool,
        call: RenderedArgs<'_>,
    ) -> Result<String, Refusal>;
    fn arithmetic(&self, op: ArithmeticOp, left: &Argument, right: &Argument, to: ValueType)
    -> Result<String, Refusal>;
    fn cast(&self, argument: &Argument, to: ValueType) -> Result<String, Refusal>;
    fn function(&self, function: ScalarFunction, call: RenderedArgs<'_>, to: ValueType) -> Result<String, Refusal>;
    /// The call without its filter.
    fn aggregate(&self, aggregate: &AggregateExpr, args: &[Argument]) -> Result<String, Refusal>;
    /// The call over the rows for which the condition is TRUE.
    ///
    /// # Errors
    /// No exact form.
    fn filtered(&self, aggregate: &AggregateExpr, args: &[Argument], condition: &str) -> Result<String, Refusal> {
        Ok(format!("{} FILTER (WHERE {condition})", self.aggregate(aggregate, args)?))
    }
    /// Whether HAVING may name any expression of GROUP BY; otherwise groups are filtered from outside.
    fn filters_groups(&self) -> bool {
        true
    }
    /// Whether the subquery of an IN may have a LIMIT of its own; otherwise it gets a derived table around it.
    fn limits_in_lists(&self) -> bool {
        true
    }
    /// Whether a derived table may name columns of the statement around its query block.
    fn derived_see_outside(&self) -> bool {
        true
    }
    /// An operand whose order counts: a sort key, the left side of BETWEEN.
    fn ordered(&self, argument: &Argument) -> String {
        argument.text.clone()
    }
    fn negate(&self, argument: &Argument) -> String {
        format!("(- {})", argument.text)
    }
    /// A key of GROUP BY.
    fn group_key(&self, text: &str) -> String {
        text.to_owned()
    }
    /// `key [ASC|DESC] [NULLS …]`.
    fn sort_key(&self, text: &str, ascending: bool, nulls_first: bool) -> String;
    fn set_operation(&self, op: SetOp, all: bool) -> Result<&'static str, Refusal> {
        Ok(match (op, all) {
            (SetOp::Union, true) => "UNION ALL",
            (SetOp::Union, false) => "UNION",
            (SetOp::Intersect, true) => "INTERSECT ALL",
            (SetOp::Intersect, false) => "INTERSECT",
            (SetOp::Except, true) => "EXCEPT ALL",
            (SetOp::Except, false) => "EXCEPT",
        })
    }
    /// ` LIMIT … OFFSET …`, with a leading blank.
    fn limit(&self, skip: u64, fetch: Option<u64>) -> String;
    /// Whether a query that stands in WITH is computed once, where the statement reads it more than once.
    fn computes_once(&self) -> bool {
        false
    }
    /// The suffix of a derived table through which no predicate moves, with a leading blank.
    fn fence(&self) -> &'static str;
}

impl RenderedArgs<'_> {
    /// Binds a parameter of the fragment in another form and gives its placeholder.
    pub fn bind(&mut self, parameter: usize, form: BindingForm) -> String {
        (self.placeholder)(self.bind.number(parameter, form))
    }

    /// The text of an argument that must be a parameter, bound with a condition on its value.
    ///
    /// # Errors
    /// The argument is computed, so that nothing is known of its value.
    pub fn conditioned(&mut self, index: usize, form: BindingForm) -> Result<String, Refusal> {
        match self.args.get(index).and_then(|argument| argument.parameter) {
            Some(parameter) => Ok(self.bind(parameter, form)),
            None => Err(Refusal::new(
                querygate_driver_api::capability::RefusalReason::Function,
                "the source's function is exact only for some arguments, and this one is computed",
            )),
        }
    }

    /// The text of an argument, empty if there is none. A parameter is bound only when its text is asked for.
    pub fn text(&mut self, index: usize) -> String {
        match self.args.get(index) {
            Some(Argument { parameter: Some(parameter), .. }) => self.bind(*parameter, BindingForm::Value),
            Some(argument) => argument.text.clone(),
            None => String::new(),
        }
    }
}
