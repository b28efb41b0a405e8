//! `querygate init`: from an address to a governed gate. Writes metadata, configuration and a first user, checks them, shows what users
//! see, and proposes rules. It applies none.

mod applied;
mod merge;
mod propose;
mod trial;

pub(crate) use trial::{ConfiguredTrial, ROWS, UntriedTable, of_configuration};

use crate::cli::{
    Ended, InitArgs, IntrospectArgs, check_configuration, file_error, load, show_rows, user_entry, written,
};
use crate::config::Config;
use crate::introspect::{Described, GivenNames, KnownNames, describe, pretty};
use crate::metadata;
use crate::naming::sql_names;
use crate::output::Output;
use crate::{private_file, verifier};
use applied::{applied, is_applied};
use merge::{Merged, keep_types};
use propose::{lifting, proposals};
use querygate_extension::Extensions;
use querygate_metadata::model::{Field, SharingModel, Snapshot};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder in that of the metadata for what was described last.
const INTROSPECTED: &str = ".introspected";
/// Users, and tables of each, whose rows are counted in the end.
const SHOWN_MAX: usize = 3;

pub(crate) fn run(args: &InitArgs, output: &mut Output) -> Result<Ended> {
    let config = args.config.file();
    let folder = config.parent().unwrap_or(Path::new("")).join("metadata");
    let known = |namespace: &str| {
        let (others, given) = (names_of_others(&config, namespace), names_before(&folder, namespace));
        KnownNames { others, given }
    };
    let described = describe(&asked(args, output)?, known)?;
    let (described, untried) = trial::readable(described, &config, output)?;
    let count = |number: usize, what: &str| if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") };
    for note in described.left_out.iter().chain(&described.notes) {
        output.note(note).map_err(written)?;
    }
    for sentence in UntriedTable::sentences(&untried) {
        output.note(&sentence).map_err(written)?;
    }
    // Nothing is written unless all of it can be.
    let done = write_metadata(&folder, &described)?;
    let password = write_configuration(&config, &described, args, output)?;
    for note in &done {
        output.note(note).map_err(written)?;
    }
    let summary = format!(
        "{}, {} left out; the first {} rows of each were tried",
        count(described.tables.len(), "table"),
        described.left_out.len(),
        trial::ROWS
    );
    output.note(&summary).map_err(written)?;
    if let Ended::WithFindings = check_configuration(&config, output)? {
        return Ok(Ended::WithFindings);
    }
    show(&config, &described, output)?;
    let loaded = load(&config, output)?;
    say_rules(&loaded, &described, output)?;
    let login = args.login();
    output.line(&format!("\nquerygate serve -c {}", config.display())).map_err(written)?;
    if let (Some(address), Some(password)) = (loaded.server.postgres, password) {
        output
            .line(&format!("PGPASSWORD={password} psql postgres://{login}@{address}/{}", loaded.server.database))
            .map_err(written)?;
    }
    Ok(Ended::Well)
}

/// Names of the tables that other sources have. None where there is no configuration that can be read: then there is no other source either,
/// or the configuration has errors, which its check shows.
fn names_of_others(config: &Path, namespace: &str) -> BTreeSet<String> {
    let Some(loaded) = crate::config::load_with(config, &Extensions::default()).0 else { return BTreeSet::new() };
    let Ok(metadata) = metadata::load_configured(&loaded) else { return BTreeSet::new() };
    let names = sql_names(&metadata.snapshot);
    let is_own = |object: &str| {
        let package =
            metadata.snapshot.object(object).and_then(|object| metadata.snapshot.packages.get(&object.package));
        package.is_some_and(|package| package.namespace.as_deref() == Some(namespace))
    };
    names.into_iter().filter(|(object, _)| !is_own(object)).map(|(_, name)| name.to_owned()).collect()
}

/// What the metadata calls the tables of a source. Of a file that cannot be read, nothing: to write it says why.
fn names_before(folder: &Path, namespace: &str) -> GivenNames {
    let read = |folder: &Path| read_json(&folder.join(format!("{namespace}.json"))).ok().flatten();
    GivenNames::of(read(&folder.join(INTROSPECTED)).as_ref(), read(folder).as_ref())
}

