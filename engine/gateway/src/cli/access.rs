//! `querygate access`: what a user may do with an object, and which layer decided. Reads no source: records come from
//! the metadata's seed data, from the rows beside it, or from a file. Rights are those that `serve` gives.

mod describe;
mod known;
mod rows;
mod verdicts;

use super::args::AccessArgs;
use super::sql::unknown_user;
use super::{Ended, load, written};
use crate::config::diagnostic::nearest;
use crate::governance::{Governance, configured_members, configured_users};
use crate::metadata;
use crate::naming::sql_names;
use crate::output::{Output, Stream};
use crate::shell::columns;
use querygate_metadata::load::LoadError;
use querygate_metadata::model::Snapshot;
use querygate_policy::{Evaluator, resolve_principal};
use querygate_types::{Error, ErrorCode, Result};
use rows::Rows;
use std::collections::BTreeMap;
use verdicts::{AccessVerdicts, Record, Verdict, Write};

pub(super) fn run(args: &AccessArgs, output: &mut Output) -> Result<Ended> {
    let config = load(&args.config.file(), output)?;
    let user = config.user(&args.user).ok_or_else(|| unknown_user(&config, &args.user))?;
    let record = args.record.as_deref().map(record).transpose()?;
    let given = args.rows.as_deref().map(Rows::read).transpose()?;
    let loaded = metadata::load_configured(&config);
    let governance = match loaded.and_then(|loaded| Governance::of(loaded, 1, &config.extensions)) {
        Ok(governance) => governance,
        Err(errors) => return refused(&errors, output),
    };
    let object = find_object(&governance.snapshot, &args.object)?.to_owned();
    let mut rows = Rows::of_metadata(&governance)?;
    let mut governance = match &given {
        None => governance,
        Some(given) => {
            rows.replace(given.clone());
            let Governance { snapshot, row_files, .. } = governance;
            match Governance::with_rows(snapshot, row_files, rows.system(), &config.extensions) {
                Ok(governance) => governance,
                Err(errors) => return refused(&errors, output),
            }
        }
    };
    governance.facts.configured_members = configured_members(&config.users);
    governance.facts.configured_users = configured_users(&config);
    known::sets_of(user, &governance)?;
    given.as_ref().map_or(Ok(()), |given| known::names_of(given, &governance))?;
    let now_ms = chrono::Utc::now().timestamp_millis();
    let principal = resolve_principal((*user.principal).clone(), &governance.policies, &governance.facts, now_ms);
    let evaluator = Evaluator { policy: &governance.policies, principal: &principal, facts: &governance.facts, now_ms };
    let judged = AccessVerdicts::of(&evaluator, &object, &rows, record);
    if args.json {
        output.line(&judged.to_json(&governance.snapshot).to_string()).map_err(written)?;
    } else {
        report(&judged, &governance.snapshot, output).map_err(written)?;
    }
    Ok(Ended::Well)
}

fn refused(errors: &LoadError, output: &mut Output) -> Result<Ended> {
    metadata::render_errors(errors, Stream::Err, output).map_err(written)?;
    Ok(Ended::WithFindings)
}

/// The record of `--record`.
fn record(text: &str) -> Result<rows::Row> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorCode::InvalidTextRepresentation, "--record is not a JSON object")
            .with_detail(error.to_string())
            .with_hint("As in --record '{\"name\": \"Ada\"}'.")
    })
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
        None => error.with_hint(listed(names.values().copied())),
    })
}

/// Names that are listed, of more the first.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMES_LISTED);
    names.truncate(NAMES_LISTED);
    match (names.is_empty(), more) {
        (true, _) => "The metadata has no object.".to_owned(),
        (false, 0) => format!("There are: {}.", names.join(", ")),
        (false, _) => format!("There are: {} and {more} more; \\dt in `querygate sql` lists them.", names.join(", ")),
    }
}

/// The name of an object's table.
fn table_name<'a>(snapshot: &'a Snapshot, object: &'a str) -> &'a str {
    sql_names(snapshot).get(object).copied().unwrap_or(object)
}

