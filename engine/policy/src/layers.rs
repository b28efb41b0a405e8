//! The row filters of the layers below row policies: tenant wall, ownership with shares, and masters.

use crate::compiled::CompiledSharing;
use crate::evaluator::{Evaluator, Rights, bind};
use crate::expression::{Provenance, compare, member};
use crate::filter::{CompareOp, RowFilter, Test};
use crate::query_filter::Column;
use crate::unusable::PARENT_DEPTH_MAX;
use crate::value::{ColumnKind, Scalar};
use querygate_metadata::model::{
    AccessDefault, AccessLevel, Field, ManagedBy, Object, ObjectOperation, Recipient, RowOperation, SharingModel,
    TenancyPosture,
};
use querygate_types::principal::Posture;
use std::collections::BTreeSet;

/// Deepest business unit tree.
const UNIT_DEPTH_MAX: usize = 64;

impl<'a> Evaluator<'a> {
    /// Rows whose field is this id.
    pub(crate) fn is_id(&self, field: &Field, key: &str, id: &str) -> RowFilter {
        let (from, kind) = (Provenance::Principal(key.to_owned()), Column::from(field).kind());
        match id_of_kind(id, kind) {
            Some(id) => compare(&field.name, kind, CompareOp::Eq, &id, &from),
            None => RowFilter::Nothing,
        }
    }

    /// Rows whose field is one of these ids.
    fn is_one_of<'v>(&self, field: &Field, key: &str, ids: impl IntoIterator<Item = &'v String>) -> RowFilter {
        let kind = Column::from(field).kind();
        let scalars: Vec<Scalar> = ids.into_iter().filter_map(|id| id_of_kind(id, kind)).collect();
        member(&field.name, kind, &scalars, &Provenance::Principal(key.to_owned()), false)
    }

    /// Whether viewAll / modifyAll skip row policies and a platform administrator crosses the wall: only on objects
    /// that are private by default, outside the wall, or managed by better-auth.
    pub(crate) fn permits_bypass(object: &Object) -> bool {
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
                Some(id) => self.is_id(field, "organization_id", id),
                None => RowFilter::Nothing,
            },
            TenancyPosture::Group => {
                self.is_one_of(field, "organization_ids", &self.principal.organization_ids).simplify()
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
                let mut ways = vec![self.is_id(owner, "id", &self.principal.user_id)];
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
        if let Some(key) = object.referenced_field().filter(|_| !ids.is_empty()) {
            ways.push(self.is_one_of(key, "$shares", ids));
        }
        let rules = self.policy.sharing(&object.name).iter().filter(|rule| rule.level >= level);
        ways.extend(rules.filter_map(|rule| self.sharing_rule(object, rule)));
        ways
    }

    /// The rows a rule shares with the principal; a condition that cannot be compiled or bound shares nothing.
    fn sharing_rule(&self, object: &Object, rule: &CompiledSharing) -> Option<RowFilter> {
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
                let field = object.field(field)?;
                return condition().map(|filter| RowFilter::And(vec![self.is_id(field, "id", me), filter]));
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

    /// Detail rows follow their masters: `fk in (ids of masters readable by me)`. A missing or second master, a cycle
    /// and a chain that is too long pass nothing.
    pub(crate) fn parent_filter(&self, object: &'a Object) -> RowFilter {
        if self.principal.is_system() {
            return RowFilter::All;
        }
        self.parent_chain(object, &mut Vec::new())
    }

    fn parent_chain(&self, object: &'a Object, below: &mut Vec<&'a str>) -> RowFilter {
        match object.sharing_model {
            SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => return RowFilter::All,
            SharingModel::ControlledByParent => {}
        }
        let master = object.master_detail().and_then(|fk| Some((fk, self.object(fk.reference.as_deref()?)?)));
        let Some((fk, master)) = master else { return RowFilter::Nothing };
        let Some(key) = master.referenced_field() else { return RowFilter::Nothing };
        if below.len() >= PARENT_DEPTH_MAX || below.contains(&object.name.as_str()) {
            return RowFilter::Nothing;
        }
        let rights = self.rights(master);
        // Who may not read the master object reads none of its rows, and so none of their details.
        if !rights.read || !self.holds_all(master.required_permissions.of(ObjectOperation::Read)) {
            return RowFilter::Nothing;
        }
        below.push(&object.name);
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
            select: key.name.clone(),
        })
    }
}

/// An id as a column of this kind holds it. `None` if no such column can: `042` is another user than `42`, so only the
/// way in which a number is written counts.
pub(crate) fn id_of_kind(id: &str, kind: ColumnKind) -> Option<Scalar> {
    match kind {
        ColumnKind::Number => {
            let number: i64 = id.parse().ok()?;
            (number.to_string() == id).then_some(Scalar::Integer(number))
        }
        ColumnKind::Text
        | ColumnKind::Uuid
        | ColumnKind::Boolean
        | ColumnKind::Date
        | ColumnKind::Timestamp
        | ColumnKind::Time
        | ColumnKind::List
        | ColumnKind::Json
        | ColumnKind::ReadFromText
        | ColumnKind::Computed => Some(Scalar::Text(id.to_owned())),
    }
}
