//! What a server says of its tables. Reads `information_schema`; every name is bound, none is printed but in one statement.

use crate::compile::names::quote;
use crate::error::from_sqlx;
use crate::wire::binary;
use crate::wire::declared::{self, Declared, Native};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding};
use querygate_driver_api::remote::{
    ColumnStatistics, ForeignKey, Index, KeyKind, RemoteColumn, RemoteTable, Split, TableKind, TableStatistics,
};
use querygate_types::{Error, ErrorCode, ReferentialAction, Result};
use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

/// A table with what only this driver needs to know of it.
pub(crate) struct Described {
    pub(crate) remote: RemoteTable,
    pub(crate) declared: HashMap<Identifier, Declared>,
}

pub(crate) async fn vitals(connection: &mut MySqlConnection) -> Result<(String, SystemTime, bool)> {
    let sql = "SELECT VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), \
               (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'SUPER' \
               AND GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), ''''))";
    let rows = fetch(connection, sql, &[]).await?;
    let row = rows.first().ok_or_else(|| Error::internal("a server says nothing of itself"))?;
    let clock = SystemTime::UNIX_EPOCH + Duration::from_micros(number(row, 1)?.unwrap_or(0));
    Ok((text(row, 0)?, clock, number(row, 2)?.unwrap_or(0) > 0))
}

pub(crate) async fn tables(connection: &mut MySqlConnection, schema: &str) -> Result<Vec<TableRef>> {
    let sql = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? \
               AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') ORDER BY TABLE_NAME";
    let rows = fetch(connection, sql, &[schema]).await?;
    rows.iter().map(|row| TableRef::new([schema.to_owned(), text(row, 0)?])).collect()
}

/// Rows whose values are looked at.
const SAMPLE_ROWS: usize = 10_000;

/// Columns that are declared as truth values and hold other numbers in their first rows, by table and column. Of a table that cannot be read
/// nothing is said.
pub(crate) async fn loose_truths(connection: &mut MySqlConnection, schema: &str) -> Result<BTreeSet<[String; 2]>> {
    let sql = "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? \
               AND COLUMN_TYPE = 'tinyint(1)'";
    let rows = fetch(connection, sql, &[schema]).await?;
    let mut loose = BTreeSet::new();
    for row in &rows {
        let place = [text(row, 0)?, text(row, 1)?];
        let (Ok(schema), Ok(table), Ok(column)) = (quote(schema), quote(&place[0]), quote(&place[1])) else { continue };
        let sql = format!(
            "SELECT CAST(EXISTS (SELECT 1 FROM (SELECT {column} AS c FROM {schema}.{table} LIMIT {SAMPLE_ROWS}) s \
             WHERE c NOT IN (0, 1)) AS SIGNED)"
        );
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await;
        if found.is_ok_and(|row| number(&row, 0).is_ok_and(|found| found == Some(1))) {
            loose.insert(place);
        }
    }
    Ok(loose)
}

pub(crate) async fn describe(connection: &mut MySqlConnection, schema: &str, table: &TableRef) -> Result<Described> {
    let (schema, name) = (table.schema().unwrap_or(schema), table.name());
    let sql = "SELECT TABLE_NAME, TABLE_TYPE, TABLE_COMMENT, TABLE_ROWS FROM information_schema.TABLES \
               WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')";
    let listed = fetch(connection, sql, &[schema, name]).await?;
    // The catalog compares names without case, tables on most systems do not.
    let listed = listed.iter().find(|row| text(row, 0).is_ok_and(|found| found == name));
    let listed = listed.ok_or_else(|| Error::new(ErrorCode::UndefinedTable, "table does not exist in the source"))?;
    let kind = if text(listed, 1)? == "VIEW" { TableKind::View } else { TableKind::Table };
    let (columns, declared) = columns(connection, schema, name).await?;
    let (primary_key, indexes, unique) = indexes(connection, schema, name).await?;
    let split = match (&primary_key[..], kind) {
        ([key], TableKind::Table) if is_integer(&declared, key) => split(connection, schema, name, key).await?,
        _ => None,
    };
    let comment = text(listed, 2)?;
    let remote = RemoteTable {
        table: TableRef::new([schema, name])?,
        kind,
        columns,
        primary_key,
        unique,
        foreign_keys: foreign_keys(connection, schema, name).await?,
        indexes,
        // A view's comment is the word itself.
        comment: Some(comment).filter(|comment| !comment.is_empty() && kind == TableKind::Table),
        row_estimate: number(listed, 3)?,
        split,
    };
    Ok(Described { remote, declared })
}

fn is_integer(declared: &HashMap<Identifier, Declared>, key: &Identifier) -> bool {
    declared.get(key).is_some_and(|declared| matches!(declared.native, Native::Integer { digits: ..=19, .. }))
}

