//! Followers of changes: `subscribers QUERYGATE [FOLLOWERS] [CHANGES_A_SECOND] [SECONDS] [USERS] [events|sockets]`. Prints a row of a markdown
//! table. The last says how they follow: by server-sent events, or over WebSockets.
//!
//! Starts the gate at QUERYGATE (the built binary) over a table in memory. The followers are spread over the users; each user sees the rows of
//! one region, each change is of the next region. A row carries the time at which its statement was sent, and its delay is that of its arrival.
//!
//! What an idle follower takes is the difference that the second half of them makes, after the first half has heard of changes: what the gate
//! takes once is in neither. Where there are as many users as followers, what is kept of a user is in it.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use querygate_bench::process;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PASSWORD: &str = "a password of the bench";
const OBJECT: &str = "bench_deals";
/// After this time the allocator has given back what was freed: else those who come later would take that and seem to need nothing.
const GIVEN_BACK: Duration = Duration::from_secs(15);

struct Sizes {
    followers: usize,
    rate: u64,
    seconds: u64,
    users: usize,
    by: By,
}

/// How they follow.
#[derive(Debug, Clone, Copy)]
enum By {
    Events,
    Sockets,
}

/// A gate with its folder; it ends with this.
struct Gate {
    child: Child,
    postgres: SocketAddr,
    rest: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let binary = arguments
        .first()
        .ok_or("subscribers QUERYGATE [FOLLOWERS] [CHANGES_A_SECOND] [SECONDS] [USERS] [events|sockets]")?;
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let sizes = Sizes {
        followers: usize::try_from(number(1, 1_000)?)?,
        rate: number(2, 500)?.max(1),
        seconds: number(3, 20)?.max(1),
        users: usize::try_from(number(4, 50)?)?.max(1),
        by: match arguments.get(5).map(String::as_str) {
            None | Some("events") => By::Events,
            Some("sockets") => By::Sockets,
            Some(_) => return Err("they follow by events or sockets".into()),
        },
    };
    let gate = start(Path::new(binary), &sizes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(&gate, &sizes))
}

