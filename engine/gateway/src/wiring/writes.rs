//! What stands between the configuration and a change that it and the metadata allow: rules that are not run, tables without a key,
//! rights that a writing login lacks. Asks the sources; changes nothing.

use super::changes::{columns, find, wanted};
use super::sources::Sources;
use crate::config::Config;
use crate::governance::Governance;
use querygate_catalog::remote::DriverTable;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::remote::{RemoteTable, TableKind};
use querygate_driver_api::write::Writer;
use querygate_metadata::model::{FieldType, Object};
use querygate_policy::write::{WriteObstacle, WriteOperation};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Findings for operators, one line each.
///
/// # Errors
/// A configuration of which no driver can be made.
pub(crate) async fn write_findings(config: &Config, governance: &Governance) -> Result<Vec<String>> {
    if !config.writes {
        return Ok(Vec::new());
    }
    let sources = Sources::open(config)?;
    let mut findings = closed_by_metadata(config, governance);
    let mut away = BTreeSet::new();
    let mut closed: BTreeMap<&str, usize> = BTreeMap::new();
    for object in
        governance.snapshot.objects.values().filter(|object| governance.snapshot.write_barrier(object).is_none())
    {
        let Some(source) = config.sources.iter().find(|source| source.name == object.datasource) else { continue };
        if !source.takes_changes() {
            *closed.entry(&source.name).or_default() += usize::from(object.external.is_some());
            continue;
        }
        let appends = sources.appends(object).await;
        let own = rules(object, governance, appends.is_some());
        let own = own.into_iter().chain(secrets(object));
        findings.extend(own.map(|reason| format!("`{}`: {reason}", object.name)));
        if let Some(table) = appends {
            findings.extend(files(table).await.into_iter().map(|reason| format!("`{}`: {reason}", object.name)));
            continue;
        }
        let Some(driver) = sources.driver(&object.datasource) else { continue };
        if away.contains(object.datasource.as_str()) {
            continue;
        }
        match table(&sources, driver.as_ref(), object).await {
            Ok(found) => findings.extend(found.into_iter().map(|reason| format!("`{}`: {reason}", object.name))),
            Err(error) => {
                if error.code() == ErrorCode::UndefinedTable {
                    findings.push(format!("`{}`: source `{}` has no such table", object.name, object.datasource));
                    continue;
                }
                away.insert(object.datasource.as_str());
                findings.push(format!("source `{}` was not asked what its tables lack: {}", source.name, told(&error)));
            }
        }
    }
    findings.extend(distributed(config, &sources, &away).await);
    findings.extend(super::transactions::findings(config, &sources));
    for (source, objects) in closed.into_iter().filter(|(_, objects)| *objects > 0) {
        let objects = if objects == 1 { "an object".to_owned() } else { format!("{objects} objects") };
        findings.push(format!("{objects} of `{source}` may be written, and the source has no `writes = true`"));
    }
    Ok(findings)
}

/// Sources that take changes, while the metadata lets none of their objects be changed: nothing else would say so.
fn closed_by_metadata(config: &Config, governance: &Governance) -> Vec<String> {
    let snapshot = &governance.snapshot;
    let mut findings = Vec::new();
    for source in config.sources.iter().filter(|source| source.takes_changes()) {
        let own = || snapshot.objects.values().filter(|object| object.datasource == source.name);
        let external: Vec<_> = own().filter(|object| object.external.is_some()).collect();
        if external.is_empty() || own().any(|object| snapshot.write_barrier(object).is_none()) {
            continue;
        }
        let mut reasons = Vec::new();
        if !snapshot.datasources.get(&source.name).is_some_and(|datasource| datasource.allow_writes) {
            reasons.push("its datasource does not say external.allowWrites");
        }
        if !external.iter().any(|object| object.external.as_ref().is_some_and(|external| external.writable)) {
            reasons.push("none of its objects says external.writable");
        }
        findings.push(format!("nothing of `{}` is changed: {}", source.name, reasons.join(", and ")));
    }
    findings
}

/// What stands against transactions that change several sources. Of a source that answered nothing before, this is not asked.
async fn distributed(config: &Config, sources: &Sources, away: &BTreeSet<&str>) -> Vec<String> {
    let mut findings = Vec::new();
    for source in config.sources.iter().filter(|source| source.takes_changes() && !away.contains(source.name.as_str()))
    {
        let Some(driver) = sources.driver(&source.name) else { continue };
        let Some(writer) = driver.writer() else { continue };
        let name = &source.name;
        match writer.distributed_obstacles().await {
            Ok(found) => findings.extend(
                found
                    .into_iter()
                    .map(|reason| format!("source `{name}` is not changed together with others: {reason}")),
            ),
            Err(error) => findings.push(format!("source `{name}` was not asked for `distributed`: {}", told(&error))),
        }
    }
    findings
}

