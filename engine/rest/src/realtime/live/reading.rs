//! A question that is asked again and again: what identifies its records, and its answers as they are compared. Keeps nothing.

use super::kept::{Digest, Found, Kept};
use crate::call::Call;
use crate::code::Code;
use crate::data::{Ask, Expand, Expansions, check_names, of_body as ask_of};
use crate::refusal::Refusal;
use crate::site::Site;
use crate::values::Printer;
use crate::work::{Held, Work};
use querygate_query_api::requests::question::{ObjectDescription, Question};
use querygate_query_api::requests::tracking::Tracking;
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Records that one answer may have, and bytes of them as they are printed.
const RECORDS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// What tells the records of an answer apart.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// A field. Whether it was added to those that are wanted.
    Key { name: String, is_added: bool },
    /// Keys of groups; none of what is computed of all records.
    Groups(Vec<String>),
    /// All of it.
    Whole,
}

/// A question with its session.
pub(super) struct Reading {
    work: Work,
    question: Question,
    expand: Vec<Expand>,
    identity: Identity,
    /// What it holds while it is read.
    held: Held,
}

impl Reading {
    /// # Errors
    /// The question is none, is not to be asked by the principal, or cannot be kept up to date.
    pub(super) async fn begin(
        site: &Site,
        principal: &Arc<Principal>,
        call: &Call,
        object: &str,
        query: Value,
    ) -> Result<Self, Refusal> {
        if query.get("count").is_some() {
            let message = "An answer that is kept up to date has no total: ask for an aggregation.";
            return Err(Refusal::invalid("query.count", "unrecognized_keys", message));
        }
        let Ask { mut question, expand, .. } = ask_of(object, query)?;
        if question.limit == Some(0) {
            return Err(Refusal::invalid("query.limit", "min_value", "An answer of no records never changes."));
        }
        let work = site.open(principal, call).await?;
        let described = crate::data::described(&work, object, super::super::METHOD).await?;
        Expand::check_bounds(&expand)?;
        check_names(&work, &described, &expand).await?;
        let identity = identity(&mut question, &described);
        let held = work.held();
        Ok(Self { work, question, expand, identity, held })
    }

