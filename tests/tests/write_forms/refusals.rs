//! What a record hears that validations of the metadata refuse: code, message, the rule's name and the other messages; nothing of what
//! the writer does not read.

use super::KIND;
use crate::gate::Gate;
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
