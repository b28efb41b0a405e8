// The checks of the client matrix for Node, and what the demo must answer; knows no client.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// Packages live beside the runner's other installations, not in the repository.
export const load = createRequire(`${process.env.NODE_ROOT}/index.js`);
export const version = (name) => JSON.parse(readFileSync(`${process.env.NODE_ROOT}/node_modules/${name}/package.json`)).version;

export const gate = (user, password = `demo-${user}`) => ({
  host: '127.0.0.1', port: Number(process.env.GATE_PORT), database: 'demo', user, password,
});
export const uri = (user) => `postgres://${user}:demo-${user}@127.0.0.1:${process.env.GATE_PORT}/demo`;

export const CHECKS = ['connect', 'tables', 'describe', 'types', 'parameters', 'errors', 'cancel', 'transactions', 'fetch', 'policy', 'own'];
export const ACCOUNTS = { ada: 20000, sam: 2157 };
export const TABLES = { ada: 22, sam: 22, iris: 15 };
export const HIDDEN = { employees: ['salary', 'bonus'], products: ['unit_cost'], accounts: ['credit_limit'], opportunities: ['margin_percent'] };
export const COLUMNS = { ada: { employees: 10, products: 6, accounts: 17 }, sam: { employees: 8, products: 5, accounts: 16 } };
export const LARGE = 'select id, account_id, occurred_at, duration_ms from events order by id limit 50000';
export const SLOW = 'select count(*) from events a join events b on a.duration_ms < b.duration_ms';

export class Refused extends Error {}

export function typeCases() {
  return readFileSync(new URL('../types.tsv', import.meta.url), 'utf8').split('\n').filter((l) => l && !l.startsWith('#'))
    .map((l) => l.split('\t')).map(([name, expression, text]) => [name, expression, name === 'null' ? null : text]);
}

export function expect(what, got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

export async function expectError(act, code, words = '') {
  try {
    await act();
  } catch (error) {
    const cause = error.original ?? error.driverError ?? error.cause ?? error;
    expect(`code of "${cause.message}"`, cause.code, code);
    if (!cause.message.includes(words)) throw new Error(`"${cause.message}" has no "${words}"`);
    return;
  }
  throw new Error(`no error, expected ${code}`);
}

/** `read(sql)` gives the one value as the text that came over the wire. */
export async function compareTypes(read) {
  const wrong = [];
  const cases = typeCases();
  for (const [name, expression, expected] of cases) {
    let got;
    try { got = await read(`select ${expression} as v`); } catch (error) { got = `error: ${error.message}`; }
    if (got !== expected) wrong.push(`${name}: ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);
  }
  if (wrong.length) throw new Error(wrong.join('; '));
  return `${cases.length} types`;
}

export async function run(client, version, checks) {
  console.log(`client\t${client}\t${version}`);
  for (const name of process.env.CHECKS?.split(' ') ?? CHECKS) {
    if (!checks[name]) { console.log(`${name}\tn/a\t`); continue; }
    let [outcome, note] = ['ok', ''];
    try { note = (await checks[name]()) ?? ''; } catch (error) {
      [outcome, note] = [error instanceof Refused ? 'refused' : 'FAIL', String(error.message || error)];
      if (process.env.MATRIX_TRACE) console.error(error);
    }
    console.log(`${name}\t${outcome}\t${note.replace(/\s+/g, ' ').slice(0, 1500)}`);
  }
  process.exit(0);
}
