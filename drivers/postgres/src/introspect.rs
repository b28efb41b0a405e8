//! What a database says of its tables. Reads PostgreSQL's own catalog; every name is bound, none is printed.

use crate::connect::connection::Connection;
use crate::wire::declared::{self, Named};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::Date32Type;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::remote::{
    ColumnStatistics, ForeignKey, Index, KeyKind, RemoteColumn, RemoteTable, TableKind, TableStatistics,
};
use querygate_driver_api::value::Value;
use querygate_types::{Error, ErrorCode, ReferentialAction, Result};
use std::collections::BTreeMap;
use std::time::SystemTime;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

/// Schema of a table that is named without one.
const SCHEMA: &str = "public";

/// Partitions are read through their table.
const TABLES: &str = "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
     AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') ORDER BY 1, 2";

const TABLE: &str = "SELECT c.oid, c.relkind::text, c.reltuples::float8, obj_description(c.oid, 'pg_class') \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// Domains are followed to their base type, which keeps the type's arguments.
const COLUMNS: &str = "WITH RECURSIVE base(num, typ, arguments, required) AS ( \
         SELECT a.attnum, a.atttypid, a.atttypmod, a.attnotnull FROM pg_attribute a \
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped \
       UNION ALL \
         SELECT b.num, t.typbasetype, t.typtypmod, b.required OR t.typnotnull \
         FROM base b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd') \
     SELECT a.attname::text, format_type(b.typ, b.arguments), b.required, col_description(a.attrelid, a.attnum), \
            l.collname::text, coalesce(l.collisdeterministic, true), \
            d.datlocprovider = 'c' AND d.datcollate IN ('C', 'POSIX'), a.atthasdef OR a.attidentity <> '' \
     FROM base b JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd' \
     JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = b.num \
     JOIN pg_database d ON d.datname = current_database() \
     LEFT JOIN pg_collation l ON l.oid = a.attcollation ORDER BY a.attnum";

const KEYS: &str = "SELECT con.contype::text, \
       ARRAY(SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY AS k(num, place) \
             JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.num ORDER BY k.place), \
       n.nspname::text, c.relname::text, \
       ARRAY(SELECT a.attname::text FROM unnest(con.confkey) WITH ORDINALITY AS k(num, place) \
             JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.num ORDER BY k.place), \
       con.confdeltype::text, con.confupdtype::text, con.conname::text \
     FROM pg_constraint con LEFT JOIN pg_class c ON c.oid = con.confrelid \
     LEFT JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE con.conrelid = $1 AND con.contype IN ('p', 'f') ORDER BY con.conname";

const INDEXES: &str = "SELECT c.relname::text, i.indisunique, i.indpred IS NOT NULL, \
       i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indisprimary, \
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num \
             WHERE k.place <= i.indnkeyatts ORDER BY k.place), \
       m.amname = 'btree' AND i.indexprs IS NULL, \
       (SELECT con.contype::text FROM pg_constraint con WHERE con.conindid = i.indexrelid AND con.contype IN ('p', 'u') \
        AND con.conrelid = i.indrelid LIMIT 1) \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam WHERE i.indrelid = $1 AND i.indisvalid ORDER BY 1";

/// Values of types that lie on a line, as texts: the commonest ones, and bounds of shares of the others in their order.
const STATISTICS: &str = "SELECT s.attname::text, s.n_distinct::float8, s.null_frac::float8, a.atttypid::regtype::text, \
       CASE WHEN a.atttypid = ANY(l.types) THEN s.most_common_vals::text::text[] END, \
       CASE WHEN a.atttypid = ANY(l.types) THEN s.histogram_bounds::text::text[] END \
     FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname \
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename \
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname, \
     (SELECT ARRAY['int2', 'int4', 'int8', 'numeric', 'date']::regtype[]::oid[]) AS l(types) \
     WHERE s.schemaname = $1 AND s.tablename = $2 ORDER BY s.attname, s.inherited DESC";

const SIZE: &str = "SELECT c.reltuples::float8, pg_relation_size(c.oid) FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

const VITALS: &str = "SELECT current_setting('server_version'), clock_timestamp(), \
     coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false)";

const ENUMS: &str = "SELECT format_type(e.enumtypid, NULL), array_agg(e.enumlabel::text ORDER BY e.enumsortorder) \
     FROM pg_enum e GROUP BY e.enumtypid ORDER BY 1";

