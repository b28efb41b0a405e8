//! The image with object ids given out: what rows and functions look names and ids up in.
//! Knows neither Arrow nor DataFusion.

use super::image::{
    CatalogImage, Check, Column, EnumType, ForeignKey, Index, Key, Relation, RelationKind, TablePrivileges,
};
use super::layout::{Layout, layouts};
use super::names::{INFORMATION_SCHEMA, PG_CATALOG, RoleObject, SchemaObject, roles, schemas};
use super::oid::{Allocator, ObjectClass, stable_oid};
use super::sequences::{Numbered, SequenceObject, sequences};
use super::types::TypeTable;
use querygate_types::ReferentialAction;
use std::collections::{HashMap, HashSet};

/// A column, whichever relation it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct ColumnObject {
    pub(crate) name: String,
    pub(crate) attnum: i16,
    pub(crate) type_oid: u32,
    pub(crate) typmod: i32,
    pub(crate) not_null: bool,
    pub(crate) comment: Option<String>,
    pub(crate) default: Option<String>,
    /// `attidentity`: empty, `d` or `a`.
    pub(crate) identity: &'static str,
    pub(crate) generated: bool,
    pub(crate) default_oid: u32,
    pub(crate) insertable: bool,
    pub(crate) updatable: bool,
}

impl ColumnObject {
    /// Rights on the column, as PostgreSQL calls them.
    pub(crate) fn privileges(&self, of: &RelationObject) -> Vec<&'static str> {
        let (insert, update) = (self.insertable || of.privileges.insert, self.updatable || of.privileges.update);
        let all = [(true, "SELECT"), (insert, "INSERT"), (update, "UPDATE")];
        all.into_iter().filter(|(held, _)| *held).map(|(_, name)| name).collect()
    }
}

/// A relation (not an index) with ids of itself and its parts.
#[derive(Debug, Clone)]
pub(crate) struct RelationObject {
    pub(crate) oid: u32,
    pub(crate) row_type: u32,
    pub(crate) row_array: u32,
    pub(crate) schema_oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `relkind`.
    pub(crate) kind: char,
    /// `relpersistence`.
    pub(crate) persistence: char,
    pub(crate) comment: Option<String>,
    pub(crate) definition: Option<String>,
    pub(crate) columns: Vec<ColumnObject>,
    pub(crate) row_estimate: Option<f32>,
    pub(crate) privileges: TablePrivileges,
    /// One of PostgreSQL's own.
    pub(crate) system: bool,
}

impl RelationObject {
    pub(crate) fn column(&self, attnum: i16) -> Option<&ColumnObject> {
        self.columns.iter().find(|c| c.attnum == attnum)
    }
    /// Rights on the whole relation, as PostgreSQL calls them.
    pub(crate) fn privileges(&self) -> Vec<&'static str> {
        let TablePrivileges { insert, update, delete } = self.privileges;
        let all = [(true, "SELECT"), (insert, "INSERT"), (update, "UPDATE"), (delete, "DELETE")];
        all.into_iter().filter(|(held, _)| *held).map(|(_, name)| name).collect()
    }
    /// Whether a row can be stored in it at all.
    pub(crate) fn is_insertable(&self) -> bool {
        self.columns.iter().any(|column| column.insertable)
    }
    fn attnums(&self, names: &[String]) -> Option<Vec<i16>> {
        names.iter().map(|n| self.columns.iter().find(|c| c.name == *n).map(|c| c.attnum)).collect()
    }
}

/// An index with its own `pg_class` row.
#[derive(Debug, Clone)]
pub(crate) struct IndexObject {
    pub(crate) oid: u32,
    pub(crate) name: String,
    /// Position in [`Objects::relations`].
    pub(crate) relation: usize,
    pub(crate) columns: Vec<(i16, bool)>,
    pub(crate) unique: bool,
    pub(crate) primary: bool,
}

/// A constraint.
#[derive(Debug, Clone)]
pub(crate) struct ConstraintObject {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) relation: usize,
    /// `contype`: p, u, f or c.
    pub(crate) kind: char,
    pub(crate) columns: Vec<i16>,
    /// Position of the index in [`Objects::indexes`] that carries it (for `f`: the referenced key's).
    pub(crate) index: Option<usize>,
    pub(crate) referenced: Option<(usize, Vec<i16>)>,
    pub(crate) on_delete: ReferentialAction,
    pub(crate) on_update: ReferentialAction,
    pub(crate) expression: Option<String>,
}

