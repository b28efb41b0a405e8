//! `querygate advise`: what a gate has learnt, from its store. Opens no source.

use super::args::AdviseArgs;
use super::{Ended, load, written};
use crate::output::Output;
use querygate_types::{Error, ErrorCode, Result};

pub(super) fn run(args: &AdviseArgs, output: &mut Output) -> Result<Ended> {
    let config = load(args.config.file().as_path(), output)?;
    let Some(learning) = &config.learning else {
        return Err(Error::new(ErrorCode::ConfigInvalid, "the configuration has no [learning]")
            .with_hint("Add [learning] and let the gate run for a while."));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    let report = runtime.block_on(querygate_learning::report(&learning.directory))?;
    let report = report.ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, "nothing is learnt yet")
            .with_detail(format!("There is no store in {}.", learning.directory.display()))
    })?;
    output.text(&report).map_err(written)?;
    Ok(Ended::Well)
}
