//! Hooks that ask and change over each kind of source: what they see and leave is the same, and what is refused leaves nothing.

use crate::world::{Places, Store, ask};
use querygate_tests::server::{PASSWORD, Server, change, connect, runtime};
use tokio_postgres::Client;

const HOOKS: &str = r#"
hooks:
  - name: counts
    object: shop_parts
    events: [beforeInsert]
    body:
      language: js
      source: |
        const parts = ctx.api.object('shop_parts');
        const known = await parts.findOne({ where: { id: 'p2' } });
        if (known.id !== 'p2') throw new Error('p2 is not seen');
        ctx.input.amount = (ctx.input.amount ?? 0) + 10 * await parts.count({ where: { amount: { $gt: 0 } } });
      capabilities: [api.read]
  - name: follows
    object: shop_parts
    events: [afterInsert]
    body:
      language: js
      source: |
        const parts = ctx.api.object('shop_parts'), id = ctx.result.id;
        if (id.startsWith('w')) {
          const p1 = await parts.findOne({ where: { id: 'p1' } });
          const stored = await parts.update({ id: 'p1', amount: p1.amount + 100 });
          if (stored.amount !== p1.amount + 100) throw new Error('not as it is stored');
        }
        if (id.startsWith('x')) {
          await parts.update({ id: 'p2', amount: 99 });
          throw new Error('All of it goes');
        }
        if (id.startsWith('c')) {
          try { await parts.insert({ id: 'p1' }); } catch (e) { if (e.code !== 'DUPLICATE_RECORD') throw e; }
          await parts.update({ id: 'p2', amount: 55 });
        }
      capabilities: [api.read, api.write]
"#;

struct Gate {
    places: Places,
    server: Server,
}

impl Gate {
    fn over(store: Store) -> Self {
        let places = Places::new(store);
        places.configure("");
        let at = |name: &str| places.folder.path().join(name);
        let config = std::fs::read_to_string(at("querygate.toml")).unwrap();
        std::fs::write(at("querygate.toml"), config.replace("distributed = true\n", "")).unwrap();
        std::fs::write(at("metadata/hooks.yaml"), HOOKS).unwrap();
        let server = Server::serve(&at("querygate.toml"));
        Self { places, server }
    }

    fn client(&self) -> Client {
        let mut config = self.server.config("nora");
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// What a session sees, which is what the source itself says.
    fn parts(&self, client: &Client) -> String {
        let seen = ask(client, "SELECT id || '=' || amount::bigint::text FROM parts ORDER BY id").unwrap();
        if let Some(stored) = self.places.parts() {
            assert_eq!(seen, stored, "the session sees what is stored");
        }
        seen.join(" ")
    }
}

fn hooks_ask_and_change(store: Store) {
    if !store.is_there() {
        eprintln!("NOTHING RUN: the server of {store:?} is not installed");
        return;
    }
    let gate = Gate::over(store);
    let nora = gate.client();
    change(&nora, "INSERT INTO parts (id, amount) VALUES ('n1', 5)").unwrap();
    assert_eq!(gate.parts(&nora), "n1=25 p1=1 p2=2", "{store:?}");
    // Several rows, and values of parameters, whose types the client gives or the gate finds.
    let made = runtime().block_on(nora.execute("INSERT INTO parts (id, amount) VALUES ($1, $2)", &[&"w1", &6.0_f64]));
    assert_eq!(made.unwrap(), 1);
    assert_eq!(gate.parts(&nora), "n1=25 p1=101 p2=2 w1=36", "{store:?}");
    change(&nora, "DELETE FROM parts WHERE id IN ('n1', 'w1')").unwrap();
    change(&nora, "INSERT INTO parts (id, amount) VALUES ('n2', 1), ('n3', 2)").unwrap();
    assert_eq!(gate.parts(&nora), "n2=21 n3=22 p1=101 p2=2", "{store:?}");
    // What a hook throws takes its own changes back, too; and so does ROLLBACK.
    let refused = change(&nora, "INSERT INTO parts (id) VALUES ('x1')").unwrap_err();
    assert_eq!(refused, ("P0001".to_owned(), "All of it goes".to_owned()), "{store:?}");
    change(&nora, "BEGIN").unwrap();
    change(&nora, "INSERT INTO parts (id) VALUES ('w2')").unwrap();
    assert_eq!(ask(&nora, "SELECT amount::bigint::text FROM parts WHERE id = 'p1'").unwrap(), ["201"], "{store:?}");
    change(&nora, "ROLLBACK").unwrap();
    assert_eq!(gate.parts(&nora), "n2=21 n3=22 p1=101 p2=2", "{store:?}");
    let caught = change(&nora, "INSERT INTO parts (id) VALUES ('c1')");
    if store == Store::MongoDb {
        // It cannot undo a part of a transaction: the statement ends with the call.
        assert_eq!(caught.unwrap_err().0, "23505");
        assert_eq!(gate.parts(&nora), "n2=21 n3=22 p1=101 p2=2");
    } else {
        caught.unwrap();
        assert_eq!(gate.parts(&nora), "c1=40 n2=21 n3=22 p1=101 p2=55", "{store:?}");
    }
}

#[test]
fn over_postgresql() {
    hooks_ask_and_change(Store::Postgres);
}

#[test]
fn over_mariadb() {
    hooks_ask_and_change(Store::MariaDb);
}

#[test]
fn over_mongodb() {
    hooks_ask_and_change(Store::MongoDb);
}

#[test]
fn over_memory() {
    hooks_ask_and_change(Store::Memory);
}

#[test]
fn over_a_file() {
    hooks_ask_and_change(Store::Sqlite);
}
