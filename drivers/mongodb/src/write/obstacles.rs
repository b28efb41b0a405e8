//! What in the deployment itself stands against changes of a collection: no transactions, a server that takes no changes, rights that
//! the writing user lacks. For operators, before the first change is tried. A change is refused by the server itself.

use crate::connect::pool::{Lease, Pool};
use mongodb::bson::{Bson, Document, doc};
use querygate_types::Result;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What changes of a collection do there.
const ACTIONS: [&str; 4] = ["find", "insert", "update", "remove"];

/// # Errors
/// 08001: the deployment cannot be reached by the writing user.
pub(super) async fn of(pool: &Arc<Pool>, database: &str, collection: &str) -> Result<Vec<String>> {
    let lease = pool.lease(None, &CancellationToken::new()).await?;
    let mut obstacles = Vec::new();
    if !lease.has_transactions().await? {
        obstacles.push("the deployment has no transactions: its server is no member of a replica set".to_owned());
    }
    if lease.hello().await?.get_bool("isWritablePrimary").is_ok_and(|writes| !writes) {
        obstacles.push("the server is read-only".to_owned());
    }
    let lacking = lacking(&rights(&lease).await?, database, collection);
    obstacles.extend(lacking.into_iter().map(|action| format!("the writing user lacks the action {action}")));
    Ok(obstacles)
}

/// What the server says of the user that asks.
async fn rights(lease: &Lease) -> Result<Document> {
    lease.command(doc! { "connectionStatus": 1, "showPrivileges": true }).await
}

/// Actions that no right of the user gives it. Of a server without logins, none.
fn lacking(status: &Document, database: &str, collection: &str) -> Vec<&'static str> {
    let Ok(info) = status.get_document("authInfo") else { return Vec::new() };
    let is_nobody = info.get_array("authenticatedUsers").is_ok_and(Vec::is_empty);
    let Ok(rights) = info.get_array("authenticatedUserPrivileges") else { return Vec::new() };
    if is_nobody {
        return Vec::new();
    }
    let gives = |right: &Bson, action: &str| {
        let Some(right) = right.as_document() else { return false };
        let Ok(resource) = right.get_document("resource") else { return false };
        let is =
            |name: &str, wanted: &str| resource.get_str(name).is_ok_and(|found| found.is_empty() || found == wanted);
        let concerns =
            resource.get_bool("anyResource").unwrap_or(false) || (is("db", database) && is("collection", collection));
        let actions = right.get_array("actions").map(Vec::as_slice).unwrap_or_default();
        concerns && actions.iter().any(|known| known.as_str() == Some(action))
    };
    ACTIONS.into_iter().filter(|action| !rights.iter().any(|right| gives(right, action))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_looked_for_at_the_collection_its_database_and_everywhere() {
        let status = |users: Vec<&str>, rights: Vec<Document>| {
            doc! { "authInfo": { "authenticatedUsers": users, "authenticatedUserPrivileges": rights } }
        };
        let right = |db: &str, collection: &str, actions: &[&str]| {
            doc! { "resource": { "db": db, "collection": collection }, "actions": actions.to_vec() }
        };
        let of = |rights: Vec<Document>| lacking(&status(vec!["w"], rights), "shop", "t");
        assert_eq!(of(vec![right("shop", "", &["find", "insert", "update", "remove"])]), Vec::<&str>::new());
        assert_eq!(of(vec![right("shop", "t", &["find"]), right("", "", &["insert", "update"])]), ["remove"]);
        assert_eq!(of(vec![right("shop", "other", &ACTIONS), right("mine", "", &ACTIONS)]), ACTIONS);
        assert_eq!(of(vec![doc! { "resource": { "cluster": true }, "actions": ["find"] }]), ACTIONS);
        assert_eq!(
            of(vec![doc! { "resource": { "anyResource": true }, "actions": ACTIONS.to_vec() }]),
            Vec::<&str>::new()
        );
        assert_eq!(lacking(&status(vec![], vec![]), "shop", "t"), Vec::<&str>::new());
    }
}
