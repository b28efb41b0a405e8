//! The search for one source: what ran there, what the source tells of its tables, its planner's answers, and the result in
//! names and words. Blocks: for a thread of its own.

use super::oracle::{Guessed, Pace, Planned, found_by, numbers};
use super::outlook::Outlook;
use super::problem::{Asked, Problem, tables_of};
use super::written::Written;
use crate::ran::Ran;
use querygate_driver_api::advice::{IndexSpec, IndexedTable, Planner, WhatIf};
use querygate_driver_api::driver::Driver;
use querygate_models::index::{
    Advice, Change, CostOracle, Existing, Index, Needless, Rejected, SearchError, Settings, WhyNot, advise, needless,
};
use querygate_types::{Error, ErrorCode, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;
use tokio::runtime::Handle;

/// Fragments of a search, by the time they took.
const STATEMENTS_MAX: usize = 60;
/// Questions to a planner.
const QUESTIONS_MAX: usize = 3_000;
/// An index must save this share of the source's cost.
const BENEFIT_LEAST: f64 = 0.01;
/// Room that indexes may always take.
const BUDGET_LEAST: f64 = 16.0 * 1024.0 * 1024.0;
/// Obvious indexes whose rejection is told.
const REJECTED_MAX: usize = 20;
/// How far a guess without a planner can be believed.
const GUESS: f64 = 0.3;
/// How long a source has to tell of its tables.
const STUDY_MAX: Duration = Duration::from_secs(90);

/// An index to make.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) spec: IndexSpec,
    pub(crate) bytes: f64,
    pub(crate) benefit: f64,
    pub(crate) write_cost: f64,
    /// Fingerprint of a fragment, its runs, cost of one without and with it.
    pub(crate) gains: Vec<(u64, u64, f64, f64)>,
    /// What it is priced by, what is to be expected in time, and what is in doubt; for people.
    pub(crate) expected: String,
    /// How much of it is not in doubt, 0 to 1.
    pub(crate) trust: f64,
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) found: Vec<Found>,
    /// Index, bytes, why not.
    pub(crate) rejected: Vec<(IndexSpec, f64, String)>,
    /// Table, index, why it need not be there, bytes.
    pub(crate) needless: Vec<(querygate_driver_api::identifier::TableRef, String, String, f64)>,
    pub(crate) evidence: String,
    /// How far all this can be believed before it is measured.
    pub(crate) confidence: f64,
}

/// Searches by what ran and was written. `None`: the source cannot be advised, or nothing ran there. `budget`: bytes of all new
/// indexes.
pub(crate) fn search(
    driver: &dyn Driver,
    (rans, written): (&[(u64, Ran)], &[Written]),
    runtime: &Handle,
    budget: f64,
    pace: Pace,
) -> Result<Option<Outcome>> {
    let Some(advice) = driver.index_advice() else { return Ok(None) };
    let mut rans: Vec<(u64, &Ran)> = rans.iter().map(|(fingerprint, ran)| (*fingerprint, ran)).collect();
    rans.sort_by_key(|(fingerprint, ran)| (std::cmp::Reverse(ran.micros), *fingerprint));
    rans.truncate(STATEMENTS_MAX);
    let tables = tables_of(rans.iter().map(|(_, ran)| *ran));
    if tables.is_empty() {
        return Ok(None);
    }
    let late = |_| Error::new(ErrorCode::StatementTimeout, "the source did not tell of its tables in time");
    let study =
        runtime.block_on(async { tokio::time::timeout(STUDY_MAX, advice.study(&tables)).await }).map_err(late)??;
    let Priced { problem, planner, why } = match study.planner {
        Planner::Asked(planner) => asked(planner, rans, study.tables, written, runtime),
        Planner::Absent(why) => Priced { problem: Problem::new(&rans, study.tables, written), planner: None, why },
    };
    if problem.statements.is_empty() {
        return Ok(None);
    }
    let budget = budget.min((problem.bytes() / 2.0).max(BUDGET_LEAST));
    let settings = Settings {
        budget,
        width: 4,
        include: problem.tables.iter().any(|table| table.abilities.covering),
        write_cost: planner.as_ref().map_or(20.0, |planner| planner.write_cost()),
        least_benefit: BENEFIT_LEAST,
        questions: QUESTIONS_MAX,
        ..Settings::default()
    };
    let mut outcome = match planner {
        Some(planner) => {
            let evidence = format!("{}{why}", planner.evidence());
            let confidence = planner.confidence();
            let planner = RefCell::new(planner);
            let oracle = || Planned { problem: &problem, planner: &planner, runtime, pace, specs: HashMap::new() };
            let (found, rejected) = with(&problem, settings, oracle)?;
            Outcome { found, rejected, evidence, confidence, ..Outcome::default() }
        }
        None => {
            let (found, rejected) = with(&problem, settings, || Guessed { problem: &problem })?;
            let evidence = format!("no planner was asked, a guess from statistics only: {why}");
            Outcome { found, rejected, evidence, confidence: GUESS, ..Outcome::default() }
        }
    };
    outcome.needless = superfluous(&problem);
    Ok(Some(outcome))
}

