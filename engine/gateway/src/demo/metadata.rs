//! The demo's ObjectStack metadata: real files, embedded so that the binary needs nothing beside it.

use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;

macro_rules! files {
    ($($path:literal,)*) => {
        /// Path below the metadata folder, and text.
        pub(super) const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../demo/metadata/", $path))),)*];
    };
}

files! {
    "stack.json",
    "permissions.json",
    "data.json",
    "hooks.json",
    "objects/accounts.json",
    "objects/campaign_members.json",
    "objects/campaigns.json",
    "objects/case_comments.json",
    "objects/cases.json",
    "objects/contacts.json",
    "objects/contracts.json",
    "objects/email_log.json",
    "objects/employees.json",
    "objects/events.json",
    "objects/exchange_rates.json",
    "objects/invoice_lines.json",
    "objects/invoices.json",
    "objects/leads.json",
    "objects/opportunities.json",
    "objects/opportunity_lines.json",
    "objects/products.json",
    "objects/regions.json",
    "objects/surveys.json",
    "objects/tasks.json",
    "objects/users.json",
}

/// Writes the files that are not there: a person may have edited the others.
pub(super) fn write(folder: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::new(ErrorCode::DiskFull, "cannot write the demo metadata").with_detail(e.to_string())
    };
    std::fs::create_dir_all(folder.join("objects")).map_err(failed)?;
    for (path, text) in FILES {
        let path = folder.join(path);
        if !path.exists() {
            std::fs::write(path, text).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tables::TABLES;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    fn objects() -> BTreeMap<String, Value> {
        let parsed = FILES.iter().filter(|(path, _)| path.starts_with("objects/")).map(|(path, text)| {
            let stack: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"));
            let object = stack["objects"][0].clone();
            (object["name"].as_str().unwrap().to_owned(), object)
        });
        parsed.collect()
    }

    fn fields(object: &Value) -> BTreeSet<String> {
        let declared = object["fields"].as_object().unwrap().keys().cloned();
        declared.chain(["id".to_owned()]).collect()
    }

    #[test]
    fn every_embedded_file_is_listed_and_parses() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/metadata");
        let mut on_disk = BTreeSet::new();
        for folder in [root.clone(), root.join("objects")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    on_disk.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        assert_eq!(on_disk, FILES.iter().map(|(path, _)| (*path).to_owned()).collect());
        assert_eq!(objects().len(), 21);
    }

    #[test]
    fn the_crm_tables_have_exactly_the_declared_columns() {
        let objects = objects();
        let crm = objects.values().filter(|o| o["datasource"] == "crm");
        let declared: BTreeMap<String, BTreeSet<String>> =
            crm.map(|o| (o["external"]["remoteName"].as_str().unwrap().to_owned(), fields(o))).collect();
        let built: BTreeMap<String, BTreeSet<String>> = TABLES
            .iter()
            .map(|t| (t.name.to_owned(), t.columns.iter().map(|(name, _)| (*name).to_owned()).collect()))
            .collect();
        assert_eq!(declared, built);
    }

    #[test]
    fn the_loader_accepts_it_without_a_warning_and_every_policy_compiles() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let loaded = crate::metadata::load_path(folder.path(), &querygate_extension::Extensions::default());
        let snapshot = loaded.unwrap_or_else(|e| panic!("{e}")).snapshot;
        let warnings: Vec<String> = snapshot.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, Vec::<String>::new());
        let policy = querygate_policy::CompiledPolicy::compile(std::sync::Arc::new(snapshot), Vec::new());
        let platform = crate::metadata::platform_policies(policy.snapshot());
        assert!(platform.contains("owner_only_writes"));
        // A healthy demo starts without a warning.
        let told = policy.dropped().into_iter().filter(|(_, name, _)| !platform.contains(name));
        assert_eq!(told.collect::<Vec<_>>(), []);
        let names = crate::naming::sql_names(policy.snapshot());
        assert_eq!(names["crm_accounts"], "accounts");
    }

    #[test]
    fn references_and_grants_name_objects_that_exist() {
        let objects = objects();
        for (name, object) in &objects {
            for (field, definition) in object["fields"].as_object().unwrap() {
                if let Some(target) = definition["reference"].as_str() {
                    assert!(objects.contains_key(target), "{name}.{field} → {target}");
                }
            }
        }
        let permissions = FILES.iter().find(|(path, _)| *path == "permissions.json").unwrap().1;
        let permissions: Value = serde_json::from_str(permissions).unwrap();
        for set in permissions["permissions"].as_array().unwrap() {
            for object in set["objects"].as_object().unwrap().keys() {
                assert!(objects.contains_key(object), "{object}");
            }
            for field in set["fields"].as_object().into_iter().flatten().map(|(key, _)| key) {
                let (object, field) = field.split_once('.').unwrap();
                assert!(fields(&objects[object]).contains(field), "{object}.{field}");
            }
            for policy in set["rowLevelSecurity"].as_array().into_iter().flatten() {
                assert!(fields(&objects[policy["object"].as_str().unwrap()]).contains("region_id"));
            }
        }
    }
}
