//! The tables that the objects of a source need, as SQL for SQLite or PostgreSQL.

use crate::naming::quoted;
use clap::ValueEnum;
use querygate_metadata::model::{Field, Object, Snapshot, TenancyPosture, ValueType};
use querygate_policy::CompiledPolicy;
use querygate_policy::rules::UniqueGroup;
use querygate_web::TokenHash;
use std::borrow::Cow;
use std::sync::Arc;

const INDEX_NAME_BYTES_MAX: usize = 63;

/// Whose SQL is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlDialect {
    /// Columns have the names of types by which the gate reads values back as they were
    Sqlite,
    Postgres,
}

/// Statements for all objects of a source, or of all sources.
pub(crate) fn printed(snapshot: &Arc<Snapshot>, source: Option<&str>, dialect: SqlDialect) -> String {
    let policies = CompiledPolicy::compile(Arc::clone(snapshot), Vec::new());
    let objects = snapshot.objects.values();
    let objects = objects.filter(|object| source.is_none_or(|source| object.datasource == source));
    let statements = objects.map(|object| {
        let groups = policies.rules(&object.name).map_or(&[][..], |rules| rules.uniques());
        let mut text = table(object, dialect);
        text.push_str(&indexes(object, groups, snapshot.posture != TenancyPosture::Single));
        text
    });
    statements.collect::<Vec<_>>().join("\n")
}

fn table(object: &Object, dialect: SqlDialect) -> String {
    let (mut lines, mut left_out) = (Vec::new(), Vec::new());
    for field in object.fields.values().filter(|field| field.stored() && !field.phantom) {
        let name = quoted(object.column_name(&field.name));
        match column_type(field, dialect) {
            Some(kind) => {
                let not_null = if field.not_null { " NOT NULL" } else { "" };
                lines.push(format!("  {name} {kind}{not_null}"));
            }
            None => left_out.push(format!("-- {name} of type {} has no column here.\n", field.field_type.name())),
        }
    }
    let key: Vec<String> = object.key().iter().map(|field| quoted(object.column_name(&field.name))).collect();
    if !key.is_empty() {
        lines.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    }
    let name = quoted(object.table_name());
    format!("{}CREATE TABLE IF NOT EXISTS {name} (\n{}\n);\n", left_out.concat(), lines.join(",\n"))
}

/// What no two records share, and references, which are looked up from the other end. `has_organizations`: what is unique in an organization
/// may stand in several.
fn indexes(object: &Object, groups: &[UniqueGroup], has_organizations: bool) -> String {
    let table = object.table_name();
    let column = |field: &String| quoted(object.column_name(field));
    let key: Vec<&str> = object.key().iter().map(|field| field.name.as_str()).collect();
    let unique = groups.iter().filter(|group| group.fields != key).map(|group| {
        let organization = group.organization.iter().filter(|_| has_organizations);
        let columns: Vec<String> = organization.chain(&group.fields).map(column).collect();
        let name = quoted(&index_name(&group.name));
        format!("CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {} ({});\n", quoted(table), columns.join(", "))
    });
    let references = object.fields.values().filter(|field| field.stored() && field.field_type.is_reference());
    let references = references.filter(|field| !field.multiple && !field.system).map(|field| {
        let name = quoted(&index_name(&format!("{table}_{}_idx", object.column_name(&field.name))));
        format!("CREATE INDEX IF NOT EXISTS {name} ON {} ({});\n", quoted(table), column(&field.name))
    });
    unique.chain(references).collect()
}

/// PostgreSQL cuts names at 63 bytes: of two that are equal up to there, the second index would silently not be made.
fn index_name(name: &str) -> Cow<'_, str> {
    if name.len() <= INDEX_NAME_BYTES_MAX {
        return Cow::Borrowed(name);
    }
    let hash = TokenHash::of(name).hex();
    let (start, hash) = (name.floor_char_boundary(INDEX_NAME_BYTES_MAX - 9), hash.get(..8).unwrap_or_default());
    Cow::Owned(format!("{}_{hash}", name.get(..start).unwrap_or_default()))
}

/// The type of a column that holds a field's values as they are; `None`: there is none.
fn column_type(field: &Field, dialect: SqlDialect) -> Option<String> {
    let value_type = field.value_type();
    match dialect {
        SqlDialect::Postgres => postgres_type(field, value_type),
        SqlDialect::Sqlite => sqlite_type(value_type),
    }
}

