/** IPv4 networks as ranges of addresses, and the subnets that a pool of them holds. Pure. */

/** Less used than what home routers, clouds, Kubernetes and the engine itself take. */
export const defaultPool = ['10.201.0.0/16']

/** From its first address on, `2 ** (32 - bits)` addresses. */
export interface Range {
  readonly from: number
  readonly bits: number
}

/** A network of 64 addresses; an entry of a pool that is smaller is one network as a whole. */
const subnetBits = 26
/** Of what is smaller, the gateway and the two ends leave too little. */
const smallestBits = 29

const sizeOf = ({ bits }: Range): number => 2 ** (32 - bits)

/** `10.201.0.0/16`; undefined for anything else, and where the address is not the first of the network. */
export function rangeOf(text: string): Range | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)?.slice(1).map(Number)
  if (parts === undefined) return undefined
  const [a = 0, b = 0, c = 0, d = 0, bits = 0] = parts
  if ([a, b, c, d].some((byte) => byte > 255) || bits > 32) return undefined
  const range = { from: ((a * 256 + b) * 256 + c) * 256 + d, bits }
  return range.from % sizeOf(range) === 0 ? range : undefined
}

/** What is wrong with an entry of a pool; undefined when it can be used. */
export function poolFault(text: string): string | undefined {
  const range = rangeOf(text)
  if (range === undefined) return 'is no IPv4 network like 10.201.0.0/16'
  return range.bits < 8 || range.bits > smallestBits ? `is not between a /8 and a /${smallestBits}` : undefined
}

export const overlap = (a: Range, b: Range): boolean => a.from < b.from + sizeOf(b) && b.from < a.from + sizeOf(a)

export const textOf = ({ from, bits }: Range): string =>
  `${[from / 2 ** 24, from / 2 ** 16, from / 2 ** 8, from].map((byte) => Math.floor(byte) % 256).join('.')}/${bits}`

/** Every subnet of the pool once, beginning at the place that `seed` gives and going round. */
export function* subnetsOf(pool: readonly Range[], seed: number): Iterable<Range> {
  const entries = pool.map(({ from, bits }) => {
    const each = Math.max(bits, subnetBits)
    return { from, each, count: 2 ** (each - bits) }
  })
  const total = entries.reduce((sum, { count }) => sum + count, 0)
  for (let step = 0; step < total; step++) {
    let at = (seed + step) % total
    for (const { from, each, count } of entries) {
      if (at < count) {
        yield { from: from + at * 2 ** (32 - each), bits: each }
        break
      }
      at -= count
    }
  }
}

/** Networks that a machine has a way to, from the text of /proc/net/route; the default way is none of them. */
export function routesIn(text: string): Range[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, to = '', , , , , , mask = ''] = line.trim().split(/\s+/)
      if (!/^[0-9A-F]{8}$/.test(to) || !/^[0-9A-F]{8}$/.test(mask)) return []
      const bits = Buffer.from(mask, 'hex').reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
      return bits === 0 ? [] : [{ from: Buffer.from(to, 'hex').readUInt32LE(), bits }]
    })
}
