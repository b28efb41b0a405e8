//! Arguments of `querygate user`.

use super::ConfigArg;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  querygate user add nora                  asks for a password, prints the entry\n  querygate user add nora --write          puts the entry into querygate.toml\n  querygate user list -c querygate.toml\n\nAn entry of the configuration. `user add` makes its first three lines, the last is yours:\n  [[users]]\n  name = \"nora\"\n  verifier = \"SCRAM-SHA-256$4096:…$…:…\"\n  permission_sets = [\"shop_reader\"]        # what the user holds; also positions = [\"sales\"]\n\nA running gate takes a changed file within [metadata] watch_interval, or at once by `querygate reload`. What a user has open ends within a second after the user was disabled, removed, or given another password or other rights."
)]
pub(in crate::cli) struct UserArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum UserCommand {
    /// Add a user, or give an existing one a new password
    #[command(
        after_help = "Examples:\n  querygate user add nora                  asks for a password, prints the [[users]] entry\n  querygate user add nora -c querygate.toml --write\n                                           adds it to the file (or replaces nora's verifier)\n  querygate user add nora --generate       makes a password and prints it once\n  echo \"$PW\" | querygate user add nora --write\n\nPassword: 1 to 1,024 characters of printable ASCII. At a terminal it is asked for twice and not shown; from a pipe it is the first line. Name: 1 to 63 bytes without \", \\ and control characters.\n\nOnly the verifier is kept, from which the password cannot be read. It is PostgreSQL's own form, so that one copied from pg_authid works too."
    )]
    Add(UserAddArgs),
    /// Give a user another password
    #[command(
        after_help = "Examples:\n  querygate user password nora             asks for it and writes its verifier into the configuration\n  querygate user password nora --generate  makes one and prints it once\n\nWhat the user has open ends within a second after a gate has taken it. API keys of the user stay: they are logins of their own. `querygate key list` shows them, `querygate key revoke ID` ends one."
    )]
    Password(UserPasswordArgs),
    /// Let a user in no more, by nothing; the entry stays
    #[command(
        after_help = "Example:\n  querygate user disable nora && querygate reload\n\nWrites `disabled = true`. Passwords, API keys and tokens of issuers let the user in no more, and what is open ends within a second after a gate has taken it."
    )]
    Disable(UserNameArgs),
    /// Let a user in again
    #[command(after_help = "Example:\n  querygate user enable nora && querygate reload")]
    Enable(UserNameArgs),
    /// Take a user out of the configuration
    #[command(
        after_help = "Example:\n  querygate user remove nora && querygate reload\n\nIts API keys open nothing from then on. A user of the same name who is added later has those that were not revoked."
    )]
    Remove(UserNameArgs),
    /// List users: name, user id, posture, positions, permission sets
    #[command(
        after_help = "Example:\n  querygate user list -c querygate.toml\n\nLOGIN is no where the entry has no verifier: such a user cannot log in by a password."
    )]
    List(UserListArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UserAddArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Login name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// Write into the configuration instead of printing
    #[arg(long)]
    pub(in crate::cli) write: bool,
    /// Make a random password and print it
    #[arg(long)]
    pub(in crate::cli) generate: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UserPasswordArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Login name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// Make a random password and print it
    #[arg(long)]
    pub(in crate::cli) generate: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UserNameArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
    /// Login name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UserListArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArg,
}
