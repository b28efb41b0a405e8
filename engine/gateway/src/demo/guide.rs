//! What the demo prints: who may log in, what to try, and the answer that each user gets. The answers are counted
//! while the data is made, not by the gate, so that they can prove it.

use super::company::{CONTACTS, Company, EMEA, IRIS, REGION_NAMES, REGIONS, SAM, account_id, days, iso_day};
use super::crm::Cell;
use super::lake::{EventFigures, QUESTION_FIRST_DAY, QUESTION_KIND};
use super::logs::LogFigures;
use super::sqlite::table_rng;
use super::tables::TABLES;
use super::{DEMO_USERS, DemoUser};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// One statement to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// What it shows, in a few words.
    pub(crate) title: String,
    pub(crate) sql: String,
    /// By login: what psql prints.
    pub(crate) answers: Vec<(String, Answer)>,
}

/// What a user gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Rows as psql's unaligned text (`psql -At -F ' | '`) prints them.
    Rows(Vec<Vec<String>>),
    /// SQLSTATE and message.
    Error(String, String),
}

/// Everything the demo promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guide {
    /// Rows in all sources.
    pub(crate) rows: u64,
    pub(crate) questions: Vec<Question>,
    /// By login: the contacts that the user reads through REST.
    pub(crate) contacts: Vec<(String, Contacts)>,
}

/// Contacts as one user reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contacts {
    /// How many there are for the user.
    pub(crate) total: u64,
    /// Last names, e-mail addresses and phone numbers of the first, by id.
    pub(crate) first: Vec<[String; 3]>,
}

/// Which accounts a user may read: all; own and shared; one region.
fn sees_account(user: &DemoUser, company: &Company, number: u32) -> bool {
    let facts = company.account(number);
    match user.number {
        SAM => facts.owner == SAM || facts.strategic,
        IRIS => facts.region == EMEA,
        _ => true,
    }
}

pub(super) fn build(company: &Company, rows: u64, events: &EventFigures, logs: &LogFigures) -> Guide {
    let answers = |answer: &dyn Fn(&DemoUser) -> Answer| -> Vec<(String, Answer)> {
        DEMO_USERS.iter().map(|user| (user.login.to_owned(), answer(user))).collect()
    };
    let questions = vec![
        Question {
            title: "Rows: sam sees own and shared accounts, iris one region".to_owned(),
            sql: "SELECT count(*) FROM accounts;".to_owned(),
            answers: answers(&|user| {
                let seen = (0..company.account_count()).filter(|n| sees_account(user, company, *n)).count();
                Answer::Rows(vec![vec![seen.to_string()]])
            }),
        },
        Question {
            title: "Masks: the same contacts, e-mail and phone masked for iris".to_owned(),
            sql: "SELECT id, last_name, email, phone FROM contacts ORDER BY id LIMIT 2;".to_owned(),
            answers: answers(&|user| Answer::Rows(contacts(company, user))),
        },
        Question {
            title: "Columns: salary does not exist for sam, employees do not exist for iris".to_owned(),
            sql: "SELECT name, salary FROM employees ORDER BY salary DESC LIMIT 1;".to_owned(),
            answers: answers(&|user| top_salary(company, user)),
        },
        Question {
            title: "Three sources in one join (memory, SQLite, Parquet), three different answers".to_owned(),
            sql: format!(
                "SELECT r.name AS region, count(DISTINCT a.id) AS accounts, count(*) AS requests\n  FROM regions r JOIN accounts a ON a.region_id = r.id JOIN events e ON e.account_id = a.id\n WHERE e.kind = '{QUESTION_KIND}' AND e.occurred_at >= '{}'\n GROUP BY r.name ORDER BY r.name;",
                iso_day(QUESTION_FIRST_DAY)
            ),
            answers: answers(&|user| Answer::Rows(demo_requests(events, user))),
        },
        Question {
            title: "NDJSON joined to SQLite: who clicks our e-mails".to_owned(),
            sql: "SELECT a.region_id, count(*) AS clicks FROM email_log m JOIN accounts a ON a.id = m.account_id\n WHERE m.clicked GROUP BY a.region_id ORDER BY a.region_id;".to_owned(),
            answers: answers(&|user| Answer::Rows(clicks(logs, user))),
        },
    ];
    let read = |user: &DemoUser| (user.login.to_owned(), read_contacts(company, user));
    Guide { rows, questions, contacts: DEMO_USERS.iter().map(read).collect() }
}

fn read_contacts(company: &Company, user: &DemoUser) -> Contacts {
    let accounts = company.account_count();
    let all = 0..company.scale.rows(CONTACTS);
    let total = all.filter(|number| sees_account(user, company, number % accounts)).count() as u64;
    let without_id = |row: Vec<String>| match <[String; 4]>::try_from(row) {
        Ok([_, last_name, email, phone]) => Some([last_name, email, phone]),
        Err(_) => None,
    };
    Contacts { total, first: contacts(company, user).into_iter().filter_map(without_id).collect() }
}

