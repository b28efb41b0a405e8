//! The advisor against a source of a few lines: what is suggested, what applying does, what measuring says.

use super::{AdvisedSource, IndexAdvisor, IndexOptions};
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use querygate_driver_api::advice::{
    Costed, ExistingIndex, IndexAbilities, IndexAdvice, IndexSpec, IndexedColumn, IndexedTable, NativeQuery, Planner,
    Study, WhatIf,
};
use querygate_driver_api::capability::{Capabilities, Refusal};
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::{Answer, Ask, NativeStatement};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::identifier::{Identifier, TableRef};
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::remote::{RemoteColumn, RemoteTable, TableStatistics};
use querygate_driver_api::value::{Value, ValueType};
use querygate_query_api::service::Door;
use querygate_telemetry_api::StatementRecord;
use querygate_telemetry_api::fragment::{
    Condition, ConditionKind, FragmentRecord, FragmentShape, FragmentTemplate, TableShape,
};
use querygate_telemetry_api::system::{Cell, SystemExtension};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

mod writes;

/// A table of 10,000 rows: 100 tenants, 2,500 numbers, 4 states; an index on the state, twice.
#[derive(Debug, Default)]
struct Toy {
    /// Without a planner.
    blind: bool,
    made: Mutex<Vec<String>>,
    /// Tells that an index is being made, and waits until it may be.
    held: Option<(Semaphore, Semaphore)>,
}

const COLUMNS: [(&str, f64); 4] = [("id", 10_000.0), ("tenant", 100.0), ("number", 2_500.0), ("state", 4.0)];

fn name(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

/// Costs the rows behind the leading columns that are compared.
struct ToyPlanner;

#[async_trait]
impl WhatIf for ToyPlanner {
    fn evidence(&self) -> &'static str {
        "a toy"
    }

    fn write_cost(&self) -> f64 {
        0.01
    }

    async fn cost(&mut self, query: &NativeQuery, indexes: &[&IndexSpec]) -> Result<Costed> {
        if query.text.contains("nonsense") {
            return Err(Error::internal("no plan"));
        }
        let equal = &query.tables[0].equal;
        let through = |index: &IndexSpec| {
            let bound = index.keys.iter().take_while(|key| equal.contains(key));
            let distinct = |key: &Identifier| COLUMNS.iter().find(|(name, _)| *name == key.as_str()).unwrap().1;
            (10_000.0 / bound.map(distinct).product::<f64>()).max(1.0)
        };
        let best = indexes.iter().enumerate().map(|(place, index)| (through(index), place));
        Ok(match best.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((cost, place)) if cost < 10_000.0 => Costed { cost, planned: cost, worst: cost, used: vec![place] },
            _ => Costed { cost: 10_000.0, planned: 10_000.0, worst: 10_000.0, used: Vec::new() },
        })
    }
}

#[async_trait]
impl IndexAdvice for Toy {
    async fn study(&self, tables: &[TableRef]) -> Result<Study> {
        let column = |(text, distinct): &(&str, f64)| IndexedColumn {
            name: name(text),
            width: 8.0,
            align: 8,
            distinct: *distinct,
            nulls: 0.0,
            dedupes: true,
            collates: false,
        };
        let index = |text: &str, unique| ExistingIndex {
            name: text.to_owned(),
            keys: vec![name("state")],
            include: Vec::new(),
            unique,
            constraint: false,
            partial: false,
            expression: false,
            plain: true,
            valid: true,
            scans: None,
            days: 0.0,
            bytes: Some(1_000),
        };
        let table = IndexedTable {
            table: tables[0].clone(),
            rows: 10_000.0,
            columns: COLUMNS.iter().map(column).collect(),
            indexes: vec![index("one", false), index("other", false)],
            row_key: Vec::new(),
            writes: None,
            abilities: IndexAbilities::ALL,
        };
        let planner =
            if self.blind { Planner::Absent("no eyes".to_owned()) } else { Planner::Asked(Box::new(ToyPlanner)) };
        Ok(Study { tables: vec![table], planner })
    }

    fn ddl(&self, index: &IndexSpec, _name: &Identifier) -> Result<String, Refusal> {
        let keys: Vec<&str> = index.keys.iter().map(Identifier::as_str).collect();
        Ok(format!("CREATE {}", keys.join(" ")))
    }

    fn drop_ddl(&self, _table: &TableRef, name: &Identifier) -> Result<String, Refusal> {
        Ok(format!("DROP {}", name.as_str()))
    }

    async fn create(&self, _index: &IndexSpec, name: &Identifier) -> Result<()> {
        if let Some((began, may)) = &self.held {
            began.add_permits(1);
            may.acquire().await.unwrap().forget();
        }
        self.made.lock().unwrap().push(name.as_str().to_owned());
        Ok(())
    }

