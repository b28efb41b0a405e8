//! Rules that cannot be applied to their objects, with their places. For administrators.

use crate::compiled::{Compiled, CompiledPolicy, CompiledRowPolicy};
use crate::expression::{Comparand, DropReason};
use querygate_metadata::model::{Location, Object, Recipient, RowOperation, SharingModel, Snapshot};
use querygate_types::principal::Principal;
use std::collections::BTreeSet;

/// Longest controlled_by_parent chain.
pub(crate) const PARENT_DEPTH_MAX: usize = 10;

impl CompiledPolicy {
    /// Rules that cannot be applied, whoever asks: policies and sharing rules that do not compile, details without a master.
    /// Without those that are meant to drop out where their columns are not. Sorted by place.
    #[must_use]
    pub fn unusable(&self) -> Vec<UnusableRule> {
        let mut rules = Vec::new();
        for object in self.snapshot().objects.values() {
            for policy in self.row_policies(&object.name).iter().filter(|policy| !policy.may_drop) {
                for (expression, at) in [(&policy.using, &policy.using_at), (&policy.check, &policy.check_at)] {
                    if let Some(Err(reason)) = expression {
                        let rule = UnusableRule::new(object, &policy.name, at, reason);
                        let (set, is_of_reads) =
                            (Some(policy.set.clone()), policy.operation.covers(RowOperation::Select));
                        rules.push(UnusableRule { set, is_of_reads, ..rule });
                    }
                }
            }
            for rule in self.sharing(&object.name) {
                if let Err(reason) = &rule.condition {
                    rules.push(UnusableRule::new(object, &rule.name, &rule.at, reason));
                }
            }
            for hook in self.object_hooks(&object.name).into_iter().flat_map(|hooks| hooks.unread()) {
                rules.push(UnusableRule::new(object, &hook.name, &hook.at, &DropReason::new(hook.reason.as_str())));
            }
            if let Some(reason) = broken_master(object, self.snapshot()) {
                rules.push(UnusableRule::new(object, "controlled_by_parent", &object.location, &reason));
            }
        }
        rules.sort_by(|a, b| (&a.location, &a.object, &a.rule).cmp(&(&b.location, &b.object, &b.rule)));
        rules
    }

    /// Hooks of changes whose conditions cannot be evaluated for an object. Sorted by place.
    #[must_use]
    pub fn unevaluated_hooks(&self) -> Vec<UnusableRule> {
        let mut rules = Vec::new();
        for object in self.snapshot().objects.values() {
            for (hook, reason, at) in self.object_hooks(&object.name).into_iter().flat_map(|hooks| hooks.unevaluated())
            {
                let rule = UnusableRule::new(object, hook, at, &DropReason::new(reason));
                rules.push(UnusableRule { is_of_reads: false, ..rule });
            }
        }
        rules.sort_by(|a, b| (&a.location, &a.object, &a.rule).cmp(&(&b.location, &b.object, &b.rule)));
        rules
    }

    /// Comparisons of rules whose two sides are of different types, each once: those that rules write down, or for a user those with the
    /// user's own values. A rule that is meant to drop out where it does not fit is not among them.
    #[must_use]
    pub fn odd_comparisons(&self, user: Option<&Principal>) -> Vec<OddComparison> {
        let mut found = BTreeSet::new();
        for object in self.snapshot().objects.values() {
            let mut note = |rule: &str, compiled: &Compiled, at: &Location, may_drop: bool| {
                let mut comparands = Vec::new();
                if let Ok(template) = compiled {
                    template.comparands(user, &mut comparands);
                }
                let is_odd = |one: &&Comparand<'_>| if one.fits() { one.is_number_beside_texts() } else { !may_drop };
                found.extend(comparands.iter().filter(is_odd).map(|one| OddComparison {
                    location: at.clone(),
                    object: object.name.clone(),
                    rule: rule.to_owned(),
                    column: one.column.to_owned(),
                    column_type: one.column_type(),
                    value: one.written(),
                    value_type: one.value_type(),
                    is_enforced: one.fits(),
                }));
            };
            let policies = self.row_policies(&object.name).iter();
            for policy in policies.filter(|policy| user.is_none_or(|user| is_held(policy, user))) {
                for (expression, at) in [(&policy.using, &policy.using_at), (&policy.check, &policy.check_at)] {
                    expression.iter().for_each(|expression| note(&policy.name, expression, at, policy.may_drop));
                }
            }
            if user.is_none() {
                self.sharing(&object.name).iter().for_each(|rule| note(&rule.name, &rule.condition, &rule.at, false));
            }
        }
        found.into_iter().collect()
    }

