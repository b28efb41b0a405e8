//! Values as their columns hold them: whole numbers and references.

use super::*;

/// A column of whole numbers keeps no part of one, and is refused what it does not hold.
#[test]
fn whole_numbers_are_stored_as_they_are_given_or_not_at_all() {
    let fields = json!({"small": {"type": "number", "label": "N"}, "middle": {"type": "currency", "label": "N"},
        "large": {"type": "number", "label": "N"}, "stars": {"type": "rating", "label": "N"},
        "code": {"type": "text", "label": "N"}, "of": {"type": "lookup", "label": "Of", "reference": "t_line"},
        "sum": {"type": "summary", "label": "N", "summaryOperations":
            {"object": "t_line", "relationshipField": "of", "function": "avg", "field": "amount"}}});
    let mut stack = lines(fields, json!([]));
    stack["querygate"] = json!({"tables": {"t_line": {"columnTypes":
        {"small": "smallint", "middle": "integer", "large": "bigint", "code": "bigint", "sum": "bigint"}}}});
    for (field, given, expected) in [
        ("large", json!(5), Ok(json!(5))),
        ("large", json!(5.0), Ok(json!(5))),
        ("large", json!("5.00"), Ok(json!(5))),
        ("large", json!("5e1"), Ok(json!(50))),
        ("large", json!(-0.0), Ok(json!(0))),
        ("large", json!(9_223_372_036_854_775_807_i64), Ok(json!(9_223_372_036_854_775_807_i64))),
        ("large", json!("12345678901234567.000"), Ok(json!(12_345_678_901_234_567_i64))),
        ("large", json!(5.5), Err("N must have at most 0 decimal places (got 1)")),
        ("large", json!("-5.25"), Err("N must have at most 0 decimal places (got 2)")),
        ("large", json!("12345678901234567.5"), Err("N must have at most 0 decimal places (got 1)")),
        ("large", json!(true), Err("N must be a number")),
        ("large", json!(false), Err("N must be a number")),
        ("large", json!(9_223_372_036_854_775_808_u64), Err("N must be ≤ 9223372036854775807")),
        ("large", json!("-9223372036854775809"), Err("N must be ≥ -9223372036854775808")),
        ("large", json!(1e300), Err("N must be ≤ 9223372036854775807")),
        ("middle", json!(3_000_000_000_u32), Err("N must be ≤ 2147483647")),
        ("middle", json!(true), Err("N must be a number")),
        ("small", json!(-40_000), Err("N must be ≥ -32768")),
        ("stars", json!(3.5), Err("N must have at most 0 decimal places (got 1)")),
        ("stars", json!(3), Ok(json!(3))),
        ("code", json!(1.5), Err("N must have at most 0 decimal places (got 1)")),
        // The platform's own number is rounded.
        ("sum", json!(2.5), Ok(json!(3))),
        ("sum", json!(-2.4), Ok(json!(-2))),
        // The vendor's numbers are none of whole numbers.
        ("amount", json!(5.5), Ok(json!(5.5))),
        ("amount", json!(true), Ok(json!(1))),
    ] {
        let outcome = judge(&stack, json!({"order": "o1", field: given}), None, None, ReadonlyMode::Keep);
        let found =
            outcome.violations.first().map_or_else(|| Ok(outcome.record[field].clone()), |v| Err(v.message.clone()));
        assert_eq!(found, expected.map_err(str::to_owned), "{field} {given}");
    }
}

/// What a reference is looked for by, before its record is judged.
#[test]
fn a_reference_is_stored_as_its_column_holds_it() {
    let fields = json!({"near": {"type": "lookup", "label": "Near", "reference": "t_order", "multiple": true},
        "far": {"type": "lookup", "label": "Far", "reference": "t_order"},
        "code": {"type": "lookup", "label": "Code", "reference": "t_order"}});
    let mut stack = lines(fields, json!([]));
    stack["querygate"] = json!({"tables": {"t_line": {"columnTypes": {"order": "bigint", "code": "uuid"}}}});
    let rules = rules(&policy(&stack));
    for (field, given, expected) in [
        ("order", json!(777), Some(json!(777))),
        ("order", json!("777"), Some(json!(777))),
        ("order", json!(" 777 "), Some(json!(777))),
        ("order", json!("7.77e2"), Some(json!(777))),
        ("order", json!(777.0), Some(json!(777))),
        ("order", json!(777.5), None),
        ("order", json!("x"), None),
        ("order", json!(true), None),
        ("order", json!([777]), None),
        ("order", json!({"id": 777}), None),
        ("order", json!(""), None),
        ("far", json!("777"), Some(json!("777"))),
        ("far", json!(777), None),
        ("far", json!(""), Some(json!(""))),
        ("far", json!(null), Some(json!(null))),
        ("near", json!("a"), Some(json!(["a"]))),
        ("near", json!(["a", "b"]), Some(json!(["a", "b"]))),
        ("near", json!([777]), None),
        ("near", json!(777), None),
        ("code", json!("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), Some(json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"))),
        ("none", json!(1), None),
    ] {
        assert_eq!(rules.stored_value(field, &given), expected, "{field} {given}");
        if field == "none" || (field == "order" && given == json!("")) {
            continue;
        }
        // The evaluation of the record stores the same.
        let mut payload = json!({"order": 1});
        payload[field] = given.clone();
        let outcome = judge(&stack, payload, None, None, ReadonlyMode::Drop);
        let stored = outcome.violations.is_empty().then(|| outcome.record[field].clone());
        assert_eq!(stored, expected, "{field} {given}");
    }
}
