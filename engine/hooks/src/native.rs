//! Functions of ours that scripts reach. They are made with a context, before it is known which call will run in it.

use super::call::{Call, Host, LogLevel, LogLine};
use super::watch::Watch;
use querygate_metadata::model::HookCapability;
use rquickjs::{Ctx, Exception, Function, Object};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Lines that one call may write, and bytes of each.
const LINES_MAX: usize = 100;
const LINE_BYTES_MAX: usize = 2_000;
/// What a script hears that asks after its end.
const OVER: &str = r#"{"ok":false,"message":"the script has ended"}"#;

/// What the functions of one context serve: the one call that runs in it. Before it starts and after its end they do nothing.
#[derive(Default)]
pub(crate) struct Served {
    call: RefCell<Option<ServedCall>>,
}

struct ServedCall {
    host: Rc<dyn Host>,
    log: Vec<LogLine>,
}

impl Served {
    pub(crate) fn start(&self, call: &Call) {
        *self.call.borrow_mut() = Some(ServedCall { host: Rc::clone(&call.host), log: Vec::new() });
    }

    /// The lines that it wrote.
    pub(crate) fn end(&self) -> Vec<LogLine> {
        self.call.borrow_mut().take().map(|call| call.log).unwrap_or_default()
    }

    fn host(&self) -> Option<Rc<dyn Host>> {
        self.call.borrow().as_ref().map(|call| Rc::clone(&call.host))
    }

    fn write(&self, level: &str, text: String) {
        if let Some(call) = &mut *self.call.borrow_mut()
            && call.log.len() < LINES_MAX
        {
            call.log.push(LogLine { level: log_level(level), text: short(text) });
        }
    }
}

/// What the prelude calls `native`.
pub(crate) fn functions<'js>(ctx: &Ctx<'js>, served: &Rc<Served>, watch: &Rc<Watch>) -> rquickjs::Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    // The library would give them that of the runtime's first context.
    let prototype = Function::prototype(ctx.clone());
    let set = |name: &str, function: Function<'js>| {
        function.set_prototype(Some(&prototype))?;
        native.set(name, function)
    };
    let own = Rc::clone(served);
    let write = move |level: String, text: String| own.write(&level, text);
    set("log", Function::new(ctx.clone(), write)?)?;
    let own = Rc::clone(served);
    let uuid = move |ctx: Ctx<'js>| {
        let made = own.host().and_then(|host| host.uuid());
        made.ok_or_else(|| Exception::throw_message(&ctx, "there is no randomness"))
    };
    set("uuid", Function::new(ctx.clone(), uuid)?)?;
    let (own, watched) = (Rc::clone(served), Rc::clone(watch));
    let undeclared = move |name: String| {
        if own.host().is_some() {
            watched.end_undeclared(HookCapability::of(&name));
        }
    };
    set("undeclared", Function::new(ctx.clone(), undeclared)?)?;
    let watched = Rc::clone(watch);
    set("over", Function::new(ctx.clone(), move || watched.is_over())?)?;
    let (own, watched) = (Rc::clone(served), Rc::clone(watch));
    let api = move |request: String| asked(&own, &watched, &request);
    set("api", Function::new(ctx.clone(), api)?)?;
    Ok(native)
}

fn asked(served: &Served, watch: &Watch, request: &str) -> String {
    // The engine looks now and then whether a script is over, which may go on for some calls until then.
    let Some(host) = served.host().filter(|_| !watch.is_over()) else { return OVER.to_owned() };
    let asked = Instant::now();
    let answer = host.api(request);
    watch.answered(asked.elapsed());
    if host.stops() {
        watch.end();
    }
    answer
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
