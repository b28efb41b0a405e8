//! Columns that are jsonb, in a database that orders texts by code point and in one that does not: what the source answers, the gate does,
//! and it leaves to the source what the source does alike.

use super::clinic::{database, init, served};
use crate::doors::{Doors, texts};
use crate::wire::{binary, simple};
use querygate_tests::server::{RawClient, runtime};
use tempfile::TempDir;

const BY_CODE_POINT: &str = "ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'";

const TABLE: &str = r#"
    CREATE TABLE docs (nr int PRIMARY KEY, j jsonb, a int[], b int[], t text[]);
    INSERT INTO docs VALUES (1, '1', '{2,1}', '{10}', '{b}'), (2, '1.0', '{2}', '{2,1}', '{a,b}'), (3, '10', NULL, '{}', NULL),
        (4, '"B"', '{10}', NULL, '{a}'), (5, '"a"', '{}', '{1}', '{}'), (6, '{"a": 2}', '{2,NULL}', '{2}', '{a,NULL}'),
        (7, '{"a": 2.00}', '{1}', '{1}', '{c}'), (8, NULL, '{3}', '{2}', '{a}'), (9, 'null', '{4}', '{5}', '{d}'),
        (10, '[]', '{5}', '{4}', '{e}'), (11, '{"bb": 1}', '{6}', '{6,7}', '{f}');
    ANALYZE;
"#;

/// Left to the source, whatever its order of texts is.
const EQUAL: &[&str] = &[
    "SELECT nr FROM docs WHERE j = '1' ORDER BY nr",
    "SELECT nr FROM docs WHERE j <> '1' ORDER BY nr",
    "SELECT nr FROM docs WHERE j IN ('1.00', '{\"a\":2}', 'null') ORDER BY nr",
    "SELECT nr FROM docs WHERE j IN (SELECT j FROM docs WHERE nr IN (2, 7)) ORDER BY nr",
    "SELECT a.nr, b.nr FROM docs a JOIN docs b ON a.j = b.j WHERE a.nr < b.nr ORDER BY 1, 2",
    "SELECT count(*), min(nr) FROM docs GROUP BY j ORDER BY 2",
    "SELECT count(DISTINCT j), count(j) FROM docs",
    "SELECT nr FROM docs ORDER BY a, nr",
    "SELECT nr FROM docs ORDER BY a DESC NULLS LAST, nr LIMIT 5",
    "SELECT nr FROM docs ORDER BY t NULLS FIRST, nr",
    "SELECT nr FROM docs WHERE a < b ORDER BY nr",
];

/// Left to a source that orders texts by code point.
const ORDERED: &[&str] = &[
    "SELECT nr FROM docs ORDER BY j, nr",
    "SELECT nr FROM docs ORDER BY j DESC, nr LIMIT 6",
    "SELECT nr FROM docs ORDER BY j NULLS FIRST, nr LIMIT 6",
    "SELECT nr FROM docs WHERE j < '10' ORDER BY nr",
    "SELECT nr FROM docs WHERE j BETWEEN '\"B\"' AND '{}' ORDER BY nr",
];

/// Asked of both, but not always left to the source.
const FURTHER: &[&str] = &[
    "SELECT DISTINCT j IS NULL, nr FROM docs ORDER BY 2",
    "SELECT nr, rank() OVER (ORDER BY j) FROM docs ORDER BY nr",
    "SELECT nr, count(*) OVER (PARTITION BY j) FROM docs ORDER BY nr",
    "SELECT nr FROM docs WHERE j NOT IN (SELECT j FROM docs WHERE nr IN (1, 6)) ORDER BY nr",
    "SELECT count(*) FROM (SELECT j FROM docs INTERSECT SELECT j FROM docs WHERE nr > 1) q",
    "SELECT count(*) FROM (SELECT j FROM docs UNION SELECT j FROM docs) q",
];

/// Asked with a parameter that is jsonb.
const GIVEN: &[&str] =
    &["SELECT nr FROM docs WHERE j = $1 ORDER BY nr", "SELECT nr FROM docs WHERE j > $1 ORDER BY nr"];

/// `1.000`, as the protocol sends it in binary, with the number of its type.
fn given() -> [(u32, Vec<u8>); 1] {
    [(3802, b"\x011.000".to_vec())]
}

fn is_kept(gate: &mut Doors, sql: &str) -> bool {
    let plan = texts(&gate.text(&format!("EXPLAIN {sql}"))).unwrap();
    plan.iter().flatten().flatten().any(|line| line.contains("Kept in the gate"))
}

#[test]
fn jsonb_is_compared_and_sorted_by_a_source_that_does_it_alike() {
    let Some((source, _admin)) = database("demo", TABLE) else { return };
    runtime().block_on(async {
        let plain = source.database("plain", BY_CODE_POINT).await;
        plain.batch_execute(TABLE).await.unwrap();
        plain.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'demo-ann'; GRANT SELECT ON docs TO ann").await.unwrap();
    });
    let address = format!("127.0.0.1:{}", source.port).parse().unwrap();
    let mut own = RawClient::login_to(address, "ann", "demo-ann", "plain");
    for (name, orders_alike) in [("plain", true), ("demo", false)] {
        let folder = TempDir::new().unwrap();
        init(folder.path(), &source, name);
        let server = served(folder.path(), name);
        let mut gate = Doors::login(&server, "ann");
        for sql in EQUAL.iter().chain(ORDERED).chain(FURTHER) {
            assert_eq!(texts(&gate.text(sql)), texts(&simple(&mut own, sql)), "{name}: {sql}");
        }
        for sql in GIVEN {
            let (found, expected) = (gate.binary(sql, &given()).unwrap(), binary(&mut own, sql, &given()).unwrap());
            assert_eq!(found.cells, expected.cells, "{name}: {sql}");
        }
        for sql in EQUAL {
            assert!(!is_kept(&mut gate, sql), "{name}: {sql}");
        }
        for sql in ORDERED {
            assert_eq!(is_kept(&mut gate, sql), !orders_alike, "{name}: {sql}");
        }
    }
}
