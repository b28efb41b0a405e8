//! Unusual traffic: streams of numbers per principal, template, source and object, incidents, alerts. Judges nothing itself: the
//! detectors are in `querygate-models`.

mod incidents;
mod plugin;
#[cfg(test)]
mod tests;
mod traffic;

pub(crate) use plugin::Anomalies;
