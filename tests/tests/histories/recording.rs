//! One recording: its metadata, users, steps, and the store before each.

use querygate_metadata::model::{DefaultValue, FieldType, Object, Protocol, Snapshot, ValueType as Declared};
use querygate_tests::harness::Fixture;
use querygate_tests::server::{Shop, execute};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) type Row = Map<String, Value>;
pub(crate) type Store = BTreeMap<String, BTreeMap<String, Row>>;

/// Columns that tell when and by whom a row was changed; the gate's clock is not the recorded one.
pub(crate) const STAMPS: [&str; 2] = ["created_at", "updated_at"];

pub(crate) struct Recording {
    data: Value,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Rows by object and id, as they are before the next step.
    pub(crate) store: Store,
}

impl Recording {
    pub(crate) fn load(number: usize) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/objectstack/writes");
        let text = std::fs::read_to_string(folder.join(format!("writes-{number}.json"))).ok()?;
        let data: Value = serde_json::from_str(&text).unwrap();
        let snapshot = Arc::new(
            Fixture { protocol: Protocol::V17_4, ..Fixture::new(data["stack"].clone(), Vec::new()) }.snapshot(),
        );
        let mut store = Store::new();
        for (object, rows) in data["initial"]["rows"].as_object().unwrap() {
            let table = store.entry(object.clone()).or_default();
            for row in rows.as_array().unwrap() {
                let row = resolved(row, 0).as_object().unwrap().clone();
                table.insert(row["id"].as_str().unwrap().to_owned(), row);
            }
        }
        Some(Self { data, snapshot, store })
    }

    /// The metadata, with all hooks.
    pub(crate) fn stack(&self) -> String {
        self.data["stack"].to_string()
    }

    pub(crate) fn steps(&self) -> Vec<Value> {
        self.data["ops"].as_array().unwrap().clone()
    }

    /// Logins with what the configuration says of each.
    pub(crate) fn users(&self) -> Vec<(String, String)> {
        let list = |value: &Value| {
            let names = value.as_array().unwrap().iter().map(|name| format!("\"{}\"", name.as_str().unwrap()));
            names.collect::<Vec<_>>().join(", ")
        };
        let user = |persona: &Value| {
            let context = &persona["context"];
            let posture = if context["posture"] == "PLATFORM_ADMIN" { "platform_admin" } else { "member" };
            let rights = format!(
                "user_id = {}\nemail = {}\nposture = \"{posture}\"\npositions = [{}]\npermission_sets = [{}]",
                context["userId"],
                context["email"],
                list(&context["positions"]),
                list(&context["permissions"])
            );
            (persona["key"].as_str().unwrap().to_owned(), rights)
        };
        self.data["personas"].as_array().unwrap().iter().map(user).collect()
    }

    /// The address by which each user logs in.
    #[allow(dead_code, reason = "of the two programs that read recordings, one logs in over REST")]
    pub(crate) fn emails(&self) -> BTreeMap<String, String> {
        let email = |persona: &Value| {
            (
                persona["key"].as_str().unwrap().to_owned(),
                persona["context"]["email"].as_str().unwrap_or_default().to_owned(),
            )
        };
        self.data["personas"].as_array().unwrap().iter().map(email).collect()
    }

    pub(crate) fn object(&self, name: &str) -> &Object {
        self.snapshot.object(name).unwrap()
    }

    /// Whether a policy binds what is stored by its `using`, having no `check`: the recorded version left such writes alone.
    pub(crate) fn is_bound_by_using(&self, object: &str) -> bool {
        let sets = self.data["stack"]["permissions"].as_array().into_iter().flatten();
        sets.flat_map(|set| set["rowLevelSecurity"].as_array().into_iter().flatten()).any(|policy| {
            let writes = matches!(policy["operation"].as_str(), Some("all" | "insert" | "update"));
            policy["object"] == object && writes && policy["check"].is_null()
        })
    }

    pub(crate) fn sql_name<'n>(&self, object: &'n str) -> &'n str {
        object.strip_prefix("rnd_").unwrap_or(object)
    }

    /// Why the vendor's hooks have done something else in a step, if they have.
    pub(crate) fn hooked(&self, step: &Value) -> Option<&'static str> {
        let is_refused = step["status"].as_i64().is_some_and(|status| status >= 400);
        let answer = step["body"].to_string();
        if answer.contains("After the fact") || is_refused && !step["delta"].is_null() {
            return Some("an error after a change, which undoes it here");
        }
        if step["delta"].as_object().into_iter().flat_map(|delta| delta.values()).any(is_logged_twice) {
            return Some("a roll-up that the vendor makes field by field, each time with its hooks");
        }
        None
    }

    /// Whether an object that a step names or changes has a hook that asks for other records, or changes them.
    pub(crate) fn asks(&self, step: &Value) -> bool {
        self.concerns(step, &asks)
    }

    /// Whether an object that a step names or changes has a hook.
    pub(crate) fn has_hooks(&self, step: &Value) -> bool {
        self.concerns(step, &|_| true)
    }

    fn concerns(&self, step: &Value, is_one: &dyn Fn(&Value) -> bool) -> bool {
        let operations = step["request"]["body"]["operations"].as_array().into_iter().flatten();
        let named = operations.chain([step]).filter_map(|part| part["object"].as_str());
        let changed = step["delta"].as_object().into_iter().flat_map(|delta| delta.keys().map(String::as_str));
        let objects: Vec<&str> = named.chain(changed).collect();
        let mut hooks = self.data["stack"]["hooks"].as_array().unwrap().iter().filter(|hook| is_one(hook));
        hooks.any(|hook| objects.iter().any(|object| hook["object"] == *object))
    }

    /// The store that a step left.
    pub(crate) fn after(&self, step: &Value) -> Store {
        let mut store = self.store.clone();
        let number = step["n"].as_i64().unwrap();
        for (object, rows) in step["delta"].as_object().into_iter().flatten().filter(|(name, _)| *name != "$shares") {
            let table = store.entry(object.clone()).or_default();
            for (id, change) in rows.as_object().unwrap() {
                match resolved(change, number) {
                    Value::Object(fields) => table.entry(id.clone()).or_default().extend(fields),
                    _ => drop(table.remove(id)),
                }
            }
        }
        store
    }

    fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.store.keys().filter_map(|name| self.snapshot.objects.get(name))
    }

    /// Makes the database with the first rows.
    pub(crate) fn make(&self, file: &Path) {
        let mut sql = String::new();
        for object in self.objects() {
            let columns: Vec<String> = columns(object).map(|(name, kind)| format!("\"{name}\" {kind}")).collect();
            sql.push_str(&format!("CREATE TABLE \"{}\" ({});", object.name, columns.join(", ")));
        }
        execute(file, &format!("PRAGMA synchronous = OFF; BEGIN; {sql}{} COMMIT;", self.rows()));
    }

    /// Brings the database to the recorded rows, where it may have others.
    pub(crate) fn restore(&self, shop: &Shop) {
        let old: Vec<String> = self.objects().map(|object| format!("DELETE FROM \"{}\";", object.name)).collect();
        // As one commit, and without waiting for the disk.
        shop.execute(&format!("PRAGMA synchronous = OFF; BEGIN IMMEDIATE; {}{} COMMIT;", old.join(""), self.rows()));
    }

    /// Statements that store all rows.
    fn rows(&self) -> String {
        let mut sql = String::new();
        for object in self.objects() {
            for row in self.store.get(&object.name).into_iter().flat_map(BTreeMap::values) {
                let cell = |name: &str| {
                    let value = row.get(name).unwrap_or(&Value::Null);
                    if fits(object, name, value) { literal(value) } else { "NULL".to_owned() }
                };
                let cells: Vec<String> = columns(object).map(|(name, _)| cell(name)).collect();
                sql.push_str(&format!("INSERT INTO \"{}\" VALUES ({});", object.name, cells.join(", ")));
            }
        }
        sql
    }

    /// What the database holds, by object, id and column, as SQLite writes literals.
    pub(crate) fn stored(&self, shop: &Shop) -> BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>> {
        let mut all: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
        let mut cells = Vec::new();
        for object in self.objects() {
            all.entry(object.name.clone()).or_default();
            for (name, _) in columns(object) {
                cells.push(format!(
                    "SELECT concat_ws(char(1), '{0}', id, '{name}', quote(\"{name}\")) FROM \"{0}\"",
                    object.name
                ));
            }
        }
        for cell in shop.stored(&cells.join(" UNION ALL ")) {
            let parts: Vec<&str> = cell.splitn(4, '\u{1}').collect();
            let [object, id, name, value] = parts[..] else { panic!("{cell}") };
            let rows = all.entry(object.to_owned()).or_default();
            rows.entry(id.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        }
        all
    }
}

