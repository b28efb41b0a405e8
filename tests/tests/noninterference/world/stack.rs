//! A world as ObjectStack metadata.

use super::{FieldDef, Mask, ObjectDef, Sharing, World};
use crate::rule::Kind;
use serde_json::{Value, json};

impl World {
    pub(super) fn stack(&self) -> Value {
        let objects = self.objects.iter().map(|object| {
            let fields = object.fields.iter().map(|f| (f.name.clone(), field_json(f, true)));
            json!({
                "name": object.name, "label": object.name, "sharingModel": match object.sharing {
                    Sharing::Private => "private",
                    Sharing::PublicRead => "public_read",
                    Sharing::PublicReadWrite => "public_read_write",
                    Sharing::ControlledByParent => "controlled_by_parent",
                },
                "ownership": if object.owned { "user" } else { "none" },
                "tenancy": {"enabled": object.tenant},
                "systemFields": {"audit": false},
                "fields": Value::Object(fields.collect()),
            })
        });
        let mut rights = serde_json::Map::new();
        let mut fields = serde_json::Map::new();
        let mut policies = Vec::new();
        let mut sharing = Vec::new();
        for object in &self.objects {
            let mut right = json!({"allowRead": object.readable, "allowCreate": object.readable,
                "allowEdit": object.readable, "allowDelete": object.readable});
            if object.reads_org {
                right["readScope"] = json!("org");
            }
            rights.insert(object.name.clone(), right);
            for field in object.fields.iter().filter(|f| f.hidden) {
                fields.insert(format!("{}.{}", object.name, field.name), json!({"readable": false}));
            }
            for (n, (positions, rule)) in object.policies.iter().enumerate() {
                let name = format!("p_{}_{n}", object.sql_name());
                let operation = if n % 2 == 0 { "select" } else { "all" };
                policies.push(json!({"name": name, "object": object.name, "operation": operation,
                    "using": rule.cel(), "positions": positions}));
            }
            for (n, (with, rule)) in object.shared_by.iter().enumerate() {
                sharing.push(json!({"type": "criteria", "name": format!("s_{}_{n}", object.sql_name()),
                    "label": "s", "object": object.name, "condition": rule.cel(), "accessLevel": "read",
                    "sharedWith": {"type": "user", "value": with}}));
            }
        }
        json!({
            "manifest": manifest(),
            "objects": objects.collect::<Vec<_>>(),
            "positions": [{"name": "ab", "label": "ab"}, {"name": "never", "label": "never"}],
            "capabilities": [{"name": "w.unmask", "label": "u", "scope": "org"},
                {"name": "w.nobody", "label": "n", "scope": "org"}],
            "permissions": [{
                "name": "w_set", "label": "s", "objects": rights, "fields": fields,
                "systemPermissions": ["w.unmask"], "rowLevelSecurity": policies,
            }],
            "sharingRules": sharing,
        })
    }

    pub(super) fn open_stack(&self) -> Value {
        let readable: Vec<&ObjectDef> = self.objects.iter().filter(|o| o.readable).collect();
        let objects = readable.iter().map(|object| {
            let fields = object.fields.iter().filter(|f| !f.hidden).map(|f| (f.name.clone(), field_json(f, false)));
            json!({"name": object.name, "label": object.name, "sharingModel": "public_read_write",
                "ownership": if object.owned { "user" } else { "none" }, "tenancy": {"enabled": object.tenant},
                "systemFields": {"audit": false}, "fields": Value::Object(fields.collect())})
        });
        let rights = readable.iter().map(|o| (o.name.clone(), json!({"allowRead": true, "readScope": "org"})));
        json!({
            "manifest": manifest(),
            "objects": objects.collect::<Vec<_>>(),
            "permissions": [{"name": "w_set", "label": "s", "objects": Value::Object(rights.collect())}],
        })
    }
}

fn manifest() -> Value {
    json!({"id": "test.w", "namespace": "w", "version": "1.0.0", "type": "app", "name": "w",
        "engines": {"protocol": "^17"}})
}

fn field_json(field: &FieldDef, governed: bool) -> Value {
    let masked = field.mask.is_some() && !field.lifted;
    let mut json = match (&field.reference, field.kind) {
        (Some((target, true)), _) if governed => json!({"type": "master_detail", "reference": target}),
        (Some((target, false)), _) if governed => json!({"type": "lookup", "reference": target}),
        (Some(_), _) | (None, Kind::Text) => json!({"type": "text"}),
        (None, Kind::Int) if masked && !governed => json!({"type": "text"}),
        (None, Kind::Number) => json!({"type": "number"}),
        (None, Kind::Int) => json!({"type": "rating"}),
        (None, Kind::Money) => json!({"type": "currency"}),
        (None, Kind::Bool) => json!({"type": "boolean"}),
        (None, Kind::Date) => json!({"type": "date"}),
        (None, Kind::Instant) => json!({"type": "datetime"}),
        (None, Kind::Tags) => json!({"type": "tags"}),
    };
    json["label"] = json!(field.name);
    if governed && let Some(mask) = field.mask {
        json["maskingRule"] = match mask {
            Mask::Keep(head, tail) => json!({"keepHead": head, "keepTail": tail}),
            Mask::Email => json!("email"),
        };
        if field.lifted {
            json["requiredPermissions"] = json!(["w.unmask"]);
        } else if field.kind == Kind::Text {
            json["requiredPermissions"] = json!(["w.nobody"]);
        }
    }
    json
}
