//! What the tree itself must look like: which crate may use which, and how files begin, end and stay short.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/comments.rs"]
mod comments;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/exports.rs"]
mod exports;
#[path = "tidy/platform.rs"]
mod platform;
#[path = "tidy/readability.rs"]
mod readability;
#[path = "tidy/source.rs"]
mod source;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Crates by folder, with the folders of the workspace crates they use outside of tests.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let root = metadata["workspace_root"].as_str().unwrap();
    let folder = |path: &Value| path.as_str()?.strip_prefix(root).map(|path| path.trim_start_matches('/').to_owned());
    let packages = metadata["packages"].as_array().unwrap();
    let arrows = packages.iter().map(|package| {
        let manifest = folder(&package["manifest_path"]).unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let used = dependencies.filter(|d| d["kind"] != "dev").filter_map(|d| folder(&d["path"]));
        (manifest.trim_end_matches("/Cargo.toml").to_owned(), used.collect())
    });
    arrows.collect()
}

/// The table of ARCHITECTURE.md; `None` for a crate that may use any.
fn allowed() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| crate | holds | may depend on |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let may = match cells[2] {
                "any" => None,
                list => Some(list.split(',').map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect()),
            };
            (cells[0].to_owned(), may)
        })
        .collect()
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let (arrows, allowed) = (arrows(), allowed());
    let named: Vec<&String> = allowed.keys().collect();
    assert_eq!(arrows.keys().collect::<Vec<_>>(), named, "the table of ARCHITECTURE.md names other crates");
    let mut wrong = Vec::new();
    for (folder, used) in &arrows {
        match &allowed[folder] {
            None => assert!(!used.is_empty(), "{folder}"),
            Some(may) => {
                wrong.extend(used.difference(may).map(|other| format!("{folder} uses {other}, which is not allowed")));
                wrong.extend(may.difference(used).map(|other| format!("{folder} may use {other}, and does not")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const LINES_MAX: usize = 500;

fn files_of(extension: &str, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        // What is built lies beside a manifest; a module may be a target, too.
        let is_built = name == "target" && folder.join("Cargo.toml").exists();
        let skipped = is_built || name.to_str().is_some_and(|name| name.starts_with('.'));
        if entry.file_type().unwrap().is_dir() && !skipped {
            files_of(extension, &path, found);
        } else if path.extension().is_some_and(|its| its == extension) {
            found.push(path);
        }
    }
}

/// Whether a text holds a word, and not only as a part of another.
fn has_word(text: &str, word: &str) -> bool {
    let goes_on = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut places = text.match_indices(word);
    places.any(|(at, _)| !goes_on(text[..at].chars().next_back()) && !goes_on(text[at + word.len()..].chars().next()))
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let root = root();
    let mut files = Vec::new();
    files_of("rs", &root, &mut files);
    assert!(files.len() > 100);
    let mut wrong = Vec::new();
    // Spelt apart, so that this file does not name what it forbids.
    let forbidden = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("dbg", "!("), concat!("uns", "afe {")];
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{name} has {lines} lines, at most {LINES_MAX}"));
        }
        // A fuzz target begins with what its engine wants.
        if !text.starts_with("//!") && !name.contains("/fuzz/") {
            wrong.push(format!("{name} does not begin with `//!`"));
        }
        wrong.extend(forbidden.iter().filter(|f| text.contains(**f)).map(|f| format!("{name} contains {f}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_top_level_holds_what_was_agreed() {
    let agreed = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "bench",
        "deny.toml",
        "drivers",
        "engine",
        "flight",
        "models",
        "optimizer",
        "pgwire-frontend",
        "rust-toolchain.toml",
        "target",
        "tests",
    ];
    let names = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let others: Vec<String> = names.filter(|name| !name.starts_with('.') && !agreed.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}
