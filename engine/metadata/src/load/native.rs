//! Names of what a binary has in Rust: `native:NAME` where a hook, a validation or a mask of the metadata would stand. A name that is
//! not there is an error: leaving it out would store or show what it is for.

use super::links::{Link, Links, Target};
use crate::model::native_name;
use crate::read::{At, nearest};
use std::collections::BTreeSet;

/// What metadata may name as `native:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeNames {
    pub hooks: BTreeSet<String>,
    pub validations: BTreeSet<String>,
    pub masks: BTreeSet<String>,
}

/// What a native name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NativeKind {
    Hook,
    Validation,
    Mask,
}

impl NativeKind {
    const fn what(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Validation => "validation",
            Self::Mask => "mask",
        }
    }
}

/// The name behind `native:`, noted for the later check; `None`: it is something else.
pub(super) fn read<'a>(at: &At<'a>, kind: NativeKind, links: &mut Links<'a>) -> Option<String> {
    let text = at.is_text().then(|| at.text()).flatten()?;
    let name = native_name(&text)?.to_owned();
    links.add(Link { at: at.clone(), target: Target::Native(kind, name.clone()) });
    Some(name)
}

impl NativeNames {
    fn of(&self, kind: NativeKind) -> &BTreeSet<String> {
        match kind {
            NativeKind::Hook => &self.hooks,
            NativeKind::Validation => &self.validations,
            NativeKind::Mask => &self.masks,
        }
    }

    pub(super) fn check(&self, at: &At<'_>, kind: NativeKind, name: &str) {
        let known = self.of(kind);
        if known.contains(name) {
            return;
        }
        let what = kind.what();
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean 'native:{near}'?"),
            None if known.is_empty() => format!("This binary has no extension with a {what}."),
            None => {
                let listed: Vec<String> = known.iter().map(|known| format!("native:{known}")).collect();
                format!("It is one of: {}.", listed.join(", "))
            }
        };
        at.error_with(format!("no extension has the {what} '{name}'"), hint);
    }
}
