//! A small team for the tests of this crate: people, their notes (controlled by them) and their pay, in memory, with a
//! chief who sees everything and a clerk with a row policy, a mask and a hidden field. Knows no source.

use crate::arrow_types::object_schema;
use crate::catalog::CatalogBuilder;
use crate::deployment::{Deployment, SourceTable};
use crate::principal::{VisibleObject, visible_objects};
use crate::rights::PrincipalRights;
use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::{Facts, TenancyPosture};
use querygate_policy::{CompiledPolicy, resolve_principal};
use querygate_types::principal::Principal;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) mod expressions;

type Rows = &'static [&'static [(&'static str, &'static str)]];

const PEOPLE: Rows = &[
    &[("id", "p1"), ("name", "Ann"), ("phone", "5551771"), ("grade", "3"), ("zone", "n")],
    &[("id", "p2"), ("name", "Bob"), ("grade", "4"), ("zone", "n")],
    &[("id", "p3"), ("name", "Cid"), ("phone", "5553993"), ("grade", "9"), ("zone", "s")],
];
const NOTES: Rows = &[
    &[("id", "n1"), ("person", "p1"), ("words", "good")],
    &[("id", "n3"), ("person", "p3"), ("words", "hidden")],
    &[("id", "n9"), ("words", "of nobody")],
];
const PAY: Rows = &[&[("id", "y1"), ("person", "p1")]];

/// The stack definition.
pub(crate) fn stack() -> Value {
    let object = |name: &str, sharing: &str, fields: Value| {
        json!({"name": name, "label": name, "sharingModel": sharing, "ownership": "none", "tenancy": {"enabled": false},
               "systemFields": {"audit": false}, "fields": fields})
    };
    let formula = json!({"type": "formula", "label": "f", "expression": {"dialect": "cel", "source": "record.name + '!'"}, "returnType": "text"});
    let of_masked = json!({"type": "formula", "label": "f", "expression": {"dialect": "cel", "source": "'<' + record.phone + '>'"}, "returnType": "text"});
    let people = json!({
        "name": {"type": "text", "label": "Name"}, "grade": {"type": "rating", "label": "Grade"},
        "phone": {"type": "phone", "label": "Phone", "maskingRule": {"keepHead": 0, "keepTail": 2}, "requiredPermissions": ["team.see"]},
        "zone": {"type": "text", "label": "Zone"}, "loud": formula, "shown": of_masked,
    });
    let notes = json!({
        "person": {"type": "master_detail", "label": "Person", "reference": "team_people"},
        "words": {"type": "text", "label": "Words"},
    });
    let reads = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"allowRead": true})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "manifest": {"id": "test.team", "namespace": "team", "version": "1.0.0", "type": "app", "name": "Team", "engines": {"protocol": "^17"}},
        "capabilities": [{"name": "team.see", "label": "See", "scope": "org"}],
        "objects": [
            object("team_people", "public_read_write", people),
            object("team_notes", "controlled_by_parent", notes),
            object("team_pay", "public_read_write", json!({"person": {"type": "text", "label": "Person"}})),
        ],
        "permissions": [
            {"name": "chief", "label": "Chief", "systemPermissions": ["team.see"], "objects": reads(&["team_people", "team_notes", "team_pay"])},
            {"name": "clerk", "label": "Clerk", "objects": reads(&["team_people", "team_notes"]),
             "fields": {"team_people.zone": {"readable": false}},
             "rowLevelSecurity": [{"name": "north", "object": "team_people", "operation": "select", "using": "zone == 'n'"}]},
        ],
    })
}

/// A deployment of a stack definition, with the rows of the objects that it has.
pub(crate) fn deployed(stack: &Value, version: u64) -> Arc<Deployment> {
    let options = LoadOptions { posture: TenancyPosture::Single, ..LoadOptions::default() };
    let mut snapshot = load_text("stack.json", &stack.to_string(), &options).unwrap();
    snapshot.version = version;
    let snapshot = Arc::new(snapshot);
    let mut tables = HashMap::new();
    for (object, rows) in [("team_people", PEOPLE), ("team_notes", NOTES), ("team_pay", PAY)] {
        if let Some(declared) = snapshot.object(object) {
            let batch = batch(&object_schema(declared), rows);
            let provider = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap());
            tables.insert(object.to_owned(), SourceTable::new("near", provider));
        }
    }
    Arc::new(Deployment {
        version,
        database: "team".to_owned(),
        policies: Arc::new(CompiledPolicy::compile(Arc::clone(&snapshot), Vec::new())),
        snapshot,
        facts: Arc::new(Facts::default()),
        tables,
        views: Vec::new(),
        sources: Vec::new(),
        schema_events: Vec::new(),
        refuse_masked_predicates: false,
        deny_hidden_columns: false,
    })
}

fn batch(schema: &arrow::datatypes::SchemaRef, rows: Rows) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| {
        let cells = rows.iter().map(|row| row.iter().find(|(name, _)| name == field.name()).map(|(_, cell)| *cell));
        match field.data_type() {
            DataType::Int32 => Arc::new(cells.map(|cell| cell?.parse().ok()).collect::<Int32Array>()) as ArrayRef,
            _ => Arc::new(cells.collect::<StringArray>()) as ArrayRef,
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

pub(crate) fn principal(permission_set: &str) -> Principal {
    Principal::builder(permission_set).permission_set(permission_set).build()
}

/// What a principal sees of a deployment.
pub(crate) fn visible(deployment: &Deployment, permission_set: &str) -> Vec<VisibleObject> {
    let resolved = resolve_principal(principal(permission_set), &deployment.policies, &deployment.facts, 0);
    visible_objects(deployment, &resolved, 0)
}

/// A principal's catalog, as far as its names.
pub(crate) fn builder(deployment: &Arc<Deployment>, permission_set: &str) -> CatalogBuilder {
    let rights = PrincipalRights::of(deployment, &Arc::new(principal(permission_set)), 0);
    CatalogBuilder::new(Arc::new(rights), |_| Vec::new(), 0)
}

/// The rows of a statement over tables, cells parted by bars.
pub(crate) async fn rows(tables: &[VisibleObject], sql: &str) -> Vec<String> {
    let context = SessionContext::new();
    for visible in tables {
        context
            .register_table(visible.sql_name.as_str(), Arc::clone(&visible.table) as Arc<dyn TableProvider>)
            .unwrap();
    }
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let cell = |column: &ArrayRef, row: usize| match column.data_type() {
        _ if column.is_null(row) => "NULL".to_owned(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<arrow::datatypes::Int64Type>().value(row).to_string(),
        DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    };
    let line = |batch: &RecordBatch, row: usize| {
        batch.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>().join("|")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| line(batch, row))).collect()
}
