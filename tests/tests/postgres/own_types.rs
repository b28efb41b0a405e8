//! Columns of the source's own types (varchar, char, enums) through the gate: each statement and the description of its result, beside what
//! the source itself answers to psql.

use super::PASSWORD;
use super::clinic::{database, init, served};
use querygate_tests::server::psql;
use std::process::Command;
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE TABLE actor (id int PRIMARY KEY, first varchar(45) NOT NULL, last varchar(45), code char(6), alias varchar, note text);
    CREATE TYPE size AS ENUM ('small', 'medium', 'it''s large', 'XXL'); CREATE TYPE \"Mood ok\" AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE shirt (id int PRIMARY KEY, size size, mood \"Mood ok\" NOT NULL, was size);
    INSERT INTO shirt VALUES (1, 'XXL', 'sad', 'small'), (2, 'medium', 'happy', 'medium'), (3, 'small', 'ok', NULL), (4, NULL, 'ok', 'XXL'),
        (5, 'it''s large', 'happy', 'XXL'), (6, 'medium', 'sad', 'small');
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

/// Enums, in the order of their labels.
const ENUMS: &[&str] = &[
    "SELECT size, mood FROM shirt ORDER BY size, mood DESC",
    "SELECT size AS s FROM (SELECT * FROM shirt) t ORDER BY size DESC NULLS LAST, id",
    "SELECT size, count(*) FROM shirt GROUP BY size ORDER BY size",
    "SELECT size FROM shirt ORDER BY size LIMIT 2 OFFSET 1",
    "SELECT DISTINCT mood FROM shirt ORDER BY mood",
    "SELECT DISTINCT ON (mood) mood, id FROM shirt ORDER BY mood, id DESC",
    "SELECT size FROM shirt UNION SELECT was FROM shirt ORDER BY 1",
    "SELECT id FROM shirt WHERE size < 'it''s large' ORDER BY id",
    "SELECT id FROM shirt WHERE size >= 'medium' AND mood <> 'sad' ORDER BY id",
    "SELECT id FROM shirt WHERE 'medium' < size OR size BETWEEN 'small' AND 'small' ORDER BY id",
    "SELECT id FROM shirt WHERE size IN ('small', 'XXL') AND size IS DISTINCT FROM 'XXL' ORDER BY id",
    "SELECT id FROM shirt WHERE size > was ORDER BY id",
    "SELECT a.id, b.id FROM shirt a JOIN shirt b ON a.size < b.was ORDER BY 1, 2",
    "SELECT id FROM shirt a WHERE EXISTS (SELECT 1 FROM shirt b WHERE b.size > a.size) ORDER BY id",
    "SELECT id FROM shirt WHERE size = (SELECT max(was) FROM shirt) ORDER BY id",
    "SELECT id, row_number() OVER (ORDER BY size DESC, id) FROM shirt ORDER BY id",
    "SELECT string_agg(id::text, ',' ORDER BY size DESC, id) FROM shirt",
    "SELECT id, size < 'XXL' FROM shirt ORDER BY id",
    "SELECT id FROM shirt ORDER BY CASE WHEN id > 3 THEN size ELSE 'small' END, id",
    "SELECT size::text, length(size::text) FROM shirt ORDER BY id",
    "SELECT enumlabel, enumsortorder FROM pg_enum e JOIN pg_type t ON t.oid = enumtypid ORDER BY typname, enumsortorder",
    "SELECT typname, typtype, typcategory, typlen FROM pg_type WHERE typname IN ('size', '_size', 'Mood ok') AND typtype = 'e' ORDER BY 1",
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shirt'::regclass AND attname IN ('size', 'was') ORDER BY 1",
    "SELECT data_type, udt_name FROM information_schema.columns WHERE table_name = 'shirt' ORDER BY ordinal_position",
];

/// Answered alike, but described as texts.
const ENUMS_AS_TEXTS: &[&str] = &[
    "SELECT min(size), max(size), max(was) FILTER (WHERE id < 3) FROM shirt",
    "SELECT coalesce(size, 'small') FROM shirt ORDER BY coalesce(size, 'small'), id",
    "PREPARE e AS SELECT id FROM shirt WHERE size > $1 ORDER BY id; EXECUTE e('medium'); DEALLOCATE e",
    "PREPARE e AS SELECT id FROM shirt WHERE size = $1 ORDER BY id; EXECUTE e('medium'); DEALLOCATE e",
    "SELECT mode() WITHIN GROUP (ORDER BY was DESC), percentile_disc(0.5) WITHIN GROUP (ORDER BY size) FROM shirt",
    "COPY (SELECT size FROM shirt ORDER BY size) TO STDOUT",
    "SELECT to_json(size), concat(size, '!') FROM shirt ORDER BY id",
];

/// Refused with these codes: there, here.
const REFUSED: &[(&str, &str, &str)] = &[
    ("SELECT 1 FROM shirt WHERE size = 'huge'", "22P02", "22P02"),
    ("SELECT 1 FROM shirt WHERE size < 'huge'", "22P02", "22P02"),
    ("SELECT 1 FROM shirt WHERE mood IN ('ok', 'huge')", "22P02", "22P02"),
    ("SELECT CASE size WHEN 'huge' THEN 1 END FROM shirt", "22P02", "22P02"),
    ("SELECT max(size) OVER () FROM shirt", "", "0A000"),
    ("SELECT greatest(size, was) FROM shirt", "", "0A000"),
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
    let described = ALIKE.iter().chain(ENUMS).map(|sql| format!("{sql};\n{sql} \\gdesc\n"));
    let only = WITHOUT_LENGTH.iter().chain(ENUMS_AS_TEXTS).map(|sql| format!("{sql};\n"));
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
        assert!(own.lines().count() > 3, "{block}: {own}");
        assert_eq!(own, gate, "{block}");
    }
    for (sql, there, here) in REFUSED {
        let code = |text: &str| {
            text.lines().filter_map(|line| line.strip_prefix("ERROR:  ")).map(str::to_owned).collect::<String>()
        };
        let script = ["-v", "VERBOSITY=sqlstate", "-Atc", sql];
        let mut command = Command::new("psql");
        let own = command.args(["-X", &target]).args(script).env("PGPASSWORD", PASSWORD).output().unwrap();
        assert_eq!(code(&String::from_utf8_lossy(&own.stderr)), *there, "{sql}");
        assert_eq!(code(&psql(&server, "ann", &script).err), *here, "{sql}");
    }
    let (sql, expected) = UNPADDED;
    assert_eq!(ask(&["-Atc", sql]).trim_end_matches('\n'), expected[0]);
    assert_eq!(psql(&server, "ann", &["-Atc", sql]).out.trim_end_matches('\n'), expected[1]);
}
