/** What is held for a request is given back when its reply has been sent, or its connection has ended. */
import type { FastifyReply } from 'fastify'

/** Calls `act` once, at once when it is over already: a caller may go while it is still being looked up, and that is told once. */
export function onceOver({ raw }: FastifyReply, act: () => void): void {
  if (raw.destroyed) act()
  else raw.once('close', act)
}
