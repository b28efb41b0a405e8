//! `querygate init` over data as it lies about: what is served is right, what is not is listed with its reason, and what is written loads.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

use querygate_tests::server::{RawClient, Server, binary};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Runs a command in a folder: whether it went well, and what it said.
fn querygate(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(binary()).args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn init(folder: &Path, arguments: &[&str]) -> String {
    let (well, said) = querygate(folder, &[&["init"], arguments].concat());
    assert!(well, "{said}");
    assert!(said.contains("0 errors"), "{said}");
    said
}

/// Rows of a query by the user that `init` made, as CSV without its header.
#[track_caller]
fn assert_rows(folder: &Path, sql: &str, expected: &[&str]) {
    let (well, said) = querygate(folder, &["sql", "-u", "analyst", "--csv", sql]);
    assert!(well, "{sql}: {said}");
    let rows: Vec<&str> = said.lines().skip(1).filter(|line| !line.starts_with('(') && !line.is_empty()).collect();
    assert_eq!(rows, expected, "{sql}");
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn a_folder_of_odd_files_is_served_but_for_what_is_listed() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(
        here,
        &[
            ("data/semi.csv", "id;name;amount\n1;a;2,5\n2;b;3,5\n"),
            ("data/blank.csv", "id, name,city \n1,x,y\n"),
            ("data/people.tsv", "id\tname\n1\tx\n"),
            ("data/codes.csv", "code,big\n00501,18446744073709551615\n"),
            ("data/names.csv", "Größe,年,OrderID\n1,2,3\n"),
            ("data/list.json", "[{\"id\": 1, \"n\": \"x\"},\n {\"id\": 2}]\n"),
            ("data/doc.json", "{\n  \"id\": 7,\n  \"deep\": {\"x\": 1}\n}\n"),
            ("data/bom.ndjson", "\u{feff}{\"id\": 1}\n{\"id\": 2, \"late\": \"z\"}\n"),
            ("data/sales/year=2024/a.csv", "v\n1\n"),
            ("data/sales/year=2025/a.csv", "v\n2\n"),
            ("data/ragged.csv", "a,b\n1,2\n1,2,3\n"),
            ("data/empty.csv", ""),
            ("data/lake/_delta_log/0.json", "{}"),
            ("data/lake/part.ndjson", "{\"id\": 1}\n"),
            ("data/readme.md", "text"),
        ],
    );
    let said = init(here, &["data"]);
    for part in [
        "left out: ragged.csv (ragged.csv: row 2: 3 fields where the first row has 2)",
        "left out: empty.csv (empty",
        "left out: lake (a Delta Lake table",
        "left out: readme.md (no table",
        "as text: semi.csv.amount (row 1 of semi.csv has a number with a decimal comma; write it as 1234.56, or serve a view",
        "9 tables, 4 left out",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("ERROR"), "{said}");
    for (sql, expected) in [
        ("SELECT * FROM semi ORDER BY id", &["1,a,\"2,5\"", "2,b,\"3,5\""][..]),
        ("SELECT id, name, city FROM blank", &["1,x,y"]),
        ("SELECT * FROM people", &["1,x"]),
        ("SELECT code, big FROM codes", &["00501,18446744073709551615"]),
        ("SELECT \"größe\", \"年\", orderid FROM names", &["1,2,3"]),
        ("SELECT größe FROM names WHERE 年 = 2", &["1"]),
        ("SELECT * FROM list ORDER BY id", &["1,x", "2,"]),
        ("SELECT id, deep->>'x' FROM doc", &["7,1"]),
        ("SELECT * FROM bom ORDER BY id", &["1,", "2,z"]),
        ("SELECT v, year FROM sales ORDER BY year", &["1,2024", "2,2025"]),
        ("SELECT sum(v) FROM sales WHERE year = 2025", &["2"]),
    ] {
        assert_rows(here, sql, expected);
    }
    // A trial leaves nothing behind.
    let left: Vec<_> = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("trial")), "{left:?}");
    // Again, with a file more: what was written is brought up to date.
    write(here, &[("data/more.csv", "id\n5\n")]);
    let again = init(here, &["data"]);
    assert!(again.contains("10 tables, 4 left out"), "{again}");
    assert_rows(here, "SELECT id FROM more", &["5"]);
}

