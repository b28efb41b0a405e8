// node-postgres: text results, unnamed and named statements, cursor, stream, pool.
import * as m from './matrix.mjs';
const pg = m.load('pg'), Cursor = m.load('pg-cursor'), QueryStream = m.load('pg-query-stream');

async function open(user, act, password) {
  const client = new pg.Client(m.gate(user, password));
  client.on('error', () => {});
  await client.connect();
  try { return await act(client); } finally { await client.end(); }
}
const one = async (c, sql, values) => Object.values((await c.query(sql, values)).rows[0])[0];

await m.run('node-postgres', m.version('pg'), {
  connect: () => open('ada', async (c) => m.expect('current_user', await one(c, 'select current_user'), 'ada')),
  tables: async () => {
    for (const [user, count] of Object.entries(m.TABLES)) await open(user, async (c) => {
      const { rows } = await c.query("select table_name from information_schema.tables where table_schema = $1", ['public']);
      m.expect(`tables of ${user}`, rows.length, count);
      m.expect('employees', rows.some((r) => r.table_name === 'employees'), user !== 'iris');
    });
  },
  describe: async () => {
    for (const [user, tables] of Object.entries(m.COLUMNS)) await open(user, async (c) => {
      for (const [table, count] of Object.entries(tables)) {
        m.expect(`columns of ${table} for ${user}`, (await c.query(`select * from ${table} limit 0`)).fields.length, count);
      }
    });
  },
  types: () => open('ada', async (c) => {
    const raw = { getTypeParser: () => (value) => value };
    const note = await m.compareTypes(async (text) => (await c.query({ text, types: raw })).rows[0].v);
    const { rows } = await c.query("select table_name from information_schema.tables where table_schema = 'public'");
    for (const { table_name } of rows) {
      await c.query(`select * from ${table_name} limit 20`);
      await c.query({ text: `select * from ${table_name} limit 20`, binary: true });
    }
    const row = (await c.query("select 1::int8 a, true b, date '2024-02-29' c, '{\"a\":1}'::json d, '{1,2}'::int4[] e, 1.5::float8 f")).rows[0];
    m.expect('parsed', [row.a, row.b, row.c instanceof Date, row.d, row.e, row.f], ['1', true, true, { a: 1 }, [1, 2], 1.5]);
    return `${note}, every column of every table in text and binary`;
  }),
  parameters: () => open('ada', async (c) => {
    for (let n = 1; n <= 12; n++) {
      const id = `acc_${String(n).padStart(5, '0')}`;
      m.expect('unnamed', await one(c, 'select id from accounts where id = $1', [id]), id);
      m.expect('named', (await c.query({ name: 'by id', text: 'select id from accounts where id = $1', values: [id] })).rows[0].id, id);
      m.expect('array', (await c.query('select id from regions where id = any($1)', [['emea', 'amer']])).rows.length, 2);
      const got = (await c.query('select $1::int4 a, $2::text b, $3::numeric c, $4::timestamptz d, $5::bool e, $6::text f',
        [n, "o'", '1.50', new Date(Date.UTC(2025, 0, n)), n % 2 === 0, null])).rows[0];
      m.expect('echo', [got.a, got.b, Number(got.c), got.d, got.e, got.f], [n, "o'", 1.5, new Date(Date.UTC(2025, 0, n)), n % 2 === 0, null]);
    }
    return '4 statements, 12 executions each';
  }),
  errors: () => open('ada', async (c) => {
    for (const [sql, code] of [['select * from no_such_table', '42P01'], ['select no_such from regions', '42703'], ['selec 1', '42601'],
      ['select 1/0', '22012'], ["select 'x'::int", '22P02']]) {
      await m.expectError(() => c.query(sql), code);
      await m.expectError(() => c.query(sql + ' -- extended', []), code);
    }
    m.expect('after the errors', await one(c, 'select 1'), 1);
    await m.expectError(() => open('ada', async () => {}, 'wrong'), '28P01');
  }),
  cancel: () => open('ada', async (c) => {
    const running = c.query(m.SLOW);
    setTimeout(() => new pg.Client(m.gate('ada')).cancel(c, c._activeQuery ?? c.activeQuery), 1000);
    await m.expectError(() => running, '57014');
    m.expect('after the cancel', await one(c, 'select 1'), 1);
  }),
  transactions: () => open('ada', async (c) => {
    await c.query('begin isolation level repeatable read');
    await c.query('savepoint a');
    await m.expectError(() => c.query('select 1/0'), '22012');
    await m.expectError(() => c.query('select 1'), '25P02');
    await c.query('rollback to a');
    m.expect('after the savepoint', await one(c, 'select count(*) from regions'), '4');
    await c.query('commit');
    await m.expectError(() => c.query("insert into regions (id) values ($1)", ['x']), '0A000', 'INSERT');
    return 'writes are refused with 0A000: the gate reads';
  }),
  fetch: () => open('ada', async (c) => {
    const cursor = c.query(new Cursor(m.LARGE));
    let count = 0, rows;
    while ((rows = await cursor.read(1000)).length) count += rows.length;
    m.expect('rows', count, 50000);
    await cursor.close();
    const early = c.query(new Cursor(m.LARGE));
    m.expect('first', (await early.read(10)).length, 10);
    await early.close();
    let streamed = 0;
    for await (const _ of c.query(new QueryStream(m.LARGE, [], { highWaterMark: 500 }))) streamed++;
    m.expect('streamed', streamed, 50000);
    return 'cursor of 1000, stream of 500';
  }),
  policy: async () => {
    for (const [user, count] of Object.entries(m.ACCOUNTS)) await open(user, async (c) => {
      m.expect(`accounts of ${user}`, await one(c, 'select count(*) from accounts'), String(count));
      for (const [table, columns] of Object.entries(m.HIDDEN)) for (const column of columns) {
        const act = () => c.query(`select ${column} from ${table} limit 1`);
        await (user === 'ada' ? act() : m.expectError(act, '42703', 'does not exist'));
      }
    });
  },
  own: async () => {
    const pool = new pg.Pool({ ...m.gate('sam'), max: 2 });
    for (let n = 0; n < 4; n++) m.expect('pooled', await one(pool, 'select count(*) from accounts'), '2157');
    await pool.end();
    return open('ada', async (c) => {
      m.expect('several statements', (await c.query('select 1 a; select 2 a')).map((r) => r.rows[0].a), [1, 2]);
      m.expect('empty', (await c.query('')).rows, []);
      m.expect('rows as arrays, two columns of one name', (await c.query({ text: 'select 1 a, 2 a', rowMode: 'array' })).rows, [[1, 2]]);
      return 'pool, several statements in one text, array rows';
    });
  },
});
