//! Loads ObjectStack metadata for commands that only look at it, and prints its findings. Serving goes through wiring.

pub(crate) mod tables;

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
fn tenancy_posture(posture: Tenancy) -> TenancyPosture {
    match posture {
        Tenancy::Single => TenancyPosture::Single,
        Tenancy::Isolated => TenancyPosture::Isolated,
        Tenancy::Group => TenancyPosture::Group,
    }
}

/// Loads what `[metadata]` names.
pub(crate) fn load_configured(config: &Config) -> Result<Loaded, LoadError> {
    load(&config.metadata.path, &load_options(config))
}

/// How a configuration has its metadata loaded.
pub(crate) fn load_options(config: &Config) -> LoadOptions {
    LoadOptions {
        posture: tenancy_posture(config.metadata.posture),
        protocol: config.metadata.protocol,
        natives: native_names(&config.extensions),
    }
}

/// What metadata may name in Rust.
fn native_names(extensions: &Extensions) -> NativeNames {
    let of = |kind| extensions.names(kind).into_iter().map(str::to_owned).collect();
    NativeNames { hooks: of(Kind::Hook), validations: of(Kind::Validation), masks: of(Kind::Mask) }
}

/// Loads a file or folder that no configuration names.
pub(crate) fn load_path(path: &Path, extensions: &Extensions) -> Result<Loaded, LoadError> {
    load(path, &unconfigured(extensions))
}

/// How metadata are loaded that no configuration names.
pub(crate) fn unconfigured(extensions: &Extensions) -> LoadOptions {
    LoadOptions { natives: native_names(extensions), ..LoadOptions::default() }
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
    if let Some((shown, marker)) = diagnostic.excerpt() {
        output.line_to(to, &format!("{pad} |"))?;
        output.line_to(to, &format!("{line} | {shown}"))?;
        output.line_to(to, &format!("{pad} | {marker}"))?;
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
    error.unsaid().iter().try_for_each(|unsaid| output.line_to(to, unsaid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_metadata::model::Location;

    #[test]
    fn a_long_line_is_shown_around_its_place() {
        let text = format!("{{{}\"fields\": 12}}", "\"x\": 1, ".repeat(40));
        let column = text.find("12").unwrap() + 1;
        let location = Location { line: 1, column: u32::try_from(column).unwrap(), ..Location::outside("stack.json") };
        let finding = Diagnostic::at(Severity::Error, &location, "must be a mapping").with_source(&text, 2);
        let (mut output, captured) = Output::captured("");
        render(&finding, Stream::Out, &mut output).unwrap();
        let rendered = captured.text();
        let lines: Vec<&str> = rendered.lines().collect();
        let marker = lines.iter().find(|line| line.contains('^')).unwrap();
        let source = lines.iter().find(|line| line.starts_with("1 | ")).unwrap();
        let from = marker.find('^').unwrap();
        assert_eq!((&source[from..from + 2], marker.matches('^').count()), ("12", 2), "{rendered}");
    }
}
