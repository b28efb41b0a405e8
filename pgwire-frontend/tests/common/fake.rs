//! An engine in memory that understands a few words: enough to drive every path of the door.

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use querygate_query_api::column::{Column, column_of};
use querygate_query_api::outcome::{
    BatchStream, CommandTag, CopyFormat, CopyOptions, Effect, ForceQuote, Notice, Outcome, Rows,
};
use querygate_query_api::requests::ingest::{CopyHeader, CopyIn, CopyInOptions, IngestColumn, LogVerbosity, OnError};
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::service::{
    Authenticator, ClientInfo, Delivery, Prepared, QueryService, Session, Statement, TransactionStatus,
};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, PgType, Result};
use ring::{digest, hmac, pbkdf2};
use std::any::Any;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

pub(crate) const USER: &str = "ada";
pub(crate) const PASSWORD: &str = "pencil";

/// Knows `ada`, database `demo` (and one of her name).
pub(crate) struct FakeAuth;

pub(crate) fn verifier(password: &str) -> ScramVerifier {
    let salt = b"0123456789abcdef".to_vec();
    // Few, so that tests with many clients stay fast.
    let iterations = 64;
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(iterations).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().try_into().unwrap();
    let server_key = hmac::sign(&key, b"Server Key").as_ref().try_into().unwrap();
    ScramVerifier { iterations, salt, stored_key, server_key }
}

impl Authenticator for FakeAuth {
    fn scram_verifier(&self, user: &str) -> ScramVerifier {
        let mut verifier = verifier(PASSWORD);
        if user != USER {
            verifier.stored_key = [0; 32];
        }
        verifier
    }
    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        (user == USER).then(|| Arc::new(Principal::builder(user).build()))
    }
    fn has_database(&self, database: &str) -> bool {
        matches!(database, "demo" | USER)
    }
}

#[derive(Default)]
pub(crate) struct FakeService {
    sessions: Arc<AtomicUsize>,
    /// Statements executed.
    pub(crate) executed: Arc<AtomicUsize>,
    /// A batch that the text `batch` returns.
    pub(crate) batch: Mutex<Option<RecordBatch>>,
}

impl FakeService {
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }
}

impl QueryService for FakeService {
    fn open(&self, principal: Arc<Principal>, client: ClientInfo) -> BoxFuture<'_, Result<Arc<dyn Session>>> {
        Box::pin(async move {
            let mut settings: HashMap<String, String> = HashMap::from([
                ("TimeZone".to_owned(), "UTC".to_owned()),
                ("DateStyle".to_owned(), "ISO, MDY".to_owned()),
                ("application_name".to_owned(), String::new()),
                ("idle_in_transaction_session_timeout".to_owned(), "0".to_owned()),
            ]);
            for (name, value) in client.settings {
                let known = settings.keys().find(|known| known.eq_ignore_ascii_case(&name)).cloned();
                match known
                    .or_else(|| (name == "client_encoding" || name == "extra_float_digits").then(|| name.clone()))
                {
                    Some(known) => settings.insert(known, value),
                    None => {
                        let message = format!("unrecognized configuration parameter \"{name}\"");
                        return Err(Error::new(ErrorCode::UndefinedObject, message));
                    }
                };
            }
            self.sessions.fetch_add(1, Ordering::SeqCst);
            Ok(Arc::new(FakeSession {
                user: principal.login.clone(),
                sessions: Arc::clone(&self.sessions),
                executed: Arc::clone(&self.executed),
                batch: self.batch.lock().unwrap().clone(),
                settings: Mutex::new(settings),
                status: Mutex::new(TransactionStatus::Idle),
                effects: Mutex::default(),
                running: Mutex::default(),
                named: Mutex::default(),
                deallocated: Mutex::default(),
            }) as Arc<dyn Session>)
        })
    }
}

