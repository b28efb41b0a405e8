//! Rows that are locked before they are changed, since the statement that changes them would ask more than the row: what the source keeps
//! between rows is asked after the rules of the gate, and what a reader sees is asked of the row as it is then.

use crate::shop::{Shop, copy_by, told};
use crate::source::Kind;
use querygate_tests::server::runtime;
use tokio_postgres::Client;

const TABLES: &str = "CREATE TABLE texts(made_by text);
CREATE FUNCTION noted() RETURNS boolean LANGUAGE sql AS 'INSERT INTO public.texts VALUES (current_query()) RETURNING true';
CREATE TABLE plain(id text primary key not null check (noted()), a integer, b text);
CREATE TABLE lowered(id text primary key not null check (noted()), a integer, b text);
CREATE UNIQUE INDEX lowered_b ON lowered (lower(b));
CREATE TABLE partial(id text primary key not null check (noted()), a integer, b text);
CREATE UNIQUE INDEX partial_b ON partial (b) WHERE a > 0;
CREATE TABLE refers(id text primary key not null check (noted()), a integer, b text REFERENCES plain (id));
CREATE TABLE whole(id text not null check (noted()), a integer, b text) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF whole (PRIMARY KEY (id)) FOR VALUES IN (1, 2);
CREATE TABLE base(id text not null check (noted()), a integer, b text);
CREATE TABLE heir(PRIMARY KEY (id)) INHERITS (base);
CREATE TABLE parents(id text primary key not null, b text);
CREATE TABLE children(id text primary key not null check (noted()), a integer, b text);
CREATE TABLE over(id text primary key not null check (noted()), a integer, b text);
CREATE TABLE under() INHERITS (over);
CREATE TABLE apart(id text primary key not null check (noted()), a integer, b text, EXCLUDE USING hash (a WITH =));
INSERT INTO apart VALUES ('k', 1, 'x');
CREATE TABLE made(id text primary key not null, a integer, b text GENERATED ALWAYS AS (id || 'x') STORED);
INSERT INTO over VALUES ('k', 1, 'hidden'), ('j', 1, 'x'); INSERT INTO under VALUES ('k', 1, 'x');
INSERT INTO plain VALUES ('k', 1, 'x'), ('x', 1, 'x'); INSERT INTO parents VALUES ('x', 'x');
INSERT INTO lowered VALUES ('k', 1, 'x'); INSERT INTO partial VALUES ('k', 1, 'x'); INSERT INTO refers VALUES ('k', 1, 'x');
INSERT INTO lowered VALUES ('seen', 1, 'y'), ('hidden', 9, 'z'); INSERT INTO partial VALUES ('seen', 1, 'y'), ('hidden', 9, 'z');
INSERT INTO refers VALUES ('seen', 1, 'x'), ('hidden', 9, 'x'); INSERT INTO apart VALUES ('seen', 4, 'y'), ('hidden', 9, 'z');
INSERT INTO part VALUES ('k', 1, 'x'); INSERT INTO heir VALUES ('k', 1, 'x'); INSERT INTO children VALUES ('k', 1, 'x');
DELETE FROM texts;";

fn stack() -> String {
    let (mut objects, mut rights) = (String::new(), String::new());
    for (table, model, b) in [
        ("plain", "public_read_write", "type: text"),
        ("lowered", "public_read_write", "type: text"),
        ("partial", "public_read_write", "type: text"),
        ("refers", "public_read_write", "type: text"),
        ("part", "public_read_write", "type: text"),
        ("heir", "public_read_write", "type: text"),
        ("over", "public_read_write", "type: text"),
        ("apart", "public_read_write", "type: text"),
        ("made", "public_read_write", "type: text"),
        ("parents", "public_read_write", "type: text"),
        ("children", "controlled_by_parent", "type: master_detail, reference: shop_parents"),
    ] {
        let a = if table == "parents" { "" } else { ", a: { type: number }" };
        objects += &format!(
            "  - {{ name: shop_{table}, label: T, datasource: shop, external: {{ remoteName: {table}, writable: true }}, sharingModel: {model}, \
             access: {{ default: private }}, systemFields: false, fields: {{ id: {{ type: text, required: true }}, b: {{ {b} }}{a} }} }}\n"
        );
        rights += &format!(
            "      shop_{table}: {{ allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true }}\n"
        );
    }
    let hidden = ["lowered", "partial", "refers", "apart"].map(|table| {
        format!("      - {{ name: few_{table}, object: shop_{table}, operation: all, using: \"a < 5\" }}\n")
    });
    let clerk = format!(
        "  - name: shop_clerk\n    label: Rows that are not hidden\n    objects:\n{rights}    rowLevelSecurity:\n      \
         - {{ name: shown, object: shop_over, operation: all, using: \"b == 'x'\" }}\n{}",
        hidden.concat()
    );
    format!(
        "manifest: {{ id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: {{ protocol: \"^17\" }} }}\n\
         datasources:\n  - {{ name: shop, driver: postgres, config: {{}}, schemaMode: external, external: {{ allowWrites: true }} }}\n\
         objects:\n{objects}permissions:\n  - name: shop_manager\n    label: Everything\n    objects:\n{rights}\
         {clerk}  - name: shop_reader\n    label: Nothing\n    objects: {{}}\n"
    )
}

