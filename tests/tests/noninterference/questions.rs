//! Questions over REST. A user's answers over governed rows are, byte for byte, those of the same rules over rows from which all was
//! taken that the user does not see: hidden rows are gone, what stands in hidden fields and behind masks is something else. Those that
//! name nothing forbidden are also those over the reduced copy, which has no rule at all.

use crate::check::Sabotage;
use crate::rule::Kind as Column;
use crate::world::{SENTINEL, World};
use querygate_tests::harness::{Fixture, Layout, Rng, TestGate};
use querygate_tests::questions::{Kind, Object, Questions, Reference};
use querygate_tests::rest::RestServer;
use querygate_tests::server::Answer;
use querygate_types::principal::Principal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What is said where no rule of an object can be applied: nobody reads it then, though the copy without rules has its rows.
const NO_RULE_APPLIES: &str = "A rule that decides about its rows cannot be applied";

/// Of a world and user.
pub(crate) const QUESTIONS: u64 = 40;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) questions: u64,
    comparisons: u64,
    /// Those compared with the copy without rules, too.
    reduced: u64,
    pub(crate) with_records: u64,
    refused: BTreeMap<String, u64>,
    /// Those about an object whose rule cannot be applied: nobody reads it where there is the rule, so that the copy without rules says
    /// nothing of them.
    unapplied: u64,
    expanded: u64,
    pub(crate) differences: Vec<String>,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.questions += other.questions;
        self.comparisons += other.comparisons;
        self.reduced += other.reduced;
        self.with_records += other.with_records;
        self.expanded += other.expanded;
        self.unapplied += other.unapplied;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.differences.extend(other.differences);
    }

    /// Questions refused for what they name.
    pub(crate) fn denied(&self) -> u64 {
        self.refused.get("403 PERMISSION_DENIED").copied().unwrap_or_default()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { questions, comparisons, reduced, with_records, refused, unapplied, expanded, differences } = self;
        write!(
            f,
            "{questions} questions, {comparisons} answers compared, {reduced} of them with the copy without rules: {with_records} questions \
             with records, {expanded} with expanded ones, refused on both sides {refused:?}, {unapplied} of them for a rule that cannot be \
             applied, {} differences",
            differences.len()
        )
    }
}

/// A gate behind its door.
struct Side {
    _gate: TestGate,
    door: RestServer,
}

impl Side {
    fn new(fixture: &Fixture, layout: Layout, people: &[&Principal]) -> Self {
        let gate = TestGate::new(fixture, layout);
        Self { door: RestServer::over(&gate, people, |_| {}), _gate: gate }
    }

    fn ask(&self, login: &str, object: &str, body: &Value) -> Answer {
        self.door.send(login, "POST", &format!("/data/{object}/query"), Some(body))
    }
}

/// What one user of a world may ask, with the copies of it that hold what the user sees.
struct View {
    world: World,
    objects: Vec<Object>,
    forbidden: Vec<(String, String)>,
    /// The same rules, without what the user does not see.
    twin: Side,
    /// No rule.
    reduced: Side,
}

impl View {
    fn new(world: World, layout: Layout) -> Self {
        let open = Principal::builder(&world.who.login).permission_set("w_set").build();
        Self {
            objects: objects(&world),
            forbidden: forbidden(&world),
            twin: Side::new(&world.twin_without_secrets(), layout, &[&world.who]),
            reduced: Side::new(&world.reduced(), layout, &[&open]),
            world,
        }
    }

    fn sees_marks(&self) -> bool {
        self.world
            .reduced()
            .tables
            .iter()
            .flat_map(|table| &table.rows)
            .any(|row| Value::Object(row.clone()).to_string().contains(SENTINEL))
    }

