//! Fills the image of `pg_catalog` from what a principal sees: comments from labels and help, keys from references,
//! enums as the metadata declares them.

use crate::deployment::Deployment;
use crate::live::LiveTable;
use crate::principal::VisibleObject;
use crate::write_rights::WriteRights;
use arrow::datatypes::{DataType, Field as ArrowField, SchemaRef};
use datafusion::catalog::TableProvider;
use querygate_metadata::model::{DeleteBehavior, EnumType as Declared, Field, UniqueKey, ValueType};
use querygate_pg_catalog::image::{
    CatalogImage, Column, EnumType, ForeignKey, Index, IndexColumn, Key, Relation, RelationKind, Role, Schema,
};
use querygate_pg_catalog::{OidSpace, quote_ident};
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{PgType, ReferentialAction};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A view bound with the reader's rights.
#[derive(Debug, Clone)]
pub struct BoundView {
    pub schema: String,
    pub name: String,
    pub comment: Option<String>,
    pub provider: Arc<dyn TableProvider>,
}

/// What every session calls the schema of its own temporary tables.
pub const TEMPORARY: &str = "pg_temp";

/// Tables of one session, which it finds before all others.
#[derive(Debug, Clone)]
pub struct TemporarySchema {
    /// Unlike that of any other session: `pg_temp_7`. Statements also call it `pg_temp`.
    pub name: String,
    /// Its tables, as the system catalog tells them.
    pub tables: Vec<Relation>,
    /// What is read, by schema and name: those tables and what changes of them are computed of.
    pub providers: Vec<(String, String, Arc<dyn TableProvider>)>,
}

/// Owner of every object in the catalog.
const OWNER: &str = "querygate";

