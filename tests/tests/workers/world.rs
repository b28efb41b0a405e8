//! A lake of Parquet, CSV and NDJSON files, a gate over it, and workers beside it: processes of the binary, with keys and
//! certificates of their own. Three users: two tenants with masks, and somebody who sees all.

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use querygate_bench::tpch;
use querygate_tests::server::{Server, binary, get};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

pub(crate) const SCALE: f64 = 0.01;
pub(crate) const USERS: [&str; 3] = ["ours", "theirs", "boss"];
/// Files of a table: the rows of each are dealt out in their order.
const FILES: usize = 3;

/// The folder of everything.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: TempDir::new().unwrap() };
        world.keys();
        for table in tpch::TABLES {
            write(&world.at("data").join(table), &rows(table));
        }
        let plain = world.at("data/plain");
        std::fs::create_dir_all(&plain).unwrap();
        std::fs::write(plain.join("rates.csv"), "code,rate,tenant\nCHF,1.05,ours\nEUR,0.98,theirs\nUSD,,ours\n")
            .unwrap();
        let notes =
            ["{\"note\":\"a\",\"size\":1,\"tenant\":\"ours\"}", "{\"note\":\"b\",\"size\":2,\"tenant\":\"theirs\"}"];
        std::fs::write(plain.join("notes.ndjson"), notes.join("\n")).unwrap();
        // Whoever reads theirs divides by zero.
        let costs = ["amount,parts,tenant", "100,4,ours", "50,2,ours", ",5,ours", "10,0,theirs", "7,7,theirs"];
        std::fs::write(plain.join("costs.csv"), costs.join("\n") + "\n").unwrap();
        write(&world.at("data/nothing"), &[rows("nation")[0].slice(0, 0)]);
        std::fs::create_dir(world.at("metadata")).unwrap();
        std::fs::write(world.at("metadata/stack.json"), stack().to_string()).unwrap();
        world
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keys(&self) {
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            let made = command.current_dir(self.folder.path()).args(arguments.split(' ')).output().unwrap();
            assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
        };
        std::fs::write(self.at("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        for key in ["gate", "other"] {
            openssl(&format!("genpkey -algorithm ed25519 -out {key}.key"));
            openssl(&format!("pkey -in {key}.key -pubout -out {key}.pub"));
        }
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        for name in ["gatetls", "worker"] {
            openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile names"
            ));
        }
    }

    /// Starts a worker on a port, over this world's data.
    pub(crate) fn worker(&self, port: u16) -> Worker {
        self.worker_over(port, "data")
    }

    pub(crate) fn worker_over(&self, port: u16, data: &str) -> Worker {
        self.worker_over_with(port, data, "")
    }

    /// The same with further lines in its `[worker]`.
    pub(crate) fn worker_over_with(&self, port: u16, data: &str, more: &str) -> Worker {
        let file = self.at(&format!("worker-{port}.toml"));
        let http = free_port();
        let text = format!(
            "[worker]\nlisten = \"127.0.0.1:{port}\"\nhttp = \"127.0.0.1:{http}\"\naddress = \"localhost:{port}\"\nverification_key = \"gate.pub\"\n\
             tls_certificate = \"worker.pem\"\ntls_key = \"worker.key\"\nclient_ca = \"ca.pem\"\nmemory = \"512MB\"\n{more}\n\
             [[sources]]\nname = \"lake\"\npath = \"{data}\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let temporary = self.at(&format!("temporary-{port}"));
        std::fs::create_dir_all(&temporary).unwrap();
        Worker::start(&file, (port, http), &temporary)
    }

    /// Serves the world with these workers.
    pub(crate) fn gate(&self, ports: &[u16]) -> Server {
        let addresses: Vec<String> = ports.iter().map(|port| format!("\"localhost:{port}\"")).collect();
        self.gate_of(&format!("addresses = [{}]", addresses.join(", ")))
    }

    /// The same with workers as `[workers]` names them.
    pub(crate) fn gate_of(&self, workers: &str) -> Server {
        let mut text = format!(
            "[server]\ndatabase = \"demo\"\n[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"lake\"\nkind = \"files\"\n\
             path = \"data\"\n[workers]\n{workers}\nsigning_key = \"gate.key\"\ntls_certificate = \"gatetls.pem\"\n\
             tls_key = \"gatetls.key\"\ntls_ca = \"ca.pem\"\n"
        );
        for user in USERS {
            let verifier = postgres_protocol::password::scram_sha_256(format!("demo-{user}").as_bytes());
            let (set, operator) = if user == "boss" { ("lake_all", true) } else { ("lake_reader", false) };
            text.push_str(&format!(
                "[[users]]\nname = \"{user}\"\nverifier = \"{verifier}\"\nuser_id = \"{user}\"\npermission_sets = \
                 [\"{set}\"]\noperator = {operator}\nattributes = {{ tenant = \"{user}\" }}\n"
            ));
        }
        let file = self.at("querygate.toml");
        std::fs::write(&file, text).unwrap();
        Server::serve(&file)
    }
}

