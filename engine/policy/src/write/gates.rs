//! The gates of a write on stored records: ownership, row policies, masters, and the cascade of a delete.

use super::{Refusal, RefusalCode, Row, WriteOperation};
use crate::compiled::CompiledRowPolicy;
use crate::evaluator::{Bound, Evaluator, Rights};
use crate::filter::{RowLookup, reference_text, refers_to};
use crate::rules::delete_behavior;
use querygate_metadata::model::{AccessLevel, DeleteBehavior, Field, Object, RowOperation, SharingModel};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Deepest cascade and longest chain of masters.
pub(super) const DEPTH_MAX: usize = 10;

impl<'a> Evaluator<'a> {
    /// The record is inside the caller's tenant wall; an image names no foreign organization.
    pub(super) fn inside_wall(&self, object: &'a Object, row: &Row, rows: &dyn RowLookup) -> Result<(), Refusal> {
        if self.wall(object).evaluate(row, rows)? { Ok(()) } else { Err(Refusal::no_grant()) }
    }

    /// Rules 2 and 3. A row that fails both is refused by the row policies' code: the gate's own is for rows that they pass or
    /// do not bound.
    pub(super) fn stored_row(
        &self,
        object: &'a Object,
        rights: Rights,
        operation: RowOperation,
        row: &Row,
        rows: &dyn RowLookup,
    ) -> Result<(), Refusal> {
        self.policy_gate(object, rights, operation, row, rows)?;
        self.owner_gate(object, rights, operation, row, rows)
    }

    /// Rule 2: the gate of the org-wide default, with shares and the widening by an authored policy.
    fn owner_gate(
        &self,
        object: &'a Object,
        rights: Rights,
        operation: RowOperation,
        row: &Row,
        rows: &dyn RowLookup,
    ) -> Result<(), Refusal> {
        let Some(owner) = object.owner_field() else { return Ok(()) };
        if rights.writes_org {
            return Ok(());
        }
        match object.sharing_model {
            SharingModel::PublicReadWrite | SharingModel::ControlledByParent => return Ok(()),
            SharingModel::Private | SharingModel::PublicRead => {}
        }
        if row.get(&owner.name).is_some_and(|value| self.is_me(owner, value)) {
            return Ok(());
        }
        if operation == RowOperation::Update {
            for share in self.shares(object, AccessLevel::Edit) {
                if share.evaluate(row, rows)? {
                    return Ok(());
                }
            }
        }
        let authored = self.applicable(object, operation).into_iter().filter(|policy| !policy.floor).collect();
        if let Bound::Policies { filter, .. } = self.bound(authored, |policy| policy.using.as_ref())
            && filter.evaluate(row, rows)?
        {
            return Ok(());
        }
        Err(Refusal::others_record())
    }

    /// Rule 3: the policies that bound the operation (its own, else the select ones) pass the row, the row is readable,
    /// and none of them names a field that is hidden from the caller. Without a bound (rule 4) nothing is asked.
    fn policy_gate(
        &self,
        object: &'a Object,
        rights: Rights,
        operation: RowOperation,
        row: &Row,
        rows: &dyn RowLookup,
    ) -> Result<(), Refusal> {
        if self.bypasses_rls(object, operation, rights) {
            return Ok(());
        }
        let bound = [operation, RowOperation::Select]
            .into_iter()
            .map(|operation| self.bound(self.applicable(object, operation), |policy| policy.using.as_ref()))
            .find(|bound| matches!(bound, Bound::Policies { .. }));
        let Some(Bound::Policies { filter, took_part, .. }) = bound else { return Ok(()) };
        if self.names_guarded(object, &took_part) {
            return Err(Refusal::no_grant());
        }
        if filter.evaluate(row, rows)? && self.readable(object).evaluate(row, rows)? {
            return Ok(());
        }
        Err(Refusal::no_grant())
    }

    /// Whether one of the policies' bounds names a field that the principal's own questions may not name.
    pub(super) fn names_guarded(&self, object: &Object, policies: &[&CompiledRowPolicy]) -> bool {
        let guarded = self.guarded_fields(object);
        let mut names = Vec::new();
        for policy in policies {
            if let Some(Ok(template)) = &policy.using {
                template.columns(&mut names);
            }
        }
        names.iter().any(|name| guarded.contains(*name))
    }

    /// Rule 5: some policy's bound of what is stored passes the image, where a policy is for the operation.
    pub(super) fn post_image(
        &self,
        object: &'a Object,
        operation: RowOperation,
        rights: Rights,
        after: &Row,
        rows: &dyn RowLookup,
    ) -> Result<(), Refusal> {
        if self.stored_bound(object, operation, rights).into_filter().evaluate(after, rows)? {
            return Ok(());
        }
        Err(Refusal::outside())
    }

    /// Rule 6: at every step up the chain the master passes the edit bit, its own gate and its own policies. What a master
    /// refuses is refused with one code, whichever of them it was.
    pub(super) fn master_editable(&self, object: &'a Object, row: &Row, rows: &dyn RowLookup) -> Result<(), Refusal> {
        self.masters_pass(object, row, rows)
            .map_err(|refusal| Refusal { code: RefusalCode::PermissionDenied, ..refusal })
    }

