//! The workers of a gate: sealing parts for them, choosing one, asking another where one is lost before it gave a row.

use super::address::WorkerAddress;
use super::ask::{Answer, ask, refused};
use super::members::{Member, MemberState, Running};
use super::reads::PartReads;
use crate::part::{FileVersion, LIFETIME_MS, Leaf, Part, RELEASE, SigningKey, Steps};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::stream::BoxStream;
use querygate_types::{Error, ErrorCode, Result};
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// An error that comes this soon may be an old one: a connection keeps what came of its last attempt for who asks next, if who asked
/// before has given up.
const STALE_WITHIN: Duration = Duration::from_millis(100);

/// How often a part is sealed for one worker, where other processes take its place meanwhile.
const STARTS_MAX: usize = 3;

/// PEM texts of both sides of a connection to a worker.
#[derive(Clone)]
pub struct TlsIdentity {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub authorities: Vec<u8>,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity(…)")
    }
}

/// What a pool is made of.
#[derive(Debug)]
pub struct PoolOptions {
    /// Each worker.
    pub addresses: Vec<WorkerAddress>,
    pub key: SigningKey,
    pub tls: TlsIdentity,
    /// Leaves that read fewer bytes of files stay in the gate, unless a session asks otherwise.
    pub bytes_min: u64,
}

/// The workers of one gate.
#[derive(Debug)]
pub struct WorkerPool {
    key: SigningKey,
    gate: [u8; 16],
    tls: TlsIdentity,
    bytes_min: u64,
    members: RwLock<Vec<Arc<Member>>>,
    next: AtomicUsize,
}

/// Rows that parts join with, and the memory that they take here.
#[derive(Debug, Clone, Default)]
pub(super) struct SideRows {
    pub(super) all: Arc<[Arc<Vec<u8>>]>,
    _room: Option<Arc<MemoryReservation>>,
}

impl SideRows {
    pub(super) fn new(all: Arc<[Arc<Vec<u8>>]>, room: MemoryReservation) -> Self {
        Self { all, _room: Some(Arc::new(room)) }
    }
}

/// What one stream of a leaf asks for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) leaf: Arc<Leaf>,
    /// What is done with its rows where they are read.
    pub(super) steps: Option<Arc<Steps>>,
    pub(super) sides: SideRows,
    pub(super) files: Arc<[FileVersion]>,
    pub(super) deployment: u64,
}

impl WorkerPool {
    /// Makes the pool. Connections are made when parts are asked for.
    ///
    /// # Errors
    /// An address or certificate that cannot be used.
    pub fn new(options: PoolOptions) -> Result<Arc<Self>> {
        let pool = Self {
            gate: random()?,
            key: options.key,
            tls: options.tls,
            bytes_min: options.bytes_min,
            members: RwLock::default(),
            next: AtomicUsize::new(0),
        };
        pool.replace(&options.addresses)?;
        Ok(Arc::new(pool))
    }

    /// Takes another list of workers. Those that stay keep their connections.
    ///
    /// # Errors
    /// As [`new`](Self::new); the list of before stays then.
    pub fn replace(&self, addresses: &[WorkerAddress]) -> Result<()> {
        let known = self.members();
        let mut members: Vec<Arc<Member>> = Vec::with_capacity(addresses.len());
        for address in addresses {
            if members.iter().any(|member| member.address == *address) {
                continue;
            }
            members.push(match known.iter().find(|member| member.address == *address) {
                Some(member) => Arc::clone(member),
                None => Arc::new(Member::new(address, &self.tls)?),
            });
        }
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
        Ok(())
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many workers there are, and how many of them answered when they were asked last.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let members = self.members();
        (members.len(), members.iter().filter(|member| !member.rests()).count())
    }

    /// Sets the metrics of how many workers there are.
    pub fn measure(&self) {
        let (known, answering) = self.size();
        metrics::gauge!("querygate_workers").set(known as f64);
        metrics::gauge!("querygate_workers_up").set(answering as f64);
    }

    /// The workers as operators see them.
    #[must_use]
    pub fn states(&self) -> Vec<MemberState> {
        self.members().iter().map(|member| member.state()).collect()
    }

    pub(super) fn bytes_min(&self) -> u64 {
        self.bytes_min
    }

    /// The workers in the order in which they are to be asked: those that answer before those that failed, the idle ones first.
    fn order(&self) -> Vec<Arc<Member>> {
        let mut members = self.members();
        if !members.is_empty() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % members.len();
            members.rotate_left(turn);
        }
        members.sort_by_key(|member| (member.rests(), member.running()));
        members
    }

    fn sealed(&self, asked: &Asked, member: &Member, start: [u8; 16]) -> Result<Vec<u8>> {
        let issued_ms = now_ms();
        self.key.seal(&Part {
            release: RELEASE.to_owned(),
            gate: self.gate,
            nonce: random()?,
            worker: member.address.name.clone(),
            start,
            deployment: asked.deployment,
            issued_ms,
            expires_ms: issued_ms.saturating_add(LIFETIME_MS),
            leaf: Arc::clone(&asked.leaf),
            steps: asked.steps.clone(),
            sides: Arc::clone(&asked.sides.all),
            files: Arc::clone(&asked.files),
        })
    }

    async fn ask(
        &self,
        member: &Arc<Member>,
        asked: &Asked,
        schema: &SchemaRef,
        reads: Option<&Arc<PartReads>>,
    ) -> Result<Answer> {
        for _ in 0..STARTS_MAX {
            let start = match member.start().await {
                Ok(start) => start,
                Err(status) => return refused(&status).map(Answer::Lost),
            };
            let sealed = self.sealed(asked, member, start)?;
            let reading = reads.map(|reads| reads.reading(&asked.leaf, Some(&member.address.reached())));
            match ask(Running::on(Arc::clone(member), reading), sealed, schema).await? {
                Answer::Restarted => member.restarted(),
                answer @ (Answer::Rows(_) | Answer::Lost(_)) => return Ok(answer),
            }
        }
        Ok(Answer::Lost("other processes answer at its address one after another".to_owned()))
    }

    /// The rows of a part, from the first worker that gives any. A worker that is lost after that fails the statement: what it has
    /// given was passed on.
    pub(super) async fn rows(
        &self,
        asked: &Asked,
        schema: &SchemaRef,
        reads: Option<&Arc<PartReads>>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut last = "there is no worker".to_owned();
        for member in self.order() {
            let began = Instant::now();
            let mut answer = self.ask(&member, asked, schema, reads).await?;
            if matches!(answer, Answer::Lost(_)) && began.elapsed() < STALE_WITHIN {
                answer = self.ask(&member, asked, schema, reads).await?;
            }
            match answer {
                Answer::Rows(rows) => return Ok(rows),
                Answer::Restarted => return Err(Error::internal("a restart of a worker was not followed")),
                Answer::Lost(why) => {
                    tracing::warn!(
                        worker = member.address.reached(),
                        why,
                        "a worker gave nothing of a part; another one is asked"
                    );
                    member.failed();
                    last = why;
                }
            }
        }
        Err(Error::new(ErrorCode::SourceUnavailable, "no worker is available")
            .with_hint("Set querygate.workers to off to run the statement in the gate.")
            .with_cause(last))
    }
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
