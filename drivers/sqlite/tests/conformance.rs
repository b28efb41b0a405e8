//! The shared conformance suite over a SQLite file that the writer made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

use querygate_driver_api::capability::Refusal;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::NativeStatement;
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::relation::{JoinKind, Relation};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::testkit::around::DriverAround;
use querygate_driver_api::testkit::dataset::{Limits, tables};
use querygate_driver_api::testkit::{lifecycle, suite};
use querygate_driver_api::write::Writer;
use querygate_sqlite::{ColumnSpec, SqliteDriver, SqliteOptions, SqliteWriter, TableSpec};
use querygate_types::Result;
use std::sync::Arc;
use tempfile::TempDir;

const LIMITS: Limits = Limits { timestamp_step: 1_000, nan: false, infinite: true };

async fn loaded() -> (TempDir, SqliteDriver) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("suite.db");
    let mut writer = SqliteWriter::open(&path).await.unwrap();
    for table in tables(LIMITS) {
        let column = |(name, value_type): &(&str, _)| ColumnSpec {
            name: (*name).to_owned(),
            value_type: *value_type,
            nullable: *name != "id",
        };
        let spec = TableSpec {
            name: table.name.to_owned(),
            columns: table.columns.iter().map(column).collect(),
            primary_key: vec!["id".to_owned()],
            indexes: if table.name == "nasty" {
                vec![vec!["words".to_owned()], vec!["instant".to_owned()]]
            } else {
                vec![]
            },
        };
        writer.create_table(&spec).await.unwrap();
        if !table.rows.is_empty() {
            let rows = writer.insert(&spec, [table.batch()]).await.unwrap();
            assert_eq!(usize::try_from(rows).unwrap(), table.rows.len());
        }
    }
    writer.close().await.unwrap();
    (folder, SqliteDriver::new(SqliteOptions { readers: 2, ..SqliteOptions::new(path) }))
}

#[tokio::test]
async fn every_pushed_fragment_equals_the_reference() {
    let (_folder, driver) = loaded().await;
    let report = suite::run(&driver, &["main"], LIMITS).await.unwrap();
    let refused: usize = report.refused.values().sum();
    eprintln!(
        "equal {}, refused {refused}, overflowed {}, failed {}",
        report.equal,
        report.overflowed,
        report.failures.len()
    );
    for (text, count) in &report.refused {
        eprintln!("  refused {count}: {text}");
    }
    for failure in report.failures.iter().take(25) {
        eprintln!("FAILED {failure}");
    }
    assert!(report.failures.is_empty());
    assert!(report.equal > 4_000, "only {} fragments were pushed", report.equal);
}

#[tokio::test]
async fn executions_end_as_they_should() {
    let (_folder, driver) = loaded().await;
    assert_eq!(lifecycle::run(&driver, &["main"]).await.unwrap(), Vec::<String>::new());
    assert_eq!(driver.kind(), "sqlite");
}

/// Something that a driver gets wrong.
type Lie = fn(&mut Relation);

/// A driver that runs another fragment than it was given.
#[derive(Debug)]
struct LyingDriver {
    inner: SqliteDriver,
    lie: Lie,
}

impl DriverAround for LyingDriver {
    fn inner(&self) -> &dyn Driver {
        &self.inner
    }

    fn render(&self, fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        let mut other = fragment.clone();
        (self.lie)(&mut other.relation);
        self.inner.render(&other)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}

fn includes_the_bound(relation: &mut Relation) {
    if let Relation::Filter { predicate: ScalarExpr::Comparison { op, .. }, .. } = relation
        && *op == ComparisonOp::Lt
    {
        *op = ComparisonOp::LtEq;
    }
}

fn puts_nulls_elsewhere(relation: &mut Relation) {
    if let Relation::Sort { keys, .. } = relation {
        keys.iter_mut().for_each(|key| key.nulls_first = !key.nulls_first);
    }
}

fn forgets_unmatched_rows(relation: &mut Relation) {
    if let Relation::Join { kind, .. } = relation
        && *kind == JoinKind::Left
    {
        *kind = JoinKind::Inner;
    }
}

fn reads_not_in_as_not_exists(relation: &mut Relation) {
    if let Relation::Filter { predicate, .. } = relation
        && matches!(predicate, ScalarExpr::InSubquery { negated: true, .. } | ScalarExpr::InList { negated: true, .. })
    {
        let known = ScalarExpr::IsTruth {
            expr: Box::new(predicate.clone()),
            truth: querygate_driver_api::scalar::Truth::False,
            negated: true,
        };
        *predicate = known;
    }
}

fn loses_the_skip(relation: &mut Relation) {
    if let Relation::Limit { skip, .. } = relation {
        *skip = 0;
    }
}

#[tokio::test]
async fn the_suite_notices_a_driver_that_lies() {
    let lies: [(&str, Lie); 5] = [
        ("bound", includes_the_bound),
        ("nulls", puts_nulls_elsewhere),
        ("unmatched", forgets_unmatched_rows),
        ("not in", reads_not_in_as_not_exists),
        ("skip", loses_the_skip),
    ];
    for (name, lie) in lies {
        let (_folder, inner) = loaded().await;
        let failure = suite::first_failure(&LyingDriver { inner, lie }, &["main"], LIMITS).await.unwrap();
        assert!(failure.is_some(), "{name}");
    }
}
