//! Look-ups whose rows go to a client as the source sent them. The policies are in the fragment, so its rows are governed already;
//! where anything is left to do with a column, they are not asked for.

use super::federate::WholeFragment;
use crate::metrics::{FragmentRun, FragmentRuns};
use crate::remote::heard;
use querygate_driver_api::execution::{Answer, Ask, DeclineReason, LookUp, Wanted};
use querygate_driver_api::value::{Value, ValueType};
use querygate_types::Result;
use querygate_types::wire_rows::WireRows;
use std::sync::Arc;

impl WholeFragment {
    /// Whether its rows are found by a key, and every column is the source's own, in order and without a cast to other values.
    ///
    /// # Errors
    /// Why [`look_up_wire_rows`](Self::look_up_wire_rows) declines each run.
    pub fn gives_wire_rows(&self) -> LookUp<()> {
        self.looks_up?;
        let (columns, output) = (&self.compiled.columns, &self.compiled.statement.output);
        let is_own = columns.len() == output.len()
            && columns.iter().zip(output.iter()).enumerate().all(|(place, ((column, cast), (output, _)))| {
                let same = cast.as_ref().is_none_or(|cast| ValueType::from_arrow(cast) == Some(output.value_type));
                *column == place && same
            });
        if is_own { Ok(()) } else { Err(DeclineReason::ComputedColumn) }
    }

    /// Finds rows with these values. Declined: it is to be called. `runs`: where it is measured.
    ///
    /// # Errors
    /// What the source says, in our codes.
    pub async fn look_up_wire_rows(
        &self,
        placeholders: &[Value],
        wanted: Wanted<'_>,
        runs: Option<&Arc<FragmentRuns>>,
    ) -> Result<LookUp<WireRows>> {
        let compiled = &self.compiled;
        let Some(values) = self.values(placeholders) else { return Ok(Err(DeclineReason::ValueTypes)) };
        let run = runs.map(|runs| compiled.run(Arc::clone(runs), false));
        let rows = match compiled.driver.run(&compiled.statement, &values, Ask::WireRows(wanted)).await {
            Ok(Answer::WireRows(rows)) => Ok(rows),
            Ok(Answer::Declined(reason)) => return Ok(Err(reason)),
            Ok(answer @ (Answer::Batches(_) | Answer::Batch(_))) => Err(answer.unexpected()),
            Err(error) => Err(heard(compiled, error)),
        };
        FragmentRun::over(run, rows, FragmentRun::wire_rows).map(Ok)
    }
}
