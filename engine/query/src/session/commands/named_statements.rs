//! Prepared statements by their names in SQL: PREPARE, EXECUTE, EXPLAIN EXECUTE, DEALLOCATE.

use super::dispatch::done;
use crate::session::gate_session::GateSession;
use crate::session::statements::prepared::{Kind, Named, PreparedStatement, ours};
use crate::sql::classify::{Classified, ExplainStyle};
use crate::write::values::assignment::{Literal, admit_argument, literal};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, Statement as Ast};
use futures::StreamExt;
use querygate_query_api::outcome::Outcome;
use querygate_query_api::service::{Delivery, Prepared, Session, Statement};
use querygate_types::{Error, ErrorCode, PgType, Result, limits};
use std::sync::Arc;

impl GateSession {
    pub(super) async fn prepare_named(
        &self,
        outer: &PreparedStatement,
        name: &str,
        types: &[SqlType],
        statement: &Ast,
    ) -> Result<Outcome> {
        {
            let inner = self.inner();
            if inner.prepared.contains_key(name) {
                return Err(Error::new(
                    ErrorCode::DuplicatePreparedStatement,
                    format!("prepared statement \"{name}\" already exists"),
                ));
            }
            if inner.prepared.len() >= limits::STATEMENTS_PER_CONNECTION_MAX {
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, "too many prepared statements"));
            }
            let texts = inner.prepared.values().filter_map(|named| ours(&named.prepared).ok());
            let held: usize = texts.map(|prepared| prepared.parsed.shared_text().len()).sum();
            if held.saturating_add(outer.parsed.shared_text().len()) > limits::PREPARED_BYTES_MAX {
                let text = "the session's prepared statements are too large";
                return Err(Error::new(ErrorCode::ProgramLimitExceeded, text).with_hint("DEALLOCATE some of them."));
            }
        }
        let declared = types.iter().map(parameter_type).collect::<Result<Vec<_>>>()?;
        let nested: Arc<dyn Statement> = Arc::new(outer.parsed.nested(statement.clone())?);
        let prepared = self.prepare(&nested, &declared).await?;
        self.inner().prepared.insert(name.to_owned(), Named::new(prepared, true));
        Ok(done("PREPARE"))
    }

    pub(super) async fn execute_named(
        &self,
        outer: &PreparedStatement,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Outcome> {
        let prepared = self.named(name)?;
        let values = self.arguments_of(outer, name, prepared.parameter_types(), arguments).await?;
        // Boxed: EXECUTE may run any statement, which is this function again.
        Box::pin(self.run(&prepared, &values, Delivery::Batches)).await
    }

    /// EXPLAIN EXECUTE: the plan that a prepared statement has for these values.
    pub(super) async fn explain_named(
        &self,
        outer: &PreparedStatement,
        style: ExplainStyle,
        execute: &Ast,
    ) -> Result<Outcome> {
        let nested = outer.parsed.nested(execute.clone())?;
        let Classified::Execute { name, arguments } = nested.class() else {
            return Err(Error::internal("EXPLAIN of another statement ran as a command"));
        };
        let named = self.named(name)?;
        let inner = ours(&named)?;
        let (Kind::Query(bound), Classified::Query(query)) = (&inner.kind, inner.parsed.class()) else {
            return Err(super::explain::unexplained());
        };
        let values = self.arguments_of(outer, name, &inner.parameter_types, arguments).await?;
        let bound = self.refreshed_query(bound, query, inner, &values).await?;
        super::explain::explain(self, inner, &bound, inner.values(&values), style).await.map(Outcome::Rows)
    }

    async fn arguments_of(
        &self,
        outer: &PreparedStatement,
        name: &str,
        types: &[PgType],
        arguments: &[Expr],
    ) -> Result<Vec<ArrayRef>> {
        if types.len() != arguments.len() {
            return Err(Error::new(
                ErrorCode::SyntaxError,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!("Expected {} parameters but got {}.", types.len(), arguments.len())));
        }
        if types.is_empty() { Ok(Vec::new()) } else { self.evaluate(outer, arguments, types).await }
    }

    /// Values of constant expressions, through the same path as any query.
    async fn evaluate(
        &self,
        outer: &PreparedStatement,
        expressions: &[Expr],
        types: &[PgType],
    ) -> Result<Vec<ArrayRef>> {
        let query = crate::bind::workspace::select_of(expressions)?;
        let bound = self.bind_query(&query, &[], None).await?;
        for (place, ((expression, column), wanted)) in
            expressions.iter().zip(bound.columns().iter()).zip(types).enumerate()
        {
            if literal(expression) != Some(Literal::Any) {
                admit_argument(place + 1, column.pg_type, *wanted)?;
            }
        }
        let mut rows = self.run_constants(outer, &bound).await?;
        let Some(batch) = rows.batches.next().await.transpose()? else {
            return Err(Error::internal("constants gave no row"));
        };
        batch
            .columns()
            .iter()
            .zip(types)
            .map(|(column, pg_type)| {
                let target = querygate_query_api::column::arrow_type_of(*pg_type).ok_or_else(|| {
                    Error::new(ErrorCode::FeatureNotSupported, "a parameter of this type is not supported")
                })?;
                // Texts are read when they are bound, by the type's own rules and in the session's time zone.
                let read_later = column.data_type() == &DataType::Utf8 && target != DataType::Utf8;
                if *pg_type == PgType::Numeric || read_later {
                    return Ok(Arc::clone(column));
                }
                bound.fitted(column, &target)
            })
            .collect()
    }

    pub(super) fn named(&self, name: &str) -> Result<Arc<dyn Prepared>> {
        let inner = self.inner();
        inner.prepared.get(name).map(|named| Arc::clone(&named.prepared)).ok_or_else(|| no_statement(name))
    }

    pub(super) fn deallocate(&self, name: Option<&str>) -> Result<Outcome> {
        let inner = &mut *self.inner();
        match name {
            None => inner.forget_statements(),
            Some(name) => {
                inner.prepared.remove(name).ok_or_else(|| no_statement(name))?;
                inner.deallocated.push(name.to_owned());
            }
        }
        Ok(done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }))
    }
}

