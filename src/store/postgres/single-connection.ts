/** A connection outside the pool, whose end neither a server that stands still nor a failed connect can hold up. */
import { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, type ClientConfig } from 'pg'

/** Milliseconds. A server that stands still answers no goodbye, which the client would wait for without end. */
const goodbyeWithin = 1000

export interface SingleConnection {
  /** Not connected yet. */
  readonly client: Client
  /**
   * Says goodbye, and closes the socket whatever came of it. Never throws. Needed after a failed connect as well: the
   * client leaves the socket open where it gives up by itself (for want of a password), and PostgreSQL counts it for a minute.
   */
  readonly close: () => Promise<void>
}

export function singleConnection(config: ClientConfig): SingleConnection {
  const socket = new Socket()
  const client = new Client({ ...config, stream: () => socket })
  return {
    client,
    close: async () => {
      const done = new AbortController()
      const ended = client.end().then(
        () => done.abort(),
        () => done.abort(),
      )
      await Promise.race([ended, pause(goodbyeWithin, undefined, { signal: done.signal }).catch(() => {})])
      socket.destroy()
    },
  }
}
