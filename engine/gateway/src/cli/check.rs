//! `querygate check`: every mistake of a configuration and its metadata, with places, and what the two add up to.

mod capabilities;
mod cross_references;
mod effects;
mod files;
mod history;
mod hooks;
mod rules;
mod values;
mod worker;

pub(super) use rules::unknown_sets;
pub(super) use worker::examine as examine_worker;

use super::args::CheckArgs;
use super::{Ended, default_config, written};
use crate::config::diagnostic::nearest;
use crate::config::worker::is_worker;
use crate::config::{self, Config, SourceKind, User};
use crate::governance::Governance;
use crate::init::{ROWS, UntriedTable, of_configuration};
use crate::metadata::{self, declared_sets};
use crate::output::{Output, Stream};
use crate::wiring::{webhook_findings, write_findings};
use effects::Members;
use querygate_extension::{Extensions, Kind};
use querygate_metadata::load::LoadError;
use querygate_metadata::load::{LoadOptions, load};
use querygate_metadata::{Diagnostic, Severity};
use querygate_types::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// How many rules of a configuration's metadata cannot be applied; `None`: the metadata cannot be read.
pub(super) fn unusable_rules(config: &Config, extensions: &Extensions) -> Option<usize> {
    let loaded = metadata::load_configured(config).ok()?;
    let governance = Governance::of(loaded, 1, extensions).ok()?;
    Some(rules::unusable(&Members::of(&governance, &config.users)).len())
}

/// What is to be said of metadata and the rows beside it, to these users among others. Opens no source and no file.
pub(crate) fn metadata_findings(governance: &Governance, users: &[User]) -> Vec<Diagnostic> {
    let (snapshot, policies) = (&governance.snapshot, &governance.policies);
    let members = Members::of(governance, users);
    [
        rules::unusable(&members),
        rules::of_writes(policies),
        rules::unevaluated_hooks(policies),
        effects::comparisons(&members),
        rules::memberships(governance),
        rules::dropped(policies),
        rules::only_asked(policies),
        rules::formulas(policies),
        hooks::findings(snapshot),
        values::findings(snapshot),
        capabilities::findings(governance),
    ]
    .concat()
}

pub(super) fn run(args: &CheckArgs, output: &mut Output) -> Result<Ended> {
    let path = args.path.clone().unwrap_or_else(default_config);
    let extensions = output.extensions().clone();
    let mut check = Check::new(output, args.quiet, args.offline);
    check.extensions(&extensions)?;
    if is_worker(&path) {
        check.worker(&path)?;
    } else if path.extension().is_some_and(|extension| extension == "toml") {
        check.configuration(&path)?;
    } else {
        check.metadata(&path, &metadata::unconfigured(&extensions), &[])?;
    }
    let (errors, warnings) = (check.errors, check.warnings);
    let verdict = if errors == 0 { "good" } else { "not usable" };
    let line = format!("{} is {verdict}: {}, {}", path.display(), count(errors, "error"), count(warnings, "warning"));
    output.line(&output.bold(&line)).map_err(written)?;
    Ok(if errors == 0 { Ended::Well } else { Ended::WithFindings })
}

/// As `querygate check` of a configuration.
///
/// # Errors
/// Output that cannot be written.
pub(crate) fn configuration(path: &Path, output: &mut Output) -> Result<Ended> {
    run(&CheckArgs { path: Some(path.to_path_buf()), quiet: false, offline: true }, output)
}

/// What a check found in a configuration, for commands that print it in another way.
pub(super) struct Checked {
    /// What is good enough to go on with.
    pub(super) good: Option<(Config, Option<Governance>)>,
    pub(super) findings: Vec<CheckFinding>,
}

/// One finding, without an excerpt of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckFinding {
    pub(super) is_error: bool,
    /// Where there is a place, behind it.
    pub(super) what: String,
    /// What to do.
    pub(super) help: Option<String>,
}

/// As `querygate check --offline` of a configuration, printing nothing.
///
/// # Errors
/// None that a configuration could cause.
pub(super) fn examine(path: &Path, extensions: &Extensions) -> Result<Checked> {
    let mut unseen = Output::captured("").0.with_extensions(extensions.clone());
    let mut check = Check::new(&mut unseen, true, true);
    let good = check.configuration(path)?;
    Ok(Checked { good, findings: check.findings })
}

pub(crate) fn count(number: usize, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

struct Check<'a> {
    output: &'a mut Output,
    quiet: bool,
    offline: bool,
    errors: usize,
    warnings: usize,
    findings: Vec<CheckFinding>,
}

impl<'a> Check<'a> {
    fn new(output: &'a mut Output, quiet: bool, offline: bool) -> Self {
        Self { output, quiet, offline, errors: 0, warnings: 0, findings: Vec::new() }
    }

