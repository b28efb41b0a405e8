//! The evaluator's view of one principal: held sets, rights, fields and the row policies that bind it.

use crate::compiled::{Compiled, CompiledPolicy, CompiledRowPolicy};
use crate::filter::RowFilter;
use crate::mask::Mask;
use crate::unusable::broken_master;
use querygate_metadata::model::{
    AccessDefault, Facts, Field, MaskingRule, Object, PermissionSet, RowOperation, Scope, SharingModel,
};
use querygate_types::principal::{Principal, ScopedOperation};
use std::collections::BTreeSet;

/// Evaluates decisions for one principal. Cheap to make: borrow the parts, ask, drop.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'a> {
    pub policy: &'a CompiledPolicy,
    /// Resolved by [`crate::resolve_principal`].
    pub principal: &'a Principal,
    pub facts: &'a Facts,
    /// Milliseconds since 1970: validity of memberships.
    pub now_ms: i64,
}

/// Rights on an object: the union over the held sets that mention it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rights {
    pub(crate) create: bool,
    pub(crate) read: bool,
    pub(crate) edit: bool,
    pub(crate) delete: bool,
    pub(crate) transfer: bool,
    pub(crate) view_all: bool,
    pub(crate) modify_all: bool,
    /// Whether reads are not narrowed by ownership.
    pub(crate) reads_org: bool,
    /// Whether writes are not narrowed by ownership.
    pub(crate) writes_org: bool,
}

impl Rights {
    /// All of them.
    const fn of_system() -> Self {
        Self {
            create: true,
            read: true,
            edit: true,
            delete: true,
            transfer: true,
            view_all: true,
            modify_all: true,
            reads_org: true,
            writes_org: true,
        }
    }
}

/// What row policies bind.
#[derive(Debug, Clone)]
pub(crate) enum Bound<'a> {
    /// No policy applies: no restriction.
    Silent,
    /// The OR of those that compile; `Nothing` when all dropped out.
    Policies { filter: RowFilter, took_part: Vec<&'a CompiledRowPolicy>, dropped: Vec<&'a CompiledRowPolicy> },
}

