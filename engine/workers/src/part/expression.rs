//! Expressions above a leaf in a closed form: what a reader computes of rows that the leaf has given, policy and masks behind it. They
//! may fail and be observed. An expression of any other form is not sent.

use super::infix::Infix;
use super::tables::{schema_bytes, schema_of, value_bytes, values_of};
use arrow::datatypes::{FieldRef, Fields, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NegativeExpr,
    NotExpr,
};
use datafusion::physical_plan::PhysicalExpr;
use querygate_semantics::portable::Function;
use querygate_types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How deep an expression may nest.
const DEPTH_MAX: usize = 128;
/// Bytes of one constant: it counts once for each row of a result.
const CONSTANT_BYTES_MAX: usize = 1_024;

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Expression {
    /// A column by its number.
    Column(u32),
    /// A value by its number, and a field with its metadata.
    Value(u32, Option<u32>),
    Not(Box<Self>),
    IsNull(Box<Self>),
    IsNotNull(Box<Self>),
    Negative(Box<Self>),
    Infix(Box<Self>, Infix, Box<Self>),
    Cast {
        of: Box<Self>,
        to: u32,
        /// Whether the field says of NULL and by its metadata what comes out, and not only its type.
        whole: bool,
    },
    Case {
        of: Option<Box<Self>>,
        branches: Vec<(Self, Self)>,
        otherwise: Option<Box<Self>>,
    },
    In {
        of: Box<Self>,
        list: Vec<Self>,
        negated: bool,
    },
    Like {
        of: Box<Self>,
        pattern: Box<Self>,
        negated: bool,
        insensitive: bool,
    },
    Call {
        function: Function<u32>,
        arguments: Vec<Self>,
        gives: u32,
    },
}

/// Why what is above a leaf stays in the gate.
const OTHER: &str = "one of its expressions has no form that workers are sent";

pub(super) type Sent<T> = std::result::Result<T, &'static str>;

/// Values and fields that expressions name by their numbers, as they travel; and the session's time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tables {
    values: Vec<u8>,
    fields: Vec<u8>,
    zone: Option<String>,
}

/// Expressions in their closed form, what they name put aside.
#[derive(Debug, Default)]
pub(super) struct Closing {
    values: Vec<ScalarValue>,
    fields: Vec<FieldRef>,
    zone: Option<Option<String>>,
}

