//! Look-ups whose rows go to a client as the source wrote them. The policies are in the fragment, so its rows are governed already;
//! where anything is left to do with a column, it is not written.

use super::exec::heard;
use super::federate::WholeFragment;
use super::fragment_metrics::FragmentRuns;
use querygate_driver_api::{Value, ValueType, Wanted};
use querygate_types::{Result, WireRows};
use std::sync::Arc;

impl WholeFragment {
    /// Whether its rows are found by a key, and every column is the source's own, in order and without a cast to other values.
    #[must_use]
    pub fn is_written(&self) -> bool {
        let (columns, output) = (&self.compiled.columns, &self.compiled.statement.output);
        self.looks_up
            && columns.len() == output.len()
            && columns.iter().zip(output.iter()).enumerate().all(|(place, ((column, cast), (output, _)))| {
                let same = cast.as_ref().is_none_or(|cast| ValueType::from_arrow(cast) == Some(output.value_type));
                *column == place && same
            })
    }

    /// Finds rows with these values. `None`: it is to be called. `runs`: where it is measured.
    ///
    /// # Errors
    /// What the source says, in our codes.
    pub async fn look_up_written(
        &self,
        placeholders: &[Value],
        wanted: Wanted<'_>,
        runs: Option<&Arc<FragmentRuns>>,
    ) -> Result<Option<WireRows>> {
        let compiled = &self.compiled;
        let Some(values) = self.values(placeholders) else { return Ok(None) };
        let run = runs.map(|runs| compiled.run(Arc::clone(runs), false));
        match compiled.driver.look_up_written(&compiled.statement, &values, wanted).await {
            Ok(None) => Ok(None),
            Ok(Some(rows)) => {
                if let Some(run) = run {
                    run.written(&rows);
                }
                Ok(Some(rows))
            }
            Err(error) => {
                let error = heard(compiled, error);
                if let Some(run) = run {
                    run.failed(&error);
                }
                Err(error)
            }
        }
    }
}
