//! Rules that cannot be applied to their objects, with their places. For administrators.

use crate::compiled::{Compiled, CompiledPolicy};
use crate::expression::DropReason;
use querygate_metadata::model::{Location, Object, Recipient, SharingModel, Snapshot};
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
                        rules.push(UnusableRule::new(object, &policy.name, at, reason));
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

/// A rule that cannot be applied to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableRule {
    pub object: String,
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
