//! The pages of all HTTP ports in real browsers: who gets in, what every form does, what every page looks like on a desk and on a
//! telephone, and what other sites in the same browser try in vain.
//!
//! `SCREENSHOTS` names a folder for pictures of the pages, at both widths and in both themes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

#[path = "browsers/attacks.rs"]
mod attacks;
#[path = "browsers/forms.rs"]
mod forms;
#[path = "browsers/gate.rs"]
mod gate;
#[path = "browsers/looks.rs"]
mod looks;
#[path = "browsers/rest.rs"]
mod rest;
#[path = "browsers/sign_in.rs"]
mod sign_in;

use querygate_tests::browser::{Browser, Kind, Theme};

/// A browser, or the end of the test where it is absent.
fn browser(kind: Kind) -> Option<Browser> {
    Browser::start(kind, Theme::Light)
}

/// Each test once for each browser.
macro_rules! in_both {
    ($($name:ident: $test:path;)*) => {
        mod chromium {
            $(#[test]
            fn $name() {
                $test(querygate_tests::browser::Kind::Chromium);
            })*
        }
        mod firefox {
            $(#[test]
            fn $name() {
                $test(querygate_tests::browser::Kind::Firefox);
            })*
        }
    };
}

in_both! {
    a_person_logs_in_and_out: crate::sign_in::a_person_logs_in_and_out;
    a_cookie_of_an_older_start_opens_nothing_and_hinders_nobody: crate::sign_in::a_cookie_of_an_older_start;
    every_page_is_readable_on_a_desk_and_on_a_telephone: crate::looks::every_page;
    documents_are_shown_and_searched: crate::looks::documents;
    every_form_does_what_it_says: crate::forms::every_form;
    forms_of_other_sites_change_nothing: crate::attacks::forms_of_other_sites;
    no_page_is_shown_within_another: crate::attacks::frames;
    what_was_seen_before_a_log_out_is_worth_nothing_after_it: crate::attacks::replays;
    the_pages_of_the_rest_port_work: crate::rest::pages;
    other_sites_do_nothing_over_rest: crate::rest::attacks;
}
