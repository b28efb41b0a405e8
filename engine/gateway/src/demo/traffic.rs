//! A workload for the demo: what three people would ask all day, and one afternoon that is not usual. Runs in the demo's own
//! process through the query service, with the users' own rights; measures nothing.

use super::alerts::Alerts;
use super::company::{COUNTRIES, INDUSTRIES, TITLES, account_id};
use super::rng::Rng;
use super::setup::Layout;
use crate::config::Learning;
use crate::gate::Gate;
use crate::serve::Bound;
use arrow::array::{ArrayRef, StringArray};
use futures::StreamExt;
use futures::future::BoxFuture;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{ClientInfo, Delivery, Door, Session};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;
use std::time::Duration;

/// The same statements with the same values, in the same order for each user, at every start.
const SEED: u64 = 7;
/// When the unusual begins, in minutes after the start.
const INCIDENT_MINUTE: u64 = 3;
/// How long it goes on.
const INCIDENT: Duration = Duration::from_secs(75);
/// Pause between two reads of it.
const INCIDENT_PAUSE: Duration = Duration::from_millis(1_500);
/// What nobody of the three does otherwise: every column of every contact.
const EXTRACTION: &str = "SELECT * FROM contacts";
const EXTRACTED_BY: &str = "sam";

/// One kind of question.
struct Ask {
    logins: &'static [&'static str],
    /// How often, against the others.
    weight: u32,
    sql: &'static str,
    values: fn(&mut Rng) -> Vec<String>,
}

const ALL: &[&str] = &["ada", "sam", "iris"];
const SALES: &[&str] = &["ada", "sam"];
const SUPPORT: &[&str] = &["ada", "iris"];

const ASKS: &[Ask] = &[
    Ask {
        logins: ALL,
        weight: 12,
        sql: "SELECT id, name, industry, country, status FROM accounts WHERE id = $1",
        values: |rng| vec![account_id(rng.below(20_000))],
    },
    Ask {
        logins: ALL,
        weight: 10,
        sql: "SELECT id, first_name, last_name, email FROM contacts WHERE title = $1 ORDER BY last_name, id LIMIT 50",
        values: |rng| vec![rng.pick(&TITLES).to_owned()],
    },
    Ask {
        logins: SALES,
        weight: 8,
        sql: "SELECT id, name, annual_revenue FROM accounts WHERE country = $1 AND status = $2 \
              ORDER BY annual_revenue DESC LIMIT 20",
        values: |rng| vec![country(rng), rng.pick(&["active", "prospect", "dormant"]).to_owned()],
    },
    Ask {
        logins: SUPPORT,
        weight: 10,
        sql: "SELECT id, case_number, subject, opened_at FROM cases WHERE priority = $1 AND origin = $2 \
              ORDER BY opened_at DESC LIMIT 25",
        values: |rng| {
            let priority = rng.pick(&["low", "normal", "high", "urgent"]);
            vec![priority.to_owned(), rng.pick(&["email", "phone", "web", "chat"]).to_owned()]
        },
    },
    Ask {
        logins: SALES,
        weight: 5,
        sql: "SELECT stage, count(*) AS deals, sum(amount) AS amount FROM opportunities WHERE region_id = $1 GROUP BY stage",
        values: |rng| vec![rng.pick(&["emea", "amer", "apac", "latam"]).to_owned()],
    },
    Ask {
        logins: ALL,
        weight: 14,
        sql: "SELECT a.name, i.number, i.total, i.status FROM invoices i JOIN accounts a ON a.id = i.account_id \
              WHERE a.country = $1 AND a.industry = $2 AND i.status = 'overdue' ORDER BY i.total DESC LIMIT 20",
        values: |rng| vec![country(rng), rng.pick(&INDUSTRIES).to_owned()],
    },
    Ask {
        logins: ALL,
        weight: 12,
        sql: "SELECT r.name, count(*) AS cases FROM regions r JOIN accounts a ON a.region_id = r.id \
              JOIN cases c ON c.account_id = a.id WHERE c.priority = $1 GROUP BY r.name ORDER BY r.name",
        values: |rng| vec![rng.pick(&["low", "normal", "high", "urgent"]).to_owned()],
    },
    // Keys of every overdue invoice's account narrow what is asked of the cases: more work than to read all open ones, which a
    // source does not tell beforehand. Who owns few invoices has no such trouble.
    Ask {
        logins: SUPPORT,
        weight: 36,
        sql: "SELECT c.priority, count(*) AS cases, sum(i.total) AS overdue FROM invoices i \
              JOIN cases c ON c.account_id = i.account_id WHERE i.status = 'overdue' AND c.status = $1 \
              GROUP BY c.priority ORDER BY c.priority",
        values: |rng| vec![rng.pick(&["new", "open", "waiting"]).to_owned()],
    },
    Ask {
        logins: ALL,
        weight: 6,
        sql: "SELECT a.industry, count(*) AS visits FROM accounts a JOIN events e ON e.account_id = a.id \
              WHERE a.country = $1 AND e.kind = 'demo_request' GROUP BY a.industry ORDER BY a.industry",
        values: |rng| vec![country(rng)],
    },
];

