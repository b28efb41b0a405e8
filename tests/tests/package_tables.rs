//! A whole ObjectStack application over empty databases: its tables are printed by `querygate tables`, and every object is written, read,
//! grouped, searched, changed and deleted over REST. Of HotCRM, whose stack lies beside the repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic and report"
)]

#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;

use querygate_tests::server::{PASSWORD, Request, Server, add_user, binary, execute, runtime};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Passes in which records are made: one whose master is not there yet waits for the next.
const PASSES: usize = 8;

fn stack() -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/objectstack/hotcrm.json");
    let is_there = file.exists();
    if !is_there {
        println!("SKIPPED: {} is absent", file.display());
    }
    is_there.then_some(file)
}

/// A gate over an empty database.
struct Application {
    folder: TempDir,
    stack: Value,
}

impl Application {
    fn new(stack: &Path, source: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::copy(stack, at("metadata/hotcrm.json")).unwrap();
        // Its numbers say decimal places as `precision`, which releases since 17.5 take for digits.
        let config = format!(
            "[server]\ndatabase = \"crm\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[rest]\nlisten = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\nprotocol = \"17.4\"\n[writes]\nenabled = true\n\
             [[sources]]\nname = \"default\"\nwrites = true\n{source}\
             [[users]]\nname = \"ada\"\nemail = \"ada@crm.example\"\nadministrator = true\n"
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        let stack = serde_json::from_str(&std::fs::read_to_string(stack).unwrap()).unwrap();
        Self { folder, stack }
    }

    /// What `querygate tables` prints.
    fn tables(&self) -> String {
        let printed = Command::new(binary()).arg("tables").current_dir(self.folder.path()).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        String::from_utf8(printed.stdout).unwrap()
    }

    fn serve(&self) -> Client<'_> {
        add_user(self.folder.path(), "ada");
        let server = Server::serve(&self.folder.path().join("querygate.toml"));
        let login = json!({"email": "ada@crm.example", "password": PASSWORD});
        let login = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(server.rest.unwrap());
        let token = login.json()["token"].as_str().unwrap_or_else(|| panic!("{}", login.text())).to_owned();
        Client { server, token, objects: self.stack["objects"].as_array().unwrap() }
    }
}

struct Client<'s> {
    server: Server,
    token: String,
    objects: &'s [Value],
}

impl Client<'_> {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = Request::new(method, &format!("/api/v1{path}"));
        let request = request.header("authorization", &format!("Bearer {}", self.token));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send(self.server.rest.unwrap());
        (answer.status, answer.json())
    }

    /// An id of a record of each object that one could be made of, and what the others were refused with.
    fn create(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let (mut made, mut refused): (BTreeMap<String, String>, _) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..PASSES {
            for object in self.objects {
                let name = object["name"].as_str().unwrap();
                if made.contains_key(name) {
                    continue;
                }
                let (status, answer) = self.ask("POST", &format!("/data/{name}"), Some(&record(object, &made)));
                match status {
                    201 => {
                        refused.remove(name);
                        made.insert(name.to_owned(), answer["id"].as_str().unwrap().to_owned());
                    }
                    _ => drop(refused.insert(name.to_owned(), answer.to_string())),
                }
            }
        }
        (made, refused)
    }

    /// What each object's record does, one request after the other.
    fn exercise(&self, made: &BTreeMap<String, String>) {
        for object in self.objects {
            let name = object["name"].as_str().unwrap();
            let id = &made[name];
            let given = record(object, made);
            let (status, read) = self.ask("GET", &format!("/data/{name}/{id}"), None);
            assert_eq!(status, 200, "{name}: {read}");
            // What it refers to may have been made after it.
            let changed = |field: &str| {
                let (stored, sent) = (&read["record"][field], &given[field]);
                let is_later = stored.is_null() && is_reference(&object["fields"][field]);
                stored != sent && !is_later
            };
            let wrong: Vec<&String> = given.as_object().unwrap().keys().filter(|field| changed(field)).collect();
            assert!(wrong.is_empty(), "{name}: {wrong:?} came back otherwise: {read}");
            let count = json!({"aggregations": [{"function": "count", "alias": "records"}]});
            let (_, counted) = self.ask("POST", &format!("/data/{name}/query"), Some(&count));
            assert_eq!(counted["records"][0]["records"], 1, "{name}: {counted}");
            let references =
                given.as_object().unwrap().keys().filter(|field| is_reference(&object["fields"][field.as_str()]));
            let references: Vec<&str> = references.map(String::as_str).take(5).collect();
            let (status, expanded) =
                self.ask("GET", &format!("/data/{name}?search=a&expand={}", references.join(",")), None);
            assert_eq!(status, 200, "{name}: {expanded}");
            if let Some(field) = ["name", "title", "subject"].into_iter().find(|field| given.get(field).is_some()) {
                let (status, answer) =
                    self.ask("PATCH", &format!("/data/{name}/{id}"), Some(&json!({field: "changed"})));
                assert_eq!((status, &answer["record"][field]), (200, &json!("changed")), "{name}: {answer}");
            }
        }
        let mut left: BTreeSet<&String> = made.keys().collect();
        for _ in 0..PASSES {
            left.retain(|name| {
                let (status, _) = self.ask("DELETE", &format!("/data/{name}/{}", made[*name]), None);
                // A record may have gone with its master.
                !matches!(status, 200 | 204 | 404)
            });
        }
        assert!(left.is_empty(), "not deleted: {left:?}");
    }
}