struct FakeSession {
    user: String,
    sessions: Arc<AtomicUsize>,
    executed: Arc<AtomicUsize>,
    batch: Option<RecordBatch>,
    settings: Mutex<HashMap<String, String>>,
    status: Mutex<TransactionStatus>,
    effects: Mutex<Vec<Effect>>,
    running: Mutex<CancellationToken>,
    named: Mutex<Vec<String>>,
    deallocated: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct FakeStatement(String);

impl Statement for FakeStatement {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn text(&self) -> &str {
        &self.0
    }
}

#[derive(Debug)]
struct FakePrepared {
    text: String,
    types: Vec<PgType>,
    columns: Option<Vec<Column>>,
}

impl Prepared for FakePrepared {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn parameter_types(&self) -> &[PgType] {
        &self.types
    }
    fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
    }
}

fn numbers_schema() -> SchemaRef {
    let fields = vec![Field::new("id", DataType::Int32, false), Field::new("name", DataType::Utf8, true)];
    Arc::new(Schema::new(fields))
}

fn numbers(from: i32, until: i32) -> RecordBatch {
    let names = (from..until).map(|id| (id % 3 != 0).then(|| format!("n{id}")));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from_iter_values(from..until)), Arc::new(names.collect::<StringArray>())];
    RecordBatch::try_new(numbers_schema(), columns).unwrap()
}

fn canceled() -> Error {
    Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request")
}

fn columns_of(schema: &Schema) -> Vec<Column> {
    schema.fields().iter().map(|field| column_of(field)).collect()
}

fn rows_of(batch: RecordBatch) -> Rows {
    let schema = batch.schema();
    Rows {
        columns: columns_of(&schema).into(),
        schema,
        batches: stream::iter([Ok(batch)]).boxed(),
        tag: CommandTag::Counted("SELECT"),
    }
}

/// The parameters as a row, under the names of the statement's columns.
fn echoed(prepared: &FakePrepared, parameters: &[ArrayRef]) -> Rows {
    let columns = prepared.columns.as_ref().unwrap();
    let fields = parameters.iter().zip(columns);
    let fields: Vec<Field> =
        fields.map(|(array, column)| Field::new(&column.name, array.data_type().clone(), true)).collect();
    let mut rows = rows_of(RecordBatch::try_new(Arc::new(Schema::new(fields)), parameters.to_vec()).unwrap());
    rows.columns = columns.clone().into();
    rows
}

fn copy_in(csv: bool) -> CopyIn {
    let column = |name: &str, pg_type: PgType, data_type: DataType| IngestColumn {
        name: name.to_owned(),
        pg_type,
        data_type,
        force_not_null: false,
        force_null: false,
        has_default: false,
    };
    CopyIn {
        table: "t".to_owned(),
        columns: Arc::new([column("id", PgType::Int4, DataType::Int32), column("name", PgType::Text, DataType::Utf8)]),
        options: CopyInOptions {
            format: if csv { CopyFormat::Csv } else { CopyFormat::Text },
            header: CopyHeader::Absent,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".to_owned() },
            default: None,
            quote: b'"',
            escape: b'"',
            on_error: OnError::Stop,
            log_verbosity: LogVerbosity::Default,
        },
        progress: Arc::default(),
    }
}

impl FakeSession {
    fn word<'a>(&self, text: &'a str) -> (String, &'a str) {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        (word.to_ascii_lowercase(), rest.trim())
    }

    fn number_rows(&self, total: i32, then_wait: bool) -> Rows {
        let token = self.running.lock().unwrap().clone();
        let batches = stream::unfold((0, token), move |(from, token)| async move {
            if token.is_cancelled() {
                return Some((Err(canceled()), (from, token)));
            }
            if from >= total {
                if then_wait {
                    token.cancelled().await;
                    return Some((Err(canceled()), (from, token)));
                }
                return None;
            }
            let until = total.min(from + 1000);
            Some((Ok(numbers(from, until)), (until, token)))
        });
        Rows {
            columns: columns_of(&numbers_schema()).into(),
            schema: numbers_schema(),
            batches: batches.boxed(),
            tag: CommandTag::Counted("SELECT"),
        }
    }

    fn copied_out(&self, format: &str) -> Outcome {
        let (format, null) = match format {
            "csv" => (CopyFormat::Csv, ""),
            "binary" => (CopyFormat::Binary, ""),
            _ => (CopyFormat::Text, "\\N"),
        };
        let options = CopyOptions {
            format,
            header: format == CopyFormat::Csv,
            delimiter: if format == CopyFormat::Csv { b',' } else { b'\t' },
            null: null.to_owned(),
            quote: b'"',
            escape: b'"',
            force_quote: ForceQuote::These(Vec::new()),
        };
        let mut rows = self.number_rows(4, false);
        rows.tag = CommandTag::Counted("COPY");
        Outcome::CopyOut(rows, options)
    }

    fn set_status(&self, status: TransactionStatus) {
        *self.status.lock().unwrap() = status;
    }

    fn text_row(&self, name: &str, value: &str) -> Rows {
        let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, false)]));
        rows_of(RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![value]))]).unwrap())
    }
}

