import { Terminal } from '../../errors.ts'
import type { Backend, DiskUse, InstanceRef, Observation, OwnedInstance } from '../backend.ts'
import { ChangeFeed } from '../changes.ts'

/** The agent runs wherever its owner runs it: there is never an instance, only a row that waits for a registration. */
export class ExternalBackend implements Backend {
  readonly name = 'external'

  async observe(): Promise<Observation> {
    return { state: 'absent' }
  }

  async ensure(): Promise<Observation> {
    return { state: 'absent' }
  }

  async remove(): Promise<'gone'> {
    return 'gone'
  }

  async resetSessions(): Promise<'kept'> {
    return 'kept'
  }

  async prepare(): Promise<void> {}

  async identify(): Promise<undefined> {}

  async adopt(): Promise<never> {
    throw new Terminal('AdoptionRefused', 'an external agent has no instance that could be taken over')
  }

  async disk(): Promise<readonly DiskUse[]> {
    return []
  }

  async logs(): Promise<string> {
    return ''
  }

  async *owned(): AsyncIterable<OwnedInstance> {}

  async *ownedVolumes(): AsyncIterable<InstanceRef> {}

  changes(signal: AbortSignal): AsyncIterable<InstanceRef> {
    return new ChangeFeed().read(signal)
  }
}
