//! What workers do above their leaves: the same answers and errors as without them for each user, less that travels, and what stays.

use super::world::{USERS, World, answer, explained, free_port};
use querygate_tests::server::runtime;
use tokio_postgres::Client;

const AGGREGATED: &str = "aggregated by workers";
const FIRST: &str = "first rows chosen by workers";
const FILTERED: &str = "filtered by workers";
const READ: &str = "read by workers";

/// Statements and what EXPLAIN says of each for every reader.
const STATEMENTS: &[(&str, &str)] = &[
    ("SELECT count(*) FROM lineitem", AGGREGATED),
    (
        "SELECT l_returnflag, count(*), sum(l_quantity), min(l_shipdate), max(l_comment) FROM lineitem GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT l_returnflag, avg(l_quantity), count(l_tax) FROM lineitem WHERE l_shipdate < DATE '1995-03-15' GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT o_custkey, sum(o_totalprice) FROM orders GROUP BY 1 HAVING sum(o_totalprice) > 1000000 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT count(*) FILTER (WHERE l_tax > 0.05), sum(l_quantity) FILTER (WHERE l_shipmode = 'AIR') FROM lineitem",
        AGGREGATED,
    ),
    ("SELECT DISTINCT l_shipmode FROM lineitem ORDER BY 1", AGGREGATED),
    ("SELECT count(DISTINCT l_shipmode), count(DISTINCT l_suppkey) FROM lineitem", AGGREGATED),
    ("SELECT l_shipmode, count(DISTINCT l_suppkey) FROM lineitem GROUP BY 1 ORDER BY 1", AGGREGATED),
    ("SELECT c_phone, count(*) FROM customer GROUP BY c_phone ORDER BY 2 DESC, 1 LIMIT 5", AGGREGATED),
    ("SELECT max(c_phone), min(c_phone) FROM customer", AGGREGATED),
    (
        "SELECT l_linestatus, sum(CASE WHEN l_discount > 0.05 THEN 1 ELSE 0 END), count(*) FROM lineitem \
         GROUP BY ROLLUP (l_linestatus) ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT upper(substr(c_name, 1, 5)), length(max(c_address)), count(*) FROM customer \
         WHERE c_name LIKE '%1%' OR length(c_comment) > 50 GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT extract(year FROM o_orderdate), count(*), sum(o_shippriority) FROM orders GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    ("SELECT date_trunc('month', o_orderdate) AS m, count(*) FROM orders GROUP BY 1 ORDER BY 1 LIMIT 5", AGGREGATED),
    ("SELECT count(*), sum(amount), min(parts), max(parts), avg(amount) FROM costs WHERE parts > 3", AGGREGATED),
    ("SELECT count(*), count(rate), sum(rate), max(code) FROM rates", AGGREGATED),
    ("SELECT sum(size), max(note) FROM notes", AGGREGATED),
    ("SELECT count(*), sum(n_nationkey), max(n_name) FROM nothing", AGGREGATED),
    ("SELECT n_regionkey, count(*) FROM nothing GROUP BY 1", AGGREGATED),
    ("SELECT bool_and(l_quantity > 0), bool_or(l_tax > 0.07) FROM lineitem", AGGREGATED),
    (
        "SELECT CAST(l_orderkey AS text) || '-' || l_linestatus AS k, count(*) FROM lineitem GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3",
        AGGREGATED,
    ),
    ("SELECT count(*) FROM lineitem WHERE l_comment IS NULL OR l_tax IN (0.01, 0.02, 0.03, 0.04)", AGGREGATED),
    ("SELECT CAST(max(c_phone) AS integer) FROM customer", AGGREGATED),
    ("SELECT sum(CAST(c_phone AS integer)) FROM customer", AGGREGATED),
    (
        "SELECT l_orderkey, l_linenumber, l_comment FROM lineitem ORDER BY l_extendedprice DESC, l_orderkey, l_linenumber LIMIT 7",
        FIRST,
    ),
    ("SELECT c_phone, c_custkey FROM customer ORDER BY c_phone, c_custkey, tenant LIMIT 9", FIRST),
    ("SELECT rate, code FROM rates ORDER BY rate NULLS FIRST, code LIMIT 2", FIRST),
    ("SELECT l_orderkey, l_linenumber FROM lineitem WHERE length(l_comment) > 42 ORDER BY 1, 2, tenant", FILTERED),
    ("SELECT amount / parts FROM costs WHERE amount / parts > 20 ORDER BY 1", FILTERED),
    (
        "SELECT r_name, count(*), max(s_name) FROM supplier JOIN nation ON s_nationkey = n_nationkey AND supplier.tenant = nation.tenant \
         JOIN region ON n_regionkey = r_regionkey AND nation.tenant = region.tenant GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT o_orderpriority, count(*), sum(l_quantity) FROM lineitem JOIN orders ON l_orderkey = o_orderkey \
         AND lineitem.tenant = orders.tenant WHERE l_shipdate > o_orderdate + 30 GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT c_phone, count(*) FROM customer JOIN nation ON c_nationkey = n_nationkey AND customer.tenant = nation.tenant \
         WHERE n_name LIKE 'A%' OR length(c_name) > 20 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 9",
        AGGREGATED,
    ),
    // Of files that are small enough, and of rows that are too many to travel.
    (
        "SELECT a.l_shipmode, count(*), max(a.l_comment), min(b.l_comment) FROM lineitem a JOIN lineitem b \
         ON a.l_orderkey = b.l_orderkey AND a.l_linenumber = b.l_linenumber AND a.tenant = b.tenant GROUP BY 1 ORDER BY 1",
        AGGREGATED,
    ),
    (
        "SELECT a.l_comment, b.l_comment, a.l_orderkey, a.l_linenumber, a.tenant FROM lineitem a JOIN lineitem b \
         ON a.l_orderkey = b.l_orderkey AND a.l_linenumber = b.l_linenumber AND a.tenant = b.tenant \
         WHERE length(b.l_comment) > 0 ORDER BY 1, 3, 4, 5 LIMIT 40",
        FIRST,
    ),
    (
        "SELECT n_name, count(*) FROM nation WHERE n_regionkey IN (SELECT r_regionkey FROM region WHERE r_name > 'B') \
         AND n_nationkey NOT IN (SELECT s_nationkey FROM supplier WHERE s_acctbal > 9000) GROUP BY 1 ORDER BY 1",
        "by workers",
    ),
    (
        "SELECT c_mktsegment, count(o_orderkey), count(*) FROM customer LEFT JOIN orders ON c_custkey = o_custkey \
         AND customer.tenant = orders.tenant AND o_totalprice > 200000 GROUP BY 1 ORDER BY 1",
        "by workers",
    ),
    (
        "WITH RECURSIVE up(n, name) AS (SELECT 0, CAST('' AS text) UNION ALL SELECT n + 1, \
         (SELECT max(r_name) FROM region WHERE r_regionkey = n) FROM up WHERE n < 4) SELECT * FROM up ORDER BY 1",
        "",
    ),
    (
        "WITH RECURSIVE r(k, d) AS (SELECT r_regionkey, 0 FROM region UNION SELECT n_nationkey, d + 1 FROM nation \
         JOIN r ON n_regionkey = k WHERE d < 2) SELECT d, count(*), max(k) FROM r GROUP BY 1 ORDER BY 1",
        "",
    ),
    ("SELECT string_agg(code, ',' ORDER BY code DESC) FROM rates", READ),
    (
        "SELECT l_shipmode, array_agg(l_orderkey ORDER BY l_orderkey, l_linenumber) FROM lineitem GROUP BY 1 ORDER BY 1",
        READ,
    ),
    ("SELECT code, rate FROM rates ORDER BY 1", READ),
    ("SELECT count(*) FROM rates WHERE code > current_user AND length(code) + pg_backend_pid() > 3", AGGREGATED),
    ("SELECT max(amount / parts), count(*) FROM costs", AGGREGATED),
    ("SELECT tenant, min(amount / (parts - 4)) FROM costs GROUP BY 1 ORDER BY 1", AGGREGATED),
    (
        "SELECT o_orderstatus, max(o_totalprice / (o_custkey - c_custkey)) FROM orders JOIN customer ON o_custkey = c_custkey \
         GROUP BY 1",
        AGGREGATED,
    ),
    ("SELECT count(*) FROM orders WHERE o_orderdate < now() - interval '1 day'", AGGREGATED),
];

/// Statements whose results depend on how rows are divided: of a reader from whom rows are hidden they are made in the gate.
const DIVIDED: &[&str] = &[
    "SELECT l_returnflag, stddev(l_quantity), count(*) FROM lineitem GROUP BY 1 ORDER BY 1",
    "SELECT avg(CAST(l_quantity AS double precision)) FROM lineitem",
    "SELECT sum(amount / (parts + 1)) FROM costs",
];

async fn set(client: &Client, mode: &str) {
    client.simple_query(&format!("SET querygate.workers = {mode}")).await.unwrap();
}

fn choice(plan: &[String]) -> String {
    plan.iter().filter(|line| line.starts_with("Workers: ")).cloned().collect::<Vec<_>>().join("\n")
}

#[test]
fn three_users_get_the_same_answers_of_stages() {
    let world = World::new();
    let ports = [free_port(), free_port()];
    let _workers = ports.map(|port| world.worker(port));
    let gate = world.gate(&ports);
    let (mut wrong, mut failed) = (Vec::new(), 0);
    runtime().block_on(async {
        for user in USERS {
            let client = gate.client(user).await;
            for (sql, expected) in STATEMENTS {
                set(&client, "off").await;
                let local = answer(&client, sql).await;
                set(&client, "on").await;
                let over = answer(&client, sql).await;
                if local != over {
                    wrong.push(format!("{user}: {sql}\n  here: {local:?}\n  over workers: {over:?}"));
                }
                failed += usize::from(local.is_err());
                let plan = explained(&client, sql).await;
                if !choice(&plan).contains(expected) {
                    wrong.push(format!("{user}: {sql}: not {expected}\n{}", plan.join("\n")));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(failed >= 3, "{failed} statements failed: division by zero where the row is seen");
}

/// How rows are divided among workers depends on rows that a reader does not see, so nothing that depends on it leaves the gate.
#[test]
fn what_depends_on_the_division_stays_where_rows_are_hidden() {
    let world = World::new();
    let port = free_port();
    let _worker = world.worker(port);
    let gate = world.gate(&[port]);
    runtime().block_on(async {
        for sql in DIVIDED {
            let choice = async |user: &str| {
                let client = gate.client(user).await;
                set(&client, "on").await;
                choice(&explained(&client, sql).await)
            };
            assert!(choice("boss").await.contains(AGGREGATED), "{sql}");
            let ours = choice("ours").await;
            assert!(ours.contains(READ) && ours.contains("how hidden rows lie in files"), "{sql}: {ours}");
        }
    });
}

/// The rows and bytes that came for one table.
async fn moved(client: &Client, sql: &str) -> (f64, f64) {
    let rows = answer(client, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
    let lines = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
    let lines: Vec<String> = lines.filter(|line| line.starts_with("Worker localhost")).collect();
    let sum = |name: &str| {
        let values = lines.iter().map(|line| line.split(' ').find_map(|word| word.strip_prefix(name)).unwrap());
        values.map(|value| value.parse::<f64>().unwrap()).sum::<f64>()
    };
    (sum("rows="), sum("bytes="))
}

#[test]
fn states_travel_and_not_rows() {
    let world = World::new();
    let ports = [free_port(), free_port()];
    let _workers = ports.map(|port| world.worker(port));
    let gate = world.gate(&ports);
    runtime().block_on(async {
        let boss = gate.client("boss").await;
        set(&boss, "on").await;
        let (all, all_bytes) = moved(&boss, "SELECT l_returnflag, l_quantity FROM lineitem").await;
        let grouped = "SELECT l_returnflag, sum(l_quantity) FROM lineitem GROUP BY 1";
        let (states, bytes) = moved(&boss, grouped).await;
        assert!(all > 60_000.0 && states > 0.0 && states < 200.0 && bytes < all_bytes / 10.0, "{states} {bytes}");
        let (first, _) = moved(&boss, "SELECT l_comment FROM lineitem ORDER BY l_comment LIMIT 3").await;
        assert!((3.0..200.0).contains(&first), "{first}");
    });
}

/// Values of parameters are in what workers are sent.
#[test]
fn parameters_go_to_workers() {
    let world = World::new();
    let port = free_port();
    let _worker = world.worker(port);
    let gate = world.gate(&[port]);
    runtime().block_on(async {
        for user in USERS {
            let client = gate.client(user).await;
            let sql = "SELECT l_shipmode, count(*), max(l_comment || $2::text) FROM lineitem \
                       WHERE length(l_comment) > $1::int8 GROUP BY 1 ORDER BY 1";
            let mut found = Vec::new();
            for mode in ["off", "on"] {
                set(&client, mode).await;
                let mut answers = Vec::new();
                for (length, suffix) in [(10_i64, "a"), (40, "ü"), (1_000, "")] {
                    let rows = client.query(sql, &[&length, &suffix]).await.unwrap();
                    let row = |row: &tokio_postgres::Row| -> (String, i64, Option<String>) {
                        (row.get(0), row.get(1), row.get(2))
                    };
                    answers.push(rows.iter().map(row).collect::<Vec<_>>());
                }
                client.simple_query(&format!("DEALLOCATE ALL; PREPARE p AS {sql}")).await.unwrap();
                let text = answer(&client, "EXECUTE p (40, 'x')").await.unwrap();
                found.push((answers, text));
            }
            assert!(found[0] == found[1], "{user}");
            assert!(found[0].0[0].len() > 3 && found[0].0[2].is_empty(), "{user}");
        }
    });
}

/// A stage whose workers are gone is run in the gate where a session leaves it the choice.
#[test]
fn a_stage_without_workers_runs_here() {
    let world = World::new();
    let port = free_port();
    let worker = world.worker(port);
    let gate = world.gate_of(&format!("addresses = [\"localhost:{port}\"]\nmin_bytes = 0"));
    let sqls = [
        "SELECT l_shipmode, count(*), sum(l_quantity) FROM lineitem WHERE length(l_comment) > 20 GROUP BY 1 ORDER BY 1",
        "SELECT l_comment FROM lineitem ORDER BY l_comment, l_orderkey, l_linenumber, tenant LIMIT 5",
    ];
    runtime().block_on(async {
        let mut clients = Vec::new();
        for user in USERS {
            let client = gate.client(user).await;
            for sql in sqls {
                let plan = choice(&explained(&client, sql).await);
                assert!(plan.contains("by workers"), "{plan}");
                set(&client, "off").await;
                let local = answer(&client, sql).await.unwrap();
                set(&client, "auto").await;
                assert!(answer(&client, sql).await.unwrap() == local, "{user}: {sql}");
                clients.push((gate.client(user).await, sql, local));
            }
        }
        worker.kill();
        for (client, sql, local) in &clients {
            assert!(answer(client, sql).await.unwrap() == *local, "{sql}");
        }
    });
}