/// An enum type.
#[derive(Debug, Clone)]
pub(crate) struct EnumObject {
    pub(crate) oid: u32,
    pub(crate) array_oid: u32,
    pub(crate) schema_oid: u32,
    pub(crate) name: String,
    pub(crate) labels: Vec<(u32, String)>,
    pub(crate) comment: Option<String>,
}

/// Everything with ids, and the ways to find it.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    pub(crate) image: CatalogImage,
    pub(crate) database_oid: u32,
    pub(crate) roles: Vec<RoleObject>,
    pub(crate) schemas: Vec<SchemaObject>,
    pub(crate) relations: Vec<RelationObject>,
    pub(crate) indexes: Vec<IndexObject>,
    pub(crate) constraints: Vec<ConstraintObject>,
    pub(crate) sequences: Vec<SequenceObject>,
    pub(crate) enums: Vec<EnumObject>,
    pub(crate) types: TypeTable,
    relation_by_oid: HashMap<u32, usize>,
    relation_by_name: HashMap<(String, String), usize>,
    index_by_oid: HashMap<u32, usize>,
    /// Schemas may have indexes of one name.
    index_by_name: HashMap<String, Vec<usize>>,
    constraint_by_oid: HashMap<u32, usize>,
}

impl Objects {
    /// `served`: whether a system relation, by schema and name, has rows here.
    pub(crate) fn new(image: CatalogImage, served: fn(&str, &str) -> bool) -> Self {
        let mut ids = Allocator::default();
        let database_oid = ids.take(stable_oid(ObjectClass::Database, &[&image.database]));
        let roles = roles(&image, &mut ids);
        let schemas = schemas(&image, &mut ids);
        let mut objects = Self {
            database_oid,
            roles,
            schemas,
            relations: layouts().iter().filter(|l| served(l.schema, l.name)).map(system_relation).collect(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            sequences: Vec::new(),
            enums: Vec::new(),
            types: TypeTable::builtin(),
            relation_by_oid: HashMap::new(),
            relation_by_name: HashMap::new(),
            index_by_oid: HashMap::new(),
            index_by_name: HashMap::new(),
            constraint_by_oid: HashMap::new(),
            image,
        };
        objects.add_enums(&mut ids);
        objects.add_relations(&mut ids);
        objects.add_keys(&mut ids);
        objects.index_names();
        objects.sequences = objects.identities(&mut ids);
        objects
    }

    pub(crate) fn schema_by_name(&self, name: &str) -> Option<&SchemaObject> {
        self.schemas.iter().find(|s| s.name == name)
    }
    pub(crate) fn schema(&self, oid: u32) -> Option<&SchemaObject> {
        self.schemas.iter().find(|s| s.oid == oid)
    }
    pub(crate) fn role(&self, oid: u32) -> Option<&RoleObject> {
        self.roles.iter().find(|r| r.oid == oid)
    }
    pub(crate) fn role_by_name(&self, name: &str) -> Option<&RoleObject> {
        self.roles.iter().find(|r| r.name == name)
    }
    pub(crate) fn relation(&self, oid: u32) -> Option<&RelationObject> {
        self.relation_by_oid.get(&oid).and_then(|i| self.relations.get(*i))
    }
    pub(crate) fn relation_in(&self, schema: &str, name: &str) -> Option<&RelationObject> {
        self.relation_by_name.get(&(schema.to_owned(), name.to_owned())).and_then(|i| self.relations.get(*i))
    }
    pub(crate) fn index(&self, oid: u32) -> Option<&IndexObject> {
        self.index_by_oid.get(&oid).and_then(|i| self.indexes.get(*i))
    }
    pub(crate) fn index_in(&self, schema: &str, name: &str) -> Option<&IndexObject> {
        let mut named = self.index_by_name.get(name)?.iter().filter_map(|at| self.indexes.get(*at));
        named.find(|index| self.relation_at(index.relation).is_some_and(|relation| relation.schema == schema))
    }
    pub(crate) fn sequence(&self, oid: u32) -> Option<&SequenceObject> {
        self.sequences.iter().find(|own| own.oid == oid)
    }
    pub(crate) fn sequence_in(&self, schema: &str, name: &str) -> Option<&SequenceObject> {
        let is_there = |own: &&SequenceObject| self.relation_at(own.relation).is_some_and(|of| of.schema == schema);
        self.sequences.iter().filter(|own| own.name == name).find(is_there)
    }
    /// Relations at either end of a foreign key: PostgreSQL keeps these by triggers, and clients ask for keys where there are some.
    pub(crate) fn in_foreign_keys(&self) -> HashSet<u32> {
        let ends = self.constraints.iter().filter(|constraint| constraint.kind == 'f').flat_map(|constraint| {
            [Some(constraint.relation), constraint.referenced.as_ref().map(|(other, _)| *other)]
        });
        ends.flatten().filter_map(|at| self.relation_at(at)).map(|relation| relation.oid).collect()
    }
    pub(crate) fn constraint(&self, oid: u32) -> Option<&ConstraintObject> {
        self.constraint_by_oid.get(&oid).and_then(|i| self.constraints.get(*i))
    }
    pub(crate) fn relation_at(&self, position: usize) -> Option<&RelationObject> {
        self.relations.get(position)
    }

    /// Schemas in which an unqualified name is looked up, `pg_catalog` first.
    pub(crate) fn search_path<'a>(&'a self, session: Option<&'a [String]>) -> Vec<&'a str> {
        let names = session.unwrap_or(&self.image.search_path).iter().map(String::as_str);
        let (own, declared): (Vec<_>, Vec<_>) = names.partition(|schema| schema.starts_with("pg_temp_"));
        let implicit = (!declared.contains(&"pg_catalog")).then_some("pg_catalog");
        let is_there = |name: &&str| *name == "pg_catalog" || self.schema_by_name(name).is_some();
        own.into_iter().chain(implicit).chain(declared).filter(is_there).collect()
    }

    fn add_enums(&mut self, ids: &mut Allocator) {
        for schema in &self.image.schemas {
            let Some(schema_oid) = self.schemas.iter().find(|s| s.name == schema.name).map(|s| s.oid) else { continue };
            for EnumType { name, labels, comment } in &schema.enums {
                let oid = ids.take(stable_oid(ObjectClass::Enum, &[&schema.name, name]));
                let array_oid = ids.take(stable_oid(ObjectClass::EnumArray, &[&schema.name, name]));
                let labels = labels.iter().map(|label| {
                    (ids.take(stable_oid(ObjectClass::EnumLabel, &[&schema.name, name, label])), label.clone())
                });
                let labels = labels.collect();
                self.types.add(oid, name, &schema.name, 0, array_oid);
                self.types.add(array_oid, &format!("_{name}"), &schema.name, oid, 0);
                self.enums.push(EnumObject {
                    oid,
                    array_oid,
                    schema_oid,
                    name: name.clone(),
                    labels,
                    comment: comment.clone(),
                });
            }
        }
    }

    fn add_relations(&mut self, ids: &mut Allocator) {
        for schema in &self.image.schemas {
            let Some(schema_oid) = self.schemas.iter().find(|s| s.name == schema.name).map(|s| s.oid) else { continue };
            for relation in &schema.relations {
                let path = [schema.name.as_str(), relation.name.as_str()];
                let wanted = if relation.oid == 0 { stable_oid(ObjectClass::Relation, &path) } else { relation.oid };
                let oid = ids.take(wanted);
                let row_type = ids.take(stable_oid(ObjectClass::RowType, &path));
                let row_array = ids.take(stable_oid(ObjectClass::RowTypeArray, &path));
                self.types.add(row_type, &relation.name, &schema.name, 0, row_array);
                self.types.add(row_array, &format!("_{}", relation.name), &schema.name, row_type, 0);
                let columns = relation.columns.iter().enumerate();
                let columns = columns.map(|(i, c)| column(c, i, &path, &self.types, ids)).collect();
                self.relations.push(RelationObject {
                    oid,
                    row_type,
                    row_array,
                    schema_oid,
                    schema: schema.name.clone(),
                    name: relation.name.clone(),
                    persistence: if relation.temporary { 't' } else { 'p' },
                    kind: match relation.kind {
                        RelationKind::Table => 'r',
                        RelationKind::View => 'v',
                        RelationKind::MaterializedView => 'm',
                        RelationKind::ForeignTable => 'f',
                    },
                    comment: relation.comment.clone(),
                    definition: relation.definition.clone(),
                    columns,
                    row_estimate: relation.row_estimate,
                    privileges: relation.privileges,
                    system: false,
                });
            }
        }
        self.relation_by_name =
            self.relations.iter().enumerate().map(|(i, r)| ((r.schema.clone(), r.name.clone()), i)).collect();
        self.relation_by_oid = self.relations.iter().enumerate().map(|(i, r)| (r.oid, i)).collect();
    }

    fn add_keys(&mut self, ids: &mut Allocator) {
        let image = self.image.clone();
        let relations = || image.schemas.iter().flat_map(|s| s.relations.iter().map(move |r| (s.name.as_str(), r)));
        for (schema, relation) in relations() {
            let Some(position) = self.relation_by_name.get(&(schema.to_owned(), relation.name.clone())).copied() else {
                continue;
            };
            if let Some(key) = &relation.primary_key {
                self.add_key(position, key, true, ids);
            }
            for key in &relation.unique {
                self.add_key(position, key, false, ids);
            }
            for index in &relation.indexes {
                self.add_index(position, index, ids);
            }
            for check in &relation.checks {
                self.add_check(position, check, ids);
            }
        }
        // Foreign keys refer to one of these, of whichever of thousands of tables.
        let mut unique_indexes: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, index) in self.indexes.iter().enumerate().filter(|(_, index)| index.unique) {
            unique_indexes.entry(index.relation).or_default().push(at);
        }
        for (schema, relation) in relations() {
            let Some(position) = self.relation_by_name.get(&(schema.to_owned(), relation.name.clone())).copied() else {
                continue;
            };
            for key in &relation.foreign_keys {
                self.add_foreign_key(position, relation, key, &unique_indexes, ids);
            }
        }
    }