    /// What the binary has in Rust.
    fn extensions(&mut self, extensions: &Extensions) -> Result<()> {
        for extension in extensions.iter() {
            let manifest = extension.manifest();
            let named = Kind::ALL.into_iter().filter_map(|kind| {
                let names = extension.names(kind);
                (!names.is_empty()).then(|| format!("{} {}", kind.name(), names.join(", ")))
            });
            let named: Vec<String> = named.collect();
            self.line(&format!("extension {} {}: {}", manifest.name(), manifest.version(), named.join("; ")))?;
        }
        Ok(())
    }

    fn configuration(&mut self, path: &Path) -> Result<Option<(Config, Option<Governance>)>> {
        let (config, report) = config::load_with(path, self.output.extensions());
        let (file, text) = (report.file.clone(), report.text.clone());
        self.report(report)?;
        let Some(config) = config else { return Ok(None) };
        if !self.offline {
            let (file, text, diagnostics) = (file.clone(), text.clone(), files::findings(&config));
            self.report(config::diagnostic::Report { file, text, diagnostics })?;
        }
        self.line(&format!(
            "configuration: {}, {}, {}",
            count(config.sources.len(), "source"),
            count(config.users.len(), "user"),
            count(config.views.len(), "view")
        ))?;
        if let Some(missing) = cross_references::missing_metadata(&config) {
            self.report(config::diagnostic::Report { file, text, diagnostics: vec![missing] })?;
            return Ok(Some((config, None)));
        }
        let governance = self.metadata(&config.metadata.path, &metadata::load_options(&config), &config.users)?;
        if let Some(governance) = &governance {
            self.across(&config, governance)?;
            let diagnostics = cross_references::findings(&config, governance);
            self.report(config::diagnostic::Report { file, text, diagnostics })?;
            self.changes(&config, governance)?;
            self.rows(&config, governance)?;
        }
        Ok(Some((config, governance)))
    }

    /// Counts what was found in a configuration, and prints it.
    fn report(&mut self, mut report: config::diagnostic::Report) -> Result<()> {
        self.findings.extend(report.diagnostics.iter().map(|finding| CheckFinding::of_configuration(finding, &report)));
        self.errors += report.diagnostics.iter().filter(|d| d.severity == config::diagnostic::Severity::Error).count();
        self.warnings +=
            report.diagnostics.iter().filter(|d| d.severity == config::diagnostic::Severity::Warning).count();
        if self.quiet {
            report.diagnostics.retain(|d| d.severity == config::diagnostic::Severity::Error);
        }
        report.render(self.output, Stream::Out).map_err(written)
    }

    /// What serving reads of the metadata and beside it, read the same way.
    fn metadata(&mut self, path: &Path, options: &LoadOptions, users: &[User]) -> Result<Option<Governance>> {
        let loaded = match load(path, options) {
            Ok(loaded) => loaded,
            Err(errors) => return self.refused(&errors),
        };
        for warning in &loaded.snapshot.warnings {
            self.tell(warning)?;
        }
        let (filed, findings) = rules::row_files(&loaded.row_files);
        if !findings.is_empty() {
            findings.iter().try_for_each(|finding| self.tell(finding))?;
            return Ok(None);
        }
        let governance = match Governance::of(loaded, 1, self.output.extensions()) {
            Ok(governance) => governance,
            Err(errors) => return self.refused(&errors),
        };
        metadata_findings(&governance, users).iter().try_for_each(|finding| self.tell(finding))?;
        let snapshot = &governance.snapshot;
        let fields: usize = snapshot.objects.values().map(|object| object.declared_fields()).sum();
        self.line(&format!(
            "metadata: {}, {}, {}, {}, {}, {}, {}",
            count(snapshot.packages.len(), "package"),
            count(snapshot.objects.len(), "object"),
            count(fields, "field"),
            count(declared_sets(snapshot).count(), "permission set"),
            count(declared_sets(snapshot).map(|set| set.row_level_security.len()).sum(), "row policy"),
            count(snapshot.sharing_rules.len(), "sharing rule"),
            count(snapshot.seed.iter().map(|seed| seed.records.len()).sum::<usize>() + filed, "seed row")
        ))?;
        Ok(Some(governance))
    }

    fn refused(&mut self, errors: &LoadError) -> Result<Option<Governance>> {
        self.errors += errors.diagnostics.iter().filter(|d| d.severity == Severity::Error).count() + errors.unlisted;
        self.findings.extend(errors.diagnostics.iter().map(CheckFinding::of_metadata));
        let unsaid = errors.unsaid().into_iter();
        self.findings.extend(unsaid.map(|what| CheckFinding { is_error: true, what, help: None }));
        metadata::render_errors(errors, Stream::Out, self.output).map_err(written)?;
        Ok(None)
    }

    /// Counts a finding and prints it.
    fn tell(&mut self, finding: &Diagnostic) -> Result<()> {
        match finding.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        self.findings.push(CheckFinding::of_metadata(finding));
        if self.quiet && finding.severity == Severity::Warning {
            return Ok(());
        }
        metadata::render(&rules::excerpt(finding), Stream::Out, self.output).map_err(written)
    }

