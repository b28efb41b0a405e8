//! How a pipeline reaches its collections: the conditions and the order that an index can serve. Reads the text that the driver
//! itself wrote, so it knows what the server can use; knows no value and no server.

use crate::compile::compiler::FENCE;
use crate::tree::node::{Form, Node};
use crate::tree::parse::parse;

/// What a condition asks of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// One of so many values.
    Equal(usize),
    /// NULL, or no field.
    Null,
    /// Not below a value.
    Low,
    /// Not above a value.
    High,
    /// A text that begins with a value.
    Beginning,
}

/// A condition that every document of the result meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) path: String,
    pub(super) asks: Asks,
}

/// How a statement reads one collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) collection: String,
    pub(super) conditions: Vec<Condition>,
    /// Fields that it is ordered by, each with whether upwards. Empty: any order will do.
    pub(super) order: Vec<(String, bool)>,
    /// Documents after which it ends.
    pub(super) limit: Option<u64>,
    /// Documents that met the conditions in the mean, where that is known.
    pub(super) rows: Option<f64>,
    /// Whether the result has other rows than the documents that meet the conditions.
    pub(super) reduced: bool,
}

/// The readings of a statement, which delivers so many rows in the mean; none of a text that is not the driver's.
pub(super) fn readings(text: &str, rows: Option<f64>) -> Option<Vec<Reading>> {
    let Node::Object(fields) = parse(text)? else { return None };
    match &fields[..] {
        [(aggregate, Node::Text(collection)), (pipeline, Node::Array(stages))]
            if aggregate == "aggregate" && pipeline == "pipeline" =>
        {
            let mut found = Vec::new();
            read(collection, stages, &mut found);
            if let [one] = &mut found[..] {
                one.rows = rows.filter(|rows| !one.reduced && rows.is_finite());
            }
            Some(found)
        }
        _ => None,
    }
}

/// Conditions and orders count as long as they are of the documents as they are stored, and nothing stands before them that they
/// cannot move through.
fn read(collection: &str, stages: &[Node], found: &mut Vec<Reading>) {
    let mut own = Reading { collection: collection.to_owned(), ..Reading::default() };
    let (mut open, mut skipped) = (true, 0_i64);
    for stage in stages {
        let Node::Object(fields) = stage else { continue };
        let Some((name, node)) = fields.first() else { continue };
        match (name.as_str(), node) {
            ("$unionWith", Node::Object(other)) => {
                open = false;
                if let [(_, Node::Text(collection)), (_, Node::Array(stages))] = &other[..] {
                    read(collection, stages, found);
                }
            }
            ("$project" | "$set", _) => open = false,
            ("$limit", Node::Int(FENCE)) => open = false,
            _ if !open => own.reduced |= name != "$sort",
            ("$match", condition) if skipped == 0 => own.conjunct(condition),
            ("$sort", Node::Object(keys)) if own.order.is_empty() && skipped == 0 => {
                let up = |node: &Node| *node == Node::Int(1);
                own.order = keys.iter().map(|(path, direction)| (path.clone(), up(direction))).collect();
            }
            ("$skip", Node::Int(rows)) => (skipped, own.reduced) = (skipped.saturating_add(*rows), true),
            ("$limit", Node::Int(rows)) => {
                (open, own.reduced) = (false, true);
                own.limit = Some(rows.saturating_add(skipped).unsigned_abs());
            }
            _ => (open, own.reduced) = (false, true),
        }
    }
    found.push(own);
}

