/** The secret of the operator's own calls, in its row: sealed, replaced with each launch, and readable with one key alone. */
import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { fenceOf, given, intent, keyOf, launchOf, lease, rowOf } from './given.ts'

const url = await database()
const secretsKey = randomBytes(32)
const { store, sql } = given(url, { secretsKey })
const { workspaces, agents } = store
let fence = fenceOf(0n)

beforeAll(async () => {
  fence = fenceOf(await store.leaders.begin(lease, 'tests'))
})

const secretOf = () => randomBytes(32).toString('base64url')

async function launched(inboundSecret: string | undefined, more: Partial<WorkspaceIntent> = {}) {
  const asked = intent(more)
  expect(rowOf(await workspaces.record(asked, fence)).hasInboundSecret).toBe(false)
  const row = await workspaces.launch({ ...launchOf(asked), inboundSecret }, fence)
  return { ...asked, row }
}

/** All that the database holds, as text; bytea in hex. */
async function everything(): Promise<string> {
  const tables = await sql(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
  const texts = tables.map(({ tablename }) => sql(`SELECT t::text FROM "${String(tablename)}" t`))
  return JSON.stringify(await Promise.all(texts))
}

test('it comes back for a call, to each replica, and the database holds no form of its text', async () => {
  const secret = secretOf()
  const { id, row } = await launched(secret)
  expect(row.hasInboundSecret).toBe(true)
  const replica = given(url, { secretsKey }).store.agents
  for (const address of [agents.address(id), agents.beginMessage(id), replica.beginMessage(id)])
    expect(await address).toMatchObject({ inbound: { secret } })
  const held = await everything()
  expect(held).toContain(id)
  const raw = Buffer.from(secret)
  for (const form of [
    secret,
    raw.toString('hex'),
    raw.toString('base64'),
    Buffer.from(secret, 'base64url').toString('hex'),
  ])
    expect(held).not.toContain(form)
})

test('each launch replaces it, in the statement that replaces the token', async () => {
  const [first, second] = [secretOf(), secretOf()]
  const made = await launched(first)
  const { id } = made
  await workspaces.launch({ ...launchOf(made), inboundSecret: second }, fence)
  expect(await agents.address(id)).toMatchObject({ inbound: { secret: second }, status: 'provisioning', url: '' })
  await workspaces.launch(launchOf(made), fence)
  expect(await agents.address(id)).not.toHaveProperty('inbound')
})

test('a key that is another one, or none, opens nothing and throws nothing; the next launch replaces it', async () => {
  const made = await launched(secretOf())
  const { id } = made
  const other = given(url, { secretsKey: randomBytes(32) }).store
  for (const blind of [other, given(url).store]) {
    expect((await blind.agents.beginMessage(id))?.inbound).toEqual({ secret: undefined })
    expect((await blind.agents.address(id))?.inbound).toEqual({ secret: undefined })
  }
  const secret = secretOf()
  await other.workspaces.launch({ ...launchOf(made), inboundSecret: secret }, fence)
  expect(await other.agents.address(id)).toMatchObject({ inbound: { secret } })
})

test('a secret that was copied from another row, or cut, opens nothing', async () => {
  const [one, two] = [await launched(secretOf()), await launched(secretOf())]
  const copy =
    'UPDATE workspaces SET inbound_secret = (SELECT inbound_secret FROM workspaces WHERE id = $1) WHERE id = $2'
  await sql(copy, one.id, two.id)
  expect((await agents.address(two.id))?.inbound).toEqual({ secret: undefined })
  await sql(`UPDATE workspaces SET inbound_secret = '\\x00' WHERE id = $1`, two.id)
  expect((await agents.address(two.id))?.inbound).toEqual({ secret: undefined })
})

test('without a key no launch with a secret is written', async () => {
  const asked = intent()
  await workspaces.record(asked, fence)
  const keyless = given(url).store.workspaces
  const launch = keyless.launch({ ...launchOf(asked), inboundSecret: secretOf() }, fence)
  await expect(launch).rejects.toMatchObject({ reason: 'SecretsKeyMissing' })
  expect(await sql('SELECT launched_at FROM workspaces WHERE id = $1', asked.id)).toEqual([{ launched_at: null }])
})

test('an external agent has none, nor one that was adopted or is removed', async () => {
  const outside = await launched(secretOf(), { backend: 'external' })
  expect(outside.row.hasInboundSecret).toBe(false)
  expect(await agents.address(outside.id)).not.toHaveProperty('inbound')

  const made = await launched(secretOf())
  const { id } = made
  const facts = {
    ...keyOf(made),
    instanceId: 'before',
    url: 'http://127.0.0.1:1',
    imageDigest: undefined,
    specHash: 'adopted',
  }
  expect((await workspaces.adopted(facts, fence)).hasInboundSecret).toBe(false)
  expect(await agents.address(id)).not.toHaveProperty('inbound')

  await workspaces.launch({ ...launchOf(made), inboundSecret: secretOf() }, fence)
  await workspaces.remove(made, fence)
  expect(await sql('SELECT inbound_secret FROM workspaces WHERE id = $1', id)).toEqual([{ inbound_secret: null }])
})
