/**
 * Composition: everything concrete is built and wired here, once. Longer than other files, since each part is one call that
 * names what it is given: split, the order in which parts depend on each other would be spread over files.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { orgImportType, type OrgImport } from './api/org-import.ts'
import { pluginInstallType, type PluginInstall } from './api/plugin-install.ts'
import { runtimeType, type Runtime } from './api/runtime.ts'
import { workspaceType, type Workspace } from './api/workspace.ts'
import { apiVersion, keyOf, type KubeObject } from './api/meta.ts'
import type { Backend, InstanceRef } from './backends/backend.ts'
import type { EngineTls } from './backends/docker/host.ts'
import { backendTroubles, measured } from './backends/measured.ts'
import { commit, readVersion } from './build.ts'
import { ConfigError, type Config } from './config.ts'
import {
  childIndexes,
  importIndex,
  orgImportIndexes,
  orgImportViews,
  watchAroundOrgImports,
} from './controllers/org-import/controller.ts'
import { OrgImportReconciler } from './controllers/org-import/reconcile.ts'
import { PluginInstallReconciler } from './controllers/plugin-install/reconcile.ts'
import { fluxTypes } from './controllers/flux-sources.ts'
import { createReferences, dataTypes, interestIn, onReferencesGone } from './controllers/references.ts'
import { importLabel } from './controllers/org-import/marks.ts'
import { Fleet } from './controllers/fleet.ts'
import { runtimeViews, usageIndex, watchAroundRuntimes } from './controllers/runtime/controller.ts'
import { RuntimeReconciler } from './controllers/runtime/reconcile.ts'
import { targetIndex } from './controllers/workspace/declared-plugins.ts'
import { countBusy } from './controllers/workspace/busy.ts'
import {
  confirmed,
  followOutside,
  runtimeIndexes,
  watchAround,
  workspaceIndexes,
  workspaceViews,
} from './controllers/workspace/controller.ts'
import { hashKeyOf } from './controllers/workspace/spec-hash.ts'
import { WorkspaceReconciler } from './controllers/workspace/reconcile.ts'
import { minutes } from './duration.ts'
import { reasonOf } from './errors.ts'
import { Allowance } from './kube/allowance.ts'
import type { Client, ResourceType } from './kube/client.ts'
import { Controller } from './kube/controller.ts'
import { Events } from './kube/events.ts'
import type { Informer } from './kube/informer.ts'
import { createKube, type Kube } from './kube/kube.ts'
import { Leader } from './kube/leader.ts'
import { Manager } from './kube/manager.ts'
import { Orphaning } from './kube/orphaning.ts'
import { Probes } from './kube/probes.ts'
import { LookUps } from './look-ups.ts'
import { addressRule, type Resolve } from './outbound.ts'
import { createForward } from './platform/forward.ts'
import { createPrompts } from './platform/prompt.ts'
import { createPlatform } from './platform/server.ts'
import { openSources } from './sources/open.ts'
import { migrate, requireLatest } from './store/postgres/migrate.ts'
import { openStore, type Store } from './store/postgres/open.ts'
import { withDatabase } from './store/postgres/start-faults.ts'
import { diskSweeper } from './sweepers/disk.ts'
import { livenessSweeper } from './sweepers/liveness.ts'
import { restartContext } from './sweepers/restart-context.ts'
import { retentionSweeper } from './sweepers/retention.ts'
import { scheduler } from './sweepers/scheduler.ts'
import { orphanSweeper, type OrphanOptions } from './sweepers/orphans/sweeper.ts'
import { Dependency } from './telemetry/dependency.ts'
import type { Logger } from './telemetry/log.ts'
import { collectBodies, giveMemoryBack } from './telemetry/memory.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { startTracing } from './telemetry/trace.ts'

export type OpenBackend = (operatorInstance: string) => Backend

/**
 * Runs until the signal aborts (resolves), or something happened that only a new process can mend (throws). `more` opens
 * backends that are no part of a released operator, by name.
 */
