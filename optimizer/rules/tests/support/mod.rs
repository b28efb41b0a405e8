//! A test catalog over two sources, a compact printer for fragments, and golden files. Knows no real source.

pub(crate) mod print;
pub(crate) mod tables;

use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::simplify::SimplifyContext;
use querygate_rules::{NotPushed, Translation, translate};
use std::path::PathBuf;
use tables::{Opener, context};

pub(crate) async fn bind(sql: &str) -> LogicalPlan {
    context().state().create_logical_plan(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[allow(dead_code, reason = "not every test file asks for it")]
pub(crate) async fn try_translate(sql: &str) -> Result<Translation, NotPushed> {
    translate(&bind(sql).await, &Opener, &SimplifyContext::builder().build())
}

#[allow(dead_code, reason = "not every test file asks for it")]
/// Compares with `tests/golden/<name>`; `UPDATE_GOLDEN=1` writes it.
pub(crate) fn golden(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (e, a)) in expected.lines().zip(actual.lines()).enumerate() {
        assert_eq!(e, a, "{name}, line {}", line + 1);
    }
    assert_eq!(expected.lines().count(), actual.lines().count(), "{name}: number of lines");
}

#[allow(dead_code, reason = "not every test file asks for it")]
/// Statements of a golden file: separated by semicolons at line ends.
pub(crate) fn statements(name: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/statements").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    text.split(";\n").map(str::trim).filter(|sql| !sql.is_empty()).map(str::to_owned).collect()
}

/// A statement with its fragment, or why there is none.
#[allow(dead_code, reason = "not every test file asks for it")]
pub(crate) async fn outcome(sql: &str) -> String {
    let shown = match context().state().create_logical_plan(sql).await {
        Ok(plan) => match translate(&plan, &Opener, &SimplifyContext::builder().build()) {
            Ok(translation) => print::translation(&translation),
            Err(refusal) => format!("not pushed: {refusal} [{:?}]\n", refusal.reason),
        },
        Err(error) => format!("does not bind: {error}\n"),
    };
    format!("{sql}\n=>\n{shown}\n")
}
