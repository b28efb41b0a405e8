// kysely-codegen: types of every table from the catalog, for each user; a query over them is checked by TypeScript's compiler and run.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as m from './matrix.mjs';

const modules = `${process.env.NODE_ROOT}/node_modules`;
const folder = mkdtempSync(join(tmpdir(), 'querygate-kysely-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
symlinkSync(modules, join(folder, 'node_modules'));
const QUERY = `import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { DB } from './db';
export async function run(settings: object) {
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool: new pg.Pool(settings) }) });
  const rows: { name: string | null; n: string | number | bigint; best: number | null }[] = await db.selectFrom('accounts as a').innerJoin('regions as r', 'r.id', 'a.region_id')
    .select(({ fn }) => ['r.name', fn.countAll().as('n'), fn.max('a.rating').as('best')]).where('a.rating', '>=', 1).groupBy('r.name').orderBy('r.name').execute();
  await db.destroy();
  return rows;
}
`;
const LIMITED = QUERY.replace("where('a.rating', '>=', 1)", "where('a.credit_limit', '>=', '1')");
const written = new Map();

/** The generated types of one user. */
function types(user) {
  if (!written.has(user)) {
    const file = join(folder, `${user}.d.ts`);
    execFileSync('node', [`${modules}/kysely-codegen/dist/cli/bin.js`, '--url', m.uri(user), '--dialect', 'postgres', '--default-schema', 'public', '--include-pattern', 'public.*', '--out-file', file],
      { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    written.set(user, readFileSync(file, 'utf8'));
  }
  return written.get(user);
}

/** The columns of an interface. */
const columns = (text, name) => text.match(new RegExp(`export interface ${name} \\{([^}]*)\\}`))?.[1].match(/^ {2}\w+: /gm).length ?? 0;

/** Complaints of the compiler about the query, over the types of a user. */
function complaints(user, query) {
  const ts = m.load('typescript');
  writeFileSync(join(folder, 'db.d.ts'), types(user));
  writeFileSync(join(folder, 'query.ts'), query);
  writeFileSync(join(folder, 'pg.d.ts'), "declare module 'pg' { const found: any; export default found; }");
  const program = ts.createProgram([join(folder, 'query.ts'), join(folder, 'pg.d.ts')], {
    strict: true, noEmit: true, skipLibCheck: true, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, target: ts.ScriptTarget.ES2022, types: [],
  });
  return ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, ' '));
}

await m.run('kysely-codegen', m.version('kysely-codegen'), {
  connect: () => { types('ada'); },
  tables: () => {
    for (const [user, wanted] of Object.entries(m.TABLES)) {
      const listed = types(user).match(/export interface DB \{([^}]*)\}/)[1].trim().split('\n').map((line) => line.trim().split(':')[0]);
      m.expect(`tables of ${user}`, listed.length, wanted);
      m.expect(`employees for ${user}`, listed.includes('employees'), user !== 'iris');
    }
  },
  describe: () => {
    for (const user of ['ada', 'sam']) {
      for (const [name, table] of [['Employees', 'employees'], ['Products', 'products'], ['Accounts', 'accounts']]) {
        m.expect(`columns of ${table} for ${user}`, columns(types(user), name), m.COLUMNS[user][table]);
      }
      m.expect('types', ['rating: number | null', 'strategic: boolean | null', 'created_at: Timestamp', 'id: string;'].filter((t) => !types(user).includes(t)), []);
    }
  },
  policy: () => {
    m.expect('the query is well typed for sam', complaints('sam', QUERY), []);
    m.expect('a hidden column is none of his', complaints('sam', LIMITED).length > 0, true);
      return "TypeScript's compiler knows what a user sees";
  },
  own: async () => {
    const { code } = await m.load('esbuild').transform(QUERY, { loader: 'ts' });
    writeFileSync(join(folder, 'query.mjs'), code);
    const { run } = await import(pathToFileURL(join(folder, 'query.mjs')));
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) {
      m.expect(`accounts of ${user}`, (await run(m.gate(user))).reduce((sum, row) => sum + Number(row.n), 0), wanted);
    }
    return 'a typed join with aggregates, as two users';
  },
});