/// The rows of a table, and a tenth of them once more as another tenant's, in front.
fn rows(table: &str) -> Vec<RecordBatch> {
    let (_, batches) = tpch::batches(table, SCALE).unwrap();
    let owned = |batch: &RecordBatch, tenant: &str| {
        let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("tenant", DataType::Utf8, false));
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(StringArray::from(vec![tenant; batch.num_rows()])));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    let others = batches.iter().map(|batch| owned(&batch.slice(0, batch.num_rows().div_ceil(10)), "theirs"));
    let others: Vec<RecordBatch> = others.collect();
    others.into_iter().chain(batches.iter().map(|batch| owned(batch, "ours"))).collect()
}

fn write(folder: &Path, batches: &[RecordBatch]) {
    std::fs::create_dir_all(folder).unwrap();
    let each = batches.len().div_ceil(FILES).max(1);
    for (number, batches) in batches.chunks(each).enumerate() {
        let file = std::fs::File::create(folder.join(format!("{number}.parquet"))).unwrap();
        let small = WriterProperties::builder().set_max_row_group_row_count(Some(4_096)).build();
        let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(small)).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.close().unwrap();
    }
}

fn field(field: &Field) -> Value {
    let number = |precision: u8, scale: i8| json!({"type": "number", "precision": precision, "scale": scale, "label": field.name()});
    let mut declared = match field.data_type() {
        DataType::Int32 | DataType::Int64 => number(19, 0),
        DataType::Decimal128(precision, scale) => number(*precision, *scale),
        DataType::Date32 => json!({"type": "date", "label": field.name()}),
        _ => json!({"type": "text", "label": field.name()}),
    };
    if field.name() == "c_phone" {
        declared["maskingRule"] = json!({"keepHead": 0, "keepTail": 2});
        declared["requiredPermissions"] = json!(["lake.phones"]);
    }
    declared
}