    fn add_key(&mut self, relation: usize, key: &Key, primary: bool, ids: &mut Allocator) {
        let Some(table) = self.relations.get(relation) else { return };
        let Some(columns) = table.attnums(&key.columns) else { return };
        let name = key.shown_name(&table.name, primary);
        let path = [table.schema.as_str(), table.name.as_str(), name.as_str()];
        let index_oid = ids.take(stable_oid(ObjectClass::Index, &path));
        let oid = ids.take(stable_oid(ObjectClass::Constraint, &path));
        let index = Some(self.indexes.len());
        let on = columns.iter().map(|n| (*n, false)).collect();
        self.indexes.push(IndexObject {
            oid: index_oid,
            name: name.clone(),
            relation,
            columns: on,
            unique: true,
            primary,
        });
        let kind = if primary { 'p' } else { 'u' };
        self.constraints.push(ConstraintObject { index, ..constraint(oid, name, relation, kind, columns) });
    }

    fn add_index(&mut self, relation: usize, index: &Index, ids: &mut Allocator) {
        let Some(table) = self.relations.get(relation) else { return };
        let names: Vec<String> = index.columns.iter().map(|c| c.name.clone()).collect();
        let Some(numbers) = table.attnums(&names) else { return };
        let oid = ids.take(stable_oid(ObjectClass::Index, &[&table.schema, &table.name, &index.name]));
        let columns = numbers.into_iter().zip(index.columns.iter().map(|c| c.descending)).collect();
        let name = index.name.clone();
        self.indexes.push(IndexObject { oid, name, relation, columns, unique: index.unique, primary: false });
    }

