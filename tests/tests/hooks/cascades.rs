//! Hooks of rows that go with others, which add rows that refer to what goes: nothing is left that refers to no record.

use super::gate::{Gate, refusal};
use querygate_tests::server::change;

const STACK: &str = r#"
manifest: { id: com.example.kin, namespace: kin, version: 1.0.0, type: app, name: Kin, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - { name: kin_roots, label: R, datasource: shop, external: { remoteName: roots, writable: true }, sharingModel: public_read_write,
      access: { default: private }, systemFields: false, fields: { id: { type: text, required: true } } }
  - { name: kin_twigs, label: T, datasource: shop, external: { remoteName: twigs, writable: true }, sharingModel: public_read_write,
      access: { default: private }, systemFields: false, fields: { id: { type: text, required: true }, kind: { type: text },
      root: { type: lookup, reference: kin_roots, deleteBehavior: cascade } } }
  - { name: kin_leaves, label: L, datasource: shop, external: { remoteName: leaves, writable: true }, sharingModel: public_read_write,
      access: { default: private }, systemFields: false, fields: { id: { type: text, required: true },
      twig: { type: lookup, reference: kin_twigs, deleteBehavior: cascade } } }
hooks:
  - { name: another, object: kin_twigs, events: [beforeDelete], condition: "previous.kind == 'again'",
      body: { language: js, source: "await ctx.api.object('kin_twigs').insert({ id: 'new', root: ctx.previous.root })", capabilities: [api.write] } }
  - { name: later, object: kin_twigs, events: [afterDelete], condition: "previous.kind == 'later'",
      body: { language: js, source: "await ctx.api.object('kin_twigs').insert({ id: 'new', root: ctx.previous.root })", capabilities: [api.write] } }
  - { name: leaf, object: kin_twigs, events: [beforeDelete], condition: "previous.kind == 'leaf'",
      body: { language: js, source: "await ctx.api.object('kin_leaves').insert({ id: 'new', twig: ctx.previous.id })", capabilities: [api.write] } }
  - { name: apart, object: kin_twigs, events: [beforeDelete], condition: "previous.kind == 'apart'",
      body: { language: js, source: "await ctx.api.object('kin_twigs').insert({ id: 'apart', kind: 'kept' })", capabilities: [api.write] } }
permissions:
  - { name: kin_all, label: A, objects: { '*': { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true,
      viewAllRecords: true, modifyAllRecords: true } } }
"#;
const ROWS: &str = "CREATE TABLE roots(id TEXT PRIMARY KEY NOT NULL); CREATE TABLE twigs(id TEXT PRIMARY KEY NOT NULL, kind TEXT, root TEXT);
CREATE TABLE leaves(id TEXT PRIMARY KEY NOT NULL, twig TEXT);
INSERT INTO roots VALUES ('again'), ('later'), ('leaf'), ('apart'), ('plain');
INSERT INTO twigs VALUES ('t1', 'again', 'again'), ('t2', 'later', 'later'), ('t3', 'leaf', 'leaf'), ('t4', 'apart', 'apart'), ('t5', NULL, 'plain');
INSERT INTO leaves VALUES ('l5', 't5');";

#[test]
fn a_hook_of_what_goes_adds_nothing_that_refers_to_it() {
    let gate = Gate::over(STACK, ROWS, None, [("nora", "kin_all"), ("omar", "kin_all")]);
    let nora = gate.client("nora");
    let stored = || {
        let all = "SELECT id FROM roots UNION ALL SELECT id || coalesce(root, '') FROM twigs UNION ALL SELECT id || twig FROM leaves";
        gate.stored(&format!("{all} ORDER BY 1"))
    };
    let before = stored();
    for root in ["again", "later", "leaf"] {
        let refused = refusal(&nora, &format!("DELETE FROM roots WHERE id = '{root}'"));
        assert_eq!(refused, ("23503".to_owned(), "a row is still referenced by others".to_owned()), "{root}");
        assert_eq!(stored(), before, "{root}");
    }
    // What refers to nothing that goes is stored, and so is nothing that has no such hook.
    assert_eq!(change(&nora, "DELETE FROM roots WHERE id IN ('apart', 'plain')"), Ok(2));
    assert_eq!(stored(), ["again", "apart", "later", "leaf", "t1again", "t2later", "t3leaf"]);
}

const TOTALS: &str = r#"
manifest: { id: com.example.sum, namespace: sum, version: 1.0.0, type: app, name: Sum, engines: { protocol: "^17" } }
datasources:
  - { name: shop, driver: sqlite, config: {}, schemaMode: external, external: { allowWrites: true } }
objects:
  - { name: sum_bills, label: B, datasource: shop, external: { remoteName: bills, writable: true }, sharingModel: public_read_write,
      access: { default: private }, systemFields: false, fields: { id: { type: text, required: true },
      code: { type: text, unique: global },
      lines: { type: summary, summaryOperations: { object: sum_lines, relationshipField: bill, function: count } } } }
  - { name: sum_lines, label: L, datasource: shop, external: { remoteName: lines, writable: true }, sharingModel: public_read_write,
      access: { default: private }, systemFields: false, fields: { id: { type: text, required: true },
      bill: { type: lookup, reference: sum_bills } } }
hooks:
  - { name: coded, object: sum_bills, events: [beforeUpdate],
      body: { language: js, source: "ctx.input.code = 'full'" } }
permissions:
  - { name: sum_all, label: A, objects: { '*': { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true,
      viewAllRecords: true, modifyAllRecords: true } } }
"#;
const BILLS: &str = "CREATE TABLE bills(id TEXT PRIMARY KEY NOT NULL, code TEXT, lines REAL);
CREATE TABLE lines(id TEXT PRIMARY KEY NOT NULL, bill TEXT); INSERT INTO bills VALUES ('b1', 'one', 0), ('b2', 'two', 0);";

/// The source has no index that would keep two bills from having one code.
#[test]
fn a_unique_value_that_a_masters_hook_sets_is_stored_once() {
    let gate = Gate::over(TOTALS, BILLS, None, [("nora", "sum_all"), ("omar", "sum_all")]);
    let nora = gate.client("nora");
    let stored = || gate.stored("SELECT concat_ws('|', id, code, CAST(lines AS int)) FROM bills ORDER BY id");
    assert_eq!(change(&nora, "INSERT INTO lines (id, bill) VALUES ('l1', 'b1')"), Ok(1));
    assert_eq!(stored(), ["b1|full|1", "b2|two|0"]);
    for sql in [
        "INSERT INTO lines (id, bill) VALUES ('l2', 'b2')",
        "UPDATE lines SET bill = 'b2' WHERE id = 'l1'",
        "INSERT INTO lines (id, bill) VALUES ('l2', 'b1'), ('l3', 'b2')",
    ] {
        let (code, text) = refusal(&nora, sql);
        assert!(code == "23505" && !text.contains("code") && !text.contains("full"), "{sql}: {code} {text}");
        assert_eq!(stored(), ["b1|full|1", "b2|two|0"], "{sql}");
    }
    assert_eq!(change(&nora, "INSERT INTO lines (id, bill) VALUES ('l2', 'b1')"), Ok(1));
    assert_eq!(stored(), ["b1|full|2", "b2|two|0"]);
}
