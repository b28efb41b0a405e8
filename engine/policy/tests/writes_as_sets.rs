//! The set form of write verdicts equals the verdict on each record, over random worlds. `QUERYGATE_SEED` and
//! `QUERYGATE_WORLDS` choose others; a world that fails is made smaller and printed with its seed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests panic and report")]

mod sets;
mod stacks;
mod support;
mod worlds;

use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::Facts;
use querygate_policy::write::{Change, RefusalCode};
use querygate_policy::{CompiledPolicy, Evaluator, resolve_principal};
use querygate_types::principal::Principal;
use serde_json::{Map, Value, json};
use sets::{Outcome, outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::Rows;
use worlds::{Dice, OBJECTS, World, payload, world};

/// 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;
/// Payloads for each insert and each record.
const PAYLOADS: usize = 3;
/// Worlds that are tried unless told otherwise.
const WORLDS: u64 = 200;

/// How often each kind of write ended how.
type Tally = BTreeMap<(&'static str, Outcome), usize>;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// What differs in a world; the payloads come from `dice`.
fn differences(world: &World, mut dice: Dice, tally: &mut Tally) -> Vec<String> {
    let options = LoadOptions { posture: world.posture, ..LoadOptions::default() };
    // A smaller world may not load; then it shows nothing.
    let Ok(snapshot) = load_text("stack.json", &world.stack.to_string(), &options) else { return Vec::new() };
    let policy = CompiledPolicy::compile(Arc::new(snapshot), Vec::new());
    let facts = world.facts.iter().map(|(object, row)| (object.as_str(), row.as_object().unwrap()));
    let facts = Facts::from_rows(facts).unwrap();
    let builder = world.sets.iter().fold(Principal::builder("ada"), |builder, set| builder.permission_set(set));
    let builder = world.organization.iter().fold(builder, |builder, id| builder.organization(id));
    let principal = resolve_principal(builder.build(), &policy, &facts, NOW_MS);
    let evaluator = Evaluator { policy: &policy, principal: &principal, facts: &facts, now_ms: NOW_MS };
    let records = |rows: &Value| rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
    let rows = Rows(world.rows.iter().map(|(object, rows)| (object.clone(), records(rows))).collect());
    let mut found = Vec::new();
    for object in OBJECTS {
        let defaults = evaluator.fixed_defaults(object);
        let mut judge = |kind: &'static str, change: &Change<'_>| {
            found.extend(difference(&evaluator, object, kind, change, &defaults, &rows, tally));
        };
        for _ in 0..2 * PAYLOADS {
            let payload = payload(&mut dice, object, 50);
            let image = evaluator.insert_image(object, &payload, &defaults);
            judge("insert", &Change::Insert { payload: &payload, image: &image });
        }
        for before in rows.0.get(object).into_iter().flatten() {
            for _ in 0..PAYLOADS {
                let patch = payload(&mut dice, object, 25);
                judge("update", &Change::Update { before, patch: &patch });
            }
            judge("delete", &Change::Delete { before });
        }
    }
    found
}

fn difference(
    evaluator: &Evaluator<'_>,
    object: &str,
    kind: &'static str,
    change: &Change<'_>,
    defaults: &Map<String, Value>,
    rows: &Rows,
    tally: &mut Tally,
) -> Option<String> {
    let single = evaluator.decide_write(object, change, rows);
    let as_sets = outcome(evaluator, object, change, defaults, rows);
    *tally.entry((kind, as_sets)).or_default() += 1;
    let agrees = match &single {
        Ok(()) => as_sets == Outcome::Passes,
        // Payloads are judged before records, except that fields that are none are told last.
        Err(refusal) => match refusal.code {
            RefusalCode::InvalidField | RefusalCode::ComputedField | RefusalCode::ValidationError => {
                as_sets == Outcome::PayloadRefused
            }
            RefusalCode::ApiDisabled | RefusalCode::ApiMethodNotAllowed | RefusalCode::NotSupported => {
                as_sets == Outcome::Denied
            }
            RefusalCode::Forbidden | RefusalCode::PermissionDenied => as_sets != Outcome::Passes,
            RefusalCode::ExternalWriteForbidden | RefusalCode::DeleteRestricted => {
                matches!(as_sets, Outcome::Denied | Outcome::CascadeRefused)
            }
        },
    };
    (!agrees).then(|| format!("{object} {change:?}: the record {single:?}, as sets {as_sets:?}"))
}

/// The world with fewer parts that still differs.
fn smaller(mut world: World, dice: &Dice) -> World {
    let differs = |world: &World| !differences(world, dice.clone(), &mut Tally::new()).is_empty();
    loop {
        let before = world.clone();
        for candidate in without_one_part(&world) {
            if differs(&candidate) {
                world = candidate;
                break;
            }
        }
        if world.stack == before.stack && world.facts == before.facts && world.sets == before.sets {
            return world;
        }
    }
}

fn without_one_part(world: &World) -> Vec<World> {
    let mut candidates = Vec::new();
    let mut without = |pointer: &str| {
        for at in 0..world.stack.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len) {
            let mut less = world.clone();
            less.stack.pointer_mut(pointer).unwrap().as_array_mut().unwrap().remove(at);
            candidates.push(less);
        }
    };
    without("/sharingRules");
    (0..3).for_each(|set| without(&format!("/permissions/{set}/rowLevelSecurity")));
    for at in 0..world.facts.len() {
        let mut less = world.clone();
        less.facts.remove(at);
        candidates.push(less);
    }
    for at in 0..world.sets.len() {
        let mut less = world.clone();
        less.sets.remove(at);
        candidates.push(less);
    }
    for pointer in ["/permissions/0", "/permissions/1", "/permissions/2"] {
        for (part, empty) in [("fields", Value::Object(Map::new())), ("systemPermissions", Value::Array(Vec::new()))] {
            let mut less = world.clone();
            if less.stack.pointer(pointer).is_some_and(|set| set[part] != empty) {
                less.stack.pointer_mut(pointer).unwrap()[part] = empty;
                candidates.push(less);
            }
        }
    }
    candidates
}

#[test]
fn sets_of_records_are_judged_as_each_record() {
    let (first, count) = (number("QUERYGATE_SEED", 1), number("QUERYGATE_WORLDS", WORLDS));
    let mut tally = Tally::new();
    for seed in first..first + count {
        let mut dice = Dice(seed);
        let world = world(&mut dice);
        let loaded = load_text(
            "stack.json",
            &world.stack.to_string(),
            &LoadOptions { posture: world.posture, ..LoadOptions::default() },
        );
        assert!(loaded.is_ok(), "seed {seed}: {}", loaded.unwrap_err());
        if !differences(&world, dice.clone(), &mut tally).is_empty() {
            let small = smaller(world, &dice);
            let found = differences(&small, dice, &mut Tally::new());
            panic!(
                "seed {seed}: {} differ, the first: {}\nin {}\nrows {}\nfacts {:?}\nada of {:?} holds {:?}, {:?}",
                found.len(),
                found[0],
                small.stack,
                Value::Object(small.rows),
                small.facts,
                small.organization,
                small.sets,
                small.posture
            );
        }
    }
    for ((kind, outcome), times) in &tally {
        println!("{kind} {outcome:?}: {times}");
    }
    if count < WORLDS {
        return;
    }
    // Each part of the set form decides often enough that a mistake in it would show.
    for kind in ["insert", "update", "delete"] {
        for outcome in [Outcome::Passes, Outcome::Denied, Outcome::PayloadRefused, Outcome::FailsCheck] {
            let payload = matches!(outcome, Outcome::PayloadRefused | Outcome::FailsCheck);
            let times = tally.get(&(kind, outcome)).copied().unwrap_or_default();
            assert!(times > 200 || (kind == "delete" && payload), "{kind} {outcome:?}: {times}");
        }
    }
    for (kind, outcome) in
        [("update", Outcome::OutsideTarget), ("delete", Outcome::OutsideTarget), ("delete", Outcome::CascadeRefused)]
    {
        let times = tally.get(&(kind, outcome)).copied().unwrap_or_default();
        assert!(times > 100, "{kind} {outcome:?}: {times}");
    }
}

/// Both forms of one write by a user who holds one set with every right.
fn judged(stack: &Value, user: &str, rows: &Value, object: &str, operation: &str) -> (bool, Outcome) {
    let policy = CompiledPolicy::compile(support::snapshot(stack), Vec::new());
    let facts = Facts::default();
    let principal = resolve_principal(Principal::builder(user).permission_set("s1").build(), &policy, &facts, NOW_MS);
    let evaluator = Evaluator { policy: &policy, principal: &principal, facts: &facts, now_ms: NOW_MS };
    let of = |rows: &Value| rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
    let rows = Rows(rows.as_object().unwrap().iter().map(|(object, rows)| (object.clone(), of(rows))).collect());
    let (before, nothing) = (&rows.0[object][0], Map::new());
    let change = match operation {
        "insert" => Change::Insert { payload: before, image: before },
        "update" => Change::Update { before, patch: &nothing },
        _ => Change::Delete { before },
    };
    let single = evaluator.decide_write(object, &change, &rows).is_ok();
    (single, outcome(&evaluator, object, &change, &Map::new(), &rows))
}

#[test]
fn chains_of_masters_end_at_one_length_in_both_forms() {
    for masters in 0..13 {
        let object = |n: usize| {
            let mut object = json!({"name": format!("t_{n}"), "label": "T", "sharingModel": "public_read_write",
                "fields": {"title": {"type": "text", "label": "T"}}});
            if n > 0 {
                object["sharingModel"] = json!("controlled_by_parent");
                object["fields"]["parent"] =
                    json!({"type": "master_detail", "label": "P", "reference": format!("t_{}", n - 1)});
            }
            object
        };
        let mut stack = stacks::stack(json!([stacks::set("s1", json!({"objects": {"*": stacks::all()}}))]), json!([]));
        stack["objects"] = (0..=masters).map(object).collect();
        let rows: Map<String, Value> =
            (0..=masters).map(|n| (format!("t_{n}"), json!([{"id": "a", "parent": "a"}]))).collect();
        // Deleting the last object's record: nothing refers to it.
        let (single, as_sets) = judged(&stack, "ada", &rows.into(), &format!("t_{masters}"), "delete");
        assert_eq!((single, as_sets == Outcome::Passes), (masters < 10, masters < 10), "{masters} {as_sets:?}");
    }
}

#[test]
fn owners_and_masters_are_compared_as_their_columns_hold_them() {
    let fields = json!({
        "owner_id": {"type": "number", "label": "O", "precision": 18, "scale": 0},
        "title": {"type": "text", "label": "T"},
    });
    let mut stack = stacks::stack(json!([stacks::set("s1", json!({"objects": {"*": stacks::all()}}))]), json!([]));
    stack["objects"] = json!([{"name": "t_own", "label": "T", "sharingModel": "private", "fields": fields}]);
    stack["querygate"] = json!({"tables": {"t_own": {"columnTypes": {"owner_id": "bigint"}}}});
    for (user, owner, passes) in [("42", json!(42), true), ("42", json!(43), false), ("042", json!(42), false)] {
        let rows = json!({"t_own": [{"owner_id": owner, "title": "x"}]});
        for operation in ["insert", "update", "delete"] {
            let (single, as_sets) = judged(&stack, user, &rows, "t_own", operation);
            assert_eq!(
                (single, as_sets == Outcome::Passes),
                (passes, passes),
                "{user} {owner} {operation} {as_sets:?}"
            );
        }
    }
}
