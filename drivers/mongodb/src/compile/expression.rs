//! Scalars as aggregation expressions. They compare across types and put NULL below everything, so each operand is asked
//! for its type first.

use crate::compile::compiler::{Columns, Compiler, place_of};
use crate::compile::matching::{affix, negated};
use crate::tree::node::{Form, Node, call, one, text, unary};
use crate::tree::place::is_type;
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::scalar::{ComparisonOp, Constant, ScalarExpr, Truth};
use querygate_driver_api::value::ValueType;

/// Values that an expression names more than once.
#[derive(Default)]
pub(crate) struct Named(Vec<(String, Node)>);

impl Named {
    /// A reference to a value, which is computed once.
    pub(crate) fn once(&mut self, compiler: &mut Compiler<'_>, value: Node) -> Node {
        let simple = match &value {
            Node::Text(_) | Node::Null | Node::Bool(_) | Node::Int(_) => true,
            Node::Object(fields) => matches!(&fields[..], [(name, _)] if name == "$literal"),
            _ => false,
        };
        if simple {
            return value;
        }
        let name = compiler.variable();
        let reference = text(format!("$${name}"));
        self.0.push((name, value));
        reference
    }

    /// The expression with its names.
    pub(crate) fn within(self, expression: Node) -> Node {
        if self.0.is_empty() {
            return expression;
        }
        let vars = Node::Object(self.0);
        one("$let", Node::Object(vec![("vars".to_owned(), vars), ("in".to_owned(), expression)]))
    }
}

pub(crate) fn literal(node: Node) -> Node {
    unary("$literal", node)
}

pub(crate) fn either(condition: Node, then: Node, otherwise: Node) -> Node {
    call("$cond", [condition, then, otherwise])
}

