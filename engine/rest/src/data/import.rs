//! `POST /data/:object/import`: rows of JSON or CSV as records, each with its own outcome.

use super::cells::{Cell, Readers, table};
use super::change::refusal_of;
use crate::answer::ok;
use crate::call::{Call, Named};
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::work::Work;
use axum::extract::State;
use axum::response::Response;
use querygate_query_api::requests::question::{ObjectDescription, Question};
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordAction, RecordChange};
use querygate_types::Error;
use querygate_types::vendor::VendorCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Rows of one request.
const ROWS_MAX: usize = 5_000;
/// Changes that are made at once.
const CHANGES_AT_ONCE: usize = 200;

pub(crate) async fn import(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let (body, _held) = call.charged_object(&work, site.body_max()).await?;
        let import = Import::of(&object, &body)?;
        import.run(&work).await
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into_answer(Envelope::Plain))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Insert,
    Update,
    Upsert,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
        }
    }
}

struct Import {
    object: String,
    mode: Mode,
    /// Fields by which an update finds its record.
    matched_by: Vec<String>,
    /// Whether what was done is undone.
    dry: bool,
    rows: Vec<Vec<(String, Cell)>>,
}

/// What becomes of a row.
enum Row {
    Change(RecordAction, &'static str),
    Skipped,
    Failed(Failure),
}

struct Failure {
    code: String,
    error: String,
    field: Option<String>,
}

impl Import {
    fn of(object: &str, body: &Map<String, Value>) -> Result<Self, Refusal> {
        let invalid = |message: &str| Refusal::new(Code::InvalidRequest, message);
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        if body.contains_key("mappingName") {
            return Err(Refusal::not_implemented("mappings by name; send `mapping`"));
        }
        let renamed = mapping(body.get("mapping"));
        let rows = match (text("format"), body.get("rows"), text("csv")) {
            (Some("json"), Some(Value::Array(rows)), _) => rows.iter().map(of_json).collect::<Vec<_>>(),
            (Some("csv") | None, _, Some(csv)) => table(csv),
            _ => return Err(invalid("Provide format:\"csv\" with csv text or format:\"json\" with rows[]")),
        };
        if rows.len() > ROWS_MAX {
            let message = format!("Import too large: {} rows (max {ROWS_MAX})", rows.len());
            return Err(Refusal::new(VendorCode::BatchTooLarge, message));
        }
        let rename = |(name, cell): (String, Cell)| match renamed.iter().find(|(from, _)| *from == name) {
            Some((_, to)) => (to.clone(), cell),
            None => (name, cell),
        };
        let mode = match text("writeMode") {
            Some("update") => Mode::Update,
            Some("upsert") => Mode::Upsert,
            _ => Mode::Insert,
        };
        let matched_by = body.get("matchFields").and_then(Value::as_array).into_iter().flatten();
        let matched_by: Vec<String> = matched_by.filter_map(Value::as_str).map(str::to_owned).collect();
        if mode != Mode::Insert && matched_by.is_empty() {
            return Err(invalid(&format!("writeMode \"{}\" requires a non-empty matchFields[]", mode.name())));
        }
        Ok(Self {
            object: object.to_owned(),
            mode,
            matched_by,
            dry: body.get("dryRun") == Some(&Value::Bool(true)),
            rows: rows.into_iter().map(|row| row.into_iter().map(rename).collect()).collect(),
        })
    }

    async fn run(self, work: &Work) -> Result<Response, Refusal> {
        let outcomes = match work.session().object(&self.object).await {
            Ok(described) => self.outcomes(work, &described).await?,
            Err(error) => {
                let failure = failure(refusal_of(error, &self.object, None));
                self.rows.iter().enumerate().map(|(at, _)| failure.told(at)).collect()
            }
        };
        let count = |action: &str| outcomes.iter().filter(|row| row["action"] == action).count();
        let errors = count("failed");
        Ok(ok(&json!({
            "object": self.object,
            "dryRun": self.dry,
            "writeMode": self.mode.name(),
            "total": outcomes.len(),
            "ok": outcomes.iter().filter(|row| row["ok"] == true).count() - count("skipped"),
            "errors": errors,
            "created": count("created"),
            "updated": count("updated"),
            "skipped": count("skipped"),
            "results": outcomes,
        })))
    }

    async fn outcomes(&self, work: &Work, object: &Arc<ObjectDescription>) -> Result<Vec<Value>, Refusal> {
        let readers = Readers::new(work, object, &self.rows).await?;
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            rows.push(match readers.values(row) {
                Ok(values) => self.action(work, object, values).await?,
                Err((field, code, error)) => Row::Failed(Failure { code: code.to_owned(), error, field: Some(field) }),
            });
        }
        if self.dry {
            work.session().begin_block();
        }
        let told = self.change(work, rows).await;
        if self.dry {
            work.session().fail_transaction();
            // Undone on purpose: what it says of that is not news.
            let _ = work.session().end_block().await;
        }
        told
    }

