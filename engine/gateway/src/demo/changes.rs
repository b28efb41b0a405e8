//! `querygate demo --writes`: the CRM database and the tables in memory may be changed, each by itself and both together. Of the former the
//! metadata opens the opportunities. Changes no row itself.

use crate::config::{Config, SourceKind, Transactions};
use querygate_driver_api::write::GateId;
use querygate_driver_api::write::distributed::MARKER_TABLE;
use querygate_types::{Error, ErrorCode, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::Path;

/// What to try, printed after the guide.
pub(crate) const GUIDE: &str = "
The gate takes changes of opportunities. As sam:

  UPDATE opportunities SET stage = 'lost' WHERE id IN ('opp_00001', 'opp_00186') RETURNING id, name, stage;   -- his own alone
  UPDATE opportunities SET stage = 'proposal' WHERE id = 'opp_00186';                                         -- a rule says no
  UPDATE opportunities SET owner_id = 'usr_ada' WHERE id = 'opp_00313';                                       -- not his to give

Two hooks of the metadata (hooks.json) run at these changes, through every door: one fills the probability of a stage, one refuses.

  UPDATE opportunities SET stage = 'won' WHERE id = 'opp_00313' RETURNING id, stage, probability;   -- 100, by a script
  UPDATE opportunities SET amount = 1 WHERE id = 'opp_00411';                                       -- a script says no

Users are in memory and opportunities in SQLite. A transfer changes both sources or neither. As ada:

  BEGIN;
  UPDATE users SET region_id = 'emea' WHERE id = 'usr_13';
  UPDATE opportunities SET region_id = 'emea' WHERE owner_id = 'usr_13' AND stage = 'negotiation' AND amount > 248000;
  COMMIT;   -- or ROLLBACK. What is changed in memory goes with the process; what is in SQLite stays
";

/// The id of a demo's gate. Its sources are its own, so that no other gate meets it there.
const GATE: GateId = GateId::new(0x6465_6d6f_0000_0001);

/// Lets changes through, whatever the file says: of the CRM database and of memory, also in one transaction. `folder`: of the demo.
pub(crate) fn enable(config: &mut Config, folder: &Path) {
    config.writes = true;
    let own = || Transactions { log: folder.join("transactions"), gate: GATE };
    config.transactions.get_or_insert_with(own);
    for source in &mut config.sources {
        let (is_crm, is_reference) = (source.name == "crm", source.name == "reference");
        match &mut source.kind {
            SourceKind::Sqlite { writes, distributed, .. } if is_crm => (*writes, *distributed) = (true, true),
            SourceKind::Memory { writes } if is_reference => *writes = true,
            SourceKind::Sqlite { .. }
            | SourceKind::Memory { .. }
            | SourceKind::Files { .. }
            | SourceKind::Postgres(_)
            | SourceKind::Mysql(_)
            | SourceKind::Mongodb(_)
            | SourceKind::Native(_) => {}
        }
    }
}

/// Makes the table of markers in the CRM database, unless it is there: by it the database takes part in transactions of several sources.
///
/// # Errors
/// The database cannot be written.
pub(crate) async fn make_markers(config: &Config) -> Result<()> {
    for source in config.sources.iter().filter(|source| source.name == "crm") {
        let SourceKind::Sqlite { path, .. } = &source.kind else { continue };
        let made = async {
            let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let table =
                format!("CREATE TABLE IF NOT EXISTS {MARKER_TABLE} (id TEXT NOT NULL PRIMARY KEY, fate TEXT NOT NULL)");
            sqlx::raw_sql(AssertSqlSafe(table)).execute(&mut connection).await?;
            connection.close().await
        };
        made.await.map_err(|error| {
            Error::new(ErrorCode::SourceError, "the demo database cannot be changed").with_detail(error.to_string())
        })?;
    }
    Ok(())
}
