//! The set form of write verdicts: the stored records that a write may reach and the records it may leave, as row filters that
//! a source can apply. Agrees with [`Evaluator::decide_write`], which judges one record at a time.

use super::decision::{Assignment, OwnerRule, WriteDecision, WritePermit, WriteVerdict};
use super::gates::DEPTH_MAX;
use super::image::id_of;
use super::{WriteDenial, WriteOperation};
use crate::evaluator::{Bound, Evaluator, Rights};
use crate::filter::{RowFilter, Test};
use crate::rules::{Stamp, delete_behavior, is_dropped};
use querygate_metadata::model::{AccessLevel, DeleteBehavior, Field, Object, RowOperation, SharingModel};
use querygate_types::{Error, Result};
use std::collections::BTreeMap;

/// What the delete of a record does to the records that refer to it by one field. Asked for each record that goes, and again
/// for those that go with it; what is gone already is left out.
#[derive(Debug, Clone)]
pub struct Dependent {
    /// The object that refers, and its field.
    pub object: String,
    pub field: String,
    pub action: DependentAction,
}

/// What becomes of a record whose reference's target goes.
#[derive(Debug, Clone)]
pub enum DependentAction {
    /// It refuses the delete.
    Restrict,
    /// It goes too: each must be a target of this delete, or nothing is deleted.
    Delete(Box<WriteDecision>),
    /// Its reference is emptied: each must be a target of this update and pass its check afterwards. Needs no edit right.
    Empty(Box<WriteDecision>),
}

impl<'a> Evaluator<'a> {
    /// Decides which records a principal's writes of an object may reach. Never fails: what is unknown denies.
    ///
    /// A write is right if the permit admits its payload, the stored record passes the target, and the image passes the check.
    #[must_use]
    pub fn decide_target(&self, object: &str, operation: WriteOperation) -> WriteDecision {
        let Some(found) = self.object(object) else {
            return WriteDecision::denied(object, self.principal, operation, WriteDenial::UnknownObject);
        };
        let rights = self.rights(found);
        let denial = self.write_denial(found, operation, rights);
        self.decision_of(found, operation, rights, denial)
    }

    /// What the platform fills in a permitted write at this evaluator's time.
    ///
    /// # Errors
    /// Internal: the permit is for an object that is not known.
    pub fn stamps_of(&self, permit: &WritePermit) -> Result<Vec<Stamp>> {
        let object = self.object(permit.object());
        let object = object.ok_or_else(|| Error::internal("a permit for an object that is not known"))?;
        Ok(self.stamps(object, permit.operation()))
    }

    /// The stored records that row policies let an update or a delete reach. Owners are another question. Nothing of an unknown object.
    #[must_use]
    pub fn policy_target(&self, object: &str, operation: WriteOperation) -> RowFilter {
        let Some(found) = self.object(object) else { return RowFilter::Nothing };
        let operation = match operation {
            WriteOperation::Insert => return RowFilter::All,
            WriteOperation::Update => RowOperation::Update,
            WriteOperation::Delete => RowOperation::Delete,
        };
        self.policy_rows(found, operation, self.rights(found)).simplify()
    }

    /// What a delete of the object's records does to others, in the order in which it is decided. Empty for an unknown object.
    #[must_use]
    pub fn dependents(&self, object: &str) -> Vec<Dependent> {
        let referrers = self.policy.snapshot().referrers(object).iter();
        let dependent = |child: &'a Object, fk: &'a Field| {
            let action = match delete_behavior(fk)? {
                DeleteBehavior::Restrict => DependentAction::Restrict,
                DeleteBehavior::Cascade => DependentAction::Delete(Box::new(self.follow_delete(child))),
                DeleteBehavior::SetNull => DependentAction::Empty(Box::new(self.follow_empty(child, fk))),
            };
            Some(Dependent { object: child.name.clone(), field: fk.name.clone(), action })
        };
        referrers
            .filter_map(|referrer| {
                let child = self.object(&referrer.object)?;
                dependent(child, child.field(&referrer.field)?)
            })
            .collect()
    }

