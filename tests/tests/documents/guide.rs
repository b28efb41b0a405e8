//! The guide's example: its files are made as they are listed, and its commands answer what the guide says.

use super::document;
use super::listing::{asked, listings, shows};
use super::page::Page;
use querygate_tests::server::execute;

#[test]
fn the_guide_is_run_as_it_stands() {
    let text = document("guide.md");
    let described = text.split("\n## Describe your data\n").nth(1).unwrap();
    let described = described.split("\n### A database server\n").next().unwrap();
    let found = listings(described);
    let [orders, returns, stack, config, users, looks, access] = found[..] else {
        panic!("other listings: {found:?}");
    };

    let page = Page::new();
    let at = |name: &str| page.file(name);
    std::fs::create_dir(at("files")).unwrap();
    std::fs::create_dir(at("metadata")).unwrap();
    execute(&at("shop.sqlite"), orders);
    std::fs::write(at("files/returns.csv"), format!("{returns}\n")).unwrap();
    std::fs::write(at("metadata/stack.yaml"), format!("{stack}\n")).unwrap();
    std::fs::write(at("querygate.toml"), format!("{config}\n")).unwrap();
    for user in ["nora", "omar"] {
        page.shell(&format!("querygate user add {user} --write"), "a password of theirs\n");
    }
    // The listing of users shortens the verifiers that were made.
    let written = std::fs::read_to_string(at("querygate.toml")).unwrap();
    let mut verifiers = written.lines().filter(|line| line.starts_with("verifier = "));
    let shortened = |line: &&str| line.starts_with("verifier = ");
    assert_eq!(users.lines().filter(shortened).count(), verifiers.clone().count(), "{written}");
    let users: Vec<&str> =
        users.lines().map(|line| if shortened(&line) { verifiers.next().unwrap() } else { line }).collect();
    std::fs::write(at("querygate.toml"), format!("{config}\n\n{}\n", users.join("\n"))).unwrap();

    let commands = [asked(looks, "$ "), asked(access, "$ ")].concat();
    assert_eq!(commands.len(), 5, "{commands:?}");
    for (command, expected) in commands {
        let printed = page.shell(&command, "");
        assert!(shows(&expected, &printed), "{command}\n{printed}");
    }
}
