//! Where a user's rights are put aside.

use super::{files_of, root};
use std::collections::BTreeMap;

/// The one place that acts as the platform for a user, where hooks say so; and where views are bound once with all rights, to be warned of,
/// and dropped: nothing is read.
const PLACES: [&str; 2] = ["engine/query/src/session/hook_records.rs", "engine/query/src/engine/views.rs"];

/// How often a text makes a principal of the platform.
fn made(text: &str) -> usize {
    [".as_system(", "Principal::as_system", "Self::as_system"].iter().map(|call| text.matches(call).count()).sum()
}

#[test]
fn the_platform_acts_for_hooks_alone() {
    let mut files = Vec::new();
    files_of("rs", &root(), &mut files);
    let mut found = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let count = made(&std::fs::read_to_string(&file).unwrap());
        if count > 0 && !name.split('/').any(|part| part == "tests") {
            found.insert(name, count);
        }
    }
    assert_eq!(
        found,
        BTreeMap::from(PLACES.map(|place| (place.to_owned(), 1))),
        "rights are put aside elsewhere, or more than once"
    );
}

#[test]
fn calls_are_found() {
    assert_eq!(
        made("let a = Arc::new(user.as_system()); let b = map(Principal::as_system); run.has_asked_as_system"),
        2
    );
}
