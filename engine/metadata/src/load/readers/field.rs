//! Reads one field. Knows the rules that concern a field alone; references are noted for the later check.

use super::shapes;
use crate::load::links::{Link, Links, Target};
use crate::load::native::{self, NativeKind};
use crate::model::{
    CurrencyConfig, CurrencyMode, DefaultValue, DeleteBehavior, Field, FieldType, FormulaReturn, MaskingRule,
    SelectOption, SummaryFunction, SummaryRollup, Uniqueness, ValueDomain,
};
use crate::read::{At, Map, is_foreign_name, is_name, nearest};
use crate::syntax::Value;

/// Where a field is read: its object and the package that contributes it.
pub(in crate::load) struct Owner<'a> {
    pub(in crate::load) object: &'a str,
    pub(in crate::load) package: &'a str,
    /// Its table is somebody else's.
    pub(in crate::load) is_foreign: bool,
}

/// Reads the `fields` of an object or extension.
pub(in crate::load) fn read_fields<'a>(at: &At<'a>, owner: &Owner<'_>, links: &mut Links<'a>) -> Vec<Field> {
    let Some(map) = at.open() else { return Vec::new() };
    let mut fields = Vec::new();
    for (name, at) in map.entries() {
        if !(is_name(name) || owner.is_foreign && is_foreign_name(name)) {
            at.key_error(
                format!("'{name}' is not a field name"),
                Some("A name has lower case letters, digits and underscores.".to_owned()),
            );
            continue;
        }
        if let Some(field) = read_field(name, &at, owner, links) {
            fields.push(field);
        }
    }
    fields
}

fn read_field<'a>(name: &str, at: &At<'a>, owner: &Owner<'_>, links: &mut Links<'a>) -> Option<Field> {
    let map = at.map(&shapes::FIELD)?;
    let field_type = read_type(&map)?;
    let declared_multiple = map.flag("multiple", false);
    if let Some(inner) = map.get("name")
        && inner.text().is_some_and(|inner| inner != name)
    {
        inner.error(format!("the field's name differs from its key '{name}'"));
    }
    let field = Field {
        name: name.to_owned(),
        label: map.text("label").unwrap_or_else(|| name.to_owned()),
        description: map.text("description"),
        field_type,
        multiple: field_type.always_list() || (declared_multiple && field_type.may_be_multiple()),
        required: map.flag("required", false),
        not_null: map.get("storage").and_then(|at| at.map(&shapes::STORAGE)).is_some_and(|s| s.flag("notNull", false)),
        unique: read_unique(&map),
        hidden: map.flag("hidden", false),
        internal: map.flag("internal", false),
        readonly: map.flag("readonly", false),
        searchable: map.flag("searchable", false),
        sortable: map.flag("sortable", true),
        reference: read_reference(&map, field_type, owner, links),
        options: read_options(&map),
        picklist: read_picklist_name(&map, field_type, links),
        precision: map.small("precision", 0, u32::MAX),
        scale: map.small("scale", 0, u32::MAX),
        min: map.number("min"),
        max: map.number("max"),
        step: map.number("step"),
        min_length: map.small("minLength", 1, u32::MAX),
        max_length: map.small("maxLength", 1, u32::MAX),
        value_domain: map.choice("valueDomain", "value domain", VALUE_DOMAINS),
        currency: map.get("currencyConfig").and_then(|at| read_currency(&at)),
        external_id: map.flag("externalId", false),
        track_history: map.get("trackHistory").and_then(|at| at.boolean()),
        dimensions: map.small("dimensions", 1, 10_000),
        column_type: None,
        text_type: None,
        enum_type: None,
        masking_rule: map.get("maskingRule").and_then(|at| read_masking(&at, links)),
        required_permissions: links.capabilities(map.get("requiredPermissions").as_ref()),
        expression: map.cel("expression"),
        formula_return: map.choice("returnType", "return type", RETURN_TYPES),
        summary: map.get("summaryOperations").and_then(|at| read_summary(&at, owner, links)),
        autonumber_format: (field_type == FieldType::Autonumber)
            .then(|| map.text("autonumberFormat").unwrap_or_else(|| "{0000}".to_owned())),
        default: map.get("defaultValue").and_then(|at| read_default(&at)),
        delete_behavior: read_delete_behavior(&map, field_type),
        required_when: map.cel("requiredWhen"),
        readonly_when: map.cel("readonlyWhen"),
        system: false,
        phantom: false,
        package: Some(owner.package.to_owned()),
        location: at.key_location(),
    };
    check_alone(&field, &map, declared_multiple);
    Some(field)
}

