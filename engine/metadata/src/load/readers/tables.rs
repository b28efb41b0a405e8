//! What is said of the tables behind objects: `querygate.tables`, Querygate's own part of metadata. ObjectStack's shapes are
//! closed, so it stands in a file of its own beside the stack, which ObjectStack's tools do not read.

use super::shapes;
use super::system_fields::ANCHORS;
use crate::load::hash::object_key;
use crate::model::{
    EnumType, Field, FieldType, FileKind, FileText, ForeignKey, ItemType, Object, Snapshot, TextType, UniqueKey,
    ValueType,
};
use crate::read::{At, Map, nearest};
use encoding_rs::Encoding;
use querygate_types::ReferentialAction;
use std::sync::Arc;

/// One entry: what is said of one object's table.
pub(in crate::load) struct TableDraft<'a> {
    object: String,
    at: At<'a>,
    /// Field, the type of its column, and where it stands.
    column_types: Vec<(String, ColumnType, At<'a>)>,
    /// Field, what its column is, and where it stands.
    enums: Vec<(String, EnumType, At<'a>)>,
    primary_key: KeyDraft<'a>,
    /// `primaryKey` is there and names no field.
    has_no_key: bool,
    unique_keys: Vec<KeyDraft<'a>>,
    foreign_keys: Vec<ReferenceDraft<'a>>,
    file: Option<FileText>,
}

/// Fields with where they stand, in a key's order.
type Names<'a> = Vec<(String, At<'a>)>;

/// A key: its fields alone, or with a name.
#[derive(Default)]
struct KeyDraft<'a> {
    name: Option<String>,
    fields: Names<'a>,
    is_index: bool,
}

/// The type of a column's values, and how it is declared where texts have more than one name.
struct ColumnType {
    value_type: ValueType,
    text_type: Option<TextType>,
}

impl ColumnType {
    fn from_sql(name: &str) -> Option<Self> {
        if let Some(value_type) = ValueType::from_sql(name) {
            return Some(Self { value_type, text_type: None });
        }
        TextType::from_sql(name).map(|own| Self { value_type: ValueType::Text, text_type: Some(own) })
    }
}

struct ReferenceDraft<'a> {
    at: At<'a>,
    name: Option<String>,
    fields: Names<'a>,
    references: String,
    referenced: Names<'a>,
    on_delete: ReferentialAction,
    on_update: ReferentialAction,
}

/// What a foreign key may do, as `deleteBehavior` writes it.
const ACTIONS: &[(&str, ReferentialAction)] = &[
    ("no_action", ReferentialAction::NoAction),
    ("restrict", ReferentialAction::Restrict),
    ("cascade", ReferentialAction::Cascade),
    ("set_null", ReferentialAction::SetNull),
    ("set_default", ReferentialAction::SetDefault),
];

/// Reads the entries of `querygate`.
pub(in crate::load) fn read_tables<'a>(own: &At<'a>) -> Vec<TableDraft<'a>> {
    let Some(tables) = own.map(&shapes::QUERYGATE).and_then(|map| map.get("tables")?.open()) else { return Vec::new() };
    tables.entries().filter_map(|(object, at)| read_table(object, at)).collect()
}

fn read_table<'a>(object: &str, at: At<'a>) -> Option<TableDraft<'a>> {
    let map = at.map(&shapes::TABLE)?;
    let mut column_types = Vec::new();
    if let Some(types) = map.get("columnTypes").and_then(|at| at.open()) {
        for (field, at) in types.entries() {
            let Some(name) = at.text() else { continue };
            match ColumnType::from_sql(&name) {
                Some(column_type) => column_types.push((field.to_owned(), column_type, at)),
                None => {
                    let hint = format!("It is one of: {}; or an array, as integer[].", ValueType::SQL_NAMES.join(", "));
                    at.error_with(format!("unknown column type '{name}'"), hint);
                }
            }
        }
    }
    let key = map.get("primaryKey");
    Some(TableDraft {
        object: object.to_owned(),
        has_no_key: key.as_ref().is_some_and(|at| at.is_list() && at.list().is_empty()),
        column_types,
        enums: map.get("enums").and_then(|at| at.open()).map(|enums| read_enums(&enums)).unwrap_or_default(),
        primary_key: key.map(|at| read_named_key(&at)).unwrap_or_default(),
        unique_keys: map.list("uniqueKeys").iter().map(read_named_key).collect(),
        foreign_keys: map.list("foreignKeys").into_iter().filter_map(read_reference).collect(),
        file: map.get("file").and_then(|at| read_file(&at)),
        at,
    })
}

