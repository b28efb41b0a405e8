//! What a check says of references between configuration and metadata, with their places: sources that no object is in, permission sets
//! and positions that users hold and that there are not, views, metadata that is not there.

use super::is_built_in;
use crate::config::Config;
use crate::config::diagnostic::{Diagnostic, nearest};
use crate::governance::Governance;
use crate::naming::sql_names;
use std::collections::BTreeSet;
use std::ops::Range;

/// The metadata's path, where nothing is at it.
pub(super) fn missing_metadata(config: &Config) -> Option<Diagnostic> {
    let path = &config.metadata.path;
    // Where it cannot be found out, the loader says why.
    let is_missing = path.try_exists().is_ok_and(|exists| !exists);
    is_missing.then(|| {
        let message = format!("{}: no such file or folder", path.display());
        Diagnostic::error(Some(config.metadata.path_at.clone()), message)
    })
}

pub(super) fn findings(config: &Config, governance: &Governance) -> Vec<Diagnostic> {
    let snapshot = &governance.snapshot;
    let used: BTreeSet<&str> = snapshot.objects.values().map(|object| object.datasource.as_str()).collect();
    let idle = config.sources.iter().filter(|source| !used.contains(source.name.as_str())).map(|source| {
        let message = format!("source `{}` is not the datasource of any object", source.name);
        Diagnostic::warning(Some(source.span.clone()), message)
    });
    let mut found: Vec<Diagnostic> = idle.collect();
    found.extend(of_views(config, governance));
    let named = |row: &querygate_metadata::model::PlacedRow, name: &str| {
        row.object == "sys_position" && row.row.get("name").and_then(|value| value.as_str()) == Some(name)
    };
    let is_stored = |name: &str| governance.rows.iter().any(|row| named(row, name));
    for user in &config.users {
        for set in &user.sets_at {
            let name = set.value.as_str();
            if governance.policies.permission_set(name).is_none() && !is_built_in(name) {
                let message = format!("user `{}` holds permission set `{name}`, which does not exist", user.name);
                let near = nearest(name, snapshot.permission_sets.keys().map(String::as_str));
                found.push(unknown(&set.span, message, near));
            }
        }
        for position in &user.positions_at {
            let name = position.value.as_str();
            if !snapshot.positions.contains_key(name) && !is_stored(name) {
                let message = format!("user `{}` holds position `{name}`, which does not exist", user.name);
                let near = nearest(name, snapshot.positions.keys().map(String::as_str));
                found.push(unknown(&position.span, message, near));
            }
        }
    }
    found
}

/// Views that no one will find: their text is no query, or a table has their name. Names in a text are not looked up, for that is done
/// with the rights of each reader.
fn of_views(config: &Config, governance: &Governance) -> Vec<Diagnostic> {
    let tables = sql_names(&governance.snapshot);
    let mut found = Vec::new();
    for view in &config.views {
        if view.is_named_as_one_of(&tables) {
            let message = format!("view `{}` has the name of a table", view.name);
            found.push(Diagnostic::error(Some(view.name_at.clone()), message));
        }
        if let Err(error) = querygate_query::check_view(&view.sql) {
            let message = format!("view `{}` will not be there: {}", view.name, error.message());
            let finding = Diagnostic::error(Some(view.sql_at.clone()), message);
            found.push(match error.hint() {
                Some(hint) => finding.help(hint),
                None => finding,
            });
        }
    }
    found
}

fn unknown(span: &Range<usize>, message: String, near: Option<&str>) -> Diagnostic {
    let found = Diagnostic::warning(Some(span.clone()), message);
    match near {
        Some(near) => found.label(format!("did you mean `{near}`?")),
        None => found,
    }
}
