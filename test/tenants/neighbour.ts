/**
 * The tenant that is tried: a small org with a life of its own, which is the same in every namespace. All that only it
 * knows holds its mark, a random word, so that a text of another tenant that holds the mark has it from here.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { KubeObject } from '../../src/api/meta.ts'
import type { OrgImport } from '../../src/api/org-import.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import { orgImport } from '../support/orgs.ts'
import { conditionOf, workspace } from '../support/workspaces.ts'
import { collections, freshName, molecule, patiently, type World } from './world.ts'

/** What it does while the other one tries: one of these a walk, and a message each time. */
export const changes = ['image', 'restart', 'power', 'import'] as const
export type Change = (typeof changes)[number]

const agents = ['lead', 'worker', 'inbox', 'canary'] as const

export class Neighbour {
  readonly namespace: string
  readonly mark: string
  readonly runtime: string
  /** Name by uid or row id, of all that it ever had. */
  readonly known = new Map<string, string>()
  /** Ids that another tenant may have learnt. Of the rest none may ever show elsewhere. */
  readonly learnt: string[] = []
  /** Ids of containers that its system before runs. */
  readonly containers: string[] = []
  /** What its polling agent took. */
  readonly received: string[] = []
  readonly #world: World
  #round = 0

  private constructor(world: World, name: string) {
    this.#world = world
    this.namespace = freshName('theirs')
    this.mark = `mark${randomBytes(5).toString('hex')}`
    this.runtime = name
  }

  static async open(world: World): Promise<Neighbour> {
    const own = new Neighbour(world, freshName('shared'))
    await world.runtime(own.runtime, { image: 'test/agent:1', soak: '1s', bootDeadline: '2m', maxUnavailable: 2 })
    await world.namespace(own.namespace)
    await own.#furnish()
    await own.rests()
    await own.#leaveBehind()
    return own
  }

  path(name: string): string {
    return `${molecule}/namespaces/${this.namespace}/workspaces/${name}`
  }

  uid(name: string): string {
    return [...this.known].find(([, called]) => called === name)?.[0] ?? ''
  }

