//! The read decision: the checks of the reference 6.2 in their order, each told to explain.

use crate::decision::{DenyReason, Layer, LayerEffect, LayerVerdict, ReadDecision, Verdict};
use crate::evaluator::{Bound, Evaluator, Rights};
use crate::filter::RowFilter;
use querygate_metadata::model::{AccessLevel, Object, ObjectOperation, RowOperation, SharingModel, TenancyPosture};
use querygate_types::principal::ScopedOperation;
use std::collections::{BTreeMap, BTreeSet};

impl<'a> Evaluator<'a> {
    /// Decides the read of an object. Never fails: what is unknown denies.
    #[must_use]
    pub fn decide_read(&self, object: &str) -> ReadDecision {
        let Some(object) = self.object(object) else {
            return self.denied(object, DenyReason::UnknownObject, BTreeSet::new(), Vec::new());
        };
        let rights = self.rights(object);
        let mut layers = Vec::with_capacity(10);
        let wall = self.wall(object);
        layers.push(self.wall_layer(object, &wall));
        layers.push(self.principal_layer());
        let required = object.required_permissions.of(ObjectOperation::Read);
        let holds_required = self.holds_all(required);
        layers.push(required_layer(required, holds_required));
        layers.push(self.crud_layer(object, rights));
        let in_scope = self.principal.in_scope(&object.name, ScopedOperation::Read);
        let deny = match (in_scope, holds_required, rights.read) {
            (false, _, _) => Some(DenyReason::OutOfScope),
            (true, false, _) => Some(DenyReason::RequiredPermissions),
            (true, true, false) => Some(DenyReason::NoGrant),
            (true, true, true) => None,
        };
        if let Some(reason) = deny {
            return self.denied(&object.name, reason, object.fields.keys().cloned().collect(), layers);
        }

        let mut hidden_fields = BTreeSet::new();
        let mut masks = BTreeMap::new();
        for field in object.fields.values() {
            if field.internal || !self.field_rights(object, field).0 {
                hidden_fields.insert(field.name.clone());
            } else if let Some(mask) = self.mask(field) {
                masks.insert(field.name.clone(), mask);
            }
        }
        layers.push(self.fls_layer(object, &hidden_fields, masks.len()));
        let parent = self.parent_filter(object);
        let owner = self.owner_filter(object, rights);
        layers.extend(self.sharing_layers(object, rights, &parent));
        let bound = self.row_bound(object, RowOperation::Select, rights);
        layers.extend(self.rls_layers(object, rights, &bound));
        let unusable_rule = self.unusable_rule(object);
        ReadDecision {
            unusable_rule,
            object: object.name.clone(),
            user_id: self.principal.user_id.clone(),
            snapshot_version: self.policy.snapshot().version,
            verdict: Verdict::Allow,
            row_filter: RowFilter::And(vec![wall, parent, owner, bound.into_filter(), self.hooked_rows(object)])
                .simplify(),
            hidden_fields,
            masks,
            layers,
        }
    }

    fn denied(
        &self,
        object: &str,
        reason: DenyReason,
        fields: BTreeSet<String>,
        layers: Vec<LayerVerdict>,
    ) -> ReadDecision {
        ReadDecision {
            object: object.to_owned(),
            user_id: self.principal.user_id.clone(),
            snapshot_version: self.policy.snapshot().version,
            verdict: Verdict::Deny(reason),
            unusable_rule: None,
            row_filter: RowFilter::Nothing,
            hidden_fields: fields,
            masks: BTreeMap::new(),
            layers,
        }
    }

    pub(crate) fn wall_layer(&self, object: &Object, wall: &RowFilter) -> LayerVerdict {
        let (effect, detail) = match (self.policy.snapshot().posture, wall) {
            (TenancyPosture::Single, _) => (LayerEffect::NotApplicable, "posture single has no tenant wall"),
            (_, RowFilter::All) if object.tenant_field().is_none() => {
                (LayerEffect::NotApplicable, "the object is outside the tenant wall")
            }
            (_, RowFilter::All) => (LayerEffect::Neutral, "a platform administrator crosses the wall here"),
            (_, RowFilter::Nothing) => (LayerEffect::Narrows, "no organization: no rows"),
            (_, _) => (LayerEffect::Narrows, "rows of the caller's organization only"),
        };
        layer(Layer::TenantIsolation, effect, detail, [])
    }

    pub(crate) fn principal_layer(&self) -> LayerVerdict {
        let held = self.principal.permission_sets.iter().cloned();
        let positions = self.principal.positions.iter().cloned().collect::<Vec<_>>().join(", ");
        layer(Layer::Principal, LayerEffect::Neutral, &format!("positions: {positions}"), held)
    }

    fn crud_layer(&self, object: &'a Object, rights: Rights) -> LayerVerdict {
        let granting = self
            .mentions(object)
            .filter(|(_, e)| e.allow_read || e.view_all_records || e.modify_all_records)
            .map(|(set, _)| set.name.clone());
        if !self.principal.in_scope(&object.name, ScopedOperation::Read) {
            layer(Layer::ObjectCrud, LayerEffect::Denies, "the key that was shown is not for reading this object", [])
        } else if rights.read {
            layer(Layer::ObjectCrud, LayerEffect::Grants, "a permission set grants read", granting)
        } else {
            layer(Layer::ObjectCrud, LayerEffect::Denies, "no permission set grants read", [])
        }
    }

