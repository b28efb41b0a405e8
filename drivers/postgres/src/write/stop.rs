//! How the server is asked to stop a statement of a transaction: by the protocol's CancelRequest.

use crate::connect::pool::{Lease, Pool};
use crate::connect::socket::Canceler;
use async_trait::async_trait;
use querygate_driver_api::write::{ServerStop, StatementGuard};
use std::sync::Arc;
use tokio_postgres::error::SqlState;

pub(super) type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// A connection at its server.
#[derive(Clone)]
pub(super) struct PostgresStop {
    pub(super) pool: Arc<Pool>,
    canceler: Canceler,
}

pub(super) fn guard(lease: &Lease, pool: &Arc<Pool>) -> StatementGuard<PostgresStop> {
    StatementGuard::new(PostgresStop { pool: Arc::clone(pool), canceler: lease.connection.canceler() })
}

#[async_trait]
impl ServerStop for PostgresStop {
    type Failure = tokio_postgres::Error;

    async fn stop(&self) {
        self.pool.connector().cancel(&self.canceler).await;
    }

    fn is_stopped(failure: &tokio_postgres::Error) -> bool {
        failure.code() == Some(&SqlState::QUERY_CANCELED)
    }
}
