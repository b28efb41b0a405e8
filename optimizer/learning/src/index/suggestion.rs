//! A suggestion as it is kept and shown: what to change, what it should give, what it gave. Knows no planner and no source, and
//! measures nothing.

use crate::numbers::percent;
use querygate_driver_api::advice::{IndexSpec, NullTest};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_types::Result;
use serde::{Deserialize, Serialize};

/// An index by its names, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) table: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) include: Vec<String>,
    pub(crate) code_point: Vec<String>,
    /// Column, and whether it must not be NULL.
    pub(crate) rows: Option<(String, bool)>,
}

impl Spec {
    pub(crate) fn of(spec: &IndexSpec) -> Self {
        let names = |names: &[Identifier]| names.iter().map(|name| name.as_str().to_owned()).collect();
        Self {
            table: names(spec.table.parts()),
            keys: names(&spec.keys),
            include: names(&spec.include),
            code_point: names(&spec.code_point),
            rows: spec.rows.as_ref().map(|test| (test.column.as_str().to_owned(), test.negated)),
        }
    }

    /// # Errors
    /// Names that are none, which this program did not keep.
    pub(crate) fn index(&self) -> Result<IndexSpec> {
        let names =
            |names: &[String]| names.iter().map(|name| Identifier::new(name.as_str())).collect::<Result<Vec<_>>>();
        let test = |(column, negated): &(String, bool)| {
            Ok::<_, querygate_types::Error>(NullTest { column: Identifier::new(column.as_str())?, negated: *negated })
        };
        Ok(IndexSpec {
            table: TableRef::new(self.table.iter().map(String::as_str))?,
            keys: names(&self.keys)?,
            include: names(&self.include)?,
            code_point: names(&self.code_point)?,
            rows: self.rows.as_ref().map(test).transpose()?,
        })
    }

    /// A name for it: what it is over, and a hash that tells it from others.
    pub(crate) fn name(&self) -> String {
        let word = |text: &str, most: usize| {
            text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(most).collect::<String>()
        };
        let table = self.table.last().map_or(String::new(), |name| word(name, 20));
        let keys: Vec<String> = self.keys.iter().take(3).map(|key| word(key, 8)).collect();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in format!("{self:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        format!("qg_{table}_{}_{:08x}", keys.join("_"), hash >> 32)
    }
}

/// What would be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Create(Spec),
    /// An index of this name; advice only.
    Drop(String),
}

/// How far a suggestion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Suggested,
    /// An obvious index that is not suggested; the evidence says why.
    Rejected,
    /// Made, and not measured yet.
    Applied,
    Helped,
    DidNotHelp,
    Undone,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Suggested => "suggested",
            Self::Rejected => "rejected",
            Self::Applied => "applied",
            Self::Helped => "helped",
            Self::DidNotHelp => "did not help",
            Self::Undone => "undone",
        }
    }

    /// Whether the index is there because of us.
    pub(crate) const fn is_applied(self) -> bool {
        match self {
            Self::Applied | Self::Helped | Self::DidNotHelp => true,
            Self::Suggested | Self::Rejected | Self::Undone => false,
        }
    }
}

/// What a template would gain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gain {
    /// Of the fragment.
    pub(crate) fingerprint: u64,
    /// Of a statement that it runs for.
    pub(crate) template: u64,
    pub(crate) runs: u64,
    /// Planner's cost of one run.
    pub(crate) before: f64,
    pub(crate) after: f64,
}

/// Median latency of a fragment before a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Before {
    pub(crate) fingerprint: u64,
    pub(crate) runs: u64,
    pub(crate) median_ms: f64,
}

/// A suggestion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Suggestion {
    pub(crate) id: i64,
    pub(crate) source: String,
    /// Path of the table in the source.
    pub(crate) table: String,
    pub(crate) change: Change,
    pub(crate) ddl: String,
    pub(crate) state: State,
    /// Share of the source's cost that it saves, writes taken off.
    pub(crate) benefit: f64,
    /// Share that writing to it costs.
    pub(crate) write_cost: f64,
    pub(crate) bytes: f64,
    /// 0 to 1.
    pub(crate) confidence: f64,
    pub(crate) evidence: String,
    pub(crate) gains: Vec<Gain>,
    /// UTC seconds.
    pub(crate) suggested: i64,
    pub(crate) applied: Option<i64>,
    pub(crate) before: Vec<Before>,
    /// The same of fragments of the source that it should not touch: what they became slower or faster was not the index.
    pub(crate) controls: Vec<Before>,
    /// Share of the median latency that it saved; negative: it cost.
    pub(crate) effect: Option<f64>,
    pub(crate) measured: String,
}

impl Suggestion {
    /// Whether both are the same change of the same source.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source && self.table == other.table && self.change == other.change
    }

    /// What each template gains, for people, who find it by its number in `querygate.templates`.
    pub(crate) fn gains_text(&self) -> String {
        let one = |gain: &Gain| {
            let template = if gain.template == 0 { gain.fingerprint } else { gain.template };
            let change = percent(gain.after / gain.before.max(f64::MIN_POSITIVE) - 1.0);
            format!("{template:016x} ({} runs): {:.0} to {:.0}, {change}", gain.runs, gain.before, gain.after)
        };
        self.gains.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn spec(keys: &[&str]) -> Spec {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Spec {
            table: vec!["main".to_owned(), "or\"ders".to_owned()],
            keys,
            include: Vec::new(),
            code_point: Vec::new(),
            rows: None,
        }
    }

    #[test]
    fn names_are_plain_and_differ() {
        let (one, other) = (spec(&["a", "b"]).name(), spec(&["b", "a"]).name());
        assert!(one.starts_with("qg_orders_a_b_") && one != other, "{one} {other}");
        assert!(one.len() < 63 && spec(&["ä \";--"]).name().is_ascii());
        assert_eq!(Spec::of(&spec(&["a"]).index().unwrap()), spec(&["a"]));
    }
}
