//! `POST /data/:object/import`: rows of JSON or CSV as records, each with its own outcome.

mod cells;
mod matches;
mod repeats;

use super::write::refusal_of;
use crate::answer::ok;
use crate::call::{Call, Digits, Named, Place};
use crate::code::Code;
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::work::Work;
use axum::extract::State;
use axum::response::Response;
use cells::{Cell, Readers, table};
use matches::{Match, Matching};
use querygate_query_api::holding::Occupation;
use querygate_query_api::requests::question::{JsonForm, ObjectDescription};
use querygate_query_api::requests::record_change::{ChangeOutcome, OnFailure, RecordAction, RecordChange};
use querygate_types::Error;
use querygate_types::vendor::VendorCode;
use repeats::NewRecords;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Rows of one request.
const ROWS_MAX: usize = 5_000;
/// Fields that records are found by.
const MATCH_FIELDS_MAX: usize = 64;
/// Changes that are made at once.
const CHANGES_AT_ONCE: usize = 200;

pub(crate) async fn import(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        site.refuse_own_change(&call, &object)?;
        let work = site.work(&call).await?;
        let (body, digits, _held) = call.charged_object(&work, site.body_max(), &object).await?;
        let import = Import::of(&object, &body, &digits)?;
        let _shown = work.session().occupy(Occupation::Import, &import.object);
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
    /// Texts of their values, where they came as JSON.
    texts: Vec<HashMap<String, String>>,
}

/// What becomes of a row.
enum Row {
    Change(RecordChange, &'static str),
    Repeat(RepeatedRow),
    Skipped,
    Failed(Failure),
}

/// The values of a row, or why they cannot be read.
type ReadRow = Result<Map<String, Value>, Failure>;

/// A row that means the record which an earlier row makes.
struct RepeatedRow {
    /// The number of the earlier row.
    first: usize,
    values: Map<String, Value>,
    texts: HashMap<String, String>,
}

/// A change that is to be made, of the row at `at`.
struct DueChange {
    at: usize,
    /// The row that rows with the record of this one are known by.
    first: usize,
    word: &'static str,
    change: RecordChange,
}

/// What became of rows.
#[derive(Default)]
struct ImportOutcomes {
    /// What is answered of each.
    told: Vec<Value>,
    /// Keys of the records that they changed or made, by `DueChange::first`.
    made: HashMap<usize, String>,
}

#[derive(Debug)]
struct Failure {
    code: String,
    error: String,
    field: Option<String>,
}

impl Import {
    fn of(object: &str, body: &Map<String, Value>, digits: &Digits) -> Result<Self, Refusal> {
        let invalid = |message: &str| Refusal::new(Code::InvalidRequest, message);
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        if body.contains_key("mappingName") {
            return Err(Refusal::not_implemented("mappings by name; send `mapping`"));
        }
        let renamed = mapping(body.get("mapping"));
        let rows = match (text("format"), body.get("rows"), text("csv")) {
            (Some("json"), Some(Value::Array(rows)), _) => rows.iter().map(of_json).collect::<Vec<_>>(),
            (Some("csv") | None, _, Some(csv)) => table(csv).map_err(|message| invalid(&message))?,
            _ => {
                return Err(invalid(
                    "Provide format:\"csv\" with csv text, format:\"json\" with rows[], or format:\"xlsx\" with xlsxBase64",
                ));
            }
        };
        if rows.len() > ROWS_MAX {
            let message = format!("Import too large: {} rows (max {ROWS_MAX})", rows.len());
            return Err(Refusal::new(VendorCode::BatchTooLarge, message));
        }
        let own = |name: String| renamed.get(&name).cloned().unwrap_or(name);
        let given = body.get("rows").and_then(Value::as_array).into_iter().flatten().enumerate();
        let texts = given.map(|(at, row)| {
            let texts = row.as_object().map(|row| digits.texts(&[Place::Name("rows"), Place::At(at)], row));
            texts.into_iter().flatten().map(|(name, text)| (own(name), text)).collect()
        });
        let texts = if text("format") == Some("json") { texts.collect() } else { Vec::new() };
        let rename = |(name, cell): (String, Cell)| (own(name), cell);
        if body.contains_key("mode") {
            return Err(invalid(
                "`mode` is no key of an import: say \"insert\", \"update\" or \"upsert\" as `writeMode`",
            ));
        }
        let mode = match body.get("writeMode") {
            None | Some(Value::Null) => Mode::Insert,
            Some(Value::String(text)) if text == "insert" => Mode::Insert,
            Some(Value::String(text)) if text == "update" => Mode::Update,
            Some(Value::String(text)) if text == "upsert" => Mode::Upsert,
            Some(_) => return Err(invalid("writeMode must be one of insert, update, upsert")),
        };
        let matched_by = body.get("matchFields").and_then(Value::as_array).into_iter().flatten();
        let mut seen = BTreeSet::new();
        let matched_by: Vec<String> =
            matched_by.filter_map(Value::as_str).filter(|name| seen.insert(*name)).map(str::to_owned).collect();
        if matched_by.len() > MATCH_FIELDS_MAX {
            return Err(invalid(&format!("matchFields names at most {MATCH_FIELDS_MAX} fields")));
        }
        if mode != Mode::Insert && matched_by.is_empty() {
            return Err(invalid(&format!("writeMode \"{}\" requires a non-empty matchFields[]", mode.name())));
        }
        Ok(Self {
            object: object.to_owned(),
            mode,
            matched_by,
            dry: body.get("dryRun") == Some(&Value::Bool(true)),
            rows: rows.into_iter().map(|row| row.into_iter().map(rename).collect()).collect(),
            texts,
        })
    }

