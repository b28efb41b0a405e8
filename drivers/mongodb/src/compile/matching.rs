//! Conditions in the language of `$match`, which uses indexes and compares within one type, as SQL's NULL rules need it.
//! What has no form there becomes an expression.

use crate::compile::compiler::{Columns, Compiler, place_of};
use crate::tree::node::{Form, Node, always, never, one, text, unary};
use crate::tree::place::{Place, type_name};
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::scalar::{ComparisonOp, Constant, ScalarExpr, Truth};
use querygate_driver_api::value::ValueType;

impl Compiler<'_> {
    /// The documents for which a condition is TRUE (or FALSE). Negations move to the leaves: UNKNOWN is neither.
    pub(crate) fn truth(&mut self, expr: &ScalarExpr, wanted: bool, columns: &Columns) -> Result<Node, Refusal> {
        match expr {
            ScalarExpr::Constant(Constant::True) => Ok(if wanted { always() } else { never() }),
            ScalarExpr::Constant(Constant::False) => Ok(if wanted { never() } else { always() }),
            ScalarExpr::Constant(Constant::Null(_)) => Ok(never()),
            ScalarExpr::And(all) => self.combined(all, wanted, wanted, columns),
            ScalarExpr::Or(all) => self.combined(all, !wanted, wanted, columns),
            ScalarExpr::Not(expr) => self.truth(expr, !wanted, columns),
            ScalarExpr::IsTruth { expr, truth, negated } => {
                let test = match truth {
                    Truth::True => self.truth(expr, true, columns)?,
                    Truth::False => self.truth(expr, false, columns)?,
                    Truth::Unknown => {
                        let known = vec![self.truth(expr, true, columns)?, self.truth(expr, false, columns)?];
                        one("$nor", Node::Array(known))
                    }
                };
                Ok(if *negated == wanted { not(test) } else { test })
            }
            ScalarExpr::IsNull { expr, negated } => match column(expr, columns)? {
                Some(place) => {
                    let test = guarded(place, vec![("$eq", Node::Null)]);
                    Ok(if *negated == wanted { not(test) } else { test })
                }
                None => self.computed(expr_of(expr, *negated), wanted, columns),
            },
            ScalarExpr::Between { expr, low, high, negated } => {
                let bound = |op, bound: &ScalarExpr| ScalarExpr::compare(op, expr.as_ref().clone(), bound.clone());
                let both = vec![bound(ComparisonOp::GtEq, low), bound(ComparisonOp::LtEq, high)];
                self.truth(&ScalarExpr::And(both), wanted != *negated, columns)
            }
            ScalarExpr::Comparison { op, left, right } => match self.compared(*op, left, right, wanted, columns)? {
                Some(node) => Ok(node),
                None => self.computed(expr.clone(), wanted, columns),
            },
            ScalarExpr::InList { list, negated, .. } if list.is_empty() => {
                Ok(if *negated == wanted { always() } else { never() })
            }
            ScalarExpr::InList { expr: operand, list, negated } => {
                match self.listed(operand, list, wanted != *negated, columns)? {
                    Some(node) => Ok(node),
                    None => self.computed(expr.clone(), wanted, columns),
                }
            }
            ScalarExpr::Like { expr: operand, pattern, negated, case_insensitive: false } => {
                match column(operand, columns)? {
                    Some(place) if !place.object_id => {
                        Ok(self.matched(place, *pattern, Form::Pattern, wanted != *negated))
                    }
                    _ => self.computed(expr.clone(), wanted, columns),
                }
            }
            ScalarExpr::Function { function, args, .. } => match (affix(*function), &args[..]) {
                (Some(form), [operand, ScalarExpr::Parameter(parameter, ValueType::Text)]) => {
                    match column(operand, columns)? {
                        Some(place) if !place.object_id => Ok(self.matched(place, *parameter, form, wanted)),
                        _ => self.computed(expr.clone(), wanted, columns),
                    }
                }
                _ => self.computed(expr.clone(), wanted, columns),
            },
            ScalarExpr::Column(id) => {
                let place = place_of(columns, *id)?;
                Ok(guarded(place, vec![("$eq", Node::Bool(wanted))]))
            }
            ScalarExpr::Parameter(..)
            | ScalarExpr::Like { .. }
            | ScalarExpr::Arithmetic { .. }
            | ScalarExpr::Negate(_)
            | ScalarExpr::Case { .. }
            | ScalarExpr::Cast { .. }
            | ScalarExpr::Exists { .. }
            | ScalarExpr::InSubquery { .. }
            | ScalarExpr::ScalarSubquery { .. } => self.computed(expr.clone(), wanted, columns),
        }
    }

    fn computed(&mut self, expr: ScalarExpr, wanted: bool, columns: &Columns) -> Result<Node, Refusal> {
        Ok(unary("$expr", self.holds(&expr, wanted, columns)?))
    }

    fn combined(&mut self, all: &[ScalarExpr], every: bool, wanted: bool, columns: &Columns) -> Result<Node, Refusal> {
        let mut parts = all.iter().map(|expr| self.truth(expr, wanted, columns)).collect::<Result<Vec<_>, _>>()?;
        match parts.len() {
            0 => Ok(if every { always() } else { never() }),
            1 => Ok(parts.swap_remove(0)),
            _ => Ok(one(if every { "$and" } else { "$or" }, Node::Array(parts))),
        }
    }

    /// A column against a parameter.
    fn compared(
        &mut self,
        op: ComparisonOp,
        left: &ScalarExpr,
        right: &ScalarExpr,
        wanted: bool,
        columns: &Columns,
    ) -> Result<Option<Node>, Refusal> {
        let (operand, parameter, op) = match (left, right) {
            (operand, ScalarExpr::Parameter(parameter, _)) => (operand, *parameter, op),
            (ScalarExpr::Parameter(parameter, _), operand) => (operand, *parameter, op.mirrored()),
            _ => return Ok(None),
        };
        let Some(place) = column(operand, columns)? else { return Ok(None) };
        let op = if wanted { op } else { negated(op) };
        Ok(match op {
            ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => {
                if place.object_id {
                    return Ok(None);
                }
                let same = guarded(place, vec![("$eq", self.parameter(parameter, Form::Value))]);
                Some(if op == ComparisonOp::IsDistinctFrom { not(same) } else { same })
            }
            ComparisonOp::Eq | ComparisonOp::NotEq => Some(self.equal(place, parameter, op == ComparisonOp::Eq)),
            ComparisonOp::Lt | ComparisonOp::LtEq | ComparisonOp::Gt | ComparisonOp::GtEq => {
                (!place.object_id).then(|| self.ordered(place, parameter, op))
            }
        })
    }

    fn equal(&mut self, place: &Place, parameter: usize, equal: bool) -> Node {
        let class = text(type_name(place.value_type, place.object_id));
        let known = if place.object_id {
            let ids = Node::Present(vec![self.parameter(parameter, Form::ObjectId)]);
            match equal {
                true => guarded(place, vec![("$in", ids)]),
                false => guarded(place, vec![("$nin", ids), ("$type", class)]),
            }
        } else if matches!(place.value_type, ValueType::Timestamp { .. }) {
            // No instant of the source is between two milliseconds.
            let (floor, ceil) = (self.parameter(parameter, Form::Floor), self.parameter(parameter, Form::Ceil));
            match equal {
                true => guarded(place, vec![("$gte", ceil), ("$lte", floor)]),
                false => {
                    let sides = vec![guarded(place, vec![("$lt", ceil)]), guarded(place, vec![("$gt", floor)])];
                    one("$or", Node::Array(sides))
                }
            }
        } else {
            let value = self.parameter(parameter, Form::Value);
            match equal {
                true => guarded(place, vec![("$eq", value)]),
                false => guarded(place, vec![("$ne", value), ("$type", class)]),
            }
        };
        self.known(vec![parameter], known)
    }

    fn ordered(&mut self, place: &Place, parameter: usize, op: ComparisonOp) -> Node {
        let (operator, above, form) = match op {
            ComparisonOp::Lt => ("$lt", false, Form::Ceil),
            ComparisonOp::LtEq => ("$lte", false, Form::Floor),
            ComparisonOp::Gt => ("$gt", true, Form::Floor),
            _ => ("$gte", true, Form::Ceil),
        };
        let form = match place.value_type {
            ValueType::Timestamp { .. } => form,
            other if other.is_float() => Form::Ordered,
            _ => Form::Value,
        };
        let side = guarded(place, vec![(operator, self.parameter(parameter, form))]);
        let side = if above && place.value_type.is_float() {
            let largest = guarded(place, vec![("$eq", Node::NotANumber)]);
            one("$or", Node::Array(vec![side, largest]))
        } else {
            side
        };
        self.known(vec![parameter], side)
    }

    fn listed(
        &mut self,
        operand: &ScalarExpr,
        list: &[ScalarExpr],
        member: bool,
        columns: &Columns,
    ) -> Result<Option<Node>, Refusal> {
        let Some(place) = column(operand, columns)? else { return Ok(None) };
        let form = if place.object_id { Form::ObjectId } else { Form::Value };
        let mut parameters = Vec::new();
        for item in list {
            let ScalarExpr::Parameter(parameter, _) = item else { return Ok(None) };
            parameters.push(*parameter);
        }
        let items = Node::Present(parameters.iter().map(|parameter| self.parameter(*parameter, form)).collect());
        if member {
            return Ok(Some(guarded(place, vec![("$in", items)])));
        }
        let class = text(type_name(place.value_type, place.object_id));
        let other = guarded(place, vec![("$nin", items), ("$type", class)]);
        Ok(Some(self.known(parameters, other)))
    }

    /// A text against a regular expression made of a parameter.
    fn matched(&mut self, place: &Place, parameter: usize, form: Form, wanted: bool) -> Node {
        let pattern = self.parameter(parameter, form);
        let matched = if wanted {
            guarded(place, vec![("$regex", pattern)])
        } else {
            let class = text(type_name(ValueType::Text, false));
            let other =
                one(place.path.clone(), Node::Object(vec![("$not".to_owned(), pattern), ("$type".to_owned(), class)]));
            match place.stored {
                true => one("$and", Node::Array(vec![guarded(place, Vec::new()), other])),
                false => other,
            }
        };
        self.known(vec![parameter], matched)
    }

    fn known(&mut self, parameters: Vec<usize>, node: Node) -> Node {
        let value = querygate_driver_api::execution::BindingForm::Value;
        Node::Known(parameters.into_iter().map(|parameter| self.native(parameter, value)).collect(), Box::new(node))
    }
}

