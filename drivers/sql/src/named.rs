//! Queries that a statement reads in several places: written once, in its WITH.

use crate::affixes::shared_name;
use crate::block::Block;
use crate::printer::{Printer, Stop, TEXT_BYTES_MAX, too_long};
use crate::repeated::Named;
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::relation::Relation;

impl Printer<'_> {
    /// A relation that the statement reads in several places, under the name that it has there.
    pub(crate) fn named(&mut self, kind: usize, relation: &Relation) -> Result<Block, Stop> {
        let ids = relation.output();
        if !self.named.iter().any(|named| named.kind == kind) {
            // It stands by itself, and names nothing around the place at hand. What it reads under a name is there by then: first things
            // come first in WITH.
            let reached = std::mem::replace(&mut self.reached, usize::MAX);
            let block = self.placed(relation, None)?;
            // DISTINCT looks at the select list.
            let block = if block.distinct && ids != block.order { self.close(block)? } else { block };
            let text = self.select(&block, &ids)?;
            self.reached = reached;
            let name = self.dialect.quote(&shared_name(self.named.len() + 1))?;
            self.named.push(Named { kind, name, columns: ids.clone(), text });
        }
        let alias = self.next_alias()?;
        let Some(named) = self.named.iter().find(|named| named.kind == kind) else {
            return Err(Refusal::new(RefusalReason::Invalid, "a query that is read twice has no name").into());
        };
        let mut block = Block { from: Some(format!("{} AS {alias}", named.name)), order: ids, ..Block::default() };
        for (id, own) in block.order.iter().zip(&named.columns) {
            block.columns.insert(*id, format!("{alias}.{}", self.dialect.quote(&own.to_string())?));
        }
        Ok(block)
    }

    /// The statement behind the queries that it names.
    pub(crate) fn with_named(&self, text: String) -> Result<String, Stop> {
        if self.named.is_empty() {
            return Ok(text);
        }
        let queries: Vec<String> =
            self.named.iter().map(|named| format!("{} AS ({})", named.name, named.text)).collect();
        let text = format!("WITH {} {text}", queries.join(", "));
        if text.len() > TEXT_BYTES_MAX { Err(too_long()) } else { Ok(text) }
    }
}