/// What is to be read: from the flags, else asked for.
fn asked(args: &InitArgs, output: &mut Output) -> Result<IntrospectArgs> {
    let source = match &args.source {
        Some(source) => source.clone(),
        None if output.interactive() => {
            let text = "Where is the data? (postgres://, mysql://, mongodb:// with USER@HOST/DATABASE, a SQLite file, a folder): ";
            output.prompt(text).map_err(written)?;
            PathBuf::from(output.read_line().map_err(written)?.unwrap_or_default().trim())
        }
        None => PathBuf::new(),
    };
    if source.as_os_str().is_empty() {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "no source was given").with_hint(
            "Write querygate init postgres://USER@HOST/DATABASE --password env:NAME, or a SQLite file, or a folder.",
        ));
    }
    Ok(IntrospectArgs { source, access: args.access.clone(), output: None })
}

/// Writes both files, or puts what changed in the source into those that are there; what was done. What was written last is kept beside
/// them, where metadata is not looked for, so that a later run knows what was edited.
fn write_metadata(folder: &Path, described: &Described) -> Result<Vec<String>> {
    let before = folder.join(INTROSPECTED);
    std::fs::create_dir_all(&before).map_err(|e| file_error("write", &before, &e))?;
    let [source, _] = &described.files;
    let (mut notes, mut files) = (Vec::new(), Vec::new());
    let mut stack: Option<Value> = None;
    for (value, ending) in described.files.iter().zip(["json", "querygate.json"]) {
        let name = format!("{}.{ending}", described.namespace);
        let (file, base) = (folder.join(&name), before.join(&name));
        let (new, done) = match read_json(&file)? {
            None => (value.clone(), "wrote"),
            Some(ours) => {
                let mut merged = Merged::default();
                let mut new = merged.merge(read_json(&base)?.as_ref(), &ours, value, "");
                if let Some(stack) = &stack {
                    keep_types(stack, source, &ours, &mut new);
                }
                for place in &merged.kept {
                    notes.push(format!("kept as edited, though the source changed: {place} in {}", file.display()));
                }
                let done = if new == ours { "left" } else { "brought up to date" };
                (new, done)
            }
        };
        notes.push(format!("{done} {}", file.display()));
        files.extend([(file, pretty(&new)?), (base, pretty(value)?)]);
        stack.get_or_insert(new);
    }
    // All of it, then its place: a reader finds the whole description or none.
    for (file, text) in &files {
        let beside = beside(file);
        std::fs::write(&beside, text).map_err(|e| file_error("write", &beside, &e))?;
    }
    for (file, _) in &files {
        std::fs::rename(beside(file), file).map_err(|e| file_error("write", file, &e))?;
    }
    Ok(notes)
}

fn beside(file: &Path) -> PathBuf {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    beside.into()
}

fn read_json(file: &Path) -> Result<Option<Value>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|e| file_error("read", file, &e))?,
    };
    let value = serde_json::from_str(&text).map_err(|e| {
        Error::new(ErrorCode::ConfigInvalid, format!("{} is not JSON", file.display())).with_detail(e.to_string())
    })?;
    Ok(Some(value))
}

/// Adds the source, and to a new file a first user, whose password is returned.
fn write_configuration(
    config: &Path,
    described: &Described,
    args: &InitArgs,
    output: &mut Output,
) -> Result<Option<String>> {
    let entry = &described.entry;
    let text = match std::fs::read_to_string(config) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        text => Some(text.map_err(|e| file_error("read", config, &e))?),
    };
    let Some(text) = text else {
        let password = verifier::generate_password()?;
        let user = user_entry(args.login(), &verifier::print(&verifier::create(&password)?))?;
        let reader = format!("permission_sets = [\"{}_reader\"]\n", described.namespace);
        let text = format!("[metadata]\npath = \"metadata\"\n\n{entry}\n\n{user}{reader}");
        private_file::replace(config, &text).map_err(|e| file_error("write", config, &e))?;
        let note =
            format!("wrote {} with the source and the user {}, password {password}", config.display(), args.login());
        output.note(&note).map_err(written)?;
        return Ok(Some(password));
    };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        Error::new(ErrorCode::ConfigInvalid, format!("cannot edit {}", config.display())).with_detail(e.to_string())
    })?;
    let is_there = table.get("sources").and_then(toml::Value::as_array).is_some_and(|sources| {
        sources.iter().any(|source| source.get("name").and_then(toml::Value::as_str) == Some(&described.namespace))
    });
    if !is_there {
        let text = format!("{}\n\n{entry}\n", text.trim_end());
        private_file::replace(config, &text).map_err(|e| file_error("write", config, &e))?;
        let note = format!(
            "added the source {0} to {1}; give users permission_sets = [\"{0}_reader\"]",
            described.namespace,
            config.display()
        );
        output.note(&note).map_err(written)?;
    }
    Ok(None)
}

