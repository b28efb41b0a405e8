//! What follows of a change by the metadata, in the transaction of the change: rows that go or lose a reference with those that are
//! deleted, numbers of new rows and of those that go, roll-ups of their masters; the masters that rules look at, and the records that
//! validations read. Which tables it may be about is known before the transaction begins.

mod cascade;
mod gone;
mod master;
mod number;
mod referred;
mod restriction;
mod summary;
mod total;
mod update_hooks;

pub(crate) use cascade::Taken;
pub(crate) use gone::retire;
pub(crate) use master::Masters;
pub(crate) use number::draw;
pub(crate) use referred::read_referred;
pub(crate) use summary::{Changed, roll_up};

use super::target::closed;
use querygate_catalog::PrincipalCatalog;
use querygate_catalog::deployment::Deployment;
use querygate_catalog::write::WriteTarget;
use querygate_metadata::model::{Field, HookEvent, Object, SharingModel};
use querygate_policy::Evaluator;
use querygate_policy::hooks::ObjectHook;
use querygate_policy::rules::{GrantedRights, Mechanism, ObjectRules};
use querygate_policy::write::{Dependent, DependentAction, WriteObstacle, WriteOperation, WritePermit};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Levels of dependents, of masters and of roll-ups, at most.
const DEPTH_MAX: usize = 10;

/// Tables beside the one that a statement names, with what the metadata says of them.
#[derive(Debug)]
pub(crate) struct Following {
    deployment: Arc<Deployment>,
    /// By the object whose rows go.
    dependents: BTreeMap<String, Vec<Dependent>>,
    tables: BTreeMap<String, Related>,
    /// What rules of the changed object ask for of the principal's rights.
    rights: GrantedRights,
}

/// A table that may be looked at or changed, or why not.
#[derive(Debug)]
enum Related {
    Open(Box<RelatedTable>),
    Closed(Error),
}

/// A table beside the one that a statement names.
#[derive(Debug)]
pub(crate) struct RelatedTable {
    object: Arc<Object>,
    rules: Arc<ObjectRules>,
    table: WriteTarget,
}

