//! The pages' contents, each from its own statements. Knows no cookie and no route.

mod anomalies;
mod indexes;
mod overview;
mod plans;
mod runs;
mod sources;
mod template;

pub(crate) use anomalies::anomalies;
pub(crate) use indexes::{change, indexes};
pub(crate) use overview::overview;
pub(crate) use plans::plans;
pub(crate) use sources::sources;
pub(crate) use template::template;

use super::html::{Html, classed, element, link};
use querygate_types::Error;

/// Said of a part that this gate does not record.
const NOT_HERE: &str = "This gate does not record it.";
/// Said of what learning alone finds, where it is off.
const LEARNING_IS_OFF: &str =
    "Learning is off. An operator adds [learning] to the configuration; `querygate demo --traffic` has it.";

/// Instead of a page that could not be made.
pub(crate) fn failed(error: &Error) -> Html {
    told("This page could not be made", error)
}

/// Instead of going back, where something was not done.
pub(crate) fn not_done(error: &Error) -> Html {
    told("Not done", error)
}

/// Instead of going back, where something takes long.
pub(crate) fn under_way(back: &str) -> Html {
    let said = [
        element("h1", &[], "Under way"),
        element("p", &[], "It takes longer than a page waits, and goes on. Look again in a while."),
        element("p", &[], link(back, "Back")),
    ];
    classed("section", "card", said)
}

fn told(title: &str, error: &Error) -> Html {
    let mut said = vec![element("h1", &[], title), classed("p", "wrong", error.message())];
    said.extend(error.detail().map(|detail| element("p", &[], detail)));
    said.extend(error.hint().map(|hint| element("p", &[], hint)));
    classed("section", "card", said)
}
