//! Words for moments that follow the clock: `now`, `today`, `tomorrow`, `yesterday`. As constants they would be kept longer than their
//! statement runs, so each is an expression of the statement's time. Reads no clock.

use crate::casts::conversions::conversion;
use crate::functions;
use crate::times::zone::Zone;
use crate::typing::binding::statement_time;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Cast, Expr, lit};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Now,
    /// Days after today.
    Day(i32),
}

impl Word {
    fn of(text: &str) -> Option<Self> {
        const WORDS: [(&str, Word); 4] =
            [("now", Word::Now), ("today", Word::Day(0)), ("tomorrow", Word::Day(1)), ("yesterday", Word::Day(-1))];
        let text = text.trim();
        WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, word)| *word)
    }
}

/// Whether a text is such a word, so that it is no constant beside a moment.
pub fn follows_clock(text: &str) -> bool {
    Word::of(text).is_some()
}

/// The moment that such a word is in the type that it is cast to. `None`: it is another text, or the type has no such moments.
pub(in crate::typing) fn moment(cast: &Cast, zone: Zone) -> Option<Expr> {
    let Expr::Literal(value, _) = cast.expr.as_ref() else { return None };
    let to = &cast.field;
    let word = match (to.data_type(), Word::of(value.try_as_str().flatten()?)?) {
        (DataType::Date32 | DataType::Timestamp(..), word) | (DataType::Time64(_), word @ Word::Now) => word,
        _ => return None,
    };
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let days = match word {
        Word::Now => return Some(converted(statement_time(), &instant, to, zone)),
        Word::Day(days) => days,
    };
    let today = converted(statement_time(), &instant, &plain(DataType::Date32), zone);
    if days == 0 {
        return Some(converted(today, &DataType::Date32, to, zone));
    }
    let local = DataType::Timestamp(TimeUnit::Microsecond, None);
    let midnight = converted(today, &DataType::Date32, &plain(local.clone()), zone);
    let moved = functions::in_zone("moved", Zone::UTC)?;
    let moved = moved.call(vec![midnight, lit(ScalarValue::new_interval_mdn(0, days, 0))]);
    Some(converted(moved, &local, to, zone))
}

fn plain(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("", data_type, true))
}

/// A value of one type in another, on the session's clock.
fn converted(expr: Expr, from: &DataType, to: &FieldRef, zone: Zone) -> Expr {
    match conversion(&Field::new("", from.clone(), true), to, zone) {
        Some(function) => function.call(vec![expr]),
        None if from == to.data_type() => expr,
        None => Expr::Cast(Cast { expr: Box::new(expr), field: Arc::clone(to) }),
    }
}
