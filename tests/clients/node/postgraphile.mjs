// PostGraphile: a GraphQL schema from the catalog and queries over its HTTP endpoint, one server per user. The first argument is its
// main version, 4 or 5; the two ask the catalog in ways of their own.
import http from 'node:http';
import * as m from './matrix.mjs';

// For Node before 22.
Promise.withResolvers ??= () => {
  const found = {};
  found.promise = new Promise((resolve, reject) => Object.assign(found, { resolve, reject }));
  return found;
};
process.env.GRAPHILE_ENV ??= 'production';
const MAIN = process.argv[2];
const KEY = { 4: 'id', 5: 'rowId' }[MAIN];
const BY_KEY = { 4: 'accountById', 5: 'accountByRowId' }[MAIN];

/** What answers HTTP requests for one user. Filters over every column, not over indexed ones alone. */
const handlers = {
  4: (user) => {
    const { postgraphile } = m.load('postgraphile'), pg = m.load('pg');
    const pool = new pg.Pool(m.gate(user));
    pool.on('error', () => {});
    return http.createServer(postgraphile(pool, 'public', { ignoreIndexes: true, retryOnInitFail: false, disableQueryLog: true, extendedErrors: ['errcode'] }));
  },
  5: async (user) => {
    const { postgraphile } = m.load('postgraphile'), { makePgService } = m.load('postgraphile/adaptors/pg'), { grafserv } = m.load('postgraphile/grafserv/node');
    const pgl = postgraphile({
      extends: [m.load('postgraphile/presets/amber').default], disablePlugins: ['PgIndexBehaviorsPlugin'],
      pgServices: [makePgService({ connectionString: m.uri(user), schemas: ['public'] })],
      grafast: { explain: false },
    });
    const server = http.createServer();
    await pgl.createServ(grafserv).addTo(server);
    return server;
  },
};

const servers = new Map();
async function ask(user, query, variables = {}) {
  if (!servers.has(user)) {
    const server = await handlers[MAIN](user);
    await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
    servers.set(user, server.address().port);
  }
  const answer = await fetch(`http://127.0.0.1:${servers.get(user)}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  if (errors) throw new Error(errors.map((e) => e.message).join('; '));
  return data;
}

/** The fields of a type, without those that lead to other types. */
async function fields(user, type) {
  const found = (await ask(user, `{ __type(name: "${type}") { fields { name type { kind ofType { kind } } } } }`)).__type?.fields ?? [];
  const own = found.filter((f) => [f.type.kind, f.type.ofType?.kind].some((kind) => kind === 'SCALAR' || kind === 'ENUM'));
  return own.map((f) => f.name).filter((name) => name !== (MAIN === '4' ? 'nodeId' : 'id'));
}

const lists = async (user) => (await ask(user, '{ __type(name: "Query") { fields { name } } }')).__type.fields.map((f) => f.name).filter((name) => name.startsWith('all'));

await m.run(`PostGraphile ${MAIN}`, m.version('postgraphile'), {
  connect: async () => { await ask('ada', '{ __typename }'); },
  tables: async () => {
    for (const [user, wanted] of Object.entries(m.TABLES)) {
      const found = await lists(user);
      m.expect(`tables of ${user}`, found.length, wanted);
      m.expect(`employees for ${user}`, found.includes('allEmployees'), user !== 'iris');
    }
  },
  describe: async () => {
    for (const user of ['ada', 'sam']) {
      for (const [type, table] of [['Employee', 'employees'], ['Product', 'products'], ['Account', 'accounts']]) {
        m.expect(`fields of ${type} for ${user}`, (await fields(user, type)).length, m.COLUMNS[user][table]);
      }
    }
  },
  parameters: async () => {
    for (let n = 1; n <= 12; n++) {
      const id = `acc_${String(n).padStart(5, '0')}`;
      m.expect('by key', (await ask('ada', `query ($id: String!) { ${BY_KEY}(${KEY}: $id) { ${KEY} } }`, { id }))[BY_KEY][KEY], id);
    }
  },
  errors: async () => {
    const failed = await ask('sam', '{ allEmployees(first: 1) { nodes { salary } } }').then(() => '', (error) => error.message);
    m.expect('a hidden column', failed.includes('Cannot query field "salary"'), true);
  },
  fetch: async () => {
    const rows = (await ask('ada', `{ allAccounts { nodes { ${KEY} name createdAt annualRevenue strategic } } }`)).allAccounts.nodes;
    m.expect('rows', rows.length, m.ACCOUNTS.ada);
    return `${rows.length} nodes in one answer`;
  },
  policy: async () => {
    for (const [user, wanted] of Object.entries(m.ACCOUNTS)) {
      m.expect(`accounts of ${user}`, (await ask(user, '{ allAccounts(first: 1) { totalCount } }')).allAccounts.totalCount, wanted);
      const hidden = (await fields(user, 'Employee')).includes('salary') || (await fields(user, 'Account')).includes('creditLimit');
      m.expect(`hidden columns of ${user}`, hidden, user === 'ada');
    }
  },
  own: async () => {
    for (const user of ['ada', 'sam']) {
      const query = `query ($rating: Int) { allAccounts(condition: { rating: $rating }, first: 3, orderBy: [NAME_DESC]) {
        totalCount
        nodes { ${KEY} name regionByRegionId { name } userByOwnerId { name } contactsByAccountId(first: 2) { totalCount nodes { lastName } } }
        pageInfo { hasNextPage endCursor } } }`;
      const { allAccounts: first } = await ask(user, query, { rating: 3 });
      m.expect(`rows of ${user}`, [first.nodes.length, first.pageInfo.hasNextPage, first.totalCount > 3], [3, true, true]);
      m.expect(`relations of ${user}`, first.nodes.every((n) => n.regionByRegionId.name && n.contactsByAccountId.nodes.length <= n.contactsByAccountId.totalCount), true);
      const after = await ask(user, `query ($after: Cursor) { allAccounts(condition: { rating: 3 }, first: 3, after: $after, orderBy: [NAME_DESC]) { nodes { ${KEY} } } }`, { after: first.pageInfo.endCursor });
      m.expect(`the next page of ${user}`, after.allAccounts.nodes.some((n) => first.nodes.some((f) => f[KEY] === n[KEY])), false);
    }
    return 'filter, order, relations both ways, total and cursor pages, as two users';
  },
});
