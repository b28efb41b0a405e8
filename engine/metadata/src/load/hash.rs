//! The content hash of a snapshot: equal definitions give equal hashes, wherever they stand in a file.
//!
//! Each item is hashed once and its digest kept, so that taking a package out of a large snapshot hashes next to nothing.

use crate::model::Snapshot;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

pub(crate) type ItemDigest = [u8; 32];

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

fn digest(item: &impl Serialize) -> ItemDigest {
    let mut sink = Sink(Sha256::new());
    // Writing to a hash cannot fail and every item is plain data with text keys.
    if serde_json::to_writer(&mut sink, item).is_err() {
        sink.0.update(b"unserializable");
    }
    sink.0.finalize().into()
}

/// Digests of the items that are there now; those of unchanged items are taken over.
struct Collector<'s> {
    old: &'s BTreeMap<String, ItemDigest>,
    new: BTreeMap<String, ItemDigest>,
    /// How often a name occurred, for items whose names need not be unique.
    seen: HashMap<String, usize>,
}

impl Collector<'_> {
    fn add(&mut self, key: String, item: &impl Serialize) {
        let known = self.old.get(&key).copied();
        self.new.insert(key, known.unwrap_or_else(|| digest(item)));
    }

    fn add_repeated(&mut self, key: &str, item: &impl Serialize) {
        let nth = self.seen.entry(key.to_owned()).or_default();
        *nth += 1;
        let key = format!("{key}#{nth}");
        self.add(key, item);
    }
}

/// Brings `content_hash` up to date. Items whose digest was removed, and new ones, are hashed.
pub(super) fn refresh(snapshot: &mut Snapshot) {
    let mut items = Collector { old: &snapshot.digests, new: BTreeMap::new(), seen: HashMap::new() };
    for (name, object) in &snapshot.objects {
        items.add(object_key(name), object);
    }
    for (name, set) in &snapshot.permission_sets {
        items.add(format!("set {name}"), set);
    }
    for (name, position) in &snapshot.positions {
        items.add(format!("position {name}"), position);
    }
    for (name, capability) in &snapshot.capabilities {
        items.add(format!("capability {name}"), capability);
    }
    for (name, rule) in &snapshot.sharing_rules {
        items.add(format!("rule {name}"), rule);
    }
    for (name, datasource) in &snapshot.datasources {
        items.add(format!("datasource {name}"), datasource);
    }
    for seed in &snapshot.seed {
        items.add_repeated(&format!("seed {}", seed.object), seed);
    }
    for hook in &snapshot.hooks {
        items.add_repeated(&format!("hook {}", hook.name), hook);
    }
    for (name, webhook) in &snapshot.webhooks {
        items.add(format!("webhook {name}"), webhook);
    }
    let digests = items.new;
    let small = digest(&(snapshot.posture, snapshot.protocol, &snapshot.packages, &snapshot.datasource_mapping));
    let mut whole = Sha256::new();
    whole.update(small);
    for (key, digest) in &digests {
        whole.update(key.as_bytes());
        whole.update(digest);
    }
    let mut text = String::from("sha256:");
    for byte in whole.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    snapshot.digests = Arc::new(digests);
    snapshot.content_hash = text;
}

/// Key of an object's digest; whoever changes an object removes it.
pub(crate) fn object_key(name: &str) -> String {
    format!("object {name}")
}
