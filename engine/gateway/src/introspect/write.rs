//! Prints what was found as an ObjectStack stack. Opens nothing.

mod keys;
mod names;

use super::{Found, FoundColumn, FoundKey, FoundReference, Holds, Kind};
pub(crate) use names::{GivenNames, KnownNames};
use querygate_files::FileFormat;
use querygate_metadata::model::ValueType;
use querygate_types::{Error, ReferentialAction, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A name for any text: letters and digits of every script, lower case, and underscores.
pub(super) fn foreign_name(remote: &str) -> String {
    let mut name = String::with_capacity(remote.len());
    for c in remote.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    let name = name[..name.floor_char_boundary(NAME_BYTES_MAX)].trim_end_matches('_');
    match name.chars().next() {
        None => "unnamed".to_owned(),
        Some(c) if !c.is_alphabetic() => format!("n{name}"),
        Some(_) => name.to_owned(),
    }
}

/// An ObjectStack name for any text: lower case, digits, underscores.
pub(super) fn local_name(remote: &str) -> String {
    foreign_name(&remote.replace(|c: char| !c.is_ascii(), "_"))
}

/// PostgreSQL's names end at 63 bytes; a number may have to follow.
const NAME_BYTES_MAX: usize = 58;

/// A namespace for any text: ObjectStack's have 2 to 20 characters.
pub(super) fn namespace(name: &str) -> String {
    let local = local_name(name);
    let cut = local.get(..NAMESPACE_CHARS_MAX).unwrap_or(&local).trim_end_matches('_');
    if cut.len() < 2 { format!("{cut}_db") } else { cut.to_owned() }
}

const NAMESPACE_CHARS_MAX: usize = 20;

/// A file's name without its endings; that of a folder as it is.
fn stem(path: &str) -> &str {
    if FileFormat::promised(path).is_some() { FileFormat::stem(path) } else { path }
}

/// What the metadata calls a table and its columns.
struct Names {
    object: String,
    /// By the column's name in the source; columns that are left out have none.
    fields: BTreeMap<String, String>,
    /// The object without its namespace.
    short: String,
    /// What the source calls the table, without schema or endings.
    base: String,
}

type AllNames<'a> = BTreeMap<&'a str, (&'a Found, Names)>;

/// What is written for a source.
pub(super) struct Written {
    /// The stack, as ObjectStack has it.
    pub(super) stack: Value,
    /// `querygate.tables`: what ObjectStack has no words for.
    pub(super) tables: Value,
    /// Columns that were left out.
    pub(super) ignored: Vec<String>,
    /// Tables and columns that are served under names in which their own are not seen again.
    pub(super) renamed: Vec<String>,
    pub(super) names: Vec<TableNames>,
}

/// Names that another one had already.
fn renamed(table: &Found, own: &Names) -> Vec<String> {
    let whole = (own.short != foreign_name(&own.base)).then(|| format!("served as {}: {}", own.short, table.remote));
    let columns = own.fields.iter().filter(|(remote, served)| **served != foreign_name(remote));
    whole
        .into_iter()
        .chain(columns.map(|(remote, served)| format!("served as {served}: {}.{remote}", table.remote)))
        .collect()
}

/// What the metadata calls a table and its columns, and which objects its columns refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableNames {
    pub(crate) object: String,
    /// What the source calls it.
    pub(crate) remote: String,
    pub(crate) fields: Vec<String>,
    /// What the source calls them.
    pub(crate) columns: Vec<String>,
    /// Field and object.
    pub(crate) parents: Vec<(String, String)>,
}

/// The metadata of a source that ObjectStack reaches by `config`.
pub(super) fn metadata(
    namespace: &str,
    driver: &str,
    config: &Value,
    tables: &[Found],
    known: &KnownNames,
) -> Result<Written> {
    let base = |table: &'_ Found| if driver == "files" { stem(&table.remote).to_owned() } else { table.remote.clone() };
    let wanted = tables.iter().map(|table| {
        let base = base(table);
        let local = foreign_name(&base);
        let prefix =
            if known.others.contains(&local) { format!("{namespace}_{namespace}") } else { namespace.to_owned() };
        (table.remote.as_str(), format!("{prefix}_{local}"), local == base)
    });
    let mut objects = known.given.of_objects(&wanted.collect::<Vec<_>>());
    let named = |table| {
        let found: &Found = table;
        let object = objects.remove(found.remote.as_str())?;
        let base = base(found);
        let base = if driver == "files" { base } else { base.rsplit('.').next().unwrap_or(&base).to_owned() };
        let (short, fields) = (short(namespace, &object).to_owned(), known.given.of_fields(found));
        Some((found.remote.as_str(), (found, Names { object, short, fields, base })))
    };
    let names: AllNames<'_> = tables.iter().filter_map(named).collect();
    let renamed = names.values().flat_map(|(table, own)| renamed(table, own)).collect();
    let mut ignored = Vec::new();
    let (mut objects, mut stored) = (Vec::new(), Map::new());
    for table in tables {
        let Some((_, own)) = names.get(table.remote.as_str()) else { continue };
        objects.push(object(namespace, table, own, &names, &mut ignored));
        let said = table_entry(table, own, &names);
        if !said.is_empty() {
            stored.insert(own.object.clone(), Value::Object(said));
        }
    }
    let grants: Map<String, Value> =
        names.values().map(|(_, own)| (own.object.clone(), json!({"allowRead": true}))).collect();
    // As a package of its own, so that the files of several sources can share a folder.
    let package = json!({"manifest": {
        "id": format!("local.{namespace}"), "namespace": namespace, "version": "1.0.0", "type": "app",
        "name": label(namespace), "engines": {"protocol": "^17"},
        "datasources": [{
            "name": namespace, "label": label(namespace), "driver": driver, "config": config, "schemaMode": "external",
            "external": {"allowWrites": false},
        }],
        "objects": objects,
        "permissions": [{
            "name": format!("{namespace}_reader"), "label": format!("{} reader", label(namespace)), "objects": grants,
        }],
    }});
    let own = tables.iter().filter_map(|table| table_names(table, &names)).collect();
    let stored = json!({"querygate": {"tables": stored}});
    Ok(Written { stack: json!({"packages": [package]}), tables: stored, ignored, renamed, names: own })
}

/// Both files in one text, where there is only one place to write.
pub(super) fn whole([stack, tables]: &[Value; 2]) -> Result<String> {
    let mut whole = stack.clone();
    whole["querygate"] = tables["querygate"].clone();
    pretty(&whole)
}

pub(crate) fn pretty(value: &Value) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).map_err(Error::internal)?;
    text.push('\n');
    Ok(text)
}

