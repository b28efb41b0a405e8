//! The hooks of a snapshot: for each object and event those that run, in their order, with their conditions compiled; and why others
//! cannot be run, so that what they are for is refused. Runs no script.

mod run_statistics;

use crate::expression::{Template, compile as compile_filter};
use crate::filter::RowFilter;
use crate::query_filter::Column;
use crate::rules::HookCondition;
pub use crate::rules::HookScene;
use querygate_extension::hook::NativeHook;
use querygate_extension::{Extensions, Registration};
use querygate_metadata::model::{
    Declared, Hook, HookBody, HookCapability, HookEvent, HookScript, Location, Object, Snapshot,
};
use querygate_types::principal::Principal;
pub use run_statistics::{HookRunStatistics, WaitingRuns};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a hook runs.
#[derive(Debug, Clone, Copy)]
pub enum HookCode<'h> {
    Script(&'h HookScript),
    Native(&'h Registration<dyn NativeHook>),
}

/// A hook of an object.
#[derive(Debug)]
pub struct ObjectHook {
    hook: Arc<Hook>,
    /// What its body names in Rust.
    native: Option<Registration<dyn NativeHook>>,
    condition: Option<HookCondition>,
    statistics: Arc<HookRunStatistics>,
}

impl ObjectHook {
    /// What the metadata says of it.
    #[must_use]
    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    /// What it runs. `None`: nothing is there that could be; such a hook is not compiled.
    #[must_use]
    pub fn code(&self) -> Option<HookCode<'_>> {
        match (&self.hook.body, &self.native) {
            (HookBody::Script(script), _) => Some(HookCode::Script(script)),
            (HookBody::Native(_), native) => native.as_ref().map(HookCode::Native),
        }
    }

    /// What it may use beside its record.
    #[must_use]
    pub fn capabilities(&self) -> &[HookCapability] {
        match self.code() {
            Some(HookCode::Script(script)) => &script.capabilities,
            Some(HookCode::Native(native)) => native.capabilities(),
            None => &[],
        }
    }

    /// Whether it may ask for other records, or change them.
    #[must_use]
    pub fn asks_for_records(&self) -> bool {
        self.capabilities().iter().any(|capability| match capability {
            HookCapability::ApiRead | HookCapability::ApiWrite | HookCapability::ApiTransaction => true,
            HookCapability::CryptoUuid | HookCapability::Log => false,
        })
    }

    /// How it has run since its metadata was loaded.
    #[must_use]
    pub fn statistics(&self) -> &Arc<HookRunStatistics> {
        &self.statistics
    }

    /// Whether it runs for a record.
    ///
    /// # Errors
    /// Why that is not known, in words that name no value: then the operation is refused.
    pub fn applies(&self, scene: HookScene<'_>) -> Result<bool, &'static str> {
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(scene))
    }
}

/// The hooks of one object.
#[derive(Debug, Default)]
pub(crate) struct ObjectHooks {
    events: BTreeMap<HookEvent, Vec<Arc<ObjectHook>>>,
    /// Hooks that cannot be run, with the reason. Without events: it may be for any.
    faults: Vec<HookFault>,
    /// Hooks of reads that are not run.
    unread: Vec<UnreadHook>,
    /// Rows that hooks of reads leave.
    filters: Vec<Template>,
    /// A hook of reads whose script nothing stands for: records are read by questions alone.
    only_asked: Option<String>,
}

/// A hook of reads that is not run, so that its object is not read.
#[derive(Debug)]
pub(crate) struct UnreadHook {
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) at: Location,
}

#[derive(Debug)]
struct HookFault {
    name: String,
    reason: String,
    events: Vec<HookEvent>,
    /// Where the hook stands, if its condition is what is wrong.
    condition_at: Option<Location>,
}

