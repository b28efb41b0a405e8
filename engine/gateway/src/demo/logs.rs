//! The logs of the demo: NDJSON as programs write it, and a CSV export. Counts what the guide promises.

use super::company::{
    COMPANY_HEADS, COMPANY_TAILS, Company, FIRST_NAMES, LAST_NAMES, REGIONS, SAM, account_id, ascii, day, days,
    iso_day, iso_instant, phone, time_of_day,
};
use super::sqlite::table_rng;
use querygate_types::{Error, ErrorCode, Result};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const EMAILS: u32 = 30_000;
const LEADS: u32 = 8_000;
const SURVEYS: u32 = 5_000;

/// What the log files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogFigures {
    pub(super) rows: u64,
    /// Clicked e-mails by account region: all, and those of sam's accounts.
    pub(super) clicked: [u64; 4],
    pub(super) sams_clicked: [u64; 4],
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::SourceError, "cannot write the demo files").with_detail(error.to_string())
}

/// Writes `email_log.ndjson`, `leads.ndjson` and `surveys.csv` into a folder.
pub(super) fn write(folder: &Path, company: &Company) -> Result<LogFigures> {
    let mut figures = LogFigures::default();
    let open = |name: &str| File::create(folder.join(name)).map(BufWriter::new).map_err(failed);
    emails(&mut open("email_log.ndjson")?, company, &mut figures)?;
    leads(&mut open("leads.ndjson")?, company, &mut figures)?;
    surveys(&mut open("surveys.csv")?, company, &mut figures)?;
    Ok(figures)
}

fn emails(out: &mut impl Write, company: &Company, figures: &mut LogFigures) -> Result<()> {
    let mut rng = table_rng("email_log");
    let total = company.scale.rows(EMAILS);
    for number in 0..total {
        let account = company.busy_account(&mut rng);
        let facts = company.account(account);
        let opened = rng.chance(55);
        let clicked = opened && rng.chance(30);
        if clicked {
            figures.clicked[usize::from(facts.region)] += 1;
            if facts.owner == SAM {
                figures.sams_clicked[usize::from(facts.region)] += 1;
            }
        }
        let (first, last) = (rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES));
        let sent = day(&mut rng, days::EVENTS_FIRST, days::LAST);
        let line = json!({
            "id": format!("eml_{:05}", number + 1),
            "account_id": account_id(account),
            "recipient": format!("{}.{}@example.com", ascii(first), ascii(last)),
            "subject": rng.pick(&["Your invoice", "News from us", "Your trial ends soon", "Welcome", "Webinar invitation"]),
            "opened": opened,
            "clicked": clicked,
            "sent_at": iso_instant(sent, time_of_day(&mut rng)),
            "owner_id": company.user(facts.owner),
            "region_id": REGIONS[usize::from(facts.region)],
        });
        writeln!(out, "{line}").map_err(failed)?;
    }
    figures.rows += u64::from(total);
    out.flush().map_err(failed)
}

fn leads(out: &mut impl Write, company: &Company, figures: &mut LogFigures) -> Result<()> {
    let mut rng = table_rng("leads");
    let total = company.scale.rows(LEADS);
    for number in 0..total {
        let (first, last) = (rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES));
        let region = rng.below(4);
        let owner = match rng.below(12) {
            0 => SAM,
            other => other + 2,
        };
        let created = day(&mut rng, days::FIRST, days::LAST);
        let line = json!({
            "id": format!("lea_{:05}", number + 1),
            "name": format!("{first} {last}"),
            "company": format!("{} {}", rng.pick(&COMPANY_HEADS), rng.pick(&COMPANY_TAILS)),
            "email": format!("{}.{}{}@example.org", ascii(first), ascii(last), number + 1),
            "phone": if rng.chance(60) { Some(phone(&mut rng)) } else { None },
            "source": rng.pick(&["website", "webinar", "referral", "trade_fair"]),
            "score": rng.between(0, 100),
            "status": rng.pick(&["new", "working", "qualified", "disqualified"]),
            "region_id": REGIONS[region as usize],
            "owner_id": company.user(owner),
            "created_at": iso_instant(created, time_of_day(&mut rng)),
        });
        writeln!(out, "{line}").map_err(failed)?;
    }
    figures.rows += u64::from(total);
    out.flush().map_err(failed)
}

fn surveys(out: &mut impl Write, company: &Company, figures: &mut LogFigures) -> Result<()> {
    let mut rng = table_rng("surveys");
    let total = company.scale.rows(SURVEYS);
    writeln!(out, "id,account_id,score,comment,answered_on,region_id").map_err(failed)?;
    for number in 0..total {
        let account = company.busy_account(&mut rng);
        let region = REGIONS[usize::from(company.account(account).region)];
        let comment =
            rng.pick(&["", "\"Good, but slow\"", "Great support", "Too expensive", "\"They say \"\"soon\"\" a lot\""]);
        let answered = iso_day(day(&mut rng, days::LAST - 90, days::LAST));
        let (id, account) = (number + 1, account_id(account));
        let score = rng.between(0, 10);
        writeln!(out, "srv_{id:05},{account},{score},{comment},{answered},{region}").map_err(failed)?;
    }
    figures.rows += u64::from(total);
    out.flush().map_err(failed)
}