export async function runOperator(
  config: Config,
  log: Logger,
  signal: AbortSignal,
  more: Readonly<Record<string, OpenBackend>> = {},
): Promise<void> {
  const metrics = createMetrics()
  const version = readVersion()
  metrics.buildInfo.set({ version, commit }, 1)
  const stopTracing = await trace(config, version)
  const { DATABASE_URL: databaseUrl, LEASE_NAME: lease, SECRETS_KEY: secretsKey } = config
  const applied = await withDatabase(databaseUrl, () =>
    config.MIGRATE ? migrate(databaseUrl) : requireLatest(databaseUrl),
  )
  if (applied.length > 0) log.info({ applied }, 'database migrated')
  const store = openStore({ databaseUrl, readDatabaseUrl: config.databaseUrl, lease, secretsKey, metrics, log })
  try {
    const kube = await connect(config, log, metrics)
    const leader = elect(config, kube, store, log, metrics)
    const opened = await openBackends(config, await withDatabase(databaseUrl, () => store.leaders.instance()), more)
    const { backends, used } = watched(opened, log, metrics)
    const { transport } = kube
    const { fence } = leader
    const events = new Events({ transport, fence, controller: 'molecule.dev/operator', instance: hostname(), log })
    const health = { host: config.HEALTH_HOST, port: config.HEALTH_PORT }
    const probes = new Probes({ kube, metrics, needed: [store.dependency], used, ...health })
    const manager = new Manager({ kube, leader, probes, log })
    manager.add({ name: 'database', leaderOnly: false, start: (ending) => store.watch(ending) })
    const { resolve } = new LookUps({ onBusy: () => metrics.lookUpsRefused.inc() })
    addControllers(manager, probes, { config, kube, leader, events, store, backends, resolve, log, metrics })
    addPlatform(manager, { config, store, resolve, log, metrics })
    addScheduler(manager, { config, leader, events, store, resolve, log, metrics })
    manager.add({
      name: 'memory',
      leaderOnly: false,
      start: async (ending) => {
        collectBodies(ending)
        await giveMemoryBack(log, ending)
      },
    })
    await manager.run(signal)
  } finally {
    await store.close()
    await stopTracing()
  }
}

/** Off, and not even loaded, unless there is a collector. */
async function trace(config: Config, version: string) {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER_ARG: ratio } = config
  return endpoint === undefined ? async () => undefined : await startTracing({ endpoint, ratio, version })
}

/** The backends as the rest of the operator sees them, and what is known of whether they answer. */
function watched(opened: ReadonlyMap<string, Backend>, log: Logger, metrics: Metrics) {
  const backends = new Map<string, Backend>()
  const used: Dependency[] = []
  for (const [name, backend] of opened) {
    const dependency = new Dependency({ name, causes: backendTroubles, log, metrics })
    used.push(dependency)
    backends.set(name, measured(backend, { metrics, dependency, log }))
  }
  return { backends, used }
}

interface Parts {
  readonly config: Config
  readonly kube: Kube
  readonly leader: Leader
  readonly events: Events
  readonly store: Store
  readonly backends: ReadonlyMap<string, Backend>
  /** One for all that is looked up on others' word. */
  readonly resolve: Resolve
  readonly log: Logger
  readonly metrics: Metrics
}

async function connect(config: Config, log: Logger, metrics: Metrics): Promise<Kube> {
  const { KUBECONFIG: kubeconfig, KUBE_CONTEXT: context, KUBERNETES_SERVICE_HOST: host } = config
  return await createKube({
    credentials: {
      ...(kubeconfig !== undefined && { kubeconfig }),
      ...(context !== undefined && { context }),
      ...(host !== undefined && { inCluster: { host, port: config.KUBERNETES_SERVICE_PORT } }),
    },
    fieldManager: 'molecule-operator',
    log,
    metrics,
  })
}

function elect(config: Config, { transport }: Kube, store: Store, log: Logger, metrics: Metrics): Leader {
  return new Leader({
    transport,
    namespace: config.LEASE_NAMESPACE,
    name: config.LEASE_NAME,
    identity: `${hostname()}_${randomUUID()}`,
    elect: config.LEADER_ELECT,
    beginEpoch: (holder) => store.leaders.begin(config.LEASE_NAME, holder),
    log,
    metrics,
  })
}

