/** OrgImports on the run's API server and a database, with an operator in this process and instances that are fake. */
import { Client } from 'pg'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import type { FakeBackend } from '../../src/backends/fake/backend.ts'
import type { Cluster } from '../../src/dev/cluster.ts'
import { administrator, listWorkspaces, pathOf } from './admin.ts'
import { controlPlane, namespaces, openNamespace } from './cluster.ts'
import { database } from './database.ts'
import { fakeWithAgents, startOperator, type TestOperator } from './operator.ts'
import { conditionOf, onePass, orgImport, readOrg } from './orgs.ts'
import { until } from './until.ts'
import { removeRuntimes, runtime } from './workspaces.ts'

export interface OrgScene {
  readonly cluster: Cluster
  readonly backend: FakeBackend
  readonly db: Client
  readonly databaseUrl: string
  readonly operator: () => TestOperator
  /** A namespace of its own for each test, open to the operator: what is in it came from that test. */
  readonly opened: () => Promise<string>
  /** The same, that nobody has opened. */
  readonly closed: () => Promise<string>
  /** Applies an OrgImport. */
  readonly org: (ns: string, name: string, spec: object) => Promise<void>
  /** Waits until `summary / condition / message` contains `verdict`, for the generation that the import has. */
  readonly settles: (ns: string, name: string, type: string, verdict: string) => Promise<OrgImport>
  /** Of orgs.ts. */
  readonly onePass: (ns: string, name: string) => Promise<void>
  /** Reasons of the events about an import. */
  readonly events: (ns: string, name: string) => Promise<Set<string>>
  /** Waits for events of these reasons: they are sent beside the status, not before it. */
  readonly tells: (ns: string, name: string, ...reasons: readonly string[]) => Promise<void>
  readonly workspaces: (ns: string) => Promise<readonly Workspace[]>
}

/** At the top level of a test file. `env`: more settings of the operator. */
export async function orgScene(
  backend: FakeBackend = fakeWithAgents(),
  env: Readonly<Record<string, string>> = {},
): Promise<OrgScene> {
  // Each wait of a test has a limit of its own: this one is for all of them together.
  vi.setConfig({ testTimeout: 240_000 })
  const cluster = controlPlane()
  const ask = administrator(cluster)
  const freshNamespace = namespaces(cluster)
  const databaseUrl = await database()
  const db = new Client({ connectionString: databaseUrl })
  let operator: TestOperator | undefined
  beforeAll(async () => {
    await db.connect()
    await cluster.apply([runtime('org-agent', { default: true })])
    operator = await startOperator({ databaseUrl, backends: [backend], env })
  })
  const made: string[] = []
  afterAll(async () => {
    // The operator takes a tree away faster than anybody who does so object by object.
    for (const ns of made) {
      await cluster.kubectl(['delete', 'org', '--all', '-n', ns, '--timeout=60s']).catch(() => undefined)
    }
    await operator?.stop()
    await removeRuntimes(cluster, 'org-agent')
    await db.end()
  }, 300_000)
  const settles = (ns: string, name: string, type: string, verdict: string) =>
    until(
      async () => {
        const found = await readOrg(cluster, ns, name)
        expect(found.status?.observedGeneration).toBe(found.metadata.generation)
        const said = found.status?.conditions?.find((each) => each.type === type)?.message
        expect(`${found.status?.summary} / ${conditionOf(found.status, type)} / ${said}`).toContain(verdict)
        return found
      },
      { what: `${name} to be ${type}=${verdict}`, within: 90_000, every: 100 },
    )
  const closed = async () => {
    const ns = await freshNamespace()
    made.push(ns)
    return ns
  }
  const events = async (ns: string, name: string) => {
    const { items } = (await ask('GET', `/apis/events.k8s.io/v1/namespaces/${ns}/events`)) as {
      items: { reason: string; regarding: { name: string } }[]
    }
    return new Set(items.flatMap(({ reason, regarding }) => (regarding.name === name ? [reason] : [])))
  }
  return {
    cluster,
    backend,
    db,
    databaseUrl,
    operator: () => {
      if (operator === undefined) throw new Error('the operator starts before the first test')
      return operator
    },
    async opened() {
      const ns = await closed()
      await openNamespace(ns, cluster)
      return ns
    },
    closed,
    async org(ns, name, spec) {
      await cluster.apply([orgImport(ns, name, spec)])
    },
    settles,
    onePass: (ns, name) => onePass(cluster, ns, name),
    events,
    async tells(ns, name, ...reasons) {
      await until(
        async () => {
          expect([...(await events(ns, name))]).toEqual(expect.arrayContaining([...reasons]))
          return true
        },
        { what: `events about ${name}`, within: 45_000 },
      )
    },
    workspaces: (ns) => listWorkspaces(ask, ns),
  }
}

/** Merges the body into an object of one of the kinds that an import makes or is. */
export async function patch(
  cluster: Cluster,
  ns: string,
  kind: 'org' | 'ws',
  name: string,
  body: object,
): Promise<void> {
  const plural = kind === 'org' ? 'orgimports' : 'workspaces'
  await administrator(cluster)('PATCH', pathOf(ns, name, plural), body)
}

/** metadata.uid by the path of the node. */
export const identities = (items: readonly Workspace[]): Map<string, string> =>
  new Map(items.map(({ metadata }) => [metadata.annotations?.['molecule.dev/org-node'] ?? metadata.name, metadata.uid]))