/// A declaration that was read once, for all objects.
enum ReadHook<'d> {
    Known(Arc<Hook>, Option<Registration<dyn NativeHook>>, &'d Location),
    Unknown(&'d Declared, String),
}

/// Compiles the hooks of all objects.
pub(crate) fn compile(snapshot: &Snapshot, extensions: &Extensions) -> HashMap<String, ObjectHooks> {
    let mut read: Vec<ReadHook<'_>> = snapshot
        .hooks
        .iter()
        .map(|declared| {
            match Hook::read(declared).and_then(|hook| native_of(&hook, extensions).map(|code| (hook, code))) {
                Ok((hook, native)) => ReadHook::Known(Arc::new(hook), native, &declared.location),
                Err(reason) => ReadHook::Unknown(declared, reason),
            }
        })
        .collect();
    // Equal priorities stay in the order of their declarations.
    read.sort_by_key(|read| match read {
        ReadHook::Known(hook, ..) => hook.priority,
        ReadHook::Unknown(..) => i64::MAX,
    });
    let objects = snapshot.objects.values().map(|object| (object.name.clone(), of_object(object, &read)));
    objects.filter(|(_, hooks)| !hooks.events.is_empty() || !hooks.faults.is_empty()).collect()
}

fn of_object(object: &Object, read: &[ReadHook<'_>]) -> ObjectHooks {
    let mut hooks = ObjectHooks::default();
    let is_for = |target: &str| target == object.name || target == "*";
    for read in read {
        match read {
            ReadHook::Known(hook, native, at) if hook.targets.iter().any(|target| is_for(target)) => {
                hooks.add(object, hook, native.as_ref(), at);
                if hook.events.iter().any(|event| is_of_reads(*event)) {
                    hooks.add_of_reads(object, hook, at);
                }
            }
            ReadHook::Known(..) => {}
            ReadHook::Unknown(declared, reason) => {
                let texts = |key: &str| texts(&declared.value, key);
                if texts("object").is_none_or(|names| names.iter().any(|name| is_for(name))) {
                    // An event that is not known may be any.
                    let events = texts("events").and_then(|names| names.into_iter().map(HookEvent::of).collect());
                    let (name, events): (_, Vec<HookEvent>) = (declared.name.clone(), events.unwrap_or_default());
                    if events.is_empty() || events.iter().any(|event| is_of_reads(*event)) {
                        let at = declared.location.clone();
                        hooks.unread.push(UnreadHook { name: name.clone(), reason: reason.clone(), at });
                    }
                    hooks.faults.push(HookFault { name, reason: reason.clone(), events, condition_at: None });
                }
            }
        }
    }
    hooks
}

impl ObjectHooks {
    fn add(&mut self, object: &Object, hook: &Arc<Hook>, native: Option<&Registration<dyn NativeHook>>, at: &Location) {
        let compiled = hook.condition.as_ref().map(|condition| HookCondition::compile(condition, object)).transpose();
        let reason = match &compiled {
            Err(reason) => Some(format!("its condition cannot be evaluated: {reason}")),
            Ok(_) => None,
        };
        if let Some(reason) = reason {
            let (name, events, condition_at) = (hook.name.clone(), hook.events.clone(), Some(at.clone()));
            self.faults.push(HookFault { name, reason, events, condition_at });
            return;
        }
        let own = Arc::new(ObjectHook {
            hook: Arc::clone(hook),
            native: native.cloned(),
            condition: compiled.ok().flatten(),
            statistics: Arc::default(),
        });
        for event in &hook.events {
            self.events.entry(*event).or_default().push(Arc::clone(&own));
        }
    }

    fn add_of_reads(&mut self, object: &Object, hook: &Hook, at: &Location) {
        let mut close = |reason: String| {
            self.unread.push(UnreadHook { name: hook.name.clone(), reason, at: at.clone() });
        };
        if hook.condition.is_some() {
            return close("a hook of reads has no record that its condition could be about".to_owned());
        }
        let Some(filter) = &hook.filter else {
            self.only_asked.get_or_insert_with(|| hook.name.clone());
            return;
        };
        let kind =
            |name: &str| object.field(name).filter(|field| !field.phantom).map(|field| Column::from(field).kind());
        match compile_filter(&filter.source, &kind) {
            Ok(filter) => self.filters.push(filter),
            Err(reason) => close(format!("its filter cannot be applied: {}", reason.text)),
        }
    }

    /// Rows that its hooks of reads leave to a reader.
    pub(crate) fn left_rows(&self, reader: &Principal) -> RowFilter {
        let left = |filter: &Template| filter.bind(reader).unwrap_or(RowFilter::Nothing);
        RowFilter::And(self.filters.iter().map(left).collect())
    }

    pub(crate) fn of(&self, event: HookEvent) -> &[Arc<ObjectHook>] {
        self.events.get(&event).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn ask_for_records(&self) -> bool {
        self.events.values().flatten().any(|hook| hook.asks_for_records())
    }

    /// Hooks of reads that are not run.
    pub(crate) fn unread(&self) -> &[UnreadHook] {
        &self.unread
    }

    /// A hook of reads whose script nothing stands for where records are not asked for by a question.
    pub(crate) fn only_asked(&self) -> Option<&str> {
        self.only_asked.as_deref()
    }

    /// Hooks of changes whose conditions cannot be evaluated: name, reason and place.
    pub(crate) fn unevaluated(&self) -> impl Iterator<Item = (&str, &str, &Location)> {
        let of_changes = self.faults.iter().filter(|fault| fault.events.iter().any(|event| !is_of_reads(*event)));
        of_changes.filter_map(|fault| Some((fault.name.as_str(), fault.reason.as_str(), fault.condition_at.as_ref()?)))
    }

    /// Hooks of these events that cannot be run: name and reason.
    pub(crate) fn faults(&self, (before, after): (HookEvent, HookEvent)) -> impl Iterator<Item = (&str, &str)> {
        let is_at = move |fault: &&HookFault| {
            fault.events.is_empty() || fault.events.iter().any(|event| *event == before || *event == after)
        };
        self.faults.iter().filter(is_at).map(|fault| (fault.name.as_str(), fault.reason.as_str()))
    }
}

/// What a hook's body names in Rust.
///
/// # Errors
/// It is not there.
fn native_of(hook: &Hook, extensions: &Extensions) -> Result<Option<Registration<dyn NativeHook>>, String> {
    match &hook.body {
        HookBody::Script(_) => Ok(None),
        HookBody::Native(handler) => match extensions.hook(&handler.name) {
            Some(native) => Ok(Some(native.clone())),
            None => Err(format!("no extension has the hook '{}'", handler.name)),
        },
    }
}

const fn is_of_reads(event: HookEvent) -> bool {
    match event {
        HookEvent::BeforeFind | HookEvent::AfterFind => true,
        HookEvent::BeforeInsert
        | HookEvent::AfterInsert
        | HookEvent::BeforeUpdate
        | HookEvent::AfterUpdate
        | HookEvent::BeforeDelete
        | HookEvent::AfterDelete => false,
    }
}

/// One text or a list of texts; `None`: it says nothing that is known.
fn texts<'v>(hook: &'v Value, key: &str) -> Option<Vec<&'v str>> {
    match hook.get(key) {
        Some(Value::String(text)) => Some(vec![text]),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => None,
    }
}
