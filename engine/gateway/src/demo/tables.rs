//! The tables of the CRM database of the demo. Knows neither SQLite nor what the rows say.

use super::company::{ACCOUNTS, CONTACTS, Company};
use super::crm::{self, Cell};
use super::rng::Rng;

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
        fill: crm::campaign,
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
        fill: crm::employee,
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
        fill: crm::account,
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
        fill: crm::contract,
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
        fill: crm::contact,
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
        fill: crm::member,
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
        fill: crm::task,
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
        fill: crm::opportunity,
        columns: &[
            ("id", "TEXT PRIMARY KEY NOT NULL"),
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
        fill: crm::case,
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
        fill: crm::comment,
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
        fill: crm::line,
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

pub(super) const CAMPAIGNS: u32 = 120;
const EMPLOYEES: u32 = 400;
pub(super) const OPPORTUNITIES: u32 = 80_000;
pub(super) const CASES: u32 = 50_000;
