//! Comments in plain English: words that leave open who does something, or how much of it, are counted and may only become fewer.

use super::{files_of, has_word, root};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Words that say neither who nor how many.
const VAGUE: [&str; 4] = ["whoever", "nobody", "told", "so many"];

/// First words that mean nothing without the comment before.
const FIRST: [&str; 3] = ["the same ", "likewise", "as above"];

/// Comments with such words, by crate; a crate that is not listed has none. A number may only fall.
const BUDGET: [(&str, usize); 24] = [
    ("bench", 5),
    ("bench/learning", 2),
    ("drivers/files", 21),
    ("drivers/memory", 2),
    ("drivers/mongodb", 22),
    ("drivers/mysql", 13),
    ("drivers/postgres", 46),
    ("drivers/sql", 1),
    ("drivers/sqlite", 11),
    ("engine/catalog", 2),
    ("engine/driver-api", 13),
    ("engine/gateway", 27),
    ("engine/http", 13),
    ("engine/metadata", 7),
    ("engine/policy", 11),
    ("engine/query", 25),
    ("engine/semantics", 19),
    ("engine/telemetry-api", 1),
    ("flight", 19),
    ("models", 33),
    ("optimizer/learning", 82),
    ("optimizer/rules", 14),
    ("pgwire-frontend", 14),
    ("tests", 5),
];

/// The comment on this line, without its slashes.
fn comment(line: &str) -> Option<&str> {
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    let at = line.match_indices("//").map(|(at, _)| at).find(|at| begins(*at))?;
    Some(line[at + 2..].trim_start_matches(['/', '!']).trim())
}

/// `first`: whether a comment begins with this text.
fn is_vague(text: &str, first: bool) -> bool {
    let text = text.to_lowercase();
    VAGUE.iter().any(|word| has_word(&text, word)) || first && FIRST.iter().any(|words| text.starts_with(words))
}

/// Numbers of lines with a vague comment, from 1.
fn vague_lines(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        if comment(line).is_some_and(|text| is_vague(text, !goes_on)) {
            found.push(number + 1);
        }
        goes_on = line.trim_start().starts_with("//");
    }
    found
}

#[test]
fn vague_comments_become_fewer() {
    let root = root();
    let budget: BTreeMap<&str, usize> = BUDGET.into_iter().collect();
    let mut wrong = String::new();
    for folder in super::arrows().keys() {
        let mut files = Vec::new();
        files_of("rs", &root.join(folder).join("src"), &mut files);
        let mut shown = String::new();
        let mut count = 0;
        for file in files {
            for line in vague_lines(&std::fs::read_to_string(&file).unwrap()) {
                count += 1;
                let _ = writeln!(shown, "    {}:{line}", file.strip_prefix(&root).unwrap().display());
            }
        }
        let allowed = budget.get(folder.as_str()).copied().unwrap_or(0);
        if count > allowed {
            let _ = writeln!(wrong, "{folder}: {count} comments say neither who nor how many, {allowed} may:\n{shown}");
        } else if count < allowed {
            let _ = writeln!(wrong, "{folder}: {count} vague comments are left, lower its number from {allowed}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn vague_words_are_found_in_comments_alone() {
    let text = "//! Nobody waits.\nlet told = \"nobody\"; // told\n/// Soldiers, retold.\n/// The same rows.\n\n\
                // The same rows.\n// The same again.\nlet url = \"http://so many\";\n/// As above.\n";
    assert_eq!(vague_lines(text), [1, 2, 6, 9]);
}
