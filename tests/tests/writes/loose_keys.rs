//! Tables of SQLite whose keys may be NULL, since their columns do not say NOT NULL: they are only read, and everybody is told why.

use crate::servers::{ask, checked, client_of, introspected};
use crate::source::{Kind, Source, add};
use querygate_tests::server::Server;
use tempfile::TempDir;

const TABLES: &str = "CREATE TABLE orders (id integer PRIMARY KEY, title text);
    CREATE TABLE order_lines (order_id integer REFERENCES orders (id), line integer, amount integer, PRIMARY KEY (order_id, line));
    INSERT INTO orders VALUES (1, 'one'), (2, 'two'); INSERT INTO order_lines VALUES (1, 1, 10);";

#[test]
fn a_key_that_may_be_null_is_told_by_the_check_and_by_errors() {
    let folder = TempDir::new().unwrap();
    let source = Source::made(Kind::Sqlite, folder.path(), TABLES);
    introspected(folder.path(), &source.address(), "shop");
    let config = format!(
        "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n{}\
         [[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\n",
        source.entry(true)
    );
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    add(folder.path(), "omar");
    let found = checked(folder.path(), &[]);
    let loose = "order_id, line of its primary key may be NULL in the source";
    assert!(found.contains("`shop_order_lines`: it is not changed") && found.contains(loose), "{found}");
    assert!(!found.contains("`shop_orders`: it is not changed"), "{found}");
    let server = Server::serve(&folder.path().join("querygate.toml"));
    let omar = client_of(&server, "omar");
    for sql in ["INSERT INTO order_lines (order_id, line, amount) VALUES (2, 1, 5)", "DELETE FROM orders WHERE id = 1"]
    {
        let (code, text) = ask(&omar, sql).unwrap_err();
        assert_eq!(code, "0A000", "{sql}: {text}");
        assert!(text.starts_with("table \"order_lines\" cannot be changed"), "{sql}: {text}");
        assert!(text.contains("may be NULL") && text.contains("NOT NULL"), "{sql}: {text}");
    }
    ask(&omar, "INSERT INTO orders (id, title) VALUES (3, 'three')").unwrap();
    assert_eq!(source.stored("SELECT cast(count(*) AS text) FROM orders"), ["3"]);
}