pub(crate) fn image(
    rights: &WriteRights<'_>,
    objects: &[VisibleObject],
    views: &[BoundView],
    live: &[(&'static str, Arc<LiveTable>)],
    temporary: Option<&TemporarySchema>,
) -> CatalogImage {
    let WriteRights { deployment, principal, .. } = *rights;
    let oids = oid_space(deployment);
    let mut schemas: BTreeMap<String, Schema> = BTreeMap::new();
    let mut add = |schema: &str, relation: Relation| {
        let entry =
            schemas.entry(schema.to_owned()).or_insert_with(|| Schema { name: schema.to_owned(), ..Schema::default() });
        entry.relations.push(relation);
    };
    let by_name: ByName<'_> = objects.iter().map(|visible| (visible.object.name.as_str(), visible)).collect();
    let enums = EnumNames::of(deployment);
    let mut seen = BTreeMap::new();
    for object in objects {
        let mut relation = object_relation(object, &by_name, &oids);
        rights.tell(object, &mut relation);
        for (column, field) in relation.columns.iter_mut().zip(object.fields()) {
            if let (Some(own), PgType::Text, true) = (&field.enum_type, column.pg_type, is_open(object, &field.name))
                && let Some(name) = enums.0.get(own)
            {
                column.enum_type = Some(("public".to_owned(), name.clone()));
                seen.insert(name.clone(), own.labels.clone());
            }
        }
        add("public", relation);
    }
    for view in views {
        let mut relation = schema_relation(&view.name, RelationKind::View, &view.provider.schema());
        relation.comment.clone_from(&view.comment);
        relation.temporary = temporary.is_some_and(|own| own.name == view.schema);
        relation.definition = view.provider.get_table_definition().map(statement);
        add(&view.schema, relation);
    }
    if let Some(own) = temporary {
        own.tables.iter().for_each(|table| add(&own.name, table.clone()));
    }
    for (name, table) in live {
        let mut relation = schema_relation(name, RelationKind::View, &table.schema());
        relation.definition = Some(shape(&relation.columns));
        add("querygate", relation);
    }
    schemas.entry("public".to_owned()).or_insert_with(|| Schema { name: "public".to_owned(), ..Schema::default() });
    if let Some(public) = schemas.get_mut("public") {
        let enums = seen.into_iter().map(|(name, labels)| EnumType { name, labels, comment: None });
        public.enums = enums.collect();
    }
    let comments = [
        ("public", "Objects of the metadata that you may read"),
        ("querygate", "What the gate knows of itself: statements, sources, policies"),
    ];
    for (name, comment) in comments {
        if let Some(schema) = schemas.get_mut(name) {
            schema.comment = Some(comment.to_owned());
        }
    }
    CatalogImage {
        database: deployment.database.clone(),
        database_comment: None,
        user: principal.login.clone(),
        owner: OWNER.to_owned(),
        roles: vec![
            Role { name: principal.login.clone(), superuser: false, login: true, member_of: Vec::new(), comment: None },
            Role { name: OWNER.to_owned(), superuser: false, login: false, member_of: Vec::new(), comment: None },
        ],
        schemas: schemas.into_values().collect(),
        search_path: temporary.map(|own| own.name.clone()).into_iter().chain(["public".to_owned()]).collect(),
        server_version: "15.0 (Querygate)".to_owned(),
        version_text: "PostgreSQL 15.0 (Querygate) on x86_64, compiled by rustc, 64-bit".to_owned(),
        settings: Vec::new(),
        tells_outer_names: !deployment.deny_hidden_columns && hides_columns(deployment),
    }
}

/// Whether some reader may not read some column. It is the same for all readers, who learn nothing by it of a table.
fn hides_columns(deployment: &Deployment) -> bool {
    let mut rights = deployment.snapshot.permission_sets.values().flat_map(|set| &set.fields);
    let mut fields = deployment.snapshot.objects.values().flat_map(|object| object.fields.values());
    rights.any(|(_, fields)| fields.values().any(|right| !right.readable))
        || fields.any(|field| field.internal || !field.required_permissions.is_empty())
}

/// Whether a reader sees the field's own values.
fn is_open(visible: &VisibleObject, field: &str) -> bool {
    !visible.table.columns().iter().any(|column| column.mask.is_some() && column.field.name() == field)
}

/// What each enum of the snapshot is called, for every reader: several sources may have one name for different labels.
struct EnumNames<'a>(BTreeMap<&'a Declared, String>);

impl<'a> EnumNames<'a> {
    fn of(deployment: &'a Deployment) -> Self {
        let fields = deployment.snapshot.objects.values().flat_map(|object| object.fields.values());
        let declared: BTreeSet<&Declared> = fields.filter_map(|field| field.enum_type.as_ref()).collect();
        let mut taken = BTreeSet::new();
        let named = declared.into_iter().map(|own| {
            let names =
                std::iter::once(own.name.clone()).chain((2..).map(|number: u32| format!("{}_{number}", own.name)));
            let name = names.into_iter().find(|name| taken.insert(name.clone())).unwrap_or_default();
            (own, name)
        });
        Self(named.collect())
    }
}

/// Numbers over all objects of the snapshot, so that they do not depend on what a principal sees.
fn oid_space(deployment: &Deployment) -> OidSpace {
    let names = deployment.sql_names();
    OidSpace::over(names.keys().map(|name| ("public", name.as_str())))
}

/// What is visible, by the object's own name.
type ByName<'a> = HashMap<&'a str, &'a VisibleObject>;

fn object_relation(visible: &VisibleObject, all: &ByName<'_>, oids: &OidSpace) -> Relation {
    let object = &visible.object;
    let masked: Vec<&str> =
        visible.table.columns().iter().filter(|c| c.mask.is_some()).map(|c| c.field.name().as_str()).collect();
    // As the source declares it.
    let never_null: Vec<&str> = visible
        .table
        .columns()
        .iter()
        .filter(|column| !column.field.is_nullable())
        .map(|column| column.field.name().as_str())
        .collect();
    let withheld = Withheld::of(visible);
    let key_fields: Vec<&str> = object.key().iter().map(|field| field.name.as_str()).collect();
    let columns: Vec<Column> = visible
        .fields()
        .enumerate()
        // Numbers among the visible columns: a gap would tell how many are hidden, and where.
        .map(|(place, field)| {
            let not_null = key_fields.contains(&field.name.as_str()) || never_null.contains(&field.name.as_str());
            column(field, &withheld, place + 1, masked.contains(&field.name.as_str()), not_null)
        })
        .collect();
    let has = |name: &str| columns.iter().any(|c| c.name == name);
    let shown = !key_fields.is_empty() && key_fields.iter().all(|name| has(name) && !masked.contains(name));
    let key_columns = key_fields.iter().map(|name| (*name).to_owned()).collect();
    let key = shown.then(|| Key { name: withheld.of_key(object.primary_key_name.as_ref()), columns: key_columns });
    let mut foreign_keys: Vec<ForeignKey> =
        object.foreign_keys.iter().filter_map(|key| declared_key(key, &columns, &withheld, all)).collect();
    let references = visible.fields().filter_map(|field| foreign_key(field, all));
    // What is declared of a reference's own column says more.
    let undeclared: Vec<ForeignKey> =
        references.filter(|key| foreign_keys.iter().all(|other| other.columns != key.columns)).collect();
    foreign_keys.extend(undeclared);
    let open = |name: &String| has(name) && !masked.contains(&name.as_str());
    let (unique_indexes, unique): (Vec<&UniqueKey>, Vec<&UniqueKey>) =
        object.unique_keys.iter().filter(|key| key.fields.iter().all(open)).partition(|key| key.is_index);
    let unique = unique
        .iter()
        .map(|key| Key { name: withheld.of_key(key.name.as_ref()), columns: key.fields.clone() })
        .collect();
    let unique_indexes = unique_indexes.iter().map(|key| Index {
        name: withheld
            .of_key(key.name.as_ref())
            .unwrap_or_else(|| format!("{}_{}_idx", visible.sql_name, key.fields.join("_"))),
        unique: true,
        columns: ascending(&key.fields),
    });
    let indexes = object
        .indexes
        .iter()
        .filter(|index| !index.fields.is_empty() && index.fields.iter().all(|f| has(f)))
        // Numbers among the visible ones, as those of columns.
        .enumerate()
        .map(|(n, index)| Index {
            name: withheld
                .of_key(index.name.as_ref())
                .unwrap_or_else(|| format!("{}_{}_idx{n}", visible.sql_name, index.fields.join("_"))),
            unique: false,
            columns: ascending(&index.fields),
        })
        .chain(unique_indexes)
        .collect();
    Relation {
        name: visible.sql_name.clone(),
        kind: RelationKind::Table,
        oid: oids.relation("public", &visible.sql_name).unwrap_or(0),
        comment: Some(comment(&object.label, withheld.of_object(object.description.as_deref()))),
        columns,
        primary_key: key,
        unique,
        foreign_keys,
        indexes,
        named: visible.named.as_ref().map(|named| named.names()),
        ..Relation::default()
    }
}

fn ascending(fields: &[String]) -> Vec<IndexColumn> {
    fields.iter().map(|field| IndexColumn { name: field.clone(), descending: false }).collect()
}

fn column(field: &Field, withheld: &Withheld, number: usize, masked: bool, not_null: bool) -> Column {
    let value_type = field.value_type();
    let pg_type = field.pg_type();
    let mut column = Column::new(&field.name, if masked { masked_type(pg_type) } else { pg_type });
    column.attnum = i16::try_from(number).unwrap_or(0);
    column.not_null = (field.not_null || not_null) && !masked;
    column.comment = Some(comment(&field.label, withheld.of_field(field.description.as_deref())));
    let item = if let ValueType::List(item) = value_type { item.value_type() } else { value_type };
    if let ValueType::Decimal { precision, scale } = item
        && !masked
    {
        column.typmod = numeric_modifier(u16::from(precision), i16::from(scale));
    }
    if let (ValueType::Numeric { bounds: Some((precision, scale)) }, false) = (value_type, masked) {
        column.typmod = numeric_modifier(precision, scale);
    }
    if let (ValueType::Coded(coded), false) = (value_type, masked) {
        column.typmod = coded.modifier();
    }
    if let (Some(declared), false) = (&field.text_type, masked) {
        column.typmod = declared.modifier();
    }
    column
}

/// A mask is text; of a list, a list of texts.
fn masked_type(stored: PgType) -> PgType {
    if stored.element().is_some() { PgType::TextArray } else { PgType::Text }
}

/// `atttypmod` of numeric(precision, scale).
fn numeric_modifier(precision: u16, scale: i16) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

/// What descriptions may not tell: people write them for those who see everything.
struct Withheld {
    any: bool,
    /// Names and labels of the object's fields that the reader does not see, as words in lower case.
    words: Vec<Vec<String>>,
}

impl Withheld {
    fn of(visible: &VisibleObject) -> Self {
        let hidden = visible.decision.hidden_fields();
        let named = hidden.iter().flat_map(|name| {
            let label = visible.object.field(name).map(|field| field.label.as_str());
            [Some(name.as_str()), label].into_iter().flatten().map(words)
        });
        Self { any: !hidden.is_empty(), words: named.filter(|words| !words.is_empty()).collect() }
    }

    /// An object's description speaks of any of its fields, in any words: a reader who does not see all fields does not get it.
    fn of_object<'a>(&self, description: Option<&'a str>) -> Option<&'a str> {
        description.filter(|_| !self.any)
    }

    /// A key's or an index's name is often made of columns' names, and of those that it only includes.
    fn of_key(&self, name: Option<&String>) -> Option<String> {
        name.filter(|_| !self.any).cloned()
    }

    /// A field's speaks of the field, unless it names another one.
    fn of_field<'a>(&self, description: Option<&'a str>) -> Option<&'a str> {
        description.filter(|text| {
            let text = words(text);
            !self.words.iter().any(|name| text.windows(name.len()).any(|part| part == name))
        })
    }
}

