//! `GET /data/:object` and `POST /data/:object/query`: a page of records, printed as it comes.

use super::expand::{Expansions, check_names};
use crate::answer::{JSON, Pieces, of_pieces, ok};
use crate::call::{Call, Named};
use crate::data::own;
use crate::data::question::{Ask, Expand, of_body, of_parameters};
use crate::refusal::{Envelope, Refusal};
use crate::site::Shared;
use crate::values::Printer;
use crate::work::{Found, Held, Work};
use axum::extract::State;
use axum::response::Response;
use querygate_query_api::requests::question::{JsonForm, ObjectDescription, OrderKey, Question};
use querygate_types::Error;
use querygate_types::json::print::quoted;
use querygate_types::vendor::VendorCode;
use serde_json::json;
use std::sync::Arc;

/// Bytes that one piece of an answer aims at.
const PIECE_BYTES: usize = 32 << 10;
/// Rows whose references are looked up together: as many ids as go into one question.
const GATHERED_ROWS: usize = 1_000;
/// Bytes of their batches beyond which no further one is waited for.
const GATHERED_BYTES: usize = 8 << 20;

pub(crate) async fn list(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let is_own = site.keeps_own(&call, &object)?;
        let work = site.work(&call).await?;
        if is_own {
            let is_truth = |name: &str| name == own::TRUTH;
            let ask = of_parameters(&object, &call.parameters()?, &is_truth, site.numbers())?;
            return own::page(&work, &ask, site.rows_max());
        }
        let described = described(&work, &object, "list").await?;
        let is_truth = |name: &str| described.field(name).is_some_and(|field| field.form == JsonForm::Boolean);
        let ask = of_parameters(&object, &call.parameters()?, &is_truth, site.numbers())?;
        answer(work, &described, ask, site.rows_max()).await
    };
    about(&object, answer.await)
}

