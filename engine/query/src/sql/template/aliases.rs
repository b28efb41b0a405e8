//! Aliases: the names that a statement gives to tables and columns for itself alone become `t1`, `t2`, `c1` … in its template. Knows
//! tokens and where a FROM clause is, no grammar: what it does not recognize stays as it is written.

use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use datafusion::sql::sqlparser::tokenizer::{Token, Word};
use std::collections::HashMap;

/// The tokens (without white space) with their aliases renamed in the order in which they are defined.
pub(super) fn renamed(tokens: &[Token]) -> Vec<Token> {
    let mut finder = Finder::new(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        at = finder.step(tokens, at);
    }
    let word = |text: &str| Token::make_word(text, None);
    let mut renamed = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        match (&finder.places[at], token) {
            (Place::Dropped, _) => {}
            (Place::Alias(name), _) => renamed.push(word(name)),
            (Place::Plain | Place::Tail, Token::Word(found)) => {
                let (before, after) = (at.checked_sub(1).map(|n| &tokens[n]), tokens.get(at + 1));
                let (qualified, qualifies) = (before == Some(&Token::Period), after == Some(&Token::Period));
                let tail = matches!(finder.places[at], Place::Tail) && !qualifies;
                let name = if qualified {
                    None
                } else if qualifies {
                    finder.tables.get(&key(found))
                } else {
                    finder.columns.get(&key(found)).filter(|_| tail)
                };
                renamed.push(name.map_or_else(|| token.clone(), |name| word(name)));
            }
            (Place::Plain | Place::Tail, _) => renamed.push(token.clone()),
        }
    }
    renamed
}

/// What a token is, as far as aliases go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Plain,
    /// In GROUP BY or ORDER BY, where an alias of a column may stand alone.
    Tail,
    /// Defines an alias.
    Alias(String),
    /// AS before an alias of a table, which may be left out.
    Dropped,
}

/// Where one pair of parentheses, or the whole, is.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// In a FROM clause.
    from: bool,
    /// A table comes next.
    expects: bool,
    /// A table was named: its alias may come.
    named: bool,
    /// `CAST(x AS type)`: no alias.
    cast: bool,
    tail: bool,
}

struct Finder {
    places: Vec<Place>,
    tables: HashMap<String, String>,
    columns: HashMap<String, String>,
    levels: Vec<Level>,
    level: Level,
}

impl Finder {
    fn new(len: usize) -> Self {
        let (tables, columns) = (HashMap::new(), HashMap::new());
        Self { places: vec![Place::Plain; len], tables, columns, levels: Vec::new(), level: Level::default() }
    }

    /// Looks at the token at a place; gives the next place to look at.
    fn step(&mut self, tokens: &[Token], at: usize) -> usize {
        if self.level.tail {
            self.places[at] = Place::Tail;
        }
        match &tokens[at] {
            Token::LParen => self.open(tokens, at),
            Token::RParen => {
                self.level = self.levels.pop().unwrap_or_default();
            }
            Token::Comma => {
                self.level.expects = self.level.from;
                self.level.named = false;
            }
            Token::Word(word) if word.quote_style.is_none() && self.keyword(word.keyword, tokens, at) => {}
            Token::Word(word) => return self.word(word, tokens, at),
            _ => (self.level.expects, self.level.named) = (false, false),
        }
        at + 1
    }

    fn open(&mut self, tokens: &[Token], at: usize) {
        let before = at.checked_sub(1).and_then(|n| keyword_of(&tokens[n]));
        let query =
            matches!(tokens.get(at + 1).and_then(keyword_of), Some(Keyword::SELECT | Keyword::WITH | Keyword::VALUES));
        let joins = self.level.from && self.level.expects && !query;
        let inner = Level {
            from: joins,
            expects: joins,
            cast: matches!(before, Some(Keyword::CAST | Keyword::TRY_CAST)),
            ..Level::default()
        };
        if self.level.from && self.level.expects {
            (self.level.expects, self.level.named) = (false, true);
        }
        self.levels.push(std::mem::replace(&mut self.level, inner));
    }

    /// Words that say which clause this is; `false` for all others.
    fn keyword(&mut self, keyword: Keyword, tokens: &[Token], at: usize) -> bool {
        let level = &mut self.level;
        match keyword {
            Keyword::FROM => {
                // IS DISTINCT FROM compares.
                let compares = at > 0 && keyword_of(&tokens[at - 1]) == Some(Keyword::DISTINCT);
                (level.from, level.expects, level.named) = (!compares, !compares, false);
                level.tail = false;
            }
            Keyword::JOIN => (level.from, level.expects, level.named) = (true, true, false),
            Keyword::LATERAL | Keyword::ONLY => {}
            Keyword::ON | Keyword::USING => (level.expects, level.named) = (false, false),
            Keyword::GROUP | Keyword::ORDER => *level = Level { tail: true, cast: level.cast, ..Level::default() },
            Keyword::SELECT
            | Keyword::WHERE
            | Keyword::HAVING
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::WINDOW
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT => *level = Level { cast: level.cast, ..Level::default() },
            Keyword::AS => return self.named_as(tokens, at),
            _ => return false,
        }
        true
    }