/// `unit_price`, `unit price` and `Unit-Price` are the same words.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn comment(label: &str, help: Option<&str>) -> String {
    match help {
        Some(help) if !help.is_empty() => format!("{label}: {help}"),
        _ => label.to_owned(),
    }
}

fn foreign_key(field: &Field, all: &ByName<'_>) -> Option<ForeignKey> {
    if field.multiple {
        return None;
    }
    let target = field.reference.as_deref()?;
    let other = all.get(target)?;
    let key = other.object.referenced_field()?.name.clone();
    other.fields().find(|f| f.name == key)?;
    Some(ForeignKey {
        name: None,
        columns: vec![field.name.clone()],
        references: ("public".to_owned(), other.sql_name.clone()),
        referenced_columns: vec![key],
        on_delete: match field.delete_behavior {
            Some(DeleteBehavior::Cascade) => ReferentialAction::Cascade,
            Some(DeleteBehavior::Restrict) => ReferentialAction::Restrict,
            Some(DeleteBehavior::SetNull) => ReferentialAction::SetNull,
            None => ReferentialAction::NoAction,
        },
        on_update: ReferentialAction::NoAction,
    })
}

/// A declared key, where all of both sides are visible.
fn declared_key(
    key: &querygate_metadata::model::ForeignKey,
    columns: &[Column],
    withheld: &Withheld,
    all: &ByName<'_>,
) -> Option<ForeignKey> {
    let other = all.get(key.references.as_str())?;
    let here = key.fields.iter().all(|name| columns.iter().any(|column| column.name == *name));
    let there = key.referenced_fields.iter().all(|name| other.fields().any(|field| field.name == *name));
    let theirs = Withheld::of(other);
    (here && there).then(|| ForeignKey {
        name: withheld.of_key(theirs.of_key(key.name.as_ref()).as_ref()),
        columns: key.fields.clone(),
        references: ("public".to_owned(), other.sql_name.clone()),
        referenced_columns: key.referenced_fields.clone(),
        on_delete: key.on_delete,
        on_update: key.on_update,
    })
}