impl Closing {
    pub(super) fn closed(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Sent<Expression> {
        self.at(expr, 0)
    }

    pub(super) fn field(&mut self, field: &FieldRef) -> Sent<u32> {
        if let Some(known) = self.fields.iter().position(|known| known == field) {
            return number(known);
        }
        self.fields.push(Arc::clone(field));
        number(self.fields.len() - 1)
    }

    /// What the expressions name, if it comes back as it is sent.
    pub(super) fn tables(self) -> Sent<Tables> {
        let fields = Schema::new(self.fields.clone());
        let tables = Tables {
            values: value_bytes(&self.values).map_err(|_| OTHER)?,
            fields: schema_bytes(&fields).map_err(|_| OTHER)?,
            zone: self.zone.flatten(),
        };
        let back = tables.opening(&ConfigOptions::default()).map_err(|_| OTHER)?;
        let same = back.values == self.values && back.fields == *fields.fields();
        if same { Ok(tables) } else { Err(OTHER) }
    }

    fn value(&mut self, literal: &Literal) -> Sent<Expression> {
        let value = literal.value();
        if value.size() > CONSTANT_BYTES_MAX {
            return Err("one of its constants is long");
        }
        let field = literal.return_field(&Schema::empty()).map_err(|_| OTHER)?;
        let told = if field.metadata().is_empty() { None } else { Some(self.field(&field)?) };
        self.values.push(value.clone());
        Ok(Expression::Value(number(self.values.len() - 1)?, told))
    }

    fn at(&mut self, expr: &Arc<dyn PhysicalExpr>, depth: usize) -> Sent<Expression> {
        if depth > DEPTH_MAX {
            return Err("one of its expressions nests too deep");
        }
        let depth = depth + 1;
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Ok(Expression::Column(number(column.index())?));
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return self.value(literal);
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return Ok(Expression::Not(self.boxed(not.arg(), depth)?));
        }
        if let Some(test) = expr.downcast_ref::<IsNullExpr>() {
            return Ok(Expression::IsNull(self.boxed(test.arg(), depth)?));
        }
        if let Some(test) = expr.downcast_ref::<IsNotNullExpr>() {
            return Ok(Expression::IsNotNull(self.boxed(test.arg(), depth)?));
        }
        if let Some(negative) = expr.downcast_ref::<NegativeExpr>() {
            return Ok(Expression::Negative(self.boxed(negative.arg(), depth)?));
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            return self.infix(binary, depth);
        }
        if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            return self.cast(cast, depth);
        }
        if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            return self.case(case, depth);
        }
        if let Some(like) = expr.downcast_ref::<LikeExpr>() {
            return Ok(Expression::Like {
                of: self.boxed(like.expr(), depth)?,
                pattern: self.boxed(like.pattern(), depth)?,
                negated: like.negated(),
                insensitive: like.case_insensitive(),
            });
        }
        if let Some(within) = expr.downcast_ref::<InListExpr>() {
            return Ok(Expression::In {
                of: self.boxed(within.expr(), depth)?,
                list: within.list().iter().map(|item| self.at(item, depth)).collect::<Sent<_>>()?,
                negated: within.negated(),
            });
        }
        match expr.downcast_ref::<ScalarFunctionExpr>() {
            Some(call) => self.call(call, depth),
            None => Err(OTHER),
        }
    }

    fn boxed(&mut self, expr: &Arc<dyn PhysicalExpr>, depth: usize) -> Sent<Box<Expression>> {
        Ok(Box::new(self.at(expr, depth)?))
    }

    fn infix(&mut self, binary: &BinaryExpr, depth: usize) -> Sent<Expression> {
        // It does not say what it does where a result overflows, so it is compared with one that is made here.
        let leaf = || Arc::new(Column::new("", 0)) as Arc<dyn PhysicalExpr>;
        let own = BinaryExpr::new(leaf(), *binary.op(), leaf());
        let other = Arc::new(binary.clone()) as Arc<dyn PhysicalExpr>;
        let emptied = other.with_new_children(vec![leaf(), leaf()]).map_err(|_| OTHER)?;
        if emptied.downcast_ref::<BinaryExpr>() != Some(&own) {
            return Err(OTHER);
        }
        let (left, right) = (self.boxed(binary.left(), depth)?, self.boxed(binary.right(), depth)?);
        Ok(Expression::Infix(left, Infix::of(*binary.op()).ok_or(OTHER)?, right))
    }

    fn cast(&mut self, cast: &CastExpr, depth: usize) -> Sent<Expression> {
        let plain = CastExpr::new(Arc::clone(cast.expr()), cast.cast_type().clone(), None);
        if plain.cast_options() != cast.cast_options() {
            return Err(OTHER);
        }
        let of = self.boxed(cast.expr(), depth)?;
        Ok(Expression::Cast { of, to: self.field(cast.target_field())?, whole: cast.has_explicit_nullability() })
    }

    fn case(&mut self, case: &CaseExpr, depth: usize) -> Sent<Expression> {
        let of = case.expr().map(|of| self.boxed(of, depth)).transpose()?;
        let branches = case.when_then_expr().iter();
        let branches = branches.map(|(when, then)| Ok((self.at(when, depth)?, self.at(then, depth)?)));
        let branches = branches.collect::<Sent<_>>()?;
        let otherwise = case.else_expr().map(|other| self.boxed(other, depth)).transpose()?;
        Ok(Expression::Case { of, branches, otherwise })
    }

    fn call(&mut self, call: &ScalarFunctionExpr, depth: usize) -> Sent<Expression> {
        let function = Function::of(call.fun()).ok_or("one of its functions is not sent to workers")?;
        if call.name() != call.fun().name() {
            return Err(OTHER);
        }
        let zone = &call.config_options().execution.time_zone;
        if self.zone.get_or_insert_with(|| zone.clone()) != zone {
            return Err(OTHER);
        }
        let function = function.with_fields(&mut |field| self.field(&field))?;
        let arguments = call.args().iter().map(|argument| self.at(argument, depth)).collect::<Sent<_>>()?;
        let gives = call.return_field(&Schema::empty()).map_err(|_| OTHER)?;
        Ok(Expression::Call { function, arguments, gives: self.field(&gives)? })
    }
}

pub(super) fn number(place: usize) -> Sent<u32> {
    u32::try_from(place).map_err(|_| OTHER)
}

