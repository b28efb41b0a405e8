//! The driver as the shared suite expects one: fields in the suite's order, also of a collection without documents, and
//! something for the server to compute without end, which is a join elsewhere.

use async_trait::async_trait;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction};
use querygate_driver_api::capability::Refusal;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::remote::{RemoteColumn, RemoteTable};
use querygate_driver_api::testkit::around::DriverAround;
use querygate_driver_api::testkit::dataset::tables;
use querygate_driver_api::value::ValueType;
use querygate_mongodb::MongoDriver;
use querygate_types::Result;
use std::sync::Arc;

/// Name of a view over all pairs of rows of the large table.
pub(crate) const PAIRS: &str = "pairs";

#[derive(Debug)]
pub(crate) struct Suited {
    pub(crate) inner: MongoDriver,
    /// Whether a join is the view of pairs, counted.
    pub(crate) endless: bool,
}

/// Counts the pairs of the view.
pub(crate) fn pairs(database: &str, id: ColumnId) -> Relation {
    let column = ScanColumn {
        id: ColumnId(900),
        name: Identifier::new("id").unwrap(),
        value_type: ValueType::Int64,
        nullable: true,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    };
    let table = TableRef::new([database, PAIRS]).unwrap();
    let count = AggregateExpr {
        function: AggregateFunction::CountStar,
        args: vec![],
        distinct: false,
        filter: None,
        value_type: ValueType::Int64,
    };
    let input = Box::new(Relation::Scan { table, columns: vec![column] });
    Relation::Aggregate { input, group: vec![], aggregates: vec![(id, count)] }
}

/// The first scan of a relation that joins.
fn joined(relation: &Relation) -> Option<&TableRef> {
    match relation {
        Relation::Scan { table, .. } => Some(table),
        other => other.inputs().into_iter().find_map(joined),
    }
}

fn joins(relation: &Relation) -> bool {
    matches!(relation, Relation::Join { .. }) || relation.inputs().into_iter().any(joins)
}

#[async_trait]
impl DriverAround for Suited {
    fn inner(&self) -> &dyn Driver {
        &self.inner
    }

    async fn describe(&self, table: &TableRef) -> Result<RemoteTable> {
        let data = tables(super::LIMITS);
        let name = if table.name() == "empty" { "nasty" } else { table.name() };
        let filled = TableRef::new(table.schema().into_iter().chain([name]).map(str::to_owned))?;
        let mut remote = self.inner.describe(&filled).await?;
        remote.table = table.clone();
        let columns = data.iter().find(|data| data.name == name).map(|data| &data.columns);
        if let Some(columns) = columns {
            let found = |name: &str| remote.columns.iter().find(|column| column.name.as_str() == name).cloned();
            let ordered: Vec<RemoteColumn> = columns.iter().filter_map(|(name, _)| found(name)).collect();
            remote.columns = ordered;
        }
        Ok(remote)
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        if !self.endless || !joins(&fragment.relation) {
            return self.inner.render(fragment);
        }
        let database = joined(&fragment.relation).and_then(TableRef::schema).unwrap();
        let relation = pairs(database, fragment.output[0].id);
        self.inner.render(&Fragment { relation, ..fragment.clone() })
    }
}