pub(crate) async fn query(State(site): Shared, Named(object): Named<String>, call: Call) -> Response {
    let answer = async {
        let is_own = site.keeps_own(&call, &object)?;
        let work = site.work(&call).await?;
        if is_own {
            let (body, _held) = call.charged_question(&work, site.body_max()).await?;
            return own::page(&work, &of_body(&object, body.unwrap_or_default())?, site.rows_max());
        }
        let described = described(&work, &object, "list").await?;
        let (body, _held) = call.charged_question(&work, site.body_max()).await?;
        let ask = of_body(&object, body.unwrap_or_default())?;
        answer(work, &described, ask, site.rows_max()).await
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
    opens(&described, method)?;
    Ok(described)
}

/// `list` also opens exports, searches and analytics.
///
/// # Errors
/// Metadata does not open the object for this method.
pub(crate) fn opens(object: &ObjectDescription, method: &str) -> Result<(), Refusal> {
    match &object.api_methods {
        Some(allowed) if !allowed.iter().any(|allowed| allowed == method) => {
            let message = format!("The API method '{method}' is not enabled on object '{}'.", object.name);
            Err(Refusal::new(VendorCode::ObjectApiMethodNotAllowed, message).with("allowed", allowed.clone()))
        }
        Some(_) | None => Ok(()),
    }
}

async fn answer(work: Work, object: &ObjectDescription, ask: Ask, rows_max: u64) -> Result<Response, Refusal> {
    Expand::check_bounds(&ask.expand)?;
    check_names(&work, object, &ask.expand).await?;
    if ask.question.limit == Some(0) {
        work.check(&ask.question).await?;
        return Ok(ok(&json!({"object": object.name, "records": [], "total": 0, "hasMore": false})));
    }
    let mut ask = ask;
    order_ties(&mut ask.question, object, ask.is_paged);
    let mut question = ask.question.clone();
    // Where whether there are more is all that is said, one row more tells it without a count. A page that is as large as an answer
    // may be has no room for that row.
    // So does a search, whose records are not counted: its total is what was seen, and one where there are more.
    let is_uncounted = !ask.counts || question.search.is_some();
    let looks_behind = is_uncounted && question.limit.is_some_and(|limit| limit < rows_max);
    if looks_behind {
        question.limit = question.limit.map(|limit| limit + 1);
    }
    let found = work.find(&question).await?;
    let held = work.held();
    let (begun, open, printed, is_cut, ended) = (false, None, 0, false, false);
    let page = Page { work, ask, looks_behind, found, held, begun, open, printed, is_cut, ended };
    of_pieces(JSON, page).await
}

/// Ties of an order, and pages without one, are in the order of keys, which falls where the last key of the order does.
pub(crate) fn order_ties(question: &mut Question, object: &ObjectDescription, is_paged: bool) {
    let is_grouped = !question.group_by.is_empty() || !question.aggregations.is_empty();
    let Some(key) = object.key.as_ref().filter(|_| !is_grouped) else { return };
    let is_open = object.field(key).is_some_and(|field| !field.is_masked && !field.is_computed && !field.is_list);
    let is_wanted = is_paged || !question.order.is_empty();
    if is_open && is_wanted && !question.order.iter().any(|own| own.field == *key) {
        let descending = question.order.last().is_some_and(|last| last.descending);
        question.order.push(OrderKey { field: key.clone(), descending });
    }
}

/// A page of records on its way out.
struct Page {
    work: Work,
    ask: Ask,
    /// One row more than the page has was asked for.
    looks_behind: bool,
    found: Found,
    /// Batches that are being printed.
    held: Held,
    begun: bool,
    open: Option<Open>,
    printed: u64,
    /// A row came that is behind the page.
    is_cut: bool,
    ended: bool,
}

/// Batches that are being printed.
struct Open {
    printers: std::vec::IntoIter<Printer>,
    printer: Option<Printer>,
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
                let most = self.ask.question.limit.unwrap_or(u64::MAX);
                let ends = open.print(&mut out, &mut self.printed, most)?;
                self.is_cut |= ends == End::Page;
                if ends != End::Piece {
                    self.open = None;
                }
                if out.len() >= PIECE_BYTES {
                    return Ok(Some(out));
                }
            }
            if self.is_cut {
                break;
            }
            if self.open.is_none() {
                let printers = self.gather().await?;
                if printers.is_empty() {
                    break;
                }
                let expansions = Expansions::of(&self.work, &printers, &self.ask.expand).await?;
                let mut printers = printers.into_iter();
                self.open = Some(Open { printer: printers.next(), printers, expansions, row: 0 });
            }
        }
        self.ended = true;
        out.push(']');
        let seen = self.ask.question.offset.unwrap_or(0).saturating_add(self.printed);
        let mut has_more = self.is_cut;
        let is_searched = self.looks_behind && self.ask.counts;
        if is_searched {
            out.push_str(&format!(",\"total\":{}", seen.saturating_add(u64::from(self.is_cut))));
        } else if self.ask.counts || (self.ask.question.limit.is_some() && !self.looks_behind) {
            let total = self.total().await?;
            has_more = seen < total;
            if self.ask.counts {
                out.push_str(&format!(",\"total\":{}", if self.ask.rest_only { self.printed } else { total }));
            }
        }
        out.push_str(&format!(",\"hasMore\":{}}}", self.ask.question.limit.is_some() && has_more));
        Ok(Some(out))
    }
}

impl Page {
    /// The next batches: one, or those whose references are looked up together.
    async fn gather(&mut self) -> Result<Vec<Printer>, Refusal> {
        let (mut printers, mut rows) = (Vec::new(), 0);
        self.held.set(0)?;
        let most = if self.ask.expand.is_empty() { 1 } else { GATHERED_ROWS };
        while rows < most && self.held.bytes() < GATHERED_BYTES {
            let Some(printer) = self.found.next().await? else { break };
            self.held.grow(printer.bytes)?;
            rows += printer.rows;
            printers.push(printer);
        }
        Ok(printers)
    }

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

/// Why printing stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The piece is large enough.
    Piece,
    /// All rows are printed.
    Rows,
    /// The page is full, and there are more rows.
    Page,
}

impl Open {
    /// Prints rows until the piece is large enough, or as many as the page has.
    fn print(&mut self, out: &mut String, printed: &mut u64, most: u64) -> Result<End, Error> {
        let expansions = &self.expansions;
        while let Some(printer) = &self.printer {
            while self.row < printer.rows {
                if *printed >= most {
                    return Ok(End::Page);
                }
                if out.len() >= PIECE_BYTES {
                    return Ok(End::Piece);
                }
                if *printed > 0 {
                    out.push(',');
                }
                let instead = |column, row, out: &mut String| expansions.print(printer, column, row, out);
                printer.print(self.row, out, instead, |_| false)?;
                self.row += 1;
                *printed += 1;
            }
            (self.printer, self.row) = (self.printers.next(), 0);
        }
        Ok(End::Rows)
    }
}
