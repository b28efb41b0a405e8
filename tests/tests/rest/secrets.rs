//! Values of secrets are stored by no door: the gate has no store of secrets, and their columns would hold them in plain text.

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use bytes::Bytes;
use futures::{SinkExt as _, stream};
use querygate_tests::server::{PASSWORD, Request, Shop, change, runtime};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use tonic::transport::Endpoint;

const STACK: &str = r#"
manifest: { id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - name: shop_vaults
    label: Vault
    datasource: shop
    external: { remoteName: vaults, writable: true }
    sharingModel: public_read_write
    systemFields: false
    fields:
      id: { type: text, required: true }
      name: { type: text }
      token: { type: secret, label: Token }
hooks:
  - name: fill
    object: shop_vaults
    events: [beforeInsert]
    body: { language: js, source: "if (ctx.input.name === 'hooked') ctx.input.token = 'HUSH';" }
permissions:
  - name: shop_manager
    label: Everything
    objects:
      shop_vaults: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
"#;

const ROWS: &str = "CREATE TABLE vaults(id TEXT PRIMARY KEY NOT NULL, name TEXT, token TEXT);
    INSERT INTO vaults VALUES ('v1', 'one', 'secret:1'), ('v2', 'two', NULL);";

const REFUSED: &str = "Token is a secret and takes no value: this gate has no store of secrets";

fn shop() -> Shop {
    let nora = "email = \"nora@shop.example\"\npermission_sets = [\"shop_manager\"]";
    Shop::new(STACK, &[("nora", nora)], ROWS)
}

fn stored(shop: &Shop) -> Vec<String> {
    shop.stored("SELECT id || '|' || name || '|' || coalesce(token, 'NULL') FROM vaults ORDER BY id")
}

#[test]
fn no_secret_is_stored_by_sql() {
    let shop = shop();
    let (nora, before) = (shop.client("nora"), stored(&shop));
    for sql in [
        "INSERT INTO vaults (id, token) VALUES ('n', 'HUSH')",
        "INSERT INTO vaults (id, name) VALUES ('n', 'hooked')",
        "INSERT INTO vaults (id, token) VALUES ('n', 'secret:1')",
        "INSERT INTO vaults (id, token) SELECT 'n' || id, 'HUSH' FROM vaults",
        "INSERT INTO vaults (id) VALUES ('v1') ON CONFLICT (id) DO UPDATE SET token = 'HUSH'",
        "UPDATE vaults SET token = 'HUSH' WHERE id = 'v1'",
        "UPDATE vaults SET token = name || 'x'",
        "MERGE INTO vaults v USING (VALUES ('v1')) AS s(id) ON s.id = v.id WHEN MATCHED THEN UPDATE SET token = 'HUSH'",
    ] {
        assert_eq!(change(&nora, sql), Err(("0A000".to_owned(), REFUSED.to_owned())), "{sql}");
        assert_eq!(stored(&shop), before, "{sql}");
    }
    let copied = runtime().block_on(async {
        let sink = nora.copy_in::<_, Bytes>("COPY vaults (id, token) FROM STDIN").await.unwrap();
        let mut sink = pin!(sink);
        sink.send(Bytes::from_static(b"n\tHUSH\n")).await.unwrap();
        sink.finish().await
    });
    let told = copied.unwrap_err();
    assert_eq!(told.code().map(|code| code.code()), Some("0A000"), "{told:?}");
    assert_eq!(stored(&shop), before);
    // What has none, and what loses it, is stored.
    assert_eq!(change(&nora, "INSERT INTO vaults (id, name, token) VALUES ('n', 'new', NULL)"), Ok(1));
    assert_eq!(change(&nora, "UPDATE vaults SET name = 'first' WHERE id = 'v1'"), Ok(1));
    assert_eq!(stored(&shop), ["n|new|NULL", "v1|first|secret:1", "v2|two|NULL"]);
    assert_eq!(change(&nora, "UPDATE vaults SET token = NULL WHERE id = 'v1'"), Ok(1));
    assert_eq!(stored(&shop), ["n|new|NULL", "v1|first|NULL", "v2|two|NULL"]);
}

#[test]
fn no_secret_is_stored_by_flight() {
    let shop = shop();
    let before = stored(&shop);
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let rows = RecordBatch::try_from_iter(vec![("id", text("n")), ("token", text("HUSH"))]).unwrap();
    let options = TableDefinitionOptions {
        if_not_exist: TableNotExistOption::Fail as i32,
        if_exists: TableExistsOption::Append as i32,
    };
    let command = CommandStatementIngest {
        table_definition_options: Some(options),
        table: "vaults".to_owned(),
        ..Default::default()
    };
    let answer = runtime().block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{}", shop.flight())).unwrap();
        let mut client = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
        client.handshake("nora", PASSWORD).await.unwrap();
        client.execute_ingest(command, stream::iter([Ok(rows)])).await
    });
    let Err(FlightError::Tonic(status)) = answer else { panic!("{answer:?}") };
    let code = status.metadata().get("querygate-sqlstate").and_then(|code| code.to_str().ok());
    assert_eq!(code, Some("0A000"), "{status:?}");
    assert_eq!(stored(&shop), before);
}

#[test]
fn no_secret_is_stored_by_rest() {
    let shop = shop();
    let before = stored(&shop);
    let login = json!({"email": "nora@shop.example", "password": PASSWORD});
    let login = Request::new("POST", "/api/v1/auth/sign-in/email").json(&login).send(shop.rest());
    let token = format!("Bearer {}", login.json()["token"].as_str().unwrap());
    let ask = |method: &str, path: &str, body: &Value| {
        let request = Request::new(method, &format!("/api/v1{path}")).header("authorization", &token);
        request.json(body).send(shop.rest())
    };
    for (method, path, body) in [
        ("POST", "/data/shop_vaults", json!({"id": "n", "token": "HUSH"})),
        ("POST", "/data/shop_vaults", json!({"id": "n", "token": {"a": "HUSH"}})),
        ("POST", "/data/shop_vaults", json!({"id": "n", "name": "hooked"})),
        ("POST", "/data/shop_vaults/createMany", json!([{"id": "m"}, {"id": "n", "token": "HUSH"}])),
        ("PATCH", "/data/shop_vaults/v1", json!({"token": "HUSH"})),
        ("PATCH", "/data/shop_vaults/v1", json!({"name": "x", "token": "secret:2"})),
    ] {
        let answer = ask(method, path, &body);
        assert_eq!((answer.status, &answer.json()["code"]), (501, &json!("NOT_IMPLEMENTED")), "{}", answer.text());
        assert!(answer.text().contains(REFUSED), "{}", answer.text());
        assert_eq!(stored(&shop), before, "{method} {path} {body}");
    }
    for (path, body) in [
        ("updateMany", json!({"records": [{"id": "v1", "data": {"token": "HUSH"}}]})),
        ("batch", json!({"operation": "create", "records": [{"data": {"id": "n", "token": "HUSH"}}]})),
        ("import", json!({"format": "json", "rows": [{"id": "n", "token": "HUSH"}]})),
        ("import", json!({"format": "csv", "csv": "id,token\nn,HUSH\n"})),
    ] {
        let answer = ask("POST", &format!("/data/shop_vaults/{path}"), &body);
        assert!(answer.text().contains("no store of secrets"), "{path}: {}", answer.text());
        assert_eq!(stored(&shop), before, "{path}");
    }
    let answer = ask("PATCH", "/data/shop_vaults/v1", &json!({"name": "first"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stored(&shop), ["v1|first|secret:1", "v2|two|NULL"]);
}