/// Whether a hook noted the same update of the same record more than once.
fn is_logged_twice(rows: &Value) -> bool {
    let notes = |row: &Value| [row["name"].clone(), row["ref"].clone(), row["note"].clone()];
    let updates =
        rows.as_object().into_iter().flat_map(|rows| rows.values()).filter(|row| row["name"] == "afterUpdate");
    let all: Vec<[Value; 3]> = updates.map(notes).collect();
    all.iter().enumerate().any(|(at, note)| all[..at].contains(note))
}

/// Whether a hook asks for other records, or changes them.
fn asks(hook: &Value) -> bool {
    hook["body"]["capabilities"].as_array().unwrap().iter().any(|name| name.as_str().unwrap().starts_with("api."))
}

/// Whether a column of its type holds a value as the vendor stored it: texts of any form stand in its columns of all types.
pub(crate) fn fits(object: &Object, name: &str, value: &Value) -> bool {
    let Some(field) = object.field(name) else { return true };
    if let (Declared::TextList, Value::Array(items)) = (field.value_type(), value) {
        return items.iter().all(Value::is_string);
    }
    let Some(text) = value.as_str() else { return true };
    let digits =
        |from: usize, to: usize| text.get(from..to).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()));
    match field.value_type() {
        Declared::Text | Declared::Uuid => true,
        Declared::Json => !text.is_empty(),
        Declared::Date => {
            let is_dashed = [4, 7].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
            text.len() == 10 && is_dashed && digits(0, 4) && digits(5, 7) && digits(8, 10)
        }
        Declared::TimestampMillisUtc => text.ends_with('Z') && digits(0, 4),
        Declared::Time => digits(0, 2) && digits(3, 5),
        _ => false,
    }
}

