/**
 * Every field of every spec, spoiled in every way that its schema names. What must be refused is refused as the
 * client's error with the field's name; and the run-time check says the same as the API server of each value, so that
 * nothing is stored which the operator then cannot read.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StructuralSchema } from '../../src/api/structural.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import { kindNames, kinds, objectOf, requests, schemaOf, type Requests, type Kind } from './requests.ts'
import { changed, leavesOf, spoilt, valueAt, type Leaf, type Spoiled } from './spoil.ts'
import { whole } from './whole.ts'

const home = await namespace()
let api: Requests
beforeAll(async () => {
  api = await requests(home, controlPlane().kubeconfig)
})
afterAll(() => api.close())

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
