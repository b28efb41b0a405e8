//! The analyzer rules that put our operators in place of DataFusion's, after coercion, in every part of a plan. Knows no
//! rows.

use super::{computed_items, filtered, joined_texts, stepwise};
use crate::aggregates::{extremes, idle_order, sum};
use crate::bounds::bounded_call;
use crate::casts::conversions;
use crate::fault::{external, unsupported};
use crate::functions;
use crate::input_columns::InputColumns;
use crate::keep_names::under_names;
use crate::numbers::{arithmetic, wide, zeros};
use crate::times::interval_length;
use crate::times::zone::Zone;
use crate::typing::set_operations::unions::{self, Casts};
use crate::typing::{binding, comparable, enum_order, literals, order_keys, set_operations};
use crate::windows::{arguments, distances, framed, peers};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;
use querygate_rules::nullable;
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// Before coercion: operands of comparisons that DataFusion would coerce to a type that cannot hold them.
#[derive(Debug)]
pub(crate) struct Coerced;

impl AnalyzerRule for Coerced {
    fn name(&self) -> &'static str {
        "semantics_before_coercion"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        // Values of parameters, and what sources run, came in since the schemas were computed.
        each_node(plan, &Pass { outdated: true, ..BEFORE_COERCION }, &coerced, &ordered)
    }
}

const BEFORE_COERCION: Pass = Pass { order: Order::ChildrenFirst, compute: unions::recomputed, outdated: false };

/// What [`Coerced`] does, for a plan whose schemas are those of its expressions.
pub(crate) fn before_coercion(plan: LogicalPlan) -> Result<LogicalPlan> {
    each_node(plan, &BEFORE_COERCION, &coerced, &ordered)
}

/// After coercion: checked arithmetic, Postgres' casts, set operations with ALL, lists without computed items, conditions of FILTER around
/// what may fail, charges for what grows, steps for what lasts.
#[derive(Debug)]
pub(crate) struct Checked;

impl AnalyzerRule for Checked {
    fn name(&self) -> &'static str {
        "semantics_after_coercion"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(set_operations::rewrite)?.data;
        let zone = crate::zone_of(config);
        let pass = Pass { order: Order::ParentsFirst, compute: LogicalPlan::recompute_schema, outdated: false };
        each_node(plan, &pass, &|expr, schema| checked(expr, schema, zone), &arguments::below)
    }
}

const BINDING: Pass = Pass { order: Order::ChildrenFirst, compute: wide::recomputed, outdated: false };

/// What is decided once, when a statement is bound.
pub(crate) fn settled(plan: LogicalPlan, zone: Zone) -> Result<LogicalPlan> {
    settled_in(plan, &BINDING, zone)
}

/// What [`settled`] decides, where inputs have other types by now than the nodes above them were planned with.
pub(crate) fn settled_anew(plan: LogicalPlan, zone: Zone) -> Result<LogicalPlan> {
    settled_in(plan, &Pass { outdated: true, ..BINDING }, zone)
}

fn settled_in(plan: LogicalPlan, pass: &Pass, zone: Zone) -> Result<LogicalPlan> {
    let reads = wide::reads_tables(&plan);
    let settle = |expr: Expr, schema: &DFSchema| binding::settle(expr, schema, zone);
    each_node(plan, pass, &settle, &|node| {
        let met = literals::branches_met(node, Casts::Settled)?;
        let met = if met.transformed { met.map_data(wide::recomputed)? } else { met };
        met.transform_data(|node| wide::node(node, reads))?.transform_data(unions::settled)
    })
}

type Rewrite<'a> = &'a dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Types are asked of what was written, which is cheaper.
    ParentsFirst,
    /// Types depend on what the children became.
    ChildrenFirst,
}

type NodeRewrite<'a> = &'a dyn Fn(LogicalPlan) -> Result<Transformed<LogicalPlan>>;

/// How the nodes of a plan are rewritten.
struct Pass {
    order: Order,
    /// Computes a node's schema anew.
    compute: fn(LogicalPlan) -> Result<LogicalPlan>,
    /// Whether schemas may be others than those of the plan's expressions, so that all are computed anew.
    outdated: bool,
}