fn types() -> String {
    let of = |table: &str| format!("\"shop_{table}\": {{\"columnTypes\": {{\"a\": \"integer\"}}}}");
    let own: Vec<String> =
        ["plain", "lowered", "partial", "refers", "part", "heir", "over", "apart", "made", "children"].map(of).into();
    format!("{{\"querygate\": {{\"tables\": {{{}}}}}}}", own.join(", "))
}

/// Whether the row is changed in the statement that locks it.
fn is_changed_at_once(shop: &Shop, client: &Client, sql: &str) -> bool {
    shop.administer("DELETE FROM texts");
    let changed = runtime().block_on(client.execute(sql, &[])).map_err(|error| told(&error));
    assert_eq!(changed, Ok(1), "{sql}");
    let stored = shop.stored("SELECT made_by FROM texts");
    let [text] = stored.as_slice() else { panic!("{sql}: {stored:?}") };
    text.contains("FOR UPDATE) AS o")
}

#[test]
fn a_row_is_locked_first_where_more_than_the_row_is_asked() {
    let shop = Shop::over(Kind::Postgres, true, TABLES, [&stack(), &types()]);
    let client = shop.client("nora");
    for (sql, is_at_once) in [
        ("UPDATE plain SET a = 2 WHERE id = 'k'", true),
        ("UPDATE plain SET a = 3 WHERE id = 'k' RETURNING id", true),
        ("UPDATE lowered SET a = 2 WHERE id = 'k'", false),
        ("UPDATE partial SET a = 2 WHERE id = 'k'", false),
        ("UPDATE refers SET a = 2 WHERE id = 'k'", true),
        ("UPDATE refers SET b = 'k' WHERE id = 'k'", false),
        ("UPDATE part SET b = 'y' WHERE id = 'k'", false),
        ("UPDATE heir SET b = 'y' WHERE id = 'k'", false),
        ("UPDATE over SET a = 2 WHERE id = 'j'", false),
        ("UPDATE apart SET a = 2 WHERE id = 'k'", false),
        ("UPDATE children SET a = 2 WHERE id = 'k' RETURNING id", false),
    ] {
        assert_eq!(is_changed_at_once(&shop, &client, sql), is_at_once, "{sql}");
    }
}

/// What the source keeps between rows it is not asked about a row that a policy hides: keys over expressions and over some rows, exclusions,
/// references.
#[test]
fn a_row_that_a_policy_keeps_from_a_change_says_nothing_of_other_rows() {
    let shop = Shop::over(Kind::Postgres, true, TABLES, [&stack(), &types()]);
    let client = shop.client("omar");
    for (sql, code) in [
        ("UPDATE lowered SET b = 'X' WHERE id = 'KEY'", "23505"),
        ("UPDATE partial SET b = 'x' WHERE id = 'KEY'", "23505"),
        ("UPDATE apart SET a = 1 WHERE id = 'KEY'", "23505"),
        ("UPDATE refers SET b = 'nowhere' WHERE id = 'KEY'", "23503"),
    ] {
        let of = |key: &str| {
            let sql = sql.replace("KEY", key);
            runtime().block_on(client.execute(&sql, &[])).map_err(|error| told(&error).0)
        };
        assert_eq!(of("seen"), Err(code.to_owned()), "{sql}");
        assert_eq!((of("hidden"), of("nobody")), (Ok(0), Ok(0)), "{sql}");
    }
    let hidden = "SELECT concat(a, b) FROM lowered WHERE id = 'hidden' UNION ALL SELECT concat(a, b) FROM apart WHERE id = 'hidden'";
    assert_eq!(shop.stored(hidden), ["9z", "9z"]);
}

/// PostgreSQL keeps the keys of a table and of those that inherit from it apart each for itself.
#[test]
fn a_hidden_row_with_the_key_of_one_in_an_inheriting_table_stays_as_it_is() {
    let shop = Shop::over(Kind::Postgres, true, TABLES, [&stack(), &types()]);
    let client = shop.client("omar");
    let stored = || shop.stored("SELECT tableoid::regclass::text || a FROM over ORDER BY 1");
    assert_eq!(stored(), ["over1", "over1", "under1"]);
    for sql in ["UPDATE over SET a = 7 WHERE id = 'k'", "DELETE FROM over WHERE id = 'k'"] {
        let changed = runtime().block_on(client.execute(sql, &[])).map_err(|error| told(&error).0);
        assert_ne!(changed, Ok(1), "{sql}");
        assert_eq!(stored(), ["over1", "over1", "under1"], "{sql}");
    }
}

#[test]
fn a_generated_column_is_refused_alike_in_rows_that_are_loaded() {
    let shop = Shop::over(Kind::Postgres, true, TABLES, [&stack(), &types()]);
    let client = shop.client("nora");
    let inserted = runtime().block_on(client.execute("INSERT INTO made (id, b) VALUES ('k', 'x')", &[]));
    let (code, text, _) = told(&inserted.unwrap_err());
    let loaded = copy_by(&client, "COPY made (id, b) FROM STDIN", b"k\tx\n", 100).unwrap_err();
    assert_eq!((loaded.0, loaded.1), (code.clone(), text));
    assert_eq!((code.as_str(), shop.count("made")), ("428C9", 0));
}
