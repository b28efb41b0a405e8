//! EXPLAIN of a change: what would be changed and how, and the plan of the query that finds the rows. Runs nothing.

use super::explain::{COLUMN, Shown, document_rows, nodes_of, shown};
use crate::session::GateSession;
use crate::session::PreparedStatement;
use crate::session::commands::text::text_rows;
use crate::sql::classify::ExplainStyle;
use crate::write::explain::ChangePlan;
use arrow::array::ArrayRef;
use datafusion::sql::sqlparser::ast::Statement as Ast;
use querygate_query_api::outcome::Outcome;
use querygate_types::Result;
use serde_json::{Map, Value, json};

impl GateSession {
    pub(in crate::session) async fn explain_write(
        &self,
        prepared: &PreparedStatement,
        ast: &Ast,
        parameters: &[ArrayRef],
        style: ExplainStyle,
    ) -> Result<Outcome> {
        let (targeted, bound, _) = self.target_write(ast, &prepared.declared, Some(parameters)).await?;
        let full = self.shows_native_text();
        let mut plan = ChangePlan::of(&targeted, full)?;
        let by_key = self.by_key(&targeted, bound.as_ref(), parameters).await?;
        let find = match &bound {
            // The plan is of a query that would not run.
            Some(_) if let Some(by_key) = by_key => {
                plan.names_row(by_key.at_once(), full);
                None
            }
            Some(bound) => Some(shown(self, prepared, bound, parameters, style).await?),
            None => None,
        };
        if style.json { document_rows(style, document(&plan, find)) } else { lines(&plan, find) }
    }
}

fn lines(plan: &ChangePlan, find: Option<Shown>) -> Result<Outcome> {
    let mut lines = vec![format!("{} on {}: source {}", plan.operation, plan.table, plan.source)];
    lines.extend(plan.details.iter().map(|(name, detail)| format!("  {name}: {detail}")));
    if let Some(find) = find {
        lines.push("  Find:".to_owned());
        lines.extend(find.physical.lines().map(|line| format!("    {line}")));
        lines.extend(find.notes);
    }
    text_rows(&[COLUMN], vec![lines], "EXPLAIN")
}

fn document(plan: &ChangePlan, find: Option<Shown>) -> Map<String, Value> {
    let mut node = Map::new();
    node.insert("Node Type".to_owned(), "ModifyTable".into());
    node.insert("Operation".to_owned(), plan.operation.into());
    node.insert("Relation Name".to_owned(), plan.table.as_str().into());
    node.insert("Source".to_owned(), plan.source.as_str().into());
    node.extend(plan.details.iter().map(|(name, detail)| ((*name).to_owned(), detail.as_str().into())));
    let mut notes = Vec::new();
    if let Some(find) = find {
        node.insert("Plans".to_owned(), nodes_of(&find.physical, &[]).into());
        notes = find.notes;
    }
    let mut explained = Map::new();
    explained.insert("Plan".to_owned(), node.into());
    explained.insert("Notes".to_owned(), json!(notes));
    explained
}
