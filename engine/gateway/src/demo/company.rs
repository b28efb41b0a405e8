//! The made-up company: how many of what, who owns which account, and the words names are made of. Writes nothing.

use super::rng::Rng;

/// How large the company is. 1 is the demo; tests divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    divisor: u32,
}

impl Scale {
    pub(crate) const FULL: Self = Self { divisor: 1 };

    #[cfg(test)]
    pub(crate) fn divided_by(divisor: u32) -> Self {
        Self { divisor: divisor.max(1) }
    }

    pub(super) fn divisor(self) -> u32 {
        self.divisor
    }

    /// Rows of a table that has `full` rows in the demo.
    pub(super) fn rows(self, full: u32) -> u32 {
        (full / self.divisor).max(10)
    }
}

/// Changing what is generated means changing this: an older demo folder is then made anew.
pub(super) const SEED: u64 = 0x51_75_65_72_79_67_61_01;

pub(super) const ACCOUNTS: u32 = 20_000;
pub(super) const CONTACTS: u32 = 60_000;

/// `crm_users` of the embedded metadata has these many rows; the first three are the demo's logins.
const USERS: u32 = 40;
pub(super) const ADA: u32 = 0;
pub(super) const SAM: u32 = 1;
pub(super) const IRIS: u32 = 2;
/// Users 14 to 23, and iris, answer cases.
const SUPPORT_FIRST: u32 = 14;
const SUPPORT_LAST: u32 = 23;

/// Id of a user.
pub(super) fn user_id(user: u32) -> String {
    match user {
        ADA => "usr_ada".to_owned(),
        SAM => "usr_sam".to_owned(),
        IRIS => "usr_iris".to_owned(),
        other => format!("usr_{other:02}"),
    }
}

/// Every user's id, by number.
pub(super) fn user_ids() -> Vec<String> {
    (0..USERS).map(user_id).collect()
}

pub(super) const REGIONS: [&str; 4] = ["emea", "amer", "apac", "latam"];
pub(super) const REGION_NAMES: [&str; 4] =
    ["Europe, Middle East, Africa", "North America", "Asia Pacific", "Latin America"];
/// iris' region.
pub(super) const EMEA: u8 = 0;

/// What several sources must agree on about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccountFacts {
    pub(super) owner: u32,
    /// Index into [`REGIONS`].
    pub(super) region: u8,
    pub(super) strategic: bool,
}

/// The facts of every account, by number.
#[derive(Debug, Clone)]
pub(super) struct Company {
    pub(super) scale: Scale,
    pub(super) accounts: Vec<AccountFacts>,
    pub(super) users: Vec<String>,
}

impl Company {
    pub(super) fn found(scale: Scale) -> Self {
        let mut rng = Rng::new(SEED);
        let accounts = (0..scale.rows(ACCOUNTS)).map(|_| account_facts(&mut rng)).collect();
        Self { scale, accounts, users: user_ids() }
    }

