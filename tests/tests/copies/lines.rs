//! What the client's data says, and clients that leave before it is all there.

use crate::shop::{Shop, code, copy, copy_by, one, told};
use crate::source::{Kind, PASSWORD};
use bytes::Bytes;
use futures::SinkExt;
use querygate_tests::server::runtime;
use std::io::Write as _;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

fn psql(shop: &Shop, command: &str) -> Command {
    let target = format!("host=127.0.0.1 port={} user=nora dbname=shop sslmode=disable", shop.address().port());
    let mut psql = Command::new("psql");
    psql.args(["-X", &target, "-c", command]).env("PGPASSWORD", PASSWORD).env("LC_ALL", "C.UTF-8");
    psql
}

#[test]
fn binary_rows_are_stored() {
    let shop = Shop::new(Kind::Sqlite, true);
    let nora = shop.client("nora");
    let stored = runtime().block_on(async {
        let sql = "COPY items (id, order_id, paid, weight, note) FROM STDIN BINARY";
        let sink = nora.copy_in(sql).await.unwrap();
        let types = [Type::TEXT, Type::TEXT, Type::BOOL, Type::FLOAT8, Type::TEXT];
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        writer.as_mut().write(&[&"b1", &"o1", &true, &2.5_f64, &"x\ty"]).await.unwrap();
        writer.as_mut().write(&[&"b2", &None::<&str>, &None::<bool>, &None::<f64>, &None::<&str>]).await.unwrap();
        writer.finish().await.unwrap()
    });
    assert_eq!(stored, 2);
    let rows = shop.stored("SELECT concat_ws('|', id, order_id, paid, weight, note) FROM items ORDER BY id");
    assert_eq!(rows[0], "b1|o1|1|2.5|x\ty");
    let broken = copy(&nora, "COPY items (id) FROM STDIN (FORMAT binary)", "id\n").unwrap_err();
    assert_eq!((broken.0.as_str(), broken.1.as_str()), ("22P04", "COPY file signature not recognized"));
    let short = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02b3\0\0\0\x01x";
    let broken = copy_by(&nora, "COPY items (id, weight) FROM STDIN (FORMAT binary)", short, 9).unwrap_err();
    let place = Some("COPY items, line 1, column weight".to_owned());
    assert_eq!(broken, ("22P03".to_owned(), "incorrect binary data format".to_owned(), place));
}

#[test]
fn errors_say_where_and_nothing_is_stored() {
    let shop = Shop::new(Kind::Sqlite, true);
    let (nora, before) = (shop.client("nora"), shop.orders());
    let good = "g1\teu\t1\n";
    let text = "COPY orders (id, region, total) FROM STDIN";
    let csv = "COPY orders (id, region, total) FROM STDIN (FORMAT csv, HEADER match)";
    for (sql, data, code, message, place) in [
        (
            text,
            "g2\teu\tmany\n",
            "22P02",
            "invalid input syntax for type numeric: \"many\"",
            "line 2, column total: \"many\"",
        ),
        (text, "g2\teu\n", "22P04", "missing data for column \"total\"", "line 2: \"g2\teu\""),
        (text, "g2\teu\t1\t2\n", "22P04", "extra data after last expected column", "line 2: \"g2\teu\t1\t2\""),
        (text, "g2\teu\t1\r\n", "22P04", "literal carriage return found in data", "line 2"),
        (text, "g2\teu\t1e30\n", "22003", "numeric field overflow", "line 2, column total: \"1e30\""),
        (
            text,
            "g2\t\\xff\t1\n",
            "22021",
            "invalid byte sequence for encoding \"UTF8\": 0xff",
            "line 2, column region: \"\u{fffd}\"",
        ),
    ] {
        let refused = copy(&nora, sql, &format!("{good}{data}")).unwrap_err();
        assert_eq!(refused, (code.to_owned(), message.to_owned(), Some(format!("COPY orders, {place}"))), "{data:?}");
        assert_eq!(shop.orders(), before, "{data:?}");
        assert_eq!(one(&nora, "SELECT 1"), "1");
    }
    for (data, code, message, place) in [
        ("id,total\n", "22P04", "wrong number of fields in header line: got 2, expected 3", "line 1: \"id,total\""),
        (
            "id,area,total\n",
            "22P04",
            "column name mismatch in header line field 2: got \"area\", expected \"region\"",
            "line 1: \"id,area,total\"",
        ),
        (
            "id,region,total\n\"g1\n\",eu,x",
            "22P02",
            "invalid input syntax for type numeric: \"x\"",
            "line 3, column total: \"x\"",
        ),
        ("id,region,total\ng1,\"eu,1\n", "22P04", "unterminated CSV quoted field", "line 3: \"g1,\"eu,1\n\""),
    ] {
        let refused = copy(&nora, csv, data).unwrap_err();
        assert_eq!(refused, (code.to_owned(), message.to_owned(), Some(format!("COPY orders, {place}"))), "{data:?}");
    }
    assert_eq!(shop.orders(), before);
}

#[test]
fn rows_that_do_not_fit_may_be_left_out() {
    let shop = Shop::new(Kind::Sqlite, true);
    let nora = shop.client("nora");
    let sql = "COPY orders (id, total) FROM STDIN (ON_ERROR ignore)";
    assert_eq!(copy(&nora, sql, "p1\t1\np2\tx\np3\t\\N\np4\t1e99\n"), Ok(2));
    assert_eq!(shop.orders().len(), 5);
    // What is no value at all is not ignored.
    assert_eq!(copy(&nora, sql, "p5\t1\np6\n").unwrap_err().0, "22P04");
    assert_eq!(shop.orders().len(), 5);
}

