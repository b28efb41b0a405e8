//! Reads the schema of a SQLite file, read-only.

use super::{Found, FoundColumn, FoundKey, FoundReference, Holds};
use crate::naming::quoted;
use querygate_driver_api::remote::TableKind;
use querygate_metadata::model::ValueType;
use querygate_types::{Error, ErrorCode, ReferentialAction, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::collections::BTreeMap;
use std::path::Path;

/// Tables and views, and those that cannot be described, with the reason: a view over a table that is gone.
pub(super) async fn read(path: &Path) -> Result<(Vec<Found>, Vec<String>)> {
    let failed = |e: sqlx::Error| {
        Error::new(ErrorCode::SourceUnavailable, format!("cannot read {} as a SQLite database", path.display()))
            .with_detail(e.to_string())
            .with_hint("A source is a SQLite file, a folder of CSV, JSON or Parquet files, or the address of a server.")
    };
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let names = "SELECT m.name, coalesce(l.type = 'virtual', false), m.type = 'view' FROM sqlite_master m \
                 LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = m.name \
                 WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 AND coalesce(l.type, '') <> 'shadow' ORDER BY m.name";
    let names = sqlx::query(names).fetch_all(&mut connection).await.map_err(failed)?;
    let (mut tables, mut left_out) = (Vec::with_capacity(names.len()), Vec::new());
    for row in names {
        let name: String = row.try_get(0).map_err(failed)?;
        if row.try_get(1).map_err(failed)? {
            left_out.push(format!("left out: {name} (a virtual table)"));
            continue;
        }
        let kind = if row.try_get(2).map_err(failed)? { TableKind::View } else { TableKind::Table };
        match table(&mut connection, &name).await {
            Ok(found) => tables.push(Found { kind, ..found }),
            Err(error) => left_out.push(format!("left out: {name} ({})", reason(&error))),
        }
    }
    connection.close().await.map_err(failed)?;
    Ok((tables, left_out))
}

/// SQLite's own words.
fn reason(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

async fn table(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<Found> {
    let Columns { columns, primary_key, loose_key, guesses } = columns(connection, name).await?;
    let foreign_keys = foreign_keys(connection, name).await?;
    let unique = indexes(connection, name, true).await?;
    let unique = unique.into_iter().map(|(name, columns, is_index)| {
        // Names of constraints are the database's own make.
        FoundKey { name: is_index.then_some(name), columns, is_index }
    });
    let unique = unique.collect();
    let indexes = indexes(connection, name, false).await?;
    let indexes = indexes.into_iter().map(|(name, columns, _)| (name, columns)).collect();
    let own = Found { remote: name.to_owned(), columns, primary_key, loose_key, guesses, ..Found::default() };
    Ok(Found { unique, foreign_keys, indexes, ..own })
}

async fn foreign_keys(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Vec<FoundReference>> {
    let rows = sqlx::query(
        "SELECT id, \"from\", \"table\", \"to\", on_delete, on_update FROM pragma_foreign_key_list(?) ORDER BY id, seq",
    )
    .bind(table.to_owned())
    .fetch_all(connection)
    .await?;
    let mut keys: BTreeMap<i64, FoundReference> = BTreeMap::new();
    for row in rows {
        let key = keys.entry(row.try_get(0)?).or_default();
        key.columns.push(row.try_get(1)?);
        key.table = row.try_get(2)?;
        key.referenced.extend(row.try_get::<Option<String>, _>(3)?);
        let action = |words: &str| ReferentialAction::from_words(words).unwrap_or_default();
        key.on_delete = action(row.try_get(4)?);
        key.on_update = action(row.try_get(5)?);
    }
    Ok(keys.into_values().collect())
}

/// Names and columns of the indexes over all rows, and whether a statement made each: those of unique keys besides the primary
/// one, or the others.
async fn indexes(
    connection: &mut SqliteConnection,
    table: &str,
    is_unique: bool,
) -> sqlx::Result<Vec<(String, Vec<String>, bool)>> {
    let rows = sqlx::query(
        "SELECT i.name, c.name, i.origin = 'c' FROM pragma_index_list(?1) i, pragma_index_info(i.name) c \
         WHERE i.\"unique\" = ?2 AND NOT i.partial AND i.origin <> 'pk' ORDER BY i.seq, c.seqno",
    )
    .bind(table.to_owned())
    .bind(is_unique)
    .fetch_all(connection)
    .await?;
    let mut keys: BTreeMap<(String, bool), Vec<Option<String>>> = BTreeMap::new();
    for row in rows {
        keys.entry((row.try_get(0)?, row.try_get(2)?)).or_default().push(row.try_get(1)?);
    }
    // An index over an expression has no column there.
    Ok(keys
        .into_iter()
        .filter_map(|((name, made), columns)| Some((name, columns.into_iter().collect::<Option<_>>()?, made)))
        .collect())
}

/// The columns, those of the primary key in its order, and those of it that may be NULL.
struct Columns {
    columns: Vec<FoundColumn>,
    primary_key: Vec<String>,
    loose_key: Vec<String>,
    guesses: Vec<String>,
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Columns> {
    // The other pragma leaves out what is computed; hidden for good are columns of virtual tables alone.
    // A column that the source fills by itself needs no value.
    let sql = "SELECT name, type, \"notnull\" <> 0 AND dflt_value IS NULL AND hidden = 0, pk, \"notnull\" \
               FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid";
    let rows = sqlx::query(sql).bind(table.to_owned()).fetch_all(&mut *connection).await?;
    let (mut columns, mut keys, mut guesses) = (Vec::with_capacity(rows.len()), Vec::new(), Vec::new());
    for row in rows {
        let name: String = row.try_get(0)?;
        if name.is_empty() || name.contains('\0') {
            guesses.push(format!("left out: {table}.\"{name}\" (a column without a name)"));
            continue;
        }
        let declared: String = row.try_get(1)?;
        let (not_null, key): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let value_type = match holds(&declared) {
            ValueType::Decimal { scale, .. } if !keeps_scale(connection, table, &name, scale).await? => {
                guesses
                    .push(format!("as double precision: {table}.{name} ({declared}), for some value has more digits"));
                ValueType::Float64
            }
            ValueType::Float64 if is_numeric(&declared) => {
                let (value_type, guess) = exact(connection, table, &name).await?;
                guesses.extend(guess.map(|how| {
                    format!("{how}: {table}.{name} ({declared}), for its whole numbers have more digits than a double")
                }));
                value_type
            }
            own => own,
        };
        let is_text = value_type == ValueType::Text;
        columns.push(FoundColumn {
            holds: Some(Holds::of(value_type)),
            equality: if is_text { equality(connection, table, &name).await? } else { None },
            required: not_null != 0 && key == 0,
            remote: name.clone(),
            ..FoundColumn::default()
        });
        if key != 0 {
            let may_be_null = row.try_get::<i64, _>(4)? == 0;
            keys.push((key, name, may_be_null, declared.eq_ignore_ascii_case("INTEGER")));
        }
    }
    keys.sort_unstable();
    // One integer is the row's own number, which is always there.
    let is_row_id = matches!(keys[..], [(_, _, _, true)]);
    let loose = keys.iter().filter(|(_, _, may_be_null, _)| *may_be_null && !is_row_id);
    let loose_key = loose.map(|(_, name, ..)| name.clone()).collect();
    let primary_key = keys.into_iter().map(|(_, name, ..)| name).collect();
    Ok(Columns { columns, primary_key, loose_key, guesses })
}

/// Rows whose values are looked at.
const SAMPLE_ROWS: usize = 10_000;

/// Whether first values have no more digits behind the point than are declared, which SQLite does not see to.
async fn keeps_scale(connection: &mut SqliteConnection, table: &str, column: &str, scale: i8) -> sqlx::Result<bool> {
    let (table, column) = (quoted(table), quoted(column));
    let sql = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM (SELECT {column} AS c FROM {table} LIMIT {SAMPLE_ROWS}) \
         WHERE typeof(c) = 'real' AND round(c, {scale}) <> c)"
    );
    sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?.try_get(0)
}

/// What holds the values of a column that is numeric and says no places: doubles, unless first values are whole numbers that a double has
/// not; with how the column is served then.
async fn exact(
    connection: &mut SqliteConnection,
    table: &str,
    column: &str,
) -> sqlx::Result<(ValueType, Option<&'static str>)> {
    let (table, column) = (quoted(table), quoted(column));
    let sql = format!(
        "SELECT coalesce(max(typeof(c) = 'integer' AND (c > {DOUBLE_MAX} OR c < -{DOUBLE_MAX})), 0), \
         coalesce(max(typeof(c) <> 'integer'), 0) FROM (SELECT {column} AS c FROM {table} LIMIT {SAMPLE_ROWS}) \
         WHERE c IS NOT NULL"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
    let (are_large, are_others): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match (are_large != 0, are_others != 0) {
        (false, _) => (ValueType::Float64, None),
        (true, false) => (ValueType::Int64, Some("as bigint")),
        (true, true) => (ValueType::Text, Some("as text")),
    })
}

/// The greatest whole number below which a double has all.
const DOUBLE_MAX: i64 = 1 << 53;

/// The collation by which a column's texts are equal that are not the same. No pragma tells it: two texts beside the column are compared as it
/// compares.
async fn equality(connection: &mut SqliteConnection, table: &str, column: &str) -> sqlx::Result<Option<String>> {
    let (table, column) = (quoted(table), quoted(column));
    let beside = |text: &str| format!("(SELECT {column} AS c FROM {table} WHERE 0 UNION ALL SELECT '{text}')");
    let sql = format!(
        "SELECT (SELECT count(*) FROM {} WHERE c = 'A'), (SELECT count(*) FROM {} WHERE c = 'a')",
        beside("a"),
        beside("a ")
    );
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
    let found: (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match found {
        (1, _) => Some("NOCASE".to_owned()),
        (_, 1) => Some("RTRIM".to_owned()),
        _ => None,
    })
}

/// A declared type; SQLite lets it be any text, so the names that programs use come first, then SQLite's own affinity.
fn holds(declared: &str) -> ValueType {
    let lower = declared.to_ascii_lowercase();
    let name = lower.split('(').next().unwrap_or_default().trim();
    let has = |part: &str| name.contains(part);
    if has("blob") || has("binary") {
        return ValueType::Binary;
    }
    if is_numeric(declared) {
        return arguments(&lower).unwrap_or(ValueType::Float64);
    }
    match name {
        _ if has("bool") => ValueType::Boolean,
        "date" => ValueType::Date,
        "time" => ValueType::Time,
        "timestamptz" => ValueType::Timestamp { utc: true },
        _ if has("datetime") || has("timestamp") => ValueType::TimestampMillisUtc,
        _ if has("json") => ValueType::Json,
        // Whatever the name, an integer of SQLite has 64 bits.
        _ if has("int") => ValueType::Int64,
        _ if has("real") || has("floa") || has("doub") => ValueType::Float64,
        _ => ValueType::Text,
    }
}

/// Whether a declared type is numeric by its name.
fn is_numeric(declared: &str) -> bool {
    let name = declared.split('(').next().unwrap_or_default().trim();
    ["decimal", "numeric", "money"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn arguments(declared: &str) -> Option<ValueType> {
    let inside = declared.split_once('(')?.1.split_once(')')?.0;
    let mut numbers = inside.split(',').map(|part| part.trim().parse::<u8>());
    let precision = numbers.next()?.ok()?;
    let scale = numbers.next().map_or(Some(0), Result::ok)?;
    ((1..=38).contains(&precision) && scale <= precision).then_some(())?;
    Some(ValueType::Decimal { precision, scale: i8::try_from(scale).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_become_field_types() {
        for (declared, expected) in [
            ("INTEGER", ValueType::Int64),
            ("varchar(40)", ValueType::Text),
            ("DECIMAL(10, 2)", ValueType::Decimal { precision: 10, scale: 2 }),
            ("numeric", ValueType::Float64),
            ("DECIMAL(99)", ValueType::Float64),
            ("DATETIME", ValueType::TimestampMillisUtc),
            ("date", ValueType::Date),
            ("BOOLEAN", ValueType::Boolean),
            ("DOUBLE PRECISION", ValueType::Float64),
            ("BLOB", ValueType::Binary),
            ("", ValueType::Text),
        ] {
            assert_eq!(holds(declared), expected, "{declared}");
        }
    }

    #[tokio::test]
    async fn whole_numbers_that_a_double_has_not_are_no_doubles() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let schema = "CREATE TABLE n (small NUMERIC, large NUMERIC, mixed DECIMAL, none NUMERIC);
            INSERT INTO n VALUES (1, 9007199254740993, 9007199254740993, NULL), (1.5, -9223372036854775808, 0.5, NULL);";
        sqlx::raw_sql(schema).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let (tables, _) = read(&path).await.unwrap();
        let found: Vec<ValueType> = tables[0].columns.iter().map(|column| column.holds.unwrap().value_type).collect();
        assert_eq!(found, [ValueType::Float64, ValueType::Int64, ValueType::Text, ValueType::Float64]);
    }

    #[tokio::test]
    async fn a_database_is_described_with_keys_and_references() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let schema = "CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, photo BLOB);
            CREATE TABLE \"Order Item\" (a INT NOT NULL, b INT REFERENCES customer(customer_id), c TEXT UNIQUE,
                twice INT GENERATED ALWAYS AS (a * 2) VIRTUAL, PRIMARY KEY (b, a));
            CREATE INDEX by_a ON \"Order Item\" (a);";
        sqlx::raw_sql(schema).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let tables = read(&path).await.unwrap().0;
        assert_eq!(tables.iter().map(|t| t.remote.as_str()).collect::<Vec<_>>(), ["Order Item", "customer"]);
        assert_eq!(tables[0].primary_key, ["b", "a"]);
        assert_eq!(tables[0].loose_key, ["b"], "SQLite lets columns of a key be NULL that do not say otherwise");
        assert_eq!(tables[0].notes(), ["never changed: Order Item (b of its primary key may be NULL)"]);
        assert_eq!(
            tables[0].columns.iter().map(|column| column.remote.as_str()).collect::<Vec<_>>(),
            ["a", "b", "c", "twice"]
        );
        assert_eq!(tables[0].unique, [FoundKey { name: None, columns: vec!["c".to_owned()], is_index: false }]);
        let key = FoundReference {
            columns: vec!["b".to_owned()],
            table: "customer".to_owned(),
            referenced: vec!["customer_id".to_owned()],
            ..FoundReference::default()
        };
        assert_eq!(tables[0].foreign_keys, [key]);
        assert_eq!(tables[0].indexes, [("by_a".to_owned(), vec!["a".to_owned()])]);
        assert_eq!((tables[1].primary_key.len(), tables[1].loose_key.len()), (1, 0));
        assert_eq!(tables[1].primary_key, ["customer_id"]);
        assert_eq!(tables[1].columns[2].holds, Some(Holds::of(ValueType::Binary)));
    }
}
