//! The lines of Python that reach the demo through Flight SQL. Knows no protocol.

use super::{DEMO_USERS, DemoUser};
use std::net::SocketAddr;
use std::path::Path;

/// A script that works as each user of the demo. `certificate`: the server's own, where it speaks TLS.
pub(super) fn python(address: SocketAddr, certificate: Option<&Path>) -> String {
    let logins: Vec<&str> = DEMO_USERS.iter().map(|DemoUser { login, .. }| *login).collect();
    let logins = logins.join("\", \"");
    let (scheme, trust) = match certificate {
        None => ("grpc", String::new()),
        Some(path) => {
            // As Python writes a text, which is also how Rust does.
            let path = path.display().to_string();
            let option = "adbc.flight.sql.client_option.tls_root_certs";
            ("grpc+tls", format!("      login[\"{option}\"] = open({path:?}).read()\n"))
        }
    };
    format!(
        r#"
From Python, as Arrow (pip install adbc-driver-flightsql adbc-driver-manager pyarrow):
  import adbc_driver_flightsql.dbapi as flight
  from adbc_driver_manager import DatabaseOptions
  for user in ["{logins}"]:
      login = {{DatabaseOptions.USERNAME.value: user, DatabaseOptions.PASSWORD.value: "demo-" + user}}
{trust}      with flight.connect("{scheme}://{address}", db_kwargs=login) as connection, connection.cursor() as cursor:
          cursor.execute("SELECT * FROM accounts WHERE industry = $1", ["retail"])
          table = cursor.fetch_arrow_table()
          print(user, table.num_rows, "accounts,", table.nbytes, "bytes of Arrow")
          print(table["name"][:3].to_pylist())
"#
    )
}
