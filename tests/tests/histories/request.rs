//! Requests as SQL: a statement for each record, as far as there is one.

use crate::recording::{Recording, Row, resolved};
use querygate_metadata::model::{Object, ValueType as Declared};
use serde_json::Value;

/// One statement, and what the vendor answered for it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) sql: String,
    pub(crate) verb: Verb,
    pub(crate) object: String,
    pub(crate) id: Option<String>,
    /// What it gives to fields.
    pub(crate) payload: Row,
    /// The vendor's code; `None` where it was accepted. Of a part of a transaction, that of the whole.
    pub(crate) code: Option<String>,
    /// Whether the vendor left values out, and said so.
    pub(crate) drops: bool,
    pub(crate) is_many: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    Update,
    Delete,
}

/// The statements of a step.
pub(crate) struct Plan {
    pub(crate) requests: Vec<Request>,
    /// Whether they are one transaction, which ends with the first that is refused.
    pub(crate) is_atomic: bool,
}

impl Plan {
    fn one(request: Request) -> Self {
        Self { requests: vec![request], is_atomic: false }
    }
}

/// The statements of a step, or why there are none.
pub(crate) fn plan(recording: &Recording, step: &Value) -> Result<Plan, &'static str> {
    let maker = Maker { recording, step, number: step["n"].as_i64().unwrap() };
    let body = &step["request"]["body"];
    let status = step["status"].as_i64().unwrap();
    // A hook's own error has no code.
    let unnamed = if (400..500).contains(&status) { "HOOK" } else { "INTERNAL_ERROR" };
    let code = (status >= 400).then(|| step["body"]["code"].as_str().unwrap_or(unnamed).to_owned());
    let drops = step["body"]["droppedFields"].is_array();
    if status == 500 || status == 418 {
        return Err("the vendor's own failure");
    }
    if status == 405 {
        return Err("a method that HTTP alone has");
    }
    let object = step["object"].as_str().unwrap_or_default();
    match step["kind"].as_str().unwrap() {
        "create" => {
            let id = step["body"]["record"]["id"].as_str();
            Ok(Plan::one(maker.insert(object, &[body], &[id], (code, drops))?))
        }
        "update" => Ok(Plan::one(maker.update(object, step["id"].as_str().unwrap(), body, (code, drops))?)),
        "delete" => Ok(Plan::one(maker.delete(object, step["id"].as_str().unwrap(), code))),
        "createMany" => {
            let records = body.as_array().or_else(|| body["records"].as_array()).ok_or("a body of another form")?;
            let records: Vec<&Value> = records.iter().map(|record| record.get("data").unwrap_or(record)).collect();
            let stored = step["body"]["records"].as_array();
            let ids: Vec<Option<&str>> =
                (0..records.len()).map(|at| stored.and_then(|stored| stored.get(at))?["id"].as_str()).collect();
            Ok(Plan::one(maker.insert(object, &records, &ids, (code, drops))?))
        }
        "updateMany" | "deleteMany" | "batch" => maker.many(object, body, code),
        "crossBatch" => maker.cross(body, code),
        "clone" => Err("a clone"),
        "stale" => Err("a version that is asked for"),
        "odd" => Err("a request that only HTTP can say"),
        _ => Err("another kind"),
    }
}

struct Maker<'s> {
    recording: &'s Recording,
    step: &'s Value,
    number: i64,
}

type Told = (Option<String>, bool);

