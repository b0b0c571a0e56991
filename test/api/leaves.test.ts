/**
 * Every field of every spec, spoiled in every way that its schema names. What must be refused is refused as the
 * client's error with the field's name; and the run-time check says the same as the API server of each value, so that
 * nothing is stored which the operator then cannot read.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StructuralSchema } from '../../src/api/crd.ts'
import { namespace } from '../support/cluster.ts'
import { kindNames, kinds, objectOf, requests, schemaOf, type Json, type Kind } from './requests.ts'
import { whole } from './whole.ts'

const home = await namespace()
let api: Awaited<ReturnType<typeof requests>>
beforeAll(async () => {
  api = await requests(home)
})
afterAll(() => api.close())

/** From a spec to one field: names, 0 for the first item of a list, and the first key of a map. */
type Path = readonly (string | number)[]
interface Leaf {
  readonly path: Path
  readonly schema: StructuralSchema
  readonly required: boolean
}

/** The fields that this spec has, at any depth. */
function leavesOf(schema: StructuralSchema, value: unknown, path: Path = []): Leaf[] {
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
function changed(value: unknown, [first, ...rest]: Path, to: unknown): unknown {
  if (first === undefined) return to
  const inner = changed((value as Json)[first], rest, to)
  if (Array.isArray(value))
    return value.flatMap((each: unknown, index) => (index !== first ? [each] : inner === undefined ? [] : [inner]))
  const { [first]: _before, ...others } = value as Json
  return inner === undefined ? others : { ...others, [first]: inner }
}

interface Spoiled {
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

function spoilt({ schema, required }: Leaf, value: unknown): Spoiled[] {
  if (schema.type === undefined) return []
  const gone =
    required && schema.default === undefined ? [refused('deleted', undefined)] : [either('deleted', undefined)]
  const other = schema.type === 'string' ? 5 : 'a string'
  const wrong = [refused('wrong type', other), ...gone]
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

/** Undefined when all is as it should be. */
async function judge(kind: Kind, spec: unknown, { verdict }: Spoiled): Promise<string | undefined> {
  const answer = await api.create(objectOf(kind, 'spoilt', spec))
  const told = answer.refused ? `refused: ${answer.message.slice(0, 200)}` : 'taken'
  if (answer.refused && answer.code !== 422 && answer.code !== 400) return `answered ${answer.code}: ${told}`
  if (verdict === 'refused' && !answer.refused) return 'taken, but must be refused'
  const read = kinds[kind].spec.safeParse(answer.refused ? spec : answer.object.spec)
  if (read.success === answer.refused)
    return `the API server says ${told}; the run-time check: ${read.error?.message ?? 'taken'}`
  return undefined
}

const valueAt = (spec: unknown, path: Path) => path.reduce<unknown>((value, name) => (value as Json)[name], spec)

describe.each(kindNames)('%s', (kind) => {
  const schema = schemaOf(kind).properties?.['spec'] ?? {}
  const found = whole[kind].flatMap((spec) =>
    leavesOf(schema, spec).map((leaf) => ({ spec, leaf, at: leaf.path.join('.') })),
  )

  test('the specs to spoil are legal, and leave no field out', async () => {
    for (const spec of whole[kind])
      expect(await api.create(objectOf(kind, 'whole', spec))).toMatchObject({ refused: false })
    const said = new Set(found.map(({ leaf }) => leaf.path.map((name) => (name === 0 ? '[]' : name)).join('.')))
    expect(namesOf(schema, '').filter((name) => !said.has(name))).toEqual([])
  })

  test.each(found)('spec.$at', async ({ spec, leaf }) => {
    const all = spoilt(leaf, valueAt(spec, leaf.path)).map(async (one) => {
      const wrong = await judge(kind, changed(spec, leaf.path, one.value), one)
      return wrong === undefined ? [] : [`${one.how}: ${wrong}`]
    })
    expect((await Promise.all(all)).flat()).toEqual([])
  })
})

/** Another value that this field may well have; undefined where only its neighbours could tell. */
function alternative({ schema }: Leaf, value: unknown): unknown {
  if (schema.enum) return schema.enum.find((each) => each !== value)
  if (schema.type === 'boolean') return value !== true
  if (schema.type === 'integer' || schema.type === 'number')
    return schema.minimum === value ? schema.maximum : schema.minimum
  return undefined
}

/** What never changes, or not beside approvedRevision: rules.test.ts has these. */
const fixed = new Set(['spec.backend', 'spec.adopt.policy', 'spec.updatePolicy'])
const switches = kindNames.flatMap((kind) => {
  const [spec = {}] = whole[kind]
  return leavesOf(schemaOf(kind).properties?.['spec'] ?? {}, spec).flatMap((leaf) => {
    const value = valueAt(spec, leaf.path)
    const other = alternative(leaf, value)
    const at = `spec.${leaf.path.join('.')}`
    // A merge patch cannot reach into a list, and some fields never change.
    const reachable = other !== undefined && !leaf.path.includes(0) && !fixed.has(at)
    return reachable ? [{ kind, spec, at, other, path: leaf.path }] : []
  })
})

test.each(switches)('$kind $at goes to another value and back', async ({ kind, spec, other, path }) => {
  const name = `there-${crypto.randomUUID()}`.slice(0, 40)
  const before = await api.create(objectOf(kind, name, spec), false)
  try {
    const patchTo = (value: unknown) => ({
      spec: path.reduceRight<unknown>((inner, each) => ({ [each]: inner }), value),
    })
    const there = await api.patch(kind, name, patchTo(other))
    expect(there).toMatchObject({ refused: false, object: { metadata: { generation: 2 } } })
    const back = await api.patch(kind, name, patchTo(valueAt(spec, path)))
    expect(back).toMatchObject({ refused: false, object: { metadata: { generation: 3 } } })
    expect(!back.refused && back.object.spec).toEqual(!before.refused && before.object.spec)
  } finally {
    await api.remove(kind, name)
  }
})

/** Every path of a schema; maps end at their name, since their keys are free. */
function namesOf(schema: StructuralSchema, path: string): string[] {
  const below = (name: string, inner: StructuralSchema) => {
    const at = path === '' ? name : `${path}.${name}`
    return [at].concat(namesOf(inner, at))
  }
  if (schema.items) return below('[]', schema.items)
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => below(name, inner))
}
