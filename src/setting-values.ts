/**
 * How the text of a setting is read. What it must be is said once, and shown by `--help` as well as by the error for
 * anything else. The value given is never repeated: it may be a secret that stands in the wrong place.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { durationPattern, parseDuration } from './duration.ts'

/** `expects` goes on after "must be"; `read` gives undefined for what is something else. */
const value = <T>(expects: string, read: (text: string) => T | undefined) =>
  z
    .string()
    .transform((text, ctx) => {
      const found = read(text)
      if (found !== undefined) return found
      ctx.addIssue({ code: 'custom', message: `must be ${expects}` })
      return z.NEVER
    })
    .meta({ expects })

const wholeNumber = /^(0|[1-9][0-9]{0,14})$/
const number = /^(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$/

/** Both ends are allowed. */
export const whole = (from: number, to: number) =>
  value(`a whole number from ${from} to ${to}`, (text) => within(wholeNumber.test(text) ? Number(text) : NaN, from, to))

export const share = () => value('a number from 0 to 1', (text) => within(number.test(text) ? Number(text) : NaN, 0, 1))

const within = (found: number, from: number, to: number) => (found >= from && found <= to ? found : undefined)

export const port = () => whole(0, 65_535)

export const flag = () =>
  value('true or false', (text) => (text === 'true' ? true : text === 'false' ? false : undefined))

export const oneOf = <const T extends string>(words: readonly T[]) =>
  value(wordsOf(words, 'or'), (text) => words.find((word) => word === text))

const split = (text: string) =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')

export const list = () => z.string().transform(split)

/** At least one of `words`, each once, in the order given. */
export const someOf = <const T extends string>(words: readonly T[]) =>
  value(`one or more of ${wordsOf(words, 'and')}, separated by commas`, (text) => {
    const found = split(text).map((part) => words.find((word) => word === part))
    return found.length > 0 && !found.includes(undefined) ? [...new Set(found as T[])] : undefined
  })

export const host = () =>
  value('a host like git.example or git.example:8443', (text) => {
    const name = text.toLowerCase()
    return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$/.test(name)
      ? name
      : undefined
  })

export const networks = () =>
  value('a list of networks like 10.0.0.0/8, separated by commas', (text) => {
    const found = split(text)
    return found.every(isNetwork) ? found : undefined
  })

function isNetwork(text: string): boolean {
  const [, address = '', bits = ''] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? []
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 4 ? 32 : 128)
}

export const span = () =>
  value('a duration like 90s, 30m or 1h30m', (text) =>
    new RegExp(durationPattern).test(text) ? parseDuration(text) : undefined,
  )

const units = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 } as const

export const bytes = () =>
  value('a size like 512Ki, 32Mi or 1Gi', (text) => {
    const [, count, unit] = /^([1-9]\d{0,5})(Ki|Mi|Gi)$/.exec(text) ?? []
    return unit === undefined ? undefined : Number(count) * units[unit as keyof typeof units]
  })

export const words = () =>
  value('a JSON array of strings like ["node","agent.js"]', (text) => {
    try {
      return z.array(z.string()).min(1).parse(JSON.parse(text))
    } catch {
      return undefined
    }
  })

export const webAddress = (example: string) =>
  value(`a URL like ${example}`, (text) => (/^https?:$/.test(URL.parse(text)?.protocol ?? '') ? text : undefined))

/** At least so many characters: of a secret that is guessed at, not looked up. */
export const token = (least: number) =>
  z
    .string()
    .superRefine(({ length }, ctx) => {
      if (length >= least) return
      const message = `must have at least ${least} characters; it has ${length} (openssl rand -base64 32 gives one)`
      ctx.addIssue({ code: 'custom', message })
    })
    .meta({ expects: `at least ${least} characters: openssl rand -base64 32` })

const sealingExpects = '32 bytes in base64: openssl rand -base64 32'

export const sealingKey = () =>
  z
    .string()
    .transform((text, ctx) => {
      const key = Buffer.from(text, 'base64')
      // Decoded leniently by Node.js: what does not encode to the same text again was no base64.
      const isBase64 = key.toString('base64') === text
      if (isBase64 && key.length === 32) return key
      const found = isBase64 ? `it has ${key.length} bytes` : 'it is not base64'
      ctx.addIssue({ code: 'custom', message: `must be ${sealingExpects}; ${found}` })
      return z.NEVER
    })
    .meta({ expects: sealingExpects })

function wordsOf(all: readonly string[], link: 'and' | 'or'): string {
  return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} ${link} ${all.at(-1) ?? ''}`
}

/** What `--help` says of one setting beside its description. */
export interface SettingFacts {
  /** Goes on after "must be"; undefined for any text. */
  readonly expects: string | undefined
  /** As it would be written; undefined where there is none. */
  readonly usually: string | undefined
}

/** Reads them off a schema, through whatever is wrapped around it. */
export function factsOf(schema: z.ZodType): SettingFacts {
  let expects: string | undefined
  let usually: string | undefined
  for (let at: z.ZodType | undefined = schema; at !== undefined; at = inner(at)) {
    const given = at.meta()?.['expects']
    if (typeof given === 'string') expects ??= given
    if (at instanceof z.ZodPrefault && typeof at.def.defaultValue === 'string') usually ??= at.def.defaultValue
  }
  return { expects, usually: usually === '' ? undefined : usually }
}

function inner(schema: z.ZodType): z.ZodType | undefined {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return schema.def.innerType as z.ZodType
  return undefined
}
