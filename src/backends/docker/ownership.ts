/** Whose a container is. Pure. */
import { createHash } from 'node:crypto'
import type { ContainerInspectInfo } from 'dockerode'
import { minutes } from '../../duration.ts'
import { Terminal } from '../../errors.ts'
import type { InstanceRef } from '../backend.ts'
import { instanceName } from '../names.ts'

export const label = {
  operator: 'molecule.dev/operator',
  namespace: 'molecule.dev/namespace',
  name: 'molecule.dev/name',
  uid: 'molecule.dev/uid',
  specHash: 'molecule.dev/spec-hash',
  /** Id of the network of its own namespace that an instance was made for; one without shares its network. */
  network: 'molecule.dev/network',
  /** On a volume of sessions: the names of the resets that it was emptied for, divided by blanks. */
  sessionResets: 'molecule.dev/session-resets',
  /** On what stands beside an instance for a moment, and is none. */
  helper: 'molecule.dev/helper',
} as const

/** What the system before put on every container of a workspace, and nothing else on a host carries. */
export const legacyLabel = 'molecule.platform.managed'

type Labels = Readonly<Record<string, string>>

/** An operator instance or a namespace in twelve characters, for names: its own may be of any length. */
const shortly = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 12)

/** The networks of a namespace: the first, and further ones once all before are full. */
export const networkName = (operator: string, namespace: string, number = 1): string =>
  `molecule-${shortly(operator)}-${shortly(namespace)}${number === 1 ? '' : `-${number}`}`

export const marks = (operator: string, ref: InstanceRef) => ({
  [label.operator]: operator,
  [label.namespace]: ref.namespace,
  [label.name]: ref.name,
  [label.uid]: ref.uid,
})

/**
 * The labels of a container never change, so one that was adopted says by its name whose it is: operator, uid,
 * namespace and name. The plain `ws-<uid>` would not do: anybody may have called a container so.
 */
export const adoptedName = (operator: string, ref: InstanceRef): string =>
  `${instanceName(ref.uid)}.adopted-${shortly(operator)}.${ref.namespace}.${ref.name}`

/** The engine's filter for names of adopted containers: all of this operator's, or those of one uid. */
export const adoptedPattern = (operator: string, uid?: string): string =>
  `^/?${uid === undefined ? 'ws-[A-Za-z0-9-]+' : instanceName(uid)}\\.adopted-${shortly(operator)}\\.`

const adoptedParts = /^\/?ws-([A-Za-z0-9-]+)\.adopted-([0-9a-f]{12})\.([^.]*)\.(.*)$/

/** The ref that labels or, where no operator left any, an adopted name spell; undefined when it is not this operator's. */
export function refOf(labels: Labels, name: string, operator: string): InstanceRef | undefined {
  const owner = labels[label.operator]
  if (owner === undefined) {
    const [, uid, by, namespace, resource] = adoptedParts.exec(name) ?? []
    return uid && by === shortly(operator) ? { uid, namespace: namespace ?? '', name: resource ?? '' } : undefined
  }
  const uid = labels[label.uid]
  if (owner !== operator || !uid) return undefined
  return { uid, namespace: labels[label.namespace] ?? '', name: labels[label.name] ?? '' }
}

/** The uid that labels or an adopted name spell, of whatever operator. */
export const uidOf = (labels: Labels, name: string): string | undefined =>
  labels[label.uid] ?? adoptedParts.exec(name)?.[1]

export const adoptionRefused = (id: string, why: string): Terminal =>
  new Terminal('AdoptionRefused', `container "${id.slice(0, 12)}" ${why}`, { retryAfter: minutes(1) })

/** Throws `Terminal` when a container that is not ours yet may not become the one of `ref`. */
export function assertAdoptable({ Id, Name, Config, State }: ContainerInspectInfo, ref: InstanceRef, operator: string) {
  const owner = Config.Labels[label.operator]
  const uid = uidOf(Config.Labels, Name)
  if (owner !== undefined && owner !== operator) throw adoptionRefused(Id, 'belongs to another operator')
  if (uid !== undefined && uid !== ref.uid) throw adoptionRefused(Id, 'belongs to another Workspace')
  if (adoptedParts.test(Name)) throw adoptionRefused(Id, 'was adopted by another operator')
  // Else every tenant that may create a Workspace could take over, and then delete, any container of the host.
  if (Config.Labels[legacyLabel] !== 'true')
    throw adoptionRefused(Id, `is no workspace: it does not carry the label ${legacyLabel}=true`)
  if (!State.Running) throw adoptionRefused(Id, `does not run: it is ${State.Status}`)
}
