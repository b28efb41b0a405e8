// The vendor's own client of ObjectStack's REST interface, unmodified: every method of what it does with records, metadata, logins,
// keys, packages and analytics, against `querygate demo --writes`. Prints a verdict for each, and writes the table to METHODS.
import { writeFileSync } from 'node:fs';
import * as m from './matrix.mjs';
const { ObjectStackClient } = m.load('@objectstack/client');

const P = 'com.example.crm';
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const open = async (user) => {
  const c = new ObjectStackClient({ baseUrl: `http://127.0.0.1:${process.env.GATE_REST}`, logger: quiet });
  await c.connect();
  if (user) await c.auth.login({ type: 'email', email: `${user}@crm.example`, password: `demo-${user}` });
  return c;
};
const O = 'crm_accounts', W = 'crm_opportunities';
const ada = await open('ada'), sam = await open('sam');
const has = (what, value) => { if (value === undefined || value === null) throw new Error(`${what} is missing`); return value; };
const first = async (c = ada) => (await c.data.query(O, { limit: 1, orderBy: [{ field: 'id', order: 'asc' }] })).records[0];
const one = await first();
// What takes changes in the demo.
const deal = (await ada.data.query(W, { where: { stage: 'negotiation' }, limit: 1, orderBy: [{ field: 'id', order: 'asc' }] })).records[0];
const fresh = (() => { let n = 0; return () => `new_${++n}`; })();
const copy = (id) => ({ id, account_id: deal.account_id, name: `Deal ${id}`, stage: 'qualification', amount: 10, owner_id: deal.owner_id, region_id: deal.region_id });

/** [method, what it must do] : a method that the gate has. */
const SERVED = {
  'data.query': async () => m.expect('total', (await ada.data.query(O, { aggregations: [{ function: 'count', alias: 'n' }] })).records[0].n, m.ACCOUNTS.ada),
  'data.find': async () => m.expect('one page', (await sam.data.find(O, { limit: 3, fields: ['id'] })).records.length, 3),
  'data.get': async () => m.expect('id', (await ada.data.get(O, one.id)).record.id, one.id),
  'data.create': async () => has('record', (await ada.data.create(W, copy(fresh()))).record),
  'data.createMany': async () => m.expect('count', (await ada.data.createMany(W, [copy(fresh()), copy(fresh())])).count, 2),
  'data.update': async () => m.expect('name', (await ada.data.update(W, deal.id, { name: 'Renamed' })).record.name, 'Renamed'),
  'data.updateMany': async () => m.expect('succeeded', (await ada.data.updateMany(W, [{ id: deal.id, data: { name: 'Again' } }])).succeeded, 1),
  'data.batch': async () => m.expect('failed', (await ada.data.batch(W, { operation: 'update', records: [{ id: deal.id, data: { name: 'Batch' } }] })).failed, 0),
  'data.batchTransaction': async () => m.expect('results', (await ada.data.batchTransaction([{ object: W, action: 'update', id: deal.id, data: { name: 'Across' } }])).results.length, 1),
  'data.import': async () => m.expect('total', (await ada.data.import(W, { format: 'json', rows: [copy(fresh())], dryRun: true })).total, 1),
  'data.delete': async () => {
    const id = fresh();
    await ada.data.create(W, copy(id));
    m.expect('success', (await ada.data.delete(W, id)).success, true);
  },
  'data.deleteMany': async () => {
    const id = fresh();
    await ada.data.create(W, copy(id));
    m.expect('succeeded', (await ada.data.deleteMany(W, [String(id)])).succeeded, 1);
  },
  'data.export': async () => {
    const rights = await (await fetch(`${ada.baseUrl}/api/v1/auth/me/permissions`, { headers: { authorization: `Bearer ${ada.token}` } })).json();
    if (rights.objects[O].allowExport) return has('file', await (await ada.data.export(O, { limit: 1 })).text());
    return m.expectError(() => ada.data.export(O, { limit: 1 }), 'EXPORT_NOT_PERMITTED');
  },
  'meta.getTypes': async () => m.expect('object', (await ada.meta.getTypes()).types.includes('object'), true),
  'meta.getItems': async () => {
    const names = (await sam.meta.getItems('object')).items.map((item) => item.name);
    m.expect('accounts', names.includes(O), true);
  },
  'meta.getItem': async () => m.expect('hidden', (await sam.meta.getItem('object', 'crm_products')).item?.fields.unit_cost, undefined),
  'meta.getCached': async () => has('data', (await ada.meta.getCached(O)).data),
  'meta.getLegalNextStates': async () => m.expect('field', (await ada.meta.getLegalNextStates(O, 'name', 'x')).field, 'name'),
  'auth.getConfig': async () => has('config', await ada.auth.getConfig()),
  'auth.bootstrapStatus': async () => m.expect('owner', (await ada.auth.bootstrapStatus()).hasOwner, true),
  'auth.login': async () => has('token', (await open('iris')).token),
  'auth.me': async () => m.expect('me', (await ada.auth.me()).user.email, 'ada@crm.example'),
  'auth.refreshToken': async () => has('session', await ada.auth.refreshToken('')),
  'auth.sessions.list': async () => m.expect('sessions', (await ada.auth.sessions.list()).sessions.length > 0, true),
  'auth.logout': async () => {
    const c = await open('iris');
    await c.auth.logout();
    await m.expectError(() => c.data.find(O, { limit: 1 }), 'UNAUTHENTICATED');
  },
  'auth.register': () => m.expectError(() => ada.auth.register({ email: 'x@crm.example', password: 'long enough', name: 'x' }), 'SELF_REGISTRATION_CLOSED'),
  'packages.list': async () => {
    await m.expectError(() => sam.packages.list(), 'PERMISSION_DENIED');
    m.expect('packages', (await ada.packages.list()).packages.map((one) => one.manifest.id), [P]);
  },
  'packages.get': async () => m.expect('name', (await ada.packages.get(P)).manifest.name, 'Demo CRM'),
  'analytics.query': async () => m.expect('rows', (await sam.analytics.query({ cube: O, measures: ['count'] })).rows, [{ count: m.ACCOUNTS.sam }]),
  'analytics.meta': async () => m.expect('cubes', Array.isArray(await ada.analytics.meta()), true),
  'analytics.explain': async () => m.expect('sql', (await sam.analytics.explain({ cube: O, measures: ['count'] })).sql, `SELECT COUNT(*) AS "count" FROM "${O}"`),
  'analytics.queryDataset': async () => {
    const dataset = { name: 'mine', object: O, dimensions: [], measures: [{ name: 'all', aggregate: 'count' }] };
    m.expect('rows', (await sam.analytics.queryDataset({ dataset, selection: { measures: ['all'] } })).rows, [{ all: m.ACCOUNTS.sam }]);
  },
};

