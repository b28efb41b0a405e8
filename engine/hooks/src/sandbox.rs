//! The engine: a runtime that many calls use, one after the other, each in a fresh context with bounds of its own.

use super::answer::{Fault, Made, read};
use super::call::{Call, LogLevel, LogLine, Report};
use querygate_metadata::model::{HookCapability, HookScript};
use rquickjs::context::intrinsic::{Date, Eval, Json, MapSet, Promise as Promises, Proxy, RegExp, RegExpCompiler};
use rquickjs::{Context, Ctx, Error, Exception, Function, Object, Promise, Runtime};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

const PRELUDE: &str = include_str!("prelude.js");
const STACK_BYTES: usize = 256 << 10;
/// A runtime is made anew after this number of calls, so that nothing adds up.
const CALLS_MAX: usize = 10_000;
/// Lines that one call may write, and bytes of each.
const LINES_MAX: usize = 100;
const LINE_BYTES_MAX: usize = 2_000;
/// What a script hears that asks after its end.
const OVER: &str = r#"{"ok":false,"message":"the script has ended"}"#;

/// No typed arrays, weak references and performance clocks: each of them tells something of the machine, or is of no use.
type Intrinsics = (Date, Eval, RegExpCompiler, RegExp, Json, Proxy, MapSet, Promises);

/// Runs scripts. It belongs to the thread that made it.
#[derive(Default)]
pub struct Sandbox {
    runtime: Option<Runtime>,
    calls: usize,
    watch: Rc<Watch>,
    measures: bool,
    memory: Option<u64>,
}

/// Until when a script may run.
#[derive(Default)]
struct Watch {
    end: Cell<Option<Instant>>,
    is_over: Cell<bool>,
    /// Time that the script waited for answers, which is not its own.
    waited: Cell<Duration>,
    wall_end: Cell<Option<Instant>>,
    calls: Cell<u32>,
    undeclared: Cell<Option<HookCapability>>,
}

impl Watch {
    fn start(&self, now: Instant, script: &HookScript) {
        self.end.set(now.checked_add(script.cpu));
        self.wall_end.set(now.checked_add(script.wall));
        self.waited.set(Duration::ZERO);
        self.is_over.set(false);
        self.calls.set(0);
        self.undeclared.set(None);
    }

    /// Ends the script where it stands. It cannot go on by catching something.
    fn end(&self) {
        self.is_over.set(true);
    }

    fn answered(&self, waited: Duration) {
        self.waited.set(self.waited.get().saturating_add(waited));
        self.calls.set(self.calls.get().saturating_add(1));
    }

    fn is_over(&self) -> bool {
        if self.is_over.get() {
            return true;
        }
        let now = Instant::now();
        let own = self.end.get().and_then(|end| end.checked_add(self.waited.get()));
        let over = own.is_none_or(|end| now > end) || self.wall_end.get().is_none_or(|end| now > end);
        self.is_over.set(over);
        over
    }
}

impl Sandbox {
    /// A runtime is made with the first call.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that says what each call takes of memory, which takes time.
    #[must_use]
    pub fn measured() -> Self {
        Self { measures: true, ..Self::default() }
    }

    /// Runs a script to its end, or to that of what it may take.
    pub fn run(&mut self, script: &HookScript, call: &Call) -> Report {
        let started = Instant::now();
        let log = Rc::new(RefCell::new(Vec::new()));
        self.watch.start(started, script);
        let made = self.called(script, call, &log);
        let is_sound = matches!(made, Ok(_) | Err(Fault::Thrown(_) | Fault::Syntax(_)));
        if !is_sound {
            // What ran out of something may have left things half done.
            self.runtime = None;
        }
        let log = std::mem::take(&mut *log.borrow_mut());
        let (calls, waited) = (self.watch.calls.get(), self.watch.waited.get());
        Report { made, log, took: started.elapsed(), calls, waited, memory: self.memory.take() }
    }

    fn called(&mut self, script: &HookScript, call: &Call, log: &Rc<RefCell<Vec<LogLine>>>) -> Result<Made, Fault> {
        let runtime = self.runtime()?;
        runtime.set_memory_limit(script.memory);
        let context = Context::custom::<Intrinsics>(&runtime).map_err(|_| Fault::Memory)?;
        let answer = context.with(|ctx| {
            let answer = evaluated(&ctx, script, call, log, &self.watch);
            // Nothing is kept of what was thrown.
            ctx.catch();
            answer
        });
        if self.measures {
            self.memory = u64::try_from(runtime.memory_usage().malloc_size).ok();
        }
        drop(context);
        if let Some(capability) = self.watch.undeclared.get() {
            return Err(Fault::Undeclared(capability));
        }
        if self.watch.is_over.get() {
            return Err(Fault::Time);
        }
        read(&answer?)
    }