impl Tables {
    /// What opens expressions that name these.
    pub(super) fn opening(&self, base: &ConfigOptions) -> Result<Opening> {
        let mut config = base.clone();
        config.execution.time_zone.clone_from(&self.zone);
        Ok(Opening {
            values: values_of(&self.values)?,
            fields: schema_of(&self.fields)?.fields().clone(),
            config: Arc::new(config),
        })
    }
}

/// What expressions of a part name.
#[derive(Debug)]
pub(super) struct Opening {
    values: Vec<ScalarValue>,
    fields: Fields,
    config: Arc<ConfigOptions>,
}

type Opened = Result<Arc<dyn PhysicalExpr>>;

impl Opening {
    pub(super) fn field(&self, number: u32) -> Result<&FieldRef> {
        let place = usize::try_from(number).map_err(Error::internal)?;
        self.fields.get(place).ok_or_else(|| Error::internal("a part lacks a field"))
    }

    fn value(&self, number: u32, told: Option<u32>) -> Opened {
        let value = usize::try_from(number).ok().and_then(|number| self.values.get(number));
        let value = value.cloned().ok_or_else(|| Error::internal("a part lacks a value"))?;
        let told = told.map(|told| self.field(told)).transpose()?;
        Ok(Arc::new(Literal::new_with_metadata(value, told.map(|field| FieldMetadata::from(field.as_ref())))))
    }

    /// The expression over rows of a schema.
    pub(super) fn opened(&self, closed: &Expression, schema: &Schema) -> Opened {
        let open = |closed: &Expression| self.opened(closed, schema);
        let all = |closed: &[Expression]| closed.iter().map(open).collect::<Result<Vec<_>>>();
        Ok(match closed {
            Expression::Column(number) => {
                let place = usize::try_from(*number).map_err(Error::internal)?;
                let field = schema.fields().get(place).ok_or_else(|| Error::internal("a part lacks a column"))?;
                Arc::new(Column::new(field.name(), place))
            }
            Expression::Value(number, told) => self.value(*number, *told)?,
            Expression::Not(of) => Arc::new(NotExpr::new(open(of)?)),
            Expression::IsNull(of) => Arc::new(IsNullExpr::new(open(of)?)),
            Expression::IsNotNull(of) => Arc::new(IsNotNullExpr::new(open(of)?)),
            Expression::Negative(of) => Arc::new(NegativeExpr::new(open(of)?)),
            Expression::Infix(left, infix, right) => {
                Arc::new(BinaryExpr::new(open(left)?, infix.operator(), open(right)?))
            }
            Expression::Cast { of, to, whole } => {
                let (of, to) = (open(of)?, self.field(*to)?);
                Arc::new(if *whole {
                    CastExpr::new_with_target_field(of, Arc::clone(to), None)
                } else {
                    CastExpr::new(of, to.data_type().clone(), None)
                })
            }
            Expression::Case { of, branches, otherwise } => {
                let of = of.as_deref().map(open).transpose()?;
                let branches = branches.iter().map(|(when, then)| Ok((open(when)?, open(then)?)));
                let branches = branches.collect::<Result<Vec<_>>>()?;
                let otherwise = otherwise.as_deref().map(open).transpose()?;
                Arc::new(CaseExpr::try_new(of, branches, otherwise).map_err(wrong)?)
            }
            Expression::In { of, list, negated } => {
                Arc::new(InListExpr::try_new(open(of)?, all(list)?, *negated, schema).map_err(wrong)?)
            }
            Expression::Like { of, pattern, negated, insensitive } => {
                Arc::new(LikeExpr::new(*negated, *insensitive, open(of)?, open(pattern)?))
            }
            Expression::Call { function, arguments, gives } => {
                let function = function.clone().with_fields(&mut |field| self.field(field).cloned())?;
                let function = function.made().ok_or_else(|| Error::internal("a part calls an unknown function"))?;
                let (name, gives) = (function.name().to_owned(), Arc::clone(self.field(*gives)?));
                let arguments = all(arguments)?;
                Arc::new(ScalarFunctionExpr::new(&name, function, arguments, gives, Arc::clone(&self.config)))
            }
        })
    }
}

/// A part that contradicts itself.
pub(super) fn wrong(error: DataFusionError) -> Error {
    Error::internal(error)
}
