//! Compiles CEL policies to templates by the table of the ObjectStack reference, section 6.4. What the table does not
//! name cannot be compiled and drops out.

use super::template::{Template, Term, fit};
use super::{Columns, DropReason, spelling};
use crate::filter::{CompareOp, TextKind};
use crate::value::ColumnKind;
use crate::value::Scalar;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use std::cmp::Ordering;

/// Longest policy text, in bytes.
const SOURCE_BYTES_MAX: usize = 16 * 1024;

/// Compiles a policy's expression for an object.
pub(crate) fn compile(source: &str, columns: Columns<'_>) -> Result<Template, DropReason> {
    let parsed = parse(source)?;
    Compiler { columns }.boolean(&parsed)
}

/// Stack of the parser, in bytes: it takes some 100 KB per bracket in a build without optimization.
const PARSER_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Parses on a thread of its own, whose stack suffices for the bounds of [`spelling::is_shallow`]. A panic of the
/// parser is an expression that cannot be parsed.
pub(crate) fn parse(source: &str) -> Result<IdedExpr, DropReason> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(DropReason::new("expression is too long"));
    }
    if !spelling::is_shallow(source) {
        return Err(DropReason::new("expression is nested too deeply"));
    }
    let modern = spelling::modernize(source);
    std::thread::Builder::new()
        .name("policy-parser".to_owned())
        .stack_size(PARSER_STACK_BYTES)
        .spawn(move || cel::parser::Parser::new().parse(&modern).ok())
        .map_err(|_| DropReason::new("expression could not be parsed for want of memory"))?
        .join()
        .ok()
        .flatten()
        .ok_or_else(|| DropReason::invalid(source))
}

/// What `current_user` always has as one value, and as a list.
const SCALAR_KEYS: [&str; 3] = ["id", "email", "organization_id"];
const LIST_KEYS: [&str; 2] = ["positions", "org_user_ids"];

struct Compiler<'a> {
    columns: Columns<'a>,
}

/// An operand of a comparison.
enum Side {
    Column(String, ColumnKind),
    Null,
    Term(Term),
}

