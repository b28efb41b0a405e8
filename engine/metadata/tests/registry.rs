//! Packages are installed and taken out as units; a failed reload keeps what was there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic and report"
)]

use querygate_metadata::load::{LoadOptions, load, load_text};
use querygate_metadata::{Registry, Reloaded, SnapshotCell, UninstallError};
use std::fs;
use std::sync::Arc;
use std::time::Instant;

const BASE: &str = "
manifest: { id: base, namespace: base, version: 1.0.0, type: app, name: Base }
positions: [{ name: chief }]
objects:
  - name: base_account
    imageField: name
    fields: { name: { type: text, maskingRule: name }, trade: { type: select, picklist: trades } }
picklists: [{ name: trades, label: Trades, options: [{ value: steel, label: Steel }] }]
";
const SALES: &str = "
manifest: { id: sales, namespace: sales, version: 2.0.0, type: plugin, name: Sales, dependencies: { base: ^1 } }
objects:
  - name: sales_deal
    fields: { account: { type: lookup, reference: base_account } }
objectExtensions:
  - { extend: base_account, label: Customer, fields: { stage: { type: text } } }
picklistExtensions: [{ extend: trades, options: [{ value: glass, label: Glass }] }]
permissions:
  - name: sales
    objects: { sales_deal: { allowRead: true }, base_account: { allowRead: true } }
    rowLevelSecurity: [{ name: own, object: sales_deal, operation: select, using: 'true', positions: [chief] }]
data: [{ object: sales_deal, records: [{ id: '1' }] }]
";

