// PostGraphile over the bench's PostgreSQL: node server.mjs PORT PORT-OF-POSTGRESQL. It acts as the role that a signed token names. Prints
// READY and such a token.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import pg from 'pg';
import { postgraphile } from 'postgraphile';
const jwt = createRequire(createRequire(import.meta.url).resolve('postgraphile'))('jsonwebtoken');
const [port, pgPort] = process.argv.slice(2);
const pool = new pg.Pool({ host: '127.0.0.1', port: Number(pgPort), user: 'bench', password: 'bench', database: 'postgres', max: 16 });

// References as the vendor's stack declares them: the tables have no constraints.
await pool.query(`
  do $$ begin create role bench_peer nologin; exception when duplicate_object then null; end $$;
  grant usage on schema public to bench_peer;
  grant select on bench_item, bench_place, bench_zone, bench_land to bench_peer;
  comment on table bench_item is E'@foreignKey (place) references bench_place (id)|@fieldName placed';
  comment on table bench_place is E'@foreignKey (zone) references bench_zone (id)|@fieldName zoned';
  comment on table bench_zone is E'@foreignKey (land) references bench_land (id)|@fieldName landed';
`);
const secret = 'of a bench'.repeat(4);
const handler = postgraphile(pool, 'public', { jwtSecret: secret, disableQueryLog: true, ignoreRBAC: false, graphiql: false });
createServer(handler).listen(Number(port), '127.0.0.1', async () => {
  await handler.getGraphQLSchema();
  console.log('READY', jwt.sign({ role: 'bench_peer' }, secret, { expiresIn: '1h', audience: 'postgraphile' }));
});
