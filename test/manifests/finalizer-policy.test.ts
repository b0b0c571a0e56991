import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { apiVersion, finalizer } from '../../src/api/meta.ts'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const root = join(import.meta.dirname, '..', '..')
const policy = join(root, 'manifests', 'finalizer-policy')

const specs = {
  Workspace: { displayName: 'Somebody' },
  OrgImport: { source: { inline: { name: 'Somewhere', workspaces: [{ name: 'Somebody' }] } } },
  PluginInstall: { source: 'github://somebody/something', targets: { names: ['somebody'] } },
  Runtime: { image: 'somewhere.local/agent:1' },
} as const
type Kind = keyof typeof specs
const kinds = Object.keys(specs) as Kind[]

const created = z.object({
  metadata: z.object({ name: z.string(), generation: z.number(), finalizers: z.array(z.string()).optional() }),
})

/** Taking the policy away is felt by everybody, so this file has a cluster of its own. */
let cluster: ControlPlane
beforeAll(async () => {
  cluster = await ownControlPlane()
  await cluster.apply(join(root, 'crds'))
  await cluster.apply(policy)
  await acts(true)
})
afterAll(() => cluster.stop())

/** The finalizers with which one create request, and nothing after it, leaves the object. */
async function finalizersAtBirth(kind: Kind, given: object = {}, dryRun = false): Promise<readonly string[]> {
  const metadata = { name: `try-${randomBytes(4).toString('hex')}`, ...given }
  const namespace = kind === 'Runtime' ? {} : { namespace: 'default' }
  const input = JSON.stringify({ apiVersion, kind, metadata: { ...metadata, ...namespace }, spec: specs[kind] })
  const flags = dryRun ? ['--dry-run=server'] : []
  const text = await cluster.kubectl(['create', ...flags, '-f', '-', '-o', 'json'], { input })
  return created.parse(JSON.parse(text)).metadata.finalizers ?? []
}

/** A policy is acted on, and a new kind is served, a moment after they are accepted. */
const acts = (wanted: boolean) =>
  until(
    async () => {
      for (const kind of kinds)
        if ((await finalizersAtBirth(kind, {}, true)).includes(finalizer) !== wanted) return false
      return true
    },
    { within: 60_000, what: wanted ? 'the finalizer at birth' : 'the end of the finalizer at birth' },
  )

describe('the finalizer at birth', () => {
  test.each(kinds)('is on a %s after its create alone', async (kind) => {
    expect(await finalizersAtBirth(kind)).toEqual([finalizer])
  })

  test('comes by a server-side apply that creates, too', async () => {
    const input = JSON.stringify({
      apiVersion,
      kind: 'Workspace',
      metadata: { name: 'applied' },
      spec: specs.Workspace,
    })
    const apply = ['apply', '--server-side', '-n', 'default', '-f', '-', '-o', 'json']
    expect(created.parse(JSON.parse(await cluster.kubectl(apply, { input }))).metadata.finalizers).toEqual([finalizer])
    // Applied again, the finalizer is nobody's change: nothing is written.
    const again = created.parse(JSON.parse(await cluster.kubectl(apply, { input })))
    expect(again.metadata).toMatchObject({ generation: 1, finalizers: [finalizer] })
  })

  test.each([
    { given: [], expected: [finalizer] },
    { given: ['somebody.else/first'], expected: ['somebody.else/first', finalizer] },
    { given: [finalizer, 'somebody.else/last'], expected: [finalizer, 'somebody.else/last'] },
  ])('keeps what is there: $given', async ({ given, expected }) => {
    expect(await finalizersAtBirth('Workspace', { finalizers: given })).toEqual(expected)
  })

  test('does not come back once taken off', async () => {
    const name = 'leaving'
    await finalizersAtBirth('Workspace', { name, finalizers: ['somebody.else/hold'] })
    await cluster.kubectl(['delete', 'workspace', name, '-n', 'default', '--wait=false'])
    const release = JSON.stringify({ metadata: { finalizers: ['somebody.else/hold'] } })
    await cluster.kubectl(['patch', 'workspace', name, '-n', 'default', '--type=merge', '-p', release])
    await cluster.kubectl(['annotate', 'workspace', name, '-n', 'default', 'touched=again'])
    expect(await cluster.getJson('workspace', name, '-n', 'default')).toMatchObject({
      metadata: { finalizers: ['somebody.else/hold'], annotations: { touched: 'again' } },
    })
  })

  test('is not there without the policy, and nothing else is different', async () => {
    await cluster.kubectl(['delete', '-k', policy])
    await acts(false)
    for (const kind of kinds) expect(await finalizersAtBirth(kind)).toEqual([])
  }, 120_000)
})