    fn fls_layer(&self, object: &Object, hidden: &BTreeSet<String>, masked: usize) -> LayerVerdict {
        let effect = if hidden.is_empty() && masked == 0 { LayerEffect::Neutral } else { LayerEffect::Narrows };
        let detail = format!("{} of {} fields hidden, {masked} masked", hidden.len(), object.fields.len());
        layer(Layer::Fls, effect, &detail, hidden.iter().cloned())
    }

    fn sharing_layers(&self, object: &'a Object, rights: Rights, parent: &RowFilter) -> [LayerVerdict; 3] {
        let narrows = object.owner_field().is_some() && object.sharing_model == SharingModel::Private;
        let baseline = match object.sharing_model {
            SharingModel::ControlledByParent => match parent {
                RowFilter::Nothing => layer(Layer::OwdBaseline, LayerEffect::Denies, "no usable master: no rows", []),
                _ => layer(Layer::OwdBaseline, LayerEffect::Narrows, "rows follow the readable masters", []),
            },
            SharingModel::Private if object.owner_field().is_none() => {
                layer(Layer::OwdBaseline, LayerEffect::NotApplicable, "the object has no owner", [])
            }
            SharingModel::Private => {
                layer(Layer::OwdBaseline, LayerEffect::Narrows, "private: own rows and shares", [])
            }
            SharingModel::PublicRead => layer(Layer::OwdBaseline, LayerEffect::Neutral, "public read", []),
            SharingModel::PublicReadWrite => {
                layer(Layer::OwdBaseline, LayerEffect::Neutral, "public read and write", [])
            }
        };
        let depth = match (narrows, rights.reads_org) {
            (false, _) => layer(Layer::Depth, LayerEffect::NotApplicable, "ownership does not narrow reads", []),
            (true, true) => layer(Layer::Depth, LayerEffect::Widens, "depth org: every owner's rows", []),
            (true, false) => layer(Layer::Depth, LayerEffect::Neutral, "depth own", []),
        };
        let shares = self.shares(object, AccessLevel::Read);
        let sharing = if !narrows || rights.reads_org {
            layer(Layer::Sharing, LayerEffect::NotApplicable, "shares add nothing here", [])
        } else if shares.is_empty() {
            layer(Layer::Sharing, LayerEffect::Neutral, "nothing is shared with the caller", [])
        } else {
            let rules = self.policy.sharing(&object.name).iter().map(|rule| rule.name.clone());
            layer(Layer::Sharing, LayerEffect::Widens, "rows shared with the caller", rules)
        };
        [baseline, depth, sharing]
    }

    fn rls_layers(&self, object: &Object, rights: Rights, bound: &Bound<'_>) -> [LayerVerdict; 2] {
        let bypass = self.bypasses_rls(object, RowOperation::Select, rights);
        let vama = match (rights.view_all || rights.modify_all, bypass) {
            (false, _) => layer(Layer::VamaBypass, LayerEffect::NotApplicable, "neither viewAll nor modifyAll", []),
            (true, true) => layer(Layer::VamaBypass, LayerEffect::Widens, "skips row policies on this object", []),
            (true, false) => layer(Layer::VamaBypass, LayerEffect::Neutral, "row policies bind here all the same", []),
        };
        let rls = match bound {
            Bound::Silent => layer(Layer::Rls, LayerEffect::NotApplicable, "no row policy applies", []),
            Bound::Policies { took_part, dropped, .. } if took_part.is_empty() => {
                let names = dropped.iter().map(|policy| policy.name.clone());
                layer(Layer::Rls, LayerEffect::Denies, "every row policy dropped out: no rows", names)
            }
            Bound::Policies { took_part, dropped, .. } => {
                let detail = format!("{} row policies bind, {} dropped out", took_part.len(), dropped.len());
                layer(Layer::Rls, LayerEffect::Narrows, &detail, took_part.iter().map(|p| p.name.clone()))
            }
        };
        [vama, rls]
    }
}

pub(crate) fn required_layer(required: &[String], held: bool) -> LayerVerdict {
    let names = required.iter().cloned();
    match (required.is_empty(), held) {
        (true, _) => layer(Layer::RequiredPermissions, LayerEffect::NotApplicable, "none required", []),
        (false, true) => layer(Layer::RequiredPermissions, LayerEffect::Neutral, "all held", names),
        (false, false) => layer(Layer::RequiredPermissions, LayerEffect::Denies, "not all held", names),
    }
}

pub(crate) fn layer(
    layer: Layer,
    effect: LayerEffect,
    detail: &str,
    contributors: impl IntoIterator<Item = String>,
) -> LayerVerdict {
    LayerVerdict { layer, effect, detail: detail.to_owned(), contributors: contributors.into_iter().collect() }
}
