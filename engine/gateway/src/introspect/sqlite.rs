//! Reads the schema of a SQLite file, read-only.

use super::{Found, FoundColumn, Kind};
use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use std::collections::HashMap;
use std::path::Path;

pub(super) async fn read(path: &Path) -> Result<Vec<Found>> {
    let failed = |e: sqlx::Error| {
        Error::new(ErrorCode::SourceUnavailable, format!("cannot read {} as a SQLite database", path.display()))
            .with_detail(e.to_string())
    };
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let names = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let names = sqlx::query(names).fetch_all(&mut connection).await.map_err(failed)?;
    let mut tables = Vec::with_capacity(names.len());
    for row in names {
        let name: String = row.try_get(0).map_err(failed)?;
        let columns = columns(&mut connection, &name).await.map_err(failed)?;
        tables.push(Found { remote: name, columns, ..Found::default() });
    }
    connection.close().await.map_err(failed)?;
    Ok(tables)
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Vec<FoundColumn>> {
    let references = sqlx::query("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)")
        .bind(table.to_owned())
        .fetch_all(&mut *connection)
        .await?;
    let mut targets = HashMap::new();
    for row in references {
        targets.insert(row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?);
    }
    let rows = sqlx::query("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?) ORDER BY cid")
        .bind(table.to_owned())
        .fetch_all(connection)
        .await?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get(0)?;
        let declared: String = row.try_get(1)?;
        let (not_null, key): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        columns.push(FoundColumn {
            references: targets.get(&name).cloned(),
            kind: kind(&declared),
            required: not_null != 0 && key == 0,
            key: key != 0,
            remote: name,
            ..FoundColumn::default()
        });
    }
    if columns.iter().filter(|column| column.key).count() > 1 {
        columns.iter_mut().for_each(|column| column.key = false);
    }
    Ok(columns)
}

/// A declared type; SQLite lets it be any text, so the names that programs use come first, then SQLite's own affinity.
fn kind(declared: &str) -> Option<Kind> {
    let lower = declared.to_ascii_lowercase();
    let name = lower.split('(').next().unwrap_or_default().trim();
    let has = |part: &str| name.contains(part);
    if has("blob") || has("binary") {
        return None;
    }
    if let "decimal" | "numeric" | "money" = name {
        return Some(arguments(&lower).unwrap_or(Kind::Number));
    }
    Some(match name {
        _ if has("bool") => Kind::Boolean,
        "date" => Kind::Date,
        "time" => Kind::Time,
        _ if has("datetime") || has("timestamp") => Kind::Datetime,
        _ if has("json") => Kind::Json,
        // Every 64-bit integer has at most 19 digits.
        _ if has("int") => Kind::Decimal { precision: 19, scale: 0 },
        _ if has("real") || has("floa") || has("doub") => Kind::Number,
        _ => Kind::Text,
    })
}

fn arguments(declared: &str) -> Option<Kind> {
    let inside = declared.split_once('(')?.1.split_once(')')?.0;
    let mut numbers = inside.split(',').map(|part| part.trim().parse::<u32>());
    let precision = numbers.next()?.ok()?;
    let scale = numbers.next().map_or(Some(0), Result::ok)?;
    (1..=38).contains(&precision).then_some(())?;
    (scale <= precision).then_some(Kind::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_become_field_types() {
        for (declared, expected) in [
            ("INTEGER", Some(Kind::Decimal { precision: 19, scale: 0 })),
            ("varchar(40)", Some(Kind::Text)),
            ("DECIMAL(10, 2)", Some(Kind::Decimal { precision: 10, scale: 2 })),
            ("numeric", Some(Kind::Number)),
            ("DECIMAL(99)", Some(Kind::Number)),
            ("DATETIME", Some(Kind::Datetime)),
            ("date", Some(Kind::Date)),
            ("BOOLEAN", Some(Kind::Boolean)),
            ("DOUBLE PRECISION", Some(Kind::Number)),
            ("BLOB", None),
            ("", Some(Kind::Text)),
        ] {
            assert_eq!(kind(declared), expected, "{declared}");
        }
    }

    #[tokio::test]
    async fn a_database_is_described_with_keys_and_references() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let schema = "CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, photo BLOB);
            CREATE TABLE \"Order Item\" (a INT, b INT REFERENCES customer(customer_id), PRIMARY KEY (a, b));";
        sqlx::raw_sql(schema).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let tables = read(&path).await.unwrap();
        assert_eq!(tables.iter().map(|t| t.remote.as_str()).collect::<Vec<_>>(), ["Order Item", "customer"]);
        assert_eq!(tables[0].columns[1].references.as_deref(), Some("customer"));
        assert!(tables[0].columns.iter().all(|c| !c.key));
        assert!(tables[1].columns[0].key && tables[1].columns[1].required);
        assert_eq!(tables[1].columns[2].kind, None);
    }
}