const VALUE_DOMAINS: &[(&str, ValueDomain)] = &[
    ("iana_time_zone", ValueDomain::TimeZone),
    ("iso_4217_currency", ValueDomain::Currency),
    ("iso_3166_alpha2", ValueDomain::Country),
];

fn read_currency(at: &At<'_>) -> Option<CurrencyConfig> {
    const MODES: &[(&str, CurrencyMode)] = &[("dynamic", CurrencyMode::Dynamic), ("fixed", CurrencyMode::Fixed)];
    let map = at.map(&shapes::CURRENCY_CONFIG)?;
    Some(CurrencyConfig {
        precision: map.small("precision", 0, 10).unwrap_or(2),
        mode: map.choice("currencyMode", "currency mode", MODES).unwrap_or(CurrencyMode::Dynamic),
        default_currency: map.text("defaultCurrency").unwrap_or_else(|| "CNY".to_owned()),
    })
}

const RETURN_TYPES: &[(&str, FormulaReturn)] = &[
    ("number", FormulaReturn::Number),
    ("text", FormulaReturn::Text),
    ("boolean", FormulaReturn::Boolean),
    ("date", FormulaReturn::Date),
];

fn read_type(map: &Map<'_>) -> Option<FieldType> {
    let at = map.required("type")?;
    let text = at.text()?;
    let found = FieldType::from_name(&text);
    if found.is_none() {
        let names = || FieldType::ALL.iter().map(|kind| kind.name());
        let near = called_elsewhere(&text).or_else(|| nearest(&text, names()));
        let hint = match near {
            Some(near) => format!("Did you mean '{near}'?"),
            None => format!("It is one of: {}.", names().collect::<Vec<_>>().join(", ")),
        };
        at.error_with(format!("unknown field type '{text}'"), hint);
    }
    found
}

/// The field type of what other systems call by another name.
fn called_elsewhere(name: &str) -> Option<&'static str> {
    const NAMES: &[(&str, &[&str])] = &[
        ("text", &["string", "str", "varchar", "char", "utf8", "uuid", "id", "keyword"]),
        ("textarea", &["longtext", "clob", "multiline"]),
        (
            "number",
            &[
                "integer", "int", "bigint", "smallint", "int4", "int8", "long", "float", "double", "real", "decimal",
                "numeric",
            ],
        ),
        ("currency", &["money", "amount"]),
        ("boolean", &["bool", "checkbox", "bit", "switch"]),
        ("datetime", &["timestamp", "timestamptz", "instant"]),
        ("select", &["enum", "picklist", "dropdown", "choice"]),
        ("multiselect", &["multipicklist"]),
        ("lookup", &["reference", "relation", "foreign_key", "ref", "belongs_to"]),
        ("json", &["jsonb", "object", "map"]),
        ("tags", &["array", "list"]),
        ("file", &["blob", "binary", "bytea", "attachment"]),
        ("autonumber", &["serial", "sequence", "auto_number"]),
        ("summary", &["rollup", "roll_up"]),
    ];
    let lower = name.to_ascii_lowercase();
    NAMES.iter().find(|(_, others)| others.contains(&lower.as_str())).map(|(name, _)| *name)
}

pub(in crate::load) fn read_unique(map: &Map<'_>) -> Uniqueness {
    let Some(at) = map.get("unique") else { return Uniqueness::No };
    match &at.node.value {
        Value::Boolean(false) => Uniqueness::No,
        Value::Boolean(true) => Uniqueness::Organization,
        _ => at
            .choice("uniqueness", &[("organization", Uniqueness::Organization), ("global", Uniqueness::Global)])
            .unwrap_or(Uniqueness::No),
    }
}

