//! What a database tells of its tables for an index search: columns from its statistics, indexes with what rests on them,
//! writes since it began to count. Reads the catalog only.

use crate::connect::connection::Connection;
use querygate_driver_api::advice::{ExistingIndex, IndexAbilities, IndexedColumn, IndexedTable, Writes};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_types::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

const TABLE: &str = "SELECT c.oid, greatest(c.reltuples, 0)::float8, \
       (s.n_tup_ins + s.n_tup_del)::float8, s.n_tup_upd::float8, \
       greatest(extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time())) / 86400, 0)::float8 \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid \
     LEFT JOIN pg_stat_database d ON d.datname = current_database() \
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm')";

/// Types whose equal values may differ in their bytes are not stored once.
const COLUMNS: &str = "SELECT a.attname::text, \
       coalesce(s.avg_width, CASE WHEN t.typlen > 0 THEN t.typlen ELSE 32 END)::float8, t.typalign::text, \
       coalesce(s.n_distinct, -0.1)::float8, coalesce(s.null_frac, 0)::float8, \
       t.typname NOT IN ('numeric', 'float4', 'float8', 'jsonb') AND coalesce(l.collisdeterministic, true), \
       l.collname IS NOT NULL AND NOT (l.collname IN ('C', 'POSIX') OR l.collname = 'default' \
         AND d.datlocprovider = 'c' AND d.datcollate IN ('C', 'POSIX')), \
       coalesce(s.correlation, 0)::float8 \
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_database d ON d.datname = current_database() \
     LEFT JOIN pg_collation l ON l.oid = a.attcollation \
     LEFT JOIN LATERAL (SELECT x.avg_width, x.n_distinct, x.null_frac, x.correlation FROM pg_stats x \
       WHERE x.schemaname = n.nspname AND x.tablename = c.relname AND x.attname = a.attname \
       ORDER BY x.inherited DESC LIMIT 1) s ON true \
     WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const INDEXES: &str = "SELECT c.relname::text, i.indisunique, \
       i.indisprimary OR i.indisexclusion OR i.indisreplident \
         OR EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid), \
       i.indpred IS NOT NULL, i.indexprs IS NOT NULL, i.indisvalid AND i.indisready, \
       m.amname = 'btree' AND NOT EXISTS (SELECT 1 FROM unnest(i.indoption::int2[]) o WHERE o <> 0) \
         AND NOT EXISTS (SELECT 1 FROM pg_opclass p WHERE p.oid = ANY(i.indclass::oid[]) AND NOT p.opcdefault) \
         AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS k(num, coll) \
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num \
           WHERE k.coll <> 0 AND k.coll <> a.attcollation), \
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num \
             WHERE k.place <= i.indnkeyatts ORDER BY k.place), \
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num \
             WHERE k.place > i.indnkeyatts ORDER BY k.place), \
       s.idx_scan, pg_relation_size(i.indexrelid) \
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
     LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid WHERE i.indrelid = $1 ORDER BY 1";

/// Columns of the referring side of each foreign key.
const REFERS: &str = "SELECT ARRAY(SELECT a.attname::text FROM unnest(k.conkey) AS c(num) \
       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.num) \
     FROM pg_constraint k WHERE k.conrelid = $1 AND k.contype = 'f'";

/// Counting for less than this tells nothing of a day, in days.
const COUNTED_LEAST: f64 = 0.01;

fn cell<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(Error::internal)
}

/// One table, with how far its rows lie in the order of each column; `None`: none of this name that could have an index.
pub(super) async fn table(
    source: &str,
    connection: &Connection,
    table: &TableRef,
) -> Result<Option<(IndexedTable, Vec<f64>)>> {
    let (schema, name) = (table.schema().unwrap_or(super::SCHEMA), table.name());
    let found = connection.rows(source, TABLE, &[&schema, &name]).await?;
    let Some(found) = found.first() else { return Ok(None) };
    let (oid, rows): (u32, f64) = (cell(found, 0)?, cell(found, 1)?);
    let days: f64 = cell(found, 4)?;
    let written: (Option<f64>, Option<f64>) = (cell(found, 2)?, cell(found, 3)?);
    let writes = match written {
        (Some(inserted), Some(updated)) if days > COUNTED_LEAST => {
            Some(Writes { inserted: inserted / days, updated: updated / days })
        }
        _ => None,
    };
    let columns = connection.rows(source, COLUMNS, &[&oid]).await?;
    let ordered = columns.iter().map(|row| cell(row, 7).map(f64::abs)).collect::<Result<Vec<_>>>()?;
    let columns = columns.iter().map(|row| column(row, rows)).collect::<Result<Vec<_>>>()?;
    let refers = connection.rows(source, REFERS, &[&oid]).await?;
    let refers = refers.iter().map(|row| cell(row, 0)).collect::<Result<Vec<Vec<String>>>>()?;
    let indexes = connection.rows(source, INDEXES, &[&oid]).await?;
    let indexes = indexes.iter().map(|row| index(row, &refers, days)).collect::<Result<Vec<_>>>()?;
    let (table, row_key, abilities) = (table.clone(), Vec::new(), IndexAbilities::ALL);
    let table = IndexedTable { table, rows, columns, indexes, row_key, writes, abilities };
    Ok(Some((table, ordered)))
}

fn column(row: &Row, rows: f64) -> Result<IndexedColumn> {
    let (align, distinct): (&str, f64) = (cell(row, 2)?, cell(row, 3)?);
    Ok(IndexedColumn {
        name: Identifier::new(cell::<String>(row, 0)?)?,
        width: cell(row, 1)?,
        align: match align {
            "c" => 1,
            "s" => 2,
            "i" => 4,
            _ => 8,
        },
        // Negative: a share of the rows.
        distinct: if distinct < 0.0 { -distinct * rows } else { distinct }.max(1.0),
        nulls: cell(row, 4)?,
        dedupes: cell(row, 5)?,
        collates: cell(row, 6)?,
    })
}

fn index(row: &Row, refers: &[Vec<String>], days: f64) -> Result<ExistingIndex> {
    let names = |names: Vec<String>| names.into_iter().map(Identifier::new).collect::<Result<Vec<_>>>();
    let keys: Vec<String> = cell(row, 7)?;
    let serves = |columns: &Vec<String>| {
        keys.len() >= columns.len() && keys.iter().take(columns.len()).all(|key| columns.contains(key))
    };
    let constraint = cell::<bool>(row, 2)? || refers.iter().any(serves);
    let (scans, bytes): (Option<i64>, i64) = (cell(row, 9)?, cell(row, 10)?);
    Ok(ExistingIndex {
        name: cell(row, 0)?,
        keys: names(keys)?,
        include: names(cell(row, 8)?)?,
        unique: cell(row, 1)?,
        constraint,
        partial: cell(row, 3)?,
        expression: cell(row, 4)?,
        valid: cell(row, 5)?,
        plain: cell(row, 6)?,
        scans: scans.and_then(|scans| u64::try_from(scans).ok()),
        days,
        bytes: u64::try_from(bytes).ok(),
    })
}