fn table_names(table: &Found, names: &AllNames<'_>) -> Option<TableNames> {
    let (_, own) = names.get(table.remote.as_str())?;
    let parents = table.foreign_keys.iter().filter(|key| is_lookup(table, key, names)).filter_map(|key| {
        let (_, theirs) = names.get(key.table.as_str())?;
        Some((own.fields.get(key.columns.first()?)?.clone(), theirs.object.clone()))
    });
    let served = table.columns.iter().filter_map(|column| Some((own.fields.get(&column.remote)?, &column.remote)));
    let (fields, columns) = served.map(|(field, column)| (field.clone(), column.clone())).unzip();
    let (object, remote) = (own.object.clone(), table.remote.clone());
    Some(TableNames { object, remote, fields, columns, parents: parents.collect() })
}

/// `querygate.tables.<object>`: what the field types alone do not say.
fn table_entry(table: &Found, own: &Names, names: &AllNames<'_>) -> Map<String, Value> {
    let local = |column: &String| own.fields.get(column).cloned();
    let types = table.columns.iter().filter_map(|column| {
        let holds = column.holds?;
        let named = match &column.text_type {
            Some(declared) => declared.sql_name(),
            None if holds.needs_column_type() => holds.value_type.sql_name(),
            None => return None,
        };
        Some((local(&column.remote)?, Value::String(named)))
    });
    let types: Map<String, Value> = types.collect();
    let foreign = table.foreign_keys.iter().filter(|key| !is_said_by_lookup(table, key, names));
    let foreign: Vec<Value> = foreign.filter_map(|key| keys::foreign(key, own, names)).collect();
    let unique: Vec<Value> = table.unique.iter().filter_map(|key| keys::unique(key, own)).collect();
    let mut entry = Map::new();
    if !types.is_empty() {
        entry.insert("columnTypes".to_owned(), Value::Object(types));
    }
    let enums = table.columns.iter().filter_map(|column| {
        let own = column.enum_type.as_ref()?;
        Some((local(&column.remote)?, json!({"name": own.name, "labels": own.labels})))
    });
    let enums: Map<String, Value> = enums.collect();
    if !enums.is_empty() {
        entry.insert("enums".to_owned(), Value::Object(enums));
    }
    if let Some(file) = &table.file {
        entry.insert("file".to_owned(), file.clone());
    }
    if let Some(key) = keys::primary(table, own) {
        entry.insert("primaryKey".to_owned(), key);
    }
    if !unique.is_empty() {
        entry.insert("uniqueKeys".to_owned(), Value::Array(unique));
    }
    if !foreign.is_empty() {
        entry.insert("foreignKeys".to_owned(), Value::Array(foreign));
    }
    entry
}