fn stack() -> Value {
    let object = |name: &str, remote: &str, fields: serde_json::Map<String, Value>| {
        json!({
            "name": format!("lake_{name}"), "label": name, "datasource": "lake", "systemFields": false,
            "external": {"remoteName": remote, "writable": false}, "sharingModel": "public_read", "fields": fields,
        })
    };
    let mut objects: Vec<Value> = Vec::new();
    for table in tpch::TABLES {
        let schema = rows(table)[0].schema();
        let fields = schema.fields().iter().map(|f| (f.name().clone(), field(f))).collect();
        objects.push(object(table, table, fields));
    }
    let text = |name: &str| (name.to_owned(), json!({"type": "text", "label": name}));
    let number = |name: &str, scale: i32| {
        (name.to_owned(), json!({"type": "number", "precision": 12, "scale": scale, "label": name}))
    };
    objects.push(object(
        "rates",
        "plain/rates.csv",
        [text("code"), number("rate", 2), text("tenant")].into_iter().collect(),
    ));
    objects.push(object(
        "notes",
        "plain/notes.ndjson",
        [text("note"), number("size", 0), text("tenant")].into_iter().collect(),
    ));
    let costs = [number("amount", 0), number("parts", 0), text("tenant")];
    objects.push(object("costs", "plain/costs.csv", costs.into_iter().collect()));
    let schema = rows("nation")[0].schema();
    let fields = schema.fields().iter().map(|f| (f.name().clone(), field(f))).collect();
    objects.push(object("nothing", "nothing", fields));
    let names: Vec<String> = objects.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect();
    let own = names.iter().map(|name| {
        json!({"name": format!("own_{name}"), "object": name, "operation": "select", "using": "tenant == current_user.tenant"})
    });
    json!({
        "manifest": {"id": "com.example.lake", "namespace": "lake", "version": "1.0.0", "type": "app", "name": "Lake"},
        "capabilities": [{"name": "lake.phones", "label": "phones", "scope": "org"}],
        "datasources": [{"name": "lake", "label": "Lake", "driver": "files", "config": {}, "schemaMode": "external",
            "external": {"allowWrites": false}}],
        "objects": objects,
        "permissions": [
            {"name": "lake_reader", "label": "Reader", "objects": {"*": {"allowRead": true}}, "rowLevelSecurity": own.collect::<Vec<_>>()},
            {"name": "lake_all", "label": "All", "objects": {"*": {"allowRead": true}}, "systemPermissions": ["lake.phones"]},
        ],
    })
}

/// A worker process.
pub(crate) struct Worker {
    process: Child,
    http: u16,
    temporary: PathBuf,
}

impl Worker {
    fn start(config: &Path, (port, http): (u16, u16), temporary: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(["worker", "-c", config.to_str().unwrap()]).env_remove("QUERYGATE_LOG").env("NO_COLOR", "1");
        command.env("TMPDIR", temporary);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let listens = format!("listens on 127.0.0.1:{port}");
        let mut seen = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.contains(&listens) => break,
                Some(Ok(line)) => seen.push(line),
                Some(Err(_)) | None => panic!("the worker did not start:\n{}", seen.join("\n")),
            }
        }
        // What it says later must not fill its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, http, temporary: temporary.to_path_buf() }
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to stop and gives its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.process.wait().unwrap().code()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("/bin/sh").arg("-c").arg(format!("kill -{name} {}", self.process.id())).status();
        assert!(sent.unwrap().success());
    }

    /// What it answers to `GET path`.
    pub(crate) fn get(&self, path: &str) -> String {
        get(([127, 0, 0, 1], self.http).into(), path)
    }

    /// The value of one of its metrics; 0: nothing was counted.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Temporary files that it has, or that one before it has left.
    pub(crate) fn temporary_files(&self) -> usize {
        std::fs::read_dir(&self.temporary).unwrap().count()
    }

    /// Resident bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Files of data that it has open.
    pub(crate) fn open_files(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap();
        let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.extension().is_some_and(|extension| extension == "parquet")).count()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().map(|address: SocketAddr| address.port()).unwrap()
}

/// The rows, or the code and text of the error.
pub(crate) async fn answer(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, (String, String)> {
    let messages = client.simple_query(sql).await.map_err(|error| match error.as_db_error() {
        Some(db) => (db.code().code().to_owned(), db.message().to_owned()),
        None => ("connection".to_owned(), error.to_string()),
    })?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect()),
        _ => None,
    });
    Ok(rows.collect())
}

/// Lines of EXPLAIN.
pub(crate) async fn explained(client: &Client, sql: &str) -> Vec<String> {
    let rows = answer(client, &format!("EXPLAIN {sql}")).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// Waits until something is so.
pub(crate) fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