impl Compiler<'_> {
    /// The value of an expression; NULL may also be missing.
    pub(crate) fn value(&mut self, expr: &ScalarExpr, columns: &Columns) -> Result<Node, Refusal> {
        match expr {
            ScalarExpr::Column(id) => self.column(*id, columns),
            ScalarExpr::Parameter(index, _) => Ok(literal(self.parameter(*index, Form::Value))),
            ScalarExpr::Constant(constant) => Ok(literal(match constant {
                Constant::True => Node::Bool(true),
                Constant::False => Node::Bool(false),
                Constant::Null(_) => Node::Null,
            })),
            ScalarExpr::IsNull { .. } | ScalarExpr::IsTruth { .. } => self.holds(expr, true, columns),
            ScalarExpr::Comparison { .. }
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::Between { .. }
            | ScalarExpr::InList { .. }
            | ScalarExpr::Like { .. } => {
                let (yes, no) = (self.holds(expr, true, columns)?, self.holds(expr, false, columns)?);
                Ok(either(yes, literal(Node::Bool(true)), either(no, literal(Node::Bool(false)), Node::Null)))
            }
            ScalarExpr::Case { branches, otherwise } => {
                let mut cases = Vec::new();
                for (when, then) in branches {
                    let case = self.holds(when, true, columns)?;
                    let then = self.value(then, columns)?;
                    cases.push(Node::Object(vec![("case".to_owned(), case), ("then".to_owned(), then)]));
                }
                let default = match otherwise {
                    Some(otherwise) => self.value(otherwise, columns)?,
                    None => Node::Null,
                };
                if cases.is_empty() {
                    return Ok(default);
                }
                let parts = vec![("branches".to_owned(), Node::Array(cases)), ("default".to_owned(), default)];
                Ok(one("$switch", Node::Object(parts)))
            }
            ScalarExpr::Cast { expr, from, to } => self.cast(expr, *from, *to, columns),
            ScalarExpr::Function { function, args, value_type } => self.function(*function, args, *value_type, columns),
            ScalarExpr::Arithmetic { op, left, right, value_type } => {
                self.arithmetic(*op, (left, right), *value_type, columns)
            }
            ScalarExpr::Negate(expr) => self.negated(expr, columns),
            ScalarExpr::Exists { .. } | ScalarExpr::InSubquery { .. } | ScalarExpr::ScalarSubquery { .. } => {
                refuse(RefusalReason::Operator, "subqueries run locally over this source")
            }
        }
    }

    /// A column as its value, ObjectIds as their text.
    fn column(&mut self, id: ColumnId, columns: &Columns) -> Result<Node, Refusal> {
        let place = place_of(columns, id)?;
        if !place.object_id {
            return Ok(place.raw());
        }
        let parts = [("input", place.raw()), ("to", text("string")), ("onError", Node::Null), ("onNull", Node::Null)];
        Ok(one("$convert", Node::Object(parts.map(|(name, node)| (name.to_owned(), node)).into())))
    }

    /// Whether a condition is TRUE (or FALSE), as a boolean without NULL.
    pub(crate) fn holds(&mut self, expr: &ScalarExpr, wanted: bool, columns: &Columns) -> Result<Node, Refusal> {
        match expr {
            ScalarExpr::Constant(Constant::True) => Ok(Node::Bool(wanted)),
            ScalarExpr::Constant(Constant::False) => Ok(Node::Bool(!wanted)),
            ScalarExpr::Constant(Constant::Null(_)) => Ok(Node::Bool(false)),
            ScalarExpr::And(all) => self.all(all, if wanted { "$and" } else { "$or" }, wanted, columns),
            ScalarExpr::Or(all) => self.all(all, if wanted { "$or" } else { "$and" }, wanted, columns),
            ScalarExpr::Not(expr) => self.holds(expr, !wanted, columns),
            ScalarExpr::IsTruth { expr, truth, negated } => {
                let test = match truth {
                    Truth::True => self.holds(expr, true, columns)?,
                    Truth::False => self.holds(expr, false, columns)?,
                    Truth::Unknown => {
                        let known = [self.holds(expr, true, columns)?, self.holds(expr, false, columns)?];
                        unary("$not", call("$or", known))
                    }
                };
                Ok(if *negated == wanted { unary("$not", test) } else { test })
            }
            ScalarExpr::IsNull { expr, negated } => {
                let test = call("$lte", [self.operand(expr, columns)?, Node::Null]);
                Ok(if *negated == wanted { unary("$not", test) } else { test })
            }
            ScalarExpr::Between { expr, low, high, negated } => {
                let bound = |op, bound: &ScalarExpr| ScalarExpr::compare(op, expr.as_ref().clone(), bound.clone());
                let both = vec![bound(ComparisonOp::GtEq, low), bound(ComparisonOp::LtEq, high)];
                self.holds(&ScalarExpr::And(both), wanted != *negated, columns)
            }
            ScalarExpr::Comparison { op, left, right } => {
                let op = if wanted { *op } else { negated(*op) };
                self.comparison(op, left, right, columns)
            }
            ScalarExpr::InList { expr, list, negated } => {
                let equal =
                    |item: &ScalarExpr| ScalarExpr::compare(ComparisonOp::Eq, expr.as_ref().clone(), item.clone());
                let any = ScalarExpr::Or(list.iter().map(equal).collect());
                self.holds(&any, wanted != *negated, columns)
            }
            ScalarExpr::Like { expr, pattern, negated, case_insensitive: false } => {
                self.matches(expr, *pattern, Form::Pattern, wanted != *negated, columns)
            }
            ScalarExpr::Like { .. } => refuse(RefusalReason::Function, "the source folds case in another way"),
            ScalarExpr::Function { function, args, .. } if affix(*function).is_some() => {
                match (affix(*function), &args[..]) {
                    (Some(form), [operand, ScalarExpr::Parameter(parameter, _)]) => {
                        self.matches(operand, *parameter, form, wanted, columns)
                    }
                    _ => refuse(RefusalReason::Function, "the source looks for constant texts only"),
                }
            }
            ScalarExpr::Column(_)
            | ScalarExpr::Parameter(..)
            | ScalarExpr::Case { .. }
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Function { .. } => {
                let value = self.value(expr, columns)?;
                Ok(call("$eq", [value, literal(Node::Bool(wanted))]))
            }
            ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Exists { .. }
            | ScalarExpr::InSubquery { .. }
            | ScalarExpr::ScalarSubquery { .. } => self.value(expr, columns),
        }
    }

    /// As [`Compiler::value`], but a bare column may be one that is only read.
    fn operand(&mut self, expr: &ScalarExpr, columns: &Columns) -> Result<Node, Refusal> {
        match expr {
            ScalarExpr::Column(id) => Ok(place_of(columns, *id)?.raw()),
            other => self.value(other, columns),
        }
    }

    fn all(&mut self, all: &[ScalarExpr], operator: &str, wanted: bool, columns: &Columns) -> Result<Node, Refusal> {
        let parts = all.iter().map(|expr| self.holds(expr, wanted, columns)).collect::<Result<_, _>>()?;
        Ok(one(operator, Node::Array(parts)))
    }

    fn matches(
        &mut self,
        operand: &ScalarExpr,
        parameter: usize,
        form: Form,
        wanted: bool,
        columns: &Columns,
    ) -> Result<Node, Refusal> {
        let mut named = Named::default();
        let value = self.value(operand, columns)?;
        let value = named.once(self, value);
        let parts = [("input", value.clone()), ("regex", literal(self.parameter(parameter, form)))];
        let found = one("$regexMatch", Node::Object(parts.map(|(name, node)| (name.to_owned(), node)).into()));
        let found = if wanted { found } else { unary("$not", found) };
        Ok(named.within(either(is_type(value, ValueType::Text, false), found, Node::Bool(false))))
    }

    fn comparison(
        &mut self,
        op: ComparisonOp,
        left: &ScalarExpr,
        right: &ScalarExpr,
        columns: &Columns,
    ) -> Result<Node, Refusal> {
        let value_type = self.type_of(left)?;
        let mut named = Named::default();
        let (left, right) = (self.value(left, columns)?, self.value(right, columns)?);
        let (left, right) = (named.once(self, left), named.once(self, right));
        let distinct = matches!(op, ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom);
        if distinct {
            let operator = if op == ComparisonOp::IsDistinctFrom { "$ne" } else { "$eq" };
            let or_null = |value| call("$ifNull", [value, Node::Null]);
            return Ok(named.within(call(operator, [or_null(left), or_null(right)])));
        }
        let typed = [left.clone(), right.clone()].map(|value| is_type(value, value_type, false));
        let compared = match op {
            ComparisonOp::NotEq => call("$ne", [left, right]),
            ComparisonOp::Lt => above(right, left, value_type, false),
            ComparisonOp::LtEq => above(right, left, value_type, true),
            ComparisonOp::Gt => above(left, right, value_type, false),
            ComparisonOp::GtEq => above(left, right, value_type, true),
            ComparisonOp::Eq | ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => {
                call("$eq", [left, right])
            }
        };
        let [left_typed, right_typed] = typed;
        Ok(named.within(call("$and", [left_typed, right_typed, compared])))
    }

    /// A parameter whose value must meet the condition of a form.
    pub(crate) fn conditioned(&mut self, expr: &ScalarExpr, form: BindingForm) -> Result<Node, Refusal> {
        match expr {
            ScalarExpr::Parameter(index, _) => Ok(literal(Node::Parameter(self.native(*index, form), Form::Value))),
            _ => refuse(RefusalReason::Function, "the source's function is exact only for constant arguments"),
        }
    }
}

/// `left > right`, or `>=`. NaN is the source's least number and our greatest.
fn above(left: Node, right: Node, value_type: ValueType, or_equal: bool) -> Node {
    let operator = if or_equal { "$gte" } else { "$gt" };
    if !value_type.is_float() {
        return call(operator, [left, right]);
    }
    let is_nan = |value: Node| call("$eq", [value, Node::NotANumber]);
    let right_nan = if or_equal { Node::Bool(true) } else { unary("$not", is_nan(right.clone())) };
    let plain = call("$and", [unary("$not", is_nan(right.clone())), call(operator, [left.clone(), right])]);
    call("$or", [call("$and", [is_nan(left), right_nan]), plain])
}
