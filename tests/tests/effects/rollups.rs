//! Roll-ups of masters, after every kind of change of their children.

use super::*;
use querygate_tests::server::{PASSWORD, Request};
use serde_json::{Value, json};

fn account(shop: &Shop, id: &str) -> String {
    let sql = "SELECT concat_ws('|', coalesce(tickets, '-'), coalesce(open_hours, '-'), coalesce(longest, '-'))";
    shop.stored(&format!("{sql} FROM accounts WHERE id = '{id}'")).join("")
}

#[test]
fn roll_ups_follow_their_children() {
    let shop = shop();
    let nora = shop.client("nora");
    assert_eq!(
        change(&nora, "INSERT INTO tickets (id, account, hours) VALUES ('x1','a1',4.5), ('x2','a1',1), ('x3','a2',2)"),
        Ok(3)
    );
    assert_eq!([account(&shop, "a1"), account(&shop, "a2")], ["4.0|8.5|4.5", "2.0|2.0|9.0"]);
    assert_eq!(change(&nora, "UPDATE tickets SET hours = hours + 1 WHERE account = 'a1' AND state = 'open'"), Ok(3));
    assert_eq!(account(&shop, "a1"), "4.0|11.5|5.5");
    // To another master, and to none.
    assert_eq!(change(&nora, "UPDATE tickets SET account = 'a2' WHERE id IN ('x1', 't1')"), Ok(2));
    assert_eq!([account(&shop, "a1"), account(&shop, "a2")], ["2.0|2.0|2.0", "4.0|11.5|9.0"]);
    assert_eq!(change(&nora, "UPDATE tickets SET account = NULL WHERE account = 'a1'"), Ok(2));
    assert_eq!(account(&shop, "a1"), "0.0|0.0|-");
    assert_eq!(change(&nora, "DELETE FROM tickets WHERE id = 'x1'"), Ok(1));
    assert_eq!(account(&shop, "a2"), "3.0|6.0|9.0");
    assert_eq!(change(&nora, "INSERT INTO accounts (id) VALUES ('a3')"), Ok(1));
    assert_eq!(account(&shop, "a3"), "0.0|0.0|-");
}

#[test]
fn what_goes_along_counts_no_more() {
    let shop = shop();
    let nora = shop.client("nora");
    // The lines of a ticket go with it; the ticket itself is gone for its account.
    assert_eq!(change(&nora, "DELETE FROM lines WHERE id = 'l1'"), Ok(1));
    assert_eq!(shop.stored("SELECT CAST(spent AS text) FROM tickets WHERE id = 't1'"), ["0.5"]);
    assert_eq!(change(&nora, "DELETE FROM tickets WHERE id = 't1'"), Ok(1));
    assert_eq!(account(&shop, "a1"), "1.0|0.0|-");
}

#[test]
fn a_master_refuses_by_its_rules_and_nobody_writes_a_roll_up() {
    let shop = shop();
    let (nora, omar) = (shop.client("nora"), shop.client("omar"));
    let before = all(&shop);
    let rows: Vec<String> = (0..5).map(|n| format!("('x{n}', 'a1')")).collect();
    let sql = format!("INSERT INTO tickets (id, account) VALUES {}", rows.join(","));
    assert_eq!(code(&nora, &sql), "23514");
    for sql in [
        "UPDATE accounts SET tickets = 9",
        "INSERT INTO accounts (id, tickets) VALUES ('a9', 3)",
        "UPDATE tickets SET spent = NULL WHERE id = 't1'",
    ] {
        assert_eq!(code(&nora, sql), "428C9", "{sql}");
    }
    assert_eq!(all(&shop), before);
    // What omar does not see counts all the same.
    shop.execute("UPDATE tickets SET account = 'a1' WHERE id = 't5'");
    assert_eq!(change(&omar, "UPDATE tickets SET hours = 2 WHERE id = 't1'"), Ok(1));
    assert_eq!(account(&shop, "a1"), "3.0|2.0|2.0");
}

#[test]
fn nobody_writes_a_roll_up_as_a_record() {
    let shop = shop();
    let before = all(&shop);
    let body = json!({"email": "nora@shop.example", "password": PASSWORD});
    let signed = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body).send(shop.rest());
    let token = signed.json()["token"].as_str().unwrap().to_owned();
    let send = |method: &str, path: &str, body: &Value| {
        let request = Request::new(method, &format!("/api/v1/data/{path}"));
        request.header("authorization", &format!("Bearer {token}")).json(body).send(shop.rest())
    };
    for answer in [
        send("PATCH", "desk_accounts/a1", &json!({"tickets": 5})),
        send("PATCH", "desk_accounts/a1", &json!({"region": "us", "longest": null})),
        send("POST", "desk_accounts", &json!({"id": "a9", "tickets": 3})),
    ] {
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("INVALID_FIELD")), "{}", answer.text());
    }
    let import = json!({"format": "json", "rows": [{"id": "a9", "longest": 3}]});
    let answer = send("POST", "desk_accounts/import", &import);
    assert_eq!(answer.json()["errors"], 1, "{}", answer.text());
    assert_eq!(all(&shop), before);
}

#[test]
fn writers_of_one_master_lose_no_child() {
    let shop = shop();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let client = shop.client("nora");
            scope.spawn(move || {
                for n in 0..5 {
                    let sql = format!("INSERT INTO lines (id, ticket, hours) VALUES ('w{writer}_{n}', 't1', 1)");
                    assert_eq!(change(&client, &sql), Ok(1));
                }
            });
        }
    });
    assert_eq!(shop.stored("SELECT CAST(spent AS text) FROM tickets WHERE id = 't1'"), ["16.5"]);
}
