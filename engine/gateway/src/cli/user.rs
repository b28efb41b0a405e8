//! `querygate user`: verifiers for the configuration. Keeps and prints no password, except one it made itself.

use super::args::{UserAddArgs, UserArgs, UserCommand, UserListArgs};
use super::{Ended, file_error, load, written};
use crate::config;
use crate::output::{Output, Stream};
use crate::{config::Config, password, private_file, verifier};
use querygate_types::principal::Posture;
use querygate_types::{Error, ErrorCode, Result};
use std::path::Path;
use toml::de::{DeTable, DeValue};

pub(super) fn run(args: &UserArgs, output: &mut Output) -> Result<Ended> {
    match &args.command {
        UserCommand::Add(args) => add(args, output),
        UserCommand::List(args) => list(args, output),
    }
}

fn add(args: &UserAddArgs, output: &mut Output) -> Result<Ended> {
    check_name(&args.name)?;
    let password =
        if args.generate { Some(verifier::generate_password()?) } else { password::ask(output).map_err(written)? };
    let password = password.ok_or_else(|| Error::new(ErrorCode::InvalidParameterValue, "no password was given"))?;
    verifier::check_password(&password)
        .map_err(|why| Error::new(ErrorCode::InvalidParameterValue, why).with_hint("Use --generate for a good one."))?;
    let text = verifier::print(&verifier::create(&password)?);
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
    let (edited, done) = edit(&text, name, verifier).map_err(|why| {
        Error::new(ErrorCode::ConfigInvalid, format!("cannot edit {}", file.display())).with_detail(why)
    })?;
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

/// The line of a byte, from 1 on.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or(text).matches('\n').count()
}

fn edit(text: &str, name: &str, verifier: &str) -> std::result::Result<(String, &'static str), String> {
    let document = DeTable::parse(text).map_err(|e| match e.span() {
        Some(at) => format!("line {}: {}", line_of(text, at.start), e.message()),
        None => e.message().to_owned(),
    })?;
    let users = document.get_ref().iter().find(|(key, _)| key.get_ref() == "users").map(|(_, value)| value.get_ref());
    let users = match users {
        None => None,
        Some(DeValue::Array(users)) => Some(users),
        Some(_) => return Err("`users` is not a list of tables".to_owned()),
    };
    let named = users.into_iter().flat_map(|users| users.iter()).filter_map(|user| user.get_ref().as_table());
    let mut found = named.filter(|user| {
        user.iter().any(|(key, value)| key.get_ref() == "name" && value.get_ref().as_str() == Some(name))
    });
    let Some(user) = found.next() else {
        let gap = if text.is_empty() || text.ends_with("\n\n") {
            ""
        } else if text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        return Ok((format!("{text}{gap}{}", entry(name, verifier)), ADDED));
    };
    if let Some(second) = found.next() {
        let line = second.iter().next().map_or(0, |(key, _)| line_of(text, key.span().start));
        return Err(format!("line {line}: \"{name}\" is there a second time; leave one of both"));
    }
    let span = |wanted: &str| user.iter().find(|(key, _)| key.get_ref() == wanted).map(|(_, value)| value.span());
    if let Some(old) = span("verifier") {
        return Ok((format!("{}\"{verifier}\"{}", &text[..old.start], &text[old.end..]), "changed the verifier"));
    }
    let after = span("name").ok_or("the user has no name")?.end;
    let line_end = text[after..].find('\n').map_or(text.len(), |i| after + i);
    Ok((format!("{}\nverifier = \"{verifier}\"{}", &text[..line_end], &text[line_end..]), "added the verifier"))
}

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
            if user.verifier.is_some() { "yes" } else { "no" }.to_owned(),
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
    fn an_edit_keeps_every_other_byte() {
        let text = "# mine\n[[users]]\nname = \"a\" # first\nverifier = \"old\" # keep\n\n[log]\nformat = \"json\"\n";
        let (edited, done) = edit(text, "a", "NEW").unwrap();
        assert_eq!((edited.as_str(), done), (text.replace("\"old\"", "\"NEW\"").as_str(), "changed the verifier"));
        let (edited, done) = edit(text, "b", "V").unwrap();
        assert_eq!(edited, format!("{text}\n{}", entry("b", "V")));
        assert_eq!(done, ADDED);
        let (edited, _) = edit("[[users]]\nname = \"a\"\noperator = true\n", "a", "V").unwrap();
        assert_eq!(edited, "[[users]]\nname = \"a\"\nverifier = \"V\"\noperator = true\n");
        assert!(edit("users = 3\n", "a", "V").is_err());
    }

    #[test]
    fn what_the_user_holds_can_be_said_below() {
        let (added, _) = edit("[log]\nformat = \"json\"\n", "a", "V").unwrap();
        let said = format!("{added}permission_sets = [\"reader\"]\npositions = [\"clerk\"]\n");
        let (again, done) = edit(&said, "a", "W").unwrap();
        assert_eq!((again, done), (said.replace("\"V\"", "\"W\""), "changed the verifier"));
    }

    #[test]
    fn a_file_that_says_something_twice_is_refused_with_the_line() {
        let twice = "[[users]]\nname = \"a\"\npositions = []\npositions = [\"x\"]\n";
        let why = edit(twice, "b", "V").unwrap_err();
        assert!(why.starts_with("line 4: duplicate key"), "{why}");
        let why = edit("[[users]]\nname = \"a\"\n\n[[users]]\nname = \"a\"\n", "a", "V").unwrap_err();
        assert_eq!(why, "line 5: \"a\" is there a second time; leave one of both");
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        for (name, good) in [("nora", true), ("nora o'neil", true), ("", false), ("a\"b", false), ("a\nb", false)] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }
}
