//! What a check says of rules and rows: those that cannot be applied or understood, with their places.

use super::effects::Members;
use crate::config::diagnostic::nearest;
use crate::governance::Governance;
use crate::metadata::{declared_sets, platform_policies};
use crate::wiring::{MEMORY_SOURCE_BYTES_MAX, memory_rows};
use querygate_metadata::load::{RowFile, RowReader};
use querygate_metadata::model::{Location, Snapshot};
use querygate_metadata::{Diagnostic, Severity};
use querygate_policy::CompiledPolicy;
use querygate_policy::rules::RuleFault;
use querygate_policy::unusable::UnusableRule;
use querygate_types::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;

/// Bytes of a metadata file that is read again for the line of a finding.
const EXCERPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Rules that cannot be applied: reads of their objects are refused, or what they share is not shared.
pub(super) fn unusable(members: &Members<'_>) -> Vec<Diagnostic> {
    let policies = &members.governance.policies;
    let finding = |first: &UnusableRule, more: &str| {
        let (rule, object, reason) = (&first.rule, &first.object, &first.reason);
        let message = format!("rule '{rule}' cannot be applied to '{object}'{more}: {reason}");
        let mut finding = Diagnostic::at(Severity::Error, &first.location, &message);
        let hints = [hint(first, policies.snapshot()), members.effect(first)];
        finding.hint = Some(hints.into_iter().flatten().collect::<Vec<_>>().join(" ")).filter(|hint| !hint.is_empty());
        finding
    };
    grouped(policies.unusable(), finding)
}

/// One finding for each rule and reason: a rule for every object says of each of them what it says of the first.
fn grouped(rules: Vec<UnusableRule>, finding: impl Fn(&UnusableRule, &str) -> Diagnostic) -> Vec<Diagnostic> {
    let mut grouped: BTreeMap<(Location, String, String), Vec<UnusableRule>> = BTreeMap::new();
    for rule in rules {
        let key = (rule.location.clone(), rule.rule.clone(), rule.reason.clone());
        grouped.entry(key).or_default().push(rule);
    }
    let told = |rules: &Vec<UnusableRule>| {
        let more = if rules.len() > 1 { format!(" and {} more objects", rules.len() - 1) } else { String::new() };
        rules.first().map(|first| finding(first, &more))
    };
    grouped.values().filter_map(told).collect()
}

/// Hooks of changes that are not run, for their condition cannot be evaluated: whether records are changed here or not.
pub(super) fn unevaluated_hooks(policies: &CompiledPolicy) -> Vec<Diagnostic> {
    let finding = |first: &UnusableRule, more: &str| {
        let (hook, object, reason) = (&first.rule, &first.object, &first.reason);
        let message = format!("hook '{hook}' of '{object}'{more} is not run: {reason}");
        let mut finding = Diagnostic::at(Severity::Warning, &first.location, &message);
        finding.hint = Some("Until it can be, changes that it is for are refused.".to_owned());
        finding
    };
    grouped(policies.unevaluated_hooks(), finding)
}

/// Policies that drop out for an object, and are meant to.
pub(super) fn dropped(policies: &CompiledPolicy) -> Vec<Diagnostic> {
    let platform = platform_policies(policies.snapshot());
    let own = policies.dropped_as_meant().into_iter().filter(|(_, name, _)| !platform.contains(*name));
    let finding = |(object, name, why): (&str, &str, &str)| {
        let message = format!("`{name}` on {object} cannot be compiled and drops out: {why}");
        Diagnostic::outside(Severity::Warning, object, &message)
    };
    own.map(finding).collect()
}

/// Objects that only questions read.
pub(super) fn only_asked(policies: &CompiledPolicy) -> Vec<Diagnostic> {
    let finding = |(object, hook): (&str, &str)| {
        let why = format!("the hook `{hook}` has no filter that stands for it");
        let message = format!("{object} is read by questions alone, and not by SQL: {why}");
        Diagnostic::outside(Severity::Warning, object, &message)
    };
    policies.all_only_asked().into_iter().map(finding).collect()
}

