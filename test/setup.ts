/** Once a run, before the first file of a kind that needs it: control planes, a PostgreSQL, and what belongs in them. */
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { findBinaries, startControlPlane, type Binaries, type ControlPlane } from '../src/dev/control-plane.ts'
import { installOperator } from '../src/dev/install.ts'
import { startPostgres, type Postgres } from '../src/dev/postgres.ts'
import { leaseRights } from './support/lease-rights.ts'
import { PlaneLender } from './support/planes.ts'
import { migrate } from '../src/store/postgres/migrate.ts'

declare module 'vitest' {
  interface ProvidedContext {
    needs: { readonly cluster?: boolean; readonly database?: boolean }
    /** Port of loopback at which a file borrows a control plane. */
    planes: number
    database: { readonly url: string; readonly template: string }
  }
}

/** Each project loads this file anew, but all of them share the run's process, and so what hangs on it. */
interface Run {
  users: number
  planes?: Promise<{ lender: PlaneLender; port: number }>
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
  const planes = needs?.cluster ? (ours.planes ??= openPlanes(project.vitest.config.maxWorkers)) : undefined
  const database = needs?.database ? (ours.database ??= startDatabase()) : undefined
  const results = await Promise.allSettled([planes, database])
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) {
    await tearDown()
    throw failed.reason
  }
  if (planes) project.provide('planes', (await planes).port)
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
  const [planes, database] = await Promise.allSettled([ours.planes, ours.database])
  if (planes.status === 'fulfilled') await planes.value?.lender.stop()
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

/** No more of them than files run at once. */
async function openPlanes(most: number): Promise<{ lender: PlaneLender; port: number }> {
  const binaries = await findBinaries(report)
  const lender = new PlaneLender(most, () => startCluster(binaries))
  return { lender, port: await lender.open() }
}

/** With the CRDs, the operator's RBAC and the finalizer's policy in place: every test runs under them. */
async function startCluster(binaries: Binaries): Promise<ControlPlane> {
  const cluster = await startControlPlane({ binaries, dir: freshDir('cluster'), report })
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