/// Whether a reference says all of a foreign key.
fn is_said_by_lookup(table: &Found, key: &FoundReference, names: &AllNames<'_>) -> bool {
    use ReferentialAction as A;
    let said = matches!(key.on_delete, A::Restrict | A::Cascade | A::SetNull) && key.on_update == A::NoAction;
    let usual = names.get(table.remote.as_str()).is_some_and(|(_, own)| keys::has_usual_name(key, own));
    said && usual && is_lookup(table, key, names)
}

/// `deleteBehavior` of a reference. ObjectStack has no word for the other actions: what they would break is kept.
const fn delete_behavior(key: &FoundReference) -> &'static str {
    match key.on_delete {
        ReferentialAction::Cascade => "cascade",
        ReferentialAction::SetNull => "set_null",
        ReferentialAction::NoAction | ReferentialAction::Restrict | ReferentialAction::SetDefault => "restrict",
    }
}

/// Whether a foreign key is a reference as ObjectStack has them: one column, to the only key column of its target.
fn is_lookup(table: &Found, key: &FoundReference, names: &AllNames<'_>) -> bool {
    let ([column], Some((target, theirs))) = (&key.columns[..], names.get(key.table.as_str())) else { return false };
    let [target_key] = &target.primary_key[..] else { return false };
    if !theirs.fields.contains_key(target_key) || key.referenced.first().is_some_and(|other| other != target_key) {
        return false;
    }
    let holds = |table: &Found, name: &String| table.columns.iter().find(|column| column.remote == *name)?.holds;
    match (holds(table, column), holds(target, target_key)) {
        (Some(own), Some(other)) => own.may_be_id() && own.kind == other.kind && own.value_type.is_exact(),
        (None, _) | (_, None) => false,
    }
}

