//! An incident in plain words with numbers, and how severe it is. Takes names and counts only: there is no place for a value
//! of a row.

use super::numbers::{count, duration, per_day, percent, times};
use serde::{Deserialize, Serialize};

/// What a level is a level of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// Milliseconds a statement.
    Latency,
    /// Rows a statement.
    Rows,
    /// Bytes a statement.
    Bytes,
    /// Statements an interval.
    Statements,
}

/// What was found, with the numbers that show it. Names are what the reader of the alert may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Finding {
    /// A jump or burst of a level.
    Jump {
        /// Template, source, object or principal.
        subject: String,
        /// Of what.
        metric: Metric,
        /// Now, in the metric's unit.
        now: f64,
        /// Usual for this hour of the week.
        usual: f64,
    },
    /// A slow rise of a level over at least a day.
    Drift {
        /// Template, source, object or principal.
        subject: String,
        /// Of what.
        metric: Metric,
        /// Mean of the last day ÷ usual.
        factor: f64,
    },
    /// Statements fail.
    Errors {
        /// Template, source, object or principal.
        subject: String,
        /// Share that fails now.
        now: f64,
        /// Share that usually fails.
        usual: f64,
    },
    /// A principal sends statements that it never sent.
    NewTemplates {
        /// The principal.
        who: String,
        /// In the last hour.
        now: f64,
        /// In an hour.
        usual: f64,
    },
    /// A principal reads in bulk.
    Extraction {
        /// The principal.
        who: String,
        /// The object read most, if the reader of the alert may see it.
        object: Option<String>,
        /// Rows.
        rows: f64,
        /// In so many seconds.
        seconds: f64,
        /// Usual rows an hour.
        usual_an_hour: f64,
        /// Share of the object's keys read in a day: now and usual.
        share: Option<(f64, f64)>,
    },
    /// A principal reads more than usual day after day.
    Drip {
        /// The principal.
        who: String,
        /// Days in a row.
        days: u32,
        /// Rows a day now.
        rows: f64,
        /// Usual rows a day.
        usual: f64,
    },
    /// A column's data is not what it was. Names the fault, not a value.
    Quality {
        /// Object and column, if the reader of the alert may see them.
        subject: String,
        /// What is wrong.
        fault: Fault,
    },
    /// A source's schema is another than the metadata's.
    Schema {
        /// The source or object.
        subject: String,
        /// Columns that are gone, new, or of another type.
        gone: u32,
        /// New ones.
        new: u32,
        /// Of another type.
        changed: u32,
    },
    /// A metric that no other detector knows.
    Series {
        /// What it is.
        subject: String,
        /// Now.
        now: f64,
        /// Usual for this half hour, where known.
        usual: Option<f64>,
        /// Names of the detectors that found it unusual ([`super::PARTS`]).
        because: Vec<String>,
    },
    /// A principal changes far more rows than ever.
    Changes {
        /// The principal.
        who: String,
        /// The object.
        object: String,
        /// Whether rows are deleted.
        deletes: bool,
        /// Rows.
        rows: f64,
        /// Seconds in which it did.
        seconds: f64,
        /// Usual rows an hour.
        usual_an_hour: f64,
    },
    /// Statements of a principal meet one kind of refusal.
    Refusals {
        /// The principal.
        who: String,
        /// What refuses them.
        refusal: Refusal,
        /// Share now.
        now: f64,
        /// Usual share.
        usual: f64,
    },
}

/// Refusals that tell of what a principal does not see, if there are many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A key is taken (23505).
    TakenKey,
    /// A right is missing (42501).
    MissingRight,
}

/// What is wrong with a column's data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// Share of NULLs now and usually.
    Nulls(f64, f64),
    /// Numbers are so many widths of the range that they always had beyond it.
    Range(f64),
    /// Share of the values that belong to other categories than usually.
    Categories(f64),
}

