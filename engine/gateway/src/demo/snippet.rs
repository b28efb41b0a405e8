//! The lines of Python that reach the demo through Flight SQL. Knows no protocol.

use super::{DEMO_USERS, DemoUser};
use std::net::SocketAddr;

/// A script that works as each user of the demo.
pub(super) fn python(address: SocketAddr) -> String {
    let logins: Vec<&str> = DEMO_USERS.iter().map(|DemoUser { login, .. }| *login).collect();
    let logins = logins.join("\", \"");
    format!(
        r#"
From Python, as Arrow (pip install adbc-driver-flightsql adbc-driver-manager pyarrow):
  import adbc_driver_flightsql.dbapi as flight
  from adbc_driver_manager import DatabaseOptions
  for user in ["{logins}"]:
      login = {{DatabaseOptions.USERNAME.value: user, DatabaseOptions.PASSWORD.value: "demo-" + user}}
      with flight.connect("grpc://{address}", db_kwargs=login) as connection, connection.cursor() as cursor:
          cursor.execute("SELECT * FROM accounts WHERE industry = $1", ["retail"])
          table = cursor.fetch_arrow_table()
          print(user, table.num_rows, "accounts,", table.nbytes, "bytes of Arrow")
          print(table["name"][:3].to_pylist())
"#
    )
}
