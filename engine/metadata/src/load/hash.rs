//! The content hash of a snapshot: equal definitions give equal hashes, wherever they stand in a file.

use crate::model::Snapshot;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io;

struct Sink(Sha256);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `sha256:<hex>`.
pub(super) fn content_hash(snapshot: &Snapshot) -> String {
    let mut sink = Sink(Sha256::new());
    let parts = (
        (snapshot.posture, &snapshot.packages, &snapshot.objects, &snapshot.permission_sets, &snapshot.positions),
        (&snapshot.capabilities, &snapshot.sharing_rules, &snapshot.datasources, &snapshot.datasource_mapping),
        (&snapshot.seed, &snapshot.hooks),
    );
    // Writing to a hash cannot fail, and every part is plain data; a failure would only make the hash less telling.
    if serde_json::to_writer(&mut sink, &parts).is_err() {
        sink.0.update(snapshot.version.to_be_bytes());
    }
    let mut text = String::from("sha256:");
    for byte in sink.0.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
