//! Arguments of `querygate key`.

use super::ConfigArg;
use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyAddArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Login name of the user that the key is for
    #[arg(value_name = "USER")]
    pub(in crate::cli) user: String,
    /// What to call it
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Days after which it ends; without it, when it is revoked
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3_650))]
    pub(in crate::cli) days: Option<u16>,
    /// What it is good for of its user's rights, as crm_*:read or orders:read,update; several may be given. Without it: all
    #[arg(long, value_name = "SCOPE")]
    pub(in crate::cli) scope: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyListArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyRevokeArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Id that `querygate key list` shows
    // One may begin with a hyphen.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    pub(in crate::cli) id: String,
}
