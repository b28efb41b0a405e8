//! COPY FROM STDIN over one kind of source: rows of each format are stored as an INSERT stores them, all or none, and an error says the line
//! that it is about.

use super::KIND;
use crate::shop::{Shop, Told, code, copied_out, copy, copy_by, one, run};
use crate::source::Kind;

#[test]
fn text_and_csv_are_stored_however_they_come() {
    let text = "o4\tdora\teu\t12.345\t\\N\t2026-05-01\no5\ta\\tb\\\\c\tus\t\\N\tk5\t\\N\n\\.\n";
    let csv = "id,customer,region,total,code,placed_on\r\no4,dora,eu,12.345,,2026-05-01\r\no5,\"a\tb\\c\",us,,k5,\r\n";
    let expected = ["o4|dora|eu|12.345||2026-05-01", "o5|a\tb\\c|us||k5|"];
    let shop = Shop::new(KIND, true);
    let nora = shop.client("nora");
    for (sql, data) in [
        ("COPY orders FROM STDIN", text),
        ("COPY public.orders FROM STDIN WITH (FORMAT csv, HEADER match)", csv),
        ("copy orders from stdin csv header", csv),
    ] {
        for piece in [1, 7, 8_192] {
            assert_eq!(copy_by(&nora, sql, data.as_bytes(), piece), Ok(2), "{sql} by {piece}");
            let stored = shop.orders();
            // A server's client of texts shows a tab as two characters.
            let shown = stored[3..].iter().map(|row| row.replace("\\t", "\t").replace("\\\\", "\\"));
            assert_eq!(shown.collect::<Vec<_>>(), expected, "{sql} by {piece}");
            run(&nora, "DELETE FROM orders WHERE id > 'o3'").unwrap();
        }
    }
    assert_eq!(copy(&nora, "COPY orders FROM STDIN", ""), Ok(0));
    assert_eq!(shop.orders().len(), 3);
}

#[test]
fn every_type_comes_back_as_it_went_in_each_format() {
    let shop = Shop::new(KIND, true);
    let nora = shop.client("nora");
    let values = "'t1', true, -7, 9007199254740993, 1.5, -2.25, 12.3400, '2026-02-28', '23:59:58.123', '2026-01-02 03:04:05.678+02', \
                  '2026-01-02 03:04:05.678', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"a\": [1, null]}', 'kurz   '";
    run(&nora, &format!("INSERT INTO kinds VALUES ({values})")).unwrap();
    run(&nora, "INSERT INTO kinds (id) VALUES ('t2')").unwrap();
    let columns = "flag, small, big, single, double_of, price, day_on, clock, moment, local, key_of, facts, short_of";
    let stored = |like: &str| {
        let cells: Vec<String> = columns
            .split(", ")
            .map(|name| match KIND {
                Kind::Sqlite => format!("coalesce(typeof({name}) || quote({name}), '')"),
                Kind::Postgres => format!("coalesce({name}::text, '-')"),
                Kind::MariaDb => format!("coalesce(hex({name}), '-')"),
            })
            .collect();
        shop.stored(&format!(
            "SELECT concat_ws('|', {}) FROM kinds WHERE id LIKE '{like}' ORDER BY id",
            cells.join(", ")
        ))
    };
    let inserted = stored("t%");
    assert_eq!(inserted.len(), 2);
    for (format, prefix) in [("text", "x"), ("csv", "y"), ("binary", "z")] {
        let sql = format!(
            "COPY (SELECT '{prefix}' || id AS id, {columns} FROM kinds WHERE id LIKE 't%') TO STDOUT (FORMAT {format})"
        );
        let data = copied_out(&nora, &sql);
        let sql = format!("COPY kinds (id, {columns}) FROM STDIN (FORMAT {format})");
        assert_eq!(copy_by(&nora, &sql, &data, 100), Ok(2), "{format}");
        assert_eq!(stored(&format!("{prefix}%")), inserted, "{format}");
    }
    for (column, text, state) in [
        ("flag", "maybe", "22P02"),
        ("small", "32768", "22003"),
        ("price", "x", "22P02"),
        ("day_on", "2026-02-30", "22008"),
        ("key_of", "no-uuid", "22P02"),
        ("facts", "{\"a\"", "22P02"),
        ("short_of", "much too long for it", "22001"),
    ] {
        let refused = copy(&nora, &format!("COPY kinds (id, {column}) FROM STDIN"), &format!("w1\t\\N\nw2\t{text}\n"));
        let (told, _, place) = refused.unwrap_err();
        assert_eq!(told, state, "{column}");
        assert!(place.as_deref().unwrap_or_default().starts_with("COPY kinds, line 2"), "{column}: {place:?}");
    }
    assert!(stored("w%").is_empty());
}