const FORMATS: &[(&str, FileKind)] =
    &[("parquet", FileKind::Parquet), ("csv", FileKind::Csv), ("ndjson", FileKind::Ndjson), ("json", FileKind::Json)];

fn read_file(at: &At<'_>) -> Option<FileText> {
    let map = at.map(&shapes::TABLE_FILE)?;
    let mark = |name: &str| {
        let at = map.get(name)?;
        let text = at.text()?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(mark), None) if mark.is_ascii() => Some(mark),
            _ => {
                at.error(format!("'{name}' is one ASCII character"));
                None
            }
        }
    };
    let encoding = map.get("encoding").and_then(|at| {
        let name = at.text()?;
        if Encoding::for_label(name.as_bytes()).is_none() {
            let hint =
                "It is a name of the WHATWG's Encoding Standard, such as utf-8, utf-16le, windows-1252, shift_jis.";
            at.error_with(format!("unknown encoding '{name}'"), hint);
        }
        Some(name)
    });
    Some(FileText {
        format: map.choice("format", "format", FORMATS),
        delimiter: mark("delimiter"),
        quote: mark("quote"),
        header: map.get("header").and_then(|at| at.boolean()),
        null: map.text("null"),
        encoding,
    })
}

fn read_enums<'a>(enums: &Map<'a>) -> Vec<(String, EnumType, At<'a>)> {
    let read = |(field, at): (&str, At<'a>)| {
        let map = at.map(&shapes::TABLE_ENUM)?;
        let name = map.required("name")?.text()?;
        let labels = map.required("labels")?.texts();
        let read = EnumType { name, labels };
        if !read.is_sound() {
            at.error(format!("an enum has a name and 1 to {} labels, each once", EnumType::LABELS_MAX));
            return None;
        }
        Some((field.to_owned(), read, at))
    };
    enums.entries().filter_map(read).collect()
}

fn read_named_key<'a>(at: &At<'a>) -> KeyDraft<'a> {
    if !at.is_map() {
        return KeyDraft { fields: read_key(at), ..KeyDraft::default() };
    }
    let Some(map) = at.map(&shapes::TABLE_KEY) else { return KeyDraft::default() };
    let fields = map.required("columns").map(|at| read_key(&at)).unwrap_or_default();
    KeyDraft { name: map.text("name"), fields, is_index: map.flag("index", false) }
}

fn read_key<'a>(at: &At<'a>) -> Names<'a> {
    let mut key: Names<'a> = Vec::new();
    for at in at.list() {
        let Some(field) = at.text() else { continue };
        if key.iter().any(|(other, _)| *other == field) {
            at.error(format!("'{field}' is in the key twice"));
            continue;
        }
        key.push((field, at));
    }
    key
}

