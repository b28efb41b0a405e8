//! How executions end: whole, in bounded batches, cancelled, out of time, abandoned. Every driver behaves the same.

use crate::aggregate::{AggregateExpr, AggregateFunction};
use crate::capability::RefusalReason;
use crate::driver::Driver;
use crate::execution::{Answer, Ask, BatchStream, DeclineReason, ExecuteContext, NativeStatement, Wanted};
use crate::fragment::{Fragment, OutputColumn};
use crate::identifier::{ColumnId, TableRef};
use crate::relation::{JoinKind, Relation, ScanColumn};
use crate::scalar::{ComparisonOp, ScalarExpr};
use crate::testkit::dataset::MANY_ROWS;
use crate::value::ValueType;
use futures::{StreamExt, TryStreamExt};
use querygate_types::wire_rows::WireForm;
use querygate_types::{Error, ErrorCode, PgType, PlannerSetting, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time in which a source must hear of a cancel or a deadline.
const REACTION: Duration = Duration::from_secs(3);

/// Runs every case; the table `many` of the suite must be loaded. Gives what went wrong.
///
/// # Errors
/// The suite's table cannot be described or its statements are refused.
pub async fn run(driver: &dyn Driver, schema: &[&str]) -> Result<Vec<String>> {
    let path = schema.iter().copied().chain(["many"]).map(str::to_owned);
    let table = TableRef::new(path)?;
    let mut failures = Vec::new();
    let whole = rendered(driver, &everything(driver, &table).await?)?;
    let endless = Endless::find(driver, &whole, &pairs(driver, &table).await?)?;
    bounded_batches(driver, &whole, &mut failures).await?;
    cancelled(driver, &endless, &mut failures).await?;
    out_of_time(driver, &endless, &mut failures).await?;
    abandoned(driver, &whole, &mut failures).await?;
    planned(driver, &whole, &endless, &mut failures).await?;
    looked_up(driver, &whole, &mut failures).await;
    Ok(failures)
}

/// A statement that does not end by itself: billions of steps of the source's own; of a source that does not join, more batches
/// than are in flight while nobody reads them.
struct Endless {
    statement: Arc<NativeStatement>,
    batch_rows: usize,
}

impl Endless {
    fn find(driver: &dyn Driver, whole: &Arc<NativeStatement>, pairs: &Fragment) -> Result<Self> {
        match driver.render(pairs) {
            Ok(statement) => Ok(Self { statement, batch_rows: ExecuteContext::default().batch_rows }),
            Err(refusal) if refusal.reason == RefusalReason::Operator => {
                Ok(Self { statement: Arc::clone(whole), batch_rows: 1 })
            }
            Err(refusal) => Err(Error::internal(refusal)),
        }
    }

    fn context(&self) -> ExecuteContext {
        ExecuteContext { batch_rows: self.batch_rows, ..ExecuteContext::default() }
    }
}

fn rendered(driver: &dyn Driver, fragment: &Fragment) -> Result<Arc<NativeStatement>> {
    driver.render(fragment).map_err(Error::internal)
}

async fn scan(driver: &dyn Driver, table: &TableRef, base: u32) -> Result<Relation> {
    let remote = driver.describe(table).await?;
    let columns = remote.columns.iter().zip(base..).filter_map(|(column, id)| {
        Some(ScanColumn {
            id: ColumnId(id),
            name: column.name.clone(),
            value_type: column.value_type?,
            nullable: column.nullable,
            collation: column.collation.clone(),
            encoding: column.encoding,
        })
    });
    Ok(Relation::Scan { table: remote.table.clone(), columns: columns.collect() })
}

async fn everything(driver: &dyn Driver, table: &TableRef) -> Result<Fragment> {
    let column = |id, name: &str, value_type| OutputColumn {
        id: ColumnId(id),
        name: name.to_owned(),
        value_type,
        nullable: true,
    };
    Ok(Fragment {
        relation: scan(driver, table, 0).await?,
        output: vec![column(0, "id", ValueType::Int64), column(1, "label", ValueType::Text)],
        parameters: vec![],
    })
}

/// Counts pairs: billions of steps and one row, so that only the source itself can stop it.
async fn pairs(driver: &dyn Driver, table: &TableRef) -> Result<Fragment> {
    let (left, right) = (Box::new(scan(driver, table, 0).await?), Box::new(scan(driver, table, 10).await?));
    let on =
        ScalarExpr::compare(ComparisonOp::NotEq, ScalarExpr::Column(ColumnId(1)), ScalarExpr::Column(ColumnId(11)));
    let input = Box::new(Relation::Join { kind: JoinKind::Inner, left, right, on });
    let count = AggregateExpr {
        function: AggregateFunction::CountStar,
        args: vec![],
        distinct: false,
        filter: None,
        value_type: ValueType::Int64,
    };
    let relation = Relation::Aggregate { input, group: vec![], aggregates: vec![(ColumnId(20), count)] };
    let output =
        OutputColumn { id: ColumnId(20), name: "count".to_owned(), value_type: ValueType::Int64, nullable: true };
    Ok(Fragment { relation, output: vec![output], parameters: vec![] })
}

async fn bounded_batches(
    driver: &dyn Driver,
    statement: &Arc<NativeStatement>,
    failures: &mut Vec<String>,
) -> Result<()> {
    let context = ExecuteContext { batch_rows: 1_000, ..ExecuteContext::default() };
    let batches: Vec<_> = driver.run(statement, &[], Ask::Batches(context)).await?.batches()?.try_collect().await?;
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    if i64::try_from(rows) != Ok(MANY_ROWS) {
        failures.push(format!("a whole result has {rows} rows"));
    }
    if batches.iter().any(|batch| batch.num_rows() > 1_000 || batch.num_rows() == 0) {
        failures.push("a batch is empty or larger than asked for".to_owned());
    }
    if batches.iter().any(|batch| batch.schema() != statement.schema) {
        failures.push("a batch has another schema than its statement".to_owned());
    }
    Ok(())
}

/// A planner's setting changes no row and no ending; a setting that a driver does not take is refused.
async fn planned(
    driver: &dyn Driver,
    whole: &Arc<NativeStatement>,
    endless: &Endless,
    failures: &mut Vec<String>,
) -> Result<()> {
    for setting in PlannerSetting::ALL {
        let context = ExecuteContext { setting: Some(setting), ..ExecuteContext::default() };
        let cancel = context.cancel.clone();
        if !driver.planner_settings().contains(&setting) {
            match driver.run(whole, &[], Ask::Batches(context)).await {
                Err(error) if error.code() == ErrorCode::FeatureNotSupported => {}
                Err(error) => failures.push(format!("{setting} is refused with {:?}", error.code())),
                Ok(_) => failures.push(format!("{setting} is taken though it is not offered")),
            }
            continue;
        }
        let batches = driver.run(whole, &[], Ask::Batches(context.clone())).await?.batches()?;
        let batches: Vec<_> = batches.try_collect().await?;
        let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
        if i64::try_from(rows) != Ok(MANY_ROWS) {
            failures.push(format!("a whole result has {rows} rows with {setting}"));
        }
        let context = ExecuteContext { batch_rows: endless.batch_rows, ..context };
        let stream = driver.run(&endless.statement, &[], Ask::Batches(context)).await?.batches()?;
        let asked = Instant::now();
        cancel.cancel();
        expect(error_of(stream).await, ErrorCode::QueryCanceled, asked, setting.name(), failures);
        rest(driver, failures, setting.name()).await;
    }
    Ok(())
}

/// A look-up gives all rows in its own form, or is declined and may run as any other statement.
async fn looked_up(driver: &dyn Driver, statement: &Arc<NativeStatement>, failures: &mut Vec<String>) {
    let wanted = Wanted { types: &[PgType::Int8, PgType::Text], form: WireForm::Text };
    for ask in [Ask::LookUp, Ask::WireRows(wanted)] {
        let form = format!("{ask:?}");
        let rows = match (driver.run(statement, &[], ask.clone()).await, ask) {
            (Ok(Answer::Declined(reason)), _) => {
                if driver.looks_up() == (reason == DeclineReason::Unsupported) {
                    failures.push(format!("{form} is declined because {reason}"));
                }
                continue;
            }
            (Ok(Answer::Batch(batch)), Ask::LookUp) => i64::try_from(batch.num_rows()).ok(),
            (Ok(Answer::WireRows(rows)), Ask::WireRows(_)) => i64::try_from(rows.rows).ok(),
            (Ok(answer), _) => {
                failures.push(format!("{form} is answered with {answer:?}"));
                continue;
            }
            (Err(error), _) => {
                failures.push(format!("{form} gives {error}"));
                continue;
            }
        };
        if rows != Some(MANY_ROWS) || !driver.looks_up() {
            failures.push(format!("{form} gives {rows:?} rows"));
        }
    }
    rest(driver, failures, "a look-up").await;
}

/// The first error of a stream that should not end well.
async fn error_of(mut stream: BatchStream) -> Option<Error> {
    while let Some(item) = stream.next().await {
        if let Err(error) = item {
            return Some(error);
        }
    }
    None
}

async fn cancelled(driver: &dyn Driver, endless: &Endless, failures: &mut Vec<String>) -> Result<()> {
    let context = endless.context();
    let cancel = context.cancel.clone();
    let stream = driver.run(&endless.statement, &[], Ask::Batches(context)).await?.batches()?;
    let asked = Instant::now();
    cancel.cancel();
    expect(error_of(stream).await, ErrorCode::QueryCanceled, asked, "cancel", failures);
    let context = endless.context();
    context.cancel.cancel();
    match driver.run(&endless.statement, &[], Ask::Batches(context)).await.and_then(Answer::batches) {
        Ok(stream) => {
            expect(error_of(stream).await, ErrorCode::QueryCanceled, Instant::now(), "early cancel", failures)
        }
        Err(error) => expect(Some(error), ErrorCode::QueryCanceled, Instant::now(), "early cancel", failures),
    }
    rest(driver, failures, "cancel").await;
    Ok(())
}

async fn out_of_time(driver: &dyn Driver, endless: &Endless, failures: &mut Vec<String>) -> Result<()> {
    for wait in [Duration::ZERO, Duration::from_millis(50)] {
        let deadline = Instant::now() + wait;
        let context = ExecuteContext { deadline: Some(deadline), ..endless.context() };
        let error = match driver.run(&endless.statement, &[], Ask::Batches(context)).await.and_then(Answer::batches) {
            Ok(stream) => {
                tokio::time::sleep_until(deadline.into()).await;
                error_of(stream).await
            }
            Err(error) => Some(error),
        };
        expect(error, ErrorCode::StatementTimeout, deadline, "deadline", failures);
    }
    rest(driver, failures, "deadline").await;
    Ok(())
}

fn expect(error: Option<Error>, code: ErrorCode, asked: Instant, what: &str, failures: &mut Vec<String>) {
    match error {
        Some(error) if error.code() == code => {}
        Some(error) => failures.push(format!("{what} gives {:?}: {error}", error.code())),
        None => failures.push(format!("{what} is not heard")),
    }
    if asked.elapsed() > REACTION {
        failures.push(format!("{what} takes {:?}", asked.elapsed()));
    }
}

/// Many streams of which only the beginning is read: none may keep a connection.
async fn abandoned(driver: &dyn Driver, statement: &Arc<NativeStatement>, failures: &mut Vec<String>) -> Result<()> {
    for _ in 0..40 {
        let context = ExecuteContext { batch_rows: 10, ..ExecuteContext::default() };
        let mut stream = driver.run(statement, &[], Ask::Batches(context)).await?.batches()?;
        if stream.next().await.is_none() {
            failures.push("an abandoned stream had no beginning".to_owned());
        }
    }
    rest(driver, failures, "abandoning").await;
    Ok(())
}

/// The source still answers.
async fn rest(driver: &dyn Driver, failures: &mut Vec<String>, what: &str) {
    match tokio::time::timeout(REACTION, driver.health()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => failures.push(format!("after {what} the source fails: {error}")),
        Err(_) => failures.push(format!("after {what} the source does not answer")),
    }
}
