//! Columns of the source's own types (varchar, char) through the gate: each statement and the description of its result, beside what
//! the source itself answers to psql.

use super::PASSWORD;
use super::clinic::{database, init, served};
use querygate_tests::server::psql;
use std::process::Command;
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE TABLE actor (id int PRIMARY KEY, first varchar(45) NOT NULL, last varchar(45), code char(6), alias varchar, note text);
    INSERT INTO actor VALUES (1, 'Ann', 'Bee', 'ab', 'x', 'Bee'), (2, 'Cy', 'Dee', 'abcdef', NULL, NULL), (3, 'Éa', NULL, NULL, 'a b ', 'n');
";

/// Answered alike, and described alike.
const ALIKE: &[&str] = &[
    "SELECT first, last, alias, note, upper(last) AS u, first || 1 AS j FROM (SELECT * FROM actor) s ORDER BY id",
    "SELECT first FROM actor WHERE last = 'Bee' AND last IN ('Bee', 'x') AND last LIKE 'B%' AND last BETWEEN 'A' AND 'C'",
    "SELECT last, count(*) FROM actor GROUP BY 1 ORDER BY 1",
    "SELECT max(last), min(alias) FROM actor",
    "SELECT nullif(last, 'Bee') FROM actor ORDER BY id",
    "SELECT CASE WHEN id = 1 THEN note ELSE 'other' END, length(last), lower(first) FROM actor ORDER BY id",
    "SELECT last || first, substring(last, 1, 2), split_part(last, 'e', 1) FROM actor ORDER BY id",
    "SELECT a.last, b.first FROM actor a LEFT JOIN actor b ON a.last = b.note ORDER BY a.id",
    "SELECT last FROM actor UNION SELECT note FROM actor ORDER BY 1",
    "SELECT id FROM actor WHERE last = note OR alias IN (SELECT 'x'::text) ORDER BY id",
    "SELECT id FROM actor WHERE code = 'ab' OR code = 'ab   ' ORDER BY id",
    "SELECT id FROM actor WHERE code IN ('ab ', 'zz') OR 'abcdef ' = code ORDER BY id",
    "SELECT length(code), code || '|', code::text FROM actor ORDER BY id",
    "SELECT to_json(last), concat(last, '-', alias), coalesce(last, 'none') IS NULL FROM actor ORDER BY id",
    "SELECT pg_typeof(last), pg_typeof(code), pg_typeof(note), pg_typeof(upper(last)) FROM actor WHERE id = 1",
    "SELECT (first, last) = ('Ann', 'Bee') FROM actor ORDER BY id",
    "SELECT string_agg(last, ',' ORDER BY id) FROM actor",
    "SELECT last::varchar(2) || '', (ARRAY['a', last])[2] || '' FROM actor ORDER BY id",
    "SELECT * FROM (VALUES ((SELECT last FROM actor WHERE id = 1) || ''), ('a longer text')) v (a)",
    "SELECT column_name, data_type, character_maximum_length, character_octet_length, udt_name FROM information_schema.columns \
     WHERE table_name = 'actor' ORDER BY ordinal_position",
    "SELECT attname, atttypid::regtype, atttypmod, format_type(atttypid, atttypmod), attlen FROM pg_attribute \
     WHERE attrelid = 'actor'::regclass AND attnum > 0 ORDER BY attnum",
];

/// Answered alike, but described without the length.
const WITHOUT_LENGTH: &[&str] = &[
    "SELECT coalesce(last, alias), coalesce(last, 'none') FROM actor ORDER BY id",
    "SELECT last FROM actor UNION ALL SELECT first FROM actor ORDER BY 1",
    "VALUES ((SELECT last FROM actor WHERE id = 1)), ('a text that is longer than any of these forty-five characters')",
    "WITH RECURSIVE r (n, v) AS (SELECT 1, last FROM actor WHERE id = 1 UNION ALL SELECT n + 1, v FROM r WHERE n < 3) SELECT * FROM r",
    "PREPARE s AS SELECT first FROM actor WHERE last = $1; EXECUTE s('Dee'); DEALLOCATE s",
    "PREPARE s (varchar) AS SELECT first FROM actor WHERE last = $1; EXECUTE s('Dee'); DEALLOCATE s",
    "PREPARE s (char(6)) AS SELECT first FROM actor WHERE code = $1; EXECUTE s('ab'); DEALLOCATE s",
    "COPY (SELECT last, alias FROM actor ORDER BY id) TO STDOUT WITH (FORMAT csv)",
    "SELECT row_to_json(s) FROM (SELECT first, alias FROM actor ORDER BY id) s",
];

/// Values of `char(n)` come without their blanks.
const UNPADDED: (&str, [&str; 2]) =
    ("SELECT '[' || code || ']', code FROM actor WHERE id = 1", ["[ab]|ab    ", "[ab]|ab"]);

#[test]
fn columns_of_own_types_are_answered_as_in_the_source() {
    let Some((source, _admin)) = database("actors", SCHEMA) else { return };
    let folder = TempDir::new().unwrap();
    init(folder.path(), &source, "actors");
    let server = served(folder.path(), "actors");
    let described = ALIKE.iter().map(|sql| format!("{sql};\n{sql} \\gdesc\n"));
    let only = WITHOUT_LENGTH.iter().map(|sql| format!("{sql};\n"));
    let blocks: Vec<String> = described.chain(only).collect();
    let script = folder.path().join("script.sql");
    let text = blocks.iter().enumerate().map(|(n, block)| format!("\\echo == {n}\n{block}")).collect::<String>();
    std::fs::write(&script, text).unwrap();
    let script = script.to_str().unwrap();
    let target = format!("host=127.0.0.1 port={} user=postgres dbname=actors", source.port);
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("psql");
        let output = command.args(["-X", &target]).args(arguments).env("PGPASSWORD", PASSWORD).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (own, gate) = (ask(&["-f", script]), psql(&server, "ann", &["-f", script]));
    let answers: [Vec<&str>; 2] = [&own, &gate.out].map(|text| text.split("== ").skip(1).collect());
    assert_eq!((answers[0].len(), answers[1].len()), (blocks.len(), blocks.len()), "{}", gate.err);
    for ((block, own), gate) in blocks.iter().zip(&answers[0]).zip(&answers[1]) {
        assert!(own.contains('|') || own.contains('(') || own.contains(','), "{block}: {own}");
        assert_eq!(own, gate, "{block}");
    }
    let (sql, expected) = UNPADDED;
    assert_eq!(ask(&["-Atc", sql]).trim_end_matches('\n'), expected[0]);
    assert_eq!(psql(&server, "ann", &["-Atc", sql]).out.trim_end_matches('\n'), expected[1]);
}
