//! Rules that metadata applies to the tables of a source, and which of those that are proposed are among them.

use super::propose::{Proposal, RuleSubject};
use crate::introspect::TableNames;
use crate::metadata::declared_sets;
use querygate_metadata::model::{Field, Object, PermissionSet, RowPolicy, SharingModel, Snapshot};

/// Each rule of these tables in a line.
pub(super) fn applied(snapshot: &Snapshot, tables: &[TableNames]) -> Vec<String> {
    tables
        .iter()
        .filter_map(|table| snapshot.object(&table.object))
        .flat_map(|object| of_object(snapshot, object))
        .collect()
}

fn of_object(snapshot: &Snapshot, object: &Object) -> Vec<String> {
    let name = &object.name;
    let mut told: Vec<String> = row_rules(snapshot, name)
        .map(|(set, rule)| match &rule.using {
            Some(using) => format!("{name}: rows by `{}` of {}: {}", rule.name, set.name, using.source),
            None => format!("{name}: rows by `{}` of {}, where they are changed", rule.name, set.name),
        })
        .collect();
    if follows_master(object) {
        told.push(format!("{name}: visible with its master"));
    }
    for field in object.fields.values() {
        let column = &field.name;
        if field.masking_rule.is_some() {
            told.push(format!("{name}: `{column}` is masked"));
        } else if !field.required_permissions.is_empty() {
            told.push(format!(
                "{name}: `{column}` is hidden but from those who hold {}",
                field.required_permissions.join(", ")
            ));
        }
        if field.internal {
            told.push(format!("{name}: `{column}` is hidden from all"));
        }
        let hiding: Vec<&str> = hiding_sets(snapshot, name, column).map(|set| set.name.as_str()).collect();
        if !hiding.is_empty() {
            told.push(format!("{name}: `{column}` is hidden by {}", hiding.join(", ")));
        }
    }
    told
}

/// Row policies of the metadata for an object, with their sets.
fn row_rules<'s>(snapshot: &'s Snapshot, object: &str) -> impl Iterator<Item = (&'s PermissionSet, &'s RowPolicy)> {
    let of_set = move |set: &'s PermissionSet| {
        set.row_level_security
            .iter()
            .filter(move |rule| rule.enabled && rule.names(object))
            .map(move |rule| (set, rule))
    };
    declared_sets(snapshot).flat_map(of_set)
}

/// Sets that say of a field that it is not read.
fn hiding_sets<'s>(snapshot: &'s Snapshot, object: &str, field: &str) -> impl Iterator<Item = &'s PermissionSet> {
    declared_sets(snapshot).filter(move |set| set.field(object, field).is_some_and(|right| !right.readable))
}

fn follows_master(object: &Object) -> bool {
    match object.sharing_model {
        SharingModel::ControlledByParent => true,
        SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => false,
    }
}

/// Whether a rule of the proposed kind is there already.
pub(super) fn is_applied(snapshot: &Snapshot, proposal: &Proposal) -> bool {
    let Some(object) = snapshot.object(&proposal.object) else { return false };
    let field = proposal.field.as_str();
    match proposal.subject {
        RuleSubject::Rows => row_rules(snapshot, &object.name).any(|(_, rule)| names(rule, field)),
        RuleSubject::Master => follows_master(object),
        RuleSubject::Field => {
            let covers = |field: &Field| {
                field.masking_rule.is_some() || !field.required_permissions.is_empty() || field.internal
            };
            object.field(field).is_some_and(covers) || hiding_sets(snapshot, &object.name, field).next().is_some()
        }
    }
}

/// Whether a row policy asks for a field.
fn names(rule: &RowPolicy, field: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    rule.using.as_ref().is_some_and(|using| using.source.split(|c| !is_part(c)).any(|word| word == field))
}

#[cfg(test)]
mod tests {
    use super::super::propose::proposals;
    use super::*;
    use querygate_metadata::load::{LoadOptions, load_text};
    use serde_json::json;

    #[test]
    fn rules_that_are_applied_are_told_and_not_proposed_again() {
        let text = json!({"type": "text", "label": "T"});
        let object = |name: &str, more: serde_json::Value| {
            let mut object = json!({"name": name, "label": name, "sharingModel": "public_read", "fields": {
                "region": text, "owner_id": text, "customer_email": text, "phone": text, "salary": text,
            }});
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            object
        };
        let mut ruled = object("s_orders", json!({}));
        ruled["fields"]["customer_email"]["maskingRule"] = json!("email");
        let stack = json!({
            "manifest": {"id": "com.s", "namespace": "s", "version": "1.0.0", "type": "app", "name": "S"},
            "objects": [ruled, object("s_plain", json!({}))],
            "permissions": [{
                "name": "s_region", "label": "R", "objects": {"s_orders": {"allowRead": true}},
                "fields": {"s_orders.salary": {"readable": false}},
                "rowLevelSecurity": [
                    {"name": "own", "object": "s_orders", "operation": "select", "using": "region == current_user.region"},
                    {"name": "off", "object": "s_orders", "operation": "select", "using": "owner_id == current_user.id", "enabled": false},
                ],
            }],
        });
        let snapshot = load_text("s.json", &stack.to_string(), &LoadOptions::default()).unwrap();
        let table = |object: &str| {
            let fields = ["region", "owner_id", "customer_email", "phone", "salary"].map(str::to_owned).to_vec();
            let (object, remote) = (object.to_owned(), String::new());
            TableNames { object, remote, columns: fields.clone(), fields, parents: Vec::new() }
        };
        let tables = [table("s_orders"), table("s_plain")];
        assert_eq!(
            applied(&snapshot, &tables),
            [
                "s_orders: rows by `own` of s_region: region == current_user.region",
                "s_orders: `customer_email` is masked",
                "s_orders: `salary` is hidden by s_region",
            ]
        );
        let left = proposals(&tables).into_iter().filter(|proposal| !is_applied(&snapshot, proposal));
        let left: Vec<String> = left.map(|proposal| format!("{}.{}", proposal.object, proposal.field)).collect();
        let plain = ["region", "owner_id", "customer_email", "phone", "salary"].map(|field| format!("s_plain.{field}"));
        assert_eq!(left, [&["s_orders.owner_id".to_owned(), "s_orders.phone".to_owned()][..], &plain].concat());
    }
}
