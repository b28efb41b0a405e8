//! What each user's plan pushes where, and the rows it gives, against snapshots.

use querygate_tests::server::{RawClient, Server, Variant, demo, golden, psql};

const USERS: [&str; 3] = ["ada", "sam", "iris"];

fn snapshot(server: &Server, title: &str, name: &str, explain: &str, statements: &[&str]) {
    let mut text = format!("# {title}\n");
    for sql in statements {
        text.push_str(&format!("\n{sql}\n"));
        for user in USERS {
            let explained = psql(server, user, &["-At", "-c", &format!("{explain} {sql}")]);
            let rows = psql(server, user, &["-At", "-F", " | ", "-c", sql]);
            text.push_str(&format!("\n--- {user}: plan\n{}--- {user}: rows\n{}", explained.both(), rows.both()));
        }
    }
    golden(&format!("plans/{name}.txt"), &text);
}

#[test]
fn plans_and_rows_are_as_recorded() {
    // Partitions in a plan follow the number of workers.
    let variant = Variant::new(|config| config.replace("[server]\n", "[server]\nquery_workers = 2\n"));
    let server = &variant.serve();
    snapshot(
        server,
        "three sources in one join",
        "three-sources",
        "EXPLAIN",
        &["SELECT r.name AS region, count(DISTINCT a.id) AS accounts, count(*) AS requests\n  FROM regions r JOIN \
           accounts a ON a.region_id = r.id JOIN events e ON e.account_id = a.id\n WHERE e.kind = 'demo_request' AND \
           e.occurred_at >= '2026-09-01'\n GROUP BY r.name ORDER BY r.name"],
    );
    snapshot(
        server,
        "whole statements of one SQLite database, policy inside",
        "whole-statement",
        "EXPLAIN",
        &[
            "SELECT count(*) FROM accounts",
            "SELECT a.industry, count(*) AS n, sum(o.amount) AS amount FROM accounts a JOIN opportunities o ON \
             o.account_id = a.id\n WHERE o.stage = 'proposal' GROUP BY a.industry ORDER BY n DESC, a.industry LIMIT 3",
            "SELECT id, name FROM accounts WHERE id IN ('acc_00001', 'acc_00003', 'acc_00012') ORDER BY id",
        ],
    );
    snapshot(
        server,
        "what stays in the gate, and why",
        "kept",
        "EXPLAIN",
        &[
            "SELECT id, name FROM accounts WHERE 100 / (rating - 3) > 30 ORDER BY id LIMIT 2",
            "SELECT id, last_name FROM contacts WHERE email LIKE 'a%' ORDER BY id LIMIT 2",
            "SELECT id, row_number() OVER (ORDER BY id) AS n FROM accounts ORDER BY id LIMIT 2",
            "SELECT upper(name) AS u, count(*) FROM accounts GROUP BY upper(name) ORDER BY u LIMIT 2",
            "SELECT id FROM events WHERE id LIKE '%00042' ORDER BY id LIMIT 2",
        ],
    );
    snapshot(
        server,
        "the plan after each rule that changed it",
        "rules",
        "EXPLAIN VERBOSE",
        &[
            "SELECT r.name, count(*) AS n FROM regions r JOIN accounts a ON a.region_id = r.id\n WHERE a.rating + 1 > 4 AND \
             r.name LIKE 'E%' GROUP BY r.name ORDER BY r.name",
            "SELECT a.id, a.name FROM accounts a\n WHERE EXISTS (SELECT 1 FROM events e WHERE e.account_id = a.id AND e.kind = \
             'demo_request') ORDER BY a.id LIMIT 2",
        ],
    );
}

#[test]
fn a_bound_parameter_is_a_parameter_of_the_fragment() {
    let mut client = RawClient::login(demo().server.postgres, "sam");
    client.query("PREPARE p (text) AS SELECT count(*) FROM accounts WHERE industry = $1");
    client.read_until(b'Z');
    client.query("EXPLAIN EXECUTE p ('retail-secret-value')");
    let text: String =
        client.read_until(b'Z').iter().map(|frame| String::from_utf8_lossy(&frame.body).into_owned() + "\n").collect();
    assert!(!text.contains("retail-secret-value"), "{text}");
}