/// Type names of `PREPARE name (types)`.
fn parameter_type(sql_type: &SqlType) -> Result<Option<PgType>> {
    let name = sql_type.to_string().to_lowercase();
    let bare = name.split('(').next().unwrap_or_default().trim();
    let bare = bare.strip_prefix("pg_catalog.").unwrap_or(bare);
    let found = match bare.strip_suffix("[]") {
        Some(item) => named_type(item).and_then(PgType::array),
        None => named_type(bare),
    };
    found.map(Some).ok_or_else(|| Error::new(ErrorCode::UndefinedObject, format!("type \"{bare}\" does not exist")))
}

fn named_type(name: &str) -> Option<PgType> {
    PgType::from_name(name).or(match name {
        "integer" | "int" => Some(PgType::Int4),
        "bigint" => Some(PgType::Int8),
        "smallint" => Some(PgType::Int2),
        "boolean" => Some(PgType::Bool),
        "real" => Some(PgType::Float4),
        "double precision" | "double" | "float" => Some(PgType::Float8),
        "decimal" | "dec" => Some(PgType::Numeric),
        "character varying" => Some(PgType::Varchar),
        "character" => Some(PgType::Bpchar),
        "timestamp with time zone" => Some(PgType::Timestamptz),
        "timestamp without time zone" => Some(PgType::Timestamp),
        "time without time zone" => Some(PgType::Time),
        "time with time zone" => Some(PgType::Timetz),
        _ => None,
    })
}

fn no_statement(name: &str) -> Error {
    Error::new(ErrorCode::InvalidStatementName, format!("prepared statement \"{name}\" does not exist"))
}