/// Rewrites the expressions of each node with the columns that they may name, and then the node itself; output names stay. The
/// schema of a node is computed anew where its expressions changed, or a schema that was visited before, below it or in a subquery.
///
/// # Errors
/// 54001: rewrites that copy their arguments are nested so deeply that the expression outgrows its bound.
fn each_node(plan: LogicalPlan, pass: &Pass, rewrite: Rewrite<'_>, last: NodeRewrite<'_>) -> Result<LogicalPlan> {
    let mut growth = Growth::default();
    let mut outdated = pass.outdated;
    let node = |plan: LogicalPlan| {
        let columns = InputColumns::of(&plan)?;
        let before = Arc::clone(plan.schema());
        let rewritten = under_names(plan, |expr| {
            growth.begin();
            match pass.order {
                Order::ParentsFirst => expr.transform_down(|e| growth.counted(rewrite(e, columns.schema())?)),
                // What is written is not rewritten again.
                Order::ChildrenFirst => expr.transform_up(|e| rewrite(e, columns.schema())),
            }
        })?;
        let is_same = !outdated && !rewritten.transformed;
        let renewed = if is_same { rewritten } else { rewritten.map_data(pass.compute)? };
        let node = renewed.transform_data(last)?;
        outdated = outdated || (node.transformed && *node.data.schema() != before);
        Ok(node)
    };
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

/// How often parts of a plan's expressions were rewritten. A rewrite may write what it finds more than once: `nullif(a, b)` of floats
/// becomes a CASE that has `a` twice.
#[derive(Debug, Default)]
struct Growth {
    /// In the expression at hand.
    here: usize,
    /// In all, beyond what each expression has for nothing.
    all: usize,
}

impl Growth {
    /// Rewrites of each expression that count for nothing, and of all beyond these: more than a text without copies can ask for.
    const FREE: usize = 1_000;
    const MAX: usize = 100_000;

    fn begin(&mut self) {
        self.here = 0;
    }

    fn counted(&mut self, rewritten: Transformed<Expr>) -> Result<Transformed<Expr>> {
        if rewritten.transformed {
            self.here += 1;
            self.all += usize::from(self.here > Self::FREE);
        }
        if self.all > Self::MAX {
            let text = "expressions are nested too deeply, or too complex";
            return Err(external(Error::new(ErrorCode::StatementTooComplex, text)));
        }
        Ok(rewritten)
    }
}

/// A node whose values are ordered, grouped and joined by what stands for them. None of the three changes what another looks for.
fn ordered(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let node = wide::keyed(node)?;
    let node = node.transform_data(interval_length::sorted)?.transform_data(enum_order::sorted)?;
    node.transform_data(|node| Ok(order_keys::sorted(node)))
}

fn coerced(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    comparable::rewrite(expr, schema)?.transform_data(|expr| match expr {
        Expr::WindowFunction(mut window) => {
            arguments::present(&window)?;
            let read = distances::read(&mut window, schema)?;
            let grouped = peers::grouped(window, schema)?;
            Ok(Transformed::new_transformed(grouped.data, read || grouped.transformed))
        }
        other => Ok(Transformed::no(other)),
    })
}

fn checked(expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(binary) if arithmetic::op_of(binary.op).is_some() => {
            match arithmetic::checked(binary, schema)? {
                Ok(checked) => Transformed::yes(checked),
                Err(same) => Transformed::no(Expr::BinaryExpr(same)),
            }
        }
        Expr::BinaryExpr(binary) if binary.op == Operator::StringConcat => {
            match joined_texts::joined(binary, schema)? {
                Ok(joined) => Transformed::yes(joined),
                Err(same) => Transformed::no(Expr::BinaryExpr(same)),
            }
        }
        Expr::BinaryExpr(binary) if binary.op == Operator::BitwiseXor => nulls_apart(binary, schema)?,
        Expr::BinaryExpr(binary) => match stepwise::operator(binary) {
            Ok(stepwise) => Transformed::yes(stepwise),
            Err(same) => Transformed::no(Expr::BinaryExpr(same)),
        },
        Expr::Like(like) => match stepwise::like(like) {
            Ok(stepwise) => Transformed::yes(stepwise),
            Err(same) => Transformed::no(Expr::Like(same)),
        },
        Expr::InList(list) => computed_items::apart(list)?,
        Expr::ScalarFunction(call) => function(call, schema)?,
        Expr::Negative(operand) => match arithmetic::checked_negation(&operand.get_type(schema)?) {
            Some(function) => Transformed::yes(function.call(vec![*operand])),
            None => Transformed::no(Expr::Negative(operand)),
        },
        Expr::Cast(Cast { expr, field }) => {
            let (_, from) = expr.to_field(schema)?;
            match conversions::conversion(&from, &field, zone) {
                Some(function) => Transformed::yes(function.call(vec![*expr])),
                // A cast is as nullable as its value: plans would differ from their descriptions.
                None if field.is_nullable() != from.is_nullable() => {
                    let field = Arc::new(field.as_ref().clone().with_nullable(from.is_nullable()));
                    Transformed::yes(Expr::Cast(Cast { expr, field }))
                }
                None => Transformed::no(Expr::Cast(Cast { expr, field })),
            }
        }
        Expr::AggregateFunction(mut call) => {
            let changed = filtered::in_aggregate(&mut call, schema)? | idle_order::left_out(&mut call)?;
            let own = aggregate(call, schema)?;
            Transformed::new_transformed(own.data, own.transformed || changed)
        }
        Expr::Case(case) => zeros::in_case(case, schema)?,
        Expr::WindowFunction(mut window) => {
            let changed = filtered::in_window(&mut window, schema)? | zeros::in_window(&mut window, schema)?;
            let charged = framed::charged(window, schema)?;
            Transformed::new_transformed(charged.data, changed || charged.transformed)
        }
        other => Transformed::no(other),
    })
}

