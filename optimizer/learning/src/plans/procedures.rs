//! What a person may decide of plans: pin, unpin, forget, switch off and on. Measures nothing.

use super::{Entry, Key, PlanAdvice};
use async_trait::async_trait;
use querygate_telemetry_api::advice::Variant;
use querygate_telemetry_api::system::{Cell, CellColumns, CellKind, SystemExtension, SystemProcedure, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};

const TEMPLATE: CellColumns = &[("fingerprint", CellKind::Text)];
const TEMPLATE_AND_PLAN: CellColumns = &[("fingerprint", CellKind::Text), ("alternative", CellKind::Text)];

fn procedure(name: &'static str, arguments: CellColumns) -> SystemProcedure {
    SystemProcedure { name, arguments, optional: 0 }
}

fn text(arguments: &[Cell], at: usize) -> Result<&str> {
    match arguments.get(at) {
        Some(Cell::Text(text)) => Ok(text),
        _ => Err(Error::new(ErrorCode::InvalidParameterValue, "an argument is missing")
            .with_hint("querygate.plans lists fingerprints and alternatives.")),
    }
}

fn fingerprint(arguments: &[Cell]) -> Result<u64> {
    u64::from_str_radix(text(arguments, 0)?, 16).map_err(|_| {
        Error::new(ErrorCode::InvalidParameterValue, "a fingerprint is a hexadecimal number")
            .with_hint("querygate.plans lists fingerprints.")
    })
}

impl PlanAdvice {
    /// Changes every contest of a template; gives their number.
    fn change(&self, fingerprint: u64, change: impl Fn(&mut Entry)) -> Result<usize> {
        let book = &mut *self.book();
        let mut changed: Vec<Key> = Vec::new();
        for entry in book.entries.values_mut().filter(|entry| entry.key.fingerprint == fingerprint) {
            change(entry);
            changed.push(entry.key.clone());
        }
        let count = changed.len();
        book.changed.extend(changed);
        if count == 0 { Err(unknown()) } else { Ok(count) }
    }

    fn forget_template(&self, fingerprint: u64) -> Result<usize> {
        let book = &mut *self.book();
        let keys: Vec<Key> = book.entries.keys().filter(|key| key.fingerprint == fingerprint).cloned().collect();
        keys.iter().for_each(|key| {
            book.forget(key);
        });
        if keys.is_empty() { Err(unknown()) } else { Ok(keys.len()) }
    }
}

fn unknown() -> Error {
    Error::new(ErrorCode::UndefinedObject, "no template with this fingerprint has alternatives")
        .with_hint("querygate.plans lists fingerprints.")
}

#[async_trait]
impl SystemExtension for PlanAdvice {
    fn relations(&self) -> Vec<SystemRelation> {
        super::rows::relations()
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        self.rows_of(relation, reader)
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        vec![
            procedure("pin", TEMPLATE_AND_PLAN),
            procedure("unpin", TEMPLATE),
            procedure("forget", TEMPLATE),
            procedure("advice_off", TEMPLATE),
            procedure("advice_on", TEMPLATE),
        ]
    }

    async fn call(&self, procedure: &str, arguments: &[Cell], _caller: &Principal) -> Result<String> {
        let template = fingerprint(arguments)?;
        let count = match procedure {
            "pin" => {
                let name = text(arguments, 1)?;
                let Some(variant) = Variant::from_name(name) else {
                    let names: Vec<&str> = Variant::others().map(Variant::name).collect();
                    return Err(Error::new(ErrorCode::InvalidParameterValue, "there is no such alternative")
                        .with_hint(format!("There are default, {}.", names.join(", "))));
                };
                self.change(template, |entry| entry.contest.fixed = Some(variant.name().to_owned()))?
            }
            "unpin" => self.change(template, |entry| {
                entry.contest.fixed = None;
                entry.contest.rivals.iter_mut().for_each(super::contest::Rival::unpin);
            })?,
            "forget" => self.forget_template(template)?,
            "advice_off" => self.change(template, |entry| entry.contest.off = true)?,
            "advice_on" => self.change(template, |entry| entry.contest.off = false)?,
            other => return Err(Error::internal(format_args!("no procedure {other}"))),
        };
        Ok(format!("{procedure}: {count} {}", if count == 1 { "plan" } else { "plans" }))
    }
}
