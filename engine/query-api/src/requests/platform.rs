//! What a door of ObjectStack's interface asks beside records: people, keys, metadata, verdicts. Knows no HTTP.

use futures::future::BoxFuture;
use querygate_types::Result;
use querygate_types::principal::{Principal, Scope};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A user, as the interface shows one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `current_user.id`.
    pub user_id: String,
    /// What people call the user.
    pub name: String,
    /// The address that the user logs in by.
    pub email: Option<String>,
    /// Positions held now.
    pub positions: Vec<String>,
    /// Whether the user administers every organization.
    pub is_platform_admin: bool,
    /// When the user was made, where a row of `sys_user` says it.
    pub created_at: Option<String>,
    /// When the user was changed last, where a row of `sys_user` says it.
    pub updated_at: Option<String>,
}

/// An object that is ObjectStack's own, and of no metadata, for a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnObject {
    /// The principal may not read it.
    Denied,
    /// The gate keeps no records of it.
    Unkept,
    /// [`Platform::own_records`] gives its records.
    Kept,
}

/// Records of such an object that a principal sees, in no order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnRecords {
    /// Fields that the principal sees. Records have no others.
    pub fields: Vec<&'static str>,
    /// Records by the names of their fields.
    pub records: Vec<Map<String, Value>>,
}

/// A key that a program may show in place of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Names the key where it is listed.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Login name of its owner.
    pub login: String,
    /// SHA-256 of the key, in lower-case hexadecimal digits.
    pub hash: String,
    /// Its first characters, for its owner to know it by.
    pub prefix: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it ends, in milliseconds since 1970; `None`: when it is revoked.
    pub expires_ms: Option<i64>,
    /// What it is good for of its owner's rights; `None`: all.
    pub scope: Option<Scope>,
}

/// What is asked of the rules: may somebody do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The object, by its name in metadata.
    pub object: String,
    /// The operation, as `read` or `update`.
    pub operation: String,
    /// Id of the user it is asked for; `None`: for the one who asks.
    pub user_id: Option<String>,
}

/// People, keys and metadata. What it gives about metadata is what the principal may see of it.
pub trait Platform: Send + Sync {
    /// Login name of the user with this address.
    fn login_of_email(&self, email: &str) -> Option<String>;

    /// A user who may log in.
    fn person(&self, login: &str) -> Option<Person>;

    /// Whether keys can be made: there is a place for them.
    fn keeps_keys(&self) -> bool;

    /// Keeps a key.
    ///
    /// # Errors
    /// 0A000: this gate keeps no keys. 53400: there are too many.
    fn keep_key(&self, key: NewKey) -> BoxFuture<'_, Result<()>>;

    /// Equal as long as metadata and rights are.
    fn version(&self) -> u64;

    /// Whether who asks for a session without having one is refused, where earlier releases say that there is none.
    fn refuses_absent_session(&self) -> bool;

    /// Whether a parameter that should be a number of rows and is none is refused, where earlier releases leave it unread.
    fn refuses_wrong_numbers(&self) -> bool;

    /// Types of metadata, in the singular, with their labels.
    fn types(&self) -> Vec<(&'static str, &'static str)>;

    /// The items of a type, by its singular name.
    fn items(&self, principal: &Arc<Principal>, kind: &str) -> Vec<(String, Value)>;

    /// One item.
    fn item(&self, principal: &Arc<Principal>, kind: &str, name: &str) -> Option<Value> {
        self.items(principal, kind).into_iter().find(|(other, _)| other == name).map(|(_, item)| item)
    }

    /// The items of a type as they are declared, for any principal: they name objects and fields, and are not to be shown as they are.
    fn declared(&self, kind: &str) -> Vec<(String, Value)>;

    /// One of them.
    fn declared_item(&self, kind: &str, name: &str) -> Option<Value> {
        self.declared(kind).into_iter().find(|(other, _)| other == name).map(|(_, item)| item)
    }

    /// Cubes of the metadata that clients may ask, as [`Self::declared`] has them. A dimension has the spans that count.
    fn cubes(&self) -> Arc<[(String, Value)]>;

    /// What one of ObjectStack's own objects is to the principal; `None` of a name that is none, or that metadata describes.
    fn own_object(&self, _principal: &Arc<Principal>, _object: &str) -> Option<OwnObject> {
        None
    }

    /// Records of such an object, if it is kept and the principal may read it. `ids`: those alone.
    ///
    /// # Errors
    /// What keeps them cannot be read.
    fn own_records(
        &self,
        _principal: &Arc<Principal>,
        _object: &str,
        _ids: Option<&BTreeSet<&str>>,
    ) -> Result<OwnRecords> {
        Ok(OwnRecords::default())
    }

    /// Whether the principal may read every object that is there.
    fn reads_every_object(&self, principal: &Arc<Principal>) -> bool;

    /// What the principal holds and may do with each object.
    fn rights(&self, principal: &Arc<Principal>) -> Value;

    /// Why somebody may do something, layer by layer. Of somebody else only for who administers.
    ///
    /// # Errors
    /// 42501: it is asked for another user.
    fn explain(&self, principal: &Arc<Principal>, inquiry: &Inquiry) -> Result<Value>;
}
