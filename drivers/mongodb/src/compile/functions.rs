//! Functions and casts as aggregation expressions: those that mean the same in the source, asked only for operands of
//! their type.

use crate::compile::compiler::{Columns, Compiler};
use crate::compile::expression::{Named, either, literal};
use crate::tree::node::{Node, call, one, text, unary};
use crate::tree::place::is_type;
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::function::{DatePart, DateUnit, ScalarFunction};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::ValueType;

/// The greatest number of characters that the source's functions take.
const CHARACTERS_MAX: i64 = 0x7FFF_FFFF;

fn object<const N: usize>(operator: &str, parts: [(&str, Node); N]) -> Node {
    one(operator, Node::Object(parts.map(|(name, node)| (name.to_owned(), node)).into()))
}

fn inexact<T>(function: ScalarFunction, value_type: ValueType) -> Result<T, Refusal> {
    let text = format!("{} of {} is not exact in the source", function.name(), value_type.name());
    refuse(RefusalReason::Type, text)
}

impl Compiler<'_> {
    pub(crate) fn function(
        &mut self,
        function: ScalarFunction,
        args: &[ScalarExpr],
        to: ValueType,
        columns: &Columns,
    ) -> Result<Node, Refusal> {
        let types = args.iter().map(|arg| self.type_of(arg)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = types.first().copied() else { return inexact(function, to) };
        // The server computes what does not depend on a row before it looks at any, and may fail.
        if args.iter().all(|arg| matches!(arg, ScalarExpr::Parameter(..) | ScalarExpr::Constant(_))) {
            return refuse(RefusalReason::Function, "a function of constants is computed locally");
        }
        match function {
            ScalarFunction::CharLength if to.is_integer() => self.of_text(args, columns, |x| unary("$strLenCP", x)),
            ScalarFunction::OctetLength if to.is_integer() => self.of_text(args, columns, |x| unary("$strLenBytes", x)),
            ScalarFunction::Trim if args.len() == 1 => self.trimmed("$trim", args, columns),
            ScalarFunction::LTrim if args.len() == 1 => self.trimmed("$ltrim", args, columns),
            ScalarFunction::RTrim if args.len() == 1 => self.trimmed("$rtrim", args, columns),
            ScalarFunction::Substr | ScalarFunction::Left => self.part(function, args, columns),
            ScalarFunction::StrPos if to.is_integer() => {
                self.of_texts(args, columns, |both| call("$add", [one("$indexOfCP", Node::Array(both)), Node::Int(1)]))
            }
            ScalarFunction::Concat => self.of_texts(args, columns, |all| one("$concat", Node::Array(all))),
            ScalarFunction::StartsWith | ScalarFunction::EndsWith | ScalarFunction::Contains => {
                let call = ScalarExpr::Function { function, args: args.to_vec(), value_type: to };
                let (yes, no) = (self.holds(&call, true, columns)?, self.holds(&call, false, columns)?);
                Ok(either(yes, literal(Node::Bool(true)), either(no, literal(Node::Bool(false)), Node::Null)))
            }
            ScalarFunction::Coalesce if types.iter().all(|one| *one == to) => {
                let mut values = args.iter().map(|arg| self.value(arg, columns)).collect::<Result<Vec<_>, _>>()?;
                values.push(Node::Null);
                Ok(one("$ifNull", Node::Array(values)))
            }
            ScalarFunction::NullIf => {
                let [left, right] = args else { return inexact(function, first) };
                let equal = ScalarExpr::compare(ComparisonOp::Eq, left.clone(), right.clone());
                let equal = self.holds(&equal, true, columns)?;
                Ok(either(equal, Node::Null, self.value(left, columns)?))
            }
            ScalarFunction::Greatest => self.extreme("$max", function, args, &types, to, columns),
            ScalarFunction::Least => self.extreme("$min", function, args, &types, to, columns),
            ScalarFunction::Abs | ScalarFunction::Floor | ScalarFunction::Ceil | ScalarFunction::Trunc => {
                if first != ValueType::Float64 || to != first {
                    return inexact(function, first);
                }
                let operator = format!("${}", function.name());
                self.typed(args, ValueType::Float64, columns, |mut all| match all.pop() {
                    Some(value) => unary(&operator, value),
                    None => Node::Null,
                })
            }
            ScalarFunction::DatePart(part) if to.is_integer() && is_moment(first) => {
                self.typed(args, first, columns, |all| date_part(part, all))
            }
            ScalarFunction::DateTrunc(unit) if to == first && matches!(to, ValueType::Timestamp { .. }) => {
                self.typed(args, first, columns, |all| truncated(unit, all))
            }
            ScalarFunction::Upper | ScalarFunction::Lower => {
                refuse(RefusalReason::Function, "the source changes the case of ASCII letters only")
            }
            ScalarFunction::CharLength
            | ScalarFunction::OctetLength
            | ScalarFunction::Right
            | ScalarFunction::Trim
            | ScalarFunction::LTrim
            | ScalarFunction::RTrim
            | ScalarFunction::Replace
            | ScalarFunction::StrPos
            | ScalarFunction::ConcatSkipNull
            | ScalarFunction::Coalesce
            | ScalarFunction::Round
            | ScalarFunction::Sign
            | ScalarFunction::Sqrt
            | ScalarFunction::DatePart(_)
            | ScalarFunction::DateTrunc(_)
            | ScalarFunction::BitAnd
            | ScalarFunction::BitOr
            | ScalarFunction::BitXor
            | ScalarFunction::OrderKey => inexact(function, first),
        }
    }

    /// A function of operands of one type; NULL for any other.
    fn typed(
        &mut self,
        args: &[ScalarExpr],
        value_type: ValueType,
        columns: &Columns,
        make: impl FnOnce(Vec<Node>) -> Node,
    ) -> Result<Node, Refusal> {
        let mut named = Named::default();
        let (mut values, mut typed) = (Vec::new(), Vec::new());
        for arg in args {
            let value = self.value(arg, columns)?;
            let value = named.once(self, value);
            typed.push(is_type(value.clone(), value_type, false));
            values.push(value);
        }
        Ok(named.within(either(one("$and", Node::Array(typed)), make(values), Node::Null)))
    }

    fn of_texts(
        &mut self,
        args: &[ScalarExpr],
        columns: &Columns,
        make: impl FnOnce(Vec<Node>) -> Node,
    ) -> Result<Node, Refusal> {
        for arg in args {
            if self.type_of(arg)? != ValueType::Text {
                return refuse(RefusalReason::Type, "the source's function takes texts only");
            }
        }
        self.typed(args, ValueType::Text, columns, make)
    }

    fn of_text(
        &mut self,
        args: &[ScalarExpr],
        columns: &Columns,
        make: impl FnOnce(Node) -> Node,
    ) -> Result<Node, Refusal> {
        self.of_texts(args, columns, |mut all| all.pop().map_or(Node::Null, make))
    }

    fn trimmed(&mut self, operator: &str, args: &[ScalarExpr], columns: &Columns) -> Result<Node, Refusal> {
        // By itself it would trim all white space.
        self.of_text(args, columns, |input| object(operator, [("input", input), ("chars", text(" "))]))
    }

    fn part(&mut self, function: ScalarFunction, args: &[ScalarExpr], columns: &Columns) -> Result<Node, Refusal> {
        let count = |node| call("$min", [node, literal(Node::Int(CHARACTERS_MAX))]);
        let (from, length) = match (function, args) {
            (ScalarFunction::Left, [_, length]) => {
                (Node::Int(0), count(self.conditioned(length, BindingForm::AtLeastZero)?))
            }
            (ScalarFunction::Substr, [_, from, rest @ ..]) => {
                let from = call("$subtract", [self.conditioned(from, BindingForm::AtLeastOne)?, Node::Int(1)]);
                let length = match rest.first() {
                    Some(length) => self.conditioned(length, BindingForm::AtLeastZero)?,
                    None => literal(Node::Int(CHARACTERS_MAX)),
                };
                (count(from), count(length))
            }
            _ => return inexact(function, ValueType::Text),
        };
        self.of_text(args.get(..1).unwrap_or(&[]), columns, |input| call("$substrCP", [input, from, length]))
    }

    fn extreme(
        &mut self,
        operator: &str,
        function: ScalarFunction,
        args: &[ScalarExpr],
        types: &[ValueType],
        to: ValueType,
        columns: &Columns,
    ) -> Result<Node, Refusal> {
        let ordered = to.is_integer() || matches!(to, ValueType::Text | ValueType::Date);
        if !ordered || types.iter().any(|known| *known != to) {
            return inexact(function, to);
        }
        let values = args.iter().map(|arg| self.value(arg, columns)).collect::<Result<Vec<_>, _>>()?;
        Ok(one(operator, Node::Array(values)))
    }

    pub(crate) fn cast(
        &mut self,
        expr: &ScalarExpr,
        from: ValueType,
        to: ValueType,
        columns: &Columns,
    ) -> Result<Node, Refusal> {
        if matches!(expr, ScalarExpr::Parameter(..) | ScalarExpr::Constant(_)) {
            return refuse(RefusalReason::Function, "a cast of a constant is computed locally");
        }
        let last = |mut all: Vec<Node>| all.pop().unwrap_or(Node::Null);
        let args = std::slice::from_ref(expr);
        match (from, to) {
            (from, to) if from == to => self.value(expr, columns),
            (ValueType::Int16, ValueType::Int32 | ValueType::Int64) | (ValueType::Int32, ValueType::Int64) => {
                self.value(expr, columns)
            }
            (from, ValueType::Float64) if from.is_integer() => {
                self.typed(args, from, columns, |all| unary("$toDouble", last(all)))
            }
            // A whole number that is stored as a double or decimal is written without a fraction.
            (from, ValueType::Text) if from.is_integer() => {
                self.typed(args, from, columns, |all| unary("$toString", unary("$toLong", last(all))))
            }
            (from, ValueType::Boolean) if from.is_integer() => {
                self.typed(args, from, columns, |all| call("$ne", [last(all), Node::Int(0)]))
            }
            (ValueType::Boolean, to) if to.is_integer() => {
                self.typed(args, from, columns, |all| either(last(all), Node::Int(1), Node::Int(0)))
            }
            (ValueType::Timestamp { .. }, ValueType::Date) => {
                self.typed(args, from, columns, |all| truncated(DateUnit::Day, all))
            }
            (ValueType::Date, ValueType::Timestamp { .. }) => self.value(expr, columns),
            (from, to) => {
                let text = format!("a cast of {} to {} is not exact in the source", from.name(), to.name());
                refuse(RefusalReason::Type, text)
            }
        }
    }
}