/// Columns of domains, with the domain's name.
const DOMAINS: &str = "SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(t.oid, NULL) FROM pg_attribute a \
     JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'd' \
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
     AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')";

/// Columns whose numerics may have any number of places, those of domains too.
const UNBOUNDED: &str = "WITH RECURSIVE base(rel, name, typ, arguments) AS ( \
         SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod FROM pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped \
       UNION ALL \
         SELECT b.rel, b.name, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd') \
     SELECT n.nspname::text, c.relname::text, b.name::text, b.typ = 'numeric[]'::regtype FROM base b JOIN pg_class c ON c.oid = b.rel \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE b.typ IN ('numeric'::regtype, 'numeric[]'::regtype) AND b.arguments = -1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
     AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
     AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, b.name, 'SELECT') ORDER BY 1, 2, 3";

/// Rows of a table that are looked at for the places of its numerics.
const SAMPLE_ROWS: usize = 100_000;

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

fn cell<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(Error::internal)
}

fn missing() -> Error {
    Error::new(ErrorCode::UndefinedTable, "table does not exist in the source")
}

/// Schema and name.
pub(crate) fn path(table: &TableRef) -> Result<(&str, &str)> {
    match table.parts().len() {
        1 | 2 => Ok((table.schema().unwrap_or(SCHEMA), table.name())),
        // A statement sees one database only.
        _ => Err(missing()),
    }
}

pub(crate) async fn tables(source: &str, connection: &Connection) -> Result<Vec<TableRef>> {
    let rows = connection.rows(source, TABLES, &[]).await?;
    rows.iter().map(|row| TableRef::new([cell::<String>(row, 0)?, cell::<String>(row, 1)?])).collect()
}

pub(crate) async fn describe(source: &str, connection: &Connection, table: &TableRef) -> Result<RemoteTable> {
    let (schema, name) = path(table)?;
    let found = connection.rows(source, TABLE, &[&schema, &name]).await?;
    let found = found.first().ok_or_else(missing)?;
    let oid: u32 = cell(found, 0)?;
    // Three questions, one way to the server and back.
    let this: Parameters<'_> = &[&oid];
    let (columns, keys, indexes) = futures::try_join!(
        connection.rows(source, COLUMNS, this),
        connection.rows(source, KEYS, this),
        connection.rows(source, INDEXES, this),
    )?;
    let (primary_key, foreign_keys) = self::keys(&keys)?;
    let mut unique = Vec::new();
    let mut listed = Vec::new();
    for row in &indexes {
        let columns = names(cell(row, 4)?)?;
        if cell(row, 3)? {
            unique.push(columns.clone());
        }
        let keeps =
            cell::<Option<&str>>(row, 6)?.map(|kind| if kind == "p" { KeyKind::Primary } else { KeyKind::Unique });
        let (name, unique, partial, plain) = (cell(row, 0)?, cell(row, 1)?, cell(row, 2)?, cell(row, 5)?);
        listed.push(Index { name, columns, unique, partial, plain, keeps });
    }
    let kind = match cell::<&str>(found, 1)? {
        "v" => TableKind::View,
        "m" => TableKind::MaterializedView,
        "f" => TableKind::ForeignTable,
        _ => TableKind::Table,
    };
    Ok(RemoteTable {
        table: TableRef::new([schema, name])?,
        kind,
        columns: columns.iter().map(column).collect::<Result<_>>()?,
        primary_key,
        unique,
        foreign_keys,
        indexes: listed,
        comment: cell(found, 3)?,
        row_estimate: counted(cell(found, 2)?),
        split: None,
    })
}

fn column(row: &Row) -> Result<RemoteColumn> {
    let native_type: String = cell(row, 1)?;
    let named: Option<&str> = cell(row, 4)?;
    let (deterministic, database_is_c) = (cell(row, 5)?, cell(row, 6)?);
    let named = named.map(|name| Named { name, deterministic });
    let value_type = declared::interpret(&native_type);
    Ok(RemoteColumn {
        name: Identifier::new(cell::<String>(row, 0)?)?,
        value_type: Some(value_type),
        nullable: !cell::<bool>(row, 2)?,
        has_default: cell(row, 7)?,
        collation: declared::collation(&native_type, named, database_is_c),
        encoding: declared::read_as(&native_type, value_type).map_err(Error::internal)?,
        equality: declared::own_equality(&native_type, named),
        comment: cell(row, 3)?,
        native_type,
    })
}

