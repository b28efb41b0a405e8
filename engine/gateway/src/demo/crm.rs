//! The rows of the CRM database of the demo. Knows no SQLite.

use super::company::{
    COMPANY_HEADS, COMPANY_TAILS, CONTACTS, COUNTRIES, Company, FIRST_NAMES, INDUSTRIES, LAST_NAMES, REGIONS, TITLES,
    account_id, ascii, contact_id, day, days, iso_day, iso_instant, phone, product_id, support_agent, time_of_day,
};
use super::rng::Rng;
use super::tables::{CAMPAIGNS, CASES, OPPORTUNITIES};

/// A value as ObjectStack's SQLite store holds it: dates and instants as text, booleans as 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    Word(&'static str),
    Real(f64),
    Integer(i64),
    Null,
}

impl Cell {
    fn boolean(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }

    fn cents(rng: &mut Rng, low: u32, high: u32) -> Self {
        Self::Real(f64::from(rng.between(low, high)) + f64::from(rng.below(100)) / 100.0)
    }
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

fn date(rng: &mut Rng, first: i32, last: i32) -> Cell {
    Cell::Text(iso_day(day(rng, first, last)))
}

fn instant(rng: &mut Rng, first: i32, last: i32) -> Cell {
    let day = day(rng, first, last);
    Cell::Text(iso_instant(day, time_of_day(rng)))
}

fn region(region: u8) -> Cell {
    Cell::Word(REGIONS[usize::from(region)])
}

pub(super) fn campaign(_: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let first = day(rng, days::FIRST, days::LAST - 60);
    let channel = rng.pick(&["email", "event", "search", "social"]);
    row.extend([
        text(format!("cmp_{:03}", number + 1)),
        text(format!("{} {}", rng.pick(&["Spring", "Summer", "Autumn", "Winter", "Launch", "Partner"]), number + 1)),
        Cell::Word(channel),
        Cell::Real(f64::from(rng.between(2, 80) * 1_000)),
        Cell::Word(rng.pick(&["planned", "running", "finished"])),
        text(iso_day(first)),
        text(iso_day(first + i32::try_from(rng.between(7, 60)).unwrap_or(7))),
    ]);
}

pub(super) fn employee(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let (first, last) = (rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES));
    let salary = if number == 0 { 290_000 } else { rng.between(42, 180) * 1_000 };
    let manager = if number == 0 { Cell::Null } else { text(employee_id(rng.below(number.min(40)))) };
    let department = rng.pick(&["sales", "support", "engineering", "finance", "marketing"]);
    let region_index = rng.below(4);
    row.extend([
        text(employee_id(number)),
        text(format!("{first} {last}")),
        text(format!("{}.{}{}@crm.example", ascii(first), ascii(last), number)),
        Cell::Word(if number == 0 {
            "Chief executive"
        } else {
            rng.pick(&["Associate", "Specialist", "Senior specialist", "Lead"])
        }),
        Cell::Word(department),
        manager,
        Cell::Word(REGIONS[region_index as usize]),
        Cell::Real(f64::from(salary)),
        Cell::Real(f64::from(salary * rng.below(20) / 100)),
        date(rng, days::FIRST - 3_000, days::LAST),
    ]);
    debug_assert!(!company.accounts.is_empty());
}

fn employee_id(number: u32) -> String {
    format!("emp_{:03}", number + 1)
}

pub(super) fn account(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let facts = company.account(number);
    let (head, tail) = (rng.pick(&COMPANY_HEADS), rng.pick(&COMPANY_TAILS));
    let domain = format!("{}{}.example", ascii(head), number + 1);
    let created = day(rng, days::FIRST - 1_500, days::LAST - 60);
    let updated = day(rng, created, days::LAST);
    row.extend([
        text(account_id(number)),
        text(format!("{head} {tail} {}", number + 1)),
        Cell::Word(rng.pick(&INDUSTRIES)),
        region(facts.region),
        Cell::Word(rng.pick(COUNTRIES[usize::from(facts.region)])),
        text(format!("https://www.{domain}")),
        text(format!("info@{domain}")),
        text(phone(rng)),
        Cell::Real(f64::from(rng.between(1, 900)) * 100_000.0),
        Cell::Real(f64::from(rng.between(1, 50) * 5_000)),
        Cell::Real(f64::from(rng.between(5, 5_000))),
        Cell::Integer(i64::from(rng.between(1, 5))),
        Cell::boolean(facts.strategic),
        Cell::Word(rng.pick(&["prospect", "active", "active", "active", "dormant", "lost"])),
        text(company.user(facts.owner)),
        text(iso_instant(created, time_of_day(rng))),
        text(iso_instant(updated, 86_399_000 - rng.below(3_600_000))),
    ]);
}

/// Contact `number` works at account `number` modulo the number of accounts.
pub(super) fn contact(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let (first, last) = (rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES));
    row.extend([
        text(contact_id(number)),
        text(account_id(number % company.account_count())),
        Cell::Word(first),
        Cell::Word(last),
        text(format!("{}.{}{}@example.com", ascii(first), ascii(last), number + 1)),
        text(phone(rng)),
        Cell::Word(rng.pick(&TITLES)),
        if rng.chance(70) { date(rng, -8_000, 12_000) } else { Cell::Null },
        Cell::boolean(rng.chance(40)),
        instant(rng, days::FIRST - 700, days::LAST),
    ]);
}