/// Reasons of the metadata. Rules that cannot be evaluated are reported with their places elsewhere.
/// `only_inserts`: no row is found there, and so by no key.
fn rules(object: &Object, governance: &Governance, only_inserts: bool) -> Vec<String> {
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let operations =
        [(WriteOperation::Insert, "INSERT"), (WriteOperation::Update, "UPDATE"), (WriteOperation::Delete, "DELETE")];
    let operations = operations.iter().take(if only_inserts { 1 } else { operations.len() }).copied();
    for (operation, verb) in operations {
        for obstacle in governance.policies.change_obstacles(&object.name, operation, only_inserts, |_| true) {
            let is_told = match obstacle {
                WriteObstacle::Rule { .. } => false,
                WriteObstacle::NoKey
                | WriteObstacle::KeylessDependent(_)
                | WriteObstacle::NoReference
                | WriteObstacle::Barrier(_)
                | WriteObstacle::NotServed
                | WriteObstacle::Method(_)
                | WriteObstacle::Managed
                | WriteObstacle::Hook { .. }
                | WriteObstacle::StoredExpression(_)
                | WriteObstacle::Check { .. } => true,
            };
            if is_told {
                reasons.entry(obstacle.reason()).or_default().push(verb);
            }
        }
    }
    reasons.into_iter().map(|(reason, verbs)| format!("no {}: {reason}", verbs.join(", "))).collect()
}

/// Fields of secrets, whose values are refused.
fn secrets(object: &Object) -> Option<String> {
    let secrets = object.fields.values().filter(|field| field.field_type == FieldType::Secret && field.stored());
    let (names, needed): (Vec<&str>, Vec<bool>) =
        secrets.map(|field| (field.name.as_str(), (field.required || field.not_null) && !field.readonly)).unzip();
    if names.is_empty() {
        return None;
    }
    let rows = if needed.contains(&true) { ", and so no record is made" } else { "" };
    Some(format!("no values are stored in {}: the gate has no store of secrets{rows}", names.join(", ")))
}

/// What stands against new rows in files.
async fn files(table: Result<DriverTable>) -> Option<String> {
    let described = match table {
        Ok(table) => table.driver().describe(table.table()).await.map(drop),
        Err(error) => Err(error),
    };
    described.err().map(|error| error.detail().map_or_else(|| told(&error), |detail| format!("no INSERT. {detail}")))
}

async fn table(sources: &Sources, driver: &dyn Driver, object: &Object) -> Result<Vec<String>> {
    let Some(writer) = driver.writer() else { return Ok(Vec::new()) };
    let described = driver.describe(&sources.reference(object)?).await?;
    match described.kind {
        TableKind::Table | TableKind::ForeignTable => {}
        TableKind::View | TableKind::MaterializedView => {
            return Ok(vec!["it is a view of its source, and is not changed".to_owned()]);
        }
    }
    let mut reasons = Vec::new();
    if described.primary_key.is_empty() && !object.key().is_empty() {
        reasons.push("its table has no primary key, and is not changed".to_owned());
    }
    reasons.extend(loose_key(&described));
    reasons.extend(if driver.samples() { None } else { other_order(object, &described) });
    reasons.extend(writer.obstacles(&described).await?);
    let unstored = unstored(driver, writer, object, &described);
    if !unstored.is_empty() {
        reasons.push(format!("no values are stored in {}", unstored.join(", ")));
    }
    Ok(reasons)
}

/// A key that may be NULL tells no rows apart: SQLite has such, where its columns are not declared NOT NULL.
fn loose_key(described: &RemoteTable) -> Option<String> {
    let key = described.columns.iter().filter(|column| described.primary_key.contains(&column.name));
    let loose: Vec<&str> = key.filter(|column| column.nullable).map(|column| column.name.as_str()).collect();
    let of_key = || format!("{} of its primary key may be NULL in the source", loose.join(", "));
    (!loose.is_empty()).then(|| format!("it is not changed, nor are rows deleted that its rows refer to: {}", of_key()))
}

/// A statement without a list of columns takes its values in the metadata's order.
fn other_order(object: &Object, described: &RemoteTable) -> Option<String> {
    let served = columns(object).filter(|(name, _)| find(&described.columns, name).is_some()).map(|(name, _)| name);
    let served: Vec<&str> = served.collect();
    let own = described.columns.iter().map(|column| column.name.as_str()).filter(|name| served.contains(name));
    let (here, there) = served.iter().zip(own).find(|(here, there)| **here != *there)?;
    Some(format!(
        "its columns stand in another order than in the source ({here} before {there}): INSERT and COPY without a list of columns take \
         values in the order of its fields"
    ))
}

/// Fields whose columns do not keep each of their values.
fn unstored(driver: &dyn Driver, writer: &dyn Writer, object: &Object, described: &RemoteTable) -> Vec<String> {
    let field = |(name, field): (&str, &querygate_metadata::model::Field)| {
        let column = find(&described.columns, name)?;
        let wanted = wanted(field);
        let reading = driver.read_as(column, wanted).ok()?;
        let keeps = writer.writable_as(column, wanted).is_ok_and(|storing| storing == reading);
        (!keeps).then(|| format!("{} ({})", field.name, column.native_type))
    };
    columns(object).filter_map(field).collect()
}

fn told(error: &Error) -> String {
    match error.cause() {
        Some(cause) => format!("{} ({cause})", error.message()),
        None => error.message().to_owned(),
    }
}