#[test]
fn defaults_numbers_and_summaries_are_those_of_an_insert() {
    let shop = Shop::new(KIND, true);
    let nora = shop.client("nora");
    let jars: String = (0..9_000).map(|at| format!("j{at:05}\tk{}\n", at % 3 + 1).replace("k3", "\\N")).collect();
    assert_eq!(copy(&nora, "COPY jars (id, crate) FROM STDIN", &jars), Ok(9_000));
    let numbers = shop.stored("SELECT number FROM jars ORDER BY id");
    let expected: Vec<String> = (1..=9_000).map(|number| format!("J-{number:05}")).collect();
    assert_eq!(numbers, expected);
    assert_eq!(shop.stored("SELECT concat_ws('', CAST(jars AS integer)) FROM crates ORDER BY id"), ["3000", "3000"]);
    // Without a list of columns, those that are computed are left out.
    assert_eq!(copy(&nora, "COPY jars FROM STDIN", "last\tk1\n"), Ok(1));
    assert_eq!(shop.stored("SELECT number FROM jars WHERE id = 'last'"), ["J-09001"]);
    assert_eq!(code(&nora, "COPY jars (id, number) FROM STDIN"), "428C9");
    assert_eq!(copy(&nora, "COPY items (id, paid) FROM STDIN", "i1\tt\n"), Ok(1));
    run(&nora, "INSERT INTO items (id, paid) VALUES ('i2', true)").unwrap();
    let items = shop.stored("SELECT concat_ws('|', paid, note) FROM items ORDER BY id");
    assert_eq!(items[0], items[1]);
    assert!(items[0].ends_with("|none"), "{items:?}");
}

#[test]
fn the_first_wrong_row_is_told_and_nothing_is_stored() {
    let shop = Shop::new(KIND, true);
    let (nora, omar, before) = (shop.client("nora"), shop.client("omar"), shop.orders());
    let sql = "COPY orders (id, region, total) FROM STDIN";
    // In the third batch; what follows is wrong, too.
    let rows = |wrong: &[(usize, &str)]| {
        let row = |at| match wrong.iter().find(|(line, _)| *line == at) {
            Some((_, wrong)) => (*wrong).to_owned(),
            None => format!("m{at}\teu\t{}\n", at % 900),
        };
        (1..=17_500).map(row).collect::<String>()
    };
    for (wrong, state) in [
        ("m16999\teu\t1001\n", "23514"),
        ("o1\teu\t1\n", "23505"),
        ("m16999\teu\t1\n", "23505"),
        ("m5\teu\t1\n", "23505"),
        ("n1\tus\t1\n", "42501"),
    ] {
        let data = rows(&[(17_001, wrong), (17_002, "x\tus\t5000\n"), (17_400, "o2\teu\t1\n")]);
        let (told, text, place) = copy(&omar, sql, &data).unwrap_err();
        assert_eq!((told.as_str(), place.as_deref()), (state, Some("COPY orders, line 17001")), "{wrong}: {text}");
        assert_eq!(shop.orders(), before, "{wrong}");
    }
    let data: String = (1..=17_500).map(|at| format!("i{at}\t{}\n", if at > 17_000 { "o9" } else { "o1" })).collect();
    let lost = copy(&nora, "COPY items (id, order_id) FROM STDIN", &data).unwrap_err();
    let text = "column \"order_id\" refers to a record that does not exist";
    assert_eq!(lost, ("23503".to_owned(), text.to_owned(), Some("COPY items, line 17001".to_owned())));
    assert_eq!(shop.count("items"), 0);
    // A header and values of several lines count as the lines that they take.
    let data = "id,customer\n\"c1\",\"two\nlines\"\nc2,x\no1,y\n";
    let (_, _, place) = copy(&nora, "COPY orders (id, customer) FROM STDIN CSV HEADER", data).unwrap_err();
    assert_eq!(place.as_deref(), Some("COPY orders, line 5"));
    assert_eq!(shop.orders(), before);
}

#[test]
fn a_copy_stores_what_inserts_of_its_rows_store() {
    let shop = Shop::new(KIND, true);
    let omar = shop.client("omar");
    // Values of each cell, some of which no rule, type or key admits.
    let ids = ["a1", "a2", "o1", "\\N", "a1"];
    let regions = ["eu", "eu", "us", "\\N"];
    let totals = ["1", "999.5", "\\N", "1000.1", "-0.00004", "x"];
    let mut seed = 7_u64;
    let mut pick = |of: &[&str], usual: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (dice, place) = ((seed >> 33) % 8, (seed >> 40) as usize);
        of[place % if dice < 6 { usual } else { of.len() }].to_owned()
    };
    let mut outcomes = [0, 0];
    for round in 0..40 {
        let rows: Vec<[String; 3]> = (0..round % 4 + 1)
            .map(|at| {
                let id = pick(&ids, 2);
                let id = if id.starts_with('a') && at > 0 && round % 3 > 0 { format!("{id}{at}") } else { id };
                [id, pick(&regions, 2), pick(&totals, 3)]
            })
            .collect();
        let data: String = rows.iter().map(|row| row.join("\t") + "\n").collect();
        let copied = copy(&omar, "COPY orders (id, region, total) FROM STDIN", &data).map_err(state);
        let by_copy = shop.orders();
        run(&omar, "DELETE FROM orders WHERE id LIKE 'a%'").unwrap();
        let inserted = one_by_one(&omar, &rows);
        let by_insert = shop.orders();
        run(&omar, "DELETE FROM orders WHERE id LIKE 'a%'").unwrap();
        assert_eq!(by_copy, by_insert, "{data}");
        // Text that is no number is seen when it is read, before any row is stored.
        if !(data.contains("\tx\n") && copied.is_err() && inserted.is_err()) {
            assert_eq!(copied, inserted, "{data}");
        }
        outcomes[usize::from(copied.is_ok())] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 4), "{outcomes:?}");
}