    pub(super) fn account_count(&self) -> u32 {
        u32::try_from(self.accounts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn account(&self, number: u32) -> AccountFacts {
        self.accounts[number as usize]
    }

    pub(super) fn user(&self, number: u32) -> &str {
        &self.users[number as usize]
    }

    /// An account number; a fifth of the accounts gets most of the traffic, as in life.
    pub(super) fn busy_account(&self, rng: &mut Rng) -> u32 {
        let all = self.account_count();
        if rng.chance(60) { rng.below((all / 5).max(1)) } else { rng.below(all) }
    }
}

fn account_facts(rng: &mut Rng) -> AccountFacts {
    // Sales people are sam and users 3 to 13.
    let owner = match rng.below(12) {
        0 => SAM,
        other => other + 2,
    };
    let region = match rng.below(100) {
        0..35 => EMEA,
        35..75 => 1,
        75..93 => 2,
        _ => 3,
    };
    AccountFacts { owner, region, strategic: rng.chance(3) }
}

/// Who answers a case: iris answers a tenth of her region's.
pub(super) fn support_agent(rng: &mut Rng, region: u8) -> u32 {
    if region == EMEA && rng.chance(10) { IRIS } else { rng.between(SUPPORT_FIRST, SUPPORT_LAST) }
}

pub(super) fn account_id(number: u32) -> String {
    format!("acc_{:05}", number + 1)
}

pub(super) fn contact_id(number: u32) -> String {
    format!("con_{:05}", number + 1)
}

pub(super) fn product_id(rng: &mut Rng) -> String {
    format!("prd_{:02}", rng.between(1, 60))
}

pub(super) const INDUSTRIES: [&str; 8] =
    ["technology", "finance", "healthcare", "retail", "manufacturing", "energy", "education", "logistics"];
/// Countries by region.
pub(super) const COUNTRIES: [&[&str]; 4] = [
    &["DE", "CH", "FR", "GB", "ES", "IT", "NL", "SE", "ZA", "AE"],
    &["US", "CA"],
    &["SG", "JP", "AU", "IN", "NZ"],
    &["CO", "BR", "MX", "CL"],
];
pub(super) const FIRST_NAMES: [&str; 32] = [
    "Anna", "Ben", "Carla", "Daniel", "Elif", "Farid", "Greta", "Hugo", "Ingrid", "Jamal", "Kim", "Liam", "Maria",
    "Noah", "Olivia", "Priya", "Quentin", "Rania", "Sofia", "Tomás", "Uma", "Viktor", "Wen", "Xavier", "Yara",
    "Zeynep", "Aiko", "Björn", "Chloé", "Diego", "Emeka", "Fatima",
];
pub(super) const LAST_NAMES: [&str; 32] = [
    "Adler", "Bauer", "Cruz", "Diaz", "Eklund", "Fontaine", "Garcia", "Huang", "Ivanov", "Jensen", "Kaya", "Lopez",
    "Müller", "Nguyen", "Okafor", "Patel", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Vogel", "Walker", "Xu",
    "Yilmaz", "Zhang", "Abebe", "Brandt", "Costa", "Dubois", "Ferrari", "Haddad",
];
pub(super) const COMPANY_HEADS: [&str; 24] = [
    "Northwind",
    "Blue Harbor",
    "Summit",
    "Redwood",
    "Silverline",
    "Ironbridge",
    "Lakeside",
    "Evergreen",
    "Falcon",
    "Granite",
    "Horizon",
    "Juniper",
    "Keystone",
    "Lighthouse",
    "Meridian",
    "Nimbus",
    "Orchard",
    "Pinnacle",
    "Quarry",
    "Riverstone",
    "Stellar",
    "Timber",
    "Upland",
    "Vertex",
];
pub(super) const COMPANY_TAILS: [&str; 16] = [
    "Foods",
    "Logistics",
    "Systems",
    "Energy",
    "Health",
    "Partners",
    "Textiles",
    "Media",
    "Labs",
    "Motors",
    "Retail",
    "Capital",
    "Robotics",
    "Paper",
    "Optics",
    "Travel",
];
pub(super) const TITLES: [&str; 10] = [
    "Buyer",
    "Head of IT",
    "CFO",
    "Engineer",
    "Office manager",
    "Operations lead",
    "CEO",
    "Analyst",
    "Architect",
    "Purchasing manager",
];

/// A lower-case ASCII form of a name, for addresses.
pub(super) fn ascii(name: &str) -> String {
    name.chars()
        .filter_map(|c| match c.to_ascii_lowercase() {
            'á' | 'à' | 'ä' => Some('a'),
            'é' | 'è' | 'ë' => Some('e'),
            'ö' | 'ó' | 'ø' => Some('o'),
            'ü' => Some('u'),
            c if c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

/// A made-up number of a country.
pub(super) fn phone(rng: &mut Rng) -> String {
    format!("+{} {} {:03} {:04}", rng.between(20, 98), rng.between(20, 99), rng.below(1_000), rng.below(10_000))
}

/// Days since 1970-01-01 of the days the demo's data covers.
pub(super) mod days {
    /// 2025-01-01.
    pub(crate) const FIRST: i32 = 20_089;
    /// 2026-09-30.
    pub(crate) const LAST: i32 = 20_726;
    /// 2025-10-01: the first event.
    pub(crate) const EVENTS_FIRST: i32 = 20_362;
}

/// A day between two, both included.
pub(super) fn day(rng: &mut Rng, first: i32, last: i32) -> i32 {
    let span = u32::try_from(last - first + 1).unwrap_or(1);
    first + i32::try_from(rng.below(span)).unwrap_or(0)
}

/// `YYYY-MM-DD` of days since 1970-01-01.
pub(super) fn iso_day(days: i32) -> String {
    let (y, m, d) = civil(days);
    format!("{y:04}-{m:02}-{d:02}")
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, the form in which ObjectStack stores instants as text.
pub(super) fn iso_instant(day: i32, millis: u32) -> String {
    let (y, m, d) = civil(day);
    let (seconds, ms) = (millis / 1_000, millis % 1_000);
    let (hh, mm, ss) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{y:04}-{m:02}-{d:02}T{hh:02}:{mm:02}:{ss:02}.{ms:03}Z")
}

/// A time of day in milliseconds, mostly in office hours.
pub(super) fn time_of_day(rng: &mut Rng) -> u32 {
    let hour = if rng.chance(80) { rng.between(7, 18) } else { rng.below(24) };
    hour * 3_600_000 + rng.below(3_600_000)
}

/// Hinnant's `civil_from_days`, for days from 1970 on.
fn civil(days: i32) -> (i32, i32, i32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (d, m) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    (yoe + era * 400 + i32::from(m <= 2), m, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_print_as_the_calendar_says() {
        assert_eq!(iso_day(days::FIRST), "2025-01-01");
        assert_eq!(iso_day(days::LAST), "2026-09-30");
        assert_eq!(iso_day(days::EVENTS_FIRST), "2025-10-01");
        assert_eq!(iso_day(19_782), "2024-02-29");
        assert_eq!(iso_instant(0, 86_399_999), "1970-01-01T23:59:59.999Z");
    }
}
