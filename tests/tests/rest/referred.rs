//! Rules that ask for more than the written record (ObjectStack 17.5), through the doors: validations that read what it refers to, options
//! that ask what the writer may do.

use crate::own::Gate;
use bytes::Bytes;
use futures::SinkExt as _;
use querygate_tests::server::runtime;
use serde_json::{Value, json};

const STACK: &str = r#"
manifest: { id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: shop_accounts
    label: Account
    datasource: shop
    external: { remoteName: accounts, writable: true }
    sharingModel: public_read_write
    systemFields: false
    fields:
      id: { type: text, required: true }
      type: { type: text }
      region: { type: text }
  - name: shop_deals
    label: Deal
    datasource: shop
    external: { remoteName: deals, writable: true }
    sharingModel: public_read_write
    systemFields: false
    fields:
      id: { type: text, required: true }
      amount: { type: number }
      account: { type: lookup, reference: shop_accounts, label: Account }
      stage:
        type: select
        options:
          - { value: open, label: Open }
          - { value: escalated, label: Escalated, visibleWhen: "current_user.can('shop_accounts', 'edit')" }
    validations:
      - name: partner_cap
        type: script
        condition: "record.account.type == 'partner' && record.amount > 10000"
        message: Partner accounts are capped at 10000.
permissions:
  - name: shop_manager
    label: All of it
    objects:
      shop_accounts: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
      shop_deals: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
  - name: shop_reader
    label: Accounts of one region
    objects:
      shop_accounts: { allowRead: true }
      shop_deals: { allowRead: true, allowCreate: true, allowEdit: true }
    rowLevelSecurity:
      - { name: eu, object: shop_accounts, operation: select, using: "region == 'eu'" }
"#;
const ROWS: &str = "
CREATE TABLE accounts(id TEXT PRIMARY KEY NOT NULL, type TEXT, region TEXT);
CREATE TABLE deals(id TEXT PRIMARY KEY NOT NULL, amount DOUBLE, account TEXT, stage TEXT);
INSERT INTO accounts VALUES ('p', 'partner', 'us'), ('d', 'direct', 'eu'), ('e', NULL, 'eu');
INSERT INTO deals(id, amount, account) VALUES ('d1', 10, 'p'), ('d2', 10, NULL);";

const CAPPED: &str = "Partner accounts are capped at 10000.";
const UNKNOWN: &str =
    "Validation rule 'partner_cap' could not be evaluated (there is no record that it refers to) — write rejected.";

/// The status of a change, and the first fault's field, code and message.
fn changed(gate: &Gate, user: &str, (method, path): (&str, &str), body: &Value) -> (u16, String) {
    let answer = gate.ask(user, method, path, Some(body));
    let fault = &answer.json()["fields"][0];
    let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
    let told = [text("field"), text("code"), text("message")].join(" ");
    (answer.status, told.trim().to_owned())
}

#[test]
fn records_are_judged_by_those_that_they_refer_to() {
    for protocol in ["17.4", "17.7"] {
        let gate = Gate::with_metadata(STACK, ROWS, &format!("protocol = \"{protocol}\"\n"));
        let (create, update) = (("POST", "/data/shop_deals"), ("PATCH", "/data/shop_deals/d1"));
        let refused = |message: &str| (400, format!("_record rule_violation {message}"));
        for (request, body, expected) in [
            (create, json!({"id": "n1", "amount": 50_000, "account": "d"}), (201, String::new())),
            (create, json!({"id": "n2", "amount": 50_000, "account": "p"}), refused(CAPPED)),
            (create, json!({"id": "n3", "amount": 10, "account": "p"}), (201, String::new())),
            (create, json!({"id": "n4", "amount": 50_000, "account": "e"}), (201, String::new())),
            (create, json!({"id": "n5", "amount": 10}), refused(UNKNOWN)),
            (update, json!({"amount": 50_000}), refused(CAPPED)),
            (update, json!({"amount": 50_000, "account": "d"}), (200, String::new())),
            (update, json!({"account": null}), refused(UNKNOWN)),
            (("PATCH", "/data/shop_deals/d2"), json!({"amount": 11}), refused(UNKNOWN)),
        ] {
            assert_eq!(changed(&gate, "nora", request, &body), expected, "{protocol} {body}");
        }
        let read = gate.get("nora", "/data/shop_deals/n3");
        assert_eq!(read["record"]["account"], "p", "the key is stored, not the record");
    }
}

/// The verdict is the platform's. Who names an account that it does not read hears no more than of one that is not there.
#[test]
fn a_writer_learns_nothing_of_a_record_that_it_names_and_does_not_read() {
    let gate = Gate::with_metadata(STACK, ROWS, "");
    for account in ["p", "gone"] {
        for amount in [10, 50_000] {
            let deal = json!({"id": "x", "amount": amount, "account": account});
            let told = format!("account reference_not_found Account: no shop_accounts record has id \"{account}\"");
            assert_eq!(changed(&gate, "rita", ("POST", "/data/shop_deals"), &deal), (400, told), "{deal}");
        }
    }
    // The stored one is read as it is.
    let (status, told) = changed(&gate, "rita", ("PATCH", "/data/shop_deals/d1"), &json!({"amount": 50_000}));
    assert_eq!((status, told), (400, format!("_record rule_violation {CAPPED}")));
}

/// An option may be there for those only who may do something with another object.
#[test]
fn an_option_asks_what_its_writer_may_do() {
    let gate = Gate::with_metadata(STACK, ROWS, "");
    for (user, stage, expected) in [("nora", "escalated", 201), ("rita", "open", 201), ("rita", "escalated", 400)] {
        let deal = json!({"id": format!("{user}-{stage}"), "amount": 1, "account": "d", "stage": stage});
        let (status, told) = changed(&gate, user, ("POST", "/data/shop_deals"), &deal);
        assert_eq!((status, told.contains("stage invalid_option")), (expected, expected == 400), "{user} {stage}");
    }
}

#[test]
fn each_way_of_adding_rows_asks_the_same() {
    let gate = Gate::with_metadata(STACK, ROWS, "");
    let message = |error: tokio_postgres::Error| error.as_db_error().unwrap().message().to_owned();
    runtime().block_on(async {
        let client = gate.sql("nora").await;
        let copied = async |rows: &'static str| {
            let sink = client.copy_in("COPY deals (id, amount, account) FROM STDIN").await.map_err(message)?;
            let mut sink = std::pin::pin!(sink);
            sink.send(Bytes::from_static(rows.as_bytes())).await.map_err(message)?;
            sink.finish().await.map_err(message)
        };
        assert_eq!(copied("c1\t50000\td\nc2\t10\tp\n").await, Ok(2));
        assert_eq!(copied("c3\t50000\td\nc4\t50000\tp\n").await, Err(CAPPED.to_owned()));
        assert_eq!(copied("c5\t1\td\nc6\t1\t\\N\n").await, Err(UNKNOWN.to_owned()));
        for (sql, expected) in [
            ("INSERT INTO deals (id, amount, account) VALUES ('s1', 50000, 'd'), ('s2', 50000, 'p')", Err(CAPPED)),
            ("INSERT INTO deals (id, amount, account) SELECT 's3', 50000, id FROM accounts WHERE id = 'd'", Ok(1)),
            ("UPDATE deals SET amount = 50000 WHERE id = 'c2'", Err(CAPPED)),
            ("UPDATE deals SET account = 'd', amount = 50000 WHERE id = 'c2'", Ok(1)),
        ] {
            let came_to = client.execute(sql, &[]).await.map_err(message);
            assert_eq!(came_to, expected.map_err(str::to_owned), "{sql}");
        }
        let transaction = "BEGIN; INSERT INTO accounts (id, type, region) VALUES ('q', 'partner', 'eu');
            INSERT INTO deals (id, amount, account) VALUES ('t1', 50000, 'q')";
        assert_eq!(client.batch_execute(transaction).await.map_err(message), Err(CAPPED.to_owned()));
        client.batch_execute("ROLLBACK").await.unwrap();
        let left: i64 = client.query_one("SELECT count(*) FROM deals WHERE id LIKE 'c%'", &[]).await.unwrap().get(0);
        assert_eq!(left, 2);
    });
}
