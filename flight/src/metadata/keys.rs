//! GetPrimaryKeys, GetExportedKeys, GetImportedKeys, GetCrossReference, with Flight SQL's columns and order. Rows come from
//! `information_schema` as the principal sees it.

use super::columns;
use crate::command::TableName;
use crate::sessions::own_queries::ask;
use arrow::array::{ArrayRef, Int32Array, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use querygate_query_api::service::Session;
use querygate_types::{Error, Result};
use std::sync::Arc;

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

pub(super) fn primary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

pub(super) fn foreign_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

const PRIMARY: &str = "\
SELECT k.table_catalog, k.table_schema, k.table_name, k.column_name, k.constraint_name, k.ordinal_position
FROM information_schema.table_constraints AS c
JOIN information_schema.key_column_usage AS k
  ON k.constraint_schema = c.constraint_schema AND k.constraint_name = c.constraint_name
 AND k.table_schema = c.table_schema AND k.table_name = c.table_name
WHERE c.constraint_type = 'PRIMARY KEY' AND k.table_name = $1";

const FOREIGN: &str = "\
SELECT pk.table_catalog, pk.table_schema, pk.table_name, pk.column_name,
       fk.table_catalog, fk.table_schema, fk.table_name, fk.column_name,
       fk.ordinal_position, fk.constraint_name, pk.constraint_name, r.update_rule, r.delete_rule
FROM information_schema.referential_constraints AS r
JOIN information_schema.key_column_usage AS fk
  ON fk.constraint_schema = r.constraint_schema AND fk.constraint_name = r.constraint_name
JOIN information_schema.key_column_usage AS pk
  ON pk.constraint_schema = r.unique_constraint_schema AND pk.constraint_name = r.unique_constraint_name
 AND pk.ordinal_position = fk.position_in_unique_constraint";

/// Whether a table is the one a command names; what it leaves out matches anything.
fn is_named(name: &TableName, catalog: &str, schema: &str, table: &str) -> bool {
    let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    fits(&name.catalog, catalog) && fits(&name.schema, schema) && name.table == table
}

fn sequence(position: &str) -> Result<i32> {
    position.parse().map_err(Error::internal)
}

pub(super) async fn primary(table: &TableName, engine: &Arc<dyn Session>) -> Result<RecordBatch> {
    let mut found: Vec<([String; 5], i32)> = Vec::new();
    for row in ask(engine, PRIMARY, &[&table.table]).await? {
        let [catalog, schema, name, column, key, position] = columns(row)?;
        if is_named(table, &catalog, &schema, &name) {
            found.push(([catalog, schema, name, column, key], sequence(&position)?));
        }
    }
    // By catalog, schema, table, key, place in the key.
    found.sort_by(|(a, m), (b, n)| ([&a[0], &a[1], &a[2], &a[4]], m).cmp(&([&b[0], &b[1], &b[2], &b[4]], n)));
    let text = |of: fn(&[String; 5]) -> &String| strings(found.iter().map(|(texts, _)| of(texts).as_str()));
    let sequences: ArrayRef = Arc::new(Int32Array::from_iter_values(found.iter().map(|(_, n)| *n)));
    let columns = vec![text(|t| &t[0]), text(|t| &t[1]), text(|t| &t[2]), text(|t| &t[3]), text(|t| &t[4]), sequences];
    RecordBatch::try_new(primary_schema(), columns).map_err(Error::internal)
}

/// One column of a foreign key.
#[derive(Debug)]
struct Reference {
    /// Catalog, schema, table, column.
    pk: [String; 4],
    fk: [String; 4],
    sequence: i32,
    fk_name: String,
    pk_name: String,
    update_rule: u8,
    delete_rule: u8,
}

/// Flight SQL's number of a rule.
fn rule(word: &str) -> Result<u8> {
    match word {
        "CASCADE" => Ok(0),
        "RESTRICT" => Ok(1),
        "SET NULL" => Ok(2),
        "NO ACTION" => Ok(3),
        "SET DEFAULT" => Ok(4),
        other => Err(Error::internal(format!("unknown referential action {other}"))),
    }
}

async fn references(engine: &Arc<dyn Session>) -> Result<Vec<Reference>> {
    let reference = |row| {
        let [p0, p1, p2, p3, f0, f1, f2, f3, position, fk_name, pk_name, update, delete] = columns(row)?;
        Ok(Reference {
            pk: [p0, p1, p2, p3],
            fk: [f0, f1, f2, f3],
            sequence: sequence(&position)?,
            fk_name,
            pk_name,
            update_rule: rule(&update)?,
            delete_rule: rule(&delete)?,
        })
    };
    ask(engine, FOREIGN, &[]).await?.into_iter().map(reference).collect()
}

fn names(side: &[String; 4], name: &TableName) -> bool {
    is_named(name, &side[0], &side[1], &side[2])
}

/// Foreign keys of other tables that name this one, by the referencing table.
pub(super) async fn exported(table: &TableName, engine: &Arc<dyn Session>) -> Result<RecordBatch> {
    let mut found = references(engine).await?;
    found.retain(|r| names(&r.pk, table));
    found.sort_by(|a, b| (&a.fk[..3], &a.fk_name, a.sequence).cmp(&(&b.fk[..3], &b.fk_name, b.sequence)));
    foreign_batch(&found)
}

/// Foreign keys of this table, by the referenced one.
pub(super) async fn imported(table: &TableName, engine: &Arc<dyn Session>) -> Result<RecordBatch> {
    let mut found = references(engine).await?;
    found.retain(|r| names(&r.fk, table));
    by_key(&mut found);
    foreign_batch(&found)
}

/// Foreign keys from one table to another.
pub(super) async fn between(key: &TableName, other: &TableName, engine: &Arc<dyn Session>) -> Result<RecordBatch> {
    let mut found = references(engine).await?;
    found.retain(|r| names(&r.pk, key) && names(&r.fk, other));
    by_key(&mut found);
    foreign_batch(&found)
}

fn by_key(found: &mut [Reference]) {
    found.sort_by(|a, b| {
        (&a.pk[..3], &a.pk_name, &a.fk_name, a.sequence).cmp(&(&b.pk[..3], &b.pk_name, &b.fk_name, b.sequence))
    });
}

fn strings<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn foreign_batch(found: &[Reference]) -> Result<RecordBatch> {
    let text = |of: fn(&Reference) -> &String| strings(found.iter().map(|r| of(r).as_str()));
    let rules = |rule: fn(&Reference) -> u8| Arc::new(UInt8Array::from_iter_values(found.iter().map(rule))) as ArrayRef;
    let columns = vec![
        text(|r| &r.pk[0]),
        text(|r| &r.pk[1]),
        text(|r| &r.pk[2]),
        text(|r| &r.pk[3]),
        text(|r| &r.fk[0]),
        text(|r| &r.fk[1]),
        text(|r| &r.fk[2]),
        text(|r| &r.fk[3]),
        Arc::new(Int32Array::from_iter_values(found.iter().map(|r| r.sequence))),
        text(|r| &r.fk_name),
        text(|r| &r.pk_name),
        rules(|r| r.update_rule),
        rules(|r| r.delete_rule),
    ];
    RecordBatch::try_new(foreign_schema(), columns).map_err(Error::internal)
}
