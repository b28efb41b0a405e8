//! The pages' contents, each from its own statements. Knows no cookie and no route.

mod anomalies;
mod indexes;
mod overview;
mod plans;
mod runs;
mod sources;
mod template;

pub(crate) use anomalies::anomalies;
pub(crate) use indexes::indexes;
pub(crate) use overview::overview;
pub(crate) use plans::plans;
pub(crate) use sources::sources;
pub(crate) use template::template;

use super::html::{Html, classed, element};
use querygate_types::Error;

/// Said of a part that this gate does not record.
const NOT_HERE: &str = "This gate does not record it.";

/// Instead of a page that could not be made.
pub(crate) fn failed(error: &Error) -> Html {
    let mut said = vec![element("h1", &[], "This page could not be made"), classed("p", "wrong", error.message())];
    said.extend(error.detail().map(|detail| element("p", &[], detail)));
    said.extend(error.hint().map(|hint| element("p", &[], hint)));
    classed("section", "card", said)
}
