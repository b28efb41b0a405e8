// postgres.js: prepared statements throughout, pipelining, cursors, savepoints, COPY as a stream, cancel.
import * as m from './matrix.mjs';
const postgres = m.load('postgres');

async function open(user, act, options = {}) {
  const sql = postgres({ ...m.gate(user), max: 1, onnotice: () => {}, ...options });
  try { return await act(sql); } finally { await sql.end({ timeout: 2 }); }
}

await m.run('postgres.js', m.version('postgres'), {
  connect: () => open('ada', async (sql) => m.expect('current_user', (await sql`select current_user::text as u`)[0].u, 'ada')),
  tables: async () => {
    for (const [user, count] of Object.entries(m.TABLES)) await open(user, async (sql) => {
      m.expect(`tables of ${user}`, (await sql`select table_name from information_schema.tables where table_schema = ${'public'}`).length, count);
    });
  },
  describe: async () => {
    for (const [user, tables] of Object.entries(m.COLUMNS)) await open(user, async (sql) => {
      for (const [table, count] of Object.entries(tables)) {
        m.expect(`columns of ${table}`, (await sql`select * from ${sql(table)}`.describe()).columns.length, count);
      }
    });
  },
  types: () => open('ada', async (sql) => {
    const note = await m.compareTypes(async (text) => {
      const [[value]] = await sql.unsafe(text).raw();
      return value === null ? null : value.toString('utf8');
    });
    for (const { table_name } of await sql`select table_name from information_schema.tables where table_schema = 'public'`) {
      await sql`select * from ${sql(table_name)} limit 20`;
    }
    return `${note}, every column of every table`;
  }),
  parameters: () => open('ada', async (sql) => {
    for (let n = 1; n <= 12; n++) {
      const id = `acc_${String(n).padStart(5, '0')}`;
      m.expect('id', (await sql`select id from accounts where id = ${id}`)[0].id, id);
      m.expect('in', (await sql`select id from regions where id in ${sql(['emea', 'amer'])}`).length, 2);
      m.expect('any', (await sql`select id from regions where id = any(${['emea', 'amer']})`).length, 2);
      const [row] = await sql`select ${n}::int4 a, ${'x'.repeat(n)}::text b, ${new Date(Date.UTC(2025, 0, n))}::timestamptz c, ${null}::text d, ${true}::bool e`;
      m.expect('echo', [row.a, row.b, row.c, row.d, row.e], [n, 'x'.repeat(n), new Date(Date.UTC(2025, 0, n)), null, true]);
    }
    return '4 statements, 12 executions each';
  }),
  errors: () => open('ada', async (sql) => {
    for (const [text, code] of [['select * from no_such_table', '42P01'], ['select no_such from regions', '42703'], ['selec 1', '42601'], ['select 1/0', '22012']]) {
      await m.expectError(() => sql.unsafe(text), code);
    }
    m.expect('after the errors', (await sql`select 1 as a`)[0].a, 1);
    await m.expectError(() => open('ada', (s) => s`select 1`, { password: 'wrong' }), '28P01');
  }),
  cancel: () => open('ada', async (sql) => {
    const running = sql.unsafe(m.SLOW);
    setTimeout(() => running.cancel(), 1000);
    await m.expectError(() => running, '57014');
    m.expect('after the cancel', (await sql`select 1 as a`)[0].a, 1);
  }),
  transactions: () => open('ada', async (sql) => {
    const count = await sql.begin('isolation level repeatable read read only', async (t) => {
      await t.savepoint((s) => s`select 1/0`).catch((e) => m.expect('code', e.code, '22012'));
      return (await t`select count(*)::int4 as n from regions`)[0].n;
    });
    m.expect('after the savepoint', count, 4);
    await m.expectError(() => sql`insert into regions (id) values (${'x'})`, '0A000', 'INSERT');
    return 'savepoint; writes are refused with 0A000: the gate reads';
  }),
  fetch: () => open('ada', async (sql) => {
    let count = 0;
    await sql.unsafe(m.LARGE).cursor(1000, (rows) => { count += rows.length; });
    m.expect('rows', count, 50000);
    let some = 0;
    for await (const rows of sql.unsafe(m.LARGE).cursor(10)) { some += rows.length; if (some >= 30) break; }
    m.expect('after an unfinished read', (await sql`select 1 as a`)[0].a, 1);
    return 'cursor of 1000, one left early';
  }),
  policy: async () => {
    for (const [user, count] of Object.entries(m.ACCOUNTS)) await open(user, async (sql) => {
      m.expect(`accounts of ${user}`, (await sql`select count(*)::int4 as n from accounts`)[0].n, count);
      for (const [table, columns] of Object.entries(m.HIDDEN)) for (const column of columns) {
        const act = () => sql`select ${sql(column)} from ${sql(table)} limit 1`;
        await (user === 'ada' ? act() : m.expectError(act, '42703', 'does not exist'));
      }
    });
  },
  own: () => open('ada', async (sql) => {
    const stream = await sql`copy (select id from regions order by id) to stdout`.readable();
    let text = '';
    for await (const part of stream) text += part;
    m.expect('COPY', text, 'amer\napac\nemea\nlatam\n');
    const piped = await Promise.all([1, 2, 3].map((n) => sql`select ${n}::int4 as n`));
    m.expect('pipelined', piped.map((r) => r[0].n), [1, 2, 3]);
    return 'COPY out as a stream, pipelined queries';
  }),
});
