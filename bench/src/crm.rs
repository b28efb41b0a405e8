//! Synthetic metadata of the size of a customer-relations application: 65 objects, six permission sets, row policies,
//! masks, sharing. Holds no rows.

use querygate_metadata::load::{LoadOptions, load_text};
use querygate_metadata::model::Snapshot;
use querygate_types::principal::{AttributeValue, Principal};
use querygate_types::{Error, Result};
use serde_json::{Value, json};

/// Objects of the application.
pub const OBJECTS: usize = 65;

/// Name of an object.
#[must_use]
pub fn object_name(number: usize) -> String {
    format!("crm_object_{number}")
}

/// The application's stack definition.
#[must_use]
pub fn stack() -> Value {
    json!({
        "manifest": {"id": "com.example.crm", "namespace": "crm", "version": "1.0.0", "type": "app", "name": "CRM"},
        "objects": (0..OBJECTS).map(|number| object("crm", number)).collect::<Vec<_>>(),
        "positions": [{"name": "sales_rep", "label": "Sales"}, {"name": "manager", "label": "Manager"}],
        "capabilities": [{"name": "see_pay", "label": "Pay", "scope": "org"}],
        "permissions": (0..6).map(permission_set).collect::<Vec<_>>(),
    })
}

/// A package of 100 items over the application: 60 objects, 20 permission sets, 20 positions.
#[must_use]
pub fn package_of_100() -> Value {
    let sets = (0..20).map(|number| {
        let mut set = json!({"name": format!("ext_set_{number}"), "label": "Set", "objects": {}});
        set["objects"][format!("ext_object_{number}")] = json!({"allowRead": true});
        set
    });
    let positions = (0..20).map(|number| json!({"name": format!("ext_position_{number}"), "label": "Position"}));
    json!({
        "manifest": {"id": "com.example.ext", "namespace": "ext", "version": "1.0.0", "type": "plugin", "name": "Extension"},
        "objects": (0..60).map(|number| object("ext", number)).collect::<Vec<_>>(),
        "permissions": sets.collect::<Vec<_>>(),
        "positions": positions.collect::<Vec<_>>(),
    })
}

/// 20 fields each; every fifth object is a detail of the one before it.
fn object(namespace: &str, number: usize) -> Value {
    let name = format!("{namespace}_object_{number}");
    let mut fields = json!({
        "title": {"type": "text", "label": "Title"},
        "region": {"type": "text", "label": "Region"},
        "phone": {"type": "text", "label": "Phone", "maskingRule": "phone"},
        "email": {"type": "text", "label": "E-mail", "maskingRule": "email"},
        "amount": {"type": "currency", "label": "Amount"},
        "level": {"type": "number", "label": "Level"},
        "closed_on": {"type": "date", "label": "Closed"},
        "active": {"type": "boolean", "label": "Active"},
    });
    for extra in 0..11 {
        fields[format!("extra_{extra}")] = json!({"type": "text", "label": "Extra"});
    }
    if namespace == "crm" {
        fields["salary"] = json!({"type": "number", "label": "Salary", "requiredPermissions": ["see_pay"]});
    }
    let sharing = if number % 5 == 4 {
        let master = format!("{namespace}_object_{}", number - 1);
        fields["parent"] = json!({"type": "master_detail", "label": "Parent", "reference": master, "required": true});
        "controlled_by_parent"
    } else {
        ["private", "public_read", "public_read_write", "private"][number % 4]
    };
    json!({"name": name, "label": name, "sharingModel": sharing, "fields": fields})
}

fn permission_set(number: usize) -> Value {
    let mut objects = json!({});
    let mut policies = Vec::new();
    for object in (0..OBJECTS).filter(|object| object % 6 >= number) {
        let name = object_name(object);
        objects[&name] = json!({"allowRead": true, "allowEdit": number.is_multiple_of(2)});
        if object % 3 == 0 {
            policies.push(json!({
                "name": format!("region_{object}_{number}"), "object": name, "operation": "select",
                "using": "region == current_user.region_id",
            }));
        }
    }
    json!({"name": format!("set_{number}"), "label": "Set", "objects": objects, "rowLevelSecurity": policies})
}

/// The snapshot of a stack without a tenant wall.
///
/// # Errors
/// What the loader finds wrong.
pub fn snapshot(stack: &Value) -> Result<Snapshot> {
    load_text("stack.json", &stack.to_string(), &LoadOptions::default()).map_err(Error::internal)
}

/// A sales person with three of the sets.
#[must_use]
pub fn principal() -> Principal {
    Principal::builder("sam")
        .organization("o1")
        .position("sales_rep")
        .permission_set("set_2")
        .permission_set("set_3")
        .permission_set("set_4")
        .attribute("region_id", AttributeValue::Text("emea".to_owned()))
        .build()
}
