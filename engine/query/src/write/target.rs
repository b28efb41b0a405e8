//! What a principal may do with the table that it wants to change, and the query that finds the rows. Reads no row.

mod appended;
mod arrival;
mod reuse;

pub(crate) use self::appended::refused;
use self::appended::{refuse_read, refuse_stored};
use super::find::{Find, Finds, Untyped, find};
use super::follow::Following;
use super::intent::{RowSource, WriteIntent, are_cells, unsupported};
use super::native_statements::NativeStatements;
use super::returning::{Returning, Wanted};
use super::unique::duplicate;
use crate::bind::statement::Bound;
use crate::write::forms::conflict::Conflict;
use crate::write::forms::merge::Merge;
use crate::write::values::assignment::admit;
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field as ArrowField, Schema};
use datafusion::sql::sqlparser::ast::Query;
use querygate_catalog::PrincipalCatalog;
use querygate_catalog::write::WriteTarget;
use querygate_metadata::model::FieldType;
use querygate_policy::rules::{ObjectRules, Stamp, Violation, ViolationCode, refusal};
use querygate_policy::write::{Assignment, WriteOperation, WritePermit};
use querygate_policy::{Evaluator, RowFilter};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, PgType, Result};
use reuse::StatementTime;
use std::sync::Arc;

/// A change that is allowed in principle.
#[derive(Debug)]
pub(crate) struct Decided {
    intent: WriteIntent,
    permit: WritePermit,
    table: WriteTarget,
    find: Option<Find>,
    returning: Option<Wanted>,
    rules: Arc<ObjectRules>,
    /// Rows that the principal may read.
    readable: RowFilter,
    following: Following,
    principal: Arc<Principal>,
    now_ms: i64,
    /// Values whose types are to be looked at.
    untyped: Vec<Untyped>,
    /// Of an insert that says what becomes of rows whose key is taken.
    taken: Option<Taken>,
    /// The clauses of a MERGE.
    arms: Vec<Decided>,
}

/// Sets of fields, one of which may be taken, and the update of the row that has it; `None`: the new one is left out.
#[derive(Debug)]
struct Taken {
    keys: Vec<Vec<usize>>,
    update: Option<Box<Decided>>,
}

/// A change whose query is bound: everything about it is known but its rows.
#[derive(Debug)]
pub(crate) struct Targeted {
    decided: Arc<Decided>,
    assigned: Arc<[String]>,
    form: Form,
    returning: Option<Arc<Returning>>,
    time: StatementTime,
    /// Rendered for its source, whatever its values are.
    native: Arc<NativeStatements>,
}

/// Whether a statement makes one kind of change, or several.
#[derive(Debug)]
pub(crate) enum Form {
    Plain,
    /// An insert, and what becomes of new rows whose key is taken.
    Conflict(Conflict),
    Merge(Merge),
}

impl Decided {
    /// # Errors
    /// 42501, 42P01: the principal may not. 0A000: no principal may, or a rule of the table is not run here. The source's.
    pub(crate) async fn of(intent: WriteIntent, catalog: &PrincipalCatalog, now_ms: i64) -> Result<Self> {
        let mut own = Self::alone(intent, catalog, now_ms).await?;
        let deployment = catalog.deployment();
        let (policy, principal, facts) = (&deployment.policies, catalog.principal().as_ref(), &deployment.facts);
        let evaluator = Evaluator { policy, principal, facts, now_ms };
        let defaults = evaluator.fixed_defaults(&own.intent.object().object.name);
        let keys = own.keys()?;
        let (finds, untyped) = find(&own.intent, &own.table, &defaults)?;
        own.untyped = untyped;
        let update = own.intent.take_update();
        let update = match (finds, update) {
            (Finds::Nothing, None) => None,
            (Finds::One(find), None) => {
                own.find = Some(find);
                None
            }
            (Finds::Both { insert, update: find }, Some(update)) => {
                own.find = Some(insert);
                let mut update = Self::alone(update, catalog, now_ms).await?;
                update.find = Some(find);
                Some(Box::new(update))
            }
            (Finds::Several { all, arms }, None) => {
                own.find = Some(all);
                for (intent, find) in own.intent.arms().into_iter().zip(arms) {
                    let mut arm = Self::alone(intent, catalog, now_ms).await?;
                    arm.find = Some(find);
                    own.arms.push(arm);
                }
                None
            }
            (Finds::Nothing | Finds::One(_) | Finds::Several { .. }, Some(_)) | (Finds::Both { .. }, None) => {
                return Err(Error::internal("the query of a change is for another one"));
            }
        };
        own.taken = keys.map(|keys| Taken { keys, update });
        Ok(own)
    }