fn object(namespace: &str, table: &Found, own: &Names, names: &AllNames<'_>, ignored: &mut Vec<String>) -> Value {
    let name = &own.object;
    let short = own.short.as_str();
    let mut fields = Map::new();
    let mut column_map = Map::new();
    let mut left_out = Vec::new();
    for column in &table.columns {
        let (Some(holds), Some(local)) = (column.holds, own.fields.get(&column.remote)) else {
            ignored.push(format!("{}.{}", table.remote, column.remote));
            left_out.push(column.remote.clone());
            continue;
        };
        if *local != column.remote {
            column_map.insert(column.remote.clone(), Value::String(local.clone()));
        }
        let lookup = table
            .foreign_keys
            .iter()
            .filter(|key| key.columns == [column.remote.clone()] && is_lookup(table, key, names))
            .find_map(|key| Some((key, names.get(key.table.as_str())?)));
        let target = lookup.map(|(key, (_, theirs))| (theirs.object.as_str(), delete_behavior(key)));
        fields.insert(local.clone(), field(column, holds, target));
    }
    let mut external = json!({"remoteName": table.remote, "writable": false});
    if let Some(schema) = &table.schema {
        external["remoteSchema"] = json!(schema);
        external["remoteName"] = json!(table.remote.strip_prefix(&format!("{schema}.")).unwrap_or(&table.remote));
    }
    if !column_map.is_empty() {
        external["columnMap"] = Value::Object(column_map);
    }
    if table.lists_ignored || !left_out.is_empty() {
        external["ignoreColumns"] = json!(left_out);
    }
    let mut object = json!({
        "name": name, "label": label(short), "datasource": namespace, "external": external,
        "sharingModel": "public_read", "access": {"default": "private"}, "systemFields": false, "fields": fields,
    });
    let indexes = table.indexes.iter().filter_map(|(name, columns)| {
        let fields = columns.iter().map(|column| own.fields.get(column)).collect::<Option<Vec<_>>>()?;
        (!fields.is_empty()).then(|| json!({"name": name, "fields": fields}))
    });
    let indexes: Vec<Value> = indexes.collect();
    if !indexes.is_empty() {
        object["indexes"] = json!(indexes);
    }
    if let Some(comment) = &table.comment {
        object["description"] = Value::String(comment.clone());
    }
    object
}

fn field(column: &FoundColumn, holds: Holds, target: Option<(&str, &str)>) -> Value {
    let mut field = match (target, holds.kind) {
        (Some((target, behavior)), _) => json!({"type": "lookup", "reference": target, "deleteBehavior": behavior}),
        (None, Kind::Text) if is_select(&column.options) => {
            let options = column.options.iter().map(|value| json!({"value": value, "label": label(value)}));
            json!({"type": "select", "options": options.collect::<Vec<_>>()})
        }
        (None, Kind::Text) => json!({"type": "text"}),
        (None, Kind::Number) => match holds.value_type {
            ValueType::Decimal { precision, scale } => {
                json!({"type": "number", "precision": precision, "scale": scale})
            }
            _ => json!({"type": "number"}),
        },
        (None, Kind::Boolean) => json!({"type": "boolean"}),
        (None, Kind::Date) => json!({"type": "date"}),
        (None, Kind::Datetime) => json!({"type": "datetime"}),
        (None, Kind::Time) => json!({"type": "time"}),
        (None, Kind::Tags) => json!({"type": "tags"}),
        (None, Kind::Json) => json!({"type": "json"}),
        // Of the types of fields, the one whose values are strings: bytes are written as one.
        (None, Kind::Bytes) => json!({"type": "text"}),
    };
    field["label"] = Value::String(label(&column.remote));
    if column.required {
        field["required"] = Value::Bool(true);
    }
    let mut said: Vec<String> = column.comment.iter().cloned().collect();
    if !column.options.is_empty() && !is_select(&column.options) {
        said.push(format!("One of: {}.", column.options.join(", ")));
    }
    if !said.is_empty() {
        field["description"] = Value::String(said.join(" "));
    }
    field
}

/// Whether ObjectStack takes all of these as options: at least two characters, lower case.
fn is_select(options: &[String]) -> bool {
    let takes = |value: &String| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
        value.len() >= 2 && value.starts_with(|c: char| c.is_ascii_lowercase()) && value.chars().all(allowed)
    };
    !options.is_empty() && options.iter().all(takes)
}

/// An object's name without its namespace, as its table is called.
fn short<'a>(namespace: &str, object: &'a str) -> &'a str {
    object.strip_prefix(namespace).map_or(object, |rest| rest.trim_start_matches('_'))
}

fn label(name: &str) -> String {
    let words = name.replace(['_', '-', '.'], " ");
    let mut chars = words.trim().chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