fn read_reference<'a>(
    map: &Map<'a>,
    field_type: FieldType,
    owner: &Owner<'_>,
    links: &mut Links<'a>,
) -> Option<String> {
    let at = map.get("reference");
    let text = at.as_ref().and_then(At::text).filter(|text| !text.trim().is_empty());
    match field_type {
        FieldType::Lookup | FieldType::MasterDetail => {
            let (Some(at), Some(text)) = (at, text.clone()) else {
                let message = format!("a {} field needs a reference", field_type.name());
                map.at().key_error(message, Some("Name the object that its records point at.".to_owned()));
                return None;
            };
            links.add(Link { at, target: Target::Reference(text.clone()) });
            Some(text)
        }
        FieldType::Tree => {
            if let (Some(at), Some(text)) = (at, text)
                && text != owner.object
            {
                at.error(format!("a tree points at its own object '{}'", owner.object));
            }
            Some(owner.object.to_owned())
        }
        FieldType::User => Some(text.unwrap_or_else(|| "sys_user".to_owned())),
        _ => text,
    }
}

/// The shared list that a field takes its options from.
fn read_picklist_name<'a>(map: &Map<'a>, field_type: FieldType, links: &mut Links<'a>) -> Option<String> {
    let at = map.get("picklist")?;
    let name = at.text()?;
    let takes_options = matches!(
        field_type,
        FieldType::Select | FieldType::Radio | FieldType::Multiselect | FieldType::Checkboxes | FieldType::Tags
    );
    if !takes_options {
        at.error(format!("a {} field has no options", field_type.name()));
    } else if map.get("options").is_some() {
        at.error_with("a field has options of its own or those of a picklist, not both", "Leave out one of the two.");
    }
    links.add(Link { at, target: Target::Picklist(name.clone()) });
    Some(name)
}

pub(in crate::load) fn read_options(map: &Map<'_>) -> Vec<SelectOption> {
    let mut options: Vec<SelectOption> = Vec::new();
    for at in map.list("options") {
        let Some(option) = at.map(&shapes::OPTION) else { continue };
        let (Some(value_at), Some(label)) = (option.required("value"), option.required("label")) else { continue };
        let (Some(value), Some(label)) = (value_at.text(), label.text()) else { continue };
        if !is_option_value(&value) {
            value_at.error_with(
                format!("'{value}' is not an option value"),
                "A value starts with a lower case letter and has two or more of letters, digits, '_' and '.'.",
            );
        }
        if options.iter().any(|other| other.value == value) {
            value_at.error(format!("option '{value}' is defined twice"));
            continue;
        }
        let (is_default, visible_when) = (option.flag("default", false), option.cel("visibleWhen"));
        options.push(SelectOption { value, label, is_default, visible_when });
    }
    options
}

fn is_option_value(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() >= 2
        && matches!(bytes.next(), Some(b'a'..=b'z'))
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'))
}

/// An unknown rule is an error: ignoring it would show the value.
fn read_masking<'a>(at: &At<'a>, links: &mut Links<'a>) -> Option<MaskingRule> {
    if at.is_map() {
        let map = at.map(&shapes::MASKING)?;
        let keep = |key: &str| map.small(key, 0, 1_000_000).unwrap_or(0);
        return Some(MaskingRule::Window { keep_head: keep("keepHead"), keep_tail: keep("keepTail") });
    }
    if !at.is_text() {
        at.expected("a preset or {keepHead, keepTail}");
        return None;
    }
    if let Some(name) = native::read(at, NativeKind::Mask, links) {
        return Some(MaskingRule::Native(name));
    }
    let presets: Vec<(&'static str, &MaskingRule)> =
        MaskingRule::PRESETS.iter().map(|(name, rule)| (*name, rule)).collect();
    at.choice("masking rule", &presets).cloned()
}

fn read_default(at: &At<'_>) -> Option<DefaultValue> {
    match &at.node.value {
        Value::Text(text) if text == "NOW()" => Some(DefaultValue::Now),
        Value::Text(text) if text == "current_user" => Some(DefaultValue::CurrentUser),
        Value::Map(entries) if entries.iter().any(|entry| entry.key == "dialect") => {
            at.cel().map(DefaultValue::Expression)
        }
        _ => Some(DefaultValue::Literal(at.node.to_json())),
    }
}

