//! Verdicts of the rules, layer by layer, as ObjectStack's interface tells them. Decides nothing itself.

use super::rights::entries;
use super::{Resolved, layers};
use querygate_policy::write::WriteOperation;
use querygate_policy::{Layer, LayerEffect, LayerVerdict};
use querygate_query_api::requests::platform::Inquiry;
use serde_json::{Value, json};

/// `whole`: with the names of policies and rules; what the principal holds is there in any case. `is_own`: about the caller.
pub(super) fn of(resolved: &Resolved, inquiry: &Inquiry, whole: bool, is_own: bool) -> Value {
    let (allowed, layers) = decide(resolved, inquiry);
    let principal = &resolved.principal;
    let mut about = json!({
        "userId": principal.user_id,
        "positions": principal.positions,
        "permissionSets": principal.permission_sets,
    });
    if let (true, Some(about)) = (is_own, about.as_object_mut()) {
        about.insert("principalKind".to_owned(), "human".into());
    }
    let mut answer = json!({
        "allowed": allowed,
        "object": inquiry.object,
        "operation": inquiry.operation,
        "principal": about,
        "layers": layers::told(resolved, inquiry, &layers, whole),
    });
    let reads = matches!(inquiry.operation.as_str(), "read" | "export");
    if let (true, Some(answer)) = (reads, answer.as_object_mut()) {
        // A filter names columns that may be hidden from those it binds.
        answer.insert("readFilter".to_owned(), Value::Null);
    }
    answer
}

fn decide(resolved: &Resolved, inquiry: &Inquiry) -> (bool, Vec<LayerVerdict>) {
    let (evaluator, object) = (resolved.evaluator(), inquiry.object.as_str());
    if resolved.deployment.snapshot.object(object).is_none() {
        return (false, Vec::new());
    }
    let read = || {
        let read = evaluator.decide_read(object);
        (read.is_allowed() && read.unusable_rule().is_none(), read.layers().to_vec())
    };
    let write = |operation| {
        let decision = evaluator.decide_target(object, operation);
        (decision.refusal().is_none(), decision.layers().to_vec())
    };
    let right = |allowed: bool, layers: Vec<LayerVerdict>, detail: &str| {
        let effect = if allowed { LayerEffect::Grants } else { LayerEffect::Denies };
        let own =
            LayerVerdict { layer: Layer::ObjectCrud, effect, detail: detail.to_owned(), contributors: Vec::new() };
        let others = layers.into_iter().filter(|layer| layer.layer < Layer::ObjectCrud);
        (allowed, others.chain([own]).collect())
    };
    match inquiry.operation.as_str() {
        "read" => read(),
        "create" => write(WriteOperation::Insert),
        "update" => write(WriteOperation::Update),
        "delete" => write(WriteOperation::Delete),
        "export" => {
            let (readable, layers) = read();
            let may = entries(resolved, object).iter().any(|entry| entry.allow_export);
            right(readable && may, layers, "export needs allowExport, which nothing implies")
        }
        "transfer" => {
            let (editable, layers) = write(WriteOperation::Update);
            let may = entries(resolved, object).iter().any(|entry| entry.allow_transfer || entry.modify_all_records);
            right(editable && may, layers, "transfer needs allowTransfer or modifyAllRecords")
        }
        _ => right(false, read().1, "nothing grants this operation"),
    }
}