    async fn run(self, work: &Work) -> Result<Response, Refusal> {
        let outcomes = match work.session().object(&self.object).await {
            Ok(described) => self.outcomes(work, &described).await?,
            Err(error) => {
                let mut failure = failure(refusal_of(error, &self.object, None));
                if failure.code == VendorCode::ObjectNotFound.name() {
                    failure.error = format!("Object '{}' not found", self.object);
                }
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
        let is_document = |name: &&String| {
            object.field(name).is_some_and(|field| matches!(field.form, JsonForm::List | JsonForm::Json))
        };
        if let Some(name) = self.matched_by.iter().find(is_document).filter(|_| self.mode != Mode::Insert) {
            let message = format!("matchFields: '{name}' is a list or a document, and finds no record");
            return Err(Refusal::new(Code::InvalidRequest, message));
        }
        let readers = Readers::new(work, object, &self.rows).await?;
        let read = |row: &Vec<(String, Cell)>| match readers.values(row) {
            Ok(values) => self.refuse_unmatched(&values).map(|()| values),
            Err((field, code, error)) => Err(Failure { code: code.to_owned(), error, field: Some(field) }),
        };
        let rows = self.rows.iter().map(read).collect();
        let texts = self.texts_of_rows(object);
        let rows = self.actions(work, object, rows, texts).await?;
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

    /// Every field that a record is found by has a value: records without one are not what is meant. A list or an object would be read
    /// as a filter's words.
    fn refuse_unmatched(&self, values: &Map<String, Value>) -> Result<(), Failure> {
        let is_structure =
            |name: &&String| values.get(*name).is_some_and(|value| value.is_object() || value.is_array());
        if let Some(name) = self.matched_by.iter().find(is_structure).filter(|_| self.mode != Mode::Insert) {
            return Err(Failure {
                code: "invalid_type".to_owned(),
                error: format!("{name} has a value that no record is found by"),
                field: Some(name.clone()),
            });
        }
        let has_value = |name: &&String| values.get(*name).is_some_and(|value| !value.is_null());
        match self.matched_by.iter().find(|name| !has_value(name)) {
            Some(name) if self.mode != Mode::Insert => Err(Failure {
                code: "REQUIRED".to_owned(),
                error: format!("{name} has no value to find a record by"),
                field: Some(name.clone()),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Texts of documents among the values of each row: of a table, the cells themselves.
    fn texts_of_rows(&self, object: &ObjectDescription) -> Vec<HashMap<String, String>> {
        if !self.texts.is_empty() {
            return self.texts.clone();
        }
        let is_document = |name: &str| object.field(name).is_some_and(|field| field.form == JsonForm::Json);
        let text = |(name, cell): &(String, Cell)| match cell {
            Cell::Text(text) if is_document(name) => Some((name.clone(), text.clone())),
            Cell::Text(_) | Cell::Value(_) => None,
        };
        self.rows.iter().map(|row| row.iter().filter_map(text).collect()).collect()
    }

    /// What the values of rows are to become.
    async fn actions(
        &self,
        work: &Work,
        object: &ObjectDescription,
        rows: Vec<ReadRow>,
        texts: Vec<HashMap<String, String>>,
    ) -> Result<Vec<Row>, Refusal> {
        let read: Vec<&Map<String, Value>> = rows.iter().filter_map(|row| row.as_ref().ok()).collect();
        let mut matches = match (&object.key, self.mode) {
            (_, Mode::Insert) | (None, _) => Vec::new(),
            (Some(key), Mode::Update | Mode::Upsert) => {
                Matching { work, object: &self.object, key, fields: &self.matched_by }.of_rows(&read).await?
            }
        }
        .into_iter();
        let made = |action, texts, word| Row::Change(RecordChange { object: self.object.clone(), action, texts }, word);
        let (mut texts, mut new) = (texts.into_iter(), NewRecords::default());
        let action = |(at, row): (usize, ReadRow)| match (row, texts.next().unwrap_or_default()) {
            (Err(failure), _) => Row::Failed(failure),
            (Ok(values), texts) if self.mode == Mode::Insert => made(RecordAction::Create { values }, texts, "created"),
            (Ok(values), texts) => match (matches.next(), self.mode) {
                (Some(Match::Found(id)), _) => {
                    made(RecordAction::Update { id, values, expected_version: None }, texts, "updated")
                }
                (Some(Match::Unreadable { code, error }), _) => Row::Failed(Failure { code, error, field: None }),
                (Some(Match::Several), _) => Row::Failed(Failure {
                    code: "AMBIGUOUS_MATCH".to_owned(),
                    error: "several records have these values".to_owned(),
                    field: None,
                }),
                (Some(Match::Missing), Mode::Upsert) => match new.first(object, &self.matched_by, &values, at) {
                    Some(first) => Row::Repeat(RepeatedRow { first, values, texts }),
                    None => made(RecordAction::Create { values }, texts, "created"),
                },
                // Of an object whose records no single field finds, none is found.
                (Some(Match::Missing), Mode::Update | Mode::Insert) | (None, _) => Row::Skipped,
            },
        };
        Ok(rows.into_iter().enumerate().map(action).collect())
    }

    async fn change(&self, work: &Work, rows: Vec<Row>) -> Result<Vec<Value>, Refusal> {
        let mut done = ImportOutcomes::default();
        let mut due: Vec<DueChange> = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            let told = match row {
                Row::Skipped => json!({"row": at + 1, "ok": true, "action": "skipped", "code": "NO_MATCH"}),
                Row::Failed(failure) => failure.told(at),
                Row::Change(change, word) => {
                    due.push(DueChange { at, first: at, word, change });
                    Value::Null
                }
                Row::Repeat(repeat) => {
                    // Rows are changed in their order: what this one means is made, or has failed, before.
                    let is_known = done.made.contains_key(&repeat.first);
                    if !is_known && due.iter().any(|due| due.first == repeat.first) {
                        self.make(work, std::mem::take(&mut due), &mut done).await?;
                    }
                    due.push(self.repeated(at, repeat, &done.made));
                    Value::Null
                }
            };
            done.told.push(told);
        }
        self.make(work, due, &mut done).await?;
        Ok(done.told)
    }

    /// What a row becomes whose record an earlier one makes: its change. Where none was made, this one makes it.
    fn repeated(&self, at: usize, repeat: RepeatedRow, made: &HashMap<usize, String>) -> DueChange {
        let RepeatedRow { first, values, texts } = repeat;
        let (action, word) = match made.get(&first).cloned() {
            Some(id) => (RecordAction::Update { id, values, expected_version: None }, "updated"),
            None => (RecordAction::Create { values }, "created"),
        };
        DueChange { at, first, word, change: RecordChange { object: self.object.clone(), action, texts } }
    }

    async fn make(&self, work: &Work, due: Vec<DueChange>, done: &mut ImportOutcomes) -> Result<(), Refusal> {
        let (mut places, mut changes) = (Vec::with_capacity(due.len()), Vec::with_capacity(due.len()));
        for DueChange { at, first, word, change } in due {
            places.push((at, first, word));
            changes.push(change);
        }
        for (places, changes) in places.chunks(CHANGES_AT_ONCE).zip(changes.chunks(CHANGES_AT_ONCE)) {
            let outcomes = work.session().change(changes, OnFailure::Continue).await?;
            for ((at, first, word), outcome) in places.iter().zip(outcomes) {
                let one = match outcome {
                    ChangeOutcome::Made(changed) => {
                        // What is undone has no key to tell.
                        let one = match self.dry {
                            true => json!({"row": at + 1, "ok": true, "action": word}),
                            false => json!({"row": at + 1, "ok": true, "action": word, "id": changed.id}),
                        };
                        done.made.insert(*first, changed.id);
                        one
                    }
                    ChangeOutcome::Failed(error) => failure(refusal_of(error, &self.object, None)).told(*at),
                    ChangeOutcome::Undone | ChangeOutcome::NotTried => {
                        return Err(Error::internal("an import's row has no outcome").into());
                    }
                };
                if let Some(place) = done.told.get_mut(*at) {
                    *place = one;
                }
            }
        }
        Ok(())
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
fn mapping(given: Option<&Value>) -> HashMap<String, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match given {
        Some(Value::Object(names)) => names.iter().filter_map(|(from, to)| Some((from.clone(), text(to)?))).collect(),
        // Of pairs of one name the first counts.
        Some(Value::Array(pairs)) => pairs
            .iter()
            .rev()
            .filter_map(|pair| Some((text(pair.get("sourceField")?)?, text(pair.get("targetField")?)?)))
            .collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => HashMap::new(),
    }
}
