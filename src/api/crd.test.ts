import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { crdOf } from './crd.ts'
import type { KindDefinition } from './kind.ts'
import { orgImportKind } from './org-import.ts'
import { pluginInstallKind } from './plugin-install.ts'
import { runtimeKind } from './runtime.ts'
import type { StructuralSchema } from './structural.ts'
import { workspaceKind } from './workspace.ts'

interface Place {
  readonly path: string
  readonly schema: StructuralSchema
}

function places(schema: StructuralSchema, path: string): Place[] {
  const inner: [string, StructuralSchema | undefined][] = [
    [`${path}[]`, schema.items],
    [`${path}.*`, schema.additionalProperties],
    ...Object.entries(schema.properties ?? {}).map(([name, field]): [string, StructuralSchema] => [
      `${path}.${name}`,
      field,
    ]),
  ]
  return [{ path, schema }].concat(inner.flatMap(([at, each]) => (each ? places(each, at) : [])))
}

const kinds = [workspaceKind, orgImportKind, pluginInstallKind, runtimeKind].map((kind) => ({ kind, name: kind.kind }))

const written = (kind: KindDefinition): Place[] => {
  const root = crdOf(kind).spec.versions[0]?.schema.openAPIV3Schema.properties ?? {}
  return ['spec', 'status'].flatMap((part) => places(root[part] ?? {}, part))
}
const pathsWhere = (kind: KindDefinition, wrong: (schema: StructuralSchema, path: string) => boolean) =>
  written(kind).flatMap(({ path, schema }) => (wrong(schema, path) ? [path] : []))

describe.each(kinds)('the CRD of $name', ({ kind }) => {
  test('explains every field', () => {
    expect(
      pathsWhere(kind, ({ description }, path) => !/(\[\]|\.\*)$/.test(path) && !description?.endsWith('.')),
    ).toEqual([])
  })

  test('bounds every string, list and map', () => {
    const unbounded = (schema: StructuralSchema) =>
      (schema.type === 'string' && !schema.enum && schema.maxLength === undefined) ||
      (schema.type === 'array' && schema.maxItems === undefined) ||
      (schema.additionalProperties !== undefined && schema.maxProperties === undefined)
    expect(pathsWhere(kind, unbounded)).toEqual([])
  })

  test('bounds every number', () => {
    const numbers = new Set(['integer', 'number'])
    const open = ({ type = '', format, minimum, maximum }: StructuralSchema) =>
      numbers.has(type) && format !== 'int64' && (minimum === undefined || maximum === undefined)
    expect(pathsWhere(kind, open)).toEqual([])
  })

  test('says of every list how it merges, by keys that are there', () => {
    const unsaid = (schema: StructuralSchema) => {
      if (schema.type !== 'array') return false
      const keys = schema['x-kubernetes-list-map-keys'] ?? []
      const present = keys.every((key) => schema.items?.required?.includes(key))
      return (
        !schema['x-kubernetes-list-type'] ||
        !present ||
        (schema['x-kubernetes-list-type'] === 'map') !== keys.length > 0
      )
    }
    expect(pathsWhere(kind, unsaid)).toEqual([])
  })

  test('has a type everywhere, or keeps what it is given', () => {
    const loose = (schema: StructuralSchema) =>
      schema.type === undefined && schema['x-kubernetes-preserve-unknown-fields'] !== true
    expect(pathsWhere(kind, loose)).toEqual([])
  })

  test('marks as not acted on only fields that are there', () => {
    const paths = new Set(written(kind).map(({ path }) => path))
    expect(kind.unsupported.filter(({ field }) => !paths.has(`spec.${field}`))).toEqual([])
  })
})

test('what has no structural form stops the generator', () => {
  const spec = z.object({ either: z.union([z.string(), z.int()]) })
  expect(() => crdOf({ ...runtimeKind, spec })).toThrow('Runtime.spec.either: "anyOf" has no structural form')
})
