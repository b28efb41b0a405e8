//! Compiles the CEL of formulas and of rules. What they do not have is refused with its name; nothing is guessed.

use super::functions::Function;
use super::{Arithmetic, Cell, Comparison, Condition, Formula, Input, Node, Root};
use crate::expression::{Columns, DropReason, parse};
use crate::pattern::Pattern;
use crate::value::ColumnKind;
use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

/// Most fields that one formula reads.
const INPUTS_MAX: usize = 64;

/// Compiles a formula of an object.
pub(crate) fn compile(source: &str, columns: Columns<'_>) -> Result<Formula, DropReason> {
    let parsed = parse(source)?;
    let scope = |root: Root, name: &str| (root == Root::Record).then(|| columns(name));
    let mut compiler = Compiler { scope: &scope, is_rule: false, inputs: Vec::new() };
    let program = compiler.node(&parsed)?;
    Ok(Formula { program, inputs: compiler.inputs.into_iter().filter_map(|input| input.name).collect() })
}

/// Compiles a condition or a value of a rule, which may read more than the record.
pub(crate) fn compile_condition(source: &str, scope: Scope<'_>) -> Result<Condition, DropReason> {
    let parsed = parse(source)?;
    let mut compiler = Compiler { scope, is_rule: true, inputs: Vec::new() };
    let program = compiler.node(&parsed)?;
    Ok(Condition { program, inputs: compiler.inputs })
}

/// What an expression may read: the kind of a member of a root. `None` for a root that is not there, `Some(None)` for a member
/// that the root does not have.
pub(crate) type Scope<'a> = &'a dyn Fn(Root, &str) -> Option<Option<ColumnKind>>;

struct Compiler<'a> {
    scope: Scope<'a>,
    /// Rules read times of day as texts, and match patterns.
    is_rule: bool,
    inputs: Vec<Input>,
}

impl Compiler<'_> {
    fn node(&mut self, expr: &IdedExpr) -> Result<Node, DropReason> {
        match &expr.expr {
            Expr::Literal(literal) => constant(literal).map(Node::Constant),
            Expr::Select(select) => match root_of(&select.operand) {
                Some((root, name)) if self.has(root) => {
                    let input = self.input(root, name.unwrap_or(&select.field))?;
                    // Every declared field is present, null when empty.
                    Ok(if select.test { Node::Constant(Cell::Boolean(true)) } else { input })
                }
                Some(_) | None => {
                    Err(DropReason::new(format!("'{}' is read of something that is not the record", select.field)))
                }
            },
            Expr::List(list) if list.optional_indices.is_empty() => {
                list.elements.iter().map(|item| self.node(item)).collect::<Result<_, _>>().map(Node::List)
            }
            Expr::Call(call) => {
                if let Some(node) = self.presence(&call.func_name, &call.args)? {
                    return Ok(node);
                }
                let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
                let nodes = operands.into_iter().map(|one| self.node(one)).collect::<Result<Vec<_>, _>>()?;
                self.call(&call.func_name, nodes)
            }
            Expr::Ident(name) => Err(DropReason::new(format!("formulas do not know '{name}'"))),
            Expr::List(_) | Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(DropReason::new("formulas have no comprehensions, maps and messages"))
            }
        }
    }

    fn has(&self, root: Root) -> bool {
        (self.scope)(root, "").is_some()
    }

    /// A root compared with null: whether there is such a record.
    fn presence(&mut self, operator: &str, sides: &[IdedExpr]) -> Result<Option<Node>, DropReason> {
        let comparison = match operator {
            operators::EQUALS => Comparison::Equal,
            operators::NOT_EQUALS => Comparison::NotEqual,
            _ => return Ok(None),
        };
        let [left, right] = sides else { return Ok(None) };
        let root = match (&left.expr, &right.expr) {
            (Expr::Ident(name), Expr::Literal(LiteralValue::Null))
            | (Expr::Literal(LiteralValue::Null), Expr::Ident(name)) => Root::of(name),
            _ => None,
        };
        let Some(root) = root.filter(|root| *root != Root::Record && self.has(*root)) else { return Ok(None) };
        let place = self.place(Input { root, name: None })?;
        Ok(Some(Node::Compare(comparison, Box::new([Node::Input(place), Node::Constant(Cell::Null)]))))
    }

    fn input(&mut self, root: Root, name: &str) -> Result<Node, DropReason> {
        match (self.scope)(root, name).flatten() {
            None => return Err(DropReason::no_column(name)),
            Some(ColumnKind::Time) if self.is_rule => {}
            Some(ColumnKind::Computed) => return Err(DropReason::new("a formula does not read another")),
            Some(ColumnKind::Json | ColumnKind::Time) => {
                return Err(DropReason::new(format!(
                    "formulas do not read '{name}', a structured value or time of day"
                )));
            }
            Some(ColumnKind::ReadFromText) => {
                return Err(DropReason::new(format!(
                    "formulas do not read '{name}', an interval, a time with a zone or a numeric without digits"
                )));
            }
            Some(
                ColumnKind::Text
                | ColumnKind::Uuid
                | ColumnKind::Number
                | ColumnKind::Boolean
                | ColumnKind::Date
                | ColumnKind::Timestamp
                | ColumnKind::List,
            ) => {}
        }
        self.place(Input { root, name: Some(name.to_owned()) }).map(Node::Input)
    }

    fn place(&mut self, wanted: Input) -> Result<usize, DropReason> {
        if let Some(place) = self.inputs.iter().position(|input| *input == wanted) {
            return Ok(place);
        }
        if self.inputs.len() == INPUTS_MAX {
            return Err(DropReason::new(format!("an expression reads more than {INPUTS_MAX} fields")));
        }
        self.inputs.push(wanted);
        Ok(self.inputs.len() - 1)
    }

    fn call(&self, name: &str, nodes: Vec<Node>) -> Result<Node, DropReason> {
        if let ("matches", [text, Node::Constant(Cell::Text(pattern))], true) = (name, nodes.as_slice(), self.is_rule) {
            let pattern = Pattern::compile(pattern).map_err(DropReason::new)?;
            return Ok(Node::Matches(Box::new(text.clone()), pattern));
        }
        let count = nodes.len();
        let unknown = || DropReason::new(format!("formulas have no '{name}' of {count} arguments"));
        if let Some(function) = Function::of(name, count) {
            return Ok(Node::Call(function, nodes));
        }
        match count {
            1 => {
                let [inner]: [Node; 1] = nodes.try_into().map_err(|_| unknown())?;
                match name {
                    operators::LOGICAL_NOT => Ok(Node::Not(Box::new(inner))),
                    operators::NEGATE => Ok(Node::Negate(Box::new(inner))),
                    _ => Err(unknown()),
                }
            }
            2 => {
                let sides: Box<[Node; 2]> = Box::new(nodes.try_into().map_err(|_| unknown())?);
                binary(name, sides).ok_or_else(unknown)
            }
            3 if name == operators::CONDITIONAL => Ok(Node::Choose(Box::new(nodes.try_into().map_err(|_| unknown())?))),
            _ => Err(unknown()),
        }
    }
}

