//! Unusual traffic: streams of numbers per principal, template, source and object, incidents, alerts. Judges nothing itself: the
//! detectors are in `querygate-models`.

mod book;
mod delivery;
mod heralds;
mod incident;
mod memo;
mod outbox;
mod part;
mod qualities;
mod rows;
mod schemas;
mod stream;
mod streams;
mod subject;
#[cfg(test)]
mod tests;
mod under_way;

pub(crate) use part::Anomalies;
pub use schemas::{SchemaChange, SchemaWatch};
