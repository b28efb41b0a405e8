//! The layers of a verdict in ObjectStack's order and words. It says what was decided, and decides nothing.

use super::Resolved;
use super::rights::widest;
use querygate_metadata::model::{Object, ObjectPermission, Scope, SharingModel};
use querygate_policy::{Layer, LayerEffect, LayerVerdict};
use querygate_query_api::requests::platform::Inquiry;
use serde_json::{Value, json};

/// Why a principal holds sets that no assignment gives.
const BASELINE: &str = "additive baseline";

/// A layer in the answer.
fn layer(layer: Layer, effect: LayerEffect, detail: String, contributors: Vec<Value>) -> Value {
    json!({"layer": layer.name(), "verdict": effect.name(), "detail": detail, "contributors": contributors})
}

/// All layers about an object, by what was decided. Of an object that is not there, none.
pub(super) fn told(resolved: &Resolved, inquiry: &Inquiry, decided: &[LayerVerdict], whole: bool) -> Vec<Value> {
    let Some(object) = resolved.deployment.snapshot.object(&inquiry.object) else { return Vec::new() };
    let about = About { resolved, object, operation: &inquiry.operation, decided, whole };
    vec![
        about.principal(),
        about.required(),
        about.rights(),
        about.fields(),
        about.baseline(),
        about.depth(),
        about.sharing(),
        about.bypass(),
        about.policies(),
    ]
}

struct About<'a> {
    resolved: &'a Resolved,
    object: &'a Object,
    operation: &'a str,
    decided: &'a [LayerVerdict],
    whole: bool,
}

