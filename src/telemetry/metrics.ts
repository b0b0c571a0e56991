/**
 * Every metric of the operator, declared here and present at zero from the start. Labels are closed sets: never a name,
 * a namespace or a UID. docs/telemetry.md says what each is good for; names that the system before had are kept.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export const controllers = ['workspace', 'org-import', 'runtime', 'plugin-install'] as const
export type ControllerName = (typeof controllers)[number]

/** How an object is that is not ready: src/kube/verdicts.ts. */
export const notReady = ['stalled', 'waiting', 'failing', 'idle'] as const
export type NotReady = (typeof notReady)[number]

/** The closed sets that are shown at zero. Rooms that own such a set are compared with it by metrics.test.ts. */
export const labelValues = {
  outcome: ['settled', 'again', 'blocked', 'unavailable', 'error', 'conflict', 'skipped'],
  phase: [
    'provisioning',
    'online',
    'offline',
    'degraded',
    'failed',
    'paused',
    'hibernating',
    'hibernated',
    'awaiting_agent',
    'removed',
  ],
  backend: ['docker', 'process', 'external', 'fake'],
  plane: ['row', 'instance', 'volume'],
  sweep: ['done', 'held', 'failed'],
  leavings: ['channels', 'tokens', 'rows'],
  hold: ['ResourcesUnreadable', 'RowsUnreadable', 'BackendUnreadable', 'ResourcesEmpty', 'TooManyMissing'],
  run: ['ok', 'error', 'skipped'],
  restart: ['delivered', 'dropped'],
  bound: ['pair', 'destination', 'caller', 'namespace', 'total'],
  inbox: ['workspace', 'namespace', 'total'],
  held: ['request', 'message', 'answer'],
  rate: ['bytes', 'caller', 'card', 'messages', 'take', 'rotate', 'unknownToken', 'open'],
  source: ['git', 'artifact', 'archive'],
  look: [
    'fetched',
    'unchanged',
    'SourceMissing',
    'AuthFailed',
    'NotAllowed',
    'SourceTooLarge',
    'SourceInvalid',
    'VerificationFailed',
    'SourceUnreachable',
  ],
  action: ['Created', 'Updated', 'Renamed', 'Moved', 'Adopted', 'Ignored', 'Pruned', 'Waiting', 'Failed'],
} as const

const fast = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const slow = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300]

export type Metrics = ReturnType<typeof createMetrics>

/** One registry a process (or a test). */
export function createMetrics() {
  const registry = new Registry()
  const declare = declarations(registry)
  const metrics = { registry, ...machine(declare), ...outside(declare), ...workspaces(declare), ...processOwn(declare) }
  zero(metrics)
  return metrics
}

function declarations(registry: Registry) {
  const registers = [registry]
  const own = (name: string) => `molecule_operator_${name}`
  return {
    registers,
    counter: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter({ name: own(name), help, labelNames, registers }),
    gauge: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Gauge({ name: own(name), help, labelNames, registers }),
    histogram: <L extends string>(name: string, help: string, labelNames: readonly L[] = [], buckets = fast) =>
      new Histogram({ name: own(name), help, labelNames, buckets, registers }),
    /** A name that dashboards of the system before know. */
    kept: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter({ name: `molecule_${name}`, help, labelNames, registers }),
  }
}
type Declare = ReturnType<typeof declarations>

/** The machine in `kube/`. */
const machine = ({ counter, gauge, histogram }: Declare) => ({
  apiRequests: counter('api_requests_total', 'Requests to the API server.', ['verb', 'code']),
  apiSeconds: histogram('api_request_seconds', 'Time of one request to the API server.', ['verb']),
  watchRestarts: counter('watch_restarts_total', 'Watches begun anew.', ['kind', 'cause']),
  watchAge: gauge('watch_last_event_age_seconds', 'Time since the last event or bookmark of a watch.', ['kind']),
  cacheObjects: gauge('cache_objects', 'Objects in a cache.', ['kind']),
  followedBytes: gauge('followed_bytes', 'Bytes of content held of objects that are referred to.', ['kind']),
  followedRefused: gauge('followed_refused', 'Objects referred to whose content is refused: a limit is reached.', [
    'kind',
  ]),
  queueDepth: gauge('queue_depth', 'Keys waiting for a worker.', ['controller']),
  queueWait: histogram('queue_wait_seconds', 'Time a key waited for a worker.', ['controller']),
  reconciles: counter('reconcile_total', 'Passes by how they ended.', ['controller', 'outcome']),
  reconcileSeconds: histogram('reconcile_seconds', 'Time of one pass.', ['controller']),
  objectsNotReady: gauge('objects_not_ready', 'Objects whose last pass did not find them ready, and why.', [
    'controller',
    'state',
    'reason',
  ]),
  longestNotReady: gauge('longest_not_ready_seconds', 'How long the longest of them has been so.', [
    'controller',
    'state',
  ]),
  statusWrites: counter('status_writes_total', 'Status patches sent.', ['controller']),
  buildInfo: gauge('build_info', '1; its labels say what runs.', ['version', 'commit']),
  leader: gauge('leader', '1 while this process leads.', ['lease']),
})