/** Contents of the files that the settings name: all of them, or none. */
function engineTls({ DOCKER_TLS_CA: ca, DOCKER_TLS_CERT: cert, DOCKER_TLS_KEY: key }: Config): EngineTls | undefined {
  if (ca === undefined || cert === undefined || key === undefined) return undefined
  const read = (setting: string, file: string) => {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      throw new ConfigError(`${setting} names a file that cannot be read: ${reasonOf(error)}`)
    }
  }
  return { ca: read('DOCKER_TLS_CA', ca), cert: read('DOCKER_TLS_CERT', cert), key: read('DOCKER_TLS_KEY', key) }
}

/** Loaded only where they are on: each brings libraries that cost memory. */
async function openBackends(
  config: Config,
  operatorInstance: string,
  more: Readonly<Record<string, OpenBackend>>,
): Promise<Map<string, Backend>> {
  const backends = new Map<string, Backend>()
  for (const name of config.BACKENDS) {
    const open = more[name]
    if (open !== undefined) {
      backends.set(name, open(operatorInstance))
      continue
    }
    switch (name) {
      case 'docker': {
        const { DockerBackend } = await import('./backends/docker/backend.ts')
        const { DOCKER_HOST: host, DOCKER_SUBNETS: subnets, WORKSPACE_ROOTS: folderBases } = config
        const tls = engineTls(config)
        const { REGISTRY_AUTH_FILE: registryAuthFile } = config
        const where = {
          ...(host !== undefined && { host }),
          ...(tls && { tls }),
          ...(registryAuthFile !== undefined && { registryAuthFile }),
        }
        backends.set(name, new DockerBackend({ operatorInstance, folderBases, subnets, ...where }))
        break
      }
      case 'process': {
        const { ProcessBackend } = await import('./backends/process/backend.ts')
        const { PROCESS_STATE_DIR: stateDir = '', PROCESS_COMMAND: command = [] } = config
        backends.set(name, new ProcessBackend({ operatorInstance, stateDir, command }))
        break
      }
      case 'external': {
        const { ExternalBackend } = await import('./backends/external/backend.ts')
        backends.set(name, new ExternalBackend())
        break
      }
      default:
        throw new Error(`there is no backend "${name}"`)
    }
  }
  return backends
}

