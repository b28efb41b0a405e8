//! `querygate key`: API keys in the file that `keys` in [server] names. Prints a key once, and keeps its hash.

use super::args::{KeyAddArgs, KeyArgs, KeyCommand};
use super::{Ended, load, written};
use crate::config::Config;
use crate::output::Output;
use crate::platform::KeyFile;
use chrono::{DateTime, SecondsFormat, Utc};
use querygate_query_api::requests::platform::NewKey;
use querygate_types::principal::Scope;
use querygate_types::{Error, ErrorCode, Result};
use querygate_web::{TokenHash, random_token};

/// What every key begins with, as ObjectStack's do.
const PREFIX: &str = "osk_";
/// Characters of a key that its owner knows it by.
const KNOWN_BY: usize = 12;

pub(super) fn run(args: &KeyArgs, output: &mut Output) -> Result<Ended> {
    match &args.command {
        KeyCommand::Add(args) => add(args, output),
        KeyCommand::List(args) => list(&load(&args.config.file(), output)?, output),
        KeyCommand::Revoke(args) => {
            let file = file(&load(&args.config.file(), output)?)?;
            if !file.revoke(&args.id)? {
                return Err(Error::new(ErrorCode::UndefinedObject, format!("there is no key \"{}\"", args.id))
                    .with_hint("`querygate key list` shows all."));
            }
            output.note("revoked; a running gate knows it within a second").map_err(written)?;
            Ok(Ended::Well)
        }
    }
}

fn file(config: &Config) -> Result<KeyFile> {
    let path = config.key_file().ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, "this configuration keeps no API keys")
            .with_hint("Name a file for them with `keys` in [server].")
    })?;
    KeyFile::open(path)
}

fn add(args: &KeyAddArgs, output: &mut Output) -> Result<Ended> {
    let config = load(&args.config.file(), output)?;
    if config.user(&args.user).is_none_or(|user| user.verifier.is_none()) {
        let message = format!("\"{}\" is no user who may log in", args.user);
        return Err(Error::new(ErrorCode::UndefinedObject, message).with_hint("`querygate user list` shows all."));
    }
    let file = file(&config)?;
    let now = Utc::now();
    let key = format!("{PREFIX}{}", random_token()?);
    let id = random_token()?;
    let kept = NewKey {
        id: id.clone(),
        name: args.name.clone().unwrap_or_else(|| "API Key".to_owned()),
        login: args.user.clone(),
        hash: TokenHash::of(&key).hex(),
        prefix: key.chars().take(KNOWN_BY).collect(),
        created_ms: now.timestamp_millis(),
        scope: scope(&args.scope)?,
        expires_ms: args.days.map(|days| (now + chrono::Duration::days(i64::from(days))).timestamp_millis()),
    };
    file.add(&kept)?;
    output.text(&format!("id: {id}\nkey: {key}\n")).map_err(written)?;
    output.note("the key is shown once; only its hash is kept").map_err(written)?;
    Ok(Ended::Well)
}

fn scope(given: &[String]) -> Result<Option<Scope>> {
    if given.is_empty() {
        return Ok(None);
    }
    Scope::parse(given.iter().map(String::as_str)).map(Some)
}

fn list(config: &Config, output: &mut Output) -> Result<Ended> {
    let mut rows = vec![["ID", "KEY", "USER", "NAME", "MADE", "VALID UNTIL", "SCOPE"].map(str::to_owned)];
    for key in file(config)?.list()? {
        rows.push([
            key.id,
            format!("{}…", key.prefix),
            key.login,
            key.name,
            time(key.created_ms),
            valid_until(key.expires_ms),
            key.scope.as_ref().map_or_else(|| "all of its user".to_owned(), Scope::to_string),
        ]);
    }
    for line in crate::shell::columns(&rows) {
        output.line(&line).map_err(written)?;
    }
    Ok(Ended::Well)
}

fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Below VALID UNTIL. Keys that were revoked are not listed.
fn valid_until(expires_ms: Option<i64>) -> String {
    expires_ms.map_or_else(|| "no end".to_owned(), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_an_end_does_not_read_as_revoked() {
        assert_eq!(valid_until(None), "no end");
        assert_eq!(valid_until(Some(1_767_225_600_000)), "2026-01-01T00:00:00Z");
    }
}