fn free_port() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn start(binary: &Path, sizes: &Sizes) -> Result<Gate, Failure> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("metadata"))?;
    std::fs::write(at("metadata/stack.yaml"), STACK)?;
    let (postgres, rest) = (free_port()?, free_port()?);
    let all = sizes.followers + 64;
    let mut config = format!(
        "[server]\ndatabase = \"bench\"\npostgres = \"{postgres}\"\nhttp = \"off\"\nconnection_max = {}\n[flight]\naddress = \"off\"\n\
         [rest]\nlisten = \"{rest}\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
         [events]\npath = \"events\"\nsubscriptions_max = {all}\nsubscriptions_per_user_max = {all}\n\
         [[sources]]\nname = \"shop\"\nkind = \"memory\"\nwrites = true\n\
         [[users]]\nname = \"chief\"\npermission_sets = [\"bench_chief\"]\n",
        2 * all
    );
    let names: Vec<String> = (0..sizes.users).map(|user| format!("u{user}")).collect();
    for (number, name) in names.iter().enumerate() {
        write!(
            config,
            "[[users]]\nname = \"{name}\"\nemail = \"{name}@bench.example\"\npermission_sets = [\"bench_reader\"]\n\
             attributes = {{ region = \"r{number}\" }}\n"
        )?;
    }
    std::fs::write(at("querygate.toml"), config)?;
    for name in names.iter().map(String::as_str).chain(["chief"]) {
        let mut command = Command::new(binary);
        command.args(["user", "add", name, "--write"]).current_dir(folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        writeln!(child.stdin.take().ok_or("no input")?, "{PASSWORD}")?;
        child.wait()?;
    }
    let mut command = Command::new(binary);
    command.args(["serve", "-c", "querygate.toml"]).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    // Its output is read to the end, so that it never waits for a reader.
    std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).for_each(drop));
    let gate = Gate { child, postgres, rest, _folder: folder };
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(gate.rest).is_err() {
        if std::time::Instant::now() > end {
            return Err("the gate does not serve".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(gate)
}

async fn measure(gate: &Gate, sizes: &Sizes) -> Result<(), Failure> {
    let pid = gate.child.id();
    let mut tokens = Vec::new();
    for user in 0..sizes.users {
        tokens.push(token(gate.rest, user).await?);
    }
    let arrived = Arc::new(AtomicU64::new(0));
    let (sender, mut delays) = tokio::sync::mpsc::unbounded_channel::<u64>();
    let (followers, idle) = begin(gate, sizes, &tokens, (&sender, &arrived)).await?;
    drop(sender);
    while delays.try_recv().is_ok() {}
    arrived.store(0, Ordering::Relaxed);
    let cpu = process::cpu_seconds(pid);
    let began = Instant::now();
    let sent = change(gate, sizes, "d", sizes.rate * sizes.seconds).await?;
    // A gate that is too slow for the pace is late, and says so here.
    let rate = sent as f64 / began.elapsed().as_secs_f64();
    let wanted = deliveries(sizes, sent);
    let patience = Instant::now() + Duration::from_secs(10);
    while arrived.load(Ordering::Relaxed) < wanted && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cpu = process::cpu_seconds(pid) - cpu;
    let ended = followers.iter().filter(|follower| follower.is_finished()).count();
    if ended > 0 {
        return Err(format!("{ended} of {} followers were closed", sizes.followers).into());
    }
    followers.iter().for_each(JoinHandle::abort);
    let mut all = Vec::new();
    while let Ok(delay) = delays.try_recv() {
        all.push(delay);
    }
    all.sort_unstable();
    let at = |percent: usize| all.get((all.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(0);
    let ms = |percent: usize| at(percent) as f64 / 1_000.0;
    let delivered = arrived.load(Ordering::Relaxed);
    println!("{}", process::machine());
    println!(
        "| followers | users | changes/s | sent | delivered | p50 ms | p95 ms | p99 ms | KiB per idle follower | CPU s | not delivered |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {} | {} | {rate:.0} | {sent} | {delivered} | {:.1} | {:.1} | {:.1} | {idle:.1} | {cpu:.1} | {} |",
        sizes.followers,
        sizes.users,
        ms(50),
        ms(95),
        ms(99),
        wanted.saturating_sub(delivered)
    );
    Ok(())
}

/// The followers, and the KiB that the gate took for each of the second half of them.
async fn begin(
    gate: &Gate,
    sizes: &Sizes,
    tokens: &[String],
    (delays, arrived): (&tokio::sync::mpsc::UnboundedSender<u64>, &Arc<AtomicU64>),
) -> Result<(Vec<JoinHandle<()>>, f64), Failure> {
    let pid = gate.child.id();
    let mut begun = Vec::with_capacity(sizes.followers);
    let half = sizes.followers / 2;
    let mut before = 0;
    for follower in 0..sizes.followers {
        if follower == half {
            change(gate, sizes, "warm", 2 * sizes.users as u64).await?;
            tokio::time::sleep(GIVEN_BACK).await;
            before = process::memory_kib(pid, "VmRSS");
        }
        let token = tokens.get(follower % sizes.users).ok_or("no token")?;
        let stream = follow(gate.rest, token, sizes.by).await?;
        begun.push(tokio::spawn(hear(stream, delays.clone(), Arc::clone(arrived))));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let taken = process::memory_kib(pid, "VmRSS").saturating_sub(before);
    Ok((begun, taken as f64 / (sizes.followers - half).max(1) as f64))
}

/// How many events so many changes are, of one region after the other, to all who follow.
fn deliveries(sizes: &Sizes, changes: u64) -> u64 {
    let (users, followers) = (sizes.users as u64, sizes.followers as u64);
    // One more for the first ones where they do not divide evenly.
    let of = |count: u64, user: u64| count / users + u64::from(user < count % users);
    (0..users).map(|user| of(followers, user) * of(changes, user)).sum()
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

async fn token(rest: SocketAddr, user: usize) -> Result<String, Failure> {
    let body = format!("{{\"email\":\"u{user}@bench.example\",\"password\":\"{PASSWORD}\"}}");
    let mut stream = TcpStream::connect(rest).await?;
    let head = format!(
        "POST /api/v1/auth/sign-in/email HTTP/1.0\r\nhost: gate\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let body: serde_json::Value = serde_json::from_str(body)?;
    Ok(body.get("token").and_then(serde_json::Value::as_str).ok_or("no token")?.to_owned())
}

async fn follow(rest: SocketAddr, token: &str, by: By) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(rest).await?;
    let (version, upgrade, begun) = match by {
        By::Events => ("1.0", "", "\nid:"),
        By::Sockets => (
            "1.1",
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "\"reached\"",
        ),
    };
    let head = format!(
        "GET /api/v1/realtime?objects={OBJECT} HTTP/{version}\r\nhost: gate\r\n{upgrade}authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    // Until it has begun, a change would be missed.
    let (mut seen, mut some) = (Vec::new(), [0; 4_096]);
    while !seen.windows(begun.len()).any(|part| part == begun.as_bytes()) {
        let count = stream.read(&mut some).await?;
        if count == 0 {
            return Err(String::from_utf8_lossy(&seen).into_owned().into());
        }
        seen.extend_from_slice(some.get(..count).unwrap_or_default());
    }
    Ok(stream)
}

/// Notes the delay of each event.
async fn hear(mut stream: TcpStream, delays: tokio::sync::mpsc::UnboundedSender<u64>, arrived: Arc<AtomicU64>) {
    const MARK: &[u8] = b"\"sent\":";
    let (mut rest, mut some) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(count @ 1..) = stream.read(&mut some).await {
        let now = micros();
        rest.extend_from_slice(some.get(..count).unwrap_or_default());
        // However events are framed, each says once when it was sent.
        let mut read = 0;
        while let Some(left) = rest.get(read..) {
            let Some(at) = left.windows(MARK.len()).position(|part| part == MARK) else {
                read = rest.len().saturating_sub(MARK.len() - 1).max(read);
                break;
            };
            let digits = left.get(at + MARK.len()..).unwrap_or_default();
            let Some(length) = digits.iter().position(|byte| !byte.is_ascii_digit()) else {
                read += at;
                break;
            };
            let digits = digits.iter().take(length);
            let sent = digits.fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
            arrived.fetch_add(1, Ordering::Relaxed);
            let _ = delays.send(now.saturating_sub(sent));
            read += at + MARK.len() + length;
        }
        rest.drain(..read.min(rest.len()));
    }
}

/// Changes so many rows at an even pace, whose keys begin with this. How many.
async fn change(gate: &Gate, sizes: &Sizes, prefix: &str, count: u64) -> Result<u64, Failure> {
    let mut config = tokio_postgres::Config::new();
    config.host(gate.postgres.ip().to_string()).port(gate.postgres.port());
    config.user("chief").password(PASSWORD).dbname("bench");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let insert = client.prepare("INSERT INTO deals(id, region, sent) VALUES ($1, $2, $3)").await?;
    let begin = Instant::now();
    for number in 0..count {
        tokio::time::sleep_until(begin + Duration::from_secs_f64(number as f64 / sizes.rate as f64)).await;
        let region = format!("r{}", usize::try_from(number)? % sizes.users);
        client.execute(&insert, &[&format!("{prefix}{number}"), &region, &(micros() as f64)]).await?;
    }
    Ok(count)
}

const STACK: &str = r#"
manifest: { id: com.example.bench, namespace: bench, version: 1.0.0, type: app, name: Bench, engines: { protocol: "^17" } }
objects:
  - name: bench_deals
    label: Deal
    datasource: shop
    sharingModel: public_read_write
    access: { default: private }
    systemFields: false
    fields:
      id: { type: text, required: true }
      region: { type: text }
      sent: { type: number }
permissions:
  - name: bench_chief
    label: Chief
    objects:
      bench_deals: { allowRead: true, allowCreate: true, allowEdit: true, allowDelete: true, viewAllRecords: true, modifyAllRecords: true }
  - name: bench_reader
    label: Reader
    objects:
      bench_deals: { allowRead: true }
    rowLevelSecurity:
      - { name: region, label: Region, object: bench_deals, operation: select, using: "record.region == current_user.region" }
"#;
