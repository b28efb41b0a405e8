// Query builders and mappers over node-postgres: Sequelize, TypeORM, Drizzle, Knex, Kysely. Which one: the first argument.
import * as m from './matrix.mjs';

const clients = {
  async sequelize() {
    const { Sequelize, QueryTypes, DataTypes } = m.load('sequelize');
    const open = (user) => new Sequelize(m.uri(user), { logging: false });
    const ada = open('ada'), sam = open('sam');
    const model = (s) => s.define('accounts', { id: { type: DataTypes.TEXT, primaryKey: true }, name: DataTypes.TEXT, rating: DataTypes.INTEGER }, { timestamps: false });
    return ['Sequelize', 'sequelize', {
      connect: () => ada.authenticate(),
      tables: async () => m.expect('tables', (await ada.getQueryInterface().showAllTables()).length, 21),
      describe: async () => {
        for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) {
          m.expect('columns', Object.keys(await s.getQueryInterface().describeTable('employees')).length, m.COLUMNS[user].employees);
        }
        await ada.getQueryInterface().showIndex('accounts');
        await ada.getQueryInterface().getForeignKeyReferencesForTable('contacts');
      },
      parameters: async () => {
        for (let n = 1; n <= 12; n++) {
          m.expect('bind', (await ada.query('select $1::int4 as n', { bind: [n], type: QueryTypes.SELECT }))[0].n, n);
          m.expect('where', (await model(ada).findAll({ where: { rating: n % 5 + 1 }, order: ['id'], limit: 2 })).length, 2);
        }
      },
      errors: () => m.expectError(() => sam.query('select salary from employees'), '42703'),
      transactions: async () => {
        await ada.transaction(async (transaction) => { await model(ada).count({ transaction }); });
        await m.expectError(() => model(ada).create({ id: 'x' }), '0A000', 'INSERT');
        return 'writes are refused with 0A000: the gate reads';
      },
      policy: async () => { for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) m.expect('count', await model(s).count(), m.ACCOUNTS[user]); },
      own: () => m.expectError(() => { ada.define('new_things', { name: DataTypes.TEXT }); return ada.sync(); }, '0A000').then(() => { throw new m.Refused('sync is refused with 0A000: the gate reads'); }),
    }];
  },
  async typeorm() {
    m.load('reflect-metadata');
    const { DataSource, EntitySchema } = m.load('typeorm');
    const Account = new EntitySchema({ name: 'accounts', columns: { id: { type: 'text', primary: true }, name: { type: 'text' }, rating: { type: 'int', nullable: true } } });
    const open = async (user) => { const { user: username, ...rest } = m.gate(user); return new DataSource({ type: 'postgres', ...rest, username, entities: [Account] }).initialize(); };
    const ada = await open('ada'), sam = await open('sam');
    return ['TypeORM', 'typeorm', {
      connect: async () => m.expect('version', String(ada.driver.version).startsWith('15'), true),
      tables: async () => {
        const runner = ada.createQueryRunner();
        m.expect('hasTable', [await runner.hasTable('public.employees'), await runner.hasColumn('public.employees', 'salary')], [true, true]);
        const tables = await runner.getTables(['public.accounts', 'public.employees', 'public.contacts']);
        m.expect('tables', tables.length, 3);
        m.expect('keys', tables.find((t) => t.name.endsWith('accounts')).primaryColumns.map((c) => c.name), ['id']);
        await runner.release();
      },
      describe: async () => {
        for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) {
          const runner = s.createQueryRunner();
          m.expect('columns', (await runner.getTable('public.employees')).columns.length, m.COLUMNS[user].employees);
          await runner.release();
        }
      },
      parameters: async () => {
        for (let n = 1; n <= 12; n++) {
          const id = `acc_${String(n).padStart(5, '0')}`;
          m.expect('by id', (await ada.getRepository('accounts').findOneBy({ id })).id, id);
        }
        const [rows, total] = await ada.getRepository('accounts').createQueryBuilder('a').where('a.rating = :r', { r: 3 }).orderBy('a.id').skip(2).take(3).getManyAndCount();
        m.expect('page', [rows.length, total > 3], [3, true]);
      },
      errors: () => m.expectError(() => sam.query('select salary from employees'), '42703'),
      transactions: async () => {
        await ada.transaction('REPEATABLE READ', (t) => t.transaction((inner) => inner.query('select 1')));
        await m.expectError(() => ada.getRepository('accounts').insert({ id: 'x', name: 'x' }), '0A000', 'INSERT');
        return 'nested by savepoint; writes are refused with 0A000: the gate reads';
      },
      policy: async () => { for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) m.expect('count', await s.getRepository('accounts').count(), m.ACCOUNTS[user]); },
    }];
  },
  async drizzle() {
    const { drizzle } = m.load('drizzle-orm/node-postgres'), { pgTable, text, integer, numeric, timestamp } = m.load('drizzle-orm/pg-core');
    const { eq, and, gt, count, inArray, sql } = m.load('drizzle-orm'), pg = m.load('pg');
    const accounts = pgTable('accounts', { id: text('id').primaryKey(), name: text('name'), rating: integer('rating'), revenue: numeric('annual_revenue'), created: timestamp('created_at', { withTimezone: true }) });
    const open = (user) => drizzle(new pg.Pool({ ...m.gate(user), max: 2 }));
    const ada = open('ada'), sam = open('sam');
    return ['Drizzle', 'drizzle-orm', {
      connect: async () => m.expect('user', (await ada.execute(sql`select current_user::text as u`)).rows[0].u, 'ada'),
      parameters: async () => {
        const prepared = ada.select().from(accounts).where(eq(accounts.id, sql.placeholder('id'))).prepare('by_id');
        for (let n = 1; n <= 12; n++) {
          const id = `acc_${String(n).padStart(5, '0')}`;
          m.expect('prepared', (await prepared.execute({ id }))[0].id, id);
        }
        const rows = await ada.select().from(accounts).where(and(inArray(accounts.rating, [1, 2]), gt(accounts.created, new Date('2025-01-01')))).orderBy(accounts.id).limit(5);
        m.expect('rows', [rows.length, rows[0].created instanceof Date], [5, true]);
      },
      errors: () => m.expectError(() => sam.execute(sql`select salary from employees`), '42703'),
      transactions: async () => {
        await ada.transaction((t) => t.transaction((inner) => inner.select({ n: count() }).from(accounts)), { isolationLevel: 'repeatable read', accessMode: 'read only' });
        await m.expectError(() => ada.insert(accounts).values({ id: 'x' }), '0A000', 'INSERT');
        return 'nested by savepoint; writes are refused with 0A000: the gate reads';
      },
      policy: async () => { for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) m.expect('count', (await s.select({ n: count() }).from(accounts))[0].n, m.ACCOUNTS[user]); },
    }];
  },
  async knex() {
    const knex = m.load('knex');
    const open = (user) => knex({ client: 'pg', connection: m.gate(user) });
    const ada = open('ada'), sam = open('sam');
    return ['Knex', 'knex', {
      connect: async () => m.expect('user', (await ada.raw('select current_user::text as u')).rows[0].u, 'ada'),
      tables: async () => m.expect('hasTable', [await ada.schema.hasTable('employees'), await open('iris').schema.hasTable('employees')], [true, false]),
      describe: async () => {
        for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) m.expect('columns', Object.keys(await s('employees').columnInfo()).length, m.COLUMNS[user].employees);
        m.expect('hasColumn', [await ada.schema.hasColumn('employees', 'salary'), await sam.schema.hasColumn('employees', 'salary')], [true, false]);
      },
      parameters: async () => {
        for (let n = 1; n <= 12; n++) {
          const id = `acc_${String(n).padStart(5, '0')}`;
          m.expect('where', (await ada('accounts').where({ id }).select('id'))[0].id, id);
          m.expect('like', (await ada('accounts').whereILike('name', '%redwood%').whereIn('rating', [1, 2, 3]).orderBy('id').limit(n)).length, n);
        }
      },
      errors: () => m.expectError(() => sam('employees').select('salary'), '42703'),
      transactions: async () => {
        await ada.transaction((t) => t.transaction((inner) => inner('regions').count()));
        await m.expectError(() => ada('regions').insert({ id: 'x' }), '0A000', 'INSERT');
        return 'nested by savepoint; writes are refused with 0A000: the gate reads';
      },
      fetch: async () => { let n = 0; for await (const _ of ada.raw(m.LARGE).stream({ highWaterMark: 500 })) n++; m.expect('rows', n, 50000); return 'stream of 500'; },
      policy: async () => { for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) m.expect('count', Number((await s('accounts').count('* as n'))[0].n), m.ACCOUNTS[user]); },
    }];
  },
  async kysely() {
    const { Kysely, PostgresDialect, sql } = m.load('kysely'), pg = m.load('pg'), Cursor = m.load('pg-cursor');
    const open = (user) => new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ ...m.gate(user), max: 2 }), cursor: Cursor }) });
    const ada = open('ada'), sam = open('sam');
    return ['Kysely', 'kysely', {
      connect: async () => m.expect('user', (await sql`select current_user::text as u`.execute(ada)).rows[0].u, 'ada'),
      tables: async () => {
        for (const [user, count] of Object.entries(m.TABLES)) {
          const tables = (await open(user).introspection.getTables()).filter((t) => t.schema === 'public');
          m.expect(`tables of ${user}`, tables.length, count);
        }
      },
      describe: async () => {
        for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) {
          const table = (await s.introspection.getTables()).find((t) => t.name === 'employees');
          m.expect('columns', table.columns.length, m.COLUMNS[user].employees);
        }
      },
      parameters: async () => {
        for (let n = 1; n <= 12; n++) {
          const id = `acc_${String(n).padStart(5, '0')}`;
          m.expect('where', (await ada.selectFrom('accounts').select('id').where('id', '=', id).executeTakeFirst()).id, id);
          m.expect('in', (await ada.selectFrom('regions').selectAll().where('id', 'in', ['emea', 'amer']).execute()).length, 2);
        }
      },
      errors: () => m.expectError(() => sam.selectFrom('employees').select('salary').execute(), '42703'),
      transactions: async () => {
        await ada.transaction().setIsolationLevel('repeatable read').execute((t) => t.selectFrom('regions').selectAll().execute());
        await m.expectError(() => ada.insertInto('regions').values({ id: 'x' }).execute(), '0A000', 'INSERT');
        return 'writes are refused with 0A000: the gate reads';
      },
      fetch: async () => { let n = 0; for await (const _ of ada.selectFrom('events').select('id').orderBy('id').limit(50000).stream(1000)) n++; m.expect('rows', n, 50000); return 'stream of 1000'; },
      policy: async () => { for (const [s, user] of [[ada, 'ada'], [sam, 'sam']]) m.expect('count', Number((await s.selectFrom('accounts').select((e) => e.fn.countAll().as('n')).executeTakeFirst()).n), m.ACCOUNTS[user]); },
    }];
  },
};

const [name, packageName, checks] = await clients[process.argv[2]]();
await m.run(name, m.version(packageName), checks);
