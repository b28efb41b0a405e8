//! Random worlds: metadata, permission sets, policies, masks, a principal and data; and what that principal may see of
//! it, found by reading the reference, not by asking the gate.

mod made;
mod reduced;
mod seen;
mod stack;

use crate::rule::{Kind, Rule, cell};
use made::{object, payload_value, policies, principal, rows, ruled};
use querygate_catalog::object_schema;
use querygate_metadata::model::TenancyPosture;
use querygate_tests::harness::{Fixture, Rng, Row, Table};
use querygate_types::principal::Principal;
use reduced::{alike, reduce};
pub(crate) use seen::SeenTable;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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

    /// The same again, with something else in hidden fields and behind masks, where no rule reads it.
    pub(crate) fn twin_without_secrets(&self) -> Fixture {
        let mut fixture = self.twin();
        for table in &mut fixture.tables {
            let object = self.object(&table.object);
            for field in object.fields.iter().filter(|field| field.payload) {
                for cell in table.rows.iter_mut().filter_map(|row| row.get_mut(&field.name)) {
                    match field.mask {
                        _ if field.hidden || !object.readable => *cell = Value::Null,
                        Some(mask) if !field.lifted => *cell = alike(mask, cell),
                        _ => {}
                    }
                }
            }
        }
        fixture
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
}
