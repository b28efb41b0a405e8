//! A Postgres door over rows in memory with no engine behind it: what the door alone can deliver. `door ROWS`; any query
//! gets all rows. Prints its port, ends when its standard input does.
#![allow(clippy::print_stdout, reason = "the port is for whoever started it")]

use arrow::array::{ArrayRef, RecordBatch};
use futures::StreamExt;
use futures::future::BoxFuture;
use querygate_bench::{door, wide};
use querygate_query_api::column::{Column, column_of};
use querygate_query_api::outcome::{CommandTag, Effect, Outcome, Rows};
use querygate_query_api::service::{
    ClientInfo, Delivery, Prepared, QueryService, Session, Statement, TransactionStatus,
};
use querygate_types::principal::Principal;
use querygate_types::{PgType, Result};
use std::any::Any;
use std::io::Read;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
struct Table {
    batches: Arc<[RecordBatch]>,
    columns: Arc<[Column]>,
    text: String,
}

impl QueryService for Table {
    fn open(&self, _principal: Arc<Principal>, _client: ClientInfo) -> BoxFuture<'_, Result<Arc<dyn Session>>> {
        Box::pin(async move { Ok(Arc::new(self.clone()) as Arc<dyn Session>) })
    }
}

impl Statement for Table {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn text(&self) -> &str {
        &self.text
    }
}

impl Prepared for Table {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn parameter_types(&self) -> &[PgType] {
        &[]
    }

    fn columns(&self) -> Option<&[Column]> {
        Some(&self.columns)
    }
}

impl Session for Table {
    fn split(&self, sql: &str) -> Result<Vec<Arc<dyn Statement>>> {
        Ok(vec![Arc::new(Self { text: sql.to_owned(), ..self.clone() })])
    }

    fn prepare<'a>(
        &'a self,
        _: &'a Arc<dyn Statement>,
        _: &'a [Option<PgType>],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move { Ok(Arc::new(self.clone()) as Arc<dyn Prepared>) })
    }

    fn run<'a>(
        &'a self,
        _: &'a Arc<dyn Prepared>,
        _: &'a [ArrayRef],
        _: Delivery<'a>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            let batches = Arc::clone(&self.batches);
            let stream = futures::stream::iter((0..batches.len()).map(move |at| Ok(batches[at].clone())));
            Ok(Outcome::Rows(Rows {
                columns: Arc::clone(&self.columns),
                schema: wide::schema(),
                batches: stream.boxed(),
                tag: CommandTag::Counted("SELECT"),
            }))
        })
    }

    fn take_effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn reported_settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn setting(&self, _name: &str) -> Option<String> {
        None
    }

    fn transaction_status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    fn fail_transaction(&self) {}

    fn cancel(&self) {}

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {})
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let count: i32 = std::env::args().nth(1).map_or(Ok(1_000), |s| s.parse())?;
    let columns = wide::schema().fields().iter().map(|field| column_of(field)).collect();
    let table = Table { batches: wide::batches(count)?.into(), columns, text: String::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (door, address) = runtime.block_on(door::bind(Arc::new(table)))?;
    let stop = CancellationToken::new();
    let served = runtime.spawn(door.serve(stop.clone()));
    println!("{address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    stop.cancel();
    runtime.block_on(served)?;
    Ok(())
}
