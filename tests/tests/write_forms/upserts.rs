//! INSERT … ON CONFLICT: new rows, rows that are there, and rows that are there and hidden.

use super::KIND;
use crate::gate::{Gate, change, code, rows};
use querygate_tests::server::runtime;

fn cell(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn new_rows_are_stored_and_others_are_updated() {
    let gate = Gate::new(KIND);
    let omar = gate.client("omar");
    let sql = "INSERT INTO orders AS o (id, region, total) VALUES ('o1', 'eu', 5), ('o6', 'eu', 6)
        ON CONFLICT (id) DO UPDATE SET total = o.total + excluded.total, code = 'x' || o.id RETURNING id, total, code";
    let expected = [[cell("o6"), cell("6.0000"), None], [cell("o1"), cell("15.5000"), cell("xo1")]];
    let mut given = rows(&omar, sql);
    given.sort_by(|a, b| b.cmp(a));
    assert_eq!(given, expected);
    assert_eq!(
        gate.all(),
        [
            "o1|ann|eu|15.5|4111111111111111|xo1|2026-01-01",
            "o2|bob|us|0|5500000000000004|c2|2026-01-02",
            "o3|cy|eu|7|3400000000000091|c3|2026-01-03",
            "o6|eu|6",
        ]
    );
    // The count is of rows that were stored or changed.
    let sql = "INSERT INTO orders (id, region, total) VALUES ('o3', 'eu', 1), ('o7', 'eu', 1), ('o6', 'eu', 1)
        ON CONFLICT ON CONSTRAINT orders_pkey DO UPDATE SET total = excluded.total WHERE orders.total > 6";
    assert_eq!(change(&omar, sql), Ok(2));
    assert_eq!(
        gate.stored("SELECT concat(id, '|', total) FROM orders ORDER BY id"),
        ["o1|15.5", "o2|0", "o3|1", "o6|6", "o7|1"]
    );
    let sql = "INSERT INTO orders (id, region, total) SELECT id, region, 3 FROM orders WHERE id < 'o5'
        ON CONFLICT (id) DO UPDATE SET total = excluded.total";
    assert_eq!(change(&omar, sql), Ok(2));
    assert_eq!(
        gate.stored("SELECT concat(id, '|', total) FROM orders WHERE id < 'o5' ORDER BY id"),
        ["o1|3", "o2|0", "o3|3"]
    );
}

#[test]
fn another_unique_key_may_be_the_one_that_is_taken() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let sql = "INSERT INTO orders (id, code, total) VALUES ('o9', 'c1', 1), ('o8', NULL, 1)
        ON CONFLICT (code) DO UPDATE SET total = excluded.total RETURNING id";
    let mut given = rows(&nora, sql);
    given.sort();
    assert_eq!(given, [[cell("o1")], [cell("o8")]]);
    // The other key is still an error.
    let before = gate.all();
    let sql = "INSERT INTO orders (id, code) VALUES ('o1', 'c7') ON CONFLICT (code) DO UPDATE SET total = 0";
    let taken = |rule: &str| ("23505".to_owned(), format!("duplicate key value violates {rule}"));
    assert_eq!(change(&nora, sql), Err(taken("unique constraint \"orders_pkey\"")));
    // The metadata has no key over it, and so the catalog has none.
    let sql = "INSERT INTO orders (id, code) VALUES ('n1', 'c1') ON CONFLICT (id) DO NOTHING";
    assert_eq!(change(&nora, sql), Err(taken("a unique constraint")));
    assert_eq!(gate.all(), before);
}

#[test]
fn rows_whose_key_is_taken_are_left_out() {
    let gate = Gate::new(KIND);
    let (nora, omar) = (gate.client("nora"), gate.client("omar"));
    let sql = "INSERT INTO orders (id, region) VALUES ('o1', 'eu'), ('s1', 'eu'), ('s1', 'eu')
        ON CONFLICT (id) DO NOTHING RETURNING id";
    assert_eq!(rows(&nora, sql), [[cell("s1")]]);
    // Without a key, whichever is taken: also by a row of the same statement.
    let sql = "INSERT INTO orders (id, code) VALUES ('s2', 'c1'), ('s3', 'k'), ('s4', 'k'), ('s1', 'l'), ('s5', NULL)
        ON CONFLICT DO NOTHING";
    assert_eq!(change(&nora, sql), Ok(2));
    let ids = gate.stored("SELECT id FROM orders WHERE id LIKE 's%' ORDER BY id");
    assert_eq!(ids, ["s1", "s3", "s5"]);
    assert_eq!(change(&nora, "INSERT INTO orders (id) VALUES ('o1'), ('o2') ON CONFLICT DO NOTHING"), Ok(0));
    assert_eq!(rows(&nora, "INSERT INTO orders (id) VALUES ('o1') ON CONFLICT DO NOTHING RETURNING *").len(), 0);
    // A hidden row has its key as any other.
    let before = gate.all();
    assert_eq!(change(&omar, "INSERT INTO orders (id, region) VALUES ('o2', 'eu') ON CONFLICT DO NOTHING"), Ok(0));
    assert_eq!(
        change(&omar, "INSERT INTO orders (id, region, code) VALUES ('h', 'eu', 'c2') ON CONFLICT DO NOTHING"),
        Ok(0)
    );
    assert_eq!(gate.all(), before);
}

