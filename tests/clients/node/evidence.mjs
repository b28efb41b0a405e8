// Evidence's connector: the queries of a report's pages, with counted rows and typed columns in batches.
import { createRequire } from 'node:module';
import * as m from './matrix.mjs';

const { default: runQuery, getRunner, testConnection, ...rest } = m.load('@evidence-dev/postgres');
const { version } = createRequire(`${process.env.NODE_ROOT}/index.js`)('@evidence-dev/postgres/package.json');

async function page(user, sql, batch = 100_000) {
  const found = await (await getRunner(m.gate(user)))(sql, 'page.sql', batch);
  const rows = [];
  let batches = 0;
  for await (const part of found.rows()) { batches += 1; rows.push(...part); }
  return { rows, batches, expected: Number(found.expectedRowCount), types: Object.fromEntries(found.columnTypes.map((c) => [c.name, c.evidenceType])) };
}

await m.run('Evidence', version, {
  connect: async () => m.expect('test', [await testConnection(m.gate('ada')), typeof await testConnection(m.gate('ada', 'wrong'))], [true, 'object']),
  describe: async () => {
    for (const user of ['ada', 'sam']) {
      for (const [table, wanted] of Object.entries(m.COLUMNS[user])) m.expect(`columns of ${table} for ${user}`, Object.keys((await page(user, `select * from ${table} limit 1`)).types).length, wanted);
    }
    const { types } = await page('ada', 'select id, annual_revenue, rating, strategic, created_at from accounts limit 1');
    m.expect('types', types, { id: 'string', annual_revenue: 'number', rating: 'number', strategic: 'boolean', created_at: 'date' });
  },
  errors: async () => {
    for (const [sql, words] of [['select * from no_such_table', 'no_such_table'], ['select no_such from regions', 'no_such']]) {
      const failed = await page('ada', sql).then(() => '', (error) => String(error.message ?? error));
      m.expect(`an error for ${sql}: ${failed}`, failed !== '', true);
    }
  },
  fetch: async () => {
    const { rows, batches, expected } = await page('ada', m.LARGE, 1000);
    m.expect('rows', [rows.length, expected, batches], [50000, 50000, 50]);
    return '50000 rows, 1000 at a time, counted before';
  },
  policy: async () => { for (const [user, wanted] of Object.entries(m.ACCOUNTS)) m.expect(`accounts of ${user}`, (await page(user, 'select count(*) as n from accounts')).rows, [{ n: wanted }]); },
  own: async () => {
    const sql = `-- revenue by month and region
      select date_trunc('month', a.created_at) as month, r.name as region, count(*) as accounts, sum(a.annual_revenue) as revenue,
        sum(count(*)) over (partition by r.name order by date_trunc('month', a.created_at)) as so_far
      from accounts a join regions r on r.id = a.region_id group by 1, 2 order by 2, 1;`;
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) {
      const { rows, types } = await page(user, sql);
      m.expect(`accounts in the chart of ${user}`, rows.reduce((sum, row) => sum + row.accounts, 0), wanted);
      m.expect('types', [types.month, types.revenue, rows[0].month instanceof Date], ['date', 'number', true]);
    }
    return "a page's query with months, regions and a running total, as two users";
  },
});
