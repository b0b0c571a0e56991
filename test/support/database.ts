/** The run's one PostgreSQL, as a test file uses it. */
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, inject } from 'vitest'
import { Postgres, startPostgres } from '../../src/dev/postgres.ts'

/** A migrated database for the file that calls this at its top level, dropped after it. Gives its URL. */
export async function database(): Promise<string> {
  return make(given().template)
}

/** The same without a table in it, for tests of migrations. */
export async function emptyDatabase(): Promise<string> {
  return make(undefined)
}

/** A PostgreSQL of one's own, for tests that break it. The caller stops it. */
export async function ownPostgres(
  dir = join(tmpdir(), `molecule-test-postgres-${randomBytes(4).toString('hex')}`),
  settings: readonly string[] = [],
): Promise<Postgres> {
  return startPostgres({ dir, report: () => {}, unsafe: true, own: true, settings })
}

function given(): { url: string; template: string } {
  const found = inject('database')
  if (found === undefined) throw new Error('this kind of test has no database: give it one in vitest.config.ts')
  return found
}

async function make(template: string | undefined): Promise<string> {
  const postgres = new Postgres(given().url, undefined, '')
  const name = `molecule_test_${randomBytes(6).toString('hex')}`
  const url = await postgres.createDatabase(name, template)
  afterAll(() => postgres.dropDatabase(name))
  return url
}
