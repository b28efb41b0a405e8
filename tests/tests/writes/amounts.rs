//! What one statement may hold of large rows while it changes them: the row that a key finds, the values that it is given, what goes along.

use crate::source::{Kind, PASSWORD, Source, add};
use querygate_tests::server::{Server, connect, runtime};
use tempfile::TempDir;
use tokio_postgres::Client;

const STACK: &str = r#"
manifest: { id: com.example.desk, namespace: desk, version: 1.0.0, type: app, name: Desk, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: desk_pages
    label: Page
    datasource: shop
    external: { remoteName: pages, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      body: { type: textarea }
      n: { type: number }
  - name: desk_notes
    label: Note
    datasource: shop
    external: { remoteName: notes, writable: true }
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      page: { type: lookup, reference: desk_pages, deleteBehavior: cascade }
      body: { type: textarea }
permissions:
  - name: desk_writer
    label: Writer
    objects:
      desk_pages: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
      desk_notes: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
"#;

/// A page of 20 MB, a small one, and a small one on which a note of 20 MB hangs.
const ROWS: &str = "CREATE TABLE pages(id text primary key not null, body text, n numeric);
    CREATE TABLE notes(id text primary key not null, page text, body text);
    INSERT INTO pages VALUES ('large', hex(zeroblob(10485760)), 1), ('small', 'x', 1), ('noted', 'x', 1);
    INSERT INTO notes VALUES ('n1', 'noted', hex(zeroblob(10485760)));";

struct Gate {
    _folder: TempDir,
    source: Source,
    client: Client,
    _server: Server,
}

impl Gate {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        let source = Source::new(Kind::Sqlite, folder.path(), ROWS);
        let config = format!(
            "[server]\ndatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
             [limits]\nmemory_total = \"256MB\"\nmemory_per_user = \"128MB\"\nmemory_per_query = \"64MB\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n{}\
             [[users]]\nname = \"nora\"\npermission_sets = [\"desk_writer\"]\n",
            source.entry(true)
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        add(folder.path(), "nora");
        let server = Server::serve(&at("querygate.toml"));
        let mut config = server.config("nora");
        config.dbname("shop").password(PASSWORD);
        let client = runtime().block_on(connect(&config));
        Self { _folder: folder, source, client, _server: server }
    }

    /// Rows that were changed, or the code that a statement was refused with.
    fn change(&self, sql: &str, given: Option<&str>) -> Result<u64, String> {
        let done = runtime().block_on(async {
            match given {
                Some(given) => self.client.execute(sql, &[&given]).await,
                None => self.client.execute(sql, &[]).await,
            }
        });
        done.map_err(|error| error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))
    }
}

#[test]
fn large_rows_and_values_of_a_change_by_key_are_charged() {
    let gate = Gate::new();
    let (long, refused) = ("y".repeat(10 << 20), Err("53200".to_owned()));
    let stored = "SELECT id || length(body) || '/' || n FROM pages ORDER BY id";
    let before = gate.source.stored(stored);
    for (sql, given) in [
        ("UPDATE pages SET n = 2 WHERE id = 'large'", None),
        ("UPDATE pages SET body = body || $1 WHERE id = 'large'", Some("x")),
        ("DELETE FROM pages WHERE id = $1", Some("large")),
        ("UPDATE pages SET body = $1 WHERE id = 'small'", Some(long.as_str())),
        ("DELETE FROM pages WHERE id = $1", Some(long.as_str())),
        ("UPDATE pages SET body = repeat('z', 30000000) WHERE id = 'small'", None),
        ("DELETE FROM pages WHERE id = 'noted'", None),
    ] {
        let told = &sql[..sql.len().min(60)];
        assert_eq!(gate.change(sql, given), refused, "{told}");
        assert_eq!(gate.source.stored(stored), before, "{told}");
        // What was refused is charged no longer.
        assert_eq!(gate.change("UPDATE pages SET n = 1 WHERE id = $1", Some("small")), Ok(1), "{told}");
    }
    let short = "y".repeat(1 << 20);
    assert_eq!(gate.change("UPDATE pages SET body = $1 WHERE id = 'small'", Some(&short)), Ok(1));
    assert_eq!(gate.change("DELETE FROM pages WHERE id = 'small'", None), Ok(1));
}
