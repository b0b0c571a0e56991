/** A kind that nobody acts on yet says so, and does not hold back its own deletion. */
import { expect, test } from 'vitest'
import type { PluginInstall } from '../../src/api/plugin-install.ts'
import { ExternalBackend } from '../../src/backends/external/backend.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { startOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
await startOperator({ databaseUrl, backends: [new ExternalBackend()], env: { DEFAULT_BACKEND: 'external' } })

test('it is not ready, names what nothing follows from, and can be deleted', async () => {
  const install = {
    apiVersion: 'molecule.dev/v1alpha1',
    kind: 'PluginInstall',
    metadata: { name: 'careful', namespace: ns },
    spec: { source: 'github://molecule/careful-bash', targets: { names: ['a'] } },
  }
  await cluster.apply([install])
  await until(
    async () => {
      const { status } = (await cluster.getJson('pi', 'careful', '-n', ns)) as PluginInstall
      const shown = (status?.conditions ?? []).map(({ type, status: holds, message }) => `${type}=${holds} ${message}`)
      expect(shown).toContainEqual(expect.stringMatching(/^Ready=False Not acted on yet/))
      expect(shown).toContainEqual(expect.stringMatching(/^Unsupported=True .*spec.source/))
      return true
    },
    { what: 'it to say so', within: 45_000 },
  )
  await cluster.kubectl(['delete', 'pi', 'careful', '-n', ns, '--timeout=60s'])
}, 180_000)
