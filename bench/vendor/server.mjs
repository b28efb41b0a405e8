// The vendor's own server over a PostgreSQL: node server.mjs PORT PORT-OF-POSTGRESQL STACK. Prints READY.
import { ObjectKernel, AppPlugin, DriverPlugin, createRestApiPlugin, createDispatcherPlugin } from '@objectstack/runtime';
import { ObjectQLPlugin } from '@objectstack/objectql';
import { HonoServerPlugin } from '@objectstack/plugin-hono-server';
import { AuthPlugin } from '@objectstack/plugin-auth';
import { SecurityPlugin } from '@objectstack/plugin-security';
import { MetadataPlugin } from '@objectstack/metadata';
import { SqlDriver } from '@objectstack/driver-sql';
import { readFileSync } from 'node:fs';
const [port, pg, stack] = process.argv.slice(2);
const app = JSON.parse(readFileSync(stack, 'utf8'));
const kernel = new ObjectKernel();
const driver = new SqlDriver({ client: 'pg', connection: { host: '127.0.0.1', port: Number(pg), user: 'bench', password: 'bench', database: 'postgres' }, pool: { min: 2, max: 16 } });

await kernel.use(new ObjectQLPlugin()); await kernel.use(new DriverPlugin(driver));

await kernel.use(new AppPlugin(app));
await kernel.use(new HonoServerPlugin({ port: Number(port), hostname: '127.0.0.1' }));
await kernel.use(new AuthPlugin({ secret: 'of a bench'.repeat(4), baseUrl: `http://127.0.0.1:${port}` }));
await kernel.use(new SecurityPlugin());
await kernel.use(createRestApiPlugin());
await kernel.use(createDispatcherPlugin({ prefix: '/api/v1' }));
await kernel.bootstrap();
console.log('READY');
