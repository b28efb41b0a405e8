//! `querygate doctor`: what stands against a gate where it is to run, beyond what its files say. Looks at configuration, sources,
//! certificates, ports, limits, memory, disks and files of secrets; changes nothing.

mod certificates;
mod disk;
mod doors;
mod finding;
mod machine;
mod ports;
mod secrets;
mod sources;
mod validity;
mod worker;
mod workers;

use super::args::DoctorArgs;
use super::{Ended, check, written};
use crate::config::Config;
use crate::config::worker::is_worker;
use crate::governance::Governance;
use crate::init::of_configuration;
use crate::output::Output;
use crate::wiring::{source_states, write_findings};
use chrono::Utc;
use finding::{Finding, Level, Report};
use querygate_types::{Error, Result};
use std::net::SocketAddr;
use std::path::Path;

/// Release of ObjectStack whose metadata is read.
const PROTOCOL: &str = "17.4";

pub(super) fn run(args: &DoctorArgs, output: &mut Output) -> Result<Ended> {
    let file = args.config.file();
    let mut report = Report::new(&file.display().to_string());
    report.add(version());
    if is_worker(&file) {
        let (config, findings) = check::examine_worker(&file);
        report.extend(files_of(&file, &findings, "it is good"));
        report.extend(config.iter().flat_map(|config| worker::findings(config, &file)));
    } else {
        let checked = check::examine(&file, output.extensions())?;
        report.extend(files_of(&file, &checked.findings, "it and the metadata that it names are good"));
        if let Some((config, governance)) = &checked.good {
            report.hide(&config.secrets);
            examine(config, governance.as_ref(), &mut report)?;
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&report.to_json()).map_err(Error::internal)?;
        output.line(&text).map_err(written)?;
    } else {
        report.print(args.quiet, output).map_err(written)?;
    }
    Ok(match report.level() {
        Level::Ok => Ended::Well,
        Level::Warning => Ended::WithFindings,
        Level::Problem => Ended::WithProblems,
    })
}

/// The number of the process of a gate of this configuration that has one of these doors.
pub(super) fn serving_on(doors: &[(&'static str, Option<SocketAddr>)], config: &Path) -> Option<u32> {
    ports::look(doors, config, Path::new("/")).iter().find_map(ports::Door::gate)
}

fn version() -> Finding {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    let what = format!("{}, metadata of ObjectStack {PROTOCOL}, {system} on {processor}", env!("CARGO_PKG_VERSION"));
    Finding::ok("version", "querygate", what)
}

/// What `querygate check` says of configuration and metadata, `good` where that is nothing.
fn files_of(file: &Path, findings: &[check::CheckFinding], good: &str) -> Vec<Finding> {
    let name = file.file_name().map_or_else(|| "configuration".to_owned(), |name| name.to_string_lossy().into_owned());
    if findings.is_empty() {
        return vec![Finding::ok("configuration", name, good)];
    }
    let finding = |found: &check::CheckFinding| {
        let level = if found.is_error { Level::Problem } else { Level::Warning };
        let finding = Finding::new(level, "configuration", &name, &found.what);
        match &found.help {
            Some(help) => finding.advise(help),
            None if found.is_error => finding.advise("correct it; `querygate check` shows the line"),
            None => finding.advise("correct the configuration or the metadata, unless it is meant"),
        }
    };
    findings.iter().map(finding).collect()
}

fn examine(config: &Config, governance: Option<&Governance>, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    let states = runtime.block_on(source_states(config, governance));
    match states {
        Ok(states) => report.extend(states.iter().flat_map(|state| sources::findings(state, config))),
        Err(error) => report.add(
            Finding::new(Level::Problem, "source.reachable", "sources", error.message())
                .advise("correct the source's keys in the configuration"),
        ),
    }
    // A runtime of its own comes with the gate that is tried.
    let tried = governance.map(|governance| of_configuration(config, &governance.snapshot));
    report.extend(tried.into_iter().flat_map(sources::values));
    if let Some(governance) = governance {
        let against = runtime.block_on(write_findings(config, governance)).unwrap_or_default();
        report.extend(against.into_iter().map(|what| Finding::new(Level::Warning, "source.writes", "changes", what)));
    }
    let root = Path::new("/");
    let doors = ports::look(&crate::serve::doors(config), &config.file, root);
    report.extend(doors.iter().map(|door| ports::finding(door, "a gate")));
    report.extend(doors::findings(config));
    let now = Utc::now().timestamp();
    report.extend(certificates::findings(config, now));
    report.extend(config.workers.iter().flat_map(|workers| workers::findings(workers, now)));
    // Limits are those of a gate that runs; of none, those that one would get from here.
    let running = doors.iter().find_map(ports::Door::gate);
    report.add(machine::open_files(config, machine::file_limit(root, running)));
    let total = config.limits.memory_total;
    report.add(machine::memory("limits.memory_total", total, machine::room(root, running)));
    report.extend(disk::findings(config));
    report.extend(secrets::findings(config));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    /// A configuration of these tables, with metadata that is not there.
    pub(super) fn config(tables: &str) -> Config {
        let text = format!("{tables}\n[metadata]\npath = \"metadata\"\n");
        let environment = Environment::fixed(Path::new("/nowhere"), &[]);
        let (config, report) = crate::config::parse(Path::new("/nowhere/querygate.toml"), &text, &environment);
        config.unwrap_or_else(|| panic!("{:?}", report.diagnostics))
    }

    #[test]
    fn what_check_says_keeps_its_weight() {
        let found = |is_error: bool, help: Option<&str>| check::CheckFinding {
            is_error,
            what: "q.toml:1:1: odd".to_owned(),
            help: help.map(str::to_owned),
        };
        let found = [found(true, None), found(false, Some("do this")), found(false, None)];
        let found = files_of(Path::new("/etc/q.toml"), &found, "good");
        assert_eq!(found.iter().map(|f| f.level).collect::<Vec<_>>(), [Level::Problem, Level::Warning, Level::Warning]);
        assert!(found.iter().all(|finding| finding.advice.is_some()), "{found:?}");
        assert!(
            found[0].advice.as_ref().unwrap().contains("querygate check")
                && found[1].advice.as_deref() == Some("do this")
        );
        assert_eq!(files_of(Path::new("q.toml"), &[], "good")[0].level, Level::Ok);
    }
}