fn country(rng: &mut Rng) -> String {
    let region = rng.pick(&COUNTRIES);
    rng.pick(region).to_owned()
}

/// The pause of a user between two questions, in milliseconds: together about six statements a second.
fn pause(login: &str, rng: &mut Rng) -> Duration {
    let mean = match login {
        "sam" => 400,
        "iris" => 500,
        _ => 600,
    };
    Duration::from_millis(u64::from(rng.between(mean / 2, mean * 3 / 2)))
}

/// The workload of all users, for as long as it is polled.
pub(crate) fn run(gate: Gate, database: String, alerts: Option<Alerts>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let users = ALL.iter().zip(1..).map(|(login, number)| day(&gate, &database, login, number));
        let everybody = futures::future::join_all(users);
        let taken = async {
            if let Some(alerts) = alerts {
                alerts.serve().await;
            }
        };
        futures::join!(everybody, unusual(&gate, &database), taken);
    })
}

async fn day(gate: &Gate, database: &str, login: &'static str, number: u64) {
    let mut rng = Rng::new(SEED + number);
    let own: Vec<&Ask> = ASKS.iter().filter(|ask| ask.logins.contains(&login)).collect();
    let Some(session) = opened(gate, database, login).await else { return };
    loop {
        tokio::time::sleep(pause(login, &mut rng)).await;
        let Some(ask) = draw(&own, &mut rng) else { return };
        let values = (ask.values)(&mut rng);
        told(login, ask_once(session.as_ref(), ask.sql, &values).await);
    }
}

/// One of the questions, by weight.
fn draw<'a>(asks: &[&'a Ask], rng: &mut Rng) -> Option<&'a Ask> {
    let mut at = rng.below(asks.iter().map(|ask| ask.weight).sum());
    asks.iter().copied().find(|ask| {
        let here = at < ask.weight;
        at = at.saturating_sub(ask.weight);
        here
    })
}

/// Once, one of them reads all contacts again and again.
async fn unusual(gate: &Gate, database: &str) {
    tokio::time::sleep(Duration::from_secs(INCIDENT_MINUTE * 60)).await;
    let Some(session) = opened(gate, database, EXTRACTED_BY).await else { return };
    let reads = async {
        loop {
            told(EXTRACTED_BY, ask_once(session.as_ref(), EXTRACTION, &[]).await);
            tokio::time::sleep(INCIDENT_PAUSE).await;
        }
    };
    // The end of the incident is what the time-out is for.
    let _ = tokio::time::timeout(INCIDENT, reads).await;
    session.close().await;
}

async fn opened(gate: &Gate, database: &str, login: &str) -> Option<Arc<dyn Session>> {
    let settings = vec![("application_name".to_owned(), "demo traffic".to_owned())];
    let client = ClientInfo { door: Door::Shell, database: database.to_owned(), peer: None, settings };
    let Some(principal) = gate.authenticator.principal(login) else {
        tracing::warn!(login, "the demo's traffic goes without a user that the configuration no longer has");
        return None;
    };
    let opened = gate.service.open(principal, client).await;
    opened.map_err(|error| tracing::warn!(%error, login, "the demo's traffic has no session")).ok()
}

fn told(login: &str, result: Result<u64>) {
    if let Err(error) = result {
        tracing::debug!(%error, login, "a statement of the demo's traffic failed");
    }
}

/// Runs one statement to its end; gives the number of rows. Values are bound as text.
async fn ask_once(session: &dyn Session, sql: &str, values: &[String]) -> Result<u64> {
    let statements = session.split(sql)?;
    let [statement] = statements.as_slice() else {
        return Err(Error::new(ErrorCode::SyntaxError, "the traffic asks one thing at a time"));
    };
    let prepared = session.prepare(statement, &vec![Some(PgType::Text); values.len()]).await?;
    let bound: Vec<ArrayRef> =
        values.iter().map(|value| Arc::new(StringArray::from(vec![value.as_str()])) as ArrayRef).collect();
    let mut count = 0;
    if let Outcome::Rows(mut rows) = session.run(&prepared, &bound, Delivery::Batches).await? {
        while let Some(batch) = rows.batches.next().await {
            count += batch?.num_rows() as u64;
        }
    }
    Ok(count)
}

