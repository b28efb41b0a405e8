//! What a principal may change of a visible object, for the system catalog. It is what a statement is decided by, as far as that can
//! be known without asking the source. Names nothing hidden.

use crate::deployment::Deployment;
use crate::federation::Remotes;
use crate::principal::VisibleObject;
use crate::remote::DriverTable;
use querygate_driver_api::value::ValueType;
use querygate_metadata::model::FieldType;
use querygate_pg_catalog::image::{Column, Generation, Relation, TablePrivileges};
use querygate_policy::Evaluator;
use querygate_policy::write::{Assignment, WriteOperation, WritePermit};
use querygate_types::principal::Principal;

fn is_whole(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Int16 | ValueType::Int32 | ValueType::Int64)
}

/// Decides for one principal.
pub(crate) struct WriteRights<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) remotes: Remotes,
    pub(crate) principal: &'a Principal,
    pub(crate) now_ms: i64,
}

impl WriteRights<'_> {
    /// Says in a relation what of it may be changed.
    pub(crate) fn tell(&self, visible: &VisibleObject, relation: &mut Relation) {
        let appends = self.appends(visible);
        let Some(table) = appends.or_else(|| self.remotes.tables().get(&visible.object.name)) else { return };
        let key = match appends {
            Some(_) => &[],
            None => match table.key().filter(|key| !key.is_empty() && table.driver().writer().is_some()) {
                Some(key) => key.as_slice(),
                None => return,
            },
        };
        let keys: Vec<&str> =
            key.iter().filter_map(|place| table.fields().get(*place)).map(|field| field.field.as_str()).collect();
        let insert = self.permit(visible, WriteOperation::Insert);
        let of_stored = |operation| if appends.is_some() { None } else { self.permit(visible, operation) };
        let (update, delete) = (of_stored(WriteOperation::Update), of_stored(WriteOperation::Delete));
        let takes = |permit: &Option<WritePermit>, column: &Column| {
            let is_free =
                permit.as_ref().is_some_and(|permit| permit.assignment(&column.name) == Some(Assignment::Free));
            is_free
                && visible
                    .object
                    .field(&column.name)
                    .is_some_and(|field| !field.multiple && field.field_type != FieldType::Autonumber)
        };
        let locks = |permit: &WritePermit, column: &Column| permit.assignment(&column.name) == Some(Assignment::Locked);
        // A right on the table is one on each of its columns; what takes no value from anybody does not count.
        let whole = |permit: &Option<WritePermit>| {
            permit.as_ref().is_some_and(|permit| !relation.columns.iter().any(|column| locks(permit, column)))
        };
        relation.privileges =
            TablePrivileges { insert: whole(&insert), update: whole(&update), delete: delete.is_some() };
        // The number that the source itself gives a new row: clients ask for it back.
        let given = match key {
            [place] if table.gives_key() => {
                table.fields().get(*place).filter(|field| is_whole(field.column.value_type))
            }
            _ => None,
        };
        for column in &mut relation.columns {
            column.insertable = takes(&insert, &*column);
            column.updatable = takes(&update, &*column) && !keys.contains(&column.name.as_str());
            if column.insertable && given.is_some_and(|given| given.field == column.name) {
                column.generation = Generation::IdentityByDefault;
            }
        }
    }

    /// Where the object's source takes new rows and nothing else.
    fn appends(&self, visible: &VisibleObject) -> Option<&DriverTable> {
        self.deployment.tables.get(&visible.object.name)?.appends.as_ref()
    }

    fn permit(&self, visible: &VisibleObject, operation: WriteOperation) -> Option<WritePermit> {
        let Self { deployment, principal, now_ms, .. } = self;
        let policies = &deployment.policies;
        let only_inserts = self.appends(visible).is_some();
        let has_table = |name: &str| deployment.tables.contains_key(name);
        if !policies.change_obstacles(&visible.object.name, operation, only_inserts, has_table).is_empty() {
            return None;
        }
        let evaluator = Evaluator { policy: policies, principal, facts: &deployment.facts, now_ms: *now_ms };
        evaluator.decide_target(&visible.object.name, operation).permit().ok()
    }
}
