/**
 * The structured lines of provisioning that people and scripts have grepped for since the system before: the names are
 * a contract, byte for byte; fields are appended, never renamed.
 */
import type { Logger } from './log.ts'

/** What each of them tells. Ids and words alone: never a value of an environment, a token or an address. */
export interface ProvlogFields {
  /** An instance is about to be made. `sync`: whoever asked waits for it; a controller never does. */
  'provision.start': {
    readonly workspace_id: string
    readonly name: string
    readonly tier: number
    readonly runtime: string
    readonly template: string
    readonly sync: boolean
    readonly reconcile_id?: string
  }
  /** An import found the workspace that it would have made. `name`: the display name. Ids are those of the rows. */
  'provision.skip_existing': {
    readonly workspace_id: string
    readonly name: string
    readonly existing_id?: string
    readonly parent_id?: string | null
    readonly tier?: number
    readonly import?: string
    readonly reconcile_id?: string
  }
  /** An instance is about to be taken away for the next one. */
  'restart.pre_stop': {
    readonly workspace_id: string
    readonly backend: 'docker' | 'cp' | 'none' | 'process' | 'fake'
    readonly reconcile_id?: string
  }
}
export type ProvlogEvent = keyof ProvlogFields

/** One line, `evt: <name> <json>`, as the message of a log line of its own. Never throws: the boundary is always told. */
export function provlog<Event extends ProvlogEvent>(
  log: Logger,
  event: Event,
  fields: Readonly<ProvlogFields[Event]>,
): void {
  log.info(`evt: ${event} ${marshal(fields)}`)
}

/** JSON escapes line breaks, so that one event is one line whatever a name contains. */
function marshal(fields: object): string {
  try {
    return JSON.stringify(fields)
  } catch (error) {
    return JSON.stringify({ _marshal_err: error instanceof Error ? error.message : String(error) })
  }
}
