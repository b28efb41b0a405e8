//! What in the database itself stands against changes of a table: rights that the writing user lacks, and servers that take none. For
//! operators, before the first change is tried. A change is refused by the server itself.

use super::error::from_change;
use crate::connect::pool::Pool;
use crate::introspect;
use querygate_driver_api::identifier::TableRef;
use querygate_types::{Error, Result};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;

/// Catalogs are read by everybody, so that a table is found in a schema that the user may not use. A right on one column is enough:
/// which columns are written is the metadata's. What is no sequence, such as an index, must not be asked about as one: the server chooses
/// which of two conditions comes first, but for those of CASE.
const ASKED: &str = "SELECT pg_is_in_recovery(), has_schema_privilege(n.oid, 'USAGE'), has_any_column_privilege(c.oid, 'SELECT'), \
       has_any_column_privilege(c.oid, 'INSERT'), has_any_column_privilege(c.oid, 'UPDATE'), \
       has_table_privilege(c.oid, 'DELETE'), row_security_active(c.oid), \
       EXISTS (SELECT 1 FROM pg_depend d JOIN pg_class s ON s.oid = d.objid \
               WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid \
                 AND d.deptype = 'a' \
                 AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') ELSE false END) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";

/// # Errors
/// 08001: the server cannot be reached by the writing user.
pub(super) async fn of(pool: &Arc<Pool>, table: &TableRef) -> Result<Vec<String>> {
    let (schema, name) = introspect::path(table)?;
    let lease = pool.lease(None, &CancellationToken::new()).await?;
    let asked = lease.connection.client.query_opt(ASKED, &[&schema, &name]).await;
    let found = asked.map_err(|error| from_change(pool.source(), &error))?;
    lease.give_back();
    found.as_ref().map_or_else(|| Ok(vec!["the table is not there".to_owned()]), obstacles_in)
}

fn obstacles_in(found: &Row) -> Result<Vec<String>> {
    let is = |at: usize| found.try_get::<_, bool>(at).map_err(Error::internal);
    let mut obstacles = Vec::new();
    if is(0)? {
        obstacles.push("the server is a standby, which takes no changes".to_owned());
    }
    let rights = [(1, "USAGE of its schema"), (2, "SELECT"), (3, "INSERT"), (4, "UPDATE"), (5, "DELETE")];
    for (at, right) in rights {
        if !is(at)? {
            obstacles.push(lacks(right));
        }
    }
    if is(6)? {
        obstacles.push("row security of the database hides rows from the writing user".to_owned());
    }
    if is(7)? {
        obstacles.push(lacks("USAGE of the sequence of a column"));
    }
    Ok(obstacles)
}

fn lacks(right: &str) -> String {
    format!("the writing user lacks {right}")
}
