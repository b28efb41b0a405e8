//! What is the vendor's own in an answer, and no part of the stack: objects of its platform, and items of its packages. Both sides are
//! compared without.

use serde_json::Value;

/// Members that hold something for each object or field, by its name.
const BY_NAME: [&str; 3] = ["objects", "fields", "translations"];

fn is_own(item: &Value) -> bool {
    let is_of_package = |package: &Value| package.as_str().is_some_and(|id| id.starts_with("com.objectstack."));
    is_of_package(&item["_packageId"]) || is_of_package(&item["manifest"]["id"])
}

/// An answer without what is the vendor's own.
pub(crate) fn without(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().filter(|item| !is_own(item)).map(without).collect(),
        Value::Object(members) => {
            let told = members.into_iter().map(|(name, member)| {
                let member = match member {
                    Value::Object(inner) if BY_NAME.contains(&name.as_str()) => {
                        inner.into_iter().filter(|(name, _)| !name.starts_with("sys_")).collect()
                    }
                    member => member,
                };
                (name, without(member))
            });
            Value::Object(told.collect())
        }
        value => value,
    }
}

/// Lists whose order says nothing: what somebody holds.
pub(crate) fn is_set(path: &str) -> bool {
    [".positions", ".permissionSets", ".systemPermissions", ".contributors"].iter().any(|name| path.ends_with(name))
}