/// `x # x` is NULL where `x` is, and so is what else joins a value with itself; the engine makes 0 of the two.
fn nulls_apart(mut binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let meet = joins(&binary.left, &binary.right) || joins(&binary.right, &binary.left);
    let parts = meet && binary.right.any_column_refs() && binary.right.nullable(schema)?;
    if parts {
        binary.right = Box::new(nullable(*binary.right));
    }
    Ok(Transformed::new_transformed(Expr::BinaryExpr(binary), parts))
}

/// Whether an expression is the other, or joins it by `#`.
fn joins(expr: &Expr, other: &Expr) -> bool {
    expr == other
        || matches!(expr, Expr::BinaryExpr(BinaryExpr { left, op: Operator::BitwiseXor, right })
            if joins(left, other) || joins(right, other))
}

fn function(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if call.name() == "nullif" {
        call = match zeros::in_nullif(call, schema)? {
            Ok(compared) => return Ok(Transformed::yes(compared)),
            Err(same) => same,
        };
    }
    let bared = functions::null_arrays::bared(&mut call, schema)?;
    let call = match bounded_call(call) {
        Ok(replaced) => return Ok(Transformed::yes(replaced)),
        Err(same) => same,
    };
    let Some(ours) = functions::in_place_of(&call.func) else {
        return Ok(Transformed::new_transformed(Expr::ScalarFunction(call), bared));
    };
    for argument in &call.args {
        if !matches!(argument.get_type(schema)?, DataType::List(_)) {
            return Ok(Transformed::no(Expr::ScalarFunction(call)));
        }
    }
    Ok(Transformed::yes(ours.call(call.args)))
}

fn aggregate(call: AggregateFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if call.params.distinct && call.params.args.len() > 1 && call.func.name() == "count" {
        return Err(unsupported("count(DISTINCT …) of several columns is not supported"));
    }
    let [argument] = call.params.args.as_slice() else { return Ok(Transformed::no(Expr::AggregateFunction(call))) };
    if let Some(func) = extremes::of_floats(&call.func)
        && argument.get_type(schema)?.is_floating()
    {
        return Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params: call.params })));
    }
    if sum::is_sum(&call.func) && argument.get_type(schema)? == DataType::Int32 {
        let call = AggregateFunction { func: sum::of_integers(), params: call.params };
        return Ok(Transformed::yes(Expr::AggregateFunction(call)));
    }
    Ok(Transformed::no(Expr::AggregateFunction(call)))
}