fn names(names: Vec<String>) -> Result<Vec<Identifier>> {
    names.into_iter().map(Identifier::new).collect()
}

fn keys(rows: &[Row]) -> Result<(Vec<Identifier>, Vec<ForeignKey>)> {
    let (mut primary, mut foreign) = (Vec::new(), Vec::new());
    for row in rows {
        let columns = names(cell(row, 1)?)?;
        if cell::<&str>(row, 0)? == "p" {
            primary = columns;
            continue;
        }
        let references = TableRef::new([cell::<String>(row, 2)?, cell::<String>(row, 3)?])?;
        let action = |place| Ok::<_, Error>(ReferentialAction::from_letter(cell(row, place)?).unwrap_or_default());
        let (on_delete, on_update) = (action(5)?, action(6)?);
        let referenced_columns = names(cell(row, 4)?)?;
        let name = Some(cell(row, 7)?);
        foreign.push(ForeignKey { name, columns, references, referenced_columns, on_delete, on_update });
    }
    Ok((primary, foreign))
}

/// A count that the server keeps as a float; negative for "never counted".
fn counted(rows: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, not negative")]
    (rows >= 0.0).then_some(rows as u64)
}

pub(crate) async fn statistics(source: &str, connection: &Connection, table: &TableRef) -> Result<TableStatistics> {
    let (schema, name) = path(table)?;
    let this: Parameters<'_> = &[&schema, &name];
    let (size, columns) =
        futures::try_join!(connection.rows(source, SIZE, this), connection.rows(source, STATISTICS, this))?;
    let size = size.first().ok_or_else(missing)?;
    let rows = counted(cell(size, 0)?);
    let bytes = u64::try_from(cell::<Option<i64>>(size, 1)?.unwrap_or(0)).ok();
    let mut known: BTreeMap<String, ColumnStatistics> = BTreeMap::new();
    for row in &columns {
        let (column, distinct, nulls): (String, f64, f64) = (cell(row, 0)?, cell(row, 1)?, cell(row, 2)?);
        let native: &str = cell(row, 3)?;
        let common: Option<Vec<Option<&str>>> = cell(row, 4)?;
        let bounds: Option<Vec<Option<&str>>> = cell(row, 5)?;
        let texts = [common, bounds].into_iter().flatten().flatten().flatten();
        let (least, greatest) = ends(texts.filter_map(|text| on_a_line(native, text)));
        let statistics = ColumnStatistics {
            name: Identifier::new(column.clone())?,
            distinct: distinct_values(distinct, rows),
            null_fraction: Some(nulls),
            least,
            greatest,
        };
        known.entry(column).or_insert(statistics);
    }
    Ok(TableStatistics { rows, bytes, columns: known.into_values().collect() })
}

/// A value in a form that is near enough for an estimate, with its place.
fn on_a_line(native: &str, text: &str) -> Option<(f64, Value)> {
    match native {
        "date" => Date32Type::parse(text).map(|days| (f64::from(days), Value::Date(days))),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()).map(|number| (number, Value::Float64(number))),
    }
}

fn ends(values: impl Iterator<Item = (f64, Value)>) -> (Option<Value>, Option<Value>) {
    let mut ends: Option<[(f64, Value); 2]> = None;
    for value in values {
        ends = Some(match ends {
            None => [value.clone(), value],
            Some([least, greatest]) if value.0 < least.0 => [value, greatest],
            Some([least, greatest]) if value.0 > greatest.0 => [least, value],
            Some(same) => same,
        });
    }
    ends.map_or((None, None), |[least, greatest]| (Some(least.1), Some(greatest.1)))
}

