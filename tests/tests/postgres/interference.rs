//! An old rental shop with whole numbers, pairs of them and an enum for keys and columns, as it is: what a user sees under "own region"
//! and "children of visible parents" is what everybody sees of a copy without the other rows, for random statements, errors too.

use super::clinic::{edit, init, served};
use super::common::Server as Database;
use querygate_tests::harness::Rng;
use querygate_tests::server::{Server, psql, runtime};
use serde_json::json;
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('low', 'high', 'fair');
    CREATE TABLE store (store_id smallint PRIMARY KEY, name varchar(20) NOT NULL, boss smallint REFERENCES store);
    CREATE TABLE customer (customer_id int PRIMARY KEY, region_id int, store_id smallint NOT NULL REFERENCES store,
        name varchar(30) NOT NULL, balance numeric(8,2), mood mood, tags int[], referred_by int);
    CREATE TABLE rental (rental_id bigint PRIMARY KEY, customer_id int REFERENCES customer, store_id smallint REFERENCES store,
        at timestamp NOT NULL, days int);
    CREATE TABLE payment (rental_id bigint NOT NULL REFERENCES rental, nr smallint, amount numeric(6,2), PRIMARY KEY (rental_id, nr));
    INSERT INTO store SELECT i, 'store ' || i, nullif(i - 1, 0) FROM generate_series(1, 4) i;
    INSERT INTO customer SELECT i, CASE WHEN i % 7 > 0 THEN 1 + i % 3 END, 1 + i % 4, 'c' || i, CASE WHEN i % 5 > 0 THEN (i * 7 % 90) - 20.5 END,
        (enum_range(null::mood))[1 + i % 3], ARRAY[i % 4, i % 3], nullif(i * 3 % 40, 0) FROM generate_series(1, 40) i;
    INSERT INTO rental SELECT i, nullif(i % 41, 0), 1 + i % 4, '2024-01-01'::timestamp + i * interval '7 hours', nullif(i % 9, 4)
        FROM generate_series(1, 160) i;
    INSERT INTO payment SELECT r, n, (r * n % 50) + 0.25 FROM generate_series(1, 160) r, generate_series(1, 2) n WHERE (r + n) % 3 > 0;
";

/// The rules once more, as what a copy lacks.
const REDUCED: &str = "
    DELETE FROM payment WHERE NOT EXISTS (SELECT FROM rental r JOIN customer c USING (customer_id)
        WHERE r.rental_id = payment.rental_id AND c.region_id = 1);
    DELETE FROM rental WHERE NOT EXISTS (SELECT FROM customer c WHERE c.customer_id = rental.customer_id AND c.region_id = 1);
    DELETE FROM customer WHERE region_id IS DISTINCT FROM 1;
";

const STATEMENTS: usize = 240;

/// A table, its key, its numbers, and what else it has.
struct Table {
    name: &'static str,
    key: &'static str,
    numbers: &'static [&'static str],
    others: &'static [&'static str],
}

const TABLES: &[Table] = &[
    Table {
        name: "customer",
        key: "customer_id",
        numbers: &["customer_id", "region_id", "store_id", "balance", "referred_by"],
        others: &["name", "mood", "tags"],
    },
    Table {
        name: "rental",
        key: "rental_id",
        numbers: &["rental_id", "customer_id", "store_id", "days"],
        others: &["at"],
    },
    Table { name: "payment", key: "rental_id, nr", numbers: &["rental_id", "nr", "amount"], others: &[] },
    Table { name: "store", key: "store_id", numbers: &["store_id", "boss"], others: &["name"] },
];

/// Joins over keys of whole numbers: the tables' aliases are `t` and `u`.
const JOINS: &[&str] = &[
    "customer t JOIN rental u ON u.customer_id = t.customer_id",
    "rental t LEFT JOIN customer u ON u.customer_id = t.customer_id",
    "payment t JOIN rental u USING (rental_id)",
    "customer t FULL JOIN rental u ON u.customer_id = t.customer_id AND u.days > 3",
    "store t LEFT JOIN customer u ON u.store_id = t.store_id AND u.balance > 0",
    "customer t LEFT JOIN customer u ON u.customer_id = t.referred_by",
    "rental t, LATERAL (SELECT sum(amount) AS amount, count(*) AS nr FROM payment p WHERE p.rental_id = t.rental_id) u",
];

/// A condition over a table that is called so; a division finds out whether a hidden row is ever computed with.
fn condition(rng: &mut Rng, table: &Table, alias: &str) -> String {
    let number = *rng.pick(table.numbers);
    let n = rng.below(42);
    match rng.below(8) {
        0 => format!("{alias}.{number} > {n}"),
        1 => format!("{alias}.{number} IS NULL"),
        2 => format!("{alias}.{number} IN ({n}, {}, NULL)", n / 2),
        3 => format!("NOT ({alias}.{number} BETWEEN {} AND {n})", n / 3),
        4 => format!("100 / ({alias}.{number} - {n}) > 1"),
        5 => format!("{alias}.{number} NOT IN (SELECT region_id FROM customer WHERE balance < {n})"),
        6 => format!("EXISTS (SELECT 1 FROM rental r WHERE r.customer_id = {alias}.{number} AND r.days > {})", n % 9),
        _ => format!(
            "{alias}.{number} % {} = 1 OR {alias}.{number} = (SELECT max(customer_id) FROM customer)",
            2 + n % 5
        ),
    }
}

