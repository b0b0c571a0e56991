/** Follows an org while it comes up, and while it goes. */
import { setTimeout as wait } from 'node:timers/promises'
import { orgImportType, type OrgImport } from '../../api/org-import.ts'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import { createKube, type Kube } from '../../kube/kube.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'
import type { Cluster } from '../cluster.ts'
import type { Screen } from './screen.ts'
import { isReady, stalledBecause, treeOf } from './tree.ts'

/** How often the tree is drawn at most. */
const frame = 100

export class OrgWatch {
  readonly #kube: Kube
  readonly #stopped = new AbortController()
  readonly #workspaces: () => Workspace[]
  readonly #org: () => OrgImport | undefined
  readonly #running: Promise<void>

  private constructor(kube: Kube, namespace: string, name: string) {
    this.#kube = kube
    const workspaces = kube.informer({ type: workspaceType, namespace })
    const orgs = kube.informer({ type: orgImportType, namespace })
    this.#workspaces = () => [...workspaces.cache.values()]
    this.#org = () => orgs.cache.get(`${namespace}/${name}`)
    this.#running = kube.start(this.#stopped.signal)
  }

  static async start(cluster: Cluster, namespace: string, name: string): Promise<OrgWatch> {
    const log = createLogger('silent')
    const kube = await createKube({
      credentials: { kubeconfig: cluster.kubeconfig },
      log,
      metrics: createMetrics(),
      fieldManager: 'molecule-demo',
    })
    const watch = new OrgWatch(kube, namespace, name)
    await Promise.all(kube.required.map((informer) => informer.synced))
    return watch
  }

  /** How many agents there are, and how many of them are Ready. */
  get counts(): { readonly ready: number; readonly total: number } {
    const all = this.#workspaces()
    return { ready: all.filter(isReady).length, total: all.length }
  }

  /** The agent at the top of the tree. Throws when there is none. */
  get top(): { readonly uid: string; readonly displayName: string } {
    const all = this.#workspaces()
    const [first] = treeOf(all)
    const found = all.find(({ metadata }) => metadata.name === first?.name)
    if (!first || !found) throw new Error('the org has no agents')
    return { uid: found.metadata.uid, displayName: first.displayName }
  }

  /** The agent at the end of the tree, which has none below it. */
  get last(): { readonly displayName: string; readonly instanceId: string } | undefined {
    const all = this.#workspaces()
    const name = treeOf(all).at(-1)?.name
    const found = all.find(({ metadata }) => metadata.name === name)
    const id = found?.status?.instance?.id
    return found && id !== undefined
      ? { displayName: found.spec.displayName ?? found.metadata.name, instanceId: id }
      : undefined
  }

  /** The org and every agent of it are Ready. */
  allReady(agents: number): boolean {
    const org = this.#org()
    const { ready, total } = this.counts
    return org !== undefined && isReady(org) && total >= agents && ready === total
  }

  get isGone(): boolean {
    return this.#org() === undefined && this.#workspaces().length === 0
  }

  /** Draws whatever changes until `done` or the signal, and returns which. */
  async draw(screen: Screen, agents: number, done: () => boolean, signal: AbortSignal): Promise<'done' | 'aborted'> {
    let drawn = ''
    while (!signal.aborted) {
      const org = this.#org()
      const { ready, total } = this.counts
      const lines = treeOf(this.#workspaces())
      const title = `${String(ready)} of ${String(Math.max(agents, total))} agents are Ready${this.#trouble(org)}`
      const picture = JSON.stringify([title, lines])
      if (picture !== drawn) screen.show(title, lines)
      drawn = picture
      if (done()) return 'done'
      await wait(frame, undefined, { signal }).catch(() => {})
    }
    return 'aborted'
  }

  /** Why it is not done, for people. */
  explain(): string {
    const org = this.#org()
    if (org === undefined) return 'there is no OrgImport'
    const waiting = treeOf(this.#workspaces()).filter((line) => !line.ready)
    const those = waiting.map((line) => `  ${line.displayName}: ${line.phase}${line.why && `, ${line.why}`}`)
    return [stalledBecause(org) ?? org.status?.summary ?? 'the operator has not looked at the org yet', ...those].join(
      '\n',
    )
  }

  #trouble(org: OrgImport | undefined): string {
    if (org === undefined) return ''
    const stalled = stalledBecause(org)
    return stalled === undefined ? '' : `; the org is stalled: ${stalled}`
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running.catch(() => {})
    await this.#kube.close()
  }
}
