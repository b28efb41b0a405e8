//! A snapshot's policies, compiled once: permission sets by name, row policies and sharing rules per object.

use crate::expression::{DropReason, Template, compile};
use crate::formula::{self, Formula};
use crate::hooks::{self, ObjectHook, ObjectHooks};
use crate::query_filter::Column;
use crate::rules::ObjectRules;
use querygate_extension::Extensions;
use querygate_metadata::model::{
    AccessLevel, Dialect, Expression, FieldType, HookEvent, Location, Object, PermissionSet, Recipient, RowOperation,
    RowPolicy, Snapshot, TenancyPosture,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The platform's own sets, whose organization policies exist only where there is a tenant wall.
const PLATFORM_SETS: [&str; 5] =
    ["admin_full_access", "organization_admin", "organization_admin_no_bypass", MEMBER_DEFAULT, "viewer_readonly"];
/// The set that every signed-in user holds.
pub(crate) const MEMBER_DEFAULT: &str = "member_default";
/// The set whose unscoped holder is a platform administrator.
pub(crate) const ADMIN_FULL_ACCESS: &str = "admin_full_access";
/// The set whose holder administers an organization.
pub(crate) const ORGANIZATION_ADMIN: &str = "organization_admin";

/// An expression compiled for one object, or why it takes no part.
pub(crate) type Compiled = Result<Template, DropReason>;

/// A row policy compiled for one object.
#[derive(Debug)]
pub(crate) struct CompiledRowPolicy {
    pub(crate) set: String,
    pub(crate) name: String,
    pub(crate) operation: RowOperation,
    pub(crate) positions: Vec<String>,
    /// The platform's own write floor of `member_default`.
    pub(crate) floor: bool,
    pub(crate) using: Option<Compiled>,
    pub(crate) check: Option<Compiled>,
    /// Whether a rule that drops out here is meant to: the platform's own, and one for every object that others can apply.
    pub(crate) may_drop: bool,
    /// Where `using` and `check` stand.
    pub(crate) using_at: Location,
    pub(crate) check_at: Location,
}

impl CompiledRowPolicy {
    /// What binds the records that it lets a write leave: its `check`, and without one its `using`.
    pub(crate) fn stored_bound(&self) -> Option<&Compiled> {
        self.check.as_ref().or(self.using.as_ref())
    }

    /// Its `using` cannot be applied to the object at all, whoever asks.
    pub(crate) fn is_unusable(&self) -> bool {
        !self.may_drop && matches!(self.using, Some(Err(_)))
    }
}

/// A sharing rule compiled for its object.
#[derive(Debug)]
pub(crate) struct CompiledSharing {
    pub(crate) name: String,
    pub(crate) recipient: Recipient,
    pub(crate) level: AccessLevel,
    pub(crate) condition: Compiled,
    pub(crate) at: Location,
}

/// Everything the evaluator needs of one snapshot. Immutable; share it in an `Arc` beside its snapshot.
#[derive(Debug)]
pub struct CompiledPolicy {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) sets: BTreeMap<String, Arc<PermissionSet>>,
    pub(crate) row_policies: HashMap<String, Vec<CompiledRowPolicy>>,
    pub(crate) sharing: HashMap<String, Vec<CompiledSharing>>,
    /// By object and field.
    pub(crate) formulas: HashMap<String, BTreeMap<String, Result<Arc<Formula>, DropReason>>>,
    /// What written records must be, by object.
    pub(crate) rules: HashMap<String, Arc<ObjectRules>>,
    /// By object.
    pub(crate) hooks: HashMap<String, ObjectHooks>,
    /// What metadata may name in Rust.
    pub(crate) extensions: Extensions,
}

impl CompiledPolicy {
    /// Compiles a snapshot's policies. A set of `row_sets` (read from `sys_permission_set` rows) replaces the snapshot's
    /// set of its name; `isDefault` of the snapshot's set stays.
    #[must_use]
    pub fn compile(snapshot: Arc<Snapshot>, row_sets: Vec<PermissionSet>) -> Self {
        Self::compile_with(snapshot, row_sets, Extensions::default())
    }

