//! What each node of a plan holds while it runs, for those who ask which of them needs so much.
//!
//! A node is measured as a statement is: by what its thread allocates and frees while the node is polled, without what its inputs do
//! meanwhile. A batch is the node's that makes it until it goes to the node above. What comes through a channel from another task is not
//! counted in where it comes out.

use super::batch_buffers::own_buffers;
use super::thread_bytes::net_bytes;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use datafusion::{arrow::record_batch::RecordBatch, common::internal_err};
use futures::{Stream, StreamExt};
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

/// What a node holds, in all its streams together.
#[derive(Debug, Default)]
struct NodeMemory {
    held: AtomicI64,
    most: AtomicI64,
}

impl NodeMemory {
    fn add(&self, bytes: i64) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.most.fetch_max(held, Ordering::Relaxed);
    }
}

/// A node that is polled, and the thread's bytes when that was last taken in.
struct PolledNode {
    node: Arc<NodeMemory>,
    since: i64,
}

thread_local! {
    static POLLED: RefCell<Option<PolledNode>> = const { RefCell::new(None) };
}

/// Polls a node; what is around it is measured no further meanwhile.
fn polled<T>(node: &Arc<NodeMemory>, poll: impl FnOnce() -> T) -> T {
    let began = net_bytes();
    let around = POLLED.replace(Some(PolledNode { node: Arc::clone(node), since: began }));
    // What the node around it did until now.
    if let Some(around) = &around {
        around.node.add(began.wrapping_sub(around.since));
    }
    let done = poll();
    let now = net_bytes();
    if let Some(ended) = POLLED.replace(None) {
        ended.node.add(now.wrapping_sub(ended.since));
    }
    POLLED.set(around.map(|around| PolledNode { since: now, ..around }));
    done
}

/// A node whose memory is measured.
#[derive(Debug)]
pub struct MeasuredExec {
    input: Arc<dyn ExecutionPlan>,
    memory: Arc<NodeMemory>,
}

impl MeasuredExec {
    /// Measures a node.
    pub fn of(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, memory: Arc::default() })
    }

    /// The node itself.
    #[must_use]
    pub fn node(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// The most bytes that it held, in all its streams together.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.memory.most.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }
}

fn over(mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    match (inputs.pop(), inputs.is_empty()) {
        (Some(input), true) => Ok(MeasuredExec::of(input)),
        _ => internal_err!("a node is measured alone"),
    }
}

impl DisplayAs for MeasuredExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeasuredExec")
    }
}

impl ExecutionPlan for MeasuredExec {
    fn name(&self) -> &'static str {
        "MeasuredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        over(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        over(children)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory = Arc::clone(&self.memory);
        let batches = polled(&memory, || self.input.execute(partition, context))?;
        Ok(Box::pin(MeasuredStream { batches, memory }))
    }
}

struct MeasuredStream {
    batches: SendableRecordBatchStream,
    memory: Arc<NodeMemory>,
}

impl Stream for MeasuredStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let memory = Arc::clone(&self.memory);
        let next = polled(&memory, || self.batches.poll_next_unpin(cx));
        if let Poll::Ready(Some(Ok(batch))) = &next {
            let bytes = own_buffers(batch);
            memory.add(-bytes);
            POLLED.with_borrow(|around| {
                if let Some(around) = around {
                    around.node.add(bytes);
                }
            });
        }
        next
    }
}

impl RecordBatchStream for MeasuredStream {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.batches.schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_innermost_nodes() {
        const MANY: usize = 4 << 20;
        let (outer, inner) = (Arc::<NodeMemory>::default(), Arc::<NodeMemory>::default());
        let kept = polled(&outer, || {
            let first = vec![1_u8; MANY];
            let second = polled(&inner, || vec![1_u8; 2 * MANY]);
            (first, second, vec![1_u8; MANY])
        });
        let near = |node: &NodeMemory, texts: usize| {
            let held = node.held.load(Ordering::Relaxed);
            (held - i64::try_from(texts * MANY).unwrap()).abs() < 1 << 18
        };
        assert!(near(&outer, 2) && near(&inner, 2));
        polled(&inner, || drop(kept));
        assert!(near(&inner, 0) || inner.held.load(Ordering::Relaxed) < 0);
        assert!(inner.most.load(Ordering::Relaxed) >= 2 * i64::try_from(MANY).unwrap());
    }
}
