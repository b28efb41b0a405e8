//! The company of `policy/company.json`: an analyst who sees the northern employees without two columns and with three
//! masked ones, and not the payroll; an administrator who sees everything. `hX9` stands only in what the analyst must
//! not see.

use super::gate::{Client, Fixture, TestGate};
use super::layout::Layout;
use arrow::datatypes::{DataType, Field, Schema};
use querygate_types::principal::Principal;
use serde_json::Value;
use std::sync::Arc;

/// The company over one layout.
#[derive(Debug)]
pub struct Company {
    pub gate: TestGate,
}

impl Company {
    /// Text of the rows, columns and objects that the analyst must not see.
    pub const SENTINEL: &'static str = "hX9";

    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { gate: TestGate::new(&Self::fixture(), layout) }
    }

    /// Metadata and rows.
    #[must_use]
    pub fn fixture() -> Fixture {
        let company: Value = serde_json::from_str(include_str!("../../policy/company.json")).unwrap();
        let mut fixture = Fixture::new(company["stack"].clone(), Vec::new());
        let snapshot = fixture.snapshot();
        let rows = company["rows"].as_object().unwrap();
        fixture.tables = rows.iter().map(|(object, rows)| Fixture::declared(&snapshot, object, rows)).collect();
        fixture
    }

    /// What the analyst sees, physically: an open fixture without hidden rows, columns and objects, masks written out.
    #[must_use]
    pub fn reduced() -> Fixture {
        let mut fixture = Self::fixture();
        fixture.tables.retain(|table| table.object != "hr_payroll");
        for table in &mut fixture.tables {
            let northern = |row: &super::Row| {
                ["e1", "e2", "e3"].iter().any(|id| row["id"] == *id || row.get("employee") == Some(&Value::from(*id)))
            };
            table.rows.retain(northern);
            let hidden = |name: &str| matches!(name, "zone_code" | "secret_code");
            let masked = |name: &str| matches!(name, "phone" | "email" | "pin");
            let fields = table.schema.fields().iter().filter(|f| !hidden(f.name())).map(|f| {
                if masked(f.name()) { Field::new(f.name(), DataType::Utf8, true) } else { f.as_ref().clone() }
            });
            table.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            for row in &mut table.rows {
                row.retain(|name, _| !hidden(name));
                let stars = |text: &str, tail: usize| "*".repeat(text.len() - tail) + &text[text.len() - tail..];
                for (name, value) in row.iter_mut().filter(|(name, _)| masked(name)) {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    *value = Value::from(match name.as_str() {
                        "phone" => stars(&text, 2),
                        "pin" => stars(&text, 0),
                        _ => {
                            let (local, domain) = text.split_once('@').unwrap();
                            format!("{}{}@{domain}", &local[..1], "*".repeat(local.len() - 1))
                        }
                    });
                }
            }
        }
        let objects = fixture.stack["objects"].as_array_mut().unwrap();
        objects.retain(|object| object["name"] != "hr_payroll");
        for object in objects {
            object["sharingModel"] = "public_read_write".into();
            let fields = object["fields"].as_object_mut().unwrap();
            fields.retain(|name, _| name != "zone_code" && name != "secret_code");
            for (name, field) in fields {
                let field = field.as_object_mut().unwrap();
                field.remove("maskingRule");
                field.remove("requiredPermissions");
                if name == "pin" {
                    field["type"] = "text".into();
                }
            }
        }
        let rights = serde_json::json!({"hr_employees": {"allowRead": true}, "hr_reviews": {"allowRead": true}});
        fixture.stack["permissions"] =
            serde_json::json!([{"name": "hr_analyst", "label": "Analyst", "objects": rights}]);
        fixture
    }

    /// The analyst.
    #[must_use]
    pub fn analyst() -> Principal {
        Principal::builder("iris").permission_set("hr_analyst").build()
    }

    /// The administrator.
    #[must_use]
    pub fn admin() -> Principal {
        Principal::builder("ada").permission_set("hr_admin").build()
    }

    /// A session of the analyst.
    #[must_use]
    pub fn iris(&self) -> Client {
        self.gate.client(&Self::analyst())
    }

    /// A session of the administrator.
    #[must_use]
    pub fn ada(&self) -> Client {
        self.gate.client(&Self::admin())
    }
}
