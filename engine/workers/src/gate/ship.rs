//! Which leaves of a finished plan workers read: leaves over files that have a closed form, where a session asks for it or what they
//! read is worth the way. And what they do above them.

use super::chain::{Chain, Top, chain_of, read_bytes};
use super::exec::{Here, WorkersExec};
use super::pool::{Asked, SideRows, WorkerPool};
use super::staging::{Over, staged};
use crate::part::{FileVersion, Leaf};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use querygate_catalog::leaf::{GovernedExec, LeafRecipe};
use querygate_types::{Error, Result};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// `querygate.workers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whatever has a form that workers are sent.
    On,
    /// Of that, what reads enough to be worth it; what no worker gives is read in the gate.
    Auto,
}

/// With which workers a statement is planned; in a session's configuration.
#[derive(Debug, Clone)]
pub struct Shipping {
    /// The workers.
    pub pool: Arc<WorkerPool>,
    /// What the session asks for.
    pub mode: Mode,
}

/// Where a table is read, and what is done with its rows there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Gate,
    /// Workers read it.
    Leaf,
    /// Workers do what is above it, too.
    Stage(Top),
}

impl Place {
    const fn words(self) -> &'static str {
        match self {
            Self::Gate => "read in the gate",
            Self::Leaf => "read by workers",
            Self::Stage(Top::Rows) => "filtered by workers",
            Self::Stage(Top::States | Top::Aggregates) => "aggregated by workers",
            Self::Stage(Top::First) => "first rows chosen by workers",
        }
    }
}

/// What became of one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    table: Arc<str>,
    place: Place,
    why: String,
    /// Why more of what is above the leaf is done in the gate.
    stays: Option<&'static str>,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers: {}: {}: {}", self.table, self.place.words(), self.why)?;
        match self.stays {
            Some(reason) if self.place != Place::Gate => write!(f, "; more is done in the gate: {reason}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// A plan whose leaves are read where they should be.
#[derive(Debug)]
pub struct Shipped {
    /// The plan.
    pub plan: Arc<dyn ExecutionPlan>,
    /// What became of its leaves over files.
    pub choices: Vec<Choice>,
}

/// Puts workers into the leaves that they are to read, and in the place of what they are to do above them.
///
/// # Errors
/// Internal: a leaf does not fit its own recipe.
pub fn ship(plan: Arc<dyn ExecutionPlan>, shipping: &Shipping) -> Result<Shipped> {
    let first_groups = chooses_groups(&plan);
    let mut shipper = Shipper { shipping, first_groups, choices: Vec::new(), stays: HashMap::new() };
    let plan = shipper.within(plan)?;
    Ok(Shipped { plan, choices: shipper.choices })
}

/// Whether an aggregate keeps only the first groups of an order: which of two equal ones depends on how its rows come.
fn chooses_groups(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let aggregate = plan.downcast_ref::<AggregateExec>();
    let limit = aggregate.and_then(AggregateExec::limit_options);
    limit.is_some_and(|limit| limit.descending().is_some()) || plan.children().into_iter().any(chooses_groups)
}

struct Shipper<'a> {
    shipping: &'a Shipping,
    first_groups: bool,
    choices: Vec<Choice>,
    /// Why the most that could be done above a leaf is not, by the leaf's address in the plan.
    stays: HashMap<usize, &'static str>,
}

impl Shipper<'_> {
    fn within(&mut self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_down(|node| match self.shipped(&node) {
            Ok(Some(other)) => Ok(Transformed::new(other, true, TreeNodeRecursion::Jump)),
            Ok(None) => Ok(Transformed::no(node)),
            Err(error) => Err(outside(error)),
        });
        Ok(rewritten.map_err(Error::internal)?.data)
    }

    /// What stands in the place of a node. `None`: the node itself.
    fn shipped(&mut self, node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(chain) = chain_of(node) {
            return self.stage(chain);
        }
        let any: &dyn Any = node.as_ref();
        match any.downcast_ref::<GovernedExec>() {
            Some(leaf) => self.leaf(leaf, node),
            None => Ok(None),
        }
    }

    fn stage(&mut self, mut chain: Chain) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let owner = Arc::clone(&chain.leaf);
        let any: &dyn Any = owner.as_ref();
        let Some(leaf) = any.downcast_ref::<GovernedExec>() else { return Ok(None) };
        let Some(Ok(recipe)) = leaf.recipe() else { return Ok(None) };
        // A join would read less here, as it narrows the leaf while it runs, which workers do not hear of.
        let narrows = chain.top == Top::First;
        // A leaf that stays is visited by itself next, which notes why.
        let Ok((parts, why)) = judged(leaf, recipe, self.shipping, narrows) else { return Ok(None) };
        let (table, address, top) = (leaf.table().into(), address(&chain.leaf), chain.top);
        let noted = self.choices.len();
        for link in &mut chain.links {
            link.side = link.side.take().map(|side| self.within(side)).transpose()?;
        }
        let of = Over { leaf, restricts: recipe.restricts, first_groups: self.first_groups };
        match staged(&chain, &of, parts, self.shipping)? {
            Ok(stage) => {
                let stays = self.stays.get(&address).copied();
                self.choices.push(Choice { table, place: Place::Stage(top), why, stays });
                Ok(Some(stage))
            }
            Err(reason) => {
                // So are the leaves of the small sides: what was noted of them would stand there twice.
                self.choices.truncate(noted);
                self.stays.entry(address).or_insert(reason);
                Ok(None)
            }
        }
    }

    fn leaf(&mut self, leaf: &GovernedExec, node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(recorded) = leaf.recipe() else { return Ok(None) };
        let judged = match recorded {
            Ok(recipe) => judged(leaf, recipe, self.shipping, false).and_then(|found| {
                // Rows take more to send and to read again than most conditions take to decide.
                if self.shipping.mode == Mode::On || chooses_few(&recipe.filters, &recipe.policy) {
                    Ok(found)
                } else {
                    Err("no condition of it chooses few rows, and all others would travel".to_owned())
                }
            }),
            Err(why) => Err((*why).to_owned()),
        };
        let stays = self.stays.get(&address(node)).copied();
        let (place, why, shipped) = match judged {
            Ok((parts, why)) => {
                let here = || Here { leaf: Arc::clone(node) };
                let here = (self.shipping.mode == Mode::Auto).then(here);
                (Place::Leaf, why, Some(read_by_workers(leaf, parts, self.shipping, here)?))
            }
            Err(why) => (Place::Gate, why, None),
        };
        self.choices.push(Choice { table: leaf.table().into(), place, why, stays });
        Ok(shipped.map(|read| Arc::new(read) as Arc<dyn ExecutionPlan>))
    }
}

