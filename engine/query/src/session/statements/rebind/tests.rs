//! Tests of statements that are bound anew: with the version of the metadata, and for the places of their values.

use crate::testing::Yard;
use querygate_types::PgType;

/// PostgreSQL: a prepared statement whose columns would be others is refused (0A000), not silently another one.
#[test]
fn a_prepared_statement_keeps_its_columns() {
    let yard = Yard::new();
    let owner = yard.owner();
    let all = owner.prepare("SELECT * FROM notes ORDER BY id LIMIT 1").unwrap();
    let one = owner.prepare("SELECT job FROM notes ORDER BY id LIMIT 1").unwrap();
    assert_eq!((owner.execute(&all, &[]), owner.execute(&one, &[])), ("n1|j1|hot".to_owned(), "j1".to_owned()));
    yard.replace(|mut stack| {
        stack["objects"][3]["fields"].as_object_mut().unwrap().remove("words");
        stack
    });
    assert_eq!(owner.execute(&all, &[]), "0A000 cached plan must not change result type");
    assert_eq!(owner.execute(&one, &[]), "j1");
}

/// A statement that was prepared by one principal's rights runs by those of now: a row that a policy takes away is not read.
#[test]
fn a_prepared_statement_meets_policies_of_now() {
    let yard = Yard::new();
    let clerk = yard.clerk();
    let read = clerk.prepare("SELECT id FROM jobs WHERE state = $1 ORDER BY id").unwrap();
    assert_eq!(clerk.execute(&read, &[Some("open")]), "j1; j3");
    yard.replace(|mut stack| {
        stack["permissions"][1]["rowLevelSecurity"][0]["using"] = "region == 'eu' && hours != null".into();
        stack
    });
    assert_eq!(clerk.execute(&read, &[Some("open")]), "j1");
}

/// A column that is hidden from now on is not there for a statement that was prepared when it was.
#[test]
fn a_hidden_column_ends_its_statements() {
    let yard = Yard::new();
    let owner = yard.owner();
    let read = owner.prepare("SELECT secret FROM jobs WHERE id = 'j1'").unwrap();
    assert_eq!(owner.execute(&read, &[]), "s1");
    yard.replace(|mut stack| {
        stack["permissions"][0]["fields"] = serde_json::json!({"yard_jobs.secret": {"readable": false}});
        stack
    });
    assert_eq!(owner.execute(&read, &[]), "42703 column \"secret\" does not exist");
}

/// PostgreSQL: values of a declared type are compared as such, though no column says what they are.
#[test]
fn values_of_declared_types_are_compared_as_such() {
    let yard = Yard::new();
    let owner = yard.owner();
    let (low, high) = ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    let lower = low.to_lowercase();
    for (pg_type, [one, greater, alike]) in [
        (PgType::Text, ["a", "b", "a"]),
        (PgType::Varchar, ["a", "b", "a"]),
        (PgType::Bpchar, ["a", "b", "a "]),
        (PgType::Interval, ["1 day", "2 days", "24 hours"]),
        (PgType::Jsonb, ["1.0", "2", " 1.0"]),
        (PgType::Uuid, [low, high, lower.as_str()]),
    ] {
        for (sql, expected) in [
            ("SELECT $1 IN ($2, $3)", "true"),
            ("SELECT $1 BETWEEN $3 AND $2", "true"),
            ("SELECT $1 = $3 AND $3 < $2", "true"),
            ("SELECT ($1, $2) < ($3, $2)", "false"),
            ("SELECT $1 = ANY(ARRAY[$2, $3])", "true"),
            ("SELECT coalesce($1, $2) = $3", "true"),
            ("SELECT $1 IS DISTINCT FROM $3, $2 IN (NULL, $2)", "false|true"),
        ] {
            let read = owner.prepare_with(sql, &[Some(pg_type); 3]).unwrap();
            assert_eq!(owner.execute(&read, &[Some(one), Some(greater), Some(alike)]), expected, "{sql} {pg_type:?}");
        }
    }
}
