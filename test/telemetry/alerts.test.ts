/** The alerts of manifests/monitoring, by Prometheus' own tools: each fires when it should, and does not when it should not. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

interface Rule {
  readonly alert: string
  readonly labels: Readonly<Record<string, string>>
}
interface Rules {
  readonly spec: { readonly groups: readonly { readonly rules: readonly Rule[] }[] }
}

const file = 'manifests/monitoring/alerts.yaml'
const { spec } = parse(await readFile(file, 'utf8')) as Rules
const rules = spec.groups.flatMap((group) => group.rules)
const dir = await mkdtemp(join(tmpdir(), 'molecule-alerts-'))
afterAll(() => rm(dir, { recursive: true, force: true }))

const { error } = spawnSync('promtool', ['--version'])
const absent = error !== undefined
if (absent)
  console.warn('SKIPPED: there is no promtool on this machine (apt-get install prometheus): no alert was tried')

/** Values a minute apart, in promtool's own notation, `0+60x30`; and when the alert has to fire by them. */
interface Case {
  readonly fires: Readonly<Record<string, string>>
  readonly quiet: Readonly<Record<string, string>>
  /** Minutes after which it fires; until then what is quiet is so in every minute. */
  readonly after: number
  /** What its labels say beside the severity. */
  readonly labels?: Readonly<Record<string, string>>
}

const up = (dependency: string, instance = 'a') =>
  `molecule_operator_dependency_up{dependency="${dependency}",instance="${instance}"}`
const op = (name: string, labels = '') => `molecule_operator_${name}{${labels}}`

const cases: Readonly<Record<string, Case>> = {
  MoleculeDatabaseDown: {
    fires: { [up('database')]: '0x10', [up('database', 'b')]: '1x10' },
    // A restart of PostgreSQL is no outage.
    quiet: { [up('database')]: '1 0 1 1 1 0 1 1 1 1', [up('api_server')]: '0x10' },
    after: 3,
    labels: { dependency: 'database' },
  },
  MoleculeApiServerDown: {
    fires: { [up('api_server')]: '0x10' },
    quiet: { [up('api_server')]: '0 0 0 1 1 1 1', [up('database')]: '0x10' },
    after: 6,
    labels: { dependency: 'api_server' },
  },
  MoleculeBackendDown: {
    fires: { [up('docker')]: '0x10' },
    quiet: { [up('docker')]: '1x10', [up('database')]: '0x10', [up('api_server')]: '0x10' },
    after: 6,
    labels: { dependency: 'docker' },
  },
  MoleculeDependencyErrors: {
    fires: { [op('dependency_errors_total', 'dependency="database",cause="busy"')]: '0+30x30' },
    quiet: { [op('dependency_errors_total', 'dependency="database",cause="busy"')]: '0+1x30' },
    after: 20,
    labels: { dependency: 'database', cause: 'busy' },
  },
  MoleculeNoLeader: {
    fires: { [op('leader', 'instance="a"')]: '0x10', [op('leader', 'instance="b"')]: '0x10' },
    quiet: { [op('leader', 'instance="a"')]: '1x10', [op('leader', 'instance="b"')]: '0x10' },
    after: 3,
  },
  MoleculeObjectsStalled: {
    fires: { [op('objects_not_ready', 'controller="workspace",state="stalled",reason="ImageMissing"')]: '2x60' },
    quiet: {
      [op('objects_not_ready', 'controller="workspace",state="stalled",reason="ImageMissing"')]: '2x20 0x40',
      [op('objects_not_ready', 'controller="workspace",state="idle",reason="Paused"')]: '9x60',
    },
    after: 40,
    labels: { controller: 'workspace', reason: 'ImageMissing' },
  },
  MoleculeObjectsNotReady: {
    fires: { [op('longest_not_ready_seconds', 'controller="workspace",state="waiting"')]: '0+60x60' },
    // Something is always on its way; no object is for long.
    quiet: {
      [op('longest_not_ready_seconds', 'controller="workspace",state="waiting"')]: '600x60',
      [op('longest_not_ready_seconds', 'controller="workspace",state="idle"')]: '0+60x60',
    },
    after: 50,
    labels: { controller: 'workspace', state: 'waiting' },
  },
  MoleculeReconcileErrors: {
    fires: { [op('reconcile_total', 'controller="workspace",outcome="error"')]: '0+30x60' },
    quiet: {
      [op('reconcile_total', 'controller="workspace",outcome="error"')]: '0+1x60',
      [op('reconcile_total', 'controller="workspace",outcome="unavailable"')]: '0+900x60',
    },
    after: 40,
    labels: { controller: 'workspace' },
  },
  MoleculeQueueStuck: {
    fires: { [op('queue_depth', 'controller="workspace"')]: '501x30' },
    quiet: { [op('queue_depth', 'controller="workspace"')]: '500x30' },
    after: 12,
    labels: { controller: 'workspace' },
  },
  MoleculeWatchSilent: {
    fires: { [op('watch_last_event_age_seconds', 'kind="Workspace"')]: '0+60x30' },
    quiet: { [op('watch_last_event_age_seconds', 'kind="Workspace"')]: '60x30' },
    after: 20,
    labels: { kind: 'Workspace' },
  },
  MoleculeEventLoopBlocked: {
    fires: { [op('event_loop_lag_seconds', '')]: '3x3' },
    quiet: { [op('event_loop_lag_seconds', '')]: '1x3' },
    after: 1,
  },
  MoleculeWorkspacesFailed: {
    fires: { [op('workspaces', 'phase="failed"')]: '6x30', [op('workspaces', 'phase="online"')]: '94x30' },
    quiet: { [op('workspaces', 'phase="failed"')]: '5x30', [op('workspaces', 'phase="online"')]: '95x30' },
    after: 20,
  },
  MoleculeDuplicateInstances: {
    fires: { [op('duplicate_instances', 'backend="docker"')]: '1x10' },
    quiet: { [op('duplicate_instances', 'backend="docker"')]: '0x10' },
    after: 6,
    labels: { backend: 'docker' },
  },
  MoleculeDuplicateRows: {
    fires: { [op('duplicate_rows', '')]: '1x10' },
    quiet: { [op('duplicate_rows', '')]: '0x10' },
    after: 1,
  },
  MoleculeInstanceGivenUp: {
    fires: { [op('stop_retry_exhausted_total', 'backend="docker"')]: '0 0 1 1 1 1' },
    quiet: { [op('stop_retry_exhausted_total', 'backend="docker"')]: '3x10' },
    after: 5,
    labels: { backend: 'docker' },
  },
  MoleculeOrphansLeft: {
    fires: { [op('orphans', 'plane="row"')]: '1x90' },
    quiet: { [op('orphans', 'plane="row"')]: '1x30 0x60' },
    after: 70,
    labels: { plane: 'row' },
  },
  MoleculeOrphanSweepsHeld: {
    fires: { [op('orphan_sweep_held', 'reason="RowsUnreadable"')]: '1x60' },
    quiet: { [op('orphan_sweep_held', 'reason="RowsUnreadable"')]: '0x60' },
    after: 40,
    labels: { reason: 'RowsUnreadable' },
  },
  MoleculePhantomBusy: {
    fires: { molecule_phantom_busy_resets_total: '0 0 2 2 2', [op('workspaces', 'phase="online"')]: '100x10' },
    quiet: { molecule_phantom_busy_resets_total: '0 0 2 2 2', [op('workspaces', 'phase="online"')]: '1000x10' },
    after: 4,
  },
  MoleculeWakesSlow: {
    fires: {
      [op('wake_seconds_bucket', 'le="60"')]: '0+1x150',
      [op('wake_seconds_bucket', 'le="120"')]: '0+10x150',
      [op('wake_seconds_bucket', 'le="+Inf"')]: '0+10x150',
    },
    quiet: {
      [op('wake_seconds_bucket', 'le="60"')]: '0+10x150',
      [op('wake_seconds_bucket', 'le="120"')]: '0+10x150',
      [op('wake_seconds_bucket', 'le="+Inf"')]: '0+10x150',
    },
    after: 130,
  },
  MoleculeDatabaseRefuses: {
    fires: { [op('sql_poisoned_rows_total', 'name="record"')]: '0 0 1 1 1' },
    quiet: { [op('sql_poisoned_rows_total', 'name="record"')]: '4x10' },
    after: 4,
    labels: { name: 'record' },
  },
}

