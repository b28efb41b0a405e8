//! How many names the root of a crate hands out.

use super::root;

/// What a reader can take in at once; a crate that offers more sorts it into public modules.
const MOST: usize = 20;

/// Names that a crate's root exports: public modules and items, and each name of a `pub use`.
fn exports(root: &str) -> usize {
    const ITEMS: [&str; 7] = ["mod ", "fn ", "struct ", "enum ", "trait ", "const ", "type "];
    let mut count = 0;
    for declared in root.split('\n').enumerate().filter_map(|(n, line)| line.strip_prefix("pub ").map(|rest| (n, rest)))
    {
        let (line, rest) = declared;
        if ITEMS.iter().any(|item| rest.starts_with(item)) {
            count += 1;
        } else if rest.starts_with("use ") {
            let text = root.split('\n').skip(line).collect::<Vec<_>>().join("\n");
            let tree = text.split(';').next().unwrap_or_default();
            count += tree.split([',', '{', '}']).filter(|name| name.trim().ends_with(char::is_alphanumeric)).count();
        }
    }
    count
}

#[test]
fn a_crate_exports_few_names() {
    let wrong: Vec<String> = super::arrows()
        .keys()
        .filter_map(|folder| {
            let text = std::fs::read_to_string(root().join(folder).join("src/lib.rs")).ok()?;
            let count = exports(&text);
            (count > MOST).then(|| format!("{folder}: {count} names in src/lib.rs, {MOST} at most"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn exports_are_counted() {
    let root = "//! Text.\nmod a;\npub mod b;\npub use a::{One, two,\n    Three as Four};\npub use b::Five;\npub(crate) use a::Six;\npub const SEVEN: u8 = 7;\n";
    assert_eq!(exports(root), 6);
}