impl Maker<'_> {
    fn row(&self, data: &Value) -> Result<Row, &'static str> {
        let row = resolved(data, self.number);
        Ok(row.as_object().ok_or("a body of another form")?.clone())
    }

    /// Ids that the vendor made for new records of this step.
    fn made(&self, object: &str) -> Vec<String> {
        let rows = self.step["delta"][object].as_object();
        let known = self.recording.store.get(object);
        let is_new = |id: &&String| !known.is_some_and(|rows| rows.contains_key(*id));
        rows.into_iter().flat_map(|rows| rows.keys()).filter(is_new).cloned().collect()
    }

    /// `ids`: those that the vendor answered.
    fn insert(
        &self,
        object: &str,
        records: &[&Value],
        ids: &[Option<&str>],
        (code, drops): Told,
    ) -> Result<Request, &'static str> {
        let rows = records.iter().map(|record| self.row(record)).collect::<Result<Vec<_>, _>>()?;
        let made = self.made(object);
        let mut names: Vec<String> = vec!["id".to_owned()];
        for name in rows.iter().flat_map(|row| row.keys()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let declared = self.recording.object(object);
        let mut values = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let own = row.get("id").and_then(Value::as_str).or_else(|| ids.get(at).copied().flatten());
            let id = own.map(str::to_owned).or_else(|| made.get(at).cloned().filter(|_| records.len() == made.len()));
            let id = Value::from(id.unwrap_or_else(|| format!("new{}_{at}", self.number)));
            let cell = |name: &String| {
                let value = if name == "id" { &id } else { row.get(name).unwrap_or(&Value::Null) };
                literal(declared, name, value, code.as_deref())
            };
            values.push(format!("({})", names.iter().map(cell).collect::<Result<Vec<_>, _>>()?.join(", ")));
        }
        let columns: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let name = self.recording.sql_name(object);
        let sql = format!("INSERT INTO {name} ({}) VALUES {}", columns.join(", "), values.join(", "));
        let payload = rows.into_iter().flatten().collect();
        let is_many = records.len() > 1 || self.step["kind"] == "createMany";
        Ok(Request { sql, verb: Verb::Insert, object: object.to_owned(), id: None, payload, code, drops, is_many })
    }

    fn update(&self, object: &str, id: &str, data: &Value, (code, drops): Told) -> Result<Request, &'static str> {
        let mut payload = self.row(data)?;
        payload.shift_remove("id");
        payload.shift_remove("expectedVersion");
        if payload.is_empty() {
            return Err("an update of nothing");
        }
        let declared = self.recording.object(object);
        let set = |(name, value): (&String, &Value)| {
            Ok(format!("\"{name}\" = {}", literal(declared, name, value, code.as_deref())?))
        };
        let sets = payload.iter().map(set).collect::<Result<Vec<String>, &'static str>>()?;
        let name = self.recording.sql_name(object);
        let sql = format!("UPDATE {name} SET {} WHERE id = {}", sets.join(", "), quoted(id));
        let (object, id) = (object.to_owned(), Some(id.to_owned()));
        Ok(Request { sql, verb: Verb::Update, object, id, payload, code, drops, is_many: false })
    }

    fn delete(&self, object: &str, id: &str, code: Option<String>) -> Request {
        let name = self.recording.sql_name(object);
        let sql = format!("DELETE FROM {name} WHERE id = {}", quoted(id));
        let (object, id) = (object.to_owned(), Some(id.to_owned()));
        Request { sql, verb: Verb::Delete, object, id, payload: Row::new(), code, drops: false, is_many: false }
    }

    /// A statement for each record that was attempted; one transaction where a failure undid the others.
    fn many(&self, object: &str, body: &Value, code: Option<String>) -> Result<Plan, &'static str> {
        let Some(results) = self.step["body"]["results"].as_array().filter(|_| code.is_none()) else {
            return Err("a bulk request that is refused as a whole");
        };
        let code_of = |result: &Value| {
            let code = || result["errors"][0]["code"].as_str().unwrap_or("").to_owned();
            (result["success"] != true).then(code)
        };
        let is_beside = |code: &String| matches!(code.as_str(), "NOT_ATTEMPTED" | "ROLLED_BACK");
        let undone = results.iter().filter_map(code_of).find(|code| !is_beside(code));
        let undone = undone.filter(|_| body["options"]["atomic"] == true);
        let records = body["records"].as_array().or_else(|| body["ids"].as_array()).ok_or("a body of another form")?;
        let mut requests = Vec::new();
        for (record, result) in records.iter().zip(results) {
            let code = code_of(result);
            if undone.is_none() && code.as_ref().is_some_and(is_beside) {
                continue;
            }
            let code = undone.clone().or(code);
            if matches!(code.as_deref(), Some("INTERNAL_ERROR" | "UPDATE_ID_MISMATCH" | "ERR_SUMMARY_RECOMPUTE" | "")) {
                return Err("the vendor's own failure");
            }
            let drops = result["droppedFields"].is_array() || self.step["body"]["droppedFields"].is_array();
            requests.push(self.part(object, record, result, (code, drops))?);
        }
        if requests.is_empty() {
            Err("nothing that was attempted")
        } else {
            Ok(Plan { requests, is_atomic: undone.is_some() })
        }
    }

    fn part(&self, object: &str, record: &Value, result: &Value, told: Told) -> Result<Request, &'static str> {
        let operation = match self.step["kind"].as_str().unwrap() {
            "updateMany" => "update",
            "deleteMany" => "delete",
            _ => self.step["operation"]
                .as_str()
                .or_else(|| self.step["request"]["body"]["operation"].as_str())
                .unwrap_or(""),
        };
        let id = record.as_str().or_else(|| record["id"].as_str());
        let is_there = |id: &str| self.recording.store.get(object).is_some_and(|rows| rows.contains_key(id));
        let data = record.get("data").unwrap_or(&Value::Null);
        match (operation, id) {
            ("update", Some(id)) => self.update(object, id, data, told),
            ("delete", Some(id)) => Ok(self.delete(object, id, told.0)),
            ("upsert", Some(id)) if is_there(id) => self.update(object, id, data, told),
            ("create" | "upsert", id) => self.insert(object, &[data], &[id.or_else(|| result["id"].as_str())], told),
            _ => Err("a bulk request of another form"),
        }
    }

    /// Several objects in one transaction.
    fn cross(&self, body: &Value, code: Option<String>) -> Result<Plan, &'static str> {
        if matches!(code.as_deref(), Some("BATCH_NOT_ATOMIC" | "BATCH_TOO_LARGE" | "BATCH_UNRESOLVED_REF")) {
            return Err("a request that only HTTP can say");
        }
        let operations = body["operations"].as_array().ok_or("a body of another form")?;
        let results = self.step["body"]["results"].as_array();
        let id = |at: usize| {
            let own = operations.get(at).and_then(|operation| operation["data"]["id"].as_str());
            let told = results.and_then(|results| results.get(at)).and_then(|result| result["id"].as_str());
            own.or(told).map_or_else(|| format!("new{}_{at}", self.number), str::to_owned)
        };
        let mut requests = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            let object = operation["object"].as_str().ok_or("a body of another form")?;
            let mut data = operation["data"].clone();
            for value in data.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
                if let Some(other) = value["$ref"].as_u64() {
                    *value = id(usize::try_from(other).unwrap()).into();
                }
            }
            let told = (code.clone(), self.step["body"]["droppedFields"].is_array());
            requests.push(match (operation["action"].as_str(), operation["id"].as_str()) {
                (Some("create"), _) => self.insert(object, &[&data], &[Some(&id(at))], told)?,
                (Some("update"), Some(id)) => self.update(object, id, &data, told)?,
                (Some("delete"), Some(id)) => self.delete(object, id, told.0),
                _ => return Err("a request that only HTTP can say"),
            });
        }
        Ok(Plan { requests, is_atomic: true })
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value for a field as SQL says it: lists as arrays, structures as the text of a document.
fn literal(object: &Object, name: &str, value: &Value, code: Option<&str>) -> Result<String, &'static str> {
    let wanted = object.field(name).map(|field| field.value_type());
    let is_list = matches!(wanted, Some(Declared::TextList));
    Ok(match value {
        Value::Null => "NULL".to_owned(),
        Value::Array(items) if is_list => {
            let texts = items.iter().map(|item| item.as_str().map(quoted)).collect::<Option<Vec<_>>>();
            match texts.ok_or("a list of other things than texts")? {
                texts if texts.is_empty() => "'{}'".to_owned(),
                texts => format!("ARRAY[{}]", texts.join(", ")),
            }
        }
        // The vendor makes a list of it.
        Value::String(text) if is_list && !text.is_empty() => format!("ARRAY[{}]", quoted(text)),
        Value::Array(_) | Value::Object(_) => match wanted {
            Some(Declared::Json) => quoted(&value.to_string()),
            // As a text it is as wrong for these types as it is for the vendor.
            Some(Declared::Text | Declared::TextList) | None => return Err("a list or a structure for a single value"),
            Some(_) if code == Some("VALIDATION_FAILED") => quoted(&value.to_string()),
            Some(_) => return Err("a list or a structure for a single value"),
        },
        Value::String(text) if text.is_empty() && !matches!(wanted, Some(Declared::Text)) => {
            return Err("an empty text, which the vendor stores in columns of any type");
        }
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
    })
}