/** Methods of what the gate has not: 501, and in words what is missing. */
const id = String(one.id);
const REFUSED = {
  'keys.create': () => ada.keys.create({ name: 'robot' }),
  'data.clone': () => ada.data.clone(O, id),
  'data.createImportJob': () => ada.data.createImportJob(O, { format: 'json', rows: [] }),
  'data.getImportJobProgress': () => ada.data.getImportJobProgress('x'),
  'data.getImportJobResults': () => ada.data.getImportJobResults('x'),
  'data.listImportJobs': () => ada.data.listImportJobs(),
  'data.cancelImportJob': () => ada.data.cancelImportJob('x'),
  'data.undoImportJob': () => ada.data.undoImportJob('x'),
  'meta.saveItem': () => ada.meta.saveItem('view', 'x', {}),
  'meta.deleteItem': () => ada.meta.deleteItem('view', 'x'),
  'meta.getHistory': () => ada.meta.getHistory('object', O),
  'meta.getView': () => ada.meta.getView(O),
  'meta.getPublished': () => ada.meta.getPublished('object', O),
  'meta.listDrafts': () => ada.meta.listDrafts(),
  'meta.migrateStored': () => ada.meta.migrateStored({}),
  'meta.getDiagnostics': () => ada.meta.getDiagnostics(),
  'meta.getReferences': () => ada.meta.getReferences('object', O),
  'meta.getBookTree': () => ada.meta.getBookTree('x'),
  'meta.getAudit': () => ada.meta.getAudit('object', O),
  'meta.publishItem': () => ada.meta.publishItem('object', O),
  'meta.rollbackItem': () => ada.meta.rollbackItem('object', O, 1),
  'meta.diffItem': () => ada.meta.diffItem('object', O),
  'auth.updateUser': () => ada.auth.updateUser({ name: 'x' }),
  'auth.changePassword': () => ada.auth.changePassword({ currentPassword: 'x', newPassword: 'y' }),
  'auth.setInitialPassword': () => ada.auth.setInitialPassword({ newPassword: 'y' }),
  'auth.changeEmail': () => ada.auth.changeEmail({ newEmail: 'y@crm.example' }),
  'auth.sendVerificationEmail': () => ada.auth.sendVerificationEmail({ email: 'ada@crm.example' }),
  'auth.verifyEmail': () => ada.auth.verifyEmail({ token: 'x' }),
  'auth.deleteUser': () => ada.auth.deleteUser({}),
  'auth.sessions.revoke': () => ada.auth.sessions.revoke('x'),
  'auth.sessions.revokeOthers': () => ada.auth.sessions.revokeOthers(),
  'auth.sessions.revokeAll': () => ada.auth.sessions.revokeAll(),
  'auth.twoFactor.enable': () => ada.auth.twoFactor.enable({ password: 'x' }),
  'auth.twoFactor.verifyTotp': () => ada.auth.twoFactor.verifyTotp({ code: '1' }),
  'auth.twoFactor.disable': () => ada.auth.twoFactor.disable({ password: 'x' }),
  'auth.twoFactor.generateBackupCodes': () => ada.auth.twoFactor.generateBackupCodes({ password: 'x' }),
  'auth.twoFactor.verifyBackupCode': () => ada.auth.twoFactor.verifyBackupCode({ code: '1' }),
  'auth.accounts.list': () => ada.auth.accounts.list(),
  'auth.accounts.unlink': () => ada.auth.accounts.unlink({ providerId: 'x' }),
  'auth.accounts.linkSocial': () => ada.auth.accounts.linkSocial({ provider: 'x' }),
};
/** Packages are files: all that would change one. */
const CHANGES = ['install', 'uninstall', 'enable', 'disable', 'update', 'publish', 'publishDrafts', 'discardDrafts', 'listCommits', 'revertCommit', 'rollback', 'revert', 'export', 'adoptOrphans', 'duplicate'];

