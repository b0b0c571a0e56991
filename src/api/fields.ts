/**
 * The pieces that the schemas of all kinds are made of. Each one carries, beside its check, what the CRD says of it:
 * bounds (CEL is refused by the API server on anything unbounded), patterns in RE2, rules in CEL, list semantics.
 */
import { z } from 'zod'
import { durationPattern } from '../duration.ts'

/**
 * One rule in both languages: CEL for admission, `holds` for the run-time check. A rule that compares with `oldSelf`
 * has no second form, since only the API server sees both. The message tells a person what to change.
 */
export interface Rule<T> {
  readonly cel: string
  readonly message: string
  readonly holds?: (value: T) => boolean
}

type Validation = { rule: string; message: string }
const validationsKey = 'x-kubernetes-validations'

/** Adds rules to a schema, after those it has. */
export function ruled<T extends z.ZodType>(schema: T, ...rules: readonly Rule<z.output<T>>[]): T {
  const earlier = (schema.meta()?.[validationsKey] ?? []) as Validation[]
  let checked: T = schema
  for (const { holds, message } of rules) if (holds) checked = checked.refine(holds, { error: message })
  const validations = [...earlier, ...rules.map(({ cel, message }) => ({ rule: cel, message }))]
  return checked.meta({ [validationsKey]: validations })
}

/** RE2 and JavaScript differ in how they write a code point; patterns are written as RE2, which the CRD needs. */
const inJavaScript = (re2: string): RegExp => new RegExp(re2.replaceAll(/\\x\{([0-9a-f]+)\}/g, String.raw`\u{$1}`), 'u')

/** Kubernetes counts characters where JavaScript counts UTF-16 units: a limit must not tell them apart. */
const within = (max: number) => (value: string) => value.length <= max || Array.from(value).length <= max

/** A string of at most `max` characters. */
export function bounded(max: number, min = 0) {
  const checked = z.string().refine(within(max), { error: `must have at most ${max} characters` })
  return (min === 0 ? checked : checked.min(min)).meta({ maxLength: max })
}

/** A bounded string of the given RE2 pattern. */
export function matching(pattern: string, max: number, min = 0) {
  const expression = inJavaScript(pattern)
  return bounded(max, min)
    .refine((value) => expression.test(value), { error: `must match ${pattern}` })
    .meta({ pattern })
}

const directions = String.raw`\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}`
const oneLine = String.raw`^[^\x00-\x1f\x7f-\x9f${directions}]*$`
const paragraphs = String.raw`^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f${directions}]*$`
/** What no program may choke on: tab, line feed and carriage return are the only control characters. */
const printable = String.raw`^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$`

function saidInCel(schema: z.ZodString, pattern: string, message: string): z.ZodString {
  const expression = inJavaScript(pattern)
  return ruled(schema, { cel: `self.matches(r'${pattern}')`, message, holds: (value) => expression.test(value) })
}

export const lineMessage = 'must be one line without control or text-direction characters'

/** One line for people: nothing invisible that could disguise it in a terminal or a log. */
export const line = (max: number, min = 0) => saidInCel(bounded(max, min), oneLine, lineMessage)

/** Prose for people, with line breaks. */
export const prose = (max: number) =>
  saidInCel(bounded(max), paragraphs, 'must not contain control or text-direction characters')

/** Long text for agents (prompts, memories, values): any language, line breaks, no other control characters. */
export const text = (max: number, min = 0) => matching(printable, max, min)

const durationRule = (cel: string, message: string, holds: (value: string) => boolean): Rule<string> => ({
  cel,
  message,
  holds,
})
const sane = durationRule(
  "self.matches('^([0-9]{1,5}(ms|s|m|h|d))+$')",
  'must be written like 90s, 30m, 1h30m or 7d, with at most five digits a number',
  (value) => /^(\d{1,5}(ms|s|m|h|d))+$/.test(value),
)
const positive = durationRule("self.matches('[1-9]')", 'must be longer than nothing', (value) => /[1-9]/.test(value))

/** Five digits keep every sum within what a Date can hold. */
export const duration = (least: 'positive' | 'zero' = 'positive') => {
  const written = ruled(matching(durationPattern, 32, 2), sane)
  return least === 'zero' ? written : ruled(written, positive)
}

const label = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'
const subdomain = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'
/** The name of a Workspace or a Runtime: a DNS label, because container names, labels and addresses are made of it. */
export const labelName = () => matching(label, 63, 1)
/** The name of any other Kubernetes object. */
export const objectName = () => matching(subdomain, 253, 1)
/** A key of a Secret or ConfigMap. */
export const dataKey = () => matching('^[-._a-zA-Z0-9]+$', 253, 1)
export const envName = () => matching('^[A-Za-z_][A-Za-z0-9_]*$', 253, 1)
export const sha256 = (prefix: '' | 'sha256:') => matching(`^${prefix}[0-9a-f]{64}$`, 71, 64)

/** A moment that a person writes, as RFC 3339. The pattern is all that either check knows of a calendar. */
export const instant = () =>
  matching(
    '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$',
    64,
  )

/** When something happened, as RFC 3339: of a status. */
export const time = (description: string) => z.string().meta({ format: 'date-time', maxLength: 64, description })
export const count = (description: string) => z.int().min(0).max(2_147_483_647).meta({ description, format: 'int32' })

/** A list that is replaced whole. */
export const atomic = <T extends z.ZodType>(item: T, max: number, description: string) =>
  z.array(item).max(max).meta({ 'x-kubernetes-list-type': 'atomic', description })