    /// The update of an object's roll-ups, which the platform makes after a change of what they count: no right, wall or policy of the
    /// principal has a say in it, and nothing but roll-ups and stamps is stored. Never fails: what is unknown denies.
    #[must_use]
    pub fn decide_rollup(&self, object: &str) -> WriteDecision {
        let operation = WriteOperation::Update;
        let denied = |denial| WriteDecision::denied(object, self.principal, operation, denial);
        let Some(found) = self.object(object) else { return denied(WriteDenial::UnknownObject) };
        let snapshot_version = self.policy.snapshot().version;
        if let Some(denial) = self.barrier(found) {
            return WriteDecision { snapshot_version, ..denied(denial) };
        }
        let rollups = found.fields.values().filter(|field| field.summary.is_some() && field.stored());
        WriteDecision {
            verdict: WriteVerdict::Allow,
            snapshot_version,
            target: RowFilter::All,
            check: RowFilter::All,
            fields: rollups.map(|field| (field.name.clone(), Assignment::Free)).collect(),
            stamps: self.stamps(found, operation),
            ..denied(WriteDenial::UnknownObject)
        }
    }

    fn follow_delete(&self, child: &'a Object) -> WriteDecision {
        let rights = self.rights(child);
        let denial = self.own_denial(child, WriteOperation::Delete, rights);
        self.decision_of(child, WriteOperation::Delete, rights, denial)
    }

    fn follow_empty(&self, child: &'a Object, fk: &Field) -> WriteDecision {
        let is_locked = !self.field_rights(child, fk).1;
        let denial = self.barrier(child).or_else(|| is_locked.then_some(WriteDenial::NoGrant));
        self.decision_of(child, WriteOperation::Update, self.rights(child), denial)
    }

    fn decision_of(
        &self,
        object: &'a Object,
        operation: WriteOperation,
        rights: Rights,
        denial: Option<WriteDenial>,
    ) -> WriteDecision {
        let layers = self.write_layers(object, operation, rights, denial);
        if let Some(denial) = denial {
            let denied = WriteDecision::denied(&object.name, self.principal, operation, denial);
            return WriteDecision { layers, snapshot_version: self.policy.snapshot().version, ..denied };
        }
        let fields: BTreeMap<String, Assignment> =
            object.fields.values().filter_map(|f| Some((f.name.clone(), self.assignment(object, f)?))).collect();
        let masks = object.fields.values().filter_map(|field| Some((field.name.clone(), self.mask(field)?))).collect();
        let owner = match object.owner_field() {
            Some(field) if !rights.transfer => {
                OwnerRule::Guarded { field: field.name.clone(), me: id_of(field, &self.principal.user_id) }
            }
            Some(_) | None => OwnerRule::Free,
        };
        WriteDecision {
            object: object.name.clone(),
            user_id: self.principal.user_id.clone(),
            snapshot_version: self.policy.snapshot().version,
            operation,
            verdict: WriteVerdict::Allow,
            target: self.target_rows(object, operation, rights),
            check: self.image_rows(object, operation, rights),
            fields,
            masks,
            owner,
            stamps: self.stamps(object, operation),
            layers,
        }
    }

    /// What a statement may do with a field; `None` for one that the source does not have.
    fn assignment(&self, object: &Object, field: &Field) -> Option<Assignment> {
        if !self.field_rights(object, field).1 {
            return Some(Assignment::Locked);
        }
        if !field.field_type.stored() {
            return Some(Assignment::Computed);
        }
        let assignment = if is_dropped(field) { Assignment::Dropped } else { Assignment::Free };
        field.stored().then_some(assignment)
    }

    /// Stored records that the operation may reach: the wall, rules 2 and 3, and rule 6. An insert reaches none, so that nothing
    /// is asked.
    fn target_rows(&self, object: &'a Object, operation: WriteOperation, rights: Rights) -> RowFilter {
        let operation = match operation {
            WriteOperation::Insert => return RowFilter::All,
            WriteOperation::Update => RowOperation::Update,
            WriteOperation::Delete => RowOperation::Delete,
        };
        let stored = self.stored_rows(object, operation, rights);
        RowFilter::And(vec![self.wall(object), stored, self.master_rows(object, 0)]).simplify()
    }

