// Malloy: a semantic model over the gate's tables; what it runs is SQL that it writes itself, with nested results.
import * as m from './matrix.mjs';

const { PostgresConnection } = m.load('@malloydata/db-postgres'), { SingleConnectionRuntime } = m.load('@malloydata/malloy');
const MODEL = `
source: regions is gate.table('public.regions') extend { primary_key: id }
source: contacts is gate.table('public.contacts') extend { primary_key: id }
source: accounts is gate.table('public.accounts') extend {
  primary_key: id
  join_one: regions with region_id
  join_many: contacts on contacts.account_id = id
  measure: n is count()
  measure: revenue is annual_revenue.sum()
  view: by_region is {
    group_by: region is regions.name
    aggregate: n, best is max(rating), strategic_ones is n { where: strategic }
    order_by: region
    nest: by_rating is { group_by: rating; aggregate: n; order_by: rating; limit: 2 }
  }
}`;

const runtimes = new Map();
function runtime(user) {
  if (!runtimes.has(user)) {
    const { host, port, database, user: username, password } = m.gate(user);
    runtimes.set(user, new SingleConnectionRuntime({ connection: new PostgresConnection('gate', () => ({}), () => ({ host, port, username, password, databaseName: database })) }));
  }
  return runtimes.get(user);
}
const run = async (user, query) => (await runtime(user).loadModel(MODEL).loadQuery(query).run({ rowLimit: 100000 })).data.toObject();
const fields = async (user, table) => (await runtime(user).loadModel(`source: t is gate.table('public.${table}')`).getModel()).getExploreByName('t').intrinsicFields.length;

await m.run('Malloy', m.version('@malloydata/malloy'), {
  connect: async () => m.expect('user', await run('ada', "run: gate.sql('select current_user::text as u') -> { select: u }"), [{ u: 'ada' }]),
  describe: async () => {
    for (const user of ['ada', 'sam']) for (const [table, wanted] of Object.entries(m.COLUMNS[user])) m.expect(`fields of ${table} for ${user}`, await fields(user, table), wanted);
  },
  errors: async () => {
    for (const [query, words] of [['run: accounts -> { select: no_such }', 'no_such'], ["run: gate.table('public.no_such_table') -> { select: * }", 'no_such_table'], ["run: gate.sql('select 1/0 as x') -> { select: x }", 'division by zero']]) {
      const failed = await run('ada', query).then(() => '', (error) => error.message);
      m.expect(`"${failed}" has ${words}`, failed.includes(words), true);
    }
  },
  fetch: async () => {
    m.expect('rows', (await run('ada', 'run: accounts -> { select: id, name, created_at }')).length, m.ACCOUNTS.ada);
    return '20000 rows';
  },
  policy: async () => {
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) m.expect(`accounts of ${user}`, (await run(user, 'run: accounts -> { aggregate: n }'))[0].n, wanted);
    const failed = await run('sam', 'run: accounts -> { select: credit_limit }').then(() => '', (error) => error.message);
    m.expect('a hidden column', failed.includes("'credit_limit' is not defined"), true);
  },
  own: async () => {
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) {
      const rows = await run(user, 'run: accounts -> by_region');
      m.expect(`accounts by region for ${user}`, rows.reduce((sum, row) => sum + row.n, 0), wanted);
      m.expect(`nested for ${user}`, rows.every((row) => row.by_rating.length === 2 && row.by_rating[0].n <= row.n), true);
      const months = await run(user, "run: accounts -> { where: created_at > @2024 and name ~ '%a%'; group_by: begun is created_at.month; aggregate: n; order_by: begun; limit: 3 }");
      m.expect(`months for ${user}`, [months.length, months[0].n > 0], [3, true]);
      const fanned = (await run(user, 'run: accounts -> { aggregate: revenue, people is contacts.count() }'))[0];
      const [plain] = await run(user, 'run: accounts -> { aggregate: revenue }');
      m.expect(`revenue over a fan-out for ${user}`, Math.abs(fanned.revenue - plain.revenue) < 1, true);
    }
    return 'joined, nested, by month, and a sum over a fan-out (symmetric aggregate), as two users';
  },
});
