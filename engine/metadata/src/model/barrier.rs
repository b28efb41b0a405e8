//! What keeps every user from writing an object, by metadata alone. Knows no user and no right.

use super::{Object, SchemaMode, Snapshot};

/// First parts of the names of objects that the platform itself keeps.
const PLATFORM: [&str; 3] = ["sys_", "cloud_", "ai_"];

/// Why no user writes the records of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteBarrier {
    /// The platform's own: rights are not read from stored records, so that a change of them would change no right.
    Platform,
    /// A table of somebody else whose object does not say `external.writable`.
    ObjectNotWritable,
    /// A table of somebody else whose datasource does not say `external.allowWrites`.
    SourceReadOnly,
}

impl Snapshot {
    /// What keeps every user from writing an object, if anything does.
    ///
    /// A table is somebody else's where its datasource is not managed, or its object says `external`: the vendor asks the
    /// datasource only, but a table that is mapped onto an object was made by others all the same.
    #[must_use]
    pub fn write_barrier(&self, object: &Object) -> Option<WriteBarrier> {
        if is_platform(&object.name) {
            return Some(WriteBarrier::Platform);
        }
        let datasource = self.datasources.get(&object.datasource);
        let is_managed = datasource.is_none_or(|datasource| match datasource.schema_mode {
            SchemaMode::Managed => true,
            SchemaMode::External | SchemaMode::ValidateOnly => false,
        });
        if is_managed && object.external.is_none() {
            return None;
        }
        if !object.external.as_ref().is_some_and(|external| external.writable) {
            return Some(WriteBarrier::ObjectNotWritable);
        }
        let allows = datasource.is_some_and(|datasource| datasource.allow_writes);
        if allows { None } else { Some(WriteBarrier::SourceReadOnly) }
    }
}

/// Whether an object of this name is the platform's own.
pub(crate) fn is_platform(object: &str) -> bool {
    PLATFORM.iter().any(|prefix| object.starts_with(prefix))
}
