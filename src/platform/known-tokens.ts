/** Tokens of live workspaces that were met, by their hashes. What is in here passes before those that nobody knows. */
import { type Duration, seconds } from '../duration.ts'
import type { AgentStore, TokenOwner } from '../store/agent-store.ts'

export interface KnownTokens {
  find(hash: Buffer): TokenOwner | undefined
  remember(hash: Buffer, owner: TokenOwner): void
  forget(hash: Buffer): void
  /**
   * Learns all live tokens at one look, soon, and not again within `every`: what keeps the tokens of agents apart from guesses
   * after a start, when none was met yet and the guesses of their address leave no room to be met.
   */
  learn(): void
}

/** A bounded number, the ones longest known go first. */
const most = 1 << 15

export function knownTokens(agents: Pick<AgentStore, 'liveTokens'>, every: Duration = seconds(5)): KnownTokens {
  const known = new Map<string, TokenOwner>()
  const keyOf = (hash: Buffer): string => hash.toString('latin1')
  let learnt = -Infinity

  function remember(hash: Buffer, owner: TokenOwner): void {
    const key = keyOf(hash)
    if (known.size >= most && !known.has(key)) for (const oldest of known.keys().take(1)) known.delete(oldest)
    known.set(key, owner)
  }

  async function read(): Promise<void> {
    for (const { hash, ...owner } of await agents.liveTokens(most)) remember(hash, owner)
  }

  return {
    find: (hash) => known.get(keyOf(hash)),
    forget: (hash) => void known.delete(keyOf(hash)),
    remember,
    learn() {
      const now = performance.now()
      if (now - learnt < every) return
      learnt = now
      // The database may be away: the next guess asks again.
      read().catch(() => undefined)
    },
  }
}
