//! The demo's logins, folders and configuration file. Makes no rows.

use super::company::{self, ADA, IRIS, SAM};
use super::disk;
use crate::{private_file, verifier};
use querygate_types::Result;
use std::path::PathBuf;

/// One of the demo's logins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoUser {
    pub(crate) login: &'static str,
    pub(crate) password: &'static str,
    /// What the user may see, for the printed guide.
    pub(crate) about: &'static str,
    pub(super) number: u32,
    /// Lines of the user's `[[users]]` beside name, verifier and user_id.
    settings: &'static str,
}

pub(crate) const DEMO_USERS: [DemoUser; 3] = [
    DemoUser {
        login: "ada",
        password: "demo-ada",
        about: "administrator: every table, row and column",
        number: ADA,
        settings: "administrator = true\npermission_sets = [\"crm_admin\"]\npositions = [\"crm_administrator\"]\n",
    },
    DemoUser {
        login: "sam",
        password: "demo-sam",
        about: "sales: own and shared rows; no salaries, costs, margins, credit limits",
        number: SAM,
        settings: "permission_sets = [\"crm_sales\"]\npositions = [\"sales_rep\"]\nattributes = { region_id = \"amer\" }\n",
    },
    DemoUser {
        login: "iris",
        password: "demo-iris",
        about: "support: region EMEA only; e-mail addresses and phone numbers masked",
        number: IRIS,
        settings: "permission_sets = [\"crm_support\"]\npositions = [\"support_agent\"]\nattributes = { region_id = \"emea\" }\n",
    },
];

pub(crate) const DATABASE: &str = "demo";

/// Where a demo's parts are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) folder: PathBuf,
}

impl Layout {
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("querygate.toml")
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.folder.join("metadata")
    }

    /// What to try, as it was printed for the ports of the last start.
    pub(crate) fn guide(&self) -> PathBuf {
        self.folder.join("guide.txt")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn stamp(&self) -> PathBuf {
        self.data().join("made-by-querygate-demo.json")
    }
}

/// Writes the configuration unless there is one: a person may have edited it.
pub(super) fn write_config(layout: &Layout) -> Result<()> {
    let path = layout.config();
    if path.exists() {
        return Ok(());
    }
    let text = config_text()?;
    private_file::write(&path, &text).map_err(|e| disk(&path, &e))
}

/// What `--traffic` learns is found by `querygate advise` afterwards: the file says where, unless it says something of learning already.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn keep_learning(layout: &Layout) -> Result<()> {
    let path = layout.config();
    let text = std::fs::read_to_string(&path).map_err(|e| disk(&path, &e))?;
    if text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("learning")) {
        return Ok(());
    }
    let gap = if text.ends_with('\n') { "" } else { "\n" };
    let said = "\n# Of `querygate demo --traffic`, for `querygate advise`.\n[learning]\ndirectory = \"learning\"\n";
    private_file::replace(&path, &format!("{text}{gap}{said}")).map_err(|e| disk(&path, &e))
}

fn config_text() -> Result<String> {
    let mut text = CONFIG_HEAD.to_owned();
    for user in &DEMO_USERS {
        let verifier = verifier::print(&verifier::create(user.password)?);
        text.push_str(&format!(
            "\n# {}\n[[users]]\nname = \"{}\"\nverifier = \"{verifier}\"\nuser_id = \"{}\"\nemail = \"{}@crm.example\"\n{}",
            user.about,
            user.login,
            company::user_id(user.number),
            user.login,
            user.settings
        ));
    }
    Ok(text)
}

const CONFIG_HEAD: &str = r#"# Made by `querygate demo`. Serve it without the demo's guide, whose Flight SQL and REST ports are closed unless named here or there:
# querygate serve -c querygate.toml --flight 127.0.0.1:8815 --rest 127.0.0.1:8090
# Check it: querygate check querygate.toml

[server]
database = "demo"

[metadata]
path = "metadata"

[limits]
memory_total = "2GB"
memory_per_query = "512MB"
statement_timeout = "5min"

# What more there is: take the signs off. Sources that are to be changed need `writes = true` too.
# [learning]                 # indexes, plans and what is unusual: `querygate advise`, and the pages
# directory = "learning"
# [writes]                   # `querygate demo --writes` switches changes on for as long as it runs
# enabled = true
# [events]                   # changes as they are committed, for those who follow them; a folder of its own
# path = "events"

[[sources]]
name = "crm"
kind = "sqlite"
path = "data/crm.sqlite"
fixed_text = true

[[sources]]
name = "lake"
kind = "files"
path = "data/lake"

[[sources]]
name = "logs"
kind = "files"
path = "data/logs"

[[sources]]
name = "reference"
kind = "memory"

# A view runs with the reader's rights: sam and iris get other rows than ada.
[[views]]
name = "open_cases"
comment = "Cases that are not closed, oldest first seen."
sql = "SELECT id, case_number, subject, priority, opened_at, account_id FROM cases WHERE status <> 'closed'"
"#;
