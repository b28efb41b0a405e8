//! The arguments of commands that look at a gate where it runs. Knows nothing of what they do.

use super::ConfigArg;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate doctor                        querygate.toml here\n  sudo -u querygate querygate doctor -c /etc/querygate/querygate.toml\n                                          with the rights of the service's user\n  querygate doctor --quiet                only what is not good\n  querygate doctor --json | jq '.findings[] | select(.level == \"problem\")'\n\nExit code: 0 everything is good, 1 there are warnings, 2 there are problems.\n\nIt looks at what `querygate check` finds, and then at this machine and the sources: whether each source answers, its version, clock, tables and rights; certificates and when they end; ports; open files; memory and its cgroup; room on disks; who may read files of secrets. It changes nothing. Given a worker's file, it looks at the worker.\nBeside a gate that runs, limits are those of that gate.\nIn JSON, `check` names what was looked at, `subject` which one, `do` what to do; `format` changes when their meaning does."
)]
pub(in crate::cli) struct DoctorArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Print one JSON object
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Do not print what is good
    #[arg(short, long, conflicts_with = "json")]
    pub(in crate::cli) quiet: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate health                        the HTTP door of querygate.toml\n  querygate health --http 127.0.0.1:8080\n  HEALTHCHECK CMD [\"/usr/bin/querygate\", \"health\"]      in an image without a shell\n\nPrints what the gate says of itself, or the worker whose file is given. Exit code 0: ready (a source may be down: the others answer). 1: not ready, or nothing answers."
)]
pub(in crate::cli) struct HealthArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Address of the HTTP port instead of [server] http
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) http: Option<SocketAddr>,
    /// Ask whether the process lives, not whether it is ready
    #[arg(long)]
    pub(in crate::cli) live: bool,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(in crate::cli) timeout: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate worker -c worker.toml\n\nA worker runs sealed parts of statements for gates that name it in [workers]: tables over files, with policy and masks inside. It has no users and no metadata, and reads nothing but the folders of its file.\n\nKeys: openssl genpkey -algorithm ed25519 -out gate.key; openssl pkey -in gate.key -pubout -out gate.pub\nThe gate keeps gate.key, workers get gate.pub.\n\nThe file; more of it in engine/docs/workers.md (of the package: /usr/share/doc/querygate/workers.md):\n  [worker]\n  listen = \"0.0.0.0:7001\"\n  address = \"lake-1:7001\"                 # as the gate calls it\n  verification_key = \"gate.pub\"\n  tls_certificate = \"lake-1.pem\"\n  tls_key = \"lake-1.key\"\n  client_ca = \"ca.pem\"\n  [[sources]]\n  name = \"lake\"                           # the name of the gate's source\n  path = \"/data/lake\"\n\nSignals: SIGTERM and Ctrl-C stop: new parts are refused, running ones may end within [worker] drain_timeout."
)]
pub(in crate::cli) struct WorkerArgs {
    /// Configuration file of the worker
    #[arg(short, long, value_name = "FILE", default_value = "worker.toml")]
    pub(in crate::cli) config: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate reload                        the gate that querygate.toml describes, on this machine\n  sudo querygate reload -c /etc/querygate/querygate.toml\n\nIt checks the configuration, sends SIGHUP to the gate that has its ports, waits until the gate is done, and prints the version in force and the keys that wait for the next start. Exit code 1: the configuration is wrong, or the gate refused it and goes on as before.\nOver SQL, operators CALL querygate.reload()."
)]
pub(in crate::cli) struct ReloadArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// The gate's process, where it is not found by its ports
    #[arg(long, value_name = "PID")]
    pub(in crate::cli) pid: Option<u32>,
    /// Address of the HTTP port instead of [server] http
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) http: Option<SocketAddr>,
    /// Seconds to wait for the gate
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(in crate::cli) timeout: u64,
}