impl Reading {
    fn conjunct(&mut self, node: &Node) {
        match node {
            Node::Known(_, inner) => self.conjunct(inner),
            Node::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("$and", Node::Array(all)) => all.iter().for_each(|one| self.conjunct(one)),
                        ("$or", Node::Array(all)) => self.either(all),
                        (path, Node::Object(operators)) if !path.starts_with('$') => self.field(path, operators),
                        _ => self.reduced = true,
                    }
                }
            }
            // Not conditions.
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::NotANumber
            | Node::Infinity
            | Node::Text(_)
            | Node::Array(_)
            | Node::Parameter(..)
            | Node::Present(_) => {}
        }
    }

    /// A float above a value, or NaN: two parts of one range. Nothing else of an OR is served by one index.
    fn either(&mut self, all: &[Node]) {
        let mut parts = Self::default();
        all.iter().for_each(|one| parts.conjunct(one));
        match &parts.conditions[..] {
            [Condition { path, asks: Asks::Low }, Condition { path: other, asks: Asks::Equal(_) }]
                if all.len() == 2 && path == other =>
            {
                self.add(path, Asks::Low);
            }
            _ => self.reduced = true,
        }
    }

    fn field(&mut self, path: &str, operators: &[(String, Node)]) {
        let operand = |name: &str| operators.iter().find(|(known, _)| known == name).map(|(_, node)| node);
        // No instant of the source is between two milliseconds: both bounds are of one value.
        if let (Some(Node::Parameter(low, Form::Ceil)), Some(Node::Parameter(high, Form::Floor))) =
            (operand("$gte"), operand("$lte"))
            && low == high
        {
            return self.add(path, Asks::Equal(1));
        }
        for (name, node) in operators {
            match (name.as_str(), node) {
                ("$eq", Node::Null) => self.add(path, Asks::Null),
                ("$eq", _) => self.add(path, Asks::Equal(1)),
                ("$in", Node::Present(items) | Node::Array(items)) => self.add(path, Asks::Equal(items.len().max(1))),
                ("$gt" | "$gte", _) => self.add(path, Asks::Low),
                ("$lt" | "$lte", _) => self.add(path, Asks::High),
                ("$regex", Node::Parameter(_, Form::Prefix | Form::Pattern)) => self.add(path, Asks::Beginning),
                // That it is no list: nearly none is.
                ("$not", Node::Object(_)) => {}
                _ => self.reduced = true,
            }
        }
    }

    fn add(&mut self, path: &str, asks: Asks) {
        let condition = Condition { path: path.to_owned(), asks };
        if !self.conditions.contains(&condition) {
            self.conditions.push(condition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: &str = r#""$not":{"$type":"array"}"#;

    fn told(stages: &str) -> Vec<Reading> {
        let text = format!(r#"{{"aggregate":"orders","pipeline":[{stages}]}}"#).replace("GUARD", GUARD);
        readings(&text, Some(7.0)).unwrap_or_else(|| panic!("{text}"))
    }

    fn conditions(condition: &str) -> Vec<(String, Asks)> {
        let told = told(&format!(r#"{{"$match":{condition}}}"#));
        assert_eq!(told.len(), 1);
        told[0].conditions.iter().map(|one| (one.path.clone(), one.asks)).collect()
    }

    #[test]
    fn what_the_server_can_look_up_is_a_condition() {
        for (condition, expected) in [
            (r#"known($1,{"region":{"$eq":$1,GUARD}})"#, Some(("region", Asks::Equal(1)))),
            (r#"{"$and":[{"a":{GUARD}},{"a.b":{"$eq":$1,GUARD}}]}"#, Some(("a.b", Asks::Equal(1)))),
            (r#"{"_id":{"$in":present[objectid($1),objectid($2)],GUARD}}"#, Some(("_id", Asks::Equal(2)))),
            (r#"known($1,{"at":{"$gte":ceil($1),"$lte":floor($1),GUARD}})"#, Some(("at", Asks::Equal(1)))),
            (r#"known($1,{"at":{"$gte":ceil($1),GUARD}})"#, Some(("at", Asks::Low))),
            (r#"known($1,{"$or":[{"x":{"$gt":ordered($1),GUARD}},{"x":{"$eq":NaN,GUARD}}]})"#, Some(("x", Asks::Low))),
            (r#"known($1,{"name":{"$regex":prefix($1),GUARD}})"#, Some(("name", Asks::Beginning))),
            (r#"{"closed":{"$eq":null,GUARD}}"#, Some(("closed", Asks::Null))),
            (r#"{"vip":{"$eq":true,GUARD}}"#, Some(("vip", Asks::Equal(1)))),
            (r#"known($1,{"a":{"$ne":$1,"$type":"string",GUARD}})"#, None),
            (r#"known($1,{"name":{"$regex":part($1),GUARD}})"#, None),
            (r#"{"$nor":[{"a":{"$eq":null,GUARD}}]}"#, None),
            (r#"{"$expr":{"$gt":["$a",$1]}}"#, None),
            (r#"{"$or":[{"a":{"$eq":$1}},{"b":{"$eq":$2}}]}"#, None),
            (r#"{"$or":[{"at":{"$lt":ceil($1)}},{"at":{"$gt":floor($1)}}]}"#, None),
        ] {
            let expected: Vec<(String, Asks)> =
                expected.iter().map(|(path, asks)| ((*path).to_owned(), *asks)).collect();
            let condition = condition.replace("GUARD", GUARD);
            assert_eq!(conditions(&condition), expected, "{condition}");
        }
    }

    #[test]
    fn an_order_counts_until_documents_change_and_nothing_moves_through_a_fence() {
        let region = r#"{"$match":{"region":{"$eq":$1}}}"#;
        let sorted = told(&format!(r#"{region},{{"$sort":{{"day":-1,"_id":-1}}}},{{"$skip":5}},{{"$limit":10}}"#));
        let sorted = &sorted[0];
        assert_eq!(sorted.order, [("day".to_owned(), false), ("_id".to_owned(), false)]);
        assert_eq!((sorted.conditions.len(), sorted.limit), (1, Some(15)));

        let computed = r#"{"$set":{"k0":{"$lte":["$day",null]}}},{"$sort":{"k0":1,"day":1}}"#;
        let fenced = format!(r#"{region},{{"$limit":{FENCE}}},{{"$match":{{"day":{{"$gte":$2}}}}}}"#);
        for stages in [format!("{region},{computed}"), fenced] {
            let told = told(&stages);
            let reading = &told[0];
            assert_eq!((reading.conditions.len(), reading.order.len(), reading.limit), (1, 0, None), "{stages}");
        }
        let both = told(&format!(
            r#"{region},{{"$unionWith":{{"coll":"old","pipeline":[{{"$match":{{"a":{{"$eq":$2}}}}}}]}}}},{{"$match":{{"b":{{"$eq":$3}}}}}}"#
        ));
        let told: Vec<(&str, usize)> = both.iter().map(|one| (one.collection.as_str(), one.conditions.len())).collect();
        assert_eq!(told, [("old", 1), ("orders", 1)]);
        assert_eq!(readings("SELECT 1", None), None);
    }
    #[test]
    fn delivered_rows_tell_of_conditions_where_nothing_else_decides_how_many_there_are() {
        let region = r#"{"$match":{"region":{"$eq":$1,GUARD}}}"#;
        let delivered = |stages: &str| told(stages)[0].rows;
        let project = r#"{"$project":{"_id":0,"c1":"$region"}}"#;
        for stages in [
            format!("{region},{project}"),
            format!(r#"{region},{{"$limit":{FENCE}}},{project}"#),
            format!(r#"{region},{{"$set":{{"k0":{{"$lte":["$a",null]}}}}}},{{"$sort":{{"k0":1}}}},{project}"#),
        ] {
            assert_eq!(delivered(&stages), Some(7.0), "{stages}");
        }
        for stages in [
            format!(r#"{region},{{"$group":{{"_id":null}}}},{project}"#),
            format!(r#"{region},{{"$limit":5}},{project}"#),
            format!(r#"{region},{{"$skip":5}},{project}"#),
            format!(r#"{region},{{"$limit":{FENCE}}},{{"$match":{{"a":{{"$eq":$2}}}}}},{project}"#),
            format!(r#"{region},{project},{{"$match":{{"c1":{{"$eq":$2}}}}}}"#),
            r#"{"$match":{"$expr":{"$gt":["$a",$1]}}}"#.to_owned(),
            r#"{"$match":{"a":{"$ne":$1,"$type":"string",GUARD}}}"#.to_owned(),
            r#"{"$match":{"name":{"$regex":part($1),GUARD}}}"#.to_owned(),
            r#"{"$match":{"$or":[{"a":{"$eq":$1}},{"b":{"$eq":$2}}]}}"#.to_owned(),
            format!(r#"{region},{{"$unionWith":{{"coll":"old","pipeline":[]}}}},{project}"#),
        ] {
            assert_eq!(delivered(&stages), None, "{stages}");
        }
    }
}