    fn runtime(&mut self) -> Result<Runtime, Fault> {
        self.calls += 1;
        if self.calls > CALLS_MAX {
            (self.calls, self.runtime) = (1, None);
        }
        if let Some(runtime) = &self.runtime {
            return Ok(runtime.clone());
        }
        let runtime = Runtime::new().map_err(|_| Fault::Memory)?;
        runtime.set_max_stack_size(STACK_BYTES);
        let watch = Rc::clone(&self.watch);
        runtime.set_interrupt_handler(Some(Box::new(move || watch.is_over())));
        self.runtime = Some(runtime.clone());
        Ok(runtime)
    }
}

/// The text that the prelude says of the call.
fn evaluated(
    ctx: &Ctx<'_>,
    script: &HookScript,
    call: &Call,
    log: &Rc<RefCell<Vec<LogLine>>>,
    watch: &Rc<Watch>,
) -> Result<String, Fault> {
    let failed = |error: Error| fault(ctx, &error);
    let prelude: Function<'_> = ctx.eval(PRELUDE).map_err(failed)?;
    let native = native(ctx, call, log, watch).map_err(failed)?;
    let can = Object::new(ctx.clone()).map_err(failed)?;
    for capability in &script.capabilities {
        can.set(capability.name(), true).map_err(failed)?;
    }
    let run: Function<'_> = prelude.call((native, call.now_ms as f64, f64::from(call.seed), can)).map_err(failed)?;
    let held = serde_json::Value::Object(call.held.clone()).to_string();
    let promise: Promise<'_> = run.call((script.source.as_str(), held)).map_err(failed)?;
    loop {
        if let Some(answer) = promise.result::<String>() {
            return answer.map_err(failed);
        }
        if watch.is_over() {
            return Err(Fault::Time);
        }
        if !ctx.execute_pending_job() {
            return Err(Fault::Unfinished);
        }
    }
}

/// Functions of ours that the prelude calls.
fn native<'js>(
    ctx: &Ctx<'js>,
    call: &Call,
    log: &Rc<RefCell<Vec<LogLine>>>,
    watch: &Rc<Watch>,
) -> rquickjs::Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    let lines = Rc::clone(log);
    let write = move |level: String, text: String| {
        let mut lines = lines.borrow_mut();
        if lines.len() < LINES_MAX {
            lines.push(LogLine { level: log_level(&level), text: short(text) });
        }
    };
    native.set("log", Function::new(ctx.clone(), write)?)?;
    let host = Rc::clone(&call.host);
    let uuid = move |ctx: Ctx<'js>| host.uuid().ok_or_else(|| Exception::throw_message(&ctx, "there is no randomness"));
    native.set("uuid", Function::new(ctx.clone(), uuid)?)?;
    let own = Rc::clone(watch);
    let undeclared = move |name: String| {
        own.undeclared.set(HookCapability::of(&name));
        own.end();
    };
    native.set("undeclared", Function::new(ctx.clone(), undeclared)?)?;
    let (host, watch) = (Rc::clone(&call.host), Rc::clone(watch));
    let api = move |request: String| {
        // The engine looks now and then whether a script is over, which may go on for some calls until then.
        if watch.is_over() {
            return OVER.to_owned();
        }
        let asked = Instant::now();
        let answer = host.api(&request);
        watch.answered(asked.elapsed());
        if host.stops() {
            watch.end();
        }
        answer
    };
    native.set("api", Function::new(ctx.clone(), api)?)?;
    Ok(native)
}

fn log_level(name: &str) -> LogLevel {
    match name {
        "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

/// One line of bounded length, without what moves a terminal's cursor.
fn short(text: String) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = text.floor_char_boundary(LINE_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// What an error of the engine was.
fn fault(ctx: &Ctx<'_>, error: &Error) -> Fault {
    match error {
        Error::Allocation => Fault::Memory,
        Error::Exception => {
            let thrown = ctx.catch();
            let message = thrown.as_exception().and_then(Exception::message);
            match message {
                Some(message) if message != "out of memory" => Fault::Engine(message),
                // What has no message could not be made.
                Some(_) | None => Fault::Memory,
            }
        }
        other => Fault::Engine(other.to_string()),
    }
}
