//! A context in which nothing has run but the prelude: what each call has for itself. The prelude is compiled once; each context reads
//! its code and runs it, and shares no object with another.

use super::answer::Fault;
use super::call::{Call, LogLine};
use super::native::{Served, functions};
use super::watch::Watch;
use querygate_metadata::model::HookScript;
use rquickjs::context::intrinsic::{Date, Eval, Json, MapSet, Promise as Promises, Proxy, RegExp, RegExpCompiler};
use rquickjs::loader::Loader;
use rquickjs::loader::bundle::{Bundle, HasByteCode};
use rquickjs::module::WriteOptions;
use rquickjs::{Context, Ctx, Error, Exception, Function, Module, Object, Promise, Runtime};
use std::rc::Rc;
use std::sync::LazyLock;

const PRELUDE: &str = include_str!("prelude.js");
/// Where a context keeps what the prelude gives until it is taken: no script has run until then.
const KEPT: &str = "prelude";

/// No typed arrays, weak references and performance clocks: each of them tells something of the machine, or is of no use.
type Intrinsics = (Date, Eval, RegExpCompiler, RegExp, Json, Proxy, MapSet, Promises);

/// The prelude as the engine compiles it; nothing where it cannot, of which the engine makes an error. It is a module as only those are
/// loaded. It exports nothing: a script that imports it has an empty object.
static CODE: LazyLock<Vec<u8>> = LazyLock::new(|| compiled().unwrap_or_default());
static MODULES: [(&str, Compiled); 1] = [(KEPT, Compiled)];

struct Compiled;

/// The code is the engine's own of this very process, as its loader trusts it to be.
impl HasByteCode<'static> for Compiled {
    fn get_bytecode(&self) -> &'static [u8] {
        &CODE
    }
}

fn compiled() -> rquickjs::Result<Vec<u8>> {
    let context = Context::custom::<Intrinsics>(&Runtime::new()?)?;
    context.with(|ctx| {
        let module = Module::declare(ctx, KEPT, format!("globalThis.{KEPT} = {PRELUDE}"))?;
        module.write(WriteOptions { strip_source: true, strip_debug: true, ..WriteOptions::default() })
    })
}

/// Makes a runtime whose contexts share nothing: the library keeps the first context in which there is a function of ours for good, so
/// that one is made in which no script runs.
pub(crate) fn runtime() -> Result<Runtime, Fault> {
    let made = || {
        let runtime = Runtime::new()?;
        Context::base(&runtime)?.with(|ctx| Function::new(ctx, || ()).map(drop))?;
        Ok(runtime)
    };
    made().map_err(|_: Error| Fault::Memory)
}

/// A context that waits for its call.
pub(crate) struct FreshContext {
    context: Context,
    served: Rc<Served>,
}

impl FreshContext {
    pub(crate) fn new(runtime: &Runtime, watch: &Rc<Watch>) -> Result<Self, Fault> {
        let context = Context::custom::<Intrinsics>(runtime).map_err(|_| Fault::Memory)?;
        let served = Rc::new(Served::default());
        context.with(|ctx| {
            let failed = |error: Error| fault(&ctx, &error);
            let (_, _) = Bundle(&MODULES[..]).load(&ctx, KEPT, None).and_then(Module::eval).map_err(failed)?;
            let globals = ctx.globals();
            let prelude: Function<'_> = globals.get(KEPT).map_err(failed)?;
            let native = functions(&ctx, &served, watch).map_err(failed)?;
            let run: Function<'_> = prelude.call((native,)).map_err(failed)?;
            globals.set(KEPT, run).map_err(failed)
        })?;
        Ok(Self { context, served })
    }

    /// Runs the one script that it is for: the text that the prelude says of it, and what it wrote for operators.
    pub(crate) fn run(&self, script: &HookScript, call: &Call, watch: &Watch) -> (Result<String, Fault>, Vec<LogLine>) {
        self.served.start(call);
        let answer = self.context.with(|ctx| {
            let answer = evaluated(&ctx, script, call, watch);
            // Nothing is kept of what was thrown.
            ctx.catch();
            answer
        });
        (answer, self.served.end())
    }
}

/// The text that the prelude says of the call.
fn evaluated(ctx: &Ctx<'_>, script: &HookScript, call: &Call, watch: &Watch) -> Result<String, Fault> {
    let failed = |error: Error| fault(ctx, &error);
    let globals = ctx.globals();
    let run: Function<'_> = globals.get(KEPT).map_err(failed)?;
    globals.remove(KEPT).map_err(failed)?;
    let can = Object::new(ctx.clone()).map_err(failed)?;
    for capability in &script.capabilities {
        can.set(capability.name(), true).map_err(failed)?;
    }
    let held = serde_json::to_string(&call.held).map_err(|error| Fault::Engine(error.to_string()))?;
    let given = (script.source.as_str(), held, call.now_ms as f64, f64::from(call.seed), can);
    let promise: Promise<'_> = run.call(given).map_err(failed)?;
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
