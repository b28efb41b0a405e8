//! The PostgreSQL that is asked: a private server whose user and database are called as the gate's.

#[path = "../../../drivers/postgres/tests/common/mod.rs"]
mod common;

use crate::wire::Session;
pub(crate) use common::PASSWORD;
use common::Server;
use querygate_tests::server::runtime;
use std::net::SocketAddr;

/// What sessions of both servers begin with.
const BEGIN: &str = "SET statement_timeout = '20s'; SET TimeZone = 'UTC'";

/// Texts by code point, as the gate has them.
const ORDER: &str = "ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'";

pub(crate) struct Oracle {
    server: Server,
}

impl Oracle {
    /// None where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let server = Server::start()?;
        runtime().block_on(async {
            let admin = server.database("demo", ORDER).await;
            let user = "CREATE ROLE ada LOGIN PASSWORD 'demo-ada'; GRANT ALL ON SCHEMA public TO ada;";
            admin.batch_execute(user).await.unwrap();
        });
        Some(Self { server })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.server.port).into()
    }

    /// A new database of the server, and an administrator's connection to it.
    pub(crate) async fn database(&self, name: &str) -> tokio_postgres::Client {
        self.server.database(name, ORDER).await
    }

    pub(crate) fn session(&self) -> Session {
        open(self.address())
    }
}

/// A session of either server.
pub(crate) fn open(address: SocketAddr) -> Session {
    Session::open(address, BEGIN)
}
