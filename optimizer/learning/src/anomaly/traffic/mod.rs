//! What is followed: streams of numbers, whom and what each is about, and what in them is out of the ordinary.

pub(super) mod changes;
pub(super) mod qualities;
pub(super) mod running_statements;
pub(super) mod schemas;
pub(super) mod stream;
pub(super) mod streams;
pub(super) mod subject;
pub(super) mod subject_cache;