    /// Records as the operation may leave them: the wall, rule 5 and rule 6. A delete leaves none.
    fn image_rows(&self, object: &'a Object, operation: WriteOperation, rights: Rights) -> RowFilter {
        let operation = match operation {
            WriteOperation::Insert => RowOperation::Insert,
            WriteOperation::Update => RowOperation::Update,
            WriteOperation::Delete => return RowFilter::All,
        };
        let stored = self.stored_bound(object, operation, rights).into_filter();
        RowFilter::And(vec![self.wall(object), stored, self.master_rows(object, 0)]).simplify()
    }

    fn stored_rows(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> RowFilter {
        RowFilter::And(vec![self.policy_rows(object, operation, rights), self.owner_rows(object, operation, rights)])
    }

    /// Rule 2.
    fn owner_rows(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> RowFilter {
        let Some(owner) = object.owner_field().filter(|_| !rights.writes_org) else { return RowFilter::All };
        match object.sharing_model {
            SharingModel::PublicReadWrite | SharingModel::ControlledByParent => return RowFilter::All,
            SharingModel::Private | SharingModel::PublicRead => {}
        }
        let mut ways = vec![self.is_id(owner, "id", &self.principal.user_id)];
        if operation == RowOperation::Update {
            ways.extend(self.shares(object, AccessLevel::Edit));
        }
        let authored = self.applicable(object, operation).into_iter().filter(|policy| !policy.floor).collect();
        if let Bound::Policies { filter, .. } = self.bound(authored, |policy| policy.using.as_ref()) {
            ways.push(filter);
        }
        RowFilter::Or(ways)
    }

    /// Rule 3. A bound that names a field hidden from the principal passes nothing: it is asked as the principal's own question.
    fn policy_rows(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> RowFilter {
        if self.bypasses_rls(object, operation, rights) {
            return RowFilter::All;
        }
        let own = self.bound(self.applicable(object, operation), |policy| policy.using.as_ref());
        let bound = match own {
            Bound::Policies { .. } => own,
            Bound::Silent => self.bound(self.applicable(object, RowOperation::Select), |policy| policy.using.as_ref()),
        };
        match bound {
            Bound::Silent => RowFilter::All,
            Bound::Policies { took_part, .. } if self.names_guarded(object, &took_part) => RowFilter::Nothing,
            Bound::Policies { filter, .. } => RowFilter::And(vec![filter, self.readable(object)]),
        }
    }

    /// Rule 6: the chain of masters, each within the next. What is deeper than the chain may be passes nothing, as does one that
    /// does not end.
    fn master_rows(&self, object: &'a Object, depth: usize) -> RowFilter {
        if self.principal.is_system() {
            return RowFilter::All;
        }
        if depth >= DEPTH_MAX {
            return RowFilter::Nothing;
        }
        match object.sharing_model {
            SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => return RowFilter::All,
            SharingModel::ControlledByParent => {}
        }
        let master = object.master_detail().and_then(|fk| Some((fk, self.object(fk.reference.as_deref()?)?)));
        let Some((fk, master)) = master else { return RowFilter::Nothing };
        let Some(key) = master.referenced_field() else { return RowFilter::Nothing };
        let rights = self.rights(master);
        if self.right_denial(master, WriteOperation::Update, rights).is_some() {
            return RowFilter::Nothing;
        }
        let filter = RowFilter::And(vec![
            self.wall(master),
            self.stored_rows(master, RowOperation::Update, rights),
            self.master_rows(master, depth + 1),
        ]);
        RowFilter::Test(Test::InRelated {
            column: fk.name.clone(),
            object: master.name.clone(),
            filter: Box::new(filter),
            select: key.name.clone(),
        })
    }
}
