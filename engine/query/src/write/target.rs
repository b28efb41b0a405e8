//! What a principal may do with the table that it wants to change, and the query that finds the rows. Reads no row.

use super::find::{Find, find};
use super::follow::Following;
use super::intent::{RowSource, WriteIntent, unsupported};
use super::returning::Returning;
use crate::bind::statement::Bound;
use querygate_catalog::PrincipalCatalog;
use querygate_catalog::write::WriteTarget;
use querygate_metadata::FieldType;
use querygate_policy::rules::ObjectRules;
use querygate_policy::write::Assignment;
use querygate_policy::{Evaluator, RowFilter, WriteOperation, WritePermit};
use querygate_types::{Error, ErrorCode, Principal, Result};
use std::sync::Arc;

/// A change that is allowed in principle.
#[derive(Debug)]
pub(crate) struct Decided {
    intent: WriteIntent,
    permit: WritePermit,
    table: WriteTarget,
    find: Option<Find>,
    returning: Option<Returning>,
    rules: Arc<ObjectRules>,
    /// Rows that the principal may read.
    readable: RowFilter,
    following: Following,
    principal: Arc<Principal>,
    now_ms: i64,
}

/// A change whose query is bound: everything about it is known but its rows.
#[derive(Debug)]
pub(crate) struct Targeted {
    decided: Decided,
    assigned: Vec<String>,
}

impl Decided {
    /// # Errors
    /// 42501, 42P01: the principal may not. 0A000: nobody may, or a rule of the table is not run here. The source's.
    pub(crate) async fn of(intent: WriteIntent, catalog: &PrincipalCatalog, now_ms: i64) -> Result<Self> {
        let deployment = catalog.deployment();
        let object = &intent.object().object;
        let operation = intent.operation();
        let principal = Arc::clone(catalog.principal());
        let evaluator =
            Evaluator { policy: &deployment.policies, principal: &principal, facts: &deployment.facts, now_ms };
        let permit = evaluator.decide_target(&object.name, operation).permit()?;
        let obstacles = deployment.policies.write_obstacles(&object.name, operation);
        if let Some(obstacle) = obstacles.first() {
            return Err(closed(&obstacle.reason()));
        }
        let rules = deployment.policies.rules(&object.name).map(Arc::clone);
        let rules = rules.ok_or_else(|| Error::internal("an object without rules was to be changed"))?;
        let table = catalog.write_target(&permit).await?;
        let following = Following::of(&permit, &evaluator, catalog).await?;
        let find = find(&intent, &table)?;
        let returning = match intent.returning() {
            Some(items) => Some(Returning::of(items, &intent)?),
            None => None,
        };
        let readable = intent.object().decision.row_filter().clone();
        Ok(Self { intent, permit, table, find, returning, rules, readable, following, principal, now_ms })
    }

    pub(crate) fn find(&self) -> Option<&Find> {
        self.find.as_ref()
    }

    /// The change, with its query as it was bound and verified on the same catalog. `None`: it has no query.
    ///
    /// # Errors
    /// 42601: the query has more or fewer columns than it should. 42501, 428C9: a column that takes no value.
    pub(crate) fn targeted(self, bound: Option<&Bound>) -> Result<Targeted> {
        let mut assigned = match (&self.find, self.intent.rows()) {
            (Some(find), _) => find.assigned.clone(),
            (None, RowSource::Given { .. } | RowSource::Found { .. }) => Vec::new(),
        };
        let columns = bound.map_or(0, |bound| bound.columns().len());
        let expected = self.find.as_ref().map_or(0, |find| find.seen.len() + assigned.len());
        match self.intent.rows() {
            RowSource::Given { named: false, .. } if columns < expected => assigned.truncate(columns),
            RowSource::Given { .. } if columns < expected => {
                return Err(Error::new(ErrorCode::SyntaxError, "INSERT has more target columns than expressions"));
            }
            RowSource::Given { .. } if columns > expected => {
                return Err(Error::new(ErrorCode::SyntaxError, "INSERT has more expressions than target columns"));
            }
            RowSource::Found { .. } if columns != expected => {
                return Err(Error::internal("the query of a change has other columns than it was made with"));
            }
            RowSource::Given { .. } | RowSource::Found { .. } => {}
        }
        for field in &assigned {
            self.takes(field)?;
        }
        Ok(Targeted { decided: self, assigned })
    }

    fn takes(&self, name: &str) -> Result<()> {
        let shown = &self.intent.object().sql_name;
        let column =
            |code, what: &str| Err(Error::new(code, format!("{what} column \"{name}\" of relation \"{shown}\"")));
        match self.permit.assignment(name) {
            Some(Assignment::Free) => {}
            Some(Assignment::Locked) => return column(ErrorCode::InsufficientPrivilege, "permission denied for"),
            Some(Assignment::Dropped | Assignment::Computed) => {
                return column(ErrorCode::GeneratedAlways, "cannot store a value in");
            }
            None => return column(ErrorCode::UndefinedColumn, "there is no stored"),
        }
        let field = self.intent.object().object.field(name);
        if field.is_some_and(|field| matches!(field.field_type, FieldType::Autonumber | FieldType::Summary)) {
            return column(ErrorCode::GeneratedAlways, "cannot store a value in");
        }
        let place = self.table.place(name);
        let is_key = place.is_some_and(|place| self.table.key().contains(&place));
        if is_key && self.intent.operation() == WriteOperation::Update {
            return Err(unsupported("an UPDATE of a key"));
        }
        if field.is_some_and(|field| field.multiple) {
            return Err(unsupported(&format!("a value for column \"{name}\"")));
        }
        let is_writable = place.and_then(|place| self.table.fields().get(place)).is_some_and(|own| own.is_writable());
        if is_writable { Ok(()) } else { Err(unsupported(&format!("a value for column \"{name}\""))) }
    }
}

impl Targeted {
    pub(crate) fn operation(&self) -> WriteOperation {
        self.decided.intent.operation()
    }

    pub(crate) fn intent(&self) -> &WriteIntent {
        &self.decided.intent
    }

    pub(crate) fn permit(&self) -> &WritePermit {
        &self.decided.permit
    }

    pub(crate) fn table(&self) -> &WriteTarget {
        &self.decided.table
    }

    pub(crate) fn rules(&self) -> &ObjectRules {
        &self.decided.rules
    }

    pub(crate) fn readable(&self) -> &RowFilter {
        &self.decided.readable
    }

    pub(crate) fn following(&self) -> &Following {
        &self.decided.following
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.decided.principal
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.decided.now_ms
    }

    pub(crate) fn find(&self) -> Option<&Find> {
        self.decided.find.as_ref()
    }

    pub(crate) fn returning(&self) -> Option<&Returning> {
        self.decided.returning.as_ref()
    }

    /// Fields that the statement gives values to, in the order of the values.
    pub(crate) fn assigned(&self) -> &[String] {
        &self.assigned
    }
}

/// Nobody changes the table in this way; the reason is for operators.
pub(crate) fn closed(reason: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "table cannot be changed here in this way")
        .with_hint("An operator finds the reason in the log and with `querygate check`.")
        .with_cause(reason)
}
