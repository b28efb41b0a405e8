//! Asks sources how large their tables are, beside queries. What does not answer in time keeps what was known; nothing is
//! ever an error here.

use crate::deployment::{Deployment, SourceTable};
use crate::remote::DriverTable;
use datafusion::execution::SessionState;
use datafusion::execution::context::SessionContext;
use futures::{StreamExt, stream};
use std::any::Any;
use std::time::Duration;

/// How long one table may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Tables asked at the same time: a source has few connections, and queries want them.
const AT_ONCE: usize = 2;

impl Deployment {
    /// Asks for the size of every table that is not in memory.
    pub async fn measure(&self) {
        let state = SessionContext::new().state();
        let mut tables: Vec<(&String, &SourceTable)> = self.tables.iter().collect();
        tables.sort_by_key(|(object, _)| *object);
        let asked =
            tables.into_iter().map(|(object, table)| (object, tokio::time::timeout(ANSWER_MAX, ask(table, &state))));
        stream::iter(asked)
            .for_each_concurrent(AT_ONCE, |(object, asked)| async move {
                if asked.await.is_err() {
                    tracing::debug!(object, "a source does not tell the size of a table");
                }
            })
            .await;
    }
}

async fn ask(table: &SourceTable, state: &SessionState) {
    let asked = match remote(table) {
        Some(remote) => remote.measure().await.map_err(|error| error.to_string()),
        // Files read their footers when a scan is planned; nothing runs it.
        None => {
            let planned = table.provider.scan(state, Some(&Vec::new()), &[], None).await;
            planned.map(drop).map_err(|error| error.to_string())
        }
    };
    if let Err(error) = asked {
        tracing::debug!(source = %table.source, error, "a source does not tell the size of a table");
    }
}

fn remote(table: &SourceTable) -> Option<&DriverTable> {
    let provider: &dyn Any = table.provider.as_ref();
    provider.downcast_ref()
}