fn expr_of(expr: &ScalarExpr, negated: bool) -> ScalarExpr {
    ScalarExpr::IsNull { expr: Box::new(expr.clone()), negated }
}

/// The place of a bare column.
fn column<'a>(expr: &ScalarExpr, columns: &'a Columns) -> Result<Option<&'a Place>, Refusal> {
    match expr {
        ScalarExpr::Column(id) => place_of(columns, *id).map(Some),
        _ => Ok(None),
    }
}

/// The documents that another condition does not take.
fn not(node: Node) -> Node {
    one("$nor", Node::Array(vec![node]))
}

/// Operators on a place. Conditions look into arrays, which no scalar column holds: an array is no match.
fn guarded(place: &Place, operators: Vec<(&str, Node)>) -> Node {
    let mut operators: Vec<(String, Node)> =
        operators.into_iter().map(|(name, operand)| (name.to_owned(), operand)).collect();
    if !place.stored {
        return one(place.path.clone(), Node::Object(operators));
    }
    let no_array = || ("$not".to_owned(), one("$type", text("array")));
    operators.push(no_array());
    let itself = one(place.path.clone(), Node::Object(operators));
    let mut all: Vec<Node> = place.parents().map(|parent| one(parent, Node::Object(vec![no_array()]))).collect();
    if all.is_empty() {
        return itself;
    }
    all.push(itself);
    one("$and", Node::Array(all))
}

/// The comparison that is TRUE where this one is FALSE.
pub(crate) const fn negated(op: ComparisonOp) -> ComparisonOp {
    match op {
        ComparisonOp::Eq => ComparisonOp::NotEq,
        ComparisonOp::NotEq => ComparisonOp::Eq,
        ComparisonOp::Lt => ComparisonOp::GtEq,
        ComparisonOp::LtEq => ComparisonOp::Gt,
        ComparisonOp::Gt => ComparisonOp::LtEq,
        ComparisonOp::GtEq => ComparisonOp::Lt,
        ComparisonOp::IsDistinctFrom => ComparisonOp::IsNotDistinctFrom,
        ComparisonOp::IsNotDistinctFrom => ComparisonOp::IsDistinctFrom,
    }
}

/// Functions that are a regular expression of their second argument.
pub(crate) const fn affix(function: ScalarFunction) -> Option<Form> {
    match function {
        ScalarFunction::StartsWith => Some(Form::Prefix),
        ScalarFunction::EndsWith => Some(Form::Suffix),
        ScalarFunction::Contains => Some(Form::Part),
        _ => None,
    }
}