/// Rules of written records that cannot be evaluated: what nobody could is an error, the rest keeps the object read-only here.
pub(super) fn of_writes(policies: &CompiledPolicy) -> Vec<Diagnostic> {
    let objects = policies.snapshot().objects.keys();
    let rules = objects.filter_map(|name| Some((name, policies.rules(name)?)));
    let faults = rules.flat_map(|(name, rules)| rules.faults().iter().map(move |fault| (name, fault)));
    let finding = |(object, fault): (&String, &RuleFault)| {
        let severity = if fault.is_mistake { Severity::Error } else { Severity::Warning };
        let message = format!("rule '{}' of '{object}' cannot be evaluated: {}", fault.rule, fault.reason);
        let mut finding = Diagnostic::at(severity, &fault.location, &message);
        finding.hint = Some("Until it can be, no record of the object is written.".to_owned());
        finding
    };
    faults.map(finding).collect()
}

/// Formulas that do not compile: their fields are not served.
pub(super) fn formulas(policies: &CompiledPolicy) -> Vec<Diagnostic> {
    let snapshot = policies.snapshot();
    let finding = |(object, name, why): (&str, &str, &str)| {
        let declared = snapshot.object(object)?;
        let field = declared.field(name)?;
        let at = field.expression.as_ref().map_or(&field.location, |formula| &formula.location);
        let message = format!("formula {object}.{name} is not served: {why}");
        let mut finding = Diagnostic::at(Severity::Warning, at, &message);
        let missing = why.strip_prefix("there is no column '").and_then(|rest| rest.strip_suffix('\''));
        let near = missing.and_then(|missing| nearest(missing, declared.fields.values().map(|f| f.name.as_str())));
        finding.hint = near.map(|near| format!("Did you mean '{near}'?"));
        Some(finding)
    };
    policies.uncomputed().into_iter().filter_map(finding).collect()
}

fn hint(rule: &UnusableRule, snapshot: &Snapshot) -> Option<String> {
    let object = snapshot.object(&rule.object)?;
    let missing = rule.missing_column.as_deref()?;
    if object.field(missing).is_some_and(|field| field.phantom) {
        return Some(format!("The source has no such column: declare '{missing}' as a field if it has."));
    }
    let columns = object.fields.values().filter(|field| !field.phantom).map(|field| field.name.as_str());
    nearest(missing, columns).map(|near| format!("Did you mean '{near}'?"))
}

/// Sharing rules for teams, which share with nobody.
pub(super) fn teams(policies: &CompiledPolicy) -> Vec<Diagnostic> {
    let teams = policies.shared_with_teams().into_iter();
    teams
        .map(|(rule, at)| {
            let message =
                format!("rule '{rule}' shares with a team, whose members are not known here: it shares with nobody");
            let mut finding = Diagnostic::at(Severity::Warning, at, &message);
            finding.hint = Some("Share with a position, a business unit or a user.".to_owned());
            finding
        })
        .collect()
}

/// Keys of `current_user` that no user has, so that rules drop out for everybody.
pub(super) fn unknown_variables(policies: &CompiledPolicy, known: &BTreeSet<&str>) -> Vec<Diagnostic> {
    let written = policies.variables().into_iter().filter(|(_, at)| at.line > 0);
    let unknown = written.filter(|(key, _)| !known.contains(key.as_str()));
    unknown
        .map(|(key, at)| {
            let message = format!("no user has current_user.{key}: the rule drops out, and opens no row");
            let mut finding = Diagnostic::at(Severity::Warning, &at, &message);
            let near = nearest(&key, known.iter().copied()).map(|near| format!("Did you mean current_user.{near}?"));
            let elsewhere = "Give it to users as `attributes` in the configuration.".to_owned();
            finding.hint = Some(near.unwrap_or(elsewhere));
            finding
        })
        .collect()
}

