//! What has a say when a permitted record is stored: rights and hooks, beside the rules of its object.

use super::decision::{WriteDecision, WritePermit};
use super::{OwnerRule, events_of};
use crate::compiled::CompiledPolicy;
use crate::hooks::ObjectHooks;
use crate::rules::Mechanism;

impl WritePermit {
    /// What rights have to say.
    fn mechanisms<'p>(&'p self, found: &mut Vec<Mechanism<'p>>) {
        let WriteDecision {
            check,
            masks,
            owner,
            stamps,
            // Stored records that may be reached: a new one is none.
            target: _,
            // Asked when the statement is bound.
            fields: _,
            // What the permit is for.
            object: _,
            user_id: _,
            snapshot_version: _,
            operation: _,
            verdict: _,
            // For administrators.
            layers: _,
        } = self.decision();
        found.push(Mechanism::Check(check));
        found.extend(masks.keys().map(|field| Mechanism::Mask(field)));
        match owner {
            OwnerRule::Free => {}
            OwnerRule::Guarded { field: _, me: _ } => found.push(Mechanism::Owner),
        }
        found.extend(stamps.iter().map(Mechanism::Stamp));
    }
}

impl CompiledPolicy {
    /// Everything that has a say when a new record is stored that this permits. `None`: an unknown object.
    #[must_use]
    pub fn mechanisms<'p>(&'p self, permit: &'p WritePermit) -> Option<Vec<Mechanism<'p>>> {
        let Self {
            rules,
            hooks,
            // What rules and hooks were made of.
            snapshot: _,
            extensions: _,
            // Part of the decision that the permit is of.
            sets: _,
            row_policies: _,
            sharing: _,
            // Computed where it is read.
            formulas: _,
        } = self;
        let (before, after) = events_of(permit.operation());
        let runs = |hooks: &ObjectHooks| !hooks.of(before).is_empty() || !hooks.of(after).is_empty();
        let fails = |hooks: &ObjectHooks| hooks.faults((before, after)).next().is_some();
        let mut found = Vec::new();
        found.extend(hooks.get(permit.object()).filter(|own| runs(own) || fails(own)).map(|_| Mechanism::Hook));
        rules.get(permit.object())?.mechanisms(&mut found);
        permit.mechanisms(&mut found);
        Some(found)
    }
}
