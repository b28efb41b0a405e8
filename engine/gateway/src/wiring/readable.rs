//! Whether rows of a table could be read that its source describes. Asks for none of them.

use futures::TryStreamExt;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, ExecuteContext};
use querygate_driver_api::fragment::{Fragment, OutputColumn};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Relation, ScanColumn};
use querygate_driver_api::remote::RemoteTable;
use querygate_types::ErrorCode;
use std::time::{Duration, Instant};

/// How long a table is waited for that may not let itself be read.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Why a table cannot be read that can be described: a view whose definer is gone, a right that is not there. Nothing of its rows is read.
pub(crate) async fn refusal(driver: &dyn Driver, table: &RemoteTable) -> Option<String> {
    let (column, value_type) = table.columns.iter().find_map(|column| Some((column, column.value_type?)))?;
    let id = ColumnId(0);
    let (name, nullable) = (column.name.clone(), column.nullable);
    let (collation, encoding) = (column.collation.clone(), column.encoding);
    let columns = vec![ScanColumn { id, name, value_type, nullable, collation, encoding }];
    let scan = Box::new(Relation::Scan { table: table.table.clone(), columns });
    let fragment = Fragment {
        relation: Relation::Limit { input: scan, skip: 0, fetch: Some(0) },
        output: vec![OutputColumn { id, name: column.name.as_str().to_owned(), value_type, nullable: true }],
        parameters: Vec::new(),
    };
    // What cannot be asked says nothing of the table.
    let statement = driver.render(&fragment).ok()?;
    let context = ExecuteContext { deadline: Some(Instant::now() + READ_WITHIN), ..ExecuteContext::default() };
    let read = async {
        let batches = driver.run(&statement, &[], Ask::Batches(context)).await.and_then(Answer::batches)?;
        batches.try_for_each(|_| async { Ok(()) }).await
    };
    let error = read.await.err()?;
    let is_refused = matches!(error.code(), ErrorCode::SourceError | ErrorCode::SourceSchemaChanged);
    is_refused.then(|| error.cause().unwrap_or_else(|| error.message()).to_owned())
}
