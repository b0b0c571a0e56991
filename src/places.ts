/**
 * Places for work that waits for agents. An agent that never answers keeps its place until a limit of time ends it, and
 * no place can be taken back before; so nothing may come to hold all of them.
 *
 * A namespace gets no further place once it holds a third as many as are free (a dynamic threshold, as switches share a
 * buffer): that is a quarter of all for one alone, and for each further one a quarter of what the others have left. By a
 * fixed quarter, the fourth namespace that hangs would take the last place.
 */

/** What can refuse a place, the narrowest first. */
export const bounds = ['pair', 'destination', 'caller', 'namespace', 'total'] as const
export type Bound = (typeof bounds)[number]

/** By whom and for whom a place is taken. A key that is not given is not counted. */
export type Claim = Readonly<Partial<Record<Exclude<Bound, 'total'>, string>>>

export interface PlaceLimits {
  readonly total: number
  /** Of `total`, those that only a claim without a namespace gets. */
  readonly reserved: number
  readonly pair: number
  readonly destination: number
  readonly caller: number
}

export class Places {
  readonly #limits: PlaceLimits
  readonly #held = new Map<string, number>()
  #taken = 0

  constructor(limits: PlaceLimits) {
    this.#limits = limits
  }

  /** What would refuse this claim now. */
  refusal(claim: Claim, amount = 1): Bound | undefined {
    const { total, reserved } = this.#limits
    for (const bound of ['pair', 'destination', 'caller'] as const)
      if (this.#of(bound, claim) + amount > this.#limits[bound]) return bound
    const free = total - this.#taken - (claim.namespace === undefined ? 0 : reserved)
    if (free < amount) return 'total'
    const held = this.#of('namespace', claim)
    return held > 0 && held >= free / 3 ? 'namespace' : undefined
  }

  /** Gives what ends the hold of a place (or of `amount`, where places are bytes), once however often it is called; or says what refuses it. */
  take(claim: Claim, amount = 1): (() => void) | Bound {
    const refused = this.refusal(claim, amount)
    if (refused !== undefined) return refused
    this.#count(claim, amount)
    let held = true
    return () => {
      if (held) this.#count(claim, -amount)
      held = false
    }
  }

  #of(bound: Exclude<Bound, 'total'>, claim: Claim): number {
    const key = claim[bound]
    return key === undefined ? 0 : (this.#held.get(`${bound} ${key}`) ?? 0)
  }

  #count(claim: Claim, by: number): void {
    this.#taken += by
    for (const [bound, key] of Object.entries(claim)) {
      const name = `${bound} ${key}`
      const held = (this.#held.get(name) ?? 0) + by
      if (held === 0) this.#held.delete(name)
      else this.#held.set(name, held)
    }
  }
}
