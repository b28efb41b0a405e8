//! The demo's MariaDB: what can be bought. Knows its programs, its tables and its policies.

use super::server::{Account, Server, free_port, password, run};
use super::stock::WRITER;
use super::trade::{Table, Trade};
use super::{Backend, Part, Programs, Started, governance, programs, stock};
use querygate_types::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// MariaDB, installed as a package.
pub(super) struct MariaDb;

const OWNER: &str = "mysql";
const USER: &str = "gate";
const DATABASE: &str = "warehouse";
/// Memory for pages: the demo's tables are small.
const BUFFER_POOL: &str = "--innodb-buffer-pool-size=64M";

const TABLES: &str = "
CREATE DATABASE warehouse CHARACTER SET utf8mb4;
CREATE TABLE warehouse.products (
    id VARCHAR(8) COLLATE utf8mb4_nopad_bin PRIMARY KEY, title VARCHAR(60) NOT NULL COMMENT 'As on the shelf',
    category VARCHAR(20) NOT NULL, audience VARCHAR(20) NOT NULL, unit_cost DECIMAL(12,2) NOT NULL, KEY by_category (category)
) COMMENT 'What can be bought' CHARACTER SET utf8mb4;
";
const LOAD: &str = "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE warehouse.products CHARACTER SET utf8mb4";
/// Accounts of the installation that need no password are left to the private socket alone.
const CLOSE: &str = "
DELETE FROM mysql.global_priv WHERE User NOT IN ('gate', 'writer') AND Host <> 'localhost'; FLUSH PRIVILEGES;
ANALYZE TABLE warehouse.products;
";

impl Backend for MariaDb {
    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn source(&self) -> &'static str {
        "warehouse"
    }

    fn install(&self) -> &'static str {
        "apt-get install mariadb-server"
    }

    fn optional(&self) -> bool {
        false
    }

    fn find(&self, folders: &[PathBuf]) -> Option<Programs> {
        let server = programs(&["mariadbd"], folders)?;
        let mut all = programs(&["mariadb-install-db", "mariadb"], folders)?;
        all.extend(server);
        Some(all)
    }

    fn start(&self, programs: &Programs, folder: &Path, trade: &Trade, writes: bool) -> Result<Started> {
        let account = Account::of(OWNER)?;
        let (port, password) = (free_port()?, password()?);
        let temporary = folder.join("tmp");
        std::fs::create_dir(&temporary).map_err(|e| super::disk(&e))?;
        account.own(&temporary)?;
        account.own(folder)?;
        let data = format!("--datadir={}", folder.join("data").display());
        let mut make = account.command(&programs["mariadb-install-db"]);
        make.args(["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"]);
        run(make, b"")?;
        let socket = folder.join("s");
        let arguments = [
            "--no-defaults".to_owned(),
            data,
            format!("--tmpdir={}", temporary.display()),
            format!("--socket={}", socket.display()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--innodb-flush-method=nosync".to_owned(),
            BUFFER_POOL.to_owned(),
        ];
        let client = || {
            let mut client = Command::new(&programs["mariadb"]);
            client.args(["--no-defaults", "--default-character-set=utf8mb4", "--local-infile=1", "-uroot"]);
            client.arg(format!("--socket={}", socket.display()));
            client
        };
        let ready = || {
            let mut asked = client();
            asked.args(["-e", "SELECT 1"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        };
        let server = Server::start(account, folder, &programs["mariadbd"], &arguments, ready)?;
        run(client(), TABLES.as_bytes())?;
        let mut load = client();
        load.args(["-e", LOAD]);
        run(load, trade.lines(Table::Products).as_bytes())?;
        run(client(), accounts(&password, writes).as_bytes())?;
        let mut entry = format!(
            "kind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{USER}\"\ndatabase = \"{DATABASE}\"\n"
        );
        if writes {
            entry.push_str(&stock::keys(self.source()));
        }
        Ok(Started { server, address: format!("mysql://{USER}@127.0.0.1:{port}/{DATABASE}"), password, entry })
    }

    fn govern(&self, package: &mut Value, writes: bool) -> Result<()> {
        if writes {
            stock::open(package, "warehouse_stock")?;
        }
        let public = [("warehouse_products", "audience == 'public'")];
        let mut set = governance::set("warehouse_public", "What is sold to everybody", &public);
        set["fields"] = json!({"warehouse_products.unit_cost": {"readable": false}});
        governance::grant(package, set)
    }

    fn part(&self) -> Part {
        Part {
            columns: &["p.title"],
            tables: "products p",
            on: "p.id = o.product_id",
            condition: "p.category = 'machines'",
            keeps: |trade, order| trade.product(order).is_machine(),
            sets: ["warehouse_reader", "warehouse_public", "warehouse_public"],
            words: "MariaDB what",
            loads: &[Table::Products],
        }
    }
}

/// Statements that make the accounts. The password was made here, of hexadecimal digits only.
fn accounts(password: &str, writes: bool) -> String {
    let mut statements = String::new();
    if writes {
        statements = format!(
            "{}CREATE USER '{WRITER}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT SELECT, INSERT, UPDATE, DELETE ON warehouse.stock TO '{WRITER}'@'127.0.0.1';\n",
            stock::MARIADB
        );
    }
    statements.push_str(&format!(
        "CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
         GRANT SELECT, SHOW VIEW ON warehouse.* TO '{USER}'@'127.0.0.1';\n{CLOSE}"
    ));
    statements
}