    /// Policies that drop out for an object where they are meant to: object, policy and reason.
    #[must_use]
    pub fn dropped_as_meant(&self) -> Vec<(&str, &str, &str)> {
        let mut dropped = Vec::new();
        for object in self.snapshot().objects.values() {
            for policy in self.row_policies(&object.name).iter().filter(|policy| policy.may_drop) {
                for expression in [&policy.using, &policy.check].into_iter().flatten() {
                    if let Err(reason) = expression {
                        dropped.push((object.name.as_str(), policy.name.as_str(), reason.text.as_str()));
                    }
                }
            }
        }
        dropped.sort_unstable();
        dropped
    }

    /// Sharing rules for a team, with their places: who is in one is not known here, so they share nothing.
    #[must_use]
    pub fn shared_with_teams(&self) -> Vec<(&str, &Location)> {
        let rules = self.snapshot().objects.values().flat_map(|object| self.sharing(&object.name));
        let teams = rules.filter(|rule| matches!(rule.recipient, Recipient::Team(_)));
        let mut teams: Vec<_> = teams.map(|rule| (rule.name.as_str(), &rule.at)).collect();
        teams.sort_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0)));
        teams
    }

    /// Keys of `current_user` that rules need, with the place of each.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, Location)> {
        let objects = || self.snapshot().objects.values();
        let mut found = BTreeSet::new();
        let mut note = |template: &Compiled, at: &Location| {
            let mut keys = Vec::new();
            if let Ok(template) = template {
                template.variables(&mut keys);
            }
            found.extend(keys.into_iter().map(|key| (at.clone(), key.to_owned())));
        };
        for policy in objects().flat_map(|object| self.row_policies(&object.name)) {
            for (expression, at) in [(&policy.using, &policy.using_at), (&policy.check, &policy.check_at)] {
                expression.iter().for_each(|expression| note(expression, at));
            }
        }
        let sharing = objects().flat_map(|object| self.sharing(&object.name));
        sharing.for_each(|rule| note(&rule.condition, &rule.at));
        found.into_iter().map(|(at, key)| (key, at)).collect()
    }
}

/// Whether a policy is one of the user's.
fn is_held(policy: &CompiledRowPolicy, user: &Principal) -> bool {
    let has_position = policy.positions.is_empty() || policy.positions.iter().any(|own| user.positions.contains(own));
    has_position && user.permission_sets.contains(&policy.set)
}

/// A comparison of a column with a value of another type than the column's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OddComparison {
    pub location: Location,
    pub object: String,
    pub rule: String,
    pub column: String,
    pub column_type: &'static str,
    /// As the rule writes it; never what a user's own value is.
    pub value: String,
    pub value_type: &'static str,
    /// Whether the rule is applied all the same: the value is taken for one of the column's type. Otherwise the rule drops out.
    pub is_enforced: bool,
}

/// A rule that cannot be applied to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableRule {
    pub object: String,
    /// The permission set whose holders a row policy binds; of other rules `None`.
    pub set: Option<String>,
    /// Whether it says which rows are read.
    pub is_of_reads: bool,
    /// Name of the policy or sharing rule, or `controlled_by_parent`.
    pub rule: String,
    pub reason: String,
    /// The column that the object does not have, where that is the reason.
    pub missing_column: Option<String>,
    pub location: Location,
}

impl UnusableRule {
    fn new(object: &Object, rule: &str, at: &Location, reason: &DropReason) -> Self {
        Self {
            object: object.name.clone(),
            set: None,
            is_of_reads: true,
            rule: rule.to_owned(),
            reason: reason.text.clone(),
            missing_column: reason.missing.clone(),
            location: at.clone(),
        }
    }
}

/// Why the details of an object can follow no master, if so.
pub(crate) fn broken_master(object: &Object, snapshot: &Snapshot) -> Option<DropReason> {
    let mut below = vec![object];
    loop {
        let detail = *below.last()?;
        match detail.sharing_model {
            SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => return None,
            SharingModel::ControlledByParent => {}
        }
        let Some(fk) = detail.master_detail() else {
            return Some(DropReason::new(format!("'{}' has not exactly one master_detail field", detail.name)));
        };
        let reference = fk.reference.as_deref().unwrap_or_default();
        let Some(master) = snapshot.object(reference) else {
            return Some(DropReason::new(format!("its master '{reference}' is not part of the metadata")));
        };
        if master.referenced_field().is_none() {
            return Some(DropReason::new(format!("its master '{reference}' has no key of one column")));
        }
        if below.len() >= PARENT_DEPTH_MAX || below.iter().any(|object| object.name == master.name) {
            return Some(DropReason::new("the chain of masters does not end"));
        }
        below.push(master);
    }
}