function addControllers(manager: Manager, probes: Probes, parts: Parts): void {
  const { config, kube, leader, events, store, backends, resolve, log, metrics } = parts
  const { fence } = leader
  const client = kube.client(fence)
  const common = { client, fence, events, log, metrics }

  const ofObjects = new Allowance({
    perNamespace: config.OBJECTS_PER_NAMESPACE,
    total: config.OBJECTS_TOTAL,
    always: Math.min(4 * 1024 * 1024, config.OBJECTS_PER_NAMESPACE),
  })
  const workspaces = kube.informer<Workspace>({
    allowance: ofObjects,
    type: workspaceType,
    indexes: { ...workspaceIndexes, ...childIndexes, usage: usageIndex },
  })
  const runtimes = kube.informer<Runtime>({ type: runtimeType, indexes: runtimeIndexes(config.LEASE_NAMESPACE) })
  const orgImports = kube.informer<OrgImport>({ allowance: ofObjects, type: orgImportType, indexes: orgImportIndexes })
  const pluginInstalls = kube.informer<PluginInstall>({
    allowance: ofObjects,
    type: pluginInstallType,
    indexes: { import: importIndex, target: targetIndex },
  })
  const allowance = new Allowance({
    perNamespace: config.REFERENCES_PER_NAMESPACE,
    total: config.REFERENCES_TOTAL,
    always: Math.min(1024 * 1024, config.REFERENCES_PER_NAMESPACE),
  })
  const referrers = { workspaces, runtimes, orgImports }
  const follow = <T extends KubeObject>(type: ResourceType<T>) =>
    kube.follow({ type, mark: importLabel, allowance, ...interestIn(type.kind, referrers) })
  const data = { Secret: follow(dataTypes.Secret), ConfigMap: follow(dataTypes.ConfigMap) }
  const references = createReferences(
    (kind, namespace, name) => data[kind].look(namespace, name),
    config.SECRETS_FOR_AGENTS === 'labelled',
  )
  const fleet = new Fleet()
  const home = config.LEASE_NAMESPACE
  const sources = { workspaces, runtimes, pluginInstalls, data, references, fleet, home }

  const [orphanedWorkspaces, orphanedImports] = [new Orphaning(workspaces), new Orphaning(orgImports)]
  const disk = new Map<string, number>()
  const workspace: Controller<Workspace> = new Controller({
    ...common,
    name: 'workspace',
    informer: workspaces,
    workers: config.WORKERS,
    reconciler: new WorkspaceReconciler({
      rows: store.workspaces,
      parts: store.parts,
      sealing: store.sealing,
      backends,
      settings: {
        deploymentMode: config.DEPLOYMENT_MODE,
        defaultBackend: config.DEFAULT_BACKEND,
        backends: new Set(backends.keys()),
        platformUrl: platformUrlOf(config),
        tiers: config.TIERS,
        hashKey: config.SECRETS_KEY && hashKeyOf(config.SECRETS_KEY),
      },
      ...workspaceViews(sources, config.MAX_WORKSPACES_PER_NAMESPACE, (key) => workspace.enqueue(key)),
      confirm: (ws, signal) => confirmed(client, ws, signal),
      disk: (uid) => disk.get(uid),
      orphans: (ws) => orphanedWorkspaces.has(ws),
      destroy: (ws, signal) => client.delete(workspaceType, keyOf(ws), ws.metadata.uid, signal),
    }),
  })
  watchAround(workspace, sources)
  countBusy(fleet, metrics)
  const runtime = new Controller<Runtime>({
    ...common,
    name: 'runtime',
    informer: runtimes,
    workers: 4,
    reconciler: new RuntimeReconciler(runtimeViews(runtimes, workspaces, fleet)),
  })
  watchAroundRuntimes(runtime, runtimes, fleet)

  const flux = { GitRepository: follow(fluxTypes.GitRepository), OCIRepository: follow(fluxTypes.OCIRepository) }
  onReferencesGone(referrers, home, (namespace) => {
    for (const followed of [...Object.values(data), ...Object.values(flux)]) followed.release(namespace)
  })
  const fetched = openSources({
    resolve,
    reach: { hosts: config.SOURCE_HOSTS, plainHosts: config.SOURCE_HTTP_HOSTS, networks: config.SOURCE_NETWORKS },
    wake: (key) => orgImport.enqueue(key),
    observe: (kind, result) => metrics.sourceFetches.inc({ kind, result }),
  })
  manager.add({ name: 'sources', leaderOnly: true, start: (signal) => fetched.run(signal) })
  const ofOrgs = orgImportViews(
    { ...sources, orgImports, pluginInstalls, flux },
    {
      client,
      metrics,
      orphans: (org) => orphanedImports.has(org),
      sources: fetched,
      maxStarting: config.MAX_STARTING,
    },
  )
  const orgImport: Controller<OrgImport> = new Controller({
    ...common,
    name: 'org-import',
    informer: orgImports,
    // Each waits for many writes, and none for the others.
    workers: 32,
    reconciler: new OrgImportReconciler({
      ...ofOrgs,
      defaultBackend: config.DEFAULT_BACKEND,
      defaultHost: config.SOURCE_DEFAULT_HOST && `https://${config.SOURCE_DEFAULT_HOST}`,
    }),
  })
  watchAroundOrgImports(orgImport, { ...sources, orgImports, pluginInstalls, flux }, ofOrgs)

  const pluginInstall = new Controller<PluginInstall>({
    ...common,
    name: 'plugin-install',
    informer: pluginInstalls,
    workers: 4,
    reconciler: new PluginInstallReconciler(),
  })

  const enqueue = ({ namespace, name }: InstanceRef) => workspace.enqueue(keyOf({ metadata: { namespace, name } }))
  const bounds = Object.values(config.TIERS).flatMap(({ diskBytes }) => diskBytes ?? [])
  if (bounds.length > 0)
    manager.add(diskSweeper({ backends: backends.values().toArray(), bounds, used: disk, onCrossed: enqueue, log }))
  const orphans = orphanParts(parts, workspaces, client)
  if (config.ORPHANS !== 'off') manager.add(orphanSweeper({ ...orphans, mode: config.ORPHANS, onGone: enqueue }))
  const keep = { activity: config.ACTIVITY_RETENTION, structure: config.EVENT_RETENTION }
  const { resources } = orphans
  manager.add(retentionSweeper({ history: store.history, keep, resources, metrics, log }))
  for (const controller of [workspace, runtime, orgImport, pluginInstall]) {
    manager.add({ name: controller.name, leaderOnly: true, start: (signal) => controller.start(signal) })
    probes.onScrape(() => controller.observe())
  }
  const outside = (signal: AbortSignal) =>
    followOutside(workspace, workspaces, backends.values(), store.workspaces, signal)
  manager.add({ name: 'outside', leaderOnly: true, start: outside })
}