    /// Without the query that finds its rows.
    async fn alone(intent: WriteIntent, catalog: &PrincipalCatalog, now_ms: i64) -> Result<Self> {
        let deployment = catalog.deployment();
        let object = &intent.object().object;
        let operation = intent.operation();
        let principal = Arc::clone(catalog.principal());
        let evaluator =
            Evaluator { policy: &deployment.policies, principal: &principal, facts: &deployment.facts, now_ms };
        let permit = evaluator.decide_target(&object.name, operation).permit()?;
        if intent.truncates() {
            let reads_all = intent.object().decision.row_filter() == &RowFilter::All;
            if !evaluator.modifies_all(&object.name) || !reads_all || permit.target() != &RowFilter::All {
                let text = format!("permission denied for table {}", intent.object().sql_name);
                return Err(Error::new(ErrorCode::InsufficientPrivilege, text)
                    .with_hint("TRUNCATE is for those who may change all records; DELETE takes those that one may."));
            }
        }
        let only_inserts = catalog.only_inserts(&object.name);
        let has_table = |name: &str| deployment.tables.contains_key(name);
        let obstacles = deployment.policies.change_obstacles(&object.name, operation, only_inserts, has_table);
        if let Some(obstacle) = obstacles.first() {
            return Err(closed(&obstacle.reason()));
        }
        if only_inserts {
            refuse_stored(&intent)?;
        }
        let rules = deployment.policies.rules(&object.name).map(Arc::clone);
        let rules = rules.ok_or_else(|| Error::internal("an object without rules was to be changed"))?;
        let table = catalog.write_target(&permit).await?;
        let following = Following::of(&permit, &evaluator, catalog).await?;
        if only_inserts {
            refuse_read(&intent, &table, &permit, &following)?;
        }
        let returning = match intent.returning() {
            Some(items) => Some(Wanted::of(items, &intent)?),
            None => None,
        };
        let readable = intent.object().decision.row_filter().clone();
        Ok(Self {
            intent,
            permit,
            table,
            find: None,
            returning,
            rules,
            readable,
            following,
            principal,
            now_ms,
            untyped: Vec::new(),
            taken: None,
            arms: Vec::new(),
        })
    }

    /// The keys that may be taken, as places of fields. `None`: one that is taken is an error.
    fn keys(&self) -> Result<Option<Vec<Vec<usize>>>> {
        let Some(on_conflict) = self.intent.on_conflict() else { return Ok(None) };
        let places = |fields: &[String]| fields.iter().map(|field| self.table.place(field)).collect::<Option<Vec<_>>>();
        let Some(fields) = on_conflict.key() else {
            return Ok(Some(self.table.unique_keys().iter().filter_map(|fields| places(fields)).collect()));
        };
        let unmatched = || {
            let text = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
            Error::new(ErrorCode::InvalidColumnReference, text)
        };
        if !self.table.keeps_unique(fields) {
            return Err(unmatched());
        }
        places(fields).map(|key| Some(vec![key])).ok_or_else(unmatched)
    }

    pub(crate) fn find(&self) -> Option<&Find> {
        self.find.as_ref()
    }

    /// Queries of values whose types are to be looked at.
    pub(crate) fn untyped(&self) -> &[Untyped] {
        &self.untyped
    }

