//! Replaces the largest one-source parts of a plan by leaves, top-down, and says for every operator where it runs. Knows neither how a leaf executes nor what a source is.

use crate::distinct_keys::distinct_keys;
use crate::eager::aggregate_first;
use crate::estimate;
use crate::leak_proof::becomes_leak_proof;
use crate::not_pushed::NotPushed;
use crate::opener::LeafOpener;
use crate::receipt::Receipt;
use crate::receipts::{Kept, LEFT_TO_LEAF, Receipts};
use crate::regroup::regroup;
use crate::related::{is_related, part_conditions};
use crate::required::{self, Required, projected};
use crate::translate::{coerce, translate_typed};
use crate::translation::Translation;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, DataFusionError};
use datafusion::logical_expr::logical_plan::Distinct;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder};
use querygate_types::{Error, Result};

/// Makes the leaf that runs a fragment inside a plan.
pub trait LeafBuilder {
    /// A plan node without inputs that delivers the translation's columns, in order, in its schema's types (casts
    /// applied). Names and qualifiers are free; the caller renames.
    ///
    /// # Errors
    /// Whatever keeps the leaf from being made; the statement fails with it.
    fn leaf(&self, translation: Translation) -> Result<LogicalPlan>;
}

/// A plan with leaves in it.
#[derive(Debug, Clone)]
pub struct Carved {
    pub plan: LogicalPlan,
    /// How many fragments were made.
    pub fragments: usize,
    pub receipts: Receipts,
}

/// Carves a bound plan: the whole of it if one source can run it, else the largest parts that are worth it. A bare scan
/// with leak-proof conditions stays with its governed leaf, which pushes those itself, unless its policy asks other tables.
///
/// # Errors
/// Faults of ours, and what the builder refuses. What cannot be pushed is not an error.
pub fn carve(
    plan: &LogicalPlan,
    opener: &dyn LeafOpener,
    builder: &dyn LeafBuilder,
    context: &SimplifyContext,
) -> Result<Carved> {
    if !is_query(plan) {
        return Ok(Carved { plan: plan.clone(), fragments: 0, receipts: Receipts::default() });
    }
    let typed = match coerce(plan.clone(), context.config_options()) {
        Ok(typed) => typed,
        Err(refusal) => {
            let kept = vec![Kept::Told(Receipt::kept(plan, &refusal, false))];
            return Ok(Carved { plan: plan.clone(), fragments: 0, receipts: Receipts::new(Vec::new(), kept) });
        }
    };
    let mut carving = Carving { opener, builder, context, pushed: Vec::new(), kept: Vec::new() };
    let carved = match carving.whole(&typed) {
        Ok(leaf) => leaf.map(Ok).unwrap_or_else(|| carving.parts(typed)),
        Err(fault) => Err(fault),
    };
    let carved = carved.map_err(|error| match error {
        Fault::Ours(error) => error,
        Fault::Engine(error) => Error::internal(error),
    })?;
    let fragments = carving.pushed.len();
    let receipts = Receipts::new(carving.pushed, carving.kept);
    // Nothing was carved: the plan as it was bound.
    Ok(Carved { plan: if fragments == 0 { plan.clone() } else { carved }, fragments, receipts })
}

/// Whether the plan reads rows for a client. Changes are planned elsewhere, from what was bound.
const fn is_query(plan: &LogicalPlan) -> bool {
    !matches!(
        plan,
        LogicalPlan::Statement(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_)
    )
}

enum Fault {
    Ours(Error),
    Engine(Box<DataFusionError>),
}

impl From<DataFusionError> for Fault {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// A part, its translation, and the sort to make again.
type Taken = (LogicalPlan, Translation, Option<LogicalPlan>);

struct Carving<'a> {
    opener: &'a dyn LeafOpener,
    builder: &'a dyn LeafBuilder,
    context: &'a SimplifyContext,
    pushed: Vec<Receipt>,
    kept: Vec<Kept>,
}

