//! What decides about rows, read from the configured files: the same for serving, for checking and for explaining rights.

use crate::config::{Config, Issuer, TokenUsers, User};
use querygate_extension::Extensions;
use querygate_metadata::load::{LoadError, Loaded, RowFile, permission_sets_from_placed, system_rows};
use querygate_metadata::model::{Facts, FactsError, Location, PlacedRow, Snapshot};
use querygate_metadata::{Diagnostic, Severity};
use querygate_policy::CompiledPolicy;
use querygate_policy::formula::with_return_types;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Metadata with its memberships, shares and stored permission sets.
pub(crate) struct Governance {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) row_files: Vec<RowFile>,
    /// Rows of the platform's own objects.
    pub(crate) rows: Vec<PlacedRow>,
    pub(crate) facts: Facts,
    pub(crate) policies: Arc<CompiledPolicy>,
    /// Sets that rows define, with their places, in order.
    pub(crate) stored_sets: Vec<(String, Location)>,
}

impl Governance {
    /// Reads the rows beside the metadata. `version` is the snapshot's.
    ///
    /// # Errors
    /// Every row that cannot be understood, with its place: ignoring it could widen or narrow someone's rights.
    pub(crate) fn of(loaded: Loaded, version: u64, extensions: &Extensions) -> Result<Self, LoadError> {
        let Loaded { mut snapshot, row_files } = loaded;
        snapshot.version = version;
        let rows = system_rows(&snapshot, &row_files)?;
        Self::with_rows(Arc::new(snapshot), row_files, rows, extensions)
    }

    /// As [`Governance::of`], with these rows of the platform's own objects.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn with_rows(
        snapshot: Arc<Snapshot>,
        row_files: Vec<RowFile>,
        rows: Vec<PlacedRow>,
        extensions: &Extensions,
    ) -> Result<Self, LoadError> {
        let facts = Facts::from_placed_rows(&rows).map_err(|error| broken_row(&error));
        let sets = permission_sets_from_placed(&rows);
        let (facts, sets) = match (facts, sets) {
            (Ok(facts), Ok(sets)) => (facts, sets),
            (Err(mut both), Err(mut sets)) => {
                both.diagnostics.append(&mut sets.diagnostics);
                both.unlisted += sets.unlisted;
                return Err(both);
            }
            (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => return Err(errors),
        };
        let snapshot = with_return_types(snapshot);
        let stored_sets = sets.iter().map(|set| (set.name.clone(), set.location.clone())).collect();
        let policies = Arc::new(CompiledPolicy::compile_with(Arc::clone(&snapshot), sets, extensions.clone()));
        Ok(Self { snapshot, row_files, rows, facts, policies, stored_sets })
    }
}

/// What the configuration says of who belongs to which organization, beside the memberships of rows.
pub(crate) fn configured_members(users: &[User]) -> HashMap<String, BTreeSet<String>> {
    let mut members: HashMap<String, BTreeSet<String>> = HashMap::new();
    for user in users {
        for organization in &user.principal.organization_ids {
            members.entry(organization.clone()).or_default().insert(user.principal.user_id.clone());
        }
    }
    members
}

/// Ids of the users whom the configuration lets in. `None`: claims of an issuer make users who are not known before they come.
pub(crate) fn configured_users(config: &Config) -> Option<BTreeSet<String>> {
    let makes_users = |issuer: &Issuer| match issuer.users {
        TokenUsers::Claims => true,
        TokenUsers::Configured => false,
    };
    let known = || config.users.iter().map(|user| user.principal.user_id.clone()).collect();
    (!config.issuers.iter().any(makes_users)).then(known)
}

fn broken_row(error: &FactsError) -> LoadError {
    let outside = || Location::outside(&format!("{} row {}", error.object, error.row));
    let location = error.location.clone().unwrap_or_else(outside);
    let message = format!("{}: {}", error.object, error.message);
    LoadError { diagnostics: vec![Diagnostic::at(Severity::Error, &location, &message)], unlisted: 0, unjudged: 0 }
}
