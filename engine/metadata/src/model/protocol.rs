//! Which release of ObjectStack's runtime a gate follows, and the rules that releases made stricter.

use serde::{Deserialize, Serialize};

/// A release of the runtime. Each keeps the rules of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Protocol {
    V17_4,
    V17_5,
    V17_6,
    #[default]
    V17_7,
}

impl Protocol {
    /// Releases by their names, the oldest first.
    pub const ALL: [(&'static str, Self); 4] =
        [("17.4", Self::V17_4), ("17.5", Self::V17_5), ("17.6", Self::V17_6), ("17.7", Self::V17_7)];

    /// Whether the release has the rule.
    #[must_use]
    pub fn has(self, rule: StrictRule) -> bool {
        STRICT_RULES.iter().any(|(known, since, _)| *known == rule && *since <= self)
    }
}

/// What a release refuses or reads otherwise than those before it. What is a hole in an earlier release is no choice and stands not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrictRule {
    NumberComparand,
    BooleanComparand,
    MomentComparand,
    BlankRange,
    TextOperator,
    Precision,
    NumberText,
    YearRange,
    BlankBoolean,
    UnevaluableRequired,
    AnonymousSession,
    RowNumber,
    EmptyValue,
    AggregateType,
    GroupType,
    OtherOrganization,
    CubeVisibility,
    CubeSpan,
    HookImage,
}

/// Each rule with the first release that has it, and what it says.
pub const STRICT_RULES: [(StrictRule, Protocol, &str); 19] = [
    (
        StrictRule::NumberComparand,
        Protocol::V17_5,
        "a number is compared with a number, or with a text of one as JSON writes it",
    ),
    (
        StrictRule::BooleanComparand,
        Protocol::V17_7,
        "a truth value is compared with true, false, 1, 0, or a text of these",
    ),
    (StrictRule::MomentComparand, Protocol::V17_5, "a datetime or time is compared with a moment of its years"),
    (StrictRule::BlankRange, Protocol::V17_5, "an end of `$between` is neither blank nor a field"),
    (StrictRule::TextOperator, Protocol::V17_5, "text operators apply to fields that hold texts"),
    (StrictRule::Precision, Protocol::V17_5, "a number has at most as many digits as its field's precision"),
    (
        StrictRule::NumberText,
        Protocol::V17_5,
        "a text stored in a number field is a number as JSON writes it; a truth value is none",
    ),
    (StrictRule::YearRange, Protocol::V17_5, "a date has a year from 1 to 9999, a datetime one from 1000"),
    (StrictRule::BlankBoolean, Protocol::V17_5, "a blank text stored in a boolean field is no value"),
    (
        StrictRule::UnevaluableRequired,
        Protocol::V17_5,
        "a record is refused where `requiredWhen` of a field without value has no answer",
    ),
    (StrictRule::AnonymousSession, Protocol::V17_5, "`/auth/get-session` without a login is 401"),
    (StrictRule::RowNumber, Protocol::V17_5, "a parameter that is a number of rows is a number"),
    (StrictRule::EmptyValue, Protocol::V17_6, "`is_empty` also finds blank texts and lists without elements"),
    (StrictRule::AggregateType, Protocol::V17_6, "aggregates apply to fields of the types that each function takes"),
    (StrictRule::GroupType, Protocol::V17_6, "groups are of fields with one plain value"),
    (StrictRule::OtherOrganization, Protocol::V17_7, "a new record that names another organization is refused"),
    (StrictRule::CubeVisibility, Protocol::V17_5, "a cube with `public: false` is as one that is not there"),
    (StrictRule::CubeSpan, Protocol::V17_6, "a cube's dimension of time with one span is of that span"),
    (
        StrictRule::HookImage,
        Protocol::V17_5,
        "a hook before an update has what is to be stored as `input`, and what was sent as `submitted`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of rules has a row for each, with the release and the words of this table.
    #[test]
    fn the_page_of_rules_has_them_all() {
        let page = include_str!("../../../docs/protocol.md");
        for (rule, since, says) in STRICT_RULES {
            let release = Protocol::ALL.iter().find(|(_, known)| *known == since).map_or("", |(name, _)| name);
            let row = format!("| {says} | {release} |");
            assert!(page.contains(&row), "{rule:?}: no row begins with {row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("| 17.")).count();
        assert!(rows >= 30, "{rows} rules");
    }

    #[test]
    fn releases_keep_the_rules_of_those_before() {
        assert!(!Protocol::V17_4.has(StrictRule::TextOperator));
        assert!(Protocol::V17_5.has(StrictRule::TextOperator) && Protocol::V17_7.has(StrictRule::TextOperator));
        assert!(!Protocol::V17_6.has(StrictRule::BooleanComparand));
        for (rule, since, _) in STRICT_RULES {
            assert!(Protocol::default().has(rule) && since > Protocol::V17_4, "{rule:?}");
            assert_eq!(STRICT_RULES.iter().filter(|(other, ..)| *other == rule).count(), 1, "{rule:?}");
        }
    }
}
