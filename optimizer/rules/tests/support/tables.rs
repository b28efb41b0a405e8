//! Tables: `u`, `v` unrestricted, `r`, `s` restricted by a hidden column, `q` restricted by other rows, `o` of another source, `l` local, and TPC-H.

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::TableScan;
use datafusion::prelude::SessionContext;
use querygate_driver_api::aggregate::{AggregateExpr, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, Relation, ScanColumn};
use querygate_driver_api::scalar::{ComparisonOp, Held, ScalarExpr};
use querygate_driver_api::value::{Value, ValueType};
use querygate_rules::NotPushed;
use querygate_rules::opener::{LeafColumn, LeafOpener, LeafPolicy, LocalReason, OpenedLeaf, PolicyScope, RemoteColumn};
use std::sync::Arc;

fn schema(table: &str) -> Schema {
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, name != "id");
    let money = DataType::Decimal128(15, 2);
    let list: Vec<(&str, DataType)> = match table {
        "u" | "v" | "r" | "s" | "q" | "o" | "l" | "m" => vec![
            ("id", DataType::Int64),
            ("a", DataType::Int32),
            ("b", DataType::Int64),
            ("f", DataType::Float64),
            ("d", DataType::Decimal128(12, 2)),
            ("name", DataType::Utf8),
            ("note", DataType::Utf8View),
            ("day", DataType::Date32),
            ("at", DataType::Timestamp(TimeUnit::Microsecond, None)),
            ("ok", DataType::Boolean),
            ("masked", DataType::Utf8),
        ],
        "region" => vec![("r_regionkey", DataType::Int64), ("r_name", DataType::Utf8), ("r_comment", DataType::Utf8)],
        "nation" => vec![
            ("n_nationkey", DataType::Int64),
            ("n_name", DataType::Utf8),
            ("n_regionkey", DataType::Int64),
            ("n_comment", DataType::Utf8),
        ],
        "supplier" => vec![
            ("s_suppkey", DataType::Int64),
            ("s_name", DataType::Utf8),
            ("s_address", DataType::Utf8),
            ("s_nationkey", DataType::Int64),
            ("s_phone", DataType::Utf8),
            ("s_acctbal", money),
            ("s_comment", DataType::Utf8),
        ],
        "customer" => vec![
            ("c_custkey", DataType::Int64),
            ("c_name", DataType::Utf8),
            ("c_address", DataType::Utf8),
            ("c_nationkey", DataType::Int64),
            ("c_phone", DataType::Utf8),
            ("c_acctbal", money),
            ("c_mktsegment", DataType::Utf8),
            ("c_comment", DataType::Utf8),
        ],
        "part" => vec![
            ("p_partkey", DataType::Int64),
            ("p_name", DataType::Utf8),
            ("p_mfgr", DataType::Utf8),
            ("p_brand", DataType::Utf8),
            ("p_type", DataType::Utf8),
            ("p_size", DataType::Int32),
            ("p_container", DataType::Utf8),
            ("p_retailprice", money),
            ("p_comment", DataType::Utf8),
        ],
        "partsupp" => vec![
            ("ps_partkey", DataType::Int64),
            ("ps_suppkey", DataType::Int64),
            ("ps_availqty", DataType::Int32),
            ("ps_supplycost", money),
            ("ps_comment", DataType::Utf8),
        ],
        "orders" => vec![
            ("o_orderkey", DataType::Int64),
            ("o_custkey", DataType::Int64),
            ("o_orderstatus", DataType::Utf8),
            ("o_totalprice", money),
            ("o_orderdate", DataType::Date32),
            ("o_orderpriority", DataType::Utf8),
            ("o_clerk", DataType::Utf8),
            ("o_shippriority", DataType::Int32),
            ("o_comment", DataType::Utf8),
        ],
        "lineitem" => vec![
            ("l_orderkey", DataType::Int64),
            ("l_partkey", DataType::Int64),
            ("l_suppkey", DataType::Int64),
            ("l_linenumber", DataType::Int32),
            ("l_quantity", money.clone()),
            ("l_extendedprice", money.clone()),
            ("l_discount", money.clone()),
            ("l_tax", money),
            ("l_returnflag", DataType::Utf8),
            ("l_linestatus", DataType::Utf8),
            ("l_shipdate", DataType::Date32),
            ("l_commitdate", DataType::Date32),
            ("l_receiptdate", DataType::Date32),
            ("l_shipinstruct", DataType::Utf8),
            ("l_shipmode", DataType::Utf8),
            ("l_comment", DataType::Utf8),
        ],
        other => panic!("no table {other}"),
    };
    Schema::new(list.into_iter().map(|(name, data_type)| field(name, data_type)).collect::<Vec<_>>())
}