/// Learning for a demo whose configuration says nothing of it: in the demo's own folder, soon, and free to make indexes there.
/// Alerts go to the demo itself.
///
/// # Errors
/// Internal: no port for them.
pub(crate) fn learning(layout: &Layout, alerts: &Alerts) -> Result<Learning> {
    Ok(Learning {
        directory: layout.folder.join("learning"),
        retention: Duration::from_secs(30 * 86_400),
        size_max: 256 << 20,
        alerts_per_day: 20,
        webhook: Some(alerts.webhook()?),
        otlp: None,
        apply_indexes: true,
        suggest_every: Duration::from_secs(30),
        index_budget: 64 << 20,
    })
}

/// What to look at while it runs. `alerted`: the demo is its own webhook.
pub(crate) fn guide_text(bound: Bound, alerted: bool) -> String {
    let mut text = format!(
        "\nTraffic: ada, sam and iris ask about six things a second, the same at every start. In minute {INCIDENT_MINUTE}\n\
         sam begins to read all contacts, again and again, for {} seconds. Look, as ada:\n",
        INCIDENT.as_secs()
    );
    if let Some(address) = bound.of(Door::Http) {
        text.push_str(&format!(
            "  http://{address}/ui            queries by total time (ada, demo-ada); sam and iris see their own\n  \
             http://{address}/ui/plans      plans tried and kept, and what that cost\n  \
             http://{address}/ui/indexes    indexes that would help\n  \
             http://{address}/ui/anomalies  what was unusual\n"
        ));
    }
    text.push_str(
        "  SELECT * FROM querygate.plans; SELECT * FROM querygate.index_suggestions; SELECT * FROM querygate.anomalies;\n  \
         CALL querygate.apply(1);       makes a suggested index; ten runs later measured_effect says what it did\n",
    );
    if alerted {
        text.push_str(&format!(
            "The alert of what sam does goes to a webhook that the demo serves itself: it is printed below when it comes.\n\
             It is signed with the secret {}; the signature is checked.\n",
            super::alerts::SECRET
        ));
    } else {
        text.push_str("Alerts, and what may be applied, are as [learning] of the demo's configuration says.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{Scale, seed};
    use crate::serve::Threads;

    #[test]
    fn each_user_asks_and_the_same_seed_asks_the_same() {
        let sequence = |login: &'static str| {
            let own: Vec<&Ask> = ASKS.iter().filter(|ask| ask.logins.contains(&login)).collect();
            let mut rng = Rng::new(SEED);
            let asked = (0..500).map(|_| draw(&own, &mut rng).map(|ask| (ask.sql, (ask.values)(&mut rng))).unwrap());
            asked.collect::<Vec<_>>()
        };
        for login in ALL {
            let asked = sequence(login);
            assert_eq!(asked, sequence(login));
            let kinds: std::collections::BTreeSet<&str> = asked.iter().map(|(sql, _)| *sql).collect();
            assert!(kinds.len() >= 5, "{login}: {kinds:?}");
        }
    }

    #[test]
    fn every_question_is_answered_to_those_who_ask_it() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let seeded = runtime.block_on(seed(folder.path(), Scale::divided_by(50), &mut |_| {})).unwrap();
        let config = crate::config::load(&seeded.layout.config()).0.unwrap();
        let threads = Threads::start(&config).unwrap();
        let gate = threads.build(&config).unwrap();
        threads.block_on(async {
            for login in ALL {
                let session = opened(&gate, "demo", login).await.unwrap();
                let mut rows = 0;
                for ask in ASKS.iter().filter(|ask| ask.logins.contains(login)) {
                    let mut rng = Rng::new(SEED);
                    for _ in 0..5 {
                        rows += ask_once(session.as_ref(), ask.sql, &(ask.values)(&mut rng)).await.unwrap();
                    }
                }
                assert!(rows > 0, "{login}");
                assert!(ask_once(session.as_ref(), EXTRACTION, &[]).await.unwrap() > 0);
                session.close().await;
            }
        });
        (gate.close)();
    }
}
