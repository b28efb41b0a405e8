//! The short paths: one page for each kind of user, over a demo of its own.

use super::page::Page;
use super::{document, path};
use querygate_tests::server::blessing;

/// What a page has at least; where Python is absent, without its programs.
const ANSWERS_MIN: usize = 5;

/// Follows a page, and compares each of its answers.
fn followed(name: &str) {
    let text = document(name);
    let mut page = Page::new();
    let answered = page.run(&text);
    if blessing() {
        std::fs::write(path(name), answered).unwrap();
    }
    let answers = page.end();
    assert!(answers >= ANSWERS_MIN, "{name}: {answers} answers");
}

#[test]
fn an_analyst_asks_in_psql_and_draws_in_python() {
    followed("paths/analyst.md");
}

#[test]
fn a_data_engineer_takes_millions_of_rows() {
    followed("paths/engineer.md");
}

#[test]
fn an_operator_looks_after_a_gate() {
    followed("paths/operator.md");
}

#[test]
fn a_developer_writes_rules() {
    followed("paths/rules.md");
}
