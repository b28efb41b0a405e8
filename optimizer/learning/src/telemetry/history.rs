//! What the store holds of the past: runs of fragments read back, and what is forgotten by age and size.

use querygate_telemetry_api::fragment::FragmentShape;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

/// Templates whose texts are kept, of statements and of fragments.
const TEMPLATES_MAX: i64 = 20_000;
/// Share of the records that go when the file is too large.
const SHARE_DROPPED: i64 = 10;

/// A stored run of a fragment.
#[derive(Debug, Clone)]
pub(crate) struct FragmentRow {
    /// UTC seconds.
    pub(crate) at: i64,
    pub(crate) fingerprint: u64,
    pub(crate) source: String,
    pub(crate) shape: FragmentShape,
    pub(crate) estimated: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) total_us: u64,
}

pub(super) fn fragment_row(row: &sqlx::sqlite::SqliteRow) -> Option<FragmentRow> {
    let number = |at: usize| row.try_get::<i64, _>(at).ok().and_then(|n| u64::try_from(n).ok());
    Some(FragmentRow {
        at: row.try_get::<i64, _>(0).ok()? / 1_000_000,
        fingerprint: row.try_get::<i64, _>(1).ok()?.cast_unsigned(),
        source: row.try_get(2).ok()?,
        shape: serde_json::from_str(row.try_get(3).ok()?).ok()?,
        estimated: number(4),
        rows: number(5)?,
        bytes: number(6)?,
        total_us: number(7)?,
    })
}

pub(super) async fn retain(
    connection: &mut SqliteConnection,
    before: Option<i64>,
    size_max: u64,
) -> std::result::Result<u64, sqlx::Error> {
    let mut gone = 0;
    if let Some(before) = before {
        let micros = before.saturating_mul(1_000_000);
        gone += sqlx::query("DELETE FROM statement WHERE at < ?1")
            .bind(micros)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        sqlx::query("DELETE FROM fragment WHERE at < ?1").bind(micros).execute(&mut *connection).await?;
    }
    for table in ["template", "fragment_template"] {
        // The name is one of the two above.
        let sql = format!(
            "DELETE FROM {table} WHERE fingerprint IN \
             (SELECT fingerprint FROM {table} ORDER BY last DESC LIMIT -1 OFFSET {TEMPLATES_MAX})"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    // Each round drops a tenth, so this ends; what remains at the end are documents.
    for _ in 0..40 {
        let pages = |what: &'static str| sqlx::query_scalar::<_, i64>(what);
        let count = pages("PRAGMA page_count").fetch_one(&mut *connection).await?;
        let free = pages("PRAGMA freelist_count").fetch_one(&mut *connection).await?;
        let size = pages("PRAGMA page_size").fetch_one(&mut *connection).await?;
        let used = u64::try_from((count - free).saturating_mul(size)).unwrap_or(0);
        if used <= size_max {
            break;
        }
        let mut dropped = 0;
        for table in ["statement", "fragment"] {
            let sql = format!(
                "DELETE FROM {table} WHERE seq <= \
                 (SELECT min(seq) + (max(seq) - min(seq)) / {SHARE_DROPPED} FROM {table})"
            );
            let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?.rows_affected();
            dropped += done;
            gone += if table == "statement" { done } else { 0 };
        }
        if dropped == 0 {
            break;
        }
    }
    sqlx::raw_sql("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await?;
    Ok(gone)
}
