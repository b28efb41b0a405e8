//! Which leaves of a finished plan workers read: leaves over files that have a closed form, where a session asks for it or what they
//! read is worth the way. Never changes what is above a leaf.

use super::exec::WorkersExec;
use super::pool::{Asked, WorkerPool};
use crate::part::{FileVersion, Leaf};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use querygate_catalog::leaf::{GovernedExec, LeafRecipe};
use querygate_types::{Error, Result};
use std::any::Any;
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

/// What became of one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    table: Arc<str>,
    ships: bool,
    why: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.ships { "read by workers" } else { "read in the gate" };
        write!(f, "Workers: {}: {place}: {}", self.table, self.why)
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

/// Puts workers into the leaves that they are to read.
///
/// # Errors
/// Internal: a leaf does not fit its own recipe.
pub fn ship(plan: Arc<dyn ExecutionPlan>, shipping: &Shipping) -> Result<Shipped> {
    let mut choices = Vec::new();
    let rewritten = Arc::clone(&plan).transform_up(|node| {
        let any: &dyn Any = node.as_ref();
        let Some(leaf) = any.downcast_ref::<GovernedExec>() else { return Ok(Transformed::no(node)) };
        let Some(recorded) = leaf.recipe() else { return Ok(Transformed::no(node)) };
        let judged = match recorded {
            Ok(recipe) => judged(leaf, recipe, shipping),
            Err(why) => Err((*why).to_owned()),
        };
        let (ships, why, shipped) = match judged {
            Ok((parts, why)) => {
                let here = (shipping.mode == Mode::Auto).then(|| Arc::clone(&node));
                let read = read_by_workers(leaf, parts, shipping, here).map_err(outside)?;
                (true, why, Some(read))
            }
            Err(why) => (false, why, None),
        };
        choices.push(Choice { table: leaf.table().into(), ships, why });
        Ok(match shipped {
            Some(read) => Transformed::yes(Arc::new(read) as Arc<dyn ExecutionPlan>),
            None => Transformed::no(node),
        })
    });
    let plan = rewritten.map_err(Error::internal)?.data;
    Ok(Shipped { plan, choices })
}

fn outside(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The parts of a leaf and why workers read it, or why they do not.
fn judged(
    leaf: &GovernedExec,
    recipe: &LeafRecipe,
    shipping: &Shipping,
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
        Mode::Auto if leaf.is_narrowed() => return Err("a join narrows it while it runs".to_owned()),
        Mode::Auto if bytes < least => return Err(format!("a scan{amount} is below min_bytes of {least}")),
        Mode::Auto => {}
    }
    let closed = Arc::new(Leaf::closed(recipe).map_err(str::to_owned)?);
    let deployment = leaf.token().state_version;
    let asked = |group: &FileGroup| {
        let files = group.files().iter().map(version).collect::<Option<Arc<[FileVersion]>>>()?;
        Some(Asked { leaf: Arc::clone(&closed), files, deployment })
    };
    let parts = groups.iter().map(asked).collect::<Option<Vec<_>>>();
    let parts = parts.ok_or("one of its files has no date that workers are sent")?;
    let why = match shipping.mode {
        Mode::On => format!("querygate.workers is on, a scan{amount}"),
        Mode::Auto => format!("a scan{amount} is not below min_bytes of {least}"),
    };
    Ok((parts, why))
}

fn read_by_workers(
    leaf: &GovernedExec,
    parts: Vec<Asked>,
    shipping: &Shipping,
    here: Option<Arc<dyn ExecutionPlan>>,
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

fn read_bytes(file: &PartitionedFile) -> u64 {
    match &file.range {
        Some(range) => u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0),
        None => file.object_meta.size,
    }
}

fn version(file: &PartitionedFile) -> Option<FileVersion> {
    Some(FileVersion {
        path: file.object_meta.location.to_string(),
        bytes: file.object_meta.size,
        modified_ns: file.object_meta.last_modified.timestamp_nanos_opt()?,
        range: file.range.as_ref().map(|range| (range.start, range.end)),
    })
}
