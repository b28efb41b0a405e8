//! The calls of one run of a hook, as questions and changes of its part of the session.

use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::ours;
use crate::write::hooks::RecordCall;
use crate::write::values::rows::{Row, json};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use futures::StreamExt;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, JsonForm, Question};
use querygate_query_api::requests::record_change::{ChangedRecord, RecordAction, RecordChange};
use querygate_query_api::service::Delivery;
use querygate_query_api::values::wide_numeric::wide_numeric;
use querygate_resources::bytes::batch_bytes;
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Records of one answer, and of one change of several; bytes of their columns.
const RECORDS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// What one run has begun to change.
pub(super) struct Changes {
    /// What it changes is undone if it fails, and its statement goes on.
    pub(super) may_fail: bool,
    /// The savepoint before its first change, where that may be needed.
    pub(super) guard: Option<u32>,
    /// Savepoints of its own transactions that have not ended, the innermost last.
    pub(super) open: Vec<u32>,
    /// The next savepoint.
    pub(super) next: u32,
    /// It changed something of a source that cannot undo a part of a transaction.
    pub(super) is_fixed: bool,
    /// A change failed there, so that the whole transaction is to be undone.
    pub(super) is_broken: bool,
}

impl Changes {
    pub(super) async fn answer(&mut self, session: &GateSession, call: RecordCall) -> Result<Value> {
        match call {
            RecordCall::Find(question) => found(session, &question).await.map(list),
            RecordCall::FindOne(question) => {
                let one = Question { limit: Some(1), ..question };
                Ok(found(session, &one).await?.into_iter().next().map_or(Value::Null, Value::Object))
            }
            RecordCall::Count(question) => total(session, &question).await,
            RecordCall::Insert { object, records, is_list } => {
                let create = |values| change(&object, RecordAction::Create { values });
                let changes: Vec<RecordChange> = records.into_iter().map(create).collect();
                let made = self.change(session, &changes).await?;
                let mut made = made.iter().map(record).collect::<Result<Vec<Row>>>()?;
                Ok(if is_list { list(made) } else { made.pop().map_or(Value::Null, Value::Object) })
            }
            RecordCall::Update { object, id, values } => self.update(session, &object, id, values).await,
            RecordCall::Upsert { object, values } => {
                let id = values.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
                if let Some(id) = id
                    && is_there(session, &object, &id).await?
                {
                    let mut values = values;
                    values.shift_remove("id");
                    return self.update(session, &object, id, values).await;
                }
                let made = self.change(session, &[change(&object, RecordAction::Create { values })]).await?;
                made.first().map_or(Ok(Value::Null), |made| record(made).map(Value::Object))
            }
            RecordCall::Delete { object, id } => {
                let action = RecordAction::Delete { id, expected_version: None };
                self.change(session, &[change(&object, action)]).await.map(|_| Value::Bool(true))
            }
            RecordCall::UpdateMany { question, values } => {
                let update = |id| RecordAction::Update { id, values: values.clone(), expected_version: None };
                self.change_found(session, question, update).await
            }
            RecordCall::DeleteMany { question } => {
                self.change_found(session, question, |id| RecordAction::Delete { id, expected_version: None }).await
            }
            RecordCall::Begin => self.begin(session).await,
            RecordCall::Commit(number) => self.commit(session, number).await,
            RecordCall::RollBack(number) => self.roll_back(session, number).await,
        }
    }

    async fn update(&mut self, session: &GateSession, object: &str, id: String, values: Row) -> Result<Value> {
        let action = RecordAction::Update { id, values, expected_version: None };
        let made = self.change(session, &[change(object, action)]).await?;
        made.first().map_or(Ok(Value::Null), |made| record(made).map(Value::Object))
    }