/** What lies outside the cluster: database, backends, and whoever calls us. */
const outside = ({ counter, gauge, histogram, kept }: Declare) => ({
  heldBytes: gauge('held_bytes', 'Bytes of bodies and answers in memory.', ['kind']),
  backendSeconds: histogram('backend_call_seconds', 'Time of one backend call.', ['backend', 'verb', 'result']),
  stopRetryExhausted: counter(
    'stop_retry_exhausted_total',
    'Instances given up because their backend did not take them away in time: they may live on.',
    ['backend'],
  ),
  sourceFetches: counter('source_fetches_total', 'Looks at sources of templates.', ['kind', 'result']),
  lookUpsRefused: counter(
    'lookups_refused_total',
    'Names of agents and templates not looked up: too many others were.',
  ),
  messagesRefused: counter('messages_refused_total', 'Messages to agents that found no place, by what was full.', [
    'bound',
  ]),
  heldRefused: counter('held_bytes_refused_total', 'Requests that found no room for their bytes.', ['kind', 'bound']),
  rateLimited: counter('rate_limited_total', 'Requests refused because they came too fast.', ['limit']),
  inboxRefused: counter('inbox_refused_total', 'Messages that found no room to wait in, by whose limit.', ['limit']),
  databaseListening: gauge('database_listening', '1 while notifications of PostgreSQL arrive.'),
  sqlStatements: counter('sql_statements_total', 'Statements sent to PostgreSQL.', ['name']),
  sqlRows: counter('sql_batch_rows_total', 'Rows that went through the batcher.', ['name']),
  sqlPoisoned: counter('sql_poisoned_rows_total', 'Rows bisected out of a batch.', ['name']),
  dependencyUp: gauge('dependency_up', '1 while it serves, as this process sees it.', ['dependency']),
  dependencyErrors: counter('dependency_errors_total', 'Failed calls to what the operator needs, by cause.', [
    'dependency',
    'cause',
  ]),
  httpRequests: kept('http_requests_total', 'Requests of agents and admins.', ['method', 'path', 'status']),
  httpSeconds: kept('http_request_duration_seconds_total', 'Time spent on them, summed.', ['method', 'path', 'status']),
})

/** The workspaces as a whole. Set by the leader alone. */
const workspaces = ({ counter, gauge, histogram, kept }: Declare) => ({
  workspaces: gauge('workspaces', 'Live workspaces by phase.', ['phase']),
  wakeSeconds: histogram(
    'wake_seconds',
    'From the wish to wake a sleeping agent to the first message it accepted.',
    [],
    slow,
  ),
  duplicateInstances: gauge('duplicate_instances', 'Instances beyond the first of their workspace.', ['backend']),
  duplicateRows: gauge('duplicate_rows', 'Live workspaces beyond the first of their parent and name.'),
  orphans: gauge('orphans', 'Things without a Workspace: in quarantine, or only reported.', ['plane']),
  orphansRemoved: counter('orphans_removed_total', 'Orphans that were removed and proved gone.', ['plane']),
  rowsPurged: counter('rows_purged_total', 'What removed workspaces and revoked tokens left, and was deleted.', [
    'kind',
  ]),
  orphansReported: counter('orphans_reported_total', 'Orphans that were reported and left.', ['plane']),
  orphanSweeps: counter('orphan_sweeps_total', 'Sweeps for orphans by how they ended.', ['outcome']),
  orphanHold: gauge('orphan_sweep_held', '1 while sweeps do nothing, and why.', ['reason']),
  busyTooLong: gauge('busy_too_long', 'Agents that speak of a task although nothing was heard of it for long.'),
  phantomBusyResets: kept(
    'phantom_busy_resets_total',
    'Tasks that never ended, once each. Reported, never reset: the count is the agent’s own.',
  ),
  orgNodes: counter('org_nodes_total', 'Nodes of imports by what was done to them.', ['action']),
  scheduleRuns: counter('schedule_runs_total', 'Runs of schedules by how they ended.', ['outcome']),
  restartContexts: counter('restart_contexts_total', 'Messages to agents about their restart by how they ended.', [
    'outcome',
  ]),
})

