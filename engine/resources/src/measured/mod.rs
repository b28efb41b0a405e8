//! Memory as the allocator counts it: what the threads that work for a statement allocate is the statement's until one of them frees it.
//! Estimates that are made before a step refuse early; this tells what a step really took.
//!
//! The allocator counts the bytes of each thread. A task of a statement reads that count before and after each of its steps, and so
//! does a kernel that asks whether it may go on. Where the process has another allocator than jemalloc nothing is counted.

mod batch_buffers;
mod ledger;
mod node_memory;
mod scope;
mod silence;
mod thread_bytes;

pub use batch_buffers::{receive, release};
pub use ledger::{Books, Ledger, ask, has_room_for};
pub use node_memory::MeasuredExec;
pub use scope::{StatementWork, follow_spawned_tasks};
pub use silence::calls;
pub use thread_bytes::live_bytes;