    async fn drop_index(&self, _table: &TableRef, name: &Identifier) -> Result<()> {
        self.made.lock().unwrap().retain(|made| made != name.as_str());
        Ok(())
    }
}

#[async_trait]
impl Driver for Toy {
    fn kind(&self) -> &'static str {
        "toy"
    }

    fn capabilities(&self) -> &dyn Capabilities {
        panic!("advice asks for none")
    }

    async fn tables(&self) -> Result<Vec<TableRef>> {
        Ok(Vec::new())
    }

    async fn describe(&self, _table: &TableRef) -> Result<RemoteTable> {
        Err(Error::internal("not asked"))
    }

    fn read_as(&self, _column: &RemoteColumn, _wanted: ValueType) -> Result<Encoding, Refusal> {
        Ok(Encoding::Canonical)
    }

    async fn statistics(&self, _table: &TableRef) -> Result<TableStatistics> {
        Ok(TableStatistics::default())
    }

    fn render(&self, _fragment: &Fragment) -> Result<Arc<NativeStatement>, Refusal> {
        panic!("advice renders nothing")
    }

    fn accepts(&self, _statement: &NativeStatement, _values: &[Value]) -> Result<(), Refusal> {
        Ok(())
    }

    fn run<'a>(&'a self, _: &'a Arc<NativeStatement>, _: &'a [Value], _: Ask<'a>) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async { Err(Error::internal("not asked")) })
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    fn index_advice(&self) -> Option<&dyn IndexAdvice> {
        Some(self)
    }
}

/// Runs of a statement under a policy on the tenant, with another equality.
fn runs(column: &str, text: &str, count: u64, millis: u64) -> Vec<StatementRecord> {
    let condition = |column: &str, kind| Condition { column: column.to_owned(), kind };
    let shape = TableShape {
        path: vec!["main".to_owned(), "t".to_owned()],
        conditions: vec![
            condition(column, ConditionKind::Equality),
            condition("tenant", ConditionKind::PolicyEquality),
        ],
        columns: vec!["id".to_owned(), column.to_owned(), "tenant".to_owned()],
    };
    let template = Arc::new(FragmentTemplate {
        source: "crm".into(),
        kind: "toy",
        objects: Arc::new([]),
        text: text.into(),
        fingerprint: column.len() as u64,
        passing: Vec::new(),
        shape: FragmentShape { tables: vec![shape], ..FragmentShape::default() },
    });
    let fragment = FragmentRecord {
        template,
        began: SystemTime::UNIX_EPOCH,
        estimated_rows: None,
        rows: 1,
        bytes: 8,
        acquire: Duration::ZERO,
        first_row: None,
        total: Duration::from_millis(millis),
        complete: true,
        narrowed: false,
        nulls: Vec::new(),
        columns: Box::default(),
        reads: None,
        error: None,
    };
    let record = StatementRecord {
        id: 1,
        started: SystemTime::UNIX_EPOCH,
        login: "ada".into(),
        door: Door::Shell,
        application: "".into(),
        template: text.into(),
        fingerprint: 77,
        objects: Arc::new([]),
        planning: Duration::ZERO,
        first_row: None,
        total: Duration::from_millis(millis),
        rows: 1,
        changed: querygate_telemetry_api::ChangedRows::default(),
        writes: Vec::new(),
        bytes: 8,
        error: None,
        cached: false,
        choice: None,
        fragments: vec![fragment],
        more: None,
        under_way: false,
        trace: None,
    };
    (0..count).map(|_| record.clone()).collect()
}

struct Bench {
    toy: Arc<Toy>,
    advisor: Arc<IndexAdvisor>,
    store: Store,
}

fn now() -> Moment {
    Moment { seconds: 1_700_000_000, running: Duration::from_secs(10) }
}

impl Bench {
    async fn new(toy: Toy, apply: bool) -> Self {
        let (toy, store) = (Arc::new(toy), Store::in_memory().await.unwrap());
        let advisor = advisor(&toy, apply);
        advisor.load(&store).await.unwrap();
        Self { toy, advisor, store }
    }

    async fn follow(&self, records: &[StatementRecord]) {
        self.advisor.follow(records, now(), &self.store).await.unwrap();
    }

    async fn call(&self, procedure: &str, id: Option<i64>) -> Result<String> {
        let arguments: Vec<Cell> = id.into_iter().map(Cell::Integer).collect();
        self.advisor.call(procedure, &arguments, &operator()).await
    }

    /// id, ddl, state of all suggestions.
    fn told(&self) -> Vec<(i64, String, String)> {
        told(&self.advisor)
    }
}