test('every alert is tried', () => {
  expect(Object.keys(cases).toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted())
})

const run = promisify(execFile)
/** Without its text, which promtool would compare as well. */
const alone = (alert: string) => {
  const found = rules.filter((rule) => rule.alert === alert)
  const shown = found.map((rule) => Object.fromEntries(Object.entries(rule).filter(([name]) => name !== 'annotations')))
  return { groups: [{ name: alert, rules: shown }] }
}

test.skipIf(absent)('promtool takes the rules', async () => {
  const path = join(dir, 'all.yaml')
  await writeFile(path, stringify(spec))
  const { stdout } = await run('promtool', ['check', 'rules', '--lint-fatal', path])
  expect(stdout).toContain(`${String(rules.length)} rules found`)
})

test.skipIf(absent).each(Object.entries(cases))('%s fires when it should, and only then', async (alert, one) => {
  const severity = rules.find((rule) => rule.alert === alert)?.labels['severity']
  const path = join(dir, `${alert}.rules.yaml`)
  await writeFile(path, stringify(alone(alert)))
  /** Looked at in these minutes. */
  const tried = (series: Readonly<Record<string, string>>, minutes: readonly number[], labels: readonly object[]) => ({
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name.replace('{}', ''), values })),
    alert_rule_test: minutes.map((minute) => ({
      eval_time: `${String(minute)}m`,
      alertname: alert,
      exp_alerts: labels,
    })),
  })
  const every = Array.from({ length: one.after + 1 }, (_, minute) => minute)
  const expected = { exp_labels: { severity, ...one.labels } }
  const tests = join(dir, `${alert}.test.yaml`)
  const body = {
    rule_files: [path],
    evaluation_interval: '1m',
    tests: [tried(one.fires, [one.after], [expected]), tried(one.quiet, every, [])],
  }
  await writeFile(tests, stringify(body))
  const { stdout } = await run('promtool', ['test', 'rules', tests]).catch(
    (failed: { stdout: string; stderr: string }) => ({
      stdout: `${failed.stdout}${failed.stderr}`,
    }),
  )
  expect(stdout).toContain('SUCCESS')
})