fn statement(rng: &mut Rng) -> String {
    let table = rng.pick(TABLES);
    let where_ = condition(rng, table, "t");
    let (name, key) = (table.name, table.key);
    let number = *rng.pick(table.numbers);
    let other = table.others.first().map_or(number, |_| *rng.pick(table.others));
    match rng.below(10) {
        0 => format!("SELECT * FROM {name} t WHERE {where_} ORDER BY {key}"),
        1 => format!(
            "SELECT {other}, {number} FROM {name} t ORDER BY {other} DESC NULLS LAST, {key} LIMIT {}",
            1 + rng.below(9)
        ),
        2 => format!(
            "SELECT count(*), count({number}), sum({number}), min({number}), max({other}) FROM {name} t WHERE {where_}"
        ),
        3 => format!(
            "SELECT {other}, count(*), sum({number}) FROM {name} t GROUP BY {other} HAVING count(*) > {} ORDER BY 1, 2, 3",
            rng.below(4)
        ),
        4 => format!(
            "SELECT {key}, row_number() OVER (PARTITION BY {other} ORDER BY {key}), sum({number}) OVER (ORDER BY {key}) FROM {name} t ORDER BY {key}"
        ),
        5 => format!(
            "SELECT count(*), count(t.*), count(u.*), min(u.store_id), sum(t.store_id) FROM {}",
            JOINS.get(rng.below(2)).unwrap()
        ),
        6 => format!("SELECT t.*, u.* FROM {} ORDER BY 1, 2, 3, 4, 5, 6", rng.pick(JOINS)),
        7 => format!(
            "SELECT {number} FROM {name} t EXCEPT SELECT customer_id FROM rental t WHERE days > {} ORDER BY 1",
            rng.below(8)
        ),
        8 => format!(
            "SELECT {key}, (SELECT count(*) FROM rental r WHERE r.customer_id = t.{number}), (SELECT max(name) FROM customer c WHERE c.store_id = t.{number}) FROM {name} t WHERE {where_} ORDER BY {key}"
        ),
        _ => format!(
            "SELECT json_agg(t.{number} ORDER BY {key}), string_agg(t.{other}::text, ',' ORDER BY {key}) FROM {name} t WHERE {where_}"
        ),
    }
}

/// Rows, in no order since some sort by what many of them have, or the code of the error.
fn answer(server: &Server, sql: &str) -> String {
    let printed = psql(server, "ann", &["-At", "-P", "null=~", "-c", sql]);
    let code = |error: &str| error.split(':').nth(1).unwrap_or_default().trim().to_owned();
    let mut rows: Vec<&str> = printed.out.lines().collect();
    rows.sort_unstable();
    if printed.success { rows.join("\n") } else { format!("!{}", code(&printed.err)) }
}

/// A gate over a database, with the rules or without.
fn gate(folder: &TempDir, database: &Database, name: &str, governed: bool) -> Server {
    init(folder.path(), database, name);
    if governed {
        edit(&folder.path().join(format!("metadata/{name}.json")), |stack| {
            let package = &mut stack["packages"][0]["manifest"];
            for object in package["objects"].as_array_mut().unwrap() {
                let own = object["name"].as_str().unwrap().to_owned();
                let parent = if own.ends_with("rental") { "customer_id" } else { "rental_id" };
                if own.ends_with("rental") || own.ends_with("payment") {
                    object["sharingModel"] = json!("controlled_by_parent");
                    object["fields"][parent]["type"] = json!("master_detail");
                }
            }
            package["permissions"][0]["rowLevelSecurity"] = json!([{
                "name": "own_region", "object": format!("{name}_customer"), "operation": "select", "using": "region_id == current_user.nurse",
            }]);
        });
    }
    served(folder.path(), name)
}

#[test]
fn hidden_rows_of_whole_number_keys_leave_no_trace() {
    let Some(database) = Database::start() else { return };
    runtime().block_on(async {
        database.database("whole", "").await.batch_execute(SCHEMA).await.unwrap();
        database.database("reduced", "").await.batch_execute(&format!("{SCHEMA}{REDUCED}")).await.unwrap();
    });
    let folders = [(); 3].map(|()| TempDir::new().unwrap());
    let governed = gate(&folders[0], &database, "whole", true);
    let reduced = gate(&folders[1], &database, "reduced", false);
    let open = gate(&folders[2], &database, "whole", false);
    assert_eq!(answer(&governed, "SELECT DISTINCT region_id FROM customer").trim(), "1");
    let (mut rng, mut empty, mut noticed, mut errors) = (Rng::new(20_261_122), 0, 0, 0);
    for _ in 0..STATEMENTS {
        let sql = statement(&mut rng);
        let seen = answer(&governed, &sql);
        assert_eq!(seen, answer(&reduced, &sql), "{sql}");
        empty += usize::from(seen.trim().is_empty());
        errors += usize::from(seen.starts_with('!'));
        noticed += usize::from(seen != answer(&open, &sql));
    }
    let counts =
        format!("{STATEMENTS} statements: {errors} errors, {empty} without rows, {noticed} other without the rules");
    assert!(errors * 5 < STATEMENTS && empty * 5 < STATEMENTS && noticed * 2 > STATEMENTS, "{counts}");
}
