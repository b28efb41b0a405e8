//! DataFusion's expressions as the vocabulary's. Exhaustive: an unknown expression is a refusal. Knows no operator around it.

use super::scope::Scope;
use super::types::{cast_is_exact, value_type};
use super::{Translator, conjunct, fault};
use crate::not_pushed::NotPushed;
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::expr::{Between, Case, InList, Like, SetQuantifier};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use querygate_driver_api::capability::RefusalReason;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::relation::Relation;
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, ScalarExpr, Truth};
use querygate_driver_api::value::ValueType;

impl Translator<'_> {
    /// A whole expression: constants folded, then translated.
    pub(super) fn value(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let folded = self.fold(expr)?;
        self.scalar(&folded, scope)
    }

    /// A condition.
    pub(super) fn condition(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let condition = self.value(expr, scope)?;
        self.expect(&condition, ValueType::Boolean)?;
        Ok(condition)
    }

    pub(super) fn scalar(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        self.nested(|this| this.node(expr, scope))
    }

    pub(super) fn type_of(&self, expr: &ScalarExpr) -> Result<ValueType, NotPushed> {
        self.types.type_of(expr).map_err(fault)
    }

    pub(super) fn expect(&self, expr: &ScalarExpr, value_type: ValueType) -> Result<(), NotPushed> {
        if self.type_of(expr)? == value_type {
            return Ok(());
        }
        Err(NotPushed::kind(format!("expression is not of type {}", value_type.name())))
    }

    /// The engine's type of an expression.
    pub(super) fn data_type(expr: &Expr, scope: &Scope) -> Result<DataType, NotPushed> {
        expr.get_type(scope.schema.as_ref()).map_err(|_| NotPushed::kind("expression has no known type"))
    }

    #[expect(deprecated, reason = "the wildcard variant is still in the enum")]
    fn node(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        match expr {
            Expr::Alias(alias) => self.scalar(&alias.expr, scope),
            Expr::Column(column) => Ok(ScalarExpr::Column(scope.slot(column)?.id()?)),
            Expr::OuterReferenceColumn(_, column) => self.outer_column(column),
            Expr::Literal(scalar, _) => self.literal(scalar),
            Expr::Placeholder(placeholder) => self.placeholder(placeholder),
            Expr::BinaryExpr(binary) => self.binary(expr, binary, scope),
            Expr::Not(inner) => Ok(ScalarExpr::Not(Box::new(self.boolean(inner, scope)?))),
            Expr::IsNull(inner) => self.is_null(inner, false, scope),
            Expr::IsNotNull(inner) => self.is_null(inner, true, scope),
            Expr::IsTrue(inner) => self.is_truth(inner, Truth::True, false, scope),
            Expr::IsFalse(inner) => self.is_truth(inner, Truth::False, false, scope),
            Expr::IsUnknown(inner) => self.is_truth(inner, Truth::Unknown, false, scope),
            Expr::IsNotTrue(inner) => self.is_truth(inner, Truth::True, true, scope),
            Expr::IsNotFalse(inner) => self.is_truth(inner, Truth::False, true, scope),
            Expr::IsNotUnknown(inner) => self.is_truth(inner, Truth::Unknown, true, scope),
            Expr::Between(between) => self.between(between, scope),
            Expr::InList(list) => self.in_list(list, scope),
            Expr::Like(like) => self.like(like, scope),
            Expr::Negative(inner) => self.negate(inner, scope),
            Expr::Case(case) => self.case(expr, case, scope),
            Expr::Cast(cast) => self.cast(&cast.expr, cast.field.data_type(), false, scope),
            Expr::TryCast(cast) => self.cast(&cast.expr, cast.field.data_type(), true, scope),
            Expr::ScalarFunction(call) => self.function(expr, call, scope),
            Expr::Exists(exists) => {
                let relation = self.subquery(&exists.subquery.subquery, scope)?.relation;
                Ok(ScalarExpr::Exists { relation: Box::new(relation), negated: exists.negated })
            }
            Expr::InSubquery(member) => {
                self.in_subquery(&member.expr, &member.subquery.subquery, member.negated, scope)
            }
            Expr::SetComparison(set) => match (set.quantifier, set.op) {
                (SetQuantifier::Any, Operator::Eq) => self.in_subquery(&set.expr, &set.subquery.subquery, false, scope),
                (SetQuantifier::All, Operator::NotEq) => {
                    self.in_subquery(&set.expr, &set.subquery.subquery, true, scope)
                }
                (SetQuantifier::Any | SetQuantifier::All, _) => {
                    Err(NotPushed::operator("comparison with ANY or ALL of a subquery"))
                }
            },
            Expr::ScalarSubquery(subquery) => {
                let relation = self.column_of(&subquery.subquery, scope)?;
                Ok(ScalarExpr::ScalarSubquery { relation: Box::new(relation) })
            }
            Expr::SimilarTo(_) => Err(NotPushed::operator("SIMILAR TO")),
            Expr::AggregateFunction(_) => Err(NotPushed::operator("aggregate outside of an aggregation")),
            Expr::WindowFunction(_) => Err(NotPushed::operator("window function")),
            Expr::Unnest(_) => Err(NotPushed::operator("unnest")),
            Expr::GroupingSet(_) => Err(NotPushed::operator("grouping sets")),
            Expr::ScalarVariable(..) => Err(NotPushed::operator("session variable")),
            Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => {
                Err(NotPushed::operator("lambda function"))
            }
            Expr::Wildcard { .. } => Err(NotPushed::invalid("wildcard in a bound plan")),
        }
    }

    /// A column of a block around this one; the nearest that has it.
    fn outer_column(&self, column: &Column) -> Result<ScalarExpr, NotPushed> {
        let slot = self.outer.iter().rev().find_map(|scope| scope.find(column));
        let slot = slot.ok_or_else(|| NotPushed::operator("it reads a row of the query around it"))?;
        Ok(ScalarExpr::Column(slot.id()?))
    }

    fn boolean(&mut self, expr: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let condition = self.scalar(expr, scope)?;
        self.expect(&condition, ValueType::Boolean)?;
        Ok(condition)
    }

    fn is_null(&mut self, expr: &Expr, negated: bool, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        Ok(ScalarExpr::IsNull { expr: Box::new(self.scalar(expr, scope)?), negated })
    }

    fn is_truth(&mut self, expr: &Expr, truth: Truth, negated: bool, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        Ok(ScalarExpr::IsTruth { expr: Box::new(self.boolean(expr, scope)?), truth, negated })
    }

    fn binary(&mut self, whole: &Expr, binary: &BinaryExpr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let BinaryExpr { left, op, right } = binary;
        let comparison = match op {
            Operator::And | Operator::Or => return self.connective(*op, binary, scope),
            Operator::Eq => ComparisonOp::Eq,
            Operator::NotEq => ComparisonOp::NotEq,
            Operator::Lt => ComparisonOp::Lt,
            Operator::LtEq => ComparisonOp::LtEq,
            Operator::Gt => ComparisonOp::Gt,
            Operator::GtEq => ComparisonOp::GtEq,
            Operator::IsDistinctFrom => ComparisonOp::IsDistinctFrom,
            Operator::IsNotDistinctFrom => ComparisonOp::IsNotDistinctFrom,
            Operator::Plus => return self.arithmetic(whole, ArithmeticOp::Add, left, right, scope),
            Operator::Minus => return self.arithmetic(whole, ArithmeticOp::Subtract, left, right, scope),
            Operator::Multiply => return self.arithmetic(whole, ArithmeticOp::Multiply, left, right, scope),
            Operator::Divide => return self.arithmetic(whole, ArithmeticOp::Divide, left, right, scope),
            Operator::Modulo => return self.arithmetic(whole, ArithmeticOp::Remainder, left, right, scope),
            Operator::StringConcat => return self.concat(left, right, scope),
            Operator::BitwiseAnd => return self.bits(ScalarFunction::BitAnd, left, right, scope),
            Operator::BitwiseOr => return self.bits(ScalarFunction::BitOr, left, right, scope),
            Operator::BitwiseXor => return self.bits(ScalarFunction::BitXor, left, right, scope),
            Operator::LikeMatch => return self.matches(left, right, false, false, scope),
            Operator::NotLikeMatch => return self.matches(left, right, true, false, scope),
            Operator::ILikeMatch => return self.matches(left, right, false, true, scope),
            Operator::NotILikeMatch => return self.matches(left, right, true, true, scope),
            Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch => {
                return Err(NotPushed::operator("regular expression"));
            }
            Operator::BitwiseShiftRight
            | Operator::BitwiseShiftLeft
            | Operator::AtArrow
            | Operator::ArrowAt
            | Operator::Arrow
            | Operator::LongArrow
            | Operator::HashArrow
            | Operator::HashLongArrow
            | Operator::AtAt
            | Operator::IntegerDivide
            | Operator::HashMinus
            | Operator::AtQuestion
            | Operator::Question
            | Operator::QuestionAnd
            | Operator::QuestionPipe
            | Operator::Colon => {
                return Err(NotPushed::operator(format!("operator {op}")));
            }
        };
        self.compare(comparison, (left, scope), (right, scope))
    }

    /// AND and OR chains, without recursion on their left spine.
    fn connective(&mut self, op: Operator, binary: &BinaryExpr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let mut parts = vec![binary.right.as_ref()];
        let mut left = binary.left.as_ref();
        while let Expr::BinaryExpr(next) = left
            && next.op == op
        {
            parts.push(&next.right);
            left = &next.left;
        }
        parts.push(left);
        let mut all = Vec::with_capacity(parts.len());
        for part in parts.into_iter().rev() {
            let part = self.boolean(part, scope)?;
            match (op, part) {
                (Operator::And, part) => conjunct::split(part, &mut all),
                (_, ScalarExpr::Or(inner)) => all.extend(inner),
                (_, part) => all.push(part),
            }
        }
        Ok(if op == Operator::And { conjunct::join(all) } else { ScalarExpr::Or(all) })
    }

    fn arithmetic(
        &mut self,
        whole: &Expr,
        op: ArithmeticOp,
        left: &Expr,
        right: &Expr,
        scope: &Scope,
    ) -> Result<ScalarExpr, NotPushed> {
        let value_type = value_type(&Self::data_type(whole, scope)?)?;
        let (left, right) = (self.scalar(left, scope)?, self.scalar(right, scope)?);
        let (a, b) = (self.type_of(&left)?, self.type_of(&right)?);
        let decimals = a.is_decimal() && b.is_decimal() && value_type.is_decimal();
        if !value_type.is_numeric() || !(decimals || (a == value_type && b == value_type)) {
            return Err(NotPushed::kind(format!("arithmetic on {} and {}", a.name(), b.name())));
        }
        Ok(ScalarExpr::Arithmetic { op, left: Box::new(left), right: Box::new(right), value_type })
    }

    fn concat(&mut self, left: &Expr, right: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let mut args = Vec::new();
        for side in [left, right] {
            let side = self.scalar(side, scope)?;
            self.expect(&side, ValueType::Text)?;
            match side {
                ScalarExpr::Function { function: ScalarFunction::Concat, args: inner, .. } => args.extend(inner),
                side => args.push(side),
            }
        }
        Ok(ScalarExpr::Function { function: ScalarFunction::Concat, args, value_type: ValueType::Text })
    }

    fn bits(
        &mut self,
        function: ScalarFunction,
        left: &Expr,
        right: &Expr,
        scope: &Scope,
    ) -> Result<ScalarExpr, NotPushed> {
        let args = vec![self.scalar(left, scope)?, self.scalar(right, scope)?];
        let (a, b) = (self.type_of(&args[0])?, self.type_of(&args[1])?);
        if !a.is_integer() || a != b {
            return Err(NotPushed::kind("bits of something that is not a whole number"));
        }
        Ok(ScalarExpr::Function { function, args, value_type: a })
    }

    fn between(&mut self, between: &Between, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let Between { expr, negated, low, high } = between;
        let (expr, bounds) = self.unwrapped(expr, &[low.as_ref(), high.as_ref()], scope)?;
        let mut bounds = bounds.into_iter();
        match (bounds.next(), bounds.next()) {
            (Some(low), Some(high)) => Ok(ScalarExpr::Between {
                expr: Box::new(expr),
                low: Box::new(low),
                high: Box::new(high),
                negated: *negated,
            }),
            _ => Err(NotPushed::invalid("BETWEEN without bounds")),
        }
    }

    fn in_list(&mut self, list: &InList, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let items: Vec<&Expr> = list.list.iter().collect();
        let (expr, list_items) = self.unwrapped(&list.expr, &items, scope)?;
        Ok(ScalarExpr::InList { expr: Box::new(expr), list: list_items, negated: list.negated })
    }

    fn like(&mut self, like: &Like, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        if like.escape_char.is_some() {
            return Err(NotPushed::operator("LIKE with ESCAPE"));
        }
        self.matches(&like.expr, &like.pattern, like.negated, like.case_insensitive, scope)
    }

    fn matches(
        &mut self,
        expr: &Expr,
        pattern: &Expr,
        negated: bool,
        case_insensitive: bool,
        scope: &Scope,
    ) -> Result<ScalarExpr, NotPushed> {
        let expr = self.scalar(expr, scope)?;
        self.expect(&expr, ValueType::Text)?;
        let pattern = self.pattern(pattern)?;
        Ok(ScalarExpr::Like { expr: Box::new(expr), pattern, negated, case_insensitive })
    }

    fn negate(&mut self, inner: &Expr, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let inner = self.scalar(inner, scope)?;
        if !self.type_of(&inner)?.is_numeric() {
            return Err(NotPushed::kind("negation of something that is not a number"));
        }
        Ok(ScalarExpr::Negate(Box::new(inner)))
    }

    /// Simple CASE becomes searched CASE; its operand is translated once for each branch, since ids are unique.
    fn case(&mut self, whole: &Expr, case: &Case, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let value_type = value_type(&Self::data_type(whole, scope)?)?;
        let mut branches = Vec::with_capacity(case.when_then_expr.len());
        for (when, then) in &case.when_then_expr {
            let condition = match &case.expr {
                Some(base) => self.compare(ComparisonOp::Eq, (base, scope), (when, scope))?,
                None => self.boolean(when, scope)?,
            };
            let then = self.scalar(then, scope)?;
            self.expect(&then, value_type)?;
            branches.push((condition, then));
        }
        let otherwise = match &case.else_expr {
            Some(expr) => {
                let expr = self.scalar(expr, scope)?;
                self.expect(&expr, value_type)?;
                Some(Box::new(expr))
            }
            None => None,
        };
        Ok(ScalarExpr::Case { branches, otherwise })
    }

    fn cast(&mut self, inner: &Expr, to: &DataType, lenient: bool, scope: &Scope) -> Result<ScalarExpr, NotPushed> {
        let to = value_type(to)?;
        let inner = self.scalar(inner, scope)?;
        let from = self.type_of(&inner)?;
        if from == to {
            return Ok(inner);
        }
        if !cast_is_exact(from, to) {
            return Err(NotPushed::kind(format!("cast of {} to {}", from.name(), to.name())));
        }
        let cast = ScalarExpr::Cast { expr: Box::new(inner), from, to };
        // A cast that gives NULL instead of an error is the plain one where neither can happen.
        if lenient && cast.can_fail() {
            return Err(NotPushed::operator("cast that gives NULL for an error"));
        }
        Ok(cast)
    }

    fn in_subquery(
        &mut self,
        expr: &Expr,
        plan: &LogicalPlan,
        negated: bool,
        scope: &Scope,
    ) -> Result<ScalarExpr, NotPushed> {
        let expr = self.scalar(expr, scope)?;
        let relation = self.column_of(plan, scope)?;
        let output = relation.output();
        let column = output.first().copied().ok_or_else(|| NotPushed::invalid("subquery without a column"))?;
        let member = self.types.of(column).map_err(fault)?.value_type;
        if !self.type_of(&expr)?.comparable_with(member) {
            return Err(NotPushed::kind("IN over different types"));
        }
        Ok(ScalarExpr::InSubquery { expr: Box::new(expr), relation: Box::new(relation), negated })
    }

    /// A subquery's relation, with this scope around it.
    fn subquery(&mut self, plan: &LogicalPlan, scope: &Scope) -> Result<super::Built, NotPushed> {
        self.outer.push(scope.clone());
        let built = self.relation(plan);
        self.outer.pop();
        built.map_err(|refusal| refusal.at("subquery"))
    }

    /// A subquery of one column.
    fn column_of(&mut self, plan: &LogicalPlan, scope: &Scope) -> Result<Relation, NotPushed> {
        let built = self.subquery(plan, scope)?;
        let (relation, ids) = self.shaped(built)?;
        if ids.len() != 1 {
            return Err(NotPushed::new(RefusalReason::Operator, "subquery of several columns"));
        }
        Ok(relation)
    }
}
