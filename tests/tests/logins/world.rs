//! A gate with TLS, a file of API keys and issuers, and what a credential comes to at each of its doors.

use crate::flight;
use crate::provider::Provider;
use querygate_tests::server::{Answer, Printed, Request, Server, add_user, binary, execute, psql_with};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const STACK: &str = include_str!("../rest/stack.yaml");

const ROWS: &str = "
CREATE TABLE customers(id TEXT PRIMARY KEY NOT NULL, name TEXT, phone TEXT);
CREATE TABLE orders(id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE, customer TEXT, region TEXT, total DECIMAL_TEXT(18,4), card TEXT,
    margin DOUBLE, tags LIST_TEXT, extra TEXT, paid BOOLEAN, placed_on DATE_TEXT, placed_at TIMESTAMPTZ_TEXT);
CREATE TABLE secrets(id TEXT PRIMARY KEY NOT NULL, word TEXT);
INSERT INTO customers VALUES ('c1', 'Ann', NULL), ('c2', 'Bob', NULL);
INSERT INTO orders(id, code, customer, region) VALUES ('o1', 'A-1', 'c1', 'eu'), ('o2', 'A-2', 'c2', 'us'), ('o3', 'A-3', 'c1', 'eu');";

/// An authority, and a certificate of the server by it.
const CERTIFICATES: &str = r#"
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=server" -keyout server.key -out server.csr
printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n' > server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
"#;

/// The name that is given for a user beside a token.
pub(crate) const TOKEN_USER: &str = "__token__";

pub(crate) struct World {
    folder: TempDir,
    pub(crate) server: Server,
    pub(crate) provider: Provider,
}

/// What somebody who shows a credential gets of a door: how many orders are seen, or the class of the refusal and its words.
pub(crate) type Seen = Result<String, (String, String)>;

impl World {
    pub(crate) fn new() -> Self {
        Self::with("", "")
    }

    /// A gate that takes tokens of this issuer too, for users that `sub` names.
    pub(crate) fn with_issuer(issuer: &str) -> Self {
        Self::with("", &format!("[[issuers]]\nissuer = \"{issuer}\"\naudience = \"querygate\"\n"))
    }

    /// A gate whose `[rest]` says this too.
    pub(crate) fn with_rest(rest: &str) -> Self {
        Self::with(rest, "")
    }

    fn with(rest: &str, issuer: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = Command::new("/bin/sh").arg("-c").arg(CERTIFICATES).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        let provider = Provider::start();
        let config = format!(
            "[server]\ndatabase = \"demo\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nkeys = \"keys.ndjson\"\n\
             tls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n\
             [flight]\naddress = \"127.0.0.1:0\"\n[rest]\nlisten = \"127.0.0.1:0\"\n{rest}\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             [[sources]]\nname = \"shop\"\nkind = \"sqlite\"\npath = \"shop.sqlite\"\nwrites = true\n\
             [[users]]\nname = \"nora\"\npermission_sets = [\"shop_manager\"]\n\
             [[users]]\nname = \"solo\"\npermission_sets = [\"shop_reader\"]\n\
             [[users]]\nname = \"root\"\noperator = true\n\
             [[issuers]]\nissuer = \"{one}\"\naudience = \"querygate\"\nlogin = \"preferred_username\"\nclock_skew = \"1s\"\n\
             [[issuers]]\nissuer = \"{two}\"\naudience = \"querygate\"\nusers = \"claims\"\nlogin_prefix = \"two:\"\n\
             permission_sets = \"realm_access.roles\"\n\
             [[issuers]]\nissuer = \"{away}\"\naudience = \"querygate\"\n{issuer}",
            one = provider.issuer("one"),
            two = provider.issuer("two"),
            away = provider.issuer("away"),
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "root"] {
            add_user(folder.path(), user);
        }
        execute(&at("shop.sqlite"), ROWS);
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server, provider }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `querygate key ARGUMENTS`; what it prints.
    pub(crate) fn key(&self, arguments: &[&str]) -> String {
        let ran = Command::new(binary()).arg("key").args(arguments).current_dir(self.folder()).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// A new key: its id, and the key.
    pub(crate) fn new_key(&self, arguments: &[&str]) -> (String, String) {
        let printed = self.key(&[&["add"], arguments].concat());
        let line = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        (line("id: "), line("key: "))
    }

    pub(crate) fn psql(&self, token: &str, sslmode: &str, arguments: &[&str]) -> Printed {
        psql_with(self.server.postgres, TOKEN_USER, token, sslmode, &[&["-At"], arguments].concat())
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> Answer {
        let request = Request::new("GET", &format!("/api/v1{path}"));
        request.header("authorization", &format!("Bearer {token}")).send(self.server.rest.unwrap())
    }

    pub(crate) fn over_postgres(&self, token: &str) -> Seen {
        let printed = self.psql(token, "require", &["-c", "SELECT count(*) FROM orders"]);
        if printed.success {
            return Ok(printed.out.trim().to_owned());
        }
        let (_, said) = printed.err.split_once("FATAL:  ").unwrap_or(("", &printed.err));
        // Without a session psql does not print the code.
        Err(("FATAL".to_owned(), said.lines().next().unwrap_or_default().to_owned()))
    }

    pub(crate) fn over_flight(&self, header: &str) -> Seen {
        flight::orders(self.server.flight, &self.folder().join("ca.pem"), header)
    }

    pub(crate) fn over_rest(&self, token: &str) -> Seen {
        let answer = self.get(token, "/data/shop_orders?select=id");
        if answer.status == 200 {
            return Ok(answer.json()["total"].to_string());
        }
        Err((answer.status.to_string(), answer.text()))
    }

    /// What a token comes to at all doors.
    pub(crate) fn everywhere(&self, token: &str) -> [Seen; 3] {
        [self.over_postgres(token), self.over_flight(&format!("Bearer {token}")), self.over_rest(token)]
    }
}