  /** A message, a change, and the rest after both. Throws where it is held up. */
  async live(change: Change): Promise<void> {
    const round = ++this.#round
    const { ask } = this.#world
    await this.#talk(round)
    switch (change) {
      case 'image': {
        const image = `test/agent:${round + 1}`
        await ask('PATCH', `${molecule}/runtimes/${this.runtime}`, { spec: { image } })
        await patiently('the new image on every agent of the neighbour', async () => {
          for (const { metadata } of await this.#workspaces())
            expect(`${metadata.name} ${this.#world.launches.get(metadata.uid)?.at(-1)?.image}`).toBe(
              `${metadata.name} ${image}`,
            )
          return true
        })
        break
      }
      case 'restart':
        await ask('PATCH', this.path('lead'), {
          metadata: { annotations: { 'molecule.dev/restarted-at': `${round}` } },
        })
        await ask('PATCH', this.path('worker'), { spec: { env: [{ name: 'ROUND', value: `${round} ${this.mark}` }] } })
        await patiently('the restart of the neighbour', () => {
          expect(this.#world.launches.get(this.uid('worker'))?.at(-1)?.env['ROUND']).toBe(`${round} ${this.mark}`)
          return true
        })
        break
      case 'power':
        await ask('PATCH', this.path('lead'), { spec: { power: 'Paused' } })
        await patiently('the pause of the neighbour', async () => {
          for (const { metadata, status } of await this.#workspaces())
            if (['lead', 'worker', 'inbox'].includes(metadata.name))
              expect(`${metadata.name} ${conditionOf(status, 'Ready')}`).toBe(`${metadata.name} True Paused`)
          return true
        })
        await ask('PATCH', this.path('lead'), { spec: { power: 'Running' } })
        break
      case 'import': {
        const source = this.#template(round)
        await ask('PATCH', `${molecule}/namespaces/${this.namespace}/orgimports/org`, { spec: { source } })
        break
      }
    }
    await this.rests()
  }

  /** All that it has, by kind: also for learning their uids. */
  async objects(): Promise<readonly KubeObject[]> {
    const found = await Promise.all(
      collections(this.namespace).map(async (path) =>
        (await this.#world.list(path)).map((object) => Object.assign(object, { kind: path.split('/').at(-1) ?? '' })),
      ),
    )
    for (const { kind, metadata } of found.flat())
      if (!this.known.has(metadata.uid))
        this.known.set(metadata.uid, kind === 'workspaces' ? metadata.name : `${kind}/${metadata.name}`)
    return found.flat().filter(({ metadata }) => metadata.name !== 'kube-root-ca.crt')
  }

  async rests(): Promise<void> {
    await patiently('the rest of the neighbour', async () => {
      for (const object of await this.objects()) {
        if (object.kind !== 'workspaces' && object.kind !== 'orgimports') continue
        const { metadata, status } = object as Workspace | OrgImport
        const ready = (status?.conditions ?? []).find(({ type }) => type === 'Ready')
        if (status?.observedGeneration !== metadata.generation || ready?.status !== 'True')
          throw new Error(`${object.kind}/${metadata.name} is not Ready: ${status?.summary} ${JSON.stringify(ready)}`)
      }
      // An agent that was restarted is told so by a sweeper, a few seconds later: into its inbox where it polls.
      const { rows: owed } = await this.#world.rows.query<{ resource_name: string }>(
        `SELECT resource_name FROM workspaces
         WHERE namespace = $1 AND delivery_mode = 'poll' AND status = 'online' AND restart_context IS NOT NULL`,
        [this.namespace],
      )
      if (owed.length > 0) throw new Error(`${owed[0]?.resource_name} was not told of its restart`)
      return true
    })
  }

  async #workspaces(): Promise<readonly Workspace[]> {
    return (await this.#world.list(collections(this.namespace)[0])) as Workspace[]
  }

  async #furnish(): Promise<void> {
    const { namespace, mark, runtime } = this
    const { ask } = this.#world
    const make = (name: string, spec: object) =>
      ask('POST', this.path(''), workspace(namespace, name, { runtime, ...spec }))
    await ask('POST', `/api/v1/namespaces/${namespace}/secrets`, {
      metadata: { name: 'keys' },
      stringData: { token: `secret-of-${mark}` },
    })
    await ask('POST', `/api/v1/namespaces/${namespace}/configmaps`, {
      metadata: { name: 'notes' },
      data: { text: `notes of ${mark}` },
    })
    const secret = { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } }
    const parentRef = { name: 'lead' }
    await make('lead', {
      role: `keeps ${mark}`,
      env: [secret],
      files: [{ path: 'notes.md', configMapKeyRef: { name: 'notes', key: 'text' } }],
      memories: [{ content: `remembers ${mark}` }],
      schedules: [{ name: 'yearly', cron: '0 3 1 1 *', prompt: `think of ${mark}` }],
    })
    await make('worker', { parentRef })
    await make('inbox', { parentRef, delivery: 'poll' })
    await make('canary', { updateRing: 'canary' })
    await make(`quiet-${mark}`, { parentRef, displayName: `Quiet ${mark}` })
    await make('kept', { deletionPolicy: 'Retain', delivery: 'poll', role: `kept ${mark}` })
    await make('gone', { delivery: 'poll', role: `gone ${mark}` })
    await ask(
      'POST',
      `${molecule}/namespaces/${namespace}/orgimports`,
      orgImport(namespace, 'org', { source: this.#template(0), prune: 'Delete', rollout: { maxInFlight: 1 } }),
    )
  }

  #template(round: number): object {
    const { mark, runtime } = this
    const nodes = [
      { name: `Chief ${mark}`, role: `leads ${mark} ${round}` },
      { name: `Helper ${mark} ${round}`, role: `helps ${mark}` },
    ]
    return { inline: { name: `Org ${mark}`, defaults: { runtime }, workspaces: nodes } }
  }

  /** Rows that nothing owns: of Workspaces that are gone, and of the system before, with its container. */
  async #leaveBehind(): Promise<void> {
    for (const name of ['kept', 'gone']) {
      await this.#send('lead', name, 0, true)
      await this.#world.ask('DELETE', this.path(name))
    }
    await patiently('the end of two Workspaces', async () => {
      const left = new Set((await this.#workspaces()).map(({ metadata }) => metadata.name))
      return !left.has('kept') && !left.has('gone')
    })
    const container = randomBytes(32).toString('hex')
    this.#world.backend.stranger('', container)
    this.containers.push(container)
    const legacy = randomUUID()
    await this.#world.rows.query(
      `INSERT INTO workspaces (id, name, namespace, resource_name, role, status, runtime, model, template, backend, instance_id,
         owner_uid, observed_generation, spec_hash, leader_epoch)
       VALUES ($1, $2, '', '', $3, 'online', $4, 'm', '', 'docker', $5, NULL, 0, '', 0)`,
      [legacy, `Legacy ${this.mark}`, `old ${this.mark}`, this.runtime, container],
    )
    this.known.set(legacy, 'legacy')
    this.learnt.push(...[...agents, 'kept', 'gone', 'legacy', 'orgimports/org'].map((name) => this.uid(name)))
  }

  /** The inbox takes and acknowledges what waits, and the worker writes what will wait until the next round. */
  async #talk(round: number): Promise<void> {
    const inbox = this.uid('inbox')
    const taken = (await this.#post('inbox', `/workspaces/${inbox}/messages/take`, {})) as {
      messages: { id: string; body: object }[]
    }
    this.received.push(...taken.messages.map(({ body }) => JSON.stringify(body)))
    const ids = taken.messages.map(({ id }) => id)
    await this.#post('inbox', `/workspaces/${inbox}/messages/ack`, { ids })
    await this.#send('worker', 'inbox', round)
  }

  /** As an agent; as an admin where the two have no tie. */
  async #send(from: string, to: string, round: number, admin = false): Promise<void> {
    const body = { id: round, method: 'message/send', params: { text: `message ${round} of ${this.mark}` } }
    await this.#post(admin ? undefined : from, `/workspaces/${this.uid(to)}/a2a`, body)
  }

  async #post(as: string | undefined, path: string, body: object): Promise<unknown> {
    return await patiently(`an answer to ${path} for the neighbour`, async () => {
      const token = as === undefined ? this.#world.adminToken : this.#world.tokenOf(this.uid(as))
      const response = await fetch(`${this.#world.platformUrl}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      const text = await response.text()
      expect(`${response.status} ${text}`).toMatch(/^200 /)
      return JSON.parse(text) as unknown
    })
  }
}