/// How much somebody should hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Look at it some day.
    Notice,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Finding {
    /// By the size of the effect: a doubling is a notice, three times a warning, eight times critical; data that may leave
    /// is a warning at least.
    #[must_use]
    pub fn severity(&self) -> Severity {
        let by_factor = |factor: f64| {
            if factor >= 8.0 {
                Severity::Critical
            } else if factor >= 3.0 {
                Severity::Warning
            } else {
                Severity::Notice
            }
        };
        match self {
            Self::Jump { now, usual, .. } => {
                by_factor((now + 1.0) / (usual + 1.0)).max(by_factor((usual + 1.0) / (now + 1.0)))
            }
            Self::Drift { factor, .. } => by_factor(*factor).min(Severity::Warning),
            Self::Errors { now, .. } | Self::Refusals { now, .. } if *now >= 0.2 => Severity::Critical,
            Self::Errors { .. } | Self::Refusals { .. } => Severity::Warning,
            Self::NewTemplates { now, .. } => {
                if *now >= 100.0 {
                    Severity::Warning
                } else {
                    Severity::Notice
                }
            }
            Self::Extraction { rows, seconds, usual_an_hour, .. }
            | Self::Changes { rows, seconds, usual_an_hour, .. } => {
                by_factor(rows / (usual_an_hour * seconds / 3600.0).max(1.0) / 10.0).max(Severity::Warning)
            }
            Self::Drip { .. } => Severity::Warning,
            Self::Quality { fault: Fault::Nulls(now, _), .. } if *now >= 0.5 => Severity::Warning,
            Self::Quality { .. } => Severity::Notice,
            Self::Schema { gone, changed, .. } => {
                if gone + changed > 0 {
                    Severity::Warning
                } else {
                    Severity::Notice
                }
            }
            Self::Series { .. } => Severity::Notice,
        }
    }

    /// One sentence, without a full stop.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Jump { subject, metric, now, usual } => {
                format!("{subject}: {}; usual at this hour: {}", amount(*metric, *now), amount(*metric, *usual))
            }
            Self::Drift { subject, metric, factor } => {
                let what = match metric {
                    Metric::Latency => "statements take",
                    Metric::Rows => "statements return",
                    Metric::Bytes => "statements send",
                    Metric::Statements => "statements come",
                };
                format!("{subject}: {what} {} of the usual for a day, and it grows slowly", times(*factor))
            }
            Self::Errors { subject, now, usual } => {
                format!("{subject}: {} of the statements fail; usual: {}", percent(*now), percent(*usual))
            }
            Self::NewTemplates { who, now, usual } => {
                format!("{who} sent {} new kinds of statements in an hour; usual: {}", count(*now), per_day(*usual))
            }
            Self::Extraction { who, object, rows, seconds, usual_an_hour, share } => {
                let of = object.as_ref().map_or(String::new(), |object| format!(" of {object}"));
                let mut text = format!(
                    "{who} read {} rows{of} in {}; usual: {} an hour",
                    count(*rows),
                    duration(*seconds),
                    count(*usual_an_hour)
                );
                if let Some((now, usual)) = share {
                    text.push_str(&format!("; {} of all keys in a day, usual: {}", percent(*now), percent(*usual)));
                }
                text
            }
            Self::Changes { who, object, deletes, rows, seconds, usual_an_hour } => {
                let verb = if *deletes { "deleted" } else { "changed" };
                let (rows, time, usual) = (count(*rows), duration(*seconds), count(*usual_an_hour));
                format!("{who} {verb} {rows} rows of {object} in {time}; usual: {usual} an hour")
            }
            Self::Refusals { who, refusal, now, usual } => {
                let what = match refusal {
                    Refusal::TakenKey => "meet a taken key (23505)",
                    Refusal::MissingRight => "lack a right (42501)",
                };
                format!("{who}: {} of the statements {what}; usual: {}", percent(*now), percent(*usual))
            }
            Self::Drip { who, days, rows, usual } => {
                format!("{who} read {} rows a day for {days} days; usual: {} a day", count(*rows), count(*usual))
            }
            Self::Quality { subject, fault } => match fault {
                Fault::Nulls(now, usual) => {
                    format!("{subject}: {} of the values are null; usual: {}", percent(*now), percent(*usual))
                }
                Fault::Range(widths) => {
                    format!("{subject}: values lie {widths:.1} times the width of their usual range beyond it")
                }
                Fault::Categories(share) => {
                    format!("{subject}: the mix of values is another: {} of them have moved", percent(*share))
                }
            },
            Self::Schema { subject, gone, new, changed } => {
                format!("{subject}: the schema changed: columns gone: {gone}, new: {new}, of another type: {changed}")
            }
            Self::Series { subject, now, usual, because } => {
                let usual = usual.map_or(String::new(), |usual| format!("; usual at this hour: {}", count(usual)));
                format!("{subject}: {}{usual} ({})", count(*now), because.join(", "))
            }
        }
    }
}

