//! A gate over the recorded server's stack and rows, in a SQLite file made of them.

use querygate_tests::server::{Answer, Request, Server, add_user_with, execute};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tempfile::TempDir;

/// Where the recorded exchanges are; `None` where they are not.
pub(crate) fn recorded() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/objectstack/rest");
    folder.join("stack.json").exists().then_some(folder)
}

/// The gate, and the users' logins.
pub(crate) struct World {
    _folder: TempDir,
    server: Server,
    pub(crate) rows: Value,
    tokens: Mutex<HashMap<String, String>>,
}

/// Columns that every table has.
const SYSTEM: &str = "id TEXT PRIMARY KEY NOT NULL, created_at TIMESTAMPTZ_TEXT, updated_at TIMESTAMPTZ_TEXT, \
                      organization_id TEXT, created_by TEXT, updated_by TEXT, owner_id TEXT, owning_business_unit_id TEXT";
const SYSTEM_NAMES: [&str; 8] = [
    "id",
    "created_at",
    "updated_at",
    "organization_id",
    "created_by",
    "updated_by",
    "owner_id",
    "owning_business_unit_id",
];

/// The declared type of a field's column; `None` of a field without one.
fn declared(field: &Value) -> Option<&'static str> {
    let kind = field["type"].as_str().unwrap();
    if field["multiple"] == json!(true) {
        return Some("LIST_TEXT");
    }
    Some(match kind {
        // The SQLite driver reads lists of texts, and no lists of numbers.
        "formula" | "vector" => return None,
        "number" | "currency" | "percent" | "slider" | "progress" | "summary" => "REAL",
        "rating" => "INTEGER",
        "boolean" | "toggle" => "BOOLEAN",
        "date" => "DATE_TEXT",
        "datetime" => "TIMESTAMPTZ_TEXT",
        "time" => "TIME_TEXT",
        "multiselect" | "checkboxes" | "tags" => "LIST_TEXT",
        _ => "TEXT",
    })
}

fn literal(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "NULL".to_owned(),
        Some(Value::Bool(is)) => u8::from(*is).to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => format!("'{}'", text.replace('\'', "''")),
        Some(other) => format!("'{}'", other.to_string().replace('\'', "''")),
    }
}

/// Tables and rows, as SQL.
fn tables(stack: &Value, rows: &Value) -> String {
    let mut sql = String::new();
    for object in stack["objects"].as_array().unwrap() {
        let name = object["name"].as_str().unwrap();
        let mut fields = object["fields"].as_object().unwrap().clone();
        for extension in stack["objectExtensions"].as_array().into_iter().flatten() {
            if extension["extend"] == object["name"] {
                fields.extend(extension["fields"].as_object().cloned().unwrap_or_default());
            }
        }
        let own = fields.iter().filter(|(name, _)| !SYSTEM_NAMES.contains(&name.as_str()));
        let own: Vec<(&String, &str)> = own.filter_map(|(name, field)| Some((name, declared(field)?))).collect();
        let columns: String = own.iter().map(|(name, kind)| format!(", \"{name}\" {kind}")).collect();
        sql.push_str(&format!("CREATE TABLE \"{name}\" ({SYSTEM}{columns});\n"));
        let names: Vec<&str> = SYSTEM_NAMES.into_iter().chain(own.iter().map(|(name, _)| name.as_str())).collect();
        let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        for row in rows["rows"][name].as_array().into_iter().flatten() {
            let values = names.iter().map(|name| literal(row.get(*name))).collect::<Vec<_>>().join(", ");
            sql.push_str(&format!("INSERT INTO \"{name}\" ({list}) VALUES ({values});\n"));
        }
    }
    sql
}

