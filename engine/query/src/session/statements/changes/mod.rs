//! Changes in a session: of rows by SQL, by their values and by the stream, decided as their object's rules say.

pub(in crate::session) mod ingest;
mod parameter_numbers;
mod record;
mod references;
mod sets;
mod write;
pub(super) mod write_cache;
