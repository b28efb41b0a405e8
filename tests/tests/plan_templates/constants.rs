//! Statements that differ only by constants that columns equal: they share what is bound and planned, and answer as if each were planned
//! by itself, their errors too.

use super::{all, anew, gate, own, spared};

/// Statements with a constant's place, the constants, and whether their runs are to be spared planning; else only answers are compared.
const STATEMENTS: &[(&str, &[&str], bool)] = &[
    // Over two sources and three.
    (
        "SELECT a.id, c.id, c.weight FROM accounts a JOIN cases c ON c.account = a.id WHERE a.country = {} ORDER BY 1, 2",
        &["'AT'", "'CH'", "'nowhere'", "'DE'", "'BE'", "'A''T'", "'at'"],
        true,
    ),
    (
        "SELECT r.name, c.state, v.kind, count(*), max(v.score) FROM regions r JOIN accounts a ON a.region = r.id \
         JOIN cases c ON c.account = a.id JOIN visits v ON v.account = a.id WHERE c.state = {} AND v.kind = 'call' GROUP BY 1, 2, 3 \
         ORDER BY 1, 2, 3",
        &["'open'", "'new'", "''", "'done'", "'open '"],
        false,
    ),
    // Of one source, whole.
    ("SELECT id, name FROM accounts WHERE id = {}", &["'1'", "'a1'", "'a2'", "'missing'", "NULL", "1"], false),
    (
        "SELECT id FROM accounts WHERE level = {} ORDER BY 1",
        &["1", "2", "3000000000", "2.5", "'2'", "'two'", "-1"],
        false,
    ),
    (
        "SELECT id FROM cases WHERE opened = {} ORDER BY 1",
        &["'2024-02-11'", "'2024-7-1'", "'today'", "'soon'", "'2024-13-01'", "5"],
        false,
    ),
    (
        "SELECT id FROM accounts WHERE country IN ({}) ORDER BY 1",
        &["'AT'", "'AT', 'BE'", "'AT', NULL", "'AT', 5", "'DE', 'DE'"],
        false,
    ),
    ("SELECT id FROM accounts WHERE level IN (1, {}) ORDER BY 1", &["2", "3", "5000000000", "'3'", "1.5"], false),
    ("SELECT count(*) FROM visits WHERE kind = {} AND score = 3", &["'call'", "'demo'", "'none'"], false),
    // Where policies and masks are.
    ("SELECT id FROM accounts WHERE phone = {} ORDER BY 1", &["'1'", "'+43'", "''"], false),
    ("SELECT id FROM accounts WHERE owner = {} ORDER BY 1", &["'ann'", "'bob'", "'ola'"], false),
    // Below other parts of a statement.
    (
        "WITH w AS (SELECT account, weight FROM cases WHERE state = {}) SELECT a.id, (SELECT max(weight) FROM w WHERE account = a.id) \
         FROM accounts a WHERE a.country = 'AT' OR a.country = {} ORDER BY 1",
        &["'open'", "'new'", "'done'"],
        false,
    ),
    ("SELECT k, n FROM (SELECT 'x' AS k, count(*) AS n FROM cases) s WHERE k = {}", &["'x'", "'y'", "5"], false),
    (
        "SELECT relname FROM pg_class WHERE relname = {} AND relkind = 'r'",
        &["'accounts'", "'cases'", "'nothing'"],
        false,
    ),
    (
        "SELECT attname FROM pg_attribute WHERE attrelid = {} ORDER BY 1",
        &["'16384'", "'accounts'::regclass", "'x'", "0", "1259", "4294967295", "4294967296", "-1"],
        false,
    ),
    // What clients ask of one relation after the other.
    (
        "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relname OPERATOR(pg_catalog.~) {} COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3",
        &["'^(accounts)$'", "'^(cases)$'", "'^(visits)$'", "'^a'", "'s$'", "'^(nothing)$'", "'('", "'^(a|c)'"],
        true,
    ),
    (
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) \
         FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), \
         (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid \
         AND a.attcollation <> t.typcollation) FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        &["'1259'", "'1249'", "'2615'", "'1247'", "'16384'", "'4294967295'", "'01259'"],
        true,
    ),
    (
        "SELECT conname, conrelid::pg_catalog.regclass AS ontable, pg_catalog.pg_get_constraintdef(oid, true) AS condef \
         FROM pg_catalog.pg_constraint c WHERE confrelid IN (SELECT pg_catalog.pg_partition_ancestors({}) \
         UNION ALL VALUES ({}::pg_catalog.regclass)) AND contype = 'f' AND conparentid = 0 ORDER BY conname",
        &["'1259'", "'1249'", "'2615'", "'16384'", "'16390'", "'4294967295'", "'01259'"],
        true,
    ),
    (
        "SELECT pubname, NULL FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel pr ON p.oid = pr.prpubid \
         WHERE pr.prrelid = {} UNION SELECT pubname, NULL FROM pg_catalog.pg_publication p \
         WHERE p.puballtables AND pg_catalog.pg_relation_is_publishable({}) ORDER BY 1",
        &["'1259'", "'1249'", "'2615'", "'16384'", "'16390'", "'4294967295'"],
        true,
    ),
    (
        "SELECT relname, oid::regclass, {}::regclass, pg_typeof({}), pg_size_pretty({}), {} FROM pg_class WHERE oid = {}",
        &["'1259'", "'1249'", "'x'", "''", "'-1'", "'99999999999'", "1259", "'pg_class'", "NULL", "' 1259'"],
        false,
    ),
    // Of a relation that has no row, too.
    (
        "SELECT polname FROM pg_policy WHERE polrelid = {}::regclass AND polname = {}",
        &["'1259'", "'1249'", "'nosuch'", "'1'"],
        false,
    ),
    ("SELECT polname FROM pg_policy WHERE polname ~ {} LIMIT -1", &["'a'", "'('"], false),
    ("SELECT polname FROM pg_policy WHERE polname ~ {} AND polname = true", &["'ab'", "'('"], false),
    (
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = {} ORDER BY 1",
        &["'accounts'", "'cases'", "'visits'", "'Accounts'", "'nothing'", "''", "'pg_class'"],
        true,
    ),
    (
        "SELECT c.relname, a.id FROM pg_class c LEFT JOIN accounts a ON a.country = 'AT' AND c.relname = 'accounts' \
         WHERE c.relname = {} OR a.id = {} ORDER BY 1, 2",
        &["'accounts'", "'a1'", "'cases'", "'x'", "'1'"],
        false,
    ),
    // What is wrong is told as it is written.
    ("SELECT id FROM accounts WHERE nothing = {}", &["'x'", "1"], false),
    ("SELECT id FROM nothing WHERE id = {}", &["'x'"], false),
    ("SELECT level / 0 FROM accounts WHERE country = {}", &["'AT'", "'nowhere'"], false),
    ("SELECT id FROM accounts WHERE level = {} GROUP BY country", &["1"], false),
];