    fn masters_pass(&self, object: &'a Object, row: &Row, rows: &dyn RowLookup) -> Result<(), Refusal> {
        if self.principal.is_system() {
            return Ok(());
        }
        let (mut object, mut row) = (object, row.clone());
        for _ in 0..DEPTH_MAX {
            match object.sharing_model {
                SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => return Ok(()),
                SharingModel::ControlledByParent => {}
            }
            let fk = object.master_detail().ok_or_else(Refusal::no_grant)?;
            let master = fk.reference.as_deref().and_then(|name| self.object(name)).ok_or_else(Refusal::no_grant)?;
            let id = row.get(&fk.name).and_then(reference_text).ok_or_else(Refusal::no_grant)?.into_owned();
            let key = master.referenced_field().ok_or_else(Refusal::no_grant)?;
            let mut found = rows.rows_where(&master.name, &key.name, &id)?;
            let parent = if found.len() == 1 { found.pop() } else { None };
            let parent = parent.ok_or_else(Refusal::no_grant)?;
            let rights = self.rights(master);
            // A right is asked for, nothing is written: whether the master's table is open for writes does not matter.
            if let Some(denial) = self.right_denial(master, WriteOperation::Update, rights) {
                return Err(denial.refusal(&master.name, WriteOperation::Update));
            }
            self.inside_wall(master, &parent, rows)?;
            self.stored_row(master, rights, RowOperation::Update, &parent, rows)?;
            (object, row) = (master, parent);
        }
        Err(Refusal::denied("the chain of masters is too long"))
    }

    /// A delete with its cascade, which runs as the caller.
    pub(super) fn delete(
        &self,
        object: &'a Object,
        row: &Row,
        rows: &dyn RowLookup,
        cascade: &mut Cascade<'a>,
    ) -> Result<(), Refusal> {
        let rights = self.rights(object);
        if let Some(denial) = self.own_denial(object, WriteOperation::Delete, rights) {
            return Err(denial.refusal(&object.name, WriteOperation::Delete));
        }
        self.inside_wall(object, row, rows)?;
        self.stored_row(object, rights, RowOperation::Delete, row, rows)?;
        self.master_editable(object, row, rows)?;
        let referrers = self.policy.snapshot().referrers(&object.name).iter();
        let dependents = referrers.filter_map(|referrer| {
            let child = self.object(&referrer.object)?;
            let fk = child.field(&referrer.field)?;
            Some((child, fk, delete_behavior(fk)?))
        });
        let dependents: Vec<_> = dependents.collect();
        let Some(id) = key_text(object, row) else {
            // Without a key it is not known what refers to it.
            return if dependents.is_empty() { Ok(()) } else { Err(Refusal::no_grant()) };
        };
        if !cascade.gone.insert((&object.name, id.clone())) {
            return Ok(());
        }
        if cascade.depth >= DEPTH_MAX {
            return Err(Refusal::denied("the cascade is too deep"));
        }
        cascade.depth += 1;
        for (child, fk, behavior) in dependents {
            for dependent in rows.rows_where(&child.name, &fk.name, &id)? {
                self.dependent(child, Reference { fk, target: &id }, behavior, &dependent, rows, cascade)?;
            }
        }
        cascade.depth -= 1;
        Ok(())
    }

    /// Rule 7 for one dependent record, whose reference holds the id that goes.
    fn dependent(
        &self,
        child: &'a Object,
        reference: Reference<'_>,
        behavior: DeleteBehavior,
        row: &Row,
        rows: &dyn RowLookup,
        cascade: &mut Cascade<'a>,
    ) -> Result<(), Refusal> {
        if cascade.took(child, row) {
            return Ok(());
        }
        match behavior {
            DeleteBehavior::Restrict => {
                Err(Refusal::new(RefusalCode::DeleteRestricted, "dependent records restrict the delete"))
            }
            DeleteBehavior::Cascade => self.delete(child, row, rows, cascade),
            DeleteBehavior::SetNull => {
                if let Some(denial) = self.barrier(child) {
                    return Err(denial.refusal(&child.name, WriteOperation::Update));
                }
                let rights = self.rights(child);
                self.inside_wall(child, row, rows)?;
                self.stored_row(child, rights, RowOperation::Update, row, rows)?;
                let Reference { fk, target } = reference;
                if !self.field_rights(child, fk).1 {
                    return Err(Refusal::no_grant());
                }
                let after = self.stamp(child, WriteOperation::Update, without(row, fk, target));
                self.inside_wall(child, &after, rows)?;
                self.post_image(child, RowOperation::Update, rights, &after, rows)?;
                self.master_editable(child, row, rows)
            }
        }
    }
}

/// A field that holds the id of a record that goes.
#[derive(Clone, Copy)]
struct Reference<'r> {
    fk: &'r Field,
    target: &'r str,
}

/// What a delete took along so far. What is gone neither restricts nor is emptied by what goes later.
#[derive(Debug, Default)]
pub(super) struct Cascade<'a> {
    gone: BTreeSet<(&'a str, String)>,
    depth: usize,
}

impl Cascade<'_> {
    fn took(&self, object: &Object, row: &Row) -> bool {
        let id = key_text(object, row);
        id.is_some_and(|id| self.gone.iter().any(|(o, gone)| *o == object.name && *gone == id))
    }
}

/// What references to the record hold.
fn key_text(object: &Object, row: &Row) -> Option<String> {
    row.get(&object.referenced_field()?.name).and_then(reference_text).map(Cow::into_owned)
}

/// A record after a reference's target is gone: the reference is null, or its list has one member less.
fn without(row: &Row, fk: &Field, target: &str) -> Row {
    let mut after = row.clone();
    let left = match after.get(&fk.name) {
        Some(Value::Array(members)) => {
            Value::Array(members.iter().filter(|member| !refers_to(member, target)).cloned().collect())
        }
        Some(_) | None => Value::Null,
    };
    after.insert(fk.name.clone(), left);
    after
}