    /// Whether values of these types are assigned to these fields.
    ///
    /// # Errors
    /// 42804: one is not.
    pub(crate) fn admits<'a>(&self, values: impl Iterator<Item = (&'a String, PgType)>) -> Result<()> {
        for (field, found) in values {
            if let Some(column) = self.intent.object().object.field(field) {
                admit(found, column)?;
            }
        }
        Ok(())
    }

    /// The query of what RETURNING computes.
    pub(crate) fn returned(&self) -> Option<&Query> {
        self.returning.as_ref()?.query()
    }

    pub(crate) fn intent(&self) -> &WriteIntent {
        &self.intent
    }

    /// The change, with its query as it was bound and verified on the same catalog, and what RETURNING computes. `None`: it has no
    /// query.
    ///
    /// # Errors
    /// 42601: the query has more or fewer columns than it should. 42501, 428C9: a column that takes no value.
    pub(crate) fn targeted(self, bound: Option<&Bound>, computed: Option<Returning>) -> Result<Targeted> {
        let mut assigned = match (&self.find, self.intent.rows()) {
            (Some(find), _) => find.assigned.clone(),
            (None, RowSource::Streamed { fields, named: true, .. }) => fields.clone(),
            (None, RowSource::Streamed { fields, named: false, .. }) => self.given(fields),
            (
                None,
                RowSource::Given { .. } | RowSource::Found { .. } | RowSource::Merged(_) | RowSource::Record { .. },
            ) => Vec::new(),
        };
        let columns = bound.map_or(0, |bound| bound.columns().len());
        let update = self.taken.as_ref().and_then(|taken| taken.update.as_ref());
        let beside = update.and_then(|update| update.find.as_ref()).map_or(0, Conflict::columns);
        let expected = self.find.as_ref().map_or(0, |find| find.seen.len() + assigned.len()) + beside;
        match self.intent.rows() {
            RowSource::Given { .. } if beside > 0 && columns != expected => {
                return Err(Error::internal("the query of a change has other columns than it was made with"));
            }
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
            RowSource::Merged(_) => {
                let arms: Vec<&Find> = self.arms.iter().filter_map(|arm| arm.find.as_ref()).collect();
                if columns != expected + Merge::columns(&arms) {
                    return Err(Error::internal("the query of a change has other columns than it was made with"));
                }
            }
            RowSource::Given { .. }
            | RowSource::Found { .. }
            | RowSource::Record { .. }
            | RowSource::Streamed { .. } => {}
        }
        if let (RowSource::Given { query: Some(query), .. }, Some(bound)) = (self.intent.rows(), bound)
            && !are_cells(query)
        {
            let first = update.and_then(|update| update.find.as_ref()).map_or(0, |find| 1 + find.seen.len());
            let types = bound.columns().iter().skip(first).map(|column| column.pg_type);
            self.admits(assigned.iter().zip(types))?;
        }
        let mut own = self;
        let arms = std::mem::take(&mut own.arms).into_iter().map(Self::aimed).collect::<Result<Vec<_>>>()?;
        let form = match (own.taken.take(), &own.find) {
            (None, Some(find)) if !arms.is_empty() => Form::Merge(Merge::new(find, arms)),
            (None, _) => Form::Plain,
            (Some(Taken { keys, update }), _) => {
                Form::Conflict(Conflict::new(keys, update.map(|update| update.aimed()).transpose()?))
            }
        };
        let returning = match (own.returning.take(), computed) {
            (None, None) => None,
            (Some(Wanted::Columns(columns)), None) => Some(Arc::new(columns)),
            (Some(Wanted::Computed(_)), Some(computed)) => Some(Arc::new(computed)),
            (None | Some(Wanted::Columns(_)), Some(_)) | (Some(Wanted::Computed(_)), None) => {
                return Err(Error::internal("what is to be given back is not what was bound"));
            }
        };
        own.aimed_at(assigned, form, returning)
    }

    /// The update of rows that an insert finds to be there already.
    fn aimed(self) -> Result<Targeted> {
        let assigned = self.find.as_ref().map(|find| find.assigned.clone()).unwrap_or_default();
        self.aimed_at(assigned, Form::Plain, None)
    }

    fn aimed_at(self, assigned: Vec<String>, form: Form, returning: Option<Arc<Returning>>) -> Result<Targeted> {
        for field in &assigned {
            self.takes(field)?;
        }
        let time = StatementTime { now_ms: self.now_ms, stamps: self.permit.stamps().to_vec() };
        let (decided, assigned, native) = (Arc::new(self), assigned.into(), Arc::default());
        Ok(Targeted { decided, assigned, form, returning, time, native })
    }

    /// All of these fields but those whose values are made here, as PostgreSQL leaves generated columns out.
    fn given(&self, fields: &[String]) -> Vec<String> {
        let is_made = |name: &String| {
            let assignment = self.permit.assignment(name);
            matches!(assignment, Some(Assignment::Dropped | Assignment::Computed)) || self.is_generated(name)
        };
        fields.iter().filter(|name| !is_made(name)).cloned().collect()
    }

    fn is_generated(&self, name: &str) -> bool {
        let field = self.intent.object().object.field(name);
        field.is_some_and(|field| matches!(field.field_type, FieldType::Autonumber | FieldType::Summary))
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
        if self.is_generated(name) {
            return column(ErrorCode::GeneratedAlways, "cannot store a value in");
        }
        let place = self.table.place(name);
        let is_writable = place.and_then(|place| self.table.fields().get(place)).is_some_and(|own| own.is_writable());
        if is_writable { Ok(()) } else { Err(unsupported(&format!("a value for column \"{name}\""))) }
    }
}

