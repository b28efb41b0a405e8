//! The CRM database of the demo: its tables and the rows in them. Knows no SQLite.

use super::company::{
    ACCOUNTS, COMPANY_HEADS, COMPANY_TAILS, CONTACTS, COUNTRIES, Company, FIRST_NAMES, INDUSTRIES, LAST_NAMES, REGIONS,
    TITLES, account_id, ascii, contact_id, day, days, iso_day, iso_instant, phone, product_id, support_agent,
    time_of_day,
};
use super::rng::Rng;

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

/// Appends the cells of row `number`.
type Fill = fn(&Company, &mut Rng, u32, &mut Vec<Cell>);

/// One table: name, definition, number of columns, rows in the full demo, and what fills it.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, &'static str)],
    pub(super) indexes: &'static [&'static str],
    pub(super) rows: u32,
    pub(super) fill: Fill,
}

/// Every table, largest last so that its indexes are built while the other sources are still being written.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "campaigns",
        rows: CAMPAIGNS,
        indexes: &[],
        fill: campaign,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("name", "TEXT"),
            ("channel", "TEXT"),
            ("budget", "REAL"),
            ("status", "TEXT"),
            ("start_date", "TEXT"),
            ("end_date", "TEXT"),
        ],
    },
    Table {
        name: "employees",
        rows: EMPLOYEES,
        indexes: &["department"],
        fill: employee,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("name", "TEXT"),
            ("email", "TEXT"),
            ("job_title", "TEXT"),
            ("department", "TEXT"),
            ("manager_id", "TEXT"),
            ("region_id", "TEXT"),
            ("salary", "REAL"),
            ("bonus", "REAL"),
            ("hired_on", "TEXT"),
        ],
    },
    Table {
        name: "accounts",
        rows: ACCOUNTS,
        indexes: &["owner_id", "region_id", "industry"],
        fill: account,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("name", "TEXT"),
            ("industry", "TEXT"),
            ("region_id", "TEXT"),
            ("country", "TEXT"),
            ("website", "TEXT"),
            ("email", "TEXT"),
            ("phone", "TEXT"),
            ("annual_revenue", "REAL"),
            ("credit_limit", "REAL"),
            ("employees", "REAL"),
            ("rating", "INTEGER"),
            ("strategic", "INTEGER"),
            ("status", "TEXT"),
            ("owner_id", "TEXT"),
            ("created_at", "TEXT"),
            ("updated_at", "TEXT"),
        ],
    },
    Table {
        name: "contracts",
        rows: 10_000,
        indexes: &["account_id", "owner_id"],
        fill: contract,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("account_id", "TEXT"),
            ("status", "TEXT"),
            ("value", "REAL"),
            ("start_date", "TEXT"),
            ("end_date", "TEXT"),
            ("owner_id", "TEXT"),
        ],
    },
    Table {
        name: "contacts",
        rows: CONTACTS,
        indexes: &["account_id", "last_name"],
        fill: contact,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("account_id", "TEXT"),
            ("first_name", "TEXT"),
            ("last_name", "TEXT"),
            ("email", "TEXT"),
            ("phone", "TEXT"),
            ("title", "TEXT"),
            ("birthdate", "TEXT"),
            ("newsletter", "INTEGER"),
            ("created_at", "TEXT"),
        ],
    },
    Table {
        name: "campaign_members",
        rows: 30_000,
        indexes: &["campaign_id", "contact_id"],
        fill: member,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("campaign_id", "TEXT"),
            ("contact_id", "TEXT"),
            ("response", "TEXT"),
            ("responded_at", "TEXT"),
        ],
    },
    Table {
        name: "tasks",
        rows: 40_000,
        indexes: &["owner_id", "due_date"],
        fill: task,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("subject", "TEXT"),
            ("status", "TEXT"),
            ("due_date", "TEXT"),
            ("account_id", "TEXT"),
            ("owner_id", "TEXT"),
            ("created_at", "TEXT"),
        ],
    },
    Table {
        name: "opportunities",
        rows: OPPORTUNITIES,
        indexes: &["account_id", "owner_id", "stage"],
        fill: opportunity,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("account_id", "TEXT"),
            ("name", "TEXT"),
            ("stage", "TEXT"),
            ("amount", "REAL"),
            ("probability", "REAL"),
            ("margin_percent", "REAL"),
            ("close_date", "TEXT"),
            ("campaign_id", "TEXT"),
            ("region_id", "TEXT"),
            ("owner_id", "TEXT"),
            ("created_at", "TEXT"),
        ],
    },
    Table {
        name: "cases",
        rows: CASES,
        indexes: &["account_id", "owner_id", "region_id", "status"],
        fill: case,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("case_number", "TEXT"),
            ("account_id", "TEXT"),
            ("contact_id", "TEXT"),
            ("subject", "TEXT"),
            ("status", "TEXT"),
            ("priority", "TEXT"),
            ("origin", "TEXT"),
            ("region_id", "TEXT"),
            ("owner_id", "TEXT"),
            ("opened_at", "TEXT"),
            ("closed_at", "TEXT"),
            ("satisfaction", "INTEGER"),
        ],
    },
    Table {
        name: "case_comments",
        rows: 100_000,
        indexes: &["case_id"],
        fill: comment,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("case_id", "TEXT"),
            ("author_id", "TEXT"),
            ("body", "TEXT"),
            ("internal_note", "INTEGER"),
            ("created_at", "TEXT"),
        ],
    },
    Table {
        name: "opportunity_lines",
        rows: 160_000,
        indexes: &["opportunity_id"],
        fill: line,
        columns: &[
            ("id", "TEXT PRIMARY KEY"),
            ("opportunity_id", "TEXT"),
            ("product_id", "TEXT"),
            ("quantity", "REAL"),
            ("unit_price", "REAL"),
            ("discount_percent", "REAL"),
        ],
    },
];

const CAMPAIGNS: u32 = 120;
const EMPLOYEES: u32 = 400;
const OPPORTUNITIES: u32 = 80_000;
const CASES: u32 = 50_000;

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

fn campaign(_: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn employee(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn account(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn contract(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn member(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
    let response = rng.pick(&["none", "none", "opened", "opened", "clicked", "registered"]);
    row.extend([
        text(format!("cmm_{:05}", number + 1)),
        text(format!("cmp_{:03}", rng.below(company.scale.rows(CAMPAIGNS)) + 1)),
        text(contact_id(rng.below(company.scale.rows(CONTACTS)))),
        Cell::Word(response),
        if response == "none" { Cell::Null } else { instant(rng, days::FIRST, days::LAST) },
    ]);
}

fn task(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn opportunity(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn case(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn comment(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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

fn line(company: &Company, rng: &mut Rng, number: u32, row: &mut Vec<Cell>) {
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