impl Compiler<'_> {
    fn boolean(&self, expr: &IdedExpr) -> Result<Template, DropReason> {
        match constant(expr) {
            Some(Some(Scalar::Boolean(true))) => return Ok(Template::All),
            Some(_) => return Err(DropReason::new("a constant that is not true cannot be compiled")),
            None => {}
        }
        let Expr::Call(call) = &expr.expr else {
            return Err(DropReason::new("a value that is no comparison cannot be compiled"));
        };
        let arguments = (call.target.as_deref(), call.args.as_slice());
        match (call.func_name.as_str(), arguments) {
            (operators::LOGICAL_AND, (None, [a, b])) => Ok(Template::And(vec![self.boolean(a)?, self.boolean(b)?])),
            (operators::LOGICAL_OR, (None, [a, b])) => Ok(Template::Or(vec![self.boolean(a)?, self.boolean(b)?])),
            (operators::LOGICAL_NOT, (None, [a])) => Ok(Template::Not(Box::new(self.boolean(a)?))),
            (operators::IN, (None, [left, right])) => self.membership(left, right),
            ("startsWith", (Some(target), [argument])) => self.text(target, TextKind::StartsWith, argument),
            ("endsWith", (Some(target), [argument])) => self.text(target, TextKind::EndsWith, argument),
            ("contains", (Some(target), [argument])) => self.text(target, TextKind::Contains, argument),
            (name, (None, [left, right])) => match compare_op(name) {
                Some(op) => self.comparison(op, left, right),
                None => Err(unsupported(call)),
            },
            _ => Err(unsupported(call)),
        }
    }

    fn comparison(&self, op: CompareOp, left: &IdedExpr, right: &IdedExpr) -> Result<Template, DropReason> {
        match (self.side(left)?, self.side(right)?) {
            (Side::Column(column, kind), Side::Term(term)) => compared(column, kind, op, term),
            (Side::Term(term), Side::Column(column, kind)) => compared(column, kind, flip(op), term),
            (Side::Column(_, ColumnKind::Computed), Side::Null)
            | (Side::Null, Side::Column(_, ColumnKind::Computed)) => {
                Err(DropReason::new("a computed field has no column"))
            }
            (Side::Column(column, _), Side::Null) | (Side::Null, Side::Column(column, _)) => match op {
                CompareOp::Eq => Ok(Template::IsNull { column, negated: false }),
                CompareOp::Ne => Ok(Template::IsNull { column, negated: true }),
                CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => {
                    Err(DropReason::new("null has no order"))
                }
            },
            (Side::Column(left, left_kind), Side::Column(right, right_kind)) => {
                scalar_column(left_kind)?;
                if left_kind != scalar_column(right_kind)? {
                    return Err(DropReason::new("columns of different types cannot be compared"));
                }
                Ok(Template::CompareColumns { left, op, right })
            }
            (Side::Term(_) | Side::Null, Side::Term(_) | Side::Null) => {
                Err(DropReason::new("a comparison without a column cannot be compiled"))
            }
        }
    }

    fn membership(&self, left: &IdedExpr, right: &IdedExpr) -> Result<Template, DropReason> {
        let Side::Column(column, kind) = self.side(left)? else {
            return Err(DropReason::new("the left side of 'in' is not a column"));
        };
        let kind = scalar_column(kind)?;
        if let Expr::List(list) = &right.expr {
            let members: Option<Vec<Scalar>> = list.elements.iter().map(|e| constant(e).flatten()).collect();
            return match members {
                Some(values) if !values.is_empty() && list.optional_indices.is_empty() => {
                    fit(&column, kind, &values)?;
                    Ok(Template::InLiterals { column, kind, values })
                }
                _ => Err(DropReason::new("the list after 'in' is empty or has a member that is no literal")),
            };
        }
        match variable(right) {
            Some(key) if SCALAR_KEYS.contains(&key.as_str()) => {
                Err(DropReason::new(format!("current_user.{key} is no list")))
            }
            Some(key) => Ok(Template::InVariable { column, kind, key }),
            None => Err(DropReason::new("the right side of 'in' is neither a list nor a variable")),
        }
    }

    fn text(&self, target: &IdedExpr, text: TextKind, argument: &IdedExpr) -> Result<Template, DropReason> {
        let Side::Column(column, kind) = self.side(target)? else {
            return Err(DropReason::new("a text operator needs a column"));
        };
        match kind {
            ColumnKind::Text | ColumnKind::Uuid => {}
            ColumnKind::List if text == TextKind::Contains => {}
            ColumnKind::Number
            | ColumnKind::Boolean
            | ColumnKind::Date
            | ColumnKind::Timestamp
            | ColumnKind::Time
            | ColumnKind::List
            | ColumnKind::Json => {
                return Err(DropReason::new("a text operator needs a text column"));
            }
            ColumnKind::ReadFromText => return Err(DropReason::new(READ_FROM_TEXT)),
            ColumnKind::Computed => return Err(DropReason::new("a computed field has no column")),
        }
        match self.side(argument)? {
            Side::Term(term @ (Term::Variable(_) | Term::Literal(Scalar::Text(_)))) => {
                Ok(Template::Text { column, kind, text, term })
            }
            Side::Term(Term::Literal(_)) | Side::Null | Side::Column(..) => {
                Err(DropReason::new("the argument of a text operator is no text"))
            }
        }
    }

    fn side(&self, expr: &IdedExpr) -> Result<Side, DropReason> {
        match constant(expr) {
            Some(Some(scalar)) => return Ok(Side::Term(Term::Literal(scalar))),
            Some(None) => return Ok(Side::Null),
            None => {}
        }
        if let Some(key) = variable(expr) {
            if LIST_KEYS.contains(&key.as_str()) {
                return Err(DropReason::new(format!("current_user.{key} is a list")));
            }
            return Ok(Side::Term(Term::Variable(key)));
        }
        let column = match &expr.expr {
            Expr::Ident(name) => name,
            Expr::Select(select) if !select.test && is_ident(&select.operand, "record") => &select.field,
            other => {
                let what = operand(other);
                return Err(DropReason::new(format!("{what} is neither a column, a literal nor a variable")));
            }
        };
        match (self.columns)(column) {
            Some(kind) => Ok(Side::Column(column.clone(), kind)),
            None => Err(DropReason::no_column(column)),
        }
    }
}

fn compared(column: String, kind: ColumnKind, op: CompareOp, term: Term) -> Result<Template, DropReason> {
    let kind = scalar_column(kind)?;
    if let Term::Literal(scalar) = &term {
        fit(&column, kind, std::slice::from_ref(scalar))?;
    }
    Ok(Template::Compare { column, kind, op, term })
}

fn unsupported(call: &CallExpr) -> DropReason {
    // With a bracket behind it, SQL's word is a function's name.
    let instead = if call.func_name.eq_ignore_ascii_case("not") { ": write ! for it" } else { "" };
    DropReason::new(format!("{} cannot be compiled{instead}", called(call)))
}

/// A function or an operator as it is written.
fn called(call: &CallExpr) -> String {
    format!("'{}'", call.func_name.trim_matches(['_', '@']))
}

/// What stands where a column, a literal or a variable should.
fn operand(expr: &Expr) -> String {
    match expr {
        Expr::Call(call) => called(call),
        Expr::Comprehension(_) => "a macro such as 'exists' or 'all'".to_owned(),
        Expr::Select(select) if select.test => "'has'".to_owned(),
        Expr::Select(select) => format!("a path to '{}'", select.field),
        Expr::Ident(name) => format!("'{name}'"),
        Expr::List(_) => "a list".to_owned(),
        Expr::Map(_) | Expr::Struct(_) => "a map".to_owned(),
        Expr::Literal(_) => "a literal of this kind".to_owned(),
        Expr::Unspecified => "an operand".to_owned(),
    }
}

const READ_FROM_TEXT: &str = "bytes, an interval, a time with a zone, an address, a string of bits or a numeric without digits of its own is asked for null only";

