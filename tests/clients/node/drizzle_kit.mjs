// drizzle-kit: `pull` writes a schema from the catalog, for each user; the generated schema and its relations then query the gate.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as m from './matrix.mjs';

const modules = `${process.env.NODE_ROOT}/node_modules`;
const folder = mkdtempSync(join(tmpdir(), 'querygate-drizzle-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
symlinkSync(modules, join(folder, 'node_modules'));
const pulled = new Map();

/** What `drizzle-kit pull` writes for one user, as text and as modules. */
function pull(user) {
  if (!pulled.has(user)) pulled.set(user, write(user));
  return pulled.get(user);
}

async function write(user) {
  const out = join(folder, user);
  const said = execFileSync('node', [`${modules}/drizzle-kit/bin.cjs`, 'pull', '--dialect', 'postgresql', '--url', m.uri(user), '--out', out],
    { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (!said.includes('Your schema file is ready')) throw new Error(said.trim().split('\n').pop());
  const esbuild = m.load('esbuild'), text = readFileSync(join(out, 'schema.ts'), 'utf8');
  for (const name of ['schema', 'relations']) {
    const { code } = await esbuild.transform(readFileSync(join(out, `${name}.ts`), 'utf8'), { loader: 'ts' });
    writeFileSync(join(out, `${name}.mjs`), code.replace('"./schema"', '"./schema.mjs"'));
  }
  const [schema, relations] = await Promise.all(['schema', 'relations'].map((name) => import(pathToFileURL(join(out, `${name}.mjs`)))));
  const { drizzle } = await import(pathToFileURL(`${modules}/drizzle-orm/node-postgres/index.js`));
  const pg = m.load('pg');
  return { text, schema, db: drizzle(new pg.Pool({ ...m.gate(user), max: 2, statement_timeout: 60_000 }), { schema: { ...schema, ...relations } }) };
}

const { count, eq, gt, sql } = await import(pathToFileURL(`${modules}/drizzle-orm/index.js`));
const tablesOf = (text) => text.match(/pgTable\("\w+"|pgView\("\w+"/g)?.length ?? 0;
const keysOf = (text) => text.match(/foreignKey\(\{/g)?.length ?? 0;
const columnsOf = (schema, table) => Object.keys(schema[table]).filter((name) => schema[table][name]?.columnType).length;

await m.run('drizzle-kit', m.version('drizzle-kit'), {
  connect: async () => { await pull('ada'); },
  tables: async () => {
    for (const [user, wanted] of Object.entries(m.TABLES)) {
      const { text, schema } = await pull(user);
      m.expect(`tables of ${user}`, tablesOf(text), wanted);
      m.expect(`employees for ${user}`, 'employees' in schema, user !== 'iris');
    }
  },
  describe: async () => {
    for (const user of ['ada', 'sam']) {
      const { text, schema } = await pull(user);
      for (const [table, wanted] of Object.entries(m.COLUMNS[user])) m.expect(`columns of ${table} for ${user}`, columnsOf(schema, table), wanted);
      m.expect(`keys for ${user}`, [keysOf(text) > 10, text.includes('.primaryKey()')], [true, true]);
    }
    return `a schema of ${tablesOf((await pull('ada')).text)} tables with ${keysOf((await pull('ada')).text)} foreign keys`;
  },
  parameters: async () => {
    const { db, schema: { accounts } } = await pull('ada');
    const prepared = db.select().from(accounts).where(eq(accounts.id, sql.placeholder('id'))).prepare('by_id');
    for (let n = 1; n <= 12; n++) {
      const id = `acc_${String(n).padStart(5, '0')}`;
      m.expect('prepared', (await prepared.execute({ id }))[0].id, id);
    }
  },
  errors: async () => {
    const { db } = await pull('sam');
    await m.expectError(() => db.select().from(sql`no_such_table`), '42P01');
    await m.expectError(() => db.execute(sql`select salary from employees`), '42703');
  },
  policy: async () => {
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) {
      const { db, schema, text } = await pull(user);
      m.expect(`accounts of ${user}`, (await db.select({ n: count() }).from(schema.accounts))[0].n, wanted);
      const hidden = Object.values(m.HIDDEN).flat().filter((name) => text.includes(`"${name}"`) || text.includes(`\t${name}:`));
      m.expect(`hidden columns of ${user}`, hidden.length > 0, user === 'ada');
    }
  },
  own: async () => {
    for (const user of ['ada', 'sam']) {
      const { db, schema: { accounts, regions } } = await pull(user);
      const found = await db.query.accounts.findMany({
        columns: { id: true, name: true, annualRevenue: true },
        with: { region: { columns: { name: true } }, contacts: { columns: { lastName: true }, limit: 2, orderBy: (c, { asc }) => asc(c.id) } },
        where: gt(accounts.rating, 2), orderBy: accounts.id, limit: 5,
      });
      m.expect(`accounts with their region for ${user}`, [found.length, found.every((a) => a.region.name && a.contacts.length <= 2)], [5, true]);
      const grouped = await db.select({ region: regions.name, n: count() }).from(accounts).innerJoin(regions, eq(accounts.regionId, regions.id)).groupBy(regions.name);
      m.expect(`accounts by region for ${user}`, grouped.reduce((sum, row) => sum + row.n, 0), m.ACCOUNTS[user]);
    }
    return 'pull, then relational queries (with, limit) and a join over the generated schema, as two users';
  },
});
