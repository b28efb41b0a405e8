//! Changes of records by their values: decided and carried out as those of SQL, one record at a time.

use super::write::WriteRun;
use crate::books::clock::now_ms;
use crate::question::object::visible;
use crate::run::lifecycle::Run;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::{Kind, PreparedStatement, ours};
use crate::sql::parse::Parsed;
use crate::sql::template::of_text;
use crate::write::forms::record::{GivenRecord, RecordPlace, WrittenRecord};
use crate::write::intent::WriteIntent;
use crate::write::target::{Decided, Targeted};
use crate::write::transaction::Ended;
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use querygate_driver_api::write::Violation;
use querygate_policy::Evaluator;
use querygate_policy::rules::{Dropped, DroppedReason};
use querygate_policy::write::WriteOperation;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, Question};
use querygate_query_api::requests::record_change::{
    ChangeOutcome, ChangedRecord, DropReason, DroppedField, OnFailure, RecordAction, RecordChange,
};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};

/// Changes of one call.
const CHANGES_MAX: usize = 10_000;

impl GateSession {
    pub(in crate::session) async fn change_records(
        &self,
        changes: &[RecordChange],
        on_failure: OnFailure,
    ) -> Result<Vec<ChangeOutcome>> {
        if !self.gate.options().writes {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "changes of records are not supported")
                .with_hint("This gate reads; an operator enables changes with `enabled = true` in [writes].")
                .with_vendor_code(VendorCode::NotImplemented));
        }
        if changes.len() > CHANGES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many changes at once")
                .with_detail(format!("The limit is {CHANGES_MAX}."))
                .with_vendor_code(VendorCode::BatchTooLarge));
        }
        self.refuse_read_only(|| "a change of records".to_owned())?;
        match on_failure {
            OnFailure::UndoAll => self.change_together(changes, false).await,
            OnFailure::AsOne => self.change_together(changes, true).await,
            OnFailure::Stop => self.change_apart(changes, false).await,
            OnFailure::Continue => self.change_apart(changes, true).await,
        }
    }

    /// All of them, or none. `as_one`: as the rows of one change.
    async fn change_together(&self, changes: &[RecordChange], as_one: bool) -> Result<Vec<ChangeOutcome>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        if as_one && let Some((at, error)) = self.refused_values(changes).await {
            outcomes.resize_with(at, || ChangeOutcome::NotTried);
            outcomes.push(ChangeOutcome::Failed(error));
            outcomes.resize_with(changes.len(), || ChangeOutcome::NotTried);
            return Ok(outcomes);
        }
        let own = self.begin_own_over(self.span_sources(changes));
        for (at, change) in changes.iter().enumerate() {
            let place = as_one.then_some(RecordPlace { at, count: changes.len() });
            match self.change_or_make(change, place).await {
                Ok(changed) => outcomes.push(ChangeOutcome::Made(changed)),
                Err(error) => {
                    match own {
                        Some(own) => own.roll_back().await,
                        None => self.fail(),
                    }
                    let mut undone: Vec<_> = outcomes.iter().map(|_| ChangeOutcome::Undone).collect();
                    undone.push(ChangeOutcome::Failed(error));
                    undone.resize_with(changes.len(), || ChangeOutcome::NotTried);
                    return Ok(undone);
                }
            }
        }
        if let Some(own) = own {
            own.commit().await?;
        }
        Ok(outcomes)
    }

    /// Whether changes are of objects of several sources.
    fn span_sources(&self, changes: &[RecordChange]) -> bool {
        let deployment = self.deployment();
        let source = |change: &RecordChange| Some(Arc::clone(&deployment.tables.get(&change.object)?.source));
        let mut sources = changes.iter().filter_map(source);
        let first = sources.next();
        sources.any(|source| first.as_ref() != Some(&source))
    }

    /// Each by itself.
    async fn change_apart(&self, changes: &[RecordChange], goes_on: bool) -> Result<Vec<ChangeOutcome>> {
        let is_within = self.inner().transaction.holds_together();
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            let made = if is_within { self.change_within(change).await } else { self.change_alone(change).await };
            let failed = made.is_err();
            outcomes.push(made.map_or_else(ChangeOutcome::Failed, ChangeOutcome::Made));
            if failed && !goes_on {
                break;
            }
        }
        outcomes.resize_with(changes.len(), || ChangeOutcome::NotTried);
        Ok(outcomes)
    }

    /// In a transaction of its own.
    async fn change_alone(&self, change: &RecordChange) -> Result<ChangedRecord> {
        match self.change_together(std::slice::from_ref(change), false).await?.pop() {
            Some(ChangeOutcome::Made(changed)) => Ok(changed),
            Some(ChangeOutcome::Failed(error)) => Err(error),
            Some(ChangeOutcome::Undone | ChangeOutcome::NotTried) | None => {
                Err(Error::internal("a change has no outcome"))
            }
        }
    }

    /// The first of several new records whose values are refused before anything is looked up: by rights, and then by fields that there are not.
    async fn refused_values(&self, changes: &[RecordChange]) -> Option<(usize, Error)> {
        let targeted = self.aim_at_record(changes.first()?, None).await.ok()?;
        let refused = changes.iter().enumerate().filter_map(|(at, change)| {
            let refusal = targeted.permit().admit(None, change.action.values()?).err()?;
            Some((at, Error::from(refusal)))
        });
        let is_of_fields = |error: &Error| error.vendor_code() == Some(VendorCode::InvalidField);
        let (of_fields, of_rights): (Vec<_>, Vec<_>) = refused.partition(|(_, error)| is_of_fields(error));
        let (at, error) = of_rights.into_iter().chain(of_fields).next()?;
        let (parsed, began) = self.begin_record(changes.get(at)?).ok()?;
        Some((at, self.refused(&parsed, began, error)))
    }

    /// Changes one record in the session's block, or adds it where there is none and the change says so.
    async fn change_or_make(&self, change: &RecordChange, place: Option<RecordPlace>) -> Result<ChangedRecord> {
        let RecordAction::Upsert { id, values } = &change.action else {
            return self.change_placed(change, place).await;
        };
        let of = |action| RecordChange { object: change.object.clone(), action, texts: change.texts.clone() };
        let update = of(RecordAction::Update { id: id.clone(), values: values.clone(), expected_version: None });
        // Who may change none of them does not hear which there are.
        let begun = self.begin_record(&update)?;
        if let Ok(targeted) = self.aim_at_record(&update, None).await {
            let ended = self.change_targeted(&update, Arc::clone(&targeted), begun).await;
            if !targeted.intent().record().is_some_and(GivenRecord::is_missing) {
                return ended;
            }
        }
        let mut values = values.clone();
        let workspace = self.workspace().await?;
        if let Some(key) = visible(&workspace.catalog, &change.object)?.object.referenced_field() {
            values.entry(key.name.clone()).or_insert_with(|| id.as_str().into());
        }
        self.change_placed(&of(RecordAction::Create { values }), place).await
    }

    /// In a transaction that goes on if it fails.
    async fn change_within(&self, change: &RecordChange) -> Result<ChangedRecord> {
        self.begin_item().await?;
        let made = self.change_or_make(change, None).await;
        if let Err(lost) = self.end_item(made.is_ok()).await {
            self.fail();
            return Err(made.err().unwrap_or(lost));
        }
        made
    }

    /// Changes one record in the session's block.
    pub(in crate::session) async fn change_record(&self, change: &RecordChange) -> Result<ChangedRecord> {
        self.change_placed(change, None).await
    }

    async fn change_placed(&self, change: &RecordChange, place: Option<RecordPlace>) -> Result<ChangedRecord> {
        let (parsed, began) = self.begin_record(change)?;
        match self.aim_at_record(change, place).await {
            Ok(targeted) => self.change_targeted(change, targeted, (parsed, began)).await,
            Err(error) => Err(self.refused(&parsed, began, error)),
        }
    }

    /// What a change of a record is called in records, and when it began.
    fn begin_record(&self, change: &RecordChange) -> Result<(Arc<Parsed>, StartTime)> {
        let parsed = Arc::new(Parsed::record_change(of_text(shape(change))));
        self.admits(parsed.class())?;
        Ok((parsed, StartTime::now()))
    }

    /// Who tries what is not allowed is worth a record.
    fn refused(&self, parsed: &Arc<Parsed>, began: StartTime, error: Error) -> Error {
        Run::begin(&self.runs, parsed, Arc::default(), began, self.told()).fail(error)
    }

    async fn change_targeted(
        &self,
        change: &RecordChange,
        targeted: Arc<Targeted>,
        (parsed, began): (Arc<Parsed>, StartTime),
    ) -> Result<ChangedRecord> {
        let prepared = PreparedStatement {
            parsed,
            declared: Vec::new(),
            kind: Kind::Command,
            constants: None,
            parameter_types: Vec::new(),
            columns: None,
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: None,
        };
        let objects = Arc::from([targeted.intent().object().sql_name.clone()]);
        let mut run = self.begin_run_at(&prepared, objects, began);
        let interrupt = run.interrupt(self.timeout());
        let written = WriteRun { prepared: &prepared, targeted: &targeted, bound: None, parameters: &[] };
        match self.attempt(&mut run, &interrupt, written).await {
            Ok(Ended::Done { record: Some(written), count, .. }) => {
                let deletes = targeted.operation() == WriteOperation::Delete;
                run.note(|record| (record.changed, record.deletes) = (count as u64, deletes));
                run.end(Ok(()))?;
                self.changed(targeted.operation(), &change.object, written).await
            }
            Ok(Ended::Done { record: None, .. }) => Err(run.fail(Error::internal("a change of a record has lost it"))),
            // Another writer took the number that this record was to have.
            Ok(Ended::Moved(why)) => Err(run.fail(why.unwrap_or_else(|| Violation::Serialization.error()))),
            Err(error) => Err(run.fail(error)),
        }
    }

    async fn aim_at_record(&self, change: &RecordChange, place: Option<RecordPlace>) -> Result<Arc<Targeted>> {
        let workspace = self.workspace().await?;
        let catalog = &workspace.catalog;
        let object = visible(catalog, &change.object)?.clone();
        let deployment = catalog.deployment();
        let (policy, facts, now_ms) = (&deployment.policies, &deployment.facts, now_ms());
        let evaluator = Evaluator { policy, principal: catalog.principal(), facts, now_ms };
        let (operation, record) = GivenRecord::of(change, &object.object, &evaluator)?;
        let intent = WriteIntent::of_record(object, operation, record.placed(place));
        let decided = Decided::of(intent, catalog, now_ms).await?;
        Ok(Arc::new(decided.targeted(None, None)?))
    }

    async fn changed(&self, operation: WriteOperation, object: &str, written: WrittenRecord) -> Result<ChangedRecord> {
        let WrittenRecord { id, parts, dropped } = written;
        let record = match operation {
            WriteOperation::Delete => None,
            WriteOperation::Insert | WriteOperation::Update => self.read_back(object, &id, parts).await?,
        };
        Ok(ChangedRecord { id, record, dropped: dropped.into_iter().map(told).collect() })
    }

    /// The record as the principal reads it; `None`: not at all.
    async fn read_back(
        &self,
        object: &str,
        id: &str,
        parts: Option<Map<String, Value>>,
    ) -> Result<Option<(Arc<[AnswerColumn]>, RecordBatch)>> {
        let question = Question { object: object.to_owned(), ..Question::default() };
        let question = match parts {
            None => Question { keys: Some(vec![id.to_owned()]), ..question },
            // A filter would take such a text for a token.
            Some(parts) if parts.values().any(|part| part.as_str().is_some_and(|text| text.starts_with('{'))) => {
                return Ok(None);
            }
            Some(parts) => Question { filter: Some(Value::Object(parts)), ..question },
        };
        let asked = match self.bind_asked(&question, AnswerForm::Records).await {
            Ok(asked) => asked,
            Err(error) if error.vendor_code() == Some(VendorCode::PermissionDenied) => return Ok(None),
            Err(error) => return Err(error),
        };
        let outcome = self.run_own_question(ours(&asked.prepared)?, &asked.parameters).await?;
        let Outcome::Rows(mut rows) = outcome else { return Err(Error::internal("a question gave no rows")) };
        let mut batches = Vec::new();
        while let Some(batch) = rows.batches.next().await {
            batches.push(batch?);
        }
        let schema = batches.first().map_or(rows.schema, RecordBatch::schema);
        let record = concat_batches(&schema, &batches).map_err(Error::internal)?;
        Ok((record.num_rows() == 1).then_some((asked.columns, record)))
    }
}

fn told(dropped: Dropped) -> DroppedField {
    let reason = match dropped.reason {
        DroppedReason::Readonly => DropReason::Readonly,
        DroppedReason::ReadonlyWhen => DropReason::ReadonlyWhen,
    };
    DroppedField { field: dropped.field, reason }
}

/// What records say of a change: the object and its fields, no value.
fn shape(change: &RecordChange) -> String {
    let action = match &change.action {
        RecordAction::Create { .. } => "create",
        RecordAction::Update { .. } => "update",
        RecordAction::Upsert { .. } => "upsert",
        RecordAction::Delete { .. } => "delete",
    };
    let fields: Vec<Value> =
        change.action.values().into_iter().flat_map(|values| values.keys()).map(|name| json!(name)).collect();
    format!("change {}", json!({ "object": change.object, "action": action, "fields": fields }))
}
