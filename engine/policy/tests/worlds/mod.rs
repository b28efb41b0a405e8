//! Random stacks of objects that depend on each other, with rights, policies, shares and records. All from one seed.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use querygate_metadata::model::TenancyPosture;
use serde_json::{Map, Value, json};

/// Numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t, T>(&mut self, among: &'t [T]) -> &'t T {
        &among[self.below(among.len())]
    }
}

/// Everything that decides, as plain values, so that a failing world can be made smaller.
#[derive(Debug, Clone)]
pub struct World {
    pub stack: Value,
    pub posture: TenancyPosture,
    pub rows: Map<String, Value>,
    /// Object and row.
    pub facts: Vec<(String, Value)>,
    pub organization: Option<String>,
    pub sets: Vec<String>,
}

pub const OBJECTS: [&str; 5] = ["t_top", "t_mid", "t_low", "t_note", "t_map"];
/// Objects that look up a record of the first.
const REFERRERS: [&str; 3] = ["t_low", "t_note", "t_map"];
const IDS: [&str; 4] = ["a", "b", "c", "d"];

/// A world of a seed.
pub fn world(dice: &mut Dice) -> World {
    let objects: Vec<Value> = OBJECTS.iter().map(|name| object(dice, name)).collect();
    let sets: Vec<Value> = (0..3).map(|n| set(dice, &format!("s{n}"))).collect();
    let sharing: Vec<Value> = (0..dice.below(3)).filter_map(|n| sharing_rule(dice, n, &objects)).collect();
    let datasource = json!({"name": "far", "label": "F", "driver": "sqlite", "config": {}, "schemaMode": "external",
        "external": {"allowWrites": dice.chance(80)}});
    let stack = json!({
        "manifest": {"id": "com.example.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
        "datasources": [datasource],
        "objects": objects,
        "positions": [{"name": "boss", "label": "Boss"}],
        "capabilities": [{"name": "see_pay", "label": "Pay", "scope": "org"}],
        "permissions": sets,
        "sharingRules": sharing,
    });
    let rows = OBJECTS
        .iter()
        .map(|name| (name.to_string(), IDS.iter().map(|id| row(dice, name, id)).collect::<Vec<Value>>().into()));
    let rows = rows.collect();
    let posture =
        *dice.pick(&[TenancyPosture::Single, TenancyPosture::Single, TenancyPosture::Isolated, TenancyPosture::Group]);
    let mut held: Vec<String> = (0..3).filter(|_| dice.chance(60)).map(|n| format!("s{n}")).collect();
    held.extend(dice.chance(12).then(|| "admin_full_access".to_owned()));
    let organization = dice.chance(60).then(|| (*dice.pick(&["o1", "o1", "o2"])).to_owned());
    World { stack, posture, rows, facts: facts(dice), organization, sets: held }
}

fn facts(dice: &mut Dice) -> Vec<(String, Value)> {
    let mut facts = Vec::new();
    for _ in 0..dice.below(8) {
        let share = json!({"object_name": dice.pick(&OBJECTS), "record_id": dice.pick(&IDS), "recipient_type": "user",
            "recipient_id": dice.pick(&["ada", "ada", "bo"]), "access_level": dice.pick(&["read", "edit"])});
        facts.push(("sys_record_share".to_owned(), share));
    }
    if dice.chance(50) {
        facts.push(("sys_user_position".to_owned(), json!({"user_id": "ada", "position": "boss"})));
    }
    facts
}

fn object(dice: &mut Dice, name: &str) -> Value {
    let text = || json!({"type": "text", "label": "T"});
    let mut fields = json!({
        "title": text(),
        "level": {"type": "number", "label": "L"},
        "done": {"type": "boolean", "label": "D"},
        "tags": {"type": "multiselect", "label": "G", "options": [{"value": "x1", "label": "X"}, {"value": "y1", "label": "Y"}]},
        "phone": {"type": "text", "label": "P", "maskingRule": "phone"},
        "salary": {"type": "number", "label": "S", "requiredPermissions": ["see_pay"]},
        "grade": {"type": "number", "label": "R", "readonly": true},
        "twice": {"type": "formula", "label": "F", "expression": "level * 2", "returnType": "number"},
        "helper": {"type": "user", "label": "H"},
    });
    if dice.chance(30) {
        fields["title"]["defaultValue"] = json!("x");
        fields["grade"]["defaultValue"] = json!(1);
    }
    let mut master = |target: &str| {
        let mut field = json!({"type": "master_detail", "label": "M", "reference": target});
        if dice.chance(25) {
            field["deleteBehavior"] = json!("restrict");
        }
        field
    };
    match name {
        "t_mid" => fields["parent"] = master("t_top"),
        "t_low" => fields["parent"] = master("t_mid"),
        _ => {}
    }
    if REFERRERS.contains(&name) {
        let behavior = dice.pick(&["set_null", "set_null", "cascade", "restrict"]);
        fields["about"] = json!({"type": "lookup", "label": "A", "reference": "t_top", "deleteBehavior": behavior,
            "multiple": *behavior == "set_null" && dice.chance(30)});
    }
    let models = ["private", "private", "public_read", "public_read_write"];
    let follows = matches!(name, "t_mid" | "t_low") && dice.chance(65);
    let model = if follows { "controlled_by_parent" } else { *dice.pick(&models) };
    let mut object = json!({"name": name, "label": name, "sharingModel": model, "fields": fields});
    if name == "t_map" {
        object["datasource"] = json!("far");
        object["external"] = json!({"writable": dice.chance(80)});
        if dice.chance(50) {
            object["fields"]["owner_id"] = json!({"type": "lookup", "label": "O", "reference": "sys_user"});
        }
    }
    rarely(dice, &mut object, "access", json!({"default": "private"}));
    rarely(dice, &mut object, "requiredPermissions", json!({"update": ["see_pay"]}));
    rarely(dice, &mut object, "tenancy", json!({"enabled": false}));
    rarely(dice, &mut object, "managedBy", json!("append-only"));
    rarely(dice, &mut object, "ownership", json!("none"));
    rarely(dice, &mut object, "enable", json!({"apiMethods": ["get", "list", "create", "update"]}));
    object
}

fn rarely(dice: &mut Dice, object: &mut Value, key: &str, value: Value) {
    if dice.chance(6) {
        object[key] = value;
    }
}

fn set(dice: &mut Dice, name: &str) -> Value {
    let mut objects = Map::new();
    let entry = |dice: &mut Dice| {
        let mut entry = json!({"allowRead": dice.chance(90), "allowCreate": dice.chance(85), "allowEdit": dice.chance(85),
            "allowDelete": dice.chance(85), "allowTransfer": dice.chance(15), "viewAllRecords": dice.chance(5),
            "modifyAllRecords": dice.chance(5)});
        if dice.chance(15) {
            entry["writeScope"] = json!("org");
        }
        if dice.chance(15) {
            entry["readScope"] = json!("org");
        }
        entry
    };
    if dice.chance(80) {
        objects.insert("*".to_owned(), entry(dice));
    }
    for object in OBJECTS {
        if dice.chance(30) {
            objects.insert(object.to_owned(), entry(dice));
        }
    }
    let mut fields = Map::new();
    for _ in 0..dice.below(3) {
        let field = format!("{}.{}", dice.pick(&OBJECTS), dice.pick(&["title", "level", "phone", "helper", "done"]));
        fields.insert(field, json!({"readable": dice.chance(60), "editable": dice.chance(50)}));
    }
    if dice.chance(25) {
        let field = format!("{}.about", dice.pick(&REFERRERS));
        fields.insert(field, json!({"readable": true, "editable": dice.chance(30)}));
    }
    let policies: Vec<Value> = (0..dice.below(5)).map(|n| policy(dice, n)).collect();
    let capabilities: Vec<&str> = if dice.chance(40) { vec!["see_pay"] } else { Vec::new() };
    json!({"name": name, "label": name, "objects": objects, "fields": fields, "systemPermissions": capabilities,
        "rowLevelSecurity": policies})
}

fn policy(dice: &mut Dice, n: usize) -> Value {
    let object = if dice.chance(15) { "*" } else { dice.pick(&OBJECTS) };
    let operation = dice.pick(&["select", "insert", "update", "update", "delete", "all", "all"]);
    let mut policy = json!({"name": format!("p{n}"), "object": object, "operation": operation});
    let (using, check) = *dice.pick(&[(true, false), (true, true), (false, true)]);
    if using {
        policy["using"] = json!(condition(dice, 2));
    }
    if check {
        policy["check"] = json!(condition(dice, 2));
    }
    if dice.chance(20) {
        policy["positions"] = json!(["boss"]);
    }
    if dice.chance(5) {
        policy["enabled"] = json!(false);
    }
    policy
}

fn sharing_rule(dice: &mut Dice, n: usize, objects: &[Value]) -> Option<Value> {
    let shared = |object: &&Value| matches!(object["sharingModel"].as_str(), Some("private" | "public_read"));
    let among: Vec<&Value> = objects.iter().filter(shared).collect();
    if among.is_empty() {
        return None;
    }
    let with = [
        json!({"type": "user", "value": "ada"}),
        json!({"type": "position", "value": "boss"}),
        json!({"type": "field", "value": "helper"}),
    ];
    let object = &dice.pick(&among)["name"];
    let with = dice.pick(&with).clone();
    Some(json!({"type": "criteria", "name": format!("r{n}"), "label": "R", "object": object,
        "condition": condition(dice, 1), "accessLevel": dice.pick(&["read", "edit"]), "sharedWith": with}))
}

/// A condition in CEL; some cannot be compiled, lack their variable, or name what is hidden or masked.
fn condition(dice: &mut Dice, depth: usize) -> String {
    if depth > 0 && dice.chance(40) {
        let (left, right) = (condition(dice, depth - 1), condition(dice, depth - 1));
        return match dice.below(3) {
            0 => format!("({left}) && ({right})"),
            1 => format!("({left}) || ({right})"),
            _ => format!("!({left})"),
        };
    }
    let common = [
        "owner_id == current_user.id",
        "created_by == current_user.id",
        "updated_by == current_user.id",
        "created_by != current_user.id",
        "owner_id in current_user.org_user_ids",
        "organization_id == current_user.organization_id",
        "helper == current_user.id",
        "level == 1",
        "level != 2",
        "level > 1",
        "!(level < 2)",
        "level == grade",
        "title == 'x'",
        "title in ['x', 'y']",
        "title != null",
        "title.contains('x')",
        "title == helper",
        "done == true",
        "grade == 1",
        "updated_at > '2025-01-01T00:00:00Z'",
        "updated_at != created_at",
        "true",
        "1 == 2",
    ];
    let odd = [
        "salary > 1",
        "phone.startsWith('1')",
        "twice == 2",
        "missing == 1",
        "title == current_user.region",
        "level + 1",
    ];
    (*if dice.chance(88) { dice.pick(&common) } else { dice.pick(&odd) }).to_owned()
}

/// A stored record.
fn row(dice: &mut Dice, object: &str, id: &str) -> Value {
    let mut row = Value::Object(payload(dice, object, 100));
    let person = |dice: &mut Dice| match dice.below(5) {
        0 | 1 => json!("ada"),
        2 | 3 => json!("bo"),
        _ => Value::Null,
    };
    for column in ["owner_id", "created_by", "updated_by"] {
        row[column] = person(dice);
    }
    row["id"] = json!(id);
    row["organization_id"] = dice.pick(&[json!("o1"), json!("o1"), json!("o2"), Value::Null]).clone();
    row["created_at"] = json!("2024-05-01T00:00:00.000Z");
    row["updated_at"] = dice.pick(&[json!("2024-05-01T00:00:00.000Z"), json!("2025-05-01T00:00:00.000Z")]).clone();
    row["salary"] = json!(dice.below(3));
    row["grade"] = json!(dice.below(3));
    row["phone"] = dice.pick(&[json!("13812345678"), Value::Null]).clone();
    row.as_object_mut().unwrap().remove("twice");
    row
}

/// Values for fields, each with so much chance, and rarely one that may not be written.
pub fn payload(dice: &mut Dice, object: &str, percent: usize) -> Map<String, Value> {
    let mut payload = Map::new();
    let mut give = |dice: &mut Dice, field: &str, among: &[Value], percent: usize| {
        if dice.chance(percent) {
            payload.insert(field.to_owned(), dice.pick(among).clone());
        }
    };
    give(dice, "title", &[json!("x"), json!("y"), json!("xy"), Value::Null], percent);
    give(dice, "level", &[json!(1), json!(2), json!(3), Value::Null], percent);
    give(dice, "done", &[json!(true), json!(false), Value::Null], percent);
    give(dice, "tags", &[json!(["x1"]), json!([]), Value::Null], percent);
    give(dice, "helper", &[json!("ada"), json!("bo"), Value::Null], percent);
    if matches!(object, "t_mid" | "t_low") {
        let masters = [json!("a"), json!("b"), json!("c"), json!("d"), json!("gone"), Value::Null];
        give(dice, "parent", &masters, percent.max(80));
    }
    if REFERRERS.contains(&object) {
        give(dice, "about", &[json!("a"), json!("b"), json!(["a", "c"]), Value::Null], percent);
    }
    if percent < 100 {
        give(dice, "owner_id", &[json!("ada"), json!("ada"), json!("bo"), Value::Null], 10);
        give(dice, "organization_id", &[json!("o1"), json!("o2"), Value::Null], 10);
        give(dice, "salary", &[json!(1)], 4);
        give(dice, "phone", &[json!("13812345678"), json!("138****5678")], 6);
        give(dice, "grade", &[json!(1), json!(2)], 10);
        give(dice, "created_by", &[json!("bo")], 5);
        give(dice, "updated_at", &[json!("2020-01-01T00:00:00Z")], 5);
        give(dice, "twice", &[json!(2)], 1);
        give(dice, "missing", &[json!(2)], 1);
    }
    payload
}
