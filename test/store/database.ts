/** A PostgreSQL of the test file's own, since these tests restart it and take its schema away. */
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { randomUUID } from 'node:crypto'
import { startPostgres, type Postgres } from '../../src/dev/postgres.ts'

export const startServer = (): Promise<Postgres> =>
  startPostgres({ dir: join(tmpdir(), `molecule-store-${randomUUID()}`), report: () => {}, unsafe: true, own: true })