/** A list of distinct scalars, merged by value. */
export const setOf = <T extends z.ZodType>(item: T, max: number, description: string) =>
  z
    .array(item)
    .max(max)
    .refine((items) => new Set(items).size === items.length, { error: 'must not contain the same value twice' })
    .meta({ 'x-kubernetes-list-type': 'set', description })
/** A list of objects, merged by one of their fields. */
export const listBy = <T extends z.ZodType>(key: string & keyof z.output<T>, item: T, max: number, about: string) =>
  z
    .array(item)
    .max(max)
    .refine((items) => new Set(items.map((each) => each[key])).size === items.length, {
      error: `must not contain the same ${key} twice`,
    })
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key], description: about })
/** A map of at most `max` entries, whose keys are lines of at most `keyLength` characters. */
export const mapOf = <T extends z.ZodType>(value: T, max: number, description: string, keyLength = 255) => {
  const fits = within(keyLength)
  const keys = inJavaScript(oneLine)
  const record = z.record(z.string(), value).refine((entries) => Object.keys(entries).length <= max, {
    error: `must have at most ${max} entries`,
  })
  return ruled<typeof record>(record, {
    cel: `self.all(key, key.size() > 0 && key.size() <= ${keyLength} && key.matches(r'${oneLine}'))`,
    message: `keys must be lines of 1 to ${keyLength} characters, without control or text-direction characters`,
    holds: (entries) => Object.keys(entries).every((key) => key !== '' && fits(key) && keys.test(key)),
  }).meta({ maxProperties: max, description })
}

/** A reference to a Workspace of the same namespace. */
export const workspaceRef = (description: string) =>
  z
    .object({ name: labelName().meta({ description: 'metadata.name of a Workspace in the same namespace.' }) })
    .meta({ description })

/** A reference to a whole Secret or ConfigMap of the same namespace. */
export const dataRef = (kind: 'Secret' | 'ConfigMap') =>
  z
    .object({ name: objectName().meta({ description: `metadata.name of a ${kind} in the same namespace.` }) })
    .meta({ description: `A whole ${kind}.` })

const optionalRef = (kind: 'Secret' | 'ConfigMap') =>
  dataRef(kind)
    .extend({
      optional: z
        .boolean()
        .meta({ description: `When true, a missing ${kind} counts as an empty one instead of blocking the start.` })
        .exactOptional(),
    })
    .meta({ description: `A whole ${kind}.` })

/** One key of a Secret or ConfigMap of the same namespace. */
export const keyRef = (kind: 'Secret' | 'ConfigMap') =>
  optionalRef(kind)
    .extend({ key: dataKey().meta({ description: `The key in the ${kind}.` }) })
    .meta({ description: `One key of a ${kind}.` })

/** Of these fields one is given, and one only. */
export const exactlyOne = <T extends object>(...names: readonly (string & keyof T)[]): Rule<T> => ({
  cel: `[${names.map((name) => `has(self.${name})`).join(', ')}].filter(given, given).size() == 1`,
  message: `give exactly one of ${names.join(', ')}`,
  holds: (value) => names.filter((name) => value[name] !== undefined).length === 1,
})

const valueFrom = ruled(
  z.object({ secretKeyRef: keyRef('Secret').exactOptional(), configMapKeyRef: keyRef('ConfigMap').exactOptional() }),
  exactlyOne('secretKeyRef', 'configMapKeyRef'),
)

/** As in a Pod: a plain value, or one key of a Secret or ConfigMap. */
export const envVar = ruled(
  z.object({
    name: envName().meta({ description: 'Name of the environment variable.' }),
    value: text(32_768)
      .meta({ description: 'The value as it stands. For secrets use valueFrom.secretKeyRef.' })
      .exactOptional(),
    valueFrom: valueFrom
      .meta({ description: 'Where the value comes from. It is read at each start and never shown.' })
      .exactOptional(),
  }),
  {
    cel: '!(has(self.value) && has(self.valueFrom))',
    message: 'give value or valueFrom, not both',
    holds: (variable) => !(variable.value !== undefined && variable.valueFrom !== undefined),
  },
)

/** As in a Pod: all keys of a Secret or ConfigMap. */
export const envSource = ruled(
  z.object({
    prefix: matching('^[A-Za-z_][A-Za-z0-9_]*$', 128).meta({ description: 'Put before each key.' }).exactOptional(),
    secretRef: optionalRef('Secret').exactOptional(),
    configMapRef: optionalRef('ConfigMap').exactOptional(),
  }),
  exactlyOne('secretRef', 'configMapRef'),
)

/** In every spec. */
export const suspend = z.boolean().default(false).meta({
  description: 'Hands off: while true the operator neither changes nor repairs anything of this object.',
})
export const deletionPolicy = (description: string) =>
  z.enum(['Delete', 'Retain']).default('Delete').meta({ description })

/** Objects in a cache are frozen; their types say so. */
export type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/** A field of the schema that no controller acts on yet; `when` says whether a spec asks for it. */
export interface Unsupported<Spec> {
  /** Dotted path below spec. */
  readonly field: string
  /** Which values, for the reference docs: `Cascade`. Absent: any. */
  readonly value?: string
  readonly when: (spec: Spec) => boolean
}

/** The paths below spec that this spec asks for and no controller acts on, for the condition `Unsupported`. */
export const askedFor = <Spec>(list: readonly Unsupported<Spec>[], spec: Spec): string[] =>
  list
    .filter(({ when }) => when(spec))
    .map(({ field, value }) => (value === undefined ? `spec.${field}` : `spec.${field}: ${value}`))
