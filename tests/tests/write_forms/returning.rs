//! RETURNING of what is computed of the changed rows.

use super::KIND;
use crate::gate::{Gate, change, code, rows};
use querygate_tests::server::runtime;

fn cell(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn expressions_are_computed_of_what_is_stored_and_read() {
    let gate = Gate::new(KIND);
    let omar = gate.client("omar");
    let sql = "UPDATE orders o SET total = o.total + 1 WHERE o.id < 'o3'
        RETURNING o.total * 2 AS twice, upper(id) || '!', card || '?', CASE WHEN total > 11 THEN 'much' ELSE 'less' END";
    let expected = [cell("23.0000"), cell("O1!"), cell("************1111?"), cell("much")];
    assert_eq!(rows(&omar, sql), [expected]);
    let sql = "INSERT INTO orders (id, region, total) VALUES ('r1', 'eu', 2), ('r2', 'eu', NULL)
        RETURNING id, coalesce(total, 0) + 1, total IS NULL, placed_on, 7";
    let mut given = rows(&omar, sql);
    given.sort();
    assert_eq!(
        given,
        [
            [cell("r1"), cell("3.0000"), cell("f"), None, cell("7")],
            [cell("r2"), cell("1.0000"), cell("t"), None, cell("7")],
        ]
    );
    let sql = "DELETE FROM orders WHERE id LIKE 'r%' RETURNING length(id) + 1 AS n, orders.*";
    assert_eq!(rows(&omar, sql).len(), 2);
    assert_eq!(rows(&omar, "DELETE FROM orders WHERE id = 'nothing' RETURNING id || '!'").len(), 0);
    let sql = "INSERT INTO orders (id, region) VALUES ('o1', 'eu'), ('r3', 'eu') ON CONFLICT (id)
        DO UPDATE SET code = 'again' RETURNING id || coalesce(code, '-')";
    let mut given = rows(&omar, sql);
    given.sort();
    assert_eq!(given, [[cell("o1again")], [cell("r3-")]]);
}

#[test]
fn formulas_are_computed_of_what_was_stored() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let sql = "INSERT INTO goods (id, kind, size) VALUES ('g2', 'new', 3) RETURNING *";
    let names = ["id", "kind", "size", "price", "made_on", "ready", "facts", "tags", "shown_as"];
    let given = rows(&nora, sql);
    assert_eq!((given.len(), given[0].len()), (1, names.len()));
    assert_eq!((&given[0][1], &given[0][8]), (&cell("new"), &cell("new of g2")));
    let sql = "UPDATE goods SET kind = 'old' WHERE shown_as = 'new of g2' RETURNING shown_as, upper(shown_as)";
    assert_eq!(rows(&nora, sql), [[cell("old of g2"), cell("OLD OF G2")]]);
    let sql = "DELETE FROM goods WHERE id = 'g2' RETURNING goods.*";
    assert_eq!(rows(&nora, sql)[0][8], cell("old of g2"));
    for sql in
        ["UPDATE goods SET shown_as = 'x' WHERE id = 'g1'", "INSERT INTO goods (id, shown_as) VALUES ('g3', 'x')"]
    {
        assert_eq!(code(&nora, sql), "428C9", "{sql}");
    }
}

#[test]
fn a_fault_of_an_expression_undoes_the_change() {
    let gate = Gate::new(KIND);
    let (omar, before) = (gate.client("omar"), gate.all());
    for (sql, expected) in [
        ("UPDATE orders SET total = 0 RETURNING 1 / total", "22012"),
        ("UPDATE orders SET total = 1 RETURNING customer || ''", "42703"),
        ("UPDATE orders SET total = 1 RETURNING 'x'::date", "22007"),
        ("UPDATE orders SET total = 1 RETURNING total + '2026-01-01'::date", "42883"),
        ("UPDATE orders SET total = 1 RETURNING sum(total)", "0A000"),
        ("UPDATE orders SET total = 1 RETURNING (SELECT max(total) FROM orders)", "0A000"),
        ("UPDATE orders SET total = 1 RETURNING row_number() OVER ()", "0A000"),
        ("DELETE FROM orders RETURNING nothing(id)", "42883"),
        ("UPDATE orders SET total = 1 FROM notes RETURNING notes.body || ''", "0A000"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
        assert_eq!(gate.all(), before, "{sql}");
    }
    assert_eq!(change(&omar, "UPDATE orders SET total = 8 WHERE id = 'o2' RETURNING 1 / total"), Ok(0));
}

#[test]
fn parameters_stand_in_what_is_given_back() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let sql = "UPDATE orders SET code = $2 WHERE id = $1 RETURNING length(id) + $3, code || $2, $4::int";
    runtime().block_on(async {
        let update = nora.prepare(sql).await.unwrap();
        let types: Vec<&str> = update.params().iter().map(tokio_postgres::types::Type::name).collect();
        assert_eq!(types[3], "int4");
        let row = nora.query_one(&update, &[&"o1", &"k", &5_i32, &6_i32]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1), row.get::<_, i32>(2)), (7, "kk", 6));
        let insert = nora.prepare("INSERT INTO orders (id) VALUES ($1) RETURNING id || $2").await.unwrap();
        assert_eq!(nora.query_one(&insert, &[&"q", &"r"]).await.unwrap().get::<_, &str>(0), "qr");
    });
    assert_eq!(gate.stored("SELECT code FROM orders WHERE id = 'o1'"), ["k"]);
}
