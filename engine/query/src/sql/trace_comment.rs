//! The `traceparent` that a client writes into a comment of its statement, in sqlcommenter's form: `/*traceparent='00-…'*/`.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};
use querygate_query_api::trace::TraceContext;

const KEY: &str = "traceparent";

/// The client's span, as the text's last comment with one says it. Texts of literals are none.
pub(crate) fn trace_context(sql: &str) -> Option<TraceContext> {
    if !sql.contains(KEY) {
        return None;
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().ok()?;
    tokens.iter().rev().find_map(|token| match token {
        Token::Whitespace(Whitespace::MultiLineComment(comment)) => of_comment(comment),
        _ => None,
    })
}

fn of_comment(comment: &str) -> Option<TraceContext> {
    comment.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        if key.trim() == KEY { TraceContext::parse(value) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_last_comment_with_a_traceparent_counts_wherever_it_stands() {
        let expected = TraceContext::parse(PARENT);
        assert!(expected.is_some());
        let other = PARENT.replace("0af7", "1af7");
        for sql in [
            format!("select 1 /*traceparent='{PARENT}'*/"),
            format!("select 1 /*action='%2Fshow',traceparent='{PARENT}',tracestate='a%3Db'*/;"),
            format!("/* traceparent='{PARENT}' */ select 1"),
            format!("select 1; /*traceparent='{PARENT}'*/"),
            format!("select /*traceparent='{other}'*/ 1 /*traceparent='{PARENT}'*/ /*other='1'*/"),
        ] {
            assert_eq!(trace_context(&sql), expected, "{sql}");
        }
    }

    #[test]
    fn values_line_comments_and_broken_ones_are_no_context() {
        for sql in [
            format!("select '/*traceparent=''{PARENT}''*/'"),
            format!("select $$/*traceparent='{PARENT}'*/$$"),
            format!("select 1 --traceparent='{PARENT}'"),
            format!("select 1 /*traceparent={PARENT}*/"),
            format!("select 1 /*xtraceparent='{PARENT}'*/"),
            "select 1 /*traceparent='00-12-34-01'*/".to_owned(),
            "select 1 /*traceparent".to_owned(),
        ] {
            assert_eq!(trace_context(&sql), None, "{sql}");
        }
    }
}