    /// What stands against changes that the configuration and the metadata allow.
    fn changes(&mut self, config: &Config, governance: &Governance) -> Result<()> {
        if self.offline || self.errors > 0 {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        let findings = runtime.block_on(write_findings(config, governance))?;
        findings.iter().try_for_each(|finding| self.warn(finding))
    }

    /// What of the first rows of the tables cannot be read.
    fn rows(&mut self, config: &Config, governance: &Governance) -> Result<()> {
        if self.offline || self.errors > 0 {
            return Ok(());
        }
        let tried = match of_configuration(config, &governance.snapshot) {
            Ok(tried) => tried,
            Err(error) => return self.warn(&format!("the tables could not be read for a trial: {}", error.message())),
        };
        for (source, found) in &tried.unreadable {
            let column = found.column.as_ref().map(|column| format!(" column {column}")).unwrap_or_default();
            self.warn(&format!("{source}: table {}{column} cannot be read whole: {}", found.table, found.reason))?;
        }
        let absent = files::absent_tables(&governance.snapshot, &tried.fileless);
        absent.iter().try_for_each(|finding| self.tell(finding))?;
        UntriedTable::sentences(&tried.untried).iter().try_for_each(|sentence| self.line(sentence))?;
        self.line(&format!("rows: the first {ROWS} of {} were read", count(tried.tables, "table")))
    }

    /// Keys of `current_user` that no configured user has.
    fn variables(&mut self, config: &Config, governance: &Governance) -> Result<()> {
        let principals = || config.users.iter().map(|user| &user.principal);
        let mut known = BTreeSet::from(["id", "positions", "org_user_ids"]);
        known.extend(principals().flat_map(|principal| principal.attributes.keys()).map(String::as_str));
        let stored = |id: &str| governance.facts.users.get(id).is_some_and(|user| user.email.is_some());
        if principals().any(|principal| principal.email.is_some() || stored(&principal.user_id)) {
            known.insert("email");
        }
        if principals().any(|principal| principal.organization_id.is_some()) {
            known.insert("organization_id");
        }
        rules::unknown_variables(&governance.policies, &known).iter().try_for_each(|finding| self.tell(finding))
    }

    /// What only the two together can show.
    fn across(&mut self, config: &Config, governance: &Governance) -> Result<()> {
        let snapshot = &governance.snapshot;
        let in_memory = config.sources.iter().filter(|source| matches!(source.kind, SourceKind::Memory { .. }));
        let in_memory: BTreeSet<&str> = in_memory.map(|source| source.name.as_str()).collect();
        rules::memory(governance, &in_memory).iter().try_for_each(|finding| self.tell(finding))?;
        webhook_findings(config, snapshot).iter().try_for_each(|finding| self.tell(finding))?;
        self.variables(config, governance)?;
        rules::teams(&governance.policies).iter().try_for_each(|finding| self.tell(finding))?;
        history::findings(config, governance).iter().try_for_each(|finding| self.tell(finding))?;
        let sources: BTreeSet<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        let used: BTreeSet<&str> = snapshot.objects.values().map(|object| object.datasource.as_str()).collect();
        for datasource in used.difference(&sources) {
            let objects = snapshot.objects.values().filter(|object| object.datasource == **datasource).count();
            let near = nearest(datasource, sources.iter().copied()).map(|n| format!(" (did you mean `{n}`?)"));
            let near = near.unwrap_or_default();
            let objects = count(objects, "object");
            self.warn(&format!("no [[sources]] is named `{datasource}`{near}: {objects} will have no rows"))?;
        }
        Ok(())
    }

    fn warn(&mut self, message: &str) -> Result<()> {
        self.warnings += 1;
        self.findings.push(CheckFinding { is_error: false, what: message.to_owned(), help: None });
        if self.quiet {
            return Ok(());
        }
        let head = self.output.yellow("warning");
        self.line(&format!("{head}: {message}"))
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.output.line(text).map_err(written)
    }
}

impl CheckFinding {
    fn of_configuration(finding: &config::diagnostic::Diagnostic, report: &config::diagnostic::Report) -> Self {
        let place = finding.span.clone().map(|span| config::diagnostic::Place::of(&report.text, span));
        let place = place.map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default();
        // Stands below the excerpt where there is one: often the nearest name.
        let label = finding.label.as_ref().map(|label| format!(": {label}")).unwrap_or_default();
        Self {
            is_error: finding.severity == config::diagnostic::Severity::Error,
            what: format!("{}{place}: {}{label}", report.file, finding.message),
            help: finding.help.clone(),
        }
    }

    fn of_metadata(finding: &Diagnostic) -> Self {
        Self {
            is_error: finding.severity == Severity::Error,
            what: format!("{}: {}", finding.location, finding.message),
            help: finding.hint.clone(),
        }
    }
}

/// Sets of the platform itself.
pub(super) fn is_built_in(set: &str) -> bool {
    matches!(set, "admin_full_access" | "organization_admin" | "member_default" | "viewer_readonly")
}

#[cfg(test)]
mod tests;
