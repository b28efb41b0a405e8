//! The statements of `tests/postgres/*.tsv` in many forms, asked of the gate and of a private PostgreSQL 15 at the same time: with
//! their literals as parameters (typed and untyped, text and binary, PREPARE, Flight), in subqueries, CTEs and outer joins.
//!
//! `cargo test -p querygate-tests --test forms -- --nocapture` asks a slice and compares it with the differences that are known
//! (`tests/forms/known.tsv`, `BLESS=1` writes it). `QUERYGATE_FORMS=all` asks everything, `QUERYGATE_FORMS=200` two hundred of
//! thousand; the differing cases are written to the file that `QUERYGATE_FORMS_FILE` names. `QUERYGATE_FORMS_ONLY` keeps the cases
//! whose line has a text.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic and tell figures"
)]

#[path = "forms/case.rs"]
mod case;
#[path = "flight/client.rs"]
#[allow(dead_code, reason = "shared with the tests of Flight")]
mod client;
#[path = "forms/corpus.rs"]
mod corpus;
#[path = "forms/literals.rs"]
mod literals;
#[path = "forms/oracle.rs"]
mod oracle;
#[path = "own_types/printed.rs"]
mod printed;
#[path = "forms/report.rs"]
mod report;
#[path = "forms/run.rs"]
mod run;
#[path = "forms/sources.rs"]
mod sources;
#[path = "forms/store.rs"]
mod store;
#[path = "forms/tables.rs"]
mod tables;
#[path = "flight/text.rs"]
mod text;
#[path = "forms/through_flight.rs"]
mod through_flight;
#[path = "forms/values.rs"]
mod values;
#[path = "forms/verdict.rs"]
mod verdict;
#[path = "forms/wire.rs"]
mod wire;

use case::Case;
use querygate_tests::server::blessing;
use std::time::Instant;

/// Of thousand cases, how many a run without a wish asks.
const SLICE: u64 = 10;

/// The cases of this run; the same ones in each run of a size.
fn chosen(all: Vec<Case>, size: Option<&str>) -> Vec<Case> {
    let share = match size {
        None => SLICE,
        Some("all") => 1_000,
        Some(number) => number.parse().expect("QUERYGATE_FORMS is `all` or a number of thousandths"),
    };
    let only = std::env::var("QUERYGATE_FORMS_ONLY").unwrap_or_default();
    all.into_iter().filter(|case| case.hash() % 1_000 < share && case.key().contains(&only)).collect()
}

#[test]
fn every_form_of_a_statement_answers_as_postgres() {
    let Some(oracle) = oracle::Oracle::start() else { return };
    let statements = corpus::statements();
    assert!(statements.len() > 3_000, "{} statements", statements.len());
    let size = std::env::var("QUERYGATE_FORMS").ok();
    let (mut tables, over) = tables::of_corpus(&statements, &mut oracle.session());
    tables.push(values::table());
    let gate = sources::serve(&oracle, &tables);
    let mut all: Vec<Case> = statements.iter().flat_map(corpus::forms).collect();
    all.extend(corpus::over_sources(&over, &tables, &gate));
    all.extend(values::cases(&gate.sources));
    let total = all.len();
    let cases = chosen(all, size.as_deref());
    let began = Instant::now();
    let outcomes = run::run(&cases, &oracle, &gate.server);
    let path = report::write(&report::differences(&outcomes));
    println!("{}", report::table(&outcomes));
    println!("{} of {total} pairs in {} s; {}", cases.len(), began.elapsed().as_secs(), path.display());
    if size.is_some() || std::env::var_os("QUERYGATE_FORMS_ONLY").is_some() {
        return;
    }
    if blessing() {
        report::bless(&outcomes);
        return;
    }
    let (new, gone) = report::against_known(&outcomes);
    gone.iter().for_each(|line| println!("no longer different, and to be taken from tests/forms/known.tsv: {line}"));
    assert!(new.is_empty(), "{} differences are new, see {}:\n{}", new.len(), path.display(), new.join("\n"));
}