impl About<'_> {
    fn decided(&self, of: Layer) -> Option<&LayerVerdict> {
        self.decided.iter().find(|layer| layer.layer == of)
    }

    fn reads(&self) -> bool {
        matches!(self.operation, "read" | "export")
    }

    /// The held sets by their names, each with what it says of the object.
    fn sets(&self) -> Vec<(&str, Option<&ObjectPermission>)> {
        let policies = &self.resolved.deployment.policies;
        let held = self.resolved.principal.permission_sets.iter();
        let own = |name: &String| {
            let set = policies.permission_set(name)?;
            Some((set.name.as_str(), set.objects.get(&self.object.name).or_else(|| set.objects.get("*"))))
        };
        held.filter_map(own).collect()
    }

    fn set(&self, name: &str) -> Value {
        let is_default = self.resolved.deployment.policies.permission_set(name).is_some_and(|set| set.is_default);
        let via = if is_default || name == "member_default" { BASELINE } else { "direct grant" };
        json!({"kind": "permission_set", "name": name, "via": via})
    }

    fn principal(&self) -> Value {
        let principal = &self.resolved.principal;
        let positions: Vec<&str> = principal.positions.iter().map(String::as_str).collect();
        let sets: Vec<&str> = principal.permission_sets.iter().map(String::as_str).collect();
        let detail = format!(
            "Principal {} holds position(s) [{}] resolving to permission set(s) [{}] (union-merged, most-permissive).",
            principal.user_id,
            positions.join(", "),
            sets.join(", ")
        );
        let of_positions = positions.iter().map(|name| json!({"kind": "position", "name": name}));
        let contributors = of_positions.chain(sets.iter().map(|name| self.set(name))).collect();
        layer(Layer::Principal, LayerEffect::Neutral, detail, contributors)
    }

    fn required(&self) -> Value {
        let decided = self.decided(Layer::RequiredPermissions);
        let effect = decided.map_or(LayerEffect::NotApplicable, |layer| layer.effect);
        let (name, operation) = (&self.object.name, self.operation);
        let detail = match effect {
            LayerEffect::NotApplicable => format!("'{name}' declares no requiredPermissions for {operation}."),
            LayerEffect::Denies => format!("Not all permissions that '{name}' requires for {operation} are held."),
            LayerEffect::Grants | LayerEffect::Narrows | LayerEffect::Widens | LayerEffect::Neutral => {
                format!("All permissions that '{name}' requires for {operation} are held.")
            }
        };
        let names = decided.filter(|_| self.whole).map(|layer| layer.contributors.iter());
        let names = names.into_iter().flatten().map(|name| json!({"kind": "permission", "name": name}));
        layer(Layer::RequiredPermissions, effect, detail, names.collect())
    }

    fn rights(&self) -> Value {
        let grants = |right: &ObjectPermission| match self.operation {
            "read" => right.allow_read || right.view_all_records || right.modify_all_records,
            "create" => right.allow_create,
            "update" => right.allow_edit || right.modify_all_records,
            "delete" => right.allow_delete || right.modify_all_records,
            "export" => right.allow_export,
            "transfer" => right.allow_transfer || right.modify_all_records,
            _ => false,
        };
        let granting = self.sets().into_iter().filter(|(_, right)| right.is_some_and(grants));
        let granting: Vec<&str> = granting.map(|(name, _)| name).collect();
        let is_denied = self.decided(Layer::ObjectCrud).is_none_or(|layer| layer.effect == LayerEffect::Denies);
        let (name, operation) = (&self.object.name, self.operation);
        if granting.is_empty() || is_denied {
            let detail = format!("No resolved permission set grants {operation} on '{name}'.");
            return layer(Layer::ObjectCrud, LayerEffect::Denies, detail, Vec::new());
        }
        let detail = format!("{operation} on '{name}' is granted by [{}].", granting.join(", "));
        let sets = granting.iter().map(|name| self.set(name)).collect();
        layer(Layer::ObjectCrud, LayerEffect::Grants, detail, sets)
    }

    fn fields(&self) -> Value {
        let evaluator = self.resolved.evaluator();
        let read = evaluator.decide_read(&self.object.name);
        // Of an object that is not read at all, what sets say of its fields.
        let count = match read.is_allowed() {
            true => read.hidden_fields().len() + read.masks().len(),
            false => self.object.fields.keys().filter(|field| self.hides(field)).count(),
        };
        match count {
            0 => {
                let detail = "No field-level masking applies.".to_owned();
                layer(Layer::Fls, LayerEffect::NotApplicable, detail, Vec::new())
            }
            count => {
                let detail = format!("{count} field(s) are hidden or masked.");
                let is_told = self.whole && read.is_allowed();
                let hidden = read.hidden_fields().iter().chain(read.masks().keys()).filter(|_| is_told);
                let fields = hidden.map(|name| json!({"kind": "field", "name": name})).collect();
                layer(Layer::Fls, LayerEffect::Narrows, detail, fields)
            }
        }
    }

    /// Whether held sets speak of a field, and none of them lets it be read.
    fn hides(&self, field: &str) -> bool {
        let policies = &self.resolved.deployment.policies;
        let sets = self.resolved.principal.permission_sets.iter().filter_map(|name| policies.permission_set(name));
        let mut said = sets.filter_map(|set| set.fields.get(&self.object.name)?.get(field)).peekable();
        said.peek().is_some() && !said.any(|right| right.readable)
    }

    /// Whether the object's own baseline keeps records to their owners for this operation.
    fn is_owned(&self) -> bool {
        match self.object.sharing_model {
            SharingModel::Private => true,
            SharingModel::PublicRead => !self.reads(),
            SharingModel::PublicReadWrite | SharingModel::ControlledByParent => false,
        }
    }

    fn baseline(&self) -> Value {
        let (effect, detail) = match self.object.sharing_model {
            SharingModel::Private => (
                LayerEffect::Narrows,
                "Record baseline (OWD) is private: rows are owner-visible only; sharing can only WIDEN from here.",
            ),
            SharingModel::PublicRead => (
                if self.is_owned() { LayerEffect::Narrows } else { LayerEffect::Neutral },
                "Record baseline (OWD) is public_read: rows are org-readable and owner-writable at this baseline.",
            ),
            SharingModel::PublicReadWrite => (
                LayerEffect::Neutral,
                "Record baseline (OWD) is public_read_write: rows are org-shared at this baseline.",
            ),
            SharingModel::ControlledByParent => (
                LayerEffect::Narrows,
                "Record baseline (OWD) is controlled_by_parent: rows follow their master records.",
            ),
        };
        layer(Layer::OwdBaseline, effect, detail.to_owned(), Vec::new())
    }

    fn depth(&self) -> Value {
        if !self.is_owned() {
            let detail = "Depth axis does not apply (baseline already org-wide).".to_owned();
            return layer(Layer::Depth, LayerEffect::NotApplicable, detail, Vec::new());
        }
        let (what, reads) = if self.reads() { ("read", true) } else { ("write", false) };
        let rights = self.sets();
        let rights: Vec<&ObjectPermission> = rights.into_iter().filter_map(|(_, right)| right).collect();
        let is_all = rights.iter().any(|right| right.modify_all_records || (reads && right.view_all_records));
        let scopes = rights.iter().filter_map(|right| if reads { right.read_scope } else { right.write_scope });
        let scope = widest(scopes.chain(is_all.then_some(Scope::Org))).unwrap_or("own");
        let effect = if scope == "own" { LayerEffect::Neutral } else { LayerEffect::Widens };
        let detail = format!(
            "Effective {what} depth: '{scope}' (widest across granting sets; assignment BU anchors narrow which unit 'unit*' \
             means)."
        );
        layer(Layer::Depth, effect, detail, Vec::new())
    }

    fn sharing(&self) -> Value {
        if !self.is_owned() {
            let detail = "Baseline already grants the rows sharing would add.".to_owned();
            return layer(Layer::Sharing, LayerEffect::NotApplicable, detail, Vec::new());
        }
        let detail = "Record shares, sharing rules and team grants OR-in additional rows at query time (record-level; \
                      evaluate per record via the sharing service).";
        layer(Layer::Sharing, LayerEffect::Widens, detail.to_owned(), Vec::new())
    }

    fn bypass(&self) -> Value {
        let holding = |right: fn(&ObjectPermission) -> bool| -> Vec<&str> {
            let sets = self.sets().into_iter();
            sets.filter(|(_, own)| own.is_some_and(right)).map(|(name, _)| name).collect()
        };
        let views = holding(|right| right.view_all_records || right.modify_all_records);
        let changes = holding(|right| right.modify_all_records);
        let none = |detail: String| layer(Layer::VamaBypass, LayerEffect::NotApplicable, detail, Vec::new());
        let (held, more) = match (self.reads(), changes.is_empty()) {
            (true, _) => (views, ""),
            (false, false) => (changes, " (Modify All Data: the write path consults this SAME bypass)"),
            (false, true) if views.is_empty() => (changes, ""),
            (false, true) => {
                return none(format!(
                    "View All Data held via [{}] does NOT bypass ownership for {} — a write bypass requires Modify All \
                     Data (modifyAllRecords), so ownership and sharing still decide.",
                    views.join(", "),
                    self.operation
                ));
            }
        };
        if held.is_empty() {
            return none("No View/Modify All Data bypass.".to_owned());
        }
        let detail = format!(
            "View/Modify All Data bypass held via [{}] — ownership and sharing checks are skipped{more}.",
            held.join(", ")
        );
        let sets = held.iter().map(|name| self.set(name)).collect();
        layer(Layer::VamaBypass, LayerEffect::Widens, detail, sets)
    }

    fn policies(&self) -> Value {
        // Where a right is missing, a change is not asked of policies; those that bind reads bind it, too.
        let read = self.resolved.evaluator().decide_read(&self.object.name);
        let decided = self.decided(Layer::Rls).or_else(|| read.layers().iter().find(|layer| layer.layer == Layer::Rls));
        let effect = decided.map_or(LayerEffect::NotApplicable, |layer| layer.effect);
        let detail = match effect {
            LayerEffect::NotApplicable | LayerEffect::Neutral => "No RLS policy applies.",
            LayerEffect::Denies => "Row-level security lets no row through.",
            LayerEffect::Grants | LayerEffect::Narrows | LayerEffect::Widens => {
                "Row-level security narrows the row set (see readFilter for the composed predicate)."
            }
        };
        let names = decided.filter(|_| self.whole).map(|layer| layer.contributors.iter());
        let names = names.into_iter().flatten().map(|name| json!({"kind": "policy", "name": name}));
        layer(Layer::Rls, effect, detail.to_owned(), names.collect())
    }
}