impl Carving<'_> {
    /// The whole plan as one leaf, if one source can run it.
    fn whole(&mut self, plan: &LogicalPlan) -> std::result::Result<Option<LogicalPlan>, Fault> {
        match translate_typed(plan, self.opener, self.context) {
            Ok(translation) => self.replace(plan, translation, None).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The plan with its parts carved.
    fn parts(&mut self, plan: LogicalPlan) -> std::result::Result<LogicalPlan, Fault> {
        let plan = aggregate_first(regroup(plan, self.opener)?, self.opener)?;
        let plan = distinct_keys(plan, self.opener)?;
        let plan = part_conditions(plan, self.opener)?;
        self.node(plan, &None).map(|(carved, _)| carved)
    }

    /// A node with its parts carved, and why it stayed itself (`None`: it became a leaf). It delivers at least what is
    /// required.
    fn node(
        &mut self,
        plan: LogicalPlan,
        required: &Required,
    ) -> std::result::Result<(LogicalPlan, Option<NotPushed>), Fault> {
        let plan = required::narrowed(plan, required)?;
        let why = match self.taken(&plan, required) {
            Ok((part, translation, order)) => return Ok((self.replace(&part, translation, order)?, None)),
            Err(refusal) => refusal,
        };
        let position = self.kept.len();
        let below_required = required::of_inputs(&plan, required)?;
        let mut below = false;
        let mut first_fault = None;
        let mut child =
            |this: &mut Self, input: LogicalPlan, required: &Required| match this.node(input.clone(), required) {
                Ok((carved, inner)) => {
                    below |= inner.is_some_and(|inner| inner.text == why.text);
                    carved
                }
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                    input
                }
            };
        let plan = plan
            .map_subqueries(|subquery| Ok(Transformed::yes(subquery_of(subquery, |p| child(self, p, &None)))))?
            .data;
        let plan = plan.map_children(|input| Ok(Transformed::yes(child(self, input, &below_required))))?.data;
        if let Some(fault) = first_fault {
            return Err(fault);
        }
        let plan = plan.recompute_schema()?;
        let kept = match of_leaf(&plan).filter(|_| why.text == LEFT_TO_LEAF) {
            Some(filter) => Kept::ByLeaf(filter.clone()),
            None => Kept::Told(Receipt::kept(&plan, &why, below)),
        };
        self.kept.insert(position, kept);
        Ok((plan, Some(why)))
    }

    /// A part with the columns that are required, its translation, and the order to make again above it.
    fn taken(&self, plan: &LogicalPlan, required: &Required) -> std::result::Result<Taken, NotPushed> {
        if !is_worth_it(plan, self.opener) {
            return Err(NotPushed::operator(LEFT_TO_LEAF));
        }
        let order = local_order(plan);
        let mut columns = required::columns_of(plan, required);
        if let Ok(Some(LogicalPlan::Sort(_))) = &order {
            columns = plan.schema().columns();
        }
        let part = if columns.is_empty() || columns.len() == plan.schema().fields().len() {
            plan.clone()
        } else {
            let columns = columns.into_iter().map(Expr::Column).collect();
            projected(plan.clone(), columns).map_err(|_| NotPushed::invalid("columns of a part"))?
        };
        let translation = translate_typed(&part, self.opener, self.context)?;
        if has_cross_join(plan) {
            return Err(NotPushed::operator("a join without a condition is cheaper in the gate"));
        }
        Ok((part, translation, order?))
    }

    /// The leaf, with the part's own names, sorted again where the part's order may matter above.
    fn replace(
        &mut self,
        plan: &LogicalPlan,
        mut translation: Translation,
        order: Option<LogicalPlan>,
    ) -> std::result::Result<LogicalPlan, Fault> {
        self.pushed.push(translation.receipt.clone());
        translation.size = estimate::of(plan, self.opener.estimator()).of_fragment();
        let leaf = self.builder.leaf(translation).map_err(Fault::Ours)?;
        let leaf = renamed(leaf, plan.schema())?;
        match order {
            Some(LogicalPlan::Sort(sort)) => Ok(LogicalPlanBuilder::from(leaf).sort(sort.expr)?.build()?),
            Some(_) | None => Ok(leaf),
        }
    }
}