fn state((state, ..): Told) -> String {
    state
}

/// The rows as INSERTs of one row, in one transaction.
fn one_by_one(client: &tokio_postgres::Client, rows: &[[String; 3]]) -> Result<u64, String> {
    run(client, "BEGIN").unwrap();
    for row in rows {
        let cells = row.each_ref().map(|cell| if cell == "\\N" { "NULL".to_owned() } else { format!("'{cell}'") });
        let sql = format!("INSERT INTO orders (id, region, total) VALUES ({})", cells.join(", "));
        if let Err(error) = run(client, &sql) {
            run(client, "ROLLBACK").unwrap();
            return Err(state(error));
        }
    }
    run(client, "COMMIT").unwrap();
    Ok(rows.len() as u64)
}

#[test]
fn rights_hold_and_what_is_hidden_is_not_there() {
    let shop = Shop::new(KIND, true);
    let (omar, rita, before) = (shop.client("omar"), shop.client("rita"), shop.orders());
    let sql = "COPY orders (id, region) FROM STDIN";
    for (sql, expected) in [
        ("COPY orders (id, customer) FROM STDIN", "42703"),
        ("COPY orders (id, nothing) FROM STDIN", "42703"),
        ("COPY orders (id, id) FROM STDIN", "42601"),
        ("COPY payroll FROM STDIN", "42P01"),
        ("COPY crates (id) FROM STDIN", "42P01"),
        ("COPY orders FROM '/etc/passwd'", "0A000"),
        ("COPY orders (id) FROM STDIN (FORMAT csv, FORCE_NULL (region))", "42P10"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
    }
    let taken = copy(&omar, sql, "o2\teu\n").unwrap_err();
    assert_eq!(taken.1, "duplicate key value violates unique constraint \"orders_pkey\"");
    assert_eq!(code(&rita, sql), "42501");
    // A record that the writer does not see is one that does not exist.
    for hidden in ["o2", "o9"] {
        let refused = copy(&omar, "COPY items (id, order_id) FROM STDIN", &format!("i7\to1\ni8\t{hidden}\n"));
        let text = "column \"order_id\" refers to a record that does not exist";
        let place = Some("COPY items, line 2".to_owned());
        assert_eq!(refused, Err(("23503".to_owned(), text.to_owned(), place)), "{hidden}");
    }
    assert_eq!((shop.orders(), shop.count("items")), (before, 0));
    // All columns but the one that is hidden.
    assert_eq!(copy(&omar, "COPY orders FROM STDIN", "m1\teu\t1\tc9\t2026-01-01\n"), Ok(1));
    assert_eq!(shop.orders()[0], "m1||eu|1|c9|2026-01-01");
}

#[test]
fn a_block_keeps_or_undoes_its_copies() {
    let shop = Shop::new(KIND, true);
    let (nora, before) = (shop.client("nora"), shop.orders());
    let many: String = (0..9_000).map(|at| format!("t{at}\n")).collect();
    let sql = "COPY orders (id) FROM STDIN";
    run(&nora, "BEGIN").unwrap();
    assert_eq!(copy(&nora, sql, &many), Ok(9_000));
    assert_eq!(one(&nora, "SELECT count(*) FROM orders"), "9003");
    // What the same transaction has stored can be referred to.
    assert_eq!(copy(&nora, "COPY items (id, order_id) FROM STDIN", "i1\tt8999\n"), Ok(1));
    run(&nora, "ROLLBACK").unwrap();
    assert_eq!(shop.orders(), before);
    run(&nora, "BEGIN").unwrap();
    assert_eq!(copy(&nora, sql, "s1\n"), Ok(1));
    run(&nora, "SAVEPOINT s").unwrap();
    let refused = copy(&nora, sql, &format!("{many}o1\n")).unwrap_err();
    assert_eq!((refused.0.as_str(), refused.2.as_deref()), ("23505", Some("COPY orders, line 9001")));
    assert_eq!(code(&nora, "SELECT 1"), "25P02");
    assert_eq!(copy(&nora, sql, "t1\n").unwrap_err().0, "25P02");
    run(&nora, "ROLLBACK TO s").unwrap();
    assert_eq!(copy(&nora, sql, "t1\nt2\n"), Ok(2));
    run(&nora, "COMMIT").unwrap();
    let kept: Vec<String> = shop.orders().split_off(before.len());
    assert_eq!(kept, ["s1|||||", "t1|||||", "t2|||||"]);
}