    /// Whether a body names only what is there without rules, too: neither what is forbidden nor what is expanded.
    fn is_plain(&self, object: &str, body: &Value) -> bool {
        let text = body.to_string();
        let named = self
            .forbidden
            .iter()
            .filter(|(of, _)| of == object)
            .any(|(_, field)| text.contains(&format!("\"{field}\"")));
        let readable = self.objects.iter().any(|other| other.name == object);
        // A search without fields is over those that the metadata finds, masked ones among them; references are texts in the copy.
        let references = self.objects.iter().filter(|other| other.name == object).flat_map(|other| &other.references);
        let mut references = references.map(|reference| reference.field.as_str());
        let searches = body.get("search").is_some()
            && body["searchFields"][0].as_str().is_none_or(|field| references.any(|reference| reference == field));
        readable && !named && !searches && body.get("expand").is_none()
    }
}

/// Objects with the fields that may be compared: neither hidden nor masked.
fn objects(world: &World) -> Vec<Object> {
    let objects = world.objects.iter().filter(|object| object.readable).map(|object| {
        let mut fields = vec![("id".to_owned(), Kind::Text)];
        if object.owned {
            fields.push(("owner_id".to_owned(), Kind::Text));
        }
        let open = || object.fields.iter().filter(|field| !field.hidden && (field.mask.is_none() || field.lifted));
        fields.extend(open().map(|field| (field.name.clone(), kind(field.kind))));
        let references = open().filter_map(|field| {
            let (to, _) = field.reference.as_ref()?;
            Some(Reference { field: field.name.clone(), to: to.clone() })
        });
        Object { name: object.name.clone(), fields, references: references.collect() }
    });
    objects.collect()
}

fn forbidden(world: &World) -> Vec<(String, String)> {
    let fields = world.objects.iter().flat_map(|object| {
        let odd = object
            .fields
            .iter()
            .filter(|field| field.hidden || !object.readable || (field.mask.is_some() && !field.lifted));
        odd.map(|field| (object.name.clone(), field.name.clone()))
    });
    let mut all: Vec<_> = fields.collect();
    all.extend(world.objects.iter().map(|object| (object.name.clone(), "nowhere".to_owned())));
    all
}

fn kind(column: Column) -> Kind {
    match column {
        Column::Text => Kind::Text,
        Column::Number => Kind::Number,
        Column::Int => Kind::Integer,
        Column::Money => Kind::Money,
        Column::Bool => Kind::Bool,
        Column::Date => Kind::Date,
        Column::Instant => Kind::Instant,
        Column::Tags => Kind::Tags,
    }
}

/// Values of the world's cells, hidden ones among them.
fn values(world: &World, rng: &mut Rng) -> Vec<Value> {
    let cells = world.objects.iter().flat_map(|object| &object.rows).flat_map(|row| row.values());
    let mut values: Vec<Value> = cells.filter(|value| value.is_string() || value.is_number()).cloned().collect();
    rng.shuffle(&mut values);
    values.truncate(40);
    values
}

