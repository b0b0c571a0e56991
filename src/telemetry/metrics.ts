/**
 * Every metric of the operator, declared here and present at zero from the start. Labels are closed sets: never a name,
 * a namespace or a UID.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export const controllers = ['workspace', 'org-import', 'runtime', 'plugin-install'] as const
export type ControllerName = (typeof controllers)[number]

const fast = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export type Metrics = ReturnType<typeof createMetrics>

/** One registry a process (or a test). */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: `molecule_${name}`, help, labelNames, registers })
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name: `molecule_${name}`, help, labelNames, registers })
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Histogram({ name: `molecule_${name}`, help, labelNames, buckets: fast, registers })

  const metrics = {
    registry,
    apiRequests: counter('api_requests_total', 'Requests to the API server.', ['verb', 'code']),
    apiSeconds: histogram('api_request_seconds', 'Time of one request to the API server.', ['verb']),
    watchRestarts: counter('watch_restarts_total', 'Watches begun anew.', ['kind', 'cause']),
    watchAge: gauge('watch_last_event_age_seconds', 'Time since the last event or bookmark of a watch.', ['kind']),
    cacheObjects: gauge('cache_objects', 'Objects in a cache.', ['kind']),
    queueDepth: gauge('queue_depth', 'Keys waiting for a worker.', ['controller']),
    queueWait: histogram('queue_wait_seconds', 'Time a key waited for a worker.', ['controller']),
    reconciles: counter('reconcile_total', 'Passes by how they ended.', ['controller', 'outcome']),
    reconcileSeconds: histogram('reconcile_seconds', 'Time of one pass.', ['controller']),
    statusWrites: counter('status_writes_total', 'Status patches sent.', ['controller']),
    leader: gauge('leader', '1 while this process leads.', ['lease']),
    backendSeconds: histogram('backend_call_seconds', 'Time of one backend call.', ['backend', 'verb', 'result']),
    sqlStatements: counter('sql_statements_total', 'Statements sent to PostgreSQL.', ['name']),
    sqlRows: counter('sql_batch_rows_total', 'Rows that went through the batcher.', ['name']),
    sqlPoisoned: counter('sql_poisoned_rows_total', 'Rows bisected out of a batch.', ['name']),
    workspaces: gauge('workspaces', 'Live workspaces by phase.', ['phase']),
    httpRequests: counter('http_requests_total', 'Requests of agents and admins.', ['route', 'code']),
    eventLoopLag: gauge('event_loop_lag_seconds', 'Longest stall of the event loop since the last scrape.'),
    instancesCreated: counter('instances_created_total', 'Instances created.', ['backend']),
    instancesRemoved: counter('instances_removed_total', 'Instances removed.', ['backend']),
  }
  for (const controller of controllers) {
    metrics.queueDepth.set({ controller }, 0)
    metrics.statusWrites.inc({ controller }, 0)
    for (const outcome of ['settled', 'again', 'blocked', 'error', 'conflict', 'skipped'])
      metrics.reconciles.inc({ controller, outcome }, 0)
  }
  return metrics
}
