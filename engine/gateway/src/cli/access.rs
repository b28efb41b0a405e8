//! `querygate access`: what a user may do with an object, and which layer decided. Reads no source: records come from
//! the metadata's seed data or from a file.

mod describe;

use super::args::AccessArgs;
use super::sql::unknown_user;
use super::{Ended, file_error, load, written};
use crate::config::diagnostic::nearest;
use crate::metadata;
use crate::naming::sql_names;
use crate::output::{Output, Stream};
use crate::shell::columns;
use querygate_metadata::{Facts, Snapshot};
use querygate_policy::filter::RowLookup;
use querygate_policy::{Change, CompiledPolicy, Evaluator, Refusal, Verdict, resolve_principal};
use querygate_types::{Error, ErrorCode, Principal, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Row = Map<String, Value>;

pub(super) fn run(args: &AccessArgs, output: &mut Output) -> Result<Ended> {
    let config = load(&args.config.file(), output)?;
    let user = config.user(&args.user).ok_or_else(|| unknown_user(&config, &args.user))?;
    let snapshot = match metadata::load_configured(&config.metadata) {
        Ok(loaded) => Arc::new(loaded.snapshot),
        Err(error) => {
            metadata::render_errors(&error, Stream::Err, output).map_err(written)?;
            return Ok(Ended::WithFindings);
        }
    };
    let object = find_object(&snapshot, &args.object)?.to_owned();
    let rows = match &args.rows {
        Some(file) => Rows::read(file)?,
        None => Rows::of_seed(&snapshot),
    };
    let facts = Facts::from_rows(rows.all()).map_err(|e| Error::new(ErrorCode::MetadataInvalid, e.to_string()))?;
    let policy = CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new());
    let now_ms = chrono::Utc::now().timestamp_millis();
    let principal = resolve_principal((*user.principal).clone(), &policy, &facts, now_ms);
    let evaluator = Evaluator { policy: &policy, principal: &principal, facts: &facts, now_ms };
    report(&evaluator, &snapshot, &object, &rows, output).map_err(written)?;
    Ok(Ended::Well)
}

fn find_object<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a str> {
    if let Some(object) = snapshot.object(name) {
        return Ok(&object.name);
    }
    let names = sql_names(snapshot);
    if let Some((object, _)) = names.iter().find(|(_, sql)| **sql == name) {
        return Ok(object);
    }
    let error = Error::new(ErrorCode::UndefinedTable, format!("no object `{name}`"));
    Err(match nearest(name, names.iter().flat_map(|(object, sql)| [*object, *sql])) {
        Some(near) => error.with_hint(format!("Did you mean {near}?")),
        None => error.with_hint("`querygate check` counts the objects; \\dt in `querygate sql` lists them.".to_owned()),
    })
}

/// Records by object.
struct Rows {
    by_object: BTreeMap<String, Vec<Row>>,
}

impl Rows {
    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| file_error("read", file, &e))?;
        let by_object = serde_json::from_str(&text).map_err(|e| {
            Error::new(
                ErrorCode::InvalidTextRepresentation,
                format!("{} is not an object of lists of records", file.display()),
            )
            .with_detail(e.to_string())
        })?;
        Ok(Self { by_object })
    }

    fn of_seed(snapshot: &Snapshot) -> Self {
        let mut by_object: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for seed in &snapshot.seed {
            by_object.entry(seed.object.clone()).or_default().extend(seed.records.iter().cloned());
        }
        Self { by_object }
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.by_object.iter().flat_map(|(object, rows)| rows.iter().map(move |row| (object.as_str(), row)))
    }

    fn of(&self, object: &str) -> &[Row] {
        self.by_object.get(object).map_or(&[], Vec::as_slice)
    }
}

impl RowLookup for Rows {
    fn rows_where(&self, object: &str, column: &str, value: &str) -> Result<Vec<Row>> {
        let holds = |row: &&Row| match row.get(column) {
            Some(Value::String(text)) => text == value,
            Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(value)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
        };
        Ok(self.of(object).iter().filter(holds).cloned().collect())
    }
}