/// How many rows of some tables each user sees, counted as that user.
fn show(config: &Path, described: &Described, output: &mut Output) -> Result<()> {
    let objects: Vec<&str> = described.tables.iter().take(SHOWN_MAX).map(|table| table.object.as_str()).collect();
    let reader = format!("{}_reader", described.namespace);
    for user in load(config, output)?.users.iter().take(SHOWN_MAX) {
        if user.principal.permission_sets.contains(&reader) {
            output.line(&format!("\nRows that {} sees:", user.name)).map_err(written)?;
            show_rows(config, &user.name, &objects, output)?;
        } else {
            output
                .line(&format!("\n{} does not hold {reader}, and sees nothing of it by that.", user.name))
                .map_err(written)?;
        }
    }
    Ok(())
}

/// The objects of the source that no rule, mask or hidden field narrows.
fn in_full<'a>(snapshot: &Snapshot, described: &'a Described) -> Vec<&'a str> {
    let sets: Vec<_> = metadata::declared_sets(snapshot).collect();
    let narrowed = |name: &str| {
        let by_set = sets.iter().any(|set| {
            let rules = set.row_level_security.iter().any(|rule| rule.object == name || rule.object == "*");
            rules || set.fields.contains_key(name)
        });
        by_set
            || snapshot.object(name).is_none_or(|object| {
                let covered = |field: &Field| field.masking_rule.is_some() || !field.required_permissions.is_empty();
                object.sharing_model != SharingModel::PublicRead || object.fields.values().any(covered)
            })
    };
    described.tables.iter().map(|table| table.object.as_str()).filter(|name| !narrowed(name)).collect()
}

/// Tables that are named of a longer list.
const NAMED_MAX: usize = 50;

/// Says what is open, which rules are applied, and which there could be besides.
fn say_rules(config: &Config, described: &Described, output: &mut Output) -> Result<()> {
    // The check that ran before has loaded it.
    let Ok(loaded) = metadata::load_configured(config) else { return Ok(()) };
    let snapshot = &loaded.snapshot;
    let full = in_full(snapshot, described);
    if !full.is_empty() {
        let shown = full.get(..NAMED_MAX).unwrap_or(&full).join(", ");
        let more = full.len().checked_sub(NAMED_MAX).filter(|more| *more > 0);
        let more = more.map(|more| format!(", and of {more} more")).unwrap_or_default();
        let line = format!("\nWho holds {}_reader sees every row and column of: {shown}{more}.", described.namespace);
        output.line(&line).map_err(written)?;
    }
    let told = applied(snapshot, &described.tables);
    if !told.is_empty() {
        output.line("\nRules that are applied:").map_err(written)?;
        told.iter().try_for_each(|rule| output.line(&format!("- {rule}"))).map_err(written)?;
    }
    let mut proposals = proposals(&described.tables);
    proposals.retain(|proposal| !is_applied(snapshot, proposal));
    if proposals.is_empty() {
        return Ok(());
    }
    output.line("\nRules to think about (none is applied):").map_err(written)?;
    for proposal in &proposals {
        output.line(&format!("- {}", proposal.words)).map_err(written)?;
        output.line(&format!("    {}: {}", proposal.place, proposal.line)).map_err(written)?;
    }
    lifting(&described.namespace, &proposals).iter().try_for_each(|line| output.line(line)).map_err(written)
}