/// The questions of one world, by two users of the same gates.
pub(crate) fn check(rng: &mut Rng, name: &str) -> Found {
    let world = readable(rng);
    let other = world.seen_by_another(rng);
    let governed: Vec<(Layout, Side)> = Layout::ALL
        .into_iter()
        .map(|layout| (layout, Side::new(&world.governed(), layout, &[&world.who, &other.who])))
        .collect();
    let views = [world, other].map(|world| {
        let layout = *rng.pick(&Layout::ALL);
        View::new(world, layout)
    });
    let mut found = Found::default();
    for view in &views {
        let (values, sees_marks) = (values(&view.world, rng), view.sees_marks());
        for n in 0..QUESTIONS {
            let mut own = Rng::part(rng.next(), n);
            let (object, body) =
                Questions { rng: &mut own, objects: &view.objects, forbidden: &view.forbidden, values: &values }
                    .question();
            found.questions += 1;
            let login = &view.world.who.login;
            let expected = view.twin.ask(login, &object, &body);
            found.count(&body, &expected);
            let is_unapplied = expected.status != 200 && expected.text().contains(NO_RULE_APPLIES);
            found.unapplied += u64::from(is_unapplied);
            let plain = view.is_plain(&object, &body) && !is_unapplied;
            let open = plain.then(|| view.reduced.ask(login, &object, &body));
            for (layout, side) in &governed {
                let got = side.ask(login, &object, &body);
                found.comparisons += 1;
                let marked = !sees_marks && got.text().contains(SENTINEL) && !body.to_string().contains(SENTINEL);
                let mut differs = marked || !same(&expected, &got, &body);
                if let Some(open) = &open {
                    found.reduced += 1;
                    differs |= !same(open, &got, &body);
                }
                if differs {
                    let open = open.as_ref().map(Answer::text).unwrap_or_default();
                    let report = format!(
                        "DIFFERENCE, {name}, {login} on {}: {object} {body}\n--- same rules {}\n{}\n--- no rules\n{open}\n--- got {}\n{}\n{}",
                        layout.name(),
                        expected.status,
                        expected.text(),
                        got.status,
                        got.text(),
                        view.world.report()
                    );
                    println!("{report:.6000}");
                    found.differences.push(report);
                }
            }
        }
    }
    found
}

impl Found {
    fn count(&mut self, body: &Value, answer: &Answer) {
        let said = answer.json();
        if answer.status != 200 {
            *self
                .refused
                .entry(format!("{} {}", answer.status, said["code"].as_str().unwrap_or_default()))
                .or_default() += 1;
            return;
        }
        let records = said["records"].as_array().unwrap();
        self.with_records += u64::from(!records.is_empty());
        let fields = body["expand"].as_object().into_iter().flat_map(|expand| expand.keys());
        let is_expanded = |field: &String| records.iter().any(|record| record[field].is_object());
        self.expanded += u64::from(fields.filter(|field| is_expanded(field)).count() > 0);
    }
}

fn readable(rng: &mut Rng) -> World {
    loop {
        let world = World::random(rng);
        if world.objects.iter().any(|object| object.readable) {
            return world;
        }
    }
}

/// Status and body are the same. Records that no page cuts have no order of their own; sums of doubles depend in their last digits
/// on the order of rows.
fn same(expected: &Answer, got: &Answer, body: &Value) -> bool {
    expected.status == got.status && (expected.body == got.body || plain(expected, body) == plain(got, body))
}

fn plain(answer: &Answer, body: &Value) -> Value {
    let mut said = answer.json();
    let is_paged = body.get("limit").is_some() || body["offset"].as_u64().is_some_and(|offset| offset > 0);
    if let Some(records) = said["records"].as_array_mut() {
        records.iter_mut().for_each(round);
        if !is_paged {
            records.sort_by_key(Value::to_string);
        }
    }
    said
}

fn round(value: &mut Value) {
    match value {
        Value::Number(number) => *value = format!("{:.9e}", number.as_f64().unwrap_or_default() + 0.0).into(),
        Value::Array(items) => items.iter_mut().for_each(round),
        Value::Object(members) => members.values_mut().for_each(round),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Questions of a world that notice a gate which forgets a rule.
pub(crate) fn noticed(rng: &mut Rng, sabotage: Sabotage) -> usize {
    let world = readable(rng);
    let mut fixture = world.governed();
    sabotage.apply(&mut fixture.stack);
    let broken = Side::new(&fixture, Layout::Memory, &[&world.who]);
    let view = View::new(world, Layout::Memory);
    let values = values(&view.world, rng);
    let notices = |n: u64| {
        let mut own = Rng::part(rng.next(), n);
        let (object, body) =
            Questions { rng: &mut own, objects: &view.objects, forbidden: &view.forbidden, values: &values }.question();
        let login = &view.world.who.login;
        !same(&view.twin.ask(login, &object, &body), &broken.ask(login, &object, &body), &body)
    };
    (0..QUESTIONS).map(notices).filter(|noticed| *noticed).count()
}
