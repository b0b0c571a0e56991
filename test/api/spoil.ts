/** Every field of a spec, and every way in which its schema lets it be spoiled. */
import type { StructuralSchema } from '../../src/api/structural.ts'
import type { Json } from './requests.ts'

/** From a spec to one field: names, 0 for the first item of a list, and the first key of a map. */
export type Path = readonly (string | number)[]
export interface Leaf {
  readonly path: Path
  readonly schema: StructuralSchema
  readonly required: boolean
}

/** The fields that this spec has, at any depth. */
export function leavesOf(schema: StructuralSchema, value: unknown, path: Path = []): Leaf[] {
  if (typeof value !== 'object' || value === null) return []
  const step = (name: string | number, inner: StructuralSchema, required: boolean): Leaf[] => {
    const at: Path = [...path, name]
    const leaf = { path: at, schema: inner, required }
    return [leaf].concat(leavesOf(inner, (value as Json)[name], at))
  }
  if (schema.items) return Array.isArray(value) && value.length > 0 ? step(0, schema.items, false) : []
  const inMap = schema.additionalProperties
  if (inMap) return Object.keys(value).flatMap((name) => step(name, inMap, false))
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    name in value ? step(name, inner, schema.required?.includes(name) ?? false) : [],
  )
}

/** The same with one field different, or without it. */
export function changed(value: unknown, [first, ...rest]: Path, to: unknown): unknown {
  if (first === undefined) return to
  const inner = changed((value as Json)[first], rest, to)
  if (Array.isArray(value))
    return value.flatMap((each: unknown, index) => (index !== first ? [each] : inner === undefined ? [] : [inner]))
  const { [first]: _before, ...others } = value as Json
  return inner === undefined ? others : { ...others, [first]: inner }
}

export interface Spoiled {
  readonly how: string
  readonly value: unknown
  /** `refused`: for certain. `either`: rules between fields decide, and both checks must agree. */
  readonly verdict: 'refused' | 'either'
}

const refused = (how: string, value: unknown): Spoiled => ({ how, value, verdict: 'refused' })
const either = (how: string, value: unknown): Spoiled => ({ how, value, verdict: 'either' })
const megabyte = 2 ** 20

function ofString(schema: StructuralSchema, value: string): Spoiled[] {
  if (schema.enum)
    return [refused('no such choice', 'NoSuchChoice')].concat(
      schema.enum.map((each) => either(`choice ${String(each)}`, each)),
    )
  return [
    either('empty', ''),
    refused('too long', 'a'.repeat((schema.maxLength ?? 0) + 1)),
    refused('1 MiB', 'a'.repeat(megabyte)),
    refused('NUL', `${value}\u0000`),
    refused('escape', `${value}\u001b[2J`),
    either('right-to-left', `${value}\u202e`),
    either('line break', `${value}\n${value}`),
    either('beyond the BMP', '\u{1f98a}'.repeat(Math.min(schema.maxLength ?? 1, 300))),
    ...(schema.minLength === undefined ? [] : [refused('too short', 'a'.repeat(schema.minLength - 1))]),
  ]
}

function ofNumber({ minimum = 0, maximum = 0, type }: StructuralSchema): Spoiled[] {
  const exact = [
    refused('below', minimum - 1),
    refused('above', maximum + 1),
    either('least', minimum),
    either('most', maximum),
  ]
  return type === 'integer' ? [...exact, refused('fraction', minimum + 0.5)] : exact
}

export function spoilt({ schema, required }: Leaf, value: unknown): Spoiled[] {
  if (schema.type === undefined) return []
  const gone =
    required && schema.default === undefined ? [refused('deleted', undefined)] : [either('deleted', undefined)]
  const other = schema.type === 'string' ? 5 : 'a string'
  const wrong = [refused('wrong type', other), either('null', null), ...gone]
  const { maxItems = 0, maxProperties = 0 } = schema
  switch (schema.type) {
    case 'string':
      return [...wrong, ...ofString(schema, String(value))]
    case 'integer':
    case 'number':
      return [...wrong, ...ofNumber(schema)]
    case 'boolean':
      return [...wrong, either('true', true), either('false', false)]
    case 'array': {
      const [first] = value as unknown[]
      return [
        ...wrong,
        either('empty', []),
        refused(
          'too many',
          Array.from({ length: maxItems + 1 }, () => first),
        ),
        ...(schema['x-kubernetes-list-type'] === 'atomic' ? [] : [refused('twice', [first, first])]),
      ]
    }
    default: {
      const [first] = Object.values(value as Json)
      const many = Object.fromEntries(Array.from({ length: maxProperties + 1 }, (_, index) => [`key-${index}`, first]))
      const ofMap = [
        refused('too many', many),
        refused('key too long', { ['a'.repeat(4096)]: first }),
        refused('NUL in key', { 'a\u0000': first }),
      ]
      return [...wrong, either('empty', {}), ...(schema.additionalProperties ? ofMap : [])]
    }
  }
}

export const valueAt = (spec: unknown, path: Path) => path.reduce<unknown>((value, name) => (value as Json)[name], spec)
