//! Tests of what rows are made of.

use crate::testing::Yard;
use serde_json::json;

/// With words of notes of another type.
fn yard(kind: &'static str) -> Yard {
    let yard = Yard::new();
    yard.store("UPDATE yard_notes SET words = NULL");
    yard.replace(move |mut stack| {
        stack["objects"][3]["fields"]["words"]["type"] = json!(kind);
        stack
    });
    yard
}

#[test]
fn structures_are_given_as_texts() {
    for (kind, value, wrong, told) in [
        (
            "location",
            r#"{"lat": 1.5, "lng": 2}"#,
            r#"{"lat": 1.5}"#,
            "Words has an invalid location value: Invalid input: expected number, received undefined",
        ),
        (
            "address",
            r#"{"city": "Bern"}"#,
            r#"{"town": "Bern"}"#,
            "Words has an invalid address value: Unrecognized key: \"town\"",
        ),
        (
            "composite",
            r#"{"a": {"b": [1]}}"#,
            "[1]",
            "Words has an invalid composite value: Invalid input: expected object, received array",
        ),
        (
            "repeater",
            r#"[{"a": 1}, {"a": 2}]"#,
            r#"{"a": 1}"#,
            "Words has an invalid repeater value: Invalid input: expected array, received object",
        ),
    ] {
        let yard = yard(kind);
        let owner = yard.owner();
        for sql in [
            format!("INSERT INTO notes (id, words) VALUES ('x1', '{value}')"),
            format!("INSERT INTO notes (id, words) VALUES ('x2', '{value}'::jsonb)"),
            "INSERT INTO notes (id, words) SELECT 'x3', words FROM notes WHERE id = 'x1'".to_owned(),
        ] {
            assert_eq!(owner.run(&sql), "INSERT 0 1", "{kind}: {sql}");
        }
        let update = format!("UPDATE notes SET words = '{value}' WHERE id = 'n1'");
        assert_eq!(owner.run(&update), "UPDATE 1", "{kind}");
        let stored = yard.stored("words", "FROM yard_notes WHERE words IS NOT NULL ORDER BY id");
        assert_eq!(stored, [value; 4], "{kind}");
        let wrong = format!("INSERT INTO notes (id, words) VALUES ('x4', '{wrong}')");
        assert_eq!(owner.run(&wrong), format!("22P02 {told}"));
        assert_eq!(owner.run("UPDATE notes SET words = NULL WHERE id = 'n1'"), "UPDATE 1", "{kind}");
    }
}