fn registry(text: &str) -> Registry {
    let snapshot = load_text("base.yaml", text, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    Registry::new(Arc::new(snapshot))
}

#[test]
fn installing_and_taking_out_gives_the_first_content_again() {
    let base = registry(BASE);
    let both = base.install("sales.yaml", SALES).unwrap_or_else(|error| panic!("{error}"));
    let account = both.snapshot().object("base_account").unwrap();
    assert_eq!((account.label.as_str(), account.extended_by.as_slice()), ("Customer", ["sales".to_owned()].as_slice()));
    assert!(account.field("stage").is_some());
    let options = |registry: &Registry| {
        let trade = registry.snapshot().object("base_account").unwrap().field("trade").unwrap().options.clone();
        trade.into_iter().map(|option| option.value).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((options(&base).as_str(), options(&both).as_str()), ("steel", "steel glass"));
    assert_eq!(both.tagged("plugin").collect::<Vec<_>>(), ["sales"]);
    assert_eq!(both.snapshot().referrers("base_account").len(), 1);

    let after = both.uninstall("sales").unwrap();
    assert_eq!(after.snapshot().content_hash, base.snapshot().content_hash);
    assert_eq!(after.snapshot().objects, base.snapshot().objects);
    assert_eq!((after.snapshot().version, options(&after).as_str()), (3, "steel"));
    assert!(after.snapshot().permission_set("sales").is_none() && after.snapshot().seed.is_empty());
    assert!(after.snapshot().referrers("base_account").is_empty());
}

#[test]
fn a_needed_package_stays() {
    let both = registry(BASE).install("sales.yaml", SALES).unwrap();
    assert_eq!(both.dependents("base").collect::<Vec<_>>(), [("sales", "depends on it")]);
    let error = both.uninstall("base").unwrap_err();
    assert_eq!(error.to_string(), "the package is needed: sales depends on it");
    assert_eq!(both.uninstall("nope").unwrap_err(), UninstallError::Unknown);
    for (text, reason) in [
        (
            "objectExtensions: [{ extend: base_account, fields: { x: { type: text } } }]",
            "extends its object 'base_account'",
        ),
        ("objects: [{ name: o, fields: { a: { type: lookup, reference: base_account } } }]", "references it in 'o.a'"),
        (
            "permissions: [{ name: s, objects: { base_account: { allowRead: true } } }]",
            "names its object 'base_account' in permission set 's'",
        ),
    ] {
        let text = format!("manifest: {{ id: p, version: 1.0.0, type: app, name: P }}\n{text}\n");
        let with = registry(BASE).install("p.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            with.uninstall("base").unwrap_err(),
            UninstallError::Needed(vec![("p".to_owned(), reason.to_owned())])
        );
        assert!(with.uninstall("p").is_ok());
    }
}

#[test]
fn picklists_are_named_once_and_known() {
    for (text, said) in [
        (
            "picklists: [{ name: trades, label: T, options: [{ value: wood, label: W }] }]",
            "picklist 'trades' is defined twice",
        ),
        ("picklistExtensions: [{ extend: trade, options: [{ value: wood, label: W }] }]", "unknown picklist 'trade'"),
        (
            "picklistExtensions: [{ extend: trades, options: [{ value: steel, label: S }] }]",
            "has the option 'steel' already",
        ),
        ("picklists: [{ name: empty, label: E }]", "options"),
        ("objects: [{ name: o, fields: { a: { type: select, picklist: trade } } }]", "unknown picklist 'trade'"),
        ("objects: [{ name: o, fields: { a: { type: text, picklist: trades } } }]", "a text field has no options"),
        (
            "objects: [{ name: o, fields: { a: { type: select, picklist: trades, options: [{ value: wood, label: W }] } } }]",
            "options of its own or those of a picklist",
        ),
        ("objects: [{ name: o, imageField: nope, fields: { a: { type: text } } }]", "has no field 'nope'"),
    ] {
        let text = format!("manifest: {{ id: p, version: 1.0.0, type: app, name: P }}\n{text}\n");
        let error = registry(BASE).install("p.yaml", &text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn what_is_taken_is_refused() {
    let base = registry(BASE);
    let check = |text: &str, message: &str| {
        let error = base.install("new.yaml", text).unwrap_err();
        assert_eq!(error.diagnostics[0].message, message, "{error}");
    };
    check("manifest: { id: base, version: 1.0.0, type: app, name: X }", "package 'base' is defined twice");
    check(
        "manifest: { id: y, namespace: base, version: 1.0.0, type: app, name: Y }",
        "namespace 'base' belongs to package 'base'",
    );
    check(
        "manifest: { id: y, version: 1.0.0, type: app, name: Y }\nobjects: [{ name: base_account, fields: {} }]",
        "object 'base_account' belongs to package 'base'",
    );
}

#[test]
fn hash_follows_content_not_layout() {
    let hash = |text: &str| registry(text).snapshot().content_hash.clone();
    assert_eq!(hash(BASE), hash(&format!("# a comment\n\n{BASE}")));
    assert_ne!(hash(BASE), hash(&BASE.replace("maskingRule: name", "maskingRule: phone")));
}

#[test]
fn folders_merge_and_reloads_are_all_or_nothing() {
    let folder = std::env::temp_dir().join(format!("querygate-metadata-{}", std::process::id()));
    fs::create_dir_all(folder.join("objects")).unwrap();
    fs::write(folder.join("app.yaml"), "manifest: { id: a, namespace: a, version: 1.0.0, type: app, name: A }\n")
        .unwrap();
    fs::write(
        folder.join("objects/x.json"),
        r#"{"objects": [{"name": "a_x", "fields": {"y": {"type": "lookup", "reference": "a_y"}}}]}"#,
    )
    .unwrap();
    fs::write(folder.join("objects/y.yaml"), "objects: [{ name: a_y, fields: {} }]\n").unwrap();
    fs::write(folder.join("a_y.ndjson"), "{\"id\":\"1\"}\n").unwrap();
    fs::write(folder.join("README.md"), "text").unwrap();
    let options = LoadOptions::default();
    let loaded = load(&folder, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.snapshot.objects.keys().collect::<Vec<_>>(), ["a_x", "a_y"]);
    assert_eq!(loaded.row_files[0].object, "a_y");
    assert_eq!(loaded.snapshot.object("a_y").unwrap().package, "a");

    let cell = SnapshotCell::new(loaded.snapshot);
    let held = cell.load();
    assert!(matches!(cell.reload(&folder, &options).unwrap(), Reloaded::Unchanged));
    fs::write(folder.join("objects/z.yaml"), "objects: [{ name: a_y, fields: {} }]\n").unwrap();
    let error = cell.reload(&folder, &options).unwrap_err();
    assert_eq!(error.diagnostics[0].message, "object 'a_y' is defined twice");
    assert!(error.diagnostics[0].location.file.ends_with("z.yaml"));
    assert!(error.diagnostics[0].hint.as_ref().unwrap().contains("y.yaml:1:19"));
    assert!(Arc::ptr_eq(&held, &cell.load()));
    fs::write(folder.join("objects/z.yaml"), "objects: [{ name: a_z, fields: {} }]\n").unwrap();
    let Reloaded::Replaced(new) = cell.reload(&folder, &options).unwrap() else { panic!() };
    assert_eq!((new.version, new.objects.len(), held.objects.len()), (2, 3, 2));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn errors_are_bounded() {
    let fields: Vec<String> = (0..500).map(|n| format!("      f{n}: {{ type: nope }}")).collect();
    let text = format!("objects:\n  - name: x\n    fields:\n{}\n", fields.join("\n"));
    let error = load_text("x.yaml", &text, &LoadOptions::default()).unwrap_err();
    assert_eq!((error.diagnostics.len(), error.unlisted), (100, 400));
}

#[test]
fn a_hundred_items_go_out_quickly() {
    let items: Vec<String> = (0..100)
        .map(|n| format!("  - {{ name: big_o{n}, fields: {{ a: {{ type: text }}, b: {{ type: lookup, reference: base_account }} }} }}"))
        .collect();
    let text = format!(
        "manifest: {{ id: big, namespace: big, version: 1.0.0, type: app, name: Big }}\nobjects:\n{}\n",
        items.join("\n")
    );
    let with = registry(BASE).install("big.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    let start = Instant::now();
    let after = with.uninstall("big").unwrap();
    eprintln!("uninstall of 100 objects: {:?} (unoptimized build)", start.elapsed());
    assert_eq!(after.snapshot().objects.len(), 1);
    let snapshot = Arc::clone(with.snapshot());
    let start = Instant::now();
    let found = (0..100_000).filter(|n| snapshot.object(["big_o7", "big_o93", "nope"][n % 3]).is_some()).count();
    eprintln!("look-up: {:?} each (unoptimized build)", start.elapsed() / 100_000);
    assert_eq!(found, 66_667);
}

#[test]
fn a_table_of_others_is_written_only_where_both_sides_say_so() {
    use querygate_metadata::model::WriteBarrier::{ObjectNotWritable, Platform, SourceReadOnly};
    for (mode, allows, external, barrier) in [
        ("external", "true", "external: { writable: true },", None),
        ("external", "false", "external: { writable: true },", Some(SourceReadOnly)),
        ("external", "true", "external: { writable: false },", Some(ObjectNotWritable)),
        ("external", "true", "external: {},", Some(ObjectNotWritable)),
        ("external", "true", "", Some(ObjectNotWritable)),
        ("validate-only", "true", "", Some(ObjectNotWritable)),
        ("managed", "false", "", None),
        // A mapped table is somebody else's, however its datasource is kept.
        ("managed", "false", "external: { writable: true },", Some(SourceReadOnly)),
        ("managed", "true", "external: { writable: true },", None),
    ] {
        let text = format!(
            "datasources: [{{ name: d, driver: sqlite, config: {{}}, schemaMode: {mode}, external: {{ allowWrites: {allows} }} }}]
objects:
  - {{ name: lead, datasource: d, {external} fields: {{ name: {{ type: text }} }} }}
  - {{ name: own, fields: {{ name: {{ type: text }} }} }}
  - {{ name: ai_memo, fields: {{ name: {{ type: text }} }} }}
"
        );
        let snapshot = load_text("d.yaml", &text, &LoadOptions::default()).unwrap();
        let found = |object: &str| snapshot.write_barrier(snapshot.object(object).unwrap());
        assert_eq!(found("lead"), barrier, "{mode} {allows} {external}");
        assert_eq!((found("own"), found("ai_memo")), (None, Some(Platform)));
    }
}