/// Memberships as files of rows beside the metadata.
fn write_memberships(folder: &Path, rows: &Value) {
    let list = |key: &str| rows[key].as_array().unwrap().clone();
    let write = |object: &str, rows: Vec<Value>| {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(folder.join(format!("{object}.ndjson")), text).unwrap();
    };
    let numbered = |rows: Vec<Value>, prefix: &str| -> Vec<Value> {
        let number = |(at, mut row): (usize, Value)| {
            row.as_object_mut().unwrap().entry("id").or_insert_with(|| format!("{prefix}{at}").into());
            row
        };
        rows.into_iter().enumerate().map(number).collect()
    };
    let users = list("users")
        .iter()
        .map(|user| json!({"id": user["id"], "email": user["email"], "name": user["name"], "created_at": user["created_at"]}))
        .collect();
    write("sys_user", users);
    let positions = list("userPositions")
        .iter()
        .map(|row| json!({"user_id": row["user_id"], "position": row["position"]}))
        .collect();
    write("sys_user_position", numbered(positions, "up"));
    let bindings = list("positionBindings");
    let bindings = bindings
        .iter()
        .map(|row| json!({"position_id": row["position"], "permission_set_id": row["permissionSet"]}))
        .collect();
    write("sys_position_permission_set", numbered(bindings, "pp"));
    let sets = list("userPermissionSets");
    let sets =
        sets.iter().map(|row| json!({"user_id": row["user_id"], "permission_set_id": row["permissionSet"]})).collect();
    write("sys_user_permission_set", numbered(sets, "us"));
    write("sys_business_unit", list("businessUnits"));
    write("sys_business_unit_member", list("businessUnitMembers"));
    let shares = list("recordShares");
    let share = |row: &Value| {
        json!({"object_name": row["object_name"], "record_id": row["record_id"], "recipient_type": "user",
            "recipient_id": row["recipient_id"], "access_level": row["access_level"], "source": "rule", "source_id": row["rule"]})
    };
    write("sys_record_share", numbered(shares.iter().map(share).collect(), "rs"));
}

impl World {
    pub(crate) fn new(recorded: &Path) -> Self {
        let read = |name: &str| -> Value {
            serde_json::from_str(&std::fs::read_to_string(recorded.join(name)).unwrap()).unwrap()
        };
        let (stack, rows) = (read("stack.json"), read("rows.json"));
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.json"), stack.to_string()).unwrap();
        write_memberships(&at("metadata"), &rows);
        let mut config = "[server]\ndatabase = \"showcase\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
            [flight]\naddress = \"127.0.0.1:0\"\n[rest]\nlisten = \"127.0.0.1:0\"\nkeys = \"keys.ndjson\"\n\
            [metadata]\npath = \"metadata\"\nprotocol = \"17.4\"\n[writes]\nenabled = true\n\
            [[sources]]\nname = \"default\"\nkind = \"sqlite\"\npath = \"showcase.sqlite\"\nwrites = true\n"
            .to_owned();
        let users = rows["users"].as_array().unwrap();
        for user in users {
            config.push_str(&format!(
                "[[users]]\nname = {}\nuser_id = {}\nemail = {}\n",
                user["persona"], user["id"], user["email"]
            ));
        }
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in users {
            add_user_with(folder.path(), user["persona"].as_str().unwrap(), user["password"].as_str().unwrap());
        }
        let keys: String =
            rows["apiKeys"].as_array().unwrap().iter().enumerate().map(|(at, key)| key_line(at, key)).collect();
        std::fs::write(at("keys.ndjson"), keys).unwrap();
        execute(&at("showcase.sqlite"), &tables(&stack, &rows));
        let server = Server::serve(&at("querygate.toml"));
        Self { _folder: folder, server, rows, tokens: Mutex::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.rest.unwrap()
    }

    /// A session's token of a persona.
    pub(crate) fn token(&self, persona: &str) -> String {
        if let Some(token) = self.tokens.lock().unwrap().get(persona) {
            return token.clone();
        }
        let user = self.rows["users"].as_array().unwrap().iter().find(|user| user["persona"] == persona).unwrap();
        let body = json!({"email": user["email"], "password": user["password"]});
        let request = Request::new("POST", "/api/v1/auth/sign-in/email").header("user-agent", "node");
        let answer = self.send(&request.json(&body));
        assert_eq!(answer.status, 200, "{persona}: {}", answer.text());
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        self.tokens.lock().unwrap().insert(persona.to_owned(), token.clone());
        token
    }

    /// Forgets all sessions, as a scenario that signs out may have ended them.
    pub(crate) fn forget(&self) {
        self.tokens.lock().unwrap().clear();
    }

    pub(crate) fn key(&self, persona: &str) -> String {
        let keys = self.rows["apiKeys"].as_array().unwrap();
        keys.iter().find(|key| key["persona"] == persona).unwrap()["raw"].as_str().unwrap().to_owned()
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        request.send(self.address())
    }
}

fn key_line(at: usize, key: &Value) -> String {
    let mut line = Map::new();
    let digest = querygate_tests::server::sha256_hex(key["raw"].as_str().unwrap());
    for (name, value) in [
        ("id", json!(format!("k{at}"))),
        ("name", json!("recorded")),
        ("login", key["persona"].clone()),
        ("hash", json!(digest)),
        ("prefix", json!("osk_rest_ans")),
        ("created_ms", json!(0)),
        ("expires_ms", Value::Null),
    ] {
        line.insert(name.to_owned(), value);
    }
    format!("{}\n", Value::Object(line))
}
