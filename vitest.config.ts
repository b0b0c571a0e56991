import { readdirSync } from 'node:fs'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.ts'

/** What a kind of test is given: control planes to borrow one of, a database server. A kind that is not named gets nothing. */
const needs: Readonly<Record<string, { cluster?: boolean; database?: boolean }>> = {
  api: { cluster: true },
  kube: { cluster: true },
  manifests: { cluster: true },
  store: { database: true },
  platform: { database: true },
  sweepers: { database: true },
  controllers: { cluster: true, database: true },
  incidents: { cluster: true, database: true },
  convergence: { cluster: true, database: true },
  tenants: { cluster: true, database: true },
  gitops: { cluster: true, database: true },
  faults: { cluster: true, database: true },
  e2e: { cluster: true, database: true },
}

const kinds = readdirSync('test', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'support' && entry.name !== 'fakes')
  .map((entry) => entry.name)

const unit: TestProjectConfiguration = {
  test: {
    name: 'unit',
    include: ['src/**/*.test.ts'],
    // Pure, but a property is tried a hundred times, on a machine that may be busy.
    testTimeout: 30_000,
    // They compute: one for each of two cores.
    maxWorkers: 2,
    sequence: { groupOrder: 0 },
  },
}

/**
 * One group of all kinds, so that a worker is idle only at the end of the run. Files of different kinds, and two of the
 * same kind, run side by side: each has a control plane and a database of its own, what it makes on the Docker engine
 * carries the label of its own operator, and its ports and folders are drawn at random.
 */
const projects: TestProjectConfiguration[] = kinds.map((kind) => ({
  test: {
    name: kind,
    include: [`test/${kind}/**/*.test.ts`],
    globalSetup: needs[kind] ? ['test/setup.ts'] : [],
    provide: { needs: needs[kind] ?? {} },
    // Longer than the waits inside, which say what did not come.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    sequence: { groupOrder: 1 },
  },
}))

export default defineConfig({
  test: {
    projects: [unit, ...projects],
    // Tests of these kinds mostly wait: three keep two cores busy beside the control planes and PostgreSQL.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    reporters: process.env['CI'] ? ['dot', './test/support/summary.ts'] : ['default', './test/support/summary.ts'],
  },
})