/// What is searched, and by whose prices.
struct Priced {
    problem: Problem,
    /// `None`: prices are guessed.
    planner: Option<Box<dyn WhatIf>>,
    /// What the evidence says of that.
    why: String,
}

/// A planner's prices. What it refuses has no part in the search; one that refuses everything is not asked.
fn asked(
    mut planner: Box<dyn WhatIf>,
    mut rans: Vec<(u64, &Ran)>,
    tables: Vec<IndexedTable>,
    written: &[Written],
    runtime: &Handle,
) -> Priced {
    let (all, mut refused) = (rans.clone(), None);
    rans.retain(|(_, ran)| {
        let query = Problem::new(&[(0, ran)], tables.clone(), written).statements.pop().map(|one| one.query);
        let Some(query) = query else { return false };
        let answer = runtime.block_on(planner.cost(&query, &[]));
        answer.map_err(|error| refused = Some(error)).is_ok()
    });
    match refused {
        // It has no answers for the gate's user, whatever it is asked.
        Some(error) if rans.is_empty() => {
            let why = format!("the source's planner refuses every fragment ({error})");
            Priced { problem: Problem::new(&all, tables, written), planner: None, why }
        }
        _ => {
            let (all, without) = (all.len(), all.len() - rans.len());
            let why = match without {
                0 => String::new(),
                _ => format!("; {without} of {all} fragments have no plan there"),
            };
            Priced { problem: Problem::new(&rans, tables, written), planner: Some(planner), why }
        }
    }
}

type SearchOutcome = (Vec<Found>, Vec<(IndexSpec, f64, String)>);

/// The search with an oracle that can be made anew.
fn with<'o, O: CostOracle<Error = Error> + 'o>(
    problem: &Problem,
    settings: Settings,
    mut oracle: impl FnMut() -> O,
) -> Result<SearchOutcome> {
    let failed = |error: SearchError<Error>| match error {
        SearchError::Oracle(error) => error,
        other @ (SearchError::Workload | SearchError::Settings) => Error::internal(other),
    };
    let advice = advise(&problem.workload, oracle(), settings).map_err(failed)?;
    let chosen = policy_first(problem, &advice, &mut oracle())?;
    let unit = advice.before.max(f64::MIN_POSITIVE);
    let outlook = Outlook::new(problem, &advice);
    let mut found = Vec::new();
    for (suggestion, index) in advice.suggestions.iter().zip(&chosen) {
        let gain = |change: &Change| {
            let asked = problem.statements.get(change.statement)?;
            Some((asked.fingerprint, asked.runs, change.before.cost, change.after.cost))
        };
        let Some(spec) = problem.spec(index) else { continue };
        found.push(Found {
            spec,
            bytes: suggestion.bytes,
            benefit: suggestion.benefit / unit,
            write_cost: suggestion.write_cost / unit,
            gains: suggestion.statements.iter().filter_map(gain).collect(),
            expected: format!("{}{}", problem.writes_words(index), outlook.words(&suggestion.statements)),
            trust: outlook.trust(&suggestion.statements),
        });
    }
    let mut rejected = Vec::new();
    for one in &advice.rejected {
        // An index that is there already is no candidate that somebody misses.
        let there = there(problem, &one.index);
        let same = chosen.iter().any(|index| same_keys(index, &one.index));
        if same || rejected.len() >= REJECTED_MAX {
            continue;
        }
        if let Some(spec) = problem.spec(&one.index) {
            let why = match there {
                Some(name) => format!("index {name} does it already"),
                None => words(problem, one, settings.budget),
            };
            rejected.push((spec, one.bytes, why));
        }
    }
    Ok((found, rejected))
}

/// The same columns in another order, over the same rows.
fn same_keys(one: &Index, other: &Index) -> bool {
    one.table == other.table
        && one.predicate == other.predicate
        && one.keys.len() == other.keys.len()
        && one.keys.iter().all(|key| other.keys.contains(key))
}

/// An existing index that begins with these columns.
fn there<'a>(problem: &'a Problem, index: &Index) -> Option<&'a str> {
    let existing = problem.tables.get(index.table)?.indexes.iter();
    let mut plain = existing.filter(|one| one.valid && one.plain && !one.partial && !one.expression);
    let does = |known: Index| known.keys.starts_with(&index.keys) && known.covers(&index.include);
    plain.find(|one| numbers(problem, index.table, one).is_some_and(does)).map(|one| one.name.as_str())
}

