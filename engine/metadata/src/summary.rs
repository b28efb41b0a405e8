//! Counts of a snapshot, for `querygate check` and logs.

use crate::model::Snapshot;
use std::fmt;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Id and version of each package, in load order.
    pub packages: Vec<(String, String)>,
    pub objects: usize,
    /// Fields written in metadata, those of extensions included.
    pub declared_fields: usize,
    /// With the injected ones.
    pub fields: usize,
    /// Declared ones, without the platform's own.
    pub permission_sets: usize,
    pub row_policies: usize,
    pub positions: usize,
    pub sharing_rules: usize,
    pub masked_fields: usize,
    pub datasources: usize,
    pub seed_rows: usize,
    pub warnings: usize,
}

impl Summary {
    /// Counts.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let fields = || snapshot.objects.values().flat_map(|object| object.fields.values());
        let declared_sets = || snapshot.permission_sets.values().filter(|set| set.package.is_some());
        Self {
            packages: snapshot.packages.values().map(|p| (p.id.clone(), p.version.clone())).collect(),
            objects: snapshot.objects.len(),
            declared_fields: snapshot.objects.values().map(|object| object.declared_fields()).sum(),
            fields: fields().count(),
            permission_sets: declared_sets().count(),
            row_policies: declared_sets().map(|set| set.row_level_security.len()).sum(),
            positions: snapshot.positions.len(),
            sharing_rules: snapshot.sharing_rules.len(),
            masked_fields: fields().filter(|f| f.masking_rule.is_some() || f.field_type.always_masked()).count(),
            datasources: snapshot.datasources.len(),
            seed_rows: snapshot.seed.iter().map(|seed| seed.records.len()).sum(),
            warnings: snapshot.warnings.len(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, version) in &self.packages {
            writeln!(f, "package {id} {version}")?;
        }
        writeln!(f, "{} objects, {} fields ({} with injected ones)", self.objects, self.declared_fields, self.fields)?;
        writeln!(
            f,
            "{} permission sets, {} row policies, {} positions, {} sharing rules, {} masked fields",
            self.permission_sets, self.row_policies, self.positions, self.sharing_rules, self.masked_fields
        )?;
        write!(f, "{} datasources, {} seed rows, {} warnings", self.datasources, self.seed_rows, self.warnings)
    }
}
