/** What becomes of a running operator while its PostgreSQL is moved to a standby, has no disk left, or gets a new password. */
import { randomInt } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { breakableDatabase, type DatabaseFault } from '../support/broken-database.ts'
import { adminToken } from '../support/operator.ts'
import { openOutageScene } from '../support/outage-scene.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { startStandby } from '../support/standby.ts'
import { until } from '../support/until.ts'

const disk = mountSmallDisk(192)
if (disk === undefined) console.error('\n*** NO DISK CAN BE MOUNTED HERE: what a full one does is SKIPPED ***\n')
// After the server on it: hooks run backwards.
afterAll(() => disk?.remove())
const dir = await mkdtemp(join(tmpdir(), 'molecule-test-url-'))
afterAll(() => rm(dir, { recursive: true }))
const urlFile = join(dir, 'database-url')

const database = await breakableDatabase(disk && join(disk.path, 'postgres'))
await writeFile(urlFile, database.url)
const { plane, operator, said, agent, lines, meets } = await openOutageScene(database, {
  env: { DATABASE_URL: '', DATABASE_URL_FILE: urlFile },
})

/** Every row, and of what does not change in it: what was there stays, and each Workspace has one. */
let before: readonly string[] = []
const rows = async () =>
  (await database.sql(`SELECT id || ' ' || owner_uid || ' ' || resource_name AS row FROM workspaces`)).rows.map(
    ({ row }) => String(row),
  )
beforeEach(async () => {
  before = await rows()
})
async function noneIsLost(): Promise<void> {
  const after = await rows()
  expect(after).toEqual(expect.arrayContaining([...before]))
  const { items } = (await plane.getJson('ws', '-n', 'acme')) as { items: { metadata: { uid: string } }[] }
  expect(after.map((row) => row.split(' ')[1] ?? '').sort()).toEqual(items.map(({ metadata }) => metadata.uid).sort())
}

/** Nothing that could be compressed, and too much for the row itself: it cannot be squeezed into what is allocated already. */
const large = { role: Array.from({ length: 1000 }, () => String.fromCodePoint(randomInt(0x4e00, 0x9000))).join('') }

const full: DatabaseFault = {
  name: 'disk full to the last byte',
  trouble: 'resources',
  async begin({ sql }) {
    // A segment of the log with room for all of this: without one the server would end itself, as below.
    await sql('SELECT pg_switch_wal()')
    await sql(`SELECT pg_logical_emit_message(true, 'test', 'x')`)
    disk?.fill()
  },
  end: async () => disk?.free(),
  unseen: true,
  spec: large,
}

test.skipIf(disk === undefined)(
  'a disk without a free byte refuses what is new, and loses nothing that was there',
  async () => {
    await meets(full, async () => {
      const [failed] = said('database', 'dependency failed')
      expect(failed).toMatchObject({ cause: expect.stringMatching(/could not extend file.*No space left on device/) })
    })
    await noneIsLost()
  },
  240_000,
)

/** PostgreSQL ends itself where it cannot write its log, and cannot come up again until it can. */
const noLog: DatabaseFault = {
  name: 'no disk for the write-ahead log',
  trouble: 'unreachable',
  async begin({ sql }) {
    disk?.fill()
    for (;;)
      try {
        await sql(`SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000)), pg_switch_wal()`)
      } catch {
        return
      }
  },
  async end({ postgres }) {
    disk?.free()
    const { server } = postgres()
    await server?.stop()
    await server?.start()
  },
}

test.skipIf(disk === undefined)(
  'a server that went down for want of a log is used again as soon as it is back',
  async () => {
    await meets(noLog, async () => expect(database.postgres().server?.output).toMatch(/PANIC.*No space left on device/))
    await noneIsLost()
  },
  240_000,
)

const standby: DatabaseFault = {
  name: 'the address leads to a standby',
  trouble: 'read_only',
  begin: async ({ postgres, succeed }) => await succeed(await startStandby(postgres())),
  end: ({ sql }) => sql('SELECT pg_promote()'),
}

test('a standby is read and not written to, and is used as soon as it is promoted', async () => {
  await meets(standby, async () => {
    expect((await database.sql('SELECT pg_is_in_recovery() AS yes')).rows).toEqual([{ yes: true }])
    expect(await agent()).toBe('401 unauthorized')
    const [id] = before[0]?.split(' ') ?? []
    const answer = await fetch(`${operator.platformUrl}/workspaces/${id ?? ''}/external/rotate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminToken}`, connection: 'close' },
    })
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { error: expect.objectContaining({ code: 'store_unavailable' }) as unknown },
    ])
  })
  const moved = 'the address of the database leads to another server, or to one that was started anew'
  await until(() => lines.some(({ msg }) => msg === moved), { what: moved })
  await noneIsLost()
}, 240_000)

const rotated: DatabaseFault = {
  name: 'password replaced, and only later in the file',
  trouble: 'credentials',
  async begin({ sql }) {
    await sql(`ALTER ROLE operator PASSWORD 'rotated'`)
    await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'operator'`)
  },
  end: () => writeFile(urlFile, Object.assign(new URL(database.url), { password: 'rotated' }).href),
}

test('a password that is replaced holds as soon as the file has it', async () => {
  await meets(rotated)
  await noneIsLost()
}, 240_000)
