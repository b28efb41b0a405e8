//! Statements over the shop with what becomes of them: what sources are sent, the plan after each rule of ours that
//! changed it, and the rows. One file of `tests/goldens/` is one topic; a line `> reader: statement` is answered by the
//! lines after it, up to an empty one. `BLESS=1` writes the answers.

use crate::plan::receipts;
use crate::plan::rule_trace::steps;
use crate::testing::{Reader, Shop, on_runtime, printed};
use datafusion::execution::SessionState;
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use querygate_types::Error;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Statements that are read in one sitting.
const STATEMENTS_MAX: usize = 80;

#[test]
fn statements_become_what_is_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let blessing = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let (mut statements, mut wrong) = (0, Vec::new());
    for file in files {
        let recorded = std::fs::read_to_string(&file).unwrap();
        let (answered, count) = answered(&recorded);
        statements += count;
        if blessing {
            std::fs::write(&file, answered).unwrap();
        } else if let Some(line) = difference(&recorded, &answered) {
            wrong.push(format!("{}: {line}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "BLESS=1 accepts what is new\n{}", wrong.join("\n"));
    assert!((50..=STATEMENTS_MAX).contains(&statements), "{statements} statements");
}

fn difference(recorded: &str, answered: &str) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (recorded.lines().collect(), answered.lines().collect());
    let at = (0..old.len().max(new.len())).find(|at| old.get(*at) != new.get(*at))?;
    Some(format!("line {}\n  recorded {:?}\n  found    {:?}", at + 1, old.get(at), new.get(at)))
}

/// The file with each statement answered anew, and how many there are.
fn answered(recorded: &str) -> (String, usize) {
    let (mut text, mut statements, mut is_answer) = (String::new(), 0, false);
    for line in recorded.lines() {
        if let Some((who, sql)) = line.strip_prefix("> ").and_then(|line| line.split_once(": ")) {
            let reader = match who {
                "owner" => Shop::open().reader("olga", "shop_owner", 1),
                "clerk" => Shop::open().reader("carl", "shop_clerk", 1),
                other => panic!("nobody is called {other}"),
            };
            text.push_str(&format!("{line}\n{}", answer(&reader, sql)));
            (statements, is_answer) = (statements + 1, true);
        } else if line.is_empty() || line.starts_with('#') {
            is_answer = false;
            text.push_str(&format!("{line}\n"));
        } else {
            assert!(is_answer, "an answer without a statement: {line}");
        }
    }
    (text, statements)
}

fn answer(reader: &Reader, sql: &str) -> String {
    let failed = |error: &Error| format!("  ERROR {}: {}\n", error.code().sqlstate(), error.message());
    let executable = match reader.plan(sql) {
        Ok(executable) => executable,
        Err(error) => return failed(&error),
    };
    let mut text = String::new();
    for line in receipts::lines(&executable, true) {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(logical) = executable.logical() {
        text.push_str(&format!("  plan:\n{}", indented(&logical.display_indent().to_string())));
        let (plan, state) = (logical.clone(), Arc::clone(&reader.state));
        let ours = ours(&reader.state);
        let steps = on_runtime(async move { steps(&plan, &state).await.unwrap() });
        for step in steps.into_iter().filter(|step| ours.contains(&step.rule)) {
            // A finished plan is shown as it runs.
            let is_finished = step.plan.contains("Exec");
            let plan = if is_finished { String::new() } else { indented(&step.plan) };
            text.push_str(&format!("  {} changes it{}\n{plan}", step.rule, if is_finished { "" } else { " to:" }));
        }
        text.push_str(&format!("  runs:\n{}", indented(&printed(executable.physical()))));
    }
    match reader.run(Arc::clone(executable.physical())) {
        Ok(rows) => rows.iter().fold(text + "  rows:\n", |text, row| format!("{text}    {row}\n")),
        Err(error) => text + &failed(&error),
    }
}

fn indented(plan: &str) -> String {
    plan.lines().map(|line| format!("    {line}\n")).collect()
}

/// Names of the rules that are not DataFusion's own.
fn ours(state: &SessionState) -> HashSet<String> {
    let mut names: HashSet<String> = state.analyzer().rules.iter().map(|rule| rule.name().to_owned()).collect();
    names.extend(state.optimizer().rules.iter().map(|rule| rule.name().to_owned()));
    names.extend(state.physical_optimizers().iter().map(|rule| rule.name().to_owned()));
    names.insert("apply".to_owned());
    let analyzer = Analyzer::new().rules.into_iter().map(|rule| rule.name().to_owned());
    let logical = Optimizer::new().rules.into_iter().map(|rule| rule.name().to_owned());
    let physical = PhysicalOptimizer::new().rules.into_iter().map(|rule| rule.name().to_owned());
    let own: HashSet<String> = analyzer.chain(logical).chain(physical).collect();
    names.difference(&own).cloned().collect()
}
