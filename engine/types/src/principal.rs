//! Who asks: identity, tenant, positions, permission sets, attributes. Knows nothing of how they were proved.

mod scope;

pub use scope::{Scope, ScopedOperation};

use std::collections::{BTreeMap, BTreeSet};

/// How far a principal's administration reaches (ObjectStack `posture`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Posture {
    /// Administers every organization.
    PlatformAdmin,
    /// Administers the active organization.
    TenantAdmin,
    /// Belongs to an organization and administers nothing.
    Member,
    /// A user from outside, whom no permission set makes an administrator.
    External,
}

/// A value of `current_user.<key>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    /// One text.
    Text(String),
    /// One whole number.
    Integer(i64),
    /// One truth value.
    Boolean(bool),
    /// Texts that a rule asks membership of.
    List(Vec<String>),
}

/// An authenticated identity, immutable for the life of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Login name.
    pub login: String,
    /// ObjectStack user id (`current_user.id`).
    pub user_id: String,
    /// `current_user.email`, where the user has one.
    pub email: Option<String>,
    /// Active organization.
    pub organization_id: Option<String>,
    /// Organizations the user belongs to.
    pub organization_ids: BTreeSet<String>,
    /// Users of the active organization (`current_user.org_user_ids`).
    pub org_user_ids: BTreeSet<String>,
    /// Names of the positions held (`current_user.positions`).
    pub positions: BTreeSet<String>,
    /// Permission sets held, directly, by position or by default.
    pub permission_sets: BTreeSet<String>,
    /// The widest administration of all that is held.
    pub posture: Posture,
    /// Further `current_user.<key>` values.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// May see everybody's rows in schema `querygate` and full native text in EXPLAIN.
    pub operator: bool,
    /// What the credential is good for that the user showed; `None`: for all that the user may do.
    pub scope: Option<Scope>,
    /// The platform acts on this user's behalf.
    is_system: bool,
    /// The scope of the user's credential where the platform acts, which it does not narrow.
    system_scope: Option<Scope>,
}

impl Principal {
    /// The platform on behalf of this user: what metadata lets hooks do as the system. Rights, row policies, owners, fields and masks of
    /// the user have no say, and no credential narrows it; the tenant wall is the user's. For what hooks ask for, and nothing else.
    #[must_use]
    pub fn as_system(&self) -> Self {
        Self { is_system: true, operator: false, scope: None, system_scope: self.kept_scope(), ..self.clone() }
    }

    /// The user on whose behalf the platform acts; others are who they are.
    #[must_use]
    pub fn as_user(&self) -> Self {
        if self.is_system {
            return Self { is_system: false, scope: self.system_scope.clone(), system_scope: None, ..self.clone() };
        }
        self.clone()
    }

    /// Whether the platform acts.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.is_system
    }

    fn kept_scope(&self) -> Option<Scope> {
        if self.is_system { self.system_scope.clone() } else { self.scope.clone() }
    }

    /// Whether the credential is good for an operation on an object, as far as it narrows anything.
    #[must_use]
    pub fn in_scope(&self, object: &str, operation: ScopedOperation) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.allows(object, operation))
    }

    /// Whether what a login asked for and holds is shown, as far as the gate writes it down: an operator sees all of it, a user his own. By a
    /// credential that is good for less, nothing: its owner asked for more than it may.
    #[must_use]
    pub fn may_see_work_of(&self, login: &str) -> bool {
        self.operator || self.scope.is_none() && self.login == login
    }

    /// This user by a credential that is good for less. Who operates the gate does not by such a credential.
    #[must_use]
    pub fn narrowed(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self.operator = false;
        self
    }

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
                scope: None,
                is_system: false,
                system_scope: None,
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
    /// Replaces the user id, which is the login name by default.
    #[must_use]
    pub fn user_id(mut self, id: &str) -> Self {
        self.principal.user_id = id.to_owned();
        self
    }
    /// Sets the e-mail address; none by default.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.principal.email = Some(email.to_owned());
        self
    }
    /// Makes an organization the active one, and the user belong to it.
    #[must_use]
    pub fn organization(mut self, id: &str) -> Self {
        self.principal.organization_id = Some(id.to_owned());
        self.principal.organization_ids.insert(id.to_owned());
        self
    }
    /// Adds a position.
    #[must_use]
    pub fn position(mut self, name: &str) -> Self {
        self.principal.positions.insert(name.to_owned());
        self
    }
    /// Adds a permission set.
    #[must_use]
    pub fn permission_set(mut self, name: &str) -> Self {
        self.principal.permission_sets.insert(name.to_owned());
        self
    }
    /// Sets the posture; [`Posture::Member`] by default.
    #[must_use]
    pub fn posture(mut self, posture: Posture) -> Self {
        self.principal.posture = posture;
        self
    }
    /// Sets `current_user.<key>`.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: AttributeValue) -> Self {
        self.principal.attributes.insert(key.to_owned(), value);
        self
    }
    /// Whether the user operates the gate; not by default.
    #[must_use]
    pub fn operator(mut self, operator: bool) -> Self {
        self.principal.operator = operator;
        self
    }
    /// The principal.
    #[must_use]
    pub fn build(self) -> Principal {
        self.principal
    }
}
