//! Whether an object can be written at all: what metadata opens, and the rights of the principal. Looks at no record.

use super::{Refusal, RefusalCode, WriteDenial, WriteOperation};
use crate::evaluator::{Evaluator, Rights};
use querygate_metadata::model::{ManagedBy, Object, ObjectOperation};
use querygate_types::principal::ScopedOperation;

impl Evaluator<'_> {
    /// Whether the principal may change all records of an object, those of other owners among them.
    #[must_use]
    pub fn modifies_all(&self, object: &str) -> bool {
        self.object(object).is_some_and(|object| self.rights(object).modify_all)
    }

    /// What denies an operation that a client asked for. What metadata closes for clients comes first, as it depends on no
    /// user; what is closed for all writes comes last, so that only those hear of it who could write otherwise.
    pub(super) fn write_denial(
        &self,
        object: &Object,
        operation: WriteOperation,
        rights: Rights,
    ) -> Option<WriteDenial> {
        if !object.api_enabled {
            return Some(WriteDenial::ApiDisabled);
        }
        if !takes_method(object, operation) {
            return Some(WriteDenial::ApiMethod);
        }
        self.own_denial(object, operation, rights)
    }

    /// Decides whether a client may change several records of an object in one request, beside what decides about each of them. An
    /// object that is unknown, or not served, is refused by that.
    ///
    /// # Errors
    /// `enable.apiMethods` does not list it.
    pub fn decide_bulk(&self, object: &str) -> Result<(), Refusal> {
        let served = self.object(object).filter(|object| object.api_enabled);
        if served.is_none_or(|object| lists(object, BULK)) {
            return Ok(());
        }
        let message = format!("API operation '{BULK}' is not allowed on object '{object}'");
        Err(Refusal::new(RefusalCode::ApiMethodNotAllowed, message))
    }

    /// What denies an operation that follows from another one: it comes from no client, so that `enable` has no say.
    pub(super) fn own_denial(&self, object: &Object, operation: WriteOperation, rights: Rights) -> Option<WriteDenial> {
        self.right_denial(object, operation, rights).or_else(|| self.barrier(object))
    }

    /// What metadata closes for every writer.
    pub(super) fn barrier(&self, object: &Object) -> Option<WriteDenial> {
        self.policy.snapshot().write_barrier(object).map(WriteDenial::Barrier)
    }

    /// Required permissions, the object bit, and who manages the records.
    pub(super) fn right_denial(
        &self,
        object: &Object,
        operation: WriteOperation,
        rights: Rights,
    ) -> Option<WriteDenial> {
        let right = operation.right();
        let granted = match right {
            ObjectOperation::Read => rights.read,
            ObjectOperation::Create => rights.create,
            ObjectOperation::Update => rights.edit,
            ObjectOperation::Delete => rights.delete,
        };
        let scoped = match operation {
            WriteOperation::Insert => ScopedOperation::Create,
            WriteOperation::Update => ScopedOperation::Update,
            WriteOperation::Delete => ScopedOperation::Delete,
        };
        if !self.principal.in_scope(&object.name, scoped) {
            return Some(WriteDenial::NoGrant);
        }
        if !self.holds_all(object.required_permissions.of(right)) {
            return Some(WriteDenial::RequiredPermissions);
        }
        if !granted {
            return Some(WriteDenial::NoGrant);
        }
        is_managed(object, operation).then_some(WriteDenial::Managed)
    }
}

/// The name of several changes in one request among `enable.apiMethods`.
const BULK: &str = "bulk";

/// Whether `enable.apiMethods` leaves the operation to clients.
pub(super) fn takes_method(object: &Object, operation: WriteOperation) -> bool {
    lists(object, operation.method())
}

fn lists(object: &Object, method: &str) -> bool {
    object.api_methods.as_ref().is_none_or(|methods| methods.iter().any(|own| own == method))
}

/// Whether the platform itself writes the records, whatever rights say.
pub(super) fn is_managed(object: &Object, operation: WriteOperation) -> bool {
    match (object.managed_by, operation) {
        (Some(ManagedBy::EngineOwned), _) => true,
        (Some(ManagedBy::AppendOnly), WriteOperation::Update | WriteOperation::Delete) => true,
        (Some(ManagedBy::AppendOnly), WriteOperation::Insert) => false,
        (Some(ManagedBy::Platform | ManagedBy::Config | ManagedBy::SystemData | ManagedBy::BetterAuth) | None, _) => {
            false
        }
    }
}