/// `n_distinct`: a number of values, or minus their share of the rows; 0 for unknown.
fn distinct_values(distinct: f64, rows: Option<u64>) -> Option<u64> {
    if distinct > 0.0 {
        return counted(distinct);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    rows.filter(|_| distinct < 0.0).and_then(|rows| counted(-distinct * rows as f64))
}

pub(crate) async fn vitals(source: &str, connection: &Connection) -> Result<(String, SystemTime, bool)> {
    let rows = connection.rows(source, VITALS, &[]).await?;
    let row = rows.first().ok_or_else(|| Error::internal("a server says nothing of itself"))?;
    Ok((cell(row, 0)?, cell(row, 1)?, cell(row, 2)?))
}

pub(crate) async fn enums(source: &str, connection: &Connection) -> Result<BTreeMap<String, Vec<String>>> {
    let rows = connection.rows(source, ENUMS, &[]).await?;
    rows.iter().map(|row| Ok((cell(row, 0)?, cell(row, 1)?))).collect()
}

/// Names of domains by schema, table and column.
pub(crate) async fn domains(source: &str, connection: &Connection) -> Result<BTreeMap<[String; 3], String>> {
    let rows = connection.rows(source, DOMAINS, &[]).await?;
    rows.iter().map(|row| Ok(([cell(row, 0)?, cell(row, 1)?, cell(row, 2)?], cell(row, 3)?))).collect()
}

/// What the numerics of a column without a precision look like in its first rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NumericSample {
    /// Most digits before the point, and after it.
    pub whole: u32,
    pub places: u32,
    /// Whether there are values at all.
    pub any: bool,
    /// NaN or an infinity is among them.
    pub special: bool,
}

/// How long each sample may take, by the server's own setting.
const SET_SAMPLE_TIME: &str = "SELECT set_config('statement_timeout', $1, false)";
const SAMPLE_TIME: &str = "2s";

/// Samples by schema, table and column.
pub(crate) async fn unbounded_numerics(
    source: &str,
    connection: &Connection,
) -> Result<BTreeMap<[String; 3], NumericSample>> {
    let mut samples = BTreeMap::new();
    let asked = connection.rows(source, "SELECT current_setting('statement_timeout')", &[]).await?;
    let before: String = cell(asked.first().ok_or_else(missing)?, 0)?;
    connection.rows(source, SET_SAMPLE_TIME, &[&SAMPLE_TIME]).await?;
    for row in connection.rows(source, UNBOUNDED, &[]).await? {
        let place: [String; 3] = [cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?];
        let quoted = place.iter().map(|name| crate::compile::dialect::quote(name)).collect::<Result<Vec<_>, _>>();
        let Ok([schema, table, column]) = quoted.as_deref() else { continue };
        let values = if cell(&row, 3)? { format!("unnest({column})") } else { column.clone() };
        let text = format!(
            "SELECT coalesce(max(scale(v)), 0), coalesce(max(length(trunc(abs(v))::text)) FILTER (WHERE scale(v) IS NOT NULL), 0), \
                    count(v) > 0, coalesce(bool_or(v IS NOT NULL AND scale(v) IS NULL), false) \
             FROM (SELECT {values} AS v FROM {schema}.{table} LIMIT {SAMPLE_ROWS}) AS s"
        );
        // What cannot be read, or only slowly, has no sample; whether it is served is found out elsewhere.
        let rows = match connection.rows_of(source, &text).await {
            Ok(rows) => rows,
            // A foreign server that is gone says what this one would say of itself.
            Err(error) if connection.rows(source, "SELECT 1", &[]).await.is_err() => return Err(error),
            Err(_) => continue,
        };
        let row = rows.first().ok_or_else(missing)?;
        let digits = |index| cell::<i32>(row, index).map(|digits| u32::try_from(digits).unwrap_or(0));
        let sample =
            NumericSample { places: digits(0)?, whole: digits(1)?, any: cell(row, 2)?, special: cell(row, 3)? };
        samples.insert(place, sample);
    }
    connection.rows(source, SET_SAMPLE_TIME, &[&before]).await?;
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_among_values_on_a_line() {
        let of = |native: &str, texts: &[&str]| ends(texts.iter().filter_map(|text| on_a_line(native, text)));
        assert_eq!(of("bigint", &["7", "-3", "12"]), (Some(Value::Float64(-3.0)), Some(Value::Float64(12.0))));
        assert_eq!(of("date", &["1970-01-03", "1970-01-02"]), (Some(Value::Date(1)), Some(Value::Date(2))));
        assert_eq!(of("numeric", &["NaN"]), (None, None));
    }

    #[test]
    fn distinct_counts_are_numbers_or_shares() {
        for (distinct, rows, expected) in
            [(10.0, Some(100), Some(10)), (-0.5, Some(100), Some(50)), (-1.0, None, None), (0.0, Some(100), None)]
        {
            assert_eq!(distinct_values(distinct, rows), expected, "{distinct}");
        }
        assert_eq!(counted(-1.0), None);
    }
}
