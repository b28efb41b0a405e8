//! What a check says of rules by those whom they bind: for whom a rule opens nothing, and which compare values of two types.

use crate::config::User;
use crate::governance::Governance;
use querygate_metadata::{Diagnostic, Severity};
use querygate_policy::unusable::{OddComparison, UnusableRule};
use querygate_policy::{Evaluator, resolve_principal};
use querygate_types::principal::Principal;
use std::collections::BTreeMap;

/// Users that are named in one finding.
const NAMED_MAX: usize = 5;

/// The users of a configuration with all that they hold.
pub(super) struct Members<'a> {
    pub(super) governance: &'a Governance,
    /// Each with its name. None: there is no configuration.
    users: Vec<(&'a str, Principal)>,
    now_ms: i64,
}

impl<'a> Members<'a> {
    pub(super) fn of(governance: &'a Governance, users: &'a [User]) -> Self {
        let now_ms = chrono::Utc::now().timestamp_millis();
        let resolved = |user: &'a User| {
            let principal = (*user.principal).clone();
            let held = resolve_principal(principal, &governance.policies, &governance.facts, now_ms);
            (user.name.as_str(), held)
        };
        Self { governance, users: users.iter().map(resolved).collect(), now_ms }
    }

    /// What comes of a row policy that cannot be applied, in a sentence. `None`: it is none, or of another kind.
    pub(super) fn effect(&self, rule: &UnusableRule) -> Option<String> {
        let set = rule.set.as_ref()?;
        if !rule.is_of_reads {
            return Some(format!("It allows no change to holders of '{set}'."));
        }
        let (policy, facts) = (&*self.governance.policies, &self.governance.facts);
        let reads_nothing = |principal: &Principal| {
            let evaluator = Evaluator { policy, principal, facts, now_ms: self.now_ms };
            evaluator.decide_read(&rule.object).unusable_rule() == Some(rule.rule.as_str())
        };
        let refused: Vec<&str> =
            self.users.iter().filter(|(_, held)| reads_nothing(held)).map(|(name, _)| *name).collect();
        let told = match refused.len() {
            0 => String::new(),
            1 => format!("; {} reads nothing of the table", named(&refused)),
            _ => format!("; {} read nothing of the table", named(&refused)),
        };
        Some(format!("It opens no row to holders of '{set}'{told}."))
    }
}

/// Names in a sentence.
fn named(names: &[&str]) -> String {
    let shown = names.get(..NAMED_MAX).unwrap_or(names).join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Comparisons of columns with values of another type: those that compare texts though a number is written, and those for which a rule
/// is not enforced for a user.
pub(super) fn comparisons(members: &Members<'_>) -> Vec<Diagnostic> {
    let policies = &members.governance.policies;
    let mut of_users: BTreeMap<OddComparison, Vec<&str>> = BTreeMap::new();
    for (name, held) in &members.users {
        for odd in policies.odd_comparisons(Some(held)) {
            of_users.entry(odd).or_default().push(name);
        }
    }
    let written = policies.odd_comparisons(None).into_iter().map(|odd| (odd, Vec::new()));
    written.chain(of_users).map(|(odd, users)| comparison(&odd, &users)).collect()
}

fn comparison(odd: &OddComparison, users: &[&str]) -> Diagnostic {
    let OddComparison { location, object, rule, column, column_type, value, value_type, is_enforced } = odd;
    let whom = if users.is_empty() { String::new() } else { format!(" for {}", named(users)) };
    let effect = if *is_enforced { "compares texts" } else { "is not enforced, and opens nothing," };
    let types = format!("the column '{object}.{column}' is a {column_type}, and {value} is a {value_type}");
    let mut finding = Diagnostic::at(Severity::Warning, location, &format!("rule '{rule}' {effect}{whom}: {types}"));
    finding.hint = Some(if *is_enforced {
        format!(
            "As texts, 5 and 5.0 differ, and 10 is before 9. Compare with a text, or give '{column}' the type of numbers."
        )
    } else {
        format!("Give these users a {column_type} there, or compare another column.")
    });
    finding
}
