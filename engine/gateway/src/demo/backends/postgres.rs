//! The demo's PostgreSQL: who bought what. Knows its programs, its tables and its policies.

use super::server::{self, Account, Server, free_port, password, run};
use super::trade::{Table, Trade};
use super::{Backend, Part, Programs, Started, governance, programs, stock};
use querygate_types::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// PostgreSQL, installed as a package.
pub(super) struct Postgres;

const OWNER: &str = "postgres";
const ROLE: &str = "gate";
const DATABASE: &str = "shop";
/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The oldest version whose answers the driver was proved on.
const VERSION_LEAST: u32 = 15;
/// How the server names the state in which it takes connections, on the eighth line of its pid file.
const READY: &str = "ready";

/// The account for the gate can only read. Its password comes through the environment.
const ROLES: &str = "\\getenv password QUERYGATE_DEMO_PASSWORD
CREATE ROLE gate LOGIN PASSWORD :'password';
CREATE DATABASE shop;
\\connect shop
";
const TABLES: &str = "
CREATE TABLE customers (id text COLLATE \"C\" PRIMARY KEY, name text NOT NULL, email text NOT NULL, region text NOT NULL);
CREATE TABLE orders (id text COLLATE \"C\" PRIMARY KEY, customer_id text COLLATE \"C\" NOT NULL, product_id text COLLATE \"C\" NOT NULL,
    region text NOT NULL, amount numeric(12,2) NOT NULL, placed_on date NOT NULL);
COMMENT ON TABLE customers IS 'Who buys';
COMMENT ON TABLE orders IS 'What customers bought';
";
const KEYS: &str = "
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;
CREATE INDEX ON orders (amount); CREATE INDEX ON orders (customer_id);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO gate;
ANALYZE;
";

impl Backend for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn source(&self) -> &'static str {
        "shop"
    }

    fn install(&self) -> &'static str {
        "apt-get install postgresql"
    }

    fn optional(&self) -> bool {
        false
    }

    fn find(&self, folders: &[PathBuf]) -> Option<Programs> {
        let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let entries = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))))
            .filter(|(version, _)| *version >= VERSION_LEAST)
            .collect();
        versions.sort();
        let all: Vec<PathBuf> = folders.iter().cloned().chain(versions.into_iter().rev().map(|(_, bin)| bin)).collect();
        programs(&["initdb", "postgres", "psql"], &all)
    }

    fn start(&self, programs: &Programs, folder: &Path, trade: &Trade, writes: bool) -> Result<Started> {
        let account = Account::of(OWNER)?;
        let (port, owners, gates) = (free_port()?, password()?, password()?);
        let data = folder.join("data");
        let secret = folder.join("password");
        server::write_secret(&secret, &owners)?;
        account.own(&secret)?;
        account.own(folder)?;
        let mut make = account.command(&programs["initdb"]);
        make.arg("-D").arg(&data).arg("--pwfile").arg(&secret);
        make.args(["-U", OWNER, "-E", "UTF8", "--no-locale", "--auth=scram-sha-256", "--no-sync"]);
        run(make, b"")?;
        let arguments = ["-D", &data.display().to_string(), "-p", &port.to_string(), "-k", ""]
            .into_iter()
            .chain(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=40"])
            .chain(["-c", stock::PREPARED])
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let pid_file = data.join("postmaster.pid");
        let ready = || {
            let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
            text.lines().nth(7).is_some_and(|line| line.trim() == READY)
        };
        let server = Server::start(account, folder, &programs["postgres"], &arguments, ready)?;
        let mut psql = Command::new(&programs["psql"]);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", OWNER, "-d", "postgres", "-f", "-"]);
        psql.arg("-p").arg(port.to_string()).env("PGPASSWORD", &owners).env("QUERYGATE_DEMO_PASSWORD", &gates);
        psql.env("PGCLIENTENCODING", "UTF8").env_remove("PGOPTIONS").env_remove("PGSERVICE");
        run(psql, script(trade, writes).as_bytes())?;
        let mut entry = format!(
            "kind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{ROLE}\"\ndatabase = \"{DATABASE}\"\n"
        );
        if writes {
            entry.push_str(&stock::keys(self.source()));
        }
        let address = format!("postgres://{ROLE}@127.0.0.1:{port}/{DATABASE}");
        Ok(Started { server, address, password: gates, entry })
    }

    fn govern(&self, package: &mut Value, writes: bool) -> Result<()> {
        if writes {
            stock::open(package, "shop_stock")?;
        }
        let email = governance::field(package, "shop_customers", "email")?;
        email["maskingRule"] = json!("email");
        email["requiredPermissions"] = json!(["shop.see_email"]);
        package["capabilities"] = json!([{"name": "shop.see_email", "label": "See e-mail addresses", "scope": "org"}]);
        governance::reader(package)?["systemPermissions"] = json!(["shop.see_email"]);
        let objects = ["shop_customers", "shop_orders"];
        let own_region = objects.map(|object| (object, "region == current_user.region"));
        let mut sales = governance::set("shop_sales", "Sales of one region", &own_region);
        sales["systemPermissions"] = json!(["shop.see_email"]);
        governance::grant(package, sales)?;
        governance::grant(package, governance::set("shop_support", "Support of one region", &own_region))
    }

    fn part(&self) -> Part {
        Part {
            columns: &["o.id", "c.name", "c.email", "o.amount"],
            tables: "orders o JOIN customers c ON c.id = o.customer_id",
            on: "",
            condition: "o.amount > 900",
            keeps: |_, order| order.amount > 90_000,
            sets: ["shop_reader", "shop_sales", "shop_support"],
            words: "PostgreSQL knows who bought",
            loads: &[Table::Customers, Table::Orders],
        }
    }
}

/// Everything that is loaded, as psql reads it.
fn script(trade: &Trade, writes: bool) -> String {
    let mut script = format!("{ROLES}{TABLES}");
    for (name, table) in [("customers", Table::Customers), ("orders", Table::Orders)] {
        script.push_str(&format!("COPY {name} FROM STDIN;\n{}\\.\n", trade.lines(table)));
    }
    script.push_str(KEYS);
    if writes {
        script.push_str(stock::POSTGRES);
    }
    script
}
