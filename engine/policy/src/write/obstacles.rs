//! Why no user can change the records of an object: the closed list of reasons that metadata has. Looks at no user and no record.

use super::exposure::{is_managed, takes_method};
use super::{Refusal, RefusalCode, WriteOperation};
use crate::compiled::CompiledPolicy;
use crate::evaluator::Evaluator;
use crate::rules::delete_behavior;
use querygate_metadata::model::{Field, HookEvent, Object, RowOperation, WriteBarrier};

/// A reason why records of an object are not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteObstacle {
    /// It belongs to the platform or to somebody else.
    Barrier(WriteBarrier),
    /// `enable.apiEnabled` is false.
    NotServed,
    /// `enable.apiMethods` does not list the operation.
    Method(&'static str),
    /// `managedBy`: the platform itself writes the records.
    Managed,
    /// Nothing tells its records apart, so that none can be locked and looked at.
    NoKey,
    /// Nothing tells the records of this object apart, which refer to its own: what becomes of them with a deleted one cannot be done.
    KeylessDependent(String),
    /// Records refer to its own, and references cannot hold its key, which has several fields.
    NoReference,
    /// Code that runs when it is written, and that cannot be run here.
    Hook { name: String, reason: String },
    /// A validation, a condition, a default or a roll-up that cannot be evaluated here.
    Rule { name: String, reason: String },
    /// A stored field whose value is computed on write.
    StoredExpression(String),
    /// A row policy whose `check` cannot be applied, such as one that names a formula.
    Check { policy: String, reason: String },
}

impl WriteObstacle {
    /// The vendor's code of the refusal, or of the nearest one that it has.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::Barrier(WriteBarrier::Platform) | Self::Managed => RefusalCode::PermissionDenied,
            Self::Barrier(WriteBarrier::ObjectNotWritable | WriteBarrier::SourceReadOnly) => {
                RefusalCode::ExternalWriteForbidden
            }
            Self::NotServed => RefusalCode::ApiDisabled,
            Self::Method(_) => RefusalCode::ApiMethodNotAllowed,
            Self::NoKey
            | Self::KeylessDependent(_)
            | Self::NoReference
            | Self::Hook { .. }
            | Self::Rule { .. }
            | Self::StoredExpression(_)
            | Self::Check { .. } => RefusalCode::NotSupported,
        }
    }

    /// The reason in words, for those who write metadata. Names rules and fields, so that it is not told to users.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Barrier(WriteBarrier::Platform) => "it belongs to the platform".to_owned(),
            Self::Barrier(WriteBarrier::ObjectNotWritable) => "it does not say external.writable".to_owned(),
            Self::Barrier(WriteBarrier::SourceReadOnly) => {
                "its datasource does not say external.allowWrites".to_owned()
            }
            Self::NotServed => "enable.apiEnabled is false".to_owned(),
            Self::Method(method) => format!("enable.apiMethods does not list '{method}'"),
            Self::Managed => "its records are written by the platform (managedBy)".to_owned(),
            Self::NoKey => "it has no key".to_owned(),
            Self::KeylessDependent(object) => format!("'{object}', whose records refer to its own, has no key"),
            Self::NoReference => "records refer to it, and its key has several fields".to_owned(),
            Self::Hook { name, reason } => format!("the hook '{name}' is not run: {reason}"),
            Self::Rule { name, reason } => format!("the rule '{name}' is not evaluated: {reason}"),
            Self::StoredExpression(field) => format!("the expression of the stored field '{field}' is not evaluated"),
            Self::Check { policy, reason } => format!("the check of policy '{policy}' cannot be applied: {reason}"),
        }
    }
}

impl CompiledPolicy {
    /// Every reason why no user writes an object in this way; empty where rights alone decide. An unknown object has none.
    #[must_use]
    pub fn write_obstacles(&self, object: &str, operation: WriteOperation) -> Vec<WriteObstacle> {
        let Some(object) = self.snapshot().object(object) else { return Vec::new() };
        let mut obstacles: Vec<WriteObstacle> = Vec::new();
        obstacles.extend(self.snapshot().write_barrier(object).map(WriteObstacle::Barrier));
        if !object.api_enabled {
            obstacles.push(WriteObstacle::NotServed);
        }
        if !takes_method(object, operation) {
            obstacles.push(WriteObstacle::Method(operation.method()));
        }
        if is_managed(object, operation) {
            obstacles.push(WriteObstacle::Managed);
        }
        if object.key().is_empty() {
            obstacles.push(WriteObstacle::NoKey);
        }
        for (name, reason) in
            self.object_hooks(&object.name).into_iter().flat_map(|hooks| hooks.faults(events_of(operation)))
        {
            obstacles.push(WriteObstacle::Hook { name: name.to_owned(), reason: reason.to_owned() });
        }
        for fault in self.rules(&object.name).into_iter().flat_map(|rules| rules.faults()) {
            obstacles.push(WriteObstacle::Rule { name: fault.rule.clone(), reason: fault.reason.clone() });
        }
        let computed = object.fields.values().filter(|field| is_computed_on_write(field));
        obstacles.extend(computed.map(|field| WriteObstacle::StoredExpression(field.name.clone())));
        obstacles.extend(self.unusable_checks(object, operation));
        obstacles
    }