fn is_reference(field: &Value) -> bool {
    matches!(field["type"].as_str(), Some("lookup" | "master_detail")) && field["reference"] != "sys_user"
}

/// A record with a value in every field that takes one.
fn record(object: &Value, made: &BTreeMap<String, String>) -> Value {
    let fields = object["fields"].as_object().unwrap();
    let given = fields.iter().filter_map(|(name, field)| Some((name.clone(), value(name, field, made)?)));
    Value::Object(given.collect::<Map<String, Value>>())
}

fn value(name: &str, field: &Value, made: &BTreeMap<String, String>) -> Option<Value> {
    if field["readonly"] == json!(true) {
        return None;
    }
    let number = || {
        let (least, most) = (field["min"].as_i64().unwrap_or(1), field["max"].as_i64().unwrap_or(100));
        json!(7.clamp(least, most))
    };
    Some(match field["type"].as_str().unwrap() {
        "text" | "textarea" => json!(
            name.chars().take(usize::try_from(field["maxLength"].as_u64().unwrap_or(99)).unwrap()).collect::<String>()
        ),
        "email" => json!("a@crm.example"),
        "url" => json!("https://crm.example/a"),
        "phone" => json!("+41 44 123 45 67"),
        "number" | "currency" | "percent" => number(),
        "boolean" => json!(true),
        "date" => json!("2026-03-01"),
        "datetime" => json!("2026-03-01T10:00:00.000Z"),
        "select" => field["options"][0]["value"].clone(),
        "lookup" | "master_detail" => match field["reference"].as_str()? {
            "sys_user" => json!("ada"),
            target => json!(made.get(target)?),
        },
        _ => return None,
    })
}

fn check(application: &Application) {
    let client = application.serve();
    let (made, refused) = client.create();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(made.len(), 65);
    client.exercise(&made);
}

#[test]
fn hotcrm_is_served_from_an_empty_sqlite_file() {
    let Some(stack) = stack() else { return };
    let application = Application::new(&stack, "kind = \"sqlite\"\npath = \"crm.sqlite\"\n");
    execute(&application.folder.path().join("crm.sqlite"), &application.tables());
    check(&application);
}

#[test]
fn hotcrm_is_served_from_an_empty_postgresql_database() {
    let Some(stack) = stack() else { return };
    let server = postgres_server::Server::start().expect("PostgreSQL is installed");
    let source = format!(
        "kind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"crm\"\nuser = \"gate\"\npassword = \"file:login\"\n\
         write_user = \"gate\"\nwrite_password = \"file:login\"\n",
        server.port
    );
    let application = Application::new(&stack, &source);
    std::fs::write(application.folder.path().join("login"), "reads and writes").unwrap();
    let tables = application.tables();
    runtime().block_on(async {
        let client = server.client("postgres").await;
        client.batch_execute("CREATE USER gate PASSWORD 'reads and writes'").await.unwrap();
        client.batch_execute("CREATE DATABASE crm").await.unwrap();
        let owner = server.client("crm").await;
        owner.batch_execute(&tables).await.unwrap();
        // A second time it changes nothing.
        owner.batch_execute(&tables).await.unwrap();
        owner
            .batch_execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gate")
            .await
            .unwrap();
    });
    check(&application);
}