/** A way to agents of its own, and a patient one: an agent may answer only once it is done. */
function addScheduler(
  manager: Manager,
  { config, leader, events, store, resolve, log, metrics }: Omit<Parts, 'kube' | 'backends'>,
): void {
  const { agents, schedules, restarts } = store
  const rule = addressRule(config.AGENT_NETWORKS)
  const forward = createForward({
    rule,
    resolve,
    limits: { head: minutes(5), whole: minutes(5) },
    onBusy: (bound) => metrics.messagesRefused.inc({ bound }),
  })
  const { fence } = leader
  const deliver = createPrompts({ agents, forward })
  const both = [
    scheduler({ schedules, deliver, wake: (id) => agents.beginMessage(id), fence, log, metrics }),
    restartContext({ restarts, deliver, fence, event: eventsOfRows(events), log, metrics }),
  ]
  manager.add({
    name: 'prompts',
    leaderOnly: true,
    async start(signal) {
      await Promise.all(both.map((sweeper) => sweeper.start(signal)))
      await forward.close()
    },
  })
}

/** Events about a Workspace of which no more is at hand than its row has, or which is gone. */
const eventsOfRows =
  (events: Events): OrphanOptions['event'] =>
  ({ uid, namespace, name }, type, reason, message, reconcileId) => {
    const metadata = { name, namespace, uid, resourceVersion: '', generation: 0, creationTimestamp: '' }
    events.emit({ apiVersion, kind: 'Workspace', metadata, spec: undefined }, type, reason, message, reconcileId)
  }

/** The three planes on which orphans are looked for. */
function orphanParts(
  { config, store, backends, leader, events, log, metrics }: Omit<Parts, 'resolve'>,
  workspaces: Informer<Workspace>,
  client: Client,
): Omit<OrphanOptions, 'mode' | 'onGone'> {
  const key = ({ namespace, name }: InstanceRef) => keyOf({ metadata: { namespace, name } })
  const isOf = (workspace: Workspace | undefined, { uid }: InstanceRef) => workspace?.metadata.uid === uid
  const { cache } = workspaces
  return {
    resources: {
      trouble: () =>
        cache.hasSynced && workspaces.state === 'synced' ? undefined : `the cache of Workspaces is ${workspaces.state}`,
      size: () => cache.size,
      uids: () => [...cache.values()].map(({ metadata }) => metadata.uid),
      has: (ref) => isOf(cache.get(key(ref)), ref),
      exists: async (ref, signal) => isOf(await client.get(workspaceType, key(ref), signal), ref),
    },
    event: eventsOfRows(events),
    rows: store.workspaces,
    store: store.orphans,
    backends,
    fence: leader.fence,
    grace: config.ORPHAN_GRACE,
    share: config.ORPHAN_SHARE,
    log,
    metrics,
  }
}

function addPlatform(
  manager: Manager,
  { config, store, resolve, log, metrics }: Omit<Parts, 'kube' | 'leader' | 'events' | 'backends'>,
): void {
  const { agents } = store
  const { ADMIN_TOKEN: adminToken, AGENT_NETWORKS: openNetworks } = config
  const platformUrl = platformUrlOf(config)
  const platform = createPlatform({ agents, adminToken, openNetworks, platformUrl, resolve, log, metrics })
  manager.add({
    name: 'platform',
    leaderOnly: false,
    async start(signal) {
      const { port } = await platform.listen(signal, { host: config.PLATFORM_HOST, port: config.PLATFORM_PORT })
      log.info({ port }, 'platform listening')
      await platform.closed
    },
  })
  manager.add(livenessSweeper({ agents, log, metrics, silence: config.LIVENESS_SILENCE }))
}

/** By which agents reach us. */
const platformUrlOf = ({ PLATFORM_URL: url, PLATFORM_PORT: port }: Config): string => url ?? `http://127.0.0.1:${port}`
