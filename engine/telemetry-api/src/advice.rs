//! What the engine asks before it plans: which of several valid plans a run gets. Knows no plan; the advisor is not trusted
//! with more than the choice.

use querygate_types::PlannerSetting;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A way to plan a statement. Each gives the same rows under the same policies: both walks verify what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// What runs without advice.
    Default,
    /// Joins in the order in which the engine's own rules put them, not by estimated rows.
    WrittenOrder,
    /// The keys of one side of a join do not narrow what the other side's source is asked for.
    NoKeys,
    /// They narrow it also where that is not expected to pay.
    Keys,
    /// One stream instead of one for each core.
    OneStream,
    /// Sources give rows of single tables; everything else runs in the gate.
    Fetch,
    /// The sources' own planners run with a setting.
    Planner(PlannerSetting),
}

impl Variant {
    /// What the gate itself can do in another way, the tamest first.
    pub const OTHERS: [Self; 5] = [Self::OneStream, Self::NoKeys, Self::Keys, Self::WrittenOrder, Self::Fetch];

    /// All but the default.
    pub fn others() -> impl Iterator<Item = Self> {
        Self::OTHERS.into_iter().chain(PlannerSetting::ALL.map(Self::Planner))
    }

    /// Name as system tables show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::WrittenOrder => "written_order",
            Self::NoKeys => "no_keys",
            Self::Keys => "keys",
            Self::OneStream => "one_stream",
            Self::Fetch => "fetch",
            Self::Planner(setting) => setting.name(),
        }
    }

    /// By name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        std::iter::once(Self::Default).chain(Self::others()).find(|variant| variant.name() == name)
    }
}

/// A run that is about to be planned.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Of the statement's template.
    pub fingerprint: u64,
    /// The statement with `?` for each literal.
    pub template: &'a Arc<str>,
    /// Who runs it: what was learnt from one principal's rows decides nothing for another.
    pub login: &'a str,
    /// Magnitude of the rows that it is expected to read.
    pub band: u8,
    /// Variants that are valid for it, beside the default.
    pub variants: &'a [Variant],
}

/// A plan that was chosen, and why it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Name of the alternative; `default` is what runs without advice.
    pub alternative: Arc<str>,
    /// Band of selectivity for which it was chosen.
    pub band: u8,
    pub stage: Stage,
}

/// Why an alternative ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing is known yet, or advice is off.
    Observe,
    /// Beside the statement; its rows are thrown away.
    Shadow,
    /// On a bounded share of runs, to be measured.
    Trial,
    /// Proven better.
    Pinned,
    /// The default, while another one is pinned, to be measured.
    Control,
}

impl Stage {
    /// Name as system tables show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Shadow => "shadow",
            Self::Trial => "trial",
            Self::Pinned => "pinned",
            Self::Control => "control",
        }
    }
}

/// What a run gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advice {
    pub variant: Variant,
    pub stage: Stage,
    /// Time from the start after which a run that has given no row yet is stopped and the default takes its place.
    pub limit: Option<Duration>,
}

impl Advice {
    /// No advice.
    pub const NONE: Self = Self { variant: Variant::Default, stage: Stage::Observe, limit: None };
}

/// Why a run gave no time to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Stopped at its limit, which was so long.
    Stopped(Duration),
    /// It could not be planned, or failed before its first row, where the default did not.
    Failed,
    /// Its client did not wait for its end: it was cancelled, or its time was over, after so long.
    Left(Duration),
    /// It failed, and so did the default: that says nothing of the plan.
    Void,
}

/// Chooses. Every method answers at once, from memory; times come back with the records of statements.
pub trait PlanAdvisor: Send + Sync + fmt::Debug {
    /// The plan of this run.
    fn choose(&self, question: &Question<'_>) -> Advice;

    /// What most runs get, and why, for EXPLAIN. Counts as no run.
    fn explain(&self, question: &Question<'_>) -> (Advice, String);

    /// A run that did not follow its advice to the end; the default took its place, unless its client left.
    fn lost(&self, question: &Question<'_>, variant: Variant, lost: Lost);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_a_name_of_its_own() {
        let all: Vec<Variant> = std::iter::once(Variant::Default).chain(Variant::others()).collect();
        assert_eq!(all.len(), 1 + Variant::OTHERS.len() + PlannerSetting::ALL.len());
        for variant in all {
            assert_eq!(Variant::from_name(variant.name()), Some(variant));
        }
        assert_eq!(Variant::from_name("enable_nestloop"), None);
    }
}
