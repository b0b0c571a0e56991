/** What a pass knows: the look at the instance, read in the light of the row, and what may be done about it now. */
import { keyOf } from '../../api/meta.ts'
import type { Workspace } from '../../api/workspace.ts'
import { adoptedHash, type Backend, type Observation } from '../../backends/backend.ts'
import { milliseconds, minutes, parseDuration, seconds, type Duration } from '../../duration.ts'
import { Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Context } from '../../kube/reconciler.ts'
import type { WorkspaceIntent, WorkspaceRow, WorkspaceStore } from '../../store/workspace-store.ts'
import { canaryVerdict, type Member } from './canaries.ts'
import { discreet } from './discreet-backend.ts'
import { ForeignHashes } from './foreign-hashes.ts'
import { InstanceAges } from './instance-age.ts'
import type { Facts } from './judge.ts'
import { mayDoze, sleepyAt, wakeTime } from './outcome.ts'
import { hashOf, holdOf, sightOf, type Sight, type Wish } from './plan.ts'
import { QuietTasks } from './quiet-task.ts'
import { ownerOf, type Desired } from './resolve.ts'
import { allowance, type Group, type Peers, type Rollout } from './rollout.ts'
import { changedParts, restartAsked } from './spec-hash.ts'
import { turnOf, type Turn } from './turn.ts'

/** Facts before they are read: what a pass was given and what it saw. */
export type Look = Omit<Facts, 'sight' | 'wish' | 'hold' | 'quiet' | 'turn' | 'refusal'>

export interface SenseCollaborators {
  readonly rows: WorkspaceStore
  /** Throws `Terminal` for a backend that this operator does not have. */
  readonly backend: (name: string) => Backend
  /** Places in the rollout of a Runtime, and which others of the namespace have it. */
  readonly rollout: Rollout
  readonly peers: (group: Group) => Peers
  /** The canaries that a Workspace of the group waits for. */
  readonly canaries: (group: Group) => readonly Member[]
}

const now: Turn = { kind: 'now' }

export class Senses {
  readonly #with: SenseCollaborators
  readonly #ages = new InstanceAges()
  readonly #quiet = new QuietTasks()
  readonly #met = new ForeignHashes()

  constructor(collaborators: SenseCollaborators) {
    this.#with = collaborators
  }

