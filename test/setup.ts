/** Once a run, before the first file of a kind that needs it: a control plane, a PostgreSQL, and what belongs in them. */
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { findBinaries, startControlPlane, type ControlPlane } from '../src/dev/control-plane.ts'
import { installOperator } from '../src/dev/install.ts'
import { startPostgres, type Postgres } from '../src/dev/postgres.ts'
import { leaseRights } from './support/lease-rights.ts'
import { migrate } from '../src/store/postgres/migrate.ts'

declare module 'vitest' {
  interface ProvidedContext {
    needs: { readonly cluster?: boolean; readonly database?: boolean }
    cluster: { readonly kubeconfig: string; readonly kubectl: string; readonly dir: string; readonly url: string }
    database: { readonly url: string; readonly template: string }
  }
}

/** Each project loads this file anew, but all of them share the run's process, and so what hangs on it. */
interface Run {
  users: number
  cluster?: Promise<ControlPlane>
  database?: Promise<{ postgres: Postgres; template: string }>
}
const key: unique symbol = Symbol.for('molecule-operator.test-run')
const shared = globalThis as { [key]?: Run }

const report = (line: string) => console.log(`  ${line}`)
const freshDir = (name: string) => join(tmpdir(), `molecule-test-${name}-${randomBytes(4).toString('hex')}`)

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { needs } = project.config.provide
  const ours = (shared[key] ??= { users: 0 })
  ours.users++
  // Started side by side; a failure of one must not leave the other running.
  const cluster = needs?.cluster ? (ours.cluster ??= startCluster()) : undefined
  const database = needs?.database ? (ours.database ??= startDatabase()) : undefined
  const results = await Promise.allSettled([cluster, database])
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) {
    await tearDown()
    throw failed.reason
  }
  if (cluster) {
    const { kubeconfig, kubectlPath, dir, url } = await cluster
    project.provide('cluster', { kubeconfig, kubectl: kubectlPath, dir, url })
  }
  if (database) {
    const { postgres, template } = await database
    project.provide('database', { url: postgres.url, template })
  }
  return tearDown
}

async function tearDown(): Promise<void> {
  const ours = shared[key]
  if (!ours || --ours.users > 0) return
  delete shared[key]
  const [cluster, database] = await Promise.allSettled([ours.cluster, ours.database])
  if (cluster.status === 'fulfilled') await cluster.value?.stop()
  if (database.status === 'fulfilled' && database.value) {
    const { postgres, template } = database.value
    await postgres.dropDatabase(template)
    await postgres.stop()
  }
}

/** Where the operators of tests have their leases: each its own, and in molecule-system they may hold one alone. */
const leases = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'test-leases' } },
  ...leaseRights('test-leases'),
]

/** With the CRDs, the operator's RBAC and the finalizer's policy in place: every test runs under them. */
async function startCluster(): Promise<ControlPlane> {
  const cluster = await startControlPlane({ binaries: await findBinaries(report), dir: freshDir('cluster'), report })
  try {
    await installOperator(cluster)
    await cluster.apply(leases)
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

async function startDatabase(): Promise<{ postgres: Postgres; template: string }> {
  const postgres = await startPostgres({ dir: freshDir('postgres'), report, unsafe: true })
  const template = `molecule_template_${randomBytes(4).toString('hex')}`
  try {
    await migrate(await postgres.createDatabase(template))
    return { postgres, template }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}
