import type { SourceFault } from '../../sources/source.ts'
import type { Obstacle } from './obstacle.ts'

/** Why the source cannot be read. */
export const sourceObstacle = (reason: Obstacle['reason'], message: string, waits = false): Obstacle => ({
  condition: 'SourceReady',
  reason,
  message,
  waits,
})

/** What cannot be had and may come by itself is waited for; the rest needs somebody, and is still looked at anew. */
export const faulty = ({ fault, message }: { fault: SourceFault; message: string }, what: string): Obstacle =>
  sourceObstacle(fault, `${what}: ${message}`, fault === 'SourceUnreachable' || fault === 'SourceMissing')
