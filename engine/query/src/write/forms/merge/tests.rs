//! Tests of MERGE: each row is for the first clause whose condition holds (PostgreSQL, MERGE).

use crate::testing::Yard;

const SOURCE: &str =
    "MERGE INTO notes n USING (VALUES ('n1', 'a'), ('n2', 'b'), ('n8', 'c'), ('n9', 'd')) AS s(id, w) ON s.id = n.id ";

fn notes(yard: &Yard) -> Vec<String> {
    yard.stored("id, words", "FROM yard_notes ORDER BY id")
}

#[test]
fn a_row_is_for_the_first_clause_that_holds() {
    let yard = Yard::new();
    let merge = "WHEN MATCHED AND n.words = 'hot' THEN DELETE
        WHEN MATCHED AND s.w = 'none' THEN DELETE
        WHEN MATCHED THEN UPDATE SET words = n.words || s.w
        WHEN NOT MATCHED AND s.w = 'c' THEN INSERT (id, words) VALUES (s.id, 'new' || s.w)";
    assert_eq!(yard.owner().run(&format!("{SOURCE}{merge}")), "MERGE 3");
    assert_eq!(notes(&yard), ["n2|coldb", "n3|NULL", "n8|newc"]);
}

/// Two source rows for one target row: 21000, unless only one of them changes it.
#[test]
fn a_row_is_not_changed_twice() {
    let yard = Yard::new();
    let twice = "MERGE INTO notes n USING (VALUES ('n1', 1), ('n1', 2)) AS s(id, w) ON s.id = n.id WHEN MATCHED ";
    yard.refuses(
        &yard.owner(),
        &[(&format!("{twice} THEN UPDATE SET words = 'x'"), "21000"), (&format!("{twice} THEN DELETE"), "21000")],
    );
    assert_eq!(yard.owner().run(&format!("{twice} AND s.w = 2 THEN UPDATE SET words = 'two'")), "MERGE 1");
}

/// What a clause computes is computed of its own rows alone.
#[test]
fn a_clause_computes_its_own_rows_only() {
    let yard = Yard::new();
    let sql = "MERGE INTO jobs j USING (VALUES ('j1', 0), ('j8', 1)) AS s(id, n) ON s.id = j.id
        WHEN MATCHED THEN UPDATE SET title = 'there'
        WHEN NOT MATCHED THEN INSERT (id, title, hours) VALUES (s.id, 'new', 10 / s.n)";
    assert_eq!(yard.owner().run(sql), "MERGE 2", "ten is divided by zero for no row");
    assert_eq!(
        yard.stored("id, title, hours", "FROM yard_jobs WHERE id IN ('j1', 'j8') ORDER BY id"),
        ["j1|there|5.0", "j8|new|10.0"]
    );
}

/// Each clause is governed as the statement would be that it is instead of.
#[test]
fn each_clause_is_governed() {
    let yard = Yard::new();
    let jobs = |rest: &str| format!("MERGE INTO jobs j USING notes s ON s.job = j.id {rest}");
    let cases = [
        ("WHEN MATCHED THEN UPDATE SET region = 'us'", "42501"),
        ("WHEN MATCHED THEN UPDATE SET secret = 'x'", "42703"),
        ("WHEN MATCHED THEN UPDATE SET title = j.card", "42501"),
        ("WHEN NOT MATCHED THEN INSERT (id, title, region) VALUES (s.id, 'x', 'us')", "42501"),
        ("WHEN NOT MATCHED THEN INSERT (id, title, region) VALUES (s.id, j.title, 'eu')", "42P01"),
        ("WHEN NOT MATCHED THEN INSERT (id, title) VALUES (s.id)", "42601"),
        ("WHEN MATCHED THEN UPDATE SET title = 'x', title = 'y'", "42601"),
        ("WHEN MATCHED AND random() < 2 THEN DELETE", "0A000"),
        ("WHEN NOT MATCHED BY SOURCE THEN DELETE", "0A000"),
    ];
    let cases: Vec<(String, &str)> = cases.iter().map(|(rest, code)| (jobs(rest), *code)).collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(sql, code)| (sql.as_str(), *code)).collect();
    yard.refuses(&yard.clerk(), &cases);
    yard.refuses(
        &yard.reader(),
        &[("MERGE INTO notes n USING jobs s ON s.id = n.job WHEN MATCHED THEN DELETE", "42501")],
    );
    yard.refuses(
        &yard.clerk(),
        &[("MERGE INTO tokens t USING notes s ON s.id = t.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)", "42501")],
    );
}

/// A hidden row matches nothing: its key is taken all the same.
#[test]
fn a_hidden_row_matches_nothing() {
    let yard = Yard::new();
    let sql = "MERGE INTO jobs j USING (VALUES ('j2')) AS s(id) ON s.id = j.id WHEN MATCHED THEN DELETE";
    assert_eq!(yard.clerk().run(sql), "MERGE 0");
    let insert = "MERGE INTO jobs j USING (VALUES ('j2')) AS s(id) ON s.id = j.id
        WHEN NOT MATCHED THEN INSERT (id, title, region) VALUES (s.id, 'x', 'eu')";
    yard.refuses(&yard.clerk(), &[(insert, "23505")]);
}
