//! `pg_catalog` and `information_schema` as relations of our own, per principal, with the functions that belong to them.
//! Knows only a [`CatalogImage`]: no metadata format, no policy, no wire.

mod image;
mod oid;

pub use image::{
    CatalogImage, Check, Column, EnumType, ForeignKey, Generation, Index, IndexColumn, Key, ReferentialAction,
    Relation, RelationKind, Role, Schema, Setting,
};
pub use oid::{FIRST_USER_OID, ObjectClass, OidSpace, stable_oid};
