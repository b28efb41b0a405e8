// node-postgres: changes by simple queries, parameters and named statements, COPY through pg-copy-streams, a pool.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as m from '../node/matrix.mjs';
const pg = m.load('pg'), { from: copyFrom } = m.load('pg-copy-streams');

async function open(act, user = 'omar') {
  const client = new pg.Client(m.gate(user));
  await client.connect();
  try { return await act(client); } finally { await client.end(); }
}
const one = async (c, sql, values) => Object.values((await c.query(sql, values)).rows[0])[0];
const changed = async (c, sql, values) => (await c.query(sql, values)).rowCount;
const NEW = "insert into ticket (code, title, region) values ($1, $2, 'eu')";
const COLUMNS = 'ticket (code, title, amount, done, customer_id, region)';

await m.run('node-postgres', m.version('pg'), {
  insert: () => open(async (c) => {
    const seen = new Date('2026-07-08T09:10:11.123Z');
    const columns = 'code, title, amount, ratio, seen, due, done, customer_id, region';
    const values = ['i1', 'Grün', '12.50', 0.1, seen, '2026-12-31', true, 1, 'eu'];
    m.expect('one row', await changed(c, `insert into ticket (${columns}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, values), 1);
    m.expect('two rows', await changed(c, "insert into ticket (code, title, region) values ($1, $2, 'eu'), ($3, $4, 'eu')", ['i2', 'Größe', 'i3', 'gone soon']), 2);
    const row = (await c.query("select title, amount, ratio, seen, done from ticket where code = 'i1'")).rows[0];
    m.expect('as it is read', row, { title: 'Grün', amount: '12.50', ratio: 0.1, seen, done: true });
    for (let n = 0; n < 8; n++) {
      m.expect('named', (await c.query({ name: 'new', text: NEW, values: [`o${n}`, 'many'] })).rowCount, 1);
    }
    m.expect('of another user', await open((other) => one(other, 'select count(*) from ticket'), 'mara'), '1');
    return '9 types as parameters, 8 executions of a named statement';
  }),
  update: () => open(async (c) => {
    m.expect('by a unique value', await changed(c, 'update ticket set amount = $1, done = $2 where code = $3', [5.25, true, 'i2']), 1);
    const id = await one(c, "select id from ticket where code = 'i2'");
    for (let n = 0; n < 8; n++) {
      m.expect('by key', (await c.query({ name: 'by key', text: 'update ticket set ratio = $1 where id = $2', values: [n ? n / 2 : null, id] })).rowCount, 1);
    }
    m.expect('by condition', await changed(c, "update ticket set amount = coalesce(amount, 0) + 1 where title = 'many'"), 8);
    m.expect('a hidden row', await changed(c, "update ticket set title = 'mine' where code = $1", ['taken']), 0);
    return 'by key and condition, 8 executions';
  }),
  delete: () => open(async (c) => {
    m.expect('one', await changed(c, 'delete from ticket where code = $1', ['i3']), 1);
    m.expect('many', await changed(c, 'delete from ticket where code = any($1)', [[...Array(8)].map((_, n) => `o${n}`)]), 8);
    m.expect('a hidden row', await changed(c, 'delete from ticket where code = $1', ['taken']), 0);
  }),
  upsert: () => open(async (c) => {
    const sql = "insert into ticket (code, title, region) values ($1, $2, 'eu') on conflict (code) do update set title = excluded.title";
    m.expect('taken', await changed(c, sql, ['i1', 'upserted']), 1);
    m.expect('free', await changed(c, sql, ['u1', 'new']), 1);
    m.expect('nothing', await changed(c, `${NEW} on conflict do nothing`, ['i1', 'x']), 0);
    await m.expectError(() => c.query(sql, ['taken', 'mine']), '23505');
  }),
  returning: () => open(async (c) => {
    const made = (await c.query(`${NEW} returning id, title, done, seen`, ['o1', 'r'])).rows[0];
    m.expect('inserted', [made.title, made.done, made.seen], ['r', false, new Date('2026-01-02T03:04:05Z')]);
    m.expect('updated', (await c.query('update ticket set amount = 2 where id = $1 returning amount * 2 as twice, upper(title) as big', [made.id])).rows, [{ twice: '4.00', big: 'R' }]);
    m.expect('deleted', (await c.query('delete from ticket where id = $1 returning *', [made.id])).rows[0].code, 'o1');
  }),
  copy: () => open(async (c) => {
    const into = async (sql, text) => {
      const sink = c.query(copyFrom(sql));
      await pipeline(Readable.from(text), sink);
      return sink.rowCount;
    };
    m.expect('text', await into(`copy ${COLUMNS} from stdin`, ['c1\ttab\\tand', ' \\\\\t1.25\tt\t\\N\teu\n']), 1);
    m.expect('CSV', await into(`copy ${COLUMNS} from stdin (format csv, header)`, ['code,title,amount,done,customer_id,region\n', 'c2,"a ""quote"", and",,f,2,eu\n']), 1);
    const lines = [...Array(2000)].map((_, n) => `o${n}\tmany\teu\n`);
    m.expect('many', await into('copy ticket (code, title, region) from stdin', lines), 2000);
    m.expect('gone', await changed(c, "delete from ticket where title = 'many'"), 2000);
    await m.expectError(() => into(`copy ${COLUMNS} from stdin`, ['o1\tx\t1\tt\t\\N\teu\n', 'o2\tx\tmany\tt\t\\N\teu\n']), '22P02');
    m.expect('nothing of it', await one(c, "select count(*) from ticket where code = 'o1'"), '0');
    return 'pg-copy-streams: text, CSV, 2,000 rows as they come';
  }),
  savepoints: () => open(async (c) => {
    await c.query('begin');
    await c.query(NEW, ['s1', 'kept']);
    await c.query('savepoint a');
    await m.expectError(() => c.query(NEW, ['i1', 'twice']), '23505');
    await m.expectError(() => c.query(NEW, ['o1', 'failed']), '25P02');
    await c.query('rollback to a');
    await c.query(NEW, ['s2', 'after']);
    m.expect('of others', await open((other) => one(other, "select count(*) from ticket where code = 's1'")), '0');
    await c.query('commit');
    await c.query('begin');
    await c.query(NEW, ['s3', 'rolled back']);
    await c.query('rollback');
  }),
  refusals: () => open(async (c) => {
    for (const [sql, code, words] of [
      ["insert into ticket (title, region) values ('x', 'us')", '42501'], ["update ticket set region = 'us' where code = 'one'", '42501'],
      ["update ticket set amount = -1 where code = 'one'", '23514', 'An amount is no debt.'], ["update ticket set code = 'two' where code = 'one'", '23505'],
      ["insert into ticket (region) values ('eu')", '23502'], ["update ticket set customer_id = 99 where code = 'one'", '23503'],
      ["insert into ticket (title, region) values (repeat('x', 41), 'eu')", '22001'], ['create table mine (id int)', '0A000'], ['drop table ticket', '0A000'],
    ]) {
      await m.expectError(() => c.query(sql), code, words);
      await m.expectError(() => c.query(sql, []), code, words);
    }
    const rule = await c.query("update ticket set amount = $1 where code = 'one'", [-1]).catch((error) => error);
    m.expect('constraint', rule.constraint, 'worth');
    m.expect('after the errors', await one(c, "select amount from ticket where code = 'one'"), '10.00');
    return '9 statements, simple and extended';
  }),
  own: async () => {
    const pool = new pg.Pool({ ...m.gate('omar'), max: 4 });
    await Promise.all([...Array(20)].map((_, n) => pool.query(NEW, [`o${n}`, 'pool'])));
    const parts = await pool.query("update ticket set amount = 1 where title = 'pool'; delete from ticket where title = 'pool' returning code");
    m.expect('several statements', parts.map((part) => part.rowCount), [20, 20]);
    await m.expectError(() => pool.query("insert into ticket (code, title, region) values ('o1', 'x', 'eu'); insert into ticket (code, title, region) values ('one', 'x', 'eu')"), '23505');
    m.expect('all or nothing', await one(pool, "select count(*) from ticket where code = 'o1'"), '0');
    await pool.end();
    return '20 changes through a pool, several statements in one text';
  },
});