    /// The same, with what the binary has in Rust. A name that is not among it denies: its hook and validation refuse, its mask stars
    /// every character.
    #[must_use]
    pub fn compile_with(snapshot: Arc<Snapshot>, row_sets: Vec<PermissionSet>, extensions: Extensions) -> Self {
        let mut sets: BTreeMap<String, Arc<PermissionSet>> =
            snapshot.permission_sets.iter().map(|(name, set)| (name.clone(), Arc::clone(set))).collect();
        for mut set in row_sets {
            set.is_default |= sets.get(&set.name).is_some_and(|declared| declared.is_default);
            sets.insert(set.name.clone(), Arc::new(set));
        }
        let mut compiled = Self {
            sets,
            row_policies: HashMap::new(),
            sharing: HashMap::new(),
            formulas: HashMap::new(),
            rules: HashMap::new(),
            hooks: hooks::compile(&snapshot, &extensions),
            extensions,
            snapshot: Arc::clone(&snapshot),
        };
        for object in snapshot.objects.values() {
            compiled.compile_object(object);
        }
        compiled.excuse_wildcards();
        compiled
    }

    /// A policy for every object drops out where its columns are not; one that no object can apply is a mistake.
    fn excuse_wildcards(&mut self) {
        let mut applied: HashSet<(String, String)> = HashSet::new();
        for policy in self.row_policies.values().flatten() {
            let fails = [&policy.using, &policy.check].into_iter().flatten().any(Result::is_err);
            if !fails && self.is_wildcard(policy) {
                applied.insert((policy.set.clone(), policy.name.clone()));
            }
        }
        for policy in self.row_policies.values_mut().flatten() {
            policy.may_drop |= applied.contains(&(policy.set.clone(), policy.name.clone()));
        }
    }

    fn is_wildcard(&self, policy: &CompiledRowPolicy) -> bool {
        let set = self.sets.get(&policy.set);
        set.is_some_and(|set| set.row_level_security.iter().any(|own| own.name == policy.name && own.object == "*"))
    }

    fn compile_object(&mut self, object: &Arc<Object>) {
        let rules = ObjectRules::compile_with(object, &self.snapshot, &self.extensions);
        self.rules.insert(object.name.clone(), Arc::new(rules));
        let columns = |name: &str| object.field(name).filter(|f| !f.phantom).map(|f| Column::from(f).policy_kind());
        let compile = |expression: &Expression| match expression.dialect {
            Dialect::Cel => compile(&expression.source, &columns),
            Dialect::Cron | Dialect::Template => Err(DropReason::new("the expression is not CEL")),
        };
        let mut policies = Vec::new();
        for set in self.sets.values() {
            // A stored set may stand for one of the stack; that it has no package says nothing.
            let is_platform = self.snapshot.permission_set(&set.name).is_some_and(|own| own.package.is_none());
            for policy in set.row_level_security.iter().filter(|p| p.enabled && p.names(&object.name)) {
                if self.snapshot.posture == TenancyPosture::Single && is_tenant_policy(set, policy) {
                    continue;
                }
                let place = |expression: &Option<Expression>| {
                    expression.as_ref().map(|expression| expression.location.clone()).unwrap_or_default()
                };
                policies.push(CompiledRowPolicy {
                    may_drop: is_platform,
                    using_at: place(&policy.using),
                    check_at: place(&policy.check),
                    set: set.name.clone(),
                    name: policy.name.clone(),
                    operation: policy.operation,
                    positions: policy.positions.clone(),
                    floor: is_floor(set, policy),
                    using: policy.using.as_ref().map(compile),
                    check: policy.check.as_ref().map(compile),
                });
            }
        }
        self.row_policies.insert(object.name.clone(), policies);
        let sharing =
            self.snapshot.sharing_rules_of(&object.name).filter(|rule| rule.active).map(|rule| CompiledSharing {
                name: rule.name.clone(),
                recipient: rule.shared_with.clone(),
                level: rule.access_level,
                condition: compile(&rule.condition),
                at: rule.condition.location.clone(),
            });
        self.sharing.insert(object.name.clone(), sharing.collect());
        let formulas = object.fields.values().filter(|field| field.field_type == FieldType::Formula).map(|field| {
            let formula = match &field.expression {
                None => Err(DropReason::new("a formula without an expression")),
                Some(expression) if expression.dialect != Dialect::Cel => {
                    Err(DropReason::new("the expression is not CEL"))
                }
                Some(expression) => formula::compile(&expression.source, &columns).map(Arc::new),
            };
            (field.name.clone(), formula)
        });
        self.formulas.insert(object.name.clone(), formulas.collect());
    }

    /// The snapshot that was compiled.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The permission set with this name: declared, built in, or from a row.
    #[must_use]
    pub fn permission_set(&self, name: &str) -> Option<&PermissionSet> {
        self.sets.get(name).map(Arc::as_ref)
    }