/// What the policy compares for every statement of everybody leads, where the order of the first columns is free: the
/// index then serves other statements under the same policy as well. Kept only if no statement costs more.
fn policy_first<O: CostOracle<Error = Error>>(
    problem: &Problem,
    advice: &Advice,
    oracle: &mut O,
) -> Result<Vec<Index>> {
    let mut chosen: Vec<Index> = advice.suggestions.iter().map(|one| one.index.clone()).collect();
    for place in 0..chosen.len() {
        let users: Vec<usize> = advice.suggestions[place].statements.iter().map(|change| change.statement).collect();
        let index = &chosen[place];
        let accesses = || {
            let all = users.iter().filter_map(|user| problem.workload.statements.get(*user));
            all.flat_map(|statement| statement.accesses.iter().filter(|access| access.table == index.table))
        };
        let free = |key: &&usize| accesses().all(|access| access.equal.contains(key));
        let width = index.keys.iter().take_while(free).count();
        let policy = |column: usize| {
            let by_policy = |asked: &Asked| asked.policy.contains(&(index.table, column));
            users.iter().filter_map(|user| problem.statements.get(*user)).any(by_policy)
        };
        let mut other = index.clone();
        if let Some(keys) = other.keys.get_mut(..width) {
            keys.sort_by_key(|column| !policy(*column));
        }
        if other == *index || !oracle.admits(&other) {
            continue;
        }
        let mut swapped = chosen.clone();
        swapped[place] = other;
        let mut dearer = false;
        for user in &users {
            let costs = [&chosen, &swapped].map(|set| oracle.cost(*user, &set.iter().collect::<Vec<_>>()));
            let [before, after] = costs;
            dearer |= after?.cost > before?.cost * 1.001;
        }
        if !dearer {
            chosen = swapped;
        }
    }
    Ok(chosen)
}

fn words(problem: &Problem, rejected: &Rejected, budget: f64) -> String {
    let percent = |share: &f64| format!("{:.1}%", 100.0 * share);
    match &rejected.why {
        WhyNot::NotAdmitted => match found_by(problem, &rejected.index) {
            Some(key) => format!("{key} finds the one row of its first columns already"),
            None => "what it finds is found without it".to_owned(),
        },
        WhyNot::CoveredBy(other) => match problem.spec(other) {
            Some(spec) => {
                let keys: Vec<&str> =
                    spec.keys.iter().map(querygate_driver_api::identifier::Identifier::as_str).collect();
                format!("the suggested index on ({}) does the same", keys.join(", "))
            }
            None => "a suggested index does the same".to_owned(),
        },
        WhyNot::TooLarge => format!("it is larger than the whole budget of {:.0} MiB", budget / 1_048_576.0),
        WhyNot::NoRoom { saves } => {
            format!(
                "it would save {}, but does not fit into the budget beside what saves more for its size",
                percent(saves)
            )
        }
        WhyNot::SavesNothing { saves } => {
            format!("it would save {}: the planner does not use it, or gains little", percent(saves))
        }
        WhyNot::OthersDoIt { alone } => {
            format!("alone it would save {}, beside the suggested ones next to nothing", percent(alone))
        }
        WhyNot::Writes { saves, costs } => {
            let writes = problem.writes_words(&rejected.index);
            format!("writing to it costs {}, more than the {} it saves{writes}", percent(costs), percent(saves))
        }
    }
}

/// Existing indexes that need not be there, with the reason.
fn superfluous(problem: &Problem) -> Vec<(querygate_driver_api::identifier::TableRef, String, String, f64)> {
    let mut found = Vec::new();
    for (number, table) in problem.tables.iter().enumerate() {
        let existing: Vec<Existing> = table
            .indexes
            .iter()
            .map(|one| {
                let index = numbers(problem, number, one);
                Existing {
                    // What is over a column that was not looked at is left alone, like an expression.
                    expression: one.expression || index.is_none(),
                    index: index.unwrap_or_else(|| Index::on(number, &[])),
                    unique: one.unique,
                    constraint: one.constraint,
                    partial: one.partial,
                    plain: one.plain,
                    valid: one.valid,
                    scans: one.scans,
                    days: one.days,
                    bytes: one.bytes.map_or(0.0, crate::numbers::as_number),
                }
            })
            .collect();
        let name = |place: usize| table.indexes.get(place).map_or("another", |one| one.name.as_str());
        for (place, why) in needless(&existing) {
            let why = match why {
                Needless::Duplicate(other) => format!("the same as index {}", name(other)),
                Needless::PrefixOf(other) => format!("index {} begins with its columns", name(other)),
                Needless::Unused => format!("not scanned once in {:.0} days", existing[place].days),
            };
            found.push((table.table.clone(), name(place).to_owned(), why, existing[place].bytes));
        }
    }
    found
}