    /// Makes changes, all of them or none; the transaction goes on in both cases.
    async fn change(&mut self, session: &GateSession, changes: &[RecordChange]) -> Result<Vec<ChangedRecord>> {
        let object = changes.first().map(|change| change.object.as_str()).unwrap_or_default();
        let savepoints = takes_savepoints(session, object);
        if savepoints {
            self.guard(session).await?;
            session.begin_item().await?;
        }
        let mut made = Vec::with_capacity(changes.len());
        let mut failed = None;
        for change in changes {
            match Box::pin(session.change_record(change)).await {
                Ok(changed) => made.push(changed),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if !savepoints {
            self.is_fixed = true;
            self.is_broken |= failed.is_some();
            return failed.map_or(Ok(made), Err);
        }
        let ended = session.end_item(failed.is_none()).await;
        match failed {
            Some(error) => Err(error),
            None => ended.map(|()| made),
        }
    }

    /// Changes the records that a question finds, and says how many.
    async fn change_found(
        &mut self,
        session: &GateSession,
        question: Question,
        action: impl Fn(String) -> RecordAction,
    ) -> Result<Value> {
        let described = session.described_object(&question.object)?;
        let key = described.key.clone().ok_or_else(|| {
            let text = "several records of an object are changed by a key of one field that is seen";
            Error::new(ErrorCode::FeatureNotSupported, text).with_vendor_code(VendorCode::NotImplemented)
        })?;
        let object = question.object.clone();
        let keys = Question { fields: Some(vec![key.clone()]), ..question };
        let id = |row: &Row| match row.get(&key) {
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
        };
        let ids = answered(session, &keys, Of::Change).await?;
        let changes = ids.iter().filter_map(id).map(|id| change(&object, action(id))).collect::<Vec<_>>();
        if !changes.is_empty() {
            self.change(session, &changes).await?;
        }
        Ok(changes.len().into())
    }

    /// Sets a savepoint before the first change, if what follows may have to be undone.
    async fn guard(&mut self, session: &GateSession) -> Result<()> {
        if self.may_fail && self.guard.is_none() {
            let id = self.take_id();
            set(session, id).await?;
            self.guard = Some(id);
        }
        Ok(())
    }

    async fn begin(&mut self, session: &GateSession) -> Result<Value> {
        self.guard(session).await?;
        let id = self.take_id();
        set(session, id).await?;
        self.open.push(id);
        Ok(id.into())
    }

    /// Ends the innermost transaction; what it did stays with that of the change.
    async fn commit(&mut self, session: &GateSession, number: u32) -> Result<Value> {
        if self.open.last() != Some(&number) {
            let text = "a transaction of a hook ends after those that were begun within it";
            return Err(Error::new(ErrorCode::ActiveTransaction, text));
        }
        release(session, number).await?;
        self.open.pop();
        Ok(Value::Null)
    }

    /// Undoes a transaction, with those that were begun within it.
    async fn roll_back(&mut self, session: &GateSession, number: u32) -> Result<Value> {
        let Some(place) = self.open.iter().position(|open| *open == number) else {
            return Err(Error::new(ErrorCode::NoActiveTransaction, "this transaction of a hook has ended"));
        };
        undo(session, number).await?;
        self.open.truncate(place);
        Ok(Value::Null)
    }

    /// Ends the run: transactions that have not ended are undone, and everything if it fails and its statement goes on.
    pub(super) async fn close(&mut self, session: &GateSession, keeps: bool) -> Result<()> {
        if self.is_fixed && self.may_fail && !keeps {
            let text = "a hook failed after it had changed records, which their source cannot undo alone";
            return Err(Error::new(ErrorCode::FeatureNotSupported, text));
        }
        match (self.guard.take(), self.open.first().copied()) {
            (Some(guard), _) if !keeps => return undo(session, guard).await,
            (guard, open) => {
                if let Some(first) = open {
                    undo(session, first).await?;
                }
                if let Some(guard) = guard {
                    release(session, guard).await?;
                }
            }
        }
        Ok(())
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        id
    }
}

/// Whether the source of an object can undo a part of a transaction.
fn takes_savepoints(session: &GateSession, object: &str) -> bool {
    let deployment = session.deployment();
    let Some(table) = deployment.tables.get(object) else { return true };
    let source = deployment.sources.iter().find(|source| *source.name == *table.source);
    let driver = source.and_then(|source| source.driver.as_ref());
    driver.and_then(|driver| driver.writer()).is_none_or(|writer| writer.capabilities().savepoints)
}

async fn set(session: &GateSession, id: u32) -> Result<()> {
    let block = session.block_of_change()?.ok_or_else(|| Error::internal("a hook is in no transaction"))?;
    block.branches().await.savepoint(id).await
}

async fn release(session: &GateSession, id: u32) -> Result<()> {
    let Some(block) = session.runs.block().open() else { return Ok(()) };
    block.branches().await.release(id).await
}

async fn undo(session: &GateSession, id: u32) -> Result<()> {
    let Some(block) = session.runs.block().open() else { return Ok(()) };
    let mut branches = block.branches().await;
    branches.rollback_to(id).await?;
    branches.release(id).await
}

fn change(object: &str, action: RecordAction) -> RecordChange {
    RecordChange::new(object.to_owned(), action)
}

fn list(records: Vec<Row>) -> Value {
    Value::Array(records.into_iter().map(Value::Object).collect())
}

async fn is_there(session: &GateSession, object: &str, id: &str) -> Result<bool> {
    let keys = Some(vec![id.to_owned()]);
    let question = Question { object: object.to_owned(), keys, limit: Some(1), ..Question::default() };
    answered(session, &question, Of::Change).await.map(|found| !found.is_empty())
}

async fn total(session: &GateSession, question: &Question) -> Result<Value> {
    let rows = answered(session, question, Of::Script(AnswerForm::Total)).await?;
    let total = rows.into_iter().next().and_then(|row| row.into_iter().next()).map(|(_, total)| total);
    total.ok_or_else(|| Error::internal("a total has no number"))
}

async fn found(session: &GateSession, question: &Question) -> Result<Vec<Row>> {
    answered(session, question, Of::Script(AnswerForm::Records)).await
}

/// The keys, of these, of records that the session's user reads now, as texts.
pub(in crate::session) async fn read_keys(
    session: &GateSession,
    object: &str,
    key: &str,
    keys: BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let (object, fields) = (object.to_owned(), Some(vec![key.to_owned()]));
    let question = Question { object, keys: Some(keys.into_iter().collect()), fields, ..Question::default() };
    let text = |row: &Row| match row.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    Ok(found(session, &question).await?.iter().filter_map(text).collect())
}

/// What an answer is for.
#[derive(Clone, Copy)]
enum Of {
    Script(AnswerForm),
    /// The rows of a change, of which hooks of reads do not hear.
    Change,
}

/// The records of an answer.
async fn answered(session: &GateSession, question: &Question, of: Of) -> Result<Vec<Row>> {
    let form = match of {
        Of::Script(form) => form,
        Of::Change => AnswerForm::Records,
    };
    let asked = session.bind_asked(question, form).await?;
    let prepared = ours(&asked.prepared)?;
    let outcome = match of {
        Of::Script(_) => Box::pin(session.run_prepared(prepared, &asked.parameters, Delivery::Batches)).await?,
        Of::Change => Box::pin(session.run_own_question(prepared, &asked.parameters)).await?,
    };
    let Outcome::Rows(mut answer) = outcome else { return Err(Error::internal("a question gave no rows")) };
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        bytes = bytes.saturating_add(usize::try_from(batch_bytes(&batch)).unwrap_or(usize::MAX));
        if found.len() + batch.num_rows() > RECORDS_MAX || bytes > BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "a hook asks for too many records at once")
                .with_detail(format!("The limit is {RECORDS_MAX} records, and {BYTES_MAX} bytes.")));
        }
        found.extend(rows(&asked.columns, &batch)?);
    }
    Ok(found)
}

