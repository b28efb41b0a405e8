//! The demo's users, their rights in the introspected packages, and the configuration. Starts nothing.

use super::disk;
use super::guide::Part;
use crate::demo::DATABASE;
use crate::verifier;
use querygate_types::{Error, Result};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// One of the demo's logins; its password is `demo-` and the login.
pub(super) struct User {
    pub(super) login: &'static str,
    /// What the user may see, for the printed guide.
    pub(super) about: &'static str,
    /// The only region whose rows the user sees.
    pub(super) region: Option<&'static str>,
    /// Whether e-mail addresses are masked.
    pub(super) masked: bool,
    /// Lines of the user's `[[users]]` beside name, verifier and permission sets.
    settings: &'static str,
}

/// In the order of a part's permission sets.
pub(super) const USERS: [User; 3] = [
    User {
        login: "ada",
        about: "operator: every row and column of every source",
        region: None,
        masked: false,
        settings: "operator = true\n",
    },
    User {
        login: "sam",
        about: "sales: America, public products, no unit costs",
        region: Some("amer"),
        masked: false,
        settings: "attributes = { region = \"amer\" }\n",
    },
    User {
        login: "iris",
        about: "support: EMEA, public products, e-mail addresses masked",
        region: Some("emea"),
        masked: true,
        settings: "attributes = { region = \"emea\" }\n",
    },
];

/// Whose plan the guide shows.
pub(super) const RESTRICTED: &str = "sam";

/// Changes the package that introspection wrote.
pub(super) fn edit(metadata: &Path, namespace: &str, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
    let file = metadata.join(format!("{namespace}.json"));
    let text = std::fs::read_to_string(&file).map_err(|e| disk(&e))?;
    let mut stack: Value = serde_json::from_str(&text).map_err(Error::internal)?;
    change(stack.pointer_mut("/packages/0/manifest").ok_or_else(|| unexpected("a package"))?)?;
    let text = serde_json::to_string_pretty(&stack).map_err(Error::internal)?;
    std::fs::write(&file, text).map_err(|e| disk(&e))
}

fn unexpected(what: &str) -> Error {
    Error::internal(format!("the introspected metadata lacks {what}"))
}

/// A field of an object of the package.
pub(super) fn field<'a>(package: &'a mut Value, object: &str, field: &str) -> Result<&'a mut Value> {
    let objects = package["objects"].as_array_mut().into_iter().flatten();
    let found = objects.into_iter().find(|known| known["name"] == object);
    found.and_then(|known| known["fields"].get_mut(field)).ok_or_else(|| unexpected(field))
}

/// The set that introspection wrote: it reads everything.
pub(super) fn reader(package: &mut Value) -> Result<&mut Value> {
    package.pointer_mut("/permissions/0").ok_or_else(|| unexpected("a permission set"))
}

/// A permission set that reads objects by their row policies.
pub(super) fn set(name: &str, label: &str, policies: &[(&str, &str)]) -> Value {
    let objects: Map<String, Value> =
        policies.iter().map(|(object, _)| ((*object).to_owned(), json!({"allowRead": true}))).collect();
    let rules = policies.iter().map(|(object, using)| {
        json!({"name": format!("{name}_{object}"), "object": object, "operation": "select", "using": using})
    });
    json!({"name": name, "label": label, "objects": objects, "rowLevelSecurity": rules.collect::<Vec<_>>()})
}

/// Adds a permission set.
pub(super) fn grant(package: &mut Value, set: Value) -> Result<()> {
    package["permissions"].as_array_mut().map(|sets| sets.push(set)).ok_or_else(|| unexpected("permission sets"))
}

/// A `[[sources]]` entry.
pub(super) fn source_entry(name: &str, keys: &str, password: bool) -> String {
    let password = if password { format!("password = \"file:{name}.password\"\n") } else { String::new() };
    format!("\n[[sources]]\nname = \"{name}\"\n{keys}{password}")
}

/// Writes the configuration. `more`: further tables of it.
pub(super) fn write_config(file: &Path, more: &str, sources: &[String], parts: &[Part]) -> Result<()> {
    let mut text = format!("{HEAD}\n[server]\ndatabase = \"{DATABASE}\"\n\n[metadata]\npath = \"metadata\"\n{more}");
    text.extend(sources.iter().map(String::as_str));
    for (at, user) in USERS.iter().enumerate() {
        let verifier = verifier::print(&verifier::create(&format!("demo-{}", user.login))?);
        let sets: Vec<String> = parts.iter().map(|part| format!("\"{}\"", part.sets[at])).collect();
        let _ = write!(
            text,
            "\n# {}\n[[users]]\nname = \"{login}\"\nverifier = \"{verifier}\"\nuser_id = \"{login}\"\npermission_sets = [{}]\n{}",
            user.about,
            sets.join(", "),
            user.settings,
            login = user.login,
        );
    }
    std::fs::write(file, text).map_err(|e| disk(&e))
}

const HEAD: &str = "# Made by `querygate demo --backends`, gone when it ends.\n";
