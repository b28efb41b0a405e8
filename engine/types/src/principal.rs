//! Who asks: identity, tenant, positions, permission sets, attributes. Knows nothing of how they were proved.

use std::collections::{BTreeMap, BTreeSet};

/// How far a principal's administration reaches (ObjectStack `posture`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Posture {
    PlatformAdmin,
    TenantAdmin,
    Member,
    External,
}

/// A value of `current_user.<key>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
}

/// An authenticated identity, immutable for the life of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Login name.
    pub login: String,
    /// ObjectStack user id (`current_user.id`).
    pub user_id: String,
    pub email: Option<String>,
    /// Active organization.
    pub organization_id: Option<String>,
    /// Organizations the user belongs to.
    pub organization_ids: BTreeSet<String>,
    /// Users of the active organization (`current_user.org_user_ids`).
    pub org_user_ids: BTreeSet<String>,
    pub positions: BTreeSet<String>,
    /// Permission sets held, directly, by position or by default.
    pub permission_sets: BTreeSet<String>,
    pub posture: Posture,
    /// Further `current_user.<key>` values.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// May see everybody's rows in schema `querygate` and full native text in EXPLAIN.
    pub operator: bool,
}

impl Principal {
    /// Starts a principal with a login name; the user id defaults to it.
    #[must_use]
    pub fn builder(login: &str) -> PrincipalBuilder {
        PrincipalBuilder {
            principal: Self {
                login: login.to_owned(),
                user_id: login.to_owned(),
                email: None,
                organization_id: None,
                organization_ids: BTreeSet::new(),
                org_user_ids: BTreeSet::new(),
                positions: BTreeSet::new(),
                permission_sets: BTreeSet::new(),
                posture: Posture::Member,
                attributes: BTreeMap::new(),
                operator: false,
            },
        }
    }
}

/// Builds a [`Principal`].
#[derive(Debug, Clone)]
pub struct PrincipalBuilder {
    principal: Principal,
}

impl PrincipalBuilder {
    #[must_use]
    pub fn user_id(mut self, id: &str) -> Self {
        self.principal.user_id = id.to_owned();
        self
    }
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.principal.email = Some(email.to_owned());
        self
    }
    #[must_use]
    pub fn organization(mut self, id: &str) -> Self {
        self.principal.organization_id = Some(id.to_owned());
        self.principal.organization_ids.insert(id.to_owned());
        self
    }
    #[must_use]
    pub fn position(mut self, name: &str) -> Self {
        self.principal.positions.insert(name.to_owned());
        self
    }
    #[must_use]
    pub fn permission_set(mut self, name: &str) -> Self {
        self.principal.permission_sets.insert(name.to_owned());
        self
    }
    #[must_use]
    pub fn posture(mut self, posture: Posture) -> Self {
        self.principal.posture = posture;
        self
    }
    #[must_use]
    pub fn attribute(mut self, key: &str, value: AttributeValue) -> Self {
        self.principal.attributes.insert(key.to_owned(), value);
        self
    }
    #[must_use]
    pub fn operator(mut self, operator: bool) -> Self {
        self.principal.operator = operator;
        self
    }
    #[must_use]
    pub fn build(self) -> Principal {
        self.principal
    }
}
