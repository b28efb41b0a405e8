//! What a record hears that validations of the metadata refuse: code, message, the rule's name and the other messages; nothing of what
//! the writer does not read.

use super::KIND;
use crate::gate::{Gate, change, code};
use querygate_tests::server::runtime;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

/// Code, message, constraint and detail of the error that a statement ends with.
type Refusal = (String, String, Option<String>, Option<String>);

fn refusal(client: &Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Refusal {
    let error = runtime().block_on(async {
        // Without values as a simple query, else with parameters.
        match values {
            [] => client.batch_execute(sql).await.map(|()| 0),
            values => client.execute(sql, values).await,
        }
    });
    let error = error.unwrap_err();
    let found = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let text = |text: Option<&str>| text.map(str::to_owned);
    (found.code().code().to_owned(), found.message().to_owned(), text(found.constraint()), text(found.detail()))
}

fn check(message: &str, constraint: Option<&str>, detail: Option<&str>) -> Refusal {
    ("23514".to_owned(), message.to_owned(), constraint.map(str::to_owned), detail.map(str::to_owned))
}

const NEGATIVE: &str = "The total of an order is not negative.";

#[test]
fn a_rule_says_its_name_and_its_message() {
    let gate = Gate::new(KIND);
    let (omar, before) = (gate.client("omar"), gate.all());
    for sql in [
        "UPDATE orders SET total = -1 WHERE id = 'o1'",
        "UPDATE orders SET total = total - 100",
        "INSERT INTO orders (id, region, total) VALUES ('n1', 'eu', 1), ('n2', 'eu', -2)",
        "INSERT INTO orders (id, region, total) SELECT id || 'n', region, -total FROM orders",
        "INSERT INTO orders (id, region) VALUES ('o1', 'eu') ON CONFLICT (id) DO UPDATE SET total = -1",
        "MERGE INTO orders o USING (VALUES ('o1')) AS s(id) ON s.id = o.id WHEN MATCHED THEN UPDATE SET total = -1",
        "UPDATE orders SET total = -1 FROM notes WHERE notes.id = orders.id RETURNING id",
    ] {
        assert_eq!(refusal(&omar, sql, &[]), check(NEGATIVE, Some("total_is_owed"), None), "{KIND:?} {sql}");
        assert_eq!(gate.all(), before, "{KIND:?} {sql}");
    }
    let sql = "UPDATE orders SET code = $1 WHERE id = $2";
    let good = check("This code is not for orders, ask sales", Some("code_is_good"), None);
    assert_eq!(refusal(&omar, sql, &[&"bad", &"o1"]), good);
    // The contract of a field has a name, too, and comes before all rules.
    let (code, _, constraint, detail) =
        refusal(&omar, "UPDATE orders SET total = 1001, code = 'bad' WHERE id = 'o1'", &[]);
    assert_eq!((code.as_str(), constraint.as_deref(), detail), ("23514", Some("total_max_value"), None));
    assert_eq!(gate.all(), before);
}

#[test]
fn other_violations_are_the_detail() {
    let gate = Gate::new(KIND);
    let nora = gate.client("nora");
    let both = check(NEGATIVE, Some("total_is_owed"), Some("Also: This code is not for orders, ask sales."));
    assert_eq!(refusal(&nora, "UPDATE orders SET total = -1, code = 'bad' WHERE id = 'o1'", &[]), both);
    let sql = "INSERT INTO orders (id, code, customer) VALUES ($1, 'bad', 'ann')";
    assert_eq!(
        refusal(&nora, sql, &[&"x"]),
        check("This code is not for orders, ask sales", Some("code_is_good"), None)
    );
}

#[test]
fn a_rule_about_hidden_columns_has_no_name() {
    let gate = Gate::new(KIND);
    let (nora, omar, before) = (gate.client("nora"), gate.client("omar"), gate.all());
    let free = "UPDATE orders SET code = 'free' WHERE id = 'o1'";
    assert_eq!(refusal(&nora, free, &[]), check("Nobody pays this order.", Some("customer_pays"), None));
    assert_eq!(refusal(&omar, free, &[]), check("Nobody pays this order.", None, None));
    let odd = "UPDATE orders SET code = 'odd' WHERE id = 'o1'";
    let (code, message, constraint, _) = refusal(&nora, odd, &[]);
    assert_eq!((code.as_str(), constraint.as_deref()), ("23514", Some("customer_is_counted")));
    assert!(message.contains("'customer_is_counted' could not be evaluated"), "{message}");
    let plain = "new row for relation \"orders\" violates a rule about columns that are not shown";
    assert_eq!(refusal(&omar, odd, &[]), check(plain, None, None));
    // Beside another violation.
    let both = refusal(&omar, "UPDATE orders SET code = 'odd', total = -1 WHERE id = 'o1'", &[]);
    assert_eq!(both, check(NEGATIVE, Some("total_is_owed"), Some(&format!("Also: {plain}."))));
    assert_eq!(gate.all(), before);
}

/// New and changed rows are within the bound of a policy that says nothing else of them, by whatever form they come.
#[test]
fn a_policy_without_a_check_binds_what_is_stored() {
    let gate = Gate::new(KIND);
    let (omar, pia, before) = (gate.client("omar"), gate.client("pia"), gate.all());
    let merge = "MERGE INTO orders o USING (VALUES ('o1'), ('m1')) AS s(id) ON s.id = o.id";
    for sql in [
        "INSERT INTO orders (id, region, total) VALUES ('n1', 'us', 5)",
        "INSERT INTO orders (id, region) VALUES ('n1', 'eu'), ('n2', 'us')",
        "INSERT INTO orders (id) VALUES ('n1')",
        "INSERT INTO orders (id, region) VALUES ('n1', DEFAULT)",
        "INSERT INTO orders (id, region) SELECT id || 'n', 'us' FROM orders",
        "INSERT INTO orders (id, region) VALUES ('n1', 'us') RETURNING id",
        "INSERT INTO orders (id, region) VALUES ('n1', 'us') ON CONFLICT (id) DO NOTHING",
        "INSERT INTO orders (id, region) VALUES ('o1', 'eu') ON CONFLICT (id) DO UPDATE SET region = 'us'",
        "UPDATE orders SET region = 'us' WHERE id = 'o1'",
        "UPDATE orders SET region = 'us'",
        "UPDATE orders SET region = NULL WHERE id = 'o1' RETURNING id",
        "UPDATE orders SET region = 'us' FROM notes WHERE notes.id = orders.id",
        &format!("{merge} WHEN MATCHED THEN UPDATE SET region = 'us'"),
        &format!("{merge} WHEN NOT MATCHED THEN INSERT (id, region) VALUES (s.id, 'us')"),
    ] {
        assert_eq!(code(&omar, sql), "42501", "{KIND:?} {sql}");
        assert_eq!(gate.all(), before, "{KIND:?} {sql}");
    }
    // Who reads all rows, and may change those of one region.
    for sql in [
        "UPDATE orders SET region = 'eu' WHERE id = 'o2'",
        "UPDATE orders SET region = 'eu' WHERE id = 'o2' RETURNING region",
        "UPDATE orders SET region = NULL",
        "INSERT INTO orders (id, region) VALUES ('o2', 'us') ON CONFLICT (id) DO UPDATE SET region = 'eu'",
    ] {
        assert_eq!(code(&pia, sql), "42501", "{KIND:?} {sql}");
        assert_eq!(gate.all(), before, "{KIND:?} {sql}");
    }
    // A policy of updates says nothing of new rows.
    assert_eq!(change(&pia, "INSERT INTO orders (id, region) VALUES ('p1', 'eu')"), Ok(1));
    assert_eq!(change(&pia, "UPDATE orders SET total = 3 WHERE id = 'o2'"), Ok(1));
}