  /** Looks; and takes over the container that the spec names, where none was ever launched. */
  async observe(workspace: Workspace, { instance, intent, redact }: Desired, row: WorkspaceRow, ctx: Context) {
    const backend = discreet(this.#with.backend(row.backend), redact)
    const seen = await backend.observe(instance.ref, ctx.signal)
    // Taken over, and the row does not know it: a crash came between the two.
    const half = 'specHash' in seen && seen.specHash === adoptedHash ? seen.id : undefined
    if (row.launchedHash !== undefined || !(half !== undefined || seen.state === 'absent')) return { row, seen }
    try {
      const named = half ?? (await this.#adoptee(workspace, intent, row, ctx))
      if (named === undefined) return { row, seen }
      ctx.fence.check()
      const adopted = await backend.adopt(instance.ref, named, ctx.signal, () => ctx.fence.check())
      failpoint('adopted')
      const facts = {
        ...ownerOf(workspace),
        id: row.id,
        instanceId: named,
        url: addressOf(adopted),
        imageDigest: digestOf(adopted),
      }
      const taken = await this.#with.rows.adopted({ ...facts, specHash: intent.specHash }, ctx.fence)
      ctx.event('Normal', 'InstanceAdopted', `took over ${named.slice(0, 12)} without a restart`)
      return { row: taken, seen: adopted }
    } catch (error) {
      const orCreate = error instanceof Terminal && workspace.spec.adopt?.policy === 'AdoptOrCreate'
      if (!orCreate) throw error
      ctx.event('Warning', error.reason, `${error.message}; a new instance is made instead`)
      return { row, seen }
    }
  }

  /** The instance that may be taken over; undefined: none is asked for. A row that was adopted names its own. */
  async #adoptee(workspace: Workspace, { claim }: WorkspaceIntent, row: WorkspaceRow, ctx: Context) {
    const containerID = workspace.spec.adopt?.containerID
    if (containerID === undefined) return claim === 'create' ? undefined : row.instanceId
    const found = await this.#with.backend(row.backend).identify(containerID, ctx.signal)
    const { namespace } = ownerOf(workspace)
    if (found !== undefined && (await this.#with.rows.isAssigned(namespace, row.backend, found))) return found.id
    // The same whether there is one or not: it is nothing of this namespace.
    throw new Terminal(
      'AdoptionRefused',
      `spec.adopt.containerID ${containerID.slice(0, 12)}: there is no container that this namespace may adopt`,
      { retryAfter: minutes(1) },
    )
  }

  /** Reads observation and row together, and takes a place in the rollout where one is needed. */
  read(given: Look, ctx: Context): Facts {
    const look = this.#recognised(given)
    const { desired, row, seen, power, workspace } = look
    const hash = desired.intent.specHash
    const hold = holdOf(row, hash, ctx.now())
    const age = this.ageOf(workspace.metadata.uid, seen, ctx.now())
    const quiet = this.#quiet.of(workspace.metadata.uid, row, ctx.now())
    const sight = sightHere(look, age, quiet, ctx.now())
    const read = { ...look, hold, sight, quiet, refusal: standingRefusal(row, sight, hold) }
    if (power.power.state === 'Paused') return { ...read, wish: 'stopped', turn: now }
    if (isAsleep(workspace, row, hash, ctx.now())) return { ...read, wish: 'asleep', turn: now }
    if (sight === 'outdated') {
      const turn = this.#turn(look, hash, ctx.now())
      return { ...read, wish: turn.kind === 'wait' ? 'keeping' : 'running', turn }
    }
    const wish: Wish = hold > 0 || power.awaitsParent ? 'holding' : 'running'
    return { ...read, wish, turn: now }
  }

  #turn({ workspace, desired, row, seen }: Look, hash: string, at: Date): Turn {
    const { unlaunchable } = desired
    if (unlaunchable !== undefined) return { kind: 'wait', reason: 'ModelUnknown', message: unlaunchable.message }
    const { rollout, peers, canaries } = this.#with
    const { runtime, image, intent } = desired
    const group = groupOf(intent)
    const changed = changedParts(seen.state === 'running' ? hashOf(seen.specHash, row) : '', hash)
    const proved =
      image === undefined || runtime === undefined || !changed.has('image') || workspace.spec.updateRing === 'canary'
        ? ({ kind: 'good' } as const)
        : canaryVerdict(canaries(group), image, parseDuration(runtime.soak), at, group.namespace)
    const turn = turnOf({
      changed,
      spec: workspace.spec,
      rollout: runtime?.rollout ?? 'WhenIdle',
      row,
      canaries: proved,
      now: at,
    })
    const serves = row.status === 'online' || row.status === 'degraded'
    if (turn.kind === 'wait' || !serves) return turn
    const others = peers(group)
    // A restart that was asked for by name waits for no others, but takes its place: others wait for it.
    const limit = restartAsked(changed) ? Number.POSITIVE_INFINITY : allowance(runtime?.maxUnavailable, others.total)
    if (rollout.enter(group, keyOf(workspace), limit, others)) return turn
    const message = `${limit} of the workspaces of runtime "${intent.runtime}" in this namespace may be down at once`
    return { kind: 'wait', reason: 'WaitsForOthers', message, after: seconds(15) }
  }

  /**
   * Hashes of earlier forms as they are written now. What a hash of another key stood for is what was wanted when it was
   * first met: only what changes from then on is a change.
   */
  #recognised(look: Look): Look {
    const { desired, row, seen } = look
    const { hash, instance } = desired
    const { uid } = instance.ref
    const present = (recorded: string): string => {
      const { text, form } = hash.recognise(recorded)
      if (form !== 'foreign') return text
      const [content = '', ...others] = text.split('.')
      return [this.#met.contentOf(uid, recorded, content), ...others].join('.')
    }
    const launchedHash = row.launchedHash === undefined ? undefined : present(row.launchedHash)
    const known = 'specHash' in seen && seen.specHash !== adoptedHash
    return {
      ...look,
      row: { ...row, launchedHash },
      seen: known ? { ...seen, specHash: present(seen.specHash) } : seen,
    }
  }

  /** Puts an idle agent to sleep by a claim in the row. A message to the agent in the same instant wins over the claim. */
  async rouse(facts: Facts, ctx: Context): Promise<Facts> {
    const { workspace, row } = facts
    if (!mayDoze(facts) || row.activeTasks > 0) return facts
    const at = sleepyAt(workspace, row)
    const idleAfter = workspace.spec.hibernation?.idleAfter
    if (at === undefined || idleAfter === undefined || at > ctx.now()) return facts
    const since = new Date(ctx.now().getTime() - parseDuration(idleAfter))
    const claimed = await this.#with.rows.hibernate({ ...ownerOf(workspace), id: row.id }, since, ctx.fence)
    failpoint('hibernating')
    return this.read({ ...facts, row: claimed }, ctx)
  }

  /** How long the instance has run, by a clock that does not jump. */
  ageOf(uid: string, seen: Observation, at: Date): Duration {
    return seen.state === 'running' ? this.#ages.of(uid, seen.id, seen.startedAt, at) : milliseconds(0)
  }

  /** It was launched in this pass. */
  began(uid: string, seen: Observation): void {
    if ('id' in seen) this.#ages.begin(uid, seen.id)
  }

  /** The object of this uid is gone. */
  forgetObject(uid: string): void {
    this.#met.forget(uid)
    this.#ages.forget(uid)
    this.#quiet.forget(uid)
  }
}

/** Until the next launch is due the last one's refusal holds, whatever else makes a pass. */
function standingRefusal(row: WorkspaceRow, sight: Sight, hold: Duration): Facts['refusal'] {
  const { status, lastFailure: failure, lastError: message } = row
  if (status !== 'failed' || failure?.refused !== true || message === undefined) return undefined
  return hold > 0 && (sight === 'absent' || sight === 'created') ? { reason: failure.reason, message } : undefined
}

/** An external agent is always where it is: there is nothing to launch or to take away. */
function sightHere({ desired, row, seen, power }: Look, age: Duration, quiet: Duration, at: Date): Sight {
  if (row.backend === 'external') return power.power.state === 'Paused' ? 'absent' : 'serving'
  const after = desired.runtime?.restartBusyAfter
  const stuck = after !== undefined && quiet >= parseDuration(after)
  return sightOf(seen, row, desired.intent.specHash, desired.bootDeadline, age, at, stuck)
}

/** Asleep, or on the way there, and not asked to wake. A claim once made is seen through first. */
function isAsleep(workspace: Workspace, row: WorkspaceRow, hash: string, at: Date): boolean {
  if (row.status === 'hibernating') return true
  if (row.status !== 'hibernated' || row.wakeRequestedAt !== undefined) return false
  if (workspace.spec.hibernation === undefined || restartAsked(changedParts(row.launchedHash ?? '', hash))) return false
  // At the latest when the row says so: an idleAfter that was raised meanwhile tells nothing of when it fell asleep.
  const [asked, sleepy] = [wakeTime(workspace), sleepyAt(workspace, row)]
  const fellAsleep = Math.min(row.statusSince.getTime(), sleepy?.getTime() ?? Number.POSITIVE_INFINITY)
  return asked === undefined || asked > at || asked.getTime() < fellAsleep
}

/** Those that are rolled out together. */
export const groupOf = ({ namespace, runtime }: Desired['intent']): Group => ({ namespace, runtime })

export const digestOf = (seen: Observation): string | undefined =>
  seen.state === 'running' && seen.imageDigest !== '' ? seen.imageDigest : undefined
const addressOf = (seen: Observation): string | undefined => (seen.state === 'running' ? seen.address : undefined)
