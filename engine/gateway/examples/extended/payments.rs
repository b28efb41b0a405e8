//! Payments by IBAN: one extension with something of each kind. Only what is exported here is given to the gate.

use super::smallest_driver::SmallestDriver;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use querygate_driver_api::driver::Driver;
use querygate_extension::hook::{HookCapability, HookContext, HookError, NativeHook};
use querygate_extension::mask::NativeMask;
use querygate_extension::source::{NativeSource, SourceSettings};
use querygate_extension::validation::{NativeValidation, Violation, Written};
use querygate_extension::{Extension, Manifest, Version};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What `main` gives to the gate.
#[must_use]
pub(crate) fn extension() -> Extension {
    Extension::new(Manifest::new("payments", Version::new(1, 2, 0)).provides("iban"))
        .hook("spell_iban", SpellIban)
        .hook("journal", Journal)
        .validation("iban", Iban)
        .mask("iban_ends", IbanEnds)
        .source("table", Tables)
}

/// Before a payment is stored: its IBAN without blanks, and its currency as one that there is.
pub(crate) struct SpellIban;

impl NativeHook for SpellIban {
    fn capabilities(&self) -> &[HookCapability] {
        &[HookCapability::ApiRead]
    }

    fn run(&self, context: &mut HookContext<'_>) -> std::result::Result<(), HookError> {
        if let Some(Value::String(iban)) = context.input.get_mut("iban") {
            *iban = iban.split_whitespace().collect::<String>().to_uppercase();
        }
        let Some(currency) = context.input.get("currency").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(());
        };
        // With the rights of who pays, as any question.
        let known = context.api().find_one("pay_currencies", json!({"where": {"id": currency}}))?;
        match known {
            Some(_) => Ok(()),
            None => Err(HookError::refuse_openly("there is no such currency").with_code("UNKNOWN_CURRENCY")),
        }
    }
}

/// After a payment is stored: a line for it, in the same transaction.
pub(crate) struct Journal;

impl NativeHook for Journal {
    fn capabilities(&self) -> &[HookCapability] {
        &[HookCapability::ApiWrite]
    }

    fn run(&self, context: &mut HookContext<'_>) -> std::result::Result<(), HookError> {
        let id = context.result().and_then(|stored| stored.get("id")).and_then(Value::as_str).unwrap_or_default();
        let line = json!({"id": format!("j_{id}"), "payment": id, "payer": context.user_id()});
        let Value::Object(line) = line else { return Ok(()) };
        context.api().insert("pay_journal", line)?;
        Ok(())
    }
}

/// What is no IBAN: its check digits say so (ISO 7064, mod 97).
pub(crate) struct Iban;

impl NativeValidation for Iban {
    fn check(&self, written: &Written<'_>) -> std::result::Result<Vec<Violation>, String> {
        let Some(iban) = written.record.get("iban").filter(|iban| !iban.is_null()) else { return Ok(Vec::new()) };
        let iban = iban.as_str().ok_or("an IBAN is a text")?;
        Ok(if has_check_digits(iban) { Vec::new() } else { vec![Violation::of("iban", "invalid_iban")] })
    }
}

fn has_check_digits(iban: &str) -> bool {
    let is_form = (15..=34).contains(&iban.len()) && iban.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (Some(head), Some(tail)) = (iban.get(..4), iban.get(4..)) else { return false };
    let digit = |rest: u32, letter: char| match letter.to_digit(36) {
        Some(value) if value < 10 => (rest * 10 + value) % 97,
        Some(value) => (rest * 100 + value) % 97,
        None => rest,
    };
    is_form && tail.chars().chain(head.chars()).fold(0, digit) == 1
}

/// Its country and its last four characters. No IBAN has an ellipsis.
pub(crate) struct IbanEnds;

impl NativeMask for IbanEnds {
    fn mask(&self, text: &str) -> std::result::Result<String, String> {
        let letters: Vec<char> = text.chars().collect();
        match letters.as_slice() {
            // Sent back, it is known as what it is.
            [_, _, '…', _, _, _, _] => Ok(text.to_owned()),
            [first, second, .., a, b, c, d] if letters.len() > 8 => Ok(format!("{first}{second}…{a}{b}{c}{d}")),
            _ => Ok("…".to_owned()),
        }
    }
}

/// Sources whose tables stand in the configuration: `options.TABLE = "id name, id name"`.
pub(crate) struct Tables;

impl NativeSource for Tables {
    fn open(&self, settings: &SourceSettings) -> Result<Arc<dyn Driver>> {
        let mut tables = BTreeMap::new();
        for (table, rows) in &settings.options {
            let pairs = rows.split(',').map(|row| {
                row.trim().split_once(' ').ok_or_else(|| {
                    Error::new(ErrorCode::ConfigInvalid, format!("source \"{}\": a row is \"id name\"", settings.name))
                })
            });
            let pairs: Vec<(&str, &str)> = pairs.collect::<Result<_>>()?;
            let column = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
            let ids = column(pairs.iter().map(|(id, _)| *id).collect());
            let names = column(pairs.iter().map(|(_, name)| *name).collect());
            let rows = RecordBatch::try_from_iter([("id", ids), ("name", names)]).map_err(Error::internal)?;
            tables.insert(table.clone(), rows);
        }
        Ok(Arc::new(SmallestDriver::new(tables)))
    }
}
