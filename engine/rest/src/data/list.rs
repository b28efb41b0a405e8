//! `GET /data/:object` and `POST /data/:object/query`: a page of records, printed as it comes.

use super::ask::{Ask, Expand};
use super::expand::{Expansions, check_names};
use super::{body, spelling};
use crate::answer::{JSON, Pieces, of_pieces, ok};
use crate::call::{Call, Named};
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::values::Printer;
use crate::work::{Found, Work};
use axum::extract::State;
use axum::response::Response;
use querygate_query_api::holding::Holding;
use querygate_query_api::requests::question::ObjectDescription;
use querygate_types::Error;
use querygate_types::json::print::quoted;
use querygate_types::vendor::VendorCode;
use serde_json::json;
use std::sync::Arc;

/// Bytes that one piece of an answer aims at.
const PIECE_BYTES: usize = 32 << 10;

pub(crate) async fn list(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let described = described(&work, &object, "list").await?;
        let ask = spelling::ask_of(&object, &call.parameters()?)?;
        answer(work, &described, ask).await
    };
    about(&object, answer.await)
}

pub(crate) async fn query(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let work = site.work(&call).await?;
        let described = described(&work, &object, "list").await?;
        let body = call.json_if_any(site.body_max()).await?;
        let ask = body::ask_of(&object, body.unwrap_or_default())?;
        answer(work, &described, ask).await
    };
    about(&object, answer.await)
}

/// An answer about an object's records.
pub(crate) fn about(object: &str, answer: Result<Response, Refusal>) -> Response {
    answer.unwrap_or_else(|refusal| refusal.about(object).into_answer(Envelope::Flat))
}

/// The object, where the reader may use it so.
///
/// # Errors
/// There is none for the reader, or metadata does not open it for this method.
pub(crate) async fn described(work: &Work, object: &str, method: &str) -> Result<Arc<ObjectDescription>, Refusal> {
    let described = work.session().object(object).await?;
    if let Some(allowed) = &described.api_methods
        && !allowed.iter().any(|allowed| allowed == method)
    {
        let message = format!("The API method '{method}' is not enabled on object '{object}'.");
        return Err(Refusal::new(VendorCode::ObjectApiMethodNotAllowed, message).with("allowed", allowed.clone()));
    }
    Ok(described)
}

async fn answer(work: Work, object: &ObjectDescription, ask: Ask) -> Result<Response, Refusal> {
    Expand::check_bounds(&ask.expand)?;
    check_names(object, &ask.expand)?;
    if ask.question.limit == Some(0) {
        work.check(&ask.question).await?;
        return Ok(ok(&json!({"object": object.name, "records": [], "total": 0, "hasMore": false})));
    }
    let found = work.find(&ask.question).await?;
    let holding = work.holding();
    of_pieces(JSON, Page { work, ask, found, holding, begun: false, open: None, printed: 0, ended: false }).await
}

/// A page of records on its way out.
struct Page {
    work: Work,
    ask: Ask,
    found: Found,
    holding: Box<dyn Holding>,
    begun: bool,
    open: Option<Open>,
    printed: u64,
    ended: bool,
}

/// A batch that is being printed.
struct Open {
    printer: Printer,
    expansions: Expansions,
    row: usize,
}

impl Pieces for Page {
    async fn next(&mut self) -> Result<Option<String>, Refusal> {
        if self.ended {
            return Ok(None);
        }
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            out.push_str("{\"object\":");
            quoted(&self.ask.question.object, &mut out);
            out.push_str(",\"records\":[");
        }
        loop {
            if let Some(open) = &mut self.open {
                open.print(&mut out, &mut self.printed)?;
                if open.row == open.printer.rows {
                    self.open = None;
                }
                if out.len() >= PIECE_BYTES {
                    return Ok(Some(out));
                }
            }
            if self.open.is_none() {
                let Some(printer) = self.found.next().await? else { break };
                let expansions = Expansions::of(&self.work, &printer, &self.ask.expand).await?;
                self.holding.resize(expansions.bytes())?;
                self.open = Some(Open { printer, expansions, row: 0 });
            }
        }
        self.ended = true;
        let total = self.total().await?;
        out.push(']');
        if self.ask.counts {
            out.push_str(&format!(",\"total\":{}", if self.ask.rest_only { self.printed } else { total }));
        }
        let seen = self.ask.question.offset.unwrap_or(0).saturating_add(self.printed);
        out.push_str(&format!(",\"hasMore\":{}}}", self.ask.question.limit.is_some() && seen < total));
        Ok(Some(out))
    }
}

impl Page {
    /// Asked of the source only where the page itself does not say it.
    async fn total(&mut self) -> Result<u64, Refusal> {
        let question = &self.ask.question;
        let offset = question.offset.unwrap_or(0);
        let is_last = question.limit.is_none_or(|limit| self.printed < limit) && (self.printed > 0 || offset == 0);
        if is_last {
            return Ok(offset.saturating_add(self.printed));
        }
        self.work.total(question).await
    }
}

impl Open {
    /// Prints rows until the piece is large enough.
    fn print(&mut self, out: &mut String, printed: &mut u64) -> Result<(), Error> {
        let (printer, expansions) = (&self.printer, &self.expansions);
        while self.row < printer.rows && out.len() < PIECE_BYTES {
            if *printed > 0 {
                out.push(',');
            }
            let instead = |column, row, out: &mut String| expansions.print(printer, column, row, out);
            printer.print(self.row, out, instead, |_| false)?;
            self.row += 1;
            *printed += 1;
        }
        Ok(())
    }
}
