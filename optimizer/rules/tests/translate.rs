//! Statements and their fragments, by golden files: what is pushed, what is refused and why, where fences stand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod support;

use support::{golden, outcome, statements};

/// Every statement of a file: accepted, and as in its golden file.
async fn check(name: &str, accept: fn(&str) -> bool) {
    let (mut actual, mut wrong) = (String::new(), Vec::new());
    for sql in statements(&format!("{name}.sql")) {
        let outcome = outcome(&sql).await;
        if !accept(&outcome) {
            wrong.push(outcome.clone());
        }
        actual.push_str(&outcome);
    }
    golden(&format!("{name}.txt"), &actual);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_pushed(outcome: &str) -> bool {
    outcome.contains("=>\noutput")
}

#[tokio::test]
async fn plain_statements_are_pushed() {
    check("pushed", is_pushed).await;
}

#[tokio::test]
async fn what_has_no_word_is_refused_and_is_no_fault_of_ours() {
    check("refused", |outcome| outcome.contains("=>\nnot pushed") && !outcome.contains("[Invalid]")).await;
}

#[tokio::test]
async fn restricted_tables_stand_behind_fences() {
    check("fenced", is_pushed).await;
}

#[tokio::test]
async fn tpc_h_translates() {
    check("tpch", is_pushed).await;
}