impl Following {
    /// # Errors
    /// The source's. A table that cannot be changed is an error only where rows of it are concerned.
    pub(crate) async fn of(
        permit: &WritePermit,
        evaluator: &Evaluator<'_>,
        catalog: &PrincipalCatalog,
    ) -> Result<Self> {
        let deployment = Arc::clone(catalog.deployment());
        let mut dependents = BTreeMap::new();
        let (mut wanted, mut changed) = (BTreeSet::new(), vec![permit.object().to_owned()]);
        match permit.operation() {
            WriteOperation::Delete => {
                let mut going = vec![permit.object().to_owned()];
                while let Some(object) = going.pop() {
                    if dependents.contains_key(&object) {
                        continue;
                    }
                    let own = evaluator.dependents(&object);
                    for dependent in &own {
                        wanted.insert(dependent.object.clone());
                        match dependent.action {
                            DependentAction::Restrict => {}
                            DependentAction::Delete(_) => going.push(dependent.object.clone()),
                            DependentAction::Empty(_) => changed.push(dependent.object.clone()),
                        }
                    }
                    changed.push(object.clone());
                    dependents.insert(object, own);
                }
            }
            WriteOperation::Insert | WriteOperation::Update => {
                let rules = deployment.policies.rules(permit.object());
                wanted.extend(rules.and_then(|rules| master_of(rules)).map(|(_, master)| master.to_owned()));
                wanted.extend(rules.into_iter().flat_map(|rules| targets(rules)));
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(object) = changed.pop() {
            if seen.insert(object.clone())
                && let Some(rules) = deployment.policies.rules(&object)
            {
                for parent in rules.summary_parents() {
                    wanted.insert(parent.to_owned());
                    wanted.extend(deployment.policies.rules(parent).into_iter().flat_map(|rules| targets(rules)));
                    changed.push(parent.to_owned());
                }
            }
        }
        let mut tables = BTreeMap::new();
        for name in wanted {
            let table = match catalog.related_target(permit, &name).await {
                Ok(None) => continue,
                Ok(Some(table)) => Related::Open(Box::new(RelatedTable::of(&deployment, &name, table)?)),
                Err(error) if error.code() == ErrorCode::FeatureNotSupported => Related::Closed(error),
                Err(error) => return Err(error),
            };
            tables.insert(name, table);
        }
        let rights = deployment.policies.rules(permit.object()).map(|rules| evaluator.granted(rules));
        Ok(Self { deployment, dependents, tables, rights: rights.unwrap_or_default() })
    }

    /// Whether it is the same for another run of the statement: nothing follows of it that is stamped, and no other table is concerned.
    pub(super) fn is_reusable(&self) -> bool {
        self.tables.is_empty() && self.dependents.values().all(Vec::is_empty)
    }

    /// The table of an object. `None`: it has none, and so no rows.
    ///
    /// # Errors
    /// 0A000: it cannot be looked at in this transaction, or not be changed.
    fn related(&self, object: &str) -> Result<Option<&RelatedTable>> {
        match self.tables.get(object) {
            Some(Related::Open(related)) => Ok(Some(related)),
            Some(Related::Closed(error)) => Err(error.clone()),
            None if self.deployment.tables.contains_key(object) => {
                Err(Error::internal("a table was not expected to be concerned"))
            }
            None => Ok(None),
        }
    }

    /// The rules of an object whose rows were changed.
    fn rules(&self, object: &str) -> Result<&ObjectRules> {
        let rules = self.deployment.policies.rules(object);
        rules.map(Arc::as_ref).ok_or_else(|| Error::internal("rows of an object that is not known were changed"))
    }

    /// What the principal may do, of what rules of the changed object ask for.
    pub(super) fn rights(&self) -> &GrantedRights {
        &self.rights
    }

    /// The hooks of an object at an event.
    pub(crate) fn hooks(&self, object: &str, event: HookEvent) -> &[Arc<ObjectHook>] {
        self.deployment.policies.hooks(object, event)
    }

    /// Everything that has a say when a new record is stored that this permits.
    pub(crate) fn mechanisms<'p>(&'p self, permit: &'p WritePermit) -> Option<Vec<Mechanism<'p>>> {
        self.deployment.policies.mechanisms(permit)
    }

    fn dependents(&self, object: &str) -> &[Dependent] {
        self.dependents.get(object).map(Vec::as_slice).unwrap_or_default()
    }

    fn evaluator<'a>(&'a self, principal: &'a Principal, now_ms: i64) -> Evaluator<'a> {
        Evaluator { policy: &self.deployment.policies, principal, facts: &self.deployment.facts, now_ms }
    }

    /// Whether everything that metadata wants done with such a change of an object is done here. What opens an object to clients has
    /// no say, as no client asks for it.
    ///
    /// # Errors
    /// 0A000: it is not.
    fn admit(&self, object: &str, operation: WriteOperation) -> Result<()> {
        for obstacle in self.deployment.policies.write_obstacles(object, operation) {
            match obstacle {
                WriteObstacle::NotServed | WriteObstacle::Method(_) => {}
                // A decision says so.
                WriteObstacle::Barrier(_) | WriteObstacle::Managed => {}
                WriteObstacle::NoKey
                | WriteObstacle::KeylessDependent(_)
                | WriteObstacle::NoReference
                | WriteObstacle::Hook { .. }
                | WriteObstacle::Rule { .. }
                | WriteObstacle::StoredExpression(_)
                | WriteObstacle::Check { .. } => return Err(closed(&format!("of '{object}', {}", obstacle.reason()))),
            }
        }
        Ok(())
    }
}

impl RelatedTable {
    fn of(deployment: &Deployment, name: &str, table: WriteTarget) -> Result<Self> {
        let unknown = || Error::internal("a table of an object that is not known");
        let object = deployment.snapshot.object(name).map(Arc::clone).ok_or_else(unknown)?;
        let rules = deployment.policies.rules(name).map(Arc::clone).ok_or_else(unknown)?;
        Ok(Self { object, rules, table })
    }

    /// The place of a field, which the source must have.
    ///
    /// # Errors
    /// 0A000: it lacks it.
    fn place(&self, field: &str) -> Result<usize> {
        place(&self.table, field)
    }

    /// The place of the field whose values references hold.
    ///
    /// # Errors
    /// 0A000: there is none.
    fn referenced(&self) -> Result<usize> {
        referenced(&self.object, &self.table)
    }
}

/// Objects whose records the validations of an object read.
fn targets(rules: &ObjectRules) -> impl Iterator<Item = String> {
    rules.referred().iter().map(|field| field.target.clone())
}

fn referenced(object: &Object, table: &WriteTarget) -> Result<usize> {
    let key = object.referenced_field().ok_or_else(|| closed("references hold no key of it"))?;
    place(table, &key.name)
}

fn place(table: &WriteTarget, field: &str) -> Result<usize> {
    table.place(field).ok_or_else(|| closed("a related object lacks a column"))
}

/// The reference to the master whose row is locked while a record is stored, and the master's object: it decides who may, or a rule
/// reads it.
pub(super) fn master_of(rules: &ObjectRules) -> Option<(&Field, &str)> {
    let object = rules.object();
    let is_controlled = match object.sharing_model {
        SharingModel::ControlledByParent => true,
        SharingModel::Private | SharingModel::PublicRead | SharingModel::PublicReadWrite => false,
    };
    let field = object.master_detail().filter(|_| is_controlled || rules.parent_field().is_some())?;
    Some((field, field.reference.as_deref()?))
}
