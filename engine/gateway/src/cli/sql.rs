//! `querygate sql` and `querygate explain`: the governed path without a port.

use super::args::{ConfigArg, ExplainArgs, SqlArgs, UserArg};
use super::{Ended, load, written};
use crate::config::{Config, User};
use crate::metadata;
use crate::naming::{quoted, sql_names};
use crate::output::Output;
use crate::serve::Threads;
use crate::shell::{Format, Shell};
use crate::wiring::FINDINGS;
use querygate_query_api::service::{ClientInfo, Door};
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(args: &SqlArgs, output: &mut Output) -> Result<Ended> {
    let format = if args.csv { Format::Csv } else { Format::Table };
    with_shell(&args.config, &args.user, Form { format, timeout: None }, output, async |shell, output| {
        match &args.query {
            Some(query) => shell.run_argument(query, output).await,
            None if output.interactive() => shell.talk(output).await.map(|()| true),
            None => {
                let text = output.read_all().map_err(written)?;
                shell.script(&text, output).await
            }
        }
    })
}

pub(super) fn explain(args: &ExplainArgs, output: &mut Output) -> Result<Ended> {
    let verb = if args.analyze { "EXPLAIN ANALYZE" } else { "EXPLAIN" };
    with_shell(
        &args.config,
        &args.user,
        Form { format: Format::Plain, timeout: None },
        output,
        async |shell, output| {
            // One statement only: a second one would run without EXPLAIN.
            if shell.count(&args.query)? != 1 {
                return Err(Error::new(ErrorCode::InvalidParameterValue, "explain takes exactly one statement"));
            }
            shell.run(&format!("{verb} {}", args.query), output).await
        },
    )
}

/// Time for the counts of some tables. One that never ends is no reason to wait for all of them.
const COUNT_TIME: &str = "10s";

/// Prints how many rows of each object a user sees, asked as that user.
///
/// # Errors
/// Those of the configuration and its sources.
pub(crate) fn show_rows(config: &Path, user: &str, objects: &[&str], output: &mut Output) -> Result<()> {
    let loaded = load(config, output)?;
    let Ok(metadata) = metadata::load_configured(&loaded) else { return Ok(()) };
    let names = sql_names(&metadata.snapshot);
    let counts = objects.iter().filter_map(|object| names.get(object)).map(|name| {
        let quoted = quoted(name);
        format!("(SELECT count(*) FROM public.{quoted}) AS {quoted}")
    });
    let sql = format!("SELECT {}", counts.collect::<Vec<_>>().join(", "));
    let (config, user) = (ConfigArg::of(config), UserArg { user: Some(user.to_owned()) });
    let form = Form { format: Format::Table, timeout: Some(COUNT_TIME) };
    with_shell(&config, &user, form, output, async |shell, output| shell.run(&sql, output).await).map(drop)
}

/// How a shell prints, and how long its statements may take.
struct Form {
    format: Format,
    timeout: Option<&'static str>,
}

fn with_shell(
    config: &ConfigArg,
    user: &UserArg,
    form: Form,
    output: &mut Output,
    work: impl AsyncFnOnce(&mut Shell, &mut Output) -> Result<bool>,
) -> Result<Ended> {
    let mut config = load(&config.file(), output)?;
    let user = choose(&config, user.user.as_deref())?.clone();
    if std::env::var_os("QUERYGATE_LOG").is_none() {
        // Warnings of the metadata are for `querygate check`.
        config.log.filter = format!("warn,{FINDINGS}=error");
    }
    crate::logging::start(&config.log);
    let threads = Threads::start(&config)?;
    // A second writer beside a running gate would spoil what that one learns.
    let gate = threads.build(&Config { learning: None, ..config.clone() })?;
    let client = ClientInfo {
        door: Door::Shell,
        database: config.server.database.clone(),
        peer: None,
        settings: std::iter::once(("application_name", "querygate sql"))
            .chain(form.timeout.map(|timeout| ("statement_timeout", timeout)))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    let well = threads.block_on(async {
        let session = gate.service.open(Arc::clone(&user.principal), client).await?;
        let mut shell = Shell::new(session, &user.name, form.format);
        let result = work(&mut shell, output).await;
        shell.close().await;
        result
    });
    (gate.close)();
    let well = well?;
    Ok(if well { Ended::Well } else { Ended::WithFindings })
}

fn choose<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a User> {
    let names = || config.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, config.users.as_slice()) {
        (Some(name), _) => config.user(name).ok_or_else(|| unknown_user(config, name)),
        (None, [only]) => Ok(only),
        (None, _) => Err(Error::new(ErrorCode::InvalidAuthorization, "which user asks?")
            .with_hint(format!("Give one with -u; configured: {}.", names()))),
    }
}

/// A user that the configuration does not have.
pub(super) fn unknown_user(config: &Config, name: &str) -> Error {
    let names: Vec<&str> = config.users.iter().map(|user| user.name.as_str()).collect();
    let error = Error::new(ErrorCode::InvalidAuthorization, format!("no user `{name}` in {}", config.file.display()));
    match crate::config::diagnostic::nearest(name, names.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean {near}?")),
        None => error.with_hint(format!("Configured: {}.", names.join(", "))),
    }
}