async fn columns(
    connection: &mut MySqlConnection,
    schema: &str,
    table: &str,
) -> Result<(Vec<RemoteColumn>, HashMap<Identifier, Declared>)> {
    let sql = "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME, COLUMN_COMMENT, TABLE_NAME, \
               IF(EXTRA <> '' OR (COLUMN_DEFAULT IS NOT NULL AND COLUMN_DEFAULT <> 'NULL'), 'YES', 'NO') \
               FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let rows = fetch(connection, sql, &[schema, table]).await?;
    let (mut columns, mut declared) = (Vec::new(), HashMap::new());
    for row in rows.iter().filter(|row| text(row, 5).is_ok_and(|found| found == table)) {
        let native_type = text(row, 1)?;
        let found = Declared::parse(&native_type, binary::text(row, 3)?.as_deref());
        let meaning = declared::interpret(found.native);
        let name = Identifier::new(text(row, 0)?)?;
        // Short texts are read so that they compare by code point; of long ones the server sorts the beginning only.
        let collation = match found.native {
            Native::Text(_) if !declared::is_short(found.native) => Collation::Named(found.collation.as_str().into()),
            _ => Collation::Binary,
        };
        let is_by_bytes = found.collation.ends_with("_bin") || found.collation == "binary";
        let equality = matches!(found.native, Native::Text(_) | Native::Listed) && !is_by_bytes;
        let equality = equality.then(|| found.collation.clone());
        declared.insert(name.clone(), found);
        columns.push(RemoteColumn {
            name,
            native_type,
            value_type: meaning.map(|(value_type, _)| value_type),
            nullable: text(row, 2)? != "NO",
            has_default: text(row, 6)? == "YES",
            collation,
            encoding: meaning.map_or(Encoding::Canonical, |(_, encoding)| encoding),
            equality,
            comment: binary::text(row, 4)?.filter(|comment| !comment.is_empty()),
        });
    }
    Ok((columns, declared))
}

/// What the server calls every primary key.
const PRIMARY: &str = "PRIMARY";

type Keys = (Vec<Identifier>, Vec<Index>, Vec<Vec<Identifier>>);

/// Primary key, indexes, and further unique keys.
async fn indexes(connection: &mut MySqlConnection, schema: &str, table: &str) -> Result<Keys> {
    let sql = "SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, TABLE_NAME, INDEX_TYPE FROM information_schema.STATISTICS \
               WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX";
    let rows = fetch(connection, sql, &[schema, table]).await?;
    let mut found: BTreeMap<String, Index> = BTreeMap::new();
    let mut expressions = Vec::new();
    for row in rows.iter().filter(|row| text(row, 3).is_ok_and(|found| found == table)) {
        let name = text(row, 0)?;
        let unique = number(row, 1)? == Some(0);
        let index = found.entry(name.clone()).or_insert_with(|| Index {
            name: name.clone(),
            columns: Vec::new(),
            unique,
            partial: false,
            plain: true,
            keeps: match (unique, name.as_str()) {
                (true, PRIMARY) => Some(KeyKind::Primary),
                (true, _) => Some(KeyKind::Unique),
                (false, _) => None,
            },
        });
        index.plain &= text(row, 4)? == "BTREE";
        match binary::text(row, 2)? {
            Some(column) => index.columns.push(Identifier::new(column)?),
            None => {
                index.plain = false;
                expressions.push(name);
            }
        }
    }
    let primary = found.get(PRIMARY).map_or(Vec::new(), |index| index.columns.clone());
    let unique = found.values().filter(|i| i.unique && i.name != PRIMARY && !expressions.contains(&i.name));
    let unique = unique.map(|index| index.columns.clone()).collect();
    Ok((primary, found.into_values().collect(), unique))
}

async fn foreign_keys(connection: &mut MySqlConnection, schema: &str, table: &str) -> Result<Vec<ForeignKey>> {
    let sql = "SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, \
               k.REFERENCED_COLUMN_NAME, k.TABLE_NAME, r.DELETE_RULE, r.UPDATE_RULE \
               FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
               ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
               AND r.TABLE_NAME = k.TABLE_NAME \
               WHERE k.TABLE_SCHEMA = ? AND k.TABLE_NAME = ? AND k.REFERENCED_TABLE_NAME IS NOT NULL \
               ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION";
    let rows = fetch(connection, sql, &[schema, table]).await?;
    let mut keys: BTreeMap<String, ForeignKey> = BTreeMap::new();
    for row in rows.iter().filter(|row| text(row, 5).is_ok_and(|found| found == table)) {
        let references = TableRef::new([text(row, 2)?, text(row, 3)?])?;
        let action = |place| Ok::<_, Error>(ReferentialAction::from_words(&text(row, place)?).unwrap_or_default());
        let (on_delete, on_update) = (action(6)?, action(7)?);
        let name = text(row, 0)?;
        let key = keys.entry(name.clone()).or_insert_with(|| ForeignKey {
            name: Some(name),
            columns: Vec::new(),
            references,
            referenced_columns: Vec::new(),
            on_delete,
            on_update,
        });
        key.columns.push(Identifier::new(text(row, 1)?)?);
        key.referenced_columns.push(Identifier::new(text(row, 4)?)?);
    }
    Ok(keys.into_values().collect())
}

