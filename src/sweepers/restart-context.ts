/**
 * Tells an agent that is back from a restart that it was restarted: once, as any prompt of the operator's is delivered. The
 * message is owed in the row until it was delivered or given up, which is told; sent again after a crash in between, it has the
 * same id.
 */
import type { InstanceRef } from '../backends/backend.ts'
import { formatDuration, minutes, seconds, type Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { Fence } from '../fence.ts'
import { Places } from '../places.ts'
import type { OwedContext, RestartStore } from '../store/restart-store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createSweeper, type Sweeper } from './sweeper.ts'
import type { Delivery, DuePrompt } from './scheduler.ts'

export interface RestartContextOptions {
  readonly restarts: RestartStore
  readonly deliver: (prompt: DuePrompt, signal: AbortSignal) => Promise<Delivery>
  readonly fence: Fence
  /** Says it to people, of the Workspace. */
  readonly event: (ref: InstanceRef, type: 'Warning', reason: string, message: string) => void
  readonly log: Logger
  readonly metrics: Pick<Metrics, 'restartContexts'>
  readonly every?: Duration
}

const limits = {
  atOnce: 500,
  /** On their way at once, a quarter of them for one namespace. */
  deliveries: 64,
  delivery: minutes(5),
  /** An agent that could not be reached for so long after it came back has learned it by itself. */
  givenUp: minutes(10),
}

/** What the agent reads. Of the environment it is told names alone. */
export function contextText({
  restartedAt,
  endedAt,
  variables,
}: Pick<OwedContext, 'restartedAt' | 'endedAt' | 'variables'>): string {
  const before = endedAt === undefined ? '' : ` The session before was last heard of at ${endedAt.toISOString()}.`
  const names = variables.length === 0 ? '' : ` Variables of the environment: ${variables.join(', ')}.`
  return `This workspace was restarted at ${restartedAt.toISOString()}.${before}${names} What was at work then may not have been finished.`
}

export function restartContext(options: RestartContextOptions): Sweeper {
  const { restarts, deliver, fence, event, log, metrics, every = seconds(5) } = options
  const { deliveries } = limits
  const places = new Places({ total: deliveries, reserved: 0, pair: 1, caller: deliveries, destination: 1 })
  const underWay = new Map<string, Promise<void>>()

  async function drop(context: OwedContext, why: string): Promise<void> {
    if (!(await restarts.drop(context, why))) return
    const { workspaceId, ownerUid, namespace, resourceName, restartedAt } = context
    metrics.restartContexts.inc({ outcome: 'dropped' })
    log.warn({ workspace: workspaceId, err: why }, 'restart context dropped')
    const ref = { uid: ownerUid, namespace, name: resourceName }
    const message = `the agent was not told of its restart at ${restartedAt.toISOString()}: ${why}`
    event(ref, 'Warning', 'RestartContextDropped', message)
  }

  async function tell(context: OwedContext, signal: AbortSignal): Promise<void> {
    const { workspaceId, messageId, waited } = context
    if (waited >= limits.givenUp)
      return await drop(context, `it could not be reached for ${formatDuration(limits.givenUp)} after it was back`)
    fence.check()
    const metadata = { source: 'system:restart-context', restarted_at: context.restartedAt.toISOString() }
    const prompt = { id: messageId, to: workspaceId, text: contextText(context), metadata }
    const delivery = await deliver(prompt, AbortSignal.any([signal, AbortSignal.timeout(limits.delivery)]))
    if (delivery.kind === 'notReached' || (signal.aborted && delivery.kind !== 'delivered')) return
    if (delivery.kind === 'failed') return await drop(context, delivery.detail)
    await restarts.settle(context)
    metrics.restartContexts.inc({ outcome: 'delivered' })
  }

  function begin(context: OwedContext, signal: AbortSignal): void {
    const { workspaceId, namespace, messageId } = context
    if (signal.aborted || underWay.has(messageId)) return
    const place = places.take({ destination: workspaceId, namespace })
    if (typeof place === 'string') return
    const work = tell(context, signal)
      // It stays owed: the next round takes it up again.
      .catch((error: unknown) =>
        log.warn({ workspace: workspaceId, err: reasonOf(error) }, 'restart context not delivered'),
      )
      .finally(() => {
        underWay.delete(messageId)
        place()
      })
    underWay.set(messageId, work)
  }

  return {
    name: 'restart-context',
    leaderOnly: true,
    async start(signal) {
      const sweep = async () => {
        for (const context of await restarts.owed(limits.atOnce)) begin(context, signal)
      }
      await createSweeper({ name: 'restart context', every, log, sweep }).start(signal)
      await Promise.all(underWay.values())
    },
  }
}