impl Targeted {
    /// What the platform fills in.
    pub(crate) fn stamps(&self) -> &[Stamp] {
        &self.time.stamps
    }

    pub(super) fn native(&self) -> &NativeStatements {
        &self.native
    }

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

    /// The error of a row with these violations, as the writer may hear it.
    pub(crate) fn refusal(&self, violations: &[Violation]) -> Option<Error> {
        let object = self.intent().object();
        let hidden = object.decision.hidden_fields();
        let error = refusal(violations, &object.sql_name, &|field| !hidden.contains(field))?;
        let first = violations.first().filter(|first| first.code == ViolationCode::Unique);
        Some(match first {
            Some(first) => duplicate(error, &object.object.name, first.field.as_deref(), hidden),
            None => error,
        })
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

    pub(crate) fn shared_principal(&self) -> &Arc<Principal> {
        &self.decided.principal
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.time.now_ms
    }

    pub(crate) fn find(&self) -> Option<&Find> {
        self.decided.find.as_ref()
    }

    pub(crate) fn returning(&self) -> Option<&Returning> {
        self.returning.as_deref()
    }

    /// Found rows with the values of new ones in the types of their columns, which `cast` makes of one value.
    ///
    /// # Errors
    /// A value that the column's type does not hold.
    pub(crate) fn fitted(
        &self,
        found: RecordBatch,
        cast: &dyn Fn(&ArrayRef, &DataType) -> Result<ArrayRef>,
    ) -> Result<RecordBatch> {
        match self.intent().rows() {
            RowSource::Found { .. } | RowSource::Merged(_) | RowSource::Record { .. } | RowSource::Streamed { .. } => {
                return Ok(found);
            }
            RowSource::Given { .. } => {}
        }
        let first = match &self.form {
            Form::Conflict(conflict) => conflict.first(),
            Form::Plain | Form::Merge(_) => 0,
        };
        let mut arrays = found.columns().to_vec();
        for (array, field) in arrays.iter_mut().skip(first).zip(self.assigned()) {
            let own = self.table().place(field).and_then(|place| self.table().fields().get(place));
            let wanted = own.map(|own| own.value_type().to_arrow());
            let Some(wanted) = wanted.filter(|wanted| wanted != array.data_type() && !array.data_type().is_null())
            else {
                continue;
            };
            if array.is_empty() || wanted.is_nested() {
                continue;
            }
            let values = (0..array.len()).map(|row| cast(&array.slice(row, 1), &wanted)).collect::<Result<Vec<_>>>()?;
            let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
            *array = concat(&values).map_err(Error::internal)?;
        }
        let schema = found.schema();
        let typed = |(field, array): (&Arc<ArrowField>, &ArrayRef)| {
            field.as_ref().clone().with_data_type(array.data_type().clone()).with_nullable(true)
        };
        let fields: Vec<ArrowField> = schema.fields().iter().zip(&arrays).map(typed).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(found.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(Error::internal)
    }

    /// The changes that the found rows may lead to, each with its rows.
    ///
    /// # Errors
    /// Internal: rows of another query.
    pub(crate) fn parts(self: &Arc<Self>, found: &RecordBatch) -> Result<Vec<(Arc<Self>, RecordBatch)>> {
        match &self.form {
            Form::Plain => Ok(vec![(Arc::clone(self), found.clone())]),
            Form::Conflict(conflict) => conflict.parts(self, found),
            Form::Merge(merge) => merge.parts(found),
        }
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// Fields that the statement gives values to, in the order of the values.
    pub(crate) fn assigned(&self) -> &[String] {
        &self.assigned
    }
}

/// The error of a change that no principal may make; the reason is for operators.
pub(crate) fn closed(reason: &str) -> Error {
    tracing::info!(reason, "a table cannot be changed in the way that a statement asked for");
    Error::new(ErrorCode::FeatureNotSupported, "table cannot be changed here in this way")
        .with_hint("An operator finds the reason in the log and with `querygate check`.")
        .with_cause(reason)
}

#[cfg(test)]
mod tests;
