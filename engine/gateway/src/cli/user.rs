//! `querygate user`: users of the configuration and their verifiers. Keeps and prints no password, except one it made itself.

mod entries;

use super::args::{UserAddArgs, UserArgs, UserCommand, UserListArgs, UserNameArgs, UserPasswordArgs};
use super::{Ended, file_error, load, written};
use crate::config;
use crate::output::{Output, Stream};
use crate::{config::Config, password, private_file, verifier};
use querygate_types::principal::Posture;
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;

pub(super) fn run(args: &UserArgs, output: &mut Output) -> Result<Ended> {
    match &args.command {
        UserCommand::Add(args) => add(args, output),
        UserCommand::Password(args) => set_password(args, output),
        UserCommand::Disable(args) => change(args, output, |text| entries::disable(text, &args.name)),
        UserCommand::Enable(args) => change(args, output, |text| entries::enable(text, &args.name)),
        UserCommand::Remove(args) => change(args, output, |text| entries::remove(text, &args.name)),
        UserCommand::List(args) => list(args, output),
    }
}

/// A password, made or asked for, and its verifier.
fn chosen(generate: bool, output: &mut Output) -> Result<(String, String)> {
    let password =
        if generate { Some(verifier::generate_password()?) } else { password::ask(output).map_err(written)? };
    let password = password.ok_or_else(|| Error::new(ErrorCode::InvalidParameterValue, "no password was given"))?;
    verifier::check_password(&password)
        .map_err(|why| Error::new(ErrorCode::InvalidParameterValue, why).with_hint("Use --generate for a good one."))?;
    let text = verifier::print(&verifier::create(&password)?);
    Ok((password, text))
}

fn set_password(args: &UserPasswordArgs, output: &mut Output) -> Result<Ended> {
    let file = args.config.file();
    let known = load(&file, output)?.user(&args.name).is_some();
    if !known {
        let text = format!("{} has no user \"{}\"", file.display(), args.name);
        return Err(Error::new(ErrorCode::InvalidParameterValue, text)
            .with_hint(format!("Add one with `querygate user add {} --write`.", args.name)));
    }
    let (password, text) = chosen(args.generate, output)?;
    write(&file, &args.name, &text, output)?;
    if args.generate {
        output.note(&format!("password: {password}")).map_err(written)?;
    }
    Ok(Ended::Well)
}

/// Edits the file; every byte that does not matter stays.
fn change(
    args: &UserNameArgs,
    output: &mut Output,
    edit: impl FnOnce(&str) -> std::result::Result<(String, &'static str), String>,
) -> Result<Ended> {
    let file = args.config.file();
    let text = std::fs::read_to_string(&file).map_err(|e| file_error("read", &file, &e))?;
    let (edited, done) = edit(&text).map_err(|why| not_edited(&file, why))?;
    private_file::replace(&file, &edited).map_err(|e| file_error("write", &file, &e))?;
    output.note(&format!("{done} in {}", file.display())).map_err(written)?;
    let (_, report) = config::load_with(&file, output.extensions());
    report.render(output, Stream::Err).map_err(written)?;
    Ok(Ended::Well)
}

fn not_edited(file: &Path, why: String) -> Error {
    Error::new(ErrorCode::ConfigInvalid, format!("cannot edit {}", file.display())).with_detail(why)
}

fn add(args: &UserAddArgs, output: &mut Output) -> Result<Ended> {
    check_name(&args.name)?;
    let (password, text) = chosen(args.generate, output)?;
    if args.write {
        write(&args.config.file(), &args.name, &text, output)?;
    } else {
        output.text(&entry(&args.name, &text)).map_err(written)?;
    }
    if args.generate {
        output.note(&format!("password: {password}")).map_err(written)?;
    }
    Ok(Ended::Well)
}

/// What a login name may be: it goes into a TOML string and a startup packet.
fn check_name(name: &str) -> Result<()> {
    let good = !name.is_empty() && name.len() <= 63 && !name.chars().any(|c| c.is_control() || c == '"' || c == '\\');
    if good {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidParameterValue,
        "a user name has 1 to 63 bytes and no quotes, backslashes or control characters",
    ))
}

/// The entry of a new user.
///
/// # Errors
/// 22023: a name that no user can have.
pub(crate) fn checked_entry(name: &str, verifier: &str) -> Result<String> {
    check_name(name)?;
    Ok(entry(name, verifier))
}

/// What the user holds is the operator's to say: a list that stood here already would be a key too many beside it.
fn entry(name: &str, verifier: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\nverifier = \"{verifier}\"\n")
}

/// Appends the user, or replaces the verifier of one who is there; every other byte of the file stays.
fn write(file: &Path, name: &str, verifier: &str, output: &mut Output) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|e| file_error("read", file, &e))?;
    let (edited, done) = entries::with_verifier(&text, name, verifier).map_err(|why| not_edited(file, why))?;
    private_file::replace(file, &edited).map_err(|e| file_error("write", file, &e))?;
    output.note(&format!("{done} in {}", file.display())).map_err(written)?;
    if done == ADDED {
        let held = "say there what the user holds, such as permission_sets = [\"…\"] and positions = [\"…\"]";
        output.note(held).map_err(written)?;
    }
    let (_, report) = config::load_with(file, output.extensions());
    report.render(output, Stream::Err).map_err(written)
}

/// What is said of a user who was not there.
const ADDED: &str = "added";

fn list(args: &UserListArgs, output: &mut Output) -> Result<Ended> {
    let config = load(&args.config.file(), output)?;
    for line in lines(&config) {
        output.line(&line).map_err(written)?;
    }
    Ok(Ended::Well)
}

fn lines(config: &Config) -> Vec<String> {
    let mut rows = vec![["NAME", "USER ID", "LOGIN", "POSTURE", "POSITIONS", "PERMISSION SETS"].map(str::to_owned)];
    for user in &config.users {
        let principal = &user.principal;
        let join = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(",");
        rows.push([
            user.name.clone(),
            principal.user_id.clone(),
            if user.disabled {
                "disabled"
            } else if user.verifier.is_some() {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            posture_name(principal.posture).to_owned(),
            join(&principal.positions),
            join(&principal.permission_sets),
        ]);
    }
    crate::shell::columns(&rows)
}

fn posture_name(posture: Posture) -> &'static str {
    match posture {
        Posture::PlatformAdmin => "platform_admin",
        Posture::TenantAdmin => "tenant_admin",
        Posture::Member => "member",
        Posture::External => "external",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        for (name, good) in [("nora", true), ("nora o'neil", true), ("", false), ("a\"b", false), ("a\nb", false)] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }
}