pub(super) fn contract(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let account = company.busy_account(rng);
    let first = day(rng, days::FIRST - 700, days::LAST);
    let status = if first + 730 < days::LAST { "expired" } else { rng.pick(&["active", "active", "draft"]) };
    row.extend([
        text(format!("ctr_{:05}", number + 1)),
        text(account_id(account)),
        Cell::Word(status),
        Cell::Real(f64::from(rng.between(3, 400) * 1_000)),
        text(iso_day(first)),
        text(iso_day(first + 730)),
        text(company.user(company.account(account).owner)),
    ]);
}

pub(super) fn member(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let response = rng.pick(&["none", "none", "opened", "opened", "clicked", "registered"]);
    row.extend([
        text(format!("cmm_{:05}", number + 1)),
        text(format!("cmp_{:03}", rng.below(company.scale.rows(CAMPAIGNS)) + 1)),
        text(contact_id(rng.below(company.scale.rows(CONTACTS)))),
        Cell::Word(response),
        if response == "none" { Cell::Null } else { instant(rng, days::FIRST, days::LAST) },
    ]);
}

pub(super) fn task(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let account = company.busy_account(rng);
    row.extend([
        text(format!("tsk_{:05}", number + 1)),
        Cell::Word(rng.pick(&["Call back", "Send offer", "Prepare demo", "Follow up", "Renew contract", "Visit"])),
        Cell::Word(rng.pick(&["todo", "doing", "done", "done"])),
        date(rng, days::LAST - 120, days::LAST + 60),
        text(account_id(account)),
        text(company.user(company.account(account).owner)),
        instant(rng, days::LAST - 200, days::LAST - 120),
    ]);
}

pub(super) fn opportunity(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let account = company.busy_account(rng);
    let facts = company.account(account);
    let stage = rng.pick(&["qualification", "proposal", "negotiation", "won", "won", "lost"]);
    let probability = match stage {
        "won" => 100,
        "lost" => 0,
        _ => rng.between(1, 9) * 10,
    };
    let created = day(rng, days::FIRST - 300, days::LAST - 30);
    row.extend([
        text(format!("opp_{:05}", number + 1)),
        text(account_id(account)),
        text(format!("{} {}", rng.pick(&["New business", "Renewal", "Expansion", "Pilot"]), number + 1)),
        Cell::Word(stage),
        Cell::cents(rng, 1_000, 250_000),
        Cell::Real(f64::from(probability)),
        Cell::Real(f64::from(rng.between(5, 60))),
        date(rng, created, days::LAST + 120),
        if rng.chance(30) {
            text(format!("cmp_{:03}", rng.below(company.scale.rows(CAMPAIGNS)) + 1))
        } else {
            Cell::Null
        },
        region(facts.region),
        text(company.user(facts.owner)),
        text(iso_instant(created, time_of_day(rng))),
    ]);
}

pub(super) fn case(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let account = company.busy_account(rng);
    let facts = company.account(account);
    let per_account = (company.scale.rows(CONTACTS) / company.account_count()).max(1);
    let contact = account + rng.below(per_account) * company.account_count();
    let opened = day(rng, days::FIRST, days::LAST);
    let closed = opened + i32::try_from(rng.between(0, 20)).unwrap_or(0);
    let is_closed = closed <= days::LAST;
    let opened_ms = time_of_day(rng);
    row.extend([
        text(format!("cas_{:05}", number + 1)),
        text(format!("C-{:06}", 100_001 + number)),
        text(account_id(account)),
        text(contact_id(contact)),
        Cell::Word(rng.pick(&[
            "Cannot log in",
            "Invoice is wrong",
            "Export fails",
            "Slow dashboard",
            "Question about prices",
            "API error 500",
            "Missing data",
            "Feature request",
        ])),
        Cell::Word(if is_closed { "closed" } else { rng.pick(&["new", "open", "waiting"]) }),
        Cell::Word(rng.pick(&["low", "normal", "normal", "high", "urgent"])),
        Cell::Word(rng.pick(&["email", "phone", "web", "chat"])),
        region(facts.region),
        text(company.user(support_agent(rng, facts.region))),
        text(iso_instant(opened, opened_ms)),
        if is_closed {
            text(iso_instant(closed, (opened_ms + rng.below(3_600_000)).min(86_399_999)))
        } else {
            Cell::Null
        },
        if is_closed && rng.chance(60) { Cell::Integer(i64::from(rng.between(1, 5))) } else { Cell::Null },
    ]);
}

pub(super) fn comment(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    row.extend([
        text(format!("ccm_{:06}", number + 1)),
        text(format!("cas_{:05}", rng.below(company.scale.rows(CASES)) + 1)),
        text(company.user(rng.between(14, 23))),
        Cell::Word(rng.pick(&[
            "We are looking into it.",
            "Could you send us a screenshot?",
            "Fixed in the next release.",
            "Asked engineering.",
            "The customer confirmed that it works.",
            "Please try again.",
        ])),
        Cell::boolean(rng.chance(25)),
        instant(rng, days::FIRST, days::LAST),
    ]);
}

pub(super) fn line(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    // Two lines an opportunity on average, and every opportunity has at least one.
    let opportunities = company.scale.rows(OPPORTUNITIES);
    let opportunity = if number < opportunities { number } else { rng.below(opportunities) };
    row.extend([
        text(format!("opl_{:06}", number + 1)),
        text(format!("opp_{:05}", opportunity + 1)),
        text(product_id(rng)),
        Cell::Real(f64::from(rng.between(1, 50))),
        Cell::cents(rng, 49, 4_999),
        Cell::Real(f64::from(rng.below(6) * 5)),
    ]);
}