const NAMES: [&str; 16] = [
    "u", "v", "r", "s", "q", "o", "l", "m", "region", "nation", "supplier", "customer", "part", "partsupp", "orders",
    "lineitem",
];

pub(crate) fn context() -> SessionContext {
    let context = SessionContext::new();
    for name in NAMES {
        let table = MemTable::try_new(Arc::new(schema(name)), vec![vec![]]).unwrap();
        context.register_table(name, Arc::new(table)).unwrap();
    }
    context
}

#[derive(Debug)]
pub(crate) struct Opener;

impl LeafOpener for Opener {
    fn open(&self, scan: &TableScan) -> Result<OpenedLeaf, NotPushed> {
        let name = scan.table_name.table();
        if name == "l" {
            return Err(Refusal::new(RefusalReason::Operator, "table takes no fragments").into());
        }
        let schema = scan.source.schema();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "masked" => LeafColumn::Local(LocalReason::Masked),
            name => {
                LeafColumn::Remote(remote(name, ValueType::from_arrow(field.data_type()).unwrap(), field.is_nullable()))
            }
        });
        let policy: Option<Arc<dyn LeafPolicy>> = match name {
            "r" | "s" | "m" => Some(Arc::new(Tenant)),
            "q" => Some(Arc::new(Shared)),
            _ => None,
        };
        Ok(OpenedLeaf {
            source: match name {
                "o" => "other".into(),
                "m" => "loose".into(),
                _ => "main".into(),
            },
            table: TableRef::new([name]).unwrap(),
            columns: columns.collect(),
            key: scan.source.schema().fields().iter().position(|field| field.name() == "id").map(|index| vec![index]),
            restricted: policy.is_some(),
            policy,
        })
    }

    fn capabilities(&self, source: &str) -> Option<&dyn Capabilities> {
        Some(if source == "loose" { &Anything(Held::OfAnyType) } else { &Anything(Held::OfType) })
    }
}

fn remote(name: &str, value_type: ValueType, nullable: bool) -> RemoteColumn {
    RemoteColumn {
        name: Identifier::new(name).unwrap(),
        value_type,
        nullable,
        collation: Collation::Binary,
        encoding: Encoding::Canonical,
    }
}

/// `tenant = <value>`, over a column that the user does not see.
struct Tenant;

impl LeafPolicy for Tenant {
    fn columns(&self) -> Vec<RemoteColumn> {
        vec![remote("tenant", ValueType::Text, false)]
    }

    fn predicate(&self, columns: &[ColumnId], scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed> {
        let tenant = scope.parameter(Value::text("acme"));
        Ok(ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(columns[0]), tenant))
    }
}

/// `EXISTS (share of this row)`.
struct Shared;

impl LeafPolicy for Shared {
    fn columns(&self) -> Vec<RemoteColumn> {
        vec![remote("id", ValueType::Int64, false)]
    }

    fn predicate(&self, columns: &[ColumnId], scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed> {
        let id = scope.column();
        let column = ScanColumn {
            id,
            name: Identifier::new("row_id").unwrap(),
            value_type: ValueType::Int64,
            nullable: false,
            collation: Collation::Binary,
            encoding: Encoding::Canonical,
        };
        let scan = Relation::Scan { table: TableRef::new(["share"]).unwrap(), columns: vec![column] };
        let predicate = ScalarExpr::compare(ComparisonOp::Eq, ScalarExpr::Column(id), ScalarExpr::Column(columns[0]));
        let relation = Relation::Filter { input: Box::new(scan), predicate };
        Ok(ScalarExpr::Exists { relation: Box::new(relation), negated: false })
    }
}

/// A source that can run every word, and what its columns hold.
#[derive(Debug)]
struct Anything(Held);

impl Capabilities for Anything {
    fn operator(&self, _: &Relation, _: &ColumnTypes) -> Result<(), Refusal> {
        Ok(())
    }

    fn scalar(&self, _: &ScalarExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        Ok(())
    }

    fn aggregate(&self, _: &AggregateExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        Ok(())
    }

    fn window(&self, _: &WindowExpr, _: &ColumnTypes) -> Result<(), Refusal> {
        Ok(())
    }

    fn holds(&self) -> Held {
        self.0
    }

    fn parameters_max(&self) -> usize {
        1_000
    }
}
