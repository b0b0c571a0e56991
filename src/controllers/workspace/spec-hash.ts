/**
 * The digest of a desired state, in parts that change for different reasons: `content.image.restart`, and `.reset` where
 * sessions are asked to be emptied. Which part differs decides when the instance is replaced, and what goes with it,
 * without a second place that remembers why. Pure.
 */
import { createHmac, hash, hkdfSync } from 'node:crypto'

const parts = ['content', 'image', 'restart', 'reset'] as const
export type HashPart = (typeof parts)[number]

/** With which values from Secrets are digested, so that a hash, which many may read, is of no use for guessing them. */
export interface HashKey {
  /** Tells one key from another, and nothing of either. */
  readonly id: string
  readonly key: Buffer
}

export function hashKeyOf(secretsKey: Buffer): HashKey {
  const derived = (info: string, length: number) => Buffer.from(hkdfSync('sha256', secretsKey, '', info, length))
  return { id: derived('id of the key of hashes', 4).toString('hex'), key: derived('key of hashes', 32) }
}

/** All that a replacement should follow. */
export interface HashedWish {
  /** Of whom: the same Secret gives each workspace another digest. */
  readonly uid: string
  /** With the environment given, sorted by name; of a value from a Secret the name alone, or both. */
  readonly content: (env: readonly (readonly string[])[]) => unknown
  readonly env: readonly (readonly [name: string, value: string])[]
  /** Names of the variables whose values came from Secrets. */
  readonly sealed: ReadonlySet<string>
  /** `image` and `restart` are undefined where there is none: the part is then empty, and never differs. */
  readonly image: string | undefined
  readonly restart: string | undefined
  /** Undefined where no sessions are kept, or none were ever asked to be emptied: there is no such part then. */
  readonly reset?: string | undefined
}

export interface DesiredHash {
  readonly text: string
  /**
   * A hash recorded earlier as one of the present form, if it stands for this very state. `unkeyed` is of the time before
   * there were keys. Of a `foreign` one, made with another key, the values from Secrets cannot be compared, all else is.
   */
  recognise(recorded: string): { readonly text: string; readonly form: 'present' | 'unkeyed' | 'foreign' | 'other' }
}

/**
 * The content is `v2-<digest of all but the values from Secrets>`, and where there are such values
 * `-<id of the key>-<their digest>`. Without a key all of it is digested together, as it was before.
 */
export function desiredHashOf(wish: HashedWish, key: HashKey | undefined): DesiredHash {
  const { uid, content, env, sealed, image, restart, reset } = wish
  const withoutSecrets = env.map(([name, value]) => (sealed.has(name) ? [name] : [name, value]))
  const open = `v2-${digest(content(withoutSecrets), 32)}`
  const secret = env.filter(([name]) => sealed.has(name))
  const keyed = key && (secret.length === 0 ? open : `${open}-${key.id}-${mac(key.key, [uid, secret])}`)
  const unkeyed = () => digest(content(env), 32)
  const rest = [image === undefined ? '' : digest(image, 12), restart === undefined ? '' : digest(restart, 12)]
  if (reset !== undefined) rest.push(digest(reset, 12))
  const own = keyed ?? unkeyed()
  return {
    text: [own, ...rest].join('.'),
    recognise(recorded) {
      const [was = '', ...others] = recorded.split('.')
      const same = [own, ...others].join('.')
      if (was === own) return { text: recorded, form: 'present' }
      if (keyed !== undefined && was === unkeyed()) return { text: same, form: 'unkeyed' }
      const [, digestOfOpen, id] = was.split('-')
      const foreign = id !== undefined && id !== key?.id && `v2-${digestOfOpen}` === open
      return foreign ? { text: same, form: 'foreign' } : { text: recorded, form: 'other' }
    },
  }
}

const digest = (value: unknown, length: number): string => hash('sha256', JSON.stringify(value)).slice(0, length)
const mac = (key: Buffer, value: unknown): string =>
  createHmac('sha256', key).update(JSON.stringify(value)).digest('hex').slice(0, 32)

/** What differs between two desired states. A hash of another form differs in its content. */
export function changedParts(from: string, to: string): ReadonlySet<HashPart> {
  const [was, is] = [from.split('.'), to.split('.')]
  return new Set(parts.filter((_, i) => was[i] !== is[i]))
}

/** Parts that an annotation makes: what is asked for by name, once. */
const asked: ReadonlySet<HashPart> = new Set(['restart', 'reset'])

/** Whether a replacement was asked for by name, among what changed. */
export const restartAsked = (changed: ReadonlySet<HashPart>): boolean => changed.has('restart') || changed.has('reset')

/** An annotation that was taken away asks for nothing: only a new one is a wish to restart. */
export function sameWish(from: string, to: string): boolean {
  return [...changedParts(from, to)].every((part) => asked.has(part) && partOf(to, part) === '')
}

/**
 * Whether sessions are to be emptied before the launch of `to`. `launched` is what the row says of the launch before: once
 * the launch of `to` is recorded, the reset has been done. Undefined where the row knows of none, as a new row, or one that
 * was lost and made anew: nothing is emptied that might have been emptied already, and been filled since.
 */
export function resetAsked(launched: string | undefined, to: string): boolean {
  const wanted = partOf(to, 'reset')
  return wanted !== '' && launched !== undefined && partOf(launched, 'reset') !== wanted
}

/** What names the reset of sessions in a digest; undefined where there is none. */
export const resetOf = (hash: string): string | undefined => partOf(hash, 'reset') || undefined

const partOf = (hash: string, part: HashPart): string => hash.split('.')[parts.indexOf(part)] ?? ''
