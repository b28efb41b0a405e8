//! The command line: what there is to type, and which module answers. Decides nothing itself.

mod access;
mod advise;
mod args;
mod check;
mod demo;
mod doctor;
mod extract;
mod health;
mod hook;
mod key;
mod reload;
mod sql;
mod tables;
mod user;
mod worker;

use crate::config::diagnostic::{Report, Severity};
use crate::config::{self, Config};
use crate::output::{Output, Stream};
use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use querygate_types::{Error, ErrorCode, Result};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Exit code after Ctrl-C: what shells give for the signal.
const INTERRUPTED: u8 = 130;
/// Exit code where the reader of what is printed is gone: what shells give for SIGPIPE.
const UNREAD: u8 = 141;

/// Runs one command. Exit codes: 0 done, 1 a finding or failure that was printed, 2 the command line is wrong (of `doctor`: or
/// there is a problem), 130 Ctrl-C, 141 the reader of what it prints has left.
pub fn run(arguments: impl IntoIterator<Item = OsString>, output: &mut Output) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, output),
    };
    match dispatch(cli.command, output) {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::WithFindings) => ExitCode::FAILURE,
        Ok(Ended::WithProblems) => ExitCode::from(2),
        Ok(Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        // `querygate … | head` has what it wanted.
        Err(_) if output.is_closed() => ExitCode::from(UNREAD),
        Err(error) => {
            // Standard error may be closed, too.
            let _ = print_error(output, &error);
            ExitCode::FAILURE
        }
    }
}

/// How a command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    /// It printed errors it was asked to look for.
    WithFindings,
    /// It printed problems that keep a gate from serving.
    WithProblems,
    /// Ctrl-C ended it before it was done.
    Interrupted,
}

fn usage(error: &clap::Error, output: &mut Output) -> ExitCode {
    let text = error.render().to_string();
    let written = if error.use_stderr() { output.prompt(&text) } else { output.text(&text) };
    match (written, error.use_stderr()) {
        (Ok(()), false) => ExitCode::SUCCESS,
        (Err(_), false) if output.is_closed() => ExitCode::from(UNREAD),
        (Ok(()), true) | (Err(_), _) => ExitCode::from(2),
    }
}

fn dispatch(command: Command, output: &mut Output) -> Result<Ended> {
    match command {
        Command::Demo(args) => demo::run(&args, output),
        Command::Serve(args) => serve(&args, output),
        Command::Worker(args) => worker::run(&args, output),
        Command::Check(args) => check::run(&args, output),
        Command::Doctor(args) => doctor::run(&args, output),
        Command::Health(args) => health::run(&args, output),
        Command::Reload(args) => reload::run(&args, output),
        Command::Sql(args) => sql::run(&args, output),
        Command::Extract(args) => extract::run(&args, output),
        Command::Explain(args) => sql::explain(&args, output),
        Command::Advise(args) => advise::run(&args, output),
        Command::Access(args) => access::run(&args, output),
        Command::Init(args) => crate::init::run(&args, output),
        Command::Introspect(args) => crate::introspect::run(&args, output),
        Command::Tables(args) => tables::run(&args, output),
        Command::User(args) => user::run(&args, output),
        Command::Key(args) => key::run(&args, output),
        Command::Hook(args) => hook::run(&args, output),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "querygate", &mut script);
            output.text(&String::from_utf8_lossy(&script)).map_err(written)?;
            Ok(Ended::Well)
        }
    }
}

pub(crate) use args::{InitArgs, IntrospectArgs, SourceArgs};
pub(crate) use check::{configuration as check_configuration, count, metadata_findings};
pub(crate) use sql::show_rows;
pub(crate) use user::checked_entry as user_entry;

fn serve(args: &args::ServeArgs, output: &mut Output) -> Result<Ended> {
    let mut config = load(args.config.file().as_path(), output)?;
    args.apply(&mut config);
    crate::logging::start(&config.log);
    crate::serve::serve(&config, CancellationToken::new(), |bound| {
        let open: Vec<String> = bound.open().map(|(door, at)| format!("{} on {at}", door.name())).collect();
        // A closed terminal does not stop a server.
        let _ = output.note(&format!("querygate serves {}", open.join(", ")));
    })?;
    Ok(Ended::Well)
}

/// Reads the configuration; prints its findings; fails when it is not good.
pub(crate) fn load(file: &Path, output: &mut Output) -> Result<Config> {
    let (config, report) = config::load_with(file, output.extensions());
    report.render(output, Stream::Err).map_err(written)?;
    config.ok_or_else(|| unusable(file, &report))
}

/// A configuration whose findings have been printed.
fn unusable(file: &Path, report: &Report) -> Error {
    let errors = report.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    let errors = check::count(errors, "error");
    Error::new(ErrorCode::ConfigInvalid, format!("{} is not usable ({errors} above)", file.display()))
}

/// An error and what belongs to it, on standard error.
pub(crate) fn print_error(output: &mut Output, error: &Error) -> io::Result<()> {
    output.note(&format!("{}: {}", output.red("error"), error.message()))?;
    if let Some(detail) = error.detail() {
        output.note(&format!("  detail: {detail}"))?;
    }
    if let Some(hint) = error.hint() {
        output.note(&format!("  hint: {hint}"))?;
    }
    if let Some(cause) = error.cause() {
        output.note(&format!("  cause: {cause}"))?;
    }
    Ok(())
}

/// An output stream that cannot be written.
pub(crate) fn written(error: io::Error) -> Error {
    Error::new(ErrorCode::DiskFull, "cannot write the output").with_detail(error.to_string())
}

/// A file that cannot be read or written.
pub(crate) fn file_error(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("cannot {what} {}", path.display())).with_detail(error.to_string())
}

/// Where the configuration is when nobody says.
pub(crate) fn default_config() -> PathBuf {
    PathBuf::from("querygate.toml")
}

#[cfg(test)]
mod tests;
