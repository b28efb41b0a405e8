//! Advice on indexes of a MongoDB database: what is there, what others would change, and making one while writers go on.

mod collection;
mod plan;
mod planner;
mod reading;
mod study;

use crate::documents::introspect::documents;
use crate::driver::MongoDriver;
use crate::error::from_mongo;
use crate::tree::node::quoted;
use crate::tree::place;
use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use querygate_driver_api::advice::{IndexAdvice, IndexSpec, Planner, Study};
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;

/// Collections of one study.
const COLLECTIONS_MAX: usize = 64;

/// Fields of an index in order. The server carries none along; all documents are in it.
fn fields(index: &IndexSpec) -> Result<Vec<&str>, Refusal> {
    if index.keys.is_empty() || index.rows.is_some() {
        return refuse(RefusalReason::Operator, "an index without a key, or over some of the documents");
    }
    index.keys.iter().chain(&index.include).map(|field| place::path(field.as_str())).collect()
}

fn json(text: &str) -> String {
    let mut written = String::new();
    quoted(text, &mut written);
    written
}

/// The command as a person would run it in the source's database. Texts are in order of code points in it, whatever the
/// collection's own order: no other index serves the driver's statements.
fn create_text(index: &IndexSpec, name: &Identifier) -> Result<String, Refusal> {
    let keys: Vec<String> = fields(index)?.into_iter().map(|path| format!("{}:1", json(path))).collect();
    Ok(format!(
        "db.runCommand({{\"createIndexes\":{},\"indexes\":[{{\"key\":{{{}}},\"name\":{},\"collation\":{{\"locale\":\"simple\"}}}}]}})",
        json(index.table.name()),
        keys.join(","),
        json(name.as_str())
    ))
}

/// The same for the server.
fn create_command(index: &IndexSpec, name: &Identifier) -> Result<Document, Refusal> {
    let keys: Document = fields(index)?.into_iter().map(|path| (path.to_owned(), Bson::Int32(1))).collect();
    let index_of = doc! { "key": keys, "name": name.as_str(), "collation": { "locale": "simple" } };
    Ok(doc! { "createIndexes": index.table.name(), "indexes": [index_of] })
}

fn unnameable(refusal: Refusal) -> Error {
    Error::new(ErrorCode::InvalidParameterValue, refusal.text)
}

fn number_of(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// A failure to change an index.
fn changing(error: &mongodb::error::Error) -> Error {
    let failed = match number_of(error) {
        Some(13 | 8000) => {
            Error::new(ErrorCode::InsufficientPrivilege, "the source does not let the gate change its indexes")
                .with_hint("Grant createIndex and dropIndex on the collection to the source's user, or run the suggestion's ddl there.")
        }
        Some(68 | 85 | 86) => {
            Error::new(ErrorCode::ObjectNotInPrerequisiteState, "an index of this name or over these fields is there")
        }
        Some(171) => Error::new(ErrorCode::FeatureNotSupported, "two fields of the index hold lists"),
        _ => return from_mongo(error),
    };
    failed.with_cause(error)
}

#[async_trait]
impl IndexAdvice for MongoDriver {
    async fn study(&self, tables: &[TableRef]) -> Result<Study> {
        let lease = self.lease().await?;
        // Behind a router, collections may be spread by an index.
        let hello = lease.command(doc! { "hello": 1 }).await?;
        let sharded = hello.get_str("msg").is_ok_and(|message| message == "isdbgrid");
        let (mut found, mut collections) = (Vec::new(), HashMap::new());
        for table in tables.iter().take(COLLECTIONS_MAX) {
            let Ok(name) = self.collection(table) else { continue };
            if let Some((table, collection)) = study::look(&lease, table, name, sharded).await? {
                found.push(table);
                collections.insert(name.to_owned(), collection);
            }
        }
        let explains = match collections.keys().next() {
            Some(first) => planner::explains(&lease, first).await?,
            None => false,
        };
        let planner = if explains {
            Planner::Asked(Box::new(planner::Planner::new(self.connections(), collections)))
        } else {
            Planner::Absent("the source explains no statement to the gate's user".to_owned())
        };
        Ok(Study { tables: found, planner })
    }

    fn ddl(&self, index: &IndexSpec, name: &Identifier) -> Result<String, Refusal> {
        create_text(index, name)
    }

    fn drop_ddl(&self, table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
        Ok(format!("db.runCommand({{\"dropIndexes\":{},\"index\":{}}})", json(table.name()), json(name.as_str())))
    }

    async fn create(&self, index: &IndexSpec, name: &Identifier) -> Result<()> {
        let collection = self.collection(&index.table)?;
        let command = create_command(index, name).map_err(unnameable)?;
        let database = {
            let lease = self.lease().await?;
            let there = documents(&lease, doc! { "listIndexes": collection }).await?;
            // The server would be content with an index that is there already, and undoing would drop what somebody else made.
            if there.iter().any(|known| known.get_str("name").is_ok_and(|known| known == name.as_str())) {
                return Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, "an index of this name is there"));
            }
            lease.database()
        };
        // Building takes as long as it takes: it holds no place of a statement's. What fails half way is taken back by the server.
        database.run_command(command).await.map(drop).map_err(|error| changing(&error))
    }

    async fn drop_index(&self, table: &TableRef, name: &Identifier) -> Result<()> {
        let collection = self.collection(table)?;
        let database = self.lease().await?.database();
        let command = doc! { "dropIndexes": collection, "index": name.as_str() };
        match database.run_command(command).await {
            // Neither the index nor the collection is there.
            Err(error) if matches!(number_of(&error), Some(26 | 27)) => Ok(()),
            other => other.map(drop).map_err(|error| changing(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(keys: &[&str]) -> IndexSpec {
        IndexSpec {
            table: TableRef::new(["shop", "or\"ders"]).unwrap(),
            keys: keys.iter().map(|key| Identifier::new(*key).unwrap()).collect(),
            include: Vec::new(),
            code_point: Vec::new(),
            rows: None,
        }
    }

    #[test]
    fn a_name_cannot_end_its_text_and_what_is_no_path_is_refused() {
        let name = Identifier::new("qg_orders").unwrap();
        let text = create_text(&index(&["region", "a.b\"}) || \\x"]), &name).unwrap();
        assert_eq!(
            text,
            "db.runCommand({\"createIndexes\":\"or\\\"ders\",\"indexes\":[{\"key\":{\"region\":1,\"a.b\\\"}) || \\\\x\":1},\
             \"name\":\"qg_orders\",\"collation\":{\"locale\":\"simple\"}}]})"
        );
        let command = create_command(&index(&["region", "day"]), &name).unwrap();
        let told = command.get_array("indexes").unwrap()[0].as_document().unwrap();
        assert!(told.get_document("key").unwrap().keys().eq(["region", "day"]), "in order");
        for keys in [&[][..], &["$where"], &["a.$**"], &["a.0"]] {
            assert!(
                create_text(&index(keys), &name).is_err() && create_command(&index(keys), &name).is_err(),
                "{keys:?}"
            );
        }
    }
}
