//! One request's session with the engine: its questions and what they give. Knows no HTTP.

use crate::refusal::Refusal;
use crate::values::Printer;
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use futures::{FutureExt, StreamExt};
use querygate_query_api::holding::Holding;
use querygate_query_api::outcome::{BatchStream, Outcome, Rows};
use querygate_query_api::requests::platform::{OwnObject, OwnRecords, Platform};
use querygate_query_api::requests::question::{AnswerColumn, AnswerForm, ObjectDescription, Question};
use querygate_query_api::service::{Asked, Delivery, Session};
use querygate_types::Error;
use querygate_types::principal::Principal;
use querygate_types::vendor::VendorCode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of a field of a record beside its text.
const FIELD_BYTES: usize = 64;

/// A session that ends with the request, whether it was answered or its client left.
#[derive(Clone)]
pub(crate) struct Work {
    session: Arc<Closing>,
    platform: Arc<dyn Platform>,
    principal: Arc<Principal>,
}

struct Closing(Arc<dyn Session>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.cancel();
        // Outside of a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let session = Arc::clone(&self.0);
        let mut closing = async move { session.close().await }.boxed();
        // One that has nothing open in a source ends at once; a task for it would wake another thread.
        if (&mut closing).now_or_never().is_none() {
            runtime.spawn(closing);
        }
    }
}

/// Bytes that a request holds for a while, charged to its user as they grow.
pub(crate) struct Held {
    holding: Box<dyn Holding>,
    bytes: usize,
}

impl Held {
    /// Charges this number of bytes, too.
    ///
    /// # Errors
    /// 53200: there is no room for them.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.set(self.bytes.saturating_add(bytes))
    }

    /// The number of bytes that are held from now on.
    ///
    /// # Errors
    /// As of [`Self::grow`].
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Error> {
        self.holding.resize(bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Rows of a question, and what their columns are.
pub(crate) struct Found {
    pub(crate) columns: Arc<[AnswerColumn]>,
    pub(crate) batches: BatchStream,
}

impl Work {
    pub(crate) fn new(session: Arc<dyn Session>, platform: Arc<dyn Platform>, principal: Arc<Principal>) -> Self {
        Self { session: Arc::new(Closing(session)), platform, principal }
    }

    /// Whether an object is one of ObjectStack's own, whose records the gate keeps and who asks may read.
    pub(crate) fn keeps_own(&self, object: &str) -> bool {
        self.platform.own_object(&self.principal, object) == Some(OwnObject::Kept)
    }

    /// Records of such an object, charged to who asks; `ids`: those alone.
    ///
    /// # Errors
    /// What keeps them cannot be read; 53200: there is no room for them.
    pub(crate) fn own_records(&self, object: &str, ids: Option<&BTreeSet<&str>>) -> Result<(OwnRecords, Held), Error> {
        let found = self.platform.own_records(&self.principal, object, ids)?;
        let size = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len) + FIELD_BYTES;
        let mut held = self.held();
        held.grow(found.records.iter().flatten().map(size).fold(0, usize::saturating_add))?;
        Ok((found, held))
    }

    pub(crate) fn session(&self) -> &dyn Session {
        self.session.0.as_ref()
    }

    /// An object; `None` of one that the principal does not see.
    ///
    /// # Errors
    /// What else stands in the way, which says nothing of the object.
    pub(crate) async fn object_if_seen(&self, name: &str) -> Result<Option<Arc<ObjectDescription>>, Error> {
        match self.session().object(name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) => match error.vendor_code() {
                Some(VendorCode::ObjectNotFound | VendorCode::PermissionDenied | VendorCode::ObjectApiDisabled) => {
                    Ok(None)
                }
                Some(_) | None => Err(error),
            },
        }
    }

    /// Nothing is held yet.
    pub(crate) fn held(&self) -> Held {
        Held { holding: self.session().holding(), bytes: 0 }
    }

    /// Binds a question and runs nothing: whatever is wrong with it is found.
    pub(crate) async fn check(&self, question: &Question) -> Result<(), Refusal> {
        self.session().ask(question, AnswerForm::Records).await?;
        Ok(())
    }

    pub(crate) async fn find(&self, question: &Question) -> Result<Found, Refusal> {
        let asked = self.session().ask(question, AnswerForm::Records).await?;
        let rows = self.run(&asked).await?;
        Ok(Found { columns: asked.columns, batches: rows.batches })
    }

    /// How many records there are before the page is cut.
    pub(crate) async fn total(&self, question: &Question) -> Result<u64, Refusal> {
        let asked = self.session().ask(question, AnswerForm::Total).await?;
        let mut batches = self.run(&asked).await?.batches;
        let mut total = None;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            if batch.num_rows() > 0 {
                total = Some(first_number(&batch)?);
            }
        }
        total.ok_or_else(|| Error::internal("a total gave no row").into())
    }

    async fn run(&self, asked: &Asked) -> Result<Rows, Refusal> {
        match self.session().run(&asked.prepared, &asked.parameters, Delivery::Batches).await? {
            Outcome::Rows(rows) => Ok(rows),
            Outcome::Empty | Outcome::Command(_) | Outcome::Messages(_) | Outcome::CopyOut(..) | Outcome::CopyIn(_) => {
                Err(Error::internal("a question gave no rows").into())
            }
        }
    }
}

fn first_number(batch: &RecordBatch) -> Result<u64, Error> {
    let column = batch.columns().first().ok_or_else(|| Error::internal("a total has no column"))?;
    let numbers = cast(column, &DataType::Int64).map_err(Error::internal)?;
    let numbers = numbers.as_primitive_opt::<Int64Type>().filter(|numbers| numbers.is_valid(0));
    let number = numbers.map(|numbers| numbers.value(0)).ok_or_else(|| Error::internal("a total is null"))?;
    u64::try_from(number).map_err(Error::internal)
}

impl Found {
    /// The next batch, ready to be printed.
    pub(crate) async fn next(&mut self) -> Result<Option<Printer>, Refusal> {
        loop {
            match self.batches.next().await {
                None => return Ok(None),
                Some(batch) => {
                    let batch = batch?;
                    if batch.num_rows() > 0 {
                        return Ok(Some(Printer::new(&self.columns, &batch)?));
                    }
                }
            }
        }
    }
}
