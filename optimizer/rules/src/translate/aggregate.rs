//! Aggregations, by an explicit table of functions. Knows no source.

use super::Translator;
use super::relation::Built;
use super::scope::{Scope, Slot};
use super::types::value_type;
use crate::not_pushed::NotPushed;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction as Call;
use datafusion::logical_expr::logical_plan::Aggregate;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::ValueType;

impl Translator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Built, NotPushed> {
        let built = self.relation(&aggregate.input)?;
        let scope = Scope::new(aggregate.input.schema(), &built.slots);
        let mut group = Vec::with_capacity(aggregate.group_expr.len());
        let mut slots = Vec::new();
        for expr in &aggregate.group_expr {
            if matches!(expr, Expr::GroupingSet(_)) {
                return Err(NotPushed::operator("grouping sets"));
            }
            let value = self.value(expr, &scope)?;
            let id = self.column();
            group.push((id, value));
            slots.push(Slot::Column(id));
        }
        let key = group.iter().map(|(id, _)| *id).collect();
        let mut aggregates = Vec::new();
        let mut refused = None;
        for expr in &aggregate.aggr_expr {
            slots.push(match self.aggregate_call(expr, &scope) {
                Ok(call) => {
                    let id = self.column();
                    aggregates.push((id, call));
                    Slot::Column(id)
                }
                Err(refusal) => {
                    refused = Some(refusal.clone());
                    Slot::refused(refusal.at("aggregate"))
                }
            });
        }
        if let (true, true, Some(refusal)) = (group.is_empty(), aggregates.is_empty(), refused) {
            return Err(refusal);
        }
        if slots.len() != aggregate.schema.fields().len() {
            return Err(NotPushed::invalid("aggregation with other columns"));
        }
        let relation = Relation::Aggregate { input: Box::new(built.relation), group, aggregates };
        self.define(&relation)?;
        Ok(Built { key: Some(key), ..Built::new(relation, slots) })
    }

    fn aggregate_call(&mut self, expr: &Expr, scope: &Scope) -> Result<AggregateExpr, NotPushed> {
        let call = match expr {
            Expr::Alias(alias) => return self.aggregate_call(&alias.expr, scope),
            Expr::AggregateFunction(call) => call,
            _ => return Err(NotPushed::invalid("aggregation of something else")),
        };
        let Call { func, params } = call;
        let name = func.name();
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Err(NotPushed::new(RefusalReason::Function, format!("ordered aggregate {name}")));
        }
        let Some(function) = word(name) else {
            return Err(NotPushed::new(RefusalReason::Function, format!("aggregate {name}")));
        };
        if is_of_outside(params.args.iter().chain(params.filter.as_deref())) {
            return Err(NotPushed::operator("an aggregate over columns of the query around it"));
        }
        let value_type = value_type(&Self::data_type(expr, scope)?)?;
        let filter = match &params.filter {
            Some(filter) => Some(self.condition(filter, scope)?),
            None => None,
        };
        let [arg] = &params.args[..] else {
            return Err(NotPushed::new(RefusalReason::Function, format!("{name} of several arguments")));
        };
        let arg = self.fold(arg)?;
        let counts_rows = function == AggregateFunction::Count
            && !params.distinct
            && matches!(&arg, Expr::Literal(scalar, _) if !scalar.is_null());
        let (function, args) = if counts_rows {
            (AggregateFunction::CountStar, Vec::new())
        } else {
            let arg = self.scalar(&arg, scope)?;
            (function, vec![summed(function, arg)])
        };
        self.check_argument(function, args.first(), value_type)?;
        Ok(AggregateExpr { function, args, distinct: params.distinct, filter, value_type })
    }

    /// Whether the vocabulary's aggregate gives the type that the engine's does.
    fn check_argument(
        &self,
        function: AggregateFunction,
        arg: Option<&ScalarExpr>,
        result: ValueType,
    ) -> Result<(), NotPushed> {
        let Some(arg) = arg else { return Ok(()) };
        let of = self.type_of(arg)?;
        let fits = match function {
            AggregateFunction::CountStar | AggregateFunction::Count => result == ValueType::Int64,
            AggregateFunction::Sum => match (of, result) {
                (of, ValueType::Int64) => of.is_integer(),
                (ValueType::Decimal128 { scale, .. }, ValueType::Decimal128 { scale: kept, .. }) => scale == kept,
                (of, result) => of.is_float() && result == ValueType::Float64,
            },
            AggregateFunction::Avg => of.is_decimal() && result.is_decimal() || result == ValueType::Float64,
            AggregateFunction::Min | AggregateFunction::Max => of == result,
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => of == ValueType::Boolean && of == result,
            AggregateFunction::StddevSamp
            | AggregateFunction::StddevPop
            | AggregateFunction::VarSamp
            | AggregateFunction::VarPop => of.is_numeric() && result == ValueType::Float64,
        };
        if fits { Ok(()) } else { Err(NotPushed::kind(format!("{} over {}", function.name(), of.name()))) }
    }
}

/// Whether expressions name columns of a query around theirs, and none of their own: in SQL, the aggregate over them
/// belongs to that query.
fn is_of_outside<'a>(exprs: impl Iterator<Item = &'a Expr>) -> bool {
    let (mut outside, mut own) = (false, false);
    for expr in exprs {
        // The closure never fails, so neither does the walk.
        let _walked = expr.apply(|part| {
            outside |= matches!(part, Expr::OuterReferenceColumn(..));
            own |= matches!(part, Expr::Column(_));
            Ok(TreeNodeRecursion::Continue)
        });
    }
    outside && !own
}

/// The vocabulary's sum widens whole numbers itself.
fn summed(function: AggregateFunction, arg: ScalarExpr) -> ScalarExpr {
    match (function, arg) {
        (AggregateFunction::Sum, ScalarExpr::Cast { expr, from, to: ValueType::Int64 }) if from.is_integer() => *expr,
        (_, arg) => arg,
    }
}

fn word(name: &str) -> Option<AggregateFunction> {
    Some(match name {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "avg" => AggregateFunction::Avg,
        "bool_and" => AggregateFunction::BoolAnd,
        "bool_or" => AggregateFunction::BoolOr,
        "stddev" => AggregateFunction::StddevSamp,
        "stddev_pop" => AggregateFunction::StddevPop,
        "var" => AggregateFunction::VarSamp,
        "var_pop" => AggregateFunction::VarPop,
        _ => return None,
    })
}
