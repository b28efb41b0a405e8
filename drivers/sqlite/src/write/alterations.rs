//! What the database makes of new rows by itself: triggers and conflict clauses make anything of them, defaults and row ids fill what is
//! left out.

use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::write::Alterations;
use querygate_types::{Error, Result};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

/// A row for each column of a table whose new rows are stored as they are given, but for what is said of the column: that it is filled,
/// and that it is a row id, which is made even where NULL is given.
const ASKED: &str = "SELECT c.name, c.dflt_value IS NOT NULL OR c.hidden > 1, c.pk > 0 AND upper(c.type) = 'INTEGER' \
     FROM sqlite_schema t, pragma_table_xinfo(t.name) c \
     WHERE t.type = 'table' AND t.name = ?1 AND t.sql LIKE 'CREATE TABLE %' AND t.sql NOT LIKE '%CONFLICT%' \
       AND NOT EXISTS (SELECT 1 FROM sqlite_schema g WHERE g.type = 'trigger' AND lower(g.tbl_name) = lower(t.name))";

/// `None`: anything may become of them. The transaction is the only writer, so that the table stays as it is until its end.
///
/// # Errors
/// Of the connection, first; a name that is none.
pub(super) async fn of(
    connection: &mut SqliteConnection,
    table: &TableRef,
) -> sqlx::Result<Result<Option<Alterations>>> {
    let columns = sqlx::query(ASKED).bind(table.name()).fetch_all(connection).await?;
    let mut alterations = Alterations::default();
    for column in &columns {
        let name: String = column.try_get(0)?;
        let name = match Identifier::new(name) {
            Ok(name) => name,
            Err(error) => return Ok(Err(Error::internal(error))),
        };
        if column.try_get(1)? {
            alterations.filled.push(name.clone());
        }
        if column.try_get(2)? {
            alterations.reformed.push(name);
        }
    }
    Ok(Ok((!columns.is_empty()).then_some(alterations)))
}
