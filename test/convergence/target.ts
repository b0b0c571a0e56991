/** Where the instances of a walk live, seen from outside the operator; and what may be done to them behind its back. */
import type Dockerode from 'dockerode'
import type { Backend } from '../../src/backends/backend.ts'
import { label } from '../../src/backends/docker/ownership.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { milliseconds } from '../../src/duration.ts'
import { RetryAfter } from '../../src/errors.ts'

export interface Target {
  readonly backend: Backend
  /** Uids whose instance was ever not the only one. */
  readonly doubled: ReadonlySet<string>
  /** Uids of what runs now. */
  live(): Promise<ReadonlySet<string>>
  /** Uids that have a volume. */
  volumes(): Promise<ReadonlySet<string>>
  creates(uid: string): number
  kill(uid: string): Promise<void>
  vanish(uid: string): Promise<void>
  /** The backend stops answering, or answers again. */
  unknown(on: boolean): void
  /** Removals take two looks, or one. */
  slow(on: boolean): void
  refuse(): void
  /** Ends whatever `unknown`, `slow` and `refuse` began. */
  heal(): void
}

/** In memory; lives are counted where they begin and end, not where the backend keeps them. */
export function fakeTarget(): Target {
  const alive = new Map<string, number>()
  const doubled = new Set<string>()
  const state = { slow: false }
  const heals: (() => void)[] = []
  const backend = new FakeBackend({
    get slowRemoval() {
      return state.slow
    },
    onRunning: (spec, ended) => {
      const { uid } = spec.ref
      const count = (by: number) => alive.set(uid, (alive.get(uid) ?? 0) + by)
      count(1)
      if ((alive.get(uid) ?? 0) > 1) doubled.add(uid)
      ended.addEventListener('abort', () => count(-1))
      registerAt(spec, ended)
    },
  })
  const heal = () => {
    for (const end of heals.splice(0)) end()
    state.slow = false
  }
  return {
    backend,
    doubled,
    heal,
    live: () => Promise.resolve(new Set([...alive].flatMap(([uid, count]) => (count > 0 ? [uid] : [])))),
    volumes: () => Promise.resolve(new Set(backend.volumes.keys())),
    creates: (uid) => backend.creates.get(uid) ?? 0,
    kill: (uid) => Promise.resolve(backend.kill(uid)),
    vanish: (uid) => Promise.resolve(backend.vanish(uid)),
    unknown(on) {
      heals.splice(0).forEach((end) => end())
      if (on)
        for (const verb of ['observe', 'remove', 'ensure'] as const)
          heals.push(backend.fail(verb, away, Number.POSITIVE_INFINITY))
    },
    slow: (on) => void (state.slow = on),
    refuse: () => void heals.push(backend.fail('ensure', new Error('the launch was refused'))),
  }
}

const away = new RetryAfter(milliseconds(500), 'the backend is away')

/** On a Docker engine; `creates` are those that the engine told of. */
export function dockerTarget(
  docker: Dockerode,
  backend: Backend,
  operator: string,
): Target & { close(): Promise<void> } {
  const doubled = new Set<string>()
  const made = new Map<string, Set<string>>()
  const filters = { label: [`${label.operator}=${operator}`] }
  const look = async () => {
    const found = new Map<string, string[]>()
    for (const { Id, Labels, State } of await docker.listContainers({ all: true, filters })) {
      if (Labels[label.helper] !== undefined) continue
      const uid = Labels[label.uid] ?? ''
      made.set(uid, (made.get(uid) ?? new Set()).add(Id))
      if (State === 'running' || State === 'created') found.set(uid, [...(found.get(uid) ?? []), Id])
    }
    for (const [uid, ids] of found) if (ids.length > 1) doubled.add(uid)
    return found
  }
  const gone = () => undefined
  const of = async (uid: string) => (await look()).get(uid) ?? []
  const volumes = async () => (await docker.listVolumes({ filters })).Volumes
  return {
    backend,
    doubled,
    live: async () => new Set((await look()).keys()),
    volumes: async () => new Set((await volumes()).map(({ Labels }) => Labels?.[label.uid] ?? '')),
    creates: (uid) => made.get(uid)?.size ?? 0,
    kill: async (uid) => {
      for (const id of await of(uid)) await docker.getContainer(id).kill().catch(gone)
    },
    vanish: async (uid) => {
      for (const id of await of(uid)) await docker.getContainer(id).remove({ force: true }).catch(gone)
    },
    unknown: gone,
    slow: gone,
    refuse: gone,
    heal: gone,
    async close() {
      for (const ids of (await look()).values())
        for (const id of ids) await docker.getContainer(id).remove({ force: true }).catch(gone)
      for (const { Name } of await volumes()) await docker.getVolume(Name).remove().catch(gone)
    },
  }
}