    /// What a row's values are to become.
    async fn action(
        &self,
        work: &Work,
        object: &ObjectDescription,
        values: Map<String, Value>,
    ) -> Result<Row, Refusal> {
        if self.mode == Mode::Insert {
            return Ok(Row::Change(RecordAction::Create { values }, "created"));
        }
        let mut filter = Map::new();
        let failed = |field: Option<&String>, code: &str, error: String| {
            Row::Failed(Failure { code: code.to_owned(), error, field: field.cloned() })
        };
        for name in &self.matched_by {
            match values.get(name) {
                // Records without a value are not the one that is meant.
                None | Some(Value::Null) => {
                    return Ok(failed(Some(name), "REQUIRED", format!("{name} has no value to find a record by")));
                }
                Some(value) => _ = filter.insert(name.clone(), value.clone()),
            }
        }
        let Some(key) = object.key.clone() else { return Ok(Row::Skipped) };
        let question = Question {
            object: self.object.clone(),
            fields: Some(vec![key]),
            filter: Some(Value::Object(filter)),
            limit: Some(2),
            ..Question::default()
        };
        let (mut found, mut several) = (None, false);
        let mut records = work.find(&question).await?;
        while let Some(printer) = records.next().await? {
            several |= printer.rows > 1 || (printer.rows > 0 && found.is_some());
            found = found.or_else(|| printer.cells(0).and_then(|cells| cells.texts(0).pop()));
        }
        if several {
            return Ok(failed(None, "AMBIGUOUS_MATCH", "several records have these values".to_owned()));
        }
        Ok(match (found, self.mode) {
            (Some(id), _) => Row::Change(RecordAction::Update { id, values, expected_version: None }, "updated"),
            (None, Mode::Upsert) => Row::Change(RecordAction::Create { values }, "created"),
            (None, Mode::Update | Mode::Insert) => Row::Skipped,
        })
    }

    async fn change(&self, work: &Work, rows: Vec<Row>) -> Result<Vec<Value>, Refusal> {
        let mut told = Vec::with_capacity(rows.len());
        let (mut places, mut changes) = (Vec::new(), Vec::new());
        for (at, row) in rows.into_iter().enumerate() {
            told.push(match row {
                Row::Skipped => json!({"row": at + 1, "ok": true, "action": "skipped", "code": "NO_MATCH"}),
                Row::Failed(failure) => failure.told(at),
                Row::Change(action, word) => {
                    places.push((at, word));
                    changes.push(RecordChange { object: self.object.clone(), action });
                    Value::Null
                }
            });
        }
        for (places, changes) in places.chunks(CHANGES_AT_ONCE).zip(changes.chunks(CHANGES_AT_ONCE)) {
            let outcomes = work.session().change(changes, OnFailure::Continue).await?;
            for ((at, word), outcome) in places.iter().zip(outcomes) {
                let one = match outcome {
                    ChangeOutcome::Made(changed) => {
                        json!({"row": at + 1, "ok": true, "action": word, "id": changed.id})
                    }
                    ChangeOutcome::Failed(error) => failure(refusal_of(error, &self.object, None)).told(*at),
                    ChangeOutcome::Undone | ChangeOutcome::NotTried => {
                        return Err(Error::internal("an import's row has no outcome").into());
                    }
                };
                if let Some(place) = told.get_mut(*at) {
                    *place = one;
                }
            }
        }
        Ok(told)
    }
}

/// The first fault of a field, where one is named; else the refusal itself.
fn failure(refusal: Refusal) -> Failure {
    let fault = refusal.faults().and_then(|faults| faults.get(0)).cloned().unwrap_or_default();
    let text = |key: &str| fault.get(key).and_then(Value::as_str).map(str::to_owned);
    Failure {
        code: text("code").unwrap_or_else(|| refusal.code().name().to_owned()),
        error: text("message").unwrap_or_else(|| refusal.message().to_owned()),
        field: text("field"),
    }
}

impl Failure {
    fn told(&self, at: usize) -> Value {
        let mut told = json!({"row": at + 1, "ok": false, "action": "failed", "error": self.error, "code": self.code});
        if let (Some(told), Some(field)) = (told.as_object_mut(), &self.field) {
            told.insert("field".to_owned(), field.as_str().into());
        }
        told
    }
}

fn of_json(row: &Value) -> Vec<(String, Cell)> {
    let cells = row.as_object().into_iter().flatten();
    cells.map(|(name, value)| (name.clone(), Cell::Value(value.clone()))).collect()
}

/// Names of columns, and the fields that they are.
fn mapping(given: Option<&Value>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match given {
        Some(Value::Object(names)) => names.iter().filter_map(|(from, to)| Some((from.clone(), text(to)?))).collect(),
        Some(Value::Array(pairs)) => pairs
            .iter()
            .filter_map(|pair| Some((text(pair.get("sourceField")?)?, text(pair.get("targetField")?)?)))
            .collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    }
}
