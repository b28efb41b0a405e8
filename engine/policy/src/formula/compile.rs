//! Compiles the CEL of formulas and of rules. What they do not have is refused with its name; nothing is guessed.

use super::functions::Function;
use super::rights::ObjectRight;
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
    let referred = |_: &str, name: &str| -> Result<ColumnKind, DropReason> { Err(of_no_record(name)) };
    let mut compiler = Compiler { scope: &scope, referred: &referred, is_rule: false, inputs: Vec::new() };
    let program = compiler.node(&parsed)?;
    Ok(Formula { program, inputs: compiler.inputs.into_iter().filter_map(|input| input.name).collect() })
}

/// Compiles a condition or a value of a rule, which may read more than the record.
pub(crate) fn compile_condition(
    source: &str,
    scope: Scope<'_>,
    referred: Referred<'_>,
) -> Result<Condition, DropReason> {
    let parsed = parse(source)?;
    let mut compiler = Compiler { scope, referred, is_rule: true, inputs: Vec::new() };
    let program = compiler.node(&parsed)?;
    let inputs = compiler.inputs;
    let is_read =
        |field: &&String| inputs.iter().any(|input| input.root == Root::Record && input.name.as_ref() == Some(*field));
    let referring = inputs.iter().filter(|input| input.root == Root::Referred);
    let both = referring.filter_map(|input| input.through.as_ref()).find(is_read).cloned();
    match both {
        Some(field) => Err(DropReason::new(format!(
            "'{field}' is read as a value and as a record: for its value write record.{field}.id"
        ))),
        None => Ok(Condition { program, inputs }),
    }
}

/// What an expression may read: the kind of a member of a root. `None` for a root that is not there, `Some(None)` for a member
/// that the root does not have.
pub(crate) type Scope<'a> = &'a dyn Fn(Root, &str) -> Option<Option<ColumnKind>>;

/// The kind of a member of the record that a field refers to, or why it is not read.
pub(crate) type Referred<'a> = &'a dyn Fn(&str, &str) -> Result<ColumnKind, DropReason>;

/// Why a member is not read.
pub(crate) fn of_no_record(name: &str) -> DropReason {
    DropReason::new(format!("'{name}' is read of something that is not the record"))
}

struct Compiler<'a> {
    scope: Scope<'a>,
    referred: Referred<'a>,
    /// Rules read times of day as texts, and match patterns.
    is_rule: bool,
    inputs: Vec<Input>,
}

impl Compiler<'_> {
    fn node(&mut self, expr: &IdedExpr) -> Result<Node, DropReason> {
        match &expr.expr {
            Expr::Literal(literal) => constant(literal).map(Node::Constant),
            Expr::Select(select) => {
                let input = match (root_of(&select.operand), referring(&select.operand)) {
                    (Some((root, name)), _) if self.has(root) => self.input(root, name.unwrap_or(&select.field))?,
                    (_, Some(field)) => self.referred(field, &select.field)?,
                    (_, None) => return Err(of_no_record(&select.field)),
                };
                // Every declared field is present, null when empty.
                Ok(if select.test { Node::Constant(Cell::Boolean(true)) } else { input })
            }
            Expr::List(list) if list.optional_indices.is_empty() => {
                list.elements.iter().map(|item| self.node(item)).collect::<Result<_, _>>().map(Node::List)
            }
            Expr::Call(call) if call.func_name == "can" => self.right(call.target.as_deref(), &call.args),
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
        let place = self.place(Input { root, name: None, through: None })?;
        Ok(Some(Node::Compare(comparison, Box::new([Node::Input(place), Node::Constant(Cell::Null)]))))
    }

    fn input(&mut self, root: Root, name: &str) -> Result<Node, DropReason> {
        let kind = (self.scope)(root, name).flatten().ok_or_else(|| DropReason::no_column(name))?;
        self.member(Input { root, name: Some(name.to_owned()), through: None }, kind)
    }

    /// A member of the record that a field of the record refers to.
    fn referred(&mut self, field: &str, name: &str) -> Result<Node, DropReason> {
        let kind = (self.referred)(field, name)?;
        let (name, through) = (Some(name.to_owned()), Some(field.to_owned()));
        self.member(Input { root: Root::Referred, name, through }, kind)
    }

    fn member(&mut self, input: Input, kind: ColumnKind) -> Result<Node, DropReason> {
        let name = input.name.as_deref().unwrap_or_default();
        match kind {
            ColumnKind::Time if self.is_rule => {}
            ColumnKind::Computed => return Err(DropReason::new("a formula does not read another")),
            ColumnKind::Json | ColumnKind::Time => {
                return Err(DropReason::new(format!(
                    "formulas do not read '{name}', a structured value or time of day"
                )));
            }
            ColumnKind::ReadFromText => {
                return Err(DropReason::new(format!(
                    "formulas do not read '{name}', an interval, a time with a zone or a numeric without digits"
                )));
            }
            ColumnKind::Text
            | ColumnKind::Uuid
            | ColumnKind::Number
            | ColumnKind::Boolean
            | ColumnKind::Date
            | ColumnKind::Timestamp
            | ColumnKind::List => {}
        }
        self.place(input).map(Node::Input)
    }

    /// `current_user.can(object, verb)`.
    fn right(&mut self, subject: Option<&IdedExpr>, asked: &[IdedExpr]) -> Result<Node, DropReason> {
        let texts: Option<Vec<&str>> = asked.iter().map(text).collect();
        let (Some([object, verb]), true) = (texts.as_deref(), subject.is_some_and(is_user)) else {
            return Err(DropReason::new(
                "'can' is asked of current_user, with the name of an object and a verb as texts",
            ));
        };
        if !self.has(Root::Right) {
            return Err(DropReason::new("only defaults and options ask what current_user can do"));
        }
        if ObjectRight::of_verb(verb).is_none() {
            return Err(DropReason::new(format!("'{verb}' is no right on an object")));
        }
        let (name, through) = (Some((*verb).to_owned()), Some((*object).to_owned()));
        self.place(Input { root: Root::Right, name, through }).map(Node::Input)
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

/// Whether an operand is who writes.
fn is_user(operand: &IdedExpr) -> bool {
    match &operand.expr {
        Expr::Ident(name) => Root::of(name) == Some(Root::User),
        Expr::Select(select) => {
            select.field == "user" && matches!(&select.operand.expr, Expr::Ident(name) if name == "os")
        }
        _ => false,
    }
}

fn text(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// The field of the record that an operand names.
fn referring(operand: &IdedExpr) -> Option<&str> {
    let Expr::Select(select) = &operand.expr else { return None };
    let is_record = matches!(&select.operand.expr, Expr::Ident(root) if Root::of(root) == Some(Root::Record));
    (is_record && !select.test).then_some(select.field.as_str())
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
