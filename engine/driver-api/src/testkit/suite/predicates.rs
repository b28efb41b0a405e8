//! Cases of conditions: each comparison on each type and value, lists, patterns, and random combinations.

use super::{Case, Rows, Suite, column};
use crate::scalar::{ComparisonOp, ScalarExpr, Truth};
use crate::testkit::Seeded;
use crate::testkit::dataset::{Limits, values};
use crate::value::{Value, ValueType};

/// Random predicates to try after the systematic cases.
const RANDOM_CASES: usize = 600;

impl Suite<'_> {
    pub(super) async fn predicates(&mut self) {
        let ops = [
            ComparisonOp::Eq,
            ComparisonOp::NotEq,
            ComparisonOp::Lt,
            ComparisonOp::LtEq,
            ComparisonOp::Gt,
            ComparisonOp::GtEq,
            ComparisonOp::IsDistinctFrom,
            ComparisonOp::IsNotDistinctFrom,
        ];
        for (id, name, value_type) in self.columns() {
            let all: Vec<(u32, ValueType)> = vec![(0, ValueType::Int64), (id, value_type)];
            self.check(&format!("read {name}"), self.scan("nasty", 0), &all, &Case::default(), Rows::Bag).await;
            let mut operands = values(value_type, self.limits);
            // Values between those that the source can hold.
            operands.extend(values(value_type, Limits { timestamp_step: 1, ..self.limits }));
            operands.push(Value::Null(value_type));
            for value in &operands {
                for op in ops {
                    let mut case = Case::default();
                    let compared = ScalarExpr::compare(op, column(id), case.bind(value));
                    self.keeps(&format!("{name} {op:?} {value:?}"), compared.clone(), &case).await;
                    if op == ComparisonOp::Lt {
                        let not = ScalarExpr::Not(Box::new(compared));
                        self.keeps(&format!("not {name} < {value:?}"), not, &case).await;
                    }
                }
            }
            for negated in [false, true] {
                let is_null = ScalarExpr::IsNull { expr: Box::new(column(id)), negated };
                self.keeps(&format!("{name} is null, {negated}"), is_null, &Case::default()).await;
                self.lists(id, name, &operands, negated).await;
            }
        }
        for truth in [Truth::True, Truth::False, Truth::Unknown] {
            for negated in [false, true] {
                let expr = ScalarExpr::IsTruth { expr: Box::new(column(1)), truth, negated };
                self.keeps(&format!("flag is {truth:?}, {negated}"), expr, &Case::default()).await;
            }
        }
        self.keeps("flag", column(1), &Case::default()).await;
    }

    async fn lists(&mut self, id: u32, name: &str, operands: &[Value], negated: bool) {
        for list in [&operands[..0], operands.get(..2).unwrap_or(&[]), operands.get(1..).unwrap_or(&[])] {
            let mut case = Case::default();
            let list = list.iter().map(|value| case.bind(value)).collect();
            let expr = ScalarExpr::InList { expr: Box::new(column(id)), list, negated };
            self.keeps(&format!("{name} in list, {negated}"), expr, &case).await;
        }
        for pair in operands.windows(2) {
            let mut case = Case::default();
            let [low, high] = pair else { continue };
            let (low, high) = (Box::new(case.bind(low)), Box::new(case.bind(high)));
            let expr = ScalarExpr::Between { expr: Box::new(column(id)), low, high, negated };
            self.keeps(&format!("{name} between, {negated}"), expr, &case).await;
        }
    }

    pub(super) async fn patterns(&mut self) {
        let patterns = [
            "",
            "%",
            "_",
            "__",
            "a%",
            "%a",
            "%a%",
            "a_c",
            "a\\_c",
            "a\\%c",
            "a\\",
            "\\\\",
            "%\\",
            "*",
            "?",
            "[",
            "[a]",
            "%[%",
            "é",
            "_\u{301}",
            "😀",
            "%😀%",
            "a\nb",
            "a%b",
            "ß",
            "S%",
            "%\u{ffff}%",
            "%\u{10ffff}",
            " %",
            "% ",
            "%%%",
            "_%_",
            "%_",
            "^",
            "-%",
            "''",
            "%\"%",
            "%;%",
        ];
        for pattern in patterns {
            for (negated, case_insensitive) in [(false, false), (true, false), (false, true)] {
                let mut case = Case::default();
                case.bind(&Value::text(pattern));
                let expr = ScalarExpr::Like { expr: Box::new(column(8)), pattern: 0, negated, case_insensitive };
                self.keeps(&format!("words like {pattern:?}, {negated}"), expr, &case).await;
            }
        }
        let mut case = Case::default();
        case.bind(&Value::Null(ValueType::Text));
        let expr = ScalarExpr::Like { expr: Box::new(column(8)), pattern: 0, negated: true, case_insensitive: false };
        self.keeps("words not like null", expr, &case).await;
    }

    pub(super) async fn random(&mut self) {
        let mut seeded = Seeded::new(0x51ED);
        for number in 0..RANDOM_CASES {
            let mut case = Case::default();
            let predicate = self.predicate(&mut seeded, &mut case, 3);
            self.keeps(&format!("random {number}: {predicate:?} {:?}", case.values), predicate, &case).await;
        }
    }

    fn predicate(&self, seeded: &mut Seeded, case: &mut Case, depth: usize) -> ScalarExpr {
        let deeper = |seeded: &mut Seeded, case: &mut Case| self.predicate(seeded, case, depth - 1);
        match if depth == 0 { 9 } else { seeded.below(8) } {
            0 | 1 => ScalarExpr::And((0..=seeded.below(3)).map(|_| deeper(seeded, case)).collect()),
            2 | 3 => ScalarExpr::Or((0..=seeded.below(3)).map(|_| deeper(seeded, case)).collect()),
            4 => ScalarExpr::Not(Box::new(deeper(seeded, case))),
            5 => ScalarExpr::IsTruth {
                expr: Box::new(deeper(seeded, case)),
                truth: Truth::True,
                negated: seeded.below(2) == 0,
            },
            _ => self.leaf(seeded, case),
        }
    }

    fn leaf(&self, seeded: &mut Seeded, case: &mut Case) -> ScalarExpr {
        let columns = self.columns();
        // The last column is a list, which most sources cannot compare.
        let (id, _, value_type) =
            columns.get(seeded.below(columns.len() - 1)).copied().unwrap_or((0, "id", ValueType::Int64));
        let mut operands = values(value_type, self.limits);
        operands.push(Value::Null(value_type));
        let mut operand = |seeded: &mut Seeded| match seeded.choose(&operands) {
            Some(value) => case.bind(value),
            None => column(id),
        };
        match seeded.below(4) {
            0 => ScalarExpr::IsNull { expr: Box::new(column(id)), negated: seeded.below(2) == 0 },
            1 => {
                let list = (0..seeded.below(4)).map(|_| operand(seeded)).collect();
                ScalarExpr::InList { expr: Box::new(column(id)), list, negated: seeded.below(2) == 0 }
            }
            _ => {
                let ops = [ComparisonOp::Eq, ComparisonOp::NotEq, ComparisonOp::Lt, ComparisonOp::GtEq];
                let op = seeded.choose(&ops).copied().unwrap_or(ComparisonOp::Eq);
                let right = operand(seeded);
                ScalarExpr::compare(op, column(id), right)
            }
        }
    }
}