const fn is_moment(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Date | ValueType::Timestamp { .. })
}

fn date_part(part: DatePart, mut all: Vec<Node>) -> Node {
    let date = all.pop().unwrap_or(Node::Null);
    match part {
        DatePart::Year => unary("$year", date),
        DatePart::Month => unary("$month", date),
        // Months 1–3 are the first.
        DatePart::Quarter => {
            let months = call("$divide", [call("$add", [unary("$month", date), Node::Int(2)]), Node::Int(3)]);
            unary("$toInt", unary("$floor", months))
        }
        DatePart::Week => unary("$isoWeek", date),
        DatePart::Day => unary("$dayOfMonth", date),
        DatePart::DayOfWeek => call("$subtract", [unary("$dayOfWeek", date), Node::Int(1)]),
        DatePart::IsoDayOfWeek => unary("$isoDayOfWeek", date),
        DatePart::DayOfYear => unary("$dayOfYear", date),
        DatePart::Hour => unary("$hour", date),
        DatePart::Minute => unary("$minute", date),
        DatePart::Second => unary("$second", date),
    }
}

fn truncated(unit: DateUnit, mut all: Vec<Node>) -> Node {
    let date = all.pop().unwrap_or(Node::Null);
    let unit = match unit {
        DateUnit::Year => "year",
        DateUnit::Quarter => "quarter",
        DateUnit::Month => "month",
        DateUnit::Week => "week",
        DateUnit::Day => "day",
        DateUnit::Hour => "hour",
        DateUnit::Minute => "minute",
        DateUnit::Second => "second",
    };
    object("$dateTrunc", [("date", date), ("unit", text(unit)), ("startOfWeek", text("monday"))])
}
