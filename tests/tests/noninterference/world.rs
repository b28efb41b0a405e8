//! Random worlds: metadata, permission sets, policies, masks, a principal and data; and what that principal may see of
//! it, found by reading the reference, not by asking the gate.

use crate::rule::{Kind, Rule, cell, value};
use arrow::datatypes::{DataType, Field, Schema};
use querygate_catalog::object_schema;
use querygate_metadata::TenancyPosture;
use querygate_tests::harness::{Fixture, Rng, Row, Table};
use querygate_types::{AttributeValue, Principal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Text that stands only in cells which the principal may not see.
pub(crate) const SENTINEL: &str = "hX9";
/// The two users that rows are owned by and shared with.
pub(crate) const USERS: [&str; 2] = ["u1", "u2"];
const ORGANIZATION: &str = "org1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    Private,
    PublicRead,
    PublicReadWrite,
    ControlledByParent,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Mask {
    Keep(usize, usize),
    Email,
}

#[derive(Debug, Clone)]
pub(crate) struct FieldDef {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Object it refers to, and whether as `master_detail`.
    pub(crate) reference: Option<(String, bool)>,
    pub(crate) mask: Option<Mask>,
    /// Lifts the mask for this principal.
    pub(crate) lifted: bool,
    pub(crate) hidden: bool,
    /// Read by no rule: its values on hidden rows make expressions fail.
    pub(crate) payload: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ObjectDef {
    /// Full name; SQL has it without the namespace.
    pub(crate) name: String,
    pub(crate) fields: Vec<FieldDef>,
    pub(crate) sharing: Sharing,
    pub(crate) owned: bool,
    pub(crate) tenant: bool,
    pub(crate) readable: bool,
    /// `readScope: org`.
    pub(crate) reads_org: bool,
    /// Row policies: positions, rule.
    pub(crate) policies: Vec<(Vec<String>, Rule)>,
    /// Rules that share rows, and with whom.
    pub(crate) shared_by: Vec<(&'static str, Rule)>,
    /// Rows shared with the first user.
    pub(crate) shared_ids: BTreeSet<String>,
    pub(crate) rows: Vec<Row>,
}

impl ObjectDef {
    pub(crate) fn sql_name(&self) -> &str {
        self.name.strip_prefix("w_").unwrap()
    }

    fn ruled(&self) -> Vec<(String, Kind)> {
        ruled(&self.fields)
    }

    pub(crate) fn master(&self) -> Option<(&str, &str)> {
        self.fields.iter().find_map(|f| match &f.reference {
            Some((object, true)) => Some((f.name.as_str(), object.as_str())),
            _ => None,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) objects: Vec<ObjectDef>,
    pub(crate) walled: bool,
    /// Whose view this is.
    pub(crate) who: Principal,
    pub(crate) target_partitions: usize,
}

impl World {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let walled = rng.percent(15);
        let who = principal(rng, USERS[0], walled);
        let count = rng.between(2, 4);
        let names: Vec<String> = (0..count).map(|i| format!("w_t{i}")).collect();
        let mut objects: Vec<ObjectDef> = Vec::new();
        for name in &names {
            let object = object(rng, name, &objects, walled);
            objects.push(object);
        }
        let mut world = Self { objects, walled, who, target_partitions: rng.between(1, 3) };
        for at in 0..world.objects.len() {
            let rows = rows(rng, &world.objects, at, walled);
            world.objects[at].rows = rows;
        }
        world.shares(rng);
        world.soften(rng);
        world.poison(rng);
        world
    }

    /// The same world as another user sees it.
    pub(crate) fn seen_by_another(&self, rng: &mut Rng) -> Self {
        Self { who: principal(rng, USERS[1], self.walled), ..self.clone() }
    }

    /// Rules drawn at random mostly hide everything: draws again, so that most objects show some rows and hide some.
    fn soften(&mut self, rng: &mut Rng) {
        for at in 0..self.objects.len() {
            for _ in 0..6 {
                let visible = self.visible(at).into_iter().filter(|v| *v).count();
                let rows = self.objects[at].rows.len();
                if (visible * 4 >= rows && visible < rows) || rng.percent(15) {
                    break;
                }
                let ruled = self.objects[at].ruled();
                self.objects[at].policies = policies(rng, &ruled);
            }
        }
    }

    fn shares(&mut self, rng: &mut Rng) {
        for object in &mut self.objects {
            if object.sharing == Sharing::Private && rng.percent(50) {
                let ids = object.rows.iter().filter(|_| rng.percent(20));
                object.shared_ids = ids.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
            }
        }
    }

    /// Writes the payload fields: what no rule reads may differ on hidden rows without changing what is hidden.
    fn poison(&mut self, rng: &mut Rng) {
        for at in 0..self.objects.len() {
            let visible = self.visible(at);
            let object = &mut self.objects[at];
            let payload: Vec<(String, Kind)> =
                object.fields.iter().filter(|f| f.payload).map(|f| (f.name.clone(), f.kind)).collect();
            for (row, visible) in object.rows.iter_mut().zip(visible) {
                let bad = if visible { rng.percent(6) } else { rng.percent(85) };
                for (name, kind) in &payload {
                    row.insert(name.clone(), payload_value(rng, *kind, bad, visible));
                }
            }
        }
    }

    pub(crate) fn object(&self, name: &str) -> &ObjectDef {
        self.objects.iter().find(|o| o.name == name).unwrap()
    }

    /// Which rows of an object the principal sees (ObjectStack reference, section 6), object rights aside.
    pub(crate) fn visible(&self, at: usize) -> Vec<bool> {
        let object = &self.objects[at];
        object.rows.iter().map(|row| self.row_visible(object, row)).collect()
    }

    fn row_visible(&self, object: &ObjectDef, row: &Row) -> bool {
        let wall = !self.walled
            || !object.tenant
            || row.get("organization_id").and_then(Value::as_str) == self.who.organization_id.as_deref();
        let parent = match (object.sharing, object.master()) {
            (Sharing::ControlledByParent, Some((fk, master))) => {
                let master = self.object(master);
                let found = master.rows.iter().find(|m| cell(row, fk).is_some_and(|id| Some(id) == m.get("id")));
                // Who may not read the master object reads none of its details.
                master.readable && found.is_some_and(|m| self.row_visible(master, m))
            }
            (Sharing::ControlledByParent, None) => false,
            _ => true,
        };
        let owned = object.sharing != Sharing::Private
            || !object.owned
            || object.reads_org
            || row.get("owner_id") == Some(&json!(self.who.user_id))
            || (self.who.user_id == USERS[0] && object.shared_ids.contains(row["id"].as_str().unwrap()))
            || object
                .shared_by
                .iter()
                .any(|(with, rule)| *with == self.who.user_id && rule.binds(&self.who) && rule.passes(row, &self.who));
        let held = |positions: &Vec<String>| {
            positions.is_empty() || positions.iter().any(|p| p == "everyone" || self.who.positions.contains(p))
        };
        let mut applicable = object.policies.iter().filter(|(positions, _)| held(positions)).peekable();
        let bound = applicable.peek().is_none()
            || applicable.any(|(_, rule)| rule.binds(&self.who) && rule.passes(row, &self.who));
        wall && parent && owned && bound
    }

    /// The world as the gate gets it.
    pub(crate) fn governed(&self) -> Fixture {
        self.fixture(self.stack(), &|_, _| true, false)
    }

    /// The same metadata and policies over the visible rows alone.
    pub(crate) fn twin(&self) -> Fixture {
        self.fixture(self.stack(), &|at, row| self.visible(at)[row], false)
    }

    /// No policy, no mask, no field security: what is hidden was removed, what is masked was rewritten.
    pub(crate) fn reduced(&self) -> Fixture {
        self.fixture(self.open_stack(), &|at, row| self.visible(at)[row], true)
    }

    fn fixture(&self, stack: Value, keep: &dyn Fn(usize, usize) -> bool, physical: bool) -> Fixture {
        let mut fixture = Fixture::new(stack, Vec::new());
        fixture.target_partitions = self.target_partitions;
        if !physical {
            fixture.posture = if self.walled { TenancyPosture::Isolated } else { TenancyPosture::Single };
            for object in &self.objects {
                for id in &object.shared_ids {
                    let row = json!({"object_name": object.name, "record_id": id, "recipient_type": "user",
                        "recipient_id": USERS[0], "access_level": "read"});
                    fixture.facts.push(("sys_record_share".to_owned(), row.as_object().unwrap().clone()));
                }
            }
        }
        let full = Fixture::new(self.stack(), Vec::new()).snapshot();
        for (at, object) in self.objects.iter().enumerate() {
            if physical && !object.readable {
                continue;
            }
            let rows = object.rows.iter().enumerate().filter(|(row, _)| keep(at, *row)).map(|(_, row)| row.clone());
            let table = Table::new(&object.name, object_schema(full.object(&object.name).unwrap()), rows.collect());
            fixture.tables.push(if physical { reduce(object, &table) } else { table });
        }
        fixture
    }

    fn stack(&self) -> Value {
        let objects = self.objects.iter().map(|object| {
            let fields = object.fields.iter().map(|f| (f.name.clone(), field_json(f, true)));
            json!({
                "name": object.name, "label": object.name, "sharingModel": match object.sharing {
                    Sharing::Private => "private",
                    Sharing::PublicRead => "public_read",
                    Sharing::PublicReadWrite => "public_read_write",
                    Sharing::ControlledByParent => "controlled_by_parent",
                },
                "ownership": if object.owned { "user" } else { "none" },
                "tenancy": {"enabled": object.tenant},
                "systemFields": {"audit": false},
                "fields": Value::Object(fields.collect()),
            })
        });
        let mut rights = serde_json::Map::new();
        let mut fields = serde_json::Map::new();
        let mut policies = Vec::new();
        let mut sharing = Vec::new();
        for object in &self.objects {
            let mut right = json!({"allowRead": object.readable});
            if object.reads_org {
                right["readScope"] = json!("org");
            }
            rights.insert(object.name.clone(), right);
            for field in object.fields.iter().filter(|f| f.hidden) {
                fields.insert(format!("{}.{}", object.name, field.name), json!({"readable": false}));
            }
            for (n, (positions, rule)) in object.policies.iter().enumerate() {
                let name = format!("p_{}_{n}", object.sql_name());
                let operation = if n % 2 == 0 { "select" } else { "all" };
                policies.push(json!({"name": name, "object": object.name, "operation": operation,
                    "using": rule.cel(), "positions": positions}));
            }
            for (n, (with, rule)) in object.shared_by.iter().enumerate() {
                sharing.push(json!({"type": "criteria", "name": format!("s_{}_{n}", object.sql_name()),
                    "label": "s", "object": object.name, "condition": rule.cel(), "accessLevel": "read",
                    "sharedWith": {"type": "user", "value": with}}));
            }
        }
        json!({
            "manifest": manifest(),
            "objects": objects.collect::<Vec<_>>(),
            "positions": [{"name": "ab", "label": "ab"}, {"name": "never", "label": "never"}],
            "capabilities": [{"name": "w.unmask", "label": "u", "scope": "org"},
                {"name": "w.nobody", "label": "n", "scope": "org"}],
            "permissions": [{
                "name": "w_set", "label": "s", "objects": rights, "fields": fields,
                "systemPermissions": ["w.unmask"], "rowLevelSecurity": policies,
            }],
            "sharingRules": sharing,
        })
    }

    fn open_stack(&self) -> Value {
        let readable: Vec<&ObjectDef> = self.objects.iter().filter(|o| o.readable).collect();
        let objects = readable.iter().map(|object| {
            let fields = object.fields.iter().filter(|f| !f.hidden).map(|f| (f.name.clone(), field_json(f, false)));
            json!({"name": object.name, "label": object.name, "sharingModel": "public_read_write",
                "ownership": if object.owned { "user" } else { "none" }, "tenancy": {"enabled": object.tenant},
                "systemFields": {"audit": false}, "fields": Value::Object(fields.collect())})
        });
        let rights = readable.iter().map(|o| (o.name.clone(), json!({"allowRead": true, "readScope": "org"})));
        json!({
            "manifest": manifest(),
            "objects": objects.collect::<Vec<_>>(),
            "permissions": [{"name": "w_set", "label": "s", "objects": Value::Object(rights.collect())}],
        })
    }
}

fn manifest() -> Value {
    json!({"id": "test.w", "namespace": "w", "version": "1.0.0", "type": "app", "name": "w",
        "engines": {"protocol": "^17"}})
}

fn principal(rng: &mut Rng, user: &str, walled: bool) -> Principal {
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

fn object(rng: &mut Rng, name: &str, earlier: &[ObjectDef], walled: bool) -> ObjectDef {
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
fn ruled(fields: &[FieldDef]) -> Vec<(String, Kind)> {
    fields.iter().filter(|f| !f.payload).map(|f| (f.name.clone(), f.kind)).collect()
}

fn policies(rng: &mut Rng, ruled: &[(String, Kind)]) -> Vec<(Vec<String>, Rule)> {
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

fn rows(rng: &mut Rng, objects: &[ObjectDef], at: usize, walled: bool) -> Vec<Row> {
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
fn payload_value(rng: &mut Rng, kind: Kind, bad: bool, visible: bool) -> Value {
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

fn field_json(field: &FieldDef, governed: bool) -> Value {
    let masked = field.mask.is_some() && !field.lifted;
    let mut json = match (&field.reference, field.kind) {
        (Some((target, true)), _) if governed => json!({"type": "master_detail", "reference": target}),
        (Some((target, false)), _) if governed => json!({"type": "lookup", "reference": target}),
        (Some(_), _) | (None, Kind::Text) => json!({"type": "text"}),
        (None, Kind::Int) if masked && !governed => json!({"type": "text"}),
        (None, Kind::Number) => json!({"type": "number"}),
        (None, Kind::Int) => json!({"type": "rating"}),
        (None, Kind::Money) => json!({"type": "currency"}),
        (None, Kind::Bool) => json!({"type": "boolean"}),
        (None, Kind::Date) => json!({"type": "date"}),
        (None, Kind::Instant) => json!({"type": "datetime"}),
        (None, Kind::Tags) => json!({"type": "tags"}),
    };
    json["label"] = json!(field.name);
    if governed && let Some(mask) = field.mask {
        json["maskingRule"] = match mask {
            Mask::Keep(head, tail) => json!({"keepHead": head, "keepTail": tail}),
            Mask::Email => json!("email"),
        };
        if field.lifted {
            json["requiredPermissions"] = json!(["w.unmask"]);
        } else if field.kind == Kind::Text {
            json["requiredPermissions"] = json!(["w.nobody"]);
        }
    }
    json
}

/// Removes hidden columns, writes masks into the rows.
fn reduce(object: &ObjectDef, table: &Table) -> Table {
    let masks: BTreeMap<&str, Mask> = object
        .fields
        .iter()
        .filter(|f| !f.lifted && !f.hidden)
        .filter_map(|f| f.mask.map(|mask| (f.name.as_str(), mask)))
        .collect();
    let hidden = |name: &str| object.fields.iter().any(|f| f.hidden && f.name == name);
    let fields =
        table.schema.fields().iter().filter(|f| !hidden(f.name())).map(|f| match masks.get(f.name().as_str()) {
            Some(_) if !matches!(f.data_type(), DataType::List(_)) => Field::new(f.name(), DataType::Utf8, true),
            _ => f.as_ref().clone(),
        });
    let rows = table.rows.iter().map(|row| {
        let cells = row.iter().filter(|(name, _)| !hidden(name)).map(|(name, value)| {
            let value = masks.get(name.as_str()).map_or_else(|| value.clone(), |mask| masked(*mask, value));
            (name.clone(), value)
        });
        cells.collect()
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Table::new(&table.object, Arc::new(schema), rows.collect())
}

/// Masks one value by the reference's section 6.9.
fn masked(mask: Mask, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => Value::from(masked_text(mask, text)),
        Value::Number(number) => Value::from(masked_text(mask, &number.to_string())),
        Value::Array(elements) => Value::from(elements.iter().map(|e| masked(mask, e)).collect::<Vec<_>>()),
        other => panic!("no mask for {other}"),
    }
}

fn masked_text(mask: Mask, text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let (head, tail, domain) = match (mask, letters.iter().position(|c| *c == '@')) {
        (Mask::Keep(head, tail), _) => (head, tail, letters.len()),
        (Mask::Email, None | Some(0)) => (1, 0, letters.len()),
        (Mask::Email, Some(at)) => (1, 0, at),
    };
    let (local, rest) = letters.split_at(domain);
    let short = local.len() <= head + tail;
    let stars = local.iter().enumerate().map(|(i, c)| {
        let kept = !short && (i < head || i + tail >= local.len());
        if kept { *c } else { '*' }
    });
    stars.chain(rest.iter().copied()).collect()
}

/// A column as the principal sees it.
#[derive(Debug, Clone)]
pub(crate) struct SeenColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A table as the principal sees it.
#[derive(Debug, Clone)]
pub(crate) struct SeenTable {
    pub(crate) name: String,
    pub(crate) columns: Vec<SeenColumn>,
}

impl World {
    /// Visible tables with visible columns; masked ones are texts.
    pub(crate) fn seen(&self) -> Vec<SeenTable> {
        let tables = self.objects.iter().filter(|o| o.readable).map(|object| {
            let mut columns = vec![SeenColumn { name: "id".to_owned(), kind: Kind::Text }];
            if object.owned {
                columns.push(SeenColumn { name: "owner_id".to_owned(), kind: Kind::Text });
            }
            for field in object.fields.iter().filter(|f| !f.hidden) {
                let masked = field.mask.is_some() && !field.lifted;
                let kind = if masked && field.kind != Kind::Tags { Kind::Text } else { field.kind };
                columns.push(SeenColumn { name: field.name.clone(), kind });
            }
            SeenTable { name: object.sql_name().to_owned(), columns }
        });
        tables.collect()
    }

    /// Names that a query may try though the principal must not find them.
    pub(crate) fn unseen(&self) -> Vec<(String, String)> {
        let columns = self.objects.iter().flat_map(|object| {
            let hidden = object.fields.iter().filter(|f| f.hidden || !object.readable);
            hidden.map(|f| (object.sql_name().to_owned(), f.name.clone()))
        });
        columns.collect()
    }

    /// For a failure's report.
    pub(crate) fn report(&self) -> String {
        use std::fmt::Write;
        let mut out = format!("{:#}\n{:?}\nwalled {}\n", self.stack(), self.who, self.walled);
        for (at, object) in self.objects.iter().enumerate() {
            writeln!(out, "{}: shared ids {:?}", object.name, object.shared_ids).unwrap();
            for (row, visible) in object.rows.iter().zip(self.visible(at)) {
                writeln!(out, "  {} {}", if visible { '+' } else { '-' }, Value::Object(row.clone())).unwrap();
            }
        }
        out
    }
}