#[test]
fn hidden_rows_are_not_updated_and_tell_only_that_their_key_is_taken() {
    let gate = Gate::new(KIND);
    let (omar, before) = (gate.client("omar"), gate.all());
    let plain = ("23505".to_owned(), "duplicate key value violates a unique constraint".to_owned());
    for sql in [
        "INSERT INTO orders (id, region) VALUES ('o2', 'eu') ON CONFLICT (id) DO UPDATE SET total = 1",
        "INSERT INTO orders (id, region) VALUES ('z', 'eu'), ('o2', 'eu') ON CONFLICT (id) DO UPDATE SET total = 1",
        // Nothing of the hidden row is computed: its total is 0.
        "INSERT INTO orders (id, region) VALUES ('o2', 'eu') ON CONFLICT (id) DO UPDATE SET total = 1 / orders.total",
        "INSERT INTO orders (id, region) VALUES ('o2', 'eu') ON CONFLICT (id) DO UPDATE SET total = 1 WHERE false",
        "INSERT INTO orders (id, region, code) VALUES ('z', 'eu', 'c2') ON CONFLICT (code) DO UPDATE SET total = 1",
    ] {
        assert_eq!(change(&omar, sql), Err(plain.clone()), "{sql}");
        assert_eq!(gate.all(), before, "{sql}");
    }
}

#[test]
fn a_conflict_is_governed_as_insert_and_update_are() {
    let gate = Gate::new(KIND);
    let (omar, rita, pia, before) = (gate.client("omar"), gate.client("rita"), gate.client("pia"), gate.all());
    let upsert = |rest: &str| format!("INSERT INTO orders (id, region) VALUES ('o1', 'eu') ON CONFLICT {rest}");
    for (rest, expected) in [
        ("(id) DO UPDATE SET region = 'us'", "42501"),
        ("(id) DO UPDATE SET total = 1001", "23514"),
        ("(id) DO UPDATE SET code = orders.card", "42501"),
        ("(id) DO UPDATE SET code = 'c3'", "23505"),
        ("(id) DO UPDATE SET total = 1 / (orders.total - 10.5)", "22012"),
        ("(id) DO UPDATE SET customer = 'x'", "42703"),
        ("(id) DO UPDATE SET code = orders.customer", "42703"),
        ("(customer) DO NOTHING", "42703"),
        ("(region) DO NOTHING", "42P10"),
        ("(id, code) DO UPDATE SET total = 1", "42P10"),
        ("ON CONSTRAINT nothing DO NOTHING", "42704"),
        ("DO UPDATE SET total = 1", "42601"),
        ("(id) DO UPDATE SET total = total + 1", "42702"),
        ("(id) DO UPDATE SET total = excluded.total", "0A000"),
        ("(id) DO UPDATE SET total = 1 WHERE random() < 2", "0A000"),
    ] {
        let sql = upsert(rest);
        assert_eq!(code(&omar, &sql), expected, "{sql}");
        assert_eq!(gate.all(), before, "{sql}");
    }
    let twice =
        "INSERT INTO orders (id, region) VALUES ('o1', 'eu'), ('o1', 'eu') ON CONFLICT (id) DO UPDATE SET total = 1";
    assert_eq!(code(&omar, twice), "21000");
    let twice =
        "INSERT INTO orders (id, region) VALUES ('t', 'eu'), ('t', 'eu') ON CONFLICT (id) DO UPDATE SET total = 1";
    assert_eq!(code(&omar, twice), "21000");
    assert_eq!(code(&rita, &upsert("(id) DO UPDATE SET total = 1")), "42501");
    assert_eq!(code(&rita, &upsert("DO NOTHING")), "42501");
    // Rows that are read, and not to be changed.
    assert_eq!(code(&pia, &upsert("(id) DO UPDATE SET total = 1")), "42501");
    assert_eq!(change(&pia, &upsert("(id) DO UPDATE SET total = 1 WHERE false")), Ok(0));
    assert_eq!(gate.all(), before);
    // A column that asks for a permission takes a value from those who have it.
    let sql = "INSERT INTO orders (id, region, card) VALUES ('o1', 'eu', '4000') ON CONFLICT (id)
        DO UPDATE SET card = excluded.card RETURNING card";
    assert_eq!(code(&omar, sql), "42501");
    assert_eq!(gate.all(), before);
}

#[test]
fn parameters_of_an_upsert_have_the_types_of_their_columns() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let sql = "INSERT INTO orders (id, code, region) VALUES ($1, $2, $3), ($4, 'kb', NULL)
        ON CONFLICT (id) DO UPDATE SET code = excluded.code || $5, region = excluded.region WHERE orders.region <> $6";
    let counts = runtime().block_on(async {
        let upsert = nora.prepare(sql).await.unwrap();
        let first = nora.execute(&upsert, &[&"o2", &"k", &"eu", &"p1", &"!", &"eu"]).await.unwrap();
        let again = nora.execute(&upsert, &[&"o2", &"k", &"eu", &"p2", &"!", &"eu"]).await.unwrap_err();
        (first, again.code().map(|code| code.code().to_owned()))
    });
    assert_eq!(counts, (2, Some("23505".to_owned())));
    assert_eq!(
        gate.stored("SELECT concat_ws('|', id, code, region) FROM orders WHERE id IN ('o2', 'p1') ORDER BY id"),
        ["o2|k!|eu", "p1|kb"]
    );
}
