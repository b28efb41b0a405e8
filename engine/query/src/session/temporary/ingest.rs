//! Rows that a client sends for a temporary table: COPY FROM and its like of other doors.

use crate::session::gate_session::GateSession;
use crate::session::statements::changes::ingest::forced;
use crate::sql::copy_from::CopyFrom;
use crate::temporary::change::TemporaryChange;
use crate::temporary::changed_table::{TableChange, placed, stored};
use crate::temporary::definition::DefinedColumn;
use crate::temporary_rows::{RowsReader, count};
use crate::write::intent::unsupported;
use futures::StreamExt;
use querygate_query_api::outcome::BatchStream;
use querygate_query_api::requests::ingest::IngestColumn;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

impl GateSession {
    /// The columns that rows for a temporary table fill; `None`: the name means another table.
    pub(in crate::session) fn temporary_ingest(&self, copy: &CopyFrom) -> Result<Option<Arc<[IngestColumn]>>> {
        let Some(relation) = self.temporary_named(&copy.table)? else { return Ok(None) };
        let (definition, places) = TemporaryChange::of_rows(&relation, &copy.columns)?;
        let left = |(at, column): (usize, &DefinedColumn)| column.default.is_some() && !places.contains(&at);
        if definition.columns().iter().enumerate().any(left) {
            return Err(unsupported("COPY without a value for a column that has a default"));
        }
        let names = places.iter().filter_map(|place| definition.columns().get(*place));
        let names: Vec<String> = names.map(|column| column.name.clone()).collect();
        let force_not_null = forced("FORCE_NOT_NULL", &copy.force_not_null, &names)?;
        let force_null = forced("FORCE_NULL", &copy.force_null, &names)?;
        let columns = places.iter().enumerate().filter_map(|(at, place)| {
            let flag = |flags: &[bool]| flags.get(at).copied().unwrap_or_default();
            let (column, field) = (definition.columns().get(*place)?, definition.schema().fields().get(*place)?);
            Some(IngestColumn {
                name: column.name.clone(),
                pg_type: column.pg_type,
                data_type: field.data_type().clone(),
                force_not_null: flag(&force_not_null),
                force_null: flag(&force_null),
                has_default: false,
            })
        });
        Ok(Some(columns.collect()))
    }

    /// Adds rows that come to a temporary table; `None`: the name means another table.
    pub(in crate::session) async fn take_in_temporary(&self, copy: &CopyFrom, mut rows: BatchStream) -> Result<u64> {
        let _turn = self.turn().await?;
        let relation = self.temporary_named(&copy.table)?;
        let relation =
            relation.ok_or_else(|| Error::new(ErrorCode::UndefinedTable, "the temporary table was dropped"))?;
        let (definition, places) = TemporaryChange::of_rows(&relation, &copy.columns)?;
        let before = self.temporary.rows(relation.id)?;
        let interrupt = self.runs.interrupt(self.timeout());
        let mut chunks = Vec::new();
        let added: Result<()> = interrupt
            .within(async {
                while let Some(batch) = rows.next().await {
                    let batch = placed(&batch?, &places, &definition)?;
                    let batch = stored(&batch, &definition, &relation.name)?;
                    let tables = Arc::clone(&self.temporary);
                    chunks.push(self.on_workers(async move { tables.store().keep(batch) }).await?);
                }
                Ok(())
            })
            .await;
        added?;
        let of = TableChange {
            before: Arc::clone(&before),
            definition,
            table: relation.name.as_str().into(),
            tables: Arc::clone(&self.temporary),
        };
        let put = self.apart(async move { of.added(chunks.into()).await }).await?;
        let made = count(&put.changed);
        let holds = self.holds_together();
        self.temporary.put(relation.id, (&before, put.rows), put.changed, holds)?;
        if !holds {
            self.temporary.end(true);
        }
        u64::try_from(made).map_err(Error::internal)
    }
}
