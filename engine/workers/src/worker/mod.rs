//! A worker: verifies parts, plans their leaves over its own folders, and gives their rows. Has no users, no metadata, no statement.

mod door;
mod files;
mod measure;
mod run;
mod service;

pub use files::{OpenFiles, PartFiles};
pub use querygate_arrivals::Strangers;
pub use service::{Translate, Worker, WorkerOptions};
