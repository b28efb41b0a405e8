//! Unusual traffic: streams of numbers per principal, template, source and object, incidents, alerts. Judges nothing itself: the
//! detectors are in `querygate-models`.

mod book;
mod changes;
mod delivery;
mod incident;
mod listeners;
mod outbox;
mod plugin;
mod qualities;
mod rows;
mod running_statements;
mod schemas;
mod stream;
mod streams;
mod subject;
mod subject_cache;
#[cfg(test)]
mod tests;

pub(crate) use plugin::Anomalies;
