//! The command line of `querygate extract`: what there is to type, and where passwords come from. Fetches nothing itself.

use super::{Ended, file_error, written};
use crate::config::{Environment, FLIGHT_PORT};
use crate::extract::{Compression, Extraction, FileOptions, Format};
use crate::output::Output;
use clap::Args;
use querygate_flight::{ClientOptions, ClientTls};
use querygate_types::{Error, ErrorCode, Result};
use std::path::{Path, PathBuf};

/// The variable that holds a password when nothing else names one.
const PASSWORD_VARIABLE: &str = "QUERYGATE_PASSWORD";

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate extract -u ada 'SELECT * FROM events' --to events.parquet\n  querygate extract -u sam --server grpc+tls://gate.example:8815 --password file:sam.secret \\\n      \"SELECT id, name FROM accounts WHERE industry = 'retail'\" --to accounts.arrow\n  echo 'SELECT * FROM regions' | querygate extract -u iris --to regions.csv\n  querygate extract -u ada --streams 8 --compression zstd 'SELECT * FROM events' --to events.parquet\n\nThe gate decides which rows and columns come: the same as for this user on the Postgres port. A plain read of one table is fetched over several connections at once, where its source can be divided (Parquet by row groups, databases by pages or ranges of the key, PostgreSQL all of one moment); any other statement, and one with ORDER BY or LIMIT, comes over one. Rows of several connections come in no order.\n\nParquet and Arrow keep every type as the gate has it: decimals, timestamps with their zone, lists. CSV is text:\nbytes are hexadecimal, and NULL looks like the empty text unless --null names something else.\n\nThe file appears when it is whole: each connection writes a file of its own in a folder beside it, which become one at the end and are removed after a failure. A part whose connection breaks off is fetched again, up to five times. With --resume the folder (FILE.parts) stays when the command is interrupted, fails or is killed, and the same command goes on from the parts that were whole, as long as the gate keeps their tickets (5 minutes by default, renewed while it runs).\n\nExit codes: 0 the file is there; 1 it is not, and the reason was printed; 2 the command line is wrong;\n130 interrupted by Ctrl-C, no file."
)]
pub(super) struct ExtractArgs {
    /// The query; without it, standard input
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    /// File to write; its ending names the format: .parquet, .arrow, .csv
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Format, if the file's ending does not name it
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
    /// The gate's Flight SQL port: grpc://HOST:PORT, or grpc+tls://HOST:PORT
    #[arg(long, value_name = "URL", env = "QUERYGATE_SERVER", default_value_t = default_server())]
    server: String,
    /// Log in as this user
    #[arg(short, long, value_name = "USER", env = "QUERYGATE_USER")]
    user: String,
    /// Where the password is: env:NAME or file:PATH; default: env:QUERYGATE_PASSWORD, else it is asked for
    #[arg(long, value_name = "SECRET")]
    password: Option<String>,
    /// Certificate authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Certificate to show to a gate that wants one (mutual TLS)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Send the password to another machine without TLS
    #[arg(long)]
    allow_plaintext: bool,
    /// Connections to fetch over at once; default: one for each processor, 8 at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    streams: Option<u8>,
    /// Compress what travels: lz4 for fast networks, zstd for slow ones
    #[arg(long, value_name = "KIND", default_value = "none")]
    compression: WireCompression,
    /// Compress the file; default: zstd for Parquet, none for Arrow
    #[arg(long, value_name = "KIND")]
    file_compression: Option<Compression>,
    /// What NULL is in CSV
    #[arg(long, value_name = "TEXT", default_value = "")]
    null: String,
    /// Keep the parts that arrived when it is interrupted or breaks off, and go on from them when it is run again
    #[arg(long)]
    resume: bool,
    /// Print nothing but failures
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum WireCompression {
    None,
    Lz4,
    Zstd,
}

fn default_server() -> String {
    format!("grpc://127.0.0.1:{FLIGHT_PORT}")
}

pub(super) fn run(args: &ExtractArgs, output: &mut Output) -> Result<Ended> {
    let format = format(args)?;
    if !args.force && args.to.exists() {
        return Err(Error::new(ErrorCode::ConfigInvalid, format!("{} exists", args.to.display()))
            .with_hint("Give --force to replace it."));
    }
    let query = match &args.query {
        Some(query) => query.clone(),
        None => output.read_all().map_err(written)?,
    };
    let client = ClientOptions {
        server: args.server.clone(),
        user: args.user.clone(),
        password: password(args.password.as_deref(), output)?,
        tls: tls(args)?,
        allow_plaintext: args.allow_plaintext,
        application: "querygate extract".to_owned(),
    };
    let processors = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let extraction = Extraction {
        client,
        query,
        streams: args.streams.map_or(processors, usize::from),
        compression: match args.compression {
            WireCompression::None => None,
            WireCompression::Lz4 => Some("lz4"),
            WireCompression::Zstd => Some("zstd"),
        },
        file: FileOptions {
            path: args.to.clone(),
            format,
            compression: args.file_compression,
            null: args.null.clone(),
        },
        resume: args.resume,
        quiet: args.quiet,
    };
    crate::extract::run(&extraction, output)
}

fn format(args: &ExtractArgs) -> Result<Format> {
    args.format.or_else(|| Format::of(&args.to)).ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, format!("what format is {} to have?", args.to.display()))
            .with_hint("End its name with .parquet, .arrow or .csv, or give --format.")
    })
}

fn password(reference: Option<&str>, output: &mut Output) -> Result<String> {
    let environment = Environment::process(Path::new(""));
    let unusable = |why: String| Error::new(ErrorCode::ConfigInvalid, why);
    if let Some(reference) = reference {
        return environment.secret(reference).map(|secret| secret.expose().to_owned()).map_err(unusable);
    }
    if let Ok(secret) = environment.secret(&format!("env:{PASSWORD_VARIABLE}")) {
        return Ok(secret.expose().to_owned());
    }
    let missing = || {
        unusable("no password was given".to_owned())
            .with_hint(format!("Set {PASSWORD_VARIABLE}, or name one with --password env:NAME or file:PATH."))
    };
    if !output.interactive() {
        // Standard input may be the query.
        return Err(missing());
    }
    crate::password::ask_once(output).map_err(written)?.ok_or_else(missing)
}

fn tls(args: &ExtractArgs) -> Result<ClientTls> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| file_error("read", path, &error));
    let identity = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        (_, _) => None,
    };
    Ok(ClientTls { authorities: args.tls_ca.as_ref().map(read).transpose()?, identity })
}