/// First and last key, found at both ends of the index.
async fn split(connection: &mut MySqlConnection, schema: &str, table: &str, key: &Identifier) -> Result<Option<Split>> {
    let (Ok(schema), Ok(table), Ok(column)) = (quote(schema), quote(table), quote(key.as_str())) else {
        return Ok(None);
    };
    let sql = format!("SELECT MIN({column}), MAX({column}) FROM {schema}.{table}");
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(|error| from_sqlx(&error))?;
    let end = |index| {
        let text = rows.first().and_then(|row| binary::text(row, index).ok().flatten());
        text.and_then(|text| text.parse::<i64>().ok())
    };
    Ok(end(0).zip(end(1)).map(|(least, greatest)| Split { column: key.clone(), least, greatest }))
}

pub(crate) async fn statistics(
    connection: &mut MySqlConnection,
    schema: &str,
    table: &TableRef,
) -> Result<TableStatistics> {
    let (schema, name) = (table.schema().unwrap_or(schema), table.name());
    let sql = "SELECT TABLE_ROWS, DATA_LENGTH, TABLE_NAME FROM information_schema.TABLES \
               WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";
    let rows = fetch(connection, sql, &[schema, name]).await?;
    let found = rows.iter().find(|row| text(row, 2).is_ok_and(|found| found == name));
    let found = found.ok_or_else(|| Error::new(ErrorCode::UndefinedTable, "table does not exist in the source"))?;
    // Only the first column of an index has a count of its own values.
    let sql = "SELECT COLUMN_NAME, MAX(CARDINALITY) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? \
               AND TABLE_NAME = ? AND SEQ_IN_INDEX = 1 AND COLUMN_NAME IS NOT NULL GROUP BY COLUMN_NAME";
    let mut columns = Vec::new();
    for row in fetch(connection, sql, &[schema, name]).await? {
        columns.push(ColumnStatistics {
            name: Identifier::new(text(&row, 0)?)?,
            distinct: number(&row, 1)?,
            null_fraction: None,
            least: None,
            greatest: None,
        });
    }
    Ok(TableStatistics { rows: number(found, 0)?, bytes: number(found, 1)?, columns })
}

/// The values of an ENUM or SET as the server writes its type (`enum('a','it''s')`); none for another type.
#[must_use]
pub fn enum_values(native_type: &str) -> Option<Vec<String>> {
    let lower = native_type.to_ascii_lowercase();
    let start = ["enum(", "set("].into_iter().find(|start| lower.starts_with(start))?;
    let mut rest = native_type.get(start.len()..)?.strip_suffix(')')?;
    let mut values = Vec::new();
    while let Some(quoted) = rest.strip_prefix('\'') {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        rest = loop {
            let (at, character) = characters.next()?;
            if character != '\'' {
                value.push(character);
                continue;
            }
            let after = quoted.get(at + 1..)?;
            if !after.starts_with('\'') {
                break after;
            }
            value.push('\'');
            characters.next();
        };
        values.push(value);
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    rest.is_empty().then_some(values)
}

/// The catalog as text: what is asked is a constant, and what it is asked about is bound.
pub(crate) async fn fetch(
    connection: &mut MySqlConnection,
    sql: &'static str,
    binds: &[&str],
) -> Result<Vec<MySqlRow>> {
    let mut query = sqlx::query(sql).persistent(false);
    for bind in binds {
        query = query.bind((*bind).to_owned());
    }
    query.fetch_all(connection).await.map_err(|error| from_sqlx(&error))
}

pub(crate) fn text(row: &MySqlRow, index: usize) -> Result<String> {
    binary::text(row, index)?.ok_or_else(|| Error::internal("the source's catalog holds a NULL"))
}

pub(crate) fn number(row: &MySqlRow, index: usize) -> Result<Option<u64>> {
    binary::integer(row, index).map(|number| number.and_then(|number| u64::try_from(number).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_an_enum_are_read_from_its_type() {
        let values = |list: &[&str]| Some(list.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        for (native, expected) in [
            ("enum('a','b c')", values(&["a", "b c"])),
            ("ENUM('it''s',',')", values(&["it's", ","])),
            ("set('x')", values(&["x"])),
            ("varchar(3)", None),
            ("enum('a", None),
        ] {
            assert_eq!(enum_values(native), expected, "{native}");
        }
    }
}
