//! What the runs of a bound statement have shown of its plans. Plans nothing and keeps no plan.

use querygate_telemetry_api::advice::Variant;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A statement whose plan was another, or could not be kept, as often as this is not looked at again.
const REFUSALS_MAX: u32 = 3;

/// Which variants a plan has, and the magnitude of the rows that it reads.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) variants: Vec<Variant>,
    pub(crate) band: u8,
}

/// What a statement's runs have shown of its plans.
#[derive(Debug, Default)]
pub(crate) struct PlanHistory {
    seen: Mutex<HashMap<Variant, Seen>>,
    /// Between which plans an advisor may choose.
    choices: OnceLock<Option<Choices>>,
}

#[derive(Debug, Default)]
struct Seen {
    has_run: bool,
    /// Which values were the same in the last run, and its plan.
    last: Option<(u64, u64)>,
    /// Runs in a row with this plan.
    runs: u32,
    refusals: u32,
}

impl PlanHistory {
    /// Between which plans an advisor may choose; the outer `None`: no run was planned so far.
    pub(crate) fn choices(&self) -> Option<Option<Choices>> {
        self.choices.get().cloned()
    }

    /// Notes what may be chosen.
    pub(crate) fn note_choices(&self, find: impl FnOnce() -> Option<Choices>) {
        self.choices.get_or_init(find);
    }

    /// Notes a run. Whether it is not the first one, and the plan of the statement may be one that can be kept.
    pub(crate) fn is_worth_a_look(&self, variant: Variant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(variant).or_default();
        let is_first = !std::mem::replace(&mut seen.has_run, true);
        !is_first && seen.refusals < REFUSALS_MAX
    }

    /// Whether its plan could not be kept before.
    pub(crate) fn is_refused(&self, variant: Variant) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&variant).is_some_and(|seen| seen.refusals > 0)
    }

    /// Notes that its plan cannot be kept.
    pub(crate) fn refuse(&self, variant: Variant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(variant).or_default();
        seen.refusals = seen.refusals.saturating_add(1);
    }

    /// Notes the plan of a run, and which values were the same in it. Whether as many runs in a row as are asked for had both.
    pub(crate) fn is_due(&self, variant: Variant, ties: u64, signature: u64, runs: u32) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(variant).or_default();
        if seen.last == Some((ties, signature)) {
            seen.runs = seen.runs.saturating_add(1);
        } else {
            // Where other values are the same, another plan is expected.
            let is_other = seen.last.replace((ties, signature)).is_some_and(|(before, _)| before == ties);
            seen.refusals = seen.refusals.saturating_add(u32::from(is_other));
            seen.runs = 1;
        }
        seen.runs >= runs && seen.refusals < REFUSALS_MAX
    }
}