fn scalar_column(kind: ColumnKind) -> Result<ColumnKind, DropReason> {
    match kind {
        ColumnKind::Text
        | ColumnKind::Uuid
        | ColumnKind::Number
        | ColumnKind::Boolean
        | ColumnKind::Date
        | ColumnKind::Timestamp
        | ColumnKind::Time => Ok(kind),
        ColumnKind::List | ColumnKind::Json => Err(DropReason::new("a multi-value column cannot be compared")),
        ColumnKind::ReadFromText => Err(DropReason::new(READ_FROM_TEXT)),
        ColumnKind::Computed => Err(DropReason::new("a computed field has no column")),
    }
}

/// `current_user.<key>`.
fn variable(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Select(select) if !select.test && is_ident(&select.operand, "current_user") => Some(select.field.clone()),
        _ => None,
    }
}

fn is_ident(expr: &IdedExpr, name: &str) -> bool {
    matches!(&expr.expr, Expr::Ident(ident) if ident == name)
}

fn compare_op(name: &str) -> Option<CompareOp> {
    match name {
        operators::EQUALS => Some(CompareOp::Eq),
        operators::NOT_EQUALS => Some(CompareOp::Ne),
        operators::LESS => Some(CompareOp::Lt),
        operators::LESS_EQUALS => Some(CompareOp::Le),
        operators::GREATER => Some(CompareOp::Gt),
        operators::GREATER_EQUALS => Some(CompareOp::Ge),
        _ => None,
    }
}

fn flip(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq | CompareOp::Ne => op,
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
    }
}

/// The value of an expression without names: `Some(None)` is the literal null, `None` is no constant.
fn constant(expr: &IdedExpr) -> Option<Option<Scalar>> {
    match &expr.expr {
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(b) => Some(Some(Scalar::Boolean(*b.inner()))),
            LiteralValue::Int(n) => Some(Some(Scalar::Integer(*n.inner()))),
            LiteralValue::UInt(n) => Some(Some(Scalar::Integer(i64::try_from(*n.inner()).ok()?))),
            LiteralValue::Double(n) => Some(Some(Scalar::Float(*n.inner()))),
            LiteralValue::String(text) => Some(Some(Scalar::Text(text.inner().to_owned()))),
            LiteralValue::Null => Some(None),
            LiteralValue::Bytes(_) => None,
        },
        Expr::Call(call) if call.target.is_none() => fold(call),
        _ => None,
    }
}

fn fold(call: &CallExpr) -> Option<Option<Scalar>> {
    let boolean = |b: bool| Some(Some(Scalar::Boolean(b)));
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::NEGATE, [a]) => match constant(a)?? {
            Scalar::Integer(n) => Some(Some(Scalar::Integer(n.checked_neg()?))),
            Scalar::Float(n) => Some(Some(Scalar::Float(-n))),
            Scalar::Text(_) | Scalar::Boolean(_) => None,
        },
        (operators::LOGICAL_NOT, [a]) => match constant(a)?? {
            Scalar::Boolean(b) => boolean(!b),
            _ => None,
        },
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => match (constant(a)??, constant(b)??) {
            (Scalar::Boolean(a), Scalar::Boolean(b)) => {
                boolean(if call.func_name == operators::LOGICAL_AND { a && b } else { a || b })
            }
            _ => None,
        },
        (name, [a, b]) => {
            let op = compare_op(name)?;
            let ordering = order(constant(a)?.as_ref(), constant(b)?.as_ref());
            match op {
                CompareOp::Eq => boolean(ordering == Some(Ordering::Equal)),
                CompareOp::Ne => boolean(ordering != Some(Ordering::Equal)),
                CompareOp::Lt => boolean(ordering? == Ordering::Less),
                CompareOp::Le => boolean(ordering? != Ordering::Greater),
                CompareOp::Gt => boolean(ordering? == Ordering::Greater),
                CompareOp::Ge => boolean(ordering? != Ordering::Less),
            }
        }
        _ => None,
    }
}

fn order(a: Option<&Scalar>, b: Option<&Scalar>) -> Option<Ordering> {
    #[expect(clippy::cast_precision_loss, reason = "CEL compares an int with a double as doubles")]
    let float = |n: i64| n as f64;
    match (a, b) {
        (None, None) => Some(Ordering::Equal),
        (Some(Scalar::Integer(a)), Some(Scalar::Integer(b))) => Some(a.cmp(b)),
        (Some(Scalar::Float(a)), Some(Scalar::Float(b))) => a.partial_cmp(b),
        (Some(Scalar::Integer(a)), Some(Scalar::Float(b))) => float(*a).partial_cmp(b),
        (Some(Scalar::Float(a)), Some(Scalar::Integer(b))) => a.partial_cmp(&float(*b)),
        (Some(Scalar::Text(a)), Some(Scalar::Text(b))) => Some(a.cmp(b)),
        (Some(Scalar::Boolean(a)), Some(Scalar::Boolean(b))) => Some(a.cmp(b)),
        _ => None,
    }
}
