//! Every type, NULL and the extremes: written, read back the same in three ways, changed, deleted. Or refused.

use super::{Changes, same, sorted, unlike};
use crate::execution::ExecuteContext;
use crate::testkit::dataset::values;
use crate::testkit::suite::values_of;
use crate::value::{Value, ValueType};
use crate::write::{Applied, ChangeOp, Transaction};
use querygate_types::{Error, ErrorCode, Result};

/// Whether a driver may say so of a single value.
fn is_refusal(code: ErrorCode) -> bool {
    code.sqlstate().starts_with("22") || code == ErrorCode::FeatureNotSupported
}

impl Changes {
    pub(super) async fn values(&mut self) -> Result<()> {
        let names: Vec<(String, ValueType)> = self
            .remote
            .columns
            .iter()
            .filter_map(|column| Some((column.name.as_str().to_owned(), column.value_type?)))
            .filter(|(name, _)| name != "id")
            .collect();
        for (name, value_type) in names {
            let mut all = values(value_type, self.limits);
            all.push(Value::Null(value_type));
            let column = self.column(&name)?;
            if let Err(refusal) = self.writer()?.writable_as(column, value_type) {
                *self.report.refused.entry(format!("{}: {refusal}", value_type.name())).or_default() += all.len();
                continue;
            }
            let kept = self.written(&name, &all).await?;
            self.changed(&name, &kept).await?;
            self.clear().await?;
            self.expect_rows(&format!("deleted {name}"), &[]).await?;
        }
        Ok(())
    }

    /// Inserts each value; gives those that were not refused.
    async fn written(&mut self, name: &str, all: &[Value]) -> Result<Vec<Value>> {
        if !self.writer()?.capabilities().savepoints {
            return self.tried(name, all).await;
        }
        let change = self.change(ChangeOp::Insert, &[name])?;
        let mut tx = self.begin().await?;
        let mut kept: Vec<Value> = Vec::new();
        for (value, place) in all.iter().zip(0..) {
            tx.savepoint(place).await?;
            let row = vec![Value::Int64(i64::try_from(kept.len()).unwrap_or(0)), value.clone()];
            let set = Self::set(&change, &[row])?;
            match tx.apply(&change, &set, &ExecuteContext::default()).await {
                Ok(applied) => {
                    self.returned(name, std::slice::from_ref(value), &applied)?;
                    kept.push(value.clone());
                    self.report.stored += 1;
                    tx.release(place).await?;
                }
                Err(error) => {
                    self.refused(name, value, &error);
                    tx.rollback_to(place).await?;
                }
            }
        }
        self.ended(name, &kept, tx).await?;
        Ok(kept)
    }

    /// Where a failure ends the transaction: each value in one of its own, which is undone, then all that were taken.
    async fn tried(&mut self, name: &str, all: &[Value]) -> Result<Vec<Value>> {
        let change = self.change(ChangeOp::Insert, &[name])?;
        let mut kept: Vec<Value> = Vec::new();
        for value in all {
            let mut tx = self.begin().await?;
            let set = Self::set(&change, &rows(std::slice::from_ref(value)))?;
            match tx.apply(&change, &set, &ExecuteContext::default()).await {
                Ok(applied) => {
                    self.returned(name, std::slice::from_ref(value), &applied)?;
                    kept.push(value.clone());
                    self.report.stored += 1;
                }
                Err(error) => self.refused(name, value, &error),
            }
            tx.rollback().await;
        }
        let mut tx = self.begin().await?;
        let applied = tx.apply(&change, &Self::set(&change, &rows(&kept))?, &ExecuteContext::default()).await?;
        self.returned(name, &kept, &applied)?;
        self.ended(name, &kept, tx).await?;
        Ok(kept)
    }

    fn refused(&mut self, name: &str, value: &Value, error: &Error) {
        if is_refusal(error.code()) {
            *self.report.refused.entry(format!("{}: {error}", value.value_type().name())).or_default() += 1;
        } else {
            self.report.failures.push(format!("{name} {value:?}: {error} ({:?})", error.cause()));
        }
    }

    /// Commits rows of these values, which only the transaction saw before.
    async fn ended(&mut self, name: &str, kept: &[Value], mut tx: Transaction) -> Result<()> {
        let expected = rows(kept);
        let seen = self.seen(&mut tx, &["id", name]).await?;
        self.expect(&format!("{name}: the transaction sees its rows"), !unlike(&expected, &seen));
        let others = self.committed(&["id"]).await?;
        self.expect(&format!("{name}: nobody else sees them yet"), others.is_empty());
        self.commit(name, tx).await;
        let stored = self.committed(&["id", name]).await?;
        if unlike(&expected, &stored) {
            self.report.failures.push(format!("{name}: stored {stored:?} instead of {expected:?}"));
        }
        Ok(())
    }

    /// Gives each row the value of its neighbour, in one set.
    async fn changed(&mut self, name: &str, kept: &[Value]) -> Result<()> {
        let change = self.change(ChangeOp::Update, &[name])?;
        let mut turned = kept.to_vec();
        turned.rotate_left(usize::from(kept.len() > 1));
        let expected = rows(&turned);
        let mut tx = self.begin().await?;
        match tx.apply(&change, &Self::set(&change, &expected)?, &ExecuteContext::default()).await {
            Ok(applied) => self.returned(name, &turned, &applied)?,
            Err(error) => self.report.failures.push(format!("update of {name}: {error} ({:?})", error.cause())),
        }
        self.commit(name, tx).await;
        let stored = self.committed(&["id", name]).await?;
        self.expect(&format!("{name}: each row has its neighbour's value"), !unlike(&expected, &stored));
        Ok(())
    }

    /// Compares what a change gave back.
    fn returned(&mut self, name: &str, expected: &[Value], applied: &Applied) -> Result<()> {
        let got = sorted(values_of(&applied.stored)?);
        let is_same = |(row, expected): (&Vec<Value>, &Value)| row.get(1).is_some_and(|got| same(expected, got));
        let equal = got.len() == expected.len() && got.iter().zip(expected).all(is_same);
        self.expect(&format!("{name}: gave back {got:?} instead of {expected:?}"), equal);
        Ok(())
    }
}

fn rows(values: &[Value]) -> Vec<Vec<Value>> {
    values.iter().zip(0..).map(|(value, id)| vec![Value::Int64(id), value.clone()]).collect()
}
