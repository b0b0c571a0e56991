import { readdirSync } from 'node:fs'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'

/** What a kind of test starts once a run (test/setup.ts); a kind that is not named here starts nothing. */
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

/** Kinds whose operators watch every namespace of the one cluster: one file at a time, and never beside another kind. */
const alone = ['controllers', 'incidents', 'convergence', 'tenants', 'gitops', 'faults', 'e2e']

const kinds = readdirSync('test', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'support' && entry.name !== 'fakes')
  .map((entry) => entry.name)

const unit: TestProjectConfiguration = {
  // Pure, but a property is tried a hundred times, on a machine that may be busy.
  test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 30_000, sequence: { groupOrder: 0 } },
}

const projects: TestProjectConfiguration[] = kinds.map((kind) => ({
  test: {
    name: kind,
    include: [`test/${kind}/**/*.test.ts`],
    globalSetup: needs[kind] ? ['test/setup.ts'] : [],
    provide: { needs: needs[kind] ?? {} },
    // Longer than the waits inside, which say what did not come.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: !alone.includes(kind),
    sequence: { groupOrder: alone.includes(kind) ? 2 + alone.indexOf(kind) : 1 },
  },
}))

export default defineConfig({
  test: {
    projects: [unit, ...projects],
    // The control plane and PostgreSQL want a core, too.
    maxWorkers: 2,
    reporters: process.env['CI'] ? ['dot', './test/support/summary.ts'] : ['default', './test/support/summary.ts'],
  },
})
