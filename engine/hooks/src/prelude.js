// Run in each fresh context before a script: takes away what makes code of texts, sets the clock, and gives `ctx`. What it needs
// later it keeps for itself, so that a script cannot change it. It is compiled once and runs for each call, so that each function and
// each object of it is time of every call. Its value is a function of the script and of what it is given.
(function (native) {
  'use strict';
  const { parse, stringify } = JSON;
  const { apply, construct, getPrototypeOf, defineProperty } = Reflect;
  const { hasOwn: has } = Object;
  const { imul } = Math;
  const RealDate = Date, RealProxy = Proxy, Pattern = RegExp, Text = String, Failure = Error, Range = RangeError;
  const asyncs = getPrototypeOf(async function () {});
  const Body = asyncs.constructor;
  let now = 0, state = 0, can;

  // The first one shows a script the functions that called it, ours among them. Of the second, the engine never frees what it was set to.
  delete Failure.prepareStackTrace;
  delete Failure.stackTraceLimit;

  // No code of texts: a script is all that there is to read.
  const refuse = function () { throw new EvalError('code is not made of texts here'); };
  const refused = { value: refuse, writable: true, configurable: true, enumerable: false };
  defineProperty(asyncs, 'constructor', refused);
  defineProperty(getPrototypeOf(function* () {}), 'constructor', refused);
  defineProperty(getPrototypeOf(async function* () {}), 'constructor', refused);
  const functions = getPrototypeOf(refuse);
  functions.constructor = refuse;
  const NoFunction = function Function() { refuse(); };
  NoFunction.prototype = functions;
  globalThis.Function = NoFunction;
  globalThis.eval = refuse;

  // The clock stands at the statement's time, and chance is drawn from its seed. Handlers have no prototype: what a script adds to
  // `Object.prototype` would be theirs, and would be shown what they stand for.
  RealDate.now = () => now;
  RealDate.prototype.constructor = globalThis.Date = new RealProxy(RealDate, {
    __proto__: null,
    apply: () => new RealDate(now).toString(),
    construct: (real, given, made) => construct(real, given.length === 0 ? [now] : given, made),
  });
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };

  // Functions of the engine that run over a length without asking whether their time is over. (`toString` of a list is its `join`.)
  const LENGTH_MAX = 1 << 20, SEARCH_MAX = 1e8;
  // From here on a length is asked for: the engine itself asks once in ten thousand steps, each of which may be such a call.
  const LONG = 4096;
  const timely = (length) => {
    if (length > LONG && native.over()) throw new Range('the time of the script is over');
  };
  const bounded = (value) => {
    if (value === null || typeof value !== 'object') return;
    const { length } = value;
    if (length > LENGTH_MAX) throw new Range('a list is too long');
    timely(length);
  };
  const lists = {
    __proto__: null,
    apply(real, self, given) {
      bounded(self);
      for (let at = 0; at < given.length; at++) bounded(given[at]);
      return apply(real, self, given);
    },
  };
  const List = Array.prototype;
  List.fill = new RealProxy(List.fill, lists);
  List.copyWithin = new RealProxy(List.copyWithin, lists);
  List.reverse = new RealProxy(List.reverse, lists);
  List.join = new RealProxy(List.join, lists);
  List.concat = new RealProxy(List.concat, lists);
  List.slice = new RealProxy(List.slice, lists);
  List.splice = new RealProxy(List.splice, lists);
  List.shift = new RealProxy(List.shift, lists);
  List.unshift = new RealProxy(List.unshift, lists);
  List.sort = new RealProxy(List.sort, lists);
  List.flat = new RealProxy(List.flat, lists);
  List.toSorted = new RealProxy(List.toSorted, lists);
  List.toSpliced = new RealProxy(List.toSpliced, lists);
  List.toReversed = new RealProxy(List.toReversed, lists);
  List.with = new RealProxy(List.with, lists);
  List.toLocaleString = new RealProxy(List.toLocaleString, lists);
  Array.from = new RealProxy(Array.from, lists);
  Reflect.apply = new RealProxy(apply, lists);
  functions.apply = new RealProxy(functions.apply, lists);
  const searches = {
    __proto__: null,
    apply(real, self, given) {
      if (self === null || self === undefined) return apply(real, self, given);
      const text = Text(self);
      timely(text.length);
      const wanted = given[0];
      if (typeof wanted === 'object' && wanted !== null && !(wanted instanceof Pattern)) given[0] = Text(wanted);
      if (typeof given[0] === 'string' && text.length * given[0].length > SEARCH_MAX) throw new Range('a text is too long');
      return apply(real, text, given);
    },
  };
  const Texts = Text.prototype;
  Texts.indexOf = new RealProxy(Texts.indexOf, searches);
  Texts.lastIndexOf = new RealProxy(Texts.lastIndexOf, searches);
  Texts.includes = new RealProxy(Texts.includes, searches);
  Texts.split = new RealProxy(Texts.split, searches);
  Texts.replace = new RealProxy(Texts.replace, searches);
  Texts.replaceAll = new RealProxy(Texts.replaceAll, searches);
  Texts.localeCompare = new RealProxy(Texts.localeCompare, searches);
  // A length is read once: an object could say another one the second time.
  const longer = {
    __proto__: null,
    apply(real, self, given) {
      const length = +given[0];
      given[0] = length;
      timely(length);
      return apply(real, self, given);
    },
  };
  Texts.padEnd = new RealProxy(Texts.padEnd, longer);
  Texts.padStart = new RealProxy(Texts.padStart, longer);
  Texts.repeat = new RealProxy(Texts.repeat, {
    __proto__: null,
    apply(real, self, given) {
      if (self === null || self === undefined) return apply(real, self, given);
      const text = Text(self), times = +given[0];
      given[0] = times;
      timely(times * text.length);
      return apply(real, text, given);
    },
  });

  // The engine ends the script: there is nothing to catch.
  const need = (capability) => {
    if (has(can, capability)) return;
    native.undeclared(capability);
    throw new Failure("the capability '" + capability + "' is not declared");
  };
  const plain = (value) => {
    try {
      if (typeof value === 'string') return value;
      if (typeof value === 'object' && value !== null) return stringify(value) ?? 'an object';
      return Text(value);
    } catch { return 'a value without a text'; }
  };
  const say = (level) => (...parts) => { need('log'); native.log(level, parts.map(plain).join(' ')); };
  const uuid = () => { need('crypto.uuid'); return native.uuid(); };
  const ask = (capability, method, object, given) => {
    need(capability);
    const answer = parse(native.api(stringify({ method, object, given })));
    if (answer.ok) return answer.value;
    const failure = new Failure(answer.message);
    for (const name of ['name', 'code', 'status', 'sqlstate'])
      if (has(answer, name)) defineProperty(failure, name, { value: answer[name], writable: true, configurable: true, enumerable: false });
    throw failure;
  };
  const asking = (capability, method, object) => async (...given) => ask(capability, method, object, given);
  const api = {
    object: (name) => ({
      find: asking('api.read', 'find', name),
      findOne: asking('api.read', 'findOne', name),
      count: asking('api.read', 'count', name),
      aggregate: asking('api.read', 'aggregate', name),
      insert: asking('api.write', 'insert', name),
      update: asking('api.write', 'update', name),
      delete: asking('api.write', 'delete', name),
      upsert: asking('api.write', 'upsert', name),
      updateMany: asking('api.write', 'updateMany', name),
      deleteMany: asking('api.write', 'deleteMany', name),
    }),
    // What it did is undone where its work throws, and where it does not end before the script does.
    async transaction(work) {
      const number = ask('api.transaction', 'begin', null, []);
      let made;
      try {
        made = await work(api);
      } catch (thrown) {
        ask('api.transaction', 'rollback', null, [number]);
        throw thrown;
      }
      ask('api.transaction', 'commit', null, [number]);
      return made;
    },
  };

  // What was thrown, without trusting any of it.
  const told = (thrown) => {
    const read = (name) => { try { return thrown[name]; } catch { return undefined; } };
    const isObject = (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function';
    const message = isObject ? read('message') : plain(thrown);
    const code = isObject ? read('code') : undefined;
    const status = isObject ? read('status') : undefined;
    const short = (text) => (text.length > 2000 ? text.slice(0, 2000) : text);
    return {
      thrown: true,
      message: typeof message === 'string' ? short(message) : 'it was refused',
      code: typeof code === 'string' ? short(code) : null,
      status: typeof status === 'number' ? status : null,
      memory: message === 'out of memory' || thrown === null,
    };
  };

  return async function (source, held, time, seed, capabilities) {
    now = time; state = seed | 0; can = capabilities;
    let body;
    try { body = new Body('ctx', source); } catch (error) { return stringify({ syntax: plain(error && error.message) }); }
    const ctx = parse(held);
    ctx.log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    ctx.crypto = { randomUUID: uuid, uuid };
    ctx.api = api;
    let returned;
    try { returned = await body(ctx); } catch (thrown) { return stringify(told(thrown)); }
    try { return stringify({ input: ctx.input, returned }); } catch (thrown) { return stringify(told(thrown)); }
  };
})