    /// What is to be heard of, so that it is asked again in time.
    ///
    /// # Errors
    /// An object of a reference cannot be described.
    pub(super) async fn tracking(&self, is_partial: bool) -> Result<Tracking, Refusal> {
        let mut related = BTreeSet::new();
        let own = self.work.session().object(&self.question.object).await?;
        let mut open: Vec<(Arc<ObjectDescription>, &[Expand])> = vec![(own, self.expand.as_slice())];
        while let Some((object, expand)) = open.pop() {
            for one in expand {
                let Some(target) = object.field(&one.field).and_then(|field| field.references.clone()) else {
                    continue;
                };
                if let Some(described) = self.work.object_if_seen(&target).await? {
                    open.push((described, one.inner.as_slice()));
                    related.insert(target);
                }
            }
        }
        Ok(Tracking { object: self.question.object.clone(), related: related.into_iter().collect(), is_partial })
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    /// Whether the answer is in an order.
    pub(super) fn is_ordered(&self) -> bool {
        !self.question.order.is_empty() || self.question.limit.is_some() || self.question.offset.is_some()
    }

    /// Whether the records with some keys may be asked for alone.
    pub(super) fn takes_keys(&self) -> bool {
        matches!(self.identity, Identity::Key { .. }) && !self.is_ordered() && self.expand.is_empty()
    }

    /// The answer, or the part of it with these keys, as it is now. Records that are as they were given are not printed.
    ///
    /// # Errors
    /// The question is refused, or its answer is too large.
    pub(super) async fn read(&mut self, keys: Option<&[String]>, kept: &Kept) -> Result<Vec<Found>, Refusal> {
        let read = self.read_all(keys, kept).await;
        self.held.set(0)?;
        read
    }

    async fn read_all(&mut self, keys: Option<&[String]>, kept: &Kept) -> Result<Vec<Found>, Refusal> {
        let described = self.work.session().object(&self.question.object).await?;
        crate::data::opens(&described, super::super::METHOD)?;
        let question = match keys {
            Some(keys) => Question { keys: Some(keys.to_vec()), ..self.question.clone() },
            None => self.question.clone(),
        };
        let mut rows = self.work.find(&question).await?;
        let (mut found, mut bytes, mut seen) = (Vec::new(), 0_usize, HashMap::new());
        while let Some(printer) = rows.next().await? {
            let printers = [printer];
            let expansions = Expansions::of(&self.work, &printers, &self.expand).await?;
            let [printer] = &printers;
            for row in 0..printer.rows {
                let mut one = self.found(printer, &expansions, row)?;
                // Records that are alike in everything are numbered.
                let times: &mut u32 = seen.entry(one.key.clone()).or_default();
                *times += 1;
                if *times > 1 {
                    one.key = format!("{} #{times}", one.key);
                }
                if kept.has(&one.key, &one.digest) {
                    one.record = None;
                }
                bytes = bytes.saturating_add(one.bytes());
                if found.len() >= RECORDS_MAX || bytes > BYTES_MAX {
                    return Err(too_large().into());
                }
                found.push(one);
            }
            self.held.set(bytes.saturating_add(printer.bytes))?;
        }
        Ok(found)
    }

    fn found(&self, printer: &Printer, expansions: &Expansions, row: usize) -> Result<Found, Refusal> {
        let place = |name: &String| printer.columns.iter().position(|column| column.name == *name);
        let hidden = match &self.identity {
            Identity::Key { name, is_added: true } => place(name),
            Identity::Key { is_added: false, .. } | Identity::Groups(_) | Identity::Whole => None,
        };
        let mut record = String::new();
        let instead = |column, row, out: &mut String| expansions.print(printer, column, row, out);
        printer.print(row, &mut record, instead, |column| hidden == Some(column))?;
        let own = digest_of(&record);
        let key = match &self.identity {
            Identity::Key { name, .. } => {
                place(name).and_then(|at| printer.cells(at)).and_then(|cells| cells.texts(row).pop())
            }
            Identity::Groups(names) => {
                let mut key = String::from("[");
                for (at, name) in names.iter().enumerate() {
                    if at > 0 {
                        key.push(',');
                    }
                    if let Some(cells) = place(name).and_then(|at| printer.cells(at)) {
                        cells.print(row, &mut key)?;
                    }
                }
                key.push(']');
                Some(key)
            }
            Identity::Whole => None,
        };
        let key = key.unwrap_or_else(|| own.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(Found { key, digest: own, record: Some(record) })
    }
}

/// What identifies the records of a question's answer. A key that is not wanted is asked for, too.
fn identity(question: &mut Question, described: &ObjectDescription) -> Identity {
    if !question.group_by.is_empty() || !question.aggregations.is_empty() {
        let names = question.group_by.iter().map(|key| key.alias.clone().unwrap_or_else(|| key.field.clone()));
        return Identity::Groups(names.collect());
    }
    // A mask makes several keys one.
    let is_open = |name: &String| described.field(name).is_some_and(|field| !field.is_masked);
    let Some(name) = described.key.clone().filter(is_open) else { return Identity::Whole };
    let is_added = question.fields.as_ref().is_some_and(|fields| !fields.contains(&name));
    if let (true, Some(fields)) = (is_added, &mut question.fields) {
        fields.push(name.clone());
    }
    Identity::Key { name, is_added }
}

fn digest_of(record: &str) -> Digest {
    let whole = digest(&SHA256, record.as_bytes());
    let mut own = Digest::default();
    own.iter_mut().zip(whole.as_ref()).for_each(|(own, byte)| *own = *byte);
    own
}

fn too_large() -> Error {
    Error::new(ErrorCode::ProgramLimitExceeded, "the answer is too large to be kept up to date")
        .with_detail(format!("The limits are {RECORDS_MAX} records and {BYTES_MAX} bytes."))
        .with_hint("Give a limit, or ask for fewer fields.")
}

/// The object that a question names.
///
/// # Errors
/// It names none.
pub(super) fn object_of(query: &Value) -> Result<String, Refusal> {
    match query.get("object").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Refusal::new(Code::InvalidRequest, "The query names no 'object'.")),
    }
}