impl<'a> Evaluator<'a> {
    pub(crate) fn object(&self, name: &str) -> Option<&'a Object> {
        self.policy.snapshot().object(name).map(AsRef::as_ref)
    }

    pub(crate) fn held_sets(&self) -> impl Iterator<Item = &'a PermissionSet> + use<'a> {
        let policy = self.policy;
        self.principal.permission_sets.iter().filter_map(move |name| policy.permission_set(name))
    }

    /// Whether every name is among the system permissions of the held sets.
    pub(crate) fn holds_all(&self, names: &[String]) -> bool {
        self.principal.is_system()
            || names.iter().all(|name| self.held_sets().any(|set| set.system_permissions.contains(name)))
    }

    /// The held sets that mention an object, with their entry for it. A wildcard entry does not reach an object with
    /// `access.default: private`, unless it carries viewAll or modifyAll.
    pub(crate) fn mentions(
        &self,
        object: &'a Object,
    ) -> impl Iterator<Item = (&'a PermissionSet, &'a querygate_metadata::model::ObjectPermission)> + use<'a> {
        self.held_sets().filter_map(move |set| match set.objects.get(&object.name) {
            Some(entry) => Some((set, entry)),
            None => set
                .objects
                .get("*")
                .filter(|entry| match object.access_default {
                    AccessDefault::Public => true,
                    AccessDefault::Private => entry.view_all_records || entry.modify_all_records,
                })
                .map(|entry| (set, entry)),
        })
    }

    /// Whether the caller may take the object's records away as a file. No other right implies it.
    #[must_use]
    pub fn may_export(&self, object: &'a Object) -> bool {
        self.principal.in_scope(&object.name, ScopedOperation::Read)
            && self.mentions(object).any(|(_, entry)| entry.allow_export)
    }

    pub(crate) fn rights(&self, object: &'a Object) -> Rights {
        if self.principal.is_system() {
            return Rights::of_system();
        }
        let mut rights = Rights::default();
        let mut mentioned = false;
        for (_, entry) in self.mentions(object) {
            mentioned = true;
            rights.create |= entry.allow_create;
            rights.read |= entry.allow_read || entry.view_all_records || entry.modify_all_records;
            rights.edit |= entry.allow_edit || entry.modify_all_records;
            rights.delete |= entry.allow_delete || entry.modify_all_records;
            rights.transfer |= entry.allow_transfer || entry.modify_all_records;
            rights.view_all |= entry.view_all_records;
            rights.modify_all |= entry.modify_all_records;
            // The scopes between own and org need an add-on; without it they act as own.
            rights.reads_org |=
                entry.read_scope == Some(Scope::Org) || entry.view_all_records || entry.modify_all_records;
            rights.writes_org |= entry.write_scope == Some(Scope::Org) || entry.modify_all_records;
        }
        if !mentioned {
            rights.reads_org = true;
            rights.writes_org = true;
        }
        rights
    }

    /// (readable, editable) by field security: a union over the sets that mention the field; not mentioned is free.
    pub(crate) fn field_rights(&self, object: &Object, field: &Field) -> (bool, bool) {
        if self.principal.is_system() {
            return (true, true);
        }
        let holds = self.holds_all(&field.required_permissions);
        // On a field with a masking rule, the permissions lift the mask (6.9): without them it is read masked, unless a
        // set says `readable: false`, which removes it.
        if !holds && field.masking_rule.is_none() {
            return (false, false);
        }
        let mentions = self.held_sets().filter_map(|set| set.field(&object.name, &field.name));
        let (readable, editable) = mentions
            .fold(None, |union: Option<(bool, bool)>, right| {
                let (readable, editable) = union.unwrap_or_default();
                Some((readable || right.readable, editable || right.editable))
            })
            .unwrap_or((true, true));
        (readable, editable && holds)
    }

    /// The mask of a field that the caller may read.
    pub(crate) fn mask(&self, field: &Field) -> Option<Mask> {
        if field.field_type.always_masked() {
            return Some(Mask::Bullets);
        }
        if self.principal.is_system() {
            return None;
        }
        let lifted = !field.required_permissions.is_empty() && self.holds_all(&field.required_permissions);
        field.masking_rule.as_ref().filter(|_| !lifted).map(|rule| match rule {
            MaskingRule::Window { keep_head, keep_tail } => {
                match (usize::try_from(*keep_head), usize::try_from(*keep_tail)) {
                    (Ok(head), Ok(tail)) => Mask::Keep { head, tail },
                    _ => Mask::Full,
                }
            }
            MaskingRule::Email => Mask::Email,
            MaskingRule::Native(name) => self.policy.extensions.mask(name).cloned().map_or(Mask::Full, Mask::Native),
        })
    }

    /// Fields that a caller's predicate may not name: unreadable or masked for the caller.
    pub(crate) fn guarded_fields(&self, object: &Object) -> BTreeSet<String> {
        let guarded = |field: &Field| !self.field_rights(object, field).0 || self.mask(field).is_some();
        object.fields.values().filter(|f| guarded(f)).map(|f| f.name.clone()).collect()
    }

    /// The row policies with a `using` (or, for `check`, with a check) that apply to the operation.
    pub(crate) fn applicable(&self, object: &'a Object, operation: RowOperation) -> Vec<&'a CompiledRowPolicy> {
        let held = |policy: &CompiledRowPolicy| {
            policy.positions.is_empty() || policy.positions.iter().any(|p| self.principal.positions.contains(p))
        };
        let floor_holds = match object.sharing_model {
            SharingModel::Private | SharingModel::PublicRead => true,
            SharingModel::PublicReadWrite | SharingModel::ControlledByParent => false,
        };
        let policies = self.policy.row_policies(&object.name).iter();
        policies
            .filter(|p| p.operation.covers(operation) && (floor_holds || !p.floor) && held(p))
            .filter(|p| self.principal.permission_sets.contains(&p.set))
            .collect()
    }

    /// The bound of the policies' `using`. viewAll (reads) and modifyAll skip it where the object permits a bypass.
    pub(crate) fn row_bound(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> Bound<'a> {
        if self.bypasses_rls(object, operation, rights) {
            return Bound::Silent;
        }
        self.bound(self.applicable(object, operation), |policy| policy.using.as_ref())
    }

    /// The bound of what an insert or an update may store: each policy's `check`, or its `using` where it has none. The platform's
    /// floor says which records may be reached, so that it has a say here only where no other policy is for the operation.
    pub(crate) fn stored_bound(&self, object: &'a Object, operation: RowOperation, rights: Rights) -> Bound<'a> {
        if self.bypasses_rls(object, operation, rights) {
            return Bound::Silent;
        }
        let (floor, authored): (Vec<_>, Vec<_>) =
            self.applicable(object, operation).into_iter().partition(|policy| policy.floor);
        self.bound(if authored.is_empty() { floor } else { authored }, CompiledRowPolicy::stored_bound)
    }

    pub(crate) fn bypasses_rls(&self, object: &Object, operation: RowOperation, rights: Rights) -> bool {
        let reads = operation == RowOperation::Select && rights.view_all;
        self.principal.is_system() || (Self::permits_bypass(object) && (rights.modify_all || reads))
    }

    /// The OR of those expressions that compile and bind.
    pub(crate) fn bound(
        &self,
        policies: Vec<&'a CompiledRowPolicy>,
        expression: impl Fn(&'a CompiledRowPolicy) -> Option<&'a Compiled>,
    ) -> Bound<'a> {
        let declared: Vec<_> = policies.into_iter().filter_map(|p| expression(p).map(|e| (p, e))).collect();
        if declared.is_empty() {
            return Bound::Silent;
        }
        let (mut filters, mut took_part, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for (policy, compiled) in declared {
            match bind(compiled, self.principal) {
                Ok(filter) => {
                    filters.push(filter);
                    took_part.push(policy);
                }
                Err(()) => dropped.push(policy),
            }
        }
        Bound::Policies { filter: RowFilter::Or(filters), took_part, dropped }
    }

    /// The rule for which no row of an object can be shown, though the caller may read it: every policy that bounds the read
    /// dropped out and one of them cannot be applied at all, or the masters that its rows follow are not to be had; or a hook of
    /// reads that is not run. What it names is for operators.
    pub(crate) fn unusable_rule(&self, object: &'a Object) -> Option<String> {
        let hooks = self.policy.object_hooks(&object.name);
        if let Some(hook) = hooks.and_then(|hooks| hooks.unread().first()) {
            return Some(hook.name.clone());
        }
        if broken_master(object, self.policy.snapshot()).is_some() {
            return Some("controlled_by_parent".to_owned());
        }
        // The chain ends, or it would be broken.
        let (mut at, mut rights) = (object, self.rights(object));
        loop {
            if let Bound::Policies { took_part, dropped, .. } = self.row_bound(at, RowOperation::Select, rights)
                && took_part.is_empty()
                && let Some(policy) = dropped.iter().find(|policy| policy.is_unusable())
            {
                return Some(policy.name.clone());
            }
            let is_detail = match at.sharing_model {
                SharingModel::ControlledByParent => true,
                SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => false,
            };
            let master = at.master_detail().filter(|_| is_detail)?.reference.as_deref();
            at = self.object(master?)?;
            rights = self.rights(at);
        }
    }

    /// Rows that hooks of reads leave to any reader.
    pub(crate) fn hooked_rows(&self, object: &Object) -> RowFilter {
        let hooks = self.policy.object_hooks(&object.name);
        hooks.map_or(RowFilter::All, |hooks| hooks.left_rows(self.principal))
    }

    /// Every layer's row filter for reads, together.
    pub(crate) fn readable(&self, object: &'a Object) -> RowFilter {
        let rights = self.rights(object);
        RowFilter::And(vec![
            self.wall(object),
            self.parent_filter(object),
            self.owner_filter(object, rights),
            self.row_bound(object, RowOperation::Select, rights).into_filter(),
        ])
        .simplify()
    }
}

impl Bound<'_> {
    pub(crate) fn into_filter(self) -> RowFilter {
        match self {
            Self::Silent => RowFilter::All,
            Self::Policies { filter, .. } => filter,
        }
    }
}

/// The filter of an expression for a principal; `Err` when it takes no part.
pub(crate) fn bind(compiled: &Compiled, principal: &Principal) -> Result<RowFilter, ()> {
    compiled.as_ref().map_err(|_| ())?.bind(principal).map_err(|_| ())
}