/// The root that an operand names, and the member where the path says more than the selected name: `os.org.id` is the active
/// organization.
fn root_of(operand: &IdedExpr) -> Option<(Root, Option<&'static str>)> {
    match &operand.expr {
        Expr::Ident(name) => Root::of(name).map(|root| (root, None)),
        Expr::Select(outer) => match (&outer.operand.expr, outer.field.as_str()) {
            (Expr::Ident(os), "user") if os == "os" => Some((Root::User, None)),
            (Expr::Ident(os), "org") if os == "os" => Some((Root::User, Some("organization_id"))),
            _ => None,
        },
        _ => None,
    }
}

fn binary(name: &str, sides: Box<[Node; 2]>) -> Option<Node> {
    let arithmetic = |operator, sides| Some(Node::Arithmetic(operator, sides));
    let compare = |operator, sides| Some(Node::Compare(operator, sides));
    match name {
        operators::LOGICAL_AND => Some(Node::And(sides)),
        operators::LOGICAL_OR => Some(Node::Or(sides)),
        operators::IN => Some(Node::In(sides)),
        operators::ADD => arithmetic(Arithmetic::Add, sides),
        operators::SUBSTRACT => arithmetic(Arithmetic::Subtract, sides),
        operators::MULTIPLY => arithmetic(Arithmetic::Multiply, sides),
        operators::DIVIDE => arithmetic(Arithmetic::Divide, sides),
        operators::MODULO => arithmetic(Arithmetic::Remainder, sides),
        operators::EQUALS => compare(Comparison::Equal, sides),
        operators::NOT_EQUALS => compare(Comparison::NotEqual, sides),
        operators::LESS => compare(Comparison::Less, sides),
        operators::LESS_EQUALS => compare(Comparison::LessOrEqual, sides),
        operators::GREATER => compare(Comparison::Greater, sides),
        operators::GREATER_EQUALS => compare(Comparison::GreaterOrEqual, sides),
        _ => None,
    }
}

fn constant(literal: &LiteralValue) -> Result<Cell, DropReason> {
    Ok(match literal {
        LiteralValue::Boolean(b) => Cell::Boolean(*b.inner()),
        LiteralValue::Int(n) => Cell::Integer(*n.inner()),
        LiteralValue::UInt(n) => {
            Cell::Integer(i64::try_from(*n.inner()).map_err(|_| DropReason::new("a number is too large"))?)
        }
        LiteralValue::Double(n) => Cell::Float(*n.inner()),
        LiteralValue::String(text) => Cell::Text(text.inner().to_owned()),
        LiteralValue::Null => Cell::Null,
        LiteralValue::Bytes(_) => return Err(DropReason::new("formulas have no bytes")),
    })
}