    /// Every reason why no user changes an object's records in this way where tables are known: those of the object, and those of the
    /// objects that refer to it. `has_table`: an object without one has no records. `only_inserts`: rows of its own are added alone, and
    /// none is found by a key.
    #[must_use]
    pub fn change_obstacles(
        &self,
        object: &str,
        operation: WriteOperation,
        only_inserts: bool,
        has_table: impl Fn(&str) -> bool,
    ) -> Vec<WriteObstacle> {
        let mut obstacles = self.write_obstacles(object, operation);
        obstacles.retain(|obstacle| !only_inserts || *obstacle != WriteObstacle::NoKey);
        if operation == WriteOperation::Delete {
            obstacles.extend(self.dependent_obstacles(object, has_table));
        }
        obstacles
    }

    fn dependent_obstacles(&self, object: &str, has_table: impl Fn(&str) -> bool) -> Vec<WriteObstacle> {
        let Some(own) = self.snapshot().object(object) else { return Vec::new() };
        let children = self.snapshot().referrers(object).iter().filter_map(|referrer| {
            let child = self.snapshot().object(&referrer.object)?;
            delete_behavior(child.field(&referrer.field)?)?;
            has_table(&child.name).then_some(child)
        });
        let children: Vec<_> = children.collect();
        let mut obstacles = Vec::new();
        obstacles
            .extend((!children.is_empty() && own.referenced_field().is_none()).then_some(WriteObstacle::NoReference));
        let keyless = children.iter().filter(|child| child.key().is_empty());
        obstacles.extend(keyless.map(|child| WriteObstacle::KeylessDependent(child.name.clone())));
        obstacles
    }

    fn unusable_checks(&self, object: &Object, operation: WriteOperation) -> Vec<WriteObstacle> {
        let stores = match operation {
            WriteOperation::Insert => RowOperation::Insert,
            WriteOperation::Update => RowOperation::Update,
            WriteOperation::Delete => return Vec::new(),
        };
        let is_for = |own: RowOperation| own == stores || own == RowOperation::All;
        let policies =
            self.row_policies(&object.name).iter().filter(|policy| is_for(policy.operation) && !policy.may_drop);
        let unusable = policies.filter_map(|policy| match &policy.check {
            Some(Err(reason)) => {
                Some(WriteObstacle::Check { policy: policy.name.clone(), reason: reason.text.clone() })
            }
            Some(Ok(_)) | None => None,
        });
        unusable.collect()
    }
}

impl Evaluator<'_> {
    /// What keeps the principal from every change of an object's records in this way: its rights, or what nobody does here.
    #[must_use]
    pub fn refuse_all(
        &self,
        object: &str,
        operation: WriteOperation,
        only_inserts: bool,
        has_table: impl Fn(&str) -> bool,
    ) -> Option<Refusal> {
        self.decide_target(object, operation).refusal().or_else(|| {
            let obstacles = self.policy.change_obstacles(object, operation, only_inserts, has_table);
            obstacles.first().map(|obstacle| Refusal::new(obstacle.code(), obstacle.reason()))
        })
    }
}

/// A value that the vendor computes when the record is stored.
fn is_computed_on_write(field: &Field) -> bool {
    field.expression.is_some() && field.stored()
}

/// The events before and after a write.
#[must_use]
pub const fn events_of(operation: WriteOperation) -> (HookEvent, HookEvent) {
    match operation {
        WriteOperation::Insert => (HookEvent::BeforeInsert, HookEvent::AfterInsert),
        WriteOperation::Update => (HookEvent::BeforeUpdate, HookEvent::AfterUpdate),
        WriteOperation::Delete => (HookEvent::BeforeDelete, HookEvent::AfterDelete),
    }
}