/// Whether rows are chosen as most choices of a few are written: by a value, some values, a pattern, or a range with two ends.
fn chooses_few(filters: &[Expr], policy: &[Expr]) -> bool {
    let conditions = || filters.iter().chain(policy).flat_map(split_conjunction);
    let ends = |ops: [Operator; 2]| {
        let ended = move |one: &Expr| match one {
            Expr::BinaryExpr(BinaryExpr { left, op, .. }) if ops.contains(op) => Some(left.clone()),
            _ => None,
        };
        conditions().filter_map(ended).collect::<Vec<_>>()
    };
    let (from, to) = (ends([Operator::Gt, Operator::GtEq]), ends([Operator::Lt, Operator::LtEq]));
    from.iter().any(|of| to.contains(of))
        || conditions().any(|one| match one {
            Expr::BinaryExpr(binary) => binary.op == Operator::Eq,
            Expr::Between(between) => !between.negated,
            Expr::InList(list) => !list.negated,
            Expr::Like(like) => !like.negated,
            Expr::IsNull(_) => true,
            // Of all others as many rows may be left as there are.
            _ => false,
        })
}

fn address(leaf: &Arc<dyn ExecutionPlan>) -> usize {
    Arc::as_ptr(leaf).cast::<()>().addr()
}

fn outside(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The parts of a leaf and why workers read it, or why they do not. `narrows_itself`: what narrows it while it runs is what workers
/// do above it, and nothing else.
fn judged(
    leaf: &GovernedExec,
    recipe: &LeafRecipe,
    shipping: &Shipping,
    narrows_itself: bool,
) -> std::result::Result<(Vec<Asked>, String), String> {
    let (size, answering) = shipping.pool.size();
    if size == 0 {
        return Err("there is no worker".to_owned());
    }
    let Some(groups) = leaf.file_groups() else { return Err("it reads no file".to_owned()) };
    let bytes: u64 = groups.iter().flat_map(|group| group.files()).map(read_bytes).sum();
    // How much is read tells of hidden rows.
    let amount = if recipe.restricts { String::new() } else { format!(" of about {bytes} bytes") };
    let least = shipping.pool.bytes_min();
    match shipping.mode {
        Mode::On => {}
        Mode::Auto if answering == 0 => return Err("no worker answers".to_owned()),
        Mode::Auto if !narrows_itself && leaf.is_narrowed() => return Err("a join narrows it while it runs".to_owned()),
        Mode::Auto if bytes < least => return Err(format!("a scan{amount} is below min_bytes of {least}")),
        Mode::Auto => {}
    }
    let closed = Arc::new(Leaf::closed(recipe).map_err(str::to_owned)?);
    let deployment = leaf.token().state_version;
    let asked = |group: &FileGroup| {
        let files = group.files().iter().map(version).collect::<Option<Arc<[FileVersion]>>>()?;
        Some(Asked { leaf: Arc::clone(&closed), steps: None, sides: SideRows::default(), files, deployment })
    };
    let parts = groups.iter().map(asked).collect::<Option<Vec<_>>>();
    let parts = parts.ok_or("one of its files has no date that workers are sent")?;
    let why = match shipping.mode {
        Mode::On => format!("querygate.workers is on, a scan{amount}"),
        Mode::Auto => format!("a scan{amount} is not below min_bytes of {least}"),
    };
    Ok((parts, why))
}

pub(super) fn read_by_workers(
    leaf: &GovernedExec,
    parts: Vec<Asked>,
    shipping: &Shipping,
    here: Option<Here>,
) -> Result<GovernedExec> {
    let inner = leaf.inner();
    if parts.len() != inner.output_partitioning().partition_count() {
        return Err(Error::internal("a leaf has other streams than groups of files"));
    }
    let streams = WorkersExec::new(Arc::clone(&shipping.pool), parts, inner.schema(), here);
    let streams: Arc<dyn ExecutionPlan> = match leaf.fetch() {
        Some(fetch) => Arc::new(LocalLimitExec::new(Arc::new(streams), fetch)),
        None => Arc::new(streams),
    };
    leaf.read_by(streams, "over workers")
}

type PartitionedFile = datafusion::datasource::listing::PartitionedFile;

fn version(file: &PartitionedFile) -> Option<FileVersion> {
    Some(FileVersion {
        path: file.object_meta.location.to_string(),
        bytes: file.object_meta.size,
        modified_ns: file.object_meta.last_modified.timestamp_nanos_opt()?,
        range: file.range.as_ref().map(|range| (range.start, range.end)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    #[test]
    fn conditions_that_choose_a_few_rows_are_told_from_others() {
        let range = |low: i64, high: i64| col("a").gt_eq(lit(low)).and(col("a").lt(lit(high)));
        let few = [
            col("a").eq(lit(1)),
            col("a").like(lit("x%")),
            col("a").in_list(vec![lit(1)], false),
            col("a").between(lit(1), lit(2)),
            col("a").is_null(),
            range(1, 2),
        ];
        for few in few {
            assert!(
                chooses_few(std::slice::from_ref(&few), &[]) && chooses_few(&[], std::slice::from_ref(&few)),
                "{few}"
            );
        }
        let half = [
            col("a").gt(lit(1)),
            col("b").lt(lit(1)),
            col("a").not_eq(lit(5)),
            col("a").is_not_null(),
            col("a").not_like(lit("x%")),
        ];
        assert!(!chooses_few(&half, &[]) && !chooses_few(&[], &half) && !chooses_few(&[], &[]));
        assert!(!chooses_few(
            &[col("a").in_list(vec![lit(1)], true), col("a").eq(lit(1)).or(col("b").eq(lit(1)))],
            &[]
        ));
        assert!(chooses_few(&[col("a").gt(lit(1))], &[col("a").lt(lit(9))]));
    }
}