fn report(
    evaluator: &Evaluator<'_>,
    snapshot: &Snapshot,
    object: &str,
    rows: &Rows,
    output: &mut Output,
) -> std::io::Result<()> {
    let principal = evaluator.principal;
    let sql_name = sql_names(snapshot).get(object).copied().unwrap_or(object).to_owned();
    output.line(&output.bold(&format!("{} ({}) on {object}, table {sql_name}", principal.login, principal.user_id)))?;
    held(principal, output)?;
    let decision = evaluator.decide_read(object);
    let verdict = match decision.verdict() {
        Verdict::Allow => "allowed",
        Verdict::Deny(_) => "denied",
    };
    output.line(&format!("\nread    {verdict}"))?;
    if decision.is_allowed() {
        output.line(&format!("  rows    {}", describe::filter(decision.row_filter())))?;
        let hidden: Vec<&str> = decision.hidden_fields().iter().map(String::as_str).collect();
        if !hidden.is_empty() {
            output.line(&format!("  hidden  {}", hidden.join(", ")))?;
        }
        for (field, mask) in decision.masks() {
            output.line(&format!("  masked  {field} ({})", describe::mask(*mask)))?;
        }
    }
    let layers: Vec<[String; 3]> = decision
        .layers()
        .iter()
        .map(|layer| {
            let by = if layer.contributors.is_empty() {
                String::new()
            } else {
                format!(" [{}]", layer.contributors.join(", "))
            };
            [format!("  {}", layer.layer.name()), layer.effect.name().to_owned(), format!("{}{by}", layer.detail)]
        })
        .collect();
    for line in columns(&layers) {
        output.line(&output.dim(&line))?;
    }
    writes(evaluator, object, rows, output)
}

fn held(principal: &Principal, output: &mut Output) -> std::io::Result<()> {
    let list = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    output.line(&format!("  positions        {}", list(&principal.positions)))?;
    output.line(&format!("  permission sets  {}", list(&principal.permission_sets)))
}

/// Create; then edit and delete, per record where there are records, else on a record of the user's own.
fn writes(evaluator: &Evaluator<'_>, object: &str, rows: &Rows, output: &mut Output) -> std::io::Result<()> {
    let say = |verdict: std::result::Result<(), Refusal>| match verdict {
        Ok(()) => "allowed".to_owned(),
        Err(refusal) => format!("denied   {}: {}", refusal.code.name(), refusal.message),
    };
    let payload = Row::new();
    output.line(&format!(
        "\ncreate  {}",
        say(evaluator.decide_write(object, &Change::Insert { payload: &payload }, rows))
    ))?;
    let records = rows.of(object);
    if records.is_empty() {
        let before = own_record(evaluator.principal);
        let edit = evaluator.decide_write(object, &Change::Update { before: &before, patch: &payload }, rows);
        let delete = evaluator.decide_write(object, &Change::Delete { before: &before }, rows);
        output.line(&format!("edit    {}", say(edit)))?;
        output.line(&format!("delete  {}", say(delete)))?;
        output.line("  (edit and delete of a record of one's own; give records with --rows)")?;
    } else {
        let edits: Vec<Row> = records.to_vec();
        per_record("edit", &edits, output, |before| {
            evaluator.decide_write(object, &Change::Update { before, patch: &payload }, rows)
        })?;
        per_record("delete", &edits, output, |before| {
            evaluator.decide_write(object, &Change::Delete { before }, rows)
        })?;
    }
    let locked = evaluator.not_editable_fields(object);
    if !locked.is_empty() {
        output.line(&format!("  not editable  {}", locked.into_iter().collect::<Vec<_>>().join(", ")))?;
    }
    Ok(())
}

fn own_record(principal: &Principal) -> Row {
    let me = Value::String(principal.user_id.clone());
    let organization = principal.organization_id.clone().map_or(Value::Null, Value::String);
    [
        ("id", Value::String("(own record)".to_owned())),
        ("owner_id", me.clone()),
        ("created_by", me),
        ("organization_id", organization),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Ids that are listed before "and n more".
const IDS_LISTED: usize = 20;

fn per_record(
    operation: &str,
    records: &[Row],
    output: &mut Output,
    decide: impl Fn(&Row) -> std::result::Result<(), Refusal>,
) -> std::io::Result<()> {
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        let id = record.get("id").and_then(Value::as_str).unwrap_or("(no id)").to_owned();
        let outcome = match decide(record) {
            Ok(()) => "allowed".to_owned(),
            Err(refusal) => format!("denied ({})", refusal.code.name()),
        };
        outcomes.entry(outcome).or_default().push(id);
    }
    for (outcome, ids) in outcomes {
        let more = ids.len().saturating_sub(IDS_LISTED);
        let mut listed = ids.iter().take(IDS_LISTED).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            listed.push_str(&format!(" and {more} more"));
        }
        output.line(&format!("{operation:<7} {outcome} on {} of {} records: {listed}", ids.len(), records.len()))?;
    }
    Ok(())
}
