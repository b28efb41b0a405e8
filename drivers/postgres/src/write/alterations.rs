//! What the server makes of new rows by itself: a trigger or a rule may make anything of them, a default and a generated column fill what
//! is left out.

use crate::introspect;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::write::Alterations;
use querygate_types::{Error, Result};
use tokio_postgres::{Client, Row};

/// A row for each column of a table whose new rows are stored as they are given, but for what is said of the column: that it is filled,
/// and that it keeps another text than it is given. A foreign key's own triggers look, and change nothing.
const ASKED: &str = "SELECT a.attname::text, a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '', a.atttypid = 'jsonb'::regtype \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
       AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
       AND NOT EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid)";

/// What becomes of new rows of a table. `None`: anything may.
///
/// # Errors
/// Of the connection, first; a name that is none.
pub(super) async fn of(
    client: &Client,
    table: &TableRef,
) -> std::result::Result<Result<Option<Alterations>>, tokio_postgres::Error> {
    let (schema, name) = match introspect::path(table) {
        Ok(path) => path,
        Err(error) => return Ok(Err(error)),
    };
    let columns = client.query(ASKED, &[&schema, &name]).await?;
    Ok(alterations_of(&columns))
}

/// What the server's answer says; `None`: it has no row for the table, which is none or has a trigger or a rule.
fn alterations_of(columns: &[Row]) -> Result<Option<Alterations>> {
    let mut alterations = Alterations::default();
    for column in columns {
        let name: String = column.try_get(0).map_err(Error::internal)?;
        let name = Identifier::new(name)?;
        if column.try_get(1).map_err(Error::internal)? {
            alterations.filled.push(name.clone());
        }
        if column.try_get(2).map_err(Error::internal)? {
            alterations.reformed.push(name);
        }
    }
    Ok((!columns.is_empty()).then_some(alterations))
}
