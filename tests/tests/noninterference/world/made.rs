//! Random objects, policies, principals and rows.

use super::{FieldDef, Mask, ORGANIZATION, ObjectDef, SENTINEL, Sharing, USERS};
use crate::rule::{Kind, Rule, value};
use querygate_tests::harness::{Rng, Row};
use querygate_types::principal::{AttributeValue, Principal};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) fn principal(rng: &mut Rng, user: &str, walled: bool) -> Principal {
    let mut builder = Principal::builder(&format!("login_{user}")).user_id(user).permission_set("w_set");
    if walled {
        let other = user == USERS[1] && rng.percent(50);
        builder = builder.organization(if other { "org2" } else { ORGANIZATION });
    }
    if rng.percent(50) {
        builder = builder.position("ab");
    }
    if rng.percent(80) {
        builder = builder.attribute("region", AttributeValue::Text((*rng.pick(&["emea", "a", "%"])).to_owned()));
    }
    if rng.percent(80) {
        builder = builder.attribute("level", AttributeValue::Integer(*rng.pick(&[0, 2, 7])));
    }
    if rng.percent(80) {
        builder = builder.attribute("flag", AttributeValue::Boolean(rng.percent(50)));
    }
    let regions = ["emea", "apac", "a", "7"].iter().filter(|_| rng.percent(50)).map(|r| (*r).to_owned()).collect();
    builder = builder.attribute("regions", AttributeValue::List(regions));
    builder.attribute("empty", AttributeValue::List(Vec::new())).build()
}

pub(super) fn object(rng: &mut Rng, name: &str, earlier: &[ObjectDef], walled: bool) -> ObjectDef {
    let mut fields = Vec::new();
    let field = |name: &str, kind, payload| FieldDef {
        name: name.to_owned(),
        kind,
        reference: None,
        mask: None,
        lifted: false,
        hidden: false,
        payload,
    };
    for (name, kind) in [
        ("txt", Kind::Text),
        ("num", Kind::Number),
        ("int", Kind::Int),
        ("money", Kind::Money),
        ("flag", Kind::Bool),
        ("day", Kind::Date),
        ("at", Kind::Instant),
        ("tags", Kind::Tags),
        ("txt2", Kind::Text),
        ("num2", Kind::Number),
    ] {
        if rng.percent(if matches!(name, "txt" | "num") { 95 } else { 55 }) {
            fields.push(field(name, kind, false));
        }
    }
    for (name, kind) in [("ptxt", Kind::Text), ("pnum", Kind::Number), ("pint", Kind::Int), ("pmoney", Kind::Money)] {
        if rng.percent(if name == "pmoney" { 30 } else { 80 }) {
            fields.push(field(name, kind, true));
        }
    }
    let mut master = false;
    if !earlier.is_empty() {
        let target = rng.pick(earlier).name.clone();
        master = rng.percent(50);
        let name = if master { "parent" } else { "ref" };
        fields.push(FieldDef { reference: Some((target, master)), ..field(name, Kind::Text, false) });
    }
    for field in &mut fields {
        let sensitive = field.reference.is_none();
        if rng.percent(12) {
            field.hidden = true;
        } else if sensitive && matches!(field.kind, Kind::Text) && rng.percent(25) {
            field.mask = Some(*rng.pick(&[Mask::Keep(1, 0), Mask::Keep(0, 0), Mask::Keep(0, 1), Mask::Email]));
            field.lifted = rng.percent(20);
        } else if sensitive && matches!(field.kind, Kind::Int | Kind::Tags) && rng.percent(15) {
            field.mask = Some(Mask::Keep(0, 1));
        }
    }
    let owned = rng.percent(60);
    let sharing = match rng.below(10) {
        0..=2 if owned => Sharing::Private,
        3 => Sharing::PublicRead,
        4..=7 if master => Sharing::ControlledByParent,
        _ => Sharing::PublicReadWrite,
    };
    let ruled = ruled(&fields);
    let policies = policies(rng, &ruled);
    let shared_by = if sharing == Sharing::Private && rng.percent(50) {
        vec![(USERS[usize::from(rng.percent(30))], Rule::random(rng, &ruled, 1))]
    } else {
        Vec::new()
    };
    ObjectDef {
        name: name.to_owned(),
        fields,
        sharing,
        owned,
        tenant: walled && rng.percent(80),
        readable: rng.percent(93),
        reads_org: rng.percent(12),
        policies,
        shared_by,
        shared_ids: BTreeSet::new(),
        rows: Vec::new(),
    }
}

