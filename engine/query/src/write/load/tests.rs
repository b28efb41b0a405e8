//! Tests of which changes may be loaded: every mechanism that looks at a row by itself keeps its object's rows on the way of other changes.

use super::Loads;
use crate::testing::{Yard, on_runtime};
use crate::write::intent::WriteIntent;
use crate::write::target::Decided;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use std::sync::Arc;

/// Whether new rows of a table may be loaded that have values for these columns.
fn loads(yard: &Yard, set: &str, table: &'static str, columns: &'static [&'static str]) -> bool {
    let engine = Arc::clone(&yard.engine);
    let principal = Arc::new(Principal::builder("someone").permission_set(set).build());
    on_runtime(async move {
        let workspace = engine.workspace(&engine.deployment(), &principal).await.unwrap();
        let columns: Vec<Ident> = columns.iter().map(|column| Ident::new(*column)).collect();
        let table = ObjectName::from(vec![Ident::new(table)]);
        let intent = WriteIntent::ingest(&table, &columns, &workspace.catalog).unwrap();
        let decided = Decided::of(intent, &workspace.catalog, 0).await.unwrap();
        Loads::of(&Arc::new(decided.targeted(None, None).unwrap())).is_some()
    })
}

#[test]
fn objects_that_only_store_are_loaded() {
    let yard = Yard::new();
    assert!(loads(&yard, "yard_owner", "notes", &["id", "job", "words"]));
    assert!(loads(&yard, "yard_owner", "bills", &["id", "job"]), "who refers is not asked about new rows");
    for (table, columns, reason) in [
        ("jobs", &["id", "title"][..], "crews count jobs"),
        ("steps", &["id", "job", "words"], "a job decides who may add steps"),
        ("tokens", &["id", "words"], "tokens are numbered"),
        ("crews", &["id", "name", "code"], "only the gate keeps codes unique"),
    ] {
        assert!(!loads(&yard, "yard_owner", table, columns), "{reason}");
    }
}

/// Makes something of notes and of the clerk's rights.
fn edited(edit: impl FnOnce(&mut Value) + Send + 'static) -> Yard {
    let yard = Yard::new();
    yard.replace(|mut stack| {
        edit(&mut stack);
        stack
    });
    yard
}

#[test]
fn what_looks_at_a_row_by_itself_keeps_it_from_being_loaded() {
    const ALL: &[&str] = &["id", "job", "words"];
    const SOME: &[&str] = &["id", "job"];
    let words =
        |key: &'static str, value: Value| edited(move |stack| stack["objects"][3]["fields"]["words"][key] = value);
    let computed = json!({"dialect": "cel", "source": "record.job"});
    for (yard, columns, expected, reason) in [
        (words("requiredWhen", json!("record.job != null")), ALL, false, "a condition of the row"),
        (words("readonlyWhen", json!("record.job != null")), ALL, true, "a new row has no stored value"),
        (words("defaultValue", json!("x")), SOME, true, "the same in all rows"),
        (words("defaultValue", computed.clone()), ALL, true, "no row takes its default"),
        (words("defaultValue", computed), SOME, false, "each row has a default of its own"),
        (words("unique", json!("global")), ALL, false, "the source does not keep it unique"),
        (words("maxLength", json!(3)), ALL, true, "each value is looked at"),
        (words("type", json!("json")), ALL, false, "its values are judged with their record"),
    ] {
        assert_eq!(loads(&yard, "yard_owner", "notes", columns), expected, "{reason}");
    }
    let hooked = edited(|stack| {
        let body = json!({"language": "js", "source": ""});
        stack["hooks"] = json!([{"name": "h", "object": "yard_notes", "events": ["afterInsert"], "body": body}]);
    });
    assert!(!loads(&hooked, "yard_owner", "notes", ALL), "a script sees each row");
    let validated = edited(|stack| {
        let rule = json!({"name": "r", "type": "script", "condition": "record.words == 'x'", "message": "No"});
        stack["objects"][3]["validations"] = json!([rule]);
    });
    assert!(loads(&validated, "yard_owner", "notes", ALL), "a validation is asked of each row");
    let referring = edited(|stack| {
        let rule = json!({"name": "r", "type": "script", "condition": "record.job.state == 'done'", "message": "No"});
        stack["objects"][3]["validations"] = json!([rule]);
    });
    assert!(!loads(&referring, "yard_owner", "notes", ALL), "a validation reads other records");
}

/// CHECK is asked here and by the source, so that rows are loaded only where both hold the same for equal.
#[test]
fn a_check_is_judged_here_where_the_source_judges_it_alike() {
    for (check, expected) in
        [("words == 'a'", true), ("words != 'a'", false), ("words > 'a'", false), ("job == null", true)]
    {
        let yard = edited(move |stack| {
            let policy =
                json!({"name": "p", "object": "yard_notes", "operation": "all", "using": check, "check": check});
            stack["permissions"][1]["rowLevelSecurity"][0] = policy;
        });
        assert_eq!(loads(&yard, "yard_clerk", "notes", &["id", "job", "words"]), expected, "{check}");
    }
}