#[test]
fn odd_names_links_and_parts_harm_nothing_else() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(
        here,
        &[
            ("data/st*r.csv", "id,b\n1,2\n"),
            ("data/star.csv", "id,b\n8,8\n"),
            ("data/[x].csv", "id\n5\n"),
            ("data/qu?stion/a.csv", "id\n6\n"),
            ("data/headless/a.csv", "id,b\n1,2\n"),
            ("data/headless/b.csv", "7,8\n9,9\n"),
            ("data/quoted.csv", "'id','note'\n'1','x'\n'2',''\n"),
            ("data/money.csv", "id,amount\n1,12345678901234567.89\n2,0.1\n"),
            ("data/exact.ndjson", "{\"x\": 9007199254740993}\n{\"x\": 0.5}\n"),
            ("data/fine.csv", "at\n2024-01-01T10:00:00.123456789\n"),
            ("data/pg_class.csv", "id\n3\n"),
            ("data/a\tb.csv", "id\n1\n"),
        ],
    );
    std::fs::write(here.join("data/latin.csv"), b"id,name\n1,Caf\xe9\n").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("..", here.join("data/up")).unwrap();
        std::os::unix::fs::symlink("me.csv", here.join("data/me.csv")).unwrap();
    }
    let said = init(here, &["data"]);
    for part in [
        "left out: headless (headless/b.csv: its first row names none of the columns of the first file)",
        "read as windows-1252, for it is not UTF-8: latin.csv",
        "illegal character",
        "10 tables",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for (sql, expected) in [
        ("SELECT id, b FROM st_r", &["1,2"][..]),
        ("SELECT id, b FROM star", &["8,8"]),
        ("SELECT id FROM qu_stion", &["6"]),
        ("SELECT id, note FROM quoted ORDER BY id", &["1,x", "2,"]),
        ("SELECT amount FROM money ORDER BY id", &["12345678901234567.89", "0.10"]),
        ("SELECT x FROM exact ORDER BY x", &["0.5", "9007199254740993.0"]),
        ("SELECT at FROM fine", &["2024-01-01T10:00:00.123456789"]),
        ("SELECT id FROM public.pg_class", &["3"]),
        ("SELECT name FROM latin", &["Café"]),
    ] {
        assert_rows(here, sql, expected);
    }
}

#[test]
fn a_second_source_leaves_the_names_of_the_first_alone() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(here, &[("crm/orders.csv", "id\n1\n"), ("crm/people.csv", "id\n2\n"), ("a/orders.csv", "id\n3\n4\n")]);
    init(here, &["crm"]);
    assert_rows(here, "SELECT id FROM orders", &["1"]);
    let said = init(here, &["a", "--namespace", "a1"]);
    assert!(said.contains("served as a1_orders: orders.csv"), "{said}");
    let config = here.join("querygate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[\"crm_reader\"]", "[\"crm_reader\", \"a1_reader\"]")).unwrap();
    assert_rows(here, "SELECT id FROM orders", &["1"]);
    assert_rows(here, "SELECT id FROM a1_orders ORDER BY id", &["3", "4"]);
    // Both are brought up to date, and keep their names.
    init(here, &["crm"]);
    init(here, &["a", "--namespace", "a1"]);
    assert_rows(here, "SELECT id FROM orders", &["1"]);
    assert_rows(here, "SELECT count(*) FROM a1_orders", &["2"]);
}

/// A new table or column of a like name takes neither the name nor the rules of one that is served.
#[test]
fn rules_stay_with_their_table_and_column() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(here, &[("data/order_lines.csv", "id,e_mail\n1,ada@x.org\n")]);
    init(here, &["data"]);
    let file = here.join("metadata/data.json");
    let mut stack: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    stack["packages"][0]["manifest"]["objects"][0]["fields"]["e_mail"]["maskingRule"] = "email".into();
    std::fs::write(&file, stack.to_string()).unwrap();
    assert_rows(here, "SELECT e_mail FROM order_lines", &["a**@x.org"]);
    let said = init(here, &["data"]);
    assert!(said.contains("\nRules that are applied:\n- data_order_lines: `e_mail` is masked\n"), "{said}");
    assert!(!said.contains("mask it") && !said.contains("none is applied"), "{said}");
    let again =
        [("data/Order Lines.csv", "id\n7\n"), ("data/order_lines.csv", "id,E-Mail,e_mail\n1,other@x.org,ada@x.org\n")];
    write(here, &again);
    for _ in 0..2 {
        init(here, &["data"]);
        assert_rows(here, "SELECT e_mail FROM order_lines", &["a**@x.org"]);
        assert_rows(here, "SELECT e_mail_2 FROM order_lines", &["other@x.org"]);
        assert_rows(here, "SELECT id FROM order_lines_2", &["7"]);
    }
}

