//! The evaluator's view of one principal: held sets, rights, fields, and the row filters of each layer.

use crate::compiled::{Compiled, CompiledPolicy, CompiledRowPolicy, CompiledSharing};
use crate::expression::{Provenance, compare, member};
use crate::filter::{CompareOp, RowFilter, Test};
use crate::mask::Mask;
use crate::value::{ColumnKind, Scalar};
use querygate_metadata::model::{
    AccessDefault, AccessLevel, Facts, Field, ManagedBy, MaskingRule, Object, PermissionSet, Recipient, RowOperation,
    Scope, SharingModel, TenancyPosture,
};
use querygate_types::{Posture, Principal};
use std::collections::BTreeSet;

/// Longest controlled_by_parent chain.
const PARENT_DEPTH_MAX: usize = 10;
/// Deepest business unit tree.
const UNIT_DEPTH_MAX: usize = 64;

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

/// What row policies bind.
#[derive(Debug, Clone)]
pub(crate) enum Bound<'a> {
    /// No policy applies: no restriction.
    Silent,
    /// The OR of those that compile; `Nothing` when all dropped out.
    Policies { filter: RowFilter, took_part: Vec<&'a CompiledRowPolicy>, dropped: Vec<&'a str> },
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
        names.iter().all(|name| self.held_sets().any(|set| set.system_permissions.contains(name)))
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

    pub(crate) fn rights(&self, object: &'a Object) -> Rights {
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
        if !self.holds_all(&field.required_permissions) {
            return (false, false);
        }
        let mentions = self.held_sets().filter_map(|set| set.field(&object.name, &field.name));
        mentions
            .fold(None, |union: Option<(bool, bool)>, right| {
                let (readable, editable) = union.unwrap_or_default();
                Some((readable || right.readable, editable || right.editable))
            })
            .unwrap_or((true, true))
    }

    /// The mask of a field that the caller may read.
    pub(crate) fn mask(&self, field: &Field) -> Option<Mask> {
        if field.field_type.always_masked() {
            return Some(Mask::Bullets);
        }
        let lifted = !field.required_permissions.is_empty() && self.holds_all(&field.required_permissions);
        field.masking_rule.filter(|_| !lifted).map(|rule| match rule {
            MaskingRule::Window { keep_head, keep_tail } => {
                match (usize::try_from(keep_head), usize::try_from(keep_tail)) {
                    (Ok(head), Ok(tail)) => Mask::Keep { head, tail },
                    _ => Mask::Full,
                }
            }
            MaskingRule::Email => Mask::Email,
        })
    }

    /// Fields that a caller's predicate may not name: unreadable or masked for the caller.
    pub(crate) fn guarded_fields(&self, object: &Object) -> BTreeSet<String> {
        let guarded = |field: &Field| !self.field_rights(object, field).0 || self.mask(field).is_some();
        object.fields.values().filter(|f| guarded(f)).map(|f| f.name.clone()).collect()
    }

    fn text(&self, column: &str, key: &str, value: &str) -> RowFilter {
        let from = Provenance::Principal(key.to_owned());
        compare(column, ColumnKind::Text, CompareOp::Eq, &Scalar::Text(value.to_owned()), &from)
    }

    fn texts<'v>(&self, column: &str, key: &str, values: impl IntoIterator<Item = &'v String>) -> RowFilter {
        let scalars: Vec<Scalar> = values.into_iter().cloned().map(Scalar::Text).collect();
        member(column, ColumnKind::Text, &scalars, &Provenance::Principal(key.to_owned()), false)
    }

    /// Whether viewAll / modifyAll skip row policies and a platform administrator crosses the wall: only on objects
    /// that are private by default, outside the wall, or managed by better-auth.
    fn permits_bypass(object: &Object) -> bool {
        object.access_default == AccessDefault::Private
            || !object.tenancy.enabled
            || object.managed_by == Some(ManagedBy::BetterAuth)
    }

    /// Layer 0: the tenant wall.
    pub(crate) fn wall(&self, object: &Object) -> RowFilter {
        let Some(field) = object.tenant_field() else { return RowFilter::All };
        if self.principal.posture == Posture::PlatformAdmin && Self::permits_bypass(object) {
            return RowFilter::All;
        }
        match self.policy.snapshot().posture {
            TenancyPosture::Single => RowFilter::All,
            TenancyPosture::Isolated => match &self.principal.organization_id {
                Some(id) => self.text(&field.name, "organization_id", id),
                None => RowFilter::Nothing,
            },
            TenancyPosture::Group => {
                self.texts(&field.name, "organization_ids", &self.principal.organization_ids).simplify()
            }
        }
    }

    /// The org-wide default, depth and shares, for reads. Abstains without an owner column.
    pub(crate) fn owner_filter(&self, object: &'a Object, rights: Rights) -> RowFilter {
        let Some(owner) = object.owner_field() else { return RowFilter::All };
        if rights.reads_org {
            return RowFilter::All;
        }
        match object.sharing_model {
            SharingModel::Private => {
                let mut ways = vec![self.text(&owner.name, "id", &self.principal.user_id)];
                ways.extend(self.shares(object, AccessLevel::Read));
                RowFilter::Or(ways)
            }
            SharingModel::PublicRead | SharingModel::PublicReadWrite | SharingModel::ControlledByParent => {
                RowFilter::All
            }
        }
    }

    /// Rows shared with the principal at least at this level: materialized shares as ids, sharing rules as filters.
    pub(crate) fn shares(&self, object: &'a Object, level: AccessLevel) -> Vec<RowFilter> {
        let mut ways = Vec::new();
        let shares = self.facts.shares.get(&object.name).and_then(|users| users.get(&self.principal.user_id));
        let ids: BTreeSet<&String> =
            shares.into_iter().flatten().filter(|s| s.access_level >= level).map(|s| &s.record_id).collect();
        if !ids.is_empty() {
            ways.push(self.texts("id", "$shares", ids));
        }
        let rules = self.policy.sharing(&object.name).iter().filter(|rule| rule.level >= level);
        ways.extend(rules.filter_map(|rule| self.sharing_rule(rule)));
        ways
    }

    /// The rows a rule shares with the principal; a condition that cannot be compiled or bound shares nothing.
    fn sharing_rule(&self, rule: &CompiledSharing) -> Option<RowFilter> {
        let me = &self.principal.user_id;
        let condition = || bind(&rule.condition, self.principal).ok();
        let is_recipient = match &rule.recipient {
            Recipient::User(user) => user == me,
            Recipient::Position(position) => self.principal.positions.contains(position),
            Recipient::BusinessUnit(unit) => self.is_unit_member(unit),
            Recipient::UnitAndSubordinates(unit) => self.is_below_unit(unit),
            // Team memberships are no facts of ours: such a rule shares nothing.
            Recipient::Team(_) => false,
            Recipient::Field(field) => {
                return condition().map(|filter| RowFilter::And(vec![self.text(field, "id", me), filter]));
            }
        };
        if is_recipient { condition() } else { None }
    }

    fn is_unit_member(&self, unit: &str) -> bool {
        let members = self.facts.unit_members.get(unit).into_iter().flatten();
        members.into_iter().any(|m| m.user_id == self.principal.user_id && m.tenure.holds(self.now_ms))
    }

    fn is_below_unit(&self, top: &str) -> bool {
        self.facts.unit_members.keys().filter(|unit| self.is_unit_member(unit)).any(|unit| {
            let mut at = Some(unit.as_str());
            for _ in 0..UNIT_DEPTH_MAX {
                match at {
                    Some(unit) if unit == top => return true,
                    Some(unit) => at = self.facts.business_units.get(unit).and_then(|u| u.parent.as_deref()),
                    None => return false,
                }
            }
            false
        })
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

    pub(crate) fn bypasses_rls(&self, object: &Object, operation: RowOperation, rights: Rights) -> bool {
        let reads = operation == RowOperation::Select && rights.view_all;
        Self::permits_bypass(object) && (rights.modify_all || reads)
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
                Err(()) => dropped.push(policy.name.as_str()),
            }
        }
        Bound::Policies { filter: RowFilter::Or(filters), took_part, dropped }
    }

    /// Detail rows follow their masters: `fk in (ids of masters readable by me)`. A missing or second master, a cycle
    /// and a chain that is too long pass nothing.
    pub(crate) fn parent_filter(&self, object: &'a Object) -> RowFilter {
        self.parent_chain(object, &mut Vec::new())
    }

    fn parent_chain(&self, object: &'a Object, below: &mut Vec<&'a str>) -> RowFilter {
        match object.sharing_model {
            SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => return RowFilter::All,
            SharingModel::ControlledByParent => {}
        }
        let master = object.master_detail().and_then(|fk| Some((fk, self.object(fk.reference.as_deref()?)?)));
        let Some((fk, master)) = master else { return RowFilter::Nothing };
        if below.len() >= PARENT_DEPTH_MAX || below.contains(&object.name.as_str()) {
            return RowFilter::Nothing;
        }
        below.push(&object.name);
        let rights = self.rights(master);
        let filter = RowFilter::And(vec![
            self.wall(master),
            self.parent_chain(master, below),
            self.owner_filter(master, rights),
            self.row_bound(master, RowOperation::Select, rights).into_filter(),
        ]);
        below.pop();
        RowFilter::Test(Test::InRelated {
            column: fk.name.clone(),
            object: master.name.clone(),
            filter: Box::new(filter),
            select: "id".to_owned(),
        })
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

fn bind(compiled: &Compiled, principal: &Principal) -> Result<RowFilter, ()> {
    compiled.as_ref().map_err(|_| ())?.bind(principal).map_err(|_| ())
}
