//! What documents name is there: files, headings that are linked to, and words of source files.

use super::{files_of, has_word, root};
use std::path::{Path, PathBuf};

/// Folders whose files documents name from the root.
const NAMED_FROM: [&str; 9] =
    ["engine/", "drivers/", "optimizer/", "models/", "flight/", "pgwire-frontend/", "tests/", "bench/", ".ci/"];

/// A document without what stands between fences, which programs read and print.
fn prose(document: &Path) -> String {
    std::fs::read_to_string(document).unwrap().split("\n```").step_by(2).collect()
}

/// By what names a document's headings are linked to.
fn anchors(prose: &str) -> Vec<String> {
    let headings = prose.lines().filter_map(|line| line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' '));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor =
        |heading: &str| heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    headings.map(anchor).collect()
}

/// Links to files and headings that are not there.
fn lost_links(document: &Path, text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let is_there = |link: &str| {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { document.to_path_buf() } else { document.parent().unwrap().join(path) };
        target.exists() && (anchor.is_empty() || anchors(&prose(&target)).iter().any(|own| own == anchor))
    };
    let lost = links.filter(|link| !link.contains("://") && !is_there(link));
    lost.map(|link| format!("links to {link}")).collect()
}

/// Marked files that are not there, and marked words that their file lacks. `sources`: files of Rust.
fn lost_names(sources: &[PathBuf], prose: &str) -> Vec<String> {
    let marked = prose.split('`').skip(1).step_by(2);
    let lost = |marked: &&str| {
        let (path, word) = marked.split_once("::").unwrap_or((*marked, ""));
        if path.contains(['*', ' ', '{', '…']) {
            return false;
        }
        if NAMED_FROM.iter().any(|folder| path.starts_with(folder)) && !root().join(path).exists() {
            return true;
        }
        if Path::new(path).extension().is_none_or(|its| its != "rs") {
            return false;
        }
        // Where it is clear which folder is meant, documents name the end of a path.
        let mut meant = sources.iter().filter(|source| source.ends_with(path));
        !meant.any(|source| word.is_empty() || has_word(&std::fs::read_to_string(source).unwrap(), word))
    };
    marked.filter(lost).map(|marked| format!("names {marked}")).collect()
}

#[test]
fn documents_name_what_is_there() {
    let root = root();
    let (mut documents, mut sources) = (Vec::new(), Vec::new());
    files_of("md", &root, &mut documents);
    files_of("rs", &root, &mut sources);
    assert!(documents.len() > 20);
    let mut wrong = Vec::new();
    for document in documents {
        let (name, prose) = (document.strip_prefix(&root).unwrap().display(), prose(&document));
        let lost = lost_links(&document, &prose).into_iter().chain(lost_names(&sources, &prose));
        wrong.extend(lost.map(|lost| format!("{name} {lost}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_there_is_found() {
    assert_eq!(anchors("# One\ntext\n### `Two`, and 3\n#none\n"), ["one", "two-and-3"]);
    let links = "[a](gone.md) [b](LICENSE) [c](ARCHITECTURE.md#crates) [d](ARCHITECTURE.md#gone) [e](https://a.b/#c)";
    let lost = lost_links(&root().join("README.md"), links);
    assert_eq!(lost, ["links to gone.md", "links to ARCHITECTURE.md#gone"]);
    let sources = [root().join("tests/tests/tidy.rs")];
    let names =
        "`tidy.rs` `tests/tests/tidy.rs::files_of` `tidy.rs::files_o` `gone.rs` `tests/gone` `a b.rs` `*.rs` `a.md`";
    assert_eq!(lost_names(&sources, names), ["names tidy.rs::files_o", "names gone.rs", "names tests/gone"]);
}