/// The columns of an object's table, with the types that the vendor's have.
fn columns(object: &Object) -> impl Iterator<Item = (&str, &'static str)> {
    object.fields.values().filter(|field| field.stored()).map(|field| {
        let kind = match field.value_type() {
            _ if field.name == "id" => "TEXT PRIMARY KEY NOT NULL",
            Declared::Boolean => "BOOLEAN",
            Declared::Float64 | Declared::Decimal { .. } => "REAL",
            Declared::Int32 => "INTEGER",
            Declared::Date => "DATE",
            Declared::TimestampMillisUtc => "DATETIME",
            Declared::Time => "TIME",
            _ => "TEXT",
        };
        (field.name.as_str(), kind)
    })
}

fn literal(value: &Value) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => i32::from(*flag).to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Object(_) => quoted(&value.to_string()),
    }
}

type Cells = BTreeMap<String, String>;

/// The first difference between what was recorded and what is stored. An id that was made by the vendor is the gate's own; so is that of a
/// record that a hook made, which is found by what it holds.
pub(crate) fn differs(
    recording: &Recording,
    before: &Store,
    expected: &Store,
    found: &BTreeMap<String, BTreeMap<String, Cells>>,
) -> Option<String> {
    for (object, rows) in expected {
        let there = found.get(object)?;
        let own = |id: &str| before.get(object).is_some_and(|rows| rows.contains_key(id));
        let mut made: Vec<&Cells> =
            there.iter().filter(|(id, _)| !rows.contains_key(*id)).map(|(_, cells)| cells).collect();
        for (id, row) in rows {
            match there.get(id) {
                Some(cells) => {
                    if let Some(text) = differs_in(recording, object, !own(id), row, cells) {
                        return Some(format!("{object} {id} {text}"));
                    }
                }
                None => {
                    let is_it = |cells: &&Cells| {
                        let cells: Cells = cells.iter().filter(|(name, _)| *name != "id").map(owned).collect();
                        !own(id) && differs_in(recording, object, true, row, &cells).is_none()
                    };
                    let Some(place) = made.iter().position(is_it) else {
                        return Some(format!("{object} {id} is not there"));
                    };
                    made.remove(place);
                }
            }
        }
        if let Some(extra) = made.first() {
            return Some(format!("{object} {:?} should not be there", extra.get("id")));
        }
    }
    None
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn differs_in(recording: &Recording, object: &str, is_new: bool, row: &Row, cells: &Cells) -> Option<String> {
    let declared = recording.object(object);
    let is_text = |(name, value): (&String, &Value)| {
        declared.field(name).is_some_and(|field| field.field_type == FieldType::Summary) && !fits(declared, name, value)
    };
    let counts_texts = row.iter().any(is_text);
    for (name, value) in row {
        let field = recording.object(object).field(name);
        // The recorded day and clock are others, and the vendor does not give back what a refused record had drawn. Secrets were
        // recorded as they are shown. Texts that the vendor stores as numbers are part of its roll-ups.
        let is_other = field.is_some_and(|field| match field.field_type {
            FieldType::Summary => counts_texts,
            FieldType::Autonumber => is_new,
            FieldType::Password | FieldType::Secret => true,
            // No request has written a date of that day: it is the vendor's clock.
            _ => {
                is_new
                    && (matches!(field.default, Some(DefaultValue::Now))
                        || value.as_str().is_some_and(|text| text.starts_with("2026-03-15")))
            }
        });
        let fits = fits(recording.object(object), name, value);
        let value = if fits { value } else { &Value::Null };
        let Some(cell) = cells.get(name).filter(|_| !STAMPS.contains(&name.as_str())) else { continue };
        // An empty text that the vendor stores in any column is one of JSON, too.
        let is_empty_json = !fits && cell == "'\"\"'";
        if !is_other && !is_empty_json && !same(value, cell) {
            return Some(format!("{name}: {cell} instead of {value}"));
        }
    }
    None
}

fn same(value: &Value, cell: &str) -> bool {
    let text = cell.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).map(|text| text.replace("''", "'"));
    let plain = text.as_deref().unwrap_or(cell);
    match value {
        Value::Null => cell == "NULL",
        Value::Bool(flag) => plain == if *flag { "1" } else { "0" },
        Value::Number(number) => plain.parse::<f64>().ok() == number.as_f64(),
        Value::String(recorded) => plain == recorded || (recorded.len() == 10 && plain.starts_with(recorded.as_str())),
        Value::Array(_) | Value::Object(_) => serde_json::from_str::<Value>(plain).ok().as_ref() == Some(value),
    }
}

/// A recorded value with the clock's placeholders filled in.
pub(crate) fn resolved(value: &Value, step: i64) -> Value {
    match value {
        Value::String(text) => Value::String(moment(text, step).unwrap_or_else(|| text.clone())),
        Value::Array(items) => items.iter().map(|item| resolved(item, step)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), resolved(value, step))).collect(),
        other => other.clone(),
    }
}

/// A step takes a minute, from 2026-03-15T10:00:00Z on.
fn moment(text: &str, step: i64) -> Option<String> {
    let at = |step: i64| {
        let minutes = step + 600;
        format!("{:02}:{:02}:00", minutes / 60, minutes % 60)
    };
    if text == "$today" {
        return Some("2026-03-15".to_owned());
    }
    if text == "$now" {
        return Some(format!("2026-03-15T{}.000Z", at(step)));
    }
    if let Some(rest) = text.strip_prefix("$time") {
        return Some(at(if rest.is_empty() { step } else { rest.parse().ok()? }));
    }
    Some(format!("2026-03-15T{}.000Z", at(text.strip_prefix("$t")?.parse().ok()?)))
}