const verdicts = [];
const note = (method, verdict, words = '') => verdicts.push([method, verdict, words.replaceAll('|', '\\|').replaceAll('\n', ' ')]);
for (const [method, act] of Object.entries(SERVED)) {
  try { await act(); note(method, 'served'); } catch (error) { note(method, 'WRONG', error.message); }
}
for (const [method, act] of Object.entries(REFUSED)) {
  try { await act(); note(method, 'WRONG', 'it is served'); } catch (error) {
    const is = error.httpStatus === 501 && error.code === 'NOT_IMPLEMENTED' && error.message.startsWith('This gate');
    const kept = method === 'keys.create' && error.httpStatus === 501;
    note(method, is || kept ? 'refused' : 'WRONG', error.message);
  }
}
for (const change of CHANGES) {
  try { await ada.packages[change](change === 'install' ? { id: 'x' } : P, 'x', {}); note(`packages.${change}`, 'WRONG', 'it is served'); } catch (error) {
    const is = error.httpStatus === 501 && error.code === 'NOT_IMPLEMENTED';
    note(`packages.${change}`, is ? 'refused' : 'WRONG', error.message);
  }
}
// What the client has and this list has not.
for (const name of ['data', 'meta', 'auth', 'keys', 'packages', 'analytics']) {
  for (const [method, value] of Object.entries(ada[name])) {
    const methods = typeof value === 'function' ? [method] : Object.keys(value).map((inner) => `${method}.${inner}`);
    for (const one of methods.map((inner) => `${name}.${inner}`)) {
      if (one === 'auth.signInWithProvider') note(one, 'browser', 'sends a browser elsewhere');
      else if (!verdicts.some(([known]) => known === one)) note(one, 'WRONG', 'not tried');
    }
  }
}
const wrong = verdicts.filter(([, verdict]) => verdict === 'WRONG');
const count = (verdict) => verdicts.filter(([, other]) => other === verdict).length;
if (process.env.METHODS) {
  const rows = verdicts.map(([method, verdict, words]) => `| \`${method}\` | ${verdict} | ${words} |`);
  const head = ['# The vendor\'s client', '', `Every method of \`@objectstack/client\` ${m.version('@objectstack/client')}, unmodified, against \`querygate demo --writes\`.`,
    'Written by `tests/clients/run objectstack --write`.', '', '| method | | what the gate says |', '|---|---|---|'];
  writeFileSync(process.env.METHODS, [...head, ...rows, ''].join('\n'));
}
await m.run('ObjectStack client', m.version('@objectstack/client'), {
  connect: async () => m.expect('me', (await ada.auth.me()).user.email, 'ada@crm.example'),
  tables: async () => m.expect('employees', (await (await open('iris')).meta.getItems('object')).items.some((item) => item.name === 'crm_employees'), false),
  policy: async () => m.expect('rows of sam', (await sam.data.query(O, { aggregations: [{ function: 'count', alias: 'n' }] })).records[0].n, m.ACCOUNTS.sam),
  errors: () => m.expectError(() => ada.data.find('absent', { limit: 1 }), 'OBJECT_NOT_FOUND'),
  own: async () => {
    if (wrong.length) throw new Error(wrong.map(([method, , words]) => `${method}: ${words}`).join('; '));
    return `${count('served')} methods served, ${count('refused')} refused with what is missing`;
  },
});