/** The process itself, read when somebody looks: prom-client's own collection wakes the process all the time. */
function processOwn({ gauge, registers }: Declare) {
  const seen = <G extends Gauge | Counter>(metric: G) => metric
  const resident = () => process.memoryUsage.rss()
  return {
    eventLoopLag: gauge('event_loop_lag_seconds', 'Longest stall of the event loop since the last scrape.'),
    residentMemory: seen(
      new Gauge({
        name: 'process_resident_memory_bytes',
        help: 'Resident memory.',
        registers,
        collect() {
          this.set(resident())
        },
      }),
    ),
    heapUsed: seen(
      new Gauge({
        name: 'nodejs_heap_size_used_bytes',
        help: 'JavaScript heap in use.',
        registers,
        collect() {
          this.set(process.memoryUsage().heapUsed)
        },
      }),
    ),
    cpuSeconds: seen(
      new Counter({
        name: 'process_cpu_seconds_total',
        help: 'User and system CPU time.',
        registers,
        collect() {
          const { user, system } = process.cpuUsage()
          this.reset()
          this.inc((user + system) / 1e6)
        },
      }),
    ),
  }
}

function zero(
  metrics: Omit<ReturnType<typeof machine> & ReturnType<typeof outside> & ReturnType<typeof workspaces>, never>,
) {
  for (const controller of controllers) {
    metrics.queueDepth.set({ controller }, 0)
    metrics.statusWrites.inc({ controller }, 0)
    metrics.queueWait.zero({ controller })
    metrics.reconcileSeconds.zero({ controller })
    for (const state of notReady) metrics.longestNotReady.set({ controller, state }, 0)
    for (const outcome of labelValues.outcome) metrics.reconciles.inc({ controller, outcome }, 0)
  }
  for (const phase of labelValues.phase) metrics.workspaces.set({ phase }, 0)
  for (const backend of labelValues.backend) {
    metrics.duplicateInstances.set({ backend }, 0)
    metrics.stopRetryExhausted.inc({ backend }, 0)
  }
  for (const plane of labelValues.plane) {
    metrics.orphans.set({ plane }, 0)
    metrics.orphansRemoved.inc({ plane }, 0)
    metrics.orphansReported.inc({ plane }, 0)
  }
  for (const kind of labelValues.leavings) metrics.rowsPurged.inc({ kind }, 0)
  for (const outcome of labelValues.sweep) metrics.orphanSweeps.inc({ outcome }, 0)
  for (const reason of labelValues.hold) metrics.orphanHold.set({ reason }, 0)
  for (const action of labelValues.action) metrics.orgNodes.inc({ action }, 0)
  for (const kind of labelValues.source)
    for (const result of labelValues.look) metrics.sourceFetches.inc({ kind, result }, 0)
  for (const outcome of labelValues.run) metrics.scheduleRuns.inc({ outcome }, 0)
  for (const outcome of labelValues.restart) metrics.restartContexts.inc({ outcome }, 0)
  for (const bound of labelValues.bound) metrics.messagesRefused.inc({ bound }, 0)
  for (const kind of labelValues.held) {
    metrics.heldBytes.set({ kind }, 0)
    for (const bound of ['caller', 'namespace', 'total']) metrics.heldRefused.inc({ kind, bound }, 0)
  }
  for (const limit of labelValues.rate) metrics.rateLimited.inc({ limit }, 0)
  for (const limit of labelValues.inbox) metrics.inboxRefused.inc({ limit }, 0)
}
