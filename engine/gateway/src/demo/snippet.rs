//! Lines of programs that reach the demo through Flight SQL and REST, with what the latter print. Knows no protocol.

use super::guide::Contacts;
use super::{DEMO_USERS, DemoUser};
use serde_json::json;
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

/// Lines of a shell and of JavaScript that read contacts as each user of the demo, and what they print.
pub(super) fn records(address: SocketAddr, contacts: &[(String, Contacts)]) -> String {
    let logins: Vec<&str> = contacts.iter().map(|(login, _)| login.as_str()).collect();
    let (words, texts) = (logins.join(" "), logins.join("', '"));
    let mut text = format!(
        r#"
ObjectStack's REST interface: http://{address}/api/v1

From a shell:
  for user in {words}; do
    token=$(curl -s -d "{{\"email\": \"$user@crm.example\", \"password\": \"demo-$user\"}}" http://{address}/api/v1/auth/sign-in/email | sed 's/.*"token":"\([^"]*\)".*/\1/')
    echo "$user $(curl -s -H "Authorization: Bearer $token" 'http://{address}/api/v1/data/crm_contacts?select=last_name,email,phone&sort=id&limit=1')"
  done
It prints:
"#
    );
    for (login, Contacts { total, first }) in contacts {
        let record =
            |[last_name, email, phone]: &[String; 3]| json!({"last_name": last_name, "email": email, "phone": phone});
        let records: Vec<_> = first.iter().take(1).map(record).collect();
        let page = json!({"object": "crm_contacts", "records": records, "total": total, "hasMore": *total > 1});
        text.push_str(&format!("  {login} {page}\n"));
    }
    text.push_str(&format!(
        r#"
With ObjectStack's own client (npm install @objectstack/client@17.4.0):
  import {{ ObjectStackClient }} from '@objectstack/client';
  for (const user of ['{texts}']) {{
    const client = new ObjectStackClient({{ baseUrl: 'http://{address}' }});
    await client.auth.login({{ type: 'email', email: `${{user}}@crm.example`, password: `demo-${{user}}` }});
    const page = await client.data.query('crm_contacts', {{
      fields: ['last_name', 'email', 'phone'], orderBy: [{{ field: 'id', order: 'asc' }}], limit: 2,
    }});
    for (const contact of page.records) console.log(user, contact.last_name, contact.email, contact.phone);
  }}
It prints:
"#
    ));
    for (login, contacts) in contacts {
        for contact in &contacts.first {
            text.push_str(&format!("  {login} {}\n", contact.join(" ")));
        }
    }
    text
}