fn advisor(toy: &Arc<Toy>, apply: bool) -> Arc<IndexAdvisor> {
    let driver: Arc<dyn Driver> = Arc::clone(toy) as Arc<dyn Driver>;
    let sources = move || vec![AdvisedSource { name: "crm".to_owned(), driver: Arc::clone(&driver), apply }];
    IndexAdvisor::new(IndexOptions::default(), Arc::new(sources), tokio::runtime::Handle::current())
}

fn operator() -> Principal {
    Principal::builder("root").operator(true).build()
}

fn cells(advisor: &IndexAdvisor, column: &str) -> Vec<Cell> {
    let place = advisor.relations()[0].columns.iter().position(|(name, _)| *name == column).unwrap();
    advisor.rows("index_suggestions", &operator()).unwrap().into_iter().map(|row| row[place].clone()).collect()
}

fn told(advisor: &IndexAdvisor) -> Vec<(i64, String, String)> {
    let rows = advisor.rows("index_suggestions", &operator()).unwrap();
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let told = |row: &Vec<Cell>| match row[0] {
        Cell::Integer(id) => (id, text(&row[4]), text(&row[5])),
        _ => panic!("no id"),
    };
    rows.iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_compares_leads_and_duplicates_are_named() {
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    assert_eq!(bench.call("suggest_indexes", None).await.unwrap(), "2 indexes suggested");
    let told = bench.told();
    let of =
        |state: &str| told.iter().filter(|(_, _, s)| s == state).map(|(_, ddl, _)| ddl.as_str()).collect::<Vec<_>>();
    assert_eq!(of("suggested"), ["CREATE tenant number", "DROP other"], "{told:?}");
    assert!(!of("rejected").contains(&"CREATE tenant number"), "{told:?}");
    // Nobody but operators sees any of it.
    let reader = Principal::builder("sam").build();
    assert!(bench.advisor.rows("index_suggestions", &reader).unwrap().is_empty());
    // The same search again changes nothing, and keeps the numbers.
    bench.call("suggest_indexes", None).await.unwrap();
    assert_eq!(bench.told(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gains_is_told_by_the_number_of_its_statement() {
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let id = bench.told()[0].0;
    bench.call("apply", Some(id)).await.unwrap();
    bench.follow(&runs("number", "one", 20, 1)).await;
    // 77, as `querygate.templates` has it; the fragment's own is 6.
    for column in ["templates", "measured"] {
        let told = format!("{:?}", cells(&bench.advisor, column)[0]);
        assert!(told.contains("000000000000004d") && !told.contains("0000000000000006"), "{column}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_began_is_known_though_its_client_went() {
    let held = Some((Semaphore::new(0), Semaphore::new(0)));
    let bench = Bench::new(Toy { held, ..Toy::default() }, true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let id = bench.told()[0].0;
    assert!(bench.call("apply", Some(id)).now_or_never().is_none());
    let (began, may) = bench.toy.held.as_ref().unwrap();
    began.acquire().await.unwrap().forget();
    assert_eq!(bench.told()[0].2, "suggested");
    may.add_permits(1);
    // It has its turn when the first has ended.
    let twice = bench.call("apply", Some(id)).await.unwrap_err();
    assert_eq!(twice.code(), ErrorCode::ObjectNotInPrerequisiteState);
    assert_eq!((bench.told()[0].2.as_str(), bench.toy.made.lock().unwrap().len()), ("applied", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_suggestion_is_measured_undone_and_kept() {
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let id = bench.told()[0].0;
    assert!(bench.call("apply", Some(id)).await.unwrap().starts_with("created index qg_t_tenant_number_"));
    assert_eq!(bench.toy.made.lock().unwrap().len(), 1);
    assert_eq!(bench.told()[0].2, "applied");
    let twice = bench.call("apply", Some(id)).await.unwrap_err();
    assert_eq!(twice.code(), ErrorCode::ObjectNotInPrerequisiteState);
    bench.follow(&runs("number", "one", 5, 1)).await;
    assert_eq!(bench.told()[0].2, "applied", "five runs are not enough");
    bench.follow(&runs("number", "one", 20, 1)).await;
    assert_eq!(bench.told()[0].2, "helped");
    assert!(
        matches!(cells(&bench.advisor, "measured_effect")[0], Cell::Float(effect) if (0.9..0.97).contains(&effect))
    );

    // Another life of the gate knows it, with what it measured.
    bench.advisor.tick(now(), &bench.store).await.unwrap();
    let again = advisor(&bench.toy, true);
    again.load(&bench.store).await.unwrap();
    assert_eq!(told(&again), bench.told());
    let undone = again.call("undo", &[Cell::Integer(id)], &operator()).await.unwrap();
    assert!(undone.starts_with("dropped index qg_t_") && bench.toy.made.lock().unwrap().is_empty());
    assert_eq!(told(&again)[0].2, "undone");
    assert!(again.call("undo", &[Cell::Integer(id)], &operator()).await.is_err());
    assert!(again.call("apply", &[Cell::Integer(id)], &operator()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suggestion_that_did_not_help_says_so() {
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let id = bench.told()[0].0;
    bench.call("apply", Some(id)).await.unwrap();
    bench.follow(&runs("number", "one", 20, 21)).await;
    assert_eq!(bench.told()[0].2, "did not help");
    let measured = format!("{:?}", cells(&bench.advisor, "measured")[0]);
    assert!(measured.contains(&format!("CALL querygate.undo({id})")), "{measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everything_gained_was_not_the_index() {
    for (others, expected) in [(20, "helped"), (10, "did not help")] {
        let bench = Bench::new(Toy::default(), true).await;
        bench.follow(&runs("number", "one", 40, 20)).await;
        // Its plan is unknown, so it is none that should gain.
        bench.follow(&runs("state", "nonsense", 40, 20)).await;
        bench.call("suggest_indexes", None).await.unwrap();
        bench.call("apply", Some(bench.told()[0].0)).await.unwrap();
        bench.follow(&runs("state", "nonsense", 20, others)).await;
        bench.follow(&runs("number", "one", 20, 10)).await;
        assert_eq!(bench.told()[0].2, expected, "{others}: {:?}", cells(&bench.advisor, "measured")[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_planner_there_is_a_guess_and_it_says_so() {
    let bench = Bench::new(Toy { blind: true, ..Toy::default() }, true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    assert!(bench.told()[0].1.starts_with("CREATE tenant number"), "{:?}", bench.told());
    assert!(matches!(cells(&bench.advisor, "confidence")[0], Cell::Float(confidence) if confidence <= 0.3));
    let evidence = format!("{:?}", cells(&bench.advisor, "evidence")[0]);
    assert!(evidence.contains("guess from statistics only: no eyes"), "{evidence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_explains_nothing_is_guessed_about_and_the_reason_is_told() {
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "nonsense", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    assert!(bench.told()[0].1.starts_with("CREATE tenant number"), "{:?}", bench.told());
    assert!(matches!(cells(&bench.advisor, "confidence")[0], Cell::Float(confidence) if confidence <= 0.3));
    let evidence = format!("{:?}", cells(&bench.advisor, "evidence")[0]);
    assert!(evidence.contains("guess from statistics only: the source's planner refuses every fragment"), "{evidence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_done_is_refused() {
    let bench = Bench::new(Toy::default(), false).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    // A statement that the planner refuses has no part in it.
    bench.follow(&runs("state", "nonsense", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let (id, ..) = bench.told()[0];
    let refused = bench.call("apply", Some(id)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ObjectNotInPrerequisiteState);
    assert!(refused.hint().unwrap().contains("apply_indexes") && bench.toy.made.lock().unwrap().is_empty());
    assert_eq!(bench.call("apply", Some(999)).await.unwrap_err().code(), ErrorCode::UndefinedObject);
    assert_eq!(bench.call("apply", None).await.unwrap_err().code(), ErrorCode::InvalidParameterValue);
    let evidence = format!("{:?}", cells(&bench.advisor, "evidence")[0]);
    assert!(evidence.contains("1 of 2 fragments have no plan there"), "{evidence}");

    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let drop = bench.told().into_iter().find(|(_, ddl, _)| ddl == "DROP other").unwrap().0;
    assert_eq!(bench.call("apply", Some(drop)).await.unwrap_err().code(), ErrorCode::FeatureNotSupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_given_once_also_after_its_suggestion_is_gone_and_the_gate_restarted() {
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    let greatest = bench.told().iter().map(|(id, ..)| *id).max().unwrap();
    // Everything that was suggested is gone; the runs stay.
    let ids: Vec<String> = bench.told().iter().map(|(id, ..)| id.to_string()).collect();
    bench.store.remove("index_suggestion", &ids).await.unwrap();
    let again = advisor(&bench.toy, true);
    again.load(&bench.store).await.unwrap();
    assert!(told(&again).is_empty());
    again.follow(&runs("number", "one", 40, 20), now(), &bench.store).await.unwrap();
    again.call("suggest_indexes", &[], &operator()).await.unwrap();
    let told = told(&again);
    assert!(!told.is_empty() && told.iter().all(|(id, ..)| *id > greatest), "{told:?} after {greatest}");
}
