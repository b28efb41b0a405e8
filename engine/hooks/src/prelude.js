// Run in each fresh context before a script: takes away what makes code of texts, sets the clock, and gives `ctx`. What it needs
// later it keeps for itself, so that a script cannot change it. Its value is a function of the script and of what `ctx` holds.
(function (native, now, seed, can) {
  'use strict';
  const { parse, stringify } = JSON;
  const { apply, construct, getPrototypeOf, defineProperty } = Reflect;
  const RealDate = Date, Text = String, Failure = Error, Range = RangeError;
  const { imul } = Math;
  const Body = (async function () {}).constructor;
  const { hasOwn: has } = Object;
  const isRegExp = (value) => value instanceof RegExp;
  const set = (target, name, value) =>
    defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });

  // No code of texts: a script is all that there is to read.
  const refuse = function () { throw new EvalError('code is not made of texts here'); };
  const kinds = [function () {}, async function () {}, function* () {}, async function* () {}];
  for (const kind of kinds) set(getPrototypeOf(kind), 'constructor', refuse);
  const NoFunction = function Function() { refuse(); };
  NoFunction.prototype = getPrototypeOf(refuse);
  set(globalThis, 'Function', NoFunction);
  set(globalThis, 'eval', refuse);

  // The clock stands at the statement's time, and chance is drawn from its seed.
  const FixedDate = function Date(...parts) {
    if (!new.target) return new RealDate(now).toString();
    return construct(RealDate, parts.length === 0 ? [now] : parts, new.target);
  };
  FixedDate.prototype = RealDate.prototype;
  set(RealDate.prototype, 'constructor', FixedDate);
  set(FixedDate, 'now', () => now);
  set(FixedDate, 'parse', RealDate.parse);
  set(FixedDate, 'UTC', RealDate.UTC);
  set(globalThis, 'Date', FixedDate);
  let state = seed | 0;
  set(Math, 'random', () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  });

  // Functions of the engine that run over a length without asking whether their time is over.
  const LENGTH_MAX = 1 << 20, SEARCH_MAX = 1e8;
  const wrap = (target, name, check) => {
    const real = target[name];
    if (typeof real !== 'function') return;
    set(target, name, { [name](...given) { return apply(real, check(this, given), given); } }[name]);
  };
  const bounded = (value) => {
    if (value !== null && typeof value === 'object' && value.length > LENGTH_MAX) throw new Range('a list is too long');
  };
  const list = (self, given) => {
    bounded(self);
    for (let at = 0; at < given.length; at++) bounded(given[at]);
    return self;
  };
  for (const name of ['fill', 'copyWithin', 'reverse', 'join', 'concat', 'slice', 'splice', 'shift', 'unshift', 'sort', 'flat',
    'toSorted', 'toSpliced', 'toReversed', 'with', 'toString', 'toLocaleString']) wrap(Array.prototype, name, list);
  wrap(Array, 'from', list);
  wrap(Reflect, 'apply', list);
  wrap(NoFunction.prototype, 'apply', list);
  const search = (self, given) => {
    if (self === null || self === undefined) return self;
    const text = Text(self);
    const wanted = given[0];
    if (typeof wanted === 'object' && wanted !== null && !isRegExp(wanted)) given[0] = Text(wanted);
    if (typeof given[0] === 'string' && text.length * given[0].length > SEARCH_MAX) throw new Range('a text is too long');
    return text;
  };
  for (const name of ['indexOf', 'lastIndexOf', 'includes', 'split', 'replace', 'replaceAll', 'localeCompare'])
    wrap(Text.prototype, name, search);

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
  const extend = (ctx) => {
    const log = {};
    for (const level of ['debug', 'info', 'warn', 'error'])
      log[level] = (...parts) => { need('log'); native.log(level, parts.map(plain).join(' ')); };
    ctx.log = log;
    const uuid = () => { need('crypto.uuid'); return native.uuid(); };
    ctx.crypto = { randomUUID: uuid, uuid };
    const ask = (capability, method, object, given) => {
      need(capability);
      const answer = parse(native.api(stringify({ method, object, given })));
      if (answer.ok) return answer.value;
      const failure = new Failure(answer.message);
      for (const name of ['name', 'code', 'status', 'sqlstate']) if (has(answer, name)) set(failure, name, answer[name]);
      throw failure;
    };
    const reads = ['find', 'findOne', 'count', 'aggregate'];
    const writes = ['insert', 'update', 'delete', 'upsert', 'updateMany', 'deleteMany'];
    const api = {
      object(name) {
        const methods = {};
        for (const method of reads) methods[method] = async (...given) => ask('api.read', method, name, given);
        for (const method of writes) methods[method] = async (...given) => ask('api.write', method, name, given);
        return methods;
      },
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
    ctx.api = api;
    return ctx;
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

  return async function (source, held) {
    let body;
    try { body = new Body('ctx', source); } catch (error) { return stringify({ syntax: plain(error && error.message) }); }
    const ctx = extend(parse(held));
    let returned;
    try { returned = await body(ctx); } catch (thrown) { return stringify(told(thrown)); }
    try { return stringify({ input: ctx.input, returned }); } catch (thrown) { return stringify(told(thrown)); }
  };
})