#[test]
fn statements_that_differ_by_constants_answer_as_by_themselves() {
    let gate = gate(11);
    for who in [all(), own("ann")] {
        let (with, without) = (gate.client(&who), anew(&gate, &who));
        for (pattern, constants, is_kept) in STATEMENTS {
            let before = spared(&gate, &who.login);
            for run in 0..3 {
                for constant in *constants {
                    let sql = pattern.replace("{}", constant);
                    let (found, expected) = (with.run(&sql), without.run(&sql));
                    assert_eq!(found, expected, "run {run}: {sql}");
                }
            }
            let spared = spared(&gate, &who.login) - before;
            assert!(!is_kept || spared >= 3 * constants.len() - 4, "{pattern}: {spared} runs were spared planning");
        }
    }
}

/// A statement is prepared with its constants, which are no parameters of it.
#[test]
fn prepared_statements_have_no_parameters_for_their_constants() {
    let gate = gate(12);
    let client = gate.client(&all());
    for constant in ["'AT'", "'CH'"] {
        let sql = format!("SELECT id FROM accounts WHERE country = {constant} ORDER BY 1");
        let expected = client.run(&sql);
        assert!(!expected.table().is_empty());
        assert!(client.run(&format!("PREPARE p AS {sql}")).code().is_none());
        assert_eq!(client.run("EXECUTE p"), expected);
        assert_eq!(client.run("EXECUTE p('x')").code(), Some("42601"));
        assert!(client.run("EXPLAIN EXECUTE p").code().is_none());
        assert!(client.run("DEALLOCATE p").code().is_none());
    }
}