    /// Names of the sets that every signed-in user holds.
    pub(crate) fn default_sets(&self) -> impl Iterator<Item = &str> {
        self.sets.values().filter(|set| set.is_default || set.name == MEMBER_DEFAULT).map(|set| set.name.as_str())
    }

    pub(crate) fn row_policies(&self, object: &str) -> &[CompiledRowPolicy] {
        self.row_policies.get(object).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn sharing(&self, object: &str) -> &[CompiledSharing] {
        self.sharing.get(object).map_or(&[], Vec::as_slice)
    }

    /// The formula of a field; `None` where it does not compile or the field is none.
    #[must_use]
    pub fn formula(&self, object: &str, field: &str) -> Option<&Arc<Formula>> {
        self.formulas.get(object)?.get(field)?.as_ref().ok()
    }

    /// What metadata demands of written records of an object; `None` for an unknown one.
    #[must_use]
    pub fn rules(&self, object: &str) -> Option<&Arc<ObjectRules>> {
        self.rules.get(object)
    }

    /// The hooks of an object at an event, in the order in which they run.
    #[must_use]
    pub fn hooks(&self, object: &str, event: HookEvent) -> &[Arc<ObjectHook>] {
        self.hooks.get(object).map(|hooks| hooks.of(event)).unwrap_or_default()
    }

    /// Whether any hook may ask for other records.
    #[must_use]
    pub fn hooks_ask_for_records(&self) -> bool {
        self.hooks.values().any(ObjectHooks::ask_for_records)
    }

    /// The hook of reads for which an object's records are read by questions alone, and not by statements of SQL; `None`: there is
    /// none.
    #[must_use]
    pub fn only_asked(&self, object: &str) -> Option<&str> {
        self.hooks.get(object)?.only_asked()
    }

    /// Those objects, with their hooks.
    #[must_use]
    pub fn all_only_asked(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> =
            self.hooks.iter().filter_map(|(object, hooks)| Some((object.as_str(), hooks.only_asked()?))).collect();
        all.sort_unstable();
        all
    }

    /// Whether there are such objects.
    #[must_use]
    pub fn has_only_asked(&self) -> bool {
        self.hooks.values().any(|hooks| hooks.only_asked().is_some())
    }

    pub(crate) fn object_hooks(&self, object: &str) -> Option<&ObjectHooks> {
        self.hooks.get(object)
    }

    /// Formulas that do not compile, so that their fields are not served, with the reason: object, field, reason.
    #[must_use]
    pub fn uncomputed(&self) -> Vec<(&str, &str, &str)> {
        let mut uncomputed = Vec::new();
        for (object, fields) in &self.formulas {
            for (field, formula) in fields {
                if let Err(reason) = formula {
                    uncomputed.push((object.as_str(), field.as_str(), reason.text.as_str()));
                }
            }
        }
        uncomputed.sort_unstable();
        uncomputed
    }

    /// Policies and sharing rules that can never take part, with the reason: object, name, reason.
    #[must_use]
    pub fn dropped(&self) -> Vec<(&str, &str, &str)> {
        let mut dropped = Vec::new();
        for (object, policies) in &self.row_policies {
            for policy in policies {
                for expression in [&policy.using, &policy.check].into_iter().flatten() {
                    if let Err(reason) = expression {
                        dropped.push((object.as_str(), policy.name.as_str(), reason.text.as_str()));
                    }
                }
            }
        }
        for (object, rules) in &self.sharing {
            for rule in rules {
                if let Err(reason) = &rule.condition {
                    dropped.push((object.as_str(), rule.name.as_str(), reason.text.as_str()));
                }
            }
        }
        dropped.sort_unstable();
        dropped
    }
}

/// Whether the platform's own set restricts by organization: stripped where there is no tenant wall.
fn is_tenant_policy(set: &PermissionSet, policy: &RowPolicy) -> bool {
    let names = |e: &Option<Expression>| e.as_ref().is_some_and(|e| e.source.contains("current_user.organization_id"));
    set.package.is_none()
        && PLATFORM_SETS.contains(&set.name.as_str())
        && (names(&policy.using) || names(&policy.check))
}

fn is_floor(set: &PermissionSet, policy: &RowPolicy) -> bool {
    set.name == MEMBER_DEFAULT
        && policy.object == "*"
        && matches!(policy.operation, RowOperation::Update | RowOperation::Delete)
}