/// A changed record as its writer sees it; of one that is not seen, the key.
fn record(changed: &ChangedRecord) -> Result<Row> {
    let seen = match &changed.record {
        Some((columns, batch)) => rows(columns, batch)?.into_iter().next(),
        None => None,
    };
    Ok(seen.unwrap_or_else(|| Map::from_iter([("id".to_owned(), changed.id.clone().into())])))
}

/// Rows of an answer as scripts see them.
pub(in crate::session) fn rows(columns: &Arc<[AnswerColumn]>, batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (column, array) in columns.iter().zip(batch.columns()) {
        for (at, row) in rows.iter_mut().enumerate() {
            row.insert(column.name.clone(), value(column.form, array, at)?);
        }
    }
    Ok(rows)
}

/// A value as scripts see it: documents as what they hold, truth values that were counted as numbers.
fn value(form: JsonForm, array: &ArrayRef, row: usize) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    if *array.data_type() == DataType::LargeBinary {
        return Ok(Value::from(wide_numeric(array.as_binary::<i64>(), row)?.to_double()));
    }
    let value = json(array, row)?;
    Ok(match (form, value) {
        (JsonForm::Json, Value::String(text)) => {
            querygate_types::json::value::value(&text).unwrap_or(Value::String(text))
        }
        (JsonForm::List, Value::String(text)) => {
            querygate_types::json::value::value(&text).unwrap_or(Value::String(text))
        }
        (JsonForm::Number, Value::Bool(flag)) => u8::from(flag).into(),
        (JsonForm::Boolean, Value::Number(number)) => (number.as_f64() != Some(0.0)).into(),
        (_, value) => value,
    })
}
