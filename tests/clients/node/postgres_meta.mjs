// Supabase's postgres-meta: the REST service that its Studio asks for tables, columns, relationships, views, functions and types.
// Its application answers in this process; the gate is told to it as its callers do, in an encrypted header.
import { pathToFileURL } from 'node:url';
import * as m from './matrix.mjs';

const root = `${process.env.NODE_ROOT}/node_modules/@supabase/postgres-meta`;
process.env.CRYPTO_KEY ??= 'only-for-this-test';
const { build } = await import(pathToFileURL(`${root}/dist/server/app.js`));
const CryptoJS = m.load('crypto-js');
const app = build();
// One listener per kind of object is added to its pool.
(await import('node:events')).EventEmitter.defaultMaxListeners = 50;

async function ask(user, url, payload) {
  const answer = await app.inject({
    method: payload ? 'POST' : 'GET', url, payload, headers: { 'x-connection-encrypted': CryptoJS.AES.encrypt(m.uri(user), process.env.CRYPTO_KEY).toString() },
  });
  if (answer.statusCode !== 200) throw new Error(`${url}: ${answer.statusCode} ${answer.body.slice(0, 300)}`);
  return answer.headers['content-type']?.includes('json') ? answer.json() : answer.body;
}

const inPublic = (rows) => rows.filter((row) => row.schema === 'public');
const query = (user, sql) => ask(user, '/query', { query: sql });

await m.run('Supabase postgres-meta', m.version('@supabase/postgres-meta'), {
  connect: async () => m.expect('user', (await query('ada', 'select current_user::text as u'))[0].u, 'ada'),
  tables: async () => {
    for (const [user, wanted] of Object.entries(m.TABLES)) {
      const tables = inPublic(await ask(user, '/tables')), views = inPublic(await ask(user, '/views'));
      m.expect(`tables and views of ${user}`, tables.length + views.length, wanted);
      m.expect(`employees for ${user}`, tables.some((t) => t.name === 'employees'), user !== 'iris');
    }
  },
  describe: async () => {
    for (const user of ['ada', 'sam']) {
      const columns = inPublic(await ask(user, '/columns'));
      for (const [table, wanted] of Object.entries(m.COLUMNS[user])) m.expect(`columns of ${table} for ${user}`, columns.filter((c) => c.table === table).length, wanted);
      const accounts = inPublic(await ask(user, '/tables')).find((t) => t.name === 'accounts');
      m.expect('primary key', accounts.primary_keys.map((k) => k.name), ['id']);
      const targets = accounts.relationships.filter((r) => r.source_table_name === 'accounts').map((r) => r.target_table_name).sort();
      m.expect('relationships', targets, ['regions', 'users']);
    }
    const indexes = inPublic(await ask('ada', '/indexes'));
    m.expect('indexes of accounts', indexes.some((i) => i.is_primary), true);
    return 'columns with types, keys, relationships, indexes';
  },
  errors: async () => {
    const failed = await query('ada', 'select * from no_such_table').then(() => '', (error) => error.message);
    m.expect('text', failed.includes('no_such_table'), true);
  },
  fetch: async () => { m.expect('rows', (await query('ada', m.LARGE)).length, 50000); return '50000 rows of its SQL editor'; },
  policy: async () => {
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) {
      m.expect(`accounts of ${user}`, Number((await query(user, 'select count(*)::int4 as n from accounts'))[0].n), wanted);
      const columns = inPublic(await ask(user, '/columns')).map((c) => `${c.table}.${c.name}`);
      const hidden = Object.entries(m.HIDDEN).flatMap(([table, names]) => names.map((name) => `${table}.${name}`)).filter((name) => columns.includes(name));
      m.expect(`hidden columns of ${user}`, hidden.length > 0, user === 'ada');
    }
  },
  own: async () => {
    const asked = ['schemas', 'functions', 'types', 'triggers', 'publications', 'policies', 'extensions', 'foreign-tables', 'materialized-views', 'roles', 'config',
      'table-privileges', 'column-privileges'];
    const failed = [];
    for (const name of asked) {
      try {
        m.expect(name, Array.isArray(await ask('ada', `/${name}`)), true);
      } catch (error) { failed.push(error.message); }
    }
    const typescript = await ask('sam', '/generators/typescript?included_schemas=public').catch((error) => { failed.push(error.message); return ''; });
    if (failed.length) throw new Error(failed.join('; '));
    m.expect('types of sam', [typescript.includes('accounts: {'), typescript.includes('annual_revenue: number'), typescript.includes('salary')], [true, true, false]);
    return `${asked.length} more of its lists; TypeScript types of what sam sees`;
  },
});
