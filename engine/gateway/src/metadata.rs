//! Loads ObjectStack metadata for commands that only look at it, and prints its findings. Serving goes through wiring.

use crate::config::{Config, Tenancy};
use crate::output::{Output, Stream};
use querygate_extension::{Extensions, Kind};
use querygate_metadata::load::{LoadError, LoadOptions, Loaded, NativeNames, load};
use querygate_metadata::model::{PermissionSet, Snapshot, TenancyPosture};
use querygate_metadata::{Diagnostic, Severity};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The loader's name of a configured posture.
pub(crate) fn tenancy_posture(posture: Tenancy) -> TenancyPosture {
    match posture {
        Tenancy::Single => TenancyPosture::Single,
        Tenancy::Isolated => TenancyPosture::Isolated,
        Tenancy::Group => TenancyPosture::Group,
    }
}

/// Loads what `[metadata]` names.
pub(crate) fn load_configured(config: &Config) -> Result<Loaded, LoadError> {
    load_path(&config.metadata.path, tenancy_posture(config.metadata.posture), &config.extensions)
}

/// What metadata may name in Rust.
pub(crate) fn native_names(extensions: &Extensions) -> NativeNames {
    let of = |kind| extensions.names(kind).into_iter().map(str::to_owned).collect();
    NativeNames { hooks: of(Kind::Hook), validations: of(Kind::Validation), masks: of(Kind::Mask) }
}

/// Loads a file or folder.
pub(crate) fn load_path(path: &Path, posture: TenancyPosture, extensions: &Extensions) -> Result<Loaded, LoadError> {
    load(path, &LoadOptions { posture, natives: native_names(extensions) })
}

/// Permission sets of the metadata itself, without the platform's own.
pub(crate) fn declared_sets(snapshot: &Snapshot) -> impl Iterator<Item = &PermissionSet> {
    snapshot.permission_sets.values().map(AsRef::as_ref).filter(|set| set.package.is_some())
}

/// Row policies of the platform's own sets, without those whose names the metadata uses too. They name columns that many
/// objects do not have, and are meant to drop out there.
pub(crate) fn platform_policies(snapshot: &Snapshot) -> BTreeSet<&str> {
    let platform = snapshot.permission_sets.values().filter(|set| set.package.is_none());
    let mut own: BTreeSet<&str> =
        platform.flat_map(|set| set.row_level_security.iter().map(|policy| policy.name.as_str())).collect();
    let declared =
        declared_sets(snapshot).flat_map(|set| set.row_level_security.iter().map(|policy| policy.name.as_str()));
    for name in declared.chain(snapshot.sharing_rules.keys().map(String::as_str)) {
        own.remove(name);
    }
    own
}

/// Prints one finding, the way [`crate::config::diagnostic`] does.
pub(crate) fn render(diagnostic: &Diagnostic, to: Stream, output: &mut Output) -> io::Result<()> {
    let head = match diagnostic.severity {
        Severity::Error => output.red("error"),
        Severity::Warning => output.yellow("warning"),
    };
    output.line_to(to, &format!("{head}: {}", diagnostic.message))?;
    let line = diagnostic.location.line.to_string();
    let pad = " ".repeat(line.len());
    output.line_to(to, &format!("{pad}--> {}", diagnostic.location))?;
    if let (Some(source), true) = (&diagnostic.source_line, diagnostic.location.line > 0) {
        let before = diagnostic.location.column.saturating_sub(1) as usize;
        // Long lines (whole stacks on one line) are shown around the place.
        let from = if before > 60 { before - 40 } else { 0 };
        let shown: String = source.chars().skip(from).take(100).collect();
        let carets = "^".repeat((diagnostic.length.max(1) as usize).min(60));
        output.line_to(to, &format!("{pad} |"))?;
        output.line_to(to, &format!("{line} | {shown}"))?;
        output.line_to(to, &format!("{pad} | {}{carets}", " ".repeat(before - from)))?;
    }
    if !diagnostic.path.is_empty() {
        output.line_to(to, &format!("{pad} = at: {}", diagnostic.path))?;
    }
    if let Some(hint) = &diagnostic.hint {
        output.line_to(to, &format!("{pad} = help: {hint}"))?;
    }
    Ok(())
}

/// Prints why there is no snapshot.
pub(crate) fn render_errors(error: &LoadError, to: Stream, output: &mut Output) -> io::Result<()> {
    for diagnostic in &error.diagnostics {
        render(diagnostic, to, output)?;
    }
    if error.unlisted > 0 {
        output.line_to(to, &format!("{} more errors are not listed", error.unlisted))?;
    }
    Ok(())
}
