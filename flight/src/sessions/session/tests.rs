//! Statements of one session that arrive over several calls.

use super::*;
use arrow::array::ArrayRef;
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{CommandTag, Effect, Outcome};
use querygate_query_api::service::{Delivery, Door, Prepared, Statement};
use querygate_query_api::tokens::Lasting;
use querygate_types::PgType;
use std::any::Any;
use tokio::sync::Semaphore;

#[derive(Debug)]
struct Text(String);

impl Statement for Text {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn text(&self) -> &str {
        &self.0
    }
}

impl Prepared for Text {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn parameter_types(&self) -> &[PgType] {
        &[]
    }
    fn columns(&self) -> Option<&[Column]> {
        None
    }
}

/// Tells that a statement began, and runs it when it may.
struct Held {
    began: Semaphore,
    may: Semaphore,
    ran: Mutex<Vec<String>>,
}

impl Held {
    fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().clone()
    }

    /// Waits until a statement has begun, which its caller no longer does.
    async fn begun(&self) {
        self.began.acquire().await.unwrap().forget();
    }
}

struct Engine(Arc<Held>);

impl Session for Engine {
    fn split(&self, sql: &str) -> Result<Vec<Arc<dyn Statement>>> {
        Ok(vec![Arc::new(Text(sql.to_owned()))])
    }
    fn prepare<'a>(
        &'a self,
        statement: &'a Arc<dyn Statement>,
        _: &'a [Option<PgType>],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move { Ok(Arc::new(Text(statement.text().to_owned())) as Arc<dyn Prepared>) })
    }
    fn run<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        _: &'a [ArrayRef],
        _: Delivery<'a>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            self.0.began.add_permits(1);
            self.0.may.acquire().await.unwrap().forget();
            let text = prepared.as_any().downcast_ref::<Text>().unwrap().0.clone();
            self.0.ran.lock().unwrap().push(text.clone());
            Ok(Outcome::Command(CommandTag::Fixed(text)))
        })
    }
    fn take_effects(&self) -> Vec<Effect> {
        Vec::new()
    }
    fn reported_settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn transaction_status(&self) -> TransactionStatus {
        match self.0.ran().last().map(String::as_str) {
            Some("BEGIN") => TransactionStatus::InTransaction,
            _ => TransactionStatus::Idle,
        }
    }
    fn fail_transaction(&self) {}
    fn cancel(&self) {}
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {})
    }
}

impl QueryService for Engine {
    fn open(&self, _: Arc<Principal>, _: ClientInfo) -> BoxFuture<'_, Result<Arc<dyn Session>>> {
        Box::pin(async move { Err(Error::internal("the main engine session is taken")) })
    }
}

#[tokio::test]
async fn a_caller_that_goes_leaves_no_transaction_that_nobody_knows() {
    let held = Arc::new(Held { began: Semaphore::new(0), may: Semaphore::new(0), ran: Mutex::default() });
    let service: Arc<dyn QueryService> = Arc::new(Engine(Arc::clone(&held)));
    let client = ClientInfo { door: Door::FlightSql, database: String::new(), peer: None, settings: Vec::new() };
    let limits = SessionLimits { statements: 1, statement_bytes: 1, transactions: 1 };
    let (main, principal) = (Arc::new(Engine(Arc::clone(&held))), Arc::new(Principal::builder("ada").build()));
    let admitted = Admitted { principal, standing: Arc::new(Lasting) };
    let session = FlightSession::new(Id::default(), admitted, client, main, limits, CancellationToken::new());
    let session = Arc::new(session);

    assert!(session.begin(&service).now_or_never().is_none());
    held.begun().await;
    held.may.add_permits(2);
    held.begun().await;
    while held.ran().len() < 2 || session.state().main_taken.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(held.ran(), ["BEGIN", "ROLLBACK"]);
    assert!(session.state().transactions.is_empty());

    // The next one has the main engine session again; its end goes on without its caller too.
    held.may.add_permits(1);
    let id = session.begin(&service).await.unwrap();
    held.begun().await;
    assert!(session.end(&id, Ending::Commit).now_or_never().is_none());
    held.begun().await;
    held.may.add_permits(1);
    while session.state().main_taken.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(held.ran()[2..], ["BEGIN", "COMMIT"]);
    assert_eq!(session.end(&id, Ending::Commit).await.unwrap_err().code(), ErrorCode::NoActiveTransaction);
}
