//! Changes of records by their values: decided and carried out as those of SQL, one record at a time.

use super::prepared::{Kind, PreparedStatement, ours};
use super::write::WriteRun;
use crate::books::clock::now_ms;
use crate::question::object::visible;
use crate::run::lifecycle::Run;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use crate::sql::parse::Parsed;
use crate::sql::template::of_text;
use crate::write::forms::record::{GivenRecord, WrittenRecord};
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
            OnFailure::UndoAll => self.change_together(changes).await,
            OnFailure::Stop => self.change_apart(changes, false).await,
            OnFailure::Continue => self.change_apart(changes, true).await,
        }
    }

    /// All of them, or none.
    async fn change_together(&self, changes: &[RecordChange]) -> Result<Vec<ChangeOutcome>> {
        let own = self.begin_own_over(self.span_sources(changes));
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            match self.change_record(change).await {
                Ok(changed) => outcomes.push(ChangeOutcome::Made(changed)),
                Err(error) => {
                    match own {
                        Some(own) => own.roll_back().await,
                        None => self.inner().transaction.fail(),
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
        match self.change_together(std::slice::from_ref(change)).await?.pop() {
            Some(ChangeOutcome::Made(changed)) => Ok(changed),
            Some(ChangeOutcome::Failed(error)) => Err(error),
            Some(ChangeOutcome::Undone | ChangeOutcome::NotTried) | None => {
                Err(Error::internal("a change has no outcome"))
            }
        }
    }

    /// In a transaction that goes on if it fails.
    async fn change_within(&self, change: &RecordChange) -> Result<ChangedRecord> {
        self.begin_item().await?;
        let made = self.change_record(change).await;
        if let Err(lost) = self.end_item(made.is_ok()).await {
            self.inner().transaction.fail();
            return Err(made.err().unwrap_or(lost));
        }
        made
    }

    /// Changes one record in the session's block.
    pub(in crate::session) async fn change_record(&self, change: &RecordChange) -> Result<ChangedRecord> {
        let parsed = Arc::new(Parsed::record_change(of_text(shape(change))));
        self.admits(parsed.class())?;
        let began = StartTime::now();
        let prepared = PreparedStatement {
            parsed,
            declared: Vec::new(),
            kind: Kind::Command,
            parameter_types: Vec::new(),
            columns: None,
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: None,
        };
        let targeted = match self.aim_at_record(change).await {
            Ok(targeted) => targeted,
            // Who tries what is not allowed is worth a record.
            Err(error) => {
                let told = self.told((began.at, began.started.into_std()));
                return Err(Run::begin(&self.runs, &prepared.parsed, Arc::default(), began, told).fail(error));
            }
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

    async fn aim_at_record(&self, change: &RecordChange) -> Result<Arc<Targeted>> {
        let workspace = self.workspace().await?;
        let catalog = &workspace.catalog;
        let object = visible(catalog, &change.object)?.clone();
        let deployment = catalog.deployment();
        let (policy, facts, now_ms) = (&deployment.policies, &deployment.facts, now_ms());
        let evaluator = Evaluator { policy, principal: catalog.principal(), facts, now_ms };
        let (operation, record) = GivenRecord::of(change, &object.object, &evaluator)?;
        let intent = WriteIntent::of_record(object, operation, record);
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
    let (action, values) = match &change.action {
        RecordAction::Create { values } => ("create", Some(values)),
        RecordAction::Update { values, .. } => ("update", Some(values)),
        RecordAction::Delete { .. } => ("delete", None),
    };
    let fields: Vec<Value> = values.into_iter().flat_map(|values| values.keys()).map(|name| json!(name)).collect();
    format!("change {}", json!({ "object": change.object, "action": action, "fields": fields }))
}
