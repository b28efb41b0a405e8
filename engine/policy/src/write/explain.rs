//! Each layer's part in a write decision, for administrators. Decides nothing.

use super::{WriteDenial, WriteOperation};
use crate::decision::{Layer, LayerEffect, LayerVerdict};
use crate::evaluator::{Bound, Evaluator, Rights};
use crate::read::{layer, required_layer};
use querygate_metadata::model::{Object, RowOperation, SharingModel};

impl<'a> Evaluator<'a> {
    pub(super) fn write_layers(
        &self,
        object: &'a Object,
        operation: WriteOperation,
        rights: Rights,
        denial: Option<WriteDenial>,
    ) -> Vec<LayerVerdict> {
        let required = object.required_permissions.of(operation.right());
        let mut layers = vec![
            self.wall_layer(object, &self.wall(object)),
            self.principal_layer(),
            required_layer(required, self.holds_all(required)),
        ];
        let object_layer = match denial {
            None => layer(Layer::ObjectCrud, LayerEffect::Grants, "a permission set grants the operation", []),
            Some(WriteDenial::RequiredPermissions) => return layers,
            Some(denial) => {
                let detail = denial.refusal(&object.name, operation).message;
                layers.push(layer(Layer::ObjectCrud, LayerEffect::Denies, &detail, []));
                return layers;
            }
        };
        layers.push(object_layer);
        let locked = self.not_editable_fields(&object.name);
        let effect = if locked.is_empty() { LayerEffect::Neutral } else { LayerEffect::Narrows };
        layers.push(layer(Layer::Fls, effect, &format!("{} fields not editable", locked.len()), locked));
        let stored = match operation {
            WriteOperation::Insert => None,
            WriteOperation::Update => Some(RowOperation::Update),
            WriteOperation::Delete => Some(RowOperation::Delete),
        };
        layers.push(owner_layer(object, rights, stored));
        layers.extend(stored.map(|operation| self.bound_layer(object, operation, rights)));
        let stores = match operation {
            WriteOperation::Insert => Some(RowOperation::Insert),
            WriteOperation::Update => Some(RowOperation::Update),
            WriteOperation::Delete => None,
        };
        layers.extend(stores.and_then(|operation| self.check_layer(object, operation, rights)));
        layers
    }

    /// The policies that bound the stored records: the operation's own, else those of reads.
    fn bound_layer(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> LayerVerdict {
        if self.bypasses_rls(object, operation, rights) {
            return layer(Layer::Rls, LayerEffect::NotApplicable, "modifyAll skips row policies on this object", []);
        }
        let bound = |operation| self.bound(self.applicable(object, operation), |policy| policy.using.as_ref());
        let (bound, whose) = match bound(operation) {
            Bound::Silent => (bound(RowOperation::Select), "policies of reads bind"),
            own @ Bound::Policies { .. } => (own, "its own policies bind"),
        };
        match bound {
            Bound::Silent => layer(Layer::Rls, LayerEffect::NotApplicable, "no row policy applies", []),
            Bound::Policies { took_part, dropped, .. } if took_part.is_empty() => {
                let names = dropped.iter().map(|policy| policy.name.clone());
                layer(Layer::Rls, LayerEffect::Denies, "every row policy dropped out: no records", names)
            }
            Bound::Policies { took_part, .. } => {
                let names = took_part.iter().map(|policy| policy.name.clone());
                if self.names_guarded(object, &took_part) {
                    let detail = "a row policy names a field that is hidden from the caller: no records";
                    return layer(Layer::Rls, LayerEffect::Denies, detail, names);
                }
                layer(Layer::Rls, LayerEffect::Narrows, whose, names)
            }
        }
    }

    fn check_layer(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> Option<LayerVerdict> {
        match self.stored_bound(object, operation, rights) {
            Bound::Silent => None,
            Bound::Policies { took_part, dropped, .. } => {
                let detail = format!("{} policies bind what is stored, {} dropped out", took_part.len(), dropped.len());
                let effect = if took_part.is_empty() { LayerEffect::Denies } else { LayerEffect::Narrows };
                let policies = took_part.iter().chain(&dropped).map(|policy| policy.name.clone());
                Some(layer(Layer::Rls, effect, &detail, policies))
            }
        }
    }
}

fn owner_layer(object: &Object, rights: Rights, stored: Option<RowOperation>) -> LayerVerdict {
    let owned = object.owner_field().is_some() && stored.is_some();
    match object.sharing_model {
        SharingModel::ControlledByParent => {
            layer(Layer::OwdBaseline, LayerEffect::Narrows, "records follow the editable masters", [])
        }
        SharingModel::PublicReadWrite => layer(Layer::OwdBaseline, LayerEffect::Neutral, "public read and write", []),
        SharingModel::Private | SharingModel::PublicRead if !owned => {
            layer(Layer::OwdBaseline, LayerEffect::NotApplicable, "no owner is asked", [])
        }
        SharingModel::Private | SharingModel::PublicRead if rights.writes_org => {
            layer(Layer::OwdBaseline, LayerEffect::Widens, "depth org: every owner's records", [])
        }
        SharingModel::Private | SharingModel::PublicRead => {
            layer(Layer::OwdBaseline, LayerEffect::Narrows, "own records, and what shares and policies add", [])
        }
    }
}
