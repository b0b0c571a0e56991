import { createHash, randomBytes } from 'node:crypto'

/** An agent's bearer token: 256 random bits, of which only the SHA-256 is ever stored. */
export interface Token {
  /** 43 characters of base64url. Goes into the instance before it starts, and nowhere else. */
  readonly text: string
  readonly hash: Buffer
  /** First eight characters, for people. */
  readonly prefix: string
}

/** What the operator's own calls to an instance carry: 43 characters of base64url, kept sealed in the row. */
export const mintInboundSecret = (): string => randomBytes(32).toString('base64url')

export function mintToken(): Token {
  const text = randomBytes(32).toString('base64url')
  return { text, hash: createHash('sha256').update(text).digest(), prefix: text.slice(0, 8) }
}