/// Rows that replace sets of the stack, and rows that name what does not exist.
pub(super) fn memberships(governance: &Governance) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (set, at) in &governance.stored_sets {
        if let Some(declared) = declared_sets(&governance.snapshot).find(|declared| declared.name == *set) {
            let message = format!("this row replaces the permission set '{set}' of the stack");
            let mut finding = Diagnostic::at(Severity::Warning, at, &message);
            finding.hint = Some(format!("It is defined at {}.", declared.location));
            findings.push(finding);
        }
    }
    let stored = governance.stored_sets.iter().map(|(set, _)| set);
    let names: BTreeSet<&String> = governance.snapshot.permission_sets.keys().chain(stored).collect();
    for set in unknown_sets(governance) {
        let message = format!("membership rows name the permission set '{set}', which does not exist");
        let mut finding = Diagnostic::outside(Severity::Warning, "rows of sys_*", &message);
        let near = nearest(set, names.iter().map(|name| name.as_str()));
        finding.hint = near.map(|near| format!("Did you mean '{near}'?"));
        findings.push(finding);
    }
    findings
}

/// Permission sets that memberships name and that do not exist.
pub(in crate::cli) fn unknown_sets(governance: &Governance) -> BTreeSet<&str> {
    let facts = &governance.facts;
    let held = facts.user_sets.values().flatten().map(|grant| grant.permission_set.as_str());
    let bound = facts.position_sets.values().flatten().map(String::as_str);
    let is_stored = |set: &str| governance.stored_sets.iter().any(|(stored, _)| stored == set);
    let is_known = |set: &str| governance.snapshot.permission_sets.contains_key(set) || is_stored(set);
    held.chain(bound).filter(|set| !is_known(set)).collect()
}

/// How many rows the files hold, and every line that is no row.
pub(super) fn row_files(files: &[RowFile]) -> (usize, Vec<Diagnostic>) {
    let (mut rows, mut findings) = (0, Vec::new());
    for file in files {
        let name = file.path.display().to_string();
        match File::open(&file.path) {
            Err(cause) => {
                findings.push(Diagnostic::outside(Severity::Error, &name, &format!("cannot be read: {cause}")));
            }
            Ok(open) => {
                for row in RowReader::new(&name, BufReader::new(open)) {
                    match row {
                        Ok(_) => rows += 1,
                        Err(finding) => findings.push(*finding),
                    }
                }
            }
        }
    }
    (rows, findings)
}

/// Rows of tables in memory that do not fit their object: without them there is no table.
pub(super) fn memory(governance: &Governance, sources: &BTreeSet<&str>) -> Vec<Diagnostic> {
    let in_memory = |datasource: &str| sources.contains(datasource);
    let objects = governance.snapshot.objects.values().filter(|object| in_memory(&object.datasource));
    let broken = objects.filter_map(|object| {
        let rows = memory_rows(object, &governance.snapshot, &governance.row_files, MEMORY_SOURCE_BYTES_MAX);
        rows.err().map(|error| row_finding(&object.name, &error))
    });
    broken.collect()
}

fn row_finding(object: &str, error: &Error) -> Diagnostic {
    let mut message = format!("a row of '{object}' cannot be served, and so its table: {}", error.message());
    if let Some(cause) = error.cause() {
        message.push_str(&format!(" ({cause})"));
    }
    Diagnostic::outside(Severity::Error, error.detail().unwrap_or("rows"), &message)
}

/// The finding with its line of the metadata.
pub(super) fn excerpt(finding: &Diagnostic) -> Diagnostic {
    let (finding, file) = (finding.clone(), finding.location.file.as_ref());
    let is_small = || std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= EXCERPT_BYTES_MAX);
    if finding.source_line.is_some() || finding.location.line == 0 || !is_small() {
        return finding;
    }
    // Without its line the finding still has its place.
    match std::fs::read_to_string(file) {
        Ok(text) => finding.with_source(&text, 1),
        Err(_) => finding,
    }
}
