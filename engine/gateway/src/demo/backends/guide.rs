//! The one query over all servers, the answer that each user gets, and the text that a person reads. The answers are counted
//! from the made-up rows, not by the gate, so that they can prove it.

use super::Running;
use super::governance::{USERS, User};
use super::trade::{Order, Table, Trade, money};
use crate::demo::DATABASE;
use crate::demo::guide::{Answer, Question};
use crate::demo::screen::questions_text;
use crate::serve::Bound;
use querygate_query_api::service::Door;

/// What one source adds to the query and to the users' rights.
pub(super) struct Part {
    pub(super) columns: &'static [&'static str],
    pub(super) tables: &'static str,
    /// How it joins with what came before; empty for the first.
    pub(super) on: &'static str,
    pub(super) condition: &'static str,
    /// The orders that the condition keeps.
    pub(super) keeps: fn(&Trade, &Order) -> bool,
    /// Permission sets of ada, sam and iris.
    pub(super) sets: [&'static str; 3],
    /// What it knows, in the question's title.
    pub(super) words: &'static str,
    pub(super) loads: &'static [Table],
}

/// Rows that the query answers at most.
const ROWS: usize = 3;

/// The query over all parts.
pub(super) fn question(parts: &[Part], trade: &Trade) -> Question {
    let columns: Vec<&str> = parts.iter().flat_map(|part| part.columns).copied().collect();
    let joins: String = parts.iter().skip(1).map(|part| format!("\n  JOIN {} ON {}", part.tables, part.on)).collect();
    let conditions: Vec<&str> = parts.iter().map(|part| part.condition).filter(|words| !words.is_empty()).collect();
    let from = parts.first().map_or("", |part| part.tables);
    let sql = format!(
        "SELECT {}\n  FROM {from}{joins}\n WHERE {}\n ORDER BY s.days_late DESC, o.id LIMIT {ROWS};",
        columns.join(", "),
        conditions.join(" AND ")
    );
    let words: Vec<&str> = parts.iter().map(|part| part.words).collect();
    let answers = USERS.iter().map(|user| {
        let rows = answer(user, parts, &columns, trade);
        (user.login.to_owned(), Answer::Rows(rows))
    });
    Question { title: words.join(", "), sql, answers: answers.collect() }
}

fn answer(user: &User, parts: &[Part], columns: &[&str], trade: &Trade) -> Vec<Vec<String>> {
    let mut found: Vec<_> = (0_u32..)
        .zip(&trade.orders)
        .filter(|(_, order)| parts.iter().all(|part| (part.keeps)(trade, order)))
        .filter(|(_, order)| user.region.is_none_or(|region| trade.region(order) == region))
        .filter(|(_, order)| user.region.is_none() || trade.product(order).is_public())
        .collect();
    found.sort_by_key(|(number, order)| (-order.days_late, *number));
    let cell = |number: u32, order, column: &str| match column {
        "o.id" => Trade::order_id(number),
        "c.name" => trade.customer(order).name.clone(),
        "c.email" if user.masked => crate::demo::guide::mask_email(&trade.customer(order).email),
        "c.email" => trade.customer(order).email.clone(),
        "o.amount" => money(order.amount),
        "p.title" => trade.product(order).title.clone(),
        "r.stars" => order.stars.to_string(),
        _ => order.days_late.to_string(),
    };
    let rows = found.into_iter().take(ROWS);
    rows.map(|(number, order)| columns.iter().map(|column| cell(number, order, column)).collect()).collect()
}

/// The guide as text, for the ports that were bound, or that a gate of its own is to have.
pub(crate) fn text(running: &Running, bound: Bound, is_served: bool) -> String {
    let [postgres, http, flight] = [Door::Postgres, Door::Http, Door::FlightSql].map(|door| bound.of(door));
    let folder = running.folder.path().display();
    let mut text = format!(
        "\nThe {} ready: {} rows in {}, started, loaded and introspected in {:.1} s in {folder}\n",
        if is_served { "demo is" } else { "servers are" },
        running.rows,
        running.backends.join(", "),
        running.seconds,
    );
    if let Some(address) = postgres {
        text.push_str(if is_served { "\nConnect:\n" } else { "\nConnect, once a gate serves them (below):\n" });
        for user in &USERS {
            let login = user.login;
            text.push_str(&format!(
                "  psql 'postgres://{login}:demo-{login}@{address}/{DATABASE}'   # {}\n",
                user.about
            ));
        }
    }
    text.push_str("\nTry, as each of them: one query, every source, three answers\n");
    text.push_str(&questions_text(std::slice::from_ref(&running.question)));
    text.push_str("\nAlso: \\dt, EXPLAIN SELECT …, SELECT * FROM querygate.sources (as ada)\n");
    if let Some(address) = http {
        text.push_str(&format!("      curl http://{address}/readyz, curl http://{address}/metrics\n"));
        // As the configuration has it by default.
        if address.ip().is_loopback() {
            text.push_str(&format!("      in a browser http://{address}/ui (ada, demo-ada)\n"));
        }
    }
    if let Some(address) = flight {
        text.push_str(&format!("      Arrow Flight SQL on grpc://{address}\n"));
    }
    text.push_str(&format!(
        "\nWhat each source is given for sam, policies inside, values beside the text (querygate explain -c {folder}/querygate.toml -u sam …):\n"
    ));
    for line in running.plan.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str(&format!(
        "\nThe introspected metadata is in {folder}/metadata. Ctrl-C stops the servers and removes everything.\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::super::{BACKENDS, lake};
    use super::*;

    #[test]
    fn the_three_users_get_three_answers_to_one_query() {
        let trade = Trade::made();
        for with_optional in [true, false] {
            let there = BACKENDS.iter().filter(|backend| with_optional || !backend.optional());
            let parts: Vec<Part> = there.map(|backend| backend.part()).chain([lake::part()]).collect();
            let question = question(&parts, &trade);
            let answers: Vec<_> = question.answers.iter().map(|(_, answer)| answer.lines()).collect();
            assert!(answers.iter().all(|answer| answer.len() == ROWS), "{answers:?}");
            assert!(answers[0] != answers[1] && answers[1] != answers[2] && answers[0] != answers[2], "{answers:?}");
            assert!(answers[2].iter().all(|line| line.contains("***@example.com")), "{answers:?}");
            assert!(question.sql.contains("orders o") && question.sql.contains("products p"), "{}", question.sql);
            assert_eq!(question.sql.contains("reviews r"), with_optional, "{}", question.sql);
        }
    }
}
