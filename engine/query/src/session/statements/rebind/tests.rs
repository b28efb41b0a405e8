//! Tests of statements that are bound anew: with the version of the metadata, and for the places of their values.

use crate::testing::Yard;

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