/// As PostgreSQL tells a view's text: with the semicolon, which clients cut off.
fn statement(text: &str) -> String {
    let text = text.trim_end().trim_end_matches(';').trim_end();
    // The last line may be a comment.
    format!("{text}{};", if text.contains("--") { "\n" } else { "" })
}

/// No SQL says what the gate knows of itself. A dump needs a text: the columns, and no rows.
fn shape(columns: &[Column]) -> String {
    let column = |column: &Column| format!("NULL::{} AS {}", column.pg_type.sql_name(), quote_ident(&column.name));
    format!("SELECT {} WHERE false;", columns.iter().map(column).collect::<Vec<_>>().join(", "))
}

fn schema_relation(name: &str, kind: RelationKind, schema: &SchemaRef) -> Relation {
    let columns = schema.fields().iter().map(|field| Column::new(field.name(), pg_type(field))).collect();
    Relation { name: name.to_owned(), kind, columns, ..Relation::default() }
}

/// Types that views and the gate's own tables can have.
fn pg_type(field: &ArrowField) -> PgType {
    if let Some(named) = field.metadata().get(crate::arrow_types::PG_TYPE_KEY).and_then(|n| PgType::from_name(n)) {
        return named;
    }
    match field.data_type() {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::Int2,
        DataType::Int32 | DataType::UInt16 => PgType::Int4,
        DataType::Int64 | DataType::UInt32 => PgType::Int8,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => PgType::Numeric,
        DataType::Float16 | DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::Date32 | DataType::Date64 => PgType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time,
        DataType::Timestamp(_, None) => PgType::Timestamp,
        DataType::Timestamp(_, Some(_)) => PgType::Timestamptz,
        DataType::Interval(_) | DataType::Duration(_) => PgType::Interval,
        keys if *keys == TimeTz::ARROW => PgType::Timetz,
        keys if *keys == NETWORK => PgType::Inet,
        DataType::List(item) => pg_type(item).array().unwrap_or(PgType::TextArray),
        _ => PgType::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_end_as_postgresql_ends_them() {
        for (text, expected) in [
            ("SELECT 1 AS a WHERE b <> 'c'", "SELECT 1 AS a WHERE b <> 'c';"),
            ("SELECT 1; \n", "SELECT 1;"),
            ("SELECT 1 -- one", "SELECT 1 -- one\n;"),
        ] {
            assert_eq!(statement(text), expected);
        }
        let columns = [Column::new("id", PgType::Int8), Column::new("Was", PgType::Timestamptz)];
        assert_eq!(
            shape(&columns),
            "SELECT NULL::bigint AS id, NULL::timestamp with time zone AS \"Was\" WHERE false;"
        );
    }

    #[test]
    fn a_description_that_names_a_hidden_field_is_withheld() {
        let withheld = Withheld {
            any: true,
            words: vec![words("unit_cost"), words("Unit cost"), words("bonus"), words("Prämie")],
        };
        for text in ["In euro.", "Unit price", "Costs per unit", "bonuses", ""] {
            assert_eq!(withheld.of_field(Some(text)), Some(text));
        }
        for text in ["unit_cost times two", "Price less UNIT COST.", "With the bonus", "ohne PRÄMIE", "Bonus"] {
            assert_eq!(withheld.of_field(Some(text)), None, "{text}");
        }
        assert_eq!(withheld.of_object(Some("What we sell.")), None);
        let nothing = Withheld { any: false, words: Vec::new() };
        assert_eq!(nothing.of_object(Some("What we sell.")), Some("What we sell."));
        assert_eq!((nothing.of_field(Some("bonus")), nothing.of_field(None)), (Some("bonus"), None));
    }
}