/// A subquery node keeps its own frame (the columns of the query around it).
fn subquery_of(plan: LogicalPlan, mut child: impl FnMut(LogicalPlan) -> LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Subquery(mut subquery) => {
            let inner = child(LogicalPlan::clone(&subquery.subquery));
            subquery.subquery = inner.into();
            LogicalPlan::Subquery(subquery)
        }
        other => child(other),
    }
}

/// The columns of a leaf under the names and qualifiers of what it replaces.
fn renamed(leaf: LogicalPlan, schema: &DFSchemaRef) -> std::result::Result<LogicalPlan, Fault> {
    if leaf.schema().fields().len() != schema.fields().len() {
        return Err(Fault::Ours(Error::internal("leaf has another number of columns")));
    }
    let same = leaf.schema().iter().zip(schema.iter()).all(|((q, f), (r, g))| q == r && f.name() == g.name());
    for ((_, made), (_, told)) in leaf.schema().iter().zip(schema.iter()) {
        if made.data_type() != told.data_type() {
            return Err(Fault::Ours(Error::internal("leaf has a column of another type")));
        }
    }
    if same {
        return Ok(leaf);
    }
    let columns = leaf.schema().columns();
    let exprs: Vec<Expr> = columns
        .into_iter()
        .zip(schema.iter())
        .map(|(column, (qualifier, field))| Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()))
        .collect();
    Ok(projected(leaf, exprs)?)
}

/// Conditions right above a table.
fn of_leaf(plan: &LogicalPlan) -> Option<&Filter> {
    let LogicalPlan::Filter(filter) = plan else { return None };
    let mut input = &filter.input;
    while let LogicalPlan::SubqueryAlias(alias) = input.as_ref() {
        input = &alias.input;
    }
    matches!(input.as_ref(), LogicalPlan::TableScan(_)).then_some(filter)
}

/// Whether a part is worth a fragment of its own: a join, an aggregation, a limit, a set operation, or a condition or a
/// policy that a governed leaf would not take.
fn is_worth_it(plan: &LogicalPlan, opener: &dyn LeafOpener) -> bool {
    let mut worth = false;
    let _walked = plan.apply_with_subqueries(|node| {
        worth = match node {
            LogicalPlan::Join(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(Distinct::All(_))
            | LogicalPlan::Union(_) => true,
            LogicalPlan::TableScan(scan) => is_related(scan, opener),
            LogicalPlan::Filter(filter) => !split_conjunction(&filter.predicate)
                .into_iter()
                .all(|one| becomes_leak_proof(one, filter.input.schema())),
            LogicalPlan::Distinct(Distinct::On(_))
            | LogicalPlan::Projection(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_) => false,
        };
        Ok(if worth { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    worth
}

/// A product of whole tables inside a part would cross the wire.
fn has_cross_join(plan: &LogicalPlan) -> bool {
    let mut cross = false;
    let _walked = plan.apply(|node| {
        cross |= matches!(node, LogicalPlan::Join(join) if join.on.is_empty() && join.filter.is_none());
        Ok(if cross { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    cross
}

/// The engine cannot see that a leaf is sorted. Inside a plan, an order at the top of a part is made again above its
/// leaf; where that is not possible, the part is not taken.
fn local_order(plan: &LogicalPlan) -> std::result::Result<Option<LogicalPlan>, NotPushed> {
    match plan {
        LogicalPlan::Limit(limit) => match limit.input.as_ref() {
            sort @ LogicalPlan::Sort(_) => Ok(Some(sort.clone())),
            other => local_order(other).and_then(refuse_order),
        },
        LogicalPlan::Sort(_) => Err(NotPushed::operator("a sort without a limit is made in the gate")),
        LogicalPlan::Projection(projection) => local_order(&projection.input).and_then(refuse_order),
        LogicalPlan::SubqueryAlias(alias) => local_order(&alias.input).and_then(refuse_order),
        LogicalPlan::Filter(filter) => local_order(&filter.input).and_then(refuse_order),
        LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(None),
    }
}

/// An order below the top: its keys may not be among the columns.
fn refuse_order(order: Option<LogicalPlan>) -> std::result::Result<Option<LogicalPlan>, NotPushed> {
    match order {
        None => Ok(None),
        Some(_) => Err(NotPushed::operator("its order is made in the gate")),
    }
}