fn report(judged: &AccessVerdicts<'_>, snapshot: &Snapshot, output: &mut Output) -> std::io::Result<()> {
    let (principal, object, decision) = (judged.principal, judged.object, &judged.read);
    let table = table_name(snapshot, object);
    output.line(&output.bold(&format!("{} ({}) on {object}, table {table}", principal.login, principal.user_id)))?;
    let list = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    output.line(&format!("  positions        {}", list(&principal.positions)))?;
    output.line(&format!("  permission sets  {}", list(&principal.permission_sets)))?;
    output.line(&match decision.unusable_rule() {
        Some(rule) => format!("\nread    denied   rule '{rule}' cannot be applied: `querygate check` says why"),
        None => format!("\nread    {}", if decision.is_allowed() { "allowed" } else { "denied" }),
    })?;
    if decision.is_allowed() {
        output.line(&format!("  rows    {}", describe::filter(decision.row_filter())))?;
        let hidden: Vec<&str> = decision.hidden_fields().iter().map(String::as_str).collect();
        if !hidden.is_empty() {
            output.line(&format!("  hidden  {}", hidden.join(", ")))?;
        }
        for (field, mask) in decision.masks() {
            output.line(&format!("  masked  {field} ({})", describe::mask(mask)))?;
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
    writes(judged, output)
}

/// Create; then edit and delete, per record where there are records, else on a record of the user's own.
fn writes(judged: &AccessVerdicts<'_>, output: &mut Output) -> std::io::Result<()> {
    let say = |write: &Write| match write {
        Ok(()) => "allowed".to_owned(),
        Err(refusal) => format!("denied   {}: {}", refusal.code.name(), refusal.message),
    };
    output.line(&format!("\ncreate  {}", say(&judged.create)))?;
    reach(&judged.creates, output)?;
    if !judged.is_given {
        output.line("  (create of an empty record; give one with --record)")?;
    }
    match judged.records.as_slice() {
        [own] if own.is_made_up => {
            output.line(&format!("edit    {}", say(&own.edit)))?;
            reach(&judged.edits, output)?;
            output.line(&format!("delete  {}", say(&own.delete)))?;
            reach(&judged.deletes, output)?;
            output.line("  (edit and delete of a record of one's own; give records with --rows)")?;
        }
        records => {
            let outcome = |write: &Write| match write {
                Ok(()) => "allowed".to_owned(),
                Err(refusal) => format!("denied ({})", refusal.code.name()),
            };
            let read = |record: &Record| if record.is_visible { "shows".to_owned() } else { "hides".to_owned() };
            per_record("read", records, output, read)?;
            match judged.edits.refusal() {
                Some(refusal) => output.line(&format!("edit    {}", say(&Err(refusal))))?,
                None => per_record("edit", records, output, |record| outcome(&record.edit))?,
            }
            reach(&judged.edits, output)?;
            match judged.deletes.refusal() {
                Some(refusal) => output.line(&format!("delete  {}", say(&Err(refusal))))?,
                None => per_record("delete", records, output, |record| outcome(&record.delete))?,
            }
            reach(&judged.deletes, output)?;
        }
    }
    if !judged.locked.is_empty() {
        let locked: Vec<&str> = judged.locked.iter().map(String::as_str).collect();
        output.line(&format!("  not editable  {}", locked.join(", ")))?;
    }
    Ok(())
}

/// Which stored records an allowed write reaches, and what it may store.
fn reach(verdict: &Verdict, output: &mut Output) -> std::io::Result<()> {
    let Some(decision) = verdict.allowed() else { return Ok(()) };
    if !decision.target().is_all() {
        output.line(&format!("  rows    {}", describe::filter(decision.target())))?;
    }
    if !decision.check().is_all() {
        output.line(&format!("  stores  {}", describe::filter(decision.check())))?;
    }
    Ok(())
}

/// Objects that are listed before "and n more".
const NAMES_LISTED: usize = 20;
/// Ids that are listed before "and n more".
const IDS_LISTED: usize = 20;

fn per_record(
    operation: &str,
    records: &[Record],
    output: &mut Output,
    outcome: impl Fn(&Record) -> String,
) -> std::io::Result<()> {
    let mut outcomes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for record in records {
        outcomes.entry(outcome(record)).or_default().push(&record.id);
    }
    for (outcome, ids) in outcomes {
        let more = ids.len().saturating_sub(IDS_LISTED);
        let mut listed = ids.iter().take(IDS_LISTED).copied().collect::<Vec<_>>().join(", ");
        if more > 0 {
            listed.push_str(&format!(" and {more} more, which --json lists"));
        }
        let verb = if operation == "read" { "" } else { " on" };
        output.line(&format!("{operation:<7} {outcome}{verb} {} of {} records: {listed}", ids.len(), records.len()))?;
    }
    Ok(())
}
