//! The attack list: what an analyst might try to learn of rows, columns and objects that policy hides. Most attacks are
//! run against the governed company and against a physically reduced copy of it, and must not tell the two apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests panic")]

mod catalogs;
mod duel;
mod explain;
mod late;
mod memberships;
mod names;
mod order;
mod parameters;
mod rows;
mod sessions;
mod unreadable;
mod writers;
mod writes;

/// `ASK="SELECT …" cargo test -p querygate-tests --test attacks -- --ignored --nocapture ask`: what both users are told.
#[test]
#[ignore = "a tool: it asks what ASK says"]
fn ask() {
    use querygate_tests::harness::{Company, Layout};
    let statements = std::env::var("ASK").unwrap();
    for layout in Layout::ALL {
        let company = Company::new(layout);
        for sql in statements.split("@@") {
            let (ada, iris) = (company.ada().run(sql), company.iris().run(sql));
            println!("== {layout:?} {sql}\nada: {ada}\niris: {iris}");
        }
    }
}
