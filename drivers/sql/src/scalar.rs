//! Scalar expressions and aggregates → text. Every form that a dialect decides is asked from it.

use crate::affixes::balanced;
use crate::block::{Block, Scope};
use crate::dialect::{Argument, RenderedArgs};
use crate::printer::{Printer, Stop, TEXT_BYTES_MAX, too_long, undefined};
use querygate_driver_api::aggregate::AggregateExpr;
use querygate_driver_api::execution::BindingForm;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{Constant, ScalarExpr};
use std::collections::HashMap;

/// Fewest values that are bound as one list: a source plans the same text for each of the shorter lengths.
const LIST_MIN: usize = 32;

/// Bytes of a call's text. Dialects may write an argument more than once, so that calls within calls multiply it, and what the source
/// computes for each row.
const CALL_BYTES_MAX: usize = 64 << 10;

impl Printer<'_> {
    /// The text of an expression.
    pub(crate) fn scalar(&mut self, expr: &ScalarExpr, scope: &Scope<'_>) -> Result<String, Stop> {
        let text = self.unbounded_scalar(expr, scope)?;
        let bytes_max = match expr {
            ScalarExpr::Function { .. } | ScalarExpr::Cast { .. } => CALL_BYTES_MAX,
            _ => TEXT_BYTES_MAX,
        };
        if text.len() > bytes_max { Err(too_long()) } else { Ok(text) }
    }

    fn unbounded_scalar(&mut self, expr: &ScalarExpr, scope: &Scope<'_>) -> Result<String, Stop> {
        Ok(match expr {
            ScalarExpr::Column(id) => {
                let (text, depth) = scope.text(*id).ok_or_else(|| Stop(undefined(*id)))?;
                self.reached = self.reached.min(depth);
                text.to_owned()
            }
            ScalarExpr::Parameter(index, value_type) => {
                let placeholder = self.parameter(*index);
                self.dialect.parameter(placeholder, *value_type)
            }
            ScalarExpr::Constant(constant) => self.dialect.constant(*constant),
            ScalarExpr::Comparison { op, left, right } => {
                let (left, right) = (self.argument(left, scope)?, self.argument(right, scope)?);
                self.dialect.comparison(*op, &left, &right)?
            }
            ScalarExpr::And(all) => self.list(all, scope, " AND ", Constant::True)?,
            ScalarExpr::Or(all) => self.list(all, scope, " OR ", Constant::False)?,
            ScalarExpr::Not(expr) => format!("(NOT {})", self.scalar(expr, scope)?),
            ScalarExpr::IsNull { expr, negated } => {
                format!("({} IS {}NULL)", self.scalar(expr, scope)?, not(*negated))
            }
            ScalarExpr::IsTruth { expr, truth, negated } => {
                let text = self.scalar(expr, scope)?;
                self.dialect.truth(&text, *truth, *negated)
            }
            ScalarExpr::Between { expr, low, high, negated } => {
                let argument = self.argument(expr, scope)?;
                let text = self.dialect.ordered(&argument);
                let (low, high) = (self.scalar(low, scope)?, self.scalar(high, scope)?);
                format!("({text} {}BETWEEN {low} AND {high})", not(*negated))
            }
            ScalarExpr::InList { list, negated, .. } if list.is_empty() => {
                self.dialect.constant(if *negated { Constant::True } else { Constant::False })
            }
            ScalarExpr::InList { expr, list, negated } => {
                let operand = self.argument(expr, scope)?;
                if let Some(text) = self.any_of(&operand, list, *negated) {
                    return Ok(text);
                }
                let items = list.iter().map(|item| self.argument(item, scope)).collect::<Result<Vec<_>, _>>()?;
                self.dialect.in_list(&operand, &items, *negated)?
            }
            ScalarExpr::Like { expr, pattern, negated, case_insensitive } => {
                let text = self.scalar(expr, scope)?;
                let call =
                    RenderedArgs { args: &[], bind: &mut self.bindings, placeholder: self.dialect.placeholder() };
                self.dialect.like(&text, *pattern, *negated, *case_insensitive, call)?
            }
            ScalarExpr::Arithmetic { op, left, right, value_type } => {
                let (left, right) = (self.argument(left, scope)?, self.argument(right, scope)?);
                self.dialect.arithmetic(*op, &left, &right, *value_type)?
            }
            ScalarExpr::Negate(expr) => {
                let argument = self.argument(expr, scope)?;
                self.dialect.negate(&argument)
            }
            ScalarExpr::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), scope)?,
            ScalarExpr::Cast { expr, to, .. } => {
                let argument = self.argument(expr, scope)?;
                self.dialect.cast(&argument, *to)?
            }
            ScalarExpr::Function { function, args, value_type } => {
                let args = args.iter().map(|arg| self.unbound(arg, scope)).collect::<Result<Vec<_>, _>>()?;
                let call =
                    RenderedArgs { args: &args, bind: &mut self.bindings, placeholder: self.dialect.placeholder() };
                self.dialect.function(*function, call, *value_type)?
            }
            ScalarExpr::Exists { relation, negated } => {
                let mut block = self.relation(relation, Some(scope))?;
                if !block.is_cut() {
                    block.order_by.clear();
                }
                // A grouped block may need its groups, a distinct one its columns.
                let text = if block.aggregated || block.distinct {
                    let ids = block.order.clone();
                    self.select(&block, &ids)?
                } else {
                    self.clauses(&block, "1")
                };
                format!("({}EXISTS ({text}))", not(*negated))
            }
            ScalarExpr::InSubquery { expr, relation, negated } => {
                let text = self.scalar(expr, scope)?;
                let mut block = self.relation(relation, Some(scope))?;
                if block.is_cut() && !self.dialect.limits_in_lists() {
                    block = self.close(block)?;
                }
                let ids = block.order.clone();
                format!("({text} {}IN ({}))", not(*negated), self.select(&block, &ids)?)
            }
            ScalarExpr::ScalarSubquery { relation } => format!("({})", self.subquery(relation, scope)?),
        })
    }

    fn subquery(&mut self, relation: &Relation, scope: &Scope<'_>) -> Result<String, Stop> {
        let block = self.relation(relation, Some(scope))?;
        let ids = block.order.clone();
        self.select(&block, &ids)
    }

    fn parameter(&mut self, index: usize) -> String {
        (self.dialect.placeholder())(self.bindings.number(index, BindingForm::Value))
    }

    /// A long list of parameters that follow each other, bound as one where the dialect has a form for it.
    fn any_of(&mut self, operand: &Argument, list: &[ScalarExpr], negated: bool) -> Option<String> {
        let Some(ScalarExpr::Parameter(first, of)) = list.first().filter(|_| list.len() >= LIST_MIN) else {
            return None;
        };
        let follows = |(place, item): (usize, &ScalarExpr)| *item == ScalarExpr::Parameter(first + place, *of);
        if !list.iter().enumerate().all(follows) {
            return None;
        }
        // A list that is bound already keeps its placeholder; one that the dialect has no form for gets none.
        let form = BindingForm::List(list.len());
        let placeholder = (self.dialect.placeholder())(self.bindings.number_for(*first, form));
        let text = self.dialect.any_of(operand, *of, &placeholder, negated)?;
        self.bindings.number(*first, form);
        Some(text)
    }

    pub(crate) fn argument(&mut self, expr: &ScalarExpr, scope: &Scope<'_>) -> Result<Argument, Stop> {
        let parameter = match expr {
            ScalarExpr::Parameter(index, _) => Some(*index),
            _ => None,
        };
        let text = self.scalar(expr, scope)?;
        Ok(Argument { text, value_type: self.types.type_of(expr)?, parameter })
    }

    /// As `argument`, but a parameter waits for the dialect to choose the form in which it is bound.
    fn unbound(&mut self, expr: &ScalarExpr, scope: &Scope<'_>) -> Result<Argument, Stop> {
        match expr {
            ScalarExpr::Parameter(index, value_type) => {
                Ok(Argument { text: String::new(), value_type: *value_type, parameter: Some(*index) })
            }
            other => self.argument(other, scope),
        }
    }

    fn list(&mut self, all: &[ScalarExpr], scope: &Scope<'_>, operator: &str, empty: Constant) -> Result<String, Stop> {
        if all.is_empty() {
            return Ok(self.dialect.constant(empty));
        }
        let texts = all.iter().map(|expr| self.scalar(expr, scope)).collect::<Result<Vec<_>, _>>()?;
        Ok(balanced(&texts, operator))
    }

    fn case(
        &mut self,
        branches: &[(ScalarExpr, ScalarExpr)],
        otherwise: Option<&ScalarExpr>,
        scope: &Scope<'_>,
    ) -> Result<String, Stop> {
        let mut text = String::from("CASE");
        for (when, then) in branches {
            text.push_str(&format!(" WHEN {} THEN {}", self.scalar(when, scope)?, self.scalar(then, scope)?));
        }
        if let Some(otherwise) = otherwise {
            text.push_str(&format!(" ELSE {}", self.scalar(otherwise, scope)?));
        }
        Ok(format!("({text} END)"))
    }

    pub(crate) fn aggregated(
        &mut self,
        mut block: Block,
        group: &[(ColumnId, ScalarExpr)],
        aggregates: &[(ColumnId, AggregateExpr)],
        outer: Option<&Scope<'_>>,
    ) -> Result<Block, Stop> {
        let mut columns = HashMap::new();
        let mut order = Vec::new();
        let mut group_by = Vec::new();
        for (id, expr) in group {
            let text = self.scalar(expr, &Scope { block: &block.columns, outer })?;
            group_by.push(self.dialect.group_key(&text));
            columns.insert(*id, text);
            order.push(*id);
        }
        for (id, aggregate) in aggregates {
            let scope = Scope { block: &block.columns, outer };
            let args = aggregate.args.iter().map(|arg| self.argument(arg, &scope)).collect::<Result<Vec<_>, _>>()?;
            let text = match &aggregate.filter {
                Some(filter) => {
                    let condition = self.scalar(filter, &scope)?;
                    self.dialect.filtered(aggregate, &args, &condition)?
                }
                None => self.dialect.aggregate(aggregate, &args)?,
            };
            columns.insert(*id, text);
            order.push(*id);
        }
        block.order_by.clear();
        block.group_by = group_by;
        block.aggregated = true;
        block.computed = true;
        block.columns = columns;
        block.order = order;
        Ok(block)
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}