/// Of like names, the one that stands as it is keeps it.
#[test]
fn a_table_and_a_column_keep_names_that_are_theirs() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(here, &[("data/order lines.csv", "a b,a_b\n1,2\n"), ("data/order_lines.csv", "a-b,a_b\n3,4\n")]);
    let said = init(here, &["data"]);
    assert!(said.contains("served as order_lines_2: order lines.csv"), "{said}");
    assert_rows(here, "SELECT a_b, a_b_2 FROM order_lines", &["4,3"]);
    assert_rows(here, "SELECT a_b, a_b_2 FROM order_lines_2", &["2,1"]);
}

#[test]
fn one_file_is_a_source_and_what_is_written_is_whole_though_nobody_reads_on() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(here, &[("data/one.csv", "id,when\n1,2024-01-01\n"), ("data/other.csv", "id\n1\n")]);
    let mut child = Command::new(binary())
        .args(["init", "data/one.csv"])
        .current_dir(here)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().unwrap();
    let (well, said) = querygate(here, &["check", "querygate.toml"]);
    assert!(well && said.contains("0 errors"), "{said}");
    assert_rows(here, "SELECT id, \"when\" FROM one", &["1,2024-01-01"]);
    let (well, said) = querygate(here, &["sql", "-u", "analyst", "SELECT * FROM other"]);
    assert!(!well && said.contains("does not exist"), "{said}");
}

#[test]
fn a_column_whose_values_do_not_fit_its_type_is_text() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    let Ok(made) = Command::new("sqlite3")
        .arg(here.join("shop.sqlite"))
        .arg(
            "CREATE TABLE orders(id INTEGER PRIMARY KEY, total INTEGER, placed TIMESTAMP);
             INSERT INTO orders VALUES (1, 5, '2024-01-01 10:00:00'), (2, 6, 'last week');
             CREATE TABLE empty(id INTEGER PRIMARY KEY, v TEXT);
             CREATE TABLE prices(id INTEGER PRIMARY KEY, p DECIMAL(10,2), q DECIMAL(10,2), d DATE, e DATE, c TEXT COLLATE NOCASE, \"\" INT);
             INSERT INTO prices VALUES (1, 1.005, 1.25, '2024-01-01 10:00:00', '2024-01-01T00:00:00.000Z', 'A', 1);
             CREATE VIRTUAL TABLE words USING fts5(w);
             CREATE VIEW endless AS WITH RECURSIVE r(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM r) SELECT n FROM r;
             CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIEW broken AS SELECT * FROM t; DROP TABLE t;",
        )
        .output()
    else {
        eprintln!("SKIPPED: sqlite3 is not installed");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = init(here, &["shop.sqlite"]);
    assert!(said.contains("as text: orders.placed ("), "{said}");
    for part in [
        "left out: broken",
        "left out: words (a virtual table)",
        "views: endless (the source reads their tables",
        "as double precision: prices.p (DECIMAL(10,2)), for some value has more digits",
        "as text: prices.d (",
        "compared letter by letter here, and by NOCASE in the source: prices (c)",
        "(a column without a name)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_rows(here, "SELECT p, q, d, e FROM prices", &["1.005,1.25,2024-01-01 10:00:00,2024-01-01"]);
    assert_rows(here, "SELECT * FROM orders ORDER BY id", &["1,5,2024-01-01 10:00:00", "2,6,last week"]);
    assert_rows(here, "SELECT count(*) FROM empty", &["0"]);
}

#[test]
fn values_that_come_later_are_errors_or_nulls_as_is_chosen() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    let sqlite = |sql: &str| {
        let made = Command::new("sqlite3").arg(here.join("shop.sqlite")).arg(sql).output();
        made.is_ok_and(|output| output.status.success())
    };
    let table = "CREATE TABLE orders(id INTEGER PRIMARY KEY, total INTEGER, placed TIMESTAMP, note TEXT);
        INSERT INTO orders VALUES (1, 5, '2024-01-01 10:00:00', 'a')";
    if !sqlite(table) {
        eprintln!("SKIPPED: sqlite3 is not installed");
        return;
    }
    init(here, &["shop.sqlite"]);
    assert!(sqlite("INSERT INTO orders VALUES (2, 'many', 'last week', x'00ff')"));
    for (column, says) in [("total", "not a bigint"), ("placed", "not a timestamp"), ("note", "not a text")] {
        let sql = format!("SELECT {column} FROM orders ORDER BY id");
        let (well, said) = querygate(here, &["sql", "-u", "analyst", "--csv", &sql]);
        let place = format!("It is in column \"{column}\" of table \"orders\".");
        assert!(!well && said.contains(says) && said.contains(&place) && said.contains("`bad_values`"), "{said}");
    }
    // With the key of the row, where the statement reads it, in whatever order.
    for columns in ["id, total", "total, id", "*"] {
        let sql = format!("SELECT {columns} FROM orders");
        let (well, said) = querygate(here, &["sql", "-u", "analyst", "--csv", &sql]);
        let place = "It is in column \"total\" of table \"orders\". Its row has the key (id)=(2).";
        assert!(!well && said.contains(place), "{columns}: {said}");
    }
    let config = here.join("querygate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("kind = \"sqlite\"", "kind = \"sqlite\"\nbad_values = \"null\"")).unwrap();
    for (sql, expected) in [
        ("SELECT * FROM orders ORDER BY id", &["1,5,2024-01-01 10:00:00+00,a", "2,,,"][..]),
        ("SELECT id FROM orders WHERE total IS NULL", &["2"]),
        ("SELECT count(total), count(placed), count(note) FROM orders", &["1,1,1"]),
        ("SELECT id FROM orders WHERE total > 4 OR note > ''", &["1"]),
        ("SELECT total, count(*) FROM orders GROUP BY total ORDER BY total", &["5,1", ",1"]),
        ("SELECT id FROM orders WHERE id = 2 AND placed IS NULL", &["2"]),
    ] {
        assert_rows(here, sql, expected);
    }
    // Of one object alone; and a word that is none names its line.
    let other = text.replace("kind = \"sqlite\"", "kind = \"sqlite\"\nbad_values_of = { shop_orders = \"null\" }");
    std::fs::write(&config, other).unwrap();
    assert_rows(here, "SELECT count(total) FROM orders", &["1"]);
    std::fs::write(&config, text.replace("kind = \"sqlite\"", "kind = \"sqlite\"\nbad_values = \"nul\"")).unwrap();
    let (well, said) = querygate(here, &["check", "querygate.toml"]);
    assert!(!well && said.contains("did you mean `null`?"), "{said}");
}

