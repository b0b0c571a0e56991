/**
 * A demo in a cluster that is not its own. It touches nothing that it did not make: what it makes carries a label, and
 * what was there before is used as it is, or is a reason not to begin.
 */
import { randomBytes } from 'node:crypto'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { finalizer } from '../../api/meta.ts'
import type { Cluster } from '../cluster.ts'
import { crds, installOperator, knowsPolicies, policy, rbac } from '../install.ts'
import type { Report } from '../progress.ts'

const label = 'molecule.dev/demo'
const labelled = `${label}=true`
const system = 'molecule-system'
const tenants = 'workspaces,orgimports,plugininstalls'
/** Longer than a leader that lives lets pass between two renewals of its lease. */
const leaseSilence = 40_000

const objectShape = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    finalizers: z.array(z.string()).optional(),
  }),
})
type ClusterObject = z.infer<typeof objectShape>

export class Guest {
  readonly #cluster: Cluster
  readonly #report: Report
  /** Runtimes of others that had no finalizer of ours: a demo's operator gives them one, and nobody else takes it off. */
  #bare: readonly ClusterObject[] = []

  constructor(cluster: Cluster, report: Report) {
    this.#cluster = cluster
    this.#report = report
  }

  /** Throws, with nothing changed, where a demo would get in somebody's way. */
  async comeIn(): Promise<void> {
    await this.#refuseToDisturb()
    await this.#removeMine('an earlier demo left')
    try {
      const { policy: known } = await installOperator(this.#cluster, (folder) => this.#put(folder))
      if (!known) this.#report('it has no MutatingAdmissionPolicy: the operator adds its finalizer itself')
      this.#bare = (await this.#read(['runtimes'])).filter((one) => !hasFinalizer(one))
    } catch (error) {
      await this.leave()
      throw error
    }
  }

  /** A namespace that was not there before. */
  async makeNamespace(): Promise<string> {
    const name = `molecule-demo-${randomBytes(3).toString('hex')}`
    const metadata = { name, labels: { [label]: 'true' } }
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata })
    await this.#cluster.kubectl(['create', '-f', '-'], { input })
    return name
  }

  /** Makes those Runtimes that the cluster lacks. One of the same name serves as it is. */
  async addRuntimes(wanted: readonly object[]): Promise<void> {
    const there = await this.#read(['runtimes'])
    const names = new Set(there.map(({ metadata }) => metadata.name))
    const hasDefault = there.some(
      (one) => z.object({ spec: z.object({ default: z.literal(true) }) }).safeParse(one).success,
    )
    const missing = wanted.map((one) => objectShape.parse(one)).filter(({ metadata }) => !names.has(metadata.name))
    for (const name of wanted.map((one) => objectShape.parse(one).metadata.name).filter((one) => names.has(one)))
      this.#report(`runtime ${name} is in the cluster already: it is used as it is`)
    if (missing.length === 0) return
    const marked = missing.map((one) => withLabel(hasDefault ? withoutDefault(one) : one))
    await this.#cluster.apply(marked)
  }

  /** Takes back what carries the label. To be called when the operator no longer runs. */
  async leave(): Promise<void> {
    for (const one of this.#bare) await this.#unlock(one)
    await this.#removeMine()
  }

  async #refuseToDisturb(): Promise<void> {
    const [namespace] = await this.#read(['namespace', system])
    if (namespace && !isMine(namespace))
      throw new Error(`namespace ${system} is in the cluster already: its operator and the demo's would fight`)
    if (namespace && (await this.#leaseIsAlive())) throw new Error('another demo runs in this cluster')
    if ((await this.#read(['crd', 'workspaces.molecule.dev'])).length === 0) return
    const mine = new Set((await this.#read(['namespaces', '-l', labelled])).map(({ metadata }) => metadata.name))
    const others = (await this.#read([tenants, '-A'])).filter(({ metadata }) => !mine.has(metadata.namespace ?? ''))
    const [one] = others
    if (one)
      throw new Error(
        `the cluster has agents of somebody else's, which the demo's operator would take for its own: ` +
          `${one.kind} ${one.metadata.namespace ?? ''}/${one.metadata.name}` +
          (others.length > 1 ? `, and ${String(others.length - 1)} more` : ''),
      )
  }

  async #leaseIsAlive(): Promise<boolean> {
    const [lease] = await this.#read(['lease', 'molecule-operator', '-n', system])
    const renewed = z
      .object({ spec: z.object({ renewTime: z.string(), holderIdentity: z.string().min(1) }) })
      .safeParse(lease)
    return renewed.success && Date.now() - Date.parse(renewed.data.spec.renewTime) < leaseSilence
  }

  /** Applies those objects of a folder that are not there, or are a demo's. */
  async #put(folder: string): Promise<void> {
    const there = new Map((await this.#read(['-k', folder])).map((one) => [idOf(one), one]))
    const text = await this.#cluster.kubectl(['kustomize', folder])
    const wanted = parseAllDocuments(text).map((document) => objectShape.parse(document.toJS()))
    const theirs = wanted.filter((one) => there.has(idOf(one)) && !isMine(there.get(idOf(one))))
    if (theirs.length > 0) this.#report(`in the cluster already, used as they are: ${theirs.map(idOf).join(', ')}`)
    const others = wanted.filter((one) => !theirs.includes(one))
    if (others.length > 0) await this.#cluster.apply(others.map(withLabel))
  }

  /** Objects first, unlocked, since no operator is there to do it; then what they need. CRDs stay while others use them. */
  async #removeMine(why?: string): Promise<void> {
    const namespaces = (await this.#read(['namespaces', '-l', labelled])).map(({ metadata }) => metadata.name)
    const kinds = (await this.#read(['crd', 'runtimes.molecule.dev'])).length > 0
    if (kinds) {
      for (const namespace of namespaces)
        for (const one of await this.#read([tenants, '-n', namespace])) await this.#drop(one)
      for (const one of await this.#read(['runtimes', '-l', labelled])) await this.#drop(one)
    }
    const used = kinds
      ? [...(await this.#read([tenants, '-A'])), ...(await this.#read(['runtimes']))].filter(isThere)
      : []
    const folders = [
      ...((await knowsPolicies(this.#cluster)) ? [policy] : []),
      rbac,
      ...(used.length === 0 ? [crds] : []),
    ]
    let removed = namespaces.length
    for (const folder of folders)
      for (const one of (await this.#read(['-k', folder])).filter(isMine)) removed += await this.#delete(one)
    for (const name of namespaces) await this.#delete({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    if (used.length > 0 && (await this.#read(['-k', crds])).some(isMine))
      this.#report(`the CRDs stay: ${used.map(idOf).slice(0, 3).join(', ')} is not of the demo`)
    if (why !== undefined && removed > 0) this.#report(`removed from the cluster what ${why}`)
  }

  async #drop(one: ClusterObject): Promise<void> {
    await this.#delete(one)
    if (hasFinalizer(one)) await this.#unlock(one)
  }

  async #delete(one: ClusterObject): Promise<number> {
    await this.#cluster.kubectl(['delete', ...addressOf(one), '--ignore-not-found', '--wait=false'])
    return 1
  }

  /** Takes our finalizer off and leaves others'. Gone already is what we want. */
  async #unlock(one: ClusterObject): Promise<void> {
    const [found] = await this.#read(addressOf(one))
    const all = found?.metadata.finalizers ?? []
    if (!all.includes(finalizer)) return
    const patch = { metadata: { finalizers: all.filter((name) => name !== finalizer) } }
    const gone = async (error: unknown) => {
      if ((await this.#read(addressOf(one))).length > 0) throw error
    }
    await this.#cluster
      .kubectl(['patch', ...addressOf(one), '--type=merge', '-p', JSON.stringify(patch)])
      .then(() => undefined, gone)
  }

  /** What of it there is: kubectl gives one object as itself, more as a list, and none as nothing. */
  async #read(args: readonly string[]): Promise<ClusterObject[]> {
    const text = await this.#cluster.kubectl(['get', ...args, '--ignore-not-found', '-o', 'json'])
    if (text.trim() === '') return []
    const found: unknown = JSON.parse(text)
    const list = z.object({ kind: z.literal('List'), items: z.array(objectShape) }).safeParse(found)
    return list.success ? list.data.items : [objectShape.parse(found)]
  }
}

const isMine = (one: ClusterObject | undefined): boolean => one?.metadata.labels?.[label] === 'true'
const isThere = (one: ClusterObject): boolean => !isMine(one) && one.metadata['deletionTimestamp'] === undefined
const hasFinalizer = (one: ClusterObject): boolean => one.metadata.finalizers?.includes(finalizer) ?? false
const idOf = ({ kind, metadata }: ClusterObject): string => `${kind} ${metadata.name}`
/** `runtime.molecule.dev/claude-code -n somewhere`. */
const addressOf = ({ apiVersion, kind, metadata }: ClusterObject): string[] => [
  `${kind.toLowerCase()}${apiVersion.includes('/') ? `.${apiVersion.replace(/\/.*/, '')}` : ''}/${metadata.name}`,
  ...(metadata.namespace === undefined ? [] : ['-n', metadata.namespace]),
]

const withLabel = (one: ClusterObject): ClusterObject => ({
  ...one,
  metadata: { ...one.metadata, labels: { ...one.metadata.labels, [label]: 'true' } },
})

/** A cluster has one default Runtime. */
const withoutDefault = (one: ClusterObject): ClusterObject => ({
  ...one,
  spec: { ...z.looseObject({}).parse(one['spec']), default: false },
})