#[test]
fn progress_is_shown_to_sessions_of_the_same_user() {
    let shop = Shop::new(Kind::Sqlite, true);
    let (nora, beside, omar) = (shop.client("nora"), shop.client("nora"), shop.client("omar"));
    let seen = "SELECT command || ' ' || type || ' ' || relid::regclass::text FROM pg_stat_progress_copy
        WHERE datname = current_database() AND tuples_processed > 0 AND bytes_processed > 1000 AND pid <> pg_backend_pid()";
    let many: Bytes = (0..20_000).map(|at| format!("l{at}\n")).collect::<String>().into();
    runtime().block_on(async {
        let mut sink = pin!(nora.copy_in::<_, Bytes>("COPY orders (id) FROM STDIN").await.unwrap());
        sink.send(many.clone()).await.unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while beside.query(seen, &[]).await.unwrap().is_empty() {
            assert!(Instant::now() < until, "no progress is shown");
        }
        let rows = beside.query(seen, &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["COPY FROM PIPE orders"]);
        assert_eq!(omar.query("SELECT * FROM pg_stat_progress_copy", &[]).await.unwrap().len(), 0);
    });
    let until = Instant::now() + Duration::from_secs(30);
    while one(&beside, "SELECT count(*) FROM pg_stat_progress_copy") != "0" {
        assert!(Instant::now() < until, "a copy that was given up is still shown");
    }
}

#[test]
fn who_leaves_leaves_nothing() {
    let shop = Shop::new(Kind::Sqlite, true);
    let (nora, before) = (shop.client("nora"), shop.orders());
    let many: Bytes = (0..20_000).map(|at| format!("l{at}\n")).collect::<String>().into();
    let sql = "COPY orders (id) FROM STDIN";
    // CopyFail, which a sink sends that is dropped.
    runtime().block_on(async {
        let mut sink = pin!(nora.copy_in::<_, Bytes>(sql).await.unwrap());
        sink.send(many.clone()).await.unwrap();
    });
    assert_eq!(one(&nora, "SELECT count(*) FROM orders"), "3");
    // A cancel request in the middle.
    let canceled = runtime().block_on(async {
        let mut sink = pin!(nora.copy_in::<_, Bytes>(sql).await.unwrap());
        sink.send(many.clone()).await.unwrap();
        nora.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        sink.finish().await.map_err(|error| told(&error)).unwrap_err()
    });
    assert_eq!(canceled.0, "57014");
    // The client is killed when the first batch was given to the source.
    let mut child = psql(&shop, "\\copy orders (id) from pstdin").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&many).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(shop.orders(), before);
    let until = Instant::now() + Duration::from_secs(30);
    while copy(&nora, sql, "after\n").is_err() {
        assert!(Instant::now() < until, "the source stays locked");
    }
    assert_eq!(shop.orders().len(), before.len() + 1);
}

#[test]
fn readers_and_gates_without_changes_refuse_it() {
    let shop = Shop::new(Kind::Sqlite, true);
    let nora = shop.client("nora");
    runtime().block_on(nora.simple_query("SET default_transaction_read_only = on")).unwrap();
    assert_eq!(code(&nora, "COPY orders FROM STDIN"), "25006");
    let closed = Shop::new(Kind::Sqlite, false);
    for sql in ["COPY orders FROM STDIN", "COPY nothing_at_all FROM STDIN"] {
        assert_eq!(code(&closed.client("nora"), sql), "0A000");
    }
}

#[test]
fn psql_copies_a_file() {
    let shop = Shop::new(Kind::Sqlite, true);
    let file = shop.folder().join("rows.csv");
    std::fs::write(&file, "id;region\nf1;eu\nf2;'u;s'\n").unwrap();
    let psql = |command: &str| {
        let output = psql(&shop, command).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let path = file.display();
    let copied = psql(&format!("\\copy orders (id, region) from '{path}' csv header delimiter ';' quote ''''"));
    assert_eq!(copied, ("COPY 2\n".to_owned(), String::new()));
    assert_eq!(shop.orders()[..2], ["f1||eu|||", "f2||u;s|||"]);
    let (_, refused) =
        psql(&format!("\\copy orders (id, total) from '{path}' with (format csv, delimiter ';', header)"));
    let expected =
        "ERROR:  invalid input syntax for type numeric: \"eu\"\nCONTEXT:  COPY orders, line 2, column total: \"eu\"\n";
    assert_eq!(refused, expected);
}

#[test]
fn more_rows_than_a_statement_takes_are_copied() {
    let shop = Shop::new(Kind::Sqlite, true);
    let nora = shop.client("nora");
    let rows = 110_000;
    let data: String = (0..rows).map(|at| format!("r{at}\n")).collect();
    assert_eq!(copy(&nora, "COPY items (id) FROM STDIN", &data), Ok(rows));
    assert_eq!(shop.count("items"), usize::try_from(rows).unwrap());
    let again: String =
        (0..rows).map(|at| format!("{}\n", if at < 70_000 { format!("s{at}") } else { "r5".to_owned() })).collect();
    let refused = copy(&nora, "COPY items (id) FROM STDIN", &again).unwrap_err();
    assert_eq!((refused.0.as_str(), refused.2.as_deref()), ("23505", Some("COPY items, line 70001")));
    assert_eq!(shop.count("items"), usize::try_from(rows).unwrap());
    let audit = std::fs::read_to_string(shop.folder().join("audit.ndjson")).unwrap();
    let begun: Vec<&str> = audit.lines().filter(|line| line.contains("\"change\":\"begun\"")).collect();
    assert_eq!(begun.len(), 1);
    assert!(begun[0].contains("\"rows\":110000") && begun[0].contains("\"object\":\"items\""), "{begun:?}");
}