    /// AS and what follows it.
    fn named_as(&mut self, tokens: &[Token], at: usize) -> bool {
        let Some(Token::Word(name)) = tokens.get(at + 1).filter(|_| !self.level.cast) else { return true };
        if name.quote_style.is_none() && is_reserved(name.keyword) {
            return true;
        }
        if self.level.named {
            self.places[at] = Place::Dropped;
            self.table(name, at + 1);
        } else if !self.level.from {
            let next = format!("c{}", self.columns.len() + 1);
            let name = self.columns.entry(key(name)).or_insert(next).clone();
            self.places[at + 1] = Place::Alias(name);
        }
        true
    }

    fn table(&mut self, name: &Word, at: usize) {
        let next = format!("t{}", self.tables.len() + 1);
        let name = self.tables.entry(key(name)).or_insert(next).clone();
        self.places[at] = Place::Alias(name);
        self.level.named = false;
    }

    /// A name: of a table, an alias, or neither.
    fn word(&mut self, word: &Word, tokens: &[Token], at: usize) -> usize {
        if matches!(self.places[at], Place::Alias(_)) {
            return at + 1;
        }
        if self.level.expects {
            (self.level.expects, self.level.named) = (false, true);
            let mut end = at + 1;
            while tokens.get(end) == Some(&Token::Period) && matches!(tokens.get(end + 1), Some(Token::Word(_))) {
                end += 2;
            }
            return end;
        }
        if self.level.named {
            self.level.named = false;
            let reserved = word.quote_style.is_none() && (is_reserved(word.keyword) || is_operator(word.keyword));
            if self.level.from && !reserved {
                self.table(word, at);
            }
        }
        at + 1
    }
}

fn keyword_of(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

fn is_reserved(keyword: Keyword) -> bool {
    RESERVED_FOR_TABLE_ALIAS.contains(&keyword) || keyword == Keyword::MATERIALIZED
}

/// Words that cannot be an alias without AS.
const fn is_operator(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::BETWEEN
    )
}

/// As the name is compared: without case, unless it is quoted.
fn key(word: &Word) -> String {
    if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use crate::sql::template::template;

    fn check(sql: &str, expected: &str) {
        assert_eq!(&*template(sql).text, expected, "{sql}");
    }

    #[test]
    fn aliases_of_tables_and_columns_do_not_matter() {
        let one = "select o.id, sum(l.price) as total from orders o join lines as l on l.o = o.id group by o.id order by total";
        let other =
            "SELECT x.id, sum(y.price) AS s FROM orders AS x JOIN lines y ON y.o = x.id GROUP BY x.id ORDER BY s";
        assert_eq!(template(one), template(other));
        check(
            one,
            "select t1 . id , sum ( t2 . price ) as c1 from orders t1 join lines t2 on t2 . o = t1 . id group by t1 . id \
             order by c1",
        );
        for (one, other) in [
            (
                "select a.x from (select x from t) a, u b where a.x = b.x",
                "select p.x from (select x from t) as p, u q where p.x = q.x",
            ),
            ("select \"A b\".x from t \"A b\"", "select z.x from t z"),
            (
                "select n from s.t g where exists (select 1 from u h where h.k = g.k)",
                "select n from s.t x where exists (select 2 from u y where y.k = x.k)",
            ),
        ] {
            assert_eq!(template(one), template(other), "{one} / {other}");
        }
    }

    #[test]
    fn what_is_no_alias_stays() {
        for (sql, expected) in [
            (
                "select cast(a as text) from t where b is distinct from c and d",
                "select cast ( a as text ) from t where b is distinct from c and d",
            ),
            ("select extract(year from at) from t", "select extract ( year from at ) from t"),
            ("with w as (select 1) select * from w", "with w as ( select ? ) select * from w"),
            ("select a from t where b", "select a from t where b"),
            (
                "select a from t cross join u left join v using (a)",
                "select a from t cross join u left join v using ( a )",
            ),
            ("select t.a from t limit 1", "select t . a from t limit ?"),
            ("select 1 union all select 2 from t order by 1", "select ? union all select ? from t order by ?"),
            ("prepare p as select 1", "prepare p as select ?"),
        ] {
            check(sql, expected);
        }
        // Other columns are other statements, whatever they are called.
        assert_ne!(template("select sum(x) as x from t"), template("select sum(y) as y from t"));
        assert_ne!(template("select a as b, b from t"), template("select a as c, d from t"));
    }
}
