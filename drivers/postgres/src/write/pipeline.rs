//! Statements of a transaction that go to the server behind each other, before the first is answered. Futures are polled, and so sent, in
//! the order in which they are joined; where one fails, those behind it do, and the first error says why.

use super::encode::Sent;
use super::fate;
use super::stop::Answer;
use crate::connect::connection::Connection;
use crate::decode::Decoder;
use crate::wire::bind::Parameters;
use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::future::join;
use querygate_driver_api::execution::{ExecuteContext, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::value::Value;
use querygate_driver_api::write::TxMark;
use querygate_driver_api::write::change::STORED_BYTES_MAX;
use querygate_types::{Error, ErrorCode, Result};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use tokio_postgres::types::Type;
use tokio_postgres::{Column, Row, RowStream, Statement};

/// The first statement of a transaction, which goes with what begins it.
#[derive(Debug, Default)]
pub(super) struct FirstStatement {
    /// `None`: the transaction has begun before.
    pub(super) begin: Option<String>,
    /// Whether the server has answered that it has.
    pub(super) has_begun: bool,
    /// Whether it goes over a second connection.
    pub(super) is_retry: bool,
}

impl FirstStatement {
    /// Runs something behind what begins the transaction.
    pub(super) async fn with<T>(
        &mut self,
        connection: &Connection,
        behind: impl Future<Output = Answer<T>>,
    ) -> Answer<(Option<TxMark>, T)> {
        let Some(begin) = &self.begin else {
            self.has_begun = true;
            return Ok((None, behind.await?));
        };
        let (begun, behind) = join(connection.client.simple_query(begin), behind).await;
        self.has_begun = begun.is_ok();
        Ok((fate::mark(&begun?, connection), behind?))
    }
}

/// The values of a read as the server takes them.
pub(super) fn parameters(statement: &NativeStatement, values: &[Value]) -> Result<Parameters> {
    Fragment::check_values(&statement.parameters, values)?;
    Parameters::of(statement, values).map_err(|refusal| {
        Error::new(ErrorCode::FeatureNotSupported, "values cannot be given to the source").with_detail(refusal.text)
    })
}

/// A read that goes behind a change.
#[derive(Debug)]
pub(super) struct ReadBehind<'a> {
    statement: &'a Arc<NativeStatement>,
    parameters: Parameters,
    by_key: bool,
}

impl<'a> ReadBehind<'a> {
    /// # Errors
    /// Values that cannot be given to the server.
    pub(super) fn of(statement: &'a Arc<NativeStatement>, values: &[Value], context: &ExecuteContext) -> Result<Self> {
        Ok(Self { statement, parameters: parameters(statement, values)?, by_key: context.by_key })
    }

    pub(super) fn statement(&self) -> &NativeStatement {
        self.statement
    }
}

/// What a change, and a read behind it, were answered.
pub(super) struct Answered {
    pub(super) changed: CommandResult,
    pub(super) found: Option<CommandResult>,
}

/// Rows and tag of a statement that was read to its end.
pub(super) struct CommandResult {
    statement: Statement,
    rows: Vec<Row>,
    bytes: usize,
    count: Option<u64>,
}

impl CommandResult {
    pub(super) async fn of(statement: Statement, rows: impl Future<Output = Answer<RowStream>>) -> Answer<Self> {
        let mut stream = std::pin::pin!(rows.await?);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = stream.next().await {
            let row = row?;
            bytes += row.raw_size_bytes();
            // What is too much is read to its end, and refused then.
            if bytes <= STORED_BYTES_MAX {
                rows.push(row);
            }
        }
        Ok(Self { statement, rows, bytes, count: stream.rows_affected() })
    }

    pub(super) fn count(&self) -> u64 {
        self.count.unwrap_or(0)
    }

    /// The rows; `None`: there are none.
    ///
    /// # Errors
    /// 54000: they are too large together. A value that is none of its column.
    pub(super) fn decoded(&self, source: &str, native: &NativeStatement) -> Result<Option<RecordBatch>> {
        if self.bytes > STORED_BYTES_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "stored rows of one change are too large"));
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        let columns = self.statement.columns().iter().map(Column::type_);
        let mut decoder = Decoder::new(source, native, columns, self.rows.len())?;
        self.rows.iter().try_for_each(|row| decoder.push(row))?;
        decoder.finish().map(Some)
    }
}

/// Applies a change behind the statement that sets its schema, and reads behind it.
pub(super) async fn change(
    connection: &Connection,
    path: Option<&str>,
    statement: &NativeStatement,
    types: &[Type],
    sent: Vec<Sent>,
    read: Option<&ReadBehind<'_>>,
) -> Answer<Answered> {
    let work = async {
        // Both are known to the server before one is sent, so that the read comes behind the change.
        let prepared = connection.prepared_change(&statement.text, types).await?;
        let behind = match read {
            Some(read) => {
                let types: Vec<Type> = read.parameters.types().cloned().collect();
                Some((connection.prepared_read(read.statement, &types, read.by_key).await?, &read.parameters))
            }
            None => None,
        };
        let changed = CommandResult::of(prepared.clone(), connection.client.query_raw(&prepared, sent));
        let found = async {
            match behind {
                Some((prepared, parameters)) => {
                    let rows = connection.client.query_raw(&prepared, parameters.values().cloned());
                    CommandResult::of(prepared.clone(), rows).await.map(Some)
                }
                None => Ok(None),
            }
        };
        let (changed, found) = join(changed, found).await;
        Ok(Answered { changed: changed?, found: found? })
    };
    entered(connection, path, work).await
}

/// Applies a change behind the statement that sets its schema, and commits behind both. `None`: the change failed before the commit was sent.
pub(super) async fn change_and_commit(
    connection: &Connection,
    path: Option<&str>,
    statement: &Statement,
    sent: Vec<Sent>,
    commit: &str,
) -> (Answer<()>, Option<Answer<()>>) {
    let changed = CommandResult::of(statement.clone(), connection.client.query_raw(statement, sent));
    let mut changed = std::pin::pin!(entered(connection, path, changed));
    // A change is sent as it is polled first. One that cannot be sent fails there, and nothing may be committed without it.
    match futures::poll!(changed.as_mut()) {
        Poll::Ready(Err(error)) => (Err(error), None),
        Poll::Ready(Ok(_)) => (Ok(()), Some(connection.client.batch_execute(commit).await)),
        Poll::Pending => {
            let (changed, committed) = join(changed, connection.client.batch_execute(commit)).await;
            (changed.map(drop), Some(committed))
        }
    }
}

/// Runs something behind the statement that sets its schema.
pub(super) async fn entered<T>(
    connection: &Connection,
    path: Option<&str>,
    work: impl Future<Output = Answer<T>>,
) -> Answer<T> {
    let enter = async {
        match path {
            Some(path) => connection.client.batch_execute(path).await,
            None => Ok(()),
        }
    };
    let (entered, answered) = join(enter, work).await;
    entered?;
    answered
}
