//! psql as a person runs it. Interprets nothing that it prints.

use super::Server;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// What psql printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub out: String,
    pub err: String,
    pub success: bool,
}

impl Printed {
    /// Both streams, errors last.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs psql as a user of the demo. Errors carry their SQLSTATE.
///
/// # Panics
/// When psql is not installed.
#[must_use]
pub fn psql(server: &Server, user: &str, arguments: &[&str]) -> Printed {
    psql_with(server.postgres, user, &format!("demo-{user}"), "disable", arguments)
}

/// psql with a password and an sslmode.
///
/// # Panics
/// When psql is not installed.
#[must_use]
pub fn psql_with(address: SocketAddr, user: &str, password: &str, sslmode: &str, arguments: &[&str]) -> Printed {
    let target = format!(
        "host=127.0.0.1 port={} user={user} dbname=demo sslmode={sslmode} gssencmode=disable connect_timeout=30",
        address.port()
    );
    let mut command = Command::new("psql");
    command.args(["-X", "-v", "VERBOSITY=verbose", &target]).args(arguments);
    for name in ["PGTZ", "PGOPTIONS", "PGDATESTYLE", "PGAPPNAME", "PGSERVICE", "PSQL_PAGER", "PAGER"] {
        command.env_remove(name);
    }
    command.env("PGPASSWORD", password).env("PGCLIENTENCODING", "UTF8").env("LC_ALL", "C.UTF-8");
    let output = command.stdin(Stdio::null()).output().expect("psql runs (Debian package postgresql-client)");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Printed { out: text(output.stdout), err: text(output.stderr), success: output.status.success() }
}
