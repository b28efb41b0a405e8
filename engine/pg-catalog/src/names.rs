//! Roles and schemas of an image with their ids. Knows no relation.

use super::image::CatalogImage;
use super::oid::{Allocator, ObjectClass, stable_oid};
use std::collections::HashMap;

/// `pg_catalog`'s own id, as in PostgreSQL.
pub(crate) const PG_CATALOG: u32 = 11;
/// `information_schema`'s, as in a fresh PostgreSQL 15.
pub(crate) const INFORMATION_SCHEMA: u32 = 13_207;
/// The bootstrap superuser's id: the owner of everything.
pub(crate) const OWNER: u32 = 10;

/// A role with its id.
#[derive(Debug, Clone)]
pub(crate) struct RoleObject {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) login: bool,
    pub(crate) member_of: Vec<u32>,
    pub(crate) comment: Option<String>,
}

/// A namespace with its id.
#[derive(Debug, Clone)]
pub(crate) struct SchemaObject {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
}

const PUBLIC: u32 = 2_200;

pub(super) fn roles(image: &CatalogImage, ids: &mut Allocator) -> Vec<RoleObject> {
    let mut declared = image.roles.clone();
    for (name, login) in [(&image.user, true), (&image.owner, false)] {
        if !declared.iter().any(|r| r.name == *name) {
            declared.push(crate::image::Role { name: name.clone(), login, ..Default::default() });
        }
    }
    let oids: HashMap<String, u32> = declared
        .iter()
        .map(|r| {
            let oid = if r.name == image.owner { OWNER } else { ids.take(stable_oid(ObjectClass::Role, &[&r.name])) };
            (r.name.clone(), oid)
        })
        .collect();
    declared
        .into_iter()
        .map(|r| RoleObject {
            oid: oids.get(&r.name).copied().unwrap_or(OWNER),
            superuser: r.superuser,
            login: r.login,
            member_of: r.member_of.iter().filter_map(|name| oids.get(name).copied()).collect(),
            comment: r.comment,
            name: r.name,
        })
        .collect()
}

pub(super) fn schemas(image: &CatalogImage, ids: &mut Allocator) -> Vec<SchemaObject> {
    let own = [("pg_catalog", PG_CATALOG, "system catalog schema"), ("information_schema", INFORMATION_SCHEMA, "")];
    let mut schemas: Vec<SchemaObject> = own
        .iter()
        .map(|(name, oid, comment)| SchemaObject {
            oid: *oid,
            name: (*name).to_owned(),
            comment: Some((*comment).to_owned()).filter(|c| !c.is_empty()),
        })
        .collect();
    for schema in &image.schemas {
        if schemas.iter().any(|s| s.name == schema.name) {
            continue;
        }
        let oid =
            if schema.name == "public" { PUBLIC } else { ids.take(stable_oid(ObjectClass::Schema, &[&schema.name])) };
        schemas.push(SchemaObject { oid, name: schema.name.clone(), comment: schema.comment.clone() });
    }
    schemas
}
