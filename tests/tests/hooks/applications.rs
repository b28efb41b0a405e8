//! The hooks of the shared applications: each is compiled, none closes its object, and each does what its author wrote. The applications
//! lie outside this repository; where they are not, that is printed.

use querygate_hooks::{Call, Host, Sandbox};
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{HookEvent, Snapshot, TenancyPosture};
use querygate_policy::CompiledPolicy;
use querygate_policy::write::{WriteObstacle, WriteOperation};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

struct Alone;

impl Host for Alone {
    fn api(&self, request: &str) -> String {
        panic!("{request}")
    }

    fn uuid(&self) -> Option<String> {
        None
    }
}

fn application(name: &str) -> Option<Arc<Snapshot>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/objectstack");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).ok()?;
    let options = LoadOptions { posture: TenancyPosture::Single, ..LoadOptions::default() };
    Some(Arc::new(load_text(name, &text, &options).unwrap()))
}

/// What all hooks of an event leave of a record, and their lines.
fn run(policy: &CompiledPolicy, object: &str, event: HookEvent, held: &Value) -> (Value, Vec<String>) {
    let mut held: Map<String, Value> = held.as_object().unwrap().clone();
    held.insert("event".to_owned(), event.name().into());
    let hooks = policy.hooks(object, event);
    assert!(!hooks.is_empty(), "{object} {}", event.name());
    let (mut sandbox, mut lines) = (Sandbox::new(), Vec::new());
    for hook in hooks {
        let call = Call { held: held.clone(), now_ms: 1_773_576_000_000, seed: 0, host: Rc::new(Alone) };
        let report = sandbox.run(hook.hook().body.script().unwrap(), &call);
        lines.extend(report.log.into_iter().map(|line| line.text));
        held.insert("input".to_owned(), report.made.unwrap().input.into());
    }
    (held.remove("input").unwrap(), lines)
}

#[test]
fn hooks_of_shared_applications_run() {
    let mut count = 0;
    for name in ["app-crm", "app-showcase", "app-todo"] {
        let Some(snapshot) = application(name) else {
            eprintln!("NOTHING RUN: the shared applications are not in ../shared/data/objectstack");
            return;
        };
        count += snapshot.hooks.len();
        let policy = CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new());
        for object in snapshot.objects.keys() {
            for operation in [WriteOperation::Insert, WriteOperation::Update, WriteOperation::Delete] {
                let obstacles = policy.write_obstacles(object, operation);
                let hook = obstacles.iter().find(|obstacle| matches!(obstacle, WriteObstacle::Hook { .. }));
                assert!(hook.is_none(), "{name} {object}: {hook:?}");
            }
        }
        let cases: Vec<(&str, HookEvent, Value, Value, &[&str])> = match name {
            "app-crm" => vec![
                (
                    "crm_opportunity",
                    HookEvent::BeforeInsert,
                    json!({"input": {"stage": "closed_won"}}),
                    json!({"stage": "closed_won", "probability": 100}),
                    &[],
                ),
                (
                    "crm_opportunity",
                    HookEvent::BeforeUpdate,
                    json!({"input": {"stage": "closed_lost"}}),
                    json!({"stage": "closed_lost", "probability": 0}),
                    &[],
                ),
            ],
            "app-showcase" => vec![
                (
                    "showcase_task",
                    HookEvent::BeforeUpdate,
                    json!({"input": {"title": " a "}}),
                    json!({"title": "a"}),
                    &[],
                ),
                (
                    "showcase_inquiry",
                    HookEvent::BeforeInsert,
                    json!({"input": {}}),
                    json!({"status": "new", "source": "web"}),
                    &[],
                ),
                (
                    "showcase_task",
                    HookEvent::AfterUpdate,
                    json!({"input": {}, "result": {"title": "a"}}),
                    json!({}),
                    &["task completed: a"],
                ),
                (
                    "showcase_project",
                    HookEvent::AfterUpdate,
                    json!({"input": {}, "result": {"name": "p", "spent": 2, "budget": 1}}),
                    json!({}),
                    &["project over budget: p (2 / 1)"],
                ),
            ],
            // It looks for what a payload never has, as the vendor's runtime gives it.
            _ => vec![(
                "todo_task",
                HookEvent::BeforeInsert,
                json!({"input": {"subject": "spam"}}),
                json!({"subject": "spam"}),
                &[],
            )],
        };
        for (object, event, held, expected, expected_lines) in cases {
            let (input, lines) = run(&policy, object, event, &held);
            assert_eq!(
                (input, lines.iter().map(String::as_str).collect::<Vec<_>>()),
                (expected, expected_lines.to_vec())
            );
        }
    }
    assert_eq!(count, 6);
}