/// Rows of one CRM table, made again.
fn crm_rows(company: &Company, table: &str) -> impl Iterator<Item = Vec<Cell>> {
    let table = TABLES.iter().find(|t| t.name == table);
    let mut rng = table_rng(table.map_or("", |t| t.name));
    let total = table.map_or(0, |t| company.scale.rows(t.rows));
    (0..total).filter_map(move |number| {
        let mut row = Vec::new();
        (table?.fill)(company, &mut rng, number, &mut row);
        Some(row)
    })
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Word(word) => (*word).to_owned(),
        Cell::Real(number) => number.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Null => String::new(),
    }
}

fn contacts(company: &Company, user: &DemoUser) -> Vec<Vec<String>> {
    let accounts = company.account_count();
    // Ids are zero-padded up to 99,999, so that generation order is id order.
    debug_assert!(company.scale.rows(CONTACTS) < 100_000);
    let mut seen = Vec::new();
    for (number, row) in (0_u32..).zip(crm_rows(company, "contacts")) {
        if !sees_account(user, company, number % accounts) {
            continue;
        }
        let [id, _, _, last_name, email, phone, ..] = row.as_slice() else { continue };
        let (email, phone) = (show(email), show(phone));
        let (email, phone) =
            if user.number == IRIS { (mask_email(&email), mask_phone(&phone)) } else { (email, phone) };
        seen.push(vec![show(id), show(last_name), email, phone]);
        if seen.len() == 2 {
            break;
        }
    }
    seen
}

/// The preset `email`: first character of the local part, stars, the whole domain.
pub(super) fn mask_email(email: &str) -> String {
    let (local, domain) = email.split_once('@').unwrap_or((email, ""));
    let mut masked: String = local.chars().take(1).collect();
    masked.extend(std::iter::repeat_n('*', local.chars().count().saturating_sub(1)));
    let _ = write!(masked, "@{domain}");
    masked
}

/// The preset `phone`: three characters, stars, four characters.
fn mask_phone(phone: &str) -> String {
    let count = phone.chars().count();
    phone.chars().enumerate().map(|(i, c)| if i < 3 || i + 4 >= count { c } else { '*' }).collect()
}

fn top_salary(company: &Company, user: &DemoUser) -> Answer {
    match user.number {
        SAM => Answer::Error("42703".to_owned(), "column \"salary\" does not exist".to_owned()),
        IRIS => Answer::Error("42P01".to_owned(), "relation \"employees\" does not exist".to_owned()),
        _ => {
            let first = crm_rows(company, "employees").next().unwrap_or_default();
            let cells: Vec<String> = first.iter().map(show).collect();
            // The chief executive comes first and earns most; money has four decimal places.
            let row = [cells.get(1).cloned(), cells.get(7).map(|salary| format!("{salary}.0000"))];
            Answer::Rows(vec![row.into_iter().flatten().collect()])
        }
    }
}

fn visible_regions(user: &DemoUser) -> Vec<usize> {
    if user.number == IRIS { vec![usize::from(EMEA)] } else { (0..REGIONS.len()).collect() }
}

fn demo_requests(events: &EventFigures, user: &DemoUser) -> Vec<Vec<String>> {
    // Events are private to the account's owner, so that shared accounts add none for sam.
    let counts = if user.number == SAM { &events.sams } else { &events.all };
    let mut rows: Vec<Vec<String>> = visible_regions(user)
        .into_iter()
        .filter(|region| counts[*region].events > 0)
        .map(|region| {
            let count = &counts[region];
            vec![REGION_NAMES[region].to_owned(), count.accounts.len().to_string(), count.events.to_string()]
        })
        .collect();
    rows.sort();
    rows
}

fn clicks(logs: &LogFigures, user: &DemoUser) -> Vec<Vec<String>> {
    let counts = if user.number == SAM { &logs.sams_clicked } else { &logs.clicked };
    let mut rows: Vec<Vec<String>> = visible_regions(user)
        .into_iter()
        .filter(|region| counts[*region] > 0)
        .map(|region| vec![REGIONS[region].to_owned(), counts[region].to_string()])
        .collect();
    rows.sort();
    rows
}

/// First lines of the guide's data, for the curious.
pub(super) fn period() -> String {
    format!("{} to {}, starting with account {}", iso_day(days::FIRST), iso_day(days::LAST), account_id(0))
}

impl Answer {
    /// One line per row.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Rows(rows) if rows.is_empty() => vec!["(no rows)".to_owned()],
            Self::Rows(rows) => rows.iter().map(|row| row.join(" | ")).collect(),
            Self::Error(sqlstate, message) => vec![format!("ERROR:  {message}  ({sqlstate})")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_follow_the_reference() {
        assert_eq!(mask_email("anna.cruz@example.com"), "a********@example.com");
        assert_eq!(mask_phone("+41 44 123 4567"), "+41********4567");
    }
}
