//! The four example applications load without an error, with the counts their own files have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic and report"
)]

use querygate_metadata::Summary;
use querygate_metadata::load::{LoadOptions, Loaded, load, permission_sets_from_rows};
use querygate_metadata::model::{Facts, FieldType, RowOperation, SharingModel};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn shared(file: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("QUERYGATE_SHARED").map_or(root, PathBuf::from);
    let path = root.join("data/objectstack").join(file);
    if !path.exists() {
        assert!(std::env::var_os("QUERYGATE_SHARED").is_none(), "QUERYGATE_SHARED has no {file}");
        eprintln!("SKIPPED: shared data {file} absent");
        return None;
    }
    Some(path)
}

fn app(file: &str) -> Option<Loaded> {
    let loaded = load(&shared(file)?, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{file}\n{}", Summary::of(&loaded.snapshot));
    for warning in &loaded.snapshot.warnings {
        eprintln!("{warning}");
    }
    Some(loaded)
}

/// Objects and declared fields counted in the raw file.
fn raw_counts(file: &str) -> Option<(usize, usize)> {
    let text = std::fs::read_to_string(shared(file)?).unwrap();
    let stack: Value = serde_json::from_str(&text).unwrap();
    let objects = stack["objects"].as_array().unwrap();
    let fields = |value: &Value| value["fields"].as_object().map_or(0, serde_json::Map::len);
    let extended: usize = stack["objectExtensions"].as_array().map_or(0, |all| all.iter().map(fields).sum());
    Some((objects.len(), objects.iter().map(fields).sum::<usize>() + extended))
}

#[test]
fn every_app_loads_with_its_own_counts() {
    for (file, expected) in [
        ("app-crm.json", Some((6, 49))),
        ("app-todo.json", Some((1, 18))),
        ("app-showcase.json", None),
        ("hotcrm.json", Some((65, 1643))),
    ] {
        let (Some(loaded), Some(raw)) = (app(file), raw_counts(file)) else { continue };
        let summary = Summary::of(&loaded.snapshot);
        assert_eq!((summary.objects, summary.declared_fields), raw, "{file}");
        // No key of the vendor's is taken for a slip.
        let slips = loaded.snapshot.warnings.iter().filter(|warning| warning.message.ends_with("is not read"));
        assert_eq!(slips.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new(), "{file}");
        if let Some(expected) = expected {
            assert_eq!(raw, expected, "{file}");
        }
    }
}

#[test]
fn showcase_columns_stand_in_the_order_of_the_stored_rows() {
    let (Some(loaded), Some(path)) = (app("app-showcase.json"), shared("oracle-showcase.json")) else { return };
    let oracle: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut compared = 0;
    for (name, rows) in oracle["rows"].as_object().unwrap() {
        let Some(row) = rows.as_array().and_then(|rows| rows.first()).and_then(Value::as_object) else { continue };
        let object = loaded.snapshot.object(name).unwrap();
        // Formulas have no column: the vendor appends them when it reads.
        let names =
            |stored: bool| object.fields.values().filter(move |f| f.stored() == stored).map(|f| f.name.as_str());
        let ours: Vec<&str> = names(true).chain(names(false)).collect();
        let theirs: Vec<&str> = row.keys().map(String::as_str).collect();
        assert_eq!(ours, theirs, "{name}");
        compared += 1;
    }
    assert!(compared >= 19, "{compared}");
}

#[test]
fn showcase_protection_is_read() {
    let Some(loaded) = app("app-showcase.json") else { return };
    let snapshot = &loaded.snapshot;
    let zoo = snapshot.object("showcase_field_zoo").unwrap();
    let kinds: BTreeSet<FieldType> = zoo.fields.values().map(|field| field.field_type).collect();
    assert!(kinds.len() >= 45, "{}", kinds.len());
    assert_eq!(snapshot.object("showcase_private_note").unwrap().sharing_model, SharingModel::Private);
    let line = snapshot.object("showcase_invoice_line").unwrap();
    assert_eq!(line.sharing_model, SharingModel::ControlledByParent);
    assert_eq!(line.master_detail().unwrap().name, "invoice");
    let set = snapshot.permission_set("showcase_contributor").unwrap();
    assert_eq!(set.row_level_security.len(), 3);
    assert_eq!(set.row_level_security[2].operation, RowOperation::Update);
    assert!(!set.field("showcase_project", "budget").unwrap().editable);
    let external = snapshot.object("showcase_ext_customer").unwrap();
    assert_eq!((external.datasource.as_str(), external.table_name()), ("showcase_external", "customers"));
    assert!(external.owner_field().is_none() && external.field("owner_id").unwrap().phantom);
    let defaults: Vec<&str> = snapshot.default_sets().collect();
    assert_eq!(defaults, ["member_default", "showcase_member_default"]);
    let seed = snapshot.seed_facts().unwrap();
    assert_eq!(seed.business_units.len(), 5);
}

#[test]
fn the_platforms_sets_are_those_the_vendor_stores() {
    let (Some(loaded), Some(path)) = (app("app-showcase.json"), shared("oracle-showcase.json")) else { return };
    let oracle: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows: Vec<_> =
        oracle["system"]["sys_permission_set"].as_array().unwrap().iter().map(|row| row.as_object().unwrap()).collect();
    let stored = permission_sets_from_rows(rows).unwrap();
    assert_eq!(stored.len(), 17);
    for theirs in stored {
        let ours = loaded.snapshot.permission_set(&theirs.name).unwrap();
        assert_eq!(ours.label, theirs.label, "{}", theirs.name);
        let bits = |set: &querygate_metadata::model::PermissionSet| {
            set.objects
                .iter()
                .map(|(name, bits)| (name.clone(), bits.clone()))
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        assert_eq!(bits(ours), bits(&theirs), "{}", theirs.name);
        let policies = |set: &querygate_metadata::model::PermissionSet| {
            let text = |e: &Option<querygate_metadata::model::Expression>| e.as_ref().map(|e| e.source.clone());
            let all = set.row_level_security.iter();
            all.map(|p| {
                (
                    p.name.clone(),
                    p.object.clone(),
                    format!("{:?}", p.operation),
                    text(&p.using),
                    text(&p.check),
                    p.positions.clone(),
                )
            })
            .collect::<BTreeSet<_>>()
        };
        assert_eq!(policies(ours), policies(&theirs), "{}", theirs.name);
        assert_eq!(
            ours.system_permissions.iter().collect::<BTreeSet<_>>(),
            theirs.system_permissions.iter().collect::<BTreeSet<_>>(),
            "{}",
            theirs.name
        );
    }
}

#[test]
fn facts_are_read_from_the_vendors_rows() {
    let Some(path) = shared("oracle-showcase.json") else { return };
    let oracle: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let system = oracle["system"].as_object().unwrap();
    let rows = system.iter().flat_map(|(object, rows)| {
        rows.as_array().unwrap().iter().map(move |row| (object.as_str(), row.as_object().unwrap()))
    });
    let facts = Facts::from_rows(rows).unwrap();
    assert_eq!(facts.users.len(), 12);
    assert_eq!(facts.position_sets["contributor"], ["showcase_contributor"]);
    assert_eq!(facts.shares["showcase_inquiry"].len(), 1);
    assert_eq!(facts.unit_members["bu_field_ops"].len(), 1);
    assert_eq!(facts.user_sets.values().flatten().next().unwrap().permission_set, "admin_full_access");
}