    fn add_check(&mut self, relation: usize, check: &Check, ids: &mut Allocator) {
        let Some(table) = self.relations.get(relation) else { return };
        let Some(columns) = table.attnums(&check.columns) else { return };
        let oid = ids.take(stable_oid(ObjectClass::Constraint, &[&table.schema, &table.name, &check.name]));
        let expression = Some(check.expression.clone());
        self.constraints
            .push(ConstraintObject { expression, ..constraint(oid, check.name.clone(), relation, 'c', columns) });
    }

    fn add_foreign_key(
        &mut self,
        relation: usize,
        declared: &Relation,
        key: &ForeignKey,
        unique_indexes: &HashMap<usize, Vec<usize>>,
        ids: &mut Allocator,
    ) {
        let Some(other) = self.relation_by_name.get(&key.references).copied() else { return };
        let (Some(table), Some(target)) = (self.relations.get(relation), self.relations.get(other)) else { return };
        let (Some(columns), Some(referenced)) = (table.attnums(&key.columns), target.attnums(&key.referenced_columns))
        else {
            return;
        };
        let name = key.shown_name(&declared.name);
        let oid = ids.take(stable_oid(ObjectClass::Constraint, &[&table.schema, &table.name, &name]));
        let of_target = unique_indexes.get(&other).into_iter().flatten();
        let index = of_target
            .copied()
            .find(|at| self.indexes.get(*at).is_some_and(|i| i.columns.iter().map(|c| &c.0).eq(&referenced)));
        self.constraints.push(ConstraintObject {
            index,
            referenced: Some((other, referenced)),
            on_delete: key.on_delete,
            on_update: key.on_update,
            ..constraint(oid, name, relation, 'f', columns)
        });
    }