/// Fields that rules may read.
pub(super) fn ruled(fields: &[FieldDef]) -> Vec<(String, Kind)> {
    fields.iter().filter(|f| !f.payload).map(|f| (f.name.clone(), f.kind)).collect()
}

pub(super) fn policies(rng: &mut Rng, ruled: &[(String, Kind)]) -> Vec<(Vec<String>, Rule)> {
    (0..*rng.pick(&[0, 0, 1, 1, 2, 3]))
        .map(|_| {
            let positions = match rng.below(6) {
                0 => vec!["ab".to_owned()],
                1 => vec!["never".to_owned()],
                _ => Vec::new(),
            };
            (positions, Rule::random(rng, ruled, 2))
        })
        .collect()
}

pub(super) fn rows(rng: &mut Rng, objects: &[ObjectDef], at: usize, walled: bool) -> Vec<Row> {
    let object = &objects[at];
    let count = match rng.below(12) {
        0 => 0,
        1 => rng.between(30, 80),
        _ => rng.between(4, 16),
    };
    (0..count)
        .map(|n| {
            let mut row = Row::new();
            row.insert("id".to_owned(), json!(format!("{}{n:02}", object.sql_name())));
            if object.tenant && walled {
                let organization = [json!(ORGANIZATION), json!(ORGANIZATION), json!("org2"), Value::Null];
                row.insert("organization_id".to_owned(), rng.pick(&organization).clone());
            }
            if object.owned {
                row.insert("owner_id".to_owned(), rng.pick(&[json!(USERS[0]), json!(USERS[1]), Value::Null]).clone());
            }
            for field in object.fields.iter().filter(|f| !f.payload) {
                let value = match &field.reference {
                    _ if rng.percent(15) => Value::Null,
                    Some((target, _)) => {
                        let target = objects.iter().find(|o| o.name == *target).unwrap();
                        match target.rows.get(rng.below(target.rows.len())) {
                            Some(row) if rng.percent(92) => row["id"].clone(),
                            _ => json!("nobody"),
                        }
                    }
                    None => value(rng, field.kind),
                };
                row.insert(field.name.clone(), value);
            }
            row
        })
        .collect()
}

/// Values that make casts, divisions and overflows fail, or not.
pub(super) fn payload_value(rng: &mut Rng, kind: Kind, bad: bool, visible: bool) -> Value {
    if rng.percent(10) {
        return Value::Null;
    }
    match (kind, bad) {
        (Kind::Text, true) if visible => json!(*rng.pick(&["oops", "", "[", "x@y"])),
        (Kind::Text, true) => json!(format!("{SENTINEL}{}", rng.pick(&["a", "(", "\\", "@b"]))),
        (Kind::Text, false) => json!(*rng.pick(&["1", "2", "33", "2"])),
        (Kind::Number, true) => json!(*rng.pick(&[7.0, 0.0, -4.0, 1e300, 3e9])),
        (Kind::Number, false) => json!(*rng.pick(&[1.0, 2.0, 4.0, 16.0])),
        (Kind::Int, true) => json!(*rng.pick(&[7, 0, -3, 2_147_483_647])),
        (Kind::Int, false) => json!(*rng.pick(&[1, 2, 4])),
        (Kind::Money, true) => json!(*rng.pick(&[7.0, 0.0, 99_999_999_999_999.0])),
        (_, _) => json!(*rng.pick(&[1.0, 2.5])),
    }
}
