//! `[[sources]]` of a kind that an extension has: `kind = "native:NAME"`. What is in its tables, the extension knows.

use super::SourceKind;
use crate::config::syntax::diagnostic::{Diagnostic, nearest};
use crate::config::syntax::secret::{Environment, Secret, remedy};
use crate::config::syntax::table::{At, Table};
use querygate_extension::Kind;
use std::collections::BTreeMap;

/// A source of a kind that an extension has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NativeSource {
    /// Without `native:`.
    pub(crate) kind: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) writes: bool,
}

/// The name behind `native:`.
pub(super) fn name(kind: &At<String>) -> Option<At<String>> {
    let value = kind.value.strip_prefix("native:")?.to_owned();
    Some(At { value, span: kind.span.clone() })
}

/// Reads the rest of such a source. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: &Table<'_>, kind: At<String>, environment: &Environment) -> Option<SourceKind> {
    let writes = table.boolean("writes").is_some_and(|writes| writes.value);
    let options = table.table("options", "[sources.options]").map(Table::all_texts).unwrap_or_default();
    let named = table.table("secrets", "[sources.secrets]").map(Table::all_texts).unwrap_or_default();
    let mut secrets = BTreeMap::new();
    for (key, reference) in named {
        match environment.secret(&reference.value) {
            Ok(secret) => drop(secrets.insert(key, secret)),
            Err(message) => {
                let found = Diagnostic::error(Some(reference.span), format!("`{key}`: {message}"));
                table.push(found.help(remedy(&reference.value)));
            }
        }
    }
    let known = environment.extensions().names(Kind::Source);
    if !known.contains(&kind.value.as_str()) {
        table.push(unknown(&kind, &known));
        return None;
    }
    let options = options.into_iter().map(|(key, at)| (key, at.value)).collect();
    Some(SourceKind::Native(NativeSource { kind: kind.value, options, secrets, writes }))
}

fn unknown(kind: &At<String>, known: &[&str]) -> Diagnostic {
    let found = Diagnostic::error(Some(kind.span.clone()), format!("no extension has the kind `{}`", kind.value));
    match nearest(&kind.value, known.iter().copied()) {
        Some(near) => found.label(format!("did you mean `native:{near}`?")),
        None if known.is_empty() => found.help("this binary has no extension with a kind of sources"),
        None => {
            let listed: Vec<String> = known.iter().map(|known| format!("native:{known}")).collect();
            found.help(format!("known kinds of extensions: {}", listed.join(", ")))
        }
    }
}
