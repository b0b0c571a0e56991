/**
 * Volumes that came with an adopted container. They carry no label of ours and none can be given to them, so an empty
 * volume stands beside them that does, and whose label names them: it outlives the container, the engine keeps it where
 * the volumes are, and it goes when they go. Pure.
 */
import type { ContainerInspectInfo } from 'dockerode'
import { z } from 'zod'
import type { InstanceRef } from '../backend.ts'
import { instanceName } from '../names.ts'
import { marks } from './ownership.ts'

/** Names of volumes by where they are mounted. */
export type Heirlooms = Readonly<Record<string, string>>

const heirloomsLabel = 'molecule.dev/heirlooms'

export const noteName = (uid: string): string => `${instanceName(uid)}-heirlooms`

/** The labels of the note. */
export const noteOf = (operator: string, ref: InstanceRef, heirlooms: Heirlooms) => ({
  ...marks(operator, ref),
  [heirloomsLabel]: JSON.stringify(heirlooms),
})

const schema = z.record(z.string().startsWith('/'), z.string().regex(/^[A-Za-z0-9][\w.-]*$/))

/** What a note names; undefined for a volume that is none. Throws when the label does not have the form that this operator writes. */
export function heirloomsIn(labels: Readonly<Record<string, string>>): Heirlooms | undefined {
  const noted = labels[heirloomsLabel]
  return noted === undefined ? undefined : schema.parse(JSON.parse(noted))
}

/** The volumes of a container, named or not; folders of its host are no volumes. */
export const heirloomsOf = ({ Mounts }: Pick<ContainerInspectInfo, 'Mounts'>): Heirlooms =>
  Object.fromEntries(
    Mounts.flatMap(({ Type, Name, Destination }) =>
      Type === 'volume' && Name !== undefined ? [[Destination, Name] as const] : [],
    ),
  )

/** Where the system before mounted the sessions of an agent. */
const formerSessions = '/root/.claude/sessions'

/** The volume that is mounted where sessions are kept: what came with an adopted container goes before one of its own. */
export const sessionsVolume = (uid: string, path: string, heirlooms: Heirlooms): string =>
  heirlooms[path] ?? heirlooms[formerSessions] ?? `${instanceName(uid)}-sessions`

/** What the system before called the volumes of a workspace whose container is gone. */
export const formerVolumes = (rowId: string): Heirlooms => ({
  '/configs': `ws-${rowId.slice(0, 12)}-configs`,
  '/workspace': `ws-${rowId}-workspace`,
  [formerSessions]: `ws-${rowId.slice(0, 12)}-claude-sessions`,
})
