//! Prints what was found as an ObjectStack stack. Opens nothing.

use super::{Found, FoundColumn, Kind};
use querygate_types::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An ObjectStack name for any text: lower case, digits, underscores.
pub(super) fn local_name(remote: &str) -> String {
    let mut name = String::with_capacity(remote.len());
    for c in remote.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    match name.chars().next() {
        None => "unnamed".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("n{name}"),
        Some(_) => name.to_owned(),
    }
}

/// A local name that is not taken yet.
fn unique(wanted: String, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

/// The stack as text, and the columns that were left out.
pub(super) fn stack(namespace: &str, driver: &str, tables: &[Found]) -> Result<(String, Vec<String>)> {
    let mut taken = BTreeSet::new();
    let names: BTreeMap<&str, String> = tables
        .iter()
        .map(|table| {
            let base =
                table.remote.rsplit_once('.').filter(|_| driver == "files").map_or(table.remote.as_str(), |(b, _)| b);
            (table.remote.as_str(), unique(format!("{namespace}_{}", local_name(base)), &mut taken))
        })
        .collect();
    let mut ignored = Vec::new();
    let objects: Vec<Value> = tables.iter().map(|table| object(namespace, table, &names, &mut ignored)).collect();
    let grants: Map<String, Value> = names.values().map(|name| (name.clone(), json!({"allowRead": true}))).collect();
    // As a package of its own, so that the files of several sources can share a folder.
    let package = json!({
        "manifest": {
            "id": format!("local.{namespace}"), "namespace": namespace, "version": "1.0.0", "type": "app",
            "name": label(namespace), "engines": {"protocol": "^17"},
        },
        "datasources": [{
            "name": namespace, "label": label(namespace), "driver": driver, "config": {}, "schemaMode": "external",
            "external": {"allowWrites": false},
        }],
        "objects": objects,
        "permissions": [{
            "name": format!("{namespace}_reader"), "label": format!("{} reader", label(namespace)), "objects": grants,
        }],
    });
    let stack = json!({"packages": [package]});
    let mut text = serde_json::to_string_pretty(&stack).map_err(Error::internal)?;
    text.push('\n');
    Ok((text, ignored))
}

fn object(namespace: &str, table: &Found, names: &BTreeMap<&str, String>, ignored: &mut Vec<String>) -> Value {
    let name = names.get(table.remote.as_str()).cloned().unwrap_or_default();
    let short = name.strip_prefix(namespace).map_or(name.as_str(), |rest| rest.trim_start_matches('_'));
    let mut taken = BTreeSet::new();
    let has_id = table.columns.iter().any(|column| column.remote == "id");
    let mut fields = Map::new();
    let mut column_map = Map::new();
    let mut left_out = Vec::new();
    // The key first, so that it gets the name `id` that ObjectStack reserves for it.
    let mut columns: Vec<&FoundColumn> = table.columns.iter().collect();
    columns.sort_by_key(|column| !column.key);
    for column in columns {
        let Some(kind) = column.kind else {
            ignored.push(format!("{}.{}", table.remote, column.remote));
            left_out.push(column.remote.clone());
            continue;
        };
        let local = unique(local_column(column, kind, has_id, short), &mut taken);
        if local != column.remote {
            column_map.insert(column.remote.clone(), Value::String(local.clone()));
        }
        let target = column.references.as_deref().and_then(|target| names.get(target));
        fields.insert(local, field(column, kind, target));
    }
    let mut external = json!({"remoteName": table.remote, "writable": false});
    if let Some(schema) = &table.schema {
        external["remoteSchema"] = json!(schema);
        external["remoteName"] = json!(table.remote.strip_prefix(&format!("{schema}.")).unwrap_or(&table.remote));
    }
    if !column_map.is_empty() {
        external["columnMap"] = Value::Object(column_map);
    }
    if !left_out.is_empty() {
        external["ignoreColumns"] = json!(left_out);
    }
    let mut object = json!({
        "name": name, "label": label(short), "datasource": namespace, "external": external,
        "sharingModel": "public_read", "access": {"default": "private"}, "systemFields": false, "fields": fields,
    });
    if let Some(comment) = &table.comment {
        object["description"] = Value::String(comment.clone());
    }
    object
}

/// ObjectStack's `id` is text. A text key becomes `id`; a key of another type keeps it, under the table's name, so that
/// joins with the columns that refer to it need no cast.
fn local_column(column: &FoundColumn, kind: Kind, has_id: bool, table: &str) -> String {
    let local = local_name(&column.remote);
    match (kind, local.as_str()) {
        (Kind::Text, _) if column.key && !has_id => "id".to_owned(),
        (Kind::Text, _) => local,
        (_, "id") => format!("{table}_id"),
        (_, _) => local,
    }
}

fn field(column: &FoundColumn, kind: Kind, target: Option<&String>) -> Value {
    let mut field = match (target, kind) {
        (Some(target), Kind::Text) => json!({"type": "lookup", "reference": target}),
        (None, Kind::Text) if is_select(&column.options) => {
            let options = column.options.iter().map(|value| json!({"value": value, "label": label(value)}));
            json!({"type": "select", "options": options.collect::<Vec<_>>()})
        }
        (None, Kind::Text) => json!({"type": "text"}),
        (_, Kind::Number) => json!({"type": "number"}),
        (_, Kind::Decimal { precision, scale }) => json!({"type": "number", "precision": precision, "scale": scale}),
        (_, Kind::Boolean) => json!({"type": "boolean"}),
        (_, Kind::Date) => json!({"type": "date"}),
        (_, Kind::Datetime) => json!({"type": "datetime"}),
        (_, Kind::Time) => json!({"type": "time"}),
        (_, Kind::Tags) => json!({"type": "tags"}),
        (_, Kind::Json) => json!({"type": "json"}),
    };
    field["label"] = Value::String(label(&column.remote));
    if column.required {
        field["required"] = Value::Bool(true);
    }
    let mut said: Vec<String> = column.comment.iter().cloned().collect();
    if let (Some(target), true) = (target, kind != Kind::Text) {
        said.push(format!("References {target}."));
    }
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

fn label(name: &str) -> String {
    let words = name.replace(['_', '-', '.'], " ");
    let mut chars = words.trim().chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_metadata::{LoadOptions, load_text};

    #[test]
    fn names_become_identifiers() {
        for (remote, expected) in
            [("Order Item", "order_item"), ("2fa", "n2fa"), ("naïve", "na_ve"), ("---", "unnamed"), ("a__b", "a_b")]
        {
            assert_eq!(local_name(remote), expected);
        }
    }

    #[test]
    fn what_is_written_loads() {
        let column = |remote: &str, kind, key, references: Option<&str>| FoundColumn {
            remote: remote.to_owned(),
            kind,
            required: key,
            key,
            references: references.map(str::to_owned),
            ..FoundColumn::default()
        };
        let integer = Some(Kind::Decimal { precision: 19, scale: 0 });
        let tables = [
            Found {
                remote: "Customer".to_owned(),
                comment: Some("Who buys".to_owned()),
                schema: None,
                columns: vec![
                    column("Name", Some(Kind::Text), false, None),
                    column("CustomerNo", Some(Kind::Text), true, None),
                    column("Photo", None, false, None),
                    FoundColumn {
                        options: vec!["new".to_owned(), "old".to_owned()],
                        ..column("State", Some(Kind::Text), false, None)
                    },
                    FoundColumn { options: vec!["A".to_owned()], ..column("Grade", Some(Kind::Text), false, None) },
                ],
            },
            Found {
                remote: "sales.orders".to_owned(),
                comment: None,
                schema: Some("sales".to_owned()),
                columns: vec![
                    column("id", integer, true, None),
                    column("customer", Some(Kind::Text), false, Some("Customer")),
                    column("lines", Some(Kind::Json), false, None),
                ],
            },
        ];
        let (text, ignored) = stack("shop", "sqlite", &tables).unwrap();
        assert_eq!(ignored, ["Customer.Photo"]);
        let snapshot = load_text("shop.json", &text, &LoadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let customer = snapshot.object("shop_customer").unwrap();
        assert_eq!(customer.table_name(), "Customer");
        assert_eq!(customer.column_name("id"), "CustomerNo");
        assert_eq!(customer.fields["state"].options.len(), 2);
        // What ObjectStack does not take as an option is said in words.
        assert!(customer.fields["grade"].options.is_empty() && text.contains("One of: A"));
        assert!(text.contains("Who buys"));
        assert!(customer.fields["id"].stored());
        let orders = snapshot.object("shop_sales_orders").unwrap();
        assert_eq!(orders.fields["customer"].reference.as_deref(), Some("shop_customer"));
        assert_eq!(orders.table_name(), "orders");
        assert_eq!(orders.external.as_ref().unwrap().remote_schema.as_deref(), Some("sales"));
    }
}
