/**
 * A backend as a pass of one workspace hears it: whatever an engine or an instance says, in answers, logs and errors, has
 * the secrets of that workspace taken out before it is heard.
 */
import type { Backend, Observation } from '../../backends/backend.ts'
import { scrub, type Redact } from '../../redaction.ts'
import { oneLine } from '../../text.ts'

export type PassBackend = Pick<
  Backend,
  'name' | 'observe' | 'ensure' | 'remove' | 'resetSessions' | 'prepare' | 'adopt' | 'logs'
>

export function discreet(backend: Backend, redact: Redact): PassBackend {
  async function heard<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      scrub(error, redact)
      throw error
    }
  }
  const line = (text: string) => oneLine(redact(text))
  const seen = async (answer: Promise<Observation>): Promise<Observation> => {
    const observation = await heard(answer)
    switch (observation.state) {
      case 'unknown':
        return { ...observation, cause: line(observation.cause) }
      case 'exited':
        return { ...observation, detail: line(observation.detail) }
      case 'absent':
      case 'created':
      case 'starting':
      case 'running':
      case 'stopping':
        return observation
    }
  }
  return {
    name: backend.name,
    observe: (...asked) => seen(backend.observe(...asked)),
    ensure: (...asked) => seen(backend.ensure(...asked)),
    remove: (...asked) => heard(backend.remove(...asked)),
    resetSessions: (...asked) => heard(backend.resetSessions(...asked)),
    prepare: (...asked) => heard(backend.prepare(...asked)),
    adopt: (...asked) => seen(backend.adopt(...asked)),
    logs: async (ref, bytes, signal) => redact(whole(await heard(backend.logs(ref, bytes, signal)), bytes)),
  }
}

/** Of a log that was cut, the line that the cut went through is left out: it may begin in the middle of a secret. */
function whole(log: string, bytes: number): string {
  if (Buffer.byteLength(log) < bytes - 4) return log
  const end = log.indexOf('\n')
  return end < 0 ? log : log.slice(end + 1)
}
