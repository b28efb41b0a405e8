//! Cases of computed columns: functions, arithmetic, casts and dates.

use super::{Case, Rows, Suite, column, filter};
use crate::function::{DatePart, DateUnit, ScalarFunction};
use crate::identifier::ColumnId;
use crate::relation::Relation;
use crate::scalar::{ArithmeticOp, ScalarExpr};
use crate::value::{Value, ValueType};

impl Suite<'_> {
    pub(super) async fn computes(&mut self, title: &str, expr: ScalarExpr, value_type: ValueType, case: &Case) {
        let input = Box::new(self.scan("nasty", 0));
        let projected =
            Relation::Project { input, exprs: vec![(ColumnId(0), column(0)), (ColumnId(200), expr.clone())] };
        self.check(title, projected.clone(), &[(0, ValueType::Int64), (200, value_type)], case, Rows::Bag).await;
        // Above a fence too, and as a condition.
        let fenced = Relation::Fence { input: Box::new(projected) };
        let known = filter(fenced, ScalarExpr::IsNull { expr: Box::new(column(200)), negated: true });
        self.check(title, known, &[(0, ValueType::Int64)], case, Rows::Bag).await;
    }

    pub(super) async fn functions(&mut self) {
        let call = |function, args, value_type| ScalarExpr::Function { function, args, value_type };
        let text = ValueType::Text;
        for (function, value_type) in [
            (ScalarFunction::CharLength, ValueType::Int32),
            (ScalarFunction::OctetLength, ValueType::Int32),
            (ScalarFunction::Upper, text),
            (ScalarFunction::Lower, text),
            (ScalarFunction::Trim, text),
            (ScalarFunction::LTrim, text),
            (ScalarFunction::RTrim, text),
        ] {
            let expr = call(function, vec![column(8)], value_type);
            self.computes(function.name(), expr, value_type, &Case::default()).await;
        }
        for (function, value_type) in [
            (ScalarFunction::Trim, text),
            (ScalarFunction::StrPos, ValueType::Int32),
            (ScalarFunction::StartsWith, ValueType::Boolean),
            (ScalarFunction::EndsWith, ValueType::Boolean),
            (ScalarFunction::Contains, ValueType::Boolean),
            (ScalarFunction::Concat, text),
            (ScalarFunction::ConcatSkipNull, text),
            (ScalarFunction::NullIf, text),
            (ScalarFunction::Coalesce, text),
            (ScalarFunction::Greatest, text),
            (ScalarFunction::Least, text),
        ] {
            for other in ["", "a", "A", " ", "a ", "😀", "\\", "\u{301}", "%"] {
                let mut case = Case::default();
                let other = case.bind(&Value::text(other));
                let expr = call(function, vec![column(8), other], value_type);
                self.computes(function.name(), expr, value_type, &case).await;
            }
            let expr = call(function, vec![column(8), column(8)], value_type);
            self.computes(function.name(), expr, value_type, &Case::default()).await;
        }
        for number in [-2, -1, 0, 1, 2, 3, 100] {
            for function in [ScalarFunction::Left, ScalarFunction::Right, ScalarFunction::Substr] {
                let mut case = Case::default();
                let number = case.bind(&Value::Int64(number));
                let expr = call(function, vec![column(8), number], text);
                self.computes(function.name(), expr, text, &case).await;
            }
            for count in [0, 1, 2, 100] {
                let mut case = Case::default();
                let (number, count) = (case.bind(&Value::Int64(number)), case.bind(&Value::Int64(count)));
                let expr = call(ScalarFunction::Substr, vec![column(8), number, count], text);
                self.computes("substr", expr, text, &case).await;
            }
        }
        for (from, to) in [("a", "bb"), ("", "x"), ("\\", ""), ("😀", "é")] {
            let mut case = Case::default();
            let (from, to) = (case.bind(&Value::text(from)), case.bind(&Value::text(to)));
            self.computes("replace", call(ScalarFunction::Replace, vec![column(8), from, to], text), text, &case).await;
        }
        self.numbers().await;
        self.dates().await;
    }

    async fn numbers(&mut self) {
        let call = |function, args, value_type| ScalarExpr::Function { function, args, value_type };
        for (id, _, value_type) in self.columns() {
            for function in [ScalarFunction::Abs, ScalarFunction::Sign, ScalarFunction::Round] {
                if value_type.is_numeric() && !value_type.is_decimal() {
                    let expr = call(function, vec![column(id)], value_type);
                    self.computes(function.name(), expr, value_type, &Case::default()).await;
                }
            }
            for to in [ValueType::Int64, ValueType::Float64, ValueType::Text, ValueType::Boolean, ValueType::Date] {
                if castable(value_type, to) {
                    let expr = ScalarExpr::Cast { expr: Box::new(column(id)), from: value_type, to };
                    self.computes("cast", expr, to, &Case::default()).await;
                }
            }
            let branches = vec![(column(1), column(id))];
            self.computes("case", ScalarExpr::Case { branches, otherwise: None }, value_type, &Case::default()).await;
        }
        let ops = [
            ArithmeticOp::Add,
            ArithmeticOp::Subtract,
            ArithmeticOp::Multiply,
            ArithmeticOp::Divide,
            ArithmeticOp::Remainder,
        ];
        for op in ops {
            for (id, value) in [(4, Value::Int64(3)), (5, Value::Float64(0.3)), (5, Value::Float64(-1e10))] {
                let mut case = Case::default();
                let (left, right) = (Box::new(column(id)), Box::new(case.bind(&value)));
                let value_type = value.value_type();
                self.computes("arithmetic", ScalarExpr::Arithmetic { op, left, right, value_type }, value_type, &case)
                    .await;
            }
        }
        for function in [ScalarFunction::BitAnd, ScalarFunction::BitOr, ScalarFunction::BitXor] {
            let mut case = Case::default();
            let other = case.bind(&Value::Int64(5));
            self.computes(
                function.name(),
                call(function, vec![column(4), other], ValueType::Int64),
                ValueType::Int64,
                &case,
            )
            .await;
        }
    }

    async fn dates(&mut self) {
        let parts = [
            DatePart::Year,
            DatePart::Quarter,
            DatePart::Month,
            DatePart::Week,
            DatePart::Day,
            DatePart::DayOfWeek,
            DatePart::IsoDayOfWeek,
            DatePart::DayOfYear,
            DatePart::Hour,
            DatePart::Minute,
            DatePart::Second,
        ];
        let units = [
            DateUnit::Year,
            DateUnit::Quarter,
            DateUnit::Month,
            DateUnit::Week,
            DateUnit::Day,
            DateUnit::Hour,
            DateUnit::Minute,
            DateUnit::Second,
        ];
        let dated = |value_type| matches!(value_type, ValueType::Date | ValueType::Timestamp { .. });
        for (id, _, value_type) in self.columns() {
            if !dated(value_type) {
                continue;
            }
            for part in parts {
                let function = ScalarFunction::DatePart(part);
                let expr = ScalarExpr::Function { function, args: vec![column(id)], value_type: ValueType::Int32 };
                self.computes(&format!("{part:?}"), expr, ValueType::Int32, &Case::default()).await;
            }
            for unit in units {
                let function = ScalarFunction::DateTrunc(unit);
                let expr = ScalarExpr::Function { function, args: vec![column(id)], value_type };
                self.computes(&format!("truncate to {unit:?}"), expr, value_type, &Case::default()).await;
            }
        }
    }
}

fn castable(from: ValueType, to: ValueType) -> bool {
    match to {
        ValueType::Int64 => from.is_integer() || from == ValueType::Boolean,
        ValueType::Float64 | ValueType::Text | ValueType::Boolean => from.is_integer(),
        ValueType::Date => matches!(from, ValueType::Timestamp { .. }),
        _ => false,
    }
}