/// What `init` wrote, served to a user with a known password.
fn served(folder: &Path) -> Server {
    let config = folder.join("querygate.toml");
    let verifier = postgres_protocol::password::scram_sha_256(b"demo-analyst");
    let text = std::fs::read_to_string(&config).unwrap();
    let kept = text.lines().map(|line| match line.starts_with("verifier = ") {
        true => format!("verifier = \"{verifier}\""),
        false => line.to_owned(),
    });
    let text = kept.collect::<Vec<_>>().join("\n");
    std::fs::write(&config, format!("[server]\ndatabase = \"demo\"\n\n{text}\n")).unwrap();
    Server::serve(&config)
}

#[test]
fn what_is_replaced_under_a_running_gate_is_read_anew() {
    let place = TempDir::new().unwrap();
    let here = place.path();
    write(here, &[("data/t.csv", "id,v\n1,a\n")]);
    let made = |name: &str, value: &str| {
        let sql = format!("CREATE TABLE s(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES (1, '{value}')");
        Command::new("sqlite3").arg(here.join(name)).arg(sql).output().is_ok_and(|output| output.status.success())
    };
    init(here, &["data"]);
    let has_sqlite = made("shop.sqlite", "old");
    if has_sqlite {
        init(here, &["shop.sqlite"]);
        let config = here.join("querygate.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("[\"data_reader\"]", "[\"data_reader\", \"shop_reader\"]")).unwrap();
    } else {
        eprintln!("SKIPPED: sqlite3 is not installed, and no database was replaced");
    }
    let server = served(here);
    let mut client = RawClient::login(server.postgres, "analyst");
    let mut rows = |sql: &str| {
        client.query(sql);
        let frames = client.read_until(b'Z');
        frames
            .iter()
            .filter(|frame| frame.tag == b'D')
            .map(|frame| String::from_utf8_lossy(&frame.body).into_owned())
            .collect::<Vec<_>>()
    };
    let mut becomes = |sql: &str, value: &str| {
        let found = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            rows(sql).iter().any(|row| row.contains(value))
        });
        assert!(found, "{sql} does not become {value}");
    };
    becomes("SELECT v FROM t", "a");
    // Of the same length, by a rename, and in place.
    write(here, &[("new.csv", "id,v\n1,b\n")]);
    std::fs::rename(here.join("new.csv"), here.join("data/t.csv")).unwrap();
    becomes("SELECT v FROM t", "b");
    write(here, &[("data/t.csv", "id,v\n1,c\n")]);
    becomes("SELECT v FROM t", "c");
    // A table that comes back.
    std::fs::remove_file(here.join("data/t.csv")).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    write(here, &[("data/t.csv", "id,v\n1,d\n")]);
    becomes("SELECT v FROM t", "d");
    if has_sqlite {
        becomes("SELECT v FROM s", "old");
        assert!(made("new.sqlite", "new"));
        std::fs::rename(here.join("new.sqlite"), here.join("shop.sqlite")).unwrap();
        becomes("SELECT v FROM s", "new");
    }
}
