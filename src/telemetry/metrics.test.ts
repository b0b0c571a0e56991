import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { bounds } from '../places.ts'
import { inboxLimits } from '../store/agent-store.ts'
import { heldLimits } from '../platform/held-bytes.ts'
import { planes } from '../store/orphan-store.ts'
import { phases } from '../store/workspace-store.ts'
import { sourceFaults } from '../sources/source.ts'
import { holds } from '../sweepers/orphans/plan.ts'
import { releasedBackends } from '../config.ts'
import { createMetrics, labelValues } from './metrics.ts'

const text = await createMetrics().registry.metrics()

test('the closed sets are those of the rooms that own them', () => {
  // A backend that can be configured has its lines at zero; the fake one is of the tests.
  expect(labelValues.backend.filter((name) => name !== 'fake')).toEqual(releasedBackends)
  expect(labelValues.phase).toEqual(phases)
  expect(labelValues.plane).toEqual(planes)
  expect(labelValues.hold).toEqual(holds)
  expect(labelValues.bound).toEqual(bounds)
  expect(labelValues.inbox).toEqual(Object.keys(inboxLimits))
  expect(labelValues.held).toEqual(Object.keys(heldLimits))
  expect(labelValues.look).toEqual(['fetched', 'unchanged', ...sourceFaults])
})

test('every metric is there before anything has happened', async () => {
  const metrics = createMetrics()
  const declared = (await metrics.registry.getMetricsAsJSON()).map(({ name }) => name)
  for (const name of declared) expect(text).toContain(`# TYPE ${name} `)
  expect(Object.keys(metrics)).toHaveLength(declared.length + 1)
})

test.each([
  'molecule_phantom_busy_resets_total 0',
  'molecule_operator_orphans_removed_total{plane="volume"} 0',
  'molecule_operator_stop_retry_exhausted_total{backend="docker"} 0',
  'molecule_operator_duplicate_instances{backend="docker"} 0',
  'molecule_operator_duplicate_rows 0',
  'molecule_operator_workspaces{phase="hibernated"} 0',
  'molecule_operator_reconcile_total{controller="workspace",outcome="error"} 0',
  'molecule_operator_reconcile_seconds_count{controller="workspace"} 0',
  'molecule_operator_wake_seconds_count 0',
])('%s', (line) => {
  expect(text.split('\n')).toContain(line)
})

test('no label could grow with the installation', async () => {
  const all = await createMetrics().registry.getMetricsAsJSON()
  const labels = new Set(all.flatMap(({ values }) => values.flatMap((value) => Object.keys(value.labels))))
  for (const name of ['name', 'namespace', 'uid', 'id', 'key', 'workspace']) expect(labels).not.toContain(name)
})

test('the page and the alerts speak of what there is, and the page of all of it', async () => {
  const declared = new Set((await createMetrics().registry.getMetricsAsJSON()).map(({ name }) => name))
  const inFile = (path: string) =>
    new Set(readFileSync(path, 'utf8').match(/\b(molecule_(operator|http|phantom)|process|nodejs)_[a-z_]+/g))
  expect(inFile('docs/telemetry.md')).toEqual(declared)
  for (const name of inFile('manifests/monitoring/alerts.yaml'))
    expect(declared).toContain(name.replace(/_bucket$/, ''))
})

test('the page says of each alert what to do', () => {
  const names = (path: string, line: RegExp) => [...readFileSync(path, 'utf8').matchAll(line)].map(([, name]) => name)
  const rules = names('manifests/monitoring/alerts.yaml', /- alert: (\w+)/g)
  expect(rules).toContain('MoleculeNoLeader')
  expect(names('docs/telemetry.md', /^\| (Molecule\w+) \|/gm)).toEqual(rules)
})