fn amount(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Latency if value >= 1000.0 => format!("{} s a statement", count(value / 1000.0)),
        Metric::Latency => format!("{} ms a statement", count(value)),
        Metric::Rows => format!("{} rows a statement", count(value)),
        Metric::Bytes if value >= 1e6 => format!("{} MB a statement", count(value / 1e6)),
        Metric::Bytes => format!("{} bytes a statement", count(value)),
        Metric::Statements => format!("{} statements", count(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(finding: &Finding, text: &str, severity: Severity) {
        assert_eq!((finding.text().as_str(), finding.severity()), (text, severity));
    }

    #[test]
    fn findings_read_like_sentences_with_numbers() {
        let sam = Finding::Extraction {
            who: "sam".into(),
            object: Some("contacts".into()),
            rows: 411_987.0,
            seconds: 600.0,
            usual_an_hour: 900.4,
            share: None,
        };
        check(&sam, "sam read 412,000 rows of contacts in 10 minutes; usual: 900 an hour", Severity::Critical);
        let jump = |metric, now, usual| Finding::Jump { subject: "orders by day".into(), metric, now, usual };
        check(
            &jump(Metric::Latency, 2_130.0, 410.0),
            "orders by day: 2.13 s a statement; usual at this hour: 410 ms a statement",
            Severity::Warning,
        );
        check(
            &jump(Metric::Statements, 3.0, 4_000.0),
            "orders by day: 3 statements; usual at this hour: 4,000 statements",
            Severity::Critical,
        );
        check(
            &Finding::Errors { subject: "source crm".into(), now: 0.052, usual: 0.001 },
            "source crm: 5.2% of the statements fail; usual: 0.1%",
            Severity::Warning,
        );
        check(
            &Finding::NewTemplates { who: "ann".into(), now: 34.0, usual: 0.05 },
            "ann sent 34 new kinds of statements in an hour; usual: 1.2 a day",
            Severity::Notice,
        );
        check(
            &Finding::Drip { who: "sam".into(), days: 5, rows: 25_300.0, usual: 5_000.0 },
            "sam read 25,300 rows a day for 5 days; usual: 5,000 a day",
            Severity::Warning,
        );
        check(
            &Finding::Quality { subject: "contacts.email".into(), fault: Fault::Nulls(0.61, 0.02) },
            "contacts.email: 61% of the values are null; usual: 2%",
            Severity::Warning,
        );
        check(
            &Finding::Quality { subject: "deals.amount".into(), fault: Fault::Range(99.04) },
            "deals.amount: values lie 99.0 times the width of their usual range beyond it",
            Severity::Notice,
        );
        check(
            &Finding::Quality { subject: "deals.stage".into(), fault: Fault::Categories(0.4) },
            "deals.stage: the mix of values is another: 40% of them have moved",
            Severity::Notice,
        );
        check(
            &Finding::Schema { subject: "source crm".into(), gone: 1, new: 0, changed: 2 },
            "source crm: the schema changed: columns gone: 1, new: 0, of another type: 2",
            Severity::Warning,
        );
        check(
            &Finding::Changes {
                who: "sam".into(),
                object: "orders".into(),
                deletes: true,
                rows: 412.0,
                seconds: 60.0,
                usual_an_hour: 3.0,
            },
            "sam deleted 412 rows of orders in 60 seconds; usual: 3 an hour",
            Severity::Critical,
        );
        check(
            &Finding::Refusals { who: "sam".into(), refusal: Refusal::TakenKey, now: 0.3, usual: 0.001 },
            "sam: 30% of the statements meet a taken key (23505); usual: 0.1%",
            Severity::Critical,
        );
        check(
            &Finding::Drift { subject: "source crm".into(), metric: Metric::Latency, factor: 1.5 },
            "source crm: statements take 1.5 times of the usual for a day, and it grows slowly",
            Severity::Notice,
        );
    }
}