fn read_reference(at: At<'_>) -> Option<ReferenceDraft<'_>> {
    let map = at.map(&shapes::TABLE_FOREIGN_KEY)?;
    let fields = read_key(&map.required("columns")?);
    let references = map.required("references")?.text()?;
    let referenced = read_key(&map.required("referencedColumns")?);
    if fields.is_empty() || fields.len() != referenced.len() {
        at.key_error("a foreign key has as many columns as it references", None);
        return None;
    }
    let on_delete = map.choice("onDelete", "action", ACTIONS).unwrap_or_default();
    let on_update = map.choice("onUpdate", "action", ACTIONS).unwrap_or_default();
    let name = map.text("name");
    Some(ReferenceDraft { at, name, fields, references, referenced, on_delete, on_update })
}

/// Puts what was read into the objects, once extensions have added their fields.
pub(in crate::load) fn add_tables(snapshot: &mut Snapshot, drafts: Vec<TableDraft<'_>>) {
    for draft in drafts {
        let Some(object) = snapshot.objects.get(&draft.object) else {
            let near = nearest(&draft.object, snapshot.objects.keys().map(String::as_str));
            draft.at.unresolved(
                format!("object '{}' is not defined", draft.object),
                near.map(|near| format!("Did you mean '{near}'?")),
            );
            continue;
        };
        let mut changed = Object::clone(object);
        draft.apply(&mut changed, true);
        changed.foreign_keys = draft.references(snapshot, &changed);
        let foreign_keys = changed.foreign_keys.clone();
        snapshot.objects.insert(draft.object.clone(), Arc::new(changed));
        // What an extension is taken from again, when another one comes or goes.
        if let Some(extended) = snapshot.extended.get_mut(&draft.object) {
            let base = Arc::make_mut(&mut extended.base);
            draft.apply(base, false);
            base.foreign_keys.clone_from(&foreign_keys);
        }
        Arc::make_mut(&mut snapshot.digests).remove(&object_key(&draft.object));
    }
}

impl TableDraft<'_> {
    fn apply(&self, object: &mut Object, says_errors: bool) {
        for (name, ColumnType { value_type, text_type }, at) in &self.column_types {
            match object.fields.get_mut(name) {
                Some(field) => {
                    if says_errors && !holds(field, *value_type) {
                        let kind = field.field_type.name();
                        at.error_with(
                            format!("a {kind} field cannot be a column of type {}", value_type.pg_type().sql_name()),
                            "Declare another field type, or leave the column type out.",
                        );
                    }
                    let bytes = matches!(value_type, ValueType::Binary | ValueType::List(ItemType::Binary));
                    if says_errors && field.masking_rule.is_some() && bytes {
                        let hint = "Hide the field from permission sets instead.";
                        at.error_with(format!("'{name}' has a mask, and bytes have no text to mask"), hint);
                    }
                    field.column_type = Some(*value_type);
                    field.text_type.clone_from(text_type);
                }
                None if says_errors => unknown_field(object, name, at),
                None => {}
            }
        }
        for (name, enum_type, at) in &self.enums {
            match object.fields.get_mut(name) {
                Some(field) if field.value_type() == ValueType::Text => field.enum_type = Some(enum_type.clone()),
                Some(field) if says_errors => {
                    at.error(format!("a {} field cannot be an enum", field.field_type.name()));
                }
                None if says_errors => unknown_field(object, name, at),
                Some(_) | None => {}
            }
        }
        object.file.clone_from(&self.file);
        object.primary_key = known(object, &self.primary_key.fields, says_errors);
        object.has_no_key = self.has_no_key;
        object.primary_key_name.clone_from(&self.primary_key.name);
        let unique = self.unique_keys.iter().map(|key| UniqueKey {
            name: key.name.clone(),
            fields: known(object, &key.fields, says_errors),
            is_index: key.is_index,
        });
        object.unique_keys = unique.filter(|key| !key.fields.is_empty()).collect();
    }

    fn references(&self, snapshot: &Snapshot, object: &Object) -> Vec<ForeignKey> {
        let reference = |draft: &ReferenceDraft<'_>| {
            let Some(target) = snapshot.objects.get(&draft.references) else {
                let near = nearest(&draft.references, snapshot.objects.keys().map(String::as_str));
                let message = format!("the referenced object '{}' is not defined", draft.references);
                draft.at.unresolved(message, near.map(|near| format!("Did you mean '{near}'?")));
                return None;
            };
            let (fields, referenced_fields) =
                (known(object, &draft.fields, true), known(target, &draft.referenced, true));
            let whole = !fields.is_empty() && !referenced_fields.is_empty();
            let (on_delete, on_update) = (draft.on_delete, draft.on_update);
            let (name, references) = (draft.name.clone(), draft.references.clone());
            whole.then_some(ForeignKey { name, fields, references, referenced_fields, on_delete, on_update })
        };
        self.foreign_keys.iter().filter_map(reference).collect()
    }
}