impl Session for FakeSession {
    fn split(&self, sql: &str) -> Result<Vec<Arc<dyn Statement>>> {
        if let Some(at) = sql.find("syntax!") {
            let position = u32::try_from(sql[..at].chars().count()).unwrap() + 1;
            return Err(
                Error::new(ErrorCode::SyntaxError, "syntax error at or near \"syntax!\"").with_position(position)
            );
        }
        let texts = sql.split(';').map(str::trim).filter(|text| !text.is_empty());
        Ok(texts.map(|text| Arc::new(FakeStatement(text.to_owned())) as Arc<dyn Statement>).collect())
    }

    fn prepare<'a>(
        &'a self,
        statement: &'a Arc<dyn Statement>,
        types: &'a [Option<PgType>],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move {
            let text = statement.text().to_owned();
            let (word, rest) = self.word(&text);
            let ended = matches!(word.as_str(), "commit" | "rollback");
            if *self.status.lock().unwrap() == TransactionStatus::Failed && !ended {
                let message = "current transaction is aborted, commands ignored until end of transaction block";
                return Err(Error::new(ErrorCode::InFailedTransaction, message));
            }
            let (types, columns) = match word.as_str() {
                "rows" | "stall" | "endless" => (vec![], Some(columns_of(&numbers_schema()))),
                "select" | "show" => (vec![], Some(self.text_row("value", "").columns.to_vec())),
                "batch" => (vec![], Some(columns_of(&self.batch.as_ref().unwrap().schema()))),
                "echo" => {
                    let named = rest.split(',').filter(|name| !name.is_empty()).enumerate();
                    let types: Vec<PgType> = named
                        .map(|(at, name)| {
                            PgType::from_name(name.trim()).or(types.get(at).copied().flatten()).unwrap_or(PgType::Text)
                        })
                        .collect();
                    let columns = types.iter().enumerate().map(|(at, pg_type)| Column {
                        name: format!("p{}", at + 1),
                        pg_type: *pg_type,
                        type_modifier: -1,
                        enum_oid: None,
                        table_oid: 0,
                        attribute: 0,
                    });
                    (types.clone(), Some(columns.collect()))
                }
                "missing" => {
                    let error = Error::new(ErrorCode::UndefinedColumn, "column \"x\" does not exist");
                    return Err(error.with_position(9).with_hint("Look again."));
                }
                _ => (vec![], None),
            };
            Ok(Arc::new(FakePrepared { text, types, columns }) as Arc<dyn Prepared>)
        })
    }

    /// Counts rows; `copyin refused` has enough after the first batch.
    fn ingest<'a>(&'a self, prepared: &'a Arc<dyn Prepared>, mut rows: BatchStream) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let prepared = prepared.as_any().downcast_ref::<FakePrepared>().unwrap();
            let mut count = 0;
            while let Some(batch) = rows.next().await {
                count += batch?.num_rows() as u64;
                if prepared.text.ends_with("refused") {
                    return Err(Error::new(ErrorCode::UniqueViolation, "duplicate key"));
                }
            }
            Ok(count)
        })
    }

    fn run<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
        _: Delivery<'a>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            self.executed.fetch_add(1, Ordering::SeqCst);
            let prepared = prepared.as_any().downcast_ref::<FakePrepared>().unwrap();
            let token = CancellationToken::new();
            *self.running.lock().unwrap() = token.clone();
            let (word, rest) = self.word(&prepared.text);
            let fixed = |tag: &str| Ok(Outcome::Command(CommandTag::Fixed(tag.to_owned())));
            match word.as_str() {
                "rows" => Ok(Outcome::Rows(self.number_rows(rest.parse().unwrap(), false))),
                "stall" => Ok(Outcome::Rows(self.number_rows(rest.parse().unwrap(), true))),
                "endless" => Ok(Outcome::Rows(self.number_rows(i32::MAX, false))),
                "select" => Ok(Outcome::Rows(self.text_row("value", if rest == "user" { &self.user } else { rest }))),
                "show" => Ok(Outcome::Rows(self.text_row(rest, &self.setting(rest).unwrap_or_default()))),
                "batch" => Ok(Outcome::Rows(rows_of(self.batch.clone().unwrap()))),
                "echo" => Ok(Outcome::Rows(echoed(prepared, parameters))),
                "copy" => Ok(self.copied_out(rest)),
                "copyin" => Ok(Outcome::CopyIn(copy_in(rest == "csv"))),
                "wait" => {
                    token.cancelled().await;
                    Err(canceled())
                }
                "begin" | "start" => {
                    self.set_status(TransactionStatus::InTransaction);
                    fixed("BEGIN")
                }
                "commit" | "rollback" => {
                    self.set_status(TransactionStatus::Idle);
                    fixed(if word == "commit" { "COMMIT" } else { "ROLLBACK" })
                }
                "set" => {
                    let (name, value) = rest.split_once('=').unwrap();
                    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
                    self.settings.lock().unwrap().insert(name.clone(), value.clone());
                    self.effects.lock().unwrap().push(Effect::ParameterStatus { name, value });
                    fixed("SET")
                }
                "notice" => {
                    let message = rest.to_owned();
                    let notice = Notice { severity: "NOTICE", sqlstate: "00000".to_owned(), message, hint: None };
                    self.effects.lock().unwrap().push(Effect::Notice(notice));
                    fixed("DO")
                }
                "deallocate" => {
                    let mut named = self.named.lock().unwrap();
                    let (dropped, kept) =
                        named.iter().cloned().partition(|name: &String| rest == "all" || name == rest);
                    *named = kept;
                    *self.deallocated.lock().unwrap() = dropped;
                    fixed("DEALLOCATE")
                }
                "boom" => Err(Error::internal("the secret cause")),
                "panic" => panic!("asked to"),
                _ => Err(Error::new(ErrorCode::DivisionByZero, "division by zero")),
            }
        })
    }

    fn statement_named(&self, name: &str, prepared: Option<&Arc<dyn Prepared>>) {
        let mut named = self.named.lock().unwrap();
        named.retain(|known| known != name);
        named.extend(prepared.map(|_| name.to_owned()));
    }

    fn take_deallocated(&self) -> Vec<String> {
        std::mem::take(&mut self.deallocated.lock().unwrap())
    }

    fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.effects.lock().unwrap())
    }

    fn reported_settings(&self) -> Vec<(String, String)> {
        vec![("server_version".to_owned(), "15.18".to_owned()), ("client_encoding".to_owned(), "UTF8".to_owned())]
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.lock().unwrap().get(name).cloned()
    }

    fn transaction_status(&self) -> TransactionStatus {
        *self.status.lock().unwrap()
    }

    fn fail_transaction(&self) {
        let mut status = self.status.lock().unwrap();
        if *status == TransactionStatus::InTransaction {
            *status = TransactionStatus::Failed;
        }
    }

    fn cursor(&self, name: &str) -> Option<Arc<[Column]>> {
        (name == "declared").then(|| columns_of(&numbers_schema()).into())
    }

    fn cancel(&self) {
        self.running.lock().unwrap().cancel();
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.sessions.fetch_sub(1, Ordering::SeqCst);
        })
    }
}