    fn identities(&self, ids: &mut Allocator) -> Vec<SequenceObject> {
        let columns = self.relations.iter().enumerate().flat_map(|(relation, of)| {
            let columns = of.columns.iter().filter(|column| !column.identity.is_empty());
            columns.map(move |column| Numbered {
                path: [of.schema.as_str(), of.name.as_str(), column.name.as_str()],
                relation,
                attnum: column.attnum,
                type_oid: column.type_oid,
            })
        });
        let is_taken = |schema: &str, name: &str| {
            self.relation_in(schema, name).is_some() || self.index_in(schema, name).is_some()
        };
        sequences(columns, is_taken, ids)
    }

    fn index_names(&mut self) {
        for (at, index) in self.indexes.iter().enumerate() {
            self.index_by_name.entry(index.name.clone()).or_default().push(at);
        }
        self.index_by_oid = self.indexes.iter().enumerate().map(|(i, x)| (x.oid, i)).collect();
        self.constraint_by_oid = self.constraints.iter().enumerate().map(|(i, x)| (x.oid, i)).collect();
    }
}

fn constraint(oid: u32, name: String, relation: usize, kind: char, columns: Vec<i16>) -> ConstraintObject {
    ConstraintObject {
        oid,
        name,
        relation,
        kind,
        columns,
        index: None,
        referenced: None,
        on_delete: ReferentialAction::NoAction,
        on_update: ReferentialAction::NoAction,
        expression: None,
    }
}

fn column(column: &Column, index: usize, path: &[&str; 2], types: &TypeTable, ids: &mut Allocator) -> ColumnObject {
    use super::image::Generation;
    let position = i16::try_from(index + 1).unwrap_or(i16::MAX);
    let declared = column.enum_type.as_ref().and_then(|(schema, name)| types.find(schema, name));
    let identity = match column.generation {
        Generation::None | Generation::Stored => "",
        Generation::IdentityByDefault => "d",
        Generation::IdentityAlways => "a",
    };
    ColumnObject {
        name: column.name.clone(),
        attnum: if column.attnum > 0 { column.attnum } else { position },
        type_oid: declared.unwrap_or_else(|| column.pg_type.oid()),
        typmod: column.typmod,
        not_null: column.not_null,
        comment: column.comment.clone(),
        default: column.default.clone(),
        identity,
        generated: column.generation == Generation::Stored,
        default_oid: match column.default {
            Some(_) => ids.take(stable_oid(ObjectClass::Default, &[path[0], path[1], &column.name])),
            None => 0,
        },
        insertable: column.insertable,
        updatable: column.updatable,
    }
}

fn system_relation(layout: &Layout) -> RelationObject {
    let types = TypeTable::builtin_names();
    let columns = layout.columns.iter().enumerate().map(|(i, c)| ColumnObject {
        name: c.name.to_owned(),
        attnum: i16::try_from(i + 1).unwrap_or(i16::MAX),
        type_oid: types.get(c.type_name).copied().unwrap_or(0),
        typmod: -1,
        not_null: c.not_null,
        comment: None,
        default: None,
        identity: "",
        generated: false,
        default_oid: 0,
        insertable: false,
        updatable: false,
    });
    RelationObject {
        oid: layout.oid,
        row_type: layout.row_type,
        row_array: 0,
        schema_oid: if layout.schema == "pg_catalog" { PG_CATALOG } else { INFORMATION_SCHEMA },
        schema: layout.schema.to_owned(),
        name: layout.name.to_owned(),
        kind: layout.kind,
        persistence: 'p',
        comment: None,
        definition: None,
        columns: columns.collect(),
        row_estimate: None,
        privileges: TablePrivileges::default(),
        system: true,
    }
}