fn postgres_type(field: &Field, value_type: ValueType) -> Option<String> {
    let name = match value_type {
        ValueType::Text => "text",
        ValueType::TextList => "text[]",
        ValueType::Float64 => "double precision",
        ValueType::Float32 => "real",
        ValueType::Int16 => "smallint",
        ValueType::Int32 => "integer",
        ValueType::Int64 => "bigint",
        ValueType::Decimal { precision, scale } => return Some(format!("numeric({precision},{scale})")),
        ValueType::Boolean => "boolean",
        ValueType::Date => "date",
        ValueType::TimestampMillisUtc | ValueType::Timestamp { utc: true } => "timestamptz",
        ValueType::Timestamp { utc: false } => "timestamp",
        ValueType::Time => "time",
        ValueType::Json => "jsonb",
        ValueType::JsonText => "json",
        ValueType::Binary => "bytea",
        ValueType::Float32Vector(_) => "real[]",
        // A column's own type, of a table that is there already.
        ValueType::Uuid
        | ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::List(_)
        | ValueType::Numeric { .. }
        | ValueType::TimeTz
        | ValueType::Interval => return Some(field.pg_type().sql_name()),
    };
    Some(name.to_owned())
}

fn sqlite_type(value_type: ValueType) -> Option<String> {
    let name = match value_type {
        ValueType::Text | ValueType::Uuid | ValueType::Json | ValueType::JsonText => "TEXT",
        ValueType::TextList => "LIST_TEXT",
        ValueType::Float64 => "DOUBLE",
        ValueType::Float32 => "FLOAT4",
        ValueType::Int16 => "SMALLINT",
        ValueType::Int32 => "INT4",
        ValueType::Int64 => "BIGINT",
        ValueType::Decimal { precision, scale } => return Some(format!("DECIMAL_TEXT({precision},{scale})")),
        ValueType::Boolean => "BOOLEAN",
        ValueType::Date => "DATE_TEXT",
        ValueType::TimestampMillisUtc | ValueType::Timestamp { utc: true } => "TIMESTAMPTZ_TEXT",
        ValueType::Timestamp { utc: false } => "TIMESTAMP_TEXT",
        ValueType::Time => "TIME_TEXT",
        ValueType::Binary => "BLOB",
        ValueType::Coded(_)
        | ValueType::Network { .. }
        | ValueType::List(_)
        | ValueType::Numeric { .. }
        | ValueType::TimeTz
        | ValueType::Interval
        | ValueType::Float32Vector(_) => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_metadata::load::{LoadOptions, load_text};

    const STACK: &str = "
manifest: { id: t, namespace: t, version: 1.0.0, type: app, name: T }
objects:
  - name: t_order
    fields:
      code: { type: text, unique: global }
      total: { type: currency }
      tags: { type: tags }
      near: { type: vector, dimensions: 3 }
      twice: { type: formula, expression: \"record.total * 2\" }
      buyer: { type: lookup, reference: t_order }
";

    #[test]
    fn long_names_of_indexes_stay_apart() {
        let long = |end: &str| format!("{}_{end}", "orders".repeat(12));
        let (one, two) = (long("buyer_idx"), long("payer_idx"));
        let (one, two) = (index_name(&one), index_name(&two));
        assert!(one != two && one.len() == INDEX_NAME_BYTES_MAX && two.len() == INDEX_NAME_BYTES_MAX, "{one} {two}");
        assert_eq!(index_name("orders_buyer_idx"), "orders_buyer_idx");
    }

    #[test]
    fn each_stored_field_has_a_column_of_its_type() {
        let snapshot = Arc::new(load_text("t.yaml", STACK, &LoadOptions::default()).unwrap());
        let postgres = printed(&snapshot, None, SqlDialect::Postgres);
        for part in [
            "CREATE TABLE IF NOT EXISTS \"t_order\" (",
            "\"id\" text NOT NULL",
            "\"total\" numeric(18,4)",
            "\"tags\" text[]",
            "\"near\" real[]",
            "\"created_at\" timestamptz",
            "PRIMARY KEY (\"id\")",
            "CREATE UNIQUE INDEX IF NOT EXISTS \"t_order_code_key\" ON \"t_order\" (\"code\");",
            "CREATE INDEX IF NOT EXISTS \"t_order_buyer_idx\" ON \"t_order\" (\"buyer\");",
        ] {
            assert!(postgres.contains(part), "{part}: {postgres}");
        }
        assert!(!postgres.contains("twice"), "{postgres}");
        let sqlite = printed(&snapshot, Some("default"), SqlDialect::Sqlite);
        assert!(
            sqlite.contains("\"total\" DECIMAL_TEXT(18,4)") && sqlite.contains("-- \"near\" of type vector"),
            "{sqlite}"
        );
        assert_eq!(printed(&snapshot, Some("other"), SqlDialect::Sqlite), "");
    }
}
