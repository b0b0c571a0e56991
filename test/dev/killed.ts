/** Starts a PostgreSQL, says where, and is killed as by `kill -9`: for servers.test.ts. */
import { startPostgres } from '../../src/dev/postgres.ts'

const [dir = ''] = process.argv.slice(2)
const { server } = await startPostgres({ dir, report: () => {}, unsafe: true, own: true })
process.stdout.write(`${String(server?.pid)}\n`, () => process.kill(process.pid, 'SIGKILL'))
