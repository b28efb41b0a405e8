//! What a run of random queries found, added up and printed.

use querygate_tests::harness::Layout;
use std::collections::BTreeMap;
use std::fmt;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) cases: u64,
    pub(crate) comparisons: u64,
    /// Cases that answer.
    pub(crate) answered: u64,
    /// Cases that answer with at least one row.
    pub(crate) nonempty: u64,
    /// Error codes on both sides.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Both sides answer, and the same principal over the reduced rows agrees with the governed side: the error comes
    /// from visible rows and from the plan.
    pub(crate) plan_dependent: u64,
    /// The layouts differ among themselves without any governance: in which error comes first.
    pub(crate) layout_errors: u64,
    /// The same in anything else: a fault of the engine, though no leak.
    pub(crate) layout_dependent: Vec<String>,
    /// Statements that fail inside the engine, on both sides.
    pub(crate) internal: Vec<String>,
    pub(crate) differences: Vec<String>,
    /// Pushed statements that the gate computed as well, with equal rows.
    pub(crate) self_checked: usize,
    /// Governed answers that were compared, by where the rows lay.
    pub(crate) by_place: BTreeMap<String, u64>,
    /// Cases that PostgreSQL, asked directly, answers alike; those in which a value raises; those that one side refuses.
    pub(crate) alike: u64,
    pub(crate) raised: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Cases that PostgreSQL answers otherwise.
    pub(crate) otherwise: Vec<String>,
}

impl Totals {
    pub(crate) fn real(&self) -> usize {
        self.differences.len()
    }

    pub(crate) fn nonempty(&self) -> u64 {
        self.nonempty
    }

    /// Cases that were compared with PostgreSQL itself.
    pub(crate) fn judged(&self) -> u64 {
        self.alike + self.raised + self.refused.values().sum::<u64>() + self.otherwise()
    }

    /// Cases that PostgreSQL itself answers otherwise than the gate does over the reduced copy.
    pub(crate) fn otherwise(&self) -> u64 {
        u64::try_from(self.otherwise.len()).unwrap()
    }

    /// Governed answers over rows in one layout.
    #[allow(dead_code, reason = "asked by the run over servers only")]
    pub(crate) fn over(&self, layout: Layout) -> u64 {
        self.by_place.get(layout.name()).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.alike += other.alike;
        self.raised += other.raised;
        self.otherwise.extend(other.otherwise);
        for (place, count) in other.by_place {
            *self.by_place.entry(place).or_default() += count;
        }
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.cases += other.cases;
        self.comparisons += other.comparisons;
        self.answered += other.answered;
        self.nonempty += other.nonempty;
        self.plan_dependent += other.plan_dependent;
        self.layout_errors += other.layout_errors;
        self.internal.extend(other.internal);
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.layout_dependent.extend(other.layout_dependent);
        self.differences.extend(other.differences);
        self.self_checked += other.self_checked;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} cases, {} comparisons: {} cases answer, {} with rows, errors on both sides {:?}, {} errors that depend on the plan, {} on the layout, {} other layout differences without governance, {} internal errors, {} equal self-checks, {} differences",
            self.cases,
            self.comparisons,
            self.answered,
            self.nonempty,
            self.errors,
            self.plan_dependent,
            self.layout_errors,
            self.layout_dependent.len(),
            self.internal.len(),
            self.self_checked,
            self.differences.len()
        )?;
        writeln!(f, "answers compared: {:?}", self.by_place)?;
        if self.judged() > 0 {
            writeln!(
                f,
                "PostgreSQL itself: {} answers alike, {} otherwise, {} in which a value raises, {} that one side refuses {:?}",
                self.alike,
                self.otherwise.len(),
                self.raised,
                self.refused.values().sum::<u64>(),
                self.refused
            )?;
        }
        let faults = self.layout_dependent.iter().take(20).chain(self.internal.iter().take(20));
        faults.into_iter().try_for_each(|text| writeln!(f, "{text}"))
    }
}
