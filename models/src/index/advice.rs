//! A search's result for people: what to build, what it gives to which statement and costs in writes, and why the obvious
//! candidates are not in it.

use super::candidates::obvious;
use super::change::Change;
use super::oracle::CostOracle;
use super::search::{Search, SearchError, Settings, State, serves};
use super::shape::{Index, Workload};

/// An index to build.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// What.
    pub index: Index,
    /// Estimated bytes.
    pub bytes: f64,
    /// What the workload would cost more without it, with all other suggestions there.
    pub benefit: f64,
    /// What writing to it costs, in the same unit; already taken from the benefit.
    pub write_cost: f64,
    /// Statements whose cost it changes, without and with it.
    pub statements: Vec<Change>,
}

/// Why an obvious index is not suggested.
#[derive(Debug, Clone, PartialEq)]
pub enum WhyNot {
    /// The oracle does not admit it, and knows why.
    NotAdmitted,
    /// A suggested index does the same.
    CoveredBy(Index),
    /// It is larger than the whole budget.
    TooLarge,
    /// It would save this share of the workload's cost, but does not fit beside what saves more for its size.
    NoRoom {
        /// Saved share.
        saves: f64,
    },
    /// The planner would not use it, or it would save less than the least benefit.
    SavesNothing {
        /// Saved share.
        saves: f64,
    },
    /// Beside the suggested ones it adds less than the least benefit; alone it would save this share.
    OthersDoIt {
        /// Saved share if it were the only one.
        alone: f64,
    },
    /// Writing to it costs more than it saves.
    Writes {
        /// Saved share of the workload's cost, writes not counted.
        saves: f64,
        /// Share that the writes cost.
        costs: f64,
    },
}

/// An obvious index that is not suggested.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// What.
    pub index: Index,
    /// Estimated bytes.
    pub bytes: f64,
    /// Why.
    pub why: WhyNot,
}

/// The result of a search. Costs are the planner's estimates, weighted; they are not times.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Cost of the workload without new indexes.
    pub before: f64,
    /// With all suggestions, writes to them included.
    pub after: f64,
    /// Bytes of all suggestions.
    pub bytes: f64,
    /// By falling benefit.
    pub suggestions: Vec<Suggestion>,
    /// All statements, without and with all suggestions.
    pub statements: Vec<Change>,
    /// Obvious candidates that are not there, as far as questions were left to tell why.
    pub rejected: Vec<Rejected>,
    /// Questions that the planner was asked.
    pub questions: usize,
}

/// Searches indexes for the workload. Deterministic, if the oracle is.
///
/// # Errors
/// An unsound workload or bounds, or what the oracle says.
pub fn advise<O: CostOracle>(
    workload: &Workload,
    oracle: O,
    settings: Settings,
) -> Result<Advice, SearchError<O::Error>> {
    let mut search = Search::new(workload, oracle, settings)?;
    let state = search.best()?;
    let mut suggestions = Vec::new();
    for number in &state.set {
        suggestions.push(suggestion(&mut search, &state, *number)?);
    }
    suggestions.sort_by(|a, b| b.benefit.total_cmp(&a.benefit));
    let mut rejected = Vec::new();
    for index in obvious(workload, search.allowed()) {
        if search.asked.is_exhausted() {
            break;
        }
        if let Some(one) = reject(&mut search, &state, index)? {
            rejected.push(one);
        }
    }
    let mut statements = Vec::new();
    for statement in 0..workload.statements.len() {
        statements.push(change(&mut search, statement, &[], &state.set)?);
    }
    Ok(Advice {
        before: search.before,
        after: state.cost,
        bytes: state.bytes,
        suggestions,
        statements,
        rejected,
        questions: search.asked.calls,
    })
}

fn change<O: CostOracle>(
    search: &mut Search<'_, O>,
    statement: usize,
    before: &[usize],
    after: &[usize],
) -> Result<Change, SearchError<O::Error>> {
    let mut price = |set: &[usize]| search.asked.price(statement, set).map_err(SearchError::Oracle);
    Ok(Change { statement, before: price(before)?, after: price(after)? })
}

fn suggestion<O: CostOracle>(
    search: &mut Search<'_, O>,
    state: &State,
    number: usize,
) -> Result<Suggestion, SearchError<O::Error>> {
    let others: Vec<usize> = state.set.iter().copied().filter(|other| *other != number).collect();
    let without = search.state(others.clone())?;
    let mut statements = Vec::new();
    for statement in 0..search.workload.statements.len() {
        if !search.asked.may_use(statement, number) {
            continue;
        }
        let change = change(search, statement, &others, &state.set)?;
        if (change.before.cost - change.after.cost).abs() > 1e-9 * change.before.cost.abs() {
            statements.push(change);
        }
    }
    Ok(Suggestion {
        index: search.asked.candidates[number].clone(),
        bytes: search.asked.bytes(number),
        benefit: without.cost - state.cost,
        write_cost: search.write_cost(number),
        statements,
    })
}

fn reject<O: CostOracle>(
    search: &mut Search<'_, O>,
    state: &State,
    index: Index,
) -> Result<Option<Rejected>, SearchError<O::Error>> {
    let number = search.asked.number(&index);
    if state.set.contains(&number) {
        return Ok(None);
    }
    let bytes = search.asked.bytes(number);
    if !search.asked.admits(&index) {
        return Ok(Some(Rejected { index, bytes, why: WhyNot::NotAdmitted }));
    }
    let unit = search.before.max(f64::MIN_POSITIVE);
    let least = search.settings.least_benefit;
    let chosen = state.set.iter().map(|other| &search.asked.candidates[*other]);
    let same = chosen.into_iter().find(|other| serves(other, &index)).cloned();
    let alone = search.asked.total(&[number]).map_err(SearchError::Oracle)?;
    let saves_alone = (search.before - alone) / unit;
    let costs = search.write_cost(number) / unit;
    let mut all = state.set.clone();
    all.push(number);
    all.sort_unstable();
    let beside = search.state(all)?;
    let adds = (state.cost - beside.cost) / unit;
    let why = if let Some(other) = same {
        WhyNot::CoveredBy(other)
    } else if saves_alone <= least {
        WhyNot::SavesNothing { saves: saves_alone.max(0.0) }
    } else if saves_alone <= costs + least {
        WhyNot::Writes { saves: saves_alone, costs }
    } else if bytes > search.settings.budget {
        WhyNot::TooLarge
    } else if adds <= least {
        WhyNot::OthersDoIt { alone: saves_alone }
    } else {
        WhyNot::NoRoom { saves: adds }
    };
    Ok(Some(Rejected { index, bytes, why }))
}