fn read_delete_behavior(map: &Map<'_>, field_type: FieldType) -> Option<DeleteBehavior> {
    const ALL: &[(&str, DeleteBehavior)] = &[
        ("set_null", DeleteBehavior::SetNull),
        ("cascade", DeleteBehavior::Cascade),
        ("restrict", DeleteBehavior::Restrict),
    ];
    let declared = map.choice("deleteBehavior", "delete behavior", ALL);
    match field_type {
        FieldType::Lookup => Some(declared.unwrap_or(DeleteBehavior::SetNull)),
        FieldType::MasterDetail => {
            if declared == Some(DeleteBehavior::SetNull)
                && let Some(at) = map.get("deleteBehavior")
            {
                at.error_with("a master_detail field cannot be set to null", "Write 'cascade' or 'restrict'.");
            }
            Some(declared.unwrap_or(DeleteBehavior::Cascade))
        }
        _ => None,
    }
}

fn read_summary<'a>(at: &At<'a>, owner: &Owner<'_>, links: &mut Links<'a>) -> Option<SummaryRollup> {
    const FUNCTIONS: &[(&str, SummaryFunction)] = &[
        ("count", SummaryFunction::Count),
        ("sum", SummaryFunction::Sum),
        ("min", SummaryFunction::Min),
        ("max", SummaryFunction::Max),
        ("avg", SummaryFunction::Avg),
    ];
    let map = at.map(&shapes::SUMMARY)?;
    let object_at = map.required("object")?;
    let object = object_at.text()?;
    let function = map.required("function")?.choice("summary function", FUNCTIONS)?;
    links.add(Link { at: object_at, target: Target::Object(object.clone()) });
    let field = map.get("field").and_then(|at| {
        let name = at.text()?;
        links.add(Link { at, target: Target::Field { object: object.clone(), field: name.clone() } });
        Some(name)
    });
    if field.is_none() && function != SummaryFunction::Count {
        map.at().error("a summary other than count needs a field");
    }
    let relationship_field = map.get("relationshipField").and_then(|at| {
        let name = at.text()?;
        links.add(Link { at, target: Target::Field { object: object.clone(), field: name.clone() } });
        Some(name)
    });
    if relationship_field.is_none() {
        links.add(Link {
            at: at.clone(),
            target: Target::Rollup { child: object.clone(), parent: owner.object.to_owned() },
        });
    }
    let filter = map.get("filter").map(|at| at.node.to_json());
    Some(SummaryRollup { object, field: field.unwrap_or_default(), function, relationship_field, filter })
}

fn check_alone(field: &Field, map: &Map<'_>, declared_multiple: bool) {
    let kind = field.field_type;
    if declared_multiple && kind == FieldType::Radio {
        map.at().key_error("a radio field has one value", Some("Use checkboxes or multiselect.".to_owned()));
    } else if declared_multiple && !kind.may_be_multiple() {
        map.at().warn(format!("'multiple' has no effect on a {} field", kind.name()), None);
    }
    if kind == FieldType::Formula && map.get("expression").is_none() {
        map.at().key_error("a formula needs an expression", None);
    }
    if kind == FieldType::Summary && map.get("summaryOperations").is_none() {
        map.at().key_error("a summary needs summaryOperations", None);
    }
    if field.value_domain.is_some() && kind != FieldType::Text {
        map.at().warn(format!("'valueDomain' has no effect on a {} field", kind.name()), None);
    }
    if field.currency.is_some() && kind != FieldType::Currency {
        map.at().warn(format!("'currencyConfig' has no effect on a {} field", kind.name()), None);
    }
    if field.not_null && field.required_when.is_some() {
        map.at().key_error("storage.notNull cannot be combined with requiredWhen", None);
    }
    if let (Some(min), Some(max)) = (field.min, field.max)
        && min > max
    {
        map.at().key_error("min is greater than max", None);
    }
}