/// The fields of a key. Empty where one is missing: rows that differ only in it would be taken for one.
fn known(object: &Object, key: &[(String, At<'_>)], says_errors: bool) -> Vec<String> {
    let mut whole = true;
    for (name, at) in key {
        if !object.fields.get(name).is_some_and(Field::stored) {
            whole = false;
            if says_errors {
                unknown_field(object, name, at);
            }
        }
    }
    if whole { key.iter().map(|(name, _)| name.clone()).collect() } else { Vec::new() }
}

fn unknown_field(object: &Object, name: &str, at: &At<'_>) {
    let near = nearest(name, object.fields.keys().map(String::as_str));
    at.unresolved(
        format!("'{name}' is not a stored field of '{}'", object.name),
        near.map(|near| format!("Did you mean '{near}'?")),
    );
}

/// Columns that rules compare with an id hold ids: texts, or numbers that are never rounded.
pub(in crate::load) fn check_anchors(snapshot: &Snapshot, from: &[(String, At<'_>)]) {
    for (name, at) in from {
        let Some(object) = snapshot.objects.get(name) else { continue };
        for anchor in ANCHORS {
            let Some(field) = object.fields.get(*anchor).filter(|field| field.stored()) else { continue };
            if field.value_type().is_read_from_text() {
                at.key_error(
                    format!(
                        "'{anchor}' of '{name}' must hold an id, which rules compare, and no rule compares a {}",
                        field.value_type().sql_name()
                    ),
                    Some("Name its digits: numeric(38,0).".to_owned()),
                );
            } else if field.field_type == FieldType::Number && !field.value_type().is_exact() {
                at.key_error(
                    format!("'{anchor}' of '{name}' must hold one id, and a rounded number is none"),
                    Some("Give it precision and scale, or its column's type.".to_owned()),
                );
            }
        }
    }
}

/// Whether a field of this type may be a column of that one: filters, masks and rules read it by its field type.
fn holds(field: &Field, value_type: ValueType) -> bool {
    use FieldType as F;
    use ValueType as V;
    if field.multiple && field.field_type.may_be_multiple() {
        return matches!(value_type, V::TextList | V::Json | V::JsonText);
    }
    match field.field_type {
        // Ids, codes and texts: whole numbers are compared as numbers.
        F::Text => matches!(
            value_type,
            V::Text
                | V::Uuid
                | V::Coded(_)
                | V::Network { .. }
                | V::Int16
                | V::Int32
                | V::Int64
                | V::Decimal { scale: 0, .. }
                | V::Interval
                | V::TimeTz
                | V::Binary
        ),
        F::Lookup | F::MasterDetail | F::Tree | F::User | F::Select | F::Radio | F::Autonumber => {
            matches!(value_type, V::Text | V::Uuid | V::Int16 | V::Int32 | V::Int64 | V::Decimal { scale: 0, .. })
        }
        F::Textarea
        | F::Markdown
        | F::Html
        | F::Richtext
        | F::Code
        | F::Email
        | F::Url
        | F::Phone
        | F::Password
        | F::Secret
        | F::Signature
        | F::Qrcode
        | F::Color => value_type == V::Text,
        F::Number | F::Currency | F::Percent | F::Rating | F::Slider | F::Progress | F::Summary => {
            matches!(
                value_type,
                V::Int16 | V::Int32 | V::Int64 | V::Float32 | V::Float64 | V::Decimal { .. } | V::Numeric { .. }
            )
        }
        F::Boolean | F::Toggle => value_type == V::Boolean,
        F::Date => value_type == V::Date,
        F::Datetime => matches!(value_type, V::Timestamp { .. } | V::TimestampMillisUtc),
        F::Time => value_type == V::Time,
        F::Multiselect | F::Checkboxes | F::Tags => value_type == V::TextList,
        F::Image | F::File | F::Avatar | F::Video | F::Audio => matches!(value_type, V::Text | V::Binary),
        // Rules look into neither.
        F::Json => matches!(value_type, V::Json | V::JsonText | V::List(_)),
        F::Location | F::Address | F::Composite | F::Record | F::Repeater => {
            matches!(value_type, V::Json | V::JsonText)
        }
        F::Vector => matches!(value_type, V::Float32Vector(_)),
        F::Formula => false,
    }
}
