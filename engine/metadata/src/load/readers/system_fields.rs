//! The columns that the platform injects into every table, in the reference's order (section 2).

use crate::model::{DeleteBehavior, External, Field, FieldType, Location, ManagedBy, Ownership, Uniqueness};
use indexmap::IndexMap;

/// Columns that rules compare with an id.
pub(in crate::load) const ANCHORS: &[&str] = &["id", "organization_id", "created_by", "owner_id"];

/// `systemFields`.
#[derive(Clone, Copy)]
pub(in crate::load) struct Switches {
    pub(in crate::load) all: bool,
    pub(in crate::load) tenant: bool,
    pub(in crate::load) audit: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { all: true, tenant: true, audit: true }
    }
}

/// What decides which columns an object gets.
pub(in crate::load) struct Columns<'a> {
    pub(in crate::load) object: &'a str,
    pub(in crate::load) tenancy: bool,
    pub(in crate::load) ownership: Ownership,
    pub(in crate::load) managed: Option<ManagedBy>,
    pub(in crate::load) switches: Switches,
    pub(in crate::load) external: Option<&'a External>,
}

/// The injected columns, in order, then the declared fields. A declared field of the same name wins; in a table of the platform `id`,
/// `created_at` and `updated_at` keep their place in front even then, the others stand where they are declared. In a table of somebody
/// else all declared fields do: their order is the table's, which rows without a list of columns are read and written in.
pub(in crate::load) fn inject(columns: &Columns<'_>, declared: Vec<Field>) -> IndexMap<String, Field> {
    let mut declared: IndexMap<String, Field> = declared.into_iter().map(|field| (field.name.clone(), field)).collect();
    let mut fields = IndexMap::with_capacity(declared.len() + 8);
    for (name, leading) in wanted(columns) {
        if leading
            && columns.external.is_none()
            && let Some(own) = declared.shift_remove(name)
        {
            fields.insert(name.to_owned(), own);
        } else if !declared.contains_key(name) {
            fields.insert(name.to_owned(), system_field(name, columns));
        }
    }
    fields.extend(declared);
    fields
}

/// Names with whether they keep the front place when declared.
fn wanted(columns: &Columns<'_>) -> Vec<(&'static str, bool)> {
    let mut names = vec![("id", true)];
    if !columns.switches.all || columns.managed == Some(ManagedBy::BetterAuth) {
        return names;
    }
    let audit = columns.switches.audit;
    let eligible = columns.managed.is_none() && !columns.object.starts_with("sys_");
    let owner = eligible && columns.ownership == Ownership::User;
    if audit {
        names.extend([("created_at", true), ("updated_at", true)]);
    }
    if columns.switches.tenant && columns.tenancy {
        names.push(("organization_id", false));
    }
    if audit {
        names.extend([("created_by", false), ("updated_by", false)]);
    }
    if owner {
        names.push(("owner_id", false));
    }
    if owner || (eligible && columns.ownership == Ownership::BusinessUnit) {
        names.push(("owning_business_unit_id", false));
    }
    names
}

fn system_field(name: &str, columns: &Columns<'_>) -> Field {
    let (label, field_type, reference) = match name {
        "created_at" => ("Created At", FieldType::Datetime, None),
        "updated_at" => ("Last Modified At", FieldType::Datetime, None),
        "organization_id" => ("Organization", FieldType::Lookup, Some("sys_organization")),
        "created_by" => ("Created By", FieldType::Lookup, Some("sys_user")),
        "updated_by" => ("Last Modified By", FieldType::Lookup, Some("sys_user")),
        "owner_id" => ("Owner", FieldType::Lookup, Some("sys_user")),
        "owning_business_unit_id" => ("Owning Business Unit", FieldType::Lookup, Some("sys_business_unit")),
        _ => ("ID", FieldType::Text, None),
    };
    let mapped = |external: &External| external.column_map.values().any(|local| local == name);
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        description: None,
        field_type,
        multiple: false,
        required: false,
        not_null: name == "id",
        unique: if name == "id" { Uniqueness::Global } else { Uniqueness::No },
        hidden: matches!(name, "organization_id" | "owning_business_unit_id"),
        internal: false,
        readonly: name != "owner_id",
        searchable: false,
        sortable: true,
        reference: reference.map(str::to_owned),
        options: Vec::new(),
        picklist: None,
        precision: None,
        scale: None,
        min: None,
        max: None,
        step: None,
        min_length: None,
        max_length: None,
        value_domain: None,
        currency: None,
        external_id: false,
        track_history: None,
        dimensions: None,
        column_type: None,
        text_type: None,
        enum_type: None,
        masking_rule: None,
        required_permissions: Vec::new(),
        expression: None,
        formula_return: None,
        summary: None,
        autonumber_format: None,
        default: None,
        delete_behavior: (field_type == FieldType::Lookup).then_some(DeleteBehavior::SetNull),
        required_when: None,
        readonly_when: None,
        system: true,
        phantom: columns.external.is_some_and(|external| !mapped(external)),
        package: None,
        location: Location::outside("injected"),
    }
}

#[cfg(test)]
mod tests {
    use crate::load::{LoadOptions, load_text};

    /// A table of the platform has its own columns in front; one of somebody else has its fields as they are written.
    #[test]
    fn declared_fields_of_an_external_table_keep_their_order() {
        for (external, expected) in [
            ("", ["id", "created_at", "box", "weight"]),
            (r#""external": {"remoteName": "parts"}, "#, ["box", "id", "weight", "created_at"]),
        ] {
            let field = r#"{"type": "number", "label": "N"}"#;
            let stack = format!(
                r#"{{"manifest": {{"id": "a.b", "namespace": "b", "version": "1.0.0", "type": "app", "name": "B"}}, "objects": [
                    {{"name": "b_parts", "label": "P", {external}"tenancy": {{"enabled": false}}, "ownership": "none", "fields": {{
                        "box": {field}, "id": {{"type": "text", "label": "I"}}, "weight": {field}, "created_at": {{"type": "datetime", "label": "T"}}}}}}]}}"#
            );
            let snapshot =
                load_text("b.json", &stack, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
            let fields = snapshot.object("b_parts").unwrap().fields.values();
            let declared: Vec<&str> = fields.filter(|field| !field.system).map(|field| field.name.as_str()).collect();
            assert_eq!(declared, expected, "{external}");
        }
    }
}
